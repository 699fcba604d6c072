//! Key policies that pin an image: who may use which key of a policy, under which measurements.
//!
//! The shapes are those of the design for AWS: one Allow with all three measurements in one block (ANDed), three Deny
//! statements with one condition key each (conditions in one statement are ANDed, so one statement would deny only what
//! breaks all three), unconditional Deny of the ways around. The local KMS evaluates them from this JSON.

use std::collections::{BTreeMap, BTreeSet};

use packproof_local_kms::{ACCOUNT, LocalKms};
use packproof_receipt::{
    measure::Measurements,
    policy::{CellKeys, Pack, Policy, Target},
};
use serde_json::{Value, json};

use crate::{LocalError, state::State};

/// What a key is for, and so who may do what with it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    /// SOPS master key: authors encrypt, the image decrypts.
    Cells,
    /// Sealing key before its key exists: the image generates.
    Birth,
    /// Sealing key afterwards: the image decrypts.
    Unseal,
    /// Envelope key: the image generates, the workload decrypts.
    Envelope,
}

impl Use {
    fn name(self) -> &'static str {
        match self {
            Self::Cells => "cells",
            Self::Birth => "birth",
            Self::Unseal => "unseal",
            Self::Envelope => "envelope",
        }
    }
}

/// Pins every key of `policy` that is not pinned yet; with `repin`, also those that another image or use holds.
/// Returns the ARNs that stay pinned to something else.
pub(crate) fn pin(
    state: &State,
    kms: &LocalKms,
    policy: &Policy,
    image: &Measurements,
    repin: bool,
) -> Result<Vec<String>, LocalError> {
    let mut pins = state.pins()?;
    let (mut left, mut wanted) = (Vec::new(), Vec::new());
    for (arn, usages) in uses(policy) {
        let names: Vec<&str> = usages.iter().copied().map(Use::name).collect();
        let pinned_to = format!("{} {}", names.join("+"), hex::encode(image.pcr0));
        match pins.get(&arn) {
            Some(found) if *found == pinned_to => {}
            Some(_) if !repin => left.push(arn),
            _ => wanted.push((arn, usages, pinned_to)),
        }
    }
    // forgotten before they change, and written down even when one fails: a pin on record is one that KMS has
    for (arn, ..) in &wanted {
        pins.remove(arn);
    }
    state.write_pins(&pins)?;
    let pinned = wanted.into_iter().try_for_each(|(arn, usages, pinned_to)| {
        kms.put_key_policy(&arn, &key_policy(&usages, image)).map_err(|error| match error {
            packproof_local_kms::Error::KeyNotFound { .. } => LocalError::UnknownKey(arn.clone()),
            error => LocalError::Kms(error),
        })?;
        pins.insert(arn, pinned_to);
        Ok(())
    });
    state.write_pins(&pins)?;
    pinned.map(|()| left)
}

/// The policy of a key that no image may use yet: authors may encrypt to it, the administrator may pin it.
pub(crate) fn unpinned() -> Value {
    policy(vec![administrator(), allow("AuthorsEncrypt", "author", &["kms:Encrypt", "kms:DescribeKey"], None)])
}

/// One key may be sealing for an identity that is born and for one that is not yet.
fn uses(policy: &Policy) -> BTreeMap<String, BTreeSet<Use>> {
    let mut uses: BTreeMap<String, BTreeSet<Use>> = BTreeMap::new();
    let mut add = |arn: &str, usage| {
        uses.entry(arn.to_owned()).or_default().insert(usage);
    };
    for pack in &policy.packs {
        match &pack.cell_keys {
            CellKeys::Kms(keys) => keys.iter().for_each(|key| add(&key.arn, Use::Cells)),
            CellKeys::Sealed { kms, recipient } => {
                add(kms, if recipient.is_some() { Use::Unseal } else { Use::Birth });
            }
        }
        if let Target::Kms(arn) = &pack.target {
            add(arn, Use::Envelope);
        }
        add(&pack.signer.kms, signer_use(pack));
    }
    uses
}

fn signer_use(pack: &Pack) -> Use {
    if pack.signer.public_key.is_some() { Use::Unseal } else { Use::Birth }
}

