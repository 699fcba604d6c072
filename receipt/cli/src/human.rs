//! The report in plain words. Every text that is not ours is escaped where it is printed.

use packproof_receipt::statement::KeyDescription;
use packproof_receipt_verify::{
    Outcome, Report, Step,
    report::{EvidenceFacts, Facts, Input, Key, Signer, TrustedInputs},
};

use crate::text::plain;

/// The first lines: `SIMULATED` where it applies, then `VALID` or `NOT VALID` with the codes.
pub(crate) fn verdict<'a>(simulated: bool, codes: impl Iterator<Item = &'a str>) -> String {
    let mut distinct: Vec<&str> = Vec::new();
    for code in codes {
        if !distinct.contains(&code) {
            distinct.push(code);
        }
    }
    let first = if simulated {
        "SIMULATED: judged under a local root that was given; this says NOTHING about real hardware\n"
    } else {
        ""
    };
    if distinct.is_empty() { format!("{first}VALID\n") } else { format!("{first}NOT VALID: {}\n", distinct.join(", ")) }
}

/// The whole report.
pub(crate) fn report(report: &Report) -> String {
    let codes = report.failures().map(|check| check.code);
    let mut page = Page(verdict(report.simulated, codes));
    page.refusals(&report.steps);
    if let Some(facts) = &report.facts {
        page.facts(facts, report.valid, report.simulated);
    }
    page.steps(&report.steps);
    page.heading("not proved, by this or any receipt");
    for text in report.not_proved {
        page.line("", text);
    }
    page.trusted(&report.trusted_inputs);
    page.0
}

/// A report as it grows.
pub(crate) struct Page(pub(crate) String);

impl Page {
    pub(crate) fn heading(&mut self, text: &str) {
        self.raw(&format!("\n{text}"));
    }

    /// A name and a text; the text may be anybody's.
    pub(crate) fn line(&mut self, name: &str, text: &str) {
        self.raw(format!("  {name:<14} {}", plain(text)).trim_end());
    }

