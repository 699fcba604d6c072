//! The regular expressions of selectors.
//!
//! sops matches with Go's `regexp` (RE2's syntax), here `regex-lite` does: it is linear in time as RE2 is, and the
//! enclave has it already through `aws-sdk-kms`, so it adds no crate; `regex` would add two or three for Unicode classes
//! that names of keys hardly need. The two engines do not read every pattern alike, so [`Pattern::new`] takes only what
//! both read alike and refuses the rest, for example `\pL`, `\x41`, `\Q…\E`, named groups, `a**`, a `{` that Go takes
//! literally, and nested counted repetitions that Go finds too large. (sops lets such a pattern match nothing.)

use regex_lite::{Regex, RegexBuilder};

/// A pattern that Go and `regex-lite` read alike.
#[derive(Debug)]
pub(crate) struct Pattern {
    regex: Regex,
}

/// Why a pattern or a text to match is refused. Fixed words, fit for a message.
pub(crate) type Fault = &'static str;

/// Most steps of the compiled pattern, in bytes as `regex-lite` counts them. Bounds the time for each byte of a key.
const MAX_COMPILED_BYTES: usize = 64 << 10;
/// RE2's limit for one counted repetition and for the product of nested ones. Here it holds for the whole pattern.
const MAX_REPEAT: u32 = 1000;

impl Pattern {
    pub(crate) fn new(pattern: &str) -> Result<Self, Fault> {
        Scanner { chars: pattern.chars().peekable(), folds_case: false, repeats: 1 }.check(pattern.is_ascii())?;
        RegexBuilder::new(pattern)
            .size_limit(MAX_COMPILED_BYTES)
            .build()
            .map(|regex| Self { regex })
            .map_err(|_| "it is malformed or too large")
    }

    /// Whether the pattern matches somewhere in `text`.
    pub(crate) fn matches(&self, text: &str) -> Result<bool, Fault> {
        // Go folds the long s and the Kelvin sign to `s` and `k`, regex-lite does not; `\s` has the vertical tab only here.
        if text.contains(['\u{b}', '\u{17f}', '\u{212a}']) {
            return Err("U+000B, U+017F or U+212A stands in a text to match");
        }
        Ok(self.regex.is_match(text))
    }
}

/// Walks over a pattern and refuses what is not read alike. What it lets through may still be malformed.
struct Scanner<'a> {
    chars: std::iter::Peekable<std::str::Chars<'a>>,
    folds_case: bool,
    repeats: u32,
}

const SYNTAX: Fault = "it uses syntax beyond what Go and this reader have in common";

