//! What each operation does, once its caller is known.

use std::collections::BTreeMap;
use std::sync::Arc;

use packproof_receipt::time::UnixMillis;
use packproof_secret::{Secret, SecretBytes};
use serde::Serialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::arn::KeyArn;
use crate::encoding::Blob;
use crate::error::ServiceError;
use crate::events::{self, Trail};
use crate::faults::Turn;
use crate::policy::{Context, Decision, IamArn, Policy, Request};
use crate::recipient::Recipient;
use crate::request::{self, RecipientInfo, SYMMETRIC_DEFAULT, read, required};
use crate::state::{Key, MAX_KEYS, Origin, Principal, Store};
use crate::{ciphertext, keys, random};

/// The one name a key policy has.
const POLICY_NAME: &str = "default";
const RSAES_OAEP_SHA_256: &str = "RSAES_OAEP_SHA_256";
/// The longest data key, in bytes (service model).
const MAX_DATA_KEY_BYTES: usize = 1024;
/// The longest description (service model).
const MAX_DESCRIPTION: usize = 8192;
/// Room for the longest answer with plaintext, so that growing leaves no copy behind.
const ANSWER_ROOM: usize = 32 * 1024;

/// The bytes of an answer; wiped, because they may hold plaintext.
pub(crate) type Answer = Zeroizing<Vec<u8>>;

/// One call of a known principal.
pub(crate) struct Operation<'a> {
    pub(crate) store: &'a Store,
    pub(crate) root_der: &'a [u8],
    pub(crate) principal: &'a Principal,
    pub(crate) region: &'a str,
    pub(crate) now: UnixMillis,
    pub(crate) faults: &'a Turn,
    pub(crate) trail: &'a mut Trail,
}

/// The answer of the three cryptographic operations; each has some of the members.
#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct CryptoAnswer {
    #[serde(skip_serializing_if = "Option::is_none")]
    ciphertext_blob: Option<Blob>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plaintext: Option<Blob>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ciphertext_for_recipient: Option<Blob>,
    key_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption_algorithm: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_material_id: Option<String>,
}

