//! The protocol spoken byte by byte, as a host speaks that keeps to nothing. Frames are made and read here, not by the
//! code under test.

use std::{
    io::{Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use packproof_wire::{Request, message::encode};
use serde_json::Value;

/// Kind byte of a request.
pub const REQUEST: u8 = 1;
/// Kind byte of an answer.
pub const ANSWER: u8 = 2;
/// Kind byte of an error.
pub const ERROR: u8 = 3;

/// An enclave that says nothing for so long has not answered.
const TIMEOUT: Duration = Duration::from_secs(30);

/// One frame of version 1.
pub fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 2).unwrap();
    [&length.to_be_bytes()[..], &[1, kind], body].concat()
}

/// One stream to an enclave.
pub struct Stream(UnixStream);

impl Stream {
    /// Connects, and shakes hands for the port of requests.
    pub fn open(socket: &Path) -> Self {
        let stream = Self::connect(socket);
        let mut stream = stream.send(b"CONNECT 7000\n");
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            let mut byte = [0];
            stream.0.read_exact(&mut byte).unwrap();
            line.push(byte[0]);
        }
        assert!(line.starts_with(b"OK "), "{:?}", String::from_utf8_lossy(&line));
        stream
    }

    /// Connects and says nothing.
    pub fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(TIMEOUT)).unwrap();
        Self(stream)
    }

    /// Sends bytes. An enclave that has heard enough may have closed the stream: what it said can still be read.
    #[must_use]
    pub fn send(mut self, bytes: &[u8]) -> Self {
        let _ = self.0.write_all(bytes);
        self
    }

    /// Ends what is sent.
    #[must_use]
    pub fn end(self) -> Self {
        let _ = self.0.shutdown(Shutdown::Write);
        self
    }

    /// Everything that comes until the enclave closes the stream.
    pub fn rest(mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // a stream that is closed with unread bytes of ours ends with an error; what came before counts
        let _ = self.0.read_to_end(&mut bytes);
        bytes
    }

    /// Kind and body of the one frame that comes back.
    #[track_caller]
    pub fn answer(self) -> (u8, Value) {
        let bytes = self.rest();
        assert!(bytes.len() >= 6, "{} bytes are no answer", bytes.len());
        let length = usize::try_from(u32::from_be_bytes(bytes[..4].try_into().unwrap())).unwrap();
        assert_eq!((bytes.len() - 4, bytes[4]), (length, 1), "not one frame of version 1");
        (bytes[5], serde_json::from_slice(&bytes[6..]).unwrap())
    }

    /// The error that comes back.
    #[track_caller]
    pub fn error(self) -> Value {
        let (kind, body) = self.answer();
        assert_eq!(kind, ERROR, "expected an error, got {body}");
        body
    }
}

/// Sends a whole request; kind and body of the answer.
#[track_caller]
pub fn ask(socket: &Path, request: &Request) -> (u8, Value) {
    Stream::open(socket).send(&frame(REQUEST, &encode(request))).answer()
}
