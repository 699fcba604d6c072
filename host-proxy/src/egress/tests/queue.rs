//! Places, the queue for them, and addresses that fail or are slow.

use tokio::net::TcpSocket;

use super::*;

fn of(addresses: Vec<SocketAddr>, limits: EgressLimits) -> Egress {
    Egress::new(vec![("kms.test".into(), 443)]).with_addresses("kms.test", 443, addresses).with_limits(limits)
}

async fn until(counters: &Counters, what: impl Fn(&Counts) -> bool) {
    for _ in 0..200 {
        if what(&counters.read()) {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("{:?}", counters.read());
}

#[tokio::test]
async fn the_queue_is_bounded_and_moves_up() {
    let address = shouting_server().await;
    let limits = EgressLimits { connections: 1, queue: 1, idle: Duration::from_secs(9), ..quick() };
    let running = Running::start(of(vec![address], limits));
    let (mut first, answer) = dial(&running.path, "kms.test", 443).await;
    answer.unwrap();
    let path = running.path.clone();
    let second = tokio::spawn(async move { dial(&path, "kms.test", 443).await });
    until(&running.counters, |counts| counts.waiting == 1).await;
    let mut third = UnixStream::connect(&running.path).await.unwrap();
    let (_, body) = read_frame(&mut third, 4096).await.unwrap();
    let busy: ErrorAnswer = decode(&body).unwrap();
    assert_eq!((busy.code.as_str(), busy.class), ("egress_busy", ErrorClass::Environment));
    assert!(!second.is_finished());

    sleep(Duration::from_millis(50)).await;
    first.write_all(b"abc").await.unwrap();
    first.shutdown().await.unwrap();
    first.read_to_end(&mut Vec::new()).await.unwrap();
    let (mut second, answer) = second.await.unwrap();
    answer.unwrap();
    second.write_all(b"12345").await.unwrap();
    second.shutdown().await.unwrap();
    second.read_to_end(&mut Vec::new()).await.unwrap();
    let log = running.log(3).await;
    assert!(log[2]["queue_ms"].as_u64().unwrap() >= 50, "{log:?}");

    until(&running.counters, |counts| counts.open == 0).await;
    let outcomes = [("done", 2), ("egress_busy", 1)].into();
    assert_eq!(running.counters.read(), Counts { open: 0, waiting: 0, bytes_out: 8, bytes_in: 8, outcomes });
    running.task.abort();
}

#[tokio::test]
async fn nobody_waits_in_the_queue_for_ever() {
    let address = shouting_server().await;
    let limits = EgressLimits { connections: 1, queue: 1, queue_wait: Duration::from_millis(50), ..quick() };
    let running = Running::start(of(vec![address], limits));
    let (_first, answer) = dial(&running.path, "kms.test", 443).await;
    answer.unwrap();
    let (_, answer) = dial(&running.path, "kms.test", 443).await;
    let late = answer.unwrap_err();
    assert_eq!((late.code.as_str(), late.class), ("egress_queue_timeout", ErrorClass::Environment));
    assert_eq!(running.log(1).await[0]["outcome"], "egress_queue_timeout");
    running.task.abort();
}

/// A listener whose queue is full: the kernel answers no further connect.
async fn deaf() -> (SocketAddr, Vec<tokio::net::TcpStream>, TcpListener) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut held = Vec::new();
    for _ in 0..8 {
        match timeout(Duration::from_millis(200), tokio::net::TcpStream::connect(address)).await {
            Ok(stream) => held.push(stream.unwrap()),
            Err(_) => return (address, held, listener),
        }
    }
    panic!("a listener that never fills up");
}

#[tokio::test]
async fn a_deaf_address_is_overtaken_or_given_up() {
    let (silent, _held, _listener) = deaf().await;
    let address = shouting_server().await;
    let limits = EgressLimits { connect: Duration::from_millis(600), ..quick() };
    let running = Running::start(of(vec![silent, address], limits));
    dial(&running.path, "kms.test", 443).await.1.unwrap();
    running.task.abort();

    let running = Running::start(of(vec![silent], limits));
    let begun = Instant::now();
    assert_eq!(dial(&running.path, "kms.test", 443).await.1.unwrap_err().code, "egress_unreachable");
    assert!(begun.elapsed() >= limits.connect);
    let log = running.log(1).await;
    assert_eq!((&log[0]["reason"], &log[0]["address"]), (&"timed out".into(), &serde_json::Value::Null));
    running.task.abort();
}

#[tokio::test]
async fn a_name_without_addresses_is_unreachable_and_no_more_than_eight_are_tried() {
    let running = Running::start(of(Vec::new(), quick()));
    assert_eq!(dial(&running.path, "kms.test", 443).await.1.unwrap_err().code, "egress_unreachable");
    running.task.abort();

    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let address = shouting_server().await;
    for (before, connected) in [(7, true), (8, false)] {
        let mut addresses = vec![closed; before];
        addresses.push(address);
        let running = Running::start(of(addresses, quick()));
        assert_eq!(dial(&running.path, "kms.test", 443).await.1.is_ok(), connected, "{before}");
        running.task.abort();
    }
}

#[tokio::test]
async fn any_transport_serves_and_a_failed_accept_is_survived() {
    let address = shouting_server().await;
    let egress = of(vec![address], quick());
    let (counters, lines) = (egress.counters(), Lines::default());
    let (mut enclave, host) = tokio::io::duplex(4096);
    let mut answers = vec![Ok(host), Err(io::Error::from(io::ErrorKind::ConnectionAborted))];
    let accept = move || {
        let next = answers.pop();
        async move {
            match next {
                Some(next) => next,
                None => std::future::pending().await,
            }
        }
    };
    let task = tokio::spawn(egress.serve_with(accept, Log::new(lines.clone())));
    let body = encode(&DialRequest { host: "kms.test".into(), port: 443 });
    write_frame(&mut enclave, FrameKind::Dial, &body).await.unwrap();
    assert_eq!(read_frame(&mut enclave, 4096).await.unwrap().0, FrameKind::Dialled);
    enclave.write_all(b"x").await.unwrap();
    enclave.shutdown().await.unwrap();
    let mut back = Vec::new();
    enclave.read_to_end(&mut back).await.unwrap();
    assert_eq!(back, b"X");
    until(&counters, |counts| counts.ended(Outcome::Done) == 1).await;
    assert_eq!(counters.read().ended(Outcome::AcceptFailed), 1);
    task.abort();
}
