//! The commands, from a release directory to a signed image.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which panic when something is not as expected")]

use std::{ffi::OsString, fs, path::PathBuf};

use packproof_eif::{Base, cli, image::Image};
use packproof_receipt::measure::{Measurements, boot_ramdisk, policy_ramdisk};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384};
use serde_json::Value;

/// A policy that every rule accepts.
const POLICY: &str = r#"
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
namespaces = ["stripe"]
decrypt = ["arn:aws:kms:eu-west-1:111122223333:key/sops"]
envelope = "arn:aws:kms:eu-west-1:111122223333:key/envelope"
signer = { kms = "arn:aws:kms:eu-west-1:111122223333:key/signer", public_key = "MCowBQYDK2VwAyEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" }
signers = ["release"]
max_ttl_seconds = 86400
max_commit_age_seconds = 604800
"#;

struct Workspace(tempfile::TempDir);

impl Workspace {
    fn new() -> Self {
        let workspace = Self(tempfile::tempdir().unwrap());
        let base = Base::new(b"kernel".to_vec(), b"console=ttyS0".to_vec(), b"\x7fELF");
        base.write_release(&workspace.path("release"), "test").unwrap();
        workspace.file("packproof.toml", POLICY);
        workspace
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    /// Runs a command line in which every word with a slash in front is a file here.
    fn run(&self, line: &str) -> (u8, String, String) {
        let word = |word: &str| match word.strip_prefix('/') {
            Some(name) => self.path(name).into_os_string(),
            None => OsString::from(word),
        };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let args = std::iter::once("packproof-eif".into()).chain(line.split(' ').map(word));
        let code = cli::run(args, &mut out, &mut err);
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    fn ok(&self, line: &str) -> String {
        let (code, out, err) = self.run(line);
        assert_eq!(code, 0, "{line}: {err}");
        out
    }

    /// Exit code and the stable code in brackets.
    fn refused(&self, line: &str) -> (u8, String) {
        let (code, _, err) = self.run(line);
        let name = err.rsplit_once('[').map(|(_, name)| name.trim_end().trim_end_matches(']').to_owned());
        (code, name.unwrap_or(err))
    }

    fn assembled(&self) -> String {
        self.ok("assemble --release /release --policy /packproof.toml -o /a.eif")
    }

    fn signer(&self) {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        let certificate = CertificateParams::new(vec!["signer".to_owned()]).unwrap().self_signed(&key).unwrap();
        self.file("key.pem", key.serialize_pem());
        self.file("cert.pem", certificate.pem());
    }
}

#[test]
fn assembles_the_same_bytes_and_measures_them_the_same() {
    let here = Workspace::new();
    let printed = here.assembled();
    let expected =
        Measurements::of(b"kernel", b"console=ttyS0", &boot_ramdisk(b"\x7fELF"), &policy_ramdisk(POLICY.as_bytes()));
    assert_eq!(
        printed,
        format!(
            "PCR0 {}\nPCR1 {}\nPCR2 {}\n",
            hex::encode(expected.pcr0),
            hex::encode(expected.pcr1),
            hex::encode(expected.pcr2)
        )
    );
    here.ok("assemble --release /release/release.json --policy /packproof.toml -o /b.eif");
    assert_eq!(fs::read(here.path("a.eif")).unwrap(), fs::read(here.path("b.eif")).unwrap());
    assert_eq!(here.ok("measure /a.eif"), printed);
    assert_eq!(here.ok("measure --release /release --policy /packproof.toml"), printed);
    let json: Value = serde_json::from_str(&here.ok("measure /a.eif --json")).unwrap();
    assert_eq!((json["pcr0"].as_str().unwrap(), &json["pcr8"]), (hex::encode(expected.pcr0).as_str(), &Value::Null));
    // no temporary file is left
    assert_eq!(fs::read_dir(here.0.path()).unwrap().count(), 4);
}

#[test]
fn another_kernel_is_said_to_be_one() {
    let here = Workspace::new();
    here.file("bzImage", b"other");
    here.file("words", b"panic=1");
    let line = "assemble --release /release --policy /packproof.toml --kernel /bzImage --cmdline /words -o /a.eif";
    assert!(here.ok(line).contains("PCR1 is not the release's"));
    let file = fs::read(here.path("a.eif")).unwrap();
    assert_eq!(Image::parse(&file).unwrap().kernel(), b"other");
    here.file("words", b"panic=1\n");
    assert_eq!(here.refused(line), (1, "command_line".to_owned()));
    assert_eq!(here.run(&line.replace(" --cmdline /words", "")).0, 2);
}

#[test]
fn a_bad_policy_or_release_writes_nothing() {
    let here = Workspace::new();
    let line = "assemble --release /release --policy /packproof.toml -o /a.eif";
    here.file("packproof.toml", "schema = 1");
    assert_eq!(here.refused(line), (1, "policy_syntax".to_owned()));
    here.file("packproof.toml", POLICY);
    here.file("release/cmdline", "other");
    assert_eq!(here.refused(line), (1, "section_differs".to_owned()));
    assert!(!here.path("a.eif").exists());
    assert_eq!(here.refused("measure /none"), (2, "unreadable".to_owned()));
}

/// A release whose boot ramdisk holds more than init, with a description that is true.
#[test]
fn refuses_a_boot_ramdisk_with_more_in_it() {
    let here = Workspace::new();
    let json = fs::read_to_string(here.path("release/release.json")).unwrap();
    let mut release: Value = serde_json::from_str(&json).unwrap();
    let boot = [boot_ramdisk(b"\x7fELF"), boot_ramdisk(b"more")].concat();
    here.file("release/boot.cpio", &boot);
    release["boot_ramdisk"]["size"] = boot.len().into();
    release["boot_ramdisk"]["sha384"] = sha384(&boot).into();
    let pcr1 = packproof_receipt::measure::pcr(&[b"kernel", b"console=ttyS0", &boot]);
    release["pcr1"] = hex::encode(pcr1).into();
    here.file("release/release.json", release.to_string());
    let line = "assemble --release /release --policy /packproof.toml -o /a.eif";
    assert_eq!(here.refused(line), (1, "boot_ramdisk".to_owned()));
}

fn sha384(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha384::digest(bytes))
}

#[test]
fn shows_an_image() {
    let here = Workspace::new();
    here.assembled();
    let text = here.ok("show /a.eif");
    for part in [
        "ramdisk 0, canonical boot ramdisk",
        "ramdisk 1, canonical policy ramdisk",
        "signature: none",
        "not to be believed",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let json: Value = serde_json::from_str(&here.ok("show /a.eif --json")).unwrap();
    assert_eq!(json["ramdisks"][1]["entries"][0]["sha384"], sha384(POLICY.as_bytes()));
    assert_eq!((&json["notes"], &json["overlaps"]), (&Value::Array(vec![]), &Value::Array(vec![])));
    assert_eq!(json["sections"][2]["kind"], "metadata");
}

#[test]
fn explains_a_difference_down_to_the_file() {
    let here = Workspace::new();
    here.assembled();
    here.file("packproof.toml", POLICY.replace("86400", "3600"));
    here.ok("assemble --release /release --policy /packproof.toml -o /b.eif");
    let (code, text, _) = here.run("diff /a.eif /b.eif");
    assert_eq!(code, 1);
    assert!(text.starts_with("ramdisk 1 packproof.toml: size "), "{text}");
    assert!(text.ends_with("the images differ\n"));
    assert_eq!(here.ok("diff /a.eif /a.eif"), "the files are the same\n");
    let (_, json, _) = here.run("diff /a.eif /b.eif --json");
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["same_pcr0"], &json["differences"][0]["path"]), (&false.into(), &"packproof.toml".into()));
}

