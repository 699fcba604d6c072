//! A small, strict JSON reader (RFC 8259).
//!
//! Why not `serde_json`: it takes the last of two equal keys, rounds some numbers one unit off in the last place, and
//! accepts what Go's reader understands differently. This one refuses equal keys and lone surrogates, and every number
//! becomes the nearest double, as in Go.

use std::collections::BTreeSet;

use crate::tree::{Leaf, Tree};
use crate::{Limits, SopsError};

/// Reads one JSON text; nothing but white space may follow.
pub(crate) fn parse(bytes: &[u8], limits: &Limits) -> Result<Tree, SopsError> {
    if bytes.len() > limits.max_bytes {
        return Err(SopsError::LimitExceeded { limit: "max_bytes" });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        SopsError::JsonSyntax { line: line_after(before) }
    })?;
    let mut reader = Reader { text, rest: text, limits, nodes: 0 };
    let tree = reader.value(0)?;
    reader.space();
    if reader.rest.is_empty() { Ok(tree) } else { Err(reader.syntax()) }
}

fn line_after(before: &[u8]) -> usize {
    before.iter().filter(|&&b| b == b'\n').count().saturating_add(1)
}

struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
    limits: &'a Limits,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn line(&self) -> usize {
        let used = self.text.len().saturating_sub(self.rest.len());
        line_after(self.text.as_bytes().get(..used).unwrap_or_default())
    }

    fn syntax(&self) -> SopsError {
        SopsError::JsonSyntax { line: self.line() }
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    /// Takes `token` if it comes next.
    fn take(&mut self, token: &str) -> bool {
        let after = self.rest.strip_prefix(token);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn want(&mut self, token: &str) -> Result<(), SopsError> {
        if self.take(token) { Ok(()) } else { Err(self.syntax()) }
    }

    /// Recursion is bounded by `max_depth`.
    fn value(&mut self, depth: usize) -> Result<Tree, SopsError> {
        self.count()?;
        self.space();
        if self.take("{") {
            return self.object(self.deeper(depth)?);
        }
        if self.take("[") {
            return self.array(self.deeper(depth)?);
        }
        if self.take("\"") {
            return Ok(Tree::Leaf(Leaf::Str(self.string()?)));
        }
        for (word, leaf) in [("null", Leaf::Null), ("true", Leaf::Bool(true)), ("false", Leaf::Bool(false))] {
            if self.take(word) {
                return Ok(Tree::Leaf(leaf));
            }
        }
        self.number().map(|value| Tree::Leaf(Leaf::Float(value)))
    }

    fn count(&mut self) -> Result<(), SopsError> {
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes > self.limits.max_nodes {
            return Err(SopsError::LimitExceeded { limit: "max_nodes" });
        }
        Ok(())
    }

    fn deeper(&self, depth: usize) -> Result<usize, SopsError> {
        if depth >= self.limits.max_depth {
            return Err(SopsError::LimitExceeded { limit: "max_depth" });
        }
        Ok(depth.saturating_add(1))
    }

    fn object(&mut self, depth: usize) -> Result<Tree, SopsError> {
        let mut map = Vec::new();
        let mut seen = BTreeSet::new();
        self.space();
        if self.take("}") {
            return Ok(Tree::Map(map));
        }
        loop {
            self.count()?;
            self.space();
            self.want("\"")?;
            let key = self.string()?;
            if !seen.insert(key.clone()) {
                return Err(SopsError::DuplicateKey { line: self.line() });
            }
            self.space();
            self.want(":")?;
            map.push((key, self.value(depth)?));
            self.space();
            if self.take("}") {
                return Ok(Tree::Map(map));
            }
            self.want(",")?;
        }
    }

    fn array(&mut self, depth: usize) -> Result<Tree, SopsError> {
        let mut items = Vec::new();
        self.space();
        if self.take("]") {
            return Ok(Tree::List(items));
        }
        loop {
            items.push(self.value(depth)?);
            self.space();
            if self.take("]") {
                return Ok(Tree::List(items));
            }
            self.want(",")?;
        }
    }

    /// After the opening quote.
    fn string(&mut self) -> Result<String, SopsError> {
        let mut out = String::new();
        loop {
            let end = self.rest.find(|c: char| c == '"' || c == '\\' || c < ' ').ok_or_else(|| self.syntax())?;
            let (literal, rest) = self.rest.split_at_checked(end).ok_or_else(|| self.syntax())?;
            out.push_str(literal);
            self.rest = rest;
            if self.take("\"") {
                return Ok(out);
            }
            self.want("\\")?;
            out.push(self.escape()?);
        }
    }

    fn escape(&mut self) -> Result<char, SopsError> {
        for (token, c) in [
            ("\"", '"'),
            ("\\", '\\'),
            ("/", '/'),
            ("b", '\u{8}'),
            ("f", '\u{c}'),
            ("n", '\n'),
            ("r", '\r'),
            ("t", '\t'),
        ] {
            if self.take(token) {
                return Ok(c);
            }
        }
        self.want("u")?;
        let mut units = vec![self.hex4()?];
        if matches!(units.first(), Some(0xd800..0xdc00)) {
            self.want("\\u")?;
            units.push(self.hex4()?);
        }
        match (char::decode_utf16(units.iter().copied()).next(), units.len()) {
            // A high surrogate followed by something else decodes to an error first.
            (Some(Ok(c)), _) => Ok(c),
            _ => Err(self.syntax()),
        }
    }

    fn hex4(&mut self) -> Result<u16, SopsError> {
        let (digits, rest) = self.rest.split_at_checked(4).ok_or_else(|| self.syntax())?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(self.syntax());
        }
        let unit = u16::from_str_radix(digits, 16).map_err(|_| self.syntax())?;
        self.rest = rest;
        Ok(unit)
    }

    fn number(&mut self) -> Result<f64, SopsError> {
        let all: &'a str = self.rest;
        self.take("-");
        if !self.take("0") {
            self.digits()?;
        }
        if self.take(".") {
            self.digits()?;
        }
        if self.take("e") || self.take("E") {
            let _sign = self.take("+") || self.take("-");
            self.digits()?;
        }
        let text = all.get(..all.len().saturating_sub(self.rest.len())).unwrap_or_default();
        text.parse::<f64>().ok().filter(|value| value.is_finite()).ok_or_else(|| self.syntax())
    }

    fn digits(&mut self) -> Result<(), SopsError> {
        let after = self.rest.trim_start_matches(|c: char| c.is_ascii_digit());
        if after.len() == self.rest.len() {
            return Err(self.syntax());
        }
        self.rest = after;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Tree, SopsError> {
        parse(text.as_bytes(), &Limits::default())
    }

    fn float(value: f64) -> Result<Tree, SopsError> {
        Ok(Tree::Leaf(Leaf::Float(value)))
    }

    fn string(value: &str) -> Result<Tree, SopsError> {
        Ok(Tree::Leaf(Leaf::Str(value.into())))
    }

    #[test]
    fn reads_what_the_rfc_allows() {
        assert_eq!(read(" {\r\n\t} "), Ok(Tree::Map(vec![])));
        assert_eq!(read("[ ]"), Ok(Tree::List(vec![])));
        assert_eq!(
            read("{\"b\":[null,true,false,{\"\":1}],\"a\":2}"),
            Ok(Tree::Map(vec![
                (
                    "b".into(),
                    Tree::List(vec![
                        Tree::Leaf(Leaf::Null),
                        Tree::Leaf(Leaf::Bool(true)),
                        Tree::Leaf(Leaf::Bool(false)),
                        Tree::Map(vec![(String::new(), Tree::Leaf(Leaf::Float(1.0)))]),
                    ])
                ),
                ("a".into(), Tree::Leaf(Leaf::Float(2.0))),
            ]))
        );
        assert_eq!(read("-0.5e-3"), float(-0.0005));
        assert_eq!(read("1E+2"), float(100.0));
        assert_eq!(read("9007199254740993"), float(9_007_199_254_740_992.0));
        assert_eq!(read(r#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é\u0000""#), string("\"\\/\u{8}\u{c}\n\r\té😀é\0"));
    }

    #[test]
    fn refuses_the_rest_by_line() {
        for text in [
            "",
            " ",
            "{",
            "[",
            "[1,]",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\" 1}",
            "{\"a\":}",
            "[1 2]",
            "01",
            "-",
            "1.",
            ".5",
            "+1",
            "1e",
            "0x1",
            "NaN",
            "Infinity",
            "1e400",
            "nul",
            "nulll",
            "True",
            "\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u+123\"",
            "\"\\ud800\"",
            "\"\\ud800x\"",
            "\"\\ud800\\u0041\"",
            "\"\\udc00\"",
            "\"\t\"",
            "\"\n\"",
            "'a'",
            "{} {}",
            "1 1",
            "// c\n1",
            "\u{feff}1",
            "[1]]",
            "\u{a0}1",
        ] {
            assert!(matches!(read(text), Err(SopsError::JsonSyntax { .. })), "{text:?}: {:?}", read(text));
        }
        assert_eq!(read("{\n\"a\": 1,\n\"a\": 2}"), Err(SopsError::DuplicateKey { line: 3 }));
        assert_eq!(read("{\"a\": 1,\n\"\\u0061\": 2}"), Err(SopsError::DuplicateKey { line: 2 }));
        assert_eq!(read("[\n\n?]"), Err(SopsError::JsonSyntax { line: 3 }));
        assert_eq!(parse(b"[\n\"\xff\"]", &Limits::default()), Err(SopsError::JsonSyntax { line: 2 }));
    }

    #[test]
    fn limits_hold_exactly() {
        let limits = Limits { max_bytes: 12, max_depth: 2, max_nodes: 4, ..Limits::default() };
        let read = |text: &str| parse(text.as_bytes(), &limits);
        assert!(read("\"1234567890\"").is_ok());
        assert_eq!(read("\"12345678901\""), Err(SopsError::LimitExceeded { limit: "max_bytes" }));
        assert!(read("[[1]]").is_ok());
        assert_eq!(read("[[[]]]"), Err(SopsError::LimitExceeded { limit: "max_depth" }));
        assert!(read("[1,2,3]").is_ok());
        assert_eq!(read("[1,2,3,4]"), Err(SopsError::LimitExceeded { limit: "max_nodes" }));
        assert_eq!(
            super::parse("[".repeat(100_000).as_bytes(), &Limits::default()).err().unwrap().code(),
            "sops_limit_exceeded"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1500) })]

        #[test]
        fn agrees_with_serde_json_or_refuses(text in "([\\[\\]{}:,\"\\\\ \n0-9.eE+u-]|null|true|\"a\"|\"b\":|\\\\u00e9){0,24}") {
            if let Ok(tree) = read(&text) {
                let other: serde_json::Value = serde_json::from_str(&text).unwrap();
                prop_assert!(same(&tree, &other), "{:?} {:?}", tree, other);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = parse(&bytes, &Limits::default());
        }

        #[test]
        fn any_string_comes_back(value in any::<String>()) {
            prop_assert_eq!(read(&serde_json::to_string(&value).unwrap()), string(&value));
        }
    }

    fn same(tree: &Tree, other: &serde_json::Value) -> bool {
        use serde_json::Value as V;
        match (tree, other) {
            (Tree::Leaf(Leaf::Null), V::Null) => true,
            (Tree::Leaf(Leaf::Bool(a)), V::Bool(b)) => a == b,
            (Tree::Leaf(Leaf::Str(a)), V::String(b)) => a == b,
            (Tree::Leaf(Leaf::Float(a)), V::Number(b)) => (a - b.as_f64().unwrap()).abs() <= a.abs() * f64::EPSILON,
            (Tree::List(a), V::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
            (Tree::Map(a), V::Object(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|((k, v), (l, w))| k == l && same(v, w))
            }
            _ => false,
        }
    }
}
