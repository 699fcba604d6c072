//! The `sops` block and the structure of a file, without a data key.
#![expect(clippy::panic, reason = "helpers of tests state what they expect by panicking, too")]

use std::collections::BTreeMap;

use packproof_sops::{Cell, Format, KeyEntry, Limits, SopsError};
use proptest::prelude::*;

const IV: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const TAG: &str = "AAECAwQFBgcICQoLDA0ODw==";
const AGE: &str = "  age:\n  - {recipient: age1x, enc: armored}\n";

/// 128 bytes, as a MAC has.
fn mac() -> String {
    format!("ENC[AES256_GCM,data:{}A=,iv:{IV},tag:{TAG},type:str]", "A".repeat(170))
}

/// A file with these lines before and in its `sops` block.
fn file(data: &str, block: &str) -> String {
    let mac = mac();
    format!("{data}sops:\n{block}  lastmodified: \"2026-11-23T20:31:32Z\"\n  mac: {mac}\n  version: 3.11.0\n")
}

fn read(text: &str) -> Result<Cell, SopsError> {
    Cell::parse(text.as_bytes(), Format::Yaml, &Limits::default())
}

fn refusal(text: &str) -> SopsError {
    read(text).err().unwrap_or_else(|| panic!("accepted: {text}"))
}

fn entries(block: &str) -> Vec<KeyEntry> {
    read(&file("", block)).unwrap_or_else(|error| panic!("{error}: {block}")).entries().to_vec()
}

fn groups(groups: usize, holding: &str, threshold: u16) -> SopsError {
    SopsError::KeyGroups { groups, holding: holding.into(), threshold }
}

fn malformed(field: &str) -> SopsError {
    SopsError::MalformedMetadata { field: field.into() }
}

fn unknown(field: &str) -> SopsError {
    SopsError::UnknownMetadata { field: field.into() }
}

#[test]
fn lists_every_kind_of_key_in_file_order() {
    let block = r#"  kms:
  - arn: arn:aws:kms:eu-west-1:111122223333:key/0a1b
    role: arn:aws:iam::111122223333:role/r
    context: {purpose: x, environment: prod}
    created_at: "2026-01-02T03:04:05Z"
    enc: AQID
    aws_profile: ""
  - {arn: "arn:aws:kms:us-east-1:000000000000:alias/clef-hsm/v1/cGtjczEx", created_at: "2026-01-02T03:04:05Z", enc: AQID, aws_profile: p}
  gcp_kms:
  - {resource_id: projects/p/k, created_at: "2026-01-02T03:04:05Z", enc: x}
  azure_kv:
  - {vault_url: "https://v", name: n, version: "1", created_at: "2026-01-02T03:04:05Z", enc: x}
  hc_vault:
  - {vault_address: "https://v", engine_path: e, key_name: k, created_at: "2026-01-02T03:04:05Z", enc: x}
  hckms: []
  age:
  - {recipient: age1a, enc: "-----BEGIN"}
  - {recipient: age1a, enc: "-----BEGIN"}
  pgp:
  - {fp: ABCD, created_at: "2026-01-02T03:04:05Z", enc: x}
"#;
    let age = KeyEntry::Age { recipient: "age1a".into(), enc: "-----BEGIN".into() };
    let other = |kind, id: &str| KeyEntry::Other { kind, id: id.into() };
    let expected = [
        KeyEntry::Kms {
            arn: "arn:aws:kms:eu-west-1:111122223333:key/0a1b".into(),
            role: Some("arn:aws:iam::111122223333:role/r".into()),
            context: BTreeMap::from([("environment".into(), "prod".into()), ("purpose".into(), "x".into())]),
            enc: vec![1, 2, 3],
            aws_profile: None,
        },
        other("clef_hsm", "arn:aws:kms:us-east-1:000000000000:alias/clef-hsm/v1/cGtjczEx"),
        other("gcp_kms", "projects/p/k"),
        other("azure_kv", "https://v/n/1"),
        other("hc_vault", "https://v/e/k"),
        age.clone(),
        age,
        other("pgp", "ABCD"),
    ];
    assert_eq!(entries(block), expected);
}

