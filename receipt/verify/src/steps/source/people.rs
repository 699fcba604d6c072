//! Whose signatures stand under the commit, and who else agreed.

use std::collections::BTreeSet;

use base64::{Engine, prelude::BASE64_STANDARD, prelude::BASE64_STANDARD_NO_PAD};
use packproof_receipt::{
    policy::SourceSigner,
    statement::{CertificateFacts, PackPredicate, Role, SignatureFacts},
    time::UnixMillis,
};
use sha2::{Digest, Sha256};

use super::{CLOCK_SKEW_MS, objects};
use crate::{
    checks::{Refusal, ensure, quote},
    steps::Entry,
};

/// Every algorithm that counts, with the key type that makes it.
const SCHEMES: [(&str, &str); 6] = [
    ("ssh-ed25519", "ssh-ed25519"),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256"),
    ("rsa-sha2-512", "ssh-rsa"),
    ("rsa-sha2-256", "ssh-rsa"),
    ("sk-ssh-ed25519@openssh.com", "sk-ssh-ed25519@openssh.com"),
    ("sk-ecdsa-sha2-nistp256@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"),
];

/// The signature is by a signer of the entry, who was valid when it was made and when it was used.
pub(super) fn check_signer(predicate: &PackPredicate, entry: Entry<'_>, started: UnixMillis) -> Result<(), Refusal> {
    let source = &predicate.source;
    let signer = entry.policy.signers_of(entry.pack).find(|signer| signer.name == source.signature.signer);
    let signer = signer.ok_or_else(|| {
        let text = format!("signer {} does not count here by the policy", quote(&source.signature.signer));
        Refusal::new("signer_not_in_policy", text)
    })?;
    check_signature(&source.signature, signer)?;
    if signer.valid_after.is_none() && signer.valid_before.is_none() {
        return Ok(());
    }
    let signed_on = source.tag.as_ref().map_or(&source.committed_on, |tag| &tag.tagged_on);
    check_validity(signer, &[time(signed_on)?, started])
}

/// A tag counts only when it was asked for, and is then among the objects.
pub(super) fn check_tag(predicate: &PackPredicate, started: UnixMillis) -> Result<(), Refusal> {
    let asked = predicate.build_definition.external_parameters.tag.as_ref();
    let stated = predicate.source.tag.as_ref();
    ensure(asked == stated.map(|tag| &tag.id), "tag_inconsistent", || {
        "the tag asked for is not the tag whose signature counted".to_owned()
    })?;
    let Some(tag) = stated else {
        return objects::none_of(predicate, Role::Tag, "tag_object");
    };
    let object = objects::the_one(predicate, Role::Tag, "tag_object")?;
    let right = object.name == tag.id && object.digest.get("gitTag") == Some(&tag.id);
    ensure(right, "tag_object", || "the tag object listed is not the tag that counted".to_owned())?;
    let tagged = time(&tag.tagged_on)?;
    ensure(tagged <= started.saturating_add_millis(CLOCK_SKEW_MS), "tag_in_future", || {
        format!("the tag is of {tagged}, after the pack's start at {started}")
    })
}

/// Enough people, each by a key and a name of his own, none of them the commit's signer.
pub(super) fn check_approvals(predicate: &PackPredicate, entry: Entry<'_>, started: UnixMillis) -> Result<(), Refusal> {
    let approvals = &predicate.source.approvals;
    let Some(rule) = &entry.pack.approvals else {
        return ensure(approvals.is_empty(), "approvals_not_in_policy", || {
            "approvals are stated, and the policy asks for none".to_owned()
        });
    };
    let mut seen = names(&predicate.source.signature);
    if let Some(signature) = &predicate.source.commit_signature {
        seen.extend(names(signature));
    }
    for approval in approvals {
        let signature = &approval.signature;
        let approver = entry.policy.approvers_of(entry.pack).find(|approver| approver.name == signature.signer);
        let approver = approver.ok_or_else(|| {
            let text = format!("{} may not approve here by the policy", quote(&signature.signer));
            Refusal::new("approver_not_in_policy", text)
        })?;
        check_signature(signature, approver)?;
        check_validity(approver, &[started])?;
        let not_after = time(&approval.not_after)?;
        ensure(not_after > started, "approval_expired", || {
            format!("the approval of {} ended at {not_after}, before the pack", quote(&signature.principal))
        })?;
        let own = names(signature);
        ensure(seen.is_disjoint(&own), "approval_repeated", || {
            format!("{} approved twice, or signed the commit", quote(&signature.principal))
        })?;
        seen.extend(own);
    }
    ensure(approvals.len() >= rule.threshold, "approvals_missing", || {
        format!("{} people approved, the policy asks for {}", approvals.len(), rule.threshold)
    })
}

/// A key and all names of the person behind it.
fn names(signature: &SignatureFacts) -> BTreeSet<&str> {
    let certified = signature.certificate.iter().flat_map(|certificate| &certificate.all_principals);
    [&signature.fingerprint, &signature.principal].into_iter().chain(certified).map(String::as_str).collect()
}

