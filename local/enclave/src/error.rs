//! Why local mode did not do what was asked.

use std::{io, path::PathBuf};

use packproof_eif::EifError;
use packproof_receipt::policy::PolicyError;

/// Why a command of local mode failed.
#[derive(Debug)]
pub enum LocalError {
    /// A file or directory could not be used.
    File(PathBuf, io::Error),
    /// A state file is not what local mode writes.
    State(PathBuf),
    /// The local KMS.
    Kms(packproof_local_kms::Error),
    /// The mock NSM's keys.
    Nsm(packproof_local_nsm::LocalNsmError),
    /// The policy is refused.
    Policy(PolicyError),
    /// The policy does not name the local KMS.
    NotSimulated {
        /// URL that it must name.
        url: String,
    },
    /// The policy names another CA than this state directory's.
    OtherCa,
    /// The policy names a key that this local KMS does not hold.
    UnknownKey(String),
    /// The image could not be measured.
    Image(EifError),
    /// The enclave did not start.
    Enclave(String),
    /// The port of the KMS is taken.
    Port(u16, io::Error),
    /// A tool that the demo needs failed or is missing.
    Tool {
        /// Which.
        tool: &'static str,
        /// What it said.
        reason: String,
    },
    /// A step of the demo did not turn out as it must.
    Demo(String),
    /// Names of keys are letters, digits and dashes.
    KeyName(String),
}

impl LocalError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::File(..) => "file_unusable",
            Self::State(_) => "state_unreadable",
            Self::Kms(_) => "local_kms",
            Self::Nsm(_) => "local_nsm",
            Self::Policy(error) => error.code(),
            Self::NotSimulated { .. } => "policy_not_simulated",
            Self::OtherCa => "policy_other_ca",
            Self::UnknownKey(_) => "unknown_key",
            Self::Image(error) => error.code(),
            Self::Enclave(_) => "enclave_not_started",
            Self::Port(..) => "port_taken",
            Self::Tool { .. } => "tool_failed",
            Self::Demo(_) => "demo_failed",
            Self::KeyName(_) => "key_name",
        }
    }

    /// Exit code: 1 the answer is no, 2 usage or unreadable input, 3 environment.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Policy(_) | Self::NotSimulated { .. } | Self::OtherCa | Self::UnknownKey(_) | Self::Demo(_) => 1,
            Self::State(_) | Self::KeyName(_) => 2,
            _ => 3,
        }
    }
}

impl std::fmt::Display for LocalError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path, error) => write!(f, "{}: {error}", path.display()),
            Self::State(path) => {
                write!(f, "{} is not of this version's form; use a new --dir", path.display())
            }
            Self::Kms(error) => write!(f, "local KMS: {error}"),
            Self::Nsm(error) => write!(f, "mock NSM: {error}"),
            Self::Policy(error) => error.fmt(f),
            Self::NotSimulated { url } => {
                write!(f, "the policy must name the local KMS: [kms] simulated = {{ url = \"{url}\", ca = … }}")
            }
            Self::OtherCa => f.write_str(
                "the policy's kms.simulated.ca is not the CA of this --dir; use the file kms/ca.pem inside it",
            ),
            Self::UnknownKey(arn) => {
                write!(f, "the policy names {arn}, which this local KMS does not hold; see `packproof-local keys`")
            }
            Self::Image(error) => error.fmt(f),
            Self::Enclave(reason) => write!(f, "the enclave did not start: {reason}"),
            Self::Port(port, error) => write!(f, "port {port} for the local KMS cannot be used: {error}"),
            Self::Tool { tool, reason } => write!(f, "{tool}: {reason}; is it installed"),
            Self::Demo(step) => write!(f, "the demo did not turn out as it must: {step}"),
            Self::KeyName(name) => write!(f, "{name:?} is no key name; use lower-case letters, digits and dashes"),
        }
    }
}

impl std::error::Error for LocalError {}

impl From<packproof_local_kms::Error> for LocalError {
    fn from(error: packproof_local_kms::Error) -> Self {
        Self::Kms(error)
    }
}

impl From<EifError> for LocalError {
    fn from(error: EifError) -> Self {
        Self::Image(error)
    }
}
