//! The `sops` block.

use crate::keys::{KeyEntry, group, holding, key_entries};
use crate::pattern::Pattern;
use crate::sealed::{Kind, Sealed};
use crate::tree::{Leaf, Tree};
use crate::{Limits, SopsError, scalar};

/// Which values are encrypted.
#[derive(Debug)]
pub(crate) struct Selector {
    /// The field that states it.
    name: &'static str,
    rule: Rule,
    /// Whether what the rule selects is encrypted, or the rest.
    encrypts_selected: bool,
}

#[derive(Debug)]
enum Rule {
    /// The end of a key on the path.
    Suffix(String),
    /// A match within a key on the path.
    Regex(Pattern),
    /// A match within a comment before a value, a map or a list, or before one that holds it. JSON has no comments.
    Comment(Pattern),
}

impl Selector {
    fn new(name: &'static str, text: String) -> Result<Self, SopsError> {
        let pattern =
            |text: &str| Pattern::new(text).map_err(|reason| SopsError::UnsupportedRegex { selector: name, reason });
        let (encrypts_selected, form) = match name.strip_prefix("un") {
            Some(form) => (false, form),
            None => (true, name),
        };
        let rule = match form {
            "encrypted_regex" => Rule::Regex(pattern(&text)?),
            "encrypted_comment_regex" => Rule::Comment(pattern(&text)?),
            _ => Rule::Suffix(text),
        };
        Ok(Self { name, rule, encrypts_selected })
    }

    /// Whether a value is encrypted, when it has been `selected` by a key or comment above it, or not.
    pub(crate) fn encrypts(&self, selected: bool) -> bool {
        selected == self.encrypts_selected
    }

    pub(crate) fn needs_comments(&self) -> bool {
        matches!(self.rule, Rule::Comment(_))
    }

    pub(crate) fn selects_key(&self, key: &str) -> Result<bool, SopsError> {
        match &self.rule {
            Rule::Suffix(suffix) => Ok(key.ends_with(suffix)),
            Rule::Regex(pattern) => self.matches(pattern, key),
            Rule::Comment(_) => Ok(false),
        }
    }

    pub(crate) fn selects_comment(&self, comment: &str) -> Result<bool, SopsError> {
        match &self.rule {
            Rule::Comment(pattern) => self.matches(pattern, comment),
            Rule::Suffix(_) | Rule::Regex(_) => Ok(false),
        }
    }

    fn matches(&self, pattern: &Pattern, text: &str) -> Result<bool, SopsError> {
        pattern.matches(text).map_err(|reason| SopsError::UnsupportedRegex { selector: self.name, reason })
    }
}

pub(crate) struct Metadata {
    pub(crate) entries: Vec<KeyEntry>,
    pub(crate) selector: Selector,
    pub(crate) mac_only_encrypted: bool,
    /// RFC 3339 without a fraction: the additional data of `mac`.
    pub(crate) last_modified: String,
    pub(crate) mac: Sealed,
}

