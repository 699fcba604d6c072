//! Numbers as JavaScript writes them.

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
