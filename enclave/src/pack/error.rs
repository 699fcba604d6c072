//! Why a pack was refused. Every payload is safe to log: ids, paths, lengths, names that stand in the clear.

use packproof_artifact::{
    manifest::ManifestError, matrix::MatrixError, schema::SchemaError, seal::SealError, sidecar::SidecarError,
};
use packproof_gitobj::{GitError, sshsig::SshSigError};
use packproof_kms::KmsError;
use packproof_nsm::NsmError;
use packproof_receipt::time::UnixMillis;
use packproof_sops::SopsError;
use packproof_wire::{ErrorAnswer, ErrorClass};

use crate::session::SessionError;

/// Why a pack (or a seal) was refused.
#[derive(Debug)]
pub enum PackError {
    /// The request itself is not well formed.
    Request(&'static str),
    /// The measured policy does not list this identity and environment.
    NotInPolicy {
        /// Identity asked for.
        identity: String,
        /// Environment asked for.
        environment: String,
    },
    /// The policy pins no key yet, so only `seal` is allowed.
    OnlySeal {
        /// `signer.public_key` or `unseal.recipient`.
        missing: &'static str,
    },
    /// The policy pins this key already, so `seal` is refused.
    AlreadySealed {
        /// `signer.public_key` or `unseal.recipient`.
        pinned: &'static str,
    },
    /// The policy has no sealed age key for this identity and environment.
    NoSealedAgeKey,
    /// The lifetime asked for is zero or above the policy's maximum.
    Ttl {
        /// The maximum.
        max_seconds: u64,
    },
    /// An object, a path or the commit is not as git writes it, or missing.
    Git(GitError),
    /// The commit is not signed, or not by a signer the policy names here.
    Signature(SshSigError),
    /// A `[[source.signer]]` key of the policy cannot be read.
    PolicySigner(SshSigError),
    /// The signed committer date is too far in the past.
    CommitTooOld {
        /// Age in seconds.
        age_seconds: u64,
        /// The policy's bound.
        max_seconds: u64,
    },
    /// The signed committer date is in the future.
    CommitInFuture,
    /// The signed tagger date is in the future.
    TagInFuture,
    /// Fewer approvals came than the policy asks for.
    ApprovalsMissing {
        /// How many the policy asks for.
        threshold: usize,
        /// How many came.
        found: usize,
    },
    /// Approvals came and the policy asks for none.
    ApprovalsNotAsked,
    /// An approval's signature is not one over this pack by somebody whom the policy lets approve.
    Approval {
        /// Its place in the request, from 1.
        number: usize,
        /// Why not.
        error: SshSigError,
    },
    /// An approval has come to its end.
    ApprovalExpired {
        /// Its place in the request, from 1.
        number: usize,
        /// When it ended.
        not_after: UnixMillis,
    },
    /// The commit's signer approved too, by this or another key.
    ApprovalBySigner {
        /// Who.
        principal: String,
    },
    /// One person, or one key, approved twice.
    ApprovalTwice {
        /// Who.
        principal: String,
    },
    /// `.packproof/repository` is not a regular file of the commit.
    NoRepositoryMarker,
    /// The marker names another repository than the policy.
    WrongRepository,
    /// The manifest is not a regular file of the commit.
    NoManifest {
        /// The policy's path.
        path: String,
    },
    /// The manifest is not one by Clef's rules.
    Manifest(ManifestError),
    /// The matrix has two cells with one path, or a path outside the repository.
    Matrix(MatrixError),
    /// The manifest does not define the identity.
    UnknownIdentity(String),
    /// The manifest gives the identity no such environment.
    UnknownEnvironment(String),
    /// The manifest's recipient or envelope key is not the policy's.
    RecipientNotInPolicy {
        /// As the manifest has it.
        found: String,
    },
    /// The policy's age recipient is no key that anything may be encrypted to (checksum, low order).
    RecipientUnusable(SealError),
    /// The manifest gives the identity a namespace that the policy does not.
    NamespaceNotInPolicy(String),
    /// A cell of the matrix is proved absent and the policy says `missing_cells = "refuse"`.
    CellMissing(String),
    /// A cell is a symbolic link, a folder or a submodule.
    CellNotRegular(String),
    /// A cell is not a SOPS file that this version reads.
    Cell {
        /// Its path.
        path: String,
        /// What sops sees in the ciphertext.
        error: SopsError,
    },
    /// A cell carries no entry for a key that the policy names.
    NoAllowedKey {
        /// Its path.
        path: String,
        /// How many entries of each kind it carries instead, as [`packproof_sops::KeyEntry::kind`] names them.
        found: Vec<(&'static str, usize)>,
    },
    /// A cell's entry has another encryption context than the policy states.
    WrongContext(String),
    /// A cell's entry asks for another AWS role or profile, which the enclave does not take.
    EntryWantsRole(String),
    /// `only_recipients`: a cell can be opened by a key that is not in the policy.
    ForeignRecipient {
        /// Its path.
        path: String,
        /// Who else could open it.
        recipient: String,
    },
    /// The manifest gives a namespace a schema that the policy does not pin.
    SchemaNotPinned {
        /// The schema's path.
        path: String,
    },
    /// The policy pins schemas, and the manifest gives a packed namespace none.
    SchemaNotGiven {
        /// The namespace.
        namespace: String,
    },
    /// A pinned schema is not a regular file of the commit.
    SchemaMissing {
        /// Its path.
        path: String,
    },
    /// A schema has another SHA-256 than the policy pins.
    SchemaChanged {
        /// Its path.
        path: String,
    },
    /// A pinned schema is none that this version applies.
    Schema {
        /// Its path.
        path: String,
        /// Why.
        error: SchemaError,
    },
    /// `pending = "refuse"`: the sidecar of a cell says that values are placeholders still.
    Pending(String),
    /// A cell's sidecar cannot be read.
    Sidecar {
        /// Its path.
        path: String,
        /// Why.
        error: SidecarError,
    },
    /// The request carries objects that nothing needs.
    ExtraObjects {
        /// How many.
        count: usize,
    },
    /// A sealed key is needed and was not sent.
    SealedKeyMissing(&'static str),
    /// KMS, by purpose: `cell <path>`, `signer`, `age-key`, `envelope`.
    Kms {
        /// What for.
        purpose: String,
        /// Why.
        error: KmsError,
    },
    /// The policy's KMS key ARN is refused by the client.
    PolicyKey(KmsError),
    /// The sealed blob derives another signing key than the policy pins.
    WrongSealedSigner,
    /// The sealed blob derives another age key than the policy pins.
    WrongSealedAgeKey,
    /// Anything about plaintext: one code, naming only the cell, since anything finer is an oracle.
    ContentRefused(String),
    /// Encryption or signing failed: the random generator or memory.
    Crypto(&'static str),
    /// No session.
    Session(SessionError),
    /// The NSM did not make a document.
    Nsm(NsmError),
}

impl PackError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Request(_) => "request_malformed",
            Self::NotInPolicy { .. } => "not_in_policy",
            Self::OnlySeal { .. } => "only_seal_allowed",
            Self::AlreadySealed { .. } => "already_sealed",
            Self::NoSealedAgeKey => "no_sealed_age_key",
            Self::Ttl { .. } => "ttl_refused",
            Self::Git(error) => error.code(),
            Self::Signature(error) => error.code(),
            Self::PolicySigner(_) => "policy_signer_unreadable",
            Self::CommitTooOld { .. } => "commit_too_old",
            Self::CommitInFuture => "commit_in_future",
            Self::TagInFuture => "tag_in_future",
            Self::ApprovalsMissing { .. } => "approvals_missing",
            Self::ApprovalsNotAsked => "approvals_not_asked",
            Self::Approval { .. } => "approval_refused",
            Self::ApprovalExpired { .. } => "approval_expired",
            Self::ApprovalBySigner { .. } => "approval_by_signer",
            Self::ApprovalTwice { .. } => "approval_twice",
            Self::NoRepositoryMarker => "repository_marker_missing",
            Self::WrongRepository => "wrong_repository",
            Self::NoManifest { .. } => "manifest_not_in_commit",
            Self::Manifest(error) => error.code(),
            Self::Matrix(error) => error.code(),
            Self::UnknownIdentity(_) => "unknown_identity",
            Self::UnknownEnvironment(_) => "unknown_environment",
            Self::RecipientNotInPolicy { .. } => "recipient_not_in_policy",
            Self::RecipientUnusable(error) => error.code(),
            Self::NamespaceNotInPolicy(_) => "namespace_not_in_policy",
            Self::CellMissing(_) => "cell_missing",
            Self::CellNotRegular(_) => "cell_not_regular",
            Self::Cell { error, .. } => error.code(),
            Self::NoAllowedKey { .. } => "no_allowed_key",
            Self::WrongContext(_) => "wrong_encryption_context",
            Self::EntryWantsRole(_) => "key_entry_wants_role",
            Self::ForeignRecipient { .. } => "foreign_recipient",
            Self::SchemaNotPinned { .. } => "schema_not_pinned",
            Self::SchemaNotGiven { .. } => "schema_not_given",
            Self::SchemaMissing { .. } => "schema_missing",
            Self::SchemaChanged { .. } => "schema_changed",
            Self::Schema { error, .. } => error.code(),
            Self::Pending(_) => "pending_values",
            Self::Sidecar { error, .. } => error.code(),
            Self::ExtraObjects { .. } => "extra_objects",
            Self::SealedKeyMissing(_) => "sealed_key_missing",
            Self::Kms { error, .. } | Self::PolicyKey(error) => error.code(),
            Self::WrongSealedSigner => "wrong_sealed_signer",
            Self::WrongSealedAgeKey => "wrong_sealed_age_key",
            Self::ContentRefused(_) => "content_refused",
            Self::Crypto(_) => "crypto_failed",
            Self::Session(error) => error.code(),
            Self::Nsm(error) => error.code(),
        }
    }

    /// What kind of no it is.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Request(_) => ErrorClass::Usage,
            Self::Kms { error, .. } | Self::PolicyKey(error) | Self::Session(SessionError::Kms(error)) => {
                match error.class() {
                    packproof_kms::Class::Refused => ErrorClass::Refused,
                    packproof_kms::Class::Environment => ErrorClass::Environment,
                }
            }
            Self::Crypto(_) | Self::Session(_) | Self::Nsm(_) => ErrorClass::Environment,
            _ => ErrorClass::Refused,
        }
    }

    /// As it goes to the host.
    pub fn to_answer(&self) -> ErrorAnswer {
        ErrorAnswer { code: self.code().to_owned(), class: self.class(), message: self.to_string() }
    }
}

