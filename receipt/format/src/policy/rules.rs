//! Rules over a whole policy.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine, prelude::BASE64_STANDARD};

use super::{CellKeys, Pack, Policy, PolicyError, Target};

/// A year. A longer bound would be a mistake in the unit.
const LARGEST_SECONDS: u64 = 366 * 86_400;
/// DER of an Ed25519 SubjectPublicKeyInfo up to the key (RFC 8410).
const ED25519_SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// An SSH key blob up to the key: the type as a string, then the key's length (RFC 8709).
const SSH_ED25519_PREFIX: [u8; 19] = *b"\0\0\0\x0bssh-ed25519\0\0\0\x20";
/// It enters every encryption context, and KMS bounds a context at 8192 bytes.
const MAX_REPOSITORY_BYTES: usize = 1024;
const MAX_NAME_BYTES: usize = 256;
/// 2^255 − 19, big endian.
const FIELD_PRIME: [u8; 32] = {
    let mut prime = [0xff; 32];
    prime[0] = 0x7f;
    prime[31] = 0xed;
    prime
};

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
    if !is_line(&source.repository, MAX_REPOSITORY_BYTES) {
        return Err(value("[source] repository", "must be one line of at most 1024 bytes without surrounding space"));
    }
    match source.object_format.as_str() {
        "sha1" => {}
        "sha256" => return Err(PolicyError::NotSupported { at: "[source] object_format = \"sha256\"".into() }),
        _ => return Err(value("[source] object_format", "must be \"sha1\" or \"sha256\"")),
    }
    let components = source.manifest.split('/');
    let outside = |part: &str| part.is_empty() || part == "." || part == ".." || part.eq_ignore_ascii_case(".git");
    if components.into_iter().any(outside) || source.manifest == ".packproof/repository" {
        return Err(value("[source] manifest", "must be the path of a file inside the repository"));
    }
    let (mut names, mut keys) = (BTreeSet::new(), BTreeSet::new());
    for signer in &source.signers {
        let at = format!("[[source.signer]] {}", signer.name);
        if !is_line(&signer.name, MAX_NAME_BYTES) || !is_line(&signer.principal, MAX_NAME_BYTES) {
            return Err(value(&at, "name and principal must be one line of text of at most 256 bytes"));
        }
        let mut words = signer.ssh.splitn(3, ' ');
        let (kind, blob) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if kind != "ssh-ed25519" {
            let reason = format!("key type {kind:?} is not supported by this version; use ssh-ed25519");
            return Err(value(&at, &reason));
        }
        let decoded = BASE64_STANDARD.decode(blob).unwrap_or_default();
        if decoded.len() != 51 || !decoded.starts_with(&SSH_ED25519_PREFIX) {
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
        if !is_recipient(recipient) {
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
///
/// The same grammar as the enclave's KMS client has, so that a policy that is accepted here can be used there.
fn check_arn(at: &str, arn: &str) -> Result<(), PolicyError> {
    let parts: Vec<&str> = arn.split(':').collect();
    let id = match parts.as_slice() {
        ["arn", partition, "kms", region, account, resource]
            if is_region(region)
                && *partition == partition_of(region)
                && account.len() == 12
                && account.bytes().all(|b| b.is_ascii_digit()) =>
        {
            resource.strip_prefix("key/")
        }
        _ => None,
    };
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    match id {
        Some(id) if id.starts_with("mrk-") => {
            Err(value(at, &format!("{arn} is a multi-Region key; its replicas have key policies of their own")))
        }
        Some(id) if (1..=64).contains(&id.len()) && id.bytes().all(plain) => Ok(()),
        _ => Err(value(at, &format!("{arn:?} is not a full KMS key ARN (arn:aws:kms:REGION:ACCOUNT:key/ID)"))),
    }
}

/// `eu-west-1`, `us-gov-east-1`: words of letters, then a number.
fn is_region(region: &str) -> bool {
    let mut words: Vec<&str> = region.split('-').collect();
    let number = words.pop().unwrap_or_default();
    let letters = |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
    region.len() <= 32
        && words.len() >= 2
        && words.iter().all(letters)
        && !number.is_empty()
        && number.bytes().all(|b| b.is_ascii_digit())
}

fn partition_of(region: &str) -> &'static str {
    match region {
        _ if region.starts_with("cn-") => "aws-cn",
        _ if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

/// One spelling for one key: bech32 with its checksum, and a point below the field's prime.
///
/// X25519 ignores the top bit and reduces, so another spelling of a recipient would be the same key under another
/// name, and rules that compare names would take one key for two.
fn is_recipient(text: &str) -> bool {
    let Ok((prefix, words, bech32::Variant::Bech32)) = bech32::decode(text) else { return false };
    let bytes: Result<[u8; 32], _> =
        bech32::FromBase32::from_base32(&words).map(Vec::try_into).unwrap_or(Err(Vec::new()));
    let Ok(mut point) = bytes else { return false };
    point.reverse();
    prefix == "age" && text.bytes().all(|b| !b.is_ascii_uppercase()) && point < FIELD_PRIME && point != [0; 32]
}

/// Text that a report can print: one line, no control characters, nothing that reorders or hides what stands beside it.
fn is_line(text: &str, max_bytes: usize) -> bool {
    let hides = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    !text.is_empty() && text.len() <= max_bytes && text.trim() == text && !text.chars().any(hides)
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
