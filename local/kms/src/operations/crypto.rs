//! Encrypt, decrypt, data keys, random bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use packproof_secret::{Secret, SecretBytes};
use serde::Serialize;
use serde_json::json;

use super::{Answer, Names, Operation, to_answer};
use crate::encoding::Blob;
use crate::error::ServiceError;
use crate::faults;
use crate::json::TextMap;
use crate::recipient::Recipient;
use crate::request::{self, SYMMETRIC_DEFAULT, required};
use crate::state::Key;
use crate::{ciphertext, random};

/// The longest data key, and the most random bytes (service model).
const MAX_DATA_KEY_BYTES: usize = 1024;

/// The answer of the cryptographic operations; each has some of the members.
#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct CryptoAnswer {
    #[serde(skip_serializing_if = "Option::is_none")]
    ciphertext_blob: Option<Blob>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plaintext: Option<Blob>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ciphertext_for_recipient: Option<Blob>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption_algorithm: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_material_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_encryption_algorithm: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_key_material_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_encryption_algorithm: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_key_material_id: Option<String>,
}

impl Operation<'_> {
    pub(super) fn encrypt(&mut self, request: request::Encrypt) -> Result<Answer, ServiceError> {
        let context = self.context(request.encryption_context, "encryptionContext")?;
        self.algorithm(request.encryption_algorithm.as_deref(), "encryptionAlgorithm")?;
        request::no_grants(request.grant_tokens.as_deref())?;
        let plaintext = request::plaintext(request.plaintext)?;
        let key = self.find(request.key_id, "keyId", Names::All)?;
        self.authorize(&key, "kms:Encrypt", &context, None)?;
        self.dry_run(request.dry_run)?;
        self.answer(CryptoAnswer {
            ciphertext_blob: Some(sealed(&key, &context, plaintext.0.expose())?),
            key_id: Some(key.arn.as_str().to_owned()),
            encryption_algorithm: Some(SYMMETRIC_DEFAULT),
            ..CryptoAnswer::default()
        })
    }

    pub(super) fn decrypt(&mut self, request: request::Decrypt) -> Result<Answer, ServiceError> {
        let context = self.context(request.encryption_context, "encryptionContext")?;
        self.algorithm(request.encryption_algorithm.as_deref(), "encryptionAlgorithm")?;
        request::no_grants(request.grant_tokens.as_deref())?;
        let blob = request::ciphertext(request.ciphertext_blob)?;
        let recipient = self.recipient(request.recipient)?;
        let (key, plaintext) =
            self.open(&blob, request.key_id, "keyId", "kms:Decrypt", &context, recipient.as_ref())?;
        self.dry_run(request.dry_run)?;
        let answer = CryptoAnswer {
            key_id: Some(key.arn.as_str().to_owned()),
            encryption_algorithm: Some(SYMMETRIC_DEFAULT),
            key_material_id: Some(key.material_id.clone()),
            ..CryptoAnswer::default()
        };
        self.answer_for(recipient.as_ref(), plaintext, answer)
    }

    /// Both keys are asked, each for its half; neither half knows `Recipient`.
    pub(super) fn re_encrypt(&mut self, request: request::ReEncrypt) -> Result<Answer, ServiceError> {
        let from = self.context(request.source_encryption_context, "sourceEncryptionContext")?;
        let to = self.context(request.destination_encryption_context, "destinationEncryptionContext")?;
        self.algorithm(request.source_encryption_algorithm.as_deref(), "sourceEncryptionAlgorithm")?;
        self.algorithm(request.destination_encryption_algorithm.as_deref(), "destinationEncryptionAlgorithm")?;
        request::no_grants(request.grant_tokens.as_deref())?;
        let blob = request::ciphertext(request.ciphertext_blob)?;
        let (source, plaintext) =
            self.open(&blob, request.source_key_id, "sourceKeyId", "kms:ReEncryptFrom", &from, None)?;
        let key = self.find(request.destination_key_id, "destinationKeyId", Names::All)?;
        self.authorize(&key, "kms:ReEncryptTo", &to, None)?;
        self.dry_run(request.dry_run)?;
        self.answer(CryptoAnswer {
            ciphertext_blob: Some(sealed(&key, &to, plaintext.expose())?),
            key_id: Some(key.arn.as_str().to_owned()),
            source_key_id: Some(source.arn.as_str().to_owned()),
            source_encryption_algorithm: Some(SYMMETRIC_DEFAULT),
            source_key_material_id: Some(source.material_id.clone()),
            destination_encryption_algorithm: Some(SYMMETRIC_DEFAULT),
            destination_key_material_id: Some(key.material_id.clone()),
            ..CryptoAnswer::default()
        })
    }

    pub(super) fn generate_data_key(&mut self, request: request::GenerateDataKey) -> Result<Answer, ServiceError> {
        let context = self.context(request.encryption_context, "encryptionContext")?;
        request::no_grants(request.grant_tokens.as_deref())?;
        let length = self.data_key_length(request.key_spec, request.number_of_bytes)?;
        let recipient = self.recipient(request.recipient)?;
        let key = self.find(request.key_id, "keyId", Names::All)?;
        self.authorize(&key, "kms:GenerateDataKey", &context, recipient.as_ref())?;
        self.dry_run(request.dry_run)?;
        let data_key = random_bytes(length)?;
        let answer = data_key_answer(&key, &context, &data_key)?;
        self.answer_for(recipient.as_ref(), data_key, answer)
    }

    pub(super) fn generate_data_key_without_plaintext(
        &mut self,
        request: request::GenerateDataKeyWithoutPlaintext,
    ) -> Result<Answer, ServiceError> {
        let context = self.context(request.encryption_context, "encryptionContext")?;
        request::no_grants(request.grant_tokens.as_deref())?;
        let length = self.data_key_length(request.key_spec, request.number_of_bytes)?;
        let key = self.find(request.key_id, "keyId", Names::All)?;
        self.authorize(&key, "kms:GenerateDataKeyWithoutPlaintext", &context, None)?;
        self.dry_run(request.dry_run)?;
        let answer = data_key_answer(&key, &context, &random_bytes(length)?)?;
        self.answer(answer)
    }

    /// Any known principal may: no key is concerned, and in AWS IAM policies decide that.
    pub(super) fn generate_random(&mut self, request: request::GenerateRandom) -> Result<Answer, ServiceError> {
        if request.custom_key_store_id.is_some() {
            return Err(ServiceError::unsupported("CustomKeyStoreId"));
        }
        let length = required(request.number_of_bytes, "numberOfBytes")?;
        self.trail.parameters.insert("numberOfBytes".into(), length.into());
        if !(1..=MAX_DATA_KEY_BYTES).contains(&length) {
            return Err(ServiceError::validation(format!(
                "1 validation error detected: Value '{length}' at 'numberOfBytes' failed to satisfy constraint: Member \
                 must have value between 1 and {MAX_DATA_KEY_BYTES}"
            )));
        }
        let recipient = self.recipient(request.recipient)?;
        self.answer_for(recipient.as_ref(), random_bytes(length)?, CryptoAnswer::default())
    }

    /// Opens a ciphertext for `action`, with the key that the request names or else the one that the ciphertext names.
    /// The policy is asked before the ciphertext is tried, so that a refused caller learns nothing about it.
    fn open(
        &mut self,
        blob: &Blob,
        named: Option<String>,
        name: &str,
        action: &str,
        context: &BTreeMap<String, String>,
        recipient: Option<&Recipient>,
    ) -> Result<(Arc<Key>, SecretBytes), ServiceError> {
        let parsed = ciphertext::parse(blob.0.expose());
        let key = match named {
            Some(named) => self.find(Some(named), name, Names::All)?,
            None => {
                let id = parsed.as_ref().ok_or_else(ServiceError::invalid_ciphertext)?.key_id;
                self.find_for_ciphertext(id, name)?
            }
        };
        self.authorize(&key, action, context, recipient)?;
        let parsed = parsed.ok_or_else(ServiceError::invalid_ciphertext)?;
        if parsed.key_id != key.arn.id() {
            return Err(ServiceError::new(
                "IncorrectKeyException",
                "The key ID in the request does not identify a CMK that can perform this operation.",
            ));
        }
        let plaintext = parsed.open(key.arn.as_str(), &key.material, context);
        Ok((key, plaintext.ok_or_else(ServiceError::invalid_ciphertext)?))
    }

    /// The key that a ciphertext names. One answer for all that is not there, as in AWS.
    fn find_for_ciphertext(&mut self, id: &str, name: &str) -> Result<Arc<Key>, ServiceError> {
        let key = self.store.key(id).filter(|key| key.arn.region() == self.region);
        let key = key.ok_or_else(|| {
            ServiceError::new(
                "AccessDeniedException",
                "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or \
                 you are not allowed to access.",
            )
        })?;
        self.trail.parameters.insert(name.into(), key.arn.as_str().into());
        self.trail.keys.push(key.arn.clone());
        Ok(key)
    }

    /// Reads an encryption context and puts it into the log.
    fn context(&mut self, member: Option<TextMap>, name: &str) -> Result<BTreeMap<String, String>, ServiceError> {
        let context = request::context(member)?;
        if !context.is_empty() {
            self.trail.parameters.insert(name.into(), json!(context));
        }
        Ok(context)
    }

    fn algorithm(&mut self, member: Option<&str>, name: &str) -> Result<(), ServiceError> {
        self.trail.parameters.insert(name.into(), SYMMETRIC_DEFAULT.into());
        request::algorithm(member)
    }

    /// In bytes.
    fn data_key_length(&mut self, spec: Option<String>, bytes: Option<usize>) -> Result<usize, ServiceError> {
        let length = match (spec.as_deref(), bytes) {
            (Some("AES_256"), None) => 32,
            (Some("AES_128"), None) => 16,
            (None, Some(length @ 1..=MAX_DATA_KEY_BYTES)) => length,
            _ => return Err(ServiceError::validation("Please specify either number of bytes or key spec.")),
        };
        match spec {
            Some(spec) => self.trail.parameters.insert("keySpec".into(), spec.into()),
            None => self.trail.parameters.insert("numberOfBytes".into(), length.into()),
        };
        Ok(length)
    }

    /// Adds the secret to an answer: for the enclave alone when there is one, in the clear otherwise.
    fn answer_for(
        &self,
        recipient: Option<&Recipient>,
        secret: SecretBytes,
        mut answer: CryptoAnswer,
    ) -> Result<Answer, ServiceError> {
        match recipient {
            Some(recipient) if !self.faults.answer_with_plaintext => {
                let envelope = faults::damaged(recipient.envelop(secret.expose())?, self.faults);
                answer.ciphertext_for_recipient = Some(Blob(envelope.into()));
            }
            _ => answer.plaintext = Some(Blob(secret)),
        }
        self.answer(answer)
    }

    fn answer(&self, mut answer: CryptoAnswer) -> Result<Answer, ServiceError> {
        if let (Some(shown), Some(other)) = (&mut answer.key_id, &self.faults.answer_for_other_key) {
            shown.clone_from(other);
        }
        to_answer(&answer)
    }
}

fn sealed(key: &Key, context: &BTreeMap<String, String>, plaintext: &[u8]) -> Result<Blob, ServiceError> {
    let blob = ciphertext::seal(key.arn.id(), key.arn.as_str(), &key.material, context, plaintext)?;
    Ok(Blob(blob.into()))
}

fn data_key_answer(
    key: &Key,
    context: &BTreeMap<String, String>,
    data_key: &SecretBytes,
) -> Result<CryptoAnswer, ServiceError> {
    Ok(CryptoAnswer {
        ciphertext_blob: Some(sealed(key, context, data_key.expose())?),
        key_id: Some(key.arn.as_str().to_owned()),
        key_material_id: Some(key.material_id.clone()),
        ..CryptoAnswer::default()
    })
}

/// At most [`MAX_DATA_KEY_BYTES`].
fn random_bytes(length: usize) -> Result<SecretBytes, ServiceError> {
    let random: Secret<MAX_DATA_KEY_BYTES> = random::secret()?;
    let mut bytes = SecretBytes::with_capacity(MAX_DATA_KEY_BYTES);
    bytes.extend(random.expose());
    bytes.truncate(length);
    Ok(bytes)
}
