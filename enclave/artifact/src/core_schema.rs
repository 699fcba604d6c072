//! YAML 1.2 core schema, as the npm package `yaml` 2.x reads it and hands it to JavaScript.
//!
//! A plain scalar may be null, a boolean or a number; everything else is text. A key becomes text the way JavaScript
//! does it (`null` becomes the empty string, `1.0` becomes `1`), so two keys may collide here that differ in the file.
//!
//! Source: YAML 1.2.2, 10.3.2; `yaml` 2.9, `schema/core`.

use std::fmt;

use packproof_yaml::{Limits, Node, Scalar, YamlError};

use crate::number;

/// A typed document.
#[derive(Debug, PartialEq)]
pub(crate) enum Yaml {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
}

/// Why a text is no typed document, and where.
#[derive(Debug, PartialEq)]
pub(crate) struct DocumentError {
    /// Path of the value, such as `keys.PORT`; `root` for the whole text. Printable.
    pub(crate) path: String,
    pub(crate) problem: DocumentProblem,
}

/// Why a text is no typed document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DocumentProblem {
    /// Not YAML that every reader understands alike.
    Yaml(YamlError),
    /// A value or key has an explicit tag. Clef may accept it.
    Tag,
    /// The key `<<`: Clef takes it for an ordinary key, other readers merge. Clef would accept it.
    MergeKey,
    /// Two keys of one map become the same text (`1` and `1.0`).
    DuplicateKey,
    /// A key is a map or a list.
    ComplexKey,
}

impl Yaml {
    /// Reads and types one document.
    ///
    /// Stricter than Clef: an explicit tag (which Clef's library warns about, or converts by) and the key `<<` (which
    /// other YAML readers merge) are refused, and so are two keys that become the same text.
    pub(crate) fn read(bytes: &[u8], limits: &Limits) -> Result<Self, DocumentError> {
        let at_root = |problem| DocumentError { path: "root".into(), problem };
        let node = packproof_yaml::parse(bytes, limits).map_err(|error| at_root(DocumentProblem::Yaml(error)))?;
        typed(node).map_err(DocumentError::rooted)
    }

    /// The value under a key; `None` when it is no map or has no such key.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }
}

/// Types a tree. Its depth is bounded by the reader that made it.
fn typed(node: Node) -> Result<Yaml, DocumentError> {
    match node {
        Node::Scalar(scalar) => resolve(scalar),
        Node::List(items) => {
            let typed_items = items.into_iter().enumerate();
            typed_items
                .map(|(i, item)| typed(item).map_err(|error| error.inside(&format!("[{i}]"))))
                .collect::<Result<_, _>>()
                .map(Yaml::List)
        }
        Node::Map(entries) => map(entries),
    }
}

fn map(entries: Vec<(Node, Node)>) -> Result<Yaml, DocumentError> {
    let mut seen = std::collections::BTreeSet::new();
    let mut typed_entries = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        let key = key_text(key)?;
        let step = format!(".{}", crate::preview(&key));
        if key == "<<" {
            return Err(DocumentError::new(step, DocumentProblem::MergeKey));
        }
        if !seen.insert(key.clone()) {
            return Err(DocumentError::new(step, DocumentProblem::DuplicateKey));
        }
        let value = typed(value).map_err(|error| error.inside(&step))?;
        typed_entries.push((key, value));
    }
    Ok(Yaml::Map(typed_entries))
}

fn key_text(key: Node) -> Result<String, DocumentError> {
    match typed(key)? {
        Yaml::Null => Ok(String::new()),
        Yaml::Bool(value) => Ok(value.to_string()),
        Yaml::Number(value) => Ok(number::to_js_string(value).as_str().to_owned()),
        Yaml::Text(text) => Ok(text),
        // The tree's keys are scalars; should that ever change, such a key is refused.
        Yaml::List(_) | Yaml::Map(_) => Err(DocumentError::new(String::new(), DocumentProblem::ComplexKey)),
    }
}

fn resolve(scalar: Scalar) -> Result<Yaml, DocumentError> {
    if scalar.tag.is_some() {
        return Err(DocumentError::new(String::new(), DocumentProblem::Tag));
    }
    if !scalar.plain {
        return Ok(Yaml::Text(scalar.text));
    }
    Ok(match scalar.text.as_str() {
        "" | "~" | "null" | "Null" | "NULL" => Yaml::Null,
        "true" | "True" | "TRUE" => Yaml::Bool(true),
        "false" | "False" | "FALSE" => Yaml::Bool(false),
        text => match plain_number(text) {
            Some(value) => Yaml::Number(value),
            None => Yaml::Text(scalar.text),
        },
    })
}

