//! Annotated tags, and the bytes that a tag's signature covers.

use crate::commit::Signature;
use crate::error::{GitError, TagFlaw};
use crate::object::{Kind, ObjectFormat, ObjectId};
use crate::person::Person;
use crate::sshsig::{AllowedSigner, SshSigError, Verified};

/// An annotated tag, strictly parsed.
///
/// What it says is proved by its id and nothing else: take the body from an [`ObjectBag`](crate::ObjectBag).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// What it names.
    pub target: ObjectId,
    /// What it says that is. That `target` is so is proved by the object itself.
    pub target_kind: Kind,
    /// Its name, without `refs/tags/`. The reference that leads to it may have another.
    pub name: String,
    /// Who made the tag, and when, as the tag claims; a signature covers this claim.
    pub tagger: Person,
    /// The signature, unverified.
    pub signature: Option<Signature>,
    signed_payload: Vec<u8>,
}

impl Tag {
    /// Parses a tag's body (without git's object header).
    ///
    /// # Errors
    /// [`GitError::MalformedTag`], [`GitError::TwoSignatures`], [`GitError::ForeignSignature`].
    ///
    /// Source: git's `tag.c` (`parse_tag_buffer`), `fsck.c` (`fsck_tag_standalone`) and `gpg-interface.c`
    /// (`parse_signature`).
    pub fn parse(format: ObjectFormat, body: &[u8]) -> Result<Self, GitError> {
        if body.contains(&0) {
            return Err(TagFlaw::NulByte.into());
        }
        let mut lines = Lines { rest: body };
        let target = lines.header(b"object ")?;
        let kind = lines.header(b"type ")?;
        let name = lines.header(b"tag ")?;
        let tagger = lines.header(b"tagger ")?;
        if lines.rest.starts_with(b"gpgsig") {
            // The signature of the other object format, which git leaves out of the signed bytes.
            return Err(GitError::ForeignSignature);
        }
        if lines.next().ok_or(TagFlaw::NoBlankLine)? != b"\n" {
            return Err(TagFlaw::Headers.into());
        }
        let (signed_payload, signature) = split_signature(body, lines.rest)?;
        Ok(Self {
            target: object_id(format, target).ok_or(TagFlaw::ObjectId)?,
            target_kind: kind_named(kind).ok_or(TagFlaw::Kind)?,
            name: tag_name(name).ok_or(TagFlaw::Name)?,
            tagger: Person::parse(tagger).ok_or(TagFlaw::Tagger)?,
            signature,
            signed_payload: signed_payload.to_vec(),
        })
    }

    /// Checks that the tag names `commit` itself: not a tag of it, nor another object.
    ///
    /// # Errors
    /// [`GitError::WrongTagTarget`].
    pub fn check_target(&self, commit: &ObjectId) -> Result<(), GitError> {
        if self.target_kind != Kind::Commit || self.target != *commit {
            return Err(GitError::WrongTagTarget { id: self.target, kind: self.target_kind, expected: *commit });
        }
        Ok(())
    }

    /// The bytes that git signs: the tag up to its signature.
    pub fn signed_payload(&self) -> &[u8] {
        &self.signed_payload
    }

    /// Verifies the tag's SSH signature, namespace [`git`](crate::sshsig::GIT_NAMESPACE), by one of `allowed`.
    ///
    /// The signer must be valid at the tagger's time and at all of `times`, in seconds since 1970. What the tag names is
    /// not asked: see [`check_target`](Self::check_target).
    ///
    /// # Errors
    /// [`SshSigError::Unsigned`] without a signature, else as [`sshsig::verify`](crate::sshsig::verify).
    pub fn verify_signature(&self, allowed: &[AllowedSigner], times: &[u64]) -> Result<Verified, SshSigError> {
        let signature = self.signature.as_ref().ok_or(SshSigError::Unsigned)?;
        signature.verify(&self.signed_payload, allowed, &self.tagger, times)
    }
}

impl From<TagFlaw> for GitError {
    fn from(flaw: TagFlaw) -> Self {
        Self::MalformedTag(flaw)
    }
}

