//! Nitro attestation documents, syntax only: an untagged or tag-18 `COSE_Sign1` (RFC 9052) and its payload.
//!
//! [`UnverifiedDocument::parse`] proves nothing about who made a document. The verifier goes on from here to the
//! certificate chain and the signature; the enclave uses it to read time and PCRs from documents that its own NSM
//! just returned.
//!
//! One byte form is accepted for everything that AWS writes in one form. Departures from AWS's text that real
//! documents need: the payload's outermost map may have indefinite length (2026), the three optional fields may be
//! null, and `user_data` may be empty. Check numbers are those of the verifier's checklist.
//!
//! Source: aws-nitro-enclaves-nsm-api, `docs/attestation_process.md`, and documents from real hardware.

use std::collections::BTreeMap;
use std::fmt;

use crate::cbor::{CborError, Reader};
use crate::time::UnixMillis;

/// A document that is well formed. Nobody has checked who signed it.
#[derive(Clone, Debug)]
pub struct UnverifiedDocument<'a> {
    /// Protected header as received: always `a1 01 38 22`, {alg: ES384}.
    pub protected: &'a [u8],
    /// Payload as received. The signature is over these bytes, never over a re-encoding.
    pub payload: &'a [u8],
    /// Signature, r and s of 48 bytes each, big-endian.
    pub signature: &'a [u8; SIGNATURE_BYTES],
    /// Name of the module that claims to have signed, `i-…-enc…` for an enclave.
    pub module_id: &'a str,
    /// When the module says it made the document.
    pub timestamp: UnixMillis,
    /// The locked platform configuration registers, SHA-384. Registers 0, 1 and 2 are always here.
    pub pcrs: BTreeMap<u8, [u8; PCR_BYTES]>,
    /// Leaf certificate, DER, whose key is meant to have signed.
    pub certificate: &'a [u8],
    /// Certificates from the root (first) to the issuer of the leaf (last), DER; one to [`MAX_CABUNDLE`].
    pub cabundle: Vec<&'a [u8]>,
    /// Key that the code in the enclave handed to the NSM, any bytes.
    pub public_key: Option<&'a [u8]>,
    /// Data that the code in the enclave handed to the NSM. May be empty, which is not the same as absent.
    pub user_data: Option<&'a [u8]>,
    /// Nonce that the code in the enclave handed to the NSM. May be empty.
    pub nonce: Option<&'a [u8]>,
    unknown_keys: Vec<&'a str>,
}

impl<'a> UnverifiedDocument<'a> {
    /// Reads a document and checks its form (checks 1 to 5, 7 to 12, and 13 as far as keys tell).
    ///
    /// # Errors
    /// [`DocumentError`] for the first thing that is not as it must be.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DocumentError> {
        if bytes.len() > MAX_DOCUMENT_BYTES {
            return Err(DocumentError::TooLong { length: bytes.len() });
        }
        let (protected, payload, signature) = sign1(bytes)?;
        let fields = Fields::read(payload)?;
        let pcrs = fields.pcrs.ok_or(DocumentError::MissingField { field: "pcrs" })?;
        if let Some(index) = (0..=2).find(|index| !pcrs.contains_key(index)) {
            return Err(DocumentError::PcrMissing { index });
        }
        fields.digest.ok_or(DocumentError::MissingField { field: "digest" })?;
        Ok(Self {
            protected,
            payload,
            signature,
            module_id: fields.module_id.ok_or(DocumentError::MissingField { field: "module_id" })?,
            timestamp: fields.timestamp.ok_or(DocumentError::MissingField { field: "timestamp" })?,
            pcrs,
            certificate: fields.certificate.ok_or(DocumentError::MissingField { field: "certificate" })?,
            cabundle: fields.cabundle.ok_or(DocumentError::MissingField { field: "cabundle" })?,
            public_key: fields.public_key.flatten(),
            user_data: fields.user_data.flatten(),
            nonce: fields.nonce.flatten(),
            unknown_keys: fields.unknown_keys,
        })
    }

    /// Keys of the payload that this version does not know, in order. They are signed, but nothing here reads their
    /// values; a report names them.
    #[must_use]
    pub fn unknown_keys(&self) -> &[&'a str] {
        &self.unknown_keys
    }
}

/// Protected header, payload and signature, as received.
type Sign1<'a> = (&'a [u8], &'a [u8], &'a [u8; SIGNATURE_BYTES]);

