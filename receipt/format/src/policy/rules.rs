//! Rules over a whole policy.

use std::collections::BTreeSet;

use base64::{Engine, prelude::BASE64_STANDARD};

use super::{
    Approvals, Pack, Policy, PolicyError, SourceSigner,
    keys::{Uses, arns, check_arn, check_uses, is_recipient, recipients},
    ssh,
};

/// A year. A longer bound would be a mistake in the unit.
const LARGEST_SECONDS: u64 = 366 * 86_400;
/// DER of an Ed25519 SubjectPublicKeyInfo up to the key (RFC 8410).
const ED25519_SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// It enters every encryption context, and KMS bounds a context at 8192 bytes.
const MAX_REPOSITORY_BYTES: usize = 1024;
const MAX_NAME_BYTES: usize = 256;
/// A larger threshold is a mistake.
const MAX_APPROVALS: usize = 32;
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
        "sha1" | "sha256" => {}
        _ => return Err(value("[source] object_format", "must be \"sha1\" or \"sha256\"")),
    }
    if !is_inside(&source.manifest) || source.manifest == ".packproof/repository" {
        return Err(value("[source] manifest", "must be the path of a file inside the repository"));
    }
    let (mut names, mut keys) = (BTreeSet::new(), BTreeSet::new());
    for signer in &source.signers {
        let at = format!("[[source.signer]] {}", signer.name);
        if !is_line(&signer.name, MAX_NAME_BYTES) || !is_line(&signer.principal, MAX_NAME_BYTES) {
            return Err(value(&at, "name and principal must be one line of text of at most 256 bytes"));
        }
        let blob = ssh::blob(&signer.ssh).map_err(|reason| value(&at, &reason))?;
        check_principal(signer).map_err(|reason| value(&at, reason))?;
        if let (Some(after), Some(before)) = (signer.valid_after, signer.valid_before)
            && after >= before
        {
            return Err(value(&at, "valid_after must be before valid_before"));
        }
        if !names.insert(&signer.name) {
            return Err(PolicyError::Duplicate { what: at });
        }
        if !keys.insert(blob) {
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
    if let Some(approvals) = &pack.approvals {
        check_approvals(policy, approvals, at)?;
    }
    check_schemas(pack, at)?;
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

/// A key is one person's, so its principal is a name; an authority's is patterns. OpenSSH's negation is not taken: a
/// pattern that looked like an exception and was none would let somebody in.
fn check_principal(signer: &SourceSigner) -> Result<(), &'static str> {
    let principal = &signer.principal;
    if principal.contains('!') {
        return Err("a principal has no !: exceptions are not supported, list who may");
    }
    if !signer.cert_authority {
        let is_name = !principal.contains([',', '*', '?']);
        return if is_name {
            Ok(())
        } else {
            Err("patterns are for authorities: say cert_authority = true, or name one person")
        };
    }
    let is_pattern = |pattern: &str| !pattern.is_empty() && pattern.trim() == pattern;
    if principal.split(',').all(is_pattern) {
        Ok(())
    } else {
        Err("the principal of an authority is one or more patterns, separated by commas without space")
    }
}

/// Enough people must be named, or nothing could ever be packed.
fn check_approvals(policy: &Policy, approvals: &Approvals, at: &str) -> Result<(), PolicyError> {
    let at = format!("{at}: approvals");
    let mut people = BTreeSet::new();
    let mut names = BTreeSet::new();
    let mut has_authority = false;
    for name in &approvals.from {
        let Some(signer) = policy.source.signers.iter().find(|signer| signer.name == *name) else {
            return Err(PolicyError::UnknownSigner { at, name: name.clone() });
        };
        if !names.insert(name) {
            return Err(PolicyError::Duplicate { what: format!("{at}: {name}") });
        }
        has_authority |= signer.cert_authority;
        people.insert(&signer.principal);
    }
    if approvals.threshold == 0 || approvals.threshold > MAX_APPROVALS {
        return Err(value(&at, &format!("threshold must be 1 to {MAX_APPROVALS}")));
    }
    if !has_authority && people.len() < approvals.threshold {
        return Err(value(&at, "fewer principals are named in from than threshold asks for"));
    }
    Ok(())
}

fn check_schemas(pack: &Pack, at: &str) -> Result<(), PolicyError> {
    let hex = |digest: &str| digest.len() == 64 && digest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    // a file that is a cell's sidecar too would stand twice in a receipt
    let wrong = |path: &str| !is_inside(path) || path.ends_with(".clef-meta.yaml");
    match pack.schemas.iter().find(|(path, digest)| wrong(path) || !hex(digest)) {
        Some((path, _)) => Err(value(
            &format!("{at}: schemas {path:?}"),
            "must be the path of a file inside the repository and its SHA-256 in 64 lower-case hex digits",
        )),
        None => Ok(()),
    }
}

/// A path that cannot leave the repository.
fn is_inside(path: &str) -> bool {
    let outside = |part: &str| part.is_empty() || part == "." || part == ".." || part.eq_ignore_ascii_case(".git");
    !path.split('/').any(outside)
}

/// Text that a report can print: one line, no control characters, nothing that reorders or hides what stands beside it.
fn is_line(text: &str, max_bytes: usize) -> bool {
    let hides = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    !text.is_empty() && text.len() <= max_bytes && text.trim() == text && !text.chars().any(hides)
}

fn is_name(name: &str) -> bool {
    let tail = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    name.len() <= 63
        && name.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && name.bytes().all(tail)
}

pub(super) fn place(pack: &Pack) -> String {
    format!("[[pack]] {}/{}", pack.identity, pack.environment)
}

pub(super) fn value(at: &str, reason: &str) -> PolicyError {
    PolicyError::Value { at: at.to_owned(), reason: reason.to_owned() }
}
