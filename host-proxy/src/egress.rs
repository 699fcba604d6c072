//! The egress: connections that the enclave asks for, to exact names only.
//!
//! The enclave writes a dial frame with host and port; the egress connects and copies bytes. TLS ends in the enclave,
//! so what is carried means nothing here, and what the egress does with it decides nothing there: whoever controls the
//! egress can refuse service. The allow-list protects the *host's* network from whatever an enclave would ask for.
//!
//! [`Egress::serve`] listens on the Unix socket `PATH_7001` of local mode, [`Egress::serve_with`] on whatever accepts
//! streams; [`Egress::carry`] takes any one stream. `host-proxy/EGRESS.md` describes list, log and counters.

mod allow;
mod connect;
mod count;
mod log;
mod outcome;
mod pump;

use std::{
    collections::BTreeMap,
    future::Future,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

pub use allow::{AllowlistError, MAX_ALLOWLIST_BYTES, MAX_ALLOWLIST_ENTRIES, parse_allowlist};
pub use count::{Counters, Counts};
use log::Entry;
pub use log::Log;
pub use outcome::Outcome;
use packproof_wire::{
    DialRequest, ErrorAnswer, FrameKind,
    message::{decode, encode},
    read_frame, write_frame,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixListener, lookup_host},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{sleep, timeout},
};

/// Longest dial frame: a host name has at most 253 bytes.
pub const MAX_DIAL_FRAME_BYTES: usize = 1024;
/// Pause after a failed accept, which may be out of file descriptors: they come back as connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Most refusals that are being written at once: past this, whoever is one too many finds its stream closed.
const MAX_REFUSALS: usize = 64;

/// What the egress connects to, and how much of it at once. Clones share the counters.
#[derive(Clone, Debug)]
pub struct Egress {
    allow: Vec<(String, u16)>,
    addresses: BTreeMap<(String, u16), Vec<SocketAddr>>,
    limits: EgressLimits,
    counters: Counters,
}

/// How long and how many.
#[derive(Clone, Copy, Debug)]
pub struct EgressLimits {
    /// For the dial frame to come, and for a refusal to be taken.
    pub dial: Duration,
    /// For the name to resolve and one of its addresses to accept, together.
    pub connect: Duration,
    /// Without a byte in either direction, the connection ends.
    pub idle: Duration,
    /// Connections at once.
    pub connections: usize,
    /// Connections beyond that, which wait for one to end; more are refused.
    pub queue: usize,
    /// For how long they wait.
    pub queue_wait: Duration,
}

impl Default for EgressLimits {
    /// 50 cells are decrypted at once, so 128 connections carry two packs, and two more packs wait. The enclave gives a
    /// connection 5 seconds in all; an egress that gives up sooner can still say why.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            dial: seconds(5),
            connect: seconds(4),
            idle: seconds(60),
            connections: 128,
            queue: 128,
            queue_wait: seconds(4),
        }
    }
}

impl Egress {
    /// Allows exactly these hosts and ports, compared byte for byte. [`parse_allowlist`] reads them from a file.
    pub fn new(allow: Vec<(String, u16)>) -> Self {
        Self { allow, addresses: BTreeMap::new(), limits: EgressLimits::default(), counters: Counters::default() }
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

    /// The counters, to be kept before [`Self::serve`] takes the egress.
    pub fn counters(&self) -> Counters {
        self.counters.clone()
    }

    /// Serves until it is dropped; its connections end with it.
    pub async fn serve(self, listener: UnixListener, log: Log) {
        let listener = Arc::new(listener);
        let accept = move || {
            let listener = Arc::clone(&listener);
            async move { listener.accept().await.map(|(stream, _)| stream) }
        };
        self.serve_with(accept, log).await;
    }

    /// The same over any transport: `accept` gives the next stream.
    pub async fn serve_with<S, A, F>(self, mut accept: A, log: Log)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        A: FnMut() -> F,
        F: Future<Output = io::Result<S>>,
    {
        let gate = Arc::new(Gate::new(&self.limits));
        let egress = Arc::new(self);
        let mut running = JoinSet::new();
        loop {
            // Collects what has ended, so that the set does not grow.
            while running.try_join_next().is_some() {}
            let mut stream = match accept().await {
                Ok(stream) => stream,
                Err(error) => {
                    let mut entry = Entry::begin(Duration::ZERO);
                    entry.end(Outcome::AcceptFailed, log::kind(error.kind()));
                    egress.record(&entry, &log);
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            // Decided here, in the order of arrival, and so are the numbers of tasks bounded.
            let ticket = gate.ticket();
            let (egress, log) = (Arc::clone(&egress), log.clone());
            running.spawn(async move {
                let arrived = Instant::now();
                let waiting = matches!(ticket, Ticket::Wait(..)).then(|| egress.counters.waiting());
                let place = ticket.place(egress.limits.queue_wait).await;
                drop(waiting);
                match place {
                    Ok(_place) => egress.carry_queued(&mut stream, &log, arrived.elapsed()).await,
                    Err((outcome, telling)) => {
                        let mut entry = Entry::begin(arrived.elapsed());
                        entry.end(outcome, "");
                        egress.record(&entry, &log);
                        if telling.is_some() {
                            egress.refuse(&mut stream, outcome).await;
                        }
                    }
                }
            });
        }
    }

    /// Reads one dial frame, connects and carries until either side is done. Says in the log how it went. Knows no
    /// bound on the number of connections: that is [`Self::serve`]'s.
    pub async fn carry<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: &mut S, log: &Log) {
        self.carry_queued(stream, log, Duration::ZERO).await;
    }

    async fn carry_queued<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: &mut S, log: &Log, queued: Duration) {
        let _open = self.counters.open();
        let mut entry = Entry::begin(queued);
        let refused = self.carry_or_refuse(stream, &mut entry).await;
        self.record(&entry, log);
        if refused {
            self.refuse(stream, entry.outcome).await;
        }
    }

    /// Whether the enclave is still to be told no.
    async fn carry_or_refuse<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: &mut S, entry: &mut Entry) -> bool {
        let dial = match timeout(self.limits.dial, read_dial(stream)).await {
            Ok(Ok(dial)) => dial,
            Ok(Err(reason)) => {
                entry.end(Outcome::Malformed, reason);
                return true;
            }
            Err(_) => {
                entry.end(Outcome::Silent, "");
                return false;
            }
        };
        entry.asked(&dial);
        let (mut peer, address) = match self.dial(&dial).await {
            Ok(connected) => connected,
            Err((outcome, reason)) => {
                entry.end(outcome, reason);
                return true;
            }
        };
        entry.address = Some(address);
        match timeout(self.limits.dial, write_frame(stream, FrameKind::Dialled, b"{}")).await {
            Ok(Ok(())) => {
                let carried = pump::pump(stream, &mut peer, self.limits.idle).await;
                (entry.bytes_out, entry.bytes_in) = (carried.bytes_out, carried.bytes_in);
                entry.end(carried.outcome, carried.failed.map(log::kind).unwrap_or_default());
            }
            _ => entry.end(Outcome::EnclaveClosed, ""),
        }
        false
    }

