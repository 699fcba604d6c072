//! The user's own `git`, asked for a commit id and for objects.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio},
};

use packproof_gitobj::ObjectId;

use crate::Error;

/// Longest line `git cat-file --batch` answers with: an id, a kind and a size.
const MAX_HEADER_BYTES: u64 = 256;

/// What git says when it gives up fits a few lines; more is not shown.
const MAX_COMPLAINT_BYTES: u64 = 1024;

/// The line with which an SSH signature begins.
const SSH_SIGNATURE: &[u8] = b"-----BEGIN SSH SIGNATURE-----";

/// A repository, as `git -C DIR` finds it; `GIT_DIR` and its kin count as for any other git command.
#[derive(Clone, Debug)]
pub struct Repository {
    dir: PathBuf,
}

impl Repository {
    /// Names a folder in a work tree, or a bare repository. Nothing is looked at yet.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Resolves a revision to a commit id, lower-case hex.
    ///
    /// # Errors
    /// [`Error::GitNotFound`], [`Error::NotARepository`], [`Error::UnknownRevision`], [`Error::GitFailed`].
    pub fn commit_id(&self, revision: &str) -> Result<String, Error> {
        let unknown = || Error::UnknownRevision(revision.to_owned());
        if revision.is_empty() || revision.contains(['\0', '\n']) {
            return Err(unknown());
        }
        let commit = format!("{revision}^{{commit}}");
        // --end-of-options: a revision that begins with a dash is no option.
        let id = self.rev_parse(["--verify", "--quiet", "--end-of-options", &commit], unknown)?;
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if id.is_empty() || !id.bytes().all(hex) { Err(unknown()) } else { Ok(id) }
    }

    /// The id of the signed annotated tag that a revision names, lower-case hex; `None` when it names something else.
    ///
    /// A tag without a signature is as good as none: then the commit's own signature counts.
    ///
    /// # Errors
    /// [`Error::GitNotFound`], [`Error::NotARepository`], [`Error::GitFailed`].
    pub fn signed_tag_id(&self, revision: &str) -> Result<Option<String>, Error> {
        if revision.is_empty() || revision.contains(['\0', '\n']) {
            return Ok(None);
        }
        let kind = self.output("cat-file", ["-t", revision])?;
        if !kind.status.success() || kind.stdout != b"tag\n" {
            return Ok(None);
        }
        let tag = self.output("cat-file", ["tag", revision])?;
        let is_signed = tag.stdout.split(|&b| b == b'\n').any(|line| line == SSH_SIGNATURE);
        if !is_signed {
            return Ok(None);
        }
        let unknown = || Error::UnknownRevision(revision.to_owned());
        self.rev_parse(["--verify", "--quiet", "--end-of-options", &format!("{revision}^{{tag}}")], unknown).map(Some)
    }

    /// The first line of a commit's message.
    ///
    /// # Errors
    /// [`Error::GitNotFound`], [`Error::GitFailed`].
    pub fn subject(&self, commit: &str) -> Result<String, Error> {
        // log.showSignature would put its verdict above the subject
        let shown = self.output("show", ["--no-patch", "--no-show-signature", "--format=%s", commit])?;
        if !shown.status.success() {
            return Err(Error::GitFailed(String::from_utf8_lossy(&shown.stderr).trim().to_owned()));
        }
        Ok(String::from_utf8_lossy(&shown.stdout).trim_end().to_owned())
    }

    /// The work tree's root.
    ///
    /// # Errors
    /// As [`commit_id`](Self::commit_id); [`Error::GitFailed`] for a bare repository.
    pub fn work_tree(&self) -> Result<PathBuf, Error> {
        let none = || Error::GitFailed("no work tree".to_owned());
        Ok(PathBuf::from(self.rev_parse(["--show-toplevel"], none)?))
    }

    /// `sha1` or `sha256`.
    ///
    /// # Errors
    /// As [`commit_id`](Self::commit_id).
    pub fn object_format(&self) -> Result<String, Error> {
        self.rev_parse(["--show-object-format"], || Error::GitFailed("no object format".to_owned()))
    }

    fn output<const N: usize>(&self, command: &str, args: [&str; N]) -> Result<Output, Error> {
        // nothing that begins with a dash is a revision, and cat-file has no --end-of-options in older versions
        if args.last().is_some_and(|revision| revision.starts_with('-')) {
            return Err(Error::UnknownRevision(args.last().copied().unwrap_or_default().to_owned()));
        }
        self.git(command).args(args).stdin(Stdio::null()).output().map_err(Error::GitNotFound)
    }

