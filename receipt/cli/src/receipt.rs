//! Judging a receipt.

use std::{
    io::Write,
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use packproof_receipt::{policy::Policy, release::Release, time::UnixMillis};
use packproof_receipt_verify::{Expectations, Image, MaxAge, Requirement, verify};

use crate::{
    args::ReceiptArgs,
    error::CliError,
    files::{self, MAX_INPUT_BYTES, MAX_TEXT_BYTES},
    human, json, key_policies, repository,
};

/// Returns whether the receipt is valid.
pub(crate) fn run(args: &ReceiptArgs, out: &mut dyn Write, err: &mut dyn Write) -> Result<bool, CliError> {
    let receipt = files::read(&args.receipt, MAX_INPUT_BYTES)?;
    let artifact = files::read(&args.artifact, MAX_INPUT_BYTES)?;
    let policy = files::read(&args.policy, MAX_TEXT_BYTES)?;
    let release = files::read(&args.image, MAX_TEXT_BYTES)?;
    // what the auditor brings must be readable, or there is nothing to judge by
    let rules = Policy::parse(&policy).map_err(CliError::Policy)?;
    let sections = files::read_sections(&args.image, &Release::parse(&release).map_err(CliError::Release)?)?;
    let root = files::read_root(args.root.as_ref())?;

    args.repo.as_ref().map_or(Ok(()), |dir| repository::check(dir))?;

    let mut expectations = Expectations {
        root: files::root(root.as_ref()),
        policy: &policy,
        image: Image { release: &release, sections: files::sections(sections.as_ref()) },
        identity: &args.identity,
        environment: &args.environment,
        artifact: &artifact,
        commit: args.commit.as_deref(),
        challenge: args.challenge,
        repository: None,
        max_age: args.max_age.map(|seconds| MaxAge { seconds, now: now() }),
        require: args.require.iter().copied().filter(|required| *required != Requirement::Repository).collect(),
    };
    let mut report = verify(&receipt, &expectations);
    expectations.require = args.require.iter().copied().collect();
    // git is asked about a receipt only when everything else holds: a stranger's file starts no program
    let clone = match &args.repo {
        Some(dir) if report.valid => Some(repository::look_up(dir, &receipt, &rules)?),
        _ => None,
    };
    if clone.is_some() || args.require.contains(&Requirement::Repository) {
        expectations.repository = clone.as_ref();
        report = verify(&receipt, &expectations);
    }
    if args.json {
        json::print(json::REPORT_SCHEMA, &report, out)?;
    } else {
        out.write_all(human::report(&report).as_bytes()).map_err(|_| CliError::Output)?;
    }
    out.flush().map_err(|_| CliError::Output)?;
    export_key(args, report.valid, report.receipt_key.as_deref(), err)?;
    if let Some(folder) = &args.export_key_policies {
        match &report.facts {
            Some(facts) if report.valid => key_policies::write(folder, &facts.key_policies, err)?,
            _ => writeln!(err, "packproof-verify: no key policy was written, because the receipt is not valid")
                .map_err(|_| CliError::Output)?,
        }
    }
    Ok(report.valid)
}

/// A key is handed out only after all evidence was checked: cosign proves no more than that its holder signed.
fn export_key(args: &ReceiptArgs, valid: bool, key: Option<&[u8]>, err: &mut dyn Write) -> Result<(), CliError> {
    match (&args.export_key, key) {
        (Some(path), Some(spki)) if valid => files::write(path, pem(spki).as_bytes()),
        (Some(_), _) => writeln!(err, "packproof-verify: no key was written, because the receipt is not valid")
            .map_err(|_| CliError::Output),
        (None, _) => Ok(()),
    }
}

fn pem(spki: &[u8]) -> String {
    let mut pem = String::from("-----BEGIN PUBLIC KEY-----");
    for (index, c) in BASE64_STANDARD.encode(spki).chars().enumerate() {
        if index.is_multiple_of(64) {
            pem.push('\n');
        }
        pem.push(c);
    }
    pem + "\n-----END PUBLIC KEY-----\n"
}

fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
