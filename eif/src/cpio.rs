//! Reads ramdisks: `newc` cpio archives, one or more, each plain or compressed with gzip, as the kernel unpacks them.
//!
//! Contents are hashed as they go by and not kept, so memory is bounded by [`MAX_ENTRIES`] and [`MAX_NAME_BYTES`]
//! whatever a small compressed file expands to. What the kernel would pass over or read differently from other tools
//! (a body on a directory, a name of zero bytes, bytes in the padding) is refused.
//!
//! Source: Linux, `Documentation/driver-api/early-userspace/buffer-format.rst` and `init/initramfs.c`.

use std::io::{self, Read};

use flate2::bufread::GzDecoder;
use sha2::{Digest, Sha384};

mod error;
mod overlap;

pub use error::CpioError;
pub use overlap::{MAX_PATH_WORK, Overlap, overlaps};

/// Bytes that the ramdisks of one image may have after decompression.
pub const MAX_UNPACKED_BYTES: u64 = 1 << 30;
/// Entries of all ramdisks of one image, trailers left out.
pub const MAX_ENTRIES: usize = 65_536;
/// Bytes of one name or link target, the NUL of a name included (Linux: `PATH_MAX`).
pub const MAX_PATH_BYTES: u32 = 4_096;
/// Bytes of all names and link targets of one image.
pub const MAX_NAME_BYTES: usize = 1 << 23;

/// What a ramdisk holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ramdisk {
    /// The entries in order, those of all archives.
    pub entries: Vec<Entry>,
    /// How many archives follow each other.
    pub archives: usize,
    /// Whether one of them is compressed.
    pub compressed: bool,
}

/// One entry: a file, directory, link or device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name as it stands in the archive: bytes, not necessarily text.
    pub name: Vec<u8>,
    /// Inode number; regular files of one archive with more than one link and the same number are one file.
    pub ino: u32,
    /// Type and permissions, as `st_mode`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Number of links.
    pub nlink: u32,
    /// Seconds since 1970.
    pub mtime: u32,
    /// Bytes of content.
    pub size: u32,
    /// Device that held the file.
    pub dev: (u32, u32),
    /// Device that the entry is.
    pub rdev: (u32, u32),
    /// SHA-384 of the content.
    pub sha384: [u8; 48],
    /// Where a symbolic link points.
    pub link_target: Option<Vec<u8>>,
}

impl Entry {
    /// What it is: the type bits of the mode.
    pub fn kind(&self) -> &'static str {
        match self.mode & TYPE_MASK {
            TYPE_REGULAR if self.nlink > 1 => "hard link",
            TYPE_REGULAR => "file",
            TYPE_DIRECTORY => "directory",
            TYPE_LINK => "link",
            0o020_000 => "character device",
            0o060_000 => "block device",
            0o010_000 => "fifo",
            0o140_000 => "socket",
            _ => "unknown type",
        }
    }

    fn is_directory(&self) -> bool {
        self.mode & TYPE_MASK == TYPE_DIRECTORY
    }
}

impl Ramdisk {
    /// Reads a ramdisk section.
    ///
    /// # Errors
    /// [`CpioError`] for anything that is not wholly made of complete archives.
    pub fn parse(bytes: &[u8]) -> Result<Self, CpioError> {
        Self::parse_within(bytes, &mut Budget::default())
    }

