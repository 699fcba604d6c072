//! A local KMS that really enforces attestation.
//!
//! It speaks AWS KMS's protocol (JSON 1.1 over HTTPS, Signature Version 4) on a loopback address, so that
//! `aws-sdk-kms` in the enclave and the real `sops` are clients without knowing it. What decides in AWS decides here:
//!
//! - the request's signature, by a principal's access key;
//! - the `Recipient`: an attestation document verified against the root given at start, not older than five minutes,
//!   with an RSA-2048 key inside. A document that does not verify is a `ValidationException` and meets no condition;
//! - the key policy ([`policy`]), by IAM's rules, with `kms:RecipientAttestation:*` from the verified document.
//!
//! An attested answer has no `Plaintext` member, and its `CiphertextForRecipient` is byte for byte of AWS's profile.
//!
//! The state directory, used by one process at a time, holds `state.json` (principals and keys), `ca.pem` and `ca-key.pem`, the
//! event log [`EVENTS_FILE`] and, when a test puts it there, [`FAULTS_FILE`]. All are readable by their owner only.
//!
//! Operations: `Encrypt`, `Decrypt`, `ReEncrypt`, `GenerateDataKey`, `GenerateDataKeyWithoutPlaintext`, `GenerateRandom`,
//! `CreateKey`, `DescribeKey`, `GetKeyPolicy`, `PutKeyPolicy`, `CreateAlias`, `ListAliases`. All others are
//! `UnknownOperationException`. There are no grants, tags, IAM policies or asymmetric keys.
//!
//! For development and tests. Its keys lie in a file; it protects nothing against whoever can read that.
#![forbid(unsafe_code)]

mod arn;
mod ca;
mod ciphertext;
mod cms;
mod encoding;
mod error;
mod events;
mod faults;
mod files;
mod json;
mod keys;
mod operations;
pub mod policy;
mod random;
mod recipient;
mod request;
mod server;
mod sigv4;
mod state;

use std::path::PathBuf;
use std::sync::Arc;

use packproof_receipt::time::UnixMillis;
use packproof_secret::Secret;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use arn::KeyArn;
use ca::Ca;
pub use error::Error;
pub use events::EVENTS_FILE;
use events::EventLog;
use faults::Control;
pub use faults::{FAULTS_FILE, Faults};
pub use state::Principal;
use state::{Key, Origin, Store};

/// The account of the default principals and of keys made by [`LocalKms::create_key`].
pub const ACCOUNT: &str = "111122223333";
/// The region of keys made by [`LocalKms::create_key`].
pub const REGION: &str = "eu-west-1";

/// The principals that a new state directory begins with.
pub const DEFAULT_PRINCIPALS: [&str; 5] = [
    "arn:aws:iam::111122223333:root",
    "arn:aws:iam::111122223333:role/admin",
    "arn:aws:iam::111122223333:role/author",
    "arn:aws:iam::111122223333:role/ci",
    "arn:aws:iam::111122223333:role/workload",
];

/// What a local KMS needs to start.
pub struct Config {
    /// Where state, certificates and log are kept; made when missing.
    pub state_dir: PathBuf,
    /// The root certificate, DER, that attestation documents must chain to.
    pub root_der: Vec<u8>,
    /// What time it is.
    pub clock: Arc<dyn Fn() -> UnixMillis + Send + Sync>,
}

/// A local KMS. Its methods are the administrator's; everybody else comes through [`LocalKms::serve`].
pub struct LocalKms {
    store: Store,
    ca: Ca,
    tls: TlsAcceptor,
    root_der: Vec<u8>,
    clock: Arc<dyn Fn() -> UnixMillis + Send + Sync>,
    events: EventLog,
    faults: Control,
}

