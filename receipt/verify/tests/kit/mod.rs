//! Makes receipts as the enclave does, with a mock module, and lets a test change any one thing on the way.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test code, shared by several programs, none of which uses all of it"
)]

pub mod birth;
mod statement;

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use packproof_local_nsm::{MockNsm, Pki};
use packproof_nsm::{AttestationRequest, Nsm};
use packproof_receipt::{
    binding::DocumentTag,
    bundle,
    measure::{Measurements, policy_ramdisk},
    statement::{
        DOCUMENT_MEDIA_TYPE, EVIDENCE_ATTRIBUTE, EVIDENCE_PREDICATE, EVIDENCE_SUBJECT, EvidenceAttribute,
        EvidenceDocument, EvidencePredicate, PackPredicate, STATEMENT_TYPE, Statement, Subject,
    },
    time::UnixMillis,
};
use packproof_receipt_verify::{Expectations, Image, Root, Sections};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256, Sha384};

/// 2026-11-23T18:40:09.112Z, the module's time.
pub const NOW: UnixMillis = UnixMillis(1_795_459_209_112);
pub const KERNEL: &[u8] = b"a kernel";
pub const COMMAND_LINE: &[u8] = b"a command line";
pub const BOOT: &[u8] = b"a boot ramdisk";
pub const CHALLENGE: [u8; 32] = [7; 32];

pub const SOPS_ARN: &str = "arn:aws:kms:eu-west-1:111122223333:key/sops";
pub const ENVELOPE_ARN: &str = "arn:aws:kms:eu-west-1:111122223333:key/envelope";
pub const SIGNER_ARN: &str = "arn:aws:kms:eu-west-1:111122223333:key/signer";
pub const DEV_SIGNER_ARN: &str = "arn:aws:kms:eu-west-1:111122223333:key/dev-signer";
pub const DEV_AGE_ARN: &str = "arn:aws:kms:eu-west-1:111122223333:key/dev-age";
/// Made with `age-keygen`.
pub const DEV_CELL_RECIPIENT: &str = "age1csv9wymrtwe207sxuywl79ugy4e7qwtadh36djapu2ld70tes3ns7whxhg";
pub const DEV_RECIPIENT: &str = "age1qurswpc8qurswpc8qurswpc8qurswpc8qurswpc8qurswpc8qufqdc8pnr";
pub const REPOSITORY: &str = "https://git.acme.example/platform/secrets";
pub const SSH: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
/// The certificate is a SEQUENCE of zeros: nothing here speaks TLS.
pub const SIMULATED: &str = r#"simulated = { url = "https://localhost:8443", ca = "-----BEGIN CERTIFICATE-----\nMH4AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n-----END CERTIFICATE-----" }"#;

/// Which of the policy's two entries: KMS cells and a KMS envelope, or age cells and an age recipient.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    Production,
    Dev,
}

impl Entry {
    pub fn environment(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::Dev => "dev",
        }
    }
}

/// One local enclave with its policy and its release.
pub struct Kit {
    pub pki: Pki,
    pub policy: String,
    pub release: String,
    pub measured: Measurements,
    pub receipt_key: EcdsaKeyPair,
    pub signers: [Ed25519KeyPair; 2],
}

/// A receipt and its artifact.
#[derive(Clone)]
pub struct Made {
    pub receipt: Vec<u8>,
    pub artifact: Vec<u8>,
    pub document: Vec<u8>,
}

/// What the enclave asks of the module.
pub struct Request {
    pub user_data: Option<Vec<u8>>,
    pub nonce: Option<Vec<u8>>,
    pub public_key: Option<Vec<u8>>,
    pub now: UnixMillis,
    pub pcrs: BTreeMap<u8, [u8; 48]>,
}

impl Request {
    /// A request by this kit's image at [`NOW`], which hands in nothing yet.
    pub fn of(kit: &Kit) -> Self {
        let registers = [(0, kit.measured.pcr0), (1, kit.measured.pcr1), (2, kit.measured.pcr2)];
        Self { user_data: None, nonce: None, public_key: None, now: NOW, pcrs: registers.into() }
    }
}

/// A change at one place.
pub type Change<'a, T> = Option<Box<dyn Fn(&mut T) + 'a>>;

