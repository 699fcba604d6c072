//! Commits, and the bytes that a commit's signature covers.

use crate::error::{CommitFlaw, GitError};
use crate::object::{ObjectFormat, ObjectId};
use crate::person::Person;
use crate::sshsig::{self, AllowedSigner, SshSigError, Verified};

/// A commit, strictly parsed.
///
/// What it says is proved by its id and nothing else: take the body from an [`ObjectBag`](crate::ObjectBag).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The root directory.
    pub tree: ObjectId,
    /// The parents, in the commit's order.
    pub parents: Vec<ObjectId>,
    /// Who wrote the change, as the commit claims.
    pub author: Person,
    /// Who made the commit, and when, as the commit claims; a signature covers this claim.
    pub committer: Person,
    /// The signature, unverified.
    pub signature: Option<Signature>,
    signed_payload: Vec<u8>,
}

/// A signature, as it stands in a commit or tag: of any scheme, and unverified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The armored text with its line ends; a commit's without git's indentation, a tag's to the tag's end.
    pub armored: Vec<u8>,
}

impl Commit {
    /// Parses a commit's body (without git's object header).
    ///
    /// # Errors
    /// [`GitError::MalformedCommit`], [`GitError::TwoSignatures`], [`GitError::ForeignSignature`].
    ///
    /// Source: git's `commit.c` (`parse_buffer_signed_by_header`) and `fsck.c` (`fsck_commit`).
    pub fn parse(format: ObjectFormat, body: &[u8]) -> Result<Self, GitError> {
        if body.contains(&0) {
            return Err(CommitFlaw::NulByte.into());
        }
        let blank = body.windows(2).position(|pair| pair == b"\n\n").ok_or(CommitFlaw::NoBlankLine)?;
        let (headers, message) = body.split_at_checked(blank.saturating_add(1)).ok_or(CommitFlaw::NoBlankLine)?;

        let mut parser = Parser::new(format);
        let mut signed_payload = Vec::with_capacity(body.len());
        for header in (Headers { rest: headers }) {
            let header = header?;
            if parser.take(&header)? == Signed::Yes {
                signed_payload.extend_from_slice(header.raw);
            }
        }
        signed_payload.extend_from_slice(message);

        let (Some(tree), Some(author), Some(committer)) = (parser.tree, parser.author, parser.committer) else {
            return Err(CommitFlaw::HeaderOrder.into());
        };
        Ok(Self { tree, parents: parser.parents, author, committer, signature: parser.signature, signed_payload })
    }

    /// The bytes that git signs: the commit without its signature header.
    pub fn signed_payload(&self) -> &[u8] {
        &self.signed_payload
    }

    /// Verifies the commit's SSH signature, namespace [`git`](sshsig::GIT_NAMESPACE), by one of `allowed`.
    ///
    /// The signer must be valid at the committer's time and at all of `times`, in seconds since 1970.
    ///
    /// # Errors
    /// [`SshSigError::Unsigned`] without a signature, else as [`sshsig::verify`].
    pub fn verify_signature(&self, allowed: &[AllowedSigner], times: &[u64]) -> Result<Verified, SshSigError> {
        let signature = self.signature.as_ref().ok_or(SshSigError::Unsigned)?;
        signature.verify(&self.signed_payload, allowed, &self.committer, times)
    }
}

impl Signature {
    /// Verifies git's signature over `payload`, by a signer valid when `person` says and at all of `times`.
    pub(crate) fn verify(
        &self,
        payload: &[u8],
        allowed: &[AllowedSigner],
        person: &Person,
        times: &[u64],
    ) -> Result<Verified, SshSigError> {
        let times = [&[person.unix_seconds()], times].concat();
        sshsig::verify(&self.armored, sshsig::GIT_NAMESPACE, payload, allowed, &times)
    }
}

impl From<CommitFlaw> for GitError {
    fn from(flaw: CommitFlaw) -> Self {
        Self::MalformedCommit(flaw)
    }
}

/// One header, its continuation lines included.
struct Header<'a> {
    key: &'a [u8],
    /// After the key's space, with all line ends and the indentation of continuation lines.
    value: &'a [u8],
    /// All of its bytes.
    raw: &'a [u8],
}

