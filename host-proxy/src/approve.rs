//! `packproof approve`: four eyes on one pack, as an SSH signature that the enclave counts.
//!
//! The file is the signed text followed by the armored signature, so that plain tools make and check it too:
//!
//! ```text
//! packproof approve checkout production --print > text
//! ssh-keygen -Y sign -n packproof-approval-v1 -f KEY < text | cat text - > approval
//! ```

mod error;
mod file;

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use packproof_receipt::{
    approval::{APPROVAL_NAMESPACE, Approval},
    policy::{MAX_POLICY_BYTES, Policy},
};
use serde_json::json;
use sha2::{Digest, Sha256};

pub use self::error::ApprovalError;
pub(crate) use self::file::{MAX_APPROVAL_BYTES, read_for};
use crate::{
    Error,
    clock::now,
    collect::{Wanted, collect},
    files,
    git::Repository,
    output::{Report, printable_line},
};

/// Arguments of `approve`.
#[derive(Debug, clap::Args)]
pub(crate) struct ApproveArgs {
    /// Service identity in the manifest
    identity: String,
    /// Environment in the manifest
    environment: String,
    /// The private key, or the public one of a key in an agent or authenticator, as for ssh-keygen -Y sign
    #[arg(long, value_name = "FILE", required_unless_present = "print")]
    key: Option<PathBuf>,
    /// Where the approval goes
    #[arg(short, long, value_name = "FILE", required_unless_present = "print")]
    output: Option<PathBuf>,
    /// The repository: a folder in its work tree, or bare
    #[arg(long, value_name = "REPO", default_value = ".")]
    dir: PathBuf,
    /// The commit: a branch, tag or id
    #[arg(long, value_name = "REV", default_value = "HEAD")]
    commit: String,
    /// The policy that the enclave measures, byte for byte
    #[arg(long, value_name = "FILE", default_value = "packproof.toml")]
    policy: PathBuf,
    /// How long the approval can be used
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400, value_parser = clap::value_parser!(u64).range(1..=31_622_400))]
    valid_for: u64,
    /// Print the text to be signed, and sign nothing
    #[arg(long, conflicts_with_all = ["key", "output"])]
    print: bool,
    /// Print one JSON object
    #[arg(long, conflicts_with = "print")]
    pub json: bool,
}

/// Makes one approval. What it approves is the commit as this repository has it, under the policy given.
///
/// # Errors
/// [`Error::Approval`], and those of reading the repository.
pub(crate) fn approve(args: &ApproveArgs, err: &mut dyn Write) -> Result<Report, Error> {
    let maximum = u64::try_from(MAX_POLICY_BYTES).unwrap_or(u64::MAX);
    let bytes = files::read(&args.policy, maximum)?;
    let policy = Policy::parse(&bytes).map_err(Error::Policy)?;
    let pack = policy
        .pack(&args.identity, &args.environment)
        .ok_or_else(|| ApprovalError::NotInPolicy(args.identity.clone(), args.environment.clone()))?;
    let rule = pack.approvals.as_ref().ok_or(ApprovalError::NotAsked)?;
    let repository = Repository::new(&args.dir);
    let commit = repository.commit_id(&args.commit)?;
    // Everything that the pack would need must be here: nobody should approve what he cannot look at.
    let objects = collect(&repository, &Wanted::of(&policy, &args.identity, &args.environment, &commit, None))?;
    let commit_sha256 = objects.iter().find(|object| object.kind == "commit").map(|object| sha256(&object.body));
    let not_after = now().saturating_add_millis(args.valid_for.saturating_mul(1_000));
    let policy_sha256 = sha256(&bytes);
    let approval = Approval {
        repository: &policy.source.repository,
        object_format: &policy.source.object_format,
        commit: &commit,
        commit_sha256: &commit_sha256.unwrap_or_default(),
        identity: &args.identity,
        environment: &args.environment,
        policy_sha256: &policy_sha256,
        not_after,
    };
    let text = approval.to_text();
    let (Some(key), Some(output)) = (&args.key, &args.output) else {
        // the last line end is the printer's
        let text = text.strip_suffix('\n').unwrap_or(&text).to_owned();
        return Ok(Report { text, json: serde_json::Map::new() });
    };
    let subject = printable_line(&repository.subject(&commit)?);
    let until = not_after.to_rfc3339();
    // before ssh-keygen asks for a passphrase or a touch, whoever approves sees what
    let _ = writeln!(
        err,
        "approving {}/{} from commit {commit}\n  {subject}\nuntil {until}, under policy {policy_sha256}",
        args.identity, args.environment
    )
    .and_then(|()| err.flush());
    let signature = sign(key, &text)?;
    files::Staged::write(output, format!("{text}{signature}").as_bytes())?.place()?;
    let shown = format!(
        "approved {}/{} from commit {commit}\n  {subject}\nuntil {until}, under policy {policy_sha256}\n{} (one of {} that the \
         policy asks for; the commit's signer does not count)",
        args.identity,
        args.environment,
        output.display(),
        rule.threshold,
    );
    let object = json!({
        "identity": args.identity,
        "environment": args.environment,
        "commit": commit,
        "policySha256": policy_sha256,
        "notAfter": until,
        "threshold": rule.threshold,
        "approval": output.to_string_lossy(),
    });
    Ok(Report { text: shown, json: object.as_object().cloned().unwrap_or_default() })
}

/// Has the user's `ssh-keygen` sign, which knows agents and authenticators and asks for passphrases.
fn sign(key: &Path, text: &str) -> Result<String, Error> {
    let mut child = Command::new("ssh-keygen")
        .args(["-q", "-Y", "sign", "-n", APPROVAL_NAMESPACE, "-f"])
        .arg(key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // a hardware key asks there to be touched
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(ApprovalError::SshKeygenNotFound)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that ends early says why by itself.
        let _ = stdin.write_all(text.as_bytes());
    }
    let output = child.wait_with_output().map_err(ApprovalError::SshKeygenNotFound)?;
    let said = output.status.to_string();
    let signature = String::from_utf8(output.stdout).unwrap_or_default();
    if output.status.success() && signature.starts_with(file::ARMOR_BEGIN) {
        Ok(signature)
    } else {
        Err(ApprovalError::NotSigned { key: key.to_owned(), reason: said }.into())
    }
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
