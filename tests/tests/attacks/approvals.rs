//! Who else agreed, to what, and until when.

use std::fs;

use packproof_tests::{
    forge::{APPROVAL, ApprovalText, GIT, utc},
    people::{certified, certify},
    repo::Commit,
    world::World,
};
use packproof_wire::{Approval, PackRequest};

use crate::{packs, refuses, world};

/// The request of `HEAD` with these approvals.
fn with(world: &World, environment: &str, approvals: &[&Approval]) -> PackRequest {
    let mut request = world.request(environment);
    request.approvals = approvals.iter().map(|approval| (*approval).clone()).collect();
    request
}

/// Expects a refusal that says why.
#[track_caller]
fn refuses_saying(world: &World, attack: &str, request: PackRequest, code: &str, why: &str) {
    let said = refuses(world, attack, request, code);
    assert!(said["message"].as_str().unwrap().contains(why), "{attack}: {said}");
}

/// What the signature covers is put together in the enclave, so an approval of anything else is no signature over it.
const OF_SOMETHING_ELSE: &str = "approval 2 is not one of this commit, identity, environment and policy by an approver: \
                                 the signature does not match what it should cover";

#[test]
fn approvals_of_something_else() {
    let mut world = world();
    let (alice, bob) = (world.path("alice"), world.path("bob"));
    let text = ApprovalText::of(&world, "dev");
    let good = text.signed(&world, &alice, APPROVAL);
    let second = text.signed(&world, &bob, APPROVAL);
    packs(&world, "two approvals", with(&world, "dev", &[&good, &second]));

    let parent = world.repo.git(&["rev-parse", "HEAD"]);
    world.repo.commit(Commit { key: Some(&world.path("release")), date: None });
    refuses(&world, "approvals of the commit before", with(&world, "dev", &[&good, &second]), "approval_refused");
    world.repo.reset(&parent);

    let policy = fs::read(world.policy()).unwrap();
    let hour_ago = utc(&world, -3600);
    for (attack, line, lie) in [
        ("an approval for another repository", 2, "https://git.packproof.example/demo/other"),
        ("an approval for another object format", 3, "sha256"),
        ("an approval of another commit", 4, "0123456789012345678901234567890123456789"),
        ("an approval of another object under the commit's id", 5, &"ab".repeat(32)),
        ("an approval for another identity", 6, "nightly"),
        ("an approval for another environment", 7, "production"),
    ] {
        let lying = text.with(line, lie).signed(&world, &bob, APPROVAL);
        let request = with(&world, "dev", &[&good, &lying]);
        refuses_saying(&world, attack, request, "approval_refused", OF_SOMETHING_ELSE);
    }
    let over = text.with(9, &hour_ago).signed(&world, &bob, APPROVAL);
    let request = with(&world, "dev", &[&good, &over]);
    refuses_saying(&world, "an approval after its end", request, "approval_expired", &hour_ago);
    let prolonged = Approval { not_after: second.not_after.clone(), ..over.clone() };
    let request = with(&world, "dev", &[&good, &prolonged]);
    refuses_saying(&world, "an approval prolonged by the host", request, "approval_refused", OF_SOMETHING_ELSE);
    let respelled = Approval { not_after: second.not_after.replace(".000Z", "Z"), ..second.clone() };
    let request = with(&world, "dev", &[&good, &respelled]);
    refuses(&world, "an approval whose end is spelled otherwise", request, "request_malformed");

    let request = with(&world, "production", &[&good, &second]);
    refuses(&world, "approvals though none are asked for", request, "approvals_not_asked");

    // the same approvals under a policy of which one byte differs
    let changed = world.changed_policy("changed.toml", "schema = 1", "schema = 1 # changed");
    world.up(&changed, &["--pin"]);
    let request = with(&world, "dev", &[&good, &second]);
    refuses(&world, "approvals under the policy before", request, "approval_refused");
    // and the one policy again, to which they belong
    assert_eq!(fs::read(world.policy()).unwrap(), policy);
    world.up(&world.policy(), &["--pin"]);
    packs(&world, "the same two approvals", with(&world, "dev", &[&good, &second]));
}

