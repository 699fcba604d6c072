//! One byte of the program, or of the policy, is another image: the local KMS refuses it its keys.

use std::{
    fs::{self, Permissions},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::Path,
};

use packproof_tests::{
    canary::files,
    demo::ENVIRONMENTS,
    programs::program,
    world::{Verify, World, failures},
};
use serde_json::{Value, json};

#[track_caller]
fn assert_packs(world: &World) {
    for environment in ENVIRONMENTS {
        let packed = world.packed(&world.pack(environment));
        let verify = Verify { policy: world.report()["policy"].as_str().unwrap().into(), ..world.verify(&packed) };
        let _ = world.run_verify(&verify, true).ok();
    }
}

/// Both packs are refused by KMS, and each key policy by name says why.
#[track_caller]
fn assert_denied(world: &World) {
    assert!(!world.report()["pinned_elsewhere"].as_array().unwrap().is_empty());
    for environment in ENVIRONMENTS {
        let (outcome, out) = world.run_pack(&world.pack(environment), true);
        assert_eq!(outcome.exit(1).json()["code"], "kms_access_denied", "{environment}");
        assert!(!out.exists() || files(&out).is_empty(), "{environment}: something was written");
    }
    let events = fs::read_to_string(world.path("state/kms/events.jsonl")).unwrap();
    let last: Value = serde_json::from_str(events.lines().last().unwrap()).unwrap();
    assert_eq!(last["errorCode"], "AccessDenied", "{last}");
}

#[track_caller]
fn assert_not_valid(world: &World, verify: &Verify, code: &str) {
    let failed = failures(&world.run_verify(verify, true).exit(1).json());
    assert!(failed.iter().any(|found| found == code), "expected {code}, failed are {failed:?}");
}

#[test]
fn one_byte_of_the_program() {
    let mut world = World::start();
    assert_packs(&world);
    let (pcr0, policy) = (world.report()["pcr0"].clone(), world.policy());
    let release = world.path("release-before.json");
    fs::copy(world.path("state/release/release.json"), &release).unwrap();
    world.stop();

    let changed = world.path("packproof-local");
    fs::copy(program("packproof-local"), &changed).unwrap();
    fs::OpenOptions::new().append(true).open(&changed).unwrap().write_all(b"\0").unwrap();
    fs::set_permissions(&changed, Permissions::from_mode(0o755)).unwrap();
    world.use_program(&changed);
    world.up(&policy, &[]);
    assert_ne!(world.report()["pcr0"], pcr0);
    assert_denied(&world);

    // who owns the keys may trust the new image; its receipts are not those of the old release
    world.up(&policy, &["--pin"]);
    assert_eq!(world.report()["pinned_elsewhere"], json!([]));
    assert_packs(&world);
    let packed = world.packed(&world.pack("production"));
    assert_not_valid(&world, &Verify { image: release, ..world.verify(&packed) }, "image_pcr1");

    // and the old image is no longer trusted
    world.use_program(&program("packproof-local"));
    world.up(&policy, &[]);
    assert_eq!(world.report()["pcr0"], pcr0, "the same bytes are the same image");
    assert_denied(&world);
}

#[test]
fn one_byte_of_the_policy() {
    let mut world = World::start();
    assert_packs(&world);
    let (pcr0, before) = (world.report()["pcr0"].clone(), world.policy());
    world.stop();

    let text = fs::read_to_string(&before).unwrap();
    let changed = world.path("changed.toml");
    fs::write(&changed, text + "#").unwrap();
    world.up(&changed, &[]);
    assert_ne!(world.report()["pcr0"], pcr0);
    assert_denied(&world);

    world.up(&changed, &["--pin"]);
    assert_packs(&world);
    let packed = world.packed(&world.pack("dev"));
    assert_not_valid(&world, &Verify { policy: before.clone(), ..world.verify(&packed) }, "image_pcr2");

    world.up(&before, &[]);
    assert_eq!(world.report()["pcr0"], pcr0);
    assert_denied(&world);
}

/// The measurement is of what runs, not of a name: the same bytes elsewhere are the same image.
#[test]
fn the_same_program_under_another_name() {
    let mut world = World::start();
    let pcr0 = world.report()["pcr0"].clone();
    let copy = world.path("another-name");
    fs::copy(program("packproof-local"), &copy).unwrap();
    world.use_program(&copy);
    let policy = world.policy();
    world.up(&policy, &[]);
    assert_eq!(world.report()["pcr0"], pcr0);
    assert_packs(&world);
    assert!(Path::new(&copy).is_file());
}
