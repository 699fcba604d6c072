//! Step 8: with which keys.

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
