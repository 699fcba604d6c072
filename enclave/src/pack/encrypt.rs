//! `MergedSecrets → SealedPack`: to the one recipient that the measured policy names. The plaintext ends here.

use ed25519_dalek::SigningKey;
use packproof_artifact::{
    envelope::KmsEnvelope,
    manifest::KmsProvider,
    seal::{SealError, seal_age, seal_kms},
};
use packproof_receipt::policy::Target;

use super::{PackError, merge::MergedSecrets, unwrap::KmsFacts, verify::VerifiedInputs};
use crate::session::Enclave;

/// Ciphertext, and nothing else of the content.
pub struct SealedPack {
    pub(super) inputs: VerifiedInputs,
    pub(super) ciphertext: Vec<u8>,
    pub(super) envelope: Option<KmsEnvelope>,
    pub(super) namespaces: Vec<String>,
    pub(super) key_count: u64,
    pub(super) signer: SigningKey,
    pub(super) kms: KmsFacts,
}

/// Encrypts; plaintext and data key are wiped here.
///
/// # Errors
/// [`PackError::Crypto`].
pub fn encrypt(enclave: &Enclave, secrets: MergedSecrets) -> Result<SealedPack, PackError> {
    let MergedSecrets { inputs, plaintext, namespaces, key_count, envelope, signer, kms } = secrets;
    let failed = |_: SealError| PackError::Crypto("encrypting the artifact");
    let (ciphertext, envelope) = match (&inputs.pack.target, envelope) {
        (Target::Age(recipient), None) => (seal_age(plaintext, recipient).map_err(failed)?, None),
        (Target::Kms(_), Some(key)) => {
            let sealed = seal_kms(plaintext, key.data_key, |iv| enclave.nsm.random(iv)).map_err(failed)?;
            let envelope = KmsEnvelope::new(KmsProvider::Aws, &key.arn, &key.wrapped, &sealed);
            (sealed.ciphertext, Some(envelope))
        }
        _ => return Err(PackError::Crypto("matching the envelope key to the policy")),
    };
    Ok(SealedPack { inputs, ciphertext, envelope, namespaces, key_count, signer, kms })
}
