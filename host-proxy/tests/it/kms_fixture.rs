//! Key policies written by hand, and the command run on them.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use crate::repository::{Ran, packproof};

pub(crate) const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/cells-production";
pub(crate) const SIGNER: &str = "arn:aws:kms:eu-west-1:111122223333:key/signer-production";
pub(crate) const ENVELOPE: &str = "arn:aws:kms:eu-west-1:111122223333:key/envelope-production";
pub(crate) const BIRTH: &str = "arn:aws:kms:eu-west-1:111122223333:key/signer-dev";
pub(crate) const ROOT: &str = "arn:aws:iam::111122223333:root";

pub(crate) const POLICY: &str = r#"
schema = 1
[source]
repository = "https://git.acme.example/platform/secrets"
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
decrypt = ["arn:aws:kms:eu-west-1:111122223333:key/cells-production"]
envelope = "arn:aws:kms:eu-west-1:111122223333:key/envelope-production"
signer = { kms = "arn:aws:kms:eu-west-1:111122223333:key/signer-production", public_key = "MCowBQYDK2VwAyEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" }
signers = ["release"]
max_ttl_seconds = 86400
max_commit_age_seconds = 604800
[[pack]]
identity = "checkout"
environment = "dev"
namespaces = ["stripe"]
decrypt = ["arn:aws:kms:eu-west-1:111122223333:key/cells-dev"]
recipient = "age1pyysjzgfpyysjzgfpyysjzgfpyysjzgfpyysjzgfpyysjzgfpygswhfzeu"
signer = { kms = "arn:aws:kms:eu-west-1:111122223333:key/signer-dev" }
signers = ["release"]
max_ttl_seconds = 3600
max_commit_age_seconds = 604800
"#;

pub(crate) fn role(name: &str) -> String {
    format!("arn:aws:iam::111122223333:role/{name}")
}

/// A measurement: `byte` 48 times, as hex.
pub(crate) fn pcr(byte: &str) -> String {
    byte.repeat(48)
}

pub(crate) fn pins() -> Value {
    json!({ "StringEqualsIgnoreCase": {
        "kms:RecipientAttestation:ImageSha384": pcr("a0"),
        "kms:RecipientAttestation:PCR1": pcr("a1"),
        "kms:RecipientAttestation:PCR2": pcr("a2"),
    }})
}

/// A statement; `more` adds or replaces members.
pub(crate) fn statement(sid: &str, effect: &str, action: Value, more: Value) -> Value {
    let mut statement = json!({ "Sid": sid, "Effect": effect, "Principal": "*", "Action": action, "Resource": "*" });
    for (name, value) in more.as_object().unwrap() {
        statement[name] = value.clone();
    }
    statement
}

pub(crate) fn allow(sid: &str, name: &str, action: Value) -> Value {
    statement(sid, "Allow", action, json!({ "Principal": { "AWS": role(name) } }))
}

pub(crate) fn deny_unless(sid: &str, register: &str, value: &str) -> Value {
    let condition = json!({ "StringNotEqualsIgnoreCase": { register: value } });
    statement(sid, "Deny", json!(["kms:Decrypt", "kms:GenerateDataKey*"]), json!({ "Condition": condition }))
}

/// A key policy in which one thing can be changed at a time.
#[derive(Clone)]
pub(crate) struct Statements(pub(crate) Vec<Value>);

impl Statements {
    /// A SOPS key's policy as the design has it, written by hand.
    pub(crate) fn good() -> Self {
        let image = statement(
            "Image",
            "Allow",
            json!("kms:Decrypt"),
            json!({ "Principal": { "AWS": role("ci") }, "Condition": pins() }),
        );
        let around = json!(["kms:ReEncryptFrom", "kms:CreateGrant", "kms:ReplicateKey", "kms:DeriveSharedSecret"]);
        Self(vec![
            allow("Admin", "admin", json!("kms:PutKeyPolicy")),
            allow("Authors", "author", json!("kms:Encrypt")),
            image,
            deny_unless("Deny0", "kms:RecipientAttestation:ImageSha384", &pcr("a0")),
            deny_unless("Deny1", "kms:RecipientAttestation:PCR1", &pcr("a1")),
            deny_unless("Deny2", "kms:RecipientAttestation:PCR2", &pcr("a2")),
            statement("Around", "Deny", around, json!({})),
        ])
    }

    /// The good one without its three Deny statements on measurements.
    pub(crate) fn without_denies() -> Self {
        Self::good().without("Deny0").without("Deny1").without("Deny2")
    }

    pub(crate) fn without(mut self, sid: &str) -> Self {
        let before = self.0.len();
        self.0.retain(|statement| statement["Sid"] != sid);
        assert_eq!(self.0.len() + 1, before, "one statement {sid}");
        self
    }

    pub(crate) fn with(mut self, statement: Value) -> Self {
        self.0.push(statement);
        self
    }

    /// Replaces one member of one statement.
    pub(crate) fn set(mut self, sid: &str, member: &str, value: Value) -> Self {
        self.0.iter_mut().find(|statement| statement["Sid"] == sid).unwrap()[member] = value;
        self
    }

    pub(crate) fn document(&self) -> Value {
        json!({ "Version": "2012-10-17", "Statement": self.0 })
    }
}

/// A folder for the files of one run.
pub(crate) struct Files(tempfile::TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn write(&self, name: &str, content: &str) -> String {
        fs::write(self.path(name), content).unwrap();
        self.text(name)
    }

    pub(crate) fn json(&self, name: &str, content: &Value) -> String {
        self.write(name, &content.to_string())
    }

    /// A release of an image whose program is `program`; returns the path of its description.
    pub(crate) fn release(&self, name: &str, program: &[u8]) -> String {
        let base = packproof_eif::Base::new(b"kernel".to_vec(), b"reboot=k".to_vec(), program);
        base.write_release(&self.path(name), name).unwrap();
        self.text(&format!("{name}/release.json"))
    }
}

/// Explains one key policy with further arguments.
pub(crate) fn explain(files: &Files, policy: &Value, more: &[&str]) -> Ran {
    let file = files.json("key-policy.json", policy);
    packproof(&[&["kms-policy", "explain", &file, "--json"], more].concat(), &[])
}

/// Codes with their severities, each once, in order.
pub(crate) fn codes(ran: &Ran) -> Vec<String> {
    let object = ran.json();
    let findings =
        object["keys"].as_array().expect(&ran.out).iter().flat_map(|key| key["findings"].as_array().unwrap());
    let mut codes: Vec<String> = findings
        .map(|finding| format!("{} {}", finding["severity"].as_str().unwrap(), finding["code"].as_str().unwrap()))
        .collect();
    codes.sort();
    codes.dedup();
    codes
}
