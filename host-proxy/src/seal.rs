//! `packproof seal`: a key born inside an enclave, sealed by KMS.

use std::path::PathBuf;

use base64::{Engine, prelude::BASE64_STANDARD};
use packproof_receipt::sealed::{BirthStatement, SealedKey};
use packproof_wire::{Request, SealAnswer, SealPurpose, SealRequest};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::{
    Error,
    cli::{EnclaveArgs, Host, challenge},
    files::{self, Staged},
    output::{Report, printable_line},
    sealed_file::{policy_line, purpose_name},
};

/// Arguments of `seal`.
#[derive(Debug, clap::Args)]
pub(crate) struct SealArgs {
    /// What the key is for
    #[arg(value_enum)]
    purpose: Purpose,
    /// Service identity in the policy
    #[arg(long, value_name = "IDENTITY")]
    identity: String,
    /// Environment in the policy
    #[arg(long, value_name = "ENVIRONMENT")]
    environment: String,
    /// Where the sealed key goes; never overwritten
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// 32 bytes as 64 hex digits that come back inside the birth certificate
    #[arg(long, value_name = "HEX")]
    challenge: Option<String>,
    #[command(flatten)]
    enclave: EnclaveArgs,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Purpose {
    /// The Ed25519 key that signs artifacts
    Signer,
    /// The age key that cells are encrypted to
    AgeKey,
}

/// Makes a sealed key.
///
/// # Errors
/// The client's; [`Error::FileExists`], [`Error::CannotWrite`], [`Error::Credentials`],
/// [`Error::AnswerMismatch`].
pub(crate) fn seal(args: &SealArgs, host: &Host<'_>) -> Result<Report, Error> {
    let challenge = challenge(args.challenge.as_deref())?;
    let path = files::absolute(&args.output)?;
    // Asked before the key is made, and again when it is put into place: a sealed key that is overwritten is lost.
    if path.symlink_metadata().is_ok() {
        return Err(Error::FileExists(path));
    }
    let purpose = match args.purpose {
        Purpose::Signer => SealPurpose::Signer,
        Purpose::AgeKey => SealPurpose::AgeKey,
    };
    let enclave = host.enclave(&args.enclave)?;
    let answer: SealAnswer = enclave.ask(&Request::Seal(SealRequest {
        purpose,
        identity: args.identity.clone(),
        environment: args.environment.clone(),
        challenge,
        credentials: host.credentials()?,
    }))?;
    let birth = read_birth(&answer, purpose, args)?;

    let sealed = SealedKey {
        schema: 1,
        blob: BASE64_STANDARD.encode(&answer.blob),
        birth_statement: String::from_utf8(answer.birth_statement)
            .map_err(|_| Error::AnswerUnreadable("the birth statement is not text".to_owned()))?,
        birth_document: BASE64_STANDARD.encode(&answer.birth_document),
    };
    let mut text = serde_json::to_string_pretty(&sealed).unwrap_or_default();
    text.push('\n');
    let path = Staged::write(&path, text.as_bytes())?.place_new()?;
    Ok(report(&birth, &path.to_string_lossy()))
}

fn read_birth(answer: &SealAnswer, purpose: SealPurpose, args: &SealArgs) -> Result<BirthStatement, Error> {
    let birth: BirthStatement = serde_json::from_slice(&answer.birth_statement)
        .map_err(|e| Error::AnswerUnreadable(format!("birth statement: column {}", e.column())))?;
    let asked = (purpose_name(purpose), args.identity.as_str(), args.environment.as_str());
    if (birth.purpose.as_str(), birth.identity.as_str(), birth.environment.as_str()) != asked {
        return Err(Error::AnswerMismatch("the key was born for something else".to_owned()));
    }
    if birth.blob_sha256 != hex::encode(Sha256::digest(&answer.blob)) {
        return Err(Error::AnswerMismatch("the birth statement is about another blob".to_owned()));
    }
    Ok(birth)
}

fn report(birth: &BirthStatement, path: &str) -> Report {
    let line = policy_line(birth);
    let (label, note) = if birth.purpose == purpose_name(SealPurpose::Signer) {
        ("public key", "for readers of artifacts (Clef: verifyKey)")
    } else {
        ("recipient", "for authors of cells (SOPS: age)")
    };
    let text = format!(
        "sealed {} of {}/{}\n\
         file       {path}\n\
         {label:<10} {}\n\
         {note}\n\n\
         NOT VERIFIED: this is what the host answered. Before anything is pinned or encrypted to the key, run\n\
         packproof-verify birth {path} --purpose {} --identity {} --environment {} --policy POLICY --image RELEASE\n\n\
         then replace this line in [[pack]] {}/{} of the policy; the image must be measured anew:\n\
         {}",
        birth.purpose,
        birth.identity,
        birth.environment,
        printable_line(&birth.public_key),
        birth.purpose,
        birth.identity,
        birth.environment,
        birth.identity,
        birth.environment,
        printable_line(&line),
    );
    let object = json!({
        "purpose": birth.purpose,
        "identity": birth.identity,
        "environment": birth.environment,
        "publicKey": birth.public_key,
        "kmsKeyArn": birth.kms_key_arn,
        "policyLine": line,
        "output": path,
    });
    Report { text, json: object.as_object().cloned().unwrap_or_default() }
}
