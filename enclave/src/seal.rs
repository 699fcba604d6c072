//! `seal`: a key born inside, sealed by KMS, with its birth certificate. The private key never leaves.

use age::x25519::Identity;
use base64::{Engine, prelude::BASE64_STANDARD};
use bech32::{ToBase32, Variant};
use ed25519_dalek::{SigningKey, VerifyingKey};
use packproof_kms::{
    KeyArn,
    sealed::{Purpose, SealContext, derive_private_key},
};
use packproof_receipt::{
    binding::DocumentTag,
    policy::{CellKeys, Pack},
    sealed::BirthStatement,
};
use packproof_secret::Secret;
use packproof_wire::{SealAnswer, SealPurpose, SealRequest};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{
    pack::{PackError, verify::challenge},
    session::{Enclave, Session},
};

/// DER of an Ed25519 SubjectPublicKeyInfo up to the key (RFC 8410).
const ED25519_SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Makes a sealed key for an entry of the policy that does not pin one yet.
///
/// # Errors
/// [`PackError`].
pub async fn seal(enclave: &Enclave, request: SealRequest) -> Result<SealAnswer, PackError> {
    let policy = enclave.policy.policy();
    let pack = policy.pack(&request.identity, &request.environment).ok_or_else(|| PackError::NotInPolicy {
        identity: request.identity.clone(),
        environment: request.environment.clone(),
    })?;
    let challenge = challenge(request.challenge)?;
    let (purpose, arn) = sealing_key(pack, request.purpose)?;
    let key = KeyArn::parse(arn).map_err(PackError::PolicyKey)?;
    let session = Session::begin(enclave, &request.credentials).map_err(PackError::Session)?;
    let context = SealContext {
        purpose,
        repository: &policy.source.repository,
        identity: &pack.identity,
        environment: &pack.environment,
    };
    let failed = |error| PackError::Kms { purpose: purpose.as_str().to_owned(), error };
    let (data_key, blob, call) =
        session.kms.generate_data_key(&key, &context.to_map(), &session.recipient).await.map_err(failed)?;
    let private = derive_private_key(&data_key, purpose);
    let public_key = match purpose {
        Purpose::Signer => {
            BASE64_STANDARD.encode(ed25519_spki(&SigningKey::from_bytes(private.expose()).verifying_key()))
        }
        Purpose::AgeKey => age_identity(&private)?.to_public().to_string(),
    };
    let statement = BirthStatement {
        purpose: purpose.as_str().into(),
        repository: policy.source.repository.clone(),
        identity: pack.identity.clone(),
        environment: pack.environment.clone(),
        kms_key_arn: call.key_arn,
        kms_request_id: call.request_id,
        blob_sha256: hex::encode(Sha256::digest(&blob)),
        public_key,
        policy_sha256: enclave.policy.sha256_hex(),
        born_on: session.clock.now().to_rfc3339(),
    };
    let birth_statement =
        serde_json::to_vec(&statement).map_err(|_| PackError::Crypto("writing the birth statement"))?;
    let birth_document =
        enclave.attest(DocumentTag::Birth, &birth_statement, None, challenge.as_ref()).map_err(PackError::Nsm)?;
    Ok(SealAnswer { blob, birth_statement, birth_document })
}

/// The policy's sealing key, if it still lacks what it would seal: a pinned key is never replaced behind its owner's back.
fn sealing_key(pack: &Pack, purpose: SealPurpose) -> Result<(Purpose, &str), PackError> {
    match (purpose, &pack.cell_keys) {
        (SealPurpose::Signer, _) if pack.signer.public_key.is_some() => {
            Err(PackError::AlreadySealed { pinned: "signer.public_key" })
        }
        (SealPurpose::Signer, _) => Ok((Purpose::Signer, &pack.signer.kms)),
        (SealPurpose::AgeKey, CellKeys::Sealed { recipient: Some(_), .. }) => {
            Err(PackError::AlreadySealed { pinned: "unseal.recipient" })
        }
        (SealPurpose::AgeKey, CellKeys::Sealed { kms, recipient: None }) => Ok((Purpose::AgeKey, kms)),
        (SealPurpose::AgeKey, CellKeys::Kms(_)) => Err(PackError::NoSealedAgeKey),
    }
}

/// SubjectPublicKeyInfo, DER, 44 bytes.
pub(crate) fn ed25519_spki(key: &VerifyingKey) -> Vec<u8> {
    [ED25519_SPKI_PREFIX.as_slice(), key.as_bytes().as_slice()].concat()
}

/// An age identity of 32 bytes. The age crate takes its text form only (C2SP age, "The X25519 recipient type").
pub(crate) fn age_identity(private: &Secret<32>) -> Result<Identity, PackError> {
    const FAILED: PackError = PackError::Crypto("making the age key");
    // the words are freed by bech32 and so wiped by the allocator, as everything is
    let words = private.expose().to_base32();
    let text = Zeroizing::new(bech32::encode("age-secret-key-", words, Variant::Bech32).map_err(|_| FAILED)?);
    let text = Zeroizing::new(text.to_ascii_uppercase());
    text.parse().map_err(|_| FAILED)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An identity of `age-keygen`'s form round-trips: 32 bytes of 0x2a, text made with the reference `bech32` code.
    #[test]
    fn an_age_identity_has_the_given_bytes() {
        let identity = age_identity(&Secret::copy_from(&[42; 32]).unwrap()).unwrap();
        use age::secrecy::ExposeSecret;
        let text = identity.to_string();
        let (prefix, data, _) = bech32::decode(text.expose_secret()).unwrap();
        assert_eq!(prefix, "age-secret-key-");
        assert_eq!(<Vec<u8> as bech32::FromBase32>::from_base32(&data).unwrap(), [42; 32]);
    }
}
