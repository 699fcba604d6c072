//! The master keys of the `sops` block.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::metadata::{list, malformed};
use crate::tree::{Leaf, Tree};
use crate::{SopsError, scalar};

/// One master key that the data key is encrypted to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyEntry {
    /// An age recipient.
    Age {
        /// The recipient, as the file states it (`age1…`). Nothing proves that `enc` is for it.
        recipient: String,
        /// An armored age file: for [`crate::open_age_entry`].
        enc: String,
    },
    /// An AWS KMS key.
    Kms {
        /// The key's or alias's ARN, as the file states it.
        arn: String,
        /// A role to assume first.
        role: Option<String>,
        /// The encryption context.
        context: BTreeMap<String, String>,
        /// The `CiphertextBlob`, 1 to 6144 bytes.
        enc: Vec<u8>,
        /// A profile of the AWS configuration.
        aws_profile: Option<String>,
    },
    /// A master key of a kind that is listed but not used here.
    Other {
        /// `gcp_kms`, `azure_kv`, `hc_vault`, `hckms`, `pgp`, or `clef_hsm`: Clef writes a PKCS#11 key as a KMS entry with
        /// an invented ARN, which AWS must never be asked for.
        kind: &'static str,
        /// Which key, as the file states it.
        id: String,
    },
}

impl KeyEntry {
    /// `age`, `kms`, or as [`KeyEntry::Other`] says.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Age { .. } => "age",
            Self::Kms { .. } => "kms",
            Self::Other { kind, .. } => kind,
        }
    }
}

/// The keys of one kind. `parent` is where the list stands, for errors.
pub(crate) fn key_entries(kind: &str, keys: Tree, parent: &str) -> Result<Vec<KeyEntry>, SopsError> {
    let field = format!("{parent}.{kind}");
    let read: fn(Fields) -> Result<KeyEntry, SopsError> = match kind {
        "age" => age,
        "kms" => kms,
        "gcp_kms" => |fields| other("gcp_kms", fields, &["resource_id"]),
        "azure_kv" => |fields| other("azure_kv", fields, &["vault_url", "name", "version"]),
        "hc_vault" => |fields| other("hc_vault", fields, &["vault_address", "engine_path", "key_name"]),
        "hckms" => |fields| other("hckms", fields, &["key_id"]),
        "pgp" => |fields| other("pgp", fields, &["fp"]),
        _ => return Err(SopsError::UnknownMetadata { field: crate::error::show(&[&field]) }),
    };
    let keys = list(keys, &field)?.into_iter().enumerate();
    keys.map(|(i, key)| {
        let field = format!("{field}[{i}]");
        let Tree::Map(fields) = key else { return Err(malformed(&field)) };
        read(Fields { fields, field })
    })
    .collect()
}

/// The keys of one group, whatever their kinds.
pub(crate) fn group(group: Tree) -> Result<Vec<KeyEntry>, SopsError> {
    let Tree::Map(group) = group else { return Err(malformed("sops.key_groups")) };
    let mut entries = Vec::new();
    for (kind, keys) in group {
        entries.extend(key_entries(&kind, keys, "sops.key_groups")?);
    }
    Ok(entries)
}

/// Names key groups by what they hold.
pub(crate) fn holding(groups: &[Vec<KeyEntry>]) -> String {
    let mut shown: Vec<String> = Vec::new();
    for (i, group) in groups.iter().take(MAX_SHOWN_GROUPS).enumerate() {
        let kinds: Vec<String> = kinds(group).into_iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        shown.push(format!("[{i}]: {}", if kinds.is_empty() { "nothing".to_owned() } else { kinds.join(", ") }));
    }
    shown.join("; ")
}

/// How many there are of each kind, in the order of the first one.
pub(crate) fn kinds(entries: &[KeyEntry]) -> Vec<(&'static str, usize)> {
    let mut kinds: Vec<(&'static str, usize)> = Vec::new();
    for kind in entries.iter().map(KeyEntry::kind) {
        match kinds.iter_mut().find(|(seen, _)| *seen == kind) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => kinds.push((kind, 1)),
        }
    }
    kinds
}

/// The fields of one key entry, taken out one by one.
struct Fields {
    fields: Vec<(String, Tree)>,
    field: String,
}

impl Fields {
    fn take(&mut self, name: &str) -> Option<Tree> {
        let index = self.fields.iter().position(|(key, _)| key == name)?;
        Some(self.fields.swap_remove(index).1)
    }

