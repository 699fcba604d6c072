//! Explains how two images differ, down to the file in a ramdisk.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest, Sha384};

use crate::{
    cpio::{Entry, Ramdisk},
    describe::{open_ramdisks, shown},
    image::{Image, SectionKind},
    signature,
};

/// One difference between image A and image B.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Which part: `header`, `kernel`, `command_line`, `ramdisk 0`, `signature`, `metadata`, `order`.
    pub part: String,
    /// The file inside a ramdisk, escaped.
    pub path: Option<String>,
    /// What differs, A first.
    pub text: String,
    /// Whether it changes PCR0.
    pub measured: bool,
}

/// Compares two images. An empty list means equal files, and the other way round.
pub fn diff(a: &Image<'_>, b: &Image<'_>) -> Vec<Difference> {
    let mut found = Differences::default();
    for (name, a, b) in [
        ("version", a.version.to_string(), b.version.to_string()),
        ("architecture", a.architecture.name().to_owned(), b.architecture.name().to_owned()),
        ("default memory", a.default_memory_bytes.to_string(), b.default_memory_bytes.to_string()),
        ("default cpus", a.default_cpus.to_string(), b.default_cpus.to_string()),
    ] {
        if a != b {
            found.add("header", false, format!("{name}: {a} -> {b}"));
        }
    }
    if a.kernel() != b.kernel() {
        found.add("kernel", true, contents(a.kernel(), b.kernel()));
    }
    if a.command_line() != b.command_line() {
        let text = format!("\"{}\" -> \"{}\"", shown(a.command_line()), shown(b.command_line()));
        found.add("command_line", true, text);
    }
    ramdisks(a, b, &mut found);
    signatures(a, b, &mut found);
    match (a.section(SectionKind::Metadata), b.section(SectionKind::Metadata)) {
        (Some(a), Some(b)) if a != b => {
            found.add("metadata", false, format!("\"{}\" -> \"{}\"", shown(a), shown(b)));
        }
        (Some(_), None) => found.add("metadata", false, "only in A".to_owned()),
        (None, Some(_)) => found.add("metadata", false, "only in B".to_owned()),
        _ => {}
    }
    let order = |image: &Image<'_>| image.sections.iter().map(|section| section.kind.name()).collect::<Vec<_>>();
    if found.list.is_empty() && order(a) != order(b) {
        found.add("order", false, format!("{} -> {}", order(a).join(" "), order(b).join(" ")));
    }
    found.list
}

#[derive(Default)]
struct Differences {
    list: Vec<Difference>,
}

impl Differences {
    fn add(&mut self, part: &str, measured: bool, text: String) {
        self.list.push(Difference { part: part.to_owned(), path: None, text, measured });
    }

    fn add_file(&mut self, part: &str, path: &[u8], text: String) {
        self.list.push(Difference { part: part.to_owned(), path: Some(shown(path)), text, measured: true });
    }
}

fn ramdisks(a: &Image<'_>, b: &Image<'_>, found: &mut Differences) {
    let (opened_a, opened_b) = (open_ramdisks(a), open_ramdisks(b));
    let (raw_a, raw_b): (Vec<_>, Vec<_>) = (a.ramdisks().collect(), b.ramdisks().collect());
    for index in 0..raw_a.len().max(raw_b.len()) {
        let part = format!("ramdisk {index}");
        match (raw_a.get(index), raw_b.get(index)) {
            (Some(a), Some(b)) if a == b => {}
            (Some(a), Some(b)) => {
                let before = found.list.len();
                match (opened_a.get(index), opened_b.get(index)) {
                    (Some(Ok(a)), Some(Ok(b))) => entries(&part, a, b, found),
                    (Some(Err(error)), _) => {
                        found.add(&part, true, format!("A cannot be opened: {error}; {}", contents(a, b)));
                    }
                    (_, Some(Err(error))) => {
                        found.add(&part, true, format!("B cannot be opened: {error}; {}", contents(a, b)));
                    }
                    _ => {}
                }
                if found.list.len() == before {
                    found.add(&part, true, format!("the same entries, packed differently: {}", contents(a, b)));
                }
            }
            (Some(a), None) => found.add(&part, true, format!("only in A, {} bytes", a.len())),
            (None, Some(b)) => found.add(&part, true, format!("only in B, {} bytes", b.len())),
            (None, None) => {}
        }
    }
}

