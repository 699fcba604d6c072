//! OpenSSH signatures over messages: what `ssh-keygen -Y sign` makes and git puts into commits.
//!
//! Only Ed25519 keys are read; other types, certificates and hardware keys are refused by name.
//!
//! Source: OpenSSH's `PROTOCOL.sshsig`; RFC 4251 section 5 (strings), RFC 8709 (Ed25519 in SSH).

mod armor;
mod error;
mod key;
mod reader;

use sha2::Digest;

pub use error::{SshSigError, SshSigFlaw};
pub use key::PublicKey;

use error::printable;
use reader::{ED25519, Reader, put_string};

/// The namespace of git's signatures over commits and tags.
pub const GIT_NAMESPACE: &str = "git";

/// Verifies that one of `allowed` signed `message` under `namespace`.
///
/// `armored` is the signature as `ssh-keygen -Y sign` prints it. Returns the first place in `allowed` of the key that
/// signed. Proves nothing about when.
///
/// # Errors
/// An error of [`SshSigError`] for each thing that can be wrong with the signature; [`SshSigError::UnknownSigner`] for
/// a signature by a key that is not in `allowed`, and [`SshSigError::BadSignature`] for one over something else.
pub fn verify(armored: &[u8], namespace: &str, message: &[u8], allowed: &[PublicKey]) -> Result<usize, SshSigError> {
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

    let signer = allowed.iter().enumerate().find(|(_, key)| key.as_bytes() == envelope.public_key);
    let (index, key) =
        signer.ok_or_else(|| SshSigError::UnknownSigner { fingerprint: key::fingerprint(envelope.public_key_blob) })?;
    key.verify(&signed, envelope.signature)?;
    Ok(index)
}

/// First bytes of the envelope, and of what is signed.
const MAGIC: &[u8; 6] = b"SSHSIG";
const VERSION: u32 = 1;

/// The parts of a signature, of which none is verified yet.
struct Envelope<'a> {
    public_key_blob: &'a [u8],
    public_key: &'a [u8; 32],
    namespace: &'a [u8],
    hash: Hash,
    signature: &'a [u8; 64],
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
        let public_key_blob = reader.string().ok_or(SshSigFlaw::Truncated)?;
        let namespace = reader.string().ok_or(SshSigFlaw::Truncated)?;
        let reserved = reader.string().ok_or(SshSigFlaw::Truncated)?;
        let hash = reader.string().ok_or(SshSigFlaw::Truncated)?;
        let signature_blob = reader.string().ok_or(SshSigFlaw::Truncated)?;
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
        Ok(Self {
            public_key_blob,
            public_key: key::split_blob(public_key_blob)?,
            namespace,
            hash: Hash::parse(hash)?,
            signature: split_signature(signature_blob)?,
        })
    }
}

/// Takes the 64 bytes out of `string "ssh-ed25519" ‖ string signature`.
fn split_signature(blob: &[u8]) -> Result<&[u8; 64], SshSigError> {
    let mut reader = Reader(blob);
    let scheme = reader.string().ok_or(SshSigFlaw::SignatureBlob)?;
    if scheme != ED25519.as_bytes() {
        return Err(SshSigError::UnsupportedKeyType { name: printable(scheme) });
    }
    let signature = reader.string().ok_or(SshSigFlaw::SignatureBlob)?;
    if !reader.is_empty() {
        return Err(SshSigFlaw::SignatureBlob.into());
    }
    signature.try_into().map_err(|_| SshSigFlaw::SignatureBlob.into())
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
mod tests;
