//! Why a ramdisk is refused.

use std::fmt;

use super::{MAX_ENTRIES, MAX_NAME_BYTES, MAX_PATH_BYTES, MAX_UNPACKED_BYTES};

/// Why a ramdisk could not be opened. Entries are counted from 0 over the whole ramdisk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CpioError {
    /// Neither a `newc` archive nor gzip at this offset: other compression, or bytes that belong to nothing.
    NotAnArchive {
        /// Offset in the section.
        at: usize,
    },
    /// An entry of another cpio format.
    Magic {
        /// Which entry.
        index: usize,
    },
    /// The ramdisk ends inside an entry.
    Truncated,
    /// The ramdisk ends without a trailer.
    NoTrailer,
    /// The compressed stream is damaged.
    Gzip(String),
    /// A header field is not eight hex digits.
    Digits {
        /// Which entry.
        index: usize,
    },
    /// A name without characters or longer than [`MAX_PATH_BYTES`].
    NameLength {
        /// Which entry.
        index: usize,
        /// Its length with the NUL.
        length: u32,
    },
    /// A name with a NUL inside or none at its end.
    NameNul {
        /// Which entry.
        index: usize,
    },
    /// A link target that is empty or too long.
    LinkLength {
        /// Which entry.
        index: usize,
        /// Its length.
        length: u32,
    },
    /// Padding that is not zero.
    Padding {
        /// Which entry.
        index: usize,
    },
    /// Content on an entry that has none, which the kernel would pass over.
    BodyNotAllowed {
        /// Which entry.
        index: usize,
    },
    /// The content does not have the checksum of its header (magic `070702`).
    Checksum {
        /// Which entry.
        index: usize,
    },
    /// More than [`MAX_ENTRIES`].
    TooManyEntries,
    /// Names of more than [`MAX_NAME_BYTES`] altogether.
    NamesTooLarge,
    /// More than [`MAX_UNPACKED_BYTES`].
    UnpackedTooLarge,
    /// Links that lead through too many others.
    TangledPaths,
}

impl CpioError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAnArchive { .. } => "cpio_not_an_archive",
            Self::Magic { .. } => "cpio_magic",
            Self::Truncated => "cpio_truncated",
            Self::NoTrailer => "cpio_no_trailer",
            Self::Gzip(_) => "cpio_gzip",
            Self::Digits { .. } => "cpio_digits",
            Self::NameLength { .. } => "cpio_name_length",
            Self::NameNul { .. } => "cpio_name_nul",
            Self::LinkLength { .. } => "cpio_link_length",
            Self::Padding { .. } => "cpio_padding",
            Self::BodyNotAllowed { .. } => "cpio_body_not_allowed",
            Self::Checksum { .. } => "cpio_checksum",
            Self::TooManyEntries => "cpio_too_many_entries",
            Self::NamesTooLarge => "cpio_names_too_large",
            Self::UnpackedTooLarge => "cpio_unpacked_too_large",
            Self::TangledPaths => "cpio_tangled_paths",
        }
    }
}

impl fmt::Display for CpioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnArchive { at } => {
                write!(f, "at byte {at} there is neither a newc cpio archive nor gzip; nothing else is opened")
            }
            Self::Magic { index } => write!(f, "entry {index} is not of the newc format"),
            Self::Truncated => f.write_str("the ramdisk ends inside an entry"),
            Self::NoTrailer => f.write_str("the ramdisk ends without the trailer entry"),
            Self::Gzip(reason) => write!(f, "the compressed ramdisk is damaged: {reason}"),
            Self::Digits { index } => write!(f, "the header of entry {index} holds something other than hex digits"),
            Self::NameLength { index, length } => {
                write!(f, "the name of entry {index} claims {length} bytes, 2 to {MAX_PATH_BYTES} are accepted")
            }
            Self::NameNul { index } => write!(f, "the name of entry {index} does not end at its only NUL"),
            Self::LinkLength { index, length } => write!(f, "the link of entry {index} has a target of {length} bytes"),
            Self::Padding { index } => write!(f, "the padding of entry {index} is not zero"),
            Self::BodyNotAllowed { index } => write!(f, "entry {index} has content and is neither a file nor a link"),
            Self::Checksum { index } => write!(f, "the content of entry {index} does not have its header's checksum"),
            Self::TooManyEntries => write!(f, "the ramdisk has more than {MAX_ENTRIES} entries"),
            Self::NamesTooLarge => write!(f, "the ramdisk's names take more than {MAX_NAME_BYTES} bytes"),
            Self::UnpackedTooLarge => write!(f, "the ramdisk unpacks to more than {MAX_UNPACKED_BYTES} bytes"),
            Self::TangledPaths => f.write_str("the ramdisks' links lead through too many others to find overlaps"),
        }
    }
}

impl std::error::Error for CpioError {}
