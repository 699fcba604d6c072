//! The state directory of local mode, and small files in it.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use packproof_local_kms::{Config, LocalKms};
use packproof_local_nsm::Pki;
use packproof_receipt::time::UnixMillis;
use serde::{Serialize, de::DeserializeOwned};

use crate::LocalError;

/// Paths inside a state directory.
#[derive(Clone, Debug)]
pub(crate) struct State {
    dir: PathBuf,
}

impl State {
    /// Opens or makes the directory.
    pub(crate) fn open(dir: &Path) -> Result<Self, LocalError> {
        fs::create_dir_all(dir).map_err(|error| LocalError::File(dir.to_owned(), error))?;
        let dir = fs::canonicalize(dir).map_err(|error| LocalError::File(dir.to_owned(), error))?;
        Ok(Self { dir })
    }

    pub(crate) fn nsm_dir(&self) -> PathBuf {
        self.dir.join("nsm")
    }

    pub(crate) fn release_dir(&self) -> PathBuf {
        self.dir.join("release")
    }

    /// The root as PEM, for `packproof-verify --root`.
    pub(crate) fn root_pem(&self) -> PathBuf {
        self.dir.join("root.pem")
    }

    /// The CA as PEM, for `AWS_CA_BUNDLE` and the policy.
    pub(crate) fn ca_pem(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.join("enclave.sock")
    }

    pub(crate) fn egress_socket(&self) -> PathBuf {
        self.dir.join(format!("enclave.sock_{}", packproof_wire::EGRESS_PORT))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Keys by name, and what each is pinned to.
    pub(crate) fn keys(&self) -> Result<BTreeMap<String, String>, LocalError> {
        Ok(self.read_json("keys.json")?.unwrap_or_default())
    }

    pub(crate) fn write_keys(&self, keys: &BTreeMap<String, String>) -> Result<(), LocalError> {
        self.write_json("keys.json", keys)
    }

    /// ARN to the PCR0 (hex) and purpose that its key policy pins.
    pub(crate) fn pins(&self) -> Result<BTreeMap<String, String>, LocalError> {
        Ok(self.read_json("pins.json")?.unwrap_or_default())
    }

    pub(crate) fn write_pins(&self, pins: &BTreeMap<String, String>) -> Result<(), LocalError> {
        self.write_json("pins.json", pins)
    }

    /// The port of the local KMS, kept so that a policy written once stays right.
    pub(crate) fn kms_port(&self) -> Result<Option<u16>, LocalError> {
        self.read_json("kms-port.json")
    }

    pub(crate) fn write_kms_port(&self, port: u16) -> Result<(), LocalError> {
        self.write_json("kms-port.json", &port)
    }

    /// The mock NSM's keys, made at first use.
    pub(crate) fn pki(&self) -> Result<Pki, LocalError> {
        let dir = self.nsm_dir();
        let pki = if dir.exists() { Pki::load(&dir) } else { Pki::create(&dir, now()) };
        let pki = pki.map_err(LocalError::Nsm)?;
        write(&self.root_pem(), pki.root_pem().as_bytes())?;
        Ok(pki)
    }

    /// The local KMS of this directory.
    pub(crate) fn kms(&self, root_der: Vec<u8>) -> Result<LocalKms, LocalError> {
        let kms = LocalKms::open(Config { state_dir: self.dir.join("kms"), root_der, clock: Arc::new(now) })?;
        write(&self.ca_pem(), kms.ca_pem().as_bytes())?;
        Ok(kms)
    }

    fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, LocalError> {
        let path = self.file(name);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|_| LocalError::State(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(LocalError::File(path, error)),
        }
    }

    fn write_json<T: Serialize>(&self, name: &str, value: &T) -> Result<(), LocalError> {
        let mut json = serde_json::to_vec_pretty(value).unwrap_or_default();
        json.push(b'\n');
        write(&self.file(name), &json)
    }
}

/// Writes a file beside its name and renames it.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), LocalError> {
    let temporary = path.with_extension("partial");
    let written = fs::write(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    written.map_err(|error| LocalError::File(path.to_owned(), error))
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, LocalError> {
    fs::read(path).map_err(|error| LocalError::File(path.to_owned(), error))
}

/// The laptop's clock: in local mode the mock NSM and the KMS live on it.
pub(crate) fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
