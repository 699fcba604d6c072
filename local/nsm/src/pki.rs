//! The local root, kept in a folder.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use packproof_receipt::time::UnixMillis;
use zeroize::Zeroizing;

use crate::LocalNsmError;
use crate::certificate::{Issuer, name};
use crate::chain::{root_name, root_spec};
use crate::keys::AuthorityKey;

/// A root of its own, which signs what [`crate::MockNsm`] needs. Cloning shares the key.
///
/// Only the root is kept: the authorities below it and the leaves are made anew by every mock, as on Nitro.
#[derive(Clone)]
pub struct Pki(Arc<Root>);

struct Root {
    der: Vec<u8>,
    key: AuthorityKey,
    subject: Vec<(crate::certificate::Attribute, String)>,
}

impl Pki {
    /// Makes a root, valid for thirty years from `now`, and keeps it in `dir` as [`ROOT_PEM_FILE`] and, readable by
    /// its owner only, [`ROOT_KEY_FILE`]. The folder is made when it is missing.
    ///
    /// # Errors
    /// [`LocalNsmError::RootExists`] when there is a root already, or what the file system or the cryptography says.
    pub fn create(dir: &Path, now: UnixMillis) -> Result<Self, LocalNsmError> {
        fs::create_dir_all(dir).map_err(|error| io(dir, &error))?;
        let pki = Self::in_memory(now)?;
        write_new(&dir.join(ROOT_KEY_FILE), &pki.0.key.to_pkcs8()?, 0o600)?;
        write_new(&dir.join(ROOT_PEM_FILE), pki.root_pem().as_bytes(), 0o644)?;
        Ok(pki)
    }

    /// Loads what [`Self::create`] left in `dir`.
    ///
    /// # Errors
    /// [`LocalNsmError::Io`] when a file is missing, [`LocalNsmError::RootUnusable`] when the two do not belong together.
    pub fn load(dir: &Path) -> Result<Self, LocalNsmError> {
        let key_path = dir.join(ROOT_KEY_FILE);
        let pkcs8 = Zeroizing::new(fs::read(&key_path).map_err(|error| io(&key_path, &error))?);
        let key = AuthorityKey::from_pkcs8(&pkcs8)?;
        let pem_path = dir.join(ROOT_PEM_FILE);
        let pem = fs::read_to_string(&pem_path).map_err(|error| io(&pem_path, &error))?;
        let der = from_pem(&pem).ok_or(LocalNsmError::RootUnusable { reason: "root.pem is not a certificate" })?;
        let subject = root_name();
        let contains = |part: &[u8]| der.windows(part.len()).any(|window| window == part);
        if !contains(key.point()) || !contains(&name(&subject)) {
            return Err(LocalNsmError::RootUnusable { reason: "root.pem is not the certificate of root.key" });
        }
        Ok(Self(Arc::new(Root { der, key, subject })))
    }

    /// Makes a root that is kept nowhere.
    ///
    /// # Errors
    /// [`LocalNsmError::Crypto`].
    pub fn in_memory(now: UnixMillis) -> Result<Self, LocalNsmError> {
        let key = AuthorityKey::generate()?;
        let spec = root_spec(now)?;
        let der = spec.issue(&Issuer { subject: &spec.subject, key: &key }, key.point())?;
        Ok(Self(Arc::new(Root { der, key, subject: spec.subject })))
    }

    /// The root certificate, DER: what a verifier of local evidence is given as its root.
    #[must_use]
    pub fn root_der(&self) -> &[u8] {
        &self.0.der
    }

    /// The root certificate, PEM.
    #[must_use]
    pub fn root_pem(&self) -> String {
        let mut pem = String::from(PEM_BEGIN);
        for (index, character) in STANDARD.encode(&self.0.der).chars().enumerate() {
            if index % 64 == 0 {
                pem.push('\n');
            }
            pem.push(character);
        }
        pem.push('\n');
        pem.push_str(PEM_END);
        pem.push('\n');
        pem
    }

    /// The root as issuer of the authorities.
    pub(crate) fn issuer(&self) -> Issuer<'_> {
        Issuer { subject: &self.0.subject, key: &self.0.key }
    }
}

fn from_pem(pem: &str) -> Option<Vec<u8>> {
    let body = pem.trim().strip_prefix(PEM_BEGIN)?.strip_suffix(PEM_END)?;
    STANDARD.decode(body.split_ascii_whitespace().collect::<String>()).ok()
}

/// Writes a file that must not exist yet, with its mode set from the start.
fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), LocalNsmError> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = file.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => LocalNsmError::RootExists { path: path.to_owned() },
        _ => io(path, &error),
    })?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|error| io(path, &error))
}

fn io(path: &Path, error: &std::io::Error) -> LocalNsmError {
    LocalNsmError::Io { path: path.to_owned(), reason: error.to_string() }
}

/// Name of the root certificate's file.
pub const ROOT_PEM_FILE: &str = "root.pem";
/// Name of the file with the root's key, PKCS#8 in DER.
pub const ROOT_KEY_FILE: &str = "root.key";
const PEM_BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const PEM_END: &str = "-----END CERTIFICATE-----";
