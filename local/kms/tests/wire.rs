//! The protocol with AWS's own SDK as the client: signatures, operations, errors, faults, the log.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which state what they expect by panicking")]

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_kms::Client;
use aws_sdk_kms::error::SdkError;
use aws_sdk_kms::operation::RequestId;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{DataKeySpec, OriginType};
use aws_smithy_types::body::SdkBody;
use common::{AUTHOR, CI, Server, code, connect, start, tls};
use http_body_util::BodyExt;
use packproof_local_kms::{Error, FAULTS_FILE, Faults};
use packproof_secret::Secret;
use serde_json::{Value, json};
use tempfile::TempDir;

const ARN: &str = "arn:aws:kms:eu-west-1:111122223333:key/11111111-2222-3333-4444-555555555555";
const OTHER: &str = "arn:aws:kms:eu-west-1:111122223333:key/other";

fn everybody() -> Value {
    json!({ "Version": "2012-10-17", "Statement": {
        "Sid": "everybody", "Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*",
    } })
}

/// A server with two keys for everybody, and the author's client.
async fn server() -> (TempDir, Server, Client) {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path(), b"no root").await;
    for arn in [ARN, OTHER] {
        server.kms.import_key(arn, Secret::copy_from(&[3; 32]).unwrap(), &everybody()).unwrap();
    }
    let client = server.client(AUTHOR);
    (dir, server, client)
}

async fn encrypt(client: &Client, plaintext: &[u8]) -> Blob {
    let sent = client.encrypt().key_id(ARN).encryption_context("env", "prod").plaintext(Blob::new(plaintext));
    sent.send().await.unwrap().ciphertext_blob.unwrap()
}

#[tokio::test]
async fn encrypts_and_decrypts() {
    let (_dir, _server, client) = server().await;
    let sent = client.encrypt().key_id(ARN).encryption_context("env", "prod").plaintext(Blob::new("hello"));
    let answer = sent.send().await.unwrap();
    assert_eq!(answer.key_id(), Some(ARN));
    assert_eq!(answer.encryption_algorithm().unwrap().as_str(), "SYMMETRIC_DEFAULT");
    assert_eq!(answer.request_id().unwrap().len(), 36);
    let blob = answer.ciphertext_blob.unwrap();

    for key in [None, Some(ARN), Some("11111111-2222-3333-4444-555555555555")] {
        let sent = client.decrypt().ciphertext_blob(blob.clone()).encryption_context("env", "prod");
        let answer = sent.set_key_id(key.map(str::to_owned)).send().await.unwrap();
        assert_eq!(answer.plaintext().unwrap().as_ref(), b"hello");
        assert_eq!(answer.key_id(), Some(ARN));
        assert!(answer.ciphertext_for_recipient().is_none());
    }
}

#[tokio::test]
async fn refuses_ciphertexts_that_do_not_fit() {
    let (_dir, server, client) = server().await;
    let blob = encrypt(&client, b"hello").await;
    let decrypt = || client.decrypt().ciphertext_blob(blob.clone()).encryption_context("env", "prod");

    assert_eq!(code(decrypt().encryption_context("more", "x").send().await), "InvalidCiphertextException");
    let without = client.decrypt().ciphertext_blob(blob.clone());
    assert_eq!(code(without.send().await), "InvalidCiphertextException");
    assert_eq!(code(decrypt().key_id(OTHER).send().await), "IncorrectKeyException");
    assert_eq!(code(decrypt().key_id("alias/app").send().await), "NotFoundException");
    assert_eq!(code(decrypt().key_id(ARN.replace("eu-west-1", "eu-west-2")).send().await), "NotFoundException");
    assert_eq!(
        code(decrypt().key_id("arn:aws:kms:eu-west-1:444455556666:key/other").send().await),
        "NotFoundException"
    );
    assert_eq!(code(decrypt().grant_tokens("t").send().await), "UnsupportedOperationException");
    assert_eq!(code(decrypt().dry_run(true).send().await), "DryRunOperationException");
    assert_eq!(code(decrypt().encryption_context("ENV", "x").send().await), "ValidationException");

    let mut tampered = blob.clone().into_inner();
    *tampered.last_mut().unwrap() ^= 1;
    let tampered = decrypt().ciphertext_blob(Blob::new(tampered));
    assert_eq!(code(tampered.send().await), "InvalidCiphertextException");
    assert_eq!(code(decrypt().ciphertext_blob(Blob::new("AQIC")).send().await), "InvalidCiphertextException");
    let mut unknown_key = blob.clone().into_inner();
    unknown_key[2] ^= 1;
    assert_eq!(code(decrypt().ciphertext_blob(Blob::new(unknown_key)).send().await), "AccessDeniedException");
    // The key is of eu-west-1, whichever region the caller signs for.
    let author = server.kms.principals().into_iter().find(|known| known.arn == AUTHOR).unwrap();
    let elsewhere = server.client_with(&author.access_key_id, author.secret_access_key.expose(), "eu-west-2");
    let sent = elsewhere.decrypt().ciphertext_blob(blob.clone()).encryption_context("env", "prod");
    assert_eq!(code(sent.send().await), "AccessDeniedException");
    // The ciphertext names another key than the one that made it; both have the same material.
    let mut renamed = vec![1, 5];
    renamed.extend_from_slice(b"other");
    renamed.extend_from_slice(&blob.as_ref()[2 + 36..]);
    assert_eq!(code(decrypt().ciphertext_blob(Blob::new(renamed)).send().await), "InvalidCiphertextException");
}

