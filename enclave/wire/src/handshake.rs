//! The `CONNECT port` / `OK number` handshake with which a Unix socket stands in for vsock.
//!
//! Source: Firecracker, `docs/vsock.md`; spoken by vhost-device-vsock on its host side.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Longest line either side accepts.
const MAX_LINE_BYTES: usize = 32;

/// Host side: asks for `port` and waits for `OK`.
///
/// # Errors
/// The stream's, or `ConnectionRefused` when the peer answers anything else.
pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, port: u32) -> io::Result<()> {
    stream.write_all(format!("CONNECT {port}\n").as_bytes()).await?;
    match read_line(stream).await?.strip_prefix("OK ").map(|rest| rest.parse::<u32>()) {
        Some(Ok(_)) => Ok(()),
        _ => Err(io::Error::new(io::ErrorKind::ConnectionRefused, "the peer did not answer OK")),
    }
}

/// Enclave side in local mode: reads the port asked for and answers `OK`.
///
/// # Errors
/// The stream's, or `InvalidData` when the line is not `CONNECT` and `port`; nothing is answered then.
pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, port: u32) -> io::Result<()> {
    let line = read_line(stream).await?;
    if line != format!("CONNECT {port}") {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the first line is not CONNECT and the served port"));
    }
    stream.write_all(format!("OK {port}\n").as_bytes()).await
}

async fn read_line<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<String> {
    let mut line = Vec::with_capacity(MAX_LINE_BYTES);
    loop {
        match stream.read_u8().await? {
            b'\n' => break,
            byte if byte.is_ascii_graphic() || byte == b' ' => line.push(byte),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
        if line.len() > MAX_LINE_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    String::from_utf8(line).map_err(|_| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_sides_agree_on_the_port() {
        let (mut host, mut enclave) = tokio::io::duplex(64);
        let (a, b) = tokio::join!(connect(&mut host, 7000), accept(&mut enclave, 7000));
        assert!(a.is_ok() && b.is_ok());
        let (mut host, mut enclave) = tokio::io::duplex(64);
        let (a, b) = tokio::join!(connect(&mut host, 7001), async {
            let refused = accept(&mut enclave, 7000).await;
            drop(enclave);
            refused
        });
        assert!(a.is_err() && b.is_err());
    }

    #[tokio::test]
    async fn an_endless_line_is_refused() {
        let (mut host, mut enclave) = tokio::io::duplex(256);
        host.write_all(&[b'x'; 200]).await.unwrap();
        assert!(accept(&mut enclave, 7000).await.is_err());
    }
}
