//! A strict DER reader (X.690, clause 10): definite lengths in their shortest form, one encoding for each value.

use std::fmt;

use packproof_receipt::time::UnixMillis;

/// Reads DER values from the front of a slice.
#[derive(Clone, Debug)]
pub(crate) struct Der<'a> {
    rest: &'a [u8],
}

impl<'a> Der<'a> {
    pub(crate) const fn new(input: &'a [u8]) -> Self {
        Self { rest: input }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Reads a value with this tag and returns its contents.
    pub(crate) fn read(&mut self, tag: u8) -> Result<&'a [u8], DerError> {
        self.read_whole(tag).map(|(_, contents)| contents)
    }

    /// Reads a value with this tag and returns it with its header, and its contents.
    pub(crate) fn read_whole(&mut self, tag: u8) -> Result<(&'a [u8], &'a [u8]), DerError> {
        match self.rest.first() {
            None => Err(DerError::UnexpectedEnd),
            Some(found) if *found != tag => Err(DerError::UnexpectedTag { expected: tag, found: *found }),
            Some(_) => self.any().map(|(_, whole, contents)| (whole, contents)),
        }
    }

    /// Reads a value with this tag when it is next.
    pub(crate) fn read_optional(&mut self, tag: u8) -> Result<Option<&'a [u8]>, DerError> {
        if self.rest.first() == Some(&tag) { self.read(tag).map(Some) } else { Ok(None) }
    }

    /// Reads a value of any tag: the tag, the value with its header, and its contents.
    pub(crate) fn any(&mut self) -> Result<(u8, &'a [u8], &'a [u8]), DerError> {
        let input = self.rest;
        let (tag, after_tag) = input.split_first().ok_or(DerError::UnexpectedEnd)?;
        if tag & 0x1f == 0x1f {
            return Err(DerError::HighTag);
        }
        let (length, body) = length(after_tag)?;
        let contents = body.get(..length).ok_or(DerError::UnexpectedEnd)?;
        let header = input.len() - body.len();
        let whole = input.get(..header + length).ok_or(DerError::UnexpectedEnd)?;
        self.rest = body.get(length..).ok_or(DerError::UnexpectedEnd)?;
        Ok((*tag, whole, contents))
    }

    /// Ends reading: nothing may be left.
    pub(crate) const fn finish(&self) -> Result<(), DerError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DerError::TrailingBytes) }
    }
}

/// Reads a length; returns it and what follows. Three bytes of length are more than a certificate needs.
fn length(input: &[u8]) -> Result<(usize, &[u8]), DerError> {
    let (first, rest) = input.split_first().ok_or(DerError::UnexpectedEnd)?;
    match (*first, rest) {
        (short @ 0..=0x7f, rest) => Ok((usize::from(short), rest)),
        (0x81, [length, rest @ ..]) if *length >= 0x80 => Ok((usize::from(*length), rest)),
        (0x82, [high, low, rest @ ..]) if *high != 0 => Ok((usize::from(u16::from_be_bytes([*high, *low])), rest)),
        (0x81 | 0x82, rest) if rest.len() < 2 => Err(DerError::UnexpectedEnd),
        _ => Err(DerError::Length),
    }
}

/// Contents of a BOOLEAN that must be TRUE, because FALSE is the default and DER leaves defaults out.
pub(crate) fn true_not_default(contents: &[u8]) -> Result<(), DerError> {
    if contents == [0xff] { Ok(()) } else { Err(DerError::Boolean) }
}

/// Contents of an INTEGER that is not negative, without the sign byte.
pub(crate) fn unsigned(contents: &[u8]) -> Result<&[u8], DerError> {
    match contents {
        [] => Err(DerError::Integer),
        [0] => Ok(contents),
        [0, next, ..] if *next < 0x80 => Err(DerError::Integer),
        [0, rest @ ..] => Ok(rest),
        [first, ..] if *first >= 0x80 => Err(DerError::Integer),
        _ => Ok(contents),
    }
}

/// Contents of a BIT STRING that is a whole number of bytes.
pub(crate) fn octets(contents: &[u8]) -> Result<&[u8], DerError> {
    match contents {
        [0, octets @ ..] => Ok(octets),
        _ => Err(DerError::BitString),
    }
}

