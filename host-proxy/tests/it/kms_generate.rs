//! `kms-policy generate`, and `explain` on what it wrote.

use std::fs;

use serde_json::{Value, json};

use crate::{
    kms_fixture::{BIRTH, ENVELOPE, Files, KEY, POLICY, SIGNER, codes, role},
    repository::{Ran, packproof},
};

fn generate(files: &Files, releases: &[&str], policies: &[&str], more: &[&str]) -> Ran {
    let policies: Vec<String> = policies.iter().map(|text| (*text).to_owned()).collect();
    let [ci, admin, author, workload] = ["ci", "admin", "author", "workload"].map(role);
    let mut args = vec!["kms-policy", "generate", "--ci-role", &ci, "--admin-role", &admin];
    args.extend(["--author-role", &author, "--workload-role", &workload]);
    let paths: Vec<String> =
        policies.iter().enumerate().map(|(n, text)| files.write(&format!("packproof-{n}.toml"), text)).collect();
    paths.iter().for_each(|path| args.extend(["--policy", path]));
    releases.iter().for_each(|release| args.extend(["--release", release]));
    args.extend(more);
    packproof(&args, &[])
}

fn policy_of(ran: &Ran, key: &str) -> Value {
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let object = ran.json();
    let keys = object["keys"].as_array().unwrap();
    keys.iter().find(|found| found["arn"] == key).expect(key)["policy"].clone()
}

fn sids(policy: &Value) -> Vec<&str> {
    policy["Statement"].as_array().unwrap().iter().map(|statement| statement["Sid"].as_str().unwrap()).collect()
}

fn by_sid<'a>(policy: &'a Value, sid: &str) -> &'a Value {
    policy["Statement"].as_array().unwrap().iter().find(|statement| statement["Sid"] == sid).expect(sid)
}

#[test]
fn each_use_has_its_shape() {
    let files = Files::new();
    let release = files.release("r1", b"one");
    let ran = generate(&files, &[&release], &[POLICY], &["--json"]);
    let image = ran.json()["images"][0].clone();

    let cells = policy_of(&ran, KEY);
    assert_eq!(
        sids(&cells),
        [
            "AdministratorPins",
            "CiReads",
            "AuthorsEncrypt",
            "ImageUses",
            "DenyOtherImage",
            "DenyOtherPcr1",
            "DenyOtherPcr2",
            "NoWayAround"
        ]
    );
    assert_eq!(
        by_sid(&cells, "ImageUses"),
        &json!({
            "Sid": "ImageUses", "Effect": "Allow", "Principal": { "AWS": role("ci") }, "Action": "kms:Decrypt",
            "Resource": "*",
            "Condition": { "StringEqualsIgnoreCase": {
                "kms:RecipientAttestation:ImageSha384": image["pcr0"],
                "kms:RecipientAttestation:PCR1": image["pcr1"],
                "kms:RecipientAttestation:PCR2": image["pcr2"],
            }},
        })
    );
    for (sid, key, pcr) in [
        ("DenyOtherImage", "ImageSha384", "pcr0"),
        ("DenyOtherPcr1", "PCR1", "pcr1"),
        ("DenyOtherPcr2", "PCR2", "pcr2"),
    ] {
        let condition =
            json!({ "StringNotEqualsIgnoreCase": { format!("kms:RecipientAttestation:{key}"): image[pcr] } });
        assert_eq!(by_sid(&cells, sid)["Condition"], condition);
        assert_eq!(by_sid(&cells, sid)["Principal"], "*");
    }
    let around = &by_sid(&cells, "NoWayAround")["Action"];
    for action in ["ReEncryptFrom", "CreateGrant", "ReplicateKey", "DeriveSharedSecret"] {
        assert!(around.as_array().unwrap().contains(&json!(format!("kms:{action}"))), "{action}");
    }

    let signer = policy_of(&ran, SIGNER);
    assert_eq!(by_sid(&signer, "ImageUses")["Action"], "kms:Decrypt");
    assert_eq!(by_sid(&signer, "NobodyEncrypts")["Effect"], "Deny");
    assert!(!sids(&signer).contains(&"AuthorsEncrypt"));
    assert_eq!(by_sid(&policy_of(&ran, BIRTH), "ImageUses")["Action"], "kms:GenerateDataKey");

    let envelope = policy_of(&ran, ENVELOPE);
    assert_eq!(by_sid(&envelope, "ImageUses")["Action"], "kms:GenerateDataKey");
    assert_eq!(by_sid(&envelope, "WorkloadDecrypts")["Principal"], json!({ "AWS": role("workload") }));
    assert_eq!(
        by_sid(&envelope, "OnlyWorkloadDecrypts")["Condition"],
        json!({ "StringNotEquals": { "aws:PrincipalArn": role("workload") } })
    );
    assert!(!ran.out.contains(":root") && !ran.out.contains("kms:*\""));
}

