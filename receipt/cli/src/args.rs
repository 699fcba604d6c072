//! The command line.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use packproof_receipt_verify::{KeyPurpose, Requirement};

/// What to do.
pub(crate) enum Command {
    Receipt(Box<ReceiptArgs>),
    Birth(BirthArgs),
    Document(DocumentArgs),
    Split(SplitArgs),
}

/// A readable command line.
pub(crate) enum Parsed {
    Run(Command),
    /// Help or the version, as text.
    Help(String),
}

/// Reads the command line. An error is its text.
pub(crate) fn parse<I: IntoIterator<Item = OsString>>(args: I) -> Result<Parsed, String> {
    let matches = match ReceiptArgs::augment_args(Cli::command()).try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) if error.use_stderr() => return Err(error.to_string()),
        Err(help) => return Ok(Parsed::Help(help.to_string())),
    };
    let cli = Cli::from_arg_matches(&matches).map_err(|error| error.to_string())?;
    let command = match cli.command {
        Some(Sub::Birth(args)) => Command::Birth(args),
        Some(Sub::Document(args)) => Command::Document(args),
        Some(Sub::Split(args)) => Command::Split(args),
        None => Command::Receipt(Box::new(ReceiptArgs::from_arg_matches(&matches).map_err(|error| error.to_string())?)),
    };
    Ok(Parsed::Run(command))
}

/// Verifies a packproof receipt, offline: that this artifact was made by this image under this policy, from inputs of
/// a signed commit.
///
/// Exit codes: 0 valid, 1 not valid, 2 usage or unreadable input, 3 environment (disk).
#[derive(Parser)]
#[command(name = "packproof-verify", version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Sub>,
}

#[derive(Subcommand)]
enum Sub {
    /// Judges a sealed key by its birth certificate; run this before a key from `packproof seal` is pinned or encrypted to
    ///
    /// Whoever carries the answer of `packproof seal` could put a key of his own there. Valid means: this public key was
    /// born with this blob inside the given image, under the given policy, for this identity, environment and purpose.
    /// Pin or encrypt to the key on the line "verified: …", and to no other.
    Birth(BirthArgs),
    /// Judges a bare Nitro attestation document
    Document(DocumentArgs),
    /// Writes the two bundles of a receipt into files of their own, for cosign; verifies nothing
    Split(SplitArgs),
}

#[derive(Args)]
pub(crate) struct ReceiptArgs {
    /// The receipt (.sigstore.jsonl)
    #[arg(value_name = "RECEIPT")]
    pub(crate) receipt: PathBuf,
    /// The artifact that it should be of
    #[arg(long, value_name = "FILE")]
    pub(crate) artifact: PathBuf,
    /// The policy, packproof.toml: PCR2 is recomputed from it
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: PathBuf,
    /// The image's release.json, from a source that you trust; with its sections beside it, PCR0 is recomputed
    #[arg(long, value_name = "RELEASE")]
    pub(crate) image: PathBuf,
    /// The identity that the artifact should be for
    #[arg(long, value_name = "NAME")]
    pub(crate) identity: String,
    /// The environment that the artifact should be for
    #[arg(long, value_name = "NAME")]
    pub(crate) environment: String,
    /// The commit that it should be of, full id
    #[arg(long, value_name = "ID", value_parser = commit)]
    pub(crate) commit: Option<String>,
    /// A clone of the repository, in which git looks up every input and the signature again
    #[arg(long, value_name = "DIR")]
    pub(crate) repo: Option<PathBuf>,
    /// The 32 bytes that went with the request, as hex
    #[arg(long, value_name = "HEX", value_parser = challenge)]
    pub(crate) challenge: Option<[u8; 32]>,
    /// The largest age of the evidence, by this computer's clock
    #[arg(long, value_name = "SECONDS")]
    pub(crate) max_age: Option<u64>,
    /// Checks to insist on: commit, challenge, repo, age, pcr0, time
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) require: Vec<Requirement>,
    /// Judge evidence of local mode; it proves nothing about real hardware
    #[arg(long, requires = "root")]
    pub(crate) simulated: bool,
    /// The root of local mode
    #[arg(long, value_name = "PEM", requires = "simulated")]
    pub(crate) root: Option<PathBuf>,
    /// Write the receipt's public key here for cosign (PEM), if the receipt is valid
    #[arg(long, value_name = "FILE")]
    pub(crate) export_key: Option<PathBuf>,
    /// Write each recorded key policy into a file here, for packproof kms-policy explain, if the receipt is valid
    #[arg(long, value_name = "DIR")]
    pub(crate) export_key_policies: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct BirthArgs {
    /// The sealed key file that `packproof seal` wrote
    #[arg(value_name = "SEALED")]
    pub(crate) sealed: PathBuf,
    /// The image's release.json, from a source that you trust; with its sections beside it, PCR0 is recomputed
    #[arg(long, value_name = "RELEASE")]
    pub(crate) image: PathBuf,
    /// The policy that the key was born under, before it was pinned: PCR2 is recomputed from it
    #[arg(long, value_name = "BIRTH_POLICY")]
    pub(crate) policy: PathBuf,
    /// The identity that the key should be for
    #[arg(long, value_name = "NAME")]
    pub(crate) identity: String,
    /// The environment that the key should be for
    #[arg(long, value_name = "NAME")]
    pub(crate) environment: String,
    /// What the key should be for
    #[arg(long, value_enum)]
    pub(crate) purpose: Purpose,
    /// A later policy, which should pin exactly this key
    #[arg(long, value_name = "POLICY")]
    pub(crate) pinned_by: Option<PathBuf>,
    /// The 32 bytes that went with the request, as hex
    #[arg(long, value_name = "HEX", value_parser = challenge)]
    pub(crate) challenge: Option<[u8; 32]>,
    /// Judge evidence of local mode; it proves nothing about real hardware
    #[arg(long, requires = "root")]
    pub(crate) simulated: bool,
    /// The root of local mode
    #[arg(long, value_name = "PEM", requires = "simulated")]
    pub(crate) root: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Purpose {
    /// The Ed25519 key that signs artifacts
    Signer,
    /// The age key that cells are encrypted to
    AgeKey,
}

impl From<Purpose> for KeyPurpose {
    fn from(purpose: Purpose) -> Self {
        match purpose {
            Purpose::Signer => Self::Signer,
            Purpose::AgeKey => Self::AgeKey,
        }
    }
}

#[derive(Args)]
pub(crate) struct DocumentArgs {
    /// The document, CBOR as the security module returned it
    #[arg(value_name = "FILE")]
    pub(crate) document: PathBuf,
    /// Judge evidence of local mode; it proves nothing about real hardware
    #[arg(long, requires = "root")]
    pub(crate) simulated: bool,
    /// The root of local mode
    #[arg(long, value_name = "PEM", requires = "simulated")]
    pub(crate) root: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct SplitArgs {
    /// The receipt (.sigstore.jsonl)
    #[arg(value_name = "RECEIPT")]
    pub(crate) receipt: PathBuf,
    /// Where pack.sigstore.json and evidence.sigstore.json go
    #[arg(long, value_name = "DIR")]
    pub(crate) out_dir: PathBuf,
}

fn commit(text: &str) -> Result<String, String> {
    let hex = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if hex && matches!(text.len(), 40 | 64) {
        Ok(text.to_owned())
    } else {
        Err("a commit is named by its full id, 40 or 64 lower-case hex digits (git rev-parse)".to_owned())
    }
}

fn challenge(text: &str) -> Result<[u8; 32], String> {
    let bytes = hex::decode(text).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| "a challenge is 32 bytes as 64 hex digits".to_owned())
}
