//! `PackRequest → VerifiedInputs`: the commit is proved, and the measured policy decides.

use std::collections::BTreeMap;

use packproof_artifact::{
    manifest::{KmsProvider, Manifest, Target as ManifestTarget},
    matrix::{CellFormat, CellPath, cells},
    seal::check_recipient,
};
use packproof_gitobj::{
    Commit, Kind, Limits, Lookup, Mode, ObjectBag, ObjectFormat, ObjectId, lookup,
    sshsig::{AllowedSigner, PublicKey},
};
use packproof_receipt::{
    policy::{CellKeys, MissingCells, Pack, Policy, Target},
    statement::{Assurance, CommitSignature, Dependency, DependencyFacts, KeyEntry as EntryFact, Role, SourceFacts},
    time::UnixMillis,
};
use packproof_sops::{Cell, Format, KeyEntry};
use packproof_wire::{Object, PackRequest};
use sha2::{Digest, Sha256};

use super::PackError;

/// The file that names the repository inside its own tree, so that a commit of another repository is refused.
pub const REPOSITORY_MARKER: &str = ".packproof/repository";
/// How far a committer's clock may run ahead of the NSM's.
const MAX_CLOCK_SKEW_SECONDS: u64 = 300;

/// Inputs that hash up to a commit signed by a signer of the measured policy, and that the policy allows.
pub struct VerifiedInputs {
    pub(super) pack: Pack,
    pub(super) repository: String,
    pub(super) object_format: String,
    pub(super) ttl_seconds: u64,
    pub(super) cells: Vec<VerifiedCell>,
    pub(super) source: SourceFacts,
    pub(super) dependencies: Vec<Dependency>,
    pub(super) host: HostChosen,
}

/// One cell with the entry that opens it.
pub struct VerifiedCell {
    pub(super) namespace: String,
    pub(super) path: String,
    pub(super) format: CellFormat,
    pub(super) cell: Cell,
    pub(super) opener: Opener,
}

/// The key entry of a cell that the policy allows: the first such entry, with no fallback.
pub enum Opener {
    /// `Decrypt` under this key and context.
    Kms {
        /// ARN, pinned by the policy.
        arn: String,
        /// Context, stated by the policy and equal to the file's.
        context: BTreeMap<String, String>,
        /// CiphertextBlob of the data key.
        blob: Vec<u8>,
    },
    /// An age file for the policy's sealed recipient.
    Age {
        /// Armored age file that holds the data key.
        enc: String,
    },
}

/// What the host chose; none of it is secret, all of it enters the receipt.
pub struct HostChosen {
    pub(super) commit: String,
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
pub fn verify(policy: &Policy, now: UnixMillis, request: PackRequest) -> Result<VerifiedInputs, PackError> {
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

    let commit = Commit::parse(format, bag.get(Kind::Commit, &id).map_err(PackError::Git)?).map_err(PackError::Git)?;
    let signature = verify_signature(policy, pack, &commit, now)?;
    let committed = check_age(pack, &commit, now)?;

    let reader = Reader { bag: &bag, tree: &commit.tree, limits: &limits };
    check_marker(policy, &reader)?;
    let manifest = read_manifest(policy, &reader)?;
    check_manifest(pack, &manifest)?;
    // checks the whole matrix: paths inside the repository, no two cells with one path
    let wanted = cells(&manifest, &pack.identity, &pack.environment).map_err(PackError::Matrix)?;
    let (cells, mut dependencies) = read_cells(pack, &reader, wanted)?;
    let extra = bag.unused().len();
    if extra > 0 {
        return Err(PackError::ExtraObjects { count: extra });
    }
    dependencies.splice(0..0, object_facts(policy, &bag, &reader)?);

    let source = SourceFacts {
        repository: policy.source.repository.clone(),
        commit: id.to_string(),
        tree: commit.tree.to_string(),
        committed_on: committed.to_rfc3339(),
        signature,
        assurance: Assurance::EnclaveVerified,
    };
    Ok(VerifiedInputs {
        pack: pack.clone(),
        repository: policy.source.repository.clone(),
        object_format: policy.source.object_format.clone(),
        ttl_seconds,
        cells,
        source,
        dependencies,
        host: HostChosen {
            commit: request.commit,
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
            _ => Err(PackError::Request("an object's kind is commit, tree or blob")),
        })
        .collect()
}

fn verify_signature(
    policy: &Policy,
    pack: &Pack,
    commit: &Commit,
    now: UnixMillis,
) -> Result<CommitSignature, PackError> {
    let signers: Vec<_> = policy.signers_of(pack).collect();
    let allowed = signers
        .iter()
        .map(|signer| PublicKey::parse(&signer.ssh).map(AllowedSigner::key).map_err(PackError::PolicySigner))
        .collect::<Result<Vec<_>, _>>()?;
    let verified = commit.verify_signature(&allowed, &[now.as_secs()]).map_err(PackError::Signature)?;
    let signer = signers.get(verified.index).ok_or(PackError::Crypto("finding the signer"))?;
    Ok(CommitSignature {
        scheme: verified.scheme.into(),
        signer: signer.name.clone(),
        principal: signer.principal.clone(),
        fingerprint: verified.fingerprint,
    })
}

fn check_age(pack: &Pack, commit: &Commit, now: UnixMillis) -> Result<UnixMillis, PackError> {
    let seconds = u64::try_from(commit.committer.seconds).unwrap_or(0);
    let now_seconds = now.as_secs();
    if seconds > now_seconds.saturating_add(MAX_CLOCK_SKEW_SECONDS) {
        return Err(PackError::CommitInFuture);
    }
    let age_seconds = now_seconds.saturating_sub(seconds);
    if age_seconds > pack.max_commit_age_seconds {
        return Err(PackError::CommitTooOld { age_seconds, max_seconds: pack.max_commit_age_seconds });
    }
    UnixMillis::from_secs(seconds).ok_or(PackError::CommitInFuture)
}

/// Reads files of the one commit.
struct Reader<'a> {
    bag: &'a ObjectBag,
    tree: &'a ObjectId,
    limits: &'a Limits,
}

/// A regular file: its mode, id and content.
struct File<'a> {
    mode: Mode,
    id: ObjectId,
    body: &'a [u8],
}

