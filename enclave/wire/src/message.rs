//! The messages. No member of a request is believed; no member of an answer holds plaintext.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{bytes, frame::FrameKind};

/// What the host asks.
#[derive(Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "lowercase", deny_unknown_fields)]
pub enum Request {
    /// What is running. Answer: [`Described`].
    Describe {},
    /// The same with an NSM document (tag `describe`). Answer: [`Attested`].
    Attest {
        /// 32 bytes that come back as the document's nonce.
        #[serde(with = "bytes::option", default)]
        challenge: Option<Vec<u8>>,
    },
    /// Make an artifact. Answer: [`PackAnswer`].
    Pack(PackRequest),
    /// Make a sealed key. Answer: [`SealAnswer`].
    Seal(SealRequest),
}

/// One pack.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackRequest {
    /// Clef's identity.
    pub identity: String,
    /// Clef's environment.
    pub environment: String,
    /// Commit id, lower-case hex.
    pub commit: String,
    /// Id of an annotated tag of the commit whose signature counts in place of the commit's, lower-case hex.
    #[serde(default)]
    pub tag: Option<String>,
    /// Exactly the git objects needed: commit, tag, trees on the paths, blobs. Anything more is refused.
    pub objects: Vec<Object>,
    /// Approvals, where the policy asks for them.
    #[serde(default)]
    pub approvals: Vec<Approval>,
    /// Lifetime of the artifact in seconds; the policy's maximum when absent.
    pub ttl_seconds: Option<u64>,
    /// 32 bytes that come back as the receipt document's nonce.
    #[serde(with = "bytes::option", default)]
    pub challenge: Option<Vec<u8>>,
    /// CiphertextBlob of the sealed signer.
    #[serde(with = "bytes")]
    pub sealed_signer: Vec<u8>,
    /// CiphertextBlob of the sealed age key, where the policy says `unseal`.
    #[serde(with = "bytes::option", default)]
    pub sealed_age_key: Option<Vec<u8>>,
    /// Credentials to call KMS with.
    pub credentials: Credentials,
}

/// One approval. What it approves is not sent: the enclave puts the signed text together from what it packs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Until when it can be used: RFC 3339 with milliseconds, UTC.
    pub not_after: String,
    /// The armored signature, as `ssh-keygen -Y sign` writes it.
    pub signature: String,
}

/// A git object. Its id is computed inside.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Object {
    /// `commit`, `tree`, `blob` or `tag`.
    pub kind: String,
    /// The object's content, without git's header.
    #[serde(with = "bytes")]
    pub body: Vec<u8>,
}

/// AWS credentials. Not secret from the host, which supplies them: key policies rest on measurements.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: String,
    /// Session token of temporary credentials.
    pub session_token: Option<String>,
}

/// Which key to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SealPurpose {
    /// The Ed25519 key that signs artifacts.
    Signer,
    /// The age key that cells are encrypted to.
    AgeKey,
}

/// Make a sealed key.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealRequest {
    /// Which.
    pub purpose: SealPurpose,
    /// Clef's identity.
    pub identity: String,
    /// Clef's environment.
    pub environment: String,
    /// 32 bytes that come back as the birth document's nonce.
    #[serde(with = "bytes::option", default)]
    pub challenge: Option<Vec<u8>>,
    /// Credentials to call KMS with.
    pub credentials: Credentials,
}

/// Answer to `describe`, and the body that `attest` binds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Described {
    /// Version of the enclave program.
    pub version: String,
    /// The measured policy, byte for byte.
    pub policy: String,
    /// Lower-case hex.
    pub pcr0: String,
    /// Lower-case hex.
    pub pcr1: String,
    /// Lower-case hex.
    pub pcr2: String,
    /// SPKI of this boot's receipt key, DER, base64.
    pub receipt_key: String,
}

/// Answer to `attest`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attested {
    /// The JSON bytes of a [`Described`]: the body under tag `describe`.
    #[serde(with = "bytes")]
    pub description: Vec<u8>,
    /// The NSM document.
    #[serde(with = "bytes")]
    pub document: Vec<u8>,
}

