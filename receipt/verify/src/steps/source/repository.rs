//! The inputs as a clone of the repository has them.

use packproof_receipt::statement::{Dependency, PackPredicate, Role};

use crate::{
    checks::{Refusal, ensure, quote},
    expectations::{RepositoryFacts, TreeFile},
};

/// Every object, file and absence that the statement lists is so in the clone, and git finds the same signer.
pub(super) fn check(predicate: &PackPredicate, clone: &RepositoryFacts) -> Result<(), Refusal> {
    ensure(clone.tree.as_ref() == Some(&predicate.source.tree), "repository_tree", || {
        "the commit is not in the clone, or has another tree there".to_owned()
    })?;
    for object in &predicate.build_definition.resolved_dependencies {
        match object.annotations.role {
            Role::Commit => check_object(object, "gitCommit", clone)?,
            Role::Tag => check_object(object, "gitTag", clone)?,
            Role::Tree => check_object(object, "gitTree", clone)?,
            Role::AbsentCell => ensure(clone.files.get(&object.name) == Some(&None), "repository_absent", || {
                format!("{} is said to be absent, and the clone does not say so", quote(&object.name))
            })?,
            Role::RepositoryMarker | Role::Manifest | Role::Schema | Role::Cell | Role::Sidecar => {
                check_object(object, "gitBlob", clone)?;
                check_file(object, clone)?;
            }
        }
    }
    let stated = &predicate.source.signature.fingerprint;
    ensure(clone.signer.as_ref() == Some(stated), "repository_signature", || {
        let found = clone.signer.as_deref().map_or_else(|| "no signature that counts".to_owned(), quote);
        format!("git finds {found} in the clone, the statement names {}", quote(stated))
    })
}

fn check_object(object: &Dependency, id: &str, clone: &RepositoryFacts) -> Result<(), Refusal> {
    let found = object.digest.get(id).and_then(|id| clone.objects.get(id));
    ensure(found.is_some() && found == object.digest.get("sha256"), "repository_object", || {
        format!("the object of {} is not in the clone, or another one is there under its id", quote(&object.name))
    })
}

fn check_file(object: &Dependency, clone: &RepositoryFacts) -> Result<(), Refusal> {
    let stated = object.annotations.mode.clone().zip(object.digest.get("gitBlob").cloned());
    let stated = stated.map(|(mode, id)| TreeFile { mode, id });
    ensure(stated.is_some() && clone.files.get(&object.name) == Some(&stated), "repository_file", || {
        format!("the clone's commit has something else at {}", quote(&object.name))
    })
}
