//! A file as its ciphertext shows it.

use crate::error::show;
use crate::metadata::{Metadata, Selector};
use crate::sealed::{Kind, Sealed, SealedFault};
use crate::tree::{self, Leaf, Tree};
use crate::{KeyEntry, SopsError, json};

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
}

impl Default for Limits {
    /// As the YAML reader's (8 MiB, 64 levels, 500,000 nodes), and 256 master keys.
    fn default() -> Self {
        let packproof_yaml::Limits { max_bytes, max_depth, max_nodes } = packproof_yaml::Limits::default();
        Self { max_bytes, max_depth, max_nodes, max_key_entries: 256 }
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
        let tree = match format {
            Format::Yaml => {
                let node = packproof_yaml::parse(bytes, &packproof_yaml::Limits { max_bytes, max_depth, max_nodes })?;
                tree::from_yaml(node)?
            }
            Format::Json => json::parse(bytes, limits)?,
        };
        let Tree::Map(mut map) = tree else { return Err(SopsError::NotAMap) };
        if format == Format::Json && map.iter().any(|(key, _)| key != METADATA_KEY && folds_to_metadata_key(key)) {
            return Err(SopsError::UnknownMetadata { field: METADATA_KEY.into() });
        }
        let index = map.iter().position(|(key, _)| key == METADATA_KEY).ok_or(SopsError::NoMetadata)?;
        let (_, block) = map.remove(index);
        let metadata = Metadata::parse(block, limits)?;
        let entries = items(map, &mut Vec::new(), &metadata.selector)?;
        Ok(Self { metadata, entries })
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

const METADATA_KEY: &str = "sops";

/// Go's JSON reader finds the block under any spelling that is `sops` but for case; then two blocks would exist, or one
/// that counts as a value too.
fn folds_to_metadata_key(key: &str) -> bool {
    // U+017F is the one character outside ASCII that folds to a letter of "sops".
    key.replace('\u{17f}', "s").eq_ignore_ascii_case(METADATA_KEY)
}

/// Recursion is bounded by the readers' depth limit.
fn items(
    map: Vec<(String, Tree)>,
    path: &mut Vec<String>,
    selector: &Selector,
) -> Result<Vec<(String, Item)>, SopsError> {
    let mut items = Vec::with_capacity(map.len());
    for (key, value) in map {
        path.push(key);
        let value = item(value, path, selector, false)?;
        items.push((path.pop().unwrap_or_default(), value));
    }
    Ok(items)
}

fn item(tree: Tree, path: &mut Vec<String>, selector: &Selector, in_list: bool) -> Result<Item, SopsError> {
    Ok(match tree {
        Tree::Map(map) => Item::Map(items(map, path, selector)?),
        Tree::List(list) => {
            Item::List(list.into_iter().map(|value| item(value, path, selector, true)).collect::<Result<_, _>>()?)
        }
        // sops leaves null and the empty string as they are.
        Tree::Leaf(Leaf::Null) => Item::Clear(Leaf::Null),
        Tree::Leaf(leaf) if !selector.encrypts(path) => Item::Clear(leaf),
        Tree::Leaf(Leaf::Str(text)) if text.is_empty() => Item::Clear(Leaf::Str(text)),
        Tree::Leaf(Leaf::Str(text)) if text.starts_with("ENC[") => {
            let sealed = Sealed::parse(&text).map_err(|fault| match fault {
                SealedFault::Malformed => SopsError::MalformedCiphertext { path: show(path) },
                SealedFault::Type => SopsError::UnsupportedType { path: show(path) },
            })?;
            // sops turns only comments within lists into values.
            if sealed.kind == Kind::Comment && !in_list {
                return Err(SopsError::UnsupportedType { path: show(path) });
            }
            Item::Sealed(sealed)
        }
        Tree::Leaf(_) => return Err(SopsError::NotEncrypted { path: show(path) }),
    })
}
