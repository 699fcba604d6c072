//! Aliases: other names of keys.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Answer, Names, Operation, to_answer};
use crate::arn::AliasArn;
use crate::error::ServiceError;
use crate::request::{self, required};
use crate::state::{Alias, MAX_ALIASES};

/// How many aliases `ListAliases` answers at once, unless told otherwise, and at most (service model).
const PAGE: usize = 50;
const MAX_PAGE: usize = 100;

impl Operation<'_> {
    /// The key's policy is asked. In AWS, IAM policies must allow it for the alias too; there are none here.
    pub(super) fn create_alias(&mut self, request: request::CreateAlias) -> Result<Answer, ServiceError> {
        let name = required(request.alias_name, "aliasName")?;
        self.trail.parameters.insert("aliasName".into(), name.clone().into());
        let invalid = |text: &str| Err(ServiceError::validation(text));
        match name.strip_prefix("alias/") {
            None => return invalid("Invalid identifier"),
            Some(rest) if rest.starts_with("aws/") => return Err(ServiceError::new("NotAuthorizedException", "")),
            Some(_) => {}
        }
        let alias = AliasArn::named(&name, self.region, &self.account()).ok_or_else(|| {
            ServiceError::new("InvalidAliasNameException", format!("{name} is not a name for an alias"))
        })?;
        let target = required(request.target_key_id, "targetKeyId")?;
        if target.contains("alias/") {
            return invalid("Aliases must refer to keys. Not aliases");
        }
        let key = self.find(Some(target), "targetKeyId", Names::NoAlias)?;
        self.authorize(&key, "kms:CreateAlias", &BTreeMap::new(), None)?;
        let text = alias.as_str().to_owned();
        if self.store.alias_count() >= MAX_ALIASES {
            return Err(ServiceError::new(
                "LimitExceededException",
                format!("There are {MAX_ALIASES} aliases already"),
            ));
        }
        if !self.store.add_alias(Alias { arn: alias, target: key.arn.clone(), created: self.now })? {
            let message = format!("An alias with the name {text} already exists");
            return Err(ServiceError::new("AlreadyExistsException", message));
        }
        // AWS answers with an empty body.
        Ok(Answer::default())
    }

    /// The aliases of the caller's account and region, in the order of their names; any known principal may ask, since in
    /// AWS IAM policies decide that.
    pub(super) fn list_aliases(&mut self, request: request::ListAliases) -> Result<Answer, ServiceError> {
        let limit = request.limit.unwrap_or(PAGE);
        if !(1..=MAX_PAGE).contains(&limit) {
            return Err(ServiceError::validation(format!("limit must be between 1 and {MAX_PAGE}")));
        }
        let target = request.key_id.map(|named| self.find(Some(named), "keyId", Names::NoAlias)).transpose()?;
        let account = self.account();
        let mut found = self.store.aliases();
        found.retain(|alias| alias.arn.region() == self.region && alias.arn.account() == account);
        found.retain(|alias| target.as_ref().is_none_or(|key| key.arn == alias.target));
        if let Some(marker) = request.marker {
            let after = AliasArn::named(&marker, self.region, &account);
            let after = after.ok_or_else(|| ServiceError::new("InvalidMarkerException", "the marker is not one"))?;
            found.retain(|alias| alias.arn.as_str() > after.as_str());
        }
        let truncated = found.len() > limit;
        found.truncate(limit);
        let mut answer = Map::new();
        answer.insert("Aliases".into(), found.iter().map(member).collect());
        answer.insert("Truncated".into(), truncated.into());
        if let (true, Some(last)) = (truncated, found.last()) {
            answer.insert("NextMarker".into(), last.arn.name().into());
        }
        to_answer(&answer)
    }
}

fn member(alias: &Alias) -> Value {
    json!({
        "AliasName": alias.arn.name(),
        "AliasArn": alias.arn.as_str(),
        "TargetKeyId": alias.target.id(),
        "CreationDate": alias.created.as_secs(),
        "LastUpdatedDate": alias.created.as_secs(),
    })
}
