//! A KMS that answers what a test tells it to: HTTPS in this process, over socket pairs.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use packproof_kms::{
    Client, Clock, Config, Credentials, Dial, DialFuture, Endpoint, KeyArn, Recipient, RecipientKey, Timeouts,
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio_rustls::TlsAcceptor;

pub(crate) mod cms;

pub(crate) const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
pub(crate) const HOST: &str = "kms.test";
pub(crate) const REQUEST_ID: &str = "00000000-0000-4000-8000-00000000000";

/// One request as the server saw it.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) uri: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Value,
    /// Which connection it came on, from 1.
    pub(crate) connection: usize,
    /// Which request it was, from 1.
    pub(crate) number: usize,
}

impl Seen {
    /// What KMS would seal for the sender of this request. The tests' "attestation document" is the bare public key.
    pub(crate) fn seal(&self, plaintext: &[u8]) -> String {
        let document = self.body["Recipient"]["AttestationDocument"].as_str().unwrap();
        let spki = BASE64_STANDARD.decode(document).unwrap();
        let form = match self.number % 3 {
            0 => cms::Form::Definite,
            1 => cms::Form::Pieces,
            _ => cms::Form::Single,
        };
        BASE64_STANDARD.encode(cms::seal(&spki, &[5; 32], plaintext).encode(form))
    }

    /// A good answer, with `plaintext` sealed.
    pub(crate) fn good(&self, plaintext: &[u8]) -> Value {
        json!({
            "KeyId": self.body["KeyId"],
            "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
            "CiphertextForRecipient": self.seal(plaintext),
        })
    }
}

/// What the server does with one request.
pub(crate) enum Reply {
    /// Status and body, with a request id.
    Json(u16, Value),
    /// Status, request id and body as they are.
    Raw(u16, Option<String>, Vec<u8>),
    /// A good answer, then the connection is closed.
    AnswerThenClose(Value),
    /// Close the connection without an answer.
    HangUp,
    /// Nothing, ever.
    Silence,
}

pub(crate) fn error(status: u16, code: &str) -> Reply {
    Reply::Json(status, json!({"__type": code, "message": "attacker text \u{1b}[31m"}))
}

/// How dialling goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Egress {
    Works,
    Refuses,
    NeverConnects,
    /// The other end never says a word: the TLS handshake hangs.
    Mute,
    /// The other end speaks HTTP in clear.
    PlainText,
}

type Handler = dyn Fn(&Seen) -> Reply + Send + Sync;

/// The server, and the egress that leads to it.
pub(crate) struct FakeKms {
    acceptor: TlsAcceptor,
    pub(crate) root_der: Vec<u8>,
    handler: Box<Handler>,
    egress: Egress,
    pub(crate) seen: Mutex<Vec<Seen>>,
    pub(crate) dialled: Mutex<Vec<(String, u16)>>,
}

impl std::fmt::Debug for FakeKms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FakeKms")
    }
}

/// The server's certificate.
pub(crate) struct Certificate {
    pub(crate) name: &'static str,
    pub(crate) valid_years: (i32, i32),
    /// The name of the CA, which is a new one for each server.
    pub(crate) issuer: &'static str,
}

impl Default for Certificate {
    fn default() -> Self {
        Self { name: HOST, valid_years: (2000, 2100), issuer: "Test CA" }
    }
}

