//! Judging a sealed key by its birth certificate.

use std::io::Write;

use packproof_receipt::{policy::Policy, release::Release};
use packproof_receipt_verify::{
    BirthExpectations, BirthReport, Image,
    birth::{BirthFacts, BirthInputs},
    verify_birth,
};

use crate::{
    args::BirthArgs,
    error::CliError,
    files::{self, MAX_TEXT_BYTES},
    human::{self, Page},
    json,
};

/// Returns whether the certificate is valid.
pub(crate) fn run(args: &BirthArgs, out: &mut dyn Write) -> Result<bool, CliError> {
    let sealed = files::read(&args.sealed, MAX_TEXT_BYTES)?;
    let policy = files::read(&args.policy, MAX_TEXT_BYTES)?;
    let release = files::read(&args.image, MAX_TEXT_BYTES)?;
    let pinned_by = args.pinned_by.as_ref().map(|path| files::read(path, MAX_TEXT_BYTES)).transpose()?;
    // what the auditor brings must be readable, or there is nothing to judge by
    for policy in [Some(&policy), pinned_by.as_ref()].into_iter().flatten() {
        Policy::parse(policy).map_err(CliError::Policy)?;
    }
    let sections = files::read_sections(&args.image, &Release::parse(&release).map_err(CliError::Release)?)?;
    let root = files::read_root(args.root.as_ref())?;

    let report = verify_birth(
        &sealed,
        &BirthExpectations {
            root: files::root(root.as_ref()),
            policy: &policy,
            image: Image { release: &release, sections: files::sections(sections.as_ref()) },
            identity: &args.identity,
            environment: &args.environment,
            purpose: args.purpose.into(),
            pinned_by: pinned_by.as_deref(),
            challenge: args.challenge,
        },
    );
    if args.json {
        json::print(json::BIRTH_SCHEMA, &report, out)?;
    } else {
        out.write_all(print(&report).as_bytes()).map_err(|_| CliError::Output)?;
    }
    out.flush().map_err(|_| CliError::Output)?;
    Ok(report.valid)
}

fn print(report: &BirthReport) -> String {
    let mut page = Page(human::verdict(report.simulated, report.failures().map(|check| check.code)));
    if let Some(key) = &report.verified_public_key {
        // of one of two forms, both ASCII without blanks
        page.raw(&format!("verified: {key}"));
    }
    page.refusals(&report.steps);
    if let Some(facts) = &report.facts {
        print_facts(&mut page, facts, report);
    }
    page.steps(&report.steps);
    page.heading("not proved, by this or any birth certificate");
    for text in report.not_proved {
        page.line("", text);
    }
    print_trusted(&mut page, &report.trusted_inputs);
    page.0
}

fn print_facts(page: &mut Page, facts: &BirthFacts, report: &BirthReport) {
    page.heading(match (report.valid, report.simulated) {
        (true, false) => "what the birth certificate proves",
        (true, true) => "what the birth certificate would prove if it were not SIMULATED",
        (false, _) => "what the birth certificate claims: NOT TO BE BELIEVED, do not pin or encrypt to this key",
    });
    let born = &facts.statement;
    page.line("key", &format!("{} of {}/{}", born.purpose, born.identity, born.environment));
    page.line("public key", &born.public_key);
    page.line("repository", &born.repository);
    page.line("sealed by", &format!("{}, request {}", born.kms_key_arn, born.kms_request_id));
    page.line("born", &born.born_on);
    page.evidence(facts.evidence.as_ref());
}

fn print_trusted(page: &mut Page, inputs: &BirthInputs) {
    page.heading("trusted inputs (SHA-256)");
    page.line("root", &format!("{} ({})", inputs.root_sha256, inputs.root));
    page.line("policy", &inputs.policy_sha256);
    page.line("release", &inputs.release_sha256);
    page.sections(inputs.sections_sha256.as_ref());
    page.line("pinned by", inputs.pinned_by_sha256.as_deref().unwrap_or("no later policy was given"));
    page.heading("judged");
    page.line("sealed key", &inputs.sealed_key_sha256);
}
