//! Reading files of any origin up to a limit, and writing files whole or not at all.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use crate::{EifError, image::ImageError, image::MAX_FILE_BYTES};

/// Reads a regular file of at most [`MAX_FILE_BYTES`]; the length is looked at before anything is allocated.
///
/// # Errors
/// [`EifError::Read`], [`EifError::NotAFile`], [`ImageError::TooLarge`].
pub fn read(path: &Path) -> Result<Vec<u8>, EifError> {
    let unreadable = |error| EifError::Read(path.to_owned(), error);
    let found = fs::metadata(path).map_err(unreadable)?;
    if !found.is_file() {
        return Err(EifError::NotAFile(path.to_owned()));
    }
    if found.len() > MAX_FILE_BYTES {
        return Err(ImageError::TooLarge(found.len()).into());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(found.len()).unwrap_or(0));
    let file = File::open(path).map_err(unreadable)?;
    // a file may grow while it is read
    file.take(MAX_FILE_BYTES.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if length > MAX_FILE_BYTES { Err(ImageError::TooLarge(length).into()) } else { Ok(bytes) }
}

/// Writes a file under a temporary name beside it, then renames it into place.
///
/// # Errors
/// [`EifError::Write`]; the temporary file is then removed.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), EifError> {
    let unwritable = |error| EifError::Write(path.to_owned(), error);
    let name = path.file_name().ok_or_else(|| unwritable(io::Error::from(io::ErrorKind::InvalidInput)))?;
    let temporary = temporary(path, name.to_owned());
    let written = File::create_new(&temporary)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, path));
    written.map_err(|error| {
        // one that was there before is another process's
        if error.kind() != io::ErrorKind::AlreadyExists {
            let _ = fs::remove_file(&temporary);
        }
        unwritable(error)
    })
}

fn temporary(path: &Path, mut name: OsString) -> PathBuf {
    name.push(format!(".{}.partial", std::process::id()));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_at_the_length_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sparse");
        for length in [MAX_FILE_BYTES + 1, 1 << 42] {
            File::create(&path).unwrap().set_len(length).unwrap();
            assert_eq!(read(&path).unwrap_err().code(), "eif_too_large");
        }
    }

    #[test]
    fn reads_regular_files_only() {
        assert_eq!(read(Path::new("/dev/zero")).unwrap_err().code(), "not_a_file");
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap_err().code(), "not_a_file");
        assert_eq!(read(&dir.path().join("none")).unwrap_err().code(), "unreadable");
    }

    #[test]
    fn leaves_nothing_beside_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.eif");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        fs::create_dir(dir.path().join("d")).unwrap();
        fs::write(dir.path().join("d/full"), b"").unwrap();
        assert_eq!(write(&dir.path().join("d"), b"x").unwrap_err().code(), "unwritable");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
