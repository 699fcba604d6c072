//! HTTP/1.1 over TLS over a stream of the host's: what stands in for the SDK's own HTTP client.
//!
//! The host carries the bytes and may drop, delay or replace them; TLS turns that into failed connections. Everything
//! read is bounded in size and time. Connections that answered are kept for the next call; a retry takes a new one.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{error, fmt, io};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use http::{HeaderMap, HeaderValue, Uri, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::{CertificateError, ClientConfig};
use rustls_pki_types::ServerName;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use crate::client::MAX_CONCURRENT_CALLS;

/// What [`Dial::dial`] returns.
pub type DialFuture = Pin<Box<dyn Future<Output = io::Result<UnixStream>> + Send>>;

/// How to reach `host:port`: the host's egress. Untrusted, since TLS runs over it.
///
/// Any stream socket can be handed over as a [`UnixStream`], a vsock one too. It must be ready to carry bytes: a
/// handshake with the egress is the implementation's matter. The connect timeout covers it.
pub trait Dial: Send + Sync + fmt::Debug + 'static {
    /// Opens a stream to `host:port`.
    fn dial(&self, host: &str, port: u16) -> DialFuture;
}

/// Most bytes of an answer's body. The largest genuine one, a ciphertext blob and a ciphertext for the enclave, both
/// of 6144 bytes in base64, is below 20 KiB.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// The SDK's HTTP client. Clones share the kept connections.
#[derive(Clone)]
pub(crate) struct Transport(Arc<Shared>);

struct Shared {
    dial: Arc<dyn Dial>,
    tls: TlsConnector,
    idle: Mutex<HashMap<String, Vec<Connection>>>,
}

impl Transport {
    pub(crate) fn new(dial: Arc<dyn Dial>, tls: ClientConfig) -> Self {
        Self(Arc::new(Shared { dial, tls: TlsConnector::from(Arc::new(tls)), idle: Mutex::default() }))
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transport")
    }
}

impl HttpClient for Transport {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector {
            shared: self.0.clone(),
            connect: settings.connect_timeout().unwrap_or(NO_TIMEOUT_SET),
            read: settings.read_timeout().unwrap_or(NO_TIMEOUT_SET),
        })
    }
}

/// Why an attempt gave no answer. Reaches [`crate::KmsError`] through the SDK's error chain.
#[derive(Debug)]
pub(crate) enum TransportError {
    NotHttps,
    Malformed,
    Dial(io::Error),
    Tls(io::Error),
    Certificate(&'static str),
    Http(Box<dyn error::Error + Send + Sync>),
    AnswerTooLarge,
    TimedOut,
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHttps => f.write_str("not an https address"),
            Self::Malformed => f.write_str("a request or answer that HTTP cannot carry"),
            Self::Dial(error) => write!(f, "no stream: {error}"),
            Self::Tls(error) => write!(f, "no TLS session: {error}"),
            Self::Certificate(reason) => write!(f, "certificate refused: {reason}"),
            Self::Http(error) => write!(f, "no HTTP answer: {error}"),
            Self::AnswerTooLarge => f.write_str("answer too large"),
            Self::TimedOut => f.write_str("timed out"),
        }
    }
}

impl error::Error for TransportError {}

impl From<TransportError> for ConnectorError {
    /// Decides what the SDK retries: `io` and `timeout`, not `user`.
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Dial(_) | TransportError::Tls(_) | TransportError::Http(_) => Self::io(error.into()),
            TransportError::TimedOut => Self::timeout(error.into()),
            TransportError::NotHttps
            | TransportError::Malformed
            | TransportError::Certificate(_)
            | TransportError::AnswerTooLarge => Self::user(error.into()),
        }
    }
}

struct Connector {
    shared: Arc<Shared>,
    connect: Duration,
    read: Duration,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("connect", &self.connect).field("read", &self.read).finish_non_exhaustive()
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (shared, connect, read) = (self.shared.clone(), self.connect, self.read);
        HttpConnectorFuture::new(async move { Ok(shared.send(request, connect, read).await?) })
    }
}

type Request = http::Request<SdkBody>;

/// One kept or used connection; dropping it ends the task that drives it and closes the stream.
struct Connection {
    sender: SendRequest<SdkBody>,
    driver: JoinHandle<()>,
    since: Instant,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Why a request on a connection gave no answer.
enum Failed {
    /// It was never written, so another connection can carry it.
    Unsent(Box<Request>),
    Error(TransportError),
}

impl Shared {
    async fn send(
        &self,
        request: HttpRequest,
        connect: Duration,
        read: Duration,
    ) -> Result<HttpResponse, TransportError> {
        let mut request = request.try_into_http1x().map_err(|_| TransportError::Malformed)?;
        let (authority, host, port) = origin_form(&mut request)?;
        if is_first_attempt(request.headers())
            && let Some(kept) = self.kept(&authority).await
        {
            match self.exchange(&authority, kept, request, read).await {
                Ok(response) => return Ok(response),
                Err(Failed::Unsent(unsent)) => request = *unsent,
                Err(Failed::Error(error)) => return Err(error),
            }
        }
        let fresh = timeout(connect, self.connect(&host, port)).await.map_err(|_| TransportError::TimedOut)??;
        match self.exchange(&authority, fresh, request, read).await {
            Ok(response) => Ok(response),
            Err(Failed::Unsent(_)) => Err(TransportError::Http("the connection closed before the request".into())),
            Err(Failed::Error(error)) => Err(error),
        }
    }

