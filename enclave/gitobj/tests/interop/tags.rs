//! Tags signed by git.

use packproof_gitobj::sshsig::SshSigError;
use packproof_gitobj::{GitError, Kind, ObjectFormat, ObjectId, Tag, TagFlaw, object_id};

use crate::sandbox::{COMMIT_TIME, FORMATS, Sandbox};

/// A tag object's id and bytes.
fn tag(sandbox: &Sandbox, args: &[&str], name: &str) -> (ObjectId, String) {
    sandbox.git(&[&["tag"], args, &[name]].concat());
    let id = sandbox.id(&format!("refs/tags/{name}"));
    (id, String::from_utf8(sandbox.body(Kind::Tag, &id)).unwrap())
}

#[test]
fn agrees_with_git_on_who_signed() {
    for format in FORMATS {
        let sandbox = Sandbox::new(format);
        let alice = [sandbox.signer("mallory"), sandbox.signer("alice")];
        // merged by a button: nobody the policy names signed the commit
        let head = sandbox.commit(&["--no-gpg-sign"]);
        for (args, name) in [(["-s", "-m", "subject\n\nbody"], "release/v1.0"), (["-s", "-m", ""], "no-message")] {
            let (id, body) = tag(&sandbox, &args, name);
            assert_eq!(object_id(format, Kind::Tag, body.as_bytes()), Ok(id));
            assert!(sandbox.git_verifies_tag(&id));
            let tag = Tag::parse(format, body.as_bytes()).unwrap();
            assert_eq!((tag.name.as_str(), tag.tagger.name.as_slice()), (name, b"Alice".as_slice()));
            assert_eq!(tag.check_target(&head), Ok(()));
            let verified = tag.verify_signature(&alice, &[COMMIT_TIME + 1]).unwrap();
            assert_eq!((verified.index, verified.fingerprint), (1, sandbox.fingerprint("alice")));
        }

        let (id, body) = tag(&sandbox, &["-a", "-m", "subject"], "unsigned");
        assert!(!sandbox.git_verifies_tag(&id));
        let unsigned = Tag::parse(format, body.as_bytes()).unwrap();
        assert_eq!(unsigned.verify_signature(&alice, &[]), Err(SshSigError::Unsigned));

        let foreign = ["-s", "-m", "subject", "-u", sandbox.path("mallory").to_str().unwrap()].map(str::to_owned);
        let (id, body) = tag(&sandbox, &foreign.each_ref().map(String::as_str), "foreign");
        assert!(!sandbox.git_verifies_tag(&id));
        let unknown = Err(SshSigError::UnknownSigner { fingerprint: sandbox.fingerprint("mallory") });
        assert_eq!(Tag::parse(format, body.as_bytes()).unwrap().verify_signature(&alice[1..], &[]), unknown);
    }
}

#[test]
fn a_signer_must_be_valid_when_the_tag_was_made() {
    let sandbox = Sandbox::new(ObjectFormat::Sha1);
    sandbox.commit(&[]);
    let (_, body) = tag(&sandbox, &["-s", "-m", "subject"], "v1");
    let tag = Tag::parse(ObjectFormat::Sha1, body.as_bytes()).unwrap();
    let mut signer = sandbox.signer("alice");
    signer.valid_after = Some(COMMIT_TIME);
    assert!(tag.verify_signature(&[signer.clone()], &[COMMIT_TIME + 1]).is_ok());
    signer.valid_after = Some(COMMIT_TIME + 1);
    let refused = SshSigError::KeyNotValid { at: COMMIT_TIME, valid_after: signer.valid_after, valid_before: None };
    assert_eq!(tag.verify_signature(&[signer], &[COMMIT_TIME + 1]), Err(refused));
}

#[test]
fn a_tag_of_a_tag_or_of_a_tree_is_not_a_tag_of_the_commit() {
    for format in FORMATS {
        let sandbox = Sandbox::new(format);
        let head = sandbox.commit(&[]);
        let (inner, _) = tag(&sandbox, &["-s", "-m", "inner"], "inner");
        for (kind, id, rev) in [(Kind::Tag, inner, "inner"), (Kind::Tree, sandbox.id("HEAD^{tree}"), "HEAD^{tree}")] {
            sandbox.git(&["tag", "-s", "-m", "outer", &format!("outer-{kind}"), rev]);
            let body = sandbox.body(Kind::Tag, &sandbox.id(&format!("outer-{kind}")));
            let tag = Tag::parse(format, &body).unwrap();
            assert_eq!(tag.check_target(&head), Err(GitError::WrongTagTarget { id, kind, expected: head }));
        }
    }
}

#[test]
fn a_tag_with_any_byte_changed_is_not_what_was_signed() {
    for format in FORMATS {
        let sandbox = Sandbox::new(format);
        sandbox.commit(&[]);
        let (_, body) = tag(&sandbox, &["-s", "-m", "subject"], "v1");
        let alice = [sandbox.signer("alice")];
        for at in 0..body.len() {
            let mut changed = body.clone().into_bytes();
            changed.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1);
            let verdict = Tag::parse(format, &changed).ok().and_then(|tag| tag.verify_signature(&alice, &[]).ok());
            assert_eq!(verdict, None, "byte {at}");
        }
    }
}

