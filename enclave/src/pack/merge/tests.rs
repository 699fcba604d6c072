//! Clef's table of values, from cells that real sops wrote to the artifact's text: rows of
//! `enclave/artifact/CLEF.md`.

use std::path::PathBuf;

use packproof_secret::SecretString;
use packproof_sops::{Cell, Format, KeyEntry, Limits, open_age_entry};

use super::*;

/// The entries of a cell in the testdata of packproof-sops, with its format.
fn entries(name: &str) -> (Vec<(String, Value)>, CellFormat) {
    let testdata = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("sops/testdata");
    let keys = std::fs::read_to_string(testdata.join("TEST-ONLY-age-key.txt")).unwrap();
    let identity = keys.lines().find(|line| line.starts_with("AGE-SECRET-KEY-1")).unwrap();
    let identity: age::x25519::Identity = identity.parse().unwrap();
    let (format, cell_format) =
        if name.ends_with(".json") { (Format::Json, CellFormat::Json) } else { (Format::Yaml, CellFormat::Yaml) };
    let bytes = std::fs::read(testdata.join("cells").join(name)).unwrap();
    let cell = Cell::parse(&bytes, format, &Limits::default()).unwrap();
    let [KeyEntry::Age { enc, .. }] = cell.entries() else { panic!("one age entry expected") };
    let key = open_age_entry(enc, &identity).unwrap();
    (cell.decrypt(&key).unwrap().entries, cell_format)
}

/// What a namespace of these entries alone becomes; `None` when it is refused.
fn merged(entries: &[(String, Value)], format: CellFormat) -> Option<serde_json::Value> {
    let mut builder = PlaintextBuilder::new();
    merge_file(&mut builder, "n", format, entries, None)?;
    let (plaintext, _) = builder.finish();
    let mut root: serde_json::Value = serde_json::from_slice(plaintext.expose()).unwrap();
    Some(root["n"].take())
}

/// Each key of a cell, by itself, with its text; `None` when it is refused.
#[track_caller]
fn becomes(name: &str, expected: &[(&str, Option<&str>)]) {
    let (entries, format) = entries(name);
    assert_eq!(entries.len(), expected.len(), "{name}: every key has a row");
    for (entry, (key, text)) in entries.iter().zip(expected) {
        assert_eq!(entry.0, *key);
        let found = merged(std::slice::from_ref(entry), format);
        assert_eq!(found.as_ref().map(|namespace| namespace[*key].as_str().unwrap()), *text, "{name}: {key:?}");
    }
}

#[test]
fn scalars_that_sops_wrote_become_clefs_texts() {
    let long = format!("{} {}", "x".repeat(182), "y".repeat(25));
    becomes(
        "scalars.enc.yaml",
        &[
            ("string", Some("hello")),
            ("quoted_number", Some("007")),
            ("quoted_bool", Some("true")),
            ("quoted_null", Some("null")),
            ("quoted_exponent", Some("1e3")),
            ("yes", Some("yes")),
            ("on", Some("On")),
            ("int", Some("42")),
            ("negative", Some("-7")),
            ("hex", Some("31")),
            ("octal", Some("15")),
            ("old_octal", Some("10")),
            ("underscored", Some("1000")),
            ("plus", Some("5")),
            ("max_int", None),
            ("min_int", None),
            ("beyond_double", None),
            ("float", Some("1.5")),
            ("float_dot", Some("0.5")),
            ("float_whole", Some("1")),
            ("float_negative_zero", Some("0")),
            ("float_exponent", Some("1000")),
            ("float_large", Some("1e+21")),
            ("float_small", Some("1e-7")),
            ("float_long", Some("3.141592653589793")),
            ("yes_true", Some("true")),
            ("no_false", Some("false")),
            ("null_value", Some("null")),
            ("tilde", Some("null")),
            ("nothing", Some("null")),
            ("empty", Some("")),
            ("date", Some("2026-01-02T00:00:00Z")),
            ("time", Some("2026-01-02T03:04:05Z")),
            ("time_offset", Some("2026-01-02T03:04:05.12+02:00")),
            ("spaces", Some("  both sides  ")),
            ("tabs", Some("a\tb\t")),
            ("controls", Some("\u{1}\u{1b}[0m")),
            ("unicode", Some("é 😀 \u{202e} 中文")),
            ("crlf", Some("a\r\nb")),
            ("line_separators", Some("a\u{2028}b\u{2029}c\u{85}d")),
            ("nul", Some("a\0b")),
            ("colon", Some("a: b # c")),
            ("binary", Some("hello")),
            ("long", Some(&long)),
            ("looks_encrypted", Some("ENC[AES256_GCM,data:aGk=,iv:aGk=,tag:aGk=,type:str]")),
        ],
    );
}