/// Compares entries of the same name; the second of a name in one ramdisk with the second in the other.
fn entries(part: &str, a: &Ramdisk, b: &Ramdisk, found: &mut Differences) {
    let (a, b) = (by_name(a), by_name(b));
    for (key, entry) in &a {
        match b.get(key) {
            None => found.add_file(part, key.0, format!("only in A, {}", summary(entry))),
            Some(other) => {
                let changes = changes(entry, other);
                if !changes.is_empty() {
                    found.add_file(part, key.0, changes.join(", "));
                }
            }
        }
    }
    for (key, entry) in b.iter().filter(|(key, _)| !a.contains_key(*key)) {
        found.add_file(part, key.0, format!("only in B, {}", summary(entry)));
    }
}

fn by_name(ramdisk: &Ramdisk) -> BTreeMap<(&[u8], usize), &Entry> {
    let mut times: BTreeMap<&[u8], usize> = BTreeMap::new();
    let keyed = ramdisk.entries.iter().map(|entry| {
        let time = times.entry(&entry.name).or_default();
        *time = time.saturating_add(1);
        ((entry.name.as_slice(), *time), entry)
    });
    keyed.collect()
}

fn summary(entry: &Entry) -> String {
    format!("{} of {} bytes, mode {:04o}", entry.kind(), entry.size, entry.mode & 0o7777)
}

fn changes(a: &Entry, b: &Entry) -> Vec<String> {
    let target = |entry: &Entry| entry.link_target.as_deref().map_or_else(|| "-".to_owned(), shown);
    let all = [
        ("type", a.kind().to_owned(), b.kind().to_owned()),
        ("size", a.size.to_string(), b.size.to_string()),
        ("sha384", hex::encode(a.sha384), hex::encode(b.sha384)),
        ("target", target(a), target(b)),
        ("mode", format!("{:o}", a.mode), format!("{:o}", b.mode)),
        ("owner", format!("{}:{}", a.uid, a.gid), format!("{}:{}", b.uid, b.gid)),
        ("mtime", a.mtime.to_string(), b.mtime.to_string()),
        ("inode", a.ino.to_string(), b.ino.to_string()),
        ("links", a.nlink.to_string(), b.nlink.to_string()),
        ("dev", format!("{:?}", a.dev), format!("{:?}", b.dev)),
        ("rdev", format!("{:?}", a.rdev), format!("{:?}", b.rdev)),
    ];
    all.into_iter().filter(|(_, a, b)| a != b).map(|(name, a, b)| format!("{name} {a} -> {b}")).collect()
}

fn signatures(a: &Image<'_>, b: &Image<'_>, found: &mut Differences) {
    let signature = |image: &Image<'_>| {
        let section = image.section(SectionKind::Signature)?;
        Some(match signature::verify(section, &image.measure().pcr0) {
            Ok(certificate) => format!("PCR8 {}", hex::encode(certificate.pcr8())),
            Err(error) => format!("refused [{}]", error.code()),
        })
    };
    if a.section(SectionKind::Signature) != b.section(SectionKind::Signature) {
        let [a, b] = [a, b].map(|image| signature(image).unwrap_or_else(|| "none".to_owned()));
        let text = if a == b { format!("another signature of the same kind, {a}") } else { format!("{a} -> {b}") };
        found.add("signature", false, text);
    }
}

