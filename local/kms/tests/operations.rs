//! ReEncrypt, random bytes, data keys without plaintext, aliases.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests, which state what they expect by panicking"
)]

mod common;

use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::DataKeySpec;
use common::{AUTHOR, CI, Server, code, start};
use packproof_secret::Secret;
use serde_json::{Value, json};
use tempfile::TempDir;

const FROM: &str = "arn:aws:kms:eu-west-1:111122223333:key/from";
const TO: &str = "arn:aws:kms:eu-west-1:111122223333:key/to";

fn allow(caller: &str, actions: Value) -> Value {
    json!({ "Effect": "Allow", "Principal": { "AWS": caller }, "Action": actions, "Resource": "*" })
}

/// The author may everything; CI may move out of `FROM` under one context, and into `TO`.
async fn server() -> (TempDir, Server, Client, Client) {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path(), b"no root").await;
    let mut out = allow(CI, json!("kms:ReEncryptFrom"));
    out["Condition"] = json!({ "StringEquals": { "kms:EncryptionContext:env": "prod" } });
    for (arn, statement) in [(FROM, out), (TO, allow(CI, json!("kms:ReEncryptTo")))] {
        let policy = json!({ "Version": "2012-10-17", "Statement": [allow(AUTHOR, json!("kms:*")), statement] });
        server.kms.import_key(arn, Secret::copy_from(&[3; 32]).unwrap(), &policy).unwrap();
    }
    let (author, ci) = (server.client(AUTHOR), server.client(CI));
    (dir, server, author, ci)
}

#[tokio::test]
async fn re_encrypts_when_both_keys_agree() {
    let (_dir, server, author, ci) = server().await;
    let encrypt = |env: &str| author.encrypt().key_id(FROM).encryption_context("env", env).plaintext(Blob::new("v"));
    let prod = encrypt("prod").send().await.unwrap().ciphertext_blob.unwrap();
    let test = encrypt("test").send().await.unwrap().ciphertext_blob.unwrap();
    let moving = |blob: &Blob, env: &str| {
        ci.re_encrypt()
            .ciphertext_blob(blob.clone())
            .source_key_id(FROM)
            .source_encryption_context("env", env)
            .destination_key_id(TO)
            .destination_encryption_context("to", "there")
    };
    let moved = moving(&prod, "prod").send().await.unwrap();
    assert_eq!((moved.source_key_id(), moved.key_id()), (Some(FROM), Some(TO)));
    let blob = moved.ciphertext_blob.unwrap();
    let opened = author.decrypt().ciphertext_blob(blob.clone()).encryption_context("to", "there").send().await.unwrap();
    assert_eq!((opened.plaintext().unwrap().as_ref(), opened.key_id()), (&b"v"[..], Some(TO)));
    assert_eq!(code(author.decrypt().ciphertext_blob(blob.clone()).send().await), "InvalidCiphertextException");

    // The source's policy decides about the source, the destination's about the destination.
    assert_eq!(code(moving(&test, "test").send().await), "AccessDeniedException");
    assert_eq!(code(moving(&test, "prod").send().await), "InvalidCiphertextException");
    assert_eq!(code(moving(&prod, "prod").destination_key_id(FROM).send().await), "AccessDeniedException");
    assert_eq!(code(moving(&prod, "prod").source_key_id(TO).send().await), "AccessDeniedException");
    assert_eq!(code(ci.decrypt().ciphertext_blob(blob).send().await), "AccessDeniedException");

    let event = server.events().into_iter().find(|event| event["eventName"] == "ReEncrypt").unwrap();
    let parameters = &event["requestParameters"];
    assert_eq!((&parameters["sourceKeyId"], &parameters["destinationKeyId"]), (&json!(FROM), &json!(TO)));
    assert_eq!(parameters["destinationEncryptionContext"], json!({ "to": "there" }));
    let resources: Vec<&Value> = event["resources"].as_array().unwrap().iter().map(|key| &key["ARN"]).collect();
    assert_eq!(resources, [FROM, TO]);
}

#[tokio::test]
async fn generates_random_bytes() {
    let (_dir, server, author, _ci) = server().await;
    let random = |count: i32| author.generate_random().number_of_bytes(count).send();
    for count in [1, 1024] {
        let answer = random(count).await.unwrap();
        assert_eq!(answer.plaintext().unwrap().as_ref().len(), usize::try_from(count).unwrap());
        assert!(answer.ciphertext_for_recipient().is_none());
    }
    for count in [0, 1025] {
        assert_eq!(code(random(count).await), "ValidationException");
    }
    assert_eq!(code(author.generate_random().send().await), "ValidationException");
    assert_eq!(server.events()[0]["requestParameters"], json!({ "numberOfBytes": 1 }));
    assert_eq!(server.events()[0]["resources"], json!([]));
}

