//! Nitro documents, syntax only: each test breaks one thing and names the refusal it expects.
//!
//! The documents are made byte by byte here and by other people's hardware, never by the code under test.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests state what they expect by panicking")]

use packproof_receipt::document::{
    DocumentError, MAX_CABUNDLE, MAX_CERTIFICATE_BYTES, MAX_DOCUMENT_BYTES, MAX_KEYS, MAX_OPTIONAL_BYTES,
    MAX_PAYLOAD_BYTES, UnverifiedDocument,
};
use packproof_receipt::time::UnixMillis;
use proptest::prelude::*;

/// Head of a CBOR item in its shortest form.
fn head(major: u8, value: usize) -> Vec<u8> {
    let major = major << 5;
    match u16::try_from(value).unwrap() {
        small @ 0..=23 => vec![major | small.to_be_bytes()[1]],
        byte @ 24..=0xff => vec![major | 24, byte.to_be_bytes()[1]],
        long => [vec![major | 25], long.to_be_bytes().to_vec()].concat(),
    }
}

fn text(value: &str) -> Vec<u8> {
    [head(3, value.len()), value.as_bytes().to_vec()].concat()
}

fn bytes(value: &[u8]) -> Vec<u8> {
    [head(2, value.len()), value.to_vec()].concat()
}

fn timestamp(millis: u64) -> Vec<u8> {
    [vec![0x1b], millis.to_be_bytes().to_vec()].concat()
}

fn pcr(index: u8, value: &[u8]) -> Vec<u8> {
    [head(0, usize::from(index)), bytes(value)].concat()
}

fn pcrs(indexes: impl IntoIterator<Item = u8>) -> Vec<u8> {
    let entries: Vec<_> = indexes.into_iter().map(|index| pcr(index, &[index; 48])).collect();
    [head(5, entries.len()), entries.concat()].concat()
}

fn array(items: &[Vec<u8>]) -> Vec<u8> {
    [head(4, items.len()), items.concat()].concat()
}

type Entries = Vec<(&'static str, Vec<u8>)>;

/// The nine fields in AWS's order.
fn entries() -> Entries {
    vec![
        ("module_id", text("i-0123456789abcdef0-enc0123456789abcdef")),
        ("digest", text("SHA384")),
        ("timestamp", timestamp(1_795_459_209_112)),
        ("pcrs", pcrs(0..16)),
        ("certificate", bytes(&[0x30; 640])),
        ("cabundle", array(&[bytes(&[1; 533]), bytes(&[2; 700]), bytes(&[3; 800]), bytes(&[4; 700])])),
        ("public_key", vec![0xf6]),
        ("user_data", bytes(&[0xaa; 32])),
        ("nonce", vec![0xf6]),
    ]
}

fn body(entries: &Entries) -> Vec<u8> {
    entries.iter().flat_map(|(key, value)| [text(key), value.clone()].concat()).collect()
}

fn payload(entries: &Entries) -> Vec<u8> {
    [head(5, entries.len()), body(entries)].concat()
}

const START: &[u8] = &[0x84, 0x44, 0xa1, 0x01, 0x38, 0x22, 0xa0];

fn document(payload: &[u8]) -> Vec<u8> {
    [START.to_vec(), bytes(payload), bytes(&[7; 96])].concat()
}

fn with(field: &str, value: Vec<u8>) -> Vec<u8> {
    let mut entries = entries();
    entries.iter_mut().find(|(key, _)| *key == field).unwrap().1 = value;
    document(&payload(&entries))
}

fn without(field: &str) -> Vec<u8> {
    let mut entries = entries();
    entries.retain(|(key, _)| *key != field);
    document(&payload(&entries))
}

fn plus(field: &'static str, value: Vec<u8>) -> Vec<u8> {
    let mut entries = entries();
    entries.push((field, value));
    document(&payload(&entries))
}

#[track_caller]
fn refused(document: &[u8]) -> DocumentError {
    match UnverifiedDocument::parse(document) {
        Ok(_) => panic!("the document was accepted"),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            error
        }
    }
}