impl LocalKms {
    /// Opens a state directory, or makes a new one with [`DEFAULT_PRINCIPALS`] and no key.
    ///
    /// # Errors
    /// [`Error::InUse`], [`Error::StateUnreadable`], [`Error::Policy`] (a stored policy), [`Error::Ca`], [`Error::Tls`],
    /// [`Error::Random`], [`Error::Io`].
    pub fn open(config: Config) -> Result<Self, Error> {
        let store = Store::open(&config.state_dir)?;
        if store.principals().is_empty() {
            for arn in DEFAULT_PRINCIPALS {
                store.add_principal(arn)?;
            }
        }
        let ca = Ca::load_or_create(&config.state_dir)?;
        let tls = TlsAcceptor::from(Arc::new(ca.server_config((config.clock)())?));
        Ok(Self {
            store,
            ca,
            tls,
            root_der: config.root_der,
            clock: config.clock,
            events: EventLog::open(&config.state_dir.join(EVENTS_FILE))?,
            faults: Control::new(config.state_dir.join(FAULTS_FILE)),
        })
    }

    /// The certificate authority that clients must trust (`AWS_CA_BUNDLE`), PEM. It stays the same across restarts and
    /// can issue for `localhost` and 127.0.0.1 only.
    pub fn ca_pem(&self) -> &str {
        self.ca.pem()
    }

    /// Everybody who has an access key.
    pub fn principals(&self) -> Vec<Arc<Principal>> {
        self.store.principals()
    }

    /// The principal with this ARN (an IAM user, role or account root), with an access key made now if there was none.
    ///
    /// # Errors
    /// [`Error::PrincipalArn`], [`Error::Random`], [`Error::Io`].
    pub fn add_principal(&self, arn: &str) -> Result<Arc<Principal>, Error> {
        self.store.add_principal(arn)
    }

    /// Makes a symmetric key with new material in [`ACCOUNT`] and [`REGION`] and returns its ARN. Without a policy it gets AWS's
    /// default one, which here grants nobody but the account root (see [`policy`]).
    ///
    /// # Errors
    /// [`Error::Policy`], [`Error::Random`], [`Error::Io`].
    pub fn create_key(&self, description: &str, policy: Option<&Value>) -> Result<String, Error> {
        let policy = policy.map(Value::to_string);
        let key = keys::new_key(REGION, ACCOUNT, description, policy.as_deref(), (self.clock)())?;
        Ok(self.store.add_key(key)?.arn.as_str().to_owned())
    }

    /// Adds a key with given material under a given ARN, in any account and region. Its origin is `EXTERNAL`, as KMS
    /// calls imported material.
    ///
    /// # Errors
    /// [`Error::KeyArn`], [`Error::KeyExists`] (also for the same id in another region), [`Error::Policy`],
    /// [`Error::Random`], [`Error::Io`].
    pub fn import_key(&self, arn: &str, material: Secret<32>, policy: &Value) -> Result<(), Error> {
        let policy_text = policy.to_string();
        self.store.add_key(Key {
            arn: KeyArn::parse(arn).ok_or_else(|| Error::KeyArn { arn: arn.to_owned() })?,
            material: Arc::new(material),
            material_id: hex::encode(random::bytes::<32>()?),
            origin: Origin::External,
            description: String::new(),
            created: (self.clock)(),
            policy: policy::Policy::parse(&policy_text)?,
            policy_text,
        })?;
        Ok(())
    }

    /// Replaces the policy of a key, without asking the present one.
    ///
    /// # Errors
    /// [`Error::KeyNotFound`], [`Error::Policy`], [`Error::Io`].
    pub fn put_key_policy(&self, arn: &str, policy: &Value) -> Result<(), Error> {
        self.store.put_policy(arn, policy.to_string())
    }

    /// Makes it misbehave from the next request on, until [`FAULTS_FILE`] changes.
    pub fn set_faults(&self, faults: Faults) {
        self.faults.set(faults);
    }

    /// Answers requests until the returned future is dropped, which also ends all connections.
    ///
    /// # Errors
    /// [`Error::NotLoopback`], at once.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) -> Result<(), Error> {
        server::serve(self, listener).await
    }
}
