//! The objects a host sent, each under the id that its bytes have.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::GitError;
use crate::object::{Kind, ObjectFormat, ObjectId, object_id};

/// How much is read from one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Objects in one bag. 50 cells, five directories deep, need about 300 when they share nothing.
    pub max_objects: usize,
    /// Bytes of one object: a directory of 100,000 files is a tree of about 5 MB.
    pub max_object_bytes: usize,
    /// Bytes of all objects together: the policy's default for a whole request.
    pub max_total_bytes: usize,
    /// Entries of one tree.
    pub max_tree_entries: usize,
    /// Components of one path.
    pub max_path_depth: usize,
    /// Bytes of one path: Linux's `PATH_MAX`.
    pub max_path_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_objects: 4_096,
            max_object_bytes: 8 << 20,
            max_total_bytes: 8 << 20,
            max_tree_entries: 131_072,
            max_path_depth: 32,
            max_path_bytes: 4_096,
        }
    }
}

/// Objects by id. Every id was computed here, from the bytes; what the host calls an object is never asked.
///
/// Each object that is looked at is marked, so that in the end whatever was sent beyond need can be refused.
#[derive(Debug)]
pub struct ObjectBag {
    format: ObjectFormat,
    objects: BTreeMap<ObjectId, Object>,
}

#[derive(Debug)]
struct Object {
    kind: Kind,
    body: Vec<u8>,
    used: AtomicBool,
}

impl ObjectBag {
    /// Hashes `objects`, the bodies without git's header, as objects of `format`.
    ///
    /// Counts and sizes are checked before the first byte is hashed.
    ///
    /// # Errors
    /// [`GitError::TooManyObjects`], [`GitError::ObjectTooLarge`], [`GitError::BagTooLarge`],
    /// [`GitError::CollisionAttack`], and [`GitError::DuplicateObject`] when an object comes twice.
    pub fn new(format: ObjectFormat, objects: Vec<(Kind, Vec<u8>)>, limits: &Limits) -> Result<Self, GitError> {
        if objects.len() > limits.max_objects {
            return Err(GitError::TooManyObjects { found: objects.len(), limit: limits.max_objects });
        }
        let mut total = 0_usize;
        for (kind, body) in &objects {
            if body.len() > limits.max_object_bytes {
                let (bytes, limit) = (body.len(), limits.max_object_bytes);
                return Err(GitError::ObjectTooLarge { kind: *kind, bytes, limit });
            }
            total = total.saturating_add(body.len());
            if total > limits.max_total_bytes {
                return Err(GitError::BagTooLarge { limit: limits.max_total_bytes });
            }
        }
        let mut bag = Self { format, objects: BTreeMap::new() };
        for (kind, body) in objects {
            match bag.objects.entry(object_id(format, kind, &body)?) {
                Entry::Occupied(first) => return Err(GitError::DuplicateObject { id: *first.key() }),
                Entry::Vacant(place) => place.insert(Object { kind, body, used: AtomicBool::new(false) }),
            };
        }
        Ok(bag)
    }

    /// The format of all its ids.
    pub const fn format(&self) -> ObjectFormat {
        self.format
    }

    /// The body of the `kind` that `id` names, and marks it as used.
    ///
    /// # Errors
    /// [`GitError::MissingObject`] when it did not come, [`GitError::WrongKind`] when `id` names another kind.
    pub fn get(&self, kind: Kind, id: &ObjectId) -> Result<&[u8], GitError> {
        let object = self.objects.get(id).ok_or(GitError::MissingObject { kind, id: *id })?;
        if object.kind != kind {
            return Err(GitError::WrongKind { id: *id, expected: kind, found: object.kind });
        }
        // One flag that is only ever set orders nothing else.
        object.used.store(true, Ordering::Relaxed);
        Ok(&object.body)
    }

    /// The objects that [`get`](Self::get) returned so far, in order of id: a walk's every commit, tree and blob.
    pub fn used(&self) -> impl Iterator<Item = (Kind, &ObjectId, &[u8])> {
        self.objects.iter().filter(|(_, object)| object.is_used()).map(|(id, o)| (o.kind, id, o.body.as_slice()))
    }

