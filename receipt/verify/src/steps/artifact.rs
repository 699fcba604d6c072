//! Step 7: what came out.

use std::collections::BTreeMap;

use packproof_receipt::{
    policy::{Pack, Target},
    statement::{Output, PackPredicate, Statement},
    time::UnixMillis,
};
use sha2::{Digest, Sha256, Sha512};

use super::{Entry, Measured, Times};
use crate::{
    checks::{Checks, Refusal, ensure, quote},
    clef::Artifact,
    expectations::Expectations,
};

pub(crate) fn check(
    checks: &mut Checks<'_>,
    judged: Option<(Measured<'_>, Entry<'_>)>,
    entry: Option<Entry<'_>>,
    times: Option<Times>,
    expectations: &Expectations<'_>,
) -> Option<Artifact> {
    check_subject(checks, judged.map(|(measured, _)| measured.attested().statement()), expectations);
    let artifact =
        checks.judge("artifact_format", "the artifact can be read", Some(Artifact::parse(expectations.artifact)));
    let for_whom = artifact.as_ref().map(|artifact| check_for_whom(artifact, expectations));
    checks.judge("artifact_for_whom", "the artifact is for the identity and environment expected", for_whom);
    let hash = artifact.as_ref().map(Artifact::check_hash);
    checks.judge("artifact_ciphertext_hash", "the artifact's ciphertext has the hash that is signed", hash);
    let public_key = entry.and_then(|entry| entry.pack.signer.public_key.as_deref());
    let signature = artifact.as_ref().zip(public_key).map(|(artifact, key)| artifact.check_signature(key));
    checks.judge("artifact_signature", "the artifact is signed by the policy's signer", signature);

    let output = judged.map(|(measured, _)| &measured.predicate().output);
    let stated = output.zip(artifact.as_ref()).map(|(output, artifact)| check_output(output, artifact));
    checks.judge("artifact_output", "the statement describes this artifact", stated);
    let payload = output.zip(artifact.as_ref()).map(|(output, artifact)| {
        let digest = hex::encode(Sha256::digest(artifact.signing_payload()));
        ensure(output.signed_payload_sha256 == digest, "artifact_payload_digest", || {
            "the statement names another signed payload".to_owned()
        })
    });
    checks.judge("artifact_payload_digest", "the statement names the payload that is signed", payload);
    let verify_key = output.zip(public_key).map(|(output, key)| {
        ensure(output.verify_key == key, "artifact_verify_key", || "the statement names another signer".to_owned())
    });
    checks.judge("artifact_verify_key", "the statement names the policy's signer", verify_key);
    let recipient = output.zip(entry).zip(artifact.as_ref());
    let recipient = recipient.map(|((output, entry), artifact)| check_recipient(output, artifact, &entry.pack.target));
    checks.judge("artifact_recipient", "the artifact is encrypted as the policy says", recipient);
    let lifetime = judged.zip(artifact.as_ref()).zip(times).map(|(((measured, entry), artifact), times)| {
        check_lifetime(measured.predicate(), entry.pack, artifact, times)
    });
    checks.judge(
        "artifact_lifetime",
        "the artifact was made during the pack and lives no longer than it may",
        lifetime,
    );
    artifact
}

fn check_subject<P>(checks: &mut Checks<'_>, statement: Option<&Statement<P>>, expectations: &Expectations<'_>) {
    let subject = statement.and_then(|statement| statement.subject.first());
    let name = format!("{}/{}", expectations.identity, expectations.environment);
    let named = subject.map(|subject| {
        ensure(subject.name == name && subject.digest.len() == 2, "artifact_subject", || {
            format!("the statement's subject is {} with {} digests", quote(&subject.name), subject.digest.len())
        })
    });
    checks.judge("artifact_subject", "the statement's only subject is the artifact", named);
    let digest = subject.map(|subject| &subject.digest);
    let compare = |code: &'static str, algorithm: &str, found: String| {
        digest.map(|digest: &BTreeMap<String, String>| {
            ensure(digest.get(algorithm) == Some(&found), code, || {
                format!("the artifact given has {algorithm} {found}: the receipt belongs to another one")
            })
        })
    };
    let sha256 = compare("artifact_sha256", "sha256", hex::encode(Sha256::digest(expectations.artifact)));
    checks.judge("artifact_sha256", "the artifact has the SHA-256 of the statement's subject", sha256);
    let sha512 = compare("artifact_sha512", "sha512", hex::encode(Sha512::digest(expectations.artifact)));
    checks.judge("artifact_sha512", "the artifact has the SHA-512 of the statement's subject", sha512);
}

