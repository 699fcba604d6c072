//! `UnwrappedKeys → DecryptedFiles`: SOPS values, types and MAC exactly as `sops` does, or refusal.

use std::sync::Arc;

use ed25519_dalek::SigningKey;
use packproof_artifact::{matrix::CellFormat, schema::Schema};
use packproof_sops::{Plain, SopsError};

use super::{
    PackError, merge,
    unwrap::{EnvelopeKey, KmsFacts, UnwrappedCell, UnwrappedKeys},
    verify::VerifiedInputs,
};

/// Cells whose every value and MAC was checked.
pub struct DecryptedFiles {
    pub(super) inputs: VerifiedInputs,
    pub(super) files: Vec<DecryptedFile>,
    pub(super) envelope: Option<EnvelopeKey>,
    pub(super) signer: SigningKey,
    pub(super) kms: KmsFacts,
}

/// One cell's values.
pub struct DecryptedFile {
    pub(super) namespace: String,
    pub(super) path: String,
    pub(super) format: CellFormat,
    pub(super) plain: Plain,
    pub(super) schema: Option<Arc<Schema>>,
}

/// Decrypts every cell; the data keys are wiped here.
///
/// SOPS's MAC leaves much of a file's structure open ([`Cell::decrypt`](packproof_sops::Cell::decrypt) lists it). What it
/// leaves open is covered by [`VerifiedInputs`]: each cell's bytes are a blob of the signed commit.
///
/// # Errors
/// [`PackError::ContentRefused`] for whatever depends on plaintext, [`PackError::Cell`] for what the ciphertext shows.
pub fn decrypt(keys: UnwrappedKeys) -> Result<DecryptedFiles, PackError> {
    let UnwrappedKeys { inputs, cells, envelope, signer, kms } = keys;
    let mut files = Vec::with_capacity(cells.len());
    for cell in cells {
        match decrypt_cell(cell) {
            Ok(file) => files.push(file),
            // The refusal names the first cell whose content is refused for any reason, in this stage or the next: if
            // a later cell's broken MAC hid an earlier cell's unusable value, the order would tell the two apart.
            Err(PackError::ContentRefused(path)) => {
                return Err(PackError::ContentRefused(merge::first_refused(&files).unwrap_or(path)));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(DecryptedFiles { inputs, files, envelope, signer, kms })
}

fn decrypt_cell(cell: UnwrappedCell) -> Result<DecryptedFile, PackError> {
    let UnwrappedCell { namespace, path, format, cell, data_key, schema } = cell;
    match cell.decrypt(&data_key) {
        Ok(plain) => Ok(DecryptedFile { namespace, path, format, plain, schema }),
        Err(error) => Err(refusal(&path, error)),
    }
}

/// What sops says of a cell, with everything that depends on plaintext under one code.
pub(super) fn refusal(path: &str, error: SopsError) -> PackError {
    match error {
        SopsError::ContentRefused => PackError::ContentRefused(path.to_owned()),
        error => PackError::Cell { path: path.to_owned(), error },
    }
}
