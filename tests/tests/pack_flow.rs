//! Packs that succeed, seen by their user: artifact, receipt, verdict, and every shape of repository.

use std::{fs, io::Read, path::Path};

use base64::{Engine, prelude::BASE64_STANDARD};
use packproof_tests::{
    demo::{self, ENVIRONMENTS, IDENTITY},
    peers::{check, peer},
    process::Outcome,
    world::{Packed, World},
};
use serde_json::{Value, json};

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The statement in the receipt's first line.
fn statement(packed: &Packed) -> Value {
    let receipt = fs::read_to_string(&packed.receipt).unwrap();
    assert_eq!(receipt.lines().count(), 2, "a receipt has two lines");
    let line: Value = serde_json::from_str(receipt.lines().next().unwrap()).unwrap();
    let payload = line["dsseEnvelope"]["payload"].as_str().unwrap();
    serde_json::from_slice(&BASE64_STANDARD.decode(payload).unwrap()).unwrap()
}

/// The workload's side: the ciphertext opened with the demo's age key, by the age library alone.
fn open_age(artifact: &Path) -> Value {
    let key = fs::read_to_string(demo::path("workload-dev.age.txt")).unwrap();
    let key = key.lines().find(|line| line.starts_with("AGE-SECRET-KEY-1")).unwrap();
    let identity: age::x25519::Identity = key.parse().unwrap();
    let ciphertext = BASE64_STANDARD.decode(read_json(artifact)["ciphertext"].as_str().unwrap()).unwrap();
    let decryptor = age::Decryptor::new(ciphertext.as_slice()).unwrap();
    let mut plaintext = Vec::new();
    let identity: &dyn age::Identity = &identity;
    decryptor.decrypt(std::iter::once(identity)).unwrap().read_to_end(&mut plaintext).unwrap();
    serde_json::from_slice(&plaintext).unwrap()
}

#[test]
fn an_age_pack_verifies_and_opens_to_the_values_that_were_committed() {
    let world = World::start();
    let packed = world.packed(&world.pack("dev"));
    let verdict = world.run_verify(&world.verify(&packed), true).ok().json();
    assert_eq!((&verdict["valid"], &verdict["simulated"]), (&json!(true), &json!(true)), "{verdict}");

    let opened = open_age(&packed.artifact);
    assert_eq!(opened.to_string(), demo::plaintext("dev").to_string(), "values, or their order");
    let artifact = read_json(&packed.artifact);
    assert_eq!(artifact.get("envelope"), None);
    assert_eq!(artifact["signatureAlgorithm"], "Ed25519");
}

#[test]
fn a_kms_pack_verifies_and_opens_to_the_values_that_were_committed() {
    let world = World::start();
    let packed = world.packed(&world.pack("production"));
    let verdict = world.run_verify(&world.verify(&packed), true).ok().json();
    assert_eq!(verdict["valid"], true, "{verdict}");
    let artifact = read_json(&packed.artifact);
    assert_eq!(artifact["envelope"]["keyId"], demo::arn("envelope-production"));

    let Some(python) = peer("PACKPROOF_PYTHON") else { return };
    let expected = world.path("expected.json");
    fs::write(&expected, demo::plaintext("production").to_string()).unwrap();
    let workload = |name: &str| world.report()["env"]["workload"][name].as_str().unwrap().to_owned();
    let mut judge = world.plain_command(&python);
    judge.arg(check("check_artifact.py")).arg("--artifact").arg(&packed.artifact);
    judge.args(["--verify-key", &world.verify_key("production"), "--identity", IDENTITY]);
    judge.args(["--environment", "production", "--expect-json"]).arg(&expected);
    judge.args(["--kms-endpoint", world.report()["kms_url"].as_str().unwrap()]);
    judge.args(["--kms-ca", world.report()["kms_ca"].as_str().unwrap(), "--region", &workload("AWS_REGION")]);
    judge.args(["--access-key", &workload("AWS_ACCESS_KEY_ID"), "--secret-key", &workload("AWS_SECRET_ACCESS_KEY")]);
    let said = Outcome::of(&mut judge).ok().stdout;
    assert!(said.contains("values are the expected ones") && said.ends_with("accepted\n"), "{said}");
}

