//! Attested AWS KMS from Rust: calls whose answers only this enclave can open.
//!
//! `aws-sdk-kms` speaks to KMS over any stream the host hands over ([`Dial`]); TLS ends here, under Amazon's roots
//! compiled in. Every call carries an attestation document with an RSA key made in the enclave ([`Recipient`]), and an
//! answer is used only when it
//!
//! * carries no plaintext (an answer to a call without attestation does: a downgrade),
//! * names the very key that was asked for,
//! * holds a `CiphertextForRecipient` of exactly the profile below, for exactly this RSA key.
//!
//! What a good answer proves: the holder of Amazon's certificate for the endpoint sent it in this session, so KMS
//! opened this blob under this key and context. What it does not: that the blob belongs to the caller's file (bind that
//! outside), nor that nobody else may decrypt (that is the key policy's matter). `CiphertextForRecipient` itself has no
//! authentication: anyone who saw the RSA key can make one. Only the TLS session vouches for it.
//!
//! [`Client`] makes the calls, [`sealed`] derives the private keys that live in KMS between packs. Time, transport and
//! credentials are arguments; no configuration file is read. The SDK itself looks at four environment variables
//! (`AWS_EXECUTION_ENV`, `AWS_LAMBDA_FUNCTION_NAME`, `_X_AMZN_TRACE_ID`, `SMITHY_CLIENT_SDK_CUSTOM_PARTITION`): none
//! changes the endpoint, the credentials or the trust, and an enclave's first process has no environment.
//!
//! [`Client::key_policy`] and [`Client::describe_key`] ask who else may use a key; these two have no attestation.
//!
//! # On a Nitro enclave
//!
//! The parent runs AWS's `vsock-proxy 8000 kms.eu-west-1.amazonaws.com 443`; the enclave brings a [`Dial`] to it, a
//! document from `/dev/nsm` and that document's time. `examples/attested_decrypt.rs` is the whole program:
//!
//! ```no_run
//! # use std::{collections::BTreeMap, error::Error, sync::Arc, time::SystemTime};
//! use packproof_kms::{
//!     Client, Config, Credentials, DEFAULT_MAX_ATTEMPTS, Dial, Endpoint, KeyArn, Recipient, RecipientKey, Timeouts,
//! };
//!
//! /// `attest` asks the module for a document with this public key; `clock` is the document's time, carried on.
//! async fn open_secret(
//!     dial: Arc<dyn Dial>,
//!     attest: impl FnOnce(&[u8]) -> Result<Vec<u8>, Box<dyn Error>>,
//!     clock: Arc<dyn Fn() -> SystemTime + Send + Sync>,
//!     credentials: Credentials,
//!     blob: &[u8],
//! ) -> Result<(), Box<dyn Error>> {
//!     let client = Client::new(Config {
//!         endpoint: Endpoint::Aws,
//!         dial,
//!         credentials,
//!         clock,
//!         timeouts: Timeouts::default(),
//!         max_attempts: DEFAULT_MAX_ATTEMPTS,
//!     })?;
//!     let key_pair = RecipientKey::generate()?;
//!     let document = attest(key_pair.spki_der())?;
//!     let recipient = Recipient::new(key_pair, document);
//!
//!     let key: KeyArn = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab".parse()?;
//!     let context = BTreeMap::from([("app".to_owned(), "checkout".to_owned())]);
//!     let (plaintext, call) = client.decrypt(&key, blob, &context, &recipient).await?;
//!     // `plaintext.expose()` is the secret, wiped on drop; `call` points into CloudTrail
//!     assert_eq!(call.key_arn, key.as_str());
//!     # drop(plaintext);
//!     Ok(())
//! }
//! ```
//!
//! Many ciphertexts under one document: clone the client, share the [`Recipient`] in an [`std::sync::Arc`] and await the calls together; at
//! most [`MAX_CONCURRENT_CALLS`] run at once, over connections that are used again.
//!
#![doc = include_str!("../SPEC.md")]
#![forbid(unsafe_code)]

mod answer;
mod arn;
mod client;
mod cms;
mod endpoint;
mod error;
mod key_facts;
mod recipient;
pub mod sealed;
mod transport;

pub use answer::data_key;
pub use arn::KeyArn;
pub use client::{
    Call, Client, Clock, Config, Credentials, DEFAULT_MAX_ATTEMPTS, MAX_BLOB_BYTES, MAX_CONCURRENT_CALLS,
    MAX_DOCUMENT_BYTES, Timeouts,
};
pub use endpoint::Endpoint;
pub use error::{Class, KmsError};
pub use key_facts::{KeyDescription, KeyPolicyText, MAX_KEY_POLICY_BYTES};
pub use recipient::{Recipient, RecipientKey};
pub use sealed::{Purpose, SealContext, derive_private_key};
pub use transport::{Dial, DialFuture, MAX_ANSWER_BYTES};
