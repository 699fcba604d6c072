//! Why evidence is refused.

use std::fmt;

use packproof_receipt::document::DocumentError;
use packproof_receipt::time::UnixMillis;

use crate::x509::CertificateError;

/// Which certificate of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// The first of the `cabundle`.
    Root,
    /// The one with this index in the `cabundle`; 1 is the one the root signed.
    Intermediate(usize),
    /// The document's `certificate`.
    Leaf,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("root certificate"),
            Self::Intermediate(index) => write!(f, "certificate {index} of the cabundle"),
            Self::Leaf => f.write_str("leaf certificate"),
        }
    }
}

/// Why evidence is refused. Check numbers are those of the verifier's checklist.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EvidenceError {
    /// Not a well-formed document of an enclave (checks 1 to 5 and 7 to 13).
    Document(DocumentError),
    /// The module is not an enclave's.
    WrongDocumentKind,
    /// The text given as root is not one PEM certificate of the profile.
    RootPem,
    /// The document's root is not the pinned one.
    ChainRootMismatch {
        /// SHA-256 of the pinned root.
        expected: [u8; 32],
        /// SHA-256 of the document's root.
        found: [u8; 32],
    },
    /// A certificate is malformed or not of the profile.
    Certificate {
        /// Which one.
        position: Position,
        /// What is wrong with it.
        problem: CertificateError,
    },
    /// A certificate's issuer is not the subject of the one before it.
    ChainIssuer {
        /// Which one.
        position: Position,
    },
    /// A certificate is not signed by the one before it.
    ChainSignature {
        /// Which one.
        position: Position,
    },
    /// An authority is not marked as one, critically; or the leaf is.
    BasicConstraints {
        /// Which one.
        position: Position,
    },
    /// More authorities follow than the certificate allows.
    PathLength {
        /// Which one.
        position: Position,
    },
    /// An authority may not sign certificates; or the leaf may, or may not sign documents.
    KeyUsage {
        /// Which one.
        position: Position,
    },
    /// A certificate was not valid when the document was made.
    Validity {
        /// Which one.
        position: Position,
        /// Time of the document.
        at: UnixMillis,
        /// Start of the certificate's validity.
        not_before: UnixMillis,
        /// End of the certificate's validity.
        not_after: UnixMillis,
    },
    /// The leaf lives longer than the leaves of Nitro do.
    LeafWindow {
        /// Its validity in seconds.
        seconds: u64,
    },
    /// The root is not named as the root of a partition.
    RootCommonName,
    /// The names in the chain do not agree on region and partition.
    RegionMismatch,
    /// The leaf's issuer is not named after the module's instance.
    InstanceCommonName,
    /// The leaf is not named after the module.
    LeafCommonName,
    /// PCR4 is not the measurement of the module's instance.
    InstanceRegister,
    /// The leaf's key did not sign this document.
    CoseSignature,
    /// The enclave runs in debug mode: its console is open to the host and it is not measured.
    DebugMode {
        /// The first register that is zero.
        index: u8,
    },
}

impl EvidenceError {
    /// Number of the check in the checklist that refused.
    #[must_use]
    pub const fn check(&self) -> u8 {
        match self {
            Self::Document(error) => error.check(),
            Self::WrongDocumentKind => 13,
            Self::RootPem => 14,
            Self::ChainRootMismatch { .. } => 16,
            Self::Certificate { problem, .. } => problem.check(),
            Self::ChainIssuer { .. } | Self::ChainSignature { .. } => 17,
            Self::BasicConstraints { .. } | Self::PathLength { .. } | Self::KeyUsage { .. } => 18,
            Self::Validity { .. } | Self::LeafWindow { .. } => 19,
            Self::RootCommonName
            | Self::RegionMismatch
            | Self::InstanceCommonName
            | Self::LeafCommonName
            | Self::InstanceRegister => 20,
            Self::CoseSignature => 22,
            Self::DebugMode { .. } => 24,
        }
    }

    /// Stable identifier of the cause.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Document(error) => error.code(),
            Self::WrongDocumentKind => "wrong_document_kind",
            Self::RootPem => "root_pem",
            Self::ChainRootMismatch { .. } => "chain_root_mismatch",
            Self::Certificate { problem, .. } => problem.code(),
            Self::ChainIssuer { .. } => "chain_issuer",
            Self::ChainSignature { .. } => "chain_signature",
            Self::BasicConstraints { .. } => "cert_basic_constraints",
            Self::PathLength { .. } => "cert_path_length",
            Self::KeyUsage { .. } => "cert_key_usage",
            Self::Validity { .. } => "cert_validity",
            Self::LeafWindow { .. } => "leaf_window",
            Self::RootCommonName => "root_common_name",
            Self::RegionMismatch => "region_mismatch",
            Self::InstanceCommonName => "instance_common_name",
            Self::LeafCommonName => "leaf_common_name",
            Self::InstanceRegister => "instance_register",
            Self::CoseSignature => "cose_signature",
            Self::DebugMode { .. } => "debug_mode",
        }
    }
}

impl fmt::Display for EvidenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Document(error) => error.fmt(f),
            Self::WrongDocumentKind => {
                f.write_str("the module is not an enclave's: its id is not i-<17 hex>-enc<16 hex>")
            }
            Self::RootPem => f.write_str("the root is not one PEM certificate with a P-384 key"),
            Self::ChainRootMismatch { expected, found } => write!(
                f,
                "the document's root has SHA-256 {}, trusted is {}; simulated evidence needs its own root",
                hex::encode(found),
                hex::encode(expected)
            ),
            Self::Certificate { position, problem } => write!(f, "{position}: {problem}"),
            Self::ChainIssuer { position } => write!(f, "{position}: issuer is not the certificate before it"),
            Self::ChainSignature { position } => write!(f, "{position}: not signed by the certificate before it"),
            Self::BasicConstraints { position } => {
                write!(f, "{position}: basicConstraints do not fit its place in the chain")
            }
            Self::PathLength { position } => write!(f, "{position}: more authorities follow than it allows"),
            Self::KeyUsage { position } => write!(f, "{position}: keyUsage does not fit its place in the chain"),
            Self::Validity { position, at, not_before, not_after } => {
                write!(f, "{position}: valid from {not_before} to {not_after}, but the document is of {at}")
            }
            Self::LeafWindow { seconds } => write!(f, "leaf certificate: valid for {seconds} s, Nitro's live 3 hours"),
            Self::RootCommonName => f.write_str("root certificate: not named <partition>.nitro-enclaves"),
            Self::RegionMismatch => f.write_str("the names in the chain do not agree on region and partition"),
            Self::InstanceCommonName => f.write_str("the leaf's issuer is not named after the module's instance"),
            Self::LeafCommonName => f.write_str("leaf certificate: not named after the module"),
            Self::InstanceRegister => f.write_str("PCR4 is not the measurement of the module's instance id"),
            Self::CoseSignature => f.write_str("the document is not signed by its leaf certificate"),
            Self::DebugMode { index } => {
                write!(f, "PCR{index} is zero: the enclave runs in debug mode, start it without --debug-mode")
            }
        }
    }
}

impl std::error::Error for EvidenceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Document(error) => Some(error),
            Self::Certificate { problem, .. } => Some(problem),
            _ => None,
        }
    }
}
