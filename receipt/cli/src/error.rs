//! What keeps the command from a verdict.

use std::{fmt, path::PathBuf};

use packproof_receipt::{bundle::BundleError, policy::PolicyError, release::ReleaseError};
use packproof_receipt_verify::evidence::EvidenceError;

use crate::{EXIT_ENVIRONMENT, EXIT_USAGE};

/// Why there is no verdict. A verdict of "not valid" is none of these.
#[derive(Debug)]
#[non_exhaustive]
pub enum CliError {
    /// A file cannot be read.
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// A file is longer than anything of its kind.
    TooLong {
        /// Which one.
        path: PathBuf,
        /// The largest size, in bytes.
        max: u64,
    },
    /// The policy given is none.
    Policy(PolicyError),
    /// The release given is none.
    Release(ReleaseError),
    /// The root given is none.
    Root(EvidenceError),
    /// AWS's root was given as a simulated one.
    AwsRootGivenAsSimulated,
    /// A receipt to be split is none.
    Receipt(BundleError),
    /// git cannot be asked.
    Git {
        /// The clone.
        path: PathBuf,
        /// What git or the system says.
        reason: String,
    },
    /// A file cannot be written.
    Unwritable {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The report could not be printed.
    Output,
}

impl CliError {
    /// Stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "unreadable",
            Self::TooLong { .. } => "too_long",
            Self::Policy(error) => error.code(),
            Self::Release(error) => error.code(),
            Self::Root(error) => error.code(),
            Self::AwsRootGivenAsSimulated => "aws_root_given_as_simulated",
            Self::Receipt(error) => error.code(),
            Self::Git { .. } => "git_failed",
            Self::Unwritable { .. } => "unwritable",
            Self::Output => "output",
        }
    }

    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Unwritable { .. } | Self::Output => EXIT_ENVIRONMENT,
            _ => EXIT_USAGE,
        }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, reason } => write!(f, "cannot read {}: {reason}", path.display()),
            Self::TooLong { path, max } => {
                write!(f, "{} is longer than {max} bytes: not the right file", path.display())
            }
            Self::Policy(error) => error.fmt(f),
            Self::Release(error) => error.fmt(f),
            Self::Root(error) => error.fmt(f),
            Self::AwsRootGivenAsSimulated => {
                f.write_str("the root given for simulated evidence is AWS's own; leave --simulated and --root away")
            }
            Self::Receipt(error) => error.fmt(f),
            Self::Git { path, reason } => {
                write!(
                    f,
                    "git cannot be asked about {}: {reason}; --repo needs a clone, and git on PATH",
                    path.display()
                )
            }
            Self::Unwritable { path, reason } => write!(f, "cannot write {}: {reason}", path.display()),
            Self::Output => f.write_str("the report could not be printed"),
        }
    }
}

impl std::error::Error for CliError {}
