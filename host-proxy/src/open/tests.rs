use std::{fs, os::unix::fs::PermissionsExt};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    },
};
use base64::{Engine, prelude::BASE64_STANDARD};
use clap::Parser;
use packproof_artifact::{
    envelope::{Contents, KmsEnvelope, SignatureAlgorithm},
    manifest::KmsProvider,
};
use packproof_secret::Secret;

use super::*;

// From the age project's own tests.
const IDENTITY: &str = "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33";
const RECIPIENT: &str = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa";

const PLAINTEXT: &str =
    r#"{"stripe":{"API_KEY":"sk-1\n\"x\"","a.b":"é"},"flags":{},"rds-orders":{"URL":"hidden-url"}}"#;
const ARN: &str = "arn:aws:kms:eu-west-1:111122223333:key/0a1b2c3d-0000-4000-8000-00000000aaaa";

const NOW: UnixMillis = UnixMillis(1_795_459_209_112);

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: OpenArgs,
}

fn contents<'a>(ciphertext: &'a [u8], envelope: Option<KmsEnvelope>, expires_at: Option<&'a str>) -> Artifact {
    Artifact::new(Contents {
        identity: "checkout",
        environment: "dev",
        packed_at: "2026-11-23T18:40:09.112Z",
        revision: "1-00000000",
        ciphertext,
        envelope,
        expires_at,
    })
    .unwrap()
}

fn secret(text: &str) -> SecretBytes {
    text.as_bytes().to_vec().into()
}

fn age(plaintext: &str, expires_at: Option<&str>) -> Artifact {
    contents(&seal::seal_age(secret(plaintext), RECIPIENT).unwrap(), None, expires_at)
}

fn kms(plaintext: &str) -> Artifact {
    let fill = |iv: &mut [u8; 12]| {
        *iv = [3; 12];
        Ok::<(), ()>(())
    };
    let sealed = seal::seal_kms(secret(plaintext), Secret::copy_from(&[9; 32]).unwrap(), fill).unwrap();
    contents(&sealed.ciphertext, Some(KmsEnvelope::new(KmsProvider::Aws, ARN, b"wrapped", &sealed)), None)
}

struct Desk {
    dir: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self { dir: tempfile::tempdir().unwrap() };
        desk.put("id", &format!("# created: today\n# public key: {RECIPIENT}\n\n{IDENTITY}\r\n"));
        desk.put("dek", &format!("{}\n", BASE64_STANDARD.encode([9; 32])));
        desk
    }

    fn put(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    /// Opens the bytes with these arguments; `@name` is a file on the desk.
    fn open_bytes(&self, bytes: &[u8], args: &[&str], env: &[(&str, &str)]) -> Result<Report, Error> {
        fs::write(self.path("artifact"), bytes).unwrap();
        let artifact = self.path("artifact");
        let args = args.iter().map(|arg| arg.strip_prefix('@').map_or((*arg).to_owned(), |name| self.path(name)));
        let args = ["open".to_owned(), artifact].into_iter().chain(args);
        let Command { args } = Command::try_parse_from(args).unwrap();
        let env = |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value));
        let aws = self.dir.path().join("aws");
        open_in(&args, &Surroundings { env: &env, now: NOW, aws: aws.as_os_str() })
    }

    fn open(&self, artifact: &Artifact, args: &[&str]) -> Result<Report, Error> {
        self.open_bytes(&artifact.to_bytes(), args, &[])
    }

    /// Exit code and code of a refusal, whose message and hint show no value.
    fn refusal(&self, artifact: &Artifact, args: &[&str]) -> (u8, String) {
        refused(self.open(artifact, args))
    }
}

fn refused(result: Result<Report, Error>) -> (u8, String) {
    let error = result.err().unwrap();
    let shown = format!("{error} {:?}", error.hint());
    assert!(!shown.contains("hidden-url") && !shown.contains("AGE-SECRET-KEY-1GQ"), "{shown}");
    (error.exit_code(), error.code().to_owned())
}

fn no(code: &str) -> (u8, String) {
    (1, code.to_owned())
}

fn usage(code: &str) -> (u8, String) {
    (2, code.to_owned())
}

#[test]
fn lists_names_and_no_values() {
    let desk = Desk::new();
    for (artifact, args) in [(age(PLAINTEXT, None), ["--identity", "@id"]), (kms(PLAINTEXT), ["--data-key", "@dek"])] {
        let report = desk.open(&artifact, &args).unwrap();
        assert!(report.text.ends_with("keys         3\nstripe__API_KEY\nstripe__a.b\nflags (empty)\nrds-orders__URL"));
        assert!(report.text.contains("signature    none\n"), "{}", report.text);
        assert_eq!(report.json["keys"], json!({"stripe": ["API_KEY", "a.b"], "flags": [], "rds-orders": ["URL"]}));
        assert_eq!((&report.json["signed"], &report.json["expired"]), (&json!(false), &json!(false)));
        let everything = format!("{}{}", report.text, Value::Object(report.json));
        assert!(!everything.contains("sk-1") && !everything.contains("hidden-url") && !everything.contains("values"));
    }
}

