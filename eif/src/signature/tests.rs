//! One test a refusal.

use super::*;
use packproof_receipt::measure::pcr;
use proptest::prelude::*;
use rcgen::{CertificateParams, KeyPair as CertifiedKey, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384};

const PCR0: Pcr = [0xab; 48];

/// A new P-384 key and its certificate, both PEM.
fn signer() -> (String, String) {
    signer_on(&PKCS_ECDSA_P384_SHA384)
}

fn signer_on(algorithm: &'static rcgen::SignatureAlgorithm) -> (String, String) {
    let key = CertifiedKey::generate_for(algorithm).unwrap();
    let certificate = CertificateParams::new(vec!["signer".to_owned()]).unwrap().self_signed(&key).unwrap();
    (key.serialize_pem(), certificate.pem())
}

fn signed() -> (Vec<u8>, Certificate) {
    let (key, certificate) = signer();
    let certificate = Certificate::from_pem(certificate.as_bytes()).unwrap();
    let signature = SigningKey::from_pem(key.as_bytes()).unwrap().sign(&PCR0, &certificate).unwrap();
    (section(&PCR0, &certificate, &signature).unwrap(), certificate)
}

/// The section with its COSE bytes and certificate replaced.
fn rebuilt(pem: &[u8], cose: &[u8]) -> Vec<u8> {
    let mut out = vec![0x81, 0xa2];
    for (key, value) in [(CERTIFICATE_KEY, pem), (SIGNATURE_KEY, cose)] {
        head(&mut out, TEXT, key.len());
        out.extend_from_slice(key.as_bytes());
        integers(&mut out, value);
    }
    out
}

/// The COSE bytes of a section.
fn cose_of(section: &[u8]) -> Vec<u8> {
    let mut reader = Reader::new(section);
    reader.array(1).unwrap();
    reader.map(2).unwrap();
    reader.text(32).unwrap();
    read_integers(&mut reader, MAX_CERTIFICATE_BYTES).unwrap();
    reader.text(32).unwrap();
    read_integers(&mut reader, MAX_COSE_BYTES).unwrap()
}

#[test]
fn a_signature_is_checked_against_the_image() {
    let (section, certificate) = signed();
    assert_eq!(verify(&section, &PCR0).unwrap(), certificate);
    assert_eq!(verify(&section, &[1; 48]).unwrap_err(), SignatureError::Payload);
    assert_eq!(certificate.pcr8(), pcr(&[certificate.der()]));
}

/// `PcrInfo` as AWS's own tests fix it (`src/utils/cbor.rs`, 0.8.1).
#[test]
fn the_payload_is_awss() {
    let register = std::array::from_fn(|index| u8::try_from(index).unwrap());
    let expected = "a26e72656769737465725f696e646578006e72656769737465725f76616c756598300001020304050607\
         08090a0b0c0d0e0f101112131415161718181819181a181b181c181d181e181f1820182118221823182418\
         25182618271828182918 2a182b182c182d182e182f";
    assert_eq!(hex::encode(payload(&register)), expected.replace(' ', ""));
}

#[test]
fn takes_the_signature_in_its_der_form() {
    let (section_bytes, certificate) = signed();
    let cose = cose_of(&section_bytes);
    let fixed = &cose[cose.len() - SIGNATURE_BYTES..];
    let mut body = Vec::new();
    for half in fixed.chunks(48) {
        let digits: Vec<u8> = half.iter().copied().skip_while(|byte| *byte == 0).collect();
        let sign = usize::from(digits[0] >= 0x80);
        body.extend([2, u8::try_from(digits.len() + sign).unwrap()]);
        body.extend(vec![0; sign]);
        body.extend(digits);
    }
    let mut der = vec![0x30, u8::try_from(body.len()).unwrap()];
    der.extend(body);
    assert_eq!(section(&PCR0, &certificate, &der).unwrap(), section_bytes);
    der.push(0);
    assert_eq!(section(&PCR0, &certificate, &der).unwrap_err(), SignatureError::SignatureShape);
    assert_eq!(section(&PCR0, &certificate, &fixed[..95]).unwrap_err(), SignatureError::SignatureShape);
    assert_eq!(section(&[0; 48], &certificate, fixed).unwrap_err(), SignatureError::Invalid);
}

