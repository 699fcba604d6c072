//! What is inside an image, for people and as JSON.

use packproof_receipt::{
    measure::{boot_ramdisk, policy_ramdisk},
    policy::Policy,
};
use serde::Serialize;
use sha2::{Digest, Sha384};

use crate::{
    cpio::{Budget, CpioError, Entry, Ramdisk, overlaps},
    image::{Image, SectionKind},
    signature,
};

/// Bytes shown of a text that the image brings, such as the command line.
pub const MAX_SHOWN_BYTES: usize = 4_096;

/// An image taken apart. Texts from the image are escaped: printable ASCII only.
#[derive(Debug, Serialize)]
pub struct Description {
    /// Always 1.
    pub schema: u32,
    /// Container version.
    pub version: u16,
    /// Processor.
    pub architecture: &'static str,
    /// Lower-case hex.
    pub pcr0: String,
    /// Lower-case hex.
    pub pcr1: String,
    /// Lower-case hex.
    pub pcr2: String,
    /// Lower-case hex; there when the image is signed and the signature is right.
    pub pcr8: Option<String>,
    /// `none`, `valid`, or why it is refused.
    pub signature: String,
    /// All sections in order.
    pub sections: Vec<SectionDescription>,
    /// The kernel command line.
    pub command_line: String,
    /// The ramdisks in order.
    pub ramdisks: Vec<RamdiskDescription>,
    /// Paths that a later entry takes over from an earlier one.
    pub overlaps: Vec<OverlapDescription>,
    /// The metadata section's text. In no register: anybody can write anything there.
    pub untrusted_metadata: Option<String>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// One section.
#[derive(Debug, Serialize)]
pub struct SectionDescription {
    /// What it holds.
    pub kind: &'static str,
    /// Bytes.
    pub size: usize,
    /// Lower-case hex.
    pub sha384: String,
}

/// One ramdisk.
#[derive(Debug, Serialize)]
pub struct RamdiskDescription {
    /// `boot` or `policy` when it is packproof's canonical one, to the byte.
    pub canonical: Option<&'static str>,
    /// Whether an archive in it is compressed.
    pub compressed: bool,
    /// Its entries; empty when it could not be opened.
    pub entries: Vec<EntryDescription>,
    /// Why it could not be opened.
    pub error: Option<ErrorDescription>,
}

/// A refusal.
#[derive(Debug, Serialize)]
pub struct ErrorDescription {
    /// Stable code.
    pub code: &'static str,
    /// For people.
    pub message: String,
}

/// One entry of a ramdisk.
#[derive(Debug, Serialize)]
pub struct EntryDescription {
    /// Name, escaped.
    pub name: String,
    /// File, directory, link or device.
    pub kind: &'static str,
    /// Permissions, octal.
    pub mode: String,
    /// Owner and group.
    pub owner: String,
    /// Bytes.
    pub size: u32,
    /// Of the content, lower-case hex.
    pub sha384: String,
    /// Where a symbolic link points, escaped.
    pub link_target: Option<String>,
}

/// A path written twice.
#[derive(Debug, Serialize)]
pub struct OverlapDescription {
    /// The path, escaped.
    pub path: String,
    /// Ramdisk that wrote it first, counted from 0, and the entry's name there.
    pub first: (usize, String),
    /// Ramdisk that writes it again, and the entry's name there.
    pub second: (usize, String),
}

/// Takes an image apart. A ramdisk that cannot be opened is described by its refusal; it is measured all the same.
pub fn describe(image: &Image<'_>) -> Description {
    let measured = image.measure();
    let verified = image.section(SectionKind::Signature).map(|section| signature::verify(section, &measured.pcr0));
    let (signature, pcr8) = match &verified {
        None => ("none".to_owned(), None),
        Some(Ok(certificate)) => ("valid".to_owned(), Some(hex::encode(certificate.pcr8()))),
        Some(Err(error)) => (format!("refused: {error} [{}]", error.code()), None),
    };
    let opened = open_ramdisks(image);
    let empty = Ramdisk { entries: Vec::new(), archives: 0, compressed: false };
    let readable: Vec<&Ramdisk> = opened.iter().map(|ramdisk| ramdisk.as_ref().unwrap_or(&empty)).collect();
    let mut notes = notes(image, &opened);
    let entry_name = |(disk, entry): (usize, usize)| {
        let name = readable.get(disk).and_then(|ramdisk| ramdisk.entries.get(entry)).map(|entry| shown(&entry.name));
        (disk, name.unwrap_or_default())
    };
    let overlaps = match overlaps(&readable) {
        Ok(found) => found
            .into_iter()
            .map(|overlap| OverlapDescription {
                path: shown(&overlap.path),
                first: entry_name(overlap.first),
                second: entry_name(overlap.second),
            })
            .collect(),
        Err(error) => {
            notes.push(format!("overlaps were not looked for: {error} [{}]", error.code()));
            Vec::new()
        }
    };
    if !overlaps.is_empty() {
        notes.push(format!("{} paths are written more than once; the later entry wins", overlaps.len()));
    }
    Description {
        schema: 1,
        version: image.version,
        architecture: image.architecture.name(),
        pcr0: hex::encode(measured.pcr0),
        pcr1: hex::encode(measured.pcr1),
        pcr2: hex::encode(measured.pcr2),
        pcr8,
        signature,
        sections: image.sections.iter().map(|section| describe_section(section.kind, section.bytes)).collect(),
        command_line: shown(image.command_line()),
        ramdisks: image.ramdisks().zip(&opened).map(|(bytes, opened)| describe_ramdisk(bytes, opened)).collect(),
        overlaps,
        untrusted_metadata: image.section(SectionKind::Metadata).map(shown),
        notes,
    }
}

/// Opens the ramdisks of an image under one budget.
pub fn open_ramdisks(image: &Image<'_>) -> Vec<Result<Ramdisk, CpioError>> {
    let mut budget = Budget::default();
    image.ramdisks().map(|bytes| Ramdisk::parse_within(bytes, &mut budget)).collect()
}

/// Which of packproof's two ramdisks these bytes are, exactly: `boot` or `policy`.
pub fn canonical(ramdisk: &[u8]) -> Option<&'static str> {
    let file = |start: usize| {
        let digits = std::str::from_utf8(ramdisk.get(54..62)?).ok()?;
        let size = usize::try_from(u32::from_str_radix(digits, 16).ok()?).ok()?;
        ramdisk.get(start..start.checked_add(size)?)
    };
    if file(BOOT_FILE_OFFSET).is_some_and(|init| boot_ramdisk(init) == ramdisk) {
        return Some("boot");
    }
    file(POLICY_FILE_OFFSET).is_some_and(|policy| policy_ramdisk(policy) == ramdisk).then_some("policy")
}

