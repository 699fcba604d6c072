//! A repository whose objects are named by SHA-256 (`git init --object-format=sha256`), from policy to verdict.

use packproof_tests::{
    demo::ENVIRONMENTS,
    forge,
    repo::{Commit, Repo},
    world::World,
};

#[test]
fn a_sha256_repository_is_packed_and_verified() {
    let world = World::start_with("sha256");
    let release = world.path("release");
    let policy = std::fs::read_to_string(world.policy()).unwrap();
    assert!(policy.contains("object_format = \"sha256\""), "{policy}");
    for environment in ENVIRONMENTS {
        let packed = world.packed(&world.pack(environment));
        let facts = world.run_verify(&world.verify(&packed), true).ok().json()["facts"].clone();
        assert_eq!((world.base.len(), facts["commit"].as_str()), (64, Some(world.base.as_str())));
    }
    // git puts the signature into a header of another name
    let signed = String::from_utf8(forge::object(&world.repo, "HEAD").body).unwrap();
    assert!(signed.contains("\ngpgsig-sha256 -----BEGIN SSH SIGNATURE-----\n"), "{signed}");

    // a signed tag of an unsigned commit, everything packed, no branch
    let commit = world.repo.commit(Commit::default());
    world.repo.tag("v1", &commit, Commit { key: Some(&release), date: None });
    world.repo.git(&["gc", "--quiet", "--prune=now"]);
    world.repo.git(&["checkout", "--quiet", "--detach"]);
    let mut pack = world.pack("dev");
    pack.commit = Some("v1".to_owned());
    let packed = world.packed(&pack);
    let verified = world.run_verify(&world.verify(&packed), true).ok().json();
    assert_eq!((&verified["facts"]["tag"], &verified["facts"]["commit"]), (&"v1".into(), &commit.as_str().into()));

    // one changed bit is another object
    let mut request = world.request_of("dev", &world.base, None);
    *request.objects.last_mut().unwrap().body.last_mut().unwrap() ^= 1;
    let (_, said) = packproof_tests::wire::ask(&world.socket(), &packproof_wire::Request::Pack(request));
    assert_eq!(said["code"], "missing_object", "{said}");

    // the same files in a repository of the other format are another repository to this policy
    let other = Repo::of_demo(&world.path("home"), &world.path("sha1"), "sha1");
    other.commit(Commit { key: Some(&release), date: None });
    let mut pack = world.pack("dev");
    pack.dir = other.dir;
    let (outcome, _) = world.run_pack(&pack, true);
    assert_eq!((outcome.code, outcome.json()["code"].as_str()), (1, Some("object_format")), "{}", outcome.stdout);
}
