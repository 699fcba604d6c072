//! A bounded YAML tree with raw scalars; each reader types them by its own rules.
//!
//! The two readers of YAML here disagree about what a plain scalar means: Clef's manifest follows the YAML 1.2 core
//! schema, SOPS files follow Go's `yaml.v3`. So [`parse`] types nothing: a [`Scalar`] is its text, whether it was
//! written without quotes, and its tag.
//!
//! What is refused is what two YAML readers are known to understand differently, or what lets a small file grow:
//! several documents, anchors and aliases, keys that are not scalars, the same key twice, tags on maps and lists,
//! directives (`%YAML 1.1` changes what `yes` means), a byte order mark, control characters (saphyr-parser takes
//! U+0000 for the end of the file), and line breaks that only some readers know (a lone CR, U+0085, U+2028, U+2029).
//! Comments are dropped, unless [`parse_with_comments`] is asked for them.
#![forbid(unsafe_code)]

mod check;
mod comments;
mod error;
mod tree;

pub use comments::{Comment, Comments};
pub use error::YamlError;
pub use tree::{Limits, Node, Scalar, parse, parse_with_comments};
