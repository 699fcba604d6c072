//! One condition: an operator, a key and its values.

use super::context::{Context, ENCRYPTION_CONTEXT_KEYS, PRINCIPAL_ARN};
use super::pattern::Pattern;

/// One condition. All conditions of a statement must hold.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    operator: Operator,
    /// Canonical, so lower case.
    key: String,
    /// At least one; any of them may match (for a negated operator: none may).
    values: Vec<String>,
}

/// A condition operator with its prefix and suffix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Operator {
    set: Option<Set>,
    test: Test,
    if_exists: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    ForAllValues,
    ForAnyValue,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Test {
    Equals,
    NotEquals,
    EqualsIgnoreCase,
    NotEqualsIgnoreCase,
    Like,
    NotLike,
    ArnLike,
    ArnNotLike,
    Bool,
    Null,
}

/// Why an operator does not go with a key or its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mismatch {
    /// `ForAllValues` or `ForAnyValue` on a key with one value: `ForAllValues` would hold when the key is absent.
    SetOnSingleValue,
    /// `kms:EncryptionContextKeys` has several values, so it needs `ForAllValues` or `ForAnyValue`.
    SetMissing,
    /// `Bool` and `Null` take `true` and `false` only.
    NotBoolean,
    /// Operators on ARNs are for `aws:PrincipalArn`, with an ARN of six parts.
    NotArn,
}

impl Operator {
    /// Reads an operator; `None` for one that is not evaluated here.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (set, name) = match name.split_once(':') {
            Some(("ForAllValues", rest)) => (Some(Set::ForAllValues), rest),
            Some(("ForAnyValue", rest)) => (Some(Set::ForAnyValue), rest),
            Some(_) => return None,
            None => (None, name),
        };
        let (name, if_exists) = name.strip_suffix("IfExists").map_or((name, false), |rest| (rest, true));
        let test = match name {
            "StringEquals" => Test::Equals,
            "StringNotEquals" => Test::NotEquals,
            "StringEqualsIgnoreCase" => Test::EqualsIgnoreCase,
            "StringNotEqualsIgnoreCase" => Test::NotEqualsIgnoreCase,
            "StringLike" => Test::Like,
            "StringNotLike" => Test::NotLike,
            // IAM: ArnEquals and ArnLike are the same.
            "ArnEquals" | "ArnLike" => Test::ArnLike,
            "ArnNotEquals" | "ArnNotLike" => Test::ArnNotLike,
            "Bool" => Test::Bool,
            // IAM: every operator but Null takes IfExists, and Null asks about the key as a whole.
            "Null" if !if_exists && set.is_none() => Test::Null,
            _ => return None,
        };
        Some(Self { set, test, if_exists })
    }
}

impl Test {
    fn is_negated(self) -> bool {
        matches!(self, Self::NotEquals | Self::NotEqualsIgnoreCase | Self::NotLike | Self::ArnNotLike)
    }

    /// Whether one value of the call and one of the policy are alike, before negation.
    fn alike(self, found: &str, wanted: &str) -> bool {
        match self {
            Self::Equals | Self::NotEquals => found == wanted,
            Self::EqualsIgnoreCase | Self::NotEqualsIgnoreCase | Self::Bool => {
                found.to_lowercase() == wanted.to_lowercase()
            }
            Self::Like | Self::NotLike => Pattern::new(wanted).matches(found),
            Self::ArnLike | Self::ArnNotLike => Pattern::new(wanted).matches_arn(found),
            // Answered by Condition::holds, which alone knows whether the key is there.
            Self::Null => false,
        }
    }
}

impl Condition {
    /// Puts a condition together. `key` is canonical.
    pub(super) fn new(operator: Operator, key: String, values: Vec<String>) -> Result<Self, Mismatch> {
        let boolean = |value: &String| ["true", "false"].contains(&value.to_lowercase().as_str());
        if matches!(operator.test, Test::Bool | Test::Null) && !values.iter().all(boolean) {
            return Err(Mismatch::NotBoolean);
        }
        let arn = |value: &String| Pattern::new(value).is_resource() && value != "*";
        if matches!(operator.test, Test::ArnLike | Test::ArnNotLike)
            && (key != PRINCIPAL_ARN || !values.iter().all(arn))
        {
            return Err(Mismatch::NotArn);
        }
        let many = key == ENCRYPTION_CONTEXT_KEYS;
        if operator.set.is_some() && !many {
            return Err(Mismatch::SetOnSingleValue);
        }
        if many && operator.set.is_none() && operator.test != Test::Null {
            return Err(Mismatch::SetMissing);
        }
        Ok(Self { operator, key, values })
    }

    /// Whether the condition holds for a call.
    pub(super) fn holds(&self, context: &Context) -> bool {
        let Operator { set, test, if_exists } = self.operator;
        let found = context.values(&self.key);
        if test == Test::Null {
            let absent = if found.is_empty() { "true" } else { "false" };
            return self.values.iter().any(|wanted| wanted.eq_ignore_ascii_case(absent));
        }
        let holds_for =
            |found: &String| test.is_negated() != self.values.iter().any(|wanted| test.alike(found, wanted));
        match set {
            _ if found.is_empty() && if_exists => true,
            Some(Set::ForAllValues) => found.iter().all(holds_for),
            Some(Set::ForAnyValue) => found.iter().any(holds_for),
            // IAM: a negated operator holds when the key is absent, any other one does not.
            None if found.is_empty() => test.is_negated(),
            None => found.iter().all(holds_for),
        }
    }
}
