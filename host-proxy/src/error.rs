//! Every way to fail, with a stable code, an exit code and what to do next.

use std::{fmt, io, path::PathBuf};

use packproof_artifact::{envelope::ArtifactError, manifest::ManifestError, matrix::MatrixError};
use packproof_eif::EifError;
use packproof_gitobj::{GitError, sshsig::SshSigError};
use packproof_receipt::policy::PolicyError;
use packproof_sops::SopsError;
use packproof_wire::{ErrorAnswer, ErrorClass, FrameError};

pub use crate::open::OpenError;
use crate::{
    approve::ApprovalError,
    credentials::CredentialsError,
    output::{code_or, printable_line},
};

/// Why a command failed. Messages quote names, paths, ids and lengths, never the content of a file.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The command line makes no sense; the text says why.
    Usage(String),
    /// A part of the design that this version does not have.
    NotSupported {
        /// Flag or address, as the user knows it.
        what: &'static str,
        /// Code of its own, so that scripts can tell.
        code: &'static str,
    },
    /// Neither `--enclave` nor `PACKPROOF_ENCLAVE`.
    EnclaveNotNamed,
    /// An enclave address of no known form.
    EnclaveAddress(String),
    /// No sealed signer was given.
    SignerMissing,
    /// The policy says `unseal`, and no sealed age key was given.
    AgeKeyMissing,
    /// A sealed age key was given, and the policy opens these cells with KMS.
    AgeKeyNotUsed,
    /// A file is not a sealed key.
    SealedKey {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A sealed key says that it is for something else.
    SealedKeyMismatch {
        /// The file.
        path: PathBuf,
        /// `purpose identity/environment` as the file has it.
        found: String,
        /// The same as needed.
        expected: String,
    },
    /// There are no AWS credentials.
    Credentials(CredentialsError),
    /// A file cannot be read.
    CannotRead {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file is larger than anything of its kind.
    FileTooLong {
        /// The file.
        path: PathBuf,
        /// Bytes.
        maximum: u64,
    },
    /// A file cannot be written.
    CannotWrite {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file is there already, and overwriting it would lose something.
    FileExists(PathBuf),
    /// Artifact and receipt would be one file.
    SamePath(PathBuf),
    /// The command's own output cannot be written.
    Output(io::Error),
    /// There is no `git` to call.
    GitNotFound(io::Error),
    /// The folder is not in a git repository.
    NotARepository(PathBuf),
    /// The revision names no commit.
    UnknownRevision(String),
    /// git failed in a way of its own.
    GitFailed(String),
    /// The repository's ids are of another kind than the policy's.
    ObjectFormat {
        /// By the policy.
        expected: String,
        /// The commit id found.
        commit: String,
    },
    /// An object that the commit names is not in the repository.
    ObjectMissing {
        /// Its id.
        id: String,
        /// What it is.
        what: String,
    },
    /// An object cannot be walked.
    Object(GitError),
    /// The commit holds no manifest.
    ManifestNotInCommit {
        /// The policy's path.
        path: String,
        /// The commit.
        commit: String,
    },
    /// The manifest is refused.
    Manifest(ManifestError),
    /// The matrix is refused.
    Matrix(MatrixError),
    /// The manifest has no such identity.
    UnknownIdentity {
        /// As asked for.
        identity: String,
        /// Those it has.
        known: Vec<String>,
    },
    /// The identity has no such environment.
    UnknownEnvironment {
        /// As asked for.
        identity: String,
        /// As asked for.
        environment: String,
        /// Those it has.
        known: Vec<String>,
    },
    /// The measured policy, or a policy file, is refused.
    Policy(PolicyError),
    /// A cell is not a SOPS file that can be packed.
    Cell {
        /// The file.
        path: PathBuf,
        /// Why.
        error: SopsError,
    },
    /// A key of the policy has the right form and is no key that could have signed anything.
    PolicyKey {
        /// The policy's name of the signer.
        signer: String,
        /// Why.
        error: SshSigError,
    },
    /// `policy init` cannot know everything.
    PolicyIncomplete(Vec<String>),
    /// `policy init` meets something that a policy of this version cannot say.
    PolicyNotPossible(String),
    /// The request would be longer than the measured policy allows.
    RequestTooLarge {
        /// The policy's limit in bytes.
        maximum: usize,
    },
    /// Nothing answers at the address.
    EnclaveUnreachable {
        /// The address.
        address: String,
        /// Why.
        reason: String,
    },
    /// The enclave accepted the request and did not answer in time.
    EnclaveTimeout {
        /// How long was waited.
        seconds: u64,
    },
    /// The stream broke or does not carry the protocol.
    Frame(FrameError),
    /// The answer is not of the protocol.
    AnswerUnreadable(String),
    /// The answer belongs to another request.
    AnswerMismatch(String),
    /// An approval cannot be made or sent.
    Approval(ApprovalError),
    /// The enclave's own no.
    Enclave(ErrorAnswer),
    /// An artifact is not opened.
    Open(OpenError),
    /// A file is not an artifact.
    Artifact {
        /// The file.
        path: PathBuf,
        /// Why.
        error: ArtifactError,
    },
    /// A release or its image is refused.
    Image(EifError),
    /// A file of `kms-policy explain` is not what AWS prints, or holds something that cannot be judged.
    KeyPolicyFile {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// `kms-policy generate --key` names a key that no policy uses.
    KeyNotInPolicy {
        /// As asked for.
        arn: String,
        /// Those there are.
        known: Vec<String>,
    },
    /// Two policies use one key for different things.
    KeyPolicyConflict {
        /// The key.
        arn: String,
        /// Use and environment by the first policy.
        first: String,
        /// The same by the second.
        second: String,
    },
}

impl Error {
    /// Stable snake_case code.
    pub fn code(&self) -> &str {
        match self {
            Self::Usage(_) => "usage",
            Self::NotSupported { code, .. } => code,
            Self::EnclaveNotNamed => "enclave_not_named",
            Self::EnclaveAddress(_) => "enclave_address",
            Self::SignerMissing => "signer_missing",
            Self::AgeKeyMissing => "age_key_missing",
            Self::AgeKeyNotUsed => "age_key_not_used",
            Self::SealedKey { .. } => "sealed_key_unreadable",
            Self::SealedKeyMismatch { .. } => "sealed_key_mismatch",
            Self::Credentials(error) => error.code(),
            Self::CannotRead { .. } => "cannot_read",
            Self::FileTooLong { .. } => "file_too_long",
            Self::CannotWrite { .. } => "cannot_write",
            Self::FileExists(_) => "file_exists",
            Self::SamePath(_) => "same_path",
            Self::Output(_) => "cannot_print",
            Self::GitNotFound(_) => "git_not_found",
            Self::NotARepository(_) => "not_a_repository",
            Self::UnknownRevision(_) => "unknown_revision",
            Self::GitFailed(_) => "git_failed",
            Self::ObjectFormat { .. } => "object_format",
            Self::ObjectMissing { .. } => "object_missing",
            Self::Object(error) => error.code(),
            Self::ManifestNotInCommit { .. } => "manifest_not_in_commit",
            Self::Manifest(error) => error.code(),
            Self::Matrix(error) => error.code(),
            Self::UnknownIdentity { .. } => "unknown_identity",
            Self::UnknownEnvironment { .. } => "unknown_environment",
            Self::Policy(error) => error.code(),
            Self::Cell { error, .. } => error.code(),
            Self::PolicyKey { .. } => "policy_signer_key",
            Self::PolicyIncomplete(_) => "policy_incomplete",
            Self::PolicyNotPossible(_) => "policy_not_possible",
            Self::RequestTooLarge { .. } => "request_too_large",
            Self::EnclaveUnreachable { .. } => "enclave_unreachable",
            Self::EnclaveTimeout { .. } => "enclave_timeout",
            Self::Frame(error) => error.code(),
            Self::AnswerUnreadable(_) => "answer_unreadable",
            Self::AnswerMismatch(_) => "answer_mismatch",
            Self::Approval(error) => error.code(),
            Self::Enclave(answer) => code_or(&answer.code, "enclave_error"),
            Self::Open(error) => error.code(),
            Self::Artifact { error, .. } => error.code(),
            Self::Image(error) => error.code(),
            Self::KeyPolicyFile { .. } => "key_policy_unreadable",
            Self::KeyNotInPolicy { .. } => "key_not_in_policy",
            Self::KeyPolicyConflict { .. } => "key_policy_conflict",
        }
    }

    /// 1 the answer is no, 2 usage or unreadable input, 3 environment (design, section 10).
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Approval(error) => error.exit_code(),
            Self::Credentials(error) => error.exit_code(),
            Self::Enclave(answer) => match answer.class {
                ErrorClass::Refused => 1,
                ErrorClass::Usage => 2,
                ErrorClass::Environment => 3,
            },
            Self::Open(error) => error.exit_code(),
            Self::Object(_)
            | Self::ManifestNotInCommit { .. }
            | Self::Manifest(_)
            | Self::Matrix(_)
            | Self::ObjectFormat { .. }
            | Self::UnknownIdentity { .. }
            | Self::UnknownEnvironment { .. }
            | Self::Policy(_)
            | Self::Cell { .. }
            | Self::PolicyNotPossible(_)
            | Self::PolicyKey { .. }
            | Self::RequestTooLarge { .. }
            | Self::Image(EifError::SectionDiffers(_) | EifError::Pcr1Differs | EifError::Policy(_))
            | Self::KeyPolicyConflict { .. }
            | Self::AnswerMismatch(_) => 1,
            Self::CannotWrite { .. }
            | Self::Output(_)
            | Self::GitNotFound(_)
            | Self::GitFailed(_)
            | Self::ObjectMissing { .. }
            | Self::EnclaveUnreachable { .. }
            | Self::EnclaveTimeout { .. }
            | Self::Frame(_)
            | Self::AnswerUnreadable(_) => 3,
            _ => 2,
        }
    }

    /// What to do next, where the message does not say.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Open(error) => error.hint()?,
            Self::Usage(_) => "packproof --help lists commands and flags",
            Self::NotSupported { .. } => "leave it out, or use a later version",
            Self::EnclaveNotNamed => "give --enclave vsock:CID:PORT or unix:PATH, or set PACKPROOF_ENCLAVE",
            Self::EnclaveAddress(_) => "addresses are vsock:CID:PORT and unix:PATH",
            Self::SignerMissing => "give --signer FILE or set PACKPROOF_SIGNER; packproof seal signer makes the file",
            Self::AgeKeyMissing => {
                "give --age-key FILE or set PACKPROOF_AGE_KEY; packproof seal age-key makes the file"
            }
            Self::AgeKeyNotUsed => "leave --age-key out for this identity and environment",
            Self::SealedKey { .. } => "packproof seal makes sealed keys; the file must be whole and unchanged",
            Self::SealedKeyMismatch { .. } => "give the sealed key that was made for this identity and environment",
            Self::Credentials(error) => error.hint(),
            Self::FileExists(_) => "name another file, or move this one away yourself",
            Self::SamePath(_) => "give --receipt another name",
            Self::GitNotFound(_) => "install git and put it on PATH",
            Self::NotARepository(_) => "run inside the repository, or give --dir REPO (or GIT_DIR)",
            Self::UnknownRevision(_) => "give a branch, tag or commit id that is in this repository, or fetch it first",
            Self::ObjectFormat { .. } => "the policy's [source] object_format must be the repository's",
            Self::ObjectMissing { .. } => {
                "a shallow or partial clone may lack it: git fetch --unshallow, or git fetch with the commit id"
            }
            Self::ManifestNotInCommit { .. } => "commit the manifest, or name the commit that has it with --commit",
            Self::PolicyKey { .. } => "put the line of the signer's .pub file there, as ssh-keygen wrote it",
            Self::PolicyIncomplete(_) => {
                "give each flag once for every line; the values come from whoever owns the keys"
            }
            Self::RequestTooLarge { .. } => "raise [limits] max_request_bytes in the policy, or make the cells smaller",
            Self::EnclaveUnreachable { .. } => "start the enclave, or correct --enclave or PACKPROOF_ENCLAVE",
            Self::EnclaveTimeout { .. } => "try again; if it lasts, restart the enclave and its egress",
            Self::Frame(_) | Self::AnswerUnreadable(_) => {
                "see that --enclave names a packproof enclave of this release, and try again"
            }
            Self::Approval(error) => error.hint(),
            Self::AnswerMismatch(_) => "nothing was written; whatever answers there is not the enclave you asked",
            Self::KeyPolicyFile { .. } => "give the answer of the aws command as it is; nothing of it is passed over",
            Self::KeyPolicyConflict { .. } => {
                "give each environment and purpose a key of its own, and correct one of the policies"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(reason) => f.write_str(reason),
            Self::NotSupported { what, .. } => write!(f, "{what} is not supported by this version"),
            Self::EnclaveNotNamed => f.write_str("no enclave is named"),
            Self::EnclaveAddress(text) => write!(f, "{text:?} is no enclave address"),
            Self::SignerMissing => f.write_str("a pack needs the sealed signer of this identity and environment"),
            Self::AgeKeyMissing => {
                f.write_str("the policy opens these cells with a sealed age key, and none was given")
            }
            Self::AgeKeyNotUsed => f.write_str("the policy opens these cells with KMS, not with a sealed age key"),
            Self::SealedKey { path, reason } => write!(f, "{} is not a sealed key: {reason}", path.display()),
            Self::SealedKeyMismatch { path, found, expected } => {
                write!(f, "{} is a sealed {}, not the {expected} asked for", path.display(), printable_line(found))
            }
            Self::Credentials(error) => error.fmt(f),
            Self::CannotRead { path, error } => write!(f, "cannot read {}: {error}", path.display()),
            Self::FileTooLong { path, maximum } => {
                write!(f, "{} is longer than {maximum} bytes; it cannot be the file that is meant", path.display())
            }
            Self::CannotWrite { path, error } => write!(f, "cannot write {}: {error}", path.display()),
            Self::FileExists(path) => write!(f, "{} exists and is not overwritten", path.display()),
            Self::SamePath(path) => write!(f, "artifact and receipt cannot both be {}", path.display()),
            Self::Output(error) => write!(f, "cannot print the result: {error}"),
            Self::GitNotFound(error) => write!(f, "cannot run git: {error}"),
            Self::NotARepository(path) => write!(f, "{} is not in a git repository", path.display()),
            Self::UnknownRevision(revision) => write!(f, "{revision:?} names no commit of this repository"),
            Self::GitFailed(reason) => write!(f, "git failed: {}", printable_line(reason)),
            Self::ObjectFormat { expected, commit } => {
                write!(f, "the policy wants object ids of {expected}, and the commit is {commit}")
            }
            Self::ObjectMissing { id, what } => write!(f, "object {id} ({what}) is not in the repository"),
            Self::Object(error) => error.fmt(f),
            Self::ManifestNotInCommit { path, commit } => write!(f, "commit {commit} has no file {path:?}"),
            Self::Manifest(error) => write!(f, "manifest: {error}"),
            Self::Matrix(error) => write!(f, "manifest: {error}"),
            Self::UnknownIdentity { identity, known } => {
                write!(f, "the manifest has no service identity {identity:?}; it has {}", list(known))
            }
            Self::UnknownEnvironment { identity, environment, known } => write!(
                f,
                "the manifest has no environment {environment:?} for service identity {identity:?}; it has {}",
                list(known)
            ),
            Self::Policy(error) => error.fmt(f),
            Self::Cell { path, error } => write!(f, "{}: {error}", path.display()),
            Self::PolicyIncomplete(missing) => {
                f.write_str("the repository does not say everything that a policy needs; missing:")?;
                missing.iter().try_for_each(|line| write!(f, "\n  {line}"))
            }
            Self::PolicyNotPossible(reason) => f.write_str(reason),
            Self::RequestTooLarge { maximum } => {
                write!(f, "the git objects do not fit into a request of {maximum} bytes, the policy's limit")
            }
            Self::EnclaveUnreachable { address, reason } => write!(f, "no enclave answers at {address}: {reason}"),
            Self::EnclaveTimeout { seconds } => write!(f, "the enclave did not answer within {seconds} seconds"),
            Self::Frame(error) => error.fmt(f),
            Self::AnswerUnreadable(reason) => write!(f, "the enclave's answer cannot be read: {reason}"),
            Self::PolicyKey { signer, error } => {
                write!(f, "the SSH key of {signer:?} in the policy is no usable key: {error}")
            }
            Self::Approval(error) => error.fmt(f),
            Self::AnswerMismatch(reason) => write!(f, "the enclave's answer is not to this request: {reason}"),
            Self::Enclave(answer) => f.write_str(&printable_line(&answer.message)),
            Self::Open(error) => error.fmt(f),
            Self::Artifact { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Image(error) => error.fmt(f),
            Self::KeyPolicyFile { path, reason } => {
                write!(f, "{} cannot be judged: {}", path.display(), printable_line(reason))
            }
            Self::KeyNotInPolicy { arn, known } => {
                write!(f, "no policy uses the key {arn:?}; they use {}", list(known))
            }
            Self::KeyPolicyConflict { arn, first, second } => {
                write!(f, "{arn} is used for {first} by one policy and for {second} by the other")
            }
        }
    }
}

impl std::error::Error for Error {}

impl From<CredentialsError> for Error {
    fn from(error: CredentialsError) -> Self {
        Self::Credentials(error)
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_enclaves_class_decides_the_exit_code() {
        let exit = |class| {
            let answer = ErrorAnswer { code: "x".into(), class, message: String::new() };
            Error::Enclave(answer).exit_code()
        };
        assert_eq!([ErrorClass::Refused, ErrorClass::Usage, ErrorClass::Environment].map(exit), [1, 2, 3]);
    }

    #[test]
    fn an_enclaves_words_cannot_drive_a_terminal() {
        let answer = ErrorAnswer {
            code: "x\u{1b}[2J".into(),
            class: ErrorClass::Refused,
            message: "a\u{1b}]0;b\u{7}\r\nhint: c\u{202e}".into(),
        };
        let error = Error::Enclave(answer);
        assert_eq!(error.code(), "enclave_error");
        let text = error.to_string();
        assert!(!text.chars().any(|c| c.is_control() || c == '\u{202e}'), "{text:?}");
        assert!(text.contains("\\u{1b}"), "{text}");
    }
}
