//! Images: what they are made of and what they measure.
//!
//! This version lays out the two canonical ramdisks, measures an image for a policy, and writes a release directory. It
//! does not write EIF files yet and reads hostile ones; `SPEC.md` beside this crate fixes the ramdisks byte for byte.
#![forbid(unsafe_code)]

pub mod certificate;
pub mod cli;
pub mod cpio;
pub mod image;
pub mod signature;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use packproof_receipt::{
    measure::{Measurements, boot_ramdisk, pcr, policy_ramdisk},
    policy::{Policy, PolicyError},
    release::{Release, ReleaseError, Section},
};
use sha2::{Digest, Sha384};

/// Name of a release's description inside its directory.
pub const RELEASE_FILE: &str = "release.json";
const KERNEL_FILE: &str = "kernel";
const COMMAND_LINE_FILE: &str = "cmdline";
const BOOT_RAMDISK_FILE: &str = "boot.cpio";

/// The part of an image that is the same for everybody: kernel, command line, boot ramdisk.
pub struct Base {
    kernel: Vec<u8>,
    command_line: Vec<u8>,
    boot_ramdisk: Vec<u8>,
}

/// Why an image could not be measured or a release not be read or written.
#[derive(Debug)]
pub enum EifError {
    /// A file could not be read.
    Read(PathBuf, io::Error),
    /// A file could not be written.
    Write(PathBuf, io::Error),
    /// The release's description is refused.
    Release(ReleaseError),
    /// A section file is not the one that the release describes.
    SectionDiffers(PathBuf),
    /// The sections do not measure to the release's PCR1.
    Pcr1Differs,
    /// The policy is refused.
    Policy(PolicyError),
}

impl EifError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Read(..) => "unreadable",
            Self::Write(..) => "unwritable",
            Self::Release(error) => error.code(),
            Self::SectionDiffers(_) => "section_differs",
            Self::Pcr1Differs => "pcr1_differs",
            Self::Policy(error) => error.code(),
        }
    }
}

impl std::fmt::Display for EifError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Read(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            Self::Write(path, error) => write!(f, "cannot write {}: {error}", path.display()),
            Self::Release(error) => error.fmt(f),
            Self::SectionDiffers(path) => {
                write!(f, "{} is not the file that the release describes; fetch the release again", path.display())
            }
            Self::Pcr1Differs => f.write_str("the release's files do not measure to its PCR1; fetch the release again"),
            Self::Policy(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for EifError {}

impl Base {
    /// Puts a base together; `init` is the enclave program, which becomes the boot ramdisk's one file.
    pub fn new(kernel: Vec<u8>, command_line: Vec<u8>, init: &[u8]) -> Self {
        Self { kernel, command_line, boot_ramdisk: boot_ramdisk(init) }
    }

    /// Reads a release directory and checks every file against its description.
    ///
    /// # Errors
    /// [`EifError`].
    pub fn read(release_json: &Path) -> Result<(Self, Release), EifError> {
        let read = |path: &Path| fs::read(path).map_err(|error| EifError::Read(path.to_owned(), error));
        let release = Release::parse(&read(release_json)?).map_err(EifError::Release)?;
        let dir = release_json.parent().unwrap_or(Path::new(""));
        let section = |section: &Section| {
            let path = dir.join(&section.file);
            let bytes = read(&path)?;
            let same = u64::try_from(bytes.len()) == Ok(section.size) && sha384_hex(&bytes) == section.sha384;
            if same { Ok(bytes) } else { Err(EifError::SectionDiffers(path)) }
        };
        let base = Self {
            kernel: section(&release.kernel)?,
            command_line: section(&release.command_line)?,
            boot_ramdisk: section(&release.boot_ramdisk)?,
        };
        if release.pcr1() == Some(base.pcr1()) { Ok((base, release)) } else { Err(EifError::Pcr1Differs) }
    }

    /// PCR1, the same for every policy.
    pub fn pcr1(&self) -> [u8; 48] {
        pcr(&[&self.kernel, &self.command_line, &self.boot_ramdisk])
    }

    /// Measures the image for a policy, which is validated first.
    ///
    /// # Errors
    /// [`EifError::Policy`].
    pub fn measure(&self, policy: &[u8]) -> Result<Measurements, EifError> {
        Policy::parse(policy).map_err(EifError::Policy)?;
        Ok(Measurements::of(&self.kernel, &self.command_line, &self.boot_ramdisk, &policy_ramdisk(policy)))
    }

    /// Writes the release directory: three sections and `release.json`, the description last.
    ///
    /// # Errors
    /// [`EifError::Write`].
    pub fn write_release(&self, dir: &Path, name: &str) -> Result<Release, EifError> {
        fs::create_dir_all(dir).map_err(|error| EifError::Write(dir.to_owned(), error))?;
        let section = |file: &str, bytes: &[u8]| {
            write(&dir.join(file), bytes)?;
            let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            Ok(Section { file: file.to_owned(), size, sha384: sha384_hex(bytes) })
        };
        let release = Release {
            schema: 1,
            name: name.to_owned(),
            pcr1: hex::encode(self.pcr1()),
            kernel: section(KERNEL_FILE, &self.kernel)?,
            command_line: section(COMMAND_LINE_FILE, &self.command_line)?,
            boot_ramdisk: section(BOOT_RAMDISK_FILE, &self.boot_ramdisk)?,
        };
        let mut json = serde_json::to_vec_pretty(&release).unwrap_or_default();
        json.push(b'\n');
        write(&dir.join(RELEASE_FILE), &json)?;
        Ok(release)
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), EifError> {
    let temporary = path.with_extension("partial");
    let written = fs::write(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    written.map_err(|error| EifError::Write(path.to_owned(), error))
}

fn sha384_hex(bytes: &[u8]) -> String {
    hex::encode(Sha384::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_reads_back_and_a_changed_byte_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let base = Base::new(b"kernel".to_vec(), b"words".to_vec(), b"\x7fELF");
        let release = base.write_release(dir.path(), "test").unwrap();
        let path = dir.path().join(RELEASE_FILE);
        assert_eq!(Base::read(&path).unwrap().1, release);

        fs::write(dir.path().join("kernel"), b"Kernel").unwrap();
        assert_eq!(Base::read(&path).err().unwrap().code(), "section_differs");

        let forged = Release { kernel: Section { sha384: sha384_hex(b"Kernel"), ..release.kernel.clone() }, ..release };
        fs::write(&path, serde_json::to_vec(&forged).unwrap()).unwrap();
        assert_eq!(Base::read(&path).err().unwrap().code(), "pcr1_differs");
    }

    #[test]
    fn a_policy_that_breaks_a_rule_is_not_measured() {
        let base = Base::new(Vec::new(), Vec::new(), b"x");
        assert_eq!(base.measure(b"schema = 1").err().unwrap().code(), "policy_syntax");
    }
}
