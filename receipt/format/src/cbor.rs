//! A strict CBOR reader (RFC 8949) for the profile that Nitro documents use.
//!
//! Every item has one accepted encoding: lengths and integers in their shortest form, strings and containers of
//! definite length. The only exception is asked for by name ([`Reader::map_maybe_indefinite`]): since 2026 AWS
//! writes the outermost map of a payload with indefinite length. Tags, floats and the simple values other than
//! `false`, `true` and `null` do not occur in the profile and are refused. Nothing is allocated here: strings are
//! slices of the input, and a length is compared with its limit before it is used.

use std::fmt;

/// Reads CBOR items from the front of a slice.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    input: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the first byte of `input`.
    #[must_use]
    pub const fn new(input: &'a [u8]) -> Self {
        Self { input, position: 0 }
    }

    /// Offset of the next item in the input.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.position
    }

    /// The next byte, without consuming it; `None` at the end.
    #[must_use]
    pub fn peek(&self) -> Option<u8> {
        self.input.get(self.position).copied()
    }

    /// Reads an unsigned integer.
    ///
    /// # Errors
    /// [`CborError`] when the next item is not one in its shortest form.
    pub fn uint(&mut self) -> Result<u64, CborError> {
        self.head(Major::Uint)
    }

    /// Reads a byte string of at most `max` bytes.
    ///
    /// # Errors
    /// [`CborError`] when the next item is not one of definite length, or is longer.
    pub fn bytes(&mut self, max: usize) -> Result<&'a [u8], CborError> {
        let at = self.position;
        let length = self.head(Major::Bytes)?;
        self.take(length, max, at)
    }

    /// Reads a text string of at most `max` bytes of UTF-8.
    ///
    /// # Errors
    /// [`CborError`] when the next item is not one of definite length, is longer, or is not UTF-8.
    pub fn text(&mut self, max: usize) -> Result<&'a str, CborError> {
        let at = self.position;
        let length = self.head(Major::Text)?;
        std::str::from_utf8(self.take(length, max, at)?).map_err(|_| CborError::NotUtf8 { at })
    }

    /// Reads `null` (as `None`) or a byte string of at most `max` bytes.
    ///
    /// # Errors
    /// As [`Self::bytes`].
    pub fn null_or_bytes(&mut self, max: usize) -> Result<Option<&'a [u8]>, CborError> {
        if self.peek() == Some(NULL) {
            self.position += 1;
            return Ok(None);
        }
        self.bytes(max).map(Some)
    }

    /// Reads the head of an array of at most `max` items and returns their number.
    ///
    /// # Errors
    /// [`CborError`] when the next item is not an array of definite length, or has more items.
    pub fn array(&mut self, max: usize) -> Result<usize, CborError> {
        let at = self.position;
        let length = self.head(Major::Array)?;
        within(length, max, at)
    }

    /// Reads the head of a map of at most `max` entries and returns their number.
    ///
    /// # Errors
    /// [`CborError`] when the next item is not a map of definite length, or has more entries.
    pub fn map(&mut self, max: usize) -> Result<usize, CborError> {
        let at = self.position;
        let length = self.head(Major::Map)?;
        within(length, max, at)
    }

    /// Reads the head of a map as [`Self::map`] does, but accepts indefinite length too and returns `None` for it.
    ///
    /// The entries of such a map go on until [`Self::take_break`] returns true; the caller counts them.
    ///
    /// # Errors
    /// As [`Self::map`].
    pub fn map_maybe_indefinite(&mut self, max: usize) -> Result<Option<usize>, CborError> {
        if self.peek() == Some(INDEFINITE_MAP) {
            self.position += 1;
            return Ok(None);
        }
        self.map(max).map(Some)
    }

    /// Consumes the "break" that ends an item of indefinite length, when it is next.
    pub fn take_break(&mut self) -> bool {
        let is_break = self.peek() == Some(BREAK);
        if is_break {
            self.position += 1;
        }
        is_break
    }

    /// Skips one item, whatever it holds, under the rules of this profile.
    ///
    /// `depth` is how many containers may lie inside each other.
    ///
    /// # Errors
    /// [`CborError`] when the item is not within the profile or nested deeper.
    pub fn skip(&mut self, depth: usize) -> Result<(), CborError> {
        let at = self.position;
        let first = self.peek().ok_or(CborError::UnexpectedEnd { at })?;
        let remaining = self.input.len() - at;
        match Major::of(first) {
            Major::Uint => self.head(Major::Uint).map(drop),
            Major::Negative => self.head(Major::Negative).map(drop),
            Major::Bytes => self.bytes(remaining).map(drop),
            Major::Text => self.text(remaining).map(drop),
            container @ (Major::Array | Major::Map) => {
                let inner = depth.checked_sub(1).ok_or(CborError::TooDeep { at })?;
                // Each item takes at least one byte, so the loop is bounded by the input.
                let items = if container == Major::Array {
                    self.array(remaining)?
                } else {
                    self.map(remaining / 2)?.saturating_mul(2)
                };
                (0..items).try_for_each(|_| self.skip(inner))
            }
            Major::Tag => Err(CborError::Unsupported { at, byte: first }),
            Major::Simple if matches!(first, FALSE | TRUE | NULL) => {
                self.position += 1;
                Ok(())
            }
            Major::Simple => Err(CborError::Unsupported { at, byte: first }),
        }
    }

    /// Ends reading: all input must have been used.
    ///
    /// # Errors
    /// [`CborError::TrailingBytes`] when something is left.
    pub const fn finish(self) -> Result<(), CborError> {
        if self.position == self.input.len() { Ok(()) } else { Err(CborError::TrailingBytes { at: self.position }) }
    }

    /// Reads the head of an item of kind `expected` and returns its argument.
    fn head(&mut self, expected: Major) -> Result<u64, CborError> {
        let at = self.position;
        let first = self.peek().ok_or(CborError::UnexpectedEnd { at })?;
        if Major::of(first) != expected {
            return Err(CborError::UnexpectedItem { at, expected: expected.name(), byte: first });
        }
        let width = match first & ADDITIONAL {
            immediate @ 0..=23 => {
                self.position += 1;
                return Ok(u64::from(immediate));
            }
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            31 => return Err(CborError::IndefiniteLength { at }),
            _ => return Err(CborError::Unsupported { at, byte: first }),
        };
        let start = at + 1;
        let argument = self.input.get(start..start + width).ok_or(CborError::UnexpectedEnd { at })?;
        let value = argument.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        let shortest = match width {
            1 => value >= 24,
            2 => value > u64::from(u8::MAX),
            4 => value > u64::from(u16::MAX),
            _ => value > u64::from(u32::MAX),
        };
        if !shortest {
            return Err(CborError::NotShortest { at });
        }
        self.position = start + width;
        Ok(value)
    }

    /// Takes the content of a string whose head was at `at`.
    fn take(&mut self, length: u64, max: usize, at: usize) -> Result<&'a [u8], CborError> {
        let length = within(length, max, at)?;
        let end = self.position.checked_add(length).ok_or(CborError::UnexpectedEnd { at })?;
        let content = self.input.get(self.position..end).ok_or(CborError::UnexpectedEnd { at })?;
        self.position = end;
        Ok(content)
    }
}