#[test]
fn reads_every_field() {
    let document = document(&payload(&entries()));
    let parsed = UnverifiedDocument::parse(&document).unwrap();
    assert_eq!(parsed.module_id, "i-0123456789abcdef0-enc0123456789abcdef");
    assert_eq!(parsed.timestamp, UnixMillis(1_795_459_209_112));
    assert_eq!(parsed.pcrs.len(), 16);
    assert_eq!(parsed.pcrs[&4], [4; 48]);
    assert_eq!(parsed.certificate, [0x30; 640]);
    assert_eq!(parsed.cabundle.iter().map(|der| der.len()).collect::<Vec<_>>(), [533, 700, 800, 700]);
    assert_eq!((parsed.public_key, parsed.user_data, parsed.nonce), (None, Some(&[0xaa; 32][..]), None));
    assert_eq!(parsed.protected, [0xa1, 0x01, 0x38, 0x22]);
    assert_eq!(parsed.signature, &[7; 96]);
    assert_eq!(parsed.payload, payload(&entries()));
    assert!(parsed.unknown_keys().is_empty());
}

#[test]
fn accepts_tag_18_and_no_other() {
    let plain = document(&payload(&entries()));
    assert!(UnverifiedDocument::parse(&[vec![0xd2], plain.clone()].concat()).is_ok());
    for tags in [vec![0xd1], vec![0xd2, 0xd2], vec![0xd8, 0x12], vec![0xd9, 0xd9, 0xf7]] {
        assert_eq!(refused(&[tags, plain.clone()].concat()), DocumentError::NotSign1);
    }
}

#[test]
fn accepts_the_payload_map_of_2026() {
    let indefinite = [vec![0xbf], body(&entries()), vec![0xff]].concat();
    assert!(UnverifiedDocument::parse(&document(&indefinite)).is_ok());
    let unfinished = [vec![0xbf], body(&entries())].concat();
    assert_eq!(refused(&document(&unfinished)).code(), "payload_malformed");
    let early = [vec![0xbf, 0xff], body(&entries())].concat();
    assert_eq!(refused(&document(&early)).code(), "payload_malformed");
}

#[test]
fn refuses_other_indefinite_lengths() {
    let mut pcrs = pcrs(0..3);
    pcrs[0] = 0xbf;
    pcrs.push(0xff);
    assert_eq!(refused(&with("pcrs", pcrs)).code(), "payload_malformed");
    let bundle = [vec![0x9f], bytes(&[1; 8]), vec![0xff]].concat();
    assert_eq!(refused(&with("cabundle", bundle)).code(), "payload_malformed");
    let string = [vec![0x5f], bytes(&[1; 8]), vec![0xff]].concat();
    assert_eq!(refused(&with("user_data", string)).code(), "payload_malformed");
    let mut outer = document(&payload(&entries()));
    outer[0] = 0x9f;
    outer.push(0xff);
    assert_eq!(refused(&outer), DocumentError::NotSign1);
}

#[test]
fn refuses_a_document_over_the_limit() {
    let at_limit = vec![0x84; MAX_DOCUMENT_BYTES];
    assert_ne!(refused(&at_limit), DocumentError::TooLong { length: MAX_DOCUMENT_BYTES });
    let over = vec![0x84; MAX_DOCUMENT_BYTES + 1];
    assert_eq!(refused(&over), DocumentError::TooLong { length: MAX_DOCUMENT_BYTES + 1 });
}

#[test]
fn bounds_the_payload() {
    assert_eq!(refused(&document(&[])), DocumentError::PayloadLength { length: 0 });
    // One byte more than the limit still fits the document under a shorter signature.
    let long = [START.to_vec(), bytes(&vec![0; MAX_PAYLOAD_BYTES + 1]), bytes(&[7; 64])].concat();
    assert_eq!(refused(&long), DocumentError::PayloadLength { length: MAX_PAYLOAD_BYTES + 1 });
    let longest = document(&vec![0; MAX_PAYLOAD_BYTES]);
    assert_eq!(refused(&longest).code(), "payload_malformed");
}

