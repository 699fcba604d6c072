//! The keys that open artifacts, as people have them.

use std::{
    ffi::OsString,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use packproof_artifact::seal::{self, SealError};
use packproof_secret::{Secret, SecretBytes, SecretString};

use super::OpenError;
use crate::Error;

/// Longest key file. An identity has 74 characters, a data key 44.
const MAX_KEY_FILE_BYTES: usize = 16 * 1024;

/// Most identities that are tried.
const MAX_IDENTITIES: usize = 32;

/// Opens an age artifact with the identities of `file`, of `CLEF_AGE_KEY_FILE` or in `CLEF_AGE_KEY`: the first of these
/// that there is, as in Clef.
///
/// # Errors
/// [`Error::CannotRead`], [`Error::FileTooLong`]; [`OpenError::AgeIdentityMissing`], [`OpenError::Key`],
/// [`OpenError::Seal`] when none of the identities opens it.
pub(super) fn open_age(
    ciphertext: &[u8],
    file: Option<&Path>,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<SecretBytes, Error> {
    let path = file.map(Path::to_owned).or_else(|| env("CLEF_AGE_KEY_FILE").map(PathBuf::from));
    let text = match &path {
        Some(path) => read_secret(path)?,
        None => {
            let inline = env("CLEF_AGE_KEY").ok_or(OpenError::AgeIdentityMissing)?;
            SecretBytes::from(inline.into_encoded_bytes())
        }
    };
    let unreadable = |reason| Error::from(OpenError::Key { path: path.clone(), reason });
    let text = SecretString::from_utf8(text).ok_or_else(|| unreadable("not text"))?;
    for identity in identities(&text).map_err(unreadable)? {
        match seal::open_age(ciphertext, &identity) {
            Err(SealError::Decrypt) => {}
            Err(SealError::BadIdentity) => return Err(unreadable("an age identity in it is mistyped")),
            result => return result.map_err(|error| OpenError::Seal(error).into()),
        }
    }
    Err(OpenError::Seal(SealError::Decrypt).into())
}

/// The identities of an age identity file: one a line, comments begin with `#`.
fn identities(text: &SecretString) -> Result<Vec<SecretString>, &'static str> {
    let mut found = Vec::new();
    for line in text.expose().lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if line.starts_with('{') {
            return Err("a sealed key, which opens only inside an enclave, or another JSON file");
        }
        if line.starts_with("age-encryption.org/") || line.starts_with("-----BEGIN AGE") {
            return Err("an encrypted identity file; decrypt it with age first");
        }
        if !line.starts_with("AGE-SECRET-KEY-1") {
            return Err("not an age identity file: a line is no X25519 identity");
        }
        if found.len() == MAX_IDENTITIES {
            return Err("more identities than are tried");
        }
        found.push(SecretString::from(line.to_owned()));
    }
    if found.is_empty() { Err("no age identity in it") } else { Ok(found) }
}

/// Reads a data key: 32 bytes in standard base64, white space around it.
///
/// # Errors
/// [`Error::CannotRead`], [`Error::FileTooLong`], [`OpenError::Key`].
pub(super) fn data_key(path: &Path) -> Result<Secret<32>, Error> {
    let text = read_secret(path)?;
    let mut decoded = SecretBytes::from(vec![0; MAX_KEY_FILE_BYTES]);
    let length = BASE64_STANDARD.decode_slice(text.expose().trim_ascii(), decoded.expose_mut()).unwrap_or(0);
    decoded.truncate(length);
    Secret::copy_from(decoded.expose()).ok_or_else(|| {
        OpenError::Key { path: Some(path.to_owned()), reason: "not a data key: 32 bytes in base64" }.into()
    })
}

/// Reads a file into a buffer that does not move, so that no copy is left.
fn read_secret(path: &Path) -> Result<SecretBytes, Error> {
    let unreadable = |error| Error::CannotRead { path: path.to_owned(), error };
    let mut file = File::open(path).map_err(unreadable)?;
    let mut bytes = SecretBytes::from(vec![0; MAX_KEY_FILE_BYTES.saturating_add(1)]);
    let mut length = 0;
    // A pipe may give its bytes in pieces.
    while let Some(free @ [_, ..]) = bytes.expose_mut().get_mut(length..) {
        match file.read(free) {
            Ok(0) => break,
            Ok(count) => length = length.saturating_add(count),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
    if length > MAX_KEY_FILE_BYTES {
        let maximum = u64::try_from(MAX_KEY_FILE_BYTES).unwrap_or(u64::MAX);
        return Err(Error::FileTooLong { path: path.to_owned(), maximum });
    }
    bytes.truncate(length);
    Ok(bytes)
}
