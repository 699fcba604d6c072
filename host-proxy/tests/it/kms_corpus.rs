//! Key policies with everything that `explain` must find in each, and nothing else.
//!
//! Most change one thing in a policy that is right. Findings are compared whole: code and severity.

use serde_json::{Value, json};

use crate::kms_fixture::{
    ENVELOPE, Files, KEY, POLICY, ROOT, SIGNER, Statements, allow, codes, deny_unless, explain, pcr, pins, role,
    statement,
};

const IMAGE: &str = "kms:RecipientAttestation:ImageSha384";
const PCR1: &str = "kms:RecipientAttestation:PCR1";
const PCR2: &str = "kms:RecipientAttestation:PCR2";

/// Explains `policy` as the policy of [`KEY`] and compares exit code and findings.
fn check(policy: &Statements, more: &[&str], exit: u8, expected: &[&str]) {
    let files = Files::new();
    let ran = explain(&files, &policy.document(), &[&["--key", KEY], more].concat());
    assert_eq!(codes(&ran), sorted(expected), "{}{}", ran.out, ran.err);
    assert_eq!(ran.code, exit, "{}", ran.out);
    assert_eq!(ran.json()["ok"], exit == 0);
}

fn sorted(expected: &[&str]) -> Vec<String> {
    let mut expected: Vec<String> = expected.iter().map(|code| (*code).to_owned()).collect();
    expected.sort();
    expected
}

macro_rules! corpus {
    ($($name:ident: $policy:expr, $more:expr, exit $exit:literal, [$($code:literal),* $(,)?];)*) => {
        $(
            #[test]
            fn $name() {
                check(&$policy, $more, $exit, &[$($code),*]);
            }
        )*
    };
}

fn good() -> Statements {
    Statements::good()
}

fn bare() -> Statements {
    Statements::without_denies()
}

fn equals(key: &str, value: &str) -> Value {
    json!({ "StringEqualsIgnoreCase": { key: value } })
}

fn root(action: Value) -> Value {
    statement("Enable IAM User Permissions", "Allow", action, json!({ "Principal": { "AWS": ROOT } }))
}

/// The good policy's Allow with another condition, and no Deny behind it.
fn image_with(condition: Value) -> Statements {
    bare().set("Image", "Condition", condition)
}

