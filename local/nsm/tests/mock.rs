//! The mock as its users see it: a module whose documents a strict verifier accepts, and a root in a folder.

#![expect(clippy::unwrap_used, reason = "tests state what they expect by panicking")]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use packproof_local_nsm::{LocalNsmError, MockNsm, Pki, ROOT_KEY_FILE, ROOT_PEM_FILE};
use packproof_nsm::{AttestationRequest, MAX_NONCE, MAX_PUBLIC_KEY, MAX_USER_DATA, Nsm, NsmError};
use packproof_receipt::document::UnverifiedDocument;
use packproof_receipt::time::UnixMillis;
use packproof_receipt_verify::evidence::{EvidenceError, VerifiedDocument, root_from_pem, verify_document};

/// 2026-11-23T18:40:09.112Z.
const NOW: UnixMillis = UnixMillis(1_795_459_209_112);
const MINUTE: u64 = 60_000;

type Registers = BTreeMap<u8, [u8; 48]>;

fn registers() -> Registers {
    BTreeMap::from([(0, [0x10; 48]), (1, [0x11; 48]), (2, [0x12; 48])])
}

fn mock(pki: &Pki) -> MockNsm {
    MockNsm::new(pki, registers(), Box::new(|| NOW), None).unwrap()
}

fn attest(nsm: &MockNsm, pki: &Pki, request: &AttestationRequest<'_>) -> VerifiedDocument {
    verify_document(&nsm.attest(request).unwrap(), pki.root_der()).unwrap()
}

#[test]
fn makes_documents_a_strict_verifier_accepts() {
    let pki = Pki::in_memory(NOW).unwrap();
    let nsm = mock(&pki);
    let document = attest(&nsm, &pki, &AttestationRequest::default());
    assert_eq!(document.module_id, nsm.module_id());
    assert_eq!(document.timestamp, NOW);
    assert_eq!((document.public_key, document.user_data, document.nonce), (None, None, None));
    assert_eq!(document.pcrs.len(), 16);
    for index in 0..16 {
        assert_eq!(document.pcrs.get(&index), Some(&nsm.pcr(index).unwrap()));
    }
    assert!(document.notes.is_empty());
    // The largest request still fits the limits of a document.
    let largest = AttestationRequest {
        user_data: Some(&[1; MAX_USER_DATA]),
        nonce: Some(&[2; MAX_NONCE]),
        public_key: Some(&[3; MAX_PUBLIC_KEY]),
    };
    let document = attest(&nsm, &pki, &largest);
    assert_eq!(document.public_key.as_deref(), largest.public_key);
    assert_eq!(document.user_data.as_deref(), largest.user_data);
    assert_eq!(document.nonce.as_deref(), largest.nonce);
}

/// The byte form of `base-prod-2026-indefinite-map`, from real hardware, up to the values.
#[test]
fn writes_the_byte_form_of_2026() {
    let pki = Pki::in_memory(NOW).unwrap();
    let bytes = mock(&pki).attest(&AttestationRequest::default()).unwrap();
    assert_eq!(hex::encode(bytes.get(..8).unwrap()), "8444a1013822a059");
    let document = UnverifiedDocument::parse(&bytes).unwrap();
    let payload = document.payload;
    assert_eq!((payload.first(), payload.last()), (Some(&0xbf), Some(&0xff)));
    assert!(payload.get(1..).unwrap().starts_with(b"\x69module_id\x78\x27i-0"));
    let find = |part: &[u8]| payload.windows(part.len()).position(|window| window == part).unwrap();
    let order = [
        find(b"\x69module_id\x78\x27"),
        find(b"\x66digest\x66SHA384"),
        find(b"\x69timestamp\x1b"),
        find(b"\x64pcrs\xb0\x00\x58\x30"),
        find(b"\x6bcertificate\x59"),
        find(b"\x68cabundle\x84\x59"),
        find(b"\x6apublic_key\xf6\x69user_data\xf6\x65nonce\xf6\xff"),
    ];
    assert!(order.is_sorted());
    assert_eq!(document.cabundle.first(), Some(&pki.root_der()));
}

#[test]
fn lists_higher_registers_when_they_are_given() {
    let pki = Pki::in_memory(NOW).unwrap();
    let mut pcrs = registers();
    pcrs.insert(16, [0x16; 48]);
    let nsm = MockNsm::new(&pki, pcrs, Box::new(|| NOW), None).unwrap();
    let document = attest(&nsm, &pki, &AttestationRequest::default());
    assert_eq!(document.pcrs.len(), 17);
    assert_eq!(nsm.pcr(16), Ok([0x16; 48]));
    assert_eq!(nsm.pcr(17), Err(NsmError::PcrNotLocked { index: 17 }));
    assert_eq!(nsm.pcr(32), Err(NsmError::PcrIndex { index: 32 }));
}

#[test]
fn refuses_registers_that_cannot_be_set() {
    let pki = Pki::in_memory(NOW).unwrap();
    let with = |edit: &dyn Fn(&mut Registers)| {
        let mut pcrs = registers();
        edit(&mut pcrs);
        MockNsm::new(&pki, pcrs, Box::new(|| NOW), None).err()
    };
    let drop_one = |pcrs: &mut Registers| {
        pcrs.remove(&1);
    };
    assert_eq!(with(&drop_one), Some(LocalNsmError::PcrMissing { index: 1 }));
    for index in [4, 32] {
        let add_one = |pcrs: &mut Registers| {
            pcrs.insert(index, [1; 48]);
        };
        assert_eq!(with(&add_one), Some(LocalNsmError::PcrNotSettable { index }));
    }
}