/// Splits the `COSE_Sign1` into protected header, payload and signature (checks 2 to 5).
fn sign1(bytes: &[u8]) -> Result<Sign1<'_>, DocumentError> {
    let array = bytes.strip_prefix(&[TAG_SIGN1]).unwrap_or(bytes);
    if array.first() != Some(&ARRAY_OF_4) {
        return Err(DocumentError::NotSign1);
    }
    let mut reader = Reader::new(array);
    reader.array(4).map_err(DocumentError::Container)?;
    let protected = reader.bytes(bytes.len()).map_err(DocumentError::Container)?;
    if protected != PROTECTED_ES384 {
        return Err(DocumentError::ProtectedHeader { found: protected.iter().take(16).copied().collect() });
    }
    if reader.peek() != Some(EMPTY_MAP) {
        return Err(DocumentError::UnprotectedHeader);
    }
    reader.map(0).map_err(DocumentError::Container)?;
    let payload = reader.bytes(bytes.len()).map_err(DocumentError::Container)?;
    if payload.is_empty() || payload.len() > MAX_PAYLOAD_BYTES {
        return Err(DocumentError::PayloadLength { length: payload.len() });
    }
    let signature = reader.bytes(bytes.len()).map_err(DocumentError::Container)?;
    let signature = signature.try_into().map_err(|_| DocumentError::SignatureLength { length: signature.len() })?;
    reader.finish().map_err(DocumentError::Container)?;
    Ok((protected, payload, signature))
}

/// What was found in the payload; the outer `Option` of each field says whether its key occurred.
#[derive(Default)]
struct Fields<'a> {
    module_id: Option<&'a str>,
    digest: Option<()>,
    timestamp: Option<UnixMillis>,
    pcrs: Option<BTreeMap<u8, [u8; PCR_BYTES]>>,
    certificate: Option<&'a [u8]>,
    cabundle: Option<Vec<&'a [u8]>>,
    public_key: Option<Option<&'a [u8]>>,
    user_data: Option<Option<&'a [u8]>>,
    nonce: Option<Option<&'a [u8]>>,
    unknown_keys: Vec<&'a str>,
}

impl<'a> Fields<'a> {
    /// Reads the payload's map (check 7) and each known field in it.
    fn read(payload: &'a [u8]) -> Result<Self, DocumentError> {
        let mut reader = Reader::new(payload);
        let mut fields = Self::default();
        let entries = match reader.map_maybe_indefinite(payload.len()) {
            Ok(entries) => entries,
            Err(error) => return Err(DocumentError::Payload(error)),
        };
        let mut count = 0_usize;
        loop {
            match entries {
                Some(entries) if count == entries => break,
                None if reader.take_break() => break,
                _ => count += 1,
            }
            if count > MAX_KEYS {
                return Err(DocumentError::TooManyKeys);
            }
            fields.entry(&mut reader)?;
        }
        reader.finish().map_err(DocumentError::Payload)?;
        Ok(fields)
    }

    /// Reads one key and its value.
    fn entry(&mut self, reader: &mut Reader<'a>) -> Result<(), DocumentError> {
        let key = reader.text(MAX_KEY_BYTES).map_err(DocumentError::Payload)?;
        match key {
            "module_id" => set(&mut self.module_id, "module_id", module_id(reader)?),
            "digest" => set(&mut self.digest, "digest", digest(reader)?),
            "timestamp" => set(&mut self.timestamp, "timestamp", timestamp(reader)?),
            "pcrs" => set(&mut self.pcrs, "pcrs", pcrs(reader)?),
            "certificate" => set(&mut self.certificate, "certificate", certificate(reader, "certificate")?),
            "cabundle" => set(&mut self.cabundle, "cabundle", cabundle(reader)?),
            "public_key" => set(&mut self.public_key, "public_key", optional(reader, "public_key")?),
            "user_data" => set(&mut self.user_data, "user_data", optional(reader, "user_data")?),
            "nonce" => set(&mut self.nonce, "nonce", optional(reader, "nonce")?),
            // A document of an EC2 instance with NitroTPM: same root, same signature, other meaning.
            "nitrotpm_pcrs" => Err(DocumentError::NitroTpm),
            unknown if self.unknown_keys.contains(&unknown) => Err(DocumentError::DuplicateUnknownKey),
            unknown => {
                reader.skip(MAX_DEPTH - 1).map_err(DocumentError::Payload)?;
                self.unknown_keys.push(unknown);
                Ok(())
            }
        }
    }
}

