//! The schema of a namespace: which keys its cells must have, and of which type.
//!
//! Clef looks at schemas in `clef lint` only and packs whatever there is. Here the policy may pin a schema by its hash,
//! and then a cell that breaks it is not packed. [`Schema::check`] judges exactly as Clef's validator does:
//!
//! | the schema says | the value must |
//! | --- | --- |
//! | `required: true` | be there. Anything but `true`, such as `yes`, counts as false |
//! | `type: string` | match `pattern`, anywhere in it unless the pattern has `^` and `$` |
//! | `type: integer` | be an integer to JavaScript's `Number`, and not blank |
//! | `type: boolean` | be `true` or `false`, in any case |
//!
//! `max`, `default`, `description` and keys that the schema does not name never refuse anything: in Clef they are
//! warnings at most. A key that is not in the cell is absent; one whose value is YAML's null is the text `null`, as the
//! artifact holds it.
//!
//! Reading is stricter than Clef in four things, since each would check less than it seems to: lists in place of maps, a
//! `pattern` that is no text, keys that cannot be packed, and patterns outside the supported part ([`Construct`]).
//!
//! A schema is public: [`SchemaError`] may be shown. What [`Schema::check`] says is plaintext, one bit of it, and so
//! [`SchemaViolation`] has nothing inside.
//!
//! Source: Clef core 0.3.0, `packages/core/src/schema/validator.ts`.

mod pattern;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use packproof_yaml::Limits;

pub use crate::core_schema::DocumentProblem;
use crate::core_schema::{DocumentError, Yaml};
use crate::number::is_js_integer;
use crate::value::is_reserved_key;
pub use pattern::{Construct, MAX_PATTERN_BYTES, MAX_PATTERN_DEPTH, MAX_PATTERN_STEPS};
use pattern::{Pattern, PatternError};

/// Longest schema, in bytes. Ours.
pub const MAX_SCHEMA_BYTES: usize = 256 << 10;

/// Most keys of a schema. Ours.
pub const MAX_SCHEMA_KEYS: usize = 2000;

/// Most steps of all patterns of a schema together. Ours: it bounds the memory, some ten bytes a step.
pub const MAX_SCHEMA_STEPS: usize = 64 * 1024;

/// What a namespace's cells must look like.
pub struct Schema {
    keys: BTreeMap<String, Key>,
}

struct Key {
    required: bool,
    rule: Rule,
}

enum Rule {
    Text(Option<Pattern>),
    Integer,
    Boolean,
}

/// A cell breaks its schema.
///
/// Depends on plaintext, so there is no key, rule or count in it: whoever shows more to the host has built an oracle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SchemaViolation;

/// Why [`Schema::parse`] refused a schema, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaError {
    /// Path of the field, such as `keys.PORT.type`; `root` for the whole file. Printable.
    pub field: String,
    /// What is wrong with it.
    pub problem: SchemaProblem,
}

/// What is wrong with a field of a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SchemaProblem {
    /// The file is not YAML that every reader understands alike.
    Document(DocumentProblem),
    /// Something else where a map belongs.
    NotAMap,
    /// There is no `keys`.
    NoKeys,
    /// More than [`MAX_SCHEMA_KEYS`].
    TooManyKeys,
    /// A key that no cell can have: see [`is_reserved_key`].
    ReservedKey,
    /// A type other than `string`, `integer`, `boolean`.
    UnknownType,
    /// A pattern that is no text. Clef would ignore it.
    PatternNotText,
    /// A pattern that two engines may understand differently.
    PatternUnsupported(Construct),
    /// A pattern beyond [`MAX_PATTERN_BYTES`], [`MAX_PATTERN_DEPTH`], [`MAX_PATTERN_STEPS`] or [`MAX_SCHEMA_STEPS`].
    PatternTooLarge,
}

impl Schema {
    /// Reads a schema.
    ///
    /// # Errors
    /// The first thing that is wrong, in the order of the file.
    pub fn parse(bytes: &[u8]) -> Result<Self, SchemaError> {
        // 16 levels: unknown fields, such as a default, may nest; the tree is walked recursively.
        let limits = Limits { max_bytes: MAX_SCHEMA_BYTES, max_depth: 16, max_nodes: 40_000 };
        let root = Yaml::read(bytes, &limits)?;
        if !matches!(root, Yaml::Map(_)) {
            return Err(SchemaError::new("root".into(), SchemaProblem::NotAMap));
        }
        let entries = match root.get("keys") {
            None | Some(Yaml::Null) => return Err(SchemaError::new("keys".into(), SchemaProblem::NoKeys)),
            Some(Yaml::Map(entries)) => entries,
            Some(_) => return Err(SchemaError::new("keys".into(), SchemaProblem::NotAMap)),
        };
        if entries.len() > MAX_SCHEMA_KEYS {
            return Err(SchemaError::new("keys".into(), SchemaProblem::TooManyKeys));
        }
        let mut steps_left = MAX_SCHEMA_STEPS;
        let keys = entries.iter().map(|(name, definition)| {
            let key = Key::read(name, definition, &mut steps_left)?;
            Ok((name.clone(), key))
        });
        Ok(Self { keys: keys.collect::<Result<_, SchemaError>>()? })
    }

