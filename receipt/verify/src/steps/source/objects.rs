//! The git objects that a statement lists.

use std::collections::BTreeSet;

use packproof_receipt::{
    policy::Policy,
    statement::{Dependency, PackPredicate, Role},
};
use sha2::{Digest, Sha256};

use super::of_role;
use crate::{
    checks::{Refusal, ensure, quote},
    steps::is_hex,
};

/// The file that names the repository inside its own tree.
const REPOSITORY_MARKER: &str = ".packproof/repository";

/// Each object stands once, with its git id and the SHA-256 of its content; an absent cell has neither.
pub(super) fn check_digests(predicate: &PackPredicate) -> Result<(), Refusal> {
    let id_bytes = if predicate.build_definition.internal_parameters.object_format == "sha256" { 32 } else { 20 };
    let mut names = BTreeSet::new();
    for object in &predicate.build_definition.resolved_dependencies {
        ensure(names.insert(&object.name), "object_repeated", || format!("{} is listed twice", quote(&object.name)))?;
        let well_formed = match id_name(object.annotations.role) {
            None => object.digest.is_empty(),
            Some(id) => {
                object.digest.len() == 2
                    && object.digest.get(id).is_some_and(|id| is_hex(id, id_bytes))
                    && object.digest.get("sha256").is_some_and(|digest| is_hex(digest, 32))
            }
        };
        ensure(well_formed, "object_digest", || {
            format!("{} does not have the digests of its kind", quote(&object.name))
        })?;
        let is_file = id_name(object.annotations.role) == Some("gitBlob");
        let mode = object.annotations.mode.as_deref();
        let right = if is_file { matches!(mode, Some("100644" | "100755")) } else { mode.is_none() };
        ensure(right, "object_mode", || format!("{} is not a regular file", quote(&object.name)))?;
    }
    Ok(())
}

/// Name of the git id among the digests; `None` for what is not there.
const fn id_name(role: Role) -> Option<&'static str> {
    match role {
        Role::Commit => Some("gitCommit"),
        Role::Tag => Some("gitTag"),
        Role::Tree => Some("gitTree"),
        Role::RepositoryMarker | Role::Manifest | Role::Schema | Role::Cell | Role::Sidecar => Some("gitBlob"),
        Role::AbsentCell => None,
    }
}

pub(super) fn check_commit_object(predicate: &PackPredicate) -> Result<(), Refusal> {
    let source = &predicate.source;
    let commit = the_one(predicate, Role::Commit, "commit_object")?;
    let named = |object: &Dependency, id: &str, expected: &String| {
        object.name == *expected && object.digest.get(id) == Some(expected)
    };
    ensure(named(commit, "gitCommit", &source.commit), "commit_object", || {
        "the commit object listed is not the commit packed".to_owned()
    })?;
    let mut trees = of_role(predicate, Role::Tree);
    ensure(trees.any(|tree| named(tree, "gitTree", &source.tree)), "tree_object", || {
        "the commit's tree is not among the objects".to_owned()
    })
}

/// The marker's content is known from the policy, so its SHA-256 is, too.
pub(super) fn check_marker(predicate: &PackPredicate, policy: &Policy) -> Result<(), Refusal> {
    let marker = the_one(predicate, Role::RepositoryMarker, "marker_object")?;
    ensure(marker.name == REPOSITORY_MARKER, "marker_object", || {
        format!("the marker is {}, expected {REPOSITORY_MARKER}", quote(&marker.name))
    })?;
    let repository = &policy.source.repository;
    let mut contents = [repository.clone(), format!("{repository}\n")].into_iter();
    let stated = marker.digest.get("sha256");
    ensure(contents.any(|content| stated == Some(&hex::encode(Sha256::digest(content)))), "marker_content", || {
        format!("the marker does not hold {}: the commit is of another repository", quote(repository))
    })
}

pub(super) fn check_manifest(predicate: &PackPredicate, policy: &Policy) -> Result<(), Refusal> {
    let manifest = the_one(predicate, Role::Manifest, "manifest_object")?;
    ensure(manifest.name == policy.source.manifest, "manifest_object", || {
        format!("the manifest is {}, the policy names {}", quote(&manifest.name), quote(&policy.source.manifest))
    })
}

pub(super) fn the_one<'a>(
    predicate: &'a PackPredicate,
    role: Role,
    code: &'static str,
) -> Result<&'a Dependency, Refusal> {
    let mut found = of_role(predicate, role);
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        _ => Err(Refusal::new(code, format!("there is not exactly one {role:?} among the objects"))),
    }
}

pub(super) fn none_of(predicate: &PackPredicate, role: Role, code: &'static str) -> Result<(), Refusal> {
    ensure(of_role(predicate, role).next().is_none(), code, || format!("there is a {role:?} among the objects"))
}
