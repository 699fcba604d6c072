//! Reading with a limit, writing by rename.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use packproof_receipt::release::Release;
use packproof_receipt_verify::{
    Root, Sections,
    evidence::{AWS_NITRO_ROOT_G1, root_from_pem},
};

use crate::error::CliError;

/// Artifacts and receipts are far below this; the library has limits of its own.
pub(crate) const MAX_INPUT_BYTES: u64 = 32 << 20;
/// A release, a policy or a certificate is a page or two.
pub(crate) const MAX_TEXT_BYTES: u64 = 1 << 20;
/// The section of an image: kernel and program together are a few megabytes.
const MAX_SECTION_BYTES: u64 = 512 << 20;

/// Reads a file of at most `max` bytes.
pub(crate) fn read(path: &Path, max: u64) -> Result<Vec<u8>, CliError> {
    let unreadable = |error: io::Error| CliError::Unreadable { path: path.to_owned(), reason: error.to_string() };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(max.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > max {
        return Err(CliError::TooLong { path: path.to_owned(), max });
    }
    Ok(bytes)
}

/// The sections beside the release at `path`: all three, or none, because PCR0 needs them all.
pub(crate) fn read_sections(path: &Path, release: &Release) -> Result<Option<[Vec<u8>; 3]>, CliError> {
    let read = |name: &str| read_section(path, name);
    let kernel = read(&release.kernel.file)?;
    let command_line = read(&release.command_line.file)?;
    let boot_ramdisk = read(&release.boot_ramdisk.file)?;
    Ok(kernel.zip(command_line).zip(boot_ramdisk).map(|((kernel, line), boot)| [kernel, line, boot]))
}

/// What [`read_sections`] read, as the library takes it.
pub(crate) fn sections(sections: Option<&[Vec<u8>; 3]>) -> Option<Sections<'_>> {
    sections.map(|[kernel, command_line, boot_ramdisk]| Sections { kernel, command_line, boot_ramdisk })
}

/// Reads the section `name` beside `release`; `None` when there is no such file.
fn read_section(release: &Path, name: &str) -> Result<Option<Vec<u8>>, CliError> {
    let path = release.parent().map_or_else(|| PathBuf::from(name), |folder| folder.join(name));
    match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        _ => read(&path, MAX_SECTION_BYTES).map(Some),
    }
}

/// The DER of the root given, or `None` for AWS's.
pub(crate) fn read_root(path: Option<&PathBuf>) -> Result<Option<Vec<u8>>, CliError> {
    let Some(path) = path else { return Ok(None) };
    let pem = String::from_utf8(read(path, MAX_TEXT_BYTES)?)
        .map_err(|_| CliError::Unreadable { path: path.clone(), reason: "not text".to_owned() })?;
    let der = root_from_pem(&pem).map_err(CliError::Root)?;
    if der == AWS_NITRO_ROOT_G1 {
        return Err(CliError::AwsRootGivenAsSimulated);
    }
    Ok(Some(der))
}

/// What [`read_root`] read, as the library takes it.
pub(crate) fn root(der: Option<&Vec<u8>>) -> Root<'_> {
    der.map_or(Root::Aws, |der| Root::Simulated { der })
}

/// Writes a whole file or none: beside it first, then renamed.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let unwritable = |reason: String| CliError::Unwritable { path: path.to_owned(), reason };
    let name = path.file_name().ok_or_else(|| unwritable("not the name of a file".to_owned()))?;
    let mut beside = std::ffi::OsString::from(".");
    beside.push(name);
    beside.push(format!(".{}.tmp", std::process::id()));
    let beside = path.with_file_name(beside);
    let written = File::create_new(&beside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    });
    written.map_err(|error| {
        // nothing more can be done about a file that cannot be removed either
        drop(fs::remove_file(&beside));
        unwritable(error.to_string())
    })
}
