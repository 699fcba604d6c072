//! `VerifiedInputs → UnwrappedKeys`: KMS releases the keys to this attested enclave, all at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use age::x25519::Identity;
use base64::{Engine, prelude::BASE64_STANDARD};
use ed25519_dalek::SigningKey;
use packproof_artifact::{matrix::CellFormat, schema::Schema};
use packproof_kms::{
    Call, Client, KeyArn, KmsError, Recipient,
    sealed::{Purpose, SealContext, derive_private_key},
};
use packproof_receipt::{
    policy::{CellKeys, Target},
    statement::{Assurance, KeyPolicy, KmsCall},
};
use packproof_secret::{Secret, SecretBytes};
use packproof_sops::{Cell, open_age_entry};
use tokio::task::JoinSet;

use super::{
    PackError,
    record::Questions,
    verify::{Opener, VerifiedCell, VerifiedInputs},
};
use crate::{seal, session::Session};

/// Keys that KMS released to this enclave, with the verified inputs they belong to.
pub struct UnwrappedKeys {
    pub(super) inputs: VerifiedInputs,
    pub(super) cells: Vec<UnwrappedCell>,
    pub(super) envelope: Option<EnvelopeKey>,
    pub(super) signer: SigningKey,
    pub(super) kms: KmsFacts,
}

/// What was asked of KMS, as the receipt states it.
pub(super) struct KmsFacts {
    pub(super) calls: Vec<KmsCall>,
    pub(super) key_policies: Vec<KeyPolicy>,
}

/// A cell and its data key.
pub struct UnwrappedCell {
    pub(super) namespace: String,
    pub(super) path: String,
    pub(super) format: CellFormat,
    pub(super) cell: Cell,
    pub(super) data_key: Secret<32>,
    pub(super) schema: Option<Arc<Schema>>,
}

/// A data key made by KMS for this artifact, and its wrapped form for the workload.
pub struct EnvelopeKey {
    pub(super) arn: String,
    pub(super) data_key: Secret<32>,
    pub(super) wrapped: Vec<u8>,
}

/// What a finished call was for.
enum Slot {
    Cell(usize),
    AgeKey,
    Signer,
    Envelope(Vec<u8>),
}

/// Opens every key this pack needs. All calls run at the same time; the first failure ends the pack.
///
/// # Errors
/// [`PackError::Kms`] with what the call was for, [`PackError::WrongSealedSigner`], [`PackError::WrongSealedAgeKey`].
pub async fn unwrap(session: &Session, mut inputs: VerifiedInputs) -> Result<UnwrappedKeys, PackError> {
    let verified = std::mem::take(&mut inputs.cells);
    let mut calls = Calls::new(session);
    calls.decrypt_sealed(
        Slot::Signer,
        &inputs,
        &inputs.pack.signer.kms,
        Purpose::Signer,
        &inputs.host.sealed_signer,
    )?;
    if let CellKeys::Sealed { kms, .. } = &inputs.pack.cell_keys {
        let blob = inputs.host.sealed_age_key.as_ref().ok_or(PackError::SealedKeyMissing("age key"))?;
        calls.decrypt_sealed(Slot::AgeKey, &inputs, kms, Purpose::AgeKey, blob)?;
    } else if inputs.host.sealed_age_key.is_some() {
        return Err(PackError::Request("a sealed age key was sent, and the policy opens these cells without one"));
    }
    if let Target::Kms(arn) = &inputs.pack.target {
        calls.generate(arn)?;
    }
    for (index, cell) in verified.iter().enumerate() {
        if let Opener::Kms { arn, context, blob } = &cell.opener {
            calls.decrypt(Slot::Cell(index), format!("cell {:?}", cell.path), arn, context.clone(), blob.clone())?;
        }
    }
    let questions = inputs.record_key_policies.then(|| Questions::ask(&session.kms, &calls.keys)).transpose()?;
    let answers = calls.finish().await?;
    let key_policies = match questions {
        Some(questions) => questions.finish().await?,
        None => Vec::new(),
    };
    let signer = signer(&inputs, answers.signer)?;
    let identity = answers.age_key.map(|key| age_identity(&inputs, key)).transpose()?;
    let cells = open_cells(verified, answers.cells, identity.as_ref())?;
    Ok(UnwrappedKeys {
        inputs,
        cells,
        envelope: answers.envelope,
        signer,
        kms: KmsFacts { calls: answers.facts, key_policies },
    })
}

/// The artifact's signing key: derived from the sealed data key, equal to the pinned public key or refused.
fn signer(inputs: &VerifiedInputs, data_key: Option<Secret<32>>) -> Result<SigningKey, PackError> {
    let data_key = data_key.ok_or(PackError::SealedKeyMissing("signer"))?;
    let seed = derive_private_key(&data_key, Purpose::Signer);
    let signer = SigningKey::from_bytes(seed.expose());
    let public = BASE64_STANDARD.encode(seal::ed25519_spki(&signer.verifying_key()));
    if inputs.pack.signer.public_key.as_ref() == Some(&public) { Ok(signer) } else { Err(PackError::WrongSealedSigner) }
}

fn age_identity(inputs: &VerifiedInputs, data_key: Secret<32>) -> Result<Identity, PackError> {
    let identity = seal::age_identity(&derive_private_key(&data_key, Purpose::AgeKey))?;
    match &inputs.pack.cell_keys {
        CellKeys::Sealed { recipient: Some(pinned), .. } if identity.to_public().to_string() == *pinned => Ok(identity),
        _ => Err(PackError::WrongSealedAgeKey),
    }
}

