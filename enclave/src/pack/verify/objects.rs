//! Files of the one commit, and the receipt's list of every git object used.

use std::collections::BTreeMap;

use packproof_gitobj::{Kind, Limits, Lookup, Mode, ObjectBag, ObjectId, Trees};
use packproof_receipt::{
    policy::Policy,
    statement::{Assurance, Dependency, DependencyFacts, Role},
};
use sha2::{Digest, Sha256};

use super::REPOSITORY_MARKER;
use crate::pack::PackError;

/// Reads files of the one commit.
pub(super) struct Reader<'a> {
    bag: &'a ObjectBag,
    tree: &'a ObjectId,
    trees: Trees<'a>,
}

/// A regular file: its mode, id and content.
pub(super) struct File<'a> {
    pub(super) mode: Mode,
    pub(super) id: ObjectId,
    pub(super) body: &'a [u8],
}

/// What stands at a path.
pub(super) enum Found<'a> {
    File(File<'a>),
    NotRegular,
    Absent,
}

impl<'a> Reader<'a> {
    /// For the files below `tree`.
    pub(super) const fn new(bag: &'a ObjectBag, tree: &'a ObjectId, limits: &'a Limits) -> Self {
        Self { bag, tree, trees: Trees::new(bag, limits) }
    }

    /// What the commit has at `path`; its objects are then used.
    ///
    /// # Errors
    /// [`PackError::Git`]: an object on the way is missing or malformed.
    pub(super) fn read(&mut self, path: &str) -> Result<Found<'a>, PackError> {
        match self.trees.lookup(self.tree, path).map_err(PackError::Git)? {
            Lookup::Found { mode: mode @ (Mode::File | Mode::Executable), id } => {
                let body = self.bag.get(Kind::Blob, &id).map_err(PackError::Git)?;
                Ok(Found::File(File { mode, id, body }))
            }
            Lookup::Found { .. } => Ok(Found::NotRegular),
            Lookup::Absent => Ok(Found::Absent),
        }
    }
}

/// Commit, trees, marker and manifest. The SHA-256 of every object stands beside its id: SHA-1 alone is not enough.
pub(super) fn object_facts(
    policy: &Policy,
    bag: &ObjectBag,
    reader: &mut Reader<'_>,
) -> Result<Vec<Dependency>, PackError> {
    let mut facts = Vec::new();
    for (kind, id, body) in bag.used() {
        let (name, role) = match kind {
            Kind::Commit => ("gitCommit", Role::Commit),
            Kind::Tag => ("gitTag", Role::Tag),
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

pub(super) fn blob_fact(path: &str, role: Role, file: &File<'_>) -> Dependency {
    let mut annotations = plain_facts(role);
    annotations.mode = Some(file.mode.octal().to_owned());
    Dependency { name: path.to_owned(), digest: digests("gitBlob", &file.id, file.body), annotations }
}

pub(super) fn absent(namespace: String, path: String) -> Dependency {
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
        schema: None,
        pending_keys: Vec::new(),
        key_entries: Vec::new(),
    }
}

fn digests(name: &str, id: &ObjectId, body: &[u8]) -> BTreeMap<String, String> {
    BTreeMap::from([(name.to_owned(), id.to_string()), ("sha256".to_owned(), hex::encode(Sha256::digest(body)))])
}
