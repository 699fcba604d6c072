//! What `policy check` advises: what a policy may say, and a careful owner would not.

use packproof_gitobj::sshsig::PublicKey;
use packproof_receipt::policy::{MissingCells, Pack, Policy, SourceSigner};

use crate::Error;

/// A week. An artifact that lives longer outlives most changes of a secret.
const LONG_TTL_SECONDS: u64 = 7 * 86_400;
/// A month. Within this age the host can choose any signed commit.
const LONG_COMMIT_AGE_SECONDS: u64 = 31 * 86_400;

/// One piece of advice.
#[derive(Debug)]
pub(super) struct Advice {
    /// Stable.
    pub(super) code: &'static str,
    /// Where in the policy.
    pub(super) at: String,
    /// Why it matters.
    pub(super) reason: String,
    /// What to do.
    pub(super) fix: &'static str,
}

/// Refuses keys that the enclave would refuse at the first pack: their encoding is right, and they are no keys.
///
/// # Errors
/// [`Error::PolicyKey`].
pub(super) fn check_keys(policy: &Policy) -> Result<(), Error> {
    for signer in &policy.source.signers {
        PublicKey::parse(&signer.ssh).map_err(|error| Error::PolicyKey { signer: signer.name.clone(), error })?;
    }
    Ok(())
}

/// All advice on a policy, in its order.
pub(super) fn advise(policy: &Policy) -> Vec<Advice> {
    let mut all = Vec::new();
    for signer in &policy.source.signers {
        advise_on_signer(policy, signer, &mut all);
    }
    for pack in &policy.packs {
        advise_on_pack(policy, pack, &mut all);
    }
    all
}

fn advise_on_signer(policy: &Policy, signer: &SourceSigner, all: &mut Vec<Advice>) {
    let mut add = |code, reason: &str, fix| {
        all.push(Advice { code, at: format!("[[source.signer]] {}", signer.name), reason: reason.to_owned(), fix });
    };
    let counts = |pack: &Pack| {
        pack.signers.contains(&signer.name)
            || pack.approvals.as_ref().is_some_and(|rule| rule.from.contains(&signer.name))
    };
    if !policy.packs.iter().any(counts) {
        add(
            "signer_unused",
            "no [[pack]] lets it sign or approve",
            "take it out, or name it in signers or approvals.from",
        );
    }
    let names_nobody = |pattern: &String| pattern.chars().all(|c| matches!(c, '*' | '?' | '@'));
    if signer.cert_authority && signer.patterns().iter().any(names_nobody) {
        add(
            "authority_of_anybody",
            "it may certify any name at all",
            "narrow principal, for example to *@acme.example",
        );
    }
    if signer.ssh.starts_with("ssh-rsa ") {
        add(
            "rsa_signer",
            "RSA keys are long and often shared",
            "use ssh-ed25519, or better a hardware key (sk-ssh-ed25519)",
        );
    }
}

fn advise_on_pack(policy: &Policy, pack: &Pack, all: &mut Vec<Advice>) {
    let mut add = |code, reason: String, fix| {
        all.push(Advice { code, at: format!("[[pack]] {}/{}", pack.identity, pack.environment), reason, fix });
    };
    match &pack.approvals {
        None => add(
            "one_key_packs_alone",
            "whoever holds one signing key decides alone what is packed".to_owned(),
            "add approvals = { threshold, from }",
        ),
        Some(rule) => {
            let authority = policy.approvers_of(pack).find(|signer| signer.cert_authority);
            if let Some(authority) = authority {
                add(
                    "authority_decides_alone",
                    format!(
                        "whoever holds the key of {} can certify as many approvers as are asked for",
                        authority.name
                    ),
                    "name people's own keys in approvals.from, or guard that key as you guard all of them together",
                );
            }
            let only_signer = |name: &String| pack.signers.as_slice() == [name.clone()];
            if authority.is_none() && rule.from.iter().any(only_signer) {
                add(
                    "only_signer_approves",
                    "its only signer is among the approvers, and a signer's own approval never counts".to_owned(),
                    "take the signer out of approvals.from, or name another signer",
                );
            }
            if authority.is_none() && rule.from.len() == rule.threshold {
                add(
                    "every_approver_needed",
                    "all approvers must be there: one lost key stops every pack".to_owned(),
                    "name one approver more than threshold",
                );
            }
        }
    }
    if pack.max_ttl_seconds > LONG_TTL_SECONDS {
        add(
            "long_lifetime",
            format!("artifacts live up to {} days", pack.max_ttl_seconds / 86_400),
            "a shorter max_ttl_seconds ends the use of an old artifact sooner",
        );
    }
    if pack.max_commit_age_seconds > LONG_COMMIT_AGE_SECONDS {
        add(
            "old_commits",
            format!("the host can choose any signed commit of the last {} days", pack.max_commit_age_seconds / 86_400),
            "a shorter max_commit_age_seconds leaves it less choice",
        );
    }
    if pack.missing_cells == MissingCells::Skip {
        add(
            "cells_may_be_missing",
            "a service may start without a namespace that was left out".to_owned(),
            "missing_cells = \"refuse\" refuses such a commit",
        );
    }
    if pack.missing_cells == MissingCells::Skip && !pack.schemas.is_empty() {
        add(
            "absent_cells_have_no_schema",
            "a key that a schema requires can be gone with its whole cell".to_owned(),
            "missing_cells = \"refuse\" beside schemas",
        );
    }
    if !pack.only_recipients {
        add(
            "others_may_open",
            "cells that other keys can open are packed too; the receipt lists them".to_owned(),
            "only_recipients = true refuses them, once break-glass keys are in decrypt",
        );
    }
}
