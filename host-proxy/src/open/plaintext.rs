//! The JSON inside an artifact: namespaces, each with keys and texts.
//!
//! Clef's runtime takes any JSON; what `clef pack` and packproof make has this shape, and nothing else is shown, since it
//! would be shown wrongly.

use std::{collections::BTreeSet, fmt};

use packproof_secret::{SecretBytes, SecretString};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};

use super::OpenError;

/// What an artifact holds, in its order.
pub(super) struct Plaintext {
    pub namespaces: Vec<Namespace>,
}

/// A namespace and its values.
pub(super) struct Namespace {
    pub name: String,
    pub entries: Vec<(String, SecretString)>,
}

impl Plaintext {
    /// # Errors
    /// [`OpenError::PlaintextShape`], without the parser's words: they may quote a value.
    pub(super) fn parse(bytes: &SecretBytes) -> Result<Self, OpenError> {
        let Members(namespaces): Members<Members<Text>> =
            serde_json::from_slice(bytes.expose()).map_err(|_| OpenError::PlaintextShape)?;
        let namespaces = namespaces.into_iter().map(|(name, Members(entries))| {
            let entries = entries.into_iter().map(|(key, Text(value))| (key, value)).collect();
            Namespace { name, entries }
        });
        Ok(Self { namespaces: namespaces.collect() })
    }

    /// The value of `NAMESPACE__KEY` or `NAMESPACE/KEY`.
    ///
    /// # Errors
    /// [`OpenError::UnknownKey`]; [`OpenError::AmbiguousKey`], since both parts may have two underscores in them.
    pub(super) fn get(&self, wanted: &str) -> Result<&SecretString, OpenError> {
        let is_wanted = |namespace: &str, key: &str| {
            let rest = wanted.strip_prefix(namespace).and_then(|rest| rest.strip_suffix(key));
            matches!(rest, Some("__" | "/"))
        };
        let mut found = self.namespaces.iter().flat_map(|namespace| {
            let entries = namespace.entries.iter().filter(|(key, _)| is_wanted(&namespace.name, key));
            entries.map(|(_, value)| value)
        });
        match (found.next(), found.next()) {
            (Some(value), None) => Ok(value),
            (Some(_), Some(_)) => Err(OpenError::AmbiguousKey),
            (None, _) => Err(OpenError::UnknownKey),
        }
    }

    pub(super) fn key_count(&self) -> usize {
        self.namespaces.iter().map(|namespace| namespace.entries.len()).sum()
    }
}

/// A value.
struct Text(SecretString);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(text.into()))
    }
}

/// A JSON object in its order, no name twice.
struct Members<T>(Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Members<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor(std::marker::PhantomData))
    }
}

struct MembersVisitor<T>(std::marker::PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for MembersVisitor<T> {
    type Value = Members<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let (mut members, mut seen) = (Vec::new(), BTreeSet::new());
        while let Some((name, value)) = access.next_entry::<String, T>()? {
            if !seen.insert(name.clone()) {
                return Err(A::Error::custom("repeated member"));
            }
            members.push((name, value));
        }
        Ok(Members(members))
    }
}
