//! The client against a KMS in this process: what it sends, and each thing it refuses.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers of tests state what they expect by panicking, as tests do"
)]

#[path = "client/key_facts.rs"]
mod key_facts;
mod support;

use std::sync::Arc;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use packproof_kms::{
    Call, Class, Client, Config, Endpoint, KmsError, MAX_ANSWER_BYTES, Recipient, RecipientKey, Timeouts,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use support::{
    Certificate, Egress, FakeKms, HOST, KEY, REQUEST_ID, Reply, Seen, ToFake, clock, config, context, error, key,
    recipient,
};

const BLOB: &[u8] = b"a wrapped key";

async fn decrypt(client: &Client) -> Result<(Vec<u8>, Call), KmsError> {
    let (plaintext, call) = client.decrypt(&key(), BLOB, &context(), &recipient()).await?;
    Ok((plaintext.expose().to_vec(), call))
}

async fn refused_by(client: &Client) -> KmsError {
    decrypt(client).await.unwrap_err()
}

/// The refusal of a good `Decrypt` answer in which `change` broke one thing.
async fn refused(change: impl Fn(&Seen, &mut Value) + Send + Sync + 'static) -> KmsError {
    let fake = FakeKms::new(move |seen| {
        let mut answer = seen.good(b"plaintext");
        change(seen, &mut answer);
        Reply::Json(200, answer)
    });
    refused_by(&fake.client()).await
}

/// The refusal of a good `GenerateDataKey` answer in which `change` broke one thing.
async fn data_key_refused(change: impl Fn(&Seen, &mut Value) + Send + Sync + 'static) -> KmsError {
    let fake = FakeKms::new(move |seen| {
        let mut answer = seen.good(&[3; 32]);
        answer["CiphertextBlob"] = BASE64_STANDARD.encode(BLOB).into();
        change(seen, &mut answer);
        Reply::Json(200, answer)
    });
    let made = fake.client().generate_data_key(&key(), &context(), &recipient()).await;
    made.err().unwrap()
}

#[tokio::test]
async fn decrypts_and_reports_the_call() {
    let fake = FakeKms::new(|seen| Reply::Json(200, seen.good(b"plaintext")));
    let recipient = recipient();
    let (plaintext, call) = fake.client().decrypt(&key(), BLOB, &context(), &recipient).await.unwrap();
    assert_eq!(plaintext.expose(), b"plaintext");
    let expected = Call {
        operation: "Decrypt",
        key_arn: KEY.into(),
        request_id: format!("{REQUEST_ID}1"),
        context: context(),
        ciphertext_blob_sha256: Sha256::digest(BLOB).into(),
        attempts: 1,
        attempt_request_ids: vec![format!("{REQUEST_ID}1")],
    };
    assert_eq!(call, expected);

    let requests = fake.requests();
    let [seen] = requests.as_slice() else { panic!("one request") };
    assert_eq!((seen.method.as_str(), seen.uri.as_str()), ("POST", "/"));
    assert_eq!(seen.headers["host"], "kms.test:8443");
    assert_eq!(seen.headers["x-amz-target"], "TrentService.Decrypt");
    assert_eq!(seen.headers["x-amz-date"], "20300101T000000Z", "signed by the clock given, not the system's");
    assert_eq!(seen.headers["x-amz-security-token"], "session-token");
    assert!(
        seen.headers["authorization"]
            .starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20300101/eu-west-1/kms/aws4_request, SignedHeaders=")
    );
    assert_eq!(seen.body["KeyId"], KEY);
    assert_eq!(seen.body["CiphertextBlob"], BASE64_STANDARD.encode(BLOB));
    assert_eq!(seen.body["EncryptionContext"], json!(context()));
    assert_eq!(seen.body["Recipient"]["KeyEncryptionAlgorithm"], "RSAES_OAEP_SHA_256");
    assert_eq!(*fake.dialled.lock().unwrap(), [(HOST.to_owned(), 8443)]);
}

#[tokio::test]
async fn generates_a_data_key_and_reports_the_call() {
    let fake = FakeKms::new(|seen| {
        let mut answer = seen.good(&[3; 32]);
        answer["CiphertextBlob"] = BASE64_STANDARD.encode(b"its blob").into();
        Reply::Json(200, answer)
    });
    let (data_key, blob, call) = fake.client().generate_data_key(&key(), &context(), &recipient()).await.unwrap();
    assert_eq!(data_key.expose(), &[3; 32]);
    assert_eq!(blob, b"its blob");
    assert_eq!((call.operation, call.attempts), ("GenerateDataKey", 1));
    assert_eq!(call.ciphertext_blob_sha256, <[u8; 32]>::from(Sha256::digest(b"its blob")));
    let requests = fake.requests();
    assert_eq!(requests[0].headers["x-amz-target"], "TrentService.GenerateDataKey");
    assert_eq!(requests[0].body["KeySpec"], "AES_256");
    assert_eq!(requests[0].body["EncryptionContext"], json!(context()));
}

#[tokio::test]
async fn refuses_plaintext_in_the_answer() {
    let plaintext = BASE64_STANDARD.encode(b"plaintext");
    let both = plaintext.clone();
    assert_eq!(refused(move |_, answer| answer["Plaintext"] = both.clone().into()).await, KmsError::PlaintextInAnswer);
    // what a KMS without attestation answers
    let instead = plaintext.clone();
    let downgrade = refused(move |seen, answer| {
        *answer = json!({"KeyId": seen.body["KeyId"], "Plaintext": instead.clone()});
    });
    assert_eq!(downgrade.await, KmsError::PlaintextInAnswer);
    let generated = data_key_refused(move |_, answer| answer["Plaintext"] = plaintext.clone().into());
    assert_eq!(generated.await, KmsError::PlaintextInAnswer);
}

#[tokio::test]
async fn takes_null_and_empty_plaintext_as_absent() {
    for absent in [Value::Null, "".into()] {
        let fake = FakeKms::new(move |seen| {
            let mut answer = seen.good(b"plaintext");
            answer["Plaintext"] = absent.clone();
            Reply::Json(200, answer)
        });
        assert_eq!(decrypt(&fake.client()).await.unwrap().0, b"plaintext");
    }
}

#[tokio::test]
async fn refuses_an_answer_without_ciphertext_for_the_recipient() {
    for missing in [Value::Null, "".into()] {
        let error = refused(move |_, answer| answer["CiphertextForRecipient"] = missing.clone()).await;
        assert_eq!(error, KmsError::NoRecipientCiphertext);
    }
}

#[tokio::test]
async fn refuses_another_key() {
    let other = KEY.replace("1234abcd", "9999abcd");
    let found = other.clone();
    let error = refused(move |_, answer| answer["KeyId"] = found.clone().into()).await;
    assert_eq!(error, KmsError::WrongKey { expected: KEY.into(), found: Some(other.clone()) });
    let error = refused(|_, answer| answer["KeyId"] = Value::Null).await;
    assert_eq!(error, KmsError::WrongKey { expected: KEY.into(), found: None });
    let alias = "arn:aws:kms:eu-west-1:111122223333:alias/app";
    let error = refused(move |_, answer| answer["KeyId"] = alias.into()).await;
    assert_eq!(error, KmsError::WrongKey { expected: KEY.into(), found: Some(alias.into()) });
    let error = data_key_refused(move |_, answer| answer["KeyId"] = other.clone().into()).await;
    assert_eq!(error.code(), "wrong_key");
}

#[tokio::test]
async fn refuses_ciphertext_that_does_not_open_with_one_error() {
    let stranger = RecipientKey::generate().unwrap().spki_der().to_vec();
    let for_another = refused(move |_, answer| {
        let message = support::cms::seal(&stranger, &[5; 32], b"plaintext").encode(support::cms::Form::Pieces);
        answer["CiphertextForRecipient"] = BASE64_STANDARD.encode(message).into();
    });
    let garbage = refused(|_, answer| answer["CiphertextForRecipient"] = BASE64_STANDARD.encode(b"0\x80").into());
    let flipped = refused(|seen, answer| {
        let mut message = BASE64_STANDARD.decode(seen.seal(b"plaintext")).unwrap();
        message[200] ^= 1;
        answer["CiphertextForRecipient"] = BASE64_STANDARD.encode(message).into();
    });
    assert_eq!(for_another.await, KmsError::RecipientCiphertextRefused);
    assert_eq!(garbage.await, KmsError::RecipientCiphertextRefused);
    assert_eq!(flipped.await, KmsError::RecipientCiphertextRefused);
}

#[tokio::test]
async fn refuses_a_data_key_of_another_length_or_without_blob() {
    let short = data_key_refused(|seen, answer| answer["CiphertextForRecipient"] = seen.seal(&[3; 31]).into()).await;
    assert_eq!(short, KmsError::DataKeyLength);
    let missing = data_key_refused(|_, answer| answer["CiphertextBlob"] = Value::Null).await;
    assert_eq!(missing, KmsError::NoCiphertextBlob);
    let long = BASE64_STANDARD.encode(vec![0; 6145]);
    let long = data_key_refused(move |_, answer| answer["CiphertextBlob"] = long.clone().into()).await;
    assert_eq!(long, KmsError::NoCiphertextBlob);
}

#[tokio::test]
async fn names_access_denied_once_with_key_and_request_id() {
    let fake = FakeKms::new(|_| error(400, "AccessDeniedException"));
    let error = refused_by(&fake.client()).await;
    let expected = KmsError::AccessDenied { key_arn: KEY.into(), request_id: Some(format!("{REQUEST_ID}1")) };
    assert_eq!((error.class(), &error), (Class::Refused, &expected));
    assert!(!error.to_string().contains("attacker"));
    assert_eq!(fake.requests().len(), 1, "a refusal is not retried");
}

#[tokio::test]
async fn retries_throttling_on_a_fresh_connection_and_keeps_every_request_id() {
    let fake = FakeKms::new(|seen| match seen.number {
        1 => error(400, "ThrottlingException"),
        2 => error(500, "KMSInternalException"),
        _ => Reply::Json(200, seen.good(b"plaintext")),
    });
    let (plaintext, call) = decrypt(&fake.client()).await.unwrap();
    assert_eq!((plaintext.as_slice(), call.attempts), (b"plaintext".as_slice(), 3));
    assert_eq!(call.request_id, format!("{REQUEST_ID}3"));
    assert_eq!(call.attempt_request_ids, [1, 2, 3].map(|n| format!("{REQUEST_ID}{n}")));
    assert_eq!(fake.requests().iter().map(|seen| seen.connection).collect::<Vec<_>>(), [1, 2, 3]);
}

#[tokio::test]
async fn gives_up_after_all_attempts() {
    let throttled = FakeKms::new(|_| error(400, "ThrottlingException"));
    let error = refused_by(&throttled.client()).await;
    let request_id = Some(format!("{REQUEST_ID}3"));
    assert_eq!(error, KmsError::Unavailable { code: "ThrottlingException", request_id, attempts: 3 });
    assert_eq!(error.class(), Class::Environment);

    let page = FakeKms::new(|_| Reply::Raw(503, None, b"<html>busy</html>".to_vec()));
    let error = refused_by(&page.client()).await;
    assert_eq!(error, KmsError::Unavailable { code: "unlisted", request_id: None, attempts: 3 });
}

#[tokio::test]
async fn names_rejections_without_repeating_what_the_answer_says() {
    for (code, expected) in
        [("InvalidCiphertextException", "InvalidCiphertextException"), ("Evil\u{1b}[31m", "unlisted")]
    {
        let fake = FakeKms::new(move |_| error(400, code));
        let error = refused_by(&fake.client()).await;
        let request_id = Some(format!("{REQUEST_ID}1"));
        assert_eq!(error, KmsError::Rejected { code: expected, request_id });
        assert!(!error.to_string().contains('\u{1b}'));
    }
    let fake = FakeKms::new(|_| error(400, "ExpiredTokenException"));
    let error = refused_by(&fake.client()).await;
    assert_eq!((error.code(), error.class()), ("kms_credentials_refused", Class::Environment));
}

#[tokio::test]
async fn refuses_malformed_and_anonymous_answers() {
    let id = Some(format!("{REQUEST_ID}1"));
    let fake = FakeKms::new(move |_| Reply::Raw(200, id.clone(), b"{\"KeyId\": ".to_vec()));
    assert_eq!(refused_by(&fake.client()).await, KmsError::AnswerMalformed);
    for id in [None, Some("not a request id".to_owned())] {
        let fake = FakeKms::new(move |seen| Reply::Raw(200, id.clone(), seen.good(b"x").to_string().into_bytes()));
        assert_eq!(refused_by(&fake.client()).await, KmsError::NoRequestId);
    }
}

#[tokio::test]
async fn reads_no_more_than_the_cap() {
    let padded = |len: usize| {
        move |seen: &Seen| {
            let mut body = seen.good(b"plaintext").to_string().into_bytes();
            body.resize(len, b' ');
            Reply::Raw(200, Some("id".into()), body)
        }
    };
    let at_the_cap = FakeKms::new(padded(MAX_ANSWER_BYTES));
    assert!(decrypt(&at_the_cap.client()).await.is_ok());
    let above = FakeKms::new(padded(MAX_ANSWER_BYTES + 1));
    assert_eq!(refused_by(&above.client()).await, KmsError::AnswerTooLarge);
    assert_eq!(above.requests().len(), 1);
}

#[tokio::test]
async fn refuses_certificates_that_are_not_trusted() {
    let answer = |seen: &Seen| Reply::Json(200, seen.good(b"plaintext"));
    let because = |reason| KmsError::CertificateRefused { host: HOST.into(), reason };

    // another CA than the one pinned
    let named = Certificate { issuer: "Other CA", ..Certificate::default() };
    let (fake, other) = (FakeKms::with(named, Egress::Works, answer), FakeKms::new(answer));
    let client = Client::new(Config { endpoint: other.endpoint(), ..config(&fake) }).unwrap();
    let error = refused_by(&client).await;
    assert_eq!((error.class(), error), (Class::Refused, because("unknown issuer")));
    assert_eq!(fake.connections(), 1, "an untrusted certificate is not tried again");

    // another CA of the same name
    let (fake, other) = (FakeKms::new(answer), FakeKms::new(answer));
    let client = Client::new(Config { endpoint: other.endpoint(), ..config(&fake) }).unwrap();
    assert_eq!(refused_by(&client).await, because("bad signature"));

    let named = Certificate { name: "kms.evil.example", ..Certificate::default() };
    let fake = FakeKms::with(named, Egress::Works, answer);
    assert_eq!(refused_by(&fake.client()).await, because("another name"));

    // the clock stands in 2030
    let expired = Certificate { valid_years: (2020, 2029), ..Certificate::default() };
    let fake = FakeKms::with(expired, Egress::Works, answer);
    assert_eq!(refused_by(&fake.client()).await, because("expired"));
    assert!(fake.requests().is_empty());
}

#[tokio::test]
async fn judges_certificates_by_the_clock_given() {
    let future = || Certificate { valid_years: (2150, 2160), ..Certificate::default() };
    let answer = |seen: &Seen| Reply::Json(200, seen.good(b"plaintext"));
    let fake = FakeKms::with(future(), Egress::Works, answer);
    let client = Client::new(Config { clock: clock(2155), ..config(&fake) }).unwrap();
    assert_eq!(decrypt(&client).await.unwrap().0, b"plaintext");
    let fake = FakeKms::with(future(), Egress::Works, answer);
    let early = KmsError::CertificateRefused { host: HOST.into(), reason: "not valid yet" };
    assert_eq!(refused_by(&fake.client()).await, early);
}

#[tokio::test]
async fn trusts_only_amazon_for_aws_and_derives_the_host_from_the_arn() {
    for (endpoint, host) in
        [(Endpoint::Aws, "kms.eu-west-1.amazonaws.com"), (Endpoint::AwsFips, "kms-fips.eu-west-1.amazonaws.com")]
    {
        let named = Certificate { name: host, ..Certificate::default() };
        let fake = FakeKms::with(named, Egress::Works, |seen| Reply::Json(200, seen.good(b"plaintext")));
        let client = Client::new(Config { endpoint, ..config(&fake) }).unwrap();
        let expected = KmsError::CertificateRefused { host: host.into(), reason: "unknown issuer" };
        assert_eq!(refused_by(&client).await, expected);
        assert_eq!(*fake.dialled.lock().unwrap(), [(host.to_owned(), 443)]);
        assert!(fake.requests().is_empty(), "nothing is sent to a stranger");
    }
}

#[tokio::test]
async fn does_not_wait_for_ever() {
    let quick = Timeouts {
        connect: Duration::from_millis(200),
        read: Duration::from_millis(200),
        attempt: Duration::from_secs(5),
        operation: Duration::from_secs(10),
    };
    let attempt = Timeouts { attempt: Duration::from_millis(200), ..Timeouts::default() };
    let operation = Timeouts { operation: Duration::from_millis(200), ..Timeouts::default() };
    for (egress, timeouts, attempts) in [
        (Egress::NeverConnects, quick, 3),
        (Egress::Mute, quick, 3),
        (Egress::Works, quick, 3),
        (Egress::Works, attempt, 3),
        (Egress::Works, operation, 1),
    ] {
        let fake = FakeKms::with(Certificate::default(), egress, |_| Reply::Silence);
        let client = Client::new(Config { timeouts, ..config(&fake) }).unwrap();
        let error = refused_by(&client).await;
        assert_eq!(error, KmsError::TimedOut { host: HOST.into(), attempts }, "{egress:?} {timeouts:?}");
        assert_eq!(error.class(), Class::Environment);
    }
}

#[tokio::test]
async fn reports_an_egress_that_carries_nothing() {
    for egress in [Egress::Refuses, Egress::PlainText] {
        let fake = FakeKms::with(Certificate::default(), egress, |_| Reply::Silence);
        let error = refused_by(&fake.client()).await;
        assert_eq!(error, KmsError::Unreachable { host: HOST.into(), attempts: 3 }, "{egress:?}");
        assert_eq!((error.class(), fake.connections()), (Class::Environment, 3));
    }
    let fake = FakeKms::new(|_| Reply::HangUp);
    assert_eq!(refused_by(&fake.client()).await.code(), "kms_unreachable");
}

#[tokio::test]
async fn refuses_impossible_sizes_before_dialling() {
    let fake = FakeKms::new(|_| Reply::Silence);
    let client = fake.client();
    for len in [0, 6145] {
        let error = client.decrypt(&key(), &vec![0; len], &context(), &recipient()).await.err();
        assert_eq!(error, Some(KmsError::BlobLength { len }));
    }
    for len in [0, 262_145] {
        let recipient = Recipient::new(RecipientKey::generate().unwrap(), vec![0; len]);
        let error = client.decrypt(&key(), BLOB, &context(), &recipient).await.err();
        assert_eq!(error, Some(KmsError::DocumentLength { len }));
    }
    assert_eq!(fake.connections(), 0);
}

#[tokio::test]
async fn uses_a_connection_again_and_survives_its_end() {
    let fake = FakeKms::new(|seen| match seen.number {
        3 => Reply::AnswerThenClose(seen.good(b"plaintext")),
        _ => Reply::Json(200, seen.good(b"plaintext")),
    });
    let client = fake.client();
    for _ in 0..3 {
        decrypt(&client).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(150)).await;
    let (_, call) = decrypt(&client.clone()).await.unwrap();
    assert_eq!(call.attempts, 1, "a connection that is known to be closed costs no attempt");
    assert_eq!(fake.requests().iter().map(|seen| seen.connection).collect::<Vec<_>>(), [1, 1, 1, 2]);
}

#[tokio::test]
async fn retries_when_a_kept_connection_dies_under_a_request() {
    let fake = FakeKms::new(|seen| match seen.number {
        2 => Reply::HangUp,
        _ => Reply::Json(200, seen.good(b"plaintext")),
    });
    let client = fake.client();
    decrypt(&client).await.unwrap();
    let (_, call) = decrypt(&client).await.unwrap();
    assert_eq!((call.attempts, call.attempt_request_ids.len()), (2, 1));
    assert_eq!(fake.requests().iter().map(|seen| seen.connection).collect::<Vec<_>>(), [1, 1, 2]);
}

#[tokio::test]
async fn decrypts_64_at_once_and_never_more() {
    let fake =
        FakeKms::new(|seen| Reply::Json(200, seen.good(seen.body["CiphertextBlob"].as_str().unwrap().as_bytes())));
    let (client, recipient) = (fake.client(), Arc::new(recipient()));
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..100_u8 {
        let (client, recipient) = (client.clone(), recipient.clone());
        calls.spawn(async move {
            let (plaintext, call) = client.decrypt(&key(), &[n], &context(), &recipient).await.unwrap();
            assert_eq!(plaintext.expose(), BASE64_STANDARD.encode([n]).as_bytes(), "each call gets its own answer");
            call.request_id
        });
    }
    let ids: std::collections::BTreeSet<String> = calls.join_all().await.into_iter().collect();
    assert_eq!(ids.len(), 100);
    assert!(fake.connections() <= 64, "{}", fake.connections());
}

#[tokio::test]
async fn a_client_serves_keys_of_several_regions() {
    let fake = FakeKms::new(|seen| Reply::Json(200, seen.good(b"plaintext")));
    let client = Client::new(Config { dial: Arc::new(ToFake(fake.clone())), ..config(&fake) }).unwrap();
    for region in ["eu-west-1", "us-east-2"] {
        let key = KEY.replace("eu-west-1", region).parse().unwrap();
        client.decrypt(&key, BLOB, &context(), &recipient()).await.unwrap();
        let seen = fake.requests().pop().unwrap();
        assert!(seen.headers["authorization"].contains(&format!("/20300101/{region}/kms/aws4_request")));
    }
}

#[test]
fn the_client_can_be_shared_between_tasks() {
    fn shared<T: Clone + Send + Sync>() {}
    shared::<Client>();
}
