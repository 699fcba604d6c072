//! From openings to findings: who can do what he should not.

use std::collections::BTreeSet;

use super::{
    callers::Caller,
    condition::Truth,
    document::Name,
    evaluate::{Attestation, Call},
    findings::{Code, Finding, Severity},
    hygiene,
    key::{Expected, Grant, IamHolder, KeyCase, Metadata},
    openings::{Attempts, How, Opening, attestation_of, holders, is_allowed, is_incomplete, openings},
    uses::Use,
};

/// What is known about one key after all.
pub(super) struct Verdict {
    /// Everybody who can decrypt outside the enclave, and whether that was expected.
    pub(super) readers: Vec<(Opening, bool)>,
    /// The worst first.
    pub(super) findings: Vec<Finding>,
}

/// Judges one key.
pub(super) fn judge(case: &KeyCase, iam: &[IamHolder], expected: &Expected) -> Verdict {
    let mut findings = Vec::new();
    let attempts = Attempts::at(case.document.statements.iter());
    if attempts.incomplete || is_incomplete(case, iam, "kms:Decrypt") {
        let message = format!("more than {} values of one measurement are named", super::openings::MAX_VALUES);
        findings.push(Finding::new(Code::TooManyImages, Severity::Critical, None, message));
    }
    let readers = readers(case, iam, expected, &mut findings);
    forging(case, iam, &mut findings);
    administrators(case, iam, expected, &mut findings);
    ways_around(case, iam, &mut findings);
    missing_denies(case, &attempts, &mut findings);
    grants(case, expected, &mut findings);
    locked_out(case, iam, &mut findings);
    case.metadata.iter().for_each(|metadata| origin(metadata, &mut findings));
    let multi_region = case.arn.as_deref().is_some_and(|arn| arn.contains(":key/mrk-"));
    if multi_region && case.metadata.is_none() {
        let message = "the key's id begins with mrk-, so it may have replicas in other Regions";
        findings.push(Finding::new(Code::MultiRegionKey, Severity::Critical, None, message));
    }
    findings.extend(hygiene::findings(case));
    findings.sort_by_key(|finding| (finding.severity, finding.code));
    findings.dedup();
    Verdict { readers, findings }
}

fn readers(
    case: &KeyCase,
    iam: &[IamHolder],
    expected: &Expected,
    findings: &mut Vec<Finding>,
) -> Vec<(Opening, bool)> {
    let mut readers = Vec::new();
    for opening in openings(case, iam, "kms:Decrypt") {
        let (code, how) = match opening.how {
            How::Unattested => (Code::OpensWithoutAttestation, "without attestation"),
            How::AnyImage => (Code::OpensAnyImage, "in any enclave image"),
            How::OtherPolicy => (Code::OpensOtherPolicy, "in the pinned program with a policy of their own"),
            How::OtherProgram => (Code::OpensOtherProgram, "in any program that carries the pinned policy"),
            How::Tpm => (Code::OpensNitroTpm, "on an instance with NitroTPM, outside any enclave"),
            How::Debug => (Code::OpensDebugEnclave, "in an enclave in debug mode, whose memory the host can read"),
            How::Image if is_unknown(case, &opening) => {
                (Code::OpensUnexpectedImage, "in an image that is not one of those given")
            }
            How::Image => continue,
            How::Partial => {
                let message = format!(
                    "{} can decrypt in an image that shares only some of the three measurements",
                    opening.caller.shown
                );
                findings.push(Finding::new(
                    Code::RegisterNotPinned,
                    Severity::Warning,
                    Some(&opening.through),
                    message,
                ));
                continue;
            }
        };
        let named = opening.how == How::Unattested && may_be_expected(case, &opening.caller, expected);
        let (code, severity) = if named { (Code::ExpectedReader, Severity::Note) } else { (code, Severity::Critical) };
        let image = opening.image.as_ref().map(|pcr0| format!(" (PCR0 {pcr0})")).unwrap_or_default();
        let message = format!("{} can decrypt {how}{image}{}", opening.caller.shown, depending(&opening));
        findings.push(Finding::new(code, severity, Some(&opening.through), message));
        readers.push((opening, named));
    }
    for opening in holders(case, iam, "kms:ReEncryptFrom") {
        let message = format!(
            "{} can re-encrypt to a key of their own and decrypt there{}",
            opening.caller.shown,
            depending(&opening)
        );
        findings.push(Finding::new(Code::OpensByReEncrypt, Severity::Critical, Some(&opening.through), message));
        readers.push((opening, false));
    }
    readers
}

fn is_unknown(case: &KeyCase, opening: &Opening) -> bool {
    let known = |pcr0: &String| case.images.iter().any(|image| hex::encode(image.pcr0) == *pcr0);
    !case.images.is_empty() && opening.image.as_ref().is_some_and(|pcr0| !known(pcr0))
}

fn depending(opening: &Opening) -> String {
    match opening.depends_on.as_slice() {
        [] => String::new(),
        keys => format!(", if the call meets the conditions on {}", keys.join(", ")),
    }
}

