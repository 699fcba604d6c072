//! Every way of calling, put to a key policy.

use std::collections::BTreeSet;

use packproof_receipt::measure::Measurements;

use super::{
    callers::{self, Caller},
    condition::{Register, Truth, is_pattern},
    document::{Effect, Name, Principals, Statement},
    evaluate::{Attestation, Call, Held, ZERO},
    key::{IamHolder, KeyCase},
};

/// How a call comes to be allowed that should not be. The first ones need least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum How {
    /// Without an attestation document.
    Unattested,
    /// By an enclave that shares no measurement with a pinned one.
    AnyImage,
    /// By an enclave that shares PCR1.
    OtherPolicy,
    /// By an enclave that shares PCR2.
    OtherProgram,
    /// By an instance with NitroTPM.
    Tpm,
    /// By an enclave in debug mode.
    Debug,
    /// By an enclave with these measurements, all of them named in the policy.
    Image,
    /// By an enclave that shares enough, but not all three: not known to be possible.
    Partial,
}

/// One way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Opening {
    pub(super) caller: Caller,
    pub(super) action: &'static str,
    pub(super) how: How,
    /// PCR0, for [`How::Image`].
    pub(super) image: Option<String>,
    /// The key policy's statement, and the IAM policy's when that one decides.
    pub(super) through: String,
    /// Condition keys that only the caller knows.
    pub(super) depends_on: Vec<String>,
}

impl Opening {
    /// Whether a reader could not tell the two apart.
    fn reads_like(&self, other: &Self) -> bool {
        (&self.caller.shown, self.action, self.how, &self.image, &self.through)
            == (&other.caller.shown, other.action, other.how, &other.image, &other.through)
    }
}

/// How many values of one register are judged.
pub(super) const MAX_VALUES: usize = 8;

/// The attestations to try: each combination of the values that a policy names, or none of them, for PCR0 to PCR2.
pub(super) struct Attempts {
    all: Vec<(How, Attestation)>,
    /// Whether a register had more than [`MAX_VALUES`] values.
    pub(super) incomplete: bool,
}

impl Attempts {
    /// The attempts at statements with these, and no other, measurements.
    pub(super) fn at<'a>(statements: impl Iterator<Item = &'a Statement>) -> Self {
        let mut named: [Vec<String>; 3] = Default::default();
        for condition in statements.flat_map(|statement| &statement.conditions) {
            let Some(Register::Enclave(index)) = condition.register() else { continue };
            let Some(known) = named.get_mut(usize::from(index)) else { continue };
            for value in condition.values.iter().map(|value| value.to_lowercase()) {
                if value != ZERO && !is_pattern(&value) && !known.contains(&value) {
                    known.push(value);
                }
            }
        }
        let incomplete = named.iter().any(|values| values.len() > MAX_VALUES);
        let [pcr0s, pcr1s, pcr2s] = named.map(|values| -> Vec<Held> {
            let values = values.into_iter().take(MAX_VALUES);
            std::iter::once(Held::Fresh).chain(values.map(Held::Value)).collect()
        });

        // Debug mode: these four are zero, those of the parent are not.
        let zero = || Held::Value(ZERO.to_owned());
        let debug = [0, 1, 2, 8].map(|index| (index, zero())).into();
        let mut all = vec![
            (How::Unattested, Attestation::None),
            (How::Debug, Attestation::Enclave(debug)),
            (How::Tpm, Attestation::Tpm),
        ];
        for pcr0 in &pcr0s {
            for pcr1 in &pcr1s {
                for pcr2 in &pcr2s {
                    let registers = [pcr0, pcr1, pcr2];
                    let held = (0..).zip(registers.map(Held::clone)).collect();
                    all.push((how(registers), Attestation::Enclave(held)));
                }
            }
        }
        all.sort_by_key(|(how, _)| *how);
        Self { all, incomplete }
    }

    /// The first attempt of each kind that real images allow.
    pub(super) fn by_strangers(&self) -> impl Iterator<Item = &(How, Attestation)> {
        self.all.iter().filter(|(how, _)| *how <= How::OtherProgram)
    }
}

/// What sharing these measurements, and no others, with a pinned image means. PCR0 covers what PCR1 and PCR2 cover, so
/// an image that shares PCR1 and PCR2 has the same PCR0 unless bytes moved between sections.
fn how(registers: [&Held; 3]) -> How {
    match registers.map(|held| *held == Held::Fresh) {
        [true, true, true] => How::AnyImage,
        [true, false, true] => How::OtherPolicy,
        [true, true, false] => How::OtherProgram,
        [false, false, false] => How::Image,
        _ => How::Partial,
    }
}

/// The attestation of an image.
pub(super) fn attestation_of(image: &Measurements) -> Attestation {
    let registers = [(0, image.pcr0), (1, image.pcr1), (2, image.pcr2)];
    Attestation::Enclave(registers.into_iter().map(|(n, pcr)| (n, Held::Value(hex::encode(pcr)))).collect())
}

/// Every way in which `action` is allowed. A way that follows from a weaker one is left out.
pub(super) fn openings(case: &KeyCase, iam: &[IamHolder], action: &'static str) -> Vec<Opening> {
    let mut found: Vec<Opening> = Vec::new();
    for statement in case.document.with_effect(Effect::Allow).filter(|statement| statement.actions.has_action(action)) {
        for path in paths(case, iam, statement, action) {
            for opening in path.openings(case, &path.attempts(case), action) {
                // A role, a user and a root of one account are one finding.
                if !found.iter().any(|other| opening.reads_like(other)) {
                    found.push(opening);
                }
            }
        }
    }
    found
}

