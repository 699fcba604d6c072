//! Policies that are refused, by the operator's check and again at start.

use packproof_tests::{demo, world::World};

use crate::{assert_next_step, commit, refuses};

/// Name, text in the policy, what replaces it, code. Refused by `policy check` and by `up`, exit code 1.
type Row = (&'static str, String, String, &'static str);

#[test]
fn policies_that_share_keys_or_say_what_is_not_enforced() {
    let mut world = World::start();
    let [cells, envelope, signer, signer_dev] =
        ["cells-production", "envelope-production", "signer-production", "signer-dev"].map(demo::arn);
    let quoted = |text: &str| format!("\"{text}\"");
    let dev_recipient = "age1h37dyextx2m9glj2h4rhgy03awa9xmel699x6dq2mhu5f3f5zv2suk6lak";
    let public_key = world.verify_key("production");
    let signers = "signers = [\"release\"]";
    let approvals = |threshold: u8, from: &str| {
        format!("{signers}\napprovals = {{ threshold = {threshold}, from = [\"{from}\"] }}")
    };
    let key = std::fs::read_to_string(world.path("release.pub")).unwrap();
    let second = format!("[[source.signer]]\nname = \"second\"\nprincipal = \"b\"\nssh = \"{}\"\n\n", key.trim_end());
    let rows: [Row; 18] = [
        ("a signer's key for two environments", signer_dev.clone(), signer.clone(), "policy_shared_key"),
        ("a signer for two environments", world.verify_key("dev"), public_key, "policy_shared_key"),
        ("one key for cells and envelope", envelope.clone(), cells.clone(), "policy_shared_key"),
        ("one key for cells and signer", signer.clone(), cells.clone(), "policy_shared_key"),
        (
            "one recipient for cells and artifact",
            dev_recipient.to_owned(),
            demo::sealed_recipient(),
            "policy_shared_key",
        ),
        (
            "a dev cell key for production",
            format!("decrypt = [{}]", quoted(&cells)),
            format!("decrypt = [{}, {}]", quoted(&cells), quoted(&demo::arn("age-key-dev"))),
            "policy_shared_key",
        ),
        ("an entry twice", quoted("production"), quoted("dev"), "policy_duplicate"),
        ("an unknown member", "max_ttl_seconds".to_owned(), "max_ttl_secs".to_owned(), "policy_syntax"),
        ("another schema", "schema = 1".to_owned(), "schema = 2".to_owned(), "policy_schema"),
        ("objects of no known format", quoted("sha1"), quoted("md5"), "policy_value"),
        ("more approvals than people", signers.to_owned(), approvals(2, "release"), "policy_value"),
        ("approvals by nobody", signers.to_owned(), approvals(0, "release"), "policy_value"),
        ("an unknown approver", signers.to_owned(), approvals(1, "nobody"), "policy_unknown_signer"),
        ("one SSH key under two names", "[kms]".to_owned(), format!("{second}[kms]"), "policy_duplicate"),
        ("nobody signs", signers.to_owned(), "signers = []".to_owned(), "policy_value"),
        ("an unknown signer", signers.to_owned(), "signers = [\"nobody\"]".to_owned(), "policy_unknown_signer"),
        (
            "a multi-Region key",
            "key/de300000-0000-4000-8000-000000000002".to_owned(),
            "key/mrk-1".to_owned(),
            "policy_value",
        ),
        ("no TOML", "[source]".to_owned(), "[source".to_owned(), "policy_syntax"),
    ];
    for (row, from, to, code) in &rows {
        let policy = world.changed_policy("changed.toml", from, to);
        let mut check = world.command("packproof");
        let checked = world.run(check.args(["policy", "check", "--json"]).arg(&policy)).exit(1);
        assert_eq!(checked.json()["code"], *code, "{row}: {}", checked.stdout);
        let outcome = world.try_up(&policy, &["--pin"]).expect_err(row).exit(1);
        let said = outcome.stderr.trim_end();
        assert!(said.starts_with("packproof-local: error: ") && said.ends_with(&format!("[{code}]")), "{row}: {said}");
        assert!(!world.socket().exists(), "{row}: an enclave was started");
    }
}

