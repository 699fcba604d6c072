//! From JSON to [`Policy`].

use serde_json::{Map, Value};

use super::condition::{Condition, Mismatch, Operator};
use super::context::canonical_key;
use super::pattern::Pattern;
use super::principal::PrincipalSet;
use super::{Effect, Policy, PolicyError, Statement};

/// The two versions of the policy language. An absent version is the older one.
const VERSIONS: [&str; 2] = ["2012-10-17", "2008-10-17"];

pub(super) fn policy(document: &Value) -> Result<Policy, PolicyError> {
    let document = document.as_object().ok_or_else(|| malformed("it is not an object"))?;
    for (member, value) in document {
        match member.as_str() {
            "Version" if value.as_str().is_some_and(|version| VERSIONS.contains(&version)) => {}
            "Version" => return Err(malformed("Version must be 2012-10-17 or 2008-10-17")),
            "Id" if value.is_string() => {}
            "Statement" => {}
            _ => return Err(malformed(&format!("member {member:?} has no place in a policy"))),
        }
    }
    let statements: Vec<&Value> = match document.get("Statement") {
        Some(Value::Array(statements)) => statements.iter().collect(),
        Some(one @ Value::Object(_)) => vec![one],
        _ => return Err(malformed("Statement must be an object or a list of objects")),
    };
    if statements.is_empty() {
        return Err(malformed("it has no statement"));
    }
    let statements = statements
        .into_iter()
        .zip(1_usize..)
        .map(|(value, place)| statement(value, place))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Policy { statements })
}

fn statement(value: &Value, place: usize) -> Result<Statement, PolicyError> {
    let members = value.as_object().ok_or_else(|| malformed(&format!("statement #{place} is not an object")))?;
    let name = match members.get("Sid") {
        None => format!("#{place}"),
        Some(Value::String(sid)) if sid.is_empty() => format!("#{place}"),
        Some(Value::String(sid)) => sid.clone(),
        Some(_) => return Err(malformed(&format!("statement #{place}: Sid is not a text"))),
    };
    for member in members.keys() {
        match member.as_str() {
            "Sid" | "Effect" | "Principal" | "Action" | "Resource" | "Condition" => {}
            "NotPrincipal" | "NotAction" | "NotResource" => return Err(unsupported(&name, member)),
            _ => return Err(malformed(&format!("statement {name}: member {member:?} has no place in a statement"))),
        }
    }
    let effect = match members.get("Effect").and_then(Value::as_str) {
        Some("Allow") => Effect::Allow,
        Some("Deny") => Effect::Deny,
        _ => return Err(malformed(&format!("statement {name}: Effect must be Allow or Deny"))),
    };
    Ok(Statement {
        effect,
        principals: principals(members.get("Principal"), &name)?,
        actions: actions(members, &name)?,
        resources: resources(members, &name)?,
        conditions: members.get("Condition").map_or(Ok(Vec::new()), |block| conditions(block, &name))?,
        name,
    })
}

fn principals(value: Option<&Value>, statement: &str) -> Result<PrincipalSet, PolicyError> {
    let values = match value {
        None => return Err(malformed(&format!("statement {statement}: a key policy needs a Principal"))),
        Some(Value::String(all)) if all == "*" => vec!["*"],
        Some(Value::Object(kinds)) => {
            if let Some(kind) = kinds.keys().find(|kind| *kind != "AWS") {
                return Err(unsupported(statement, &format!("Principal {kind:?}")));
            }
            texts(kinds.get("AWS"), "Principal", statement)?
        }
        Some(_) => return Err(malformed(&format!("statement {statement}: Principal must be \"*\" or {{\"AWS\": …}}"))),
    };
    PrincipalSet::parse(&values).map_err(|principal| unsupported(statement, &format!("Principal {principal:?}")))
}

fn actions(members: &Map<String, Value>, statement: &str) -> Result<Vec<Pattern>, PolicyError> {
    let actions = texts(members.get("Action"), "Action", statement)?;
    for action in &actions {
        let of_kms = action.split_once(':').is_some_and(|(service, name)| {
            service.eq_ignore_ascii_case("kms")
                && !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"*?".contains(&byte))
        });
        if *action != "*" && !of_kms {
            return Err(unsupported(statement, &format!("Action {action:?}")));
        }
    }
    Ok(actions.into_iter().map(Pattern::new).collect())
}

