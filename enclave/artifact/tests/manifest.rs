//! The manifest: the full example, every refusal by name, and no panic.

use packproof_artifact::manifest::{AgeKeyProblem, ArnSegment, Backend, KmsProvider, Manifest, Problem, Target};
use packproof_artifact::matrix::{CellFormat, MatrixError, cells};
use packproof_artifact::seal::check_recipient;
use proptest::prelude::*;

const EXAMPLE: &str = include_str!("data/clef.yaml");

/// The example with one text replaced, once.
fn changed(from: &str, to: &str) -> String {
    assert!(EXAMPLE.contains(from), "the example has no {from:?}");
    EXAMPLE.replacen(from, to, 1)
}

#[expect(clippy::expect_used, reason = "a test's helper")]
fn refusal(text: &str) -> (String, Problem) {
    let error = Manifest::parse(text.as_bytes()).expect_err(text);
    assert!(!error.code().is_empty() && error.to_string().contains(&error.field));
    (error.field, error.problem)
}

#[track_caller]
fn refuses(from: &str, to: &str, field: &str, problem: Problem) {
    assert_eq!(refusal(&changed(from, to)), (field.into(), problem), "{from:?} -> {to:?}");
}

#[track_caller]
#[expect(clippy::unwrap_used, reason = "a test's helper")]
fn accepts(from: &str, to: &str) -> Manifest {
    Manifest::parse(changed(from, to).as_bytes()).unwrap()
}

#[test]
fn reads_the_full_example() {
    let manifest = Manifest::parse(EXAMPLE.as_bytes()).unwrap();
    let names: Vec<&str> = manifest.environments.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(names, ["dev", "staging", "production"]);
    let names: Vec<&str> = manifest.namespaces.iter().map(|n| n.name.as_str()).collect();
    assert_eq!(names, ["rds-orders", "stripe", "flags"]);
    assert_eq!(manifest.namespaces[0].schema.as_deref(), Some("schemas/rds-orders.yaml"));
    assert_eq!(manifest.recipients.len(), 2);
    assert_eq!(manifest.recipients[1].label.as_deref(), Some("ci"));

    let staging = manifest.environment("staging").unwrap();
    assert_eq!(staging.recipients.len(), 2);
    assert_eq!(staging.recipients[1].label.as_deref(), Some("release-captain"));
    assert_eq!(manifest.sops_config(staging).backend, Backend::Age);
    let production = manifest.environment("production").unwrap();
    assert!(production.protected && !staging.protected);
    assert_eq!(manifest.sops_config(production).backend, Backend::AwsKms);
    assert!(manifest.sops_config(production).aws_kms_arn.as_deref().unwrap().starts_with("arn:aws:kms:eu-west-1"));

    let checkout = manifest.identity("checkout").unwrap();
    assert!(checkout.pack_only);
    assert_eq!(checkout.namespaces, ["stripe", "rds-orders"]);
    let Some(Target::Age { recipient }) = checkout.target("dev") else { panic!() };
    check_recipient(recipient).unwrap();
    let key_id = "arn:aws:kms:eu-west-1:111122223333:alias/checkout-envelope".to_owned();
    assert_eq!(checkout.target("production"), Some(&Target::Kms { provider: KmsProvider::Aws, key_id }));
    let nightly = manifest.identity("nightly").unwrap();
    assert!(nightly.description.is_empty() && !nightly.pack_only);
    assert_eq!(nightly.target("staging"), None);

    let cells_of_checkout = cells(&manifest, "checkout", "dev").unwrap();
    let paths: Vec<&str> = cells_of_checkout.iter().map(|cell| cell.path.as_str()).collect();
    assert_eq!(paths, ["secrets/rds-orders/dev.enc.yaml", "secrets/stripe/dev.enc.yaml"]);
    assert!(cells_of_checkout.iter().all(|cell| cell.format == CellFormat::Yaml));
    assert_eq!(cells(&manifest, "nightly", "staging"), Err(MatrixError::UnknownEnvironment));
}

