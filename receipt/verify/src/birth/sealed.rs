//! The file, and the document that certifies its statement.

use base64::{Engine, prelude::BASE64_STANDARD};
use packproof_receipt::{
    binding::DocumentTag,
    sealed::{BirthStatement, SealedKey},
};

use crate::{
    checks::{Checks, Refusal, ensure},
    evidence::VerifiedDocument,
    expectations::Root,
    json::{self, JsonCodes},
    steps::evidence,
};

/// Longest sealed key file that is read, in bytes: a blob, a page of statement and a document of some KiB.
pub const MAX_SEALED_KEY_BYTES: usize = 256 * 1024;
/// Longest `CiphertextBlob` that KMS decrypts, in bytes (API reference, Decrypt).
pub const MAX_BLOB_BYTES: usize = 6_144;

/// What was read of a sealed key file. Nothing of it is believed.
pub(super) struct Received {
    sealed: Option<SealedKey>,
    pub(super) blob: Option<Vec<u8>>,
    pub(super) statement: Option<BirthStatement>,
}

/// Reads the file, its blob and its statement.
pub(super) fn read(checks: &mut Checks<'_>, bytes: &[u8]) -> Received {
    let sealed = checks.judge("sealed_key_format", "the sealed key file can be read", Some(read_file(bytes)));
    let blob = sealed.as_ref().map(|sealed| read_blob(&sealed.blob));
    let blob = checks.judge("sealed_blob", "the sealed key is a blob that KMS could have made", blob);
    let statement = sealed.as_ref().map(|sealed| json::read_named(sealed.birth_statement.as_bytes(), &STATEMENT_CODES));
    let statement = checks.judge("birth_statement_format", "the birth statement can be read", statement);
    Received { sealed, blob, statement }
}

/// Verifies the document, and that it was made for exactly this statement.
pub(super) fn document(checks: &mut Checks<'_>, received: &Received, root: Root<'_>) -> Option<VerifiedDocument> {
    let sealed = received.sealed.as_ref();
    let root = evidence::trusted_root(checks, root);
    let content = sealed.map(|sealed| sealed.birth_document.as_str());
    let document = evidence::nitro_document(checks, content, root);
    let bound = document.as_ref().zip(sealed).map(|(document, sealed)| {
        let expected = DocumentTag::Birth.user_data(sealed.birth_statement.as_bytes());
        ensure(document.user_data.as_deref() == Some(&expected[..]), "birth_binding", || {
            "the document's user_data does not bind this birth statement".to_owned()
        })
    });
    checks.judge("birth_binding", "the document's user_data binds this birth statement", bound);
    let key = document.as_ref().map(|document| {
        ensure(document.public_key.is_none(), "birth_document_key", || {
            "the document carries a public key, which a birth certificate never does".to_owned()
        })
    });
    checks.judge("birth_document_key", "the document carries no key of its own", key);
    let nonce = document.as_ref().map(|document| {
        ensure(document.nonce.as_ref().is_none_or(|nonce| nonce.len() == 32), "birth_nonce", || {
            "the document's nonce is not a challenge of 32 bytes".to_owned()
        })
    });
    checks.judge("birth_nonce", "the document's nonce is a challenge of 32 bytes, or absent", nonce);
    document
}

fn read_file(bytes: &[u8]) -> Result<SealedKey, Refusal> {
    ensure(bytes.len() <= MAX_SEALED_KEY_BYTES, "sealed_key_too_long", || {
        format!("the sealed key file is longer than {MAX_SEALED_KEY_BYTES} bytes")
    })?;
    let sealed: SealedKey = json::read_named(bytes, &FILE_CODES)?;
    ensure(sealed.schema == 1, "sealed_key_schema", || {
        format!("the sealed key file has schema {}, known is 1", sealed.schema)
    })?;
    Ok(sealed)
}

fn read_blob(text: &str) -> Result<Vec<u8>, Refusal> {
    let blob = BASE64_STANDARD
        .decode(text)
        .map_err(|_| Refusal::new("sealed_blob_base64", "the blob is not standard base64"))?;
    ensure((1..=MAX_BLOB_BYTES).contains(&blob.len()), "sealed_blob_length", || {
        format!("the blob has {} bytes; KMS makes 1 to {MAX_BLOB_BYTES}", blob.len())
    })?;
    Ok(blob)
}

const FILE_CODES: JsonCodes = JsonCodes {
    what: "sealed key file",
    json: "sealed_key_json",
    repeated: "sealed_key_repeated_member",
    shape: "sealed_key_shape",
};

const STATEMENT_CODES: JsonCodes = JsonCodes {
    what: "birth statement",
    json: "birth_statement_json",
    repeated: "birth_statement_repeated_member",
    shape: "birth_statement_shape",
};
