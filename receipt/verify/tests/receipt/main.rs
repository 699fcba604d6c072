//! Every check of a receipt, broken alone.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on panics")]

mod artifact;
mod envelope;
mod evidence;
mod image;
mod keys;
#[path = "../kit/mod.rs"]
mod kit;
mod people;
mod policy;
mod repository;
mod source;
mod time;
mod values;

use std::collections::BTreeMap;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair};
use kit::{CHALLENGE, DEV_RECIPIENT, Entry, Kit, Made, NOW, SIMULATED, Tamper, ed25519_spki, replace, spki, time};
use packproof_receipt::{
    binding::DocumentTag,
    bundle,
    statement::{Assurance, KeyEntry, KmsCall, PackPredicate, Role},
    time::UnixMillis,
};
use packproof_receipt_verify::{
    Expectations, MaxAge, Outcome, Report, Requirement, Root, Sections, evidence::AWS_NITRO_ROOT_G1, verify,
};
use proptest::prelude::*;
use serde_json::json;

use Entry::{Dev, Production};

fn failures(report: &Report) -> Vec<(&str, &str)> {
    report.failures().map(|check| (check.name, check.code)).collect()
}

/// Exactly this check fails, with this code.
#[track_caller]
fn assert_only(report: &Report, check: &str, code: &str) {
    let known = include_str!("../../../SPEC.md").contains(&format!("`{code}`"));
    let of_a_library = ["nitro_document", "policy_format"].contains(&check);
    assert!(known || of_a_library, "receipt/SPEC.md does not list {code}");
    assert_eq!(failures(report), [(check, code)], "{report:#?}");
    assert!(!report.valid);
}

/// Makes a receipt with one change and expects exactly one check to fail.
#[track_caller]
fn broken(entry: Entry, tamper: &Tamper<'_>, check: &str, code: &str) {
    let kit = Kit::new();
    let made = kit.make_with(entry, tamper);
    assert_only(&verify(&made.receipt, &kit.expectations(&made, entry)), check, code);
}

#[track_caller]
fn predicate(entry: Entry, check: &str, code: &str, change: impl Fn(&mut PackPredicate)) {
    broken(entry, &Tamper::predicate(change), check, code);
}

/// Judges a good receipt with one expectation changed.
#[track_caller]
fn expecting(entry: Entry, check: &str, code: &str, change: impl Fn(&mut Expectations<'_>)) {
    let kit = Kit::new();
    let made = kit.make(entry);
    let mut expectations = kit.expectations(&made, entry);
    change(&mut expectations);
    assert_only(&verify(&made.receipt, &expectations), check, code);
}

/// A receipt under a policy with one change: the change is measured, so only what it allows differs.
#[track_caller]
fn under_policy(entry: Entry, check: &str, code: &str, from: &str, to: &str) {
    let kit = Kit::with_policy(|policy| replace(policy, from, to));
    let made = kit.make(entry);
    assert_only(&verify(&made.receipt, &kit.expectations(&made, entry)), check, code);
}

fn outcome(report: &Report, check: &str) -> Outcome {
    report.check(check).unwrap().outcome
}

fn call<'a>(predicate: &'a mut PackPredicate, purpose: &str) -> &'a mut KmsCall {
    predicate.kms.iter_mut().find(|call| call.purpose == purpose).unwrap()
}

fn first_cell(predicate: &mut PackPredicate) -> &mut packproof_receipt::statement::Dependency {
    of_role(predicate, Role::Cell)
}

fn of_role(predicate: &mut PackPredicate, role: Role) -> &mut packproof_receipt::statement::Dependency {
    let all = &mut predicate.build_definition.resolved_dependencies;
    all.iter_mut().find(|object| object.annotations.role == role).unwrap()
}

