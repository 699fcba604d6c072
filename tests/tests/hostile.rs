//! A host that keeps to nothing: requests made by hand, an egress of its own.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::{UnixListener, UnixStream},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use packproof_tests::{
    canary::Canaries,
    demo::{self, ENVIRONMENTS},
    wire::{ANSWER, ERROR, REQUEST, Stream, ask, frame},
    world::World,
};
use packproof_wire::{Object, PackRequest, Request, message::encode};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};

/// Kind byte of the enclave's dial frame, and of the egress's yes.
const DIAL: u8 = 4;
const DIALLED: u8 = 5;

#[track_caller]
fn refuses(world: &World, row: &str, request: PackRequest, code: &str, class: &str) {
    let (kind, said) = ask(&world.socket(), &Request::Pack(request));
    assert_eq!(kind, ERROR, "{row}: {said}");
    assert_eq!((said["code"].as_str(), said["class"].as_str()), (Some(code), Some(class)), "{row}: {said}");
    assert!(said["message"].as_str().unwrap().contains("; "), "{row}: no next step: {said}");
}

/// One change to a good request.
type Change = fn(&mut PackRequest);

#[test]
fn requests_with_other_objects_than_the_commit_needs() {
    let world = World::start();
    let rows: [(&str, Change, &str, &str); 17] = [
        (
            "one blob more",
            |r| r.objects.push(Object { kind: "blob".into(), body: b"more".to_vec() }),
            "extra_objects",
            "refused",
        ),
        (
            "an empty tree more",
            |r| r.objects.push(Object { kind: "tree".into(), body: Vec::new() }),
            "extra_objects",
            "refused",
        ),
        (
            "one object twice",
            |r| {
                let first = &r.objects[0];
                let again = Object { kind: first.kind.clone(), body: first.body.clone() };
                r.objects.push(again);
            },
            "duplicate_object",
            "refused",
        ),
        ("the last blob left out", |r| drop(r.objects.pop()), "missing_object", "refused"),
        ("no objects", |r| r.objects.clear(), "missing_object", "refused"),
        ("a changed commit", |r| r.objects[0].body.push(b'\n'), "missing_object", "refused"),
        (
            "a changed cell",
            |r| *r.objects.last_mut().unwrap().body.last_mut().unwrap() ^= 1,
            "missing_object",
            "refused",
        ),
        ("a blob called tree", |r| r.objects.last_mut().unwrap().kind = "tree".into(), "missing_object", "refused"),
        ("an object of no kind", |r| r.objects[0].kind = "note".into(), "request_malformed", "usage"),
        ("a commit called tag", |r| r.objects[0].kind = "tag".into(), "missing_object", "refused"),
        ("another commit id", |r| r.commit = "0".repeat(40), "missing_object", "refused"),
        ("a short commit id", |r| r.commit.truncate(12), "invalid_object_id", "refused"),
        ("a commit id in capitals", |r| r.commit = "A".repeat(40), "invalid_object_id", "refused"),
        ("a revision", |r| r.commit = "HEAD".into(), "invalid_object_id", "refused"),
        (
            "100,000 objects",
            |r| {
                r.objects
                    .extend((0..100_000_u32).map(|n| Object { kind: "blob".into(), body: n.to_be_bytes().to_vec() }));
            },
            "too_many_objects",
            "refused",
        ),
        ("another environment's objects", |r| r.environment = "production".into(), "missing_object", "refused"),
        ("an environment outside the policy", |r| r.environment = "staging".into(), "not_in_policy", "refused"),
    ];
    for (row, change, code, class) in rows {
        let mut request = world.request("dev");
        change(&mut request);
        refuses(&world, row, request, code, class);
    }
    // the order of objects says nothing, and a request that was answered is answered again
    let mut request = world.request("dev");
    request.objects.reverse();
    assert_eq!(ask(&world.socket(), &Request::Pack(request)).0, ANSWER);
    let replayed = frame(REQUEST, &encode(&Request::Pack(world.request("dev"))));
    let answers = [(); 2].map(|()| Stream::open(&world.socket()).send(&replayed).answer());
    assert!(answers[0].0 == ANSWER && answers[1].0 == ANSWER && answers[0].1 != answers[1].1);
}

