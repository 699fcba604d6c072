//! A KMS that refuses, fails or cheats.

use packproof_tests::{demo, wire::ask, world::World};
use packproof_wire::Request;
use serde_json::{Value, json};

use crate::refuses;

#[test]
fn answers_that_do_not_honour_attestation() {
    let world = World::start();
    let other = json!({ "answer_for_other_key": demo::arn("age-key-dev").replace("de3", "de4") }).to_string();
    for environment in demo::ENVIRONMENTS {
        for (row, faults, code) in [
            ("plaintext", "{\"answer_with_plaintext\":true}", "plaintext_in_answer"),
            ("another key", &other, "wrong_key"),
        ] {
            world.faults(Some(faults));
            refuses(&world, &format!("{row}, {environment}"), &world.pack(environment), code, 1);
            world.faults(None);
        }
        world.packed(&world.pack(environment));
    }
}

#[test]
fn a_kms_that_fails_for_a_while_is_asked_again_and_no_longer_than_that() {
    let world = World::start();
    for faults in ["{\"throttle_next\":1}", "{\"drop_next\":1}", "{\"throttle_next\":1,\"drop_next\":1}"] {
        world.faults(Some(faults));
        let packed = world.packed(&world.pack("production"));
        world.faults(None);
        let receipt = std::fs::read_to_string(&packed.receipt).unwrap();
        let line: Value = serde_json::from_str(receipt.lines().next().unwrap()).unwrap();
        let payload = line["dsseEnvelope"]["payload"].as_str().unwrap();
        use base64::{Engine, prelude::BASE64_STANDARD};
        let statement: Value = serde_json::from_slice(&BASE64_STANDARD.decode(payload).unwrap()).unwrap();
        let calls = statement["predicate"]["kms"].as_array().unwrap();
        let attempts: u64 = calls.iter().map(|call| call["attempts"].as_u64().unwrap()).sum();
        assert!(attempts > 4, "{faults}: the receipt counts {attempts} attempts of 4 calls");
    }
    for (row, faults, code) in [
        ("throttling that does not end", "{\"throttle_next\":1000}", "kms_unavailable"),
        ("connections that break", "{\"drop_next\":1000}", "kms_unreachable"),
    ] {
        world.faults(Some(faults));
        refuses(&world, row, &world.pack("dev"), code, 3);
        world.faults(None);
    }
    world.packed(&world.pack("dev"));
}

#[test]
fn callers_whom_no_key_policy_names() {
    let world = World::start();
    for role in ["author", "workload", "admin"] {
        for environment in demo::ENVIRONMENTS {
            let mut pack = world.pack(environment);
            pack.role = role;
            let said = refuses(&world, &format!("{role}, {environment}"), &pack, "kms_access_denied", 1);
            assert!(said["message"].as_str().unwrap().contains("arn:aws:kms:"), "{said}");
        }
    }
    let mut request = world.request("production");
    request.credentials.access_key_id = "AKIAUNKNOWN".to_owned();
    let (_, said) = ask(&world.socket(), &Request::Pack(request));
    assert_eq!((&said["code"], &said["class"]), (&json!("kms_credentials_refused"), &json!("environment")));
    let mut request = world.request("production");
    request.credentials.secret_access_key.push('x');
    let (_, said) = ask(&world.socket(), &Request::Pack(request));
    assert_eq!((&said["code"], &said["class"]), (&json!("kms_credentials_refused"), &json!("environment")));
    let mut request = world.request("production");
    request.credentials.access_key_id = "a\r\nb".to_owned();
    let (_, said) = ask(&world.socket(), &Request::Pack(request));
    assert_eq!((&said["code"], &said["class"]), (&json!("credentials_malformed"), &json!("refused")));
}