/// What stands at a path.
enum Found<'a> {
    File(File<'a>),
    NotRegular,
    Absent,
}

impl<'a> Reader<'a> {
    fn read(&self, path: &str) -> Result<Found<'a>, PackError> {
        match lookup(self.bag, self.tree, path, self.limits).map_err(PackError::Git)? {
            Lookup::Found { mode: mode @ (Mode::File | Mode::Executable), id } => {
                let body = self.bag.get(Kind::Blob, &id).map_err(PackError::Git)?;
                Ok(Found::File(File { mode, id, body }))
            }
            Lookup::Found { .. } => Ok(Found::NotRegular),
            Lookup::Absent => Ok(Found::Absent),
        }
    }
}

fn check_marker(policy: &Policy, reader: &Reader<'_>) -> Result<(), PackError> {
    let Found::File(marker) = reader.read(REPOSITORY_MARKER)? else {
        return Err(PackError::NoRepositoryMarker);
    };
    let line = marker.body.strip_suffix(b"\n").unwrap_or(marker.body);
    if line == policy.source.repository.as_bytes() { Ok(()) } else { Err(PackError::WrongRepository) }
}

fn read_manifest(policy: &Policy, reader: &Reader<'_>) -> Result<Manifest, PackError> {
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

fn read_cells(
    pack: &Pack,
    reader: &Reader<'_>,
    wanted: Vec<CellPath>,
) -> Result<(Vec<VerifiedCell>, Vec<Dependency>), PackError> {
    let (mut cells, mut facts) = (Vec::new(), Vec::new());
    for CellPath { namespace, path, format, .. } in wanted {
        let file = match reader.read(&path)? {
            Found::File(file) => file,
            Found::NotRegular => return Err(PackError::CellNotRegular(path)),
            Found::Absent if pack.missing_cells == MissingCells::Skip => {
                facts.push(absent(namespace, path));
                continue;
            }
            Found::Absent => return Err(PackError::CellMissing(path)),
        };
        let sops_format = match format {
            CellFormat::Yaml => Format::Yaml,
            CellFormat::Json => Format::Json,
        };
        let cell = Cell::parse(file.body, sops_format, &packproof_sops::Limits::default())
            .map_err(|error| PackError::Cell { path: path.clone(), error })?;
        let (used, opener) = choose_opener(pack, &path, cell.entries())?;
        if pack.only_recipients {
            check_only_recipients(pack, &path, cell.entries())?;
        }
        let mut fact = blob_fact(&path, Role::Cell, &file);
        fact.annotations.namespace = Some(namespace.clone());
        fact.annotations.key_entries = entry_facts(cell.entries(), used);
        facts.push(fact);
        cells.push(VerifiedCell { namespace, path, format, cell, opener });
    }
    Ok((cells, facts))
}

/// The first entry, in file order, for a key that the policy names.
fn choose_opener(pack: &Pack, path: &str, entries: &[KeyEntry]) -> Result<(usize, Opener), PackError> {
    for (index, entry) in entries.iter().enumerate() {
        match (entry, &pack.cell_keys) {
            (KeyEntry::Kms { arn, role, context, enc, aws_profile, .. }, CellKeys::Kms(keys)) => {
                let Some(key) = keys.iter().find(|key| key.arn == *arn) else { continue };
                if key.context != *context {
                    return Err(PackError::WrongContext(path.to_owned()));
                }
                if role.as_ref().is_some_and(|role| !role.is_empty())
                    || aws_profile.as_ref().is_some_and(|profile| !profile.is_empty())
                {
                    return Err(PackError::EntryWantsRole(path.to_owned()));
                }
                let opener = Opener::Kms { arn: arn.clone(), context: context.clone(), blob: enc.clone() };
                return Ok((index, opener));
            }
            (KeyEntry::Age { recipient, enc, .. }, CellKeys::Sealed { recipient: Some(pinned), .. })
                if recipient == pinned =>
            {
                return Ok((index, Opener::Age { enc: enc.clone() }));
            }
            _ => {}
        }
    }
    Err(PackError::NoAllowedKey(path.to_owned()))
}

fn check_only_recipients(pack: &Pack, path: &str, entries: &[KeyEntry]) -> Result<(), PackError> {
    let foreign = entries.iter().find(|entry| match (entry, &pack.cell_keys) {
        (KeyEntry::Kms { arn, .. }, CellKeys::Kms(keys)) => !keys.iter().any(|key| key.arn == *arn),
        (KeyEntry::Age { recipient, .. }, CellKeys::Sealed { recipient: Some(pinned), .. }) => recipient != pinned,
        _ => true,
    });
    match foreign {
        Some(entry) => Err(PackError::ForeignRecipient { path: path.to_owned(), recipient: describe(entry).1 }),
        None => Ok(()),
    }
}

fn describe(entry: &KeyEntry) -> (String, String) {
    match entry {
        KeyEntry::Kms { arn, .. } => ("kms".to_owned(), arn.clone()),
        KeyEntry::Age { recipient, .. } => ("age".to_owned(), recipient.clone()),
        KeyEntry::Other { kind, id, .. } => ((*kind).to_owned(), id.clone()),
        // a kind that this version of the reader does not name is still listed
        _ => ("unknown".to_owned(), String::new()),
    }
}

fn entry_facts(entries: &[KeyEntry], used: usize) -> Vec<EntryFact> {
    let fact = |(index, entry)| {
        let (kind, id) = describe(entry);
        EntryFact { kind, id, used: index == used }
    };
    entries.iter().enumerate().map(fact).collect()
}

/// Commit, trees, marker and manifest. The SHA-256 of every object stands beside its id: SHA-1 alone is not enough.
fn object_facts(policy: &Policy, bag: &ObjectBag, reader: &Reader<'_>) -> Result<Vec<Dependency>, PackError> {
    let mut facts = Vec::new();
    for (kind, id, body) in bag.used() {
        let (name, role) = match kind {
            Kind::Commit => ("gitCommit", Role::Commit),
            Kind::Tree => ("gitTree", Role::Tree),
            _ => continue,
        };
        facts.push(Dependency {
            name: id.to_string(),
            digest: digests(name, id, body),
            annotations: plain_facts(role),
        });
    }
    facts.sort_by_key(|fact| fact.annotations.role);
    for (path, role) in [(REPOSITORY_MARKER, Role::RepositoryMarker), (policy.source.manifest.as_str(), Role::Manifest)]
    {
        if let Found::File(file) = reader.read(path)? {
            facts.push(blob_fact(path, role, &file));
        }
    }
    Ok(facts)
}

fn blob_fact(path: &str, role: Role, file: &File<'_>) -> Dependency {
    let mut annotations = plain_facts(role);
    annotations.mode = Some(file.mode.octal().to_owned());
    Dependency { name: path.to_owned(), digest: digests("gitBlob", &file.id, file.body), annotations }
}

fn absent(namespace: String, path: String) -> Dependency {
    let mut annotations = plain_facts(Role::AbsentCell);
    annotations.namespace = Some(namespace);
    Dependency { name: path, digest: BTreeMap::new(), annotations }
}

fn plain_facts(role: Role) -> DependencyFacts {
    DependencyFacts {
        role,
        assurance: Assurance::EnclaveVerified,
        mode: None,
        namespace: None,
        key_entries: Vec::new(),
    }
}

fn digests(name: &str, id: &ObjectId, body: &[u8]) -> BTreeMap<String, String> {
    BTreeMap::from([(name.to_owned(), id.to_string()), ("sha256".to_owned(), hex::encode(Sha256::digest(body)))])
}
