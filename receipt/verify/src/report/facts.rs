//! What a receipt says, gathered for a reader.

use std::collections::BTreeMap;

use packproof_receipt::statement::{
    Dependency, KeyDescription, KeyEntry, KeyPolicy, PackPredicate, Role, SignatureFacts, Statement,
};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::evidence::{Note, VerifiedDocument};

/// Who, what, when, and with which keys, as the receipt says.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// Clef's identity.
    pub identity: String,
    /// Clef's environment.
    pub environment: String,
    /// The repository.
    pub repository: String,
    /// The commit.
    pub commit: String,
    /// Its signed committer date.
    pub committed_on: String,
    /// Name of the tag whose signature counted, if it was a tag's.
    pub tag: Option<String>,
    /// Who signed the commit, or the tag.
    pub signer: Signer,
    /// Who else agreed.
    pub approvals: Vec<Signer>,
    /// When the pack began.
    pub started_on: String,
    /// When it ended.
    pub finished_on: String,
    /// The caller's challenge.
    pub challenge: Option<String>,
    /// SHA-256 of the artifact.
    pub artifact_sha256: Option<String>,
    /// Clef's revision.
    pub revision: String,
    /// When the artifact expires.
    pub expires_at: String,
    /// `age` or `aws-kms`.
    pub recipient_kind: String,
    /// To whom the artifact is encrypted.
    pub recipient: String,
    /// Public key of the artifact's signature.
    pub verify_key: String,
    /// Namespaces in the artifact.
    pub namespaces: Vec<String>,
    /// How many keys it has.
    pub key_count: u64,
    /// The cells that were opened.
    pub inputs: Vec<Input>,
    /// Cells that the commit does not hold.
    pub absent: Vec<String>,
    /// What KMS was asked.
    pub kms: Vec<KmsUse>,
    /// The policies of these keys, as KMS told the enclave, where the policy has them recorded.
    pub key_policies: Vec<KeyPolicyFacts>,
    /// The Nitro document. Absent when it was refused.
    pub evidence: Option<EvidenceFacts>,
}

/// Who signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Signer {
    /// The policy's name for the key, or for the authority that certified it.
    pub name: String,
    /// Who holds it.
    pub principal: String,
    /// `SHA256:…`.
    pub fingerprint: String,
    /// The authority's name for the certificate, if there is one.
    pub certificate: Option<String>,
}

/// One cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    /// Its path in the repository.
    pub path: String,
    /// Its namespace.
    pub namespace: Option<String>,
    /// SHA-256 of the file.
    pub sha256: Option<String>,
    /// The schema that its values satisfy.
    pub schema: Option<String>,
    /// Keys whose values are placeholders still.
    pub pending_keys: Vec<String>,
    /// What this pack opened it with.
    pub opened_with: Vec<Key>,
    /// Who else could open it.
    pub others: Vec<Key>,
}

/// A key that can open a cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Key {
    /// `kms`, `age`, or SOPS's name of another kind.
    pub kind: String,
    /// ARN, recipient or fingerprint.
    pub id: String,
}

/// One KMS operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KmsUse {
    /// What for.
    pub purpose: String,
    /// `Decrypt` or `GenerateDataKey`.
    pub operation: String,
    /// The key.
    pub key_arn: String,
    /// The id to look for in CloudTrail.
    pub request_id: String,
}

/// A recorded key policy. Who can decrypt by it, `packproof kms-policy explain` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyPolicyFacts {
    /// The key.
    pub key_arn: String,
    /// What kind of key it is.
    pub description: KeyDescription,
    /// SHA-256 of the policy's text, hex.
    pub policy_sha256: String,
    /// The policy's text, as KMS sent it. Of somebody else: escape it before it is shown.
    pub policy: String,
}

/// The Nitro document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceFacts {
    /// Instance and enclave.
    pub module_id: String,
    /// Region of the certificates.
    pub region: Option<String>,
    /// When the module made the document.
    pub timestamp: String,
    /// Register to value, hex.
    pub pcrs: BTreeMap<u8, String>,
    /// SHA-256 of the root's DER.
    pub root_sha256: String,
    /// SHA-256 of the signed payload.
    pub payload_sha256: String,
    /// Unusual things that refuse nothing.
    pub notes: Vec<String>,
}

