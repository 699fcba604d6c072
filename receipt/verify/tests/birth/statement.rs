//! What the statement says against the policy, and the policy that pins the key.

use super::*;

#[test]
fn refuses_a_policy_that_breaks_its_own_rules_or_lacks_the_entry() {
    let under = |check, code, from, to| {
        let kit = Kit::before_pins_with(|policy| replace(policy, from, to));
        assert_only(&verify_birth(&kit.seal(Signer), &kit.birth_expectations(Signer)), check, code);
    };
    under("policy_format", "policy_schema", "schema = 1", "schema = 2");
    under("policy_entry", "not_in_policy", r#"environment = "dev""#, r#"environment = "staging""#);
}

#[test]
fn refuses_a_statement_about_anything_else() {
    stated(Signer, "policy_digest", "policy_digest", |statement| statement.policy_sha256 = "00".repeat(32));
    stated(Signer, "policy_repository", "repository_mismatch", |statement| statement.repository.push('/'));
    stated(Signer, "birth_request", "identity_mismatch", |statement| statement.identity = "nightly".into());
    stated(Signer, "birth_request", "environment_mismatch", |statement| statement.environment = "production".into());
    stated(Signer, "birth_request", "purpose_mismatch", |statement| statement.purpose = "age-key".into());
    stated(Signer, "birth_record", "kms_request_id", |statement| statement.kms_request_id.clear());
    stated(Signer, "birth_blob", "birth_blob", |statement| statement.blob_sha256 = "00".repeat(32));
}

/// A genuine key of the dev entry is none of the production entry, nor for the other purpose.
#[test]
fn refuses_a_key_for_somebody_else() {
    let kit = Kit::before_pins();
    let mut expectations = kit.birth_expectations(Signer);
    expectations.environment = "production";
    let report = verify_birth(&kit.seal(Signer), &expectations);
    assert_eq!(failures(&report), [("birth_request", "environment_mismatch"), ("birth_sealing_key", "kms_key")]);
    let report = verify_birth(&kit.seal(AgeKey), &kit.birth_expectations(Signer));
    let expected = [
        ("birth_request", "purpose_mismatch"),
        ("birth_sealing_key", "kms_key"),
        ("birth_public_key", "birth_public_key"),
    ];
    assert_eq!(failures(&report), expected);
}

#[test]
fn refuses_another_sealing_key() {
    for (purpose, other) in [(Signer, DEV_AGE_ARN), (Signer, SIGNER_ARN), (AgeKey, DEV_SIGNER_ARN)] {
        stated(purpose, "birth_sealing_key", "kms_key", |statement| statement.kms_key_arn = other.into());
    }
    // the entry opens cells with KMS keys: no age key can be born under it
    let kit = Kit::before_pins_with(|policy| {
        let from = format!(r#"unseal = {{ kms = "{DEV_AGE_ARN}" }}"#);
        replace(policy, &from, &format!(r#"decrypt = ["{DEV_AGE_ARN}"]"#));
    });
    let report = verify_birth(&kit.seal(AgeKey), &kit.birth_expectations(AgeKey));
    assert_only(&report, "birth_sealing_key", "no_sealed_age_key");
}

#[test]
fn the_public_key_has_one_form() {
    let form = |purpose, change: &dyn Fn(&mut String)| {
        let change = |statement: &mut BirthStatement| change(&mut statement.public_key);
        stated(purpose, "birth_public_key", "birth_public_key", change);
    };
    form(Signer, &|key| *key = BASE64_STANDARD.encode(&BASE64_STANDARD.decode(&*key).unwrap()[..43]));
    form(Signer, &|key| *key = BASE64_STANDARD.encode([0; 44]));
    form(Signer, &|key| key.push('\n'));
    form(Signer, &|key| *key = DEV_CELL_RECIPIENT.into());
    form(AgeKey, &|key| *key = key.to_ascii_uppercase());
    form(AgeKey, &|key| replace(key, "age1csv9", "age1csv8"));
    form(AgeKey, &|key| *key = ed25519_spki(&Kit::new().signers[1]));
}

#[test]
fn the_later_policy_pins_exactly_this_key() {
    let theirs = ed25519_spki(&Ed25519KeyPair::from_seed_unchecked(&[66; 32]).unwrap());
    let ours = ed25519_spki(&Kit::new().signers[1]);
    let pinned = |purpose, change: &dyn Fn(&mut String), code: &str| {
        let kit = Kit::before_pins();
        let mut later = Kit::new().policy;
        change(&mut later);
        let mut expectations = kit.birth_expectations(purpose);
        expectations.pinned_by = Some(later.as_bytes());
        assert_only(&verify_birth(&kit.seal(purpose), &expectations), "birth_pinned", code);
    };
    pinned(Signer, &|later| replace(later, &ours, &theirs), "pin_mismatch");
    pinned(Signer, &|later| replace(later, &format!(r#", public_key = "{ours}""#), ""), "pin_absent");
    let other = "age1mswhdj5n08vtq4rjd7v4v034eykh80t0rvjf3f6fz6nmr5y3xuequkpasy";
    pinned(AgeKey, &|later| replace(later, DEV_CELL_RECIPIENT, other), "pin_mismatch");
    pinned(AgeKey, &|later| replace(later, &format!(r#", recipient = "{DEV_CELL_RECIPIENT}" }}"#), " }"), "pin_absent");
    let unseal = format!(r#"unseal = {{ kms = "{DEV_AGE_ARN}", recipient = "{DEV_CELL_RECIPIENT}" }}"#);
    let decrypt = format!(r#"decrypt = ["{DEV_AGE_ARN}"]"#);
    pinned(AgeKey, &|later| replace(later, &unseal, &decrypt), "no_sealed_age_key");
    // the key would stand there and never open
    pinned(Signer, &|later| replace(later, ":key/dev-signer", ":key/another"), "kms_key");
    pinned(Signer, &|later| replace(later, kit::REPOSITORY, "https://elsewhere.example"), "repository_mismatch");
    pinned(Signer, &|later| replace(later, r#"environment = "dev""#, r#"environment = "staging""#), "not_in_policy");
    pinned(Signer, &|later| replace(later, "schema = 1", "schema = 2"), "policy_schema");
    let real = r#"endpoint = "aws""#;
    pinned(Signer, &|later| replace(later, SIMULATED, real), "real_policy_under_simulated_root");
}
