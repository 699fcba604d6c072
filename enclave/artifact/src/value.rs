//! From a decrypted value to the string that the artifact holds, and which keys may be used.
//!
//! Clef hands each value to JavaScript's `String()`. That is reproduced where it keeps the value: strings, integers a
//! double holds exactly, other finite numbers, booleans, null, dates. It is refused where it does not (maps, lists, big
//! integers, infinities) or where Clef trips over its own tools (`<<`, names of `Object.prototype`).
//!
//! Every [`ValueError`] depends on plaintext. Whoever shows it to the host has built an oracle: the pipeline has one
//! code for all of them.
//!
//! Source: Clef core 0.3.0, as run; `Number::toString` of ECMA-262.

use std::fmt;

use packproof_secret::SecretString;

use crate::core_schema::plain_number;
use crate::matrix::CellFormat;
use crate::number;

/// A value of a decrypted cell, as SOPS types it.
#[derive(Clone, Copy)]
pub enum Scalar<'a> {
    /// `null`
    Null,
    /// Text, and bytes that are text.
    Str(&'a str),
    /// An integer.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// `true` or `false`
    Bool(bool),
    /// A date, already in the form that `sops decrypt` prints: `2026-01-02T00:00:00Z`.
    Time(&'a str),
    /// A list; what is in it does not matter.
    List,
    /// A map; what is in it does not matter.
    Map,
}

/// Why a value has no faithful string. Depends on plaintext: see the module's page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ValueError {
    /// Clef makes `[object Object]` of a map.
    Map,
    /// Clef joins a list with commas.
    List,
    /// Beyond ±2^53 Clef rounds an integer to a double.
    IntBeyond2Pow53,
    /// `Infinity` or `NaN`.
    NonFinite,
    /// The text `<<` in a YAML cell: Clef makes `Symbol(<<)` of it.
    MergeIndicator,
    /// A text in a YAML cell that `sops decrypt` prints so that Clef reads another: see [`reads_back`].
    NotAsPrinted,
}

/// The largest integer up to which a double holds every integer.
const MAX_EXACT_INT: u64 = 1 << 53;

/// The string that Clef makes of `value` in a cell of this `format`.
///
/// # Errors
/// Clef's string would not be the value.
pub fn to_clef_string(value: Scalar<'_>, format: CellFormat) -> Result<SecretString, ValueError> {
    let text = match value {
        Scalar::Null => "null".to_owned(),
        Scalar::Bool(true) => "true".to_owned(),
        Scalar::Bool(false) => "false".to_owned(),
        Scalar::Str("<<") if format == CellFormat::Yaml => return Err(ValueError::MergeIndicator),
        Scalar::Str(text) if format == CellFormat::Yaml && !reads_back(text) => return Err(ValueError::NotAsPrinted),
        Scalar::Str(text) | Scalar::Time(text) => text.to_owned(),
        Scalar::Int(int) if int.unsigned_abs() > MAX_EXACT_INT => return Err(ValueError::IntBeyond2Pow53),
        Scalar::Int(int) => int.to_string(),
        Scalar::Float(float) if !float.is_finite() => return Err(ValueError::NonFinite),
        Scalar::Float(float) => std::mem::take(&mut *number::to_js_string(float)),
        Scalar::List => return Err(ValueError::List),
        Scalar::Map => return Err(ValueError::Map),
    };
    Ok(text.into())
}

/// Whether a text of a YAML cell, a value or a key, is still itself after sops printed it and Clef read that.
///
/// Clef packs what it reads from the YAML that `sops decrypt` prints, and the two libraries disagree about three kinds of
/// text, as measured with sops 3.11 and npm `yaml` 2:
///
/// * what is a number to JavaScript and too large for Go, so that Go prints it without quotes: `0x` with more than 64
///   bits (an Ethereum key becomes `3.4e+76`), `1e400` (`Infinity`);
/// * a tab in front of several lines, for which sops prints `null`;
/// * U+2028 and U+2029, at which sops folds the line; U+0085 beside them forces quotes.
pub fn reads_back(text: &str) -> bool {
    let is_beyond = match (text.strip_prefix("0x"), text.strip_prefix("0o")) {
        (Some(digits), _) => digits.trim_start_matches('0').len() > 16,
        (_, Some(digits)) => {
            let digits = digits.trim_start_matches('0');
            digits.len() > 22 || digits.len() == 22 && !digits.starts_with('1')
        }
        _ => !text.contains(".i") && !text.contains(".I") && plain_number(text).is_some_and(f64::is_infinite),
    };
    let is_lost_number = is_beyond && plain_number(text).is_some();
    let is_lost_tab = text.starts_with('\t') && text.contains('\n');
    let is_folded = text.contains(['\u{2028}', '\u{2029}']) && !text.contains('\u{85}');
    !(is_lost_number || is_lost_tab || is_folded)
}

/// Whether Clef cannot pack a cell with this key: `__proto__` vanishes, the other names of `Object.prototype` collide,
/// and `<<` is a merge in YAML. Stricter than Clef, `<<` is refused in JSON cells, too.
pub fn is_reserved_key(key: &str) -> bool {
    RESERVED_KEYS.contains(&key)
}

/// `Object.getOwnPropertyNames(Object.prototype)` in Node 20, and the merge indicator.
const RESERVED_KEYS: [&str; 13] = [
    "<<",
    "__defineGetter__",
    "__defineSetter__",
    "__lookupGetter__",
    "__lookupSetter__",
    "__proto__",
    "constructor",
    "hasOwnProperty",
    "isPrototypeOf",
    "propertyIsEnumerable",
    "toLocaleString",
    "toString",
    "valueOf",
];

