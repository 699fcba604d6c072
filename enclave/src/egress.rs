//! The way to KMS: the host's egress carries bytes, TLS ends here.

use std::{future::Future, io, pin::Pin, sync::Arc};

use packproof_kms::Dial;
use packproof_wire::{DialRequest, EGRESS_PORT, FrameKind, message, read_frame, write_frame};
use tokio::net::UnixStream;

use crate::transport::Transport;

/// The egress answers with `{}` or a short error.
const MAX_ANSWER_BYTES: usize = 4096;

/// Dials through the host.
pub struct Egress(pub Arc<dyn Transport>);

impl std::fmt::Debug for Egress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Egress")
    }
}

impl Dial for Egress {
    fn dial(&self, host: &str, port: u16) -> Pin<Box<dyn Future<Output = io::Result<UnixStream>> + Send>> {
        let transport = Arc::clone(&self.0);
        let request = message::encode(&DialRequest { host: host.to_owned(), port });
        Box::pin(async move {
            let mut stream = transport.connect_host(EGRESS_PORT).await?;
            write_frame(&mut stream, FrameKind::Dial, &request).await.map_err(io::Error::other)?;
            match read_frame(&mut stream, MAX_ANSWER_BYTES).await.map_err(io::Error::other)? {
                (FrameKind::Dialled, _) => Ok(stream),
                // What the egress says is the host's word: it decides nothing and is not repeated.
                _ => Err(io::Error::new(io::ErrorKind::ConnectionRefused, "the host's egress refused to connect")),
            }
        })
    }
}
