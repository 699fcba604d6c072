//! Key policies against IAM's rules: one table a topic.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests, which state what they expect by panicking"
)]

use std::collections::BTreeMap;

use packproof_local_kms::policy::{Context, Decision, MAX_POLICY_BYTES, Policy, PolicyError, Request};
use proptest::prelude::*;
use serde_json::{Value, json};

const CI: &str = "arn:aws:iam::111122223333:role/ci";
const ROOT: &str = "arn:aws:iam::111122223333:root";
const FOREIGN: &str = "arn:aws:iam::444455556666:role/ci";
const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234";

fn one(effect: &str, members: Value) -> Value {
    let mut statement = json!({ "Effect": effect, "Principal": "*", "Action": "kms:*", "Resource": "*" });
    for (name, value) in members.as_object().unwrap() {
        statement[name] = value.clone();
    }
    statement
}

fn policy(statements: &[Value]) -> Policy {
    Policy::from_value(&json!({ "Version": "2012-10-17", "Statement": statements })).unwrap()
}

fn refusal(statement: &Value) -> PolicyError {
    Policy::from_value(&json!({ "Version": "2012-10-17", "Statement": statement })).unwrap_err()
}

fn decide(policy: &Policy, principal: &str, action: &str, context: &Context) -> Decision {
    policy.evaluate(&Request { principal, action, resource: KEY, context })
}

fn allows(policy: &Policy, context: &Context) -> bool {
    matches!(decide(policy, CI, "kms:Decrypt", context), Decision::Allow { .. })
}

fn plain() -> Context {
    Context::new(CI)
}

fn with(pairs: &[(&str, &str)]) -> Context {
    let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    plain().with_encryption_context(&pairs).unwrap()
}

fn attested(image: u8) -> Context {
    plain().with_attestation(&BTreeMap::from([(0, [image; 48]), (1, [1; 48]), (2, [2; 48]), (16, [16; 48])]))
}

fn hex(byte: u8) -> String {
    format!("{byte:02x}").repeat(48)
}

#[test]
fn deny_wins_whatever_the_order_and_the_default_is_deny() {
    let allow = one("Allow", json!({ "Sid": "yes" }));
    let deny = one("Deny", json!({ "Sid": "no", "Action": "kms:Decrypt" }));
    for statements in [[allow.clone(), deny.clone()], [deny.clone(), allow.clone()]] {
        let policy = policy(&statements);
        assert_eq!(decide(&policy, CI, "kms:Decrypt", &plain()), Decision::ExplicitDeny { statement: "no".into() });
        assert_eq!(decide(&policy, CI, "kms:Encrypt", &plain()), Decision::Allow { statement: "yes".into() });
    }
    assert_eq!(decide(&policy(&[deny]), CI, "kms:Encrypt", &plain()), Decision::ImplicitDeny);
    let unnamed = policy(&[one("Allow", json!({ "Action": "kms:Encrypt" })), one("Allow", json!({}))]);
    assert_eq!(decide(&unnamed, CI, "kms:Decrypt", &plain()), Decision::Allow { statement: "#2".into() });
}

#[test]
fn principals() {
    for (principal, ci, root, foreign) in [
        (json!("*"), true, true, true),
        (json!({ "AWS": "*" }), true, true, true),
        (json!({ "AWS": CI }), true, false, false),
        (json!({ "AWS": [FOREIGN, CI] }), true, false, true),
        (json!({ "AWS": "arn:aws:iam::111122223333:role/CI" }), false, false, false),
        (json!({ "AWS": "arn:aws:iam::111122223333:role/c" }), false, false, false),
        // Delegation to IAM policies, of which there are none.
        (json!({ "AWS": ROOT }), false, true, false),
        (json!({ "AWS": "111122223333" }), false, true, false),
        (json!({ "AWS": [ROOT, FOREIGN] }), false, true, true),
    ] {
        let policy = policy(&[one("Allow", json!({ "Principal": principal }))]);
        for (caller, expected) in [(CI, ci), (ROOT, root), (FOREIGN, foreign)] {
            let decision = decide(&policy, caller, "kms:Decrypt", &Context::new(caller));
            assert_eq!(matches!(decision, Decision::Allow { .. }), expected, "{principal} {caller}");
        }
    }
}

