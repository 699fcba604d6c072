//! What packproof states and how: the policy, measurements, Nitro documents, statements and bundles.
//!
//! Formats only: no clock, no I/O, no keys. The enclave writes with this crate and the auditor reads with it, so there is
//! one definition of each. `receipt/SPEC.md` describes the receipt in prose.
#![forbid(unsafe_code)]

pub mod approval;
pub mod binding;
pub mod bundle;
pub mod cbor;
pub mod document;
pub mod measure;
pub mod policy;
pub mod release;
pub mod sealed;
pub mod statement;
pub mod time;
