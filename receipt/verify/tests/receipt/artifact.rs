//! Step 7: what came out.

use super::*;

#[test]
fn refuses_an_artifact_that_is_not_the_subject() {
    let subject = |check, change: fn(&mut BTreeMap<String, String>)| {
        broken(Dev, &Tamper::statement(|statement| change(&mut statement.subject[0].digest)), check, check);
    };
    subject("artifact_sha256", |digest| drop(digest.insert("sha256".into(), "00".repeat(32))));
    subject("artifact_sha512", |digest| drop(digest.insert("sha512".into(), "00".repeat(64))));
    subject("artifact_subject", |digest| drop(digest.insert("sha1".into(), "00".repeat(20))));
    let name = Tamper::statement(|statement| statement.subject[0].name = "checkout/production".into());
    broken(Dev, &name, "artifact_subject", "artifact_subject");

    // a byte that changes nothing for Clef's runtime
    let kit = Kit::new();
    let mut made = kit.make(Dev);
    made.artifact.push(b'\n');
    let report = verify(&made.receipt, &kit.expectations(&made, Dev));
    assert_eq!(failures(&report), ["artifact_sha256", "artifact_sha512"].map(|name| (name, name)));
}

#[test]
fn refuses_receipt_and_artifact_that_do_not_belong_together() {
    let kit = Kit::new();
    let (dev, production) = (kit.make(Dev), kit.make(Production));
    let report = verify(&dev.receipt, &kit.expectations(&production, Dev));
    let codes: Vec<_> = failures(&report).iter().map(|(_, code)| *code).collect();
    assert_eq!(codes[..4], ["artifact_sha256", "artifact_sha512", "artifact_environment", "artifact_signature"]);
    let report = verify(&dev.receipt, &kit.expectations(&dev, Production));
    assert!(failures(&report).contains(&("policy_request", "environment_mismatch")));
}

#[test]
fn refuses_an_artifact_of_another_form() {
    let artifact = |from: &'static str, to: &'static str, code| {
        let tamper = Tamper { artifact: Some(Box::new(move |text| replace(text, from, to))), ..Tamper::default() };
        broken(Dev, &tamper, "artifact_format", code);
    };
    artifact(r#""version": 1"#, r#""version": 1, "revokedAt": "now""#, "artifact_shape");
    artifact(r#""version": 1"#, r#""version": 1, "version": 1"#, "artifact_repeated_member");
    artifact(r#""version": 1"#, r#""version": 2"#, "artifact_version");
    artifact("{\n", "{,", "artifact_json");
}

#[test]
fn refuses_an_artifact_for_somebody_else() {
    // everything inside is consistent, only the request was another
    for (member, code) in [("identity", "artifact_identity"), ("environment", "artifact_environment")] {
        let tamper = Tamper::members(move |members| drop(members.insert(member.into(), "other".into())));
        broken(Dev, &tamper, "artifact_for_whom", code);
    }
}

#[test]
fn refuses_a_ciphertext_without_its_hash() {
    let tamper = Tamper::members(|members| drop(members.insert("ciphertext".into(), "AAAA".into())));
    broken(Dev, &tamper, "artifact_ciphertext_hash", "artifact_ciphertext_hash");
}

#[test]
fn refuses_a_signature_by_another_signer() {
    // the signer of the other environment, which the policy pins there and not here
    let kit = Kit::with_policy(|policy| {
        let kit = Kit::new();
        let [production, dev] = [0, 1].map(|index| ed25519_spki(&kit.signers[index]));
        *policy = policy.replace(&production, "SWAP").replace(&dev, &production).replace("SWAP", &dev);
    });
    let tamper = Tamper::predicate(|predicate| {
        predicate.output.verify_key = ed25519_spki(&Kit::new().signers[0]);
    });
    let made = kit.make_with(Dev, &tamper);
    let report = verify(&made.receipt, &kit.expectations(&made, Dev));
    assert_only(&report, "artifact_signature", "artifact_signature");
    for signature in ["", "AA==", "!"] {
        let tamper = Tamper::members(move |members| {
            members.insert("signature".into(), signature.into());
            members.insert("signatureAlgorithm".into(), "Ed25519".into());
        });
        broken(Dev, &tamper, "artifact_signature", "artifact_signature");
    }
}

#[test]
fn refuses_a_statement_that_describes_another_artifact() {
    let output = |code, change: fn(&mut packproof_receipt::statement::Output)| {
        predicate(Dev, "artifact_output", code, |predicate| change(&mut predicate.output));
    };
    output("output_format", |output| output.format = "clef/2".into());
    output("output_identity", |output| output.identity = "billing".into());
    output("output_environment", |output| output.environment = "production".into());
    output("output_revision", |output| output.revision.push('0'));
    output("output_packed_at", |output| output.packed_at = time(-201));
    output("output_expires_at", |output| output.expires_at = time(0));
    predicate(Dev, "artifact_payload_digest", "artifact_payload_digest", |predicate| {
        predicate.output.signed_payload_sha256 = "00".repeat(32);
    });
    predicate(Dev, "artifact_verify_key", "artifact_verify_key", |predicate| {
        predicate.output.verify_key = ed25519_spki(&Kit::new().signers[0]);
    });
}

#[test]
fn refuses_an_artifact_encrypted_to_somebody_else() {
    predicate(Dev, "artifact_recipient", "recipient_not_in_policy", |predicate| {
        predicate.output.recipient = kit::DEV_CELL_RECIPIENT.into();
    });
    predicate(Dev, "artifact_recipient", "recipient_not_in_policy", |predicate| {
        predicate.output.recipient_kind = "aws-kms".into();
    });
    for (member, value) in [("keyId", kit::SOPS_ARN), ("provider", "gcp"), ("algorithm", "RSA-OAEP-256")] {
        let tamper = Tamper::members(move |members| members["envelope"][member] = value.into());
        broken(Production, &tamper, "artifact_recipient", "artifact_envelope");
    }
    // an age artifact that carries an envelope
    let tamper = Tamper::members(|members| {
        let envelope =
            json!({"provider": "aws", "keyId": "k", "wrappedKey": "", "algorithm": "a", "iv": "i", "authTag": "t"});
        members.insert("envelope".into(), envelope);
    });
    broken(Dev, &tamper, "artifact_recipient", "artifact_envelope");
}

#[test]
fn refuses_a_lifetime_that_the_policy_does_not_allow() {
    let lifetime = |code, packed: String, expires: String| {
        let tamper = Tamper::members(|members| {
            members.insert("packedAt".into(), packed.clone().into());
            members.insert("expiresAt".into(), expires.clone().into());
        });
        broken(Dev, &tamper, "artifact_lifetime", code);
    };
    lifetime("lifetime_format", time(-200), "never".into());
    lifetime("packed_outside_pack", time(-1_001), time(-1_001 + 3_600_000));
    lifetime("packed_outside_pack", time(-99), time(-99 + 3_600_000));
    lifetime("lifetime_not_in_policy", time(-200), time(-200 + 3_600_001));
    lifetime("lifetime_not_in_policy", time(-200), time(-200));
    lifetime("lifetime_not_as_asked", time(-200), time(-200 + 3_599_999));
}