/// Lines with their LF; the last may have none.
struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Lines<'a> {
    /// The value of the next line, which must begin with `key`.
    fn header(&mut self, key: &[u8]) -> Result<&'a [u8], TagFlaw> {
        let line = self.next().ok_or(TagFlaw::Headers)?;
        let value = line.strip_prefix(key).ok_or(TagFlaw::Headers)?;
        value.strip_suffix(b"\n").ok_or(TagFlaw::NoBlankLine)
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let line = self.rest.split_inclusive(|&byte| byte == b'\n').next()?;
        self.rest = self.rest.get(line.len()..)?;
        Some(line)
    }
}

/// What begins a signature for git, when a line begins with it (`gpg-interface.c`).
const SIGNATURE_STARTS: [&[u8]; 4] = [
    b"-----BEGIN SSH SIGNATURE-----",
    b"-----BEGIN PGP SIGNATURE-----",
    b"-----BEGIN PGP MESSAGE-----",
    b"-----BEGIN SIGNED MESSAGE-----",
];

/// Splits `body` where the signature in `message`, which is its end, begins.
///
/// Git takes the last line that begins a signature. A second one is refused, so that nobody reads another split out of
/// the same bytes.
fn split_signature<'a>(body: &'a [u8], message: &'a [u8]) -> Result<(&'a [u8], Option<Signature>), GitError> {
    let mut lines = Lines { rest: message };
    let mut signature: Option<&[u8]> = None;
    loop {
        let rest = lines.rest;
        let Some(line) = lines.next() else { break };
        if SIGNATURE_STARTS.iter().any(|start| line.starts_with(start)) && signature.replace(rest).is_some() {
            return Err(GitError::TwoSignatures);
        }
    }
    let length = body.len().saturating_sub(signature.map_or(0, <[u8]>::len));
    let (payload, armored) = body.split_at_checked(length).unwrap_or((body, &[]));
    Ok((payload, signature.map(|_| Signature { armored: armored.to_vec() })))
}

fn object_id(format: ObjectFormat, hex: &[u8]) -> Option<ObjectId> {
    ObjectId::parse(format, str::from_utf8(hex).ok()?).ok()
}

fn kind_named(name: &[u8]) -> Option<Kind> {
    [Kind::Commit, Kind::Tree, Kind::Blob, Kind::Tag].into_iter().find(|kind| kind.name().as_bytes() == name)
}

