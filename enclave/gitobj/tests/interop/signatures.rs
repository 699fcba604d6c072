//! What ssh-keygen signs, and what it says of signatures.

use packproof_gitobj::sshsig::{self, AllowedSigner, PublicKey, SshSigError};
use packproof_gitobj::{Commit, Kind, ObjectFormat};

use crate::sandbox::{COMMIT_TIME, Sandbox};
use crate::tally::Tally;

const NAMESPACE: &str = "packproof-approval-v1";
const MESSAGE: &[u8] = b"repository, commit and so on\n";

/// The key types that ssh-keygen makes without a device, and their algorithms.
const TYPES: [(&str, &str, &str); 3] =
    [("ed25519", "256", "ssh-ed25519"), ("ecdsa", "256", "ecdsa-sha2-nistp256"), ("rsa", "2048", "rsa-sha2-512")];

fn sign(sandbox: &Sandbox, key: &str, namespace: &str, hash: &str) -> Vec<u8> {
    let hash = format!("hashalg={hash}");
    let output = sandbox.try_keygen(&["-q", "-Y", "sign", "-f", key, "-n", namespace, "-O", &hash], MESSAGE);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Whether `ssh-keygen -Y verify` accepts the signature by the lines of an allowed-signers file.
fn keygen_verifies(sandbox: &Sandbox, lines: &str, principal: &str, signature: &[u8], time: u64) -> bool {
    std::fs::write(sandbox.path("lines"), lines).unwrap();
    std::fs::write(sandbox.path("signature"), signature).unwrap();
    // as long as no zone is said, ssh-keygen means its own
    let time = format!("verify-time={}", utc(time));
    let args = ["-Y", "verify", "-f", "lines", "-I", principal, "-n", NAMESPACE, "-s", "signature", "-O", &time];
    sandbox.try_keygen(&args, MESSAGE).status.success()
}

/// `YYYYMMDDHHMMSSZ` of a second of 2023-11-14, or of the day after.
fn utc(time: u64) -> String {
    const START_OF_DAY: u64 = 1_699_920_000;
    let seconds = time.checked_sub(START_OF_DAY).unwrap();
    assert!(seconds < 2 * 86_400);
    let (day, seconds) = (14 + seconds / 86_400, seconds % 86_400);
    format!("202311{day}{:02}{:02}{:02}Z", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[test]
fn verifies_every_type_of_key_that_ssh_keygen_makes() {
    let sandbox = Sandbox::new(ObjectFormat::Sha1);
    for (key_type, bits, scheme) in TYPES {
        let name = format!("{key_type}-{bits}");
        sandbox.keygen(&["-q", "-t", key_type, "-b", bits, "-N", "", "-f", &name]);
        let allowed = [sandbox.signer("mallory"), sandbox.signer(&name)];
        for hash in ["sha256", "sha512"] {
            let signature = sign(&sandbox, &name, NAMESPACE, hash);
            assert!(keygen_verifies(
                &sandbox,
                &format!("a {}", sandbox.public_line(&name)),
                "a",
                &signature,
                COMMIT_TIME
            ));
            let verified = sshsig::verify(&signature, NAMESPACE, MESSAGE, &allowed, &[0]).unwrap();
            assert_eq!((verified.index, verified.scheme, verified.certificate), (1, scheme, None));
            assert_eq!(verified.fingerprint, sandbox.fingerprint(&name));
            let other = sshsig::verify(&signature, NAMESPACE, b"other", &allowed, &[0]);
            assert_eq!(other, Err(SshSigError::BadSignature));
            let wrong = SshSigError::WrongNamespace { expected: "git".into(), found: NAMESPACE.into() };
            assert_eq!(sshsig::verify(&signature, "git", MESSAGE, &allowed, &[0]), Err(wrong));
            let unknown = SshSigError::UnknownSigner { fingerprint: sandbox.fingerprint(&name) };
            assert_eq!(sshsig::verify(&signature, NAMESPACE, MESSAGE, &allowed[..1], &[0]), Err(unknown));
        }
    }
}

#[test]
fn names_the_types_and_sizes_it_does_not_verify() {
    let sandbox = Sandbox::new(ObjectFormat::Sha1);
    let unsupported = |name: &str| SshSigError::UnsupportedKeyType { name: name.into() };
    for (key_type, bits, error) in [
        ("ecdsa", "384", unsupported("ecdsa-sha2-nistp384")),
        ("ecdsa", "521", unsupported("ecdsa-sha2-nistp521")),
        ("rsa", "1024", SshSigError::UnsupportedKeySize { bits: 1024 }),
    ] {
        let name = format!("{key_type}-{bits}");
        sandbox.keygen(&["-q", "-t", key_type, "-b", bits, "-N", "", "-f", &name]);
        assert_eq!(PublicKey::parse(&sandbox.public_line(&name)), Err(error.clone()));
        let signature = sign(&sandbox, &name, NAMESPACE, "sha512");
        let verdict = sshsig::verify(&signature, NAMESPACE, MESSAGE, &[sandbox.signer("alice")], &[0]);
        assert_eq!(verdict, Err(error));
    }
}

#[test]
fn verifies_certificates_for_every_type_by_every_type() {
    let sandbox = Sandbox::new(ObjectFormat::Sha1);
    for (key_type, bits, _) in TYPES {
        sandbox.keygen(&["-q", "-t", key_type, "-b", bits, "-N", "", "-f", &format!("{key_type}-{bits}")]);
    }
    let authorities = TYPES.map(|(key_type, bits, algorithm)| (format!("{key_type}-{bits}"), algorithm));
    let authorities = authorities.iter().map(|(name, algorithm)| (name.as_str(), *algorithm));
    for (authority, algorithm) in authorities.chain([("rsa-2048", "rsa-sha2-256")]) {
        for (key_type, bits, scheme) in TYPES {
            let name = format!("{key_type}-{bits}");
            let algorithm = if authority.starts_with("rsa") { algorithm } else { "" };
            let algorithm = if algorithm.is_empty() { vec![] } else { vec!["-t", algorithm] };
            let public = format!("{name}.pub");
            let made = ["-q", "-s", authority, "-I", "id 5", "-z", "5", "-n", "bob,alice@example.com", &public];
            sandbox.keygen(&[&algorithm, made.as_slice()].concat());
            let signature = sign(&sandbox, &format!("{name}-cert.pub"), NAMESPACE, "sha512");
            let allowed = [sandbox.signer(&name), sandbox.authority(authority, &["*@example.com"])];
            let verified = sshsig::verify(&signature, NAMESPACE, MESSAGE, &allowed, &[COMMIT_TIME]).unwrap();
            assert_eq!((verified.index, verified.scheme), (1, scheme));
            assert_eq!(verified.fingerprint, sandbox.fingerprint(&name));
            let certificate = verified.certificate.unwrap();
            assert_eq!((certificate.serial, certificate.key_id.as_str()), (5, "id 5"));
            assert_eq!(certificate.principals, ["alice@example.com"]);
            assert_eq!(certificate.authority_fingerprint, sandbox.fingerprint(authority));
        }
    }
    // an authority that still hashes with SHA-1
    let made = ["-q", "-s", "rsa-2048", "-t", "ssh-rsa", "-I", "x", "-n", "alice@example.com", "alice.pub"];
    sandbox.keygen(&made);
    let signature = sign(&sandbox, "alice-cert.pub", NAMESPACE, "sha512");
    let allowed = [sandbox.authority("rsa-2048", &["*"])];
    let verdict = sshsig::verify(&signature, NAMESPACE, MESSAGE, &allowed, &[COMMIT_TIME]);
    let sha1 = SshSigError::UnsupportedAlgorithm { key_type: "ssh-rsa", name: "ssh-rsa".into() };
    assert_eq!(verdict, Err(sha1));
}

/// A certificate, as ssh-keygen's arguments, and whether ssh-keygen itself would take it where we do not.
const CERTIFICATES: [(&str, &[&str], Option<&str>); 8] = [
    ("plain", &["-n", "alice@example.com"], None),
    ("two principals", &["-n", "bob@example.com,alice@example.com"], None),
    ("other principal", &["-n", "bob@example.com"], None),
    ("no principal", &[], None),
    ("window", &["-n", "alice@example.com", "-V", "20231114221000Z:20231114221500Z"], None),
    ("host", &["-h", "-n", "alice@example.com"], None),
    ("few extensions", &["-n", "alice@example.com", "-O", "clear"], None),
    ("option", &["-n", "alice@example.com", "-O", "force-command=true"], Some("unsupported_critical_option")),
];

/// Around [`COMMIT_TIME`], 22:13:20, and the ends of the windows.
const VERIFY_TIMES: [u64; 7] = [
    COMMIT_TIME,
    COMMIT_TIME - 201,
    COMMIT_TIME - 200,
    COMMIT_TIME + 99,
    COMMIT_TIME + 100,
    COMMIT_TIME + 101,
    COMMIT_TIME + 86_400,
];

/// Every certificate against every line of an allowed-signers file, at every time where one of them has a window.
#[test]
fn agrees_with_ssh_keygen_on_certificates() {
    let sandbox = Sandbox::new(ObjectFormat::Sha1);
    let authority = |name: &str, principals: &[&str]| sandbox.authority(name, principals);
    let window = |signer: AllowedSigner| AllowedSigner {
        valid_after: Some(COMMIT_TIME - 200),
        valid_before: Some(COMMIT_TIME + 100),
        ..signer
    };
    let alice = "alice@example.com";
    let (ca, key) = (sandbox.public_line("mallory"), sandbox.public_line("alice"));
    let within = "valid-after=\"20231114221000Z\",valid-before=\"20231114221500Z\"";
    let lines = [
        (format!("{alice} cert-authority {ca}"), authority("mallory", &[alice])),
        (format!("*@example.com cert-authority {ca}"), authority("mallory", &["*@example.com"])),
        (format!("x,?????@example.com cert-authority {ca}"), authority("mallory", &["x", "?????@example.com"])),
        (format!("bob@example.com cert-authority {ca}"), authority("mallory", &["bob@example.com"])),
        (format!("{alice} cert-authority,{within} {ca}"), window(authority("mallory", &[alice]))),
        (format!("{alice} cert-authority {key}"), authority("alice", &[alice])),
        (format!("{alice} {ca}"), sandbox.signer("mallory")),
        (format!("{alice} {key}"), sandbox.signer("alice")),
        (format!("{alice} {within} {key}"), window(sandbox.signer("alice"))),
    ];
    let mut signatures = vec![("no certificate", sign(&sandbox, "alice", NAMESPACE, "sha512"), None)];
    for (name, args, ours) in CERTIFICATES {
        sandbox.keygen(&[&["-q", "-s", "mallory", "-I", "x"], args, &["alice.pub"]].concat());
        signatures.push((name, sign(&sandbox, "alice-cert.pub", NAMESPACE, "sha512"), ours));
    }
    let mut tally = Tally::new("ssh-keygen -Y verify, certificates");
    for (name, signature, ours) in &signatures {
        for (line, signer) in &lines {
            // without a window one time is as good as another
            let has_window = *name == "window" || signer.valid_after.is_some();
            for &time in if has_window { &VERIFY_TIMES[..] } else { &VERIFY_TIMES[..1] } {
                // what git does: take any principal that the signature has by this line
                let theirs = [alice, "bob@example.com"]
                    .iter()
                    .any(|principal| keygen_verifies(&sandbox, line, principal, signature, time));
                let verdict = sshsig::verify(signature, NAMESPACE, MESSAGE, std::slice::from_ref(signer), &[time]);
                let verdict = verdict.map(|_| ()).map_err(|error| error.code());
                tally.record(&format!("{name} {line} {time}"), verdict, theirs, ours.filter(|_| theirs));
            }
        }
    }
    tally.close(30, 100);
}

/// Each time alone is within a window where ssh-keygen, which has one time, accepts it.
#[test]
fn validity_holds_at_commit_time_and_now_where_git_asks_for_the_commit_time_alone() {
    let sandbox = Sandbox::new(ObjectFormat::Sha1);
    let window = ["-V", "20231114221000Z:20231114221500Z"];
    let made = ["-q", "-s", "mallory", "-I", "x", "-n", "alice@example.com"];
    sandbox.keygen(&[&made, window.as_slice(), &["alice.pub"]].concat());
    let line = format!("*@example.com cert-authority {}", sandbox.public_line("mallory"));
    std::fs::write(sandbox.path("allowed"), line).unwrap();
    sandbox.git(&["config", "user.signingKey", sandbox.path("alice-cert.pub").to_str().unwrap()]);
    let id = sandbox.commit(&[]);
    assert!(sandbox.git_verifies(&id));

    let commit = Commit::parse(ObjectFormat::Sha1, &sandbox.body(Kind::Commit, &id)).unwrap();
    let allowed = [sandbox.authority("mallory", &["*@example.com"])];
    assert!(commit.verify_signature(&allowed, &[COMMIT_TIME + 99]).is_ok());
    let (valid_after, valid_before) = (COMMIT_TIME - 200, COMMIT_TIME + 100);
    let expired = SshSigError::CertificateNotValid { at: COMMIT_TIME + 100, valid_after, valid_before };
    assert_eq!(commit.verify_signature(&allowed, &[COMMIT_TIME + 100]), Err(expired));
    let late = ["-V", "20231114221321Z:20231114221500Z"];
    sandbox.keygen(&[&made, late.as_slice(), &["alice.pub"]].concat());
    let id = sandbox.commit(&["-m", "before its certificate"]);
    assert!(!sandbox.git_verifies(&id));
    let commit = Commit::parse(ObjectFormat::Sha1, &sandbox.body(Kind::Commit, &id)).unwrap();
    let early = SshSigError::CertificateNotValid { at: COMMIT_TIME, valid_after: COMMIT_TIME + 1, valid_before };
    assert_eq!(commit.verify_signature(&allowed, &[COMMIT_TIME + 50]), Err(early));
}
