//! `clef.yaml`: the manifest of a Clef repository.
//!
//! [`Manifest::parse`] accepts what Clef's parser accepts, in Clef's order of checks, and refuses what it refuses;
//! [`Problem`] says where it is stricter. Unknown keys below the top level are ignored, as Clef does.
//!
//! A parsed manifest is **well formed, not trusted**: it names recipients and keys, and only the measured policy says
//! which of them count.
//!
//! Source: Clef core 0.3.0, `packages/core/src/manifest/parser.ts`.

mod check;
mod error;
mod read;

use packproof_yaml::Limits;

use crate::core_schema::Yaml;

pub(crate) use check::is_name;
pub use check::{AgeKeyProblem, ArnSegment};
pub use error::{ManifestError, Problem};

/// Longest manifest, in bytes. Ours: room for some thousand namespaces and identities.
pub const MAX_MANIFEST_BYTES: usize = 1 << 20;

/// A manifest that passed all of Clef's checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The environments, in the order of the file; at least one, names unique.
    pub environments: Vec<Environment>,
    /// The namespaces, in the order of the file; at least one, names unique.
    pub namespaces: Vec<Namespace>,
    /// The backend that an environment without its own uses.
    pub sops: SopsConfig,
    /// Recipients of `sops.age.recipients`, which Clef does not check. An entry that is neither a string nor a map
    /// with a string `key` is no recipient for anybody and left out.
    pub recipients: Vec<Recipient>,
    /// Path of a cell, with `{namespace}` and `{environment}`. Not checked further: see [`crate::matrix`].
    pub file_pattern: String,
    /// The service identities, in the order of the file; names unique.
    pub identities: Vec<Identity>,
}

/// An environment, such as `production`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// Matches `^[a-z][a-z0-9_-]*$`.
    pub name: String,
    /// Free text, not empty.
    pub description: String,
    /// Clef's editing commands ask before they touch it. Means nothing for a pack.
    pub protected: bool,
    /// Replaces the global backend as a whole.
    pub sops: Option<SopsConfig>,
    /// Replaces the global recipients when not empty. Checked by Clef's rule, which has no checksum.
    pub recipients: Vec<Recipient>,
}

/// A namespace, such as `stripe`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// Matches `^[a-z][a-z0-9_-]*$`.
    pub name: String,
    /// Free text, not empty.
    pub description: String,
    /// Path of the schema that `clef lint` applies.
    pub schema: Option<String>,
}

/// Where SOPS data keys of an environment come from, by the manifest's word. What really opens a cell is in the cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SopsConfig {
    /// The backend.
    pub backend: Backend,
    /// AWS KMS key ARN, as written.
    pub aws_kms_arn: Option<String>,
    /// GCP KMS key, as written.
    pub gcp_kms_resource_id: Option<String>,
    /// Azure Key Vault key, as written.
    pub azure_kv_url: Option<String>,
    /// PGP fingerprint, as written.
    pub pgp_fingerprint: Option<String>,
    /// PKCS#11 URI.
    pub pkcs11_uri: Option<String>,
}

/// Clef's SOPS backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// `age`
    Age,
    /// `awskms`
    AwsKms,
    /// `gcpkms`
    GcpKms,
    /// `azurekv`
    AzureKeyVault,
    /// `pgp`
    Pgp,
    /// `hsm`
    Hsm,
}

/// Who may open a cell, by the manifest's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The age recipient, trimmed.
    pub key: String,
    /// A name for people.
    pub label: Option<String>,
}

/// A service identity: who an artifact is packed for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// A DNS label.
    pub name: String,
    /// Free text, possibly empty.
    pub description: String,
    /// Declared namespaces, at least one, as written: order and repetitions mean nothing.
    pub namespaces: Vec<String>,
    /// Per declared environment, what an artifact is encrypted to. Need not cover every environment.
    pub environments: Vec<(String, Target)>,
    /// Its keys are never SOPS recipients. Means nothing for a pack.
    pub pack_only: bool,
}

/// What an artifact is encrypted to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// An age recipient, by Clef's rule, which has no checksum.
    Age {
        /// The recipient, trimmed.
        recipient: String,
    },
    /// A KMS key.
    Kms {
        /// Whose KMS.
        provider: KmsProvider,
        /// For AWS a complete key or alias ARN; for the others free text that is not empty.
        key_id: String,
    },
}

/// Whose KMS wraps an artifact's data key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KmsProvider {
    /// `aws`
    Aws,
    /// `gcp`
    Gcp,
    /// `azure`
    Azure,
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// The first thing that is wrong, in Clef's order.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        // 32 levels: twice what the schema needs, since unknown fields may nest; the tree is walked recursively.
        let limits = Limits { max_bytes: MAX_MANIFEST_BYTES, max_depth: 32, max_nodes: 100_000 };
        read::manifest(&Yaml::read(bytes, &limits)?)
    }

    /// The identity of this name.
    pub fn identity(&self, name: &str) -> Option<&Identity> {
        self.identities.iter().find(|identity| identity.name == name)
    }

    /// The environment of this name.
    pub fn environment(&self, name: &str) -> Option<&Environment> {
        self.environments.iter().find(|environment| environment.name == name)
    }

    /// The backend that `environment` uses: its own, else the global one.
    pub fn sops_config<'a>(&'a self, environment: &'a Environment) -> &'a SopsConfig {
        environment.sops.as_ref().unwrap_or(&self.sops)
    }
}

impl Identity {
    /// What an artifact for `environment` is encrypted to.
    pub fn target(&self, environment: &str) -> Option<&Target> {
        self.environments.iter().find(|(name, _)| name == environment).map(|(_, target)| target)
    }
}

impl Backend {
    /// As the manifest spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::AwsKms => "awskms",
            Self::GcpKms => "gcpkms",
            Self::AzureKeyVault => "azurekv",
            Self::Pgp => "pgp",
            Self::Hsm => "hsm",
        }
    }

    fn from_name(text: &str) -> Option<Self> {
        [Self::Age, Self::AwsKms, Self::GcpKms, Self::AzureKeyVault, Self::Pgp, Self::Hsm]
            .into_iter()
            .find(|backend| backend.as_str() == text)
    }
}

impl KmsProvider {
    /// As the manifest and the artifact spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Gcp => "gcp",
            Self::Azure => "azure",
        }
    }

    fn from_name(text: &str) -> Option<Self> {
        [Self::Aws, Self::Gcp, Self::Azure].into_iter().find(|provider| provider.as_str() == text)
    }
}
