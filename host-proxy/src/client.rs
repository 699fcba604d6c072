//! One request to an enclave and its answer.

use std::{
    fmt, io,
    os::{fd::OwnedFd, unix::net::UnixStream as StdUnixStream},
    path::PathBuf,
    time::Duration,
};

use packproof_wire::{
    FrameError, FrameKind, MAX_FRAME_BYTES, PACK_PORT, Request, handshake,
    message::{decode_answer, encode},
    read_frame, write_frame,
};
use serde::de::DeserializeOwned;
use tokio::{net::UnixStream, time::timeout};

use crate::Error;

/// Where an enclave serves requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnclaveAddress {
    /// `vsock:CID:PORT`
    Vsock {
        /// Context id of the enclave.
        cid: u32,
        /// Port.
        port: u32,
    },
    /// `unix:PATH`, with the `CONNECT` handshake.
    Unix(PathBuf),
}

/// How long is waited.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For a stream.
    pub connect: Duration,
    /// For the answer, the request's transport included. The enclave has a shorter deadline of its own.
    pub answer: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), answer: Duration::from_secs(300) }
    }
}

impl EnclaveAddress {
    /// Reads an address.
    ///
    /// # Errors
    /// [`Error::EnclaveAddress`], and [`Error::NotSupported`] for `https://`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wrong = || Error::EnclaveAddress(text.to_owned());
        if text.starts_with("https://") {
            return Err(Error::NotSupported { what: "an enclave at an https:// address", code: "https_not_supported" });
        }
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() { Err(wrong()) } else { Ok(Self::Unix(path.into())) };
        }
        let (cid, port) = text.strip_prefix("vsock:").and_then(|rest| rest.split_once(':')).ok_or_else(wrong)?;
        let number = |digits: &str| {
            let plain = digits.bytes().all(|b| b.is_ascii_digit());
            digits.parse().ok().filter(|_| plain)
        };
        Ok(Self::Vsock { cid: number(cid).ok_or_else(wrong)?, port: number(port).ok_or_else(wrong)? })
    }

    async fn connect(&self) -> io::Result<UnixStream> {
        match self {
            Self::Unix(path) => {
                let mut stream = UnixStream::connect(path).await?;
                handshake::connect(&mut stream, PACK_PORT).await?;
                Ok(stream)
            }
            Self::Vsock { cid, port } => {
                let (cid, port) = (*cid, *port);
                // Blocking, but never for long: Linux gives a vsock connect two seconds.
                let connected =
                    tokio::task::spawn_blocking(move || vsock::VsockStream::connect_with_cid_port(cid, port));
                let stream = connected.await.map_err(io::Error::other)??;
                stream.set_nonblocking(true)?;
                // A stream socket is read and written alike whatever its address family; only its addresses differ, and
                // nothing asks for them.
                UnixStream::from_std(StdUnixStream::from(OwnedFd::from(stream)))
            }
        }
    }
}

