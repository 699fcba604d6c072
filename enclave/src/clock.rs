//! Time inside the enclave: an NSM document's timestamp, carried on by the monotonic clock. The host's clock is never read.

use std::time::{Duration, Instant, SystemTime};

use packproof_receipt::time::UnixMillis;

/// A reading of the NSM's time and when it was taken.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    at: UnixMillis,
    since: Instant,
}

impl Clock {
    /// Starts from a document's timestamp, just received.
    pub fn start(at: UnixMillis) -> Self {
        Self { at, since: Instant::now() }
    }

    /// The document's timestamp.
    pub fn started(&self) -> UnixMillis {
        self.at
    }

    /// Now.
    pub fn now(&self) -> UnixMillis {
        let elapsed = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        UnixMillis(self.at.0.saturating_add(elapsed))
    }

    /// Now, for libraries that want the standard type.
    pub fn system_time(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(self.now().0)).unwrap_or(SystemTime::UNIX_EPOCH)
    }
}
