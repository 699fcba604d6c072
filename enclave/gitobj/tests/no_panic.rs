//! No bytes make a parser panic, and what parses is what the bytes say.

use packproof_gitobj::{Commit, Kind, Limits, ObjectBag, ObjectFormat, ObjectId, Tag, lookup, object_id, parse_tree};
use proptest::prelude::*;

fn format() -> impl Strategy<Value = ObjectFormat> {
    prop_oneof![Just(ObjectFormat::Sha1), Just(ObjectFormat::Sha256)]
}

/// Lines that commits are made of, whole and broken, in any order, mostly behind the headers that must come first.
fn commit_like() -> impl Strategy<Value = Vec<u8>> {
    let id = prop_oneof![Just("ab".repeat(20)), Just("ab".repeat(32)), "[0-9a-f]{0,70}"];
    let person = prop_oneof![Just("author"), Just("committer")].prop_map(|key| format!("{key} A <a@b> 1 +0000\n"));
    let first = prop_oneof![
        3 => Just(format!("tree {}\nauthor A <> 1 +0000\ncommitter  <> 1 -0000\n", "ab".repeat(20))),
        1 => Just(String::new()),
    ];
    let line = prop_oneof![
        1 => (prop_oneof![Just("tree"), Just("parent")], id).prop_map(|(key, id)| format!("{key} {id}\n")),
        1 => person,
        1 => "(author|committer) [A <>0-9+-]{0,20}\n",
        5 => "(gpgsig|gpgsig-sha256|x) [ -~]{0,9}\n( [ -~]{0,5}\n){0,3}",
        1 => "[\\x00-\\x7f]{0,9}",
    ];
    (first, prop::collection::vec(line, 0..4), "\n?[a-z \n]{0,9}")
        .prop_map(|(first, lines, message)| [first, lines.concat(), message].concat().into_bytes())
}

/// Lines that tags are made of, mostly whole and in order.
fn tag_like() -> impl Strategy<Value = Vec<u8>> {
    let id = prop_oneof![8 => Just("ab".repeat(20)), 8 => Just("ab".repeat(32)), 1 => "[0-9a-f]{0,70}"];
    let kind = prop_oneof![8 => Just("commit".to_owned()), 1 => "[a-z]{0,6}"];
    let name = prop_oneof![8 => "[a-z]{1,9}", 1 => "[ -~]{0,9}"];
    let tagger = prop_oneof![8 => Just("A <a@b> 1 +0000".to_owned()), 1 => "[A <>0-9+-]{0,20}"];
    let extra = prop_oneof![8 => Just(""), 1 => Just("gpgsig x\n"), 1 => Just("x y\n")];
    let line = prop_oneof![
        4 => "[ -~]{0,9}\n",
        1 => Just("-----BEGIN SSH SIGNATURE-----\n".to_owned()),
        1 => Just("-----BEGIN PGP MESSAGE-----".to_owned()),
        1 => "[\\x00-\\x7f]{0,9}",
    ];
    (id, kind, name, tagger, extra, prop::collection::vec(line, 0..5)).prop_map(
        |(id, kind, name, tagger, extra, lines)| {
            let body = lines.concat();
            format!("object {id}\ntype {kind}\ntag {name}\ntagger {tagger}\n{extra}\n{body}").into_bytes()
        },
    )
}

/// Entries that trees are made of, whole and broken.
fn tree_like() -> impl Strategy<Value = Vec<u8>> {
    let mode = prop_oneof![4 => Just("100644"), 4 => Just("40000"), 1 => Just("160000"), 1 => Just("040000")];
    let entry = (mode, "[ab./-]{0,3}", prop_oneof![9 => Just(20_usize), 1 => 0..40_usize])
        .prop_map(|(mode, name, id)| [format!("{mode} {name}\0").into_bytes(), vec![7; id]].concat());
    prop::collection::vec(entry, 0..5).prop_map(|entries| entries.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// The signed payload and the signature, put together again, are the whole commit.
    #[test]
    fn commits(format in format(), body in prop_oneof![9 => commit_like(), 1 => any::<Vec<u8>>()]) {
        if let Ok(commit) = Commit::parse(format, &body) {
            let header = if format == ObjectFormat::Sha1 { "gpgsig " } else { "gpgsig-sha256 " };
            // git adds the key before the first line, a space before each other
            let added = |armored: &[u8]| header.len() + armored.iter().filter(|&&byte| byte == b'\n').count() - 1;
            let signature = commit.signature.as_ref().map_or(0, |s| s.armored.len() + added(&s.armored));
            prop_assert_eq!(commit.signed_payload().len() + signature, body.len());
            prop_assert!(commit.verify_signature(&[], &[0]).is_err());
        }
    }

    /// The signed payload and the signature are the whole tag, and the signature begins a line.
    #[test]
    fn tags(format in format(), body in prop_oneof![9 => tag_like(), 1 => any::<Vec<u8>>()]) {
        if let Ok(tag) = Tag::parse(format, &body) {
            let armored = tag.signature.as_ref().map_or(&[][..], |signature| &signature.armored);
            prop_assert_eq!([tag.signed_payload(), armored].concat(), body);
            prop_assert!(tag.signed_payload().ends_with(b"\n") || tag.signature.is_none());
            prop_assert!(armored.is_empty() || armored.starts_with(b"-----BEGIN "));
            prop_assert!(tag.verify_signature(&[], &[0]).is_err());
        }
    }

    /// A tree that parses is, written out again, the same bytes; its names are all different.
    #[test]
    fn trees(format in format(), body in prop_oneof![9 => tree_like(), 1 => any::<Vec<u8>>()]) {
        if let Ok(entries) = parse_tree(format, &body, &Limits::default()) {
            let written = entries.iter().flat_map(|e| [e.mode.octal().as_bytes(), b" ", e.name, b"\0", e.id.as_bytes()].concat());
            prop_assert_eq!(written.collect::<Vec<_>>(), body.as_slice());
            let names: std::collections::BTreeSet<_> = entries.iter().map(|entry| entry.name).collect();
            prop_assert_eq!(names.len(), entries.len());
        }
    }

    #[test]
    fn paths_and_ids(format in format(), tree in tree_like(), path in "[ab./\\x00-]{0,6}|.{0,9}", hex in "[0-9a-fA-F]{38,66}|.{0,9}") {
        let root = object_id(format, Kind::Tree, &tree);
        let bag = ObjectBag::new(format, vec![(Kind::Tree, tree)], &Limits::default());
        if let (Ok(root), Ok(bag)) = (root, bag) {
            let _ = lookup(&bag, &root, &path, &Limits::default());
        }
        if let Ok(id) = ObjectId::parse(format, &hex) {
            prop_assert_eq!(id.to_string(), hex);
        }
    }
}
