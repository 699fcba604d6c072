//! Numbers as JavaScript writes and reads them.

use std::fmt::Write;

use zeroize::Zeroizing;

/// Longest result: sign, 17 digits, point, `e-324` or up to six zeros; rounded up.
const CAPACITY: usize = 32;

/// ECMAScript `Number::toString` with radix 10: the shortest digits that read back as the same number, plain notation
/// from 1e-6 up to below 1e21, an exponent with its sign beyond, no sign for negative zero.
///
/// Source: ECMA-262, 6.1.6.1.20; agrees with `tests/data/number-to-string.tsv`, made by Node.
pub(crate) fn to_js_string(value: f64) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(CAPACITY));
    if value.is_nan() {
        out.push_str("NaN");
    } else if value == 0.0 {
        out.push('0');
    } else {
        if value < 0.0 {
            out.push('-');
        }
        if value.is_infinite() {
            out.push_str("Infinity");
        } else {
            write_magnitude(value.abs(), &mut out);
        }
    }
    out
}

/// `value` is finite and above zero.
fn write_magnitude(value: f64, out: &mut String) {
    // Rust's `{:e}` has the shortest digits, too: `d`, `.ddd` where there are more, `e`, exponent.
    let mut scientific = Zeroizing::new(String::with_capacity(CAPACITY));
    let _infallible = write!(scientific, "{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let (first, rest) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    // The value is 0.d1d2…dk × 10^point: the specification's n.
    let point = exponent.parse::<i32>().unwrap_or(0).saturating_add(1);
    let digit_count = i32::try_from(rest.len()).unwrap_or(i32::MAX).saturating_add(1);

    match point {
        1..=21 if digit_count <= point => {
            out.push_str(first);
            out.push_str(rest);
            push_zeros(point.saturating_sub(digit_count), out);
        }
        1..=21 => {
            let whole = usize::try_from(point.saturating_sub(1)).unwrap_or(0);
            let (whole, fraction) = rest.split_at_checked(whole).unwrap_or((rest, ""));
            out.push_str(first);
            out.push_str(whole);
            out.push('.');
            out.push_str(fraction);
        }
        -5..=0 => {
            out.push_str("0.");
            push_zeros(point.saturating_neg(), out);
            out.push_str(first);
            out.push_str(rest);
        }
        _ => {
            out.push_str(first);
            if !rest.is_empty() {
                out.push('.');
                out.push_str(rest);
            }
            let _infallible = write!(out, "e{:+}", point.saturating_sub(1));
        }
    }
}

fn push_zeros(count: i32, out: &mut String) {
    for _ in 0..count {
        out.push('0');
    }
}

/// Whether JavaScript takes `text` for an integer: `text.trim() !== ""` and `Number.isInteger(Number(text))`.
///
/// So `4.0`, `1e3`, `0x1F` and `1e-400` (which rounds to zero) are integers; `1e400`, `1_000` and `-0x1` are not.
///
/// Source: ECMA-262, 7.1.4.1.1 (`StringToNumber`); agrees with `tests/data/schema.jsonl`, made by Node.
pub(crate) fn is_js_integer(text: &str) -> bool {
    let trimmed = text.trim_matches(is_js_space);
    let prefixed = |lower: &str, upper: &str, base: u32| {
        let digits = trimmed.strip_prefix(lower).or_else(|| trimmed.strip_prefix(upper));
        digits.map(|digits| radix(digits, base))
    };
    let value = match prefixed("0x", "0X", 16).or_else(|| prefixed("0o", "0O", 8)).or_else(|| prefixed("0b", "0B", 2)) {
        Some(value) => value,
        None => {
            let unsigned = trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed);
            if is_decimal(unsigned) { unsigned.parse().ok() } else { None }
        }
    };
    // The fraction of an infinity is NaN.
    value.is_some_and(|value: f64| value.fract() == 0.0)
}

/// What JavaScript's `trim`, `Number` and `\s` take for white space: Unicode's, with U+FEFF and without U+0085.
pub(crate) fn is_js_space(c: char) -> bool {
    c == '\u{feff}' || (c.is_whitespace() && c != '\u{85}')
}

/// The whole number that `digits` are in a base of 2, 8 or 16, near enough where it has more bits than a double: it is
/// infinite exactly when JavaScript's is.
pub(crate) fn radix(digits: &str, radix: u32) -> Option<f64> {
    if digits.is_empty() {
        return None;
    }
    digits.chars().try_fold(0.0, |sum, c| Some(sum * f64::from(radix) + f64::from(c.to_digit(radix)?)))
}

/// `[0-9]+`, `[0-9]+\.[0-9]*` or `\.[0-9]+`, each with or without an exponent.
pub(crate) fn is_decimal(text: &str) -> bool {
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let mantissa_ok = match mantissa.split_once('.') {
        None => !mantissa.is_empty() && all_digits(mantissa),
        Some((whole, fraction)) => {
            all_digits(whole) && all_digits(fraction) && !(whole.is_empty() && fraction.is_empty())
        }
    };
    let exponent_ok = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !digits.is_empty() && all_digits(digits)
    });
    mantissa_ok && exponent_ok
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_node() {
        let table = include_str!("../tests/data/number-to-string.tsv");
        let mut rows = 0;
        for row in table.lines() {
            let (bits, expected) = row.split_once('\t').unwrap();
            let value = f64::from_bits(u64::from_str_radix(bits, 16).unwrap());
            let text = to_js_string(value);
            assert_eq!(text.as_str(), expected, "{bits}");
            assert!(text.len() <= CAPACITY && text.capacity() == CAPACITY, "{bits} was moved, leaving a copy");
            rows += 1;
        }
        assert!(rows > 2000, "only {rows} rows");
    }
}
