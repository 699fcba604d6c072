//! `tests/KMS-ATTACKS.md`, and that it is true.

use std::{collections::BTreeSet, fs};

use packproof_tests::programs::workspace;

const TABLE: &str = include_str!("../../KMS-ATTACKS.md");

/// A row of the table.
struct Row {
    number: usize,
    attack: &'static str,
    changed: &'static str,
    code: &'static str,
    file: &'static str,
    test: &'static str,
}

fn rows() -> Vec<Row> {
    let code = |cell: &'static str| cell.strip_prefix('`').and_then(|cell| cell.strip_suffix('`')).unwrap();
    let row = |line: &'static str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let &[number, attack, changed, refusal, test] = cells.as_slice() else { panic!("not five cells: {line}") };
        let (file, test) = code(test).split_once("::").unwrap_or_else(|| panic!("no file::test: {line}"));
        Row { number: number.parse().unwrap(), attack, changed, code: code(refusal), file, test }
    };
    TABLE.lines().filter(|line| line.starts_with("| ") && line.as_bytes()[2].is_ascii_digit()).map(row).collect()
}

/// The code that an attack gets.
#[track_caller]
pub(crate) fn code_of(attack: &str) -> &'static str {
    let row = rows().into_iter().find(|row| row.attack == attack);
    row.unwrap_or_else(|| panic!("tests/KMS-ATTACKS.md does not list {attack:?}")).code
}

/// Every row is one attack, in a test that is there and that expects this code.
#[test]
fn every_row_has_its_test() {
    let rows = rows();
    assert!(rows.len() >= 25, "{} rows", rows.len());
    let mut names = BTreeSet::new();
    for (index, row) in rows.iter().enumerate() {
        let Row { number, attack, changed, code, file, test } = row;
        assert_eq!(*number, index + 1, "{attack}: rows are numbered in order");
        assert!(names.insert(attack), "{attack}: two rows of one name");
        assert!(changed.len() > 10, "{attack}: says not what is changed");
        let source = fs::read_to_string(workspace().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let start = source.find(&format!("#[test]\nfn {test}() {{")).unwrap_or_else(|| panic!("{file} has no {test}"));
        let body = &source[start..];
        let body = &body[..body.find("\n}\n").unwrap()];
        for text in [attack, code] {
            assert!(body.contains(&format!("\"{text}\"")), "{file}::{test} does not say {text:?} (attack {number})");
        }
    }
}
