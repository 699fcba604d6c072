//! Everything known about one key.

use std::collections::BTreeSet;

use packproof_receipt::measure::Measurements;

use super::{callers::Caller, document::Document, uses::KeyUse};

/// One key, as `explain` judges it.
#[derive(Debug)]
pub(super) struct KeyCase {
    /// File of the key policy.
    pub(super) file: String,
    pub(super) arn: Option<String>,
    pub(super) document: Document,
    /// By a measured policy.
    pub(super) usage: Option<KeyUse>,
    pub(super) metadata: Option<Metadata>,
    pub(super) grants: Vec<Grant>,
    /// The images that are meant to use the key; none when no release was given.
    pub(super) images: Vec<Measurements>,
}

/// What `DescribeKey` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Metadata {
    pub(super) arn: String,
    pub(super) origin: String,
    pub(super) multi_region: bool,
    /// ARNs of replicas, and of the primary key when this is a replica.
    pub(super) related: Vec<String>,
}

/// A grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    /// ARN or id of its key.
    pub(super) key: String,
    pub(super) id: String,
    pub(super) grantee: String,
    pub(super) operations: Vec<String>,
}

/// Somebody with IAM policies.
#[derive(Clone, Debug)]
pub(super) struct IamHolder {
    pub(super) caller: Caller,
    /// Where each came from, and the policy.
    pub(super) documents: Vec<(String, Document)>,
}

/// What the user says is as it should be.
#[derive(Debug, Default)]
pub(super) struct Expected {
    /// ARNs that may decrypt outside the enclave.
    pub(super) workloads: BTreeSet<String>,
    /// ARNs that may change key policies; `None` when nobody was named.
    pub(super) admins: Option<BTreeSet<String>>,
}
