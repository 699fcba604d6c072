//! `PackRequest → VerifiedInputs`: the commit is proved, and the measured policy decides.

mod approvals;
mod cells;
mod objects;
mod schemas;
mod source;

use packproof_artifact::{
    manifest::{KmsProvider, Manifest, Target as ManifestTarget},
    matrix,
    seal::check_recipient,
};
use packproof_gitobj::{Kind, Limits, ObjectBag, ObjectFormat, ObjectId};
use packproof_receipt::{
    policy::{CellKeys, Pack, Policy, Target},
    statement::{Dependency, SourceFacts},
    time::UnixMillis,
};
use packproof_wire::{Object, PackRequest};

pub use self::cells::{Opener, VerifiedCell};
use self::{
    cells::read_cells,
    objects::{Found, Reader, object_facts},
};
use super::PackError;
use crate::policy::MeasuredPolicy;

/// The file that names the repository inside its own tree, so that a commit of another repository is refused.
pub const REPOSITORY_MARKER: &str = ".packproof/repository";

/// Inputs that hash up to a commit signed by a signer of the measured policy, and that the policy allows.
pub struct VerifiedInputs {
    pub(super) pack: Pack,
    pub(super) repository: String,
    pub(super) object_format: String,
    pub(super) ttl_seconds: u64,
    pub(super) record_key_policies: bool,
    pub(super) cells: Vec<VerifiedCell>,
    pub(super) source: SourceFacts,
    pub(super) dependencies: Vec<Dependency>,
    pub(super) host: HostChosen,
}

/// What the host chose; none of it is secret, all of it enters the receipt.
pub struct HostChosen {
    pub(super) commit: String,
    pub(super) tag: Option<String>,
    pub(super) ttl_seconds: Option<u64>,
    pub(super) challenge: Option<[u8; 32]>,
    pub(super) sealed_signer: Vec<u8>,
    pub(super) sealed_age_key: Option<Vec<u8>>,
    pub(super) access_key_id: String,
}

/// Proves the inputs and holds them against the policy. `now` is NSM time.
///
/// # Errors
/// [`PackError`], named for the first thing that is not so.
pub fn verify(measured: &MeasuredPolicy, now: UnixMillis, request: PackRequest) -> Result<VerifiedInputs, PackError> {
    let policy = measured.policy();
    let pack = policy.pack(&request.identity, &request.environment).ok_or_else(|| PackError::NotInPolicy {
        identity: request.identity.clone(),
        environment: request.environment.clone(),
    })?;
    require_pinned_keys(pack)?;
    if let Target::Age(recipient) = &pack.target {
        check_recipient(recipient).map_err(PackError::RecipientUnusable)?;
    }
    let ttl_seconds = match request.ttl_seconds {
        None => pack.max_ttl_seconds,
        Some(asked) if (1..=pack.max_ttl_seconds).contains(&asked) => asked,
        Some(_) => return Err(PackError::Ttl { max_seconds: pack.max_ttl_seconds }),
    };
    let challenge = challenge(request.challenge)?;
    let limits = Limits {
        max_object_bytes: policy.max_request_bytes,
        max_total_bytes: policy.max_request_bytes,
        ..Limits::default()
    };
    let format = object_format(policy)?;
    let id = ObjectId::parse(format, &request.commit).map_err(PackError::Git)?;
    let bag = ObjectBag::new(format, objects(request.objects)?, &limits).map_err(PackError::Git)?;

    let proof = source::prove(policy, pack, &bag, &id, request.tag.as_deref(), now)?;
    let approvals = approvals::count(measured, pack, &proof, &request.approvals, now)?;

    let mut reader = Reader::new(&bag, &proof.commit.tree, &limits);
    check_marker(policy, &mut reader)?;
    let manifest = read_manifest(policy, &mut reader)?;
    check_manifest(pack, &manifest)?;
    // checks the whole matrix: paths inside the repository, no two cells with one path
    let wanted = matrix::cells(&manifest, &pack.identity, &pack.environment).map_err(PackError::Matrix)?;
    let (cells, mut dependencies) = read_cells(pack, &mut reader, &manifest, wanted)?;
    let extra = bag.unused().len();
    if extra > 0 {
        return Err(PackError::ExtraObjects { count: extra });
    }
    dependencies.splice(0..0, object_facts(policy, &bag, &mut reader)?);

    let source = proof.into_facts(policy, approvals);
    Ok(VerifiedInputs {
        pack: pack.clone(),
        repository: policy.source.repository.clone(),
        object_format: policy.source.object_format.clone(),
        ttl_seconds,
        record_key_policies: policy.record_key_policies,
        cells,
        source,
        dependencies,
        host: HostChosen {
            commit: request.commit,
            tag: request.tag,
            ttl_seconds: request.ttl_seconds,
            challenge,
            sealed_signer: request.sealed_signer,
            sealed_age_key: request.sealed_age_key,
            access_key_id: request.credentials.access_key_id,
        },
    })
}

