//! A fake enclave: it speaks the protocol and does what the test says.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use packproof_artifact::envelope::{Artifact, Contents};
use packproof_receipt::{
    bundle,
    sealed::{BirthStatement, SealedKey},
    statement::{
        Assurance, BuildDefinition, Builder, ExternalParameters, InternalParameters, Metadata, Output, PACK_PREDICATE,
        PackPredicate, RunDetails, STATEMENT_TYPE, SignatureFacts, SourceFacts, Statement, Subject,
    },
};
use packproof_wire::{
    Described, ErrorAnswer, FrameKind, MAX_FRAME_BYTES, PACK_PORT, PackAnswer, PackRequest, Request, handshake,
    message::{decode, encode},
    read_frame, write_frame,
};
use sha2::{Digest, Sha256};
use tokio::{io::AsyncWriteExt, net::UnixListener, sync::oneshot};

pub(crate) const POLICY: &str = r#"
schema = 1
[source]
repository = "https://git.example/secrets"
object_format = "sha1"
manifest = "clef.yaml"
[[source.signer]]
name = "release"
principal = "release@example"
ssh = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
[kms]
endpoint = "aws"
[[pack]]
identity = "checkout"
environment = "production"
namespaces = ["stripe", "rds"]
decrypt = ["arn:aws:kms:eu-west-1:111122223333:key/sops"]
envelope = "arn:aws:kms:eu-west-1:111122223333:key/envelope"
signer = { kms = "arn:aws:kms:eu-west-1:111122223333:key/signer" }
signers = ["release"]
max_ttl_seconds = 86400
max_commit_age_seconds = 604800
[[pack]]
identity = "checkout"
environment = "dev"
namespaces = ["stripe", "rds"]
unseal = { kms = "arn:aws:kms:eu-west-1:111122223333:key/age" }
recipient = "age12pqa9mxg38flnnkdpdawm7srla953f472k6q0446gynjrl7whgwqdamy94"
signer = { kms = "arn:aws:kms:eu-west-1:111122223333:key/dev-signer" }
signers = ["release"]
max_ttl_seconds = 3600
max_commit_age_seconds = 604800
[limits]
max_request_bytes = 65536
"#;

/// What the fake does with a request.
pub(crate) type Behaviour = dyn Fn(&Request) -> Reply + Send + Sync;

pub(crate) enum Reply {
    Answer(Vec<u8>),
    Error(ErrorAnswer),
    /// Bytes as they are, then the end.
    Raw(Vec<u8>),
}

