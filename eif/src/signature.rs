//! The signature section: who signed PCR0, and PCR8.
//!
//! The section is a CBOR array of one map `{signing_certificate, signature}`: a PEM certificate and an untagged
//! `COSE_Sign1` (RFC 9052) over the map `{register_index: 0, register_value: PCR0}`. AWS's tools write every byte string
//! of theirs as an array of small integers. The payload is built anew from the image and compared, never believed.
//!
//! Source: `aws-nitro-enclaves-image-format`, `src/utils/eif_signer.rs` and `src/defs/mod.rs`. Layout: `SPEC.md`.

use std::fmt;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P384_SHA384_FIXED, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey},
};
use packproof_receipt::{
    cbor::{CborError, Reader},
    measure::Pcr,
};

use crate::certificate::{Der, MAX_CERTIFICATE_BYTES, SEQUENCE, pem_block};

pub use crate::certificate::Certificate;

/// Bytes of an ES384 signature: r and s, big-endian.
pub const SIGNATURE_BYTES: usize = 96;

/// A local P-384 signing key, wiped by the cryptographic library when dropped.
pub struct SigningKey(EcdsaKeyPair);

impl SigningKey {
    /// Reads a PEM text that holds one private key, PKCS #8 or SEC 1 (as OpenSSL writes them, not encrypted).
    ///
    /// # Errors
    /// [`SignatureError::Key`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, SignatureError> {
        let algorithm = &ECDSA_P384_SHA384_FIXED_SIGNING;
        let key = match (pem_block(pem, "PRIVATE KEY"), pem_block(pem, "EC PRIVATE KEY")) {
            (Some(der), None) => EcdsaKeyPair::from_pkcs8(algorithm, &der),
            (None, Some(der)) => EcdsaKeyPair::from_private_key_der(algorithm, &der),
            _ => return Err(SignatureError::Key),
        };
        key.map(Self).map_err(|_| SignatureError::Key)
    }

    /// Signs an image's PCR0 and returns r and s.
    ///
    /// # Errors
    /// [`SignatureError::KeyMismatch`] when the key is not the certificate's.
    pub fn sign(&self, pcr0: &Pcr, certificate: &Certificate) -> Result<Vec<u8>, SignatureError> {
        if self.0.public_key().as_ref() != certificate.public_key() {
            return Err(SignatureError::KeyMismatch);
        }
        let signature = self.0.sign(&SystemRandom::new(), &to_be_signed(pcr0)).map_err(|_| SignatureError::Key)?;
        Ok(signature.as_ref().to_vec())
    }
}

/// The bytes that an image's signer signs with ECDSA on P-384 and SHA-384: the `Sig_structure` of RFC 9052.
pub fn to_be_signed(pcr0: &Pcr) -> Vec<u8> {
    let mut out = vec![0x84];
    head(&mut out, TEXT, 10);
    out.extend_from_slice(b"Signature1");
    byte_string(&mut out, PROTECTED);
    byte_string(&mut out, b"");
    byte_string(&mut out, &payload(pcr0));
    out
}

/// Makes the signature section. `signature` is r and s (96 bytes), or their DER form as OpenSSL and KMS give it.
///
/// # Errors
/// [`SignatureError`] when the signature is not the certificate's key's over this PCR0.
pub fn section(pcr0: &Pcr, certificate: &Certificate, signature: &[u8]) -> Result<Vec<u8>, SignatureError> {
    let fixed = fixed_signature(signature).ok_or(SignatureError::SignatureShape)?;
    check(pcr0, certificate, &fixed)?;
    let mut cose = vec![0x84];
    byte_string(&mut cose, PROTECTED);
    cose.push(0xa0);
    byte_string(&mut cose, &payload(pcr0));
    byte_string(&mut cose, &fixed);
    let mut out = vec![0x81, 0xa2];
    for (key, value) in [(CERTIFICATE_KEY, certificate.to_pem().as_bytes()), (SIGNATURE_KEY, &cose)] {
        head(&mut out, TEXT, key.len());
        out.extend_from_slice(key.as_bytes());
        integers(&mut out, value);
    }
    Ok(out)
}