#[test]
fn accepts_what_clef_accepts() {
    accepts("version: 1", "version: 1.0");
    accepts("version: 1", "version: 0x1");
    // Unknown keys below the top level, a protected that is no boolean, an override's unused and odd fields.
    accepts("description: Customers", "description: Customers\n    colour: [red, { deep: true }]");
    assert!(!accepts("protected: true", "protected: yes").environment("production").unwrap().protected);
    accepts("backend: awskms", "backend: awskms\n      pkcs11_uri: nonsense");
    accepts("  default_backend: age", "  default_backend: age\n  aws_kms_arn: 5\n  pgp_fingerprint: x");
    accepts("schema: schemas/rds-orders.yaml, owners: [data]", "schema: 5, owners: nobody");
    accepts("[stripe, rds-orders]", "[stripe, stripe]");
    assert!(accepts("    description: Checkout API", "    description: null").identity("checkout").is_some());
    // A mistyped key: the checksum is not the manifest's business.
    let typo = accepts("label: release-captain", "label: 7").environments[1].recipients[1].label.clone();
    assert_eq!(typo, None);
    // Global recipients are not checked.
    assert_eq!(accepts("label: ci", "label: ci }\n      - 5\n      - { x: y").recipients.len(), 2);
    accepts(
        "{ provider: aws, keyId: \"arn:aws:kms:eu-west-1:111122223333:alias/checkout-envelope\" }",
        "{ provider: gcp, keyId: anything }",
    );
    let (head, _) = EXAMPLE.split_once("service_identities").unwrap();
    assert!(Manifest::parse(head.as_bytes()).unwrap().identities.is_empty());
}

#[test]
fn refuses_texts_that_are_no_manifest() {
    let code = |text: &[u8]| Manifest::parse(text).unwrap_err().code();
    assert_eq!(code(b""), "yaml_empty");
    assert_eq!(code(b"a: [b"), "yaml_syntax");
    assert_eq!(code(b"\xff"), "yaml_not_utf8");
    assert_eq!(code(b"a: 1\na: 2\n"), "yaml_duplicate_key");
    assert_eq!(code(b"a: &x 1\nb: *x\n"), "yaml_anchor");
    assert_eq!(code(b"a: 1\n---\nb: 2\n"), "yaml_multiple_documents");
    assert_eq!(code(&[b' '; (1 << 20) + 1]), "yaml_too_large");
    assert_eq!(code(format!("{}{}", "[".repeat(33), "]".repeat(33)).as_bytes()), "yaml_too_deep");
    for text in ["text", "5", "~", "[a]"] {
        assert_eq!(refusal(text), ("root".into(), Problem::NotAMap), "{text}");
    }
    refuses("name: dev", "name: !!str dev", "environments[0].name", Problem::Tag);
    refuses("name: dev", "name: dev\n    <<: { protected: true }", "environments[0].<<", Problem::MergeKey);
    refuses("name: dev", "name: dev\n    1: a\n    1.0: b", "environments[0].1", Problem::DuplicateKey);
}

#[test]
fn refuses_bad_top_level() {
    refuses("version: 1", "version: 1\nx\u{e9}: 1", "x\\u{e9}", Problem::UnknownKey);
    // The order: an unknown key comes before a missing version.
    refuses("version: 1", "cloud: 1", "cloud", Problem::UnknownKey);
    refuses("version: 1\n", "", "version", Problem::Missing);
    for version in ["\"1\"", "2", "1.5", "null", "one", "true"] {
        refuses("version: 1", &format!("version: {version}"), "version", Problem::UnsupportedVersion);
    }
    for field in ["environments", "namespaces"] {
        let (head, tail) = EXAMPLE.split_once(&format!("{field}:")).unwrap();
        let tail: String =
            tail.lines().skip(1).skip_while(|line| line.starts_with(' ')).map(|l| format!("{l}\n")).collect();
        let with = |value: &str| refusal(&format!("{head}{value}\n{tail}"));
        assert_eq!(with(""), (field.into(), Problem::Missing));
        assert_eq!(with(&format!("{field}:")), (field.into(), Problem::Missing));
        assert_eq!(with(&format!("{field}: []")), (field.into(), Problem::EmptyList));
        assert_eq!(with(&format!("{field}: {{ a: b }}")), (field.into(), Problem::NotAList));
        assert_eq!(with(&format!("{field}: [dev]")), (format!("{field}[0]"), Problem::NotAMap));
    }
}

