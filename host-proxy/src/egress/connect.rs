//! One connection to any of a name's addresses.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{net::TcpStream, task::JoinSet, time::timeout};

/// Most addresses that are tried: more only delay the answer.
const MAX_ADDRESSES: usize = 8;
/// An address that has not answered by then gets company (RFC 8305, section 5: 250 milliseconds).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Connects to the first address that accepts. The next address is tried as soon as one fails, or beside it when it is
/// slow, so that one dead address costs a quarter of a second and not the whole time.
///
/// # Errors
/// The last failure, once every address has failed.
pub(super) async fn connect(addresses: impl IntoIterator<Item = SocketAddr>) -> io::Result<(TcpStream, SocketAddr)> {
    let mut addresses = addresses.into_iter().take(MAX_ADDRESSES);
    // Dropped with this function: attempts that are still under way end.
    let mut attempts = JoinSet::new();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        let next = addresses.next();
        match next {
            Some(address) => {
                attempts.spawn(async move { TcpStream::connect(address).await.map(|stream| (stream, address)) });
            }
            None if attempts.is_empty() => return Err(last),
            None => {}
        }
        let wait = if next.is_some() { ATTEMPT_DELAY } else { Duration::MAX };
        match timeout(wait, attempts.join_next()).await {
            Ok(Some(Ok(Ok(connected)))) => return Ok(connected),
            Ok(Some(Ok(Err(error)))) => last = error,
            // Slow, or a task that was stopped with the runtime.
            _ => {}
        }
    }
}
