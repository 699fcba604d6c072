//! The artifact: Clef's JSON envelope, version 1.
//!
//! [`Artifact::to_bytes`] writes it byte for byte as Clef does. [`Artifact::parse`] reads it by the rules that Clef's
//! runtime applies before it decrypts, and is stricter in one thing: a repeated member is refused. Members that the
//! runtime ignores are ignored here.
//!
//! Neither says anything about the signature, the time, or whom the artifact is for.
//!
//! Source: Clef runtime 0.1.33, `poller.ts`, and core 0.3.0, `artifact/`, as run.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::json::Json;
use crate::manifest::KmsProvider;
use crate::seal::SealedKms;

/// Longest artifact that is read, in bytes. Ours: twice the largest request, since base64 adds a third.
pub const MAX_ARTIFACT_BYTES: usize = 16 << 20;

/// An artifact. Its members in the order of the file; those that are `None` are absent in it, never `null`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    version: VersionOne,
    /// Who it is for.
    pub identity: String,
    /// Which environment it is for.
    pub environment: String,
    /// When it was packed: `2026-11-23T18:40:09.112Z`.
    pub packed_at: String,
    /// See [`revision`].
    pub revision: String,
    /// SHA-256 of the **base64 text** in `ciphertext`, 64 lower-case hexadecimal digits.
    pub ciphertext_hash: String,
    /// Base64, standard alphabet, padded, of an age file or of AES-256-GCM without its tag.
    pub ciphertext: String,
    /// Present when a KMS wraps the data key; absent for age.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub envelope: Option<KmsEnvelope>,
    /// From when on the runtime refuses it, in the form of `packed_at`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// Base64, standard alphabet, padded, of the signature over [`Artifact::signing_payload`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// What kind of signature. Informational: the runtime goes by the type of its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature_algorithm: Option<SignatureAlgorithm>,
}

/// How the data key is wrapped. All strings; blobs are base64, standard alphabet, padded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KmsEnvelope {
    /// `aws`, `gcp` or `azure`; a reader may see anything.
    pub provider: String,
    /// The key, for AWS the ARN of the key itself and not of an alias.
    pub key_id: String,
    /// The data key as the KMS wrapped it.
    pub wrapped_key: String,
    /// How the KMS wrapped it: `SYMMETRIC_DEFAULT` on AWS.
    pub algorithm: String,
    /// The 12 bytes of the nonce.
    pub iv: String,
    /// The 16 bytes of the tag.
    pub auth_tag: String,
}

/// What kind of signature an artifact has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum SignatureAlgorithm {
    /// RFC 8032, 64 bytes.
    Ed25519,
    /// P-256 over SHA-256, DER.
    #[serde(rename = "ECDSA_SHA256")]
    EcdsaSha256,
}

/// What an artifact is made from.
#[derive(Clone, Debug)]
pub struct Contents<'a> {
    /// Who it is for.
    pub identity: &'a str,
    /// Which environment it is for.
    pub environment: &'a str,
    /// ISO 8601, UTC, milliseconds: `2026-11-23T18:40:09.112Z`.
    pub packed_at: &'a str,
    /// Made by [`revision`].
    pub revision: &'a str,
    /// An age file, or AES-256-GCM without its tag. Raw bytes.
    pub ciphertext: &'a [u8],
    /// For a KMS, how its data key is wrapped.
    pub envelope: Option<KmsEnvelope>,
    /// In the form of `packed_at`.
    pub expires_at: Option<&'a str>,
}

/// Why an artifact is not made or not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArtifactError {
    /// Longer than [`MAX_ARTIFACT_BYTES`].
    TooLarge,
    /// Not JSON.
    NotJson {
        /// Where the reader gave up, from 1.
        line: usize,
    },
    /// An object has a member twice.
    RepeatedMember {
        /// Where, from 1.
        line: usize,
    },
    /// JSON, but no object.
    NotAnObject,
    /// `revokedAt` is set: the runtime wipes what it has and reads no further. Anybody who can write the store can do
    /// this, it is not signed.
    Revoked,
    /// `version` is not the number 1.
    UnsupportedVersion,
    /// A member is absent though required, or not a string (not even `null`).
    BadMember {
        /// Its name, with `envelope.` in front where it belongs there.
        name: &'static str,
    },
    /// `envelope` is there and no object.
    BadEnvelope,
    /// `signatureAlgorithm` is neither `Ed25519` nor `ECDSA_SHA256`.
    UnknownSignatureAlgorithm,
    /// A member that must have content is the empty string.
    EmptyMember {
        /// Its name.
        name: &'static str,
    },
    /// A signed member has a control character: the payload would be ambiguous.
    ControlCharacter {
        /// Its name.
        name: &'static str,
    },
    /// `ciphertextHash` is not the SHA-256 of the text in `ciphertext`, in lower-case hexadecimal.
    HashMismatch,
    /// A member is not base64 in the standard alphabet with padding.
    BadBase64 {
        /// Its name.
        name: &'static str,
    },
}