#[test]
fn refuses_bad_environments() {
    refuses("name: dev", "nam: dev", "environments[0].name", Problem::Missing);
    refuses("name: dev", "name: \"\"", "environments[0].name", Problem::Missing);
    refuses("name: dev", "name: null", "environments[0].name", Problem::Missing);
    refuses("name: dev", "name: 5", "environments[0].name", Problem::NotAString);
    for name in ["Dev", "1dev", "_dev", "de v", "d.v", "dév"] {
        refuses("name: dev", &format!("name: \"{name}\""), "environments[0].name", Problem::BadName);
    }
    refuses("description: Customers", "x: y", "environments[2].description", Problem::Missing);
    refuses("description: Customers", "description: 5", "environments[2].description", Problem::NotAString);
    refuses("name: dev\n", "name: staging\n", "environments", Problem::DuplicateName { name: "staging".into() });
    refuses("Laptops and preview apps", "x\n    sops: age", "environments[0].sops", Problem::NotAMap);
    refuses("Laptops and preview apps", "x\n    sops: null", "environments[0].sops", Problem::NotAMap);
    refuses("backend: awskms", "x: y", "environments[2].sops.backend", Problem::Missing);
    refuses("backend: awskms", "backend: kms", "environments[2].sops.backend", Problem::UnknownBackend);
    for (backend, field) in [
        ("awskms", "aws_kms_arn"),
        ("gcpkms", "gcp_kms_resource_id"),
        ("azurekv", "azure_kv_url"),
        ("pgp", "pgp_fingerprint"),
        ("hsm", "pkcs11_uri"),
    ] {
        let sops = format!("x\n    sops: {{ backend: {backend}, {field}: 5 }}");
        refuses("Laptops and preview apps", &sops, &format!("environments[0].sops.{field}"), Problem::Missing);
    }
    let hsm = "x\n    sops: { backend: hsm, pkcs11_uri: \"pkcs11:\" }";
    refuses("Laptops and preview apps", hsm, "environments[0].sops.pkcs11_uri", Problem::BadPkcs11Uri);
}

#[test]
fn refuses_bad_recipients_of_environments() {
    let refuses = |list: &str, field: &str, problem| {
        refuses(
            "Laptops and preview apps",
            &format!("x\n    recipients: {list}"),
            &format!("environments[0].recipients{field}"),
            problem,
        );
    };
    refuses("age1qqqqqqq", "", Problem::NotAList);
    refuses("null", "", Problem::NotAList);
    refuses("[5]", "[0]", Problem::NotAMap);
    refuses("[{ label: x }]", "[0].key", Problem::Missing);
    refuses("[{ key: 5 }]", "[0].key", Problem::NotAString);
    refuses("[age1qqqqqqq, { key: ssh-ed25519 }]", "[1].key", Problem::BadAgeKey(AgeKeyProblem::Prefix));
    refuses("[age1qqq]", "[0]", Problem::BadAgeKey(AgeKeyProblem::TooShort));
    refuses("[age1pq1qqqqqqqq]", "[0]", Problem::BadAgeKey(AgeKeyProblem::Character));
    let manifest = accepts("Laptops and preview apps", "x\n    recipients: []");
    assert!(manifest.environments[0].recipients.is_empty());
}

#[test]
fn refuses_recipients_where_the_backend_is_not_age() {
    let field = "environments[1].recipients";
    refuses("default_backend: age", "default_backend: pgp", field, Problem::RecipientsWithoutAge);
    refuses(
        "description: Pre-production",
        "description: x\n    sops: { backend: pgp, pgp_fingerprint: x }",
        field,
        Problem::RecipientsWithoutAge,
    );
    // The environment's own backend decides.
    let text = changed("default_backend: age", "default_backend: pgp");
    let text = text.replacen("description: Pre-production", "description: x\n    sops: { backend: age }", 1);
    Manifest::parse(text.as_bytes()).unwrap();
}

#[test]
fn refuses_bad_namespaces() {
    refuses("{ name: stripe,", "{", "namespaces[1].name", Problem::Missing);
    refuses("{ name: stripe,", "{ name: Stripe,", "namespaces[1].name", Problem::BadName);
    refuses("description: Payment provider", "x: y", "namespaces[1].description", Problem::Missing);
    refuses("{ name: stripe,", "{ name: flags,", "namespaces", Problem::DuplicateName { name: "flags".into() });
}

