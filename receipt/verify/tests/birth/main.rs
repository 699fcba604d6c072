//! Every check of a birth certificate, broken alone.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on panics")]

mod certificate;
#[path = "../kit/mod.rs"]
mod kit;
mod statement;

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::{Engine, prelude::BASE64_STANDARD};
use kit::{
    CHALLENGE, DEV_AGE_ARN, DEV_CELL_RECIPIENT, DEV_SIGNER_ARN, Kit, NOW, SIGNER_ARN, SIMULATED,
    birth::{BLOB, BirthTamper},
    ed25519_spki, replace, spki, time,
};
use packproof_receipt::{
    binding::DocumentTag,
    sealed::{BirthStatement, SealedKey},
};
use packproof_receipt_verify::{
    BirthExpectations, BirthReport, KeyPurpose, Outcome, Root, Sections,
    birth::{MAX_BLOB_BYTES, MAX_SEALED_KEY_BYTES},
    evidence::AWS_NITRO_ROOT_G1,
    verify_birth,
};
use proptest::prelude::*;

use KeyPurpose::{AgeKey, Signer};

const SPECIFICATION: &str = include_str!("../../../SPEC.md");

fn failures(report: &BirthReport) -> Vec<(&str, &str)> {
    report.failures().map(|check| (check.name, check.code)).collect()
}

/// Exactly this check fails, with this code, and no key is handed out.
#[track_caller]
fn assert_only(report: &BirthReport, check: &str, code: &str) {
    let of_a_library = ["nitro_document", "policy_format", "birth_pinned"].contains(&check);
    assert!(SPECIFICATION.contains(&format!("`{code}`")) || of_a_library, "receipt/SPEC.md does not list {code}");
    assert_eq!(failures(report), [(check, code)], "{report:#?}");
    assert!(!report.valid && report.verified_public_key.is_none());
}

/// Makes a sealed key with one change and expects exactly one check to fail.
#[track_caller]
fn broken(purpose: KeyPurpose, tamper: &BirthTamper<'_>, check: &str, code: &str) {
    let kit = Kit::before_pins();
    let sealed = kit.seal_with(purpose, tamper);
    assert_only(&verify_birth(&sealed, &kit.birth_expectations(purpose)), check, code);
}

#[track_caller]
fn stated(purpose: KeyPurpose, check: &str, code: &str, change: impl Fn(&mut BirthStatement)) {
    broken(purpose, &BirthTamper::statement(change), check, code);
}

