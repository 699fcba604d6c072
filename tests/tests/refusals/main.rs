//! What bad input gets: a named error, the designed exit code, a message with the next step, and nothing left behind.
//!
//! One table a test; a failing row says its name. That no value shows in any of it is held by `canary.rs`.

mod kms;
mod policy;
mod protocol;
mod receipt;
mod request;
mod source;

use std::path::Path;

use packproof_tests::{
    canary::files,
    repo::Commit,
    world::{Pack, World},
};
use serde_json::Value;

/// Runs a pack in both forms and expects this refusal, and no file.
#[track_caller]
fn refuses(world: &World, row: &str, pack: &Pack, code: &str, exit: i32) -> Value {
    let (outcome, out) = world.run_pack(pack, true);
    assert_eq!(outcome.code, exit, "{row}: exit code\n{}{}", outcome.stdout, outcome.stderr);
    let said = outcome.json();
    assert_eq!((&said["error"], said["code"].as_str()), (&Value::Bool(true), Some(code)), "{row}: {said}");
    assert_next_step(row, &said);
    assert!(outcome.stderr.is_empty(), "{row}: --json leaves standard error alone: {}", outcome.stderr);
    assert_nothing_written(row, &out);

    let (outcome, out) = world.run_pack(pack, false);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (exit, ""), "{row}: for people");
    let first = outcome.stderr.split("\nhint: ").next().unwrap().trim_end();
    assert!(
        first.starts_with("packproof: error: ") && first.ends_with(&format!("[{code}]")),
        "{row}: {}",
        outcome.stderr
    );
    assert_nothing_written(row, &out);
    said
}

/// A hint, or a message that goes on to what to do.
#[track_caller]
fn assert_next_step(row: &str, said: &Value) {
    let hint = said["hint"].as_str().unwrap_or_default();
    let message = said["message"].as_str().unwrap();
    // the system's own reason, about a path that the user gave, says all there is
    let system = message.starts_with("cannot ") && message.contains("(os error ");
    assert!(!hint.is_empty() || message.contains("; ") || system, "{row}: no next step: {message:?}");
    assert!(!message.is_empty() && !message.ends_with('.'), "{row}: {message:?}");
}

#[track_caller]
fn assert_nothing_written(row: &str, out: &Path) {
    let left = if out.exists() { files(out) } else { Vec::new() };
    assert!(left.is_empty(), "{row}: {left:?} were left");
}

/// Commits what a row changed, signed by the policy's signer.
fn commit(world: &World) -> String {
    world.repo.commit(Commit { key: Some(&world.path("release")), date: None })
}

/// Writes a sealed key file that says it is for somebody else; the key in it is what it was.
fn relabelled(world: &World, file: &Path, name: &str, identity: &str, environment: &str) -> std::path::PathBuf {
    let mut sealed: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let mut birth: Value = serde_json::from_str(sealed["birth_statement"].as_str().unwrap()).unwrap();
    birth["identity"] = identity.into();
    birth["environment"] = environment.into();
    sealed["birth_statement"] = birth.to_string().into();
    let path = world.path(name);
    std::fs::write(&path, sealed.to_string()).unwrap();
    path
}
