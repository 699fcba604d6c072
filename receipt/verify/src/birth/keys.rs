//! What was born: the key, its blob, what sealed it, and who pins it.

use packproof_receipt::{
    policy::{CellKeys, Pack, Policy},
    sealed::BirthStatement,
};

use super::{BirthExpectations, KeyPurpose};
use crate::{
    checks::{Checks, Refusal, ensure, quote},
    public_key::{ed25519_point, is_age_recipient},
    report::sha256,
    steps::policy,
};

pub(super) fn check(
    checks: &mut Checks<'_>,
    born: Option<&BirthStatement>,
    blob: Option<&[u8]>,
    pack: Option<&Pack>,
    expectations: &BirthExpectations<'_>,
) {
    let purpose = expectations.purpose;
    let sealed_by = born.zip(pack).map(|(born, pack)| check_sealing_key(born, pack, purpose));
    checks.judge("birth_sealing_key", "the key is sealed by the policy's key for this purpose", sealed_by);
    let record = born.map(|born| {
        ensure(!born.kms_request_id.is_empty(), "kms_request_id", || "the KMS call has no request id".to_owned())
    });
    checks.judge("birth_record", "the KMS call has a request id", record);
    let blob = born.zip(blob).map(|(born, blob)| {
        ensure(born.blob_sha256 == sha256(blob), "birth_blob", || {
            "the statement is about another blob than the file holds".to_owned()
        })
    });
    checks.judge("birth_blob", "the blob is the one that was made with the key", blob);
    let form = born.map(|born| check_form(&born.public_key, purpose));
    let form = checks.judge("birth_public_key", "the public key has its one form", form);

    let Some(later) = expectations.pinned_by else {
        checks.not_requested("birth_pinned", "pin_not_requested", "no policy that pins the key was given");
        return;
    };
    let pinned = born.zip(form).map(|(born, ())| check_pinned(born, later, expectations));
    checks.judge("birth_pinned", "the later policy pins exactly this key", pinned);
}

/// The ARN that seals keys of `purpose`, and the key that is pinned. `None` when the entry has no such keys.
fn sealing_key(pack: &Pack, purpose: KeyPurpose) -> Option<(&str, Option<&str>)> {
    match (purpose, &pack.cell_keys) {
        (KeyPurpose::Signer, _) => Some((&pack.signer.kms, pack.signer.public_key.as_deref())),
        (KeyPurpose::AgeKey, CellKeys::Sealed { kms, recipient }) => Some((kms, recipient.as_deref())),
        (KeyPurpose::AgeKey, CellKeys::Kms(_)) => None,
    }
}

fn check_sealing_key(born: &BirthStatement, pack: &Pack, purpose: KeyPurpose) -> Result<(), Refusal> {
    let (arn, _) = sealing_key(pack, purpose).ok_or_else(no_sealed_key)?;
    ensure(born.kms_key_arn == arn, "kms_key", || {
        format!("the key is sealed by {}, expected {arn}", quote(&born.kms_key_arn))
    })
}

fn check_form(public_key: &str, purpose: KeyPurpose) -> Result<(), Refusal> {
    let (held, what) = match purpose {
        KeyPurpose::Signer => (ed25519_point(public_key).is_some(), "an Ed25519 SPKI, DER, base64"),
        KeyPurpose::AgeKey => (is_age_recipient(public_key), "an age recipient (age1…)"),
    };
    ensure(held, "birth_public_key", || format!("the public key {} is not {what}", quote(public_key)))
}

/// A key pinned beside another sealing key or repository could not be opened there, so all must fit.
fn check_pinned(born: &BirthStatement, later: &[u8], expectations: &BirthExpectations<'_>) -> Result<(), Refusal> {
    let later = Policy::parse(later).map_err(|error| Refusal::new(error.code(), error.to_string()))?;
    policy::fit_policy_and_root(later.is_simulated(), expectations.root)?;
    policy::fit_repository(&born.repository, &later)?;
    let pack = policy::find(&later, expectations.identity, expectations.environment)?;
    let (arn, pinned) = sealing_key(pack, expectations.purpose).ok_or_else(no_sealed_key)?;
    ensure(arn == born.kms_key_arn, "kms_key", || {
        format!("the key is sealed by {}, the later policy unseals with {arn}", quote(&born.kms_key_arn))
    })?;
    let pinned = pinned.ok_or_else(|| Refusal::new("pin_absent", "the later policy pins no key for this purpose"))?;
    ensure(pinned == born.public_key, "pin_mismatch", || format!("the later policy pins another key: {pinned}"))
}

fn no_sealed_key() -> Refusal {
    Refusal::new("no_sealed_age_key", "the policy's entry opens cells with KMS keys and has no sealed age key")
}