#[test]
fn refuses_another_outer_shape() {
    let document = document(&payload(&entries()));
    for first in [0x83, 0x85, 0xa2, 0x40, 0x98] {
        let mut other = document.clone();
        other[0] = first;
        assert_eq!(refused(&other), DocumentError::NotSign1);
    }
    assert_eq!(refused(&[]), DocumentError::NotSign1);
    let trailing = [document.clone(), vec![0]].concat();
    assert_eq!(refused(&trailing).code(), "cose_malformed");
    assert_eq!(refused(&document[..document.len() - 1]).code(), "cose_malformed");
    let null_payload = [START.to_vec(), vec![0xf6], bytes(&[7; 96])].concat();
    assert_eq!(refused(&null_payload).code(), "cose_malformed");
}

#[test]
fn refuses_another_protected_header() {
    let rest = [bytes(&payload(&entries())), bytes(&[7; 96])].concat();
    for header in [
        &[][..],                                           // empty
        &[0xa0],                                           // no alg
        &[0xa1, 0x01, 0x26],                               // ES256
        &[0xa1, 0x01, 0x38, 0x23],                         // ES512
        &[0xa1, 0x01, 0x65, b'E', b'S', b'3', b'8', b'4'], // the name
        &[0xa1, 0x01, 0x39, 0x00, 0x22],                   // -35, not shortest
        &[0xa2, 0x01, 0x38, 0x22, 0x02, 0x81, 0x01],       // crit
        &[0xa2, 0x01, 0x38, 0x22, 0x01, 0x38, 0x22],       // twice
        &[0xa1, 0x01, 0x38, 0x22, 0x00],                   // trailing
        &[0xbf, 0x01, 0x38, 0x22, 0xff],                   // indefinite
    ] {
        let document = [vec![0x84], bytes(header), vec![0xa0], rest.clone()].concat();
        assert_eq!(refused(&document).code(), "cose_protected_header", "{header:x?}");
    }
}

#[test]
fn refuses_an_unprotected_header_with_content() {
    let rest = [bytes(&payload(&entries())), bytes(&[7; 96])].concat();
    for header in [&[0xa1, 0x04, 0x41, 0x00][..], &[0xbf, 0xff], &[0xb8, 0x00], &[0xf6]] {
        let document = [START[..6].to_vec(), header.to_vec(), rest.clone()].concat();
        assert_eq!(refused(&document), DocumentError::UnprotectedHeader);
    }
}

#[test]
fn refuses_another_signature_length() {
    for length in [0, 64, 95, 97, 104] {
        let document = [START.to_vec(), bytes(&payload(&entries())), bytes(&vec![7; length])].concat();
        assert_eq!(refused(&document), DocumentError::SignatureLength { length });
    }
}

#[test]
fn refuses_bytes_after_the_payload_map() {
    let trailing = [payload(&entries()), vec![0]].concat();
    assert_eq!(refused(&document(&trailing)).code(), "payload_malformed");
}

#[test]
fn refuses_tags_floats_and_other_types_in_fields() {
    for (field, value) in [
        ("module_id", bytes(b"i-0123456789abcdef0-enc0123456789abcdef")),
        ("timestamp", vec![0xfb, 0x42, 0x79, 0, 0, 0, 0, 0, 0]),
        ("timestamp", [vec![0xc1], timestamp(1_795_459_209_112)].concat()),
        ("timestamp", vec![0x3a, 0x7f, 0xff, 0xff, 0xff]),
        ("timestamp", vec![0x1b, 0, 0, 0, 0, 0, 0, 0, 5]),
        ("pcrs", array(&[bytes(&[0; 48])])),
        ("certificate", text("MII")),
        ("certificate", vec![0xf6]),
        ("cabundle", bytes(&[1])),
        ("public_key", text("MII")),
        ("nonce", vec![0xf4]),
        ("user_data", vec![0xf7]),
    ] {
        assert_eq!(refused(&with(field, value)).code(), "payload_malformed", "{field}");
    }
}

