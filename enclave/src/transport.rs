//! Streams in and out of the enclave. The peer is the host, so nothing that arrives is believed.

use std::{future::Future, io, os::fd::OwnedFd, pin::Pin, time::Duration};

use tokio::{net::UnixStream, sync::mpsc};

/// A future of a stream.
pub type StreamFuture<'a> = Pin<Box<dyn Future<Output = io::Result<UnixStream>> + Send + 'a>>;

/// How streams reach the enclave and leave it. Any stream socket is carried as a [`UnixStream`].
pub trait Transport: Send + Sync + 'static {
    /// The next request stream.
    fn accept(&self) -> StreamFuture<'_>;
    /// A stream to the host's port.
    fn connect_host(&self, port: u32) -> StreamFuture<'_>;
}

/// The parent instance, as seen from an enclave (AWS Nitro Enclaves User Guide, "Vsock").
const PARENT_CID: u32 = 3;
/// A parent that does not answer a vsock connect within this is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Streams that are accepted but not yet served.
const ACCEPT_QUEUE: usize = 64;

/// Real vsock: requests on `port`, egress at the parent.
pub struct Vsock {
    accepted: tokio::sync::Mutex<mpsc::Receiver<io::Result<OwnedFd>>>,
}

impl Vsock {
    /// Listens on `port` of any CID. The listener blocks in a thread of its own; tokio drives the accepted streams.
    ///
    /// # Errors
    /// When the socket cannot be bound.
    pub fn listen(port: u32) -> io::Result<Self> {
        let listener = vsock::VsockListener::bind_with_cid_port(vsock::VMADDR_CID_ANY, port)?;
        let (sender, accepted) = mpsc::channel(ACCEPT_QUEUE);
        std::thread::Builder::new().name("vsock-accept".into()).spawn(move || {
            for stream in listener.incoming() {
                if sender.blocking_send(stream.map(OwnedFd::from)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { accepted: tokio::sync::Mutex::new(accepted) })
    }
}

impl Transport for Vsock {
    fn accept(&self) -> StreamFuture<'_> {
        Box::pin(async {
            let next = self.accepted.lock().await.recv().await;
            into_stream(next.ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe))??)
        })
    }

    fn connect_host(&self, port: u32) -> StreamFuture<'_> {
        Box::pin(async move {
            let connecting =
                tokio::task::spawn_blocking(move || vsock::VsockStream::connect_with_cid_port(PARENT_CID, port));
            let joined = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await?;
            let stream = joined.map_err(io::Error::other)??;
            into_stream(OwnedFd::from(stream))
        })
    }
}

/// tokio has no vsock stream; its Unix stream drives any connected stream socket.
fn into_stream(socket: OwnedFd) -> io::Result<UnixStream> {
    let stream = std::os::unix::net::UnixStream::from(socket);
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}