#[test]
fn kms_entries_are_checked() {
    const GOOD: &str = "arn: a, created_at: \"2026-01-02T03:04:05Z\", enc: AQID";
    let kms = |fields: &str| file("", &format!("  kms: [{{{fields}}}]\n"));
    assert!(read(&kms(GOOD)).is_ok());
    assert!(read(&kms(&GOOD.replace("AQID", &"A".repeat(8192)))).is_ok(), "6144 bytes");
    assert!(read(&kms(&format!("{GOOD}, role: null, context: null"))).is_ok());
    for (fields, expected) in [
        (GOOD.replace("arn: a, ", ""), malformed("sops.kms[0].arn")),
        (GOOD.replace("arn: a", "arn: \"\""), malformed("sops.kms[0].arn")),
        (GOOD.replace("arn: a", "arn: \"a\\nb\""), malformed("sops.kms[0].arn")),
        (GOOD.replace("arn: a", "arn: \"é\""), malformed("sops.kms[0].arn")),
        (GOOD.replace("arn: a", "arn: 5"), malformed("sops.kms[0].arn")),
        (GOOD.replace("created_at", "created"), malformed("sops.kms[0].created_at")),
        (GOOD.replace("T03:04:05Z", ""), malformed("sops.kms[0].created_at")),
        (GOOD.replace("enc: AQID", "enc: AQI"), malformed("sops.kms[0].enc")),
        (GOOD.replace("enc: AQID", "enc: \"\""), malformed("sops.kms[0].enc")),
        (GOOD.replace("AQID", &"A".repeat(8196)), malformed("sops.kms[0].enc")),
        (format!("{GOOD}, role: [r]"), malformed("sops.kms[0].role")),
        (format!("{GOOD}, context: x"), malformed("sops.kms[0].context")),
        (format!("{GOOD}, context: {{a: 1}}"), malformed("sops.kms[0].context")),
        (format!("{GOOD}, context: {{a: null}}"), malformed("sops.kms[0].context")),
        (format!("{GOOD}, grant: x"), unknown("sops.kms[0].grant")),
    ] {
        assert_eq!(refusal(&kms(&fields)), expected, "{fields}");
    }
}

/// They are never asked, but sops reads their times with the file, and so an entry that it refuses is refused here.
#[test]
fn entries_of_other_kinds_are_checked() {
    for (kind, ids) in [
        ("gcp_kms", "resource_id: r"),
        ("azure_kv", "vault_url: u, name: n, version: v"),
        ("hc_vault", "vault_address: a, engine_path: e, key_name: k"),
        ("hckms", "key_id: k"),
        ("pgp", "fp: f"),
    ] {
        let good = format!("{ids}, created_at: \"2026-01-02T03:04:05Z\", enc: x");
        let text = |fields: &str| file("", &format!("  {kind}: [{{{fields}}}]\n"));
        assert!(read(&text(&good)).is_ok(), "{kind}");
        for (fields, expected) in [
            (good.replace("05Z", "05A"), malformed(&format!("sops.{kind}[0].created_at"))),
            (ids.to_owned(), malformed(&format!("sops.{kind}[0].created_at"))),
            (good.replace("enc: x", "enc: [x]"), malformed(&format!("sops.{kind}[0].enc"))),
            (good.replace(", enc: x", ""), malformed(&format!("sops.{kind}[0].enc"))),
            (format!("{good}, more: x"), unknown(&format!("sops.{kind}[0].more"))),
        ] {
            assert_eq!(refusal(&text(&fields)), expected, "{kind}: {fields}");
        }
    }
}

