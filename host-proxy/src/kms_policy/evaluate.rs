//! One call put to statements.
//!
//! Source: IAM User Guide, "Policy evaluation logic"; KMS Developer Guide, "Key policies", "Determining access".

use std::collections::BTreeMap;

use super::{
    callers::Caller,
    condition::{Register, Truth},
    document::{Document, Effect, Name, Principals, Statement},
};

/// A call of which the caller, the action and the attestation are known, and nothing else.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'a> {
    pub(super) caller: &'a Caller,
    pub(super) action: &'a str,
    pub(super) attestation: &'a Attestation,
}

/// The attestation document of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Attestation {
    /// No `Recipient`.
    None,
    /// An enclave's: PCR0 to PCR2, and PCR8 where it is known. Every other register holds what suits the caller.
    Enclave(BTreeMap<u8, Held>),
    /// An instance's NitroTPM, which holds what suits the caller.
    Tpm,
}

/// What a register holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Held {
    /// A measurement that no document names: the caller tries images until it suits him, so it may or may not match a
    /// pattern, and never equals a value.
    Fresh,
    /// Lower-case hex.
    Value(String),
    /// Whatever suits the caller: parent role and instance (PCR3, PCR4), what the image extends itself, a certificate.
    Any,
}

/// A register that nothing was measured into; PCR0 to PCR2 of a debug enclave.
pub(super) const ZERO: &str =
    "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000";

impl Attestation {
    /// What a register holds; `None` when the document has no such register.
    pub(super) fn value(&self, register: Register) -> Option<Held> {
        match (self, register) {
            (Self::Enclave(held), Register::Enclave(index)) => Some(held.get(&index).cloned().unwrap_or(Held::Any)),
            (Self::Tpm, Register::Tpm(_)) => Some(Held::Any),
            _ => None,
        }
    }
}

impl Statement {
    /// Whether the statement speaks about the call. Of a key whose ARN is not known, a resource that is not `*` may be it.
    pub(super) fn applies(&self, call: &Call<'_>, key: Option<&str>) -> Truth {
        if !self.means(call.caller) || !self.actions.has_action(call.action) {
            return Truth::No;
        }
        let anything = !self.resources.inverted && self.resources.patterns.iter().any(|pattern| pattern == "*");
        let resource = match key {
            _ if anything => Truth::Yes,
            Some(arn) => self.resources.has_resource(arn),
            None => Truth::Maybe,
        };
        self.conditions.iter().map(|condition| condition.holds(call)).fold(resource, Truth::min)
    }

    /// Whether `Principal` or `NotPrincipal` means the caller.
    fn means(&self, caller: &Caller) -> bool {
        let named = |name: &Name| match name {
            Name::Anybody => true,
            Name::Arn(arn) => caller.arns.contains(arn),
            Name::Service(_) | Name::Other(_) => caller.name == *name,
            Name::Deleted(_) => false,
            // In a Deny the root means everybody in the account; in an Allow those to whom IAM passes it on.
            Name::Account(account) => {
                caller.account.as_ref() == Some(account) && (self.effect == Effect::Deny || caller.through_iam)
            }
        };
        match &self.principals {
            Principals::Holder => true,
            Principals::Only(names) => names.iter().any(named),
            // A root in NotPrincipal spares the root alone, so an account named there spares none of its roles.
            Principals::Except(names) => !names.iter().any(|name| !matches!(name, Name::Account(_)) && named(name)),
        }
    }
}

impl Document {
    /// Whether a Deny statement speaks about the call. An explicit Deny wins over everything, grants included.
    pub(super) fn denies(&self, call: &Call<'_>, key: Option<&str>) -> Truth {
        let applies = self.with_effect(Effect::Deny).map(|statement| statement.applies(call, key));
        applies.max().unwrap_or(Truth::No)
    }
}
