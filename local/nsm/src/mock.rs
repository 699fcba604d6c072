//! The mock module.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use packproof_nsm::{AttestationRequest, Nsm, NsmError, PCR_COUNT, check_limits};
use packproof_receipt::time::UnixMillis;

use crate::chain::{Authorities, authority_specs, leaf_spec};
use crate::identity::Identity;
use crate::keys::LeafKey;
use crate::payload::{LOCKED_FROM_START, Payload};
use crate::{LocalNsmError, Pki};

/// Tells the mock what time it is; a real module has its own clock.
pub type Clock = Box<dyn Fn() -> UnixMillis + Send + Sync>;

/// A module that answers as `/dev/nsm` does, under a local root.
///
/// Each mock is a new enclave on a new instance: ids, authorities and leaves are its own. A leaf lives three hours
/// and is replaced shortly before its end, as are the authorities above it.
pub struct MockNsm {
    pki: Pki,
    identity: Identity,
    pcrs: BTreeMap<u8, [u8; 48]>,
    clock: Clock,
    latency: Option<Duration>,
    issued: Mutex<Option<Issued>>,
}

struct Issued {
    authorities: Authorities,
    leaf_der: Vec<u8>,
    leaf_key: LeafKey,
    leaf_window: (UnixMillis, UnixMillis),
}

impl MockNsm {
    /// Starts an enclave with these registers.
    ///
    /// `pcrs` has 0, 1 and 2; others may follow but 4, which is set from the made-up instance id. Those from 16 on
    /// count as locked when they are given. Zero registers make documents of debug mode, which verifiers refuse.
    /// `latency` is waited for in each [`Nsm::attest`]; a real module takes about 90 ms.
    ///
    /// # Errors
    /// [`LocalNsmError::PcrMissing`], [`LocalNsmError::PcrNotSettable`], or [`LocalNsmError::Crypto`].
    pub fn new(
        pki: &Pki,
        pcrs: BTreeMap<u8, [u8; 48]>,
        clock: Clock,
        latency: Option<Duration>,
    ) -> Result<Self, LocalNsmError> {
        if let Some(index) = (0..=2).find(|index| !pcrs.contains_key(index)) {
            return Err(LocalNsmError::PcrMissing { index });
        }
        if let Some(index) = pcrs.keys().copied().find(|index| *index == 4 || *index >= PCR_COUNT) {
            return Err(LocalNsmError::PcrNotSettable { index });
        }
        let identity = Identity::random(clock())?;
        let mut pcrs = pcrs;
        pcrs.insert(4, identity.pcr4());
        Ok(Self { pki: pki.clone(), identity, pcrs, clock, latency, issued: Mutex::new(None) })
    }

    /// Id of the module, as its documents state it.
    #[must_use]
    pub fn module_id(&self) -> String {
        self.identity.module_id()
    }

    fn sign(&self, request: &AttestationRequest<'_>) -> Result<Vec<u8>, LocalNsmError> {
        let now = (self.clock)();
        // A thread that panicked while it held the lock left either a whole value or none.
        let mut slot = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        let issued = match slot.take().filter(|issued| is_fresh(issued.leaf_window, now, LEAF_MARGIN_SECS)) {
            Some(issued) => issued,
            None => self.issue(now)?,
        };
        let root = std::iter::once(self.pki.root_der().to_vec());
        let cabundle: Vec<Vec<u8>> = root.chain(issued.authorities.ders.iter().cloned()).collect();
        let payload = Payload::nitro(&self.module_id(), now, &self.pcrs, &issued.leaf_der, &cabundle, request);
        let document = issued.leaf_key.sign_document(&payload.encode());
        *slot = Some(issued);
        document
    }

    /// Issues new authorities and a leaf. Nitro keeps authorities for longer; nobody can tell.
    fn issue(&self, now: UnixMillis) -> Result<Issued, LocalNsmError> {
        let root = self.pki.issuer();
        let authorities = Authorities::issue(&root, authority_specs(&self.identity, now)?.to_vec())?;
        let spec = leaf_spec(&self.identity, now);
        let (leaf_der, leaf_key) = authorities.issue_leaf(&root, &spec)?;
        Ok(Issued { authorities, leaf_der, leaf_key, leaf_window: (spec.not_before, spec.not_after) })
    }
}

impl Nsm for MockNsm {
    fn attest(&self, request: &AttestationRequest<'_>) -> Result<Vec<u8>, NsmError> {
        check_limits(request)?;
        if let Some(latency) = self.latency {
            std::thread::sleep(latency);
        }
        self.sign(request).map_err(|error| NsmError::Failed { reason: error.to_string() })
    }

    fn pcr(&self, index: u8) -> Result<[u8; 48], NsmError> {
        match self.pcrs.get(&index) {
            Some(value) => Ok(*value),
            None if index < LOCKED_FROM_START => Ok([0; 48]),
            None if index < PCR_COUNT => Err(NsmError::PcrNotLocked { index }),
            None => Err(NsmError::PcrIndex { index }),
        }
    }

    fn random(&self, out: &mut [u8]) -> Result<(), NsmError> {
        aws_lc_rs::rand::fill(out).map_err(|_| {
            out.fill(0);
            NsmError::NoRandom
        })
    }
}

/// Whether a leaf is valid now and for `margin_secs` more. A clock that went back makes it unusable too.
fn is_fresh((not_before, not_after): (UnixMillis, UnixMillis), now: UnixMillis, margin_secs: u64) -> bool {
    not_before <= now && now.saturating_add_millis(margin_secs * 1_000) <= not_after
}

/// A leaf is replaced this long before its end.
const LEAF_MARGIN_SECS: u64 = 300;
