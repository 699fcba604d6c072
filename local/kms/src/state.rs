//! Principals and keys, in memory and in one file.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use packproof_receipt::time::UnixMillis;
use packproof_secret::{Secret, SecretBytes, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::arn::{AliasArn, KeyArn};
use crate::encoding::{Blob, SecretText};
use crate::error::Error;
use crate::policy::{IamArn, Policy};
use crate::{files, random};

const STATE_FILE: &str = "state.json";
/// The format of the state file.
const FORMAT: u32 = 1;
/// Room for [`MAX_KEYS`] keys with the longest policy (32 KiB), each character escaped into six.
const MAX_STATE_BYTES: u64 = 256 * 1024 * 1024;
/// More than anybody makes by hand; a loop that creates keys ends here.
pub(crate) const MAX_KEYS: usize = 1000;
/// The same for aliases.
pub(crate) const MAX_ALIASES: usize = 1000;

/// Somebody with an access key. In AWS this would be an IAM user or the credentials of an assumed role.
pub struct Principal {
    /// ARN of the user, role or account root.
    pub arn: String,
    /// The access key id: `AKIA…`.
    pub access_key_id: String,
    /// The secret access key, 40 characters.
    pub secret_access_key: SecretString,
}

/// Where a key's material comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Origin {
    /// Made here.
    #[serde(rename = "AWS_KMS")]
    AwsKms,
    /// Imported.
    #[serde(rename = "EXTERNAL")]
    External,
}

impl Origin {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::AwsKms => "AWS_KMS",
            Self::External => "EXTERNAL",
        }
    }
}

/// One symmetric key.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) arn: KeyArn,
    pub(crate) material: Arc<Secret<32>>,
    /// 64 hex digits, random: names the material and tells nothing about it.
    pub(crate) material_id: String,
    pub(crate) origin: Origin,
    pub(crate) description: String,
    pub(crate) created: UnixMillis,
    /// As it was put; `GetKeyPolicy` answers this.
    pub(crate) policy_text: String,
    pub(crate) policy: Policy,
}

/// Another name of a key.
#[derive(Clone)]
pub(crate) struct Alias {
    pub(crate) arn: AliasArn,
    pub(crate) target: KeyArn,
    pub(crate) created: UnixMillis,
}

/// What the file holds.
#[derive(Clone, Default)]
struct Inner {
    principals: Vec<Arc<Principal>>,
    /// By key id.
    keys: BTreeMap<String, Arc<Key>>,
    aliases: BTreeMap<AliasArn, Alias>,
}

/// The state directory, taken for this process.
pub(crate) struct Store {
    dir: PathBuf,
    inner: Mutex<Inner>,
    /// Dropping it frees the directory.
    _lock: File,
}

impl Store {
    /// Takes the directory and loads what is there.
    pub(crate) fn open(dir: &Path) -> Result<Self, Error> {
        files::make_dir(dir)?;
        let lock = files::lock(dir)?;
        let inner = load(&dir.join(STATE_FILE))?;
        Ok(Self { dir: dir.to_owned(), inner: Mutex::new(inner), _lock: lock })
    }

    pub(crate) fn principals(&self) -> Vec<Arc<Principal>> {
        self.inner().principals.clone()
    }

    pub(crate) fn principal(&self, access_key_id: &str) -> Option<Arc<Principal>> {
        self.inner().principals.iter().find(|principal| principal.access_key_id == access_key_id).cloned()
    }

    /// The principal with this ARN, made when there is none yet.
    pub(crate) fn add_principal(&self, arn: &str) -> Result<Arc<Principal>, Error> {
        IamArn::parse(arn).ok_or_else(|| Error::PrincipalArn { arn: arn.to_owned() })?;
        self.change(|inner| {
            if let Some(principal) = inner.principals.iter().find(|principal| principal.arn == arn) {
                return Ok(principal.clone());
            }
            let random: Secret<30> = random::secret()?;
            let principal = Arc::new(Principal {
                arn: arn.to_owned(),
                access_key_id: random::access_key_id()?,
                secret_access_key: STANDARD.encode(random.expose()).into(),
            });
            inner.principals.push(principal.clone());
            Ok(principal)
        })
    }

    pub(crate) fn key(&self, id: &str) -> Option<Arc<Key>> {
        self.inner().keys.get(id).cloned()
    }

    pub(crate) fn key_count(&self) -> usize {
        self.inner().keys.len()
    }

