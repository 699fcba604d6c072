//! Why an artifact is not opened.

use std::{fmt, path::PathBuf};

use packproof_artifact::{envelope::ArtifactError, seal::SealError};

use crate::Error;

/// Why an artifact is not opened. No message has anything of a plaintext or a key.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The artifact is revoked, or its hash is wrong.
    Refused(ArtifactError),
    /// Its time is over.
    Expired {
        /// Its `expiresAt`, printable.
        at: String,
    },
    /// `expiresAt` is not a date as Clef writes it.
    ExpiryUnreadable,
    /// `--signer-key` is not base64 of a DER public key, Ed25519 or P-256.
    SignerKey,
    /// `--signer-key`, and the artifact has no signature.
    NotSigned,
    /// The signature is not by this key over this artifact.
    BadSignature,
    /// An age artifact and no identity.
    AgeIdentityMissing,
    /// A KMS artifact of another cloud than AWS, and no data key.
    DataKeyMissing,
    /// The envelope is not one that AWS KMS could open.
    Envelope(&'static str),
    /// AWS's command-line tool is not installed.
    AwsToolMissing,
    /// The tool did not reach KMS, or had no credentials; with its own words.
    AwsTool(String),
    /// KMS says no; with the tool's words.
    KmsRefused(String),
    /// What KMS unwrapped is no data key.
    KmsAnswer,
    /// A key of the wrong kind.
    KeyNotUsed {
        /// What was given.
        flag: &'static str,
        /// What the artifact is.
        kind: &'static str,
    },
    /// An age identity file, or a data key, that is none.
    Key {
        /// The file; absent for an environment variable.
        path: Option<PathBuf>,
        /// Why.
        reason: &'static str,
    },
    /// The key does not open it.
    Seal(SealError),
    /// What came out is not what Clef packs.
    PlaintextShape,
    /// `--key` names what is not there.
    UnknownKey,
    /// `--key` names two values: `a__b` in the namespace `x`, and `b` in `x__a`.
    AmbiguousKey,
}

impl OpenError {
    /// Stable snake_case code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused(error) => error.code(),
            Self::Expired { .. } => "artifact_expired",
            Self::ExpiryUnreadable => "artifact_expiry_unreadable",
            Self::SignerKey => "signer_key_unreadable",
            Self::NotSigned => "artifact_not_signed",
            Self::BadSignature => "artifact_bad_signature",
            Self::AgeIdentityMissing => "age_identity_missing",
            Self::DataKeyMissing => "data_key_missing",
            Self::Envelope(_) => "envelope_unusable",
            Self::AwsToolMissing => "aws_tool_missing",
            Self::AwsTool(_) => "aws_tool_failed",
            Self::KmsRefused(_) => "kms_refused",
            Self::KmsAnswer => "kms_answer",
            Self::KeyNotUsed { .. } => "key_not_used",
            Self::Key { .. } => "key_unreadable",
            Self::Seal(error) => error.code(),
            Self::PlaintextShape => "plaintext_shape",
            Self::UnknownKey => "unknown_key",
            Self::AmbiguousKey => "ambiguous_key",
        }
    }

    /// 1 the answer is no, 2 usage or unreadable input, 3 the surroundings.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(_)
            | Self::Expired { .. }
            | Self::ExpiryUnreadable
            | Self::NotSigned
            | Self::BadSignature
            | Self::Envelope(_)
            | Self::KmsRefused(_)
            | Self::KmsAnswer
            | Self::Seal(_)
            | Self::PlaintextShape
            | Self::UnknownKey => 1,
            Self::SignerKey
            | Self::AgeIdentityMissing
            | Self::DataKeyMissing
            | Self::KeyNotUsed { .. }
            | Self::AmbiguousKey
            | Self::Key { .. } => 2,
            Self::AwsToolMissing | Self::AwsTool(_) => 3,
        }
    }

    pub(crate) fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Expired { .. } => "pack again, or add --allow-expired to look at it nevertheless",
            Self::ExpiryUnreadable => "Clef's runtime would never expire it; pack again",
            Self::SignerKey => "give the public_key that packproof seal signer printed",
            Self::NotSigned | Self::BadSignature => "do not use it; packproof-verify says more if there is a receipt",
            Self::AgeIdentityMissing => {
                "give --identity FILE with the service's own identity, or set CLEF_AGE_KEY_FILE or CLEF_AGE_KEY"
            }
            Self::DataKeyMissing => {
                "unwrap its envelope.wrappedKey with your cloud's tool, as a role that may, and give --data-key FILE with \
                 the result in base64"
            }
            // The artifact's own texts stay out of it: whoever wrote the file would choose what is pasted into a shell.
            Self::AwsToolMissing => {
                "install AWS's command-line tool, or unwrap envelope.wrappedKey elsewhere and give --data-key FILE with \
                 the result in base64"
            }
            Self::AwsTool(_) => "see that `aws sts get-caller-identity` works, then try again",
            Self::KmsRefused(_) => "only the workload's role may use this key; take that role, or ask whoever has it",
            Self::Envelope(_) | Self::KmsAnswer => "it was not packed by packproof or clef pack",
            Self::KeyNotUsed { .. } => "packproof inspect shows what an artifact is encrypted with",
            Self::Key { .. } => {
                "an age identity is AGE-SECRET-KEY-1…; a data key is 32 bytes in base64; a sealed key opens only inside \
                 an enclave"
            }
            Self::Seal(_) => "see that the key is this service's and this environment's",
            Self::PlaintextShape => "it was not packed by packproof or clef pack",
            Self::UnknownKey => "without --key the names are listed",
            Self::AmbiguousKey => "write it as NAMESPACE/KEY",
            Self::Refused(_) => return None,
        })
    }
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::Expired { at } => write!(f, "the artifact expired at {at}"),
            Self::ExpiryUnreadable => f.write_str("the artifact's expiresAt is no date that can be read"),
            Self::SignerKey => f.write_str("--signer-key is not base64 of a DER public key, Ed25519 or P-256"),
            Self::NotSigned => f.write_str("the artifact has no signature"),
            Self::BadSignature => f.write_str("the artifact's signature is not by this key over this artifact"),
            Self::AgeIdentityMissing => {
                f.write_str("the artifact is encrypted with age, and no age identity was given")
            }
            Self::DataKeyMissing => {
                f.write_str("the artifact's data key is wrapped by a KMS that this command does not call")
            }
            Self::Envelope(reason) => write!(f, "the artifact's envelope cannot be opened: {reason}"),
            Self::AwsToolMissing => {
                f.write_str("the artifact's data key is wrapped by AWS KMS, and there is no program aws")
            }
            Self::AwsTool(reason) => write!(f, "aws kms decrypt failed: {reason}"),
            Self::KmsRefused(reason) => write!(f, "KMS does not unwrap the data key: {reason}"),
            Self::KmsAnswer => f.write_str("what KMS unwrapped is no data key of 32 bytes"),
            Self::KeyNotUsed { flag, kind } => write!(f, "{flag} cannot open this: it is a {kind} artifact"),
            Self::Key { path: Some(path), reason } => write!(f, "{}: {reason}", path.display()),
            Self::Key { path: None, reason } => write!(f, "CLEF_AGE_KEY: {reason}"),
            Self::Seal(error) => error.fmt(f),
            Self::PlaintextShape => f.write_str("the artifact opens, but what is in it is not namespaces of texts"),
            Self::UnknownKey => f.write_str("the artifact has no such key"),
            Self::AmbiguousKey => f.write_str("--key fits two values"),
        }
    }
}

impl std::error::Error for OpenError {}
