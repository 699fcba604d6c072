//! The real `sops` as a client: its Go SDK signs, and its AWS configuration comes from the environment.
//!
//! Runs when `PACKPROOF_SOPS` names the program.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which state what they expect by panicking")]

mod common;
#[path = "common/generated.rs"]
mod generated;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use common::{AUTHOR, CI, Server, peer, start};
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
    let Some(program) = peer("PACKPROOF_SOPS") else { return };
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

/// The ways of `host-proxy/KMS-POLICY.md` to change a value, under the very policy that `kms-policy generate` writes.
#[tokio::test]
async fn a_value_that_nobody_can_decrypt_is_replaced_whole() {
    let Some(program) = peer("PACKPROOF_SOPS") else { return };
    let dir = tempfile::tempdir().unwrap();
    let server = start(&dir.path().join("state"), b"no root").await;
    let arn = generated::CELLS;
    let object = generated::generated(&[b"one"]);
    let mut policy = object["keys"].as_array().unwrap().iter().find(|key| key["arn"] == arn).unwrap()["policy"].clone();
    server.kms.import_key(arn, Secret::copy_from(&[6; 32]).unwrap(), &policy).unwrap();
    let file: PathBuf = dir.path().join("production.enc.yaml");
    let encrypt = ["encrypt", "--kms", arn, "--in-place", "production.enc.yaml"];
    for value in ["old", "new"] {
        std::fs::write(&file, format!("api_key: {value}\n")).unwrap();
        let (good, text) = sops(&program, &server, AUTHOR, dir.path(), &encrypt).await;
        assert!(good, "{text}");
    }
    let set = ["set", "production.enc.yaml", "[\"api_key\"]", "\"other\""];
    let other = generated::SIGNER;
    std::fs::write(dir.path().join(".sops.yaml"), format!("creation_rules:\n  - kms: {other}\n")).unwrap();
    for arguments in [
        &["decrypt", "production.enc.yaml"][..],
        &set,
        &["rotate", "production.enc.yaml"],
        &["updatekeys", "--yes", "production.enc.yaml"],
    ] {
        for caller in [AUTHOR, CI] {
            let (good, text) = sops(&program, &server, caller, dir.path(), arguments).await;
            assert!(!good && text.contains("AccessDeniedException"), "{arguments:?} {text}");
        }
    }

    // Break glass: an Allow, and each Deny on a measurement spares the role.
    let break_glass = generated::role("break-glass");
    server.kms.add_principal(&break_glass).unwrap();
    let statements = policy["Statement"].as_array_mut().unwrap();
    for deny in statements.iter_mut().filter(|statement| statement["Sid"].as_str().unwrap().starts_with("DenyOther")) {
        deny["Condition"]["StringNotEquals"] = json!({ "aws:PrincipalArn": break_glass });
    }
    statements.push(json!({ "Sid": "BreakGlass", "Effect": "Allow", "Principal": { "AWS": break_glass },
        "Action": "kms:Decrypt", "Resource": "*" }));
    server.kms.put_key_policy(arn, &policy).unwrap();
    let decrypt = ["decrypt", "production.enc.yaml"];
    let (good, text) = sops(&program, &server, &break_glass, dir.path(), &decrypt).await;
    assert!(good && text == "api_key: new\n", "{text}");
    assert!(!sops(&program, &server, AUTHOR, dir.path(), &decrypt).await.0);

    let written = dir.path().join("key-policy.json");
    std::fs::write(&written, policy.to_string()).unwrap();
    let written = generated::text(&written);
    let explain = ["kms-policy", "explain", "--json", "--key", arn, &written];
    let (code, object) = generated::packproof(&explain);
    let reader = &object["keys"][0]["canDecryptOutside"];
    assert_eq!((code, reader.as_array().unwrap().len()), (1, 1), "{object}");
    assert_eq!((&reader[0]["who"], &reader[0]["through"]), (&json!(break_glass), &json!("statement \"BreakGlass\"")));
    let (code, object) = generated::packproof(&[&explain[..], &["--expect-workload", &break_glass]].concat());
    assert_eq!((code, &object["keys"][0]["canDecryptOutside"][0]["expected"]), (0, &json!(true)));
}