impl std::fmt::Display for PackError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Request(what) => write!(f, "the request is not well formed: {what}; use the packproof command of this release"),
            Self::NotInPolicy { identity, environment } => {
                write!(
                    f,
                    "the measured policy has no [[pack]] for {identity:?} in {environment:?}; add one and pin the new image"
                )
            }
            Self::OnlySeal { missing } => {
                write!(
                    f,
                    "the policy sets no {missing} here, so only `packproof seal` is allowed; seal, add it, pin the new image"
                )
            }
            Self::AlreadySealed { pinned } => {
                write!(f, "the policy pins {pinned} here, so another key is not made; remove it to rotate")
            }
            Self::NoSealedAgeKey => {
                f.write_str("the policy opens these cells with decrypt keys, not with a sealed age key; seal none, or say unseal in the policy")
            }
            Self::Ttl { max_seconds } => write!(f, "the ttl asked for is not within the policy; ask for 1 to {max_seconds} seconds"),
            Self::Git(error) => error.fmt(f),
            Self::Signature(error) => error.fmt(f),
            Self::PolicySigner(error) => write!(f, "a signer of the measured policy cannot be read: {error}"),
            Self::CommitTooOld { age_seconds, max_seconds } => write!(
                f,
                "the commit is {age_seconds} seconds old and the policy allows {max_seconds}; commit and sign anew"
            ),
            Self::CommitInFuture => {
                f.write_str("the commit's signed date is in the future; check the committer's clock")
            }
            Self::TagInFuture => f.write_str("the tag's signed date is in the future; check the tagger's clock"),
            Self::ApprovalsMissing { threshold, found } => write!(
                f,
                "the policy asks for {threshold} approvals and {found} came; have others run `packproof approve`, and pass \
                 their files with --approval"
            ),
            Self::ApprovalsNotAsked => {
                f.write_str("the policy asks for no approvals here, so none may be stated; leave --approval away")
            }
            Self::Approval { number, error } => write!(
                f,
                "approval {number} is not one of this commit, identity, environment and policy by an approver: {error}; \
                 approve again"
            ),
            Self::ApprovalExpired { number, not_after } => {
                write!(f, "approval {number} ended at {}; approve again", not_after.to_rfc3339())
            }
            Self::ApprovalBySigner { principal } => {
                write!(f, "{principal:?} signed the commit and approves it too; that does not count, leave it away")
            }
            Self::ApprovalTwice { principal } => {
                write!(f, "{principal:?}, or the same key, approves twice; pass one approval a person")
            }
            Self::NoRepositoryMarker => f.write_str(
                "the commit holds no regular file .packproof/repository; add it with the policy's repository in it",
            ),
            Self::WrongRepository => {
                f.write_str("the commit's .packproof/repository names another repository than the measured policy; pack that one, or correct the file")
            }
            Self::NoManifest { path } => write!(f, "the commit holds no regular file {path:?}, the policy's manifest; commit it there"),
            Self::Manifest(error) => write!(f, "the manifest is refused: {error}"),
            Self::Matrix(error) => error.fmt(f),
            Self::UnknownIdentity(name) => write!(f, "the manifest defines no service identity {name:?}; add it and commit"),
            Self::UnknownEnvironment(name) => write!(f, "the manifest gives the identity no environment {name:?}; add it and commit"),
            Self::RecipientNotInPolicy { found } => write!(
                f,
                "the manifest encrypts to {found:?}, which the measured policy does not name for this identity and environment; \
                 find out who changed it, or pin an image whose policy does"
            ),
            Self::RecipientUnusable(error) => write!(f, "the policy's recipient cannot be encrypted to: {error}"),
            Self::NamespaceNotInPolicy(name) => {
                write!(f, "the manifest gives the identity namespace {name:?}, which the measured policy does not; find out who changed it, or pin an image whose policy does")
            }
            Self::CellMissing(path) => {
                write!(f, "{path:?} is not in the commit; add it, or set missing_cells = \"skip\"")
            }
            Self::CellNotRegular(path) => write!(f, "{path:?} is not a regular file; commit the cell itself there"),
            Self::Cell { path, error } => write!(f, "{path:?}: {error}"),
            Self::NoAllowedKey { path, found } => {
                let found: Vec<String> = found.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
                write!(
                    f,
                    "{path:?} carries no entry for a key that the policy names here, of the kinds age and kms that a pack \
                     can open; it has {}; is it the file of this environment",
                    found.join(", ")
                )
            }
            Self::WrongContext(path) => {
                write!(f, "{path:?}: the key entry's encryption context is not the one the policy states; encrypt it under that one")
            }
            Self::EntryWantsRole(path) => {
                write!(f, "{path:?}: the key entry names an AWS role or profile; encrypt it without")
            }
            Self::ForeignRecipient { path, recipient } => {
                write!(f, "{path:?} can also be opened by {recipient:?}, and the policy says only_recipients; take that key out with sops")
            }
            Self::SchemaNotPinned { path } => write!(
                f,
                "the manifest applies schema {path:?}, which the policy does not pin; find out who added it, or pin its SHA-256 in schemas"
            ),
            Self::SchemaNotGiven { namespace } => write!(
                f,
                "the policy pins schemas, and the manifest gives namespace {namespace:?} none; find out who took it away, or give it one \
                 (`keys: {{}}` asks for nothing)"
            ),
            Self::SchemaMissing { path } => {
                write!(f, "the commit holds no regular file {path:?}, a schema that the policy pins; commit it there")
            }
            Self::SchemaChanged { path } => write!(
                f,
                "schema {path:?} is not the one that the policy pins; find out who changed it, or pin its new SHA-256"
            ),
            Self::Schema { path, error } => write!(f, "{path:?}: {error}"),
            Self::Pending(path) => write!(
                f,
                "{path:?} has values that its sidecar calls pending; set them and run clef to clear them, or say pending = \"name\""
            ),
            Self::Sidecar { path, error } => write!(f, "{path:?}: {error}"),
            Self::ExtraObjects { count } => {
                write!(f, "the request carries {count} objects that this pack does not need; use the packproof command of this release")
            }
            Self::SealedKeyMissing(which) => write!(f, "this pack needs the sealed {which}; pass its file"),
            Self::Kms { purpose, error } => write!(f, "{purpose}: {error}"),
            Self::PolicyKey(error) => write!(f, "a key of the measured policy is refused: {error}"),
            Self::WrongSealedSigner => f.write_str(
                "the sealed signer holds another key than the policy's signer.public_key; pass the right file",
            ),
            Self::WrongSealedAgeKey => {
                f.write_str("the sealed age key is another one than the policy's unseal.recipient; pass the right file")
            }
            Self::ContentRefused(path) => write!(
                f,
                "the content of {path:?} is refused: it does not decrypt to what Clef can carry; try `sops decrypt` where you may"
            ),
            Self::Crypto(what) => write!(f, "{what} failed; retry, and restart the enclave if it stays"),
            Self::Session(error) => error.fmt(f),
            Self::Nsm(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for PackError {}

impl SessionError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Nsm(error) => error.code(),
            Self::Document(error) => error.code(),
            Self::Kms(error) => error.code(),
            Self::SimulatedCa => "simulated_ca_unreadable",
        }
    }
}

impl std::fmt::Display for SessionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nsm(error) => error.fmt(f),
            Self::Document(error) => write!(f, "the NSM's own document cannot be read: {error}; restart the enclave"),
            Self::Kms(error) => error.fmt(f),
            Self::SimulatedCa => {
                f.write_str("the policy's kms.simulated.ca is not a PEM certificate; put the KMS's CA there")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_without_an_allowed_key_is_told_what_it_has() {
        let found = vec![("pgp", 2), ("clef_hsm", 1)];
        let error = PackError::NoAllowedKey { path: "a.enc.yaml".into(), found };
        assert!(error.to_string().contains("it has 2 pgp, 1 clef_hsm;"), "{error}");
        assert_eq!(error.code(), "no_allowed_key");
    }
}
