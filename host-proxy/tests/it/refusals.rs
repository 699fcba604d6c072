//! Every way to fail has its name and its exit code, and leaves no file.

use std::fs;

use packproof_wire::{ErrorAnswer, ErrorClass, PackRequest, message::encode};
use serde_json::Value;

use crate::{
    enclave::{FakeEnclave, Reply, birth, packed, packing, write_sealed},
    repository::{Fixture, MANIFEST, Ran, packproof},
};

struct Job {
    fixture: Fixture,
    enclave: FakeEnclave,
    before: Vec<String>,
}

impl Job {
    fn new() -> Self {
        Self::answering(|request| Reply::Answer(encode(&packed(request, &request.identity, &request.environment))))
    }

    fn answering(answer: impl Fn(&PackRequest) -> Reply + Send + Sync + 'static) -> Self {
        let fixture = Fixture::new();
        let enclave = FakeEnclave::start(&fixture.path("socket"), packing(answer));
        for (purpose, environment) in [("signer", "production"), ("signer", "dev"), ("age-key", "dev")] {
            let name = format!("{purpose}-{environment}");
            write_sealed(&fixture.path(&name), &birth(purpose, "checkout", environment, "arn", "key", b""));
        }
        let before = fixture.left_over();
        Self { fixture, enclave, before }
    }

    fn text(&self, name: &str) -> String {
        self.fixture.path(name).to_str().unwrap().to_owned()
    }

    /// Runs `pack` and sees that it failed without leaving anything.
    fn fail(&self, args: &[&str], env: &[(&str, &str)]) -> Ran {
        let (enclave, signer, repo, output) =
            (self.enclave.address(), self.text("signer-production"), self.text("repo"), self.text("artifact.json"));
        let env = [
            env,
            &[
                ("PACKPROOF_ENCLAVE", enclave.as_str()),
                ("PACKPROOF_SIGNER", signer.as_str()),
                ("AWS_ACCESS_KEY_ID", "id"),
                ("AWS_SECRET_ACCESS_KEY", "secret"),
            ],
        ]
        .concat();
        let mut all = vec!["pack"];
        all.extend(args);
        for default in [["--dir", repo.as_str()], ["-o", output.as_str()]] {
            if !args.contains(&default[0]) {
                all.extend(default);
            }
        }
        let ran = packproof(&all, &env);
        assert_ne!(ran.code, 0, "{args:?} {}", ran.out);
        assert_eq!(self.fixture.left_over(), self.before, "{args:?}");
        ran
    }

    fn code(&self, args: &[&str]) -> (u8, String) {
        let ran = self.fail(args, &[]);
        assert!(ran.out.is_empty(), "{}", ran.out);
        let (code, name) = ran.error();
        (code, name.to_owned())
    }
}

fn named(code: u8, name: &str) -> (u8, String) {
    (code, name.to_owned())
}

const ASKED: [&str; 2] = ["checkout", "production"];

#[test]
fn what_is_not_in_this_version_is_refused_by_name() {
    let job = Job::new();
    assert_eq!(job.code(&["checkout", "production", "--enclave", "https://h:1"]), named(2, "https_not_supported"));
}