/// Bytes as printable ASCII, cut at [`MAX_SHOWN_BYTES`].
pub fn shown(bytes: &[u8]) -> String {
    match bytes.split_at_checked(MAX_SHOWN_BYTES) {
        Some((front, rest)) if !rest.is_empty() => {
            format!("{} (and {} bytes more)", front.escape_ascii(), rest.len())
        }
        _ => bytes.escape_ascii().to_string(),
    }
}

/// Header 110 bytes and the name with its NUL, to a multiple of four.
const BOOT_FILE_OFFSET: usize = 116;
const POLICY_FILE_OFFSET: usize = 128;

fn describe_section(kind: SectionKind, bytes: &[u8]) -> SectionDescription {
    SectionDescription { kind: kind.name(), size: bytes.len(), sha384: hex::encode(Sha384::digest(bytes)) }
}

fn describe_ramdisk(bytes: &[u8], opened: &Result<Ramdisk, CpioError>) -> RamdiskDescription {
    let error = opened.as_ref().err();
    RamdiskDescription {
        canonical: canonical(bytes),
        compressed: opened.as_ref().is_ok_and(|ramdisk| ramdisk.compressed),
        entries: opened.iter().flat_map(|ramdisk| &ramdisk.entries).map(describe_entry).collect(),
        error: error.map(|error| ErrorDescription { code: error.code(), message: error.to_string() }),
    }
}

