//! `packproof kms-policy explain`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use packproof_receipt::policy::Policy;
use serde_json::{Map, Value, json};

use super::{
    document::{Document, Name, Principals},
    findings::{Code, Finding, Severity},
    generate::{self, Image},
    inputs,
    judge::{Verdict, judge},
    key::{Expected, Grant, IamHolder, KeyCase, Metadata},
    uses::{self, KeyUse},
};
use crate::{
    Error, files,
    output::{Report, printable_line},
};

/// Arguments of `kms-policy explain`.
#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    /// Key policies, as files of aws kms get-key-policy or of packproof kms-policy generate
    #[arg(required = true, value_name = "POLICY.json")]
    key_policy: Vec<PathBuf>,
    /// ARN of the key; once for each key policy, in order [default: by --describe, or by key ids in file names]
    #[arg(long, value_name = "ARN")]
    key: Vec<String>,
    /// Answer of aws kms describe-key; once for each key policy, in order
    #[arg(long, value_name = "FILE")]
    describe: Vec<PathBuf>,
    /// IAM policies: answers of aws iam get-account-authorization-details, get-role-policy, get-user-policy or
    /// get-policy-version, or bare documents
    #[arg(long, value_name = "FILE", num_args = 1..)]
    iam: Vec<PathBuf>,
    /// Answer of aws kms list-grants
    #[arg(long, value_name = "FILE")]
    grants: Vec<PathBuf>,
    /// Who is meant to decrypt outside the enclave: workload roles of envelope keys, a break-glass role
    #[arg(long, value_name = "ARN", num_args = 1..)]
    expect_workload: Vec<String>,
    /// Who is meant to change key policies; nobody else may
    #[arg(long, value_name = "ARN", num_args = 1..)]
    expect_admin: Vec<String>,
    /// Measured policies that use the keys: say what each key is for
    #[arg(long, value_name = "FILE", num_args = 1..)]
    policy: Vec<PathBuf>,
    /// With --policy: the images that are meant to use the keys, and no others
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "policy")]
    release: Vec<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

/// Exit code when somebody unexpected can.
const OPEN: u8 = 1;

/// Explains key policies; beside the report 0, or 1 when somebody unexpected can decrypt outside the enclave.
///
/// # Errors
/// [`Error::KeyPolicyFile`] for every file that cannot be read whole, [`Error::Usage`], those of [`generate::images`].
pub(super) fn explain(args: &ExplainArgs) -> Result<(Report, u8), Error> {
    let policies = policies(&args.policy)?;
    let images = if args.release.is_empty() {
        Vec::new()
    } else {
        generate::images(&args.release, &args.policy, args.policy.len().max(args.release.len()))?
    };
    let expected = Expected {
        workloads: args.expect_workload.iter().cloned().collect(),
        admins: (!args.expect_admin.is_empty()).then(|| args.expect_admin.iter().cloned().collect()),
    };
    let cases = cases(args, &policies, &images)?;
    let mut judged = Vec::new();
    for case in cases {
        let iam = iam(&args.iam, &case)?;
        let mut verdict = judge(&case, &iam, &expected);
        verdict.findings.extend(case.arn.as_deref().and_then(|arn| shared(arn, &policies)));
        verdict.findings.extend(without_use(&case, &policies));
        verdict.findings.sort_by_key(|finding| (finding.severity, finding.code));
        judged.push((case, verdict));
    }
    let count = |severity| {
        judged.iter().flat_map(|(_, verdict)| &verdict.findings).filter(|finding| finding.severity == severity).count()
    };
    let [critical, warnings] = [Severity::Critical, Severity::Warning].map(count);
    let code = if critical > 0 { OPEN } else { 0 };
    Ok((report(&judged, critical, warnings), code))
}

fn read<T>(path: &Path, parse: impl Fn(&[u8]) -> Result<T, String>) -> Result<T, Error> {
    let bytes = files::read(path, inputs::MAX_FILE_BYTES)?;
    parse(&bytes).map_err(|reason| Error::KeyPolicyFile { path: path.to_owned(), reason })
}

fn policies(paths: &[PathBuf]) -> Result<Vec<Policy>, Error> {
    paths.iter().map(|path| Policy::parse(&generate::read_policy(path)?).map_err(Error::Policy)).collect()
}

