//! Who signed the commit, or a tag of it.

use std::path::Path;

use packproof_tests::{
    forge::{APPROVAL, GIT, header, object, ssh_sign, store, with_headers},
    people::certified,
    process::Outcome,
    repo::{Commit, Repo},
    world::World,
};

use crate::{HALF_AN_HOUR, packs, refuses, world};

/// A date for git, so many seconds ago.
fn ago(world: &World, seconds: i64) -> String {
    let mut date = world.plain_command(Path::new("date"));
    date.args(["+@%s +0000", "--date", &format!("{seconds} seconds ago")]);
    Outcome::of(&mut date).ok().stdout.trim_end().to_owned()
}

fn text(world: &World, revision: &str) -> String {
    String::from_utf8(object(&world.repo, revision).body).unwrap()
}

#[test]
fn commits_by_others_or_signed_otherwise() {
    let world = world();
    let by = |key: &Path| world.repo.commit(Commit { key: Some(key), date: None });
    let stored = |text: &str| store(&world.repo, "commit", text.as_bytes());
    let release = world.path("release");
    let signed = text(&world, &by(&release));
    let other = text(&world, &by(&release));
    let plain = text(&world, &world.repo.commit(Commit::default()));
    let signature = |text: &str| {
        let (start, end) = (text.find("gpgsig ").unwrap(), text.find("\n\n").unwrap() + 1);
        text[start..end].to_owned()
    };
    let signing = |namespace: &str| header("gpgsig", &ssh_sign(&world, &release, namespace, plain.as_bytes()));
    let good = with_headers(&plain, &signing(GIT));
    packs(&world, "signed by hand", world.request_of("production", &stored(&good), None));

    let pgp = header("gpgsig", "-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----");
    for (attack, commit, code) in [
        ("an unsigned commit", stored(&plain), "unsigned"),
        ("a commit signed by a stranger", by(&world.path("other")), "unknown_signer"),
        ("a commit signed by somebody who only approves", by(&world.path("alice")), "unknown_signer"),
        (
            "the signature of another commit",
            stored(&signed.replace(&signature(&signed), &signature(&other))),
            "bad_signature",
        ),
        ("a commit changed after it was signed", stored(&good.replace("a change", "a chance")), "bad_signature"),
        (
            "a commit signed for approvals",
            stored(&with_headers(&plain, &signing(APPROVAL))),
            "wrong_signature_namespace",
        ),
        ("a commit signed for files", stored(&with_headers(&plain, &signing("file"))), "wrong_signature_namespace"),
        ("two gpgsig headers", stored(&with_headers(&plain, &(signature(&other) + &signing(GIT)))), "two_signatures"),
        (
            "a header that no signature covers",
            stored(&with_headers(&good, "gpgsig-hidden anything\n")),
            "two_signatures",
        ),
        (
            "the other format's signature header",
            stored(&good.replace("gpgsig ", "gpgsig-sha256 ")),
            "foreign_signature",
        ),
        ("an OpenPGP signature", stored(&with_headers(&plain, &pgp)), "unsupported_signature_scheme"),
        (
            "a signature with text behind it",
            stored(&good.replace("-----END SSH SIGNATURE-----\n", "-----END SSH SIGNATURE-----\n x\n")),
            "malformed_signature",
        ),
        ("a message with a NUL byte", stored(&good.replace("a change", "a ch\0nge")), "malformed_commit"),
        (
            "two trees in one commit",
            stored(&good.replacen("tree ", &format!("{}\ntree ", good.lines().next().unwrap()), 1)),
            "malformed_commit",
        ),
    ] {
        let mut request = world.request("production");
        request.objects[0] = object(&world.repo, &commit);
        request.commit = commit;
        refuses(&world, attack, request, code);
    }

    // all of another repository, whose commit the same key signed
    let foreign = Repo::of_demo(&world.path("home"), &world.path("foreign"), "sha1");
    foreign.replace(".packproof/repository", "secrets", "other");
    foreign.commit(Commit { key: Some(&release), date: None });
    world.repo.git(&["fetch", "--quiet", foreign.dir.to_str().unwrap(), "main"]);
    let commit = world.repo.git(&["rev-parse", "FETCH_HEAD"]);
    let request = world.request_of("production", &commit, None);
    refuses(&world, "a foreign repository's commit by an allowed signer", request, "wrong_repository");
}

