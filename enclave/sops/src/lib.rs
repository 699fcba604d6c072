//! Reads SOPS files exactly as sops does, or refuses.
//!
//! A file is read in two steps. [`Cell::parse`] needs no key: it checks everything the ciphertext shows (structure,
//! `sops` block, every `ENC[…]`, which values must be encrypted) and lists the master keys as [`KeyEntry`]. With the
//! data key, [`Cell::decrypt`] opens every value and compares SOPS's MAC before it returns any of them.
//!
//! The reference is sops 3.11. Where this crate is stricter it refuses by name; it never reads a file differently.
//! What a MAC that fits does *not* prove is in [`Cell::decrypt`].
//!
//! # Format
//!
//! * A value is `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]`, standard base64, AES-256-GCM with a nonce of 32 bytes. The
//!   additional data is every key of the path, each followed by `:`; a list index is no part of the path.
//! * The MAC is the upper-case hex SHA-512 over the values in file order, without separators, encrypted like a value
//!   with `lastmodified` as additional data. `null`, `""`, `{}` and `[]` stay in clear and add nothing; comments are
//!   left out. With `mac_only_encrypted` the hash starts with 32 fixed bytes and skips values in clear.
//! * Which values are encrypted follows from the keys of the path: `unencrypted_suffix` (`_unencrypted` when the file
//!   names no selector) or `encrypted_suffix`.
//! * Plain YAML scalars are typed by Go's `yaml.v3`; JSON numbers are all floats.
#![forbid(unsafe_code)]

mod age_entry;
mod cell;
mod decrypt;
mod error;
mod json;
mod metadata;
mod scalar;
mod sealed;
mod tree;
mod value;

pub use age_entry::open_age_entry;
pub use cell::{Cell, Format, Limits};
pub use error::SopsError;
pub use metadata::KeyEntry;
pub use value::{Plain, Value};