#[test]
fn refuses_duplicate_keys() {
    for field in
        ["module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle", "public_key", "user_data", "nonce"]
    {
        let value = entries().iter().find(|(key, _)| *key == field).unwrap().1.clone();
        assert_eq!(refused(&plus(field, value)), DocumentError::DuplicateKey { field });
    }
    let mut twice = entries();
    twice.push(("future", vec![0]));
    twice.push(("future", vec![0]));
    assert_eq!(refused(&document(&payload(&twice))), DocumentError::DuplicateUnknownKey);
}

#[test]
fn refuses_missing_mandatory_fields_only() {
    for field in ["module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle"] {
        assert_eq!(refused(&without(field)), DocumentError::MissingField { field });
    }
    for field in ["public_key", "user_data", "nonce"] {
        assert!(UnverifiedDocument::parse(&without(field)).is_ok());
    }
}

#[test]
fn refuses_another_digest() {
    for name in ["SHA256", "SHA512", "sha384", ""] {
        assert_eq!(refused(&with("digest", text(name))), DocumentError::Digest);
    }
}

#[test]
fn refuses_registers_that_are_not_48_bytes() {
    for length in [0, 32, 47, 49, 64] {
        let map = [head(5, 1), pcr(0, &vec![0; length])].concat();
        assert_eq!(refused(&with("pcrs", map)), DocumentError::PcrLength { index: 0, length });
    }
}

#[test]
fn bounds_the_registers() {
    assert!(UnverifiedDocument::parse(&with("pcrs", pcrs(0..32))).is_ok());
    assert_eq!(refused(&with("pcrs", pcrs(0..33))), DocumentError::PcrCount { count: 33 });
    assert_eq!(refused(&with("pcrs", pcrs([0, 1, 2, 32]))), DocumentError::PcrIndex { index: 32 });
    assert_eq!(refused(&with("pcrs", pcrs([0, 1, 2, 1]))), DocumentError::DuplicatePcr { index: 1 });
}

#[test]
fn requires_the_first_three_registers() {
    assert!(UnverifiedDocument::parse(&with("pcrs", pcrs([0, 1, 2, 31]))).is_ok());
    assert_eq!(refused(&with("pcrs", pcrs([]))), DocumentError::PcrMissing { index: 0 });
    for index in 0..3 {
        let rest = (0..16).filter(|other| *other != index);
        assert_eq!(refused(&with("pcrs", pcrs(rest))), DocumentError::PcrMissing { index });
    }
}

#[test]
fn bounds_the_optional_fields_and_accepts_empty_ones() {
    for field in ["public_key", "user_data", "nonce"] {
        let largest = with(field, bytes(&[1; MAX_OPTIONAL_BYTES]));
        assert!(UnverifiedDocument::parse(&largest).is_ok());
        let over = refused(&with(field, bytes(&[1; MAX_OPTIONAL_BYTES + 1])));
        assert_eq!(over, DocumentError::FieldLength { field, length: 1_025, max: MAX_OPTIONAL_BYTES });
    }
    let document = with("user_data", bytes(&[]));
    assert_eq!(UnverifiedDocument::parse(&document).unwrap().user_data, Some(&[][..]));
}

#[test]
fn bounds_certificates_and_names() {
    let code = |field, value| refused(&with(field, value)).code();
    assert!(UnverifiedDocument::parse(&with("certificate", bytes(&[1; MAX_CERTIFICATE_BYTES]))).is_ok());
    assert_eq!(code("certificate", bytes(&[1; MAX_CERTIFICATE_BYTES + 1])), "field_length");
    assert_eq!(code("certificate", bytes(&[])), "field_length");
    assert_eq!(code("cabundle", array(&[bytes(&[])])), "field_length");
    assert_eq!(code("cabundle", array(&[bytes(&[1; MAX_CERTIFICATE_BYTES + 1])])), "field_length");
    assert_eq!(code("module_id", text("")), "field_length");
    assert_eq!(code("module_id", text(&"i".repeat(129))), "field_length");
}

#[test]
fn bounds_the_cabundle() {
    let bundle = |count| array(&vec![bytes(&[1; 8]); count]);
    assert!(UnverifiedDocument::parse(&with("cabundle", bundle(MAX_CABUNDLE))).is_ok());
    assert_eq!(refused(&with("cabundle", bundle(0))), DocumentError::CabundleCount { count: 0 });
    assert_eq!(refused(&with("cabundle", bundle(9))), DocumentError::CabundleCount { count: 9 });
}

