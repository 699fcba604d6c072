//! Repository, commit, manifest and cells.

use std::{fs, os::unix::fs::symlink, process::Stdio};

use packproof_tests::{
    demo,
    process::Outcome,
    repo::{Commit, git},
    world::World,
};

use crate::{commit, refuses, relabelled};

const STRIPE_DEV: &str = "secrets/stripe/dev.enc.yaml";
const STRIPE_PRODUCTION: &str = "secrets/stripe/production.enc.yaml";
const MARKER: &str = ".packproof/repository";

/// Name, environment, what is done to the work tree before it is committed and signed, code. Exit code 1.
type Row = (&'static str, &'static str, fn(&World), &'static str);

fn refuses_each(rows: &[Row]) {
    let world = World::start();
    for (row, environment, change, code) in rows {
        world.repo.reset(&world.base);
        change(&world);
        commit(&world);
        refuses(&world, row, &world.pack(environment), code, 1);
    }
    // each row was refused for what it changed: without, the same pack succeeds
    world.repo.reset(&world.base);
    for environment in demo::ENVIRONMENTS {
        world.packed(&world.pack(environment));
    }
}

#[test]
fn commits_that_do_not_count() {
    let world = World::start();
    let release = world.path("release");
    let other = world.path("other");
    let day = 86_400;
    let now = Outcome::of(std::process::Command::new("date").arg("+%s")).ok().stdout.trim().parse::<i64>().unwrap();
    let dated = |seconds: i64| format!("@{seconds} +0000");
    let (old, just_young, future) = (dated(now - 7 * day - 60), dated(now - 7 * day + 600), dated(now + 3600));

    let signed = |date| Commit { key: Some(&release), date: Some(date) };
    for (row, how, code) in [
        ("unsigned", Commit { key: None, date: None }, "unsigned"),
        ("signed by another key", Commit { key: Some(&other), date: None }, "unknown_signer"),
        ("too old", signed(old.as_str()), "commit_too_old"),
        ("from the future", signed(&future), "commit_in_future"),
    ] {
        world.repo.reset(&world.base);
        world.repo.commit(how);
        refuses(&world, row, &world.pack("dev"), code, 1);
    }
    world.repo.reset(&world.base);
    world.repo.commit(signed(&just_young));
    world.packed(&world.pack("dev"));

    // the signature of one commit under the words of another
    world.repo.reset(&world.base);
    let text = world.repo.git(&["cat-file", "commit", "HEAD"]).replace("a change", "another change") + "\n";
    let mut pack = world.pack("dev");
    pack.commit = Some(hash_object(&world, "commit", text.as_bytes()));
    refuses(&world, "signature of another commit", &pack, "bad_signature", 1);
}

fn hash_object(world: &World, kind: &str, content: &[u8]) -> String {
    let file = world.path("object");
    fs::write(&file, content).unwrap();
    let mut git = git(&world.path("home"), &world.repo.dir);
    git.args(["hash-object", "--literally", "-t", kind, "-w"]).arg(file).stdin(Stdio::null());
    Outcome::of(&mut git).ok().stdout.trim().to_owned()
}

#[test]
fn repositories_and_revisions_that_are_not_there() {
    let world = World::start();
    let blob = world.repo.git(&["rev-parse", &format!("HEAD:{STRIPE_DEV}")]);
    for (row, dir, revision, code) in [
        ("a folder without a repository", world.path("keys"), None, "not_a_repository"),
        ("no folder", world.path("nowhere"), None, "not_a_repository"),
        ("an unknown branch", world.repo.dir.clone(), Some("nowhere"), "unknown_revision"),
        ("an unknown id", world.repo.dir.clone(), Some("0123456789012345678901234567890123456789"), "unknown_revision"),
        ("an empty revision", world.repo.dir.clone(), Some(""), "unknown_revision"),
        ("a flag as revision", world.repo.dir.clone(), Some("--all"), "usage"),
        ("a blob as revision", world.repo.dir.clone(), Some(blob.as_str()), "unknown_revision"),
    ] {
        let mut pack = world.pack("dev");
        (pack.dir, pack.commit) = (dir, revision.map(str::to_owned));
        if code == "usage" {
            // no word in the place of a value; git is never asked
            let (outcome, _) = world.run_pack(&pack, true);
            assert_eq!((outcome.code, outcome.json()["code"].as_str()), (2, Some("usage")), "{row}");
        } else {
            refuses(&world, row, &pack, code, 2);
        }
    }
}

#[test]
fn objects_that_are_missing_or_altered() {
    let world = World::start();
    let id = |path: &str| world.repo.git(&["rev-parse", &format!("HEAD:{path}")]);
    let (cell, other) = (world.repo.object(&id(STRIPE_DEV)), world.repo.object(&id(STRIPE_PRODUCTION)));
    let whole = fs::read(&cell).unwrap();

    fs::remove_file(&cell).unwrap();
    refuses(&world, "a missing cell", &world.pack("dev"), "object_missing", 3);

    // git hands it out under the old id; the enclave finds another one
    fs::copy(&other, &cell).unwrap();
    refuses(&world, "an altered cell", &world.pack("dev"), "missing_object", 1);
    fs::remove_file(&cell).unwrap();
    fs::write(&cell, &whole).unwrap();

    for path in [MARKER, "clef.yaml"] {
        let object = world.repo.object(&id(path));
        let whole = fs::read(&object).unwrap();
        fs::remove_file(&object).unwrap();
        refuses(&world, &format!("a missing {path}"), &world.pack("dev"), "object_missing", 3);
        fs::write(&object, whole).unwrap();
    }
    world.packed(&world.pack("dev"));

    // an altered manifest: another recipient under the id that was signed
    let altered = world.repo.read("clef.yaml").replace("age1h37", "age1ss9");
    let altered = hash_object(&world, "blob", altered.as_bytes());
    let manifest = world.repo.object(&id("clef.yaml"));
    fs::remove_file(&manifest).unwrap();
    fs::copy(world.repo.object(&altered), &manifest).unwrap();
    let (outcome, _) = world.run_pack(&world.pack("dev"), true);
    assert_eq!(outcome.code, 1, "{}", outcome.stdout);
}

#[test]
fn files_that_are_not_in_the_commit_or_of_another_repository() {
    refuses_each(&[
        (
            "another repository's marker",
            "dev",
            |world| world.repo.replace(MARKER, "demo/secrets", "demo/other"),
            "wrong_repository",
        ),
        (
            "a marker with more than the name",
            "dev",
            |world| world.repo.write(MARKER, &(world.repo.read(MARKER) + "\n")),
            "wrong_repository",
        ),
        ("no marker", "dev", |world| remove(world, MARKER), "repository_marker_missing"),
        (
            "a link in the marker's place",
            "dev",
            |world| {
                world.repo.write("marker", &world.repo.read(MARKER));
                link(world, "../marker", MARKER);
            },
            "repository_marker_missing",
        ),
        ("no manifest", "dev", |world| remove(world, "clef.yaml"), "manifest_not_in_commit"),
        ("no cell", "dev", |world| remove(world, STRIPE_DEV), "cell_missing"),
        ("no cell of KMS", "production", |world| remove(world, STRIPE_PRODUCTION), "cell_missing"),
        (
            "a cell that git ignores",
            "dev",
            |world| {
                world.repo.git(&["rm", "--quiet", "--cached", STRIPE_DEV]);
                world.repo.write(".gitignore", STRIPE_DEV);
            },
            "cell_missing",
        ),
        ("a link in a cell's place", "dev", |world| link(world, "production.enc.yaml", STRIPE_DEV), "cell_not_regular"),
        (
            "a folder in a cell's place",
            "dev",
            |world| {
                remove(world, STRIPE_DEV);
                fs::create_dir(world.repo.dir.join(STRIPE_DEV)).unwrap();
                world.repo.write(&format!("{STRIPE_DEV}/file"), "");
            },
            "cell_not_regular",
        ),
    ]);
}

fn remove(world: &World, path: &str) {
    fs::remove_file(world.repo.dir.join(path)).unwrap();
}

fn link(world: &World, target: &str, path: &str) {
    remove(world, path);
    symlink(target, world.repo.dir.join(path)).unwrap();
}

#[test]
fn manifests_that_ask_for_what_the_policy_does_not_name() {
    refuses_each(&[
        (
            "a namespace that the policy does not list",
            "dev",
            |world| {
                world.repo.replace(
                    "clef.yaml",
                    "namespaces:\n",
                    "namespaces:\n  - { name: extra, description: More }\n",
                );
                world.repo.replace("clef.yaml", "[stripe, rds-orders]", "[stripe, rds-orders, extra]");
            },
            "namespace_not_in_policy",
        ),
        (
            "a recipient of the manifest's own",
            "dev",
            |world| {
                let manifest = world.repo.read("clef.yaml");
                let (head, tail) = manifest.split_once("dev: { recipient: ").unwrap();
                let (_, tail) = tail.split_once(' ').unwrap();
                world.repo.write("clef.yaml", &format!("{head}dev: {{ recipient: {} {tail}", demo::sealed_recipient()));
            },
            "recipient_not_in_policy",
        ),
        (
            "an envelope key of the manifest's own",
            "production",
            |world| {
                world.repo.replace("clef.yaml", &demo::arn("envelope-production"), &demo::arn("signer-production"));
            },
            "recipient_not_in_policy",
        ),
        (
            "an age recipient in an envelope key's place",
            "production",
            |world| {
                let kms = format!("kms: {{ provider: aws, keyId: \"{}\" }}", demo::arn("envelope-production"));
                world.repo.replace("clef.yaml", &kms, &format!("recipient: {}", demo::sealed_recipient()));
            },
            "recipient_not_in_policy",
        ),
        (
            "the same key in another cloud",
            "production",
            |world| world.repo.replace("clef.yaml", "provider: aws,", "provider: gcp,"),
            "recipient_not_in_policy",
        ),
        (
            "a manifest of another version",
            "dev",
            |world| world.repo.replace("clef.yaml", "version: 1", "version: 2"),
            "manifest_unsupported_version",
        ),
        ("a manifest that is no YAML", "dev", |world| world.repo.write("clef.yaml", "version: [1"), "yaml_syntax"),
    ]);
}

#[test]
fn identities_and_environments_that_are_not_there() {
    let world = World::start();
    let signer = world.path("keys/signer-dev.json");
    let labelled = |identity: &str, environment: &str| {
        let mut pack = world.pack("dev");
        (pack.identity, pack.environment) = (identity.to_owned(), environment.to_owned());
        pack.signer = relabelled(&world, &signer, "keys/labelled.json", identity, environment);
        pack
    };
    refuses(&world, "an unknown identity", &labelled("nobody", "dev"), "unknown_identity", 1);
    refuses(&world, "an unknown environment", &labelled("checkout", "staging"), "unknown_environment", 1);
    refuses(&world, "an identity that is no name", &labelled("Check out", "dev"), "unknown_identity", 1);
    let mut mistyped = world.pack("dev");
    mistyped.identity = "chekout".to_owned();
    refuses(&world, "a mistyped identity with another's sealed key", &mistyped, "sealed_key_mismatch", 2);

    // the manifest knows them, the measured policy does not
    world.repo.replace(
        "clef.yaml",
        "service_identities:\n",
        &format!(
            "service_identities:\n  - name: nightly\n    description: Nightly job\n    namespaces: [stripe]\n    \
             pack_only: true\n    environments:\n      dev: {{ recipient: {} }}\n",
            demo::sealed_recipient()
        ),
    );
    commit(&world);
    refuses(&world, "an identity of the manifest alone", &labelled("nightly", "dev"), "not_in_policy", 1);

    // the policy knows it, the manifest does not
    world.repo.reset(&world.base);
    world.repo.replace("clef.yaml", "name: checkout", "name: nightly");
    commit(&world);
    refuses(&world, "an identity of the policy alone", &world.pack("dev"), "unknown_identity", 1);
}

#[test]
fn cells_that_no_longer_say_what_was_encrypted() {
    refuses_each(&[
        (
            "the MAC of another file",
            "dev",
            |world| {
                let other = line(world, "secrets/rds-orders/dev.enc.yaml", "    mac: ");
                replace_line(world, STRIPE_DEV, "    mac: ", &other);
            },
            "content_refused",
        ),
        (
            "the MAC of another file, under KMS",
            "production",
            |world| {
                let other = line(world, "secrets/rds-orders/production.enc.yaml", "    mac: ");
                replace_line(world, STRIPE_PRODUCTION, "    mac: ", &other);
            },
            "content_refused",
        ),
        ("no MAC", "dev", |world| replace_line(world, STRIPE_DEV, "    mac: ", ""), "sops_missing_mac"),
        (
            "no MAC, under KMS",
            "production",
            |world| replace_line(world, STRIPE_PRODUCTION, "    mac: ", ""),
            "sops_missing_mac",
        ),
        ("a changed value", "dev", |world| flip(world, STRIPE_DEV, "API_KEY: ENC[AES256_GCM,data:"), "content_refused"),
        (
            "a changed value, under KMS",
            "production",
            |world| flip(world, STRIPE_PRODUCTION, "API_KEY: ENC[AES256_GCM,data:"),
            "content_refused",
        ),
        ("a value that is gone", "dev", |world| replace_line(world, STRIPE_DEV, "LIVE: ", ""), "content_refused"),
        (
            "two values in each other's place",
            "dev",
            |world| {
                let (key, secret) = (line(world, STRIPE_DEV, "API_KEY: "), line(world, STRIPE_DEV, "WEBHOOK_SECRET: "));
                replace_line(world, STRIPE_DEV, "API_KEY: ", &secret.replace("WEBHOOK_SECRET", "API_KEY"));
                replace_line(world, STRIPE_DEV, "WEBHOOK_SECRET: ", &key.replace("API_KEY", "WEBHOOK_SECRET"));
            },
            "content_refused",
        ),
        (
            "a value that anybody wrote in clear",
            "dev",
            |world| world.repo.write(STRIPE_DEV, &("ADDED: clear\n".to_owned() + &world.repo.read(STRIPE_DEV))),
            "sops_not_encrypted",
        ),
        (
            "a later date",
            "dev",
            |world| replace_line(world, STRIPE_DEV, "    lastmodified: ", "    lastmodified: \"2027-01-01T00:00:00Z\""),
            "content_refused",
        ),
        (
            "no sops block",
            "dev",
            |world| world.repo.write(STRIPE_DEV, world.repo.read(STRIPE_DEV).split("sops:\n").next().unwrap()),
            "sops_no_metadata",
        ),
        ("an empty file", "dev", |world| world.repo.write(STRIPE_DEV, ""), "yaml_empty"),
        ("no YAML", "dev", |world| world.repo.write(STRIPE_DEV, "a: [1"), "yaml_syntax"),
    ]);
}

#[test]
fn cells_under_keys_that_the_policy_does_not_name() {
    refuses_each(&[
        (
            "the production cell over the dev cell",
            "dev",
            |world| world.repo.write(STRIPE_DEV, &world.repo.read(STRIPE_PRODUCTION)),
            "no_allowed_key",
        ),
        (
            "the dev cell over the production cell",
            "production",
            |world| world.repo.write(STRIPE_PRODUCTION, &world.repo.read(STRIPE_DEV)),
            "no_allowed_key",
        ),
        (
            "another key's ARN",
            "production",
            |world| world.repo.replace(STRIPE_PRODUCTION, &demo::arn("cells-production"), &demo::arn("signer-dev")),
            "no_allowed_key",
        ),
        (
            "another age recipient",
            "dev",
            |world| world.repo.replace(STRIPE_DEV, "recipient: age1ss98", "recipient: age1ss99"),
            "no_allowed_key",
        ),
        (
            "an encryption context",
            "production",
            |world| {
                world.repo.replace(
                    STRIPE_PRODUCTION,
                    "      created_at:",
                    "      context:\n            a: b\n          created_at:",
                )
            },
            "wrong_encryption_context",
        ),
        (
            "a role to assume",
            "production",
            |world| {
                world.repo.replace(
                    STRIPE_PRODUCTION,
                    "      created_at:",
                    "      role: arn:aws:iam::111122223333:role/admin\n          created_at:",
                )
            },
            "key_entry_wants_role",
        ),
        (
            "another file's age entry",
            "dev",
            |world| {
                let text = world.repo.read(STRIPE_DEV);
                let other = world.repo.read("secrets/rds-orders/dev.enc.yaml");
                let entry = |text: &str| {
                    text[text.find("    age:").unwrap()..text.find("    lastmodified").unwrap()].to_owned()
                };
                world.repo.write(STRIPE_DEV, &text.replace(&entry(&text), &entry(&other)));
            },
            "content_refused",
        ),
    ]);
}

fn line(world: &World, path: &str, start: &str) -> String {
    let text = world.repo.read(path);
    let found = text.lines().find(|line| line.starts_with(start));
    found.unwrap_or_else(|| panic!("{path} has no line {start:?}")).to_owned()
}

fn replace_line(world: &World, path: &str, start: &str, with: &str) {
    let found = line(world, path, start);
    let with = if with.is_empty() { String::new() } else { format!("{with}\n") };
    world.repo.replace(path, &format!("{found}\n"), &with);
}

/// Another base64 character after `start`.
fn flip(world: &World, path: &str, start: &str) {
    let text = world.repo.read(path);
    let at = text.find(start).unwrap() + start.len();
    let other = if text[at..].starts_with('A') { 'B' } else { 'A' };
    world.repo.write(path, &format!("{}{other}{}", &text[..at], &text[at + 1..]));
}
