//! The signer's certificate: PEM around one X.509 certificate (RFC 5280) with a P-384 key.
//!
//! PCR8 is the hash of the certificate, so it must not be computed over bytes that AWS's tools (OpenSSL) refuse, write
//! otherwise, or do not look at. So the whole grammar is checked, down to the fields of each extension, and a text with a
//! second PEM block is refused: OpenSSL would take a `TRUSTED CERTIFICATE` in front. Nothing in it is believed.

use base64::{Engine, engine::general_purpose::STANDARD};
use packproof_receipt::measure::{Pcr, pcr};
use zeroize::Zeroizing;

use crate::signature::SignatureError;

/// Largest accepted certificate, PEM.
pub const MAX_CERTIFICATE_BYTES: usize = 16_384;

/// The certificate of an image's signer, with a P-384 key.
///
/// Proves nothing: no chain, name or validity is looked at. What counts is PCR8, the hash of its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    public_key: Vec<u8>,
}

impl Certificate {
    /// Reads the only PEM block of a text. Other text around it, as `openssl x509 -text` writes, is passed over.
    ///
    /// # Errors
    /// [`SignatureError`] when there is no certificate, or any second block, or when its key is not on P-384.
    pub fn from_pem(pem: &[u8]) -> Result<Self, SignatureError> {
        if pem.len() > MAX_CERTIFICATE_BYTES {
            return Err(SignatureError::CertificateTooLarge(pem.len()));
        }
        // anywhere, as OpenSSL cuts long lines into several
        if pem.windows(PEM_BEGIN.len()).filter(|window| *window == PEM_BEGIN).count() != 1 {
            return Err(SignatureError::CertificatePem);
        }
        let der = pem_block(pem, "CERTIFICATE").ok_or(SignatureError::CertificatePem)?;
        Self::from_der(&der)
    }

    /// Reads a certificate.
    ///
    /// # Errors
    /// [`SignatureError::CertificateDer`], [`SignatureError::CertificateVersion`], [`SignatureError::CertificateKey`].
    pub fn from_der(der: &[u8]) -> Result<Self, SignatureError> {
        let (version, key_info) = version_and_key_info(der).ok_or(SignatureError::CertificateDer)?;
        if !matches!(version, Version::One | Version::Three) {
            return Err(SignatureError::CertificateVersion);
        }
        let point = key_info.strip_prefix(P384_SPKI).ok_or(SignatureError::CertificateKey)?;
        if point.len() != P384_POINT_BYTES || point.first() != Some(&UNCOMPRESSED) {
            return Err(SignatureError::CertificateKey);
        }
        Ok(Self { der: der.to_vec(), public_key: point.to_vec() })
    }

    /// The certificate's bytes.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The key: an uncompressed point, 97 bytes.
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// PCR8 of an image signed with this certificate: SHA-384(48 zero bytes ‖ SHA-384(DER)).
    pub fn pcr8(&self) -> Pcr {
        pcr(&[&self.der])
    }

    /// The certificate as PEM, 64 columns: the same text whatever surrounded it when it was read.
    pub fn to_pem(&self) -> String {
        let text = STANDARD.encode(&self.der);
        let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
        let mut rest = text.as_str();
        while let Some((line, more)) = rest.split_at_checked(PEM_COLUMNS) {
            pem.push_str(line);
            pem.push('\n');
            rest = more;
        }
        if !rest.is_empty() {
            pem.push_str(rest);
            pem.push('\n');
        }
        pem.push_str("-----END CERTIFICATE-----\n");
        pem
    }
}

/// The content of the only PEM block with this label; other blocks and text around it are passed over. Its lines are
/// those of RFC 7468, section 3: 64 characters, fewer only in the last.
pub(crate) fn pem_block(pem: &[u8], label: &str) -> Option<Zeroizing<Vec<u8>>> {
    let text = std::str::from_utf8(pem).ok()?;
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let mut lines = text.lines();
    lines.by_ref().find(|line| *line == begin)?;
    let mut content = Zeroizing::new(String::with_capacity(pem.len()));
    let mut ended = false;
    let mut last = false;
    for line in lines.by_ref() {
        ended = line == end;
        if ended {
            break;
        }
        if last || line.is_empty() || line.len() > PEM_COLUMNS {
            return None;
        }
        last = line.len() < PEM_COLUMNS;
        content.push_str(line);
    }
    let only = !lines.any(|line| line == begin);
    let decoded = STANDARD.decode(content.as_bytes()).ok()?;
    (ended && only).then(|| Zeroizing::new(decoded))
}

