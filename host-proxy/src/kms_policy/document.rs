//! Policy documents, read whole: key policies and IAM policies.
//!
//! More is read than a key policy of ours would say, because it has to be explained; a member that the policy language
//! does not have makes the document unreadable, since whatever it was meant to do, it would not be judged.

use serde_json::{Map, Value};

use super::{
    condition::{Condition, Key, Operator, Truth, matches, matches_arn},
    json,
    roles::is_account,
};

/// A policy document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Document {
    pub(super) statements: Vec<Statement>,
}

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statement {
    /// The `Sid`, or `#2` for the second statement.
    pub(super) name: String,
    pub(super) effect: Effect,
    pub(super) principals: Principals,
    pub(super) actions: Names,
    pub(super) resources: Names,
    pub(super) conditions: Vec<Condition>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Allow,
    Deny,
}

/// Whom a statement means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Principals {
    /// Those the IAM policy is attached to.
    Holder,
    /// `Principal`.
    Only(Vec<Name>),
    /// `NotPrincipal`.
    Except(Vec<Name>),
}

/// One principal of a statement.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    /// `*`.
    Anybody,
    /// An account, by id or by its root's ARN.
    Account(String),
    /// A role, user or session.
    Arn(String),
    /// An AWS service.
    Service(String),
    /// The unique id that AWS shows in place of a principal that was deleted.
    Deleted(String),
    /// Federation and canonical users.
    Other(String),
}

/// Actions or resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names {
    /// `NotAction`, `NotResource`.
    pub(super) inverted: bool,
    pub(super) patterns: Vec<String>,
}

impl Names {
    /// Whether `action` is meant; actions have no case.
    pub(super) fn has_action(&self, action: &str) -> bool {
        let action = action.to_ascii_lowercase();
        self.inverted != self.patterns.iter().any(|pattern| matches(&pattern.to_ascii_lowercase(), &action))
    }

    /// Whether the key with this ARN is meant.
    pub(super) fn has_resource(&self, arn: &str) -> Truth {
        let meant = self.patterns.iter().map(|pattern| matches_arn(pattern, arn)).max().unwrap_or(Truth::No);
        if self.inverted { meant.not() } else { meant }
    }
}

/// Which kind of document is read: a key policy names principals, an IAM policy is attached to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Key,
    Iam,
}

impl Document {
    /// Reads a document from its text; AWS also prints documents as a text inside JSON.
    pub(super) fn from_text(text: &str, kind: Kind) -> Result<Self, String> {
        Self::from_value(&json::parse(text.as_bytes())?, kind)
    }

    /// Reads a document that is already JSON.
    pub(super) fn from_value(value: &Value, kind: Kind) -> Result<Self, String> {
        let members = value.as_object().ok_or("it is not a JSON object")?;
        for (name, value) in members {
            match name.as_str() {
                "Version" if value == "2012-10-17" || value == "2008-10-17" => {}
                "Version" => return Err("Version must be 2012-10-17 or 2008-10-17".into()),
                "Id" | "Statement" => {}
                _ => return Err(format!("member {name:?} has no place in a policy")),
            }
        }
        let statements: Vec<&Value> = match members.get("Statement") {
            Some(Value::Array(statements)) => statements.iter().collect(),
            Some(one @ Value::Object(_)) => vec![one],
            _ => return Err("it has no Statement".into()),
        };
        let read = |(value, place)| statement(value, place, kind);
        Ok(Self { statements: statements.into_iter().zip(1_usize..).map(read).collect::<Result<_, _>>()? })
    }

    pub(super) fn with_effect(&self, effect: Effect) -> impl Iterator<Item = &Statement> {
        self.statements.iter().filter(move |statement| statement.effect == effect)
    }
}