/// Stores the value of a key that must not have occurred before.
fn set<T>(slot: &mut Option<T>, field: &'static str, value: T) -> Result<(), DocumentError> {
    if slot.replace(value).is_some() { Err(DocumentError::DuplicateKey { field }) } else { Ok(()) }
}

fn module_id<'a>(reader: &mut Reader<'a>) -> Result<&'a str, DocumentError> {
    let text = reader.text(MAX_MODULE_ID_BYTES).map_err(|error| field_error("module_id", error))?;
    if text.is_empty() {
        return Err(DocumentError::FieldLength { field: "module_id", length: 0, max: MAX_MODULE_ID_BYTES });
    }
    Ok(text)
}

fn digest(reader: &mut Reader<'_>) -> Result<(), DocumentError> {
    match reader.text(MAX_KEY_BYTES).map_err(|error| field_error("digest", error))? {
        "SHA384" => Ok(()),
        _ => Err(DocumentError::Digest),
    }
}

fn timestamp(reader: &mut Reader<'_>) -> Result<UnixMillis, DocumentError> {
    let millis = reader.uint().map_err(DocumentError::Payload)?;
    if !(MIN_TIMESTAMP..=MAX_TIMESTAMP).contains(&millis) {
        return Err(DocumentError::Timestamp { millis });
    }
    Ok(UnixMillis(millis))
}

fn pcrs(reader: &mut Reader<'_>) -> Result<BTreeMap<u8, [u8; PCR_BYTES]>, DocumentError> {
    let entries = reader.map(MAX_PCRS).map_err(|error| match error {
        CborError::TooLong { length, .. } => DocumentError::PcrCount { count: length },
        other => DocumentError::Payload(other),
    })?;
    let mut pcrs = BTreeMap::new();
    for _ in 0..entries {
        let index = reader.uint().map_err(DocumentError::Payload)?;
        let index =
            u8::try_from(index).ok().filter(|index| *index <= MAX_PCR).ok_or(DocumentError::PcrIndex { index })?;
        let value = reader.bytes(MAX_PAYLOAD_BYTES).map_err(DocumentError::Payload)?;
        let value = value.try_into().map_err(|_| DocumentError::PcrLength { index, length: value.len() })?;
        if pcrs.insert(index, value).is_some() {
            return Err(DocumentError::DuplicatePcr { index });
        }
    }
    Ok(pcrs)
}

fn certificate<'a>(reader: &mut Reader<'a>, field: &'static str) -> Result<&'a [u8], DocumentError> {
    let der = reader.bytes(MAX_CERTIFICATE_BYTES).map_err(|error| field_error(field, error))?;
    if der.is_empty() {
        return Err(DocumentError::FieldLength { field, length: 0, max: MAX_CERTIFICATE_BYTES });
    }
    Ok(der)
}

fn cabundle<'a>(reader: &mut Reader<'a>) -> Result<Vec<&'a [u8]>, DocumentError> {
    let count = reader.array(MAX_CABUNDLE).map_err(|error| match error {
        CborError::TooLong { length, .. } => DocumentError::CabundleCount { count: length },
        other => DocumentError::Payload(other),
    })?;
    if count == 0 {
        return Err(DocumentError::CabundleCount { count: 0 });
    }
    (0..count).map(|_| certificate(reader, "cabundle")).collect()
}

fn optional<'a>(reader: &mut Reader<'a>, field: &'static str) -> Result<Option<&'a [u8]>, DocumentError> {
    reader.null_or_bytes(MAX_OPTIONAL_BYTES).map_err(|error| field_error(field, error))
}

/// Names the field when its length is what is wrong.
fn field_error(field: &'static str, error: CborError) -> DocumentError {
    match error {
        CborError::TooLong { length, max, .. } => DocumentError::FieldLength { field, length, max },
        other => DocumentError::Payload(other),
    }
}