#[test]
fn signs_with_a_local_key() {
    let here = Workspace::new();
    let unsigned = here.assembled();
    here.signer();
    let signed = here.ok("sign /a.eif --certificate /cert.pem --key /key.pem -o /s.eif");
    assert!(signed.starts_with(&unsigned) && signed.contains("\nPCR8 "));
    assert_eq!(here.ok("measure /s.eif"), signed);
    assert!(here.ok("show /s.eif").contains("signature: valid"));
    let (code, text, _) = here.run("diff /a.eif /s.eif");
    assert!(code == 1 && text.contains("signature (not measured): none -> PCR8 "), "{text}");
    let again = "sign /s.eif --certificate /cert.pem --key /key.pem -o /t.eif";
    assert_eq!(here.refused(again), (1, "already_signed".to_owned()));
    here.signer();
    fs::rename(here.path("key.pem"), here.path("other.pem")).unwrap();
    here.signer();
    let other = "sign /a.eif --certificate /cert.pem --key /other.pem -o /t.eif";
    assert_eq!(here.refused(other), (1, "signing_key_mismatch".to_owned()));
    assert!(!here.path("t.eif").exists());
}

#[test]
fn takes_a_signature_made_elsewhere() {
    let here = Workspace::new();
    here.assembled();
    here.signer();
    here.ok("sign /a.eif --to-be-signed /tbs");
    let key = KeyPair::from_pem(&fs::read_to_string(here.path("key.pem")).unwrap()).unwrap();
    let signature = rcgen::SigningKey::sign(&key, &fs::read(here.path("tbs")).unwrap()).unwrap();
    here.file("sig", signature);
    let line = "sign /a.eif --certificate /cert.pem --signature /sig -o /s.eif";
    assert!(here.ok(line).contains("PCR8 "));
    // another image's
    here.file("packproof.toml", POLICY.replace("86400", "3600"));
    here.ok("assemble --release /release --policy /packproof.toml -o /a.eif");
    assert_eq!(here.refused(line), (1, "signature_invalid".to_owned()));
}

