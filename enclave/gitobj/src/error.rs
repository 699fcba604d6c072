//! Why objects are refused.

use std::fmt;

use crate::object::{Kind, ObjectId};
use crate::tree::Mode;

/// Why git objects, or a path through them, are refused.
///
/// Payloads are ids, lengths, positions and paths the caller itself asked for: never bytes of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GitError {
    /// An object format is neither `sha1` nor `sha256`.
    UnknownObjectFormat,
    /// An object id is not lower-case hex, or raw bytes, of its format's length.
    InvalidObjectId {
        /// The length in hex digits that the format wants.
        hex_digits: usize,
    },
    /// The bytes carry one half of a SHA-1 collision attack, so their id names two objects.
    CollisionAttack {
        /// What the object claims to be.
        kind: Kind,
    },
    /// More objects than [`Limits::max_objects`](crate::Limits::max_objects).
    TooManyObjects {
        /// How many came.
        found: usize,
        /// How many may come.
        limit: usize,
    },
    /// One object is larger than [`Limits::max_object_bytes`](crate::Limits::max_object_bytes).
    ObjectTooLarge {
        /// What the object claims to be.
        kind: Kind,
        /// Its size in bytes.
        bytes: usize,
        /// The largest size in bytes.
        limit: usize,
    },
    /// All objects together are larger than [`Limits::max_total_bytes`](crate::Limits::max_total_bytes).
    BagTooLarge {
        /// The largest sum in bytes.
        limit: usize,
    },
    /// The same object came twice.
    DuplicateObject {
        /// Its id.
        id: ObjectId,
    },
    /// A needed object did not come.
    MissingObject {
        /// What it must be.
        kind: Kind,
        /// Its id.
        id: ObjectId,
    },
    /// An id names an object of another kind than the place it stands in says.
    WrongKind {
        /// The object's id.
        id: ObjectId,
        /// The kind that was asked for.
        expected: Kind,
        /// The kind that hashes to this id.
        found: Kind,
    },
    /// A commit that git would not have written.
    MalformedCommit(CommitFlaw),
    /// A tag that git would not have written.
    MalformedTag(TagFlaw),
    /// A tag names another object than it must.
    WrongTagTarget {
        /// What it names.
        id: ObjectId,
        /// What it says that is.
        kind: Kind,
        /// The commit it must name.
        expected: ObjectId,
    },
    /// A commit carries more than one signature header, or a tag more than one line that begins a signature.
    TwoSignatures,
    /// A commit or tag carries a header that git leaves out of the signed bytes and that is not this object format's signature
    /// header: the signature of the other object format, or a header no signature covers.
    ForeignSignature,
    /// A tree that git would not have written.
    MalformedTree {
        /// What is wrong.
        flaw: TreeFlaw,
        /// Which entry, counted from 0.
        entry: usize,
    },
    /// A tree has more entries than [`Limits::max_tree_entries`](crate::Limits::max_tree_entries).
    TooManyTreeEntries {
        /// How many it may have.
        limit: usize,
    },
    /// A path that cannot name an entry of a tree.
    InvalidPath {
        /// The path.
        path: String,
        /// What is wrong.
        flaw: PathFlaw,
    },
    /// A directory on the path is a symbolic link or a submodule: a working copy may have a file there, this commit
    /// proves neither its presence nor its absence.
    PathThroughLink {
        /// The path.
        path: String,
        /// What stands in place of the directory.
        mode: Mode,
    },
}

impl GitError {
    /// A stable name for this refusal.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownObjectFormat => "unknown_object_format",
            Self::InvalidObjectId { .. } => "invalid_object_id",
            Self::CollisionAttack { .. } => "collision_attack",
            Self::TooManyObjects { .. } => "too_many_objects",
            Self::ObjectTooLarge { .. } => "object_too_large",
            Self::BagTooLarge { .. } => "bag_too_large",
            Self::DuplicateObject { .. } => "duplicate_object",
            Self::MissingObject { .. } => "missing_object",
            Self::WrongKind { .. } => "wrong_kind",
            Self::MalformedCommit(_) => "malformed_commit",
            Self::MalformedTag(_) => "malformed_tag",
            Self::WrongTagTarget { .. } => "wrong_tag_target",
            Self::TwoSignatures => "two_signatures",
            Self::ForeignSignature => "foreign_signature",
            Self::MalformedTree { .. } => "malformed_tree",
            Self::TooManyTreeEntries { .. } => "too_many_tree_entries",
            Self::InvalidPath { .. } => "invalid_path",
            Self::PathThroughLink { .. } => "path_through_link",
        }
    }
}

