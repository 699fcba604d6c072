//! The only writers to standard output and standard error.

use std::io::Write;

use serde_json::{Map, Value, json};

use crate::Error;

/// Longest code taken over from an enclave.
const MAX_CODE_BYTES: usize = 64;

/// What a command has to say when it worked, in both forms.
pub(crate) struct Report {
    /// For people; lines without the last line end.
    pub text: String,
    /// For `--json`.
    pub json: Map<String, Value>,
}

/// Version of the objects that `--json` prints, in their member `schema`.
const SCHEMA: u32 = 1;

/// Writes a result.
///
/// # Errors
/// [`Error::Output`].
pub(crate) fn report(out: &mut dyn Write, report: &Report, json: bool) -> Result<(), Error> {
    let text = if json {
        let head = [("schema".to_owned(), json!(SCHEMA))];
        Value::Object(head.into_iter().chain(report.json.clone()).collect()).to_string()
    } else {
        report.text.clone()
    };
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(Error::Output)
}

/// Writes an error: two lines on `err`, or with `json` one object on `out`. A stream that fails here is given up: there
/// is nobody left to tell.
pub(crate) fn error(out: &mut dyn Write, err: &mut dyn Write, failure: &Error, json: bool) {
    let (code, message, hint) = (failure.code(), printable(&failure.to_string()), failure.hint());
    if json {
        let object = json!({ "error": true, "code": code, "message": message, "hint": hint });
        let _ = writeln!(out, "{object}").and_then(|()| out.flush());
        return;
    }
    let _ = writeln!(err, "packproof: error: {message} [{code}]");
    if let Some(hint) = hint {
        let _ = writeln!(err, "hint: {}", printable(&hint));
    }
    let _ = err.flush();
}

/// Writes a warning, one line on `err`.
pub(crate) fn warning(err: &mut dyn Write, text: &str) {
    // A stream that fails here is given up.
    let _ = writeln!(err, "packproof: warning: {text}").and_then(|()| err.flush());
}

/// `text` with everything escaped that could move a cursor or reorder letters; line ends stay.
pub(crate) fn printable(text: &str) -> String {
    text.split('\n').map(printable_line).collect::<Vec<_>>().join("\n")
}

/// The same, line ends escaped too: for words that came from somebody else.
pub(crate) fn printable_line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_invisible(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// `code` when it looks like one of ours, else `other`.
pub(crate) fn code_or<'a>(code: &'a str, other: &'a str) -> &'a str {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if !code.is_empty() && code.len() <= MAX_CODE_BYTES && code.bytes().all(plain) { code } else { other }
}

/// Line and paragraph separators, marks of direction, zero-width characters.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_two_lines_or_one_object() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        error(&mut out, &mut err, &Error::SignerMissing, false);
        let text = String::from_utf8(err).unwrap();
        assert!(
            out.is_empty()
                && text.starts_with("packproof: error: a pack needs")
                && text.contains("[signer_missing]\nhint: ")
        );
        let (mut out, mut err) = (Vec::new(), Vec::new());
        error(&mut out, &mut err, &Error::SignerMissing, true);
        let object: Value = serde_json::from_slice(&out).unwrap();
        assert!(
            err.is_empty()
                && object["error"] == true
                && object["code"] == "signer_missing"
                && object["hint"].is_string()
        );
    }

    #[test]
    fn nothing_printed_can_move_a_cursor() {
        assert_eq!(printable("a\u{1b}[1m\nb\u{9b}\u{2066}"), "a\\u{1b}[1m\nb\\u{9b}\\u{2066}");
        assert_eq!(printable_line("a\nb\tü"), "a\\u{a}b\\u{9}ü");
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_said_is_one_printable_line(text in proptest::prelude::any::<String>()) {
            let shown = printable_line(&text);
            assert!(!shown.chars().any(|c| c.is_control() || is_invisible(c)));
            assert!(!code_or(&shown, "other").contains('\\'));
        }
    }
}
