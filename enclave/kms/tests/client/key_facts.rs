//! `GetKeyPolicy` and `DescribeKey`: what is sent, and each thing that is refused.

use packproof_kms::{KeyDescription, KeyPolicyText, MAX_KEY_POLICY_BYTES};

use super::*;

fn metadata() -> Value {
    json!({
        "AWSAccountId": "111122223333", "KeyId": KEY.rsplit('/').next().unwrap(), "Arn": KEY, "Enabled": true,
        "KeyManager": "CUSTOMER", "Origin": "AWS_KMS", "MultiRegion": false, "KeyState": "Enabled",
        "KeyUsage": "ENCRYPT_DECRYPT", "KeySpec": "SYMMETRIC_DEFAULT",
    })
}

async fn policy_of(answer: Value) -> Result<KeyPolicyText, KmsError> {
    FakeKms::new(move |_| Reply::Json(200, answer.clone())).client().key_policy(&key()).await
}

async fn description_of(change: impl Fn(&mut Value)) -> Result<KeyDescription, KmsError> {
    let mut metadata = metadata();
    change(&mut metadata);
    FakeKms::new(move |_| Reply::Json(200, json!({ "KeyMetadata": metadata.clone() })))
        .client()
        .describe_key(&key())
        .await
}

#[tokio::test]
async fn reads_a_key_policy_as_it_is() {
    let text = "{ \"Version\":  \"2012-10-17\",\n\t\"Id\": \"\u{fc}\" }";
    let fake = FakeKms::new(move |seen| match seen.number {
        1 => error(400, "ThrottlingException"),
        _ => Reply::Json(200, json!({ "Policy": text, "PolicyName": "default" })),
    });
    let read = fake.client().key_policy(&key()).await.unwrap();
    let request_ids = [1, 2].map(|n| format!("{REQUEST_ID}{n}")).to_vec();
    assert_eq!(read, KeyPolicyText { text: text.into(), request_ids });
    let seen = fake.requests().pop().unwrap();
    assert_eq!(seen.headers["x-amz-target"], "TrentService.GetKeyPolicy");
    assert_eq!(seen.body, json!({ "KeyId": KEY, "PolicyName": "default" }));
}

#[tokio::test]
async fn refuses_a_key_policy_that_is_none() {
    let unreadable = |reason| KmsError::KeyPolicyUnreadable { key_arn: KEY.into(), reason };
    for none in [json!({}), json!({ "Policy": "" }), json!({ "Policy": null })] {
        assert_eq!(policy_of(none).await, Err(unreadable("there is none")));
    }
    let other = json!({ "Policy": "{}", "PolicyName": "other" });
    assert_eq!(policy_of(other).await, Err(unreadable("it is of another name than default")));
    let long = |bytes| json!({ "Policy": " ".repeat(bytes) });
    assert_eq!(policy_of(long(MAX_KEY_POLICY_BYTES)).await.unwrap().text.len(), MAX_KEY_POLICY_BYTES);
    assert_eq!(policy_of(long(MAX_KEY_POLICY_BYTES + 1)).await, Err(unreadable("it is longer than KMS allows")));
    assert_eq!(policy_of(json!({ "Policy": {} })).await, Err(KmsError::AnswerMalformed));
}

#[tokio::test]
async fn reads_a_description() {
    let fake = FakeKms::new(|_| Reply::Json(200, json!({ "KeyMetadata": metadata() })));
    let expected = KeyDescription {
        key_arn: KEY.into(),
        key_manager: "CUSTOMER".into(),
        origin: "AWS_KMS".into(),
        multi_region: false,
        key_state: "Enabled".into(),
        key_usage: "ENCRYPT_DECRYPT".into(),
        key_spec: "SYMMETRIC_DEFAULT".into(),
        request_ids: vec![format!("{REQUEST_ID}1")],
    };
    assert_eq!(fake.client().describe_key(&key()).await, Ok(expected));
    let seen = fake.requests().pop().unwrap();
    assert_eq!(
        (&seen.headers["x-amz-target"], &seen.body),
        (&"TrentService.DescribeKey".into(), &json!({"KeyId": KEY}))
    );
    let new = description_of(|metadata| metadata["Origin"] = "NEW_1".into()).await.unwrap();
    assert_eq!(new.origin, "NEW_1", "AWS adds values");
}

#[tokio::test]
async fn refuses_a_description_of_another_key_or_without_a_fact() {
    let other = KEY.replace("1234abcd", "9999abcd");
    let found = description_of(|metadata| metadata["Arn"] = other.clone().into()).await;
    assert_eq!(found, Err(KmsError::WrongKey { expected: KEY.into(), found: Some(other.clone()) }));
    let nameless = description_of(|metadata| metadata["Arn"] = Value::Null).await;
    assert_eq!(nameless, Err(KmsError::WrongKey { expected: KEY.into(), found: None }));
    let unreadable = |missing| Err(KmsError::KeyDescriptionUnreadable { key_arn: KEY.into(), missing });
    for missing in ["KeyManager", "Origin", "MultiRegion", "KeyState", "KeyUsage", "KeySpec"] {
        assert_eq!(description_of(|metadata| metadata[missing] = Value::Null).await, unreadable(missing));
    }
    for bad in ["", "a b", "\u{1b}[31m", &"A".repeat(65)] {
        assert_eq!(description_of(|metadata| metadata["Origin"] = bad.into()).await, unreadable("Origin"), "{bad:?}");
    }
    let fake = FakeKms::new(|_| Reply::Json(200, json!({})));
    assert_eq!(fake.client().describe_key(&key()).await, unreadable("KeyMetadata"));
}

#[tokio::test]
async fn names_the_call_that_the_key_policy_does_not_allow() {
    let fake = FakeKms::new(|_| error(400, "AccessDeniedException"));
    let request_id = |n| Some(format!("{REQUEST_ID}{n}"));
    let denied = |operation, n| KmsError::KeyPolicyDenied { operation, key_arn: KEY.into(), request_id: request_id(n) };
    let client = fake.client();
    assert_eq!(client.key_policy(&key()).await, Err(denied("GetKeyPolicy", 1)));
    assert_eq!(client.describe_key(&key()).await, Err(denied("DescribeKey", 2)));
    for id in [None, Some("not a request id".to_owned())] {
        let fake = FakeKms::new(move |_| Reply::Raw(200, id.clone(), b"{\"Policy\":\"{}\"}".to_vec()));
        assert_eq!(fake.client().key_policy(&key()).await, Err(KmsError::NoRequestId));
    }
}