#[test]
fn refuses_impossible_times() {
    for (millis, accepted) in
        [(0x1_0000_0000, false), (1_577_836_799_999, false), (1_577_836_800_000, true), ((1 << 53) - 1, true)]
    {
        let document = with("timestamp", timestamp(millis));
        assert_eq!(UnverifiedDocument::parse(&document).is_ok(), accepted, "{millis}");
    }
    assert_eq!(refused(&with("timestamp", vec![0])), DocumentError::Timestamp { millis: 0 });
    assert_eq!(refused(&with("timestamp", timestamp(1 << 53))), DocumentError::Timestamp { millis: 1 << 53 });
}

#[test]
fn refuses_nitrotpm_documents_by_name() {
    assert_eq!(refused(&plus("nitrotpm_pcrs", pcrs(0..24))), DocumentError::NitroTpm);
    assert_eq!(DocumentError::NitroTpm.code(), "wrong_document_kind");
}

#[test]
fn lists_unknown_keys() {
    let document = plus("future", array(&[vec![0x01], array(&[vec![0xf6]])]));
    assert_eq!(UnverifiedDocument::parse(&document).unwrap().unknown_keys(), ["future"]);
}

#[test]
fn bounds_unknown_keys() {
    let four_deep = array(&[array(&[array(&[array(&[])])])]);
    assert_eq!(refused(&plus("future", four_deep)).code(), "payload_malformed");
    let names: Vec<&'static str> = (0..30).map(|index| &*Box::leak(format!("key{index}").into_boxed_str())).collect();
    let mut many = entries();
    many.extend(names.iter().take(MAX_KEYS - 9).map(|name| (*name, vec![0])));
    assert!(UnverifiedDocument::parse(&document(&payload(&many))).is_ok());
    many.push((names[29], vec![0]));
    assert_eq!(refused(&document(&payload(&many))), DocumentError::TooManyKeys);
}

#[test]
fn refuses_keys_that_are_not_text() {
    let body = [body(&entries()), bytes(b"nonce2"), vec![0]].concat();
    assert_eq!(refused(&document(&[head(5, 10), body].concat())).code(), "payload_malformed");
    let integer = [head(5, 10), self::body(&entries()), vec![0, 0]].concat();
    assert_eq!(refused(&document(&integer)).code(), "payload_malformed");
}

/// Documents of others; `None` when the folder is not there and need not be.
fn vectors() -> Option<std::path::PathBuf> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/nitro");
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "the vectors of others are missing");
    None
}

#[test]
fn reads_documents_from_real_hardware() {
    let Some(folder) = vectors() else { return };
    let index = std::fs::read_to_string(folder.join("index.tsv")).unwrap();
    let mut read = 0;
    for line in index.lines().skip(1) {
        let columns: Vec<_> = line.split('\t').collect();
        let bytes = std::fs::read(folder.join(format!("{}.cbor", columns[0]))).unwrap();
        if columns[0] == "bad-vaportpm-nitrotpm" {
            assert_eq!(refused(&bytes), DocumentError::NitroTpm);
            continue;
        }
        let document = UnverifiedDocument::parse(&bytes).unwrap_or_else(|error| panic!("{}: {error}", columns[0]));
        assert_eq!(document.timestamp.0.to_string(), columns[2]);
        for (index, column) in [(0, 3), (1, 4), (2, 5)] {
            assert_eq!(hex::encode(document.pcrs[&index]), columns[column], "{}", columns[0]);
        }
        assert!(document.unknown_keys().is_empty());
        read += 1;
    }
    assert_eq!(read, 9);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn never_panics_on_noise(noise in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = UnverifiedDocument::parse(&noise);
        let _ = UnverifiedDocument::parse(&document(&noise));
    }

    #[test]
    fn never_panics_on_a_changed_document(at in 0_usize..1_200, value: u8) {
        let mut bytes = document(&payload(&entries()));
        bytes[at] = value;
        let _ = UnverifiedDocument::parse(&bytes);
    }
}
