//! Attested calls: what the enclave gets, and every way not to get it.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests, which state what they expect by panicking"
)]

mod common;
#[path = "common/enclave.rs"]
mod enclave;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeySize, PrivateDecryptingKey};
use aws_sdk_kms::Client;
use aws_sdk_kms::operation::decrypt::DecryptOutput;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{DataKeySpec, KeyEncryptionMechanism, RecipientInfo};
use common::{AUTHOR, CI, Server, code, now, start};
use enclave::{Enclave, recipient};
use packproof_local_kms::Faults;
use packproof_local_nsm::Pki;
use packproof_nsm::Nsm;
use packproof_secret::Secret;
use serde_json::{Value, json};
use tempfile::TempDir;

const ARN: &str = "arn:aws:kms:eu-west-1:111122223333:key/11111111-2222-3333-4444-555555555555";
const MINUTE_MS: u64 = 60_000;

/// The shape of design section 8 for the image with PCR0 of 7: authors encrypt, the image decrypts and makes data keys.
fn policy() -> Value {
    let values = [(0, "07"), (1, "01"), (2, "02")]
        .map(|(index, byte)| (format!("kms:RecipientAttestation:PCR{index}"), json!(byte.repeat(48))));
    let all: serde_json::Map<String, Value> = values.iter().cloned().collect();
    let mut statements = vec![
        json!({ "Sid": "Authors", "Effect": "Allow", "Principal": { "AWS": AUTHOR }, "Action": "kms:Encrypt",
                "Resource": "*" }),
        json!({ "Sid": "Image", "Effect": "Allow", "Principal": { "AWS": CI },
                "Action": ["kms:Decrypt", "kms:GenerateDataKey"], "Resource": "*",
                "Condition": { "StringEqualsIgnoreCase": all } }),
        // The careless statement that is there in practice.
        json!({ "Sid": "Careless", "Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*" }),
    ];
    for (index, (key, value)) in values.into_iter().enumerate() {
        statements.push(json!({ "Sid": format!("NotPcr{index}"), "Effect": "Deny", "Principal": "*",
            "Action": ["kms:Decrypt", "kms:GenerateDataKey*"], "Resource": "*",
            "Condition": { "StringNotEqualsIgnoreCase": { key: value } } }));
    }
    json!({ "Version": "2012-10-17", "Statement": statements })
}

struct Setup {
    _dir: TempDir,
    pki: Pki,
    server: Server,
    ci: Client,
    blob: Blob,
}

async fn setup() -> Setup {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::in_memory(now()).unwrap();
    let server = start(dir.path(), pki.root_der()).await;
    server.kms.import_key(ARN, Secret::copy_from(&[3; 32]).unwrap(), &policy()).unwrap();
    let author = server.client(AUTHOR);
    let sent = author.encrypt().key_id(ARN).encryption_context("env", "prod").plaintext(Blob::new("hello"));
    let blob = sent.send().await.unwrap().ciphertext_blob.unwrap();
    let ci = server.client(CI);
    Setup { _dir: dir, pki, server, ci, blob }
}

impl Setup {
    fn enclave(&self) -> Enclave {
        Enclave::new(&self.pki, 7, now)
    }

    async fn decrypt(&self, document: Vec<u8>) -> Result<DecryptOutput, String> {
        let sent = self.ci.decrypt().key_id(ARN).ciphertext_blob(self.blob.clone()).encryption_context("env", "prod");
        match sent.recipient(recipient(document)).send().await {
            Ok(answer) => Ok(answer),
            failed => Err(code(failed)),
        }
    }
}

#[tokio::test]
async fn the_right_image_gets_it_for_its_key_only() {
    let setup = setup().await;
    let enclave = setup.enclave();
    let answer = setup.decrypt(enclave.document()).await.unwrap();
    // Absent on the wire: an empty text would be an empty blob here.
    assert!(answer.plaintext().is_none());
    assert_eq!(answer.key_id(), Some(ARN));
    assert_eq!(answer.key_material_id().unwrap().len(), 64);
    assert_eq!(enclave.open(answer.ciphertext_for_recipient().unwrap().as_ref()), b"hello");
    // As in AWS, a valid document may be used again.
    let document = enclave.document();
    assert!(setup.decrypt(document.clone()).await.is_ok() && setup.decrypt(document).await.is_ok());
}

