//! `packproof policy init`: a first policy, as complete as the repository and the flags make it.

use std::path::{Path, PathBuf};

use packproof_artifact::manifest::{MAX_MANIFEST_BYTES, Manifest};
use packproof_receipt::{policy::Policy, sealed::BirthStatement};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{
    facts::{self, CellKeys, LeftOut},
    render::{self, Entry, Head, Kms, Sealing, Signer},
    unborn,
};
use crate::{
    Error,
    collect::MARKER_PATH,
    files::{self, Staged},
    git::Repository,
    output::Report,
    sealed_file::SealedFile,
};

/// A public key, a marker or a CA is a line or a page.
const MAX_SMALL_FILE_BYTES: u64 = 64 * 1024;

/// Arguments of `policy init`.
#[derive(Debug, clap::Args)]
pub(crate) struct InitArgs {
    /// A folder in the repository's work tree
    #[arg(long, value_name = "REPO", default_value = ".")]
    dir: PathBuf,
    /// The manifest, from the repository's root
    #[arg(long, value_name = "PATH", default_value = "clef.yaml")]
    manifest: String,
    /// Name of the repository [default: what .packproof/repository says]
    #[arg(long, value_name = "URL")]
    repository: Option<String>,
    /// SSH public key (ssh-ed25519) whose signature on commits counts
    #[arg(long, value_name = "FILE.pub")]
    signer_key: Option<PathBuf>,
    /// Who holds that key [default: the key's comment]
    #[arg(long, value_name = "NAME")]
    principal: Option<String>,
    /// KMS key that seals a key of an identity and environment; IDENTITY may be *, PURPOSE is signer or age-key
    #[arg(long, value_name = "IDENTITY/ENVIRONMENT/PURPOSE=ARN")]
    sealing_key: Vec<String>,
    /// A sealed key made by packproof seal: pins its public key
    #[arg(long, value_name = "FILE")]
    sealed: Vec<PathBuf>,
    /// A simulated KMS instead of AWS's: https://HOST:PORT
    #[arg(long, value_name = "URL", requires = "kms_ca")]
    kms_url: Option<String>,
    /// The simulated KMS's CA, PEM
    #[arg(long, value_name = "FILE", requires = "kms_url")]
    kms_ca: Option<PathBuf>,
    /// Where the policy goes; never overwritten [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Writes a first policy.
///
/// # Errors
/// [`Error::PolicyIncomplete`] lists everything that is missing at once; [`Error::Policy`] when what the repository
/// says breaks a rule (one key for two environments, for example).
pub(crate) fn init(args: &InitArgs) -> Result<Report, Error> {
    let repository = Repository::new(&args.dir);
    let root = repository.work_tree()?;
    let manifest = root.join(&args.manifest);
    let manifest = files::read(&manifest, u64::try_from(MAX_MANIFEST_BYTES).unwrap_or(u64::MAX))?;
    let manifest = Manifest::parse(&manifest).map_err(Error::Manifest)?;
    let mut flags = Flags::read(args)?;
    let mut missing = Vec::new();

    let mut entries = Vec::new();
    let mut left_out = Vec::new();
    for identity in &manifest.identities {
        for (name, target) in &identity.environments {
            let Some(environment) = manifest.environment(name) else { continue };
            match facts::read(&root, &manifest, identity, environment, target)? {
                Err(LeftOut(why)) => left_out.push(why),
                Ok(facts) => {
                    let mut sealing =
                        |purpose| flags.sealing(&facts.identity, &facts.environment, purpose, &mut missing);
                    let age_key = matches!(facts.cell_keys, CellKeys::Age).then(|| sealing("age-key"));
                    let signer = sealing("signer");
                    entries.push(Entry { facts, signer, age_key });
                }
            }
        }
    }
    if entries.is_empty() {
        let reasons = if left_out.is_empty() { "it has no service identities".to_owned() } else { left_out.join("; ") };
        return Err(Error::PolicyNotPossible(format!("the manifest leaves nothing to pack: {reasons}")));
    }
    flags.all_used()?;
    let head = head(args, &root, repository.object_format()?, &mut missing)?;
    if !missing.is_empty() {
        return Err(Error::PolicyIncomplete(missing));
    }

    let text = render::policy(&head, &entries, &left_out);
    let policy = Policy::parse(text.as_bytes()).map_err(Error::Policy)?;
    finish(args, &text, &policy, &left_out)
}

fn head(args: &InitArgs, root: &Path, object_format: String, missing: &mut Vec<String>) -> Result<Head, Error> {
    let kms = match (&args.kms_url, &args.kms_ca) {
        (Some(url), Some(ca)) => Kms::Simulated { url: url.clone(), ca: read_text(ca)? },
        _ => Kms::Aws,
    };
    Ok(Head {
        repository: repository_name(args, root, missing)?,
        object_format,
        manifest: args.manifest.clone(),
        signer: commit_signer(args, missing)?,
        kms,
    })
}

/// The flag's, else the marker's; when both are there they must agree.
fn repository_name(args: &InitArgs, root: &Path, missing: &mut Vec<String>) -> Result<String, Error> {
    let marker = match read_text(&root.join(MARKER_PATH)) {
        Ok(text) => Some(text.strip_suffix('\n').unwrap_or(&text).to_owned()),
        Err(Error::CannotRead { error, .. }) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    match (&args.repository, marker) {
        (Some(flag), Some(marker)) if *flag != marker => Err(Error::PolicyNotPossible(format!(
            "--repository says {flag:?} and {MARKER_PATH} says {marker:?}; every pack compares the two"
        ))),
        (Some(name), _) => Ok(name.clone()),
        (None, Some(name)) => Ok(name),
        (None, None) => {
            missing.push(format!("--repository URL, and the same line committed as {MARKER_PATH}"));
            Ok(String::new())
        }
    }
}

fn commit_signer(args: &InitArgs, missing: &mut Vec<String>) -> Result<Signer, Error> {
    let Some(path) = &args.signer_key else {
        missing.push("--signer-key FILE.pub".to_owned());
        return Ok(Signer { name: String::new(), principal: String::new(), ssh: String::new() });
    };
    let line = read_text(path)?;
    let mut words = line.split_ascii_whitespace();
    let (kind, key) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let comment: Vec<&str> = words.collect();
    let principal = args.principal.clone().unwrap_or_else(|| comment.join(" "));
    if principal.is_empty() {
        missing.push("--principal NAME".to_owned());
    }
    let name = principal.split('@').next().unwrap_or_default().to_owned();
    Ok(Signer { name, principal, ssh: format!("{kind} {key}") })
}

fn read_text(path: &Path) -> Result<String, Error> {
    String::from_utf8(files::read(path, MAX_SMALL_FILE_BYTES)?)
        .map_err(|_| Error::Usage(format!("{} is not text", path.display())))
}

fn finish(args: &InitArgs, text: &str, policy: &Policy, left_out: &[String]) -> Result<Report, Error> {
    let mut written = None;
    let mut shown = text.strip_suffix('\n').unwrap_or(text).to_owned();
    if let Some(path) = &args.output {
        let path = Staged::write(path, text.as_bytes())?.place_new()?;
        let mut lines = vec![format!("wrote {}; read every line before you trust it", path.display())];
        lines.extend(left_out.iter().map(|why| format!("left out {why}")));
        for pack in &policy.packs {
            for purpose in unborn(pack) {
                let (identity, environment) = (&pack.identity, &pack.environment);
                lines.push(format!(
                    "next: packproof seal {purpose} --identity {identity} --environment {environment} -o FILE"
                ));
            }
        }
        shown = lines.join("\n");
        written = Some(path.to_string_lossy().into_owned());
    }
    let packs: Vec<_> = policy
        .packs
        .iter()
        .map(|pack| json!({ "name": format!("{}/{}", pack.identity, pack.environment), "toSeal": unborn(pack) }))
        .collect();
    let object = json!({
        "policy": text,
        "sha256": hex::encode(Sha256::digest(text)),
        "simulated": policy.is_simulated(),
        "packs": packs,
        "leftOut": left_out,
        "output": written,
    });
    Ok(Report { text: shown, json: object.as_object().cloned().unwrap_or_default() })
}

/// What the flags say about sealing keys, and whether anything asked for it.
struct Flags {
    keys: Vec<SealingKey>,
    births: Vec<(PathBuf, BirthStatement, bool)>,
}

struct SealingKey {
    flag: String,
    /// `None` for every identity.
    identity: Option<String>,
    environment: String,
    purpose: String,
    arn: String,
    used: bool,
}

impl Flags {
    fn read(args: &InitArgs) -> Result<Self, Error> {
        let keys = args.sealing_key.iter().map(|flag| SealingKey::parse(flag)).collect::<Result<_, _>>()?;
        let births = args
            .sealed
            .iter()
            .map(|path| SealedFile::read(path).map(|file| (file.path, file.birth, false)))
            .collect::<Result<_, _>>()?;
        Ok(Self { keys, births })
    }

    /// The sealing key of one purpose: of the sealed key itself, of the flag that names the identity, of the flag with
    /// `*`, in this order.
    fn sealing(&mut self, identity: &str, environment: &str, purpose: &str, missing: &mut Vec<String>) -> Sealing {
        let is_this = |birth: &BirthStatement| {
            birth.identity == identity && birth.environment == environment && birth.purpose == purpose
        };
        let birth = self.births.iter_mut().find(|(_, birth, _)| is_this(birth)).map(|(_, birth, used)| {
            *used = true;
            birth.clone()
        });
        let mut of_flags = None;
        for named in [Some(identity), None] {
            let matches = |key: &SealingKey| {
                key.identity.as_deref() == named && key.environment == environment && key.purpose == purpose
            };
            for key in self.keys.iter_mut().filter(|key| matches(key)) {
                key.used = true;
                of_flags = of_flags.or_else(|| Some(key.arn.clone()));
            }
        }
        let arn = birth.as_ref().map(|birth| birth.kms_key_arn.clone()).or(of_flags).unwrap_or_else(|| {
            missing.push(format!("--sealing-key {identity}/{environment}/{purpose}=ARN"));
            String::new()
        });
        Sealing { arn, birth }
    }

    /// A flag that nothing asked for is a typing error, or a belief that would not come true.
    fn all_used(&self) -> Result<(), Error> {
        let key = self.keys.iter().find(|key| !key.used).map(|key| format!("--sealing-key {}", key.flag));
        let birth = self.births.iter().find(|(_, _, used)| !used);
        match key.or_else(|| birth.map(|(path, ..)| format!("--sealed {}", path.display()))) {
            None => Ok(()),
            Some(flag) => {
                Err(Error::Usage(format!("{flag} fits no identity, environment and purpose of this repository")))
            }
        }
    }
}

impl SealingKey {
    fn parse(flag: &str) -> Result<Self, Error> {
        let wrong = || {
            let form = "IDENTITY/ENVIRONMENT/signer=ARN or IDENTITY/ENVIRONMENT/age-key=ARN";
            Error::Usage(format!("--sealing-key {flag:?} is not {form}"))
        };
        let (place, arn) = flag.split_once('=').ok_or_else(wrong)?;
        let parts: Vec<&str> = place.split('/').collect();
        let [identity, environment, purpose] = parts.as_slice() else { return Err(wrong()) };
        if identity.is_empty() || environment.is_empty() || arn.is_empty() || !["signer", "age-key"].contains(purpose) {
            return Err(wrong());
        }
        Ok(Self {
            flag: flag.to_owned(),
            identity: (*identity != "*").then(|| (*identity).to_owned()),
            environment: (*environment).to_owned(),
            purpose: (*purpose).to_owned(),
            arn: arn.to_owned(),
            used: false,
        })
    }
}
