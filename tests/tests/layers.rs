//! Who may depend on whom. A folder is a trust zone: the arrows between the crates are part of the design.

use std::collections::{BTreeMap, BTreeSet};

use packproof_tests::{
    process::Outcome,
    programs::{cargo, workspace},
};
use serde_json::Value;

/// One kind of arrow.
#[derive(Clone, Copy, PartialEq)]
enum Arrows {
    /// What is linked into the shipped program.
    Normal,
    /// Build scripts and tests as well.
    All,
}

/// The crates and their arrows, as cargo resolves them for this machine.
struct Graph {
    names: BTreeMap<String, String>,
    /// Folder of each crate of the workspace.
    folders: BTreeMap<String, String>,
    arrows: BTreeMap<String, Vec<(String, bool)>>,
}

impl Graph {
    fn read() -> Self {
        let version = Outcome::of(cargo().args(["-vV"])).ok().stdout;
        let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned();
        let mut metadata = cargo();
        metadata.args(["metadata", "--format-version=1", "--locked", "--offline", "--filter-platform", &host]);
        let metadata = Outcome::of(&mut metadata).ok().json();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let list = |value: &Value| value.as_array().unwrap().clone();
        let mut graph = Self { names: BTreeMap::new(), folders: BTreeMap::new(), arrows: BTreeMap::new() };
        for package in list(&metadata["packages"]) {
            graph.names.insert(text(&package["id"]), text(&package["name"]));
            if package["source"].is_null() {
                let manifest = text(&package["manifest_path"]);
                let root = workspace().canonicalize().unwrap();
                let folder = manifest.strip_prefix(root.to_str().unwrap()).unwrap_or_else(|| panic!("{manifest}"));
                let folder = folder.trim_start_matches('/').trim_end_matches("/Cargo.toml");
                graph.folders.insert(text(&package["name"]), folder.to_owned());
            }
        }
        for node in list(&metadata["resolve"]["nodes"]) {
            let arrows = list(&node["deps"]).into_iter().map(|dep| {
                let normal = list(&dep["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
                (text(&dep["pkg"]), normal)
            });
            graph.arrows.insert(text(&node["id"]), arrows.collect());
        }
        assert!(graph.folders.len() >= 18 && graph.names.len() > 150, "cargo's answer was not understood");
        graph
    }

    fn id(&self, name: &str) -> &str {
        let found: Vec<_> = self.names.iter().filter(|(_, known)| *known == name).collect();
        assert_eq!(found.len(), 1, "crates called {name}");
        found[0].0
    }

    /// Names of the crates that one depends on itself.
    fn direct(&self, name: &str, arrows: Arrows) -> BTreeSet<&str> {
        let direct = self.arrows[self.id(name)].iter();
        direct.filter(|(_, normal)| *normal || arrows == Arrows::All).map(|(id, _)| self.names[id].as_str()).collect()
    }

    /// Names of the crates that end up in it.
    fn reached(&self, name: &str) -> BTreeSet<&str> {
        let (mut reached, mut left) = (BTreeSet::new(), vec![self.id(name)]);
        while let Some(id) = left.pop() {
            for (to, _) in self.arrows[id].iter().filter(|(_, normal)| *normal) {
                if reached.insert(self.names[to].as_str()) {
                    left.push(to);
                }
            }
        }
        reached
    }

    /// Names of the crates in a folder, or below it.
    fn under(&self, folder: &str) -> BTreeSet<&str> {
        let below = format!("{folder}/");
        let inside = |path: &str| path == folder || path.starts_with(&below);
        let found = self.folders.iter().filter(|(_, path)| inside(path)).map(|(name, _)| name.as_str()).collect();
        assert_ne!(found, BTreeSet::new(), "there is no crate under {folder}");
        found
    }
}

#[test]
fn an_auditor_builds_receipt_without_enclave_host_or_aws() {
    let graph = Graph::read();
    for name in ["packproof-receipt", "packproof-receipt-verify", "packproof-verify"] {
        let reached = graph.reached(name);
        for folder in ["enclave", "host-proxy", "eif", "local", "tests"] {
            let both: Vec<_> = graph.under(folder).intersection(&reached).copied().collect();
            assert!(both.is_empty(), "{name} reaches {both:?} under {folder}");
        }
        let foreign: Vec<_> = reached
            .iter()
            .filter(|name| name.starts_with("aws-sdk-") || ["tokio", "hyper", "rustls"].contains(name))
            .collect();
        assert!(foreign.is_empty(), "{name} reaches {foreign:?}");
    }
}

#[test]
fn the_leaf_crates_do_not_know_each_other() {
    let graph = Graph::read();
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("packproof-secret", &[][..]),
        ("packproof-yaml", &[]),
        ("packproof-wire", &["packproof-secret"]),
        ("packproof-gitobj", &["packproof-secret"]),
        ("packproof-kms", &["packproof-secret"]),
        ("packproof-nsm", &["packproof-secret"]),
        ("packproof-sops", &["packproof-secret", "packproof-yaml"]),
        ("packproof-artifact", &["packproof-secret", "packproof-yaml"]),
    ]);
    let leaves: BTreeSet<_> = graph.under("enclave").into_iter().filter(|name| *name != "packproof-enclave").collect();
    assert_eq!(leaves, allowed.keys().copied().collect(), "a leaf crate is new or gone: say here what it may know");
    for (name, allowed) in allowed {
        let ours: BTreeSet<_> =
            graph.direct(name, Arrows::Normal).into_iter().filter(|name| graph.folders.contains_key(*name)).collect();
        let allowed: BTreeSet<_> = allowed.iter().copied().collect();
        assert!(ours.is_subset(&allowed), "{name} depends on {ours:?}, allowed are {allowed:?}");
    }
}

