//! The sealed key file that travels with each pack, and its birth certificate.
//!
//! The file holds no key: `blob` is the CiphertextBlob of an attested `GenerateDataKey`, which only images that the
//! sealing key's policy names can open; the private key is derived from it inside the enclave (`packproof_kms::sealed`).

use serde::{Deserialize, Serialize};

/// A sealed key as a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedKey {
    /// Always 1.
    pub schema: u32,
    /// CiphertextBlob, standard base64.
    pub blob: String,
    /// What it is, as stated inside the enclave: the JSON bytes of a [`BirthStatement`], as text.
    pub birth_statement: String,
    /// Nitro document under tag `birth` over exactly those bytes, standard base64.
    pub birth_document: String,
}

/// What an enclave says of a key that was born in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BirthStatement {
    /// `signer` or `age-key`.
    pub purpose: String,
    /// The policy's repository.
    pub repository: String,
    /// Clef's identity.
    pub identity: String,
    /// Clef's environment.
    pub environment: String,
    /// ARN of the sealing key.
    pub kms_key_arn: String,
    /// Request id of the `GenerateDataKey`.
    pub kms_request_id: String,
    /// SHA-256 of the blob, hex.
    pub blob_sha256: String,
    /// `signer`: Ed25519 SPKI, DER, base64; `age-key`: the recipient `age1…`.
    pub public_key: String,
    /// SHA-256 of the policy it was born under, hex.
    pub policy_sha256: String,
    /// RFC 3339, NSM time.
    pub born_on: String,
}
