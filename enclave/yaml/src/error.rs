//! Why a text is not read.

use std::fmt;

/// Why [`crate::parse`] refused a text. Lines count from 1; no variant carries any of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum YamlError {
    /// The text is longer than [`crate::Limits::max_bytes`].
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The text is not UTF-8.
    NotUtf8,
    /// A byte order mark, a control character, or a line break that not every reader takes for one (lone CR, U+0085,
    /// U+2028, U+2029).
    ForbiddenCharacter {
        /// Where.
        line: usize,
    },
    /// A line starts with `%`.
    Directive {
        /// Where.
        line: usize,
    },
    /// The text is not YAML.
    Syntax {
        /// Where the parser gave up.
        line: usize,
    },
    /// There is no document.
    Empty,
    /// There is a second document.
    MultipleDocuments {
        /// Where it starts.
        line: usize,
    },
    /// A node has an anchor (`&name`).
    Anchor {
        /// Where.
        line: usize,
    },
    /// A node is an alias (`*name`).
    Alias {
        /// Where.
        line: usize,
    },
    /// A map or list has a tag.
    CollectionTag {
        /// Where.
        line: usize,
    },
    /// A key is a map or a list.
    ComplexKey {
        /// Where.
        line: usize,
    },
    /// A map holds the same key text twice.
    DuplicateKey {
        /// Where the second one is.
        line: usize,
    },
    /// Maps and lists are nested deeper than [`crate::Limits::max_depth`].
    TooDeep {
        /// Where.
        line: usize,
        /// The limit.
        limit: usize,
    },
    /// There are more nodes than [`crate::Limits::max_nodes`].
    TooManyNodes {
        /// The limit.
        limit: usize,
    },
}

impl YamlError {
    /// A stable name for this kind of refusal.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "yaml_too_large",
            Self::NotUtf8 => "yaml_not_utf8",
            Self::ForbiddenCharacter { .. } => "yaml_forbidden_character",
            Self::Directive { .. } => "yaml_directive",
            Self::Syntax { .. } => "yaml_syntax",
            Self::Empty => "yaml_empty",
            Self::MultipleDocuments { .. } => "yaml_multiple_documents",
            Self::Anchor { .. } => "yaml_anchor",
            Self::Alias { .. } => "yaml_alias",
            Self::CollectionTag { .. } => "yaml_collection_tag",
            Self::ComplexKey { .. } => "yaml_complex_key",
            Self::DuplicateKey { .. } => "yaml_duplicate_key",
            Self::TooDeep { .. } => "yaml_too_deep",
            Self::TooManyNodes { .. } => "yaml_too_many_nodes",
        }
    }
}

impl fmt::Display for YamlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { limit } => write!(f, "the YAML text is longer than {limit} bytes; split the file"),
            Self::NotUtf8 => f.write_str("the YAML text is not UTF-8; save it as UTF-8"),
            Self::ForbiddenCharacter { line } => write!(
                f,
                "line {line} has a byte order mark, a control character or an unusual line break; use plain text with \
                 LF or CRLF line ends, and escapes inside double quotes"
            ),
            Self::Directive { line } => write!(f, "line {line} starts with %; remove YAML directives"),
            Self::Syntax { line } => write!(f, "not YAML at line {line}; correct the syntax there"),
            Self::Empty => f.write_str("the YAML text has no document; the file must not be empty"),
            Self::MultipleDocuments { line } => {
                write!(f, "a second YAML document starts at line {line}; keep one document in a file")
            }
            Self::Anchor { line } => write!(f, "line {line} has an anchor (&name); write the value out"),
            Self::Alias { line } => write!(f, "line {line} has an alias (*name); write the value out"),
            Self::CollectionTag { line } => write!(f, "line {line} has a tag on a map or list; remove the tag"),
            Self::ComplexKey { line } => write!(f, "line {line} has a map or list as a key; use a plain key"),
            Self::DuplicateKey { line } => write!(f, "line {line} repeats a key of the same map; remove one"),
            Self::TooDeep { line, limit } => {
                write!(f, "maps and lists are nested deeper than {limit} at line {line}; flatten the file")
            }
            Self::TooManyNodes { limit } => {
                write!(f, "the YAML text has more than {limit} keys and values; split the file")
            }
        }
    }
}

impl std::error::Error for YamlError {}
