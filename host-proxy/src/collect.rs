//! Exactly the git objects that one pack needs: the enclave refuses a request that lacks one or has one too many.

use std::collections::BTreeMap;

use packproof_artifact::{
    manifest::Manifest,
    matrix::{self, MatrixError},
    sidecar::sidecar_path,
};
use packproof_gitobj::{GitError, Kind, Limits, Mode, ObjectFormat, ObjectId, parse_tree};
use packproof_receipt::policy::Policy;
use packproof_wire::Object;

use crate::{
    Error,
    git::{Found, Objects, Repository},
};

/// The file in which a repository says which one it is.
pub const MARKER_PATH: &str = ".packproof/repository";

/// What one pack needs.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// Commit id, lower-case hex.
    pub commit: &'a str,
    /// Id of the annotated tag whose signature is to count, lower-case hex.
    pub tag: Option<&'a str>,
    /// The policy's `object_format`.
    pub object_format: &'a str,
    /// The policy's path of the manifest.
    pub manifest: &'a str,
    /// Clef's identity.
    pub identity: &'a str,
    /// Clef's environment.
    pub environment: &'a str,
    /// Paths of the schemas that the policy pins.
    pub schemas: Vec<&'a str>,
    /// Whether the policy looks at the cells' sidecars.
    pub sidecars: bool,
    /// The policy's limit for a request; all objects together are smaller.
    pub max_bytes: usize,
}

/// Collects commit, tag, root tree, and for marker, manifest and each cell of the pack: the trees on its path and its blob.
///
/// Each object comes once. Where a file is not there, the trees that prove it are what is left; whether that may be is
/// the enclave's to say, and the policy's. So is everything else about the content.
///
/// # Errors
/// [`Error::ObjectMissing`], [`Error::ManifestNotInCommit`], [`Error::UnknownIdentity`],
/// [`Error::UnknownEnvironment`], [`Error::RequestTooLarge`], [`Error::ObjectFormat`]; a manifest, matrix or tree that
/// is refused here is refused by the enclave with the same code.
pub fn collect(repository: &Repository, wanted: &Wanted<'_>) -> Result<Vec<Object>, Error> {
    let wrong_format =
        || Error::ObjectFormat { expected: wanted.object_format.to_owned(), commit: wanted.commit.to_owned() };
    let format: ObjectFormat = wanted.object_format.parse().map_err(|_| wrong_format())?;
    let commit = ObjectId::parse(format, wanted.commit).map_err(|_| wrong_format())?;

    let mut walk = Walk {
        git: repository.objects()?,
        format,
        maximum: wanted.max_bytes,
        left: wanted.max_bytes,
        taken: BTreeMap::new(),
        trees: BTreeMap::new(),
        objects: Vec::new(),
    };
    let root = root_tree(format, walk.take(Kind::Commit, &commit, "the commit")?)?;
    if let Some(tag) = wanted.tag {
        let tag = ObjectId::parse(format, tag).map_err(|_| wrong_format())?;
        walk.take(Kind::Tag, &tag, "the tag")?;
    }

    walk.file(&root, MARKER_PATH)?;
    let manifest = walk.file(&root, wanted.manifest)?.ok_or_else(|| Error::ManifestNotInCommit {
        path: wanted.manifest.to_owned(),
        commit: wanted.commit.to_owned(),
    })?;
    let manifest = Manifest::parse(manifest).map_err(Error::Manifest)?;
    for cell in
        matrix::cells(&manifest, wanted.identity, wanted.environment).map_err(|e| no_cells(e, &manifest, wanted))?
    {
        if walk.file(&root, &cell.path)?.is_none() {
            continue;
        }
        let declared = manifest.namespaces.iter().find(|declared| declared.name == cell.namespace);
        // one that is not pinned is refused inside, without being looked at
        if let Some(schema) = declared.and_then(|namespace| namespace.schema.as_deref())
            && wanted.schemas.contains(&schema)
        {
            walk.file(&root, schema)?;
        }
        if wanted.sidecars {
            walk.file(&root, &sidecar_path(&cell.path))?;
        }
    }
    Ok(walk.objects)
}

fn no_cells(error: MatrixError, manifest: &Manifest, wanted: &Wanted<'_>) -> Error {
    let (identity, environment) = (wanted.identity.to_owned(), wanted.environment.to_owned());
    match error {
        MatrixError::UnknownIdentity => {
            Error::UnknownIdentity { identity, known: manifest.identities.iter().map(|i| i.name.clone()).collect() }
        }
        MatrixError::UnknownEnvironment => {
            let of = manifest.identity(wanted.identity);
            let known = of.into_iter().flat_map(|i| i.environments.iter().map(|(name, _)| name.clone())).collect();
            Error::UnknownEnvironment { identity, environment, known }
        }
        error => Error::Matrix(error),
    }
}