#[test]
fn reveals_all_or_one_value() {
    let desk = Desk::new();
    let artifact = age(PLAINTEXT, None);
    let report = desk.open(&artifact, &["--identity", "@id", "--reveal"]).unwrap();
    assert!(report.text.contains("stripe__API_KEY=\"sk-1\\n\\\"x\\\"\"\nstripe__a.b=\"é\"\n"), "{}", report.text);
    assert_eq!(report.json["values"], serde_json::from_str::<Value>(PLAINTEXT).unwrap());

    let one = |key| desk.open(&artifact, &["--identity", "@id", "--key", key]);
    for key in ["stripe__API_KEY", "stripe/API_KEY"] {
        let report = one(key).unwrap();
        assert_eq!((report.text.as_str(), &report.json["value"]), ("sk-1\n\"x\"", &json!("sk-1\n\"x\"")));
        assert_eq!(report.json["key"], json!(key));
        assert!(!Value::Object(report.json).to_string().contains("hidden-url"));
    }
    assert_eq!(one("stripe__a.b").unwrap().text, "é");
    for key in ["stripe__URL", "flags__API_KEY", "stripe__", "__API_KEY", "Stripe__API_KEY", "stripe___API_KEY", "/"] {
        assert_eq!(refused(one(key)), no("unknown_key"), "{key}");
    }
    for key in ["API_KEY", "stripe.API_KEY", "stripe_API_KEY", ""] {
        assert_eq!(refused(one(key)), usage("usage"), "{key}");
    }
    let both = ["open", "x", "--reveal", "--key", "a__b"];
    assert!(Command::try_parse_from(both).is_err() && Command::try_parse_from(&both[..3]).is_ok());
}

