//! Public keys as OpenSSH writes them, and signatures by them.
//!
//! Source: RFC 8709 (Ed25519), RFC 5656 section 3.1 (ECDSA), RFC 4253 section 6.6 and RFC 8332 (RSA), OpenSSH's
//! `PROTOCOL.u2f` (hardware keys).

use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA512,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use ed25519_dalek::VerifyingKey;
use sha2::{Digest, Sha256};

use super::error::{SshSigError, SshSigFlaw, printable};
use super::reader::{Reader, put_string};

/// The types of key whose signatures are verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyType {
    /// `ssh-ed25519`.
    Ed25519,
    /// `ecdsa-sha2-nistp256`.
    EcdsaP256,
    /// `ssh-rsa`, 2048 to 8192 bits, signing with SHA-512 or SHA-256.
    Rsa,
    /// `sk-ssh-ed25519@openssh.com`: Ed25519 in a FIDO authenticator.
    SkEd25519,
    /// `sk-ecdsa-sha2-nistp256@openssh.com`: ECDSA P-256 in a FIDO authenticator.
    SkEcdsaP256,
}

impl KeyType {
    const ALL: [Self; 5] = [Self::Ed25519, Self::EcdsaP256, Self::Rsa, Self::SkEd25519, Self::SkEcdsaP256];

    /// SSH's name for it, the first word of a key line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ssh-ed25519",
            Self::EcdsaP256 => "ecdsa-sha2-nistp256",
            Self::Rsa => "ssh-rsa",
            Self::SkEd25519 => "sk-ssh-ed25519@openssh.com",
            Self::SkEcdsaP256 => "sk-ecdsa-sha2-nistp256@openssh.com",
        }
    }

    /// The name of a certificate for such a key.
    const fn certificate_name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ssh-ed25519-cert-v01@openssh.com",
            Self::EcdsaP256 => "ecdsa-sha2-nistp256-cert-v01@openssh.com",
            Self::Rsa => "ssh-rsa-cert-v01@openssh.com",
            Self::SkEd25519 => "sk-ssh-ed25519-cert-v01@openssh.com",
            Self::SkEcdsaP256 => "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
        }
    }

    /// The signature algorithms of such a key: `ssh-rsa`, which is SHA-1, is none.
    const fn algorithms(self) -> &'static [&'static str] {
        match self {
            Self::Ed25519 => &["ssh-ed25519"],
            Self::EcdsaP256 => &["ecdsa-sha2-nistp256"],
            Self::Rsa => &[RSA_SHA2_512, RSA_SHA2_256],
            Self::SkEd25519 => &["sk-ssh-ed25519@openssh.com"],
            Self::SkEcdsaP256 => &["sk-ecdsa-sha2-nistp256@openssh.com"],
        }
    }

    pub(super) fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|key_type| key_type.name().as_bytes() == name)
    }

    pub(super) fn from_certificate_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|key_type| key_type.certificate_name().as_bytes() == name)
    }
}

const RSA_SHA2_512: &str = "rsa-sha2-512";
const RSA_SHA2_256: &str = "rsa-sha2-256";

/// A sound public key: each has one encoding, and two are equal when their encodings are.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicKey {
    key_type: KeyType,
    blob: Vec<u8>,
    material: Material,
    /// SHA-256 of the application string, of a hardware key only.
    application_hash: Option<[u8; 32]>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Material {
    /// A point that is not of small order.
    Ed25519(VerifyingKey),
    /// SEC1's uncompressed point, 65 bytes, on the curve.
    P256(Vec<u8>),
    /// Big-endian, without leading zeros.
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
}

impl PublicKey {
    /// Reads a line of a `.pub` file: `ssh-ed25519 AAAA… comment`, the comment optional.
    ///
    /// Options in front of the type are not read, certificates are no keys.
    ///
    /// # Errors
    /// [`SshSigError::UnsupportedKeyType`] for another type, [`SshSigError::UnsupportedKeySize`] for an RSA key outside
    /// of 2048 to 8192 bits, [`SshSigError::InvalidPublicKey`] for anything else.
    pub fn parse(line: &str) -> Result<Self, SshSigError> {
        if line.contains(['\n', '\r', '\0']) {
            return Err(SshSigError::InvalidPublicKey);
        }
        let mut words = line.splitn(3, ' ');
        let (Some(name), Some(base64)) = (words.next(), words.next()) else {
            return Err(SshSigError::InvalidPublicKey);
        };
        let unsupported = || SshSigError::UnsupportedKeyType { name: printable(name.as_bytes()) };
        let key_type = KeyType::from_name(name.as_bytes()).ok_or_else(unsupported)?;
        let blob = STANDARD.decode(base64).map_err(|_| SshSigError::InvalidPublicKey)?;
        let key = Self::from_blob(&blob).map_err(|error| match error {
            SshSigError::Malformed(_) => SshSigError::InvalidPublicKey,
            other => other,
        })?;
        if key.key_type == key_type { Ok(key) } else { Err(SshSigError::InvalidPublicKey) }
    }

