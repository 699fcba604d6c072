//! Judging a bare document.

use std::{collections::BTreeMap, io::Write};

use packproof_receipt_verify::{Root, evidence::VerifiedDocument, evidence::verify_document};
use serde::Serialize;

use crate::{
    args::DocumentArgs,
    error::CliError,
    files::{self, MAX_INPUT_BYTES},
    human, json,
    text::plain,
};

/// The verdict on a document.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DocumentReport {
    valid: bool,
    simulated: bool,
    /// Code and number of the check that refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<Refused>,
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<DocumentFacts>,
    not_proved: [&'static str; 2],
}

#[derive(Serialize)]
struct Refused {
    check: u8,
    code: &'static str,
    text: String,
}

/// Bytes are lower-case hex.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DocumentFacts {
    module_id: String,
    region: Option<String>,
    timestamp: String,
    pcrs: BTreeMap<u8, String>,
    public_key: Option<String>,
    user_data: Option<String>,
    nonce: Option<String>,
    root_sha256: String,
    payload_sha256: String,
    notes: Vec<&'static str>,
}

/// Returns whether the document is authentic.
pub(crate) fn run(args: &DocumentArgs, out: &mut dyn Write) -> Result<bool, CliError> {
    let bytes = files::read(&args.document, MAX_INPUT_BYTES)?;
    let der = files::read_root(args.root.as_ref())?;
    let report = judge(&bytes, files::root(der.as_ref()));
    if args.json {
        json::print(json::DOCUMENT_SCHEMA, &report, out)?;
    } else {
        out.write_all(print(&report).as_bytes()).map_err(|_| CliError::Output)?;
    }
    out.flush().map_err(|_| CliError::Output)?;
    Ok(report.valid)
}

fn judge(bytes: &[u8], root: Root<'_>) -> DocumentReport {
    let (refused, document) = match verify_document(bytes, root.der()) {
        Ok(document) => (None, Some(facts(&document))),
        Err(error) => {
            let refused = Refused { check: error.check(), code: root.code_of(&error), text: error.to_string() };
            (Some(refused), None)
        }
    };
    DocumentReport {
        valid: document.is_some(),
        simulated: matches!(root, Root::Simulated { .. }),
        refused,
        document,
        not_proved: [
            "what ran: compare PCR0, PCR1 and PCR2 with an image that you trust",
            "what user_data, nonce and public_key mean: any code chooses them freely",
        ],
    }
}

fn facts(document: &VerifiedDocument) -> DocumentFacts {
    DocumentFacts {
        module_id: document.module_id.clone(),
        region: document.region.clone(),
        timestamp: document.timestamp.to_rfc3339(),
        pcrs: document.pcrs.iter().map(|(index, value)| (*index, hex::encode(value))).collect(),
        public_key: document.public_key.as_ref().map(hex::encode),
        user_data: document.user_data.as_ref().map(hex::encode),
        nonce: document.nonce.as_ref().map(hex::encode),
        root_sha256: hex::encode(document.root_sha256),
        payload_sha256: hex::encode(document.payload_sha256),
        notes: document.notes.iter().map(|note| note.code()).collect(),
    }
}

fn print(report: &DocumentReport) -> String {
    let mut text = human::verdict(report.simulated, report.refused.iter().map(|refused| refused.code));
    // whole hex strings, so not shortened; the only words of others are those of the refusal
    let mut line = |name: &str, value: &str| text.push_str(&format!("{name:<13} {value}\n"));
    if let Some(refused) = &report.refused {
        line("refused", &format!("check {}: {}", refused.check, plain(&refused.text)));
    }
    if let Some(document) = &report.document {
        let bytes = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
        line("module", &document.module_id);
        line("region", document.region.as_deref().unwrap_or("unknown"));
        line("made on", &document.timestamp);
        for (index, value) in document.pcrs.iter().filter(|(_, value)| value.bytes().any(|digit| digit != b'0')) {
            line(&format!("PCR{index}"), value);
        }
        line("user_data", &bytes(&document.user_data));
        line("nonce", &bytes(&document.nonce));
        line("public_key", &bytes(&document.public_key));
        line("root SHA-256", &document.root_sha256);
        for note in &document.notes {
            line("note", note);
        }
    }
    for not_proved in report.not_proved {
        line("not proved", not_proved);
    }
    text
}