#[test]
fn a_key_that_fits_two_values_is_not_guessed() {
    let desk = Desk::new();
    let artifact = age(r#"{"a":{"b__c":"hidden-url"},"a__b":{"c":"second"}}"#, None);
    let one = |key| desk.open(&artifact, &["--identity", "@id", "--key", key]);
    assert_eq!(refused(one("a__b__c")), usage("ambiguous_key"));
    assert_eq!(one("a__b/c").unwrap().text, "second");
    assert_eq!(one("a/b__c").unwrap().text, "hidden-url");
}

#[test]
fn a_warning_comes_with_values_only() {
    let warns = |args: &[&str]| {
        let args = ["open", "x"].iter().chain(args);
        Command::try_parse_from(args).unwrap().args.warning().is_some()
    };
    assert!(warns(&["--reveal"]) && warns(&["--key", "a__b"]) && !warns(&[]) && !warns(&["--json"]));
}

#[test]
fn identities_come_from_the_flag_or_clefs_variables() {
    let desk = Desk::new();
    let bytes = age(PLAINTEXT, None).to_bytes();
    let file = desk.path("id");
    let open = |args: &[&str], env: &[(&str, &str)]| desk.open_bytes(&bytes, args, env);
    assert!(open(&[], &[("CLEF_AGE_KEY_FILE", &file)]).is_ok());
    assert!(open(&[], &[("CLEF_AGE_KEY", IDENTITY)]).is_ok());
    assert!(open(&[], &[("CLEF_AGE_KEY_FILE", &file), ("CLEF_AGE_KEY", "x")]).is_ok(), "the file comes first");
    assert!(open(&["--identity", "@id"], &[("CLEF_AGE_KEY_FILE", "/nonexistent")]).is_ok());
    assert_eq!(refused(open(&[], &[])), usage("age_identity_missing"));
    assert_eq!(refused(open(&[], &[("CLEF_AGE_KEY", "AGE-SECRET-KEY-1QQ")])), usage("key_unreadable"));
    assert_eq!(refused(open(&["--identity", "/nonexistent"], &[])), usage("cannot_read"));
}

#[test]
fn refuses_files_that_are_no_identity_or_the_wrong_one() {
    let desk = Desk::new();
    let artifact = age(PLAINTEXT, None);
    let with = |text: &str| {
        desk.put("other", text);
        desk.open(&artifact, &["--identity", "@other"])
    };
    for text in [
        "",
        "# only a comment\n",
        RECIPIENT,
        "{\"schema\":1,\"blob\":\"AAE=\"}",
        "age-encryption.org/v1\n-> scrypt x",
        "-----BEGIN AGE ENCRYPTED FILE-----",
        "AGE-PLUGIN-YUBIKEY-1QQQ",
        "AGE-SECRET-KEY-1QQQ",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        &format!("{IDENTITY}\n").repeat(33),
    ] {
        assert_eq!(refused(with(text)), usage("key_unreadable"), "{text}");
    }
    assert_eq!(refused(with(&"#".repeat(16 * 1024 + 1))), usage("file_too_long"));
    assert!(with(&format!("{}\n{IDENTITY}", "#".repeat(16 * 1024 - IDENTITY.len() - 1))).is_ok());
    // Bob's key of RFC 7748, 6.1.
    let other = "AGE-SECRET-KEY-1TK4SSLNZF29YK70P079C8QQWUEHNHVFFYCVTDLGU979J0LUGUR4SMHZYQ2";
    assert_eq!(refused(with(other)), no("seal_decrypt"));
    assert!(with(&format!("{other}\n{IDENTITY}\n")).is_ok(), "each identity of a file is tried");
}

#[test]
fn a_kms_artifact_needs_its_data_key() {
    let desk = Desk::new();
    let artifact = kms(PLAINTEXT);
    assert_eq!(desk.refusal(&artifact, &[]), (3, "aws_tool_missing".to_owned()));
    let mut elsewhere = artifact.clone();
    elsewhere.envelope.as_mut().unwrap().provider = "gcp".into();
    assert_eq!(desk.refusal(&elsewhere, &[]), usage("data_key_missing"));
    assert!(desk.open(&elsewhere, &["--data-key", "@dek"]).is_ok(), "the data key opens it wherever it was wrapped");
    assert_eq!(desk.refusal(&artifact, &["--identity", "@id"]), usage("key_not_used"));
    assert_eq!(desk.refusal(&age(PLAINTEXT, None), &["--data-key", "@dek"]), usage("key_not_used"));
    desk.put("wrong", &BASE64_STANDARD.encode([8; 32]));
    assert_eq!(desk.refusal(&artifact, &["--data-key", "@wrong"]), no("seal_decrypt"));
    for text in ["", "CQkJ", &BASE64_STANDARD.encode([9; 33]), "not base64", "{}"] {
        desk.put("wrong", text);
        assert_eq!(desk.refusal(&artifact, &["--data-key", "@wrong"]), usage("key_unreadable"), "{text}");
    }
    // A tool that does what AWS's does.
    desk.put("aws", &format!("#!/bin/sh\ncat >/dev/null\necho {}\n", BASE64_STANDARD.encode([9; 32])));
    fs::set_permissions(desk.path("aws"), fs::Permissions::from_mode(0o755)).unwrap();
    let report = desk.open(&artifact, &[]).unwrap();
    assert!(report.text.ends_with("rds-orders__URL") && !report.text.contains("hidden-url"), "{}", report.text);
    assert_eq!(report.json["signatureChecked"], json!(false));
}

#[test]
fn a_changed_or_revoked_artifact_is_refused() {
    let desk = Desk::new();
    let bytes = age(PLAINTEXT, None).to_bytes();
    let text = String::from_utf8(bytes).unwrap();
    let open = |text: &str| refused(desk.open_bytes(text.as_bytes(), &["--identity", "@id"], &[]));
    let hash = text.replacen("\"ciphertextHash\": \"", "\"ciphertextHash\": \"0", 1);
    assert_eq!(open(&hash), no("artifact_hash_mismatch"));
    let revoked = text.replacen("\"version\": 1,", "\"version\": 1, \"revokedAt\": \"2026-11-23T18:40:09.112Z\",", 1);
    assert_eq!(open(&revoked), no("artifact_revoked"));
    assert_eq!(open("[]"), usage("artifact_not_an_object"));
}

#[test]
fn an_expired_artifact_is_opened_only_on_request() {
    let desk = Desk::new();
    let id = ["--identity", "@id"];
    let at = |expires_at| age(PLAINTEXT, Some(expires_at));
    // The runtime compares in milliseconds, and refuses from the next one on.
    assert!(desk.open(&at("2026-11-23T18:40:09.112Z"), &id).is_ok());
    let expired = at("2026-11-23T18:40:09.111Z");
    assert_eq!(desk.refusal(&expired, &id), no("artifact_expired"));
    let report = desk.open(&expired, &["--identity", "@id", "--allow-expired"]).unwrap();
    assert!(report.text.contains("expires at   2026-11-23T18:40:09.111Z (expired)\n"), "{}", report.text);
    assert_eq!(report.json["expired"], json!(true));
    for odd in ["tomorrow", "2027-01-01", "2027-01-01T00:00:00Z", "2027-02-30T00:00:00.000Z"] {
        assert_eq!(desk.refusal(&at(odd), &id), no("artifact_expiry_unreadable"), "{odd}");
    }
}

#[test]
fn a_signature_is_checked_when_asked_for() {
    let desk = Desk::new();
    let ed25519 = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
    let ed25519_key = [&hex::decode("302a300506032b6570032100").unwrap(), ed25519.public_key().as_ref()].concat();
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
    let p256 = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref()).unwrap();
    let prefix = hex::decode("3059301306072a8648ce3d020106082a8648ce3d030107034200").unwrap();
    let p256_key = [&prefix, p256.public_key().as_ref()].concat();
    let [ed25519_key, p256_key] = [ed25519_key, p256_key].map(|der| BASE64_STANDARD.encode(der));

    let unsigned = age(PLAINTEXT, None);
    let payload = unsigned.signing_payload().unwrap();
    let by_ed25519 = unsigned.clone().with_signature(SignatureAlgorithm::Ed25519, ed25519.sign(&payload).as_ref());
    let signature = p256.sign(&random, &payload).unwrap();
    let by_p256 = unsigned.clone().with_signature(SignatureAlgorithm::EcdsaSha256, signature.as_ref());
    let with = |artifact: &Artifact, key: &str| desk.open(artifact, &["--identity", "@id", "--signer-key", key]);

    for (artifact, key) in [(&by_ed25519, &ed25519_key), (&by_p256, &p256_key)] {
        let report = with(artifact, key).unwrap();
        assert!(report.text.contains("signature    valid\n") && report.json["signatureChecked"] == json!(true));
        let report = desk.open(artifact, &["--identity", "@id"]).unwrap();
        assert!(report.text.contains("signature    not checked; --signer-key checks it\n"), "{}", report.text);
    }
    for (artifact, key) in [(&by_ed25519, &p256_key), (&by_p256, &ed25519_key)] {
        assert_eq!(refused(with(artifact, key)), no("artifact_bad_signature"));
    }
    // KMS signs in DER; a good signature as raw r‖s does not count.
    let raw = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).unwrap();
    let raw = raw.sign(&random, &payload).unwrap();
    let by_raw = unsigned.clone().with_signature(SignatureAlgorithm::EcdsaSha256, raw.as_ref());
    assert_eq!((raw.as_ref().len(), refused(with(&by_raw, &p256_key))), (64, no("artifact_bad_signature")));
    assert_eq!(refused(with(&unsigned, &ed25519_key)), no("artifact_not_signed"));
    let mut changed = by_ed25519.clone();
    changed.environment = "production".into();
    assert_eq!(refused(with(&changed, &ed25519_key)), no("artifact_bad_signature"));
    for der in [ed25519.public_key().as_ref(), &p256.public_key().as_ref()[1..], b"", &[0x30, 0x2a]] {
        assert_eq!(refused(with(&by_ed25519, &BASE64_STANDARD.encode(der))), usage("signer_key_unreadable"));
    }
    assert_eq!(refused(with(&by_ed25519, "-----BEGIN PUBLIC KEY-----")), usage("signer_key_unreadable"));
}

