//! describe, attest, seal, inspect.

use std::fs;

use packproof_receipt::sealed::SealedKey;
use packproof_wire::{Attested, Request, SealAnswer, SealPurpose, message::encode};
use serde_json::Value;

use crate::{
    enclave::{FakeEnclave, Reply, birth, described},
    repository::{Ran, packproof},
};

fn start(dir: &tempfile::TempDir, behave: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> FakeEnclave {
    FakeEnclave::start(&dir.path().join("socket"), behave)
}

#[test]
fn describe_and_attest_show_what_runs() {
    let dir = tempfile::tempdir().unwrap();
    let enclave = start(&dir, |request| match request {
        Request::Describe {} => Reply::Answer(encode(&described())),
        Request::Attest { challenge } => {
            assert_eq!(challenge.as_deref(), Some([7; 32].as_slice()));
            Reply::Answer(encode(&Attested { description: encode(&described()), document: b"document".to_vec() }))
        }
        _ => Reply::Raw(Vec::new()),
    });
    let env = [("PACKPROOF_ENCLAVE", enclave.address())];
    let env = [(env[0].0, env[0].1.as_str())];
    let ran = packproof(&["describe"], &env);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains(&format!("PCR1           {}\n", "11".repeat(48))), "{}", ran.out);
    assert!(ran.out.contains("packs          checkout/production, checkout/dev\n"), "{}", ran.out);
    let object = packproof(&["describe", "--json"], &env).json();
    assert_eq!((&object["simulated"], &object["policy"]), (&false.into(), &crate::enclave::POLICY.into()));

    let file = dir.path().join("new/document");
    let (file_text, challenge) = (file.to_str().unwrap(), "07".repeat(32));
    let ran = packproof(&["attest", "--json", "--challenge", &challenge, "-o", file_text], &env);
    assert_eq!((ran.code, fs::read(&file).unwrap().as_slice()), (0, b"document".as_slice()), "{}", ran.err);
    let object = ran.json();
    assert_eq!((&object["challenge"], &object["output"]), (&challenge.into(), &file_text.into()));
    assert_eq!(object["document"], "ZG9jdW1lbnQ=");
}

fn seal(enclave: &FakeEnclave, purpose: &str, output: &str, more: &[&str]) -> Ran {
    let address = enclave.address();
    let env = [("PACKPROOF_ENCLAVE", address.as_str()), ("AWS_ACCESS_KEY_ID", "i"), ("AWS_SECRET_ACCESS_KEY", "s")];
    let args = ["seal", purpose, "--identity", "checkout", "--environment", "dev", "-o", output];
    packproof(&[&args, more].concat(), &env)
}

/// Seals as asked, or with one member of the birth statement changed.
fn sealing(change: fn(&mut packproof_receipt::sealed::BirthStatement)) -> impl Fn(&Request) -> Reply + Send + Sync {
    move |request| {
        let Request::Seal(request) = request else { return Reply::Raw(Vec::new()) };
        let (purpose, key) = match request.purpose {
            SealPurpose::Signer => ("signer", "MCow"),
            SealPurpose::AgeKey => ("age-key", "age1x"),
        };
        let mut birth = birth(purpose, &request.identity, &request.environment, "arn:x", key, b"blob");
        change(&mut birth);
        let birth_statement = serde_json::to_vec(&birth).unwrap();
        Reply::Answer(encode(&SealAnswer { blob: b"blob".to_vec(), birth_statement, birth_document: b"d".to_vec() }))
    }
}

