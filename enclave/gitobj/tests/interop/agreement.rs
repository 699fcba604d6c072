//! Hundreds of signatures, good and bad, of every kind of key: our verdict beside that of the program that people use.
//!
//! Each suite prints a line. A listed difference is one that [`packproof_gitobj`] documents under "Stricter than".

use packproof_gitobj::sshsig::{self, AllowedSigner, SshSigError};
use packproof_gitobj::{Commit, GitError, Kind, Tag};

use crate::sandbox::{COMMIT_TIME, FORMATS, Sandbox};
use crate::signers::{PRINCIPAL, Signer, armor, unarmor};
use crate::tally::Tally;

const APPROVAL: &str = "packproof-approval-v1";
const MESSAGE: &[u8] = b"repository, commit and so on\n";

/// A signature, what is wrong with it, and by which code we refuse it where others accept it.
type Variant = (String, String, Option<&'static str>);

fn keygen_verifies(sandbox: &Sandbox, line: &str, signature: &str) -> bool {
    std::fs::write(sandbox.path("lines"), format!("{PRINCIPAL} {line}\n")).unwrap();
    std::fs::write(sandbox.path("signature"), signature).unwrap();
    let args = ["-Y", "verify", "-f", "lines", "-I", PRINCIPAL, "-n", APPROVAL, "-s", "signature"];
    sandbox.try_keygen(&args, MESSAGE).status.success()
}

fn approval_variants(sandbox: &Sandbox, signer: &Signer, hash: &str) -> Vec<Variant> {
    let good = signer.sign(sandbox, APPROVAL, hash, MESSAGE);
    let blob = unarmor(&good);
    let mut variants: Vec<Variant> = Vec::new();
    let mut add = |what: &str, signature: String, listed| variants.push((what.to_owned(), signature, listed));
    add("good", good.clone(), None);
    add("without its last line end", good.trim_end().to_owned(), None);
    add("of another message", signer.sign(sandbox, APPROVAL, hash, b"other"), None);
    add("for another purpose", signer.sign(sandbox, "git", hash, MESSAGE), None);
    add("a byte more", armor(&[blob.as_slice(), b"\0"].concat()), None);
    add("without its armor", good.lines().nth(1).unwrap().to_owned(), None);
    add("empty", String::new(), None);
    for part in 1..8 {
        add("cut off", armor(&blob[..blob.len() * part / 8]), None);
    }
    for at in (0..24).map(|part| blob.len() * part / 24) {
        let mut flipped = blob.clone();
        flipped[at] ^= 1 << (at % 8);
        add(&format!("with a bit of byte {at} changed"), armor(&flipped), None);
    }
    let renamed = if hash == "sha256" { "sha512" } else { "sha256" };
    let text = |name: &str| [&6_u32.to_be_bytes(), name.as_bytes()].concat();
    let at = blob.windows(10).position(|window| window == text(hash)).unwrap();
    let other_hash = [&blob[..at], &text(renamed), &blob[at + 10..]].concat();
    add("with the other hash's name", armor(&other_hash), None);
    // OpenSSH looks for the armor in the text, and decodes base64 of any form
    let malformed = Some("malformed_signature");
    add("with text behind it", format!("{good}more\n"), malformed);
    add(
        "on one line",
        good.replace('\n', "").replace("URE-----", "URE-----\n").replace("-----END", "\n-----END"),
        malformed,
    );
    add("with spaces in it", good.replacen("U1NI", "U1 NI", 1), malformed);
    if let Some(untouched) = signer.untouched(APPROVAL, MESSAGE) {
        add("without a touch", untouched, Some("user_not_present"));
    }
    variants
}

#[test]
fn approvals_as_ssh_keygen_verifies_them() {
    let sandbox = Sandbox::new(FORMATS[0]);
    let signers = Signer::all(&sandbox);
    let mut tally = Tally::new("ssh-keygen -Y verify");
    let mut record = |what: &str, signature: &str, line: &str, allowed: &AllowedSigner, listed| {
        let ours =
            sshsig::verify(signature.as_bytes(), APPROVAL, MESSAGE, std::slice::from_ref(allowed), &[COMMIT_TIME]);
        let ours = ours.map(|_| ()).map_err(|error| error.code());
        tally.record(what, ours, keygen_verifies(&sandbox, line, signature), listed);
    };
    for (signer, other) in signers.iter().zip(signers.iter().cycle().skip(2)) {
        for hash in ["sha256", "sha512"] {
            for (what, signature, listed) in approval_variants(&sandbox, signer, hash) {
                record(&format!("{} {hash} {what}", signer.name), &signature, &signer.line, &signer.allowed, listed);
            }
        }
        let signature = signer.sign(&sandbox, APPROVAL, "sha512", MESSAGE);
        let both_certified = signer.allowed == other.allowed;
        assert!(!both_certified || signer.line == other.line);
        record(
            &format!("{} by the line of {}", signer.name, other.name),
            &signature,
            &other.line,
            &other.allowed,
            None,
        );
    }
    // keys that we read no signatures of
    for (key_type, bits, code) in [
        ("ecdsa", "384", "unsupported_key_type"),
        ("ecdsa", "521", "unsupported_key_type"),
        ("rsa", "1024", "unsupported_key_size"),
    ] {
        let name = format!("{key_type}-{bits}");
        sandbox.keygen(&["-q", "-t", key_type, "-b", bits, "-N", "", "-f", &name]);
        let args = ["-q", "-Y", "sign", "-f", &name, "-n", APPROVAL];
        let signature = String::from_utf8(sandbox.try_keygen(&args, MESSAGE).stdout).unwrap();
        record(&name, &signature, &sandbox.public_line(&name), &sandbox.signer("alice"), Some(code));
    }
    tally.close(36, 400);
}

/// What a commit or tag may look like around its signature.
struct Texts<'a> {
    sandbox: &'a Sandbox,
    signer: &'a Signer,
    /// Without a signature.
    payload: &'a str,
    /// Puts a signature where it belongs.
    signed: &'a dyn Fn(&str, &str) -> String,
}

