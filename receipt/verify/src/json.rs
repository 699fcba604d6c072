//! JSON read strictly: no member twice, at any depth.
//!
//! Readers disagree about a repeated member (the first, the last, an error), so a statement that has one says different
//! things to different tools. Depth is bounded by `serde_json` (128).

use std::{collections::BTreeSet, fmt};

use serde::de::{DeserializeOwned, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::checks::{Refusal, quote};

/// Why bytes were not read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum JsonError {
    /// Not one JSON value, or not UTF-8.
    Syntax {
        /// Where the reader gave up, from 1.
        line: usize,
        /// Likewise.
        column: usize,
    },
    /// An object has a member twice.
    RepeatedMember {
        /// Where, from 1.
        line: usize,
        /// Likewise.
        column: usize,
    },
    /// JSON of another shape. The text names members and types.
    Shape(String),
}

/// Reads a `T` from `bytes`, all of them.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    // `Unique` takes every JSON value, so the only complaint of its own is the repeated member
    if let Err(error) = serde_json::from_slice::<Unique>(bytes) {
        let (line, column) = (error.line(), error.column());
        let repeated = error.is_data();
        return Err(if repeated {
            JsonError::RepeatedMember { line, column }
        } else {
            JsonError::Syntax { line, column }
        });
    }
    serde_json::from_slice(bytes).map_err(|error| JsonError::Shape(error.to_string()))
}

/// Codes of [`read_named`].
pub(crate) struct JsonCodes {
    /// What is read, for messages.
    pub(crate) what: &'static str,
    /// Not JSON.
    pub(crate) json: &'static str,
    /// A member twice.
    pub(crate) repeated: &'static str,
    /// Another shape.
    pub(crate) shape: &'static str,
}

/// Reads a `T` as [`read`] does, and names what went wrong by `codes`.
pub(crate) fn read_named<T: DeserializeOwned>(bytes: &[u8], codes: &JsonCodes) -> Result<T, Refusal> {
    let what = codes.what;
    // serde would take an array for an object, too
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(Refusal::new(codes.shape, format!("the {what} is an array, expected an object")));
    }
    read(bytes).map_err(|error| match error {
        JsonError::Syntax { line, column } => {
            Refusal::new(codes.json, format!("the {what} is not JSON (line {line}, column {column})"))
        }
        JsonError::RepeatedMember { line, column } => {
            Refusal::new(codes.repeated, format!("the {what} has a member twice (line {line}, column {column})"))
        }
        JsonError::Shape(reason) => {
            Refusal::new(codes.shape, format!("the {what} has another shape: {}", quote(&reason)))
        }
    })
}

/// Any JSON value without repeated members; nothing of it is kept.
struct Unique;

impl<'de> serde::Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Unique;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique, A::Error> {
        let mut names = BTreeSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if !names.insert(name) {
                return Err(A::Error::custom("repeated member"));
            }
            map.next_value::<Unique>()?;
        }
        Ok(Unique)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Unique, A::Error> {
        while seq.next_element::<Unique>()?.is_some() {}
        Ok(Unique)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_str<E>(self, _: &str) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_unit<E>(self) -> Result<Unique, E> {
        Ok(Unique)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn reads_what_has_one_meaning() {
        for text in ["null", "true", "-1", "1.5", "\"a\"", r#"{"a":[{"b":1},{"b":2}],"b":{"a":null}}"#] {
            assert_eq!(read::<Value>(text.as_bytes()), Ok(serde_json::from_str(text).unwrap()));
        }
    }

    #[test]
    fn each_departure_has_its_name() {
        for text in [r#"{"a":1,"a":1}"#, r#"[{"x":{"a":1,"b":2,"a":1}}]"#, r#"{"a":1,"\u0061":2}"#] {
            assert!(matches!(read::<Value>(text.as_bytes()), Err(JsonError::RepeatedMember { .. })), "{text}");
        }
        for text in ["", "{", "{} {}", "{\"a\":1,}", "nul", "\"\u{1}\""] {
            assert!(matches!(read::<Value>(text.as_bytes()), Err(JsonError::Syntax { .. })), "{text}");
        }
        assert!(matches!(read::<Value>(b"\"\xff\""), Err(JsonError::Syntax { .. })));
        let deep = "[".repeat(200) + &"]".repeat(200);
        assert!(matches!(read::<Value>(deep.as_bytes()), Err(JsonError::Syntax { .. })));
        assert!(matches!(read::<u8>(b"\"a\""), Err(JsonError::Shape(_))));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..64), text in "[\\[\\]{}\",:a0\\\\u]{0,40}") {
            let _ = read::<Value>(&bytes);
            let _ = read::<Value>(text.as_bytes());
        }
    }
}
