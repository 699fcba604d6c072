//! The JSON inside an artifact: `{"namespace":{"KEY":"value"}}`, exactly as `JSON.stringify` writes the object that Clef
//! builds.
//!
//! JavaScript objects keep the order in which members were added, except that keys that look like array indexes come
//! first, in ascending order. Clef's output has that order, so this has.
//!
//! Source: ECMA-262, 10.1.11.1 (`OrdinaryOwnPropertyKeys`) and 25.5.2.3 (`QuoteJSONString`); agrees with
//! `tests/data/plaintext.jsonl`, made by Node.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use packproof_secret::SecretBytes;

use crate::manifest::is_name;
use crate::value::is_reserved_key;

/// Builds the plaintext, namespace after namespace.
#[derive(Default)]
pub struct PlaintextBuilder {
    out: SecretBytes,
    namespaces: BTreeSet<String>,
    key_count: usize,
    open: Option<Namespace>,
}

/// How much is in a plaintext.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Namespaces, empty ones included.
    pub namespaces: usize,
    /// Keys of all namespaces together.
    pub keys: usize,
}

/// Why an entry or a namespace cannot be added. Says nothing about a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlaintextError {
    /// The namespace is no name by the manifest's rule, or is `constructor`, which collides in JavaScript.
    BadNamespace,
    /// The namespace was there before.
    DuplicateNamespace,
    /// An entry before any namespace.
    NoNamespace,
    /// The key is one of [`is_reserved_key`].
    ReservedKey,
    /// The namespace has the key already.
    DuplicateKey,
}

/// Members of the namespace being built.
#[derive(Default)]
struct Namespace {
    /// `"key":"value"`, one after the other.
    members: SecretBytes,
    /// Where each member is, and the array index its key looks like.
    index: Vec<(Option<u32>, Range<usize>)>,
    keys: BTreeSet<String>,
}

impl PlaintextBuilder {
    /// A plaintext without namespaces.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a namespace. One without entries becomes `{}`, as Clef keeps an empty cell. The order is the caller's: the
    /// manifest's, as [`crate::matrix::cells`] has it.
    ///
    /// # Errors
    /// The name is not usable, or was used.
    pub fn begin_namespace(&mut self, name: &str) -> Result<(), PlaintextError> {
        if !is_name(name) || is_reserved_key(name) {
            return Err(PlaintextError::BadNamespace);
        }
        if !self.namespaces.insert(name.to_owned()) {
            return Err(PlaintextError::DuplicateNamespace);
        }
        self.close_namespace();
        self.out.extend(if self.out.is_empty() { b"{" } else { b"," });
        push_string(name, &mut self.out);
        self.out.extend(b":{");
        self.open = Some(Namespace::default());
        Ok(())
    }

    /// Adds a key and its value to the namespace begun last, in the order of the cell.
    ///
    /// # Errors
    /// There is no namespace, or the key is reserved or was used.
    pub fn entry(&mut self, key: &str, value: &str) -> Result<(), PlaintextError> {
        let namespace = self.open.as_mut().ok_or(PlaintextError::NoNamespace)?;
        if is_reserved_key(key) {
            return Err(PlaintextError::ReservedKey);
        }
        if !namespace.keys.insert(key.to_owned()) {
            return Err(PlaintextError::DuplicateKey);
        }
        let start = namespace.members.len();
        push_string(key, &mut namespace.members);
        namespace.members.extend(b":");
        push_string(value, &mut namespace.members);
        namespace.index.push((array_index(key), start..namespace.members.len()));
        self.key_count = self.key_count.saturating_add(1);
        Ok(())
    }

    /// The JSON, and how much is in it.
    pub fn finish(mut self) -> (SecretBytes, Counts) {
        self.close_namespace();
        if self.out.is_empty() {
            self.out.extend(b"{");
        }
        self.out.extend(b"}");
        (self.out, Counts { namespaces: self.namespaces.len(), keys: self.key_count })
    }

    fn close_namespace(&mut self) {
        let Some(mut namespace) = self.open.take() else { return };
        // A stable sort: keys that are no index keep their order, behind those that are.
        namespace.index.sort_by_key(|(index, _)| index.map_or(u64::MAX, u64::from));
        for (i, (_, range)) in namespace.index.into_iter().enumerate() {
            if i > 0 {
                self.out.extend(b",");
            }
            // The ranges were taken from this very buffer.
            self.out.extend(namespace.members.expose().get(range).unwrap_or_default());
        }
        self.out.extend(b"}");
    }
}

/// The array index that `key` is in canonical decimal form: 0 to 2^32 - 2, no leading zero or sign.
fn array_index(key: &str) -> Option<u32> {
    let canonical = key == "0" || (!key.starts_with('0') && !key.is_empty() && key.bytes().all(|b| b.is_ascii_digit()));
    let index = if canonical { key.parse::<u32>().ok() } else { None };
    index.filter(|index| *index != u32::MAX)
}

