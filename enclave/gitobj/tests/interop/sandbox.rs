//! A place where real `git` and `ssh-keygen` work.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use packproof_gitobj::sshsig::{AllowedSigner, PublicKey};
use packproof_gitobj::{Commit, Kind, ObjectFormat, ObjectId};
use tempfile::TempDir;

pub(crate) const FORMATS: [ObjectFormat; 2] = [ObjectFormat::Sha1, ObjectFormat::Sha256];

/// When everything in a repository is made, by [`Sandbox::command`].
pub(crate) const COMMIT_TIME: u64 = 1_700_000_000;

/// A directory with a repository `repo` and the keys `alice` and `mallory`; git trusts only `alice`.
pub(crate) struct Sandbox {
    dir: TempDir,
    pub(crate) format: ObjectFormat,
}

impl Sandbox {
    pub(crate) fn new(format: ObjectFormat) -> Self {
        let sandbox = Self { dir: tempfile::tempdir().unwrap(), format };
        for name in ["alice", "mallory"] {
            sandbox.keygen(&["-t", "ed25519", "-N", "", "-C", name, "-f", name]);
        }
        let trusted = format!("alice@example.com {}", sandbox.public_line("alice"));
        std::fs::write(sandbox.path("allowed"), trusted).unwrap();
        std::fs::create_dir(sandbox.path("repo")).unwrap();
        sandbox.git(&["init", "-q", "-b", "main", "--object-format", format.name()]);
        for (name, value) in [
            ("user.name", "Alice"),
            ("user.email", "alice@example.com"),
            ("gpg.format", "ssh"),
            ("user.signingKey", sandbox.path("alice").to_str().unwrap()),
            ("gpg.ssh.allowedSignersFile", sandbox.path("allowed").to_str().unwrap()),
        ] {
            sandbox.git(&["config", name, value]);
        }
        sandbox
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn command(&self, program: &str, dir: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(dir).env_remove("GIT_DIR").env_remove("SSH_AUTH_SOCK").env("HOME", self.dir.path());
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null").env("LC_ALL", "C");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_DATE"), "1700000000 +0130");
        }
        command
    }

    pub(crate) fn try_git(&self, args: &[&str]) -> Output {
        self.command("git", &self.path("repo")).args(args).output().unwrap()
    }

    pub(crate) fn git(&self, args: &[&str]) -> Vec<u8> {
        let output = self.try_git(args);
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    pub(crate) fn try_keygen(&self, args: &[&str], stdin: &[u8]) -> Output {
        let mut command = self.command("ssh-keygen", self.dir.path());
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // it may end without having read anything
        let _ = child.stdin.take().unwrap().write_all(stdin);
        child.wait_with_output().unwrap()
    }

    pub(crate) fn keygen(&self, args: &[&str]) -> Vec<u8> {
        let output = self.try_keygen(args, b"");
        assert!(output.status.success(), "ssh-keygen {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    pub(crate) fn public_line(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap().trim_end().to_owned()
    }

    /// The key may sign at any time.
    pub(crate) fn signer(&self, name: &str) -> AllowedSigner {
        AllowedSigner::key(PublicKey::parse(&self.public_line(name)).unwrap())
    }

    /// The key may certify `principals` at any time.
    pub(crate) fn authority(&self, name: &str, principals: &[&str]) -> AllowedSigner {
        let principals = principals.iter().map(ToString::to_string).collect();
        AllowedSigner::authority(PublicKey::parse(&self.public_line(name)).unwrap(), principals)
    }

    /// The fingerprint that ssh-keygen prints.
    pub(crate) fn fingerprint(&self, name: &str) -> String {
        let line = String::from_utf8(self.keygen(&["-l", "-f", &format!("{name}.pub")])).unwrap();
        line.split(' ').nth(1).unwrap().to_owned()
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path("repo").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Adds everything and commits it, signed by `alice` unless `args` say otherwise.
    pub(crate) fn commit(&self, args: &[&str]) -> ObjectId {
        self.git(&["add", "-A"]);
        self.git(&[&["commit", "-q", "-S", "--allow-empty", "-m", "subject\n\nbody"], args].concat());
        self.id("HEAD")
    }

    pub(crate) fn id(&self, rev: &str) -> ObjectId {
        let hex = String::from_utf8(self.git(&["rev-parse", rev])).unwrap();
        ObjectId::parse(self.format, hex.trim_end()).unwrap()
    }

    pub(crate) fn body(&self, kind: Kind, id: &ObjectId) -> Vec<u8> {
        self.git(&["cat-file", kind.name(), &id.to_string()])
    }

    pub(crate) fn parse(&self, id: &ObjectId) -> Commit {
        Commit::parse(self.format, &self.body(Kind::Commit, id)).unwrap()
    }

    /// Everything in the repository, each with the id git gives it.
    pub(crate) fn all_objects(&self) -> Vec<(ObjectId, Kind, Vec<u8>)> {
        let list = self.git(&["cat-file", "--batch-all-objects", "--batch-check=%(objectname) %(objecttype)"]);
        let list = String::from_utf8(list).unwrap();
        let object = |line: &str| {
            let (id, name) = line.split_once(' ').unwrap();
            let kinds = [Kind::Commit, Kind::Tree, Kind::Blob, Kind::Tag];
            let kind = kinds.into_iter().find(|kind| kind.name() == name).unwrap();
            let id = ObjectId::parse(self.format, id).unwrap();
            (id, kind, self.body(kind, &id))
        };
        list.lines().map(object).collect()
    }

    /// Stores bytes as an object without git's checks; `None` when git checks and refuses.
    pub(crate) fn store(&self, kind: Kind, body: &[u8], checked: bool) -> Option<ObjectId> {
        let mut command = self.command("git", &self.path("repo"));
        command.args(["hash-object", "-w", "--stdin", "-t", kind.name()]);
        if !checked {
            command.arg("--literally");
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(body).unwrap();
        let output = child.wait_with_output().unwrap();
        let hex = String::from_utf8(output.stdout).unwrap();
        output.status.success().then(|| ObjectId::parse(self.format, hex.trim_end()).unwrap())
    }

    pub(crate) fn git_verifies(&self, id: &ObjectId) -> bool {
        self.try_git(&["verify-commit", &id.to_string()]).status.success()
    }

    pub(crate) fn git_verifies_tag(&self, id: &ObjectId) -> bool {
        self.try_git(&["verify-tag", &id.to_string()]).status.success()
    }
}