impl ValueError {
    /// A stable name for this kind of refusal.
    pub fn code(self) -> &'static str {
        match self {
            Self::Map => "value_map",
            Self::List => "value_list",
            Self::IntBeyond2Pow53 => "value_int_beyond_2_pow_53",
            Self::NonFinite => "value_non_finite",
            Self::MergeIndicator => "value_merge_indicator",
            Self::NotAsPrinted => "value_not_as_printed",
        }
    }
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Map => "a value is a map; keep each secret under its own top-level key",
            Self::List => "a value is a list; write it as one string",
            Self::IntBeyond2Pow53 => "an integer is beyond 2^53 and would be rounded; quote it",
            Self::NonFinite => "a number is infinite or not a number; quote it",
            Self::NotAsPrinted => "a text is one that sops prints and Clef then reads otherwise; use a JSON cell",
            Self::MergeIndicator => "a value is << in a YAML cell, which Clef cannot read; use another value",
        })
    }
}

impl std::error::Error for ValueError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn yaml(value: Scalar<'_>) -> Result<String, ValueError> {
        to_clef_string(value, CellFormat::Yaml).map(|text| text.expose().to_owned())
    }

    #[test]
    fn strings_and_dates_stay_as_they_are() {
        for text in ["", "007", "true", "null", "1e3", " x \t\r\n", "é😀\u{0}\u{7f}", "<<<", "<", "2026-01-02"] {
            assert_eq!(yaml(Scalar::Str(text)).unwrap(), text);
        }
        assert_eq!(yaml(Scalar::Time("2026-01-02T00:00:00Z")).unwrap(), "2026-01-02T00:00:00Z");
    }

    /// Each measured: `sops encrypt`, `sops decrypt`, npm `yaml`, `String()`.
    #[test]
    fn texts_that_clef_would_read_otherwise_are_refused_in_yaml() {
        let key = "0x4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318";
        let octal = format!("0o{}", "7".repeat(22));
        for text in [
            key,
            &octal,
            "0o2000000000000000000000",
            "12e4567",
            "1e400",
            "+5e999",
            "-.5e999",
            "\ta\nb",
            "a\u{2028}b",
            "\u{2029}",
        ] {
            assert_eq!(yaml(Scalar::Str(text)), Err(ValueError::NotAsPrinted), "{text:?}");
            assert!(!reads_back(text));
            assert_eq!(to_clef_string(Scalar::Str(text), CellFormat::Json).unwrap().expose(), text);
        }
        assert_eq!(yaml(Scalar::Str(&"9".repeat(310))), Err(ValueError::NotAsPrinted));
        for text in [
            "0xffffffffffffffff",
            "0x00000000000000000000000000000001",
            "0o1777777777777777777777",
            "0xzz4c0883a69102937d6231471b5dbb62",
            "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318",
            ".inf",
            "-.Inf",
            "1e308",
            "1e-400",
            "18446744073709551616",
            "\ta",
            "a\n\tb",
            "a\u{2028}b\u{2029}c\u{85}d",
        ] {
            assert_eq!(yaml(Scalar::Str(text)).unwrap(), text);
        }
    }

    #[test]
    fn null_booleans_and_numbers_are_javascripts() {
        assert_eq!(yaml(Scalar::Null).unwrap(), "null");
        assert_eq!(yaml(Scalar::Bool(true)).unwrap(), "true");
        assert_eq!(yaml(Scalar::Bool(false)).unwrap(), "false");
        for (int, text) in [(42, "42"), (-5, "-5"), (0, "0")] {
            assert_eq!(yaml(Scalar::Int(int)).unwrap(), text);
        }
        let floats =
            [(1.50, "1.5"), (0.5, "0.5"), (1.0, "1"), (-0.0, "0"), (1e3, "1000"), (1e21, "1e+21"), (0.0000001, "1e-7")];
        for (float, text) in floats {
            assert_eq!(yaml(Scalar::Float(float)).unwrap(), text);
        }
    }

    #[test]
    fn refuses_integers_that_a_double_would_round() {
        let limit = 1_i64 << 53;
        assert_eq!(yaml(Scalar::Int(limit)).unwrap(), "9007199254740992");
        assert_eq!(yaml(Scalar::Int(-limit)).unwrap(), "-9007199254740992");
        for int in [limit + 1, -limit - 1, i64::MAX, i64::MIN] {
            assert_eq!(yaml(Scalar::Int(int)), Err(ValueError::IntBeyond2Pow53), "{int}");
        }
    }

    #[test]
    fn refuses_numbers_that_are_not_finite() {
        for float in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            assert_eq!(yaml(Scalar::Float(float)), Err(ValueError::NonFinite));
        }
    }

    #[test]
    fn refuses_maps_and_lists() {
        assert_eq!(yaml(Scalar::Map), Err(ValueError::Map));
        assert_eq!(yaml(Scalar::List), Err(ValueError::List));
    }

    #[test]
    fn refuses_merge_indicator_in_yaml_cells_only() {
        assert_eq!(yaml(Scalar::Str("<<")), Err(ValueError::MergeIndicator));
        assert_eq!(to_clef_string(Scalar::Str("<<"), CellFormat::Json).unwrap().expose(), "<<");
    }

    #[test]
    fn reserved_keys_are_exact() {
        for key in RESERVED_KEYS {
            assert!(is_reserved_key(key));
        }
        for key in ["", "Constructor", "constructor ", "proto", "tostring", "<", "K"] {
            assert!(!is_reserved_key(key), "{key}");
        }
    }
}