#[test]
fn what_is_not_namespaces_of_texts_is_not_shown() {
    let desk = Desk::new();
    for plaintext in [
        "",
        "null",
        "[]",
        "\"hidden-url\"",
        r#"{"KEY":"hidden-url"}"#,
        r#"{"a":{"K":5}}"#,
        r#"{"a":{"K":null}}"#,
        r#"{"a":{"K":{"x":"hidden-url"}}}"#,
        r#"{"a":{"K":"v","K":"hidden-url"}}"#,
        r#"{"a":{},"a":{}}"#,
        r#"{"a":{"K":"v"}} x"#,
        r#"{"a":{"K":"\ud800"}}"#,
    ] {
        assert_eq!(desk.refusal(&age(plaintext, None), &["--identity", "@id"]), no("plaintext_shape"), "{plaintext}");
    }
    assert!(desk.open(&age("{}", None), &["--identity", "@id"]).unwrap().text.ends_with("keys         0"));
}

#[test]
fn names_in_an_artifact_cannot_drive_a_terminal() {
    let desk = Desk::new();
    let plaintext = r#"{"a\u001b[2J":{"K\nL":"v\u001b\u009b\u202e"}}"#;
    for args in [&["--identity", "@id"][..], &["--identity", "@id", "--reveal"]] {
        let text = desk.open(&age(plaintext, None), args).unwrap().text;
        assert!(!text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{text:?}");
        assert_eq!(text.lines().filter(|line| line.starts_with('a')).count(), 1, "{text}");
    }
}
