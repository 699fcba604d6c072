//! `packproof-local demo`: everything once, on a real repository, then four attacks that fail.

mod fixtures;
mod tools;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{LocalError, keys, state::State};
use tools::{Outcome, Tools, Up};

const IDENTITY: &str = "checkout";
/// Marks a directory that this command made, so that it may be made again.
const MARKER: &str = ".packproof-demo";

/// Runs the demo in `dir`.
pub(crate) fn run(dir: &Path, out: &mut dyn Write) -> Result<(), LocalError> {
    let story = Story { out, step: 0 };
    Demo::prepare(dir)?.run(story)
}

/// The demo's directory and what lies in it.
struct Demo {
    dir: PathBuf,
    /// The directory as the user named it, for the commands that are printed.
    shown: PathBuf,
    tools: Tools,
}

impl Demo {
    fn prepare(dir: &Path) -> Result<Self, LocalError> {
        let unusable = |error| LocalError::File(dir.to_owned(), error);
        if dir.join(MARKER).exists() {
            fs::remove_dir_all(dir).map_err(unusable)?;
        }
        fs::create_dir_all(dir).map_err(unusable)?;
        if fs::read_dir(dir).map_err(unusable)?.next().is_some() {
            return Err(LocalError::Demo(format!("{} is not empty; name another with --dir", dir.display())));
        }
        fs::write(dir.join(MARKER), "made by packproof-local demo, and deleted by the next one\n").map_err(unusable)?;
        let shown = dir.to_owned();
        let dir = fs::canonicalize(dir).map_err(unusable)?;
        let tools = Tools::new(&dir);
        Ok(Self { dir, shown, tools })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn run(&self, mut story: Story<'_>) -> Result<(), LocalError> {
        story.title("packproof demo: local mode, simulated evidence, public demo keys");
        self.repository(&mut story)?;
        self.keys_born_inside(&mut story)?;
        let up = self.pinned_image(&mut story)?;
        self.pack(&mut story, &up, "dev", &self.path("artifact.json"))?;
        self.pack(&mut story, &up, "production", &self.path("production/artifact.json"))?;
        self.verify(&mut story, "dev", "artifact")?;
        self.verify(&mut story, "production", "production/artifact")?;
        self.attacks(&mut story, &up)?;
        up.stop();
        self.by_hand(&mut story);
        Ok(())
    }

    fn repository(&self, story: &mut Story<'_>) -> Result<(), LocalError> {
        story.step("a git repository: cells made by real sops, one commit signed with an SSH key");
        fixtures::write(&self.dir)?;
        self.tools.ssh_key("release")?;
        self.tools.ssh_key("attacker")?;
        self.tools.git(&["init", "--quiet", "--initial-branch=main"])?;
        self.tools.commit("Secrets of checkout", Some("release"))?;
        let commit = self.tools.git(&["rev-parse", "HEAD"])?;
        story.say(&format!("commit {}", commit.trim()));
        Ok(())
    }

    /// The first image pins no signer yet: the only thing it may do is give birth to one.
    fn keys_born_inside(&self, story: &mut Story<'_>) -> Result<(), LocalError> {
        story.step("a first policy, its image, and signing keys born inside the enclave, sealed by KMS");
        let state_dir = self.path("state");
        let mut ignored = Vec::new();
        keys::run(&state_dir, &[], Some(&self.path("keys/kms-keys.json")), &mut ignored)?;
        State::open(&state_dir)?.write_kms_port(tools::free_port()?)?;
        let policy = self.path("state/birth.toml");
        self.policy(&policy, &["keys/age-key-dev.json"])?;
        let up = Up::start(&self.dir, &policy, false)?;
        for environment in ["dev", "production"] {
            let file = self.path(&format!("keys/signer-{environment}.json"));
            let sealed = self.tools.packproof(
                &up,
                &["seal", "signer", "--identity", IDENTITY, "--environment", environment, "-o", &text(&file)],
            );
            sealed.expect_success("sealing the signer")?;
            self.verify_birth(&file, environment, &policy)?;
            story.say(&format!(
                "sealed signer for {IDENTITY}/{environment}: keys/signer-{environment}.json, birth certificate verified"
            ));
        }
        up.stop();
        Ok(())
    }

    /// What `seal` answers is the host's word until this.
    fn verify_birth(&self, sealed: &Path, environment: &str, policy: &Path) -> Result<(), LocalError> {
        let state = State::open(&self.path("state"))?;
        let release = state.release_dir().join(packproof_eif::RELEASE_FILE);
        let (sealed, policy, release, root) = (text(sealed), text(policy), text(&release), text(&state.root_pem()));
        let args = [
            "birth",
            &sealed,
            "--purpose",
            "signer",
            "--identity",
            IDENTITY,
            "--environment",
            environment,
            "--policy",
            &policy,
            "--image",
            &release,
            "--simulated",
            "--root",
            &root,
        ];
        Tools::verify(&args.map(str::to_owned)).expect_success("verifying the birth certificate")
    }

    fn pinned_image(&self, story: &mut Story<'_>) -> Result<Up, LocalError> {
        story.step("the policy with the signers pinned; its image, and key policies that trust only that image");
        let policy = self.path("packproof.toml");
        self.policy(&policy, &["keys/age-key-dev.json", "keys/signer-dev.json", "keys/signer-production.json"])?;
        let up = Up::start(&self.dir, &policy, true)?;
        for name in ["release.json", "kernel", "cmdline", "boot.cpio"] {
            let from = self.path("state/release").join(name);
            fs::rename(&from, self.path(name)).map_err(|error| LocalError::File(from, error))?;
        }
        let root = self.path("root.pem");
        fs::copy(self.path("state/root.pem"), &root).map_err(|error| LocalError::File(root, error))?;
        story.say(&format!("PCR0 {}", up.text("pcr0")));
        Ok(up)
    }

    fn policy(&self, file: &Path, sealed: &[&str]) -> Result<(), LocalError> {
        let state = State::open(&self.path("state"))?;
        let keys = state.keys()?;
        let url = format!("https://localhost:{}", state.kms_port()?.unwrap_or_default());
        let arn = |name: &str| keys.get(name).cloned().unwrap_or_default();
        let mut args: Vec<String> = [
            "policy",
            "init",
            "--dir",
            &text(&self.path("repo")),
            "--signer-key",
            &text(&self.path("keys/release.pub")),
            "--principal",
            "release@packproof.example",
            "--kms-url",
            &url,
            "--kms-ca",
            &text(&state.ca_pem()),
        ]
        .map(str::to_owned)
        .to_vec();
        for (place, key) in [
            ("checkout/dev/signer", "signer-dev"),
            ("checkout/production/signer", "signer-production"),
            ("checkout/dev/age-key", "age-key-dev"),
        ] {
            args.extend(["--sealing-key".to_owned(), format!("{place}={}", arn(key))]);
        }
        for file in sealed {
            args.extend(["--sealed".to_owned(), text(&self.path(file))]);
        }
        args.extend(["-o".to_owned(), text(file)]);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        self.tools.packproof_alone(&args).expect_success("writing the policy")
    }

    fn pack(&self, story: &mut Story<'_>, up: &Up, environment: &str, artifact: &Path) -> Result<(), LocalError> {
        story
            .step(&format!("pack {IDENTITY} for {environment}: the enclave decrypts, this process never sees a value"));
        let packed = self.pack_commit(up, environment, "main", artifact);
        packed.expect_success("packing")?;
        story.say(packed.out.trim_end());
        Ok(())
    }

    fn pack_commit(&self, up: &Up, environment: &str, revision: &str, artifact: &Path) -> Outcome {
        let signer = text(&self.path(&format!("keys/signer-{environment}.json")));
        let (repo, artifact, age_key) =
            (text(&self.path("repo")), text(artifact), text(&self.path("keys/age-key-dev.json")));
        let mut args = vec![
            "pack",
            IDENTITY,
            environment,
            "--dir",
            &repo,
            "--commit",
            revision,
            "-o",
            &artifact,
            "--signer",
            &signer,
        ];
        if environment == "dev" {
            args.extend(["--age-key", &age_key]);
        }
        self.tools.packproof(up, &args)
    }

    fn verify_args(dir: &Path, environment: &str, receipt_of: &str, artifact: &str) -> Vec<String> {
        let path = |name: String| text(&dir.join(name));
        [
            path(format!("{receipt_of}.receipt.sigstore.jsonl")),
            "--artifact".into(),
            path(format!("{artifact}.json")),
            "--policy".into(),
            path("packproof.toml".into()),
            "--image".into(),
            path("release.json".into()),
            "--identity".into(),
            IDENTITY.into(),
            "--environment".into(),
            environment.into(),
            "--simulated".into(),
            "--root".into(),
            path("root.pem".into()),
        ]
        .to_vec()
    }

    fn verify(&self, story: &mut Story<'_>, environment: &str, name: &str) -> Result<(), LocalError> {
        story.step(&format!("verify the receipt for {environment}, offline, as an auditor would"));
        let verified = Tools::verify(&Self::verify_args(&self.dir, environment, name, name));
        verified.expect_success("verifying")?;
        // the verdict stands before the first empty line; the whole report is printed by the command below
        story.say(verified.out.split("\n\n").next().unwrap_or_default());
        Ok(())
    }

    fn attacks(&self, story: &mut Story<'_>, up: &Up) -> Result<(), LocalError> {
        story.title("four attacks");
        story.step("another artifact beside the receipt");
        let swapped = Tools::verify(&Self::verify_args(&self.dir, "dev", "artifact", "production/artifact"));
        story.say(&swapped.expect_refusal("artifact_sha256")?);

        story.step("a commit that nobody signed");
        self.branch("attack-unsigned", None, |repo| append(&repo.join("secrets/stripe/dev.enc.yaml"), "\n"))?;
        story.say(&self.refused(up, "attack-unsigned", "unsigned")?);

        story.step("the attacker's own recipient, in a manifest that was signed");
        self.branch("attack-recipient", Some("release"), |repo| {
            replace(&repo.join("clef.yaml"), fixtures::WORKLOAD_RECIPIENT, fixtures::ATTACKER_RECIPIENT)
        })?;
        story.say(&self.refused(up, "attack-recipient", "recipient_not_in_policy")?);

        story.step("production's cell copied over dev's, in a signed commit");
        self.branch("attack-copied-cell", Some("release"), |repo| {
            let cell = repo.join("secrets/stripe/production.enc.yaml");
            let copied = fs::copy(&cell, repo.join("secrets/stripe/dev.enc.yaml"));
            copied.map(drop).map_err(|error| LocalError::File(cell, error))
        })?;
        story.say(&self.refused(up, "attack-copied-cell", "no_allowed_key")?);
        Ok(())
    }

    fn branch(
        &self,
        name: &str,
        signer: Option<&str>,
        change: impl FnOnce(&Path) -> Result<(), LocalError>,
    ) -> Result<(), LocalError> {
        self.tools.git(&["switch", "--quiet", "--create", name])?;
        change(&self.path("repo"))?;
        self.tools.commit(name, signer)?;
        self.tools.git(&["switch", "--quiet", "main"]).map(drop)
    }

    fn refused(&self, up: &Up, branch: &str, code: &str) -> Result<String, LocalError> {
        let artifact = self.path("must-not-exist.json");
        let refusal = self.pack_commit(up, "dev", branch, &artifact).expect_refusal(code)?;
        if artifact.exists() {
            return Err(LocalError::Demo(format!("{branch} left an artifact")));
        }
        Ok(refusal)
    }

    fn by_hand(&self, story: &mut Story<'_>) {
        let dir = self.shown.display();
        story.title("by hand");
        story.say("Build the commands once and put them on the PATH:");
        story.say("  cargo build --release -p packproof -p packproof-verify -p packproof-local");
        story.say("  export PATH=\"$PWD/target/release:$PATH\"");
        story.say("Verify (try it with one byte of the artifact changed, or without --simulated --root):\n");
        let args = Self::verify_args(&self.shown, "dev", "artifact", "artifact").join(" ");
        story.line(&format!("packproof-verify {args}"));
        story.say(
            "\nStart the pinned enclave again (it prints what to export), then pack in another shell; --commit takes",
        );
        story.say("attack-unsigned, attack-recipient or attack-copied-cell to see each refused:\n");
        story.say(&format!("  packproof-local up --dir {dir}/state --policy {dir}/packproof.toml --pin"));
        story.say(&format!(
            "  packproof pack {IDENTITY} dev --dir {dir}/repo --commit main -o out.json --signer {dir}/keys/signer-dev.json \
             --age-key {dir}/keys/age-key-dev.json"
        ));
        story.say(&format!(
            "  packproof pack {IDENTITY} production --dir {dir}/repo -o out.json --signer {dir}/keys/signer-production.json"
        ));
        story.say("\nOpen the dev artifact with the age command and the workload's demo key:\n");
        story.say(&format!(
            "  python3 -c 'import json,base64,sys; sys.stdout.buffer.write(base64.b64decode(json.load(open(\"{dir}/artifact.json\"))\
             [\"ciphertext\"]))' | age -d -i {dir}/keys/workload-dev.age.txt"
        ));
    }
}

/// What the demo prints.
struct Story<'a> {
    out: &'a mut dyn Write,
    step: u32,
}

