//! The checklist, check by check: each test breaks exactly one thing in a valid document and names the refusal.
//!
//! The documents come from the mock NSM's forge, which shares no code with the verifier but the time type.

#![expect(clippy::unwrap_used, reason = "tests state what they expect by panicking")]

use packproof_local_nsm::forge::{CertificateSpec, Envelope, Item, Payload, Plan};
use packproof_receipt::time::UnixMillis;
use packproof_receipt_verify::evidence::{EvidenceError, Note, Position, VerifiedDocument, verify_document};
use proptest::prelude::*;

mod chain;
mod document;

/// 2026-11-23T18:40:09.112Z.
const NOW: UnixMillis = UnixMillis(1_795_459_209_112);
const ROOT: usize = 0;
const REGIONAL: usize = 1;
const ZONAL: usize = 2;
const INSTANCE: usize = 3;
const LEAF: usize = 4;

fn verdict(edit: impl FnOnce(&mut Plan)) -> Result<VerifiedDocument, EvidenceError> {
    let mut plan = Plan::new(NOW).unwrap();
    edit(&mut plan);
    let (document, root) = plan.document().unwrap();
    verify_document(&document, &root)
}

/// The refusal after a change before anything is signed.
#[track_caller]
fn refused(check: u8, edit: impl FnOnce(&mut Plan)) -> EvidenceError {
    expect_check(check, verdict(edit))
}

/// The refusal after a change to the payload before it is signed.
#[track_caller]
fn refused_payload(check: u8, edit: impl FnOnce(&mut Payload)) -> EvidenceError {
    let mut draft = Plan::new(NOW).unwrap().draft().unwrap();
    edit(&mut draft.payload);
    expect_check(check, verify_document(&draft.sign().unwrap().encode(), &draft.root_der))
}

/// The refusal after a change to the signed document.
#[track_caller]
fn refused_envelope(check: u8, edit: impl FnOnce(&mut Envelope)) -> EvidenceError {
    let draft = Plan::new(NOW).unwrap().draft().unwrap();
    let mut envelope = draft.sign().unwrap();
    edit(&mut envelope);
    expect_check(check, verify_document(&envelope.encode(), &draft.root_der))
}

#[track_caller]
fn expect_check(check: u8, verdict: Result<VerifiedDocument, EvidenceError>) -> EvidenceError {
    let error = verdict.unwrap_err();
    assert_eq!(error.check(), check, "{error}");
    assert!(!error.to_string().is_empty());
    error
}

fn set(payload: &mut Payload, key: &str, value: Item) {
    *payload.get_mut(key).unwrap() = value;
}

fn cabundle(payload: &mut Payload) -> &mut Vec<Item> {
    match payload.get_mut("cabundle") {
        Some(Item::Array(items)) => items,
        other => unreachable!("cabundle is {other:?}"),
    }
}

const PLACES: [(usize, Position); 5] = [
    (ROOT, Position::Root),
    (REGIONAL, Position::Intermediate(1)),
    (ZONAL, Position::Intermediate(2)),
    (INSTANCE, Position::Intermediate(3)),
    (LEAF, Position::Leaf),
];

/// The refusal after a change to one certificate before it is signed.
#[track_caller]
fn refused_certificate(check: u8, place: usize, edit: impl FnOnce(&mut CertificateSpec)) -> EvidenceError {
    refused(check, |plan| edit(plan.certificates.get_mut(place).unwrap()))
}

#[test]
fn accepts_a_document_as_the_module_makes_it() {
    let mut plan = Plan::new(NOW).unwrap();
    plan.user_data = Some(vec![1; 32]);
    plan.nonce = Some(Vec::new());
    let (bytes, root) = plan.document().unwrap();
    let document = verify_document(&bytes, &root).unwrap();
    assert_eq!(document.module_id, plan.module_id);
    assert_eq!(document.timestamp, NOW);
    assert_eq!(document.pcrs.get(&1), Some(&[0x11; 48]));
    assert_eq!(document.pcrs.len(), 16);
    assert_eq!((document.public_key, document.user_data, document.nonce), (None, Some(vec![1; 32]), Some(Vec::new())));
    assert_eq!(document.region.as_deref(), Some("local-1"));
    assert_eq!(document.chain.len(), 5);
    assert_eq!(document.leaf_not_after.0 - document.leaf_not_before.0, 10_803_000);
    assert!(document.notes.is_empty());
}

