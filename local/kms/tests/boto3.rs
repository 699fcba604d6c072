//! AWS's Python SDK as a client, an implementation of signatures, JSON and errors that shares nothing with the Rust one.
//!
//! Runs when `PACKPROOF_PYTHON` names a Python with `boto3` (`tests/peers/python` makes one).
mod common;

use common::{AUTHOR, peer, start};
use serde_json::{Value, json};
use tokio::process::Command;

#[tokio::test]
async fn boto3_creates_encrypts_and_decrypts() {
    let Some(python) = peer("PACKPROOF_PYTHON") else { return };
    let dir = tempfile::tempdir().unwrap();
    let server = start(&dir.path().join("state"), b"no root").await;
    let policy = json!({ "Version": "2012-10-17", "Statement": {
        "Sid": "all", "Effect": "Allow", "Principal": { "AWS": AUTHOR }, "Action": "kms:*", "Resource": "*",
    } });
    let author = server.kms.principals().into_iter().find(|known| known.arn == AUTHOR).unwrap();
    let output = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/boto3_client.py"))
        .arg(format!("https://localhost:{}", server.port))
        .arg(server.state_dir.join("ca.pem"))
        .args(["eu-west-1", &policy.to_string()])
        .env_clear()
        .env("HOME", dir.path())
        .env("AWS_ACCESS_KEY_ID", &author.access_key_id)
        .env("AWS_SECRET_ACCESS_KEY", author.secret_access_key.expose())
        .env("AWS_SESSION_TOKEN", "a-token")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();

    let arn = seen["arn"].as_str().unwrap();
    assert!(arn.starts_with("arn:aws:kms:eu-west-1:111122223333:key/"), "{seen}");
    for right in ["described", "policy", "decrypted", "data_key", "data_key_opened", "bare", "moved"] {
        assert_eq!(seen[right], true, "{right}: {seen}");
    }
    assert_eq!(seen["random"], 24);
    let id = arn.rsplit('/').next().unwrap();
    assert_eq!(seen["aliases"], json!([["alias/boto3", "arn:aws:kms:eu-west-1:111122223333:alias/boto3", id]]));
    for (what, code) in [
        ("context", "InvalidCiphertextException"),
        ("garbage", "InvalidCiphertextException"),
        ("key", "NotFoundException"),
        ("alias", "NotFoundException"),
        ("policy", "MalformedPolicyDocumentException"),
        ("document", "ValidationException"),
        ("unknown", "UnknownOperationException"),
    ] {
        let refused = &seen["refused"][what];
        assert_eq!((&refused["code"], &refused["status"]), (&json!(code), &json!(400)), "{what}: {seen}");
    }
    // boto3 makes a class of its own for each error in AWS's model, and so knows these.
    assert_eq!(seen["refused"]["key"]["class"], "NotFoundException");
    assert_eq!(seen["refused"]["context"]["class"], "InvalidCiphertextException");
    let alias = "Alias arn:aws:kms:eu-west-1:111122223333:alias/none is not found.";
    assert_eq!(seen["refused"]["alias"]["message"], alias);
    assert!(server.events().iter().all(|event| event["userAgent"].as_str().unwrap().starts_with("Boto3/")));
}
