//! Opens a KMS ciphertext inside a Nitro enclave. A complete program: the enclave's init, or what it starts.
//!
//! On the parent, AWS's own proxy is all that is needed (`aws-nitro-enclaves-cli` brings it):
//!
//! ```text
//! vsock-proxy 8000 kms.eu-west-1.amazonaws.com 443
//! ```
//!
//! In the enclave, with the parent's credentials in the usual `AWS_*` variables, however they came in:
//!
//! ```text
//! attested_decrypt arn:aws:kms:eu-west-1:111122223333:key/ID BLOB_FILE [NAME=VALUE of the encryption context]...
//! ```
//!
//! The key policy must allow `kms:Decrypt` to these credentials under `kms:RecipientAttestation:PCR0` and so on. Writes the
//! plaintext's length and the request id; a real program hands the plaintext on, inside.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use packproof_kms::{
    Client, Config, Credentials, DEFAULT_MAX_ATTEMPTS, Dial, DialFuture, Endpoint, KeyArn, Recipient, RecipientKey,
    Timeouts,
};
use packproof_nsm::{AttestationRequest, Device, Nsm};
use packproof_receipt::document::UnverifiedDocument;
use tokio::net::UnixStream;

/// The parent instance, seen from the enclave (AWS Nitro Enclaves User Guide, "vsock").
const PARENT_CID: u32 = 3;
/// Where `vsock-proxy` listens.
const PROXY_PORT: u32 = 8000;

/// The way out: the proxy goes to one address, whatever was asked for. TLS finds out whether that is KMS.
#[derive(Debug)]
struct VsockProxy;

impl Dial for VsockProxy {
    fn dial(&self, _host: &str, _port: u16) -> DialFuture {
        Box::pin(async {
            let connect = || vsock::VsockStream::connect_with_cid_port(PARENT_CID, PROXY_PORT);
            let stream = tokio::task::spawn_blocking(connect).await.map_err(io::Error::other)??;
            // tokio has no vsock stream; its Unix stream drives any connected stream socket
            let stream = std::os::unix::net::UnixStream::from(OwnedFd::from(stream));
            stream.set_nonblocking(true)?;
            UnixStream::from_std(stream)
        })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(key), Some(blob)) = (arguments.next(), arguments.next()) else {
        return Err("usage: attested_decrypt KEY_ARN BLOB_FILE [NAME=VALUE]...".into());
    };
    let pair = |text: String| text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    let context: BTreeMap<String, String> =
        arguments.map(pair).collect::<Option<_>>().ok_or("an encryption context is NAME=VALUE")?;

    // an RSA key made here, in a document that says which image asks for answers under it
    let key_pair = RecipientKey::generate()?;
    let request = AttestationRequest { public_key: Some(key_pair.spki_der()), ..AttestationRequest::default() };
    let document = Device::open()?.attest(&request)?;

    // the module's time, carried on: the host sets the enclave's clock, and could make an expired certificate valid
    let started = UNIX_EPOCH + Duration::from_millis(UnverifiedDocument::parse(&document)?.timestamp.0);
    let since = Instant::now();
    let client = Client::new(Config {
        endpoint: Endpoint::Aws,
        dial: Arc::new(VsockProxy),
        credentials: Credentials {
            access_key_id: env::var("AWS_ACCESS_KEY_ID")?,
            secret_access_key: env::var("AWS_SECRET_ACCESS_KEY")?,
            session_token: env::var("AWS_SESSION_TOKEN").ok(),
        },
        clock: Arc::new(move || started + since.elapsed()),
        timeouts: Timeouts::default(),
        max_attempts: DEFAULT_MAX_ATTEMPTS,
    })?;

    let recipient = Recipient::new(key_pair, document);
    let blob = std::fs::read(blob)?;
    let (plaintext, call) = client.decrypt(&KeyArn::parse(&key)?, &blob, &context, &recipient).await?;
    writeln!(io::stdout(), "{} bytes, request {}, {} attempts", plaintext.len(), call.request_id, call.attempts)?;
    Ok(())
}