#[test]
fn the_block_is_checked_field_by_field() {
    for (block, expected) in [
        ("", SopsError::NoKeys),
        ("  age: []\n  kms: null\n", SopsError::NoKeys),
        ("  age: {}\n", malformed("sops.age")),
        ("  age: [x]\n", malformed("sops.age[0]")),
        ("  age: [{recipient: age1}]\n", malformed("sops.age[0].enc")),
        ("  age: [{enc: x}]\n", malformed("sops.age[0].recipient")),
        ("  age: [{recipient: \"age1\\u202e\", enc: x}]\n", malformed("sops.age[0].recipient")),
        ("  age: [{recipient: age1, enc: x, more: y}]\n", unknown("sops.age[0].more")),
        ("  tpm: [{recipient: age1}]\n", unknown("sops.tpm")),
        ("  Age: []\n", unknown("sops.Age")),
        ("  key_groups: [{age: [{recipient: r, enc: e}]}, {}]\n", groups(2, "[0]: 1 age; [1]: nothing", 0)),
        ("  key_groups: [{tpm: []}]\n", unknown("sops.key_groups.tpm")),
        ("  key_groups: [x]\n", malformed("sops.key_groups")),
        ("  key_groups: {}\n", malformed("sops.key_groups")),
        ("  key_groups: [{}]\n", SopsError::NoKeys),
        ("  age: [{recipient: r, enc: e}]\n  key_groups: [{}]\n", malformed("sops.key_groups")),
        ("  shamir_threshold: x\n", malformed("sops.shamir_threshold")),
        ("  unencrypted_suffix: [x]\n", malformed("sops.unencrypted_suffix")),
        ("  mac_only_encrypted: \"true\"\n", malformed("sops.mac_only_encrypted")),
    ] {
        assert_eq!(refusal(&file("", block)), expected, "{block}");
    }
    let good = file("", AGE);
    let mac = mac();
    for (old, new, expected) in [
        ("version: 3.11.0", "version: 3.11", malformed("sops.version")),
        ("version: 3.11.0", "version: v3.11.0", malformed("sops.version")),
        ("version: 3.11.0", "version: 3.011.0", malformed("sops.version")),
        ("  version: 3.11.0\n", "", malformed("sops.version")),
        ("20:31:32Z\"", "20:31:32+00:00\"", malformed("sops.lastmodified")),
        ("\"2026-11-23T20:31:32Z\"", "\"\"", SopsError::MissingLastModified),
        (&mac, "\"\"", SopsError::MissingMac),
        (&mac, "x", malformed("sops.mac")),
        ("type:str]", "type:int]", malformed("sops.mac")),
        ("data:AAAA", "data:", malformed("sops.mac")),
        ("sops:\n", "sops: x\nother:\n", malformed("sops")),
        ("sops:\n", "Sops:\n", SopsError::NoMetadata),
    ] {
        assert_eq!(good.matches(old).count(), 1, "{old}");
        assert_eq!(refusal(&good.replace(old, new)), expected, "{new}");
    }
    assert!(read(&good.replace("3.11.0", "0.0.0-rc.1+b")).is_ok());
}

#[test]
fn values_must_be_encrypted_exactly_where_the_selector_says() {
    let value = format!("ENC[AES256_GCM,data:aGk=,iv:{IV},tag:{TAG},type:str]");
    let path = |path: &str| path.to_owned();
    for (data, selector, expected) in [
        (format!("a: {value}\n"), "", None),
        ("a: null\nb: \"\"\nc: {}\nd: []\n".into(), "", None),
        ("a: x\n".into(), "", Some(SopsError::NotEncrypted { path: path("a") })),
        ("a: 1\n".into(), "", Some(SopsError::NotEncrypted { path: path("a") })),
        ("a: {b: [{c: true}]}\n".into(), "", Some(SopsError::NotEncrypted { path: path("a.b.c") })),
        ("a_unencrypted: {b: [{c: true}]}\n".into(), "", None),
        ("a: {b_unencrypted: x}\n".into(), "", None),
        ("a_unencrypted_not: x\n".into(), "", Some(SopsError::NotEncrypted { path: path("a_unencrypted_not") })),
        ("a_x: v\n".into(), "unencrypted_suffix: _x", None),
        (
            "a_unencrypted: v\n".into(),
            "unencrypted_suffix: _x",
            Some(SopsError::NotEncrypted { path: path("a_unencrypted") }),
        ),
        ("a_unencrypted: v\n".into(), "unencrypted_suffix: \"\"", None),
        ("a: v\n".into(), "encrypted_suffix: _x", None),
        ("m_x: {a: v}\n".into(), "encrypted_suffix: _x", Some(SopsError::NotEncrypted { path: path("m_x.a") })),
        ("a: v\n".into(), "encrypted_suffix: a\n  unencrypted_suffix: b", Some(SopsError::SeveralSelectors)),
        ("a: v\n".into(), "encrypted_suffix: a\n  encrypted_regex: b", Some(SopsError::SeveralSelectors)),
        ("a: ENC[x]\n".into(), "", Some(SopsError::MalformedCiphertext { path: path("a") })),
        (format!("a: {}\n", value.replace("str", "bytes")), "", Some(SopsError::UnsupportedType { path: path("a") })),
        (format!("a: {}\n", value.replace("str", "comment")), "", Some(SopsError::UnsupportedType { path: path("a") })),
        (
            format!("a: [{{b: \"{}\"}}]\n", value.replace("str", "comment")),
            "",
            Some(SopsError::UnsupportedType { path: path("a.b") }),
        ),
        (format!("a:\n- {}\n", value.replace("str", "comment")), "", None),
        (format!("a:\n- - {}\n", value.replace("str", "comment")), "", None),
        ("1: null\n".into(), "", Some(SopsError::KeyNotString { path: path("") })),
        ("a: 2026-01-02\n".into(), "", Some(SopsError::UnsupportedScalar { path: path("a") })),
    ] {
        let block = if selector.is_empty() { AGE.to_owned() } else { format!("{AGE}  {selector}\n") };
        assert_eq!(read(&file(&data, &block)).err(), expected, "{data} {selector}");
    }
}

