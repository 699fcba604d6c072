//! Answers altered behind a certificate that the enclave must trust: what a faulty or bribed endpoint could send.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use packproof_tests::{
    cheat::{Exchange, GOOD, cheat},
    demo::{ENVIRONMENTS, arn},
    world::World,
};
use serde_json::{Value, json};

use super::{altered, cms, packs};

/// One change to answers.
type Alter = fn(&mut Exchange);

#[test]
fn answers_that_do_not_honour_attestation() {
    let world = World::start();
    type Change = fn(&mut Value);
    let rows: [(&str, Change, &str); 6] = [
        ("a plaintext beside the ciphertext", |a| a["Plaintext"] = json!("c2VjcmV0"), "plaintext_in_answer"),
        (
            "nothing for the enclave",
            |a| drop(a.as_object_mut().unwrap().remove("CiphertextForRecipient")),
            "no_recipient_ciphertext",
        ),
        ("an empty ciphertext for the enclave", |a| a["CiphertextForRecipient"] = json!(""), "no_recipient_ciphertext"),
        ("another key's ARN", |a| a["KeyId"] = json!(arn("signer-dev").replace("de3", "de4")), "wrong_key"),
        (
            "an alias where a key is pinned",
            |a| a["KeyId"] = json!("arn:aws:kms:eu-west-1:111122223333:alias/cells"),
            "wrong_key",
        ),
        ("no key id", |a| drop(a.as_object_mut().unwrap().remove("KeyId")), "wrong_key"),
    ];
    for environment in ENVIRONMENTS {
        for (attack, change, code) in rows {
            altered(&world, attack, environment, move |exchange| exchange.answer(change), code);
        }
    }
    drop(cheat(&world, GOOD, |_| ()));
    packs(&world, "unaltered", world.request("production"));
}

/// The ciphertext for the enclave, altered as bytes.
fn message(exchange: &mut Exchange, change: impl FnOnce(&mut Vec<u8>)) {
    exchange.answer(|answer| {
        let mut bytes = BASE64_STANDARD.decode(answer["CiphertextForRecipient"].as_str().unwrap()).unwrap();
        change(&mut bytes);
        answer["CiphertextForRecipient"] = BASE64_STANDARD.encode(bytes).into();
    });
}

/// What anybody can make who saw the attestation document: its RSA key is in it in the clear.
fn forged(exchange: &mut Exchange, form: cms::Form, content_key: &[u8], plaintext: &[u8]) {
    let document = exchange.request["Recipient"]["AttestationDocument"].as_str().unwrap();
    let document = BASE64_STANDARD.decode(document).unwrap();
    let prefix = hex::decode("30820122300d06092a864886f70d01010105000382010f00").unwrap();
    let at = document.windows(prefix.len()).position(|window| window == prefix).unwrap();
    let sealed = cms::seal(&document[at..at + 294], content_key, plaintext).encode(form);
    message(exchange, |bytes| *bytes = sealed);
}

#[test]
fn ciphertexts_that_are_not_for_this_enclave() {
    let world = World::start();
    for environment in ENVIRONMENTS {
        let rows: [(&str, Alter, &str); 4] = [
            (
                "a byte behind the CMS message",
                |exchange| message(exchange, |bytes| bytes.push(0)),
                "recipient_ciphertext_refused",
            ),
            (
                "a CMS message for another RSA key",
                // the subject key identifier: the first primitive [0] of 32 bytes
                |exchange| {
                    message(exchange, |bytes| {
                        let at = bytes.windows(2).position(|window| window == [0x80, 0x20]).unwrap();
                        bytes[at + 2] ^= 1;
                    });
                },
                "recipient_ciphertext_refused",
            ),
            (
                "a CMS message with its padding broken",
                |exchange| {
                    message(exchange, |bytes| {
                        // 32 bytes make three blocks, the last one of padding; CBC hands a bit of the second on to it
                        assert_eq!(bytes.len(), 493, "the content ends before five ends of contents");
                        let at = bytes.len() - 10 - 17;
                        bytes[at] ^= 0x80;
                    });
                },
                "recipient_ciphertext_refused",
            ),
            (
                "a content key of 16 bytes",
                |exchange| forged(exchange, cms::Form::Pieces, &[7; 16], &[3; 32]),
                "recipient_ciphertext_refused",
            ),
        ];
        for (attack, change, code) in rows {
            altered(&world, attack, environment, change, code);
        }
    }
}

#[test]
fn answers_of_another_time() {
    let world = World::start();
    let attack = "an answer of an earlier pack";
    for environment in ENVIRONMENTS {
        let kept: Arc<Mutex<BTreeMap<String, Vec<u8>>>> = Arc::default();
        let keep = Arc::clone(&kept);
        drop(cheat(&world, GOOD, move |exchange| {
            drop(keep.lock().unwrap().insert(asked(exchange), exchange.body.clone()));
        }));
        packs(&world, "kept for later", world.request(environment));
        let replay = move |exchange: &mut Exchange| exchange.body.clone_from(&kept.lock().unwrap()[&asked(exchange)]);
        altered(&world, attack, environment, replay, "recipient_ciphertext_refused");
    }
}

/// What was asked for, without the document, which is never the same.
fn asked(exchange: &Exchange) -> String {
    format!("{} {} {}", exchange.operation, exchange.key(), exchange.request["CiphertextBlob"])
}