/// DER items from the front of a slice; lengths in their shortest form, at most 65,535.
pub(crate) struct Der<'a>(pub(crate) &'a [u8]);

impl<'a> Der<'a> {
    /// Content of the next item, which must have this tag.
    pub(crate) fn item(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (first, rest) = self.0.split_first()?;
        let (length, rest) = rest.split_first()?;
        let (length, rest) = match length {
            0..=0x7f => (usize::from(*length), rest),
            0x81 => {
                let (length, rest) = rest.split_first()?;
                ((*length >= 0x80).then_some(usize::from(*length))?, rest)
            }
            0x82 => {
                let (length, rest) = rest.split_first_chunk::<2>()?;
                let length = u16::from_be_bytes(*length);
                ((length > 0xff).then_some(usize::from(length))?, rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        (*first == tag).then_some(content)
    }

    /// The next item as a reader of its content.
    fn inside(&mut self, tag: u8) -> Option<Self> {
        self.item(tag).map(Der)
    }

    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// All of the input has been read.
    pub(crate) fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }

    /// An INTEGER in its shortest form.
    pub(crate) fn integer(&mut self) -> Option<&'a [u8]> {
        let value = self.item(INTEGER)?;
        let padded =
            matches!(value, [0, next, ..] if *next < 0x80) || matches!(value, [0xff, next, ..] if *next >= 0x80);
        (!value.is_empty() && !padded).then_some(value)
    }

    /// An OBJECT IDENTIFIER: each arc in its shortest form, the last one complete.
    fn object_identifier(&mut self) -> Option<()> {
        let value = self.item(OBJECT_IDENTIFIER)?;
        let mut starts = true;
        for byte in value {
            if starts && *byte == 0x80 {
                return None;
            }
            starts = *byte < 0x80;
        }
        (!value.is_empty() && starts).then_some(())
    }

    /// A BIT STRING of whole bytes.
    fn bit_string(&mut self, tag: u8) -> Option<()> {
        self.item(tag)?.strip_prefix(&[0]).map(drop)
    }

    /// `AlgorithmIdentifier` of ECDSA or EdDSA (no parameters) or RSA (NULL).
    fn algorithm(&mut self) -> Option<()> {
        let mut fields = self.inside(SEQUENCE)?;
        fields.object_identifier()?;
        if fields.peek() == Some(NULL) && !fields.item(NULL)?.is_empty() {
            return None;
        }
        fields.end()
    }

    /// `Name`: values in UTF-8, PrintableString or IA5String.
    fn name(&mut self) -> Option<()> {
        let mut name = self.inside(SEQUENCE)?;
        while name.peek().is_some() {
            let mut set = name.inside(SET)?;
            loop {
                let mut attribute = set.inside(SEQUENCE)?;
                attribute.object_identifier()?;
                let tag = attribute.peek()?;
                let value = attribute.item(tag)?;
                let is_text = match tag {
                    UTF8_STRING => std::str::from_utf8(value).is_ok(),
                    PRINTABLE_STRING | IA5_STRING => value.is_ascii(),
                    _ => false,
                };
                if !is_text {
                    return None;
                }
                attribute.end()?;
                if set.peek().is_none() {
                    break;
                }
            }
        }
        Some(())
    }

    fn validity(&mut self) -> Option<()> {
        let mut fields = self.inside(SEQUENCE)?;
        for _ in 0..2 {
            let tag = fields.peek().filter(|tag| matches!(*tag, UTC_TIME | GENERALIZED_TIME))?;
            let (time, zone) = fields.item(tag)?.split_at_checked(if tag == UTC_TIME { 12 } else { 14 })?;
            if zone != b"Z" || !is_time(time)? {
                return None;
            }
        }
        fields.end()
    }

    fn extensions(&mut self) -> Option<()> {
        let mut wrapped = self.inside(EXTENSIONS)?;
        let mut list = wrapped.inside(SEQUENCE)?;
        wrapped.end()?;
        loop {
            let mut extension = list.inside(SEQUENCE)?;
            extension.object_identifier()?;
            // critical: FALSE is the default and so is left out
            if extension.peek() == Some(BOOLEAN) && extension.item(BOOLEAN)? != [0xff] {
                return None;
            }
            extension.item(OCTET_STRING)?;
            extension.end()?;
            if list.peek().is_none() {
                return Some(());
            }
        }
    }
}

/// Whether `[YY]YYMMDDhhmmss` is a time that exists; `None` when it is something other than digits.
fn is_time(digits: &[u8]) -> Option<bool> {
    let digit = |byte: &u8| char::from(*byte).to_digit(10);
    let pairs: Option<Vec<u32>> =
        digits.chunks(2).map(|pair| pair.iter().try_fold(0, |sum, byte| Some(sum * 10 + digit(byte)?))).collect();
    let pairs = pairs?;
    let (year, rest) = pairs.split_at_checked(pairs.len().checked_sub(5)?)?;
    let [month, day, hour, minute, second] = *rest else { return None };
    // two digits stand for 1950 to 2049, where every fourth year is a leap year
    let leap = match *year {
        [century, 0] => century % 4 == 0,
        [_, year] | [year] => year % 4 == 0,
        _ => return None,
    };
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    Some((1..=days).contains(&day) && hour < 24 && minute < 60 && second < 60)
}

const PEM_BEGIN: &[u8] = b"-----BEGIN";
/// RFC 7468, section 2.
const PEM_COLUMNS: usize = 64;
const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const NULL: u8 = 0x05;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;
const ISSUER_UNIQUE_ID: u8 = 0x81;
const SUBJECT_UNIQUE_ID: u8 = 0x82;
const EXTENSIONS: u8 = 0xa3;
/// `SubjectPublicKeyInfo` of a P-384 point up to the point (RFC 5480): id-ecPublicKey, secp384r1.
const P384_SPKI: &[u8] = &[
    0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00,
    0x22, 0x03, 0x62, 0x00,
];
const P384_POINT_BYTES: usize = 97;
const UNCOMPRESSED: u8 = 4;

#[derive(PartialEq)]
enum Version {
    /// The default, so the field is left out. What `openssl x509 -req` makes when it is given no extensions, as in AWS's
    /// own instructions for signing an image.
    One,
    /// Refused by name, with or without extensions: nothing makes it.
    Two,
    Three,
}

/// Version and `SubjectPublicKeyInfo` of a certificate that has the grammar of RFC 5280, 4.1.
fn version_and_key_info(der: &[u8]) -> Option<(Version, &[u8])> {
    let mut file = Der(der);
    let mut certificate = file.inside(SEQUENCE)?;
    file.end()?;
    let mut tbs = certificate.inside(SEQUENCE)?;
    certificate.algorithm()?;
    certificate.bit_string(BIT_STRING)?;
    certificate.end()?;

    let version = if tbs.peek() == Some(VERSION) {
        let mut version = tbs.inside(VERSION)?;
        let value = version.integer()?;
        version.end()?;
        match value {
            [1] => Version::Two,
            [2] => Version::Three,
            _ => return None,
        }
    } else {
        Version::One
    };
    tbs.integer()?;
    tbs.algorithm()?;
    tbs.name()?;
    tbs.validity()?;
    tbs.name()?;
    let before = tbs.0;
    tbs.item(SEQUENCE)?;
    let key_info = before.get(..before.len().saturating_sub(tbs.0.len()))?;
    for tag in [ISSUER_UNIQUE_ID, SUBJECT_UNIQUE_ID] {
        if version != Version::One && tbs.peek() == Some(tag) {
            tbs.bit_string(tag)?;
        }
    }
    if version != Version::One && tbs.peek().is_some() {
        tbs.extensions()?;
    }
    tbs.end()?;
    Some((version, key_info))
}

#[cfg(test)]
mod tests;
