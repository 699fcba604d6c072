//! Local mode running, with sealed keys and a repository that it packs: everything a user has after setting up.

use std::{
    cell::Cell,
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, getuid},
};
use packproof::{
    collect::{Wanted, collect},
    git::Repository,
};
use packproof_wire::{Credentials, PackRequest};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    demo::{self, IDENTITY},
    process::Outcome,
    programs::program,
    repo::{Commit, Repo, ssh_key},
};

/// `up` ends within this after SIGTERM, or it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// Ports below those that the system gives to clients, so that nobody takes one between two starts of a KMS.
const PORTS: std::ops::Range<u16> = 20_000..30_000;
/// The policy's default for a request.
const MAX_REQUEST_BYTES: usize = 8 << 20;

/// A folder of its own, gone at the end, with local mode running in it.
///
/// | path | is |
/// | --- | --- |
/// | `repo/` | the demo's files, signed by `release` |
/// | `release`, `other` | SSH keys; the policy names the first |
/// | `state/` | what `packproof-local` keeps |
/// | `keys/signer-dev.json`, `keys/signer-production.json` | sealed signers, pinned by the policy |
/// | `keys/other-…` | sealed for the same, and not pinned |
/// | `packproof.toml` | the policy in force |
/// | `out/`, `logs/` | what packs wrote, what every process said |
pub struct World {
    dir: TempDir,
    /// The repository, at [`World::base`].
    pub repo: Repo,
    /// Its first commit.
    pub base: String,
    up: Option<Up>,
    program: PathBuf,
    port: u16,
    _port_lock: File,
    runs: Cell<u32>,
}

/// `packproof-local up`, running.
struct Up {
    child: Child,
    stdout: BufReader<ChildStdout>,
    report: Value,
}

/// A pack to run: `packproof pack`, each part of it to be changed.
#[derive(Clone)]
pub struct Pack {
    /// Clef's identity.
    pub identity: String,
    /// Clef's environment.
    pub environment: String,
    /// `--dir`.
    pub dir: PathBuf,
    /// `--commit`.
    pub commit: Option<String>,
    /// `--signer`.
    pub signer: PathBuf,
    /// `--age-key`.
    pub age_key: Option<PathBuf>,
    /// `--enclave`.
    pub enclave: String,
    /// Whose AWS credentials.
    pub role: &'static str,
    /// More flags.
    pub more: Vec<String>,
}

/// What a pack wrote.
pub struct Packed {
    /// The environment it is for.
    pub environment: String,
    /// Its artifact.
    pub artifact: PathBuf,
    /// Its receipt.
    pub receipt: PathBuf,
    /// What `--json` said.
    pub report: Value,
}

/// A receipt to verify: `packproof-verify`, each part of it to be changed.
#[derive(Clone)]
pub struct Verify {
    /// The receipt.
    pub receipt: PathBuf,
    /// `--artifact`.
    pub artifact: PathBuf,
    /// `--policy`.
    pub policy: PathBuf,
    /// `--image`.
    pub image: PathBuf,
    /// `--identity`.
    pub identity: String,
    /// `--environment`.
    pub environment: String,
    /// `--root`, with `--simulated`.
    pub root: Option<PathBuf>,
    /// More flags.
    pub more: Vec<String>,
}

impl World {
    /// Sets everything up as a user does, with the commands alone.
    pub fn start() -> Self {
        Self::start_with("sha1")
    }

    /// The same for a repository of `sha1` or `sha256` objects.
    pub fn start_with(object_format: &str) -> Self {
        let dir = TempDir::with_prefix("packproof-").unwrap();
        let at = |name: &str| dir.path().join(name);
        for folder in ["home", "logs", "out", "keys"] {
            fs::create_dir(at(folder)).unwrap();
        }
        ssh_key(&at("release"));
        ssh_key(&at("other"));
        let repo = Repo::of_demo(&at("home"), &at("repo"), object_format);
        let base = repo.commit(Commit { key: Some(&at("release")), date: None });
        let (port, lock) = free_port();
        let program = program("packproof-local");
        let mut world = Self { dir, repo, base, up: None, program, port, _port_lock: lock, runs: Cell::new(0) };
        world.set_up();
        world
    }

