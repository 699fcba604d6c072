//! Every limit: at it a file is read, one beyond it is refused by name. And files of the size that is to be read.
#![expect(clippy::unwrap_used, reason = "helpers of tests state what they expect by panicking, too")]

use packproof_sops::{Cell, Format, Limits, SopsError};

const IV: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const TAG: &str = "AAECAwQFBgcICQoLDA0ODw==";

fn value(bytes: usize) -> String {
    let data = format!("{}==", "A".repeat(bytes / 3 * 4 + 2));
    format!("ENC[AES256_GCM,data:{data},iv:{IV},tag:{TAG},type:str]")
}

fn block(keys: usize, selector: &str) -> String {
    let key = "{\"recipient\": \"age1x\", \"enc\": \"armored\"}";
    let mac = format!("ENC[AES256_GCM,data:{}A=,iv:{IV},tag:{TAG},type:str]", "A".repeat(170));
    format!(
        "{{\"age\": [{}], {selector} \"lastmodified\": \"2026-11-23T20:31:32Z\", \"mac\": \"{mac}\", \"version\": \"3.11.0\"}}",
        vec![key; keys].join(", ")
    )
}

/// A file that both formats read: JSON is YAML.
fn file(data: &str, block: &str) -> String {
    format!("{{{data} \"sops\": {block}}}")
}

fn refusals(text: &str, limits: Limits) -> [Option<SopsError>; 2] {
    [Format::Yaml, Format::Json].map(|format| Cell::parse(text.as_bytes(), format, &limits).err())
}

/// At the limit both formats read it; one beyond, YAML refuses with this code and JSON with this limit.
fn hold(at: (&str, Limits), beyond: (&str, Limits), code: &str, name: &'static str) {
    assert_eq!(refusals(at.0, at.1), [None, None], "{name}");
    let [yaml, json] = refusals(beyond.0, beyond.1);
    assert_eq!(yaml.unwrap().code(), code, "{name}");
    assert_eq!(json, Some(SopsError::LimitExceeded { limit: name }));
}

#[test]
fn limits_hold_exactly() {
    let default = Limits::default();
    let text = file("", &block(1, ""));
    let bytes = text.len();
    hold(
        (&text, Limits { max_bytes: bytes, ..default }),
        (&text, Limits { max_bytes: bytes - 1, ..default }),
        "yaml_too_large",
        "max_bytes",
    );
    // The file, `sops`, `age` and the entry are four levels.
    let nested = |depth: usize| file(&format!("\"a\": {}{},", "[".repeat(depth), "]".repeat(depth)), &block(1, ""));
    hold((&nested(63), default), (&nested(64), default), "yaml_too_deep", "max_depth");
    // Block and file are 16 nodes, and each item one more.
    let items = |n: usize| file(&format!("\"a\": [{}],", vec!["null"; n].join(",")), &block(1, ""));
    let few = Limits { max_nodes: 100, ..default };
    let most = (0..100).rev().find(|n| refusals(&items(*n), few) == [None, None]).unwrap();
    assert_eq!(most, 82, "both readers count alike");
    hold((&items(most), few), (&items(most + 1), few), "yaml_too_many_nodes", "max_nodes");

    let keys = |n: usize| file("", &block(n, ""));
    hold((&keys(256), default), (&keys(257), default), "sops_limit_exceeded", "max_key_entries");
    for field in ["unencrypted_suffix", "encrypted_suffix", "unencrypted_regex", "encrypted_comment_regex"] {
        let selector = |n: usize| file("", &block(1, &format!("\"{field}\": \"{}\",", "a".repeat(n))));
        hold((&selector(1024), default), (&selector(1025), default), "sops_limit_exceeded", "max_selector_bytes");
    }
}

#[test]
fn ten_thousand_keys_and_a_large_value_are_read() {
    let small = value(16);
    for selector in ["", "\"encrypted_regex\": \"^k.*[0-9]$\","] {
        let data: String = (0..10_000).map(|i| format!("\"k{i}\": \"{small}\", ")).collect();
        let text = file(&data, &block(1, selector));
        for format in [Format::Yaml, Format::Json] {
            let cell = Cell::parse(text.as_bytes(), format, &Limits::default())
                .unwrap_or_else(|error| unreachable!("{error}"));
            assert_eq!(cell.keys().count(), 10_000);
        }
    }
    let text = file(&format!("\"a\": \"{}\",", value(1 << 20)), &block(1, ""));
    assert_eq!(refusals(&text, Limits::default()), [None, None]);
}
