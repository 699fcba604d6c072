//! A local KMS on loopback and AWS's own SDK as its client.
#![allow(dead_code, reason = "each test program uses its part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests, which state what they expect by panicking")]

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_kms::Client;
use aws_sdk_kms::config::retry::RetryConfig;
use aws_sdk_kms::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use http_body_util::BodyExt;
use packproof_local_kms::{Config, EVENTS_FILE, LocalKms};
use packproof_receipt::time::UnixMillis;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

pub(crate) const AUTHOR: &str = "arn:aws:iam::111122223333:role/author";
pub(crate) const CI: &str = "arn:aws:iam::111122223333:role/ci";

/// The program of others that this variable names; none in a quick run, which then leaves that part out.
pub(crate) fn peer(name: &str) -> Option<OsString> {
    let found = std::env::var_os(name).filter(|path| !path.is_empty());
    let required = std::env::var_os("PACKPROOF_REQUIRE_PEERS").is_some_and(|value| value == "1");
    assert!(found.is_some() || !required, "peer not given: set {name} to the program, tests/run --all does");
    found
}

/// A running local KMS; it ends when this is dropped.
pub(crate) struct Server {
    pub(crate) kms: Arc<LocalKms>,
    pub(crate) port: u16,
    pub(crate) state_dir: PathBuf,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    UnixMillis(since.as_millis().try_into().unwrap())
}

pub(crate) async fn start(state_dir: &Path, root_der: &[u8]) -> Server {
    let config = Config { state_dir: state_dir.to_owned(), root_der: root_der.to_vec(), clock: Arc::new(now) };
    let kms = Arc::new(LocalKms::open(config).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = kms.clone();
    let task = tokio::spawn(async move { serving.serve(listener).await.unwrap() });
    Server { kms, port, state_dir: state_dir.to_owned(), task }
}

impl Server {
    pub(crate) fn client(&self, principal: &str) -> Client {
        let principal = self.kms.principals().into_iter().find(|known| known.arn == principal).unwrap();
        let secret = principal.secret_access_key.expose();
        self.client_with(&principal.access_key_id, secret, "eu-west-1")
    }

    pub(crate) fn client_with(&self, access_key_id: &str, secret: &str, region: &str) -> Client {
        let config = aws_sdk_kms::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region.to_owned()))
            .endpoint_url(format!("https://localhost:{}", self.port))
            .credentials_provider(Credentials::new(access_key_id, secret, Some("a-token".into()), None, "test"))
            .http_client(Loopback { port: self.port, tls: Arc::new(tls(self.kms.ca_pem())) })
            .retry_config(RetryConfig::disabled())
            .build();
        Client::from_conf(config)
    }

    /// The event log, one value a line.
    pub(crate) fn events(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.state_dir.join(EVENTS_FILE)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// The AWS error code of a failed call; panics when the answer was none of AWS's errors.
pub(crate) fn code<T: std::fmt::Debug, E: ProvideErrorMetadata + std::fmt::Debug, R: std::fmt::Debug>(
    result: Result<T, SdkError<E, R>>,
) -> String {
    match result.unwrap_err() {
        SdkError::ServiceError(error) => error.err().code().unwrap().to_owned(),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn tls(ca_pem: &str) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
    ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// Opens an HTTPS connection to the local KMS.
pub(crate) async fn connect(
    port: u16,
    tls: Arc<ClientConfig>,
    host: &str,
) -> Result<hyper::client::conn::http1::SendRequest<SdkBody>, Box<dyn std::error::Error + Send + Sync>> {
    let tcp = TcpStream::connect(("127.0.0.1", port)).await?;
    let name = ServerName::try_from(host.to_owned())?;
    let tls = tokio_rustls::TlsConnector::from(tls).connect(name, tcp).await?;
    let (sender, connection) = hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(tls)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// The SDK's way to the server: a new connection for every request.
#[derive(Clone)]
struct Loopback {
    port: u16,
    tls: Arc<ClientConfig>,
}

impl std::fmt::Debug for Loopback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Loopback")
    }
}

impl HttpClient for Loopback {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Loopback {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let this = self.clone();
        HttpConnectorFuture::new(
            async move { this.send(request).await.map_err(|error| ConnectorError::other(error, None)) },
        )
    }
}

impl Loopback {
    async fn send(self, request: HttpRequest) -> Result<HttpResponse, Box<dyn std::error::Error + Send + Sync>> {
        let mut request = request.try_into_http1x()?;
        let authority = request.uri().authority().unwrap().to_string();
        *request.uri_mut() = request.uri().path_and_query().unwrap().clone().into();
        request.headers_mut().insert("host", authority.parse()?);
        let mut sender = connect(self.port, self.tls, "localhost").await?;
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(HttpResponse::try_from(http::Response::from_parts(head, SdkBody::from(body)))?)
    }
}