#[test]
fn regexes_and_comments_select_values() {
    let value = format!("ENC[AES256_GCM,data:aGk=,iv:{IV},tag:{TAG},type:str]");
    let clear = |path: &str| Some(SopsError::NotEncrypted { path: path.into() });
    let ambiguous = |line| Some(SopsError::AmbiguousComment { line });
    let regex = |selector, reason| Some(SopsError::UnsupportedRegex { selector, reason });
    let beyond = "it uses syntax beyond what Go and this reader have in common";
    let characters = "U+000B, U+017F or U+212A stands in a text to match";
    for (data, selector, expected) in [
        ("ab: <V>\nc: x\n", "encrypted_regex: ^a", None),
        ("ab: x\n", "encrypted_regex: ^a", clear("ab")),
        ("ab: {c: {d: [x]}}\n", "encrypted_regex: ^a", clear("ab.c.d")),
        ("ab: {c: x}\n", "encrypted_regex: ^c$", clear("ab.c")),
        ("ab: x\nc: <V>\n", "unencrypted_regex: ^a", None),
        ("ab: {c: [x]}\n", "unencrypted_regex: ^a", None),
        ("ba: x\n", "unencrypted_regex: ^a", clear("ba")),
        ("a: <V>\n", "unencrypted_regex: \\pL", regex("unencrypted_regex", beyond)),
        ("a: <V>\n", "encrypted_comment_regex: a**", regex("encrypted_comment_regex", beyond)),
        ("\u{212a}: <V>\n", "encrypted_regex: k", regex("encrypted_regex", characters)),
        ("# on\na: <V>\nb: x\n", "encrypted_comment_regex: on", None),
        ("# off\na: x\n", "encrypted_comment_regex: on", None),
        ("# on\na: x\n", "encrypted_comment_regex: on", clear("a")),
        ("# on\na: {b: [x]}\n", "encrypted_comment_regex: on", clear("a.b")),
        ("# on\na: {}\nb: x\n", "encrypted_comment_regex: on", None),
        ("a:\n    # on\n    - <V>\n    - x\n", "encrypted_comment_regex: on", None),
        ("a:\n    # on\n    - {b: x}\n", "encrypted_comment_regex: on", clear("a.b")),
        ("# on\na: x\nb: <V>\n", "unencrypted_comment_regex: on", None),
        ("# on\na: x\nb: y\n", "unencrypted_comment_regex: on", clear("b")),
        ("# on\n# more\na: {b: x}\n", "unencrypted_comment_regex: on", None),
        // The suffix has no say when there is another selector.
        ("a_unencrypted: x\n", "unencrypted_comment_regex: on", clear("a_unencrypted")),
        ("a: <V> # on\n", "encrypted_comment_regex: on", ambiguous(1)),
        ("# on\n\na: <V>\n", "encrypted_comment_regex: on", ambiguous(1)),
        ("  # on\na: <V>\n", "encrypted_comment_regex: on", ambiguous(1)),
        ("a: x # off\n", "encrypted_comment_regex: on", None),
        ("a: x\r\n# off\n", "encrypted_comment_regex: on", ambiguous(2)),
        ("a: x # off\r\n", "encrypted_comment_regex: on", ambiguous(1)),
        // A comment that sops would count as a value.
        ("a:\n- x\n#\n- y\n", "encrypted_suffix: z", Some(SopsError::CommentAsValue { line: 3 })),
        ("a: x #\nb: {c: y}\n", "encrypted_suffix: z", None),
        ("a: x #\nb:\n- y\n", "encrypted_suffix: z", Some(SopsError::CommentAsValue { line: 1 })),
        ("a: x\n#\nb:\n- y\n", "encrypted_suffix: z", None),
        ("#<V>\na: x\n", "encrypted_suffix: z", Some(SopsError::CommentAsValue { line: 1 })),
        ("#<V>x\na: x\n", "encrypted_suffix: z", Some(SopsError::CommentAsValue { line: 1 })),
        ("#<C>\na: x\n", "encrypted_suffix: z", None),
        ("#<C>\r\na: x\n", "encrypted_suffix: z", None),
        ("#<C> #<V>\na: x\n", "encrypted_suffix: z", Some(SopsError::CommentAsValue { line: 1 })),
    ] {
        let data = data.replace("<V>", &value).replace("<C>", &value.replace("type:str", "type:comment"));
        assert_eq!(read(&file(&data, &format!("{AGE}  {selector}\n"))).err(), expected, "{data} {selector}");
    }
    // The comment above the sops block stands above what follows once sops has removed the block.
    let text = format!("# on\n{}a: x\n", file("", &format!("{AGE}  encrypted_comment_regex: on\n")));
    assert_eq!(read(&text).err(), clear("a"));
    assert_eq!(read(&text.replace("a: x", &format!("a: {value}"))).err(), None);
}

