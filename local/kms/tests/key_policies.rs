//! `packproof kms-policy` against this KMS's evaluation: what it writes does what it promises, and what it calls closed
//! is closed.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "helpers of tests, which state what they expect by panicking"
)]

#[path = "common/generated.rs"]
mod generated;

use std::{collections::BTreeMap, fs};

use generated::{AGE, CELLS, ENVELOPE, SIGNER, generated, packproof, role, text};
use packproof_local_kms::policy::{Context, Decision, Policy, Request};
use proptest::prelude::*;
use serde_json::{Value, json};

const KEYS: [&str; 4] = [CELLS, SIGNER, AGE, ENVELOPE];
const ROLES: [&str; 5] = ["ci", "admin", "author", "workload", "stranger"];

type Pcrs = [[u8; 48]; 3];

/// The generated policies by key, as this KMS reads them, and the measurements of the images they pin.
fn policies(releases: &[&[u8]]) -> (BTreeMap<String, Policy>, Vec<Pcrs>) {
    let object = generated(releases);
    let keys = object["keys"].as_array().unwrap().iter();
    let policies = keys.map(|key| {
        (key["arn"].as_str().unwrap().to_owned(), Policy::from_value(&key["policy"]).expect("the local KMS reads it"))
    });
    let pcr = |image: &Value, name: &str| hex::decode(image[name].as_str().unwrap()).unwrap().try_into().unwrap();
    let images = object["images"].as_array().unwrap().iter();
    (policies.collect(), images.map(|image| ["pcr0", "pcr1", "pcr2"].map(|name| pcr(image, name))).collect())
}

fn allows(policy: &Policy, key: &str, caller: &str, action: &str, image: Option<&Pcrs>) -> bool {
    let mut context = Context::new(caller);
    if let Some(image) = image {
        context = context.with_attestation(&(0..).zip(image.iter().copied()).collect());
    }
    let request = Request { principal: caller, action, resource: key, context: &context };
    matches!(policy.evaluate(&request), Decision::Allow { .. })
}

/// Everything that somebody is allowed, as `role action` and, for an attested call, `(image)`.
fn allowed(policy: &Policy, key: &str, image: Option<&Pcrs>) -> Vec<String> {
    let actions = [
        "Decrypt",
        "Encrypt",
        "GenerateDataKey",
        "GenerateDataKeyWithoutPlaintext",
        "ReEncryptFrom",
        "ReEncryptTo",
        "CreateGrant",
        "ReplicateKey",
        "DeriveSharedSecret",
        "PutKeyPolicy",
        "ScheduleKeyDeletion",
    ];
    let mut allowed = Vec::new();
    let callers = ROLES.map(role).into_iter().chain(["arn:aws:iam::111122223333:root".to_owned()]);
    for caller in callers {
        for action in actions {
            if allows(policy, key, &caller, &format!("kms:{action}"), image) {
                allowed.push(format!("{} {action}", caller.rsplit(['/', ':']).next().unwrap()));
            }
        }
    }
    allowed
}

#[test]
fn without_attestation_only_the_named_roles_do_what_they_are_named_for() {
    let (policies, _) = policies(&[b"one"]);
    let plain = |key: &str| allowed(&policies[key], key, None);
    assert_eq!(plain(CELLS), ["admin PutKeyPolicy", "author Encrypt"]);
    assert_eq!(plain(SIGNER), ["admin PutKeyPolicy"]);
    assert_eq!(plain(AGE), ["admin PutKeyPolicy"]);
    assert_eq!(plain(ENVELOPE), ["admin PutKeyPolicy", "workload Decrypt"], "the workload opens an envelope");
}

#[test]
fn the_image_does_its_work_with_the_ci_role() {
    let (policies, images) = policies(&[b"one"]);
    let attested = |key: &str| allowed(&policies[key], key, Some(&images[0]));
    assert_eq!(attested(CELLS), ["ci Decrypt", "admin PutKeyPolicy", "author Encrypt"]);
    assert_eq!(attested(SIGNER), ["ci Decrypt", "admin PutKeyPolicy"]);
    assert_eq!(attested(AGE), ["ci GenerateDataKey", "admin PutKeyPolicy"], "its key is not born yet");
    assert_eq!(attested(ENVELOPE), ["ci GenerateDataKey", "admin PutKeyPolicy", "workload Decrypt"]);
}