/// Judges a good sealed key with one expectation changed.
#[track_caller]
fn expecting(purpose: KeyPurpose, check: &str, code: &str, change: impl Fn(&mut BirthExpectations<'_>)) {
    let kit = Kit::before_pins();
    let mut expectations = kit.birth_expectations(purpose);
    change(&mut expectations);
    assert_only(&verify_birth(&kit.seal(purpose), &expectations), check, code);
}

fn outcome(report: &BirthReport, check: &str) -> Outcome {
    report.check(check).unwrap().outcome
}

fn names(report: &BirthReport) -> Vec<&str> {
    report.steps.iter().flat_map(|step| &step.checks).map(|check| check.name).collect()
}

#[test]
fn good_certificates_are_valid() {
    let kit = Kit::before_pins();
    let later = Kit::new().policy;
    for (purpose, key) in [(Signer, ed25519_spki(&kit.signers[1])), (AgeKey, DEV_CELL_RECIPIENT.to_owned())] {
        let sealed = kit.seal(purpose);
        let mut expectations = kit.birth_expectations(purpose);
        let report = verify_birth(&sealed, &expectations);
        assert_eq!(failures(&report), []);
        assert!(report.valid && report.simulated && !report.complete);
        assert_eq!(report.verified_public_key.as_ref(), Some(&key));
        assert_eq!(outcome(&report, "birth_pinned"), Outcome::NotRequested);

        expectations.pinned_by = Some(later.as_bytes());
        expectations.challenge = Some(CHALLENGE);
        let report = verify_birth(&sealed, &expectations);
        assert!(report.valid && report.complete, "{report:#?}");
        let facts = report.facts.unwrap();
        assert_eq!((facts.statement.public_key, facts.evidence.unwrap().timestamp), (key, NOW.to_rfc3339()));
    }
    // nobody asked for a challenge, and there is none
    let tamper = BirthTamper::request(|request| request.nonce = None);
    assert!(verify_birth(&kit.seal_with(Signer, &tamper), &kit.birth_expectations(Signer)).valid);
}

/// The lie that all this is for: the host answers with a key of its own.
#[test]
fn a_key_of_the_hosts_own_is_never_verified() {
    let kit = Kit::before_pins();
    let theirs = ed25519_spki(&Ed25519KeyPair::from_seed_unchecked(&[66; 32]).unwrap());
    let swap = |statement: &mut BirthStatement| statement.public_key.clone_from(&theirs);
    // put into a genuine file
    let ours = ed25519_spki(&kit.signers[1]);
    let tamper = BirthTamper::sealed(|sealed| replace(&mut sealed.birth_statement, &ours, &theirs));
    let report = verify_birth(&kit.seal_with(Signer, &tamper), &kit.birth_expectations(Signer));
    assert_only(&report, "birth_binding", "birth_binding");
    assert_eq!(outcome(&report, "birth_public_key"), Outcome::NotEvaluated);
    // certified by a program of their own on real hardware
    let tamper = BirthTamper {
        statement: Some(Box::new(swap)),
        request: Some(Box::new(|request| {
            request.pcrs.insert(0, [9; 48]);
            request.pcrs.insert(1, [9; 48]);
        })),
        ..BirthTamper::default()
    };
    let report = verify_birth(&kit.seal_with(Signer, &tamper), &kit.birth_expectations(Signer));
    assert_eq!(failures(&report), [("image_pcr1", "image_pcr1"), ("image_pcr0", "image_pcr0")]);
    assert_eq!(outcome(&report, "birth_public_key"), Outcome::NotEvaluated);
    assert_eq!(report.verified_public_key, None);
    // certified by a mock of their own
    let sealed = Kit::before_pins().seal_with(Signer, &BirthTamper::statement(swap));
    let report = verify_birth(&sealed, &kit.birth_expectations(Signer));
    assert_only(&report, "nitro_document", "chain_root_mismatch");
}

#[test]
fn every_report_has_the_same_checks() {
    let kit = Kit::before_pins();
    let good = verify_birth(&kit.seal(Signer), &kit.birth_expectations(Signer));
    let mut expectations = kit.birth_expectations(AgeKey);
    expectations.pinned_by = Some(b"");
    expectations.policy = b"";
    let bad = verify_birth(b"\xff", &expectations);
    assert_eq!(names(&good), names(&bad));
    let mut distinct = names(&good);
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), names(&good).len());
}

/// [`assert_only`] looks up the codes of failures.
#[test]
fn the_specification_lists_every_check() {
    let kit = Kit::before_pins();
    let report = verify_birth(&kit.seal(Signer), &kit.birth_expectations(Signer));
    for check in report.steps.iter().flat_map(|step| &step.checks) {
        assert!(SPECIFICATION.contains(&format!("`{}`", check.name)), "{}", check.name);
        assert!(SPECIFICATION.contains(&format!("`{}`", check.code)), "{}", check.code);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// White space between members means nothing; every other byte of the file counts.
    #[test]
    fn no_changed_byte_changes_what_is_verified(at: prop::sample::Index, byte: u8) {
        thread_local! {
            static GOOD: (Kit, Vec<u8>) = { let kit = Kit::before_pins(); let sealed = kit.seal(AgeKey); (kit, sealed) };
        }
        GOOD.with(|(kit, good)| {
            let mut sealed = good.clone();
            sealed[at.index(good.len())] = byte;
            if verify_birth(&sealed, &kit.birth_expectations(AgeKey)).valid {
                let read = |bytes: &[u8]| serde_json::from_slice::<SealedKey>(bytes).unwrap();
                assert_eq!(read(&sealed), read(good));
            }
        });
    }

    #[test]
    fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,200}") {
        let kit = Kit::before_pins();
        let _ = verify_birth(&bytes, &kit.birth_expectations(Signer));
        let tamper = BirthTamper::statement_text(|statement| statement.clone_from(&text));
        let _ = verify_birth(&kit.seal_with(Signer, &tamper), &kit.birth_expectations(Signer));
        let tamper = BirthTamper::statement(|statement| statement.public_key.clone_from(&text));
        let _ = verify_birth(&kit.seal_with(AgeKey, &tamper), &kit.birth_expectations(AgeKey));
    }
}