fn statement(value: &Value, place: usize, kind: Kind) -> Result<Statement, String> {
    let members = value.as_object().ok_or_else(|| format!("statement #{place} is not an object"))?;
    let name = match members.get("Sid") {
        None => format!("#{place}"),
        Some(Value::String(sid)) if sid.is_empty() => format!("#{place}"),
        Some(Value::String(sid)) => sid.clone(),
        Some(_) => return Err(format!("statement #{place}: Sid is not a text")),
    };
    let at = |error: String| format!("statement {name:?}: {error}");
    for member in members.keys() {
        let known = match member.as_str() {
            "Sid" | "Effect" | "Action" | "NotAction" | "Resource" | "NotResource" | "Condition" => true,
            "Principal" | "NotPrincipal" => kind == Kind::Key,
            _ => false,
        };
        if !known {
            return Err(at(format!("member {member:?} has no place in it")));
        }
    }
    let effect = match members.get("Effect").and_then(Value::as_str) {
        Some("Allow") => Effect::Allow,
        Some("Deny") => Effect::Deny,
        _ => return Err(at("Effect must be Allow or Deny".into())),
    };
    let principals = match (kind, members.get("Principal"), members.get("NotPrincipal")) {
        (Kind::Iam, ..) => Principals::Holder,
        (Kind::Key, Some(only), None) => Principals::Only(principals(only).map_err(at)?),
        (Kind::Key, None, Some(except)) => Principals::Except(principals(except).map_err(at)?),
        _ => return Err(at("it needs either Principal or NotPrincipal".into())),
    };
    Ok(Statement {
        effect,
        principals,
        actions: names(members, "Action").map_err(at)?,
        resources: names(members, "Resource").map_err(at)?,
        conditions: members.get("Condition").map_or(Ok(Vec::new()), conditions).map_err(at)?,
        name: name.clone(),
    })
}

fn principals(value: &Value) -> Result<Vec<Name>, String> {
    let kinds = match value {
        Value::String(all) if all == "*" => return Ok(vec![Name::Anybody]),
        Value::Object(kinds) if !kinds.is_empty() => kinds,
        _ => return Err("a principal must be \"*\" or {\"AWS\": …}".into()),
    };
    let mut names = Vec::new();
    for (kind, values) in kinds {
        let read: fn(&str) -> Name = match kind.as_str() {
            "AWS" => aws_principal,
            "Service" => |text| Name::Service(text.to_owned()),
            "Federated" | "CanonicalUser" => |text| Name::Other(text.to_owned()),
            _ => return Err(format!("principals of kind {kind:?} do not exist")),
        };
        names.extend(texts(values, kind)?.into_iter().map(read));
    }
    Ok(names)
}

fn aws_principal(text: &str) -> Name {
    let root = text
        .strip_prefix("arn:")
        .and_then(|rest| rest.split_once(":iam::"))
        .and_then(|(_, rest)| rest.strip_suffix(":root").filter(|account| is_account(account)));
    match root {
        _ if text == "*" => Name::Anybody,
        Some(account) => Name::Account(account.to_owned()),
        None if is_account(text) => Name::Account(text.to_owned()),
        None if text.starts_with("arn:") => Name::Arn(text.to_owned()),
        None => Name::Deleted(text.to_owned()),
    }
}

fn names(members: &Map<String, Value>, element: &str) -> Result<Names, String> {
    let not = format!("Not{element}");
    let (inverted, value) = match (members.get(element), members.get(&not)) {
        (Some(value), None) => (false, value),
        (None, Some(value)) => (true, value),
        _ => return Err(format!("it needs either {element} or {not}")),
    };
    Ok(Names { inverted, patterns: texts(value, element)?.into_iter().map(str::to_owned).collect() })
}

fn conditions(block: &Value) -> Result<Vec<Condition>, String> {
    let operators = block.as_object().ok_or("Condition is not an object")?;
    let mut conditions = Vec::new();
    for (operator, keys) in operators {
        let keys = keys.as_object().ok_or_else(|| format!("{operator} does not hold condition keys"))?;
        for (key, values) in keys {
            conditions.push(Condition {
                operator: Operator::parse(operator),
                operator_text: operator.clone(),
                key: Key::parse(key),
                key_text: key.clone(),
                values: condition_values(values).ok_or_else(|| format!("{key} does not hold texts"))?,
            });
        }
    }
    Ok(conditions)
}

fn condition_values(value: &Value) -> Option<Vec<String>> {
    let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    values
        .iter()
        .map(|value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
            _ => None,
        })
        .collect()
}

/// A text or a list of at least one.
fn texts<'a>(value: &'a Value, element: &str) -> Result<Vec<&'a str>, String> {
    let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    let texts: Option<Vec<&str>> = values.iter().map(Value::as_str).collect();
    texts.filter(|texts| !texts.is_empty()).ok_or_else(|| format!("{element} must be a text or a list of texts"))
}
