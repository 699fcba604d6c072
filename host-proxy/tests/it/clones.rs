//! Clones as CI makes them: not everything is there, or not where a first look expects it.

use std::{fs, path::Path};

use crate::{
    objects::{Job, PRODUCTION, expected, ids},
    repository::{Fixture, git},
};

/// A clone of the fixture's repository by the transport that a server would use.
fn cloned(fixture: &Fixture, name: &str, flags: &[&str]) -> std::path::PathBuf {
    let to = fixture.path(name);
    let url = format!("file://{}", fixture.repo().display());
    fixture.git(&[&["clone", "--quiet"], flags, &[&url, to.to_str().unwrap()]].concat());
    to
}

fn sent(job: &Job, dir: &Path, more: &[&str]) -> Vec<String> {
    ids(&job.pack("production", &[&["--dir", dir.to_str().unwrap()], more].concat()))
}

#[test]
fn shallow_shared_and_sparse_clones_give_the_same() {
    let fixture = Fixture::new();
    let job = Job::new(&fixture);
    let wanted = expected(&fixture.repo(), "HEAD", &PRODUCTION);

    let shallow = cloned(&fixture, "shallow", &["--depth=1"]);
    assert_eq!(git(&shallow, &["rev-parse", "--is-shallow-repository"]), "true");
    assert_eq!(sent(&job, &shallow, &[]), wanted);
    // the commit before the border is not there
    let ran = job.run("production", &["--dir", shallow.to_str().unwrap(), "--commit", "HEAD~1"]);
    assert_eq!(ran.error(), (2, "unknown_revision"));
    assert!(ran.err.contains("fetch it first"), "{}", ran.err);

    let shared = cloned(&fixture, "shared", &["--shared", "--no-checkout"]);
    assert_eq!(git(&shared, &["count-objects"]), "0 objects, 0 kilobytes");
    assert_eq!(sent(&job, &shared, &[]), wanted);

    // as actions/checkout does it: one commit by its id, no branch
    let fetched = fixture.path("fetched");
    git(fixture.dir.path(), &["init", "--quiet", "fetched"]);
    let url = format!("file://{}", fixture.repo().display());
    let commit = fixture.git(&["rev-parse", "HEAD"]);
    git(&fetched, &["fetch", "--quiet", "--depth=1", &url, &commit]);
    assert_eq!(sent(&job, &fetched, &["--commit", &commit]), wanted);
    git(&fetched, &["sparse-checkout", "set", "nothing"]);
    git(&fetched, &["checkout", "--quiet", "--detach", "FETCH_HEAD"]);
    assert!(!fetched.join("secrets").exists());
    assert_eq!(sent(&job, &fetched, &[]), wanted);
}

#[test]
fn a_partial_clone_fetches_what_it_lacks_or_says_how_to() {
    let fixture = Fixture::new();
    let job = Job::new(&fixture);
    fixture.git(&["config", "uploadpack.allowFilter", "true"]);
    fixture.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
    for (name, filter) in [("blobless", "--filter=blob:none"), ("treeless", "--filter=tree:0")] {
        let partial = cloned(&fixture, name, &[filter, "--no-checkout"]);
        let missing = git(&partial, &["rev-list", "--objects", "--missing=print", "HEAD"]);
        assert!(missing.contains("\n?"), "{name} is whole: {missing}");
        assert_eq!(sent(&job, &partial, &[]), expected(&fixture.repo(), "HEAD", &PRODUCTION), "{name}");

        // the server is gone before anything was fetched: git ends in the middle of the questions
        let lonely = cloned(&fixture, &format!("{name}-lonely"), &[filter, "--no-checkout"]);
        git(&lonely, &["remote", "set-url", "origin", "file:///nonexistent"]);
        let ran = job.run("production", &["--dir", lonely.to_str().unwrap()]);
        assert_eq!(ran.error(), (3, "object_missing"), "{name}: {}", ran.err);
        assert!(ran.err.contains("git fetch"), "{}", ran.err);
    }
}

#[test]
fn submodules_beside_the_cells_and_a_repository_that_is_one() {
    let fixture = Fixture::new();
    let (job, repo) = (Job::new(&fixture), fixture.repo());
    let library = fixture.path("library");
    git(fixture.dir.path(), &["init", "--quiet", "library"]);
    fs::write(library.join("file"), "of the library").unwrap();
    git(&library, &["add", "--all"]);
    git(&library, &["commit", "--quiet", "--message", "m"]);
    for path in ["vendor", "secrets/library"] {
        let url = library.to_str().unwrap();
        fixture.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", url, path]);
    }
    fixture.commit("submodules");
    assert!(fixture.git(&["ls-tree", "HEAD:secrets"]).contains("160000 commit"));
    let wanted = expected(&repo, "HEAD", &PRODUCTION);
    assert_eq!(sent(&job, &repo, &[]), wanted);

    // the repository as somebody's submodule: its .git is a file
    let outer = fixture.path("outer");
    git(fixture.dir.path(), &["init", "--quiet", "outer"]);
    let url = repo.to_str().unwrap();
    git(&outer, &["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", url, "config"]);
    assert!(outer.join("config/.git").is_file());
    assert_eq!(sent(&job, &outer.join("config"), &[]), wanted);
    assert_eq!(sent(&job, &outer.join("config/secrets/rds"), &[]), wanted);
}

#[test]
fn a_broken_object_is_gits_to_explain() {
    let fixture = Fixture::new();
    let (job, repo) = (Job::new(&fixture), fixture.repo());
    let long: String = (0..5000_u64).map(|n| format!("{:x}\n", n * n * 7919)).collect();
    fixture.write("secrets/rds/production.enc.yaml", &long);
    fixture.commit("a long cell");
    let id = fixture.git(&["rev-parse", "HEAD:secrets/rds/production.enc.yaml"]);
    let object = repo.join(".git/objects").join(&id[..2]).join(&id[2..]);
    let whole = fs::read(&object).unwrap();
    fs::remove_file(&object).unwrap();
    fs::write(&object, &whole[..whole.len() / 2]).unwrap();
    let ran = job.run("production", &["--dir", repo.to_str().unwrap()]);
    assert_eq!(ran.error(), (3, "git_failed"), "{}", ran.err);
    assert!(ran.err.contains(&id), "{}", ran.err);
}

/// What `approve` shows of a commit is its subject, whatever git is set to show beside it.
#[test]
fn the_subject_is_the_subject() {
    let fixture = Fixture::new();
    let signed = fixture.git(&["cat-file", "commit", "HEAD"]).replacen(
        "\n\n",
        "\ngpgsig -----BEGIN SSH SIGNATURE-----\n AAAA\n -----END SSH SIGNATURE-----\n\n",
        1,
    );
    fs::write(fixture.path("signed"), signed).unwrap();
    let id = fixture.git(&["hash-object", "-t", "commit", "-w", fixture.path("signed").to_str().unwrap()]);
    fixture.git(&["config", "log.showSignature", "true"]);
    assert_ne!(fixture.git(&["show", "--no-patch", "--format=%s", &id]), "second");
    assert_eq!(packproof::git::Repository::new(&fixture.repo()).subject(&id).unwrap(), "second");
}
