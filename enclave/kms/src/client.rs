//! The calls.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_sdk_kms::config::retry::{RetryConfig, RetryPartition, TokenBucket};
use aws_sdk_kms::config::timeout::TimeoutConfig;
use aws_sdk_kms::config::{BehaviorVersion, IdentityCache, Region, StalledStreamProtectionConfig};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{DataKeySpec, KeyEncryptionMechanism, RecipientInfo};
use aws_smithy_async::time::TimeSource;
use packproof_secret::{Secret, SecretBytes};
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::answer::{Attempts, accept, refusal};
use crate::endpoint::Target;
use crate::transport::{Dial, Transport};
use crate::{Endpoint, KeyArn, KmsError, Recipient, data_key};

/// The enclave's time: the NSM document's timestamp, carried forward. Never the host's clock.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// AWS credentials as they came with the request.
///
/// Not secret from the host by design: security rests on the key policies' measurement conditions. Even so they have
/// no `Debug`.
#[derive(Clone)]
pub struct Credentials {
    /// `AKIA…` or `ASIA…`.
    pub access_key_id: String,
    /// The signing secret.
    pub secret_access_key: String,
    /// Goes with temporary credentials.
    pub session_token: Option<String>,
}

/// All four time limits of a call. The host can delay everything, so none may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For the stream, the TLS handshake and the HTTP handshake together.
    pub connect: Duration,
    /// From sending the request to the last byte of the answer.
    pub read: Duration,
    /// For one attempt, both of the above.
    pub attempt: Duration,
    /// For the call with all its attempts and the pauses between.
    pub operation: Duration,
}

impl Default for Timeouts {
    /// 5 s, 5 s, 10 s and 30 s.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            read: Duration::from_secs(5),
            attempt: Duration::from_secs(10),
            operation: Duration::from_secs(30),
        }
    }
}

/// What a [`Client`] is made of.
pub struct Config {
    /// Where KMS is; from the measured policy.
    pub endpoint: Endpoint,
    /// The way out.
    pub dial: Arc<dyn Dial>,
    /// Whose calls these are.
    pub credentials: Credentials,
    /// For request signatures and for certificate validity.
    pub clock: Clock,
    /// All four.
    pub timeouts: Timeouts,
    /// Attempts of a call, the first included; 0 counts as 1. [`DEFAULT_MAX_ATTEMPTS`] is AWS's standard.
    pub max_attempts: u32,
}

/// A KMS client whose answers only the enclave can open.
///
/// Clones share connections and the bound on concurrent calls. Belongs to one tokio runtime with time and I/O enabled.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    endpoint: Endpoint,
    /// Complete but for Region and address.
    settings: aws_sdk_kms::config::Builder,
    /// One SDK client a Region and address.
    clients: Mutex<BTreeMap<(String, String), aws_sdk_kms::Client>>,
    calls: Semaphore,
}

/// What was asked of KMS and how it went: the receipt's entry for one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// `Decrypt` or `GenerateDataKey`.
    pub operation: &'static str,
    /// The key asked for, which also answered.
    pub key_arn: String,
    /// Of the attempt that succeeded: the pointer into CloudTrail.
    pub request_id: String,
    /// The encryption context sent.
    pub context: BTreeMap<String, String>,
    /// SHA-256 of the ciphertext blob: the one sent to `Decrypt`, the one returned by `GenerateDataKey`.
    pub ciphertext_blob_sha256: [u8; 32],
    /// Attempts made, the successful one included.
    pub attempts: u32,
    /// The request ids of all attempts that were answered, in order; the last is `request_id`.
    pub attempt_request_ids: Vec<String>,
}

