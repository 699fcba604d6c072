//! Random files, and what each of them has.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::random::Random;
use super::words::{COMMENT_PATTERNS, KEY_PATTERNS, NOT_UTF8, ODD_PATTERNS, STRINGS};
use super::writer::Writer;

/// What must be in at least one of a hundred generated files.
pub(crate) const FEATURES: [&str; 49] = [
    "yaml",
    "json of yaml",
    "json of json",
    "string",
    "integer",
    "huge integer",
    "float",
    "non-finite float",
    "boolean",
    "null",
    "time",
    "tagged scalar",
    "text that is not UTF-8",
    "unicode",
    "multi-line string",
    "folded string",
    "empty string",
    "empty map or list",
    "empty cell",
    "several documents",
    "unusual key",
    "nested map",
    "list",
    "nested list",
    "anchor and alias",
    "merge",
    "comment in a map",
    "comment in a list",
    "comment beside a value",
    "10,000 keys",
    "1 MiB value",
    "no selector",
    "unencrypted_suffix",
    "encrypted_suffix",
    "unencrypted_regex",
    "encrypted_regex",
    "unencrypted_comment_regex",
    "encrypted_comment_regex",
    "regex beyond the common syntax",
    "mac_only_encrypted",
    "several recipients",
    "duplicate recipient",
    "kms entry",
    "kms entry with context",
    "hsm pseudo-ARN",
    "other key kinds",
    "one key group",
    "key group in the file",
    "several key groups",
];

/// Which of a hundred files has 10,000 keys, and which a value of 1 MiB.
const LARGE_KEYS: usize = 50;
const LARGE_VALUE: usize = 51;

/// Whether a file is one of those, which are slow for sops.
pub(crate) fn is_large(number: usize) -> bool {
    matches!(number % 100, LARGE_KEYS | LARGE_VALUE)
}