    /// Its type.
    pub const fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// SSH's encoding: `string type` and the type's fields; in base64 the second word of a key line.
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// The fingerprint as `ssh-keygen -l` prints it: `SHA256:` and 43 characters of base64.
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(&self.blob)))
    }

    /// Reads [`blob`](Self::blob).
    pub(super) fn from_blob(blob: &[u8]) -> Result<Self, SshSigError> {
        let mut reader = Reader(blob);
        let name = reader.string().ok_or(SshSigFlaw::KeyBlob)?;
        let unsupported = || SshSigError::UnsupportedKeyType { name: printable(name) };
        let key_type = KeyType::from_name(name).ok_or_else(unsupported)?;
        let key = Self::read(key_type, &mut reader)?;
        if reader.is_empty() { Ok(key) } else { Err(SshSigFlaw::KeyBlob.into()) }
    }

    /// Reads the fields of a key, which in a certificate stand after a nonce.
    pub(super) fn read(key_type: KeyType, reader: &mut Reader<'_>) -> Result<Self, SshSigError> {
        let before = reader.0;
        let material = match key_type {
            KeyType::Ed25519 | KeyType::SkEd25519 => read_ed25519(reader).ok_or(SshSigFlaw::KeyBlob)?,
            KeyType::EcdsaP256 | KeyType::SkEcdsaP256 => read_p256(reader).ok_or(SshSigFlaw::KeyBlob)?,
            KeyType::Rsa => read_rsa(reader)?,
        };
        let application_hash = match key_type {
            KeyType::SkEd25519 | KeyType::SkEcdsaP256 => {
                // ssh-keygen makes no other; a web site's key signs what the web site wants
                let application = reader.string().filter(|name| name.starts_with(b"ssh:"));
                Some(Sha256::digest(application.ok_or(SshSigFlaw::KeyBlob)?).into())
            }
            KeyType::Ed25519 | KeyType::EcdsaP256 | KeyType::Rsa => None,
        };
        let mut blob = Vec::new();
        put_string(&mut blob, key_type.name().as_bytes())?;
        blob.extend_from_slice(reader.taken_since(before).ok_or(SshSigFlaw::KeyBlob)?);
        Ok(Self { key_type, blob, material, application_hash })
    }

    /// Verifies `signature`, which is `string algorithm ‖ string signature` and, of a hardware key, `byte flags ‖
    /// uint32 counter`.
    ///
    /// Returns the algorithm. A hardware key's owner must have touched it; the counter is not looked at.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<&'static str, SshSigError> {
        let mut reader = Reader(signature);
        let name = reader.string().ok_or(SshSigFlaw::SignatureBlob)?;
        let algorithm = self.key_type.algorithms().iter().find(|algorithm| algorithm.as_bytes() == name);
        let algorithm = *algorithm.ok_or_else(|| SshSigError::UnsupportedAlgorithm {
            key_type: self.key_type.name(),
            name: printable(name),
        })?;
        let signature = reader.string().ok_or(SshSigFlaw::SignatureBlob)?;
        let signed_by_device = match &self.application_hash {
            Some(application_hash) => Some(read_device_data(application_hash, message, &mut reader)?),
            None => None,
        };
        if !reader.is_empty() {
            return Err(SshSigFlaw::SignatureBlob.into());
        }
        self.material.verify(algorithm, signed_by_device.as_deref().unwrap_or(message), signature)?;
        Ok(algorithm)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key_type.name(), self.fingerprint())
    }
}

impl Material {
    fn verify(&self, algorithm: &str, message: &[u8], signature: &[u8]) -> Result<(), SshSigError> {
        let verified = match self {
            Self::Ed25519(key) => {
                let signature = ed25519_dalek::Signature::from_slice(signature);
                // refuses what has more than one encoding or signer
                key.verify_strict(message, &signature.map_err(|_| SshSigFlaw::SignatureBlob)?).is_ok()
            }
            Self::P256(point) => {
                let signature = fixed_ecdsa(signature).ok_or(SshSigFlaw::SignatureBlob)?;
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, &signature).is_ok()
            }
            Self::Rsa { modulus, exponent } => {
                // RFC 8332: as long as the modulus. OpenSSH also takes one whose leading zeros are cut off.
                if signature.len() != modulus.len() {
                    return Err(SshSigFlaw::SignatureBlob.into());
                }
                let parameters = match algorithm {
                    RSA_SHA2_512 => &RSA_PKCS1_2048_8192_SHA512,
                    RSA_SHA2_256 => &RSA_PKCS1_2048_8192_SHA256,
                    _ => return Err(SshSigError::BadSignature),
                };
                RsaPublicKeyComponents { n: modulus, e: exponent }.verify(parameters, message, signature).is_ok()
            }
        };
        if verified { Ok(()) } else { Err(SshSigError::BadSignature) }
    }
}