fn cases(args: &ExplainArgs, policies: &[Policy], images: &[Image]) -> Result<Vec<KeyCase>, Error> {
    for (flag, given) in [("--key", args.key.len()), ("--describe", args.describe.len())] {
        if given != 0 && given != args.key_policy.len() {
            let expected = args.key_policy.len();
            return Err(Error::Usage(format!(
                "{given} times {flag} for {expected} key policies: give it once for each"
            )));
        }
    }
    let uses: BTreeMap<String, KeyUse> = policies.iter().flat_map(uses::of).collect();
    let grants: Vec<Grant> =
        args.grants.iter().map(|path| read(path, inputs::grants)).collect::<Result<Vec<_>, _>>()?.concat();
    let mut cases = Vec::new();
    for (place, path) in args.key_policy.iter().enumerate() {
        let metadata = args.describe.get(place).map(|path| read(path, inputs::metadata)).transpose()?;
        let arn = arn(path, args.key.get(place), metadata.as_ref(), &uses)?;
        let grants = grants.iter().filter(|grant| is_for(grant, arn.as_deref())).cloned().collect();
        let using = images.iter().filter(|image| arn.as_ref().is_some_and(|arn| image.uses.contains_key(arn)));
        cases.push(KeyCase {
            file: path.display().to_string(),
            document: read(path, inputs::key_policy)?,
            usage: arn.as_ref().and_then(|arn| uses.get(arn)).cloned(),
            images: using.map(|image| image.measurements).collect(),
            arn,
            metadata,
            grants,
        });
    }
    let unused = |grant: &&Grant| !cases.iter().any(|case| is_for(grant, case.arn.as_deref()));
    if let Some(grant) = grants.iter().find(unused) {
        return Err(Error::Usage(format!("grant {} is for {}, which is none of the keys", grant.id, grant.key)));
    }
    Ok(cases)
}

/// A grant names its key by ARN or id; for a key of which nothing is known, every grant is taken as its own.
fn is_for(grant: &Grant, arn: Option<&str>) -> bool {
    arn.is_none_or(|arn| arn == grant.key || arn.rsplit('/').next() == Some(grant.key.as_str()))
}

fn arn(
    path: &Path,
    flag: Option<&String>,
    metadata: Option<&Metadata>,
    uses: &BTreeMap<String, KeyUse>,
) -> Result<Option<String>, Error> {
    match (flag, metadata) {
        (Some(flag), _) if !flag.starts_with("arn:") || !flag.contains(":key/") => {
            Err(Error::Usage(format!("--key {flag:?} is not a key's ARN, arn:aws:kms:REGION:ACCOUNT:key/ID")))
        }
        (Some(flag), Some(metadata)) if *flag != metadata.arn => {
            Err(Error::Usage(format!("--key says {flag}, --describe {}", metadata.arn)))
        }
        (Some(flag), _) => Ok(Some(flag.clone())),
        (None, Some(metadata)) => Ok(Some(metadata.arn.clone())),
        (None, None) => {
            let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            let named = |arn: &&String| {
                let id = arn.rsplit('/').next().unwrap_or_default();
                let before = stem.strip_suffix(id);
                before.is_some_and(|before| before.is_empty() || before.ends_with(['-', '_', '.']))
            };
            // Of two ids that both end the name, the longer one is meant.
            let id_of = |arn: &&String| arn.rsplit('/').next().unwrap_or_default().len();
            let longest = uses.keys().filter(named).map(|arn| id_of(&arn)).max().unwrap_or_default();
            let mut meant = uses.keys().filter(named).filter(|arn| id_of(arn) == longest);
            match (meant.next(), meant.next()) {
                (Some(_), Some(_)) => Err(Error::Usage(format!(
                    "{} names a key id that two keys have: say with --key which one is meant",
                    path.display()
                ))),
                (one, _) => Ok(one.cloned()),
            }
        }
    }
}

fn iam(paths: &[PathBuf], case: &KeyCase) -> Result<Vec<IamHolder>, Error> {
    let of_key = case.arn.as_deref().and_then(|arn| arn.split(':').nth(4)).map(str::to_owned);
    let account = of_key.or_else(|| first_account(&case.document));
    let mut holders = Vec::new();
    for path in paths {
        let name = path.display().to_string();
        holders.extend(read(path, |bytes| inputs::iam(bytes, &name, account.as_deref()))?);
    }
    Ok(holders)
}

