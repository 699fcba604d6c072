//! Step 3: when.

use super::*;

#[test]
fn refuses_times_that_do_not_fit() {
    let metadata = |code, change: fn(&mut packproof_receipt::statement::Metadata)| {
        let check = if code == "time_clock" { code } else { "time_window" };
        predicate(Dev, check, code, |predicate| change(&mut predicate.run_details.metadata));
    };
    metadata("time_clock", |metadata| metadata.clock = "host".into());
    metadata("time_format", |metadata| metadata.started_on = "yesterday".into());
    metadata("time_order", |metadata| metadata.started_on = time(0));
    metadata("time_after_document", |metadata| metadata.finished_on = time(5_001));
    let late = Tamper::request(|request| request.now = UnixMillis(NOW.0 + 60_000));
    broken(Dev, &late, "time_window", "time_document_late");
}

#[test]
fn the_age_is_judged_when_it_was_asked_for() {
    let age = |code, offset: u64| {
        expecting(Dev, "time_age", code, |expectations| {
            expectations.max_age = Some(MaxAge { seconds: 60, now: UnixMillis(NOW.0 + offset - 400_000) });
        });
    };
    age("time_too_old", 460_001);
    age("time_in_future", 99_999);
}

#[test]
fn the_challenge_expected_must_be_answered() {
    expecting(Dev, "challenge", "challenge_mismatch", |expectations| expectations.challenge = Some([8; 32]));
}

#[test]
fn what_is_required_and_not_given_fails() {
    let required = |check: &'static str, code, requirement| {
        expecting(Dev, check, code, |expectations| expectations.require = [requirement].into());
    };
    required("time_age", "age_required", Requirement::Age);
    required("challenge", "challenge_required", Requirement::Challenge);
    required("time_outside_bound", "time_required", Requirement::Time);
    required("source_expected_commit", "commit_required", Requirement::Commit);
    let kit = Kit::new();
    let made = kit.make(Dev);
    let mut expectations = kit.expectations(&made, Dev);
    expectations.image.sections = None;
    let report = verify(&made.receipt, &expectations);
    assert!(report.valid && !report.complete);
    assert_eq!(report.check("image_sections").unwrap().code, "sections_not_given");
    assert_eq!(report.check("image_pcr0").unwrap().code, "pcr0_not_recomputed");
    expectations.require = [Requirement::Pcr0].into();
    let report = verify(&made.receipt, &expectations);
    assert_eq!(failures(&report), [("image_sections", "pcr0_required"), ("image_pcr0", "pcr0_required")]);
}
