//! `packproof inspect`: what an artifact says of itself.

use std::path::{Path, PathBuf};

use packproof_artifact::envelope::{Artifact, MAX_ARTIFACT_BYTES};
use serde_json::{Map, Value, json};

use crate::{Error, files, output::Report};

/// Arguments of `inspect`.
#[derive(Debug, clap::Args)]
pub(crate) struct InspectArgs {
    /// The artifact
    artifact: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Shows what an artifact says of itself. Nothing is decrypted and no signature is checked.
///
/// # Errors
/// [`Error::CannotRead`], [`Error::FileTooLong`], [`Error::Artifact`].
pub(crate) fn inspect(args: &InspectArgs) -> Result<Report, Error> {
    let bytes = files::read(&args.artifact, u64::try_from(MAX_ARTIFACT_BYTES).unwrap_or(u64::MAX))?;
    describe(&args.artifact, &bytes)
}

fn describe(path: &Path, bytes: &[u8]) -> Result<Report, Error> {
    let unreadable = |error| Error::Artifact { path: path.to_owned(), error };
    let artifact = Artifact::parse(bytes).map_err(unreadable)?;
    let ciphertext_bytes = artifact.ciphertext_bytes().map_err(unreadable)?.len();
    let hash_matches = artifact.check_hash().is_ok();
    let envelope = artifact.envelope.as_ref();
    let algorithm = serde_json::to_value(artifact.signature_algorithm).unwrap_or_default();

    let facts: [(&str, &str, Value); 13] = [
        ("identity", "identity", json!(artifact.identity)),
        ("environment", "environment", json!(artifact.environment)),
        ("revision", "revision", json!(artifact.revision)),
        ("packedAt", "packed at", json!(artifact.packed_at)),
        ("expiresAt", "expires at", json!(artifact.expires_at)),
        ("encryption", "encryption", json!(if envelope.is_some() { "kms" } else { "age" })),
        ("provider", "provider", json!(envelope.map(|e| &e.provider))),
        ("keyId", "key", json!(envelope.map(|e| &e.key_id))),
        ("signed", "signed", json!(artifact.signature.is_some())),
        ("signatureAlgorithm", "signature", algorithm),
        ("ciphertextBytes", "ciphertext bytes", json!(ciphertext_bytes)),
        ("ciphertextHash", "ciphertext hash", json!(artifact.ciphertext_hash)),
        ("ciphertextHashMatches", "hash matches", json!(hash_matches)),
    ];
    let mut lines = Vec::new();
    let mut members = Map::new();
    members.insert("version".into(), json!(1));
    for (member, label, value) in facts {
        if !value.is_null() {
            let text = value.as_str().map_or_else(|| value.to_string(), crate::output::printable_line);
            lines.push(format!("{label:<17} {text}"));
        }
        members.insert(member.into(), value);
    }
    lines.push("not checked: signature, expiry, receipt; packproof-verify checks them".to_owned());
    Ok(Report { text: lines.join("\n"), json: members })
}

#[cfg(test)]
mod tests {
    use packproof_artifact::envelope::{Contents, KmsEnvelope, SignatureAlgorithm};

    use super::*;

    fn artifact(envelope: Option<KmsEnvelope>) -> Vec<u8> {
        let contents = Contents {
            identity: "checkout",
            environment: "production",
            packed_at: "2026-11-23T18:40:09.112Z",
            revision: "1-00000000",
            ciphertext: b"ciphertext",
            envelope,
            expires_at: None,
        };
        Artifact::new(contents).unwrap().with_signature(SignatureAlgorithm::Ed25519, &[0; 64]).to_bytes()
    }

    fn shown(bytes: &[u8]) -> Report {
        describe(Path::new("a"), bytes).unwrap()
    }

    #[test]
    fn shows_metadata_of_an_age_artifact() {
        let Report { text, json } = shown(&artifact(None));
        assert_eq!((&json["encryption"], &json["keyId"]), (&json!("age"), &Value::Null));
        assert_eq!((&json["signatureAlgorithm"], &json["ciphertextBytes"]), (&json!("Ed25519"), &json!(10)));
        assert!(text.contains("identity          checkout\n") && !text.contains("expires at"), "{text}");
    }

    #[test]
    fn shows_a_hash_that_does_not_match() {
        let text = String::from_utf8(artifact(None)).unwrap();
        assert_eq!(shown(text.as_bytes()).json["ciphertextHashMatches"], json!(true));
        let changed = text.replace("Y2lwaGVydGV4dA==", "Y2lwaGVydGV4VA==");
        assert_eq!(shown(changed.as_bytes()).json["ciphertextHashMatches"], json!(false));
    }

    #[test]
    fn an_envelope_names_its_key_and_no_blob() {
        let envelope = KmsEnvelope {
            provider: "aws".into(),
            key_id: "arn:x".into(),
            wrapped_key: "d3JhcHBlZA==".into(),
            algorithm: "SYMMETRIC_DEFAULT".into(),
            iv: "aXY=".into(),
            auth_tag: "dGFn".into(),
        };
        let Report { text, json } = shown(&artifact(Some(envelope)));
        assert_eq!(json["keyId"], json!("arn:x"));
        assert!(!text.contains("d3JhcHBlZA==") && !Value::Object(json).to_string().contains("d3JhcHBlZA=="));
    }

    #[test]
    fn what_is_no_artifact_has_a_code() {
        let code = |bytes: &[u8]| describe(Path::new("a"), bytes).err().unwrap().exit_code();
        assert_eq!((code(b""), code(b"[]"), code(b"{\"version\":1,\"revokedAt\":\"x\"}")), (2, 2, 2));
    }
}