/// Why bytes are not a well-formed document of an enclave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DocumentError {
    /// More bytes than any document has.
    TooLong {
        /// Bytes received.
        length: usize,
    },
    /// Not an array of four items, untagged or under tag 18.
    NotSign1,
    /// The COSE structure around the payload is not strict CBOR.
    Container(CborError),
    /// The protected header is not exactly {alg: ES384}.
    ProtectedHeader {
        /// The header's first 16 bytes.
        found: Vec<u8>,
    },
    /// The unprotected header, which no signature covers, is not empty.
    UnprotectedHeader,
    /// The signature is not 96 bytes.
    SignatureLength {
        /// Bytes received.
        length: usize,
    },
    /// The payload is empty or too long.
    PayloadLength {
        /// Bytes received.
        length: usize,
    },
    /// The payload is not strict CBOR, or a value has the wrong type.
    Payload(CborError),
    /// More keys than accepted.
    TooManyKeys,
    /// A known key occurs twice.
    DuplicateKey {
        /// The key.
        field: &'static str,
    },
    /// An unknown key occurs twice.
    DuplicateUnknownKey,
    /// A mandatory key is missing.
    MissingField {
        /// The key.
        field: &'static str,
    },
    /// The registers are not SHA-384.
    Digest,
    /// More registers than exist.
    PcrCount {
        /// Entries the map claims.
        count: u64,
    },
    /// A register that does not exist.
    PcrIndex {
        /// Its number.
        index: u64,
    },
    /// A register occurs twice.
    DuplicatePcr {
        /// Its number.
        index: u8,
    },
    /// A register's value is not 48 bytes.
    PcrLength {
        /// Its number.
        index: u8,
        /// Bytes received.
        length: usize,
    },
    /// Register 0, 1 or 2 is missing.
    PcrMissing {
        /// Its number.
        index: u8,
    },
    /// A field is empty that must not be, or too long.
    FieldLength {
        /// The key.
        field: &'static str,
        /// Bytes received.
        length: u64,
        /// Largest accepted length.
        max: usize,
    },
    /// The time is before 2020 or beyond 2^53 milliseconds.
    Timestamp {
        /// The value.
        millis: u64,
    },
    /// A document of an instance with NitroTPM, not of an enclave.
    NitroTpm,
    /// No certificate in `cabundle`, or more than accepted.
    CabundleCount {
        /// Number of certificates.
        count: u64,
    },
}

impl DocumentError {
    /// Number of the check in the verifier's checklist that refused.
    #[must_use]
    pub const fn check(&self) -> u8 {
        match self {
            Self::TooLong { .. } | Self::PayloadLength { .. } | Self::TooManyKeys => 1,
            Self::NotSign1 | Self::Container(_) => 2,
            Self::ProtectedHeader { .. } => 3,
            Self::UnprotectedHeader => 4,
            Self::SignatureLength { .. } => 5,
            Self::Payload(_) | Self::DuplicateKey { .. } | Self::DuplicateUnknownKey | Self::DuplicatePcr { .. } => 7,
            Self::MissingField { .. } => 8,
            Self::Digest | Self::PcrLength { .. } => 9,
            Self::PcrCount { .. } | Self::PcrIndex { .. } | Self::PcrMissing { .. } => 10,
            Self::FieldLength { .. } => 11,
            Self::Timestamp { .. } => 12,
            Self::NitroTpm => 13,
            Self::CabundleCount { .. } => 16,
        }
    }

