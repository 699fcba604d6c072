//! Evidence: a Nitro attestation document, verified down to one pinned root.
//!
//! [`verify_document`] does checks 1 to 20, 22 and 24 of the checklist (container, payload, chain, signature, debug
//! mode); each error names the check that refused. What the measured values *should* be, what `user_data` must bind
//! and how fresh the document is belongs to the caller. AWS's PKI is judged without revocation lists, as AWS says.

mod error;

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use packproof_receipt::document::{PCR_BYTES, UnverifiedDocument};
use packproof_receipt::time::UnixMillis;
use sha2::{Digest, Sha256, Sha384};

use crate::chain::{VerifiedChain, instance_id, verify_chain};
use crate::cose;

pub use crate::der::DerError;
pub use crate::x509::CertificateError;
pub use error::{EvidenceError, Position};

/// AWS Nitro Enclaves Root-G1, DER: the root of the commercial partition, valid to 2049-10-28.
///
/// Published by AWS at <https://aws-nitro-enclaves.amazonaws.com/AWS_NitroEnclaves_Root-G1.zip>; that archive has
/// SHA-256 `8cf60e2b2efca96c6a9e71e851d00c1b6991cc09eadbe64a6a1d1b1eb9faff7c` (AWS, `attestation_process.md`), the
/// PEM file in it `6eb9688305e4bbca67f44b59c29a0661ae930f09b5945b5d1d9ae01125c8d6c0`, and this DER
/// `641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b` (AWS, "Verifying the root of trust").
pub const AWS_NITRO_ROOT_G1: &[u8] = include_bytes!("roots/aws-nitro-enclaves-root-g1.der");

/// [`AWS_NITRO_ROOT_G1`] as the PEM file AWS publishes, byte for byte.
pub const AWS_NITRO_ROOT_G1_PEM: &str = include_str!("roots/aws-nitro-enclaves-root-g1.pem");

/// What a verified document says. Made only by [`verify_document`].
///
/// It proves that a module under the given root signed these values at `timestamp`, if the leaf's key has not
/// leaked since: whoever holds the key of an expired leaf can choose any time in that leaf's three hours.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct VerifiedDocument {
    /// `i-<17 hex>-enc<16 hex>`.
    pub module_id: String,
    /// When the module made the document; the chain was judged at this time.
    pub timestamp: UnixMillis,
    /// The locked registers. 0, 1 and 2 are here and none of them is zero.
    pub pcrs: BTreeMap<u8, [u8; PCR_BYTES]>,
    /// Key that the measured code handed in.
    pub public_key: Option<Vec<u8>>,
    /// Data that the measured code handed in. Any code chooses it freely: it means nothing before the PCRs match.
    pub user_data: Option<Vec<u8>>,
    /// Nonce that the measured code handed in; as for `user_data`.
    pub nonce: Option<Vec<u8>>,
    /// SHA-256 of the root's DER: under whose word all this holds. A report names it.
    pub root_sha256: [u8; 32],
    /// Region that all names of the chain agree on.
    pub region: Option<String>,
    /// Start of the leaf's validity.
    pub leaf_not_before: UnixMillis,
    /// End of the leaf's validity.
    pub leaf_not_after: UnixMillis,
    /// The certificates from the root to the leaf.
    pub chain: Vec<ChainCertificate>,
    /// SHA-256 of the signed payload. With `module_id` and `timestamp` it identifies the document; a hash of the
    /// whole document does not, because anyone can change its signature into another valid one.
    pub payload_sha256: [u8; 32],
    /// What a reader should know though it refuses nothing.
    pub notes: Vec<Note>,
}

/// One certificate of a verified chain, for reports and for revocation by issuer and serial number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainCertificate {
    /// Common name of the subject.
    pub common_name: String,
    /// Serial number, big-endian.
    pub serial: Vec<u8>,
    /// Start of validity.
    pub not_before: UnixMillis,
    /// End of validity.
    pub not_after: UnixMillis,
}

/// Something unusual that refuses nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// The payload has a key that this version does not know.
    UnknownKey(String),
    /// The `cabundle` does not have four certificates, as all known documents have.
    CabundleLength(usize),
}

impl Note {
    /// Stable identifier.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownKey(_) => "unknown_key",
            Self::CabundleLength(_) => "cabundle_length",
        }
    }
}

