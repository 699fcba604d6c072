//! Schemas: the same answers as JavaScript gives, every refusal by name, and no panic.

use packproof_artifact::schema::{
    Construct, DocumentProblem, MAX_PATTERN_BYTES, MAX_SCHEMA_BYTES, MAX_SCHEMA_KEYS, Schema, SchemaError,
    SchemaProblem,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const EXAMPLE: &str = "\
# rds-orders
keys:
  URL:
    type: string
    required: true
    pattern: ^postgres://
    description: where it is
  POOL: { type: integer, required: true, max: 10, default: [5] }
  TLS: { type: boolean, required: yes }
  NOTE: { type: string, owner: data }
owner: data
";

#[expect(clippy::unwrap_used, reason = "a test's helper")]
fn schema(text: &str) -> Schema {
    Schema::parse(text.as_bytes()).unwrap()
}

/// Whether the example accepts these values.
fn accepts(values: &[(&str, &str)]) -> bool {
    schema(EXAMPLE).check(values.iter().copied()).is_ok()
}

#[track_caller]
#[expect(clippy::expect_used, reason = "a test's helper")]
fn refuses(text: &str, field: &str, problem: SchemaProblem) {
    let error = Schema::parse(text.as_bytes()).err().expect(text);
    assert!(error.to_string().contains(field) && !error.code().is_empty(), "{error}");
    assert_eq!(error, SchemaError { field: field.into(), problem }, "{text}");
}

/// The example with one text replaced, once.
fn changed(from: &str, to: &str) -> String {
    assert!(EXAMPLE.contains(from), "the example has no {from:?}");
    EXAMPLE.replacen(from, to, 1)
}

#[test]
fn agrees_with_node_on_types_and_patterns() {
    let mut lines = include_str!("data/schema.jsonl").lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let values = lines.next().unwrap();
    let values: Vec<&str> = values["values"].as_array().unwrap().iter().map(|value| value.as_str().unwrap()).collect();
    let (mut rows, mut accepted, mut judged) = (0, 0, 0);
    for line in lines {
        // JSON is YAML.
        let mut definition = json!({ "type": line["type"] });
        if let Some(pattern) = line.get("pattern") {
            definition["pattern"] = pattern.clone();
        }
        // Escaped, because no YAML file here may hold a byte order mark or U+0085 as such.
        let text = json!({ "keys": { "K": definition } }).to_string();
        let escaped = text.chars().map(|c| if c.is_ascii() { c.into() } else { format!("\\u{:04x}", u32::from(c)) });
        let schema = schema(&escaped.collect::<String>());
        let bits = line["accepts"].as_str().unwrap();
        assert_eq!(bits.len() * 4, values.len());
        for (i, value) in values.iter().enumerate() {
            let digit = bits[i / 4..=i / 4].chars().next().and_then(|c| c.to_digit(16)).unwrap();
            let expected = digit >> (3 - i % 4) & 1 == 1;
            assert_eq!(schema.check([("K", *value)]).is_ok(), expected, "{definition} with {value:?}");
            accepted += usize::from(expected);
            judged += 1;
        }
        rows += 1;
    }
    assert!(rows > 700 && judged > 250_000 && accepted > judged / 20, "{rows} rows, {accepted} of {judged}");
}

#[test]
fn a_cell_must_have_what_is_required_and_may_have_more() {
    let good = [("URL", "postgres://db"), ("POOL", "5")];
    assert!(accepts(&good));
    assert!(accepts(&[good[0], good[1], ("OTHER", "x")]), "undeclared keys are allowed");
    assert!(!accepts(&good[..1]) && !accepts(&good[1..]));
    assert!(accepts(&[good[0], ("POOL", "11")]), "max is a warning only");
    assert!(!accepts(&[good[0], ("POOL", "")]) && !accepts(&[good[0], ("POOL", "null")]));
    assert!(!accepts(&[("URL", "mysql://db"), good[1]]));
    // `required: yes` is text, so TLS may be absent; when it is there, its type counts.
    assert!(accepts(&[good[0], good[1], ("TLS", "TRUE")]) && !accepts(&[good[0], good[1], ("TLS", "yes")]));
    assert!(accepts(&[good[0], good[1], ("NOTE", "")]));
}

#[test]
fn accepts_what_clef_accepts() {
    assert!(schema("keys: {}").check([]).is_ok());
    assert!(schema("keys: { A: { type: string, pattern: \"\" } }").check([("A", "")]).is_ok());
    assert!(schema("keys: { A: { type: string, pattern: } }").check([("A", "")]).is_ok());
    // A pattern of another type is not looked at.
    assert!(schema("keys: { A: { type: integer, pattern: \"(?=\" } }").check([("A", "1")]).is_ok());
    // Keys become text as in JavaScript.
    let numbered = schema("keys: { 1.0: { type: integer, required: true } }");
    assert!(numbered.check([("1", "5")]).is_ok() && numbered.check([("1.0", "5")]).is_err());
}

#[test]
fn refuses_what_is_no_schema() {
    use SchemaProblem::*;
    for text in ["[]", "5", "text", "~"] {
        refuses(text, "root", NotAMap);
    }
    for text in ["{}", "keys:", "keys: ~", "key: {}"] {
        refuses(text, "keys", NoKeys);
    }
    for text in ["keys: 5", "keys: []", "keys: [{ type: string }]", "keys: text"] {
        refuses(text, "keys", NotAMap);
    }
    for definition in ["", "string", "[]", "5", "~"] {
        refuses(&format!("keys:\n  A: {definition}\n"), "keys.A", NotAMap);
    }
    for kind in ["String", "number", "int", "[string]", "~", "true", "\"\""] {
        refuses(&changed("type: integer", &format!("type: {kind}")), "keys.POOL.type", UnknownType);
    }
    refuses(&changed("type: integer, ", ""), "keys.POOL.type", UnknownType);
    for pattern in ["5", "[a]", "{a: b}", "true"] {
        refuses(&changed("^postgres://", pattern), "keys.URL.pattern", PatternNotText);
    }
    refuses(&changed("^postgres://", "^(?!mysql)"), "keys.URL.pattern", PatternUnsupported(Construct::Lookaround));
    let long = "a".repeat(MAX_PATTERN_BYTES + 1);
    refuses(&changed("^postgres://", &long), "keys.URL.pattern", PatternTooLarge);
    for key in ["__proto__", "constructor", "toString"] {
        refuses(&changed("POOL:", &format!("{key}:")), &format!("keys.{key}"), ReservedKey);
    }
    refuses(&changed("type: integer", "type: !!str integer"), "keys.POOL.type", Document(DocumentProblem::Tag));
    refuses(&changed("POOL:", "<<:"), "keys.<<", Document(DocumentProblem::MergeKey));
    refuses("keys: { 1: { type: string }, 1.0: { type: string } }", "keys.1", Document(DocumentProblem::DuplicateKey));
    assert_eq!(Schema::parse(b"keys: {}\n---\nkeys: {}").err().unwrap().code(), "yaml_multiple_documents");
    assert_eq!(Schema::parse(b"\xff").err().unwrap().code(), "yaml_not_utf8");
}

#[test]
fn limits_hold_at_the_limit_and_not_above() {
    let keys = |count: usize, definition: &str| {
        let keys: String = (0..count).map(|i| format!("  K{i}: {definition}\n")).collect();
        Schema::parse(format!("keys:\n{keys}").as_bytes()).err().map(|error| error.code())
    };
    assert_eq!(keys(MAX_SCHEMA_KEYS, "{ type: string }"), None);
    assert_eq!(keys(MAX_SCHEMA_KEYS + 1, "{ type: string }"), Some("schema_too_many_keys"));
    // 2048 steps each: the whole schema may have 64 * 1024.
    let definition = format!("{{ type: string, pattern: \"a{{1000}}{}\" }}", "a".repeat(48));
    assert_eq!(keys(32, &definition), None);
    assert_eq!(keys(33, &definition), Some("schema_pattern_too_large"));

    let mut file = EXAMPLE.as_bytes().to_vec();
    file.resize(MAX_SCHEMA_BYTES, b'\n');
    assert!(Schema::parse(&file).is_ok());
    file.push(b'\n');
    assert_eq!(Schema::parse(&file).err().unwrap().code(), "yaml_too_large");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_pattern_and_value_do_not_panic(pattern in "[\\PC\n]{0,12}|[a-c\\[\\](){}?*+|^$.,0-9\\\\xudws-]{0,16}", value in any::<String>()) {
        let text = json!({ "keys": { "K": { "type": "string", "pattern": pattern } } }).to_string();
        if let Ok(schema) = Schema::parse(text.as_bytes()) {
            let _any = schema.check([("K", value.as_str())]);
        }
    }

    #[test]
    fn a_damaged_schema_does_not_panic(at in 0..300_usize, cut in 0..20_usize, put in "[\\PC{}:,\n -]{0,8}") {
        let mut bytes = EXAMPLE.as_bytes().to_vec();
        let (start, end) = (at.min(bytes.len()), (at + cut).min(bytes.len()));
        bytes.splice(start..end, put.bytes());
        if let Ok(schema) = Schema::parse(&bytes) {
            let _any = schema.check([("URL", "x"), ("POOL", "x"), ("TLS", "x")]);
        }
    }
}
