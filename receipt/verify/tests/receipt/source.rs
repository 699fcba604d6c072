//! Step 6: from which inputs.

use super::*;

#[test]
fn refuses_facts_on_the_hosts_word() {
    predicate(Dev, "source_assurance", "host_asserted", |predicate| {
        predicate.source.assurance = Assurance::HostAsserted;
    });
    predicate(Dev, "source_assurance", "host_asserted", |predicate| {
        predicate.output.assurance = Assurance::HostAsserted;
    });
    predicate(Dev, "source_assurance", "host_asserted", |predicate| {
        predicate.kms[0].assurance = Assurance::HostAsserted;
    });
    predicate(Dev, "source_assurance", "host_asserted", |predicate| {
        first_cell(predicate).annotations.assurance = Assurance::HostAsserted;
    });
}

#[test]
fn refuses_another_commit() {
    predicate(Dev, "source_commit", "commit_inconsistent", |predicate| {
        predicate.build_definition.external_parameters.commit = "3".repeat(40);
    });
    expecting(Dev, "source_expected_commit", "commit_mismatch", |expectations| {
        expectations.commit = Some("3333333333333333333333333333333333333333");
    });
}

#[test]
fn refuses_a_signer_who_does_not_count() {
    let signature = |code, change: fn(&mut packproof_receipt::statement::SignatureFacts)| {
        predicate(Dev, "source_signer", code, |predicate| change(&mut predicate.source.signature));
    };
    signature("signer_not_in_policy", |signature| signature.signer = "nobody".into());
    signature("signer_not_in_policy", |signature| signature.signer = "stranger".into());
    signature("signer_scheme", |signature| signature.scheme = "gpg".into());
    signature("signer_principal", |signature| signature.principal = "eve@acme.example".into());
    signature("signer_fingerprint", |signature| signature.fingerprint.push('='));
}

#[test]
fn refuses_a_commit_of_the_wrong_age() {
    let committed = |code, at: String| {
        predicate(Dev, "source_commit_age", code, |predicate| predicate.source.committed_on.clone_from(&at));
    };
    committed("commit_date_format", "2026-11-23".into());
    committed("commit_in_future", time(-1_000 + 300_001));
    committed("commit_too_old", time(-1_000 - 604_801_000));
    let kit = Kit::new();
    for at in [time(-1_000 + 300_000), time(-1_000 - 604_800_000)] {
        let made = kit.make_with(Dev, &Tamper::predicate(|predicate| predicate.source.committed_on.clone_from(&at)));
        assert!(verify(&made.receipt, &kit.expectations(&made, Dev)).valid);
    }
}

#[test]
fn refuses_objects_without_their_digests() {
    let objects = |code, change: fn(&mut PackPredicate)| predicate(Dev, "source_objects", code, change);
    objects("object_digest", |predicate| drop(first_cell(predicate).digest.remove("sha256")));
    objects("object_digest", |predicate| drop(first_cell(predicate).digest.insert("sha1".into(), "00".repeat(20))));
    objects("object_digest", |predicate| {
        first_cell(predicate).digest.insert("gitBlob".into(), "AB".repeat(20));
    });
    objects("object_digest", |predicate| {
        first_cell(predicate).digest.insert("gitBlob".into(), "00".repeat(32));
    });
    objects("object_digest", |predicate| {
        of_role(predicate, Role::AbsentCell).digest.insert("sha256".into(), "00".repeat(32));
    });
    objects("object_mode", |predicate| first_cell(predicate).annotations.mode = Some("120000".into()));
    objects("object_mode", |predicate| first_cell(predicate).annotations.mode = None);
    objects("object_repeated", |predicate| {
        let tree = of_role(predicate, Role::Tree).clone();
        predicate.build_definition.resolved_dependencies.push(tree);
    });
}