/// SOPS's selector when the file names none.
const DEFAULT_UNENCRYPTED_SUFFIX: &str = "_unencrypted";
/// The MAC in clear is a SHA-512 in hex.
pub(crate) const MAC_LEN: usize = 128;
impl Metadata {
    pub(crate) fn parse(block: Tree, limits: &Limits) -> Result<Self, SopsError> {
        let Tree::Map(block) = block else { return Err(malformed("sops")) };
        let mut entries = Vec::new();
        let mut groups = Vec::new();
        let mut selectors = Vec::new();
        let mut mac_only_encrypted = false;
        let mut threshold = 0;
        let (mut last_modified, mut mac, mut version) = (None, None, String::new());
        for (name, value) in block {
            let field = format!("sops.{name}");
            match name.as_str() {
                "key_groups" => groups = list(value, &field)?,
                "lastmodified" => last_modified = Some(text(value, &field)?).filter(|text| !text.is_empty()),
                "mac" => mac = Some(text(value, &field)?).filter(|text| !text.is_empty()),
                "mac_only_encrypted" => {
                    let Tree::Leaf(Leaf::Bool(value)) = value else { return Err(malformed(&field)) };
                    mac_only_encrypted = value;
                }
                // Counts only with several groups.
                "shamir_threshold" => {
                    threshold = whole(value).ok_or_else(|| malformed(&field))?;
                }
                "version" => version = text(value, &field)?,
                _ => {
                    if let Some(selector) = SELECTORS.into_iter().find(|selector| *selector == name) {
                        let pattern = text(value, &field)?;
                        if pattern.len() > limits.max_selector_bytes {
                            return Err(SopsError::LimitExceeded { limit: "max_selector_bytes" });
                        }
                        if !pattern.is_empty() {
                            selectors.push((selector, pattern));
                        }
                    } else {
                        entries.extend(key_entries(&name, value, "sops")?);
                    }
                }
            }
        }

        if !is_version(&version) {
            return Err(malformed("sops.version"));
        }
        // As sops: groups count only when no key stands outside them. Both at once is refused here.
        let groups = groups.into_iter().map(group).collect::<Result<Vec<_>, _>>()?;
        match groups.len() {
            0 => {}
            1 if entries.is_empty() => entries = groups.into_iter().flatten().collect(),
            1 => return Err(malformed("sops.key_groups")),
            count => return Err(SopsError::KeyGroups { groups: count, holding: holding(&groups), threshold }),
        }
        if entries.is_empty() {
            return Err(SopsError::NoKeys);
        }
        if entries.len() > limits.max_key_entries {
            return Err(SopsError::LimitExceeded { limit: "max_key_entries" });
        }

        let last_modified = last_modified.ok_or(SopsError::MissingLastModified)?;
        if !scalar::is_rfc3339(&last_modified) {
            return Err(malformed("sops.lastmodified"));
        }
        let mac = Sealed::parse(&mac.ok_or(SopsError::MissingMac)?).map_err(|_| malformed("sops.mac"))?;
        if mac.kind != Kind::Str || mac.ciphertext.len() != MAC_LEN {
            return Err(malformed("sops.mac"));
        }
        Ok(Self { entries, selector: selector(selectors)?, mac_only_encrypted, last_modified, mac })
    }
}

const SELECTORS: [&str; 6] = [
    "unencrypted_suffix",
    "encrypted_suffix",
    "unencrypted_regex",
    "encrypted_regex",
    "unencrypted_comment_regex",
    "encrypted_comment_regex",
];

fn selector(mut named: Vec<(&'static str, String)>) -> Result<Selector, SopsError> {
    let first = named.pop();
    if !named.is_empty() {
        return Err(SopsError::SeveralSelectors);
    }
    match first {
        None => Selector::new("unencrypted_suffix", DEFAULT_UNENCRYPTED_SUFFIX.into()),
        Some((name, text)) => Selector::new(name, text),
    }
}

/// Semantic Versioning's `1.2.3`, perhaps with `-pre` or `+build`. sops wants one too, but what it says changes nothing.
fn is_version(version: &str) -> bool {
    let (core, rest) = version.split_at_checked(version.find(['-', '+']).unwrap_or(version.len())).unwrap_or_default();
    let number = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()) && (part == "0" || !part.starts_with('0'))
    };
    core.split('.').count() == 3
        && core.split('.').all(number)
        && rest.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.'))
}

pub(crate) fn malformed(field: &str) -> SopsError {
    SopsError::MalformedMetadata { field: crate::error::show(&[field]) }
}

fn text(value: Tree, field: &str) -> Result<String, SopsError> {
    match value {
        // Older versions wrote times without quotes.
        Tree::Leaf(Leaf::Str(text) | Leaf::Time(text)) => Ok(text),
        _ => Err(malformed(field)),
    }
}

/// A small count, which is a float in JSON.
fn whole(value: Tree) -> Option<u16> {
    match value {
        Tree::Leaf(Leaf::Int(value)) => u16::try_from(value).ok(),
        Tree::Leaf(Leaf::Float(value)) => value.to_string().parse().ok(),
        _ => None,
    }
}

/// sops up to 3.9 writes absent lists as `[]` (YAML) or `null` (JSON).
pub(crate) fn list(value: Tree, field: &str) -> Result<Vec<Tree>, SopsError> {
    match value {
        Tree::List(items) => Ok(items),
        Tree::Leaf(Leaf::Null) => Ok(Vec::new()),
        _ => Err(malformed(field)),
    }
}
