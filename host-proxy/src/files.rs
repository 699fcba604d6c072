//! Files are read within a size, and written beside their target and renamed.

use std::{
    fs::{self, File, Permissions},
    io::{Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use crate::Error;

/// What this crate writes is public: ciphertext, receipts, sealed keys, policies.
const MODE: u32 = 0o644;

/// Reads a whole file of at most `maximum` bytes.
///
/// # Errors
/// [`Error::CannotRead`], [`Error::FileTooLong`].
pub(crate) fn read(path: &Path, maximum: u64) -> Result<Vec<u8>, Error> {
    let unreadable = |error| Error::CannotRead { path: path.to_owned(), error };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(maximum.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > maximum {
        return Err(Error::FileTooLong { path: path.to_owned(), maximum });
    }
    Ok(bytes)
}

/// `path` as seen from the root.
///
/// # Errors
/// [`Error::CannotWrite`] for an empty path, or when there is no current directory.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(|error| Error::CannotWrite { path: path.to_owned(), error })
}

/// A file that is written but not yet in its place; dropped, it vanishes.
pub(crate) struct Staged {
    file: NamedTempFile,
    target: PathBuf,
}

impl Staged {
    /// Writes `bytes` beside `target`, whose parent folders are made.
    ///
    /// # Errors
    /// [`Error::CannotWrite`].
    pub(crate) fn write(target: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let target = absolute(target)?;
        let unwritable = |error| Error::CannotWrite { path: target.clone(), error };
        let parent = target.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(parent).map_err(unwritable)?;
        let mut file = tempfile::Builder::new().prefix(".packproof-").tempfile_in(parent).map_err(unwritable)?;
        file.write_all(bytes).map_err(unwritable)?;
        file.as_file().set_permissions(Permissions::from_mode(MODE)).map_err(unwritable)?;
        Ok(Self { file, target })
    }

    /// Renames the file into its place, over what is there.
    ///
    /// # Errors
    /// [`Error::CannotWrite`].
    pub(crate) fn place(self) -> Result<PathBuf, Error> {
        match self.file.persist(&self.target) {
            Ok(_) => Ok(self.target),
            Err(error) => Err(Error::CannotWrite { path: self.target, error: error.error }),
        }
    }

    /// Moves the file into its place, unless something is there.
    ///
    /// # Errors
    /// [`Error::FileExists`], [`Error::CannotWrite`].
    pub(crate) fn place_new(self) -> Result<PathBuf, Error> {
        match self.file.persist_noclobber(&self.target) {
            Ok(_) => Ok(self.target),
            Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => {
                Err(Error::FileExists(self.target))
            }
            Err(error) => Err(Error::CannotWrite { path: self.target, error: error.error }),
        }
    }
}

/// Puts a receipt and its artifact into place, the artifact last: whoever sees an artifact sees its receipt. When
/// either fails, neither is left.
///
/// # Errors
/// [`Error::CannotWrite`].
pub(crate) fn write_pair(receipt: (&Path, &[u8]), artifact: (&Path, &[u8])) -> Result<(), Error> {
    let staged_receipt = Staged::write(receipt.0, receipt.1)?;
    let staged_artifact = Staged::write(artifact.0, artifact.1)?;
    let placed = staged_receipt.place()?;
    if let Err(error) = staged_artifact.place() {
        // The artifact's error is what the user must see; a receipt that cannot be removed belongs to nothing.
        let _ = fs::remove_file(placed);
        return Err(error);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_receipt_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        let (receipt, artifact) = (dir.path().join("a/r"), dir.path().join("b/c/a"));
        write_pair((&receipt, b"receipt"), (&artifact, b"artifact")).unwrap();
        assert_eq!(
            (fs::read(&receipt).unwrap(), fs::read(&artifact).unwrap()),
            (b"receipt".to_vec(), b"artifact".to_vec())
        );
        let (r, a) = (fs::metadata(&receipt).unwrap(), fs::metadata(&artifact).unwrap());
        assert_eq!((r.mode() & 0o7777, a.mode() & 0o7777), (0o644, 0o644));
        assert!((r.ctime(), r.ctime_nsec()) <= (a.ctime(), a.ctime_nsec()));
        assert_eq!(names(dir.path()), ["a", "b"]);
    }

    #[test]
    fn a_receipt_that_cannot_be_placed_leaves_no_artifact() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("r/in-the-way")).unwrap();
        let failed = write_pair((&dir.path().join("r"), b""), (&dir.path().join("a"), b"")).unwrap_err();
        assert_eq!(failed.code(), "cannot_write");
        assert_eq!(names(dir.path()), ["r"]);
    }

    #[test]
    fn an_artifact_that_cannot_be_placed_takes_its_receipt_along() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/in-the-way")).unwrap();
        let failed = write_pair((&dir.path().join("r"), b""), (&dir.path().join("a"), b"")).unwrap_err();
        assert_eq!(failed.code(), "cannot_write");
        assert_eq!(names(dir.path()), ["a"]);
    }

    #[test]
    fn place_new_overwrites_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        Staged::write(&path, b"1").unwrap().place_new().unwrap();
        assert_eq!(Staged::write(&path, b"2").unwrap().place_new().unwrap_err().code(), "file_exists");
        assert_eq!(fs::read(&path).unwrap(), b"1");
        assert_eq!(names(dir.path()), ["key"]);
    }

    #[test]
    fn reading_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, b"1234").unwrap();
        assert_eq!(read(&path, 4).unwrap(), b"1234");
        assert_eq!(read(&path, 3).unwrap_err().code(), "file_too_long");
        assert_eq!(read(dir.path(), 3).unwrap_err().code(), "cannot_read");
    }
}
