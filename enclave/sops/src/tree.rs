//! The file as a typed tree, before anything is known about encryption.

use packproof_yaml::{Node, Scalar};

use crate::error::show;
use crate::{SopsError, scalar};

/// A value of the file, typed as sops types it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tree {
    Leaf(Leaf),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
}

/// A value without parts. Nothing here is secret: an encrypted value is the string `ENC[…]`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Leaf {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(String),
    /// RFC 3339 exactly as Go writes it.
    Time(String),
}

/// Types a YAML tree as Go's `yaml.v3` does.
pub(crate) fn from_yaml(node: Node) -> Result<Tree, SopsError> {
    // sops reads the sops block by a struct, and there a top-level merge key takes effect.
    for (key, _) in node.as_map().unwrap_or_default() {
        if key.as_scalar().is_some_and(|key| key.text == "<<" && (key.plain || key.tag.is_some())) {
            return Err(SopsError::UnsupportedScalar { path: "<<".into() });
        }
    }
    convert(node, &mut Vec::new())
}

/// Recursion is bounded by the YAML reader's depth limit.
fn convert(node: Node, path: &mut Vec<String>) -> Result<Tree, SopsError> {
    Ok(match node {
        Node::Scalar(scalar) => {
            Tree::Leaf(leaf(scalar).ok_or_else(|| SopsError::UnsupportedScalar { path: show(path) })?)
        }
        Node::List(items) => Tree::List(items.into_iter().map(|item| convert(item, path)).collect::<Result<_, _>>()?),
        Node::Map(entries) => {
            let mut map = Vec::with_capacity(entries.len());
            for (key, value) in entries {
                let Node::Scalar(key) = key else { return Err(SopsError::KeyNotString { path: show(path) }) };
                let Some(Leaf::Str(key)) = leaf(key) else {
                    return Err(SopsError::KeyNotString { path: show(path) });
                };
                path.push(key);
                let value = convert(value, path)?;
                map.push((path.pop().unwrap_or_default(), value));
            }
            Tree::Map(map)
        }
    })
}

/// `None` for what sops never writes.
fn leaf(scalar: Scalar) -> Option<Leaf> {
    match scalar.tag.as_deref() {
        None if scalar.plain => scalar::resolve(scalar.text),
        None => Some(Leaf::Str(scalar.text)),
        // How yaml.v3 writes the string `<<`, for example the key of a merge that was expanded.
        Some("tag:yaml.org,2002:merge") if scalar.text == "<<" => Some(Leaf::Str(scalar.text)),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Tree, SopsError> {
        from_yaml(packproof_yaml::parse(text.as_bytes(), &packproof_yaml::Limits::default()).unwrap())
    }

    #[test]
    fn keys_must_be_strings_for_go() {
        for key in ["1", "1.5", "true", "null", "~", ".inf", "2026-01-02", "2026-01-02T00:00:00Z", "!!int 1", "!x a"] {
            assert_eq!(read(&format!("a: {{{key}: v}}")), Err(SopsError::KeyNotString { path: "a".into() }), "{key}");
            assert_eq!(read(&format!("{key}: v")), Err(SopsError::KeyNotString { path: String::new() }), "{key}");
        }
        for key in ["yes", "n", "on", "1.2.3", "'1'", "\"true\"", "\"<<\""] {
            assert!(read(&format!("{key}: v")).is_ok(), "{key}");
        }
    }

    #[test]
    fn merge_keys_are_plain_strings_below_the_top_and_refused_at_the_top() {
        let tree = read("a: {!!merge <<: {b: c}}").unwrap();
        let inner = Tree::Map(vec![("b".into(), Tree::Leaf(Leaf::Str("c".into())))]);
        assert_eq!(tree, Tree::Map(vec![("a".into(), Tree::Map(vec![("<<".into(), inner)]))]));
        for text in ["<<: {b: c}", "!!merge <<: {b: c}", "!!str <<: x"] {
            assert_eq!(read(text), Err(SopsError::UnsupportedScalar { path: "<<".into() }), "{text}");
        }
    }

    #[test]
    fn tags_are_refused_with_their_path() {
        for value in ["!!binary aGVsbG8=", "!!str 1", "!!float 1", "! a", "!x a", "!!merge a"] {
            let expected = SopsError::UnsupportedScalar { path: "a.b".into() };
            assert_eq!(read(&format!("a: {{b: [{value}]}}")), Err(expected), "{value}");
        }
    }
}
