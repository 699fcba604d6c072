//! The cells of a pack: each read from the commit or proved absent, and opened by a key that the policy names.

use std::{collections::BTreeMap, sync::Arc};

use packproof_artifact::{
    manifest::Manifest,
    matrix::{CellFormat, CellPath},
    schema::Schema,
    sidecar::{pending_keys, sidecar_path},
};
use packproof_receipt::{
    policy::{CellKeys, MissingCells, Pack, Pending},
    statement::{Dependency, KeyEntry as EntryFact, Role},
};
use packproof_sops::{Cell, Format, KeyEntry};

use super::{
    objects::{Found, Reader, absent, blob_fact},
    schemas::Schemas,
};
use crate::pack::PackError;

/// One cell with the entry that opens it.
pub struct VerifiedCell {
    pub(in crate::pack) namespace: String,
    pub(in crate::pack) path: String,
    pub(in crate::pack) format: CellFormat,
    pub(in crate::pack) cell: Cell,
    pub(in crate::pack) opener: Opener,
    /// What its values must satisfy.
    pub(in crate::pack) schema: Option<Arc<Schema>>,
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

/// Reads every wanted cell, in order, and states each.
///
/// # Errors
/// [`PackError`], named for the first thing that is not so.
pub(super) fn read_cells(
    pack: &Pack,
    reader: &mut Reader<'_>,
    manifest: &Manifest,
    wanted: Vec<CellPath>,
) -> Result<(Vec<VerifiedCell>, Vec<Dependency>), PackError> {
    let (mut cells, mut facts) = (Vec::new(), Vec::new());
    let mut schemas = Schemas::new(pack, manifest);
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
        let schema = schemas.of(&namespace, reader)?;
        let sops_format = match format {
            CellFormat::Yaml => Format::Yaml,
            CellFormat::Json => Format::Json,
        };
        let cell = Cell::parse(file.body, sops_format, &packproof_sops::Limits::default())
            .map_err(|error| PackError::Cell { path: path.clone(), error })?;
        let (used, opener) = choose_opener(pack, &path, &cell)?;
        if pack.only_recipients {
            check_only_recipients(pack, &path, cell.entries())?;
        }
        let mut fact = blob_fact(&path, Role::Cell, &file);
        fact.annotations.namespace = Some(namespace.clone());
        fact.annotations.key_entries = entry_facts(cell.entries(), used);
        fact.annotations.schema = schema.as_ref().map(|(path, _)| path.clone());
        let sidecar = read_sidecar(pack, reader, &mut fact)?;
        facts.push(fact);
        facts.extend(sidecar);
        let schema = schema.map(|(_, schema)| schema);
        cells.push(VerifiedCell { namespace, path, format, cell, opener, schema });
    }
    facts.extend(schemas.into_facts());
    Ok((cells, facts))
}

/// Looks at a cell's sidecar where the policy says so; its pending keys enter the cell's fact.
fn read_sidecar(pack: &Pack, reader: &mut Reader<'_>, cell: &mut Dependency) -> Result<Option<Dependency>, PackError> {
    let Some(rule) = pack.pending else { return Ok(None) };
    let path = sidecar_path(&cell.name);
    let file = match reader.read(&path)? {
        Found::File(file) => file,
        Found::NotRegular => return Err(PackError::CellNotRegular(path)),
        Found::Absent => return Ok(None),
    };
    let keys = pending_keys(file.body).map_err(|error| PackError::Sidecar { path: path.clone(), error })?;
    if rule == Pending::Refuse && !keys.is_empty() {
        return Err(PackError::Pending(cell.name.clone()));
    }
    cell.annotations.pending_keys = keys;
    let mut fact = blob_fact(&path, Role::Sidecar, &file);
    fact.annotations.namespace.clone_from(&cell.annotations.namespace);
    Ok(Some(fact))
}

/// The first entry, in file order, for a key that the policy names.
fn choose_opener(pack: &Pack, path: &str, cell: &Cell) -> Result<(usize, Opener), PackError> {
    for (index, entry) in cell.entries().iter().enumerate() {
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
    Err(PackError::NoAllowedKey { path: path.to_owned(), found: cell.key_kinds() })
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
