//! Images: assembled, measured, shown, compared and signed.
//!
//! An image to be measured, shown or compared may come from anywhere: [`image`], [`cpio`] and [`signature`] read hostile
//! bytes with named limits. `SPEC.md` beside this crate fixes the container and the ramdisks byte for byte.
#![forbid(unsafe_code)]

pub mod base;
pub mod certificate;
pub mod cli;
pub mod cpio;
pub mod describe;
pub mod diff;
pub mod error;
pub mod files;
pub mod image;
pub mod signature;

pub use base::{Base, RELEASE_FILE};
pub use error::EifError;
