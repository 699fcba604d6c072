//! Step 5: under which policy, and that real and simulated are not mixed.

use packproof_receipt::{
    policy::{CellKeys, Pack, Policy},
    statement::{PACK_PREDICATE, PackPredicate, SIMULATED_PREDICATE},
};
use sha2::{Digest, Sha256};

use super::{Attested, Entry, Measured};
use crate::{
    checks::{Checks, Refusal, ensure, quote},
    expectations::{Expectations, Root},
};

pub(crate) fn read(checks: &mut Checks<'_>, bytes: &[u8]) -> Option<Policy> {
    let policy = Policy::parse(bytes).map_err(|error| Refusal::new(error.code(), error.to_string()));
    checks.judge("policy_format", "the policy can be read", Some(policy))
}

pub(crate) fn check<'a>(
    checks: &mut Checks<'_>,
    attested: Option<Attested<'_>>,
    measured: Option<Measured<'_>>,
    policy: Option<&'a Policy>,
    expectations: &Expectations<'_>,
) -> Option<Entry<'a>> {
    let (identity, environment) = (expectations.identity, expectations.environment);
    let pack = entry(checks, policy, identity, environment);
    let pins = pack.map(check_pins);
    let pins = checks.judge("policy_pins_keys", "the entry pins the keys of a pack", pins);
    check_mixtures(checks, attested, measured, policy, expectations.root);

    let predicate = measured.map(|measured| measured.predicate());
    let stated = predicate.map(|predicate| &predicate.build_definition.internal_parameters.policy_sha256);
    let digest = stated.map(|stated| fit_digest(stated, expectations.policy));
    checks.judge("policy_digest", "the statement names this policy", digest);
    let source = predicate.zip(policy).map(|(predicate, policy)| check_source(predicate, policy));
    checks.judge("policy_repository", "repository and object format are the policy's", source);
    let asked = predicate.map(|predicate| {
        let asked = &predicate.build_definition.external_parameters;
        fit_asked("the pack", [&asked.identity, &asked.environment], [identity, environment])
    });
    checks.judge("policy_request", format!("{identity}/{environment} is what was asked for"), asked);
    let ttl = predicate.zip(pack).map(|(predicate, pack)| check_ttl(predicate, pack));
    checks.judge("policy_lifetime", "the lifetime asked for is within the policy", ttl);

    let ((), pack) = (pins?, pack?);
    policy.map(|policy| Entry { policy, pack })
}

/// Finds the entry of one identity and environment.
pub(crate) fn entry<'a>(
    checks: &mut Checks<'_>,
    policy: Option<&'a Policy>,
    identity: &str,
    environment: &str,
) -> Option<&'a Pack> {
    let entry = policy.map(|policy| find(policy, identity, environment));
    checks.judge("policy_entry", format!("the policy has an entry for {identity}/{environment}"), entry)
}

/// The entry of one identity and environment, or that there is none.
pub(crate) fn find<'a>(policy: &'a Policy, identity: &str, environment: &str) -> Result<&'a Pack, Refusal> {
    let missing = || Refusal::new("not_in_policy", format!("the policy has no [[pack]] {identity}/{environment}"));
    policy.pack(identity, environment).ok_or_else(missing)
}

/// Judges whether policy and root are of one kind.
pub(crate) fn policy_and_root(checks: &mut Checks<'_>, policy: Option<&Policy>, root: Root<'_>) {
    let fits = policy.map(|policy| fit_policy_and_root(policy.is_simulated(), root));
    checks.judge("policy_and_root", "policy and root are both real or both simulated", fits);
}

/// An entry without pinned keys allows only `seal`: no artifact can come of it.
fn check_pins(pack: &Pack) -> Result<(), Refusal> {
    let opens = !matches!(pack.cell_keys, CellKeys::Sealed { recipient: None, .. });
    ensure(pack.signer.public_key.is_some() && opens, "policy_only_seals", || {
        "the entry allows only sealing: signer.public_key or unseal.recipient is not set".to_owned()
    })
}

/// AWS's root, a policy without `simulated` and `pack/v1` go together; a simulated root, a policy with `simulated` and
/// `pack-simulated/v1` do. Each other combination fails, by the name of the pair that does not fit.
fn check_mixtures(
    checks: &mut Checks<'_>,
    attested: Option<Attested<'_>>,
    measured: Option<Measured<'_>>,
    policy: Option<&Policy>,
    root: Root<'_>,
) {
    policy_and_root(checks, policy, root);
    let is_simulated = |attested: Attested<'_>| attested.statement().predicate_type == SIMULATED_PREDICATE;
    let predicate_and_root = attested.map(|attested| fit_predicate_and_root(is_simulated(attested), root));
    checks.judge("predicate_and_root", "statement and root are both real or both simulated", predicate_and_root);
    let predicate_and_policy = measured
        .zip(policy)
        .map(|(measured, policy)| fit_predicate_and_policy(is_simulated(measured.attested()), policy.is_simulated()));
    checks.judge("predicate_and_policy", "statement and policy are both real or both simulated", predicate_and_policy);
}