corpus! {
    as_designed: good(), &[], exit 0, ["note administrator"];

    // --- too much is allowed
    default_policy_of_every_key: Statements(vec![root(json!("kms:*"))]), &[], exit 1, [
        "critical opens_without_attestation", "critical opens_by_re_encrypt", "critical account_administers",
        "critical create_grant_allowed", "note replicate_allowed", "warning root_statement", "warning wildcard_action",
        "warning attestation_deny_missing", "warning re_encrypt_not_denied", "warning create_grant_not_denied",
        "warning replicate_not_denied", "warning derive_shared_secret_not_denied",
    ];
    root_beside_everything_right: good().with(root(json!("kms:*"))), &[], exit 1, [
        "critical account_administers", "warning root_statement", "warning several_administrators",
        "warning wildcard_action",
    ];
    root_reads_only: good().with(root(json!("kms:DescribeKey"))), &[], exit 0, [
        "note administrator", "warning root_statement",
    ];
    root_decrypts_by_account_id:
        bare().with(statement("Id", "Allow", json!("kms:Decrypt"), json!({ "Principal": { "AWS": "111122223333" } }))),
        &[], exit 1,
        ["critical opens_without_attestation", "note administrator", "warning attestation_deny_missing",
         "warning root_statement"];
    second_allow_without_condition: bare().with(allow("Ops", "ops", json!("kms:Decrypt"))), &[], exit 1, [
        "critical opens_without_attestation", "note administrator", "warning attestation_deny_missing",
    ];
    second_allow_behind_denies: good().with(allow("Ops", "ops", json!("kms:Decrypt"))), &[], exit 0, [
        "note administrator",
    ];
    pins_dropped: bare().set("Image", "Condition", json!({})), &[], exit 1, [
        "critical opens_without_attestation", "note administrator", "warning attestation_deny_missing",
    ];
    denies_alone_are_enough: good().set("Image", "Condition", json!({})), &[], exit 0, ["note administrator"];
    pins_alone_are_enough_today: bare(), &[], exit 0, ["note administrator", "warning attestation_deny_missing"];
    action_wild_card: bare().with(allow("Ops", "ops", json!("kms:De*"))), &[], exit 1, [
        "critical opens_without_attestation", "note administrator", "warning attestation_deny_missing",
        "warning wildcard_action",
    ];
    action_in_other_letters: bare().with(allow("Ops", "ops", json!("KMS:DECRYPT"))), &[], exit 1, [
        "critical opens_without_attestation", "note administrator", "warning attestation_deny_missing",
    ];
    not_action:
        bare().with(json!({
            "Sid": "Ops", "Effect": "Allow", "Principal": { "AWS": role("ops") },
            "NotAction": ["kms:PutKeyPolicy", "kms:CreateGrant"], "Resource": "*",
        })),
        &[], exit 1,
        ["critical opens_without_attestation", "note administrator", "warning attestation_deny_missing",
         "warning inverted_element"];
    anybody: bare().with(statement("All", "Allow", json!("kms:Decrypt"), json!({}))), &[], exit 1, [
        "critical opens_without_attestation", "note administrator", "warning attestation_deny_missing",
        "warning wildcard_principal",
    ];
    anybody_of_one_account:
        bare().with(statement("All", "Allow", json!("kms:Decrypt"), json!({
            "Condition": { "StringEquals": { "kms:CallerAccount": "111122223333", "kms:ViaService": "s3.eu-west-1.amazonaws.com" } },
        }))),
        &[], exit 1,
        ["critical opens_without_attestation", "note administrator", "warning attestation_deny_missing",
         "warning wildcard_principal"];
    anybody_but_one:
        bare().with(json!({
            "Sid": "Rest", "Effect": "Allow", "NotPrincipal": { "AWS": role("ci") }, "Action": "kms:Decrypt",
            "Resource": "*",
        })),
        &[], exit 1,
        ["critical opens_without_attestation", "note administrator", "warning attestation_deny_missing",
         "warning inverted_element"];
    anybody_with_a_pin:
        good().set("Image", "Principal", json!("*")), &[], exit 0, ["note administrator", "warning wildcard_principal"];
    role_by_pattern:
        bare().with(statement("Ops", "Allow", json!("kms:Decrypt"), json!({
            "Principal": { "AWS": ROOT }, "Condition": { "ArnLike": { "aws:PrincipalArn": role("ops-*") } },
        }))),
        &[], exit 1,
        ["critical opens_without_attestation", "note administrator", "warning attestation_deny_missing",
         "warning root_statement"];
    service:
        bare().with(statement("S", "Allow", json!("kms:Decrypt"), json!({
            "Principal": { "Service": "lambda.amazonaws.com" },
        }))),
        &[], exit 1,
        ["critical opens_without_attestation", "note administrator", "warning attestation_deny_missing"];
    another_account:
        bare().with(statement("S", "Allow", json!("kms:Decrypt"), json!({
            "Principal": { "AWS": "arn:aws:iam::444455556666:root" },
        }))),
        &[], exit 1,
        ["critical opens_without_attestation", "note administrator", "warning attestation_deny_missing",
         "warning foreign_account", "warning root_statement"];
    deleted_principal:
        bare().with(statement("Old", "Allow", json!("kms:Decrypt"), json!({
            "Principal": { "AWS": "AROAIOSFODNN7EXAMPLE" },
        }))),
        &[], exit 0,
        ["note administrator", "note deleted_principal", "warning attestation_deny_missing"];
    context_is_no_attestation:
        bare().with(statement("Ops", "Allow", json!("kms:Decrypt"), json!({
            "Principal": { "AWS": role("ops") },
            "Condition": { "StringEquals": { "kms:EncryptionContext:app": "checkout" } },
        }))),
        &[], exit 1,
        ["critical opens_without_attestation", "note administrator", "warning attestation_deny_missing"];
    network_is_no_attestation:
        good().set("Deny0", "Condition", json!({ "NotIpAddress": { "aws:SourceIp": "10.0.0.0/8" } }))
            .without("Deny1").without("Deny2").with(allow("Ops", "ops", json!("kms:Decrypt"))),
        &[], exit 1,
        ["critical opens_without_attestation", "note administrator", "warning attestation_deny_missing"];

    principals_by_a_pattern_that_is_no_arn:
        bare().with(statement("Ops", "Allow", json!("kms:Decrypt"), json!({
            "Condition": { "StringLike": { "aws:PrincipalArn": "*:role/ops" } },
        }))),
        &[], exit 1,
        ["critical opens_without_attestation", "note administrator", "warning attestation_deny_missing",
         "warning wildcard_principal"];
    accounts_by_pattern:
        bare().with(statement("Ops", "Allow", json!("kms:Decrypt"), json!({
            "Condition": { "StringLike": { "kms:CallerAccount": "9999*" } },
        }))),
        &[], exit 1,
        ["critical opens_without_attestation", "note administrator", "warning attestation_deny_missing",
         "warning wildcard_principal"];

    // --- conditions that do not pin
    pcr0_alone: image_with(equals(IMAGE, &pcr("a0"))), &[], exit 0, [
        "note administrator", "warning attestation_deny_missing", "warning register_not_pinned",
    ];
    pcr1_alone: image_with(equals(PCR1, &pcr("a1"))), &[], exit 1, [
        "critical opens_other_policy", "note administrator", "warning attestation_deny_missing",
    ];
    pcr2_alone: image_with(equals(PCR2, &pcr("a2"))), &[], exit 1, [
        "critical opens_other_program", "note administrator", "warning attestation_deny_missing",
    ];
    pcr8_alone: image_with(equals("kms:RecipientAttestation:PCR8", &pcr("a8"))), &[], exit 1, [
        "critical opens_any_image", "note administrator", "warning attestation_deny_missing",
    ];
    parent_role_alone: image_with(equals("kms:RecipientAttestation:PCR3", &pcr("a3"))), &[], exit 1, [
        "critical opens_any_image", "note administrator", "warning attestation_deny_missing",
    ];
    any_attestation: image_with(json!({ "Null": { IMAGE: "false" } })), &[], exit 1, [
        "critical opens_any_image", "note administrator", "warning attestation_deny_missing",
    ];
    any_measurement: image_with(json!({ "StringLike": { IMAGE: "*" } })), &[], exit 1, [
        "critical opens_any_image", "note administrator", "warning attestation_deny_missing",
        "warning wildcard_measurement",
    ];
    half_a_measurement: image_with(json!({ "StringLike": { IMAGE: "a0a0*" } })), &[], exit 1, [
        "critical opens_any_image", "note administrator", "warning attestation_deny_missing",
        "warning wildcard_measurement",
    ];
    negated_in_an_allow: image_with(json!({ "StringNotEqualsIgnoreCase": { IMAGE: pcr("00") } })), &[], exit 1, [
        "critical opens_without_attestation", "note administrator", "warning allow_negated_operator",
        "warning attestation_deny_missing", "warning zero_measurement",
    ];
    if_exists: image_with(json!({ "StringEqualsIgnoreCaseIfExists": { IMAGE: pcr("a0") } })), &[], exit 1, [
        "critical opens_without_attestation", "note administrator", "warning attestation_deny_missing",
        "warning condition_if_exists",
    ];
    for_all_values: image_with(json!({ "ForAllValues:StringEqualsIgnoreCase": { IMAGE: pcr("a0") } })), &[], exit 1, [
        "critical opens_without_attestation", "note administrator", "warning attestation_deny_missing",
        "warning condition_for_all_values",
    ];
    unknown_operator: image_with(json!({ "StringEqualsIgnoringCase": { IMAGE: pcr("a0") } })), &[], exit 1, [
        "critical opens_without_attestation", "note administrator", "warning attestation_deny_missing",
        "warning unknown_operator",
    ];
    debug_enclave: image_with(json!({ "StringEqualsIgnoreCase": { IMAGE: pcr("00"), PCR1: pcr("00"), PCR2: pcr("00") } })),
        &[], exit 1,
        ["critical opens_debug_enclave", "note administrator", "warning attestation_deny_missing",
         "warning zero_measurement"];
    debug_enclave_on_the_right_parent:
        image_with(json!({ "StringEqualsIgnoreCase": { IMAGE: pcr("00"), "kms:RecipientAttestation:PCR3": pcr("a3") } })),
        &[], exit 1,
        ["critical opens_debug_enclave", "note administrator", "warning attestation_deny_missing",
         "warning zero_measurement"];
    parent_without_a_role:
        image_with(json!({ "StringEqualsIgnoreCase": { PCR1: pcr("a1"), "kms:RecipientAttestation:PCR3": pcr("00") } }))
            .with(deny_unless("Deny3", "kms:RecipientAttestation:PCR3", &pcr("a3"))),
        &[], exit 1,
        ["critical opens_other_policy", "note administrator", "warning attestation_deny_missing",
         "warning zero_measurement"];
    debug_enclave_beside_the_image: image_with(equals(IMAGE, "x"))
            .set("Image", "Condition", json!({ "StringEqualsIgnoreCase": {
                IMAGE: [pcr("a0"), pcr("00")], PCR1: [pcr("a1"), pcr("00")], PCR2: [pcr("a2"), pcr("00")],
            }})),
        &[], exit 1,
        ["critical opens_debug_enclave", "note administrator", "warning attestation_deny_missing",
         "warning zero_measurement"];
    nitrotpm_look_alike: image_with(equals("kms:RecipientAttestation:NitroTPMPCR4", &pcr("a4"))), &[], exit 1, [
        "critical opens_nitrotpm", "note administrator", "warning attestation_deny_missing",
        "warning nitrotpm_condition",
    ];
    nitrotpm_in_the_deny:
        bare().set("Image", "Condition", json!({}))
            .with(deny_unless("Tpm", "kms:RecipientAttestation:NitroTPMPCR4", &pcr("a4"))),
        &[], exit 1,
        ["critical opens_nitrotpm", "note administrator", "warning nitrotpm_condition"];
    upper_case_hex: image_with(json!({ "StringEquals": { IMAGE: pcr("A0"), PCR1: pcr("A1"), PCR2: pcr("A2") } })),
        &[], exit 0,
        ["note administrator", "warning attestation_deny_missing", "warning case_sensitive_operator"];
    base64_measurement: image_with(equals(IMAGE, "oKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCg")),
        &[], exit 0,
        ["note administrator", "warning attestation_deny_missing", "warning malformed_measurement",
         "warning register_not_pinned"];
    register_that_does_not_exist: image_with(equals("kms:RecipientAttestation:PCR00", &pcr("a0"))), &[], exit 0, [
        "note administrator", "warning attestation_deny_missing", "warning unknown_attestation_key",
    ];
    plain_attestation_key: image_with(json!({ "Null": { "kms:RecipientAttestation": "true" } })), &[], exit 1, [
        "critical opens_without_attestation", "note administrator", "warning attestation_deny_missing",
        "warning unknown_attestation_key",
    ];

    // --- Deny statements that do not deny
    anded_deny:
        bare().set("Image", "Condition", json!({})).with(statement("Anded", "Deny", json!("kms:Decrypt"), json!({
            "Condition": { "StringNotEqualsIgnoreCase": { IMAGE: pcr("a0"), PCR1: pcr("a1"), PCR2: pcr("a2") } },
        }))),
        &[], exit 1,
        ["critical opens_other_policy", "critical opens_other_program", "note administrator",
         "warning attestation_deny_missing", "warning deny_conditions_anded", "warning register_not_pinned"];
    deny_of_the_pinned_image:
        bare().set("Image", "Condition", json!({})).with(statement("Wrong", "Deny", json!("kms:Decrypt"), json!({
            "Condition": equals(IMAGE, &pcr("a0")),
        }))),
        &[], exit 1,
        ["critical opens_without_attestation", "note administrator", "warning attestation_deny_missing",
         "warning deny_positive_operator"];
    deny_if_exists:
        bare().set("Image", "Condition", json!({})).with(statement("Soft", "Deny", json!("kms:Decrypt"), json!({
            "Condition": { "StringNotEqualsIgnoreCase": { IMAGE: pcr("a0") }, "Null": { IMAGE: "false" } },
        }))),
        &[], exit 1,
        ["critical opens_without_attestation", "note administrator", "warning attestation_deny_missing"];
    deny_for_one_role:
        bare().set("Image", "Condition", json!({})).with(statement("One", "Deny", json!("kms:Decrypt"), json!({
            "Principal": { "AWS": role("other") }, "Condition": { "Null": { IMAGE: "true" } },
        }))),
        &[], exit 1,
        ["critical opens_without_attestation", "note administrator", "warning attestation_deny_missing"];
    deny_of_another_key:
        good().set("Image", "Condition", json!({}))
            .set("Deny0", "Resource", json!("arn:aws:kms:eu-west-1:111122223333:key/other"))
            .without("Deny1").without("Deny2"),
        &[], exit 1,
        ["critical opens_without_attestation", "note administrator", "warning attestation_deny_missing",
         "warning resource_other_key"];
    deny_of_a_resource_across_the_parts_of_an_arn:
        good().set("Image", "Condition", json!({})).set("Deny0", "Resource", json!("arn:aws:kms:*:key/cells-production"))
            .without("Deny1").without("Deny2"),
        &[], exit 1,
        ["critical opens_without_attestation", "note administrator", "warning attestation_deny_missing"];
    deny_without_a_value:
        good().set("Image", "Condition", json!({}))
            .set("Deny0", "Condition", json!({ "StringNotEqualsIgnoreCase": { IMAGE: [] } }))
            .without("Deny1").without("Deny2"),
        &[], exit 1,
        ["critical opens_any_image", "note administrator", "warning attestation_deny_missing"];
    deny_for_roles_spares_users:
        bare().with(root(json!("kms:Decrypt"))).with(statement("Roles", "Deny", json!("kms:Decrypt"), json!({
            "Condition": { "ArnLike": { "aws:PrincipalArn": "arn:aws:iam::*:role/*" } },
        }))),
        &[], exit 1,
        ["critical opens_without_attestation", "note administrator", "warning attestation_deny_missing",
         "warning root_statement"];
    deny_of_short_names_spares_long_ones:
        bare().with(root(json!("kms:Decrypt")))
            .with(statement("All", "Deny", json!("kms:Decrypt"), json!({
                "Condition": { "ArnNotLike": { "aws:PrincipalArn": "arn:aws:iam::111122223333:role/ops*" } },
            })))
            .with(statement("Ops", "Deny", json!("kms:Decrypt"), json!({
                "Condition": { "ArnEquals": { "aws:PrincipalArn": "arn:aws:iam::111122223333:role/ops" } },
            }))),
        &[], exit 1,
        ["critical opens_without_attestation", "note administrator", "warning root_statement"];
    deny_with_upper_case_hex:
        good().set("Deny0", "Condition", json!({ "StringNotEquals": { IMAGE: pcr("A0") } })), &[], exit 0, [
            "note administrator", "warning case_sensitive_operator",
        ];
    deny_spares_break_glass:
        bare().with(root(json!("kms:Decrypt"))).with(statement("Unless", "Deny", json!("kms:Decrypt"), json!({
            "Condition": {
                "Null": { IMAGE: "true" }, "ArnNotEquals": { "aws:PrincipalArn": role("break-glass") },
            },
        }))),
        &[], exit 1,
        // Through the root statement: the break-glass role unattested, and any image, since the Deny spares attested calls.
        ["critical opens_without_attestation", "critical opens_any_image", "note administrator",
         "warning attestation_deny_missing", "warning root_statement"];
    deny_spares_break_glass_by_name:
        {
            let mut policy = good().with(allow("BreakGlass", "break-glass", json!("kms:Decrypt")));
            for (sid, register, byte) in [("Deny0", IMAGE, "a0"), ("Deny1", PCR1, "a1"), ("Deny2", PCR2, "a2")] {
                policy = policy.set(sid, "Condition", json!({
                    "StringNotEqualsIgnoreCase": { register: pcr(byte) },
                    "StringNotEquals": { "aws:PrincipalArn": role("break-glass") },
                }));
            }
            policy
        },
        &[], exit 1,
        ["critical opens_without_attestation", "note administrator"];
    break_glass_that_was_named:
        bare().with(allow("BreakGlass", "break-glass", json!("kms:Decrypt"))),
        &["--expect-workload", "arn:aws:iam::111122223333:role/break-glass"], exit 0,
        ["note administrator", "note expected_reader", "warning attestation_deny_missing"];

    // --- around Decrypt
    re_encrypt: good().without("Around").with(allow("Move", "ops", json!("kms:ReEncrypt*"))), &[], exit 1, [
        "critical opens_by_re_encrypt", "note administrator", "warning create_grant_not_denied",
        "warning derive_shared_secret_not_denied", "warning re_encrypt_not_denied", "warning replicate_not_denied",
        "warning wildcard_action",
    ];
    nothing_around_denied: good().without("Around"), &[], exit 0, [
        "note administrator", "warning create_grant_not_denied", "warning derive_shared_secret_not_denied",
        "warning re_encrypt_not_denied", "warning replicate_not_denied",
    ];
    grants_by_ci:
        good().set("Around", "Action", json!(["kms:ReEncryptFrom", "kms:ReplicateKey", "kms:DeriveSharedSecret"]))
            .with(allow("Grants", "ci", json!("kms:CreateGrant"))),
        &[], exit 0,
        ["note administrator", "warning create_grant_allowed", "warning create_grant_not_denied"];
    grants_by_ci_without_denies:
        bare().set("Around", "Action", json!(["kms:ReEncryptFrom", "kms:ReplicateKey", "kms:DeriveSharedSecret"]))
            .with(allow("Grants", "ci", json!("kms:CreateGrant"))),
        &[], exit 1,
        ["critical create_grant_allowed", "note administrator", "warning attestation_deny_missing",
         "warning create_grant_not_denied"];
    grants_for_services_only:
        bare().set("Around", "Condition", json!({ "Bool": { "kms:GrantIsForAWSResource": "false" } }))
            .with(allow("Grants", "ci", json!("kms:CreateGrant"))),
        &[], exit 1,
        ["critical create_grant_allowed", "note administrator", "warning attestation_deny_missing",
         "warning create_grant_not_denied", "warning derive_shared_secret_not_denied", "warning re_encrypt_not_denied",
         "warning replicate_not_denied"];
    two_administrators: good().with(allow("Second", "ops", json!("kms:PutKeyPolicy"))), &[], exit 0, [
        "warning several_administrators",
    ];
    the_wrong_administrator:
        good(), &["--expect-admin", "arn:aws:iam::111122223333:role/security"], exit 1,
        ["critical administrator_unexpected"];
    the_right_administrator:
        good(), &["--expect-admin", "arn:aws:iam::111122223333:role/admin"], exit 0, ["note administrator"];
    no_administrator: good().without("Admin"), &[], exit 0, ["note no_administrator"];
    anybody_administers: good().set("Admin", "Principal", json!("*")), &[], exit 1, [
        "critical account_administers", "warning wildcard_principal",
    ];
    replicate: good().without("Around").with(allow("Copy", "ops", json!("kms:ReplicateKey"))), &[], exit 0, [
        "note administrator", "note replicate_allowed", "warning create_grant_not_denied",
        "warning derive_shared_secret_not_denied", "warning re_encrypt_not_denied", "warning replicate_not_denied",
    ];
    too_many_images:
        good().set("Deny0", "Condition", json!({ "StringNotEqualsIgnoreCase": {
            IMAGE: (0..9).map(|n| pcr(&format!("b{n}"))).collect::<Vec<_>>(),
        }})),
        &[], exit 1,
        ["critical too_many_images", "note administrator"];
}