/// Writes a JSON string, quotes included: short escapes where there are, `\u00xx` for the other controls below U+0020,
/// everything else as it is. (A lone surrogate, which JavaScript would escape, cannot be in a `str`.)
fn push_string(text: &str, out: &mut SecretBytes) {
    out.extend(b"\"");
    let bytes = text.as_bytes();
    let mut copied = 0_usize;
    for (i, byte) in bytes.iter().enumerate() {
        let mut unicode = *b"\\u0000";
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            0x08 => b"\\b",
            0x09 => b"\\t",
            0x0a => b"\\n",
            0x0c => b"\\f",
            0x0d => b"\\r",
            0x00..=0x1f => {
                let [.., high, low] = &mut unicode;
                *high = hex_digit(byte >> 4);
                *low = hex_digit(byte & 0xf);
                &unicode
            }
            _ => continue,
        };
        out.extend(bytes.get(copied..i).unwrap_or_default());
        out.extend(escape);
        copied = i.saturating_add(1);
    }
    out.extend(bytes.get(copied..).unwrap_or_default());
    out.extend(b"\"");
}

fn hex_digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0'.wrapping_add(nibble) } else { b'a'.wrapping_add(nibble.wrapping_sub(10)) }
}

impl PlaintextError {
    /// A stable name for this kind of refusal.
    pub fn code(self) -> &'static str {
        match self {
            Self::BadNamespace => "plaintext_bad_namespace",
            Self::DuplicateNamespace => "plaintext_duplicate_namespace",
            Self::NoNamespace => "plaintext_no_namespace",
            Self::ReservedKey => "plaintext_reserved_key",
            Self::DuplicateKey => "plaintext_duplicate_key",
        }
    }
}

impl fmt::Display for PlaintextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadNamespace => "the namespace's name cannot be packed; rename it",
            Self::DuplicateNamespace => "the namespace is packed twice",
            Self::NoNamespace => "an entry belongs to no namespace",
            Self::ReservedKey => {
                "a key is << or a name that every JavaScript object has, which Clef cannot pack; rename it"
            }
            Self::DuplicateKey => "a key appears twice in one cell; remove one",
        })
    }
}

impl std::error::Error for PlaintextError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(builder: PlaintextBuilder) -> String {
        String::from_utf8(builder.finish().0.expose().to_vec()).unwrap()
    }

    #[test]
    fn agrees_with_json_stringify() {
        let mut rows = 0;
        for line in include_str!("../tests/data/plaintext.jsonl").lines() {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let mut builder = PlaintextBuilder::new();
            let mut counts = Counts { namespaces: 0, keys: 0 };
            for namespace in row["namespaces"].as_array().unwrap() {
                builder.begin_namespace(namespace[0].as_str().unwrap()).unwrap();
                counts.namespaces += 1;
                for entry in namespace[1].as_array().unwrap() {
                    builder.entry(entry[0].as_str().unwrap(), entry[1].as_str().unwrap()).unwrap();
                    counts.keys += 1;
                }
            }
            let (json, found) = builder.finish();
            assert_eq!(std::str::from_utf8(json.expose()).unwrap(), row["expected"].as_str().unwrap());
            assert_eq!(found, counts);
            rows += 1;
        }
        assert!(rows > 50, "only {rows} rows");
    }

    #[test]
    fn nothing_and_empty_cells() {
        assert_eq!(text(PlaintextBuilder::new()), "{}");
        let mut builder = PlaintextBuilder::new();
        builder.begin_namespace("stripe").unwrap();
        builder.entry("KEY", "v").unwrap();
        builder.begin_namespace("flags").unwrap();
        assert_eq!(text(builder), r#"{"stripe":{"KEY":"v"},"flags":{}}"#);
    }

    #[test]
    fn array_indexes_are_canonical_and_below_two_to_the_32_minus_1() {
        for (key, index) in [("0", 0), ("7", 7), ("4294967294", u32::MAX - 1)] {
            assert_eq!(array_index(key), Some(index));
        }
        for key in
            ["", "00", "01", "-1", "+1", "1.0", "1e3", "4294967295", "4294967296", "99999999999999999999", "９", "a"]
        {
            assert_eq!(array_index(key), None, "{key}");
        }
    }

    #[test]
    fn refuses_bad_and_repeated_namespaces() {
        let mut builder = PlaintextBuilder::new();
        for name in ["", "1a", "A", "a\"", "constructor"] {
            assert_eq!(builder.begin_namespace(name), Err(PlaintextError::BadNamespace), "{name}");
        }
        builder.begin_namespace("a").unwrap();
        builder.begin_namespace("b").unwrap();
        assert_eq!(builder.begin_namespace("a"), Err(PlaintextError::DuplicateNamespace));
    }

    #[test]
    fn refuses_entries_outside_reserved_and_repeated() {
        let mut builder = PlaintextBuilder::new();
        assert_eq!(builder.entry("K", "v"), Err(PlaintextError::NoNamespace));
        builder.begin_namespace("a").unwrap();
        builder.entry("K", "v").unwrap();
        assert_eq!(builder.entry("K", "v"), Err(PlaintextError::DuplicateKey));
        for key in ["__proto__", "constructor", "toString", "valueOf", "hasOwnProperty", "<<"] {
            assert_eq!(builder.entry(key, "v"), Err(PlaintextError::ReservedKey), "{key}");
        }
        // Another namespace may have the same key.
        builder.begin_namespace("b").unwrap();
        builder.entry("K", "w").unwrap();
        assert_eq!(text(builder), r#"{"a":{"K":"v"},"b":{"K":"w"}}"#);
    }
}
