//! Receipts that do not prove what the auditor expects.

use std::{fs, path::Path};

use packproof_tests::world::{Verify, World, failures};
use serde_json::Value;

/// Runs a verification in both forms, and expects that the answer is no for this reason.
#[track_caller]
fn is_not_valid(world: &World, row: &str, verify: &Verify, code: &str) -> Value {
    let outcome = world.run_verify(verify, true);
    assert_eq!(outcome.code, 1, "{row}\n{}{}", outcome.stdout, outcome.stderr);
    let report = outcome.json();
    assert_eq!(report["valid"], false, "{row}: {report}");
    let failed = failures(&report);
    assert!(failed.iter().any(|found| found == code), "{row}: expected {code}, failed are {failed:?}");

    let outcome = world.run_verify(verify, false);
    assert_eq!(outcome.code, 1, "{row}, for people\n{}{}", outcome.stdout, outcome.stderr);
    let verdict = outcome.stdout.lines().find_map(|line| line.strip_prefix("NOT VALID: ")).unwrap_or_default();
    assert!(verdict.split(", ").any(|told| told == code), "{row}: people are told {verdict:?}");
    report
}

#[test]
fn receipts_held_against_other_expectations() {
    let world = World::start();
    let dev = world.packed(&world.pack("dev"));
    let again = world.packed(&world.pack("dev"));
    let production = world.packed(&world.pack("production"));
    let good = world.verify(&dev);
    let _ = world.run_verify(&good, true).exit(0);
    let with = |change: &dyn Fn(&mut Verify)| {
        let mut verify = good.clone();
        change(&mut verify);
        verify
    };
    let flag = |name: &str, value: &str| {
        let mut verify = good.clone();
        verify.more = vec![name.to_owned(), value.to_owned()];
        verify
    };
    let verify = |row, verify: Verify, code| is_not_valid(&world, row, &verify, code);

    verify("another artifact of the same kind", with(&|v| v.artifact = again.artifact.clone()), "artifact_sha256");
    verify("another receipt of the same kind", with(&|v| v.receipt = again.receipt.clone()), "artifact_sha256");
    verify("the other environment's artifact", with(&|v| v.artifact = production.artifact.clone()), "artifact_sha256");
    verify("the other environment", with(&|v| v.environment = "production".to_owned()), "environment_mismatch");
    verify("an environment outside the policy", with(&|v| v.environment = "staging".to_owned()), "not_in_policy");
    verify("another identity", with(&|v| v.identity = "nightly".to_owned()), "not_in_policy");
    verify("another commit", flag("--commit", &"0".repeat(40)), "commit_mismatch");
    let _ = world.run_verify(&flag("--commit", &world.base), true).exit(0);
    verify("a challenge that was never sent", flag("--challenge", &"ab".repeat(32)), "challenge_mismatch");
    verify("a required challenge", flag("--require", "challenge"), "challenge_required");
    verify("a required time", flag("--require", "time"), "time_required");

    let changed = world.changed_policy("changed.toml", "schema = 1", "schema = 1 # changed");
    let changed = world.path(changed.file_name().unwrap().to_str().unwrap());
    verify("another policy", with(&|v| v.policy = changed.clone()), "image_pcr2");
    let release = fs::read_to_string(world.path("state/release/release.json")).unwrap();
    let pcr1 = serde_json::from_str::<Value>(&release).unwrap()["pcr1"].as_str().unwrap().to_owned();
    let other = world.path("state/release/other.json");
    fs::write(&other, release.replace(&pcr1, &"ab".repeat(48))).unwrap();
    verify("another release", with(&|v| v.image = other.clone()), "image_pcr1");

    // mock evidence, given to an auditor who expects AWS's root: no, whatever else is right
    let report = verify("AWS's root expected", with(&|v| v.root = None), "simulated_evidence");
    assert!(failures(&report).contains(&"simulated_policy_under_aws_root".to_owned()), "{report}");
    let elsewhere = World::start();
    let root = elsewhere.path("state/root.pem");
    verify("another mock's root", with(&|v| v.root = Some(root.clone())), "chain_root_mismatch");
}