#[test]
fn refuses_bad_global_sops() {
    refuses("  default_backend: age", "  x: y", "sops.default_backend", Problem::Missing);
    refuses("  default_backend: age", "  default_backend: vault", "sops.default_backend", Problem::UnknownBackend);
    refuses(
        "  default_backend: age",
        "  default_backend: age\n  pkcs11_uri: 5",
        "sops.pkcs11_uri",
        Problem::NotAString,
    );
    refuses(
        "  default_backend: age",
        "  default_backend: age\n  pkcs11_uri: x",
        "sops.pkcs11_uri",
        Problem::BadPkcs11Uri,
    );
    refuses("  default_backend: age", "  default_backend: hsm", "sops.pkcs11_uri", Problem::Missing);
    let (head, tail) = EXAMPLE.split_once("sops:\n  default").unwrap();
    let (_, tail) = tail.split_once("file_pattern").unwrap();
    assert_eq!(refusal(&format!("{head}file_pattern{tail}")), ("sops".into(), Problem::Missing));
    assert_eq!(refusal(&format!("{head}sops: age\nfile_pattern{tail}")), ("sops".into(), Problem::NotAMap));
}

#[test]
fn refuses_bad_file_pattern() {
    let pattern = "secrets/{namespace}/{environment}.enc.yaml";
    let refuses = |to: &str, problem| refuses(&format!("file_pattern: {pattern}"), to, "file_pattern", problem);
    refuses("", Problem::Missing);
    refuses("file_pattern: [a]", Problem::NotAString);
    refuses("file_pattern: a/{environment}", Problem::PatternLacks { token: "{namespace}" });
    refuses("file_pattern: a/{namespace}", Problem::PatternLacks { token: "{environment}" });
}

#[test]
fn refuses_bad_identities() {
    let at = |field: &str| format!("service_identities[0].{field}");
    let (head, _) = EXAMPLE.split_once("service_identities:").unwrap();
    let with = |value: &str| refusal(&format!("{head}service_identities: {value}\n"));
    assert_eq!(with("null"), ("service_identities".into(), Problem::NotAList));
    assert_eq!(with("{ a: b }"), ("service_identities".into(), Problem::NotAList));
    assert_eq!(with("[checkout]"), ("service_identities[0]".into(), Problem::NotAMap));
    refuses("name: checkout", "nam: checkout", &at("name"), Problem::Missing);
    for name in ["check_out", "-checkout", "Checkout"] {
        refuses("name: checkout", &format!("name: {name}"), &at("name"), Problem::BadIdentityName);
    }
    refuses("description: Checkout API", "description: 5", &at("description"), Problem::NotAString);
    refuses("pack_only: true", "pack_only: yes", &at("pack_only"), Problem::NotABoolean);
    refuses("pack_only: true", "pack_only: null", &at("pack_only"), Problem::NotABoolean);
    refuses("[stripe, rds-orders]", "[]", &at("namespaces"), Problem::EmptyList);
    refuses("[stripe, rds-orders]", "stripe", &at("namespaces"), Problem::NotAList);
    refuses("[stripe, rds-orders]", "[stripe, 5]", &at("namespaces[1]"), Problem::NotAString);
    refuses("[stripe, rds-orders]", "[strip]", &at("namespaces[0]"), Problem::UnknownNamespace);
    refuses("dev:        {", "prod:       {", &at("environments.prod"), Problem::UnknownEnvironment);
    // A key that YAML types as null is the empty string, not an environment.
    refuses("dev:        {", "null:       {", &at("environments."), Problem::UnknownEnvironment);
    refuses(
        "name: nightly",
        "name: checkout",
        "service_identities",
        Problem::DuplicateName { name: "checkout".into() },
    );
}

