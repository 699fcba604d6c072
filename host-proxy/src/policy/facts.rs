//! What a repository says about one identity and environment.

use std::{collections::BTreeMap, io, path::Path};

use packproof_artifact::{
    manifest::{Backend, Environment, Identity, KmsProvider, Manifest, Target},
    matrix::{self, CellFormat},
};
use packproof_sops::{Cell, Format, KeyEntry, Limits};

use crate::{Error, files};

/// Longest cell; the same as the reader's limit.
const MAX_CELL_BYTES: u64 = 8 << 20;

/// A KMS key of cells and the context it is used under.
pub(super) type Key = (String, BTreeMap<String, String>);

/// One entry of a policy, as far as the repository knows it.
pub(super) struct Facts {
    pub(super) identity: String,
    pub(super) environment: String,
    pub(super) namespaces: Vec<String>,
    pub(super) cell_keys: CellKeys,
    pub(super) target: Target,
}

/// What opens the cells.
pub(super) enum CellKeys {
    Kms(Vec<Key>),
    Age,
}

/// Why there is no entry: a policy of this version cannot say it.
pub(super) struct LeftOut(pub(super) String);

/// Reads the manifest's word and the cells in the work tree at `root`.
///
/// # Errors
/// [`Error::Matrix`], [`Error::Cell`], [`Error::CannotRead`].
pub(super) fn read(
    root: &Path,
    manifest: &Manifest,
    identity: &Identity,
    environment: &Environment,
    target: &Target,
) -> Result<Result<Facts, LeftOut>, Error> {
    let left_out = |why: &str| Ok(Err(LeftOut(format!("{}/{}: {why}", identity.name, environment.name))));
    if let Target::Kms { provider: KmsProvider::Gcp | KmsProvider::Azure, .. } = target {
        return left_out("its artifacts are encrypted to another KMS than AWS's");
    }
    let cells = read_cells(root, manifest, identity, environment)?;
    let cell_keys = if cells.is_empty() {
        let config = manifest.sops_config(environment);
        match (config.backend, &config.aws_kms_arn) {
            (Backend::Age, _) => CellKeys::Age,
            (Backend::AwsKms, Some(arn)) => CellKeys::Kms(vec![(arn.clone(), BTreeMap::new())]),
            _ => {
                return left_out("it has no cells yet, and the manifest names neither age nor an AWS KMS key for them");
            }
        }
    } else if cells.iter().all(|cell| !cell.kms.is_empty()) {
        CellKeys::Kms(distinct(cells.into_iter().flat_map(|cell| cell.kms)))
    } else if cells.iter().all(|cell| cell.kms.is_empty() && cell.age) {
        CellKeys::Age
    } else {
        return left_out(
            "not all of its cells can be opened in one way: give each a KMS key, or each an age recipient",
        );
    };
    let declared = manifest.namespaces.iter().map(|namespace| &namespace.name);
    let namespaces = declared.filter(|name| identity.namespaces.contains(name)).cloned().collect();
    Ok(Ok(Facts {
        identity: identity.name.clone(),
        environment: environment.name.clone(),
        namespaces,
        cell_keys,
        target: target.clone(),
    }))
}

struct CellFacts {
    kms: Vec<Key>,
    age: bool,
}

fn read_cells(
    root: &Path,
    manifest: &Manifest,
    identity: &Identity,
    environment: &Environment,
) -> Result<Vec<CellFacts>, Error> {
    let mut cells = Vec::new();
    for cell in matrix::cells(manifest, &identity.name, &environment.name).map_err(Error::Matrix)? {
        let path = root.join(&cell.path);
        let bytes = match files::read(&path, MAX_CELL_BYTES) {
            // A cell that does not exist yet: Clef leaves it out.
            Err(Error::CannotRead { error, .. }) if error.kind() == io::ErrorKind::NotFound => continue,
            read => read?,
        };
        let format = match cell.format {
            CellFormat::Yaml => Format::Yaml,
            CellFormat::Json => Format::Json,
        };
        let cell = Cell::parse(&bytes, format, &Limits::default()).map_err(|error| Error::Cell { path, error })?;
        let kms = cell.entries().iter().filter_map(|entry| match entry {
            KeyEntry::Kms { arn, context, .. } => Some((arn.clone(), context.clone())),
            _ => None,
        });
        let age = cell.entries().iter().any(|entry| matches!(entry, KeyEntry::Age { .. }));
        cells.push(CellFacts { kms: distinct(kms), age });
    }
    Ok(cells)
}

/// Each key once, in the order of first appearance.
fn distinct(keys: impl IntoIterator<Item = Key>) -> Vec<Key> {
    let mut seen = Vec::new();
    for key in keys {
        if !seen.contains(&key) {
            seen.push(key);
        }
    }
    seen
}