/// The revision of an artifact: `<unix milliseconds>-<8 lower-case hexadecimal digits>`.
///
/// `unix_ms` is the time of packing, `random` four fresh random bytes.
pub fn revision(unix_ms: u64, random: [u8; 4]) -> String {
    format!("{unix_ms}-{}", hex::encode(random))
}

impl Artifact {
    /// Makes an artifact without a signature.
    ///
    /// # Errors
    /// [`ArtifactError::EmptyMember`] or [`ArtifactError::ControlCharacter`]: a reader would refuse it or its signature
    /// would be ambiguous.
    pub fn new(contents: Contents<'_>) -> Result<Self, ArtifactError> {
        let ciphertext = STANDARD.encode(contents.ciphertext);
        let artifact = Self {
            version: VersionOne,
            identity: contents.identity.into(),
            environment: contents.environment.into(),
            packed_at: contents.packed_at.into(),
            revision: contents.revision.into(),
            ciphertext_hash: text_hash(&ciphertext),
            ciphertext,
            envelope: contents.envelope,
            expires_at: contents.expires_at.map(Into::into),
            signature: None,
            signature_algorithm: None,
        };
        for (name, value) in [
            ("identity", &artifact.identity),
            ("environment", &artifact.environment),
            ("packedAt", &artifact.packed_at),
        ] {
            non_empty(name, value)?;
        }
        if let Some(expires_at) = &artifact.expires_at {
            non_empty("expiresAt", expires_at)?;
        }
        artifact.check_content()?;
        artifact.signing_payload()?;
        Ok(artifact)
    }

    /// The same artifact with a signature over [`Artifact::signing_payload`]: 64 bytes for Ed25519, DER for ECDSA.
    #[must_use]
    pub fn with_signature(mut self, algorithm: SignatureAlgorithm, signature: &[u8]) -> Self {
        self.signature = Some(STANDARD.encode(signature));
        self.signature_algorithm = Some(algorithm);
        self
    }

