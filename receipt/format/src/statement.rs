//! The two statements of a receipt, as in-toto Statement v1.
//!
//! The pack statement's predicate is a superset of SLSA provenance v1 (`buildDefinition`, `runDetails`). The evidence
//! statement is SCAI v0.3. Readers ignore members they do not know inside the predicate and refuse another `buildType`.
//! Every fact carries an [`Assurance`]. Nothing here is derived from a plaintext value.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `_type` of an in-toto statement.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// Predicate type of a pack under AWS's root.
pub const PACK_PREDICATE: &str = "https://packproof.dev/attestation/pack/v1";
/// Predicate type of a pack under a policy with `simulated`, whatever the root.
pub const SIMULATED_PREDICATE: &str = "https://packproof.dev/attestation/pack-simulated/v1";
/// Predicate type of the evidence statement: SCAI v0.3 (in-toto attestation repository, `spec/predicates/scai.md`).
pub const EVIDENCE_PREDICATE: &str = "https://in-toto.io/attestation/scai/v0.3";
/// The one build type this version knows.
pub const BUILD_TYPE: &str = "https://packproof.dev/pack/v1";
/// `builder.id`.
pub const BUILDER_ID: &str = "https://packproof.dev/enclave/v1";
/// The one attribute of the evidence statement.
pub const EVIDENCE_ATTRIBUTE: &str = "PRODUCED_IN_MEASURED_ENCLAVE";
/// Name of the evidence statement's subject: the PAE bytes of the pack statement.
pub const EVIDENCE_SUBJECT: &str = "pack-statement.pae";
/// Media type of a Nitro attestation document.
pub const DOCUMENT_MEDIA_TYPE: &str = "application/cose";

/// An in-toto statement with predicate `P`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Statement<P> {
    /// [`STATEMENT_TYPE`].
    #[serde(rename = "_type")]
    pub kind: String,
    /// Exactly one: cosign accepts a match on any subject.
    pub subject: Vec<Subject>,
    /// Names the predicate.
    pub predicate_type: String,
    /// The predicate.
    pub predicate: P,
}

/// What a statement is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// A label.
    pub name: String,
    /// Algorithm name to lower-case hex.
    pub digest: BTreeMap<String, String>,
}

/// Who vouches for a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Assurance {
    /// The enclave checked it.
    EnclaveVerified,
    /// Passed on as the host gave it.
    HostAsserted,
}

/// Predicate of the pack statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PackPredicate {
    /// SLSA: what was asked for and what went in.
    pub build_definition: BuildDefinition,
    /// SLSA: what ran, and when.
    pub run_details: RunDetails,
    /// The commit and who signed it.
    pub source: SourceFacts,
    /// Every KMS call of this pack.
    pub kms: Vec<KmsCall>,
    /// Under `record_key_policies`: the policy of each key in `kms`, once, in the order of ARNs.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub key_policies: Vec<KeyPolicy>,
    /// The artifact.
    pub output: Output,
}

/// SLSA `buildDefinition`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildDefinition {
    /// [`BUILD_TYPE`].
    pub build_type: String,
    /// All parameters the host chose.
    pub external_parameters: ExternalParameters,
    /// What the measured policy decided.
    pub internal_parameters: InternalParameters,
    /// Every git object used.
    pub resolved_dependencies: Vec<Dependency>,
}

/// All parameters the host chose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalParameters {
    /// Commit id, hex.
    pub commit: String,
    /// Id of the annotated tag whose signature is to count in place of the commit's, hex.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tag: Option<String>,
    /// Identity asked for.
    pub identity: String,
    /// Environment asked for.
    pub environment: String,
    /// Lifetime asked for; absent when the policy's maximum was used.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ttl_seconds: Option<u64>,
    /// The caller's challenge, 32 bytes as hex; also the document's `nonce`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub challenge: Option<String>,
    /// SHA-256 of the sealed signer blob, hex.
    pub sealed_signer_sha256: String,
    /// SHA-256 of the sealed age key blob, hex.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sealed_age_key_sha256: Option<String>,
    /// Whose AWS credentials the calls were made with. No secret: CloudTrail shows it.
    #[serde(default)]
    pub access_key_id: String,
}

/// What the measured policy decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InternalParameters {
    /// SHA-256 of `packproof.toml`, hex.
    pub policy_sha256: String,
    /// The policy's repository.
    pub repository: String,
    /// The policy's object format.
    pub object_format: String,
}

