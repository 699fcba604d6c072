//! End-to-end tests: real processes, real git, real sops. Never shipped.
//!
//! The tests are in `tests/tests`. They drive the commands as users have them; what they share is here.
//!
//! | module | holds |
//! | --- | --- |
//! | [`programs`] | the three commands: those given, or built once |
//! | [`peers`] | programs of others that only some tests need |
//! | [`process`] | a command that has ended |
//! | [`repo`] | a git repository with signed commits |
//! | [`forge`] | git objects, signatures and approvals made by hand |
//! | [`people`] | approvers and a certificate authority |
//! | [`world`] | local mode running, with sealed keys and a repository that it packs |
//! | [`wire`] | the protocol spoken byte by byte, as a hostile host would |
//! | [`cheat`] | a KMS that alters answers behind a trusted certificate |
//! | [`canary`] | values that must be nowhere |
//! | [`table`] | pages that list attacks, and whether they are true |
//! | [`demo`] | the cells and keys that real sops made |
#![forbid(unsafe_code)]

pub mod canary;
pub mod cheat;
pub mod demo;
pub mod forge;
pub mod peers;
pub mod people;
pub mod process;
pub mod programs;
pub mod repo;
pub mod table;
pub mod wire;
pub mod world;
