//! What one request borrows from the enclave: time, an attested RSA key, a KMS client. Gone when the request is answered.

use std::sync::{Arc, Mutex, PoisonError};

use packproof_kms::{Client, Config, Credentials, Endpoint, KmsError, Recipient, RecipientKey, Timeouts};
use packproof_nsm::{AttestationRequest, Nsm, NsmError};
use packproof_receipt::{
    binding::DocumentTag,
    document::{DocumentError, UnverifiedDocument},
    policy::KmsEndpoint,
};
use rustls_pki_types::{CertificateDer, pem::PemObject};

use crate::{
    clock::Clock, egress::Egress, event::EventSink, policy::MeasuredPolicy, receipt_key::ReceiptKey,
    transport::Transport,
};

/// How often KMS is asked before a call counts as failed.
const MAX_ATTEMPTS: u32 = 3;

/// The enclave's parts, all given at start.
pub struct Enclave {
    /// The NSM.
    pub nsm: Arc<dyn Nsm>,
    /// Streams.
    pub transport: Arc<dyn Transport>,
    /// The measured policy.
    pub policy: MeasuredPolicy,
    /// Signs receipts.
    pub receipt_key: ReceiptKey,
    /// Takes events.
    pub events: Arc<dyn EventSink>,
    /// One RSA key made ahead: making one takes tens of milliseconds.
    pub spare_key: Arc<Mutex<Option<RecipientKey>>>,
}

/// Why a session could not begin.
#[derive(Debug)]
pub enum SessionError {
    /// The NSM did not make a document.
    Nsm(NsmError),
    /// The NSM's own document could not be read.
    Document(DocumentError),
    /// The RSA key or the client could not be made.
    Kms(KmsError),
    /// The policy's simulated CA is not a certificate.
    SimulatedCa,
}

impl Enclave {
    /// Makes an NSM document. `challenge` is the caller's 32 bytes or none.
    ///
    /// # Errors
    /// The NSM's.
    pub fn attest(
        &self,
        tag: DocumentTag,
        body: &[u8],
        public_key: Option<&[u8]>,
        challenge: Option<&[u8; 32]>,
    ) -> Result<Vec<u8>, NsmError> {
        let user_data = tag.user_data(body);
        let nonce = challenge.map(<[u8; 32]>::as_slice);
        self.nsm.attest(&AttestationRequest { user_data: Some(&user_data), nonce, public_key })
    }

    fn recipient_key(&self) -> Result<RecipientKey, KmsError> {
        let ready = self.spare_key.lock().unwrap_or_else(PoisonError::into_inner).take();
        ready.map_or_else(RecipientKey::generate, Ok)
    }

    /// Makes the next RSA key in the background.
    pub fn refill_spare_key(&self) {
        let slot = Arc::clone(&self.spare_key);
        drop(tokio::task::spawn_blocking(move || {
            // a failure shows when the key is needed: it is then made at once, and that error is the request's
            if let Ok(key) = RecipientKey::generate() {
                *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(key);
            }
        }));
    }
}

/// One request's session.
pub struct Session {
    /// NSM time of this request.
    pub clock: Clock,
    /// The attested key that KMS encrypts its answers to.
    pub recipient: Arc<Recipient>,
    /// KMS, over TLS that ends here.
    pub kms: Client,
}

impl Session {
    /// Begins: one RSA key, one NSM document, used for this request's calls only. The document is never published.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn begin(enclave: &Enclave, credentials: &packproof_wire::Credentials) -> Result<Self, SessionError> {
        let key = enclave.recipient_key().map_err(SessionError::Kms)?;
        let document = enclave.attest(DocumentTag::Kms, &[], Some(key.spki_der()), None).map_err(SessionError::Nsm)?;
        let timestamp = UnverifiedDocument::parse(&document).map_err(SessionError::Document)?.timestamp;
        let clock = Clock::start(timestamp);
        let kms = Client::new(Config {
            endpoint: endpoint(&enclave.policy.policy().kms)?,
            dial: Arc::new(Egress(Arc::clone(&enclave.transport))),
            credentials: Credentials {
                access_key_id: credentials.access_key_id.clone(),
                secret_access_key: credentials.secret_access_key.clone(),
                session_token: credentials.session_token.clone(),
            },
            clock: Arc::new(move || clock.system_time()),
            timeouts: Timeouts::default(),
            max_attempts: MAX_ATTEMPTS,
        })
        .map_err(SessionError::Kms)?;
        Ok(Self { clock, recipient: Arc::new(Recipient::new(key, document)), kms })
    }
}

fn endpoint(policy: &KmsEndpoint) -> Result<Endpoint, SessionError> {
    Ok(match policy {
        KmsEndpoint::Aws => Endpoint::Aws,
        KmsEndpoint::AwsFips => Endpoint::AwsFips,
        KmsEndpoint::Simulated { host, port, ca } => {
            let roots_der = CertificateDer::pem_slice_iter(ca.as_bytes())
                .map(|certificate| certificate.map(|der| der.as_ref().to_vec()))
                .collect::<Result<Vec<_>, _>>()
                .map_err(|_| SessionError::SimulatedCa)?;
            Endpoint::Simulated { host: host.clone(), port: *port, roots_der }
        }
    })
}
