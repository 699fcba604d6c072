//! `policy check`'s advice, `policy diff` and `policy explain`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::repository::{Fixture, Ran, packproof};

const ALICE: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB";

fn policy(signer: &str) -> String {
    format!(
        r#"schema = 1
[source]
repository = "https://git.example/secrets"
object_format = "sha1"
manifest = "clef.yaml"
[[source.signer]]
name = "release"
principal = "release@example"
ssh = "{signer}"
[kms]
endpoint = "aws"
[[pack]]
identity = "checkout"
environment = "production"
namespaces = ["stripe", "rds", "flags"]
decrypt = ["arn:aws:kms:eu-west-1:111122223333:key/sops"]
envelope = "arn:aws:kms:eu-west-1:111122223333:key/envelope"
signer = {{ kms = "arn:aws:kms:eu-west-1:111122223333:key/signer", public_key = "MCowBQYDK2VwAyEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" }}
signers = ["release"]
max_ttl_seconds = 86400
max_commit_age_seconds = 604800
"#
    )
}

struct Case {
    fixture: Fixture,
    text: String,
}

impl Case {
    fn new() -> Self {
        let fixture = Fixture::new();
        let key = fixture.path("release");
        let made = std::process::Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"])
            .arg(&key)
            .status()
            .unwrap();
        assert!(made.success());
        let public = fs::read_to_string(fixture.path("release.pub")).unwrap();
        Self { text: policy(public.trim()), fixture }
    }

    fn write(&self, name: &str, from: &str, to: &str) -> PathBuf {
        assert_eq!(self.text.matches(from).count(), 1, "{from}");
        let path = self.fixture.path(name);
        fs::write(&path, self.text.replacen(from, to, 1)).unwrap();
        path
    }

    fn sign(&self) -> String {
        let key = format!("user.signingkey={}", self.fixture.path("release").display());
        self.fixture.git(&["add", "--all"]);
        let config = ["-c", "gpg.format=ssh", "-c", &key, "commit", "--quiet", "--allow-empty", "-S", "-m", "signed"];
        self.fixture.git(&config);
        self.fixture.git(&["rev-parse", "HEAD"])
    }

    fn explain(&self, policy: &Path, more: &[&str]) -> (u8, Value, String) {
        let repo = self.fixture.repo();
        let base = ["policy", "explain", "--dir", repo.to_str().unwrap(), "--policy", policy.to_str().unwrap()];
        let people = packproof(&[&base[..], more].concat(), &[]);
        let json = packproof(&[&base[..], more, &["--json"]].concat(), &[]);
        assert_eq!(people.code, json.code);
        (json.code, json.json(), people.out)
    }
}

fn codes(explained: &Value) -> Vec<String> {
    let of = |pack: &Value| -> Vec<String> {
        pack["refusals"].as_array().unwrap().iter().map(|r| r["code"].as_str().unwrap().to_owned()).collect()
    };
    explained["packs"].as_array().unwrap().iter().flat_map(of).collect()
}

fn changes(ran: &Ran) -> Vec<(String, String)> {
    let list = ran.json()["changes"].as_array().unwrap().clone();
    let text = |change: &Value, name: &str| change[name].as_str().unwrap().to_owned();
    list.iter().map(|change| (text(change, "effect"), text(change, "text"))).collect()
}