fn check_for_whom(artifact: &Artifact, expectations: &Expectations<'_>) -> Result<(), Refusal> {
    ensure(artifact.identity == expectations.identity, "artifact_identity", || {
        format!("the artifact is for identity {}", quote(&artifact.identity))
    })?;
    ensure(artifact.environment == expectations.environment, "artifact_environment", || {
        format!("the artifact is for environment {}", quote(&artifact.environment))
    })
}

fn check_output(output: &Output, artifact: &Artifact) -> Result<(), Refusal> {
    ensure(output.format == "clef/1", "output_format", || {
        format!("the statement names format {}, known is clef/1", quote(&output.format))
    })?;
    for (code, what, stated, found) in [
        ("output_identity", "identity", &output.identity, &artifact.identity),
        ("output_environment", "environment", &output.environment, &artifact.environment),
        ("output_revision", "revision", &output.revision, &artifact.revision),
        ("output_packed_at", "packedAt", &output.packed_at, &artifact.packed_at),
        ("output_expires_at", "expiresAt", &output.expires_at, &artifact.expires_at),
    ] {
        ensure(stated == found, code, || {
            format!("the statement's {what} is {}, the artifact's {}", quote(stated), quote(found))
        })?;
    }
    Ok(())
}

fn check_recipient(output: &Output, artifact: &Artifact, target: &Target) -> Result<(), Refusal> {
    let (kind, recipient) = match target {
        Target::Age(recipient) => ("age", recipient),
        Target::Kms(arn) => ("aws-kms", arn),
    };
    ensure(output.recipient_kind == kind && output.recipient == *recipient, "recipient_not_in_policy", || {
        format!("the artifact is for {}, the policy names {}", quote(&output.recipient), quote(recipient))
    })?;
    let fits = match (target, &artifact.envelope) {
        (Target::Age(_), None) => true,
        (Target::Kms(arn), Some(envelope)) => {
            envelope.provider == "aws" && envelope.key_id == *arn && envelope.algorithm == "SYMMETRIC_DEFAULT"
        }
        _ => false,
    };
    ensure(fits, "artifact_envelope", || format!("the artifact's envelope is not one for {}", quote(recipient)))
}

fn check_lifetime(predicate: &PackPredicate, pack: &Pack, artifact: &Artifact, times: Times) -> Result<(), Refusal> {
    let parse = |text: &str| {
        UnixMillis::parse_rfc3339_ms(text)
            .ok_or_else(|| Refusal::new("lifetime_format", format!("{} is not a time of the one form", quote(text))))
    };
    let (packed, expires) = (parse(&artifact.packed_at)?, parse(&artifact.expires_at)?);
    ensure(times.started <= packed && packed <= times.finished, "packed_outside_pack", || {
        format!("packedAt is {packed}, the pack ran from {} to {}", times.started, times.finished)
    })?;
    let longest = packed.saturating_add_millis(pack.max_ttl_seconds.saturating_mul(1_000));
    ensure(packed < expires && expires <= longest, "lifetime_not_in_policy", || {
        format!("the artifact lives from {packed} to {expires}, the policy allows {} s", pack.max_ttl_seconds)
    })?;
    let asked = predicate.build_definition.external_parameters.ttl_seconds.unwrap_or(pack.max_ttl_seconds);
    ensure(expires == packed.saturating_add_millis(asked.saturating_mul(1_000)), "lifetime_not_as_asked", || {
        format!("the artifact lives from {packed} to {expires}, {asked} s were asked for")
    })
}
