//! One test a rule: each breaks one thing in a policy that is otherwise right.

use super::*;

/// A policy with one age and one KMS entry, complete.
pub(crate) const GOOD: &str = r#"
schema = 1
[source]
repository = "https://git.acme.example/platform/secrets"
object_format = "sha1"
manifest = "clef.yaml"
[[source.signer]]
name = "release"
principal = "release@acme.example"
ssh = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f comment"
[kms]
endpoint = "aws"
[[pack]]
identity = "checkout"
environment = "production"
namespaces = ["stripe", "rds-orders"]
decrypt = ["arn:aws:kms:eu-west-1:111122223333:key/sops", { kms = "arn:aws:kms:eu-west-1:111122223333:key/sops-2", context = { app = "x" } }]
envelope = "arn:aws:kms:eu-west-1:111122223333:key/envelope"
signer = { kms = "arn:aws:kms:eu-west-1:111122223333:key/signer", public_key = "MCowBQYDK2VwAyEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" }
signers = ["release"]
max_ttl_seconds = 86400
max_commit_age_seconds = 604800
[[pack]]
identity = "checkout"
environment = "dev"
namespaces = ["stripe"]
unseal = { kms = "arn:aws:kms:eu-west-1:111122223333:key/dev-age", recipient = "age1pyysjzgfpyysjzgfpyysjzgfpyysjzgfpyysjzgfpyysjzgfpygswhfzeu" }
recipient = "age1qurswpc8qurswpc8qurswpc8qurswpc8qurswpc8qurswpc8qufqdc8pnr"
signer = { kms = "arn:aws:kms:eu-west-1:111122223333:key/dev-signer" }
signers = ["release"]
max_ttl_seconds = 3600
max_commit_age_seconds = 604800
missing_cells = "skip"
only_recipients = true
"#;

fn error(from: &str, to: &str) -> PolicyError {
    assert_eq!(GOOD.matches(from).count(), 1, "the test must change exactly one place: {from}");
    Policy::parse(GOOD.replacen(from, to, 1).as_bytes()).unwrap_err()
}

fn code(from: &str, to: &str) -> &'static str {
    error(from, to).code()
}

#[test]
fn a_good_policy_is_read_in_full() {
    let policy = Policy::parse(GOOD.as_bytes()).unwrap();
    assert!(!policy.is_simulated());
    let production = policy.pack("checkout", "production").unwrap();
    assert_eq!(policy.signers_of(production).count(), 1);
    let CellKeys::Kms(keys) = &production.cell_keys else { panic!("kms") };
    assert_eq!(keys[1].context["app"], "x");
    let dev = policy.pack("checkout", "dev").unwrap();
    assert_eq!((dev.missing_cells, dev.only_recipients), (MissingCells::Skip, true));
    assert!(policy.pack("checkout", "staging").is_none());
}

