//! Reads SOPS files exactly as sops does, or refuses.
//!
//! A file is read in two steps. [`Cell::parse`] needs no key: it checks everything the ciphertext shows (structure,
//! `sops` block, every `ENC[…]`, which values must be encrypted) and lists the master keys as [`KeyEntry`]. With the
//! data key, [`Cell::decrypt`] opens every value and compares SOPS's MAC before it returns any of them.
//!
//! The reference is sops 3.11. Where this crate is stricter it refuses by name; it never reads a file differently.
//! What a MAC that fits does *not* prove is in [`Cell::decrypt`]. `tests/differential.rs` compares with the real program
//! and lists every refusal of ours that sops does not share, with its reason.
//!
//! # Refused by name
//!
//! Several documents, anchors and aliases (sops writes them out), key groups that need Shamir's secret sharing, a regular
//! expression that Go might read otherwise, a comment that may belong to two places, text that is not UTF-8, and every
//! spelling that sops reads but never writes. Master keys other than age and KMS, and the ARNs that Clef invents for
//! PKCS#11 keys, are listed as [`KeyEntry::Other`]; a file that has no other cannot be opened.
//!
//! # Comments
//!
//! YAML attaches no meaning to comments, and how Go's reader attaches them to values is not specified. So a comment that a
//! comment selector matches counts only where every reader agrees: on lines of its own, right above a key or item,
//! indented like it, which is how sops writes it. Elsewhere it is refused ([`SopsError::AmbiguousComment`]); comments that
//! do not match may stand anywhere.
//!
//! # Format
//!
//! * A value is `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]`, standard base64, AES-256-GCM with a nonce of 32 bytes. The
//!   additional data is every key of the path, each followed by `:`; a list index is no part of the path.
//! * The MAC is the upper-case hex SHA-512 over the values in file order, without separators, encrypted like a value
//!   with `lastmodified` as additional data. `null`, `""`, `{}` and `[]` stay in clear and add nothing; comments are
//!   left out. With `mac_only_encrypted` the hash starts with 32 fixed bytes and skips values in clear.
//! * Which values are encrypted follows from the keys of the path (`unencrypted_suffix`, which is `_unencrypted` when the
//!   file names no selector, `encrypted_suffix`, `unencrypted_regex`, `encrypted_regex`) or, in YAML, from the comments
//!   right above a value or above what holds it (`unencrypted_comment_regex`, `encrypted_comment_regex`).
//! * Anchors, aliases and merges are written out: a merge stays as a map under the key `<<`.
//! * Plain YAML scalars are typed by Go's `yaml.v3`; JSON numbers are all floats.
#![forbid(unsafe_code)]

mod age_entry;
mod cell;
mod comment;
mod decrypt;
mod error;
mod json;
mod keys;
mod metadata;
mod pattern;
mod scalar;
mod sealed;
mod tree;
mod value;

pub use age_entry::open_age_entry;
pub use cell::{Cell, Format, Limits};
pub use error::SopsError;
pub use keys::KeyEntry;
pub use value::{Plain, Value};
