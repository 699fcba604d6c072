//! The Nitro Secure Module (NSM): what the enclave asks of it, the real device, and its limits.
//!
//! The module hands out attestation documents, values of platform configuration registers (PCRs) and random bytes.
//! [`Device`] is `/dev/nsm`; local mode has a mock in a crate of its own, under its own root. Both keep the limits
//! of [`check_limits`], so that a request which passes in local mode passes on Nitro.
//!
//! The module is trusted: its answers are checked for form, not for honesty.
#![forbid(unsafe_code)]

mod device;
mod error;
mod limits;

pub use device::Device;
pub use error::NsmError;
pub use limits::{MAX_NONCE, MAX_PUBLIC_KEY, MAX_USER_DATA, PCR_COUNT, check_limits};

/// Length of a register's value: SHA-384.
pub const PCR_BYTES: usize = 48;

/// What the caller wants inside an attestation document. `None` becomes null there; empty bytes stay empty bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct AttestationRequest<'a> {
    /// At most [`MAX_USER_DATA`] bytes.
    pub user_data: Option<&'a [u8]>,
    /// At most [`MAX_NONCE`] bytes.
    pub nonce: Option<&'a [u8]>,
    /// At most [`MAX_PUBLIC_KEY`] bytes. KMS encrypts to it, when it is the DER of an RSA key.
    pub public_key: Option<&'a [u8]>,
}

/// A Nitro Secure Module.
///
/// Calls block: a real module takes about 90 ms for a document.
pub trait Nsm: Send + Sync {
    /// Returns a new attestation document, an untagged `COSE_Sign1`, that carries `request`.
    ///
    /// # Errors
    /// [`NsmError`] when `request` exceeds a limit (nothing is sent then), or the module refuses or fails.
    fn attest(&self, request: &AttestationRequest<'_>) -> Result<Vec<u8>, NsmError>;

    /// Returns the value of a register that is locked, as it stands in every document.
    ///
    /// Registers 0 to 15 are locked from the start; those from 16 on only after the enclave locked them.
    ///
    /// # Errors
    /// [`NsmError::PcrIndex`], [`NsmError::PcrNotLocked`], or the module's own failure.
    fn pcr(&self, index: u8) -> Result<[u8; PCR_BYTES], NsmError>;

    /// Fills `out` with random bytes from the module.
    ///
    /// # Errors
    /// [`NsmError`] when the module fails; `out` is then zero.
    fn random(&self, out: &mut [u8]) -> Result<(), NsmError>;
}
