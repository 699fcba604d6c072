//! DSSE envelopes in Sigstore v0.3 bundles, one a line: the file format of a receipt.
//!
//! Sources: DSSE v1 (`secure-systems-lab/dsse`, protocol.md), `sigstore_bundle.proto`. There is no `keyid`: with one that
//! is not cosign's own, cosign refuses the bundle.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// DSSE payload type of an in-toto statement.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// Media type of the bundle.
pub const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// A receipt is two bundles of some tens of kilobytes; anything near this is not ours.
pub const MAX_RECEIPT_BYTES: usize = 16 * 1024 * 1024;

/// One bundle, as JSON has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bundle {
    /// Always [`MEDIA_TYPE`].
    pub media_type: String,
    /// Names the key; nothing here is believed.
    pub verification_material: VerificationMaterial,
    /// The statement and its one signature.
    pub dsse_envelope: Envelope,
}

/// Verification material: the hint only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VerificationMaterial {
    /// The key's hint.
    pub public_key: PublicKeyHint,
}

/// SHA-256 of the receipt key's SPKI, base64: a name, not a proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicKeyHint {
    /// The hint.
    pub hint: String,
}

/// A DSSE envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Envelope {
    /// The statement's bytes, standard base64.
    pub payload: String,
    /// Always [`PAYLOAD_TYPE`].
    pub payload_type: String,
    /// Exactly one.
    pub signatures: Vec<EnvelopeSignature>,
}

/// A signature over the PAE.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvelopeSignature {
    /// ECDSA P-256 with SHA-256, DER, standard base64.
    pub sig: String,
}

/// DSSE's pre-authentication encoding: what is signed.
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    out.extend_from_slice(payload);
    out
}

/// Why a receipt file could not be read. Nothing was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BundleError {
    /// Longer than [`MAX_RECEIPT_BYTES`].
    TooLong,
    /// Not UTF-8 JSON lines.
    NotText,
    /// Not exactly two lines, each ended by a newline.
    LineCount {
        /// How many there were.
        found: usize,
    },
    /// A line is not a bundle of the shape above.
    Shape {
        /// 1 or 2.
        line: usize,
        /// What serde said; positions and member names only.
        reason: String,
    },
    /// Another media or payload type.
    Type {
        /// 1 or 2.
        line: usize,
    },
    /// Not exactly one signature.
    SignatureCount {
        /// 1 or 2.
        line: usize,
    },
    /// Payload or signature is not canonical standard base64.
    Base64 {
        /// 1 or 2.
        line: usize,
    },
}

impl BundleError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong => "receipt_too_long",
            Self::NotText => "receipt_not_text",
            Self::LineCount { .. } => "receipt_line_count",
            Self::Shape { .. } => "bundle_shape",
            Self::Type { .. } => "bundle_type",
            Self::SignatureCount { .. } => "bundle_signature_count",
            Self::Base64 { .. } => "bundle_base64",
        }
    }
}

impl std::fmt::Display for BundleError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLong => write!(f, "the receipt is longer than {MAX_RECEIPT_BYTES} bytes"),
            Self::NotText => f.write_str("the receipt is not UTF-8 text"),
            Self::LineCount { found } => write!(f, "a receipt has exactly two lines, this one has {found}"),
            Self::Shape { line, reason } => write!(f, "line {line} is not a Sigstore v0.3 bundle: {reason}"),
            Self::Type { line } => write!(f, "line {line} has another media or payload type"),
            Self::SignatureCount { line } => write!(f, "line {line} does not have exactly one signature"),
            Self::Base64 { line } => write!(f, "line {line} holds something that is not standard base64"),
        }
    }
}

impl std::error::Error for BundleError {}

/// A bundle's decoded parts. Not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnverifiedBundle {
    /// The statement's exact bytes.
    pub payload: Vec<u8>,
    /// The signature, DER.
    pub signature: Vec<u8>,
    /// The key hint as found.
    pub hint: String,
}

impl UnverifiedBundle {
    /// The bytes the signature covers.
    pub fn pae(&self) -> Vec<u8> {
        pae(PAYLOAD_TYPE, &self.payload)
    }
}