impl<'a> Header<'a> {
    /// The value of a header that git writes on one line.
    fn one_line(&self) -> Result<&'a [u8], GitError> {
        let value = self.value.strip_suffix(b"\n").ok_or(CommitFlaw::HeaderSyntax)?;
        if value.contains(&b'\n') { Err(CommitFlaw::ContinuedHeader.into()) } else { Ok(value) }
    }

    /// The value of a header that git writes on several lines, as it was before git indented it.
    fn unfolded(&self) -> Vec<u8> {
        let mut lines = self.value.split_inclusive(|&byte| byte == b'\n');
        let mut value = lines.next().unwrap_or_default().to_vec();
        for line in lines {
            value.extend_from_slice(line.strip_prefix(b" ").unwrap_or(line));
        }
        value
    }
}

/// Splits the header block, of which each line ends in LF.
struct Headers<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Headers<'a> {
    type Item = Result<Header<'a>, GitError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        // Ends at the first LF that no space follows.
        let continued = self.rest.windows(2).position(|pair| matches!(pair, [b'\n', next] if *next != b' '));
        let end = continued.map_or(self.rest.len(), |at| at.saturating_add(1));
        let (raw, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        Some(split_key(raw).ok_or(CommitFlaw::HeaderSyntax.into()))
    }
}

fn split_key(raw: &[u8]) -> Option<Header<'_>> {
    let space = raw.iter().position(|&byte| !byte.is_ascii_graphic())?;
    let (key, rest) = raw.split_at_checked(space)?;
    let value = rest.strip_prefix(b" ")?;
    if key.is_empty() { None } else { Some(Header { key, value, raw }) }
}

/// Whether a signature covers a header.
#[derive(PartialEq)]
enum Signed {
    Yes,
    No,
}

/// What was read so far. Order and number follow from it: a header is taken only when those before it are there.
struct Parser {
    format: ObjectFormat,
    tree: Option<ObjectId>,
    parents: Vec<ObjectId>,
    author: Option<Person>,
    committer: Option<Person>,
    signature: Option<Signature>,
}

impl Parser {
    const fn new(format: ObjectFormat) -> Self {
        Self { format, tree: None, parents: Vec::new(), author: None, committer: None, signature: None }
    }

    fn take(&mut self, header: &Header<'_>) -> Result<Signed, GitError> {
        match (header.key, &self.tree, &self.author, &self.committer) {
            (b"tree", None, ..) => self.tree = Some(self.object_id(header)?),
            (b"parent", Some(_), None, _) => self.parents.push(self.object_id(header)?),
            (b"author", Some(_), None, _) => self.author = Some(person(header)?),
            (b"committer", _, Some(_), None) => self.committer = Some(person(header)?),
            (b"tree" | b"parent" | b"author" | b"committer", .., Some(_)) => {
                return Err(CommitFlaw::RepeatedHeader.into());
            }
            (.., None) => return Err(CommitFlaw::HeaderOrder.into()),
            (key, ..) if key.starts_with(b"gpgsig") => {
                // Both are refused before either is believed: git drops every header of this prefix from the payload.
                if self.signature.is_some() {
                    return Err(GitError::TwoSignatures);
                }
                if key != signature_key(self.format) {
                    return Err(GitError::ForeignSignature);
                }
                self.signature = Some(Signature { armored: header.unfolded() });
                return Ok(Signed::No);
            }
            _ => {}
        }
        Ok(Signed::Yes)
    }

    fn object_id(&self, header: &Header<'_>) -> Result<ObjectId, GitError> {
        let hex = str::from_utf8(header.one_line()?).map_err(|_| CommitFlaw::ObjectId)?;
        ObjectId::parse(self.format, hex).map_err(|_| CommitFlaw::ObjectId.into())
    }
}

fn person(header: &Header<'_>) -> Result<Person, GitError> {
    Person::parse(header.one_line()?).ok_or(CommitFlaw::Person.into())
}

