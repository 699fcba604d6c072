//! The shapes of generated key policies (design, section 8).

use packproof_receipt::measure::Measurements;
use serde_json::{Map, Value, json};

use super::{
    roles::{Role, Roles},
    uses::Use,
};

/// An image and what it calls with the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ImageUse {
    pub(super) measurements: Measurements,
    pub(super) actions: Vec<&'static str>,
}

/// What gives a plaintext, or makes something whose plaintext the caller learns.
const ATTESTED: [&str; 2] = ["kms:Decrypt", "kms:GenerateDataKey*"];

/// The key policy of a key used for `usage` by `images`, of which there is at least one.
///
/// Conditions of one statement are ANDed: right for the Allow, whose image must have all three measurements, and wrong
/// for a Deny, which would then spare every image that has one of them. So there are three Deny statements, and
/// negated operators also hold for a call without attestation.
pub(super) fn key_policy(usage: Use, images: &[ImageUse], roles: &Roles, allow_grants: bool) -> Value {
    let mut statements = vec![
        allow(
            "AdministratorPins",
            std::slice::from_ref(&roles.admin),
            &["kms:PutKeyPolicy", "kms:GetKeyPolicy", "kms:DescribeKey"],
            None,
        ),
        allow("CiReads", std::slice::from_ref(&roles.ci), &["kms:DescribeKey", "kms:GetKeyPolicy"], None),
    ];
    if usage == Use::Cells {
        statements.push(allow("AuthorsEncrypt", &roles.authors, &["kms:Encrypt", "kms:DescribeKey"], None));
    }
    for (image, place) in images.iter().zip(1_usize..) {
        let sid = if images.len() == 1 { "ImageUses".to_owned() } else { format!("Image{place}Uses") };
        let pins = pinned(&image.measurements);
        statements.push(allow(&sid, std::slice::from_ref(&roles.ci), &image.actions, Some(pins)));
    }
    match usage {
        Use::Cells => statements.extend(deny_other_images(&ATTESTED, images)),
        Use::Sealing => {
            statements.extend(deny_other_images(&ATTESTED, images));
            statements.push(deny("NobodyEncrypts", &["kms:Encrypt"], None));
        }
        Use::Envelope => {
            statements.push(allow("WorkloadDecrypts", &roles.workloads, &["kms:Decrypt"], None));
            statements.extend(deny_other_images(&["kms:GenerateDataKey*"], images));
            let others = json!({ "StringNotEquals": { "aws:PrincipalArn": arns(&roles.workloads) } });
            statements.push(deny("OnlyWorkloadDecrypts", &["kms:Decrypt"], Some(others)));
        }
    }
    // Encrypt from elsewhere, and ReEncrypt into this key, would forge a sealed key; nobody needs ReEncryptTo elsewhere.
    let mut around = vec!["kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:ReplicateKey", "kms:DeriveSharedSecret"];
    if allow_grants {
        let grants = ["kms:CreateGrant", "kms:ListGrants", "kms:RevokeGrant"];
        statements.push(allow("AdministratorGrants", std::slice::from_ref(&roles.admin), &grants, None));
    } else {
        around.push("kms:CreateGrant");
    }
    statements.push(deny("NoWayAround", &around, None));
    json!({ "Version": "2012-10-17", "Statement": statements })
}

/// The condition keys of the three measurements, with their values for `image`.
fn registers(image: &Measurements) -> [(&'static str, String); 3] {
    [
        ("kms:RecipientAttestation:ImageSha384", hex::encode(image.pcr0)),
        ("kms:RecipientAttestation:PCR1", hex::encode(image.pcr1)),
        ("kms:RecipientAttestation:PCR2", hex::encode(image.pcr2)),
    ]
}

fn pinned(image: &Measurements) -> Value {
    let block: Map<String, Value> =
        registers(image).into_iter().map(|(key, value)| (key.to_owned(), Value::String(value))).collect();
    json!({ "StringEqualsIgnoreCase": block })
}

fn deny_other_images(actions: &[&str], images: &[ImageUse]) -> Vec<Value> {
    let columns: Vec<[(&str, String); 3]> = images.iter().map(|image| registers(&image.measurements)).collect();
    let one = |(index, sid): (usize, &str)| {
        let column: Vec<&(&str, String)> = columns.iter().filter_map(|registers| registers.get(index)).collect();
        let key = column.first().map(|(key, _)| *key).unwrap_or_default();
        let mut values: Vec<&str> = column.iter().map(|(_, value)| value.as_str()).collect();
        values.dedup();
        deny(sid, actions, Some(json!({ "StringNotEqualsIgnoreCase": { key: one_or_list(&values) } })))
    };
    ["DenyOtherImage", "DenyOtherPcr1", "DenyOtherPcr2"].into_iter().enumerate().map(one).collect()
}

fn arns(roles: &[Role]) -> Value {
    one_or_list(&roles.iter().map(Role::arn).collect::<Vec<_>>())
}

fn one_or_list(values: &[&str]) -> Value {
    match values {
        [one] => json!(one),
        several => json!(several),
    }
}

fn allow(sid: &str, roles: &[Role], actions: &[&str], condition: Option<Value>) -> Value {
    statement(sid, "Allow", json!({ "AWS": arns(roles) }), actions, condition)
}

fn deny(sid: &str, actions: &[&str], condition: Option<Value>) -> Value {
    statement(sid, "Deny", json!("*"), actions, condition)
}

fn statement(sid: &str, effect: &str, principal: Value, actions: &[&str], condition: Option<Value>) -> Value {
    let mut statement = Map::new();
    statement.insert("Sid".into(), json!(sid));
    statement.insert("Effect".into(), json!(effect));
    statement.insert("Principal".into(), principal);
    statement.insert("Action".into(), one_or_list(actions));
    statement.insert("Resource".into(), json!("*"));
    if let Some(condition) = condition {
        statement.insert("Condition".into(), condition);
    }
    Value::Object(statement)
}
