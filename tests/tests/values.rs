//! What the policy asks of cells beyond opening them: schemas, pending values, recipients, absence. Held in the enclave,
//! stated in the receipt, judged again by the verifier.

use std::{fs, path::PathBuf, process::Command};

use packproof_tests::{
    demo,
    peers::peer,
    process::Outcome,
    repo::Commit,
    world::{World, failures},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const SCHEMA: &str = "schemas/stripe.yaml";
/// Asks for nothing.
const ANY: &str = "schemas/any.yaml";
/// The demo's stripe cell in dev satisfies it.
const GOOD_SCHEMA: &str = "keys:\n  API_KEY: { type: string, required: true }\n  TIMEOUT_SECONDS: { type: integer, required: true }\n  LIVE: { type: boolean }\n";
const SIDECAR: &str = "secrets/stripe/dev.clef-meta.yaml";
const PENDING: &str =
    "version: 1\npending:\n  - { key: WEBHOOK_SECRET, since: \"2026-11-23T00:00:00.000Z\", setBy: test }\n";

/// A rule added to the dev entry of the policy.
fn under(world: &mut World, rule: &str) {
    let original = world.path("original.toml");
    if !original.exists() {
        fs::copy(world.policy(), &original).unwrap();
    }
    let text = fs::read_to_string(&original).unwrap();
    let (head, dev) = text.split_once("environment = \"dev\"").unwrap();
    fs::write(world.policy(), format!("{head}environment = \"dev\"\n{rule}{dev}")).unwrap();
    let policy = world.policy();
    world.up(&policy, &["--pin"]);
}

fn commit(world: &World) {
    world.repo.commit(Commit { key: Some(&world.path("release")), date: None });
}

#[track_caller]
fn refused(world: &World, row: &str, code: &str) {
    let (outcome, out) = world.run_pack(&world.pack("dev"), true);
    assert_eq!((outcome.code, outcome.json()["code"].as_str()), (1, Some(code)), "{row}: {}", outcome.stdout);
    assert!(!out.exists() || fs::read_dir(&out).unwrap().next().is_none(), "{row}: files were left");
}

/// The verifier's facts of a pack that succeeds.
#[track_caller]
fn packed(world: &World) -> Value {
    let packed = world.packed(&world.pack("dev"));
    let outcome = world.run_verify(&world.verify(&packed), true);
    assert_eq!(failures(&outcome.json()), Vec::<String>::new());
    outcome.ok().json()["facts"].clone()
}

fn with_schema(world: &World, schema: &str) {
    fs::create_dir_all(world.repo.dir.join("schemas")).unwrap();
    world.repo.write(SCHEMA, schema);
    world.repo.write(ANY, "keys: {}\n");
    if !world.repo.read("clef.yaml").contains(SCHEMA) {
        world.repo.replace("clef.yaml", "description: Payment provider", &format!("description: p, schema: {SCHEMA}"));
        world.repo.replace("clef.yaml", "description: Orders database", &format!("description: o, schema: {ANY}"));
    }
    commit(world);
}

fn pin(schema: &str) -> String {
    let sha256 = |text: &str| hex::encode(Sha256::digest(text));
    format!("schemas = {{ \"{SCHEMA}\" = \"{}\", \"{ANY}\" = \"{}\" }}", sha256(schema), sha256("keys: {}\n"))
}

#[test]
fn schemas_are_pinned_and_satisfied() {
    let mut world = World::start();
    with_schema(&world, GOOD_SCHEMA);
    // not pinned, not looked at: as Clef packs
    assert_eq!(packed(&world)["inputs"][0]["schema"], Value::Null);
    under(&mut world, &pin(GOOD_SCHEMA));
    assert_eq!(packed(&world)["inputs"][0]["schema"], SCHEMA);

    with_schema(&world, &format!("{GOOD_SCHEMA}# changed\n"));
    refused(&world, "a changed schema", "schema_changed");
    fs::remove_file(world.repo.dir.join(SCHEMA)).unwrap();
    commit(&world);
    refused(&world, "no schema", "schema_missing");
    with_schema(&world, GOOD_SCHEMA);
    world.repo.replace("clef.yaml", &format!(", schema: {SCHEMA}"), "");
    commit(&world);
    refused(&world, "the manifest no longer applies one", "schema_not_given");
    world.repo.replace("clef.yaml", "description: p ", &format!("description: p, schema: {SCHEMA} "));
    world.repo.replace("clef.yaml", &format!("schema: {ANY}"), "schema: schemas/other.yaml");
    world.repo.write("schemas/other.yaml", GOOD_SCHEMA);
    commit(&world);
    refused(&world, "a schema that nobody pinned", "schema_not_pinned");
    world.repo.reset(&world.base);

    for (row, schema) in [
        ("a key that is not there", "keys:\n  NOT_THERE: { type: string, required: true }\n"),
        ("a key of another type", "keys:\n  API_KEY: { type: integer, required: true }\n"),
        ("a value that no pattern fits", "keys:\n  API_KEY: { type: string, pattern: \"^never$\" }\n"),
    ] {
        with_schema(&world, schema);
        under(&mut world, &pin(schema));
        refused(&world, row, "content_refused");
    }
}

#[test]
fn pending_values_are_refused_or_named() {
    let mut world = World::start();
    world.repo.write(SIDECAR, PENDING);
    commit(&world);
    // as Clef packs: the sidecar is not looked at
    assert_eq!(packed(&world)["inputs"][0]["pendingKeys"], json!([]));
    under(&mut world, "pending = \"refuse\"");
    refused(&world, "a pending value", "pending_values");
    world.repo.write(SIDECAR, "version: 2\n");
    commit(&world);
    refused(&world, "a sidecar of another version", "sidecar_unsupported_version");
    world.repo.write(SIDECAR, "version: 1\npending: []\n");
    commit(&world);
    assert_eq!(packed(&world)["inputs"][0]["pendingKeys"], json!([]));

    world.repo.write(SIDECAR, PENDING);
    commit(&world);
    under(&mut world, "pending = \"name\"");
    assert_eq!(packed(&world)["inputs"][0]["pendingKeys"], json!(["WEBHOOK_SECRET"]));
    // the other namespace has no sidecar, and that is proved
    assert_eq!(packed(&world)["inputs"][1]["pendingKeys"], json!([]));
}

#[test]
fn cells_that_others_can_open_are_refused_where_the_policy_says_so() {
    let Some(sops) = peer("PACKPROOF_SOPS") else { return };
    let mut world = World::start();
    let made = Outcome::of(&mut world.plain_command(&age_keygen())).ok();
    let other = made.stdout.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap().to_owned();
    let plain = world.path("plain.yaml");
    fs::write(&plain, "API_KEY: value\n").unwrap();
    let mut encrypt: Command = world.plain_command(&sops);
    encrypt.args(["encrypt", "--age", &format!("{},{other}", demo::sealed_recipient())]).arg(&plain);
    world.repo.write("secrets/stripe/dev.enc.yaml", &Outcome::of(&mut encrypt).ok().stdout);
    commit(&world);
    assert_eq!(packed(&world)["inputs"][0]["others"], json!([{ "kind": "age", "id": other }]));
    under(&mut world, "only_recipients = true");
    refused(&world, "another recipient", "foreign_recipient");
    world.repo.reset(&world.base);
    packed(&world);
}

#[test]
fn absent_cells_are_left_out_where_the_policy_says_so() {
    let mut world = World::start();
    fs::remove_file(world.repo.dir.join("secrets/rds-orders/dev.enc.yaml")).unwrap();
    commit(&world);
    refused(&world, "an absent cell", "cell_missing");
    under(&mut world, "missing_cells = \"skip\"");
    let facts = packed(&world);
    assert_eq!(
        (&facts["absent"], &facts["namespaces"]),
        (&json!(["secrets/rds-orders/dev.enc.yaml"]), &json!(["stripe"]))
    );
}

fn age_keygen() -> PathBuf {
    peer("PACKPROOF_AGE").map_or_else(|| PathBuf::from("age-keygen"), |age| age.with_file_name("age-keygen"))
}
