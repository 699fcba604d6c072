//! Comments, where they stand, and what is none.

#![expect(clippy::unwrap_used, reason = "helpers of tests state what they expect by panicking, too")]

use std::collections::BTreeMap;

use packproof_yaml::{Comment, Comments, Limits, parse, parse_with_comments};
use proptest::prelude::*;

fn find(text: &str) -> Comments {
    let (node, comments) = parse_with_comments(text.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(parse(text.as_bytes(), &Limits::default()).unwrap(), node);
    comments
}

/// Line and text of each.
fn loose(text: &str) -> Vec<(usize, String)> {
    let comments = find(text);
    assert_eq!(comments.above, BTreeMap::new(), "{text:?}");
    comments.loose.into_iter().map(|comment| (comment.line, comment.text)).collect()
}

fn above(text: &str) -> Vec<(usize, Vec<String>)> {
    let comments = find(text);
    assert_eq!(comments.loose, vec![], "{text:?}");
    let texts = |comments: Vec<Comment>| comments.into_iter().map(|comment| comment.text).collect();
    comments.above.into_iter().map(|(number, comments)| (number, texts(comments))).collect()
}

fn one(number: usize, text: &str) -> Vec<(usize, Vec<String>)> {
    vec![(number, vec![text.to_owned()])]
}

#[test]
fn right_above_an_entry_or_item() {
    assert_eq!(above("# c\na: 1\n"), one(0, " c"));
    assert_eq!(above("a: 1\n#c\nb: 2\n"), one(1, "c"));
    assert_eq!(above("a: 1\n# c\n#\n# d\nb: 2\n"), vec![(1, vec![" c".into(), String::new(), " d".into()])]);
    assert_eq!(above("a:\n  # c\n  b: 2\n"), one(1, " c"));
    assert_eq!(above("a:\n  b: 2\n# c\nd: 1\n"), one(2, " c"));
    assert_eq!(above("a:\n    # c\n    - b\n    - d\n"), one(1, " c"));
    assert_eq!(above("a:\n- b\n# c\n- d\n"), one(2, " c"));
    assert_eq!(above("a:\n- b: 1\n  # c\n  d: 2\n"), one(3, " c"));
    assert_eq!(above("a:\n# c\n- - b\n  - d\n"), one(1, " c"));
    assert_eq!(above("a:\n- - b\n  # c\n  - d\n"), one(3, " c"));
    assert_eq!(above("# c\n\"a\": 1\n"), one(0, " c"));
    assert_eq!(above("a: |\n  x\n# c \nb: |-\n  # y\n"), one(1, " c "));
    assert_eq!(above("a: é\n# é ü\nö: 1\n"), one(1, " é ü"));
    assert_eq!(above("a: 1\r\n# c\r\nb: 1\r\n"), one(1, " c"));
    assert!(find("a:\n# c\n- b\n").above[&1][0].above_item);
    assert!(!find("a:\n- b\n# c\nd: 1\n").above[&2][0].above_item);
}

#[test]
fn loose_everywhere_else() {
    for (text, line) in [
        ("a: 1 # c\n", 1),
        ("a: # c\n  b: 1\n", 1),
        ("a: 'x''y' # c\n", 1),
        ("a: \"x\\\"y\" # c\n", 1),
        ("a: | # c\n  x\n", 1),
        ("a: {b: 1} # c\n", 1),
        ("a: [b,\n # c\n d]\n", 2),
        ("a: {b: 1,\n    # c\n    d: 1}\n", 2),
        ("a:\n- # c\n  b: 1\n", 2),
        ("a:\n-\n  # c\n  b: 1\n", 3),
        ("a:\n-\n  # c\n  b\n", 3),
        ("a: 1\n# c\n", 2),
        ("a: 1\n# c", 2),
        ("a: 1\n# c\n\nb: 2\n", 2),
        ("a: 1\n  # c\nb: 2\n", 2),
        ("a:\n# c\n  b: 2\n", 2),
        ("a:\n  b: 1\n  # c\nd: 1\n", 3),
        ("# c\n--- \na: 1\n", 1),
        ("# c\n!!merge <<: {a: 1}\n", 1),
        ("a: b\n  c # c\n", 2),
        ("a: !x b # c\n", 1),
    ] {
        if text.contains("!!merge") {
            // A tag starts the key.
            assert_eq!(above(text), one(0, " c"), "{text:?}");
            continue;
        }
        assert_eq!(loose(text), vec![(line, " c".to_owned())], "{text:?}");
    }
}

#[test]
fn one_indented_otherwise_cuts_off_those_above_it() {
    for (text, expected_above, expected_loose) in [
        ("a:\n  b: 1\n  # c\n# d\ne: 1\n", vec![4], vec![3]),
        ("a:\n  b: 1\n# c\n  # d\ne: 1\n", vec![], vec![3, 4]),
        ("a: 1\n# c\n # d\n# e\nb: 1\n", vec![4], vec![2, 3]),
        ("a: 1\n# c\n\n# e\nb: 1\n", vec![4], vec![2]),
    ] {
        let comments = find(text);
        let lines = |comments: Vec<Comment>| comments.into_iter().map(|comment| comment.line).collect::<Vec<_>>();
        assert_eq!(lines(comments.above.into_values().flatten().collect()), expected_above, "{text:?}");
        assert_eq!(lines(comments.loose), expected_loose, "{text:?}");
    }
}

#[test]
fn what_is_no_comment() {
    for text in [
        "a: b#c\n",
        "a#b: c\n",
        "a: '# b'\n",
        "a: 'b\n  # c'\n",
        "a: \"b\n  # c\n  d\"\n",
        "a: \"b\\\" # c\"\n",
        "a: 'b'' # c'\n",
        "a: |\n  # b\n\n  # c\nd: >-\n  # e\n",
        "a: |\n  \"b\" # c\n  'd' # e\n",
        "- |\n  # b\n- \"\\\\\"\n",
        "\"# a\": '#'\n",
    ] {
        assert_eq!(find(text), Comments::default(), "{text:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    /// Taking out every comment that was found leaves the same document without a comment.
    #[test]
    fn comments_are_comments(text in "([a-c]: |- |\n|\n  |\n    | ?# ?[a-c ]{0,3}\n|'|\"|\\|\n|#|[a-c]|\\[|\\]|\\{|\\}|,|\r\n|é){0,30}") {
        let limits = Limits::default();
        if let Ok((node, comments)) = parse_with_comments(text.as_bytes(), &limits) {
            let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
            for comment in comments.above.values().flatten().chain(&comments.loose) {
                let line = &mut lines[comment.line - 1];
                let stripped = line.trim_end_matches('\r').strip_suffix(&format!("#{}", comment.text)).map(str::to_owned);
                prop_assert!(stripped.is_some(), "{line:?} does not end with {comment:?}");
                *line = stripped.unwrap();
            }
            let without = lines.join("\n");
            let (same, none) = parse_with_comments(without.as_bytes(), &limits).unwrap();
            prop_assert_eq!(same, node);
            prop_assert_eq!(none, Comments::default());
        }
    }
}
