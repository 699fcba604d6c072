//! Step 6: whose signatures, by tags, certificates and approvals too.

use std::collections::BTreeMap;

use packproof_receipt::statement::{
    ApprovalFacts, CertificateFacts, Dependency, SignatureFacts, SourceFacts, TagFacts,
};

use super::*;

const TAG: &str = "7777777777777777777777777777777777777777";
/// Of the key that [`PEOPLE`] gives Alice, made with openssl's SHA-256 over the key's blob.
const ALICE_KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB";
const BOB_KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIAICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIC";

/// Signers beside the kit's: two people, and an authority for all others of their company.
fn with_people(policy: &mut String) {
    let people = format!(
        r#"[[source.signer]]
name = "alice"
principal = "alice@acme.example"
ssh = "ssh-ed25519 {ALICE_KEY}"
valid_after = "2026-01-01T00:00:00Z"
valid_before = "2026-12-31T00:00:00Z"
[[source.signer]]
name = "bob"
principal = "bob@acme.example"
ssh = "ssh-ed25519 {BOB_KEY}"
[[source.signer]]
name = "staff"
principal = "*@staff.acme.example,ci@acme.example"
ssh = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMD"
cert_authority = true
[kms]"#
    );
    replace(policy, "[kms]", &people);
    replace(
        policy,
        "signers = [\"release\"]\nmax_ttl_seconds = 3600",
        "signers = [\"release\", \"alice\", \"staff\"]\nmax_ttl_seconds = 3600\n\
         approvals = { threshold = 2, from = [\"alice\", \"bob\", \"staff\"] }",
    );
}

fn fingerprint(key: &str) -> String {
    use base64::{Engine, prelude::BASE64_STANDARD, prelude::BASE64_STANDARD_NO_PAD};
    use sha2::{Digest, Sha256};
    format!("SHA256:{}", BASE64_STANDARD_NO_PAD.encode(Sha256::digest(BASE64_STANDARD.decode(key).unwrap())))
}

fn plain(name: &str, key: &str) -> SignatureFacts {
    SignatureFacts {
        scheme: "ssh-ed25519".into(),
        signer: name.into(),
        principal: format!("{name}@acme.example"),
        fingerprint: fingerprint(key),
        certificate: None,
    }
}

fn certified(principals: &[&str], fingerprint_of: &str) -> SignatureFacts {
    SignatureFacts {
        scheme: "ecdsa-sha2-nistp256".into(),
        signer: "staff".into(),
        principal: principals[0].into(),
        fingerprint: format!("SHA256:{fingerprint_of}"),
        certificate: Some(CertificateFacts {
            authority: fingerprint("AAAAC3NzaC1lZDI1NTE5AAAAIAMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMD"),
            key_id: "laptop".into(),
            serial: 7,
            principals: principals.iter().map(|name| (*name).to_owned()).collect(),
            all_principals: principals.iter().map(|name| (*name).to_owned()).collect(),
        }),
    }
}

fn approval(signature: SignatureFacts) -> ApprovalFacts {
    ApprovalFacts { signature, not_after: time(60_000) }
}

/// A receipt with two approvals, then `change`.
fn judge(change: impl Fn(&mut PackPredicate)) -> Report {
    let kit = Kit::with_policy(with_people);
    let made = kit.make_with(
        Dev,
        &Tamper::predicate(|predicate| {
            predicate.source.approvals =
                vec![approval(plain("bob", BOB_KEY)), approval(certified(&["carol@staff.acme.example"], "carol"))];
            change(predicate);
        }),
    );
    verify(&made.receipt, &kit.expectations(&made, Dev))
}

#[track_caller]
fn refuses(check: &str, code: &str, change: impl Fn(&mut SourceFacts)) {
    assert_only(&judge(|predicate| change(&mut predicate.source)), check, code);
}

fn tag_object(predicate: &mut PackPredicate) {
    let mut object: Dependency = of_role(predicate, Role::Commit).clone();
    object.name = TAG.into();
    object.annotations.role = Role::Tag;
    object.digest = BTreeMap::from([("gitTag".to_owned(), TAG.to_owned()), ("sha256".to_owned(), "00".repeat(32))]);
    predicate.build_definition.resolved_dependencies.push(object);
}

fn tagged(predicate: &mut PackPredicate) {
    tag_object(predicate);
    predicate.build_definition.external_parameters.tag = Some(TAG.into());
    predicate.source.tag = Some(TagFacts { id: TAG.into(), name: "v1".into(), tagged_on: time(-50_000) });
}

#[test]
fn people_who_count_are_named() {
    let report = judge(|_| {});
    assert_eq!(failures(&report), []);
    let facts = report.facts.unwrap();
    let approved: Vec<_> = facts.approvals.iter().map(|person| person.principal.as_str()).collect();
    assert_eq!(approved, ["bob@acme.example", "carol@staff.acme.example"]);
    assert_eq!(facts.approvals[1].certificate.as_deref(), Some("laptop"));

    let report = judge(tagged);
    assert_eq!(failures(&report), []);
    assert_eq!(report.facts.unwrap().tag.as_deref(), Some("v1"));
    let by = |signature: SignatureFacts| judge(move |predicate| predicate.source.signature = signature.clone());
    assert!(by(plain("alice", ALICE_KEY)).valid);
    assert!(by(certified(&["ci@acme.example"], "robot")).valid);
}

