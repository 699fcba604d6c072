//! Step 6: from which inputs, and whose signature stands under them.

mod objects;
mod people;
mod repository;
mod values;

use packproof_receipt::{
    policy::{CellKeys, MissingCells, Pack},
    statement::{Assurance, Dependency, KeyEntry, PackPredicate, Role},
    time::UnixMillis,
};

use super::{Entry, Measured, Times};
use crate::{
    checks::{Checks, Refusal, ensure, quote},
    expectations::{Expectations, Requirement},
};

/// How far the clock of a committer or tagger may run ahead of the security module's.
const CLOCK_SKEW_MS: u64 = 300_000;

pub(crate) fn check(
    checks: &mut Checks<'_>,
    judged: Option<(Measured<'_>, Entry<'_>)>,
    times: Option<Times>,
    expectations: &Expectations<'_>,
) {
    let judged = judged.map(|(measured, entry)| (measured.predicate(), entry));
    let assurance = judged.map(|(predicate, _)| check_assurance(predicate));
    checks.judge("source_assurance", "the enclave vouches for every fact itself", assurance);
    let commit = judged.map(|(predicate, _)| check_commit(predicate));
    checks.judge("source_commit", "the commit asked for is the commit packed", commit);
    match expectations.commit {
        None => {
            let text = "any commit by a signer of the policy was accepted";
            checks.skip("source_expected_commit", Requirement::Commit, "commit_not_requested", text);
        }
        Some(expected) => {
            let expected = judged.map(|(predicate, _)| {
                let found = &predicate.source.commit;
                ensure(found == expected, "commit_mismatch", || {
                    format!("the pack is of commit {}, expected {}", quote(found), quote(expected))
                })
            });
            checks.judge("source_expected_commit", "the commit is the one expected", expected);
        }
    }
    let given = judged.zip(times);
    let signer = given.map(|((predicate, entry), times)| people::check_signer(predicate, entry, times.started));
    checks.judge("source_signer", "the commit's signer is one of the policy's, by name, principal and key", signer);
    let tag = given.map(|((predicate, _), times)| people::check_tag(predicate, times.started));
    checks.judge("source_tag", "where a tag's signature counts, it is the tag asked for, and of this commit", tag);
    let approvals = given.map(|((predicate, entry), times)| people::check_approvals(predicate, entry, times.started));
    checks.judge("source_approvals", "as many other people approved as the policy asks for", approvals);
    let age = given.map(|((predicate, entry), times)| check_age(predicate, entry.pack, times.started));
    checks.judge("source_commit_age", "the commit was young enough for the policy", age);

    let objects = judged.map(|(predicate, _)| objects::check_digests(predicate));
    checks.judge("source_objects", "every object has its id and its SHA-256, once", objects);
    let commit = judged.map(|(predicate, _)| objects::check_commit_object(predicate));
    checks.judge("source_commit_object", "the inputs hang on one commit object and its tree", commit);
    let marker = judged.map(|(predicate, entry)| objects::check_marker(predicate, entry.policy));
    checks.judge("source_marker", "the repository's marker names the policy's repository", marker);
    let manifest = judged.map(|(predicate, entry)| objects::check_manifest(predicate, entry.policy));
    checks.judge("source_manifest", "the manifest is the one that the policy names", manifest);

    let cells = judged.map(|(predicate, entry)| check_cells(predicate, entry.pack));
    checks.judge(
        "source_cells",
        "every cell is of a namespace of the policy, and all of them are in the artifact",
        cells,
    );
    let absent = judged.map(|(predicate, entry)| check_absent(predicate, entry.pack));
    checks.judge("source_absent_cells", "no cell is missing, or the policy allows it", absent);
    match expectations.repository {
        None => {
            let text = "the inputs were not looked up in a clone of the repository";
            checks.skip("source_repository", Requirement::Repository, "repo_not_given", text);
        }
        Some(clone) => {
            let found = judged.map(|(predicate, _)| repository::check(predicate, clone));
            checks.judge("source_repository", "the clone given has the same inputs, signed by the same key", found);
        }
    }
    let schemas = judged.map(|(predicate, entry)| values::check_schemas(predicate, entry.pack));
    checks.judge("source_schemas", "the schemas are those that the policy pins", schemas);
    let pending = judged.map(|(predicate, entry)| values::check_pending(predicate, entry.pack));
    checks.judge("source_pending", "no value is pending, or the policy allows it", pending);
    let keys = judged.map(|(predicate, entry)| check_keys(predicate, entry.pack));
    checks.judge("source_cell_keys", "every cell was opened with one key, and the policy names it", keys);
}

/// The dependencies of one role, in order.
fn of_role(predicate: &PackPredicate, role: Role) -> impl Iterator<Item = &Dependency> {
    let dependencies = &predicate.build_definition.resolved_dependencies;
    dependencies.iter().filter(move |dependency| dependency.annotations.role == role)
}

