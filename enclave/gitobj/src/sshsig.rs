//! OpenSSH signatures over messages: what `ssh-keygen -Y sign` makes and git puts into commits and tags.
//!
//! | algorithm | key |
//! | --- | --- |
//! | `ssh-ed25519` | Ed25519 |
//! | `ecdsa-sha2-nistp256` | ECDSA P-256 |
//! | `rsa-sha2-512`, `rsa-sha2-256` | RSA, 2048 to 8192 bits |
//! | `sk-ssh-ed25519@openssh.com`, `sk-ecdsa-sha2-nistp256@openssh.com` | in a FIDO authenticator, which was touched |
//!
//! Each also with a certificate by an authority whose key is any of these. Everything else is refused by name.
//!
//! # Stricter than OpenSSH
//!
//! * validity must hold at all times that are given, and the critical options of certificates, which `ssh-keygen` does
//!   not look at, are refused;
//! * a hardware key must have been touched, and its application begins with `ssh:`;
//! * RSA keys of less than 2048 bits, and SHA-1 in a certificate;
//! * a version below 1, text around the armor, a non-empty reserved field, numbers with leading zeros, RSA signatures
//!   without them.
//!
//! An ECDSA signature (r, s) is valid as (r, n - s) too: count keys, never signatures.
//!
//! Source: OpenSSH's `PROTOCOL.sshsig`, and those of each module.

mod armor;
mod certificate;
mod error;
mod key;
mod reader;
mod signer;

use sha2::Digest;

pub use error::{CertificateFlaw, SshSigError, SshSigFlaw};
pub use key::{KeyType, PublicKey};
pub use signer::{AllowedSigner, Certified, Verified};

use certificate::UnverifiedCertificate;
use error::printable;
use reader::{Reader, put_string};

/// The namespace of git's signatures over commits and tags.
pub const GIT_NAMESPACE: &str = "git";

/// Verifies that one of `allowed` signed `message` under `namespace`.
///
/// `armored` is the signature as `ssh-keygen -Y sign` prints it. The signer's key, and its certificate when it has one,
/// must be valid at all of `times`, in seconds since 1970, at least one: the signature itself proves nothing about when.
/// A key with a certificate is allowed through its authority only, a key without one only as itself.
///
/// # Errors
/// An error of [`SshSigError`] for each thing that can be wrong with the signature; [`SshSigError::UnknownSigner`] and
/// [`SshSigError::UnknownAuthority`] for a signature by none of `allowed`, and [`SshSigError::BadSignature`] for one
/// over something else.
pub fn verify(
    armored: &[u8],
    namespace: &str,
    message: &[u8],
    allowed: &[AllowedSigner],
    times: &[u64],
) -> Result<Verified, SshSigError> {
    if times.is_empty() {
        return Err(SshSigError::NoTime);
    }
    let blob = armor::decode(armored)?;
    let envelope = Envelope::parse(&blob)?;
    if envelope.namespace != namespace.as_bytes() {
        let found = printable(envelope.namespace);
        return Err(SshSigError::WrongNamespace { expected: namespace.to_owned(), found });
    }
    let mut signed = MAGIC.to_vec();
    put_string(&mut signed, namespace.as_bytes())?;
    put_string(&mut signed, b"")?; // reserved
    put_string(&mut signed, envelope.hash.name())?;
    put_string(&mut signed, &envelope.hash.digest(message))?;

    let (index, certificate) = match envelope.certificate {
        None => (signer::find_key(&envelope.key, allowed, times)?, None),
        Some(certificate) => {
            let (index, certified) = signer::find_authority(certificate, allowed, times)?;
            (index, Some(certified))
        }
    };
    let scheme = envelope.key.verify(&signed, envelope.signature)?;
    Ok(Verified { index, scheme, fingerprint: envelope.key.fingerprint(), certificate })
}

/// First bytes of the envelope, and of what is signed.
const MAGIC: &[u8; 6] = b"SSHSIG";
const VERSION: u32 = 1;

/// The parts of a signature, of which none is verified yet.
struct Envelope<'a> {
    key: PublicKey,
    certificate: Option<UnverifiedCertificate<'a>>,
    namespace: &'a [u8],
    hash: Hash,
    signature: &'a [u8],
}

impl<'a> Envelope<'a> {
    fn parse(blob: &'a [u8]) -> Result<Self, SshSigError> {
        let mut reader = Reader(blob);
        if reader.take(MAGIC.len()) != Some(MAGIC) {
            return Err(SshSigFlaw::Magic.into());
        }
        let version = reader.u32().ok_or(SshSigFlaw::Truncated)?;
        if version != VERSION {
            return Err(SshSigError::UnsupportedVersion { version });
        }
        let key_blob = reader.string().ok_or(SshSigFlaw::Truncated)?;
        let namespace = reader.string().ok_or(SshSigFlaw::Truncated)?;
        let reserved = reader.string().ok_or(SshSigFlaw::Truncated)?;
        let hash = reader.string().ok_or(SshSigFlaw::Truncated)?;
        let signature = reader.string().ok_or(SshSigFlaw::Truncated)?;
        if !reader.is_empty() {
            return Err(SshSigFlaw::TrailingBytes.into());
        }
        if namespace.is_empty() {
            return Err(SshSigFlaw::EmptyNamespace.into());
        }
        // OpenSSH skips this field and signs an empty one.
        if !reserved.is_empty() {
            return Err(SshSigFlaw::Reserved.into());
        }
        let (key, certificate) = parse_key(key_blob)?;
        Ok(Self { key, certificate, namespace, hash: Hash::parse(hash)?, signature })
    }
}

/// Reads a key, or a certificate and the key in it.
fn parse_key(blob: &[u8]) -> Result<(PublicKey, Option<UnverifiedCertificate<'_>>), SshSigError> {
    let name = Reader(blob).string().ok_or(SshSigFlaw::KeyBlob)?;
    match KeyType::from_certificate_name(name) {
        None => Ok((PublicKey::from_blob(blob)?, None)),
        Some(key_type) => {
            let (key, certificate) = UnverifiedCertificate::parse(key_type, blob)?;
            Ok((key, Some(certificate)))
        }
    }
}

/// The hash that the message goes through first.
#[derive(Clone, Copy)]
enum Hash {
    Sha256,
    Sha512,
}

impl Hash {
    fn parse(name: &[u8]) -> Result<Self, SshSigError> {
        match name {
            b"sha256" => Ok(Self::Sha256),
            b"sha512" => Ok(Self::Sha512),
            _ => Err(SshSigError::UnsupportedHash { name: printable(name) }),
        }
    }

    const fn name(self) -> &'static [u8] {
        match self {
            Self::Sha256 => b"sha256",
            Self::Sha512 => b"sha512",
        }
    }

    fn digest(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => sha2::Sha256::digest(message).to_vec(),
            Self::Sha512 => sha2::Sha512::digest(message).to_vec(),
        }
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
