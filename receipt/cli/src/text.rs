//! Text of others on a terminal: everything that a receipt says is hostile until escaped.

/// Longest text printed in one place, in characters. A receipt must not scroll the verdict away.
const LONGEST: usize = 300;

/// One line: control characters, line ends, bidirectional and invisible characters are escaped, and it is not long.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(LONGEST));
    for (count, c) in text.chars().enumerate() {
        if count == LONGEST {
            out.push('…');
            break;
        }
        push(&mut out, c);
    }
    out
}

/// Several lines, each as [`plain`] prints it.
pub(crate) fn lines(text: &str) -> String {
    text.lines().map(plain).collect::<Vec<_>>().join("\n")
}

/// JSON in ASCII: everything else can only stand inside its strings, where `\u` says the same.
pub(crate) fn ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() && c != '\u{7f}' {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

/// The standard library's table says what is printable; of what it escapes beyond that, quotes and backslashes stay.
fn push(out: &mut String, c: char) {
    let printable = c.is_ascii_graphic() || c == ' ' || c.escape_debug().len() == 1;
    if printable { out.push(c) } else { out.extend(c.escape_unicode()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_as_a_command() {
        assert_eq!(plain("grün \"a\" \\ 'b'"), "grün \"a\" \\ 'b'");
        assert_eq!(plain("\u{1b}[2J"), "\\u{1b}[2J");
        assert_eq!(plain("a\nVALID\r\t"), "a\\u{a}VALID\\u{d}\\u{9}");
        assert_eq!(plain("\u{9b}31m\u{7f}"), "\\u{9b}31m\\u{7f}");
        assert_eq!(plain("\u{202e}\u{2066}\u{200b}\u{2028}"), "\\u{202e}\\u{2066}\\u{200b}\\u{2028}");
        assert_eq!(plain(&"x".repeat(1_000)).chars().count(), 301);
        assert_eq!(lines("a\u{1b}\nb"), "a\\u{1b}\nb");
    }

    #[test]
    fn json_in_ascii_means_the_same() {
        let text = "\u{9b}é\u{202e}😀\u{7f}";
        let json = ascii(&serde_json::to_string(text).unwrap());
        assert!(json.is_ascii() && !json.contains('\u{7f}'));
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }
}
