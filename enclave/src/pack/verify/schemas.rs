//! Schemas that the policy pins: Clef's `lint` looks at them, its `pack` does not.
//!
//! What the host or a repository writer could do: change a schema, give a namespace a weaker one, or drop the line that
//! gives it one. So the content is pinned by SHA-256, and where the policy pins any schema, every cell that is packed has
//! a pinned one. Which of the pinned schemas a namespace has is the signer's word.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use packproof_artifact::{manifest::Manifest, schema::Schema};
use packproof_receipt::{
    policy::Pack,
    statement::{Dependency, Role},
};
use sha2::{Digest, Sha256};

use super::objects::{Found, Reader, blob_fact};
use crate::pack::PackError;

/// Schemas as they are needed, each read once.
pub(super) struct Schemas<'a> {
    pack: &'a Pack,
    manifest: &'a Manifest,
    read: BTreeMap<&'a str, (Arc<Schema>, Dependency)>,
}

impl<'a> Schemas<'a> {
    pub(super) fn new(pack: &'a Pack, manifest: &'a Manifest) -> Self {
        Self { pack, manifest, read: BTreeMap::new() }
    }

    /// The schema of a namespace with its path; `None` where the policy pins none at all.
    ///
    /// # Errors
    /// [`PackError::SchemaNotGiven`], [`PackError::SchemaNotPinned`], [`PackError::SchemaMissing`], [`PackError::SchemaChanged`],
    /// [`PackError::Schema`].
    pub(super) fn of(
        &mut self,
        namespace: &str,
        reader: &mut Reader<'_>,
    ) -> Result<Option<(String, Arc<Schema>)>, PackError> {
        if self.pack.schemas.is_empty() {
            return Ok(None);
        }
        let declared = self.manifest.namespaces.iter().find(|declared| declared.name == namespace);
        let path = declared
            .and_then(|declared| declared.schema.as_deref())
            .ok_or_else(|| PackError::SchemaNotGiven { namespace: namespace.to_owned() })?;
        let pinned = self.pack.schemas.get(path).ok_or_else(|| PackError::SchemaNotPinned { path: path.to_owned() })?;
        let (schema, _) = match self.read.entry(path) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(read(path, pinned, reader)?),
        };
        Ok(Some((path.to_owned(), Arc::clone(schema))))
    }

    /// What was read, as the receipt lists it.
    pub(super) fn into_facts(self) -> impl Iterator<Item = Dependency> {
        self.read.into_values().map(|(_, fact)| fact)
    }
}

fn read(path: &str, pinned: &str, reader: &mut Reader<'_>) -> Result<(Arc<Schema>, Dependency), PackError> {
    let Found::File(file) = reader.read(path)? else {
        return Err(PackError::SchemaMissing { path: path.to_owned() });
    };
    if hex::encode(Sha256::digest(file.body)) != pinned {
        return Err(PackError::SchemaChanged { path: path.to_owned() });
    }
    let schema = Schema::parse(file.body).map_err(|error| PackError::Schema { path: path.to_owned(), error })?;
    Ok((Arc::new(schema), blob_fact(path, Role::Schema, &file)))
}
