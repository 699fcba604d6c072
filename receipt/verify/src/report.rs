//! The verdict and everything that led to it.
//!
//! Texts quote the receipt only escaped; [`Facts`] carry its strings as they are, so whoever prints them escapes them.

mod facts;

use packproof_receipt::time::UnixMillis;
use serde::Serialize;
use sha2::{Digest, Sha256};

pub(crate) use facts::evidence as evidence_facts;
pub use facts::{AgeBound, EvidenceFacts, Facts, Input, Key, KeyPolicyFacts, KmsUse, Signer};

use crate::expectations::{Expectations, Image, Root};

/// The verdict on one receipt.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Nothing failed, and nothing that was required was left out.
    pub valid: bool,
    /// Nothing optional was left out.
    pub complete: bool,
    /// The verdict is one under a mock's root: it says nothing about AWS hardware.
    pub simulated: bool,
    /// All checks, in the order of the specification.
    pub steps: Vec<Step>,
    /// What the receipt says: **believed only when `valid`**. Absent when the statement could not be read.
    pub facts: Option<Facts>,
    /// What even a valid receipt does not prove.
    pub not_proved: &'static [&'static str],
    /// What the verdict rests on.
    pub trusted_inputs: TrustedInputs,
    /// SubjectPublicKeyInfo of the P-256 receipt key, DER, from the verified document. Hand it out only when `valid`.
    #[serde(skip)]
    pub receipt_key: Option<Vec<u8>>,
}

impl Report {
    /// The checks that failed.
    pub fn failures(&self) -> impl Iterator<Item = &Check> {
        checks_of(&self.steps).filter(|check| check.outcome == Outcome::Fail)
    }

    /// The check of this name; `None` when there is no check so called.
    #[must_use]
    pub fn check(&self, name: &str) -> Option<&Check> {
        checks_of(&self.steps).find(|check| check.name == name)
    }
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Which one.
    pub name: StepName,
    /// Its checks; the same on every receipt.
    pub checks: Vec<Check>,
}

/// The steps, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StepName {
    /// File, statements and signatures.
    Envelope,
    /// The Nitro document and what it binds.
    Evidence,
    /// When.
    Time,
    /// What ran.
    Image,
    /// Under which policy.
    Policy,
    /// From which inputs, and whose.
    Source,
    /// What came out.
    Artifact,
    /// With which keys.
    Keys,
}

impl StepName {
    /// All of them, in order.
    pub const ALL: [Self; 8] = [
        Self::Envelope,
        Self::Evidence,
        Self::Time,
        Self::Image,
        Self::Policy,
        Self::Source,
        Self::Artifact,
        Self::Keys,
    ];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Envelope => "envelope",
            Self::Evidence => "evidence",
            Self::Time => "time",
            Self::Image => "image",
            Self::Policy => "policy",
            Self::Source => "source",
            Self::Artifact => "artifact",
            Self::Keys => "keys",
        }
    }
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked. Stable.
    pub name: &'static str,
    /// How it went.
    pub outcome: Outcome,
    /// Why, when the check failed or was not requested; the name otherwise. Stable.
    pub code: &'static str,
    /// The same in a sentence.
    pub text: String,
}

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It holds.
    Pass,
    /// It does not hold.
    Fail,
    /// Nobody asked.
    NotRequested,
    /// It could not be judged, because something that it builds on did not pass.
    NotEvaluated,
}

impl Outcome {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::NotRequested => "not_requested",
            Self::NotEvaluated => "not_evaluated",
        }
    }
}

/// What the verdict rests on. Digests are SHA-256, lower-case hex.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TrustedInputs {
    /// The receipt that was judged (not trusted, but named).
    pub receipt_sha256: String,
    /// The root certificate.
    pub root_sha256: String,
    /// `aws` or `simulated`.
    pub root: &'static str,
    /// `packproof.toml`.
    pub policy_sha256: String,
    /// `release.json`.
    pub release_sha256: String,
    /// The artifact.
    pub artifact_sha256: String,
    /// Kernel, command line and boot ramdisk, when they were given.
    pub sections_sha256: Option<[String; 3]>,
    /// The identity asked about.
    pub identity: String,
    /// The environment asked about.
    pub environment: String,
    /// The commit asked about.
    pub commit: Option<String>,
    /// The challenge asked about.
    pub challenge: Option<String>,
    /// The bound on the age.
    pub max_age: Option<AgeBound>,
    /// What was insisted on.
    pub require: Vec<&'static str>,
}

impl TrustedInputs {
    pub(crate) fn of(receipt: &[u8], expectations: &Expectations<'_>) -> Self {
        Self {
            receipt_sha256: sha256(receipt),
            root_sha256: sha256(expectations.root.der()),
            root: name_of(expectations.root),
            policy_sha256: sha256(expectations.policy),
            release_sha256: sha256(expectations.image.release),
            artifact_sha256: sha256(expectations.artifact),
            sections_sha256: sections_sha256(&expectations.image),
            identity: expectations.identity.to_owned(),
            environment: expectations.environment.to_owned(),
            commit: expectations.commit.map(str::to_owned),
            challenge: expectations.challenge.map(hex::encode),
            max_age: expectations
                .max_age
                .map(|age| AgeBound { seconds: age.seconds, now: UnixMillis::to_rfc3339(age.now) }),
            require: expectations.require.iter().map(|requirement| requirement.as_str()).collect(),
        }
    }
}

/// SHA-256, lower-case hex.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

pub(crate) const fn name_of(root: Root<'_>) -> &'static str {
    match root {
        Root::Aws => "aws",
        Root::Simulated { .. } => "simulated",
    }
}

/// Kernel, command line and boot ramdisk, when they were given.
pub(crate) fn sections_sha256(image: &Image<'_>) -> Option<[String; 3]> {
    image.sections.map(|sections| [sections.kernel, sections.command_line, sections.boot_ramdisk].map(sha256))
}

/// Nothing failed, and nothing was left unjudged.
pub(crate) fn all_hold(steps: &[Step]) -> bool {
    checks_of(steps).all(|check| matches!(check.outcome, Outcome::Pass | Outcome::NotRequested))
}

/// Nothing optional was left out.
pub(crate) fn all_requested(steps: &[Step]) -> bool {
    checks_of(steps).all(|check| check.outcome != Outcome::NotRequested)
}

pub(crate) fn checks_of(steps: &[Step]) -> impl Iterator<Item = &Check> {
    steps.iter().flat_map(|step| &step.checks)
}

/// What even a valid receipt does not prove.
pub(crate) const NOT_PROVED: &[&str] = &[
    "that nobody else could decrypt: every key entry of every input is listed, and KMS key policies decide about the rest",
    "that the commit was the newest one, or was reviewed",
    "that no other artifact exists for this identity and environment",
    "that a file's path belongs to the environment by the manifest: the enclave checked that, the manifest is not in the receipt",
    "when, by any clock but the enclave's own evidence: there is no outside bound on the time",
];