#[test]
fn refuses_another_key_and_a_changed_signature() {
    let (section_bytes, certificate) = signed();
    let (other_key, other) = signer();
    let other_key = SigningKey::from_pem(other_key.as_bytes()).unwrap();
    assert_eq!(other_key.sign(&PCR0, &certificate).unwrap_err(), SignatureError::KeyMismatch);
    let mut cose = cose_of(&section_bytes);
    assert_eq!(verify(&rebuilt(other.as_bytes(), &cose), &PCR0).unwrap_err(), SignatureError::Invalid);
    *cose.last_mut().unwrap() ^= 1;
    assert_eq!(verify(&rebuilt(certificate.to_pem().as_bytes(), &cose), &PCR0).unwrap_err(), SignatureError::Invalid);
}

#[test]
fn refuses_another_algorithm_or_unprotected_headers() {
    let (section_bytes, certificate) = signed();
    let (pem, cose) = (certificate.to_pem(), cose_of(&section_bytes));
    let changed = |at: usize, byte: u8| {
        let mut cose = cose.clone();
        cose[at] = byte;
        verify(&rebuilt(pem.as_bytes(), &cose), &PCR0).unwrap_err()
    };
    // -36 is ES512
    assert_eq!(changed(5, 0x23), SignatureError::Algorithm);
    assert_eq!(changed(6, 0xa1).code(), "cbor_too_long");
    assert_eq!(changed(0, 0x83), SignatureError::Fields);
    let mut short = cose.clone();
    short.truncate(cose.len() - SIGNATURE_BYTES - 2);
    short.push(0x40);
    assert_eq!(verify(&rebuilt(pem.as_bytes(), &short), &PCR0).unwrap_err(), SignatureError::SignatureShape);
}

#[test]
fn refuses_other_fields_and_counts() {
    let (section, _) = signed();
    let code = |bytes: &[u8]| verify(bytes, &PCR0).unwrap_err().code();
    // AWS's reader panics on the empty list
    assert_eq!(code(&[0x80]), "signature_fields");
    assert_eq!(code(&[0x81, 0xa1]), "signature_fields");
    assert_eq!(code(&[0x82]), "cbor_too_long");
    assert_eq!(code(b""), "cbor_unexpected_end");
    assert_eq!(code(&[section.as_slice(), &[0]].concat()), "cbor_trailing_bytes");
    let mut renamed = section.clone();
    renamed[3] = b'S';
    assert_eq!(code(&renamed), "signature_fields");
    let mut wide = vec![0x81, 0xa2];
    head(&mut wide, TEXT, CERTIFICATE_KEY.len());
    wide.extend(CERTIFICATE_KEY.bytes());
    wide.extend([0x81, 0x19, 1, 0]);
    assert_eq!(code(&wide), "signature_not_a_byte");
}

#[test]
fn refuses_other_private_keys() {
    let error = |pem: &str| SigningKey::from_pem(pem.as_bytes()).err().unwrap();
    let (other_curve, certificate) = signer_on(&PKCS_ECDSA_P256_SHA256);
    assert_eq!(error(&other_curve), SignatureError::Key);
    assert_eq!(error(&certificate), SignatureError::Key);
    let (key, _) = signer();
    assert_eq!(error(&format!("{key}{key}")), SignatureError::Key);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = verify(&bytes, &PCR0);
        let _ = verify(&rebuilt(&bytes, &bytes), &PCR0);
        let _ = fixed_signature(&bytes);
        let _ = SigningKey::from_pem(&bytes);
    }
}
