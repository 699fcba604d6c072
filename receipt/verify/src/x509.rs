//! X.509 certificates of the Nitro hierarchy, and nothing more general: v3, P-384, ecdsa-with-SHA384.
//!
//! Every field is read, no field is skipped unread but the values of extensions that are neither used nor critical.
//! Extensions that are read: basicConstraints and keyUsage. Any other that is marked critical refuses the
//! certificate; not critical, it is ignored (subject and authority key identifiers, CRL distribution points).

use std::fmt;

use packproof_receipt::time::UnixMillis;

use crate::der::{self, Der, DerError};

/// A certificate that is well formed and of the profile. Its signature has not been checked.
#[derive(Clone, Debug)]
pub(crate) struct Certificate<'a> {
    /// The signed part, with its header.
    pub(crate) tbs: &'a [u8],
    /// Serial number, big-endian, without sign byte.
    pub(crate) serial: &'a [u8],
    /// Issuer's name, DER with its header.
    pub(crate) issuer: &'a [u8],
    /// Subject's name, DER with its header.
    pub(crate) subject: &'a [u8],
    /// The only common name in the subject.
    pub(crate) common_name: &'a str,
    pub(crate) not_before: UnixMillis,
    pub(crate) not_after: UnixMillis,
    /// Uncompressed P-384 point.
    pub(crate) point: &'a [u8],
    pub(crate) basic_constraints: Option<BasicConstraints>,
    pub(crate) key_usage: Option<KeyUsage>,
    /// ECDSA-Sig-Value, DER.
    pub(crate) signature: &'a [u8],
}

/// The basicConstraints extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BasicConstraints {
    pub(crate) critical: bool,
    pub(crate) ca: bool,
    pub(crate) path_length: Option<u8>,
}

/// The keyUsage extension; bit 0 is the highest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyUsage(u16);

impl KeyUsage {
    pub(crate) const fn digital_signature(self) -> bool {
        self.0 & 0x8000 != 0
    }

    pub(crate) const fn key_cert_sign(self) -> bool {
        self.0 & 0x0400 != 0
    }
}

impl<'a> Certificate<'a> {
    /// Reads one certificate; all of `bytes` must be used.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, CertificateError> {
        let mut outer = Der::new(bytes);
        let mut certificate = Der::new(outer.read(der::SEQUENCE)?);
        outer.finish()?;
        let (tbs, fields) = certificate.read_whole(der::SEQUENCE)?;
        let (outer_algorithm, _) = certificate.read_whole(der::SEQUENCE)?;
        let signature = der::octets(certificate.read(der::BIT_STRING)?)?;
        certificate.finish()?;

        let mut fields = Der::new(fields);
        match fields.read_optional(VERSION)? {
            Some([der::INTEGER, 1, 2]) => {}
            _ => return Err(CertificateError::Version),
        }
        let serial = der::unsigned(fields.read(der::INTEGER)?)?;
        if serial.len() > MAX_SERIAL_BYTES {
            return Err(CertificateError::Der(DerError::Integer));
        }
        let (inner_algorithm, _) = fields.read_whole(der::SEQUENCE)?;
        if inner_algorithm != outer_algorithm {
            return Err(CertificateError::AlgorithmMismatch);
        }
        if inner_algorithm != ECDSA_WITH_SHA384 {
            return Err(CertificateError::SignatureAlgorithm);
        }
        let (issuer, _) = fields.read_whole(der::SEQUENCE)?;
        let (not_before, not_after) = validity(fields.read(der::SEQUENCE)?)?;
        let (subject, names) = fields.read_whole(der::SEQUENCE)?;
        let common_name = common_name(names)?;
        let point = public_key(fields.read(der::SEQUENCE)?)?;
        let extensions = fields.read_optional(EXTENSIONS)?.unwrap_or_default();
        // Unique identifiers, the only other optional fields, are left over here and refused with trailing bytes.
        fields.finish()?;
        let (basic_constraints, key_usage) = read_extensions(extensions)?;
        Ok(Self {
            tbs,
            serial,
            issuer,
            subject,
            common_name,
            not_before,
            not_after,
            point,
            basic_constraints,
            key_usage,
            signature,
        })
    }
}

fn validity(contents: &[u8]) -> Result<(UnixMillis, UnixMillis), CertificateError> {
    let mut fields = Der::new(contents);
    let mut next = || -> Result<UnixMillis, CertificateError> {
        let (tag, _, contents) = fields.any()?;
        der::time(tag, contents).map_err(|_| CertificateError::Time)
    };
    let range = (next()?, next()?);
    fields.finish()?;
    Ok(range)
}

