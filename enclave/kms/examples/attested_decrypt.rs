//! Opens a KMS ciphertext inside an enclave and writes the plaintext's length.
//!
//! ```text
//! attested_decrypt EGRESS_SOCKET KEY_ARN BLOB_FILE ATTEST_PROGRAM
//! ```
//!
//! `EGRESS_SOCKET` is a Unix socket where a line `CONNECT host:port` opens a stream to that address, answered by a line
//! `OK`. `ATTEST_PROGRAM` gets the RSA public key (SubjectPublicKeyInfo, DER) on standard input and writes an NSM
//! document that carries it; in a program of one's own, ask `/dev/nsm` for it. Credentials are taken from the usual
//! `AWS_*` variables.
//!
//! The system clock stands in for the enclave's. A real enclave takes the time from its NSM document.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::SystemTime;

use packproof_kms::{
    Client, Config, Credentials, DEFAULT_MAX_ATTEMPTS, Dial, DialFuture, Endpoint, KeyArn, Recipient, RecipientKey,
    Timeouts,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// The way out through the host.
#[derive(Debug)]
struct Egress(PathBuf);

impl Dial for Egress {
    fn dial(&self, host: &str, port: u16) -> DialFuture {
        let (socket, request) = (self.0.clone(), format!("CONNECT {host}:{port}\n"));
        Box::pin(async move {
            let mut stream = UnixStream::connect(socket).await?;
            stream.write_all(request.as_bytes()).await?;
            let mut answer = [0; 3];
            stream.read_exact(&mut answer).await?;
            if &answer == b"OK\n" { Ok(stream) } else { Err(io::ErrorKind::ConnectionRefused.into()) }
        })
    }
}

/// Asks for a document that carries `public_key`.
fn attest(program: &str, public_key: &[u8]) -> io::Result<Vec<u8>> {
    let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(public_key)?;
    }
    let output = child.wait_with_output()?;
    if output.status.success() { Ok(output.stdout) } else { Err(io::Error::other("no attestation document")) }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [egress, key, blob, program] = arguments.as_slice() else {
        return Err("usage: attested_decrypt EGRESS_SOCKET KEY_ARN BLOB_FILE ATTEST_PROGRAM".into());
    };

    let client = Client::new(Config {
        endpoint: Endpoint::Aws,
        dial: Arc::new(Egress(egress.into())),
        credentials: Credentials {
            access_key_id: env::var("AWS_ACCESS_KEY_ID")?,
            secret_access_key: env::var("AWS_SECRET_ACCESS_KEY")?,
            session_token: env::var("AWS_SESSION_TOKEN").ok(),
        },
        clock: Arc::new(SystemTime::now),
        timeouts: Timeouts::default(),
        max_attempts: DEFAULT_MAX_ATTEMPTS,
    })?;

    let key_pair = RecipientKey::generate()?;
    let document = attest(program, key_pair.spki_der())?;
    let recipient = Recipient::new(key_pair, document);

    let key = KeyArn::parse(key)?;
    let context = BTreeMap::new();
    let (plaintext, call) = client.decrypt(&key, &std::fs::read(blob)?, &context, &recipient).await?;
    writeln!(io::stdout(), "{} bytes, request {}, {} attempts", plaintext.len(), call.request_id, call.attempts)?;
    Ok(())
}
