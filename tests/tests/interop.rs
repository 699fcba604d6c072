//! Our output read by the programs of others, and theirs by us.

use std::{fs, path::Path, process::Command};

use packproof_tests::{
    demo::{self, ENVIRONMENTS, IDENTITY, NAMESPACES},
    peers::{check, peer},
    process::Outcome,
    repo::Commit,
    world::{Packed, World},
};
use serde_json::{Map, Value, json};

const PREDICATE_TYPE: &str = "https://packproof.dev/attestation/pack-simulated/v1";

/// cosign takes the receipt's first line with the key that the verifier exports; it refuses another artifact, another key
/// and, where it looks at it, another predicate type.
fn cosign_judges_as_expected(variable: &str, more: &[&str]) {
    let Some(cosign) = peer(variable) else { return };
    let world = World::start();
    for environment in ENVIRONMENTS {
        let packed = world.packed(&world.pack(environment));
        let key = world.path(&format!("{environment}.pem"));
        let mut verify = world.verify(&packed);
        verify.more = vec!["--export-key".to_owned(), key.to_str().unwrap().to_owned()];
        let _ = world.run_verify(&verify, true).ok();
        let mut judge = Command::new(check("check_cosign.sh"));
        judge
            .arg("--cosign")
            .arg(&cosign)
            .arg("--receipt")
            .arg(&packed.receipt)
            .arg("--artifact")
            .arg(&packed.artifact);
        judge.arg("--key").arg(&key).args(["--type", PREDICATE_TYPE]).args(more);
        let _ = Outcome::of(&mut judge).ok();
    }
}

#[test]
fn cosign_takes_the_first_line() {
    cosign_judges_as_expected("PACKPROOF_COSIGN", &[]);
}

#[test]
fn cosign_2_takes_the_first_line() {
    cosign_judges_as_expected("PACKPROOF_COSIGN_2", &["--type-unchecked"]);
}

#[test]
fn no_key_leaves_the_verifier_when_the_answer_is_no() {
    let world = World::start();
    let packed = world.packed(&world.pack("dev"));
    let key = world.path("key.pem");
    let mut verify = world.verify(&packed);
    verify.more = vec!["--export-key".to_owned(), key.to_str().unwrap().to_owned()];
    fs::write(&packed.artifact, fs::read_to_string(&packed.artifact).unwrap() + " ").unwrap();
    let _ = world.run_verify(&verify, true).exit(1);
    assert!(!key.exists(), "a key that nothing vouches for");
}

/// An independent reader of Clef's format, with openssl, the real age and KMS's plain Decrypt.
fn judge(world: &World, python: &Path, age: &Path, packed: &Packed, expected: &Value) -> Outcome {
    let file = world.path("expected.json");
    fs::write(&file, expected.to_string()).unwrap();
    let workload = |name: &str| world.report()["env"]["workload"][name].as_str().unwrap().to_owned();
    let mut judge = world.plain_command(python);
    judge.arg(check("check_artifact.py")).arg("--artifact").arg(&packed.artifact);
    judge.args(["--verify-key", &world.verify_key(&packed.environment), "--identity", IDENTITY]);
    judge.args(["--environment", &packed.environment, "--expect-json"]).arg(file);
    judge.arg("--age").arg(age).arg("--age-key").arg(demo::path("workload-dev.age.txt"));
    judge.args(["--kms-endpoint", world.report()["kms_url"].as_str().unwrap()]);
    judge.args(["--kms-ca", world.report()["kms_ca"].as_str().unwrap(), "--region", &workload("AWS_REGION")]);
    judge.args(["--access-key", &workload("AWS_ACCESS_KEY_ID"), "--secret-key", &workload("AWS_SECRET_ACCESS_KEY")]);
    Outcome::of(&mut judge)
}

