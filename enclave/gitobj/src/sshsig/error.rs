//! Why signatures and keys are refused.

use std::fmt;

/// Why an SSH signature, or a public key, is refused.
///
/// Names that come out of the signature are at most 64 printable ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SshSigError {
    /// There is no signature.
    Unsigned,
    /// The signature is of another scheme than SSH.
    UnsupportedScheme {
        /// OpenPGP or X.509.
        scheme: &'static str,
    },
    /// The signature is not well-formed.
    Malformed(SshSigFlaw),
    /// The format's version is not 1.
    UnsupportedVersion {
        /// The version it has.
        version: u32,
    },
    /// The signature is for another purpose.
    WrongNamespace {
        /// The namespace it must have.
        expected: String,
        /// The namespace it has.
        found: String,
    },
    /// The message goes through another hash than SHA-256 or SHA-512.
    UnsupportedHash {
        /// The hash's name.
        name: String,
    },
    /// The key or the signature is not plain Ed25519.
    UnsupportedKeyType {
        /// The type's name.
        name: String,
    },
    /// The key that signed is not among the allowed ones. Whether it truly signed is not asked.
    UnknownSigner {
        /// Its fingerprint, as `ssh-keygen -l` prints it.
        fingerprint: String,
    },
    /// An allowed key did not sign this message.
    BadSignature,
    /// A public key is not one line `ssh-ed25519 AAAA… comment` with a sound key.
    InvalidPublicKey,
}

impl SshSigError {
    /// A stable name for this refusal.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::UnsupportedScheme { .. } => "unsupported_signature_scheme",
            Self::Malformed(_) => "malformed_signature",
            Self::UnsupportedVersion { .. } => "unsupported_signature_version",
            Self::WrongNamespace { .. } => "wrong_signature_namespace",
            Self::UnsupportedHash { .. } => "unsupported_signature_hash",
            Self::UnsupportedKeyType { .. } => "unsupported_key_type",
            Self::UnknownSigner { .. } => "unknown_signer",
            Self::BadSignature => "bad_signature",
            Self::InvalidPublicKey => "invalid_public_key",
        }
    }
}

impl fmt::Display for SshSigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned => f.write_str("there is no signature; sign with an ssh-ed25519 key that the policy names"),
            Self::UnsupportedScheme { scheme } => {
                write!(f, "the signature is {scheme}; sign with an SSH key (git config gpg.format ssh)")
            }
            Self::Malformed(flaw) => {
                write!(f, "the SSH signature is malformed: {flaw}; make it with ssh-keygen -Y sign")
            }
            Self::UnsupportedVersion { version } => {
                write!(f, "the SSH signature has version {version}, only 1 is read; sign with ssh-keygen -Y sign")
            }
            Self::WrongNamespace { expected, found } => {
                write!(f, "the signature is for {found:?}, not for {expected:?}; sign with -n {expected}")
            }
            Self::UnsupportedHash { name } => {
                write!(f, "the signature uses hash {name:?}; sign with -O hashalg=sha512 or sha256")
            }
            Self::UnsupportedKeyType { name } => {
                write!(f, "key type {name:?} is not supported; use an ssh-ed25519 key")
            }
            Self::UnknownSigner { fingerprint } => {
                write!(f, "the signer {fingerprint} is not allowed here; sign with a key that the policy names")
            }
            Self::BadSignature => f.write_str("the signature does not match what it should cover; sign anew"),
            Self::InvalidPublicKey => {
                f.write_str("not a public key; give one line as ssh-keygen writes it: ssh-ed25519 AAAA… comment")
            }
        }
    }
}

impl std::error::Error for SshSigError {}

impl From<SshSigFlaw> for SshSigError {
    fn from(flaw: SshSigFlaw) -> Self {
        Self::Malformed(flaw)
    }
}

/// What is wrong with a signature's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SshSigFlaw {
    /// It has over 16 KiB.
    TooLong,
    /// The text is not a header line, lines of at most 76 characters, and a footer line, with LF between.
    Armor,
    /// The lines are not base64 in its one spelling.
    Base64,
    /// It does not begin with `SSHSIG`.
    Magic,
    /// It ends inside a field.
    Truncated,
    /// There are bytes after the last field.
    TrailingBytes,
    /// The namespace is empty.
    EmptyNamespace,
    /// The reserved field is not empty.
    Reserved,
    /// The public key is not a type and 32 bytes.
    KeyBlob,
    /// The signature proper is not a type and 64 bytes.
    SignatureBlob,
}

impl fmt::Display for SshSigFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "it is too long",
            Self::Armor => "it does not stand between its BEGIN and END lines",
            Self::Base64 => "it is not base64",
            Self::Magic => "it does not begin with SSHSIG",
            Self::Truncated => "it is cut off",
            Self::TrailingBytes => "bytes follow its last field",
            Self::EmptyNamespace => "its namespace is empty",
            Self::Reserved => "its reserved field is not empty",
            Self::KeyBlob => "its public key has the wrong form",
            Self::SignatureBlob => "its inner signature has the wrong form",
        })
    }
}

/// A name out of hostile bytes, fit for a message.
pub(super) fn printable(name: &[u8]) -> String {
    const MAX_NAME_BYTES: usize = 64;
    match str::from_utf8(name) {
        Ok(name) if name.len() <= MAX_NAME_BYTES && name.bytes().all(|byte| byte.is_ascii_graphic()) => name.to_owned(),
        _ => "(unprintable)".to_owned(),
    }
}
