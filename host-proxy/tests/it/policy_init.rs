//! `policy init` and `policy check`.

use std::fs;

use base64::{Engine, prelude::BASE64_STANDARD};
use packproof_receipt::policy::{CellKeys, KmsEndpoint, Policy, Target};

use crate::{
    enclave::{birth, write_sealed},
    repository::{Fixture, MANIFEST, Ran, packproof},
};

const SPKI: &str = "MCowBQYDK2VwAyEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const RECIPIENT: &str = "age1jjv72lyw7nzgptz2sjwd6smtfx4c6elwxc9ewkv0grcgcpwupu7stk40gy";

fn arn(name: &str) -> String {
    format!("arn:aws:kms:eu-west-1:111122223333:key/{name}")
}

/// A SOPS file as far as it can be read without a key.
fn cell(keys: &str) -> String {
    let sealed = |len: usize| {
        let [data, iv, tag] = [len, 32, 16].map(|len| BASE64_STANDARD.encode(vec![1; len]));
        format!("ENC[AES256_GCM,data:{data},iv:{iv},tag:{tag},type:str]")
    };
    format!(
        "KEY: {}\nsops:\n{keys}    lastmodified: \"2026-11-23T18:40:09Z\"\n    mac: {}\n    unencrypted_suffix: _unencrypted\n    version: 3.11.0\n",
        sealed(5),
        sealed(128)
    )
}

pub(crate) fn kms_cell(arns: &[&str], context: &str) -> String {
    let entries: String = arns
        .iter()
        .map(|name| {
            format!(
                "        - arn: {}\n{context}          created_at: \"2026-11-23T18:40:09Z\"\n          enc: AQID\n          aws_profile: \"\"\n",
                arn(name)
            )
        })
        .collect();
    cell(&format!("    kms:\n{entries}"))
}

fn age_cell() -> String {
    let armored =
        "-----BEGIN AGE ENCRYPTED FILE-----\n              AA==\n              -----END AGE ENCRYPTED FILE-----";
    cell(&format!("    age:\n        - recipient: {RECIPIENT}\n          enc: |\n              {armored}\n"))
}

/// `checkout/production` has KMS cells; `checkout/dev` and `nightly/dev` have age cells.
fn fixture() -> Fixture {
    let fixture = Fixture::new();
    fixture.write("secrets/stripe/production.enc.yaml", &kms_cell(&["sops", "sops-2"], ""));
    fixture.write("secrets/rds/production.enc.yaml", &kms_cell(&["sops"], ""));
    fixture.write("secrets/stripe/dev.enc.yaml", &age_cell());
    fs::remove_file(fixture.repo().join("secrets/rds/dev.enc.yaml")).unwrap();
    fs::write(
        fixture.path("signer.pub"),
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f release@example\n",
    )
    .unwrap();
    fixture
}

fn init(fixture: &Fixture, more: &[&str]) -> Ran {
    let (repo, signer) = (fixture.repo(), fixture.path("signer.pub"));
    let args = ["policy", "init", "--dir", repo.to_str().unwrap(), "--signer-key", signer.to_str().unwrap()];
    packproof(&[&args, more].concat(), &[])
}

/// The flags that make it complete.
fn sealing() -> Vec<String> {
    [("checkout/production/signer", "production-signer"), ("*/dev/signer", "dev-signer"), ("*/dev/age-key", "dev-age")]
        .iter()
        .flat_map(|(place, name)| ["--sealing-key".to_owned(), format!("{place}={}", arn(name))])
        .collect()
}

fn complete(fixture: &Fixture, more: &[&str]) -> Ran {
    let sealing = sealing();
    let flags: Vec<&str> = sealing.iter().map(String::as_str).chain(more.iter().copied()).collect();
    init(fixture, &flags)
}

