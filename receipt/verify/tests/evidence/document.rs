//! Container and payload: checks 1 to 13.

use packproof_local_nsm::forge::{Item, Plan};
use packproof_receipt::time::UnixMillis;
use packproof_receipt_verify::evidence::{EvidenceError, verify_document};

use crate::{NOW, ORDER, expect_check, refused, refused_envelope, refused_payload, set, verdict};

#[test]
fn check_1_sizes() {
    let error = refused_envelope(1, |envelope| envelope.suffix = vec![0; 16_384]);
    assert_eq!(error.code(), "document_too_long");
    let error = refused_envelope(1, |envelope| envelope.payload.clear());
    assert_eq!(error.code(), "payload_length");
}

#[test]
fn check_2_shape() {
    assert_eq!(refused_envelope(2, |envelope| envelope.prefix = vec![0xd1]).code(), "cose_not_sign1");
    assert_eq!(refused_envelope(2, |envelope| envelope.prefix = vec![0xd2, 0xd2]).code(), "cose_not_sign1");
    assert_eq!(refused_envelope(2, |envelope| envelope.suffix = vec![0]).code(), "cose_malformed");
}

#[test]
fn check_3_protected_header() {
    for header in [&[][..], &[0xa1, 0x01, 0x26], &[0xa1, 0x01, 0x65, b'E', b'S', b'3', b'8', b'4']] {
        let mut draft = Plan::new(NOW).unwrap().draft().unwrap();
        draft.protected = header.to_vec();
        let error = expect_check(3, verify_document(&draft.sign().unwrap().encode(), &draft.root_der));
        assert_eq!(error.code(), "cose_protected_header");
    }
}

#[test]
fn check_4_unprotected_header() {
    let error = refused_envelope(4, |envelope| {
        envelope.unprotected = Item::Map(vec![(Item::Uint(4), Item::Bytes(vec![1]))]);
    });
    assert_eq!(error.code(), "cose_unprotected_header");
}

#[test]
fn check_5_signature_form() {
    for length in [0, 95, 97] {
        let error = refused_envelope(5, |envelope| envelope.signature.resize(length, 1));
        assert_eq!(error.code(), "cose_signature_length");
    }
}

#[test]
fn check_5_signature_range() {
    let with = |r: &[u8], s: &[u8]| {
        let signature = [r, s].concat();
        refused_envelope(22, |envelope| envelope.signature = signature)
    };
    let one = [&[0; 47][..], &[1]].concat();
    for (r, s) in [(&[0; 48][..], &one[..]), (&one, &[0; 48]), (&ORDER, &one), (&one, &ORDER), (&[0xff; 48], &one)] {
        assert_eq!(with(r, s), EvidenceError::CoseSignature);
    }
}

#[test]
fn check_6_signature_covers_header_and_payload_as_received() {
    // The same content in another encoding: the map's length is definite now.
    let error = refused_envelope(22, |envelope| {
        envelope.payload.pop();
        envelope.payload.splice(..1, [0xa9]);
    });
    assert_eq!(error, EvidenceError::CoseSignature);
    let draft = Plan::new(NOW).unwrap().draft().unwrap();
    let other_context = draft.sign_in_context("Signature").unwrap();
    assert_eq!(verify_document(&other_context.encode(), &draft.root_der).unwrap_err(), EvidenceError::CoseSignature);
}

// --- payload: checks 7 to 13

#[test]
fn check_7_syntax() {
    let error = refused_payload(7, |payload| payload.entries.push(("nonce".into(), Item::Null)));
    assert_eq!(error.code(), "payload_duplicate_key");
    let error = refused_payload(7, |payload| set(payload, "user_data", Item::Raw(vec![0x5f, 0x41, 0x00, 0xff])));
    assert_eq!(error.code(), "payload_malformed");
    let twice = vec![(Item::Uint(0), Item::Bytes(vec![1; 48])); 2];
    assert_eq!(refused_payload(7, |payload| set(payload, "pcrs", Item::Map(twice))).code(), "pcr_duplicate");
}

#[test]
fn check_8_mandatory_keys() {
    for key in ["module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle"] {
        let error = refused_payload(8, |payload| payload.entries.retain(|(name, _)| name != key));
        assert_eq!(error.code(), "payload_missing_field");
    }
}

#[test]
fn check_9_digest() {
    assert_eq!(refused_payload(9, |payload| set(payload, "digest", Item::text("SHA256"))).code(), "digest_not_sha384");
    let short = Item::Map(vec![(Item::Uint(0), Item::Bytes(vec![1; 32]))]);
    assert_eq!(refused_payload(9, |payload| set(payload, "pcrs", short)).code(), "pcr_length");
}

#[test]
fn check_10_registers() {
    for missing in 0..3 {
        let error = refused_payload(10, |payload| {
            let kept = (0..16).filter(|index| *index != missing);
            let kept = kept.map(|index| (Item::Uint(index), Item::Bytes(vec![1; 48]))).collect();
            set(payload, "pcrs", Item::Map(kept));
        });
        assert_eq!(error.code(), "pcr_missing");
    }
}

#[test]
fn check_11_lengths() {
    let error = refused(11, |plan| plan.nonce = Some(vec![0; 1_025]));
    assert_eq!(error.code(), "field_length");
    assert!(verdict(|plan| plan.nonce = Some(vec![0; 1_024])).is_ok());
}

#[test]
fn check_12_timestamp() {
    let error = refused(12, |plan| plan.timestamp = UnixMillis(0));
    assert_eq!(error.code(), "timestamp_range");
}

#[test]
fn check_13_kind() {
    let error = refused(13, |plan| plan.module_id = plan.module_id.replace("-enc", "-tpm"));
    assert_eq!(error, EvidenceError::WrongDocumentKind);
    let error = refused_payload(13, |payload| payload.entries.push(("nitrotpm_pcrs".into(), Item::Map(vec![]))));
    assert_eq!(error.code(), "wrong_document_kind");
}
