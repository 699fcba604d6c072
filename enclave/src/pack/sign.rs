//! `SealedPack → SignedPack`: Ed25519 over `clef-sig-v3`, with the pinned signer of this identity and environment.

use ed25519_dalek::Signer;
use packproof_artifact::envelope::{Artifact, Contents, SignatureAlgorithm, revision};
use packproof_receipt::time::UnixMillis;
use sha2::{Digest, Sha256};

use super::{PackError, encrypt::SealedPack, unwrap::KmsFacts, verify::VerifiedInputs};
use crate::{clock::Clock, session::Enclave};

/// The artifact, signed.
pub struct SignedPack {
    pub(super) inputs: VerifiedInputs,
    pub(super) artifact: Artifact,
    pub(super) bytes: Vec<u8>,
    pub(super) signed_payload_sha256: [u8; 32],
    pub(super) namespaces: Vec<String>,
    pub(super) key_count: u64,
    pub(super) kms: KmsFacts,
}

/// Signs. There is no unsigned artifact.
///
/// # Errors
/// [`PackError::Nsm`] when the NSM gives no randomness, [`PackError::Crypto`] when a field cannot be signed.
pub fn sign(clock: &Clock, enclave: &Enclave, sealed: SealedPack) -> Result<SignedPack, PackError> {
    let SealedPack { inputs, ciphertext, envelope, namespaces, key_count, signer, kms } = sealed;
    let mut random = [0; 4];
    enclave.nsm.random(&mut random).map_err(PackError::Nsm)?;
    let now = clock.now();
    let expires = UnixMillis(now.0.saturating_add(inputs.ttl_seconds.saturating_mul(1000)));
    let failed = |_| PackError::Crypto("writing the artifact");
    let artifact = Artifact::new(Contents {
        identity: &inputs.pack.identity,
        environment: &inputs.pack.environment,
        packed_at: &now.to_rfc3339(),
        revision: &revision(now.0, random),
        ciphertext: &ciphertext,
        envelope,
        expires_at: Some(&expires.to_rfc3339()),
    })
    .map_err(failed)?;
    let payload = artifact.signing_payload().map_err(failed)?;
    let artifact = artifact.with_signature(SignatureAlgorithm::Ed25519, &signer.sign(&payload).to_bytes());
    let bytes = artifact.to_bytes();
    let signed_payload_sha256 = Sha256::digest(&payload).into();
    Ok(SignedPack { inputs, artifact, bytes, signed_payload_sha256, namespaces, key_count, kms })
}
