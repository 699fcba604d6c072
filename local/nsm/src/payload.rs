//! The payload of a document, key by key in AWS's order.

use std::collections::BTreeMap;

use packproof_nsm::AttestationRequest;
use packproof_receipt::time::UnixMillis;

use crate::cbor::Item;

/// The payload of a document: its map, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// Keys and values.
    pub entries: Vec<(String, Item)>,
    /// Whether the map has indefinite length: AWS's form since 2026.
    pub indefinite: bool,
}

impl Payload {
    /// The nine keys of a real document; registers without a value that are locked from the start are zero.
    #[must_use]
    pub fn nitro(
        module_id: &str,
        timestamp: UnixMillis,
        pcrs: &BTreeMap<u8, [u8; 48]>,
        certificate: &[u8],
        cabundle: &[Vec<u8>],
        request: &AttestationRequest<'_>,
    ) -> Self {
        let indexes = (0..LOCKED_FROM_START).chain(pcrs.keys().copied().filter(|index| *index >= LOCKED_FROM_START));
        let pcrs = indexes
            .map(|index| {
                let value = pcrs.get(&index).copied().unwrap_or([0; 48]);
                (Item::Uint(u64::from(index)), Item::Bytes(value.to_vec()))
            })
            .collect();
        let cabundle = cabundle.iter().map(|der| Item::Bytes(der.clone())).collect();
        let entries = [
            ("module_id", Item::text(module_id)),
            ("digest", Item::text("SHA384")),
            ("timestamp", Item::Uint(timestamp.0)),
            ("pcrs", Item::Map(pcrs)),
            ("certificate", Item::Bytes(certificate.to_vec())),
            ("cabundle", Item::Array(cabundle)),
            ("public_key", Item::bytes_or_null(request.public_key)),
            ("user_data", Item::bytes_or_null(request.user_data)),
            ("nonce", Item::bytes_or_null(request.nonce)),
        ];
        let entries = entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        Self { entries, indefinite: true }
    }

    /// The value of `key`, when it is there.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Item> {
        self.entries.iter_mut().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The encoded payload.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let entries = self.entries.iter().map(|(key, value)| (Item::text(key), value.clone())).collect();
        if self.indefinite { Item::IndefiniteMap(entries).encode() } else { Item::Map(entries).encode() }
    }
}

/// Registers 0 to 15 are locked when an enclave starts, so every document lists them.
pub(crate) const LOCKED_FROM_START: u8 = 16;
