//! The artifact, read for its signature: Clef's JSON envelope, version 1.
//!
//! A reader of its own, so that the auditor does not run the packer's. It takes exactly the members that a receipt's
//! artifact can have; a repeated or unknown one is refused, and so is `revokedAt`.
//!
//! Source: `receipt/SPEC.md`, "Artifact"; Clef core 0.3.0 writes this form.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Deserializer};
use sha2::{Digest, Sha256};

use crate::{
    checks::{Refusal, ensure},
    json::{self, JsonError},
    public_key::ed25519_point,
};

/// Longest artifact that is read, in bytes.
pub(crate) const MAX_ARTIFACT_BYTES: usize = 16 << 20;

/// An artifact. Nothing of it is verified.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Artifact {
    version: u64,
    pub(crate) identity: String,
    pub(crate) environment: String,
    pub(crate) packed_at: String,
    pub(crate) revision: String,
    ciphertext_hash: String,
    ciphertext: String,
    #[serde(default, deserialize_with = "present")]
    pub(crate) envelope: Option<Envelope>,
    pub(crate) expires_at: String,
    signature: String,
    signature_algorithm: String,
}

/// How the data key is wrapped.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Envelope {
    pub(crate) provider: String,
    pub(crate) key_id: String,
    pub(crate) wrapped_key: String,
    pub(crate) algorithm: String,
    iv: String,
    auth_tag: String,
}

