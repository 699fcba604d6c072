//! Which objects travel.

use std::{fs, path::Path, process::Command};

use packproof_gitobj::{Kind, ObjectFormat, object_id};
use packproof_wire::PackRequest;

use crate::{
    enclave::{FakeEnclave, Reply, birth, packed, packing, write_sealed},
    repository::{Fixture, Ran, git, packproof},
};

/// A job that packs `checkout` for `production` or `dev`.
pub(crate) struct Job {
    enclave: FakeEnclave,
    signers: [String; 3],
    output: String,
}

impl Job {
    pub(crate) fn new(fixture: &Fixture) -> Self {
        let enclave = FakeEnclave::start(
            &fixture.path("socket"),
            packing(|request| {
                Reply::Answer(packproof_wire::message::encode(&packed(
                    request,
                    &request.identity,
                    &request.environment,
                )))
            }),
        );
        let signer = |purpose: &str, environment: &str| {
            let path = fixture.path(&format!("{purpose}-{environment}"));
            write_sealed(&path, &birth(purpose, "checkout", environment, "arn", "key", b""))
        };
        let signers = [signer("signer", "production"), signer("signer", "dev"), signer("age-key", "dev")];
        Self { enclave, signers, output: fixture.path("out/artifact.json").to_str().unwrap().to_owned() }
    }

    pub(crate) fn run(&self, environment: &str, more: &[&str]) -> Ran {
        let signer = &self.signers[usize::from(environment == "dev")];
        let address = self.enclave.address();
        let env = [
            ("PACKPROOF_ENCLAVE", address.as_str()),
            ("PACKPROOF_SIGNER", signer),
            ("PACKPROOF_AGE_KEY", &self.signers[2]),
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
        ];
        let args = [&["pack", "checkout", environment, "-o", self.output.as_str()], more].concat();
        packproof(&args, &env)
    }

    pub(crate) fn pack(&self, environment: &str, more: &[&str]) -> PackRequest {
        let ran = self.run(environment, more);
        assert_eq!(ran.code, 0, "{}", ran.err);
        self.enclave.pack_request()
    }
}

/// Ids of the objects of a request, sorted; nothing is dropped, so an object sent twice shows.
pub(crate) fn ids(request: &PackRequest) -> Vec<String> {
    let mut ids: Vec<String> = request
        .objects
        .iter()
        .map(|object| {
            let kind = [Kind::Commit, Kind::Tree, Kind::Blob].into_iter().find(|k| k.name() == object.kind).unwrap();
            object_id(ObjectFormat::Sha1, kind, &object.body).unwrap().to_string()
        })
        .collect();
    ids.sort();
    ids
}

/// What git calls `commit` and these paths in it (an empty path is the root tree), sorted.
pub(crate) fn expected(dir: &Path, commit: &str, paths: &[&str]) -> Vec<String> {
    let mut ids = vec![git(dir, &["rev-parse", commit])];
    ids.extend(paths.iter().map(|path| git(dir, &["rev-parse", &format!("{commit}:{path}")])));
    ids.sort();
    ids
}

pub(crate) const PRODUCTION: [&str; 9] = [
    "",
    ".packproof",
    ".packproof/repository",
    "clef.yaml",
    "secrets",
    "secrets/rds",
    "secrets/rds/production.enc.yaml",
    "secrets/stripe",
    "secrets/stripe/production.enc.yaml",
];