impl fmt::Display for GitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownObjectFormat => f.write_str("unknown git object format; use sha1 or sha256"),
            Self::InvalidObjectId { hex_digits } => {
                write!(f, "not an object id: expected {hex_digits} lower-case hex digits; give the full id")
            }
            Self::CollisionAttack { kind } => {
                write!(f, "a {kind} is part of a SHA-1 collision attack; find out who committed it")
            }
            Self::TooManyObjects { found, limit } => {
                write!(f, "{found} git objects were sent, at most {limit} may be; send only those on the needed paths")
            }
            Self::ObjectTooLarge { kind, bytes, limit } => {
                write!(f, "a {kind} has {bytes} bytes, at most {limit} are read; split the file or the directory")
            }
            Self::BagTooLarge { limit } => {
                write!(f, "the git objects have over {limit} bytes in all; send only those on the needed paths")
            }
            Self::DuplicateObject { id } => write!(f, "git object {id} was sent twice; send each object once"),
            Self::MissingObject { kind, id } => {
                write!(f, "{kind} {id} is missing; fetch it into the repository and try again")
            }
            Self::WrongKind { id, expected, found } => {
                write!(f, "object {id} is a {found} where a {expected} must be; run git fsck on the repository")
            }
            Self::MalformedCommit(flaw) => {
                write!(f, "the commit is malformed: {flaw}; make it anew with git")
            }
            Self::MalformedTag(flaw) => write!(f, "the tag is malformed: {flaw}; make it anew with git tag -s"),
            Self::WrongTagTarget { id, kind, expected } => {
                write!(f, "the tag names {kind} {id}, not commit {expected}; sign a tag that names the commit itself")
            }
            Self::TwoSignatures => f.write_str("the commit or tag has more than one signature; sign it once"),
            Self::ForeignSignature => f.write_str(
                "the commit or tag has a gpgsig header that is not its own object format's signature, so no signature \
                 covers it; sign it anew in this repository",
            ),
            Self::MalformedTree { flaw, entry } => {
                write!(f, "a tree is malformed: entry {entry} {flaw}; run git fsck on the repository")
            }
            Self::TooManyTreeEntries { limit } => {
                write!(f, "a tree has over {limit} entries; split the directory")
            }
            Self::InvalidPath { path, flaw } => write!(f, "path {path:?} {flaw}; give it relative to the repository"),
            Self::PathThroughLink { path, mode } => {
                write!(f, "path {path:?} leads through a {mode}; name the file by its own path in this repository")
            }
        }
    }
}

impl std::error::Error for GitError {}

/// What is wrong with a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitFlaw {
    /// There is a NUL byte, in a header or in the message: git cuts what it shows there.
    NulByte,
    /// There is no blank line after the headers.
    NoBlankLine,
    /// A header line is not `key SP value` with a printable key, or a continuation line continues nothing.
    HeaderSyntax,
    /// The headers do not begin with one tree, any parents, one author, one committer, in this order.
    HeaderOrder,
    /// A tree, parent, author or committer header stands below the committer.
    RepeatedHeader,
    /// A tree, parent, author or committer header goes on over a second line.
    ContinuedHeader,
    /// A tree or parent is not an object id of the repository's format.
    ObjectId,
    /// An author or committer is not `name <email> seconds zone`.
    Person,
}

impl fmt::Display for CommitFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NulByte => "it has a NUL byte",
            Self::NoBlankLine => "no blank line ends its headers",
            Self::HeaderSyntax => "a line among its headers is not a header",
            Self::HeaderOrder => "its headers are not tree, parents, author, committer in this order",
            Self::RepeatedHeader => "one of tree, parent, author, committer stands below the committer",
            Self::ContinuedHeader => "one of tree, parent, author, committer goes on over a second line",
            Self::ObjectId => "its tree or a parent is not an id of the repository's object format",
            Self::Person => "its author or committer is not a name, an email in angle brackets, seconds and a zone",
        })
    }
}

/// What is wrong with a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagFlaw {
    /// There is a NUL byte: git cuts what it shows there.
    NulByte,
    /// There is no blank line after the headers.
    NoBlankLine,
    /// The headers are not exactly one object, type, tag and tagger, in this order.
    Headers,
    /// The object is not an id of the repository's format.
    ObjectId,
    /// The type is not a kind of object.
    Kind,
    /// The name is not one that git lets a tag have, or not UTF-8.
    Name,
    /// The tagger is not `name <email> seconds zone`.
    Tagger,
}

impl fmt::Display for TagFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NulByte => "it has a NUL byte",
            Self::NoBlankLine => "no blank line ends its headers",
            Self::Headers => "its headers are not object, type, tag, tagger in this order",
            Self::ObjectId => "its object is not an id of the repository's object format",
            Self::Kind => "its type is not a kind of object",
            Self::Name => "its name is not one that git allows",
            Self::Tagger => "its tagger is not a name, an email in angle brackets, seconds and a zone",
        })
    }
}

/// What is wrong with a tree's entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TreeFlaw {
    /// The bytes end inside the entry.
    Truncated,
    /// The mode is not one of the five that git writes, in git's one spelling.
    Mode,
    /// The name is empty, `.`, `..`, `.git` in any case, or has a slash.
    Name,
    /// The entry does not stand where git's order puts it.
    Order,
    /// The name is another entry's too.
    Duplicate,
}

impl fmt::Display for TreeFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "is cut off",
            Self::Mode => "has a mode that git does not write",
            Self::Name => "has a forbidden name",
            Self::Order => "is out of order",
            Self::Duplicate => "has the name of another entry",
        })
    }
}

/// What is wrong with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathFlaw {
    /// It begins with a slash.
    Absolute,
    /// It is empty, ends with a slash, or has two slashes in a row.
    EmptyComponent,
    /// A component is `.`, `..`, or `.git` in any case.
    ForbiddenComponent,
    /// It has a NUL byte.
    NulByte,
    /// It is longer than [`Limits::max_path_bytes`](crate::Limits::max_path_bytes).
    TooLong,
    /// It has more components than [`Limits::max_path_depth`](crate::Limits::max_path_depth).
    TooDeep,
}

impl fmt::Display for PathFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absolute => "is absolute",
            Self::EmptyComponent => "has an empty component",
            Self::ForbiddenComponent => "has a component that no tree may hold",
            Self::NulByte => "has a NUL byte",
            Self::TooLong => "is too long",
            Self::TooDeep => "has too many components",
        })
    }
}
