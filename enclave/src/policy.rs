//! The policy as measured: believed only when PCR2 is the canonical ramdisk of exactly these bytes.

use packproof_nsm::{Nsm, NsmError};
use packproof_receipt::{
    measure::{Measurements, policy_pcr2},
    policy::{Policy, PolicyError},
};
use sha2::{Digest, Sha256};

/// A policy and the measurements of the image that holds it.
#[derive(Debug)]
pub struct MeasuredPolicy {
    policy: Policy,
    text: String,
    sha256: [u8; 32],
    measurements: Measurements,
}

/// Why the enclave does not start.
#[derive(Debug)]
pub enum MeasuredPolicyError {
    /// The policy itself is refused.
    Policy(PolicyError),
    /// The NSM did not answer.
    Nsm(NsmError),
    /// PCR0, PCR1 or PCR2 is all zero: debug mode, whose memory the host can read.
    DebugMode,
    /// PCR2 is not the measurement of this policy's canonical ramdisk.
    NotMeasured,
}

impl MeasuredPolicyError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Policy(error) => error.code(),
            Self::Nsm(error) => error.code(),
            Self::DebugMode => "debug_mode",
            Self::NotMeasured => "policy_not_measured",
        }
    }
}

impl std::fmt::Display for MeasuredPolicyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Policy(error) => error.fmt(f),
            Self::Nsm(error) => error.fmt(f),
            Self::DebugMode => f.write_str("a measurement is zero: the enclave runs in debug mode; start it without"),
            Self::NotMeasured => {
                f.write_str("PCR2 is not the measurement of this policy; assemble the image again with packproof-eif")
            }
        }
    }
}

impl std::error::Error for MeasuredPolicyError {}

impl MeasuredPolicy {
    /// Reads `bytes` and compares them with what the NSM measured.
    ///
    /// A later ramdisk can overwrite files of an earlier one, so the bytes found in the file system prove nothing by
    /// themselves: PCR2 must be the canonical ramdisk of these bytes and of nothing else.
    ///
    /// # Errors
    /// [`MeasuredPolicyError`].
    pub fn load(bytes: &[u8], nsm: &dyn Nsm) -> Result<Self, MeasuredPolicyError> {
        let policy = Policy::parse(bytes).map_err(MeasuredPolicyError::Policy)?;
        let pcr = |index| nsm.pcr(index).map_err(MeasuredPolicyError::Nsm);
        let measurements = Measurements { pcr0: pcr(0)?, pcr1: pcr(1)?, pcr2: pcr(2)? };
        if [measurements.pcr0, measurements.pcr1, measurements.pcr2].contains(&[0; 48]) {
            return Err(MeasuredPolicyError::DebugMode);
        }
        if measurements.pcr2 != policy_pcr2(bytes) {
            return Err(MeasuredPolicyError::NotMeasured);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| MeasuredPolicyError::Policy(PolicyError::NotText))?;
        Ok(Self { policy, text: text.to_owned(), sha256: Sha256::digest(bytes).into(), measurements })
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Its bytes, as text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// SHA-256 of its bytes, lower-case hex.
    pub fn sha256_hex(&self) -> String {
        hex::encode(self.sha256)
    }

    /// PCR0, PCR1, PCR2 of the running image.
    pub fn measurements(&self) -> &Measurements {
        &self.measurements
    }
}

#[cfg(test)]
mod tests {
    use packproof_nsm::AttestationRequest;
    use packproof_receipt::measure::Pcr;

    use super::*;

    const POLICY: &[u8] = include_bytes!("../tests/data/packproof.toml");

    struct Registers([Pcr; 3]);

    impl Nsm for Registers {
        fn attest(&self, _: &AttestationRequest<'_>) -> Result<Vec<u8>, NsmError> {
            panic!("loading a policy makes no document")
        }
        fn pcr(&self, index: u8) -> Result<Pcr, NsmError> {
            Ok(self.0[usize::from(index)])
        }
        fn random(&self, _: &mut [u8]) -> Result<(), NsmError> {
            panic!("loading a policy needs no randomness")
        }
    }

    fn code(registers: [Pcr; 3], policy: &[u8]) -> &'static str {
        MeasuredPolicy::load(policy, &Registers(registers)).unwrap_err().code()
    }

    #[test]
    fn a_policy_is_believed_only_as_measured() {
        let measured = [[1; 48], [2; 48], policy_pcr2(POLICY)];
        assert!(MeasuredPolicy::load(POLICY, &Registers(measured)).is_ok());
        assert_eq!(code(measured, &[POLICY, b"\n"].concat()), "policy_not_measured");
        assert_eq!(code([[1; 48], [2; 48], [3; 48]], POLICY), "policy_not_measured");
        assert_eq!(code(measured, b"schema = 1"), "policy_syntax");
    }

    #[test]
    fn any_zero_register_is_debug_mode() {
        let measured = [[1; 48], [2; 48], policy_pcr2(POLICY)];
        for index in 0..3 {
            let mut registers = measured;
            registers[index] = [0; 48];
            assert_eq!(code(registers, POLICY), "debug_mode");
        }
    }
}