/// A member that is there has a value: `null` is refused, as Clef's runtime does.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl Artifact {
    /// Reads an artifact as packs make them: with a lifetime and an Ed25519 signature.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        ensure(bytes.len() <= MAX_ARTIFACT_BYTES, "artifact_too_long", || {
            format!("the artifact is longer than {MAX_ARTIFACT_BYTES} bytes")
        })?;
        let artifact: Self = json::read(bytes).map_err(|error| match error {
            JsonError::Syntax { line, column } => {
                Refusal::new("artifact_json", format!("the artifact is not JSON (line {line}, column {column})"))
            }
            JsonError::RepeatedMember { line, column } => Refusal::new(
                "artifact_repeated_member",
                format!("the artifact has a member twice (line {line}, column {column})"),
            ),
            JsonError::Shape(reason) => {
                Refusal::new("artifact_shape", format!("the artifact is not one that a pack makes: {reason}"))
            }
        })?;
        ensure(artifact.version == 1, "artifact_version", || {
            format!("the artifact has version {}, known is 1", artifact.version)
        })?;
        ensure(artifact.signature_algorithm == "Ed25519", "artifact_signature_algorithm", || {
            "the artifact's signatureAlgorithm is not Ed25519".to_owned()
        })?;
        // the payload has no escapes: a line end inside a field would make it say two things
        ensure(
            !artifact.fields().iter().any(|field| field.contains(char::is_control)),
            "artifact_control_character",
            || "a signed member of the artifact has a control character".to_owned(),
        )?;
        Ok(artifact)
    }

    /// The signed bytes, `clef-sig-v3`: fourteen fields joined by LF, none at the end.
    pub(crate) fn signing_payload(&self) -> Vec<u8> {
        self.fields().join("\n").into_bytes()
    }

    /// Whether `ciphertextHash` is the SHA-256 of the base64 *text* in `ciphertext`.
    pub(crate) fn check_hash(&self) -> Result<(), Refusal> {
        let found = hex::encode(Sha256::digest(self.ciphertext.as_bytes()));
        ensure(found == self.ciphertext_hash, "artifact_ciphertext_hash", || {
            "the artifact's ciphertextHash is not that of its ciphertext".to_owned()
        })
    }

    /// Verifies the signature under an Ed25519 key given as SPKI, DER, base64.
    pub(crate) fn check_signature(&self, public_key: &str) -> Result<(), Refusal> {
        let refused = || {
            let text = "the artifact's signature is not one by the policy's signer.public_key";
            Refusal::new("artifact_signature", text)
        };
        let point = ed25519_point(public_key).ok_or_else(refused)?;
        let signature = BASE64_STANDARD.decode(&self.signature).map_err(|_| refused())?;
        UnparsedPublicKey::new(&ED25519, point).verify(&self.signing_payload(), &signature).map_err(|_| refused())
    }

    fn fields(&self) -> [&str; 14] {
        let of_envelope = |field: fn(&Envelope) -> &String| self.envelope.as_ref().map_or("", |e| field(e).as_str());
        [
            "clef-sig-v3",
            "1",
            &self.identity,
            &self.environment,
            &self.revision,
            &self.packed_at,
            &self.ciphertext_hash,
            &self.expires_at,
            of_envelope(|e| &e.provider),
            of_envelope(|e| &e.key_id),
            of_envelope(|e| &e.wrapped_key),
            of_envelope(|e| &e.algorithm),
            of_envelope(|e| &e.iv),
            of_envelope(|e| &e.auth_tag),
        ]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AGE: &str = r#"{"version":1,"identity":"i","environment":"e","packedAt":"p","revision":"r","ciphertextHash":"h","ciphertext":"c","expiresAt":"x","signature":"s","signatureAlgorithm":"Ed25519"}"#;

    fn with_envelope() -> String {
        let envelope =
            r#""envelope":{"provider":"1","keyId":"2","wrappedKey":"3","algorithm":"4","iv":"5","authTag":"6"},"#;
        AGE.replacen(r#""expiresAt""#, &format!(r#"{envelope}"expiresAt""#), 1)
    }

    #[test]
    fn the_payload_is_the_documented_fourteen_lines() {
        let payload = Artifact::parse(AGE.as_bytes()).unwrap().signing_payload();
        assert_eq!(payload, b"clef-sig-v3\n1\ni\ne\nr\np\nh\nx\n\n\n\n\n\n");
        let payload = Artifact::parse(with_envelope().as_bytes()).unwrap().signing_payload();
        assert_eq!(payload, b"clef-sig-v3\n1\ni\ne\nr\np\nh\nx\n1\n2\n3\n4\n5\n6");
    }

    #[test]
    fn each_departure_has_its_name() {
        let code = |from: &str, to: &str| {
            let text = with_envelope();
            assert_eq!(text.matches(from).count(), 1, "{from}");
            let refusal = Artifact::parse(text.replacen(from, to, 1).as_bytes()).unwrap_err();
            format!("{refusal:?}").split('"').nth(1).unwrap().to_owned()
        };
        assert_eq!(code(r#"{"version":1"#, r#"{"version":1,,"#), "artifact_json");
        assert_eq!(code(r#""version":1"#, r#""version":1,"version":1"#), "artifact_repeated_member");
        assert_eq!(code(r#""version":1"#, r#""version":2"#), "artifact_version");
        assert_eq!(code(r#""version":1"#, r#""version":1,"revokedAt":"now""#), "artifact_shape");
        assert_eq!(code(r#""expiresAt":"x","#, ""), "artifact_shape");
        assert_eq!(code(r#""signature":"s","#, ""), "artifact_shape");
        assert_eq!(code(r#""iv":"5","#, ""), "artifact_shape");
        assert_eq!(code(r#""iv":"5""#, r#""iv":null"#), "artifact_shape");
        assert_eq!(code("Ed25519", "ECDSA_SHA256"), "artifact_signature_algorithm");
        assert_eq!(code(r#""keyId":"2""#, r#""keyId":"2\n3""#), "artifact_control_character");
        let null = AGE.replacen(r#""expiresAt""#, r#""envelope":null,"expiresAt""#, 1);
        assert!(Artifact::parse(null.as_bytes()).is_err());
        let long = vec![b' '; MAX_ARTIFACT_BYTES + 1];
        assert!(format!("{:?}", Artifact::parse(&long).unwrap_err()).contains("artifact_too_long"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn never_panics(at in 0..AGE.len(), byte: u8) {
            let mut bytes = AGE.as_bytes().to_vec();
            bytes[at] = byte;
            if let Ok(artifact) = Artifact::parse(&bytes) {
                let _ = artifact.check_hash();
                let _ = artifact.check_signature("MCowBQYDK2VwAyEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
            }
        }
    }
}