/// Sizes, hashes and where the first difference lies.
fn contents(a: &[u8], b: &[u8]) -> String {
    let first = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let hash = |bytes: &[u8]| hex::encode(Sha384::digest(bytes));
    format!("size {} -> {}, sha384 {} -> {}, first difference at byte {first}", a.len(), b.len(), hash(a), hash(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Architecture;
    use packproof_receipt::measure::{boot_ramdisk, policy_ramdisk};

    fn texts(a: &Image<'_>, b: &Image<'_>) -> Vec<String> {
        let line = |d: Difference| format!("{} {} {}", d.part, d.path.unwrap_or_default(), d.text);
        diff(a, b).into_iter().map(line).collect()
    }

    #[test]
    fn a_changed_policy_is_explained_down_to_the_file() {
        let (boot, a, b) = (boot_ramdisk(b"init"), policy_ramdisk(b"one"), policy_ramdisk(b"three"));
        let image = |policy| Image::new(Architecture::X86_64, b"k", b"c", b"{}", &[&boot, policy]);
        let found = texts(&image(&a), &image(&b));
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("ramdisk 1 packproof.toml size 3 -> 5, sha384 "), "{}", found[0]);
        assert_eq!(diff(&image(&a), &image(&a)), []);
    }

    /// Every field of an entry's header, at its place in `newc`, is named when it alone differs.
    #[test]
    fn every_field_of_an_entry_is_compared() {
        let boot = boot_ramdisk(b"init");
        let fields = ["inode", "mode", "owner", "owner", "links", "mtime", "", "dev", "dev", "rdev", "rdev"];
        for (index, field) in fields.into_iter().enumerate().filter(|(_, field)| !field.is_empty()) {
            let mut changed = boot.clone();
            changed[6 + 8 * index + 7] ^= 2;
            let image = |ramdisk| Image::new(Architecture::X86_64, b"k", b"c", b"{}", &[ramdisk]);
            let found = texts(&image(&boot), &image(&changed));
            let [line] = found.as_slice() else { panic!("{index}: {found:?}") };
            assert!(line.starts_with("ramdisk 0 init ") && line.contains(&format!("{field} ")), "{index}: {line}");
        }
    }

    #[test]
    fn every_part_is_compared() {
        let (boot, policy) = (boot_ramdisk(b"init"), policy_ramdisk(b"one"));
        let good = Image::new(Architecture::X86_64, b"kernel", b"c", b"{}", &[&boot, &policy]);
        let parts =
            |other: &Image<'_>| diff(&good, other).into_iter().map(|d| (d.part, d.measured)).collect::<Vec<_>>();
        let part = |name: &str, measured| vec![(name.to_owned(), measured)];
        let new = Image::new;
        let ramdisks: [&[u8]; 2] = [&boot, &policy];
        assert_eq!(parts(&new(Architecture::Aarch64, b"kernel", b"c", b"{}", &ramdisks)), part("header", false));
        assert_eq!(parts(&new(Architecture::X86_64, b"kernels", b"c", b"{}", &ramdisks)), part("kernel", true));
        assert_eq!(parts(&new(Architecture::X86_64, b"kernel", b"d", b"{}", &ramdisks)), part("command_line", true));
        assert_eq!(parts(&new(Architecture::X86_64, b"kernel", b"c", b"", &ramdisks)), part("metadata", false));
        assert_eq!(parts(&new(Architecture::X86_64, b"kernel", b"c", b"{}", &[&boot])), part("ramdisk 1", true));
        assert_eq!(parts(&new(Architecture::X86_64, b"kernel", b"c", b"{}", &[&boot, b"?"])), part("ramdisk 1", true));
        let mut moved = good.clone();
        moved.sections.swap(2, 3);
        assert_eq!(parts(&moved), part("order", false));
        let padded = [policy.clone(), vec![0; 4]].concat();
        let repacked = new(Architecture::X86_64, b"kernel", b"c", b"{}", &[&boot, &padded]);
        assert!(texts(&good, &repacked)[0].contains("packed differently"));
        let renamed = texts(&good, &new(Architecture::X86_64, b"kernel", b"c", b"{}", &[&boot, &boot]));
        assert_eq!(renamed.len(), 2);
        assert!(renamed[0].contains("packproof.toml only in A") && renamed[1].contains("init only in B"));
    }
}
