//! The egress over real sockets on loopback.

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::Mutex,
};

use packproof_wire::ErrorClass;
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, UnixStream},
    task::JoinHandle,
};

use super::*;

mod ends;
mod queue;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Running {
    _dir: tempfile::TempDir,
    path: PathBuf,
    lines: Lines,
    counters: Counters,
    task: JoinHandle<()>,
}

impl Running {
    fn start(egress: Egress) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("enclave_7001");
        let listener = UnixListener::bind(&path).unwrap();
        let lines = Lines::default();
        let counters = egress.counters();
        let task = tokio::spawn(egress.serve(listener, Log::new(lines.clone())));
        Self { _dir: dir, path, lines, counters, task }
    }

    /// Waits for `count` log lines.
    async fn log(&self, count: usize) -> Vec<serde_json::Value> {
        for _ in 0..200 {
            let text = String::from_utf8(self.lines.0.lock().unwrap().clone()).unwrap();
            if text.lines().count() >= count {
                return text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("no {count} log lines");
    }
}

async fn dial(path: &Path, host: &str, port: u16) -> (UnixStream, Result<(), ErrorAnswer>) {
    let mut stream = UnixStream::connect(path).await.unwrap();
    let body = encode(&DialRequest { host: host.into(), port });
    write_frame(&mut stream, FrameKind::Dial, &body).await.unwrap();
    let answer = match read_frame(&mut stream, 4096).await.unwrap() {
        (FrameKind::Dialled, body) => {
            assert_eq!(body, b"{}");
            Ok(())
        }
        (FrameKind::Error, body) => Err(decode(&body).unwrap()),
        other => panic!("{other:?}"),
    };
    (stream, answer)
}

/// Answers every connection with what it sends, upper-cased, after it has ended its half.
async fn shouting_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut text = Vec::new();
                stream.read_to_end(&mut text).await.unwrap();
                stream.write_all(&text.to_ascii_uppercase()).await.unwrap();
            });
        }
    });
    address
}

fn quick() -> EgressLimits {
    let second = Duration::from_secs(1);
    EgressLimits { dial: second, connect: second, idle: second, connections: 2, queue: 0, queue_wait: second }
}

#[tokio::test]
async fn carries_both_ways_through_a_half_close_and_logs_no_payload() {
    let address = shouting_server().await;
    let egress = Egress::new(vec![("kms.test".into(), 443)]).with_addresses("kms.test", 443, vec![address]);
    let running = Running::start(egress);
    let (mut stream, answer) = dial(&running.path, "kms.test", 443).await;
    answer.unwrap();
    let payload = b"canary ".repeat(20_000);
    stream.write_all(&payload).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut back = Vec::new();
    stream.read_to_end(&mut back).await.unwrap();
    assert!(back == payload.to_ascii_uppercase());

    let log = running.log(1).await;
    assert_eq!(log[0]["host"], "kms.test");
    assert_eq!((&log[0]["port"], &log[0]["outcome"]), (&443.into(), &"done".into()));
    assert_eq!((&log[0]["bytes_out"], &log[0]["bytes_in"]), (&140_000.into(), &140_000.into()));
    assert_eq!(log[0]["address"], address.to_string());
    assert!(!String::from_utf8_lossy(&running.lines.0.lock().unwrap()).to_lowercase().contains("canary"));
    running.task.abort();
}

#[tokio::test]
async fn only_exact_names_and_ports_are_allowed() {
    let address = shouting_server().await;
    let egress = Egress::new(vec![("kms.test".into(), 443)])
        .with_addresses("kms.test", 443, vec![address])
        .with_addresses("other.test", 443, vec![address]);
    let running = Running::start(egress);
    for (host, port) in
        [("other.test", 443), ("kms.test", 80), ("KMS.test", 443), ("kms.test.", 443), ("x.kms.test", 443), ("", 443)]
    {
        let (_, answer) = dial(&running.path, host, port).await;
        let no = answer.unwrap_err();
        assert_eq!((no.code.as_str(), no.class), ("egress_refused", ErrorClass::Refused), "{host}:{port}");
    }
    assert!(running.log(6).await.iter().all(|line| line["outcome"] == "egress_refused"));
    assert_eq!(running.counters.read().ended(Outcome::Refused), 6);
    running.task.abort();
}

