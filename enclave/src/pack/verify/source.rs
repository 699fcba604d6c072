//! The commit and whose signature stands under it: the commit's own, or that of an annotated tag of it.

use packproof_gitobj::{
    Commit, Kind, ObjectBag, ObjectId, Tag,
    sshsig::{AllowedSigner, PublicKey, SshSigError, Verified},
};
use packproof_receipt::{
    policy::{Pack, Policy, SourceSigner},
    statement::{ApprovalFacts, Assurance, CertificateFacts, SignatureFacts, SourceFacts, TagFacts},
    time::UnixMillis,
};
use sha2::{Digest, Sha256};

use crate::pack::PackError;

/// How far the clock of a committer or tagger may run ahead of the NSM's.
const MAX_CLOCK_SKEW_SECONDS: u64 = 300;

/// A commit that a signer of the policy signed.
pub(super) struct SourceProof {
    pub(super) commit: Commit,
    pub(super) id: ObjectId,
    /// SHA-256 of the commit object's content, hex.
    pub(super) commit_sha256: String,
    pub(super) signature: SignatureFacts,
    /// Whose the commit's own signature is, where a tag's counted.
    pub(super) commit_signature: Option<SignatureFacts>,
    committed: UnixMillis,
    tag: Option<TagFacts>,
}

impl SourceProof {
    /// As the receipt states it.
    pub(super) fn into_facts(self, policy: &Policy, approvals: Vec<ApprovalFacts>) -> SourceFacts {
        SourceFacts {
            repository: policy.source.repository.clone(),
            commit: self.id.to_string(),
            tree: self.commit.tree.to_string(),
            committed_on: self.committed.to_rfc3339(),
            tag: self.tag,
            signature: self.signature,
            commit_signature: self.commit_signature,
            approvals,
            assurance: Assurance::EnclaveVerified,
        }
    }
}

/// Proves that a signer of `pack` signed the commit `id`, or the tag `tag` of it, and that both are of the right age.
///
/// # Errors
/// [`PackError::Git`], [`PackError::Signature`], [`PackError::PolicySigner`], [`PackError::CommitInFuture`],
/// [`PackError::CommitTooOld`], [`PackError::TagInFuture`].
pub(super) fn prove(
    policy: &Policy,
    pack: &Pack,
    bag: &ObjectBag,
    id: &ObjectId,
    tag: Option<&str>,
    now: UnixMillis,
) -> Result<SourceProof, PackError> {
    let body = bag.get(Kind::Commit, id).map_err(PackError::Git)?;
    let commit = Commit::parse(id.format(), body).map_err(PackError::Git)?;
    let signers: Vec<_> = policy.signers_of(pack).collect();
    let allowed = allowed_signers(&signers)?;
    let times = [now.as_secs()];
    let (verified, tag) = match tag {
        None => (commit.verify_signature(&allowed, &times), None),
        Some(tag) => {
            let tag_id = ObjectId::parse(id.format(), tag).map_err(PackError::Git)?;
            let body = bag.get(Kind::Tag, &tag_id).map_err(PackError::Git)?;
            let tag = Tag::parse(id.format(), body).map_err(PackError::Git)?;
            tag.check_target(id).map_err(PackError::Git)?;
            let facts = tag_facts(&tag, &tag_id, now)?;
            (tag.verify_signature(&allowed, &times), Some(facts))
        }
    };
    let signature = signature_facts(&verified.map_err(PackError::Signature)?, &signers)?;
    let commit_signature = if tag.is_some() { signed_by_anybody(policy, &commit)? } else { None };
    let committed = check_age(pack, &commit, now)?;
    let commit_sha256 = hex::encode(Sha256::digest(body));
    Ok(SourceProof { commit, id: *id, commit_sha256, signature, commit_signature, committed, tag })
}

/// Whose signature the commit carries, if it is one by anybody whom the policy names for anything, whenever that key
/// counted. Nothing is allowed by it: it only keeps that person from approving the commit.
fn signed_by_anybody(policy: &Policy, commit: &Commit) -> Result<Option<SignatureFacts>, PackError> {
    let everybody: Vec<_> = policy.source.signers.iter().collect();
    let mut allowed = allowed_signers(&everybody)?;
    for signer in &mut allowed {
        if signer.cert_authority {
            signer.principals = vec!["*".to_owned()];
        }
        (signer.valid_after, signer.valid_before) = (None, None);
    }
    match commit.verify_signature(&allowed, &[]) {
        Ok(verified) => signature_facts(&verified, &everybody).map(Some),
        Err(_) => Ok(None),
    }
}

/// The policy's signers as OpenSSH's allowed signers, in the same order.
///
/// # Errors
/// [`PackError::PolicySigner`]: the policy holds a key that is not sound.
pub(super) fn allowed_signers(signers: &[&SourceSigner]) -> Result<Vec<AllowedSigner>, PackError> {
    let allowed = |signer: &&SourceSigner| {
        let key = PublicKey::parse(&signer.ssh)?;
        Ok(AllowedSigner {
            key,
            cert_authority: signer.cert_authority,
            principals: signer.patterns(),
            valid_after: signer.valid_after.map(UnixMillis::as_secs),
            valid_before: signer.valid_before.map(UnixMillis::as_secs),
        })
    };
    signers.iter().map(allowed).collect::<Result<_, SshSigError>>().map_err(PackError::PolicySigner)
}

/// A signature by one of `signers`, as the receipt states it.
///
/// # Errors
/// [`PackError::Crypto`]: never, as `verified` came from the same signers.
pub(super) fn signature_facts(verified: &Verified, signers: &[&SourceSigner]) -> Result<SignatureFacts, PackError> {
    let signer = signers.get(verified.index).ok_or(PackError::Crypto("finding the signer"))?;
    let certificate = verified.certificate.as_ref().map(|certified| CertificateFacts {
        authority: certified.authority_fingerprint.clone(),
        key_id: certified.key_id.clone(),
        serial: certified.serial,
        principals: certified.principals.clone(),
        all_principals: certified.all_principals.clone(),
    });
    // the certificate's name for the person, where the policy's is a pattern
    let principal = certificate.as_ref().and_then(|certificate| certificate.principals.first());
    Ok(SignatureFacts {
        scheme: verified.scheme.to_owned(),
        signer: signer.name.clone(),
        principal: principal.unwrap_or(&signer.principal).clone(),
        fingerprint: verified.fingerprint.clone(),
        certificate,
    })
}

fn tag_facts(tag: &Tag, id: &ObjectId, now: UnixMillis) -> Result<TagFacts, PackError> {
    let tagged = not_in_future(tag.tagger.unix_seconds(), now).ok_or(PackError::TagInFuture)?;
    Ok(TagFacts { id: id.to_string(), name: tag.name.clone(), tagged_on: tagged.to_rfc3339() })
}

fn check_age(pack: &Pack, commit: &Commit, now: UnixMillis) -> Result<UnixMillis, PackError> {
    let committed = not_in_future(commit.committer.unix_seconds(), now).ok_or(PackError::CommitInFuture)?;
    let age_seconds = now.as_secs().saturating_sub(committed.as_secs());
    if age_seconds > pack.max_commit_age_seconds {
        return Err(PackError::CommitTooOld { age_seconds, max_seconds: pack.max_commit_age_seconds });
    }
    Ok(committed)
}

fn not_in_future(seconds: u64, now: UnixMillis) -> Option<UnixMillis> {
    let latest = now.as_secs().saturating_add(MAX_CLOCK_SKEW_SECONDS);
    if seconds > latest { None } else { UnixMillis::from_secs(seconds) }
}
