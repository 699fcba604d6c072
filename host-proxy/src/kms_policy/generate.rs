//! `packproof kms-policy generate`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use packproof_eif::Base;
use packproof_receipt::{
    measure::Measurements,
    policy::{MAX_POLICY_BYTES, Policy},
};
use serde_json::{Map, Value, json};

use super::{
    roles::Roles,
    shape::{self, ImageUse},
    terraform,
    uses::{self, KeyUse, Use},
};
use crate::{
    Error,
    files::{self, Staged},
    output::Report,
};

/// Arguments of `kms-policy generate`.
#[derive(Debug, clap::Args)]
pub(crate) struct GenerateArgs {
    /// The policy; a second one during a rollout
    #[arg(long, value_name = "FILE", required = true)]
    policy: Vec<PathBuf>,
    /// The release's release.json, its files beside it; a second one during a rollout
    #[arg(long, value_name = "FILE", required = true)]
    release: Vec<PathBuf>,
    /// The role whose credentials go with a pack
    #[arg(long, value_name = "ARN")]
    ci_role: String,
    /// Who encrypts cells
    #[arg(long, value_name = "ARN", num_args = 1..)]
    author_role: Vec<String>,
    /// Who opens artifacts
    #[arg(long, value_name = "ARN", num_args = 1..)]
    workload_role: Vec<String>,
    /// The one role that may change key policies
    #[arg(long, value_name = "ARN")]
    admin_role: String,
    /// One of the policy's keys, or all
    #[arg(long, value_name = "ARN", default_value = "all")]
    key: Vec<String>,
    /// Let the administrator create grants; the Deny statements still bind their holders
    #[arg(long)]
    allow_grants: bool,
    /// What to write
    #[arg(long, value_enum, default_value = "json")]
    format: Format,
    /// A folder (JSON: one file a key), or a file [default: standard output]
    #[arg(short, long, value_name = "DIR|FILE")]
    output: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Json,
    Terraform,
}

/// Two images during a rollout.
const MAX_IMAGES: usize = 2;
/// The longest key policy that KMS takes (API reference, `PutKeyPolicy`).
const MAX_KEY_POLICY_BYTES: usize = 32_768;
/// Name of the Terraform file in a folder.
const TERRAFORM_FILE: &str = "key-policies.tf";

/// An image: its measurements and what its policy uses keys for.
pub(super) struct Image {
    pub(super) measurements: Measurements,
    pub(super) uses: BTreeMap<String, KeyUse>,
}

/// Measures each release with its policy, at most `maximum` images. One of either goes with all of the other; two and two are paired in order.
///
/// # Errors
/// [`Error::Usage`], [`Error::Image`], [`Error::CannotRead`], [`Error::FileTooLong`], [`Error::Policy`].
pub(super) fn images(releases: &[PathBuf], policies: &[PathBuf], maximum: usize) -> Result<Vec<Image>, Error> {
    let count = releases.len().max(policies.len());
    let fits = |files: &[PathBuf]| files.len() == 1 || files.len() == count;
    if count > maximum || !fits(releases) || !fits(policies) {
        return Err(Error::Usage(format!(
            "{} releases and {} policies: give one of each, or two of one or of both during a rollout",
            releases.len(),
            policies.len()
        )));
    }
    let pairs = releases.iter().cycle().zip(policies.iter().cycle()).take(count);
    pairs
        .map(|(release, policy)| {
            let (base, _) = Base::read(release).map_err(Error::Image)?;
            let bytes = read_policy(policy)?;
            let measurements = base.measure(&bytes).map_err(Error::Image)?;
            let policy = Policy::parse(&bytes).map_err(Error::Policy)?;
            Ok(Image { measurements, uses: uses::of(&policy) })
        })
        .collect()
}

