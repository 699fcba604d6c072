//! What a decrypted file holds.

use packproof_secret::SecretString;
use zeroize::Zeroize;

/// A decrypted file whose MAC fits.
pub struct Plain {
    /// Top-level keys and values in file order, without the `sops` block.
    pub entries: Vec<(String, Value)>,
}

/// A value in clear. No `Debug`, no `Clone`; wiped when dropped. Text stays in one place on the heap; numbers and booleans
/// are wiped where they are dropped, but a move may leave a copy on the stack.
pub enum Value {
    /// `null`. Not covered by the MAC.
    Null,
    /// A string.
    Str(SecretString),
    /// An integer.
    Int(i64),
    /// A float; in JSON files every number that is in clear.
    Float(f64),
    /// A boolean.
    Bool(bool),
    /// A time as Go writes RFC 3339, with at most nine digits of fraction.
    Time(SecretString),
    /// A list.
    List(Vec<Self>),
    /// A map in file order.
    Map(Vec<(String, Self)>),
    /// A comment that sops turned into an item of a list: no value of the user's. Not covered by the MAC.
    Comment(SecretString),
}

impl Drop for Value {
    fn drop(&mut self) {
        match self {
            Self::Int(value) => value.zeroize(),
            Self::Float(value) => value.zeroize(),
            Self::Bool(value) => value.zeroize(),
            // Texts wipe themselves; the parts of a list or map are dropped one by one.
            Self::Null | Self::Str(_) | Self::Time(_) | Self::Comment(_) | Self::List(_) | Self::Map(_) => {}
        }
    }
}