    fn malformed(&self, name: &str) -> SopsError {
        malformed(&format!("{}.{name}", self.field))
    }

    /// Printable ASCII, not empty.
    fn id(&mut self, name: &str) -> Result<String, SopsError> {
        self.optional_id(name)?.ok_or_else(|| self.malformed(name))
    }

    /// Absent, empty and `null` are the same to sops.
    fn optional_id(&mut self, name: &str) -> Result<Option<String>, SopsError> {
        match self.take(name) {
            None | Some(Tree::Leaf(Leaf::Null)) => Ok(None),
            Some(Tree::Leaf(Leaf::Str(text))) if text.is_empty() => Ok(None),
            Some(Tree::Leaf(Leaf::Str(text))) if text.bytes().all(|b| matches!(b, b' '..=b'~')) => Ok(Some(text)),
            Some(_) => Err(self.malformed(name)),
        }
    }

    fn string(&mut self, name: &str) -> Result<String, SopsError> {
        match self.take(name) {
            Some(Tree::Leaf(Leaf::Str(text))) if !text.is_empty() => Ok(text),
            _ => Err(self.malformed(name)),
        }
    }

    /// sops reads the time when it reads the file, though it only uses it to say that a key is old.
    fn created_at(&mut self) -> Result<(), SopsError> {
        match self.take("created_at") {
            Some(Tree::Leaf(Leaf::Str(time) | Leaf::Time(time))) if scalar::is_rfc3339_nano(&time) => Ok(()),
            _ => Err(self.malformed("created_at")),
        }
    }

    fn all_taken(self) -> Result<(), SopsError> {
        match self.fields.into_iter().next() {
            None => Ok(()),
            Some((name, _)) => {
                let field = format!("{}.{name}", self.field);
                Err(SopsError::UnknownMetadata { field: crate::error::show(&[field]) })
            }
        }
    }
}

fn age(mut fields: Fields) -> Result<KeyEntry, SopsError> {
    let entry = KeyEntry::Age { recipient: fields.id("recipient")?, enc: fields.string("enc")? };
    fields.all_taken()?;
    Ok(entry)
}

fn kms(mut fields: Fields) -> Result<KeyEntry, SopsError> {
    let arn = fields.id("arn")?;
    let role = fields.optional_id("role")?;
    let aws_profile = fields.optional_id("aws_profile")?;
    let mut context = BTreeMap::new();
    match fields.take("context") {
        None | Some(Tree::Leaf(Leaf::Null)) => {}
        Some(Tree::Map(pairs)) => {
            for (key, value) in pairs {
                let Tree::Leaf(Leaf::Str(value)) = value else { return Err(fields.malformed("context")) };
                context.insert(key, value);
            }
        }
        Some(_) => return Err(fields.malformed("context")),
    }
    fields.created_at()?;
    let enc = BASE64_STANDARD.decode(fields.string("enc")?).map_err(|_| fields.malformed("enc"))?;
    if !(1..=MAX_KMS_BLOB_BYTES).contains(&enc.len()) {
        return Err(fields.malformed("enc"));
    }
    fields.all_taken()?;
    if arn.starts_with(CLEF_HSM_PREFIX) {
        return Ok(KeyEntry::Other { kind: "clef_hsm", id: arn });
    }
    Ok(KeyEntry::Kms { arn, role, context, enc, aws_profile })
}

fn other(kind: &'static str, mut fields: Fields, names: &[&str]) -> Result<KeyEntry, SopsError> {
    let mut parts = Vec::new();
    for name in names {
        parts.extend(fields.optional_id(name)?);
    }
    fields.created_at()?;
    // For a service that is not asked here.
    fields.string("enc")?;
    fields.all_taken()?;
    Ok(KeyEntry::Other { kind, id: parts.join("/") })
}

/// KMS caps a `CiphertextBlob` at 6144 bytes (API reference, Decrypt).
const MAX_KMS_BLOB_BYTES: usize = 6144;
/// Clef's invented ARN of a PKCS#11 key; the rest is the base64url of its URI.
const CLEF_HSM_PREFIX: &str = "arn:aws:kms:us-east-1:000000000000:alias/clef-hsm/v1/";
/// Most groups that an error describes.
const MAX_SHOWN_GROUPS: usize = 5;
