//! What a signed manifest may not ask for, and a signed cell may not bring.

use packproof_tests::{demo, forge::object, repo::Commit, world::World};
use packproof_wire::PackRequest;

use crate::{packs, refuses};

fn commit(world: &World) {
    world.repo.commit(Commit { key: Some(&world.path("release")), date: None });
}

/// The request of `HEAD` with just these objects, where `packproof` itself would not collect them.
fn with_objects(world: &World, mut request: PackRequest, revisions: &[&str]) -> PackRequest {
    request.commit = world.repo.git(&["rev-parse", "HEAD"]);
    request.objects = revisions.iter().map(|revision| object(&world.repo, revision)).collect();
    request
}

const PATTERN: &str = "secrets/{namespace}/{environment}.enc.yaml";

#[test]
fn manifests_that_lead_elsewhere() {
    let world = World::start();
    let top = ["HEAD", "HEAD^{tree}", "HEAD:.packproof", "HEAD:.packproof/repository", "HEAD:clef.yaml"];
    for (attack, pattern, code) in [
        (
            "a pattern without a namespace",
            "secrets/stripe/{environment}.enc.yaml",
            "manifest_pattern_lacks_placeholder",
        ),
        (
            "a pattern without an environment",
            "secrets/{namespace}/production.enc.yaml",
            "manifest_pattern_lacks_placeholder",
        ),
        ("a pattern that leaves the repository", "../{namespace}/{environment}.enc.yaml", "matrix_path_not_inside"),
        ("an absolute pattern", "/secrets/{namespace}/{environment}.enc.yaml", "matrix_path_not_inside"),
        ("a pattern with a backslash", "secrets\\\\{namespace}/{environment}.enc.yaml", "matrix_path_character"),
    ] {
        let request = world.request("dev");
        world.repo.replace("clef.yaml", PATTERN, &format!("\"{pattern}\""));
        commit(&world);
        refuses(&world, attack, with_objects(&world, request, &top), code);
        world.repo.reset(&world.base);
    }

    // Cells of other names, and then a manifest by which rds-orders in dev is also rds in orders-dev. All that a pack of
    // dev needs is there: the second cell need not even be asked for.
    world.repo.replace("clef.yaml", PATTERN, "secrets/{namespace}-{environment}.enc.yaml");
    for namespace in demo::NAMESPACES {
        let [from, to] = ["/", "-"].map(|separator| format!("secrets/{namespace}{separator}dev.enc.yaml"));
        world.repo.git(&["mv", &from, &to]);
    }
    commit(&world);
    packs(&world, "cells of other names", world.request("dev"));
    let request = world.request("dev");
    world.repo.replace(
        "clef.yaml",
        "1\nenvironments:\n",
        "1\nenvironments:\n  - { name: orders-dev, description: More }\n",
    );
    world.repo.replace("clef.yaml", "\nnamespaces:\n", "\nnamespaces:\n  - { name: rds, description: More }\n");
    commit(&world);
    let cells = ["HEAD:secrets", "HEAD:secrets/stripe-dev.enc.yaml", "HEAD:secrets/rds-orders-dev.enc.yaml"];
    let request = with_objects(&world, request, &[&top[..], &cells].concat());
    refuses(&world, "a pattern that maps two cells to one path", request, "matrix_shared_path");
    world.repo.reset(&world.base);
    packs(&world, "the first commit", world.request("dev"));
}

#[test]
fn policies_that_say_only_recipients() {
    let mut world = World::start();
    let only = world.changed_policy("only.toml", "max_ttl_seconds", "only_recipients = true\nmax_ttl_seconds");
    world.up(&only, &["--pin"]);
    for environment in demo::ENVIRONMENTS {
        packs(&world, environment, world.request(environment));
    }
    // a second recipient beside the policy's, which no MAC covers: whoever added it can open every later version
    let cell = "secrets/stripe/dev.enc.yaml";
    let text = world.repo.read(cell);
    let start = text.find("    age:\n").unwrap() + "    age:\n".len();
    let end = start + text[start..].find("    lastmodified").unwrap();
    let entry = text[start..end].replace(&demo::sealed_recipient(), STRANGER);
    assert_ne!(entry, text[start..end]);
    world.repo.write(cell, &format!("{}{entry}{}", &text[..end], &text[end..]));
    commit(&world);
    refuses(&world, "a cell that a stranger can open too", world.request("dev"), "foreign_recipient");
}

/// An age recipient that nobody has the key of.
const STRANGER: &str = "age1hw6s5cfec9nvsyp00tndcj3xznn099yx07m8qmvnt7t6rjckuqyqljq09z";
