//! Who a mock module claims to be.

use packproof_receipt::time::UnixMillis;
use sha2::{Digest, Sha384};

use crate::LocalNsmError;

/// Partition in the names of the mock's certificates; AWS's own is `aws`.
pub const PARTITION: &str = "packproof-local";
/// Region in the names of the mock's certificates.
pub const REGION: &str = "local-1";

/// Names of a module: a made-up instance and an enclave on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `i-` and 17 hexadecimal digits.
    pub instance_id: String,
    /// Eight bytes, as Nitro makes them: six of the start time in milliseconds, two random.
    pub enclave_id: [u8; 8],
}

impl Identity {
    /// Makes up a new identity for an enclave started at `now`.
    ///
    /// # Errors
    /// [`LocalNsmError::Crypto`] when there is no randomness.
    pub fn random(now: UnixMillis) -> Result<Self, LocalNsmError> {
        let instance: [u8; 8] = random_bytes()?;
        let [r0, r1] = random_bytes()?;
        let [_, _, t5, t4, t3, t2, t1, t0] = now.0.to_be_bytes();
        Ok(Self {
            // Real ids have begun with a zero digit since they got 17 digits.
            instance_id: format!("i-0{}", hex::encode(instance)),
            enclave_id: [t5, t4, t3, t2, t1, t0, r0, r1],
        })
    }

    /// `i-<17 hex>-enc<16 hex>`, as in a document.
    #[must_use]
    pub fn module_id(&self) -> String {
        format!("{}-enc{}", self.instance_id, hex::encode(self.enclave_id))
    }

    /// PCR4: SHA-384 over 48 zero bytes and the instance id.
    #[must_use]
    pub fn pcr4(&self) -> [u8; 48] {
        Sha384::new().chain_update([0; 48]).chain_update(&self.instance_id).finalize().into()
    }
}

/// Fresh random bytes.
pub(crate) fn random_bytes<const N: usize>() -> Result<[u8; N], LocalNsmError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| LocalNsmError::Crypto { operation: "reading randomness" })?;
    Ok(bytes)
}
