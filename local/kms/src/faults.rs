//! Misbehaviour on request, for tests of clients.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;

use crate::error::Error;
use crate::files;

/// The file in the state directory that is read before every request.
pub const FAULTS_FILE: &str = "faults.json";
const MAX_FILE_BYTES: u64 = 64 * 1024;
/// The longest latency: ten minutes, longer than any client waits.
const MAX_LATENCY_MS: u64 = 600_000;

/// What the local KMS does wrong. The default is nothing.
///
/// As JSON in [`FAULTS_FILE`]: an object with any of these members.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Waits so long before it handles each request, in milliseconds, at most ten minutes.
    pub latency_ms: u64,
    /// Closes the connection of so many requests without an answer; these come first.
    pub drop_next: u32,
    /// Answers so many requests with `ThrottlingException`.
    pub throttle_next: u32,
    /// Answers attested calls as if there had been no `Recipient`: with `Plaintext`, without
    /// `CiphertextForRecipient`.
    pub answer_with_plaintext: bool,
    /// Answers with this `KeyId` in place of the right one.
    pub answer_for_other_key: Option<String>,
}

/// What to do with one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) latency: Duration,
    pub(crate) drop: bool,
    pub(crate) throttle: bool,
    pub(crate) answer_with_plaintext: bool,
    pub(crate) answer_for_other_key: Option<String>,
}

/// The faults in force. A changed file, or a call of [`Control::set`], replaces them, counters included.
pub(crate) struct Control {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    faults: Faults,
    seen: Option<Version>,
}

/// Tells one version of the file from another, even with the same contents.
#[derive(PartialEq, Eq)]
struct Version {
    inode: u64,
    modified: (i64, i64),
    contents: Vec<u8>,
}

impl Control {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, state: Mutex::default() }
    }

    /// Replaces the faults, until the file changes.
    pub(crate) fn set(&self, faults: Faults) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).faults = faults;
    }

    /// Takes the next request's share of the faults.
    pub(crate) fn turn(&self) -> Result<Turn, Error> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let found = self.version()?;
        if found != state.seen {
            state.faults = match &found {
                None => Faults::default(),
                Some(version) => serde_json::from_slice(&version.contents)
                    .map_err(|error| Error::StateUnreadable { path: self.path.clone(), reason: error.to_string() })?,
            };
            state.seen = found;
        }
        let faults = &mut state.faults;
        let drop = take_one(&mut faults.drop_next);
        let throttle = !drop && take_one(&mut faults.throttle_next);
        Ok(Turn {
            latency: Duration::from_millis(faults.latency_ms.min(MAX_LATENCY_MS)),
            drop,
            throttle,
            answer_with_plaintext: faults.answer_with_plaintext,
            answer_for_other_key: faults.answer_for_other_key.clone(),
        })
    }

    fn version(&self) -> Result<Option<Version>, Error> {
        let Some(contents) = files::read(&self.path, MAX_FILE_BYTES)? else { return Ok(None) };
        let metadata = match std::fs::metadata(&self.path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read", &self.path)(error)),
        };
        Ok(Some(Version {
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            contents: contents.to_vec(),
        }))
    }
}

fn take_one(count: &mut u32) -> bool {
    let some = *count > 0;
    *count = count.saturating_sub(1);
    some
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_run_down_and_a_new_file_starts_them_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FAULTS_FILE);
        let control = Control::new(path.clone());
        assert_eq!(control.turn().unwrap(), Turn::default());
        let text = r#"{"throttle_next": 1, "drop_next": 1, "latency_ms": 3, "answer_for_other_key": "arn"}"#;
        for _ in 0..2 {
            files::replace(dir.path(), FAULTS_FILE, text.as_bytes()).unwrap();
            let turns: Vec<_> =
                (0..3).map(|_| control.turn().unwrap()).map(|turn| (turn.drop, turn.throttle)).collect();
            assert_eq!(turns, [(true, false), (false, true), (false, false)]);
        }
        assert_eq!(control.turn().unwrap().latency, Duration::from_millis(3));
        control.set(Faults { answer_with_plaintext: true, ..Faults::default() });
        assert!(control.turn().unwrap().answer_with_plaintext);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(control.turn().unwrap(), Turn::default());
    }

    #[test]
    fn a_misspelt_fault_is_an_error_and_not_no_fault() {
        let dir = tempfile::tempdir().unwrap();
        files::replace(dir.path(), FAULTS_FILE, br#"{"throtle_next": 1}"#).unwrap();
        let control = Control::new(dir.path().join(FAULTS_FILE));
        for _ in 0..2 {
            assert_eq!(control.turn().unwrap_err().code(), "state_unreadable");
        }
    }
}