fn check_assurance(predicate: &PackPredicate) -> Result<(), Refusal> {
    let of_inputs = predicate.build_definition.resolved_dependencies.iter().map(|input| input.annotations.assurance);
    let of_calls = predicate.kms.iter().map(|call| call.assurance);
    let of_key_policies = predicate.key_policies.iter().map(|entry| entry.assurance);
    let of_kms = of_calls.chain(of_key_policies);
    let mut all = of_inputs.chain(of_kms).chain([predicate.source.assurance, predicate.output.assurance]);
    ensure(all.all(|assurance| assurance == Assurance::EnclaveVerified), "host_asserted", || {
        "a fact that the enclave must check itself is only the host's word".to_owned()
    })
}

fn check_commit(predicate: &PackPredicate) -> Result<(), Refusal> {
    let (asked, packed) = (&predicate.build_definition.external_parameters.commit, &predicate.source.commit);
    ensure(asked == packed, "commit_inconsistent", || {
        format!("commit {} was asked for, {} was packed", quote(asked), quote(packed))
    })
}

/// The enclave judges the age when the pack starts, so the same instant counts here.
fn check_age(predicate: &PackPredicate, pack: &Pack, started: UnixMillis) -> Result<(), Refusal> {
    let committed = &predicate.source.committed_on;
    let committed = UnixMillis::parse_rfc3339_ms(committed)
        .ok_or_else(|| Refusal::new("commit_date_format", format!("{} is not a time", quote(committed))))?;
    ensure(committed <= started.saturating_add_millis(CLOCK_SKEW_MS), "commit_in_future", || {
        format!("the commit is of {committed}, after the pack's start at {started}")
    })?;
    let age = started.as_secs().saturating_sub(committed.as_secs());
    ensure(age <= pack.max_commit_age_seconds, "commit_too_old", || {
        format!("the commit was {age} s old, the policy allows {}", pack.max_commit_age_seconds)
    })
}

fn check_cells(predicate: &PackPredicate, pack: &Pack) -> Result<(), Refusal> {
    let mut namespaces = Vec::new();
    for cell in of_role(predicate, Role::Cell) {
        namespaces.push(namespace_in_policy(cell, pack)?);
    }
    ensure(namespaces == predicate.output.namespaces, "cells_and_namespaces", || {
        "the artifact's namespaces are not those of the cells, in their order".to_owned()
    })?;
    namespaces.sort_unstable();
    ensure(namespaces.is_sorted_by(|a, b| a < b), "namespace_repeated", || "two cells have one namespace".to_owned())
}

fn check_absent(predicate: &PackPredicate, pack: &Pack) -> Result<(), Refusal> {
    for cell in of_role(predicate, Role::AbsentCell) {
        ensure(pack.missing_cells == MissingCells::Skip, "missing_cell_not_allowed", || {
            format!("cell {} is not in the commit, and the policy refuses that", quote(&cell.name))
        })?;
        let namespace = namespace_in_policy(cell, pack)?;
        ensure(!predicate.output.namespaces.iter().any(|present| present == namespace), "namespace_repeated", || {
            format!("namespace {} is both absent and in the artifact", quote(namespace))
        })?;
    }
    Ok(())
}

fn namespace_in_policy<'a>(cell: &'a Dependency, pack: &Pack) -> Result<&'a str, Refusal> {
    let namespace = cell.annotations.namespace.as_deref().unwrap_or_default();
    ensure(pack.namespaces.iter().any(|allowed| allowed == namespace), "namespace_not_in_policy", || {
        format!("cell {} is of namespace {}, which the policy does not allow", quote(&cell.name), quote(namespace))
    })?;
    Ok(namespace)
}

fn check_keys(predicate: &PackPredicate, pack: &Pack) -> Result<(), Refusal> {
    for cell in of_role(predicate, Role::Cell) {
        let entries = &cell.annotations.key_entries;
        ensure(entries.iter().filter(|entry| entry.used).count() == 1, "cell_key_count", || {
            format!("cell {} was not opened with exactly one key", quote(&cell.name))
        })?;
        for entry in entries {
            let allowed = is_allowed(pack, entry);
            ensure(allowed || !entry.used, "cell_key_not_in_policy", || {
                format!(
                    "cell {} was opened with {}, which the policy does not name",
                    quote(&cell.name),
                    quote(&entry.id)
                )
            })?;
            ensure(allowed || !pack.only_recipients, "cell_foreign_recipient", || {
                format!(
                    "cell {} can be opened by {}, too, and the policy refuses that",
                    quote(&cell.name),
                    quote(&entry.id)
                )
            })?;
        }
    }
    Ok(())
}

fn is_allowed(pack: &Pack, entry: &KeyEntry) -> bool {
    match (&pack.cell_keys, entry.kind.as_str()) {
        (CellKeys::Kms(keys), "kms") => keys.iter().any(|key| key.arn == entry.id),
        (CellKeys::Sealed { recipient, .. }, "age") => recipient.as_ref() == Some(&entry.id),
        _ => false,
    }
}