#[test]
fn check_advises_with_reason_and_fix() {
    let case = Case::new();
    let policy =
        case.write("policy.toml", "max_ttl_seconds = 86400", "max_ttl_seconds = 864000\nmissing_cells = \"skip\"");
    let ran = packproof(&["policy", "check", policy.to_str().unwrap(), "--json"], &[]);
    assert_eq!(ran.code, 0);
    let advice = ran.json()["advice"].as_array().unwrap().clone();
    let codes: Vec<_> = advice.iter().map(|advice| advice["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["one_key_packs_alone", "long_lifetime", "cells_may_be_missing", "others_may_open"]);
    assert!(advice.iter().all(|advice| !advice["fix"].as_str().unwrap().is_empty()));

    let people = format!(
        "[[source.signer]]\nname = \"alice\"\nprincipal = \"alice\"\nssh = \"ssh-ed25519 {ALICE}\"\n\
         [[source.signer]]\nname = \"all\"\nprincipal = \"*\"\nssh = \"ssh-ed25519 {}\"\ncert_authority = true\n[kms]",
        ALICE.replace("AQEB", "AgIC")
    );
    let policy = case.write("people.toml", "[kms]", &people);
    let text = fs::read_to_string(&policy).unwrap().replace(
        "max_commit_age_seconds = 604800",
        "max_commit_age_seconds = 8640000\nonly_recipients = true\napprovals = { threshold = 1, from = [\"release\"] }",
    );
    fs::write(&policy, text).unwrap();
    let ran = packproof(&["policy", "check", policy.to_str().unwrap(), "--json"], &[]);
    let advice = ran.json()["advice"].as_array().unwrap().clone();
    let codes: Vec<_> = advice.iter().map(|advice| advice["code"].as_str().unwrap()).collect();
    let expected = [
        "signer_unused",
        "signer_unused",
        "authority_of_anybody",
        "only_signer_approves",
        "every_approver_needed",
        "old_commits",
    ];
    assert_eq!(codes, expected);
}

#[test]
fn check_refuses_a_key_that_the_enclave_would_refuse() {
    let case = Case::new();
    // the encoding of a point of small order, which verifies what nobody signed
    let key =
        case.text.split_whitespace().find(|word| word.starts_with("AAAAC3")).unwrap().trim_end_matches('"').to_owned();
    let none = format!("{}{}", &key[..25], "A".repeat(43));
    let policy = case.write("policy.toml", &key, &none);
    let ran = packproof(&["policy", "check", policy.to_str().unwrap()], &[]);
    assert_eq!(ran.error(), (1, "policy_signer_key"));
}

#[test]
fn diff_says_which_way_each_change_goes() {
    let case = Case::new();
    let same = case.write("old.toml", "schema = 1", "schema = 1");
    let diff =
        |to: &PathBuf| packproof(&["policy", "diff", same.to_str().unwrap(), to.to_str().unwrap(), "--json"], &[]);
    assert_eq!(changes(&diff(&same)), []);
    for (from, to, effect, text) in [
        ("max_ttl_seconds = 86400", "max_ttl_seconds = 86401", "widens", "max_ttl_seconds was 86400, is 86401"),
        ("max_ttl_seconds = 86400", "max_ttl_seconds = 3600", "narrows", "max_ttl_seconds was 86400, is 3600"),
        (", \"flags\"", "", "narrows", "namespace flags is taken out"),
        ("\"flags\"", "\"flags\", \"more\"", "widens", "namespace more is added"),
        ("key/envelope", "key/other", "changes", "artifacts were encrypted to the KMS key"),
        ("max_ttl_seconds", "only_recipients = true\nmax_ttl_seconds", "narrows", "only_recipients is on"),
        ("max_ttl_seconds", "missing_cells = \"skip\"\nmax_ttl_seconds", "widens", "refusing missing cells is off"),
        (
            "max_ttl_seconds",
            "approvals = { threshold = 1, from = [\"release\"] }\nmax_ttl_seconds",
            "narrows",
            "1 approvals of release are asked for",
        ),
        (
            "name = \"release\"",
            "name = \"release\"\ncert_authority = true",
            "changes",
            "cert_authority was false, is true",
        ),
        ("endpoint = \"aws\"", "endpoint = \"aws-fips\"", "changes", "AWS, is AWS, FIPS endpoints"),
    ] {
        let new = case.write("new.toml", from, to);
        let ran = diff(&new);
        let changes = changes(&ran);
        assert_eq!(changes.len(), 1, "{changes:?}");
        assert!(changes[0].0 == effect && changes[0].1.starts_with(text), "{changes:?}");
        assert_eq!(ran.json()["widens"], effect == "widens");
    }
    let entry =
        case.text.split_once("[[pack]]").unwrap().1.replace("production", "staging").replace(":key/", ":key/staging-");
    let more = case.fixture.path("more.toml");
    fs::write(&more, format!("{}[[pack]]{}", case.text, entry.replace("AAAA=", "AAAE="))).unwrap();
    assert_eq!(changes(&diff(&more)), [("widens".to_owned(), "can be packed now".to_owned())]);
    let people = packproof(&["policy", "diff", more.to_str().unwrap(), same.to_str().unwrap()], &[]).out;
    assert!(people.starts_with("- [[pack]] checkout/staging: can no longer be packed\n"), "{people}");
}

#[test]
fn explain_names_all_that_would_be_refused() {
    let case = Case::new();
    let policy = case.write("policy.toml", "schema = 1", "schema = 1");
    // the fixture's cells are no SOPS files, and its commits are not signed
    let (code, explained, people) = case.explain(&policy, &[]);
    assert_eq!((code, codes(&explained)[0].as_str()), (1, "unsigned"));
    assert!(people.contains("checkout/production: REFUSED") && people.contains("[unsigned]"), "{people}");
    assert_eq!(codes(&explained).len(), 3, "{explained}");

    case.fixture.write("secrets/rds/production.enc.yaml", &crate::policy_init::kms_cell(&["sops"], ""));
    case.fixture.write("secrets/stripe/production.enc.yaml", &crate::policy_init::kms_cell(&["sops", "sops-2"], ""));
    let commit = case.sign();
    let (code, explained, people) = case.explain(&policy, &["checkout", "production"]);
    assert_eq!((code, codes(&explained)), (0, vec![]), "{people}");
    assert_eq!(explained["commit"], commit.as_str());
    for text in [
        "checkout/production: could be packed",
        "signed by      release, ssh-ed25519 SHA256:",
        "encrypted to   arn:aws:kms:eu-west-1:111122223333:key/envelope",
        "cell           secrets/stripe/production.enc.yaml, opened with arn:aws:kms:eu-west-1:111122223333:key/sops",
        "can also be opened with arn:aws:kms:eu-west-1:111122223333:key/sops-2",
        "not asked for  flags",
    ] {
        assert!(people.contains(text), "{text}:\n{people}");
    }

    for (from, to, code) in [
        ("https://git.example/secrets", "https://git.example/other", "wrong_repository"),
        ("key/envelope", "key/other", "recipient_not_in_policy"),
        ("\"stripe\", ", "", "namespace_not_in_policy"),
        ("max_ttl_seconds", "only_recipients = true\nmax_ttl_seconds", "foreign_recipient"),
        (", public_key = \"MCowBQYDK2VwAyEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"", "", "only_seal"),
        ("manifest = \"clef.yaml\"", "manifest = \"other.yaml\"", "manifest_not_in_commit"),
        ("object_format = \"sha1\"", "object_format = \"sha256\"", "object_format"),
    ] {
        let changed = case.write("changed.toml", from, to);
        let (exit, explained, _) = case.explain(&changed, &[]);
        assert_eq!((exit, codes(&explained)), (1, vec![code.to_owned()]));
    }
    let keys = case.write("keys.toml", "key/sops", "key/unknown");
    assert_eq!(codes(&case.explain(&keys, &[]).1), ["no_allowed_key", "no_allowed_key"]);
    assert_eq!(codes(&case.explain(&policy, &["nightly"]).1), ["not_in_policy"]);

    fs::remove_file(case.fixture.repo().join("secrets/rds/production.enc.yaml")).unwrap();
    case.sign();
    assert_eq!(codes(&case.explain(&policy, &[]).1), ["cell_missing"]);
    let skip = case.write("skip.toml", "max_ttl_seconds", "missing_cells = \"skip\"\nmax_ttl_seconds");
    assert!(case.explain(&skip, &[]).2.contains("left out       secrets/rds/production.enc.yaml"));
}