#[tokio::test]
async fn generates_data_keys() {
    let (_dir, _server, client) = server().await;
    let generate = || client.generate_data_key().key_id(ARN).encryption_context("purpose", "test");
    for (sent, length) in [
        (generate().key_spec(DataKeySpec::Aes256), 32),
        (generate().key_spec(DataKeySpec::Aes128), 16),
        (generate().number_of_bytes(1), 1),
        (generate().number_of_bytes(1024), 1024),
    ] {
        let answer = sent.send().await.unwrap();
        let key = answer.plaintext.unwrap();
        assert_eq!(key.as_ref().len(), length);
        let blob = answer.ciphertext_blob.unwrap();
        let opened = client.decrypt().ciphertext_blob(blob).encryption_context("purpose", "test").send().await.unwrap();
        assert_eq!(opened.plaintext.unwrap(), key);
    }
    for sent in [generate(), generate().number_of_bytes(0), generate().number_of_bytes(1025)] {
        assert_eq!(code(sent.send().await), "ValidationException");
    }
    let both = generate().number_of_bytes(32).key_spec(DataKeySpec::Aes256);
    assert_eq!(code(both.send().await), "ValidationException");
}

#[tokio::test]
async fn only_known_credentials_get_in() {
    let (_dir, server, _client) = server().await;
    let author = server.kms.principals().into_iter().find(|known| known.arn == AUTHOR).unwrap();
    let secret = author.secret_access_key.expose();
    let unknown = server.client_with("AKIAUNKNOWNUNKNOWN22", secret, "eu-west-1");
    assert_eq!(code(unknown.describe_key().key_id(ARN).send().await), "UnrecognizedClientException");
    let wrong = server.client_with(&author.access_key_id, "wrong", "eu-west-1");
    assert_eq!(code(wrong.describe_key().key_id(ARN).send().await), "InvalidSignatureException");
    assert!(server.events().is_empty());
}

#[tokio::test]
async fn the_key_policy_decides() {
    let (_dir, server, author) = server().await;
    let policy = json!({ "Version": "2012-10-17", "Statement": [
        { "Sid": "authors", "Effect": "Allow", "Principal": { "AWS": AUTHOR }, "Action": ["kms:Encrypt", "kms:*Policy"],
          "Resource": "*" },
        { "Sid": "prod", "Effect": "Allow", "Principal": { "AWS": CI }, "Action": "kms:Decrypt", "Resource": "*",
          "Condition": { "StringEquals": { "kms:EncryptionContext:env": "prod" } } },
    ] });
    author.put_key_policy().key_id(ARN).policy(policy.to_string()).send().await.unwrap();
    let read = author.get_key_policy().key_id(ARN).send().await.unwrap();
    assert_eq!((read.policy().unwrap(), read.policy_name()), (policy.to_string().as_str(), Some("default")));

    let blob = encrypt(&author, b"hello").await;
    let ci = server.client(CI);
    let good = ci.decrypt().ciphertext_blob(blob.clone()).encryption_context("env", "prod").send().await.unwrap();
    assert_eq!(good.plaintext().unwrap().as_ref(), b"hello");
    let by_author = author.decrypt().ciphertext_blob(blob.clone()).encryption_context("env", "prod");
    assert_eq!(code(by_author.send().await), "AccessDeniedException");
    // The policy is asked before the ciphertext is tried: the caller learns nothing about it.
    let other_context = ci.decrypt().ciphertext_blob(blob).encryption_context("env", "test");
    assert_eq!(code(other_context.send().await), "AccessDeniedException");
    assert_eq!(code(ci.describe_key().key_id(ARN).send().await), "AccessDeniedException");
    assert_eq!(code(ci.get_key_policy().key_id(ARN).send().await), "AccessDeniedException");
    let by_ci = ci.put_key_policy().key_id(ARN).policy(everybody().to_string());
    assert_eq!(code(by_ci.send().await), "AccessDeniedException");

    let statements: Vec<_> =
        server.events().iter().map(|event| event["additionalEventData"]["keyPolicyStatement"].clone()).collect();
    assert_eq!(
        statements,
        [
            json!("everybody"),
            json!("authors"),
            json!("authors"),
            json!("prod"),
            Value::Null,
            Value::Null,
            Value::Null,
            Value::Null,
            Value::Null
        ]
    );
}

