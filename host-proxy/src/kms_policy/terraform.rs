//! Key policies as Terraform, laid out as `terraform fmt` does.

use serde_json::{Map, Value};

/// One `aws_kms_key_policy` resource. The key itself is managed elsewhere.
///
/// `name` must be a Terraform identifier. Texts hold no `${` and no `%{`: they are ARNs, actions and hex.
pub(super) fn resource(name: &str, arn: &str, policy: &Value) -> String {
    let policy = expression(policy, 1);
    format!(
        "resource \"aws_kms_key_policy\" \"{name}\" {{\n  key_id = {}\n  policy = jsonencode({policy})\n}}\n",
        Value::String(arn.to_owned())
    )
}

fn expression(value: &Value, depth: usize) -> String {
    let (inner, outer) = ("  ".repeat(depth.saturating_add(1)), "  ".repeat(depth));
    match value {
        Value::Object(members) => {
            let mut out = String::from("{\n");
            for group in groups(members, depth) {
                let width = group.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
                for (name, text) in group {
                    out.push_str(&format!("{inner}{name:<width$} = {text}\n"));
                }
            }
            out + &outer + "}"
        }
        Value::Array(values) if values.iter().any(Value::is_object) => {
            let values: Vec<String> =
                values.iter().map(|value| inner.clone() + &expression(value, depth.saturating_add(1))).collect();
            format!("[\n{},\n{outer}]", values.join(",\n"))
        }
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(Value::to_string).collect();
            format!("[{}]", values.join(", "))
        }
        plain => plain.to_string(),
    }
}

/// Members with their values; `=` is aligned within each group, and a value of several lines ends its group.
fn groups(members: &Map<String, Value>, depth: usize) -> Vec<Vec<(String, String)>> {
    let mut groups: Vec<Vec<(String, String)>> = Vec::new();
    let mut open = false;
    for (name, value) in members {
        let bare = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let name = if bare { name.clone() } else { Value::String(name.clone()).to_string() };
        let text = expression(value, depth.saturating_add(1));
        let several_lines = text.contains('\n');
        match groups.last_mut() {
            Some(group) if open && !several_lines => group.push((name, text)),
            _ => groups.push(vec![(name, text)]),
        }
        open = !several_lines;
    }
    groups
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_layout_is_terraforms_own() {
        let policy = json!({
            "Version": "2012-10-17",
            "Statement": [{ "Sid": "A", "Effect": "Deny", "Action": ["a", "b"], "Condition": { "X": { "k:p": "v" } } }],
        });
        let expected = r#"resource "aws_kms_key_policy" "cells_1" {
  key_id = "arn:x"
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid    = "A"
        Effect = "Deny"
        Action = ["a", "b"]
        Condition = {
          X = {
            "k:p" = "v"
          }
        }
      },
    ]
  })
}
"#;
        assert_eq!(resource("cells_1", "arn:x", &policy), expected);
    }
}
