//! A page that lists attacks, and that it is true.

use std::{collections::BTreeSet, fs};

use crate::programs::workspace;

/// A table of attacks in Markdown: number, attack, what is changed, refusal, `file::test`.
pub struct Table {
    /// Its path in the repository, for messages.
    pub path: &'static str,
    /// The page.
    pub text: &'static str,
}

/// A row of the table.
struct Row {
    number: usize,
    attack: &'static str,
    changed: &'static str,
    code: &'static str,
    file: &'static str,
    test: &'static str,
}

impl Table {
    fn rows(&self) -> Vec<Row> {
        let code = |cell: &'static str| cell.strip_prefix('`').and_then(|cell| cell.strip_suffix('`')).unwrap();
        let row = |line: &'static str| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let &[number, attack, changed, refusal, test] = cells.as_slice() else { panic!("not five cells: {line}") };
            let (file, test) = code(test).split_once("::").unwrap_or_else(|| panic!("no file::test: {line}"));
            Row { number: number.parse().unwrap(), attack, changed, code: code(refusal), file, test }
        };
        let is_row = |line: &&str| line.starts_with("| ") && line.as_bytes()[2].is_ascii_digit();
        self.text.lines().filter(is_row).map(row).collect()
    }

    /// The code that an attack gets.
    #[track_caller]
    pub fn code_of(&self, attack: &str) -> &'static str {
        let row = self.rows().into_iter().find(|row| row.attack == attack);
        row.unwrap_or_else(|| panic!("{} does not list {attack:?}", self.path)).code
    }

    /// Every row, at least `least` of them, is one attack, in a test that is there and that expects this code.
    pub fn check(&self, least: usize) {
        let rows = self.rows();
        assert!(rows.len() >= least, "{} rows", rows.len());
        let mut names = BTreeSet::new();
        for (index, row) in rows.iter().enumerate() {
            let Row { number, attack, changed, code, file, test } = row;
            assert_eq!(*number, index + 1, "{attack}: rows are numbered in order");
            assert!(names.insert(attack), "{attack}: two rows of one name");
            assert!(changed.len() > 10, "{attack}: says not what is changed");
            let source = fs::read_to_string(workspace().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            let start =
                source.find(&format!("#[test]\nfn {test}() {{")).unwrap_or_else(|| panic!("{file} has no {test}"));
            let body = &source[start..];
            let body = &body[..body.find("\n}\n").unwrap()];
            for text in [attack, code] {
                let says = body.contains(&format!("\"{text}\""));
                assert!(says, "{file}::{test} does not say {text:?} (attack {number})");
            }
        }
    }
}