/// What a test changes, each at its place on the way. Everything after a place is computed from what it left there.
#[derive(Default)]
pub struct Tamper<'a> {
    /// The artifact's members, before it is signed.
    pub members: Change<'a, Map<String, Value>>,
    /// The artifact's bytes, before the statement names them.
    pub artifact: Change<'a, String>,
    /// The statement.
    pub statement: Change<'a, Statement<PackPredicate>>,
    /// The statement's bytes.
    pub statement_text: Change<'a, String>,
    /// The module's request.
    pub request: Change<'a, Request>,
    /// The evidence statement.
    pub evidence: Change<'a, Statement<EvidencePredicate>>,
    /// The evidence statement's bytes.
    pub evidence_text: Change<'a, String>,
    /// The receipt's two lines.
    pub lines: Change<'a, [String; 2]>,
}

impl<'a> Tamper<'a> {
    pub fn statement(change: impl Fn(&mut Statement<PackPredicate>) + 'a) -> Self {
        Self { statement: Some(Box::new(change)), ..Self::default() }
    }

    pub fn predicate(change: impl Fn(&mut PackPredicate) + 'a) -> Self {
        Self::statement(move |statement| change(&mut statement.predicate))
    }

    pub fn statement_text(change: impl Fn(&mut String) + 'a) -> Self {
        Self { statement_text: Some(Box::new(change)), ..Self::default() }
    }

    pub fn request(change: impl Fn(&mut Request) + 'a) -> Self {
        Self { request: Some(Box::new(change)), ..Self::default() }
    }

    pub fn evidence(change: impl Fn(&mut Statement<EvidencePredicate>) + 'a) -> Self {
        Self { evidence: Some(Box::new(change)), ..Self::default() }
    }

    pub fn evidence_text(change: impl Fn(&mut String) + 'a) -> Self {
        Self { evidence_text: Some(Box::new(change)), ..Self::default() }
    }

    pub fn lines(change: impl Fn(&mut [String; 2]) + 'a) -> Self {
        Self { lines: Some(Box::new(change)), ..Self::default() }
    }

    pub fn members(change: impl Fn(&mut Map<String, Value>) + 'a) -> Self {
        Self { members: Some(Box::new(change)), ..Self::default() }
    }
}

fn apply<T>(change: &Change<'_, T>, value: &mut T) {
    if let Some(change) = change {
        change(value);
    }
}

/// Replaces exactly one occurrence.
pub fn replace(text: &mut String, from: &str, to: &str) {
    assert_eq!(text.matches(from).count(), 1, "the test must change exactly one place: {from}");
    *text = text.replacen(from, to, 1);
}

impl Kit {
    /// A kit with a simulated policy.
    pub fn new() -> Self {
        Self::with_policy(|_| {})
    }

    /// The same with a change in the policy, which is measured as changed.
    pub fn with_policy(change: impl Fn(&mut String)) -> Self {
        let signers = [1, 2].map(|seed| Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap());
        let mut policy = policy(&signers);
        change(&mut policy);
        let measured = Measurements::of(KERNEL, COMMAND_LINE, BOOT, &policy_ramdisk(policy.as_bytes()));
        Self {
            pki: Pki::in_memory(NOW).unwrap(),
            release: release(&measured).to_string(),
            receipt_key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap(),
            policy,
            measured,
            signers,
        }
    }

    /// What an auditor who has everything expects of `made`.
    pub fn expectations<'a>(&'a self, made: &'a Made, entry: Entry) -> Expectations<'a> {
        Expectations {
            root: Root::Simulated { der: self.pki.root_der() },
            policy: self.policy.as_bytes(),
            image: Image {
                release: self.release.as_bytes(),
                sections: Some(Sections { kernel: KERNEL, command_line: COMMAND_LINE, boot_ramdisk: BOOT }),
            },
            identity: "checkout",
            environment: entry.environment(),
            artifact: &made.artifact,
            commit: None,
            challenge: None,
            repository: None,
            max_age: None,
            require: BTreeSet::new(),
        }
    }

    pub fn make(&self, entry: Entry) -> Made {
        self.make_with(entry, &Tamper::default())
    }