#[test]
fn good_receipts_are_valid() {
    let kit = Kit::new();
    for entry in [Production, Dev] {
        let made = kit.make(entry);
        let mut expectations = kit.expectations(&made, entry);
        let report = verify(&made.receipt, &expectations);
        assert_eq!(failures(&report), []);
        assert!(report.valid && report.simulated && !report.complete);
        let skipped: Vec<_> = report
            .steps
            .iter()
            .flat_map(|step| &step.checks)
            .filter(|check| check.outcome != Outcome::Pass)
            .map(|check| (check.outcome, check.code))
            .collect();
        let not_requested = |code| (Outcome::NotRequested, code);
        assert_eq!(
            skipped,
            [
                not_requested("age_not_requested"),
                not_requested("challenge_not_requested"),
                not_requested("time_self_dated"),
                not_requested("commit_not_requested"),
                not_requested("repo_not_given"),
            ]
        );

        expectations.commit = Some("1111111111111111111111111111111111111111");
        expectations.challenge = Some(CHALLENGE);
        expectations.max_age = Some(MaxAge { seconds: 60, now: NOW.saturating_add_millis(60_000) });
        expectations.require =
            [Requirement::Commit, Requirement::Challenge, Requirement::Age, Requirement::Pcr0].into();
        let report = verify(&made.receipt, &expectations);
        assert!(report.valid, "{report:#?}");
        assert_eq!(report.receipt_key, Some(spki(&kit.receipt_key)));
    }
}

#[test]
fn facts_name_who_else_could_open_each_cell() {
    let kit = Kit::new();
    let made = kit.make(Production);
    let facts = verify(&made.receipt, &kit.expectations(&made, Production)).facts.unwrap();
    assert_eq!(facts.signer.principal, "release@acme.example");
    assert_eq!(facts.inputs[0].opened_with[0].id, kit::SOPS_ARN);
    assert_eq!(facts.inputs[0].others[0].id, "0123456789ABCDEF");
    assert_eq!(facts.kms.len(), 4);
    assert_eq!(facts.evidence.unwrap().timestamp, NOW.to_rfc3339());
}

#[test]
fn every_report_has_the_same_checks() {
    let kit = Kit::new();
    let made = kit.make(Production);
    let names = |report: &Report| -> Vec<&str> {
        report.steps.iter().flat_map(|step| &step.checks).map(|check| check.name).collect()
    };
    let good = verify(&made.receipt, &kit.expectations(&made, Production));
    let bad = verify(b"\xff", &kit.expectations(&made, Dev));
    assert_eq!(names(&good), names(&bad));
    let mut distinct = names(&good);
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), names(&good).len());
}

/// [`assert_only`] looks up the codes of failures.
#[test]
fn the_specification_lists_every_check() {
    let specification = include_str!("../../../SPEC.md");
    let kit = Kit::new();
    let made = kit.make(Dev);
    let report = verify(&made.receipt, &kit.expectations(&made, Dev));
    for check in report.steps.iter().flat_map(|step| &step.checks) {
        assert!(specification.contains(&format!("`{}`", check.name)), "{}", check.name);
        assert!(specification.contains(&format!("`{}`", check.code)), "{}", check.code);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Any one byte of the file counts, and none makes the verifier panic.
    #[test]
    fn no_changed_byte_is_valid(at: prop::sample::Index, byte: u8) {
        thread_local! {
            static GOOD: (Kit, Made) = { let kit = Kit::new(); let made = kit.make(Dev); (kit, made) };
        }
        GOOD.with(|(kit, made)| {
            let mut receipt = made.receipt.clone();
            let at = at.index(receipt.len());
            let changed = receipt[at] != byte;
            receipt[at] = byte;
            let report = verify(&receipt, &kit.expectations(made, Dev));
            assert_eq!(report.valid, !changed, "byte {at}: {:?}", failures(&report));
        });
    }

    #[test]
    fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,200}") {
        let kit = Kit::new();
        let artifact = Made { receipt: Vec::new(), artifact: bytes.clone(), document: Vec::new() };
        let _ = verify(&bytes, &kit.expectations(&artifact, Dev));
        let two = format!("{}{}", kit.line(&kit.receipt_key, &text), kit.line(&kit.receipt_key, "{}"));
        let _ = verify(two.as_bytes(), &kit.expectations(&artifact, Dev));
    }
}