    /// Judges a cell: each of its keys with the value as the artifact holds it ([`crate::value::to_clef_string`]).
    ///
    /// All keys and values are looked at, whichever fails first. Time still depends on the values: on their length, and
    /// on the pattern that meets them.
    ///
    /// # Errors
    /// [`SchemaViolation`]: a required key is absent, or a value is not what its key's type or pattern says.
    pub fn check<'a>(&self, cell: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<(), SchemaViolation> {
        let mut found = BTreeSet::new();
        let mut valid = true;
        for (name, value) in cell {
            if let Some(key) = self.keys.get(name) {
                found.insert(name);
                valid &= key.rule.accepts(value);
            }
        }
        valid &= self.keys.iter().all(|(name, key)| !key.required || found.contains(name.as_str()));
        if valid { Ok(()) } else { Err(SchemaViolation) }
    }
}

impl Key {
    fn read(name: &str, definition: &Yaml, steps_left: &mut usize) -> Result<Self, SchemaError> {
        let field = format!("keys.{}", crate::preview(name));
        let error = |member: &str, problem| Err(SchemaError::new(format!("{field}{member}"), problem));
        if !matches!(definition, Yaml::Map(_)) {
            return error("", SchemaProblem::NotAMap);
        }
        if is_reserved_key(name) {
            return error("", SchemaProblem::ReservedKey);
        }
        let rule = match definition.get("type") {
            Some(Yaml::Text(kind)) if kind == "string" => Rule::Text(match definition.get("pattern") {
                None | Some(Yaml::Null) => None,
                Some(Yaml::Text(text)) if text.is_empty() => None,
                Some(Yaml::Text(text)) => {
                    let pattern = match Pattern::parse(text) {
                        Ok(pattern) => pattern,
                        Err(PatternError::TooLarge) => return error(".pattern", SchemaProblem::PatternTooLarge),
                        Err(PatternError::Unsupported(construct)) => {
                            return error(".pattern", SchemaProblem::PatternUnsupported(construct));
                        }
                    };
                    match steps_left.checked_sub(pattern.steps) {
                        Some(left) => *steps_left = left,
                        None => return error(".pattern", SchemaProblem::PatternTooLarge),
                    }
                    Some(pattern)
                }
                Some(_) => return error(".pattern", SchemaProblem::PatternNotText),
            }),
            Some(Yaml::Text(kind)) if kind == "integer" => Rule::Integer,
            Some(Yaml::Text(kind)) if kind == "boolean" => Rule::Boolean,
            _ => return error(".type", SchemaProblem::UnknownType),
        };
        let required = matches!(definition.get("required"), Some(Yaml::Bool(true)));
        Ok(Self { required, rule })
    }
}

impl Rule {
    fn accepts(&self, value: &str) -> bool {
        match self {
            Self::Text(None) => true,
            Self::Text(Some(pattern)) => pattern.is_match(value),
            Self::Integer => is_js_integer(value),
            // No other letter becomes one of these in JavaScript's toLowerCase.
            Self::Boolean => value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false"),
        }
    }
}

impl fmt::Display for SchemaViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the cell breaks its schema; clef lint says where, on a machine that may see the values")
    }
}

impl std::error::Error for SchemaViolation {}

impl SchemaError {
    fn new(field: String, problem: SchemaProblem) -> Self {
        Self { field, problem }
    }

    /// A stable name for this kind of refusal.
    pub fn code(&self) -> &'static str {
        match self.problem {
            SchemaProblem::Document(problem) => problem.code(),
            SchemaProblem::NotAMap => "schema_not_a_map",
            SchemaProblem::NoKeys => "schema_no_keys",
            SchemaProblem::TooManyKeys => "schema_too_many_keys",
            SchemaProblem::ReservedKey => "schema_reserved_key",
            SchemaProblem::UnknownType => "schema_unknown_type",
            SchemaProblem::PatternNotText => "schema_pattern_not_text",
            SchemaProblem::PatternUnsupported(_) => "schema_pattern_unsupported",
            SchemaProblem::PatternTooLarge => "schema_pattern_too_large",
        }
    }
}

impl From<DocumentError> for SchemaError {
    fn from(DocumentError { path, problem }: DocumentError) -> Self {
        Self::new(path, SchemaProblem::Document(problem))
    }
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "schema field {}: ", self.field)?;
        match self.problem {
            SchemaProblem::Document(problem) => problem.fmt(f),
            SchemaProblem::NotAMap => f.write_str("must be a map"),
            SchemaProblem::NoKeys => f.write_str("required but missing; a schema is a map keys: {NAME: {type: …}}"),
            SchemaProblem::TooManyKeys => write!(f, "more than {MAX_SCHEMA_KEYS} keys; split the namespace"),
            SchemaProblem::ReservedKey => f.write_str("no cell with this key can be packed; rename it"),
            SchemaProblem::UnknownType => f.write_str("must be string, integer or boolean"),
            SchemaProblem::PatternNotText => f.write_str("must be text; quote it"),
            SchemaProblem::PatternUnsupported(construct) => write!(f, "the pattern has {construct}"),
            SchemaProblem::PatternTooLarge => write!(
                f,
                "the pattern is too large: more than {MAX_PATTERN_BYTES} bytes, {MAX_PATTERN_DEPTH} groups deep, or \
                 {MAX_PATTERN_STEPS} steps with repetitions written out ({MAX_SCHEMA_STEPS} in a schema)"
            ),
        }
    }
}

impl std::error::Error for SchemaError {}
