//! Files that only their owner may read, replaced as a whole.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use crate::error::Error;

const OWNER_ONLY_FILE: u32 = 0o600;
const OWNER_ONLY_DIR: u32 = 0o700;

/// Makes `dir` and its parents where they are missing, for the owner only.
pub(crate) fn make_dir(dir: &Path) -> Result<(), Error> {
    DirBuilder::new().recursive(true).mode(OWNER_ONLY_DIR).create(dir).map_err(Error::io("create", dir))
}

/// Replaces `dir/name` as a whole: a reader, or the next start after a crash, sees the old bytes or the new ones.
pub(crate) fn replace(dir: &Path, name: &str, contents: &[u8]) -> Result<(), Error> {
    let (path, temporary) = (dir.join(name), dir.join(format!(".{name}.new")));
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::io("remove", &temporary)(error));
        }
        // One left over from a crash may be there; it must not keep its old mode.
        _ => {}
    }
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY_FILE).open(&temporary)?;
        file.write_all(contents)?;
        file.sync_all()
    };
    write().map_err(Error::io("write", &temporary))?;
    fs::rename(&temporary, &path).map_err(Error::io("replace", &path))?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(Error::io("sync", dir))
}

/// Reads `path` whole, at most `max` bytes; `None` when it does not exist. The bytes are wiped after use.
pub(crate) fn read(path: &Path, max: u64) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("open", path)(error)),
    };
    let length = file.metadata().map_err(Error::io("read", path))?.len();
    let too_long = || Error::io("read", path)(std::io::Error::other("the file is too long"));
    if length > max {
        return Err(too_long());
    }
    // Room for all of it and one byte more, so that reading never moves the bytes.
    let room = usize::try_from(max.min(length.saturating_add(1))).map_err(|_| too_long())?;
    let mut contents = Zeroizing::new(Vec::with_capacity(room.saturating_add(1)));
    file.take(max.saturating_add(1)).read_to_end(&mut contents).map_err(Error::io("read", path))?;
    if u64::try_from(contents.len()).map_or(true, |read| read > max) {
        return Err(too_long());
    }
    Ok(Some(contents))
}

/// Opens `path` for appending, for the owner only.
pub(crate) fn append(path: &Path) -> Result<File, Error> {
    OpenOptions::new().append(true).create(true).mode(OWNER_ONLY_FILE).open(path).map_err(Error::io("open", path))
}

/// Takes the directory for this process, until the file is dropped.
pub(crate) fn lock(dir: &Path) -> Result<File, Error> {
    let path = dir.join("lock");
    let file = append(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(Error::InUse { path: dir.to_owned() }),
        Err(fs::TryLockError::Error(error)) => Err(Error::io("lock", &path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn replaces_files_for_the_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x");
        fs::write(dir.path().join(".x.new"), "left over").unwrap();
        fs::write(&file, "old").unwrap();
        replace(dir.path(), "x", b"new").unwrap();
        assert_eq!(read(&file, 3).unwrap().unwrap().as_slice(), b"new");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(read(&file, 2), Err(Error::Io { .. })));
        assert!(read(&dir.path().join("y"), 2).unwrap().is_none());
    }

    #[test]
    fn only_one_process_holds_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let held = lock(dir.path()).unwrap();
        assert!(matches!(lock(dir.path()), Err(Error::InUse { .. })));
        drop(held);
        assert!(lock(dir.path()).is_ok());
    }
}
