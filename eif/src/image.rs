//! The EIF container, version 3 and 4: reader and writer.
//!
//! A file may come from anywhere. The reader allocates nothing that the file's own length does not bound: sections are
//! slices of it, and the header's table is compared with the walk over the sections, so a table that lies, overlaps or
//! hides bytes is refused. What is accepted has one encoding: [`Image::to_bytes`] gives the file back.
//!
//! Source: `aws-nitro-enclaves-image-format`, `src/defs/mod.rs`. Byte layout: `SPEC.md`, "Container".

use flate2::Crc;
use packproof_receipt::measure::{Measurements, pcr};

mod error;

pub use error::ImageError;

/// Largest accepted file. The container's sizes are 64 bits wide; the largest images seen are a few hundred MB.
pub const MAX_FILE_BYTES: u64 = 1 << 30;
/// Entries in the header's section table (`MAX_NUM_SECTIONS`).
pub const MAX_SECTIONS: usize = 32;
/// Bytes of the header.
pub const HEADER_BYTES: usize = 548;
/// Bytes of the header in front of each section.
pub const SECTION_HEADER_BYTES: usize = 12;

/// An image of any origin whose container is consistent.
///
/// Proves that the file is one EIF and nothing else; nothing about who made it or whether it boots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image<'a> {
    /// 3, or 4 which adds the metadata section.
    pub version: u16,
    /// Processor the image is for.
    pub architecture: Architecture,
    /// Suggested memory, bytes. In no register.
    pub default_memory_bytes: u64,
    /// Suggested number of processors. In no register.
    pub default_cpus: u64,
    /// The sections, in the file's order.
    pub sections: Vec<Section<'a>>,
}

/// One section of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section<'a> {
    /// What it holds.
    pub kind: SectionKind,
    /// Its content, without the section header.
    pub bytes: &'a [u8],
}

/// Bit 0 of the header's flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// Bit clear.
    X86_64,
    /// Bit set.
    Aarch64,
}

/// What a section holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectionKind {
    /// Kernel image; exactly one, first.
    Kernel,
    /// Kernel command line; exactly one, second.
    CommandLine,
    /// Initial ramdisk; at least one.
    Ramdisk,
    /// Signature over PCR0; at most one.
    Signature,
    /// JSON about the build, in no register; at most one, since version 4.
    Metadata,
}

impl Architecture {
    /// As `uname -m` prints it.
    pub fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }
}

impl SectionKind {
    /// Name for people and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::CommandLine => "command_line",
            Self::Ramdisk => "ramdisk",
            Self::Signature => "signature",
            Self::Metadata => "metadata",
        }
    }

    fn code(self) -> u16 {
        match self {
            Self::Kernel => 1,
            Self::CommandLine => 2,
            Self::Ramdisk => 3,
            Self::Signature => 4,
            Self::Metadata => 5,
        }
    }

    fn from_code(code: u16, version: u16) -> Option<Self> {
        match code {
            1 => Some(Self::Kernel),
            2 => Some(Self::CommandLine),
            3 => Some(Self::Ramdisk),
            4 => Some(Self::Signature),
            5 if version >= 4 => Some(Self::Metadata),
            _ => None,
        }
    }
}

