//! Repositories and signatures made by real `git` and `ssh-keygen`, in both object formats.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test says what it expects by panicking when it is not so"
)]
#![expect(clippy::print_stdout, reason = "each suite prints what it counted")]

mod agreement;
mod commits;
mod objects;
mod sandbox;
mod signatures;
mod signers;
mod tags;
mod tally;
