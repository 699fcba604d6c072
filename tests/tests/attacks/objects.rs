//! Trees, blobs and absence.

use std::{fs, os::unix::fs::symlink};

use packproof_tests::{
    forge::{commit_of, object, store},
    repo::{Commit, Repo},
    world::World,
};
use packproof_wire::{Object, PackRequest};

use crate::{packs, refuses};

/// The entries of a tree, each with all of its bytes; ids of 20 bytes.
fn entries(tree: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = tree;
    let mut entries = Vec::new();
    while let Some(nul) = rest.iter().position(|byte| *byte == 0) {
        let (entry, after) = rest.split_at(nul + 21);
        entries.push(entry.to_vec());
        rest = after;
    }
    entries
}

/// The request of `HEAD` in dev with another root, which the policy's signer signed.
fn with_root(world: &World, tree: &[u8]) -> PackRequest {
    let id = store(&world.repo, "tree", tree);
    let mut request = world.request("dev");
    request.commit = commit_of(&world.repo, &id, &world.path("release"));
    request.objects[0] = object(&world.repo, &request.commit);
    request.objects[1] = Object { kind: "tree".to_owned(), body: tree.to_vec() };
    request
}

/// Every one of these trees holds all that a pack needs, and is signed; git takes most of them from a server unseen.
#[test]
fn trees_that_git_does_not_write() {
    let world = World::start();
    let root = object(&world.repo, "HEAD^{tree}").body;
    let good = entries(&root);
    let blob = good.iter().find(|entry| entry.starts_with(b"100644 clef.yaml\0")).unwrap().clone();
    let named = |mode_and_name: &str| [mode_and_name.as_bytes(), &blob[blob.len() - 21..]].concat();
    let changed = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut entries = good.clone();
        change(&mut entries);
        entries.concat()
    };
    let at = good.iter().position(|entry| *entry == blob).unwrap();

    packs(&world, "the same root, signed anew", with_root(&world, &root));
    for (attack, tree) in [
        ("a tree with one name twice", changed(&|e| e.insert(at, blob.clone()))),
        ("a tree with a file and a directory of one name", changed(&|e| e.push(named("100644 secrets")))),
        ("a tree in another order", changed(&|e| e.reverse())),
        ("a tree with a mode that git does not write", changed(&|e| e[at] = named("100664 clef.yaml"))),
        ("a tree with a mode of two spellings", changed(&|e| e[at] = named("0100644 clef.yaml"))),
        ("a tree with an entry called ..", changed(&|e| e.insert(0, named("100644 ..")))),
        ("a tree with a path for a name", changed(&|e| e.push(named("100644 secrets/stripe/dev.enc.yaml")))),
        ("a tree cut off", root[..root.len() - 3].to_vec()),
    ] {
        refuses(&world, attack, with_root(&world, &tree), "malformed_tree");
    }

    // the same repository in the other object format, its commit signed by the same key
    let other = Repo::of_demo(&world.path("home"), &world.path("other-format"), "sha256");
    other.commit(Commit { key: Some(&world.path("release")), date: None });
    let mut request = world.request("dev");
    request.commit = other.git(&["rev-parse", "HEAD"]);
    refuses(&world, "a SHA-256 commit under its own id", request, "invalid_object_id");
    let mut request = world.request("dev");
    request.objects[0] = object(&other, "HEAD");
    request.commit = store(&world.repo, "commit", &request.objects[0].body);
    refuses(&world, "a SHA-256 commit under a SHA-1 id", request, "malformed_commit");
    let tree = object(&other, "HEAD^{tree}").body;
    refuses(&world, "a SHA-256 tree under a SHA-1 commit", with_root(&world, &tree), "malformed_tree");
}

