//! The signature of an artifact, as Clef's runtime checks it.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ED25519, UnparsedPublicKey, VerificationAlgorithm};
use base64::{Engine, prelude::BASE64_STANDARD};
use packproof_artifact::envelope::Artifact;

use super::OpenError;

/// DER of an Ed25519 SPKI up to the 32 bytes of the key (RFC 8410, 4).
const ED25519_SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// DER of a P-256 SPKI up to the 65 bytes of the uncompressed point (RFC 5480, 2), as KMS's GetPublicKey returns it.
const P256_SPKI: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// A public key; its type alone says how to verify, as in Clef.
pub(super) struct VerifyKey {
    algorithm: &'static dyn VerificationAlgorithm,
    key: Vec<u8>,
}

impl VerifyKey {
    /// Reads base64 of a DER SPKI.
    ///
    /// # Errors
    /// [`OpenError::SignerKey`].
    pub(super) fn parse(text: &str) -> Result<Self, OpenError> {
        let der = BASE64_STANDARD.decode(text).map_err(|_| OpenError::SignerKey)?;
        let ed25519 = der.strip_prefix(&ED25519_SPKI).filter(|key| key.len() == 32);
        let p256 = der.strip_prefix(&P256_SPKI).filter(|key| key.len() == 65 && key.starts_with(&[4]));
        let algorithm: (&'static dyn VerificationAlgorithm, &[u8]) = match (ed25519, p256) {
            (Some(key), _) => (&ED25519, key),
            (None, Some(key)) => (&ECDSA_P256_SHA256_ASN1, key),
            (None, None) => return Err(OpenError::SignerKey),
        };
        Ok(Self { algorithm: algorithm.0, key: algorithm.1.to_vec() })
    }

    /// Checks that this key signed the artifact. The hash of its ciphertext was checked before.
    ///
    /// # Errors
    /// [`OpenError::NotSigned`], [`OpenError::BadSignature`].
    pub(super) fn verify(&self, artifact: &Artifact) -> Result<(), OpenError> {
        let text = artifact.signature.as_deref().filter(|text| !text.is_empty()).ok_or(OpenError::NotSigned)?;
        let signature = BASE64_STANDARD.decode(text).map_err(|_| OpenError::BadSignature)?;
        let payload = artifact.signing_payload().map_err(|_| OpenError::BadSignature)?;
        let key = UnparsedPublicKey::new(self.algorithm, &self.key);
        key.verify(&payload, &signature).map_err(|_| OpenError::BadSignature)
    }
}