#[test]
fn exactly_the_needed_objects_travel_each_once() {
    let fixture = Fixture::new();
    let job = Job::new(&fixture);
    let repo = fixture.repo();
    let request =
        job.pack("production", &["--dir", repo.to_str().unwrap(), "--ttl", "60", "--challenge", &"ab".repeat(32)]);
    assert_eq!(ids(&request), expected(&repo, "HEAD", &PRODUCTION));
    assert_eq!(request.commit, fixture.git(&["rev-parse", "HEAD"]));
    assert_eq!((request.identity.as_str(), request.environment.as_str()), ("checkout", "production"));
    assert_eq!((request.ttl_seconds, request.challenge), (Some(60), Some(vec![0xab; 32])));
    assert_eq!((request.sealed_signer, request.sealed_age_key), (vec![0, 1], None));
    assert_eq!((request.credentials.access_key_id.as_str(), request.credentials.session_token), ("id", None));

    // a folder below the root, and the environment whose cells a sealed age key opens
    let request = job.pack("dev", &["--dir", repo.join("secrets/rds").to_str().unwrap()]);
    let dev: Vec<String> = PRODUCTION.iter().map(|path| path.replace("production", "dev")).collect();
    assert_eq!(ids(&request), expected(&repo, "HEAD", &dev.iter().map(String::as_str).collect::<Vec<_>>()));
    assert_eq!(request.sealed_age_key, Some(vec![0, 1]));
}

#[test]
fn the_work_tree_does_not_matter() {
    let fixture = Fixture::new();
    let (job, repo) = (Job::new(&fixture), fixture.repo());
    fixture.write("secrets/stripe/production.enc.yaml", "changed, not committed");
    fixture.git(&["add", "--all"]);
    let request = job.pack("production", &["--dir", repo.to_str().unwrap()]);
    assert_eq!(ids(&request), expected(&repo, "HEAD", &PRODUCTION));
}

#[test]
fn bare_packed_linked_and_detached_repositories_give_the_same() {
    let fixture = Fixture::new();
    let (job, repo) = (Job::new(&fixture), fixture.repo());
    let wanted = expected(&repo, "HEAD", &PRODUCTION);
    let send =
        |dir: &Path, more: &[&str]| ids(&job.pack("production", &[&["--dir", dir.to_str().unwrap()], more].concat()));

    let bare = fixture.path("bare.git");
    fixture.git(&["clone", "--quiet", "--bare", ".", bare.to_str().unwrap()]);
    assert_eq!(send(&bare, &[]), wanted);

    let linked = fixture.path("linked");
    fixture.git(&["worktree", "add", "--quiet", "--detach", linked.to_str().unwrap()]);
    assert_eq!(send(&linked, &[]), wanted);

    fixture.git(&["gc", "--quiet", "--aggressive", "--prune=now"]);
    assert!(!fixture.git(&["count-objects", "--verbose"]).contains("in-pack: 0"));
    assert_eq!(send(&repo, &[]), wanted);

    fixture.git(&["tag", "--annotate", "--message", "m", "v1"]);
    fixture.commit("third");
    fixture.git(&["checkout", "--quiet", "--detach", "HEAD~1"]);
    assert_eq!(send(&repo, &[]), wanted);
    fixture.git(&["checkout", "--quiet", "main"]);
    for revision in ["v1", "HEAD~1", "main^", "HEAD@{1}"] {
        assert_eq!(send(&repo, &["--commit", revision]), wanted, "{revision}");
    }
}

#[test]
fn a_replacement_is_not_sent() {
    let fixture = Fixture::new();
    let (job, repo) = (Job::new(&fixture), fixture.repo());
    let wanted = expected(&repo, "HEAD", &PRODUCTION);
    let cell = fixture.git(&["rev-parse", "HEAD:secrets/rds/production.enc.yaml"]);
    let other = fixture.git(&["rev-parse", "HEAD:secrets/rds/dev.enc.yaml"]);
    fixture.git(&["replace", &cell, &other]);
    assert_eq!(ids(&job.pack("production", &["--dir", repo.to_str().unwrap()])), wanted);
}