fn open_cells(
    verified: Vec<VerifiedCell>,
    mut keys: BTreeMap<usize, Secret<32>>,
    identity: Option<&Identity>,
) -> Result<Vec<UnwrappedCell>, PackError> {
    let open = |(index, VerifiedCell { namespace, path, format, cell, opener, schema })| {
        let data_key = match (opener, identity) {
            (Opener::Kms { .. }, _) => keys.remove(&index),
            (Opener::Age { enc }, Some(identity)) => {
                Some(open_age_entry(&enc, identity).map_err(|error| super::decrypt::refusal(&path, error))?)
            }
            (Opener::Age { .. }, None) => None,
        };
        let data_key = data_key.ok_or(PackError::SealedKeyMissing("age key"))?;
        Ok(UnwrappedCell { namespace, path, format, cell, data_key, schema })
    };
    verified.into_iter().enumerate().map(open).collect()
}

/// Calls under way.
struct Calls {
    client: Client,
    recipient: Arc<Recipient>,
    /// ARNs of the keys asked.
    keys: BTreeSet<String>,
    running: JoinSet<Result<(Slot, String, Secret<32>, Call), PackError>>,
}

/// What came back.
struct Answers {
    cells: BTreeMap<usize, Secret<32>>,
    signer: Option<Secret<32>>,
    age_key: Option<Secret<32>>,
    envelope: Option<EnvelopeKey>,
    facts: Vec<KmsCall>,
}

impl Calls {
    fn new(session: &Session) -> Self {
        Self {
            client: session.kms.clone(),
            recipient: Arc::clone(&session.recipient),
            keys: BTreeSet::new(),
            running: JoinSet::new(),
        }
    }

    fn decrypt_sealed(
        &mut self,
        slot: Slot,
        inputs: &VerifiedInputs,
        arn: &str,
        purpose: Purpose,
        blob: &[u8],
    ) -> Result<(), PackError> {
        // the context comes from the measured policy, never from the file
        let context = SealContext {
            purpose,
            repository: &inputs.repository,
            identity: &inputs.pack.identity,
            environment: &inputs.pack.environment,
        };
        self.decrypt(slot, purpose.as_str().to_owned(), arn, context.to_map(), blob.to_vec())
    }

    fn decrypt(
        &mut self,
        slot: Slot,
        purpose: String,
        arn: &str,
        context: BTreeMap<String, String>,
        blob: Vec<u8>,
    ) -> Result<(), PackError> {
        let key = KeyArn::parse(arn).map_err(PackError::PolicyKey)?;
        self.keys.insert(arn.to_owned());
        let (client, recipient) = (self.client.clone(), Arc::clone(&self.recipient));
        self.running.spawn(async move {
            let failed = |error: KmsError| PackError::Kms { purpose: purpose.clone(), error };
            let (plaintext, call) = client.decrypt(&key, &blob, &context, &recipient).await.map_err(failed)?;
            let data_key = data_key(&plaintext).ok_or_else(|| failed(KmsError::RecipientCiphertextRefused))?;
            Ok((slot, purpose, data_key, call))
        });
        Ok(())
    }

    fn generate(&mut self, arn: &str) -> Result<(), PackError> {
        let key = KeyArn::parse(arn).map_err(PackError::PolicyKey)?;
        self.keys.insert(arn.to_owned());
        let (client, recipient) = (self.client.clone(), Arc::clone(&self.recipient));
        self.running.spawn(async move {
            // no context: the runtime's Decrypt sends none
            let context = BTreeMap::new();
            let failed = |error| PackError::Kms { purpose: "envelope".to_owned(), error };
            let (data_key, wrapped, call) =
                client.generate_data_key(&key, &context, &recipient).await.map_err(failed)?;
            Ok((Slot::Envelope(wrapped), "envelope".to_owned(), data_key, call))
        });
        Ok(())
    }

    async fn finish(mut self) -> Result<Answers, PackError> {
        let mut answers =
            Answers { cells: BTreeMap::new(), signer: None, age_key: None, envelope: None, facts: Vec::new() };
        while let Some(joined) = self.running.join_next().await {
            let (slot, purpose, data_key, call) = joined.map_err(|_| PackError::Crypto("a KMS call"))??;
            answers.facts.push(fact(&purpose, &call));
            match slot {
                Slot::Cell(index) => drop(answers.cells.insert(index, data_key)),
                Slot::Signer => answers.signer = Some(data_key),
                Slot::AgeKey => answers.age_key = Some(data_key),
                Slot::Envelope(wrapped) => {
                    answers.envelope = Some(EnvelopeKey { arn: call.key_arn, data_key, wrapped });
                }
            }
        }
        // the order of answers is the network's; the receipt's is by purpose
        answers.facts.sort_by(|a, b| a.purpose.cmp(&b.purpose));
        Ok(answers)
    }
}

fn data_key(plaintext: &SecretBytes) -> Option<Secret<32>> {
    Secret::copy_from(plaintext.expose())
}

/// A call as the receipt states it.
pub(crate) fn fact(purpose: &str, call: &Call) -> KmsCall {
    KmsCall {
        purpose: purpose.to_owned(),
        operation: call.operation.to_owned(),
        key_arn: call.key_arn.clone(),
        request_id: call.request_id.clone(),
        attempts: call.attempts,
        attempt_request_ids: call.attempt_request_ids.clone(),
        encryption_context: call.context.clone(),
        ciphertext_blob_sha256: hex::encode(call.ciphertext_blob_sha256),
        recipient_attested: true,
        assurance: Assurance::EnclaveVerified,
    }
}
