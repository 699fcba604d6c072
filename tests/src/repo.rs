//! A git repository with signed commits, made by the real git and ssh-keygen.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{demo, process::Outcome};

/// A work tree.
pub struct Repo {
    /// Its root.
    pub dir: PathBuf,
    home: PathBuf,
}

/// How a commit or tag is made.
#[derive(Clone, Copy, Default)]
pub struct Commit<'a> {
    /// The SSH key that signs it; nobody without.
    pub key: Option<&'a Path>,
    /// Author's and committer's date as git reads it; now without.
    pub date: Option<&'a str>,
}

/// `git` without anybody's settings.
pub fn git(home: &Path, dir: &Path) -> Command {
    let mut git = Command::new("git");
    git.arg("-C").arg(dir);
    git.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", home).env("LC_ALL", "C");
    git.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    for who in ["AUTHOR", "COMMITTER"] {
        git.env(format!("GIT_{who}_NAME"), "A Test").env(format!("GIT_{who}_EMAIL"), "test@packproof.example");
    }
    git
}

/// Makes an SSH key pair at `path` and `path.pub`.
pub fn ssh_key(path: &Path) {
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "release@packproof.example", "-f"]).arg(path);
    let _ = Outcome::of(&mut keygen).ok();
}

impl Repo {
    /// A repository in `dir` with the demo's files, not committed yet; its objects are `sha1` or `sha256`.
    pub fn of_demo(home: &Path, dir: &Path, object_format: &str) -> Self {
        copy(&demo::path("repo"), dir);
        let repo = Self { dir: dir.to_owned(), home: home.to_owned() };
        repo.git(&["init", "--quiet", "--initial-branch=main", "--object-format", object_format]);
        repo
    }

    /// A git command in this repository.
    pub fn command(&self) -> Command {
        git(&self.home, &self.dir)
    }

    /// Runs git and returns what it printed, without the last line end.
    #[track_caller]
    pub fn git(&self, args: &[&str]) -> String {
        let outcome = Outcome::of(self.command().args(args)).ok();
        outcome.stdout.strip_suffix('\n').unwrap_or(&outcome.stdout).to_owned()
    }

    /// Commits everything in the work tree; returns the id.
    #[track_caller]
    pub fn commit(&self, commit: Commit<'_>) -> String {
        self.git(&["add", "--all"]);
        let mut git = self.signing(commit);
        if commit.key.is_some() {
            git.args(["-c", "commit.gpgsign=true"]);
        }
        let _ = Outcome::of(git.args(["commit", "--quiet", "--allow-empty", "--message", "a change"])).ok();
        self.git(&["rev-parse", "HEAD"])
    }

    /// Makes an annotated tag of `target`; returns the tag's id.
    #[track_caller]
    pub fn tag(&self, name: &str, target: &str, tag: Commit<'_>) -> String {
        let mut git = self.signing(tag);
        git.args(["tag", if tag.key.is_some() { "--sign" } else { "--annotate" }, "--message", "a tag", name, target]);
        let _ = Outcome::of(&mut git).ok();
        self.git(&["rev-parse", &format!("refs/tags/{name}")])
    }

    /// A git command that signs with a key, on a date.
    pub fn signing(&self, commit: Commit<'_>) -> Command {
        let mut git = self.command();
        if let Some(key) = commit.key {
            git.args(["-c", "gpg.format=ssh", "-c"]).arg(format!("user.signingkey={}", key.display()));
        }
        if let Some(date) = commit.date {
            git.env("GIT_AUTHOR_DATE", date).env("GIT_COMMITTER_DATE", date);
        }
        git
    }

    /// Throws away whatever is not committed, and goes back to `commit`.
    pub fn reset(&self, commit: &str) {
        self.git(&["reset", "--quiet", "--hard", commit]);
        self.git(&["clean", "--quiet", "-dfx"]);
    }

    /// A file's text.
    #[track_caller]
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.dir.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Writes a file.
    #[track_caller]
    pub fn write(&self, path: &str, text: &str) {
        fs::write(self.dir.join(path), text).unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// Replaces `from`, which must be there, by `to`.
    #[track_caller]
    pub fn replace(&self, path: &str, from: &str, to: &str) {
        let text = self.read(path);
        assert!(text.contains(from), "{path} does not hold {from:?}");
        self.write(path, &text.replace(from, to));
    }

    /// The loose object of an id.
    pub fn object(&self, id: &str) -> PathBuf {
        self.dir.join(".git/objects").join(&id[..2]).join(&id[2..])
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
