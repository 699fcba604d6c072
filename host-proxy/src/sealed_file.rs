//! Sealed key files (`packproof_receipt::sealed`), looked at before they travel.
//!
//! What a file says of itself proves nothing: the enclave derives the key and compares it with the measured policy. The
//! host looks at it only to tell a user who mixed up two files, before KMS refuses one for a reason it does not give.

use std::path::{Path, PathBuf};

use base64::{Engine, prelude::BASE64_STANDARD};
use packproof_receipt::sealed::{BirthStatement, SealedKey};
use packproof_wire::SealPurpose;

use crate::{Error, files};

/// A CiphertextBlob is at most 6 KiB, a document some KiB.
const MAX_FILE_BYTES: u64 = 256 * 1024;

/// A sealed key file, unverified.
pub(crate) struct SealedFile {
    pub path: PathBuf,
    pub blob: Vec<u8>,
    pub birth: BirthStatement,
}

impl SealedFile {
    /// Reads a sealed key file.
    ///
    /// # Errors
    /// [`Error::CannotRead`], [`Error::FileTooLong`], [`Error::SealedKey`].
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let wrong = |reason: &str| Error::SealedKey { path: path.to_owned(), reason: reason.to_owned() };
        let bytes = files::read(path, MAX_FILE_BYTES)?;
        let sealed: SealedKey =
            serde_json::from_slice(&bytes).map_err(|e| wrong(&format!("line {} of it", e.line())))?;
        if sealed.schema != 1 {
            return Err(wrong("its schema is not 1"));
        }
        let blob = BASE64_STANDARD.decode(&sealed.blob).map_err(|_| wrong("its blob is not standard base64"))?;
        let birth =
            serde_json::from_str(&sealed.birth_statement).map_err(|_| wrong("its birth statement is not one"))?;
        Ok(Self { path: path.to_owned(), blob, birth })
    }

    /// Takes the blob, if the file says that it is for this.
    ///
    /// # Errors
    /// [`Error::SealedKeyMismatch`].
    pub(crate) fn blob_for(self, purpose: SealPurpose, identity: &str, environment: &str) -> Result<Vec<u8>, Error> {
        let found = format!("{} of {}/{}", self.birth.purpose, self.birth.identity, self.birth.environment);
        let expected = format!("{} of {identity}/{environment}", purpose_name(purpose));
        if found == expected {
            Ok(self.blob)
        } else {
            Err(Error::SealedKeyMismatch { path: self.path, found, expected })
        }
    }
}

/// As in the file and on the command line.
pub(crate) fn purpose_name(purpose: SealPurpose) -> &'static str {
    match purpose {
        SealPurpose::Signer => "signer",
        SealPurpose::AgeKey => "age-key",
    }
}

/// The line of `[[pack]]` that pins this key.
pub(crate) fn policy_line(birth: &BirthStatement) -> String {
    let (kms, key) = (toml_string(&birth.kms_key_arn), toml_string(&birth.public_key));
    if birth.purpose == purpose_name(SealPurpose::Signer) {
        format!("signer = {{ kms = {kms}, public_key = {key} }}")
    } else {
        format!("unseal = {{ kms = {kms}, recipient = {key} }}")
    }
}

/// A TOML basic string.
pub(crate) fn toml_string(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len().saturating_add(2));
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A sealed key file as `seal` writes it.
    pub(crate) fn sealed_file(purpose: &str, identity: &str, environment: &str, arn: &str, public_key: &str) -> String {
        let birth = BirthStatement {
            purpose: purpose.into(),
            repository: "r".into(),
            identity: identity.into(),
            environment: environment.into(),
            kms_key_arn: arn.into(),
            kms_request_id: "id".into(),
            blob_sha256: String::new(),
            public_key: public_key.into(),
            policy_sha256: String::new(),
            born_on: String::new(),
        };
        serde_json::to_string(&SealedKey {
            schema: 1,
            blob: "AAE=".into(),
            birth_statement: serde_json::to_string(&birth).unwrap(),
            birth_document: String::new(),
        })
        .unwrap()
    }

    fn read(text: &str) -> Result<SealedFile, Error> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        SealedFile::read(file.path())
    }

    #[test]
    fn a_mixed_up_file_is_named_before_it_travels() {
        let good = sealed_file("signer", "checkout", "dev", "arn", "key");
        let code = |purpose, identity, environment| {
            let error = read(&good).unwrap().blob_for(purpose, identity, environment).unwrap_err();
            error.code().to_owned()
        };
        assert_eq!(read(&good).unwrap().blob_for(SealPurpose::Signer, "checkout", "dev").unwrap(), [0, 1]);
        assert_eq!(code(SealPurpose::AgeKey, "checkout", "dev"), "sealed_key_mismatch");
        assert_eq!(code(SealPurpose::Signer, "nightly", "dev"), "sealed_key_mismatch");
        assert_eq!(code(SealPurpose::Signer, "checkout", "production"), "sealed_key_mismatch");
    }

    #[test]
    fn a_file_that_is_no_sealed_key_is_named() {
        let good = sealed_file("signer", "checkout", "dev", "arn", "key");
        for wrong in [
            String::new(),
            good.replace("\"schema\":1", "\"schema\":2"),
            good.replace("AAE=", "AAE"),
            good.replace("\"birth_document\"", "\"death_document\""),
            good.replace("kmsKeyArn", "kmsKey"),
        ] {
            assert_eq!(read(&wrong).err().unwrap().code(), "sealed_key_unreadable", "{wrong}");
        }
    }

    #[test]
    fn toml_strings_read_back() {
        let text = "a\"b\\c\n\t\u{7f}\u{1}ü";
        let value: toml::Table = toml::from_str(&format!("x = {}", toml_string(text))).unwrap();
        assert_eq!(value["x"].as_str(), Some(text));
    }
}
