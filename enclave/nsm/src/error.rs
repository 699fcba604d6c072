//! Why a request to the module failed.

use std::fmt;

use crate::limits::{MAX_NONCE, MAX_PUBLIC_KEY, MAX_USER_DATA, PCR_COUNT};

/// Why a request to the module failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NsmError {
    /// `/dev/nsm` cannot be opened: this is not an enclave, or its kernel lacks the driver.
    DeviceUnavailable,
    /// `user_data` exceeds its limit.
    UserDataTooLong {
        /// Bytes given.
        length: usize,
    },
    /// `nonce` exceeds its limit.
    NonceTooLong {
        /// Bytes given.
        length: usize,
    },
    /// `public_key` exceeds its limit.
    PublicKeyTooLong {
        /// Bytes given.
        length: usize,
    },
    /// There is no such register.
    PcrIndex {
        /// The register asked for.
        index: u8,
    },
    /// The register can still be changed, so its value is in no document and means nothing.
    PcrNotLocked {
        /// The register asked for.
        index: u8,
    },
    /// The module returned a register of another length than SHA-384's.
    PcrLength {
        /// The register asked for.
        index: u8,
        /// Bytes returned.
        length: usize,
    },
    /// The module refused the request.
    Refused {
        /// The module's error code, as AWS's API names it.
        reason: &'static str,
    },
    /// The module answered something else than was asked.
    UnexpectedResponse,
    /// The module returned no random bytes.
    NoRandom,
    /// The module could not make its answer.
    Failed {
        /// What failed.
        reason: String,
    },
}

impl NsmError {
    /// Stable identifier of the cause.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::DeviceUnavailable => "nsm_unavailable",
            Self::UserDataTooLong { .. } => "nsm_user_data_too_long",
            Self::NonceTooLong { .. } => "nsm_nonce_too_long",
            Self::PublicKeyTooLong { .. } => "nsm_public_key_too_long",
            Self::PcrIndex { .. } => "nsm_pcr_index",
            Self::PcrNotLocked { .. } => "nsm_pcr_not_locked",
            Self::PcrLength { .. } => "nsm_pcr_length",
            Self::Refused { .. } => "nsm_refused",
            Self::UnexpectedResponse => "nsm_unexpected_response",
            Self::NoRandom => "nsm_no_random",
            Self::Failed { .. } => "nsm_failed",
        }
    }
}

impl fmt::Display for NsmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DeviceUnavailable => {
                f.write_str("/dev/nsm cannot be opened; this program runs inside a Nitro enclave with the nsm driver")
            }
            Self::UserDataTooLong { length } => {
                write!(f, "user_data has {length} bytes, an NSM takes at most {MAX_USER_DATA}")
            }
            Self::NonceTooLong { length } => write!(f, "nonce has {length} bytes, an NSM takes at most {MAX_NONCE}"),
            Self::PublicKeyTooLong { length } => {
                write!(f, "public_key has {length} bytes, an NSM takes at most {MAX_PUBLIC_KEY}")
            }
            Self::PcrIndex { index } => write!(f, "PCR{index} does not exist, an NSM has {PCR_COUNT} registers"),
            Self::PcrNotLocked { index } => write!(f, "PCR{index} is not locked, so its value proves nothing"),
            Self::PcrLength { index, length } => write!(f, "PCR{index} has {length} bytes instead of 48"),
            Self::Refused { reason } => write!(f, "the NSM refused the request: {reason}"),
            Self::UnexpectedResponse => f.write_str("the NSM answered something else than was asked"),
            Self::NoRandom => f.write_str("the NSM returned no random bytes"),
            Self::Failed { reason } => write!(f, "the NSM failed: {reason}"),
        }
    }
}

impl std::error::Error for NsmError {}
