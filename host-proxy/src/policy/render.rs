//! A policy as commented TOML.

use std::collections::BTreeMap;

use packproof_artifact::manifest::Target;
use packproof_receipt::sealed::BirthStatement;

use super::facts::{CellKeys, Facts, Key};
use crate::sealed_file::toml_string;

/// A day: long enough for a deployment, and replay of an older artifact ends with it.
const MAX_TTL_SECONDS: u64 = 86_400;
/// A week: an older commit must be signed anew before it is packed again.
const MAX_COMMIT_AGE_SECONDS: u64 = 604_800;

/// The head of a policy.
pub(super) struct Head {
    pub(super) repository: String,
    pub(super) object_format: String,
    pub(super) manifest: String,
    pub(super) signer: Signer,
    pub(super) kms: Kms,
}

/// Who signs commits.
pub(super) struct Signer {
    pub(super) name: String,
    pub(super) principal: String,
    pub(super) ssh: String,
}

/// How KMS is reached.
pub(super) enum Kms {
    Aws,
    Simulated { url: String, ca: String },
}

/// A key that KMS seals: its sealing key, and the key itself once it is born.
pub(super) struct Sealing {
    pub(super) arn: String,
    pub(super) birth: Option<BirthStatement>,
}

/// One entry, complete.
pub(super) struct Entry {
    pub(super) facts: Facts,
    pub(super) signer: Sealing,
    /// Where the cells are opened with a sealed age key.
    pub(super) age_key: Option<Sealing>,
}

/// Writes the whole policy.
pub(super) fn policy(head: &Head, entries: &[Entry], left_out: &[String]) -> String {
    let quoted = toml_string;
    let mut text = format!(
        "# The measured policy: every byte of it is in PCR2 and PCR0 of the image, so read every line.\n\
         # Begun by packproof policy init; packproof policy check reads it as the enclave does.\n\
         schema = 1\n\n\
         [source]\n\
         # must equal the file .packproof/repository in every commit that is packed\n\
         repository = {}\n\
         object_format = {}\n\
         manifest = {}\n\n\
         # whose SSH signature on a commit counts; there is no unsigned mode\n\
         [[source.signer]]\n\
         name = {}\n\
         principal = {}\n\
         ssh = {}\n\n\
         [kms]\n",
        quoted(&head.repository),
        quoted(&head.object_format),
        quoted(&head.manifest),
        quoted(&head.signer.name),
        quoted(&head.signer.principal),
        quoted(&head.signer.ssh),
    );
    match &head.kms {
        Kms::Aws => text.push_str("# or \"aws-fips\"\nendpoint = \"aws\"\n"),
        Kms::Simulated { url, ca } => text.push_str(&format!(
            "# not AWS: receipts made under this policy say simulated, and no verifier takes them for real ones\n\
             simulated = {{ url = {}, ca = {} }}\n",
            quoted(url),
            multiline(ca),
        )),
    }
    text.push_str("\n# one entry for each identity and environment; anything not listed is refused\n");
    for line in left_out {
        text.push_str(&format!("# left out: {}\n", line.replace('\n', " ")));
    }
    for each in entries {
        text.push_str(&entry(each, &head.signer.name));
    }
    text
}

fn entry(entry: &Entry, signer: &str) -> String {
    let facts = &entry.facts;
    let namespaces: Vec<String> = facts.namespaces.iter().map(|name| toml_string(name)).collect();
    let mut text = format!(
        "\n[[pack]]\n\
         identity = {}\n\
         environment = {}\n\
         # upper bound: the manifest may ask for less\n\
         namespaces = [{}]\n",
        toml_string(&facts.identity),
        toml_string(&facts.environment),
        namespaces.join(", "),
    );
    match (&facts.cell_keys, &entry.age_key) {
        (CellKeys::Kms(keys), _) => {
            let keys: Vec<String> = keys.iter().map(master_key).collect();
            text.push_str(&format!("# what opens the cells\ndecrypt = [{}]\n", keys.join(", ")));
        }
        (CellKeys::Age, Some(sealing)) => {
            text.push_str("# what opens the cells: an age key born in an enclave\n");
            text.push_str(&sealed("unseal", "recipient", "age-key", sealing, facts));
        }
        // Whoever makes an entry for age cells gives it an age key; without, the policy would not parse.
        (CellKeys::Age, None) => {}
    }
    text.push_str("# to whom artifacts are encrypted; must equal the manifest's\n");
    text.push_str(&match &facts.target {
        Target::Age { recipient } => format!("recipient = {}\n", toml_string(recipient)),
        Target::Kms { key_id, .. } => format!("envelope = {}\n", toml_string(key_id)),
    });
    text.push_str("# who signs artifacts: a key born in an enclave\n");
    text.push_str(&sealed("signer", "public_key", "signer", &entry.signer, facts));
    text.push_str(&format!(
        "signers = [{}]\nmax_ttl_seconds = {MAX_TTL_SECONDS}\nmax_commit_age_seconds = {MAX_COMMIT_AGE_SECONDS}\n",
        toml_string(signer)
    ));
    text
}

fn sealed(line: &str, member: &str, purpose: &str, sealing: &Sealing, facts: &Facts) -> String {
    let kms = toml_string(&sealing.arn);
    match &sealing.birth {
        Some(birth) => format!("{line} = {{ kms = {kms}, {member} = {} }}\n", toml_string(&birth.public_key)),
        None => format!(
            "# not born yet, so only seal is allowed: packproof seal {purpose} --identity {} --environment {} -o FILE\n\
             # then add {member}, or run policy init again with --sealed FILE\n\
             {line} = {{ kms = {kms} }}\n",
            facts.identity, facts.environment,
        ),
    }
}

fn master_key((arn, context): &Key) -> String {
    if context.is_empty() {
        toml_string(arn)
    } else {
        format!("{{ kms = {}, context = {} }}", toml_string(arn), table(context))
    }
}

fn table(members: &BTreeMap<String, String>) -> String {
    let members: Vec<String> =
        members.iter().map(|(name, value)| format!("{} = {}", toml_string(name), toml_string(value))).collect();
    format!("{{ {} }}", members.join(", "))
}

/// A TOML multi-line basic string; the line end after the opening quotes is not part of it.
fn multiline(text: &str) -> String {
    let mut quoted = String::from("\"\"\"\n");
    for line in text.lines() {
        let line = toml_string(line);
        quoted.push_str(line.get(1..line.len().saturating_sub(1)).unwrap_or_default());
        quoted.push('\n');
    }
    quoted.push_str("\"\"\"");
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multi_line_strings_read_back() {
        let text = "-----BEGIN CERTIFICATE-----\nMIIB\"\\\"\"\"x\n-----END CERTIFICATE-----\n";
        let value: toml::Table = toml::from_str(&format!("x = {}", multiline(text))).unwrap();
        assert_eq!(value["x"].as_str(), Some(text));
    }

    #[test]
    fn a_context_reads_back() {
        let key = ("arn".to_owned(), BTreeMap::from([("a b".to_owned(), "c\"d".to_owned())]));
        let value: toml::Table = toml::from_str(&format!("x = {}", master_key(&key))).unwrap();
        assert_eq!(value["x"]["context"]["a b"].as_str(), Some("c\"d"));
    }
}