    /// Adds a key; its id must be new.
    pub(crate) fn add_key(&self, key: Key) -> Result<Arc<Key>, Error> {
        let key = Arc::new(key);
        self.change(|inner| {
            if inner.keys.contains_key(key.arn.id()) {
                return Err(Error::KeyExists { arn: key.arn.as_str().to_owned() });
            }
            inner.keys.insert(key.arn.id().to_owned(), key.clone());
            Ok(key)
        })
    }

    /// Replaces the policy of a key.
    pub(crate) fn put_policy(&self, arn: &str, text: String) -> Result<(), Error> {
        let policy = Policy::parse(&text)?;
        self.change(|inner| {
            let key = inner.keys.values_mut().find(|key| key.arn.as_str() == arn);
            let key = key.ok_or_else(|| Error::KeyNotFound { arn: arn.to_owned() })?;
            *key = Arc::new(Key { policy, policy_text: text, ..Key::clone(key) });
            Ok(())
        })
    }

    pub(crate) fn alias(&self, arn: &AliasArn) -> Option<Alias> {
        self.inner().aliases.get(arn).cloned()
    }

    /// In the order of their ARNs.
    pub(crate) fn aliases(&self) -> Vec<Alias> {
        self.inner().aliases.values().cloned().collect()
    }

    pub(crate) fn alias_count(&self) -> usize {
        self.inner().aliases.len()
    }

    /// Adds an alias; false when there is one of this ARN.
    pub(crate) fn add_alias(&self, alias: Alias) -> Result<bool, Error> {
        self.change(|inner| {
            let new = !inner.aliases.contains_key(&alias.arn);
            inner.aliases.entry(alias.arn.clone()).or_insert(alias);
            Ok(new)
        })
    }

