//! Documents signed on real Nitro hardware, with the verdicts their collection states.

use packproof_receipt_verify::evidence::{AWS_NITRO_ROOT_G1, EvidenceError, verify_document};

fn vectors() -> Option<std::path::PathBuf> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/nitro");
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "the vectors of others are missing");
    None
}

/// Name, verdict, and the region of valid ones.
const VERDICTS: &[(&str, Result<&str, &str>)] = &[
    ("anjuna-prod-2021", Ok("us-east-2")),
    ("anjuna-prod-2021-rsa-key", Ok("us-east-2")),
    ("qos-prod-2022-800-byte-key", Ok("us-east-1")),
    ("evervault-prod-2022-pcr8", Ok("us-east-1")),
    ("oyster-prod-2025-pcr16-empty-user-data", Ok("ap-south-1")),
    ("base-prod-2026-indefinite-map", Ok("us-east-1")),
    ("evervault-debug-2022", Err("debug_mode")),
    ("bad-eternis-signature", Err("cose_signature")),
    ("bad-oyster-untrusted-root", Err("chain_root_mismatch")),
    ("bad-vaportpm-nitrotpm", Err("wrong_document_kind")),
];

#[test]
fn agrees_with_the_stated_verdicts() {
    let Some(folder) = vectors() else { return };
    for (name, verdict) in VERDICTS {
        let bytes = std::fs::read(folder.join(format!("{name}.cbor"))).unwrap();
        match (verify_document(&bytes, AWS_NITRO_ROOT_G1), verdict) {
            (Ok(document), Ok(region)) => {
                assert_eq!(document.region.as_deref(), Some(*region), "{name}");
                assert!(document.notes.is_empty(), "{name}");
                assert_eq!(document.chain.len(), 5);
            }
            (Err(error), Err(code)) => assert_eq!(error.code(), *code, "{name}: {error}"),
            (found, _) => panic!("{name}: {found:?}"),
        }
    }
    let files = std::fs::read_dir(folder).unwrap();
    let documents = files.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|end| end == "cbor"));
    assert_eq!(documents.count(), VERDICTS.len(), "a vector without a verdict");
}

/// One flipped bit anywhere refuses the document, whatever it hits.
#[test]
fn refuses_every_flipped_bit() {
    let Some(folder) = vectors() else { return };
    let bytes = std::fs::read(folder.join("base-prod-2026-indefinite-map.cbor")).unwrap();
    for at in (0..bytes.len()).step_by(7) {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(verify_document(&changed, AWS_NITRO_ROOT_G1).is_err(), "byte {at}");
    }
}

#[test]
fn keeps_empty_and_absent_apart() {
    let Some(folder) = vectors() else { return };
    let bytes = std::fs::read(folder.join("oyster-prod-2025-pcr16-empty-user-data.cbor")).unwrap();
    let document = verify_document(&bytes, AWS_NITRO_ROOT_G1).unwrap();
    assert_eq!((document.user_data.as_deref(), document.nonce), (Some(&[][..]), None));
    assert_eq!(document.pcrs.len(), 17);
}

#[test]
fn refuses_real_documents_under_another_root() {
    let Some(folder) = vectors() else { return };
    let bytes = std::fs::read(folder.join("base-prod-2026-indefinite-map.cbor")).unwrap();
    let error = verify_document(&bytes, b"another root").unwrap_err();
    assert!(matches!(error, EvidenceError::ChainRootMismatch { .. }));
    assert_eq!(error.check(), 16);
}
