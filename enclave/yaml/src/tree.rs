//! Events of `saphyr-parser` become a tree.

use std::collections::BTreeSet;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use crate::{YamlError, check};

/// How much a text may ask of the reader.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest text, in bytes.
    pub max_bytes: usize,
    /// Deepest nesting of maps and lists; the outermost counts as 1. The parser underneath has a limit of its own, 255
    /// for `[` and `{`.
    pub max_depth: usize,
    /// Most nodes: every key, scalar, map and list counts as one.
    pub max_nodes: usize,
}

impl Default for Limits {
    /// 8 MiB, 64 levels, 500,000 nodes: far above any manifest or SOPS file written by hand, and small enough for an
    /// enclave's memory.
    fn default() -> Self {
        Self { max_bytes: 8 << 20, max_depth: 64, max_nodes: 500_000 }
    }
}

/// A value of the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A scalar, untyped.
    Scalar(Scalar),
    /// A list, in order.
    List(Vec<Self>),
    /// A map in the order of the file. A key is always a [`Node::Scalar`], and no two keys have the same text.
    Map(Vec<(Self, Self)>),
}

impl Node {
    /// The scalar, if it is one.
    pub fn as_scalar(&self) -> Option<&Scalar> {
        match self {
            Self::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// The items, if it is a list.
    pub fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// Keys and values, if it is a map.
    pub fn as_map(&self) -> Option<&[(Self, Self)]> {
        match self {
            Self::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value under the key with this text; `None` when it is no map or has no such key.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let entries = self.as_map()?;
        entries.iter().find(|(k, _)| k.as_scalar().is_some_and(|k| k.text == key)).map(|(_, value)| value)
    }
}

/// A scalar as it stands in the text, escapes and folding resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar {
    /// The content. Empty and `plain` where the file has nothing at all (`key:`).
    pub text: String,
    /// Written without quotes and not as a block (`|`, `>`): only such a scalar can be anything but a string.
    pub plain: bool,
    /// The tag in full: `!!merge` is `tag:yaml.org,2002:merge`, `!x` is `!x`, and `!` alone is `!`.
    pub tag: Option<String>,
}

/// Reads exactly one document.
///
/// # Errors
/// Everything the crate's page lists, by its own [`YamlError`] variant.
pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Node, YamlError> {
    if bytes.len() > limits.max_bytes {
        return Err(YamlError::TooLarge { limit: limits.max_bytes });
    }
    let text = std::str::from_utf8(bytes).map_err(|_| YamlError::NotUtf8)?;
    check::text(text)?;

    let mut builder = Builder { limits, nodes: 0, open: Vec::new(), root: None };
    let mut documents = 0_usize;
    // Events, one by one: the parser's state is a stack on the heap, so hostile nesting cannot exhaust ours.
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| YamlError::Syntax { line: error.marker().line() })?;
        let line = span.start.line();
        match event {
            Event::DocumentStart(_) => {
                documents = documents.saturating_add(1);
                if documents > 1 {
                    return Err(YamlError::MultipleDocuments { line });
                }
            }
            Event::Alias(_) => return Err(YamlError::Alias { line }),
            Event::Scalar(_, _, 1.., _) | Event::SequenceStart(1.., _) | Event::MappingStart(1.., _) => {
                return Err(YamlError::Anchor { line });
            }
            Event::SequenceStart(_, Some(_)) | Event::MappingStart(_, Some(_)) => {
                return Err(YamlError::CollectionTag { line });
            }
            Event::Scalar(text, style, _, tag) => builder.scalar(
                Scalar {
                    text: text.into_owned(),
                    plain: style == ScalarStyle::Plain,
                    tag: tag.map(|tag| full_tag(&tag)),
                },
                line,
            )?,
            Event::SequenceStart(..) => builder.start(Open::List(Vec::new()), line)?,
            Event::MappingStart(..) => {
                builder.start(Open::Map { entries: Vec::new(), seen: BTreeSet::new(), key: None }, line)?;
            }
            Event::SequenceEnd | Event::MappingEnd => builder.end(line)?,
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
    }
    builder.root.ok_or(YamlError::Empty)
}

fn full_tag(tag: &Tag) -> String {
    format!("{}{}", tag.handle, tag.suffix)
}

/// A map or list that has not ended yet.
enum Open {
    List(Vec<Node>),
    Map { entries: Vec<(Node, Node)>, seen: BTreeSet<String>, key: Option<Scalar> },
}

struct Builder<'a> {
    limits: &'a Limits,
    nodes: usize,
    open: Vec<Open>,
    root: Option<Node>,
}

impl Builder<'_> {
    fn count(&mut self) -> Result<(), YamlError> {
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes > self.limits.max_nodes {
            return Err(YamlError::TooManyNodes { limit: self.limits.max_nodes });
        }
        Ok(())
    }

    fn scalar(&mut self, scalar: Scalar, line: usize) -> Result<(), YamlError> {
        self.count()?;
        if let Some(Open::Map { seen, key: key @ None, .. }) = self.open.last_mut() {
            if !seen.insert(scalar.text.clone()) {
                return Err(YamlError::DuplicateKey { line });
            }
            *key = Some(scalar);
            return Ok(());
        }
        self.place(Node::Scalar(scalar), line)
    }

    fn start(&mut self, collection: Open, line: usize) -> Result<(), YamlError> {
        self.count()?;
        if let Some(Open::Map { key: None, .. }) = self.open.last() {
            return Err(YamlError::ComplexKey { line });
        }
        if self.open.len() >= self.limits.max_depth {
            return Err(YamlError::TooDeep { line, limit: self.limits.max_depth });
        }
        self.open.push(collection);
        Ok(())
    }

    fn end(&mut self, line: usize) -> Result<(), YamlError> {
        match self.open.pop() {
            Some(Open::List(items)) => self.place(Node::List(items), line),
            Some(Open::Map { entries, key: None, .. }) => self.place(Node::Map(entries), line),
            // The parser pairs starts with ends and keys with values; were it wrong once, the text is refused.
            Some(Open::Map { key: Some(_), .. }) | None => Err(YamlError::Syntax { line }),
        }
    }

    /// Puts a finished value where it belongs.
    fn place(&mut self, node: Node, line: usize) -> Result<(), YamlError> {
        match self.open.last_mut() {
            None if self.root.is_none() => self.root = Some(node),
            Some(Open::List(items)) => items.push(node),
            Some(Open::Map { entries, key, .. }) => match key.take() {
                Some(key) => entries.push((Node::Scalar(key), node)),
                None => return Err(YamlError::Syntax { line }),
            },
            None => return Err(YamlError::Syntax { line }),
        }
        Ok(())
    }
}