impl<'a> Image<'a> {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ImageError`] for the first departure from the layout; the CRC is compared last.
    pub fn parse(file: &'a [u8]) -> Result<Self, ImageError> {
        let header = Header::read(file).ok_or(ImageError::ShortHeader(file.len()))?;
        let Header { version, flags, count, table, crc, .. } = header;
        if header.magic != MAGIC {
            return Err(ImageError::Magic);
        }
        if !(3..=4).contains(&version) {
            return Err(ImageError::Version(version));
        }
        let architecture = match flags {
            0 => Architecture::X86_64,
            FLAG_AARCH64 => Architecture::Aarch64,
            _ => return Err(ImageError::Flags(flags)),
        };
        if header.reserved != 0 || header.unused != 0 {
            return Err(ImageError::Reserved);
        }
        let count = usize::from(count);
        let (used, free) = table.split_at_checked(count).ok_or(ImageError::SectionCount(count))?;
        if free.iter().any(|entry| *entry != (0, 0)) {
            return Err(ImageError::UnusedTableEntry);
        }
        let sections = walk(file, version, used)?;
        check_order(&sections)?;
        let found = file_crc(file);
        if found != crc {
            return Err(ImageError::Crc { header: crc, found });
        }
        Ok(Self {
            version,
            architecture,
            default_memory_bytes: header.default_memory_bytes,
            default_cpus: header.default_cpus,
            sections,
        })
    }

    /// A version 4 image: kernel, command line, metadata, ramdisks in this order, as AWS's tool writes them.
    ///
    /// Nothing in it depends on when or where it is made.
    pub fn new(
        architecture: Architecture,
        kernel: &'a [u8],
        command_line: &'a [u8],
        metadata: &'a [u8],
        ramdisks: &[&'a [u8]],
    ) -> Self {
        let section = |kind, bytes| Section { kind, bytes };
        let mut sections = vec![
            section(SectionKind::Kernel, kernel),
            section(SectionKind::CommandLine, command_line),
            section(SectionKind::Metadata, metadata),
        ];
        sections.extend(ramdisks.iter().map(|bytes| section(SectionKind::Ramdisk, bytes)));
        Self {
            version: 4,
            architecture,
            default_memory_bytes: DEFAULT_MEMORY_BYTES,
            default_cpus: DEFAULT_CPUS,
            sections,
        }
    }

    /// Writes the file.
    ///
    /// # Errors
    /// [`ImageError`] when the sections are not those of an image, as [`Self::parse`] would find.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ImageError> {
        if self.sections.len() > MAX_SECTIONS {
            return Err(ImageError::SectionCount(self.sections.len()));
        }
        if !(3..=4).contains(&self.version) {
            return Err(ImageError::Version(self.version));
        }
        check_order(&self.sections)?;
        let headers = self.sections.len().saturating_mul(SECTION_HEADER_BYTES).saturating_add(HEADER_BYTES);
        let length = self.sections.iter().fold(headers, |sum, section| sum.saturating_add(section.bytes.len()));
        if as_u64(length) > MAX_FILE_BYTES {
            return Err(ImageError::TooLarge(as_u64(length)));
        }
        let (mut offsets, mut sizes, mut body) = (Vec::new(), Vec::new(), Vec::new());
        for (index, section) in self.sections.iter().enumerate() {
            let kind = section.kind.code();
            if SectionKind::from_code(kind, self.version).is_none() {
                return Err(ImageError::SectionKind { index, kind });
            }
            offsets.extend(as_u64(HEADER_BYTES.saturating_add(body.len())).to_be_bytes());
            let size = as_u64(section.bytes.len()).to_be_bytes();
            sizes.extend(size);
            body.extend(kind.to_be_bytes());
            body.extend(0_u16.to_be_bytes());
            body.extend(size);
            body.extend_from_slice(section.bytes);
        }
        offsets.resize(MAX_SECTIONS * 8, 0);
        sizes.resize(MAX_SECTIONS * 8, 0);
        let flags = if self.architecture == Architecture::Aarch64 { FLAG_AARCH64 } else { 0 };
        let count = u16::try_from(self.sections.len()).unwrap_or(u16::MAX);
        let mut file = Vec::with_capacity(length);
        file.extend(MAGIC);
        file.extend(self.version.to_be_bytes());
        file.extend(flags.to_be_bytes());
        file.extend(self.default_memory_bytes.to_be_bytes());
        file.extend(self.default_cpus.to_be_bytes());
        file.extend(0_u16.to_be_bytes());
        file.extend(count.to_be_bytes());
        file.extend(offsets);
        file.extend(sizes);
        file.extend(0_u32.to_be_bytes());
        let mut crc = Crc::new();
        crc.update(&file);
        crc.update(&body);
        file.extend(crc.sum().to_be_bytes());
        file.extend(body);
        Ok(file)
    }

    /// PCR0, PCR1 and PCR2, from the sections' bytes alone.
    ///
    /// An image with one ramdisk has the PCR2 of empty contents, which pins nothing.
    pub fn measure(&self) -> Measurements {
        let mut base = vec![self.kernel(), self.command_line()];
        let ramdisks: Vec<&[u8]> = self.ramdisks().collect();
        let (boot, others) = ramdisks.split_at(ramdisks.len().min(1));
        base.extend(boot);
        let all: Vec<&[u8]> = base.iter().chain(others).copied().collect();
        Measurements { pcr0: pcr(&all), pcr1: pcr(&base), pcr2: pcr(others) }
    }

    /// The kernel section.
    pub fn kernel(&self) -> &'a [u8] {
        self.section(SectionKind::Kernel).unwrap_or_default()
    }

    /// The command line section: bytes, not necessarily text.
    pub fn command_line(&self) -> &'a [u8] {
        self.section(SectionKind::CommandLine).unwrap_or_default()
    }

    /// The ramdisks, the boot ramdisk first.
    pub fn ramdisks(&self) -> impl Iterator<Item = &'a [u8]> {
        self.sections.iter().filter(|section| section.kind == SectionKind::Ramdisk).map(|section| section.bytes)
    }

    /// The first section of a kind.
    pub fn section(&self, kind: SectionKind) -> Option<&'a [u8]> {
        self.sections.iter().find(|section| section.kind == kind).map(|section| section.bytes)
    }
}

const MAGIC: [u8; 4] = *b".eif";
const FLAG_AARCH64: u16 = 1;
/// What AWS's builder writes; nothing reads it to boot.
const DEFAULT_MEMORY_BYTES: u64 = 1 << 30;
const DEFAULT_CPUS: u64 = 2;

/// The header's fields in their order, not judged yet.
struct Header {
    magic: [u8; 4],
    version: u16,
    flags: u16,
    default_memory_bytes: u64,
    default_cpus: u64,
    reserved: u16,
    count: u16,
    /// Offset and size of each section.
    table: [(u64, u64); MAX_SECTIONS],
    unused: u32,
    crc: u32,
}

impl Header {
    /// `None` when the file is shorter than a header.
    fn read(file: &[u8]) -> Option<Self> {
        let mut fields = Fields(file);
        let mut header = Self {
            magic: fields.array()?,
            version: fields.u16()?,
            flags: fields.u16()?,
            default_memory_bytes: fields.u64()?,
            default_cpus: fields.u64()?,
            reserved: fields.u16()?,
            count: fields.u16()?,
            table: [(0, 0); MAX_SECTIONS],
            unused: 0,
            crc: 0,
        };
        for (offset, _) in &mut header.table {
            *offset = fields.u64()?;
        }
        for (_, size) in &mut header.table {
            *size = fields.u64()?;
        }
        header.unused = fields.u32()?;
        header.crc = fields.u32()?;
        Some(header)
    }
}

/// Walks the sections and compares each with its table entry.
fn walk<'a>(file: &'a [u8], version: u16, table: &[(u64, u64)]) -> Result<Vec<Section<'a>>, ImageError> {
    let mut rest = Fields(file.get(HEADER_BYTES..).unwrap_or_default());
    let mut sections = Vec::with_capacity(table.len());
    for (index, (table_offset, table_size)) in table.iter().copied().enumerate() {
        let found = as_u64(file.len().saturating_sub(rest.0.len()));
        if table_offset != found {
            return Err(ImageError::SectionOffset { index, table: table_offset, found });
        }
        let mut header = Fields(rest.take(SECTION_HEADER_BYTES).ok_or(ImageError::ShortSectionHeader { index })?);
        let fields = (header.u16(), header.u16(), header.u64());
        let (Some(kind), Some(flags), Some(size)) = fields else {
            return Err(ImageError::ShortSectionHeader { index });
        };
        let kind = SectionKind::from_code(kind, version).ok_or(ImageError::SectionKind { index, kind })?;
        if flags != 0 {
            return Err(ImageError::SectionFlags { index, flags });
        }
        if size != table_size {
            return Err(ImageError::SectionSize { index, table: table_size, found: size });
        }
        let bytes = usize::try_from(size).ok().and_then(|size| rest.take(size));
        sections.push(Section { kind, bytes: bytes.ok_or(ImageError::SectionPastEnd { index, size })? });
    }
    if rest.0.is_empty() { Ok(sections) } else { Err(ImageError::TrailingBytes(rest.0.len())) }
}

/// Registers are hashed in the file's order, so kernel and command line have one place.
fn check_order(sections: &[Section<'_>]) -> Result<(), ImageError> {
    use SectionKind::{CommandLine, Kernel, Metadata, Ramdisk, Signature};
    for kind in [Kernel, CommandLine, Ramdisk, Signature, Metadata] {
        let times = sections.iter().filter(|section| section.kind == kind).count();
        let right = match kind {
            Kernel | CommandLine => times == 1,
            Ramdisk => times >= 1,
            Signature | Metadata => times <= 1,
        };
        if !right {
            return Err(ImageError::SectionTimes { kind, times });
        }
    }
    let kinds = sections.iter().map(|section| section.kind);
    if kinds.take(2).eq([Kernel, CommandLine]) { Ok(()) } else { Err(ImageError::SectionOrder) }
}

/// CRC-32 (ISO-HDLC) of the file without the header's last field, which holds it.
fn file_crc(file: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(file.get(..HEADER_BYTES - 4).unwrap_or_default());
    crc.update(file.get(HEADER_BYTES..).unwrap_or_default());
    crc.sum()
}

/// Big-endian fields from the front of a slice.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(front)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }
}

fn as_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