#[test]
fn a_deny_for_the_account_root_denies_the_whole_account() {
    for root in [ROOT, "111122223333"] {
        let policy = policy(&[one("Allow", json!({})), one("Deny", json!({ "Principal": { "AWS": root } }))]);
        for (caller, denied) in [(CI, true), (ROOT, true), (FOREIGN, false)] {
            let decision = decide(&policy, caller, "kms:Decrypt", &Context::new(caller));
            assert_eq!(matches!(decision, Decision::ExplicitDeny { .. }), denied, "{root} {caller}");
        }
    }
}

#[test]
fn actions_and_resources() {
    for (action, decrypt, data_key) in [
        (json!("*"), true, true),
        (json!("kms:*"), true, true),
        (json!("KMS:decrypt"), true, false),
        (json!(["kms:Encrypt", "kms:GenerateDataKey*"]), false, true),
        (json!("kms:Decryp?"), true, false),
        (json!("kms:Decrypt?"), false, false),
        (json!("kms:GenerateDataKeyWithoutPlaintext"), false, false),
    ] {
        let policy = policy(&[one("Allow", json!({ "Action": action }))]);
        for (asked, expected) in [("kms:Decrypt", decrypt), ("kms:GenerateDataKey", data_key)] {
            let decision = decide(&policy, CI, asked, &plain());
            assert_eq!(matches!(decision, Decision::Allow { .. }), expected, "{action} {asked}");
        }
    }
    for (resource, expected) in [
        (json!("*"), true),
        (json!(KEY), true),
        (json!(["arn:aws:kms:*:*:key/9", "arn:aws:kms:eu-west-1:111122223333:key/*"]), true),
        (json!("arn:aws:kms:eu-west-1:111122223333:key/123"), false),
        (json!("arn:aws:kms:us-east-1:111122223333:key/*"), false),
    ] {
        assert_eq!(allows(&policy(&[one("Allow", json!({ "Resource": resource }))]), &plain()), expected, "{resource}");
    }
}

/// Each operator: key absent, value equal, equal but for case, different.
#[test]
fn operators_on_one_value() {
    let operators = [
        ("StringEquals", [false, true, false, false]),
        ("StringNotEquals", [true, false, true, true]),
        ("StringEqualsIgnoreCase", [false, true, true, false]),
        ("StringNotEqualsIgnoreCase", [true, false, false, true]),
        ("StringLike", [false, true, false, false]),
        ("StringNotLike", [true, false, true, true]),
        ("StringEqualsIfExists", [true, true, false, false]),
        ("StringNotEqualsIfExists", [true, false, true, true]),
        ("StringEqualsIgnoreCaseIfExists", [true, true, true, false]),
        ("StringNotEqualsIgnoreCaseIfExists", [true, false, false, true]),
        ("StringLikeIfExists", [true, true, false, false]),
        ("StringNotLikeIfExists", [true, false, true, true]),
    ];
    let contexts = [plain(), with(&[("env", "prod")]), with(&[("env", "PROD")]), with(&[("env", "test")])];
    for (operator, expected) in operators {
        let policy =
            policy(&[one("Allow", json!({ "Condition": { operator: { "kms:EncryptionContext:env": "prod" } } }))]);
        for (context, expected) in contexts.iter().zip(expected) {
            assert_eq!(allows(&policy, context), expected, "{operator} {context:?}");
        }
    }
}

