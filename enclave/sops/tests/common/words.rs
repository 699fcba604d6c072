//! What the generated files are made of.

pub(crate) const STRINGS: &[&str] = &[
    "text",
    "two words",
    "yes",
    "off",
    "1e400",
    "2026-13-01",
    "1234-5678",
    "1:30",
    "1.2.3",
    "<<",
    "=",
    ".",
    "a:b",
    "C:\\path",
    "x#y",
    "0x",
    "+-1",
];
pub(crate) const INTEGERS: &[&str] =
    &["42", "-7", "007", "0x1f", "0o17", "1_000", "0b101", "-0b11", "+5", "1__0", "0b-1", "0"];
pub(crate) const HUGE: &[&str] = &[
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "123456789012345678901234567890",
    "-9223372036854775809",
];
/// sops refuses to encrypt these.
pub(crate) const TOO_HUGE: &[&str] = &["9223372036854775808", "18446744073709551615"];
pub(crate) const FLOATS: &[&str] = &[
    "1.5",
    ".5",
    "1.",
    "1e3",
    "1e21",
    "1e-7",
    "5e-324",
    "0.1",
    "-0.0",
    "123456789.123456789",
    "-.5",
    "08",
    "1.7976931348623157e308",
    "0.30000000000000004",
    "1e22",
];
pub(crate) const TIMES: &[&str] =
    &["2026-01-02", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.123456789+02:00", "2026-1-2", "2026-01-02 03:04:05"];
pub(crate) const UNICODE: &[&str] =
    &["é 😀", "\"\\u2028x\"", "\"x\\u0085y\"", "日本語", "\"\\U0001F600\"", "\"\\ufeff\"", "\"\\u0000\"", "\"é\\nü\""];
/// Tags that Go resolves when sops encrypts the file.
pub(crate) const TAGGED: &[&str] = &[
    "!!str 5",
    "!!int \"7\"",
    "!!float 1",
    "!!bool \"true\"",
    "!!null \"\"",
    "!!timestamp 2026-01-02",
    "!!binary aGVsbG8=",
    "!x y",
];
/// Bytes that are not UTF-8.
pub(crate) const NOT_UTF8: &[&str] = &["!!binary /w==", "!!binary wyg=", "!!binary aGn+aGk="];
pub(crate) const MULTI_LINE: &[&str] = &[
    "\"\\n\"",
    "\"a\\nb\"",
    "\"a\\n\\nb\\n\"",
    "\"\\n\\n\"",
    "\" a\\n b\\n\"",
    "\"a\\r\\nb\"",
    "\"a\\n  b\\n c\"",
    "\"\\ta\\n\"",
    "\"a\\n#b\"",
    "\"a\\n---\\nb\"",
    "\"-----BEGIN X-----\\nYWJj\\n-----END X-----\\n\"",
    "\"a \\nb\"",
];
pub(crate) const QUOTED: &[&str] = &[
    " ",
    "  lead",
    "trail  ",
    "a\\tb",
    "\\u007f",
    "\\ud7ff",
    "# no comment",
    "- a",
    "? a",
    "[a]",
    "{a: b}",
    "&a",
    "*a",
    "!a",
    "%a",
    "@a",
    "`a",
    "|",
    ">",
    "---",
    "...",
    "true",
    "007",
    "1e3",
    "2026-01-02",
    "null",
    "~",
    "<<",
    "'",
    "''",
    "\\\"",
    "\\\\",
    ":",
    "a: b",
    "a :b",
    "ENC[x]",
];
/// A third of them match one of [`COMMENT_PATTERNS`].
pub(crate) const COMMENTS: &[&str] =
    &[" a comment", " open", "open", "", " é: #x", " Open  ", "- item", " k: v", "ENC[x]"];

pub(crate) const KEY_PATTERNS: &[&str] = &[
    "^k[0-3]$",
    "_enc$",
    "secret|token",
    "(?i)SECRET",
    "^(k1|k2|token)",
    "[a-m]",
    "k\\d_\\w+",
    "^.{4,}$",
    "(k1){1}",
    "[^k0-9]",
    "\\.",
    "^$",
    "é",
    "[[:digit:]]$",
    "^k0*$",
    "(?:_)(?i:ENC)$",
];
pub(crate) const COMMENT_PATTERNS: &[&str] =
    &["open", "^ ?open$", "(?i)OPEN\\s*$", "open|é", "^$", "^ENC", "[Oo]pen  "];
/// Go reads some of these, finds others malformed.
pub(crate) const ODD_PATTERNS: &[&str] =
    &["\\pL", "k\\x31", "\\Qk1\\E", "(?P<n>k1)", "k1{", "(", "k**", "[]k]", "(?i)É", "\\<"];