#[test]
fn the_statement_names_what_was_used_and_by_whom() {
    let world = World::start();
    let packed = world.packed(&world.pack("production"));
    let statement = statement(&packed);
    assert_eq!(statement["predicateType"], "https://packproof.dev/attestation/pack-simulated/v1");
    assert_eq!(statement["subject"].as_array().unwrap().len(), 1);
    assert_eq!(statement["subject"][0]["digest"]["sha256"], packed.report["artifactSha256"]);
    let predicate = &statement["predicate"];
    let asked = &predicate["buildDefinition"]["externalParameters"];
    assert_eq!((&asked["commit"], &asked["identity"]), (&json!(world.base), &json!(IDENTITY)));
    assert_eq!(predicate["source"]["signature"]["signer"], "release");

    // git's own word on ids, trees and blobs
    let dependencies = predicate["buildDefinition"]["resolvedDependencies"].as_array().unwrap();
    for path in [".packproof/repository", "clef.yaml", "secrets/stripe/production.enc.yaml"] {
        let fact = dependencies.iter().find(|fact| fact["name"] == path).unwrap_or_else(|| panic!("{path}"));
        assert_eq!(fact["digest"]["gitBlob"], world.repo.git(&["rev-parse", &format!("HEAD:{path}")]), "{path}");
    }
    let tree = world.repo.git(&["rev-parse", "HEAD^{tree}"]);
    assert!(dependencies.iter().any(|fact| fact["digest"]["gitTree"] == tree));
    assert!(!dependencies.iter().any(|fact| fact["name"].as_str().unwrap().ends_with("dev.enc.yaml")), "not used");

    let mut purposes: Vec<_> =
        predicate["kms"].as_array().unwrap().iter().map(|call| call["purpose"].as_str().unwrap()).collect();
    purposes.sort_unstable();
    assert_eq!(
        purposes,
        [
            "cell \"secrets/rds-orders/production.enc.yaml\"",
            "cell \"secrets/stripe/production.enc.yaml\"",
            "envelope",
            "signer"
        ]
    );

    // the KMS's own log: the same calls, each attested by the image of this release
    let events = fs::read_to_string(world.path("state/kms/events.jsonl")).unwrap();
    let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for call in predicate["kms"].as_array().unwrap() {
        let event = events.iter().find(|event| event["requestID"] == call["requestId"]).unwrap();
        assert_eq!(event["eventName"], call["operation"]);
        let digest = &event["additionalEventData"]["recipient"]["attestationDocumentEnclaveImageDigest"];
        assert_eq!(digest, &world.report()["pcr0"]);
    }
}

#[test]
fn any_shape_of_repository_packs() {
    let world = World::start();
    let at = |name: &str| world.path(name).to_str().unwrap().to_owned();
    world.repo.git(&["tag", "--annotate", "--message", "first", "v1"]);
    world.repo.git(&["clone", "--quiet", "--bare", ".", &at("bare.git")]);
    world.repo.git(&["worktree", "add", "--quiet", "--detach", &at("worktree"), "HEAD"]);
    world.repo.git(&["clone", "--quiet", ".", &at("packed")]);
    let packed =
        packproof_tests::repo::git(&world.path("home"), &world.path("packed")).args(["gc", "--quiet"]).status();
    assert!(packed.unwrap().success());
    world.repo.git(&["checkout", "--quiet", "--detach"]);
    // what is not committed does not count
    world.repo.write("clef.yaml", "not a manifest");

    for (dir, commit) in [
        ("repo", None),
        ("repo", Some("v1")),
        ("repo", Some("main")),
        ("repo", Some(world.base.as_str())),
        ("repo", Some(&world.base[..12])),
        ("repo/secrets/stripe", None),
        ("bare.git", None),
        ("bare.git", Some("main")),
        ("worktree", None),
        ("packed", None),
    ] {
        let mut pack = world.pack("dev");
        pack.dir = world.path(dir);
        pack.commit = commit.map(str::to_owned);
        let packed = world.packed(&pack);
        assert_eq!(packed.report["commit"], world.base, "{dir} {commit:?}");
        let _ = world.run_verify(&world.verify(&packed), true).ok();
    }
}

