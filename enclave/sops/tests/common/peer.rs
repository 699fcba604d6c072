//! The real program.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;

use super::generate::Case;
use super::testdata;

pub(crate) struct Peer {
    program: OsString,
    /// Ours, which opens the files, and another.
    pub(crate) recipients: [String; 2],
}

impl Peer {
    /// The program that `PACKPROOF_SOPS` names, or `None` where nobody promised one.
    pub(crate) fn find(recipients: [String; 2]) -> Option<Self> {
        let program = std::env::var_os("PACKPROOF_SOPS").filter(|path| !path.is_empty());
        let required = std::env::var_os("PACKPROOF_REQUIRE_PEERS").is_some_and(|value| value == "1");
        assert!(program.is_some() || !required, "peer not given: set PACKPROOF_SOPS to the native sops program");
        program.map(|program| Self { program, recipients })
    }

    /// What it writes, or what it complains about.
    fn run(&self, arguments: &[&OsStr]) -> Result<Vec<u8>, String> {
        let output = Command::new(&self.program)
            .args(arguments)
            .env_clear()
            // Two of them run at a time; with one thread each it starts faster.
            .env("GOMAXPROCS", "1")
            .env("SOPS_AGE_KEY_FILE", testdata("TEST-ONLY-age-key.txt"))
            .output()
            .expect("sops runs");
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// The cell, with the further master keys put into its block. `None` when sops cannot encrypt the file.
    pub(crate) fn encrypt(&self, case: &Case, folder: &Path) -> Option<String> {
        let (config, plain) = (folder.join("sops.yaml"), folder.join(format!("plain.{}", case.input)));
        std::fs::write(&config, &case.config).unwrap();
        std::fs::write(&plain, &case.plain).unwrap();
        let arguments = ["--config".as_ref(), config.as_os_str(), "encrypt".as_ref(), "--output-type".as_ref()];
        let rest = [case.output.as_ref(), plain.as_os_str()];
        let cell = self.run(&[&arguments[..], &rest[..]].concat()).ok()?;
        let cell = String::from_utf8(cell).expect("sops writes UTF-8");
        let cell = with_entries(cell, case);
        Some(if case.features.contains("key group in the file") { in_key_group(&cell) } else { cell })
    }

    /// What sops makes of a cell.
    pub(crate) fn decrypt(&self, cell: &Path, output: &str) -> Result<Vec<u8>, String> {
        self.run(&["decrypt".as_ref(), "--output-type".as_ref(), output.as_ref(), cell.as_os_str()])
    }
}

/// sops would have to ask the services of these keys, so they are written into the file. The MAC does not cover them.
fn with_entries(mut cell: String, case: &Case) -> String {
    for (kind, entries) in &case.entries {
        let (from, to) = match case.output {
            "json" => ("\"sops\": {".to_owned(), format!("\"sops\": {{\n\t\t\"{kind}\": {entries},")),
            _ => ("\n    lastmodified: ".to_owned(), format!("\n    {kind}: {entries}\n    lastmodified: ")),
        };
        cell = replace_one(&cell, &from, &to);
    }
    cell
}

/// The age entries as the one group of `key_groups`. sops reads such a file, but writes the entries without a group.
fn in_key_group(cell: &str) -> String {
    if cell.starts_with('{') {
        let cell = replace_one(cell, "\t\t\"age\": [", "\t\t\"key_groups\": [{\"age\": [");
        return replace_one(&cell, "\n\t\t],\n\t\t\"lastmodified\"", "\n\t\t]}],\n\t\t\"lastmodified\"");
    }
    let (before, rest) = cell.split_once("\n    age:\n").expect("age entries");
    let (entries, after) = rest.split_once("\n    lastmodified: ").expect("lastmodified after them");
    let entries = entries.replace('\n', "\n    ");
    format!("{before}\n    key_groups:\n        - age:\n    {entries}\n    lastmodified: {after}")
}

fn replace_one(cell: &str, from: &str, to: &str) -> String {
    assert_eq!(cell.matches(from).count(), 1, "{from:?} in {cell}");
    cell.replace(from, to)
}