fn first_account(document: &Document) -> Option<String> {
    document.statements.iter().find_map(|statement| match &statement.principals {
        Principals::Only(names) => names.iter().find_map(|name| match name {
            Name::Account(account) => Some(account.clone()),
            _ => None,
        }),
        _ => None,
    })
}

/// Whether policies were given and none says what the key is for, so that nothing that depends on it was judged.
fn without_use(case: &KeyCase, policies: &[Policy]) -> Option<Finding> {
    if policies.is_empty() || case.usage.is_some() {
        return None;
    }
    let message = case.arn.as_ref().map_or_else(
        || "it is not known which key this policy is of".to_owned(),
        |arn| format!("no policy that was given uses {arn}"),
    );
    Some(Finding::new(Code::UseNotKnown, Severity::Warning, None, message))
}

/// Whether several policies use the key, so that the image of one opens what belongs to the other.
fn shared(arn: &str, policies: &[Policy]) -> Option<Finding> {
    let using: Vec<(&str, KeyUse)> = policies
        .iter()
        .filter_map(|policy| Some((policy.source.repository.as_str(), uses::of(policy).remove(arn)?)))
        .collect();
    let (first, others) = using.split_first()?;
    let other = others.iter().find(|other| other.0 != first.0);
    if let Some(other) = other {
        let message = format!("repositories {} and {} both use it", first.0, other.0);
        return Some(Finding::new(Code::KeySharedByRepositories, Severity::Critical, None, message));
    }
    let place = |usage: &KeyUse| format!("{} of {}", usage.usage.name(), usage.environment);
    let other = others.iter().find(|other| place(&other.1) != place(&first.1))?;
    let message = format!("one policy uses it for {}, another for {}", place(&first.1), place(&other.1));
    Some(Finding::new(Code::KeySharedByPolicies, Severity::Critical, None, message))
}

fn report(judged: &[(KeyCase, Verdict)], critical: usize, warnings: usize) -> Report {
    let mut lines = Vec::new();
    let mut keys = Vec::new();
    for (case, verdict) in judged {
        let arn = case.arn.as_deref().unwrap_or("key not known");
        let usage = case.usage.as_ref().map_or("use not known", |usage| usage.usage.name());
        lines.push(format!("{}: {} ({usage})", printable_line(&case.file), printable_line(arn)));
        if verdict.readers.is_empty() {
            lines.push("  nobody decrypts outside the enclave".to_owned());
        }
        for finding in &verdict.findings {
            let place = finding.statement.as_ref().map(|place| format!("{place}: ")).unwrap_or_default();
            let text = printable_line(&format!("{place}{}", finding.message));
            lines.push(format!("  {:<8} {}  {text}", finding.severity.name(), finding.code.name()));
            if finding.severity != Severity::Note {
                lines.push(format!("           do: {}", finding.code.advice()));
            }
        }
        let readers: Vec<Value> = verdict
            .readers
            .iter()
            .map(|(opening, expected)| {
                json!({
                    "who": opening.caller.shown,
                    "action": opening.action,
                    "through": opening.through,
                    "dependsOn": opening.depends_on,
                    "expected": expected,
                })
            })
            .collect();
        keys.push(json!({
            "file": case.file,
            "key": case.arn,
            "use": case.usage.as_ref().map(|usage| usage.usage.name()),
            "canDecryptOutside": readers,
            "findings": verdict.findings.iter().map(Finding::json).collect::<Vec<_>>(),
        }));
    }
    lines.push(match (critical, warnings) {
        (0, 0) => "ok: nobody unexpected can decrypt outside the enclave".to_owned(),
        (0, _) => format!("ok: nobody unexpected can decrypt outside the enclave; {warnings} warnings"),
        _ => format!("OPEN: {critical} critical findings, {warnings} warnings"),
    });
    let mut members = Map::new();
    members.insert("ok".into(), json!(critical == 0));
    members.insert("keys".into(), json!(keys));
    Report { text: lines.join("\n"), json: members }
}
