//! What can be refused before parsing: characters and directives.

use crate::YamlError;

/// Refuses characters that readers treat differently and lines that start with `%`.
pub(crate) fn text(text: &str) -> Result<(), YamlError> {
    let mut line = 1_usize;
    let mut at_line_start = true;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let lone_cr = c == '\r' && chars.peek() != Some(&'\n');
        if lone_cr || !allowed(c) {
            return Err(YamlError::ForbiddenCharacter { line });
        }
        if c == '%' && at_line_start {
            return Err(YamlError::Directive { line });
        }
        at_line_start = c == '\n';
        if at_line_start {
            line = line.saturating_add(1);
        }
    }
    Ok(())
}

/// YAML 1.2.2 production `c-printable`, without the byte order mark and without the line breaks of YAML 1.1 that
/// YAML 1.2 dropped.
fn allowed(c: char) -> bool {
    matches!(c,
        '\t' | '\n' | '\r' | ' '..='~'
        | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}'
        | '\u{10000}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_readers_disagree_about() {
        for c in ["\0", "\u{1}", "\u{7f}", "\u{85}", "\u{2028}", "\u{2029}", "\u{feff}", "\u{fffe}", "\u{ffff}"] {
            assert_eq!(text(&format!("a: 1\nb: {c}")), Err(YamlError::ForbiddenCharacter { line: 2 }), "{c:?}");
        }
        assert_eq!(text("# comment\rkey: value"), Err(YamlError::ForbiddenCharacter { line: 1 }));
        assert_eq!(text("a: 1\r"), Err(YamlError::ForbiddenCharacter { line: 1 }));
        assert_eq!(text("\u{feff}a: 1"), Err(YamlError::ForbiddenCharacter { line: 1 }));
        assert_eq!(text("a: 1\r\nb: \u{a0}\u{2027}\u{202a}\u{fffd}\u{10ffff}\u{10000}\t~\n"), Ok(()));
    }

    #[test]
    fn refuses_directives() {
        assert_eq!(text("%YAML 1.1\n---\na: yes\n"), Err(YamlError::Directive { line: 1 }));
        assert_eq!(text("...\r\n%TAG ! x:\n---\na: 1\n"), Err(YamlError::Directive { line: 2 }));
        assert_eq!(text("a: 50%\nb: \"%\"\n %c: 1"), Ok(()));
    }
}