impl Texts<'_> {
    fn variants(&self) -> Vec<Variant> {
        let Self { sandbox, signer, payload, signed } = self;
        let sign = |namespace: &str, hash: &str, text: &str| signer.sign(sandbox, namespace, hash, text.as_bytes());
        let good = sign("git", "sha512", payload);
        let blob = unarmor(&good);
        let mut variants: Vec<Variant> = Vec::new();
        let mut add = |what: &str, text: String, listed| variants.push((what.to_owned(), text, listed));
        add("good", signed(payload, &good), None);
        add("by SHA-256", signed(payload, &sign("git", "sha256", payload)), None);
        add("for approvals", signed(payload, &sign(APPROVAL, "sha512", payload)), None);
        add("of another text", signed(payload, &sign("git", "sha512", "other\n")), None);
        for (from, to) in [("subject", "subjekt"), ("Alice", "Alicf"), ("1700000000", "1700000001"), ("+0130", "+0000")]
        {
            let changed = payload.replacen(from, to, 1);
            assert_ne!(changed, *payload);
            add(&format!("with {to} for {from}"), signed(&changed, &good), None);
        }
        // the version's last byte becomes 0, which OpenSSH takes for one that it knows
        let old = Some("unsupported_signature_version");
        for (at, listed) in [(0, None), (9, old), (blob.len() / 2, None), (blob.len() - 1, None)] {
            let mut flipped = blob.clone();
            flipped[at] ^= 1;
            add(&format!("with a bit of byte {at} changed"), signed(payload, &armor(&flipped)), listed);
        }
        add("cut off", signed(payload, &armor(&blob[..blob.len() / 2])), None);
        if let Some(untouched) = signer.untouched("git", payload.as_bytes()) {
            add("without a touch", signed(payload, &untouched), Some("user_not_present"));
        }
        variants
    }
}

fn trust(sandbox: &Sandbox, signers: &[Signer]) -> Vec<AllowedSigner> {
    let lines: String = signers.iter().map(|signer| format!("{PRINCIPAL} {}\n", signer.line)).collect();
    std::fs::write(sandbox.path("allowed"), lines).unwrap();
    signers.iter().map(|signer| signer.allowed.clone()).collect()
}

