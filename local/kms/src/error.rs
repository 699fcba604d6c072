//! The errors of the library and those of the wire.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::policy::PolicyError;

/// Why the local KMS cannot start or cannot do what its owner asks. Errors for callers over HTTPS are AWS's own.
#[derive(Debug)]
pub enum Error {
    /// A file or directory could not be used.
    Io {
        /// What was tried, as `write`.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Another local KMS uses this state directory.
    InUse {
        /// The state directory.
        path: PathBuf,
    },
    /// The state file is not one that this program wrote.
    StateUnreadable {
        /// The state file.
        path: PathBuf,
        /// What is wrong; never a value from the file.
        reason: String,
    },
    /// The certificate authority on disk is damaged or incomplete.
    Ca {
        /// What is wrong.
        reason: String,
    },
    /// TLS or its certificates could not be set up.
    Tls {
        /// What the library said.
        reason: String,
    },
    /// The listener is not on a loopback address; a local KMS is for one machine.
    NotLoopback {
        /// Where it listens.
        address: String,
    },
    /// Not the ARN of an IAM user, role or account root.
    PrincipalArn {
        /// The text.
        arn: String,
    },
    /// Not the ARN of a KMS key.
    KeyArn {
        /// The text.
        arn: String,
    },
    /// A key of this id is there already.
    KeyExists {
        /// Its ARN.
        arn: String,
    },
    /// There is no such key.
    KeyNotFound {
        /// The ARN asked for.
        arn: String,
    },
    /// The key policy was refused.
    Policy(PolicyError),
    /// The system gave no random bytes.
    Random,
}

impl Error {
    /// A stable name of the cause.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "io",
            Self::InUse { .. } => "in_use",
            Self::StateUnreadable { .. } => "state_unreadable",
            Self::Ca { .. } => "ca_unreadable",
            Self::Tls { .. } => "tls",
            Self::NotLoopback { .. } => "not_loopback",
            Self::PrincipalArn { .. } => "principal_arn",
            Self::KeyArn { .. } => "key_arn",
            Self::KeyExists { .. } => "key_exists",
            Self::KeyNotFound { .. } => "key_not_found",
            Self::Policy(error) => error.code(),
            Self::Random => "random",
        }
    }

    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { action, path, source } => write!(f, "cannot {action} {}: {source}", path.display()),
            Self::InUse { path } => {
                write!(f, "another local KMS uses {}; stop it or choose another state directory", path.display())
            }
            Self::StateUnreadable { path, reason } => {
                write!(f, "{} cannot be read: {reason}; restore it or remove it to start anew", path.display())
            }
            Self::Ca { reason } => {
                write!(f, "the certificate authority is damaged: {reason}; remove its two files to make a new one")
            }
            Self::Tls { reason } => write!(f, "TLS cannot be set up: {reason}"),
            Self::NotLoopback { address } => {
                write!(f, "the local KMS serves loopback only, not {address}; listen on 127.0.0.1")
            }
            Self::PrincipalArn { arn } => {
                write!(f, "{arn:?} is not the ARN of an IAM user, role or account root")
            }
            Self::KeyArn { arn } => {
                write!(f, "{arn:?} is not a key ARN; write arn:aws:kms:REGION:ACCOUNT:key/ID")
            }
            Self::KeyExists { arn } => write!(f, "there is a key with the id of {arn} already"),
            Self::KeyNotFound { arn } => write!(f, "there is no key {arn}"),
            Self::Policy(error) => error.fmt(f),
            Self::Random => f.write_str("the system gave no random bytes"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Policy(error) => Some(error),
            _ => None,
        }
    }
}

impl From<PolicyError> for Error {
    fn from(error: PolicyError) -> Self {
        Self::Policy(error)
    }
}

/// An error as KMS answers it: an HTTP status, an exception name and a text. Never holds plaintext.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceError {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl ServiceError {
    /// An exception of the caller's making: status 400.
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: 400, code, message: message.into() }
    }

    /// The local KMS itself failed: status 500, which clients retry.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self { status: 500, code: "KMSInternalException", message: message.into() }
    }

    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new("ValidationException", message)
    }

    /// What AWS can and the local KMS cannot.
    pub(crate) fn unsupported(what: &str) -> Self {
        Self::new("UnsupportedOperationException", format!("{what} is not supported by the local KMS"))
    }

    pub(crate) fn invalid_ciphertext() -> Self {
        // AWS sends no text with this one: any detail would be an oracle.
        Self::new("InvalidCiphertextException", "")
    }
}

impl From<Error> for ServiceError {
    fn from(error: Error) -> Self {
        match error {
            Error::Policy(error) => Self::new("MalformedPolicyDocumentException", error.to_string()),
            other => Self::internal(other.to_string()),
        }
    }
}