/// JSON has no comments, so a comment selector means all values or none.
#[test]
fn comment_selectors_in_json() {
    let json = |selector: &str| {
        let entry = "{\"recipient\": \"age1x\", \"enc\": \"y\"}";
        let text = format!(
            "{{\"a\": \"x # on\", \"sops\": {{\"age\": [{entry}], \"{selector}\": \"on\", \"lastmodified\": \
             \"2026-11-23T20:31:32Z\", \"mac\": \"{}\", \"version\": \"3.11.0\"}}}}",
            mac()
        );
        Cell::parse(text.as_bytes(), Format::Json, &Limits::default()).err()
    };
    assert_eq!(json("encrypted_comment_regex"), None);
    assert_eq!(json("unencrypted_comment_regex"), Some(SopsError::NotEncrypted { path: "a".into() }));
}

#[test]
fn key_groups_are_named_with_their_threshold() {
    let group = "{age: [{recipient: r, enc: e}]}";
    let groups = |n: usize| format!("  shamir_threshold: 2\n  key_groups: [{}]\n", vec![group; n].join(", "));
    assert_eq!(entries(&groups(1)).len(), 1);
    let error = refusal(&file("", &groups(3)));
    let holding = "[0]: 1 age; [1]: 1 age; [2]: 1 age";
    assert_eq!(error, self::groups(3, holding, 2));
    let message =
        "3 key groups (sops.key_groups[0]: 1 age; [1]: 1 age; [2]: 1 age), of which shamir_threshold 2 are needed";
    assert!(error.to_string().contains(message), "{error}");
    let mixed = "{pgp: [{fp: A, created_at: \"2026-01-02T03:04:05Z\", enc: x}], age: [{recipient: r, enc: e}, {recipient: s, enc: e}]}";
    let block = format!("  key_groups: [{mixed}, {}]\n", ["{}"; 6].join(", "));
    let SopsError::KeyGroups { groups: 7, holding, .. } = refusal(&file("", &block)) else { panic!("{block}") };
    assert_eq!(holding, "[0]: 1 pgp, 2 age; [1]: nothing; [2]: nothing; [3]: nothing; [4]: nothing");
    for wrong in ["-1", "2.5", "65536", "true", "\"2\""] {
        let block = groups(1).replace("threshold: 2", &format!("threshold: {wrong}"));
        assert_eq!(refusal(&file("", &block)), malformed("sops.shamir_threshold"), "{wrong}");
    }
}

