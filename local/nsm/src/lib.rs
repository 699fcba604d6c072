//! A mock Nitro Secure Module that signs for real, under its own P-384 root.
//!
//! [`MockNsm`] answers as `/dev/nsm` does: documents have AWS's byte form of 2026, a chain of five certificates with
//! the names, lifetimes and extensions of Nitro's, and genuine ES384 signatures. Only the root differs, so the one
//! thing that keeps local evidence from passing for real is the one thing a verifier pins.
//!
//! [`forge`] is for tests of verifiers: the same document with any one part broken.
//!
//! For development and tests. The root's key lies in a file; it protects nothing against whoever can read that.
#![forbid(unsafe_code)]

mod cbor;
mod certificate;
mod chain;
mod der;
mod error;
pub mod forge;
mod identity;
mod keys;
mod mock;
mod payload;
mod pki;

pub use error::LocalNsmError;
pub use identity::{Identity, PARTITION, REGION};
pub use mock::{Clock, MockNsm};
pub use pki::{Pki, ROOT_KEY_FILE, ROOT_PEM_FILE};