#[test]
fn flags_and_files_are_checked_before_anything_is_asked() {
    let job = Job::new();
    let artifact = job.text("artifact.json");
    assert_eq!(job.code(&["checkout", "production", "--receipt", &artifact]), named(2, "same_path"));
    assert_eq!(job.code(&["checkout", "production", "--challenge", "00"]), named(2, "usage"));
    assert_eq!(job.fail(&["checkout", "production", "--ttl", "0"], &[]).code, 2);
    assert_eq!(job.fail(&["checkout", "production", "--ttl", "10abc"], &[]).code, 2);
    assert_eq!(job.code(&["checkout", "production", "--signer", &job.text("none")]), named(2, "cannot_read"));
    let marker = job.text("repo/clef.yaml");
    assert_eq!(job.code(&["checkout", "production", "--signer", &marker]), named(2, "sealed_key_unreadable"));
    for other in ["age-key-dev", "signer-dev"] {
        assert_eq!(
            job.code(&["checkout", "production", "--signer", &job.text(other)]),
            named(2, "sealed_key_mismatch")
        );
    }
    let ran = job.fail(&ASKED, &[("PACKPROOF_SIGNER", "")]);
    assert_eq!(ran.error(), (2, "signer_missing"));
    let ran = job.fail(&ASKED, &[("AWS_SECRET_ACCESS_KEY", "")]);
    assert_eq!(ran.error(), (2, "credentials_missing"));
    assert!(ran.err.contains(": AWS_SECRET_ACCESS_KEY ["), "{}", ran.err);
    let none = [("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")];
    // The endpoint, for the day when the switch fails: no test asks the real service.
    let disabled = [("AWS_EC2_METADATA_DISABLED", "true"), ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")];
    let ran = job.fail(&ASKED, &[none, disabled].concat());
    assert_eq!(ran.error(), (2, "credentials_missing"));
    assert!(ran.err.contains(": AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY ["), "{}", ran.err);
    let elsewhere = |url| [none.as_slice(), &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)]].concat();
    assert_eq!(job.fail(&ASKED, &elsewhere("http://localhost:1")).error(), (2, "imds_endpoint"));
    // Nothing listens on port 1.
    assert_eq!(job.fail(&ASKED, &elsewhere("http://127.0.0.1:1")).error(), (3, "imds_unreachable"));
    assert!(job.enclave.requests().is_empty());
}

#[test]
fn a_repository_and_a_commit_are_needed() {
    let job = Job::new();
    let at = |dir: &str| job.code(&["checkout", "production", "--dir", dir]);
    let outside = tempfile::tempdir().unwrap();
    assert_eq!(at(outside.path().to_str().unwrap()), named(2, "not_a_repository"));
    assert_eq!(at(&job.text("nowhere")), named(2, "not_a_repository"));
    let none = "0".repeat(40);
    for revision in ["nothing", "", "HEAD:clef.yaml", "--all", "HEAD\nHEAD", "HEAD~99", none.as_str(), "HEAD..main"] {
        let commit = format!("--commit={revision}");
        assert_eq!(job.code(&["checkout", "production", &commit]), named(2, "unknown_revision"), "{revision:?}");
    }
    assert!(job.enclave.requests().is_empty());
}

#[test]
fn the_manifest_must_be_in_the_commit_and_name_what_is_asked_for() {
    let job = Job::new();
    let ran = job.fail(&["nobody", "production", "--signer", &sealed_for(&job, "nobody", "production")], &[]);
    assert_eq!(ran.error(), (1, "unknown_identity"));
    assert!(ran.err.contains("it has checkout, nightly"), "{}", ran.err);
    let ran = job.fail(&["nightly", "production", "--signer", &sealed_for(&job, "nightly", "production")], &[]);
    assert_eq!(ran.error(), (1, "unknown_environment"));
    assert!(ran.err.contains("it has dev"), "{}", ran.err);
    assert_eq!(job.code(&["checkout", "production", "--commit", "HEAD~1"]), named(1, "manifest_unsupported_version"));

    job.fixture.write("clef.yaml", &MANIFEST.replace("secrets/{namespace}", "../{namespace}"));
    job.fixture.commit("outside");
    assert_eq!(job.code(&ASKED), named(1, "matrix_path_not_inside"));
    fs::remove_file(job.fixture.repo().join("clef.yaml")).unwrap();
    job.fixture.commit("no manifest");
    assert_eq!(job.code(&ASKED), named(1, "manifest_not_in_commit"));
    std::os::unix::fs::symlink("README.md", job.fixture.repo().join("clef.yaml")).unwrap();
    job.fixture.commit("a link");
    assert_eq!(job.code(&ASKED), named(1, "manifest_not_in_commit"));
}