/// Contents of a BIT STRING with named bits, at most 16: bit 0 is the highest bit of the result.
///
/// DER wants trailing zero bits removed (X.690, 11.2.2).
pub(crate) fn named_bits(contents: &[u8]) -> Result<u16, DerError> {
    let (unused, bits, last) = match contents {
        [unused, byte] => (*unused, u16::from_be_bytes([*byte, 0]), *byte),
        [unused, high, low] => (*unused, u16::from_be_bytes([*high, *low]), *low),
        _ => return Err(DerError::BitString),
    };
    if unused > 7 || last.trailing_zeros() != u32::from(unused) {
        return Err(DerError::BitString);
    }
    Ok(bits)
}

/// A UTCTime or GeneralizedTime of RFC 5280, 4.1.2.5: seconds present, `Z`, and UTCTime exactly through 2049.
pub(crate) fn time(tag: u8, contents: &[u8]) -> Result<UnixMillis, DerError> {
    let (year, rest) = match (tag, contents) {
        (UTC_TIME, [y0, y1, rest @ ..]) => {
            let short = pair(*y0, *y1)?;
            (u16::from(short) + if short < 50 { 2000 } else { 1900 }, rest)
        }
        (GENERALIZED_TIME, [y0, y1, y2, y3, rest @ ..]) => {
            let year = u16::from(pair(*y0, *y1)?) * 100 + u16::from(pair(*y2, *y3)?);
            if year < 2050 {
                return Err(DerError::Time);
            }
            (year, rest)
        }
        _ => return Err(DerError::Time),
    };
    let [mo0, mo1, d0, d1, h0, h1, mi0, mi1, s0, s1, b'Z'] = rest else { return Err(DerError::Time) };
    UnixMillis::from_civil(
        year,
        pair(*mo0, *mo1)?,
        pair(*d0, *d1)?,
        pair(*h0, *h1)?,
        pair(*mi0, *mi1)?,
        pair(*s0, *s1)?,
    )
    .ok_or(DerError::Time)
}

/// Two ASCII digits.
fn pair(tens: u8, ones: u8) -> Result<u8, DerError> {
    if tens.is_ascii_digit() && ones.is_ascii_digit() {
        Ok((tens - b'0') * 10 + (ones - b'0'))
    } else {
        Err(DerError::Time)
    }
}

/// Why bytes are not DER of the expected form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DerError {
    /// The input ends inside a value.
    UnexpectedEnd,
    /// Another type than the format has here.
    UnexpectedTag {
        /// Tag the format has here.
        expected: u8,
        /// Tag that was found.
        found: u8,
    },
    /// A tag of more than one byte, which certificates do not use.
    HighTag,
    /// A length that is indefinite, not the shortest, or too large for a certificate.
    Length,
    /// Bytes after the last value.
    TrailingBytes,
    /// A BOOLEAN that is not TRUE as DER writes it, or FALSE where that is the default.
    Boolean,
    /// An INTEGER that is negative, not the shortest, or out of range.
    Integer,
    /// A BIT STRING with unused bits where whole bytes are expected, or trailing zero bits.
    BitString,
    /// A date that does not exist, is before 1970, or is in another form than RFC 5280 asks for.
    Time,
    /// A text string that is not UTF-8, or of another type than certificates of this kind use.
    Text,
}

impl fmt::Display for DerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnexpectedEnd => f.write_str("DER ends inside a value"),
            Self::UnexpectedTag { expected, found } => {
                write!(f, "DER value has tag {found:#04x}, expected {expected:#04x}")
            }
            Self::HighTag => f.write_str("DER value has a tag of more than one byte"),
            Self::Length => f.write_str("DER length is not in its only accepted form"),
            Self::TrailingBytes => f.write_str("bytes follow the last DER value"),
            Self::Boolean => f.write_str("DER BOOLEAN is not in its only accepted form"),
            Self::Integer => f.write_str("DER INTEGER is negative, not the shortest, or out of range"),
            Self::BitString => f.write_str("DER BIT STRING is not in its only accepted form"),
            Self::Time => f.write_str("date does not exist or is not in RFC 5280's form"),
            Self::Text => f.write_str("text is not a UTF8String or PrintableString"),
        }
    }
}