#[test]
fn refuses_signers_who_were_not_valid() {
    let alice_signs = |source: &mut SourceFacts| source.signature = plain("alice", ALICE_KEY);
    for (signed, packed) in [("2025-12-31T23:59:59.999Z", None), ("2026-11-23T18:39:09.112Z", Some("valid_before"))] {
        let kit = Kit::with_policy(|policy| {
            with_people(policy);
            replace(policy, "approvals = {", "# approvals = {");
            replace(policy, "max_commit_age_seconds = 604800\nmissing", "max_commit_age_seconds = 31622400\nmissing");
            if packed.is_some() {
                replace(policy, "2026-12-31T00:00:00Z", "2026-11-23T18:40:00Z");
            }
        });
        let made = kit.make_with(
            Dev,
            &Tamper::predicate(|predicate| {
                alice_signs(&mut predicate.source);
                predicate.source.committed_on = signed.into();
            }),
        );
        assert_only(&verify(&made.receipt, &kit.expectations(&made, Dev)), "source_signer", "signer_not_valid");
    }
}

#[test]
fn refuses_certificates_that_do_not_fit() {
    let by = |code: &str, signature: SignatureFacts| {
        refuses("source_signer", code, |source| source.signature = signature.clone());
    };
    let good = || certified(&["ci@acme.example"], "robot");
    let with = |change: fn(&mut SignatureFacts)| {
        let mut signature = good();
        change(&mut signature);
        signature
    };
    by("signer_certificate", with(|signature| signature.certificate = None));
    by("signer_certificate", with(|signature| signature.signer = "release".into()));
    by("signer_authority", with(|signature| signature.certificate.as_mut().unwrap().authority.push('=')));
    by("signer_principal", with(|signature| signature.principal = "eve@staff.acme.example".into()));
    by("signer_principal", with(|signature| signature.certificate.as_mut().unwrap().principals.clear()));
    by("signer_principal", certified(&["eve@evil.example"], "eve"));
    by("signer_principal", certified(&["ci@acme.example", "eve@evil.example"], "eve"));
    by("signer_principal", with(|signature| signature.certificate.as_mut().unwrap().all_principals.clear()));
    by("signer_scheme", with(|signature| signature.scheme = "ssh-rsa".into()));
    refuses("source_signer", "signer_scheme", |source| source.signature.scheme = "rsa-sha2-512".into());
}

#[test]
fn refuses_tags_that_are_not_the_one_asked_for() {
    let tag = |code: &str, change: fn(&mut PackPredicate)| {
        let report = judge(|predicate| {
            tagged(predicate);
            change(predicate);
        });
        assert_only(&report, "source_tag", code);
    };
    tag("tag_inconsistent", |predicate| predicate.build_definition.external_parameters.tag = None);
    tag("tag_inconsistent", |predicate| predicate.source.tag = None);
    tag("tag_inconsistent", |predicate| {
        predicate.build_definition.external_parameters.tag = Some("8".repeat(40));
    });
    tag("tag_object", |predicate| {
        predicate.build_definition.resolved_dependencies.retain(|object| object.annotations.role != Role::Tag);
    });
    tag("tag_object", |predicate| of_role(predicate, Role::Tag).name = "8".repeat(40));
    tag("tag_in_future", |predicate| predicate.source.tag.as_mut().unwrap().tagged_on = time(-1_000 + 300_001));
    tag("source_date_format", |predicate| predicate.source.tag.as_mut().unwrap().tagged_on = "now".into());
    assert_only(&judge(tag_object), "source_tag", "tag_object");
}

#[test]
fn refuses_approvals_that_do_not_count() {
    let with = |code: &str, change: fn(&mut Vec<ApprovalFacts>)| {
        refuses("source_approvals", code, |source| change(&mut source.approvals));
    };
    with("approvals_missing", |all| drop(all.pop()));
    with("approvals_missing", Vec::clear);
    with("approval_repeated", |all| all[1] = all[0].clone());
    with("approval_repeated", |all| all[1].signature.fingerprint.clone_from(&fingerprint(BOB_KEY)));
    with("approval_repeated", |all| {
        let also_bob = ["carol@staff.acme.example", "bob@staff.acme.example"];
        all[0] = approval(certified(&["bob@staff.acme.example"], "bob"));
        all[1] = approval(certified(&also_bob, "carol"));
    });
    with("approval_expired", |all| all[0].not_after = time(-1_000));
    with("source_date_format", |all| all[0].not_after = "never".into());
    with("approver_not_in_policy", |all| all[0].signature.signer = "release".into());
    with("signer_principal", |all| all[0].signature.principal = "eve@acme.example".into());
    with("signer_fingerprint", |all| all[0].signature.fingerprint.clone_from(&fingerprint(ALICE_KEY)));
    // another name of the same person, which the policy does not ask that authority for
    with("approval_repeated", |all| {
        all[1].signature.certificate.as_mut().unwrap().all_principals.push("bob@acme.example".into());
    });
    // whoever signed the commit, where a tag counted
    refuses("source_approvals", "approval_repeated", |source| source.commit_signature = Some(plain("bob", BOB_KEY)));
    // the signer of the commit
    refuses("source_approvals", "approval_repeated", |source| {
        source.signature = plain("alice", ALICE_KEY);
        source.approvals[0] = approval(plain("alice", ALICE_KEY));
    });
    // a policy that asks for none
    predicate(Dev, "source_approvals", "approvals_not_in_policy", |predicate| {
        predicate.source.approvals = vec![approval(plain("bob", BOB_KEY))];
    });
}
