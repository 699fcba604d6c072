//! Step 8: with which keys.

use std::collections::BTreeSet;

use packproof_receipt::statement::{KeyDescription, KeyPolicy};
use sha2::{Digest, Sha256};

use super::*;

#[test]
fn refuses_kms_calls_that_do_not_fit_the_pack() {
    for purpose in ["signer", "envelope", r#"cell "secrets/stripe/production.enc.yaml""#] {
        predicate(Production, "keys_calls", "kms_call_missing", |predicate| {
            predicate.kms.retain(|call| call.purpose != purpose);
        });
        predicate(Production, "keys_calls", "kms_call_repeated", |predicate| {
            let twice = call(predicate, purpose).clone();
            predicate.kms.push(twice);
        });
    }
    predicate(Dev, "keys_calls", "kms_call_missing", |predicate| {
        predicate.kms.retain(|call| call.purpose != "age-key");
    });
    for purpose in ["envelope", "age-key2", r#"cell "secrets/stripe/dev.enc.yaml""#] {
        predicate(Dev, "keys_calls", "kms_call_unexpected", |predicate| {
            let mut more = call(predicate, "signer").clone();
            more.purpose = purpose.into();
            predicate.kms.push(more);
        });
    }
}

#[test]
fn refuses_kms_calls_without_a_record() {
    predicate(Dev, "keys_attested", "kms_not_attested", |predicate| predicate.kms[0].recipient_attested = false);
    predicate(Dev, "keys_records", "kms_request_id", |predicate| predicate.kms[1].request_id.clear());
    predicate(Dev, "keys_records", "kms_attempts", |predicate| predicate.kms[0].attempts = 0);
    predicate(Production, "keys_records", "kms_blob_digest", |predicate| {
        predicate.kms[0].ciphertext_blob_sha256.push('0');
    });
}