impl fmt::Display for EnclaveAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vsock { cid, port } => write!(f, "vsock:{cid}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Sends one request over a stream of its own and reads the answer.
///
/// # Errors
/// [`Error::EnclaveUnreachable`], [`Error::EnclaveTimeout`], [`Error::Frame`], [`Error::AnswerUnreadable`], and the
/// enclave's own no as [`Error::Enclave`].
pub async fn request<T: DeserializeOwned>(
    address: &EnclaveAddress,
    request: &Request,
    timeouts: Timeouts,
) -> Result<T, Error> {
    let unreachable = |reason: String| Error::EnclaveUnreachable { address: address.to_string(), reason };
    let mut stream = match timeout(timeouts.connect, address.connect()).await {
        Err(_) => return Err(unreachable(format!("no connection within {} seconds", timeouts.connect.as_secs()))),
        Ok(Err(error)) => return Err(unreachable(error.to_string())),
        Ok(Ok(stream)) => stream,
    };
    let (kind, body) = timeout(timeouts.answer, exchange(&mut stream, &encode(request)))
        .await
        .map_err(|_| Error::EnclaveTimeout { seconds: timeouts.answer.as_secs() })?
        .map_err(Error::Frame)?;
    decode_answer(kind, &body).map_err(Error::AnswerUnreadable)?.map_err(Error::Enclave)
}

/// An enclave that refuses a request by its length answers and closes before it has read everything: writing then
/// fails, and the answer says why.
async fn exchange(stream: &mut UnixStream, body: &[u8]) -> Result<(FrameKind, Vec<u8>), FrameError> {
    match write_frame(stream, FrameKind::Request, body).await {
        Ok(()) => read_frame(stream, MAX_FRAME_BYTES).await,
        Err(FrameError::Io(error)) => read_frame(stream, MAX_FRAME_BYTES).await.map_err(|_| FrameError::Io(error)),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use packproof_wire::{Described, ErrorAnswer, ErrorClass};
    use tokio::{io::AsyncReadExt, net::UnixListener};

    use super::*;

    #[test]
    fn addresses_have_one_form() {
        let code = |text: &str| EnclaveAddress::parse(text).unwrap_err().code().to_owned();
        assert_eq!(EnclaveAddress::parse("vsock:16:7000").unwrap(), EnclaveAddress::Vsock { cid: 16, port: 7000 });
        assert_eq!(EnclaveAddress::parse("unix:/a b").unwrap().to_string(), "unix:/a b");
        for wrong in ["", "unix:", "vsock:16", "vsock::1", "vsock:+1:2", "vsock:1:2:3", "vsock:1:4294967296", "tcp:1"] {
            assert_eq!(code(wrong), "enclave_address", "{wrong}");
        }
        assert_eq!(code("https://host:1"), "https_not_supported");
    }

    proptest::proptest! {
        #[test]
        fn an_address_reads_back_or_is_refused(text in "(vsock|unix|https)?:?[0-9a-z:/]{0,16}") {
            if let Ok(address) = EnclaveAddress::parse(&text) {
                assert_eq!(EnclaveAddress::parse(&address.to_string()).unwrap(), address);
            }
        }
    }

    #[tokio::test]
    async fn an_early_no_is_read_although_the_request_does_not_fit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let enclave = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            handshake::accept(&mut stream, PACK_PORT).await.unwrap();
            stream.read_exact(&mut [0; 4]).await.unwrap();
            let no =
                ErrorAnswer { code: "frame_too_long".into(), class: ErrorClass::Usage, message: "too long".into() };
            write_frame(&mut stream, FrameKind::Error, &encode(&no)).await.unwrap();
            tokio::io::AsyncWriteExt::shutdown(&mut stream).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        });
        let mut stream = EnclaveAddress::Unix(path).connect().await.unwrap();
        let (kind, _) = exchange(&mut stream, &vec![b' '; 4 << 20]).await.unwrap();
        assert_eq!(kind, FrameKind::Error);
        enclave.await.unwrap();
    }

    #[tokio::test]
    async fn silence_has_a_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let timeouts = Timeouts { connect: Duration::from_millis(500), answer: Duration::from_millis(100) };
        let ask = |path: PathBuf| async move {
            let answer: Result<Described, _> =
                request(&EnclaveAddress::Unix(path), &Request::Describe {}, timeouts).await;
            answer.unwrap_err().code().to_owned()
        };
        assert_eq!(ask(path.clone()).await, "enclave_unreachable");
        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!(ask(path.clone()).await, "enclave_unreachable");
        let accepted = tokio::spawn(async move {
            listener.accept().await.unwrap();
            let (mut stream, _) = listener.accept().await.unwrap();
            handshake::accept(&mut stream, PACK_PORT).await.unwrap();
            stream
        });
        assert_eq!(ask(path.clone()).await, "enclave_timeout");
        drop(accepted.await.unwrap());
    }
}
