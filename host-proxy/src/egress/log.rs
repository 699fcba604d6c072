//! One JSON line a connection: where to, how much, how it ended. Never what was carried.

use std::{
    io::{ErrorKind, Write},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use packproof_wire::DialRequest;
use serde::{Serialize, Serializer};

use super::Outcome;

/// Where log lines go; clones write to the same place.
#[derive(Clone)]
pub struct Log(Arc<Mutex<dyn Write + Send>>);

impl Log {
    /// Logs to `writer`. A line that cannot be written is lost, and the connections go on.
    pub fn new(writer: impl Write + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(writer)))
    }

    pub(super) fn write(&self, entry: &Entry) {
        let mut line = serde_json::to_vec(entry).unwrap_or_default();
        line.push(b'\n');
        let mut writer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = writer.write_all(&line).and_then(|()| writer.flush());
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Log")
    }
}

/// A log line.
#[derive(Serialize)]
pub(super) struct Entry {
    event: &'static str,
    /// When the connection came, in milliseconds since the Unix epoch.
    time_ms: u64,
    /// As the enclave asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    /// What was connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) address: Option<SocketAddr>,
    #[serde(serialize_with = "code")]
    pub(super) outcome: Outcome,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) reason: String,
    /// From the enclave.
    pub(super) bytes_out: u64,
    /// To the enclave.
    pub(super) bytes_in: u64,
    /// In the queue.
    queue_ms: u64,
    /// Since it had a place.
    milliseconds: u64,
    #[serde(skip)]
    started: Instant,
}

impl Entry {
    /// Of a connection that begins now.
    pub(super) fn begin(queued: Duration) -> Self {
        Self {
            event: "egress",
            time_ms: milliseconds(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()),
            host: None,
            port: None,
            address: None,
            outcome: Outcome::Broken,
            reason: String::new(),
            bytes_out: 0,
            bytes_in: 0,
            queue_ms: milliseconds(queued),
            milliseconds: 0,
            started: Instant::now(),
        }
    }

    /// The enclave asked for this.
    pub(super) fn asked(&mut self, dial: &DialRequest) {
        (self.host, self.port) = (Some(dial.host.clone()), Some(dial.port));
    }

    /// It is over.
    pub(super) fn end(&mut self, outcome: Outcome, reason: impl Into<String>) {
        (self.outcome, self.reason) = (outcome, reason.into());
        self.milliseconds = milliseconds(self.started.elapsed());
    }
}

/// A kind of failure in words. The operating system's own text is longer and says no more.
pub(super) fn kind(kind: ErrorKind) -> String {
    kind.to_string()
}

fn code<S: Serializer>(outcome: &Outcome, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(outcome.code())
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
