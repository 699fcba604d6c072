//! What a policy uses each of its KMS keys for.

use std::collections::BTreeMap;

use packproof_receipt::policy::{CellKeys, Pack, Policy, Target};

/// What a key is for, and so who may do what with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Use {
    /// SOPS master key: authors encrypt, the image decrypts.
    Cells,
    /// Sealing key: attested calls only.
    Sealing,
    /// Envelope key: the image makes data keys, the workload decrypts.
    Envelope,
}

impl Use {
    /// As file names and reports have it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cells => "cells",
            Self::Sealing => "sealing",
            Self::Envelope => "envelope",
        }
    }
}

/// One key of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyUse {
    pub(super) usage: Use,
    /// Sealing key under which a key is still to be born: the image needs `GenerateDataKey`.
    pub(super) births: bool,
    /// Sealing key with a pinned public key or recipient: the image needs `Decrypt`.
    pub(super) opens: bool,
    pub(super) environment: String,
}

impl KeyUse {
    /// What the image calls with this key.
    pub(super) fn image_actions(&self) -> Vec<&'static str> {
        match self.usage {
            Use::Cells => vec!["kms:Decrypt"],
            Use::Envelope => vec!["kms:GenerateDataKey"],
            Use::Sealing => {
                let births = self.births.then_some("kms:GenerateDataKey");
                self.opens.then_some("kms:Decrypt").into_iter().chain(births).collect()
            }
        }
    }
}

/// Each key of `policy` by ARN. A measured policy gives a key one purpose in one environment, so there is one use;
/// a sealing key that several identities share may both bear and open.
pub(super) fn of(policy: &Policy) -> BTreeMap<String, KeyUse> {
    let mut uses = BTreeMap::new();
    for pack in &policy.packs {
        match &pack.cell_keys {
            CellKeys::Kms(keys) => keys.iter().for_each(|key| add(&mut uses, pack, &key.arn, Use::Cells, true)),
            CellKeys::Sealed { kms, recipient } => add(&mut uses, pack, kms, Use::Sealing, recipient.is_some()),
        }
        if let Target::Kms(arn) = &pack.target {
            add(&mut uses, pack, arn, Use::Envelope, false);
        }
        add(&mut uses, pack, &pack.signer.kms, Use::Sealing, pack.signer.public_key.is_some());
    }
    uses
}

fn add(uses: &mut BTreeMap<String, KeyUse>, pack: &Pack, arn: &str, usage: Use, pinned: bool) {
    let environment = pack.environment.clone();
    let entry = uses.entry(arn.to_owned()).or_insert(KeyUse { usage, births: false, opens: false, environment });
    entry.opens |= pinned;
    entry.births |= !pinned;
}