/// Further files: each makes one finding out of a policy that is right by itself.
fn with_file(policy: &Statements, flag: &str, file: &Value, more: &[&str], exit: u8, expected: &[&str]) {
    let files = Files::new();
    let path = files.json("file.json", file);
    let ran = explain(&files, &policy.document(), &[&[flag, &path], more].concat());
    assert_eq!(codes(&ran), sorted(expected), "{}{}", ran.out, ran.err);
    assert_eq!(ran.code, exit);
}

fn described(origin: &str, arn: &str, replicas: &[&str]) -> Value {
    let replicas: Vec<Value> = replicas.iter().map(|arn| json!({ "Arn": arn, "Region": "x" })).collect();
    json!({ "KeyMetadata": {
        "Arn": arn, "Origin": origin, "MultiRegion": !replicas.is_empty(),
        "MultiRegionConfiguration": { "MultiRegionKeyType": "PRIMARY", "PrimaryKey": { "Arn": arn, "Region": "x" }, "ReplicaKeys": replicas },
    }})
}

#[test]
fn material_that_others_may_have() {
    for (origin, exit, code) in [
        ("AWS_KMS", 0, None),
        ("EXTERNAL", 1, Some("critical imported_material")),
        ("EXTERNAL_KEY_STORE", 1, Some("critical external_key_store")),
        ("AWS_CLOUDHSM", 0, Some("warning custom_key_store")),
    ] {
        let expected: Vec<&str> = code.into_iter().chain(["note administrator"]).collect();
        with_file(&good(), "--describe", &described(origin, KEY, &[]), &[], exit, &expected);
    }
}