#[test]
fn refuses_inputs_that_do_not_hang_on_the_commit() {
    let remove = |role: Role| {
        move |predicate: &mut PackPredicate| {
            predicate.build_definition.resolved_dependencies.retain(|object| object.annotations.role != role);
        }
    };
    predicate(Dev, "source_commit_object", "commit_object", remove(Role::Commit));
    predicate(Dev, "source_commit_object", "tree_object", remove(Role::Tree));
    predicate(Dev, "source_marker", "marker_object", remove(Role::RepositoryMarker));
    predicate(Dev, "source_manifest", "manifest_object", remove(Role::Manifest));
    predicate(Dev, "source_commit_object", "commit_object", |predicate| {
        of_role(predicate, Role::Commit).digest.insert("gitCommit".into(), "3".repeat(40));
    });
    predicate(Dev, "source_commit_object", "tree_object", |predicate| predicate.source.tree = "3".repeat(40));
    predicate(Dev, "source_marker", "marker_object", |predicate| {
        of_role(predicate, Role::RepositoryMarker).name = "repository".into();
    });
    predicate(Dev, "source_marker", "marker_content", |predicate| {
        of_role(predicate, Role::RepositoryMarker).digest.insert("sha256".into(), "00".repeat(32));
    });
    predicate(Dev, "source_manifest", "manifest_object", |predicate| {
        of_role(predicate, Role::Manifest).name = "other/clef.yaml".into();
    });
}

#[test]
fn refuses_cells_that_the_policy_does_not_allow() {
    predicate(Dev, "source_cells", "namespace_not_in_policy", |predicate| {
        first_cell(predicate).annotations.namespace = Some("billing".into());
        predicate.output.namespaces = vec!["billing".into()];
    });
    predicate(Dev, "source_cells", "namespace_not_in_policy", |predicate| {
        first_cell(predicate).annotations.namespace = None;
    });
    predicate(Production, "source_cells", "cells_and_namespaces", |predicate| predicate.output.namespaces.reverse());
    predicate(Production, "source_cells", "cells_and_namespaces", |predicate| {
        predicate.output.namespaces.pop();
    });
    predicate(Production, "source_cells", "namespace_repeated", |predicate| {
        first_cell(predicate).annotations.namespace = Some("rds-orders".into());
        predicate.output.namespaces[0] = "rds-orders".into();
    });
}

#[test]
fn refuses_absent_cells_that_must_be_there() {
    under_policy(Dev, "source_absent_cells", "missing_cell_not_allowed", r#"missing_cells = "skip""#, "");
    predicate(Dev, "source_absent_cells", "namespace_not_in_policy", |predicate| {
        of_role(predicate, Role::AbsentCell).annotations.namespace = Some("billing".into());
    });
    predicate(Dev, "source_absent_cells", "namespace_repeated", |predicate| {
        of_role(predicate, Role::AbsentCell).annotations.namespace = Some("stripe".into());
    });
}

#[test]
fn refuses_cells_opened_with_other_keys() {
    let keys = |code, change: fn(&mut Vec<KeyEntry>)| {
        predicate(Dev, "source_cell_keys", code, |predicate| {
            change(&mut first_cell(predicate).annotations.key_entries);
        });
    };
    let foreign = |used| KeyEntry { kind: "age".into(), id: DEV_RECIPIENT.into(), used };
    keys("cell_key_count", Vec::clear);
    keys("cell_key_count", |entries| entries[0].used = false);
    keys("cell_key_count", |entries| entries.push(entries[0].clone()));
    keys("cell_key_not_in_policy", |entries| entries[0].id = DEV_RECIPIENT.into());
    keys("cell_key_not_in_policy", |entries| entries[0].kind = "kms".into());
    predicate(Dev, "source_cell_keys", "cell_foreign_recipient", |predicate| {
        first_cell(predicate).annotations.key_entries.push(foreign(false));
    });
    // without only_recipients, others are listed and allowed
    let kit = Kit::with_policy(|policy| replace(policy, "only_recipients = true", ""));
    let made = kit.make_with(
        Dev,
        &Tamper::predicate(|predicate| {
            first_cell(predicate).annotations.key_entries.push(foreign(false));
        }),
    );
    assert!(verify(&made.receipt, &kit.expectations(&made, Dev)).valid);
}