    /// The objects that nothing asked for, in order of id.
    pub fn unused(&self) -> Vec<ObjectId> {
        self.objects.iter().filter(|(_, object)| !object.is_used()).map(|(id, _)| *id).collect()
    }
}

impl Object {
    fn is_used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: ObjectFormat = ObjectFormat::Sha1;

    fn blob(text: &str) -> (Kind, Vec<u8>) {
        (Kind::Blob, text.as_bytes().to_vec())
    }

    fn id(kind: Kind, body: &[u8]) -> ObjectId {
        object_id(FORMAT, kind, body).unwrap()
    }

    #[test]
    fn tells_used_from_unused() {
        let bag = ObjectBag::new(FORMAT, vec![blob("one"), blob("two")], &Limits::default()).unwrap();
        let (one, two) = (id(Kind::Blob, b"one"), id(Kind::Blob, b"two"));
        assert_eq!(bag.unused().len(), 2);
        assert_eq!(bag.get(Kind::Blob, &one), Ok(b"one".as_slice()));
        assert_eq!(bag.get(Kind::Blob, &one), Ok(b"one".as_slice()));
        assert_eq!(bag.unused(), [two]);
        assert_eq!(bag.used().collect::<Vec<_>>(), [(Kind::Blob, &one, b"one".as_slice())]);
    }

    #[test]
    fn refuses_an_object_that_did_not_come() {
        let bag = ObjectBag::new(FORMAT, vec![blob("one")], &Limits::default()).unwrap();
        let two = id(Kind::Blob, b"two");
        assert_eq!(bag.get(Kind::Blob, &two), Err(GitError::MissingObject { kind: Kind::Blob, id: two }));
        // the same bytes under the other format's id
        let long = object_id(ObjectFormat::Sha256, Kind::Blob, b"one").unwrap();
        assert_eq!(bag.get(Kind::Blob, &long), Err(GitError::MissingObject { kind: Kind::Blob, id: long }));
    }

    #[test]
    fn refuses_an_object_of_another_kind_and_leaves_it_unused() {
        let bag = ObjectBag::new(FORMAT, vec![blob("")], &Limits::default()).unwrap();
        let id = id(Kind::Blob, b"");
        let wrong = GitError::WrongKind { id, expected: Kind::Tree, found: Kind::Blob };
        assert_eq!(bag.get(Kind::Tree, &id), Err(wrong));
        assert_eq!(bag.unused(), [id]);
    }

    #[test]
    fn the_kind_is_part_of_the_id() {
        let bag = ObjectBag::new(FORMAT, vec![(Kind::Tag, b"x".to_vec())], &Limits::default()).unwrap();
        let missing = GitError::MissingObject { kind: Kind::Blob, id: id(Kind::Blob, b"x") };
        assert_eq!(bag.get(Kind::Blob, &id(Kind::Blob, b"x")), Err(missing));
        assert!(bag.get(Kind::Tag, &id(Kind::Tag, b"x")).is_ok());
    }

    #[test]
    fn refuses_an_object_sent_twice() {
        let twice = vec![blob("same"), blob("other"), blob("same")];
        let error = ObjectBag::new(FORMAT, twice, &Limits::default()).unwrap_err();
        assert_eq!(error, GitError::DuplicateObject { id: id(Kind::Blob, b"same") });
    }

    #[test]
    fn holds_each_limit_exactly() {
        let objects = || vec![blob("1234"), blob("567")];
        let new = |limits: Limits| ObjectBag::new(FORMAT, objects(), &limits).map(|_| ());
        let limits = Limits { max_objects: 2, max_object_bytes: 4, max_total_bytes: 7, ..Limits::default() };
        assert_eq!(new(limits), Ok(()));
        assert_eq!(new(Limits { max_objects: 1, ..limits }), Err(GitError::TooManyObjects { found: 2, limit: 1 }));
        let too_large = GitError::ObjectTooLarge { kind: Kind::Blob, bytes: 4, limit: 3 };
        assert_eq!(new(Limits { max_object_bytes: 3, ..limits }), Err(too_large));
        assert_eq!(new(Limits { max_total_bytes: 6, ..limits }), Err(GitError::BagTooLarge { limit: 6 }));
    }
}
