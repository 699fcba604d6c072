//! Copies bytes both ways until both sides are done, one is gone, or nothing moves any more.

use std::{
    io::{self, ErrorKind},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    time::{Instant, sleep_until},
};

use super::Outcome;

/// Of one direction: a TLS record is at most 16 KiB.
const BUFFER_BYTES: usize = 16 * 1024;

/// How a connection ended.
pub(super) struct Carried {
    pub(super) outcome: Outcome,
    /// What failed, if anything did; a normal end can have one too.
    pub(super) failed: Option<ErrorKind>,
    pub(super) bytes_out: u64,
    pub(super) bytes_in: u64,
}

/// Copies between the enclave's stream and the peer's. An end of one direction is passed on and the other goes on: a
/// half-closed connection is a whole one.
pub(super) async fn pump<A, B>(enclave: &mut A, peer: &mut B, idle: Duration) -> Carried
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let (out, back) = (Direction::default(), Direction::default());
    let started = Instant::now();
    let ended = {
        let (mut enclave_reads, mut enclave_writes) = split(enclave);
        let (mut peer_reads, mut peer_writes) = split(peer);
        let both = async {
            tokio::try_join!(
                out.copy(&mut enclave_reads, &mut peer_writes, started, [Side::Enclave, Side::Peer]),
                back.copy(&mut peer_reads, &mut enclave_writes, started, [Side::Peer, Side::Enclave])
            )
        };
        tokio::select! {
            done = both => Some(done),
            () = silence([&out, &back], started, idle) => None,
        }
    };
    let (outcome, failed) = match ended {
        None => (Outcome::Idle, None),
        Some(Ok(_)) => (Outcome::Done, None),
        Some(Err((side, error))) => {
            let any_ended = [&out, &back].iter().any(|direction| direction.ended.load(Ordering::Relaxed));
            (judge(side, any_ended, error.kind()), Some(error.kind()))
        }
    };
    let count = |direction: &Direction| direction.bytes.load(Ordering::Relaxed);
    Carried { outcome, failed, bytes_out: count(&out), bytes_in: count(&back) }
}

/// What a failure on one side means. `any_ended`: one of the two had said that nothing more comes from it.
///
/// TLS seldom ends with both directions ended in order: whoever has sent close_notify need not wait for the other's
/// (RFC 8446, section 6.1), and a close with bytes unread is a reset. So a side that is gone after the first end is no
/// failure, and neither is the enclave at any time: it asks, and stops when it has what it wants. What remains is a peer
/// that is gone while the enclave still talks to it.
fn judge(side: Side, any_ended: bool, kind: ErrorKind) -> Outcome {
    let gone = matches!(
        kind,
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::NotConnected
    );
    match (side, any_ended) {
        _ if !gone => Outcome::Broken,
        (Side::Peer, false) => Outcome::PeerClosed,
        _ => Outcome::Done,
    }
}

#[derive(Clone, Copy)]
enum Side {
    Enclave,
    Peer,
}

/// Returns once neither direction has moved a byte for `idle`.
async fn silence(directions: [&Direction; 2], started: Instant, idle: Duration) {
    loop {
        let moved = directions.iter().map(|d| d.moved_ms.load(Ordering::Relaxed)).max().unwrap_or_default();
        let until = started + Duration::from_millis(moved).saturating_add(idle);
        if Instant::now() >= until {
            return;
        }
        sleep_until(until).await;
    }
}

#[derive(Default)]
struct Direction {
    bytes: AtomicU64,
    /// Milliseconds after the start at which a byte last came or went.
    moved_ms: AtomicU64,
    /// Its source has said that nothing more comes.
    ended: AtomicBool,
}

impl Direction {
    /// Fails with the side that failed: the source or the target, in the order of `sides`.
    async fn copy<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
        &self,
        from: &mut R,
        to: &mut W,
        started: Instant,
        sides: [Side; 2],
    ) -> Result<(), (Side, io::Error)> {
        let [source, target] = sides;
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let read = from.read(&mut buffer).await.map_err(|error| (source, error))?;
            if read == 0 {
                self.ended.store(true, Ordering::Relaxed);
                return to.shutdown().await.map_err(|error| (target, error));
            }
            let mut rest = buffer.get(..read).unwrap_or_default();
            while !rest.is_empty() {
                self.touch(started);
                let written = to.write(rest).await.map_err(|error| (target, error))?;
                if written == 0 {
                    return Err((target, ErrorKind::WriteZero.into()));
                }
                self.bytes.fetch_add(u64::try_from(written).unwrap_or_default(), Ordering::Relaxed);
                rest = rest.get(written..).unwrap_or_default();
            }
            self.touch(started);
        }
    }

    fn touch(&self, started: Instant) {
        let elapsed = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved_ms.store(elapsed, Ordering::Relaxed);
    }
}
