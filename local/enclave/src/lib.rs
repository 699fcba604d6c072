//! Local mode: the enclave library, a KMS and the egress on a laptop.
//!
//! | process | what it is |
//! | --- | --- |
//! | `packproof-local up` | the host: local KMS on loopback over HTTPS, egress, supervisor |
//! | `packproof-local enclave` | started by `up`: the enclave library with the mock NSM on a Unix socket |
//!
//! The enclave process measures itself: PCR1 covers the very program that runs, PCR2 the policy it was given, and the
//! local KMS releases keys to exactly these. The enclave library does not know that it is local; receipts say so because
//! the measured policy does (`kms.simulated`), and evidence chains to a root of this state directory.
#![forbid(unsafe_code)]

pub mod cli;
mod demo;
mod enclave;
mod error;
mod image;
mod keys;
mod pin;
mod state;
mod up;

pub use error::LocalError;
