//! What KMS says about a key: its policy and its description, asked by the enclave itself.
//!
//! Neither call has attestation. What the answers prove is what TLS proves: the holder of Amazon's certificate said so, in
//! this session. They say nothing about the next moment, about grants, or about IAM policies.

use aws_sdk_kms::types::KeyMetadata;

use crate::answer::{Attempts, refusal, wrong_key};
use crate::{Client, KeyArn, KmsError};

/// The text of a key's policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPolicyText {
    /// As KMS sent it, 1 to [`MAX_KEY_POLICY_BYTES`] bytes. Not parsed.
    pub text: String,
    /// The request ids of all attempts that were answered, in order; the last is that of this answer.
    pub request_ids: Vec<String>,
}

/// What `DescribeKey` says that matters to whoever asks who can decrypt. All names are AWS's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyDescription {
    /// The key that was asked for, which also answered.
    pub key_arn: String,
    /// `CUSTOMER` or `AWS`.
    pub key_manager: String,
    /// `AWS_KMS`, or `EXTERNAL`, `AWS_CLOUDHSM`, `EXTERNAL_KEY_STORE`: then somebody else had or has the key material.
    pub origin: String,
    /// Whether replicas in other Regions, with policies of their own, can open what this key seals.
    pub multi_region: bool,
    /// `Enabled`, `PendingDeletion`, ...
    pub key_state: String,
    /// `ENCRYPT_DECRYPT`, ...
    pub key_usage: String,
    /// `SYMMETRIC_DEFAULT`, ...
    pub key_spec: String,
    /// As in [`KeyPolicyText`].
    pub request_ids: Vec<String>,
}

impl Client {
    /// `GetKeyPolicy`: who may use `key`, in KMS's words.
    ///
    /// The answer does not name the key, so that it belongs to `key` rests on TLS and on HTTP's order alone.
    ///
    /// # Errors
    /// [`KmsError::KeyPolicyDenied`] when the credentials may not ask, [`KmsError::KeyPolicyUnreadable`] for an answer
    /// without a policy, with an empty or too long one, or with one of another name, and those of the transport.
    pub async fn key_policy(&self, key: &KeyArn) -> Result<KeyPolicyText, KmsError> {
        let target = self.target(key)?;
        let _permit = self.permit().await?;
        let attempts = Attempts::default();
        let answer = self
            .sdk(&target, key)
            .get_key_policy()
            .key_id(key.as_str())
            .policy_name(POLICY_NAME)
            .customize()
            .interceptor(attempts.clone())
            .send()
            .await
            .map_err(|error| denied(GET_KEY_POLICY, refusal(&error, key, &target.host, &attempts)))?;
        let unreadable = |reason| KmsError::KeyPolicyUnreadable { key_arn: key.as_str().to_owned(), reason };
        // named since 2023; AWS knows no other name
        if answer.policy_name().is_some_and(|name| name != POLICY_NAME) {
            return Err(unreadable("it is of another name than default"));
        }
        let text = answer.policy.unwrap_or_default();
        match text.len() {
            0 => Err(unreadable("there is none")),
            1..=MAX_KEY_POLICY_BYTES => Ok(KeyPolicyText { text, request_ids: request_ids(&attempts)? }),
            _ => Err(unreadable("it is longer than KMS allows")),
        }
    }

    /// `DescribeKey`: what kind of key `key` is.
    ///
    /// # Errors
    /// [`KmsError::KeyPolicyDenied`], [`KmsError::WrongKey`] when the answer is about another key,
    /// [`KmsError::KeyDescriptionUnreadable`] when a fact is missing or is no name of AWS's, and those of the transport.
    pub async fn describe_key(&self, key: &KeyArn) -> Result<KeyDescription, KmsError> {
        let target = self.target(key)?;
        let _permit = self.permit().await?;
        let attempts = Attempts::default();
        let answer = self
            .sdk(&target, key)
            .describe_key()
            .key_id(key.as_str())
            .customize()
            .interceptor(attempts.clone())
            .send()
            .await
            .map_err(|error| denied(DESCRIBE_KEY, refusal(&error, key, &target.host, &attempts)))?;
        let metadata = answer.key_metadata.ok_or_else(|| unreadable(key, "KeyMetadata"))?;
        if metadata.arn() != Some(key.as_str()) {
            return Err(wrong_key(key, metadata.arn));
        }
        description(key, &metadata, request_ids(&attempts)?)
    }
}

fn description(key: &KeyArn, metadata: &KeyMetadata, request_ids: Vec<String>) -> Result<KeyDescription, KmsError> {
    let fact = |name: &'static str, value: Option<&str>| {
        value.filter(|value| is_name(value)).map(str::to_owned).ok_or_else(|| unreadable(key, name))
    };
    Ok(KeyDescription {
        key_arn: key.as_str().to_owned(),
        key_manager: fact("KeyManager", metadata.key_manager().map(|value| value.as_str()))?,
        origin: fact("Origin", metadata.origin().map(|value| value.as_str()))?,
        multi_region: metadata.multi_region().ok_or_else(|| unreadable(key, "MultiRegion"))?,
        key_state: fact("KeyState", metadata.key_state().map(|value| value.as_str()))?,
        key_usage: fact("KeyUsage", metadata.key_usage().map(|value| value.as_str()))?,
        key_spec: fact("KeySpec", metadata.key_spec().map(|value| value.as_str()))?,
        request_ids,
    })
}

fn unreadable(key: &KeyArn, missing: &'static str) -> KmsError {
    KmsError::KeyDescriptionUnreadable { key_arn: key.as_str().to_owned(), missing }
}

/// These two calls are denied for another reason than attested ones, and there is another thing to do.
fn denied(operation: &'static str, error: KmsError) -> KmsError {
    match error {
        KmsError::AccessDenied { key_arn, request_id } => KmsError::KeyPolicyDenied { operation, key_arn, request_id },
        error => error,
    }
}

fn request_ids(attempts: &Attempts) -> Result<Vec<String>, KmsError> {
    attempts.last_request_id().ok_or(KmsError::NoRequestId)?;
    Ok(attempts.request_ids())
}

/// AWS's enumerations: letters, digits and `_`. New values are taken as they are, if they are such.
fn is_name(value: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

const GET_KEY_POLICY: &str = "GetKeyPolicy";
const DESCRIBE_KEY: &str = "DescribeKey";
/// KMS API reference, GetKeyPolicy: "the only valid name is `default`".
const POLICY_NAME: &str = "default";
/// KMS API reference, PutKeyPolicy, `Policy`.
pub const MAX_KEY_POLICY_BYTES: usize = 32_768;
/// The longest today, `EXTERNAL_KEY_STORE`, has 18.
const MAX_NAME_BYTES: usize = 64;
