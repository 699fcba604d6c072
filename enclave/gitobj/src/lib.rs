//! Git objects as proof: ids, strict parsing, path walks, SSH signatures.
//!
//! The objects come from a host that may send anything. Nothing it says about them is believed: an [`ObjectBag`]
//! computes each id from the bytes, so whoever holds a commit id that a trusted signer signed holds, by the hashes in
//! it, the trees and blobs below it. All functions are pure: bytes in, a value or a named error out.
//!
//! | module | holds |
//! | --- | --- |
//! | [`object`] | [`ObjectFormat`], [`ObjectId`], [`Kind`], [`object_id`] |
//! | [`bag`] | [`ObjectBag`] and [`Limits`] |
//! | [`commit`] | [`Commit`], and the bytes its signature covers |
//! | [`tag`] | [`Tag`]: an annotated tag, and the bytes its signature covers |
//! | [`tree`] | [`parse_tree`]; [`Trees`] and [`lookup`]: a path's entry, or the proof that there is none |
//! | [`sshsig`] | OpenSSH's SSHSIG, for commits, tags and approvals; who may sign, itself or by certificate |
//!
//! # Stricter than git
//!
//! Git reads objects that no git ever wrote. These are refused here, each by name:
//!
//! * a commit with a NUL byte anywhere, without the blank line after its headers, with headers out of order, repeated,
//!   or continued where git never continues them, or with a zone or date that `git fsck` objects to;
//! * a commit with two signature headers, with the header of the other object format, or with any other header that
//!   begins with `gpgsig`: git leaves such headers out of the signed bytes;
//! * a tag without a tagger, with other headers, with a name that git refuses to give, or with more than one line that
//!   begins a signature: git takes the last for the signature and the rest for text;
//! * a tree entry with a mode other than the five that git writes, a name that `git fsck` calls an error, a wrong
//!   place, or a name that another entry already has;
//! * an SSH signature that is not exactly what `ssh-keygen -Y sign` writes, by what [`sshsig`] lists.
//!
//! OpenPGP and X.509 signatures are not read.
#![forbid(unsafe_code)]

pub mod bag;
pub mod commit;
mod error;
pub mod object;
mod person;
pub mod sshsig;
pub mod tag;
pub mod tree;

pub use bag::{Limits, ObjectBag};
pub use commit::{Commit, Signature};
pub use error::{CommitFlaw, GitError, PathFlaw, TagFlaw, TreeFlaw};
pub use object::{Kind, ObjectFormat, ObjectId, object_id};
pub use person::Person;
pub use tag::Tag;
pub use tree::{Lookup, Mode, TreeEntry, Trees, lookup, parse_tree};
