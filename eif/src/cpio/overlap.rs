//! Paths that a later entry takes over from an earlier one.

use std::collections::BTreeMap;

use super::{CpioError, Entry, Ramdisk};

/// Work to find overlaps: path components looked at, a long path counting more, and an eighth of the paths' bytes, which
/// are kept.
pub const MAX_PATH_WORK: usize = 1 << 22;

/// A path that entries of several ramdisks write: the later one wins when the kernel unpacks them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// Where both end up, without a leading slash.
    pub path: Vec<u8>,
    /// Ramdisk and entry that wrote it first; both counted from 0.
    pub first: (usize, usize),
    /// Ramdisk and entry that writes it again.
    pub second: (usize, usize),
}

/// Finds the paths that a later ramdisk takes over from an earlier one, and names written twice in one ramdisk.
///
/// Paths are compared after `.`, `..`, doubled slashes and symbolic links of earlier entries are followed, so
/// `lib/../init` and `link/init` are both found. Directories written again with the same mode and owner are left out.
///
/// # Errors
/// [`CpioError::TangledPaths`] when following the links takes more than [`MAX_PATH_WORK`].
pub fn overlaps(ramdisks: &[&Ramdisk]) -> Result<Vec<Overlap>, CpioError> {
    let mut work = MAX_PATH_WORK;
    let mut seen: BTreeMap<Vec<u8>, (usize, usize, &Entry)> = BTreeMap::new();
    let mut links: BTreeMap<Vec<u8>, &[u8]> = BTreeMap::new();
    let mut found = Vec::new();
    for (disk, ramdisk) in ramdisks.iter().enumerate() {
        for (index, entry) in ramdisk.entries.iter().enumerate() {
            let path = resolve(&entry.name, &links, &mut work)?;
            if path.is_empty() {
                continue;
            }
            let same_directory = |other: &Entry| {
                let rights = |entry: &Entry| (entry.mode, entry.uid, entry.gid);
                entry.is_directory() && other.is_directory() && rights(entry) == rights(other)
            };
            if let Some((first_disk, first_index, other)) = seen.get(&path)
                && !same_directory(other)
            {
                found.push(Overlap { path: path.clone(), first: (*first_disk, *first_index), second: (disk, index) });
            }
            match &entry.link_target {
                Some(target) => links.insert(path.clone(), target),
                None => links.remove(&path),
            };
            seen.insert(path, (disk, index, entry));
        }
    }
    Ok(found)
}

/// Follows a name through the links known so far; the last component itself is not followed, as when it is created.
fn resolve(name: &[u8], links: &BTreeMap<Vec<u8>, &[u8]>, work: &mut usize) -> Result<Vec<u8>, CpioError> {
    let mut todo: Vec<Vec<u8>> = components(name);
    let (mut path, mut hops) = (Vec::<u8>::new(), 0);
    while let Some(component) = todo.pop() {
        *work = work.checked_sub(1 + path.len() / 64).ok_or(CpioError::TangledPaths)?;
        if component == b".." {
            let end = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
            path.truncate(end);
            continue;
        }
        let parent = path.len();
        if parent > 0 {
            path.push(b'/');
        }
        path.extend_from_slice(&component);
        // the kernel gives up after forty links too
        if let Some(target) = links.get(&path)
            && !todo.is_empty()
            && hops < MAX_LINKS
        {
            hops += 1;
            path.truncate(if target.starts_with(b"/") { 0 } else { parent });
            todo.extend(components(target));
        }
    }
    // links make long paths of short names, so the limit on names does not bound what is kept
    *work = work.checked_sub(path.len() / 8).ok_or(CpioError::TangledPaths)?;
    Ok(path)
}

/// The components of a path, the last one first.
fn components(path: &[u8]) -> Vec<Vec<u8>> {
    let parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    parts.rev().map(<[u8]>::to_vec).collect()
}

/// Linux: `MAXSYMLINKS`.
const MAX_LINKS: usize = 40;
