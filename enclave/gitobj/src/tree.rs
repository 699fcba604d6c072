//! Trees, and the way from a root tree to a path.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use crate::bag::{Limits, ObjectBag};
use crate::error::{GitError, PathFlaw, TreeFlaw};
use crate::object::{Kind, ObjectFormat, ObjectId};

/// What an entry of a tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// `100644`: a file.
    File,
    /// `100755`: a file that may be executed.
    Executable,
    /// `120000`: a symbolic link; its blob holds the target.
    Symlink,
    /// `40000`: a directory.
    Tree,
    /// `160000`: a commit of another repository.
    Submodule,
}

impl Mode {
    /// The octal digits that git writes into a tree.
    pub const fn octal(self) -> &'static str {
        match self {
            Self::File => "100644",
            Self::Executable => "100755",
            Self::Symlink => "120000",
            Self::Tree => "40000",
            Self::Submodule => "160000",
        }
    }

    const ALL: [Self; 5] = [Self::File, Self::Executable, Self::Symlink, Self::Tree, Self::Submodule];
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "file",
            Self::Executable => "executable file",
            Self::Symlink => "symbolic link",
            Self::Tree => "directory",
            Self::Submodule => "submodule",
        })
    }
}

/// One entry of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeEntry<'a> {
    /// What it is.
    pub mode: Mode,
    /// Its name: any bytes but `/` and NUL.
    pub name: &'a [u8],
    /// The object that holds it.
    pub id: ObjectId,
}

/// Parses a tree's body.
///
/// What is returned is what git could have written: each name once, in git's order. So a name that is not among the
/// entries is proved not to be in the directory.
///
/// # Errors
/// [`GitError::MalformedTree`], [`GitError::TooManyTreeEntries`].
///
/// Source: git's `fsck.c` (`fsck_tree`) and `read-cache.c` (`base_name_compare`).
pub fn parse_tree<'a>(format: ObjectFormat, body: &'a [u8], limits: &Limits) -> Result<Vec<TreeEntry<'a>>, GitError> {
    let mut entries: Vec<TreeEntry<'a>> = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        if entries.len() >= limits.max_tree_entries {
            return Err(GitError::TooManyTreeEntries { limit: limits.max_tree_entries });
        }
        let malformed = |flaw| GitError::MalformedTree { flaw, entry: entries.len() };
        let (entry, after) = split_entry(format, rest).map_err(malformed)?;
        if is_forbidden(entry.name) {
            return Err(malformed(TreeFlaw::Name));
        }
        if let Some(last) = entries.last() {
            if last.name == entry.name {
                return Err(malformed(TreeFlaw::Duplicate));
            }
            if git_order(last.name, last.mode, entry.name, entry.mode) != Ordering::Less {
                return Err(malformed(TreeFlaw::Order));
            }
        }
        // A directory sorts as if its name ended in a slash, so between a file and a directory of one name others may
        // stand ("a", "a-b", "a/"). The file would be the earlier of the two.
        if entry.mode == Mode::Tree
            && entries.binary_search_by(|e| git_order(e.name, e.mode, entry.name, Mode::File)).is_ok()
        {
            return Err(malformed(TreeFlaw::Duplicate));
        }
        entries.push(entry);
        rest = after;
    }
    Ok(entries)
}

/// What a path is in a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The path is there.
    Found {
        /// What it is.
        mode: Mode,
        /// The object that holds it.
        id: ObjectId,
    },
    /// The path is proved absent: each tree on the way was there, and the last has no such name, or has a file where
    /// the path wants a directory.
    Absent,
}

/// Walks from `root_tree` to `path`, or to the proof that there is none: [`Trees::lookup`] for one path.
///
/// # Errors
/// As [`Trees::lookup`].
pub fn lookup(bag: &ObjectBag, root_tree: &ObjectId, path: &str, limits: &Limits) -> Result<Lookup, GitError> {
    Trees::new(bag, limits).lookup(root_tree, path)
}