/// One git object that went in, or one path proved absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// Path in the repository; the commit id for the commit.
    pub name: String,
    /// `gitCommit`, `gitTag`, `gitTree` or `gitBlob` (the object id) and `sha256` of the object's content. Empty when absent.
    pub digest: BTreeMap<String, String>,
    /// What it is and what was found out about it.
    pub annotations: DependencyFacts,
}

/// What an input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The commit object.
    Commit,
    /// The annotated tag whose signature counted.
    Tag,
    /// A tree on the way to a file.
    Tree,
    /// The file `.packproof/repository`.
    RepositoryMarker,
    /// Clef's manifest.
    Manifest,
    /// A schema that the policy pins.
    Schema,
    /// A SOPS file.
    Cell,
    /// The file beside a cell that names its pending values.
    Sidecar,
    /// A cell of the matrix that the commit does not hold.
    AbsentCell,
}

/// Annotations of a [`Dependency`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DependencyFacts {
    /// What it is.
    pub role: Role,
    /// Who vouches.
    pub assurance: Assurance,
    /// Git mode of a file, octal.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mode: Option<String>,
    /// Namespace of a cell.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub namespace: Option<String>,
    /// Path of the schema that a cell's values satisfy.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub schema: Option<String>,
    /// Keys of a cell whose values its sidecar calls pending.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub pending_keys: Vec<String>,
    /// Every key entry of a cell, used or not: who could open it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub key_entries: Vec<KeyEntry>,
}

/// One key that can open a cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyEntry {
    /// `kms`, `age`, or SOPS's name of another kind.
    pub kind: String,
    /// ARN, recipient or fingerprint.
    pub id: String,
    /// Whether this pack used it.
    pub used: bool,
}

/// SLSA `runDetails`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunDetails {
    /// What ran.
    pub builder: Builder,
    /// When.
    pub metadata: Metadata,
}

/// What ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Builder {
    /// [`BUILDER_ID`].
    pub id: String,
    /// `packproof`: version; `pcr0`, `pcr1`, `pcr2`: hex. Believed only when the evidence says the same.
    pub version: BTreeMap<String, String>,
}

/// When it ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// 16 random bytes, hex.
    pub invocation_id: String,
    /// RFC 3339.
    pub started_on: String,
    /// RFC 3339.
    pub finished_on: String,
    /// Always `nsm`: the NSM document's timestamp, carried on by the enclave's monotonic clock.
    pub clock: String,
}

/// The commit and who signed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceFacts {
    /// Repository by the tree's marker, equal to the policy's.
    pub repository: String,
    /// Commit id, hex.
    pub commit: String,
    /// The commit's tree, hex.
    pub tree: String,
    /// Signed committer date, RFC 3339.
    pub committed_on: String,
    /// The tag whose signature counted, if it was a tag's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tag: Option<TagFacts>,
    /// The signature that counted.
    pub signature: SignatureFacts,
    /// Where a tag's signature counted: whose the commit's own is, if it is one by anybody whom the policy names. That
    /// person's approval does not count either.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub commit_signature: Option<SignatureFacts>,
    /// Who else agreed, by different people and keys, in the order of the request.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub approvals: Vec<ApprovalFacts>,
    /// Who vouches.
    pub assurance: Assurance,
}

/// An annotated tag of the commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TagFacts {
    /// Its id, hex.
    pub id: String,
    /// The name in it, without `refs/tags/`.
    pub name: String,
    /// Signed tagger date, RFC 3339.
    pub tagged_on: String,
}

/// An SSH signature by somebody whom the policy names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignatureFacts {
    /// The algorithm, as SSH names it: `ssh-ed25519`, `rsa-sha2-512`.
    pub scheme: String,
    /// The policy's name of the key, or of the authority that certified it.
    pub signer: String,
    /// The policy's principal; under an authority the first principal of the certificate that the policy allows.
    pub principal: String,
    /// Of the key that signed: `SHA256:…` as `ssh-keygen -l` prints it.
    pub fingerprint: String,
    /// How an authority of the policy certified the key, if one did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub certificate: Option<CertificateFacts>,
}

/// An OpenSSH certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateFacts {
    /// Fingerprint of the authority's key.
    pub authority: String,
    /// The authority's name for the certificate.
    pub key_id: String,
    /// The authority's number for the certificate.
    pub serial: u64,
    /// Its principals that the policy allows.
    pub principals: Vec<String>,
    /// All of its principals: other names of the same person.
    pub all_principals: Vec<String>,
}

