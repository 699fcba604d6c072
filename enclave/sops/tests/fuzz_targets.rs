//! The bodies of fuzz targets, and a short run of each over changed files of real sops.
//!
//! A body takes any bytes. It must not panic, and it checks what must hold for whatever is accepted.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests panic to fail")]

#[cfg(test)]
mod common;

use common::identity;
use common::random::Random;
use packproof_secret::Secret;
use packproof_sops::{Cell, Format, KeyEntry, Limits, SopsError, open_age_entry};

/// Small, so that limits are reached.
const LIMITS: Limits =
    Limits { max_bytes: 64 << 10, max_depth: 8, max_nodes: 2000, max_key_entries: 8, max_selector_bytes: 64 };

/// A cell with a key that is not its own: it never opens, and the answer is always the same.
pub(crate) fn cell(bytes: &[u8], format: Format) {
    match Cell::parse(bytes, format, &LIMITS) {
        Ok(cell) => {
            assert!(bytes.len() <= LIMITS.max_bytes && (1..=LIMITS.max_key_entries).contains(&cell.entries().len()));
            assert_eq!(cell.key_kinds().iter().map(|(_, count)| count).sum::<usize>(), cell.entries().len());
            let key = Secret::copy_from(&[7; 32]).unwrap();
            assert_eq!(cell.decrypt(&key).err(), Some(SopsError::ContentRefused));
        }
        Err(error) => {
            assert!(error != SopsError::ContentRefused, "nothing was decrypted yet");
            let message = error.to_string();
            assert!(message.len() < 1000 && !message.contains(char::is_control), "{message:?}");
        }
    }
}

/// A YAML cell.
pub(crate) fn yaml_cell(bytes: &[u8]) {
    cell(bytes, Format::Yaml);
}

/// A JSON cell.
pub(crate) fn json_cell(bytes: &[u8]) {
    cell(bytes, Format::Json);
}

/// The `enc` of an age entry.
pub(crate) fn age_entry(bytes: &[u8]) {
    if let Ok(enc) = std::str::from_utf8(bytes) {
        let _ = open_age_entry(enc, &identity());
    }
}

/// A cell with its right key: what does not panic either way.
pub(crate) fn own_key(bytes: &[u8]) {
    let _ = common::decrypt(bytes, Format::Yaml);
}

fn changed(random: &mut Random, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..1 + random.below(4) {
        let at = random.below(bytes.len().max(1));
        let end = (at + random.below(12)).min(bytes.len());
        let from = random.below(bytes.len().max(1));
        let piece = match random.below(4) {
            0 => Vec::new(),
            1 => vec![random.pick(b"\0\n\r #:-\"'[]{}|>&*!%=/+\x85\xc2\xff")],
            2 => b"\n#ENC[AES256_GCM,data:".to_vec(),
            _ => bytes[from..(from + random.below(40)).min(bytes.len())].to_vec(),
        };
        bytes.splice(at.min(bytes.len())..end, piece);
    }
    bytes
}

#[test]
fn nothing_panics() {
    let folder = common::testdata("cells");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let enc = |cell: &Cell| match &cell.entries()[0] {
        KeyEntry::Age { enc, .. } => enc.clone().into_bytes(),
        other => unreachable!("{other:?}"),
    };
    for (i, file) in files.iter().enumerate() {
        let bytes = std::fs::read(file).unwrap();
        let format = common::format_of(file.to_str().unwrap());
        let enc = enc(&Cell::parse(&bytes, format, &Limits::default()).ok().unwrap());
        let mut random = Random::new(1, i);
        for _ in 0..60 {
            yaml_cell(&changed(&mut random, &bytes));
            json_cell(&changed(&mut random, &bytes));
            age_entry(&changed(&mut random, &enc));
        }
        for _ in 0..5 {
            own_key(&changed(&mut random, &bytes));
        }
    }
}
