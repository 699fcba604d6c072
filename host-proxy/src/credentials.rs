//! AWS credentials for the enclave's calls: from the environment, else from the EC2 instance's role.
//!
//! They go to the enclave with each request and are not secret from the host: key policies rest on measurements. What
//! matters here is that they are fresh, so a long-running program keeps a [`Provider`] and asks it for each request.

mod error;
mod http;
mod imds;

use std::{ffi::OsString, net::SocketAddr};

pub use error::CredentialsError;
pub use imds::ENDPOINT as IMDS;
use imds::Fetched;
use packproof_receipt::time::UnixMillis;
use packproof_wire::Credentials;
use tokio::sync::Mutex;

/// Credentials of a role are fetched anew when they have less than this left. EC2 has the next ones ready five minutes
/// before the end ("Retrieve security credentials from instance metadata", EC2 User Guide), and an enclave's longest
/// request is shorter than the rest.
const REFRESH_BEFORE_MS: u64 = 5 * 60 * 1000;
/// Pause after a fetch near the end that brought nothing newer: the old ones are good meanwhile.
const RETRY_AFTER_MS: u64 = 30 * 1000;

/// Where credentials come from; keeps a role's until shortly before they expire.
pub struct Provider(Source);

enum Source {
    Fixed(Credentials),
    Instance { endpoint: SocketAddr, kept: Mutex<Option<Kept>> },
}

struct Kept {
    fetched: Fetched,
    /// Not asked again before.
    next: UnixMillis,
}

impl Provider {
    /// Chooses by the variables that every AWS tool reads: `AWS_ACCESS_KEY_ID` with `AWS_SECRET_ACCESS_KEY` (and
    /// `AWS_SESSION_TOKEN`), else the instance's role at `imds`, unless `AWS_EC2_METADATA_DISABLED` is `true`. An empty
    /// variable is none. Calls nobody yet.
    ///
    /// `imds` is [`IMDS`] on an EC2 instance; `AWS_EC2_METADATA_SERVICE_ENDPOINT`, as `http://ADDRESS[:PORT]`, replaces
    /// it.
    ///
    /// # Errors
    /// [`CredentialsError::Missing`] when one of the first two is set without the other, or none is and the instance is
    /// not to be asked; [`CredentialsError::Endpoint`].
    pub fn from_env(env: &dyn Fn(&str) -> Option<OsString>, imds: SocketAddr) -> Result<Self, CredentialsError> {
        let var = |name: &str| env(name).filter(|value| !value.is_empty());
        let text = |name: &str| var(name).and_then(|value| value.into_string().ok());
        let names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
        match names.map(text) {
            [Some(access_key_id), Some(secret_access_key)] => {
                let session_token = text("AWS_SESSION_TOKEN");
                return Ok(Self(Source::Fixed(Credentials { access_key_id, secret_access_key, session_token })));
            }
            // Half a pair is a mistake; the role's credentials in its place would hide it.
            found if names.iter().any(|name| var(name).is_some()) || disabled(var("AWS_EC2_METADATA_DISABLED")) => {
                let missing = names.into_iter().zip(found).filter(|(_, value)| value.is_none());
                return Err(CredentialsError::Missing(missing.map(|(name, _)| name).collect()));
            }
            _ => {}
        }
        let endpoint = match var("AWS_EC2_METADATA_SERVICE_ENDPOINT") {
            None => imds,
            Some(url) => url.to_str().and_then(imds::endpoint).ok_or(CredentialsError::Endpoint)?,
        };
        Ok(Self::instance(endpoint))
    }

    /// The instance's role, by the metadata service (IMDSv2) at `endpoint`.
    pub fn instance(endpoint: SocketAddr) -> Self {
        Self(Source::Instance { endpoint, kept: Mutex::new(None) })
    }

    /// Credentials that are good at `now`. A role's are fetched at the first call and again when they have less than
    /// five minutes left; should that fail, the old ones are given until they expire. Calls at the same time share one
    /// fetch.
    ///
    /// # Errors
    /// Of an instance's role: everything in [`CredentialsError`] but what [`Self::from_env`] returns.
    pub async fn current(&self, now: UnixMillis) -> Result<Credentials, CredentialsError> {
        let (endpoint, kept) = match &self.0 {
            Source::Fixed(credentials) => return Ok(copy(credentials)),
            Source::Instance { endpoint, kept } => (*endpoint, kept),
        };
        let mut kept = kept.lock().await;
        if let Some(kept) = kept.as_ref().filter(|kept| now < kept.next && now < kept.fetched.expires) {
            return Ok(copy(&kept.fetched.credentials));
        }
        let fetched = match (imds::fetch(endpoint).await, kept.take()) {
            (Ok(fetched), _) => fetched,
            (Err(_), Some(old)) if now < old.fetched.expires => old.fetched,
            (Err(error), _) => return Err(error),
        };
        if fetched.expires <= now {
            return Err(CredentialsError::Expired { at: fetched.expires });
        }
        let next =
            fetched.expires.saturating_sub_millis(REFRESH_BEFORE_MS).max(now.saturating_add_millis(RETRY_AFTER_MS));
        let credentials = copy(&fetched.credentials);
        *kept = Some(Kept { fetched, next });
        Ok(credentials)
    }
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Source::Fixed(_) => "Provider(environment)",
            Source::Instance { .. } => "Provider(instance)",
        })
    }
}

/// `true` in any case, as the AWS SDKs read it.
fn disabled(value: Option<OsString>) -> bool {
    value.is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// The message type has no `Clone`: copies of it are to be seen.
fn copy(credentials: &Credentials) -> Credentials {
    Credentials {
        access_key_id: credentials.access_key_id.clone(),
        secret_access_key: credentials.secret_access_key.clone(),
        session_token: credentials.session_token.clone(),
    }
}

#[cfg(test)]
mod tests;
