//! Files that real sops wrote, and the same files changed: see `testdata/README.md`.

#[cfg(test)]
mod common;

use std::collections::BTreeMap;

use common::{decrypt, format_of, read, same_map, testdata};
use packproof_secret::Secret;
use packproof_sops::{Cell, Format, Limits, SopsError, Value};

#[test]
fn every_cell_decrypts_to_what_sops_makes_of_it() {
    let mut count = 0;
    for file in std::fs::read_dir(testdata("expected")).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        let Some(plain) = name.strip_suffix(".json").filter(|plain| plain.contains('.')) else { continue };
        let (stem, extension) = plain.rsplit_once('.').unwrap();
        let cell = format!("cells/{stem}.enc.{extension}");
        let expected = serde_json::from_slice(&read(&format!("expected/{name}"))).unwrap();
        let plain = decrypt(&read(&cell), format_of(&cell)).unwrap_or_else(|error| panic!("{cell}: {error}"));
        same_map(&plain.entries, &expected).unwrap_or_else(|error| panic!("{cell}: {error}"));
        count += 1;
    }
    assert_eq!(count, std::fs::read_dir(testdata("plain")).unwrap().count() - 1, "all but non-finite.yaml");
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Str(_) => "str",
        Value::Int(_) => "int",
        Value::Float(_) => "float",
        Value::Bool(_) => "bool",
        Value::Time(_) => "time",
        Value::List(_) => "list",
        Value::Map(_) => "map",
        Value::Comment(_) => "comment",
    }
}

/// JSON does not tell an int from a float, nor a time from a string.
#[test]
fn types_are_those_of_sops() {
    let plain = decrypt(&read("cells/scalars.enc.yaml"), Format::Yaml).unwrap();
    let kinds: BTreeMap<&str, &str> = plain.entries.iter().map(|(key, value)| (key.as_str(), kind(value))).collect();
    for (key, expected) in [
        ("quoted_number", "str"),
        ("yes", "str"),
        ("on", "str"),
        ("int", "int"),
        ("old_octal", "int"),
        ("min_int", "int"),
        ("float", "float"),
        ("float_whole", "float"),
        ("float_negative_zero", "float"),
        ("float_exponent", "float"),
        ("yes_true", "bool"),
        ("tilde", "null"),
        ("nothing", "null"),
        ("empty", "str"),
        ("date", "time"),
        ("time_offset", "time"),
        ("binary", "str"),
    ] {
        assert_eq!(kinds[key], expected, "{key}");
    }
    let plain = decrypt(&read("cells/clear.enc.yaml"), Format::Yaml).unwrap();
    let kinds: BTreeMap<&str, &str> = plain.entries.iter().map(|(key, value)| (key.as_str(), kind(value))).collect();
    for (key, expected) in [
        ("quoted_number_unencrypted", "str"),
        ("quoted_date_unencrypted", "str"),
        ("phone_unencrypted", "str"),
        ("int_unencrypted", "int"),
        // sops writes 1.0 as `1` and reads that back as an int.
        ("float_whole_unencrypted", "int"),
        ("float_large_unencrypted", "float"),
        ("date_unencrypted", "time"),
    ] {
        assert_eq!(kinds[key], expected, "{key}");
    }
    let plain = decrypt(&read("cells/values.enc.json"), Format::Json).unwrap();
    let (_, int) = &plain.entries[1];
    assert!(matches!(int, Value::Float(value) if *value == 42.0), "JSON numbers are floats");
}

#[test]
fn non_finite_floats() {
    let plain = decrypt(&read("cells/non-finite.enc.yaml"), Format::Yaml).unwrap();
    let texts: Vec<String> = plain
        .entries
        .iter()
        .map(|(key, value)| match value {
            Value::Float(value) => format!("{key}={value}"),
            _ => panic!("{key} is no float"),
        })
        .collect();
    let expected = [
        "inf=inf",
        "minus_inf=-inf",
        "nan=NaN",
        "inf_unencrypted=inf",
        "minus_inf_unencrypted=-inf",
        "nan_unencrypted=NaN",
    ];
    assert_eq!(texts, expected);
}