#[test]
fn absent_cells_leave_the_trees_that_prove_it() {
    let fixture = Fixture::new();
    let (job, repo) = (Job::new(&fixture), fixture.repo());
    let dir = ["--dir", repo.to_str().unwrap()];

    fs::remove_file(repo.join("secrets/stripe/production.enc.yaml")).unwrap();
    fixture.commit("no stripe production");
    let without_file: Vec<&str> = PRODUCTION[..8].to_vec();
    assert_eq!(ids(&job.pack("production", &dir)), expected(&repo, "HEAD", &without_file));

    fs::remove_dir_all(repo.join("secrets/stripe")).unwrap();
    fixture.commit("no stripe");
    let without_folder: Vec<&str> = PRODUCTION[..7].to_vec();
    assert_eq!(ids(&job.pack("production", &dir)), expected(&repo, "HEAD", &without_folder));

    // a file, a symbolic link and a folder in the wrong places
    fixture.write("secrets/stripe", "a file where the folder should be");
    fixture.commit("file");
    assert_eq!(ids(&job.pack("production", &dir)), expected(&repo, "HEAD", &without_folder));
    fs::remove_file(repo.join("secrets/rds/production.enc.yaml")).unwrap();
    std::os::unix::fs::symlink("dev.enc.yaml", repo.join("secrets/rds/production.enc.yaml")).unwrap();
    fixture.commit("link");
    let without_blob: Vec<&str> = PRODUCTION[..6].to_vec();
    assert_eq!(ids(&job.pack("production", &dir)), expected(&repo, "HEAD", &without_blob));

    fs::remove_dir_all(repo.join("secrets")).unwrap();
    fs::remove_dir_all(repo.join(".packproof")).unwrap();
    fixture.commit("nothing");
    assert_eq!(ids(&job.pack("production", &dir)), expected(&repo, "HEAD", &["", "clef.yaml"]));
}

#[test]
fn one_object_in_two_places_travels_once() {
    let fixture = Fixture::new();
    let (job, repo) = (Job::new(&fixture), fixture.repo());
    fixture.write("secrets/rds/production.enc.yaml", "stripe production");
    fixture.write("secrets/rds/dev.enc.yaml", "stripe dev");
    fixture.commit("two equal folders");
    let request = job.pack("production", &["--dir", repo.to_str().unwrap()]);
    assert_eq!(ids(&request), expected(&repo, "HEAD", &PRODUCTION[..7]));
}

#[test]
fn the_receipt_lies_beside_the_artifact_and_the_result_names_both() {
    let fixture = Fixture::new();
    let (job, repo) = (Job::new(&fixture), fixture.repo());
    let ran = job.run("production", &["--dir", repo.to_str().unwrap(), "--json"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let (result, request) = (ran.json(), job.enclave.pack_request());
    let answer = packed(&request, "checkout", "production");
    let receipt = fixture.path("out/artifact.receipt.sigstore.jsonl");
    assert_eq!(fs::read(&job.output).unwrap(), answer.artifact);
    assert_eq!(fs::read(&receipt).unwrap(), answer.receipt);
    assert_eq!(fs::read_dir(fixture.path("out")).unwrap().count(), 2);
    assert_eq!(result["artifact"], job.output.as_str());
    assert_eq!(result["receipt"], receipt.to_str().unwrap());
    assert_eq!((&result["keyCount"], &result["artifactSize"]), (&7.into(), &answer.artifact.len().into()));
    assert_eq!((&result["revision"], &result["commit"]), (&"1-00000000".into(), &request.commit.as_str().into()));

    let named = fixture.path("elsewhere/receipt");
    let ran = job.run("production", &["--dir", repo.to_str().unwrap(), "--receipt", named.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.starts_with("packed 7 keys for checkout/production from commit "), "{}", ran.out);
    assert!(named.exists());
}

#[test]
fn git_dir_counts_and_the_binary_does_the_same() {
    let fixture = Fixture::new();
    let (job, repo) = (Job::new(&fixture), fixture.repo());
    let output = Command::new(env!("CARGO_BIN_EXE_packproof"))
        .args(["pack", "checkout", "production", "-o", "artifact.json"])
        .args(["--enclave", &job.enclave.address(), "--signer", &job.signers[0]])
        .current_dir(fixture.dir.path())
        .env("GIT_DIR", repo.join(".git"))
        .env("AWS_ACCESS_KEY_ID", "id")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("AWS_SESSION_TOKEN", "token")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let request = job.enclave.pack_request();
    assert_eq!(ids(&request), expected(&repo, "HEAD", &PRODUCTION));
    assert_eq!(request.credentials.session_token.as_deref(), Some("token"));
    assert!(fixture.path("artifact.receipt.sigstore.jsonl").exists());
}
