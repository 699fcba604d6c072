//! What a clone of the repository says about a receipt's inputs, asked of the auditor's own git.
//!
//! Only names and ids come from the receipt, which was judged without the clone first; each is checked for its form before
//! git sees it. Git chooses the program that verifies by the signature's armor, so those for the other schemes are
//! replaced by one that says no; so is everything else that the clone's own configuration could run.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    io::{self, Write},
    path::Path,
    process::{Command, Output, Stdio},
};

use packproof_receipt::{
    bundle,
    policy::{Policy, SourceSigner},
    statement::{PackPredicate, Role, Statement},
};
use packproof_receipt_verify::{RepositoryFacts, TreeFile};
use sha2::{Digest, Sha256};

use crate::error::CliError;

/// What no configuration of a clone may say otherwise.
const GIT_SETTINGS: [&str; 9] = [
    "gpg.format=ssh",
    "gpg.ssh.program=ssh-keygen",
    "gpg.ssh.revocationFile=",
    "gpg.program=false",
    "gpg.openpgp.program=false",
    "gpg.x509.program=false",
    "core.fsmonitor=false",
    // a partial clone would fetch what is missing from wherever it says
    "protocol.allow=never",
    "core.sshCommand=false",
];

/// Larger objects are none that a pack used.
const MAX_OBJECT_BYTES: usize = 64 << 20;

/// Whether there is a clone to ask.
///
/// # Errors
/// [`CliError::Git`].
pub(crate) fn check(dir: &Path) -> Result<(), CliError> {
    Clone { dir }.check()
}

/// Looks up whatever the receipt names. Nothing is compared here: that is the library's work.
///
/// # Errors
/// [`CliError::Git`] when git cannot be run there; an object that is missing is no error.
pub(crate) fn look_up(dir: &Path, receipt: &[u8], policy: &Policy) -> Result<RepositoryFacts, CliError> {
    let clone = Clone { dir };
    // A receipt that cannot be read is refused by the library, whatever a clone says.
    let Some(predicate) = predicate(receipt) else { return Ok(RepositoryFacts::default()) };
    let commit = &predicate.source.commit;
    if !is_id(commit) {
        return Ok(RepositoryFacts::default());
    }
    let mut facts = RepositoryFacts { tree: clone.tree(commit)?, ..RepositoryFacts::default() };
    let mut ids = BTreeSet::new();
    for object in &predicate.build_definition.resolved_dependencies {
        ids.extend(object.digest.iter().filter(|(name, id)| name.starts_with("git") && is_id(id)).map(|(_, id)| id));
        let is_file = object.annotations.mode.is_some() || object.annotations.role == Role::AbsentCell;
        if is_file && is_path(&object.name) && facts.tree.is_some() {
            facts.files.insert(object.name.clone(), clone.file(commit, &object.name)?);
        }
    }
    for id in ids {
        if let Some(content) = clone.object(id)? {
            facts.objects.insert(id.clone(), hex::encode(Sha256::digest(content)));
        }
    }
    let tag = predicate.source.tag.as_ref().map(|tag| &tag.id).filter(|id| is_id(id));
    facts.signer = clone.signer(commit, tag, &predicate, policy)?;
    Ok(facts)
}

fn predicate(receipt: &[u8]) -> Option<PackPredicate> {
    let [pack, _] = bundle::parse_receipt(receipt).ok()?;
    serde_json::from_slice::<Statement<PackPredicate>>(&pack.payload).ok().map(|statement| statement.predicate)
}

fn is_id(id: &str) -> bool {
    matches!(id.len(), 40 | 64) && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_path(path: &str) -> bool {
    !path.is_empty() && !path.contains('\0') && !path.split('/').any(|part| matches!(part, "" | "." | ".."))
}

struct Clone<'a> {
    dir: &'a Path,
}

