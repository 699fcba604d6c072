//! The pack pipeline: seven stages, one file each.
//!
//! Each stage takes the previous value by value, and its result can be made only there (private fields, one
//! constructor), so a type is a proof:
//!
//! | type | holding one proves |
//! | --- | --- |
//! | [`packproof_wire::PackRequest`] | well formed; nothing is believed yet |
//! | [`verify::VerifiedInputs`] | every byte hashes up to a commit signed by a signer of the measured policy, and the policy allows what it asks |
//! | [`unwrap::UnwrappedKeys`] | KMS released the keys to this attested enclave, and the signer is the pinned one |
//! | [`decrypt::DecryptedFiles`] | every SOPS value and MAC was checked |
//! | [`merge::MergedSecrets`] | values are what Clef would carry, in canonical order |
//! | [`encrypt::SealedPack`] | ciphertext only; the plaintext was consumed and wiped |
//! | [`sign::SignedPack`] | the artifact as the runtime reads it |
//! | [`receipt::PackReceipt`] | a statement over all of it, bound to an NSM document |

pub mod decrypt;
pub mod encrypt;
mod error;
pub mod merge;
pub mod receipt;
mod record;
pub mod sign;
pub mod unwrap;
pub mod verify;

pub use error::PackError;
use packproof_wire::{PackAnswer, PackRequest};

use crate::session::{Enclave, Session};

/// One pack, from request to answer.
///
/// # Errors
/// [`PackError`]; nothing of the request remains.
pub async fn pack(enclave: &Enclave, request: PackRequest) -> Result<PackAnswer, PackError> {
    let session = Session::begin(enclave, &request.credentials).map_err(PackError::Session)?;
    let inputs = verify::verify(&enclave.policy, session.clock.started(), request)?;
    let keys = unwrap::unwrap(&session, inputs).await?;
    let files = decrypt::decrypt(keys)?;
    let secrets = merge::merge(files)?;
    let sealed = encrypt::encrypt(enclave, secrets)?;
    let signed = sign::sign(&session.clock, enclave, sealed)?;
    let receipt = receipt::receipt(&session.clock, enclave, signed)?;
    Ok(receipt.into_answer())
}
