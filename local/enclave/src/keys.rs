//! Keys of the local KMS by name, so that a policy can be written before it is pinned.

use std::{collections::BTreeMap, io::Write, path::Path};

use base64::{Engine, prelude::BASE64_STANDARD};
use packproof_local_kms::LocalKms;
use packproof_secret::{Secret, SecretBytes};
use serde::Deserialize;
use serde_json::json;

use crate::{LocalError, pin, state::State};

/// A key to import: for demos and tests, whose ciphertexts were made before.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Imported {
    arn: String,
    /// 32 bytes, standard base64.
    material: String,
}

/// Makes the named keys that do not exist yet and prints every key as one JSON object, name to ARN.
pub(crate) fn run(dir: &Path, create: &[String], import: Option<&Path>, out: &mut dyn Write) -> Result<(), LocalError> {
    let state = State::open(dir)?;
    let mut keys = state.keys()?;
    let imported = import.map(|path| crate::state::read(path).map(|bytes| (path, bytes))).transpose()?;
    let missing: Vec<&String> = create.iter().filter(|name| !keys.contains_key(*name)).collect();
    if !missing.is_empty() || imported.is_some() {
        let kms = state.kms(state.pki()?.root_der().to_vec())?;
        for name in missing {
            check_name(name)?;
            let arn = kms.create_key(name, Some(&pin::unpinned()))?;
            keys.insert(name.clone(), arn);
        }
        if let Some((path, bytes)) = &imported {
            let unreadable = || LocalError::State((*path).to_owned());
            keys.extend(import_keys(&kms, bytes).map_err(|error| error.unwrap_or_else(unreadable))?);
        }
        state.write_keys(&keys)?;
    }
    let keys = json!(keys);
    let _ = writeln!(out, "{keys:#}");
    Ok(())
}

/// Imports keys from JSON, name to `{arn, material}`. Fails with `None` when it is not of that form.
fn import_keys(kms: &LocalKms, json: &[u8]) -> Result<BTreeMap<String, String>, Option<LocalError>> {
    let imported: BTreeMap<String, Imported> = serde_json::from_slice(json).map_err(|_| None)?;
    let mut keys = BTreeMap::new();
    for (name, key) in imported {
        check_name(&name).map_err(Some)?;
        let material = SecretBytes::from(BASE64_STANDARD.decode(&key.material).map_err(|_| None)?);
        let material = Secret::copy_from(material.expose()).ok_or(None)?;
        kms.import_key(&key.arn, material, &pin::unpinned()).map_err(|error| Some(error.into()))?;
        keys.insert(name, key.arn);
    }
    Ok(keys)
}

fn check_name(name: &str) -> Result<(), LocalError> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if !name.is_empty() && name.bytes().all(plain) { Ok(()) } else { Err(LocalError::KeyName(name.to_owned())) }
}
