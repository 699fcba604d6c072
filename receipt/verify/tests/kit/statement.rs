//! The pack statement of a pack that followed the policy.

use std::collections::BTreeMap;

use packproof_receipt::statement::{
    Assurance, BUILD_TYPE, BUILDER_ID, BuildDefinition, Builder, Dependency, DependencyFacts, ExternalParameters,
    InternalParameters, KeyEntry, KmsCall, Metadata, Output, PackPredicate, Role, RunDetails, SIMULATED_PREDICATE,
    STATEMENT_TYPE, SignatureFacts, SourceFacts, Statement, Subject,
};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256, Sha512};

use super::{
    CHALLENGE, DEV_AGE_ARN, DEV_CELL_RECIPIENT, DEV_RECIPIENT, DEV_SIGNER_ARN, ENVELOPE_ARN, Entry, Kit, REPOSITORY,
    SIGNER_ARN, SOPS_ARN, ed25519_spki, time,
};

/// `ssh-keygen -lf` over the policy's key.
pub const FINGERPRINT: &str = "SHA256:ZkAslGjFiUHdGf/WUL8rQvkib4PTvQatUV0OUQSncCA";
pub const COMMIT: &str = "1111111111111111111111111111111111111111";
pub const TREE: &str = "2222222222222222222222222222222222222222";

fn sha256(bytes: impl AsRef<[u8]>) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

pub fn pack(
    kit: &Kit,
    entry: Entry,
    members: &Map<String, Value>,
    payload: &str,
    artifact: &str,
) -> Statement<PackPredicate> {
    let member = |name: &str| members.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let namespaces: &[&str] = match entry {
        Entry::Production => &["stripe", "rds-orders"],
        Entry::Dev => &["stripe"],
    };
    let (recipient_kind, recipient) = match entry {
        Entry::Production => ("aws-kms", ENVELOPE_ARN),
        Entry::Dev => ("age", DEV_RECIPIENT),
    };
    Statement {
        kind: STATEMENT_TYPE.into(),
        subject: vec![Subject {
            name: format!("checkout/{}", entry.environment()),
            digest: map(&[("sha256", &sha256(artifact)), ("sha512", &hex::encode(Sha512::digest(artifact)))]),
        }],
        predicate_type: SIMULATED_PREDICATE.into(),
        predicate: PackPredicate {
            build_definition: BuildDefinition {
                build_type: BUILD_TYPE.into(),
                external_parameters: ExternalParameters {
                    commit: COMMIT.into(),
                    tag: None,
                    identity: "checkout".into(),
                    environment: entry.environment().into(),
                    ttl_seconds: None,
                    challenge: Some(hex::encode(CHALLENGE)),
                    sealed_signer_sha256: sha256("sealed signer"),
                    sealed_age_key_sha256: (entry == Entry::Dev).then(|| sha256("sealed age key")),
                    access_key_id: "AKIAIOSFODNN7EXAMPLE".into(),
                },
                internal_parameters: InternalParameters {
                    policy_sha256: sha256(&kit.policy),
                    repository: REPOSITORY.into(),
                    object_format: "sha1".into(),
                },
                resolved_dependencies: dependencies(entry, namespaces),
            },
            run_details: RunDetails {
                builder: Builder {
                    id: BUILDER_ID.into(),
                    version: map(&[
                        ("packproof", "0.1.0"),
                        ("pcr0", &hex::encode(kit.measured.pcr0)),
                        ("pcr1", &hex::encode(kit.measured.pcr1)),
                        ("pcr2", &hex::encode(kit.measured.pcr2)),
                    ]),
                },
                metadata: Metadata {
                    invocation_id: "00".repeat(16),
                    started_on: time(-1_000),
                    finished_on: time(-100),
                    clock: "nsm".into(),
                },
            },
            source: SourceFacts {
                repository: REPOSITORY.into(),
                commit: COMMIT.into(),
                tree: TREE.into(),
                committed_on: time(-60_000),
                tag: None,
                signature: SignatureFacts {
                    scheme: "ssh-ed25519".into(),
                    signer: "release".into(),
                    principal: "release@acme.example".into(),
                    fingerprint: FINGERPRINT.into(),
                    certificate: None,
                },
                commit_signature: None,
                approvals: Vec::new(),
                assurance: Assurance::EnclaveVerified,
            },
            kms: calls(entry, namespaces),
            key_policies: Vec::new(),
            output: Output {
                format: "clef/1".into(),
                identity: member("identity"),
                environment: member("environment"),
                recipient_kind: recipient_kind.into(),
                recipient: recipient.into(),
                signed_payload_sha256: sha256(payload),
                verify_key: ed25519_spki(kit.signer(entry)),
                revision: member("revision"),
                packed_at: member("packedAt"),
                expires_at: member("expiresAt"),
                namespaces: namespaces.iter().map(|name| (*name).to_owned()).collect(),
                key_count: 3,
                assurance: Assurance::EnclaveVerified,
            },
        },
    }
}

