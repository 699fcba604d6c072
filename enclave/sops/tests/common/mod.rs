//! What the test files share.
#![allow(dead_code, reason = "each test program uses its own part")]

pub(crate) mod generate;
pub(crate) mod mutate;
pub(crate) mod peer;
pub(crate) mod random;
pub(crate) mod words;
pub(crate) mod writer;

use std::path::PathBuf;

use age::x25519::Identity;
use packproof_sops::{Cell, Format, KeyEntry, Limits, Plain, SopsError, Value, open_age_entry};
use packproof_yaml::Node;

pub(crate) fn testdata(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata").join(path)
}

pub(crate) fn read(path: &str) -> Vec<u8> {
    std::fs::read(testdata(path)).unwrap()
}

pub(crate) fn identity() -> Identity {
    let file = String::from_utf8(read("TEST-ONLY-age-key.txt")).unwrap();
    file.lines().find(|line| line.starts_with("AGE-SECRET-KEY-1")).unwrap().parse().unwrap()
}

pub(crate) fn format_of(path: &str) -> Format {
    if path.ends_with(".json") { Format::Json } else { Format::Yaml }
}

/// The whole way with the test key.
pub(crate) fn decrypt(bytes: &[u8], format: Format) -> Result<Plain, SopsError> {
    let cell = Cell::parse(bytes, format, &Limits::default())?;
    let identity = identity();
    // As sops: the first age entry that opens.
    let mut refusal = SopsError::NoMatchingIdentity;
    for entry in cell.entries() {
        let KeyEntry::Age { enc, .. } = entry else { continue };
        match open_age_entry(enc, &identity) {
            Ok(key) => return cell.decrypt(&key),
            Err(SopsError::NoMatchingIdentity) => {}
            Err(error) => refusal = error,
        }
    }
    Err(refusal)
}

/// Whether the values are those of sops's YAML output, comments apart. The output must have no string of several lines.
pub(crate) fn same_as_yaml(ours: &[(String, Value)], theirs: &[u8]) -> Result<(), String> {
    let theirs = std::str::from_utf8(theirs).map_err(|error| error.to_string())?;
    let theirs = packproof_yaml::parse(without_comment_lines(theirs).as_bytes(), &packproof_yaml::Limits::default())
        .map_err(|error| error.to_string())?;
    same_node_map(ours, &theirs)
}

/// Go's writer puts the comment of an empty map or list between its brackets, and the closing one where YAML has none: at
/// the indentation of the key.
fn without_comment_lines(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        match lines.last_mut() {
            Some(last) if matches!(line.trim(), "}" | "]") => last.push_str(line.trim()),
            _ => lines.push(line.to_owned()),
        }
    }
    lines.join("\n") + "\n"
}

fn same_node_map(ours: &[(String, Value)], theirs: &Node) -> Result<(), String> {
    let theirs = theirs.as_map().ok_or("not a map for sops")?;
    if ours.len() != theirs.len() {
        return Err(format!("{} keys for {}", ours.len(), theirs.len()));
    }
    for ((key, value), (their_key, their_value)) in ours.iter().zip(theirs) {
        if their_key.as_scalar().is_none_or(|their_key| their_key.text != *key) {
            return Err(format!("key {key:?} for {their_key:?}"));
        }
        same_node(value, their_value).map_err(|error| format!("{key:?}: {error}"))?;
    }
    Ok(())
}

fn same_node(ours: &Value, theirs: &Node) -> Result<(), String> {
    let plain = theirs.as_scalar().filter(|scalar| scalar.plain).map(|scalar| scalar.text.as_str());
    let equal = match ours {
        Value::Null => matches!(plain, Some("null" | "")),
        Value::Bool(ours) => plain == Some(&ours.to_string()),
        Value::Int(ours) => plain == Some(&ours.to_string()),
        Value::Float(ours) if ours.is_nan() => plain == Some(".nan"),
        Value::Float(ours) if ours.is_infinite() => plain == Some(if *ours > 0.0 { ".inf" } else { "-.inf" }),
        Value::Float(ours) => plain.and_then(|plain| plain.parse().ok()) == Some(*ours),
        Value::Time(ours) => plain == Some(ours.expose()),
        Value::Str(ours) => theirs.as_scalar().is_some_and(|theirs| theirs.text == ours.expose()),
        Value::Map(ours) => return same_node_map(ours, theirs),
        Value::List(ours) => {
            let ours: Vec<_> = ours.iter().filter(|item| !matches!(item, Value::Comment(_))).collect();
            let theirs = theirs.as_list().ok_or("no list for sops")?;
            for (ours, theirs) in ours.iter().zip(theirs) {
                same_node(ours, theirs)?;
            }
            ours.len() == theirs.len()
        }
        Value::Comment(_) => false,
    };
    if equal { Ok(()) } else { Err(format!("not sops's {theirs:?}")) }
}

/// Whether the values are those of sops's JSON output, in the same order. It does not show comments.
pub(crate) fn same_map(ours: &[(String, Value)], theirs: &serde_json::Value) -> Result<(), String> {
    let theirs = theirs.as_object().ok_or("not a map for sops")?;
    if ours.len() != theirs.len() {
        return Err(format!("{} keys for {}", ours.len(), theirs.len()));
    }
    for ((key, value), (their_key, their_value)) in ours.iter().zip(theirs) {
        if key != their_key {
            return Err(format!("key {key:?} for {their_key:?}"));
        }
        same(value, their_value).map_err(|error| format!("{key:?}: {error}"))?;
    }
    Ok(())
}

fn same(ours: &Value, theirs: &serde_json::Value) -> Result<(), String> {
    let equal = match ours {
        Value::Null => theirs.is_null(),
        Value::Bool(ours) => theirs.as_bool() == Some(*ours),
        Value::Int(ours) => theirs.as_i64() == Some(*ours),
        // serde_json may round the last digit otherwise; the MAC is over all digits.
        Value::Float(ours) => theirs.as_f64().is_some_and(|theirs| (ours - theirs).abs() <= ours.abs() * f64::EPSILON),
        Value::Str(ours) | Value::Time(ours) => theirs.as_str() == Some(ours.expose()),
        Value::Map(ours) => return same_map(ours, theirs),
        Value::List(ours) => {
            let ours: Vec<_> = ours.iter().filter(|item| !matches!(item, Value::Comment(_))).collect();
            let theirs = theirs.as_array().ok_or("no list for sops")?;
            for (ours, theirs) in ours.iter().zip(theirs) {
                same(ours, theirs)?;
            }
            ours.len() == theirs.len()
        }
        Value::Comment(_) => false,
    };
    if equal { Ok(()) } else { Err(format!("not sops's {theirs}")) }
}
