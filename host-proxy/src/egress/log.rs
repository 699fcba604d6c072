//! One JSON line a connection: where to, how much, how it ended. Never what was carried.

use std::{
    io::Write,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use packproof_wire::DialRequest;
use serde::Serialize;

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
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    pub(super) outcome: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    /// From the enclave.
    pub(super) bytes_out: u64,
    /// To the enclave.
    pub(super) bytes_in: u64,
    pub(super) milliseconds: u64,
}

impl Entry {
    pub(super) fn of(dial: &DialRequest) -> Self {
        Self { host: Some(dial.host.clone()), port: Some(dial.port), ..Self::failed("", "") }
    }

    pub(super) fn failed(outcome: &'static str, reason: &str) -> Self {
        let reason = reason.to_owned();
        Self { event: "egress", host: None, port: None, outcome, reason, bytes_out: 0, bytes_in: 0, milliseconds: 0 }
    }
}

/// Since `started`.
pub(super) fn milliseconds(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}