/// Takes a name that `git check-ref-format` and `git tag` allow.
fn tag_name(name: &[u8]) -> Option<String> {
    let name = str::from_utf8(name).ok()?;
    let is_forbidden = |c: char| c.is_ascii_control() || " ~^:?*[\\".contains(c);
    let is_bad_part = |part: &str| part.is_empty() || part.starts_with('.') || part.ends_with(".lock");
    let is_bad = name.starts_with('-')
        || name.ends_with('.')
        || name.contains("..")
        || name.contains("@{")
        || name.contains(is_forbidden)
        || name.split('/').any(is_bad_part);
    if is_bad { None } else { Some(name.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECT: &str = "object 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n";
    const TYPE: &str = "type commit\n";
    const TAG: &str = "tag v1.0\n";
    const TAGGER: &str = "tagger A U Thor <author@example.com> 1700000000 +0130\n";
    const SIGNATURE: &str = "-----BEGIN SSH SIGNATURE-----\nabc\n-----END SSH SIGNATURE-----\n";

    fn parse(parts: &[&str]) -> Result<Tag, GitError> {
        Tag::parse(ObjectFormat::Sha1, parts.concat().as_bytes())
    }

    fn flaw(parts: &[&str]) -> TagFlaw {
        match parse(parts) {
            Err(GitError::MalformedTag(flaw)) => flaw,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn reads_every_field() {
        let message = "\nsubject\n\n -----BEGIN SSH SIGNATURE-----\ntype tree\n";
        let tag = parse(&[OBJECT, TYPE, TAG, TAGGER, message, SIGNATURE]).unwrap();
        assert_eq!(tag.target.to_string(), OBJECT[7..47]);
        assert_eq!((tag.target_kind, tag.name.as_str()), (Kind::Commit, "v1.0"));
        assert_eq!(tag.tagger.name, b"A U Thor");
        assert_eq!((tag.tagger.seconds, tag.tagger.offset_minutes), (1_700_000_000, 90));
        assert_eq!(tag.signed_payload(), [OBJECT, TYPE, TAG, TAGGER, message].concat().as_bytes());
        assert_eq!(tag.signature.unwrap().armored, SIGNATURE.as_bytes());
    }

    #[test]
    fn an_unsigned_tag_has_itself_as_payload_and_no_signer() {
        for message in ["\nno LF at the end", "\n", "\n\n"] {
            let tag = parse(&[OBJECT, TYPE, TAG, TAGGER, message]).unwrap();
            assert_eq!(tag.signed_payload(), [OBJECT, TYPE, TAG, TAGGER, message].concat().as_bytes());
            assert_eq!(tag.verify_signature(&[], &[]), Err(SshSigError::Unsigned));
        }
    }

    #[test]
    fn what_follows_the_signature_is_the_signatures() {
        let tag = parse(&[OBJECT, TYPE, TAG, TAGGER, "\n", SIGNATURE, "more\n"]).unwrap();
        assert_eq!(tag.signature.as_ref().unwrap().armored, [SIGNATURE, "more\n"].concat().as_bytes());
        assert!(matches!(tag.verify_signature(&[], &[]), Err(SshSigError::Malformed(_))));
    }

    #[test]
    fn refuses_all_but_the_four_headers_in_order() {
        let good = [OBJECT, TYPE, TAG, TAGGER];
        for at in 0..4 {
            let mut missing = good.to_vec();
            missing.remove(at);
            assert_eq!(flaw(&[&missing.concat(), "\nmessage\n"]), TagFlaw::Headers, "without {}", good[at]);
            let mut twice = good.to_vec();
            twice.insert(at, good[at]);
            assert_eq!(flaw(&[&twice.concat(), "\nmessage\n"]), TagFlaw::Headers, "twice {}", good[at]);
            let mut swapped = good.to_vec();
            swapped.swap(at, (at + 1) % 4);
            assert_eq!(flaw(&[&swapped.concat(), "\nmessage\n"]), TagFlaw::Headers, "{swapped:?}");
        }
        assert_eq!(flaw(&[OBJECT, TYPE, TAG, TAGGER, "encoding x\n", "\nmessage\n"]), TagFlaw::Headers);
        assert_eq!(flaw(&[OBJECT, TYPE, TAG, TAGGER, " more\n", "\nmessage\n"]), TagFlaw::Headers);
        assert_eq!(flaw(&[OBJECT, TYPE, TAG, TAGGER, "message\n"]), TagFlaw::Headers);
    }

    #[test]
    fn refuses_a_tag_without_a_blank_line_after_its_headers() {
        assert_eq!(flaw(&[OBJECT, TYPE, TAG, TAGGER]), TagFlaw::NoBlankLine);
        assert_eq!(flaw(&[OBJECT, TYPE, TAG, TAGGER.trim_end()]), TagFlaw::NoBlankLine);
        assert_eq!(flaw(&[""]), TagFlaw::Headers);
    }

    #[test]
    fn refuses_a_nul_byte_anywhere() {
        assert_eq!(flaw(&[OBJECT, TYPE, TAG, TAGGER, "\nmessage\0hidden\n"]), TagFlaw::NulByte);
        assert_eq!(flaw(&[OBJECT, TYPE, "tag v\0\n", TAGGER, "\n"]), TagFlaw::NulByte);
    }

    #[test]
    fn refuses_ids_of_another_spelling_or_format() {
        for id in ["4B825DC642CB6EB9A060E54BF8D69288FBEE4904", "4b825dc6", "", &format!(" {}", &OBJECT[7..47])] {
            assert_eq!(flaw(&[&format!("object {id}\n"), TYPE, TAG, TAGGER, "\n"]), TagFlaw::ObjectId, "{id}");
        }
        let body = [OBJECT, TYPE, TAG, TAGGER, "\n"].concat();
        let error = Tag::parse(ObjectFormat::Sha256, body.as_bytes()).unwrap_err();
        assert_eq!(error, GitError::MalformedTag(TagFlaw::ObjectId));
    }

    #[test]
    fn takes_names_that_git_gives_and_no_others() {
        for good in ["v1", "release/2026-11", "a@b", "v1.0-rc.1", "été"] {
            assert_eq!(parse(&[OBJECT, TYPE, &format!("tag {good}\n"), TAGGER, "\n"]).unwrap().name, good);
        }
        for bad in [
            "", "-v1", "v1.", "a..b", "a@{1}", "a b", "a~1", "a^", "a:b", "a?", "a*", "a[b", "a\\b", "a\tb", "a//b",
            "/a", "a/", ".a", "a/.b", "a.lock", "a.lock/b",
        ] {
            assert_eq!(flaw(&[OBJECT, TYPE, &format!("tag {bad}\n"), TAGGER, "\n"]), TagFlaw::Name, "{bad:?}");
        }
    }

    #[test]
    fn refuses_kinds_that_are_none() {
        for kind in ["", "Commit", "commits", "commit ", "ref"] {
            assert_eq!(flaw(&[OBJECT, &format!("type {kind}\n"), TAG, TAGGER, "\n"]), TagFlaw::Kind, "{kind}");
        }
    }

    #[test]
    fn refuses_taggers_that_git_fsck_refuses() {
        for bad in ["A<a@b> 1 +0000", "A <a@b> -1 +0000", "A <a@b> 1", ""] {
            assert_eq!(flaw(&[OBJECT, TYPE, TAG, &format!("tagger {bad}\n"), "\n"]), TagFlaw::Tagger, "{bad}");
        }
    }

    #[test]
    fn refuses_two_signatures_and_signatures_of_the_other_format() {
        let pgp = "-----BEGIN PGP SIGNATURE-----\n";
        for parts in [
            ["\n", SIGNATURE, SIGNATURE],
            ["\n", SIGNATURE, pgp],
            ["\n", "-----BEGIN PGP MESSAGE-----", "\n-----BEGIN SIGNED MESSAGE----- and more\n"],
            ["\nsubject\n", "-----BEGIN SSH SIGNATURE----- quoted\n", SIGNATURE],
        ] {
            let parts = [&[OBJECT, TYPE, TAG, TAGGER], parts.as_slice()].concat();
            assert_eq!(parse(&parts), Err(GitError::TwoSignatures), "{parts:?}");
        }
        for header in ["gpgsig x\n", "gpgsig-sha256 x\n y\n"] {
            let parts = [OBJECT, TYPE, TAG, TAGGER, header, "\n", SIGNATURE];
            assert_eq!(parse(&parts), Err(GitError::ForeignSignature));
        }
    }

    #[test]
    fn the_other_schemes_are_signatures_too() {
        let tag = parse(&[OBJECT, TYPE, TAG, TAGGER, "\nmessage\n", "-----BEGIN PGP SIGNATURE-----\nx"]).unwrap();
        assert_eq!(tag.verify_signature(&[], &[]), Err(SshSigError::UnsupportedScheme { scheme: "OpenPGP" }));
    }

    #[test]
    fn refuses_a_target_that_is_not_the_commit() {
        let id = ObjectId::parse(ObjectFormat::Sha1, &OBJECT[7..47]).unwrap();
        let other = ObjectId::parse(ObjectFormat::Sha1, &"ab".repeat(20)).unwrap();
        let tag = parse(&[OBJECT, TYPE, TAG, TAGGER, "\n"]).unwrap();
        assert_eq!(tag.check_target(&id), Ok(()));
        let wrong = GitError::WrongTagTarget { id, kind: Kind::Commit, expected: other };
        assert_eq!(tag.check_target(&other), Err(wrong));
        for kind in [Kind::Tree, Kind::Blob, Kind::Tag] {
            let tag = parse(&[OBJECT, &format!("type {kind}\n"), TAG, TAGGER, "\n"]).unwrap();
            assert_eq!(tag.check_target(&id), Err(GitError::WrongTagTarget { id, kind, expected: id }));
        }
    }
}