    /// The file: indented by two spaces, no newline at the end.
    #[expect(clippy::expect_used, reason = "strings and one constant number always become JSON")]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("strings always become JSON")
    }

    /// Reads a file. What comes back has the shape that the runtime accepts; neither [`Artifact::check_hash`] nor any
    /// signature or date was looked at.
    ///
    /// # Errors
    /// In the runtime's order: size, JSON, revocation, shape, empty members.
    pub fn parse(bytes: &[u8]) -> Result<Self, ArtifactError> {
        if bytes.len() > MAX_ARTIFACT_BYTES {
            return Err(ArtifactError::TooLarge);
        }
        // Json takes any JSON value, so the only complaint that is about content is the repeated member.
        let json: Json = serde_json::from_slice(bytes).map_err(|error| {
            let line = error.line();
            if error.is_data() { ArtifactError::RepeatedMember { line } } else { ArtifactError::NotJson { line } }
        })?;
        if !matches!(json, Json::Object(_)) {
            return Err(ArtifactError::NotAnObject);
        }
        if json.get("revokedAt").is_some_and(Json::is_truthy) {
            return Err(ArtifactError::Revoked);
        }
        if !matches!(json.get("version"), Some(Json::Number(1.0))) {
            return Err(ArtifactError::UnsupportedVersion);
        }
        let artifact = Self {
            version: VersionOne,
            identity: text(&json, "identity", "identity")?,
            environment: text(&json, "environment", "environment")?,
            packed_at: text(&json, "packedAt", "packedAt")?,
            revision: text(&json, "revision", "revision")?,
            ciphertext_hash: text(&json, "ciphertextHash", "ciphertextHash")?,
            ciphertext: text(&json, "ciphertext", "ciphertext")?,
            envelope: json.get("envelope").map(KmsEnvelope::read).transpose()?,
            expires_at: optional_text(&json, "expiresAt")?,
            signature: {
                optional_text(&json, "revokedAt")?;
                optional_text(&json, "signature")?
            },
            signature_algorithm: json.get("signatureAlgorithm").map(SignatureAlgorithm::read).transpose()?,
        };
        artifact.check_content()?;
        Ok(artifact)
    }

    /// What is signed: `clef-sig-v3`, fourteen fields joined by LF, none at the end. It covers everything but the
    /// ciphertext (covered through its hash) and the signature's own members.
    ///
    /// # Errors
    /// [`ArtifactError::ControlCharacter`] in any field: the format has no escapes.
    pub fn signing_payload(&self) -> Result<Vec<u8>, ArtifactError> {
        let of_envelope = |field: fn(&KmsEnvelope) -> &String| self.envelope.as_ref().map_or("", |e| field(e).as_str());
        let fields: [(&'static str, &str); 14] = [
            ("payload", "clef-sig-v3"),
            ("version", "1"),
            ("identity", &self.identity),
            ("environment", &self.environment),
            ("revision", &self.revision),
            ("packedAt", &self.packed_at),
            ("ciphertextHash", &self.ciphertext_hash),
            ("expiresAt", self.expires_at.as_deref().unwrap_or("")),
            ("envelope.provider", of_envelope(|e| &e.provider)),
            ("envelope.keyId", of_envelope(|e| &e.key_id)),
            ("envelope.wrappedKey", of_envelope(|e| &e.wrapped_key)),
            ("envelope.algorithm", of_envelope(|e| &e.algorithm)),
            ("envelope.iv", of_envelope(|e| &e.iv)),
            ("envelope.authTag", of_envelope(|e| &e.auth_tag)),
        ];
        for (name, value) in fields {
            if value.contains(char::is_control) {
                return Err(ArtifactError::ControlCharacter { name });
            }
        }
        Ok(fields.map(|(_, value)| value).join("\n").into_bytes())
    }

    /// Checks that `ciphertextHash` is the hash of `ciphertext`. Proves nothing about who wrote either.
    ///
    /// # Errors
    /// [`ArtifactError::HashMismatch`].
    pub fn check_hash(&self) -> Result<(), ArtifactError> {
        if text_hash(&self.ciphertext) == self.ciphertext_hash { Ok(()) } else { Err(ArtifactError::HashMismatch) }
    }

    /// The ciphertext's raw bytes.
    ///
    /// # Errors
    /// [`ArtifactError::BadBase64`].
    pub fn ciphertext_bytes(&self) -> Result<Vec<u8>, ArtifactError> {
        decode("ciphertext", &self.ciphertext)
    }

    fn check_content(&self) -> Result<(), ArtifactError> {
        non_empty("ciphertext", &self.ciphertext)?;
        non_empty("revision", &self.revision)?;
        non_empty("ciphertextHash", &self.ciphertext_hash)?;
        self.envelope.as_ref().map_or(Ok(()), KmsEnvelope::check_content)
    }
}

impl KmsEnvelope {
    /// Describes a data key that `provider` wrapped as `wrapped_key` (raw bytes) under the key `key_id`, and the
    /// encryption under it.
    pub fn new(provider: KmsProvider, key_id: &str, wrapped_key: &[u8], sealed: &SealedKms) -> Self {
        let algorithm = match provider {
            KmsProvider::Aws => "SYMMETRIC_DEFAULT",
            KmsProvider::Gcp => "GOOGLE_SYMMETRIC_ENCRYPTION",
            KmsProvider::Azure => "RSA-OAEP-256",
        };
        Self {
            provider: provider.as_str().into(),
            key_id: key_id.into(),
            wrapped_key: STANDARD.encode(wrapped_key),
            algorithm: algorithm.into(),
            iv: STANDARD.encode(sealed.iv),
            auth_tag: STANDARD.encode(sealed.auth_tag),
        }
    }

    /// The wrapped key's raw bytes.
    ///
    /// # Errors
    /// [`ArtifactError::BadBase64`].
    pub fn wrapped_key_bytes(&self) -> Result<Vec<u8>, ArtifactError> {
        decode("envelope.wrappedKey", &self.wrapped_key)
    }

    /// The nonce's raw bytes, of any length.
    ///
    /// # Errors
    /// [`ArtifactError::BadBase64`].
    pub fn iv_bytes(&self) -> Result<Vec<u8>, ArtifactError> {
        decode("envelope.iv", &self.iv)
    }

    /// The tag's raw bytes, of any length.
    ///
    /// # Errors
    /// [`ArtifactError::BadBase64`].
    pub fn auth_tag_bytes(&self) -> Result<Vec<u8>, ArtifactError> {
        decode("envelope.authTag", &self.auth_tag)
    }

    fn read(json: &Json) -> Result<Self, ArtifactError> {
        if !matches!(json, Json::Object(_)) {
            return Err(ArtifactError::BadEnvelope);
        }
        Ok(Self {
            provider: text(json, "provider", "envelope.provider")?,
            key_id: text(json, "keyId", "envelope.keyId")?,
            wrapped_key: text(json, "wrappedKey", "envelope.wrappedKey")?,
            algorithm: text(json, "algorithm", "envelope.algorithm")?,
            iv: text(json, "iv", "envelope.iv")?,
            auth_tag: text(json, "authTag", "envelope.authTag")?,
        })
    }