#[test]
fn an_independent_reader_accepts_both_artifacts() {
    let (Some(python), Some(age)) = (peer("PACKPROOF_PYTHON"), peer("PACKPROOF_AGE")) else { return };
    let world = World::start();
    for environment in ENVIRONMENTS {
        let packed = world.packed(&world.pack(environment));
        let said = judge(&world, &python, &age, &packed, &demo::plaintext(environment)).ok().stdout;
        assert!(said.contains("verified by openssl") && said.contains("values are the expected ones"), "{said}");
        // it can say no: another plaintext, another signer, one character of the ciphertext
        let mut other = demo::plaintext(environment);
        other["stripe"]["LIVE"] = json!("neither");
        assert!(judge(&world, &python, &age, &packed, &other).exit(1).stdout.contains("rejected: expected"));
        let text = fs::read_to_string(&packed.artifact).unwrap();
        fs::write(&packed.artifact, text.replace("\"ciphertext\": \"", "\"ciphertext\": \"A")).unwrap();
        let said = judge(&world, &python, &age, &packed, &demo::plaintext(environment)).exit(1).stdout;
        assert!(said.contains("rejected: hash"), "{said}");
    }
}

/// The author's side with the real sops: new values, under the sealed age key and under KMS, packed and opened again.
#[test]
fn cells_that_sops_makes_today_are_packed() {
    let (Some(sops), Some(python), Some(age)) =
        (peer("PACKPROOF_SOPS"), peer("PACKPROOF_PYTHON"), peer("PACKPROOF_AGE"))
    else {
        return;
    };
    let world = World::start();
    let mut expected: Map<String, Value> = ENVIRONMENTS.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
    for environment in ENVIRONMENTS {
        for namespace in NAMESPACES {
            let plain = world.path("plain.yaml");
            let (yaml, values) = values(environment, namespace);
            fs::write(&plain, yaml).unwrap();
            let mut encrypt = sops_as(&world, &sops, "author");
            match environment {
                "dev" => encrypt.args(["encrypt", "--age", &demo::sealed_recipient()]).arg(&plain),
                _ => encrypt.args(["encrypt", "--kms", &demo::arn("cells-production")]).arg(&plain),
            };
            let cell = Outcome::of(&mut encrypt).ok().stdout;
            world.repo.write(&format!("secrets/{namespace}/{environment}.enc.yaml"), &cell);
            expected[environment][namespace] = values;
        }
    }
    world.repo.commit(Commit { key: Some(&world.path("release")), date: None });
    for environment in ENVIRONMENTS {
        let packed = world.packed(&world.pack(environment));
        let _ = world.run_verify(&world.verify(&packed), true).ok();
        let _ = judge(&world, &python, &age, &packed, &expected[environment]).ok();
    }
}

fn sops_as(world: &World, sops: &Path, role: &str) -> Command {
    let mut command = world.plain_command(sops);
    world.credentials(&mut command, role);
    command.env("AWS_ENDPOINT_URL_KMS", world.report()["kms_url"].as_str().unwrap());
    command.env("AWS_CA_BUNDLE", world.report()["kms_ca"].as_str().unwrap());
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

/// A file for sops, and what Clef makes of it.
fn values(environment: &str, namespace: &str) -> (String, Value) {
    let yaml = format!(
        "# of {environment}\nPLAIN: {namespace}-{environment}-value\nQUOTED: \"a \\\"b\\\" \\\\ \\t é 😀\"\nNUMBER: 42\n\
         NEGATIVE: -7\nYES: true\nEMPTY: \"\"\nLIKE_A_NUMBER: \"007\"\nLINES: |\n  one\n    two\n\n  three\n"
    );
    let values = json!({
        "PLAIN": format!("{namespace}-{environment}-value"),
        "QUOTED": "a \"b\" \\ \t é 😀",
        "NUMBER": "42",
        "NEGATIVE": "-7",
        "YES": "true",
        "EMPTY": "",
        "LIKE_A_NUMBER": "007",
        "LINES": "one\n  two\n\nthree\n",
    });
    (yaml, values)
}

/// The host's own role cannot decrypt: with everything it has, real sops gets nothing from KMS.
#[test]
fn sops_with_the_hosts_credentials_opens_nothing() {
    let Some(sops) = peer("PACKPROOF_SOPS") else { return };
    let world = World::start();
    let cell = world.repo.dir.join("secrets/stripe/production.enc.yaml");
    for role in ["ci", "author", "workload", "admin"] {
        let outcome = Outcome::of(sops_as(&world, &sops, role).arg("decrypt").arg(&cell));
        assert_ne!(outcome.code, 0, "{role} decrypts without an enclave");
        assert!(outcome.stderr.contains("AccessDeniedException"), "{role}: {}", outcome.stderr);
        assert_eq!(outcome.stdout, "", "{role}");
    }
}