#[test]
fn seal_writes_the_key_and_prints_the_policy_line() {
    let dir = tempfile::tempdir().unwrap();
    let enclave = start(&dir, sealing(|_| {}));
    let file = dir.path().join("signer.json");
    let ran = seal(&enclave, "signer", file.to_str().unwrap(), &[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.ends_with("\nsigner = { kms = \"arn:x\", public_key = \"MCow\" }\n"), "{}", ran.out);
    let sealed: SealedKey = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!((sealed.schema, sealed.blob.as_str(), sealed.birth_document.as_str()), (1, "YmxvYg==", "ZA=="));

    let ran = seal(&enclave, "signer", file.to_str().unwrap(), &[]);
    assert_eq!(ran.error(), (2, "file_exists"));
    assert_eq!(enclave.requests().len(), 1, "a key that cannot be kept is not made");

    let age = dir.path().join("age.json");
    let object = seal(&enclave, "age-key", age.to_str().unwrap(), &["--json"]).json();
    assert_eq!(object["policyLine"], "unseal = { kms = \"arn:x\", recipient = \"age1x\" }");
    assert_eq!(object["publicKey"], "age1x");
}

#[test]
fn a_key_born_for_something_else_is_not_kept() {
    let changes: [fn(&mut packproof_receipt::sealed::BirthStatement); 4] = [
        |birth| birth.purpose = "age-key".into(),
        |birth| birth.identity = "nightly".into(),
        |birth| birth.environment = "production".into(),
        |birth| birth.blob_sha256 = "00".repeat(32),
    ];
    for change in changes {
        let dir = tempfile::tempdir().unwrap();
        let enclave = start(&dir, sealing(change));
        let file = dir.path().join("signer.json");
        assert_eq!(seal(&enclave, "signer", file.to_str().unwrap(), &[]).error(), (1, "answer_mismatch"));
        assert!(!file.exists());
    }
}

#[test]
fn inspect_reads_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.json");
    let contents = packproof_artifact::envelope::Contents {
        identity: "checkout",
        environment: "dev",
        packed_at: "2026-11-23T18:40:09.112Z",
        revision: "1-00000000",
        ciphertext: b"c",
        envelope: None,
        expires_at: None,
    };
    fs::write(&path, packproof_artifact::envelope::Artifact::new(contents).unwrap().to_bytes()).unwrap();
    let ran = packproof(&["inspect", path.to_str().unwrap(), "--json"], &[]);
    assert_eq!((ran.code, &ran.json()["signed"]), (0, &Value::Bool(false)));
    assert_eq!(packproof(&["inspect", "/nonexistent"], &[]).error(), (2, "cannot_read"));
    fs::write(&path, "[]").unwrap();
    assert_eq!(packproof(&["inspect", path.to_str().unwrap()], &[]).error(), (2, "artifact_not_an_object"));
}

#[test]
fn open_decrypts_and_lists_names() {
    let dir = tempfile::tempdir().unwrap();
    let (artifact, identity) = (dir.path().join("a.json"), dir.path().join("id"));
    // From the age project's own tests.
    fs::write(&identity, "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33\n").unwrap();
    let recipient = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa";
    let plaintext = br#"{"stripe":{"API_KEY":"sk-1"}}"#.to_vec();
    let contents = packproof_artifact::envelope::Contents {
        identity: "checkout",
        environment: "dev",
        packed_at: "2026-11-23T18:40:09.112Z",
        revision: "1-00000000",
        ciphertext: &packproof_artifact::seal::seal_age(plaintext.into(), recipient).unwrap(),
        envelope: None,
        expires_at: Some("2020-01-01T00:00:00.000Z"),
    };
    fs::write(&artifact, packproof_artifact::envelope::Artifact::new(contents).unwrap().to_bytes()).unwrap();
    let artifact = artifact.to_str().unwrap();
    let env = [("CLEF_AGE_KEY_FILE", identity.to_str().unwrap())];
    // The clock is the system's.
    assert_eq!(packproof(&["open", artifact], &env).error(), (1, "artifact_expired"));
    let ran = packproof(&["open", artifact, "--allow-expired"], &env);
    assert_eq!((ran.code, ran.out.contains("\nstripe__API_KEY\n"), ran.out.contains("sk-1")), (0, true, false));
    assert_eq!(ran.err, "");
    let ran = packproof(&["open", artifact, "--allow-expired", "--key", "stripe__API_KEY"], &env);
    assert_eq!((ran.code, ran.out.as_str()), (0, "sk-1\n"));
    assert!(ran.err.starts_with("packproof: warning: "), "{}", ran.err);
    // The warning comes after everything that can go wrong.
    assert!(!packproof(&["open", artifact, "--reveal"], &env).err.contains("warning"));
    assert_eq!(packproof(&["open", "/nonexistent"], &[]).error(), (2, "cannot_read"));
}