/// A challenge is exactly 32 bytes: the document's nonce carries nothing else.
pub(crate) fn challenge(bytes: Option<Vec<u8>>) -> Result<Option<[u8; 32]>, PackError> {
    bytes.map(|bytes| bytes.try_into().map_err(|_| PackError::Request("a challenge is exactly 32 bytes"))).transpose()
}

fn require_pinned_keys(pack: &Pack) -> Result<(), PackError> {
    if pack.signer.public_key.is_none() {
        return Err(PackError::OnlySeal { missing: "signer.public_key" });
    }
    match &pack.cell_keys {
        CellKeys::Sealed { recipient: None, .. } => Err(PackError::OnlySeal { missing: "unseal.recipient" }),
        _ => Ok(()),
    }
}

fn object_format(policy: &Policy) -> Result<ObjectFormat, PackError> {
    policy.source.object_format.parse().map_err(PackError::Git)
}

fn objects(objects: Vec<Object>) -> Result<Vec<(Kind, Vec<u8>)>, PackError> {
    objects
        .into_iter()
        .map(|object| match object.kind.as_str() {
            "commit" => Ok((Kind::Commit, object.body)),
            "tree" => Ok((Kind::Tree, object.body)),
            "blob" => Ok((Kind::Blob, object.body)),
            "tag" => Ok((Kind::Tag, object.body)),
            _ => Err(PackError::Request("an object's kind is commit, tag, tree or blob")),
        })
        .collect()
}

fn check_marker(policy: &Policy, reader: &mut Reader<'_>) -> Result<(), PackError> {
    let Found::File(marker) = reader.read(REPOSITORY_MARKER)? else {
        return Err(PackError::NoRepositoryMarker);
    };
    let line = marker.body.strip_suffix(b"\n").unwrap_or(marker.body);
    if line == policy.source.repository.as_bytes() { Ok(()) } else { Err(PackError::WrongRepository) }
}

fn read_manifest(policy: &Policy, reader: &mut Reader<'_>) -> Result<Manifest, PackError> {
    match reader.read(&policy.source.manifest)? {
        Found::File(file) => Manifest::parse(file.body).map_err(PackError::Manifest),
        _ => Err(PackError::NoManifest { path: policy.source.manifest.clone() }),
    }
}

/// The manifest may ask for less than the policy, never for more or for somebody else.
fn check_manifest(pack: &Pack, manifest: &Manifest) -> Result<(), PackError> {
    let identity =
        manifest.identity(&pack.identity).ok_or_else(|| PackError::UnknownIdentity(pack.identity.clone()))?;
    let target =
        identity.target(&pack.environment).ok_or_else(|| PackError::UnknownEnvironment(pack.environment.clone()))?;
    let (found, agrees) = match (target, &pack.target) {
        (ManifestTarget::Age { recipient }, Target::Age(pinned)) => (recipient, recipient == pinned),
        (ManifestTarget::Kms { provider, key_id }, Target::Kms(pinned)) => {
            (key_id, *provider == KmsProvider::Aws && key_id == pinned)
        }
        (ManifestTarget::Age { recipient: other } | ManifestTarget::Kms { key_id: other, .. }, _) => (other, false),
    };
    if !agrees {
        return Err(PackError::RecipientNotInPolicy { found: found.clone() });
    }
    match identity.namespaces.iter().find(|name| !pack.namespaces.contains(name)) {
        Some(name) => Err(PackError::NamespaceNotInPolicy(name.clone())),
        None => Ok(()),
    }
}
