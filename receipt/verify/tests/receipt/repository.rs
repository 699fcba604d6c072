//! Step 6: the inputs as a clone has them.

use packproof_receipt_verify::{RepositoryFacts, TreeFile};

use super::*;

/// What an honest clone says about the kit's receipt.
fn clone_of(predicate: &PackPredicate) -> RepositoryFacts {
    let mut clone = RepositoryFacts {
        tree: Some(predicate.source.tree.clone()),
        signer: Some(predicate.source.signature.fingerprint.clone()),
        ..RepositoryFacts::default()
    };
    for object in &predicate.build_definition.resolved_dependencies {
        let id = ["gitCommit", "gitTree", "gitBlob"].iter().find_map(|kind| object.digest.get(*kind));
        if let Some(id) = id {
            clone.objects.insert(id.clone(), object.digest["sha256"].clone());
        }
        let file = object.annotations.mode.clone().zip(id.cloned()).map(|(mode, id)| TreeFile { mode, id });
        if file.is_some() || object.annotations.role == Role::AbsentCell {
            clone.files.insert(object.name.clone(), file);
        }
    }
    clone
}

/// Judges a good receipt by a clone with one change.
fn judged(change: impl Fn(&mut RepositoryFacts)) -> Report {
    let kit = Kit::new();
    let facts = std::cell::RefCell::new(RepositoryFacts::default());
    let made = kit.make_with(Dev, &Tamper::predicate(|predicate| *facts.borrow_mut() = clone_of(predicate)));
    let mut facts = facts.into_inner();
    change(&mut facts);
    let mut expectations = kit.expectations(&made, Dev);
    expectations.repository = Some(&facts);
    expectations.require = [Requirement::Repository].into();
    verify(&made.receipt, &expectations)
}

#[test]
fn the_clone_must_say_the_same() {
    assert_eq!(failures(&judged(|_| {})), []);
    let refuses =
        |code: &str, change: fn(&mut RepositoryFacts)| assert_only(&judged(change), "source_repository", code);
    refuses("repository_tree", |clone| clone.tree = None);
    refuses("repository_tree", |clone| clone.tree = Some("9".repeat(40)));
    refuses("repository_signature", |clone| clone.signer = None);
    refuses("repository_signature", |clone| clone.signer = Some("SHA256:other".into()));
    let cell = "secrets/stripe/dev.enc.yaml";
    let absent = "secrets/rds-orders/dev.enc.yaml";
    let all = judged(|_| {}).facts.unwrap();
    assert_eq!((all.inputs[0].path.as_str(), all.absent[0].as_str()), (cell, absent));
    refuses("repository_file", |clone| drop(clone.files.remove("secrets/stripe/dev.enc.yaml")));
    refuses("repository_file", |clone| {
        clone.files.get_mut("clef.yaml").unwrap().as_mut().unwrap().mode = "100755".into();
    });
    refuses("repository_file", |clone| {
        clone.files.get_mut("clef.yaml").unwrap().as_mut().unwrap().id = "9".repeat(40);
    });
    refuses("repository_absent", |clone| drop(clone.files.remove("secrets/rds-orders/dev.enc.yaml")));
    refuses("repository_absent", |clone| {
        let file = clone.files["clef.yaml"].clone();
        clone.files.insert("secrets/rds-orders/dev.enc.yaml".into(), file);
    });
    let kit = Kit::new();
    let made = kit.make(Dev);
    let mut expectations = kit.expectations(&made, Dev);
    expectations.require = [Requirement::Repository].into();
    assert_only(&verify(&made.receipt, &expectations), "source_repository", "repo_required");
}

#[test]
fn every_object_is_looked_for() {
    let ids: Vec<String> = {
        let facts = std::cell::RefCell::new(RepositoryFacts::default());
        Kit::new().make_with(Dev, &Tamper::predicate(|predicate| *facts.borrow_mut() = clone_of(predicate)));
        facts.into_inner().objects.into_keys().collect()
    };
    assert!(ids.len() >= 5, "{ids:?}");
    for id in ids {
        assert_only(&judged(|clone| drop(clone.objects.remove(&id))), "source_repository", "repository_object");
        let other = |clone: &mut RepositoryFacts| drop(clone.objects.insert(id.clone(), "00".repeat(32)));
        assert_only(&judged(other), "source_repository", "repository_object");
    }
}
