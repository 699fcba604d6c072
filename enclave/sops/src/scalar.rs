//! What a plain YAML scalar means to Go's `yaml.v3`, and the one spelling of a time that sops writes.
//!
//! Source: `gopkg.in/yaml.v3`, `resolve.go`; confirmed by running sops 3.11 (`testdata/`).

use crate::tree::Leaf;

/// Types a plain, untagged scalar. `None` for the two forms that sops cannot carry: an integer from 2^63 to 2^64-1, and
/// a date that is not in the one form sops writes.
pub(crate) fn resolve(text: String) -> Option<Leaf> {
    match text.as_str() {
        "" | "~" | "null" | "Null" | "NULL" => return Some(Leaf::Null),
        "true" | "True" | "TRUE" => return Some(Leaf::Bool(true)),
        "false" | "False" | "FALSE" => return Some(Leaf::Bool(false)),
        ".nan" | ".NaN" | ".NAN" => return Some(Leaf::Float(f64::NAN)),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Some(Leaf::Float(f64::INFINITY)),
        "-.inf" | "-.Inf" | "-.INF" => return Some(Leaf::Float(f64::NEG_INFINITY)),
        _ => {}
    }
    match text.as_bytes().first() {
        Some(b'0'..=b'9' | b'+' | b'-') => {}
        // Go allows `_` in a float that starts with a dot by other rules than elsewhere; sops never writes one.
        Some(b'.') if text.contains('_') && float(&text.replace('_', "")).is_some() => return None,
        Some(b'.') => return Some(float(&text).map_or(Leaf::Str(text), Leaf::Float)),
        _ => return Some(Leaf::Str(text)),
    }
    match time(&text) {
        Time::Canonical => return Some(Leaf::Time(text)),
        Time::OtherSpelling => return None,
        Time::No => {}
    }
    let plain = text.replace('_', "");
    match integer(&plain) {
        Integer::Fits(value) => return Some(Leaf::Int(value)),
        Integer::Unsigned => return None,
        Integer::No => {}
    }
    if let Some(value) = float(&plain) {
        return Some(Leaf::Float(value));
    }
    // A prefix before a sign: Go cuts it off and reads the rest.
    let odd = [("0b", 2), ("0o", 8)]
        .into_iter()
        .find_map(|(prefix, radix)| plain.strip_prefix(prefix).and_then(|rest| i64::from_str_radix(rest, radix).ok()));
    Some(odd.map_or(Leaf::Str(text), Leaf::Int))
}

enum Integer {
    Fits(i64),
    /// Only an unsigned 64-bit integer holds it: sops refuses to walk such a value.
    Unsigned,
    No,
}

/// Go's `strconv.ParseInt(text, 0, 64)`, then `ParseUint`.
fn integer(text: &str) -> Integer {
    let (sign, digits) = match text.as_bytes().first() {
        Some(b'-') => ("-", text.get(1..).unwrap_or_default()),
        Some(b'+') => ("+", text.get(1..).unwrap_or_default()),
        _ => ("", text),
    };
    let prefix = digits.get(..2).map(str::to_ascii_lowercase);
    let (radix, digits) = match prefix.as_deref() {
        Some("0x") => (16, digits.get(2..).unwrap_or_default()),
        Some("0b") => (2, digits.get(2..).unwrap_or_default()),
        Some("0o") => (8, digits.get(2..).unwrap_or_default()),
        Some(zero) if zero.starts_with('0') => (8, digits.get(1..).unwrap_or_default()),
        _ => (10, digits),
    };
    // `from_str_radix` takes a sign of its own; there is none left here.
    if digits.is_empty() || digits.starts_with(['+', '-']) {
        return Integer::No;
    }
    if let Ok(value) = i64::from_str_radix(&format!("{sign}{digits}"), radix) {
        return Integer::Fits(value);
    }
    if sign.is_empty() && u64::from_str_radix(digits, radix).is_ok() {
        return Integer::Unsigned;
    }
    Integer::No
}

/// A decimal float of the form `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?` that a double can hold.
fn float(text: &str) -> Option<f64> {
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mantissa_fits = digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty());
    let exponent_fits = exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent));
    if !mantissa_fits || !exponent_fits {
        return None;
    }
    // Too large is an error for Go, so the scalar stays a string.
    text.parse::<f64>().ok().filter(|value| value.is_finite())
}

#[derive(Debug, PartialEq, Eq)]
enum Time {
    /// As Go writes RFC 3339 with nanoseconds: SOPS's own spelling.
    Canonical,
    /// Go reads it as a time, or might; sops never writes it so.
    OtherSpelling,
    No,
}

