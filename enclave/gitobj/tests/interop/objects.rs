//! Objects made by git.

use packproof_gitobj::{Commit, GitError, Kind, Limits, Lookup, Mode, ObjectBag, Tag, lookup, object_id, parse_tree};

use crate::sandbox::{FORMATS, Sandbox};

#[test]
fn every_object_of_a_repository_hashes_to_gits_id_and_parses() {
    for format in FORMATS {
        let sandbox = Sandbox::new(format);
        for path in ["a/b/c", "a-b", "a.b", "a0", "z/\u{e9}\u{20ac}", "with space", "\u{1}"] {
            sandbox.write(path, path);
        }
        sandbox.write("binary", "\0\u{1}");
        sandbox.write("run", "#!/bin/sh\n");
        sandbox.git(&["add", "-A"]);
        sandbox.git(&["update-index", "--chmod=+x", "run"]);
        std::os::unix::fs::symlink("a/b", sandbox.path("repo/link")).unwrap();
        sandbox.commit(&[]);
        sandbox.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{},a.sub", sandbox.id("HEAD"))]);
        sandbox.git(&["commit", "-q", "--allow-empty-message", "-m", ""]);
        sandbox.git(&["tag", "-a", "-m", "a tag", "v1"]);

        let objects = sandbox.all_objects();
        assert!(objects.len() > 15);
        for (id, kind, body) in &objects {
            assert_eq!(object_id(format, *kind, body), Ok(*id));
            match kind {
                Kind::Commit => assert_eq!(Commit::parse(format, body).unwrap().committer.offset_minutes, 90),
                Kind::Tree => {
                    let entries = parse_tree(format, body, &Limits::default()).unwrap();
                    let listed = sandbox.git(&["ls-tree", "-z", &id.to_string()]);
                    let ours = entries.iter().flat_map(|entry| {
                        let kind = match entry.mode {
                            Mode::Tree => "tree",
                            Mode::Submodule => "commit",
                            Mode::File | Mode::Executable | Mode::Symlink => "blob",
                        };
                        let head = format!("{:0>6} {kind} {}\t", entry.mode.octal(), entry.id);
                        [head.as_bytes(), entry.name, b"\0"].concat()
                    });
                    assert_eq!(ours.collect::<Vec<_>>(), listed);
                }
                Kind::Tag => assert_eq!(Tag::parse(format, body).unwrap().tagger.offset_minutes, 90),
                Kind::Blob => {}
            }
        }
        // and all of them together are a bag
        let bag: Vec<_> = objects.into_iter().map(|(_, kind, body)| (kind, body)).collect();
        assert_eq!(ObjectBag::new(format, bag.clone(), &Limits::default()).unwrap().unused().len(), bag.len());
    }
}

#[test]
fn walks_from_a_signed_commit_to_each_path_and_to_proved_absence() {
    for format in FORMATS {
        let sandbox = Sandbox::new(format);
        for path in ["clef.yaml", "stripe/production.enc.yaml", "stripe/dev.enc.yaml", "other/x"] {
            sandbox.write(path, &format!("content of {path}"));
        }
        std::os::unix::fs::symlink("stripe", sandbox.path("repo/alias")).unwrap();
        let head = sandbox.commit(&[]);

        // what a host sends for two paths and one absence, and one object more
        let wanted = ["HEAD^{tree}", "HEAD:stripe", "HEAD:clef.yaml", "HEAD:stripe/production.enc.yaml"];
        let wanted: Vec<_> = wanted.iter().map(|rev| sandbox.id(rev)).chain([head]).collect();
        let extra = sandbox.id("HEAD:other/x");
        let sent = sandbox.all_objects().into_iter().filter(|(id, ..)| wanted.contains(id) || *id == extra);
        let sent = sent.map(|(_, kind, body)| (kind, body)).collect();
        let bag = ObjectBag::new(format, sent, &Limits::default()).unwrap();

        let commit = Commit::parse(format, bag.get(Kind::Commit, &head).unwrap()).unwrap();
        assert_eq!(
            commit.verify_signature(&[sandbox.signer("mallory"), sandbox.signer("alice")], &[]).unwrap().index,
            1
        );
        let at = |path: &str| lookup(&bag, &commit.tree, path, &Limits::default());
        for path in ["clef.yaml", "stripe/production.enc.yaml"] {
            let Ok(Lookup::Found { mode: Mode::File, id }) = at(path) else { panic!("{path}") };
            assert_eq!(id, sandbox.id(&format!("HEAD:{path}")));
            assert_eq!(bag.get(Kind::Blob, &id).unwrap(), format!("content of {path}").as_bytes());
        }
        for path in ["stripe/staging.enc.yaml", "paypal/production.enc.yaml", "clef.yaml/x", "stripe/Dev.enc.yaml"] {
            assert_eq!(at(path), Ok(Lookup::Absent), "{path}");
            assert!(!sandbox.try_git(&["cat-file", "-e", &format!("HEAD:{path}")]).status.success());
        }
        let through = GitError::PathThroughLink { path: "alias/dev.enc.yaml".into(), mode: Mode::Symlink };
        assert_eq!(at("alias/dev.enc.yaml"), Err(through));
        let missing = GitError::MissingObject { kind: Kind::Tree, id: sandbox.id("HEAD:other") };
        assert_eq!(at("other/y"), Err(missing));
        assert_eq!(bag.unused(), [extra]);
        assert_eq!(bag.used().count(), wanted.len());
    }
}

#[test]
fn agrees_with_git_on_malformed_trees() {
    for format in FORMATS {
        let sandbox = Sandbox::new(format);
        let blob = sandbox.store(Kind::Blob, b"x", true).unwrap();
        let entry = |line: &&str| [line.as_bytes(), b"\0", blob.as_bytes()].concat();
        for (good, lines) in [
            (true, vec!["100644 a", "100644 a.b", "40000 b"]),
            (true, vec!["100644 d.", "40000 d", "100644 d0"]),
            (false, vec!["40000 d", "100644 d."]),
            (false, vec!["100644 b", "100644 a"]),
            (false, vec!["100644 a", "100644 a"]),
            (false, vec!["100644 a", "100644 a-b", "40000 a"]),
            (false, vec!["100644 .git"]),
            (false, vec!["40000 .GIT"]),
            (false, vec!["40000 .."]),
            (false, vec!["100644 ."]),
            (false, vec!["100644 a/b"]),
            (false, vec!["100644 "]),
            (false, vec!["040000 a"]),
            (false, vec!["100645 a"]),
        ] {
            let body: Vec<u8> = lines.iter().flat_map(entry).collect();
            assert_eq!(sandbox.store(Kind::Tree, &body, true).is_some(), good, "git: {lines:?}");
            assert_eq!(parse_tree(format, &body, &Limits::default()).is_ok(), good, "we: {lines:?}");
        }
    }
}
