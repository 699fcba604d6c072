//! The programs that the demo runs: git, ssh-keygen, `up` as a process of its own, and our commands.

use std::{
    ffi::OsString,
    fs::File,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use super::{member, text};
use crate::LocalError;

/// git without the user's or the system's settings: hooks, signing keys and templates of theirs do not belong here.
const GIT_ENV: [(&str, &str); 3] =
    [("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_SYSTEM", "/dev/null"), ("GIT_TERMINAL_PROMPT", "0")];
const GIT_CONFIG: [&str; 8] = [
    "-c",
    "user.name=Release",
    "-c",
    "user.email=release@packproof.example",
    "-c",
    "gpg.format=ssh",
    "-c",
    "commit.gpgSign=false",
];

/// Runs the demo's programs in its directory.
pub(super) struct Tools {
    dir: PathBuf,
}

/// What one of our commands did.
pub(super) struct Outcome {
    code: u8,
    pub(super) out: String,
    err: String,
}

impl Outcome {
    /// Anything but exit code 0 ends the demo.
    pub(super) fn expect_success(&self, what: &str) -> Result<(), LocalError> {
        if self.code == 0 { Ok(()) } else { Err(LocalError::Demo(format!("{what}: {}{}", self.out, self.err))) }
    }

    /// Anything but exit code 1 with this error code ends the demo. Returns what to show.
    pub(super) fn expect_refusal(&self, code: &str) -> Result<String, LocalError> {
        let said = format!("{}{}", self.out, self.err);
        if self.code != 1 || !said.contains(code) {
            return Err(LocalError::Demo(format!("expected {code}, exit code 1, got {}: {said}", self.code)));
        }
        let line = said.lines().find(|line| line.contains(code)).unwrap_or_default();
        Ok(format!("refused (exit 1): {}", line.trim()))
    }
}

impl Tools {
    pub(super) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    pub(super) fn ssh_key(&self, name: &str) -> Result<(), LocalError> {
        let file = text(&self.dir.join("keys").join(name));
        let comment = format!("{name}@packproof.example");
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-t", "ed25519", "-N", "", "-C", &comment, "-f", &file]);
        run("ssh-keygen", &mut command).map(drop)
    }

    pub(super) fn git(&self, args: &[&str]) -> Result<String, LocalError> {
        let mut command = Command::new("git");
        for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
            command.env_remove(variable);
        }
        command.current_dir(self.dir.join("repo")).envs(GIT_ENV).args(GIT_CONFIG).args(args);
        run("git", &mut command)
    }

    /// Commits everything, signed with one of the demo's SSH keys or not at all.
    pub(super) fn commit(&self, message: &str, signer: Option<&str>) -> Result<(), LocalError> {
        self.git(&["add", "--all"])?;
        let sign = signer.map(|name| format!("--gpg-sign={}", text(&self.dir.join("keys").join(name))));
        let mut args = vec!["commit", "--quiet", "--message", message];
        args.extend(sign.as_deref());
        self.git(&args).map(drop)
    }

    /// `packproof` as CI calls it: role `ci`, the running enclave.
    pub(super) fn packproof(&self, up: &Up, args: &[&str]) -> Outcome {
        let env = |name: &str| match name {
            "PACKPROOF_ENCLAVE" => Some(OsString::from(up.text("enclave"))),
            name => Some(OsString::from(member(&up.report, &["env", "ci", name]))).filter(|value| !value.is_empty()),
        };
        packproof(args, &env)
    }

    /// `packproof` without an enclave.
    pub(super) fn packproof_alone(&self, args: &[&str]) -> Outcome {
        packproof(args, &|_| None)
    }

    /// `packproof-verify` with nothing but its arguments.
    pub(super) fn verify(args: &[String]) -> Outcome {
        let args = std::iter::once("packproof-verify".to_owned()).chain(args.iter().cloned()).map(OsString::from);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = packproof_verify::run(args, &mut out, &mut err);
        outcome(code, &out, &err)
    }
}

fn packproof(args: &[&str], env: &dyn Fn(&str) -> Option<OsString>) -> Outcome {
    let args = std::iter::once("packproof").chain(args.iter().copied()).map(OsString::from);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = packproof::cli::run_with_env(args, env, &mut out, &mut err);
    outcome(code, &out, &err)
}

fn outcome(code: u8, out: &[u8], err: &[u8]) -> Outcome {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Outcome { code, out: text(out), err: text(err) }
}

fn run(tool: &'static str, command: &mut Command) -> Result<String, LocalError> {
    let failed = |reason: String| LocalError::Tool { tool, reason };
    let done = command.stdin(Stdio::null()).output().map_err(|error| failed(error.to_string()))?;
    if done.status.success() {
        Ok(String::from_utf8_lossy(&done.stdout).into_owned())
    } else {
        Err(failed(String::from_utf8_lossy(&done.stderr).trim().to_owned()))
    }
}

/// A port that is free now. Should another program take it in between, `up` says so.
pub(super) fn free_port() -> Result<u16, LocalError> {
    let failed = |error| LocalError::Port(0, error);
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(failed)?;
    Ok(listener.local_addr().map_err(failed)?.port())
}

/// `packproof-local up`, running.
pub(super) struct Up {
    child: Child,
    pub(super) report: Value,
}

impl Up {
    /// Starts this program's `up` and reads the object it prints when it is ready.
    pub(super) fn start(dir: &Path, policy: &Path, pin: bool) -> Result<Self, LocalError> {
        let failed = |reason: String| LocalError::Enclave(reason);
        let log = dir.join("state/up.log");
        let stderr = File::create(&log).map_err(|error| LocalError::File(log.clone(), error))?;
        let program = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
        let mut command = Command::new(program);
        command.arg("up").arg("--dir").arg(dir.join("state")).arg("--policy").arg(policy).arg("--json");
        if pin {
            command.arg("--pin");
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
        let child = command.spawn().map_err(|error| failed(error.to_string()))?;
        let mut up = Self { child, report: Value::Null };
        let mut line = String::new();
        let read = up.child.stdout.take().map(|stdout| BufReader::new(stdout).read_line(&mut line));
        up.report = match read {
            Some(Ok(read)) if read > 0 => serde_json::from_str(&line).map_err(|error| failed(error.to_string()))?,
            _ => return Err(failed(format!("see {}", log.display()))),
        };
        Ok(up)
    }

    pub(super) fn text(&self, name: &str) -> &str {
        member(&self.report, &[name])
    }

    /// Ends it as an operator would, and waits.
    pub(super) fn stop(self) {
        drop(self);
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // an error means that it has ended already
        if let Ok(pid) = i32::try_from(self.child.id()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let _ = self.child.wait();
    }
}
