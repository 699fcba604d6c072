//! What the proof of a pack costs in a repository of 100,000 files: a measurement, which tests/run --deep prints.
//!
//! `cargo nextest run --release -p packproof-tests --test large --run-ignored all --no-capture`

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use packproof::{
    collect::{Wanted, collect},
    git::Repository,
};
use packproof_enclave::{pack::verify::verify, policy::MeasuredPolicy};
use packproof_nsm::{AttestationRequest, Nsm, NsmError};
use packproof_receipt::{
    measure::{Pcr, policy_pcr2},
    time::UnixMillis,
};
use packproof_tests::{demo, process::Outcome, repo};
use packproof_wire::{Credentials, Object, PackRequest, Request, message::encode};

const FILES: usize = 100_000;
const CELLS: usize = 50;
/// Of everything that is measured, the fastest of so many.
const RUNS: usize = 5;
const MAX_REQUEST_BYTES: usize = 8 << 20;
/// When the commit was made, 2026-01-01, and the NSM's time.
const NOW: u64 = 1_767_225_600;

/// Registers of an image that holds this policy.
struct Registers(Pcr);

impl Nsm for Registers {
    fn attest(&self, _: &AttestationRequest<'_>) -> Result<Vec<u8>, NsmError> {
        panic!("verifying makes no document")
    }
    fn pcr(&self, index: u8) -> Result<Pcr, NsmError> {
        Ok(if index == 2 { self.0 } else { [1; 48] })
    }
    fn random(&self, _: &mut [u8]) -> Result<(), NsmError> {
        panic!("verifying needs no randomness")
    }
}

/// A layout: the pattern of the cells, and where the nth other file is.
type Layout = (&'static str, &'static str, fn(usize) -> String);

#[test]
#[ignore = "a measurement"]
fn the_proof_of_fifty_cells_among_100_000_files() {
    let layouts: [Layout; 3] = [
        ("in 1,000 directories", "secrets/{namespace}/{environment}.enc.yaml", |n| {
            format!("data/{:03}/file-{n:06}.yaml", n % 1000)
        }),
        ("in the cells' directory", "secrets/{namespace}.{environment}.enc.yaml", |n| {
            format!("secrets/file-{n:06}.yaml")
        }),
        ("in the root directory", "secrets/{namespace}/{environment}.enc.yaml", |n| format!("file-{n:06}.yaml")),
    ];
    for (name, pattern, place) in layouts {
        let dir = tempfile::TempDir::new().unwrap();
        let policy = make(dir.path(), pattern, place);
        let policy = MeasuredPolicy::load(&policy, &Registers(policy_pcr2(&policy))).unwrap();
        let commit = git(dir.path(), &["rev-parse", "HEAD"]);
        let wanted = Wanted {
            commit: &commit,
            tag: None,
            object_format: "sha1",
            schemas: Vec::new(),
            sidecars: false,
            manifest: "clef.yaml",
            identity: "checkout",
            environment: "production",
            max_bytes: MAX_REQUEST_BYTES,
        };
        let repository = Repository::new(&dir.path().join("repo"));
        let (collected, objects) = fastest(|| collect(&repository, &wanted).unwrap());
        let (verified, _) = fastest(|| verify(&policy, UnixMillis(NOW * 1000), request(&commit, &objects)).unwrap());
        let bytes: usize = objects.iter().map(|object| object.body.len()).sum();
        let sent = encode(&Request::Pack(request(&commit, &objects))).len();
        println!(
            "100,000 files {name}, 50 cells: {} objects, {bytes} bytes ({sent} in the request), collected in {} ms, \
             verified in {} ms",
            objects.len(),
            collected.as_millis(),
            verified.as_millis(),
        );
        assert!(sent <= MAX_REQUEST_BYTES, "the policy's default does not suffice");
    }
}

fn fastest<T>(mut run: impl FnMut() -> T) -> (Duration, T) {
    let timed = |run: &mut dyn FnMut() -> T| {
        let start = Instant::now();
        let value = run();
        (start.elapsed(), value)
    };
    let runs: Vec<_> = (0..RUNS).map(|_| timed(&mut run)).collect();
    runs.into_iter().min_by_key(|(time, _)| *time).unwrap()
}

fn request(commit: &str, objects: &[Object]) -> PackRequest {
    let object = |object: &Object| Object { kind: object.kind.clone(), body: object.body.clone() };
    PackRequest {
        identity: "checkout".to_owned(),
        environment: "production".to_owned(),
        commit: commit.to_owned(),
        tag: None,
        objects: objects.iter().map(object).collect(),
        approvals: Vec::new(),
        ttl_seconds: None,
        challenge: None,
        sealed_signer: Vec::new(),
        sealed_age_key: None,
        credentials: Credentials {
            access_key_id: String::new(),
            secret_access_key: String::new(),
            session_token: None,
        },
    }
}

fn git(dir: &Path, args: &[&str]) -> String {
    Outcome::of(repo::git(dir, &dir.join("repo")).args(args)).ok().stdout.trim_end().to_owned()
}

fn namespace(n: usize) -> String {
    format!("service-{n:02}")
}

