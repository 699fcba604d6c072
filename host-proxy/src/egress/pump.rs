//! Copies bytes both ways until both sides are done, one breaks, or nothing moves any more.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    time::{Instant, sleep_until},
};

/// Of one direction: a TLS record is at most 16 KiB.
const BUFFER_BYTES: usize = 16 * 1024;

/// How a connection ended.
pub(super) struct Carried {
    pub(super) outcome: &'static str,
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
    let outcome = {
        let (mut enclave_reads, mut enclave_writes) = split(enclave);
        let (mut peer_reads, mut peer_writes) = split(peer);
        let both = async {
            tokio::try_join!(
                out.copy(&mut enclave_reads, &mut peer_writes, started),
                back.copy(&mut peer_reads, &mut enclave_writes, started)
            )
        };
        tokio::select! {
            done = both => if done.is_ok() { "done" } else { "broken" },
            () = silence([&out, &back], started, idle) => "idle",
        }
    };
    let count = |direction: &Direction| direction.bytes.load(Ordering::Relaxed);
    Carried { outcome, bytes_out: count(&out), bytes_in: count(&back) }
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
}

impl Direction {
    async fn copy<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
        &self,
        from: &mut R,
        to: &mut W,
        started: Instant,
    ) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let read = from.read(&mut buffer).await?;
            if read == 0 {
                return to.shutdown().await;
            }
            let mut rest = buffer.get(..read).unwrap_or_default();
            while !rest.is_empty() {
                self.touch(started);
                let written = to.write(rest).await?;
                if written == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
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