#[test]
fn comments_in_lists_are_items_and_all_others_are_dropped() {
    let plain = decrypt(&read("cells/structure.enc.yaml"), Format::Yaml).unwrap();
    let Value::List(items) = &plain.entries[2].1 else { panic!("list expected") };
    assert!(matches!(&items[1], Value::Comment(text) if text.expose() == " inside a list"));
    fn count(value: &Value) -> usize {
        match value {
            Value::Comment(_) => 1,
            Value::List(items) => items.iter().map(count).sum(),
            Value::Map(entries) => entries.iter().map(|(_, value)| count(value)).sum(),
            _ => 0,
        }
    }
    assert_eq!(plain.entries.iter().map(|(_, value)| count(value)).sum::<usize>(), 1);
}

#[test]
fn keys_and_emptiness_need_no_data_key() {
    for path in ["cells/empty.enc.yaml", "cells/empty.enc.json", "cells/only-comment.enc.yaml"] {
        let cell = Cell::parse(&read(path), format_of(path), &Limits::default()).ok().unwrap();
        assert!(cell.is_empty() && cell.keys().next().is_none(), "{path}");
    }
    let cell = Cell::parse(&read("cells/mac-only-encrypted.enc.yaml"), Format::Yaml, &Limits::default()).ok().unwrap();
    assert_eq!(cell.keys().collect::<Vec<_>>(), ["public_unencrypted", "secret", "map"]);
    assert!(!cell.is_empty());
}

#[test]
fn refuses_another_data_key() {
    for path in ["cells/base.enc.yaml", "cells/empty.enc.yaml"] {
        let cell = Cell::parse(&read(path), Format::Yaml, &Limits::default()).ok().unwrap();
        let key = Secret::copy_from(&[7; 32]).unwrap();
        assert_eq!(cell.decrypt(&key).err(), Some(SopsError::ContentRefused), "{path}");
    }
}

/// With `mac_only_encrypted` a value in clear may change; without, it may not. Both as in sops.
#[test]
fn mac_only_encrypted_leaves_values_in_clear_unprotected() {
    let text = String::from_utf8(read("cells/mac-only-encrypted.enc.yaml")).unwrap();
    assert!(decrypt(text.replace("public_unencrypted: 1", "public_unencrypted: 2").as_bytes(), Format::Yaml).is_ok());
    let without = text.replace("    mac_only_encrypted: true\n", "");
    assert_eq!(decrypt(without.as_bytes(), Format::Yaml).err(), Some(SopsError::ContentRefused));
}