/// Reads a policy file; one byte more than is allowed, so that the parser can say that it is too long.
///
/// # Errors
/// [`Error::CannotRead`], [`Error::FileTooLong`].
pub(super) fn read_policy(path: &Path) -> Result<Vec<u8>, Error> {
    files::read(path, u64::try_from(MAX_POLICY_BYTES).unwrap_or(u64::MAX).saturating_add(1))
}

/// One key policy.
struct KeyPolicy {
    arn: String,
    usage: Use,
    document: Value,
}

impl KeyPolicy {
    /// The last part of the ARN: letters, digits and `-`, as every policy's ARNs.
    fn id(&self) -> &str {
        self.arn.rsplit('/').next().unwrap_or_default()
    }

    fn file_name(&self) -> String {
        format!("{}-{}.json", self.usage.name(), self.id())
    }

    fn pretty(&self) -> String {
        let mut text = serde_json::to_string_pretty(&self.document).unwrap_or_default();
        text.push('\n');
        text
    }
}

/// Writes key policies.
///
/// # Errors
/// [`Error::Usage`], [`Error::Image`], [`Error::KeyNotInPolicy`], [`Error::KeyPolicyConflict`], file errors.
pub(super) fn generate(args: &GenerateArgs) -> Result<Report, Error> {
    let roles = Roles::parse(&args.ci_role, &args.admin_role, &args.author_role, &args.workload_role)?;
    let images = images(&args.release, &args.policy, MAX_IMAGES)?;
    let keys = key_policies(&images, &args.key, &roles, args.allow_grants)?;
    let text = match args.format {
        Format::Terraform => keys
            .iter()
            .map(|key| terraform::resource(&format!("{}_{}", key.usage.name(), key.id()), &key.arn, &key.document))
            .collect::<Vec<_>>()
            .join("\n"),
        Format::Json => match keys.as_slice() {
            [one] => one.pretty(),
            several => {
                let by_arn: Map<String, Value> =
                    several.iter().map(|key| (key.arn.clone(), key.document.clone())).collect();
                serde_json::to_string_pretty(&by_arn).unwrap_or_default() + "\n"
            }
        },
    };
    let files = match &args.output {
        None => BTreeMap::new(),
        Some(output) => write(output, args.format, &keys, &text)?,
    };
    let shown = if files.is_empty() { text.trim_end().to_owned() } else { next_steps(args.format, &keys, &files) };
    let members: Vec<Value> = keys
        .iter()
        .map(|key| {
            json!({ "arn": key.arn, "use": key.usage.name(), "file": files.get(&key.arn), "policy": key.document })
        })
        .collect();
    let images: Vec<Value> = images
        .iter()
        .map(|Image { measurements: image, .. }| {
            let [pcr0, pcr1, pcr2] = [image.pcr0, image.pcr1, image.pcr2].map(hex::encode);
            json!({ "pcr0": pcr0, "pcr1": pcr1, "pcr2": pcr2 })
        })
        .collect();
    let object = json!({ "images": images, "keys": members });
    Ok(Report { text: shown, json: object.as_object().cloned().unwrap_or_default() })
}