#[test]
fn kinds_of_keys_are_counted_in_order() {
    let block = "  pgp: [{fp: A, <T>}]\n  age: [{recipient: r, enc: e}, {recipient: r, enc: e}]\n  gcp_kms: [{resource_id: r, <T>}]\n";
    let block = block.replace("<T>", "created_at: \"2026-01-02T03:04:05Z\", enc: x");
    let cell = read(&file("", &block)).ok().unwrap();
    assert_eq!(cell.key_kinds(), [("pgp", 1), ("age", 2), ("gcp_kms", 1)]);
    assert_eq!(cell.entries().iter().map(KeyEntry::kind).collect::<Vec<_>>(), ["pgp", "age", "age", "gcp_kms"]);
}

#[test]
fn refuses_what_is_no_map_or_too_much() {
    assert_eq!(refusal("- a\n"), SopsError::NotAMap);
    assert_eq!(refusal("a\n"), SopsError::NotAMap);
    assert_eq!(refusal("{}"), SopsError::NoMetadata);
    let json = |text: &str| Cell::parse(text.as_bytes(), Format::Json, &Limits::default()).err();
    assert_eq!(json("[]"), Some(SopsError::NotAMap));
    assert_eq!(json("{}"), Some(SopsError::NoMetadata));
    for spelling in ["Sops", "SOPS", "\\u017fop\\u017f"] {
        assert_eq!(json(&format!("{{\"{spelling}\": {{}}}}")), Some(unknown("sops")), "{spelling}");
    }
    let keys = |n: usize| {
        let text = file("", &format!("  age:\n{}", "  - {recipient: age1x, enc: armored}\n".repeat(n)));
        Cell::parse(text.as_bytes(), Format::Yaml, &Limits { max_key_entries: 3, ..Limits::default() }).err()
    };
    assert_eq!(keys(3), None);
    assert_eq!(keys(4), Some(SopsError::LimitExceeded { limit: "max_key_entries" }));
    let small = Limits { max_bytes: 10, ..Limits::default() };
    assert_eq!(Cell::parse(b"a: 12345678", Format::Yaml, &small).err().unwrap().code(), "yaml_too_large");
}

#[test]
fn json_blocks_are_the_same() {
    let text = format!(
        "{{\"a_unencrypted\": 5, \"sops\": {{\"kms\": null, \"age\": [{{\"recipient\": \"age1x\", \"enc\": \"y\"}}], \"shamir_threshold\": 0, \
         \"mac_only_encrypted\": true, \"lastmodified\": \"2026-11-23T20:31:32Z\", \"mac\": \"{}\", \"version\": \"3.9.4\"}}}}",
        mac()
    );
    let cell = Cell::parse(text.as_bytes(), Format::Json, &Limits::default()).ok().unwrap();
    assert_eq!(cell.keys().collect::<Vec<_>>(), ["a_unencrypted"]);
    assert_eq!(cell.entries(), [KeyEntry::Age { recipient: "age1x".into(), enc: "y".into() }]);
}

#[test]
fn messages_carry_nothing_that_could_forge_a_log_line() {
    let error = refusal(&file("\"a\\n\\e[31m\\u0000\": x\n", AGE));
    assert_eq!(error, SopsError::NotEncrypted { path: "a\\n\\u{1b}[31m\\0".into() });
    assert!(!error.to_string().contains(['\n', '\u{1b}', '\0']));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(600) })]

    #[test]
    fn no_change_of_bytes_makes_it_panic(at in 0usize..900, with in proptest::collection::vec(any::<u8>(), 0..4), cut in 0usize..4) {
        let mut bytes = file("a: ENC[AES256_GCM,data:aGk=,iv:x,tag:y,type:str]\n", AGE).into_bytes();
        let at = at.min(bytes.len());
        let end = (at + cut).min(bytes.len());
        bytes.splice(at..end, with);
        let _ = Cell::parse(&bytes, Format::Yaml, &Limits::default());
        let _ = Cell::parse(&bytes, Format::Json, &Limits::default());
    }

    #[test]
    fn no_block_makes_it_panic(block in "(  (age|kms|key_groups|mac|version|lastmodified|encrypted_suffix): ?(\\[|\\]|\\{|\\}|enc: |arn: |[a-z0-9\"' ]){0,12}\n){0,6}") {
        let _ = read(&file("", &block));
    }
}
