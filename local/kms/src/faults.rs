//! Misbehaviour on request, for tests of clients.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;

use crate::error::{Error, ServiceError};
use crate::files;
use crate::operations::Answer;

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
    /// Answers so many requests with `ThrottlingException`; these come after the dropped ones.
    pub throttle_next: u32,
    /// Answers so many requests with `KMSInternalException`, status 500; these come after the throttled ones.
    pub fail_next: u32,
    /// Answers so many requests with status 503 and a body that is no JSON, as a load balancer does; these come last.
    pub unavailable_next: u32,
    /// Answers attested calls as if there had been no `Recipient`: with `Plaintext`, without
    /// `CiphertextForRecipient`.
    pub answer_with_plaintext: bool,
    /// Answers with this `KeyId` in place of the right one.
    pub answer_for_other_key: Option<String>,
    /// Leaves so many bytes out at the end of `CiphertextForRecipient`.
    pub cut_recipient_bytes: u32,
    /// Flips the lowest bit of this byte of `CiphertextForRecipient`, counted from 0 and round again past the end.
    pub flip_recipient_byte: Option<u32>,
    /// Answers each operation as it was answered last before this was set, if ever: a stale answer, well formed, for
    /// another request.
    pub answer_stale: bool,
}

/// What to do with one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) latency: Duration,
    pub(crate) failure: Option<Failure>,
    pub(crate) answer_with_plaintext: bool,
    pub(crate) answer_for_other_key: Option<String>,
    pub(crate) cut_recipient_bytes: u32,
    pub(crate) flip_recipient_byte: Option<u32>,
    pub(crate) answer_stale: bool,
}

/// How a request gets no answer of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The connection is closed.
    Drop,
    Throttle,
    Internal,
    /// Not KMS's own answer.
    Unavailable,
}

impl Failure {
    /// What KMS answers, if it does.
    pub(crate) fn error(self) -> Option<ServiceError> {
        match self {
            Self::Drop | Self::Unavailable => None,
            // The text of AWS (KMS Developer Guide, "Throttling requests").
            Self::Throttle => Some(ServiceError::new(
                "ThrottlingException",
                "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.",
            )),
            Self::Internal => Some(ServiceError::internal("the local KMS was told to fail")),
        }
    }
}

/// `CiphertextForRecipient` after the faults of this turn.
pub(crate) fn damaged(mut envelope: Vec<u8>, turn: &Turn) -> Vec<u8> {
    let index = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let at = turn.flip_recipient_byte.and_then(|number| index(number).checked_rem(envelope.len()));
    if let Some(byte) = at.and_then(|at| envelope.get_mut(at)) {
        *byte ^= 1;
    }
    envelope.truncate(envelope.len().saturating_sub(index(turn.cut_recipient_bytes)));
    envelope
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
    /// The last good answer of each operation; wiped when replaced.
    answers: BTreeMap<String, Answer>,
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
        let failure = if take_one(&mut faults.drop_next) {
            Some(Failure::Drop)
        } else if take_one(&mut faults.throttle_next) {
            Some(Failure::Throttle)
        } else if take_one(&mut faults.fail_next) {
            Some(Failure::Internal)
        } else {
            take_one(&mut faults.unavailable_next).then_some(Failure::Unavailable)
        };
        Ok(Turn {
            latency: Duration::from_millis(faults.latency_ms.min(MAX_LATENCY_MS)),
            failure,
            answer_with_plaintext: faults.answer_with_plaintext,
            answer_for_other_key: faults.answer_for_other_key.clone(),
            cut_recipient_bytes: faults.cut_recipient_bytes,
            flip_recipient_byte: faults.flip_recipient_byte,
            answer_stale: faults.answer_stale,
        })
    }

    /// What leaves in place of `answer`, the good one of `operation`: itself, and then it is kept, or the one kept.
    pub(crate) fn answer(&self, operation: &str, answer: Answer, turn: &Turn) -> Answer {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.answers.get(operation) {
            Some(stale) if turn.answer_stale => stale.clone(),
            _ => {
                state.answers.insert(operation.to_owned(), answer.clone());
                answer
            }
        }
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
        let text = r#"{"throttle_next": 1, "drop_next": 1, "fail_next": 1, "unavailable_next": 1, "latency_ms": 3}"#;
        let expected = [Failure::Drop, Failure::Throttle, Failure::Internal, Failure::Unavailable].map(Some);
        for _ in 0..2 {
            files::replace(dir.path(), FAULTS_FILE, text.as_bytes()).unwrap();
            let failures: Vec<_> = (0..5).map(|_| control.turn().unwrap().failure).collect();
            assert_eq!(failures[..4], expected);
            assert_eq!(failures[4], None);
        }
        assert_eq!(control.turn().unwrap().latency, Duration::from_millis(3));
        control.set(Faults { answer_with_plaintext: true, ..Faults::default() });
        assert!(control.turn().unwrap().answer_with_plaintext);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(control.turn().unwrap(), Turn::default());
    }

    #[test]
    fn a_ciphertext_is_damaged_as_told() {
        let turn = |cut, flip| Turn { cut_recipient_bytes: cut, flip_recipient_byte: flip, ..Turn::default() };
        let envelope = || vec![0, 2, 4];
        assert_eq!(damaged(envelope(), &turn(0, None)), [0, 2, 4]);
        assert_eq!(damaged(envelope(), &turn(1, Some(0))), [1, 2]);
        assert_eq!(damaged(envelope(), &turn(0, Some(5))), [0, 2, 5]);
        assert!(damaged(envelope(), &turn(9, None)).is_empty() && damaged(Vec::new(), &turn(0, Some(1))).is_empty());
    }

    #[test]
    fn a_stale_answer_is_the_last_one_of_its_operation() {
        let dir = tempfile::tempdir().unwrap();
        let control = Control::new(dir.path().join(FAULTS_FILE));
        let answer = |operation: &str, text: &str, stale: bool| {
            let turn = Turn { answer_stale: stale, ..Turn::default() };
            let answer = control.answer(operation, Answer::new(text.as_bytes().to_vec()), &turn);
            String::from_utf8(answer.to_vec()).unwrap()
        };
        assert_eq!(answer("Decrypt", "one", true), "one", "there is none yet");
        assert_eq!(answer("Decrypt", "two", false), "two");
        assert_eq!(answer("Decrypt", "three", true), "two");
        assert_eq!(answer("Decrypt", "four", true), "two", "the stale one stays");
        assert_eq!(answer("Encrypt", "five", true), "five");
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