fn key_policies(
    images: &[Image],
    wanted: &[String],
    roles: &Roles,
    allow_grants: bool,
) -> Result<Vec<KeyPolicy>, Error> {
    let mut arns: Vec<&String> = images.iter().flat_map(|image| image.uses.keys()).collect();
    arns.sort();
    arns.dedup();
    let all = wanted.iter().any(|key| key == "all");
    if let Some(unknown) = wanted.iter().find(|key| !all && !arns.contains(key)) {
        return Err(Error::KeyNotInPolicy {
            arn: unknown.clone(),
            known: arns.iter().map(|arn| (*arn).clone()).collect(),
        });
    }
    let id_of = |arn: &String| arn.rsplit('/').next().unwrap_or_default().to_owned();
    let chosen: Vec<&String> = arns.into_iter().filter(|arn| all || wanted.contains(arn)).collect();
    let mut ids = BTreeSet::new();
    if let Some(twin) = chosen.iter().find(|arn| !ids.insert(id_of(arn))) {
        return Err(Error::Usage(format!("two keys have the id of {twin}: write one after the other with --key")));
    }
    let mut policies = Vec::new();
    for arn in chosen {
        let using: Vec<(&Image, &KeyUse)> =
            images.iter().filter_map(|image| Some((image, image.uses.get(arn)?))).collect();
        let Some((_, first)) = using.first() else { continue };
        if let Some((_, other)) =
            using.iter().find(|(_, other)| (other.usage, &other.environment) != (first.usage, &first.environment))
        {
            let used = |key: &KeyUse| format!("{} of {}", key.usage.name(), key.environment);
            return Err(Error::KeyPolicyConflict { arn: arn.clone(), first: used(first), second: used(other) });
        }
        let missing = match first.usage {
            Use::Cells if roles.authors.is_empty() => Some("--author-role: nobody could encrypt the cells of"),
            Use::Envelope if roles.workloads.is_empty() => Some("--workload-role: nobody could open artifacts under"),
            _ => None,
        };
        if let Some(missing) = missing {
            return Err(Error::Usage(format!("give {missing} {arn}")));
        }
        let mut image_uses: Vec<ImageUse> = using
            .iter()
            .map(|(image, usage)| ImageUse { measurements: image.measurements, actions: usage.image_actions() })
            .collect();
        image_uses.dedup();
        let document = shape::key_policy(first.usage, &image_uses, roles, allow_grants);
        let key = KeyPolicy { arn: arn.clone(), usage: first.usage, document };
        if key.document.to_string().len() > MAX_KEY_POLICY_BYTES {
            return Err(Error::Usage(format!("the key policy of {arn} is longer than KMS takes; name fewer roles")));
        }
        policies.push(key);
    }
    Ok(policies)
}

/// Writes the files; returns the file of each key.
fn write(output: &Path, format: Format, keys: &[KeyPolicy], text: &str) -> Result<BTreeMap<String, String>, Error> {
    let into_folder = output.is_dir() || output.as_os_str().to_string_lossy().ends_with('/');
    let one_file = |path: PathBuf| -> Result<_, Error> {
        let path = Staged::write(&path, text.as_bytes())?.place()?.display().to_string();
        Ok(keys.iter().map(|key| (key.arn.clone(), path.clone())).collect())
    };
    match format {
        Format::Terraform if into_folder => one_file(output.join(TERRAFORM_FILE)),
        Format::Terraform => one_file(output.to_owned()),
        Format::Json if keys.len() == 1 && !into_folder => one_file(output.to_owned()),
        Format::Json => {
            let staged: Vec<(String, Staged)> = keys
                .iter()
                .map(|key| {
                    let file = Staged::write(&output.join(key.file_name()), key.pretty().as_bytes())?;
                    Ok::<_, Error>((key.arn.clone(), file))
                })
                .collect::<Result<_, _>>()?;
            staged.into_iter().map(|(arn, file)| Ok((arn, file.place()?.display().to_string()))).collect()
        }
    }
}

fn next_steps(format: Format, keys: &[KeyPolicy], files: &BTreeMap<String, String>) -> String {
    let file = |key: &KeyPolicy| files.get(&key.arn).cloned().unwrap_or_default();
    let mut lines: Vec<String> =
        keys.iter().map(|key| format!("{:<9} {}  {}", key.usage.name(), key.arn, file(key))).collect();
    lines.push("as the administrator role:".to_owned());
    if format == Format::Terraform {
        lines.push("  terraform apply".to_owned());
    } else {
        lines.extend(keys.iter().map(|key| {
            let region = key.arn.split(':').nth(3).unwrap_or_default();
            format!("  aws kms put-key-policy --region {region} --key-id {} --policy file://{}", key.arn, file(key))
        }));
    }
    lines.join("\n")
}
