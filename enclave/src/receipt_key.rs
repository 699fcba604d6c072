//! The receipt key: ECDSA P-256, made at boot, never leaves memory, signs receipts and nothing else.
//!
//! P-256 because cosign takes an Ed25519 key for Ed25519ph.

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use packproof_receipt::bundle;

/// The key of this boot.
pub struct ReceiptKey {
    pair: EcdsaKeyPair,
    spki: Vec<u8>,
}

/// aws-lc refused to make or use a key: the random generator or memory failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiptKeyError;

impl std::fmt::Display for ReceiptKeyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the receipt key could not be made or used; restart the enclave")
    }
}

impl std::error::Error for ReceiptKeyError {}

impl ReceiptKey {
    /// Makes a key.
    ///
    /// # Errors
    /// [`ReceiptKeyError`].
    pub fn generate() -> Result<Self, ReceiptKeyError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(|_| ReceiptKeyError)?;
        let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(|_| ReceiptKeyError)?;
        let spki = spki.as_ref().to_vec();
        Ok(Self { pair, spki })
    }

    /// SubjectPublicKeyInfo, DER.
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// Signs a statement's PAE and makes a line of a receipt of it.
    ///
    /// # Errors
    /// [`ReceiptKeyError`].
    pub fn sign_line(&self, statement: &[u8]) -> Result<String, ReceiptKeyError> {
        let pae = bundle::pae(bundle::PAYLOAD_TYPE, statement);
        let signature = self.pair.sign(&SystemRandom::new(), &pae).map_err(|_| ReceiptKeyError)?;
        Ok(bundle::line(statement, signature.as_ref(), &self.spki))
    }
}