#[tokio::test]
async fn generates_data_keys_without_plaintext() {
    let (_dir, _server, author, ci) = server().await;
    let made = author.generate_data_key_without_plaintext().key_id(TO).key_spec(DataKeySpec::Aes256).send().await;
    let made = made.unwrap();
    assert_eq!(made.key_id(), Some(TO));
    let opened = author.decrypt().ciphertext_blob(made.ciphertext_blob.unwrap()).send().await.unwrap();
    assert_eq!(opened.plaintext().unwrap().as_ref().len(), 32);
    // An action of its own: GenerateDataKey alone does not allow it.
    let policy = json!({ "Version": "2012-10-17", "Statement": [
        allow(AUTHOR, json!("kms:PutKeyPolicy")), allow(CI, json!("kms:GenerateDataKey")),
    ] });
    author.put_key_policy().key_id(TO).policy(policy.to_string()).send().await.unwrap();
    let made = ci.generate_data_key_without_plaintext().key_id(TO).number_of_bytes(16).send().await;
    assert_eq!(code(made), "AccessDeniedException");
    assert!(ci.generate_data_key().key_id(TO).number_of_bytes(16).send().await.is_ok());
}

#[tokio::test]
async fn an_alias_is_another_name_of_a_key() {
    let (_dir, server, author, ci) = server().await;
    let create = |name: &str, target: &str| author.create_alias().alias_name(name).target_key_id(target).send();
    create("alias/app/cells", FROM).await.unwrap();
    create("alias/second", "to").await.unwrap();

    let by_name = author.encrypt().key_id("alias/app/cells").plaintext(Blob::new("v")).send().await.unwrap();
    assert_eq!(by_name.key_id(), Some(FROM), "the answer names the key, never the alias");
    let by_arn = author
        .decrypt()
        .key_id("arn:aws:kms:eu-west-1:111122223333:alias/app/cells")
        .ciphertext_blob(by_name.ciphertext_blob.unwrap());
    assert_eq!(by_arn.send().await.unwrap().key_id(), Some(FROM));
    let described = author.describe_key().key_id("alias/second").send().await.unwrap();
    assert_eq!(described.key_metadata().unwrap().arn(), Some(TO));
    // The key's policy decides, whatever it is called.
    let by_ci = ci.encrypt().key_id("alias/app/cells").plaintext(Blob::new("v")).send().await;
    assert_eq!(code(by_ci), "AccessDeniedException");
    for elsewhere in [
        "alias/none",
        "arn:aws:kms:eu-west-2:111122223333:alias/second",
        "arn:aws:kms:eu-west-1:444455556666:alias/second",
    ] {
        assert_eq!(code(author.describe_key().key_id(elsewhere).send().await), "NotFoundException", "{elsewhere}");
    }
    assert_eq!(code(author.get_key_policy().key_id("alias/second").send().await), "NotFoundException");

    for (name, target, expected) in [
        ("alias/second", FROM, "AlreadyExistsException"),
        ("second", FROM, "ValidationException"),
        ("alias/aws/ebs", FROM, "NotAuthorizedException"),
        ("alias/a:b", FROM, "InvalidAliasNameException"),
        ("alias/third", "alias/second", "ValidationException"),
        ("alias/third", "none", "NotFoundException"),
    ] {
        assert_eq!(code(create(name, target).await), expected, "{name} {target}");
    }
    assert_eq!(code(ci.create_alias().alias_name("alias/x").target_key_id(FROM).send().await), "AccessDeniedException");

    let listed = author.list_aliases().send().await.unwrap();
    let names: Vec<_> =
        listed.aliases().iter().map(|alias| (alias.alias_name().unwrap(), alias.target_key_id().unwrap())).collect();
    assert_eq!((names, listed.truncated()), (vec![("alias/app/cells", "from"), ("alias/second", "to")], false));
    let first = author.list_aliases().limit(1).send().await.unwrap();
    assert_eq!((first.aliases().len(), first.truncated(), first.next_marker()), (1, true, Some("alias/app/cells")));
    let rest = author.list_aliases().limit(1).marker("alias/app/cells").send().await.unwrap();
    assert_eq!((rest.aliases()[0].alias_name(), rest.truncated()), (Some("alias/second"), false));
    let of_key = author.list_aliases().key_id(TO).send().await.unwrap();
    assert_eq!(of_key.aliases().len(), 1);
    assert_eq!(code(author.list_aliases().marker("x").send().await), "InvalidMarkerException");
    assert_eq!(code(author.list_aliases().limit(101).send().await), "ValidationException");
    let event = server.events().into_iter().find(|event| event["eventName"] == "CreateAlias").unwrap();
    assert_eq!(
        (&event["readOnly"], &event["requestParameters"]["aliasName"]),
        (&json!(false), &json!("alias/app/cells"))
    );
}