    pub fn make_with(&self, entry: Entry, tamper: &Tamper<'_>) -> Made {
        let mut members = members(entry);
        apply(&tamper.members, &mut members);
        let payload = payload(&members);
        if !members.contains_key("signature") {
            let signature = self.signer(entry).sign(payload.as_bytes());
            members.insert("signature".into(), BASE64_STANDARD.encode(signature).into());
            members.insert("signatureAlgorithm".into(), "Ed25519".into());
        }
        let mut artifact = serde_json::to_string_pretty(&members).unwrap();
        apply(&tamper.artifact, &mut artifact);

        let mut statement = statement::pack(self, entry, &members, &payload, &artifact);
        apply(&tamper.statement, &mut statement);
        let mut text = serde_json::to_string(&statement).unwrap();
        apply(&tamper.statement_text, &mut text);

        let digest: [u8; 32] = Sha256::digest(bundle::pae(bundle::PAYLOAD_TYPE, text.as_bytes())).into();
        let challenge = &statement.predicate.build_definition.external_parameters.challenge;
        let mut request = Request {
            user_data: Some(DocumentTag::Receipt.user_data(&digest).to_vec()),
            nonce: challenge.as_ref().and_then(|challenge| hex::decode(challenge).ok()),
            public_key: Some(spki(&self.receipt_key)),
            ..Request::of(self)
        };
        apply(&tamper.request, &mut request);
        let document = self.attest(&request);

        let mut evidence = evidence(&digest, &document);
        apply(&tamper.evidence, &mut evidence);
        let mut evidence = serde_json::to_string(&evidence).unwrap();
        apply(&tamper.evidence_text, &mut evidence);
        let mut lines = [text, evidence].map(|payload| self.line(&self.receipt_key, &payload));
        apply(&tamper.lines, &mut lines);
        Made { receipt: lines.concat().into_bytes(), artifact: artifact.into_bytes(), document }
    }

    /// One line of a receipt, signed by `key` and naming it.
    pub fn line(&self, key: &EcdsaKeyPair, payload: &str) -> String {
        let pae = bundle::pae(bundle::PAYLOAD_TYPE, payload.as_bytes());
        let signature = key.sign(&SystemRandom::new(), &pae).unwrap();
        bundle::line(payload.as_bytes(), signature.as_ref(), &spki(key))
    }

    pub fn attest(&self, request: &Request) -> Vec<u8> {
        let now = request.now;
        let nsm = MockNsm::new(&self.pki, request.pcrs.clone(), Box::new(move || now), None).unwrap();
        let request = AttestationRequest {
            user_data: request.user_data.as_deref(),
            nonce: request.nonce.as_deref(),
            public_key: request.public_key.as_deref(),
        };
        nsm.attest(&request).unwrap()
    }

    pub fn signer(&self, entry: Entry) -> &Ed25519KeyPair {
        match entry {
            Entry::Production => &self.signers[0],
            Entry::Dev => &self.signers[1],
        }
    }
}

pub fn spki(key: &EcdsaKeyPair) -> Vec<u8> {
    let der: PublicKeyX509Der<'_> = key.public_key().as_der().unwrap();
    der.as_ref().to_vec()
}

pub fn ed25519_spki(key: &Ed25519KeyPair) -> String {
    let prefix = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    BASE64_STANDARD.encode([&prefix[..], key.public_key().as_ref()].concat())
}

fn policy(signers: &[Ed25519KeyPair; 2]) -> String {
    let [production, dev] = signers;
    format!(
        r#"schema = 1
[source]
repository = "{REPOSITORY}"
object_format = "sha1"
manifest = "clef.yaml"
[[source.signer]]
name = "release"
principal = "release@acme.example"
ssh = "ssh-ed25519 {SSH} release"
[[source.signer]]
name = "nobody"
principal = "nobody@acme.example"
ssh = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB8eHRwbGhkYFxYVFBMSERAPDg0MCwoJCAcGBQQDAgEA"
[kms]
{SIMULATED}
[[pack]]
identity = "checkout"
environment = "production"
namespaces = ["stripe", "rds-orders"]
decrypt = [{{ kms = "{SOPS_ARN}", context = {{ app = "x" }} }}]
envelope = "{ENVELOPE_ARN}"
signer = {{ kms = "{SIGNER_ARN}", public_key = "{}" }}
signers = ["release"]
max_ttl_seconds = 86400
max_commit_age_seconds = 604800
[[pack]]
identity = "checkout"
environment = "dev"
namespaces = ["stripe", "rds-orders"]
unseal = {{ kms = "{DEV_AGE_ARN}", recipient = "{DEV_CELL_RECIPIENT}" }}
recipient = "{DEV_RECIPIENT}"
signer = {{ kms = "{DEV_SIGNER_ARN}", public_key = "{}" }}
signers = ["release"]
max_ttl_seconds = 3600
max_commit_age_seconds = 604800
missing_cells = "skip"
only_recipients = true
"#,
        ed25519_spki(production),
        ed25519_spki(dev)
    )
}