impl Clone<'_> {
    fn failed(&self, reason: impl ToString) -> CliError {
        CliError::Git { path: self.dir.to_owned(), reason: reason.to_string() }
    }

    fn git<I: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = I>) -> Result<Output, CliError> {
        Command::new("git")
            .args(["--no-replace-objects", "-C"])
            .arg(self.dir)
            .args(GIT_SETTINGS.iter().flat_map(|setting| ["-c", setting]))
            .args(args)
            .env("LC_ALL", "C")
            .env("GIT_LITERAL_PATHSPECS", "1")
            .env("GIT_NO_LAZY_FETCH", "1")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| self.failed(error))
    }

    fn check(&self) -> Result<(), CliError> {
        let output = self.git(["rev-parse", "--git-dir"])?;
        if output.status.success() { Ok(()) } else { Err(self.failed(String::from_utf8_lossy(&output.stderr).trim())) }
    }

    fn tree(&self, commit: &str) -> Result<Option<String>, CliError> {
        let output = self.git(["rev-parse", "--verify", "--quiet", &format!("{commit}^{{tree}}")])?;
        Ok(output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned()))
    }

    fn file(&self, commit: &str, path: &str) -> Result<Option<TreeFile>, CliError> {
        let output = self.git(["ls-tree", "-z", "--full-tree", commit, "--", path])?;
        if !output.status.success() {
            return Err(self.failed(String::from_utf8_lossy(&output.stderr).trim()));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let entry = text.split('\0').filter_map(|line| line.split_once('\t')).find(|(_, name)| *name == path);
        let Some((meta, _)) = entry else { return Ok(None) };
        let mut words = meta.split(' ');
        match (words.next(), words.next(), words.next()) {
            (Some(mode), Some(_), Some(id)) => Ok(Some(TreeFile { mode: mode.to_owned(), id: id.to_owned() })),
            _ => Err(self.failed("ls-tree answers in an unknown form")),
        }
    }

    /// The content of an object; `None` when the clone lacks it.
    fn object(&self, id: &str) -> Result<Option<Vec<u8>>, CliError> {
        let kind = self.git(["cat-file", "-t", id])?;
        let kind = String::from_utf8_lossy(&kind.stdout).trim().to_owned();
        if !matches!(kind.as_str(), "commit" | "tag" | "tree" | "blob") {
            return Ok(None);
        }
        let output = self.git(["cat-file", &kind, id])?;
        if output.status.success() && output.stdout.len() <= MAX_OBJECT_BYTES {
            Ok(Some(output.stdout))
        } else {
            Ok(None)
        }
    }

    /// The key whose signature git accepts, when the signers that count here are its allowed signers.
    fn signer(
        &self,
        commit: &str,
        tag: Option<&String>,
        predicate: &PackPredicate,
        policy: &Policy,
    ) -> Result<Option<String>, CliError> {
        let output = &predicate.output;
        let Some(pack) = policy.pack(&output.identity, &output.environment) else { return Ok(None) };
        let lines: String = policy.signers_of(pack).map(allowed_signer).collect();
        let unwritable = |error: io::Error| self.failed(format!("no temporary file: {error}"));
        let mut file = tempfile::NamedTempFile::new().map_err(unwritable)?;
        file.write_all(lines.as_bytes()).map_err(unwritable)?;
        let allowed = format!("gpg.ssh.allowedSignersFile={}", file.path().display());
        if let Some(tag) = tag {
            // the tag must be one of this very commit
            let target = self.git(["rev-parse", "--verify", "--quiet", &format!("{tag}^{{commit}}")])?;
            if String::from_utf8_lossy(&target.stdout).trim() != commit {
                return Ok(None);
            }
        }
        let (command, id) = tag.map_or(("verify-commit", commit), |tag| ("verify-tag", tag.as_str()));
        let output = self.git(["-c", &allowed, command, "--raw", id])?;
        let said = String::from_utf8_lossy(&output.stderr);
        let good = said.lines().find(|line| line.starts_with("Good \"git\" signature for "));
        let fingerprint = good.and_then(|line| line.split(' ').rfind(|word| word.starts_with("SHA256:")));
        Ok(fingerprint.filter(|_| output.status.success()).map(str::to_owned))
    }
}