    fn rev_parse<const N: usize>(&self, args: [&str; N], on_no: impl Fn() -> Error) -> Result<String, Error> {
        let output = self.git("rev-parse").args(args).stdin(Stdio::null()).output().map_err(Error::GitNotFound)?;
        if output.status.success() {
            let text = String::from_utf8(output.stdout).map_err(|_| on_no())?;
            return Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim();
        if said.contains("not a git repository") || said.contains("cannot change to") {
            return Err(Error::NotARepository(self.dir.clone()));
        }
        // --quiet says nothing about a revision that is not there; an object that is no commit gets a line still.
        if said.is_empty() || said.contains("expected commit type") {
            Err(on_no())
        } else {
            Err(Error::GitFailed(said.to_owned()))
        }
    }

    fn git(&self, command: impl AsRef<OsStr>) -> Command {
        let mut git = Command::new("git");
        // A replacement (refs/replace) would come under the id of what it replaces: the enclave would refuse it.
        git.arg("--no-replace-objects").arg("-C").arg(&self.dir).arg(command).env("LC_ALL", "C");
        git
    }

    /// Starts one `git cat-file --batch`.
    ///
    /// # Errors
    /// [`Error::GitNotFound`], [`Error::GitFailed`] when there is no temporary file for what git complains about.
    pub fn objects(&self) -> Result<Objects, Error> {
        let no_file = |error: io::Error| Error::GitFailed(format!("cat-file: no temporary file: {error}"));
        // a file and no pipe: nobody reads it as long as all goes well
        let complaints = tempfile::tempfile().map_err(no_file)?;
        let mut child = self
            .git("cat-file")
            .arg("--batch")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(complaints.try_clone().map_err(no_file)?)
            .spawn()
            .map_err(Error::GitNotFound)?;
        let no_pipe = || Error::GitFailed("cat-file has no pipes".to_owned());
        let stdin = child.stdin.take().ok_or_else(no_pipe)?;
        let stdout = BufReader::new(child.stdout.take().ok_or_else(no_pipe)?);
        Ok(Objects { child, stdin: Some(stdin), stdout, complaints })
    }
}

/// One running `git cat-file --batch`.
#[derive(Debug)]
pub struct Objects {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    complaints: File,
}

/// What a repository has under an id.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// The object: kind (`commit`, `tree`, `blob`, `tag`) and content without git's header.
    Object(String, Vec<u8>),
    /// Nothing.
    Missing,
    /// More bytes than were asked for; they were not read.
    TooLarge,
}

impl Objects {
    /// Reads one object of at most `maximum` bytes. After [`Found::TooLarge`], [`Found::Missing`] in a partial clone, or an
    /// error the process answers no more.
    ///
    /// # Errors
    /// [`Error::GitFailed`] when the process ends or answers something else.
    pub fn read(&mut self, id: &ObjectId, maximum: usize) -> Result<Found, Error> {
        self.ask(id, maximum).or_else(|error| {
            let said = self.last_words();
            // A partial clone whose server does not hand out the object.
            if said.contains("promisor remote") || said.contains("could not fetch") {
                return Ok(Found::Missing);
            }
            let reason = if said.is_empty() { error.to_string() } else { said };
            Err(Error::GitFailed(format!("cat-file: {reason}")))
        })
    }

    /// Ends the process and returns what it complained about.
    fn last_words(&mut self) -> String {
        self.stdin = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
        let mut said = Vec::new();
        let _ = self.complaints.seek(SeekFrom::Start(0));
        let _ = (&mut self.complaints).take(MAX_COMPLAINT_BYTES).read_to_end(&mut said);
        String::from_utf8_lossy(&said).trim().to_owned()
    }

    fn ask(&mut self, id: &ObjectId, maximum: usize) -> io::Result<Found> {
        let unexpected = || io::Error::new(io::ErrorKind::InvalidData, "an answer of unknown form");
        let stdin = self.stdin.as_mut().ok_or_else(unexpected)?;
        stdin.write_all(format!("{id}\n").as_bytes())?;
        stdin.flush()?;
        let mut header = String::new();
        (&mut self.stdout).take(MAX_HEADER_BYTES).read_line(&mut header)?;
        let mut words = header.strip_suffix('\n').ok_or_else(unexpected)?.split(' ');
        let answered = words.next().unwrap_or_default();
        if answered != id.to_string() {
            return Err(unexpected());
        }
        let (kind, size) = match (words.next(), words.next(), words.next()) {
            (Some("missing"), None, None) => return Ok(Found::Missing),
            (Some(kind), Some(size), None) => (kind.to_owned(), size.parse::<usize>().map_err(|_| unexpected())?),
            _ => return Err(unexpected()),
        };
        if size > maximum {
            self.stdin = None;
            return Ok(Found::TooLarge);
        }
        let mut body = vec![0; size];
        self.stdout.read_exact(&mut body)?;
        let mut end = [0];
        self.stdout.read_exact(&mut end)?;
        if end == *b"\n" { Ok(Found::Object(kind, body)) } else { Err(unexpected()) }
    }
}

impl Drop for Objects {
    /// Ends the process: nothing that it might still have to say is wanted.
    fn drop(&mut self) {
        self.stdin = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
