//! The file as a typed tree, before anything is known about encryption.

use packproof_yaml::{Comments, Node, Scalar};

use crate::error::show;
use crate::{SopsError, scalar};

/// A value of the file, typed as sops types it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tree {
    Leaf(Leaf),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
    /// A value with the comments above its entry or item. Only in YAML, outside the `sops` block, and only when asked for.
    Commented(Vec<String>, Box<Self>),
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

/// Types a YAML tree as Go's `yaml.v3` does, with those `comments` that stand above something.
pub(crate) fn from_yaml(node: Node, comments: Comments) -> Result<Tree, SopsError> {
    let merges = node.as_map().unwrap_or_default().iter().filter(|(key, _)| is_merge(key));
    if !merges.into_iter().all(|(_, value)| brings_no_block(value, true)) {
        return Err(SopsError::UnsupportedScalar { path: "<<".into() });
    }
    Converter { comments, elements: 0, path: Vec::new(), pending: Vec::new() }.convert(node)
}

/// A key that merges maps, as Go's reader sees it.
fn is_merge(key: &Node) -> bool {
    key.as_scalar().is_some_and(|key| key.text == "<<" && (key.plain || key.tag.is_some()))
}

/// Whether the value of a merge at the top may stay a value like others. sops reads its block with a reader for which such a
/// merge takes effect: it must be a map or a list of maps, and none of them may bring a block. Recursion is bounded by the
/// YAML reader's depth limit.
fn brings_no_block(merged: &Node, list_allowed: bool) -> bool {
    match merged {
        Node::Scalar(_) => false,
        Node::List(items) => list_allowed && items.iter().all(|item| brings_no_block(item, false)),
        Node::Map(entries) => entries.iter().all(|(key, value)| {
            if is_merge(key) {
                brings_no_block(value, true)
            } else {
                key.as_scalar().is_some_and(|key| key.text != METADATA_KEY)
            }
        }),
    }
}

/// The key of sops's own block, at the top.
pub(crate) const METADATA_KEY: &str = "sops";

struct Converter {
    comments: Comments,
    /// How many elements have started.
    elements: usize,
    path: Vec<String>,
    /// Comments above the `sops` block. sops removes the block, and so they stand above what follows it.
    pending: Vec<String>,
}

impl Converter {
    /// Recursion is bounded by the YAML reader's depth limit.
    fn convert(&mut self, node: Node) -> Result<Tree, SopsError> {
        Ok(match node {
            Node::Scalar(scalar) => {
                Tree::Leaf(leaf(scalar).ok_or_else(|| SopsError::UnsupportedScalar { path: show(&self.path) })?)
            }
            Node::List(items) => {
                Tree::List(items.into_iter().map(|item| self.element(item)).collect::<Result<_, _>>()?)
            }
            Node::Map(entries) => {
                let mut map = Vec::with_capacity(entries.len());
                for (key, value) in entries {
                    let Node::Scalar(key) = key else { return Err(self.key_not_string()) };
                    let Some(Leaf::Str(key)) = leaf(key) else { return Err(self.key_not_string()) };
                    self.path.push(key);
                    let value = self.element(value)?;
                    map.push((self.path.pop().unwrap_or_default(), value));
                }
                Tree::Map(map)
            }
        })
    }

    /// A map's value or a list's item.
    fn element(&mut self, node: Node) -> Result<Tree, SopsError> {
        let above = self.comments.above.remove(&self.elements).unwrap_or_default();
        self.elements = self.elements.saturating_add(1);
        let above = above.into_iter().map(|comment| comment.text);
        if self.path.first().is_some_and(|key| key == METADATA_KEY) {
            if self.path.len() == 1 && matches!(node, Node::Map(_)) {
                self.pending.extend(above);
            }
            return self.convert(node);
        }
        let mut comments = std::mem::take(&mut self.pending);
        comments.extend(above);
        let tree = self.convert(node)?;
        Ok(if comments.is_empty() { tree } else { Tree::Commented(comments, Box::new(tree)) })
    }

    fn key_not_string(&self) -> SopsError {
        SopsError::KeyNotString { path: show(&self.path) }
    }
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
        let node = packproof_yaml::parse(text.as_bytes(), &packproof_yaml::Limits::default()).unwrap();
        from_yaml(node, Comments::default())
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
    fn merges_stay_as_a_map_under_their_key() {
        let inner = Tree::Map(vec![("b".into(), Tree::Leaf(Leaf::Str("c".into())))]);
        let merge = Tree::Map(vec![("<<".into(), inner.clone())]);
        assert_eq!(read("!!merge <<: {b: c}").unwrap(), merge);
        assert_eq!(read("<<: {b: c}").unwrap(), merge);
        assert_eq!(read("a: {!!merge <<: {b: c}}").unwrap(), Tree::Map(vec![("a".into(), merge)]));
        assert_eq!(read("<<: [{b: c}]").unwrap(), Tree::Map(vec![("<<".into(), Tree::List(vec![inner]))]));
        assert!(read("'<<': x").is_ok() && read("a: {<<: x}").is_ok());
    }

    /// At the top, where a merge could bring another `sops` block.
    #[test]
    fn merges_that_sops_might_take_a_block_from_are_refused() {
        for text in [
            "<<: x",
            "<<: [x]",
            "<<: [[{b: c}]]",
            "!!str <<: x",
            "<<: {sops: {}}",
            "<<: {'sops': {}}",
            "<<: [{b: c}, {sops: {}}]",
            "<<: {<<: {sops: {}}}",
            "<<: {!!merge <<: [{sops: {}}]}",
        ] {
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
