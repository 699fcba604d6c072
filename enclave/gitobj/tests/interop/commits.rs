//! Commits signed by git.

use packproof_gitobj::sshsig::SshSigError;
use packproof_gitobj::{Commit, GitError, Kind, ObjectFormat};

use crate::sandbox::{FORMATS, Sandbox};

#[test]
fn agrees_with_git_on_who_signed() {
    for format in FORMATS {
        let sandbox = Sandbox::new(format);
        let alice = [sandbox.signer("alice")];
        let signed = sandbox.commit(&[]);
        assert!(sandbox.git_verifies(&signed));
        assert_eq!(sandbox.parse(&signed).verify_signature(&alice, &[]).unwrap().index, 0);

        let unsigned = sandbox.commit(&["--no-gpg-sign"]);
        assert!(!sandbox.git_verifies(&unsigned));
        assert_eq!(sandbox.parse(&unsigned).verify_signature(&alice, &[]), Err(SshSigError::Unsigned));

        let foreign = sandbox.commit(&[&format!("-S{}", sandbox.path("mallory").to_str().unwrap())]);
        assert!(!sandbox.git_verifies(&foreign));
        let unknown = Err(SshSigError::UnknownSigner { fingerprint: sandbox.fingerprint("mallory") });
        assert_eq!(sandbox.parse(&foreign).verify_signature(&alice, &[]), unknown);
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
        assert_eq!(commit.verify_signature(&[sandbox.signer("alice")], &[]).unwrap().index, 0);
    }
}

#[test]
fn a_commit_with_any_byte_changed_is_not_what_was_signed() {
    for format in FORMATS {
        let sandbox = Sandbox::new(format);
        let body = sandbox.body(Kind::Commit, &sandbox.commit(&[]));
        let alice = [sandbox.signer("alice")];
        for at in 0..body.len() {
            let mut changed = body.clone();
            changed.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1);
            let verdict = Commit::parse(format, &changed).ok().and_then(|c| c.verify_signature(&alice, &[]).ok());
            assert_eq!(verdict, None, "byte {at}");
        }
    }
}

/// Where git accepts and we refuse, git joins or strips headers that no signature covers.
#[test]
fn accepts_no_forged_commit_that_git_refuses() {
    for format in FORMATS {
        let sandbox = Sandbox::new(format);
        let alice = [sandbox.signer("alice")];
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
                    assert!(commit.verify_signature(&alice, &[]).is_err(), "{format} {name}");
                }
                Err(error) => assert_eq!(Some(error), expected, "{format} {name}"),
            }
        }
    }
}