#[test]
fn replicas_have_policies_of_their_own() {
    let mrk = "arn:aws:kms:eu-west-1:111122223333:key/mrk-1234";
    let replica = "arn:aws:kms:us-east-1:111122223333:key/mrk-1234";
    let expected = ["critical multi_region_key", "note administrator"];
    with_file(&good(), "--describe", &described("AWS_KMS", mrk, &[replica]), &[], 1, &expected);
    let files = Files::new();
    let ran = explain(&files, &good().document(), &["--key", mrk]);
    assert_eq!((ran.code, codes(&ran)), (1, sorted(&expected)));
}

fn grant(operations: &[&str]) -> Value {
    json!({ "Grants": [{
        "KeyId": KEY, "GrantId": "g1", "GranteePrincipal": role("job"), "Operations": operations,
        "Constraints": { "EncryptionContextSubset": { "app": "x" } },
    }]})
}

#[test]
fn a_grant_opens_unless_a_deny_stands() {
    let key = ["--key", KEY];
    let base = ["note administrator", "warning attestation_deny_missing"];
    let and = |code: &'static str| [&[code], base.as_slice()].concat();
    with_file(&bare(), "--grants", &grant(&["Decrypt"]), &key, 1, &and("critical grant_opens"));
    with_file(&bare(), "--grants", &grant(&["CreateGrant"]), &key, 0, &and("warning grant_bounded"));
    with_file(&bare(), "--grants", &grant(&["Encrypt", "DescribeKey"]), &key, 0, &base);
    with_file(&good(), "--grants", &grant(&["Decrypt"]), &key, 0, &["note administrator", "warning grant_bounded"]);
    let job = role("job");
    let named = ["--key", KEY, "--expect-workload", &job];
    with_file(&bare(), "--grants", &grant(&["Decrypt"]), &named, 0, &and("note expected_reader"));
}

