//! Object ids: what git calls an object, computed from its bytes.

use std::fmt;
use std::str::FromStr;

use crate::error::GitError;

/// The hash that names all objects of a repository (git's `extensions.objectFormat`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectFormat {
    /// SHA-1, checked for collision attacks.
    Sha1,
    /// SHA-256.
    Sha256,
}

impl ObjectFormat {
    /// The length of an id in bytes.
    pub const fn id_len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// Git's name for it: `sha1` or `sha256`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
        }
    }
}

impl fmt::Display for ObjectFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ObjectFormat {
    type Err = GitError;

    /// Reads git's name for it.
    fn from_str(name: &str) -> Result<Self, GitError> {
        match name {
            "sha1" => Ok(Self::Sha1),
            "sha256" => Ok(Self::Sha256),
            _ => Err(GitError::UnknownObjectFormat),
        }
    }
}

/// The four kinds of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A commit.
    Commit,
    /// A directory.
    Tree,
    /// A file's content.
    Blob,
    /// An annotated tag.
    Tag,
}

impl Kind {
    /// Git's name for it, which is part of what is hashed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Tree => "tree",
            Self::Blob => "blob",
            Self::Tag => "tag",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The name of an object: the hash over its kind, length and bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(Digest);

/// Ids of different formats are different values, whatever their bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Digest {
    Sha1([u8; 20]),
    Sha256([u8; 32]),
}

impl ObjectId {
    /// Reads an id of `format` in hex.
    ///
    /// # Errors
    /// [`GitError::InvalidObjectId`] unless `hex` is exactly as many lower-case digits as the format has.
    pub fn parse(format: ObjectFormat, hex: &str) -> Result<Self, GitError> {
        // `hex` the crate reads upper case too, and an id has one spelling.
        if hex.bytes().any(|digit| digit.is_ascii_uppercase()) {
            return Err(Self::invalid(format));
        }
        let mut id = match format {
            ObjectFormat::Sha1 => Digest::Sha1([0; 20]),
            ObjectFormat::Sha256 => Digest::Sha256([0; 32]),
        };
        let bytes = match &mut id {
            Digest::Sha1(bytes) => bytes.as_mut_slice(),
            Digest::Sha256(bytes) => bytes.as_mut_slice(),
        };
        hex::decode_to_slice(hex, bytes).map_err(|_| Self::invalid(format))?;
        Ok(Self(id))
    }

    /// Takes an id of `format` as it stands in a tree.
    ///
    /// # Errors
    /// [`GitError::InvalidObjectId`] unless there are exactly [`ObjectFormat::id_len`] bytes.
    pub fn from_bytes(format: ObjectFormat, bytes: &[u8]) -> Result<Self, GitError> {
        match format {
            ObjectFormat::Sha1 => bytes.try_into().map(Digest::Sha1),
            ObjectFormat::Sha256 => bytes.try_into().map(Digest::Sha256),
        }
        .map(Self)
        .map_err(|_| Self::invalid(format))
    }

    /// The id's bytes: 20 or 32.
    pub const fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Digest::Sha1(bytes) => bytes,
            Digest::Sha256(bytes) => bytes,
        }
    }

    /// The format it is an id of.
    pub const fn format(&self) -> ObjectFormat {
        match self.0 {
            Digest::Sha1(_) => ObjectFormat::Sha1,
            Digest::Sha256(_) => ObjectFormat::Sha256,
        }
    }

    const fn invalid(format: ObjectFormat) -> GitError {
        GitError::InvalidObjectId { hex_digits: 2 * format.id_len() }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.as_bytes()))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{self}", self.format())
    }
}

/// Computes the id of an object.
///
/// `body` is the object without git's header, as `git cat-file KIND ID` prints it. The id is the hash of
/// `kind SP length NUL body`, the length in decimal.
///
/// # Errors
/// [`GitError::CollisionAttack`] when SHA-1 runs through a block that a collision attack made: then a second object
/// with the same id exists, and the id proves nothing.
pub fn object_id(format: ObjectFormat, kind: Kind, body: &[u8]) -> Result<ObjectId, GitError> {
    let header = format!("{kind} {}\0", body.len());
    match format {
        ObjectFormat::Sha1 => sha1(header.as_bytes(), body).map(Digest::Sha1).ok_or(GitError::CollisionAttack { kind }),
        ObjectFormat::Sha256 => {
            use sha2::Digest as _;
            let hash = sha2::Sha256::new().chain_update(header.as_bytes()).chain_update(body).finalize();
            Ok(Digest::Sha256(hash.into()))
        }
    }
    .map(ObjectId)
}