/// `string key`, 32 bytes.
fn read_ed25519(reader: &mut Reader<'_>) -> Option<Material> {
    let bytes: &[u8; 32] = reader.string()?.try_into().ok()?;
    let key = VerifyingKey::from_bytes(bytes).ok()?;
    // A key of small order verifies signatures that nobody made; a second encoding of a key is a second key to a
    // comparison of bytes.
    if key.is_weak() || key.to_edwards().compress().as_bytes() != bytes {
        return None;
    }
    Some(Material::Ed25519(key))
}

/// `string "nistp256" ‖ string point`, the point uncompressed.
fn read_p256(reader: &mut Reader<'_>) -> Option<Material> {
    if reader.string()? != b"nistp256" {
        return None;
    }
    let point = reader.string()?;
    // OpenSSH reads no compressed point either: it would be a second encoding.
    if !matches!(point, [4, rest @ ..] if rest.len() == 64) {
        return None;
    }
    ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).ok()?;
    Some(Material::P256(point.to_vec()))
}

/// `mpint e ‖ mpint n`.
fn read_rsa(reader: &mut Reader<'_>) -> Result<Material, SshSigError> {
    /// NIST SP 800-131A allows no shorter ones; longer ones cost only time.
    const MIN_BITS: usize = 2048;
    const MAX_BITS: usize = 8192;
    /// Every exponent that OpenSSH ever made has at most 17 bits.
    const MAX_EXPONENT_BYTES: usize = 4;

    let exponent = reader.positive_mpint().ok_or(SshSigFlaw::KeyBlob)?;
    let modulus = reader.positive_mpint().ok_or(SshSigFlaw::KeyBlob)?;
    let [first, ..] = modulus else { return Err(SshSigFlaw::KeyBlob.into()) };
    let bits = modulus.len().saturating_mul(8).saturating_sub(usize::try_from(first.leading_zeros()).unwrap_or(0));
    if !(MIN_BITS..=MAX_BITS).contains(&bits) {
        return Err(SshSigError::UnsupportedKeySize { bits });
    }
    let is_odd = |number: &[u8]| number.last().is_some_and(|last| last & 1 == 1);
    if !is_odd(modulus) || !is_odd(exponent) || exponent == [1] || exponent.len() > MAX_EXPONENT_BYTES {
        return Err(SshSigFlaw::KeyBlob.into());
    }
    Ok(Material::Rsa { modulus: modulus.to_vec(), exponent: exponent.to_vec() })
}

/// Puts `mpint r ‖ mpint s` into 32 bytes each.
fn fixed_ecdsa(signature: &[u8]) -> Option<[u8; 64]> {
    let mut reader = Reader(signature);
    let mut fixed = [0; 64];
    for half in fixed.chunks_exact_mut(32) {
        let number = reader.positive_mpint()?;
        let start = half.len().checked_sub(number.len())?;
        half.get_mut(start..)?.copy_from_slice(number);
    }
    reader.is_empty().then_some(fixed)
}

/// Reads `byte flags ‖ uint32 counter`; returns what the authenticator signed: SHA-256(application) ‖ flags ‖ counter ‖
/// SHA-256(message).
fn read_device_data(
    application_hash: &[u8; 32],
    message: &[u8],
    reader: &mut Reader<'_>,
) -> Result<Vec<u8>, SshSigError> {
    /// CTAP 2, "authenticator data": somebody touched it.
    const USER_PRESENT: u8 = 1;

    let flags = reader.u8().ok_or(SshSigFlaw::SignatureBlob)?;
    let counter = reader.u32().ok_or(SshSigFlaw::SignatureBlob)?;
    if flags & USER_PRESENT == 0 {
        return Err(SshSigError::UserNotPresent);
    }
    let message_hash = Sha256::digest(message);
    Ok([application_hash.as_slice(), &[flags], &counter.to_be_bytes(), &message_hash].concat())
}

#[cfg(test)]
mod tests;