/// What IAM says matters only through a statement for the root.
#[test]
fn iam_decides_through_the_root_only() {
    let decrypt = json!({ "Version": "2012-10-17", "Statement": { "Effect": "Allow", "Action": "kms:Decrypt", "Resource": KEY } });
    let of_role = json!({ "RoleName": "deploy", "PolicyName": "secrets", "PolicyDocument": decrypt });
    with_file(
        &bare(),
        "--iam",
        &of_role,
        &["--key", KEY],
        0,
        &["note administrator", "warning attestation_deny_missing"],
    );

    let delegating = bare().with(root(json!("kms:Decrypt")));
    let who = |iam: &Value| -> Vec<String> {
        let files = Files::new();
        let path = files.json("iam.json", iam);
        let ran = explain(&files, &delegating.document(), &["--key", KEY, "--iam", &path]);
        assert_eq!(ran.code, 1, "{}", ran.err);
        let readers = ran.json()["keys"][0]["canDecryptOutside"].clone();
        let mut who: Vec<String> =
            readers.as_array().unwrap().iter().map(|reader| reader["who"].as_str().unwrap().to_owned()).collect();
        who.retain(|name| !name.starts_with("account "));
        who
    };
    assert_eq!(who(&of_role), [role("deploy")]);
    let other_key = json!({ "RoleName": "deploy", "PolicyName": "p", "PolicyDocument": {
        "Version": "2012-10-17", "Statement": { "Effect": "Allow", "Action": "kms:*", "Resource": SIGNER } } });
    assert_eq!(who(&other_key), Vec::<String>::new());
    let encoded = decrypt.to_string().replace('{', "%7B").replace('"', "%22");
    assert_eq!(
        who(&json!({ "UserName": "alice", "PolicyName": "p", "PolicyDocument": encoded })),
        ["arn:aws:iam::111122223333:user/alice"]
    );
    assert_eq!(who(&json!({ "PolicyVersion": { "Document": decrypt } })).len(), 1);

    let managed = "arn:aws:iam::111122223333:policy/kms";
    let attached = json!([{ "PolicyArn": managed, "PolicyName": "kms" }]);
    let deny = json!([{ "PolicyName": "no", "PolicyDocument": {
        "Version": "2012-10-17", "Statement": { "Effect": "Deny", "Action": "kms:*", "Resource": "*" } } }]);
    let account = json!({
        "RoleDetailList": [
            { "Arn": role("deploy"), "RolePolicyList": [], "AttachedManagedPolicies": attached },
            { "Arn": role("denied"), "RolePolicyList": deny, "AttachedManagedPolicies": attached },
            { "Arn": role("nothing"), "RolePolicyList": [], "AttachedManagedPolicies": [] },
        ],
        "UserDetailList": [{ "Arn": "arn:aws:iam::111122223333:user/bob", "GroupList": ["ops"], "AttachedManagedPolicies": [] }],
        "GroupDetailList": [{ "GroupName": "ops", "GroupPolicyList": [], "AttachedManagedPolicies": attached }],
        "Policies": [{ "Arn": managed, "PolicyVersionList": [
            { "IsDefaultVersion": false, "Document": {} }, { "IsDefaultVersion": true, "Document": decrypt } ] }],
    });
    assert_eq!(who(&account), [role("deploy"), "arn:aws:iam::111122223333:user/bob".to_owned()]);
}

