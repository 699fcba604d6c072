//! `CLEF.md` names tests that exist.

use std::{fs, path::Path};

/// The texts in backquotes of the form `file::function`.
fn citations(page: &str) -> Vec<(&str, &str)> {
    let quoted = page.split('`').skip(1).step_by(2);
    quoted.filter_map(|text| text.split_once(".rs::")).collect()
}

#[test]
fn every_test_that_the_table_names_exists() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let mut found = 0;
    for (stem, function) in citations(include_str!("../CLEF.md")) {
        let file = root.join(format!("{stem}.rs"));
        // `tests/` is never shipped; a tree without it is checked as far as it goes, except by the gate.
        if stem.starts_with("tests/") && !root.join("tests").exists() && std::env::var_os("CI").is_none() {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let (before, _) = text
            .split_once(&format!("fn {function}("))
            .unwrap_or_else(|| panic!("{stem}.rs has no function {function}"));
        let attribute = before.trim_end().trim_end_matches("async").trim_end();
        assert!(attribute.ends_with("test]"), "{stem}.rs::{function} is no test");
        found += 1;
    }
    assert!(found > 60, "only {found} citations");
}

/// Rows of the table under a heading, without its two lines of head.
fn rows(page: &str, heading: &str) -> usize {
    let section = page.split("\n## ").find(|section| section.starts_with(heading));
    section.map_or(0, |section| section.lines().filter(|line| line.starts_with('|')).skip(2).count())
}

#[test]
fn every_row_has_a_test() {
    let page = include_str!("../CLEF.md");
    let expected = [
        ("Values", 19),
        ("Keys", 9),
        ("What gets an artifact rejected", 13),
        ("What is accepted and wrong", 7),
        ("Manifest", 17),
        ("Matrix", 11),
        ("Schemas and sidecars", 11),
        ("Looking into an artifact", 6),
    ];
    for (heading, count) in expected {
        assert_eq!(rows(page, heading), count, "{heading}");
    }
    for row in
        page.lines().filter(|line| line.starts_with('|') && !line.contains("---") && !line.ends_with("held by |"))
    {
        assert!(!citations(row).is_empty(), "{row}");
    }
}