#[test]
fn operators_on_arns_compare_the_caller_with_patterns() {
    let allows_with = |operator: &str, value: &str| {
        let policy = policy(&[one("Allow", json!({ "Condition": { operator: { "aws:PrincipalArn": value } } }))]);
        allows(&policy, &plain())
    };
    for operator in ["ArnLike", "ArnEquals", "ArnLikeIfExists"] {
        assert!(allows_with(operator, "arn:aws:iam::111122223333:role/*"), "{operator}");
        assert!(allows_with(operator, "arn:*:iam::*:role/c?"), "{operator}");
        assert!(!allows_with(operator, "arn:aws:iam::444455556666:role/*"), "{operator}");
    }
    assert!(
        !allows_with("ArnNotLike", "arn:aws:iam::*:role/ci") && allows_with("ArnNotEquals", "arn:aws:iam::*:role/x")
    );
    for (key, value) in [
        ("kms:EncryptionContext:a", "arn:aws:iam::1:role/ci"),
        ("aws:PrincipalArn", "*"),
        ("aws:PrincipalArn", "role/ci"),
    ] {
        let statement = one("Deny", json!({ "Sid": "s", "Condition": { "ArnNotLike": { key: value } } }));
        let element = format!("ArnNotLike on {key}");
        assert_eq!(refusal(&statement), PolicyError::Unsupported { statement: "s".into(), element });
    }
}

#[test]
fn several_values_are_alternatives_and_for_negated_operators_none_may_match() {
    for (operator, prod, test, other) in [
        ("StringEquals", true, true, false),
        ("StringNotEquals", false, false, true),
        ("StringLike", true, true, false),
        ("StringNotLike", false, false, true),
    ] {
        let condition = json!({ operator: { "kms:EncryptionContext:env": ["prod", "test"] } });
        let policy = policy(&[one("Allow", json!({ "Condition": condition }))]);
        for (value, expected) in [("prod", prod), ("test", test), ("dev", other)] {
            assert_eq!(allows(&policy, &with(&[("env", value)])), expected, "{operator} {value}");
        }
    }
}

#[test]
fn several_keys_and_several_operators_must_all_hold() {
    let keys = json!({ "kms:EncryptionContext:a": "1", "kms:EncryptionContext:b": "2" });
    let in_one_operator = json!({ "StringEquals": keys });
    let in_two = json!({
        "StringEquals": { "kms:EncryptionContext:a": "1" }, "StringLike": { "kms:EncryptionContext:b": "2*" }
    });
    for condition in [in_one_operator, in_two] {
        let policy = policy(&[one("Allow", json!({ "Condition": condition }))]);
        assert!(allows(&policy, &with(&[("a", "1"), ("b", "2")])));
        for pairs in [&[("a", "1")][..], &[("b", "2")], &[("a", "1"), ("b", "3")], &[]] {
            assert!(!allows(&policy, &with(pairs)), "{condition} {pairs:?}");
        }
    }
}

#[test]
fn condition_keys_have_no_case_and_values_do() {
    let condition = json!({ "StringEquals": { "KMS:encryptioncontext:ENV": "prod" } });
    let policy = policy(&[one("Allow", json!({ "Condition": condition }))]);
    assert!(allows(&policy, &with(&[("Env", "prod")])));
    assert!(!allows(&policy, &with(&[("Env", "Prod")])));
}

#[test]
fn null_asks_whether_a_key_is_there() {
    for (value, absent, present) in [
        (json!("true"), true, false),
        (json!("false"), false, true),
        (json!(true), true, false),
        (json!("False"), false, true),
        (json!(["true", "false"]), true, true),
    ] {
        for key in ["kms:EncryptionContext:env", "kms:EncryptionContextKeys"] {
            let policy = policy(&[one("Allow", json!({ "Condition": { "Null": { key: value } } }))]);
            assert_eq!(allows(&policy, &plain()), absent, "{key} {value}");
            assert_eq!(allows(&policy, &with(&[])), absent, "{key} {value}");
            assert_eq!(allows(&policy, &with(&[("env", "")])), present, "{key} {value}");
        }
    }
}