#[tokio::test]
async fn generates_data_keys_for_the_enclave() {
    let setup = setup().await;
    let enclave = setup.enclave();
    let generate = || setup.ci.generate_data_key().key_id(ARN).key_spec(DataKeySpec::Aes256);
    let made = generate().recipient(recipient(enclave.document())).send().await.unwrap();
    assert!(made.plaintext().is_none());
    let envelope = made.ciphertext_for_recipient().unwrap().as_ref();
    assert_eq!(envelope.len(), 493);
    let data_key = enclave.open(envelope);
    assert_eq!(data_key.len(), 32);
    let again = setup.ci.decrypt().ciphertext_blob(made.ciphertext_blob().unwrap().clone());
    let again = again.recipient(recipient(enclave.document())).send().await.unwrap();
    assert_eq!(enclave.open(again.ciphertext_for_recipient().unwrap().as_ref()), data_key);
    assert_eq!(code(generate().send().await), "AccessDeniedException");
}

#[tokio::test]
async fn generates_random_bytes_for_the_enclave() {
    let setup = setup().await;
    let enclave = setup.enclave();
    let asked = || setup.ci.generate_random().number_of_bytes(40).recipient(recipient(enclave.document()));
    let random = asked().send().await.unwrap();
    assert!(random.plaintext().is_none());
    let opened = enclave.open(random.ciphertext_for_recipient().unwrap().as_ref());
    let again = asked().send().await.unwrap();
    assert!(opened.len() == 40 && opened != enclave.open(again.ciphertext_for_recipient().unwrap().as_ref()));
    let event = setup.server.events().pop().unwrap();
    assert_eq!((&event["eventName"], &event["resources"]), (&json!("GenerateRandom"), &json!([])));
    assert_eq!(event["additionalEventData"]["recipient"]["attestationDocumentEnclaveImageDigest"], "07".repeat(48));
}

#[tokio::test]
async fn nobody_else_gets_it() {
    let setup = setup().await;
    let other_image = Enclave::new(&setup.pki, 8, now);
    assert_eq!(setup.decrypt(other_image.document()).await.unwrap_err(), "AccessDeniedException");
    // Without a document, the careless statement notwithstanding.
    let plain = || setup.ci.decrypt().ciphertext_blob(setup.blob.clone()).encryption_context("env", "prod");
    assert_eq!(code(plain().send().await), "AccessDeniedException");
    // The right image, another encryption context: allowed to ask, but it is another ciphertext.
    let other_context = setup.ci.decrypt().ciphertext_blob(setup.blob.clone());
    let other_context = other_context.recipient(recipient(setup.enclave().document())).send().await;
    assert_eq!(code(other_context), "InvalidCiphertextException");

    let denied: Vec<Value> = setup.server.events().split_off(1);
    let statements: Vec<&Value> =
        denied.iter().map(|event| &event["additionalEventData"]["keyPolicyStatement"]).collect();
    assert_eq!(statements, [&json!("NotPcr0"), &json!("NotPcr0"), &json!("Image")]);
    assert!(denied.iter().all(|event| event["additionalEventData"].get("recipient").is_none()));
}

#[tokio::test]
async fn documents_that_do_not_verify_are_validation_errors() {
    let setup = setup().await;
    let enclave = setup.enclave();
    let good = enclave.document();

    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let mut trailing = good.clone();
    trailing.push(0);
    let foreign = Enclave::new(&Pki::in_memory(now()).unwrap(), 7, now);
    let old = Enclave::new(&setup.pki, 7, || now().saturating_sub_millis(6 * MINUTE_MS));
    let early = Enclave::new(&setup.pki, 7, || now().saturating_add_millis(6 * MINUTE_MS));
    let debug = Enclave::new(&setup.pki, 0, now);
    let rsa_3072: Vec<u8> = {
        let key = PrivateDecryptingKey::generate(KeySize::Rsa3072).unwrap();
        let der: PublicKeyX509Der<'_> = key.public_key().as_der().unwrap();
        der.as_ref().to_vec()
    };
    for (name, document) in [
        ("a flipped bit", flipped),
        ("a trailing byte", trailing),
        ("half of it", good[..good.len() / 2].to_vec()),
        ("random bytes", vec![0x5a; 4500]),
        ("another root", foreign.document()),
        ("six minutes old", old.document()),
        ("six minutes early", early.document()),
        ("debug mode", debug.document()),
        ("no public key", enclave.document_for(None)),
        ("RSA-3072", enclave.document_for(Some(&rsa_3072))),
        ("no RSA key", enclave.document_for(Some(b"key"))),
    ] {
        assert_eq!(setup.decrypt(document).await.unwrap_err(), "ValidationException", "{name}");
    }
    assert!(setup.decrypt(good).await.is_ok());

    // A verified document is required even where the policy has no condition on it.
    setup
        .server
        .kms
        .put_key_policy(
            ARN,
            &json!({ "Statement":
        { "Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*" } }),
        )
        .unwrap();
    assert_eq!(setup.decrypt(foreign.document()).await.unwrap_err(), "ValidationException");
    assert!(setup.decrypt(Enclave::new(&setup.pki, 9, now).document()).await.is_ok());
}