#[test]
fn keys_and_certificates_that_do_not_hold() {
    let world = world();
    let commit = |key: &Path, seconds: i64| {
        let date = ago(&world, seconds);
        world.repo.commit(Commit { key: Some(key), date: Some(&date) })
    };
    let packs_it = |what: &str, commit: &str| packs(&world, what, world.request_of("production", commit, None));
    let certificate = |name: &str, authority: &str, principals: &str, more: &[&str]| {
        certified(&world, name, authority, principals, more)
    };
    let erin = certificate("erin", "staff", "erin@staff.acme.example", &[]);
    packs_it("a certificate that holds", &commit(&erin, 60));
    packs_it("a key since it counts", &commit(&world.path("joined"), 60));

    let principal = "frank@staff.acme.example";
    let over = certificate("over", "staff", principal, &["-V", "-2h:-1h"]);
    let short = certificate("short", "staff", principal, &["-V", "-10m:+1h"]);
    let foreign = certificate("mallory", "other", principal, &[]);
    let outside = certificate("outside", "staff", "frank@acme.example,staff.acme.example", &[]);
    let host = certificate("host", "staff", principal, &["-h"]);
    let option = certificate("option", "staff", principal, &["-O", "force-command=true"]);
    for (attack, commit, code) in [
        ("a key past its valid_before by NSM time", commit(&world.path("retired"), 2 * HALF_AN_HOUR), "key_not_valid"),
        (
            "a commit dated before its key's valid_after",
            commit(&world.path("joined"), 2 * HALF_AN_HOUR),
            "key_not_valid",
        ),
        ("a certificate that is over", commit(&over, 90 * 60), "certificate_not_valid"),
        ("a commit dated before its certificate", commit(&short, HALF_AN_HOUR), "certificate_not_valid"),
        ("a certificate by a foreign authority", commit(&foreign, 60), "unknown_certificate_authority"),
        ("a certificate for a principal outside the pattern", commit(&outside, 60), "wrong_principal"),
        ("a host's certificate", commit(&host, 60), "invalid_certificate"),
        ("a certificate with a critical option", commit(&option, 60), "unsupported_critical_option"),
        ("a certified key without its certificate", commit(&world.path("outside"), 60), "unknown_signer"),
        ("a commit signed by the authority itself", commit(&world.path("staff"), 60), "unknown_signer"),
        ("a commit from the future", commit(&world.path("release"), -3600), "commit_in_future"),
        ("a commit older than the policy allows", commit(&world.path("release"), 8 * 86_400), "commit_too_old"),
    ] {
        refuses(&world, attack, world.request_of("production", &commit, None), code);
    }
}

#[test]
fn tags_that_do_not_stand_for_the_commit() {
    let world = world();
    let key = world.path("release");
    let release = Commit { key: Some(&key), date: None };
    let old = world.repo.commit(release);
    let commit = world.repo.commit(Commit::default());
    let tag = |name: &str, target: &str, how: Commit<'_>| world.repo.tag(name, target, how);
    let good = tag("good", &commit, release);
    packs(&world, "a signed tag", world.request_of("production", &commit, Some(&good)));

    let future = ago(&world, -3600);
    let other = world.path("other");
    let said = text(&world, &good);
    let stored = |text: &str| store(&world.repo, "tag", text.as_bytes());
    let (payload, signature) = said.split_at(said.find("-----BEGIN").unwrap());
    let of_another = text(&world, &tag("another", &commit, release));
    let anothers = &of_another[of_another.find("-----BEGIN").unwrap()..];
    let for_approval = ssh_sign(&world, &key, APPROVAL, payload.as_bytes());
    for (attack, tag, code) in [
        ("a tag of another commit", tag("of-old", &old, release), "wrong_tag_target"),
        ("a tag of a tag", tag("of-tag", &good, release), "wrong_tag_target"),
        ("a tag of the commit's tree", tag("of-tree", &format!("{commit}^{{tree}}"), release), "wrong_tag_target"),
        ("an unsigned tag", tag("unsigned", &commit, Commit::default()), "unsigned"),
        (
            "a tag signed by a stranger",
            tag("stranger", &commit, Commit { key: Some(&other), date: None }),
            "unknown_signer",
        ),
        (
            "a tag from the future",
            tag("future", &commit, Commit { key: Some(&key), date: Some(&future) }),
            "tag_in_future",
        ),
        ("a tag moved to this commit", stored(&text(&world, "of-old").replace(&old, &commit)), "bad_signature"),
        ("a tag renamed after it was signed", stored(&said.replace("tag good\n", "tag best\n")), "bad_signature"),
        ("a tag signed for approvals", stored(&format!("{payload}{for_approval}")), "wrong_signature_namespace"),
        ("a tag with two signatures", stored(&format!("{payload}{anothers}{signature}")), "two_signatures"),
        (
            "a tag's header that no signature covers",
            stored(&said.replacen("\n\n", "\ngpgsig hidden\n\n", 1)),
            "foreign_signature",
        ),
        ("a tag whose tagger is called author", stored(&said.replacen("tagger ", "author ", 1)), "malformed_tag"),
    ] {
        refuses(&world, attack, world.request_of("production", &commit, Some(&tag)), code);
    }
    let mut request = world.request_of("production", &commit, Some(&good));
    request.commit.clone_from(&good);
    request.tag = Some(commit.clone());
    refuses(&world, "tag and commit swapped", request, "wrong_kind");
    let mut request = world.request_of("production", &commit, Some(&good));
    request.tag = Some(request.commit.clone());
    refuses(&world, "the commit named as its own tag", request, "wrong_kind");
    let mut request = world.request_of("production", &old, None);
    request.objects.push(object(&world.repo, "of-old"));
    refuses(&world, "a tag sent along and not named", request, "extra_objects");
    let mut request = world.request_of("production", &commit, None);
    request.tag = Some(good);
    refuses(&world, "a tag named and not sent", request, "missing_object");
}
