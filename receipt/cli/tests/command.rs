//! The command on real files: reports, exit codes, and what is written.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on panics")]

#[path = "../../verify/tests/kit/mod.rs"]
mod kit;

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use kit::{BOOT, COMMAND_LINE, DEV_CELL_RECIPIENT, Entry, KERNEL, Kit, Tamper, birth::BirthTamper, ed25519_spki};
use packproof_receipt_verify::KeyPurpose;
use packproof_verify::{EXIT_ENVIRONMENT, EXIT_NOT_VALID, EXIT_USAGE, EXIT_VALID};
use serde_json::Value;

/// A folder as an auditor has it.
struct Case {
    kit: Kit,
    folder: tempfile::TempDir,
}

struct Ran {
    code: u8,
    out: String,
    err: String,
}

impl Case {
    fn new() -> Self {
        Self::with(&Tamper::default())
    }

    fn with(tamper: &Tamper<'_>) -> Self {
        let kit = Kit::new();
        let made = kit.make_with(Entry::Production, tamper);
        let case = Self { folder: tempfile::tempdir().unwrap(), kit };
        case.write("receipt.jsonl", &made.receipt);
        case.write("artifact.json", &made.artifact);
        case.write("document.cbor", &made.document);
        case.write("packproof.toml", case.kit.policy.as_bytes());
        case.write("release.json", case.kit.release.as_bytes());
        case.write("kernel", KERNEL);
        case.write("cmdline", COMMAND_LINE);
        case.write("boot.cpio", BOOT);
        case.write("root.pem", case.kit.pki.root_pem().as_bytes());
        case
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    /// Runs the command; an argument that starts with `@` is a file of the folder.
    fn run(&self, args: &[&str]) -> Ran {
        let file =
            |arg: &&str| arg.strip_prefix('@').map_or_else(|| OsString::from(arg), |name| self.path(name).into());
        let args = std::iter::once(OsString::from("packproof-verify")).chain(args.iter().map(file));
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = packproof_verify::run(args, &mut out, &mut err);
        Ran { code, out: String::from_utf8(out).unwrap(), err: String::from_utf8(err).unwrap() }
    }

    /// The whole line that the designed command has, and more.
    fn verify(&self, more: &[&str]) -> Ran {
        self.run(&[LINE, &["--simulated", "--root", "@root.pem"], more].concat())
    }
}

const LINE: &[&str] = &[
    "@receipt.jsonl",
    "--artifact",
    "@artifact.json",
    "--policy",
    "@packproof.toml",
    "--image",
    "@release.json",
    "--identity",
    "checkout",
    "--environment",
    "production",
];

#[test]
fn a_valid_receipt_is_explained() {
    let case = Case::new();
    let ran = case.verify(&["--commit", &"1".repeat(40), "--challenge", &"07".repeat(32), "--require", "commit,pcr0"]);
    assert_eq!((ran.code, ran.err.as_str()), (EXIT_VALID, ""), "{}", ran.out);
    let mut lines = ran.out.lines();
    assert!(lines.next().unwrap().starts_with("SIMULATED"));
    assert_eq!(lines.next(), Some("VALID"));
    for words in [
        "release (release@acme.example), SHA256:ZkAslGjFiUHdGf/WUL8rQvkib4PTvQatUV0OUQSncCA",
        "checkout/production, revision 1795459208912-00c0ffee",
        "opened with kms arn:aws:kms:eu-west-1:111122223333:key/sops",
        "could also be opened with pgp 0123456789ABCDEF",
        "GenerateDataKey for envelope",
        "not proved",
        "that the commit was the newest one",
        "self-dated",
    ] {
        assert!(ran.out.contains(words), "{words}\n{}", ran.out);
    }
}

#[test]
fn without_all_sections_pcr0_is_reported_as_not_recomputed() {
    let case = Case::new();
    fs::remove_file(case.path("cmdline")).unwrap();
    let ran = case.verify(&[]);
    assert_eq!(ran.code, EXIT_VALID);
    assert!(ran.out.contains("PCR0 was not recomputed"), "{}", ran.out);
    let ran = case.verify(&["--require", "pcr0"]);
    assert_eq!(ran.code, EXIT_NOT_VALID);
    assert!(ran.out.contains("NOT VALID: pcr0_required\n"), "{}", ran.out);
    case.write("cmdline", b"another one");
    assert!(case.verify(&[]).out.contains("NOT VALID: section_size\n"));
}

#[test]
fn the_report_for_programs_is_one_object() {
    let case = Case::new();
    let ran = case.verify(&["--json"]);
    assert_eq!(ran.code, EXIT_VALID);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(report["schema"], "https://packproof.dev/schema/verify-report/v1");
    assert_eq!((&report["valid"], &report["simulated"]), (&Value::Bool(true), &Value::Bool(true)));
    let names: Vec<&str> =
        report["steps"].as_array().unwrap().iter().map(|step| step["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["envelope", "evidence", "time", "image", "policy", "source", "artifact", "keys"]);
    assert_eq!(report["steps"][3]["checks"][1]["outcome"], "pass");
    assert_eq!(report["facts"]["signer"]["name"], "release");
    assert!(report["trustedInputs"]["policySha256"].is_string());
}

#[test]
fn mock_evidence_is_refused_by_name() {
    let case = Case::new();
    let ran = case.run(LINE);
    assert_eq!(ran.code, EXIT_NOT_VALID);
    assert!(ran.out.starts_with("NOT VALID: simulated_evidence, simulated_policy_under_aws_root\n"), "{}", ran.out);
    assert!(ran.out.contains("NOT TO BE BELIEVED") && ran.out.contains("not evaluated"));
}

#[test]
fn a_swapped_artifact_is_refused() {
    let case = Case::new();
    let mut artifact = fs::read_to_string(case.path("artifact.json")).unwrap();
    artifact.push(' ');
    case.write("artifact.json", artifact.as_bytes());
    let ran = case.verify(&["--json"]);
    assert_eq!(ran.code, EXIT_NOT_VALID);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(report["valid"], false);
}

#[test]
fn hostile_text_never_reaches_the_terminal() {
    let tamper = Tamper::predicate(|predicate| {
        predicate.source.signature.principal = "\u{1b}[2J\u{9b}\nVALID\n\u{202e}".into();
        predicate.kms[0].request_id = "\u{1b}]0;x\u{7}".into();
    });
    let case = Case::with(&tamper);
    for more in [&[][..], &["--json"]] {
        let ran = case.verify(more);
        assert_eq!(ran.code, EXIT_NOT_VALID);
        assert!(!ran.out.lines().any(|line| line == "VALID"), "{}", ran.out);
        assert!(!ran.out.contains(|c: char| c != '\n' && !(' '..='~').contains(&c) && c != '…'), "{}", ran.out);
    }
}

#[test]
fn the_key_is_exported_only_after_everything_was_verified() {
    let case = Case::new();
    let ran = case.verify(&["--export-key", "@key.pem", "--commit", &"2".repeat(40)]);
    assert_eq!(ran.code, EXIT_NOT_VALID);
    assert!(ran.err.contains("no key was written") && !case.path("key.pem").exists());

    let ran = case.verify(&["--export-key", "@key.pem"]);
    assert_eq!((ran.code, ran.err.as_str()), (EXIT_VALID, ""));
    let pem = fs::read_to_string(case.path("key.pem")).unwrap();
    assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE"), "{pem}");
    assert!(pem.ends_with("\n-----END PUBLIC KEY-----\n") && pem.lines().all(|line| line.len() <= 64));

    let ran = case.verify(&["--export-key", "@missing/key.pem"]);
    assert_eq!(ran.code, EXIT_ENVIRONMENT);
    assert!(ran.err.contains("[unwritable]"), "{}", ran.err);
}

#[test]
fn unreadable_inputs_are_not_verdicts() {
    let case = Case::new();
    let code = |ran: Ran, word: &str| {
        assert_eq!((ran.code, ran.out.as_str()), (EXIT_USAGE, ""), "{}", ran.err);
        assert!(ran.err.contains(word), "{}", ran.err);
    };
    for name in ["receipt.jsonl", "artifact.json", "packproof.toml", "release.json", "root.pem"] {
        let bytes = fs::read(case.path(name)).unwrap();
        fs::remove_file(case.path(name)).unwrap();
        code(case.verify(&[]), "[unreadable]");
        case.write(name, &bytes);
    }
    for (name, word) in
        [("packproof.toml", "[policy_syntax]"), ("release.json", "[release_shape]"), ("root.pem", "[root_pem]")]
    {
        let bytes = fs::read(case.path(name)).unwrap();
        case.write(name, b"nonsense");
        code(case.verify(&[]), word);
        case.write(name, &vec![b' '; 2 << 20]);
        code(case.verify(&[]), "[too_long]");
        case.write(name, &bytes);
    }
    case.write("root.pem", packproof_receipt_verify::evidence::AWS_NITRO_ROOT_G1_PEM.as_bytes());
    code(case.verify(&[]), "[aws_root_given_as_simulated]");
}

#[test]
fn the_command_line_is_strict() {
    let case = Case::new();
    let refused = |args: &[&str]| {
        let ran = case.run(args);
        assert_eq!((ran.code, ran.out.as_str()), (EXIT_USAGE, ""), "{args:?}");
        assert!(!ran.err.is_empty());
    };
    refused(&[]);
    for index in (1..LINE.len()).step_by(2) {
        refused(&[&LINE[..index], &LINE[index + 2..]].concat());
    }
    refused(&LINE[1..]);
    let more = |more: &[&str]| refused(&[LINE, more].concat());
    more(&["--simulated"]);
    more(&["--root", "@root.pem"]);
    more(&["--commit", "HEAD"]);
    more(&["--commit", &"A".repeat(40)]);
    more(&["--challenge", "00"]);
    more(&["--max-age", "-1"]);
    more(&["--require", "everything"]);
    more(&["--identity", "twice"]);
    // options of later versions do not exist yet
    for option in ["--repo", "--tsa", "--endorsement", "--report"] {
        more(&[option, "x"]);
    }
    refused(&["batch"]);
    let help = case.run(&["--help"]);
    assert_eq!((help.code, help.err.as_str()), (EXIT_VALID, ""));
    assert!(help.out.contains("--artifact") && help.out.contains("document"), "{}", help.out);
}

#[test]
fn the_age_is_judged_by_this_computers_clock() {
    let case = Case::new();
    // the kit's documents are of a fixed day
    let ran = case.verify(&["--max-age", "0"]);
    assert_eq!(ran.code, EXIT_NOT_VALID);
    assert!(ran.out.contains("time_too_old") || ran.out.contains("time_in_future"), "{}", ran.out);
}

#[test]
fn a_bare_document_is_judged() {
    let case = Case::new();
    let ran = case.run(&["document", "@document.cbor", "--simulated", "--root", "@root.pem"]);
    assert_eq!(ran.code, EXIT_VALID, "{}", ran.err);
    assert!(ran.out.starts_with("SIMULATED") && ran.out.contains("\nVALID\n"), "{}", ran.out);
    assert!(ran.out.contains(&hex::encode(case.kit.measured.pcr0)) && ran.out.contains("compare PCR0"));
    let ran = case.run(&["document", "@document.cbor", "--json"]);
    assert_eq!(ran.code, EXIT_NOT_VALID);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(report["schema"], "https://packproof.dev/schema/document-report/v1");
    assert_eq!(report["refused"]["code"], "simulated_evidence");
    let ran = case.run(&["document", "@receipt.jsonl"]);
    assert_eq!(ran.code, EXIT_NOT_VALID);
    assert_eq!(case.run(&["document", "@nothing"]).code, EXIT_USAGE);
}

/// Documents of real hardware, where the collection is there.
#[test]
fn a_real_document_is_valid_under_aws_root_alone() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors/nitro"));
    if !folder.is_dir() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "the vectors of others are missing");
        return;
    }
    let case = Case::new();
    let real = folder.join("base-prod-2026-indefinite-map.cbor");
    let ran = case.run(&["document", real.to_str().unwrap()]);
    assert_eq!(ran.code, EXIT_VALID);
    assert!(ran.out.starts_with("VALID\n") && ran.out.contains("us-east-1"), "{}", ran.out);
    let ran = case.run(&["document", real.to_str().unwrap(), "--simulated", "--root", "@root.pem"]);
    assert!(ran.out.contains("\nNOT VALID: chain_root_mismatch\n"), "{}", ran.out);
    let debug = folder.join("evervault-debug-2022.cbor");
    let ran = case.run(&["document", debug.to_str().unwrap()]);
    assert!(ran.out.starts_with("NOT VALID: debug_mode\n"), "{}", ran.out);
}

