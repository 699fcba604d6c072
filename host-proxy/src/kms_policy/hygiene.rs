//! Statements that do not say what they seem to. Whether anything is open because of one is judged elsewhere.

use super::{
    condition::{Compare, Condition, Register, Set, Test, Truth, is_pattern},
    document::{Effect, Name, Principals, Statement},
    evaluate::ZERO,
    findings::{Code, Finding, Severity},
    key::KeyCase,
};

/// What to say about the statements of a key policy.
pub(super) fn findings(case: &KeyCase) -> Vec<Finding> {
    let mut findings = Vec::new();
    let account = case.arn.as_deref().and_then(|arn| arn.split(':').nth(4));
    for statement in &case.document.statements {
        let mut add = |code, severity, message: String| {
            let place = format!("statement {:?}", statement.name);
            findings.push(Finding::new(code, severity, Some(&place), message));
        };
        principals(statement, account, &mut add);
        elements(statement, case.arn.as_deref(), &mut add);
        for condition in &statement.conditions {
            self::condition(statement, condition, &mut add);
        }
        let denies_by = |condition: &&Condition| condition.is_attestation() && condition.operator.is_negated();
        let registers: Vec<&str> =
            statement.conditions.iter().filter(denies_by).map(|condition| condition.key_text.as_str()).collect();
        if statement.effect == Effect::Deny && registers.len() > 1 {
            let message = format!("it denies only what differs in all of {}", registers.join(", "));
            add(Code::DenyConditionsAnded, Severity::Warning, message);
        }
    }
    findings
}

type Add<'a> = dyn FnMut(Code, Severity, String) + 'a;

fn principals(statement: &Statement, account: Option<&str>, add: &mut Add<'_>) {
    let names = match &statement.principals {
        Principals::Only(names) => names,
        Principals::Except(names) => {
            add(Code::InvertedElement, Severity::Warning, "NotPrincipal".into());
            names
        }
        Principals::Holder => return,
    };
    for name in names {
        match name {
            Name::Deleted(id) => {
                add(
                    Code::DeletedPrincipal,
                    Severity::Note,
                    format!("{id:?} is the id of a principal that was deleted"),
                );
            }
            _ if statement.effect == Effect::Deny => {}
            Name::Anybody => add(Code::WildcardPrincipal, Severity::Warning, "it allows everybody".into()),
            Name::Arn(arn) if is_pattern(arn) => {
                add(
                    Code::WildcardPrincipal,
                    Severity::Warning,
                    format!("{arn:?} is a pattern, which a Principal cannot be"),
                );
            }
            Name::Account(root) => {
                let message = format!("it hands the decision to every IAM policy of account {root}");
                add(Code::RootStatement, Severity::Warning, message);
                if account.is_some_and(|account| account != root) {
                    add(Code::ForeignAccount, Severity::Warning, format!("account {root} is not the key's"));
                }
            }
            Name::Arn(arn) => {
                let theirs = arn.split(':').nth(4).unwrap_or_default();
                if account.is_some_and(|account| account != theirs) {
                    add(Code::ForeignAccount, Severity::Note, format!("{arn} is in another account than the key"));
                }
            }
            Name::Service(_) | Name::Other(_) => {}
        }
    }
}

fn elements(statement: &Statement, key: Option<&str>, add: &mut Add<'_>) {
    for (names, element) in [(&statement.actions, "NotAction"), (&statement.resources, "NotResource")] {
        if names.inverted {
            add(Code::InvertedElement, Severity::Warning, element.into());
        }
    }
    let wild: Vec<&str> =
        statement.actions.patterns.iter().map(String::as_str).filter(|name| is_pattern(name)).collect();
    if statement.effect == Effect::Allow && !wild.is_empty() && !statement.actions.inverted {
        add(Code::WildcardAction, Severity::Warning, format!("it allows {}", wild.join(", ")));
    }
    if key.is_some_and(|arn| statement.resources.has_resource(arn) == Truth::No) {
        let message = format!("its Resource is {}", statement.resources.patterns.join(", "));
        add(Code::ResourceOtherKey, Severity::Warning, message);
    }
}

fn condition(statement: &Statement, condition: &Condition, add: &mut Add<'_>) {
    let Condition { operator, operator_text, key_text, values, .. } = condition;
    if operator.test == Test::Unknown {
        add(Code::UnknownOperator, Severity::Warning, format!("{operator_text} on {key_text}"));
    }
    if !condition.is_attestation() {
        return;
    }
    let here = format!("{operator_text} on {key_text}");
    let allows = statement.effect == Effect::Allow;
    match condition.register() {
        None => add(Code::UnknownAttestationKey, Severity::Warning, key_text.clone()),
        Some(Register::Tpm(_)) => add(Code::NitroTpmCondition, Severity::Warning, here.clone()),
        Some(Register::Enclave(_)) => {}
    }
    if let Test::Text { negated, compare } = operator.test {
        if compare == Compare::Exact {
            let never = if values.iter().any(|value| value.bytes().any(|b| b.is_ascii_uppercase())) {
                "; its upper-case value never equals one"
            } else {
                ""
            };
            add(Code::CaseSensitiveOperator, Severity::Warning, format!("{here}{never}"));
        }
        if negated && allows {
            add(Code::AllowNegatedOperator, Severity::Warning, here.clone());
        }
        if !negated && !allows {
            add(Code::DenyPositiveOperator, Severity::Warning, here.clone());
        }
        measurements(&here, compare, values, add);
    }
    if operator.if_exists {
        add(Code::ConditionIfExists, Severity::Warning, here.clone());
    }
    if operator.set == Some(Set::ForAllValues) {
        add(Code::ConditionForAllValues, Severity::Warning, here);
    }
}

/// SHA-384 as hex.
const MEASUREMENT_DIGITS: usize = 96;

fn measurements(here: &str, compare: Compare, values: &[String], add: &mut Add<'_>) {
    for value in values {
        if compare == Compare::Pattern && is_pattern(value) {
            add(Code::WildcardMeasurement, Severity::Warning, format!("{here}: {value:?}"));
        } else if value == ZERO {
            add(Code::ZeroMeasurement, Severity::Warning, here.to_owned());
        } else if value.len() != MEASUREMENT_DIGITS || !value.bytes().all(|b| b.is_ascii_hexdigit()) {
            add(Code::MalformedMeasurement, Severity::Warning, format!("{here}: {value:?}"));
        }
    }
}
