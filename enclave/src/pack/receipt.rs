//! `SignedPack → PackReceipt`: a statement of all that was checked, then an NSM document over its digest.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use packproof_receipt::{
    binding::DocumentTag,
    bundle,
    policy::{Pack, Target},
    statement::{
        Assurance, BUILD_TYPE, BUILDER_ID, BuildDefinition, Builder, DOCUMENT_MEDIA_TYPE, EVIDENCE_ATTRIBUTE,
        EVIDENCE_PREDICATE, EVIDENCE_SUBJECT, EvidenceAttribute, EvidenceDocument, EvidencePredicate,
        ExternalParameters, InternalParameters, Metadata, Output, PACK_PREDICATE, PackPredicate, RunDetails,
        SIMULATED_PREDICATE, STATEMENT_TYPE, Statement, Subject,
    },
};
use packproof_wire::PackAnswer;
use serde::Serialize;
use sha2::{Digest, Sha256, Sha512};

use super::{PackError, sign::SignedPack};
use crate::{clock::Clock, session::Enclave};

/// Artifact and receipt, ready to leave.
pub struct PackReceipt {
    artifact: Vec<u8>,
    receipt: String,
}

impl PackReceipt {
    /// As it goes to the host.
    pub fn into_answer(self) -> PackAnswer {
        PackAnswer { artifact: self.artifact, receipt: self.receipt.into_bytes() }
    }
}

/// States what was done and has it attested.
///
/// # Errors
/// [`PackError::Nsm`], [`PackError::Crypto`].
pub fn receipt(clock: &Clock, enclave: &Enclave, signed: SignedPack) -> Result<PackReceipt, PackError> {
    let artifact = signed.bytes.clone();
    let challenge = signed.inputs.host.challenge;
    let statement = to_bytes(&pack_statement(clock, enclave, signed)?)?;
    let pae_sha256: [u8; 32] = Sha256::digest(bundle::pae(bundle::PAYLOAD_TYPE, &statement)).into();
    let spki = enclave.receipt_key.spki_der();
    let document =
        enclave.attest(DocumentTag::Receipt, &pae_sha256, Some(spki), challenge.as_ref()).map_err(PackError::Nsm)?;
    let evidence = to_bytes(&evidence_statement(&pae_sha256, &document))?;
    let line = |statement: &[u8]| {
        enclave.receipt_key.sign_line(statement).map_err(|_| PackError::Crypto("signing the receipt"))
    };
    let receipt = line(&statement)? + &line(&evidence)?;
    Ok(PackReceipt { artifact, receipt })
}

fn to_bytes<T: Serialize>(value: &T) -> Result<Vec<u8>, PackError> {
    serde_json::to_vec(value).map_err(|_| PackError::Crypto("writing the statement"))
}

fn pack_statement(clock: &Clock, enclave: &Enclave, signed: SignedPack) -> Result<Statement<PackPredicate>, PackError> {
    let mut invocation = [0; 16];
    enclave.nsm.random(&mut invocation).map_err(PackError::Nsm)?;
    let SignedPack { inputs, artifact, bytes, signed_payload_sha256, namespaces, key_count, kms } = signed;
    let policy = &enclave.policy;
    let pcrs = policy.measurements();
    let version = BTreeMap::from([
        ("packproof".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("pcr0".to_owned(), hex::encode(pcrs.pcr0)),
        ("pcr1".to_owned(), hex::encode(pcrs.pcr1)),
        ("pcr2".to_owned(), hex::encode(pcrs.pcr2)),
    ]);
    let (recipient_kind, recipient) = recipient(&inputs.pack);
    let sha256_hex = |bytes: &[u8]| hex::encode(Sha256::digest(bytes));
    let predicate = PackPredicate {
        build_definition: BuildDefinition {
            build_type: BUILD_TYPE.into(),
            external_parameters: ExternalParameters {
                commit: inputs.host.commit,
                tag: inputs.host.tag,
                identity: inputs.pack.identity.clone(),
                environment: inputs.pack.environment.clone(),
                ttl_seconds: inputs.host.ttl_seconds,
                challenge: inputs.host.challenge.map(hex::encode),
                sealed_signer_sha256: sha256_hex(&inputs.host.sealed_signer),
                sealed_age_key_sha256: inputs.host.sealed_age_key.as_deref().map(sha256_hex),
                access_key_id: inputs.host.access_key_id,
            },
            internal_parameters: InternalParameters {
                policy_sha256: policy.sha256_hex(),
                repository: inputs.repository,
                object_format: inputs.object_format,
            },
            resolved_dependencies: inputs.dependencies,
        },
        run_details: RunDetails {
            builder: Builder { id: BUILDER_ID.into(), version },
            metadata: Metadata {
                invocation_id: hex::encode(invocation),
                started_on: clock.started().to_rfc3339(),
                finished_on: clock.now().to_rfc3339(),
                clock: "nsm".into(),
            },
        },
        source: inputs.source,
        kms: kms.calls,
        key_policies: kms.key_policies,
        output: Output {
            format: "clef/1".into(),
            identity: artifact.identity,
            environment: artifact.environment,
            recipient_kind,
            recipient,
            signed_payload_sha256: hex::encode(signed_payload_sha256),
            verify_key: inputs.pack.signer.public_key.unwrap_or_default(),
            revision: artifact.revision,
            packed_at: artifact.packed_at,
            expires_at: artifact.expires_at.unwrap_or_default(),
            namespaces,
            key_count,
            assurance: Assurance::EnclaveVerified,
        },
    };
    let digest = BTreeMap::from([
        ("sha256".to_owned(), hex::encode(Sha256::digest(&bytes))),
        ("sha512".to_owned(), hex::encode(Sha512::digest(&bytes))),
    ]);
    let name = format!("{}/{}", predicate.output.identity, predicate.output.environment);
    // the measured policy decides, not the root and not the host: see design section 9
    let predicate_type = if policy.policy().is_simulated() { SIMULATED_PREDICATE } else { PACK_PREDICATE };
    Ok(Statement {
        kind: STATEMENT_TYPE.into(),
        subject: vec![Subject { name, digest }],
        predicate_type: predicate_type.into(),
        predicate,
    })
}

fn recipient(pack: &Pack) -> (String, String) {
    match &pack.target {
        Target::Age(recipient) => ("age".into(), recipient.clone()),
        Target::Kms(arn) => ("aws-kms".into(), arn.clone()),
    }
}

fn evidence_statement(pae_sha256: &[u8; 32], document: &[u8]) -> Statement<EvidencePredicate> {
    Statement {
        kind: STATEMENT_TYPE.into(),
        subject: vec![Subject {
            name: EVIDENCE_SUBJECT.into(),
            digest: BTreeMap::from([("sha256".to_owned(), hex::encode(pae_sha256))]),
        }],
        predicate_type: EVIDENCE_PREDICATE.into(),
        predicate: EvidencePredicate {
            attributes: vec![EvidenceAttribute {
                attribute: EVIDENCE_ATTRIBUTE.into(),
                evidence: EvidenceDocument {
                    name: "nitro-attestation-document".into(),
                    media_type: DOCUMENT_MEDIA_TYPE.into(),
                    content: BASE64_STANDARD.encode(document),
                },
            }],
        },
    }
}