/// What we say about each mutant: `ok`, or the code.
const MUTANTS: [(&str, &str); 90] = [
    ("alias.yaml", "yaml_anchor"),
    ("anchor.yaml", "yaml_anchor"),
    ("clear-boundary-moved.yaml", "ok"),
    ("clear-changed.yaml", "content_refused"),
    ("clear-key-renamed.yaml", "ok"),
    ("clear-made-encrypted.yaml", "content_refused"),
    ("clear-octal.yaml", "ok"),
    ("clear-quotes-removed.yaml", "ok"),
    ("clear-removed.yaml", "content_refused"),
    ("clear-tagged.yaml", "sops_unsupported_scalar"),
    ("clear-value-added.yaml", "content_refused"),
    ("crlf.yaml", "ok"),
    ("duplicate-key.yaml", "yaml_duplicate_key"),
    ("empty-map-added.yaml", "ok"),
    ("empty-string-added.yaml", "ok"),
    ("entries-reordered.yaml", "content_refused"),
    ("json-block-spelled-otherwise.json", "sops_unknown_metadata"),
    ("json-clear-changed.json", "content_refused"),
    ("json-clear-respelled.json", "ok"),
    ("json-duplicate-key.json", "json_duplicate_key"),
    ("json-trailing-text.json", "json_syntax"),
    ("json-two-blocks.json", "sops_unknown_metadata"),
    ("json-untouched.json", "ok"),
    ("json-value-changed.json", "content_refused"),
    ("key-renamed.yaml", "content_refused"),
    ("keys-in-one-group.yaml", "ok"),
    ("keys-in-two-groups.yaml", "sops_key_groups"),
    ("keys-removed.yaml", "sops_no_keys"),
    ("keys-swapped.yaml", "content_refused"),
    ("lastmodified-changed.yaml", "content_refused"),
    ("lastmodified-removed.yaml", "sops_missing_lastmodified"),
    ("lastmodified-unquoted.yaml", "ok"),
    ("lastmodified-with-fraction.yaml", "sops_malformed_metadata"),
    ("list-comment-made-str.yaml", "content_refused"),
    ("list-comment-moved.yaml", "ok"),
    ("list-comment-removed.yaml", "ok"),
    ("list-item-made-comment.yaml", "content_refused"),
    ("list-item-removed.yaml", "content_refused"),
    ("list-items-swapped.yaml", "content_refused"),
    ("mac-data-changed.yaml", "content_refused"),
    ("mac-empty.yaml", "sops_missing_mac"),
    ("mac-iv-changed.yaml", "content_refused"),
    ("mac-of-another-value.yaml", "sops_malformed_metadata"),
    ("mac-only-encrypted-added.yaml", "content_refused"),
    ("mac-only-encrypted-not-bool.yaml", "sops_malformed_metadata"),
    ("mac-removed.yaml", "sops_missing_mac"),
    ("mac-tag-changed.yaml", "content_refused"),
    ("merge-key-added.yaml", "ok"),
    ("metadata-unknown-field.yaml", "sops_unknown_metadata"),
    ("null-added.yaml", "ok"),
    ("number-key-added.yaml", "sops_key_not_string"),
    ("second-document.yaml", "yaml_multiple_documents"),
    ("selector-comment-regex.yaml", "sops_not_encrypted"),
    ("selector-encrypted-comment-regex.yaml", "content_refused"),
    ("selector-encrypted-regex.yaml", "ok"),
    ("selector-regex.yaml", "ok"),
    ("selectors-two.yaml", "sops_several_selectors"),
    ("shamir-threshold.yaml", "ok"),
    ("sops-block-first.yaml", "ok"),
    ("sops-block-removed.yaml", "sops_no_metadata"),
    ("sops-block-renamed.yaml", "sops_no_metadata"),
    ("suffix-changed.yaml", "sops_not_encrypted"),
    ("suffix-empty.yaml", "ok"),
    ("suffix-made-encrypted-suffix.yaml", "sops_not_encrypted"),
    ("suffix-removed.yaml", "ok"),
    ("type-bool-made-str.yaml", "ok"),
    ("type-int-made-float.yaml", "ok"),
    ("type-int-made-str.yaml", "ok"),
    ("type-str-made-bool.yaml", "content_refused"),
    ("type-str-made-bytes.yaml", "sops_unsupported_type"),
    ("type-str-made-comment.yaml", "sops_unsupported_type"),
    ("type-str-made-float.yaml", "ok"),
    ("type-str-made-int.yaml", "content_refused"),
    ("type-str-made-time.yaml", "content_refused"),
    ("type-unknown.yaml", "sops_unsupported_type"),
    ("untouched.yaml", "ok"),
    ("value-copied.yaml", "content_refused"),
    ("value-data-changed.yaml", "content_refused"),
    ("value-iv-changed.yaml", "content_refused"),
    ("value-made-clear.yaml", "sops_not_encrypted"),
    ("value-made-empty.yaml", "content_refused"),
    ("value-made-null.yaml", "content_refused"),
    ("value-made-number.yaml", "sops_not_encrypted"),
    ("value-moved-into-map.yaml", "content_refused"),
    ("value-removed.yaml", "content_refused"),
    ("value-short-iv.yaml", "sops_malformed_ciphertext"),
    ("value-tag-changed.yaml", "content_refused"),
    ("value-text-after-bracket.yaml", "sops_malformed_ciphertext"),
    ("values-swapped.yaml", "content_refused"),
    ("version-number.yaml", "sops_malformed_metadata"),
];

#[test]
fn every_mutant_is_judged_as_listed_and_never_laxer_than_sops() {
    let verdicts = String::from_utf8(read("verdicts.tsv")).unwrap();
    let verdicts: BTreeMap<&str, &str> = verdicts.lines().map(|line| line.split_once('\t').unwrap()).collect();
    let expected = BTreeMap::from(MUTANTS);
    assert_eq!(verdicts.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, expected) in expected {
        let result = decrypt(&read(&format!("mutants/{name}")), format_of(name));
        let found = result.as_ref().map_or_else(SopsError::code, |_| "ok");
        assert_eq!(found, expected, "{name}");
        assert!(found != "ok" || verdicts[name] == "accepted", "{name}: sops refuses it");
    }
}
