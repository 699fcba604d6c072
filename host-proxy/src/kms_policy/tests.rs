//! Properties: whatever a file holds, it is judged or refused.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    document::{Document, Kind},
    findings::Code,
    inputs,
    judge::judge,
    key::{Expected, KeyCase},
};

fn case(document: Document) -> KeyCase {
    let arn = Some("arn:aws:kms:eu-west-1:111122223333:key/k".to_owned());
    KeyCase { file: "f".into(), arn, document, usage: None, metadata: None, grants: Vec::new(), images: Vec::new() }
}

fn one_of(values: &'static [&'static str]) -> impl Strategy<Value = Value> {
    prop::sample::select(values).prop_map(|text| serde_json::from_str(text).unwrap())
}

fn statement() -> impl Strategy<Value = Value> {
    let principal = one_of(&[
        r#""*""#,
        r#"{"AWS":"111122223333"}"#,
        r#"{"AWS":["arn:aws:iam::111122223333:role/a","*"]}"#,
        r#"{"AWS":"arn:aws:sts::111122223333:assumed-role/a/s"}"#,
        r#"{"Service":"s3.amazonaws.com","Federated":"x"}"#,
        r#"{"AWS":"arn:"}"#,
    ]);
    let condition = one_of(&[
        "{}",
        r#"{"StringLike":{"kms:RecipientAttestation:PCR0":["*","a?"]}}"#,
        r#"{"ForAnyValue:StringNotLikeIfExists":{"aws:PrincipalArn":"arn:*:iam::*:role/?"}}"#,
        r#"{"Null":{"kms:RecipientAttestation:NitroTPMPCR23":true}}"#,
        r#"{"Bool":{"aws:SecureTransport":"false"},"X":{"y":[]}}"#,
        r#"{"NumericLessThan":{"kms:RecipientAttestation:PCR1":7}}"#,
    ]);
    let action = one_of(&[r#""kms:*""#, r#"["kms:Decrypt","kms:PutKeyPolicy"]"#, r#""*""#]);
    (principal, condition, action, any::<[bool; 4]>()).prop_map(|(principal, condition, action, [effect, p, a, r])| {
        let name = |inverted: bool, name: &str| if inverted { format!("Not{name}") } else { name.to_owned() };
        json!({
            "Effect": if effect { "Allow" } else { "Deny" },
            name(p, "Principal"): principal, name(a, "Action"): action, name(r, "Resource"): "*",
            "Condition": condition,
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_policy_that_is_read_is_judged(statements in prop::collection::vec(statement(), 1..6)) {
        let text = json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
        let document = Document::from_text(&text, Kind::Key).unwrap();
        let verdict = judge(&case(document), &[], &Expected::default());
        let again = judge(&case(Document::from_text(&text, Kind::Key).unwrap()), &[], &Expected::default());
        prop_assert_eq!(verdict.findings, again.findings);
    }

    #[test]
    fn a_damaged_file_is_refused_or_judged(statements in prop::collection::vec(statement(), 1..3), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = json!({ "Version": "2012-10-17", "Statement": statements }).to_string().into_bytes();
        let place = at.index(bytes.len());
        bytes[place] = byte;
        if let Ok(document) = inputs::key_policy(&bytes) {
            judge(&case(document), &[], &Expected::default());
        }
        let _ = (inputs::iam(&bytes, "f", None), inputs::grants(&bytes), inputs::metadata(&bytes));
    }

    #[test]
    fn any_text_is_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = (inputs::key_policy(&bytes), inputs::iam(&bytes, "f", None), inputs::grants(&bytes), inputs::metadata(&bytes));
    }
}

#[test]
fn codes_are_stable_names_and_each_has_advice() {
    let names: std::collections::BTreeSet<&str> = Code::ALL.iter().map(|code| code.name()).collect();
    assert_eq!(names.len(), Code::ALL.len());
    for code in Code::ALL {
        assert!(code.name().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{}", code.name());
        assert!(code.advice().len() > 10 && !code.advice().ends_with('.'), "{}", code.name());
    }
}

#[test]
fn what_the_language_does_not_have_is_unreadable() {
    let good = json!({ "Effect": "Allow", "Principal": "*", "Action": "kms:Decrypt", "Resource": "*" });
    let read = |value: &Value| Document::from_value(&json!({ "Version": "2012-10-17", "Statement": value }), Kind::Key);
    assert!(read(&good).is_ok());
    for (member, value) in [
        ("Effect", json!("allow")),
        ("Principal", json!({ "aws": "*" })),
        ("NotPrincipal", json!("*")),
        ("NotAction", json!("kms:Decrypt")),
        ("Action", json!([])),
        ("Resource", json!(1)),
        ("Condition", json!({ "Null": { "k": null } })),
        ("condition", json!({})),
        ("Sid", json!(1)),
    ] {
        let mut changed = good.clone();
        changed[member] = value;
        assert!(read(&changed).is_err(), "{member}");
    }
    assert!(Document::from_value(&json!({ "Statement": good, "statement": [] }), Kind::Key).is_err());
    assert!(Document::from_value(&json!({ "Version": "2012", "Statement": good }), Kind::Key).is_err());
    assert!(
        Document::from_value(&json!({ "Statement": good }), Kind::Iam).is_err(),
        "an IAM policy names no principal"
    );
    let twice = r#"{"Statement":[{"Effect":"Deny","Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}"#;
    assert!(Document::from_text(twice, Kind::Key).unwrap_err().contains("twice"));
}
