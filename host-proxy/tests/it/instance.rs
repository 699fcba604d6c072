//! Commands on an EC2 instance: the environment has no credentials, and the metadata service on loopback has.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
};

use packproof_wire::{ErrorAnswer, ErrorClass, Request};

use crate::{
    enclave::{FakeEnclave, Reply, birth, described, write_sealed},
    repository::{Fixture, packproof},
};

/// A metadata service with one role; it ends with the test's process.
fn service() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let head: Vec<String> =
                BufReader::new(&stream).lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
            let with_token = head.contains(&"X-aws-ec2-metadata-token: T0ken".to_owned());
            let body = match (head[0].as_str(), with_token) {
                ("PUT /latest/api/token HTTP/1.1", _) => "T0ken",
                ("GET /latest/meta-data/iam/security-credentials/ HTTP/1.1", true) => "ci",
                ("GET /latest/meta-data/iam/security-credentials/ci HTTP/1.1", true) => {
                    r#"{"Code":"Success","AccessKeyId":"ASIAROLE","SecretAccessKey":"role-secret","Token":"role-token",
                        "Expiration":"2999-01-01T00:00:00Z"}"#
                }
                other => panic!("{other:?}"),
            };
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        }
    });
    url
}

#[test]
fn pack_and_seal_use_the_instances_role() {
    let fixture = Fixture::new();
    let enclave = FakeEnclave::start(&fixture.path("socket"), |request| match request {
        Request::Describe {} => Reply::Answer(packproof_wire::message::encode(&described())),
        _ => Reply::Error(ErrorAnswer { code: "seen".into(), class: ErrorClass::Refused, message: "seen".into() }),
    });
    let signer = fixture.path("signer");
    let signer = write_sealed(&signer, &birth("signer", "checkout", "production", "arn", "key", b""));
    let (address, service) = (enclave.address(), service());
    let env = [
        ("PACKPROOF_ENCLAVE", address.as_str()),
        ("PACKPROOF_SIGNER", &signer),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &service),
    ];
    let (repo, output) = (fixture.repo(), fixture.path("out"));
    let (repo, output) = (repo.to_str().unwrap(), output.to_str().unwrap());
    for args in [
        &["pack", "checkout", "production", "--dir", repo, "-o", output][..],
        &["seal", "signer", "--identity", "checkout", "--environment", "production", "-o", output],
    ] {
        let ran = packproof(args, &env);
        assert_eq!(ran.error(), (1, "seen"), "{}", ran.err);
        let found = enclave.requests().into_iter().find_map(|request| match request {
            Request::Pack(pack) => Some(pack.credentials),
            Request::Seal(seal) => Some(seal.credentials),
            _ => None,
        });
        let found = found.unwrap();
        assert_eq!((found.access_key_id.as_str(), found.secret_access_key.as_str()), ("ASIAROLE", "role-secret"));
        assert_eq!(found.session_token.as_deref(), Some("role-token"));
    }
}
