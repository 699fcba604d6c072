//! The file, the document, its time, and what ran.

use super::*;

#[test]
fn refuses_a_file_of_another_form() {
    let file = |from: &'static str, to: &'static str, code| {
        broken(Signer, &BirthTamper::file(|file| replace(file, from, to)), "sealed_key_format", code);
    };
    file(r#""schema": 1,"#, r#""schema": 1,,"#, "sealed_key_json");
    file(r#""schema": 1,"#, r#""schema": 1, "schema": 1,"#, "sealed_key_repeated_member");
    file(r#""schema": 1,"#, r#""schema": 1, "more": 1,"#, "sealed_key_shape");
    file(r#""schema": 1,"#, "", "sealed_key_shape");
    file(r#""schema": 1,"#, r#""schema": 2,"#, "sealed_key_schema");
    // the members without their names, as serde would take them
    let tamper = BirthTamper::file(|file| {
        let SealedKey { schema, blob, birth_statement, birth_document } = serde_json::from_str(file).unwrap();
        *file = serde_json::to_string(&(schema, blob, birth_statement, birth_document)).unwrap();
    });
    broken(Signer, &tamper, "sealed_key_format", "sealed_key_shape");
    let pad = |to: usize| BirthTamper::file(move |file| file.push_str(&" ".repeat(to - file.len())));
    broken(Signer, &pad(MAX_SEALED_KEY_BYTES + 1), "sealed_key_format", "sealed_key_too_long");
    let kit = Kit::before_pins();
    let longest = kit.seal_with(Signer, &pad(MAX_SEALED_KEY_BYTES));
    assert!(verify_birth(&longest, &kit.birth_expectations(Signer)).valid);
}

#[test]
fn refuses_what_is_no_blob() {
    let blob = |blob: String, code| {
        broken(Signer, &BirthTamper::sealed(|sealed| sealed.blob.clone_from(&blob)), "sealed_blob", code);
    };
    blob(format!("{}=", BASE64_STANDARD.encode(BLOB)), "sealed_blob_base64");
    blob(String::new(), "sealed_blob_length");
    blob(BASE64_STANDARD.encode([0; MAX_BLOB_BYTES + 1]), "sealed_blob_length");
    // one of the right length is only another one
    let tamper = BirthTamper::sealed(|sealed| sealed.blob = BASE64_STANDARD.encode([0; MAX_BLOB_BYTES]));
    broken(Signer, &tamper, "birth_blob", "birth_blob");
}

/// The document is over each of these texts, so only how they are read refuses them.
#[test]
fn refuses_a_statement_of_another_form() {
    let text = |from: &'static str, to: &'static str, code| {
        let tamper = BirthTamper::statement_text(|text| replace(text, from, to));
        broken(Signer, &tamper, "birth_statement_format", code);
    };
    text(r#"{"purpose""#, r#"{,"purpose""#, "birth_statement_json");
    text(r#"{"purpose""#, r#"{"purpose":"age-key","purpose""#, "birth_statement_repeated_member");
    text(r#"{"purpose""#, r#"{"more":"","purpose""#, "birth_statement_shape");
    text(r#"{"purpose":"signer","#, "{", "birth_statement_shape");
    let array = BirthTamper::statement_text(|text| {
        let born: BirthStatement = serde_json::from_str(text).unwrap();
        let first = (born.purpose, born.repository, born.identity, born.environment, born.kms_key_arn);
        let second = (born.kms_request_id, born.blob_sha256, born.public_key, born.policy_sha256, born.born_on);
        *text = format!("{},{}", serde_json::to_string(&first).unwrap(), serde_json::to_string(&second).unwrap());
        replace(text, "],[", ",");
        assert!(serde_json::from_str::<BirthStatement>(text).is_ok());
    });
    broken(Signer, &array, "birth_statement_format", "birth_statement_shape");
}

#[test]
fn refuses_a_document_that_is_not_of_this_statement() {
    let user_data = |value: Option<Vec<u8>>| {
        let tamper = BirthTamper::request(|request| request.user_data.clone_from(&value));
        broken(Signer, &tamper, "birth_binding", "birth_binding");
    };
    user_data(None);
    user_data(Some(DocumentTag::Birth.user_data(b"").to_vec()));
    // the right bytes under another tag, or under none: a document made for another purpose
    let kit = Kit::before_pins();
    let sealed: SealedKey = serde_json::from_slice(&kit.seal(Signer)).unwrap();
    let statement = sealed.birth_statement.as_bytes();
    for tag in [DocumentTag::Receipt, DocumentTag::Describe, DocumentTag::Kms] {
        user_data(Some(tag.user_data(statement).to_vec()));
    }
    user_data(Some(statement.to_vec()));
    // the same members in other words
    let tamper = BirthTamper::sealed(|sealed| sealed.birth_statement.push(' '));
    broken(Signer, &tamper, "birth_binding", "birth_binding");
}

#[test]
fn refuses_a_document_of_another_kind() {
    let kit = Kit::before_pins();
    let tamper = BirthTamper::request(|request| request.public_key = Some(spki(&kit.receipt_key)));
    broken(Signer, &tamper, "birth_document_key", "birth_document_key");
    for nonce in [vec![7; 31], vec![7; 33], vec![7]] {
        let tamper = BirthTamper::request(|request| request.nonce = Some(nonce.clone()));
        broken(Signer, &tamper, "birth_nonce", "birth_nonce");
    }
    let tamper = BirthTamper::sealed(|sealed| sealed.birth_document.push('!'));
    broken(Signer, &tamper, "nitro_document", "evidence_base64");
    let debug = BirthTamper::request(|request| {
        request.pcrs.insert(0, [0; 48]);
    });
    broken(Signer, &debug, "nitro_document", "debug_mode");
}

#[test]
fn refuses_each_mixture_of_real_and_simulated() {
    let kit = Kit::before_pins();
    let mut expectations = kit.birth_expectations(Signer);
    expectations.root = Root::Aws;
    let report = verify_birth(&kit.seal(Signer), &expectations);
    let expected = [("nitro_document", "simulated_evidence"), ("policy_and_root", "simulated_policy_under_aws_root")];
    assert_eq!(failures(&report), expected);
    // the policy is real, all else simulated
    let real = Kit::before_pins_with(|policy| replace(policy, SIMULATED, r#"endpoint = "aws""#));
    let report = verify_birth(&real.seal(Signer), &real.birth_expectations(Signer));
    assert_only(&report, "policy_and_root", "real_policy_under_simulated_root");
    let mut expectations = real.birth_expectations(Signer);
    expectations.root = Root::Aws;
    assert_only(&verify_birth(&real.seal(Signer), &expectations), "nitro_document", "simulated_evidence");
    // AWS's own root as a simulated one
    expecting(Signer, "trusted_root", "aws_root_given_as_simulated", |expectations| {
        expectations.root = Root::Simulated { der: AWS_NITRO_ROOT_G1 };
    });
}

#[test]
fn the_birth_is_right_before_its_document() {
    let born = |offset, code| stated(Signer, "birth_time", code, |statement| statement.born_on = time(offset));
    born(5_001, "time_after_document");
    born(-60_001, "time_document_late");
    stated(Signer, "birth_time", "time_format", |statement| statement.born_on.push(' '));
    let kit = Kit::before_pins();
    for offset in [5_000, -60_000] {
        let tamper = BirthTamper::statement(|statement| statement.born_on = time(offset));
        assert!(verify_birth(&kit.seal_with(Signer, &tamper), &kit.birth_expectations(Signer)).valid);
    }
}

#[test]
fn the_challenge_is_answered() {
    expecting(Signer, "challenge", "challenge_mismatch", |expectations| expectations.challenge = Some([8; 32]));
    let kit = Kit::before_pins();
    let mut expectations = kit.birth_expectations(Signer);
    expectations.challenge = Some(CHALLENGE);
    let without = kit.seal_with(Signer, &BirthTamper::request(|request| request.nonce = None));
    assert_only(&verify_birth(&without, &expectations), "challenge", "challenge_mismatch");
}

#[test]
fn refuses_another_image() {
    for (index, check) in [(0, "image_pcr0"), (1, "image_pcr1"), (2, "image_pcr2")] {
        let tamper = BirthTamper::request(|request| {
            request.pcrs.insert(index, [9; 48]);
        });
        broken(Signer, &tamper, check, check);
    }
    expecting(Signer, "image_release", "release_shape", |expectations| expectations.image.release = b"{}");
    expecting(Signer, "image_sections", "section_digest", |expectations| {
        let sections = expectations.image.sections.unwrap();
        expectations.image.sections = Some(Sections { kernel: b"b kernel", ..sections });
    });
    // without the sections, PCR0 is the one register that is not compared, and the report says so
    let kit = Kit::before_pins();
    let mut expectations = kit.birth_expectations(Signer);
    expectations.image.sections = None;
    let report = verify_birth(&kit.seal(Signer), &expectations);
    assert!(report.valid && outcome(&report, "image_pcr0") == Outcome::NotRequested);
}

/// The policy that pins the key was not the one it was born under.
#[test]
fn refuses_a_policy_that_was_not_measured() {
    let kit = Kit::before_pins();
    let later = Kit::new().policy;
    let mut expectations = kit.birth_expectations(Signer);
    (expectations.policy, expectations.image.sections) = (later.as_bytes(), None);
    let report = verify_birth(&kit.seal(Signer), &expectations);
    assert_only(&report, "image_pcr2", "image_pcr2");
    assert_eq!(outcome(&report, "policy_digest"), Outcome::NotEvaluated);
}