fn describe_entry(entry: &Entry) -> EntryDescription {
    EntryDescription {
        name: shown(&entry.name),
        kind: entry.kind(),
        mode: format!("{:04o}", entry.mode & 0o7777),
        owner: format!("{}:{}", entry.uid, entry.gid),
        size: entry.size,
        sha384: hex::encode(entry.sha384),
        link_target: entry.link_target.as_deref().map(shown),
    }
}

fn notes(image: &Image<'_>, opened: &[Result<Ramdisk, CpioError>]) -> Vec<String> {
    let mut notes = Vec::new();
    let ramdisks: Vec<&[u8]> = image.ramdisks().collect();
    if ramdisks.len() < 2 {
        notes.push("there is no second ramdisk: PCR2 is that of empty contents and pins nothing".to_owned());
    }
    for (index, ramdisk) in opened.iter().enumerate() {
        if let Err(error) = ramdisk {
            notes.push(format!("ramdisk {index} was not opened, its overlaps are not known: {error}"));
        }
    }
    // the loader puts the ramdisks one after another, and the kernel expects plain entries at multiples of four
    if ramdisks.iter().rev().skip(1).any(|ramdisk| !ramdisk.len().is_multiple_of(4)) {
        notes.push(
            "a ramdisk does not end at a multiple of four bytes; a plain one after it may not be found".to_owned(),
        );
    }
    if let Some(policy) = ramdisks.get(1).filter(|ramdisk| canonical(ramdisk) == Some("policy")) {
        let size = opened.get(1).and_then(|ramdisk| ramdisk.as_ref().ok()?.entries.first().map(|entry| entry.size));
        let end = usize::try_from(size.unwrap_or(0)).unwrap_or(0).saturating_add(POLICY_FILE_OFFSET);
        if let Err(error) = Policy::parse(policy.get(POLICY_FILE_OFFSET..end).unwrap_or_default()) {
            notes.push(format!("the policy is refused: {error} [{}]", error.code()));
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Architecture;

    fn with_ramdisks(ramdisks: &[&[u8]]) -> Description {
        describe(&Image::new(Architecture::X86_64, b"k", b"quiet\x1b[2J", b"{\"a\":1}", ramdisks))
    }

    #[test]
    fn texts_of_the_image_are_escaped_and_cut() {
        let description = with_ramdisks(&[&boot_ramdisk(b"init")]);
        assert_eq!(description.command_line, r"quiet\x1b[2J");
        assert_eq!(description.untrusted_metadata.as_deref(), Some(r#"{\"a\":1}"#));
        assert_eq!(shown(&[b'a'; 4_096]).len(), 4_096);
        assert!(shown(&[b'a'; 4_097]).ends_with(" (and 1 bytes more)"));
    }

    #[test]
    fn the_canonical_ramdisks_are_known_to_the_byte() {
        assert_eq!(canonical(&boot_ramdisk(b"")), Some("boot"));
        assert_eq!(canonical(&policy_ramdisk(b"abc")), Some("policy"));
        let mut other = policy_ramdisk(b"abc");
        other.extend([0; 4]);
        assert_eq!(canonical(&other), None);
        assert_eq!(canonical(b""), None);
    }

    #[test]
    fn a_replaced_init_is_named() {
        let description = with_ramdisks(&[&boot_ramdisk(b"good"), &boot_ramdisk(b"evil")]);
        assert_eq!(description.overlaps[0].path, "init");
        assert_eq!(description.overlaps[0].second, (1, "init".to_owned()));
        assert!(description.notes.iter().any(|note| note.contains("the later entry wins")));
    }

    #[test]
    fn what_cannot_be_opened_or_pins_nothing_is_said() {
        let description = with_ramdisks(&[b"zstd?"]);
        assert_eq!(description.ramdisks[0].error.as_ref().unwrap().code, "cpio_not_an_archive");
        assert!(description.notes[0].contains("pins nothing"));
        assert!(description.notes[1].contains("was not opened"));
        let description = with_ramdisks(&[b"zstd?", &policy_ramdisk(b"schema = 1")]);
        assert!(description.notes.iter().any(|note| note.contains("multiple of four")));
        assert!(description.notes.iter().any(|note| note.contains("policy_syntax")));
    }
}