/// Why bytes are not CBOR of the accepted profile. `at` is the offset of the item's first byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CborError {
    /// The input ends inside an item.
    UnexpectedEnd {
        /// Offset of the item.
        at: usize,
    },
    /// Another kind of item than the format has here.
    UnexpectedItem {
        /// Offset of the item.
        at: usize,
        /// What the format has here.
        expected: &'static str,
        /// First byte of what was found.
        byte: u8,
    },
    /// A length or integer that has a shorter encoding.
    NotShortest {
        /// Offset of the item.
        at: usize,
    },
    /// An item of indefinite length where only definite length is accepted.
    IndefiniteLength {
        /// Offset of the item.
        at: usize,
    },
    /// A tag, a float, or a reserved or unused encoding.
    Unsupported {
        /// Offset of the item.
        at: usize,
        /// First byte of the item.
        byte: u8,
    },
    /// A text string that is not UTF-8.
    NotUtf8 {
        /// Offset of the item.
        at: usize,
    },
    /// A string or container larger than its limit.
    TooLong {
        /// Offset of the item.
        at: usize,
        /// Length the item claims: bytes of a string, items of an array, entries of a map.
        length: u64,
        /// Largest accepted length.
        max: usize,
    },
    /// Containers nested deeper than accepted.
    TooDeep {
        /// Offset of the innermost container.
        at: usize,
    },
    /// Bytes after the last item.
    TrailingBytes {
        /// Offset of the first one.
        at: usize,
    },
}

