//! `packproof pack`: objects in, artifact and receipt out.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use packproof_artifact::envelope::Artifact;
use packproof_receipt::{
    approval::Approval as Approved,
    bundle,
    policy::{CellKeys, Policy},
    statement::{PackPredicate, Statement},
    time::UnixMillis,
};
use packproof_wire::{Approval, Described, Object, PackAnswer, PackRequest, Request, SealPurpose, message::encode};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::{
    Error,
    approve::{self, MAX_APPROVAL_BYTES},
    cli::{EnclaveArgs, Host, challenge},
    collect::{Wanted, collect},
    files,
    git::Repository,
    output::{Report, printable_line},
    sealed_file::SealedFile,
};

/// Bytes of a frame's version and kind, which count towards the policy's limit.
const FRAME_HEAD_BYTES: usize = 2;

/// Arguments of `pack`.
#[derive(Debug, clap::Args)]
pub(crate) struct PackArgs {
    /// Service identity in the manifest
    identity: String,
    /// Environment in the manifest
    environment: String,
    /// Where the artifact goes
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Where the receipt goes [default: the artifact's name with .receipt.sigstore.jsonl]
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// The repository: a folder in its work tree, or bare
    #[arg(long, value_name = "REPO", default_value = ".")]
    dir: PathBuf,
    /// The commit: a branch, tag or id. A signed annotated tag counts by its own signature
    #[arg(long, value_name = "REV", default_value = "HEAD")]
    commit: String,
    /// Lifetime of the artifact, at most the policy's [default: the policy's]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    ttl: Option<u64>,
    /// 32 bytes as 64 hex digits that come back inside the receipt
    #[arg(long, value_name = "HEX")]
    challenge: Option<String>,
    /// The sealed signer [env: PACKPROOF_SIGNER]
    #[arg(long, value_name = "SEALED")]
    signer: Option<OsString>,
    /// The sealed age key, where the policy says unseal [env: PACKPROOF_AGE_KEY]
    #[arg(long, value_name = "SEALED")]
    age_key: Option<OsString>,
    #[command(flatten)]
    enclave: EnclaveArgs,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Approvals, as packproof approve makes them
    #[arg(long, value_name = "FILE", num_args = 1..)]
    approval: Vec<PathBuf>,
}

/// Runs one pack. When it fails there is neither an artifact nor a receipt of it.
///
/// # Errors
/// Everything in [`Error`] but what belongs to other commands.
pub(crate) fn pack(args: &PackArgs, host: &Host<'_>) -> Result<Report, Error> {
    let artifact_path = files::absolute(&args.output)?;
    let receipt_path = files::absolute(&args.receipt.clone().unwrap_or_else(|| beside(&args.output)))?;
    if artifact_path == receipt_path {
        return Err(Error::SamePath(artifact_path));
    }
    let challenge = challenge(args.challenge.as_deref())?;
    let enclave = host.enclave(&args.enclave)?;
    let signer = host.or_var(args.signer.as_deref(), "PACKPROOF_SIGNER").ok_or(Error::SignerMissing)?;
    let signer = SealedFile::read(Path::new(&signer))?;
    let sealed_signer = signer.blob_for(SealPurpose::Signer, &args.identity, &args.environment)?;
    let credentials = host.credentials()?;
    let repository = Repository::new(&args.dir);
    let commit = repository.commit_id(&args.commit)?;
    let tag = repository.signed_tag_id(&args.commit)?;

    let described: Described = enclave.ask(&Request::Describe {})?;
    let policy = Policy::parse(described.policy.as_bytes()).map_err(Error::Policy)?;
    let sealed_age_key = sealed_age_key(args, host, &policy)?;
    let objects =
        collect(&repository, &Wanted::of(&policy, &args.identity, &args.environment, &commit, tag.as_deref()))?;
    let approvals = approvals(args, &described.policy, &policy, &objects, &commit)?;
    let request = Request::Pack(PackRequest {
        identity: args.identity.clone(),
        environment: args.environment.clone(),
        commit: commit.clone(),
        tag,
        objects,
        approvals,
        ttl_seconds: args.ttl,
        challenge,
        sealed_signer,
        sealed_age_key,
        credentials,
    });
    if encode(&request).len().saturating_add(FRAME_HEAD_BYTES) > policy.max_request_bytes {
        return Err(Error::RequestTooLarge { maximum: policy.max_request_bytes });
    }
    let answer: PackAnswer = enclave.ask(&request)?;
    let answered = Answered::read(&answer)?;
    answered.check(args, &commit)?;

    files::write_pair((&receipt_path, &answer.receipt), (&artifact_path, &answer.artifact))?;
    Ok(answered.report(&commit, &artifact_path, &receipt_path, answer.artifact.len()))
}

/// The approvals given, each of exactly this pack.
fn approvals(
    args: &PackArgs,
    policy_text: &str,
    policy: &Policy,
    objects: &[Object],
    commit: &str,
) -> Result<Vec<Approval>, Error> {
    let sha256 = |bytes: &[u8]| hex::encode(Sha256::digest(bytes));
    let commit_sha256 = objects.iter().find(|object| object.kind == "commit").map(|object| sha256(&object.body));
    let expected = Approved {
        repository: &policy.source.repository,
        object_format: &policy.source.object_format,
        commit,
        commit_sha256: &commit_sha256.unwrap_or_default(),
        identity: &args.identity,
        environment: &args.environment,
        policy_sha256: &sha256(policy_text.as_bytes()),
        // each file says its own
        not_after: UnixMillis(0),
    };
    let read = |path: &PathBuf| {
        let bytes = files::read(path, MAX_APPROVAL_BYTES)?;
        Ok(approve::read_for(path, &bytes, &expected)?)
    };
    args.approval.iter().map(read).collect()
}

/// The sealed age key, for a policy that opens these cells with one. One that only the environment names is left alone
/// where it is not needed, so that a job can set it once for all its packs.
fn sealed_age_key(args: &PackArgs, host: &Host<'_>, policy: &Policy) -> Result<Option<Vec<u8>>, Error> {
    let unseals = match policy.pack(&args.identity, &args.environment) {
        Some(pack) => matches!(pack.cell_keys, CellKeys::Sealed { .. }),
        // Not in the policy: whatever is sent, the enclave says no, and says it by name.
        None => return Ok(None),
    };
    match (unseals, args.age_key.as_deref()) {
        (false, None) => Ok(None),
        (false, Some(_)) => Err(Error::AgeKeyNotUsed),
        (true, flag) => {
            let path = host.or_var(flag, "PACKPROOF_AGE_KEY").ok_or(Error::AgeKeyMissing)?;
            let file = SealedFile::read(Path::new(&path))?;
            file.blob_for(SealPurpose::AgeKey, &args.identity, &args.environment).map(Some)
        }
    }
}

/// `artifact.json` has its receipt in `artifact.receipt.sigstore.jsonl`.
fn beside(artifact: &Path) -> PathBuf {
    let name = artifact.file_name().unwrap_or_default();
    let stem =
        if artifact.extension() == Some(OsStr::new("json")) { artifact.file_stem().unwrap_or(name) } else { name };
    let mut receipt = stem.to_owned();
    receipt.push(".receipt.sigstore.jsonl");
    artifact.with_file_name(receipt)
}

/// An answer, read but not verified: that is `packproof-verify`'s work. What is checked here keeps a mix-up on the way
/// from being written under the wrong name.
struct Answered {
    artifact: Artifact,
    artifact_sha256: String,
    statement: Statement<PackPredicate>,
}

impl Answered {
    fn read(answer: &PackAnswer) -> Result<Self, Error> {
        let unreadable = |what: &str, why: String| Error::AnswerUnreadable(format!("{what}: {why}"));
        let artifact = Artifact::parse(&answer.artifact).map_err(|e| unreadable("artifact", e.to_string()))?;
        let [pack, _evidence] =
            bundle::parse_receipt(&answer.receipt).map_err(|e| unreadable("receipt", e.to_string()))?;
        let statement =
            serde_json::from_slice(&pack.payload).map_err(|e| unreadable("receipt's statement", e.to_string()))?;
        Ok(Self { artifact, artifact_sha256: hex::encode(Sha256::digest(&answer.artifact)), statement })
    }

