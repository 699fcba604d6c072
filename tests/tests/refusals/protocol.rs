//! Frames that are none, spoken byte by byte.

use std::time::{Duration, Instant};

use packproof_tests::{
    wire::{ANSWER, REQUEST, Stream, frame},
    world::World,
};

use crate::assert_next_step;

const DESCRIBE: &[u8] = br#"{"request":"describe"}"#;

#[test]
fn frames_that_are_not_of_the_protocol() {
    let mut world = World::start();
    let socket = world.socket();
    let limit: u32 = 8 << 20;
    let with = |version: u8, kind: u8| [&24_u32.to_be_bytes()[..], &[version, kind], DESCRIBE].concat();
    let above = (limit + 1).to_be_bytes();
    let rows: [(&str, Vec<u8>, &str); 18] = [
        ("a length of 4 GiB", vec![0xff; 4], "frame_too_long"),
        ("a length one above the limit", above.to_vec(), "frame_too_long"),
        ("a length of nothing", vec![0; 6], "frame_too_short"),
        ("a length that leaves no room", vec![0, 0, 0, 1, 1], "frame_too_short"),
        ("nothing at all", Vec::new(), "stream_closed"),
        ("half a length", vec![0, 0], "frame_truncated"),
        ("less than was announced", frame(REQUEST, DESCRIBE)[..20].to_vec(), "frame_truncated"),
        ("only a length", vec![0, 0, 0, 24], "frame_truncated"),
        ("version 0", with(0, REQUEST), "frame_wrong_version"),
        ("version 2", with(2, REQUEST), "frame_wrong_version"),
        ("an answer", with(1, ANSWER), "frame_wrong_kind"),
        ("a dialled frame", with(1, 5), "frame_wrong_kind"),
        ("kind 0", with(1, 0), "frame_wrong_kind"),
        ("kind 9", with(1, 9), "frame_wrong_kind"),
        ("no body", frame(REQUEST, b""), "request_malformed"),
        ("no JSON", frame(REQUEST, b"{"), "request_malformed"),
        ("an unknown request", frame(REQUEST, br#"{"request":"unpack"}"#), "request_malformed"),
        ("more than one object", frame(REQUEST, br#"{"request":"describe"}{}"#), "request_malformed"),
    ];
    for (row, bytes, code) in rows {
        let said = Stream::open(&socket).send(&bytes).end().error();
        assert_eq!((said["code"].as_str(), said["class"].as_str()), (Some(code), Some("usage")), "{row}: {said}");
        assert_next_step(row, &said);
    }
    assert_eq!(Stream::open(&socket).send(&frame(REQUEST, DESCRIBE)).answer().0, ANSWER);
    assert!(world.is_up());
}

#[test]
fn a_length_above_the_limit_is_refused_before_anything_else_is_sent() {
    let world = World::start();
    let stream = Stream::open(&world.socket()).send(&[0x7f, 0xff, 0xff, 0xff]);
    let start = Instant::now();
    assert_eq!(stream.error()["code"], "frame_too_long");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}: the enclave waited for a body", start.elapsed());
}

#[test]
fn a_handshake_for_another_port_gets_no_answer() {
    let world = World::start();
    for line in ["CONNECT 7001\n", "CONNECT 07000\n", "connect 7000\n", "CONNECT 7000\r\n", "GET / HTTP/1.1\r\n\r\n"] {
        let rest = Stream::connect(&world.socket()).send(line.as_bytes()).end().rest();
        assert!(rest.is_empty(), "{line:?}: {:?}", String::from_utf8_lossy(&rest));
    }
    assert!(Stream::connect(&world.socket()).send(&[b'x'; 10_000]).end().rest().is_empty());
    world.packed(&world.pack("dev"));
}