fn time(text: &str) -> Time {
    if is_rfc3339_nano(text) {
        return Time::Canonical;
    }
    // Go: YYYY-M-D, then nothing, `T` or `t` and a time with zone, or spaces and a time without.
    let mut parts = text.splitn(3, '-');
    let (Some(year), Some(month), Some(rest)) = (parts.next(), parts.next(), parts.next()) else { return Time::No };
    let day_len = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (day, after) = rest.split_at_checked(day_len).unwrap_or_default();
    if year.len() != 4 || month.len() > 2 || day.len() > 2 || !date_exists(year, month, day) {
        return Time::No;
    }
    let is_time = match after.strip_prefix(['T', 't']) {
        Some(clock) => is_clock(clock, true),
        None => after.is_empty() || (after.starts_with(' ') && is_clock(after.trim_start_matches(' '), false)),
    };
    if is_time { Time::OtherSpelling } else { Time::No }
}

/// `H:M:S` with any fraction, and then `Z` or an offset just when there is to be a zone.
fn is_clock(text: &str, with_zone: bool) -> bool {
    let mut rest = text;
    for (limit, separator) in [(24, ":"), (60, ":"), (60, "")] {
        // Go takes two digits at most.
        let digits = rest.bytes().take(2).take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at_checked(digits).unwrap_or_default();
        let (true, Some(after)) =
            (number.parse::<u32>().is_ok_and(|number| number < limit), after.strip_prefix(separator))
        else {
            return false;
        };
        rest = after;
    }
    if let Some(fraction) = rest.strip_prefix(['.', ',']) {
        let after = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
        // Without a digit it is no fraction, and nothing else may start so.
        if after.len() == fraction.len() {
            return false;
        }
        rest = after;
    }
    if !with_zone || rest == "Z" {
        return with_zone != rest.is_empty();
    }
    let offset = rest.strip_prefix(['+', '-']).unwrap_or_default();
    offset.len() == 5 && offset.bytes().enumerate().all(|(i, b)| if i == 2 { b == b':' } else { b.is_ascii_digit() })
}

fn date_exists(year: &str, month: &str, day: &str) -> bool {
    let number = |part: &str| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse::<u32>().ok()).flatten();
    let (Some(year), Some(month), Some(day)) = (number(year), number(month), number(day)) else { return false };
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return false,
    };
    (1..=days).contains(&day)
}

/// Whether Go would write this time just so with `time.RFC3339Nano`: `YYYY-MM-DDTHH:MM:SS`, a fraction of at most nine
/// digits without trailing zeros, then `Z` or an offset that is not zero.
pub(crate) fn is_rfc3339_nano(text: &str) -> bool {
    rfc3339(text)
        .is_some_and(|fraction| fraction.is_none_or(|digits| (1..=9).contains(&digits.len()) && !digits.ends_with('0')))
}

/// The same without a fraction: Go's `time.RFC3339`.
pub(crate) fn is_rfc3339(text: &str) -> bool {
    rfc3339(text) == Some(None)
}

