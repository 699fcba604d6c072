//! Random files, encrypted by real sops, changed at random, and read by both.
//!
//! `PACKPROOF_SOPS` names the native sops program; without it the test says that it did not run, or fails when
//! `PACKPROOF_REQUIRE_PEERS=1`. A file that both read must have the same values in the same order. That we refuse what
//! sops reads is a difference, and each is in [`LISTED`] with its reason. That we read what sops refuses is none of them:
//! it fails the test, as does every other difference.
//!
//! | variable | what | default |
//! | --- | --- | --- |
//! | `PACKPROOF_DIFF_SEED` | chooses the files and the changes; keys and nonces are sops's, and new each time | 1 |
//! | `PACKPROOF_DIFF_FILES` | files | 500 |
//! | `PACKPROOF_DIFF_MUTATIONS` | changes, spread evenly over the files, large ones left out | 2000 |
//! | `PACKPROOF_DIFF_SUMMARY` | a file that the summary is written to, too | none |
#![expect(clippy::panic, clippy::unwrap_used, reason = "tests panic to fail")]

#[cfg(test)]
mod common;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use age::x25519::Identity;
use common::generate::{Case, FEATURES, case, is_large};
use common::mutate::mutate;
use common::peer::Peer;
use common::random::Random;
use common::{decrypt, format_of, identity, same_as_yaml, same_map};
use packproof_sops::{Plain, SopsError, Value};

/// A kind of file that sops reads and we refuse on purpose.
struct Difference {
    /// Our code.
    code: &'static str,
    /// A file as sops writes it may be refused so when it has one of these.
    features: &'static [&'static str],
    /// Any changed file may be refused so.
    changed: bool,
    reason: &'static str,
}

const COMMENTS: &[&str] = &["comment in a map", "comment in a list", "comment beside a value"];
const COMMENT_SELECTORS: &[&str] = &["unencrypted_comment_regex", "encrypted_comment_regex"];

const fn listed(
    code: &'static str,
    features: &'static [&'static str],
    changed: bool,
    reason: &'static str,
) -> Difference {
    Difference { code, features, changed, reason }
}

#[rustfmt::skip]
const LISTED: &[Difference] = &[
    listed("sops_key_groups", &["several key groups"], false, "a data key split by Shamir's scheme is not put together"),
    listed("yaml_multiple_documents", &["several documents"], true, "sops decrypts each document; a cell has one"),
    listed("sops_unsupported_regex", &["regex beyond the common syntax"], true, "Go and we might read the regex otherwise"),
    listed("sops_ambiguous_comment", COMMENT_SELECTORS, true, "a comment that selects values, not right above one"),
    listed("sops_comment_as_value", COMMENTS, true, "an empty comment at a list, or one encrypted as a value: to sops an item"),
    listed("yaml_forbidden_character", &["unicode"], true, "raw U+2028 or U+2029: line breaks to YAML 1.1 only"),
    listed("content_refused", &["text that is not UTF-8"], false, "an encrypted `!!binary` that is not UTF-8: no text to Clef"),
    listed("sops_unsupported_scalar", &["text that is not UTF-8"], true, "a tag, date or number that sops itself would write otherwise"),
    listed("yaml_anchor", &[], true, "an anchor: sops writes values out"),
    listed("yaml_directive", &[], true, "a directive: sops never writes one"),
    listed("yaml_duplicate_key", &[], true, "a key twice within the sops block, where sops takes one"),
    listed("yaml_syntax", &[], true, "Go's YAML reader is laxer"),
    listed("yaml_collection_tag", &[], true, "a tag on a map or list: sops never writes one"),
    listed("json_duplicate_key", &[], true, "a key twice, of which sops takes one"),
    listed("sops_key_not_string", &[], true, "a key within the sops block that is no string, which sops ignores"),
    listed("sops_malformed_metadata", &[], true, "a field of the sops block in a form that sops never writes"),
    listed("sops_unknown_metadata", &[], true, "a field of the sops block that sops ignores, or a key of another case"),
    listed("sops_malformed_ciphertext", &[], true, "an encrypted value in a form that sops never writes"),
    listed("sops_malformed_age_entry", &[], true, "armor with white space or text around it"),
];

/// Both of ours: as many as there are cores, since each waits for a process of sops.
const THREADS: usize = 2;
const SHOWN_FAILURES: usize = 6;

/// How we and sops see one cell.
enum Verdict {
    Same,
    BothRefuse,
    Listed(&'static str),
    Wrong(String),
}

#[derive(Default)]
struct Counts {
    files: usize,
    agreed: usize,
    refused: usize,
    listed: BTreeMap<&'static str, usize>,
    others: usize,
}

impl Counts {
    fn add(&mut self, verdict: &Verdict) {
        self.files += 1;
        match verdict {
            Verdict::Same => self.agreed += 1,
            Verdict::BothRefuse => self.refused += 1,
            Verdict::Listed(code) => *self.listed.entry(code).or_default() += 1,
            Verdict::Wrong(_) => self.others += 1,
        }
    }

