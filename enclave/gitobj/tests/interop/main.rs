//! Repositories and signatures made by real `git` and `ssh-keygen`, in both object formats.
#![expect(clippy::unwrap_used, reason = "a test says what it expects by panicking when it is not so")]

mod commits;
mod objects;
mod sandbox;
mod signatures;
mod tags;
