//! The values in the cells appear in no output of any process, on success and on refusals.

use std::fs;

use base64::{Engine, prelude::BASE64_STANDARD};
use packproof_tests::{
    canary::Canaries,
    demo::{self, ENVIRONMENTS},
    peers::{check, peer},
    process::Outcome,
    repo::Commit,
    world::World,
};
use serde_json::json;

fn canaries() -> Canaries {
    let plaintexts: Vec<_> = ENVIRONMENTS.iter().map(|name| (*name, demo::plaintext(name))).collect();
    Canaries::of(&plaintexts)
}

/// Everything under the world's folder: the logs of every process that ran in it, its outputs, its state. The image's
/// sections are left out: they are the program under test, not what it says.
#[track_caller]
fn assert_clean(world: &World, at_least: usize) {
    let (found, searched) = canaries().in_folder(&world.path("."), &world.path("./state/release"));
    assert!(found.is_empty(), "values are in the open:\n{}", found.join("\n"));
    assert!(searched >= at_least, "only {searched} files were searched");

    // more forms, and git's compressed objects
    let Some(python) = peer("PACKPROOF_PYTHON") else { return };
    let values = tempfile::NamedTempFile::new().unwrap();
    let mut named = serde_json::Map::new();
    for environment in ENVIRONMENTS {
        for (namespace, keys) in demo::plaintext(environment).as_object().unwrap() {
            let long = keys.as_object().unwrap().iter().filter(|(_, value)| value.as_str().unwrap().len() >= 8);
            named.extend(long.map(|(key, value)| (format!("{environment}/{namespace}.{key}"), value.clone())));
        }
    }
    fs::write(values.path(), json!(named).to_string()).unwrap();
    let mut search = world.plain_command(&python);
    search.arg(check("canary.py")).arg("--canaries").arg(values.path());
    search.arg("--except").arg(world.path("state/release")).arg(world.path("."));
    let _ = Outcome::of(&mut search).ok();
}

#[test]
fn the_search_finds_what_it_is_made_to_find() {
    let canaries = canaries();
    let value = "demo-production-stripe-api-key-c09e4d";
    let name = "production/stripe.API_KEY";
    let hidden = [
        format!("level=info {value} end").into_bytes(),
        hex::encode(value).into_bytes(),
        hex::encode_upper(format!("x{value}")).into_bytes(),
        BASE64_STANDARD.encode(value).into_bytes(),
        BASE64_STANDARD.encode(format!("x{value}y")).into_bytes(),
        BASE64_STANDARD.encode(format!("xx{value}yy")).into_bytes(),
        format!("{:?}", value.as_bytes()).into_bytes(),
        value.bytes().rev().collect(),
        value.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        [b"\xff\x00".as_slice(), value.as_bytes()].concat(),
    ];
    for (row, content) in hidden.iter().enumerate() {
        let found = canaries.in_bytes(content);
        assert!(found.iter().any(|line| line.starts_with(name)), "form {row} was not found: {found:?}");
    }
    // both lines of a value of two
    assert!(!canaries.in_bytes(b"{\"PASSWORD\":\"demo-production-database-password-41c7\\n\"}").is_empty());
    for clean in [b"".as_slice(), b"demo-production-stripe-api-key-", b"0123456789abcdef"] {
        assert!(canaries.in_bytes(clean).is_empty());
    }

    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("deep")).unwrap();
    fs::write(folder.path().join("deep/file"), format!("a\n{value}")).unwrap();
    fs::write(folder.path().join(value), "").unwrap();
    let (found, searched) = canaries.in_folder(folder.path(), &folder.path().join("no"));
    let of = |file: &str| found.iter().filter(|line| line.contains(file)).count();
    assert!(searched == 2 && of("deep/file: production/stripe.API_KEY raw") == 1 && of(value) > 0, "{found:?}");
    assert!(!found.iter().any(|line| line.contains("deep/file") && line.contains(value)), "the report shows the value");
}

#[test]
fn no_value_is_in_the_open_after_a_pack() {
    let mut world = World::start();
    for environment in ENVIRONMENTS {
        let packed = world.packed(&world.pack(environment));
        for json in [false, true] {
            let _ = world.run_pack(&world.pack(environment), json).0.ok();
            let _ = world.run_verify(&world.verify(&packed), json).ok();
            let mut inspect = world.command("packproof");
            let _ = world.run(inspect.arg("inspect").arg(&packed.artifact).args(json.then_some("--json"))).ok();
        }
    }
    world.stop();
    assert!(world.said_by_up().contains("\"request\":\"pack\",\"outcome\":\"done\""), "the enclave's log was not kept");
    assert_clean(&world, 60);
}

#[test]
fn no_value_is_in_the_open_after_a_refusal() {
    let mut world = World::start();
    let swap = |world: &World, path: &str, from: &str, to: &str| {
        let (head, tail) = world.repo.read(path).split_once(from).map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        world.repo.write(path, &format!("{head}{to}{tail}"));
    };
    for environment in ENVIRONMENTS {
        let cell = format!("secrets/stripe/{environment}.enc.yaml");
        let refused = |world: &World, row: &str, code: &str| {
            for json in [false, true] {
                let (outcome, _) = world.run_pack(&world.pack(environment), json);
                let said = outcome.stdout.clone() + &outcome.stderr;
                assert!(outcome.code != 0 && said.contains(code), "{row}, {environment}: {said}");
            }
        };
        // after every value was decrypted: the MAC, a value, a type, a value that Clef cannot carry
        for (row, from, to) in [
            ("another date, so another MAC", "lastmodified: \"2026", "lastmodified: \"2025"),
            ("a value", "API_KEY: ENC[AES256_GCM,data:", "API_KEY: ENC[AES256_GCM,data:AAAA"),
            ("a type", "type:bool", "type:int"),
        ] {
            world.repo.reset(&world.base);
            swap(&world, &cell, from, to);
            world.repo.commit(Commit { key: Some(&world.path("release")), date: None });
            refused(&world, row, "content_refused");
        }
        world.repo.reset(&world.base);
        // KMS gives keys away in clear, or fails after some calls have worked
        for (faults, code) in
            [("{\"answer_with_plaintext\":true}", "plaintext_in_answer"), ("{\"throttle_next\":40}", "kms_unavailable")]
        {
            world.faults(Some(faults));
            refused(&world, faults, code);
            world.faults(None);
        }
        let mut pack = world.pack(environment);
        pack.signer = world.path(&format!("keys/other-{environment}.json"));
        let (outcome, _) = world.run_pack(&pack, true);
        assert_eq!(outcome.exit(1).json()["code"], "wrong_sealed_signer");
        pack = world.pack(environment);
        pack.role = "author";
        let (outcome, _) = world.run_pack(&pack, true);
        assert_eq!(outcome.exit(1).json()["code"], "kms_access_denied");
    }
    world.stop();
    assert!(world.said_by_up().contains("\"outcome\":\"content_refused\""), "the enclave's log was not kept");
    assert_clean(&world, 60);
}
