//! The `sops` block.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::sealed::{Kind, Sealed};
use crate::tree::{Leaf, Tree};
use crate::{Limits, SopsError, scalar};

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

/// Which values are encrypted, by the keys on their path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Selector {
    UnencryptedSuffix(String),
    EncryptedSuffix(String),
}

impl Selector {
    pub(crate) fn encrypts(&self, path: &[String]) -> bool {
        match self {
            Self::UnencryptedSuffix(suffix) => !path.iter().any(|key| key.ends_with(suffix)),
            Self::EncryptedSuffix(suffix) => path.iter().any(|key| key.ends_with(suffix)),
        }
    }
}

pub(crate) struct Metadata {
    pub(crate) entries: Vec<KeyEntry>,
    pub(crate) selector: Selector,
    pub(crate) mac_only_encrypted: bool,
    /// RFC 3339 without a fraction: the additional data of `mac`.
    pub(crate) last_modified: String,
    pub(crate) mac: Sealed,
}

/// SOPS's selector when the file names none.
const DEFAULT_UNENCRYPTED_SUFFIX: &str = "_unencrypted";
/// The MAC in clear is a SHA-512 in hex.
pub(crate) const MAC_LEN: usize = 128;
/// KMS caps a `CiphertextBlob` at 6144 bytes (API reference, Decrypt).
const MAX_KMS_BLOB_BYTES: usize = 6144;
/// Clef's invented ARN of a PKCS#11 key; the rest is the base64url of its URI.
const CLEF_HSM_PREFIX: &str = "arn:aws:kms:us-east-1:000000000000:alias/clef-hsm/v1/";

impl Metadata {
    pub(crate) fn parse(block: Tree, limits: &Limits) -> Result<Self, SopsError> {
        let Tree::Map(block) = block else { return Err(malformed("sops")) };
        let mut entries = Vec::new();
        let mut groups = Vec::new();
        let mut selectors = Vec::new();
        let mut mac_only_encrypted = false;
        let (mut last_modified, mut mac, mut version) = (None, None, String::new());
        for (name, value) in block {
            let field = format!("sops.{name}");
            match name.as_str() {
                "key_groups" => groups = list(value, &field)?,
                "lastmodified" => last_modified = Some(text(value, &field)?).filter(|text| !text.is_empty()),
                "mac" => mac = Some(text(value, &field)?).filter(|text| !text.is_empty()),
                "mac_only_encrypted" => {
                    let Tree::Leaf(Leaf::Bool(value)) = value else { return Err(malformed(&field)) };
                    mac_only_encrypted = value;
                }
                // Counts only with several groups.
                "shamir_threshold" => {
                    let Tree::Leaf(Leaf::Int(_) | Leaf::Float(_)) = value else { return Err(malformed(&field)) };
                }
                "version" => version = text(value, &field)?,
                _ => {
                    if let Some(selector) = SELECTORS.into_iter().find(|selector| *selector == name) {
                        let pattern = text(value, &field)?;
                        if !pattern.is_empty() {
                            selectors.push((selector, pattern));
                        }
                    } else {
                        entries.extend(key_entries(&name, value, "sops")?);
                    }
                }
            }
        }

        if !is_version(&version) {
            return Err(malformed("sops.version"));
        }
        // As sops: groups count only when no key stands outside them. Both at once is refused here.
        match groups.len() {
            0 => {}
            1 if entries.is_empty() => entries = group_entries(groups)?,
            1 => return Err(malformed("sops.key_groups")),
            count => return Err(SopsError::KeyGroups { groups: count }),
        }
        if entries.is_empty() {
            return Err(SopsError::NoKeys);
        }
        if entries.len() > limits.max_key_entries {
            return Err(SopsError::LimitExceeded { limit: "max_key_entries" });
        }

        let last_modified = last_modified.ok_or(SopsError::MissingLastModified)?;
        if !scalar::is_rfc3339(&last_modified) {
            return Err(malformed("sops.lastmodified"));
        }
        let mac = Sealed::parse(&mac.ok_or(SopsError::MissingMac)?).map_err(|_| malformed("sops.mac"))?;
        if mac.kind != Kind::Str || mac.ciphertext.len() != MAC_LEN {
            return Err(malformed("sops.mac"));
        }
        Ok(Self { entries, selector: selector(selectors)?, mac_only_encrypted, last_modified, mac })
    }
}

const SELECTORS: [&str; 6] = [
    "unencrypted_suffix",
    "encrypted_suffix",
    "unencrypted_regex",
    "encrypted_regex",
    "unencrypted_comment_regex",
    "encrypted_comment_regex",
];

fn selector(mut named: Vec<(&'static str, String)>) -> Result<Selector, SopsError> {
    let first = named.pop();
    if !named.is_empty() {
        return Err(SopsError::SeveralSelectors);
    }
    match first {
        None => Ok(Selector::UnencryptedSuffix(DEFAULT_UNENCRYPTED_SUFFIX.into())),
        Some(("unencrypted_suffix", suffix)) => Ok(Selector::UnencryptedSuffix(suffix)),
        Some(("encrypted_suffix", suffix)) => Ok(Selector::EncryptedSuffix(suffix)),
        Some((selector, _)) => Err(SopsError::UnsupportedSelector { selector }),
    }
}

/// Semantic Versioning's `1.2.3`, perhaps with `-pre` or `+build`. sops wants one too, but what it says changes nothing.
fn is_version(version: &str) -> bool {
    let (core, rest) = version.split_at_checked(version.find(['-', '+']).unwrap_or(version.len())).unwrap_or_default();
    let number = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()) && (part == "0" || !part.starts_with('0'))
    };
    core.split('.').count() == 3
        && core.split('.').all(number)
        && rest.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.'))
}

fn malformed(field: &str) -> SopsError {
    SopsError::MalformedMetadata { field: crate::error::show(&[field]) }
}

fn text(value: Tree, field: &str) -> Result<String, SopsError> {
    match value {
        // Older versions wrote times without quotes.
        Tree::Leaf(Leaf::Str(text) | Leaf::Time(text)) => Ok(text),
        _ => Err(malformed(field)),
    }
}

/// sops up to 3.9 writes absent lists as `[]` (YAML) or `null` (JSON).
fn list(value: Tree, field: &str) -> Result<Vec<Tree>, SopsError> {
    match value {
        Tree::List(items) => Ok(items),
        Tree::Leaf(Leaf::Null) => Ok(Vec::new()),
        _ => Err(malformed(field)),
    }
}

fn group_entries(groups: Vec<Tree>) -> Result<Vec<KeyEntry>, SopsError> {
    let mut entries = Vec::new();
    for group in groups {
        let Tree::Map(group) = group else { return Err(malformed("sops.key_groups")) };
        for (kind, keys) in group {
            entries.extend(key_entries(&kind, keys, "sops.key_groups")?);
        }
    }
    Ok(entries)
}

/// The keys of one kind. `parent` is where the list stands, for errors.
fn key_entries(kind: &str, keys: Tree, parent: &str) -> Result<Vec<KeyEntry>, SopsError> {
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
    match fields.take("created_at") {
        Some(Tree::Leaf(Leaf::Str(time) | Leaf::Time(time))) if scalar::is_rfc3339_nano(&time) => {}
        _ => return Err(fields.malformed("created_at")),
    }
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
    Ok(KeyEntry::Other { kind, id: parts.join("/") })
}