#[test]
fn a_receipt_is_split_into_its_bundles() {
    let case = Case::new();
    let ran = case.run(&["split", "@receipt.jsonl", "--out-dir", "@out/bundles"]);
    assert_eq!(ran.code, EXIT_VALID, "{}", ran.err);
    let read = |name: &str| fs::read(case.path("out/bundles").join(name)).unwrap();
    let both = [read("pack.sigstore.json"), read("evidence.sigstore.json")];
    assert_eq!(both.concat(), fs::read(case.path("receipt.jsonl")).unwrap());
    let bundle: Value = serde_json::from_slice(&both[0]).unwrap();
    assert_eq!(bundle["mediaType"], "application/vnd.dev.sigstore.bundle.v0.3+json");
    assert_eq!(fs::read_dir(case.path("out/bundles")).unwrap().count(), 2);

    assert_eq!(case.run(&["split", "@artifact.json", "--out-dir", "@no"]).code, EXIT_USAGE);
    assert!(!Path::new(&case.path("no")).exists());
    assert_eq!(case.run(&["split", "@receipt.jsonl", "--out-dir", "@artifact.json"]).code, EXIT_ENVIRONMENT);
}

/// A folder as an operator has it after `packproof seal`.
fn sealed(tamper: &BirthTamper<'_>) -> Case {
    let case = Case { kit: Kit::before_pins(), folder: tempfile::tempdir().unwrap() };
    case.write("signer.json", &case.kit.seal_with(KeyPurpose::Signer, tamper));
    case.write("age-key.json", &case.kit.seal(KeyPurpose::AgeKey));
    case.write("packproof.toml", case.kit.policy.as_bytes());
    case.write("pinned.toml", Kit::new().policy.as_bytes());
    case.write("release.json", case.kit.release.as_bytes());
    case.write("kernel", KERNEL);
    case.write("cmdline", COMMAND_LINE);
    case.write("boot.cpio", BOOT);
    case.write("root.pem", case.kit.pki.root_pem().as_bytes());
    case
}

