//! The demo's cells, which real sops made, their keys, and what is in them.

use std::{fs, path::PathBuf};

use serde_json::{Map, Value};

use crate::programs::workspace;

/// Clef's identity in the demo's manifest.
pub const IDENTITY: &str = "checkout";
/// Both environments of the demo.
pub const ENVIRONMENTS: [&str; 2] = ["dev", "production"];
/// Both namespaces, in the manifest's order.
pub const NAMESPACES: [&str; 2] = ["stripe", "rds-orders"];

/// A file of the demo.
pub fn path(name: &str) -> PathBuf {
    workspace().join("local/enclave/demo").join(name)
}

/// ARN of one of the demo's keys.
pub fn arn(name: &str) -> String {
    let keys: Value = serde_json::from_slice(&fs::read(path("kms-keys.json")).unwrap()).unwrap();
    keys[name]["arn"].as_str().unwrap_or_else(|| panic!("the demo has no key {name}")).to_owned()
}

/// The recipient that the dev cells are encrypted to: the public half of the demo's sealed age key.
pub fn sealed_recipient() -> String {
    let sealed: Value = serde_json::from_slice(&fs::read(path("age-key-dev.json")).unwrap()).unwrap();
    let birth: Value = serde_json::from_str(sealed["birth_statement"].as_str().unwrap()).unwrap();
    birth["publicKey"].as_str().unwrap().to_owned()
}

/// The plaintext of an artifact of `environment`: `{namespace: {key: string}}`, in order.
pub fn plaintext(environment: &str) -> Value {
    let of = |namespace: &str| {
        read_plain(&fs::read_to_string(path(&format!("plain/{namespace}.{environment}.yaml"))).unwrap())
    };
    Value::Object(NAMESPACES.iter().map(|name| ((*name).to_owned(), Value::Object(of(name)))).collect())
}

/// Reads what the demo's plain files are made of: `KEY: word`, and `KEY: |` with an indented block.
fn read_plain(text: &str) -> Map<String, Value> {
    let mut values = Map::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let (key, word) = line.split_once(": ").unwrap_or_else(|| panic!("not KEY: VALUE: {line:?}"));
        let mut value = word.to_owned();
        if word == "|" {
            value.clear();
            while let Some(block) = lines.next_if(|next| next.starts_with("  ")) {
                value += &block[2..];
                value.push('\n');
            }
        }
        values.insert(key.to_owned(), value.into());
    }
    values
}
