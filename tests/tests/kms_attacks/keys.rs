//! Keys, blobs, contexts, callers and images in each other's place, with an honest KMS.

use std::fs;

use base64::{Engine, prelude::BASE64_STANDARD};
use packproof_tests::{
    demo::{ENVIRONMENTS, arn},
    repo::Commit,
    world::{World, blob},
};

use super::{packs, refuses};

const STRIPE: &str = "secrets/stripe/production.enc.yaml";
const ORDERS: &str = "secrets/rds-orders/production.enc.yaml";

/// The value of a member of a cell's only KMS entry.
fn member(world: &World, cell: &str, name: &str) -> String {
    let text = world.repo.read(cell);
    let line = text.lines().map(|line| line.trim_start_matches([' ', '-'])).find(|line| line.starts_with(name));
    line.unwrap().split_once(": ").unwrap().1.to_owned()
}

/// Packs production after the policy's signer signed a change.
#[track_caller]
fn commit_refused(world: &World, attack: &str, code: &str) {
    world.repo.commit(Commit { key: Some(&world.path("release")), date: None });
    refuses(world, attack, world.request("production"), code);
    world.repo.reset(&world.base);
}

#[test]
fn sealed_blobs_that_are_not_the_pinned_ones() {
    let world = World::start();
    let signer = |name: &str| blob(&world.path(&format!("keys/{name}.json")));
    let encrypted = BASE64_STANDARD.decode(member(&world, STRIPE, "enc:")).unwrap();
    for (attack, environment, sealed, code) in [
        ("a sealed signer of the other environment", "production", signer("signer-dev"), "kms_rejected"),
        ("a sealed signer that is not pinned", "production", signer("other-production"), "wrong_sealed_signer"),
        ("a signer made with Encrypt", "production", encrypted, "kms_rejected"),
        ("a sealed signer with a changed byte", "dev", changed(signer("signer-dev")), "kms_rejected"),
    ] {
        let mut request = world.request(environment);
        request.sealed_signer = sealed;
        refuses(&world, attack, request, code);
    }
    let mut request = world.request("dev");
    request.sealed_age_key = Some(signer("other-age-key"));
    refuses(&world, "a sealed age key that is not pinned", request, "wrong_sealed_age_key");
    let mut request = world.request("dev");
    request.sealed_age_key = Some(signer("signer-dev"));
    refuses(&world, "a sealed signer as age key", request, "kms_rejected");
    for environment in ENVIRONMENTS {
        packs(&world, "the pinned ones", world.request(environment));
    }
}

fn changed(mut blob: Vec<u8>) -> Vec<u8> {
    *blob.last_mut().unwrap() ^= 1;
    blob
}

#[test]
fn cells_whose_keys_were_changed() {
    let mut world = World::start();
    let keys = [STRIPE, ORDERS].map(|cell| member(&world, cell, "enc:"));
    world.repo.replace(STRIPE, &keys[0], &keys[1]);
    world.repo.replace(ORDERS, &keys[1], &keys[0]);
    commit_refused(&world, "wrapped keys of two cells swapped", "content_refused");

    let wrapped = BASE64_STANDARD.decode(&keys[0]).unwrap();
    world.repo.replace(STRIPE, &keys[0], &BASE64_STANDARD.encode(changed(wrapped)));
    commit_refused(&world, "a wrapped key with a changed byte", "kms_rejected");

    let cells = arn("cells-production");
    world.repo.replace(STRIPE, &cells, "arn:aws:kms:eu-west-1:111122223333:alias/cells");
    commit_refused(&world, "an alias in the cell", "no_allowed_key");
    world.repo.replace(STRIPE, &cells, &arn("envelope-production"));
    commit_refused(&world, "another key of the policy in the cell", "no_allowed_key");

    world.repo.replace(
        STRIPE,
        "          created_at:",
        "          context:\n            team: b\n          created_at:",
    );
    commit_refused(&world, "a context that the policy does not name", "wrong_encryption_context");

    let from = format!("decrypt = [\"{cells}\"]");
    let to = format!("decrypt = [{{ kms = \"{cells}\", context = {{ team = \"a\" }} }}]");
    let bound = world.changed_policy("context.toml", &from, &to);
    world.up(&bound, &["--pin"]);
    refuses(&world, "a context dropped", world.request("production"), "wrong_encryption_context");
    let entry = "          context:\n            team: a\n          created_at:";
    world.repo.replace(STRIPE, "          created_at:", entry);
    world.repo.replace(ORDERS, "          created_at:", entry);
    commit_refused(&world, "a context that the key was not wrapped with", "kms_rejected");

    let policy = world.policy();
    world.up(&policy, &["--pin"]);
    packs(&world, "as it was", world.request("production"));
}

#[test]
fn images_that_no_key_policy_names() {
    let mut world = World::start();
    let (old, text) = (world.policy(), fs::read_to_string(world.policy()).unwrap());
    let new = world.path("new.toml");
    fs::write(&new, text + "# a rollout\n").unwrap();
    world.up(&new, &[]);
    refuses(&world, "an image before its rollout", world.request("production"), "kms_access_denied");
    world.up(&new, &["--pin"]);
    for environment in ENVIRONMENTS {
        packs(&world, "the new image", world.request(environment));
    }
    world.up(&old, &[]);
    for environment in ENVIRONMENTS {
        refuses(&world, "an old image after the rollout", world.request(environment), "kms_access_denied");
    }
}

#[test]
fn callers_whom_kms_does_not_know_or_allow() {
    let world = World::start();
    let request = |change: fn(&mut packproof_wire::Credentials)| {
        let mut request = world.request("production");
        change(&mut request.credentials);
        request
    };
    for (attack, request, code) in [
        ("an unknown access key", request(|c| c.access_key_id = "AKIAUNKNOWN".into()), "kms_credentials_refused"),
        ("another secret", request(|c| c.secret_access_key.push('x')), "kms_credentials_refused"),
        ("a header in the access key", request(|c| c.access_key_id = "a\r\nb".into()), "credentials_malformed"),
        (
            "a header in the session token",
            request(|c| c.session_token = Some("a\r\nb".into())),
            "credentials_malformed",
        ),
    ] {
        refuses(&world, attack, request, code);
    }
    let mut request = world.request("production");
    let workload = &world.report()["env"]["workload"];
    request.credentials.access_key_id = workload["AWS_ACCESS_KEY_ID"].as_str().unwrap().into();
    request.credentials.secret_access_key = workload["AWS_SECRET_ACCESS_KEY"].as_str().unwrap().into();
    refuses(&world, "a role that the key policy does not name", request, "kms_access_denied");
}