/// Reads a signature section of any origin and checks it against the image's PCR0.
///
/// Proves that the key in the certificate signed this PCR0. The certificate itself is anybody's: compare PCR8.
///
/// # Errors
/// [`SignatureError`]; an algorithm other than ES384 is refused, not passed over.
pub fn verify(section: &[u8], pcr0: &Pcr) -> Result<Certificate, SignatureError> {
    let mut reader = Reader::new(section);
    let signatures = reader.array(1)?;
    if signatures != 1 || reader.map(2)? != 2 {
        return Err(SignatureError::Fields);
    }
    // AWS's reader takes the two in any order; its writer has one, and so has this profile
    if reader.text(32)? != CERTIFICATE_KEY {
        return Err(SignatureError::Fields);
    }
    let pem = read_integers(&mut reader, MAX_CERTIFICATE_BYTES)?;
    if reader.text(32)? != SIGNATURE_KEY {
        return Err(SignatureError::Fields);
    }
    let cose = read_integers(&mut reader, MAX_COSE_BYTES)?;
    reader.finish()?;
    let certificate = Certificate::from_pem(&pem)?;
    let mut reader = Reader::new(&cose);
    if reader.array(4)? != 4 {
        return Err(SignatureError::Fields);
    }
    if reader.bytes(MAX_COSE_BYTES)? != PROTECTED {
        return Err(SignatureError::Algorithm);
    }
    reader.map(0)?;
    if reader.bytes(MAX_COSE_BYTES)? != payload(pcr0) {
        return Err(SignatureError::Payload);
    }
    let signature = reader.bytes(MAX_COSE_BYTES)?;
    reader.finish()?;
    let signature = signature.try_into().map_err(|_| SignatureError::SignatureShape)?;
    check(pcr0, &certificate, signature)?;
    Ok(certificate)
}

/// Why an image's signature, or the material to make one, is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignatureError {
    /// Not the CBOR of this profile.
    Cbor(CborError),
    /// An array item that is not a byte.
    NotAByte,
    /// Other fields, or not exactly one signature.
    Fields,
    /// A certificate of this many bytes.
    CertificateTooLarge(usize),
    /// Not exactly one PEM block, a certificate in lines of 64 characters.
    CertificatePem,
    /// Not the DER of one certificate.
    CertificateDer,
    /// An X.509 certificate of version 2.
    CertificateVersion,
    /// The certificate's key is not an uncompressed point on P-384.
    CertificateKey,
    /// The protected header is not ES384 alone.
    Algorithm,
    /// The signed register is not PCR0 of this image.
    Payload,
    /// The signature is neither 96 bytes nor the DER of two numbers.
    SignatureShape,
    /// The signature is not that of the certificate's key.
    Invalid,
    /// Not one unencrypted P-384 private key in PEM.
    Key,
    /// The private key is not the certificate's.
    KeyMismatch,
    /// The image has a signature already.
    AlreadySigned,
}

impl SignatureError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Cbor(error) => error.code(),
            Self::NotAByte => "signature_not_a_byte",
            Self::Fields => "signature_fields",
            Self::CertificateTooLarge(_) => "certificate_too_large",
            Self::CertificatePem => "certificate_pem",
            Self::CertificateDer => "certificate_der",
            Self::CertificateVersion => "certificate_version",
            Self::CertificateKey => "certificate_key",
            Self::Algorithm => "signature_algorithm",
            Self::Payload => "signature_payload",
            Self::SignatureShape => "signature_shape",
            Self::Invalid => "signature_invalid",
            Self::Key => "signing_key",
            Self::KeyMismatch => "signing_key_mismatch",
            Self::AlreadySigned => "already_signed",
        }
    }
}

