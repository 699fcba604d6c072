//! A signer whose key and certificate OpenSSL made.

use std::{fs, path::PathBuf};

use packproof_eif::{
    image::{Image, Section, SectionKind},
    signature::{self, Certificate, SigningKey},
};

use crate::{Result, text};

/// `key.pem` and `cert.pem` of a folder.
pub struct Signer {
    pub key_path: PathBuf,
    pub certificate_path: PathBuf,
    /// There when the key is on P-384.
    pub ours: Option<(SigningKey, Certificate)>,
}

impl Signer {
    /// Reads a folder.
    pub fn read(dir: PathBuf, is_p384: bool) -> Result<Self> {
        let (key_path, certificate_path) = (dir.join("key.pem"), dir.join("cert.pem"));
        let file = |path: &PathBuf| fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
        let (key, pem) = (file(&key_path)?, file(&certificate_path)?);
        let ours = if is_p384 {
            Some((SigningKey::from_pem(&key).map_err(text)?, Certificate::from_pem(&pem).map_err(text)?))
        } else {
            None
        };
        Ok(Self { key_path, certificate_path, ours })
    }

    /// The image with a signature section of ours at its end.
    pub fn sign(&self, unsigned: &Image<'_>) -> Result<Vec<u8>> {
        let (key, certificate) = self.ours.as_ref().ok_or("not a P-384 key")?;
        let pcr0 = unsigned.measure().pcr0;
        let signature = key.sign(&pcr0, certificate).map_err(text)?;
        with_signature(unsigned, &signature::section(&pcr0, certificate, &signature).map_err(text)?)
    }
}

/// The image with this signature section at its end.
pub fn with_signature(unsigned: &Image<'_>, section: &[u8]) -> Result<Vec<u8>> {
    let mut image = unsigned.clone();
    image.sections.push(Section { kind: SectionKind::Signature, bytes: section });
    image.to_bytes().map_err(text)
}
