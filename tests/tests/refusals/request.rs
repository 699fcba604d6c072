//! What is asked for, and the sealed keys that come along.

use std::fs;

use packproof_tests::{demo, world::World};
use serde_json::Value;

use crate::{assert_next_step, assert_nothing_written, refuses, relabelled};

#[test]
fn sealed_keys_that_are_not_the_pinned_ones() {
    let world = World::start();
    let signer = |name: &str, environment: &str| {
        let mut pack = world.pack(environment);
        pack.signer = world.path(name);
        pack
    };
    for environment in demo::ENVIRONMENTS {
        let other = signer(&format!("keys/other-{environment}.json"), environment);
        refuses(&world, &format!("another signer of {environment}"), &other, "wrong_sealed_signer", 1);
    }
    let mut pack = world.pack("dev");
    pack.age_key = Some(world.path("keys/other-age-key.json"));
    refuses(&world, "another age key", &pack, "wrong_sealed_age_key", 1);

    refuses(
        &world,
        "the other environment's signer",
        &signer("keys/signer-production.json", "dev"),
        "sealed_key_mismatch",
        2,
    );
    let production = world.path("keys/signer-production.json");
    let mut pack = world.pack("dev");
    pack.signer = relabelled(&world, &production, "keys/labelled.json", "checkout", "dev");
    refuses(&world, "the other environment's signer, relabelled", &pack, "kms_rejected", 1);

    // the age key's blob where the signer's must be: another purpose, so another key
    let mut sealed: Value = serde_json::from_slice(&fs::read(world.path("keys/signer-dev.json")).unwrap()).unwrap();
    let age_key: Value = serde_json::from_slice(&fs::read(demo::path("age-key-dev.json")).unwrap()).unwrap();
    for (row, blob, code) in [
        ("an age key as signer", age_key["blob"].as_str().unwrap(), "kms_rejected"),
        ("a blob that is none", "AAAA", "kms_rejected"),
        ("an empty blob", "", "blob_length"),
    ] {
        sealed["blob"] = blob.into();
        fs::write(world.path("keys/changed.json"), sealed.to_string()).unwrap();
        refuses(&world, row, &signer("keys/changed.json", "dev"), code, 1);
    }
    fs::write(world.path("keys/none.json"), "{}").unwrap();
    refuses(&world, "a file that is no sealed key", &signer("keys/none.json", "dev"), "sealed_key_unreadable", 2);
    refuses(&world, "no such file", &signer("keys/nowhere.json", "dev"), "cannot_read", 2);

    let mut pack = world.pack("dev");
    pack.age_key = None;
    refuses(&world, "no age key", &pack, "age_key_missing", 2);
    let mut pack = world.pack("production");
    pack.age_key = Some(demo::path("age-key-dev.json"));
    refuses(&world, "an age key that nothing needs", &pack, "age_key_not_used", 2);
}

#[test]
fn requests_that_make_no_sense() {
    let world = World::start();
    for (row, more, code, exit) in [
        ("a lifetime of nothing", ["--ttl", "0"], "usage", 2),
        ("a lifetime above the policy's", ["--ttl", "86401"], "ttl_refused", 1),
        ("a challenge of 31 bytes", ["--challenge", &"00".repeat(31)], "usage", 2),
        ("an approval that is not there", ["--approval", "nowhere"], "cannot_read", 2),
    ] {
        let mut pack = world.pack("dev");
        pack.more = more.map(str::to_owned).to_vec();
        if row == "a lifetime of nothing" {
            // refused by the command line itself, whose form for people differs
            let (outcome, out) = world.run_pack(&pack, true);
            assert_eq!((outcome.code, outcome.json()["code"].as_str()), (exit, Some(code)), "{row}");
            assert_next_step(row, &outcome.json());
            assert_nothing_written(row, &out);
        } else {
            refuses(&world, row, &pack, code, exit);
        }
    }
    let mut pack = world.pack("dev");
    pack.enclave = "https://enclave.packproof.example:1".to_owned();
    refuses(&world, "an enclave behind https", &pack, "https_not_supported", 2);
    pack.enclave = "enclave".to_owned();
    refuses(&world, "an address of no form", &pack, "enclave_address", 2);
}

#[test]
fn an_output_that_cannot_be_written() {
    let world = World::start();
    let mut pack = world.pack("dev");
    fs::create_dir_all(world.path("taken/in-the-way")).unwrap();
    pack.more = vec!["--receipt".to_owned(), world.path("taken").to_str().unwrap().to_owned()];
    refuses(&world, "a folder in the receipt's place", &pack, "cannot_write", 3);
}

#[test]
fn an_enclave_that_is_not_running() {
    let mut world = World::start();
    let mut pack = world.pack("dev");
    pack.enclave = format!("unix:{}", world.path("nowhere.sock").display());
    refuses(&world, "no socket", &pack, "enclave_unreachable", 3);

    // a socket that a dead enclave left behind
    let left = world.path("left.sock");
    drop(std::os::unix::net::UnixListener::bind(&left).unwrap());
    pack.enclave = format!("unix:{}", left.display());
    refuses(&world, "a socket without a listener", &pack, "enclave_unreachable", 3);

    // somebody else's socket: the KMS's egress
    pack.enclave = format!("unix:{}", world.path("state/enclave.sock_7001").display());
    refuses(&world, "a socket of another protocol", &pack, "enclave_unreachable", 3);
    assert!(world.is_up());
}

#[test]
fn sealing_is_for_keys_that_are_not_there_yet() {
    let mut world = World::start();
    let seal = |world: &World, row: &str, purpose: &str, environment: &str, identity: &str, code: &str, exit: i32| {
        let file = world.path("keys/new.json");
        let mut command = world.command("packproof");
        command.args(["seal", purpose, "--identity", identity, "--environment", environment, "--json", "-o"]);
        command.arg(&file).args(["--enclave", &world.enclave()]);
        world.credentials(&mut command, "ci");
        let outcome = world.run(&mut command).exit(exit);
        assert_eq!(outcome.json()["code"], code, "{row}: {}", outcome.stdout);
        assert_next_step(row, &outcome.json());
        assert!(!file.exists(), "{row}");
    };
    seal(&world, "a pinned signer", "signer", "dev", "checkout", "already_sealed", 1);
    seal(&world, "a pinned age key", "age-key", "dev", "checkout", "already_sealed", 1);
    seal(&world, "an age key where KMS opens the cells", "age-key", "production", "checkout", "no_sealed_age_key", 1);
    seal(&world, "an identity outside the policy", "signer", "dev", "nobody", "not_in_policy", 1);

    // a policy without the public keys allows nothing else than sealing
    world.up(&world.path("birth.toml"), &["--pin"]);
    for environment in demo::ENVIRONMENTS {
        let mut pack = world.pack(environment);
        pack.age_key = None;
        let code = if environment == "dev" { "age_key_missing" } else { "only_seal_allowed" };
        let exit = if environment == "dev" { 2 } else { 1 };
        refuses(&world, &format!("a pack before birth, {environment}"), &pack, code, exit);
    }
    refuses(&world, "a pack before birth, dev with its age key", &world.pack("dev"), "only_seal_allowed", 1);
}