#[test]
fn objects_left_out_or_put_in_anothers_place() {
    let mut world = World::start();
    let changed = |change: &dyn Fn(&mut Vec<Object>)| {
        let mut request = world.request("dev");
        change(&mut request.objects);
        request
    };
    let place = |objects: &[Object], revision: &str| {
        let wanted = object(&world.repo, revision).body;
        objects.iter().position(|object| object.body == wanted).unwrap()
    };
    let cell = "HEAD:secrets/stripe/dev.enc.yaml";
    let without = |revision: &str| changed(&|objects| drop(objects.remove(place(objects, revision))));
    let with = |revision: &str, other: &str| {
        changed(&|objects| {
            let at = place(objects, revision);
            objects[at] = object(&world.repo, other);
        })
    };
    for (attack, request) in [
        ("the root left out", without("HEAD^{tree}")),
        ("a tree on the way left out", without("HEAD:secrets")),
        ("the marker left out", without("HEAD:.packproof/repository")),
        ("another blob under a cell's path", with(cell, "HEAD:secrets/stripe/production.enc.yaml")),
        ("another directory under a path", {
            // by it the name of dev's cell leads to production's
            let [dev, production] = ["dev", "production"].map(|name| format!("HEAD:secrets/stripe/{name}.enc.yaml"));
            let [dev_id, production_id] =
                [&dev, &production].map(|cell| hex::decode(world.repo.git(&["rev-parse", cell])).unwrap());
            let mut swapped = entries(&object(&world.repo, "HEAD:secrets/stripe").body);
            assert_eq!(swapped[0], [&b"100644 dev.enc.yaml\0"[..], &dev_id].concat());
            swapped[0].splice(20.., production_id);
            let tree = store(&world.repo, "tree", &swapped.concat());
            changed(&|objects| {
                for (from, to) in [("HEAD:secrets/stripe", &tree), (&dev, &production)] {
                    let at = place(objects, from);
                    objects[at] = object(&world.repo, to);
                }
            })
        }),
        ("another commit's root", {
            let other = store(&world.repo, "tree", b"");
            with("HEAD^{tree}", &other)
        }),
    ] {
        refuses(&world, attack, request, "missing_object");
    }
    refuses(
        &world,
        "the other environment's cell sent along",
        changed(&|objects| objects.push(object(&world.repo, "HEAD:secrets/stripe/production.enc.yaml"))),
        "extra_objects",
    );

    // where missing cells are skipped, to hide one is worth something: the artifact would lack it
    let skip = world.changed_policy("skip.toml", "max_ttl_seconds", "missing_cells = \"skip\"\nmax_ttl_seconds");
    world.up(&skip, &["--pin"]);
    let world = world;
    let changed = |change: &dyn Fn(&mut Vec<Object>)| {
        let mut request = world.request("dev");
        change(&mut request.objects);
        request
    };
    let drop_all = |objects: &mut Vec<Object>, revisions: &[&str]| {
        for revision in revisions {
            let wanted = object(&world.repo, revision).body;
            objects.retain(|object| object.body != wanted);
        }
    };
    for (attack, request) in [
        ("absence faked by leaving the cell out", changed(&|objects| drop_all(objects, &[cell]))),
        (
            "absence faked by leaving its directory out",
            changed(&|objects| drop_all(objects, &[cell, "HEAD:secrets/stripe"])),
        ),
        (
            "absence faked by an empty directory",
            changed(&|objects| {
                drop_all(objects, &[cell, "HEAD:secrets/stripe"]);
                objects.push(Object { kind: "tree".to_owned(), body: Vec::new() });
            }),
        ),
    ] {
        refuses(&world, attack, request, "missing_object");
    }
    packs(&world, "nothing left out", world.request("dev"));
    fs::remove_file(world.repo.dir.join("secrets/stripe/dev.enc.yaml")).unwrap();
    world.repo.commit(Commit { key: Some(&world.path("release")), date: None });
    packs(&world, "a cell that is not in the commit", world.request("dev"));
}

#[test]
fn paths_that_leave_the_commit() {
    let world = World::start();
    let commit = |world: &World| world.repo.commit(Commit { key: Some(&world.path("release")), date: None });
    let pattern = "file_pattern: secrets/";
    symlink("secrets", world.repo.dir.join("link")).unwrap();
    world.repo.replace("clef.yaml", pattern, "file_pattern: link/");
    commit(&world);
    refuses(&world, "a link in a directory's place", world.request("dev"), "path_through_link");

    world.repo.reset(&world.base);
    world.repo.git(&["rm", "-r", "--quiet", "secrets/stripe"]);
    let gitlink = format!("160000,{},secrets/stripe", world.base);
    world.repo.git(&["update-index", "--add", "--cacheinfo", &gitlink]);
    let mut git = world.repo.signing(Commit { key: Some(&world.path("release")), date: None });
    let _ = packproof_tests::process::Outcome::of(git.args(["commit", "--quiet", "-S", "-m", "a submodule"])).ok();
    refuses(&world, "a submodule in a directory's place", world.request("dev"), "path_through_link");

    world.repo.reset(&world.base);
    let file = world.repo.dir.join(".packproof/repository");
    fs::rename(&file, world.repo.dir.join("marker")).unwrap();
    symlink("../marker", &file).unwrap();
    commit(&world);
    refuses(&world, "a link in the marker's place", world.request("dev"), "repository_marker_missing");
    world.repo.reset(&world.base);
    packs(&world, "the first commit", world.request("dev"));
}
