//! Recorded key policies in files of their own, in the form in which AWS prints them.

use std::{collections::BTreeMap, io::Write, path::Path};

use packproof_receipt::statement::KeyDescription;
use packproof_receipt_verify::report::KeyPolicyFacts;
use serde::Serialize;

use crate::{error::CliError, files, split::make_folder, text};

/// One file is both the answer to `GetKeyPolicy` and that to `DescribeKey`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answers<'a> {
    policy: &'a str,
    policy_name: &'static str,
    key_metadata: Metadata<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata<'a> {
    arn: &'a str,
    key_manager: &'a str,
    origin: &'a str,
    multi_region: bool,
    key_state: &'a str,
    key_usage: &'a str,
    key_spec: &'a str,
}

/// Writes `key-policy-N-ID.json` for each of a valid receipt's key policies and says where.
pub(crate) fn write(folder: &Path, entries: &[KeyPolicyFacts], err: &mut dyn Write) -> Result<(), CliError> {
    if entries.is_empty() {
        let none = "packproof-verify: no key policy was written, because the receipt records none";
        return writeln!(err, "{none}").map_err(|_| CliError::Output);
    }
    make_folder(folder)?;
    let names: BTreeMap<String, &KeyPolicyFacts> =
        (1_u32..).zip(entries).map(|(number, entry)| (file_name(number, &entry.key_arn), entry)).collect();
    for (name, entry) in names {
        let KeyDescription { key_manager, origin, multi_region, key_state, key_usage, key_spec } = &entry.description;
        let answers = Answers {
            policy: &entry.policy,
            policy_name: "default",
            key_metadata: Metadata {
                arn: &entry.key_arn,
                key_manager,
                origin,
                multi_region: *multi_region,
                key_state,
                key_usage,
                key_spec,
            },
        };
        let json = serde_json::to_string_pretty(&answers).map_err(|_| CliError::Output)?;
        let path = folder.join(name);
        files::write(&path, format!("{}\n", text::ascii(&json)).as_bytes())?;
        let shown = text::plain(&path.display().to_string());
        writeln!(err, "packproof-verify: wrote {shown}").map_err(|_| CliError::Output)?;
    }
    Ok(())
}

/// Ends in the key's id, by which `packproof kms-policy explain` finds the key. Nothing of an ARN leaves the folder.
fn file_name(number: u32, arn: &str) -> String {
    let id = arn.rsplit('/').next().unwrap_or_default();
    let id: String = id.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(64).collect();
    format!("key-policy-{number}-{id}.json")
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn a_name_stays_in_its_folder() {
        assert_eq!(file_name(1, "arn:aws:kms:eu-west-1:111122223333:key/ab-12"), "key-policy-1-ab-12.json");
        assert_eq!(file_name(2, "arn:aws:kms:x:1:key/..\\..\u{0}"), "key-policy-2-.json");
        assert_eq!(file_name(3, ""), "key-policy-3-.json");
    }
}