    fn set_up(&mut self) {
        let keys = demo::path("kms-keys.json");
        let _ = self.local(&["keys", "--dir", self.text("state").as_str(), "--import", keys.to_str().unwrap()]).ok();

        // without the public keys, the policy allows sealing and nothing else
        let age_key = format!("{IDENTITY}/dev/age-key={}", demo::arn("age-key-dev"));
        let birth = self.policy_init("birth.toml", &["--sealing-key", &age_key]);
        self.up(&birth, &[]);
        for environment in demo::ENVIRONMENTS {
            for name in ["signer", "other"] {
                self.seal("signer", environment, &format!("keys/{name}-{environment}.json"));
            }
        }
        self.seal("age-key", "dev", "keys/other-age-key.json");
        self.stop();

        let sealed = ["keys/signer-dev.json", "keys/signer-production.json"].map(|name| self.text(name));
        let age_key = demo::path("age-key-dev.json");
        let flags = ["--sealed", &sealed[0], "--sealed", &sealed[1], "--sealed", age_key.to_str().unwrap()];
        let policy = self.policy_init("packproof.toml", &flags);
        self.up(&policy, &["--pin"]);
    }

    fn policy_init(&self, name: &str, flags: &[&str]) -> PathBuf {
        let path = self.path(name);
        let mut command = self.command("packproof");
        command.args(["policy", "init", "--principal", "release@packproof.example", "--dir"]).arg(&self.repo.dir);
        command.arg("--signer-key").arg(self.path("release.pub"));
        command.arg("--kms-url").arg(format!("https://localhost:{}", self.port));
        command.arg("--kms-ca").arg(self.path("state/ca.pem")).arg("-o").arg(&path);
        if !flags.contains(&"--sealed") {
            for environment in demo::ENVIRONMENTS {
                let arn = demo::arn(&format!("signer-{environment}"));
                command.arg("--sealing-key").arg(format!("{IDENTITY}/{environment}/signer={arn}"));
            }
        }
        let _ = self.run(command.args(flags)).ok();
        path
    }

    fn seal(&self, purpose: &str, environment: &str, file: &str) {
        let mut command = self.command("packproof");
        command.args(["seal", purpose, "--identity", IDENTITY, "--environment", environment, "--json", "-o"]);
        command.arg(self.path(file)).arg("--enclave").arg(self.enclave());
        self.credentials(&mut command, "ci");
        let _ = self.run(&mut command).ok();
    }

    /// A path in this world's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// The policy in force unless [`World::up`] was given another.
    pub fn policy(&self) -> PathBuf {
        self.path("packproof.toml")
    }

    /// Writes a policy that differs from the present one.
    #[track_caller]
    pub fn changed_policy(&self, name: &str, from: &str, to: &str) -> PathBuf {
        let text = fs::read_to_string(self.policy()).unwrap();
        assert!(text.contains(from), "the policy does not hold {from:?}");
        let path = self.path(name);
        fs::write(&path, text.replace(from, to)).unwrap();
        path
    }

    /// What `up --json` printed.
    #[track_caller]
    pub fn report(&self) -> &Value {
        &self.up.as_ref().expect("local mode is not running").report
    }

    /// The enclave's address.
    pub fn enclave(&self) -> String {
        format!("unix:{}", self.text("state/enclave.sock"))
    }

    /// The enclave's socket.
    pub fn socket(&self) -> PathBuf {
        self.path("state/enclave.sock")
    }

    /// A command with nothing of whoever runs the tests in its environment.
    pub fn command(&self, name: &str) -> Command {
        self.plain_command(&program(name))
    }