pub(crate) fn fit_policy_and_root(policy_is_simulated: bool, root: Root<'_>) -> Result<(), Refusal> {
    match (policy_is_simulated, root) {
        (true, Root::Aws) => Err(Refusal::new(
            "simulated_policy_under_aws_root",
            "the policy sends the enclave to a simulated KMS, which counts for nothing under AWS's root",
        )),
        (false, Root::Simulated { .. }) => Err(Refusal::new(
            "real_policy_under_simulated_root",
            "the policy is for AWS's KMS, and was asked to count under a simulated root",
        )),
        (false, Root::Aws) | (true, Root::Simulated { .. }) => Ok(()),
    }
}

fn fit_predicate_and_root(predicate_is_simulated: bool, root: Root<'_>) -> Result<(), Refusal> {
    match (predicate_is_simulated, root) {
        (true, Root::Aws) => Err(Refusal::new(
            "simulated_predicate_under_aws_root",
            format!("the statement is of type {SIMULATED_PREDICATE}, which counts for nothing under AWS's root"),
        )),
        (false, Root::Simulated { .. }) => Err(Refusal::new(
            "real_predicate_under_simulated_root",
            format!("the statement is of type {PACK_PREDICATE}, which counts only under AWS's root"),
        )),
        (false, Root::Aws) | (true, Root::Simulated { .. }) => Ok(()),
    }
}

fn fit_predicate_and_policy(predicate_is_simulated: bool, policy_is_simulated: bool) -> Result<(), Refusal> {
    ensure(predicate_is_simulated == policy_is_simulated, "predicate_contradicts_policy", || {
        "of statement and policy, one is simulated and the other is not".to_owned()
    })
}

/// Whether the digest that a statement names is that of the policy.
pub(crate) fn fit_digest(stated: &str, policy: &[u8]) -> Result<(), Refusal> {
    ensure(stated == hex::encode(Sha256::digest(policy)), "policy_digest", || {
        format!("the statement names a policy with SHA-256 {}", quote(stated))
    })
}

fn check_source(predicate: &PackPredicate, policy: &Policy) -> Result<(), Refusal> {
    let stated = &predicate.build_definition.internal_parameters;
    fit_repository(&stated.repository, policy)?;
    fit_repository(&predicate.source.repository, policy)?;
    ensure(stated.object_format == policy.source.object_format, "object_format_mismatch", || {
        format!("the statement has object format {}", quote(&stated.object_format))
    })
}

/// Whether the repository that a statement names is the policy's.
pub(crate) fn fit_repository(stated: &str, policy: &Policy) -> Result<(), Refusal> {
    let repository = &policy.source.repository;
    ensure(stated == repository, "repository_mismatch", || {
        format!("the statement is about repository {}, the policy about {}", quote(stated), quote(repository))
    })
}

/// Whether `what` was for the identity and environment expected; both arrays in that order.
pub(crate) fn fit_asked(what: &str, stated: [&str; 2], expected: [&str; 2]) -> Result<(), Refusal> {
    let ([identity, environment], [expected_identity, expected_environment]) = (stated, expected);
    ensure(identity == expected_identity, "identity_mismatch", || {
        format!("{what} was for identity {}, expected {}", quote(identity), quote(expected_identity))
    })?;
    ensure(environment == expected_environment, "environment_mismatch", || {
        format!("{what} was for environment {}, expected {}", quote(environment), quote(expected_environment))
    })
}

fn check_ttl(predicate: &PackPredicate, pack: &Pack) -> Result<(), Refusal> {
    let asked = predicate.build_definition.external_parameters.ttl_seconds;
    ensure(asked.is_none_or(|asked| (1..=pack.max_ttl_seconds).contains(&asked)), "ttl_not_in_policy", || {
        format!(
            "a lifetime of {} s was asked for; allowed are 1 to {}",
            asked.unwrap_or_default(),
            pack.max_ttl_seconds
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Evidence under AWS's root cannot be made here, so the rule is tested where it is decided.
    #[test]
    fn only_all_real_and_all_simulated_fit() {
        let fits = |predicate, policy, root| {
            fit_policy_and_root(policy, root).is_ok()
                && fit_predicate_and_root(predicate, root).is_ok()
                && fit_predicate_and_policy(predicate, policy).is_ok()
        };
        let simulated = Root::Simulated { der: &[] };
        for predicate in [false, true] {
            for policy in [false, true] {
                assert_eq!(fits(predicate, policy, Root::Aws), !predicate && !policy);
                assert_eq!(fits(predicate, policy, simulated), predicate && policy);
            }
        }
        let code = |refusal: Result<(), Refusal>| format!("{:?}", refusal.unwrap_err());
        assert!(code(fit_predicate_and_root(true, Root::Aws)).contains("simulated_predicate_under_aws_root"));
    }
}
