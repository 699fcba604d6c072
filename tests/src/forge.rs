//! Git objects, signatures and approvals as no honest program makes them: put together here, stored by real git and
//! signed by real ssh-keygen.

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use packproof_wire::{Approval, Object};
use sha2::{Digest, Sha256};

use crate::{
    demo::IDENTITY,
    process::Outcome,
    repo::{Commit, Repo},
    world::World,
};

/// The namespace of git's signatures.
pub const GIT: &str = "git";
/// The namespace of approvals, and the first line of their text.
pub const APPROVAL: &str = "packproof-approval-v1";

/// The object that a revision names, as a request carries it.
#[track_caller]
pub fn object(repo: &Repo, revision: &str) -> Object {
    let kind = repo.git(&["cat-file", "-t", revision]);
    let output = repo.command().args(["cat-file", &kind, revision]).output().unwrap();
    assert!(output.status.success(), "{revision}");
    Object { kind, body: output.stdout }
}

/// Stores bytes as an object without asking whether they are one; returns its id.
#[track_caller]
pub fn store(repo: &Repo, kind: &str, body: &[u8]) -> String {
    let mut git = repo.command();
    git.args(["hash-object", "--literally", "-t", kind, "-w", "--stdin"]);
    fed(&mut git, body).trim_end().to_owned()
}

/// A signed commit of any tree, on nothing.
#[track_caller]
pub fn commit_of(repo: &Repo, tree: &str, key: &Path) -> String {
    let mut git = repo.signing(Commit { key: Some(key), date: None });
    Outcome::of(git.args(["commit-tree", "-S", "-m", "a tree", tree])).ok().stdout.trim_end().to_owned()
}

/// Signs as `ssh-keygen -Y sign` does; the armored signature.
#[track_caller]
pub fn ssh_sign(world: &World, key: &Path, namespace: &str, text: &[u8]) -> String {
    let mut keygen = world.plain_command(Path::new("ssh-keygen"));
    keygen.args(["-q", "-Y", "sign", "-n", namespace, "-f"]).arg(key);
    fed(&mut keygen, text)
}

/// Adds headers to a commit's text, behind its own.
pub fn with_headers(commit: &str, headers: &str) -> String {
    let (own, message) = commit.split_once("\n\n").unwrap();
    format!("{own}\n{headers}\n{message}")
}

/// A header of several lines, indented as git does it.
pub fn header(name: &str, value: &str) -> String {
    format!("{name} {}\n", value.trim_end().replace('\n', "\n "))
}

/// What an approval is of: nine lines, of which any may be made to lie.
#[derive(Clone)]
pub struct ApprovalText {
    /// The lines, without their ends.
    pub lines: [String; 9],
}

impl ApprovalText {
    /// Of the repository's `HEAD` under the policy in force, for an hour.
    pub fn of(world: &World, environment: &str) -> Self {
        let commit = object(&world.repo, "HEAD");
        let policy = std::fs::read(world.policy()).unwrap();
        let marker = world.repo.read(".packproof/repository");
        let lines = [
            APPROVAL.to_owned(),
            marker.trim_end().to_owned(),
            world.repo.git(&["rev-parse", "--show-object-format"]),
            world.repo.git(&["rev-parse", "HEAD"]),
            hex::encode(Sha256::digest(&commit.body)),
            IDENTITY.to_owned(),
            environment.to_owned(),
            hex::encode(Sha256::digest(&policy)),
            utc(world, 3600),
        ];
        Self { lines }
    }

    /// The same with another line, counted from 1.
    #[must_use]
    pub fn with(&self, line: usize, text: &str) -> Self {
        let mut changed = self.clone();
        assert_ne!(changed.lines[line - 1], text, "nothing was changed");
        changed.lines[line - 1] = text.to_owned();
        changed
    }

    /// The approval, signed under `namespace`.
    pub fn signed(&self, world: &World, key: &Path, namespace: &str) -> Approval {
        let text: String = self.lines.iter().map(|line| format!("{line}\n")).collect();
        let signature = ssh_sign(world, key, namespace, text.as_bytes());
        Approval { not_after: self.lines[8].clone(), signature }
    }
}

/// The instant so many seconds from now, as approvals write it.
pub fn utc(world: &World, seconds: i64) -> String {
    let mut date = world.plain_command(Path::new("date"));
    date.args(["--utc", "+%Y-%m-%dT%H:%M:%S.000Z", "--date", &format!("{seconds} seconds")]);
    Outcome::of(&mut date).ok().stdout.trim_end().to_owned()
}

/// Runs a program on some input; what it printed.
#[track_caller]
fn fed(command: &mut Command, input: &[u8]) -> String {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
