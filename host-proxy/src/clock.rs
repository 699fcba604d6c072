//! This computer's clock. Nothing that the enclave decides rests on it.

use std::time::{SystemTime, UNIX_EPOCH};

use packproof_receipt::time::UnixMillis;

/// The present time.
pub(crate) fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
