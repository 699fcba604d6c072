//! Rules over a whole policy.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine, prelude::BASE64_STANDARD};

use super::{CellKeys, Pack, Policy, PolicyError, Target};

/// A year. A longer bound would be a mistake in the unit.
const LARGEST_SECONDS: u64 = 366 * 86_400;
/// DER of an Ed25519 SubjectPublicKeyInfo up to the key (RFC 8410).
const ED25519_SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

pub(super) fn check(policy: &Policy) -> Result<(), PolicyError> {
    check_source(policy)?;
    let mut names = BTreeSet::new();
    let mut uses = Uses::default();
    if policy.packs.is_empty() {
        return Err(value("[[pack]]", "name at least one identity and environment"));
    }
    for pack in &policy.packs {
        let at = place(pack);
        if !names.insert((&pack.identity, &pack.environment)) {
            return Err(PolicyError::Duplicate { what: at });
        }
        check_pack(policy, pack, &at)?;
        check_uses(&mut uses, pack)?;
    }
    Ok(())
}

fn check_source(policy: &Policy) -> Result<(), PolicyError> {
    let source = &policy.source;
    let printable = |text: &str| !text.is_empty() && !text.chars().any(char::is_control) && text.trim() == text;
    if !printable(&source.repository) {
        return Err(value("[source] repository", "must be one line of text without surrounding space"));
    }
    match source.object_format.as_str() {
        "sha1" => {}
        "sha256" => return Err(PolicyError::NotSupported { at: "[source] object_format = \"sha256\"".into() }),
        _ => return Err(value("[source] object_format", "must be \"sha1\" or \"sha256\"")),
    }
    let components = source.manifest.split('/');
    if components.into_iter().any(|part| part.is_empty() || part == "." || part == "..") {
        return Err(value("[source] manifest", "must be a path inside the repository"));
    }
    let (mut names, mut keys) = (BTreeSet::new(), BTreeSet::new());
    for signer in &source.signers {
        let at = format!("[[source.signer]] {}", signer.name);
        if !printable(&signer.name) || !printable(&signer.principal) {
            return Err(value(&at, "name and principal must be one line of text"));
        }
        let mut words = signer.ssh.split_ascii_whitespace();
        let (kind, blob) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if kind != "ssh-ed25519" {
            let reason = format!("key type {kind:?} is not supported by this version; use ssh-ed25519");
            return Err(value(&at, &reason));
        }
        if BASE64_STANDARD.decode(blob).map(|blob| blob.len()).unwrap_or_default() != 51 {
            return Err(value(&at, "ssh must be a public key line: ssh-ed25519 AAAA…"));
        }
        if !names.insert(&signer.name) {
            return Err(PolicyError::Duplicate { what: at });
        }
        if !keys.insert(blob.to_owned()) {
            return Err(PolicyError::Duplicate { what: format!("the SSH key of {at}") });
        }
    }
    Ok(())
}

fn check_pack(policy: &Policy, pack: &Pack, at: &str) -> Result<(), PolicyError> {
    if !is_name(&pack.identity) || !is_name(&pack.environment) {
        return Err(value(at, "identity and environment are names of lower-case letters, digits, - and _"));
    }
    if pack.namespaces.is_empty() || !pack.namespaces.iter().all(|name| is_name(name)) {
        return Err(value(&format!("{at}: namespaces"), "must list names of lower-case letters, digits, - and _"));
    }
    if pack.namespaces.iter().collect::<BTreeSet<_>>().len() != pack.namespaces.len() {
        return Err(PolicyError::Duplicate { what: format!("{at}: a namespace") });
    }
    if pack.signers.is_empty() {
        return Err(value(
            &format!("{at}: signers"),
            "must name at least one [[source.signer]]; there is no unsigned mode",
        ));
    }
    for name in &pack.signers {
        if !policy.source.signers.iter().any(|signer| signer.name == *name) {
            return Err(PolicyError::UnknownSigner { at: at.to_owned(), name: name.clone() });
        }
    }
    for (key, seconds) in
        [("max_ttl_seconds", pack.max_ttl_seconds), ("max_commit_age_seconds", pack.max_commit_age_seconds)]
    {
        if seconds == 0 || seconds > LARGEST_SECONDS {
            return Err(value(&format!("{at}: {key}"), "must be 1 second to 366 days"));
        }
    }
    for arn in arns(pack) {
        check_arn(at, arn)?;
    }
    for recipient in recipients(pack) {
        let body = recipient.strip_prefix("age1").unwrap_or_default();
        if body.len() != 58 || !body.bytes().all(|b| b"qpzry9x8gf2tvdw0s3jn54khce6mua7l".contains(&b)) {
            return Err(value(at, &format!("{recipient:?} is not an age X25519 recipient (age1… of 62 characters)")));
        }
    }
    if let Some(key) = &pack.signer.public_key {
        let der = BASE64_STANDARD.decode(key).unwrap_or_default();
        if der.len() != 44 || !der.starts_with(&ED25519_SPKI_PREFIX) {
            return Err(value(
                &format!("{at}: signer.public_key"),
                "must be an Ed25519 SPKI, DER, base64 (MCowBQYDK2VwAyEA…)",
            ));
        }
    }
    Ok(())
}