#[test]
fn approvals_that_are_not_other_peoples() {
    let world = world();
    let text = ApprovalText::of(&world, "dev");
    let by = |name: &str| text.signed(&world, &world.path(name), APPROVAL);
    let (alice, bob) = (by("alice"), by("bob"));
    let certificate = |name: &str, authority: &str, principals: &str, more: &[&str]| {
        let certificate = certified(&world, name, authority, principals, more);
        text.signed(&world, &certificate, APPROVAL)
    };
    let erins = certificate("erin", "staff", "erin@staff.acme.example", &[]);
    packs(&world, "a certificate's approval", with(&world, "dev", &[&alice, &erins]));

    for (attack, approval, code, why) in [
        ("the signer approves too", by("release"), "approval_by_signer", "release@packproof.example"),
        (
            "the signer approves by a certificate of the same name",
            certificate("laptop", "staff", "release@packproof.example", &[]),
            "approval_by_signer",
            "release@packproof.example",
        ),
        (
            "the signer's key approves under a certificate's name",
            {
                let certificate = certify(&world, "release", "renamed", "staff", "grace@staff.acme.example", &[]);
                text.signed(&world, &certificate, APPROVAL)
            },
            "approval_by_signer",
            "grace@staff.acme.example",
        ),
        ("one approval twice", alice.clone(), "approval_twice", "alice@acme.example"),
        ("one person by two keys", by("alice-office"), "approval_twice", "alice@acme.example"),
        (
            "one key under two names",
            {
                let certificate = certify(&world, "alice", "alias", "staff", "heidi@staff.acme.example", &[]);
                text.signed(&world, &certificate, APPROVAL)
            },
            "approval_twice",
            "heidi@staff.acme.example",
        ),
        ("an approver who is not in from", by("carol"), "approval_refused", "is not allowed here"),
        ("a stranger approves", by("other"), "approval_refused", "is not allowed here"),
        ("the authority approves itself", by("staff"), "approval_refused", "is not allowed here"),
        ("an approver past valid_before", by("retired"), "approval_refused", "does not count at"),
        (
            "an approval by a certificate that is over",
            certificate("ivan", "staff", "ivan@staff.acme.example", &["-V", "-2h:-1h"]),
            "approval_refused",
            "the signer's certificate holds from",
        ),
        (
            "an approval by a foreign authority's certificate",
            certificate("judy", "other", "judy@staff.acme.example", &[]),
            "approval_refused",
            "the certificate authority",
        ),
        (
            "an approval by a certificate for another principal",
            certificate("mike", "staff", "mike@acme.example", &[]),
            "approval_refused",
            "the signer's certificate is for",
        ),
        (
            "an approval signed as a commit",
            text.signed(&world, &world.path("bob"), GIT),
            "approval_refused",
            "the signature is for \"git\"",
        ),
        (
            "an approval without a signature",
            Approval { signature: String::new(), ..bob.clone() },
            "approval_refused",
            "the SSH signature is malformed",
        ),
    ] {
        refuses_saying(&world, attack, with(&world, "dev", &[&alice, &approval]), code, why);
        // and it is no better in the first place, or as one more than is asked for
        let first = with(&world, "dev", &[&approval, &alice]);
        refuses(&world, attack, first, code);
        refuses(&world, attack, with(&world, "dev", &[&alice, &bob, &approval]), code);
    }
    refuses(&world, "no approvals", with(&world, "dev", &[]), "approvals_missing");
    refuses(&world, "one approval of two", with(&world, "dev", &[&bob]), "approvals_missing");
    let many = vec![&bob; 65];
    refuses(&world, "approvals beyond number", with(&world, "dev", &many), "request_malformed");

    // whoever signed by a certificate approves by no other of his keys, and by no other name of this key
    let signer = certified(&world, "niaj", "staff", "niaj@staff.acme.example", &[]);
    world.repo.commit(Commit { key: Some(&signer), date: None });
    let text = ApprovalText::of(&world, "dev");
    let bob = text.signed(&world, &world.path("bob"), APPROVAL);
    let other = certified(&world, "niaj-office", "staff", "niaj@staff.acme.example", &[]);
    let request = with(&world, "dev", &[&bob, &text.signed(&world, &other, APPROVAL)]);
    refuses(&world, "a certified signer approves by another certificate", request, "approval_by_signer");
    let alias = certify(&world, "niaj", "niaj-alias", "staff", "olivia@staff.acme.example", &[]);
    let request = with(&world, "dev", &[&bob, &text.signed(&world, &alias, APPROVAL)]);
    refuses(&world, "a certified signer approves under another name", request, "approval_by_signer");
    let erin = text.signed(&world, &world.path("erin-cert.pub"), APPROVAL);
    packs(&world, "signed and approved by certificates", with(&world, "dev", &[&bob, &erin]));
}
