//! Why an approval cannot be made or sent.

use std::{fmt, io, path::PathBuf};

/// Why an approval cannot be made or sent.
#[derive(Debug)]
pub enum ApprovalError {
    /// The policy has no entry for this identity and environment.
    NotInPolicy(String, String),
    /// The policy asks for no approvals here.
    NotAsked,
    /// There is no `ssh-keygen` to call.
    SshKeygenNotFound(io::Error),
    /// `ssh-keygen` made no signature.
    NotSigned {
        /// The key that was named.
        key: PathBuf,
        /// What `ssh-keygen` said.
        reason: String,
    },
    /// A file is not an approval.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
    /// An approval is of something else.
    Mismatch {
        /// The file.
        path: PathBuf,
        /// Which line differs.
        what: &'static str,
        /// What it says.
        found: String,
        /// What would be packed.
        expected: String,
    },
}

impl ApprovalError {
    /// Stable snake_case code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotInPolicy(..) => "not_in_policy",
            Self::NotAsked => "approvals_not_asked",
            Self::SshKeygenNotFound(_) => "ssh_keygen_not_found",
            Self::NotSigned { .. } => "approval_not_signed",
            Self::Unreadable { .. } => "approval_unreadable",
            Self::Mismatch { .. } => "approval_mismatch",
        }
    }

    /// As [`Error::exit_code`](crate::Error::exit_code).
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotInPolicy(..) | Self::NotAsked | Self::Mismatch { .. } => 1,
            Self::Unreadable { .. } => 2,
            Self::SshKeygenNotFound(_) | Self::NotSigned { .. } => 3,
        }
    }

    /// What to do next.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotInPolicy(..) => "name one of the policy's [[pack]] entries, or give the right --policy",
            Self::NotAsked => {
                "leave approvals away, or add approvals = { threshold, from } to the policy and pin the new image"
            }
            Self::SshKeygenNotFound(_) => "install OpenSSH and put ssh-keygen on PATH",
            Self::NotSigned { .. } => {
                "name a private key with --key, or a public key whose private one is in the agent"
            }
            Self::Unreadable { .. } => "packproof approve makes approvals; the file must be whole and unchanged",
            Self::Mismatch { .. } => "have it approved again, for this commit, identity, environment and policy",
        }
    }
}

impl fmt::Display for ApprovalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInPolicy(identity, environment) => {
                write!(f, "the policy has no [[pack]] for {identity:?} in {environment:?}")
            }
            Self::NotAsked => f.write_str("the policy asks for no approvals for this identity and environment"),
            Self::SshKeygenNotFound(error) => write!(f, "ssh-keygen cannot be run: {error}"),
            Self::NotSigned { key, reason } => write!(f, "ssh-keygen did not sign with {}: {reason}", key.display()),
            Self::Unreadable { path, reason } => write!(f, "{} is not an approval: {reason}", path.display()),
            Self::Mismatch { path, what, found, expected } => {
                write!(f, "{} approves {what} {found:?}, and this pack is of {expected:?}", path.display())
            }
        }
    }
}

impl std::error::Error for ApprovalError {}

impl From<ApprovalError> for crate::Error {
    fn from(error: ApprovalError) -> Self {
        Self::Approval(error)
    }
}
