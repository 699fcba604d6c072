//! The measured policy, `packproof.toml`.
//!
//! It is the image's second ramdisk, so PCR2 and PCR0 cover every byte of it. Enclave, auditor and operator read it with
//! this one parser. Parsing is strict: an unknown key is an error with a suggestion, and a policy that shares a key
//! between environments or between purposes is refused, because one KMS grant would then open both.

mod keys;
mod raw;
mod rules;
mod ssh;

use std::collections::BTreeMap;

pub use raw::{MAX_POLICY_BYTES, PolicyError};

use crate::time::UnixMillis;

/// A policy that satisfies every rule of this module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Where inputs come from and who may sign them.
    pub source: Source,
    /// How KMS is reached.
    pub kms: KmsEndpoint,
    /// One entry for each identity and environment that may be packed.
    pub packs: Vec<Pack>,
    /// Largest request the enclave reads, in bytes.
    pub max_request_bytes: usize,
    /// Whether each pack asks KMS for the policies of the keys that it uses and states the answers.
    pub record_key_policies: bool,
}

/// `[source]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Must equal the content of `.packproof/repository` in the commit's tree.
    pub repository: String,
    /// `sha1` or `sha256`.
    pub object_format: String,
    /// Path of Clef's manifest.
    pub manifest: String,
    /// Keys whose signature on a commit may count.
    pub signers: Vec<SourceSigner>,
}

/// `[[source.signer]]`: one SSH public key, with the meaning of a line of OpenSSH's allowed signers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceSigner {
    /// How `[[pack]] signers` and `approvals.from` name it.
    pub name: String,
    /// Who holds it; enters the receipt. Of an authority: patterns of the principals it may certify, with `*` and `?`,
    /// separated by commas.
    pub principal: String,
    /// The public key as in `authorized_keys`: type and base64, comment optional.
    pub ssh: String,
    /// Whether the key is a certificate authority. Then it signs nothing itself: keys that it certified do.
    pub cert_authority: bool,
    /// The first instant at which the key counts.
    pub valid_after: Option<UnixMillis>,
    /// The last instant at which the key counts.
    pub valid_before: Option<UnixMillis>,
}

impl SourceSigner {
    /// The patterns of an authority's principals.
    pub fn patterns(&self) -> Vec<String> {
        self.principal.split(',').map(str::to_owned).collect()
    }
}

/// `[kms]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KmsEndpoint {
    /// `endpoint = "aws"`.
    Aws,
    /// `endpoint = "aws-fips"`.
    AwsFips,
    /// `simulated = { url, ca }`. Receipts made under it are of the simulated predicate type, whatever the root.
    Simulated {
        /// Host name of the URL.
        host: String,
        /// Port of the URL.
        port: u16,
        /// CA certificates, PEM.
        ca: String,
    },
}

/// `[[pack]]`: what one identity may receive in one environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pack {
    /// Clef's service identity.
    pub identity: String,
    /// Clef's environment.
    pub environment: String,
    /// Upper bound of the identity's namespaces.
    pub namespaces: Vec<String>,
    /// What opens the cells.
    pub cell_keys: CellKeys,
    /// To whom the artifact is encrypted. Must equal the manifest's.
    pub target: Target,
    /// Who signs the artifact.
    pub signer: ArtifactSigner,
    /// Names of `[[source.signer]]` whose signature on the commit, or on a tag of it, counts here.
    pub signers: Vec<String>,
    /// Who else must have agreed.
    pub approvals: Option<Approvals>,
    /// Longest (and default) lifetime of an artifact.
    pub max_ttl_seconds: u64,
    /// How old the commit may be, by its signed committer date against NSM time.
    pub max_commit_age_seconds: u64,
    /// What happens when a cell of the matrix is not in the commit (absence is proved).
    pub missing_cells: MissingCells,
    /// What happens with values that a cell's sidecar calls pending. Absent: the sidecar is not looked at, as in Clef.
    pub pending: Option<Pending>,
    /// Path of a schema in the repository to the SHA-256 of its content, hex. Values must satisfy the schema that the
    /// manifest gives their namespace.
    pub schemas: BTreeMap<String, String>,
    /// Whether cells that any key outside this policy's entry could open are refused.
    pub only_recipients: bool,
}

/// `approvals = { threshold, from }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approvals {
    /// How many different people, the commit's signer not counted.
    pub threshold: usize,
    /// Names of `[[source.signer]]` who may approve.
    pub from: Vec<String>,
}

/// `pending`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pending {
    /// The pack is refused.
    Refuse,
    /// The receipt names the keys.
    Name,
}

/// What opens the cells of a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CellKeys {
    /// SOPS master keys: `decrypt = [...]`, in order.
    Kms(Vec<MasterKey>),
    /// An age key sealed by KMS: `unseal = { kms, recipient }`. Without `recipient` only `seal` is allowed.
    Sealed {
        /// ARN of the sealing key.
        kms: String,
        /// The age recipient (`age1…`) that cells are encrypted to.
        recipient: Option<String>,
    },
}

/// A KMS key with the encryption context it is used under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterKey {
    /// Full key ARN.
    pub arn: String,
    /// Context; must equal the file's.
    pub context: BTreeMap<String, String>,
}

/// To whom an artifact is encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `envelope = "arn:…"`: AES-256-GCM under a data key of this KMS key.
    Kms(String),
    /// `recipient = "age1…"`: age, this one recipient.
    Age(String),
}

/// `signer = { kms, public_key }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactSigner {
    /// ARN of the sealing key.
    pub kms: String,
    /// Ed25519 SPKI, DER, base64. Without it only `seal` is allowed.
    pub public_key: Option<String>,
}

/// `missing_cells`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingCells {
    /// The pack is refused (the default).
    Refuse,
    /// The namespace is left out, as Clef does; the receipt lists it.
    Skip,
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// [`PolicyError`] for anything that is not exactly of schema 1 or breaks a rule.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        let policy = raw::read(bytes)?;
        rules::check(&policy)?;
        Ok(policy)
    }

    /// Whether receipts under this policy are simulated.
    pub fn is_simulated(&self) -> bool {
        matches!(self.kms, KmsEndpoint::Simulated { .. })
    }

    /// The entry of one identity and environment.
    pub fn pack(&self, identity: &str, environment: &str) -> Option<&Pack> {
        self.packs.iter().find(|pack| pack.identity == identity && pack.environment == environment)
    }

    /// The signers whose signature on a commit counts for `pack`.
    pub fn signers_of<'a>(&'a self, pack: &'a Pack) -> impl Iterator<Item = &'a SourceSigner> {
        self.source.signers.iter().filter(|signer| pack.signers.contains(&signer.name))
    }

    /// Those who may approve `pack`.
    pub fn approvers_of<'a>(&'a self, pack: &'a Pack) -> impl Iterator<Item = &'a SourceSigner> {
        let from = pack.approvals.as_ref().map(|approvals| approvals.from.as_slice()).unwrap_or_default();
        self.source.signers.iter().filter(move |signer| from.contains(&signer.name))
    }
}

#[cfg(test)]
pub(crate) mod tests;
