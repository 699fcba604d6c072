//! A file as its ciphertext shows it.

use packproof_yaml::{Comments, YamlError};

use crate::comment;
use crate::error::show;
use crate::metadata::{Metadata, Selector};
use crate::sealed::{Kind, Sealed, SealedFault};
use crate::tree::{self, Leaf, METADATA_KEY, Tree};
use crate::{KeyEntry, SopsError, json, keys};

/// What the file is written in. SOPS goes by the file's name: `.json`, else YAML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One YAML document.
    Yaml,
    /// One JSON object.
    Json,
}

/// How much a file may ask of the reader.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest file, in bytes.
    pub max_bytes: usize,
    /// Deepest nesting of maps and lists; the file itself counts as 1.
    pub max_depth: usize,
    /// Most keys, scalars, maps and lists together.
    pub max_nodes: usize,
    /// Most master keys.
    pub max_key_entries: usize,
    /// Longest suffix or regular expression of a selector, in bytes.
    pub max_selector_bytes: usize,
}

impl Default for Limits {
    /// As the YAML reader's (8 MiB, 64 levels, 500,000 nodes), 256 master keys and 1 KiB.
    fn default() -> Self {
        let packproof_yaml::Limits { max_bytes, max_depth, max_nodes } = packproof_yaml::Limits::default();
        Self { max_bytes, max_depth, max_nodes, max_key_entries: 256, max_selector_bytes: 1024 }
    }
}

/// A SOPS file in good order as far as its ciphertext shows. Holds no secret.
pub struct Cell {
    pub(crate) metadata: Metadata,
    pub(crate) entries: Vec<(String, Item)>,
}

/// A value of the file.
pub(crate) enum Item {
    /// In clear; in the MAC unless `mac_only_encrypted`.
    Clear(Leaf),
    Sealed(Sealed),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
}

impl Cell {
    /// Reads a file and checks everything that can be checked without a key.
    ///
    /// # Errors
    /// Every [`SopsError`] but [`SopsError::MalformedAgeEntry`], [`SopsError::NoMatchingIdentity`] and
    /// [`SopsError::ContentRefused`].
    pub fn parse(bytes: &[u8], format: Format, limits: &Limits) -> Result<Self, SopsError> {
        let Limits { max_bytes, max_depth, max_nodes, .. } = *limits;
        let yaml_limits = packproof_yaml::Limits { max_bytes, max_depth, max_nodes };
        let tree = match format {
            Format::Yaml => tree::from_yaml(packproof_yaml::parse(bytes, &yaml_limits)?, Comments::default())?,
            Format::Json => json::parse(bytes, limits)?,
        };
        let Tree::Map(mut map) = tree else { return Err(SopsError::NotAMap) };
        if format == Format::Json && map.iter().any(|(key, _)| key != METADATA_KEY && folds_to_metadata_key(key)) {
            return Err(SopsError::UnknownMetadata { field: METADATA_KEY.into() });
        }
        let index = map.iter().position(|(key, _)| key == METADATA_KEY).ok_or(SopsError::NoMetadata)?;
        let (_, block) = map.remove(index);
        let metadata = Metadata::parse(block, limits)?;
        let selector = &metadata.selector;
        if format == Format::Yaml {
            map = with_comments(map, bytes, &yaml_limits, selector)?;
        }
        let entries = Walk { selector, path: Vec::new() }.map(map, false)?;
        Ok(Self { metadata, entries })
    }

    /// How many master keys of each [`KeyEntry::kind`] the file lists, in the order of their first one: for a refusal that
    /// has to say what there is.
    pub fn key_kinds(&self) -> Vec<(&'static str, usize)> {
        keys::kinds(&self.metadata.entries)
    }

    /// The master keys in file order, those of unsupported kinds too.
    pub fn entries(&self) -> &[KeyEntry] {
        &self.metadata.entries
    }

    /// The top-level keys in file order, without `sops`. Keys are in clear in every SOPS file.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(key, _)| key.as_str())
    }

    /// Whether the file has nothing but its `sops` block.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Go's JSON reader finds the block under any spelling that is `sops` but for case; then two blocks would exist, or one