    /// The same for any program.
    pub fn plain_command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("LC_ALL", "C.UTF-8");
        command.env("HOME", self.path("home")).env("GIT_CONFIG_NOSYSTEM", "1");
        command
    }

    /// Gives a command the AWS credentials of one of the local KMS's roles.
    pub fn credentials(&self, command: &mut Command, role: &str) {
        for (name, value) in self.report()["env"][role].as_object().unwrap() {
            command.env(name, value.as_str().unwrap());
        }
    }

    /// Runs a command; what it said is kept in `logs/`.
    pub fn run(&self, command: &mut Command) -> Outcome {
        let outcome = Outcome::of(command);
        let log = self.next_log();
        fs::write(log.with_extension("out"), &outcome.stdout).unwrap();
        fs::write(log.with_extension("err"), &outcome.stderr).unwrap();
        outcome
    }

    fn next_log(&self) -> PathBuf {
        self.runs.set(self.runs.get() + 1);
        self.path(&format!("logs/{:03}", self.runs.get()))
    }

    fn local(&self, args: &[&str]) -> Outcome {
        self.run(self.plain_command(&self.program).args(args))
    }

    /// From now on `packproof-local` is this program.
    pub fn use_program(&mut self, program: &Path) {
        program.clone_into(&mut self.program);
    }

    /// Starts local mode with a policy.
    #[track_caller]
    pub fn up(&mut self, policy: &Path, flags: &[&str]) {
        if let Err(outcome) = self.try_up(policy, flags) {
            panic!("up did not start, exit code {}:\n{}", outcome.code, outcome.stderr);
        }
    }

    /// Starts local mode with a policy, or says how it ended.
    ///
    /// # Errors
    /// What the process left when it printed no report.
    pub fn try_up(&mut self, policy: &Path, flags: &[&str]) -> Result<(), Outcome> {
        self.stop();
        let log = self.next_log();
        let mut command = self.plain_command(&self.program);
        command.args(["up", "--json", "--dir"]).arg(self.path("state")).arg("--policy").arg(policy).args(flags);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(File::create(log.with_extension("err")).unwrap());
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        fs::write(log.with_extension("out"), &line).unwrap();
        if line.is_empty() {
            return Err(Outcome {
                command: format!("{command:?}"),
                code: child.wait().unwrap().code().unwrap_or(-1),
                stdout: line,
                stderr: fs::read_to_string(log.with_extension("err")).unwrap(),
            });
        }
        let report = serde_json::from_str(&line).unwrap();
        self.up = Some(Up { child, stdout, report });
        Ok(())
    }

    /// Stops local mode as a user does; without a test's help it says no more.
    pub fn stop(&mut self) {
        let Some(mut up) = self.up.take() else { return };
        let status = end(&mut up.child);
        let mut said = String::new();
        up.stdout.read_to_string(&mut said).unwrap();
        if !std::thread::panicking() {
            assert!(said.is_empty(), "up printed more than its report: {said}");
            assert_eq!(status, Some(0), "up did not end well after SIGTERM");
        }
    }

    /// Kills `up` without a word, as the system does when memory runs out.
    pub fn kill(&mut self) {
        let mut up = self.up.take().expect("local mode is not running");
        up.child.kill().unwrap();
        up.child.wait().unwrap();
    }

    /// Whether `up`, and with it the enclave, is still running.
    pub fn is_up(&mut self) -> bool {
        self.up.as_mut().is_some_and(|up| matches!(up.child.try_wait(), Ok(None)))
    }

    /// Everything that `up`, the egress and the enclave said so far.
    pub fn said_by_up(&self) -> String {
        let logs = crate::canary::files(&self.path("logs"));
        let logs = logs.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "err"));
        logs.map(|path| fs::read_to_string(path).unwrap()).filter(|text| text.contains("\"event\"")).collect()
    }

    /// Lets the local KMS misbehave, or behave again with `None`.
    pub fn faults(&self, json: Option<&str>) {
        let path = self.path("state/kms/faults.json");
        match json {
            Some(json) => {
                let staged = self.path("state/kms/faults.staged");
                fs::write(&staged, json).unwrap();
                fs::rename(staged, path).unwrap();
            }
            None => fs::remove_file(path).unwrap(),
        }
    }

    /// A pack that succeeds, of the repository's `HEAD`.
    pub fn pack(&self, environment: &str) -> Pack {
        Pack {
            identity: IDENTITY.to_owned(),
            environment: environment.to_owned(),
            dir: self.repo.dir.clone(),
            commit: None,
            signer: self.path(&format!("keys/signer-{environment}.json")),
            age_key: (environment == "dev").then(|| demo::path("age-key-dev.json")),
            enclave: self.enclave(),
            role: "ci",
            more: Vec::new(),
        }
    }

    /// Runs a pack; its output goes to the folder that is returned, which is its own.
    pub fn run_pack(&self, pack: &Pack, json: bool) -> (Outcome, PathBuf) {
        let out = self.path(&format!("out/{}", self.runs.get()));
        let mut command = self.command("packproof");
        command.args(["pack", &pack.identity, &pack.environment, "-o"]).arg(out.join("artifact.json"));
        command.arg("--dir").arg(&pack.dir).arg("--signer").arg(&pack.signer).args(["--enclave", &pack.enclave]);
        command.args(pack.commit.iter().flat_map(|commit| ["--commit", commit]));
        command.args(pack.age_key.iter().flat_map(|file| ["--age-key".as_ref(), file.as_os_str()]));
        command.args(&pack.more).args(json.then_some("--json"));
        self.credentials(&mut command, pack.role);
        (self.run(&mut command), out)
    }

    /// Runs a pack that must succeed.
    #[track_caller]
    pub fn packed(&self, pack: &Pack) -> Packed {
        let (outcome, out) = self.run_pack(pack, true);
        let packed = Packed {
            environment: pack.environment.clone(),
            artifact: out.join("artifact.json"),
            receipt: out.join("artifact.receipt.sigstore.jsonl"),
            report: outcome.ok().json(),
        };
        assert!(packed.artifact.is_file() && packed.receipt.is_file());
        packed
    }

    /// A verification that succeeds.
    pub fn verify(&self, packed: &Packed) -> Verify {
        Verify {
            receipt: packed.receipt.clone(),
            artifact: packed.artifact.clone(),
            policy: self.policy(),
            image: self.path("state/release/release.json"),
            identity: IDENTITY.to_owned(),
            environment: packed.environment.clone(),
            root: Some(self.path("state/root.pem")),
            more: Vec::new(),
        }
    }

    /// Runs a verification.
    pub fn run_verify(&self, verify: &Verify, json: bool) -> Outcome {
        let mut command = self.command("packproof-verify");
        command.arg(&verify.receipt).arg("--artifact").arg(&verify.artifact).arg("--policy").arg(&verify.policy);
        command.arg("--image").arg(&verify.image).args(["--identity", &verify.identity]);
        command.args(["--environment", &verify.environment]);
        if let Some(root) = &verify.root {
            command.arg("--simulated").arg("--root").arg(root);
        }
        self.run(command.args(&verify.more).args(json.then_some("--json")))
    }

    /// The request that a pack of the repository's `HEAD` sends.
    pub fn request(&self, environment: &str) -> PackRequest {
        self.request_of(environment, &self.repo.git(&["rev-parse", "HEAD"]), None)
    }

    /// The request that a pack of this commit sends, with the tag whose signature is to count.
    pub fn request_of(&self, environment: &str, commit: &str, tag: Option<&str>) -> PackRequest {
        let objects = collect(
            &Repository::new(&self.repo.dir),
            &Wanted {
                commit,
                tag,
                object_format: &self.repo.git(&["rev-parse", "--show-object-format"]),
                schemas: Vec::new(),
                sidecars: false,
                manifest: "clef.yaml",
                identity: IDENTITY,
                environment,
                max_bytes: MAX_REQUEST_BYTES,
            },
        );
        let ci = |name: &str| self.report()["env"]["ci"][name].as_str().unwrap().to_owned();
        PackRequest {
            identity: IDENTITY.to_owned(),
            environment: environment.to_owned(),
            commit: commit.to_owned(),
            tag: tag.map(str::to_owned),
            objects: objects.unwrap(),
            approvals: Vec::new(),
            ttl_seconds: None,
            challenge: None,
            sealed_signer: blob(&self.path(&format!("keys/signer-{environment}.json"))),
            sealed_age_key: (environment == "dev").then(|| blob(&demo::path("age-key-dev.json"))),
            credentials: Credentials {
                access_key_id: ci("AWS_ACCESS_KEY_ID"),
                secret_access_key: ci("AWS_SECRET_ACCESS_KEY"),
                session_token: None,
            },
        }
    }

    /// The public half of the sealed signer that the policy pins.
    pub fn verify_key(&self, environment: &str) -> String {
        let keys = self.report()["verify_keys"].as_array().unwrap();
        let key = keys.iter().find(|key| key["environment"] == environment).unwrap();
        key["verify_key"].as_str().unwrap().to_owned()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The codes of the checks that failed in a report of `packproof-verify --json`.
pub fn failures(report: &Value) -> Vec<String> {
    let steps = report["steps"].as_array().unwrap();
    let checks = steps.iter().flat_map(|step| step["checks"].as_array().unwrap());
    checks.filter(|check| check["outcome"] == "fail").map(|check| check["code"].as_str().unwrap().to_owned()).collect()
}

/// The CiphertextBlob in a sealed key file.
pub fn blob(file: &Path) -> Vec<u8> {
    let sealed: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    BASE64_STANDARD.decode(sealed["blob"].as_str().unwrap()).unwrap()
}

/// SIGTERM to this one process, whose handler ends the enclave; the exit code.
fn end(child: &mut Child) -> Option<i32> {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    let _ = kill(pid, Signal::SIGTERM);
    let start = Instant::now();
    while start.elapsed() < STOP_TIMEOUT {
        if let Ok(Some(status)) = child.try_wait() {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

/// A port that no other world uses while the file is held, and nobody else right now.
fn free_port() -> (u16, File) {
    let locks = std::env::temp_dir().join(format!("packproof-tests-ports-{}", getuid()));
    fs::create_dir_all(&locks).unwrap();
    let span = u32::from(PORTS.end - PORTS.start);
    for step in 0..span {
        let offset = (std::process::id().wrapping_mul(37) + step) % span;
        let port = PORTS.start + u16::try_from(offset).unwrap();
        let lock = File::create(locks.join(port.to_string())).unwrap();
        if lock.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return (port, lock);
        }
    }
    panic!("no port of {PORTS:?} is free");
}