#[test]
fn bool_compares_and_an_absent_key_is_not_true() {
    for (condition, expected) in [
        (json!({ "Bool": { "aws:SecureTransport": "true" } }), true),
        (json!({ "Bool": { "aws:SecureTransport": true } }), true),
        (json!({ "Bool": { "aws:SecureTransport": "false" } }), false),
        (json!({ "Bool": { "kms:EncryptionContext:env": "true" } }), false),
        (json!({ "BoolIfExists": { "kms:EncryptionContext:env": "true" } }), true),
    ] {
        assert_eq!(
            allows(&policy(&[one("Allow", json!({ "Condition": condition }))]), &plain()),
            expected,
            "{condition}"
        );
    }
}

/// The set operators on `kms:EncryptionContextKeys` with the policy values `a` and `b`: no keys, a, c, a and b, a and c.
#[test]
fn set_operators() {
    let contexts = [
        with(&[]),
        with(&[("a", "")]),
        with(&[("c", "")]),
        with(&[("a", ""), ("b", "")]),
        with(&[("a", ""), ("c", "")]),
    ];
    for (operator, expected) in [
        ("ForAllValues:StringEquals", [true, true, false, true, false]),
        ("ForAnyValue:StringEquals", [false, true, false, true, true]),
        ("ForAllValues:StringNotEquals", [true, false, true, false, false]),
        ("ForAnyValue:StringNotEquals", [false, false, true, false, true]),
        ("ForAllValues:StringLike", [true, true, false, true, false]),
        ("ForAllValues:StringEqualsIfExists", [true, true, false, true, false]),
        ("ForAnyValue:StringEqualsIfExists", [true, true, false, true, true]),
    ] {
        let condition = json!({ operator: { "kms:EncryptionContextKeys": ["a", "b"] } });
        let policy = policy(&[one("Allow", json!({ "Condition": condition }))]);
        for (context, expected) in contexts.iter().zip(expected) {
            assert_eq!(allows(&policy, context), expected, "{operator} {context:?}");
        }
    }
    let any_case = json!({ "ForAllValues:StringEqualsIgnoreCase": { "kms:EncryptionContextKeys": "A" } });
    assert!(allows(&policy(&[one("Allow", json!({ "Condition": any_case }))]), &with(&[("a", "")])));
}

#[test]
fn caller_keys() {
    for (key, value, ci, foreign) in [
        ("aws:PrincipalArn", CI, true, false),
        ("aws:PrincipalAccount", "111122223333", true, false),
        ("kms:CallerAccount", "444455556666", false, true),
    ] {
        let policy = policy(&[one("Allow", json!({ "Condition": { "StringEquals": { key: value } } }))]);
        for (caller, expected) in [(CI, ci), (FOREIGN, foreign)] {
            let decision = decide(&policy, caller, "kms:Decrypt", &Context::new(caller));
            assert_eq!(matches!(decision, Decision::Allow { .. }), expected, "{key} {caller}");
        }
    }
}

#[test]
fn attestation_keys_come_from_a_document_only() {
    for (key, value) in [
        ("kms:RecipientAttestation:ImageSha384", hex(7)),
        ("kms:RecipientAttestation:PCR0", hex(7)),
        ("kms:RecipientAttestation:pcr1", hex(1)),
        ("kms:RecipientAttestation:PCR16", hex(16)),
    ] {
        let policy = policy(&[one(
            "Allow",
            json!({ "Condition": { "StringEqualsIgnoreCase": { key: value.to_uppercase() } } }),
        )]);
        assert!(allows(&policy, &attested(7)), "{key}");
        assert!(!allows(&policy, &plain()), "{key}");
    }
    for (operator, key, value) in [
        // The value is lower-case hex, so an upper-case one never matches exactly.
        ("StringEquals", "kms:RecipientAttestation:PCR0", hex(0xab).to_uppercase()),
        ("StringEquals", "kms:RecipientAttestation:PCR3", hex(0)),
        ("StringLike", "kms:RecipientAttestation:NitroTPMPCR4", "*".to_owned()),
    ] {
        let policy = policy(&[one("Allow", json!({ "Condition": { operator: { key: value } } }))]);
        assert!(!allows(&policy, &attested(0xab)), "{key}");
    }
}

