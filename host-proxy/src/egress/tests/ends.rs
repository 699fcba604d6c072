//! How connections end, and what the log calls it.

use rustls::pki_types::{PrivateKeyDer, ServerName};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;

async fn running_with(address: SocketAddr) -> (Running, UnixStream) {
    let egress = Egress::new(vec![("kms.test".into(), 443)]).with_addresses("kms.test", 443, vec![address]);
    let running = Running::start(egress.with_limits(quick()));
    let (stream, answer) = dial(&running.path, "kms.test", 443).await;
    answer.unwrap();
    (running, stream)
}

async fn one_connection() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[tokio::test]
async fn whoever_has_ended_need_not_wait_for_the_other() {
    let (listener, address) = one_connection().await;
    let (running, mut enclave) = running_with(address).await;
    let (mut peer, _) = listener.accept().await.unwrap();
    enclave.write_all(b"close_notify").await.unwrap();
    drop(enclave);
    let mut heard = Vec::new();
    peer.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"close_notify");
    peer.write_all(b"close_notify").await.unwrap();
    assert_eq!(running.log(1).await[0]["outcome"], "done");
    running.task.abort();
}

#[tokio::test]
async fn a_peer_that_has_ended_and_gone_is_done_too() {
    let (listener, address) = one_connection().await;
    let (running, mut enclave) = running_with(address).await;
    let (peer, _) = listener.accept().await.unwrap();
    drop(peer);
    assert_eq!(enclave.read_to_end(&mut Vec::new()).await.unwrap(), 0);
    // The first write is answered with a reset, the next one fails.
    for _ in 0..50 {
        if enclave.write_all(b"x").await.is_err() {
            break;
        }
        sleep(Duration::from_millis(5)).await;
    }
    drop(enclave);
    assert_eq!(running.log(1).await[0]["outcome"], "done");
    running.task.abort();
}

/// Closes with a reset.
fn reset(peer: tokio::net::TcpStream) {
    peer.set_zero_linger().unwrap();
    drop(peer);
}

#[tokio::test]
async fn a_reset_is_a_failure_only_while_the_enclave_talks() {
    let (listener, address) = one_connection().await;
    let (running, mut enclave) = running_with(address).await;
    reset(listener.accept().await.unwrap().0);
    enclave.read_to_end(&mut Vec::new()).await.unwrap();
    let log = running.log(1).await;
    assert_eq!((&log[0]["outcome"], &log[0]["reason"]), (&"peer_closed".into(), &"connection reset".into()));
    assert_eq!(running.counters.read().ended(Outcome::PeerClosed), 1);
    running.task.abort();

    // Load balancers answer the end of a connection so.
    let (running, mut enclave) = running_with(address).await;
    let (mut peer, _) = listener.accept().await.unwrap();
    enclave.shutdown().await.unwrap();
    peer.read_to_end(&mut Vec::new()).await.unwrap();
    reset(peer);
    let log = running.log(1).await;
    assert_eq!((&log[0]["outcome"], &log[0]["reason"]), (&"done".into(), &"connection reset".into()));
    running.task.abort();

    // An enclave that closes with bytes unread; a Unix socket makes that a reset too.
    let (running, mut enclave) = running_with(address).await;
    let (mut peer, _) = listener.accept().await.unwrap();
    peer.write_all(b"xnever read").await.unwrap();
    enclave.read_exact(&mut [0]).await.unwrap();
    drop(enclave);
    let log = running.log(1).await;
    assert_eq!((&log[0]["outcome"], &log[0]["reason"]), (&"done".into(), &"connection reset".into()));
    running.task.abort();
}

#[tokio::test]
async fn an_enclave_that_is_gone_before_it_is_connected() {
    let (_listener, address) = one_connection().await;
    let egress = Egress::new(vec![("kms.test".into(), 443)]).with_addresses("kms.test", 443, vec![address]);
    let (mut enclave, mut host) = tokio::io::duplex(64);
    let body = encode(&DialRequest { host: "kms.test".into(), port: 443 });
    write_frame(&mut enclave, FrameKind::Dial, &body).await.unwrap();
    drop(enclave);
    egress.carry(&mut host, &Log::new(Vec::new())).await;
    assert_eq!(egress.counters().read().outcomes, [("enclave_closed", 1)].into());
}

#[tokio::test]
async fn other_failures_are_broken() {
    /// Says nothing until it fails.
    struct Failing;
    impl AsyncRead for Failing {
        fn poll_read(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            _: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            std::task::Poll::Ready(Err(io::ErrorKind::HostUnreachable.into()))
        }
    }
    let (mut enclave, _held) = tokio::io::duplex(64);
    let mut peer = tokio::io::join(Failing, tokio::io::sink());
    let carried = pump::pump(&mut enclave, &mut peer, Duration::from_secs(1)).await;
    assert_eq!((carried.outcome, carried.failed), (Outcome::Broken, Some(io::ErrorKind::HostUnreachable)));
}

/// A client as the enclave's: it asks, reads the answer, sends close_notify and is gone.
#[tokio::test]
async fn a_normal_end_of_tls_is_done() {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let made = rcgen::generate_simple_self_signed(vec!["kms.test".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();

    let (listener, address) = one_connection().await;
    let acceptor = TlsAcceptor::from(Arc::new(server));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = acceptor.accept(stream).await.unwrap();
            let mut request = [0; 4];
            stream.read_exact(&mut request).await.unwrap();
            stream.write_all(b"answer").await.unwrap();
            stream.flush().await.unwrap();
            let _ = stream.read_to_end(&mut Vec::new()).await;
            let _ = stream.shutdown().await;
        }
    });
    for ends_in_order in [true, false] {
        let (running, enclave) = running_with(address).await;
        let name = ServerName::try_from("kms.test").unwrap();
        let mut tls = TlsConnector::from(Arc::new(client.clone())).connect(name, enclave).await.unwrap();
        tls.write_all(b"call").await.unwrap();
        tls.read_exact(&mut [0; 6]).await.unwrap();
        if ends_in_order {
            tls.shutdown().await.unwrap();
        }
        drop(tls);
        assert_eq!(running.log(1).await[0]["outcome"], "done", "{ends_in_order}");
        running.task.abort();
    }
}