impl Story<'_> {
    // Whoever closed the terminal does not want to know; the demo's result is its exit code.
    fn line(&mut self, text: &str) {
        let _ = writeln!(self.out, "{text}");
    }

    fn title(&mut self, text: &str) {
        self.line(&format!("\n== {text}"));
    }

    fn step(&mut self, text: &str) {
        self.step = self.step.saturating_add(1);
        let step = self.step;
        self.line(&format!("\n{step}. {text}"));
    }

    fn say(&mut self, text: &str) {
        for line in text.lines() {
            self.line(&format!("   {line}"));
        }
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn append(path: &Path, text: &str) -> Result<(), LocalError> {
    let changed = fs::read_to_string(path).and_then(|content| fs::write(path, content + text));
    changed.map_err(|error| LocalError::File(path.to_owned(), error))
}

fn replace(path: &Path, from: &str, to: &str) -> Result<(), LocalError> {
    let content = fs::read_to_string(path).map_err(|error| LocalError::File(path.to_owned(), error))?;
    if !content.contains(from) {
        return Err(LocalError::Demo(format!("{} does not hold {from}", path.display())));
    }
    fs::write(path, content.replace(from, to)).map_err(|error| LocalError::File(path.to_owned(), error))
}

/// A member of a report, as text.
fn member<'a>(report: &'a Value, path: &[&str]) -> &'a str {
    path.iter().try_fold(report, |value, name| value.get(name)).and_then(Value::as_str).unwrap_or_default()
}
