//! Keys and their policies.

use std::collections::BTreeMap;

use serde_json::json;

use super::{Answer, Names, Operation, to_answer};
use crate::error::ServiceError;
use crate::keys;
use crate::policy::{Context, Decision, Policy, Request};
use crate::request::{self, SYMMETRIC_DEFAULT, required};
use crate::state::{MAX_KEYS, Origin};

/// The one name a key policy has.
const POLICY_NAME: &str = "default";
/// The longest description (service model).
const MAX_DESCRIPTION: usize = 8192;

impl Operation<'_> {
    pub(super) fn describe_key(&mut self, request: request::DescribeKey) -> Result<Answer, ServiceError> {
        request::no_grants(request.grant_tokens.as_deref())?;
        let key = self.find(request.key_id, "keyId", Names::All)?;
        self.authorize(&key, "kms:DescribeKey", &BTreeMap::new(), None)?;
        to_answer(&json!({ "KeyMetadata": keys::metadata(&key) }))
    }

    pub(super) fn get_key_policy(&mut self, request: request::GetKeyPolicy) -> Result<Answer, ServiceError> {
        default_policy_name(request.policy_name.as_deref())?;
        let key = self.find(request.key_id, "keyId", Names::NoAlias)?;
        self.authorize(&key, "kms:GetKeyPolicy", &BTreeMap::new(), None)?;
        to_answer(&json!({ "Policy": key.policy_text, "PolicyName": POLICY_NAME }))
    }

    pub(super) fn put_key_policy(&mut self, request: request::PutKeyPolicy) -> Result<Answer, ServiceError> {
        default_policy_name(request.policy_name.as_deref())?;
        let text = required(request.policy, "policy")?;
        let bypass = request.bypass_policy_lockout_safety_check.unwrap_or(false);
        self.trail.parameters.insert("policy".into(), text.clone().into());
        self.trail.parameters.insert("bypassPolicyLockoutSafetyCheck".into(), bypass.into());
        let key = self.find(request.key_id, "keyId", Names::NoAlias)?;
        self.authorize(&key, "kms:PutKeyPolicy", &BTreeMap::new(), None)?;
        let policy = Policy::parse(&text).map_err(crate::Error::from)?;
        self.lockout_check(&policy, key.arn.as_str(), bypass)?;
        self.store.put_policy(key.arn.as_str(), text)?;
        // AWS answers with an empty body.
        Ok(Answer::default())
    }

    /// Any known principal may create keys: in AWS, IAM policies decide that, and there are none here.
    pub(super) fn create_key(&mut self, request: request::CreateKey) -> Result<Answer, ServiceError> {
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
        let key = keys::new_key(self.region, &self.account(), &description, request.policy.as_deref(), self.now)?;
        if request.policy.is_some() {
            self.lockout_check(&key.policy, key.arn.as_str(), bypass)?;
        }
        let key = self.store.add_key(key)?;
        self.trail.parameters.insert("description".into(), description.into());
        self.trail.keys.push(key.arn.clone());
        to_answer(&json!({ "KeyMetadata": keys::metadata(&key) }))
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
}

fn default_policy_name(member: Option<&str>) -> Result<(), ServiceError> {
    match member {
        None | Some(POLICY_NAME) => Ok(()),
        Some(_) => Err(ServiceError::new("NotFoundException", "The only policy name is default")),
    }
}
