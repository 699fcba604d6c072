//! `packproof policy`: the measured policy, checked and begun.

mod advice;
mod diff;
mod explain;
mod facts;
mod init;
mod render;

use std::path::{Path, PathBuf};

use packproof_receipt::policy::{CellKeys, MAX_POLICY_BYTES, Policy};
use serde_json::json;
use sha2::{Digest, Sha256};

use self::advice::Advice;
use crate::{Error, files, output::Report};

/// What to do about a policy.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum PolicyCommand {
    /// Write a first policy for a repository, from its manifest, its cells and what you know about keys
    ///
    /// One entry for each identity and environment; recipients and envelope keys come from the manifest, decrypt keys
    /// from the cells. What only you can know is given by flags; whatever is still missing is listed at once.
    Init(Box<init::InitArgs>),
    /// Read a policy as the enclave does, and advise
    Check(CheckArgs),
    /// Say what a policy allows of a commit: what could be packed, by whom signed, to whom, and what is refused and why
    ///
    /// Exit code 1 when anything asked about would be refused. Nothing is decrypted and no enclave is asked, so what
    /// only the values show stays open.
    Explain(explain::ExplainArgs),
    /// Say what differs between two policies, in words
    Diff(diff::DiffArgs),
}

impl PolicyCommand {
    /// Whether the result is wanted as JSON.
    pub(crate) fn json(&self) -> bool {
        match self {
            Self::Init(args) => args.json,
            Self::Check(args) => args.json,
            Self::Explain(args) => args.json,
            Self::Diff(args) => args.json,
        }
    }
}

/// Arguments of `policy check`.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// The policy
    file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs one of the commands; the report comes with its exit code.
///
/// # Errors
/// Theirs.
pub(crate) fn run(command: &PolicyCommand) -> Result<(Report, u8), Error> {
    let report = match command {
        PolicyCommand::Explain(args) => return explain::explain(args),
        PolicyCommand::Init(args) => init::init(args),
        PolicyCommand::Check(args) => check(args),
        PolicyCommand::Diff(args) => diff::diff(args),
    };
    Ok((report?, 0))
}

fn check(args: &CheckArgs) -> Result<Report, Error> {
    let (policy, bytes) = read(&args.file)?;
    let packs: Vec<_> =
        policy.packs.iter().map(|pack| (format!("{}/{}", pack.identity, pack.environment), unborn(pack))).collect();
    let advice = advice::advise(&policy);

    let sha256 = hex::encode(Sha256::digest(&bytes));
    let mut lines = vec![format!("ok: {} entries, SHA-256 {sha256}", packs.len())];
    if policy.is_simulated() {
        lines.push("simulated: its receipts are for trying out; no verifier takes them for real ones".to_owned());
    }
    for (name, unborn) in &packs {
        match unborn.as_slice() {
            [] => lines.push(format!("  {name}")),
            keys => lines.push(format!("  {name}: cannot pack before packproof seal {}", keys.join(", "))),
        }
    }
    for Advice { code, at, reason, fix } in &advice {
        lines.push(format!("advice: {at}: {reason}; {fix} [{code}]"));
    }
    let packs: Vec<_> = packs.iter().map(|(name, unborn)| json!({ "name": name, "toSeal": unborn })).collect();
    let advice: Vec<_> = advice
        .iter()
        .map(|advice| json!({ "code": advice.code, "at": advice.at, "reason": advice.reason, "fix": advice.fix }))
        .collect();
    let object =
        json!({ "ok": true, "sha256": sha256, "simulated": policy.is_simulated(), "packs": packs, "advice": advice });
    Ok(Report { text: lines.join("\n"), json: object.as_object().cloned().unwrap_or_default() })
}

/// Reads a policy as the enclave does, its keys included.
///
/// # Errors
/// [`Error::CannotRead`], [`Error::Policy`], [`Error::PolicyKey`].
pub(crate) fn read(path: &Path) -> Result<(Policy, Vec<u8>), Error> {
    // One byte more than is allowed is read, so that the parser can say that it is too long.
    let maximum = u64::try_from(MAX_POLICY_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let bytes = files::read(path, maximum)?;
    let policy = Policy::parse(&bytes).map_err(Error::Policy)?;
    advice::check_keys(&policy)?;
    Ok((policy, bytes))
}

/// The purposes whose key is not pinned yet.
fn unborn(pack: &packproof_receipt::policy::Pack) -> Vec<&'static str> {
    let signer = pack.signer.public_key.is_none().then_some("signer");
    let age_key = matches!(pack.cell_keys, CellKeys::Sealed { recipient: None, .. }).then_some("age-key");
    signer.into_iter().chain(age_key).collect()
}