    /// Changes a copy, writes it, and only then takes it over: memory never holds what the file does not.
    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> Result<T, Error>) -> Result<T, Error> {
        let mut inner = self.inner();
        let mut changed = inner.clone();
        let result = change(&mut changed)?;
        files::replace(&self.dir, STATE_FILE, &to_json(&changed)?)?;
        *inner = changed;
        Ok(result)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere leaves the state whole: it is replaced in one assignment.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StateFile {
    format: u32,
    principals: Vec<PrincipalRecord>,
    keys: Vec<KeyRecord>,
    /// Not there in a file from before there were aliases.
    #[serde(default)]
    aliases: Vec<AliasRecord>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AliasRecord {
    arn: String,
    key: String,
    created_ms: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PrincipalRecord {
    arn: String,
    access_key_id: String,
    secret_access_key: SecretText,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyRecord {
    arn: String,
    material: Blob,
    material_id: String,
    origin: Origin,
    description: String,
    created_ms: u64,
    policy: String,
}

fn to_json(inner: &Inner) -> Result<Zeroizing<Vec<u8>>, Error> {
    let principals = inner.principals.iter().map(|principal| PrincipalRecord {
        arn: principal.arn.clone(),
        access_key_id: principal.access_key_id.clone(),
        secret_access_key: SecretText(principal.secret_access_key.expose().to_owned().into()),
    });
    let keys = inner.keys.values().map(|key| {
        let mut material = SecretBytes::with_capacity(32);
        material.extend(key.material.expose());
        KeyRecord {
            arn: key.arn.as_str().to_owned(),
            material: Blob(material),
            material_id: key.material_id.clone(),
            origin: key.origin,
            description: key.description.clone(),
            created_ms: key.created.0,
            policy: key.policy_text.clone(),
        }
    });
    let aliases = inner.aliases.values().map(|alias| AliasRecord {
        arn: alias.arn.as_str().to_owned(),
        key: alias.target.as_str().to_owned(),
        created_ms: alias.created.0,
    });
    let file = StateFile {
        format: FORMAT,
        principals: principals.collect(),
        keys: keys.collect(),
        aliases: aliases.collect(),
    };
    // Large enough at once (JSON escapes a character into six at most), so that no grown copy is left behind.
    let texts: usize = file.keys.iter().map(|key| key.policy.len().saturating_add(key.description.len())).sum();
    let records = file.keys.len().saturating_add(file.principals.len()).saturating_add(file.aliases.len());
    let room = texts.saturating_mul(6).saturating_add(records.saturating_mul(1024)).saturating_add(1024);
    let mut json = Zeroizing::new(Vec::with_capacity(room));
    serde_json::to_writer_pretty(&mut *json, &file)
        .map_err(|error| Error::io("write", Path::new(STATE_FILE))(error.into()))?;
    Ok(json)
}

fn load(path: &Path) -> Result<Inner, Error> {
    let Some(contents) = files::read(path, MAX_STATE_BYTES)? else { return Ok(Inner::default()) };
    let wrong = |reason: &str| Error::StateUnreadable { path: path.to_owned(), reason: reason.to_owned() };
    // The library's own message could repeat a value of the file.
    let file: StateFile = serde_json::from_slice(&contents)
        .map_err(|error| wrong(&format!("line {} is not as this version writes it", error.line())))?;
    if file.format != FORMAT {
        return Err(wrong("it has another format number"));
    }
    let mut inner = Inner::default();
    for record in file.principals {
        IamArn::parse(&record.arn).ok_or_else(|| wrong("a principal's ARN is not one"))?;
        inner.principals.push(Arc::new(Principal {
            arn: record.arn,
            access_key_id: record.access_key_id,
            secret_access_key: record.secret_access_key.0,
        }));
    }
    for record in file.keys {
        let key = Key {
            arn: KeyArn::parse(&record.arn).ok_or_else(|| wrong("a key's ARN is not one"))?,
            material: Arc::new(
                Secret::copy_from(record.material.0.expose()).ok_or_else(|| wrong("a key has not 32 bytes"))?,
            ),
            material_id: record.material_id,
            origin: record.origin,
            description: record.description,
            created: UnixMillis(record.created_ms),
            policy: Policy::parse(&record.policy)?,
            policy_text: record.policy,
        };
        if inner.keys.insert(key.arn.id().to_owned(), Arc::new(key)).is_some() {
            return Err(wrong("a key id is there twice"));
        }
    }
    for record in file.aliases {
        let arn = AliasArn::parse(&record.arn).ok_or_else(|| wrong("an alias's ARN is not one"))?;
        let target = KeyArn::parse(&record.key).ok_or_else(|| wrong("a key's ARN is not one"))?;
        let alias = Alias { arn: arn.clone(), target, created: UnixMillis(record.created_ms) };
        if inner.aliases.insert(arn, alias).is_some() {
            return Err(wrong("an alias is there twice"));
        }
    }
    Ok(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str =
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*"}}"#;

    fn key(id: &str) -> Key {
        Key {
            arn: KeyArn::parse(&format!("arn:aws:kms:eu-west-1:111122223333:key/{id}")).unwrap(),
            material: Arc::new(Secret::copy_from(&[9; 32]).unwrap()),
            material_id: "00".into(),
            origin: Origin::External,
            description: "a \"test\"".into(),
            created: UnixMillis(1),
            policy: Policy::parse(POLICY).unwrap(),
            policy_text: POLICY.into(),
        }
    }

    #[test]
    fn what_was_written_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let ci = store.add_principal("arn:aws:iam::111122223333:role/ci").unwrap();
        assert_eq!(ci.access_key_id, store.add_principal(&ci.arn).unwrap().access_key_id);
        let arn = store.add_key(key("one")).unwrap().arn.as_str().to_owned();
        assert!(matches!(store.add_key(key("one")), Err(Error::KeyExists { .. })));
        let other = POLICY.replace("kms:*", "kms:Decrypt");
        store.put_policy(&arn, other.clone()).unwrap();
        assert!(matches!(store.put_policy(&arn, "{}".into()), Err(Error::Policy(_))));
        assert!(matches!(store.put_policy("arn", other.clone()), Err(Error::KeyNotFound { .. })));
        assert!(matches!(Store::open(dir.path()), Err(Error::InUse { .. })));
        let alias = Alias {
            arn: AliasArn::parse("arn:aws:kms:eu-west-1:111122223333:alias/app").unwrap(),
            target: KeyArn::parse(&arn).unwrap(),
            created: UnixMillis(2),
        };
        assert!(store.add_alias(alias.clone()).unwrap() && !store.add_alias(alias.clone()).unwrap());
        drop(store);

        let again = Store::open(dir.path()).unwrap();
        let found = again.principal(&ci.access_key_id).unwrap();
        assert_eq!(found.secret_access_key.expose(), ci.secret_access_key.expose());
        assert_eq!(again.alias(&alias.arn).unwrap().target.as_str(), arn);
        let found = again.key("one").unwrap();
        assert_eq!(found.material.expose(), &[9; 32]);
        assert_eq!((found.policy_text.as_str(), found.origin), (other.as_str(), Origin::External));
    }

    #[test]
    fn a_damaged_file_is_refused_without_its_values() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(STATE_FILE), r#"{"format": "hidden-value"}"#).unwrap();
        let error = Store::open(dir.path()).map(|_| ()).unwrap_err();
        assert_eq!(error.code(), "state_unreadable");
        assert!(!error.to_string().contains("hidden-value"));
    }

    #[test]
    fn refuses_principals_that_cannot_have_access_keys() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        assert!(matches!(store.add_principal("role/ci"), Err(Error::PrincipalArn { .. })));
    }
}
