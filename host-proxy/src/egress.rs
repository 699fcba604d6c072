//! The egress: connections that the enclave asks for, to exact names only.
//!
//! The enclave writes a dial frame with host and port; the egress connects and copies bytes. TLS ends in the enclave,
//! so what is carried means nothing here, and what the egress does with it decides nothing there: whoever controls the
//! egress can refuse service. The allow-list protects the *host's* network from whatever an enclave would ask for.
//!
//! [`Egress::serve`] listens on the Unix socket `PATH_7001` of local mode; [`Egress::carry`] takes any one stream.

mod log;
mod pump;

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

pub use log::Log;
use packproof_wire::{
    DialRequest, ErrorAnswer, ErrorClass, FrameKind,
    message::{decode, encode},
    read_frame, write_frame,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixListener, lookup_host},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};

/// Longest dial frame: a host name has at most 253 bytes.
pub const MAX_DIAL_FRAME_BYTES: usize = 1024;
/// Pause after a failed accept, which may be out of file descriptors: they come back as connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What the egress connects to, and how much of it at once.
#[derive(Clone, Debug)]
pub struct Egress {
    allow: Vec<(String, u16)>,
    addresses: BTreeMap<(String, u16), Vec<SocketAddr>>,
    limits: EgressLimits,
}

/// How long and how many.
#[derive(Clone, Copy, Debug)]
pub struct EgressLimits {
    /// For the dial frame to come.
    pub dial: Duration,
    /// For the name to resolve, and again for each of its addresses.
    pub connect: Duration,
    /// Without a byte in either direction, the connection ends.
    pub idle: Duration,
    /// Connections at once.
    pub connections: usize,
}

impl Default for EgressLimits {
    /// 50 cells are decrypted at once, so 128 connections carry two packs.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { dial: seconds(5), connect: seconds(5), idle: seconds(60), connections: 128 }
    }
}

impl Egress {
    /// Allows exactly these hosts and ports, compared byte for byte.
    pub fn new(allow: Vec<(String, u16)>) -> Self {
        Self { allow, addresses: BTreeMap::new(), limits: EgressLimits::default() }
    }

    /// Connects `host:port` to these addresses without asking DNS. The pair must be allowed all the same.
    #[must_use]
    pub fn with_addresses(mut self, host: &str, port: u16, addresses: Vec<SocketAddr>) -> Self {
        self.addresses.insert((host.to_owned(), port), addresses);
        self
    }

    /// Sets the limits.
    #[must_use]
    pub fn with_limits(mut self, limits: EgressLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Serves until it is dropped; its connections end with it.
    pub async fn serve(self, listener: UnixListener, log: Log) {
        let limits = self.limits;
        let places = Arc::new(Semaphore::new(limits.connections));
        let egress = Arc::new(self);
        let mut running = JoinSet::new();
        loop {
            // Collects what has ended, so that the set does not grow.
            while running.try_join_next().is_some() {}
            let mut stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    log.write(&log::Entry::failed("accept_failed", &error.to_string()));
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let (egress, log) = (Arc::clone(&egress), log.clone());
            let place = Arc::clone(&places).try_acquire_owned();
            running.spawn(async move {
                match place {
                    Ok(_place) => egress.carry(&mut stream, &log).await,
                    Err(_) => {
                        log.write(&log::Entry::failed("egress_busy", ""));
                        // The enclave learns why, or finds the stream closed.
                        let _ = timeout(egress.limits.dial, refuse(&mut stream, &Refusal::BUSY)).await;
                    }
                }
            });
        }
    }

    /// Reads one dial frame, connects and carries until either side is done. Says in the log how it went.
    pub async fn carry<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: &mut S, log: &Log) {
        let started = Instant::now();
        let dial = match timeout(self.limits.dial, read_dial(stream)).await {
            Ok(Ok(dial)) => dial,
            Ok(Err(reason)) => {
                log.write(&log::Entry::failed("egress_malformed", &reason));
                let _ = timeout(self.limits.dial, refuse(stream, &Refusal::MALFORMED)).await;
                return;
            }
            Err(_) => return log.write(&log::Entry::failed("egress_silent", "")),
        };
        let mut entry = log::Entry::of(&dial);
        let mut peer = match self.dial(&dial).await {
            Ok(peer) => peer,
            Err(refusal) => {
                entry.outcome = refusal.code;
                entry.milliseconds = log::milliseconds(started);
                log.write(&entry);
                let _ = timeout(self.limits.dial, refuse(stream, &refusal)).await;
                return;
            }
        };
        if write_frame(stream, FrameKind::Dialled, b"{}").await.is_err() {
            entry.outcome = "enclave_gone";
        } else {
            let carried = pump::pump(stream, &mut peer, self.limits.idle).await;
            (entry.outcome, entry.bytes_out, entry.bytes_in) = (carried.outcome, carried.bytes_out, carried.bytes_in);
        }
        entry.milliseconds = log::milliseconds(started);
        log.write(&entry);
    }

