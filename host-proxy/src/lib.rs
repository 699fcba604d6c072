//! The CI and operator command, and the untrusted carrier beside the enclave.
//!
//! Nothing here is trusted with a plaintext or a key, and nothing here is believed: the enclave checks again whatever
//! this crate sends, and an auditor checks what it carries back. It exists so that a CI job needs one command. The one
//! exception is `packproof open`, for people who have a service's key anyway.
//!
//! | module | holds |
//! | --- | --- |
//! | [`cli`] | the command `packproof` |
//! | [`client`] | one request to an enclave, over vsock or a Unix socket |
//! | [`git`], [`collect`] | exactly the git objects that one pack needs |
//! | [`approve`] | approvals, made and read |
//! | [`credentials`] | AWS credentials, of the environment or of the EC2 instance's role |
//! | [`egress`] | connections that the enclave asks for, to exact names only |
//! | [`error`] | every way to fail, with code, exit code and next step |
#![forbid(unsafe_code)]

pub mod approve;
mod attest;
pub mod cli;
pub mod client;
mod clock;
pub mod collect;
pub mod credentials;
pub mod egress;
pub mod error;
mod files;
pub mod git;
mod inspect;
mod kms_policy;
mod open;
mod output;
mod pack;
mod policy;
mod seal;
mod sealed_file;

pub use error::Error;