impl CborError {
    /// Stable identifier of the cause.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnexpectedEnd { .. } => "cbor_unexpected_end",
            Self::UnexpectedItem { .. } => "cbor_unexpected_item",
            Self::NotShortest { .. } => "cbor_not_shortest",
            Self::IndefiniteLength { .. } => "cbor_indefinite_length",
            Self::Unsupported { .. } => "cbor_unsupported",
            Self::NotUtf8 { .. } => "cbor_not_utf8",
            Self::TooLong { .. } => "cbor_too_long",
            Self::TooDeep { .. } => "cbor_too_deep",
            Self::TrailingBytes { .. } => "cbor_trailing_bytes",
        }
    }
}

impl fmt::Display for CborError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnexpectedEnd { at } => write!(f, "CBOR ends inside the item at byte {at}"),
            Self::UnexpectedItem { at, expected, byte } => {
                write!(f, "CBOR item at byte {at} starts with {byte:#04x}, expected {expected}")
            }
            Self::NotShortest { at } => write!(f, "CBOR item at byte {at} is not in its shortest form"),
            Self::IndefiniteLength { at } => write!(f, "CBOR item at byte {at} has indefinite length"),
            Self::Unsupported { at, byte } => {
                write!(f, "CBOR item at byte {at} starts with {byte:#04x}, a kind Nitro documents do not use")
            }
            Self::NotUtf8 { at } => write!(f, "CBOR text at byte {at} is not UTF-8"),
            Self::TooLong { at, length, max } => {
                write!(f, "CBOR item at byte {at} has length {length}, at most {max} is accepted")
            }
            Self::TooDeep { at } => write!(f, "CBOR container at byte {at} is nested too deep"),
            Self::TrailingBytes { at } => write!(f, "bytes follow the CBOR item, from byte {at}"),
        }
    }
}

impl std::error::Error for CborError {}

/// Major types of RFC 8949, section 3.1.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Major {
    Uint,
    Negative,
    Bytes,
    Text,
    Array,
    Map,
    Tag,
    Simple,
}

impl Major {
    const fn of(first: u8) -> Self {
        match first >> 5 {
            0 => Self::Uint,
            1 => Self::Negative,
            2 => Self::Bytes,
            3 => Self::Text,
            4 => Self::Array,
            5 => Self::Map,
            6 => Self::Tag,
            _ => Self::Simple,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Uint => "an unsigned integer",
            Self::Negative => "a negative integer",
            Self::Bytes => "a byte string",
            Self::Text => "a text string",
            Self::Array => "an array",
            Self::Map => "a map",
            Self::Tag => "a tag",
            Self::Simple => "a simple value",
        }
    }
}

/// A length as `usize`, when it is at most `max`.
fn within(length: u64, max: usize, at: usize) -> Result<usize, CborError> {
    usize::try_from(length).ok().filter(|small| *small <= max).ok_or(CborError::TooLong { at, length, max })
}