fn check_signature(stated: &SignatureFacts, signer: &SourceSigner) -> Result<(), Refusal> {
    let key_type = SCHEMES.iter().find(|(scheme, _)| *scheme == stated.scheme).map(|(_, key_type)| *key_type);
    let Some(key_type) = key_type else {
        return Err(Refusal::new(
            "signer_scheme",
            format!("signatures of kind {} do not count", quote(&stated.scheme)),
        ));
    };
    let expected = fingerprint(signer)?;
    match &stated.certificate {
        None => {
            ensure(!signer.cert_authority, "signer_certificate", || {
                format!("the policy's {} is an authority: it certifies, and signs nothing itself", signer.name)
            })?;
            let own = signer.ssh.split_ascii_whitespace().next();
            ensure(own == Some(key_type), "signer_scheme", || {
                format!("the key of {} makes no signatures of kind {}", signer.name, quote(&stated.scheme))
            })?;
            ensure(stated.principal == signer.principal, "signer_principal", || {
                let known = quote(&signer.principal);
                format!("the policy knows {} as {known}, not as {}", signer.name, quote(&stated.principal))
            })?;
            ensure(stated.fingerprint == expected, "signer_fingerprint", || {
                let found = quote(&stated.fingerprint);
                format!("the policy's key of {} has fingerprint {expected}, not {found}", signer.name)
            })
        }
        Some(certificate) => check_certificate(stated, certificate, signer, &expected),
    }
}

fn check_certificate(
    stated: &SignatureFacts,
    certificate: &CertificateFacts,
    signer: &SourceSigner,
    authority: &str,
) -> Result<(), Refusal> {
    ensure(signer.cert_authority, "signer_certificate", || {
        format!("the policy's {} is a key, not an authority", signer.name)
    })?;
    ensure(certificate.authority == authority, "signer_authority", || {
        let found = quote(&certificate.authority);
        format!("the policy's authority {} has fingerprint {authority}, not {found}", signer.name)
    })?;
    let patterns = signer.patterns();
    let allowed = |name: &String| patterns.iter().any(|pattern| matches(pattern, name));
    let all = &certificate.all_principals;
    let right = certificate.principals.iter().all(|name| allowed(name) && all.contains(name))
        && certificate.principals.first() == Some(&stated.principal);
    ensure(right, "signer_principal", || {
        format!("{} is no principal that the policy lets {} certify", quote(&stated.principal), signer.name)
    })
}

/// OpenSSH's patterns: `*` is any text, `?` any one byte.
fn matches(pattern: &str, name: &str) -> bool {
    // reach[i]: the pattern so far matches the first i bytes of the name
    let name = name.as_bytes();
    let mut reach: Vec<bool> = std::iter::once(true).chain(name.iter().map(|_| false)).collect();
    for want in pattern.bytes() {
        if want == b'*' {
            let mut open = false;
            for here in &mut reach {
                open |= *here;
                *here = open;
            }
        } else {
            let steps = reach.iter().zip(name).map(|(here, byte)| *here && (want == b'?' || want == *byte));
            reach = std::iter::once(false).chain(steps).collect();
        }
    }
    reach.last() == Some(&true)
}

fn check_validity(signer: &SourceSigner, times: &[UnixMillis]) -> Result<(), Refusal> {
    let outside = |at: &&UnixMillis| {
        signer.valid_after.is_some_and(|first| **at < first)
            || signer.valid_before.is_some_and(|last| at.as_secs() > last.as_secs())
    };
    match times.iter().find(outside) {
        Some(at) => {
            Err(Refusal::new("signer_not_valid", format!("by the policy {} did not count at {at}", signer.name)))
        }
        None => Ok(()),
    }
}

/// The fingerprint of the policy's key, as `ssh-keygen -l` prints it.
fn fingerprint(signer: &SourceSigner) -> Result<String, Refusal> {
    let blob = signer.ssh.split_ascii_whitespace().nth(1).and_then(|word| BASE64_STANDARD.decode(word).ok());
    let blob =
        blob.ok_or_else(|| Refusal::new("policy_value", format!("the SSH key of {} cannot be read", signer.name)))?;
    Ok(format!("SHA256:{}", BASE64_STANDARD_NO_PAD.encode(Sha256::digest(blob))))
}

fn time(text: &str) -> Result<UnixMillis, Refusal> {
    let wrong = || Refusal::new("source_date_format", format!("{} is not a time of the one form", quote(text)));
    UnixMillis::parse_rfc3339_ms(text).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_are_opensshs() {
        for (pattern, name, expected) in [
            ("alice@acme.example", "alice@acme.example", true),
            ("alice@acme.example", "alice@acme.exampl", false),
            ("alice@acme.exampl", "alice@acme.example", false),
            ("*@acme.example", "alice@acme.example", true),
            ("*@acme.example", "alice@acme.example.org", false),
            ("*", "", true),
            ("?", "", false),
            ("a?c*", "abcd", true),
            ("a*b*c", "abbc", true),
            ("a*b*c", "acb", false),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
