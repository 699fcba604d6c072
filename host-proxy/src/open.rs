//! `packproof open`: what is in an artifact, for whoever may read it.
//!
//! The only command of this crate that sees a plaintext. It runs where the secrets are allowed to be, on the desk of
//! somebody who has the service's key, and never beside an enclave: a CI job can't open what it packed.
//!
//! The order is that of Clef's `envelope decrypt`: shape, hash, signature if asked for, expiry, then the key. It lists
//! names; values only with `--reveal` or `--key`. The data key of a KMS artifact is unwrapped under the reader's own
//! credentials: on AWS by plain Decrypt, else by the cloud's own tool, and `--data-key` takes it.

mod error;
mod key;
mod kms;
mod plaintext;
mod signature;

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use packproof_artifact::{
    envelope::{Artifact, ArtifactError, MAX_ARTIFACT_BYTES},
    seal,
};
use packproof_receipt::time::UnixMillis;
use packproof_secret::SecretBytes;
use serde_json::{Map, Value, json};

pub use error::OpenError;
use plaintext::Plaintext;
use signature::VerifyKey;

use crate::{
    Error,
    cli::Host,
    clock::now,
    files,
    output::{Report, printable_line},
};

/// Arguments of `open`.
#[derive(Debug, clap::Args)]
pub(crate) struct OpenArgs {
    /// The artifact
    artifact: PathBuf,
    /// For an age artifact: a file with its age identity, AGE-SECRET-KEY-1…, not a sealed key [env: CLEF_AGE_KEY_FILE,
    /// or CLEF_AGE_KEY with the identity itself]
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// For a KMS artifact: a file with its data key, already unwrapped, in base64; /dev/stdin reads a pipe. Without it
    /// `aws kms decrypt` is run, which finds AWS credentials as it always does
    #[arg(long, value_name = "FILE", conflicts_with = "identity")]
    data_key: Option<PathBuf>,
    /// Refuse an artifact that this key did not sign: base64 of a DER public key, Ed25519 or P-256, as Clef's runtime
    /// takes it
    #[arg(long, value_name = "BASE64", allow_hyphen_values = true)]
    signer_key: Option<String>,
    /// Print all values. Terminals, shells and CI systems keep what is printed
    #[arg(long, conflicts_with = "key")]
    reveal: bool,
    /// Print one value and nothing else: NAMESPACE__KEY as Clef spells it, or NAMESPACE/KEY
    #[arg(long, value_name = "NS__KEY")]
    key: Option<String>,
    /// Open it although it has expired, which Clef's runtime does not
    #[arg(long)]
    allow_expired: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

impl OpenArgs {
    /// What standard error says before a value is shown, but after all that may still go wrong.
    pub(crate) fn warning(&self) -> Option<&'static str> {
        (self.reveal || self.key.is_some())
            .then_some("values follow on standard output; terminals, shells and CI systems keep what is printed")
    }
}

/// What is around the command.
struct Surroundings<'a> {
    env: &'a dyn Fn(&str) -> Option<OsString>,
    now: UnixMillis,
    /// AWS's command-line tool.
    aws: &'a OsStr,
}

/// Opens an artifact.
///
/// # Errors
/// [`Error::CannotRead`], [`Error::FileTooLong`], [`Error::Artifact`], [`Error::Usage`], [`Error::Open`].
pub(crate) fn open(args: &OpenArgs, host: &Host<'_>) -> Result<Report, Error> {
    open_in(args, &Surroundings { env: &|name| host.var(name), now: now(), aws: OsStr::new("aws") })
}

fn open_in(args: &OpenArgs, around: &Surroundings<'_>) -> Result<Report, Error> {
    // What can be wrong with the command line comes before any key is read.
    let signer_key = args.signer_key.as_deref().map(VerifyKey::parse).transpose()?;
    if args.key.as_deref().is_some_and(|key| !key.contains("__") && !key.contains('/')) {
        return Err(Error::Usage("--key must be NAMESPACE__KEY or NAMESPACE/KEY, such as stripe__API_KEY".to_owned()));
    }

    let bytes = files::read(&args.artifact, u64::try_from(MAX_ARTIFACT_BYTES).unwrap_or(u64::MAX))?;
    let refused = |error| refusal(&args.artifact, error);
    let artifact = Artifact::parse(&bytes).map_err(refused)?;
    artifact.check_hash().map_err(refused)?;
    if let Some(key) = &signer_key {
        key.verify(&artifact)?;
    }
    let expired = expired(&artifact, around.now)?;
    if expired && !args.allow_expired {
        return Err(OpenError::Expired { at: printable_line(artifact.expires_at.as_deref().unwrap_or("")) }.into());
    }

    let plaintext = Plaintext::parse(&decrypt(args, around, &artifact, refused)?)?;
    let facts = Facts { artifact: &artifact, signature_checked: signer_key.is_some(), expired };
    match &args.key {
        Some(key) => one_value(&facts, &plaintext, key),
        None => Ok(facts.report(&plaintext, args.reveal)),
    }
}