fn cell_path(entry: Entry, namespace: &str) -> String {
    format!("secrets/{namespace}/{}.enc.yaml", entry.environment())
}

fn dependencies(entry: Entry, namespaces: &[&str]) -> Vec<Dependency> {
    let object = |name: &str, role: Role, digest: BTreeMap<String, String>, mode: Option<&str>| Dependency {
        name: name.into(),
        digest,
        annotations: DependencyFacts {
            role,
            assurance: Assurance::EnclaveVerified,
            mode: mode.map(str::to_owned),
            namespace: None,
            schema: None,
            pending_keys: Vec::new(),
            key_entries: Vec::new(),
        },
    };
    let blob = |id: char, content: &str| map(&[("gitBlob", &id.to_string().repeat(40)), ("sha256", &sha256(content))]);
    let marker = format!("{REPOSITORY}\n");
    let mut all = vec![
        object(COMMIT, Role::Commit, map(&[("gitCommit", COMMIT), ("sha256", &sha256("commit"))]), None),
        object(TREE, Role::Tree, map(&[("gitTree", TREE), ("sha256", &sha256("tree"))]), None),
        object(".packproof/repository", Role::RepositoryMarker, blob('3', &marker), Some("100644")),
        object("clef.yaml", Role::Manifest, blob('4', "manifest"), Some("100644")),
    ];
    for namespace in namespaces {
        let mut cell = object(&cell_path(entry, namespace), Role::Cell, blob('5', namespace), Some("100644"));
        cell.annotations.namespace = Some((*namespace).to_owned());
        let key = |kind: &str, id: &str, used| KeyEntry { kind: kind.into(), id: id.into(), used };
        cell.annotations.key_entries = match entry {
            Entry::Production => vec![key("pgp", "0123456789ABCDEF", false), key("kms", SOPS_ARN, true)],
            Entry::Dev => vec![key("age", DEV_CELL_RECIPIENT, true)],
        };
        all.push(cell);
    }
    if entry == Entry::Dev {
        let mut absent = object(&cell_path(entry, "rds-orders"), Role::AbsentCell, BTreeMap::new(), None);
        absent.annotations.namespace = Some("rds-orders".into());
        all.push(absent);
    }
    all
}

fn calls(entry: Entry, namespaces: &[&str]) -> Vec<KmsCall> {
    let call = |purpose: &str, operation: &str, arn: &str, blob: &str, context: BTreeMap<String, String>| KmsCall {
        purpose: purpose.into(),
        operation: operation.into(),
        key_arn: arn.into(),
        request_id: format!("request for {purpose}"),
        attempts: 1,
        attempt_request_ids: vec![format!("request for {purpose}")],
        encryption_context: context,
        ciphertext_blob_sha256: sha256(blob),
        recipient_attested: true,
        assurance: Assurance::EnclaveVerified,
    };
    let sealed = |purpose: &str| {
        let environment = entry.environment();
        map(&[("purpose", purpose), ("repository", REPOSITORY), ("identity", "checkout"), ("environment", environment)])
    };
    match entry {
        Entry::Production => {
            let cell = |namespace: &&str| {
                let purpose = format!("cell {:?}", cell_path(entry, namespace));
                call(&purpose, "Decrypt", SOPS_ARN, namespace, map(&[("app", "x")]))
            };
            let mut calls: Vec<KmsCall> = namespaces.iter().map(cell).collect();
            calls.push(call("envelope", "GenerateDataKey", ENVELOPE_ARN, "wrapped", BTreeMap::new()));
            calls.push(call("signer", "Decrypt", SIGNER_ARN, "sealed signer", sealed("signer")));
            calls
        }
        Entry::Dev => vec![
            call("age-key", "Decrypt", DEV_AGE_ARN, "sealed age key", sealed("age-key")),
            call("signer", "Decrypt", DEV_SIGNER_ARN, "sealed signer", sealed("signer")),
        ],
    }
}