impl std::error::Error for DerError {}

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const UTF8_STRING: u8 = 0x0c;
pub(crate) const PRINTABLE_STRING: u8 = 0x13;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_lengths_in_their_shortest_form_only() {
        let read = |bytes: &[u8]| Der::new(bytes).read(OCTET_STRING).map(<[u8]>::len);
        assert_eq!(read(&[4, 0]), Ok(0));
        assert_eq!(read(&[vec![4, 0x81, 0x80], vec![0; 0x80]].concat()), Ok(0x80));
        assert_eq!(read(&[vec![4, 0x82, 1, 0], vec![0; 0x100]].concat()), Ok(0x100));
        assert_eq!(read(&[4, 0x80, 0, 0]), Err(DerError::Length));
        assert_eq!(read(&[4, 0x81, 1, 0]), Err(DerError::Length));
        assert_eq!(read(&[vec![4, 0x82, 0, 0x80], vec![0; 0x80]].concat()), Err(DerError::Length));
        assert_eq!(read(&[4, 0x83, 1, 0, 0]), Err(DerError::Length));
        assert_eq!(read(&[4, 2, 0]), Err(DerError::UnexpectedEnd));
        assert_eq!(read(&[4, 0x82, 1]), Err(DerError::UnexpectedEnd));
        assert_eq!(read(&[]), Err(DerError::UnexpectedEnd));
        assert_eq!(read(&[2, 0]), Err(DerError::UnexpectedTag { expected: 4, found: 2 }));
    }

    #[test]
    fn refuses_high_tags_and_trailing_bytes() {
        assert_eq!(Der::new(&[0x1f, 0x81, 0]).any(), Err(DerError::HighTag));
        let mut der = Der::new(&[4, 0, 9]);
        assert!(der.read(OCTET_STRING).is_ok());
        assert_eq!(der.finish(), Err(DerError::TrailingBytes));
    }

    #[test]
    fn reads_integers_in_their_shortest_form_only() {
        assert_eq!(unsigned(&[0]), Ok(&[0][..]));
        assert_eq!(unsigned(&[0, 0x80]), Ok(&[0x80][..]));
        assert_eq!(unsigned(&[0x7f]), Ok(&[0x7f][..]));
        for bad in [&[][..], &[0, 0x7f], &[0x80], &[0xff, 0xff]] {
            assert_eq!(unsigned(bad), Err(DerError::Integer));
        }
    }

    #[test]
    fn reads_named_bits_without_trailing_zeros() {
        assert_eq!(named_bits(&[1, 0x86]), Ok(0x8600));
        assert_eq!(named_bits(&[6, 0xc0]), Ok(0xc000));
        assert_eq!(named_bits(&[7, 0x01, 0x80]), Ok(0x0180));
        for bad in [&[0, 0x86][..], &[2, 0x86], &[8, 0], &[0, 0], &[0], &[], &[1, 0, 0, 0x86]] {
            assert_eq!(named_bits(bad), Err(DerError::BitString));
        }
    }

    #[test]
    fn reads_dates_of_rfc_5280() {
        assert_eq!(time(UTC_TIME, b"491028142805Z").unwrap().to_rfc3339(), "2049-10-28T14:28:05.000Z");
        assert_eq!(time(UTC_TIME, b"700101000000Z").unwrap(), UnixMillis(0));
        assert_eq!(time(GENERALIZED_TIME, b"20541206075525Z").unwrap().to_rfc3339(), "2054-12-06T07:55:25.000Z");
        for (tag, bad) in [
            (UTC_TIME, &b"690101000000Z"[..]),
            (UTC_TIME, b"260230000000Z"),
            (UTC_TIME, b"2601010000Z"),
            (UTC_TIME, b"260101000000+0000"),
            (UTC_TIME, b"26010100000 Z"),
            (UTC_TIME, b"260101000060Z"),
            (GENERALIZED_TIME, b"20491231235959Z"),
            (GENERALIZED_TIME, b"20501231235959.0Z"),
            (INTEGER, b"260101000000Z"),
        ] {
            assert_eq!(time(tag, bad), Err(DerError::Time), "{}", String::from_utf8_lossy(bad));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut der = Der::new(&bytes);
            while der.any().is_ok() {}
            let _ = (unsigned(&bytes), named_bits(&bytes), octets(&bytes));
            let _ = (time(UTC_TIME, &bytes), time(GENERALIZED_TIME, &bytes));
        }
    }
}