#[test]
fn receipts_and_artifacts_that_were_changed() {
    let world = World::start();
    let packed = world.packed(&world.pack("production"));
    let good = world.verify(&packed);
    let receipt = fs::read_to_string(&packed.receipt).unwrap();
    let artifact = fs::read_to_string(&packed.artifact).unwrap();
    let lines: Vec<&str> = receipt.lines().collect();
    let changed = |name: &str, text: &str| {
        let path = world.path(name);
        fs::write(&path, text).unwrap();
        path
    };
    let with_receipt = |text: &str| Verify { receipt: changed("changed.jsonl", text), ..good.clone() };
    let with_artifact = |text: &str| Verify { artifact: changed("changed.json", text), ..good.clone() };

    for (row, text, code) in [
        ("a space more", artifact.clone() + " ", "artifact_sha256"),
        ("another revision", artifact.replace("\"revision\": \"1", "\"revision\": \"2"), "artifact_signature"),
        ("a longer life", artifact.replace("\"expiresAt\": \"2", "\"expiresAt\": \"3"), "artifact_signature"),
    ] {
        assert_ne!(text, artifact, "{row}");
        is_not_valid(&world, row, &with_artifact(&text), code);
    }
    let flipped = |line: &str, after: &str| {
        let at = line.find(after).unwrap() + after.len() + 40;
        let other = if line[at..].starts_with('A') { 'B' } else { 'A' };
        format!("{}{other}{}", &line[..at], &line[at + 1..])
    };
    for (row, text) in [
        ("a statement changed", format!("{}\n{}\n", flipped(lines[0], "\"payload\":\""), lines[1])),
        ("the evidence changed", format!("{}\n{}\n", lines[0], flipped(lines[1], "\"payload\":\""))),
        ("a signature changed", format!("{}\n{}\n", flipped(lines[0], "\"sig\":\""), lines[1])),
        ("lines swapped", format!("{}\n{}\n", lines[1], lines[0])),
        ("a line twice", format!("{}\n{}\n", lines[0], lines[0])),
        ("one line", format!("{}\n", lines[0])),
        ("three lines", format!("{receipt}{}\n", lines[1])),
        ("no receipt", String::new()),
    ] {
        let outcome = world.run_verify(&with_receipt(&text), true);
        assert!(matches!(outcome.code, 1 | 2), "{row}: {}\n{}{}", outcome.code, outcome.stdout, outcome.stderr);
        assert_ne!(outcome.json()["valid"], true, "{row}");
    }
    // the evidence of another pack under this statement
    let other = world.packed(&world.pack("production"));
    let other = fs::read_to_string(&other.receipt).unwrap();
    let mixed = format!("{}\n{}\n", lines[0], other.lines().nth(1).unwrap());
    let outcome = world.run_verify(&with_receipt(&mixed), true).exit(1);
    assert!(!failures(&outcome.json()).is_empty());
}

#[test]
fn input_that_is_not_there_is_no_verdict() {
    let world = World::start();
    let packed = world.packed(&world.pack("dev"));
    let good = world.verify(&packed);
    let nowhere = || world.path("nowhere");
    for (row, verify) in [
        ("receipt", Verify { receipt: nowhere(), ..good.clone() }),
        ("artifact", Verify { artifact: nowhere(), ..good.clone() }),
        ("policy", Verify { policy: nowhere(), ..good.clone() }),
        ("release", Verify { image: nowhere(), ..good.clone() }),
        ("root", Verify { root: Some(nowhere()), ..good.clone() }),
    ] {
        let outcome = world.run_verify(&verify, false);
        assert_eq!(outcome.code, 2, "{row}\n{}{}", outcome.stdout, outcome.stderr);
        assert!(outcome.stderr.contains("nowhere"), "{row}: {}", outcome.stderr);
    }
    // simulated evidence needs to be asked for by name, and a root with it
    for arguments in [&["--simulated"][..], &["--root", "root.pem"]] {
        let mut verify = good.clone();
        verify.root = None;
        verify.more = arguments.iter().map(|flag| (*flag).to_owned()).collect();
        let outcome = world.run_verify(&verify, false);
        assert_eq!(outcome.code, 2, "{arguments:?}\n{}{}", outcome.stdout, outcome.stderr);
    }
    assert!(Path::new(&packed.artifact).is_file());
}
