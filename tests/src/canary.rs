//! Values that must be nowhere: a search of files, in the forms in which a value could leak.
//!
//! `tests/checks/canary.py` looks for more forms and unpacks compressed files; this search needs nothing and always runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use base64::{
    Engine,
    prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD},
};
use serde_json::Value;

/// A shorter value is found by chance.
const MIN_BYTES: usize = 8;

/// Values to look for, in every form, each with a name that may be shown.
pub struct Canaries {
    forms: Vec<(String, Vec<u8>)>,
    /// The forms that begin with a pair of bytes, by that pair: one pass finds all.
    by_pair: BTreeMap<[u8; 2], Vec<usize>>,
}

impl Canaries {
    /// Every string in `plaintexts` (`(environment, {namespace: {key: string}})`) that is long enough, and each line of
    /// those of several lines.
    pub fn of(plaintexts: &[(&str, Value)]) -> Self {
        let mut values = Vec::new();
        for (environment, plaintext) in plaintexts {
            for (namespace, keys) in plaintext.as_object().unwrap() {
                for (key, value) in keys.as_object().unwrap() {
                    let name = format!("{environment}/{namespace}.{key}");
                    let text = value.as_str().unwrap();
                    values.push((name.clone(), text.as_bytes().to_vec()));
                    values.extend(text.lines().map(|line| (name.clone(), line.as_bytes().to_vec())));
                }
            }
        }
        values.retain(|(_, value)| value.len() >= MIN_BYTES);
        values.sort();
        values.dedup();
        assert!(!values.is_empty(), "no value is long enough to look for");
        let of = |(name, value): (String, Vec<u8>)| {
            let name = move |(form, bytes): (String, Vec<u8>)| (format!("{name} {form}"), bytes);
            forms(&value).into_iter().map(name)
        };
        let forms: Vec<_> = values.into_iter().flat_map(of).collect();
        let mut by_pair: BTreeMap<[u8; 2], Vec<usize>> = BTreeMap::new();
        for (index, (_, bytes)) in forms.iter().enumerate() {
            by_pair.entry([bytes[0], bytes[1]]).or_default().push(index);
        }
        Self { forms, by_pair }
    }

    /// Name and form of each canary in `content`, as it is or with white space taken out (wrapped base64, spaced hex).
    pub fn in_bytes(&self, content: &[u8]) -> BTreeSet<String> {
        let squeezed: Vec<u8> = content.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
        let mut found = BTreeSet::new();
        for content in [content, squeezed.as_slice()] {
            for (at, pair) in content.windows(2).enumerate() {
                for index in self.by_pair.get(pair).into_iter().flatten() {
                    let (name, bytes) = &self.forms[*index];
                    if content[at..].starts_with(bytes) {
                        found.insert(name.clone());
                    }
                }
            }
        }
        found
    }

    /// Searches every file under `folder`, and the names of files, save what lies under `except`. Returns what was found
    /// and how many files were searched.
    pub fn in_folder(&self, folder: &Path, except: &Path) -> (Vec<String>, usize) {
        let files: Vec<_> = files(folder).into_iter().filter(|file| !file.starts_with(except)).collect();
        let mut found = Vec::new();
        for file in &files {
            let content = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            let name = file.display().to_string();
            let of = self.in_bytes(&content).into_iter().chain(self.in_bytes(name.as_bytes()));
            found.extend(of.map(|what| format!("{name}: {what}")));
        }
        (found, files.len())
    }
}

fn forms(value: &[u8]) -> Vec<(String, Vec<u8>)> {
    let text = String::from_utf8_lossy(value);
    let json = serde_json::to_string(&text).unwrap();
    let escaped = json[1..json.len() - 1].to_owned();
    let twice = serde_json::to_string(&escaped).unwrap();
    let utf16: Vec<u16> = text.encode_utf16().collect();
    let mut forms = vec![
        ("raw".to_owned(), value.to_vec()),
        ("reversed".to_owned(), value.iter().rev().copied().collect()),
        ("in JSON".to_owned(), escaped.into_bytes()),
        ("in JSON in JSON".to_owned(), twice.as_bytes()[1..twice.len() - 1].to_vec()),
        ("in hex".to_owned(), hex::encode(value).into_bytes()),
        ("in HEX".to_owned(), hex::encode_upper(value).into_bytes()),
        ("in UTF-16 LE".to_owned(), utf16.iter().flat_map(|unit| unit.to_le_bytes()).collect()),
        ("in UTF-16 BE".to_owned(), utf16.iter().flat_map(|unit| unit.to_be_bytes()).collect()),
        ("as a list of numbers".to_owned(), numbers(value)),
    ];
    for lead in 0..3 {
        let led = [vec![0; lead], value.to_vec()].concat();
        // the first characters mix with what is before, the last one with what comes after
        let (first, whole) = ((lead * 8).div_ceil(6), led.len() * 8 / 6);
        for (alphabet, encoded) in
            [("base64", BASE64_STANDARD_NO_PAD.encode(&led)), ("base64url", BASE64_URL_SAFE_NO_PAD.encode(&led))]
        {
            forms.push((format!("in {alphabet} after {lead} bytes"), encoded.as_bytes()[first..whole].to_vec()));
        }
    }
    forms
}

/// As `{:?}` shows bytes; white space is taken out before the search.
fn numbers(value: &[u8]) -> Vec<u8> {
    value.iter().map(u8::to_string).collect::<Vec<_>>().join(",").into_bytes()
}

/// Regular files below `folder`; sockets have no content, and links are their names.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files.extend(self::files(&entry.path()));
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    files
}