    async fn connect(&self, host: &str, port: u16) -> Result<Connection, TransportError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| TransportError::Malformed)?;
        let stream = self.dial.dial(host, port).await.map_err(TransportError::Dial)?;
        let stream = self.tls.connect(name, stream).await.map_err(tls_error)?;
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_ANSWER_BYTES)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| TransportError::Http(error.into()))?;
        // errors of the connection reach whoever waits for an answer on it
        let driver = tokio::spawn(async move { drop(connection.await) });
        Ok(Connection { sender, driver, since: Instant::now() })
    }

    /// Sends one request and reads the whole answer; then keeps the connection.
    async fn exchange(
        &self,
        authority: &str,
        mut connection: Connection,
        request: Request,
        read: Duration,
    ) -> Result<HttpResponse, Failed> {
        let sender = &mut connection.sender;
        let answer = async move {
            let response = sender.try_send_request(request).await.map_err(|mut error| match error.take_message() {
                Some(unsent) => Failed::Unsent(Box::new(unsent)),
                None => Failed::Error(TransportError::Http(error.into_error().into())),
            })?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await.map_err(body_error)?.to_bytes();
            HttpResponse::try_from(http::Response::from_parts(parts, SdkBody::from(body)))
                .map_err(|_| Failed::Error(TransportError::Malformed))
        };
        let response = timeout(read, answer).await.map_err(|_| Failed::Error(TransportError::TimedOut))??;
        self.keep(authority, connection);
        Ok(response)
    }

    /// A kept connection that is still open, the newest first.
    async fn kept(&self, authority: &str) -> Option<Connection> {
        loop {
            let mut connection = {
                let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
                idle.get_mut(authority)?.pop()?
            };
            let young = connection.since.elapsed() < IDLE_LIFETIME;
            // its answer was read to the end, so this waits for nothing of the peer's
            if young && connection.sender.ready().await.is_ok() {
                return Some(connection);
            }
        }
    }

    fn keep(&self, authority: &str, mut connection: Connection) {
        if connection.sender.is_closed() {
            return;
        }
        connection.since = Instant::now();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle.entry(authority.to_owned()).or_default();
        if kept.len() < MAX_CONCURRENT_CALLS {
            kept.push(connection);
        }
    }
}

/// Turns the SDK's absolute address into the form an origin server is asked with. Returns authority, host and port.
fn origin_form(request: &mut Request) -> Result<(String, String, u16), TransportError> {
    let uri = request.uri();
    if uri.scheme() != Some(&http::uri::Scheme::HTTPS) {
        return Err(TransportError::NotHttps);
    }
    let authority = uri.authority().ok_or(TransportError::Malformed)?.clone();
    let path = uri.path_and_query().cloned().map(Uri::from).unwrap_or_default();
    let host = HeaderValue::from_str(authority.as_str()).map_err(|_| TransportError::Malformed)?;
    *request.uri_mut() = path;
    request.headers_mut().insert(header::HOST, host);
    Ok((authority.to_string(), authority.host().to_owned(), authority.port_u16().unwrap_or(443)))
}

/// The SDK counts its attempts in `amz-sdk-request: …; attempt=1; max=3`.
fn is_first_attempt(headers: &HeaderMap) -> bool {
    let Some(Ok(value)) = headers.get("amz-sdk-request").map(HeaderValue::to_str) else {
        return false;
    };
    value.split("; ").any(|pair| pair == "attempt=1")
}

fn tls_error(error: io::Error) -> TransportError {
    let rustls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match rustls {
        Some(rustls::Error::InvalidCertificate(cause)) => TransportError::Certificate(match cause {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "expired",
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "not valid yet",
            CertificateError::UnknownIssuer => "unknown issuer",
            CertificateError::BadSignature => "bad signature",
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => "another name",
            _ => "malformed or revoked",
        }),
        _ => TransportError::Tls(error),
    }
}

fn body_error(error: Box<dyn error::Error + Send + Sync>) -> Failed {
    Failed::Error(if error.is::<LengthLimitError>() {
        TransportError::AnswerTooLarge
    } else {
        TransportError::Http(error)
    })
}

/// Shorter than the idle time after which common servers hang up.
const IDLE_LIFETIME: Duration = Duration::from_secs(20);
/// The client always sets both timeouts; should the SDK ever drop one, this one holds.
const NO_TIMEOUT_SET: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str) -> Request {
        http::Request::builder().uri(uri).body(SdkBody::empty()).unwrap()
    }

    #[test]
    fn asks_in_origin_form_with_the_host_header() {
        let mut with_port = request("https://localhost:8443/");
        let parts = origin_form(&mut with_port).unwrap();
        assert_eq!(parts, ("localhost:8443".into(), "localhost".into(), 8443));
        assert_eq!(
            (with_port.uri().to_string().as_str(), &with_port.headers()["host"]),
            ("/", &HeaderValue::from_static("localhost:8443"))
        );
        let mut without = request("https://kms.eu-west-1.amazonaws.com/");
        assert_eq!(origin_form(&mut without).unwrap().2, 443);
        assert_eq!(without.headers()["host"], "kms.eu-west-1.amazonaws.com");
    }

    #[test]
    fn refuses_plain_http() {
        for uri in ["http://kms.eu-west-1.amazonaws.com/", "/", "ftp://localhost/"] {
            assert!(matches!(origin_form(&mut request(uri)), Err(TransportError::NotHttps)), "{uri}");
        }
    }

    #[test]
    fn only_the_first_attempt_takes_a_kept_connection() {
        let headers = |value: &'static str| {
            HeaderMap::from_iter([("amz-sdk-request".parse().unwrap(), HeaderValue::from_static(value))])
        };
        assert!(is_first_attempt(&headers("attempt=1; max=3")));
        assert!(!is_first_attempt(&headers("ttl=20300101T000000Z; attempt=2; max=3")));
        assert!(!is_first_attempt(&headers("attempt=11; max=30")));
        assert!(!is_first_attempt(&HeaderMap::new()));
    }
}
