//! P-384 keys: one kind signs certificates, the other documents.

use aws_lc_rs::digest::{self, SHA384};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P384_SHA384_FIXED, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
    UnparsedPublicKey,
};
use aws_nitro_enclaves_cose::CoseSign1;
use aws_nitro_enclaves_cose::crypto::{Hash, MessageDigest, SignatureAlgorithm, SigningPrivateKey, SigningPublicKey};
use aws_nitro_enclaves_cose::error::CoseError;
use aws_nitro_enclaves_cose::header_map::HeaderMap;
use zeroize::Zeroizing;

use crate::LocalNsmError;

/// Key of an authority. Its signatures are in the form of certificates (DER).
pub(crate) struct AuthorityKey(EcdsaKeyPair);

impl AuthorityKey {
    pub(crate) fn generate() -> Result<Self, LocalNsmError> {
        EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING)
            .map(Self)
            .map_err(|_| LocalNsmError::Crypto { operation: "making a P-384 key" })
    }

    pub(crate) fn from_pkcs8(der: &[u8]) -> Result<Self, LocalNsmError> {
        EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_ASN1_SIGNING, der)
            .map(Self)
            .map_err(|_| LocalNsmError::RootUnusable { reason: "its key is not a P-384 key in PKCS#8" })
    }

    pub(crate) fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, LocalNsmError> {
        let document = self.0.to_pkcs8v1().map_err(|_| LocalNsmError::Crypto { operation: "encoding a P-384 key" })?;
        Ok(Zeroizing::new(document.as_ref().to_vec()))
    }

    /// Uncompressed point.
    pub(crate) fn point(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    /// ECDSA-Sig-Value over `message`.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, LocalNsmError> {
        sign(&self.0, message)
    }
}

/// Key of a leaf. Its signatures are in the form of COSE (r and s, 48 bytes each).
pub(crate) struct LeafKey(EcdsaKeyPair);

impl LeafKey {
    pub(crate) fn generate() -> Result<Self, LocalNsmError> {
        EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING)
            .map(Self)
            .map_err(|_| LocalNsmError::Crypto { operation: "making a P-384 key" })
    }

    /// Uncompressed point.
    pub(crate) fn point(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    /// r and s over `message`.
    pub(crate) fn sign_message(&self, message: &[u8]) -> Result<Vec<u8>, LocalNsmError> {
        sign(&self.0, message)
    }

    /// The untagged `COSE_Sign1` of `payload`, made by AWS's crate.
    pub(crate) fn sign_document(&self, payload: &[u8]) -> Result<Vec<u8>, LocalNsmError> {
        CoseSign1::new::<Sha384>(payload, &HeaderMap::new(), self)
            .and_then(|document| document.as_bytes(false))
            .map_err(|_| LocalNsmError::Crypto { operation: "signing a document" })
    }
}

fn sign(key: &EcdsaKeyPair, message: &[u8]) -> Result<Vec<u8>, LocalNsmError> {
    key.sign(&SystemRandom::new(), message)
        .map(|signature| signature.as_ref().to_vec())
        .map_err(|_| LocalNsmError::Crypto { operation: "signing" })
}

/// The hash that AWS's crate asks for; the profile has one.
struct Sha384;

impl Hash for Sha384 {
    fn hash(digest: MessageDigest, data: &[u8]) -> Result<Vec<u8>, CoseError> {
        match digest {
            MessageDigest::Sha384 => Ok(digest::digest(&SHA384, data).as_ref().to_vec()),
            _ => Err(CoseError::UnimplementedError),
        }
    }
}

impl SigningPublicKey for LeafKey {
    fn get_parameters(&self) -> Result<(SignatureAlgorithm, MessageDigest), CoseError> {
        Ok((SignatureAlgorithm::ES384, MessageDigest::Sha384))
    }

    fn verify(&self, digest: &[u8], signature: &[u8]) -> Result<bool, CoseError> {
        let digest = import(digest)?;
        Ok(UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, self.point()).verify_digest(&digest, signature).is_ok())
    }
}

impl SigningPrivateKey for LeafKey {
    fn sign(&self, digest: &[u8]) -> Result<Vec<u8>, CoseError> {
        let signature = self.0.sign_digest(&import(digest)?);
        signature.map(|signature| signature.as_ref().to_vec()).map_err(|_| CoseError::UnimplementedError)
    }
}

fn import(digest: &[u8]) -> Result<digest::Digest, CoseError> {
    digest::Digest::import_less_safe(digest, &SHA384).map_err(|_| CoseError::UnimplementedError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_read_by_the_crate_of_aws() {
        let key = LeafKey::generate().unwrap();
        let bytes = key.sign_document(b"payload").unwrap();
        assert_eq!(bytes[..7], [0x84, 0x44, 0xa1, 0x01, 0x38, 0x22, 0xa0]);
        let document = CoseSign1::from_bytes(&bytes).unwrap();
        assert!(document.verify_signature::<Sha384>(&key).unwrap());
        assert!(!document.verify_signature::<Sha384>(&LeafKey::generate().unwrap()).unwrap());
    }

    #[test]
    fn authority_keys_survive_storage() {
        let key = AuthorityKey::generate().unwrap();
        let loaded = AuthorityKey::from_pkcs8(&key.to_pkcs8().unwrap()).unwrap();
        assert_eq!(loaded.point(), key.point());
        assert!(AuthorityKey::from_pkcs8(b"no key").is_err());
    }
}
