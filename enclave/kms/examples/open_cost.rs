//! Measures what one answer of KMS costs the enclave: the RSA key of a pack, and opening one `CiphertextForRecipient`.
//!
//! ```text
//! cargo run --release -p packproof-kms --example open_cost
//! ```
//!
//! Medians, one thread. Asserts no time.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a measurement that cannot go on says so by ending"
)]

#[path = "../tests/support/cms.rs"]
mod cms;

use std::hint::black_box;
use std::time::{Duration, Instant};

use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey,
};
use packproof_kms::RecipientKey;

const RUNS: usize = 2_000;
const KEYS: usize = 20;

fn main() {
    let key = RecipientKey::generate().unwrap();
    println!(
        "RSA-2048 key, once a pack, made ahead: {}",
        shown(median(KEYS, || drop(RecipientKey::generate().unwrap())))
    );

    let bare = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
    let public = OaepPublicEncryptingKey::new(bare.public_key()).unwrap();
    let bare = OaepPrivateDecryptingKey::new(bare).unwrap();
    let (mut wrapped, mut buffer) = ([0; 256], [0; 256]);
    public.encrypt(&OAEP_SHA256_MGF1SHA256, &[7; 32], &mut wrapped, None).unwrap();
    let rsa = median(RUNS, || {
        black_box(bare.decrypt(&OAEP_SHA256_MGF1SHA256, &wrapped, &mut buffer, None).unwrap());
    });
    println!("RSA-2048 OAEP alone: {}", shown(rsa));

    for (what, bytes, form) in [
        ("a data key, content in pieces", 32, cms::Form::Pieces),
        ("a data key, content in one", 32, cms::Form::Single),
        ("a data key, definite lengths", 32, cms::Form::Definite),
        ("4096 bytes, KMS's most", 4096, cms::Form::Pieces),
    ] {
        let message = cms::seal(key.spki_der(), &[7; 32], &vec![3; bytes]).encode(form);
        let open = median(RUNS, || drop(black_box(key.open(&message).unwrap())));
        let rest = open.saturating_sub(rsa);
        println!("open {what} ({} bytes): {}, of it CMS and AES {}", message.len(), shown(open), shown(rest));
    }
}

fn median(runs: usize, mut work: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..runs)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[runs / 2]
}

fn shown(time: Duration) -> String {
    format!("{:.1} µs", time.as_secs_f64() * 1e6)
}