#[test]
fn requests_with_other_members_than_the_protocol_has() {
    let world = World::start();
    for (row, length, code) in
        [("31 bytes", 31, "request_malformed"), ("33 bytes", 33, "request_malformed"), ("none", 0, "request_malformed")]
    {
        let mut request = world.request("dev");
        request.challenge = Some(vec![7; length]);
        refuses(&world, &format!("a challenge of {row}"), request, code, "usage");
        let (_, said) = ask(&world.socket(), &Request::Attest { challenge: Some(vec![7; length]) });
        assert_eq!(said["code"], code, "attest: a challenge of {row}");
    }
    let mut request = world.request("dev");
    request.ttl_seconds = Some(0);
    refuses(&world, "a lifetime of nothing", request, "ttl_refused", "refused");
    let mut request = world.request("dev");
    request.ttl_seconds = Some(u64::MAX);
    refuses(&world, "a lifetime without end", request, "ttl_refused", "refused");
    let mut request = world.request("dev");
    request.sealed_age_key = None;
    refuses(&world, "no age key", request, "sealed_key_missing", "refused");
    let mut request = world.request("production");
    request.sealed_age_key = Some(vec![1]);
    refuses(&world, "an age key that nothing needs", request, "request_malformed", "usage");

    let good: Value = serde_json::from_slice(&encode(&Request::Pack(world.request("dev")))).unwrap();
    type Change = fn(&mut Value);
    let rows: [(&str, Change); 10] = [
        ("an unknown member", |v| v["recipient"] = json!("age1")),
        ("an unknown member deep inside", |v| v["objects"][0]["id"] = json!("00")),
        ("a raw key", |v| v["age_key"] = json!("AGE-SECRET-KEY-1")),
        ("a member that is missing", |v| drop(v.as_object_mut().unwrap().remove("commit"))),
        ("a number for a name", |v| v["identity"] = json!(7)),
        ("null for a name", |v| v["identity"] = Value::Null),
        ("a list for a name", |v| v["environment"] = json!(["dev"])),
        ("a lifetime below nothing", |v| v["ttl_seconds"] = json!(-1)),
        ("a lifetime in parts", |v| v["ttl_seconds"] = json!(1.5)),
        ("base64 without its padding", |v| v["sealed_signer"] = json!("AAA")),
    ];
    for (row, change) in rows {
        let mut body = good.clone();
        change(&mut body);
        let said = Stream::open(&world.socket()).send(&frame(REQUEST, body.to_string().as_bytes())).error();
        assert_eq!((&said["code"], &said["class"]), (&json!("request_malformed"), &json!("usage")), "{row}: {said}");
    }
    // JSON that some readers take for one thing and some for another
    let text = good.to_string();
    let twice = text.replacen('{', "{\"identity\":\"checkout\",", 1);
    assert_eq!(
        Stream::open(&world.socket()).send(&frame(REQUEST, twice.as_bytes())).error()["code"],
        "request_malformed"
    );
    let deep = "[".repeat(200_000);
    assert_eq!(
        Stream::open(&world.socket()).send(&frame(REQUEST, deep.as_bytes())).error()["code"],
        "request_malformed"
    );
    assert_eq!(Stream::open(&world.socket()).send(&frame(REQUEST, text.as_bytes())).answer().0, ANSWER);
}

