//! A real repository, and the command run on it.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

pub(crate) const MANIFEST: &str = "\
version: 1
environments:
  - { name: dev, description: d }
  - { name: production, description: p }
namespaces:
  - { name: rds, description: r }
  - { name: stripe, description: s }
  - { name: flags, description: f }
sops:
  default_backend: age
  age:
    recipients: [age160h2exmnwdug67nvta85qnqet8nrwynhu08vwggllee7thps05eqhqa0au]
file_pattern: secrets/{namespace}/{environment}.enc.yaml
service_identities:
  - name: checkout
    namespaces: [stripe, rds]
    environments:
      dev: { recipient: age12pqa9mxg38flnnkdpdawm7srla953f472k6q0446gynjrl7whgwqdamy94 }
      production: { kms: { provider: aws, keyId: \"arn:aws:kms:eu-west-1:111122223333:key/envelope\" } }
  - name: nightly
    namespaces: [rds, flags]
    environments:
      dev: { recipient: age1yagwqkghtnwxj8xu00cqfvy7r29vfa4t0fuvlfw8dme83mzrjs7s84p2sj }
";

/// A temporary folder with a repository `repo` in it.
pub(crate) struct Fixture {
    pub(crate) dir: tempfile::TempDir,
}

/// What a run of the command left.
pub(crate) struct Ran {
    pub(crate) code: u8,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap()
    }

    /// Exit code, and the code in brackets that ends the error message.
    pub(crate) fn error(&self) -> (u8, &str) {
        let message = self.err.split("\nhint: ").next().unwrap_or_default().trim_end();
        let code = message.strip_suffix(']').and_then(|text| text.rsplit_once('['));
        (self.code, code.expect("an error with a code").1)
    }
}

impl Fixture {
    /// Two commits, of which the second is `HEAD`: marker, manifest, four cells of six, and files that no pack needs.
    pub(crate) fn new() -> Self {
        let fixture = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(fixture.repo()).unwrap();
        fixture.git(&["init", "--quiet", "--initial-branch=main"]);
        fixture.write(".packproof/repository", "https://git.example/secrets\n");
        fixture.write("clef.yaml", "version: 2\n");
        fixture.commit("first");
        fixture.write("clef.yaml", MANIFEST);
        fixture.write("README.md", "not needed");
        fixture.write("secrets/README.md", "not needed");
        fixture.write("secrets/rds/dev.enc.yaml", "rds dev");
        fixture.write("secrets/rds/production.enc.yaml", "rds production");
        fixture.write("secrets/stripe/dev.enc.yaml", "stripe dev");
        fixture.write("secrets/stripe/production.enc.yaml", "stripe production");
        fixture.commit("second");
        fixture
    }

    pub(crate) fn repo(&self) -> PathBuf {
        self.path("repo")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        let path = self.repo().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Runs git in the repository and returns what it printed, without the last line end.
    pub(crate) fn git(&self, args: &[&str]) -> String {
        git(&self.repo(), args)
    }

    /// Names in the temporary folder but the repository's.
    pub(crate) fn left_over(&self) -> Vec<String> {
        let names = fs::read_dir(self.dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name != "repo").collect();
        names.sort();
        names
    }
}

pub(crate) fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(dir)
        .args(["-c", "user.name=n", "-c", "user.email=e@example", "-c", "commit.gpgsign=false"])
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env_remove("GIT_DIR")
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "git {args:?}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// Runs the command in this process with only these variables.
pub(crate) fn packproof(args: &[&str], env: &[(&str, &str)]) -> Ran {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let args = std::iter::once("packproof").chain(args.iter().copied()).map(OsString::from);
    let lookup = |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value));
    let code = packproof::cli::run_with_env(args, &lookup, &mut out, &mut err);
    Ran { code, out: String::from_utf8(out).unwrap(), err: String::from_utf8(err).unwrap() }
}