#[test]
fn an_image_with_any_one_measurement_changed_opens_nothing() {
    let (policies, images) = policies(&[b"one"]);
    for changed in 0..3 {
        for byte in [0, 47] {
            let mut other = images[0];
            other[changed][byte] ^= 1;
            for key in KEYS {
                assert_eq!(allowed(&policies[key], key, Some(&other)), allowed(&policies[key], key, None), "{key}");
            }
        }
    }
    for key in KEYS {
        let debug = [[0; 48]; 3];
        assert_eq!(allowed(&policies[key], key, Some(&debug)), allowed(&policies[key], key, None), "debug, {key}");
    }
}

#[test]
fn during_a_rollout_both_images_work_and_no_mixture_does() {
    let (during, images) = policies(&[b"one", b"two"]);
    let policy = &during[CELLS];
    let ci = role("ci");
    for choice in 0..8_usize {
        let image = [0, 1, 2].map(|register| images[choice >> register & 1][register]);
        let pure = images.contains(&image);
        assert_eq!(allows(policy, CELLS, &ci, "kms:Decrypt", Some(&image)), pure, "{choice}");
    }
    let (after, later) = policies(&[b"two"]);
    assert_eq!(later[0], images[1]);
    assert!(!allows(&after[CELLS], CELLS, &ci, "kms:Decrypt", Some(&images[0])), "the old image after the rollout");
}

/// An Allow too many is what happens to key policies. It must not matter.
#[test]
fn the_denies_hold_against_every_further_allow() {
    let object = generated(&[b"one"]);
    for key in object["keys"].as_array().unwrap() {
        let arn = key["arn"].as_str().unwrap();
        let mut document = key["policy"].clone();
        document["Statement"]
            .as_array_mut()
            .unwrap()
            .push(json!({ "Sid": "TooMuch", "Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*" }));
        let policy = Policy::from_value(&document).unwrap();
        let readers: Vec<&str> =
            ROLES.into_iter().filter(|name| allows(&policy, arn, &role(name), "kms:Decrypt", None)).collect();
        assert_eq!(readers, if arn == ENVELOPE { vec!["workload"] } else { vec![] }, "{arn}");
        for name in ROLES {
            for action in [
                "kms:ReEncryptFrom",
                "kms:CreateGrant",
                "kms:ReplicateKey",
                "kms:DeriveSharedSecret",
                "kms:GenerateDataKey",
            ] {
                assert!(!allows(&policy, arn, &role(name), action, None), "{arn} {name} {action}");
            }
        }
    }
}

// --- explain against the evaluation

const A: [u8; 48] = [0xa0; 48];
const B: [u8; 48] = [0xa1; 48];
const C: [u8; 48] = [0xa2; 48];