/// The tree that a commit's first line names. All else in a commit is the enclave's to judge.
fn root_tree(format: ObjectFormat, commit: &[u8]) -> Result<ObjectId, Error> {
    let line = commit.split(|&b| b == b'\n').next().unwrap_or_default();
    let hex = line.strip_prefix(b"tree ").and_then(|hex| std::str::from_utf8(hex).ok()).unwrap_or_default();
    ObjectId::parse(format, hex).map_err(Error::Object)
}

type Entries = BTreeMap<Vec<u8>, (Mode, ObjectId)>;

struct Walk {
    git: Objects,
    format: ObjectFormat,
    maximum: usize,
    left: usize,
    /// Where each object stands in `objects`.
    taken: BTreeMap<ObjectId, usize>,
    trees: BTreeMap<ObjectId, Entries>,
    objects: Vec<Object>,
}

impl<'a> Wanted<'a> {
    /// What a pack of `identity` in `environment` out of `commit` needs under `policy`. An entry that the policy does not
    /// have needs nothing more: the enclave says no by name.
    pub fn of(
        policy: &'a Policy,
        identity: &'a str,
        environment: &'a str,
        commit: &'a str,
        tag: Option<&'a str>,
    ) -> Self {
        let pack = policy.pack(identity, environment);
        Self {
            commit,
            tag,
            object_format: &policy.source.object_format,
            manifest: &policy.source.manifest,
            identity,
            environment,
            schemas: pack.into_iter().flat_map(|pack| pack.schemas.keys()).map(String::as_str).collect(),
            sidecars: pack.is_some_and(|pack| pack.pending.is_some()),
            max_bytes: policy.max_request_bytes,
        }
    }
}

impl Walk {
    /// Takes the trees on the way to `path` and the file itself; its content, if it is a file.
    fn file(&mut self, root: &ObjectId, path: &str) -> Result<Option<&[u8]>, Error> {
        let mut tree = *root;
        let mut names = path.split('/').peekable();
        while let Some(name) = names.next() {
            match (self.entry(&tree, name, path)?, names.peek()) {
                (Some((Mode::Tree, id)), Some(_)) => tree = id,
                (Some((Mode::File | Mode::Executable, id)), None) => return self.take(Kind::Blob, &id, path).map(Some),
                // Not there, or a directory, link or submodule where a file should be: the trees show it.
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    fn entry(&mut self, tree: &ObjectId, name: &str, path: &str) -> Result<Option<(Mode, ObjectId)>, Error> {
        if !self.trees.contains_key(tree) {
            let format = self.format;
            let body = self.take(Kind::Tree, tree, &format!("a directory of {path}"))?;
            let entries = parse_tree(format, body, &Limits::default()).map_err(Error::Object)?;
            let entries = entries.into_iter().map(|entry| (entry.name.to_vec(), (entry.mode, entry.id))).collect();
            self.trees.insert(*tree, entries);
        }
        Ok(self.trees.get(tree).and_then(|entries| entries.get(name.as_bytes())).copied())
    }

    /// Reads an object and keeps it for the request, once.
    fn take(&mut self, kind: Kind, id: &ObjectId, what: &str) -> Result<&[u8], Error> {
        let index = match self.taken.get(id) {
            Some(index) => *index,
            None => {
                let too_large = Error::RequestTooLarge { maximum: self.maximum };
                let (kind, body) = match self.git.read(id, self.left)? {
                    Found::Object(kind, body) => (kind, body),
                    Found::Missing => return Err(Error::ObjectMissing { id: id.to_string(), what: what.to_owned() }),
                    Found::TooLarge => return Err(too_large),
                };
                self.left = self.left.checked_sub(body.len()).ok_or(too_large)?;
                self.objects.push(Object { kind, body });
                let index = self.objects.len().saturating_sub(1);
                self.taken.insert(*id, index);
                index
            }
        };
        let unexpected = || Error::GitFailed("an object was lost".to_owned());
        let object = self.objects.get(index).ok_or_else(unexpected)?;
        if object.kind == kind.name() {
            return Ok(&object.body);
        }
        let found = [Kind::Commit, Kind::Tree, Kind::Blob, Kind::Tag].into_iter().find(|k| k.name() == object.kind);
        Err(Error::Object(GitError::WrongKind { id: *id, expected: kind, found: found.unwrap_or(kind) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn the_root_tree_is_in_the_first_line() {
        let of = |text: &str| root_tree(ObjectFormat::Sha1, text.as_bytes());
        assert_eq!(of(&format!("tree {ID}\nparent x\n")).unwrap().to_string(), ID);
        let upper = ID.to_uppercase();
        for wrong in [String::new(), format!("parent {ID}\n"), format!("tree {ID} \n"), format!("tree {upper}\n")] {
            assert_eq!(of(&wrong).unwrap_err().code(), "invalid_object_id", "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_commit_panics(body in proptest::collection::vec(proptest::num::u8::ANY, 0..64)) {
            let _ = root_tree(ObjectFormat::Sha1, &body);
            let _ = root_tree(ObjectFormat::Sha256, &[b"tree ", body.as_slice()].concat());
        }
    }
}
