//! Key policies as `packproof kms-policy` writes them.
#![allow(dead_code, reason = "each test program uses its part")]

use std::{ffi::OsString, fs, path::Path};

use serde_json::Value;

pub(crate) const CELLS: &str = "arn:aws:kms:eu-west-1:111122223333:key/cells";
pub(crate) const SIGNER: &str = "arn:aws:kms:eu-west-1:111122223333:key/signer";
pub(crate) const AGE: &str = "arn:aws:kms:eu-west-1:111122223333:key/age";
pub(crate) const ENVELOPE: &str = "arn:aws:kms:eu-west-1:111122223333:key/envelope";

const MEASURED: &str = r#"
schema = 1
[source]
repository = "https://git.acme.example/secrets"
object_format = "sha1"
manifest = "clef.yaml"
[[source.signer]]
name = "release"
principal = "release@acme.example"
ssh = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
[kms]
endpoint = "aws"
[[pack]]
identity = "checkout"
environment = "production"
namespaces = ["stripe"]
decrypt = ["arn:aws:kms:eu-west-1:111122223333:key/cells"]
envelope = "arn:aws:kms:eu-west-1:111122223333:key/envelope"
signer = { kms = "arn:aws:kms:eu-west-1:111122223333:key/signer", public_key = "MCowBQYDK2VwAyEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" }
signers = ["release"]
max_ttl_seconds = 86400
max_commit_age_seconds = 604800
[[pack]]
identity = "nightly"
environment = "production"
namespaces = ["stripe"]
unseal = { kms = "arn:aws:kms:eu-west-1:111122223333:key/age" }
envelope = "arn:aws:kms:eu-west-1:111122223333:key/envelope"
signer = { kms = "arn:aws:kms:eu-west-1:111122223333:key/signer", public_key = "MCowBQYDK2VwAyEAAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" }
signers = ["release"]
max_ttl_seconds = 86400
max_commit_age_seconds = 604800
"#;

pub(crate) fn role(name: &str) -> String {
    format!("arn:aws:iam::111122223333:role/{name}")
}

pub(crate) fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// Runs `packproof`; exit code and the object it printed.
pub(crate) fn packproof(args: &[&str]) -> (u8, Value) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let args = std::iter::once("packproof").chain(args.iter().copied()).map(OsString::from);
    let code = packproof::cli::run_with_env(args, &|_| None, &mut out, &mut err);
    let object = serde_json::from_slice(&out);
    assert!(object.is_ok(), "{}", String::from_utf8_lossy(&err));
    (code, object.unwrap())
}

/// What `kms-policy generate --json` prints for these releases, each of which has the given program.
pub(crate) fn generated(releases: &[&[u8]]) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let measured = dir.path().join("packproof.toml");
    fs::write(&measured, MEASURED).unwrap();
    let release = |(place, program): (usize, &&[u8])| {
        let dir = dir.path().join(place.to_string());
        let base = packproof_eif::Base::new(b"kernel".to_vec(), b"words".to_vec(), program);
        base.write_release(&dir, "r").unwrap();
        text(&dir.join("release.json"))
    };
    let releases: Vec<String> = releases.iter().enumerate().map(release).collect();
    let [ci, admin, author, workload] = ["ci", "admin", "author", "workload"].map(role);
    let measured = text(&measured);
    let mut args = vec!["kms-policy", "generate", "--json", "--policy", &measured];
    args.extend(["--ci-role", &ci, "--admin-role", &admin, "--author-role", &author, "--workload-role", &workload]);
    releases.iter().for_each(|release| args.extend(["--release", release]));
    let (code, object) = packproof(&args);
    assert_eq!(code, 0, "{object}");
    object
}