/// Whether some way to `action` names more measurements than are judged.
pub(super) fn is_incomplete(case: &KeyCase, iam: &[IamHolder], action: &str) -> bool {
    case.document
        .with_effect(Effect::Allow)
        .filter(|statement| statement.actions.has_action(action))
        .flat_map(|statement| paths(case, iam, statement, action))
        .any(|path| path.attempts(case).incomplete)
}

/// The callers to whom `action` is allowed without attestation, with the statement.
pub(super) fn holders(case: &KeyCase, iam: &[IamHolder], action: &'static str) -> Vec<Opening> {
    openings(case, iam, action).into_iter().filter(|opening| opening.how == How::Unattested).collect()
}

/// Whether some caller whom the key policy names may call `action` with this attestation.
pub(super) fn is_allowed(case: &KeyCase, iam: &[IamHolder], action: &str, attestation: &Attestation) -> bool {
    case.document
        .with_effect(Effect::Allow)
        .flat_map(|statement| paths(case, iam, statement, action))
        .any(|path| path.allows(case, action, attestation))
}

/// A caller and the statements that must all allow.
struct Path<'a> {
    caller: Caller,
    statements: Vec<&'a Statement>,
    through: String,
    /// The caller's IAM policies, for their Deny statements.
    iam: Option<&'a IamHolder>,
}

fn paths<'a>(case: &'a KeyCase, iam: &'a [IamHolder], statement: &'a Statement, action: &str) -> Vec<Path<'a>> {
    let key = case.arn.as_deref();
    let accounts = callers::accounts(&case.document, key);
    let direct = callers::of_statement(statement, &case.document, &accounts).into_iter().map(|caller| {
        let iam = iam.iter().find(|holder| holder.caller.arns.iter().any(|arn| caller.arns.contains(arn)));
        Path { caller, statements: vec![statement], through: quoted(&statement.name), iam }
    });
    let mut paths: Vec<Path<'a>> = direct.collect();
    let passes_on = |holder: &&IamHolder| {
        let Principals::Only(names) = &statement.principals else { return false };
        holder.caller.account.as_ref().is_some_and(|account| names.contains(&Name::Account(account.clone())))
    };
    for holder in iam.iter().filter(passes_on) {
        for (source, document) in &holder.documents {
            for allowing in document.with_effect(Effect::Allow).filter(|allowing| allowing.actions.has_action(action)) {
                paths.push(Path {
                    caller: holder.caller.clone(),
                    statements: vec![statement, allowing],
                    through: format!("{} and {source}, {}", quoted(&statement.name), quoted(&allowing.name)),
                    iam: Some(holder),
                });
            }
        }
    }
    paths
}

impl Path<'_> {
    /// With the measurements of the key policy and of the IAM statement that allows.
    fn attempts(&self, case: &KeyCase) -> Attempts {
        Attempts::at(case.document.statements.iter().chain(self.statements.iter().copied()))
    }

    fn allows(&self, case: &KeyCase, action: &str, attestation: &Attestation) -> bool {
        let call = Call { caller: &self.caller, action, attestation };
        let key = case.arn.as_deref();
        let denied_by_iam = || {
            let documents = self.iam.into_iter().flat_map(|holder| &holder.documents);
            documents.map(|(_, document)| document.denies(&call, key)).max() == Some(Truth::Yes)
        };
        self.statements.iter().all(|statement| statement.applies(&call, key) != Truth::No)
            && case.document.denies(&call, key) != Truth::Yes
            && !denied_by_iam()
    }

    fn openings(&self, case: &KeyCase, attempts: &Attempts, action: &'static str) -> Vec<Opening> {
        let mut found: Vec<Opening> = Vec::new();
        let mut images = BTreeSet::new();
        for (how, attestation) in &attempts.all {
            let implied = found.iter().any(|opening| {
                opening.how == *how && *how != How::Image
                    || opening.how == How::Unattested
                    || opening.how == How::AnyImage && *how != How::Tpm
            });
            if implied || !self.allows(case, action, attestation) {
                continue;
            }
            let image = match attestation.value(Register::Enclave(0)) {
                Some(Held::Value(value)) if *how == How::Image => Some(value),
                _ => None,
            };
            if *how == How::Image && !images.insert(image.clone()) {
                continue;
            }
            found.push(Opening {
                caller: self.caller.clone(),
                action,
                how: *how,
                image,
                through: self.through.clone(),
                depends_on: self.depends_on(),
            });
        }
        found
    }

    /// The conditions of the allowing statements that nothing here decides.
    fn depends_on(&self) -> Vec<String> {
        let conditions = self.statements.iter().flat_map(|statement| &statement.conditions);
        let unknown = conditions.filter(|condition| condition.key == super::condition::Key::Other);
        let mut keys: Vec<String> = unknown.map(|condition| condition.key_text.clone()).collect();
        keys.sort();
        keys.dedup();
        keys
    }
}

fn quoted(name: &str) -> String {
    format!("statement {name:?}")
}
