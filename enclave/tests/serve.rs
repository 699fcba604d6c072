//! The request loop over socket pairs: frames, limits, challenges. The pack itself is tested end to end in `tests/`.

#![expect(clippy::unwrap_used, reason = "a test states what it expects by panicking when it is not so")]

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use packproof_enclave::{
    event::{Event, EventSink},
    policy::MeasuredPolicy,
    serve::serve,
    transport::{StreamFuture, Transport},
};
use packproof_local_nsm::{MockNsm, Pki};
use packproof_nsm::Nsm;
use packproof_receipt::{binding::DocumentTag, document::UnverifiedDocument, measure::policy_pcr2, time::UnixMillis};
use packproof_wire::{
    Attested, Described, ErrorAnswer, ErrorClass, FrameKind, Request, message, read_frame, write_frame,
};
use tokio::{
    io::AsyncWriteExt,
    net::UnixStream,
    sync::{Mutex as AsyncMutex, mpsc},
};

const POLICY: &str = concat!(include_str!("data/packproof.toml"), "[limits]\nmax_request_bytes = 65536\n");

struct Pairs(AsyncMutex<mpsc::Receiver<UnixStream>>);

impl Transport for Pairs {
    fn accept(&self) -> StreamFuture<'_> {
        Box::pin(async { self.0.lock().await.recv().await.ok_or_else(|| io::ErrorKind::BrokenPipe.into()) })
    }
    fn connect_host(&self, _: u32) -> StreamFuture<'_> {
        Box::pin(async { Err(io::ErrorKind::ConnectionRefused.into()) })
    }
}

#[derive(Default)]
struct Seen(Mutex<Vec<String>>);

impl EventSink for Seen {
    fn emit(&self, event: &Event) {
        self.0.lock().unwrap().push(serde_json::to_string(event).unwrap());
    }
}

struct Host {
    streams: mpsc::Sender<UnixStream>,
    events: Arc<Seen>,
}

impl Host {
    fn start() -> Self {
        let pki = Pki::in_memory(UnixMillis(1_790_000_000_000)).unwrap();
        let pcrs = BTreeMap::from([(0, [1; 48]), (1, [2; 48]), (2, policy_pcr2(POLICY.as_bytes()))]);
        let nsm = MockNsm::new(&pki, pcrs, Box::new(|| UnixMillis(1_790_000_000_000)), None).unwrap();
        let nsm: Arc<dyn Nsm> = Arc::new(nsm);
        let policy = MeasuredPolicy::load(POLICY.as_bytes(), nsm.as_ref()).unwrap();
        let (streams, accepted) = mpsc::channel(8);
        let events = Arc::new(Seen::default());
        let transport = Arc::new(Pairs(AsyncMutex::new(accepted)));
        let sink: Arc<dyn EventSink> = Arc::<Seen>::clone(&events);
        tokio::spawn(async move { serve(nsm, transport, policy, sink).await.map(|never| match never {}) });
        Self { streams, events }
    }

    async fn stream(&self) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        self.streams.send(theirs).await.unwrap();
        ours
    }

    async fn raw(&self, bytes: &[u8]) -> (FrameKind, Vec<u8>) {
        let mut stream = self.stream().await;
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        read_frame(&mut stream, 1 << 20).await.unwrap()
    }

    async fn error(&self, bytes: &[u8]) -> (String, ErrorClass) {
        let (kind, body) = self.raw(bytes).await;
        assert_eq!(kind, FrameKind::Error);
        let error: ErrorAnswer = message::decode(&body).unwrap();
        (error.code, error.class)
    }

    async fn ask(&self, request: &Request) -> (FrameKind, Vec<u8>) {
        let mut frame = Vec::new();
        write_frame(&mut frame, FrameKind::Request, &message::encode(request)).await.unwrap();
        self.raw(&frame).await
    }
}

#[tokio::test]
async fn frames_that_are_not_requests_are_refused_by_name() {
    let host = Host::start();
    let usage = |code: &str| (code.to_owned(), ErrorClass::Usage);
    assert_eq!(host.error(&[0xff, 0xff, 0xff, 0xff]).await, usage("frame_too_long"));
    assert_eq!(host.error(&[0, 1, 0, 1]).await, usage("frame_too_long"));
    assert_eq!(host.error(&[0, 0, 0, 9, 1, 1]).await, usage("frame_truncated"));
    assert_eq!(host.error(&[0, 0, 0, 2, 7, 1]).await, usage("frame_wrong_version"));
    assert_eq!(host.error(&[0, 0, 0, 2, 1, 2]).await, usage("frame_wrong_kind"));
    assert_eq!(host.error(&[0, 0, 0, 4, 1, 1, b'{', b'}']).await, usage("request_malformed"));
    // and it still serves
    assert_eq!(host.ask(&Request::Describe {}).await.0, FrameKind::Answer);
}

#[tokio::test]
async fn an_attestation_binds_the_description_and_the_challenge() {
    let host = Host::start();
    let (_, body) = host.ask(&Request::Attest { challenge: Some(vec![7; 32]) }).await;
    let attested: Attested = message::decode(&body).unwrap();
    let described: Described = message::decode(&attested.description).unwrap();
    assert_eq!(described.policy, POLICY);
    let document = UnverifiedDocument::parse(&attested.document).unwrap();
    assert_eq!(document.user_data, Some(DocumentTag::Describe.user_data(&attested.description).as_slice()));
    assert_eq!(document.nonce, Some([7; 32].as_slice()));

    let (kind, body) = host.ask(&Request::Attest { challenge: Some(vec![7; 31]) }).await;
    let error: ErrorAnswer = message::decode(&body).unwrap();
    assert_eq!((kind, error.code.as_str()), (FrameKind::Error, "request_malformed"));
}

#[tokio::test]
async fn beyond_the_budget_the_answer_is_busy_at_once() {
    let host = Host::start();
    // four largest requests that state their length and then say nothing hold the whole budget
    let mut held = Vec::new();
    for _ in 0..4 {
        let mut stream = host.stream().await;
        stream.write_all(&65536_u32.to_be_bytes()).await.unwrap();
        held.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    let (code, class) = host.error(&[0, 0, 0, 2, 1, 1]).await;
    assert_eq!((code.as_str(), class), ("busy", ErrorClass::Environment));
    drop(held);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(host.ask(&Request::Describe {}).await.0, FrameKind::Answer);
}

#[tokio::test]
async fn events_name_request_and_outcome_only() {
    let host = Host::start();
    let _ = host.ask(&Request::Describe {}).await;
    let _ = host.error(&[0, 0, 0, 2, 1, 1]).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let events = host.events.0.lock().unwrap().join("\n");
    assert!(events.contains(r#"{"event":"answered","request":"describe","outcome":"done"}"#), "{events}");
    assert!(events.contains(r#"{"event":"answered","request":"none","outcome":"request_malformed"}"#), "{events}");
}