/// A bound on the age.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AgeBound {
    /// The largest age, in seconds.
    pub seconds: u64,
    /// The auditor's time.
    pub now: String,
}

impl Facts {
    pub(crate) fn of(statement: &Statement<PackPredicate>, document: Option<&VerifiedDocument>) -> Self {
        let predicate = &statement.predicate;
        let (source, output) = (&predicate.source, &predicate.output);
        let dependencies = &predicate.build_definition.resolved_dependencies;
        let of_role = |role| dependencies.iter().filter(move |dependency| dependency.annotations.role == role);
        let metadata = &predicate.run_details.metadata;
        Self {
            identity: output.identity.clone(),
            environment: output.environment.clone(),
            repository: source.repository.clone(),
            commit: source.commit.clone(),
            committed_on: source.committed_on.clone(),
            tag: source.tag.as_ref().map(|tag| tag.name.clone()),
            signer: signer(&source.signature),
            approvals: source.approvals.iter().map(|approval| signer(&approval.signature)).collect(),
            started_on: metadata.started_on.clone(),
            finished_on: metadata.finished_on.clone(),
            challenge: predicate.build_definition.external_parameters.challenge.clone(),
            artifact_sha256: statement.subject.first().and_then(|subject| subject.digest.get("sha256").cloned()),
            revision: output.revision.clone(),
            expires_at: output.expires_at.clone(),
            recipient_kind: output.recipient_kind.clone(),
            recipient: output.recipient.clone(),
            verify_key: output.verify_key.clone(),
            namespaces: output.namespaces.clone(),
            key_count: output.key_count,
            inputs: of_role(Role::Cell).map(input).collect(),
            absent: of_role(Role::AbsentCell).map(|cell| cell.name.clone()).collect(),
            kms: predicate
                .kms
                .iter()
                .map(|call| KmsUse {
                    purpose: call.purpose.clone(),
                    operation: call.operation.clone(),
                    key_arn: call.key_arn.clone(),
                    request_id: call.request_id.clone(),
                })
                .collect(),
            key_policies: predicate.key_policies.iter().map(key_policy).collect(),
            evidence: document.map(evidence),
        }
    }
}

fn signer(signature: &SignatureFacts) -> Signer {
    Signer {
        name: signature.signer.clone(),
        principal: signature.principal.clone(),
        fingerprint: signature.fingerprint.clone(),
        certificate: signature.certificate.as_ref().map(|certificate| certificate.key_id.clone()),
    }
}

fn key_policy(entry: &KeyPolicy) -> KeyPolicyFacts {
    KeyPolicyFacts {
        key_arn: entry.key_arn.clone(),
        description: entry.description.clone(),
        policy_sha256: hex::encode(Sha256::digest(&entry.policy)),
        policy: entry.policy.clone(),
    }
}

fn input(cell: &Dependency) -> Input {
    let keys = |used: bool| {
        let key = |entry: &KeyEntry| Key { kind: entry.kind.clone(), id: entry.id.clone() };
        cell.annotations.key_entries.iter().filter(|entry| entry.used == used).map(key).collect()
    };
    Input {
        path: cell.name.clone(),
        namespace: cell.annotations.namespace.clone(),
        sha256: cell.digest.get("sha256").cloned(),
        schema: cell.annotations.schema.clone(),
        pending_keys: cell.annotations.pending_keys.clone(),
        opened_with: keys(true),
        others: keys(false),
    }
}

pub(crate) fn evidence(document: &VerifiedDocument) -> EvidenceFacts {
    let note = |note: &Note| match note {
        Note::UnknownKey(name) => format!("{}: {name}", note.code()),
        Note::CabundleLength(length) => format!("{}: {length}", note.code()),
    };
    EvidenceFacts {
        module_id: document.module_id.clone(),
        region: document.region.clone(),
        timestamp: document.timestamp.to_rfc3339(),
        pcrs: document.pcrs.iter().map(|(index, value)| (*index, hex::encode(value))).collect(),
        root_sha256: hex::encode(document.root_sha256),
        payload_sha256: hex::encode(document.payload_sha256),
        notes: document.notes.iter().map(note).collect(),
    }
}
