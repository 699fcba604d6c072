//! Who answers.

use std::io::Write;

use packproof_tests::{
    cheat::{Certificate, GOOD, NAMESAKE, cheat, serve},
    demo::ENVIRONMENTS,
    world::World,
};

use super::{packs, refuses};

#[test]
fn certificates_that_are_not_kmss() {
    let world = World::start();
    for (attack, certificate, code) in [
        ("a certificate for another name", Certificate { host: "kms.localhost", ..GOOD }, "kms_certificate_refused"),
        ("an expired certificate", Certificate { years: (2020, 2021), ..GOOD }, "kms_certificate_refused"),
        ("a certificate of the future", Certificate { years: (2080, 2090), ..GOOD }, "kms_certificate_refused"),
        (
            "a certificate of an unknown CA",
            Certificate { authority: Err("Public CA"), ..GOOD },
            "kms_certificate_refused",
        ),
        ("a CA of the pinned name", Certificate { authority: Err(NAMESAKE), ..GOOD }, "kms_certificate_refused"),
    ] {
        for environment in ENVIRONMENTS {
            let requests = cheat(&world, certificate, |_| ());
            refuses(&world, attack, world.request(environment), code);
            assert_eq!(*requests.lock().unwrap(), 0, "{attack}: a request was sent to a stranger");
        }
    }
    let requests = cheat(&world, GOOD, |_| ());
    packs(&world, "the pinned CA's certificate", world.request("production"));
    assert!(*requests.lock().unwrap() >= 4);
}

#[test]
fn an_egress_that_carries_no_tls() {
    let world = World::start();
    serve(&world, |mut stream| drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")));
    refuses(&world, "a proxy in plain text", world.request("dev"), "kms_unreachable");
    serve(&world, drop);
    refuses(&world, "an egress that hangs up", world.request("dev"), "kms_unreachable");
    // a fatal alert, handshake_failure (RFC 8446 section 6), which anybody can write
    serve(&world, |mut stream| drop(stream.write_all(&[0x15, 3, 3, 0, 2, 2, 40])));
    refuses(&world, "a TLS alert of the host's", world.request("dev"), "kms_unreachable");
}
