//! What is read, what is refused, and how much work a hostile text can cause.

use std::time::{Duration, Instant};

use packproof_yaml::{Limits, Node, Scalar, YamlError, parse, parse_with_comments};
use proptest::prelude::*;

fn read(text: &str) -> Result<Node, YamlError> {
    parse(text.as_bytes(), &Limits::default())
}

fn scalar(text: &str, plain: bool) -> Node {
    Node::Scalar(Scalar { text: text.into(), plain, tag: None })
}

fn tagged(text: &str, plain: bool, tag: &str) -> Node {
    Node::Scalar(Scalar { text: text.into(), plain, tag: Some(tag.into()) })
}

#[test]
fn keeps_order_text_and_quoting() {
    let text = "# comment\nb: yes\na: 'yes' # comment\n1: \"\\u0001\\n\"\nlist:\n- x\n-\n- [p, {q: r}]\n- |\n    two\n    lines\nnone:\n";
    let expected = Node::Map(vec![
        (scalar("b", true), scalar("yes", true)),
        (scalar("a", true), scalar("yes", false)),
        (scalar("1", true), scalar("\u{1}\n", false)),
        (
            scalar("list", true),
            Node::List(vec![
                scalar("x", true),
                scalar("", true),
                Node::List(vec![scalar("p", true), Node::Map(vec![(scalar("q", true), scalar("r", true))])]),
                scalar("two\nlines\n", false),
            ]),
        ),
        (scalar("none", true), scalar("", true)),
    ]);
    assert_eq!(read(text).unwrap(), expected);
    assert_eq!(read(&text.replace('\n', "\r\n")).unwrap(), expected);
    assert_eq!(expected.get("b"), Some(&scalar("yes", true)));
    assert_eq!(expected.get("c"), None);
    assert_eq!(expected.get("list").and_then(Node::as_list).unwrap().len(), 4);
}

#[test]
fn names_tags_in_full() {
    let node = read("!!merge <<: {a: !x b}\nc: ! d\ne: !!str 1\nf: !<tag:example,2000:y> g\n").unwrap();
    let expected = Node::Map(vec![
        (tagged("<<", true, "tag:yaml.org,2002:merge"), Node::Map(vec![(scalar("a", true), tagged("b", true, "!x"))])),
        (scalar("c", true), tagged("d", true, "!")),
        (scalar("e", true), tagged("1", true, "tag:yaml.org,2002:str")),
        (scalar("f", true), tagged("g", true, "tag:example,2000:y")),
    ]);
    assert_eq!(node, expected);
}

#[test]
fn a_root_may_be_any_kind_of_node() {
    assert_eq!(read("--- a\n...\n"), Ok(scalar("a", true)));
    assert_eq!(read("[]"), Ok(Node::List(vec![])));
    assert_eq!(read("{}"), Ok(Node::Map(vec![])));
    assert_eq!(read("---\n"), Ok(scalar("", true)));
}

#[test]
fn refuses_by_name() {
    for (text, expected) in [
        ("", YamlError::Empty),
        ("# only a comment\n", YamlError::Empty),
        ("a: 1\n---\nb: 2\n", YamlError::MultipleDocuments { line: 2 }),
        ("a: 1\n...\n---\n", YamlError::MultipleDocuments { line: 3 }),
        ("a: &x 1\n", YamlError::Anchor { line: 1 }),
        ("a: &x [1]\n", YamlError::Anchor { line: 1 }),
        ("&x a: 1\n", YamlError::Anchor { line: 1 }),
        ("a: 1\nb: &x {}\n", YamlError::Anchor { line: 2 }),
        ("a: *x\n", YamlError::Syntax { line: 1 }),
        ("a: !!set {b}\n", YamlError::CollectionTag { line: 1 }),
        ("a: !!map {b: c}\n", YamlError::CollectionTag { line: 1 }),
        ("a: !x [b]\n", YamlError::CollectionTag { line: 1 }),
        ("a:\n  ? [b]\n  : c\n", YamlError::ComplexKey { line: 2 }),
        ("{{a: b}: c}\n", YamlError::ComplexKey { line: 1 }),
        ("a: 1\nb: 2\na: 3\n", YamlError::DuplicateKey { line: 3 }),
        ("a: 1\n\"a\": 3\n", YamlError::DuplicateKey { line: 2 }),
        ("? \n: 1\n'': 2\n", YamlError::DuplicateKey { line: 3 }),
        ("a: 'open\n", YamlError::Syntax { line: 1 }),
        ("a: ]\n", YamlError::Syntax { line: 1 }),
        ("a: !none!b c\n", YamlError::Syntax { line: 1 }),
        ("a: @b\n", YamlError::Syntax { line: 1 }),
        ("a: \0\nb: 1", YamlError::ForbiddenCharacter { line: 1 }),
        ("%YAML 1.1\n---\na: yes\n", YamlError::Directive { line: 1 }),
    ] {
        assert_eq!(read(text), Err(expected), "{text:?}");
        assert!(expected.code().starts_with("yaml_"));
        assert!(!expected.to_string().is_empty());
    }
    assert_eq!(parse(b"a: \xff", &Limits::default()), Err(YamlError::NotUtf8));
    // The same key in different maps is no duplicate.
    assert!(read("a: {k: 1}\nb: {k: 1}\nk: 1\n").is_ok());
}