/// The trees of a bag, each parsed once: fifty cells in a directory of 100,000 files are fifty walks through it.
///
/// An entry takes about twice the memory that it has in its tree, so all of them at most about twice the bag's.
#[derive(Debug)]
pub struct Trees<'a> {
    bag: &'a ObjectBag,
    limits: &'a Limits,
    parsed: BTreeMap<ObjectId, Vec<TreeEntry<'a>>>,
}

impl<'a> Trees<'a> {
    /// Parses nothing yet.
    pub const fn new(bag: &'a ObjectBag, limits: &'a Limits) -> Self {
        Self { bag, limits, parsed: BTreeMap::new() }
    }

    /// Walks from `root_tree` to `path`, or to the proof that there is none.
    ///
    /// `path` is relative to the root, its components joined by `/`, compared byte for byte. Marks the trees on the way
    /// as used, not the object it finds.
    ///
    /// # Errors
    /// [`GitError::InvalidPath`]; [`GitError::MissingObject`], [`GitError::WrongKind`] or an error of [`parse_tree`] for
    /// a tree on the way; [`GitError::PathThroughLink`] where a symbolic link or a submodule stands in place of a
    /// directory.
    pub fn lookup(&mut self, root_tree: &ObjectId, path: &str) -> Result<Lookup, GitError> {
        check_path(path, self.limits).map_err(|flaw| GitError::InvalidPath { path: path.to_owned(), flaw })?;
        let (directories, name) = path.rsplit_once('/').map_or((None, path), |(parent, name)| (Some(parent), name));
        let mut tree = *root_tree;
        for directory in directories.into_iter().flat_map(|parent| parent.split('/')) {
            match self.child(&tree, directory)? {
                Some((Mode::Tree, id)) => tree = id,
                None | Some((Mode::File | Mode::Executable, _)) => return Ok(Lookup::Absent),
                Some((mode @ (Mode::Symlink | Mode::Submodule), _)) => {
                    return Err(GitError::PathThroughLink { path: path.to_owned(), mode });
                }
            }
        }
        Ok(self.child(&tree, name)?.map_or(Lookup::Absent, |(mode, id)| Lookup::Found { mode, id }))
    }

    fn child(&mut self, tree: &ObjectId, name: &str) -> Result<Option<(Mode, ObjectId)>, GitError> {
        let entries = match self.parsed.entry(*tree) {
            Entry::Occupied(parsed) => parsed.into_mut(),
            Entry::Vacant(place) => {
                let body = self.bag.get(Kind::Tree, tree)?;
                place.insert(parse_tree(self.bag.format(), body, self.limits)?)
            }
        };
        // Every entry is looked at: that a name is absent does not rest on the order.
        Ok(entries.iter().find(|entry| entry.name == name.as_bytes()).map(|entry| (entry.mode, entry.id)))
    }
}

fn check_path(path: &str, limits: &Limits) -> Result<(), PathFlaw> {
    if path.len() > limits.max_path_bytes {
        return Err(PathFlaw::TooLong);
    }
    if path.starts_with('/') {
        return Err(PathFlaw::Absolute);
    }
    if path.contains('\0') {
        return Err(PathFlaw::NulByte);
    }
    if path.split('/').count() > limits.max_path_depth {
        return Err(PathFlaw::TooDeep);
    }
    for component in path.split('/') {
        if component.is_empty() {
            return Err(PathFlaw::EmptyComponent);
        }
        if is_forbidden(component.as_bytes()) {
            return Err(PathFlaw::ForbiddenComponent);
        }
    }
    Ok(())
}

/// Takes `mode SP name NUL id` off the front.
fn split_entry(format: ObjectFormat, bytes: &[u8]) -> Result<(TreeEntry<'_>, &[u8]), TreeFlaw> {
    let (mode, rest) = Mode::ALL
        .into_iter()
        .find_map(|mode| Some((mode, bytes.strip_prefix(mode.octal().as_bytes())?.strip_prefix(b" ")?)))
        .ok_or(TreeFlaw::Mode)?;
    let nul = rest.iter().position(|&byte| byte == 0).ok_or(TreeFlaw::Truncated)?;
    let (name, rest) = rest.split_at_checked(nul).ok_or(TreeFlaw::Truncated)?;
    let rest = rest.strip_prefix(b"\0").ok_or(TreeFlaw::Truncated)?;
    let (id, rest) = rest.split_at_checked(format.id_len()).ok_or(TreeFlaw::Truncated)?;
    let id = ObjectId::from_bytes(format, id).map_err(|_| TreeFlaw::Truncated)?;
    Ok((TreeEntry { mode, name, id }, rest))
}

