//! Certificates written field by field, so that the mock has Nitro's exact shape and a test can break any field.

use packproof_receipt::time::UnixMillis;
use sha2::{Digest, Sha256};

use crate::LocalNsmError;
use crate::der::{
    BOOLEAN, OBJECT_IDENTIFIER, OCTET_STRING, PRINTABLE_STRING, SEQUENCE, SET, UTF8_STRING, bit_string, sequence, time,
    tlv, unsigned,
};
use crate::keys::AuthorityKey;

/// What goes into a certificate. Fields ending in `_der` are written as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateSpec {
    /// Value of the version field; 2 means v3.
    pub version: u8,
    /// Serial number, unsigned big-endian.
    pub serial: Vec<u8>,
    /// AlgorithmIdentifier in the signed part.
    pub inner_algorithm_der: Vec<u8>,
    /// AlgorithmIdentifier beside the signature.
    pub outer_algorithm_der: Vec<u8>,
    /// Issuer's name; `None` for the subject of the certificate above.
    pub issuer: Option<Vec<(Attribute, String)>>,
    /// Start of validity.
    pub not_before: UnixMillis,
    /// End of validity.
    pub not_after: UnixMillis,
    /// The two dates, instead of those above.
    pub validity_der: Option<Vec<u8>>,
    /// Subject's name, in order.
    pub subject: Vec<(Attribute, String)>,
    /// SubjectPublicKeyInfo, instead of that of the certificate's own key.
    pub public_key_der: Option<Vec<u8>>,
    /// Extensions, in order.
    pub extensions: Vec<Extension>,
    /// Bytes after the extensions, inside the signed part.
    pub tbs_suffix: Vec<u8>,
    /// Bytes after the certificate.
    pub suffix: Vec<u8>,
}

impl CertificateSpec {
    /// A certificate as Nitro's are, with these fields.
    #[must_use]
    pub fn new(
        serial: &[u8],
        subject: Vec<(Attribute, String)>,
        (not_before, not_after): (UnixMillis, UnixMillis),
        extensions: Vec<Extension>,
    ) -> Self {
        Self {
            version: 2,
            serial: serial.to_vec(),
            inner_algorithm_der: ECDSA_WITH_SHA384.to_vec(),
            outer_algorithm_der: ECDSA_WITH_SHA384.to_vec(),
            issuer: None,
            not_before,
            not_after,
            validity_der: None,
            subject,
            public_key_der: None,
            extensions,
            tbs_suffix: Vec::new(),
            suffix: Vec::new(),
        }
    }

    /// Replaces the subject's common name.
    pub fn set_common_name(&mut self, name: &str) {
        self.subject.iter_mut().filter(|(kind, _)| *kind == Attribute::CommonName).for_each(|(_, value)| {
            name.clone_into(value);
        });
    }

    /// The extension with this object identifier, when it is there.
    pub fn extension_mut(&mut self, oid: &[u8]) -> Option<&mut Extension> {
        self.extensions.iter_mut().find(|extension| extension.oid == oid)
    }

    /// Writes and signs the certificate for the key with `point`.
    pub(crate) fn issue(&self, issuer: &Issuer<'_>, point: &[u8]) -> Result<Vec<u8>, LocalNsmError> {
        let extensions: Vec<Vec<u8>> =
            self.extensions.iter().map(|extension| extension.encode(issuer.key.point(), point)).collect();
        let tbs = sequence(&[
            tlv(VERSION, &unsigned(&[self.version])),
            unsigned(&self.serial),
            self.inner_algorithm_der.clone(),
            name(self.issuer.as_deref().unwrap_or(issuer.subject)),
            self.validity_der.clone().unwrap_or_else(|| sequence(&[time(self.not_before), time(self.not_after)])),
            name(&self.subject),
            self.public_key_der.clone().unwrap_or_else(|| sequence(&[EC_P384.to_vec(), bit_string(point)])),
            tlv(EXTENSIONS, &sequence(&extensions)),
            self.tbs_suffix.clone(),
        ]);
        let signature = bit_string(&issuer.key.sign(&tbs)?);
        let mut certificate = sequence(&[tbs, self.outer_algorithm_der.clone(), signature]);
        certificate.extend_from_slice(&self.suffix);
        Ok(certificate)
    }
}

/// Who signs a certificate.
pub(crate) struct Issuer<'a> {
    pub(crate) subject: &'a [(Attribute, String)],
    pub(crate) key: &'a AuthorityKey,
}

/// Kinds of parts of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// CN
    CommonName,
    /// C, the only one written as PrintableString.
    Country,
    /// ST
    State,
    /// L
    Locality,
    /// O
    Organization,
    /// OU
    Unit,
}

impl Attribute {
    /// Last byte of the object identifier 2.5.4.x.
    const fn number(self) -> u8 {
        match self {
            Self::CommonName => 3,
            Self::Country => 6,
            Self::Locality => 7,
            Self::State => 8,
            Self::Organization => 10,
            Self::Unit => 11,
        }
    }
}