/// Makes one line, with its newline.
///
/// `signature` is the DER signature over `pae(PAYLOAD_TYPE, payload)`; `spki` the key's SubjectPublicKeyInfo, DER.
pub fn line(payload: &[u8], signature: &[u8], spki: &[u8]) -> String {
    let bundle = Bundle {
        media_type: MEDIA_TYPE.into(),
        verification_material: VerificationMaterial {
            public_key: PublicKeyHint { hint: BASE64_STANDARD.encode(Sha256::digest(spki)) },
        },
        dsse_envelope: Envelope {
            payload: BASE64_STANDARD.encode(payload),
            payload_type: PAYLOAD_TYPE.into(),
            signatures: vec![EnvelopeSignature { sig: BASE64_STANDARD.encode(signature) }],
        },
    };
    let mut line = serde_json::to_string(&bundle).unwrap_or_default();
    line.push('\n');
    line
}

/// Reads the two lines of a receipt.
///
/// # Errors
/// [`BundleError`] when the file is not exactly of this format. A returned bundle is unverified.
pub fn parse_receipt(bytes: &[u8]) -> Result<[UnverifiedBundle; 2], BundleError> {
    if bytes.len() > MAX_RECEIPT_BYTES {
        return Err(BundleError::TooLong);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| BundleError::NotText)?;
    let lines: Vec<&str> = text.split('\n').collect();
    match lines.as_slice() {
        [first, second, ""] => Ok([parse_line(1, first)?, parse_line(2, second)?]),
        other => Err(BundleError::LineCount { found: other.iter().filter(|line| !line.is_empty()).count() }),
    }
}

fn parse_line(line: usize, text: &str) -> Result<UnverifiedBundle, BundleError> {
    let bundle: Bundle =
        serde_json::from_str(text).map_err(|error| BundleError::Shape { line, reason: shorten(&error.to_string()) })?;
    // one spelling: serde would also take arrays for objects, other spacing and other escapes, and readers could differ
    if serde_json::to_string(&bundle).ok().as_deref() != Some(text) {
        return Err(BundleError::Shape { line, reason: "not in the one spelling that the enclave writes".into() });
    }
    if bundle.media_type != MEDIA_TYPE || bundle.dsse_envelope.payload_type != PAYLOAD_TYPE {
        return Err(BundleError::Type { line });
    }
    let [signature] = bundle.dsse_envelope.signatures.as_slice() else {
        return Err(BundleError::SignatureCount { line });
    };
    let decode = |text: &str| BASE64_STANDARD.decode(text).map_err(|_| BundleError::Base64 { line });
    Ok(UnverifiedBundle {
        payload: decode(&bundle.dsse_envelope.payload)?,
        signature: decode(&signature.sig)?,
        hint: bundle.verification_material.public_key.hint,
    })
}

/// A hostile receipt must not fill the auditor's screen.
fn shorten(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt() -> String {
        line(b"{}", b"sig", b"spki") + &line(b"[]", b"sig2", b"spki")
    }

    #[test]
    fn a_receipt_reads_back() {
        let [first, second] = parse_receipt(receipt().as_bytes()).unwrap();
        assert_eq!((first.payload.as_slice(), second.payload.as_slice()), (&b"{}"[..], &b"[]"[..]));
        assert_eq!(first.pae(), b"DSSEv1 28 application/vnd.in-toto+json 2 {}");
    }

    #[test]
    fn each_departure_has_its_name() {
        let good = receipt();
        let code = |text: &str| parse_receipt(text.as_bytes()).unwrap_err().code();
        assert_eq!(code(good.trim_end()), "receipt_line_count");
        assert_eq!(code(&(good.clone() + "\n")), "receipt_line_count");
        assert_eq!(code(&good.replacen("mediaType", "mediatype", 1)), "bundle_shape");
        assert_eq!(code(&good.replacen("v0.3", "v0.2", 1)), "bundle_type");
        assert_eq!(code(&good.replacen("in-toto", "other", 1)), "bundle_type");
        assert_eq!(code(&good.replacen(r#"[{"sig""#, r#"[{"sig":"AA=="},{"sig""#, 1)), "bundle_signature_count");
        assert_eq!(code(&good.replacen(r#""payload":"e30=""#, r#""payload":"e30""#, 1)), "bundle_base64");
        assert_eq!(code(&good.replacen(r#"{"sig""#, r#"{"keyid":"x","sig""#, 1)), "bundle_shape");
        assert_eq!(code(&good.replacen("{", "{ ", 1)), "bundle_shape");
        assert_eq!(code(&good.replacen("}\n", "}\r\n", 1)), "bundle_shape");
        assert_eq!(code(&good.replacen(r#"{"sig":"c2ln"}"#, r#"["c2ln"]"#, 1)), "bundle_shape");
        assert_eq!(parse_receipt(&[0xff]).unwrap_err(), BundleError::NotText);
    }
}