impl Scanner<'_> {
    fn check(mut self, ascii: bool) -> Result<(), Fault> {
        // Whether a repetition may follow.
        let mut atom = false;
        while let Some(c) = self.chars.next() {
            atom = match c {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.group()?,
                ')' => true,
                '|' | '^' | '$' => false,
                '*' | '+' | '?' if atom => self.lazy(),
                '{' if atom => self.counted()?,
                '*' | '+' | '?' | '{' | '}' | ']' => return Err(SYNTAX),
                _ => true,
            };
        }
        // Go folds case by Unicode, regex-lite within ASCII.
        if self.folds_case && !ascii { Err(SYNTAX) } else { Ok(()) }
    }

    /// The `?` after a repetition; another repetition may not follow.
    fn lazy(&mut self) -> bool {
        self.chars.next_if_eq(&'?');
        false
    }

    /// After `(`: nothing, `?:`, or flags as in `?i)` and `?i:`.
    fn group(&mut self) -> Result<bool, Fault> {
        if self.chars.next_if_eq(&'?').is_none() {
            return Ok(false);
        }
        let mut flags = false;
        loop {
            match self.chars.next() {
                Some('i') => self.folds_case = true,
                Some('m' | 's') => {}
                Some(':') => return Ok(false),
                Some(')') if flags => return Ok(false),
                _ => return Err(SYNTAX),
            }
            flags = true;
        }
    }

    /// After `\`, outside brackets. An assertion is no atom.
    fn escape(&mut self) -> Result<bool, Fault> {
        match self.chars.next() {
            Some('d' | 'D' | 's' | 'S' | 'w' | 'W') => Ok(true),
            Some('b' | 'B' | 'A' | 'z') => Ok(false),
            Some(c) if is_single_escape(c) => Ok(true),
            _ => Err(SYNTAX),
        }
    }

    /// After `{`: `n}`, `n,}` or `n,m}` without leading zeros.
    fn counted(&mut self) -> Result<bool, Fault> {
        let mut bounds = [None; 2];
        let least = self.number().ok_or(SYNTAX)?;
        bounds[0] = Some(least);
        if self.chars.next_if_eq(&',').is_some() {
            bounds[1] = self.number();
        }
        if self.chars.next() != Some('}') || bounds[1].is_some_and(|most| most < least) {
            return Err(SYNTAX);
        }
        let most = bounds[1].unwrap_or(least).max(1);
        self.repeats = self.repeats.checked_mul(most).filter(|product| *product <= MAX_REPEAT).ok_or(SYNTAX)?;
        Ok(self.lazy())
    }

    fn number(&mut self) -> Option<u32> {
        let mut digits = String::new();
        while let Some(digit) = self.chars.next_if(char::is_ascii_digit) {
            digits.push(digit);
        }
        if digits.len() > 1 && digits.starts_with('0') { None } else { digits.parse().ok() }
    }

    /// After `[`.
    fn class(&mut self) -> Result<bool, Fault> {
        self.chars.next_if_eq(&'^');
        let mut first = true;
        loop {
            let single = match self.chars.next().ok_or(SYNTAX)? {
                ']' if !first => return Ok(true),
                ']' => return Err(SYNTAX),
                '[' => {
                    self.named_class()?;
                    None
                }
                '\\' => match self.chars.next() {
                    Some('d' | 'D' | 's' | 'S' | 'w' | 'W') => None,
                    Some(c) if is_single_escape(c) => Some('\\'),
                    _ => return Err(SYNTAX),
                },
                // Literal only at either end.
                '-' if first || self.chars.peek() == Some(&']') => None,
                '-' => return Err(SYNTAX),
                c @ ('&' | '~') if self.chars.peek() == Some(&c) => return Err(SYNTAX),
                c => Some(c),
            };
            first = false;
            if self.chars.peek() != Some(&'-') {
                continue;
            }
            let mut ahead = self.chars.clone();
            ahead.next();
            if ahead.peek() == Some(&']') {
                continue;
            }
            // A range, of plain characters only.
            self.chars.next();
            match (single, self.chars.next()) {
                (Some(low), Some(high)) if low != '\\' && !"[]\\-&~".contains(high) && low <= high => {}
                _ => return Err(SYNTAX),
            }
        }
    }

    /// After `[[`.
    fn named_class(&mut self) -> Result<(), Fault> {
        let mut name = String::new();
        if self.chars.next() == Some(':') {
            while let Some(c) = self.chars.next_if(char::is_ascii_lowercase) {
                name.push(c);
            }
        }
        let closed = self.chars.next() == Some(':') && self.chars.next() == Some(']');
        if closed && CLASSES.contains(&name.as_str()) { Ok(()) } else { Err(SYNTAX) }
    }
}

const CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