#[test]
fn garbage_does_not_end_the_enclave() {
    let mut world = World::start();
    let describe = |world: &World| ask(&world.socket(), &Request::Describe {}).1["receipt_key"].clone();
    let boot = describe(&world);
    let good = frame(REQUEST, &encode(&Request::Pack(world.request("production"))));
    let mut random = Random(1);
    for case in 0..200 {
        let stream = Stream::open(&world.socket());
        match case % 4 {
            // a good request with one byte changed, near its beginning every other time
            0 => {
                let mut bytes = good.clone();
                let end = if case % 8 == 0 { 400 } else { bytes.len() };
                let at = random.below(end);
                bytes[at] ^= u8::try_from(1 + random.below(255)).unwrap();
                drop(stream.send(&bytes).end().rest());
            }
            1 => drop(stream.send(&good[..random.below(good.len())]).end().rest()),
            2 => {
                let length = random.below(2000);
                let bytes: Vec<u8> = (0..length).map(|_| random.byte()).collect();
                drop(stream.send(&frame(REQUEST, &bytes)).end().rest());
            }
            // gone before the answer
            _ => drop(stream.send(&good)),
        }
    }
    assert!(world.is_up());
    assert_eq!(describe(&world), boot, "the enclave was started again");
    for environment in ENVIRONMENTS {
        world.packed(&world.pack(environment));
    }
    assert!(!world.said_by_up().contains("panicked"), "{}", world.said_by_up());
}

/// A small generator: the cases are the same in every run.
struct Random(u64);

impl Random {
    /// splitmix64
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(n).unwrap()).unwrap()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

#[test]
fn idle_streams_keep_nobody_else_waiting() {
    let world = World::start();
    let idle: Vec<_> = (0..100).map(|_| Stream::open(&world.socket()).send(&[0, 0])).collect();
    world.packed(&world.pack("dev"));
    drop(idle);
    world.packed(&world.pack("dev"));
}

/// No enclave of local mode is left behind, however its host ends.
#[test]
fn an_enclave_ends_with_its_host() {
    let mut world = World::start();
    let socket = world.socket();
    world.kill();
    let start = Instant::now();
    while UnixStream::connect(&socket).is_ok() {
        assert!(start.elapsed() < Duration::from_secs(10), "the enclave is still there");
        thread::sleep(Duration::from_millis(5));
    }
    // what was left behind does not keep the next one from starting
    let policy = world.policy();
    world.up(&policy, &[]);
    world.packed(&world.pack("production"));
}

/// An egress of the host's own making in the place of the real one; what it carried, both ways.
struct Egress {
    carried: Arc<Mutex<Vec<u8>>>,
}

impl Egress {
    /// Takes the egress's place; every connection is handed to `serve` once its dial frame was read.
    fn replace(world: &World, serve: impl Fn(UnixStream, &Mutex<Vec<u8>>) + Send + Sync + 'static) -> Self {
        let socket = world.path("state/enclave.sock_7001");
        fs::remove_file(&socket).unwrap();
        let listener = UnixListener::bind(&socket).unwrap();
        let carried = Arc::new(Mutex::new(Vec::new()));
        let (kept, serve) = (Arc::clone(&carried), Arc::new(serve));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (kept, serve) = (Arc::clone(&kept), Arc::clone(&serve));
                thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                    let mut head = [0; 6];
                    stream.read_exact(&mut head).unwrap();
                    assert_eq!(head[5], DIAL);
                    let length = u32::from_be_bytes(head[..4].try_into().unwrap());
                    let mut body = vec![0; usize::try_from(length).unwrap() - 2];
                    stream.read_exact(&mut body).unwrap();
                    serve(stream, &kept);
                });
            }
        });
        Self { carried }
    }
}

fn refuses_by_egress(world: &World, row: &str, code: &str, exit: i32) {
    for environment in ENVIRONMENTS {
        let (outcome, out) = world.run_pack(&world.pack(environment), true);
        assert_eq!(outcome.code, exit, "{row}: {}", outcome.stdout);
        assert_eq!(outcome.json()["code"], code, "{row}: {}", outcome.stdout);
        assert!(!out.exists(), "{row}: something was written");
    }
}