#[test]
fn limits_hold_exactly() {
    let limits = Limits { max_bytes: 10, max_depth: 2, max_nodes: 5 };
    let read = |text: &str| parse(text.as_bytes(), &limits);
    assert!(read("a: 6789012").is_ok());
    assert_eq!(read("a: 67890123"), Err(YamlError::TooLarge { limit: 10 }));
    assert!(read("[[]]").is_ok());
    assert_eq!(read("[[[]]]"), Err(YamlError::TooDeep { line: 1, limit: 2 }));
    assert_eq!(read("- - - a"), Err(YamlError::TooDeep { line: 1, limit: 2 }));
    assert!(read("[1,2,3,4]").is_ok());
    assert_eq!(read("[1,2,3,4,]").map(|_| ()), Ok(()));
    assert!(read("[,1,2,3,4]").is_err());
    assert_eq!(read("[1,2,3,4,5"), Err(YamlError::TooManyNodes { limit: 5 }));
}

#[test]
fn deep_nesting_is_refused_without_using_the_stack() {
    // Past our own limit too: with `max_depth` out of the way, the parser must still survive.
    let unlimited = Limits { max_depth: usize::MAX, ..Limits::default() };
    let closed = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for text in ["[".repeat(100_000), "{a: ".repeat(100_000), "? ".repeat(2_000), "- ".repeat(2_000), closed] {
        assert!(matches!(
            read(&text),
            Err(YamlError::TooDeep { .. } | YamlError::ComplexKey { .. } | YamlError::Syntax { .. })
        ));
    }
    for text in ["[".repeat(100_000), "{a: ".repeat(100_000)] {
        assert!(matches!(parse(text.as_bytes(), &unlimited), Err(YamlError::Syntax { .. })));
    }
}

/// Texts that make a careless parser take quadratic time.
#[test]
fn work_grows_with_the_size_of_the_text() {
    let limits = Limits::default();
    let n = 50_000;
    let keys: String = (0..n).map(|i| format!("k{i}: v\n")).collect();
    for (name, text) in [
        ("keys", keys),
        ("flow items", format!("[{}]", "a,".repeat(n))),
        ("flow pairs", format!("[{}]", "a: b,".repeat(n))),
        ("flow keys without values", format!("{{{}}}", (0..n).map(|i| format!("{i},")).collect::<String>())),
        ("block items", "- a\n".repeat(n)),
        ("nested block items", "- ".repeat(n)),
        ("question marks", "? ".repeat(n)),
        ("colons", ": ".repeat(n)),
        ("open quote", format!("\"{}", "a ".repeat(n))),
        ("lines in a quote", format!("a: \"{}\"", "b\n ".repeat(n))),
        ("lines in a plain scalar", format!("a: {}", "b\n ".repeat(n))),
        ("empty lines in a block", format!("a: |\n{}", "\n".repeat(n))),
        ("tags", "!a ".repeat(n)),
        ("exclamation marks", "!".repeat(n)),
        ("anchors", "&a ".repeat(n)),
        ("comments", "#\n".repeat(n)),
        ("spaces", " ".repeat(n)),
        ("tabs", "\t".repeat(n)),
        ("document ends", "...\n".repeat(n)),
        ("brackets in brackets", format!("[{}]", "[],".repeat(n))),
        ("one long line", format!("a: {}", "b".repeat(4 * n))),
        ("one long key", format!("{}: a", "b".repeat(4 * n))),
    ] {
        let start = Instant::now();
        let _ = parse_with_comments(text.as_bytes(), &limits);
        // A linear pass over these takes a tenth of a second or two, unoptimised and on a busy machine.
        assert!(start.elapsed() < Duration::from_secs(12), "{name}: {:?}", start.elapsed());
        println!("{name}: {:?}", start.elapsed());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn no_text_makes_it_panic(text in "([-?:,\\[\\]{}#&*!|>'\"%@` \n\t\\\\ab01~<.]|\r\n|--- |\\.\\.\\.|!!str |<<: ){0,60}") {
        let limits = Limits { max_depth: 8, ..Limits::default() };
        if let Ok(node) = parse(text.as_bytes(), &limits) {
            prop_assert!(depth(&node) <= 8);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = parse(&bytes, &Limits::default());
    }

    #[test]
    fn double_quoted_text_comes_back(value in "[ -~\n\u{e9}\u{1f600}]{0,40}") {
        let quoted = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let node = read(&format!("k: \"{quoted}\"\n")).unwrap();
        prop_assert_eq!(node.get("k"), Some(&scalar(&value, false)));
    }
}

fn depth(node: &Node) -> usize {
    1 + match node {
        Node::Scalar(_) => return 0,
        Node::List(items) => items.iter().map(depth).max().unwrap_or(0),
        Node::Map(entries) => entries.iter().map(|(_, value)| depth(value)).max().unwrap_or(0),
    }
}
