//! YAML 1.2 core schema, as the npm package `yaml` 2.x reads it and hands it to JavaScript.
//!
//! A plain scalar may be null, a boolean or a number; everything else is text. A key becomes text the way JavaScript
//! does it (`null` becomes the empty string, `1.0` becomes `1`), so two keys may collide here that differ in the file.
//!
//! Source: YAML 1.2.2, 10.3.2; `yaml` 2.9, `schema/core`.

use packproof_yaml::{Node, Scalar};

use crate::manifest::{ManifestError, Problem};
use crate::number;

/// A typed document.
#[derive(Debug, PartialEq)]
pub(crate) enum Yaml {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
}

/// Types a tree. Its depth is bounded by the reader that made it.
///
/// Stricter than Clef: an explicit tag (which Clef's library warns about, or converts by) and the key `<<` (which
/// other YAML readers merge) are refused, and so are two keys that become the same text.
pub(crate) fn typed(node: Node) -> Result<Yaml, ManifestError> {
    match node {
        Node::Scalar(scalar) => resolve(scalar),
        Node::List(items) => {
            let typed_items = items.into_iter().enumerate();
            typed_items
                .map(|(i, item)| typed(item).map_err(|error| error.inside(&format!("[{i}]"))))
                .collect::<Result<_, _>>()
                .map(Yaml::List)
        }
        Node::Map(entries) => map(entries),
    }
}

fn map(entries: Vec<(Node, Node)>) -> Result<Yaml, ManifestError> {
    let mut seen = std::collections::BTreeSet::new();
    let mut typed_entries = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        let key = key_text(key)?;
        let step = format!(".{}", crate::preview(&key));
        if key == "<<" {
            return Err(ManifestError::new(step, Problem::MergeKey));
        }
        if !seen.insert(key.clone()) {
            return Err(ManifestError::new(step, Problem::DuplicateKey));
        }
        let value = typed(value).map_err(|error| error.inside(&step))?;
        typed_entries.push((key, value));
    }
    Ok(Yaml::Map(typed_entries))
}

fn key_text(key: Node) -> Result<String, ManifestError> {
    match typed(key)? {
        Yaml::Null => Ok(String::new()),
        Yaml::Bool(value) => Ok(value.to_string()),
        Yaml::Number(value) => Ok(number::to_js_string(value).as_str().to_owned()),
        Yaml::Text(text) => Ok(text),
        // The tree's keys are scalars; should that ever change, such a key is refused.
        Yaml::List(_) | Yaml::Map(_) => Err(ManifestError::new(String::new(), Problem::NotAString)),
    }
}

fn resolve(scalar: Scalar) -> Result<Yaml, ManifestError> {
    if scalar.tag.is_some() {
        return Err(ManifestError::new(String::new(), Problem::Tag));
    }
    if !scalar.plain {
        return Ok(Yaml::Text(scalar.text));
    }
    Ok(match scalar.text.as_str() {
        "" | "~" | "null" | "Null" | "NULL" => Yaml::Null,
        "true" | "True" | "TRUE" => Yaml::Bool(true),
        "false" | "False" | "FALSE" => Yaml::Bool(false),
        text => match plain_number(text) {
            Some(value) => Yaml::Number(value),
            None => Yaml::Text(scalar.text),
        },
    })
}

/// The number a plain scalar stands for, if it is one.
fn plain_number(text: &str) -> Option<f64> {
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let magnitude = match unsigned {
        ".inf" | ".Inf" | ".INF" => f64::INFINITY,
        ".nan" | ".NaN" | ".NAN" if unsigned == text => f64::NAN,
        decimal if is_decimal(decimal) => decimal.parse().ok()?,
        _ => return None,
    };
    Some(if negative { -magnitude } else { magnitude })
}

fn radix(digits: &str, radix: u32) -> Option<f64> {
    if digits.is_empty() {
        return None;
    }
    digits.chars().try_fold(0.0, |sum, c| Some(sum * f64::from(radix) + f64::from(c.to_digit(radix)?)))
}

/// `[0-9]+`, `[0-9]+\.[0-9]*` or `\.[0-9]+`, each with or without an exponent.
fn is_decimal(text: &str) -> bool {
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let mantissa_ok = match mantissa.split_once('.') {
        None => !mantissa.is_empty() && all_digits(mantissa),
        Some((whole, fraction)) => {
            all_digits(whole) && all_digits(fraction) && !(whole.is_empty() && fraction.is_empty())
        }
    };
    let exponent_ok = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !digits.is_empty() && all_digits(digits)
    });
    mantissa_ok && exponent_ok
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Yaml {
        typed(packproof_yaml::parse(text.as_bytes(), &packproof_yaml::Limits::default()).unwrap()).unwrap()
    }

    fn plain(text: &str) -> Yaml {
        let scalar = Scalar { text: text.into(), plain: true, tag: None };
        typed(Node::Scalar(scalar)).unwrap()
    }

    #[test]
    fn plain_scalars_are_typed_as_the_npm_library_does() {
        for text in ["", "~", "null", "Null", "NULL"] {
            assert_eq!(plain(text), Yaml::Null, "{text}");
        }
        for text in ["true", "True", "TRUE"] {
            assert_eq!(plain(text), Yaml::Bool(true), "{text}");
        }
        for text in ["false", "False", "FALSE"] {
            assert_eq!(plain(text), Yaml::Bool(false), "{text}");
        }
        let numbers = [
            ("1", 1.0),
            ("01", 1.0),
            ("+1", 1.0),
            ("-12", -12.0),
            ("0o17", 15.0),
            ("0x1f", 31.0),
            ("0xFF", 255.0),
            ("1.", 1.0),
            (".5", 0.5),
            ("+.5e1", 5.0),
            ("-1.e0", -1.0),
            ("1E+3", 1000.0),
            ("1e-2", 0.01),
            ("9007199254740993", 9007199254740992.0),
            ("1e400", f64::INFINITY),
            (".inf", f64::INFINITY),
            ("-.INF", f64::NEG_INFINITY),
        ];
        for (text, number) in numbers {
            assert_eq!(plain(text), Yaml::Number(number), "{text}");
        }
        assert!(matches!(plain(".nan"), Yaml::Number(n) if n.is_nan()));
        for text in [
            "yes", "On", "nULL", "tRUE", "1_000", "-0x1", "+0o7", "0o8", "0x", "0o", "1e", "e1", ".", "+", "-",
            "1.2.3", "+.nan", "-.NaN", "inf", "nan", "infinity", "1e5.0", "0b1", " 1", "1:30", "<<",
        ] {
            assert_eq!(plain(text), Yaml::Text(text.into()), "{text}");
        }
    }

    #[test]
    fn quoted_scalars_are_text() {
        assert_eq!(value("\"1\""), Yaml::Text("1".into()));
        assert_eq!(value("'null'"), Yaml::Text("null".into()));
        assert_eq!(value("|-\n  true\n"), Yaml::Text("true".into()));
    }

    #[test]
    fn keys_become_text_as_in_javascript() {
        let Yaml::Map(entries) = value("~: a\ntrue: b\n1.0: c\n0x10: d\n\"null\": e\n") else { panic!() };
        let keys: Vec<&str> = entries.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["", "true", "1", "16", "null"]);
    }
}
