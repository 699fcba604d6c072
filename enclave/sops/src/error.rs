//! Why a SOPS file is not read.

use std::fmt;

use packproof_yaml::YamlError;

/// Why a file was refused.
///
/// Everything that depends on plaintext is the one variant [`SopsError::ContentRefused`], without any detail: which
/// value it was, or whether a tag, a type or the MAC failed, would answer questions about plaintext. All others can be
/// seen in the ciphertext by anyone. Paths are the file's keys joined with `.`, escaped and cut at 200 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SopsError {
    /// The file is not YAML as this project reads it.
    Yaml(YamlError),
    /// The file is not JSON (RFC 8259), or has a lone surrogate or a number beyond a double.
    JsonSyntax {
        /// Where.
        line: usize,
    },
    /// An object of a JSON file has the same key twice.
    DuplicateKey {
        /// Where the second one is.
        line: usize,
    },
    /// The file exceeds one of [`crate::Limits`] (JSON; YAML says so in [`SopsError::Yaml`]).
    LimitExceeded {
        /// The name of the limit.
        limit: &'static str,
    },
    /// The file is not a map.
    NotAMap,
    /// A key is not a string for Go's YAML: `1`, `true`, `null`, a date.
    KeyNotString {
        /// The map that holds the key.
        path: String,
    },
    /// A value in clear has a form that sops never writes or cannot read back: a tag, a date that is not RFC 3339, an
    /// integer beyond 64 bits with a sign, a top-level `<<` that is no map or brings a `sops` block.
    UnsupportedScalar {
        /// Where.
        path: String,
    },
    /// There is no `sops` block.
    NoMetadata,
    /// The `sops` block has a field with an unexpected value.
    MalformedMetadata {
        /// The field.
        field: String,
    },
    /// The `sops` block has a field that is not known here. It might change what the others mean.
    UnknownMetadata {
        /// The field.
        field: String,
    },
    /// The `sops` block has no `lastmodified`.
    MissingLastModified,
    /// The `sops` block has no `mac`.
    MissingMac,
    /// The file names more than one selector; sops refuses that too.
    SeveralSelectors,
    /// A selector's regular expression, or a text it is to match, might mean something else to Go than here.
    UnsupportedRegex {
        /// The selector's field name.
        selector: &'static str,
        /// What is wrong.
        reason: &'static str,
    },
    /// A comment that selects values stands where it is not certain which values sops takes it for: beside something on
    /// the same line, or indented otherwise than what follows.
    AmbiguousComment {
        /// Where.
        line: usize,
    },
    /// A comment that sops may take for a value: an empty one at a list, or an encrypted one of another type than `comment`.
    CommentAsValue {
        /// Where.
        line: usize,
    },
    /// No master key is listed.
    NoKeys,
    /// The data key is split over several key groups (Shamir's secret sharing).
    KeyGroups {
        /// How many.
        groups: usize,
        /// What each of the first few holds, by kind of key: `[0]: 2 age; [1]: 1 kms, 1 pgp`.
        holding: String,
        /// How many of them are needed (`shamir_threshold`); 0 when the file does not say.
        threshold: u16,
    },
    /// A value does not have the form `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]` with canonical base64, 32 bytes of
    /// nonce and 16 bytes of tag.
    MalformedCiphertext {
        /// Where.
        path: String,
    },
    /// An encrypted value is of a type that is not read: `bytes`, a comment outside a list, or an unknown one.
    UnsupportedType {
        /// Where.
        path: String,
    },
    /// A value is in clear where the selector says that it is encrypted.
    NotEncrypted {
        /// Where.
        path: String,
    },
    /// The `enc` of an age entry is not an armored age file.
    MalformedAgeEntry,
    /// The identity is none of those the age entry was encrypted to.
    NoMatchingIdentity,
    /// Decryption failed, the MAC does not fit, or a value is not of its type.
    ContentRefused,
}

impl SopsError {
    /// A stable name for this kind of refusal.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Yaml(error) => error.code(),
            Self::JsonSyntax { .. } => "json_syntax",
            Self::DuplicateKey { .. } => "json_duplicate_key",
            Self::LimitExceeded { .. } => "sops_limit_exceeded",
            Self::NotAMap => "sops_not_a_map",
            Self::KeyNotString { .. } => "sops_key_not_string",
            Self::UnsupportedScalar { .. } => "sops_unsupported_scalar",
            Self::NoMetadata => "sops_no_metadata",
            Self::MalformedMetadata { .. } => "sops_malformed_metadata",
            Self::UnknownMetadata { .. } => "sops_unknown_metadata",
            Self::MissingLastModified => "sops_missing_lastmodified",
            Self::MissingMac => "sops_missing_mac",
            Self::SeveralSelectors => "sops_several_selectors",
            Self::UnsupportedRegex { .. } => "sops_unsupported_regex",
            Self::AmbiguousComment { .. } => "sops_ambiguous_comment",
            Self::CommentAsValue { .. } => "sops_comment_as_value",
            Self::NoKeys => "sops_no_keys",
            Self::KeyGroups { .. } => "sops_key_groups",
            Self::MalformedCiphertext { .. } => "sops_malformed_ciphertext",
            Self::UnsupportedType { .. } => "sops_unsupported_type",
            Self::NotEncrypted { .. } => "sops_not_encrypted",
            Self::MalformedAgeEntry => "sops_malformed_age_entry",
            Self::NoMatchingIdentity => "sops_no_matching_identity",
            Self::ContentRefused => "content_refused",
        }
    }
}