/// The policy of a key with these uses. Only birth and unsealing can meet in one key: the measured policy refuses a key
/// of any other two purposes.
fn key_policy(usages: &BTreeSet<Use>, image: &Measurements) -> Value {
    let reads = allow("CiReads", "ci", &["kms:DescribeKey", "kms:GetKeyPolicy"], None);
    let mut statements = vec![administrator(), reads];
    let attested = ["kms:Decrypt", "kms:GenerateDataKey"];
    let by_image = |sid: &str, action| allow(sid, "ci", &[action], Some(pinned_allow(image)));
    for usage in usages {
        match usage {
            Use::Cells => {
                statements.push(allow("AuthorsEncrypt", "author", &["kms:Encrypt", "kms:DescribeKey"], None));
                statements.push(by_image("ImageDecrypts", "kms:Decrypt"));
            }
            Use::Birth => statements.push(by_image("ImageGivesBirth", "kms:GenerateDataKey")),
            Use::Unseal => statements.push(by_image("ImageUnseals", "kms:Decrypt")),
            Use::Envelope => {
                statements.push(by_image("ImageMakesDataKeys", "kms:GenerateDataKey"));
                statements.push(allow("WorkloadDecrypts", "workload", &["kms:Decrypt"], None));
            }
        }
    }
    if usages.contains(&Use::Envelope) {
        statements.extend(deny_other_images(&["kms:GenerateDataKey"], image));
        let others = json!({ "StringNotEquals": { "aws:PrincipalArn": role("workload") } });
        statements.push(deny("OnlyWorkloadDecrypts", &["kms:Decrypt"], Some(others)));
    } else {
        statements.extend(deny_other_images(&attested, image));
    }
    if !usages.contains(&Use::Cells) {
        statements.push(deny("NobodyEncrypts", &["kms:Encrypt"], None));
    }
    let around =
        ["kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:CreateGrant", "kms:ReplicateKey", "kms:DeriveSharedSecret"];
    statements.push(deny("NoWayAround", &around, None));
    policy(statements)
}

fn policy(statements: Vec<Value>) -> Value {
    json!({ "Version": "2012-10-17", "Statement": statements })
}

fn role(name: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/{name}")
}

fn administrator() -> Value {
    allow("AdministratorPins", "admin", &["kms:PutKeyPolicy", "kms:GetKeyPolicy", "kms:DescribeKey"], None)
}

fn allow(sid: &str, name: &str, actions: &[&str], condition: Option<Value>) -> Value {
    let mut statement = json!({
        "Sid": sid, "Effect": "Allow", "Principal": { "AWS": role(name) }, "Action": actions, "Resource": "*",
    });
    add_condition(&mut statement, condition);
    statement
}

fn deny(sid: &str, actions: &[&str], condition: Option<Value>) -> Value {
    let mut statement = json!({ "Sid": sid, "Effect": "Deny", "Principal": "*", "Action": actions, "Resource": "*" });
    add_condition(&mut statement, condition);
    statement
}

fn add_condition(statement: &mut Value, condition: Option<Value>) {
    if let (Value::Object(members), Some(condition)) = (statement, condition) {
        members.insert("Condition".to_owned(), condition);
    }
}

fn measurements(image: &Measurements) -> [(&'static str, String); 3] {
    [
        ("kms:RecipientAttestation:ImageSha384", hex::encode(image.pcr0)),
        ("kms:RecipientAttestation:PCR1", hex::encode(image.pcr1)),
        ("kms:RecipientAttestation:PCR2", hex::encode(image.pcr2)),
    ]
}

fn pinned_allow(image: &Measurements) -> Value {
    let block: serde_json::Map<String, Value> =
        measurements(image).into_iter().map(|(key, value)| (key.to_owned(), Value::String(value))).collect();
    json!({ "StringEqualsIgnoreCase": block })
}

fn deny_other_images(actions: &[&str], image: &Measurements) -> Vec<Value> {
    let one = |(index, (key, value)): (usize, (&str, String))| {
        let condition = json!({ "StringNotEqualsIgnoreCase": { key: value } });
        deny(&format!("OtherImage{index}"), actions, Some(condition))
    };
    measurements(image).into_iter().enumerate().map(one).collect()
}
