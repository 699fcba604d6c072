//! The `Recipient` of a call: a verified attestation document and the RSA key inside it.

use std::collections::BTreeMap;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::{OaepPublicEncryptingKey, PublicEncryptingKey};
use packproof_receipt::time::UnixMillis;
use packproof_receipt_verify::evidence::verify_document;
use sha2::{Digest, Sha256};

use crate::cms;
use crate::error::ServiceError;

/// The longest `AttestationDocument` in KMS's service model.
pub(crate) const MAX_DOCUMENT_BYTES: usize = 262_144;
/// How far a document's timestamp may be from now. AWS states no limit below the leaf certificate's three hours;
/// live practice is five minutes.
const MAX_DOCUMENT_AGE_MS: u64 = 5 * 60 * 1000;
/// KMS documents RSA-2048 only.
const RSA_BITS: usize = 2048;

/// An enclave whose document was verified just now.
pub(crate) struct Recipient {
    pub(crate) module_id: String,
    pub(crate) pcrs: BTreeMap<u8, [u8; 48]>,
    key: OaepPublicEncryptingKey,
    key_id: [u8; 32],
}

impl Recipient {
    /// Verifies a document against the given root and takes the RSA key out of it.
    ///
    /// The chain is verified at the document's own time; that time must be close to `now`, and the leaf valid `now`.
    pub(crate) fn verify(document: &[u8], root_der: &[u8], now: UnixMillis) -> Result<Self, ServiceError> {
        let refused = |why: &str| ServiceError::validation(format!("The attestation document is refused: {why}"));
        if document.is_empty() || document.len() > MAX_DOCUMENT_BYTES {
            return Err(refused("its length is not between 1 and 262144 bytes"));
        }
        let document = verify_document(document, root_der).map_err(|error| refused(&error.to_string()))?;
        is_live(document.timestamp, document.leaf_not_before, document.leaf_not_after, now).map_err(refused)?;
        let spki = document.public_key.as_deref().ok_or_else(|| refused("it holds no public key"))?;
        let key =
            rsa_key(spki).ok_or_else(|| refused("its public key is not an RSA-2048 SubjectPublicKeyInfo in DER"))?;
        Ok(Self { module_id: document.module_id, pcrs: document.pcrs, key, key_id: Sha256::digest(spki).into() })
    }

    /// Encrypts `plaintext` so that only this enclave can read it.
    pub(crate) fn envelop(&self, plaintext: &[u8]) -> Result<Vec<u8>, ServiceError> {
        Ok(cms::envelop(&self.key, &self.key_id, plaintext)?)
    }
}

/// Whether a document of this time and leaf is good for a call now.
fn is_live(made: UnixMillis, from: UnixMillis, until: UnixMillis, now: UnixMillis) -> Result<(), &'static str> {
    if made.0.abs_diff(now.0) > MAX_DOCUMENT_AGE_MS {
        return Err("its timestamp is more than five minutes from now; ask the NSM for a new one");
    }
    // RFC 5280, 4.1.2.5: both ends are included, in whole seconds.
    if now.as_secs() < from.as_secs() || now.as_secs() > until.as_secs() {
        return Err("its leaf certificate is not valid now; ask the NSM for a new one");
    }
    Ok(())
}

/// Reads an RSA-2048 SPKI in its one DER encoding.
fn rsa_key(spki: &[u8]) -> Option<OaepPublicEncryptingKey> {
    let key = PublicEncryptingKey::from_der(spki).ok()?;
    let again: PublicKeyX509Der<'_> = key.as_der().ok()?;
    if again.as_ref() != spki || key.key_size_bits() != RSA_BITS {
        return None;
    }
    OaepPublicEncryptingKey::new(key).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::rsa::{KeySize, PrivateDecryptingKey};

    fn spki(size: KeySize) -> Vec<u8> {
        let key = PrivateDecryptingKey::generate(size).unwrap().public_key();
        let der: PublicKeyX509Der<'_> = key.as_der().unwrap();
        der.as_ref().to_vec()
    }

    #[test]
    fn takes_rsa_2048_in_its_one_encoding_only() {
        let good = spki(KeySize::Rsa2048);
        assert!(rsa_key(&good).is_some());
        assert!(rsa_key(&spki(KeySize::Rsa3072)).is_none());
        let mut trailing = good.clone();
        trailing.push(0);
        assert!(rsa_key(&trailing).is_none());
        // The outer length in a longer form than needed.
        let mut long_form = vec![0x30, 0x83, 0x00];
        long_form.extend_from_slice(&good[2..]);
        assert!(rsa_key(&long_form).is_none());
        assert!(rsa_key(b"").is_none());
    }

    #[test]
    fn a_document_is_live_for_five_minutes_and_while_its_leaf_is_valid() {
        let at = |seconds: u64| UnixMillis(1_800_000_000_000 + seconds * 1000);
        let live = |made, now| is_live(at(made), at(1000), at(2000), now).is_ok();
        assert!(live(1300, at(1600)) && live(1300, at(1000)) && live(1900, at(2000)));
        assert!(!live(1300, at(1600).saturating_add_millis(1)) && !live(1300, at(1000).saturating_sub_millis(1)));
        assert!(!live(1900, at(2001)) && !live(1100, at(999)));
    }

    #[test]
    fn refuses_what_is_not_a_document() {
        for garbage in [&b""[..], b"\x84", &[0x84; 5000], &vec![0; MAX_DOCUMENT_BYTES + 1]] {
            let error = Recipient::verify(garbage, b"root", UnixMillis(0)).map(|_| ()).unwrap_err();
            assert_eq!(error.code, "ValidationException");
        }
    }
}