impl fmt::Display for SopsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yaml(error) => error.fmt(f),
            Self::JsonSyntax { line } => write!(f, "not JSON at line {line}; correct the syntax there"),
            Self::DuplicateKey { line } => write!(f, "line {line} repeats a key of the same object; remove one"),
            Self::LimitExceeded { limit } => write!(f, "the file exceeds {limit}; split it"),
            Self::NotAMap => f.write_str("the file is not a map of keys to values; encrypt it again with sops"),
            Self::KeyNotString { path } => write!(f, "a key in \"{path}\" is not a string; put it in quotes"),
            Self::UnsupportedScalar { path } => {
                write!(f, "\"{path}\" is written in a way sops never writes; let sops write the file again")
            }
            Self::NoMetadata => f.write_str("the file has no sops block; encrypt it with sops"),
            Self::MalformedMetadata { field } => {
                write!(f, "\"{field}\" is not as sops writes it; let sops write the file again")
            }
            Self::UnknownMetadata { field } => {
                write!(f, "\"{field}\" is not known to this version; write the file with sops 3.8 to 3.13")
            }
            Self::MissingLastModified => f.write_str("the sops block has no lastmodified; encrypt the file again"),
            Self::MissingMac => f.write_str("the sops block has no mac; encrypt the file again"),
            Self::SeveralSelectors => f.write_str("the sops block has several selectors; keep one"),
            Self::UnsupportedRegex { selector, reason } => {
                write!(f, "{selector} is not supported, as {reason}; use a simpler pattern or a suffix")
            }
            Self::AmbiguousComment { line } => write!(
                f,
                "the comment at line {line} selects values by the file's comment regex, but which is not certain; put it \
                 on a line of its own right above a key, indented like it"
            ),
            Self::CommentAsValue { line } => {
                write!(f, "the comment at line {line} may be a value to sops; remove it or give it a text")
            }
            Self::NoKeys => f.write_str("the sops block lists no master key; add one with sops"),
            Self::KeyGroups { groups, holding, threshold } => write!(
                f,
                "the data key is split over {groups} key groups (sops.key_groups{holding}), of which shamir_threshold \
                 {threshold} are needed, which is not supported; use one group"
            ),
            Self::MalformedCiphertext { path } => {
                write!(f, "\"{path}\" is not a value as sops encrypts it; let sops write the file again")
            }
            Self::UnsupportedType { path } => {
                write!(f, "\"{path}\" is of an unsupported SOPS type; store it as a string")
            }
            Self::NotEncrypted { path } => {
                write!(f, "\"{path}\" is in clear but must be encrypted; encrypt the file again")
            }
            Self::MalformedAgeEntry => {
                f.write_str("an age entry holds no armored age file; run sops updatekeys on the file")
            }
            Self::NoMatchingIdentity => {
                f.write_str("the age key is not among the recipients; add it with sops updatekeys")
            }
            Self::ContentRefused => {
                f.write_str("the content was refused; check with sops that the file decrypts and follows the rules")
            }
        }
    }
}

impl std::error::Error for SopsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Yaml(error) => Some(error),
            _ => None,
        }
    }
}

impl From<YamlError> for SopsError {
    fn from(error: YamlError) -> Self {
        Self::Yaml(error)
    }
}

/// Longest path in an error, in characters.
const MAX_PATH_CHARS: usize = 200;

/// Renders a path for an error: fit for a log whatever the keys are.
pub(crate) fn show<S: AsRef<str>>(path: &[S]) -> String {
    let mut shown = String::new();
    let keys = path.iter().enumerate().flat_map(|(i, key)| {
        let dot = if i == 0 { "" } else { "." };
        dot.chars().chain(key.as_ref().chars())
    });
    for c in keys.take(MAX_PATH_CHARS) {
        shown.extend(c.escape_debug());
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_escaped_and_cut() {
        assert_eq!(show(&["a", "b\n\u{1b}[1m", "é"]), "a.b\\n\\u{1b}[1m.é");
        assert_eq!(show(&["x".repeat(1000)]).len(), MAX_PATH_CHARS);
        assert_eq!(show::<&str>(&[]), "");
    }
}