impl Client {
    /// Makes a client. Opens no connection.
    ///
    /// # Errors
    /// [`KmsError::EndpointMalformed`], [`KmsError::EndpointRoots`], [`KmsError::CredentialsMalformed`].
    pub fn new(config: Config) -> Result<Self, KmsError> {
        let Config { endpoint, dial, credentials, clock, timeouts, max_attempts } = config;
        let transport = Transport::new(dial, endpoint.tls(&clock)?);
        let Credentials { access_key_id, secret_access_key, session_token } = check(credentials)?;
        let credentials =
            aws_sdk_kms::config::Credentials::new(access_key_id, secret_access_key, session_token, None, "request");
        // The standard bucket is shared by the process: one pack's throttled calls would use up another's retries.
        // Attempts are bounded per call already.
        let retries = RetryPartition::custom("packproof").token_bucket(TokenBucket::new(RETRY_TOKENS)).build();
        let settings = aws_sdk_kms::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(credentials)
            // a cache would judge expiry by clock differences; these credentials never change
            .identity_cache(IdentityCache::no_cache())
            .time_source(SigningClock(clock))
            // the clock is the NSM's; a Date header must not move it
            .disable_clock_skew_correction(true)
            .http_client(transport)
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(max_attempts.max(1))
                    .with_initial_backoff(INITIAL_BACKOFF)
                    .with_max_backoff(MAX_BACKOFF),
            )
            .retry_partition(retries)
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(timeouts.connect)
                    .read_timeout(timeouts.read)
                    .operation_attempt_timeout(timeouts.attempt)
                    .operation_timeout(timeouts.operation)
                    .build(),
            )
            // the read timeout bounds the whole answer already, without asking the clock
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        Ok(Self(Arc::new(Inner {
            endpoint,
            settings,
            clients: Mutex::default(),
            calls: Semaphore::new(MAX_CONCURRENT_CALLS),
        })))
    }

    /// Attested `Decrypt`: opens `blob` under `key` and `context`, for this recipient only.
    ///
    /// Key and context are always sent. The plaintext returned was under that key and context in KMS; whether the blob
    /// belongs to the caller's file is not proved.
    ///
    /// # Errors
    /// See [`KmsError`]; refusals of the answer come before anything in it is used.
    pub async fn decrypt(
        &self,
        key: &KeyArn,
        blob: &[u8],
        context: &BTreeMap<String, String>,
        recipient: &Recipient,
    ) -> Result<(SecretBytes, Call), KmsError> {
        if blob.is_empty() || blob.len() > MAX_BLOB_BYTES {
            return Err(KmsError::BlobLength { len: blob.len() });
        }
        let attested = attested(recipient)?;
        let target = self.target(key)?;
        let _permit = self.permit().await?;
        let attempts = Attempts::default();
        let answer = self
            .sdk(&target, key)
            .decrypt()
            .key_id(key.as_str())
            .ciphertext_blob(Blob::new(blob))
            .set_encryption_context(Some(context.clone().into_iter().collect()))
            .recipient(attested)
            .customize()
            .interceptor(attempts.clone())
            .send()
            .await
            .map_err(|error| refusal(&error, key, &target.host, &attempts))?;
        let for_recipient = accept(key, answer.plaintext, answer.key_id, answer.ciphertext_for_recipient)?;
        let call = call("Decrypt", key, context, blob, &attempts)?;
        Ok((recipient.key.open(&for_recipient)?, call))
    }

    /// Attested `GenerateDataKey` (`AES_256`): a new data key that only this recipient sees, and its ciphertext blob.
    ///
    /// # Errors
    /// See [`KmsError`].
    pub async fn generate_data_key(
        &self,
        key: &KeyArn,
        context: &BTreeMap<String, String>,
        recipient: &Recipient,
    ) -> Result<(Secret<32>, Vec<u8>, Call), KmsError> {
        let attested = attested(recipient)?;
        let target = self.target(key)?;
        let _permit = self.permit().await?;
        let attempts = Attempts::default();
        let answer = self
            .sdk(&target, key)
            .generate_data_key()
            .key_id(key.as_str())
            .key_spec(DataKeySpec::Aes256)
            .set_encryption_context(Some(context.clone().into_iter().collect()))
            .recipient(attested)
            .customize()
            .interceptor(attempts.clone())
            .send()
            .await
            .map_err(|error| refusal(&error, key, &target.host, &attempts))?;
        let for_recipient = accept(key, answer.plaintext, answer.key_id, answer.ciphertext_for_recipient)?;
        let blob = answer.ciphertext_blob.map(Blob::into_inner).unwrap_or_default();
        if blob.is_empty() || blob.len() > MAX_BLOB_BYTES {
            return Err(KmsError::NoCiphertextBlob);
        }
        let call = call("GenerateDataKey", key, context, &blob, &attempts)?;
        Ok((data_key(recipient.key.open(&for_recipient)?)?, blob, call))
    }

    pub(crate) fn target(&self, key: &KeyArn) -> Result<Target, KmsError> {
        self.0.endpoint.target(key)
    }

    /// Waits for one of [`MAX_CONCURRENT_CALLS`] places.
    pub(crate) async fn permit(&self) -> Result<SemaphorePermit<'_>, KmsError> {
        self.0.calls.acquire().await.map_err(|_| KmsError::RequestNotBuilt)
    }

    /// The SDK client for this key's Region at this address, made when first needed.
    pub(crate) fn sdk(&self, target: &Target, key: &KeyArn) -> aws_sdk_kms::Client {
        let (url, region) = (target.url(), key.region().to_owned());
        let mut clients = self.0.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients
            .entry((url.clone(), region.clone()))
            .or_insert_with(|| {
                let settings = self.0.settings.clone().endpoint_url(url).region(Region::new(region));
                aws_sdk_kms::Client::from_conf(settings.build())
            })
            .clone()
    }
}