#[tokio::test]
async fn policies_that_are_not_understood_or_lock_out_are_refused() {
    let (_dir, _server, author) = server().await;
    let put = |policy: &Value| author.put_key_policy().key_id(ARN).policy(policy.to_string());
    let mut unknown = everybody();
    unknown["Statement"]["Condition"] = json!({ "StringEquals": { "aws:SourceIp": "127.0.0.1" } });
    assert_eq!(code(put(&unknown).send().await), "MalformedPolicyDocumentException");
    let mut for_others = everybody();
    for_others["Statement"]["Principal"] = json!({ "AWS": CI });
    assert_eq!(code(put(&for_others).send().await), "MalformedPolicyDocumentException");
    let unchanged = author.get_key_policy().key_id(ARN).send().await.unwrap();
    assert_eq!(unchanged.policy().unwrap(), everybody().to_string());
    put(&for_others).bypass_policy_lockout_safety_check(true).send().await.unwrap();
    assert_eq!(code(put(&everybody()).send().await), "AccessDeniedException");
}

#[tokio::test]
async fn creates_and_describes_keys() {
    let (_dir, server, author) = server().await;
    let created = author.create_key().description("a key").policy(everybody().to_string()).send().await.unwrap();
    let metadata = created.key_metadata().unwrap();
    let arn = metadata.arn().unwrap();
    assert!(arn.starts_with("arn:aws:kms:eu-west-1:111122223333:key/"));
    assert_eq!(metadata.origin(), Some(&OriginType::AwsKms));
    let described = author.describe_key().key_id(arn).send().await.unwrap();
    assert_eq!(described.key_metadata(), Some(metadata));
    let imported = author.describe_key().key_id(ARN).send().await.unwrap();
    assert_eq!(imported.key_metadata().unwrap().origin(), Some(&OriginType::External));

    // The default policy hands over to IAM policies; there are none, so only the root is left.
    let created = author.create_key().send().await.unwrap();
    let arn = created.key_metadata().unwrap().arn().unwrap().to_owned();
    assert_eq!(code(author.describe_key().key_id(&arn).send().await), "AccessDeniedException");
    let root = server.client("arn:aws:iam::111122223333:root");
    assert!(root.describe_key().key_id(&arn).send().await.is_ok());

    assert_eq!(code(author.create_key().multi_region(true).send().await), "UnsupportedOperationException");
    assert_eq!(code(author.create_key().origin(OriginType::External).send().await), "UnsupportedOperationException");
}

#[tokio::test]
async fn operations_that_are_not_there_say_so() {
    let (_dir, server, client) = server().await;
    assert_eq!(code(client.list_keys().send().await), "UnknownOperationException");
    assert_eq!(code(client.delete_alias().alias_name("alias/a").send().await), "UnknownOperationException");

    let mut sender = connect(server.port, Arc::new(tls(server.kms.ca_pem())), "127.0.0.1").await.unwrap();
    let post = |uri: &str, kind: &str, body: Vec<u8>| {
        http::Request::post(uri)
            .header("host", "localhost")
            .header("content-type", kind)
            .body(SdkBody::from(body))
            .unwrap()
    };
    // One connection for all of them: keep-alive.
    for (request, status, expected) in [
        (post("/", "application/x-amz-json-1.1", vec![]), 400, "MissingAuthenticationTokenException"),
        (post("/?x", "application/x-amz-json-1.1", vec![]), 400, "UnknownOperationException"),
        (post("/x", "application/x-amz-json-1.1", vec![]), 400, "UnknownOperationException"),
        (post("/", "application/json", vec![]), 400, "UnknownOperationException"),
        (post("/", "application/x-amz-json-1.1", vec![b' '; 512 * 1024 + 1]), 413, "RequestEntityTooLargeException"),
    ] {
        sender.ready().await.unwrap();
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        assert_eq!(head.status, status, "{expected}");
        assert_eq!(head.headers["content-type"], "application/x-amz-json-1.1");
        assert_eq!(head.headers["x-amzn-requestid"].len(), 36);
        let body: Value = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap();
        assert_eq!(body["__type"], expected);
    }
}