#[test]
fn a_repository_and_its_flags_make_a_policy() {
    let fixture = fixture();
    let output = fixture.path("packproof.toml");
    let ran = complete(&fixture, &["-o", output.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("next: packproof seal age-key --identity nightly --environment dev"), "{}", ran.out);
    let policy = Policy::parse(&fs::read(&output).unwrap()).unwrap();
    assert_eq!(policy.source.repository, "https://git.example/secrets");
    assert_eq!(
        (policy.source.signers[0].name.as_str(), policy.source.signers[0].principal.as_str()),
        ("release", "release@example")
    );
    assert_eq!((policy.packs.len(), &policy.kms), (3, &KmsEndpoint::Aws));

    let production = policy.pack("checkout", "production").unwrap();
    assert_eq!(production.namespaces, ["rds", "stripe"]);
    assert_eq!(production.target, Target::Kms(arn("envelope")));
    let CellKeys::Kms(keys) = &production.cell_keys else { panic!("kms") };
    assert_eq!(keys.iter().map(|key| key.arn.clone()).collect::<Vec<_>>(), [arn("sops"), arn("sops-2")]);
    let dev = policy.pack("checkout", "dev").unwrap();
    assert_eq!(dev.cell_keys, CellKeys::Sealed { kms: arn("dev-age"), recipient: None });
    assert_eq!((dev.signer.kms.clone(), dev.signer.public_key.clone()), (arn("dev-signer"), None));

    let again = complete(&fixture, &["-o", output.to_str().unwrap()]);
    assert_eq!(again.error(), (2, "file_exists"));
    let checked = packproof(&["policy", "check", output.to_str().unwrap()], &[]);
    assert_eq!(checked.code, 0, "{}", checked.err);
    assert!(
        checked.out.contains("  checkout/dev: cannot pack before packproof seal signer, age-key\n"),
        "{}",
        checked.out
    );
}

#[test]
fn sealed_keys_pin_their_public_keys() {
    let fixture = fixture();
    let sealed = |purpose: &str, environment: &str, kms: &str, key: &str| {
        let path = fixture.path(&format!("{purpose}-{environment}"));
        write_sealed(&path, &birth(purpose, "checkout", environment, &arn(kms), key, b""))
    };
    let signer = sealed("signer", "production", "production-signer", SPKI);
    let age = sealed("age-key", "dev", "dev-age", RECIPIENT);
    let ran = complete(&fixture, &["--sealed", &signer, "--sealed", &age]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let policy = Policy::parse(ran.out.as_bytes()).unwrap();
    assert_eq!(policy.pack("checkout", "production").unwrap().signer.public_key.as_deref(), Some(SPKI));
    let dev = policy.pack("checkout", "dev").unwrap();
    assert_eq!(dev.cell_keys, CellKeys::Sealed { kms: arn("dev-age"), recipient: Some(RECIPIENT.into()) });

    // a sealed key brings its sealing key along
    let flags = [
        "--sealed",
        &signer,
        "--sealed",
        &age,
        "--sealing-key",
        &format!("*/dev/signer={}", arn("s")),
        "--sealing-key",
        &format!("nightly/dev/age-key={}", arn("dev-age")),
    ];
    assert_eq!(init(&fixture, &flags).code, 0);
    let unused = sealed("age-key", "production", "x", RECIPIENT);
    let ran = complete(&fixture, &["--sealed", &unused]);
    assert_eq!(ran.error(), (2, "usage"));
    assert!(ran.err.contains("age-key-production fits no identity"), "{}", ran.err);
}

#[test]
fn everything_that_is_missing_is_listed_at_once() {
    let fixture = fixture();
    fs::remove_dir_all(fixture.repo().join(".packproof")).unwrap();
    let repo = fixture.repo();
    let ran = packproof(&["policy", "init", "--dir", repo.to_str().unwrap()], &[]);
    assert_eq!(ran.error(), (2, "policy_incomplete"));
    for line in [
        "--sealing-key checkout/dev/age-key=ARN",
        "--sealing-key checkout/dev/signer=ARN",
        "--sealing-key checkout/production/signer=ARN",
        "--sealing-key nightly/dev/age-key=ARN",
        "--sealing-key nightly/dev/signer=ARN",
        "--repository URL",
        "--signer-key FILE.pub",
    ] {
        assert!(ran.err.contains(&format!("\n  {line}")), "{line}: {}", ran.err);
    }
    assert!(!ran.err.contains("production/age-key"), "{}", ran.err);
    assert!(ran.out.is_empty());

    fs::write(
        fixture.path("signer.pub"),
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f",
    )
    .unwrap();
    let ran = complete(&fixture, &["--repository", "r"]);
    assert!(ran.err.contains("missing:\n  --principal NAME ["), "{}", ran.err);
    assert_eq!(complete(&fixture, &["--repository", "r", "--principal", "p"]).code, 0);
}

#[test]
fn a_simulated_kms_goes_in_with_its_ca() {
    let fixture = fixture();
    let ca = "-----BEGIN CERTIFICATE-----\nMIIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n-----END CERTIFICATE-----\n";
    fs::write(fixture.path("ca.pem"), ca).unwrap();
    let ca_path = fixture.path("ca.pem");
    let flags = ["--kms-url", "https://localhost:4443", "--kms-ca", ca_path.to_str().unwrap(), "--json"];
    let ran = complete(&fixture, &flags);
    assert_eq!(ran.json()["simulated"], true);
    let policy = Policy::parse(ran.json()["policy"].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!(policy.kms, KmsEndpoint::Simulated { host: "localhost".into(), port: 4443, ca: ca.into() });
    assert_eq!(complete(&fixture, &["--kms-url", "https://localhost:4443"]).code, 2);
    let wrong = ["--kms-url", "http://localhost:4443", "--kms-ca", ca_path.to_str().unwrap()];
    assert_eq!(complete(&fixture, &wrong).error(), (1, "policy_value"));
}

#[test]
fn what_breaks_the_policys_rules_is_not_written() {
    let fixture = fixture();
    let output = fixture.path("p.toml");
    let code = |fixture: &Fixture, more: &[&str]| {
        let ran = complete(fixture, &[more, &["-o", output.to_str().unwrap()]].concat());
        assert!(!output.exists());
        ran.error().1.to_owned()
    };
    assert_eq!(code(&fixture, &["--repository", "another"]), "policy_not_possible");
    assert_eq!(code(&fixture, &["--sealing-key", "checkout/dev/signer"]), "usage");
    assert_eq!(code(&fixture, &["--sealing-key", "checkout/dev/other=arn"]), "usage");
    assert_eq!(code(&fixture, &["--sealing-key", "nobody/dev/signer=arn"]), "usage");

    // one key for the cells of both environments
    fixture.write("secrets/stripe/dev.enc.yaml", &kms_cell(&["sops"], ""));
    fixture.write("secrets/rds/dev.enc.yaml", &kms_cell(&["sops"], ""));
    let ran = init(
        &fixture,
        &[
            "--sealing-key",
            &format!("*/dev/signer={}", arn("a")),
            "--sealing-key",
            &format!("*/production/signer={}", arn("b")),
        ],
    );
    assert_eq!(ran.error(), (1, "policy_shared_key"));

    fixture.write("secrets/stripe/dev.enc.yaml", "KEY: in clear\n");
    assert_eq!(code(&fixture, &[]), "sops_no_metadata");
    let outside = tempfile::tempdir().unwrap();
    let ran = packproof(&["policy", "init", "--dir", outside.path().to_str().unwrap()], &[]);
    assert_eq!(ran.error(), (2, "not_a_repository"));
}

#[test]
fn contexts_are_kept_and_what_no_policy_can_say_is_left_out() {
    let fixture = fixture();
    let context = "          context:\n            app: x\n";
    for namespace in ["stripe", "rds"] {
        fixture.write(&format!("secrets/{namespace}/production.enc.yaml"), &kms_cell(&["sops"], context));
    }
    let gcp = MANIFEST.replace(
        "dev: { recipient: age1yagwqkghtnwxj8xu00cqfvy7r29vfa4t0fuvlfw8dme83mzrjs7s84p2sj }",
        "dev: { kms: { provider: gcp, keyId: k } }",
    );
    fixture.write("clef.yaml", &gcp);
    let ran = complete(&fixture, &["--json"]);
    assert_eq!(ran.code, 0, "{}{}", ran.err, ran.out);
    assert_eq!(ran.json()["leftOut"][0], "nightly/dev: its artifacts are encrypted to another KMS than AWS's");
    let policy = Policy::parse(ran.json()["policy"].as_str().unwrap().as_bytes()).unwrap();
    let CellKeys::Kms(keys) = &policy.pack("checkout", "production").unwrap().cell_keys else { panic!("kms") };
    assert_eq!((keys.len(), keys[0].context["app"].as_str()), (1, "x"));
}

#[test]
fn check_names_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.toml");
    let check = |text: &str| {
        fs::write(&path, text).unwrap();
        packproof(&["policy", "check", path.to_str().unwrap(), "--json"], &[])
    };
    let ran = check(crate::enclave::POLICY);
    assert_eq!((ran.code, &ran.json()["ok"]), (0, &true.into()));
    let ran = check(&crate::enclave::POLICY.replace("key/sops\"", "key/signer\""));
    assert_eq!((ran.code, &ran.json()["code"]), (1, &"policy_shared_key".into()));
    let ran = check(&"#".repeat(300 * 1024));
    assert_eq!((ran.code, &ran.json()["code"]), (2, &"file_too_long".into()));
    assert_eq!(packproof(&["policy", "check", "/nonexistent"], &[]).error(), (2, "cannot_read"));
}
