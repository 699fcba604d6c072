//! Step 8: with which keys, by the KMS calls that the enclave made.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine, prelude::BASE64_STANDARD};
use packproof_receipt::{
    policy::{CellKeys, Pack, Policy, Target},
    statement::{Dependency, KmsCall, MAX_KEY_POLICY_BYTES, PackPredicate, Role},
};
use sha2::{Digest, Sha256};

use super::{Entry, Measured, is_hex};
use crate::{
    checks::{Checks, Refusal, ensure, quote},
    clef::Artifact,
};

type Calls<'a> = BTreeMap<&'a str, &'a KmsCall>;

pub(crate) fn check(checks: &mut Checks<'_>, judged: Option<(Measured<'_>, Entry<'_>)>, artifact: Option<&Artifact>) {
    let judged = judged.map(|(measured, entry)| (measured.predicate(), entry));
    let calls = judged.map(|(predicate, entry)| read_calls(predicate, entry.pack));
    let calls =
        checks.judge("keys_calls", "every KMS call has a purpose in this pack, and there is one for each", calls);
    let attested = judged.map(|(predicate, _)| {
        ensure(predicate.kms.iter().all(|call| call.recipient_attested), "kms_not_attested", || {
            "a KMS answer was not encrypted to the attested enclave".to_owned()
        })
    });
    checks.judge("keys_attested", "every KMS answer was encrypted to the attested enclave", attested);
    let records = judged.map(|(predicate, _)| check_records(&predicate.kms));
    checks.judge("keys_records", "every KMS call can be found in CloudTrail by its request id", records);

    let given = judged.zip(calls.as_ref());
    let signer = given.map(|((predicate, entry), calls)| check_signer(predicate, entry, calls));
    checks.judge("keys_signer", "the signer was unsealed under the policy's key and context", signer);
    let age_key = given.map(|((predicate, entry), calls)| check_age_key(predicate, entry, calls));
    checks.judge(
        "keys_age_key",
        "the age key was unsealed under the policy's key and context, where there is one",
        age_key,
    );
    let cells = given.map(|((predicate, entry), calls)| check_cells(predicate, entry.pack, calls));
    checks.judge("keys_cells", "every KMS cell was opened under the key and context that the policy names", cells);
    let envelope =
        given.zip(artifact).map(|(((_, entry), calls), artifact)| check_envelope(entry.pack, artifact, calls));
    checks.judge("keys_envelope", "the envelope's data key was made by the policy's key, where there is one", envelope);
    let policies = judged.map(|(predicate, entry)| check_key_policies(predicate, entry.policy));
    checks.judge("keys_policies", "the policy of each key used is recorded, where the policy asks for it", policies);
}

/// What a call for this cell is called.
fn cell_purpose(cell: &Dependency) -> String {
    format!("cell {:?}", cell.name)
}

fn cells(predicate: &PackPredicate) -> impl Iterator<Item = &Dependency> {
    let dependencies = &predicate.build_definition.resolved_dependencies;
    dependencies.iter().filter(|dependency| dependency.annotations.role == Role::Cell)
}

/// The calls by purpose, each purpose once, and exactly those that the policy makes necessary.
fn read_calls<'a>(predicate: &'a PackPredicate, pack: &Pack) -> Result<Calls<'a>, Refusal> {
    let mut calls = Calls::new();
    for call in &predicate.kms {
        ensure(calls.insert(&call.purpose, call).is_none(), "kms_call_repeated", || {
            format!("there are two KMS calls for {}", quote(&call.purpose))
        })?;
    }
    let mut expected = vec!["signer".to_owned()];
    match &pack.cell_keys {
        CellKeys::Sealed { .. } => expected.push("age-key".to_owned()),
        CellKeys::Kms(_) => expected.extend(cells(predicate).map(cell_purpose)),
    }
    if matches!(pack.target, Target::Kms(_)) {
        expected.push("envelope".to_owned());
    }
    for purpose in &expected {
        ensure(calls.contains_key(purpose.as_str()), "kms_call_missing", || {
            format!("there is no KMS call for {}", quote(purpose))
        })?;
    }
    // every expected one is there, so any more is one too many
    expected.sort_unstable();
    match calls.keys().find(|purpose| expected.binary_search_by(|known| known.as_str().cmp(purpose)).is_err()) {
        Some(purpose) => Err(Refusal::new(
            "kms_call_unexpected",
            format!("nothing in this pack needs a KMS call for {}", quote(purpose)),
        )),
        None => Ok(calls),
    }
}

fn check_records(calls: &[KmsCall]) -> Result<(), Refusal> {
    for call in calls {
        let purpose = quote(&call.purpose);
        ensure(!call.request_id.is_empty(), "kms_request_id", || {
            format!("the KMS call for {purpose} has no request id")
        })?;
        ensure(call.attempts > 0, "kms_attempts", || format!("the KMS call for {purpose} was never tried"))?;
        ensure(is_hex(&call.ciphertext_blob_sha256, 32), "kms_blob_digest", || {
            format!("the KMS call for {purpose} has no SHA-256 of its blob")
        })?;
    }
    Ok(())
}

/// Operation, key and context of one call.
fn check_call(call: &KmsCall, operation: &str, arn: &str, context: &BTreeMap<String, String>) -> Result<(), Refusal> {
    let purpose = quote(&call.purpose);
    ensure(call.operation == operation, "kms_operation", || {
        format!("the KMS call for {purpose} is {}, expected {operation}", quote(&call.operation))
    })?;
    ensure(call.key_arn == arn, "kms_key", || {
        format!("the KMS call for {purpose} is under {}, expected {arn}", quote(&call.key_arn))
    })?;
    ensure(call.encryption_context == *context, "kms_context", || {
        format!("the KMS call for {purpose} has another encryption context than the policy makes")
    })
}

