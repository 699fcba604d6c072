//! Random files, encrypted by real sops and read by both.
//!
//! Runs when `PACKPROOF_SOPS` names the program, as `tests/run --all` lets it; under `PACKPROOF_REQUIRE_PEERS=1` a missing
//! one fails. `CASES` says how many (300).
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers of tests state what they expect by panicking, too"
)]

#[cfg(test)]
mod common;

use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use common::{decrypt, format_of, same_map, testdata};

/// A small generator of our own: the cases must be the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(n).unwrap()).unwrap()
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

const PLAIN: &[&str] = &[
    "text",
    "two words",
    "42",
    "-7",
    "007",
    "0x1f",
    "0o17",
    "1_000",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "1.5",
    ".5",
    "1.",
    "1e3",
    "1e21",
    "1e-7",
    "5e-324",
    "1e400",
    "0.1",
    "-0.0",
    "123456789.123456789",
    "true",
    "False",
    "yes",
    "off",
    "null",
    "~",
    "",
    "2026-01-02",
    "2026-01-02T03:04:05Z",
    "2026-01-02T03:04:05.123456789+02:00",
    "2026-1-2",
    "2026-13-01",
    "1234-5678",
    "1:30",
    "0b101",
    "-0b11",
    "08",
    "1.2.3",
    "+5",
    "<<",
    "=",
    ".",
    "-.5",
    "1__0",
    "0b-1",
    "é 😀",
    "a:b",
    "C:\\path",
    "x#y",
];
const QUOTED: &[&str] = &[
    "",
    " ",
    "  lead",
    "trail  ",
    "\\n",
    "a\\nb",
    "a\\n\\nb\\n",
    "\\n\\n",
    " a\\n b\\n",
    "a\\r\\nb",
    "a\\tb",
    "\\u2028",
    "x\\u0085y",
    "\\u0000",
    "\\u007f",
    "\\ufeff",
    "\\ud7ff",
    "\\U0001F600",
    "# no comment",
    "- a",
    "? a",
    "[a]",
    "{a: b}",
    "&a",
    "*a",
    "!a",
    "%a",
    "@a",
    "`a",
    "|",
    ">",
    "---",
    "...",
    "true",
    "007",
    "1e3",
    "2026-01-02",
    "null",
    "~",
    "<<",
    "'",
    "''",
    "\\\"",
    "\\\\",
    ":",
    "a: b",
    "a :b",
    "ENC[x]",
    "a\\n  b\\n c",
    "\\ta\\n",
    "a\\n#b",
    "a\\n---\\nb",
];

fn scalar(random: &mut Random) -> String {
    match random.below(5) {
        0 | 1 => random.pick(PLAIN).to_owned(),
        2 | 3 => format!("\"{}\"", random.pick(QUOTED)),
        _ => format!("\"{}{}\"", random.pick(QUOTED), random.pick(QUOTED)),
    }
}

fn map(random: &mut Random, out: &mut String, indent: usize) {
    let pad = " ".repeat(indent);
    for i in 0..1 + random.below(5) {
        if random.below(6) == 0 {
            writeln!(out, "{pad}# a comment {i}").unwrap();
        }
        let suffix = if random.below(3) == 0 { "_unencrypted" } else { "" };
        let key = match random.below(8) {
            0 => format!("\"{}{i}{suffix}\"", random.pick(QUOTED)),
            _ => format!("k{i}{suffix}"),
        };
        match random.below(8) {
            0 if indent < 6 => {
                writeln!(out, "{pad}{key}:").unwrap();
                map(random, out, indent + 2);
            }
            1 => {
                writeln!(out, "{pad}{key}:").unwrap();
                for _ in 0..1 + random.below(3) {
                    if random.below(5) == 0 {
                        writeln!(out, "{pad}- # beside\n{pad}  - {}", scalar(random)).unwrap();
                    }
                    if random.below(4) == 0 {
                        writeln!(out, "{pad}# in a list").unwrap();
                    }
                    writeln!(out, "{pad}- {}", scalar(random)).unwrap();
                }
            }
            2 => {
                writeln!(out, "{pad}{key}: {}", random.pick(&["{}", "[]", "[1, a, [b]]", "{x: 1, y: [2.5]}"])).unwrap()
            }
            3 => writeln!(
                out,
                "{pad}{key}: |{}\n{pad}  first\n\n{pad}    second # no comment\n",
                random.pick(&["", "-", "+"])
            )
            .unwrap(),
            _ => writeln!(out, "{pad}{key}: {}", scalar(random)).unwrap(),
        }
    }
}

/// The real sops, or `None` where nobody promised one.
fn program() -> Option<OsString> {
    let found = std::env::var_os("PACKPROOF_SOPS").filter(|path| !path.is_empty());
    let required = std::env::var_os("PACKPROOF_REQUIRE_PEERS").is_some_and(|value| value == "1");
    assert!(found.is_some() || !required, "peer not given: set PACKPROOF_SOPS to the native sops program");
    found
}

fn sops(program: &OsStr, arguments: &[&str], file: &Path) -> Option<Vec<u8>> {
    let output = Command::new(program)
        .args(arguments)
        .arg(file)
        .env("SOPS_AGE_KEY_FILE", testdata("TEST-ONLY-age-key.txt"))
        .output()
        .expect("sops runs");
    output.status.success().then_some(output.stdout)
}

#[test]
fn agrees_with_sops_on_random_files() {
    use common::identity;
    let Some(program) = program() else {
        println!("peer not given: PACKPROOF_SOPS is not set; this part was not run");
        return;
    };
    let cases: u64 = std::env::var("CASES").map_or(300, |cases| cases.parse().expect("CASES is a number"));
    let folder = tempfile::tempdir().unwrap();
    let recipient = identity().to_public().to_string();
    let (mut read, mut refused, mut stricter) = (0, 0, 0);
    for case in 0..cases {
        let mut random = Random(case);
        let mut text = String::new();
        map(&mut random, &mut text, 0);
        let plain = folder.path().join("plain.yaml");
        std::fs::write(&plain, &text).unwrap();
        // Every fourth one as JSON.
        let (kind, name) = if case % 4 == 3 { ("json", "cell.json") } else { ("yaml", "cell.yaml") };
        let Some(cell) = sops(&program, &["encrypt", "--age", &recipient, "--output-type", kind], &plain) else {
            continue;
        };
        let file = folder.path().join(name);
        std::fs::write(&file, &cell).unwrap();
        let ours = decrypt(&cell, format_of(name));
        let theirs = sops(&program, &["decrypt", "--output-type", "json"], &file);
        match (ours, theirs) {
            (Ok(ours), Some(theirs)) => {
                let theirs = serde_json::from_slice(&theirs).unwrap();
                if let Err(error) = same_map(&ours.entries, &theirs) {
                    panic!("case {case}: {error}\n{text}\n{}", String::from_utf8_lossy(&cell));
                }
                read += 1;
            }
            (Err(_), None) => refused += 1,
            // sops writes some strings with raw U+0085, U+2028 or U+2029, where YAML 1.1 and 1.2 differ.
            (Err(error), Some(_)) if error.code() == "yaml_forbidden_character" => stricter += 1,
            (Err(error), Some(_)) => panic!("case {case}: only we refuse: {} {error}\n{text}", error.code()),
            (Ok(_), None) => panic!("case {case}: sops refuses it\n{text}\n{}", String::from_utf8_lossy(&cell)),
        }
    }
    println!("{read} read, {refused} refused by both, {stricter} refused by us only, of {cases}");
    assert!(read * 2 > cases, "too few files were of use");
}