    fn check_content(&self) -> Result<(), ArtifactError> {
        non_empty("envelope.provider", &self.provider)?;
        non_empty("envelope.keyId", &self.key_id)?;
        non_empty("envelope.wrappedKey", &self.wrapped_key)?;
        non_empty("envelope.algorithm", &self.algorithm)?;
        non_empty("envelope.iv", &self.iv)?;
        non_empty("envelope.authTag", &self.auth_tag)
    }
}

impl SignatureAlgorithm {
    fn read(json: &Json) -> Result<Self, ArtifactError> {
        match json {
            Json::Text(name) if name == "Ed25519" => Ok(Self::Ed25519),
            Json::Text(name) if name == "ECDSA_SHA256" => Ok(Self::EcdsaSha256),
            _ => Err(ArtifactError::UnknownSignatureAlgorithm),
        }
    }
}

/// The only version there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct VersionOne;

impl Serialize for VersionOne {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(1)
    }
}

fn text_hash(base64_text: &str) -> String {
    hex::encode(Sha256::digest(base64_text.as_bytes()))
}

fn decode(name: &'static str, text: &str) -> Result<Vec<u8>, ArtifactError> {
    STANDARD.decode(text).map_err(|_| ArtifactError::BadBase64 { name })
}

fn text(object: &Json, member: &str, name: &'static str) -> Result<String, ArtifactError> {
    match object.get(member) {
        Some(Json::Text(text)) => Ok(text.clone()),
        _ => Err(ArtifactError::BadMember { name }),
    }
}

fn optional_text(object: &Json, name: &'static str) -> Result<Option<String>, ArtifactError> {
    if object.get(name).is_none() { Ok(None) } else { text(object, name, name).map(Some) }
}

fn non_empty(name: &'static str, value: &str) -> Result<(), ArtifactError> {
    if value.is_empty() { Err(ArtifactError::EmptyMember { name }) } else { Ok(()) }
}

impl ArtifactError {
    /// A stable name for this kind of refusal.
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLarge => "artifact_too_large",
            Self::NotJson { .. } => "artifact_not_json",
            Self::RepeatedMember { .. } => "artifact_repeated_member",
            Self::NotAnObject => "artifact_not_an_object",
            Self::Revoked => "artifact_revoked",
            Self::UnsupportedVersion => "artifact_unsupported_version",
            Self::BadMember { .. } => "artifact_bad_member",
            Self::BadEnvelope => "artifact_bad_envelope",
            Self::UnknownSignatureAlgorithm => "artifact_unknown_signature_algorithm",
            Self::EmptyMember { .. } => "artifact_empty_member",
            Self::ControlCharacter { .. } => "artifact_control_character",
            Self::HashMismatch => "artifact_hash_mismatch",
            Self::BadBase64 { .. } => "artifact_bad_base64",
        }
    }
}

impl fmt::Display for ArtifactError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "the artifact is longer than {MAX_ARTIFACT_BYTES} bytes"),
            Self::NotJson { line } => write!(f, "the artifact is not JSON at line {line}; is it the right file?"),
            Self::RepeatedMember { line } => {
                write!(f, "the artifact has a member twice at line {line}; readers would disagree about it, pack again")
            }
            Self::NotAnObject => f.write_str("the artifact is no JSON object; is it the right file?"),
            Self::Revoked => f.write_str("the artifact is revoked (revokedAt is set); pack a new one"),
            Self::UnsupportedVersion => f.write_str("the artifact's version is not the number 1"),
            Self::BadMember { name } => write!(f, "the artifact's {name} is missing or not a string"),
            Self::BadEnvelope => f.write_str("the artifact's envelope is not an object"),
            Self::UnknownSignatureAlgorithm => {
                f.write_str("the artifact's signatureAlgorithm is neither Ed25519 nor ECDSA_SHA256")
            }
            Self::EmptyMember { name } => write!(f, "the artifact's {name} is empty"),
            Self::ControlCharacter { name } => {
                write!(f, "the artifact's {name} has a control character, so its signature would be ambiguous")
            }
            Self::HashMismatch => f.write_str("ciphertextHash is not the hash of ciphertext; the artifact was changed"),
            Self::BadBase64 { name } => write!(f, "the artifact's {name} is not padded standard base64"),
        }
    }
}

impl std::error::Error for ArtifactError {}