#[test]
fn refuses_bad_targets() {
    let target = "{ provider: aws, keyId: \"arn:aws:kms:eu-west-1:111122223333:alias/checkout-envelope\" }";
    let at = |field: &str| format!("service_identities[0].environments.production{field}");
    let arn = "arn:aws:kms:eu-west-1:111122223333:alias/checkout-envelope";
    refuses(&format!("{{ kms: {target} }}"), "x", &at(""), Problem::NotAMap);
    refuses(&format!("kms: {target}"), "x: y", &at(""), Problem::NoTarget);
    refuses(&format!("kms: {target}"), &format!("kms: {target}, recipient: age1qqqqqqq"), &at(""), Problem::TwoTargets);
    refuses(&format!("kms: {target}"), "recipient: null", &at(".recipient"), Problem::NotAString);
    let prefix = Problem::BadAgeKey(AgeKeyProblem::Prefix);
    refuses(&format!("kms: {target}"), "recipient: AGE1QQQQQQQ", &at(".recipient"), prefix);
    refuses(target, "aws", &at(".kms"), Problem::NotAMap);
    refuses("provider: aws", "provider: vault", &at(".kms.provider"), Problem::UnknownProvider);
    refuses("provider: aws, ", "", &at(".kms.provider"), Problem::UnknownProvider);
    refuses(&format!("\"{arn}\""), "\"\"", &at(".kms.keyId"), Problem::Missing);
    refuses(&format!("\"{arn}\""), "5", &at(".kms.keyId"), Problem::NotAString);
    refuses(arn, "alias/checkout-envelope", &at(".kms.keyId"), Problem::BadArn(ArnSegment::Shape));
    refuses(arn, "arn:aws:kms:eu-west-1:1:key/a", &at(".kms.keyId"), Problem::BadArn(ArnSegment::Account));
    refuses("provider: aws", "provider: aws, region: eu-west-1", &at(".kms.region"), Problem::RegionNotAllowed);
}