/// Low five bits of an item's first byte.
const ADDITIONAL: u8 = 0x1f;
const FALSE: u8 = 0xf4;
const TRUE: u8 = 0xf5;
const NULL: u8 = 0xf6;
const INDEFINITE_MAP: u8 = 0xbf;
const BREAK: u8 = 0xff;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Integers of RFC 8949, appendix A.
    #[test]
    fn reads_the_integers_of_the_rfc() {
        for (encoded, value) in [
            ("00", 0),
            ("17", 23),
            ("1818", 24),
            ("1864", 100),
            ("1903e8", 1_000),
            ("1a000f4240", 1_000_000),
            ("1b000000e8d4a51000", 1_000_000_000_000),
            ("1bffffffffffffffff", u64::MAX),
        ] {
            let bytes = hex::decode(encoded).unwrap();
            let mut reader = Reader::new(&bytes);
            assert_eq!(reader.uint(), Ok(value));
            assert_eq!(reader.finish(), Ok(()));
        }
    }

    #[test]
    fn refuses_integers_with_a_shorter_form() {
        for encoded in ["1817", "1900ff", "1a0000ffff", "1b00000000ffffffff", "1800"] {
            let bytes = hex::decode(encoded).unwrap();
            assert_eq!(Reader::new(&bytes).uint(), Err(CborError::NotShortest { at: 0 }), "{encoded}");
        }
    }

    #[test]
    fn refuses_lengths_with_a_shorter_form() {
        assert_eq!(Reader::new(b"\x58\x01a").bytes(10), Err(CborError::NotShortest { at: 0 }));
        assert_eq!(Reader::new(b"\x78\x01a").text(10), Err(CborError::NotShortest { at: 0 }));
        assert_eq!(Reader::new(&[0x98, 0x01, 0x00]).array(10), Err(CborError::NotShortest { at: 0 }));
        assert_eq!(Reader::new(&[0xb8, 0x01, 0x00, 0x00]).map(10), Err(CborError::NotShortest { at: 0 }));
    }

    #[test]
    fn refuses_indefinite_length_unless_asked_for() {
        assert_eq!(Reader::new(&[0x5f, 0x40, 0xff]).bytes(10), Err(CborError::IndefiniteLength { at: 0 }));
        assert_eq!(Reader::new(&[0x7f, 0x60, 0xff]).text(10), Err(CborError::IndefiniteLength { at: 0 }));
        assert_eq!(Reader::new(&[0x9f, 0xff]).array(10), Err(CborError::IndefiniteLength { at: 0 }));
        assert_eq!(Reader::new(&[0xbf, 0xff]).map(10), Err(CborError::IndefiniteLength { at: 0 }));
        let mut reader = Reader::new(&[0xbf, 0xff]);
        assert_eq!(reader.map_maybe_indefinite(10), Ok(None));
        assert!(reader.take_break());
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn refuses_reserved_heads() {
        for byte in [0x1c, 0x1d, 0x1e] {
            assert_eq!(Reader::new(&[byte]).uint(), Err(CborError::Unsupported { at: 0, byte }));
        }
    }

    #[test]
    fn compares_lengths_with_the_limit_first() {
        let huge = [0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(Reader::new(&huge).bytes(4), Err(CborError::TooLong { at: 0, length: u64::MAX, max: 4 }));
        assert_eq!(Reader::new(b"\x44abcd").bytes(4), Ok(&b"abcd"[..]));
        assert_eq!(Reader::new(b"\x45abcde").bytes(4), Err(CborError::TooLong { at: 0, length: 5, max: 4 }));
        assert_eq!(Reader::new(&[0x82, 0, 0]).array(1), Err(CborError::TooLong { at: 0, length: 2, max: 1 }));
        assert_eq!(Reader::new(&[0xa2]).map(1), Err(CborError::TooLong { at: 0, length: 2, max: 1 }));
    }

    #[test]
    fn refuses_truncated_items() {
        for bytes in [&b""[..], b"\x44abc", b"\x58", b"\x59\x01"] {
            assert_eq!(Reader::new(bytes).bytes(1_000), Err(CborError::UnexpectedEnd { at: 0 }));
        }
    }

    #[test]
    fn refuses_text_that_is_not_utf8() {
        assert_eq!(Reader::new(b"\x61\xff").text(4), Err(CborError::NotUtf8 { at: 0 }));
    }

    #[test]
    fn names_the_item_it_expected() {
        let error = Reader::new(&[0x01]).bytes(4).unwrap_err();
        assert_eq!(error, CborError::UnexpectedItem { at: 0, expected: "a byte string", byte: 1 });
    }

    #[test]
    fn skips_nested_items_within_the_profile() {
        // {"a": [1, -1, h'00', "b", null, true], "c": {}}
        let bytes = hex::decode("a2616186012041006162f6f56163a0").unwrap();
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.skip(2), Ok(()));
        assert_eq!(reader.finish(), Ok(()));
        assert_eq!(Reader::new(&bytes).skip(1), Err(CborError::TooDeep { at: 3 }));
    }

    #[test]
    fn skipping_refuses_tags_floats_and_unused_simple_values() {
        for bytes in [&[0xc0, 0x00][..], &[0xf9, 0x00, 0x00], &[0xfb], &[0xf7], &[0xe0], &[0xff]] {
            assert_eq!(Reader::new(bytes).skip(4), Err(CborError::Unsupported { at: 0, byte: bytes[0] }));
        }
    }

    #[test]
    fn skipping_does_not_loop_over_claimed_items() {
        let claims_many = [0x9b, 0, 0, 0, 1, 0, 0, 0, 0];
        assert!(matches!(Reader::new(&claims_many).skip(4), Err(CborError::TooLong { .. })));
    }

    #[test]
    fn refuses_trailing_bytes() {
        let mut reader = Reader::new(&[0x00, 0x00]);
        assert_eq!(reader.uint(), Ok(0));
        assert_eq!(reader.finish(), Err(CborError::TrailingBytes { at: 1 }));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut reader = Reader::new(&bytes);
            while reader.peek().is_some() && reader.skip(4).is_ok() {}
            let _ = Reader::new(&bytes).text(16);
            let _ = Reader::new(&bytes).null_or_bytes(16);
            let _ = Reader::new(&bytes).map_maybe_indefinite(16);
        }
    }
}