#[test]
fn an_egress_that_refuses_or_speaks_nonsense() {
    let world = World::start();
    drop(Egress::replace(&world, |mut stream, _| drop(stream.write_all(&frame(ERROR, b"{}")))));
    refuses_by_egress(&world, "an egress that says no", "kms_unreachable", 3);
    drop(Egress::replace(&world, |stream, _| drop(stream)));
    refuses_by_egress(&world, "an egress that hangs up", "kms_unreachable", 3);
    drop(Egress::replace(&world, |mut stream, _| drop(stream.write_all(&[0xff; 64]))));
    refuses_by_egress(&world, "an egress with a length of 4 GiB", "kms_unreachable", 3);
    drop(Egress::replace(&world, |mut stream, _| {
        let _ = stream.write_all(&frame(DIALLED, b"{}"));
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    }));
    refuses_by_egress(&world, "an egress that answers without TLS", "kms_unreachable", 3);
    fs::remove_file(world.path("state/enclave.sock_7001")).unwrap();
    refuses_by_egress(&world, "no egress", "kms_unreachable", 3);
}

/// TLS ends in the enclave: a server with a certificate of the host's own making learns nothing but that it was asked.
#[test]
fn an_egress_that_ends_tls_itself() {
    let world = World::start();
    let ca = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let own = params.self_signed(&ca).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &rcgen::Issuer::new(params, ca)).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone(), own.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .unwrap();
    let config = Arc::new(config);
    let egress = Egress::replace(&world, move |mut stream, read| {
        stream.write_all(&frame(DIALLED, b"{}")).unwrap();
        let mut tls = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = rustls::Stream::new(&mut tls, &mut stream);
        let mut request = Vec::new();
        let _ = stream.read_to_end(&mut request);
        read.lock().unwrap().extend(request);
    });
    for environment in ENVIRONMENTS {
        let (outcome, out) = world.run_pack(&world.pack(environment), true);
        let said = outcome.exit(1).json();
        assert_eq!(said["code"], "kms_certificate_refused", "{environment}: {said}");
        assert!(!out.exists());
    }
    assert!(egress.carried.lock().unwrap().is_empty(), "the enclave sent a request to a server it must not trust");
}

/// What an egress sees of a pack that succeeds: the name that it was asked for, and TLS.
#[test]
fn an_egress_that_listens() {
    let world = World::start();
    let port = world.report()["kms_url"].as_str().unwrap().rsplit(':').next().unwrap().parse::<u16>().unwrap();
    let egress = Egress::replace(&world, move |mut enclave, kept| {
        enclave.write_all(&frame(DIALLED, b"{}")).unwrap();
        let mut kms = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (mut from_kms, mut to_enclave) = (kms.try_clone().unwrap(), enclave.try_clone().unwrap());
        thread::scope(|scope| {
            scope.spawn(move || carry(&mut from_kms, &mut to_enclave, kept));
            carry(&mut enclave, &mut kms, kept);
            let _ = kms.shutdown(std::net::Shutdown::Write);
        });
    });
    for environment in ENVIRONMENTS {
        world.packed(&world.pack(environment));
    }
    let carried = egress.carried.lock().unwrap().clone();
    assert!(carried.len() > 10_000, "{} bytes are no pack", carried.len());
    let plaintexts: Vec<_> = ENVIRONMENTS.iter().map(|name| (*name, demo::plaintext(name))).collect();
    assert!(Canaries::of(&plaintexts).in_bytes(&carried).is_empty());
    let secret = world.report()["env"]["ci"]["AWS_ACCESS_KEY_ID"].as_str().unwrap().as_bytes().to_vec();
    for hidden in [secret.as_slice(), b"TrentService", b"CiphertextForRecipient", b"arn:aws:kms"] {
        assert!(!carried.windows(hidden.len()).any(|window| window == hidden), "{}", String::from_utf8_lossy(hidden));
    }
}

fn carry(from: &mut impl Read, to: &mut impl Write, kept: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 16384];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        kept.lock().unwrap().extend(&buffer[..count]);
        if to.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
}