/// One file with everything wrong. Each step says what is refused, and then mends that alone: what comes next shows the
/// order.
#[test]
fn faults_are_found_in_clefs_order() {
    use Problem::*;
    let mut text = "\
extra: 1
version: 2
environments: []
namespaces: []
sops: age
file_pattern: x
service_identities: 5
"
    .to_owned();
    let duplicate = |name: &str| DuplicateName { name: name.into() };
    let (age_key, arn) = (BadAgeKey(AgeKeyProblem::Prefix), BadArn(ArnSegment::Shape));
    let steps: Vec<(&str, Problem, &str, &str)> = vec![
        ("extra", UnknownKey, "extra: 1\n", ""),
        ("version", UnsupportedVersion, "version: 2", "version: 1"),
        ("environments", EmptyList, "environments: []", "environments: [dev]"),
        ("environments[0]", NotAMap, "[dev]", "[{ n: D, sops: no, recipients: no }]"),
        ("environments[0].name", Missing, "n: D", "name: D"),
        ("environments[0].name", BadName, "name: D", "name: d"),
        ("environments[0].description", Missing, "name: d", "name: d, description: x"),
        ("environments[0].sops", NotAMap, "sops: no", "sops: { }"),
        ("environments[0].sops.backend", Missing, "sops: { }", "sops: { backend: b }"),
        ("environments[0].sops.backend", UnknownBackend, "backend: b", "backend: hsm"),
        ("environments[0].sops.pkcs11_uri", Missing, "backend: hsm", "backend: hsm, pkcs11_uri: u"),
        ("environments[0].sops.pkcs11_uri", BadPkcs11Uri, "uri: u", "uri: \"pkcs11:a=b\""),
        ("environments[0].recipients", NotAList, "recipients: no", "recipients: [ssh]"),
        ("environments[0].recipients[0]", age_key.clone(), "[ssh] }", "[age1qqqqqqq] }, { name: d, description: x }"),
        ("environments", duplicate("d"), "{ name: d, description: x }", "{ name: e, description: x }"),
        ("namespaces", EmptyList, "namespaces: []", "namespaces: [n]"),
        ("namespaces[0]", NotAMap, "[n]", "[{ }]"),
        ("namespaces[0].name", Missing, "[{ }]", "[{ name: N }]"),
        ("namespaces[0].name", BadName, "name: N", "name: n"),
        ("namespaces[0].description", Missing, "name: n }", "name: n, description: y }, { name: n, description: y }"),
        ("namespaces", duplicate("n"), ", { name: n, description: y }", ""),
        ("sops", NotAMap, "sops: age", "sops: { pkcs11_uri: u }"),
        ("sops.default_backend", Missing, "{ pkcs11_uri: u }", "{ default_backend: b, pkcs11_uri: u }"),
        ("sops.default_backend", UnknownBackend, "default_backend: b", "default_backend: age"),
        ("sops.pkcs11_uri", BadPkcs11Uri, ", pkcs11_uri: u }", " }"),
        ("environments[0].recipients", RecipientsWithoutAge, "recipients: [age1qqqqqqq]", "recipients: []"),
        ("file_pattern", PatternLacks { token: "{namespace}" }, "pattern: x", "pattern: \"{namespace}\""),
        ("file_pattern", PatternLacks { token: "{environment}" }, "{namespace}", "{namespace}/{environment}"),
        ("service_identities", NotAList, "identities: 5", "identities: [i]"),
        (
            "service_identities[0]",
            NotAMap,
            "[i]",
            "[{ description: 5, pack_only: no, namespaces: [], environments: no }]",
        ),
        ("service_identities[0].name", Missing, "[{ description: 5", "[{ name: I, description: 5"),
        ("service_identities[0].name", BadIdentityName, "name: I", "name: i"),
        ("service_identities[0].description", NotAString, "description: 5", "description: z"),
        ("service_identities[0].pack_only", NotABoolean, "pack_only: no", "pack_only: true"),
        ("service_identities[0].namespaces", EmptyList, "namespaces: [], e", "namespaces: [m], e"),
        ("service_identities[0].namespaces[0]", UnknownNamespace, "[m]", "[n]"),
        ("service_identities[0].environments", NotAMap, "environments: no", "environments: { f: { } }"),
        ("service_identities[0].environments.f", UnknownEnvironment, "{ f: { } }", "{ d: { } }"),
        ("service_identities[0].environments.d", NoTarget, "{ d: { } }", "{ d: { recipient: r, kms: { keyId: k } } }"),
        ("service_identities[0].environments.d", TwoTargets, ", kms: { keyId: k }", ""),
        ("service_identities[0].environments.d.recipient", age_key, "recipient: r", "kms: { region: r, keyId: \"\" }"),
        ("service_identities[0].environments.d.kms.provider", UnknownProvider, "{ region", "{ provider: aws, region"),
        ("service_identities[0].environments.d.kms.keyId", Missing, "keyId: \"\"", "keyId: k"),
        (
            "service_identities[0].environments.d.kms.keyId",
            arn,
            ": k }",
            ": arn:aws:kms:eu-west-1:111122223333:key/k }",
        ),
        ("service_identities[0].environments.d.kms.region", RegionNotAllowed, "region: r, ", ""),
    ];
    for (field, problem, from, to) in steps {
        assert_eq!(refusal(&text), (field.to_owned(), problem), "{text}");
        assert_eq!(text.matches(from).count(), 1, "{from:?} in {text}");
        text = text.replacen(from, to, 1);
    }
    Manifest::parse(text.as_bytes()).unwrap();
    let (_, identity) = text.trim_end().split_once("service_identities: [").unwrap();
    let twice = format!("{}, {identity}", text.trim_end().trim_end_matches(']'));
    assert_eq!(refusal(&twice), ("service_identities".to_owned(), duplicate("i")));
}

#[test]
fn what_the_host_wrote_is_shown_short_and_printable() {
    let (field, _) = refusal(&format!("\"{}\\x1b[2J\": 1\n", "k".repeat(100)));
    assert_eq!(field, format!("{}...", "k".repeat(60)));
    let (field, _) = refusal("\"\\e[2J\\u202e\": 1\n");
    assert_eq!(field, "\\u{1b}[2J\\u{202e}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _any = Manifest::parse(&bytes);
    }

    #[test]
    fn a_damaged_example_does_not_panic(at in 0..EXAMPLE.len(), cut in 0..40_usize, put in "[\\PC\n ]{0,12}") {
        let mut bytes = EXAMPLE.as_bytes().to_vec();
        let end = bytes.len().min(at + cut);
        bytes.splice(at..end, put.bytes());
        if let Ok(manifest) = Manifest::parse(&bytes) {
            let _any = cells(&manifest, "checkout", "production");
        }
    }
}
