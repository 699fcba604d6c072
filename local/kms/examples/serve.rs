//! Starts a local KMS by hand: `cargo run -p packproof-local-kms --example serve -- STATE_DIR ROOT.der [KEY_ARN]`.
//!
//! With `KEY_ARN` it imports a key under that ARN, once, that everybody may use. It prints the variables that make
//! `sops` and other AWS clients use it, then serves until stopped. It writes the CA to `STATE_DIR/ca.pem`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use packproof_local_kms::{Config, Error, LocalKms};
use packproof_receipt::time::UnixMillis;
use packproof_secret::Secret;
use serde_json::json;
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "the example's output")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let state_dir = PathBuf::from(arguments.next().ok_or("first argument: the state directory")?);
    let root = arguments.next().ok_or("second argument: the root certificate, DER")?;
    let kms = Arc::new(LocalKms::open(Config {
        state_dir: state_dir.clone(),
        root_der: std::fs::read(root)?,
        clock: Arc::new(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
        }),
    })?);
    if let Some(arn) = arguments.next() {
        let material = Secret::fill(|bytes| aws_lc_rs::rand::fill(bytes))?;
        let everybody =
            json!({ "Statement": { "Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*" } });
        match kms.import_key(&arn, material, &everybody) {
            Ok(()) | Err(Error::KeyExists { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("export AWS_ENDPOINT_URL_KMS=https://localhost:{}", listener.local_addr()?.port());
    println!("export AWS_CA_BUNDLE={}", state_dir.join("ca.pem").display());
    if let Some(principal) = kms.principals().into_iter().find(|principal| principal.arn.ends_with("role/author")) {
        println!("export AWS_ACCESS_KEY_ID={}", principal.access_key_id);
        println!("export AWS_SECRET_ACCESS_KEY={}", principal.secret_access_key.expose());
    }
    kms.serve(listener).await?;
    Ok(())
}