#[tokio::test]
async fn every_address_is_tried() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let address = shouting_server().await;
    let port = address.port();
    // No name holds a NUL byte, so no name server is asked for this one.
    let names = ["both.test", "closed.test", "no\0name"].map(|name| (name.to_owned(), 1));
    let names = names.into_iter().chain([("localhost".to_owned(), port)]).collect();
    let egress = Egress::new(names).with_addresses("both.test", 1, vec![closed, address]).with_addresses(
        "closed.test",
        1,
        vec![closed],
    );
    let running = Running::start(egress);
    assert!(dial(&running.path, "both.test", 1).await.1.is_ok());
    assert!(dial(&running.path, "localhost", port).await.1.is_ok());
    assert_eq!(dial(&running.path, "closed.test", 1).await.1.unwrap_err().code, "egress_unreachable");
    let unresolved = dial(&running.path, "no\0name", 1).await.1.unwrap_err();
    assert_eq!((unresolved.code.as_str(), unresolved.class), ("egress_unresolved", ErrorClass::Environment));
    running.task.abort();
}

#[tokio::test]
async fn what_is_no_dial_frame_is_refused() {
    let running = Running::start(Egress::new(Vec::new()).with_limits(EgressLimits { connections: 8, ..quick() }));
    let long = format!(r#"{{"host":"{}","port":1}}"#, "h".repeat(MAX_DIAL_FRAME_BYTES));
    let frames: [(FrameKind, &[u8]); 4] = [
        (FrameKind::Request, br#"{"host":"h","port":1}"#),
        (FrameKind::Dial, br#"{"host":"h","port":65536}"#),
        (FrameKind::Dial, br#"{"host":"h","port":1,"x":1}"#),
        (FrameKind::Dial, long.as_bytes()),
    ];
    for (kind, body) in frames {
        let mut stream = UnixStream::connect(&running.path).await.unwrap();
        write_frame(&mut stream, kind, body).await.unwrap();
        let (kind, body) = read_frame(&mut stream, 4096).await.unwrap();
        assert_eq!(kind, FrameKind::Error);
        assert_eq!(decode::<ErrorAnswer>(&body).unwrap().code, "egress_malformed");
    }
    let mut silent = UnixStream::connect(&running.path).await.unwrap();
    assert_eq!(silent.read_to_end(&mut Vec::new()).await.unwrap(), 0);
    assert_eq!(running.log(5).await[4]["outcome"], "egress_silent");
    running.task.abort();
}

#[tokio::test]
async fn an_idle_connection_ends_and_a_full_egress_says_busy() {
    let address = shouting_server().await;
    let egress =
        Egress::new(vec![("kms.test".into(), 443)]).with_addresses("kms.test", 443, vec![address]).with_limits(quick());
    let running = Running::start(egress);
    let (mut first, answer) = dial(&running.path, "kms.test", 443).await;
    answer.unwrap();
    let (second, answer) = dial(&running.path, "kms.test", 443).await;
    answer.unwrap();
    let mut third = UnixStream::connect(&running.path).await.unwrap();
    let (_, body) = read_frame(&mut third, 4096).await.unwrap();
    assert_eq!(decode::<ErrorAnswer>(&body).unwrap().code, "egress_busy");

    assert_eq!(first.read_to_end(&mut Vec::new()).await.unwrap(), 0);
    let log = running.log(3).await;
    assert_eq!((&log[0]["outcome"], &log[1]["outcome"]), (&"egress_busy".into(), &"idle".into()));
    drop(second);
    let (_, answer) = dial(&running.path, "kms.test", 443).await;
    answer.unwrap();
    running.task.abort();
}

#[tokio::test]
async fn connections_end_with_the_egress() {
    let address = shouting_server().await;
    let egress = Egress::new(vec![("kms.test".into(), 443)]).with_addresses("kms.test", 443, vec![address]);
    let running = Running::start(egress);
    let (mut stream, answer) = dial(&running.path, "kms.test", 443).await;
    answer.unwrap();
    running.task.abort();
    assert_eq!(stream.read_to_end(&mut Vec::new()).await.unwrap(), 0);
}