/// The header that holds the signature over a commit in this object format.
const fn signature_key(format: ObjectFormat) -> &'static [u8] {
    match format {
        ObjectFormat::Sha1 => b"gpgsig",
        ObjectFormat::Sha256 => b"gpgsig-sha256",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n";
    const PARENT: &str = "parent e69de29bb2d1d6434b8b29ae775ad8c2e48c5391\n";
    const AUTHOR: &str = "author A U Thor <author@example.com> 1700000000 +0130\n";
    const COMMITTER: &str = "committer C O Mitter <c@example.com> 1700000001 -0800\n";
    const SIGNATURE: &str = "gpgsig -----BEGIN X-----\n \n abc\n -----END X-----\n";

    fn parse(parts: &[&str]) -> Result<Commit, GitError> {
        Commit::parse(ObjectFormat::Sha1, parts.concat().as_bytes())
    }

    fn flaw(parts: &[&str]) -> CommitFlaw {
        match parse(parts) {
            Err(GitError::MalformedCommit(flaw)) => flaw,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn reads_every_field() {
        let mergetag = "mergetag object 1\n type commit\n \n gpgsig x\n";
        let last = "encoding ISO-8859-1\nHG:extra rebase_source:x\n";
        let message = "\nsubject\n\ngpgsig in the body\ntree of life\n";
        let commit = parse(&[TREE, PARENT, PARENT, AUTHOR, COMMITTER, mergetag, SIGNATURE, last, message]).unwrap();
        assert_eq!(commit.tree.to_string(), TREE[5..45]);
        assert_eq!(commit.parents.iter().map(ToString::to_string).collect::<Vec<_>>(), [&PARENT[7..47]; 2]);
        assert_eq!(commit.author.name, b"A U Thor");
        assert_eq!(commit.author.email, b"author@example.com");
        assert_eq!((commit.author.seconds, commit.author.offset_minutes), (1_700_000_000, 90));
        assert_eq!((commit.committer.seconds, commit.committer.offset_minutes), (1_700_000_001, -480));
        assert_eq!(commit.signature.as_ref().unwrap().armored, b"-----BEGIN X-----\n\nabc\n-----END X-----\n");
        let payload = [TREE, PARENT, PARENT, AUTHOR, COMMITTER, mergetag, last, message].concat();
        assert_eq!(commit.signed_payload(), payload.as_bytes());
    }

    #[test]
    fn an_unsigned_commit_has_itself_as_payload_and_no_signer() {
        let commit = parse(&[TREE, AUTHOR, COMMITTER, "\nno LF at the end"]).unwrap();
        let body = [TREE, AUTHOR, COMMITTER, "\nno LF at the end"].concat();
        assert_eq!(commit.signed_payload(), body.as_bytes());
        assert_eq!(commit.verify_signature(&[], &[]), Err(SshSigError::Unsigned));
        // git writes an empty message so
        assert!(parse(&[TREE, AUTHOR, COMMITTER, "\n"]).is_ok());
    }

    #[test]
    fn refuses_headers_out_of_order_or_missing() {
        use CommitFlaw::{HeaderOrder, RepeatedHeader};
        for (parts, expected) in [
            (vec![AUTHOR, COMMITTER], HeaderOrder),
            (vec![TREE, COMMITTER], HeaderOrder),
            (vec![TREE, AUTHOR], HeaderOrder),
            (vec![TREE], HeaderOrder),
            (vec![PARENT, TREE, AUTHOR, COMMITTER], HeaderOrder),
            (vec![TREE, AUTHOR, PARENT, COMMITTER], HeaderOrder),
            (vec![TREE, COMMITTER, AUTHOR], HeaderOrder),
            (vec![TREE, TREE, AUTHOR, COMMITTER], HeaderOrder),
            (vec![TREE, AUTHOR, AUTHOR, COMMITTER], HeaderOrder),
            (vec![TREE, SIGNATURE, AUTHOR, COMMITTER], HeaderOrder),
            (vec!["encoding x\n", TREE, AUTHOR, COMMITTER], HeaderOrder),
            (vec![TREE, AUTHOR, COMMITTER, TREE], RepeatedHeader),
            (vec![TREE, AUTHOR, COMMITTER, PARENT], RepeatedHeader),
            (vec![TREE, AUTHOR, COMMITTER, AUTHOR], RepeatedHeader),
            (vec![TREE, AUTHOR, COMMITTER, SIGNATURE, COMMITTER], RepeatedHeader),
        ] {
            assert_eq!(flaw(&[parts.concat().as_str(), "\nmessage\n"]), expected, "{parts:?}");
        }
    }

    #[test]
    fn refuses_a_commit_without_a_blank_line_after_its_headers() {
        assert_eq!(flaw(&[TREE, AUTHOR, COMMITTER]), CommitFlaw::NoBlankLine);
        assert_eq!(flaw(&[TREE, AUTHOR, COMMITTER.trim_end()]), CommitFlaw::NoBlankLine);
        assert_eq!(flaw(&[""]), CommitFlaw::NoBlankLine);
    }

    #[test]
    fn refuses_a_nul_byte_anywhere() {
        assert_eq!(flaw(&[TREE, AUTHOR, COMMITTER, "x y\0z\n", "\nmessage\n"]), CommitFlaw::NulByte);
        assert_eq!(flaw(&[TREE, AUTHOR, COMMITTER, "\nmessage\0hidden\n"]), CommitFlaw::NulByte);
    }

    #[test]
    fn refuses_lines_that_are_no_headers() {
        for line in ["nospace\n", "\tx y\n", "k\u{e9}y value\n", "key\tvalue\n"] {
            assert_eq!(flaw(&[TREE, AUTHOR, COMMITTER, line, "\nmessage\n"]), CommitFlaw::HeaderSyntax, "{line:?}");
        }
        assert_eq!(flaw(&[" ", TREE, AUTHOR, COMMITTER, "\n"]), CommitFlaw::HeaderSyntax);
        assert_eq!(flaw(&["\n\n", TREE, AUTHOR, COMMITTER, "\n"]), CommitFlaw::HeaderSyntax);
    }

    #[test]
    fn refuses_a_second_line_of_the_first_four_headers() {
        for at in 1..=4 {
            let mut parts = vec![TREE, PARENT, AUTHOR, COMMITTER, "\nmessage\n"];
            parts.insert(at, " more\n");
            assert_eq!(flaw(&parts), CommitFlaw::ContinuedHeader, "{at}");
        }
    }

    #[test]
    fn refuses_ids_of_another_spelling_or_format() {
        for id in ["4B825DC642CB6EB9A060E54BF8D69288FBEE4904", "4b825dc6", "", &format!(" {}", &TREE[5..45])] {
            assert_eq!(flaw(&[&format!("tree {id}\n"), AUTHOR, COMMITTER, "\n"]), CommitFlaw::ObjectId, "{id}");
            assert_eq!(flaw(&[TREE, &format!("parent {id}\n"), AUTHOR, COMMITTER, "\n"]), CommitFlaw::ObjectId, "{id}");
        }
        let body = [TREE, AUTHOR, COMMITTER, "\n"].concat();
        let error = Commit::parse(ObjectFormat::Sha256, body.as_bytes()).unwrap_err();
        assert_eq!(error, GitError::MalformedCommit(CommitFlaw::ObjectId));
    }

    #[test]
    fn refuses_two_signatures_and_signatures_of_the_other_format() {
        let (other, unknown) = ("gpgsig-sha256 x\n", "gpgsig2 x\n");
        for (signatures, expected) in [
            (vec![SIGNATURE, SIGNATURE], GitError::TwoSignatures),
            (vec![SIGNATURE, "x y\n", SIGNATURE], GitError::TwoSignatures),
            (vec![SIGNATURE, other], GitError::TwoSignatures),
            (vec![other, SIGNATURE], GitError::ForeignSignature),
            (vec![other], GitError::ForeignSignature),
            // git leaves this line out of the signed bytes too
            (vec![SIGNATURE, unknown], GitError::TwoSignatures),
            (vec![unknown], GitError::ForeignSignature),
        ] {
            assert_eq!(parse(&[TREE, AUTHOR, COMMITTER, &signatures.concat(), "\n"]), Err(expected), "{signatures:?}");
        }
    }

    #[test]
    fn refuses_people_that_git_fsck_refuses() {
        for bad in ["A<a@b> 1 +0000", "A <a@b> -1 +0000", "A <a@b> 1"] {
            assert_eq!(flaw(&[TREE, AUTHOR, &format!("committer {bad}\n"), "\n"]), CommitFlaw::Person, "{bad}");
            assert_eq!(flaw(&[TREE, &format!("author {bad}\n"), COMMITTER, "\n"]), CommitFlaw::Person, "{bad}");
        }
    }
}