fn attested(recipient: &Recipient) -> Result<RecipientInfo, KmsError> {
    let len = recipient.document.len();
    if len == 0 || len > MAX_DOCUMENT_BYTES {
        return Err(KmsError::DocumentLength { len });
    }
    Ok(RecipientInfo::builder()
        .key_encryption_algorithm(KeyEncryptionMechanism::RsaesOaepSha256)
        .attestation_document(Blob::new(recipient.document.as_slice()))
        .build())
}

fn call(
    operation: &'static str,
    key: &KeyArn,
    context: &BTreeMap<String, String>,
    blob: &[u8],
    attempts: &Attempts,
) -> Result<Call, KmsError> {
    Ok(Call {
        operation,
        key_arn: key.as_str().to_owned(),
        request_id: attempts.last_request_id().ok_or(KmsError::NoRequestId)?,
        context: context.clone(),
        ciphertext_blob_sha256: Sha256::digest(blob).into(),
        attempts: attempts.count(),
        attempt_request_ids: attempts.request_ids(),
    })
}

/// They become header fields, so the host must not be able to write anything else there.
fn check(credentials: Credentials) -> Result<Credentials, KmsError> {
    let graphic = |text: &str, max| (1..=max).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    let id = &credentials.access_key_id;
    let fits = graphic(id, MAX_ACCESS_KEY_ID_BYTES)
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && graphic(&credentials.secret_access_key, MAX_SECRET_ACCESS_KEY_BYTES)
        && credentials.session_token.as_deref().is_none_or(|token| graphic(token, MAX_SESSION_TOKEN_BYTES));
    if fits { Ok(credentials) } else { Err(KmsError::CredentialsMalformed) }
}

/// Request signatures by the enclave's clock.
struct SigningClock(Clock);

impl fmt::Debug for SigningClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningClock")
    }
}

impl TimeSource for SigningClock {
    fn now(&self) -> SystemTime {
        (self.0)()
    }
}

/// Calls in flight per client; more wait. One connection each.
pub const MAX_CONCURRENT_CALLS: usize = 64;
/// AWS's standard: the first attempt and two more.
pub const DEFAULT_MAX_ATTEMPTS: u32 = 3;
/// Most bytes of a ciphertext blob (KMS API reference, Decrypt, `CiphertextBlob`).
pub const MAX_BLOB_BYTES: usize = 6144;
/// Most bytes of an attestation document (KMS API reference, RecipientInfo).
pub const MAX_DOCUMENT_BYTES: usize = 262_144;
/// AWS Identity and Access Management API reference, AccessKey.
const MAX_ACCESS_KEY_ID_BYTES: usize = 128;
/// AWS's have 40; room for others.
const MAX_SECRET_ACCESS_KEY_BYTES: usize = 256;
/// AWS states no maximum; seen below 2 KiB. All headers of a request must stay below common servers' 16 KiB.
const MAX_SESSION_TOKEN_BYTES: usize = 8192;
/// Each retry takes 5 (a time-out 10) and success gives them back: enough for hundreds of calls that retry at once.
const RETRY_TOKENS: usize = 10_000;
/// The SDK waits a random part of this before the second attempt and doubles it for the third. Its default, 1 s, is
/// long beside a pack.
const INITIAL_BACKOFF: Duration = Duration::from_millis(200);
/// The longest such pause.
const MAX_BACKOFF: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_credentials_that_are_no_header_field() {
        let good = Credentials {
            access_key_id: "ASIAEXAMPLE".into(),
            secret_access_key: "wJalr/K7+x=".into(),
            session_token: Some("FwoG==".into()),
        };
        assert!(check(good.clone()).is_ok());
        assert!(check(Credentials { session_token: None, ..good.clone() }).is_ok());
        let bad = [
            Credentials { access_key_id: String::new(), ..good.clone() },
            Credentials { access_key_id: "AKIA/x".into(), ..good.clone() },
            Credentials { access_key_id: "A".repeat(129), ..good.clone() },
            Credentials { secret_access_key: String::new(), ..good.clone() },
            Credentials { secret_access_key: "a b".into(), ..good.clone() },
            Credentials { session_token: Some("x\r\nx-amz-target: y".into()), ..good.clone() },
            Credentials { session_token: Some("x".repeat(8193)), ..good.clone() },
        ];
        for credentials in bad {
            assert_eq!(check(credentials).err(), Some(KmsError::CredentialsMalformed));
        }
    }
}