    fn line(&self) -> String {
        let Self { files, agreed, refused, others, .. } = self;
        let listed: usize = self.listed.values().sum();
        format!(
            "files {files}, agreed {agreed}, refused by both {refused}, listed differences {listed}, others {others}"
        )
    }
}

#[derive(Default)]
struct Summary {
    unchanged: Counts,
    changed: Counts,
    together: Counts,
    kinds: BTreeMap<&'static str, Counts>,
    features: BTreeMap<&'static str, usize>,
    not_encrypted: usize,
    /// Spent in sops and in our code, by all threads.
    sops: Duration,
    ours: Duration,
    failures: Vec<String>,
}

impl Summary {
    fn text(&self, seed: u64) -> String {
        let mut out = format!("differential test against sops, seed {seed}\n\nfiles with each feature:\n");
        for feature in FEATURES {
            writeln!(out, "  {:6} {feature}", self.features.get(feature).copied().unwrap_or(0)).unwrap();
        }
        writeln!(out, "\nchanges (agreed, refused by both, listed differences, others):").unwrap();
        for (kind, counts) in &self.kinds {
            let listed: usize = counts.listed.values().sum();
            let Counts { agreed, refused, others, .. } = counts;
            writeln!(out, "  {agreed:6} {refused:6} {listed:6} {others:3} {kind}").unwrap();
        }
        writeln!(
            out,
            "\nlisted differences, all read by sops and refused by us (files as sops writes them, changed files):"
        )
        .unwrap();
        for Difference { code, reason, .. } in LISTED {
            let [unchanged, changed] =
                [&self.unchanged, &self.changed].map(|counts| counts.listed.get(code).copied().unwrap_or(0));
            writeln!(out, "  {unchanged:6} {changed:6} {code}: {reason}").unwrap();
        }
        let seconds = [self.sops, self.ours].map(|time| time.as_secs());
        writeln!(
            out,
            "\n{} more files that sops could not encrypt; {} s in sops, {} s in ours\n\nas sops writes them: {}\nchanged: {}",
            self.not_encrypted,
            seconds[0],
            seconds[1],
            self.unchanged.line(),
            self.changed.line()
        )
        .unwrap();
        writeln!(out, "together, seed {seed}: {}", self.together.line()).unwrap();
        out
    }
}

fn compare(peer: &Peer, folder: &Path, cell: &str, case: &Case, changed: bool, summary: &Mutex<Summary>) -> Verdict {
    let name = format!("cell.{}", case.output);
    let file = folder.join(&name);
    std::fs::write(&file, cell).unwrap();
    let start = Instant::now();
    let ours = decrypt(cell.as_bytes(), format_of(&name));
    let ours_took = start.elapsed();
    // JSON cannot express what is not finite; YAML can, but its output is harder to read for certain.
    let as_yaml = case.features.contains("non-finite float");
    let start = Instant::now();
    let theirs = peer.decrypt(&file, if as_yaml { "yaml" } else { "json" });
    {
        let mut summary = summary.lock().unwrap();
        summary.ours += ours_took;
        summary.sops += start.elapsed();
    }
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => match same(&ours, &theirs, as_yaml) {
            Ok(()) => Verdict::Same,
            Err(error) => {
                Verdict::Wrong(format!("read otherwise: {error}\nsops has {}", String::from_utf8_lossy(&theirs)))
            }
        },
        (Err(_), Err(_)) => Verdict::BothRefuse,
        (Ok(_), Err(error)) => Verdict::Wrong(format!("only sops refuses: {error}")),
        (Err(error), Ok(_)) => {
            let code = SopsError::code(&error);
            let fits = |difference: &&Difference| {
                let expected = difference.features.iter().any(|feature| case.features.contains(feature));
                difference.code == code && (expected || (changed && difference.changed))
            };
            match LISTED.iter().find(fits) {
                Some(difference) => Verdict::Listed(difference.code),
                None => Verdict::Wrong(format!("only we refuse: {code}: {error}")),
            }
        }
    }
}

fn same(ours: &Plain, theirs: &[u8], as_yaml: bool) -> Result<(), String> {
    if as_yaml {
        return same_as_yaml(&ours.entries, theirs);
    }
    same_map(&ours.entries, &serde_json::from_slice(theirs).map_err(|error| error.to_string())?)
}

/// A file and a cell of it. sops cannot encrypt every file (integers from 2^63, keys twice): then another is tried.
fn encrypted(
    peer: &Peer,
    random: &mut Random,
    number: usize,
    folder: &Path,
    summary: &Mutex<Summary>,
) -> (Case, String) {
    loop {
        let case = case(random, number, [&peer.recipients[0], &peer.recipients[1]]);
        // Then sops's output has to be YAML, into which it does not write every string as it is.
        let hard = ["unicode", "multi-line string", "unusual key", "text that is not UTF-8"];
        if case.features.contains("non-finite float") && hard.iter().any(|feature| case.features.contains(feature)) {
            continue;
        }
        let start = Instant::now();
        let cell = peer.encrypt(&case, folder);
        let mut summary = summary.lock().unwrap();
        summary.sops += start.elapsed();
        if let Some(cell) = cell {
            return (case, cell);
        }
        summary.not_encrypted += 1;
    }
}