#[test]
fn a_rollout_pins_two_images_in_lists() {
    let files = Files::new();
    let (one, two) = (files.release("r1", b"one"), files.release("r2", b"two"));
    let ran = generate(&files, &[&one, &two], &[POLICY], &["--json"]);
    let images = ran.json()["images"].clone();
    let cells = policy_of(&ran, KEY);
    for (sid, image) in [("Image1Uses", &images[0]), ("Image2Uses", &images[1])] {
        let pins = &by_sid(&cells, sid)["Condition"]["StringEqualsIgnoreCase"];
        assert_eq!(pins["kms:RecipientAttestation:ImageSha384"], image["pcr0"]);
        assert_eq!(pins["kms:RecipientAttestation:PCR1"], image["pcr1"]);
    }
    let denied = |sid: &str| by_sid(&cells, sid)["Condition"]["StringNotEqualsIgnoreCase"].clone();
    assert_eq!(
        denied("DenyOtherImage")["kms:RecipientAttestation:ImageSha384"],
        json!([images[0]["pcr0"], images[1]["pcr0"]])
    );
    assert_eq!(denied("DenyOtherPcr2")["kms:RecipientAttestation:PCR2"], images[0]["pcr2"], "one policy, one value");

    // The same release under a new policy: the first image bears the key, the second opens it.
    let pinned = POLICY.replacen(
        "key/signer-dev\" }",
        "key/signer-dev\", public_key = \"MCowBQYDK2VwAyEAAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\" }",
        1,
    );
    let ran = generate(&files, &[&one], &[POLICY, &pinned], &["--json"]);
    let birth = policy_of(&ran, BIRTH);
    assert_eq!(by_sid(&birth, "Image1Uses")["Action"], "kms:GenerateDataKey");
    assert_eq!(by_sid(&birth, "Image2Uses")["Action"], "kms:Decrypt");
}

#[test]
fn grants_are_denied_unless_asked_for() {
    let files = Files::new();
    let release = files.release("r1", b"one");
    let cells = policy_of(&generate(&files, &[&release], &[POLICY], &["--json", "--allow-grants"]), KEY);
    assert!(!by_sid(&cells, "NoWayAround")["Action"].as_array().unwrap().contains(&json!("kms:CreateGrant")));
    assert_eq!(by_sid(&cells, "AdministratorGrants")["Principal"], json!({ "AWS": role("admin") }));
}

#[test]
fn files_are_named_by_use_and_key_and_explain_knows_them() {
    let files = Files::new();
    let release = files.release("r1", b"one");
    let out = files.text("policies");
    let ran = generate(&files, &[&release], &[POLICY], &["-o", &format!("{out}/")]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.out.contains(&format!(
            "aws kms put-key-policy --region eu-west-1 --key-id {KEY} --policy file://{out}/cells-cells-production.json"
        )),
        "{}",
        ran.out
    );
    let mut written: Vec<String> =
        fs::read_dir(&out).unwrap().map(|e| e.unwrap().path().to_str().unwrap().to_owned()).collect();
    written.sort();
    assert_eq!(written.len(), 5, "{written:?}");

    let toml = files.text("packproof-0.toml");
    let (workload, admin) = (role("workload"), role("admin"));
    let mut args = vec!["kms-policy", "explain", "--json", "--policy", &toml, "--release", &release];
    args.extend(["--expect-workload", &workload, "--expect-admin", &admin]);
    args.splice(2..2, written.iter().map(String::as_str));
    let ran = packproof(&args, &[]);
    assert_eq!(
        (ran.code, codes(&ran)),
        (0, vec!["note administrator".to_owned(), "note expected_reader".to_owned()]),
        "{}{}",
        ran.out,
        ran.err
    );
    let uses: Vec<Value> = ran.json()["keys"].as_array().unwrap().iter().map(|key| key["use"].clone()).collect();
    assert_eq!(uses, ["cells", "cells", "envelope", "sealing", "sealing"]);

    // Another release is locked out, and what is pinned instead is not expected.
    let other = files.release("r2", b"two");
    let place = args.iter().position(|arg| *arg == release).unwrap();
    args[place] = &other;
    let ran = packproof(&args, &[]);
    let found = codes(&ran);
    assert_eq!(ran.code, 1);
    assert!(
        found.contains(&"critical opens_unexpected_image".to_owned())
            && found.contains(&"warning image_locked_out".to_owned()),
        "{found:?}"
    );
}

#[test]
fn one_key_is_printed_as_it_is_put() {
    let files = Files::new();
    let release = files.release("r1", b"one");
    let printed = generate(&files, &[&release], &[POLICY], &["--key", KEY]);
    let policy: Value = serde_json::from_str(&printed.out).unwrap();
    assert_eq!(policy["Version"], "2012-10-17");
    let file = files.text("one.json");
    assert_eq!(generate(&files, &[&release], &[POLICY], &["--key", KEY, "-o", &file]).code, 0);
    assert_eq!(fs::read_to_string(&file).unwrap(), printed.out);
    let all: Value = serde_json::from_str(&generate(&files, &[&release], &[POLICY], &[]).out).unwrap();
    assert_eq!(all.as_object().unwrap().len(), 5);
    assert_eq!(all[KEY], policy);
}

