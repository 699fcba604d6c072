//! Events of `saphyr-parser` become a tree.

use std::collections::BTreeSet;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use crate::comments::{Comments, Element, Layout, Place, find};
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
    let (node, ..) = read(bytes, limits, false)?;
    Ok(node)
}

/// The same with the document's comments.
///
/// # Errors
/// As [`parse`].
pub fn parse_with_comments(bytes: &[u8], limits: &Limits) -> Result<(Node, Comments), YamlError> {
    let (node, text, layout) = read(bytes, limits, true)?;
    Ok((node, find(text, layout.unwrap_or_default())))
}

fn read<'a>(bytes: &'a [u8], limits: &Limits, with_layout: bool) -> Result<(Node, &'a str, Option<Layout>), YamlError> {
    if bytes.len() > limits.max_bytes {
        return Err(YamlError::TooLarge { limit: limits.max_bytes });
    }
    let text = std::str::from_utf8(bytes).map_err(|_| YamlError::NotUtf8)?;
    check::text(text)?;

    let layout = with_layout.then(Layout::default);
    let mut builder = Builder { limits, nodes: 0, open: Vec::new(), root: None, layout };
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
                span,
                matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted),
            )?,
            Event::SequenceStart(..) => builder.start(Open::List(Vec::new()), span)?,
            Event::MappingStart(..) => {
                builder.start(Open::Map { entries: Vec::new(), seen: BTreeSet::new(), key: None }, span)?;
            }
            Event::SequenceEnd | Event::MappingEnd => builder.end(line)?,
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
    }
    Ok((builder.root.ok_or(YamlError::Empty)?, text, builder.layout))
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
    open: Vec<(Open, usize)>,
    root: Option<Node>,
    /// Filled when comments are wanted.
    layout: Option<Layout>,
}

impl Builder<'_> {
    fn count(&mut self) -> Result<(), YamlError> {
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes > self.limits.max_nodes {
            return Err(YamlError::TooManyNodes { limit: self.limits.max_nodes });
        }
        Ok(())
    }

    /// Notes an element that starts here, if one does.
    fn element(&mut self, span: &Span) {
        let Some(layout) = &mut self.layout else { return };
        let (is_item, parent) = match self.open.last() {
            Some((Open::List(_), parent)) => (true, *parent),
            Some((Open::Map { key: None, .. }, parent)) => (false, *parent),
            _ => return,
        };
        layout.elements.push(Element { line: span.start.line(), column: span.start.col(), is_item, parent });
    }

    fn scalar(&mut self, scalar: Scalar, span: Span, quoted: bool) -> Result<(), YamlError> {
        self.count()?;
        self.element(&span);
        if let Some(layout) = &mut self.layout {
            layout.scalars.push(Place { start: span.start.index(), end: span.end.index(), quoted });
        }
        let line = span.start.line();
        if let Some((Open::Map { seen, key: key @ None, .. }, _)) = self.open.last_mut() {
            if !seen.insert(scalar.text.clone()) {
                return Err(YamlError::DuplicateKey { line });
            }
            *key = Some(scalar);
            return Ok(());
        }
        self.place(Node::Scalar(scalar), line)
    }

    fn start(&mut self, collection: Open, span: Span) -> Result<(), YamlError> {
        self.count()?;
        self.element(&span);
        let line = span.start.line();
        if let Some((Open::Map { key: None, .. }, _)) = self.open.last() {
            return Err(YamlError::ComplexKey { line });
        }
        if self.open.len() >= self.limits.max_depth {
            return Err(YamlError::TooDeep { line, limit: self.limits.max_depth });
        }
        self.open.push((collection, span.start.index()));
        Ok(())
    }

    fn end(&mut self, line: usize) -> Result<(), YamlError> {
        match self.open.pop() {
            Some((Open::List(items), _)) => self.place(Node::List(items), line),
            Some((Open::Map { entries, key: None, .. }, _)) => self.place(Node::Map(entries), line),
            // The parser pairs starts with ends and keys with values; were it wrong once, the text is refused.
            Some((Open::Map { key: Some(_), .. }, _)) | None => Err(YamlError::Syntax { line }),
        }
    }

    /// Puts a finished value where it belongs.
    fn place(&mut self, node: Node, line: usize) -> Result<(), YamlError> {
        match self.open.last_mut() {
            None if self.root.is_none() => self.root = Some(node),
            Some((Open::List(items), _)) => items.push(node),
            Some((Open::Map { entries, key, .. }, _)) => match key.take() {
                Some(key) => entries.push((Node::Scalar(key), node)),
                None => return Err(YamlError::Syntax { line }),
            },
            None => return Err(YamlError::Syntax { line }),
        }
        Ok(())
    }
}
