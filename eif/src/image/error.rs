//! Why a container is refused.

use std::fmt;

use super::{HEADER_BYTES, MAX_FILE_BYTES, MAX_SECTIONS, SectionKind};

/// Why bytes are not an image. Sections are counted from 0 in the file's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageError {
    /// Shorter than a header; the length.
    ShortHeader(usize),
    /// Larger than [`MAX_FILE_BYTES`]; the length.
    TooLarge(u64),
    /// Does not start with `.eif`.
    Magic,
    /// A version other than 3 or 4.
    Version(u16),
    /// Flags other than the architecture bit.
    Flags(u16),
    /// A reserved header field is not zero.
    Reserved,
    /// More sections than the table holds.
    SectionCount(usize),
    /// A table entry past the last section is not zero.
    UnusedTableEntry,
    /// The table's offset is not where the section lies: it overlaps, leaves a gap, or points elsewhere.
    SectionOffset {
        /// Which section.
        index: usize,
        /// Offset in the table.
        table: u64,
        /// Offset at which the section lies.
        found: u64,
    },
    /// The file ends inside a section header.
    ShortSectionHeader {
        /// Which section.
        index: usize,
    },
    /// A kind that this version does not know.
    SectionKind {
        /// Which section.
        index: usize,
        /// The kind's number.
        kind: u16,
    },
    /// Section flags, of which none is defined.
    SectionFlags {
        /// Which section.
        index: usize,
        /// The flags.
        flags: u16,
    },
    /// The table and the section header give different sizes.
    SectionSize {
        /// Which section.
        index: usize,
        /// Size in the table.
        table: u64,
        /// Size in the section header.
        found: u64,
    },
    /// The section would go on after the file's end.
    SectionPastEnd {
        /// Which section.
        index: usize,
        /// Its claimed size.
        size: u64,
    },
    /// Bytes after the last section; how many.
    TrailingBytes(usize),
    /// The kernel is not first or the command line not second.
    SectionOrder,
    /// A section is missing, or one that may occur once occurs again.
    SectionTimes {
        /// Its kind.
        kind: SectionKind,
        /// How often it occurs.
        times: usize,
    },
    /// The checksum is not that of the file.
    Crc {
        /// In the header.
        header: u32,
        /// Of the file.
        found: u32,
    },
}

impl ImageError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ShortHeader(_) => "eif_short_header",
            Self::TooLarge(_) => "eif_too_large",
            Self::Magic => "eif_magic",
            Self::Version(_) => "eif_version",
            Self::Flags(_) => "eif_flags",
            Self::Reserved => "eif_reserved",
            Self::SectionCount(_) => "eif_section_count",
            Self::UnusedTableEntry => "eif_unused_table_entry",
            Self::SectionOffset { .. } => "eif_section_offset",
            Self::ShortSectionHeader { .. } => "eif_short_section_header",
            Self::SectionKind { .. } => "eif_section_kind",
            Self::SectionFlags { .. } => "eif_section_flags",
            Self::SectionSize { .. } => "eif_section_size",
            Self::SectionPastEnd { .. } => "eif_section_past_end",
            Self::TrailingBytes(_) => "eif_trailing_bytes",
            Self::SectionOrder => "eif_section_order",
            Self::SectionTimes { .. } => "eif_section_times",
            Self::Crc { .. } => "eif_crc",
        }
    }
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShortHeader(length) => {
                write!(f, "the file has {length} bytes, an EIF header alone has {HEADER_BYTES}")
            }
            Self::TooLarge(length) => write!(f, "the image has {length} bytes, at most {MAX_FILE_BYTES} are read"),
            Self::Magic => f.write_str("the file does not start with .eif, so it is not an enclave image"),
            Self::Version(version) => write!(f, "EIF version {version} is not known; 3 and 4 are read"),
            Self::Flags(flags) => write!(f, "header flags {flags:#06x} hold more than the architecture bit"),
            Self::Reserved => f.write_str("a reserved header field is not zero"),
            Self::SectionCount(count) => write!(f, "{count} sections, the table holds {MAX_SECTIONS}"),
            Self::UnusedTableEntry => f.write_str("the section table goes on after the last section"),
            Self::SectionOffset { index, table, found } => {
                write!(f, "the table puts section {index} at byte {table}, it lies at byte {found}")
            }
            Self::ShortSectionHeader { index } => write!(f, "the file ends before or in the header of section {index}"),
            Self::SectionKind { index, kind } => {
                write!(f, "section {index} is of kind {kind}, unknown to this version")
            }
            Self::SectionFlags { index, flags } => write!(f, "section {index} has flags {flags:#06x}, none is defined"),
            Self::SectionSize { index, table, found } => {
                write!(f, "the table gives section {index} {table} bytes, its own header {found}")
            }
            Self::SectionPastEnd { index, size } => {
                write!(f, "section {index} claims {size} bytes, more than the file has left")
            }
            Self::TrailingBytes(count) => write!(f, "{count} bytes follow the last section"),
            Self::SectionOrder => f.write_str("the kernel must be the first section and the command line the second"),
            Self::SectionTimes { kind, times } => write!(f, "the {} section occurs {times} times", kind.name()),
            Self::Crc { header, found } => write!(
                f,
                "the file's CRC-32 is {found:#010x}, the header says {header:#010x}; the file was damaged or changed"
            ),
        }
    }
}

impl std::error::Error for ImageError {}