    fn check(&self, args: &PackArgs, commit: &str) -> Result<(), Error> {
        let mismatch = |what: &str| Err(Error::AnswerMismatch(format!("{what} differs from what was asked for")));
        let output = &self.statement.predicate.output;
        let [subject] = self.statement.subject.as_slice() else { return mismatch("the receipt's number of subjects") };
        if self.artifact.identity != args.identity || output.identity != args.identity {
            return mismatch("the identity");
        }
        if self.artifact.environment != args.environment || output.environment != args.environment {
            return mismatch("the environment");
        }
        if self.statement.predicate.source.commit != commit {
            return mismatch("the commit");
        }
        if subject.digest.get("sha256") != Some(&self.artifact_sha256) {
            return mismatch("the receipt's subject is another artifact: its SHA-256");
        }
        Ok(())
    }

    fn report(&self, commit: &str, artifact: &Path, receipt: &Path, size: usize) -> Report {
        let (identity, environment) = (&self.artifact.identity, &self.artifact.environment);
        let output = &self.statement.predicate.output;
        let object = json!({
            "identity": identity,
            "environment": environment,
            "keyCount": output.key_count,
            "namespaceCount": output.namespaces.len(),
            "artifactSize": size,
            "revision": self.artifact.revision,
            "expiresAt": self.artifact.expires_at,
            "commit": commit,
            "artifact": artifact.to_string_lossy(),
            "artifactSha256": self.artifact_sha256,
            "receipt": receipt.to_string_lossy(),
        });
        let text = format!(
            "packed {} keys for {identity}/{environment} from commit {commit}\n\
             artifact {} ({size} bytes, revision {}, expires {})\n\
             receipt  {} (not verified here; packproof-verify does that)",
            output.key_count,
            artifact.display(),
            printable_line(&self.artifact.revision),
            printable_line(self.artifact.expires_at.as_deref().unwrap_or("never")),
            receipt.display(),
        );
        Report { text, json: object.as_object().cloned().unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_receipt_is_named_after_the_artifact() {
        let name = |artifact: &str| beside(Path::new(artifact)).to_string_lossy().into_owned();
        assert_eq!(name("artifact.json"), "artifact.receipt.sigstore.jsonl");
        assert_eq!(name("a/b.age.json"), "a/b.age.receipt.sigstore.jsonl");
        assert_eq!(name("out"), "out.receipt.sigstore.jsonl");
        assert_eq!(name("v1.2"), "v1.2.receipt.sigstore.jsonl");
    }
}
