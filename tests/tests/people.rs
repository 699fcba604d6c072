//! Tags, certificates and approvals, from real git and ssh-keygen through the enclave into the receipt.

use std::{
    fs,
    path::{Path, PathBuf},
};

use packproof_tests::{
    demo::IDENTITY,
    people::{Person, certified, introduce},
    repo::Commit,
    world::{Pack, Packed, World},
};
use serde_json::Value;

/// A world whose policy knows two approvers and a certificate authority, and asks for two approvals in dev.
fn world() -> World {
    let mut world = World::start();
    let people = [
        Person::plain("alice", "alice@acme.example"),
        Person::plain("bob", "bob@acme.example"),
        Person::authority("staff", "*@staff.acme.example"),
    ];
    let rule = "approvals = { threshold = 2, from = [\"alice\", \"bob\", \"staff\"] }";
    let dev = format!("signers = [\"release\", \"staff\"]\n{rule}");
    introduce(&mut world, &people, [("dev", &dev), ("production", "signers = [\"release\"]")]);
    world
}

/// `packproof approve`, with more flags.
fn approve(world: &World, key: &Path, more: &[&str]) -> PathBuf {
    let file = world.path(&format!("{}.approval", key.file_name().unwrap().to_str().unwrap()));
    let mut command = world.command("packproof");
    command.args(["approve", IDENTITY, "dev", "--json", "--dir"]).arg(&world.repo.dir);
    command.arg("--policy").arg(world.policy()).arg("--key").arg(key).arg("-o").arg(&file).args(more);
    let said = world.run(&mut command).ok().json();
    assert_eq!((said["threshold"].as_u64(), said["identity"].as_str()), (Some(2), Some(IDENTITY)));
    file
}

fn with_approvals(world: &World, files: &[&Path]) -> Pack {
    let mut pack = world.pack("dev");
    for file in files {
        pack.more.extend(["--approval".to_owned(), file.to_str().unwrap().to_owned()]);
    }
    pack
}

/// What the verifier says, with git looking everything up in the repository once more.
fn facts(world: &World, packed: &Packed) -> Value {
    let mut verify = world.verify(packed);
    let repo = world.repo.dir.to_str().unwrap().to_owned();
    verify.more = ["--repo", &repo, "--require", "repo"].map(str::to_owned).to_vec();
    let outcome = world.run_verify(&verify, true);
    outcome.ok().json()["facts"].clone()
}

#[test]
fn two_others_approve_and_the_receipt_names_them() {
    let world = world();
    let refused = |pack: &Pack, code: &str| {
        let (outcome, _) = world.run_pack(pack, true);
        assert_eq!((outcome.code, outcome.json()["code"].as_str()), (1, Some(code)), "{}", outcome.stdout);
    };
    refused(&world.pack("dev"), "approvals_missing");
    let alice = approve(&world, &world.path("alice"), &[]);
    refused(&with_approvals(&world, &[&alice]), "approvals_missing");
    let bob = approve(&world, &world.path("bob"), &[]);
    let packed = world.packed(&with_approvals(&world, &[&alice, &bob]));
    let facts = facts(&world, &packed);
    let who = |n: usize| facts["approvals"][n]["principal"].as_str().unwrap().to_owned();
    assert_eq!([who(0), who(1)], ["alice@acme.example", "bob@acme.example"]);
    let human = world.run_verify(&world.verify(&packed), false).ok().stdout.clone();
    assert!(human.contains("approved by    alice (alice@acme.example), SHA256:"), "{human}");

    // the same by hand, with a certificate that ssh-keygen finds beside the key
    certified(&world, "dave", "staff", "dave@staff.acme.example", &[]);
    let mut command = world.command("packproof");
    command.args(["approve", IDENTITY, "dev", "--print", "--dir"]).arg(&world.repo.dir);
    let text = world.run(command.arg("--policy").arg(world.policy())).ok().stdout.clone();
    fs::write(world.path("text"), &text).unwrap();
    let mut sign = world.plain_command(Path::new("ssh-keygen"));
    sign.args(["-q", "-Y", "sign", "-n", "packproof-approval-v1", "-f"]).arg(world.path("dave-cert.pub"));
    let _ = world.run(sign.arg(world.path("text"))).ok();
    let by_hand = world.path("by-hand.approval");
    fs::write(&by_hand, text + &fs::read_to_string(world.path("text.sig")).unwrap()).unwrap();
    let packed = world.packed(&with_approvals(&world, &[&by_hand, &bob]));
    let facts = self::facts(&world, &packed);
    assert_eq!(facts["approvals"][0]["principal"], "dave@staff.acme.example");
    assert_eq!(facts["approvals"][0]["certificate"], "dave-laptop");
}

