//! Repositories and signatures made by real `git` and `ssh-keygen`, in both object formats.
#![expect(clippy::unwrap_used, reason = "a test says what it expects by panicking when it is not so")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use packproof_gitobj::sshsig::{self, PublicKey, SshSigError};
use packproof_gitobj::{
    Commit, GitError, Kind, Limits, Lookup, Mode, ObjectBag, ObjectFormat, ObjectId, lookup, object_id, parse_tree,
};
use tempfile::TempDir;

const FORMATS: [ObjectFormat; 2] = [ObjectFormat::Sha1, ObjectFormat::Sha256];

/// A directory with a repository `repo` and the keys `alice` and `mallory`; git trusts only `alice`.
struct Sandbox {
    dir: TempDir,
    format: ObjectFormat,
}

impl Sandbox {
    fn new(format: ObjectFormat) -> Self {
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

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, program: &str, dir: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(dir).env_remove("GIT_DIR").env_remove("SSH_AUTH_SOCK").env("HOME", self.dir.path());
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null").env("LC_ALL", "C");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_DATE"), "1700000000 +0130");
        }
        command
    }

    fn try_git(&self, args: &[&str]) -> Output {
        self.command("git", &self.path("repo")).args(args).output().unwrap()
    }

    fn git(&self, args: &[&str]) -> Vec<u8> {
        let output = self.try_git(args);
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn keygen(&self, args: &[&str]) -> Vec<u8> {
        let output = self.command("ssh-keygen", self.dir.path()).args(args).output().unwrap();
        assert!(output.status.success(), "ssh-keygen {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn public_line(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap().trim_end().to_owned()
    }

    fn key(&self, name: &str) -> PublicKey {
        PublicKey::parse(&self.public_line(name)).unwrap()
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path("repo").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Adds everything and commits it, signed by `alice` unless `args` say otherwise.
    fn commit(&self, args: &[&str]) -> ObjectId {
        self.git(&["add", "-A"]);
        self.git(&[&["commit", "-q", "-S", "--allow-empty", "-m", "subject\n\nbody"], args].concat());
        self.id("HEAD")
    }

    fn id(&self, rev: &str) -> ObjectId {
        let hex = String::from_utf8(self.git(&["rev-parse", rev])).unwrap();
        ObjectId::parse(self.format, hex.trim_end()).unwrap()
    }

    fn body(&self, kind: Kind, id: &ObjectId) -> Vec<u8> {
        self.git(&["cat-file", kind.name(), &id.to_string()])
    }

    fn parse(&self, id: &ObjectId) -> Commit {
        Commit::parse(self.format, &self.body(Kind::Commit, id)).unwrap()
    }

    /// Everything in the repository, each with the id git gives it.
    fn all_objects(&self) -> Vec<(ObjectId, Kind, Vec<u8>)> {
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
    fn store(&self, kind: Kind, body: &[u8], checked: bool) -> Option<ObjectId> {
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

    fn git_verifies(&self, id: &ObjectId) -> bool {
        self.try_git(&["verify-commit", &id.to_string()]).status.success()
    }
}

#[test]
fn every_object_of_a_repository_hashes_to_gits_id_and_parses() {
    for format in FORMATS {
        let sandbox = Sandbox::new(format);
        for path in ["a/b/c", "a-b", "a.b", "a0", "z/\u{e9}\u{20ac}", "with space", "\u{1}"] {
            sandbox.write(path, path);
        }
        sandbox.write("binary", "\0\u{1}");
        sandbox.write("run", "#!/bin/sh\n");
        sandbox.git(&["add", "-A"]);
        sandbox.git(&["update-index", "--chmod=+x", "run"]);
        std::os::unix::fs::symlink("a/b", sandbox.path("repo/link")).unwrap();
        sandbox.commit(&[]);
        sandbox.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{},a.sub", sandbox.id("HEAD"))]);
        sandbox.git(&["commit", "-q", "--allow-empty-message", "-m", ""]);
        sandbox.git(&["tag", "-a", "-m", "a tag", "v1"]);

        let objects = sandbox.all_objects();
        assert!(objects.len() > 15);
        for (id, kind, body) in &objects {
            assert_eq!(object_id(format, *kind, body), Ok(*id));
            match kind {
                Kind::Commit => assert_eq!(Commit::parse(format, body).unwrap().committer.offset_minutes, 90),
                Kind::Tree => {
                    let entries = parse_tree(format, body, &Limits::default()).unwrap();
                    let listed = sandbox.git(&["ls-tree", "-z", &id.to_string()]);
                    let ours = entries.iter().flat_map(|entry| {
                        let kind = match entry.mode {
                            Mode::Tree => "tree",
                            Mode::Submodule => "commit",
                            Mode::File | Mode::Executable | Mode::Symlink => "blob",
                        };
                        let head = format!("{:0>6} {kind} {}\t", entry.mode.octal(), entry.id);
                        [head.as_bytes(), entry.name, b"\0"].concat()
                    });
                    assert_eq!(ours.collect::<Vec<_>>(), listed);
                }
                Kind::Blob | Kind::Tag => {}
            }
        }
        // and all of them together are a bag
        let bag: Vec<_> = objects.into_iter().map(|(_, kind, body)| (kind, body)).collect();
        assert_eq!(ObjectBag::new(format, bag.clone(), &Limits::default()).unwrap().unused().len(), bag.len());
    }
}

#[test]
fn walks_from_a_signed_commit_to_each_path_and_to_proved_absence() {
    for format in FORMATS {
        let sandbox = Sandbox::new(format);
        for path in ["clef.yaml", "stripe/production.enc.yaml", "stripe/dev.enc.yaml", "other/x"] {
            sandbox.write(path, &format!("content of {path}"));
        }
        std::os::unix::fs::symlink("stripe", sandbox.path("repo/alias")).unwrap();
        let head = sandbox.commit(&[]);

        // what a host sends for two paths and one absence, and one object more
        let wanted = ["HEAD^{tree}", "HEAD:stripe", "HEAD:clef.yaml", "HEAD:stripe/production.enc.yaml"];
        let wanted: Vec<_> = wanted.iter().map(|rev| sandbox.id(rev)).chain([head]).collect();
        let extra = sandbox.id("HEAD:other/x");
        let sent = sandbox.all_objects().into_iter().filter(|(id, ..)| wanted.contains(id) || *id == extra);
        let sent = sent.map(|(_, kind, body)| (kind, body)).collect();
        let bag = ObjectBag::new(format, sent, &Limits::default()).unwrap();

        let commit = Commit::parse(format, bag.get(Kind::Commit, &head).unwrap()).unwrap();
        assert_eq!(commit.verify_signature(&[sandbox.key("mallory"), sandbox.key("alice")]), Ok(1));
        let at = |path: &str| lookup(&bag, &commit.tree, path, &Limits::default());
        for path in ["clef.yaml", "stripe/production.enc.yaml"] {
            let Ok(Lookup::Found { mode: Mode::File, id }) = at(path) else { panic!("{path}") };
            assert_eq!(id, sandbox.id(&format!("HEAD:{path}")));
            assert_eq!(bag.get(Kind::Blob, &id).unwrap(), format!("content of {path}").as_bytes());
        }
        for path in ["stripe/staging.enc.yaml", "paypal/production.enc.yaml", "clef.yaml/x", "stripe/Dev.enc.yaml"] {
            assert_eq!(at(path), Ok(Lookup::Absent), "{path}");
            assert!(!sandbox.try_git(&["cat-file", "-e", &format!("HEAD:{path}")]).status.success());
        }
        let through = GitError::PathThroughLink { path: "alias/dev.enc.yaml".into(), mode: Mode::Symlink };
        assert_eq!(at("alias/dev.enc.yaml"), Err(through));
        let missing = GitError::MissingObject { kind: Kind::Tree, id: sandbox.id("HEAD:other") };
        assert_eq!(at("other/y"), Err(missing));
        assert_eq!(bag.unused(), [extra]);
        assert_eq!(bag.used().count(), wanted.len());
    }
}

#[test]
fn agrees_with_git_on_who_signed() {
    for format in FORMATS {
        let sandbox = Sandbox::new(format);
        let alice = [sandbox.key("alice")];
        let signed = sandbox.commit(&[]);
        assert!(sandbox.git_verifies(&signed));
        assert_eq!(sandbox.parse(&signed).verify_signature(&alice), Ok(0));

        let unsigned = sandbox.commit(&["--no-gpg-sign"]);
        assert!(!sandbox.git_verifies(&unsigned));
        assert_eq!(sandbox.parse(&unsigned).verify_signature(&alice), Err(SshSigError::Unsigned));

        let foreign = sandbox.commit(&[&format!("-S{}", sandbox.path("mallory").to_str().unwrap())]);
        assert!(!sandbox.git_verifies(&foreign));
        let fingerprint = String::from_utf8(sandbox.keygen(&["-l", "-f", "mallory.pub"])).unwrap();
        let fingerprint = fingerprint.split(' ').nth(1).unwrap().to_owned();
        let unknown = Err(SshSigError::UnknownSigner { fingerprint });
        assert_eq!(sandbox.parse(&foreign).verify_signature(&alice), unknown);
    }
}

/// A merge of a signed tag holds that tag, its own signature included, in a header above the commit's signature.
#[test]
fn a_merged_tag_and_an_encoding_are_part_of_what_is_signed() {
    for format in FORMATS {
        let sandbox = Sandbox::new(format);
        sandbox.commit(&[]);
        sandbox.git(&["checkout", "-q", "-b", "side"]);
        sandbox.write("side", "side");
        sandbox.commit(&[]);
        sandbox.git(&["tag", "-s", "-m", "gpgsig is a word", "v1"]);
        sandbox.git(&["checkout", "-q", "main"]);
        sandbox.git(&["config", "i18n.commitEncoding", "ISO-8859-1"]);
        sandbox.git(&["merge", "-q", "-S", "--no-ff", "-m", "merge", "v1"]);

        let merge = sandbox.id("HEAD");
        let body = sandbox.body(Kind::Commit, &merge);
        for header in ["\nmergetag object ", "\nencoding ISO-8859-1\n"] {
            assert!(body.windows(header.len()).any(|window| window == header.as_bytes()), "{header}");
        }
        let commit = sandbox.parse(&merge);
        assert_eq!(commit.parents, [sandbox.id("HEAD^1"), sandbox.id("HEAD^2")]);
        assert!(sandbox.git_verifies(&merge));
        assert_eq!(commit.verify_signature(&[sandbox.key("alice")]), Ok(0));
    }
}

#[test]
fn a_commit_with_any_byte_changed_is_not_what_was_signed() {
    for format in FORMATS {
        let sandbox = Sandbox::new(format);
        let body = sandbox.body(Kind::Commit, &sandbox.commit(&[]));
        let alice = [sandbox.key("alice")];
        for at in 0..body.len() {
            let mut changed = body.clone();
            changed.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1);
            let verdict = Commit::parse(format, &changed).ok().and_then(|c| c.verify_signature(&alice).ok());
            assert_eq!(verdict, None, "byte {at}");
        }
    }
}

/// Where git accepts and we refuse, git joins or strips headers that no signature covers.
#[test]
fn accepts_no_forged_commit_that_git_refuses() {
    for format in FORMATS {
        let sandbox = Sandbox::new(format);
        let alice = [sandbox.key("alice")];
        let body = String::from_utf8(sandbox.body(Kind::Commit, &sandbox.commit(&[]))).unwrap();
        let other = String::from_utf8(sandbox.body(Kind::Commit, &sandbox.commit(&["-m", "second"]))).unwrap();
        let (start, end) = (body.find("gpgsig").unwrap(), body.find("\n\n").unwrap() + 1);
        let (other_start, other_end) = (other.find("gpgsig").unwrap(), other.find("\n\n").unwrap() + 1);
        let signature = &body[start..end];
        let unsigned = body.replacen(signature, "", 1);
        let two = body.replacen(signature, &format!("{signature}{}", &other[other_start..other_end]), 1);
        // git strips every header with this prefix, so this line would be in the commit but not under the signature
        let hidden = body.replacen(signature, &format!("{signature}gpgsig-hidden anything\n"), 1);
        let renamed = match format {
            ObjectFormat::Sha1 => body.replacen("gpgsig ", "gpgsig-sha256 ", 1),
            ObjectFormat::Sha256 => body.replacen("gpgsig-sha256 ", "gpgsig ", 1),
        };
        for (name, forged, git_accepts, expected) in [
            ("another signature", body.replacen(signature, &other[other_start..other_end], 1), false, None),
            ("no signature", unsigned, false, None),
            ("two signatures", two, true, Some(GitError::TwoSignatures)),
            ("the other format's header", renamed, false, Some(GitError::ForeignSignature)),
            ("a hidden header", hidden, true, Some(GitError::TwoSignatures)),
            ("another message", body.replace("subject", "subjekt"), false, None),
            ("another author", body.replace("author Alice", "author Alicf"), false, None),
        ] {
            let id = sandbox.store(Kind::Commit, forged.as_bytes(), false).unwrap();
            assert_eq!(sandbox.git_verifies(&id), git_accepts, "{format} {name}");
            match Commit::parse(format, forged.as_bytes()) {
                Ok(commit) => {
                    assert_eq!(expected, None, "{format} {name}");
                    assert!(commit.verify_signature(&alice).is_err(), "{format} {name}");
                }
                Err(error) => assert_eq!(Some(error), expected, "{format} {name}"),
            }
        }
    }
}

#[test]
fn agrees_with_git_on_malformed_trees() {
    for format in FORMATS {
        let sandbox = Sandbox::new(format);
        let blob = sandbox.store(Kind::Blob, b"x", true).unwrap();
        let entry = |line: &&str| [line.as_bytes(), b"\0", blob.as_bytes()].concat();
        for (good, lines) in [
            (true, vec!["100644 a", "100644 a.b", "40000 b"]),
            (true, vec!["100644 d.", "40000 d", "100644 d0"]),
            (false, vec!["40000 d", "100644 d."]),
            (false, vec!["100644 b", "100644 a"]),
            (false, vec!["100644 a", "100644 a"]),
            (false, vec!["100644 a", "100644 a-b", "40000 a"]),
            (false, vec!["100644 .git"]),
            (false, vec!["40000 .GIT"]),
            (false, vec!["40000 .."]),
            (false, vec!["100644 ."]),
            (false, vec!["100644 a/b"]),
            (false, vec!["100644 "]),
            (false, vec!["040000 a"]),
            (false, vec!["100645 a"]),
        ] {
            let body: Vec<u8> = lines.iter().flat_map(entry).collect();
            assert_eq!(sandbox.store(Kind::Tree, &body, true).is_some(), good, "git: {lines:?}");
            assert_eq!(parse_tree(format, &body, &Limits::default()).is_ok(), good, "we: {lines:?}");
        }
    }
}

#[test]
fn verifies_what_ssh_keygen_signs_for_any_purpose() {
    const NAMESPACE: &str = "packproof-approval-v1";
    let sandbox = Sandbox::new(ObjectFormat::Sha1);
    let message = b"repository, commit and so on\n";
    std::fs::write(sandbox.path("message"), message).unwrap();
    let sign = |key: &str, namespace: &str, hash: &str| {
        let _ = std::fs::remove_file(sandbox.path("message.sig"));
        sandbox.keygen(&["-Y", "sign", "-f", key, "-n", namespace, "-O", hash, "message"]);
        std::fs::read(sandbox.path("message.sig")).unwrap()
    };
    let allowed = [sandbox.key("mallory"), sandbox.key("alice")];
    for hash in ["hashalg=sha256", "hashalg=sha512"] {
        let signature = sign("alice", NAMESPACE, hash);
        assert_eq!(sshsig::verify(&signature, NAMESPACE, message, &allowed), Ok(1));
        assert_eq!(sshsig::verify(&signature, NAMESPACE, b"other", &allowed), Err(SshSigError::BadSignature));
        let wrong = SshSigError::WrongNamespace { expected: "git".into(), found: NAMESPACE.into() };
        assert_eq!(sshsig::verify(&signature, "git", message, &allowed), Err(wrong));
    }
    // the key types that are refused by name, as ssh-keygen makes them
    for (key_type, name) in [("ecdsa", "ecdsa-sha2-nistp256"), ("rsa", "ssh-rsa")] {
        sandbox.keygen(&["-t", key_type, "-N", "", "-f", key_type]);
        let unsupported = SshSigError::UnsupportedKeyType { name: name.into() };
        assert_eq!(PublicKey::parse(&sandbox.public_line(key_type)), Err(unsupported.clone()));
        let signature = sign(key_type, NAMESPACE, "hashalg=sha512");
        assert_eq!(sshsig::verify(&signature, NAMESPACE, message, &allowed), Err(unsupported));
    }
    // a certificate for an allowed key
    sandbox.keygen(&["-q", "-s", "mallory", "-I", "alice", "-n", "alice", "alice.pub"]);
    let name = "ssh-ed25519-cert-v01@openssh.com".to_owned();
    let signature = sign("alice-cert.pub", NAMESPACE, "hashalg=sha512");
    let unsupported = SshSigError::UnsupportedKeyType { name };
    assert_eq!(sshsig::verify(&signature, NAMESPACE, message, &allowed), Err(unsupported));
}