#[tokio::test]
async fn the_certificate_is_for_loopback_names_only() {
    let (_dir, server, _client) = server().await;
    let config = Arc::new(tls(server.kms.ca_pem()));
    for (host, good) in [("localhost", true), ("127.0.0.1", true), ("kms.eu-west-1.amazonaws.com", false)] {
        assert_eq!(connect(server.port, config.clone(), host).await.is_ok(), good, "{host}");
    }
}

#[tokio::test]
async fn serves_loopback_only() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path(), b"no root").await;
    let everywhere = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    assert!(matches!(server.kms.clone().serve(everywhere).await, Err(Error::NotLoopback { .. })));
}

#[tokio::test]
async fn faults_come_from_the_file_at_run_time() {
    let (dir, server, client) = server().await;
    let describe = || client.describe_key().key_id(ARN).send();
    let put = |faults: Value| {
        let new = dir.path().join("faults.new");
        std::fs::write(&new, faults.to_string()).unwrap();
        std::fs::rename(new, dir.path().join(FAULTS_FILE)).unwrap();
    };
    put(json!({ "throttle_next": 1, "drop_next": 1 }));
    assert!(matches!(describe().await, Err(SdkError::DispatchFailure(_))));
    assert_eq!(code(describe().await), "ThrottlingException");
    assert!(describe().await.is_ok());

    put(json!({ "fail_next": 1, "unavailable_next": 1 }));
    assert_eq!(code(describe().await), "KMSInternalException");
    match describe().await {
        Err(SdkError::ServiceError(error)) => assert_eq!(error.raw().status().as_u16(), 503),
        other => panic!("{other:?}"),
    }
    assert!(describe().await.is_ok());

    put(json!({ "latency_ms": 150 }));
    let start = Instant::now();
    assert!(describe().await.is_ok());
    assert!(start.elapsed() >= Duration::from_millis(150));

    put(json!({ "answer_for_other_key": OTHER }));
    let sent = client.encrypt().key_id(ARN).plaintext(Blob::new("x")).send().await.unwrap();
    assert_eq!(sent.key_id(), Some(OTHER));

    put(json!({ "misspelt": 1 }));
    assert_eq!(code(describe().await), "KMSInternalException");

    put(json!({}));
    assert!(describe().await.is_ok());
    server.kms.set_faults(Faults { throttle_next: 1, ..Faults::default() });
    assert_eq!(code(describe().await), "ThrottlingException");
}

#[tokio::test]
async fn keys_and_credentials_survive_a_restart() {
    let (dir, first, client) = server().await;
    let blob = encrypt(&client, b"hello").await;
    let ca = first.kms.ca_pem().to_owned();
    let created = first.kms.create_key("another", Some(&everybody())).unwrap();
    drop((first, client));
    // The task that served gives the directory back when it ends.
    tokio::time::sleep(Duration::from_millis(50)).await;

    let second = start(dir.path(), b"no root").await;
    assert_eq!(second.kms.ca_pem(), ca);
    let client = second.client(AUTHOR);
    let answer = client.decrypt().ciphertext_blob(blob).encryption_context("env", "prod").send().await.unwrap();
    assert_eq!(answer.plaintext().unwrap().as_ref(), b"hello");
    assert!(client.describe_key().key_id(created).send().await.is_ok());
}

#[tokio::test]
async fn the_log_tells_who_did_what_and_no_plaintext() {
    let (dir, server, client) = server().await;
    let blob = encrypt(&client, b"a plaintext value").await;
    let answer = client.decrypt().ciphertext_blob(blob.clone()).encryption_context("env", "prod").send().await.unwrap();
    let request_id = answer.request_id().unwrap().to_owned();
    let _ = client.decrypt().ciphertext_blob(blob).send().await;

    let events = server.events();
    assert_eq!(events.len(), 3);
    let decrypted = &events[1];
    assert_eq!(decrypted["eventName"], "Decrypt");
    assert_eq!(decrypted["userIdentity"]["arn"], AUTHOR);
    assert_eq!(decrypted["requestParameters"]["keyId"], ARN);
    assert_eq!(decrypted["requestParameters"]["encryptionContext"], json!({ "env": "prod" }));
    assert_eq!(decrypted["requestID"], request_id);
    assert_eq!(decrypted["resources"][0]["ARN"], ARN);
    assert_eq!(decrypted["eventTime"].as_str().unwrap().len(), "2026-11-23T00:00:00Z".len());
    assert!(decrypted.get("errorCode").is_none() && decrypted["additionalEventData"].get("recipient").is_none());
    assert_eq!(events[2]["errorCode"], "InvalidCiphertextException");

    let text = std::fs::read_to_string(dir.path().join("events.jsonl")).unwrap();
    assert!(!text.contains("a plaintext value") && !text.contains("YSBwbGFpbnRleHQgdmFsdWU"));
}
