//! `record_key_policies`: the receipt says who else could have decrypted, as KMS told the enclave.

use std::{collections::BTreeSet, fs};

use base64::{Engine, prelude::BASE64_STANDARD};
use packproof_tests::{
    demo::{ENVIRONMENTS, arn},
    world::World,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

fn predicate(receipt: &std::path::Path) -> Value {
    let receipt = fs::read_to_string(receipt).unwrap();
    let line: Value = serde_json::from_str(receipt.lines().next().unwrap()).unwrap();
    let payload = BASE64_STANDARD.decode(line["dsseEnvelope"]["payload"].as_str().unwrap()).unwrap();
    serde_json::from_slice::<Value>(&payload).unwrap()["predicate"].clone()
}

#[test]
fn key_policies_are_recorded_and_explained_when_the_policy_says_so() {
    let mut world = World::start();
    for environment in ENVIRONMENTS {
        let packed = world.packed(&world.pack(environment));
        assert_eq!(predicate(&packed.receipt).get("keyPolicies"), None, "nothing asks for them");
        let said = world.run_verify(&world.verify(&packed), false).ok().stdout;
        assert!(said.contains("not recorded: the policy does not say record_key_policies"), "{said}");
    }
    let quiet = world.policy();
    let recording = world.changed_policy("recording.toml", "schema = 1", "schema = 1\nrecord_key_policies = true");
    world.up(&recording, &["--pin"]);
    for (environment, keys) in [
        ("dev", vec![arn("signer-dev"), arn("age-key-dev")]),
        ("production", vec![arn("cells-production"), arn("envelope-production"), arn("signer-production")]),
    ] {
        let packed = world.packed(&world.pack(environment));
        let stated = predicate(&packed.receipt);
        let entries = stated["keyPolicies"].as_array().unwrap();
        let recorded: Vec<&str> = entries.iter().map(|entry| entry["keyArn"].as_str().unwrap()).collect();
        let expected: BTreeSet<&str> = keys.iter().map(String::as_str).collect();
        assert_eq!(recorded, expected.into_iter().collect::<Vec<_>>(), "each once, in order");

        // the text is what KMS keeps, and KMS has seen both calls under these request ids
        let kept: Value = serde_json::from_slice(&fs::read(world.path("state/kms/state.json")).unwrap()).unwrap();
        let events = fs::read_to_string(world.path("state/kms/events.jsonl")).unwrap();
        for entry in entries {
            let policy = entry["policy"].as_str().unwrap();
            let text = kept.to_string();
            assert!(text.contains(&json!(policy).to_string()), "the local KMS has another policy than {policy}");
            assert_eq!(entry["description"]["origin"], "EXTERNAL", "the demo's keys are imported");
            for (ids, event) in [("policyRequestIds", "GetKeyPolicy"), ("descriptionRequestIds", "DescribeKey")] {
                let id = entry[ids].as_array().unwrap().last().unwrap().as_str().unwrap();
                let line = events.lines().find(|line| line.contains(id)).unwrap();
                assert_eq!(serde_json::from_str::<Value>(line).unwrap()["eventName"], event);
            }
        }

        let mut verify = world.verify(&packed);
        verify.policy = recording.clone();
        let folder = world.path(&format!("key-policies-{environment}"));
        verify.more = vec!["--export-key-policies".into(), folder.to_str().unwrap().into()];
        let said = world.run_verify(&verify, false).ok().stdout;
        for entry in entries {
            let digest = hex::encode(Sha256::digest(entry["policy"].as_str().unwrap()));
            assert!(said.contains(&format!("SHA-256 {digest}")), "{said}");
        }
        let mut command = world.command("packproof");
        command.args(["kms-policy", "explain", "--json"]);
        let mut files = packproof_tests::canary::files(&folder);
        files.sort();
        assert_eq!(files.len(), keys.len());
        command.args(&files);
        command.args(files.iter().flat_map(|file| ["--describe".as_ref(), file.as_os_str()]));
        command.arg("--policy").arg(&recording);
        let explained = world.run(&mut command).json();
        let explained = explained["keys"].as_array().unwrap();
        let about: Vec<&str> = explained.iter().map(|key| key["key"].as_str().unwrap()).collect();
        assert_eq!(about, recorded);
        let readers = |arn: &str| {
            let key = explained.iter().find(|key| key["key"] == arn).unwrap();
            key["canDecryptOutside"].as_array().unwrap().iter().map(|who| who["who"].to_string()).collect::<Vec<_>>()
        };
        if environment == "production" {
            let envelope = readers(&arn("envelope-production"));
            assert!(envelope.iter().any(|who| who.contains("role/workload")), "{envelope:?}");
            assert_eq!(readers(&arn("cells-production")), [""; 0]);
        }

        // under a policy without the rule it is a receipt of another image
        verify.policy = quiet.clone();
        verify.more = vec!["--export-key-policies".into(), world.path("none").to_str().unwrap().into()];
        let refused = world.run_verify(&verify, true).exit(1);
        assert!(refused.stderr.contains("no key policy was written"), "{}", refused.stderr);
        assert!(!world.path("none").exists());
    }
}