/// Whether the user named the caller as one who decrypts. Of a sealing key nobody is: what is sealed is the signing key
/// itself.
fn may_be_expected(case: &KeyCase, caller: &Caller, expected: &Expected) -> bool {
    !is_sealing(case) && is_expected(caller, &expected.workloads)
}

fn is_sealing(case: &KeyCase) -> bool {
    case.usage.as_ref().is_some_and(|usage| usage.usage == Use::Sealing)
}

fn is_expected(caller: &Caller, names: &BTreeSet<String>) -> bool {
    let root = caller.account.as_ref().map(|account| format!(":iam::{account}:root"));
    let is_account = matches!(caller.name, Name::Account(_));
    caller.arns.iter().any(|arn| names.contains(arn))
        || root.is_some_and(|root| is_account && names.iter().any(|name| name.ends_with(&root)))
}

/// Sealing keys: whoever makes the blob knows the key in it. Envelope keys: only the image makes data keys.
fn forging(case: &KeyCase, iam: &[IamHolder], findings: &mut Vec<Finding>) {
    let (code, severity, actions): (_, _, &[&'static str]) = match case.usage.as_ref().map(|usage| usage.usage) {
        Some(Use::Sealing) => {
            (Code::SealedKeyForgeable, Severity::Critical, &["kms:Encrypt", "kms:ReEncryptTo", "kms:GenerateDataKey"])
        }
        Some(Use::Envelope) => (Code::DataKeyWithoutAttestation, Severity::Warning, &["kms:GenerateDataKey"]),
        Some(Use::Cells) | None => return,
    };
    for action in actions {
        let attested = *action == "kms:GenerateDataKey";
        for opening in openings(case, iam, action) {
            let counts = opening.how == How::Unattested || (attested && opening.how < How::Image);
            if counts {
                let message = format!("{} can call {action} outside the pinned image", opening.caller.shown);
                findings.push(Finding::new(code, severity, Some(&opening.through), message));
            }
        }
    }
}

fn administrators(case: &KeyCase, iam: &[IamHolder], expected: &Expected, findings: &mut Vec<Finding>) {
    let holders = holders(case, iam, "kms:PutKeyPolicy");
    let named: BTreeSet<&Name> = holders.iter().map(|opening| &opening.caller.name).collect();
    if holders.is_empty() {
        let message = "nobody may call kms:PutKeyPolicy";
        findings.push(Finding::new(Code::NoAdministrator, Severity::Note, None, message));
    }
    for opening in &holders {
        let message = format!("{} can change this key policy", opening.caller.shown);
        let is_role = matches!(opening.caller.name, Name::Arn(_));
        let (code, severity) = match &expected.admins {
            Some(names) if is_expected(&opening.caller, names) => (Code::Administrator, Severity::Note),
            _ if !is_role => (Code::AccountAdministers, Severity::Critical),
            Some(_) => (Code::AdministratorUnexpected, Severity::Critical),
            None if named.len() > 1 => (Code::SeveralAdministrators, Severity::Warning),
            None => (Code::Administrator, Severity::Note),
        };
        findings.push(Finding::new(code, severity, Some(&opening.through), message));
    }
}

/// Grants and replicas: one call, and the conditions of this policy's Allow statements no longer matter.
fn ways_around(case: &KeyCase, iam: &[IamHolder], findings: &mut Vec<Finding>) {
    let grantee_denied = denied_to_all(case, "kms:Decrypt") && denied_to_all(case, "kms:ReEncryptFrom");
    for opening in holders(case, iam, "kms:CreateGrant") {
        let (severity, so) = if grantee_denied {
            (Severity::Warning, "only this policy's Deny statements stop a grant of kms:Decrypt")
        } else {
            (Severity::Critical, "and so give anybody kms:Decrypt without attestation")
        };
        let message = format!("{} can create grants{}; {so}", opening.caller.shown, depending(&opening));
        findings.push(Finding::new(Code::CreateGrantAllowed, severity, Some(&opening.through), message));
    }
    let single_region = case.arn.as_deref().is_some_and(|arn| !arn.contains(":key/mrk-"));
    for opening in holders(case, iam, "kms:ReplicateKey") {
        let severity = if single_region { Severity::Note } else { Severity::Warning };
        let message = format!("{} may replicate the key, if it is a multi-Region key", opening.caller.shown);
        findings.push(Finding::new(Code::ReplicateAllowed, severity, Some(&opening.through), message));
    }
}

/// What would stop a statement, a grant or an IAM policy of tomorrow.
fn missing_denies(case: &KeyCase, attempts: &Attempts, findings: &mut Vec<Finding>) {
    for (action, code) in [
        ("kms:ReEncryptFrom", Code::ReEncryptNotDenied),
        ("kms:CreateGrant", Code::CreateGrantNotDenied),
        ("kms:ReplicateKey", Code::ReplicateNotDenied),
        ("kms:DeriveSharedSecret", Code::DeriveNotDenied),
    ] {
        if !denied_to_all(case, action) {
            let message = format!("no Deny statement refuses {action} to everybody");
            findings.push(Finding::new(code, Severity::Warning, None, message));
        }
    }
    let envelope = case.usage.as_ref().is_some_and(|usage| usage.usage == Use::Envelope);
    let action = if envelope { "kms:GenerateDataKey" } else { "kms:Decrypt" };
    if envelope && !denied_to_all(case, "kms:Decrypt") {
        let message = "no Deny statement keeps kms:Decrypt to the workload roles";
        findings.push(Finding::new(Code::ReaderDenyMissing, Severity::Warning, None, message));
    }
    let spared = attempts.by_strangers().find(|(_, attestation)| !is_denied_to_all(case, action, attestation));
    if let Some((how, _)) = spared {
        let calls = match how {
            How::Unattested => "calls without attestation",
            How::OtherPolicy => "the pinned program with another policy",
            How::OtherProgram => "another program with the pinned policy",
            _ => "other enclave images",
        };
        let message = format!("no Deny statement refuses {action} to {calls}: one Allow too many would open");
        findings.push(Finding::new(Code::AttestationDenyMissing, Severity::Warning, None, message));
    }
}

/// Whether everybody whom no statement names is refused for certain, without attestation.
fn denied_to_all(case: &KeyCase, action: &str) -> bool {
    is_denied_to_all(case, action, &Attestation::None)
}

fn is_denied_to_all(case: &KeyCase, action: &str, attestation: &Attestation) -> bool {
    Caller::anybody(None).iter().all(|caller| {
        let call = Call { caller, action, attestation };
        case.document.denies(&call, case.arn.as_deref()) == Truth::Yes
    })
}

fn grants(case: &KeyCase, expected: &Expected, findings: &mut Vec<Finding>) {
    let opening = ["kms:Decrypt", "kms:ReEncryptFrom", "kms:CreateGrant"];
    // On a sealing key these make a blob whose content the grantee knows.
    let forging: &[&str] =
        if is_sealing(case) { &["kms:Encrypt", "kms:ReEncryptTo", "kms:GenerateDataKey"] } else { &[] };
    for grant in &case.grants {
        for action in opening.iter().chain(forging) {
            if grant.operations.iter().any(|held| action.strip_prefix("kms:") == Some(held)) {
                findings.push(granted(case, expected, grant, action));
            }
        }
    }
}

fn granted(case: &KeyCase, expected: &Expected, grant: &Grant, action: &str) -> Finding {
    let caller = Caller::named(&grant.grantee);
    let call = Call { caller: &caller, action, attestation: &Attestation::None };
    let place = format!("grant {}", grant.id);
    let denied = case.document.denies(&call, case.arn.as_deref()) == Truth::Yes;
    let (code, severity, but) = if denied {
        (Code::GrantBounded, Severity::Warning, ", but a Deny statement refuses it")
    } else if action == "kms:Decrypt" && may_be_expected(case, &caller, expected) {
        (Code::ExpectedReader, Severity::Note, "")
    } else if matches!(action, "kms:Encrypt" | "kms:ReEncryptTo" | "kms:GenerateDataKey") {
        (Code::SealedKeyForgeable, Severity::Critical, " and so knows the keys that it seals")
    } else {
        (Code::GrantOpens, Severity::Critical, "; a grant's constraints know no measurements")
    };
    Finding::new(code, severity, Some(&place), format!("{} holds {action} by a grant{but}", grant.grantee))
}

/// Whether the images that are meant to use the key can.
fn locked_out(case: &KeyCase, iam: &[IamHolder], findings: &mut Vec<Finding>) {
    let Some(usage) = &case.usage else { return };
    for (image, place) in case.images.iter().zip(1_usize..) {
        for action in usage.image_actions() {
            if !is_allowed(case, iam, action, &attestation_of(image)) {
                let message = format!("image {place} may not call {action} (PCR0 {})", hex::encode(image.pcr0));
                findings.push(Finding::new(Code::ImageLockedOut, Severity::Warning, None, message));
            }
        }
    }
}

fn origin(metadata: &Metadata, findings: &mut Vec<Finding>) {
    let mut add = |code, severity, message: String| findings.push(Finding::new(code, severity, None, message));
    match metadata.origin.as_str() {
        "EXTERNAL" => {
            add(Code::ImportedMaterial, Severity::Critical, "the key's material was imported into KMS".into());
        }
        "EXTERNAL_KEY_STORE" => {
            add(Code::ExternalKeyStore, Severity::Critical, "the key lives in a key manager outside AWS".into());
        }
        "AWS_CLOUDHSM" => add(Code::CustomKeyStore, Severity::Warning, "the key lives in a CloudHSM cluster".into()),
        _ => {}
    }
    if metadata.multi_region || metadata.arn.contains(":key/mrk-") {
        let message = match metadata.related.as_slice() {
            [] => "it is a multi-Region key; DescribeKey names no replica today".to_owned(),
            keys => format!("it is a multi-Region key, with the same material in {}", keys.join(", ")),
        };
        add(Code::MultiRegionKey, Severity::Critical, message);
    }
}