/// that counts as a value too.
fn folds_to_metadata_key(key: &str) -> bool {
    // U+017F is the one character outside ASCII that folds to a letter of "sops".
    key.replace('\u{17f}', "s").eq_ignore_ascii_case(METADATA_KEY)
}

/// Checks the comments of a YAML file. When the selector needs them, the file is read again with them, and `map` with
/// the comments put in comes back.
fn with_comments(
    map: Vec<(String, Tree)>,
    bytes: &[u8],
    limits: &packproof_yaml::Limits,
    selector: &Selector,
) -> Result<Vec<(String, Tree)>, SopsError> {
    let text = std::str::from_utf8(bytes).map_err(|_| YamlError::NotUtf8)?;
    comment::refuse_sealed_values(text)?;
    if !selector.needs_comments() && !comment::may_have_empty(text) {
        return Ok(map);
    }
    let (node, comments) = packproof_yaml::parse_with_comments(bytes, limits)?;
    comment::refuse_empty_in_lists(&comments, &map)?;
    if !selector.needs_comments() {
        return Ok(map);
    }
    // sops counts the CR to the comment. It never writes one.
    let has_cr = text.contains('\r');
    for comment in &comments.loose {
        if has_cr || selector.selects_comment(&comment.text)? {
            return Err(SopsError::AmbiguousComment { line: comment.line });
        }
    }
    if let (true, Some(comment)) = (has_cr, comments.above.values().flatten().next()) {
        return Err(SopsError::AmbiguousComment { line: comment.line });
    }
    let Tree::Map(map) = tree::from_yaml(node, comments)? else { return Err(SopsError::NotAMap) };
    Ok(map.into_iter().filter(|(key, _)| key != METADATA_KEY).collect())
}

struct Walk<'a> {
    selector: &'a Selector,
    path: Vec<String>,
}

impl Walk<'_> {
    /// `selected`: by a key or comment above. Recursion is bounded by the readers' depth limit.
    fn map(&mut self, map: Vec<(String, Tree)>, selected: bool) -> Result<Vec<(String, Item)>, SopsError> {
        let mut items = Vec::with_capacity(map.len());
        for (key, value) in map {
            let selected = selected || self.selector.selects_key(&key)?;
            self.path.push(key);
            let value = self.item(value, selected, false)?;
            items.push((self.path.pop().unwrap_or_default(), value));
        }
        Ok(items)
    }

    fn item(&mut self, tree: Tree, mut selected: bool, in_list: bool) -> Result<Item, SopsError> {
        Ok(match tree {
            Tree::Commented(comments, tree) => {
                for comment in comments {
                    selected = selected || self.selector.selects_comment(&comment)?;
                }
                self.item(*tree, selected, in_list)?
            }
            Tree::Map(map) => Item::Map(self.map(map, selected)?),
            Tree::List(list) => {
                Item::List(list.into_iter().map(|value| self.item(value, selected, true)).collect::<Result<_, _>>()?)
            }
            // sops leaves null and the empty string as they are.
            Tree::Leaf(Leaf::Null) => Item::Clear(Leaf::Null),
            Tree::Leaf(leaf) if !self.selector.encrypts(selected) => Item::Clear(leaf),
            Tree::Leaf(Leaf::Str(text)) if text.is_empty() => Item::Clear(Leaf::Str(text)),
            Tree::Leaf(Leaf::Str(text)) if text.starts_with("ENC[") => {
                let sealed = Sealed::parse(&text).map_err(|fault| match fault {
                    SealedFault::Malformed => SopsError::MalformedCiphertext { path: show(&self.path) },
                    SealedFault::Type => SopsError::UnsupportedType { path: show(&self.path) },
                })?;
                // sops turns only comments within lists into values.
                if sealed.kind == Kind::Comment && !in_list {
                    return Err(SopsError::UnsupportedType { path: show(&self.path) });
                }
                Item::Sealed(sealed)
            }
            Tree::Leaf(_) => return Err(SopsError::NotEncrypted { path: show(&self.path) }),
        })
    }
}
