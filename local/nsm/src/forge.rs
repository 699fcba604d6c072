//! Documents for tests of verifiers: made like the mock's, under a root of their own, with any one part changed.
//!
//! A document is made in three steps, and each can be changed before the next: the [`Plan`] (identity, times,
//! registers, certificates), the [`Draft`] (certificates issued, payload not signed), the [`Envelope`] (signed).
//! Left alone, the result is a valid document under [`Draft::root_der`].

use std::collections::BTreeMap;

use packproof_nsm::AttestationRequest;
use packproof_receipt::time::UnixMillis;

pub use crate::cbor::Item;
use crate::certificate::Issuer;
pub use crate::certificate::{Attribute, BASIC_CONSTRAINTS, CertificateSpec, Extension, ExtensionValue, KEY_USAGE};
use crate::chain::{Authorities, authority_specs, leaf_spec, root_spec};
use crate::keys::{AuthorityKey, LeafKey};
pub use crate::payload::Payload;
use crate::{Identity, LocalNsmError};

/// What a document will be made of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// `module_id` in the payload.
    pub module_id: String,
    /// `timestamp` in the payload.
    pub timestamp: UnixMillis,
    /// Registers; those from 0 to 15 that are missing are zero.
    pub pcrs: BTreeMap<u8, [u8; 48]>,
    /// Key in the document.
    pub public_key: Option<Vec<u8>>,
    /// User data in the document.
    pub user_data: Option<Vec<u8>>,
    /// Nonce in the document.
    pub nonce: Option<Vec<u8>>,
    /// Root, regional, zonal and instance authority, leaf: the first signs itself, each other one the next.
    pub certificates: Vec<CertificateSpec>,
}

impl Plan {
    /// A valid document of an enclave, made at `now`. PCR0, PCR1 and PCR2 are filled with 0x10, 0x11 and 0x12.
    ///
    /// # Errors
    /// [`LocalNsmError::Crypto`] when there is no randomness.
    pub fn new(now: UnixMillis) -> Result<Self, LocalNsmError> {
        let identity = Identity::random(now)?;
        let mut certificates = vec![root_spec(now)?];
        certificates.extend(authority_specs(&identity, now)?);
        certificates.push(leaf_spec(&identity, now));
        Ok(Self {
            module_id: identity.module_id(),
            timestamp: now,
            pcrs: BTreeMap::from([(0, [0x10; 48]), (1, [0x11; 48]), (2, [0x12; 48]), (4, identity.pcr4())]),
            public_key: None,
            user_data: None,
            nonce: None,
            certificates,
        })
    }

    /// Issues the certificates, with fresh keys, and lays out the payload.
    ///
    /// # Errors
    /// [`LocalNsmError::Crypto`] when a key or signature cannot be made, or there are fewer than two certificates.
    pub fn draft(&self) -> Result<Draft, LocalNsmError> {
        let [root, authorities @ .., leaf] = self.certificates.as_slice() else {
            return Err(LocalNsmError::Crypto { operation: "issuing a chain without root and leaf" });
        };
        let root_key = AuthorityKey::generate()?;
        let issuer = Issuer { subject: &root.subject, key: &root_key };
        let root_der = root.issue(&issuer, root_key.point())?;
        let authorities = Authorities::issue(&issuer, authorities.to_vec())?;
        let (leaf_der, leaf_key) = authorities.issue_leaf(&issuer, leaf)?;
        let cabundle: Vec<Vec<u8>> = std::iter::once(root_der.clone()).chain(authorities.ders).collect();
        let request = AttestationRequest {
            user_data: self.user_data.as_deref(),
            nonce: self.nonce.as_deref(),
            public_key: self.public_key.as_deref(),
        };
        let payload = Payload::nitro(&self.module_id, self.timestamp, &self.pcrs, &leaf_der, &cabundle, &request);
        Ok(Draft { root_der, payload, protected: PROTECTED_ES384.to_vec(), leaf_key })
    }

    /// Makes the document, and the root it is valid under.
    ///
    /// # Errors
    /// As [`Self::draft`].
    pub fn document(&self) -> Result<(Vec<u8>, Vec<u8>), LocalNsmError> {
        let draft = self.draft()?;
        Ok((draft.sign()?.encode(), draft.root_der))
    }
}

/// A document whose certificates exist, and whose payload and header can still be changed.
pub struct Draft {
    /// The root above the leaf, DER.
    pub root_der: Vec<u8>,
    /// What will be signed.
    pub payload: Payload,
    /// Protected header, the contents of its byte string.
    pub protected: Vec<u8>,
    leaf_key: LeafKey,
}

impl Draft {
    /// Signs header and payload with the leaf's key.
    ///
    /// # Errors
    /// [`LocalNsmError::Crypto`] when the signature cannot be made.
    pub fn sign(&self) -> Result<Envelope, LocalNsmError> {
        self.sign_in_context("Signature1")
    }

    /// Signs as [`Self::sign`] does, for another context string of RFC 9052 than a `COSE_Sign1` has.
    ///
    /// # Errors
    /// As [`Self::sign`].
    pub fn sign_in_context(&self, context: &str) -> Result<Envelope, LocalNsmError> {
        let payload = self.payload.encode();
        let signed = Item::Array(vec![
            Item::text(context),
            Item::Bytes(self.protected.clone()),
            Item::Bytes(Vec::new()),
            Item::Bytes(payload.clone()),
        ]);
        let signature = self.leaf_key.sign_message(&signed.encode())?;
        Ok(Envelope {
            prefix: Vec::new(),
            protected: self.protected.clone(),
            unprotected: Item::Map(Vec::new()),
            payload,
            signature,
            suffix: Vec::new(),
        })
    }
}

/// The parts of a signed document.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// Bytes before the array, such as the tag 0xd2.
    pub prefix: Vec<u8>,
    /// Protected header, the contents of its byte string.
    pub protected: Vec<u8>,
    /// Unprotected header.
    pub unprotected: Item,
    /// Payload, the contents of its byte string.
    pub payload: Vec<u8>,
    /// Signature.
    pub signature: Vec<u8>,
    /// Bytes after the array.
    pub suffix: Vec<u8>,
}

impl Envelope {
    /// The document.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let array = Item::Array(vec![
            Item::Bytes(self.protected.clone()),
            self.unprotected.clone(),
            Item::Bytes(self.payload.clone()),
            Item::Bytes(self.signature.clone()),
        ]);
        [self.prefix.as_slice(), &array.encode(), &self.suffix].concat()
    }
}

/// {1: -35}
const PROTECTED_ES384: &[u8] = &[0xa1, 0x01, 0x38, 0x22];