#[test]
fn single_values_are_checked() {
    assert_eq!(code("schema = 1", "schema = 2"), "policy_schema");
    assert_eq!(code(r#"object_format = "sha1""#, r#"object_format = "md5""#), "policy_value");
    assert_eq!(code(r#"manifest = "clef.yaml""#, r#"manifest = "../clef.yaml""#), "policy_value");
    assert_eq!(code("ssh-ed25519 AAAA", "ssh-rsa AAAA"), "policy_value");
    assert_eq!(code(r#"endpoint = "aws""#, r#"endpoint = "localhost""#), "policy_value");
    assert_eq!(
        code(
            r#"endpoint = "aws""#,
            r#"simulated = { url = "http://localhost:1", ca = "-----BEGIN CERTIFICATE-----" }"#
        ),
        "policy_value"
    );
    assert_eq!(
        code(
            r#"endpoint = "aws""#,
            r#"simulated = { url = "https://localhost:1/x", ca = "-----BEGIN CERTIFICATE-----" }"#
        ),
        "policy_value"
    );
    assert_eq!(code(":key/envelope", ":alias/envelope"), "policy_value");
    assert_eq!(code(":key/envelope", ":key/mrk-1"), "policy_value");
    assert_eq!(code("max_ttl_seconds = 3600", "max_ttl_seconds = 0"), "policy_value");
    assert_eq!(code("MCowBQYDK2VwAyEA", "MCowBQYDK2VwAyEB"), "policy_value");
    assert_eq!(
        code(
            "age1qurswpc8qurswpc8qurswpc8qurswpc8qurswpc8qurswpc8qufqdc8pnr",
            "age1qurswpc8qurswpc8qurswpc8qurswpc8qurswpc8qurswpc8qufqdc8pnq"
        ),
        "policy_value"
    );
    assert_eq!(code(r#"missing_cells = "skip""#, r#"missing_cells = "ignore""#), "policy_value");
    assert_eq!(code(r#"["stripe", "rds-orders"]"#, "[]"), "policy_value");
    assert_eq!(code("only_recipients = true", r#"pending = "maybe""#), "policy_value");
    let text = GOOD.replace("[[source.signer]]", "[[source.signer]]\nvalid_after = \"2026-01-01\"");
    assert_eq!(Policy::parse(text.as_bytes()).unwrap_err().code(), "policy_value");
}

#[test]
fn sha256_repositories_are_known() {
    let text = GOOD.replace(r#""sha1""#, r#""sha256""#);
    assert_eq!(Policy::parse(text.as_bytes()).unwrap().source.object_format, "sha256");
}

/// [`GOOD`] with two more people, who can approve under `rule`.
fn with_people(rule: &str) -> String {
    let person = |name: &str, principal: &str, byte: char| {
        let key: String = ["AAAAC3NzaC1lZDI1NTE5AAAAI", &byte.to_string(), &"A".repeat(42)].concat();
        format!("[[source.signer]]\nname = \"{name}\"\nprincipal = \"{principal}\"\nssh = \"ssh-ed25519 {key}\"\n")
    };
    let people = [person("alice", "alice@acme.example", 'B'), person("bob", "bob@acme.example", 'C')].concat();
    let two = [person("bob-2", "bob@acme.example", 'D')].concat();
    GOOD.replace("[kms]", &format!("{people}{two}[kms]")).replace("only_recipients = true", rule)
}

#[test]
fn approvals_can_be_reached() {
    let parse = |rule: &str| Policy::parse(with_people(rule).as_bytes());
    let policy = parse(r#"approvals = { threshold = 2, from = ["alice", "bob", "bob-2"] }"#).unwrap();
    let dev = policy.pack("checkout", "dev").unwrap();
    assert_eq!(
        policy.approvers_of(dev).map(|signer| signer.name.as_str()).collect::<Vec<_>>(),
        ["alice", "bob", "bob-2"]
    );
    assert_eq!(policy.approvers_of(policy.pack("checkout", "production").unwrap()).count(), 0);
    let code = |rule: &str| parse(rule).unwrap_err().code();
    // two keys of one person are one person
    assert_eq!(code(r#"approvals = { threshold = 2, from = ["bob", "bob-2"] }"#), "policy_value");
    assert_eq!(code(r#"approvals = { threshold = 0, from = ["bob"] }"#), "policy_value");
    assert_eq!(code("approvals = { threshold = 1, from = [] }"), "policy_value");
    assert_eq!(code(r#"approvals = { threshold = 33, from = ["bob"] }"#), "policy_value");
    assert_eq!(code(r#"approvals = { threshold = 1, from = ["bob", "bob"] }"#), "policy_duplicate");
    assert_eq!(code(r#"approvals = { threshold = 1, from = ["eve"] }"#), "policy_unknown_signer");
    assert_eq!(code(r#"approvals = { threshold = 1, from = ["bob"], any = true }"#), "policy_syntax");
    // an authority certifies any number of people
    let authority = with_people(r#"approvals = { threshold = 9, from = ["bob"] }"#).replacen(
        "name = \"bob\"",
        "name = \"bob\"\ncert_authority = true",
        1,
    );
    assert!(Policy::parse(authority.as_bytes()).is_ok());
}

#[test]
fn a_signer_has_a_validity_and_an_authority_has_patterns() {
    let with = |lines: &str| GOOD.replace("name = \"release\"", &format!("name = \"release\"\n{lines}"));
    let text =
        with("valid_after = \"2026-01-01T00:00:00Z\"\nvalid_before = \"2026-12-31T23:59:59Z\"\ncert_authority = true")
            .replace("release@acme.example", "*@acme.example,ci@acme.example");
    let policy = Policy::parse(text.as_bytes()).unwrap();
    let signer = &policy.source.signers[0];
    assert_eq!(signer.valid_after.map(UnixMillis::to_rfc3339).as_deref(), Some("2026-01-01T00:00:00.000Z"));
    assert_eq!(signer.valid_before.map(UnixMillis::to_rfc3339).as_deref(), Some("2026-12-31T23:59:59.000Z"));
    assert_eq!((signer.cert_authority, signer.patterns().len()), (true, 2));
    for bad in [
        with("valid_after = \"2026-01-01T00:00:00.000Z\""),
        with("valid_after = \"2026-01-01T00:00:00+01:00\""),
        with("valid_after = 2026-01-01T00:00:00Z"),
        with("valid_after = \"2026-01-01T00:00:00Z\"\nvalid_before = \"2026-01-01T00:00:00Z\""),
        with("cert_authority = true").replace("release@acme.example", "*@acme.example,"),
        with("cert_authority = true").replace("release@acme.example", "*@acme.example, ci@acme.example"),
        // OpenSSH would take this for an exception
        with("cert_authority = true").replace("release@acme.example", "!eve@acme.example,*@acme.example"),
        // a key is one person's
        with("").replace("release@acme.example", "*@acme.example"),
        with("").replace("release@acme.example", "release@acme.example,release@home.example"),
    ] {
        assert!(Policy::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn schemas_are_paths_with_digests() {
    let digest = "ab".repeat(32);
    let parse = |schemas: &str| Policy::parse(GOOD.replace("only_recipients = true", schemas).as_bytes());
    let policy = parse(&format!("schemas = {{ \"schemas/stripe.yaml\" = \"{digest}\" }}")).unwrap();
    assert_eq!(policy.pack("checkout", "dev").unwrap().schemas["schemas/stripe.yaml"], digest);
    for bad in [
        format!("schemas = {{ \"../stripe.yaml\" = \"{digest}\" }}"),
        format!("schemas = {{ \"/stripe.yaml\" = \"{digest}\" }}"),
        format!("schemas = {{ \"secrets/stripe/dev.clef-meta.yaml\" = \"{digest}\" }}"),
        format!("schemas = {{ \"stripe.yaml\" = \"{}\" }}", digest.to_uppercase()),
        format!("schemas = {{ \"stripe.yaml\" = \"{}\" }}", &digest[2..]),
    ] {
        assert_eq!(parse(&bad).unwrap_err().code(), "policy_value", "{bad}");
    }
}

#[test]
fn recording_key_policies_is_off_unless_it_is_on() {
    let parse = |line: &str| Policy::parse(GOOD.replace("schema = 1", &format!("schema = 1\n{line}")).as_bytes());
    assert!(!parse("").unwrap().record_key_policies);
    assert!(!parse("record_key_policies = false").unwrap().record_key_policies);
    assert!(parse("record_key_policies = true").unwrap().record_key_policies);
    assert_eq!(parse("record_key_policies = \"yes\"").unwrap_err().code(), "policy_syntax");
}

/// X25519 ignores the top bit and reduces: these would be known keys under other names.
#[test]
fn a_recipient_has_one_spelling() {
    for other in [
        "age1qurswpc8qurswpc8qurswpc8qurswpc8qurswpc8qurswpc8q7fqfu4xg6",
        "age1ahlllllllllllllllllllllllllllllllllllllllllllllllalsn46ayy",
        "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq5cu47z",
    ] {
        assert_eq!(code("age1qurswpc8qurswpc8qurswpc8qurswpc8qurswpc8qurswpc8qufqdc8pnr", other), "policy_value");
    }
}

#[test]
fn what_the_enclave_could_not_use_is_refused_here() {
    assert_eq!(code("= \"ssh-ed25519 AAAA", "= \"ssh-ed25519  AAAA"), "policy_value");
    assert_eq!(code("AAAAC3NzaC1lZDI1NTE5", "AAAAC3NzaC1lZDI1NTE4"), "policy_value");
    assert_eq!(code(":key/envelope", ":key/Envelope"), "policy_value");
    assert_eq!(
        code("arn:aws:kms:eu-west-1:111122223333:key/envelope", "arn:aws-cn:kms:eu-west-1:111122223333:key/envelope"),
        "policy_value"
    );
    assert_eq!(
        code("arn:aws:kms:eu-west-1:111122223333:key/envelope", "arn:aws:kms:-:111122223333:key/envelope"),
        "policy_value"
    );
    assert_eq!(code("manifest = \"clef.yaml\"", "manifest = \".git/clef.yaml\""), "policy_value");
    assert_eq!(
        code("principal = \"release@acme.example\"", "principal = \"\u{202e}release@acme.example\""),
        "policy_value"
    );
    let limits = format!("{GOOD}[limits]\nmax_request_bytes = 1\n");
    assert_eq!(Policy::parse(limits.as_bytes()).unwrap_err().code(), "policy_value");
    let simulated = GOOD.replace(
        "endpoint = \"aws\"",
        "simulated = { url = \"https://localhost:1\", ca = \"-----BEGIN CERTIFICATE-----x-----END CERTIFICATE-----\" }",
    );
    assert_eq!(Policy::parse(simulated.as_bytes()).unwrap_err().code(), "policy_value");
}

#[test]
fn a_signer_must_exist_and_be_needed() {
    let two = GOOD.replacen(r#"signers = ["release"]"#, r#"signers = ["nobody"]"#, 1);
    assert_eq!(Policy::parse(two.as_bytes()).unwrap_err().code(), "policy_unknown_signer");
    let none = GOOD.replacen(r#"signers = ["release"]"#, "signers = []", 1);
    assert_eq!(Policy::parse(none.as_bytes()).unwrap_err().code(), "policy_value");
}

#[test]
fn keys_serve_one_environment_and_one_purpose() {
    // one key for two environments
    assert_eq!(code(":key/dev-signer", ":key/signer"), "policy_shared_key");
    // one key for two purposes in one environment
    assert_eq!(code(":key/dev-signer", ":key/dev-age"), "policy_shared_key");
    assert_eq!(code(":key/envelope", ":key/sops"), "policy_shared_key");
    // the cells' recipient is not the artifact's
    assert_eq!(
        code(
            "age1pyysjzgfpyysjzgfpyysjzgfpyysjzgfpyysjzgfpyysjzgfpygswhfzeu",
            "age1qurswpc8qurswpc8qurswpc8qurswpc8qurswpc8qurswpc8qufqdc8pnr"
        ),
        "policy_shared_key"
    );
    assert_eq!(code(":key/sops-2", ":key/sops"), "policy_duplicate");
    assert_eq!(code(r#"environment = "dev""#, r#"environment = "production""#), "policy_duplicate");
}

#[test]
fn suggestions_name_the_nearest_key() {
    let text = error("only_recipients", "only_recipient").to_string();
    assert!(text.contains("did you mean `only_recipients`?"), "{text}");
}

#[test]
fn sizes_are_bounded() {
    assert_eq!(Policy::parse(&vec![b'#'; 300 * 1024]).unwrap_err(), PolicyError::TooLong);
    assert_eq!(Policy::parse(&[0xff]).unwrap_err(), PolicyError::NotText);
}
