//! The verdict on one birth certificate.

use packproof_receipt::sealed::BirthStatement;
use serde::Serialize;

use super::BirthExpectations;
use crate::{
    evidence::VerifiedDocument,
    expectations::Root,
    report::{
        Check, EvidenceFacts, Outcome, Step, all_requested, checks_of, evidence_facts, name_of, sections_sha256, sha256,
    },
};

/// The verdict on one sealed key.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BirthReport {
    /// Nothing failed.
    pub valid: bool,
    /// Nothing optional was left out.
    pub complete: bool,
    /// The verdict is one under a mock's root: it says nothing about AWS hardware.
    pub simulated: bool,
    /// The key, there **only when `valid`**: Ed25519 SPKI, DER, base64, or an age recipient.
    pub verified_public_key: Option<String>,
    /// All checks, in the order of the specification.
    pub steps: Vec<Step>,
    /// What the certificate says: **believed only when `valid`**. Absent when the statement could not be read.
    pub facts: Option<BirthFacts>,
    /// What even a valid certificate does not prove.
    pub not_proved: &'static [&'static str],
    /// What the verdict rests on.
    pub trusted_inputs: BirthInputs,
}

/// What the certificate says.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BirthFacts {
    /// The birth statement.
    pub statement: BirthStatement,
    /// The Nitro document. Absent when it was refused.
    pub evidence: Option<EvidenceFacts>,
}

/// What the verdict rests on. Digests are SHA-256, lower-case hex.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BirthInputs {
    /// The sealed key file that was judged (not trusted, but named).
    pub sealed_key_sha256: String,
    /// The root certificate.
    pub root_sha256: String,
    /// `aws` or `simulated`.
    pub root: &'static str,
    /// The `packproof.toml` that the key was born under.
    pub policy_sha256: String,
    /// `release.json`.
    pub release_sha256: String,
    /// Kernel, command line and boot ramdisk, when they were given.
    pub sections_sha256: Option<[String; 3]>,
    /// The identity asked about.
    pub identity: String,
    /// The environment asked about.
    pub environment: String,
    /// The purpose asked about.
    pub purpose: &'static str,
    /// The later policy, when one was given.
    pub pinned_by_sha256: Option<String>,
    /// The challenge asked about.
    pub challenge: Option<String>,
}

impl BirthReport {
    /// The checks that failed.
    pub fn failures(&self) -> impl Iterator<Item = &Check> {
        checks_of(&self.steps).filter(|check| check.outcome == Outcome::Fail)
    }

    /// The check of this name; `None` when there is no check so called.
    #[must_use]
    pub fn check(&self, name: &str) -> Option<&Check> {
        checks_of(&self.steps).find(|check| check.name == name)
    }

    pub(super) fn of(
        sealed: &[u8],
        expectations: &BirthExpectations<'_>,
        steps: Vec<Step>,
        valid: bool,
        statement: Option<BirthStatement>,
        document: Option<&VerifiedDocument>,
    ) -> Self {
        Self {
            valid,
            complete: all_requested(&steps),
            simulated: matches!(expectations.root, Root::Simulated { .. }),
            verified_public_key: statement.as_ref().filter(|_| valid).map(|statement| statement.public_key.clone()),
            facts: statement.map(|statement| BirthFacts { statement, evidence: document.map(evidence_facts) }),
            not_proved: NOT_PROVED,
            trusted_inputs: BirthInputs::of(sealed, expectations),
            steps,
        }
    }
}

impl BirthInputs {
    fn of(sealed: &[u8], expectations: &BirthExpectations<'_>) -> Self {
        Self {
            sealed_key_sha256: sha256(sealed),
            root_sha256: sha256(expectations.root.der()),
            root: name_of(expectations.root),
            policy_sha256: sha256(expectations.policy),
            release_sha256: sha256(expectations.image.release),
            sections_sha256: sections_sha256(&expectations.image),
            identity: expectations.identity.to_owned(),
            environment: expectations.environment.to_owned(),
            purpose: expectations.purpose.as_str(),
            pinned_by_sha256: expectations.pinned_by.map(sha256),
            challenge: expectations.challenge.map(hex::encode),
        }
    }
}

const NOT_PROVED: &[&str] = &[
    "that only measured images can open the blob: the sealing key's key policy decides that, now and later",
    "that the blob still opens: a disabled or deleted KMS key, or another key policy, locks it up",
    "that no other key was born for this identity, environment and purpose: pin the one that was verified",
    "when, by any clock but the enclave's own evidence: there is no outside bound on the time",
];