/// A sealed signer outside the folder that is looked through for left-over files.
fn sealed_for(job: &Job, identity: &str, environment: &str) -> String {
    let path = job.fixture.repo().join(".git").join(format!("{identity}-{environment}"));
    write_sealed(&path, &birth("signer", identity, environment, "arn", "key", b""))
}

#[test]
fn a_missing_object_is_named() {
    let job = Job::new();
    for path in ["secrets/rds/production.enc.yaml", "secrets/stripe", ""] {
        let id = job.fixture.git(&["rev-parse", &format!("HEAD:{path}")]);
        let (folder, file) = id.split_at(2);
        let object = job.fixture.repo().join(".git/objects").join(folder).join(file);
        let aside = job.fixture.repo().join(".git/aside");
        fs::rename(&object, &aside).unwrap();
        let ran = job.fail(&ASKED, &[]);
        assert_eq!(ran.error(), (3, "object_missing"), "{path}");
        assert!(ran.err.contains(&id) && ran.err.contains("git fetch --unshallow"), "{}", ran.err);
        fs::rename(&aside, &object).unwrap();
    }
}

#[test]
fn the_policys_limits_and_keys_count() {
    let job = Job::new();
    assert_eq!(
        job.code(&["checkout", "production", "--age-key", &job.text("age-key-dev")]),
        named(2, "age_key_not_used")
    );
    let signer = job.text("signer-dev");
    assert_eq!(job.code(&["checkout", "dev", "--signer", &signer]), named(2, "age_key_missing"));
    let swapped = ["checkout", "dev", "--signer", &signer, "--age-key", &signer];
    assert_eq!(job.code(&swapped), named(2, "sealed_key_mismatch"));

    // above the limit as it is, and above it only in base64
    for size in [70_000, 60_000] {
        job.fixture.write("secrets/rds/production.enc.yaml", &"x".repeat(size));
        job.fixture.commit("large");
        assert_eq!(job.code(&ASKED), named(1, "request_too_large"), "{size}");
    }
}

#[test]
fn a_repository_of_the_other_object_format_is_named() {
    let job = Job::new();
    let other = tempfile::tempdir().unwrap();
    crate::repository::git(other.path(), &["init", "--quiet", "--object-format=sha256"]);
    crate::repository::git(other.path(), &["commit", "--quiet", "--allow-empty", "--message", "m"]);
    let dir = other.path().to_str().unwrap();
    assert_eq!(job.code(&["checkout", "production", "--dir", dir]), named(1, "object_format"));
}

#[test]
fn an_enclave_that_is_not_there_is_exit_3() {
    let job = Job::new();
    let ran = job.fail(&["checkout", "production", "--enclave", "unix:/nonexistent/socket"], &[]);
    assert_eq!(ran.error(), (3, "enclave_unreachable"));
    assert!(ran.err.contains("hint: start the enclave"), "{}", ran.err);
    let ran = job.fail(&["checkout", "production", "--enclave", "unix:/nonexistent/socket", "--json"], &[]);
    let object: Value = ran.json();
    assert_eq!((&object["error"], &object["code"]), (&true.into(), &"enclave_unreachable".into()));
    assert!(ran.err.is_empty() && object["message"].is_string() && object["hint"].is_string());
}

#[test]
fn the_enclaves_no_is_passed_on_with_its_class() {
    for (class, code) in [(ErrorClass::Refused, 1), (ErrorClass::Usage, 2), (ErrorClass::Environment, 3)] {
        let job = Job::answering(move |_| {
            let message = "the commit is not signed\u{1b}[1m\npackproof: done".to_owned();
            Reply::Error(ErrorAnswer { code: "unsigned".into(), class, message })
        });
        let ran = job.fail(&ASKED, &[]);
        assert_eq!(ran.error().0, code);
        assert_eq!(ran.err, "packproof: error: the commit is not signed\\u{1b}[1m\\u{a}packproof: done [unsigned]\n");
    }
}