#[test]
fn refuses_keys_under_another_arn_or_context() {
    let all = [
        (Production, "signer", "keys_signer"),
        (Production, "envelope", "keys_envelope"),
        (Production, r#"cell "secrets/rds-orders/production.enc.yaml""#, "keys_cells"),
        (Dev, "age-key", "keys_age_key"),
        (Dev, "signer", "keys_signer"),
    ];
    for (entry, purpose, check) in all {
        predicate(entry, check, "kms_operation", |predicate| call(predicate, purpose).operation = "Encrypt".into());
        predicate(entry, check, "kms_key", |predicate| call(predicate, purpose).key_arn.push('2'));
        predicate(entry, check, "kms_context", |predicate| {
            call(predicate, purpose).encryption_context.insert("identity".into(), "billing".into());
        });
    }
}

#[test]
fn refuses_blobs_that_are_not_those_sent_or_written() {
    let other = "00".repeat(32);
    predicate(Dev, "keys_signer", "sealed_signer_blob", |predicate| {
        call(predicate, "signer").ciphertext_blob_sha256.clone_from(&other);
    });
    predicate(Dev, "keys_age_key", "sealed_age_key_blob", |predicate| {
        call(predicate, "age-key").ciphertext_blob_sha256.clone_from(&other);
    });
    predicate(Dev, "keys_age_key", "sealed_age_key_blob", |predicate| {
        predicate.build_definition.external_parameters.sealed_age_key_sha256 = None;
    });
    predicate(Production, "keys_age_key", "sealed_age_key_unexpected", |predicate| {
        predicate.build_definition.external_parameters.sealed_age_key_sha256 = Some("00".repeat(32));
    });
    predicate(Production, "keys_envelope", "envelope_blob", |predicate| {
        call(predicate, "envelope").ciphertext_blob_sha256.clone_from(&other);
    });
    let tamper = Tamper::members(|members| members["envelope"]["wrappedKey"] = "b3RoZXI=".into());
    broken(Production, &tamper, "keys_envelope", "envelope_blob");
}

/// A cell whose used entry is not a KMS key of the policy has nothing to compare its call with.
#[test]
fn refuses_a_cell_call_without_an_allowed_key() {
    let kit = Kit::new();
    let tamper = Tamper::predicate(|predicate| {
        let entries = &mut first_cell(predicate).annotations.key_entries;
        (entries[0].used, entries[1].used) = (true, false);
    });
    let made = kit.make_with(Production, &tamper);
    let report = verify(&made.receipt, &kit.expectations(&made, Production));
    let expected = [("source_cell_keys", "cell_key_not_in_policy"), ("keys_cells", "cell_key_not_in_policy")];
    assert_eq!(failures(&report), expected);
}

const RECORDING: (&str, &str) = ("schema = 1", "schema = 1\nrecord_key_policies = true");

/// The entries that a pack under the rule states.
fn record(predicate: &mut PackPredicate) {
    let arns: BTreeSet<String> = predicate.kms.iter().map(|call| call.key_arn.clone()).collect();
    let entry = |key_arn| KeyPolicy {
        key_arn,
        policy: r#"{"Version": "2012-10-17"}"#.into(),
        description: KeyDescription {
            key_manager: "CUSTOMER".into(),
            origin: "AWS_KMS".into(),
            multi_region: false,
            key_state: "Enabled".into(),
            key_usage: "ENCRYPT_DECRYPT".into(),
            key_spec: "SYMMETRIC_DEFAULT".into(),
        },
        policy_request_ids: vec!["throttled".into(), "answered".into()],
        description_request_ids: vec!["answered too".into()],
        assurance: Assurance::EnclaveVerified,
    };
    predicate.key_policies = arns.into_iter().map(entry).collect();
}

/// Judges a receipt under `record_key_policies`, with its recorded entries changed.
fn recorded(entry: Entry, change: impl Fn(&mut Vec<KeyPolicy>)) -> Report {
    let kit = Kit::with_policy(|policy| replace(policy, RECORDING.0, RECORDING.1));
    let tamper = Tamper::predicate(|predicate| {
        record(predicate);
        change(&mut predicate.key_policies);
    });
    let made = kit.make_with(entry, &tamper);
    verify(&made.receipt, &kit.expectations(&made, entry))
}

#[test]
fn key_policies_are_recorded_exactly_where_the_policy_asks_for_them() {
    for (entry, count) in [(Production, 3), (Dev, 2)] {
        let report = recorded(entry, |_| ());
        assert_eq!(failures(&report), []);
        let facts = &report.facts.as_ref().unwrap().key_policies;
        assert_eq!(facts.len(), count, "two cells have one key");
        let digest = hex::encode(Sha256::digest(r#"{"Version": "2012-10-17"}"#));
        assert!(facts.iter().all(|fact| fact.policy_sha256 == digest));

        let check = "keys_policies";
        predicate(entry, check, "key_policy_unexpected", record);
        under_policy(entry, check, "key_policy_missing", RECORDING.0, RECORDING.1);
        let refused = |code: &str, change: fn(&mut Vec<KeyPolicy>)| {
            assert_only(&recorded(entry, change), check, code);
        };
        refused("key_policy_missing", |entries| drop(entries.pop()));
        refused("key_policy_repeated", |entries| entries.extend_from_within(..1));
        refused("key_policy_unexpected", |entries| entries[0].key_arn.push('2'));
        refused("key_policy_text", |entries| entries[0].policy.clear());
        refused("key_policy_text", |entries| entries[1].policy = " ".repeat(32_769));
        refused("key_policy_request_id", |entries| entries[0].policy_request_ids.clear());
        refused("key_policy_request_id", |entries| entries[1].description_request_ids[0].clear());
        let host = recorded(entry, |entries| entries[0].assurance = Assurance::HostAsserted);
        assert_only(&host, "source_assurance", "host_asserted");
        assert_eq!(failures(&recorded(entry, |entries| entries[0].policy = " ".repeat(32_768))), []);
    }
}
