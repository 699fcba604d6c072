//! The commands under test: those of `PACKPROOF_BIN_DIR`, or of this workspace, built once.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::{Duration, UNIX_EPOCH},
};

/// The commands, each made by the package of its name.
const COMMANDS: [&str; 3] = ["packproof", "packproof-verify", "packproof-local"];
/// Copies of commands are kept at least so long.
const LONGEST_RUN: Duration = Duration::from_secs(3 * 3600);

/// The root of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A command by name: `packproof`, `packproof-verify` or `packproof-local`.
pub fn program(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let path = FOLDER.get_or_init(folder).join(name);
    assert!(path.is_file(), "{} is not there", path.display());
    path
}

/// The cargo to call: the one that runs the tests.
pub fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace());
    cargo
}

fn folder() -> PathBuf {
    match env::var_os("PACKPROOF_BIN_DIR").filter(|folder| !folder.is_empty()) {
        Some(folder) => {
            fs::canonicalize(&folder).unwrap_or_else(|error| panic!("PACKPROOF_BIN_DIR {folder:?}: {error}"))
        }
        None => build(),
    }
}

/// Builds into the target folder that this test was built into, and copies the commands to a folder of their own, which no
/// later build changes: local mode measures the program, so it must stay what it is for as long as a test runs.
///
/// nextest starts a process for each test, so the first one of a run builds and leaves the folder's name to the others.
fn build() -> PathBuf {
    let test = env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let target = profile.parent().unwrap();
    let copies = profile.join("packproof-tests");
    fs::create_dir_all(&copies).unwrap();
    let lock = fs::File::create(copies.join("lock")).unwrap();
    lock.lock().unwrap();
    let run = env::var("NEXTEST_RUN_ID").ok().map(|id| copies.join(format!("run-{id}")));
    if let Some(folder) = run.as_ref().and_then(|run| fs::read_to_string(run).ok()) {
        return copies.join(folder);
    }
    let mut cargo = cargo();
    cargo.args(["build", "--quiet", "--locked", "--target-dir"]).arg(target);
    cargo.args(COMMANDS.iter().flat_map(|name| ["-p", name]));
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    assert!(cargo.status().unwrap().success(), "the commands do not build");

    let version: Vec<String> = COMMANDS.iter().map(|name| version(&profile.join(name))).collect();
    let folder = copies.join(version.join("-"));
    if !folder.join("complete").exists() {
        remove_old(&copies);
        fs::create_dir_all(&folder).unwrap();
        for name in COMMANDS {
            copy(&profile.join(name), &folder.join(name));
        }
        fs::write(folder.join("complete"), "").unwrap();
    }
    if let Some(run) = run {
        fs::write(run, version.join("-")).unwrap();
    }
    folder
}

/// Tells one build of a program from another.
fn version(program: &Path) -> String {
    let metadata = fs::metadata(program).unwrap();
    let built = metadata.modified().unwrap().duration_since(UNIX_EPOCH).unwrap();
    format!("{:x}.{:x}", built.as_nanos(), metadata.len())
}

/// Removes copies that no run can be using any more.
fn remove_old(copies: &Path) {
    for entry in fs::read_dir(copies).unwrap().flatten() {
        let age = entry.metadata().and_then(|metadata| metadata.modified()).ok().and_then(|then| then.elapsed().ok());
        if age.is_some_and(|age| age > LONGEST_RUN) && entry.file_name() != "lock" {
            // another run may have been faster
            let _ = fs::remove_dir_all(entry.path()).or_else(|_| fs::remove_file(entry.path()));
        }
    }
}

/// Copies a program without its debug information: local mode hashes all of it at each start.
fn copy(from: &Path, to: &Path) {
    let stripped = Command::new("strip").arg("-o").arg(to).arg(from).status();
    if !stripped.is_ok_and(|status| status.success()) {
        fs::copy(from, to).unwrap();
    }
}