/// Answer to `pack`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackAnswer {
    /// Clef's artifact, byte for byte as it is to be written.
    #[serde(with = "bytes")]
    pub artifact: Vec<u8>,
    /// The receipt, two lines.
    #[serde(with = "bytes")]
    pub receipt: Vec<u8>,
}

/// Answer to `seal`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealAnswer {
    /// CiphertextBlob.
    #[serde(with = "bytes")]
    pub blob: Vec<u8>,
    /// The JSON bytes of the birth statement.
    #[serde(with = "bytes")]
    pub birth_statement: Vec<u8>,
    /// The NSM document over it, tag `birth`.
    #[serde(with = "bytes")]
    pub birth_document: Vec<u8>,
}

/// Enclave to egress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DialRequest {
    /// Exact host name.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// What kind of no it is; decides the command's exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorClass {
    /// The answer is no. Exit code 1.
    Refused,
    /// The request is unreadable. Exit code 2.
    Usage,
    /// Enclave, KMS or network; retrying may help. Exit code 3.
    Environment,
}

/// Body of an error frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorAnswer {
    /// Stable code.
    pub code: String,
    /// What kind of no.
    pub class: ErrorClass,
    /// What happened and what to do next. Depends on ciphertext only.
    pub message: String,
}

/// What came back: an answer of type `T`, or an error.
pub type Answer<T> = Result<T, ErrorAnswer>;

/// The JSON body of a message.
pub fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    // Strings, numbers and structs only: serialization cannot fail. An empty body would be refused by the reader.
    serde_json::to_vec(message).unwrap_or_default()
}

/// Reads a message from a frame's body.
///
/// # Errors
/// Positions and member names only, never values.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    // serde would take an array for an object too
    if body.first() != Some(&b'{') {
        return Err("the message is not one JSON object".to_owned());
    }
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => "a member is missing, unknown, repeated or of another type".to_owned(),
        _ => format!("not a JSON message at line {} column {}", error.line(), error.column()),
    })
}

/// Reads the answer to a request from a frame.
///
/// # Errors
/// When the frame is neither an answer of this type nor an error.
pub fn decode_answer<T: DeserializeOwned>(kind: FrameKind, body: &[u8]) -> Result<Answer<T>, String> {
    match kind {
        FrameKind::Answer => decode(body).map(Ok),
        FrameKind::Error => decode(body).map(Err),
        _ => Err("the frame is no answer".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack() -> String {
        r#"{"request":"pack","identity":"a","environment":"b","commit":"c","objects":[{"kind":"blob","body":"AAE="}],
            "ttl_seconds":null,"sealed_signer":"","credentials":{"access_key_id":"","secret_access_key":"","session_token":null}}"#
            .to_owned()
    }

    #[test]
    fn requests_read_back() {
        let Ok(Request::Pack(request)) = decode(pack().as_bytes()) else { panic!("pack") };
        assert_eq!(request.objects[0].body, [0, 1]);
        assert!(matches!(decode(br#"{"request":"describe"}"#), Ok(Request::Describe {})));
        let again: Result<Request, _> = decode(&encode(&Request::Pack(request)));
        assert!(again.is_ok());
    }

    #[test]
    fn what_is_not_of_the_protocol_is_refused() {
        let refused = |text: String| decode::<Request>(text.as_bytes()).is_err();
        assert!(refused(pack().replace("\"ttl_seconds\"", "\"ttl\"")));
        assert!(refused(pack().replace("\"identity\"", "\"commit\"")));
        assert!(refused(pack().replace("AAE=", "AAE")));
        assert!(refused(pack().replace("AAE=", "AAF=")));
        assert!(refused(pack().replace("\"request\":\"pack\"", "\"request\":\"unpack\"")));
        assert!(refused(r#"{"request":"describe","challenge":null}"#.to_owned()));
        assert!(refused(pack() + "{}"));
        assert!(refused(r#"["describe"]"#.to_owned()));
    }

    #[test]
    fn errors_hold_no_values() {
        let Err(error) = decode::<Request>(pack().replace("\"identity\":\"a\"", "\"identity\":7").as_bytes()) else {
            panic!("refused")
        };
        assert!(!error.contains('7'));
    }
}