fn resources(members: &Map<String, Value>, statement: &str) -> Result<Vec<Pattern>, PolicyError> {
    let texts = texts(members.get("Resource"), "Resource", statement)?;
    texts
        .into_iter()
        .map(|text| {
            no_variable(text, statement)?;
            let pattern = Pattern::new(text);
            if pattern.is_resource() { Ok(pattern) } else { Err(unsupported(statement, &format!("Resource {text:?}"))) }
        })
        .collect()
}

fn conditions(block: &Value, statement: &str) -> Result<Vec<Condition>, PolicyError> {
    let wrong = |what: &str| malformed(&format!("statement {statement}: {what}"));
    let operators = block.as_object().ok_or_else(|| wrong("Condition is not an object"))?;
    let mut conditions = Vec::new();
    for (operator_name, keys) in operators {
        let operator = Operator::parse(operator_name).ok_or_else(|| PolicyError::UnknownOperator {
            statement: statement.to_owned(),
            operator: operator_name.clone(),
        })?;
        let keys = keys.as_object().ok_or_else(|| wrong("a condition operator does not hold an object"))?;
        if keys.is_empty() {
            return Err(wrong("a condition operator holds no key"));
        }
        for (key_name, values) in keys {
            let key = canonical_key(key_name).ok_or_else(|| PolicyError::UnknownConditionKey {
                statement: statement.to_owned(),
                key: key_name.clone(),
            })?;
            let values = condition_values(values, key_name, statement)?;
            let condition = Condition::new(operator, key, values).map_err(|mismatch| match mismatch {
                Mismatch::NotBoolean => wrong(&format!("{operator_name} takes true or false for {key_name}")),
                Mismatch::SetOnSingleValue | Mismatch::SetMissing | Mismatch::NotArn => {
                    unsupported(statement, &format!("{operator_name} on {key_name}"))
                }
            })?;
            conditions.push(condition);
        }
    }
    Ok(conditions)
}

/// The values of one condition key: texts or booleans, one or several.
fn condition_values(values: &Value, key: &str, statement: &str) -> Result<Vec<String>, PolicyError> {
    let values = match values {
        Value::Array(values) => values.as_slice(),
        one => std::slice::from_ref(one),
    };
    if values.is_empty() {
        return Err(malformed(&format!("statement {statement}: condition key {key} has no value")));
    }
    values
        .iter()
        .map(|value| match value {
            Value::String(text) => no_variable(text, statement).map(|()| text.clone()),
            Value::Bool(flag) => Ok(flag.to_string()),
            _ => Err(malformed(&format!("statement {statement}: a value of condition key {key} is not a text"))),
        })
        .collect()
}

/// A text or a list of at least one text.
fn texts<'a>(value: Option<&'a Value>, element: &str, statement: &str) -> Result<Vec<&'a str>, PolicyError> {
    let values = match value {
        Some(Value::Array(values)) => values.iter().map(Value::as_str).collect(),
        Some(Value::String(text)) => Some(vec![text.as_str()]),
        _ => None,
    };
    values.filter(|values: &Vec<&str>| !values.is_empty()).ok_or_else(|| {
        malformed(&format!("statement {statement}: {element} must be a text or a list of at least one text"))
    })
}

/// IAM fills in `${…}`; here that would be compared as it stands, so it is refused.
fn no_variable(text: &str, statement: &str) -> Result<(), PolicyError> {
    if text.contains("${") {
        return Err(unsupported(statement, &format!("policy variable in {text:?}")));
    }
    Ok(())
}

fn malformed(reason: &str) -> PolicyError {
    PolicyError::Malformed { reason: reason.to_owned() }
}

fn unsupported(statement: &str, element: &str) -> PolicyError {
    PolicyError::Unsupported { statement: statement.to_owned(), element: element.to_owned() }
}