/// A file in clear and how to encrypt it.
pub(crate) struct Case {
    pub(crate) plain: String,
    /// The extension of `plain`.
    pub(crate) input: &'static str,
    /// The extension of the cell.
    pub(crate) output: &'static str,
    /// sops's configuration file.
    pub(crate) config: String,
    /// Lists of further master keys for the `sops` block: field name and entries in JSON, which is YAML too.
    pub(crate) entries: Vec<(&'static str, String)>,
    pub(crate) features: BTreeSet<&'static str>,
}

pub(crate) fn case(random: &mut Random, number: usize, recipients: [&str; 2]) -> Case {
    let mut case = Case {
        plain: String::new(),
        input: "yaml",
        output: "yaml",
        config: String::new(),
        entries: Vec::new(),
        features: BTreeSet::new(),
    };
    (case.input, case.output) = match number % 5 {
        3 => ("yaml", "json"),
        4 if number.is_multiple_of(2) => ("json", "json"),
        _ => ("yaml", "yaml"),
    };
    case.features.insert(match (case.input, case.output) {
        ("yaml", "yaml") => "yaml",
        ("yaml", _) => "json of yaml",
        _ => "json of json",
    });
    let mut writer = Writer { random, out: String::new(), features: &mut case.features };
    match number % 100 {
        LARGE_KEYS => {
            writer.features.insert("10,000 keys");
            for i in 0..10_000 {
                let value = writer.random.pick(STRINGS);
                writeln!(writer.out, "key{i}: \"{}\"", value.replace('\\', "")).unwrap();
            }
        }
        LARGE_VALUE => {
            writer.features.insert("1 MiB value");
            let line = "0123456789abcdef".repeat(writer.random.pick(&[1, 4, 16]));
            let lines = (1 << 20) / (line.len() + 1);
            writeln!(writer.out, "big: |\n{}small: 1", format!("  {line}\n").repeat(lines)).unwrap();
        }
        55 | 56 => {
            writer.features.insert("several documents");
            writer.map(0);
            writer.out.push_str("---\n");
            writer.map(0);
        }
        57 | 60 => {
            writer.features.insert("text that is not UTF-8");
            let (value, suffix) = (writer.random.pick(NOT_UTF8), writer.random.pick(&["", "_unencrypted"]));
            writeln!(writer.out, "bytes{suffix}: {value}").unwrap();
            writer.map(0);
        }
        52 | 53 => {
            writer.features.insert("empty cell");
            writer.out.push_str("{}\n");
        }
        _ if case.input == "json" => {
            writer.json(0);
            writer.out.push('\n');
        }
        _ => writer.map(0),
    }
    case.plain = writer.out;
    keys(random, number, recipients, &mut case);
    case
}

/// The configuration: recipients, groups, selector.
fn keys(random: &mut Random, number: usize, [ours, other]: [&str; 2], case: &mut Case) {
    let (recipients, feature) = match random.below(8) {
        0 => (format!("{other},{ours}"), Some("several recipients")),
        1 => (format!("{ours},{ours}"), Some("duplicate recipient")),
        _ => (ours.to_owned(), None),
    };
    case.features.extend(feature);
    let mut rule = match random.below(12) {
        0 => {
            case.features.insert("one key group");
            format!("key_groups: [{{age: [{ours}, {other}]}}]")
        }
        1 if number.is_multiple_of(3) => {
            case.features.insert("several key groups");
            format!("key_groups: [{{age: [{ours}]}}, {{age: [{ours}]}}]\n    shamir_threshold: 2")
        }
        2 if !case.features.contains("several documents") => {
            case.features.insert("key group in the file");
            format!("age: \"{recipients}\"")
        }
        _ => format!("age: \"{recipients}\""),
    };
    let selectors =
        ["suffix", "suffix", "regex", "regex", "comment_regex", "comment_regex"].map(|form| form.to_owned());
    let selector = match random.below(9) {
        6.. => "no selector",
        i => {
            let name = format!("{}encrypted_{}", if i % 2 == 0 { "un" } else { "" }, selectors[i]);
            let known = FEATURES.into_iter().find(|feature| *feature == name).unwrap();
            let pattern = match selectors[i].as_str() {
                "suffix" => random.pick(&["_enc", "_unencrypted", "t", "é", "k1"]),
                "regex" if random.below(4) == 0 => {
                    case.features.insert("regex beyond the common syntax");
                    random.pick(ODD_PATTERNS)
                }
                "regex" => random.pick(KEY_PATTERNS),
                _ => random.pick(COMMENT_PATTERNS),
            };
            write!(rule, "\n    {name}: '{pattern}'").unwrap();
            known
        }
    };
    case.features.insert(selector);
    if random.below(5) == 0 {
        case.features.insert("mac_only_encrypted");
        rule.push_str("\n    mac_only_encrypted: true");
    }
    case.config = format!("creation_rules:\n  - {rule}\n");
    let plain_keys_only = ["one key group", "key group in the file", "several key groups", "several documents"]
        .iter()
        .any(|feature| case.features.contains(feature));
    if plain_keys_only || random.below(3) > 0 {
        return;
    }
    let created = "\"created_at\":\"2026-01-02T03:04:05Z\",\"enc\":\"AQID\"";
    let mut kms = Vec::new();
    for _ in 0..random.below(3) {
        case.features.insert("kms entry");
        let context = match random.below(2) {
            0 => {
                case.features.insert("kms entry with context");
                "\"context\":{\"purpose\":\"test\",\"é\":\"x\"},"
            }
            _ => "",
        };
        kms.push(format!(
            "{{\"arn\":\"arn:aws:kms:eu-west-1:111122223333:key/0a1b\",{context}{created},\"aws_profile\":\"\"}}"
        ));
    }
    if random.below(4) == 0 {
        case.features.insert("hsm pseudo-ARN");
        let arn = "arn:aws:kms:us-east-1:000000000000:alias/clef-hsm/v1/cGtjczEx";
        kms.push(format!("{{\"arn\":\"{arn}\",{created},\"aws_profile\":\"\"}}"));
    }
    if !kms.is_empty() {
        case.entries.push(("kms", format!("[{}]", kms.join(","))));
    }
    if random.below(3) == 0 {
        case.features.insert("other key kinds");
        for (kind, fields) in [
            ("gcp_kms", "\"resource_id\":\"projects/p/k\""),
            ("hc_vault", "\"vault_address\":\"https://v\",\"engine_path\":\"e\",\"key_name\":\"k\""),
            ("azure_kv", "\"vault_url\":\"https://v\",\"name\":\"n\",\"version\":\"1\""),
            ("pgp", "\"fp\":\"ABCD\""),
        ] {
            case.entries.push((kind, format!("[{{{fields},{created}}}]")));
        }
    }
}