impl FakeKms {
    pub(crate) fn new(handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Arc<Self> {
        Self::with(Certificate::default(), Egress::Works, handler)
    }

    pub(crate) fn with(
        certificate: Certificate,
        egress: Egress,
        handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Arc<Self> {
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new(vec![]).unwrap();
        ca.distinguished_name.push(DnType::CommonName, certificate.issuer);
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        (ca.not_before, ca.not_after) = (date_time_ymd(1990, 1, 1), date_time_ymd(2200, 1, 1));
        let root = ca.self_signed(&ca_key).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut leaf = CertificateParams::new(vec![certificate.name.to_owned()]).unwrap();
        let (from, to) = certificate.valid_years;
        (leaf.not_before, leaf.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
        let leaf = leaf.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
        let tls = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
            .unwrap();
        Arc::new(Self {
            acceptor: TlsAcceptor::from(Arc::new(tls)),
            root_der: root.der().to_vec(),
            handler: Box::new(handler),
            egress,
            seen: Mutex::default(),
            dialled: Mutex::default(),
        })
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::Simulated { host: HOST.into(), port: 8443, roots_der: vec![self.root_der.clone()] }
    }

    pub(crate) fn connections(&self) -> usize {
        self.dialled.lock().unwrap().len()
    }

    pub(crate) fn requests(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// A client of this server whose clock stands at 2030-01-01.
    pub(crate) fn client(self: &Arc<Self>) -> Client {
        Client::new(config(self)).unwrap()
    }

    async fn serve(self: Arc<Self>, stream: UnixStream, connection: usize) {
        let Ok(tls) = self.acceptor.accept(stream).await else { return };
        let close = Arc::new(tokio::sync::Notify::new());
        let service = hyper::service::service_fn(|request| self.clone().answer(request, connection, close.clone()));
        let http = hyper::server::conn::http1::Builder::new();
        let server = http.serve_connection(TokioIo::new(tls), service);
        tokio::select! {
            _ = server => (),
            () = close.notified() => (),
        }
    }

    async fn answer(
        self: Arc<Self>,
        request: hyper::Request<hyper::body::Incoming>,
        connection: usize,
        close: Arc<tokio::sync::Notify>,
    ) -> Result<hyper::Response<Full<Bytes>>, Infallible> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let seen = {
            let mut all = self.seen.lock().unwrap();
            let headers = parts.headers.iter().map(|(k, v)| (k.to_string(), v.to_str().unwrap().to_owned())).collect();
            let seen = Seen {
                method: parts.method.to_string(),
                uri: parts.uri.to_string(),
                headers,
                body: serde_json::from_slice(&body).unwrap(),
                connection,
                number: all.len() + 1,
            };
            all.push(seen.clone());
            seen
        };
        let id = format!("{REQUEST_ID}{}", seen.number);
        let (status, id, body, last) = match (self.handler)(&seen) {
            Reply::Json(status, body) => (status, Some(id), body.to_string().into_bytes(), false),
            Reply::Raw(status, id, body) => (status, id, body, false),
            Reply::AnswerThenClose(body) => (200, Some(id), body.to_string().into_bytes(), true),
            Reply::HangUp => {
                close.notify_one();
                std::future::pending().await
            }
            Reply::Silence => std::future::pending().await,
        };
        if last {
            // without a `connection: close` header: the peer cannot know that this connection is about to go
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(50)).await;
                close.notify_one();
            });
        }
        let mut response =
            hyper::Response::builder().status(status).header("content-type", "application/x-amz-json-1.1");
        if let Some(id) = id {
            response = response.header("x-amzn-requestid", id);
        }
        Ok(response.body(Full::new(Bytes::from(body))).unwrap())
    }
}

/// The egress, as the client has it.
#[derive(Debug)]
pub(crate) struct ToFake(pub(crate) Arc<FakeKms>);

impl Dial for ToFake {
    fn dial(&self, host: &str, port: u16) -> DialFuture {
        let fake = self.0.clone();
        let connection = {
            let mut dialled = fake.dialled.lock().unwrap();
            dialled.push((host.to_owned(), port));
            dialled.len()
        };
        Box::pin(async move {
            let (ours, mut theirs) = UnixStream::pair()?;
            match fake.egress {
                Egress::Works => drop(tokio::spawn(fake.serve(theirs, connection))),
                Egress::Refuses => return Err(io::ErrorKind::ConnectionRefused.into()),
                Egress::NeverConnects => std::future::pending().await,
                Egress::Mute => drop(tokio::spawn(async move {
                    let _open = theirs;
                    std::future::pending::<()>().await
                })),
                Egress::PlainText => drop(tokio::spawn(async move {
                    let _ = theirs.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
                    tokio::time::sleep(Duration::from_secs(5)).await;
                })),
            }
            Ok(ours)
        })
    }
}

pub(crate) fn config(fake: &Arc<FakeKms>) -> Config {
    Config {
        endpoint: fake.endpoint(),
        dial: Arc::new(ToFake(fake.clone())),
        credentials: Credentials {
            access_key_id: "AKIDEXAMPLE".into(),
            secret_access_key: "wJalrXUtnFEMI".into(),
            session_token: Some("session-token".into()),
        },
        clock: clock(2030),
        timeouts: Timeouts::default(),
        max_attempts: 3,
    }
}

/// A clock that stands at the first of January.
pub(crate) fn clock(year: i32) -> Clock {
    let seconds = date_time_ymd(year, 1, 1).unix_timestamp();
    let now: SystemTime = UNIX_EPOCH + Duration::from_secs(seconds.try_into().unwrap());
    Arc::new(move || now)
}

pub(crate) fn key() -> KeyArn {
    KeyArn::parse(KEY).unwrap()
}

/// A recipient whose "attestation document" is its bare public key.
pub(crate) fn recipient() -> Recipient {
    let key = RecipientKey::generate().unwrap();
    let document = key.spki_der().to_vec();
    Recipient::new(key, document)
}

pub(crate) fn context() -> BTreeMap<String, String> {
    BTreeMap::from([("repository".to_owned(), "https://git.acme.example/secrets".to_owned())])
}