const BIRTH_LINE: &[&str] = &[
    "birth",
    "@signer.json",
    "--image",
    "@release.json",
    "--policy",
    "@packproof.toml",
    "--identity",
    "checkout",
    "--environment",
    "dev",
    "--purpose",
    "signer",
];

impl Case {
    fn birth(&self, more: &[&str]) -> Ran {
        self.run(&[BIRTH_LINE, &["--simulated", "--root", "@root.pem"], more].concat())
    }
}

#[test]
fn a_verified_key_is_printed_and_no_other() {
    let case = sealed(&BirthTamper::default());
    let key = ed25519_spki(&case.kit.signers[1]);
    let ran = case.birth(&["--pinned-by", "@pinned.toml", "--challenge", &"07".repeat(32)]);
    assert_eq!((ran.code, ran.err.as_str()), (EXIT_VALID, ""), "{}", ran.out);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert!(lines[0].starts_with("SIMULATED") && lines[1] == "VALID", "{}", ran.out);
    assert_eq!(lines[2], format!("verified: {key}"));
    for words in ["if it were not SIMULATED", "signer of checkout/dev", "not proved", "key policy decides"] {
        assert!(ran.out.contains(words), "{words}\n{}", ran.out);
    }
    assert!(!ran.out.contains("not requested"), "{}", ran.out);

    let mut age = BIRTH_LINE.to_vec();
    (age[1], age[11]) = ("@age-key.json", "age-key");
    let ran = case.run(&[&age[..], &["--simulated", "--root", "@root.pem"]].concat());
    assert!(ran.out.contains(&format!("\nverified: {DEV_CELL_RECIPIENT}\n")), "{}", ran.out);
    assert!(ran.out.contains("pin_not_requested") && ran.out.contains("challenge_not_requested"), "{}", ran.out);

    // a mock's word, where AWS's is asked for; and a pin that is not there yet
    let refused = |ran: Ran, verdict: &str| {
        assert_eq!(ran.code, EXIT_NOT_VALID);
        assert!(ran.out.contains(&format!("NOT VALID: {verdict}\n")) && !ran.out.contains("verified:"), "{}", ran.out);
        assert!(ran.out.contains("NOT TO BE BELIEVED"), "{}", ran.out);
    };
    refused(case.run(BIRTH_LINE), "simulated_evidence, simulated_policy_under_aws_root");
    refused(case.birth(&["--pinned-by", "@packproof.toml"]), "pin_absent");
}