/// Verifies a Nitro enclave's attestation document against `root_der`, at the time the document states.
///
/// `bytes` is the `COSE_Sign1` as the NSM returned it, untagged or under tag 18. `root_der` is the one certificate
/// trusted: [`AWS_NITRO_ROOT_G1`], or the root of a mock for simulated evidence; it never comes from the document.
/// There is no clock here: compare [`VerifiedDocument::timestamp`] with one where freshness matters.
///
/// # Errors
/// [`EvidenceError`] for the first check that refuses. Documents of debug-mode enclaves and of other kinds of
/// modules (NitroTPM) are refused under any root.
pub fn verify_document(bytes: &[u8], root_der: &[u8]) -> Result<VerifiedDocument, EvidenceError> {
    let document = UnverifiedDocument::parse(bytes).map_err(EvidenceError::Document)?;
    let instance = instance_id(document.module_id).ok_or(EvidenceError::WrongDocumentKind)?;
    let chain = verify_chain(&document, root_der)?;
    if !cose::is_signed_by(&document, chain.leaf.point) {
        return Err(EvidenceError::CoseSignature);
    }
    if document.pcrs.get(&4) != Some(&instance_register(instance)) {
        return Err(EvidenceError::InstanceRegister);
    }
    if let Some(index) = (0..=2).find(|index| document.pcrs.get(index).is_none_or(|value| *value == [0; PCR_BYTES])) {
        return Err(EvidenceError::DebugMode { index });
    }
    Ok(conclude(document, &chain, root_der))
}

/// Reads a root for [`verify_document`] from PEM: exactly one certificate and nothing else.
///
/// # Errors
/// [`EvidenceError::RootPem`] when the text is anything else, or the certificate is not of the Nitro profile.
pub fn root_from_pem(pem: &str) -> Result<Vec<u8>, EvidenceError> {
    let body = pem
        .trim_end()
        .strip_prefix("-----BEGIN CERTIFICATE-----")
        .and_then(|rest| rest.strip_suffix("-----END CERTIFICATE-----"))
        .ok_or(EvidenceError::RootPem)?;
    let base64: String = body.split_ascii_whitespace().collect();
    let der = STANDARD.decode(base64).map_err(|_| EvidenceError::RootPem)?;
    crate::x509::Certificate::parse(&der).map_err(|_| EvidenceError::RootPem)?;
    Ok(der)
}

/// PCR4 of an enclave: the hypervisor extends 48 zero bytes with the parent instance's id, in ASCII.
fn instance_register(instance_id: &str) -> [u8; PCR_BYTES] {
    Sha384::new().chain_update([0; PCR_BYTES]).chain_update(instance_id).finalize().into()
}

fn conclude(document: UnverifiedDocument<'_>, chain: &VerifiedChain<'_>, root_der: &[u8]) -> VerifiedDocument {
    let mut notes: Vec<Note> = document.unknown_keys().iter().map(|key| Note::UnknownKey((*key).to_owned())).collect();
    if document.cabundle.len() != USUAL_CABUNDLE {
        notes.push(Note::CabundleLength(document.cabundle.len()));
    }
    let entries: Vec<ChainCertificate> = chain
        .certificates
        .iter()
        .map(|certificate| ChainCertificate {
            common_name: certificate.common_name.to_owned(),
            serial: certificate.serial.to_vec(),
            not_before: certificate.not_before,
            not_after: certificate.not_after,
        })
        .collect();
    VerifiedDocument {
        module_id: document.module_id.to_owned(),
        timestamp: document.timestamp,
        public_key: document.public_key.map(<[u8]>::to_vec),
        user_data: document.user_data.map(<[u8]>::to_vec),
        nonce: document.nonce.map(<[u8]>::to_vec),
        root_sha256: Sha256::digest(root_der).into(),
        region: Some(chain.region.to_owned()),
        leaf_not_before: chain.leaf.not_before,
        leaf_not_after: chain.leaf.not_after,
        chain: entries,
        payload_sha256: Sha256::digest(document.payload).into(),
        notes,
        pcrs: document.pcrs,
    }
}

/// Certificates in the `cabundle` of every known document.
const USUAL_CABUNDLE: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carries_the_root_that_aws_publishes() {
        let der = hex::encode(Sha256::digest(AWS_NITRO_ROOT_G1));
        assert_eq!(der, "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b");
        let pem = hex::encode(Sha256::digest(AWS_NITRO_ROOT_G1_PEM));
        assert_eq!(pem, "6eb9688305e4bbca67f44b59c29a0661ae930f09b5945b5d1d9ae01125c8d6c0");
        assert_eq!(root_from_pem(AWS_NITRO_ROOT_G1_PEM).unwrap(), AWS_NITRO_ROOT_G1);
    }

    #[test]
    fn reads_exactly_one_root_from_pem() {
        let with_newline = format!("{AWS_NITRO_ROOT_G1_PEM}\n");
        assert!(root_from_pem(&with_newline).is_ok());
        let two = with_newline.repeat(2);
        let key = with_newline.replace("CERTIFICATE", "PRIVATE KEY");
        let cut = with_newline.replace("MIIC", "MIIB");
        for bad in ["", "-----BEGIN CERTIFICATE-----", two.as_str(), key.as_str(), cut.as_str()] {
            assert_eq!(root_from_pem(bad), Err(EvidenceError::RootPem));
        }
    }

    /// PCR4 of the document `base-prod-2026-indefinite-map`, from real hardware.
    #[test]
    fn computes_the_instance_register() {
        assert_eq!(
            hex::encode(&instance_register("i-0368fa67e156d6d23")[..24]),
            "245617239e18ae8eb5150c2be45200db1e6b1e483d94c81d"
        );
    }
}