/// Statements to make random policies of; every condition is on something that the evaluation knows.
fn pool() -> Vec<Value> {
    let hexes = [A, B, C].map(hex::encode);
    let names = ["ImageSha384", "PCR1", "PCR2"].map(|name| format!("kms:RecipientAttestation:{name}"));
    let block = |operator: &str, registers: &[usize]| {
        let keys: serde_json::Map<String, Value> =
            registers.iter().map(|&n| (names[n].clone(), json!(hexes[n]))).collect();
        json!({ operator: keys })
    };
    let mut conditions = vec![json!({})];
    for registers in [&[0, 1, 2][..], &[0], &[1], &[2], &[1, 2]] {
        for operator in ["StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "StringEqualsIfExists", "StringNotLike"]
        {
            conditions.push(block(operator, registers));
        }
    }
    conditions.push(json!({ "Null": { names[0].clone(): "true" } }));
    conditions.push(json!({ "Null": { names[0].clone(): "false" } }));
    conditions.push(json!({ "StringEquals": { names[0].clone(): "0".repeat(96) } }));
    conditions.push(json!({ "StringEquals": { names[0].clone(): hexes[0].to_uppercase() } }));
    conditions.push(json!({ "StringLike": { names[1].clone(): "*" } }));
    conditions.push(json!({ "StringNotEquals": { "aws:PrincipalArn": role("workload") } }));
    conditions.push(json!({ "StringLike": { "aws:PrincipalArn": role("*") } }));
    conditions.push(json!({ "StringEquals": { "kms:CallerAccount": "111122223333" } }));
    let principals = [json!("*"), json!({ "AWS": role("ci") }), json!({ "AWS": [role("workload"), role("author")] })];
    let mut pool = Vec::new();
    for effect in ["Allow", "Deny"] {
        for principal in &principals {
            for condition in &conditions {
                for action in ["kms:Decrypt", "kms:*"] {
                    pool.push(json!({
                        "Effect": effect, "Principal": principal, "Action": action, "Resource": "*",
                        "Condition": condition,
                    }));
                }
            }
        }
    }
    // An empty condition block is not the same as none to every reader.
    for statement in &mut pool {
        if statement["Condition"] == json!({}) {
            statement.as_object_mut().unwrap().remove("Condition");
        }
    }
    pool
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever the evaluation lets somebody open without the pinned image, `explain` reports; and who `explain` says
    /// opens without attestation, does.
    #[test]
    fn explain_misses_nothing_that_the_evaluation_allows(
        chosen in prop::collection::vec(prop::sample::select(pool()), 1..6)
    ) {
        let document = json!({ "Version": "2012-10-17", "Statement": chosen });
        let policy = Policy::from_value(&document).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("p.json");
        fs::write(&file, document.to_string()).unwrap();
        let (code, object) = packproof(&["kms-policy", "explain", "--json", "--key", CELLS, &text(&file)]);
        let found: Vec<&str> = object["keys"][0]["findings"].as_array().unwrap().iter()
            .filter(|finding| finding["severity"] == "critical")
            .map(|finding| finding["code"].as_str().unwrap())
            .collect();
        prop_assert_eq!(code == 1, !found.is_empty());

        let other = [0x77; 48];
        let foreign = "arn:aws:iam::444455556666:role/x".to_owned();
        for caller in ROLES.map(role).into_iter().chain([foreign]) {
            for (image, codes) in [
                (None, &["opens_without_attestation"][..]),
                (Some([other, other, other]), &["opens_any_image", "opens_without_attestation"]),
                (Some([other, B, other]), &["opens_other_policy", "opens_any_image", "opens_without_attestation"]),
                (Some([other, other, C]), &["opens_other_program", "opens_any_image", "opens_without_attestation"]),
                (Some([[0; 48]; 3]), &["opens_debug_enclave", "opens_any_image", "opens_without_attestation"]),
            ] {
                if allows(&policy, CELLS, &caller, "kms:Decrypt", image.as_ref()) {
                    prop_assert!(
                        codes.iter().any(|code| found.contains(code)),
                        "{} {:?} opens, found {:?}\n{:#}", caller, image.map(|i| i.map(|p| p[0])), found, document
                    );
                }
            }
            if allows(&policy, CELLS, &caller, "kms:PutKeyPolicy", None) {
                let holders = object["keys"][0]["findings"].to_string();
                prop_assert!(holders.contains("can change this key policy"), "{}", document);
            }
        }
        for reader in object["keys"][0]["canDecryptOutside"].as_array().unwrap() {
            let who = reader["who"].as_str().unwrap();
            let unattested = object["keys"][0]["findings"].as_array().unwrap().iter().any(|finding| {
                finding["code"] == "opens_without_attestation"
                    && finding["message"].as_str().unwrap().starts_with(&format!("{who} can decrypt "))
            });
            if who.starts_with("arn:") && unattested && reader["action"] == "kms:Decrypt" {
                prop_assert!(allows(&policy, CELLS, who, "kms:Decrypt", None), "{} does not open\n{:#}", who, document);
            }
        }
    }
}