    async fn dial(&self, dial: &DialRequest) -> Result<(TcpStream, SocketAddr), (Outcome, String)> {
        if !self.allow.iter().any(|(host, port)| *host == dial.host && *port == dial.port) {
            return Err((Outcome::Refused, String::new()));
        }
        let begun = Instant::now();
        let late = || log::kind(io::ErrorKind::TimedOut);
        let addresses = match self.addresses.get(&(dial.host.clone(), dial.port)) {
            Some(addresses) => addresses.clone(),
            None => match timeout(self.limits.connect, lookup_host((dial.host.as_str(), dial.port))).await {
                Ok(Ok(found)) => found.collect(),
                Ok(Err(error)) => return Err((Outcome::Unresolved, log::kind(error.kind()))),
                Err(_) => return Err((Outcome::Unresolved, late())),
            },
        };
        let left = self.limits.connect.saturating_sub(begun.elapsed());
        match timeout(left, connect::connect(addresses)).await {
            Ok(Ok((stream, address))) => {
                // Carries requests and answers: what comes is sent on at once.
                let _ = stream.set_nodelay(true);
                Ok((stream, address))
            }
            Ok(Err(error)) => Err((Outcome::Unreachable, log::kind(error.kind()))),
            Err(_) => Err((Outcome::Unreachable, late())),
        }
    }

    /// The one place where a connection's end becomes a log line and a count, so that the two agree.
    fn record(&self, entry: &Entry, log: &Log) {
        log.write(entry);
        self.counters.ended(entry);
    }

    /// The enclave learns why, or finds the stream closed.
    async fn refuse<S: AsyncWrite + Unpin>(&self, stream: &mut S, outcome: Outcome) {
        let Some((class, message)) = outcome.refusal() else { return };
        let answer = encode(&ErrorAnswer { code: outcome.code().to_owned(), class, message: message.to_owned() });
        let _ = timeout(self.limits.dial, async {
            write_frame(stream, FrameKind::Error, &answer).await.map_err(io::Error::other)?;
            stream.shutdown().await
        })
        .await;
    }
}

async fn read_dial<S: AsyncRead + Unpin>(stream: &mut S) -> Result<DialRequest, String> {
    match read_frame(stream, MAX_DIAL_FRAME_BYTES).await {
        Ok((FrameKind::Dial, body)) => decode(&body),
        Ok(_) => Err("a frame of another kind".to_owned()),
        Err(error) => Err(error.code().to_owned()),
    }
}

/// Places for connections, for those that wait, and for those that are told no.
struct Gate {
    places: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
}

impl Gate {
    fn new(limits: &EgressLimits) -> Self {
        let places = |count: usize| Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        Self { places: places(limits.connections), queue: places(limits.queue), refusals: places(MAX_REFUSALS) }
    }

    fn ticket(&self) -> Ticket {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Ticket::Place(place);
        }
        match Arc::clone(&self.queue).try_acquire_owned() {
            Ok(waiting) => Ticket::Wait(waiting, Arc::clone(&self.places)),
            Err(_) => Ticket::Full(Arc::clone(&self.refusals).try_acquire_owned().ok()),
        }
    }
}

/// What a connection may do when it comes.
enum Ticket {
    Place(OwnedSemaphorePermit),
    Wait(OwnedSemaphorePermit, Arc<Semaphore>),
    Full(Option<OwnedSemaphorePermit>),
}

impl Ticket {
    /// A place, or why there is none, with leave to say so. Places are given in the order of asking.
    async fn place(self, wait: Duration) -> Result<OwnedSemaphorePermit, (Outcome, Option<OwnedSemaphorePermit>)> {
        match self {
            Self::Place(place) => Ok(place),
            Self::Wait(waiting, places) => match timeout(wait, places.acquire_owned()).await {
                Ok(Ok(place)) => Ok(place),
                _ => Err((Outcome::QueueTimeout, Some(waiting))),
            },
            Self::Full(telling) => Err((Outcome::Busy, telling)),
        }
    }
}

#[cfg(test)]
mod tests;