/// Escapes of one character: controls by name, and ASCII punctuation (`\<` and `\>` are assertions to regex-lite).
fn is_single_escape(c: char) -> bool {
    matches!(c, 't' | 'n' | 'r' | 'f' | 'a' | 'v') || (c.is_ascii_punctuation() && !matches!(c, '<' | '>'))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern).unwrap_or_else(|fault| panic!("{pattern}: {fault}")).matches(text).unwrap()
    }

    /// Expectations worked out with Go's documentation; `tests/differential.rs` compares with Go itself.
    #[test]
    fn matches_as_go_does() {
        for (pattern, yes, no) in [
            ("^(data|stringData)$", "data", "metadata"),
            ("password|token", "my_token", "Token"),
            ("(?i)PassWord", "DBPASSWORD", "pass"),
            ("^[A-Z_]+$", "A_B", "A-B"),
            ("^[^a-c-]$", "\n", "-"),
            ("a.c", "aéc", "a\nc"),
            ("(?s:a.c)", "a\nc", "ac"),
            ("(?m)^b$", "a\nb\nc", "abc"),
            ("^b$", "b", "b\n"),
            ("\\bkey\\b", "a key", "a_key"),
            ("\\Aa\\z", "a", "ab"),
            ("^a{2,3}$", "aaa", "a"),
            ("^(?:ab){2}?$", "abab", "ab"),
            ("^[[:alpha:][:digit:]_]+$", "a1_", "é"),
            ("^[\\w.-]+$", "a.b-c", "a b"),
            ("^\\d+\\s?$", "12 ", "x"),
        ] {
            assert!(matches(pattern, yes), "{pattern} {yes}");
            assert!(!matches(pattern, no), "{pattern} {no}");
        }
        assert!(matches("\\.\\-\\_\\/\\@\\\"", "a.-_/@\""));
        assert!(matches("", "") && matches("a|", "") && matches("()", "x"));
    }

    #[test]
    fn refuses_what_is_not_read_alike() {
        for pattern in [
            "\\pL",
            "\\p{Greek}",
            "\\x41",
            "\\Qa\\E",
            "\\1",
            "\\C",
            "\\<a\\>",
            "\\é",
            "\\",
            "a**",
            "a+?+",
            "a{2}{3}",
            "*a",
            "^*",
            "(*a)",
            "a|*",
            "(?i)*",
            "{",
            "a{",
            "a{,2}",
            "a{x}",
            "a{01}",
            "a{3,2}",
            "a{1001}",
            "(a{40}){40}",
            "\\b{start}",
            "}",
            "]",
            "(?P<n>a)",
            "(?<n>a)",
            "(?=a)",
            "(?x)a",
            "(?-i)a",
            "(?U)a",
            "(?)a",
            "(?i)é",
            "[]a]",
            "[[a]",
            "[a&&b]",
            "[a--b]",
            "[a~~b]",
            "[a-z-9]",
            "[z-a]",
            "[\\t-a]",
            "[a-\\t]",
            "[[:nope:]]",
            "[[:^alpha:]]",
            "[a",
            "[",
            "[^]",
            "[\\pL]",
            "[\\b]",
        ] {
            assert_eq!(Pattern::new(pattern).err(), Some(SYNTAX), "{pattern}");
        }
        for pattern in ["(", "a)", "(a", "((", "(?i"] {
            assert!(Pattern::new(pattern).is_err(), "{pattern}");
        }
        let deep = format!("{}{}", "(".repeat(400), ")".repeat(400));
        assert!(Pattern::new(&deep).is_err());
        assert!(Pattern::new("a{1000}").is_ok() && Pattern::new("(a{30}){30}").is_ok());
        assert!(Pattern::new(&"[a-z][0-9]".repeat(2000)).is_err(), "too large");
    }

    #[test]
    fn refuses_texts_on_which_the_engines_differ() {
        for text in ["a\u{b}b", "\u{17f}", "\u{212a}"] {
            assert!(Pattern::new("a").unwrap().matches(text).is_err(), "{text:?}");
        }
        assert!(!matches("a", "\u{7f}\u{a0}é"));
    }

    #[test]
    fn time_is_bounded() {
        let start = Instant::now();
        let text = "a".repeat(20_000);
        for pattern in ["(a*)*b", "(a|a)*b", "(a{30}){30}b", "(.*)(.*)(.*)(.*)(.*)b", "(?i)^(x?a)*$y"] {
            assert!(!matches(pattern, &text), "{pattern}");
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

        #[test]
        fn no_pattern_makes_it_panic(pattern in "(\\(\\?|[-\\[\\](){}?*+|^$.,:\\\\abdipPQEsx01é&~]|\\[:[a-z]{1,6}:\\]){0,20}", text in "[ab01é\n]{0,8}") {
            if let Ok(pattern) = Pattern::new(&pattern) {
                let _ = pattern.matches(&text);
            }
        }
    }
}
