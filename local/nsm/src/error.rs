//! Why the mock or its PKI cannot do what was asked.

use std::fmt;
use std::path::PathBuf;

/// Why the mock or its PKI cannot do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LocalNsmError {
    /// A file of the PKI cannot be read or written.
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        reason: String,
    },
    /// The folder holds a root already.
    RootExists {
        /// The file in the way.
        path: PathBuf,
    },
    /// Root certificate and key do not belong together, or one of them is damaged.
    RootUnusable {
        /// What is wrong.
        reason: &'static str,
    },
    /// A key could not be made, or a signature.
    Crypto {
        /// The operation.
        operation: &'static str,
    },
    /// PCR0, PCR1 or PCR2 was not given.
    PcrMissing {
        /// The register.
        index: u8,
    },
    /// A register was given that does not exist, or PCR4, which follows from the instance id.
    PcrNotSettable {
        /// The register.
        index: u8,
    },
}

impl LocalNsmError {
    /// Stable identifier of the cause.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "local_nsm_io",
            Self::RootExists { .. } => "local_nsm_root_exists",
            Self::RootUnusable { .. } => "local_nsm_root_unusable",
            Self::Crypto { .. } => "local_nsm_crypto",
            Self::PcrMissing { .. } => "local_nsm_pcr_missing",
            Self::PcrNotSettable { .. } => "local_nsm_pcr_not_settable",
        }
    }
}

impl fmt::Display for LocalNsmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, reason } => write!(f, "{}: {reason}", path.display()),
            Self::RootExists { path } => {
                write!(f, "{} exists already; load it, or remove it to make a new root", path.display())
            }
            Self::RootUnusable { reason } => {
                write!(f, "the local root cannot be used: {reason}; remove its files to make a new one")
            }
            Self::Crypto { operation } => write!(f, "{operation} failed"),
            Self::PcrMissing { index } => write!(f, "PCR{index} must be given"),
            Self::PcrNotSettable { index } => write!(f, "PCR{index} cannot be given"),
        }
    }
}

impl std::error::Error for LocalNsmError {}
