//! A KMS that cheats: TLS ends here, in the egress's place, and answers of the real local KMS are altered on their way.
//!
//! It holds the key of the certificate authority that the policy pins, so whatever is refused is refused for what is in
//! the answer. With another [`Certificate`] it is a man in the middle as a host can be.

use std::{
    fs,
    io::{self, Read, Write},
    net::TcpStream,
    os::unix::net::{UnixListener, UnixStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use rcgen::{CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject};
use serde_json::Value;

use crate::{wire::frame, world::World};

/// Kind byte of the egress's yes.
const DIALLED: u8 = 5;
/// The name in the local KMS's certificate authority.
const CA_NAME: &str = "packproof local KMS";
/// A peer that says nothing for so long says nothing.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What the cheating KMS shows for a certificate.
#[derive(Clone, Copy)]
pub struct Certificate {
    /// Whose name the certificate bears.
    pub host: &'static str,
    /// Whether the authority that the policy pins signed it; otherwise one of this name, made now.
    pub authority: Result<(), &'static str>,
    /// First of January to first of January.
    pub years: (i32, i32),
}

/// The certificate that is all right.
pub const GOOD: Certificate = Certificate { host: "localhost", authority: Ok(()), years: (2020, 2090) };
/// An authority of the pinned one's name.
pub const NAMESAKE: &str = CA_NAME;

/// One request and its answer, which may be altered.
pub struct Exchange {
    /// `Decrypt`, `GenerateDataKey`, ...
    pub operation: String,
    /// The request's body.
    pub request: Value,
    /// The answer's status line behind `HTTP/1.1 `.
    pub status: String,
    /// `x-amzn-requestid`.
    pub request_id: Option<String>,
    /// The answer's body.
    pub body: Vec<u8>,
}

impl Exchange {
    /// Alters the answer as JSON.
    pub fn answer(&mut self, change: impl FnOnce(&mut Value)) {
        let mut answer = serde_json::from_slice(&self.body).unwrap();
        change(&mut answer);
        self.body = answer.to_string().into_bytes();
    }

    /// The ARN of the key asked for.
    pub fn key(&self) -> &str {
        self.request["KeyId"].as_str().unwrap()
    }
}

/// Takes the egress's place from now on. Returns how many requests came as far as to be read.
pub fn cheat(
    world: &World,
    certificate: Certificate,
    alter: impl Fn(&mut Exchange) + Send + Sync + 'static,
) -> Arc<Mutex<usize>> {
    let port = world.report()["kms_url"].as_str().unwrap().rsplit(':').next().unwrap().parse::<u16>().unwrap();
    let (server, client) = (Arc::new(server_config(world, certificate)), Arc::new(client_config(world)));
    let (alter, requests) = (Arc::new(alter), Arc::new(Mutex::new(0)));
    let count = Arc::clone(&requests);
    serve(world, move |enclave| {
        let Ok(kms) = TcpStream::connect(("127.0.0.1", port)) else { return };
        let down = StreamOwned::new(ServerConnection::new(Arc::clone(&server)).unwrap(), enclave);
        let name = "localhost".try_into().unwrap();
        let up = StreamOwned::new(ClientConnection::new(Arc::clone(&client), name).unwrap(), kms);
        // a connection that ends, ends
        let _ = carry(down, up, alter.as_ref(), &count);
    });
    requests
}

/// Takes the egress's place; says yes to every dial and hands the stream over.
pub fn serve(world: &World, handle: impl Fn(UnixStream) + Send + Sync + 'static) {
    let socket = world.path("state/enclave.sock_7001");
    let _ = fs::remove_file(&socket);
    let listener = UnixListener::bind(&socket).unwrap();
    let handle = Arc::new(handle);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (handle, mut stream) = (Arc::clone(&handle), stream.unwrap());
            thread::spawn(move || {
                stream.set_read_timeout(Some(TIMEOUT)).unwrap();
                let mut head = [0; 4];
                stream.read_exact(&mut head).unwrap();
                let mut body = vec![0; usize::try_from(u32::from_be_bytes(head)).unwrap()];
                stream.read_exact(&mut body).unwrap();
                stream.write_all(&frame(DIALLED, b"{}")).unwrap();
                handle(stream);
            });
        }
    });
}

fn carry(
    mut down: impl Read + Write,
    mut up: impl Read + Write,
    alter: &(impl Fn(&mut Exchange) + ?Sized),
    count: &Mutex<usize>,
) -> io::Result<()> {
    loop {
        let (head, body) = message(&mut down)?;
        *count.lock().unwrap() += 1;
        up.write_all(head.as_bytes())?;
        up.write_all(&body)?;
        let (answer_head, answer) = message(&mut up)?;
        let mut exchange = Exchange {
            operation: header(&head, "x-amz-target").unwrap().replace("TrentService.", ""),
            request: serde_json::from_slice(&body).unwrap(),
            status: answer_head.lines().next().unwrap().replace("HTTP/1.1 ", ""),
            request_id: header(&answer_head, "x-amzn-requestid"),
            body: answer,
        };
        alter(&mut exchange);
        let id = exchange.request_id.map(|id| format!("x-amzn-requestid: {id}\r\n")).unwrap_or_default();
        let (status, length) = (exchange.status, exchange.body.len());
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.1\r\n{id}content-length: {length}\r\n\r\n"
        );
        down.write_all(&[head.as_bytes(), &exchange.body].concat())?;
        down.flush()?;
    }
}

/// Head and body of an HTTP message with a length.
fn message(stream: &mut impl Read) -> io::Result<(String, Vec<u8>)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let mut body = vec![0; header(&head, "content-length").map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body)?;
    Ok((head, body))
}

fn header(head: &str, name: &str) -> Option<String> {
    let mut lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
}

fn server_config(world: &World, certificate: Certificate) -> ServerConfig {
    let Certificate { host, authority, years } = certificate;
    let pinned = || KeyPair::from_pem(&fs::read_to_string(world.path("state/kms/ca-key.pem")).unwrap()).unwrap();
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    ca.distinguished_name = DistinguishedName::new();
    ca.distinguished_name.push(DnType::CommonName, authority.err().unwrap_or(CA_NAME));
    let ca_key = if authority.is_ok() { pinned() } else { KeyPair::generate().unwrap() };
    let own = ca.self_signed(&ca_key).unwrap();

    let mut leaf = CertificateParams::new(vec![host.to_owned()]).unwrap();
    (leaf.not_before, leaf.not_after) = (date_time_ymd(years.0, 1, 1), date_time_ymd(years.1, 1, 1));
    let key = KeyPair::generate().unwrap();
    let leaf = leaf.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone(), own.der().clone()], key)
        .unwrap()
}

fn client_config(world: &World) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(world.path("state/kms/ca.pem")).unwrap()).unwrap();
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}