#[test]
fn accepts_tag_18_and_the_definite_map_of_older_documents() {
    let mut draft = Plan::new(NOW).unwrap().draft().unwrap();
    draft.payload.indefinite = false;
    let mut envelope = draft.sign().unwrap();
    assert!(verify_document(&envelope.encode(), &draft.root_der).is_ok());
    envelope.prefix = vec![0xd2];
    assert!(verify_document(&envelope.encode(), &draft.root_der).is_ok());
}

#[test]
fn notes_unknown_keys_and_other_chain_lengths() {
    let mut draft = Plan::new(NOW).unwrap().draft().unwrap();
    draft.payload.entries.push(("future".into(), Item::Null));
    let document = verify_document(&draft.sign().unwrap().encode(), &draft.root_der).unwrap();
    assert_eq!(document.notes, [Note::UnknownKey("future".into())]);
    let document = verdict(|plan| drop(plan.certificates.remove(ZONAL))).unwrap();
    assert_eq!(document.notes, [Note::CabundleLength(3)]);
}

/// ECDSA signatures are malleable, and real modules make high values of s: so a document's hash identifies nothing.
#[test]
fn accepts_both_signatures_of_a_pair_for_one_payload() {
    let draft = Plan::new(NOW).unwrap().draft().unwrap();
    let mut envelope = draft.sign().unwrap();
    let first = verify_document(&envelope.encode(), &draft.root_der).unwrap();
    let twin = subtract(&ORDER, envelope.signature.get(48..).unwrap());
    envelope.signature.splice(48.., twin);
    let second = verify_document(&envelope.encode(), &draft.root_der).unwrap();
    assert_eq!(first.payload_sha256, second.payload_sha256);
}

#[test]
fn check_22_key_of_the_leaf() {
    let other = Plan::new(NOW).unwrap().draft().unwrap().sign().unwrap().signature;
    assert_eq!(refused_envelope(22, |envelope| envelope.signature = other), EvidenceError::CoseSignature);
    // A point that is not on the curve.
    let error = refused_certificate(22, LEAF, |spec| spec.public_key_der = Some(p384_key(&[1; 96])));
    assert_eq!(error, EvidenceError::CoseSignature);
}

#[test]
fn check_24_debug_mode() {
    for index in 0..3 {
        let error = refused(24, |plan| {
            plan.pcrs.insert(index, [0; 48]);
        });
        assert_eq!(error, EvidenceError::DebugMode { index });
    }
    assert!(
        verdict(|plan| {
            plan.pcrs.insert(8, [0; 48]);
        })
        .is_ok()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Any one byte changed anywhere refuses the document, and nothing panics on the way.
    #[test]
    fn refuses_any_changed_byte(at in any::<prop::sample::Index>(), change in 1_u8..) {
        let (mut document, root) = fixed();
        let at = at.index(document.len());
        *document.get_mut(at).unwrap() ^= change;
        prop_assert!(verify_document(&document, &root).is_err());
    }

    #[test]
    fn never_panics_on_noise(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(verify_document(&noise, &noise).is_err());
    }
}

/// One document for all cases of a property.
fn fixed() -> (Vec<u8>, Vec<u8>) {
    static FIXED: std::sync::OnceLock<(Vec<u8>, Vec<u8>)> = std::sync::OnceLock::new();
    FIXED.get_or_init(|| Plan::new(NOW).unwrap().document().unwrap()).clone()
}

/// Order of P-384 (SEC 2, 2.5.1).
const ORDER: [u8; 48] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d, 0xdf, 0x58, 0x1a, 0x0d, 0xb2, 0x48, 0xb0,
    0xa7, 0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73,
];

/// Big-endian subtraction of numbers of the same length, the second smaller.
fn subtract(from: &[u8], number: &[u8]) -> Vec<u8> {
    let mut borrow = 0;
    let mut digits: Vec<u8> = from
        .iter()
        .zip(number)
        .rev()
        .map(|(left, right)| {
            let difference = i16::from(*left) - i16::from(*right) - borrow;
            borrow = i16::from(difference < 0);
            u8::try_from(difference + borrow * 256).unwrap()
        })
        .collect();
    digits.reverse();
    digits
}

/// SubjectPublicKeyInfo for P-384 with these coordinates.
fn p384_key(coordinates: &[u8; 96]) -> Vec<u8> {
    let head = [
        0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04,
        0x00, 0x22, 0x03, 0x62, 0x00, 0x04,
    ];
    [&head[..], coordinates].concat()
}
