//! The key that answers are encrypted to.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeySize, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use packproof_secret::SecretBytes;
use sha2::{Digest, Sha256};

use crate::{KmsError, cms};

/// An RSA-2048 key pair made in the enclave; the private half never leaves it and is wiped by aws-lc on drop.
///
/// Has neither `Debug` nor `Clone`, and no way to write it out.
pub struct RecipientKey {
    private: OaepPrivateDecryptingKey,
    spki: Vec<u8>,
    id: [u8; 32],
}

impl RecipientKey {
    /// Makes a new key. Takes tens of milliseconds: make it ahead of the request.
    ///
    /// # Errors
    /// [`KmsError::KeyGeneration`] when aws-lc cannot make one.
    pub fn generate() -> Result<Self, KmsError> {
        PrivateDecryptingKey::generate(KeySize::Rsa2048)
            .map_err(|_| KmsError::KeyGeneration)
            .and_then(Self::from_private)
    }

    /// The public key, SubjectPublicKeyInfo in DER, 294 bytes: the attestation document's `public_key`.
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    fn from_private(private: PrivateDecryptingKey) -> Result<Self, KmsError> {
        let spki: PublicKeyX509Der<'_> = private.public_key().as_der().map_err(|_| KmsError::KeyGeneration)?;
        let spki = spki.as_ref().to_vec();
        let id = Sha256::digest(&spki).into();
        let private = OaepPrivateDecryptingKey::new(private).map_err(|_| KmsError::KeyGeneration)?;
        Ok(Self { private, spki, id })
    }

    /// Reads a PKCS #8 key: test vectors only.
    #[cfg(test)]
    pub(crate) fn from_pkcs8(der: &[u8]) -> Self {
        Self::from_private(PrivateDecryptingKey::from_pkcs8(der).unwrap()).unwrap()
    }

    /// Opens a `CiphertextForRecipient`, base64 taken off: for callers with a KMS client of their own, and for measuring.
    ///
    /// [`crate::Client`] has done so already. The message has no authentication of its own: whoever saw the public key can
    /// make one, so it must have come over TLS that ends in the enclave, in an answer with the right `KeyId` and without
    /// `Plaintext`.
    ///
    /// # Errors
    /// [`KmsError::RecipientCiphertextRefused`], whatever the cause.
    pub fn open(&self, message: &[u8]) -> Result<SecretBytes, KmsError> {
        cms::open(&self.private, &self.id, message).ok_or(KmsError::RecipientCiphertextRefused)
    }
}

/// The key and the attestation document that carries its public half: one per pack, for that pack's calls only.
pub struct Recipient {
    pub(crate) key: RecipientKey,
    pub(crate) document: Vec<u8>,
}

impl Recipient {
    /// Puts both together. `document` is the NSM document, COSE_Sign1, whose `public_key` is `key.spki_der()`; KMS
    /// checks that, not this crate: a document for another key gives answers that do not open.
    pub fn new(key: RecipientKey, document: Vec<u8>) -> Self {
        Self { key, document }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_key_has_294_bytes_and_is_new_each_time() {
        let (a, b) = (RecipientKey::generate().unwrap(), RecipientKey::generate().unwrap());
        assert_eq!((a.spki_der().len(), b.spki_der().len()), (294, 294));
        assert_ne!(a.spki_der(), b.spki_der());
    }
}