fn release(measured: &Measurements) -> Value {
    let section = |file: &str, bytes: &[u8]| json!({"file": file, "size": bytes.len(), "sha384": hex::encode(Sha384::digest(bytes))});
    json!({
        "schema": 1,
        "name": "test",
        "pcr1": hex::encode(measured.pcr1),
        "kernel": section("kernel", KERNEL),
        "command_line": section("cmdline", COMMAND_LINE),
        "boot_ramdisk": section("boot.cpio", BOOT),
    })
}

pub fn time(offset_ms: i64) -> String {
    UnixMillis(NOW.0.checked_add_signed(offset_ms).unwrap()).to_rfc3339()
}

/// The artifact's members in Clef's order, without the signature. Packed 200 ms before the document.
fn members(entry: Entry) -> Map<String, Value> {
    let ciphertext = BASE64_STANDARD.encode(b"not for the verifier to open");
    let (seconds, envelope) = match entry {
        Entry::Dev => (3_600, None),
        Entry::Production => (
            86_400,
            Some(json!({
                "provider": "aws",
                "keyId": ENVELOPE_ARN,
                "wrappedKey": BASE64_STANDARD.encode(b"wrapped"),
                "algorithm": "SYMMETRIC_DEFAULT",
                "iv": BASE64_STANDARD.encode([1; 12]),
                "authTag": BASE64_STANDARD.encode([2; 16]),
            })),
        ),
    };
    let mut members = Map::new();
    members.insert("version".into(), 1.into());
    members.insert("identity".into(), "checkout".into());
    members.insert("environment".into(), entry.environment().into());
    members.insert("packedAt".into(), time(-200).into());
    members.insert("revision".into(), "1795459208912-00c0ffee".into());
    members.insert("ciphertextHash".into(), hex::encode(Sha256::digest(&ciphertext)).into());
    members.insert("ciphertext".into(), ciphertext.into());
    if let Some(envelope) = envelope {
        members.insert("envelope".into(), envelope);
    }
    members.insert("expiresAt".into(), time(seconds * 1_000 - 200).into());
    members
}

/// Written from Clef's description, not with the code under test.
fn payload(members: &Map<String, Value>) -> String {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let of = |name: &str| text(members.get(name));
    let envelope = |name: &str| text(members.get("envelope").and_then(|envelope| envelope.get(name)));
    [
        "clef-sig-v3".to_owned(),
        "1".to_owned(),
        of("identity"),
        of("environment"),
        of("revision"),
        of("packedAt"),
        of("ciphertextHash"),
        of("expiresAt"),
        envelope("provider"),
        envelope("keyId"),
        envelope("wrappedKey"),
        envelope("algorithm"),
        envelope("iv"),
        envelope("authTag"),
    ]
    .join("\n")
}

fn evidence(digest: &[u8; 32], document: &[u8]) -> Statement<EvidencePredicate> {
    Statement {
        kind: STATEMENT_TYPE.into(),
        subject: vec![Subject {
            name: EVIDENCE_SUBJECT.into(),
            digest: BTreeMap::from([("sha256".to_owned(), hex::encode(digest))]),
        }],
        predicate_type: EVIDENCE_PREDICATE.into(),
        predicate: EvidencePredicate {
            attributes: vec![EvidenceAttribute {
                attribute: EVIDENCE_ATTRIBUTE.into(),
                evidence: EvidenceDocument {
                    name: "nitro-attestation-document".into(),
                    media_type: DOCUMENT_MEDIA_TYPE.into(),
                    content: BASE64_STANDARD.encode(document),
                },
            }],
        },
    }
}