/// The context of a sealed key: four facts of the measured policy.
fn sealed_context(policy: &Policy, pack: &Pack, purpose: &str) -> BTreeMap<String, String> {
    [
        ("purpose", purpose),
        ("repository", &policy.source.repository),
        ("identity", &pack.identity),
        ("environment", &pack.environment),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}

fn get<'a>(calls: &Calls<'a>, purpose: &str) -> Result<&'a KmsCall, Refusal> {
    let missing = || Refusal::new("kms_call_missing", format!("there is no KMS call for {}", quote(purpose)));
    calls.get(purpose).copied().ok_or_else(missing)
}

fn check_signer(predicate: &PackPredicate, entry: Entry<'_>, calls: &Calls<'_>) -> Result<(), Refusal> {
    let call = get(calls, "signer")?;
    let context = sealed_context(entry.policy, entry.pack, "signer");
    check_call(call, "Decrypt", &entry.pack.signer.kms, &context)?;
    let sent = &predicate.build_definition.external_parameters.sealed_signer_sha256;
    ensure(call.ciphertext_blob_sha256 == *sent, "sealed_signer_blob", || {
        "the signer that was unsealed is not the one that was sent".to_owned()
    })
}

fn check_age_key(predicate: &PackPredicate, entry: Entry<'_>, calls: &Calls<'_>) -> Result<(), Refusal> {
    let sent = predicate.build_definition.external_parameters.sealed_age_key_sha256.as_ref();
    let blob = || Refusal::new("sealed_age_key_blob", "the age key that was unsealed is not the one that was sent");
    match &entry.pack.cell_keys {
        CellKeys::Kms(_) => ensure(sent.is_none(), "sealed_age_key_unexpected", || {
            "a sealed age key was sent, and the policy opens these cells without one".to_owned()
        }),
        CellKeys::Sealed { kms, .. } => {
            let call = get(calls, "age-key")?;
            check_call(call, "Decrypt", kms, &sealed_context(entry.policy, entry.pack, "age-key"))?;
            if sent == Some(&call.ciphertext_blob_sha256) { Ok(()) } else { Err(blob()) }
        }
    }
}

fn check_cells(predicate: &PackPredicate, pack: &Pack, calls: &Calls<'_>) -> Result<(), Refusal> {
    let CellKeys::Kms(keys) = &pack.cell_keys else { return Ok(()) };
    for cell in cells(predicate) {
        let call = get(calls, &cell_purpose(cell))?;
        let used = cell.annotations.key_entries.iter().find(|entry| entry.used).map(|entry| entry.id.as_str());
        let key = keys.iter().find(|key| Some(key.arn.as_str()) == used).ok_or_else(|| {
            let text = format!("cell {} was not opened with a KMS key of the policy", quote(&cell.name));
            Refusal::new("cell_key_not_in_policy", text)
        })?;
        check_call(call, "Decrypt", &key.arn, &key.context)?;
    }
    Ok(())
}

/// Under the rule one entry for each key, without it none. What the key policies say is nobody's matter here.
fn check_key_policies(predicate: &PackPredicate, policy: &Policy) -> Result<(), Refusal> {
    let mut missing: BTreeSet<&str> = BTreeSet::new();
    if policy.record_key_policies {
        missing.extend(predicate.kms.iter().map(|call| call.key_arn.as_str()));
    }
    let mut recorded = BTreeSet::new();
    for entry in &predicate.key_policies {
        let arn = quote(&entry.key_arn);
        ensure(recorded.insert(&entry.key_arn), "key_policy_repeated", || {
            format!("the policy of {arn} is recorded twice")
        })?;
        ensure(missing.remove(entry.key_arn.as_str()), "key_policy_unexpected", || {
            format!("nothing asks for the policy of {arn}")
        })?;
        ensure((1..=MAX_KEY_POLICY_BYTES).contains(&entry.policy.len()), "key_policy_text", || {
            format!("the recorded policy of {arn} has {} bytes, not 1 to {MAX_KEY_POLICY_BYTES}", entry.policy.len())
        })?;
        let answered = |ids: &[String]| ids.last().is_some_and(|id| !id.is_empty());
        let both = answered(&entry.policy_request_ids) && answered(&entry.description_request_ids);
        ensure(both, "key_policy_request_id", || format!("the recorded policy of {arn} lacks a request id"))?;
    }
    match missing.first() {
        Some(arn) => Err(Refusal::new("key_policy_missing", format!("the policy of {} is not recorded", quote(arn)))),
        None => Ok(()),
    }
}

/// The blob in the artifact is the one that KMS made for this pack.
fn check_envelope(pack: &Pack, artifact: &Artifact, calls: &Calls<'_>) -> Result<(), Refusal> {
    let Target::Kms(arn) = &pack.target else { return Ok(()) };
    let call = get(calls, "envelope")?;
    // no context: the runtime's Decrypt sends none
    check_call(call, "GenerateDataKey", arn, &BTreeMap::new())?;
    let wrapped = artifact.envelope.as_ref().and_then(|envelope| BASE64_STANDARD.decode(&envelope.wrapped_key).ok());
    let digest = wrapped.map(|blob| hex::encode(Sha256::digest(blob)));
    ensure(digest.as_ref() == Some(&call.ciphertext_blob_sha256), "envelope_blob", || {
        "the artifact's wrapped key is not the one that KMS made for this pack".to_owned()
    })
}