fn code(verdict: Result<Result<(), SshSigError>, GitError>) -> Result<(), &'static str> {
    verdict.map_err(|error| error.code())?.map_err(|error| error.code())
}

#[test]
fn commits_as_git_verifies_them() {
    let mut tally = Tally::new("git verify-commit");
    for format in FORMATS {
        let sandbox = Sandbox::new(format);
        let signers = Signer::all(&sandbox);
        let allowed = trust(&sandbox, &signers);
        let payload = String::from_utf8(sandbox.body(Kind::Commit, &sandbox.commit(&["--no-gpg-sign"]))).unwrap();
        let key = if format.name() == "sha1" { "gpgsig" } else { "gpgsig-sha256" };
        let header = |key: &str, signature: &str| format!("{key} {}\n", signature.trim_end().replace('\n', "\n "));
        let with = |payload: &str, headers: &str| payload.replacen("\n\n", &format!("\n{headers}\n"), 1);
        let signed = |payload: &str, signature: &str| with(payload, &header(key, signature));
        let mut record = |what: &str, text: &str, listed| {
            let ours = Commit::parse(format, text.as_bytes())
                .map(|commit| commit.verify_signature(&allowed, &[COMMIT_TIME]).map(|_| ()));
            let id = sandbox.store(Kind::Commit, text.as_bytes(), false).unwrap();
            tally.record(&format!("{format} {what}"), code(ours), sandbox.git_verifies(&id), listed);
        };
        for signer in &signers {
            let texts = Texts { sandbox: &sandbox, signer, payload: &payload, signed: &signed };
            for (what, text, listed) in texts.variants() {
                record(&format!("{} {what}", signer.name), &text, listed);
            }
            let good = signer.sign(&sandbox, "git", "sha512", payload.as_bytes());
            // git leaves out of the signed bytes whatever begins with gpgsig
            let two = format!("{}{}", header(key, &good), header(key, &good));
            record("two signatures", &with(&payload, &two), Some("two_signatures"));
            let hidden = format!("{}gpgsig-hidden x\n", header(key, &good));
            record("a hidden header", &with(&payload, &hidden), Some("two_signatures"));
            record("unsigned", &payload, None);
        }
    }
    tally.close(36, 190);
}

#[test]
fn tags_as_git_verifies_them() {
    let mut tally = Tally::new("git verify-tag");
    for format in FORMATS {
        let sandbox = Sandbox::new(format);
        let signers = Signer::all(&sandbox);
        let allowed = trust(&sandbox, &signers);
        sandbox.commit(&["--no-gpg-sign"]);
        sandbox.git(&["tag", "-a", "-m", "subject", "v1"]);
        let payload = String::from_utf8(sandbox.body(Kind::Tag, &sandbox.id("refs/tags/v1"))).unwrap();
        let signed = |payload: &str, signature: &str| format!("{payload}{signature}");
        let mut record = |what: &str, text: &str, listed| {
            let ours = Tag::parse(format, text.as_bytes())
                .map(|tag| tag.verify_signature(&allowed, &[COMMIT_TIME]).map(|_| ()));
            let id = sandbox.store(Kind::Tag, text.as_bytes(), false).unwrap();
            tally.record(&format!("{format} {what}"), code(ours), sandbox.git_verifies_tag(&id), listed);
        };
        for signer in &signers {
            let texts = Texts { sandbox: &sandbox, signer, payload: &payload, signed: &signed };
            for (what, text, listed) in texts.variants() {
                record(&format!("{} {what}", signer.name), &text, listed);
            }
            let good = signer.sign(&sandbox, "git", "sha512", payload.as_bytes());
            record("two signatures", &format!("{payload}{good}{good}"), None);
            let hidden = signed(&payload, &good).replacen("\n\n", "\ngpgsig hidden\n\n", 1);
            record("a hidden header", &hidden, Some("foreign_signature"));
            record("unsigned", &payload, None);
        }
    }
    tally.close(36, 200);
}