/// Reads a whole name and returns its common name, of which there must be exactly one.
fn common_name(names: &[u8]) -> Result<&str, CertificateError> {
    let mut names = Der::new(names);
    let mut found = None;
    while !names.is_empty() {
        let mut attributes = Der::new(names.read(der::SET)?);
        loop {
            let mut attribute = Der::new(attributes.read(der::SEQUENCE)?);
            let kind = attribute.read(der::OBJECT_IDENTIFIER)?;
            let (tag, _, value) = attribute.any()?;
            attribute.finish()?;
            if !matches!(tag, der::UTF8_STRING | der::PRINTABLE_STRING) {
                return Err(CertificateError::Der(DerError::Text));
            }
            let value = std::str::from_utf8(value).map_err(|_| CertificateError::Der(DerError::Text))?;
            if kind == COMMON_NAME && found.replace(value).is_some() {
                return Err(CertificateError::CommonName);
            }
            if attributes.is_empty() {
                break;
            }
        }
    }
    found.ok_or(CertificateError::CommonName)
}

fn public_key(contents: &[u8]) -> Result<&[u8], CertificateError> {
    let mut fields = Der::new(contents);
    let (algorithm, _) = fields.read_whole(der::SEQUENCE)?;
    if algorithm != EC_P384 {
        return Err(CertificateError::PublicKey);
    }
    let point = der::octets(fields.read(der::BIT_STRING)?)?;
    fields.finish()?;
    // Whether the point is on the curve is checked by whoever verifies with it.
    if point.len() != POINT_BYTES || point.first() != Some(&UNCOMPRESSED) {
        return Err(CertificateError::PublicKey);
    }
    Ok(point)
}

/// Reads the extensions, which must be there: without them a certificate is not v3.
fn read_extensions(contents: &[u8]) -> Result<(Option<BasicConstraints>, Option<KeyUsage>), CertificateError> {
    let mut wrapper = Der::new(contents);
    let mut list = Der::new(wrapper.read(der::SEQUENCE)?);
    wrapper.finish()?;
    let mut seen: Vec<&[u8]> = Vec::new();
    let (mut basic_constraints, mut key_usage) = (None, None);
    while !list.is_empty() {
        let mut extension = Der::new(list.read(der::SEQUENCE)?);
        let kind = extension.read(der::OBJECT_IDENTIFIER)?;
        let critical = match extension.read_optional(der::BOOLEAN)? {
            Some(contents) => {
                der::true_not_default(contents)?;
                true
            }
            None => false,
        };
        let value = extension.read(der::OCTET_STRING)?;
        extension.finish()?;
        if seen.contains(&kind) {
            return Err(CertificateError::DuplicateExtension);
        }
        seen.push(kind);
        match kind {
            BASIC_CONSTRAINTS => basic_constraints = Some(read_basic_constraints(critical, value)?),
            KEY_USAGE => {
                let mut bits = Der::new(value);
                key_usage = Some(KeyUsage(der::named_bits(bits.read(der::BIT_STRING)?)?));
                bits.finish()?;
            }
            unknown if critical => {
                return Err(CertificateError::UnknownCriticalExtension { oid: hex::encode(unknown) });
            }
            _ => {}
        }
    }
    Ok((basic_constraints, key_usage))
}

fn read_basic_constraints(critical: bool, value: &[u8]) -> Result<BasicConstraints, CertificateError> {
    let mut outer = Der::new(value);
    let mut fields = Der::new(outer.read(der::SEQUENCE)?);
    outer.finish()?;
    let ca = match fields.read_optional(der::BOOLEAN)? {
        Some(contents) => {
            der::true_not_default(contents)?;
            true
        }
        None => false,
    };
    let path_length = match fields.read_optional(der::INTEGER)? {
        Some(contents) => match der::unsigned(contents)? {
            [length] => Some(*length),
            // A path length that does not fit a byte would never be a limit here.
            _ => return Err(CertificateError::Der(DerError::Integer)),
        },
        None => None,
    };
    fields.finish()?;
    Ok(BasicConstraints { critical, ca, path_length })
}

