//! Requests: one stream, one request, one answer, one deadline.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use packproof_kms::{KmsError, RecipientKey};
use packproof_nsm::Nsm;
use packproof_receipt::binding::DocumentTag;
use packproof_wire::{
    Attested, Described, ErrorAnswer, ErrorClass, FrameError, FrameKind, Request,
    frame::{read_length, read_rest},
    message, write_frame,
};
use tokio::{
    net::UnixStream,
    sync::{OwnedSemaphorePermit, Semaphore},
};

use crate::{
    event::{Event, EventSink},
    pack::{self, PackError},
    policy::MeasuredPolicy,
    receipt_key::{ReceiptKey, ReceiptKeyError},
    seal,
    session::Enclave,
    transport::Transport,
};

/// From the first byte read to the last byte written.
const REQUEST_DEADLINE: Duration = Duration::from_secs(60);
/// All requests in flight together, as a multiple of the largest one.
const BUDGET_IN_LARGEST_REQUESTS: usize = 4;
/// The budget is counted in units of this many bytes.
const BUDGET_UNIT: usize = 1024;
/// Streams served at the same time.
const MAX_STREAMS: usize = 256;
/// Pause after a failed accept, so that a broken listener does not spin.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Why the enclave could not start to serve.
#[derive(Debug)]
pub enum StartError {
    /// The receipt key.
    ReceiptKey(ReceiptKeyError),
    /// The first RSA key.
    RecipientKey(KmsError),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ReceiptKey(error) => error.fmt(f),
            Self::RecipientKey(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {}

/// Serves until the process ends. Everything outside the enclave is an argument.
///
/// # Errors
/// [`StartError`] when the boot keys cannot be made.
pub async fn serve(
    nsm: Arc<dyn Nsm>,
    transport: Arc<dyn Transport>,
    policy: MeasuredPolicy,
    events: Arc<dyn EventSink>,
) -> Result<std::convert::Infallible, StartError> {
    let spare = RecipientKey::generate().map_err(StartError::RecipientKey)?;
    let largest = policy.policy().max_request_bytes;
    let enclave = Arc::new(Enclave {
        nsm,
        transport: Arc::clone(&transport),
        policy,
        receipt_key: ReceiptKey::generate().map_err(StartError::ReceiptKey)?,
        events: Arc::clone(&events),
        spare_key: Arc::new(Mutex::new(Some(spare))),
    });
    let budget = Arc::new(Semaphore::new(units(largest).saturating_mul(BUDGET_IN_LARGEST_REQUESTS)));
    let streams = Arc::new(Semaphore::new(MAX_STREAMS));
    events.emit(&Event::Ready { version: env!("CARGO_PKG_VERSION"), policy_sha256: enclave.policy.sha256_hex() });
    loop {
        match transport.accept().await {
            Ok(stream) => {
                // beyond the bound a stream is closed at once: no memory is spent on it
                let Ok(permit) = Arc::clone(&streams).try_acquire_owned() else { continue };
                let (enclave, budget) = (Arc::clone(&enclave), Arc::clone(&budget));
                tokio::spawn(async move {
                    serve_stream(&enclave, &budget, stream).await;
                    drop(permit);
                });
            }
            Err(_) => {
                events.emit(&Event::StreamFailed);
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

async fn serve_stream(enclave: &Enclave, budget: &Arc<Semaphore>, mut stream: UnixStream) {
    let served = tokio::time::timeout(REQUEST_DEADLINE, serve_request(enclave, budget, &mut stream));
    let (request, answer) = served.await.unwrap_or_else(|_| ("none", Err(deadline())));
    let outcome = answer.as_ref().map_or_else(|error| error.code.clone(), |_| "done".to_owned());
    let (kind, body) = match &answer {
        Ok(body) => (FrameKind::Answer, body.clone()),
        Err(error) => (FrameKind::Error, message::encode(error)),
    };
    let written = tokio::time::timeout(REQUEST_DEADLINE, write_frame(&mut stream, kind, &body)).await;
    let event = match written {
        Ok(Ok(())) => Event::Answered { request, outcome },
        _ => Event::StreamFailed,
    };
    enclave.events.emit(&event);
}

async fn serve_request(
    enclave: &Enclave,
    budget: &Arc<Semaphore>,
    stream: &mut UnixStream,
) -> (&'static str, Result<Vec<u8>, ErrorAnswer>) {
    match read_request(enclave, budget, stream).await {
        Err(error) => ("none", Err(error)),
        Ok((request, _held)) => answer(enclave, request).await,
    }
}

/// Reads a request within the policy's size and the budget of all requests in flight.
async fn read_request(
    enclave: &Enclave,
    budget: &Arc<Semaphore>,
    stream: &mut UnixStream,
) -> Result<(Request, OwnedSemaphorePermit), ErrorAnswer> {
    let length = read_length(stream, enclave.policy.policy().max_request_bytes).await.map_err(|error| frame(&error))?;
    let wanted = u32::try_from(units(length)).unwrap_or(u32::MAX);
    let held = Arc::clone(budget).try_acquire_many_owned(wanted).map_err(|_| busy())?;
    let (kind, body) = read_rest(stream, length).await.map_err(|error| frame(&error))?;
    if kind != FrameKind::Request {
        return Err(usage("frame_wrong_kind", "the frame is not a request; send one request frame".into()));
    }
    let request = message::decode(&body).map_err(|reason| malformed(&reason))?;
    Ok((request, held))
}

async fn answer(enclave: &Enclave, request: Request) -> (&'static str, Result<Vec<u8>, ErrorAnswer>) {
    let to_answer = |error: PackError| error.to_answer();
    match request {
        Request::Describe {} => ("describe", Ok(message::encode(&described(enclave)))),
        Request::Attest { challenge } => ("attest", attest(enclave, challenge).map_err(to_answer)),
        Request::Pack(request) => {
            let answer = pack::pack(enclave, request).await;
            enclave.refill_spare_key();
            ("pack", answer.map(|answer| message::encode(&answer)).map_err(to_answer))
        }
        Request::Seal(request) => {
            let answer = seal::seal(enclave, request).await;
            enclave.refill_spare_key();
            ("seal", answer.map(|answer| message::encode(&answer)).map_err(to_answer))
        }
    }
}

fn described(enclave: &Enclave) -> Described {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let pcrs = enclave.policy.measurements();
    Described {
        version: env!("CARGO_PKG_VERSION").into(),
        policy: enclave.policy.text().to_owned(),
        pcr0: hex::encode(pcrs.pcr0),
        pcr1: hex::encode(pcrs.pcr1),
        pcr2: hex::encode(pcrs.pcr2),
        receipt_key: BASE64_STANDARD.encode(enclave.receipt_key.spki_der()),
    }
}

fn attest(enclave: &Enclave, challenge: Option<Vec<u8>>) -> Result<Vec<u8>, PackError> {
    let challenge = pack::verify::challenge(challenge)?;
    let description = message::encode(&described(enclave));
    let key = enclave.receipt_key.spki_der();
    let document =
        enclave.attest(DocumentTag::Describe, &description, Some(key), challenge.as_ref()).map_err(PackError::Nsm)?;
    Ok(message::encode(&Attested { description, document }))
}

fn units(bytes: usize) -> usize {
    bytes.div_ceil(BUDGET_UNIT).max(1)
}

fn frame(error: &FrameError) -> ErrorAnswer {
    let next = match error {
        // the message says it already
        FrameError::WrongVersion(_) => return usage(error.code(), error.to_string()),
        FrameError::TooLong { .. } => "send less, or raise [limits] max_request_bytes in the policy",
        _ => "send one whole request frame of protocol version 1",
    };
    usage(error.code(), format!("{error}; {next}"))
}

fn usage(code: &str, message: String) -> ErrorAnswer {
    ErrorAnswer { code: code.to_owned(), class: ErrorClass::Usage, message }
}

fn malformed(reason: &str) -> ErrorAnswer {
    usage(
        "request_malformed",
        format!("the request cannot be read: {reason}; use the packproof command of this release"),
    )
}

fn busy() -> ErrorAnswer {
    ErrorAnswer {
        code: "busy".into(),
        class: ErrorClass::Environment,
        message: "the enclave holds as many requests as its memory allows; retry later".into(),
    }
}

fn deadline() -> ErrorAnswer {
    ErrorAnswer {
        code: "deadline".into(),
        class: ErrorClass::Environment,
        message: format!("the request was not done within {} seconds; retry", REQUEST_DEADLINE.as_secs()),
    }
}
