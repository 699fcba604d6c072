//! The demo's files, made by `local/enclave/demo/make.sh` with real sops and built into the program.

use std::{fs, path::Path};

use crate::LocalError;

/// The dev workload's age recipient, as the demo's manifest has it.
pub(super) const WORKLOAD_RECIPIENT: &str = "age1h37dyextx2m9glj2h4rhgy03awa9xmel699x6dq2mhu5f3f5zv2suk6lak";
/// A recipient of nobody in the policy.
pub(super) const ATTACKER_RECIPIENT: &str = "age1zu230vfjwvr64ndzzaq3mza888qmsju3rpuqzmxkkedg33x7egls4lr6kj";

macro_rules! demo {
    ($($to:literal: $from:literal),* $(,)?) => { [$(($to, include_str!(concat!("../../demo/", $from)))),*] };
}

/// Writes repository and keys into the demo's directory.
pub(super) fn write(dir: &Path) -> Result<(), LocalError> {
    let files = demo![
        "repo/clef.yaml": "repo/clef.yaml",
        "repo/.packproof/repository": "repo/.packproof/repository",
        "repo/secrets/stripe/dev.enc.yaml": "repo/secrets/stripe/dev.enc.yaml",
        "repo/secrets/stripe/production.enc.yaml": "repo/secrets/stripe/production.enc.yaml",
        "repo/secrets/rds-orders/dev.enc.yaml": "repo/secrets/rds-orders/dev.enc.yaml",
        "repo/secrets/rds-orders/production.enc.yaml": "repo/secrets/rds-orders/production.enc.yaml",
        "keys/README.md": "README.md",
        "keys/kms-keys.json": "kms-keys.json",
        "keys/age-key-dev.json": "age-key-dev.json",
        "keys/workload-dev.age.txt": "workload-dev.age.txt",
    ];
    for (name, content) in files {
        let path = dir.join(name);
        let parent = path.parent().unwrap_or(dir);
        let written = fs::create_dir_all(parent).and_then(|()| fs::write(&path, content));
        written.map_err(|error| LocalError::File(path, error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `make.sh` makes a new recipient: the constant must follow, or the demo's attack would change nothing.
    #[test]
    fn the_manifest_names_the_workload() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path()).unwrap();
        let manifest = fs::read_to_string(dir.path().join("repo/clef.yaml")).unwrap();
        assert_eq!(manifest.matches(WORKLOAD_RECIPIENT).count(), 1);
        let key = fs::read_to_string(dir.path().join("keys/workload-dev.age.txt")).unwrap();
        assert!(key.contains(WORKLOAD_RECIPIENT));
    }
}