#[test]
fn a_lifetime_is_the_one_asked_for_or_the_policys() {
    let world = World::start();
    let lifetime = |more: &[&str]| {
        let mut pack = world.pack("dev");
        pack.more = more.iter().map(|flag| (*flag).to_owned()).collect();
        let packed = world.packed(&pack);
        let artifact = read_json(&packed.artifact);
        let seconds = |member: &str| {
            let mut date = std::process::Command::new("date");
            let text = artifact[member].as_str().unwrap();
            let date = Outcome::of(date.args(["--utc", "+%s", "--date", text])).ok();
            date.stdout.trim().parse::<u64>().unwrap()
        };
        assert_eq!(artifact["expiresAt"], packed.report["expiresAt"]);
        let _ = world.run_verify(&world.verify(&packed), true).ok();
        seconds("expiresAt") - seconds("packedAt")
    };
    assert_eq!(lifetime(&[]), 86_400);
    assert_eq!(lifetime(&["--ttl", "60"]), 60);
    assert_eq!(lifetime(&["--ttl", "1"]), 1);
    assert_eq!(lifetime(&["--ttl", "86400"]), 86_400);
}

#[test]
fn a_challenge_comes_back_and_two_packs_differ() {
    let world = World::start();
    let challenge = "5c".repeat(32);
    let mut pack = world.pack("dev");
    pack.more = vec!["--challenge".to_owned(), challenge.clone()];
    let packed = [world.packed(&pack), world.packed(&pack)];
    for packed in &packed {
        let mut verify = world.verify(packed);
        verify.more = vec!["--challenge".to_owned(), challenge.clone(), "--require".to_owned(), "challenge".to_owned()];
        let _ = world.run_verify(&verify, true).ok();
    }
    let invocation = |packed: &Packed| statement(packed)["predicate"]["runDetails"]["metadata"]["invocationId"].clone();
    assert_ne!(fs::read(&packed[0].receipt).unwrap(), fs::read(&packed[1].receipt).unwrap());
    assert_ne!(invocation(&packed[0]), invocation(&packed[1]));
    let revision = |packed: &Packed| read_json(&packed.artifact)["revision"].clone();
    assert_ne!(revision(&packed[0]), revision(&packed[1]));
    assert_eq!(open_age(&packed[0].artifact), open_age(&packed[1].artifact));
}

#[test]
fn every_command_has_a_form_for_programs_and_one_for_people() {
    let world = World::start();
    for environment in ENVIRONMENTS {
        let packed = world.packed(&world.pack(environment));
        let report = &packed.report;
        assert_eq!((&report["schema"], &report["identity"]), (&json!(1), &json!(IDENTITY)));
        assert_eq!((&report["environment"], &report["namespaceCount"]), (&json!(environment), &json!(2)));
        assert_eq!((&report["keyCount"], &report["commit"]), (&json!(7), &json!(world.base)));
        assert_eq!(report["artifact"], packed.artifact.to_str().unwrap());
        let (outcome, _) = world.run_pack(&world.pack(environment), false);
        let text = outcome.ok().stdout;
        assert!(text.starts_with(&format!("packed 7 keys for {IDENTITY}/{environment} from commit ")), "{text}");

        let mut inspect = world.command("packproof");
        let shown = world.run(inspect.args(["inspect", "--json"]).arg(&packed.artifact)).ok().json();
        assert_eq!((&shown["identity"], &shown["signed"]), (&json!(IDENTITY), &json!(true)));
        let text = world.run_verify(&world.verify(&packed), false).ok().stdout;
        assert!(text.to_lowercase().contains("valid") && text.contains("simulated"), "{text}");
    }
    let mut describe = world.command("packproof");
    let described = world.run(describe.args(["describe", "--json", "--enclave", &world.enclave()])).ok().json();
    assert_eq!(described["pcr0"], world.report()["pcr0"]);
    assert_eq!(described["policy"].as_str().unwrap(), fs::read_to_string(world.policy()).unwrap());
    let mut attest = world.command("packproof");
    attest.args(["attest", "--json", "--enclave", &world.enclave(), "--challenge", &"0a".repeat(32)]);
    let attested = world.run(&mut attest).ok().json();
    assert_eq!((&attested["pcr0"], &attested["challenge"]), (&described["pcr0"], &json!("0a".repeat(32))));
    let document = BASE64_STANDARD.decode(attested["document"].as_str().unwrap()).unwrap();
    assert!(document.windows(32).any(|window| window == [0x0a; 32]), "the challenge is not in the document");

    let mut check = world.command("packproof");
    let checked = world.run(check.args(["policy", "check", "--json"]).arg(world.policy())).ok().json();
    assert_eq!((&checked["ok"], &checked["simulated"]), (&json!(true), &json!(true)));
    assert_eq!(checked["sha256"], described["policySha256"]);
}