    /// Stable identifier of the cause.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "document_too_long",
            Self::NotSign1 => "cose_not_sign1",
            Self::Container(_) => "cose_malformed",
            Self::ProtectedHeader { .. } => "cose_protected_header",
            Self::UnprotectedHeader => "cose_unprotected_header",
            Self::SignatureLength { .. } => "cose_signature_length",
            Self::PayloadLength { .. } => "payload_length",
            Self::Payload(_) => "payload_malformed",
            Self::TooManyKeys => "payload_too_many_keys",
            Self::DuplicateKey { .. } | Self::DuplicateUnknownKey => "payload_duplicate_key",
            Self::MissingField { .. } => "payload_missing_field",
            Self::Digest => "digest_not_sha384",
            Self::PcrCount { .. } => "pcr_count",
            Self::PcrIndex { .. } => "pcr_index",
            Self::DuplicatePcr { .. } => "pcr_duplicate",
            Self::PcrLength { .. } => "pcr_length",
            Self::PcrMissing { .. } => "pcr_missing",
            Self::FieldLength { .. } => "field_length",
            Self::Timestamp { .. } => "timestamp_range",
            Self::NitroTpm => "wrong_document_kind",
            Self::CabundleCount { .. } => "cabundle_count",
        }
    }
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { length } => {
                write!(f, "document has {length} bytes, at most {MAX_DOCUMENT_BYTES} are accepted")
            }
            Self::NotSign1 => {
                f.write_str("not a COSE_Sign1: expected an array of four items, untagged or under tag 18")
            }
            Self::Container(error) => write!(f, "COSE structure is malformed: {error}"),
            Self::ProtectedHeader { found } => {
                write!(f, "protected header starts with {}, expected exactly a1013822 (ES384)", hex::encode(found))
            }
            Self::UnprotectedHeader => f.write_str("unprotected header is not empty"),
            Self::SignatureLength { length } => {
                write!(f, "signature has {length} bytes, expected {SIGNATURE_BYTES} (r and s)")
            }
            Self::PayloadLength { length } => {
                write!(f, "payload has {length} bytes, expected 1 to {MAX_PAYLOAD_BYTES}")
            }
            Self::Payload(error) => write!(f, "payload is malformed: {error}"),
            Self::TooManyKeys => write!(f, "payload has more than {MAX_KEYS} keys"),
            Self::DuplicateKey { field } => write!(f, "payload has the key {field} twice"),
            Self::DuplicateUnknownKey => f.write_str("payload has an unknown key twice"),
            Self::MissingField { field } => write!(f, "payload lacks the key {field}"),
            Self::Digest => f.write_str("digest is not SHA384"),
            Self::PcrCount { count } => write!(f, "document has {count} PCRs, at most {MAX_PCRS} exist"),
            Self::PcrIndex { index } => write!(f, "PCR{index} does not exist, the last is PCR{MAX_PCR}"),
            Self::DuplicatePcr { index } => write!(f, "PCR{index} occurs twice"),
            Self::PcrLength { index, length } => write!(f, "PCR{index} has {length} bytes, expected {PCR_BYTES}"),
            Self::PcrMissing { index } => write!(f, "PCR{index} is missing"),
            Self::FieldLength { field, length, max } => {
                write!(f, "{field} has {length} bytes, which is not between its smallest length and {max}")
            }
            Self::Timestamp { millis } => write!(f, "timestamp {millis} ms is before 2020 or beyond 2^53"),
            Self::NitroTpm => f.write_str("this is a NitroTPM document of an instance, not one of an enclave"),
            Self::CabundleCount { count } => {
                write!(f, "cabundle has {count} certificates, expected 1 to {MAX_CABUNDLE}")
            }
        }
    }
}

impl std::error::Error for DocumentError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Container(error) | Self::Payload(error) => Some(error),
            _ => None,
        }
    }
}

/// Length of a SHA-384 register.
pub const PCR_BYTES: usize = 48;
/// Length of an ES384 signature (RFC 9053, 2.1).
pub const SIGNATURE_BYTES: usize = 96;
/// AWS's bound for the payload (`docs/attestation_process.md`).
pub const MAX_PAYLOAD_BYTES: usize = 16_384;
/// Tag, array head, protected header, empty map, payload with its head, signature with its head.
pub const MAX_DOCUMENT_BYTES: usize = 1 + 1 + 5 + 1 + (3 + MAX_PAYLOAD_BYTES) + (2 + SIGNATURE_BYTES);
/// AWS's bound for a certificate.
pub const MAX_CERTIFICATE_BYTES: usize = 1_024;
/// Largest accepted `public_key`, `user_data` and `nonce`. AWS's prose and CDDL disagree on 512 and 1024 for the
/// last two: we ask for at most 512 and accept 1024.
pub const MAX_OPTIONAL_BYTES: usize = 1_024;
/// Real documents have 4 certificates above the leaf; the bound leaves room and caps the work.
pub const MAX_CABUNDLE: usize = 8;
/// Number of registers of an NSM.
pub const MAX_PCRS: usize = 32;
/// The last register.
pub const MAX_PCR: u8 = 31;
/// Real ids have 39 characters.
pub const MAX_MODULE_ID_BYTES: usize = 128;
/// Nine keys are known; the bound leaves room for those AWS may add.
pub const MAX_KEYS: usize = 32;
/// Length of a payload key.
const MAX_KEY_BYTES: usize = 64;
/// Containers inside each other, the payload's map included.
const MAX_DEPTH: usize = 4;
/// 2020-01-01T00:00:00Z: Nitro Enclaves did not exist before.
const MIN_TIMESTAMP: u64 = 1_577_836_800_000;
/// Integers up to here are exact in every consumer, JSON included.
const MAX_TIMESTAMP: u64 = (1 << 53) - 1;
/// {1: -35}: alg is ES384 (RFC 9053, 2.1).
const PROTECTED_ES384: &[u8] = &[0xa1, 0x01, 0x38, 0x22];
/// CBOR tag 18, `COSE_Sign1`.
const TAG_SIGN1: u8 = 0xd2;
const ARRAY_OF_4: u8 = 0x84;
const EMPTY_MAP: u8 = 0xa0;