/// A running fake; it ends when dropped.
pub(crate) struct FakeEnclave {
    path: PathBuf,
    requests: Arc<Mutex<Vec<Request>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl FakeEnclave {
    pub(crate) fn start(path: &Path, behave: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (stop, stopped) = oneshot::channel();
        let (listener, seen) = (std::os::unix::net::UnixListener::bind(path).unwrap(), Arc::clone(&requests));
        listener.set_nonblocking(true).unwrap();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = UnixListener::from_std(listener).unwrap();
                tokio::select! {
                    () = serve(&listener, &behave, &seen) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { path: path.to_owned(), requests, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn address(&self) -> String {
        format!("unix:{}", self.path.display())
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }

    /// The one pack request so far.
    pub(crate) fn pack_request(&self) -> PackRequest {
        let mut packs = self.requests().into_iter().filter_map(|request| match request {
            Request::Pack(pack) => Some(pack),
            _ => None,
        });
        let pack = packs.next().expect("a pack request");
        assert!(packs.next().is_none(), "one pack request");
        pack
    }
}

impl Drop for FakeEnclave {
    fn drop(&mut self) {
        // A fake that failed has said why on its own; the test fails for want of an answer.
        let _ = self.stop.take().unwrap().send(());
        let _ = self.thread.take().unwrap().join();
    }
}

async fn serve(listener: &UnixListener, behave: &Behaviour, seen: &Mutex<Vec<Request>>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        handshake::accept(&mut stream, PACK_PORT).await.unwrap();
        let (kind, body) = read_frame(&mut stream, MAX_FRAME_BYTES).await.unwrap();
        assert_eq!(kind, FrameKind::Request);
        let request: Request = decode(&body).unwrap();
        let reply = behave(&request);
        // Before the reply: whoever has the answer may look at once.
        seen.lock().unwrap().push(request);
        match reply {
            Reply::Answer(body) => write_frame(&mut stream, FrameKind::Answer, &body).await.unwrap(),
            Reply::Error(error) => write_frame(&mut stream, FrameKind::Error, &encode(&error)).await.unwrap(),
            Reply::Raw(bytes) => stream.write_all(&bytes).await.unwrap(),
        }
    }
}

pub(crate) fn described() -> Described {
    Described {
        version: "0.0.0".into(),
        policy: POLICY.into(),
        pcr0: "00".repeat(48),
        pcr1: "11".repeat(48),
        pcr2: "22".repeat(48),
        receipt_key: "MFkw".into(),
    }
}

/// Describes itself and answers a pack with `answer`.
pub(crate) fn packing(
    answer: impl Fn(&PackRequest) -> Reply + Send + Sync,
) -> impl Fn(&Request) -> Reply + Send + Sync {
    move |request| match request {
        Request::Describe {} => Reply::Answer(encode(&described())),
        Request::Pack(pack) => answer(pack),
        _ => Reply::Raw(Vec::new()),
    }
}

/// Packs for `identity` and `environment`, whatever was asked for.
pub(crate) fn packed(request: &PackRequest, identity: &str, environment: &str) -> PackAnswer {
    let artifact = Artifact::new(Contents {
        identity,
        environment,
        packed_at: "2026-11-23T18:40:09.112Z",
        revision: "1-00000000",
        ciphertext: b"ciphertext",
        envelope: None,
        expires_at: Some("2026-11-24T18:40:09.112Z"),
    });
    let artifact = artifact.unwrap().to_bytes();
    let payload = serde_json::to_vec(&statement(&artifact, request, identity, environment)).unwrap();
    let line = bundle::line(&payload, b"signature", b"key");
    PackAnswer { artifact, receipt: format!("{line}{line}").into_bytes() }
}

fn statement(artifact: &[u8], request: &PackRequest, identity: &str, environment: &str) -> Statement<PackPredicate> {
    let text = String::new;
    let predicate = PackPredicate {
        build_definition: BuildDefinition {
            build_type: text(),
            external_parameters: ExternalParameters {
                commit: request.commit.clone(),
                tag: request.tag.clone(),
                identity: identity.into(),
                environment: environment.into(),
                ttl_seconds: None,
                challenge: None,
                sealed_signer_sha256: text(),
                sealed_age_key_sha256: None,
                access_key_id: request.credentials.access_key_id.clone(),
            },
            internal_parameters: InternalParameters {
                policy_sha256: text(),
                repository: text(),
                object_format: text(),
            },
            resolved_dependencies: Vec::new(),
        },
        run_details: RunDetails {
            builder: Builder { id: text(), version: BTreeMap::new() },
            metadata: Metadata { invocation_id: text(), started_on: text(), finished_on: text(), clock: text() },
        },
        source: SourceFacts {
            repository: text(),
            commit: request.commit.clone(),
            tree: text(),
            committed_on: text(),
            tag: None,
            signature: SignatureFacts {
                scheme: text(),
                signer: text(),
                principal: text(),
                fingerprint: text(),
                certificate: None,
            },
            commit_signature: None,
            approvals: Vec::new(),
            assurance: Assurance::EnclaveVerified,
        },
        kms: Vec::new(),
        key_policies: Vec::new(),
        output: Output {
            format: text(),
            identity: identity.into(),
            environment: environment.into(),
            recipient_kind: text(),
            recipient: text(),
            signed_payload_sha256: text(),
            verify_key: text(),
            revision: text(),
            packed_at: text(),
            expires_at: text(),
            namespaces: vec!["rds".into(), "stripe".into()],
            key_count: 7,
            assurance: Assurance::EnclaveVerified,
        },
    };
    Statement {
        kind: STATEMENT_TYPE.into(),
        subject: vec![Subject {
            name: "artifact".into(),
            digest: BTreeMap::from([("sha256".into(), hex::encode(Sha256::digest(artifact)))]),
        }],
        predicate_type: PACK_PREDICATE.into(),
        predicate,
    }
}

pub(crate) fn birth(
    purpose: &str,
    identity: &str,
    environment: &str,
    arn: &str,
    key: &str,
    blob: &[u8],
) -> BirthStatement {
    BirthStatement {
        purpose: purpose.into(),
        repository: "https://git.example/secrets".into(),
        identity: identity.into(),
        environment: environment.into(),
        kms_key_arn: arn.into(),
        kms_request_id: "id".into(),
        blob_sha256: hex::encode(Sha256::digest(blob)),
        public_key: key.into(),
        policy_sha256: String::new(),
        born_on: "2026-11-23T18:40:09.112Z".into(),
    }
}

/// Writes a sealed key file with the blob `AAE=` and returns its path as text.
pub(crate) fn write_sealed(path: &Path, birth: &BirthStatement) -> String {
    let sealed = SealedKey {
        schema: 1,
        blob: "AAE=".into(),
        birth_statement: serde_json::to_string(birth).unwrap(),
        birth_document: "AA==".into(),
    };
    std::fs::write(path, serde_json::to_vec(&sealed).unwrap()).unwrap();
    path.to_str().unwrap().to_owned()
}
