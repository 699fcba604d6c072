//! `packproof describe` and `packproof attest`: what is running, and its evidence.

use std::path::PathBuf;

use base64::{Engine, prelude::BASE64_STANDARD};
use packproof_receipt::policy::Policy;
use packproof_wire::{Attested, Described, Request, message::decode};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::{
    Error,
    cli::{EnclaveArgs, Host, challenge},
    files::Staged,
    output::{Report, printable_line},
};

/// Arguments of `describe`.
#[derive(Debug, clap::Args)]
pub(crate) struct DescribeArgs {
    #[command(flatten)]
    enclave: EnclaveArgs,
    /// Print one JSON object, the policy included
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `attest`.
#[derive(Debug, clap::Args)]
pub(crate) struct AttestArgs {
    /// 32 bytes as 64 hex digits that come back as the document's nonce
    #[arg(long, value_name = "HEX")]
    challenge: Option<String>,
    /// Where the document goes (COSE, binary)
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    enclave: EnclaveArgs,
    /// Print one JSON object, document and exact description included
    #[arg(long)]
    pub json: bool,
}

/// Asks an enclave what it is. By its own word: nothing is proved.
///
/// # Errors
/// The client's.
pub(crate) fn describe(args: &DescribeArgs, host: &Host<'_>) -> Result<Report, Error> {
    let described: Described = host.enclave(&args.enclave)?.ask(&Request::Describe {})?;
    let mut report = show(&described);
    report.text.push_str("\nby the enclave's own word; packproof attest brings the proof");
    Ok(report)
}

/// Asks an enclave for a Nitro document over its description. The document is not checked here.
///
/// # Errors
/// The client's, and [`Error::CannotWrite`].
pub(crate) fn attest(args: &AttestArgs, host: &Host<'_>) -> Result<Report, Error> {
    let challenge = challenge(args.challenge.as_deref())?;
    let shown_challenge = challenge.as_ref().map(hex::encode);
    let attested: Attested = host.enclave(&args.enclave)?.ask(&Request::Attest { challenge })?;
    let described: Described =
        decode(&attested.description).map_err(|why| Error::AnswerUnreadable(format!("description: {why}")))?;

    let mut report = show(&described);
    report.json.insert("description".into(), json!(BASE64_STANDARD.encode(&attested.description)));
    report.json.insert("document".into(), json!(BASE64_STANDARD.encode(&attested.document)));
    report.json.insert("challenge".into(), json!(shown_challenge));
    let mut written = Value::Null;
    if let Some(path) = &args.output {
        let path = Staged::write(path, &attested.document)?.place()?;
        report.text.push_str(&format!("\ndocument       {}", path.display()));
        written = json!(path.to_string_lossy());
    }
    report.json.insert("output".into(), written);
    report.text.push_str("\nnot checked here; packproof-verify document does that");
    Ok(report)
}

fn show(described: &Described) -> Report {
    let policy_sha256 = hex::encode(Sha256::digest(&described.policy));
    let (simulated, packs) = match Policy::parse(described.policy.as_bytes()) {
        Ok(policy) => {
            let packs: Vec<String> = policy.packs.iter().map(|p| format!("{}/{}", p.identity, p.environment)).collect();
            (json!(policy.is_simulated()), packs)
        }
        Err(_) => (Value::Null, Vec::new()),
    };
    let facts: [(&str, &str, Value); 7] = [
        ("version", "version", json!(described.version)),
        ("pcr0", "PCR0", json!(described.pcr0)),
        ("pcr1", "PCR1", json!(described.pcr1)),
        ("pcr2", "PCR2", json!(described.pcr2)),
        ("receiptKey", "receipt key", json!(described.receipt_key)),
        ("policySha256", "policy SHA-256", json!(policy_sha256)),
        ("simulated", "simulated", simulated),
    ];
    let mut lines = Vec::new();
    let mut members = Map::new();
    for (member, label, value) in facts {
        let text = value.as_str().map_or_else(|| value.to_string(), printable_line);
        lines.push(format!("{label:<14} {text}"));
        members.insert(member.into(), value);
    }
    lines.push(format!("{:<14} {}", "packs", if packs.is_empty() { "unknown".to_owned() } else { packs.join(", ") }));
    members.insert("packs".into(), json!(packs));
    members.insert("policy".into(), json!(described.policy));
    Report { text: lines.join("\n"), json: members }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_shown_without_control_characters() {
        let described = Described {
            version: "0.1\u{1b}[2J".into(),
            policy: "not a policy".into(),
            pcr0: "00".into(),
            pcr1: "01".into(),
            pcr2: "02".into(),
            receipt_key: "MFkw".into(),
        };
        let report = show(&described);
        assert!(!report.text.contains('\u{1b}') && report.text.contains("PCR1           01"), "{}", report.text);
        assert_eq!(report.json["simulated"], Value::Null);
        assert_eq!(report.json["policySha256"], json!(hex::encode(Sha256::digest(b"not a policy"))));
    }
}