/// A signature section moved to another image, with the CRC mended.
#[test]
fn an_image_with_a_wrong_signature_is_not_measured() {
    let here = Workspace::new();
    here.assembled();
    here.signer();
    here.ok("sign /a.eif --certificate /cert.pem --key /key.pem -o /s.eif");
    let signed = fs::read(here.path("s.eif")).unwrap();
    let mut image = Image::parse(&signed).unwrap();
    image.sections[0].bytes = b"Kernel";
    here.file("forged.eif", image.to_bytes().unwrap());
    assert_eq!(here.refused("measure /forged.eif"), (1, "signature_payload".to_owned()));
    assert!(here.ok("show /forged.eif").contains("signature: refused"));
    here.file("cut.eif", &signed[..signed.len() - 1]);
    assert_eq!(here.refused("show /cut.eif"), (1, "eif_section_past_end".to_owned()));
}

#[test]
fn every_command_refuses_hostile_files_by_name() {
    let here = Workspace::new();
    here.assembled();
    here.signer();
    let good = fs::read(here.path("a.eif")).unwrap();
    let with = |at: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    };
    let hostile = [
        (Vec::new(), "eif_short_header"),
        (vec![b'.'; 548], "eif_magic"),
        (good[..good.len() - 4].to_vec(), "eif_section_past_end"),
        ([good.as_slice(), b"more"].concat(), "eif_trailing_bytes"),
        // the table: as many sections as fit into the field, and one that starts at the file's first byte
        (with(26, &[0xff, 0xff]), "eif_section_count"),
        (with(28, &[0; 8]), "eif_section_offset"),
        // the kernel's size, in table and section
        (with(284, &u64::MAX.to_be_bytes()), "eif_section_size"),
        (with(552, &u64::MAX.to_be_bytes()), "eif_section_size"),
        (with(560, b"K"), "eif_crc"),
    ];
    for (file, code) in hostile {
        here.file("h.eif", &file);
        for line in [
            "measure /h.eif",
            "show /h.eif --json",
            "diff /h.eif /a.eif",
            "diff /a.eif /h.eif",
            "sign /h.eif --certificate /cert.pem --key /key.pem -o /s.eif",
            "sign /h.eif --to-be-signed /s.eif",
        ] {
            assert_eq!(here.refused(line), (1, code.to_owned()), "{line}");
            assert_eq!(here.run(line).1, "", "{line}");
        }
    }
    assert!(!here.path("s.eif").exists());
}

/// What the image brings is measured whatever it is, and shown without its terminal codes.
#[test]
fn hostile_contents_are_measured_and_shown_harmlessly() {
    let here = Workspace::new();
    here.assembled();
    let good = fs::read(here.path("a.eif")).unwrap();
    let mut image = Image::parse(&good).unwrap();
    let mut policy = policy_ramdisk(b"x");
    policy[110..112].copy_from_slice(b"\x1b[");
    let cut = &policy[..120];
    image.sections[1].bytes = b"quiet\x1b]0;title\x07\n";
    image.sections[2].bytes = b"\x1b[2J{";
    image.sections[4].bytes = &policy;
    here.file("h.eif", image.to_bytes().unwrap());
    image.sections[4].bytes = cut;
    here.file("i.eif", image.to_bytes().unwrap());
    for line in ["measure /h.eif", "measure /i.eif", "show /h.eif", "show /i.eif", "show /i.eif --json"] {
        let text = here.ok(line);
        assert!(text.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)), "{line}: {text:?}");
    }
    let (code, text, _) = here.run("diff /a.eif /h.eif");
    assert!(code == 1 && !text.contains('\x1b') && text.contains(r"\x1b["), "{text}");
    assert!(here.ok("show /i.eif").contains("not opened: the ramdisk ends inside an entry [cpio_truncated]"));
}

#[test]
fn usage_errors_are_two() {
    let here = Workspace::new();
    for line in
        ["measure", "sign /a.eif", "measure --release /release", "sign /a.eif --certificate /c -o /o", "assemble"]
    {
        assert_eq!(here.run(line).0, 2, "{line}");
    }
}
