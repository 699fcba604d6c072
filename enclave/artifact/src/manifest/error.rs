//! Why a manifest is refused.

use std::fmt;

use packproof_yaml::YamlError;

use super::check::{AgeKeyProblem, ArnSegment};
use crate::core_schema::{DocumentError, DocumentProblem};

/// Why [`super::Manifest::parse`] refused a manifest, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestError {
    /// Path of the field, such as `environments[1].recipients[0]`; `root` for the whole file. Printable.
    pub field: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a field of the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// The file is not YAML that every reader understands alike.
    Yaml(YamlError),
    /// A value or key has an explicit tag. Clef may accept it.
    Tag,
    /// The key `<<`: Clef takes it for an ordinary key, other readers merge. Clef would accept it.
    MergeKey,
    /// Two keys of one map become the same text (`1` and `1.0`).
    DuplicateKey,
    /// A top-level key that Clef does not know.
    UnknownKey,
    /// A required field is absent, null or empty.
    Missing,
    /// Something else where a map belongs.
    NotAMap,
    /// Something else where a list belongs.
    NotAList,
    /// A list that must have entries has none.
    EmptyList,
    /// Something else where a string belongs.
    NotAString,
    /// Something else where `true` or `false` belongs.
    NotABoolean,
    /// `version` is not the number 1.
    UnsupportedVersion,
    /// An environment or namespace name outside `^[a-z][a-z0-9_-]*$`.
    BadName,
    /// An identity name that is no DNS label.
    BadIdentityName,
    /// A second environment, namespace or identity of this name.
    DuplicateName {
        /// The name, printable.
        name: String,
    },
    /// A backend that Clef does not know.
    UnknownBackend,
    /// A PKCS#11 URI that is not `pkcs11:attribute=value`.
    BadPkcs11Uri,
    /// Text that Clef does not take for an age recipient.
    BadAgeKey(AgeKeyProblem),
    /// Recipients on an environment whose backend is not `age`.
    RecipientsWithoutAge,
    /// `file_pattern` lacks a placeholder.
    PatternLacks {
        /// The placeholder, braces included.
        token: &'static str,
    },
    /// An identity names a namespace that the manifest does not declare.
    UnknownNamespace,
    /// An identity names an environment that the manifest does not declare.
    UnknownEnvironment,
    /// Both `recipient` and `kms`.
    TwoTargets,
    /// Neither `recipient` nor `kms`.
    NoTarget,
    /// A KMS provider other than `aws`, `gcp`, `azure`.
    UnknownProvider,
    /// An AWS `keyId` that is no complete KMS key or alias ARN.
    BadArn(ArnSegment),
    /// `kms.region`: Clef takes the region from the ARN.
    RegionNotAllowed,
}

impl ManifestError {
    pub(crate) fn new(field: impl Into<String>, problem: Problem) -> Self {
        Self { field: field.into(), problem }
    }

    /// The field of a path built from steps, without the leading dot.
    pub(crate) fn rooted(mut self) -> Self {
        self.field = match self.field.trim_start_matches('.') {
            "" => "root".into(),
            path => path.into(),
        };
        self
    }

    /// A stable name for this kind of refusal.
    pub fn code(&self) -> &'static str {
        match &self.problem {
            Problem::Yaml(error) => error.code(),
            Problem::Tag => "manifest_tag",
            Problem::MergeKey => "manifest_merge_key",
            Problem::DuplicateKey => "manifest_duplicate_key",
            Problem::UnknownKey => "manifest_unknown_key",
            Problem::Missing => "manifest_missing",
            Problem::NotAMap => "manifest_not_a_map",
            Problem::NotAList => "manifest_not_a_list",
            Problem::EmptyList => "manifest_empty_list",
            Problem::NotAString => "manifest_not_a_string",
            Problem::NotABoolean => "manifest_not_a_boolean",
            Problem::UnsupportedVersion => "manifest_unsupported_version",
            Problem::BadName => "manifest_bad_name",
            Problem::BadIdentityName => "manifest_bad_identity_name",
            Problem::DuplicateName { .. } => "manifest_duplicate_name",
            Problem::UnknownBackend => "manifest_unknown_backend",
            Problem::BadPkcs11Uri => "manifest_bad_pkcs11_uri",
            Problem::BadAgeKey(_) => "manifest_bad_age_key",
            Problem::RecipientsWithoutAge => "manifest_recipients_without_age",
            Problem::PatternLacks { .. } => "manifest_pattern_lacks_placeholder",
            Problem::UnknownNamespace => "manifest_unknown_namespace",
            Problem::UnknownEnvironment => "manifest_unknown_environment",
            Problem::TwoTargets => "manifest_two_targets",
            Problem::NoTarget => "manifest_no_target",
            Problem::UnknownProvider => "manifest_unknown_provider",
            Problem::BadArn(_) => "manifest_bad_arn",
            Problem::RegionNotAllowed => "manifest_region_not_allowed",
        }
    }
}

