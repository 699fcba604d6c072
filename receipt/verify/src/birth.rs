//! The birth certificate of a sealed key: that a key was born inside the image, under the policy, and never left.
//!
//! The host that carries the answer of `seal` could put a key of its own there, and whoever pinned that key or encrypted
//! to it would serve the host. So before such a key is pinned or encrypted to, its certificate is verified with
//! [`verify_birth`]. `receipt/SPEC.md`, section 8, describes what is checked.

mod keys;
mod report;
mod sealed;

use std::collections::BTreeSet;

use packproof_receipt::{policy::Policy, sealed::BirthStatement};

pub use report::{BirthFacts, BirthInputs, BirthReport};
pub use sealed::{MAX_BLOB_BYTES, MAX_SEALED_KEY_BYTES};

use crate::{
    checks::{Checks, Refusal, ensure, quote},
    evidence::VerifiedDocument,
    expectations::{Image, Root},
    report::{StepName, all_hold},
    steps::{image, policy, time},
};

/// Everything that a birth certificate is held against. Nothing of it is taken from the sealed key file.
#[derive(Clone, Debug)]
pub struct BirthExpectations<'a> {
    /// Under whose word the evidence counts.
    pub root: Root<'a>,
    /// The bytes of the `packproof.toml` under which the key was born: the one before the key was pinned.
    pub policy: &'a [u8],
    /// The image that should have run.
    pub image: Image<'a>,
    /// Clef's identity that the key is for.
    pub identity: &'a str,
    /// Clef's environment that the key is for.
    pub environment: &'a str,
    /// What the key is for.
    pub purpose: KeyPurpose,
    /// A later policy, whose entry must pin exactly this key.
    pub pinned_by: Option<&'a [u8]>,
    /// The 32 bytes that the caller sent with the request, if he sent any.
    pub challenge: Option<[u8; 32]>,
}

/// What a sealed key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPurpose {
    /// The Ed25519 key that signs artifacts.
    Signer,
    /// The age key that cells are encrypted to.
    AgeKey,
}

impl KeyPurpose {
    /// Its name in the birth statement and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signer => "signer",
            Self::AgeKey => "age-key",
        }
    }
}

/// Judges `sealed`, the bytes of a sealed key file, against `expectations`.
///
/// A valid report means: under the given root, an enclave that ran the given image with the given policy made this
/// public key, together with exactly this blob, for this identity, environment and purpose. The private key is derived
/// from what the blob holds, and that image never gives it out. [`BirthReport::not_proved`] lists what that does not mean.
///
/// Never panics and has no errors: an unreadable file, policy or release is a report with a failed check.
#[must_use]
pub fn verify_birth(sealed: &[u8], expectations: &BirthExpectations<'_>) -> BirthReport {
    let none = BTreeSet::new();
    let mut steps = STEPS.map(|name| Checks::new(name, &none));
    let [on_envelope, on_evidence, on_time, on_image, on_policy, on_keys] = &mut steps;

    let received = sealed::read(on_envelope, sealed);
    let document = sealed::document(on_evidence, &received, expectations.root);
    let certified = received.statement.as_ref().zip(document.as_ref());
    let certified = certified.filter(|_| on_envelope.held() && on_evidence.held());

    check_time(on_time, certified, expectations);
    let measured = certified.map(|(_, document)| document);
    let measured = image::measure(on_image, measured, &expectations.image, expectations.policy);
    // only what the expected image says under the expected policy counts
    let born = certified.zip(measured).map(|((statement, _), ())| statement);
    let parsed = policy::read(on_policy, expectations.policy);
    let pack = policy::entry(on_policy, parsed.as_ref(), expectations.identity, expectations.environment);
    check_policy(on_policy, born, parsed.as_ref(), expectations);
    keys::check(on_keys, born, received.blob.as_deref(), pack, expectations);

    let steps = steps.map(Checks::finish);
    let valid = all_hold(&steps);
    BirthReport::of(sealed, expectations, steps.into(), valid, received.statement, document.as_ref())
}

fn check_time(
    checks: &mut Checks<'_>,
    certified: Option<(&BirthStatement, &VerifiedDocument)>,
    expectations: &BirthExpectations<'_>,
) {
    let born = certified.map(|(statement, document)| {
        let at = time::parse(&statement.born_on)?;
        time::fit_document("the key was born", at, document.timestamp)
    });
    checks.judge("birth_time", "birth and document follow each other within the limits", born);
    time::answer(checks, certified.map(|(_, document)| document), expectations.challenge);
}

fn check_policy(
    checks: &mut Checks<'_>,
    born: Option<&BirthStatement>,
    policy: Option<&Policy>,
    expectations: &BirthExpectations<'_>,
) {
    let BirthExpectations { identity, environment, purpose, .. } = *expectations;
    policy::policy_and_root(checks, policy, expectations.root);
    let digest = born.map(|born| policy::fit_digest(&born.policy_sha256, expectations.policy));
    checks.judge("policy_digest", "the statement names this policy", digest);
    let repository = born.zip(policy).map(|(born, policy)| policy::fit_repository(&born.repository, policy));
    checks.judge("policy_repository", "the repository is the policy's", repository);
    let asked = born.map(|born| check_asked(born, identity, environment, purpose));
    let for_whom = format!("the key was born for {identity}/{environment} as {}", purpose.as_str());
    checks.judge("birth_request", for_whom, asked);
}

fn check_asked(born: &BirthStatement, identity: &str, environment: &str, purpose: KeyPurpose) -> Result<(), Refusal> {
    policy::fit_asked("the key", [&born.identity, &born.environment], [identity, environment])?;
    ensure(born.purpose == purpose.as_str(), "purpose_mismatch", || {
        format!("the key was for purpose {}, expected {}", quote(&born.purpose), purpose.as_str())
    })
}

/// The steps of a receipt that a birth certificate has, too.
const STEPS: [StepName; 6] =
    [StepName::Envelope, StepName::Evidence, StepName::Time, StepName::Image, StepName::Policy, StepName::Keys];