/// The shape of design section 8: one Allow with three PCRs, three Denies with one each.
#[test]
fn the_attested_shape_holds_even_beside_a_careless_allow() {
    let pcr = |index: u8| format!("kms:RecipientAttestation:PCR{index}");
    let expected = [hex(7), hex(1), hex(2)];
    let all: serde_json::Map<String, Value> =
        expected.iter().zip(0..).map(|(value, index)| (pcr(index), json!(value))).collect();
    let allow = one("Allow", json!({ "Action": "kms:Decrypt", "Condition": { "StringEqualsIgnoreCase": all } }));
    let denies: Vec<Value> = expected
        .iter()
        .zip(0..)
        .map(|(value, index)| {
            let condition = json!({ "StringNotEqualsIgnoreCase": { pcr(index): value } });
            one("Deny", json!({ "Action": ["kms:Decrypt", "kms:GenerateDataKey*"], "Condition": condition }))
        })
        .collect();
    let careless = one("Allow", json!({}));
    let good = BTreeMap::from([(0, [7; 48]), (1, [1; 48]), (2, [2; 48])]);

    for extra in [None, Some(careless.clone())] {
        let mut statements = vec![allow.clone()];
        statements.extend(denies.clone());
        statements.extend(extra);
        let policy = policy(&statements);
        assert!(allows(&policy, &plain().with_attestation(&good)));
        assert!(!allows(&policy, &plain()));
        for index in 0..3 {
            let mut changed = good.clone();
            changed.insert(index, [9; 48]);
            assert!(!allows(&policy, &plain().with_attestation(&changed)), "PCR{index} changed");
            changed.remove(&index);
            assert!(!allows(&policy, &plain().with_attestation(&changed)), "PCR{index} absent");
        }
    }

    // The usual mistake: three keys in one Deny are ANDed, so one right PCR switches it off.
    let anded: serde_json::Map<String, Value> =
        expected.iter().zip(0..).map(|(value, index)| (pcr(index), json!(value))).collect();
    let anded = one("Deny", json!({ "Condition": { "StringNotEqualsIgnoreCase": anded } }));
    let mistaken = policy(&[careless, anded]);
    let one_right = BTreeMap::from([(0, [8; 48]), (1, [1; 48]), (2, [8; 48])]);
    assert!(allows(&mistaken, &plain().with_attestation(&one_right)));
}

#[test]
fn what_is_not_evaluated_is_refused_by_name() {
    let unsupported = |members: Value| match refusal(&one("Allow", members)) {
        PolicyError::Unsupported { statement, element } => {
            assert_eq!(statement, "#1");
            element
        }
        other => panic!("{other:?}"),
    };
    for (members, element) in [
        (json!({ "NotAction": "kms:Decrypt" }), "NotAction"),
        (json!({ "NotPrincipal": { "AWS": CI } }), "NotPrincipal"),
        (json!({ "NotResource": KEY }), "NotResource"),
        (json!({ "Principal": { "Service": "ec2.amazonaws.com" } }), "Principal \"Service\""),
        (json!({ "Principal": { "AWS": CI, "Federated": "x" } }), "Principal \"Federated\""),
        (
            json!({ "Principal": { "AWS": "arn:aws:iam::111122223333:role/*" } }),
            "Principal \"arn:aws:iam::111122223333:role/*\"",
        ),
        (
            json!({ "Principal": { "AWS": "arn:aws:sts::111122223333:assumed-role/ci/s" } }),
            "Principal \"arn:aws:sts::111122223333:assumed-role/ci/s\"",
        ),
        (json!({ "Action": "s3:GetObject" }), "Action \"s3:GetObject\""),
        (json!({ "Action": "Decrypt" }), "Action \"Decrypt\""),
        (json!({ "Resource": "key/1234" }), "Resource \"key/1234\""),
        (
            json!({ "Resource": "arn:aws:kms:*:*:key/${aws:username}" }),
            "policy variable in \"arn:aws:kms:*:*:key/${aws:username}\"",
        ),
        (
            json!({ "Condition": { "StringEquals": { "kms:EncryptionContext:a": "${aws:username}" } } }),
            "policy variable in \"${aws:username}\"",
        ),
        (
            json!({ "Condition": { "ForAllValues:StringEquals": { "kms:RecipientAttestation:PCR0": "00" } } }),
            "ForAllValues:StringEquals on kms:RecipientAttestation:PCR0",
        ),
        (
            json!({ "Condition": { "StringEquals": { "kms:EncryptionContextKeys": "a" } } }),
            "StringEquals on kms:EncryptionContextKeys",
        ),
    ] {
        assert_eq!(unsupported(members), element);
    }
}