impl Operation<'_> {
    /// Does `name`, as in `x-amz-target: TrentService.NAME`.
    pub(crate) fn run(&mut self, name: &str, body: &[u8]) -> Result<Answer, ServiceError> {
        match name {
            "Encrypt" => self.encrypt(read(body)?),
            "Decrypt" => self.decrypt(read(body)?),
            "GenerateDataKey" => self.generate_data_key(read(body)?),
            "DescribeKey" => self.describe_key(read(body)?),
            "GetKeyPolicy" => self.get_key_policy(read(body)?),
            "PutKeyPolicy" => self.put_key_policy(read(body)?),
            "CreateKey" => self.create_key(read(body)?),
            _ => Err(ServiceError::new("UnknownOperationException", "")),
        }
    }

    fn encrypt(&mut self, request: request::Encrypt) -> Result<Answer, ServiceError> {
        let context = self.crypto_parameters(request.encryption_context)?;
        request::algorithm(request.encryption_algorithm.as_deref())?;
        request::no_grants(request.grant_tokens.as_deref())?;
        let plaintext = request::plaintext(request.plaintext)?;
        let key = self.find(request.key_id)?;
        self.authorize(&key, "kms:Encrypt", &context, None)?;
        self.dry_run(request.dry_run)?;
        let blob = ciphertext::seal(key.arn.id(), key.arn.as_str(), &key.material, &context, plaintext.0.expose())?;
        self.answer(CryptoAnswer {
            ciphertext_blob: Some(Blob(blob.into())),
            key_id: key.arn.as_str().to_owned(),
            encryption_algorithm: Some(SYMMETRIC_DEFAULT),
            ..CryptoAnswer::default()
        })
    }

    fn decrypt(&mut self, request: request::Decrypt) -> Result<Answer, ServiceError> {
        let context = self.crypto_parameters(request.encryption_context)?;
        request::algorithm(request.encryption_algorithm.as_deref())?;
        request::no_grants(request.grant_tokens.as_deref())?;
        let blob = request::ciphertext(request.ciphertext_blob)?;
        let recipient = self.recipient(request.recipient)?;
        let parsed = ciphertext::parse(blob.0.expose());
        let key = match request.key_id {
            Some(named) => self.find(Some(named))?,
            None => {
                let id = parsed.as_ref().ok_or_else(ServiceError::invalid_ciphertext)?.key_id;
                self.find_for_ciphertext(id)?
            }
        };
        self.authorize(&key, "kms:Decrypt", &context, recipient.as_ref())?;
        let parsed = parsed.ok_or_else(ServiceError::invalid_ciphertext)?;
        if parsed.key_id != key.arn.id() {
            return Err(ServiceError::new(
                "IncorrectKeyException",
                "The key ID in the request does not identify a CMK that can perform this operation.",
            ));
        }
        let plaintext =
            parsed.open(key.arn.as_str(), &key.material, &context).ok_or_else(ServiceError::invalid_ciphertext)?;
        self.dry_run(request.dry_run)?;
        let answer = CryptoAnswer {
            key_id: key.arn.as_str().to_owned(),
            encryption_algorithm: Some(SYMMETRIC_DEFAULT),
            key_material_id: Some(key.material_id.clone()),
            ..CryptoAnswer::default()
        };
        self.answer_for(recipient.as_ref(), plaintext, answer)
    }

    fn generate_data_key(&mut self, request: request::GenerateDataKey) -> Result<Answer, ServiceError> {
        let context = self.crypto_parameters(request.encryption_context)?;
        request::no_grants(request.grant_tokens.as_deref())?;
        let length = match (request.key_spec.as_deref(), request.number_of_bytes) {
            (Some("AES_256"), None) => 32,
            (Some("AES_128"), None) => 16,
            (None, Some(length @ 1..=MAX_DATA_KEY_BYTES)) => length,
            _ => return Err(ServiceError::validation("Please specify either number of bytes or key spec.")),
        };
        let recipient = self.recipient(request.recipient)?;
        let key = self.find(request.key_id)?;
        self.authorize(&key, "kms:GenerateDataKey", &context, recipient.as_ref())?;
        self.dry_run(request.dry_run)?;
        let random: Secret<MAX_DATA_KEY_BYTES> = random::secret()?;
        let mut data_key = SecretBytes::with_capacity(MAX_DATA_KEY_BYTES);
        data_key.extend(random.expose());
        data_key.truncate(length);
        let blob = ciphertext::seal(key.arn.id(), key.arn.as_str(), &key.material, &context, data_key.expose())?;
        let answer = CryptoAnswer {
            ciphertext_blob: Some(Blob(blob.into())),
            key_id: key.arn.as_str().to_owned(),
            key_material_id: Some(key.material_id.clone()),
            ..CryptoAnswer::default()
        };
        self.answer_for(recipient.as_ref(), data_key, answer)
    }

    fn describe_key(&mut self, request: request::DescribeKey) -> Result<Answer, ServiceError> {
        request::no_grants(request.grant_tokens.as_deref())?;
        let key = self.find(request.key_id)?;
        self.authorize(&key, "kms:DescribeKey", &BTreeMap::new(), None)?;
        to_answer(&json!({ "KeyMetadata": keys::metadata(&key) }))
    }

    fn get_key_policy(&mut self, request: request::GetKeyPolicy) -> Result<Answer, ServiceError> {
        default_policy_name(request.policy_name.as_deref())?;
        let key = self.find(request.key_id)?;
        self.authorize(&key, "kms:GetKeyPolicy", &BTreeMap::new(), None)?;
        to_answer(&json!({ "Policy": key.policy_text, "PolicyName": POLICY_NAME }))
    }

    fn put_key_policy(&mut self, request: request::PutKeyPolicy) -> Result<Answer, ServiceError> {
        default_policy_name(request.policy_name.as_deref())?;
        let text = required(request.policy, "policy")?;
        let bypass = request.bypass_policy_lockout_safety_check.unwrap_or(false);
        self.trail.parameters.insert("policy".into(), text.clone().into());
        self.trail.parameters.insert("bypassPolicyLockoutSafetyCheck".into(), bypass.into());
        let key = self.find(request.key_id)?;
        self.authorize(&key, "kms:PutKeyPolicy", &BTreeMap::new(), None)?;
        let policy = Policy::parse(&text).map_err(crate::Error::from)?;
        self.lockout_check(&policy, key.arn.as_str(), bypass)?;
        self.store.put_policy(key.arn.as_str(), text)?;
        // AWS answers with an empty body.
        Ok(Answer::default())
    }

    /// Any known principal may create keys: in AWS, IAM policies decide that, and there are none here.
    fn create_key(&mut self, request: request::CreateKey) -> Result<Answer, ServiceError> {
        let only = |member: Option<&str>, value: &str, name: &str| match member {
            Some(other) if other != value => Err(ServiceError::unsupported(&format!("{name} {other}"))),
            _ => Ok(()),
        };
        only(request.key_usage.as_deref(), "ENCRYPT_DECRYPT", "KeyUsage")?;
        only(request.key_spec.as_deref(), SYMMETRIC_DEFAULT, "KeySpec")?;
        only(request.customer_master_key_spec.as_deref(), SYMMETRIC_DEFAULT, "CustomerMasterKeySpec")?;
        only(request.origin.as_deref(), Origin::AwsKms.as_str(), "Origin")?;
        if request.multi_region == Some(true) {
            return Err(ServiceError::unsupported("MultiRegion"));
        }
        if request.tags.is_some_and(|tags| !tags.is_empty()) {
            return Err(ServiceError::unsupported("Tags"));
        }
        let description = request.description.unwrap_or_default();
        if description.chars().count() > MAX_DESCRIPTION {
            return Err(ServiceError::validation("The description is longer than 8192 characters"));
        }
        if self.store.key_count() >= MAX_KEYS {
            return Err(ServiceError::new("LimitExceededException", format!("There are {MAX_KEYS} keys already")));
        }
        let bypass = request.bypass_policy_lockout_safety_check.unwrap_or(false);
        let account = IamArn::parse(&self.principal.arn).map(|arn| arn.account().to_owned()).unwrap_or_default();
        let key = keys::new_key(self.region, &account, &description, request.policy.as_deref(), self.now)?;
        if request.policy.is_some() {
            self.lockout_check(&key.policy, key.arn.as_str(), bypass)?;
        }
        let key = self.store.add_key(key)?;
        self.trail.parameters.insert("description".into(), description.into());
        self.trail.key = Some(key.arn.clone());
        to_answer(&json!({ "KeyMetadata": keys::metadata(&key) }))
    }

    /// Reads the encryption context and puts the parameters of a cryptographic operation into the log.
    fn crypto_parameters(
        &mut self,
        member: Option<crate::json::TextMap>,
    ) -> Result<BTreeMap<String, String>, ServiceError> {
        let context = request::context(member)?;
        self.trail.parameters.insert("encryptionAlgorithm".into(), SYMMETRIC_DEFAULT.into());
        if !context.is_empty() {
            self.trail.parameters.insert("encryptionContext".into(), json!(context));
        }
        Ok(context)
    }

    /// Verifies the `Recipient`, when there is one. Nothing unverified goes any further.
    fn recipient(&mut self, member: Option<RecipientInfo>) -> Result<Option<Recipient>, ServiceError> {
        let Some(info) = member else { return Ok(None) };
        let algorithm = required(info.key_encryption_algorithm, "recipient.keyEncryptionAlgorithm")?;
        if algorithm != RSAES_OAEP_SHA_256 {
            return Err(ServiceError::validation("recipient.keyEncryptionAlgorithm must be RSAES_OAEP_SHA_256"));
        }
        let document = required(info.attestation_document, "recipient.attestationDocument")?;
        let recipient = Recipient::verify(document.0.expose(), self.root_der, self.now)?;
        self.trail.recipient = Some(events::recipient(&recipient));
        Ok(Some(recipient))
    }

    /// The key that a request names: an ARN of this region, or a key id of the caller's account and this region.
    fn find(&mut self, member: Option<String>) -> Result<Arc<Key>, ServiceError> {
        let named = required(member, "keyId")?;
        self.trail.parameters.insert("keyId".into(), named.clone().into());
        let not_found = |message: String| ServiceError::new("NotFoundException", message);
        if named.contains("alias/") {
            return Err(not_found(format!("Alias {named} is not found.")));
        }
        let account = IamArn::parse(&self.principal.arn).map(|arn| arn.account().to_owned()).unwrap_or_default();
        let arn = if named.starts_with("arn:") {
            let arn = KeyArn::parse(&named).ok_or_else(|| not_found(format!("Invalid arn {named}")))?;
            if arn.region() != self.region {
                return Err(not_found(format!("Invalid arn {}", self.region)));
            }
            arn
        } else {
            KeyArn::parse(&format!("arn:aws:kms:{}:{account}:key/{named}", self.region))
                .ok_or_else(|| not_found(format!("Invalid keyId '{named}'")))?
        };
        let key = self.store.key(arn.id()).filter(|key| key.arn == arn);
        let key = key.ok_or_else(|| not_found(format!("Key '{}' does not exist", arn.as_str())))?;
        self.trail.key = Some(key.arn.clone());
        Ok(key)
    }

    /// The key that a ciphertext names. One answer for all that is not there, as in AWS.
    fn find_for_ciphertext(&mut self, id: &str) -> Result<Arc<Key>, ServiceError> {
        let key = self.store.key(id).filter(|key| key.arn.region() == self.region);
        let key = key.ok_or_else(|| {
            ServiceError::new(
                "AccessDeniedException",
                "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or \
                 you are not allowed to access.",
            )
        })?;
        self.trail.parameters.insert("keyId".into(), key.arn.as_str().into());
        self.trail.key = Some(key.arn.clone());
        Ok(key)
    }

    /// Asks the key policy. Only a verified document reaches the condition keys.
    fn authorize(
        &mut self,
        key: &Key,
        action: &str,
        context: &BTreeMap<String, String>,
        recipient: Option<&Recipient>,
    ) -> Result<(), ServiceError> {
        let mut keys = Context::new(&self.principal.arn)
            .with_encryption_context(context)
            .map_err(|collision| ServiceError::validation(collision.to_string()))?;
        if let Some(recipient) = recipient {
            keys = keys.with_attestation(&recipient.pcrs);
        }
        let request = Request { principal: &self.principal.arn, action, resource: key.arn.as_str(), context: &keys };
        let why = match key.policy.evaluate(&request) {
            Decision::Allow { statement } => {
                self.trail.statement = Some(statement);
                return Ok(());
            }
            Decision::ExplicitDeny { statement } => {
                self.trail.statement = Some(statement);
                "with an explicit deny in a resource-based policy".to_owned()
            }
            Decision::ImplicitDeny => format!("because no resource-based policy allows the {action} action"),
        };
        Err(ServiceError::new(
            "AccessDeniedException",
            format!(
                "User: {} is not authorized to perform: {action} on resource: {} {why}",
                self.principal.arn,
                key.arn.as_str()
            ),
        ))
    }

    /// Refuses a policy under which its author could not change it again.
    fn lockout_check(&self, policy: &Policy, arn: &str, bypass: bool) -> Result<(), ServiceError> {
        let context = Context::new(&self.principal.arn);
        let request =
            Request { principal: &self.principal.arn, action: "kms:PutKeyPolicy", resource: arn, context: &context };
        match policy.evaluate(&request) {
            Decision::Allow { .. } => Ok(()),
            _ if bypass => Ok(()),
            _ => Err(ServiceError::new(
                "MalformedPolicyDocumentException",
                "The new key policy will not allow you to update the key policy in the future.",
            )),
        }
    }

    fn dry_run(&self, member: Option<bool>) -> Result<(), ServiceError> {
        if member == Some(true) {
            return Err(ServiceError::new(
                "DryRunOperationException",
                "The request would have succeeded, but the DryRun option is set.",
            ));
        }
        Ok(())
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
                answer.ciphertext_for_recipient = Some(Blob(recipient.envelop(secret.expose())?.into()));
            }
            _ => answer.plaintext = Some(Blob(secret)),
        }
        self.answer(answer)
    }

    fn answer(&self, mut answer: CryptoAnswer) -> Result<Answer, ServiceError> {
        if let Some(other) = &self.faults.answer_for_other_key {
            answer.key_id.clone_from(other);
        }
        to_answer(&answer)
    }
}

fn default_policy_name(member: Option<&str>) -> Result<(), ServiceError> {
    match member {
        None | Some(POLICY_NAME) => Ok(()),
        Some(_) => Err(ServiceError::new("NotFoundException", "The only policy name is default")),
    }
}

fn to_answer(value: &impl Serialize) -> Result<Answer, ServiceError> {
    let mut answer = Zeroizing::new(Vec::with_capacity(ANSWER_ROOM));
    serde_json::to_writer(&mut *answer, value).map_err(|error| ServiceError::internal(error.to_string()))?;
    Ok(answer)
}