#[test]
fn answers_of_another_cell_or_key() {
    let world = World::start();
    // two cells under one key: each gets what the other asked for, sealed for this very pack
    let both: Arc<(Mutex<Vec<String>>, Condvar)> = Arc::default();
    let cells = arn("cells-production");
    let swap = move |exchange: &mut Exchange| {
        if exchange.key() != cells {
            return;
        }
        exchange.answer(|answer| {
            let (waiting, arrived) = &*both;
            let mut waiting = waiting.lock().unwrap();
            let mine = waiting.len();
            waiting.push(answer["CiphertextForRecipient"].as_str().unwrap().to_owned());
            arrived.notify_all();
            let (waiting, _) =
                arrived.wait_timeout_while(waiting, Duration::from_secs(4), |waiting| waiting.len() < 2).unwrap();
            answer["CiphertextForRecipient"] = waiting[1 - mine].clone().into();
        });
    };
    altered(&world, "answers of two cells swapped", "production", swap, "content_refused");

    let of_key = |name: &str, change: fn(&mut Exchange)| {
        let key = arn(name);
        move |exchange: &mut Exchange| {
            if exchange.key() == key {
                change(exchange);
            }
        }
    };
    for form in [cms::Form::Pieces, cms::Form::Single, cms::Form::Definite] {
        let key = arn("signer-production");
        let forge = move |exchange: &mut Exchange| {
            if exchange.key() == key {
                forged(exchange, form, &[7; 32], &[3; 32]);
            }
        };
        altered(&world, "a signer of the endpoint's choosing", "production", forge, "wrong_sealed_signer");
    }
    let age_key = of_key("age-key-dev", |exchange| forged(exchange, cms::Form::Pieces, &[7; 32], &[3; 32]));
    altered(&world, "an age key of the endpoint's choosing", "dev", age_key, "wrong_sealed_age_key");
    let short = of_key("envelope-production", |exchange| forged(exchange, cms::Form::Pieces, &[7; 32], &[3; 31]));
    altered(&world, "a data key of 31 bytes", "production", short, "data_key_length");
    let none = of_key("envelope-production", |exchange| exchange.answer(|a| a["CiphertextBlob"] = Value::Null));
    altered(&world, "an envelope key without its blob", "production", none, "no_ciphertext_blob");
    let long = of_key("envelope-production", |exchange| {
        exchange.answer(|a| a["CiphertextBlob"] = BASE64_STANDARD.encode([0; 6145]).into());
    });
    altered(&world, "an envelope blob that KMS takes back from nobody", "production", long, "no_ciphertext_blob");
}

#[test]
fn answers_that_are_none() {
    let world = World::start();
    let rows: [(&str, Alter, &str); 6] = [
        ("an answer without request id", |e| e.request_id = None, "no_request_id"),
        ("a request id with other characters", |e| e.request_id = Some("a b".into()), "no_request_id"),
        ("an answer cut off", |e| e.body.truncate(40), "answer_malformed"),
        ("an answer larger than KMS sends", |e| e.body.resize(64 * 1024 + 1, b' '), "answer_too_large"),
        ("a page in place of JSON", |e| e.body = b"<html></html>".to_vec(), "answer_malformed"),
        (
            "an error code of the endpoint's own",
            |e| (e.status, e.body) = ("400 Bad Request".into(), br#"{"__type":"Own\u001b[2J"}"#.to_vec()),
            "kms_rejected",
        ),
    ];
    for (attack, change, code) in rows {
        for environment in ENVIRONMENTS {
            let said = altered(&world, attack, environment, change, code);
            assert!(!said.to_string().contains("Own"), "{attack}: {said}");
        }
    }
}

#[test]
fn key_policies_that_cannot_be_recorded() {
    let mut world = World::start();
    let recording = world.changed_policy("recording.toml", "schema = 1", "schema = 1\nrecord_key_policies = true");
    world.up(&recording, &["--pin"]);
    let rows: [(&str, &str, Alter, &str); 6] = [
        ("an answer without a key policy", "GetKeyPolicy", |e| e.body = b"{}".to_vec(), "key_policy_unreadable"),
        (
            "a key policy longer than KMS takes",
            "GetKeyPolicy",
            |e| e.answer(|a| a["Policy"] = " ".repeat(32_769).into()),
            "key_policy_unreadable",
        ),
        (
            "a key policy of another name",
            "GetKeyPolicy",
            |e| e.answer(|a| a["PolicyName"] = "other".into()),
            "key_policy_unreadable",
        ),
        (
            "the description of another key",
            "DescribeKey",
            |e| e.answer(|a| a["KeyMetadata"]["Arn"] = arn("signer-dev").replace("de3", "de4").into()),
            "wrong_key",
        ),
        (
            "a description without the origin",
            "DescribeKey",
            |e| e.answer(|a| a["KeyMetadata"]["Origin"] = Value::Null),
            "key_description_unreadable",
        ),
        (
            "a key policy that may not be read",
            "GetKeyPolicy",
            |e| (e.status, e.body) = ("400 Bad Request".into(), br#"{"__type":"AccessDeniedException"}"#.to_vec()),
            "key_policy_denied",
        ),
    ];
    for (attack, operation, change, code) in rows {
        for environment in ENVIRONMENTS {
            let alter = move |exchange: &mut Exchange| {
                if exchange.operation == operation {
                    change(exchange);
                }
            };
            altered(&world, attack, environment, alter, code);
        }
    }
    drop(cheat(&world, GOOD, |_| ()));
    packs(&world, "unaltered", world.request("production"));
}
