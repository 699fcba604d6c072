//! A release: the part of an image that is the same for everybody.

use std::{
    fs,
    path::{Path, PathBuf},
};

use packproof_receipt::{
    measure::{Measurements, boot_ramdisk, pcr, policy_ramdisk},
    policy::Policy,
    release::{Release, Section},
};
use sha2::{Digest, Sha384};

use crate::{
    EifError,
    describe::canonical,
    files::{read, write},
    image::{Architecture, Image},
};

/// Name of a release's description inside its directory.
pub const RELEASE_FILE: &str = "release.json";
const KERNEL_FILE: &str = "kernel";
const COMMAND_LINE_FILE: &str = "cmdline";
const BOOT_RAMDISK_FILE: &str = "boot.cpio";

/// Kernel, command line and boot ramdisk.
pub struct Base {
    kernel: Vec<u8>,
    command_line: Vec<u8>,
    boot_ramdisk: Vec<u8>,
}

impl Base {
    /// Puts a base together; `init` is the enclave program, which becomes the boot ramdisk's one file.
    pub fn new(kernel: Vec<u8>, command_line: Vec<u8>, init: &[u8]) -> Self {
        Self { kernel, command_line, boot_ramdisk: boot_ramdisk(init) }
    }

    /// The same program under another kernel and command line, so with another PCR1.
    #[must_use]
    pub fn with_kernel(self, kernel: Vec<u8>, command_line: Vec<u8>) -> Self {
        Self { kernel, command_line, ..self }
    }

    /// Reads a release and checks every file against its description. `release` is the directory or its `release.json`.
    ///
    /// # Errors
    /// [`EifError`].
    pub fn read(release: &Path) -> Result<(Self, Release), EifError> {
        let description = if release.is_dir() { release.join(RELEASE_FILE) } else { release.to_owned() };
        let release = Release::parse(&read(&description)?).map_err(EifError::Release)?;
        let dir = description.parent().map(PathBuf::from).unwrap_or_default();
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

    /// Makes the image for a policy, which is validated first: the same bytes from the same inputs, always.
    ///
    /// # Errors
    /// [`EifError::Policy`], [`EifError::BootRamdisk`], [`EifError::CommandLine`], [`EifError::Image`].
    pub fn assemble(&self, policy: &[u8], architecture: Architecture) -> Result<Vec<u8>, EifError> {
        Policy::parse(policy).map_err(EifError::Policy)?;
        if canonical(&self.boot_ramdisk) != Some("boot") {
            return Err(EifError::BootRamdisk);
        }
        if !self.command_line.iter().all(|byte| (b' '..=b'~').contains(byte)) {
            return Err(EifError::CommandLine);
        }
        let policy = policy_ramdisk(policy);
        let ramdisks = [self.boot_ramdisk.as_slice(), &policy];
        Ok(Image::new(architecture, &self.kernel, &self.command_line, METADATA, &ramdisks).to_bytes()?)
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
            Ok::<_, EifError>(Section { file: file.to_owned(), size, sha384: sha384_hex(bytes) })
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

/// The metadata section of our images: constant, since it is in no register and is never believed. AWS's tools need every
/// field to be there. A literal, because a serializer's field order hangs on what else is built with it.
pub const METADATA: &[u8] = br#"{"ImageName":"packproof","ImageVersion":"1","BuildMetadata":{"BuildTime":"1970-01-01T00:00:00+00:00","BuildTool":"packproof-eif","BuildToolVersion":"1","OperatingSystem":"Linux","KernelVersion":""},"DockerInfo":null,"CustomMetadata":null}"#;

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
        assert_eq!(Base::read(dir.path()).unwrap().1, release);

        fs::write(dir.path().join("kernel"), b"Kernel").unwrap();
        assert_eq!(Base::read(&path).err().unwrap().code(), "section_differs");

        let forged = Release { kernel: Section { sha384: sha384_hex(b"Kernel"), ..release.kernel.clone() }, ..release };
        fs::write(&path, serde_json::to_vec(&forged).unwrap()).unwrap();
        assert_eq!(Base::read(&path).err().unwrap().code(), "pcr1_differs");
    }

    #[test]
    fn a_policy_that_breaks_a_rule_is_neither_measured_nor_built_in() {
        let base = Base::new(Vec::new(), Vec::new(), b"x");
        assert_eq!(base.measure(b"schema = 1").err().unwrap().code(), "policy_syntax");
        assert_eq!(base.assemble(b"schema = 1", Architecture::X86_64).err().unwrap().code(), "policy_syntax");
    }

    #[test]
    fn the_metadata_is_the_one_that_the_specification_fixes() {
        let specification = include_str!("../SPEC.md");
        assert!(specification.contains(std::str::from_utf8(METADATA).unwrap()));
        serde_json::from_slice::<serde_json::Value>(METADATA).unwrap();
    }
}
