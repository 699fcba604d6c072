//! Step 1: file, statements and signatures.

use super::*;

#[test]
fn refuses_a_file_of_another_form() {
    broken(Dev, &Tamper::lines(|lines| lines[0].push('\n')), "receipt_format", "receipt_line_count");
    broken(Dev, &Tamper::lines(|lines| replace(&mut lines[1], "v0.3", "v0.2")), "receipt_format", "bundle_type");
    let reported = Kit::new();
    let made = reported.make(Dev);
    let report = verify(b"", &reported.expectations(&made, Dev));
    assert_only(&report, "receipt_format", "receipt_line_count");
    assert!(report.facts.is_none() && report.receipt_key.is_none());
    assert_eq!(outcome(&report, "pack_signature"), Outcome::NotEvaluated);
}

#[test]
fn refuses_statements_that_are_not_strict_json() {
    let statement = |from: &'static str, to: &'static str| Tamper::statement_text(move |text| replace(text, from, to));
    broken(Dev, &statement(r#"{"_type""#, r#"{,"_type""#), "pack_statement_format", "pack_statement_json");
    broken(
        Dev,
        &statement(r#""signature":{"#, r#""signature":{"extra":{"a":1,"a":2},"#),
        "pack_statement_format",
        "pack_statement_repeated_member",
    );
    broken(Dev, &statement(r#"{"_type""#, r#"{"extra":1,"_type""#), "pack_statement_format", "pack_statement_shape");
    broken(Dev, &statement(r#""keyCount":3"#, r#""keyCount":"3""#), "pack_statement_format", "pack_statement_shape");
    let evidence = |from: &'static str, to: &'static str| Tamper::evidence_text(move |text| replace(text, from, to));
    broken(Dev, &evidence(r#"{"_type""#, r#"{"_type"::"#), "evidence_statement_format", "evidence_statement_json");
    broken(
        Dev,
        &evidence(r#"{"attribute""#, r#"{"attribute":"x","attribute""#),
        "evidence_statement_format",
        "evidence_statement_repeated_member",
    );
    broken(
        Dev,
        &evidence(r#"{"attribute""#, r#"{"conditions":{},"attribute""#),
        "evidence_statement_format",
        "evidence_statement_shape",
    );
}

/// Members that a later version adds inside the predicate do not break this one.
#[test]
fn ignores_unknown_members_of_the_predicate() {
    let kit = Kit::new();
    let tamper =
        Tamper::statement_text(|text| replace(text, r#""keyCount":3"#, r#""keyCount":3,"later":[{"a":null}]"#));
    let made = kit.make_with(Dev, &tamper);
    assert!(verify(&made.receipt, &kit.expectations(&made, Dev)).valid);
}

#[test]
fn refuses_statements_of_another_type() {
    let statement = |check, change: fn(&mut packproof_receipt::statement::Statement<PackPredicate>)| {
        broken(Dev, &Tamper::statement(change), check, check);
    };
    statement("pack_statement_type", |statement| statement.kind = "https://in-toto.io/Statement/v0.1".into());
    statement("pack_predicate_type", |statement| statement.predicate_type = "https://slsa.dev/provenance/v1".into());
    statement("pack_subject_count", |statement| statement.subject.push(statement.subject[0].clone()));
    predicate(Dev, "build_type", "build_type", |predicate| predicate.build_definition.build_type.push('2'));
    predicate(Dev, "build_type", "builder_id", |predicate| predicate.run_details.builder.id.push('2'));
    let evidence = |check, change: fn(&mut packproof_receipt::statement::Statement<_>)| {
        broken(Dev, &Tamper::evidence(change), check, check);
    };
    evidence("evidence_statement_type", |statement| statement.kind.push('1'));
    evidence("evidence_predicate_type", |statement| statement.predicate_type.push('1'));
    evidence("evidence_subject_count", |statement| statement.subject.push(statement.subject[0].clone()));
}

#[test]
fn refuses_a_receipt_key_that_is_not_p256() {
    let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).unwrap();
    let off_curve = [&spki(&Kit::new().receipt_key)[..27], &[1; 64]].concat();
    for key in [None, Some(vec![]), Some(spki(&p384)), Some(off_curve)] {
        broken(Dev, &Tamper::request(|request| request.public_key.clone_from(&key)), "receipt_key", "receipt_key");
    }
}

#[test]
fn refuses_signatures_by_another_key() {
    let other = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    for (index, check) in [(0, "pack_signature"), (1, "evidence_signature")] {
        let kit = Kit::new();
        let tamper = Tamper::lines(|lines| {
            let [pack, evidence] = bundle::parse_receipt(lines.concat().as_bytes()).unwrap();
            let line = [pack, evidence][index].clone();
            let forged = kit.line(&other, std::str::from_utf8(&line.payload).unwrap());
            let [theirs, _] = bundle::parse_receipt([forged.as_str(), forged.as_str()].concat().as_bytes()).unwrap();
            // the forger names the attested key
            lines[index] = bundle::line(&line.payload, &theirs.signature, &spki(&kit.receipt_key));
        });
        let made = kit.make_with(Dev, &tamper);
        assert_only(&verify(&made.receipt, &kit.expectations(&made, Dev)), check, check);
    }
}

#[test]
fn refuses_a_hint_of_another_key() {
    for index in [0, 1] {
        let tamper = Tamper::lines(|lines| {
            let [pack, evidence] = bundle::parse_receipt(lines.concat().as_bytes()).unwrap();
            let line = [pack, evidence][index].clone();
            lines[index] = bundle::line(&line.payload, &line.signature, b"another key");
        });
        broken(Dev, &tamper, "key_hint", "key_hint");
    }
}

/// The attacker holds a genuine receipt, changes what it says and signs anew with a key of his own.
#[test]
fn refuses_a_statement_changed_after_the_fact() {
    let kit = Kit::new();
    let own = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    let tamper = Tamper::lines(|lines| {
        let [pack, _] = bundle::parse_receipt(lines.concat().as_bytes()).unwrap();
        let mut text = String::from_utf8(pack.payload).unwrap();
        replace(&mut text, r#""keyCount":3"#, r#""keyCount":4"#);
        lines[0] = kit.line(&own, &text);
    });
    let made = kit.make_with(Dev, &tamper);
    let report = verify(&made.receipt, &kit.expectations(&made, Dev));
    let expected = ["key_hint", "pack_signature", "evidence_subject", "document_binding"];
    assert_eq!(failures(&report), expected.map(|name| (name, name)));
    assert_eq!(outcome(&report, "image_pcr1"), Outcome::NotEvaluated);
    assert_eq!(outcome(&report, "artifact_sha256"), Outcome::NotEvaluated);
}
