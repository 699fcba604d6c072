//! Verifies packproof receipts: a pure function of its arguments.
//!
//! [`verify()`] judges a receipt against [`Expectations`] and explains every check in a [`Report`]; [`verify_birth()`] judges
//! a sealed key by its birth certificate; [`evidence`] judges a bare Nitro document. No clock, no I/O, no environment:
//! time, roots and expectations are arguments, so a verdict can be repeated years later. Nothing trusted is read from
//! what is judged.
//!
//! Eight direct dependencies: `packproof-receipt` (the formats), `aws-lc-rs` (P-256, P-384, Ed25519), `sha2`, `serde`,
//! `serde_json`, `base64`, `bech32` and `hex`; with all that these need, 31 crates of others (`cargo tree -e normal`, macros
//! included). `receipt/SPEC.md` describes what is checked.
#![forbid(unsafe_code)]

pub mod birth;
pub mod evidence;
pub mod expectations;
pub mod report;
pub mod verify;

pub use birth::{BirthExpectations, BirthReport, KeyPurpose, verify_birth};
pub use expectations::{Expectations, Image, MaxAge, RepositoryFacts, Requirement, Root, Sections, TreeFile};
pub use report::{Check, Outcome, Report, Step, StepName};
pub use verify::verify;

mod chain;
mod checks;
mod clef;
mod cose;
mod der;
mod json;
mod public_key;
mod steps;
mod x509;