#[test]
fn terraform_holds_the_same_statements() {
    let files = Files::new();
    let release = files.release("r1", b"one");
    let ran = generate(&files, &[&release], &[POLICY], &["--format", "terraform"]);
    assert_eq!(ran.out.matches("resource \"aws_kms_key_policy\"").count(), 5);
    assert!(
        ran.out.contains(&format!(
            "resource \"aws_kms_key_policy\" \"cells_cells-production\" {{\n  key_id = \"{KEY}\"\n"
        ))
    );
    assert_eq!(ran.out.matches("StringNotEqualsIgnoreCase = {").count(), 15);
    let folder = files.path("tf");
    fs::create_dir(&folder).unwrap();
    generate(&files, &[&release], &[POLICY], &["--format", "terraform", "-o", folder.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(folder.join("key-policies.tf")).unwrap(), ran.out);
}

#[test]
fn refusals_have_names() {
    let files = Files::new();
    let release = files.release("r1", b"one");
    let code = |releases: &[&str], policies: &[&str], more: &[&str]| {
        let ran = generate(&files, releases, policies, more);
        (ran.error().0, ran.error().1.to_owned())
    };
    let usage = (2, "usage".to_owned());
    assert_eq!(code(&[&release], &[POLICY], &["--key", "arn:x"]), (2, "key_not_in_policy".to_owned()));
    assert_eq!(code(&[&release, &release, &release], &[POLICY], &[]), usage);
    assert_eq!(code(&["/nonexistent/release.json"], &[POLICY], &[]), (2, "unreadable".to_owned()));
    assert_eq!(code(&[&release], &["schema = 2"], &[]), (1, "policy_syntax".to_owned()));
    let swapped = POLICY
        .replace("key/cells-production", "key/x")
        .replace("key/envelope-production", "key/cells-production")
        .replace("key/x", "key/envelope-production");
    assert_eq!(code(&[&release], &[POLICY, &swapped], &[]), (1, "key_policy_conflict".to_owned()));
    assert_eq!(code(&[&release], &[POLICY], &["--author-role", "arn:aws:iam::111122223333:role/*"]), usage);
    // Files and resources are named by key ids, of which no two may be the same.
    let twins = POLICY.replace("eu-west-1:111122223333:key/cells-dev", "eu-west-2:111122223333:key/cells-production");
    assert_eq!(code(&[&release], &[&twins], &[]), usage);
    assert_eq!(generate(&files, &[&release], &[&twins], &["--key", KEY]).code, 0);

    let policy = files.write("p.toml", POLICY);
    let [ci, admin] = ["ci", "admin"].map(role);
    let base = [
        "kms-policy",
        "generate",
        "--policy",
        &policy,
        "--release",
        &release,
        "--ci-role",
        &ci,
        "--admin-role",
        &admin,
    ];
    let ran = packproof(&base, &[]);
    assert!(ran.error() == (2, "usage") && ran.err.contains("--author-role"), "{}", ran.err);
    fs::write(files.path("r1/kernel"), b"Kernel").unwrap();
    assert_eq!(code(&[&release], &[POLICY], &[]), (1, "section_differs".to_owned()));
}

#[test]
fn explain_refuses_what_it_cannot_judge() {
    let files = Files::new();
    let good = files.json("p.json", &crate::kms_fixture::Statements::good().document());
    let run = |args: &[&str]| packproof(&[&["kms-policy", "explain"], args].concat(), &[]);
    let bad = files.write("bad.json", r#"{"Statement":[],"Statement":[]}"#);
    assert_eq!(run(&[&bad]).error(), (2, "key_policy_unreadable"));
    assert_eq!(run(&["/nonexistent"]).error(), (2, "cannot_read"));
    assert_eq!(run(&[&good, "--key", "alias/x"]).error(), (2, "usage"));
    let twins = POLICY.replace("eu-west-1:111122223333:key/cells-dev", "eu-west-2:111122223333:key/cells-production");
    let twins = files.write("twins.toml", &twins);
    let named = files.json("cells-cells-production.json", &crate::kms_fixture::Statements::good().document());
    let ran = run(&[&named, "--policy", &twins]);
    assert!(ran.error() == (2, "usage") && ran.err.contains("--key"), "{}", ran.err);
    assert_eq!(run(&[&good, &good, "--key", KEY]).error(), (2, "usage"));
    assert_eq!(run(&[&good, "--iam", &bad]).error(), (2, "key_policy_unreadable"));
    let grants = files.json(
        "g.json",
        &json!({ "Grants": [{
        "KeyId": SIGNER, "GrantId": "g", "GranteePrincipal": "x", "Operations": ["Decrypt"] }] }),
    );
    assert_eq!(
        run(&[&good, "--key", KEY, "--grants", &grants]).error(),
        (2, "usage"),
        "a grant that nothing is said about"
    );
    let text = run(&[&good]);
    assert!(text.code == 0 && text.out.contains("nobody decrypts outside the enclave"), "{}", text.out);
}