#[test]
fn numbers_that_are_not_finite_are_refused() {
    let rows = ["inf", "minus_inf", "nan", "inf_unencrypted", "minus_inf_unencrypted", "nan_unencrypted"];
    becomes("non-finite.enc.yaml", &rows.map(|key| (key, None)));
}

#[test]
fn maps_lists_and_keys_that_clef_trips_over_are_refused() {
    becomes(
        "structure.enc.yaml",
        &[
            ("top", Some("value")),
            ("map", None),
            ("list", None),
            ("base", None),
            ("derived", None),
            ("text", Some("first line\n\n# not a comment\n  indented\nlast line\n")),
            ("kept", Some("ends with empty lines\n\n\n")),
            ("folded", Some("folded text\n")),
            ("key with: colon", Some("a")),
            ("key\nwith\nlines", Some("b")),
            ("", Some("empty key")),
            ("  ", Some("blank key")),
            ("é😀", Some("unicode key")),
            ("1", Some("number key")),
            ("true", Some("bool key")),
            ("2026-01-02", Some("date key")),
            ("a:b", Some("colon key")),
            ("constructor", None),
            ("__proto__", None),
        ],
    );
}

#[test]
fn a_json_cells_numbers_are_those_that_sops_stored() {
    becomes(
        "values.enc.json",
        &[
            ("string", Some("héllo 😀 \u{2028} <&>")),
            ("int", Some("42")),
            ("negative", Some("-7")),
            // Rounded by sops when it encrypted: this is the cell's value.
            ("big", Some("9007199254740992")),
            ("float", Some("1.5")),
            ("exponent", Some("1e+21")),
            ("small", Some("1e-7")),
            ("bool", Some("true")),
            ("nothing", Some("null")),
            ("empty", Some("")),
            ("nested", None),
            ("clear_unencrypted", None),
            ("", Some("empty key")),
            ("é", Some("unicode key")),
        ],
    );
}

#[test]
fn the_merge_indicator_is_refused_in_yaml_cells_only() {
    let entry = [("K".to_owned(), Value::Str(SecretString::from("<<".to_owned())))];
    assert_eq!(merged(&entry, CellFormat::Yaml), None);
    assert_eq!(merged(&entry, CellFormat::Json), Some(serde_json::json!({ "K": "<<" })));
}

#[test]
fn a_key_in_clear_keeps_its_name_and_an_empty_cell_its_namespace() {
    let (all, format) = entries("clear.enc.yaml");
    let clear: Vec<_> = all.into_iter().filter(|(key, _)| key == "version_unencrypted").collect();
    assert_eq!(merged(&clear, format), Some(serde_json::json!({ "version_unencrypted": "1.2.3" })));
    assert_eq!(merged(&[], format), Some(serde_json::json!({})));
}

#[test]
fn a_schema_judges_the_texts_that_the_artifact_holds() {
    let (all, format) = entries("scalars.enc.yaml");
    let some: Vec<_> = all.into_iter().filter(|(key, _)| ["hex", "yes_true", "date"].contains(&key.as_str())).collect();
    let fits = |key: &str, definition: &str| {
        let schema = Schema::parse(format!("keys: {{ {key}: {definition} }}").as_bytes()).unwrap();
        merge_file(&mut PlaintextBuilder::new(), "n", format, &some, Some(&schema)).is_some()
    };
    // 0x1f is 31 in the artifact.
    assert!(fits("hex", "{ type: string, pattern: \"^31$\" }") && !fits("hex", "{ type: string, pattern: x }"));
    assert!(fits("hex", "{ type: integer }") && !fits("hex", "{ type: boolean }"));
    assert!(fits("yes_true", "{ type: boolean }") && !fits("date", "{ type: integer }"));
    assert!(fits("absent", "{ type: string }") && !fits("absent", "{ type: string, required: true }"));
}
