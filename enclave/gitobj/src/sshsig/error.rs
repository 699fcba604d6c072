//! Why signatures and keys are refused.

use std::fmt;

/// Why an SSH signature, or a public key, is refused.
///
/// Names that come out of the signature are at most 64 printable ASCII characters, principals text without control
/// characters.
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
    /// The key's type is none of [`KeyType`](super::KeyType).
    UnsupportedKeyType {
        /// The type's name.
        name: String,
    },
    /// An RSA key has less than 2048 or more than 8192 bits.
    UnsupportedKeySize {
        /// How many it has.
        bits: usize,
    },
    /// A signature's algorithm is not one for the type of its key, or hashes with SHA-1 (`ssh-rsa`).
    UnsupportedAlgorithm {
        /// The key's type.
        key_type: &'static str,
        /// The algorithm's name.
        name: String,
    },
    /// A hardware key signed without being touched.
    UserNotPresent,
    /// The key that signed is not among the allowed ones. Whether it truly signed is not asked.
    UnknownSigner {
        /// Its fingerprint, as `ssh-keygen -l` prints it.
        fingerprint: String,
    },
    /// The key that signed has a certificate by an authority that is not among the allowed ones.
    UnknownAuthority {
        /// The authority's fingerprint.
        fingerprint: String,
    },
    /// No time was given to hold validity against.
    NoTime,
    /// The key is allowed, but not at all the times that matter.
    KeyNotValid {
        /// The first time at which it is not, in seconds since 1970.
        at: u64,
        /// The first second at which it is.
        valid_after: Option<u64>,
        /// The last second at which it is.
        valid_before: Option<u64>,
    },
    /// A certificate is not well-formed, or not for signers.
    InvalidCertificate(CertificateFlaw),
    /// The authority that a certificate names did not make it.
    BadCertificateSignature,
    /// A certificate sets a condition that is not understood here.
    CriticalOption {
        /// The first condition's name.
        name: String,
    },
    /// A certificate does not hold at all the times that matter.
    CertificateNotValid {
        /// The first time at which it does not, in seconds since 1970.
        at: u64,
        /// The first second of its validity.
        valid_after: u64,
        /// The first second after its validity.
        valid_before: u64,
    },
    /// A certificate is for none of the allowed principals.
    WrongPrincipal {
        /// Those it is for, without control characters.
        found: Vec<String>,
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
            Self::UnsupportedKeySize { .. } => "unsupported_key_size",
            Self::UnsupportedAlgorithm { .. } => "unsupported_signature_algorithm",
            Self::UserNotPresent => "user_not_present",
            Self::UnknownSigner { .. } => "unknown_signer",
            Self::UnknownAuthority { .. } => "unknown_certificate_authority",
            Self::NoTime => "no_verification_time",
            Self::KeyNotValid { .. } => "key_not_valid",
            Self::InvalidCertificate(_) => "invalid_certificate",
            Self::BadCertificateSignature => "bad_certificate_signature",
            Self::CriticalOption { .. } => "unsupported_critical_option",
            Self::CertificateNotValid { .. } => "certificate_not_valid",
            Self::WrongPrincipal { .. } => "wrong_principal",
            Self::BadSignature => "bad_signature",
            Self::InvalidPublicKey => "invalid_public_key",
        }
    }
}

impl fmt::Display for SshSigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned => f.write_str("there is no signature; sign with an SSH key that the policy names"),
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
            Self::UnsupportedKeySize { bits } => {
                write!(f, "an RSA key has {bits} bits, 2048 to 8192 are accepted; use an ssh-ed25519 key")
            }
            Self::UnsupportedAlgorithm { key_type, name } => write!(
                f,
                "signature algorithm {name:?} is not accepted from a key of type {key_type}; sign anew, with RSA by \
                 rsa-sha2-512"
            ),
            Self::UserNotPresent => {
                f.write_str("the hardware key signed without a touch; sign anew with a key that asks for one")
            }
            Self::UnknownSigner { fingerprint } => {
                write!(f, "the signer {fingerprint} is not allowed here; sign with a key that the policy names")
            }
            Self::UnknownAuthority { fingerprint } => write!(
                f,
                "the certificate authority {fingerprint} is not allowed here; use a certificate by one that the \
                 policy names"
            ),
            Self::NoTime => f.write_str("validity needs a time; give at least one"),
            Self::KeyNotValid { at, valid_after, valid_before } => {
                write!(f, "the signer's key does not count at {at}")?;
                valid_after.map_or(Ok(()), |after| write!(f, ", but from {after}"))?;
                valid_before.map_or(Ok(()), |last| write!(f, ", but until {last}"))?;
                f.write_str(" (seconds since 1970); sign with a key that is valid now and was then")
            }
            Self::InvalidCertificate(flaw) => {
                write!(f, "the signer's certificate {flaw}; have it issued anew")
            }
            Self::BadCertificateSignature => {
                f.write_str("the signer's certificate was not made by the authority it names; have it issued anew")
            }
            Self::CriticalOption { name } => {
                write!(f, "the signer's certificate has the critical option {name:?}; have one issued without")
            }
            Self::CertificateNotValid { at, valid_after, valid_before } => write!(
                f,
                "the signer's certificate holds from {valid_after} to before {valid_before}, not at {at} (seconds \
                 since 1970); sign and pack within one certificate's time"
            ),
            Self::WrongPrincipal { found } => {
                write!(f, "the signer's certificate is for {found:?}; use one for a principal that the policy names")
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

impl From<CertificateFlaw> for SshSigError {
    fn from(flaw: CertificateFlaw) -> Self {
        Self::InvalidCertificate(flaw)
    }
}

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateFlaw {
    /// It ends inside a field, or goes on after the last.
    Form,
    /// Its reserved field is not empty.
    Reserved,
    /// Its name, or a principal, is not UTF-8 or has control characters.
    Text,
    /// It has no principal, or an empty one.
    NoPrincipal,
    /// It has more than 256 principals.
    TooManyPrincipals,
    /// It is for hosts.
    NotForUsers,
}

impl fmt::Display for CertificateFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "has the wrong form",
            Self::Reserved => "has a reserved field that is not empty",
            Self::Text => "has text that cannot be shown",
            Self::NoPrincipal => "has no principal or an empty one",
            Self::TooManyPrincipals => "has over 256 principals",
            Self::NotForUsers => "is not for users",
        })
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
    /// The public key is not one of its type, in its one encoding.
    KeyBlob,
    /// The signature proper is not one of its algorithm.
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
