//! Step 3: when, as far as the evidence itself can say.

use packproof_receipt::{statement::Metadata, time::UnixMillis};

use super::Attested;
use crate::{
    checks::{Checks, Refusal, ensure, quote},
    evidence::VerifiedDocument,
    expectations::{Expectations, MaxAge, Requirement},
};

/// The statement may end this much after its document: the enclave carries the module's time on with its own clock.
const TOLERANCE_MS: u64 = 5_000;
/// The document is made right after the statement; a module takes 0.1 s.
const LONGEST_ATTESTATION_MS: u64 = 60_000;
/// The enclave gives a request one minute; an hour leaves room for later versions and for no replay.
const LONGEST_PACK_MS: u64 = 3_600_000;
/// How far the auditor's clock may be behind AWS's.
const CLOCK_SKEW_MS: u64 = 300_000;

/// Start and end of a pack; both fit the document's own time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) started: UnixMillis,
    pub(crate) finished: UnixMillis,
}

pub(crate) fn check(
    checks: &mut Checks<'_>,
    attested: Option<Attested<'_>>,
    expectations: &Expectations<'_>,
) -> Option<Times> {
    let metadata = attested.map(|attested| &attested.predicate().run_details.metadata);
    let clock = metadata.map(|metadata| {
        ensure(metadata.clock == "nsm", "time_clock", || {
            format!("the clock is {}, expected nsm", quote(&metadata.clock))
        })
    });
    checks.judge("time_clock", "the enclave's time is the security module's", clock);
    let times =
        attested.map(|attested| window(&attested.predicate().run_details.metadata, attested.document().timestamp));
    let times = checks.judge("time_window", "start, end and document follow each other within the limits", times);

    let document = attested.map(|attested| attested.document());
    match expectations.max_age {
        None => checks.skip("time_age", Requirement::Age, "age_not_requested", "no largest age was given"),
        Some(bound) => {
            let age = document.map(|document| check_age(bound, document.timestamp));
            checks.judge("time_age", format!("the evidence is at most {} s old", bound.seconds), age);
        }
    }
    // that the statement says the same was checked with the binding
    answer(checks, document, expectations.challenge);
    let text = "self-dated: only the evidence itself says when it was made";
    checks.skip("time_outside_bound", Requirement::Time, "time_self_dated", text);
    times
}

/// Whether the document answers the challenge, when there is one.
pub(crate) fn answer(checks: &mut Checks<'_>, document: Option<&VerifiedDocument>, challenge: Option<[u8; 32]>) {
    let Some(challenge) = challenge else {
        checks.skip("challenge", Requirement::Challenge, "challenge_not_requested", "no challenge was given");
        return;
    };
    let answered = document.map(|document| {
        ensure(document.nonce.as_deref() == Some(&challenge[..]), "challenge_mismatch", || {
            "the evidence does not answer the challenge that was given".to_owned()
        })
    });
    checks.judge("challenge", "the evidence answers the challenge that was given", answered);
}

/// Reads a time of a statement.
pub(crate) fn parse(text: &str) -> Result<UnixMillis, Refusal> {
    UnixMillis::parse_rfc3339_ms(text)
        .ok_or_else(|| Refusal::new("time_format", format!("{} is not a time of the one form", quote(text))))
}

/// Whether `at`, the time of `event` as stated, fits the document that was made right after it.
pub(crate) fn fit_document(event: &str, at: UnixMillis, document: UnixMillis) -> Result<(), Refusal> {
    ensure(at <= document.saturating_add_millis(TOLERANCE_MS), "time_after_document", || {
        format!("{event} at {at}, after its document of {document}")
    })?;
    ensure(document <= at.saturating_add_millis(LONGEST_ATTESTATION_MS), "time_document_late", || {
        format!("the document is of {document}, long after {event} at {at}")
    })
}

fn window(metadata: &Metadata, document: UnixMillis) -> Result<Times, Refusal> {
    let times = Times { started: parse(&metadata.started_on)?, finished: parse(&metadata.finished_on)? };
    let Times { started, finished } = times;
    ensure(started <= finished, "time_order", || {
        format!("the pack ended at {finished}, before its start at {started}")
    })?;
    ensure(finished <= started.saturating_add_millis(LONGEST_PACK_MS), "time_pack_too_long", || {
        format!("the pack took from {started} to {finished}")
    })?;
    fit_document("the pack ended", finished, document)?;
    Ok(times)
}

fn check_age(bound: MaxAge, document: UnixMillis) -> Result<(), Refusal> {
    let MaxAge { seconds, now } = bound;
    ensure(document <= now.saturating_add_millis(CLOCK_SKEW_MS), "time_in_future", || {
        format!("the document is of {document}, after the auditor's time {now}; check that clock")
    })?;
    let oldest = now.saturating_sub_millis(seconds.saturating_mul(1_000));
    ensure(document >= oldest, "time_too_old", || {
        format!("the document is of {document}, more than {seconds} s before {now}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code<T>(result: Result<T, Refusal>) -> String {
        match result {
            Ok(_) => "pass".to_owned(),
            Err(refusal) => format!("{refusal:?}").split('"').nth(1).unwrap().to_owned(),
        }
    }

    #[test]
    fn the_window_holds_at_each_limit_and_not_above() {
        let at = 1_800_000_000_000;
        let window = |started: u64, finished: u64, document: u64| {
            let text = |millis| UnixMillis(millis).to_rfc3339();
            let metadata = Metadata {
                invocation_id: String::new(),
                started_on: text(started),
                finished_on: text(finished),
                clock: "nsm".into(),
            };
            code(super::window(&metadata, UnixMillis(document)))
        };
        assert_eq!(window(at, at, at), "pass");
        assert_eq!(window(at + 1, at, at), "time_order");
        assert_eq!(window(at, at + 3_600_000, at + 3_600_000), "pass");
        assert_eq!(window(at, at + 3_600_001, at + 3_600_001), "time_pack_too_long");
        assert_eq!(window(at, at + 5_000, at), "pass");
        assert_eq!(window(at, at + 5_001, at), "time_after_document");
        assert_eq!(window(at, at, at + 60_000), "pass");
        assert_eq!(window(at, at, at + 60_001), "time_document_late");
    }

    #[test]
    fn the_age_holds_at_each_limit_and_not_above() {
        let age =
            |document, seconds| code(check_age(MaxAge { seconds, now: UnixMillis(1_000_000) }, UnixMillis(document)));
        assert_eq!(age(1_000_000, 0), "pass");
        assert_eq!(age(999_999, 0), "time_too_old");
        assert_eq!(age(990_000, 10), "pass");
        assert_eq!(age(989_999, 10), "time_too_old");
        assert_eq!(age(1_300_000, 10), "pass");
        assert_eq!(age(1_300_001, 10), "time_in_future");
        assert_eq!(age(0, u64::MAX), "pass");
    }
}