/// One approval that counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalFacts {
    /// Who signed it.
    #[serde(flatten)]
    pub signature: SignatureFacts,
    /// Until when it can be used, RFC 3339.
    pub not_after: String,
}

/// One KMS operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KmsCall {
    /// `cell`, `age-key`, `signer` or `envelope`.
    pub purpose: String,
    /// `Decrypt` or `GenerateDataKey`.
    pub operation: String,
    /// KeyId of the answer, equal to the pinned ARN.
    pub key_arn: String,
    /// Request id of the answer.
    pub request_id: String,
    /// How often it was tried.
    pub attempts: u32,
    /// Request ids of all answered attempts, the last one's included: CloudTrail shows the refused ones too.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub attempt_request_ids: Vec<String>,
    /// Context sent.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub encryption_context: BTreeMap<String, String>,
    /// SHA-256 of the CiphertextBlob, hex.
    pub ciphertext_blob_sha256: String,
    /// Whether the answer was encrypted to the enclave's attested key. Always true: any other answer is refused.
    pub recipient_attested: bool,
    /// Who vouches: the answer came over TLS that ends in the enclave.
    pub assurance: Assurance,
}

/// Who may use a key and what kind of key it is, as KMS told the enclave during the pack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyPolicy {
    /// The key asked about. The answer to `DescribeKey` named it; `GetKeyPolicy` names none.
    pub key_arn: String,
    /// The answer to `GetKeyPolicy`, every character as KMS sent it, at most [`MAX_KEY_POLICY_BYTES`].
    pub policy: String,
    /// What `DescribeKey` said.
    pub description: KeyDescription,
    /// Request ids of the answered attempts of `GetKeyPolicy`; the last is that of the answer.
    pub policy_request_ids: Vec<String>,
    /// The same of `DescribeKey`.
    pub description_request_ids: Vec<String>,
    /// Who vouches: both answers came over TLS that ends in the enclave.
    pub assurance: Assurance,
}

/// Facts of `DescribeKey`, as AWS names them (KMS API reference, KeyMetadata).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyDescription {
    /// `CUSTOMER` or `AWS`.
    pub key_manager: String,
    /// `AWS_KMS`; anything else means that somebody outside KMS had or has the key material.
    pub origin: String,
    /// Whether the key can have replicas with other policies.
    pub multi_region: bool,
    /// `Enabled`, `PendingDeletion`, …
    pub key_state: String,
    /// `ENCRYPT_DECRYPT`, …
    pub key_usage: String,
    /// `SYMMETRIC_DEFAULT`, …
    pub key_spec: String,
}

/// The longest key policy that KMS takes (API reference, PutKeyPolicy).
pub const MAX_KEY_POLICY_BYTES: usize = 32_768;

/// The artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// `clef/1`.
    pub format: String,
    /// Clef's identity.
    pub identity: String,
    /// Clef's environment.
    pub environment: String,
    /// `age` or `aws-kms`.
    pub recipient_kind: String,
    /// Recipient or key ARN.
    pub recipient: String,
    /// SHA-256 of the signed `clef-sig-v3` payload, hex.
    pub signed_payload_sha256: String,
    /// Public key of the artifact's signature: Ed25519 SPKI, DER, base64.
    pub verify_key: String,
    /// Clef's revision.
    pub revision: String,
    /// As in the artifact.
    pub packed_at: String,
    /// As in the artifact.
    pub expires_at: String,
    /// Namespaces in the artifact, in order.
    pub namespaces: Vec<String>,
    /// How many keys.
    pub key_count: u64,
    /// Who vouches.
    pub assurance: Assurance,
}

/// Predicate of the evidence statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidencePredicate {
    /// Exactly one.
    pub attributes: Vec<EvidenceAttribute>,
}

/// A SCAI attribute assertion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceAttribute {
    /// [`EVIDENCE_ATTRIBUTE`].
    pub attribute: String,
    /// The Nitro document.
    pub evidence: EvidenceDocument,
}

/// An in-toto resource descriptor that carries its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EvidenceDocument {
    /// A label.
    pub name: String,
    /// [`DOCUMENT_MEDIA_TYPE`].
    pub media_type: String,
    /// The document, standard base64.
    pub content: String,
}
