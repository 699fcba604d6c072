//! `UnwrappedKeys → DecryptedFiles`: SOPS values, types and MAC exactly as `sops` does, or refusal.

use ed25519_dalek::SigningKey;
use packproof_receipt::statement::KmsCall;
use packproof_sops::{Plain, SopsError};

use super::{
    PackError,
    unwrap::{EnvelopeKey, UnwrappedCell, UnwrappedKeys},
    verify::VerifiedInputs,
};

/// Cells whose every value and MAC was checked.
pub struct DecryptedFiles {
    pub(super) inputs: VerifiedInputs,
    pub(super) files: Vec<DecryptedFile>,
    pub(super) envelope: Option<EnvelopeKey>,
    pub(super) signer: SigningKey,
    pub(super) calls: Vec<KmsCall>,
}

/// One cell's values.
pub struct DecryptedFile {
    pub(super) namespace: String,
    pub(super) path: String,
    pub(super) plain: Plain,
}

/// Decrypts every cell; the data keys are wiped here.
///
/// # Errors
/// [`PackError::ContentRefused`] for whatever depends on plaintext, [`PackError::Cell`] for what the ciphertext shows.
pub fn decrypt(keys: UnwrappedKeys) -> Result<DecryptedFiles, PackError> {
    let UnwrappedKeys { inputs, cells, envelope, signer, calls } = keys;
    let files = cells.into_iter().map(decrypt_cell).collect::<Result<_, _>>()?;
    Ok(DecryptedFiles { inputs, files, envelope, signer, calls })
}

fn decrypt_cell(cell: UnwrappedCell) -> Result<DecryptedFile, PackError> {
    let UnwrappedCell { namespace, path, cell, data_key } = cell;
    match cell.decrypt(&data_key) {
        Ok(plain) => Ok(DecryptedFile { namespace, path, plain }),
        Err(SopsError::ContentRefused) => Err(PackError::ContentRefused(path)),
        Err(error) => Err(PackError::Cell { path, error }),
    }
}
