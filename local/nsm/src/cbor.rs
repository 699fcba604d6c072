//! Just enough CBOR to write a document's payload.

/// A CBOR item. Strings and containers have definite length and heads their shortest form, unless said otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// Unsigned integer in its shortest form.
    Uint(u64),
    /// Byte string.
    Bytes(Vec<u8>),
    /// Text string.
    Text(String),
    /// Array.
    Array(Vec<Self>),
    /// Map, in the order given.
    Map(Vec<(Self, Self)>),
    /// Map of indefinite length, as AWS writes the payload since 2026.
    IndefiniteMap(Vec<(Self, Self)>),
    /// Null.
    Null,
    /// Bytes that stand as they are: for tests of readers.
    Raw(Vec<u8>),
}

impl Item {
    /// Text from a string slice.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// A byte string, or null.
    #[must_use]
    pub fn bytes_or_null(bytes: Option<&[u8]>) -> Self {
        bytes.map_or(Self::Null, |bytes| Self::Bytes(bytes.to_vec()))
    }

    /// The encoded item.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode_to(&mut out);
        out
    }

    fn encode_to(&self, out: &mut Vec<u8>) {
        match self {
            Self::Uint(value) => head(out, 0, *value),
            Self::Bytes(bytes) => {
                head(out, 2, length(bytes.len()));
                out.extend_from_slice(bytes);
            }
            Self::Text(text) => {
                head(out, 3, length(text.len()));
                out.extend_from_slice(text.as_bytes());
            }
            Self::Array(items) => {
                head(out, 4, length(items.len()));
                items.iter().for_each(|item| item.encode_to(out));
            }
            Self::Map(entries) => {
                head(out, 5, length(entries.len()));
                encode_entries(entries, out);
            }
            Self::IndefiniteMap(entries) => {
                out.push(0xbf);
                encode_entries(entries, out);
                out.push(0xff);
            }
            Self::Null => out.push(0xf6),
            Self::Raw(bytes) => out.extend_from_slice(bytes),
        }
    }
}

fn encode_entries(entries: &[(Item, Item)], out: &mut Vec<u8>) {
    for (key, value) in entries {
        key.encode_to(out);
        value.encode_to(out);
    }
}

fn length(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// The head of an item with its argument in the shortest form.
fn head(out: &mut Vec<u8>, major: u8, argument: u64) {
    let major = major << 5;
    let [b7, b6, b5, b4, b3, b2, b1, b0] = argument.to_be_bytes();
    match argument {
        0..=23 => out.push(major | b0),
        24..=0xff => out.extend_from_slice(&[major | 24, b0]),
        0x100..=0xffff => out.extend_from_slice(&[major | 25, b1, b0]),
        0x1_0000..=0xffff_ffff => out.extend_from_slice(&[major | 26, b3, b2, b1, b0]),
        _ => out.extend_from_slice(&[major | 27, b7, b6, b5, b4, b3, b2, b1, b0]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Examples of RFC 8949, appendix A.
    #[test]
    fn writes_the_examples_of_the_rfc() {
        let examples = [
            (Item::Uint(0), "00"),
            (Item::Uint(23), "17"),
            (Item::Uint(24), "1818"),
            (Item::Uint(1_000), "1903e8"),
            (Item::Uint(1_000_000), "1a000f4240"),
            (Item::Uint(1_000_000_000_000), "1b000000e8d4a51000"),
            (Item::Bytes(vec![1, 2, 3, 4]), "4401020304"),
            (Item::text("IETF"), "6449455446"),
            (Item::Array(vec![Item::Uint(1), Item::Array(vec![Item::Uint(2)])]), "82018102"),
            (Item::Map(vec![(Item::Uint(1), Item::Uint(2)), (Item::Uint(3), Item::Uint(4))]), "a201020304"),
            (Item::IndefiniteMap(vec![(Item::text("a"), Item::Uint(1))]), "bf616101ff"),
            (Item::Null, "f6"),
        ];
        for (item, written) in examples {
            assert_eq!(hex::encode(item.encode()), written);
        }
    }
}