#[test]
fn unknown_operators_and_condition_keys_are_refused_by_name() {
    for name in [
        "StringEqual",
        "stringequals",
        "NumericEquals",
        "ArnMatches",
        "DateLessThan",
        "IpAddress",
        "NullIfExists",
        "ForAnyValue:Null",
        "ForSomeValues:StringEquals",
        "StringEqualsIfExistsIfExists",
        "",
    ] {
        let statement =
            one("Deny", json!({ "Sid": "s", "Condition": { name: { "kms:EncryptionContext:a": "true" } } }));
        assert_eq!(
            refusal(&statement),
            PolicyError::UnknownOperator { statement: "s".into(), operator: name.into() },
            "{name}"
        );
    }
    for name in
        ["kms:RecipientAttestation", "kms:RecipientAttestation:PCR32", "kms:ViaService", "aws:SourceIp", "PCR0", ""]
    {
        let statement = one("Deny", json!({ "Condition": { "StringNotEquals": { name: "x" } } }));
        assert_eq!(
            refusal(&statement),
            PolicyError::UnknownConditionKey { statement: "#1".into(), key: name.into() },
            "{name}"
        );
    }
}

#[test]
fn malformed_policies_are_refused() {
    let statement = one("Allow", json!({}));
    for document in [
        json!([]),
        json!({}),
        json!({ "Version": "2012-10-17" }),
        json!({ "Version": "2012-10-17", "Statement": [] }),
        json!({ "Version": "2012-10-17", "Statement": "x" }),
        json!({ "Version": "2012-10-17", "Statement": ["x"] }),
        json!({ "Version": "2024-01-01", "Statement": [statement] }),
        json!({ "Version": 2012, "Statement": [statement] }),
        json!({ "Version": "2012-10-17", "Id": 1, "Statement": [statement] }),
        json!({ "Version": "2012-10-17", "Statements": [statement], "Statement": [statement] }),
    ] {
        assert!(matches!(Policy::from_value(&document), Err(PolicyError::Malformed { .. })), "{document}");
    }
    for members in [
        json!({ "Effect": "allow" }),
        json!({ "Effect": null }),
        json!({ "Sid": 1 }),
        json!({ "sid": "x" }),
        json!({ "Principal": null }),
        json!({ "Principal": CI }),
        json!({ "Principal": [CI] }),
        json!({ "Principal": {} }),
        json!({ "Principal": { "AWS": [] } }),
        json!({ "Principal": { "AWS": [1] } }),
        json!({ "Action": [] }),
        json!({ "Action": ["kms:Decrypt", 1] }),
        json!({ "Resource": null }),
        json!({ "Condition": [] }),
        json!({ "Condition": { "StringEquals": "x" } }),
        json!({ "Condition": { "StringEquals": {} } }),
        json!({ "Condition": { "StringEquals": { "kms:EncryptionContext:a": [] } } }),
        json!({ "Condition": { "StringEquals": { "kms:EncryptionContext:a": 1 } } }),
        json!({ "Condition": { "StringEquals": { "kms:EncryptionContext:a": ["x", null] } } }),
        json!({ "Condition": { "Null": { "kms:EncryptionContext:a": "yes" } } }),
        json!({ "Condition": { "Bool": { "aws:SecureTransport": "1" } } }),
    ] {
        let error = refusal(&one("Allow", members.clone()));
        assert!(matches!(error, PolicyError::Malformed { .. }), "{members} {error:?}");
    }
    for missing in ["Effect", "Principal", "Action", "Resource"] {
        let mut statement = statement.clone();
        statement.as_object_mut().unwrap().remove(missing);
        assert!(matches!(refusal(&statement), PolicyError::Malformed { .. }), "{missing}");
    }
}

