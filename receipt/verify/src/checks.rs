//! Collects the checks of one step.

use std::collections::BTreeSet;

use crate::{
    expectations::Requirement,
    report::{Check, Outcome, Step, StepName},
};

/// Why a check failed.
#[derive(Debug)]
pub(crate) struct Refusal {
    code: &'static str,
    text: String,
}

impl Refusal {
    pub(crate) fn new(code: &'static str, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}

/// Refuses with `code` unless `held`.
pub(crate) fn ensure(held: bool, code: &'static str, text: impl FnOnce() -> String) -> Result<(), Refusal> {
    if held { Ok(()) } else { Err(Refusal::new(code, text())) }
}

/// Text of the receipt inside a message: quoted, escaped, and not longer than a line or two.
pub(crate) fn quote(text: &str) -> String {
    const LONGEST: usize = 160;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

/// The checks of one step, in order.
///
/// Every check is recorded on every path: what could not be judged is recorded as that, never left out and never passed.
pub(crate) struct Checks<'a> {
    step: StepName,
    require: &'a BTreeSet<Requirement>,
    checks: Vec<Check>,
}

impl<'a> Checks<'a> {
    pub(crate) const fn new(step: StepName, require: &'a BTreeSet<Requirement>) -> Self {
        Self { step, require, checks: Vec::new() }
    }

    /// Records a check. `result` is `None` when something that the check needs was refused before.
    pub(crate) fn judge<T>(
        &mut self,
        name: &'static str,
        when_held: impl Into<String>,
        result: Option<Result<T, Refusal>>,
    ) -> Option<T> {
        match result {
            Some(Ok(value)) => {
                self.push(name, Outcome::Pass, name, when_held.into());
                Some(value)
            }
            Some(Err(refusal)) => {
                self.push(name, Outcome::Fail, refusal.code, refusal.text);
                None
            }
            None => {
                let text = "not evaluated: a check that it builds on did not pass".to_owned();
                self.push(name, Outcome::NotEvaluated, name, text);
                None
            }
        }
    }

    /// Records a check that was not asked for. It fails when it was insisted on.
    pub(crate) fn skip(&mut self, name: &'static str, requirement: Requirement, code: &'static str, text: &str) {
        if self.require.contains(&requirement) {
            let text = format!("required, and not done: {text}");
            self.push(name, Outcome::Fail, requirement.code(), text);
        } else {
            self.not_requested(name, code, text);
        }
    }

    /// Records a check that was not asked for and cannot be insisted on.
    pub(crate) fn not_requested(&mut self, name: &'static str, code: &'static str, text: &str) {
        self.push(name, Outcome::NotRequested, code, text.to_owned());
    }

    /// Whether everything so far passed or was not requested.
    pub(crate) fn held(&self) -> bool {
        self.checks.iter().all(|check| matches!(check.outcome, Outcome::Pass | Outcome::NotRequested))
    }

    pub(crate) fn finish(self) -> Step {
        Step { name: self.step, checks: self.checks }
    }

    fn push(&mut self, name: &'static str, outcome: Outcome, code: &'static str, text: String) {
        self.checks.push(Check { name, outcome, code, text });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_text_is_short_and_has_no_control_characters() {
        assert_eq!(quote("a\u{1b}[2J\u{202e}"), r#""a\u{1b}[2J\u{202e}""#);
        assert_eq!(quote(&"é".repeat(160)).chars().count(), 162);
        assert_eq!(quote(&"é".repeat(161)).chars().count(), 163);
    }

    #[test]
    fn what_cannot_be_judged_never_passes() {
        let none = BTreeSet::new();
        let mut checks = Checks::new(StepName::Time, &none);
        checks.skip("a", Requirement::Age, "a", "no age was asked for");
        assert!(checks.held());
        assert_eq!(checks.judge::<()>("b", "", None), None);
        assert!(!checks.held());
        assert_eq!(checks.finish().checks.get(1).map(|check| check.outcome), Some(Outcome::NotEvaluated));
    }

    #[test]
    fn an_insisted_check_fails_when_it_was_not_done() {
        let age = BTreeSet::from([Requirement::Age]);
        let mut checks = Checks::new(StepName::Time, &age);
        checks.skip("a", Requirement::Age, "a", "no age was asked for");
        let step = checks.finish();
        assert_eq!(step.checks.first().map(|check| (check.outcome, check.code)), Some((Outcome::Fail, "age_required")));
    }
}