/// Name from its parts, one part in each SET, as Nitro's are.
pub(crate) fn name(parts: &[(Attribute, String)]) -> Vec<u8> {
    let sets: Vec<Vec<u8>> = parts
        .iter()
        .map(|(kind, value)| {
            let string = if *kind == Attribute::Country { PRINTABLE_STRING } else { UTF8_STRING };
            let oid = tlv(OBJECT_IDENTIFIER, &[0x55, 0x04, kind.number()]);
            tlv(SET, &sequence(&[oid, tlv(string, value.as_bytes())]))
        })
        .collect();
    sequence(&sets)
}

/// One extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// Contents of the object identifier.
    pub oid: Vec<u8>,
    /// Whether a reader that does not know it must refuse.
    pub critical: bool,
    /// The value.
    pub value: ExtensionValue,
}

/// Value of an extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExtensionValue {
    /// Contents of the OCTET STRING.
    Der(Vec<u8>),
    /// Subject key identifier of the certificate's own key.
    SubjectKeyId,
    /// Authority key identifier of the issuer's key.
    AuthorityKeyId,
}

impl Extension {
    /// basicConstraints, critical.
    #[must_use]
    pub fn basic_constraints(ca: bool, path_length: Option<u8>) -> Self {
        let mut fields = Vec::new();
        if ca {
            fields.push(tlv(BOOLEAN, &[0xff]));
        }
        fields.extend(path_length.map(|length| unsigned(&[length])));
        Self { oid: BASIC_CONSTRAINTS.to_vec(), critical: true, value: ExtensionValue::Der(sequence(&fields)) }
    }

    /// keyUsage; `bits` is the contents of the BIT STRING.
    #[must_use]
    pub fn key_usage(critical: bool, bits: &[u8]) -> Self {
        let value = ExtensionValue::Der(tlv(crate::der::BIT_STRING, bits));
        Self { oid: KEY_USAGE.to_vec(), critical, value }
    }

    /// subjectKeyIdentifier, not critical.
    #[must_use]
    pub fn subject_key_id() -> Self {
        Self { oid: SUBJECT_KEY_ID.to_vec(), critical: false, value: ExtensionValue::SubjectKeyId }
    }

    /// authorityKeyIdentifier, not critical.
    #[must_use]
    pub fn authority_key_id() -> Self {
        Self { oid: AUTHORITY_KEY_ID.to_vec(), critical: false, value: ExtensionValue::AuthorityKeyId }
    }

    /// cRLDistributionPoints with one address, not critical.
    #[must_use]
    pub fn crl_distribution_point(url: &str) -> Self {
        let full_name = tlv(0xa0, &tlv(0x86, url.as_bytes()));
        let value = sequence(&[sequence(&[tlv(0xa0, &full_name)])]);
        Self { oid: CRL_DISTRIBUTION_POINTS.to_vec(), critical: false, value: ExtensionValue::Der(value) }
    }

    fn encode(&self, issuer_point: &[u8], point: &[u8]) -> Vec<u8> {
        let value = match &self.value {
            ExtensionValue::Der(der) => der.clone(),
            ExtensionValue::SubjectKeyId => tlv(OCTET_STRING, &key_id(point)),
            ExtensionValue::AuthorityKeyId => tlv(SEQUENCE, &tlv(0x80, &key_id(issuer_point))),
        };
        let mut fields = vec![tlv(OBJECT_IDENTIFIER, &self.oid)];
        if self.critical {
            fields.push(tlv(BOOLEAN, &[0xff]));
        }
        fields.push(tlv(OCTET_STRING, &value));
        sequence(&fields)
    }
}

/// RFC 7093, method 1: the first 160 bits of SHA-256 over the key. AWS uses SHA-1; nobody compares them.
fn key_id(point: &[u8]) -> Vec<u8> {
    Sha256::digest(point).iter().copied().take(20).collect()
}

/// 2.5.29.19
pub const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
/// 2.5.29.15
pub const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
/// 2.5.29.14
const SUBJECT_KEY_ID: &[u8] = &[0x55, 0x1d, 0x0e];
/// 2.5.29.35
const AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1d, 0x23];
/// 2.5.29.31
const CRL_DISTRIBUTION_POINTS: &[u8] = &[0x55, 0x1d, 0x1f];
/// `[0] EXPLICIT`
const VERSION: u8 = 0xa0;
/// `[3] EXPLICIT`
const EXTENSIONS: u8 = 0xa3;
/// AlgorithmIdentifier of ecdsa-with-SHA384 (RFC 5758, 3.2).
const ECDSA_WITH_SHA384: &[u8] = &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03];
/// AlgorithmIdentifier of an EC key on secp384r1 (RFC 5480, 2.1.1).
const EC_P384: &[u8] =
    &[0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];