/// The number a plain scalar stands for, if it is one.
pub(crate) fn plain_number(text: &str) -> Option<f64> {
    if let Some(digits) = text.strip_prefix("0o") {
        return number::radix(digits, 8);
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return number::radix(digits, 16);
    }
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let magnitude = match unsigned {
        ".inf" | ".Inf" | ".INF" => f64::INFINITY,
        ".nan" | ".NaN" | ".NAN" if unsigned == text => f64::NAN,
        decimal if number::is_decimal(decimal) => decimal.parse().ok()?,
        _ => return None,
    };
    Some(if negative { -magnitude } else { magnitude })
}

impl DocumentError {
    fn new(path: String, problem: DocumentProblem) -> Self {
        Self { path, problem }
    }

    /// The same error, seen from one level further out.
    fn inside(mut self, step: &str) -> Self {
        self.path.insert_str(0, step);
        self
    }

    /// The path built from steps, without the leading dot.
    fn rooted(mut self) -> Self {
        self.path = match self.path.trim_start_matches('.') {
            "" => "root".into(),
            path => path.into(),
        };
        self
    }
}

impl DocumentProblem {
    /// A stable name for this kind of refusal.
    pub fn code(self) -> &'static str {
        match self {
            Self::Yaml(error) => error.code(),
            Self::Tag => "document_tag",
            Self::MergeKey => "document_merge_key",
            Self::DuplicateKey => "document_duplicate_key",
            Self::ComplexKey => "document_complex_key",
        }
    }
}

impl fmt::Display for DocumentProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yaml(error) => error.fmt(f),
            Self::Tag => f.write_str("has a YAML tag; remove it, and quote the value if it is text"),
            Self::MergeKey => f.write_str("YAML readers disagree about the key <<; write the fields out"),
            Self::DuplicateKey => f.write_str("the key appears twice; remove one"),
            Self::ComplexKey => f.write_str("a key is a map or a list; use a plain key"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Yaml {
        Yaml::read(text.as_bytes(), &Limits::default()).unwrap()
    }

    fn plain(text: &str) -> Yaml {
        let scalar = Scalar { text: text.into(), plain: true, tag: None };
        typed(Node::Scalar(scalar)).unwrap()
    }

    #[test]
    fn plain_scalars_are_typed_as_the_npm_library_does() {
        for text in ["", "~", "null", "Null", "NULL"] {
            assert_eq!(plain(text), Yaml::Null, "{text}");
        }
        for text in ["true", "True", "TRUE"] {
            assert_eq!(plain(text), Yaml::Bool(true), "{text}");
        }
        for text in ["false", "False", "FALSE"] {
            assert_eq!(plain(text), Yaml::Bool(false), "{text}");
        }
        let numbers = [
            ("1", 1.0),
            ("01", 1.0),
            ("+1", 1.0),
            ("-12", -12.0),
            ("0o17", 15.0),
            ("0x1f", 31.0),
            ("0xFF", 255.0),
            ("1.", 1.0),
            (".5", 0.5),
            ("+.5e1", 5.0),
            ("-1.e0", -1.0),
            ("1E+3", 1000.0),
            ("1e-2", 0.01),
            ("9007199254740993", 9007199254740992.0),
            ("1e400", f64::INFINITY),
            (".inf", f64::INFINITY),
            ("-.INF", f64::NEG_INFINITY),
        ];
        for (text, number) in numbers {
            assert_eq!(plain(text), Yaml::Number(number), "{text}");
        }
        assert!(matches!(plain(".nan"), Yaml::Number(n) if n.is_nan()));
        for text in [
            "yes", "On", "nULL", "tRUE", "1_000", "-0x1", "+0o7", "0o8", "0x", "0o", "1e", "e1", ".", "+", "-",
            "1.2.3", "+.nan", "-.NaN", "inf", "nan", "infinity", "1e5.0", "0b1", " 1", "1:30", "<<",
        ] {
            assert_eq!(plain(text), Yaml::Text(text.into()), "{text}");
        }
    }

    #[test]
    fn quoted_scalars_are_text() {
        assert_eq!(value("\"1\""), Yaml::Text("1".into()));
        assert_eq!(value("'null'"), Yaml::Text("null".into()));
        assert_eq!(value("|-\n  true\n"), Yaml::Text("true".into()));
    }

    #[test]
    fn keys_become_text_as_in_javascript() {
        let Yaml::Map(entries) = value("~: a\ntrue: b\n1.0: c\n0x10: d\n\"null\": e\n") else { panic!() };
        let keys: Vec<&str> = entries.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["", "true", "1", "16", "null"]);
    }
}