#[test]
fn policies_that_are_not_for_this_local_mode() {
    let mut world = World::start();
    let policy = std::fs::read_to_string(world.policy()).unwrap();
    let (head, tail) = policy.split_once("simulated = ").unwrap();
    let (_, tail) = tail.split_once("\"\"\" }").unwrap();
    let aws = format!("{head}endpoint = \"aws\"{tail}");

    let other = World::start();
    let theirs = std::fs::read_to_string(other.path("state/ca.pem")).unwrap();
    let ours = std::fs::read_to_string(world.path("state/ca.pem")).unwrap();
    drop(other);

    for (row, text, code) in [
        ("a policy for AWS", aws, "policy_not_simulated"),
        (
            "another host",
            policy.replace("https://localhost:", "https://kms.packproof.example:"),
            "policy_not_simulated",
        ),
        ("another state's CA", policy.replace(&ours, &theirs), "policy_other_ca"),
        ("an unknown key", policy.replace("-000000000002", "-000000000009"), "unknown_key"),
    ] {
        let path = world.path("changed.toml");
        std::fs::write(&path, &text).unwrap();
        assert_ne!(text, policy, "{row}");
        let outcome = world.try_up(&path, &["--pin"]).expect_err(row).exit(1);
        let said = outcome.stderr.trim_end();
        assert!(said.ends_with(&format!("[{code}]")), "{row}: {said}");
        let message = said.rsplit_once(" [").unwrap().0;
        assert_next_step(row, &serde_json::json!({ "message": message.replace(": [kms]", "; [kms]") }));
    }
    let policy = world.policy();
    world.up(&policy, &["--pin"]);
    world.packed(&world.pack("production"));
}

#[test]
fn a_narrower_policy_narrows_what_the_same_repository_gets() {
    let mut world = World::start();
    for (row, from, to, environment, code) in [
        (
            "fewer namespaces",
            "namespaces = [\"stripe\", \"rds-orders\"]",
            "namespaces = [\"stripe\"]",
            "dev",
            "namespace_not_in_policy",
        ),
        (
            "younger commits",
            "max_commit_age_seconds = 604800",
            "max_commit_age_seconds = 1",
            "production",
            "commit_too_old",
        ),
        (
            "smaller requests",
            "\n# one entry",
            "\n[limits]\nmax_request_bytes = 65536\n# one entry",
            "dev",
            "request_too_large",
        ),
    ] {
        let policy = world.changed_policy("narrow.toml", from, to);
        world.up(&policy, &["--pin"]);
        match code {
            "commit_too_old" => std::thread::sleep(std::time::Duration::from_millis(2100)),
            "request_too_large" => {
                let long = "# a long manifest\n".repeat(5_000);
                world.repo.write("clef.yaml", &(world.repo.read("clef.yaml") + &long));
                commit(&world);
            }
            _ => {}
        }
        refuses(&world, row, &world.pack(environment), code, 1);
    }
    world.repo.reset(&world.base);

    // the other entry's signer signs nothing here
    let both = "[[source.signer]]\nname = \"second\"\nprincipal = \"second@packproof.example\"\nssh = ";
    let key = std::fs::read_to_string(world.path("other.pub")).unwrap();
    let text = std::fs::read_to_string(world.policy()).unwrap();
    let text = text.replace("[kms]", &format!("{both}\"{}\"\n\n[kms]", key.trim_end()));
    let (head, tail) = text.split_once("environment = \"production\"").unwrap();
    let tail = tail.replace("signers = [\"release\"]", "signers = [\"second\"]");
    let policy = world.path("second.toml");
    std::fs::write(&policy, format!("{head}environment = \"production\"{tail}")).unwrap();
    world.up(&policy, &["--pin"]);
    world.packed(&world.pack("dev"));
    refuses(&world, "signed by dev's signer", &world.pack("production"), "unknown_signer", 1);
}
