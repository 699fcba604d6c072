//! SSH certificates: a key, who may use it and when, signed by a certificate authority.
//!
//! Source: OpenSSH's `PROTOCOL.certkeys`; `sshkey.c` (`cert_parse`, `sshkey_cert_check_authority`).

use super::error::{CertificateFlaw, SshSigError, printable};
use super::key::{KeyType, PublicKey};
use super::reader::Reader;

/// A certificate, of which nothing is verified yet.
pub(super) struct UnverifiedCertificate<'a> {
    /// The key that must have signed the certificate.
    pub(super) authority: PublicKey,
    terms: Terms,
    kind: u32,
    critical_options: &'a [u8],
    signed: &'a [u8],
    signature: &'a [u8],
}

/// What the authority says about the key.
pub(super) struct Terms {
    pub(super) serial: u64,
    pub(super) key_id: String,
    /// At least one.
    pub(super) principals: Vec<String>,
    /// The first second of its validity, since 1970.
    pub(super) valid_after: u64,
    /// The first second after its validity.
    pub(super) valid_before: u64,
}

impl<'a> UnverifiedCertificate<'a> {
    /// Reads a certificate for a key of type `key_type`. Returns that key too.
    pub(super) fn parse(key_type: KeyType, blob: &'a [u8]) -> Result<(PublicKey, Self), SshSigError> {
        let form = || SshSigError::InvalidCertificate(CertificateFlaw::Form);
        let mut reader = Reader(blob);
        let _type = reader.string().ok_or_else(form)?;
        let _nonce = reader.string().ok_or_else(form)?;
        let key = PublicKey::read(key_type, &mut reader)?;
        let serial = reader.u64().ok_or_else(form)?;
        let kind = reader.u32().ok_or_else(form)?;
        let key_id = reader.string().ok_or_else(form)?;
        let principals = reader.string().ok_or_else(form)?;
        let valid_after = reader.u64().ok_or_else(form)?;
        let valid_before = reader.u64().ok_or_else(form)?;
        let critical_options = reader.string().ok_or_else(form)?;
        // An extension allows more (a terminal, forwarding): nothing that a signature could need.
        let _extensions = reader.string().ok_or_else(form)?;
        let reserved = reader.string().ok_or_else(form)?;
        let authority = reader.string().ok_or_else(form)?;
        let signed = reader.taken_since(blob).ok_or_else(form)?;
        let signature = reader.string().ok_or_else(form)?;
        if !reader.is_empty() {
            return Err(form());
        }
        if !reserved.is_empty() {
            return Err(CertificateFlaw::Reserved.into());
        }
        let principals = parse_principals(principals)?;
        let terms = Terms { serial, key_id: text(key_id)?, principals, valid_after, valid_before };
        // A certificate is no key, so an authority that was itself certified is refused here.
        let authority = PublicKey::from_blob(authority)?;
        Ok((key, Self { authority, terms, kind, critical_options, signed, signature }))
    }

    /// Verifies that the authority made it, for a user's key, without conditions, and that it holds at all of `times`.
    ///
    /// Whether the authority may certify anything, and which of the principals count, is for the caller.
    pub(super) fn verify(self, times: &[u64]) -> Result<Terms, SshSigError> {
        /// `SSH2_CERT_TYPE_USER`; the other type is for hosts.
        const USER: u32 = 1;

        self.authority.verify(self.signed, self.signature).map_err(|error| match error {
            SshSigError::BadSignature => SshSigError::BadCertificateSignature,
            other => other,
        })?;
        if self.kind != USER {
            return Err(CertificateFlaw::NotForUsers.into());
        }
        if !self.critical_options.is_empty() {
            // None says anything about signed text: those that exist (`force-command`, `source-address`,
            // `verify-required`) restrict a login. One that is not understood must be refused.
            let name = Reader(self.critical_options).string().unwrap_or_default();
            return Err(SshSigError::CriticalOption { name: printable(name) });
        }
        let Terms { valid_after, valid_before, .. } = self.terms;
        match times.iter().find(|&&at| at < valid_after || at >= valid_before) {
            Some(&at) => Err(SshSigError::CertificateNotValid { at, valid_after, valid_before }),
            None => Ok(self.terms),
        }
    }
}

/// Reads strings up to the end.
fn parse_principals(list: &[u8]) -> Result<Vec<String>, SshSigError> {
    /// OpenSSH's `SSHKEY_CERT_MAX_PRINCIPALS`.
    const MAX_PRINCIPALS: usize = 256;

    let mut principals = Vec::new();
    let mut reader = Reader(list);
    while !reader.is_empty() {
        if principals.len() == MAX_PRINCIPALS {
            return Err(CertificateFlaw::TooManyPrincipals.into());
        }
        let principal = reader.string().ok_or(CertificateFlaw::Form)?;
        if principal.is_empty() {
            return Err(CertificateFlaw::NoPrincipal.into());
        }
        principals.push(text(principal)?);
    }
    // Once it meant everybody; OpenSSH's signatures never took it so.
    if principals.is_empty() { Err(CertificateFlaw::NoPrincipal.into()) } else { Ok(principals) }
}

/// Takes text that can be shown.
fn text(bytes: &[u8]) -> Result<String, SshSigError> {
    match str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => Ok(text.to_owned()),
        _ => Err(CertificateFlaw::Text.into()),
    }
}

#[cfg(test)]
mod tests;
