//! Sealed keys: private keys that exist only inside attested enclaves.
//!
//! What travels is the `CiphertextBlob` of an attested `GenerateDataKey` under the context [`SealContext::to_map`]; the
//! private key is derived from the data key. So there is no format or cipher of our own, and nobody who may only call
//! `Encrypt` under the key can forge one: the data key they chose would have to give the pinned public key.

use std::collections::BTreeMap;

use aws_lc_rs::hkdf;
use packproof_secret::Secret;

/// What a sealed key is for. Part of its encryption context and of its derivation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// The Ed25519 key that signs artifacts; the derived bytes are the RFC 8032 seed.
    Signer,
    /// The X25519 age key that SOPS cells are encrypted to; the derived bytes are the scalar.
    AgeKey,
}

impl Purpose {
    /// `signer` or `age-key`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Signer => "signer",
            Self::AgeKey => "age-key",
        }
    }
}

/// What a sealed key is bound to. All four come from the measured policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealContext<'a> {
    /// What the key is for.
    pub purpose: Purpose,
    /// The repository, as the policy writes it.
    pub repository: &'a str,
    /// The service identity.
    pub identity: &'a str,
    /// The environment.
    pub environment: &'a str,
}

impl SealContext<'_> {
    /// The encryption context: exactly the keys `purpose`, `repository`, `identity`, `environment`.
    pub fn to_map(&self) -> BTreeMap<String, String> {
        [
            ("purpose", self.purpose.as_str()),
            ("repository", self.repository),
            ("identity", self.identity),
            ("environment", self.environment),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
    }
}

/// Derives the private key: HKDF-SHA256 of the data key with salt `packproof-sealed-v1` and the purpose as info.
///
/// Source: RFC 5869; `SPEC.md`, "Sealed keys", has known answers.
pub fn derive_private_key(data_key: &Secret<32>, purpose: Purpose) -> Secret<32> {
    let info = [purpose.as_str().as_bytes()];
    let derived = Secret::fill(|out| {
        hkdf::Salt::new(hkdf::HKDF_SHA256, SALT)
            .extract(data_key.expose())
            .expand(&info, hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(out))
    });
    match derived {
        Ok(key) => key,
        Err(_) => unreachable!("one block of HKDF-SHA256 is 32 bytes, which is what is asked for"),
    }
}

/// Separates these derivations from any other use of the same data key.
const SALT: &[u8] = b"packproof-sealed-v1";

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with Python's `hmac` and `hashlib`, RFC 5869 written out.
    #[test]
    fn derives_the_known_answers() {
        let data_key = Secret::copy_from(&(0..32).collect::<Vec<u8>>()).unwrap();
        assert_eq!(
            hex::encode(derive_private_key(&data_key, Purpose::Signer).expose()),
            "37b058227308de34fa648b0d3fa8e3b6ddc79456e08d78207f193cd234f3e0d6"
        );
        assert_eq!(
            hex::encode(derive_private_key(&data_key, Purpose::AgeKey).expose()),
            "032bb0d38ca19d548d70a88f8c72a5862a63d50a4426091d05001c50f349b9ea"
        );
    }

    #[test]
    fn the_context_has_exactly_four_pairs() {
        let context = SealContext {
            purpose: Purpose::AgeKey,
            repository: "https://git.acme.example/platform/secrets",
            identity: "checkout",
            environment: "production",
        };
        let map = context.to_map();
        let pairs: Vec<_> = map.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(
            pairs,
            [
                ("environment", "production"),
                ("identity", "checkout"),
                ("purpose", "age-key"),
                ("repository", "https://git.acme.example/platform/secrets"),
            ]
        );
    }
}