#[test]
fn a_signed_tag_counts_in_place_of_the_commits_signature() {
    let world = world();
    world.repo.commit(Commit { key: None, date: None });
    world.repo.tag("v1", "HEAD", Commit { key: Some(&world.path("release")), date: None });
    let mut pack = world.pack("production");
    let (outcome, _) = world.run_pack(&pack, true);
    assert_eq!(outcome.json()["code"], "unsigned");
    pack.commit = Some("v1".to_owned());
    let packed = world.packed(&pack);
    assert_eq!(facts(&world, &packed)["tag"], "v1");
    // an unsigned tag is as good as none
    world.repo.tag("v2", "HEAD", Commit::default());
    pack.commit = Some("v2".to_owned());
    assert_eq!(world.run_pack(&pack, true).0.json()["code"], "unsigned");
}

#[test]
fn a_certificate_of_the_authority_signs_commits() {
    let world = world();
    let certificate = certified(&world, "erin", "staff", "erin@staff.acme.example", &[]);
    // git has ssh-keygen sign with the certificate
    let id = world.repo.commit(Commit { key: Some(&certificate), date: None });
    let alice = approve(&world, &world.path("alice"), &[]);
    let bob = approve(&world, &world.path("bob"), &[]);
    let packed = world.packed(&with_approvals(&world, &[&alice, &bob]));
    let facts = facts(&world, &packed);
    assert_eq!(facts["commit"], id.as_str());
    assert_eq!(facts["signer"]["principal"], "erin@staff.acme.example");
    assert_eq!(facts["signer"]["certificate"], "erin-laptop");
    // the authority counts in dev alone
    let (outcome, _) = world.run_pack(&world.pack("production"), true);
    assert_eq!(outcome.json()["code"], "unknown_certificate_authority");
}

/// The tagger signs for all, and whoever made the commit is still not the second pair of eyes.
#[test]
fn whoever_signed_the_commit_under_a_tag_does_not_approve_it() {
    let world = world();
    world.repo.commit(Commit { key: Some(&world.path("alice")), date: None });
    let key = format!("user.signingkey={}", world.path("release").display());
    world.repo.git(&["-c", "gpg.format=ssh", "-c", &key, "tag", "--sign", "--message", "signed", "v1"]);
    let [alice, bob] = ["alice", "bob"].map(|name| approve(&world, &world.path(name), &[]));
    let mut pack = with_approvals(&world, &[&alice, &bob]);
    pack.commit = Some("v1".to_owned());
    assert_eq!(world.run_pack(&pack, true).0.json()["code"], "approval_by_signer");
    let carol = approve(&world, &certified(&world, "carol", "staff", "carol@staff.acme.example", &[]), &[]);
    let mut pack = with_approvals(&world, &[&carol, &bob]);
    pack.commit = Some("v1".to_owned());
    world.packed(&pack);
}

/// A certificate carries several names of one person, and the policy asks its authority for one of them only.
#[test]
fn one_person_with_two_names_is_one() {
    let world = world();
    let bob = approve(&world, &world.path("bob"), &[]);
    let names = "robert@staff.acme.example,bob@acme.example";
    let again = approve(&world, &certified(&world, "robert", "staff", names, &[]), &[]);
    let (outcome, _) = world.run_pack(&with_approvals(&world, &[&bob, &again]), true);
    assert_eq!(outcome.json()["code"], "approval_twice");
}
