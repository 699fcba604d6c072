//! What each operation does, once its caller is known.

mod admin;
mod alias;
mod crypto;

use std::collections::BTreeMap;
use std::sync::Arc;

use packproof_receipt::time::UnixMillis;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::arn::{AliasArn, KeyArn};
use crate::error::ServiceError;
use crate::events::{self, Trail};
use crate::faults::Turn;
use crate::policy::{Context, Decision, IamArn, Request};
use crate::recipient::Recipient;
use crate::request::{RecipientInfo, read, required};
use crate::state::{Key, Principal, Store};

const RSAES_OAEP_SHA_256: &str = "RSAES_OAEP_SHA_256";
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

/// By which names an operation takes a key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    /// Key id, key ARN, alias name, alias ARN.
    All,
    /// Key id and key ARN.
    NoAlias,
}

impl Operation<'_> {
    /// Does `name`, as in `x-amz-target: TrentService.NAME`.
    pub(crate) fn run(&mut self, name: &str, body: &[u8]) -> Result<Answer, ServiceError> {
        match name {
            "Encrypt" => self.encrypt(read(body)?),
            "Decrypt" => self.decrypt(read(body)?),
            "ReEncrypt" => self.re_encrypt(read(body)?),
            "GenerateDataKey" => self.generate_data_key(read(body)?),
            "GenerateDataKeyWithoutPlaintext" => self.generate_data_key_without_plaintext(read(body)?),
            "GenerateRandom" => self.generate_random(read(body)?),
            "DescribeKey" => self.describe_key(read(body)?),
            "GetKeyPolicy" => self.get_key_policy(read(body)?),
            "PutKeyPolicy" => self.put_key_policy(read(body)?),
            "CreateKey" => self.create_key(read(body)?),
            "CreateAlias" => self.create_alias(read(body)?),
            "ListAliases" => self.list_aliases(read(body)?),
            _ => Err(ServiceError::new("UnknownOperationException", "")),
        }
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

    /// The account of the caller.
    fn account(&self) -> String {
        IamArn::parse(&self.principal.arn).map(|arn| arn.account().to_owned()).unwrap_or_default()
    }

    /// The key that the member `name` of a request names: in the caller's region, and in his account where the name does
    /// not say which.
    fn find(&mut self, member: Option<String>, name: &str, by: Names) -> Result<Arc<Key>, ServiceError> {
        let named = required(member, name)?;
        self.trail.parameters.insert(name.into(), named.clone().into());
        let not_found = |message: String| ServiceError::new("NotFoundException", message);
        let is_alias = named.starts_with("alias/") || named.contains(":alias/");
        let arn = if is_alias {
            let alias = AliasArn::named(&named, self.region, &self.account());
            let alias =
                alias.filter(|_| by == Names::All).ok_or_else(|| not_found(format!("Invalid keyId {named}")))?;
            let found = self.store.alias(&alias).filter(|_| alias.region() == self.region);
            found.ok_or_else(|| not_found(format!("Alias {} is not found.", alias.as_str())))?.target
        } else if named.starts_with("arn:") {
            KeyArn::parse(&named).ok_or_else(|| not_found(format!("Invalid arn {named}")))?
        } else {
            KeyArn::parse(&format!("arn:aws:kms:{}:{}:key/{named}", self.region, self.account()))
                .ok_or_else(|| not_found(format!("Invalid keyId '{named}'")))?
        };
        if arn.region() != self.region {
            return Err(not_found(format!("Invalid arn {}", arn.region())));
        }
        let key = self.store.key(arn.id()).filter(|key| key.arn == arn);
        let key = key.ok_or_else(|| not_found(format!("Key '{}' does not exist", arn.as_str())))?;
        self.trail.keys.push(key.arn.clone());
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

    fn dry_run(&self, member: Option<bool>) -> Result<(), ServiceError> {
        if member == Some(true) {
            return Err(ServiceError::new(
                "DryRunOperationException",
                "The request would have succeeded, but the DryRun option is set.",
            ));
        }
        Ok(())
    }
}

fn to_answer(value: &impl Serialize) -> Result<Answer, ServiceError> {
    let mut answer = Zeroizing::new(Vec::with_capacity(ANSWER_ROOM));
    serde_json::to_writer(&mut *answer, value).map_err(|error| ServiceError::internal(error.to_string()))?;
    Ok(answer)
}