/// With the measured policy, a key's use is known.
#[test]
fn what_a_key_is_for_decides_what_is_wrong() {
    let files = Files::new();
    let policy = files.write("packproof.toml", POLICY);
    let run = |statements: &Statements, key: &str, more: &[&str]| {
        let ran = explain(&files, &statements.document(), &[&["--key", key, "--policy", &policy], more].concat());
        (ran.code, codes(&ran))
    };
    // A sealing key to which authors may encrypt: they know every key that they make blobs of.
    assert_eq!(run(&good(), SIGNER, &[]), (1, sorted(&["critical sealed_key_forgeable", "note administrator"])));
    let sealing = good().without("Authors");
    assert_eq!(run(&sealing, SIGNER, &[]), (0, sorted(&["note administrator"])));
    // Nobody is expected to open a sealing key: it holds the signing key.
    let reader = bare().without("Authors").with(allow("Job", "job", json!("kms:Decrypt")));
    let job = role("job");
    assert_eq!(
        run(&reader, SIGNER, &["--expect-workload", &job]),
        (1, sorted(&["critical opens_without_attestation", "note administrator", "warning attestation_deny_missing"]))
    );
    // A grant to make blobs forges; the same on a SOPS key is what authors have.
    let mut granted = grant(&["Encrypt"]);
    granted["Grants"][0]["KeyId"] = json!(SIGNER);
    let granted = files.json("grants.json", &granted);
    assert_eq!(
        run(&sealing, SIGNER, &["--grants", &granted]),
        (1, sorted(&["critical sealed_key_forgeable", "note administrator"]))
    );
    let other = SIGNER.replace("signer", "other");
    assert_eq!(run(&sealing, &other, &[]), (0, sorted(&["note administrator", "warning use_not_known"])));
    // An envelope key: plain Decrypt is right for the workloads, and for nobody else.
    let mut envelope = bare().without("Authors").set("Image", "Action", json!("kms:GenerateDataKey")).with(allow(
        "Workload",
        "workload",
        json!("kms:Decrypt"),
    ));
    for (sid, register, byte) in [("Deny0", IMAGE, "a0"), ("Deny1", PCR1, "a1"), ("Deny2", PCR2, "a2")] {
        envelope = envelope.with(deny_unless(sid, register, &pcr(byte)).clone()).set(
            sid,
            "Action",
            json!("kms:GenerateDataKey"),
        );
    }
    let workload = role("workload");
    let named = ["--expect-workload", workload.as_str()];
    assert_eq!(
        run(&envelope, ENVELOPE, &named),
        (0, sorted(&["note administrator", "note expected_reader", "warning reader_deny_missing"]))
    );
    let only = statement(
        "Only",
        "Deny",
        json!("kms:Decrypt"),
        json!({
            "Condition": { "StringNotEquals": { "aws:PrincipalArn": role("workload") } },
        }),
    );
    let envelope = envelope.with(only);
    assert_eq!(run(&envelope, ENVELOPE, &named), (0, sorted(&["note administrator", "note expected_reader"])));
    assert_eq!(
        run(&envelope, ENVELOPE, &[]),
        (1, sorted(&["critical opens_without_attestation", "note administrator"]))
    );
    let unattested =
        envelope.clone().without("Deny0").without("Deny1").without("Deny2").set("Image", "Condition", json!({}));
    assert_eq!(
        run(&unattested, ENVELOPE, &named),
        (
            0,
            sorted(&[
                "note administrator",
                "note expected_reader",
                "warning attestation_deny_missing",
                "warning data_key_without_attestation"
            ])
        )
    );
}

