//! Four eyes: people other than the commit's signer agreed to this very pack.
//!
//! What the host could send: somebody else's approval, one approval many times, one person under two keys or one key
//! under two names, the signer's own, and approvals of another commit, environment or policy, or of last year. The
//! signed text is put together here from what is being packed, so an approval of anything else does not verify.

use std::collections::BTreeSet;

use packproof_gitobj::sshsig;
use packproof_receipt::{
    approval::{APPROVAL_NAMESPACE, Approval as ApprovalText},
    policy::Pack,
    statement::{ApprovalFacts, SignatureFacts},
    time::UnixMillis,
};
use packproof_wire::Approval;

use super::source::{SourceProof, allowed_signers, signature_facts};
use crate::{pack::PackError, policy::MeasuredPolicy};

/// More are never needed; each costs a signature.
const MAX_APPROVALS: usize = 64;

/// Verifies every approval and counts people: different keys, different principals, none of them the commit's signer.
///
/// # Errors
/// [`PackError::ApprovalsMissing`], [`PackError::ApprovalsNotAsked`], [`PackError::Approval`],
/// [`PackError::ApprovalExpired`], [`PackError::ApprovalBySigner`], [`PackError::ApprovalTwice`].
pub(super) fn count(
    measured: &MeasuredPolicy,
    pack: &Pack,
    proof: &SourceProof,
    approvals: &[Approval],
    now: UnixMillis,
) -> Result<Vec<ApprovalFacts>, PackError> {
    let Some(rule) = &pack.approvals else {
        return if approvals.is_empty() { Ok(Vec::new()) } else { Err(PackError::ApprovalsNotAsked) };
    };
    if approvals.len() > MAX_APPROVALS {
        return Err(PackError::Request("more approvals than are ever needed"));
    }
    let policy = measured.policy();
    let policy_sha256 = measured.sha256_hex();
    let approvers: Vec<_> = policy.approvers_of(pack).collect();
    let allowed = allowed_signers(&approvers)?;
    let commit = proof.id.to_string();
    let mut signer = People::default();
    signer.add(&proof.signature);
    if let Some(signature) = &proof.commit_signature {
        signer.add(signature);
    }
    let mut people = People::default();
    let mut counted = Vec::with_capacity(approvals.len());
    for (index, approval) in approvals.iter().enumerate() {
        let not_after = UnixMillis::parse_rfc3339_ms(&approval.not_after)
            .ok_or(PackError::Request("an approval's end is no RFC 3339 time with milliseconds"))?;
        let number = index.saturating_add(1);
        if not_after <= now {
            return Err(PackError::ApprovalExpired { number, not_after });
        }
        let text = ApprovalText {
            repository: &policy.source.repository,
            object_format: &policy.source.object_format,
            commit: &commit,
            commit_sha256: &proof.commit_sha256,
            identity: &pack.identity,
            environment: &pack.environment,
            policy_sha256: &policy_sha256,
            not_after,
        }
        .to_text();
        let times = [now.as_secs()];
        let signature = approval.signature.as_bytes();
        let verified = sshsig::verify(signature, APPROVAL_NAMESPACE, text.as_bytes(), &allowed, &times)
            .map_err(|error| PackError::Approval { number, error })?;
        let facts = signature_facts(&verified, &approvers)?;
        if signer.has(&facts) {
            return Err(PackError::ApprovalBySigner { principal: facts.principal });
        }
        if people.has(&facts) {
            return Err(PackError::ApprovalTwice { principal: facts.principal });
        }
        people.add(&facts);
        counted.push(ApprovalFacts { signature: facts, not_after: not_after.to_rfc3339() });
    }
    if counted.len() < rule.threshold {
        return Err(PackError::ApprovalsMissing { threshold: rule.threshold, found: counted.len() });
    }
    Ok(counted)
}

/// People by key and by every name they have.
#[derive(Default)]
struct People {
    keys: BTreeSet<String>,
    principals: BTreeSet<String>,
}

impl People {
    fn has(&self, facts: &SignatureFacts) -> bool {
        self.keys.contains(&facts.fingerprint) || principals(facts).any(|name| self.principals.contains(name))
    }

    fn add(&mut self, facts: &SignatureFacts) {
        self.keys.insert(facts.fingerprint.clone());
        self.principals.extend(principals(facts).cloned());
    }
}

/// A certificate may carry several names of one person, those that the policy does not ask for included.
fn principals(facts: &SignatureFacts) -> impl Iterator<Item = &String> {
    let certified = facts.certificate.iter().flat_map(|certificate| &certificate.all_principals);
    std::iter::once(&facts.principal).chain(certified)
}