#[test]
fn a_member_given_twice_is_refused() {
    let text = |condition: &str| {
        format!(
            r#"{{"Statement": {{"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*", "Condition": {condition}}}}}"#
        )
    };
    let once = r#"{"StringNotEquals": {"kms:RecipientAttestation:PCR0": "00"}}"#;
    let twice = r#"{"StringNotEquals": {"kms:RecipientAttestation:PCR0": "00"}, "StringNotEquals": {"kms:RecipientAttestation:PCR1": "00"}}"#;
    assert!(Policy::parse(&text(once)).is_ok());
    assert!(matches!(Policy::parse(&text(twice)), Err(PolicyError::NotJson { .. })));
    assert!(matches!(Policy::parse(&(text(once) + "x")), Err(PolicyError::NotJson { .. })));
}

#[test]
fn length_is_bounded() {
    let mut text = json!({ "Statement": one("Allow", json!({})) }).to_string();
    text.push_str(&" ".repeat(MAX_POLICY_BYTES - text.len()));
    assert!(Policy::parse(&text).is_ok());
    text.push(' ');
    assert_eq!(Policy::parse(&text).unwrap_err(), PolicyError::TooLong { bytes: MAX_POLICY_BYTES + 1 });
}

fn json_value() -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        Just("Statement"),
        Just("Effect"),
        Just("Principal"),
        Just("AWS"),
        Just("Action"),
        Just("Resource"),
        Just("Condition"),
        Just("StringEquals"),
        Just("Null"),
        Just("kms:EncryptionContext:a"),
        Just("x"),
    ];
    let leaf = prop_oneof![
        Just(json!(null)),
        Just(json!(true)),
        Just(json!(1)),
        Just(json!("Allow")),
        Just(json!("*")),
        Just(json!("kms:*")),
        "\\PC{0,12}".prop_map(Value::String),
    ];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((name.clone(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().map(|(n, v)| (n.to_owned(), v)).collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn parsing_never_panics(document in json_value(), text in "\\PC{0,40}") {
        let _ = Policy::from_value(&document);
        let _ = Policy::parse(&text);
        for (name, value) in [("Principal", &document), ("Action", &document), ("Resource", &document), ("Condition", &document)] {
            let _ = Policy::from_value(&json!({ "Statement": one("Deny", json!({ name: value })) }));
        }
    }

    /// Whatever else a policy says, a Deny on PCR0 leaves no call through without that PCR0.
    #[test]
    fn nothing_overrides_a_deny(others in prop::collection::vec((any::<bool>(), 0_u8..4), 0..6), image in 0_u8..4) {
        let deny = one("Deny", json!({ "Condition": { "StringNotEquals": { "kms:RecipientAttestation:PCR0": hex(7) } } }));
        let mut statements: Vec<Value> = others
            .iter()
            .map(|(allow, pcr)| {
                let condition = json!({ "StringEqualsIfExists": { "kms:RecipientAttestation:PCR0": hex(*pcr) } });
                one(if *allow { "Allow" } else { "Deny" }, json!({ "Condition": condition }))
            })
            .collect();
        statements.insert(statements.len() / 2, deny);
        let policy = policy(&statements);
        prop_assert!(!allows(&policy, &plain()));
        prop_assert!(!allows(&policy, &attested(image)));
    }
}