#[test]
fn one_key_for_two_repositories_or_uses() {
    let files = Files::new();
    let first = files.write("a.toml", POLICY);
    let run = |second: String| {
        let second = files.write("b.toml", &second);
        let ran = explain(&files, &good().document(), &["--key", KEY, "--policy", &first, &second]);
        (ran.code, codes(&ran))
    };
    assert_eq!(run(POLICY.to_owned()), (0, sorted(&["note administrator"])), "a rollout of the same policy");
    let other = POLICY.replace("acme.example/platform", "acme.example/other");
    assert_eq!(run(other), (1, sorted(&["critical key_shared_by_repositories", "note administrator"])));
    let staging = POLICY.replace("environment = \"production\"", "environment = \"staging\"");
    assert_eq!(run(staging), (1, sorted(&["critical key_shared_by_policies", "note administrator"])));
}

/// As many measurements as are judged may also stand in an IAM policy.
#[test]
fn more_images_than_are_judged_are_never_passed_over() {
    let named = |count: usize| (0..count).map(|n| pcr(&format!("b{n}"))).collect::<Vec<_>>();
    let delegating = bare().with(root(json!("kms:Decrypt"))).with(deny_unless("Only", IMAGE, &pcr("a0")));
    let run = |count: usize| {
        let files = Files::new();
        let iam = files.json(
            "iam.json",
            &json!({ "RoleName": "deploy", "PolicyName": "p", "PolicyDocument": { "Version": "2012-10-17", "Statement": {
                "Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*",
                "Condition": { "StringEqualsIgnoreCase": { IMAGE: named(count) } } } } }),
        );
        let ran = explain(&files, &delegating.document(), &["--key", KEY, "--iam", &iam]);
        codes(&ran).contains(&"critical too_many_images".to_owned())
    };
    assert!(!run(7) && run(8), "a0 is the eighth and the ninth");
}

#[test]
fn the_cause_names_its_statement() {
    let files = Files::new();
    let ran = explain(&files, &Statements(vec![root(json!("kms:*"))]).document(), &["--key", KEY]);
    let reader = &ran.json()["keys"][0]["canDecryptOutside"][0];
    assert_eq!(reader["through"], "statement \"Enable IAM User Permissions\"");
    assert_eq!(reader["expected"], false);
    let wrapped = json!({ "Policy": good().document().to_string(), "PolicyName": "default" });
    assert_eq!(explain(&files, &wrapped, &[]).code, 0, "as aws kms get-key-policy prints it");
    let pinned = good().with(statement("Unnamed", "Allow", json!("kms:Decrypt"), json!({ "Condition": pins() })));
    assert_eq!(explain(&files, &pinned.document(), &[]).code, 0);
}