#[test]
fn what_is_no_answer_is_named() {
    let code = |bytes: &'static [u8]| Job::answering(move |_| Reply::Raw(bytes.to_vec())).code(&ASKED);
    assert_eq!(code(b""), named(3, "stream_closed"));
    assert_eq!(code(&[0, 0, 0, 4, 1, 2, b'{']), named(3, "frame_truncated"));
    assert_eq!(code(&[0xff, 0, 0, 0]), named(3, "frame_too_long"));
    assert_eq!(code(&[0, 0, 0, 4, 2, 2, b'{', b'}']), named(3, "frame_wrong_version"));
    assert_eq!(code(&[0, 0, 0, 4, 1, 9, b'{', b'}']), named(3, "frame_wrong_kind"));
    assert_eq!(code(&[0, 0, 0, 4, 1, 2, b'{', b'}']), named(3, "answer_unreadable"));
    assert_eq!(code(&[0, 0, 0, 4, 1, 1, b'{', b'}']), named(3, "answer_unreadable"));
}

#[test]
fn an_answer_to_something_else_is_not_written() {
    let code = |change: fn(&PackRequest) -> packproof_wire::PackAnswer| {
        Job::answering(move |request| Reply::Answer(encode(&change(request)))).code(&ASKED)
    };
    assert_eq!(code(|r| packed(r, "nightly", "production")), named(1, "answer_mismatch"));
    assert_eq!(code(|r| packed(r, "checkout", "dev")), named(1, "answer_mismatch"));
    let other_commit = |r: &PackRequest| {
        let commit = "0".repeat(40);
        let mut answer = packed(r, "checkout", "production");
        let swapped = PackRequest { commit, objects: Vec::new(), ..empty() };
        answer.receipt = packed(&swapped, "checkout", "production").receipt;
        answer
    };
    assert_eq!(code(other_commit), named(1, "answer_mismatch"));
    let other_artifact = |r: &PackRequest| {
        let mut answer = packed(r, "checkout", "production");
        answer.artifact.push(b'\n');
        answer
    };
    assert_eq!(code(other_artifact), named(1, "answer_mismatch"));
    let no_artifact = |r: &PackRequest| packproof_wire::PackAnswer {
        artifact: b"{}".to_vec(),
        ..packed(r, "checkout", "production")
    };
    assert_eq!(code(no_artifact), named(3, "answer_unreadable"));
    let no_receipt = |r: &PackRequest| packproof_wire::PackAnswer {
        receipt: b"{}\n".to_vec(),
        ..packed(r, "checkout", "production")
    };
    assert_eq!(code(no_receipt), named(3, "answer_unreadable"));
}

fn empty() -> PackRequest {
    PackRequest {
        identity: String::new(),
        environment: String::new(),
        commit: String::new(),
        tag: None,
        objects: Vec::new(),
        approvals: Vec::new(),
        ttl_seconds: None,
        challenge: None,
        sealed_signer: Vec::new(),
        sealed_age_key: None,
        credentials: packproof_wire::Credentials {
            access_key_id: String::new(),
            secret_access_key: String::new(),
            session_token: None,
        },
    }
}

#[test]
fn a_file_that_cannot_be_written_leaves_neither() {
    let job = Job::new();
    fs::create_dir_all(job.fixture.repo().join("out/artifact.json/in-the-way")).unwrap();
    let output = job.text("repo/out/artifact.json");
    assert_eq!(job.code(&["checkout", "production", "-o", &output]), named(3, "cannot_write"));
    assert_eq!(fs::read_dir(job.fixture.repo().join("out")).unwrap().count(), 1);

    let receipt = job.text("repo/out");
    assert_eq!(job.code(&["checkout", "production", "--receipt", &receipt]), named(3, "cannot_write"));
}