/// A line of an allowed-signers file (`ssh-keygen(1)`).
fn allowed_signer(signer: &SourceSigner) -> String {
    let mut options = String::from("namespaces=\"git\"");
    if signer.cert_authority {
        options.insert_str(0, "cert-authority,");
    }
    let digits = |time: packproof_receipt::time::UnixMillis| -> String {
        time.to_rfc3339().chars().filter(char::is_ascii_digit).take(14).collect()
    };
    for (name, time) in [("valid-after", signer.valid_after), ("valid-before", signer.valid_before)] {
        if let Some(time) = time {
            options.push_str(&format!(",{name}=\"{}Z\"", digits(time)));
        }
    }
    let key: Vec<&str> = signer.ssh.split_ascii_whitespace().take(2).collect();
    // a quote would end the word; the policy's names are lines of text
    format!("\"{}\" {options} {}\n", signer.principal.replace('"', "?"), key.join(" "))
}

#[cfg(test)]
mod tests {
    use packproof_receipt::time::UnixMillis;

    use super::*;

    #[test]
    fn what_a_receipt_names_is_checked_before_git_sees_it() {
        assert!(is_id(&"0a".repeat(20)) && is_id(&"0a".repeat(32)));
        for bad in ["", "HEAD", "--all", &"0A".repeat(20), &"0a".repeat(21)] {
            assert!(!is_id(bad), "{bad}");
        }
        assert!(is_path("secrets/a.yaml") && is_path(":(glob)*"));
        for bad in ["", "/etc", "a//b", "../a", "a\0b"] {
            assert!(!is_path(bad), "{bad}");
        }
        assert!(
            look_up(Path::new("."), b"no receipt", &policy()).is_ok_and(|facts| facts == RepositoryFacts::default())
        );
        assert_eq!(check(Path::new("/nonexistent")).unwrap_err().code(), "git_failed");
    }

    /// Git chooses the program by the signature's armor; a clone's configuration may name any.
    #[test]
    fn a_clone_cannot_name_programs() {
        let dir = tempfile::tempdir().unwrap();
        let git = |args: &[&str]| {
            let output = Command::new("git").arg("-C").arg(dir.path()).args(args).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        git(&["init", "--quiet"]);
        let ran = dir.path().join("ran");
        let program = dir.path().join("program");
        std::fs::write(&program, format!("#!/bin/sh\ntouch {}\n", ran.display())).unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        for key in ["gpg.program", "gpg.openpgp.program", "gpg.x509.program", "gpg.ssh.program", "core.fsmonitor"] {
            git(&["config", key, program.to_str().unwrap()]);
        }
        let who = "a <a@b> 1 +0000";
        for armor in ["PGP SIGNATURE", "SIGNED MESSAGE", "SSH SIGNATURE"] {
            let tree = git(&["hash-object", "-t", "tree", "-w", "/dev/null"]);
            let text = format!(
                "tree {tree}\nauthor {who}\ncommitter {who}\ngpgsig -----BEGIN {armor}-----\n AAAA\n -----END {armor}-----\n\nm\n"
            );
            let file = dir.path().join("commit");
            std::fs::write(&file, text).unwrap();
            let id = git(&["hash-object", "-t", "commit", "-w", file.to_str().unwrap()]);
            assert_eq!(id.len(), 40);
            let clone = Clone { dir: dir.path() };
            assert!(!clone.git(["verify-commit", "--raw", &id]).unwrap().status.success());
            assert!(!ran.exists(), "{armor}: a program that the clone names was run");
        }
        // the same without our settings, so that the test would see one that runs
        git(&["verify-commit", "HEAD"]);
        let id = git(&["hash-object", "-t", "commit", "-w", dir.path().join("commit").to_str().unwrap()]);
        git(&["-c", "gpg.ssh.allowedSignersFile=/dev/null", "verify-commit", &id]);
        assert!(ran.exists());
    }

    fn policy() -> Policy {
        Policy::parse(include_bytes!("../../../enclave/tests/data/packproof.toml")).unwrap()
    }

    #[test]
    fn an_allowed_signer_says_all_that_the_policy_says() {
        let signer = SourceSigner {
            name: "staff".into(),
            principal: "*@acme.example".into(),
            ssh: "ssh-ed25519 AAAA a comment".into(),
            cert_authority: true,
            valid_after: UnixMillis::parse_rfc3339_ms("2026-01-02T03:04:05.000Z"),
            valid_before: None,
        };
        let line =
            "\"*@acme.example\" cert-authority,namespaces=\"git\",valid-after=\"20260102030405Z\" ssh-ed25519 AAAA\n";
        assert_eq!(allowed_signer(&signer), line);
    }
}