/// SHA-1 of `header ‖ body`, or `None` when a collision attack is found on the way.
fn sha1(header: &[u8], body: &[u8]) -> Option<[u8; 20]> {
    use sha1_checked::Digest as _;
    let mut hasher = sha1_checked::Sha1::new();
    hasher.update(header);
    hasher.update(body);
    let result = hasher.try_finalize();
    if result.has_collision() { None } else { Some((*result.hash()).into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first 192 bytes that both SHAttered files begin with (shattered.io, 2017).
    const SHATTERED_PREFIX: &str = "\
        255044462d312e330a25e2e3cfd30a0a0a312030206f626a0a3c3c2f57696474682032203020522f4865696768742033203020522f547970\
        652034203020522f537562747970652035203020522f46696c7465722036203020522f436f6c6f7253706163652037203020522f4c656e67\
        74682038203020522f42697473506572436f6d706f6e656e7420383e3e0a73747265616d0affd8fffe00245348412d312069732064656164\
        2121212121852fec092339759c39b1a1c63c4c97e1fffe01";
    /// The two pairs of colliding blocks that follow.
    const SHATTERED_BLOCKS: [&str; 2] = [
        "7f46dc93a6b67e013b029aaa1db2560b45ca67d688c7f84b8c4c791fe02b3df614f86db1690901c56b45c1530afedfb76038e972722fe7ad\
         728f0e4904e046c230570fe9d41398abe12ef5bc942be33542a4802d98b5d70f2a332ec37fac3514e74ddc0f2cc1a874cd0c78305a215664\
         61309789606bd0bf3f98cda8044629a1",
        "7346dc9166b67e118f029ab621b2560ff9ca67cca8c7f85ba84c79030c2b3de218f86db3a90901d5df45c14f26fedfb3dc38e96ac22fe7bd\
         728f0e45bce046d23c570feb141398bb552ef5a0a82be331fea48037b8b5d71f0e332edf93ac3500eb4ddc0decc1a864790c782c76215660\
         dd309791d06bd0af3f98cda4bc4629b1",
    ];

    /// No collision of two *git objects* has been published: git's header comes first and changes the state that the
    /// colliding blocks need. So this goes to the one function that all SHA-1 ids come from, with the prefix as header.
    #[test]
    fn refuses_both_halves_of_the_shattered_collision() {
        let prefix = hex::decode(SHATTERED_PREFIX).unwrap();
        for blocks in SHATTERED_BLOCKS {
            let blocks = hex::decode(blocks).unwrap();
            assert_eq!(prefix.len() + blocks.len(), 320);
            assert_eq!(sha1(&prefix, &blocks), None);
            // the last bit of the attack missing, the same function gives a hash
            let (_, cut) = blocks.split_last().unwrap();
            assert!(sha1(&prefix, cut).is_some());
            // and behind git's header the blocks are only bytes
            let file = [prefix.as_slice(), blocks.as_slice()].concat();
            assert!(object_id(ObjectFormat::Sha1, Kind::Blob, &file).is_ok());
        }
    }

    #[test]
    fn computes_the_ids_that_git_documents() {
        // the empty blob and the empty tree, from git's own source (object-file.c)
        for (format, kind, expected) in [
            (ObjectFormat::Sha1, Kind::Blob, "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"),
            (ObjectFormat::Sha1, Kind::Tree, "4b825dc642cb6eb9a060e54bf8d69288fbee4904"),
            (ObjectFormat::Sha256, Kind::Blob, "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813"),
            (ObjectFormat::Sha256, Kind::Tree, "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321"),
        ] {
            let id = object_id(format, kind, b"").unwrap();
            assert_eq!(id.to_string(), expected);
            assert_eq!(ObjectId::parse(format, expected), Ok(id));
            assert_eq!(ObjectId::from_bytes(format, id.as_bytes()), Ok(id));
            assert_eq!(id.as_bytes().len(), format.id_len());
            assert_eq!(format.name().parse(), Ok(format));
        }
    }

    #[test]
    fn refuses_ids_of_another_spelling_or_length() {
        let id = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";
        let sha1 = Err(GitError::InvalidObjectId { hex_digits: 40 });
        assert_eq!(ObjectId::parse(ObjectFormat::Sha1, &id.to_uppercase()), sha1);
        assert_eq!(ObjectId::parse(ObjectFormat::Sha1, &id[1..]), sha1);
        assert_eq!(ObjectId::parse(ObjectFormat::Sha1, &id[2..]), sha1);
        assert_eq!(ObjectId::parse(ObjectFormat::Sha1, &id.replace('e', "g")), sha1);
        assert_eq!(ObjectId::parse(ObjectFormat::Sha1, &format!("{id}00")), sha1);
        assert_eq!(ObjectId::parse(ObjectFormat::Sha256, id), Err(GitError::InvalidObjectId { hex_digits: 64 }));
        assert_eq!(ObjectId::from_bytes(ObjectFormat::Sha1, &[0; 32]), sha1);
        assert_eq!("SHA1".parse::<ObjectFormat>(), Err(GitError::UnknownObjectFormat));
    }

    #[test]
    fn ids_of_two_formats_are_never_equal() {
        let short = ObjectId::from_bytes(ObjectFormat::Sha1, &[0; 20]).unwrap();
        let long = ObjectId::from_bytes(ObjectFormat::Sha256, &[0; 32]).unwrap();
        assert_ne!(short, long);
    }
}