#[tokio::test]
async fn a_recipient_is_whole_or_refused() {
    let setup = setup().await;
    let document = Blob::new(setup.enclave().document());
    let algorithm = KeyEncryptionMechanism::RsaesOaepSha256;
    for half in [
        RecipientInfo::builder().build(),
        RecipientInfo::builder().attestation_document(document.clone()).build(),
        RecipientInfo::builder().key_encryption_algorithm(algorithm).build(),
        RecipientInfo::builder()
            .key_encryption_algorithm("RSAES_OAEP_SHA_1".into())
            .attestation_document(document)
            .build(),
    ] {
        let sent = setup.ci.decrypt().ciphertext_blob(setup.blob.clone()).encryption_context("env", "prod");
        assert_eq!(code(sent.recipient(half.clone()).send().await), "ValidationException", "{half:?}");
    }
}

#[tokio::test]
async fn the_log_shows_the_enclave() {
    let setup = setup().await;
    let enclave = setup.enclave();
    setup.decrypt(enclave.document()).await.unwrap();
    let event = setup.server.events().pop().unwrap();
    let recipient = &event["additionalEventData"]["recipient"];
    assert_eq!(recipient["attestationDocumentModuleId"], enclave.nsm.module_id());
    assert_eq!(recipient["attestationDocumentEnclaveImageDigest"], "07".repeat(48));
    assert_eq!(recipient["attestationDocumentEnclavePCR1"], "01".repeat(48));
    assert_eq!(recipient["attestationDocumentEnclavePCR2"], "02".repeat(48));
    assert_eq!(recipient["attestationDocumentEnclavePCR4"], hex::encode(enclave.nsm.pcr(4).unwrap()));
    assert!(!event.to_string().contains("hello") && !event.to_string().contains("aGVsbG8"));
}

#[tokio::test]
async fn misbehaves_on_request() {
    let setup = setup().await;
    let enclave = setup.enclave();
    setup.server.kms.set_faults(Faults { answer_with_plaintext: true, ..Faults::default() });
    let answer = setup.decrypt(enclave.document()).await.unwrap();
    assert_eq!(answer.plaintext().unwrap().as_ref(), b"hello");
    assert!(answer.ciphertext_for_recipient().is_none());
    let other = ARN.replace("1111-2222", "0000-2222");
    setup.server.kms.set_faults(Faults { answer_for_other_key: Some(other.clone()), ..Faults::default() });
    let answer = setup.decrypt(enclave.document()).await.unwrap();
    assert_eq!(answer.key_id(), Some(other.as_str()));
    assert!(answer.ciphertext_for_recipient().is_some());
}

#[tokio::test]
async fn damages_ciphertexts_and_answers_stale_on_request() {
    let setup = setup().await;
    let enclave = setup.enclave();
    let envelope = |answer: DecryptOutput| answer.ciphertext_for_recipient.unwrap().into_inner();
    let first = envelope(setup.decrypt(enclave.document()).await.unwrap());

    setup.server.kms.set_faults(Faults { cut_recipient_bytes: 3, ..Faults::default() });
    assert_eq!(envelope(setup.decrypt(enclave.document()).await.unwrap()).len(), first.len() - 3);
    // The first byte of AWS's message is that of a SEQUENCE.
    setup.server.kms.set_faults(Faults { flip_recipient_byte: Some(0), ..Faults::default() });
    assert_eq!(envelope(setup.decrypt(enclave.document()).await.unwrap())[0], first[0] ^ 1);

    setup.server.kms.set_faults(Faults::default());
    let last = envelope(setup.decrypt(enclave.document()).await.unwrap());
    assert_ne!(last, first, "another content key each time");
    setup.server.kms.set_faults(Faults { answer_stale: true, ..Faults::default() });
    let next = Enclave::new(&setup.pki, 7, now);
    for _ in 0..2 {
        let stale = envelope(setup.decrypt(next.document()).await.unwrap());
        assert!(stale == last && enclave.open(&stale) == b"hello", "for the key of the call before");
    }
    // It is no way around the policy.
    let other = Enclave::new(&setup.pki, 8, now);
    assert_eq!(setup.decrypt(other.document()).await.unwrap_err(), "AccessDeniedException");
}