fn one_case(peer: &Peer, seed: u64, number: usize, mutations: usize, folder: &Path, summary: &Mutex<Summary>) {
    let mut random = Random::new(seed, number);
    let (case, cell) = encrypted(peer, &mut random, number, folder, summary);
    let mut cells = vec![(cell.clone(), "unchanged")];
    for _ in 0..mutations {
        cells.push(loop {
            let (changed, kind) = mutate(&mut random, &cell, case.output == "json");
            if changed != cell {
                break (changed, kind);
            }
        });
    }
    for (i, (cell, kind)) in cells.iter().enumerate() {
        let verdict = compare(peer, folder, cell, &case, i > 0, summary);
        let summary = &mut *summary.lock().unwrap();
        let counts = if i == 0 { &mut summary.unchanged } else { &mut summary.changed };
        for counts in [counts, &mut summary.together, summary.kinds.entry(kind).or_default()] {
            counts.add(&verdict);
        }
        if i == 0 {
            for feature in &case.features {
                *summary.features.entry(feature).or_default() += 1;
            }
        }
        if let Verdict::Wrong(what) = verdict {
            let cell = if cell.len() > 20_000 { "(long)" } else { cell };
            let plain = if case.plain.len() > 20_000 { "(long)" } else { &case.plain };
            summary.failures.push(format!(
                "seed {seed} case {number} ({kind}): {what}\n--- {}\n--- plain\n{plain}\n--- cell\n{cell}",
                case.config
            ));
        }
    }
}

fn number(name: &str, default: usize) -> usize {
    let given = std::env::var(name).ok().filter(|text| !text.is_empty());
    given.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number")))
}

/// How many of `mutations` fall to each of `files`.
fn spread(files: usize, mutations: usize) -> Vec<usize> {
    let ordinary = (0..files).filter(|number| !is_large(*number)).count().max(1);
    let mut before = 0;
    let share = |number| {
        if is_large(number) {
            return 0;
        }
        before += 1;
        before * mutations / ordinary - (before - 1) * mutations / ordinary
    };
    (0..files).map(share).collect()
}

#[test]
fn comments_in_the_output_of_sops_hide_no_value() {
    let ours = |value| [("k".to_owned(), Value::Map(Vec::new())), ("l".to_owned(), value)];
    let theirs = b"k: {\n    #open\n}\nl: .inf\n# end\n";
    assert_eq!(same_as_yaml(&ours(Value::Float(f64::INFINITY)), theirs), Ok(()));
    assert!(same_as_yaml(&ours(Value::Float(f64::NEG_INFINITY)), theirs).is_err());
    assert!(same_as_yaml(&ours(Value::Float(f64::INFINITY))[..1], theirs).is_err());
}

#[test]
fn agrees_with_sops_on_random_files() {
    let recipients = [identity().to_public().to_string(), Identity::generate().to_public().to_string()];
    let Some(peer) = Peer::find(recipients) else {
        println!("peer not given: PACKPROOF_SOPS is not set; this part was not run");
        return;
    };
    let seed = u64::try_from(number("PACKPROOF_DIFF_SEED", 1)).unwrap();
    let (files, mutations) = (number("PACKPROOF_DIFF_FILES", 500), number("PACKPROOF_DIFF_MUTATIONS", 2000));
    println!("seed {seed}, {files} files, {mutations} mutations");
    let (next, summary, start) = (AtomicUsize::new(0), Mutex::new(Summary::default()), Instant::now());
    let mutations_of = spread(files, mutations);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let folder = tempfile::tempdir().unwrap();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(mutations) = mutations_of.get(number) else { break };
                    if summary.lock().unwrap().failures.len() >= SHOWN_FAILURES {
                        break;
                    }
                    one_case(&peer, seed, number, *mutations, folder.path(), &summary);
                }
            });
        }
    });
    let summary = summary.into_inner().unwrap();
    let text = summary.text(seed);
    println!("{text}{:.1?} on {THREADS} threads", start.elapsed());
    if let Some(path) = std::env::var_os("PACKPROOF_DIFF_SUMMARY").filter(|path| !path.is_empty()) {
        std::fs::write(path, &text).expect("PACKPROOF_DIFF_SUMMARY can be written");
    }
    assert!(summary.failures.is_empty(), "{}", summary.failures.join("\n=====\n"));
    assert_eq!((summary.unchanged.files, summary.changed.files), (files, mutations));
    if files >= 500 {
        for feature in FEATURES {
            let count = summary.features.get(feature).copied().unwrap_or(0);
            assert!(count >= files / 100, "{feature} is in {count} of {files} files, fewer than 1 %");
        }
        assert!(summary.unchanged.agreed * 4 >= files * 3, "too few cells were read by both");
    }
}