impl From<CborError> for SignatureError {
    fn from(error: CborError) -> Self {
        Self::Cbor(error)
    }
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cbor(error) => write!(f, "the signature section cannot be read: {error}"),
            Self::NotAByte => f.write_str("the signature section holds a number above 255 where bytes are"),
            Self::Fields => f.write_str("the signature section is not one certificate and one signature"),
            Self::CertificateTooLarge(length) => {
                write!(f, "the certificate has {length} bytes, at most {MAX_CERTIFICATE_BYTES} are read")
            }
            Self::CertificatePem => {
                f.write_str("expected one PEM certificate in lines of 64 characters, and no other PEM block")
            }
            Self::CertificateDer => f.write_str("the certificate is not the DER of one X.509 certificate"),
            Self::CertificateVersion => {
                f.write_str("the certificate is X.509 version 2, which no tool makes; versions 1 and 3 are taken")
            }
            Self::CertificateKey => f.write_str("the certificate's key is not on P-384, the one curve used here"),
            Self::Algorithm => f.write_str("the signature is not ES384 (ECDSA on P-384 with SHA-384)"),
            Self::Payload => f.write_str("the signature is over another PCR0 than this image's"),
            Self::SignatureShape => f.write_str("the signature is neither 96 bytes (r, s) nor their DER form"),
            Self::Invalid => f.write_str("the signature is not that of the certificate's key over this image's PCR0"),
            Self::Key => f.write_str("expected one unencrypted P-384 private key in PEM (PKCS #8 or SEC 1)"),
            Self::KeyMismatch => f.write_str("the private key is not the one in the certificate"),
            Self::AlreadySigned => f.write_str("the image is signed already; sign the unsigned one"),
        }
    }
}

impl std::error::Error for SignatureError {}

/// Protected header `{1: -35}`: algorithm ES384 (RFC 9053).
const PROTECTED: &[u8] = &[0xa1, 0x01, 0x38, 0x22];
const CERTIFICATE_KEY: &str = "signing_certificate";
const SIGNATURE_KEY: &str = "signature";
/// A `COSE_Sign1` of this profile has 250 to 300 bytes.
const MAX_COSE_BYTES: usize = 1_024;
/// Major types of RFC 8949, section 3.1, in the top three bits.
const BYTES: u8 = 0x40;
const TEXT: u8 = 0x60;
const ARRAY: u8 = 0x80;

/// The signed payload: `{register_index: 0, register_value: [48 integers]}`.
fn payload(pcr0: &Pcr) -> Vec<u8> {
    let mut out = vec![0xa2];
    for key in ["register_index", "register_value"] {
        head(&mut out, TEXT, key.len());
        out.extend_from_slice(key.as_bytes());
        if key == "register_index" {
            out.push(0);
        } else {
            integers(&mut out, pcr0);
        }
    }
    out
}

fn check(pcr0: &Pcr, certificate: &Certificate, signature: &[u8; SIGNATURE_BYTES]) -> Result<(), SignatureError> {
    let key = UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, certificate.public_key());
    key.verify(&to_be_signed(pcr0), signature).map_err(|_| SignatureError::Invalid)
}

/// The head of a CBOR item in its shortest form; lengths here stay below 65,536.
fn head(out: &mut Vec<u8>, major: u8, length: usize) {
    match u8::try_from(length) {
        Ok(short @ 0..=23) => out.push(major | short),
        Ok(byte) => out.extend([major | 24, byte]),
        Err(_) => {
            out.push(major | 25);
            out.extend(u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
}

fn byte_string(out: &mut Vec<u8>, bytes: &[u8]) {
    head(out, BYTES, bytes.len());
    out.extend_from_slice(bytes);
}

/// Bytes as AWS's tools write them: an array of integers.
fn integers(out: &mut Vec<u8>, bytes: &[u8]) {
    head(out, ARRAY, bytes.len());
    for byte in bytes {
        head(out, 0, usize::from(*byte));
    }
}

fn read_integers(reader: &mut Reader<'_>, max: usize) -> Result<Vec<u8>, SignatureError> {
    let length = reader.array(max)?;
    (0..length).map(|_| u8::try_from(reader.uint()?).map_err(|_| SignatureError::NotAByte)).collect()
}

/// r and s, each 48 bytes, from that form or from `SEQUENCE { INTEGER r, INTEGER s }`.
fn fixed_signature(signature: &[u8]) -> Option<[u8; SIGNATURE_BYTES]> {
    if let Ok(fixed) = signature.try_into() {
        return Some(fixed);
    }
    let mut der = Der(signature);
    let mut numbers = Der(der.item(SEQUENCE)?);
    let (r, s) = (numbers.integer()?, numbers.integer()?);
    numbers.end().and(der.end())?;
    let mut fixed = [0; SIGNATURE_BYTES];
    for (half, number) in fixed.chunks_exact_mut(SIGNATURE_BYTES / 2).zip([r, s]) {
        let number = number.strip_prefix(&[0]).unwrap_or(number);
        let start = half.len().checked_sub(number.len())?;
        half.get_mut(start..)?.copy_from_slice(number);
    }
    Some(fixed)
}

#[cfg(test)]
mod tests;