impl From<DocumentError> for ManifestError {
    fn from(DocumentError { path, problem }: DocumentError) -> Self {
        Self::new(
            path,
            match problem {
                DocumentProblem::Yaml(error) => Problem::Yaml(error),
                DocumentProblem::Tag => Problem::Tag,
                DocumentProblem::MergeKey => Problem::MergeKey,
                DocumentProblem::DuplicateKey => Problem::DuplicateKey,
                DocumentProblem::ComplexKey => Problem::NotAString,
            },
        )
    }
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "manifest field {}: {}", self.field, self.problem)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yaml(error) => error.fmt(f),
            Self::Tag => f.write_str("has a YAML tag; remove it, and quote the value if it is text"),
            Self::MergeKey => f.write_str("YAML readers disagree about the key <<; write the fields out"),
            Self::DuplicateKey => f.write_str("the key appears twice; remove one"),
            Self::UnknownKey => f.write_str(
                "unknown top-level key; valid are version, environments, namespaces, sops, file_pattern and \
                 service_identities",
            ),
            Self::Missing => f.write_str("required but missing or empty; add it"),
            Self::NotAMap => f.write_str("must be a map"),
            Self::NotAList => f.write_str("must be a list"),
            Self::EmptyList => f.write_str("must have at least one entry"),
            Self::NotAString => f.write_str("must be a string; quote it if it is"),
            Self::NotABoolean => f.write_str("must be true or false"),
            Self::UnsupportedVersion => f.write_str("must be the number 1; no other version is supported"),
            Self::BadName => {
                f.write_str("must start with a lower-case letter and hold only a-z, 0-9, hyphen and underscore")
            }
            Self::BadIdentityName => {
                f.write_str("must be a DNS label: a-z, 0-9 and hyphen, no hyphen at either end, at most 63 characters")
            }
            Self::DuplicateName { name } => write!(f, "the name {name} is used twice; rename one"),
            Self::UnknownBackend => f.write_str("must be one of age, awskms, gcpkms, azurekv, pgp, hsm"),
            Self::BadPkcs11Uri => f.write_str("must be a PKCS#11 URI such as pkcs11:slot=0;label=name"),
            Self::BadAgeKey(problem) => problem.fmt(f),
            Self::RecipientsWithoutAge => f.write_str(
                "the environment's backend is not age, so it cannot have recipients; remove them or change the backend",
            ),
            Self::PatternLacks { token } => write!(f, "must contain {token}"),
            Self::UnknownNamespace => f.write_str("names a namespace that is not declared under namespaces"),
            Self::UnknownEnvironment => f.write_str("names an environment that is not declared under environments"),
            Self::TwoTargets => f.write_str("has both recipient and kms; keep one"),
            Self::NoTarget => f.write_str("has neither recipient nor kms; add one"),
            Self::UnknownProvider => f.write_str("must be one of aws, gcp, azure"),
            Self::BadArn(segment) => write!(
                f,
                "not a complete KMS key or alias ARN ({segment}); expected \
                 arn:aws:kms:<region>:<12-digit account>:key/<id> or alias/<name>"
            ),
            Self::RegionNotAllowed => f.write_str("not allowed: the region is part of keyId; remove it"),
        }
    }
}

impl std::error::Error for ManifestError {}