/// Where git accepts and we refuse, git leaves lines out of the signed bytes, or finds a signature within the text.
#[test]
fn accepts_no_forged_tag_that_git_refuses() {
    for format in FORMATS {
        let sandbox = Sandbox::new(format);
        let alice = [sandbox.signer("alice")];
        sandbox.commit(&[]);
        let (_, body) = tag(&sandbox, &["-s", "-m", "subject"], "v1");
        let (_, other) = tag(&sandbox, &["-s", "-m", "subject"], "v2");
        // a commit's signature has git's namespace too
        let commit = String::from_utf8(sandbox.body(Kind::Commit, &sandbox.id("HEAD"))).unwrap();
        let commits = commit[commit.find("-----BEGIN").unwrap()..commit.find("\n\n").unwrap() + 1].replace("\n ", "\n");
        let begin = body.find("-----BEGIN").unwrap();
        let others = &other[other.find("-----BEGIN").unwrap()..];
        let (payload, signature) = body.split_at(begin);
        let quoted_payload = payload.replacen("subject\n", &format!("subject\n{others}"), 1);
        std::fs::write(sandbox.path("quoted"), &quoted_payload).unwrap();
        sandbox.keygen(&["-q", "-Y", "sign", "-f", "alice", "-n", "git", "quoted"]);
        let quoted = quoted_payload.clone() + &std::fs::read_to_string(sandbox.path("quoted.sig")).unwrap();
        for (name, forged, git_accepts, expected) in [
            ("another signature", format!("{payload}{others}"), false, None),
            ("a commit's signature", format!("{payload}{commits}"), false, None),
            ("no signature", payload.to_owned(), false, None),
            ("another name", body.replacen("tag v1", "tag v9", 1), false, None),
            (
                "another commit",
                body.replacen(&body[7..9], if &body[7..9] == "00" { "11" } else { "00" }, 1),
                false,
                None,
            ),
            ("text before the signature", format!("{payload}more\n{signature}"), false, None),
            ("another signature below", format!("{body}{others}"), false, Some(GitError::TwoSignatures)),
            ("another signature quoted and signed", quoted, true, Some(GitError::TwoSignatures)),
            ("another signature above", format!("{payload}{others}{signature}"), false, Some(GitError::TwoSignatures)),
            (
                "a header that git strips",
                body.replacen("\n\n", "\ngpgsig hidden\n\n", 1),
                true,
                Some(GitError::ForeignSignature),
            ),
            (
                "the other format's header",
                body.replacen("\n\n", "\ngpgsig-sha256 hidden\n more\n\n", 1),
                true,
                Some(GitError::ForeignSignature),
            ),
        ] {
            let id = sandbox.store(Kind::Tag, forged.as_bytes(), false).unwrap();
            assert_eq!(sandbox.git_verifies_tag(&id), git_accepts, "{format} {name}");
            match Tag::parse(format, forged.as_bytes()) {
                Ok(tag) => {
                    assert_eq!(expected, None, "{format} {name}");
                    assert!(tag.verify_signature(&alice, &[]).is_err(), "{format} {name}");
                }
                Err(error) => assert_eq!(Some(error), expected, "{format} {name}"),
            }
        }
    }
}

/// `git hash-object` checks as `git fsck --strict` does.
#[test]
fn agrees_with_git_on_malformed_tags() {
    for format in FORMATS {
        let sandbox = Sandbox::new(format);
        let head = sandbox.commit(&[]);
        let good = format!("object {head}\ntype commit\ntag v1\ntagger A <a@b> 1 +0000\n\nmessage\n");
        for (accepted, body) in [
            (true, good.clone()),
            (true, good.replace("v1", "release/v1-\u{e9}")),
            (true, good.replace("\n\nmessage\n", "\n\n")),
            (false, good.replace("type commit", "type commits")),
            (false, good.replace("type commit", "type Commit")),
            (false, good.replace("object ", "object  ")),
            (false, good.replace(&head.to_string(), &head.to_string()[1..])),
            (false, good.replace("tag v1\n", "")),
            (false, good.replace("tagger A <a@b> 1 +0000\n", "")),
            (false, good.replace("tagger", "author")),
            (false, good.replace("1 +0000", "01 +0000")),
            (false, good.replace("1 +0000", "1")),
            (false, good.replace("v1", "")),
            (false, good.replace("v1", "v 1")),
            (false, good.replace("v1", "v..1")),
            (false, good.replace("v1", "v1.")),
            (false, good.replace("v1", "v1.lock")),
            (false, good.replace("v1", "v1.lock/x")),
            (false, good.replace("v1", ".v1")),
            (false, good.replace("v1", "v/.1")),
            (false, good.replace("v1", "/v1")),
            (false, good.replace("v1", "v1/")),
            (false, good.replace("v1", "v//1")),
            (false, good.replace("v1", "v@{1")),
            (false, good.replace("v1", "v\t1")),
            (false, good.replace("v1", "v\u{7f}")),
            (false, good.replace("v1", "v~1")),
            (false, good.replace("v1", "v^1")),
            (false, good.replace("v1", "v:1")),
            (false, good.replace("v1", "v?1")),
            (false, good.replace("v1", "v*1")),
            (false, good.replace("v1", "v[1")),
            (false, good.replace("v1", "v\\1")),
        ] {
            let tag = Tag::parse(format, body.as_bytes());
            assert_eq!(tag.is_ok(), accepted, "we: {body}");
            let stored = sandbox.store(Kind::Tag, body.as_bytes(), true).is_some();
            assert_eq!(stored, accepted, "git: {body}");
        }
        // git fsck ignores other headers unless told not to; no git ever wrote one
        let extra = good.replacen("\n\n", "\nencoding x\n\n", 1);
        assert!(sandbox.store(Kind::Tag, extra.as_bytes(), true).is_some());
        assert_eq!(Tag::parse(format, extra.as_bytes()), Err(GitError::MalformedTag(TagFlaw::Headers)));
        // git tag refuses to give such a name
        let dash = good.replace("v1", "-v1");
        assert!(!sandbox.try_git(&["tag", "-a", "-m", "x", "--", "-v1"]).status.success());
        assert!(Tag::parse(format, dash.as_bytes()).is_err());
    }
}