/// `None` when it is not such a time, else its fraction.
fn rfc3339(text: &str) -> Option<Option<&str>> {
    let two = |part: &str, max: u32| {
        part.len() == 2
            && part.bytes().all(|b| b.is_ascii_digit())
            && part.parse::<u32>().is_ok_and(|value| value <= max)
    };
    let (date, clock) = text.split_once('T')?;
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || year.len() != 4 || month.len() != 2 || day.len() != 2 || !date_exists(year, month, day)
    {
        return None;
    }
    let (clock, zone) = clock.split_at_checked(clock.find(['Z', '+', '-'])?)?;
    let (clock, fraction) = match clock.split_once('.') {
        Some((clock, fraction)) if fraction.bytes().all(|b| b.is_ascii_digit()) => (clock, Some(fraction)),
        Some(_) => return None,
        None => (clock, None),
    };
    let mut parts = clock.split(':');
    let clock_fits = two(parts.next()?, 23) && two(parts.next()?, 59) && two(parts.next()?, 59);
    if !clock_fits || parts.next().is_some() {
        return None;
    }
    if zone != "Z" {
        let (hours, minutes) = zone.get(1..)?.split_once(':')?;
        if !two(hours, 23) || !two(minutes, 59) || (hours, minutes) == ("00", "00") {
            return None;
        }
    }
    Some(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Leaf> {
        resolve(text.to_owned())
    }

    #[test]
    fn integers() {
        for (text, expected) in [
            ("0", 0),
            ("-0", 0),
            ("42", 42),
            ("+5", 5),
            ("-7", -7),
            ("1_000", 1000),
            ("1_", 1),
            ("012", 10),
            ("-012", -10),
            ("0x1f", 31),
            ("0X1F", 31),
            ("-0x1f", -31),
            ("0b11", 3),
            ("0o17", 15),
            ("0O17", 15),
            ("-0o17", -15),
            ("0b-101", -5),
            ("0o+7", 7),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(read(text), Some(Leaf::Int(expected)), "{text}");
        }
        for text in ["9223372036854775808", "18446744073709551615", "0xffffffffffffffff"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn floats() {
        for (text, expected) in [
            ("1.5", 1.5),
            (".5", 0.5),
            ("-.5", -0.5),
            ("1.", 1.0),
            ("1e3", 1000.0),
            ("1e+21", 1e21),
            ("1E-3", 0.001),
            ("08", 8.0),
            ("1_0.5", 10.5),
            ("18446744073709551616", 18_446_744_073_709_551_616.0),
            ("-9223372036854775809", -9_223_372_036_854_775_809.0),
            ("1e-400", 0.0),
            (".inf", f64::INFINITY),
            ("+.INF", f64::INFINITY),
            ("-.Inf", f64::NEG_INFINITY),
        ] {
            assert_eq!(read(text), Some(Leaf::Float(expected)), "{text}");
        }
        assert!(matches!(read(".NaN"), Some(Leaf::Float(value)) if value.is_nan()));
        assert_eq!(read(".5_0"), None);
    }

    #[test]
    fn everything_else_is_a_string() {
        for text in [
            "a",
            "yes",
            "No",
            "on",
            "y",
            "tRue",
            "nULL",
            ".INf",
            "1e400",
            "1.2.3",
            "1e",
            "e1",
            "+",
            "-",
            ".",
            "-.",
            "...",
            "0x",
            "0xg",
            "0b2",
            "0b",
            "0o8x",
            "+-1",
            "1:30",
            "<<",
            "=",
            "_1",
            "inf",
            "nan",
            "Infinity",
            "0x1p-2",
            "-inf",
            "2026-13-01",
            "2026-02-30",
            "1234-5678",
            "2026-01-02x",
            "2026-1",
            "02026-01-02",
            "2026-01-023",
            "1 2",
            "é",
            "0é",
        ] {
            assert_eq!(read(text), Some(Leaf::Str(text.into())), "{text}");
        }
        assert_eq!(read(""), Some(Leaf::Null));
        assert_eq!(read("True"), Some(Leaf::Bool(true)));
        assert_eq!(read("FALSE"), Some(Leaf::Bool(false)));
    }

    #[test]
    fn times_only_as_sops_writes_them() {
        for text in [
            "2026-01-02T00:00:00Z",
            "2024-02-29T23:59:59.123456789+02:00",
            "0000-01-01T00:00:00Z",
            "2026-01-02T03:04:05.5-11:30",
        ] {
            assert_eq!(read(text), Some(Leaf::Time(text.into())), "{text}");
        }
        for text in [
            "2026-01-02",
            "2026-1-2",
            "2026-01-02 03:04:05",
            "2026-01-02t03:04:05Z",
            "2026-01-02T3:04:05Z",
            "2026-01-02T03:04:05.50Z",
            "2026-01-02T03:04:05.1234567891Z",
            "2026-01-02T03:04:05+00:00",
            "2026-01-02 3:4:5",
            "2026-01-02   03:04:05,25",
            "2026-01-02T03:04:05+99:99",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        for text in [
            "2026-01-02T03:04:05",
            "2026-01-02T24:00:00Z",
            "2026-01-02 03:04:05Z",
            "2026-01-02 03:04:05 ",
            "2026-01-02  lead",
            "2026-01-02 10:00 lunch",
            "2026-01-02T",
            "2026-01-02 ",
            "2026-01-02 03:04:60",
            "2026-01-02 003:04:05",
            "2026-01-02T03:04:05.Z",
            "2026-01-02T03:04:05+1:00",
            "2026-01-02T 03:04:05Z",
        ] {
            assert_eq!(read(text), Some(Leaf::Str(text.into())), "{text}");
        }
        assert!(is_rfc3339("2026-11-23T20:31:32Z") && is_rfc3339("2026-11-23T20:31:32+01:00"));
        for text in ["2026-11-23T20:31:32.5Z", "2026-11-23T20:31:60Z", "2026-11-23 20:31:32Z", "", "T", "Z"] {
            assert!(!is_rfc3339(text), "{text}");
        }
    }
}
