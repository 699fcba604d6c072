//! Step 5: under which policy, and no mixtures.

use super::*;

#[test]
fn refuses_a_policy_that_breaks_its_own_rules() {
    under_policy(Dev, "policy_format", "policy_schema", "schema = 1", "schema = 2");
    under_policy(Dev, "policy_format", "policy_shared_key", ":key/dev-age", ":key/sops");
}

#[test]
fn refuses_what_the_policy_does_not_list() {
    under_policy(Dev, "policy_entry", "not_in_policy", r#"environment = "dev""#, r#"environment = "staging""#);
    let kit = Kit::new();
    let key = format!(r#", public_key = "{}""#, ed25519_spki(&kit.signers[1]));
    under_policy(Dev, "policy_pins_keys", "policy_only_seals", &key, "");
    let recipient = format!(r#", recipient = "{}" }}"#, kit::DEV_CELL_RECIPIENT);
    under_policy(Dev, "policy_pins_keys", "policy_only_seals", &recipient, " }");
}

#[test]
fn refuses_each_mixture_of_real_and_simulated() {
    // the policy is real, all else simulated
    let kit = Kit::with_policy(|policy| replace(policy, SIMULATED, r#"endpoint = "aws""#));
    let made = kit.make(Dev);
    let report = verify(&made.receipt, &kit.expectations(&made, Dev));
    let expected = [
        ("policy_and_root", "real_policy_under_simulated_root"),
        ("predicate_and_policy", "predicate_contradicts_policy"),
    ];
    assert_eq!(failures(&report), expected);
    // the statement is real, all else simulated
    let tamper = Tamper::statement(|statement| {
        statement.predicate_type = packproof_receipt::statement::PACK_PREDICATE.into();
    });
    let kit = Kit::new();
    let made = kit.make_with(Dev, &tamper);
    let report = verify(&made.receipt, &kit.expectations(&made, Dev));
    let expected = [
        ("predicate_and_root", "real_predicate_under_simulated_root"),
        ("predicate_and_policy", "predicate_contradicts_policy"),
    ];
    assert_eq!(failures(&report), expected);
    // only the evidence is simulated
    let kit = Kit::with_policy(|policy| replace(policy, SIMULATED, r#"endpoint = "aws""#));
    let made = kit.make_with(Dev, &tamper);
    let report = verify(&made.receipt, &kit.expectations(&made, Dev));
    let expected = [
        ("policy_and_root", "real_policy_under_simulated_root"),
        ("predicate_and_root", "real_predicate_under_simulated_root"),
    ];
    assert_eq!(failures(&report), expected);
}

#[test]
fn refuses_a_statement_about_another_policy_or_request() {
    let internal = |check, code, change: fn(&mut packproof_receipt::statement::InternalParameters)| {
        predicate(Dev, check, code, |predicate| change(&mut predicate.build_definition.internal_parameters));
    };
    internal("policy_digest", "policy_digest", |stated| stated.policy_sha256 = "00".repeat(32));
    internal("policy_repository", "repository_mismatch", |stated| stated.repository.push('2'));
    internal("policy_repository", "object_format_mismatch", |stated| stated.object_format = "sha".into());
    predicate(Dev, "policy_repository", "repository_mismatch", |predicate| predicate.source.repository.push('2'));
    let external = |check, code, change: fn(&mut packproof_receipt::statement::ExternalParameters)| {
        predicate(Dev, check, code, |predicate| change(&mut predicate.build_definition.external_parameters));
    };
    external("policy_request", "identity_mismatch", |asked| asked.identity = "billing".into());
    external("policy_request", "environment_mismatch", |asked| asked.environment = "production".into());
    let ttl = |seconds: u64| {
        let kit = Kit::new();
        let tamper = Tamper::predicate(|predicate| {
            predicate.build_definition.external_parameters.ttl_seconds = Some(seconds);
        });
        let made = kit.make_with(Dev, &tamper);
        failures(&verify(&made.receipt, &kit.expectations(&made, Dev)))
            .iter()
            .map(|(_, code)| (*code).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(ttl(3_601), ["ttl_not_in_policy", "lifetime_not_as_asked"]);
    assert_eq!(ttl(0), ["ttl_not_in_policy", "lifetime_not_as_asked"]);
    assert_eq!(ttl(3_599), ["lifetime_not_as_asked"]);
    assert_eq!(ttl(3_600), [""; 0]);
}