/// Why bytes are not a certificate of the Nitro hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateError {
    /// Not strict DER, or not the structure of a certificate.
    Der(DerError),
    /// Not X.509 version 3.
    Version,
    /// The algorithm inside the signed part differs from the one beside the signature.
    AlgorithmMismatch,
    /// Signed with another algorithm than ecdsa-with-SHA384.
    SignatureAlgorithm,
    /// The key is not an uncompressed point on the named curve P-384.
    PublicKey,
    /// An extension occurs twice.
    DuplicateExtension,
    /// An extension that must be understood is not.
    UnknownCriticalExtension {
        /// Object identifier, the hex of its DER contents.
        oid: String,
    },
    /// A validity date does not exist or is in the wrong form.
    Time,
    /// The subject has no common name, or more than one.
    CommonName,
}

impl CertificateError {
    /// Number of the check in the checklist that refused.
    #[must_use]
    pub const fn check(&self) -> u8 {
        match self {
            Self::UnknownCriticalExtension { .. } => 18,
            Self::Time => 19,
            Self::CommonName => 20,
            _ => 17,
        }
    }

    /// Stable identifier of the cause.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Der(_) => "cert_malformed",
            Self::Version => "cert_version",
            Self::AlgorithmMismatch => "cert_algorithm_mismatch",
            Self::SignatureAlgorithm => "cert_signature_algorithm",
            Self::PublicKey => "cert_public_key",
            Self::DuplicateExtension => "cert_duplicate_extension",
            Self::UnknownCriticalExtension { .. } => "cert_unknown_critical_extension",
            Self::Time => "cert_time",
            Self::CommonName => "cert_common_name",
        }
    }
}

impl From<DerError> for CertificateError {
    fn from(error: DerError) -> Self {
        Self::Der(error)
    }
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Der(error) => write!(f, "malformed: {error}"),
            Self::Version => f.write_str("not X.509 version 3"),
            Self::AlgorithmMismatch => f.write_str("inner and outer signature algorithm differ"),
            Self::SignatureAlgorithm => f.write_str("not signed with ecdsa-with-SHA384"),
            Self::PublicKey => f.write_str("the key is not a P-384 point"),
            Self::DuplicateExtension => f.write_str("an extension occurs twice"),
            Self::UnknownCriticalExtension { oid } => write!(f, "critical extension (OID {oid}) is not understood"),
            Self::Time => f.write_str("a validity date does not exist or is not in RFC 5280's form"),
            Self::CommonName => f.write_str("the subject does not have exactly one common name"),
        }
    }
}

impl std::error::Error for CertificateError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Der(error) => Some(error),
            _ => None,
        }
    }
}

/// `[0] EXPLICIT`, the version.
const VERSION: u8 = 0xa0;
/// `[3] EXPLICIT`, the extensions.
const EXTENSIONS: u8 = 0xa3;
/// AlgorithmIdentifier of ecdsa-with-SHA384, 1.2.840.10045.4.3.3, without parameters (RFC 5758, 3.2).
const ECDSA_WITH_SHA384: &[u8] = &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03];
/// AlgorithmIdentifier of id-ecPublicKey with the named curve secp384r1 (RFC 5480, 2.1.1).
const EC_P384: &[u8] =
    &[0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];
/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// 2.5.29.19
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
/// 2.5.29.15
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
/// RFC 5280, 4.1.2.2.
const MAX_SERIAL_BYTES: usize = 20;
/// One byte for the form, two coordinates of 48.
const POINT_BYTES: usize = 97;
const UNCOMPRESSED: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::AWS_NITRO_ROOT_G1;
    use proptest::prelude::*;

    #[test]
    fn reads_the_root_of_aws() {
        let root = Certificate::parse(AWS_NITRO_ROOT_G1).unwrap();
        assert_eq!(hex::encode(root.serial), "f93175681b90afe11d46ccb4e4e7f856");
        assert_eq!(root.common_name, "aws.nitro-enclaves");
        assert_eq!(root.issuer, root.subject);
        assert_eq!(root.not_before.to_rfc3339(), "2019-10-28T13:28:05.000Z");
        assert_eq!(root.not_after.to_rfc3339(), "2049-10-28T14:28:05.000Z");
        let expected = BasicConstraints { critical: true, ca: true, path_length: None };
        assert_eq!(root.basic_constraints, Some(expected));
        assert!(root.key_usage.is_some_and(|usage| usage.digital_signature() && usage.key_cert_sign()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn never_panics(at in 0..AWS_NITRO_ROOT_G1.len(), value: u8, keep in 0..=AWS_NITRO_ROOT_G1.len()) {
            let mut der = AWS_NITRO_ROOT_G1.to_vec();
            der[at] = value;
            let _ = Certificate::parse(&der);
            let _ = Certificate::parse(&der[..keep]);
        }
    }
}