    /// Reads a ramdisk section and takes what it used from a budget that all ramdisks of an image share.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_within(bytes: &[u8], budget: &mut Budget) -> Result<Self, CpioError> {
        let mut ramdisk = Self { entries: Vec::new(), archives: 0, compressed: false };
        let mut rest = bytes;
        loop {
            let zeros = rest.iter().take_while(|byte| **byte == 0).count();
            rest = rest.get(zeros..).unwrap_or_default();
            let at = bytes.len().saturating_sub(rest.len());
            if rest.is_empty() && ramdisk.archives > 0 {
                return Ok(ramdisk);
            }
            if rest.starts_with(GZIP_MAGIC) {
                ramdisk.compressed = true;
                let mut unpacked = Source::new(GzDecoder::new(&mut rest), budget);
                ramdisk.archives_of(&mut unpacked)?;
            } else if rest.starts_with(b"0707") {
                let mut plain = Source::new(&mut rest, budget);
                ramdisk.archive(&mut plain, None)?;
            } else {
                return Err(CpioError::NotAnArchive { at });
            }
        }
    }

    /// Reads all archives of one compressed stream, zeros between them left out.
    fn archives_of<R: Read>(&mut self, source: &mut Source<'_, R>) -> Result<(), CpioError> {
        let mut found = false;
        loop {
            match source.byte()? {
                None if found => return Ok(()),
                None => return Err(CpioError::NoTrailer),
                Some(0) => {}
                Some(first) => {
                    found = true;
                    source.position = 0;
                    self.archive(source, Some(first))?;
                }
            }
        }
    }

    /// Reads one archive up to its trailer; `first` is its first byte when that was taken already.
    fn archive<R: Read>(&mut self, source: &mut Source<'_, R>, mut first: Option<u8>) -> Result<(), CpioError> {
        self.archives = self.archives.saturating_add(1);
        loop {
            let index = self.entries.len();
            let mut header = [0; HEADER_BYTES];
            let (start, body) = header.split_at_mut(usize::from(first.is_some()));
            start.copy_from_slice(first.as_slice());
            first = None;
            if source.fill_or_end(body)? {
                return Err(CpioError::NoTrailer);
            }
            source.position = as_u64(HEADER_BYTES);
            let header = Header::parse(&header, index)?;
            if header.name_size < 2 || header.name_size > MAX_PATH_BYTES {
                return Err(CpioError::NameLength { index, length: header.name_size });
            }
            let mut name = source.keep(header.name_size)?;
            if name.pop() != Some(0) || name.contains(&0) {
                return Err(CpioError::NameNul { index });
            }
            source.padding(index)?;
            let kind = header.entry.mode & TYPE_MASK;
            let is_trailer = name == TRAILER;
            if header.entry.size > 0 && (is_trailer || !matches!(kind, TYPE_REGULAR | TYPE_LINK)) {
                return Err(CpioError::BodyNotAllowed { index });
            }
            let (mut sum, mut hash, mut link_target) = (0_u32, Sha384::new(), None);
            if kind == TYPE_LINK && !is_trailer {
                if header.entry.size == 0 || header.entry.size >= MAX_PATH_BYTES {
                    return Err(CpioError::LinkLength { index, length: header.entry.size });
                }
                let target = source.keep(header.entry.size)?;
                hash.update(&target);
                sum = checksum(sum, &target);
                link_target = Some(target);
            } else {
                source.hash(header.entry.size, &mut hash, &mut sum)?;
            }
            source.padding(index)?;
            if header.has_checksum && kind == TYPE_REGULAR && sum != header.check {
                return Err(CpioError::Checksum { index });
            }
            source.position = 0;
            if is_trailer {
                return Ok(());
            }
            source.budget.entries = source.budget.entries.checked_sub(1).ok_or(CpioError::TooManyEntries)?;
            self.entries.push(Entry { name, link_target, sha384: hash.finalize().into(), ..header.entry });
        }
    }
}

/// What the ramdisks of one image may still use up; [`Budget::default`] is all of it.
#[derive(Clone, Debug)]
pub struct Budget {
    bytes: u64,
    names: usize,
    entries: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { bytes: MAX_UNPACKED_BYTES, names: MAX_NAME_BYTES, entries: MAX_ENTRIES }
    }
}

const HEADER_BYTES: usize = 110;
const TRAILER: &[u8] = b"TRAILER!!!";
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
const TYPE_MASK: u32 = 0o170_000;
const TYPE_REGULAR: u32 = 0o100_000;
const TYPE_DIRECTORY: u32 = 0o040_000;
const TYPE_LINK: u32 = 0o120_000;

/// A header's fields; name, target and hash of its entry are not read yet.
struct Header {
    entry: Entry,
    name_size: u32,
    check: u32,
    has_checksum: bool,
}

