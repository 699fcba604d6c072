//! Just enough DER to write a certificate.

use packproof_receipt::time::{Civil, UnixMillis};

/// One value: tag, length in its shortest form, contents.
pub(crate) fn tlv(tag: u8, contents: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match u8::try_from(contents.len()) {
        Ok(short @ 0..=0x7f) => out.push(short),
        _ => {
            let bytes = contents.len().to_be_bytes();
            let significant: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
            // At most eight length bytes, so this is far below the reserved 0xff.
            out.push(0x80 | u8::try_from(significant.len()).unwrap_or(8));
            out.extend(significant);
        }
    }
    out.extend_from_slice(contents);
    out
}

/// SEQUENCE of values that are DER already.
pub(crate) fn sequence<T: AsRef<[u8]>>(values: &[T]) -> Vec<u8> {
    let contents: Vec<u8> = values.iter().flat_map(AsRef::as_ref).copied().collect();
    tlv(SEQUENCE, &contents)
}

/// INTEGER from an unsigned big-endian number of any length.
pub(crate) fn unsigned(number: &[u8]) -> Vec<u8> {
    let mut contents: Vec<u8> = number.iter().copied().skip_while(|byte| *byte == 0).collect();
    if contents.first().is_none_or(|first| *first >= 0x80) {
        contents.insert(0, 0);
    }
    tlv(INTEGER, &contents)
}

/// BIT STRING of whole bytes.
pub(crate) fn bit_string(octets: &[u8]) -> Vec<u8> {
    let contents: Vec<u8> = std::iter::once(0).chain(octets.iter().copied()).collect();
    tlv(BIT_STRING, &contents)
}

/// UTCTime through 2049, GeneralizedTime after (RFC 5280, 4.1.2.5).
pub(crate) fn time(at: UnixMillis) -> Vec<u8> {
    let Civil { year, month, day, hour, minute, second } = at.to_civil();
    let rest = format!("{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
    if year < 2050 {
        tlv(UTC_TIME, format!("{:02}{rest}", year % 100).as_bytes())
    } else {
        tlv(GENERALIZED_TIME, format!("{year:04}{rest}").as_bytes())
    }
}

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

    #[test]
    fn writes_lengths_in_their_shortest_form() {
        for (length, head) in [(0, "0400"), (0x7f, "047f"), (0x80, "048180"), (0xff, "0481ff"), (0x100, "04820100")] {
            let written = tlv(OCTET_STRING, &vec![0; length]);
            assert_eq!(hex::encode(&written[..written.len() - length]), head);
        }
    }

    #[test]
    fn writes_integers_as_positive_and_shortest() {
        for (number, written) in [
            (&[][..], "020100"),
            (&[0, 0], "020100"),
            (&[0x7f], "02017f"),
            (&[0, 0x80], "02020080"),
            (&[1, 0], "02020100"),
        ] {
            assert_eq!(hex::encode(unsigned(number)), written);
        }
    }

    #[test]
    fn writes_dates_as_rfc_5280_asks() {
        let at = |year| time(UnixMillis::from_civil(year, 10, 28, 14, 28, 5).unwrap());
        assert_eq!(at(2049), b"\x17\x0d491028142805Z");
        assert_eq!(at(2050), b"\x18\x0f20501028142805Z");
    }
}
