//! The real `sops` as a client: its Go SDK signs, and its AWS configuration comes from the environment.
//!
//! Runs when `PACKPROOF_SOPS` names the program.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which state what they expect by panicking")]

mod common;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use common::{AUTHOR, CI, Server, start};
use packproof_secret::Secret;
use serde_json::json;
use tokio::process::Command;

const ARN: &str = "arn:aws:kms:eu-west-1:111122223333:key/11111111-2222-3333-4444-555555555555";
const PLAIN: &str = "db:\n    user: app\n    password: correct horse\nports:\n    - 1\n    - 2\n";

async fn sops(program: &OsString, server: &Server, caller: &str, dir: &Path, arguments: &[&str]) -> (bool, String) {
    let principal = server.kms.principals().into_iter().find(|known| known.arn == caller).unwrap();
    let output = Command::new(program)
        .args(arguments)
        .current_dir(dir)
        .env_clear()
        .env("HOME", dir)
        .env("AWS_ENDPOINT_URL_KMS", format!("https://localhost:{}", server.port))
        .env("AWS_CA_BUNDLE", server.state_dir.join("ca.pem"))
        .env("AWS_ACCESS_KEY_ID", &principal.access_key_id)
        .env("AWS_SECRET_ACCESS_KEY", principal.secret_access_key.expose())
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.success(), text)
}

#[tokio::test]
async fn sops_encrypts_and_decrypts_where_the_key_policy_lets_it() {
    let Some(program) = std::env::var_os("PACKPROOF_SOPS") else { return };
    let dir = tempfile::tempdir().unwrap();
    let server = start(&dir.path().join("state"), b"no root").await;
    let policy = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": { "AWS": AUTHOR }, "Action": ["kms:Encrypt", "kms:Decrypt"], "Resource": "*",
    }, {
        "Effect": "Deny", "Principal": "*", "Action": "kms:*", "Resource": "*",
        "Condition": { "StringNotEquals": { "kms:EncryptionContext:env": "prod" } },
    }] });
    server.kms.import_key(ARN, Secret::copy_from(&[5; 32]).unwrap(), &policy).unwrap();
    let file: PathBuf = dir.path().join("secrets.yaml");
    std::fs::write(&file, PLAIN).unwrap();

    let encrypt = ["encrypt", "--kms", ARN, "--encryption-context", "env:prod", "--in-place", "secrets.yaml"];
    let (good, text) = sops(&program, &server, AUTHOR, dir.path(), &encrypt).await;
    assert!(good, "{text}");
    let sealed = std::fs::read_to_string(&file).unwrap();
    assert!(sealed.contains(ARN) && !sealed.contains("correct horse"));

    let decrypt = ["decrypt", "secrets.yaml"];
    let (good, text) = sops(&program, &server, AUTHOR, dir.path(), &decrypt).await;
    assert!(good, "{text}");
    assert_eq!(text, PLAIN);

    // Another caller, and another encryption context in the file.
    let (good, text) = sops(&program, &server, CI, dir.path(), &decrypt).await;
    assert!(!good && text.contains("AccessDeniedException"), "{text}");
    std::fs::write(&file, sealed.replace("env: prod", "env: test")).unwrap();
    let (good, text) = sops(&program, &server, AUTHOR, dir.path(), &decrypt).await;
    assert!(!good && text.contains("AccessDeniedException"), "{text}");

    let events: Vec<_> =
        server.events().iter().map(|event| (event["eventName"].clone(), event.get("errorCode").is_some())).collect();
    let expected = [("Encrypt", false), ("Decrypt", false), ("Decrypt", true), ("Decrypt", true)];
    assert_eq!(events, expected.map(|(name, failed)| (json!(name), failed)));
}