impl Header {
    fn parse(header: &[u8; HEADER_BYTES], index: usize) -> Result<Self, CpioError> {
        let (magic, digits) = header.split_at(6);
        let has_checksum = match magic {
            b"070701" => false,
            b"070702" => true,
            _ => return Err(CpioError::Magic { index }),
        };
        let mut fields = [0_u32; 13];
        for (field, digits) in fields.iter_mut().zip(digits.chunks_exact(8)) {
            for digit in digits {
                let value = char::from(*digit).to_digit(16).ok_or(CpioError::Digits { index })?;
                *field = *field << 4 | value;
            }
        }
        let [ino, mode, uid, gid, nlink, mtime, size, dev_major, dev_minor, rdev_major, rdev_minor, name_size, check] =
            fields;
        let entry = Entry {
            name: Vec::new(),
            ino,
            mode,
            uid,
            gid,
            nlink,
            mtime,
            size,
            dev: (dev_major, dev_minor),
            rdev: (rdev_major, rdev_minor),
            sha384: [0; 48],
            link_target: None,
        };
        Ok(Self { entry, name_size, check, has_checksum })
    }
}

/// Bytes of a plain or compressed archive, counted.
struct Source<'a, R> {
    reader: R,
    budget: &'a mut Budget,
    /// Bytes since the entry's first; padding is to a multiple of four.
    position: u64,
}

impl<'a, R: Read> Source<'a, R> {
    fn new(reader: R, budget: &'a mut Budget) -> Self {
        Self { reader, budget, position: 0 }
    }

    /// The next byte, `None` at the end.
    fn byte(&mut self) -> Result<Option<u8>, CpioError> {
        let mut byte = [0];
        Ok(if self.fill_or_end(&mut byte)? { None } else { byte.first().copied() })
    }

    /// Fills the buffer; true when the input ended before its first byte.
    fn fill_or_end(&mut self, buffer: &mut [u8]) -> Result<bool, CpioError> {
        let wanted = as_u64(buffer.len());
        self.budget.bytes = self.budget.bytes.checked_sub(wanted).ok_or(CpioError::UnpackedTooLarge)?;
        self.position = self.position.saturating_add(wanted);
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.reader.read(rest) {
                Ok(0) if filled == 0 => return Ok(true),
                Ok(0) => return Err(CpioError::Truncated),
                Ok(count) => filled = filled.saturating_add(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(CpioError::Gzip(error.to_string())),
            }
        }
        Ok(false)
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), CpioError> {
        if self.fill_or_end(buffer)? && !buffer.is_empty() { Err(CpioError::Truncated) } else { Ok(()) }
    }

    /// Reads a name or target, whose length was compared with its limit.
    fn keep(&mut self, length: u32) -> Result<Vec<u8>, CpioError> {
        let length = usize::try_from(length).map_err(|_| CpioError::NamesTooLarge)?;
        self.budget.names = self.budget.names.checked_sub(length).ok_or(CpioError::NamesTooLarge)?;
        let mut bytes = vec![0; length];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn hash(&mut self, length: u32, hash: &mut Sha384, sum: &mut u32) -> Result<(), CpioError> {
        let mut chunk = [0; 8_192];
        let mut left = usize::try_from(length).map_err(|_| CpioError::UnpackedTooLarge)?;
        while left > 0 {
            let part = chunk.get_mut(..left.min(8_192)).unwrap_or_default();
            self.fill(part)?;
            hash.update(&*part);
            *sum = checksum(*sum, part);
            left = left.saturating_sub(part.len());
        }
        Ok(())
    }

    fn padding(&mut self, index: usize) -> Result<(), CpioError> {
        while !self.position.is_multiple_of(4) {
            match self.byte()? {
                Some(0) => {}
                Some(_) => return Err(CpioError::Padding { index }),
                None => return Err(CpioError::Truncated),
            }
        }
        Ok(())
    }
}

fn checksum(sum: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(sum, |sum, byte| sum.wrapping_add(u32::from(*byte)))
}

fn as_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
