//! What the auditor brings: every trusted input of a verification.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use packproof_receipt::time::UnixMillis;

use crate::evidence::{AWS_NITRO_ROOT_G1, EvidenceError};

/// Everything that a receipt is held against. Nothing of it is taken from the receipt.
#[derive(Clone, Debug)]
pub struct Expectations<'a> {
    /// Under whose word the evidence counts.
    pub root: Root<'a>,
    /// The bytes of `packproof.toml`. PCR2 is recomputed from them.
    pub policy: &'a [u8],
    /// The image that should have run.
    pub image: Image<'a>,
    /// Clef's identity that the artifact is for.
    pub identity: &'a str,
    /// Clef's environment that the artifact is for.
    pub environment: &'a str,
    /// The bytes of the artifact.
    pub artifact: &'a [u8],
    /// Full id of the commit, lower-case hex, if a certain one is expected.
    pub commit: Option<&'a str>,
    /// The 32 bytes that the caller sent with the request, if he sent any.
    pub challenge: Option<[u8; 32]>,
    /// What a clone of the repository says about the receipt's inputs, if somebody looked.
    pub repository: Option<&'a RepositoryFacts>,
    /// How old the evidence may be, if that matters.
    pub max_age: Option<MaxAge>,
    /// Checks that are optional in general and not here.
    pub require: BTreeSet<Requirement>,
}

/// Under whose word the evidence counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root<'a> {
    /// AWS Nitro Enclaves Root-G1, compiled in. Only a policy without `simulated` counts under it.
    Aws,
    /// The root of a mock, DER. Only a policy with `simulated` counts under it, and AWS's root is refused here.
    Simulated {
        /// The certificate.
        der: &'a [u8],
    },
}

impl<'a> Root<'a> {
    /// The root certificate, DER.
    #[must_use]
    pub const fn der(&self) -> &'a [u8] {
        match self {
            Self::Aws => AWS_NITRO_ROOT_G1,
            Self::Simulated { der } => der,
        }
    }

    /// The code under which a report names `error`: evidence that is not AWS's is named for what it is.
    #[must_use]
    pub const fn code_of(&self, error: &EvidenceError) -> &'static str {
        match (self, error) {
            (Self::Aws, EvidenceError::ChainRootMismatch { .. }) => "simulated_evidence",
            _ => error.code(),
        }
    }
}

/// The image that should have run.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    /// The bytes of `release.json`, from a source that the auditor trusts: PCR1 comes from it.
    pub release: &'a [u8],
    /// The sections themselves. With them PCR0 is recomputed, too.
    pub sections: Option<Sections<'a>>,
}

/// The raw bytes of the image's sections, as `release.json` describes them.
#[derive(Clone, Copy, Debug)]
pub struct Sections<'a> {
    /// Kernel.
    pub kernel: &'a [u8],
    /// Kernel command line.
    pub command_line: &'a [u8],
    /// Boot ramdisk.
    pub boot_ramdisk: &'a [u8],
}

/// What a clone of the repository says about a receipt's inputs. Whoever gathers it asks the clone, never the receipt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepositoryFacts {
    /// Id of an object to the SHA-256 of its content, both hex. An object that the clone lacks is not here.
    pub objects: BTreeMap<String, String>,
    /// Path to what the commit has there; `None` where it has nothing. A path that nobody asked for is not here.
    pub files: BTreeMap<String, Option<TreeFile>>,
    /// Id of the commit's tree, hex.
    pub tree: Option<String>,
    /// Fingerprint (`SHA256:…`) of the key whose signature on the commit or tag git itself accepts under the policy's
    /// signers.
    pub signer: Option<String>,
}

/// A file in a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeFile {
    /// Git's mode, octal: `100644`.
    pub mode: String,
    /// Id of the blob, hex.
    pub id: String,
}

/// A bound on the age of the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxAge {
    /// The largest age, in seconds.
    pub seconds: u64,
    /// The auditor's time.
    pub now: UnixMillis,
}

/// A check that is done on request, and can be insisted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Requirement {
    /// A certain commit.
    Commit,
    /// A challenge of the caller's.
    Challenge,
    /// A clone of the repository.
    Repository,
    /// A bound on the age.
    Age,
    /// PCR0 recomputed from the sections.
    Pcr0,
    /// A bound on the time by somebody other than the evidence itself. This version of the receipt carries none, so a
    /// receipt held to this is not valid.
    Time,
}

impl Requirement {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Commit, Self::Challenge, Self::Repository, Self::Age, Self::Pcr0, Self::Time];

    /// Its name on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Challenge => "challenge",
            Self::Repository => "repo",
            Self::Age => "age",
            Self::Pcr0 => "pcr0",
            Self::Time => "time",
        }
    }

    /// The code of the failure when the check was insisted on and could not be done.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Commit => "commit_required",
            Self::Challenge => "challenge_required",
            Self::Repository => "repo_required",
            Self::Age => "age_required",
            Self::Pcr0 => "pcr0_required",
            Self::Time => "time_required",
        }
    }
}

/// A name that is none of [`Requirement::ALL`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownRequirement(String);

impl fmt::Display for UnknownRequirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Requirement::ALL.map(Requirement::as_str).join(", ");
        write!(f, "{:?} cannot be required; known are {names}", self.0)
    }
}

impl std::error::Error for UnknownRequirement {}

impl FromStr for Requirement {
    type Err = UnknownRequirement;

    fn from_str(name: &str) -> Result<Self, UnknownRequirement> {
        Self::ALL.into_iter().find(|known| known.as_str() == name).ok_or_else(|| UnknownRequirement(name.to_owned()))
    }
}
