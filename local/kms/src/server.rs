//! HTTPS/1.1 around the operations.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::error::{Error, ServiceError};
use crate::events::{Call, Trail};
use crate::faults::{Failure, Turn};
use crate::operations::{Answer, Operation};
use crate::{LocalKms, random, sigv4};

const CONTENT_TYPE_JSON_1_1: &str = "application/x-amz-json-1.1";
const TARGET_PREFIX: &str = "TrentService.";
/// The longest request: a document of 256 KiB in base64, and room for everything else.
const MAX_BODY_BYTES: usize = 512 * 1024;
/// Connections served at once; a client with 64 calls in flight and several of those fit.
const MAX_CONNECTIONS: usize = 512;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// A pause after the system refused to accept (out of descriptors, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The connection is closed without an answer.
#[derive(Debug)]
struct Dropped;

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("connection dropped on request")
    }
}

impl std::error::Error for Dropped {}

/// Serves until the returned future is dropped; that ends all connections too.
pub(crate) async fn serve(kms: Arc<LocalKms>, listener: TcpListener) -> Result<(), Error> {
    let address = listener.local_addr();
    if !address.as_ref().is_ok_and(|address: &SocketAddr| address.ip().is_loopback()) {
        return Err(Error::NotLoopback { address: address.map_or_else(|_| "unknown".into(), |a| a.to_string()) });
    }
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let place = places.clone().acquire_owned().await;
        let accepted = loop {
            tokio::select! {
                accepted = listener.accept() => break accepted,
                Some(_) = connections.join_next() => {}
            }
        };
        match accepted {
            Ok((stream, _)) => {
                let kms = kms.clone();
                connections.spawn(async move {
                    connection(kms, stream).await;
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// One connection. Its errors are the client's to see, as a closed connection.
async fn connection(kms: Arc<LocalKms>, stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let Ok(Ok(tls)) = tokio::time::timeout(HANDSHAKE_TIMEOUT, kms.tls.accept(stream)).await else { return };
    let service = service_fn(|request| {
        let kms = kms.clone();
        async move { respond(&kms, request).await }
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(tls), service).await;
}

async fn respond(kms: &LocalKms, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Dropped> {
    let request_id = random::uuid().unwrap_or_default();
    let (head, body) = request.into_parts();
    let answer = match Limited::new(body, MAX_BODY_BYTES).collect().await {
        Ok(body) => {
            let turn = kms.faults.turn().map_err(ServiceError::from);
            if let Ok(turn) = &turn {
                tokio::time::sleep(turn.latency).await;
                match turn.failure {
                    Some(Failure::Drop) => return Err(Dropped),
                    Some(Failure::Unavailable) => return Ok(unavailable()),
                    Some(Failure::Throttle | Failure::Internal) | None => {}
                }
            }
            turn.and_then(|turn| handle(kms, &head, &body.to_bytes(), &turn, &request_id))
        }
        Err(_) => Err(ServiceError {
            status: 413,
            code: "RequestEntityTooLargeException",
            message: format!("the request body cannot be read or is longer than {MAX_BODY_BYTES} bytes"),
        }),
    };
    let (status, body) = match answer {
        Ok(answer) => (200, Bytes::from_owner(answer)),
        Err(error) => (error.status, json!({ "__type": error.code, "message": error.message }).to_string().into()),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(CONTENT_TYPE_JSON_1_1));
    if let Ok(request_id) = request_id.parse() {
        response.headers_mut().insert("x-amzn-requestid", request_id);
    }
    Ok(response)
}

/// What stands before KMS answers when nothing behind it does.
fn unavailable() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(b"<html>503 Service Unavailable</html>")));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("text/html"));
    response
}

/// Signature first, then the operation, then the log.
fn handle(
    kms: &LocalKms,
    head: &http::request::Parts,
    body: &[u8],
    turn: &Turn,
    request_id: &str,
) -> Result<Answer, ServiceError> {
    let unknown = || ServiceError::new("UnknownOperationException", "");
    if head.method != Method::POST || head.uri.path() != "/" || head.uri.query().is_some() {
        return Err(unknown());
    }
    if text(&head.headers, CONTENT_TYPE.as_str()) != Some(CONTENT_TYPE_JSON_1_1) {
        return Err(unknown());
    }
    let now = (kms.clock)();
    let signed = sigv4::verify(head, body, now, |id| kms.store.principal(id))?;
    let target = text(&head.headers, "x-amz-target").and_then(|target| target.strip_prefix(TARGET_PREFIX));
    let operation = target.ok_or_else(unknown)?;

    let mut trail = Trail::default();
    let answer = match turn.failure.and_then(Failure::error) {
        Some(error) => Err(error),
        None => Operation {
            store: &kms.store,
            root_der: &kms.root_der,
            principal: &signed.principal,
            region: &signed.region,
            now,
            faults: turn,
            trail: &mut trail,
        }
        .run(operation, body),
    };
    let call = Call {
        operation,
        principal: &signed.principal,
        region: &signed.region,
        user_agent: text(&head.headers, "user-agent").unwrap_or_default(),
        request_id,
        time: now,
    };
    kms.events.write(&call, &trail, answer.as_ref().err())?;
    Ok(kms.faults.answer(operation, answer?, turn))
}

/// A header that is there exactly once, as text.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}
