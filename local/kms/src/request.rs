//! The members of each operation's request, as KMS's service model names them.
//!
//! A member that the local KMS does not know is refused, not passed over, and so is one given twice.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::encoding::Blob;
use crate::error::ServiceError;
use crate::json::TextMap;

/// KMS's limits on blobs, in bytes (service model).
const MAX_PLAINTEXT_BYTES: usize = 4096;
const MAX_CIPHERTEXT_BYTES: usize = 6144;
/// AWS bounds the encryption context by 8 KiB.
const MAX_CONTEXT_BYTES: usize = 8192;
/// The only algorithm of a symmetric key.
pub(crate) const SYMMETRIC_DEFAULT: &str = "SYMMETRIC_DEFAULT";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct Encrypt {
    pub(crate) key_id: Option<String>,
    pub(crate) plaintext: Option<Blob>,
    pub(crate) encryption_context: Option<TextMap>,
    pub(crate) encryption_algorithm: Option<String>,
    pub(crate) grant_tokens: Option<Vec<String>>,
    pub(crate) dry_run: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct Decrypt {
    pub(crate) ciphertext_blob: Option<Blob>,
    pub(crate) key_id: Option<String>,
    pub(crate) encryption_context: Option<TextMap>,
    pub(crate) encryption_algorithm: Option<String>,
    pub(crate) recipient: Option<RecipientInfo>,
    pub(crate) grant_tokens: Option<Vec<String>>,
    pub(crate) dry_run: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct GenerateDataKey {
    pub(crate) key_id: Option<String>,
    pub(crate) encryption_context: Option<TextMap>,
    pub(crate) key_spec: Option<String>,
    pub(crate) number_of_bytes: Option<usize>,
    pub(crate) recipient: Option<RecipientInfo>,
    pub(crate) grant_tokens: Option<Vec<String>>,
    pub(crate) dry_run: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct GenerateDataKeyWithoutPlaintext {
    pub(crate) key_id: Option<String>,
    pub(crate) encryption_context: Option<TextMap>,
    pub(crate) key_spec: Option<String>,
    pub(crate) number_of_bytes: Option<usize>,
    pub(crate) grant_tokens: Option<Vec<String>>,
    pub(crate) dry_run: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct GenerateRandom {
    pub(crate) number_of_bytes: Option<usize>,
    pub(crate) custom_key_store_id: Option<String>,
    pub(crate) recipient: Option<RecipientInfo>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ReEncrypt {
    pub(crate) ciphertext_blob: Option<Blob>,
    pub(crate) source_key_id: Option<String>,
    pub(crate) source_encryption_context: Option<TextMap>,
    pub(crate) source_encryption_algorithm: Option<String>,
    pub(crate) destination_key_id: Option<String>,
    pub(crate) destination_encryption_context: Option<TextMap>,
    pub(crate) destination_encryption_algorithm: Option<String>,
    pub(crate) grant_tokens: Option<Vec<String>>,
    pub(crate) dry_run: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateAlias {
    pub(crate) alias_name: Option<String>,
    pub(crate) target_key_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ListAliases {
    pub(crate) key_id: Option<String>,
    pub(crate) limit: Option<usize>,
    pub(crate) marker: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct RecipientInfo {
    pub(crate) attestation_document: Option<Blob>,
    pub(crate) key_encryption_algorithm: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeKey {
    pub(crate) key_id: Option<String>,
    pub(crate) grant_tokens: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct GetKeyPolicy {
    pub(crate) key_id: Option<String>,
    pub(crate) policy_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct PutKeyPolicy {
    pub(crate) key_id: Option<String>,
    pub(crate) policy_name: Option<String>,
    pub(crate) policy: Option<String>,
    pub(crate) bypass_policy_lockout_safety_check: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateKey {
    pub(crate) policy: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) key_usage: Option<String>,
    pub(crate) key_spec: Option<String>,
    pub(crate) customer_master_key_spec: Option<String>,
    pub(crate) origin: Option<String>,
    pub(crate) multi_region: Option<bool>,
    pub(crate) bypass_policy_lockout_safety_check: Option<bool>,
    pub(crate) tags: Option<Vec<serde::de::IgnoredAny>>,
}

/// Reads a request body. The message names a place, never a value: a value may be plaintext.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ServiceError> {
    serde_json::from_slice(body).map_err(|error| {
        let what = if error.is_data() {
            "a member is unknown to the local KMS, given twice, or of a wrong type"
        } else {
            "the body is not JSON"
        };
        let place = format!("line {} column {}", error.line(), error.column());
        ServiceError::new("SerializationException", format!("{what}, at {place}"))
    })
}

/// A member that must be there.
pub(crate) fn required<T>(member: Option<T>, name: &str) -> Result<T, ServiceError> {
    member.ok_or_else(|| {
        ServiceError::validation(format!(
            "1 validation error detected: Value null at '{name}' failed to satisfy constraint: Member must not be null"
        ))
    })
}

/// The plaintext of `Encrypt`: 1 to 4096 bytes.
pub(crate) fn plaintext(member: Option<Blob>) -> Result<Blob, ServiceError> {
    sized(required(member, "plaintext")?, "plaintext", MAX_PLAINTEXT_BYTES)
}

/// The ciphertext of `Decrypt`: 1 to 6144 bytes.
pub(crate) fn ciphertext(member: Option<Blob>) -> Result<Blob, ServiceError> {
    sized(required(member, "ciphertextBlob")?, "ciphertextBlob", MAX_CIPHERTEXT_BYTES)
}

/// The encryption context; an absent one is an empty one.
pub(crate) fn context(member: Option<TextMap>) -> Result<BTreeMap<String, String>, ServiceError> {
    let pairs = member.unwrap_or_default().0;
    let bytes: usize = pairs.iter().map(|(name, value)| name.len().saturating_add(value.len())).sum();
    if bytes > MAX_CONTEXT_BYTES {
        return Err(ServiceError::validation("The encryption context is longer than 8192 bytes"));
    }
    Ok(pairs)
}

/// Refuses an algorithm that no symmetric key has.
pub(crate) fn algorithm(member: Option<&str>) -> Result<(), ServiceError> {
    match member {
        None | Some(SYMMETRIC_DEFAULT) => Ok(()),
        Some(_) => Err(ServiceError::new(
            "InvalidKeyUsageException",
            "The local KMS has symmetric keys only; the algorithm must be SYMMETRIC_DEFAULT",
        )),
    }
}

/// Refuses grant tokens: there are no grants.
pub(crate) fn no_grants(member: Option<&[String]>) -> Result<(), ServiceError> {
    if member.is_some_and(|tokens| !tokens.is_empty()) {
        return Err(ServiceError::unsupported("GrantTokens"));
    }
    Ok(())
}

fn sized(blob: Blob, name: &str, max: usize) -> Result<Blob, ServiceError> {
    if blob.0.is_empty() || blob.0.len() > max {
        return Err(ServiceError::validation(format!(
            "1 validation error detected: Value at '{name}' failed to satisfy constraint: Member must have length \
             between 1 and {max}"
        )));
    }
    Ok(blob)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_never_repeat_a_value() {
        for body in [
            r#"{"KeyId": "k", "Plaintext": "hidden!"}"#,
            r#"{"KeyId": "k", "Plaintext": ["hidden"]}"#,
            r#"{"KeyId": "k", "Plaintext": {"hidden": 1}}"#,
            r#"{"KeyId": "k", "DryRun": "hidden"}"#,
            r#"{"hidden": 1}"#,
            r#"{"Plaintext": "aGlkZGVu", "Plaintext": "aGlkZGVu"}"#,
            r#"{"Plaintext": "hidden"#,
            r#"{} {}"#,
        ] {
            let error = read::<Encrypt>(body.as_bytes()).map(|_| ()).unwrap_err();
            assert_eq!(error.code, "SerializationException", "{body}");
            assert!(!error.message.contains("hidden") && !error.message.contains("aGlk"), "{body}");
        }
    }

    #[test]
    fn sizes_are_those_of_the_service_model() {
        let blob = |length: usize| Some(Blob(vec![0; length].into()));
        for (length, good) in [(0, false), (1, true), (4096, true), (4097, false)] {
            assert_eq!(plaintext(blob(length)).is_ok(), good, "{length}");
        }
        for (length, good) in [(0, false), (1, true), (6144, true), (6145, false)] {
            assert_eq!(ciphertext(blob(length)).is_ok(), good, "{length}");
        }
        let pairs = |length: usize| Some(TextMap([("k".to_owned(), "v".repeat(length - 1))].into()));
        assert!(context(pairs(8192)).is_ok() && context(pairs(8193)).is_err() && context(None).unwrap().is_empty());
    }
}
