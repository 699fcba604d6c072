//! The verification of a receipt: eight steps in order.
//!
//! What a check builds on is a type that only the checks before it can make: `steps::Attested` needs both signatures and
//! the binding, `steps::Measured` needs the image on top, and so a check behind a failed one is "not evaluated" and
//! cannot pass.

use packproof_receipt::policy::Policy;

use crate::{
    checks::Checks,
    expectations::{Expectations, Root},
    report::{Facts, NOT_PROVED, Report, Step, StepName, TrustedInputs, all_hold, all_requested},
    steps::{artifact, envelope, evidence, image, keys, policy, source, time},
};

/// Judges `receipt`, the bytes of a `.sigstore.jsonl` file, against `expectations`.
///
/// A valid report means: under the given root, an enclave that ran the given image with the given policy made this
/// receipt for exactly this artifact, and everything the receipt says fits the policy and the expectations.
/// [`Report::not_proved`] lists what that does not mean.
///
/// Never panics and has no errors: an unreadable receipt, policy or release is a report with a failed check.
#[must_use]
pub fn verify(receipt: &[u8], expectations: &Expectations<'_>) -> Report {
    let mut steps = StepName::ALL.map(|name| Checks::new(name, &expectations.require));
    let [on_envelope, on_evidence, on_time, on_image, on_policy, on_source, on_artifact, on_keys] = &mut steps;

    let received = envelope::read(on_envelope, receipt);
    let document = evidence::document(on_evidence, &received, expectations.root);
    let receipt_key = envelope::signatures(on_envelope, &received, document.as_ref());
    evidence::binding(on_evidence, &received, document.as_ref());
    let attested = received.attested(document.as_ref(), on_envelope.held() && on_evidence.held());

    let times = time::check(on_time, attested, expectations);
    let measured = image::check(on_image, attested, expectations);
    let parsed: Option<Policy> = policy::read(on_policy, expectations.policy);
    let entry = policy::check(on_policy, attested, measured, parsed.as_ref(), expectations);
    let judged = measured.zip(entry);
    source::check(on_source, judged, times, expectations);
    let clef = artifact::check(on_artifact, judged, entry, times, expectations);
    keys::check(on_keys, judged, clef.as_ref());

    let facts = received.statement.as_ref().map(|statement| Facts::of(statement, document.as_ref()));
    conclude(receipt, expectations, steps.map(Checks::finish), facts, receipt_key)
}

fn conclude(
    receipt: &[u8],
    expectations: &Expectations<'_>,
    steps: [Step; 8],
    facts: Option<Facts>,
    receipt_key: Option<Vec<u8>>,
) -> Report {
    Report {
        valid: all_hold(&steps),
        complete: all_requested(&steps),
        simulated: matches!(expectations.root, Root::Simulated { .. }),
        facts,
        not_proved: NOT_PROVED,
        trusted_inputs: TrustedInputs::of(receipt, expectations),
        receipt_key,
        steps: steps.into(),
    }
}