/// Makes `repo` with a signed commit in it; returns the policy that allows the pack.
fn make(dir: &Path, pattern: &str, place: fn(usize) -> String) -> Vec<u8> {
    fs::create_dir(dir.join("repo")).unwrap();
    git(dir, &["init", "--quiet", "--initial-branch=main"]);
    let cell = fs::read_to_string(demo::path("repo/secrets/stripe/production.enc.yaml")).unwrap();
    let mut files = vec![
        (".packproof/repository".to_owned(), "https://git.packproof.example/large\n".to_owned()),
        ("clef.yaml".to_owned(), manifest(pattern)),
    ];
    for n in 0..CELLS {
        let path = pattern.replace("{namespace}", &namespace(n)).replace("{environment}", "production");
        // no two cells are one blob
        files.push((path, format!("# {n}\n{cell}")));
    }
    files.extend((0..FILES).map(|n| (place(n), format!("{n}\n"))));
    files.sort();

    // fast-import makes the blobs; with so many files in one directory it would take minutes to make the tree
    let blob = |(mark, (_, text)): (usize, &(String, String))| {
        format!("blob\nmark :{}\ndata {}\n{text}\n", mark + 1, text.len())
    };
    let stream: String = files.iter().enumerate().map(blob).collect();
    fed(dir, &["fast-import", "--quiet", "--export-marks=../marks"], &stream);
    let mut index = String::new();
    for line in fs::read_to_string(dir.join("marks")).unwrap().lines() {
        let (mark, id) = line.strip_prefix(':').unwrap().split_once(' ').unwrap();
        let (path, _) = &files[mark.parse::<usize>().unwrap() - 1];
        writeln!(index, "100644 {id}\t{path}").unwrap();
    }
    fed(dir, &["update-index", "--add", "--index-info"], &index);
    let tree = git(dir, &["write-tree"]);
    assert_eq!(git(dir, &["ls-tree", "-r", "--name-only", &tree]).lines().count(), FILES + CELLS + 2);

    repo::ssh_key(&dir.join("release"));
    let mut sign = repo::git(dir, &dir.join("repo"));
    sign.args(["-c", "gpg.format=ssh", "-c", &format!("user.signingkey={}", dir.join("release").display())]);
    sign.env("GIT_AUTHOR_DATE", format!("@{NOW} +0000")).env("GIT_COMMITTER_DATE", format!("@{NOW} +0000"));
    let commit = Outcome::of(sign.args(["commit-tree", "-S", "-m", "m", &tree])).ok().stdout;
    git(dir, &["update-ref", "refs/heads/main", commit.trim_end()]);
    git(dir, &["repack", "-adq"]);
    policy(fs::read_to_string(dir.join("release.pub")).unwrap().trim_end())
}

fn fed(dir: &Path, args: &[&str], input: &str) {
    let mut git = repo::git(dir, &dir.join("repo"));
    let mut git = git.args(args).stdin(Stdio::piped()).spawn().unwrap();
    git.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    assert!(git.wait().unwrap().success(), "{args:?}");
}

fn manifest(pattern: &str) -> String {
    let mut text = "version: 1\nenvironments:\n  - { name: production, description: p }\nnamespaces:\n".to_owned();
    for n in 0..CELLS {
        writeln!(text, "  - {{ name: {}, description: d }}", namespace(n)).unwrap();
    }
    let names: Vec<String> = (0..CELLS).map(namespace).collect();
    let names = names.join(", ");
    let envelope = demo::arn("envelope-production");
    write!(
        text,
        "sops: {{ default_backend: awskms, aws_kms_arn: \"{}\" }}\nfile_pattern: {pattern:?}\nservice_identities:\n  - name: \
         checkout\n    namespaces: [{names}]\n    environments:\n      production: {{ kms: {{ provider: aws, keyId: \
         \"{envelope}\" }} }}\n",
        demo::arn("cells-production"),
    )
    .unwrap();
    text
}

fn policy(key: &str) -> Vec<u8> {
    let names: Vec<String> = (0..CELLS).map(|n| format!("{:?}", namespace(n))).collect();
    let [cells, envelope, signer] = ["cells-production", "envelope-production", "signer-production"].map(demo::arn);
    let public_key = "MCowBQYDK2VwAyEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    format!(
        "schema = 1\n[source]\nrepository = \"https://git.packproof.example/large\"\nobject_format = \"sha1\"\nmanifest = \
         \"clef.yaml\"\n[[source.signer]]\nname = \"release\"\nprincipal = \"release@packproof.example\"\nssh = \
         \"{key}\"\n[kms]\nendpoint = \"aws\"\n[[pack]]\nidentity = \"checkout\"\nenvironment = \"production\"\nnamespaces = \
         [{}]\ndecrypt = [\"{cells}\"]\nenvelope = \"{envelope}\"\nsigner = {{ kms = \"{signer}\", public_key = \
         \"{public_key}\" }}\nsigners = [\"release\"]\nmax_ttl_seconds = 86400\nmax_commit_age_seconds = 604800\n",
        names.join(", "),
    )
    .into_bytes()
}
