//! How a Nitro document binds what the enclave states.
//!
//! `user_data = SHA-256(tag ‖ 0x00 ‖ body)`. The tag names the kind of document, so a document made for one purpose never
//! serves another, and no byte from outside enters `user_data` except hashed under a tag.

use sha2::{Digest, Sha256};

/// The four kinds of NSM document that the enclave makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentTag {
    /// Evidence of a receipt; body = SHA-256 of the pack statement's PAE, `public_key` = SPKI of the receipt key.
    Receipt,
    /// Answer to `attest`; body = the description's JSON bytes, `public_key` = SPKI of the receipt key.
    Describe,
    /// Shown to KMS only; body = empty, `public_key` = SPKI of the pack's RSA key. Never published.
    Kms,
    /// Birth certificate of a sealed key; body = the birth statement's JSON bytes, no `public_key`.
    Birth,
}

impl DocumentTag {
    /// The tag's bytes as hashed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Receipt => "packproof-receipt-v1",
            Self::Describe => "packproof-describe-v1",
            Self::Kms => "packproof-kms-v1",
            Self::Birth => "packproof-birth-v1",
        }
    }

    /// `user_data` for `body` under this tag, 32 bytes.
    pub fn user_data(self, body: &[u8]) -> [u8; 32] {
        Sha256::new().chain_update(self.as_str()).chain_update([0]).chain_update(body).finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf 'packproof-kms-v1\0' | sha256sum`
    #[test]
    fn user_data_is_the_documented_hash() {
        let expected: [u8; 32] = Sha256::digest(b"packproof-kms-v1\0").into();
        assert_eq!(DocumentTag::Kms.user_data(b""), expected);
        assert_ne!(DocumentTag::Kms.user_data(b"x"), DocumentTag::Birth.user_data(b"x"));
    }
}