#[test]
fn the_birth_report_for_programs_hands_out_only_a_verified_key() {
    let case = sealed(&BirthTamper::default());
    let report = |more: &[&str]| -> Value { serde_json::from_str(&case.birth(more).out).unwrap() };
    let good = report(&["--json"]);
    assert_eq!(good["schema"], "https://packproof.dev/schema/birth-report/v1");
    assert_eq!((&good["valid"], &good["simulated"]), (&Value::Bool(true), &Value::Bool(true)));
    assert_eq!(good["verifiedPublicKey"], ed25519_spki(&case.kit.signers[1]));
    assert_eq!(good["facts"]["statement"]["purpose"], "signer");
    let names: Vec<&str> =
        good["steps"].as_array().unwrap().iter().map(|step| step["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["envelope", "evidence", "time", "image", "policy", "keys"]);
    let bad = report(&["--json", "--challenge", &"00".repeat(32)]);
    assert_eq!((&bad["valid"], &bad["verifiedPublicKey"]), (&Value::Bool(false), &Value::Null));
}

#[test]
fn hostile_birth_statements_never_reach_the_terminal() {
    let case = sealed(&BirthTamper::statement(|statement| {
        statement.public_key = "\u{1b}[2J\u{9b}\nVALID\nverified: age1\n\u{202e}".into();
        statement.kms_request_id = "\u{1b}]0;x\u{7}".into();
    }));
    for more in [&[][..], &["--json"]] {
        let ran = case.birth(more);
        assert_eq!(ran.code, EXIT_NOT_VALID);
        assert!(!ran.out.lines().any(|line| line == "VALID" || line.starts_with("verified")), "{}", ran.out);
        assert!(!ran.out.contains(|c: char| c != '\n' && !(' '..='~').contains(&c) && c != '…'), "{}", ran.out);
    }
}

#[test]
fn the_birth_command_is_strict() {
    let case = sealed(&BirthTamper::default());
    let refused = |ran: Ran, word: &str| {
        assert_eq!((ran.code, ran.out.as_str()), (EXIT_USAGE, ""), "{}", ran.err);
        assert!(ran.err.contains(word), "{}", ran.err);
    };
    for index in (2..BIRTH_LINE.len()).step_by(2) {
        refused(case.run(&[&BIRTH_LINE[..index], &BIRTH_LINE[index + 2..]].concat()), "Usage");
    }
    refused(case.birth(&["--purpose", "signer"]), "purpose");
    refused(case.run(&[&BIRTH_LINE[..11], &["receipt"]].concat()), "purpose");
    refused(case.run(&[BIRTH_LINE, &["--simulated"]].concat()), "--root");
    refused(case.birth(&["--challenge", "00"]), "challenge");
    for name in ["signer.json", "packproof.toml", "release.json", "root.pem", "pinned.toml"] {
        let bytes = fs::read(case.path(name)).unwrap();
        fs::remove_file(case.path(name)).unwrap();
        refused(case.birth(&["--pinned-by", "@pinned.toml"]), "[unreadable]");
        case.write(name, &bytes);
    }
    for name in ["packproof.toml", "pinned.toml"] {
        let bytes = fs::read(case.path(name)).unwrap();
        case.write(name, b"nonsense");
        refused(case.birth(&["--pinned-by", "@pinned.toml"]), "[policy_syntax]");
        case.write(name, &bytes);
    }
    // what is judged is not what is trusted: nonsense there is an answer
    case.write("signer.json", b"nonsense");
    let ran = case.birth(&[]);
    assert_eq!(ran.code, EXIT_NOT_VALID);
    assert!(ran.out.contains("NOT VALID: sealed_key_json\n"), "{}", ran.out);
    let help = case.run(&["birth", "--help"]);
    assert_eq!(help.code, EXIT_VALID);
    assert!(help.out.contains("before a key from `packproof seal` is pinned or encrypted to"), "{}", help.out);
}
