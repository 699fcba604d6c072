//! What the enclave says of itself while it runs: a closed set of events that depend on ciphertext only.

use serde::Serialize;

/// One event. No free text: whoever adds a member shows that the host knows it anyway.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// Requests are served.
    Ready {
        /// Version of the program.
        version: &'static str,
        /// SHA-256 of the policy, hex.
        policy_sha256: String,
    },
    /// A request was answered.
    Answered {
        /// `describe`, `attest`, `pack`, `seal`, or `none` when it could not be read.
        request: &'static str,
        /// `done`, or the error's code, which the host reads in the answer.
        outcome: String,
    },
    /// A stream could not be accepted or answered.
    StreamFailed,
}

/// Where events go.
pub trait EventSink: Send + Sync + 'static {
    /// Takes one event. Must not block.
    fn emit(&self, event: &Event);
}
