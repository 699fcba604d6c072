//! Who may sign: OpenSSH's allowed signers.
//!
//! Source: `ssh-keygen(1)`, "ALLOWED SIGNERS"; `sshsig.c` (`check_allowed_keys_line`, `cert_filter_principals`).

use super::certificate::{Terms, UnverifiedCertificate};
use super::error::SshSigError;
use super::key::PublicKey;

/// One line of an allowed-signers file: a key that may sign, or whose certificates may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedSigner {
    /// The key.
    pub key: PublicKey,
    /// Whether the key is a certificate authority. Then it may not sign itself, only certify keys that do.
    pub cert_authority: bool,
    /// Of an authority: the principals it may certify, with `*` for any text and `?` for any one byte. A certificate
    /// must have at least one of them. Not looked at for a key that signs itself.
    pub principals: Vec<String>,
    /// The first second at which the key counts, since 1970.
    pub valid_after: Option<u64>,
    /// The last second at which the key counts.
    pub valid_before: Option<u64>,
}

impl AllowedSigner {
    /// A key that may sign at any time.
    pub const fn key(key: PublicKey) -> Self {
        Self { key, cert_authority: false, principals: Vec::new(), valid_after: None, valid_before: None }
    }

    /// An authority that may certify `principals` at any time.
    pub const fn authority(key: PublicKey, principals: Vec<String>) -> Self {
        Self { key, cert_authority: true, principals, valid_after: None, valid_before: None }
    }

    fn check_times(&self, times: &[u64]) -> Result<(), SshSigError> {
        let Self { valid_after, valid_before, .. } = *self;
        let is_outside = |at| valid_after.is_some_and(|after| at < after) || valid_before.is_some_and(|last| at > last);
        match times.iter().find(|&&at| is_outside(at)) {
            Some(&at) => Err(SshSigError::KeyNotValid { at, valid_after, valid_before }),
            None => Ok(()),
        }
    }
}

/// Whose signature was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The place of the key, or of its authority, among the allowed signers: the first that allows the signature.
    pub index: usize,
    /// The algorithm that signed the message, as SSH names it: `ssh-ed25519`, `rsa-sha2-512`.
    pub scheme: &'static str,
    /// The fingerprint of the key that signed. A certificate does not change it.
    pub fingerprint: String,
    /// How an authority certified the key, when the allowed signer is an authority.
    pub certificate: Option<Certified>,
}

/// What a certificate said about the key that signed; its authority's signature was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certified {
    /// The authority's fingerprint.
    pub authority_fingerprint: String,
    /// The authority's name for the certificate; may be empty.
    pub key_id: String,
    /// The authority's number for the certificate; 0 when it does not count.
    pub serial: u64,
    /// Those of its principals that the allowed signer lists, in the certificate's order; at least one.
    pub principals: Vec<String>,
    /// All of its principals: other names of the same person, for whoever counts people.
    pub all_principals: Vec<String>,
    /// The first second of its validity, since 1970.
    pub valid_after: u64,
    /// The first second after its validity.
    pub valid_before: u64,
}

/// Finds the first of `allowed` that is `key` itself and holds at all of `times`.
pub(super) fn find_key(key: &PublicKey, allowed: &[AllowedSigner], times: &[u64]) -> Result<usize, SshSigError> {
    let unknown = || SshSigError::UnknownSigner { fingerprint: key.fingerprint() };
    let candidates = allowed.iter().enumerate().filter(|(_, signer)| !signer.cert_authority && signer.key == *key);
    first_allowed(candidates.map(|(index, signer)| signer.check_times(times).map(|()| index)), unknown)
}

/// Finds the first of `allowed` that is the authority of `certificate`, holds at all of `times`, and lists one of its
/// principals.
pub(super) fn find_authority(
    certificate: UnverifiedCertificate<'_>,
    allowed: &[AllowedSigner],
    times: &[u64],
) -> Result<(usize, Certified), SshSigError> {
    let authority = certificate.authority.clone();
    let is_candidate = |signer: &AllowedSigner| signer.cert_authority && signer.key == authority;
    let unknown = || SshSigError::UnknownAuthority { fingerprint: authority.fingerprint() };
    // A stranger's certificate is not worth the work of its signature.
    if !allowed.iter().any(is_candidate) {
        return Err(unknown());
    }
    let terms = certificate.verify(times)?;
    let verdicts = allowed.iter().enumerate().filter(|(_, signer)| is_candidate(signer)).map(|(index, signer)| {
        signer.check_times(times)?;
        Ok((index, allowed_principals(&signer.principals, &terms)?))
    });
    let (index, principals) = first_allowed(verdicts, unknown)?;
    let Terms { serial, key_id, valid_after, valid_before, principals: all_principals, .. } = terms;
    let authority_fingerprint = authority.fingerprint();
    Ok((
        index,
        Certified { authority_fingerprint, key_id, serial, principals, all_principals, valid_after, valid_before },
    ))
}

/// The first that is allowed; else why the first is not; else, when there is none, `unknown`.
fn first_allowed<T>(
    verdicts: impl Iterator<Item = Result<T, SshSigError>>,
    unknown: impl FnOnce() -> SshSigError,
) -> Result<T, SshSigError> {
    let mut refusal = None;
    for verdict in verdicts {
        match verdict {
            Ok(found) => return Ok(found),
            Err(error) => refusal = refusal.or(Some(error)),
        }
    }
    Err(refusal.unwrap_or_else(unknown))
}

fn allowed_principals(patterns: &[String], terms: &Terms) -> Result<Vec<String>, SshSigError> {
    let is_allowed = |name: &&String| patterns.iter().any(|pattern| matches(pattern.as_bytes(), name.as_bytes()));
    let principals: Vec<_> = terms.principals.iter().filter(is_allowed).cloned().collect();
    if principals.is_empty() {
        return Err(SshSigError::WrongPrincipal { found: terms.principals.clone() });
    }
    Ok(principals)
}

/// OpenSSH's `match_pattern`: `*` is any text, `?` any byte. At most `pattern.len() * name.len()` steps.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut rest, mut left) = (pattern, name);
    // where to go on when the text behind the last star does not fit: one byte more goes to the star
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        match (rest, left) {
            ([b'*', tail @ ..], _) => {
                retry = Some((tail, left));
                rest = tail;
            }
            ([], []) => return true,
            ([want, tail @ ..], [byte, after @ ..]) if *want == b'?' || want == byte => {
                (rest, left) = (tail, after);
            }
            _ => {
                let Some((tail, [_, after @ ..])) = retry else { return false };
                retry = Some((tail, after));
                (rest, left) = (tail, after);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_openssh_means() {
        for (pattern, name, expected) in [
            ("alice@example.com", "alice@example.com", true),
            ("alice@example.com", "alice@example.co", false),
            ("alice@example.com", "alice@example.com ", false),
            ("alice@example.com", "Alice@example.com", false),
            ("*@example.com", "alice@example.com", true),
            ("*@example.com", "@example.com", true),
            ("*@example.com", "alice@example.com.evil", false),
            ("*@example.com", "a@b@example.com", true),
            ("a*b*c", "abbc", true),
            ("a*b*c", "acb", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*", "", true),
            ("**", "x", true),
            ("?*", "", false),
            ("", "", true),
            ("", "a", false),
            // no negation: it would be literal
            ("!alice", "bob", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
        // work stays bounded
        assert!(!matches("*a".repeat(500).as_bytes(), "a".repeat(499).as_bytes()));
    }
}