    pub(crate) fn raw(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    pub(crate) fn refusals(&mut self, steps: &[Step]) {
        let failed = steps.iter().flat_map(|step| &step.checks).filter(|check| check.outcome == Outcome::Fail);
        for check in failed {
            self.raw(&format!("  {}: {}", check.code, plain(&check.text)));
        }
    }

    fn facts(&mut self, facts: &Facts, valid: bool, simulated: bool) {
        self.heading(match (valid, simulated) {
            (true, false) => "what the receipt proves",
            (true, true) => "what the receipt would prove if it were not SIMULATED",
            (false, _) => "what the receipt claims: NOT TO BE BELIEVED",
        });
        self.line("artifact", &format!("{}/{}, revision {}", facts.identity, facts.environment, facts.revision));
        self.line("", &format!("SHA-256 {}", facts.artifact_sha256.as_deref().unwrap_or("unknown")));
        self.line("", &format!("{} keys in {}", facts.key_count, list(&facts.namespaces)));
        self.line("encrypted to", &format!("{} {}", facts.recipient_kind, facts.recipient));
        self.line("expires", &facts.expires_at);
        self.line("made from", &format!("commit {} of {}", facts.commit, facts.repository));
        self.line("", &format!("committed {}", facts.committed_on));
        if let Some(tag) = &facts.tag {
            self.line("", &format!("by its signed tag {tag}"));
        }
        self.line("signed by", &person(&facts.signer));
        for approval in &facts.approvals {
            self.line("approved by", &person(approval));
        }
        self.line("packed", &format!("{} to {}", facts.started_on, facts.finished_on));
        self.line("challenge", facts.challenge.as_deref().unwrap_or("none"));
        self.evidence(facts.evidence.as_ref());
        self.heading("inputs, and who could open them");
        for input in &facts.inputs {
            self.input(input);
        }
        for path in &facts.absent {
            self.line("absent", path);
        }
        self.heading("KMS calls");
        for call in &facts.kms {
            self.line("call", &format!("{} for {}", call.operation, call.purpose));
            self.line("", &format!("{}, request {}", call.key_arn, call.request_id));
        }
        self.key_policies(facts);
    }

    /// Only that they were recorded: what they say is explained by another command.
    fn key_policies(&mut self, facts: &Facts) {
        if facts.key_policies.is_empty() {
            self.line("key policies", "not recorded: the policy does not say record_key_policies");
            return;
        }
        for entry in &facts.key_policies {
            let KeyDescription { key_manager, origin, multi_region, key_state, key_usage, key_spec } =
                &entry.description;
            let regions = if *multi_region { "multi-Region" } else { "single-Region" };
            self.line("key policy", &entry.key_arn);
            self.line("", &format!("recorded, {} bytes, SHA-256 {}", entry.policy.len(), entry.policy_sha256));
            self.line("", &format!("{key_manager}, {origin}, {regions}, {key_state}, {key_usage}, {key_spec}"));
        }
        self.line("", "who can decrypt by them: --export-key-policies, then packproof kms-policy explain");
    }

    pub(crate) fn evidence(&mut self, evidence: Option<&EvidenceFacts>) {
        if let Some(evidence) = evidence {
            let region = evidence.region.as_deref().unwrap_or("an unknown region");
            self.line("evidence", &format!("{} in {region}, {}", evidence.module_id, evidence.timestamp));
            for note in &evidence.notes {
                self.line("note", note);
            }
        }
    }

    fn input(&mut self, input: &Input) {
        self.line("input", &input.path);
        if let Some(schema) = &input.schema {
            self.line("", &format!("its values satisfy {schema}"));
        }
        if !input.pending_keys.is_empty() {
            self.line("", &format!("PENDING, by its sidecar: {}", input.pending_keys.join(", ")));
        }
        for key in &input.opened_with {
            self.line("", &format!("opened with {}", name(key)));
        }
        for key in &input.others {
            self.line("", &format!("could also be opened with {}", name(key)));
        }
        if input.others.is_empty() {
            self.line("", "no other key is named in it");
        }
    }

    pub(crate) fn steps(&mut self, steps: &[Step]) {
        self.heading("checks");
        for step in steps {
            let count = |outcome| step.checks.iter().filter(|check| check.outcome == outcome).count();
            let mut counts = format!("{} passed", count(Outcome::Pass));
            for (outcome, what) in [
                (Outcome::Fail, "FAILED"),
                (Outcome::NotEvaluated, "not evaluated"),
                (Outcome::NotRequested, "not requested"),
            ] {
                let number = count(outcome);
                if number > 0 {
                    counts.push_str(&format!(", {number} {what}"));
                }
            }
            self.line(step.name.as_str(), &counts);
            for check in step.checks.iter().filter(|check| check.outcome == Outcome::NotRequested) {
                self.line("", &format!("not requested: {} ({})", check.text, check.code));
            }
        }
    }

    fn trusted(&mut self, inputs: &TrustedInputs) {
        self.heading("trusted inputs (SHA-256)");
        self.line("root", &format!("{} ({})", inputs.root_sha256, inputs.root));
        self.line("policy", &inputs.policy_sha256);
        self.line("release", &inputs.release_sha256);
        self.sections(inputs.sections_sha256.as_ref());
        self.line("artifact", &inputs.artifact_sha256);
        self.heading("judged");
        self.line("receipt", &inputs.receipt_sha256);
    }

    pub(crate) fn sections(&mut self, sha256: Option<&[String; 3]>) {
        match sha256 {
            Some(sections) => self.line("sections", &sections.join(" ")),
            None => self.line("sections", "not given: PCR0 was not recomputed"),
        }
    }
}

fn person(signer: &Signer) -> String {
    let certificate = signer.certificate.as_ref().map(|id| format!(", certificate {id:?}")).unwrap_or_default();
    format!("{} ({}), {}{certificate}", signer.name, signer.principal, signer.fingerprint)
}

fn name(key: &Key) -> String {
    format!("{} {}", key.kind, key.id)
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "no namespace".to_owned() } else { names.join(", ") }
}