#[test]
fn what_is_measured_knows_nothing_outside() {
    let graph = Graph::read();
    let reached = graph.reached("packproof-enclave");
    for folder in ["host-proxy", "eif", "local", "tests", "receipt/verify", "receipt/cli"] {
        let both: Vec<_> = graph.under(folder).intersection(&reached).copied().collect();
        assert!(both.is_empty(), "the enclave reaches {both:?} under {folder}");
    }
    assert!(reached.contains("packproof-receipt") && reached.contains("aws-sdk-kms"));
}

#[test]
fn mocks_are_linked_by_local_mode_alone() {
    let graph = Graph::read();
    let local = graph.under("local");
    for name in graph.folders.keys().filter(|name| !local.contains(name.as_str()) && *name != "packproof-tests") {
        let both: Vec<_> = graph.reached(name).intersection(&local).copied().collect();
        assert!(both.is_empty(), "{name} is linked with {both:?}");
    }
}

#[test]
fn nothing_depends_on_the_tests() {
    let graph = Graph::read();
    for name in graph.folders.keys() {
        assert!(!graph.direct(name, Arrows::All).contains("packproof-tests"), "{name} depends on the tests");
    }
}

#[test]
fn the_ten_required_packages_are_used_by_what_is_shipped() {
    let graph = Graph::read();
    let shipped = || graph.folders.keys().filter(|name| *name != "packproof-tests");
    let required = [
        "aws-nitro-enclaves-nsm-api",
        "aws-nitro-enclaves-cose",
        "vsock",
        "aws-sdk-kms",
        "age",
        "sha2",
        "ed25519-dalek",
        "tokio",
        "nix",
    ];
    for package in required {
        let ids: BTreeSet<_> = graph.names.iter().filter(|(_, name)| *name == package).map(|(id, _)| id).collect();
        assert!(!ids.is_empty(), "{package} is not in the graph");
        let users: Vec<_> = shipped()
            .filter(|name| graph.arrows[graph.id(name)].iter().any(|(to, normal)| *normal && ids.contains(to)))
            .collect();
        assert!(!users.is_empty(), "no shipped crate depends on {package}");
    }
    // the tenth only where the NSM's driver needs it
    let serde_cbor = graph.id("serde_cbor");
    let users: BTreeSet<_> = graph
        .arrows
        .iter()
        .filter(|(_, arrows)| arrows.iter().any(|(to, _)| to == serde_cbor))
        .map(|(id, _)| graph.names[id].as_str())
        .collect();
    assert_eq!(users, BTreeSet::from(["aws-nitro-enclaves-nsm-api"]));
}
