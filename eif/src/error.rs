//! What a command of the image tool can fail with.

use std::{fmt, io, path::PathBuf};

use packproof_receipt::{policy::PolicyError, release::ReleaseError};

use crate::{cpio::CpioError, image::ImageError, signature::SignatureError};

/// Why an image could not be made, measured, shown, compared or signed, or a release not be read or written.
#[derive(Debug)]
pub enum EifError {
    /// A file could not be read.
    Read(PathBuf, io::Error),
    /// A file could not be written.
    Write(PathBuf, io::Error),
    /// Something other than a regular file.
    NotAFile(PathBuf),
    /// The release's description is refused.
    Release(ReleaseError),
    /// A section file is not the one that the release describes.
    SectionDiffers(PathBuf),
    /// The sections do not measure to the release's PCR1.
    Pcr1Differs,
    /// The boot ramdisk is not the canonical one: `/init` and nothing else.
    BootRamdisk,
    /// The command line holds a byte that is not printable ASCII.
    CommandLine,
    /// The policy is refused.
    Policy(PolicyError),
    /// The image is refused.
    Image(ImageError),
    /// A ramdisk is refused.
    Cpio(CpioError),
    /// The image's signature, or what it should be made with, is refused.
    Signature(SignatureError),
}

impl EifError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Read(..) => "unreadable",
            Self::Write(..) => "unwritable",
            Self::NotAFile(_) => "not_a_file",
            Self::Release(error) => error.code(),
            Self::SectionDiffers(_) => "section_differs",
            Self::Pcr1Differs => "pcr1_differs",
            Self::BootRamdisk => "boot_ramdisk",
            Self::CommandLine => "command_line",
            Self::Policy(error) => error.code(),
            Self::Image(error) => error.code(),
            Self::Cpio(error) => error.code(),
            Self::Signature(error) => error.code(),
        }
    }

    /// Exit code of the command: 1 the answer is no, 2 unreadable input, 3 disk.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Read(..) | Self::NotAFile(_) | Self::Release(_) => 2,
            Self::Write(..) => 3,
            Self::SectionDiffers(_)
            | Self::Pcr1Differs
            | Self::BootRamdisk
            | Self::CommandLine
            | Self::Policy(_)
            | Self::Image(_)
            | Self::Cpio(_)
            | Self::Signature(_) => 1,
        }
    }
}

impl fmt::Display for EifError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            Self::Write(path, error) => write!(f, "cannot write {}: {error}", path.display()),
            Self::NotAFile(path) => write!(f, "{} is not a regular file", path.display()),
            Self::Release(error) => error.fmt(f),
            Self::SectionDiffers(path) => {
                write!(f, "{} is not the file that the release describes; fetch the release again", path.display())
            }
            Self::Pcr1Differs => f.write_str("the release's files do not measure to its PCR1; fetch the release again"),
            Self::BootRamdisk => f.write_str(
                "the release's boot ramdisk is not the canonical one with init alone; build the release again",
            ),
            Self::CommandLine => f.write_str(
                "the kernel command line holds a byte that is not printable ASCII; remove the newline at its end",
            ),
            Self::Policy(error) => error.fmt(f),
            Self::Image(error) => error.fmt(f),
            Self::Cpio(error) => error.fmt(f),
            Self::Signature(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for EifError {}

impl From<ImageError> for EifError {
    fn from(error: ImageError) -> Self {
        Self::Image(error)
    }
}

impl From<CpioError> for EifError {
    fn from(error: CpioError) -> Self {
        Self::Cpio(error)
    }
}

impl From<SignatureError> for EifError {
    fn from(error: SignatureError) -> Self {
        Self::Signature(error)
    }
}