/// The names that git adds to no tree.
fn is_forbidden(name: &[u8]) -> bool {
    matches!(name, b"" | b"." | b"..") || name.eq_ignore_ascii_case(b".git") || name.contains(&b'/')
}

/// Git's order: bytewise, where a directory's name ends in a slash.
fn git_order(a: &[u8], a_mode: Mode, b: &[u8], b_mode: Mode) -> Ordering {
    let slash = |mode| (mode == Mode::Tree).then_some(&b'/');
    a.iter().chain(slash(a_mode)).cmp(b.iter().chain(slash(b_mode)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::object_id;

    const FORMAT: ObjectFormat = ObjectFormat::Sha1;

    fn entry(mode: &str, name: &str) -> Vec<u8> {
        [mode.as_bytes(), b" ", name.as_bytes(), b"\0", &[7; 20]].concat()
    }

    fn parse(entries: &[(&str, &str)]) -> Result<Vec<String>, GitError> {
        let body: Vec<u8> = entries.iter().flat_map(|(mode, name)| entry(mode, name)).collect();
        let entries = parse_tree(FORMAT, &body, &Limits::default())?;
        Ok(entries.iter().map(|e| format!("{} {}", e.mode.octal(), str::from_utf8(e.name).unwrap())).collect())
    }

    fn flaw(entries: &[(&str, &str)]) -> (TreeFlaw, usize) {
        match parse(entries) {
            Err(GitError::MalformedTree { flaw, entry }) => (flaw, entry),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn reads_the_five_modes_in_gits_order() {
        let entries = [("160000", "a"), ("100644", "a.b"), ("40000", "a.c"), ("100755", "a0"), ("120000", "\u{e9}")];
        assert_eq!(parse(&entries).unwrap(), entries.map(|(mode, name)| format!("{mode} {name}")));
        // the directory "d" sorts as "d/": behind "d.", before "d0"
        assert!(parse(&[("100644", "d."), ("40000", "d"), ("100644", "d0")]).is_ok());
        assert_eq!(parse(&[]).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn refuses_modes_that_git_does_not_write() {
        for mode in ["100664", "040000", "0100644", "100645", "10644", "100600", "060000", "", "160001", "+40000"] {
            assert_eq!(flaw(&[("100644", "a"), (mode, "b")]), (TreeFlaw::Mode, 1), "{mode}");
        }
    }

    #[test]
    fn refuses_forbidden_names() {
        for name in ["", ".", "..", ".git", ".GIT", ".gIt", "a/b", "/", "/a"] {
            assert_eq!(flaw(&[("100644", name)]), (TreeFlaw::Name, 0), "{name}");
            assert_eq!(flaw(&[("40000", name)]), (TreeFlaw::Name, 0), "{name}");
        }
        for name in ["...", ".gitignore", "git", " ", "-", "\n", "\\", "a b"] {
            assert!(parse(&[("100644", name)]).is_ok(), "{name}");
        }
    }

    #[test]
    fn refuses_entries_out_of_order() {
        assert_eq!(flaw(&[("100644", "b"), ("100644", "a")]), (TreeFlaw::Order, 1));
        assert_eq!(flaw(&[("40000", "d"), ("100644", "d.")]), (TreeFlaw::Order, 1));
        assert_eq!(flaw(&[("100644", "d0"), ("40000", "d")]), (TreeFlaw::Order, 1));
        // unlike a directory, a submodule's name gets no slash
        assert_eq!(flaw(&[("100644", "d."), ("160000", "d")]), (TreeFlaw::Order, 1));
    }

    #[test]
    fn refuses_a_name_that_comes_twice() {
        assert_eq!(flaw(&[("100644", "a"), ("100644", "a")]), (TreeFlaw::Duplicate, 1));
        assert_eq!(flaw(&[("40000", "a"), ("40000", "a")]), (TreeFlaw::Duplicate, 1));
        assert_eq!(flaw(&[("100644", "a"), ("40000", "a")]), (TreeFlaw::Duplicate, 1));
        // rightly ordered, and not side by side
        for mode in ["100644", "100755", "120000", "160000"] {
            let entries = [(mode, "a"), ("100644", "a-b"), ("40000", "a.c"), ("40000", "a")];
            assert_eq!(flaw(&entries), (TreeFlaw::Duplicate, 3), "{mode}");
        }
    }

    #[test]
    fn refuses_a_tree_that_is_cut_off() {
        let whole = entry("100644", "a");
        for end in 1..whole.len() {
            let error = parse_tree(FORMAT, &whole[..end], &Limits::default()).unwrap_err();
            let flaw = if end < 7 { TreeFlaw::Mode } else { TreeFlaw::Truncated };
            assert_eq!(error, GitError::MalformedTree { flaw, entry: 0 }, "{end}");
        }
        // a SHA-1 entry read as SHA-256
        let error = parse_tree(ObjectFormat::Sha256, &whole, &Limits::default()).unwrap_err();
        assert_eq!(error, GitError::MalformedTree { flaw: TreeFlaw::Truncated, entry: 0 });
    }

    #[test]
    fn holds_the_limit_of_entries_exactly() {
        let body = [entry("100644", "a"), entry("100644", "b")].concat();
        let parse = |max_tree_entries| parse_tree(FORMAT, &body, &Limits { max_tree_entries, ..Limits::default() });
        assert_eq!(parse(2).unwrap().len(), 2);
        assert_eq!(parse(1), Err(GitError::TooManyTreeEntries { limit: 1 }));
    }

    /// A tree with the entries `(mode, name, id)` as it goes into a bag, and its id.
    fn tree(entries: &[(Mode, &str, ObjectId)]) -> ((Kind, Vec<u8>), ObjectId) {
        let mut body = Vec::new();
        for (mode, name, id) in entries {
            body.extend([mode.octal().as_bytes(), b" ", name.as_bytes(), b"\0", id.as_bytes()].concat());
        }
        let id = object_id(FORMAT, Kind::Tree, &body).unwrap();
        ((Kind::Tree, body), id)
    }

    fn blob_id() -> ObjectId {
        object_id(FORMAT, Kind::Blob, b"x").unwrap()
    }

    #[test]
    fn finds_a_path_and_proves_absence() {
        let (inner, inner_id) = tree(&[(Mode::Executable, "run", blob_id())]);
        let (root, root_id) = tree(&[(Mode::Tree, "dir", inner_id), (Mode::File, "file", blob_id())]);
        let bag = ObjectBag::new(FORMAT, vec![root, inner], &Limits::default()).unwrap();
        let at = |path| lookup(&bag, &root_id, path, &Limits::default()).unwrap();
        assert_eq!(at("file"), Lookup::Found { mode: Mode::File, id: blob_id() });
        assert_eq!(at("gone"), Lookup::Absent);
        assert_eq!(at("gone/x"), Lookup::Absent);
        assert_eq!(at("file/x/y"), Lookup::Absent);
        assert_eq!(at("FILE"), Lookup::Absent);
        assert_eq!(bag.unused(), [inner_id]);
        assert_eq!(at("dir"), Lookup::Found { mode: Mode::Tree, id: inner_id });
        assert_eq!(bag.unused(), [inner_id]);
        assert_eq!(at("dir/run"), Lookup::Found { mode: Mode::Executable, id: blob_id() });
        assert_eq!(at("dir/gone"), Lookup::Absent);
        assert_eq!(bag.unused(), []);
    }

    #[test]
    fn a_tree_that_was_parsed_answers_again() {
        let (root, root_id) = tree(&[(Mode::File, "a", blob_id()), (Mode::Executable, "b", blob_id())]);
        let bag = ObjectBag::new(FORMAT, vec![root], &Limits::default()).unwrap();
        let limits = Limits::default();
        let mut trees = Trees::new(&bag, &limits);
        for _ in 0..2 {
            assert_eq!(trees.lookup(&root_id, "a"), Ok(Lookup::Found { mode: Mode::File, id: blob_id() }));
            assert_eq!(trees.lookup(&root_id, "b"), Ok(Lookup::Found { mode: Mode::Executable, id: blob_id() }));
            assert_eq!(trees.lookup(&root_id, "c"), Ok(Lookup::Absent));
            // what cannot be had is asked for each time
            let missing = GitError::MissingObject { kind: Kind::Tree, id: blob_id() };
            assert_eq!(trees.lookup(&blob_id(), "a"), Err(missing));
        }
        assert_eq!(trees.parsed.len(), 1);
    }

    #[test]
    fn absence_needs_the_tree_that_proves_it() {
        let (_, inner_id) = tree(&[(Mode::File, "x", blob_id())]);
        let (root, root_id) = tree(&[(Mode::Tree, "dir", inner_id)]);
        let bag = ObjectBag::new(FORMAT, vec![root], &Limits::default()).unwrap();
        let missing = GitError::MissingObject { kind: Kind::Tree, id: inner_id };
        assert_eq!(lookup(&bag, &root_id, "dir/y", &Limits::default()), Err(missing));
    }

    #[test]
    fn refuses_a_directory_that_is_a_blob() {
        let (root, root_id) = tree(&[(Mode::Tree, "dir", blob_id())]);
        let objects = vec![root, (Kind::Blob, b"x".to_vec())];
        let bag = ObjectBag::new(FORMAT, objects, &Limits::default()).unwrap();
        let wrong = GitError::WrongKind { id: blob_id(), expected: Kind::Tree, found: Kind::Blob };
        assert_eq!(lookup(&bag, &root_id, "dir/y", &Limits::default()), Err(wrong));
    }

    #[test]
    fn refuses_a_path_through_a_link_or_a_submodule() {
        for mode in [Mode::Symlink, Mode::Submodule] {
            let (root, root_id) = tree(&[(mode, "link", blob_id())]);
            let bag = ObjectBag::new(FORMAT, vec![root], &Limits::default()).unwrap();
            let through = GitError::PathThroughLink { path: "link/x".into(), mode };
            assert_eq!(lookup(&bag, &root_id, "link/x", &Limits::default()), Err(through));
            let found = Lookup::Found { mode, id: blob_id() };
            assert_eq!(lookup(&bag, &root_id, "link", &Limits::default()), Ok(found));
        }
    }

    #[test]
    fn refuses_paths_that_no_tree_can_hold() {
        let (root, root_id) = tree(&[]);
        let bag = ObjectBag::new(FORMAT, vec![root], &Limits::default()).unwrap();
        let limits = Limits { max_path_depth: 3, max_path_bytes: 9, ..Limits::default() };
        let at = |path: &str| lookup(&bag, &root_id, path, &limits);
        for (path, flaw) in [
            ("", PathFlaw::EmptyComponent),
            ("/", PathFlaw::Absolute),
            ("/a", PathFlaw::Absolute),
            ("a/", PathFlaw::EmptyComponent),
            ("a//b", PathFlaw::EmptyComponent),
            (".", PathFlaw::ForbiddenComponent),
            ("./a", PathFlaw::ForbiddenComponent),
            ("a/..", PathFlaw::ForbiddenComponent),
            ("../a", PathFlaw::ForbiddenComponent),
            (".Git/x", PathFlaw::ForbiddenComponent),
            ("a\0b", PathFlaw::NulByte),
            ("a/b/c/d", PathFlaw::TooDeep),
            ("0123456789", PathFlaw::TooLong),
        ] {
            assert_eq!(at(path), Err(GitError::InvalidPath { path: path.into(), flaw }), "{path:?}");
        }
        assert_eq!(at("a/b/c"), Ok(Lookup::Absent));
        assert_eq!(at("012345678"), Ok(Lookup::Absent));
        assert_eq!(at("..."), Ok(Lookup::Absent));
    }
}