/// An artifact that is readable and says no is an answer; anything else is unreadable input.
fn refusal(path: &Path, error: ArtifactError) -> Error {
    match error {
        ArtifactError::Revoked | ArtifactError::HashMismatch => OpenError::Refused(error).into(),
        error => Error::Artifact { path: path.to_owned(), error },
    }
}

/// Clef's runtime takes a date it cannot read for one that never comes; here it is refused.
fn expired(artifact: &Artifact, now: UnixMillis) -> Result<bool, Error> {
    match artifact.expires_at.as_deref() {
        None | Some("") => Ok(false),
        Some(text) => match UnixMillis::parse_rfc3339_ms(text) {
            Some(at) => Ok(at < now),
            None => Err(OpenError::ExpiryUnreadable.into()),
        },
    }
}

fn decrypt(
    args: &OpenArgs,
    around: &Surroundings<'_>,
    artifact: &Artifact,
    refused: impl Fn(ArtifactError) -> Error,
) -> Result<SecretBytes, Error> {
    let ciphertext = artifact.ciphertext_bytes().map_err(&refused)?;
    let Some(envelope) = &artifact.envelope else {
        return match args.data_key {
            Some(_) => Err(OpenError::KeyNotUsed { flag: "--data-key", kind: "age" }.into()),
            None => key::open_age(&ciphertext, args.identity.as_deref(), around.env),
        };
    };
    if args.identity.is_some() {
        return Err(OpenError::KeyNotUsed { flag: "--identity", kind: "KMS" }.into());
    }
    let (iv, tag) = (envelope.iv_bytes().map_err(&refused)?, envelope.auth_tag_bytes().map_err(&refused)?);
    let data_key = match &args.data_key {
        Some(path) => key::data_key(path)?,
        None => kms::unwrap(envelope, &envelope.wrapped_key_bytes().map_err(&refused)?, around.aws)?,
    };
    seal::open_kms(&ciphertext, &iv, &tag, &data_key).map_err(|error| OpenError::Seal(error).into())
}

/// What is known of an artifact before its plaintext is looked at.
struct Facts<'a> {
    artifact: &'a Artifact,
    signature_checked: bool,
    expired: bool,
}

impl Facts<'_> {
    fn members(&self) -> Map<String, Value> {
        let artifact = self.artifact;
        let facts = [
            ("identity", json!(artifact.identity)),
            ("environment", json!(artifact.environment)),
            ("revision", json!(artifact.revision)),
            ("packedAt", json!(artifact.packed_at)),
            ("expiresAt", json!(artifact.expires_at)),
            ("expired", json!(self.expired)),
            ("signed", json!(artifact.signature.is_some())),
            ("signatureChecked", json!(self.signature_checked)),
        ];
        facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Everything, values only when `reveal`.
    fn report(&self, plaintext: &Plaintext, reveal: bool) -> Report {
        let artifact = self.artifact;
        let signature = match (self.signature_checked, &artifact.signature) {
            (true, _) => "valid",
            (false, Some(_)) => "not checked; --signer-key checks it",
            (false, None) => "none",
        };
        let mut lines = vec![
            format!("identity     {}", printable_line(&artifact.identity)),
            format!("environment  {}", printable_line(&artifact.environment)),
            format!("revision     {}", printable_line(&artifact.revision)),
            format!("signature    {signature}"),
        ];
        if let Some(at) = &artifact.expires_at {
            let note = if self.expired { " (expired)" } else { "" };
            lines.push(format!("expires at   {}{note}", printable_line(at)));
        }
        lines.push(format!("keys         {}", plaintext.key_count()));
        let (mut names, mut values) = (Map::new(), Map::new());
        for namespace in &plaintext.namespaces {
            let shown = printable_line(&namespace.name);
            if namespace.entries.is_empty() {
                lines.push(format!("{shown} (empty)"));
            }
            let mut revealed = Map::new();
            for (name, value) in &namespace.entries {
                let line = format!("{shown}__{}", printable_line(name));
                if reveal {
                    // As a JSON string, so that a line end in a value starts no line here.
                    let quoted = json!(value.expose());
                    lines.push(format!("{line}={}", printable_line(&quoted.to_string())));
                    revealed.insert(name.clone(), quoted);
                } else {
                    lines.push(line);
                }
            }
            let of_namespace: Vec<&String> = namespace.entries.iter().map(|(name, _)| name).collect();
            names.insert(namespace.name.clone(), json!(of_namespace));
            values.insert(namespace.name.clone(), Value::Object(revealed));
        }
        let mut members = self.members();
        members.insert("keys".into(), Value::Object(names));
        if reveal {
            members.insert("values".into(), Value::Object(values));
        }
        Report { text: lines.join("\n"), json: members }
    }
}

/// One value, exactly as it is, for a pipe.
fn one_value(facts: &Facts<'_>, plaintext: &Plaintext, key: &str) -> Result<Report, Error> {
    let value = plaintext.get(key)?;
    let mut members = facts.members();
    members.insert("key".into(), json!(key));
    members.insert("value".into(), json!(value.expose()));
    Ok(Report { text: value.expose().to_owned(), json: members })
}

#[cfg(test)]
mod tests;
