//! Key policies, evaluated by IAM's rules.
//!
//! A policy is read once ([`Policy::parse`]) and then asked ([`Policy::evaluate`]). What this module cannot decide
//! exactly as AWS does is refused when the policy is read, never passed over: a Deny that silently does nothing is
//! worse than none.
//!
//! | read and evaluated | refused by name |
//! | --- | --- |
//! | `Principal`: `"*"`, `{"AWS": …}` with `"*"`, account ids, ARNs of roots, users and roles | `NotPrincipal`, services, federation, sessions |
//! | `Action` with `*` and `?` in any case | `NotAction`, actions of other services |
//! | `Resource`: `"*"` or an ARN with wild cards | `NotResource` |
//! | `StringEquals`, `StringNotEquals`, `…IgnoreCase`, `StringLike`, `StringNotLike`, `Bool`, `Null`, `…IfExists` | other operators |
//! | `ArnEquals`, `ArnLike`, `ArnNotEquals`, `ArnNotLike` on `aws:PrincipalArn` | on other keys, and with values that are no ARN |
//! | `ForAllValues:` and `ForAnyValue:` on `kms:EncryptionContextKeys` | on single-valued keys |
//! | the condition keys of [`Context`] | any other condition key, and policy variables `${…}` |
//!
//! **Only key policies decide here.** In AWS an Allow for the account's root (`arn:aws:iam::111122223333:root`, or
//! the account id) hands the decision to IAM policies. The local KMS has no IAM policies, so such a statement grants
//! nobody but the root principal itself. A *Deny* for it denies every principal of that account, as in AWS.
//!
//! Source: IAM User Guide, "Policy evaluation logic", "IAM JSON policy elements"; KMS Developer Guide, "Key policies".

mod condition;
mod context;
mod parse;
mod pattern;
mod principal;

use std::fmt;

use serde_json::Value;

use crate::json;
use condition::Condition;
pub use context::{Context, ContextKeysCollide};
use pattern::Pattern;
pub(crate) use principal::IamArn;
use principal::PrincipalSet;

/// The longest policy that KMS takes, in bytes of JSON (API reference, `PutKeyPolicy`).
pub const MAX_POLICY_BYTES: usize = 32_768;

/// A key policy of which every part is understood.
#[derive(Debug, Clone)]
pub struct Policy {
    statements: Vec<Statement>,
}

#[derive(Debug, Clone)]
struct Statement {
    /// The `Sid`, or `#2` for the second statement.
    name: String,
    effect: Effect,
    principals: PrincipalSet,
    actions: Vec<Pattern>,
    resources: Vec<Pattern>,
    conditions: Vec<Condition>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Allow,
    Deny,
}

/// What is asked of a policy.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// ARN of the calling IAM principal: a user, a role or an account root.
    pub principal: &'a str,
    /// The action with its prefix: `kms:Decrypt`.
    pub action: &'a str,
    /// ARN of the key.
    pub resource: &'a str,
    /// The condition keys of this call.
    pub context: &'a Context,
}

/// The answer of a policy. The statement that decided is named by its `Sid`, or by its place: `#1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// At least one statement allows, none denies.
    Allow {
        /// The first statement that allows.
        statement: String,
    },
    /// A statement denies; nothing can override it.
    ExplicitDeny {
        /// The first statement that denies.
        statement: String,
    },
    /// No statement speaks about the request.
    ImplicitDeny,
}

impl Policy {
    /// Reads a policy document, at most [`MAX_POLICY_BYTES`] of JSON.
    ///
    /// # Errors
    /// [`PolicyError`]: not a policy, or one with a part that is not evaluated here.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        if text.len() > MAX_POLICY_BYTES {
            return Err(PolicyError::TooLong { bytes: text.len() });
        }
        let document = json::parse_strict(text.as_bytes()).map_err(|reason| PolicyError::NotJson { reason })?;
        parse::policy(&document)
    }

    /// Reads a policy that is already JSON.
    ///
    /// # Errors
    /// As [`Policy::parse`].
    pub fn from_value(document: &Value) -> Result<Self, PolicyError> {
        Self::parse(&document.to_string())
    }

    /// Decides `request`: an explicit Deny wins, then an Allow, otherwise it is denied.
    pub fn evaluate(&self, request: &Request<'_>) -> Decision {
        let first =
            |effect| self.statements.iter().find(|statement| statement.effect == effect && statement.applies(request));
        if let Some(denying) = first(Effect::Deny) {
            return Decision::ExplicitDeny { statement: denying.name.clone() };
        }
        match first(Effect::Allow) {
            Some(allowing) => Decision::Allow { statement: allowing.name.clone() },
            None => Decision::ImplicitDeny,
        }
    }
}

impl Statement {
    fn applies(&self, request: &Request<'_>) -> bool {
        // In an Allow the account root stands for IAM policies, of which there are none; in a Deny for everybody.
        let root_means_account = self.effect == Effect::Deny;
        self.principals.includes(request.principal, root_means_account)
            && self.actions.iter().any(|action| action.matches_ignoring_case(request.action))
            && self.resources.iter().any(|resource| resource.matches_arn(request.resource))
            && self.conditions.iter().all(|condition| condition.holds(request.context))
    }
}

/// Why a policy was refused. `statement` is its `Sid` or place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyError {
    /// Longer than [`MAX_POLICY_BYTES`].
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Not JSON, or with a member given twice.
    NotJson {
        /// Where and what.
        reason: String,
    },
    /// The policy language does not allow this.
    Malformed {
        /// What is wrong and where.
        reason: String,
    },
    /// A part of the policy language that is not evaluated here.
    Unsupported {
        /// The statement.
        statement: String,
        /// The element, as `NotAction`.
        element: String,
    },
    /// A condition operator that is not evaluated here, or none at all.
    UnknownOperator {
        /// The statement.
        statement: String,
        /// The operator.
        operator: String,
    },
    /// A condition key that is not evaluated here, or none at all.
    UnknownConditionKey {
        /// The statement.
        statement: String,
        /// The condition key.
        key: String,
    },
}

impl PolicyError {
    /// A stable name of the cause.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "policy_too_long",
            Self::NotJson { .. } => "policy_not_json",
            Self::Malformed { .. } => "policy_malformed",
            Self::Unsupported { .. } => "policy_unsupported",
            Self::UnknownOperator { .. } => "policy_unknown_operator",
            Self::UnknownConditionKey { .. } => "policy_unknown_condition_key",
        }
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes } => {
                write!(f, "the key policy has {bytes} bytes; at most {MAX_POLICY_BYTES} are allowed")
            }
            Self::NotJson { reason } => write!(f, "the key policy is not valid JSON: {reason}"),
            Self::Malformed { reason } => write!(f, "the key policy is malformed: {reason}"),
            Self::Unsupported { statement, element } => {
                write!(f, "statement {statement}: {element} is not evaluated by the local KMS; write it another way")
            }
            Self::UnknownOperator { statement, operator } => {
                write!(f, "statement {statement}: condition operator {operator:?} is not evaluated by the local KMS")
            }
            Self::UnknownConditionKey { statement, key } => {
                write!(f, "statement {statement}: condition key {key:?} is not evaluated by the local KMS")
            }
        }
    }
}

impl std::error::Error for PolicyError {}