#[test]
fn keeps_the_limits_of_the_real_module() {
    let pki = Pki::in_memory(NOW).unwrap();
    let request = AttestationRequest { user_data: Some(&[0; MAX_USER_DATA + 1]), ..AttestationRequest::default() };
    assert_eq!(mock(&pki).attest(&request), Err(NsmError::UserDataTooLong { length: MAX_USER_DATA + 1 }));
}

#[test]
fn makes_debug_documents_of_zero_registers() {
    let pki = Pki::in_memory(NOW).unwrap();
    let pcrs = BTreeMap::from([(0, [0; 48]), (1, [0; 48]), (2, [0; 48])]);
    let nsm = MockNsm::new(&pki, pcrs, Box::new(|| NOW), None).unwrap();
    let document = nsm.attest(&AttestationRequest::default()).unwrap();
    assert_eq!(verify_document(&document, pki.root_der()).unwrap_err(), EvidenceError::DebugMode { index: 0 });
}

#[test]
fn renews_leaf_and_authorities_before_they_end() {
    let pki = Pki::in_memory(NOW).unwrap();
    let time = Arc::new(AtomicU64::new(NOW.0));
    let clock = Arc::clone(&time);
    let clock = Box::new(move || UnixMillis(clock.load(Ordering::Relaxed)));
    let nsm = MockNsm::new(&pki, registers(), clock, None).unwrap();
    let at = |millis: u64| {
        time.store(millis, Ordering::Relaxed);
        attest(&nsm, &pki, &AttestationRequest::default())
    };
    let first = at(NOW.0);
    assert_eq!(at(NOW.0 + 174 * MINUTE).leaf_not_before, first.leaf_not_before);
    let renewed = at(NOW.0 + 176 * MINUTE);
    assert!(renewed.leaf_not_before > first.leaf_not_before);
    assert_eq!(renewed.module_id, first.module_id);
    // Days later, and after the clock was set back.
    at(NOW.0 + 30 * 24 * 60 * MINUTE);
    at(NOW.0 + MINUTE);
}

#[test]
fn waits_as_long_as_it_was_told() {
    let pki = Pki::in_memory(NOW).unwrap();
    let latency = Duration::from_millis(30);
    let nsm = MockNsm::new(&pki, registers(), Box::new(|| NOW), Some(latency)).unwrap();
    let started = Instant::now();
    nsm.attest(&AttestationRequest::default()).unwrap();
    assert!(started.elapsed() >= latency);
}

#[test]
fn fills_with_randomness() {
    let pki = Pki::in_memory(NOW).unwrap();
    let (mut first, mut second) = ([0; 600], [0; 600]);
    mock(&pki).random(&mut first).unwrap();
    mock(&pki).random(&mut second).unwrap();
    assert_ne!(first, second);
    assert!(first.windows(32).all(|window| window != [0; 32]));
}

#[test]
fn two_mocks_are_two_enclaves() {
    let pki = Pki::in_memory(NOW).unwrap();
    assert_ne!(mock(&pki).module_id(), mock(&pki).module_id());
}

#[test]
fn keeps_its_root_in_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("pki");
    let created = Pki::create(&dir, NOW).unwrap();
    let loaded = Pki::load(&dir).unwrap();
    assert_eq!(loaded.root_der(), created.root_der());
    let pem = std::fs::read_to_string(dir.join(ROOT_PEM_FILE)).unwrap();
    assert_eq!(pem, loaded.root_pem());
    assert_eq!(root_from_pem(&pem).unwrap(), loaded.root_der());
    let mode = std::fs::metadata(dir.join(ROOT_KEY_FILE)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Documents made after a restart verify under the root of before.
    attest(&mock(&loaded), &created, &AttestationRequest::default());
    let again = Pki::create(&dir, NOW).err().unwrap();
    assert_eq!(again, LocalNsmError::RootExists { path: dir.join(ROOT_KEY_FILE) });
}

#[test]
fn refuses_a_folder_that_is_incomplete_or_mixed() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert_eq!(Pki::load(first.path()).err().unwrap().code(), "local_nsm_io");
    Pki::create(first.path(), NOW).unwrap();
    Pki::create(second.path(), NOW).unwrap();
    std::fs::copy(first.path().join(ROOT_PEM_FILE), second.path().join(ROOT_PEM_FILE)).unwrap();
    let mixed = LocalNsmError::RootUnusable { reason: "root.pem is not the certificate of root.key" };
    assert_eq!(Pki::load(second.path()).err(), Some(mixed));
    std::fs::write(first.path().join(ROOT_KEY_FILE), b"no key").unwrap();
    assert_eq!(Pki::load(first.path()).err().unwrap().code(), "local_nsm_root_unusable");
    std::fs::remove_file(first.path().join(ROOT_PEM_FILE)).unwrap();
    assert_eq!(Pki::load(first.path()).err().unwrap().code(), "local_nsm_root_unusable");
}
