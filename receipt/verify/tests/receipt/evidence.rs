//! Step 2: the document and what it binds.

use super::*;

#[test]
fn refuses_evidence_of_another_form() {
    let evidence = |check, code, change: fn(&mut packproof_receipt::statement::EvidencePredicate)| {
        broken(Dev, &Tamper::evidence(|statement| change(&mut statement.predicate)), check, code);
    };
    evidence("evidence_attribute", "evidence_attribute", |evidence| evidence.attributes[0].attribute.push('2'));
    evidence("evidence_attribute", "evidence_attribute", |evidence| {
        evidence.attributes.push(evidence.attributes[0].clone());
    });
    evidence("evidence_attribute", "evidence_attribute", |evidence| evidence.attributes.clear());
    evidence("evidence_media_type", "evidence_media_type", |evidence| {
        evidence.attributes[0].evidence.media_type = "application/cbor".into();
    });
    evidence("nitro_document", "evidence_base64", |evidence| evidence.attributes[0].evidence.content.push('!'));
}

#[test]
fn refuses_debug_enclaves_and_forged_documents() {
    let debug = Tamper::request(|request| {
        request.pcrs.insert(0, [0; 48]);
    });
    broken(Dev, &debug, "nitro_document", "debug_mode");
    // a document of the attacker's own module, under a root of his own
    let (kit, theirs) = (Kit::new(), Kit::new());
    let made = theirs.make(Dev);
    assert_only(&verify(&made.receipt, &kit.expectations(&made, Dev)), "nitro_document", "chain_root_mismatch");
}

#[test]
fn mock_evidence_never_counts_under_aws_root() {
    let kit = Kit::new();
    let made = kit.make(Dev);
    let mut expectations = kit.expectations(&made, Dev);
    expectations.root = Root::Aws;
    let report = verify(&made.receipt, &expectations);
    let expected = [("nitro_document", "simulated_evidence"), ("policy_and_root", "simulated_policy_under_aws_root")];
    assert_eq!(failures(&report), expected);

    // a careful forger: a policy and a statement that claim to be real
    let kit = Kit::with_policy(|policy| replace(policy, SIMULATED, r#"endpoint = "aws""#));
    let tamper = Tamper::statement(|statement| {
        statement.predicate_type = packproof_receipt::statement::PACK_PREDICATE.into();
    });
    let made = kit.make_with(Dev, &tamper);
    let mut expectations = kit.expectations(&made, Dev);
    expectations.root = Root::Aws;
    assert_only(&verify(&made.receipt, &expectations), "nitro_document", "simulated_evidence");
}

#[test]
fn refuses_aws_root_as_a_simulated_one() {
    expecting(Dev, "trusted_root", "aws_root_given_as_simulated", |expectations| {
        expectations.root = Root::Simulated { der: AWS_NITRO_ROOT_G1 };
    });
}

#[test]
fn refuses_evidence_that_binds_something_else() {
    let statement = |change: fn(&mut packproof_receipt::statement::Subject)| {
        let tamper = Tamper::evidence(|statement| change(&mut statement.subject[0]));
        broken(Dev, &tamper, "evidence_subject", "evidence_subject");
    };
    statement(|subject| subject.name.push('2'));
    statement(|subject| {
        subject.digest.insert("sha256".into(), "00".repeat(32));
    });
    statement(|subject| {
        subject.digest.insert("sha512".into(), "00".repeat(64));
    });
    let user_data = |value: Option<Vec<u8>>| {
        let tamper = Tamper::request(|request| request.user_data.clone_from(&value));
        broken(Dev, &tamper, "document_binding", "document_binding");
    };
    user_data(None);
    user_data(Some(vec![]));
    user_data(Some(DocumentTag::Receipt.user_data(&[0; 32]).to_vec()));
    // the right digest under another tag, or under none: a document made for another purpose
    for tag in [Some(DocumentTag::Describe), None] {
        let kit = Kit::new();
        let made = kit.make(Dev);
        let [pack, evidence] = bundle::parse_receipt(&made.receipt).unwrap();
        let digest: [u8; 32] =
            sha2::Digest::finalize(<sha2::Sha256 as sha2::Digest>::new_with_prefix(pack.pae())).into();
        let tamper = Tamper::request(|request| {
            request.user_data = Some(tag.map_or(digest, |tag| tag.user_data(&digest)).to_vec());
        });
        let other = kit.make_with(Dev, &tamper);
        assert_eq!(bundle::parse_receipt(&other.receipt).unwrap()[0].payload, pack.payload);
        assert_ne!(bundle::parse_receipt(&other.receipt).unwrap()[1].payload, evidence.payload);
        assert_only(&verify(&other.receipt, &kit.expectations(&other, Dev)), "document_binding", "document_binding");
    }
}

#[test]
fn the_nonce_is_the_challenge_and_nothing_else() {
    let nonce = |value: Option<Vec<u8>>| {
        let tamper = Tamper::request(|request| request.nonce.clone_from(&value));
        broken(Dev, &tamper, "challenge_binding", "challenge_binding");
    };
    nonce(None);
    nonce(Some(vec![]));
    nonce(Some(vec![8; 32]));
    predicate(Dev, "challenge_binding", "challenge_binding", |predicate| {
        predicate.build_definition.external_parameters.challenge = Some("AA".repeat(32));
    });
    predicate(Dev, "challenge_binding", "challenge_binding", |predicate| {
        predicate.build_definition.external_parameters.challenge = Some("aa".repeat(31));
    });
    // no challenge on both sides is fine
    let kit = Kit::new();
    let none = |predicate: &mut PackPredicate| predicate.build_definition.external_parameters.challenge = None;
    let made = kit.make_with(Dev, &Tamper::predicate(none));
    assert!(verify(&made.receipt, &kit.expectations(&made, Dev)).valid);
}