    async fn dial(&self, dial: &DialRequest) -> Result<TcpStream, Refusal> {
        if !self.allow.iter().any(|(host, port)| *host == dial.host && *port == dial.port) {
            return Err(Refusal::NOT_ALLOWED);
        }
        let addresses = match self.addresses.get(&(dial.host.clone(), dial.port)) {
            Some(addresses) => addresses.clone(),
            None => match timeout(self.limits.connect, lookup_host((dial.host.as_str(), dial.port))).await {
                Ok(Ok(found)) => found.collect(),
                _ => return Err(Refusal::UNRESOLVED),
            },
        };
        for address in addresses {
            if let Ok(Ok(stream)) = timeout(self.limits.connect, TcpStream::connect(address)).await {
                // Carries requests and answers: what comes is sent on at once.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
        }
        Err(Refusal::UNREACHABLE)
    }
}

async fn read_dial<S: AsyncRead + Unpin>(stream: &mut S) -> Result<DialRequest, String> {
    match read_frame(stream, MAX_DIAL_FRAME_BYTES).await {
        Ok((FrameKind::Dial, body)) => decode(&body),
        Ok(_) => Err("a frame of another kind".to_owned()),
        Err(error) => Err(error.code().to_owned()),
    }
}

async fn refuse<S: AsyncWrite + Unpin>(stream: &mut S, refusal: &Refusal) -> io::Result<()> {
    let answer =
        ErrorAnswer { code: refusal.code.to_owned(), class: refusal.class, message: refusal.message.to_owned() };
    write_frame(stream, FrameKind::Error, &encode(&answer)).await.map_err(io::Error::other)?;
    tokio::io::AsyncWriteExt::shutdown(stream).await
}

/// Why nothing is connected.
struct Refusal {
    code: &'static str,
    class: ErrorClass,
    message: &'static str,
}

impl Refusal {
    const NOT_ALLOWED: Self = Self {
        code: "egress_refused",
        class: ErrorClass::Refused,
        message: "the host's egress does not allow this name and port; add it to the egress's list",
    };
    const UNRESOLVED: Self = Self {
        code: "egress_unresolved",
        class: ErrorClass::Environment,
        message: "the host cannot resolve the name; check its DNS",
    };
    const UNREACHABLE: Self = Self {
        code: "egress_unreachable",
        class: ErrorClass::Environment,
        message: "no address of the name accepts a connection; check the host's network",
    };
    const BUSY: Self = Self {
        code: "egress_busy",
        class: ErrorClass::Environment,
        message: "the host's egress carries as many connections as it may; try again",
    };
    const MALFORMED: Self =
        Self { code: "egress_malformed", class: ErrorClass::Usage, message: "the first frame is no dial frame" };
}

#[cfg(test)]
mod tests;