/// A full key ARN, not an alias; no multi-Region key, whose replicas have key policies of their own.
fn check_arn(at: &str, arn: &str) -> Result<(), PolicyError> {
    let parts: Vec<&str> = arn.split(':').collect();
    let id = match parts.as_slice() {
        ["arn", partition, "kms", region, account, resource]
            if (*partition == "aws" || partition.starts_with("aws-"))
                && !region.is_empty()
                && region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                && account.len() == 12
                && account.bytes().all(|b| b.is_ascii_digit()) =>
        {
            resource.strip_prefix("key/")
        }
        _ => None,
    };
    let shaped = |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    match id {
        Some(id) if id.starts_with("mrk-") => {
            Err(value(at, &format!("{arn} is a multi-Region key; its replicas have key policies of their own")))
        }
        Some(id) if shaped(id) => Ok(()),
        _ => Err(value(at, &format!("{arn:?} is not a full KMS key ARN (arn:aws:kms:REGION:ACCOUNT:key/ID)"))),
    }
}

/// For each key: environment, purpose and where it was first used.
#[derive(Default)]
struct Uses<'a>(BTreeMap<&'a str, (&'a str, &'static str, String)>);

fn check_uses<'a>(uses: &mut Uses<'a>, pack: &'a Pack) -> Result<(), PolicyError> {
    let mut claim = |key: &'a str, purpose: &'static str, shareable: bool| {
        let here = format!("{} ({purpose})", place(pack));
        match uses.0.get(key) {
            None => {
                uses.0.insert(key, (&pack.environment, purpose, here));
                Ok(())
            }
            Some((environment, other, _)) if *environment == pack.environment && *other == purpose && shareable => {
                Ok(())
            }
            Some((_, _, first)) => Err(PolicyError::Shared { key: key.to_owned(), first: first.clone(), second: here }),
        }
    };
    match &pack.cell_keys {
        CellKeys::Kms(keys) => {
            for (index, key) in keys.iter().enumerate() {
                if keys.iter().skip(index.saturating_add(1)).any(|other| other.arn == key.arn) {
                    return Err(PolicyError::Duplicate { what: format!("{}: decrypt {}", place(pack), key.arn) });
                }
                claim(&key.arn, "decrypt", true)?;
            }
        }
        CellKeys::Sealed { kms, recipient } => {
            claim(kms, "unseal", true)?;
            if let Some(recipient) = recipient {
                claim(recipient, "unseal recipient", false)?;
            }
        }
    }
    match &pack.target {
        Target::Kms(arn) => claim(arn, "envelope", true)?,
        Target::Age(recipient) => claim(recipient, "recipient", true)?,
    }
    claim(&pack.signer.kms, "signer", true)?;
    match &pack.signer.public_key {
        Some(key) => claim(key, "signer public key", false),
        None => Ok(()),
    }
}

fn arns(pack: &Pack) -> Vec<&str> {
    let mut arns = vec![pack.signer.kms.as_str()];
    match &pack.cell_keys {
        CellKeys::Kms(keys) => arns.extend(keys.iter().map(|key| key.arn.as_str())),
        CellKeys::Sealed { kms, .. } => arns.push(kms),
    }
    if let Target::Kms(arn) = &pack.target {
        arns.push(arn);
    }
    arns
}

fn recipients(pack: &Pack) -> Vec<&str> {
    let mut recipients = Vec::new();
    if let CellKeys::Sealed { recipient: Some(recipient), .. } = &pack.cell_keys {
        recipients.push(recipient.as_str());
    }
    if let Target::Age(recipient) = &pack.target {
        recipients.push(recipient);
    }
    recipients
}

fn is_name(name: &str) -> bool {
    let tail = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    name.len() <= 63
        && name.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && name.bytes().all(tail)
}

fn place(pack: &Pack) -> String {
    format!("[[pack]] {}/{}", pack.identity, pack.environment)
}

fn value(at: &str, reason: &str) -> PolicyError {
    PolicyError::Value { at: at.to_owned(), reason: reason.to_owned() }
}
