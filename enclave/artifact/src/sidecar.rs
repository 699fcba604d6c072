//! The sidecar of a cell: which of its values are placeholders still.
//!
//! Clef can fill in 64 random digits as a value, and then names the key in a plaintext file beside the cell. Clef
//! packs such a value without a word; here the policy may refuse it.
//!
//! Clef reads a damaged sidecar as an empty one. That would let a slip in an editor switch the check off, so here a file
//! is either absent, which is the caller's to find out, or well formed. Unknown fields and `rotations` are not looked at.
//!
//! A sidecar is not encrypted and nothing vouches for it but the commit: a repository writer may take a key off the list.
//!
//! Source: Clef core 0.3.0, `packages/core/src/pending/metadata.ts`.

use std::fmt;

use packproof_yaml::Limits;

use crate::core_schema::{DocumentError, DocumentProblem, Yaml};

/// Longest sidecar, in bytes. Ours.
pub const MAX_SIDECAR_BYTES: usize = 256 << 10;

/// Why [`pending_keys`] refused a sidecar, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SidecarError {
    /// Path of the field, such as `pending[2].key`; `root` for the whole file. Printable.
    pub field: String,
    /// What is wrong with it.
    pub problem: SidecarProblem,
}

/// What is wrong with a field of a sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SidecarProblem {
    /// The file is not YAML that every reader understands alike.
    Document(DocumentProblem),
    /// Something else where a map belongs.
    NotAMap,
    /// `version` is not the number 1. Clef does not look.
    UnsupportedVersion,
    /// `pending` is there and no list. Clef would read it as empty.
    NotAList,
    /// `key`, `since` or `setBy` of an entry is absent or no text. Clef would skip the entry.
    NotText,
}

/// Where the sidecar of a cell is: `secrets/stripe/dev.enc.yaml` has `secrets/stripe/dev.clef-meta.yaml`.
///
/// `.enc.yaml` or `.enc.json` is taken off the end, when it is there; nothing else is.
pub fn sidecar_path(cell_path: &str) -> String {
    let stem = cell_path.strip_suffix(".enc.yaml").or_else(|| cell_path.strip_suffix(".enc.json"));
    format!("{}.clef-meta.yaml", stem.unwrap_or(cell_path))
}

/// The keys of a cell whose values are placeholders, by its sidecar's word: in the order of the file, each once. They may
/// be any text; nothing says that the cell has them.
///
/// # Errors
/// The file is not a sidecar as Clef writes it.
pub fn pending_keys(bytes: &[u8]) -> Result<Vec<String>, SidecarError> {
    // 8 levels: unknown fields may nest; the tree is walked recursively.
    let limits = Limits { max_bytes: MAX_SIDECAR_BYTES, max_depth: 8, max_nodes: 40_000 };
    let root = Yaml::read(bytes, &limits)?;
    let error = |field: &str, problem| Err(SidecarError { field: field.into(), problem });
    if !matches!(root, Yaml::Map(_)) {
        return error("root", SidecarProblem::NotAMap);
    }
    if root.get("version") != Some(&Yaml::Number(1.0)) {
        return error("version", SidecarProblem::UnsupportedVersion);
    }
    let entries = match root.get("pending") {
        None => return Ok(Vec::new()),
        Some(Yaml::List(entries)) => entries,
        Some(_) => return error("pending", SidecarProblem::NotAList),
    };
    let mut seen = std::collections::BTreeSet::new();
    let mut keys = Vec::new();
    for (i, entry) in entries.iter().enumerate() {
        if !matches!(entry, Yaml::Map(_)) {
            return error(&format!("pending[{i}]"), SidecarProblem::NotAMap);
        }
        for field in ["key", "since", "setBy"] {
            match entry.get(field) {
                Some(Yaml::Text(text)) if field == "key" => {
                    if seen.insert(text.as_str()) {
                        keys.push(text.clone());
                    }
                }
                Some(Yaml::Text(_)) => {}
                _ => return error(&format!("pending[{i}].{field}"), SidecarProblem::NotText),
            }
        }
    }
    Ok(keys)
}

impl SidecarError {
    /// A stable name for this kind of refusal.
    pub fn code(&self) -> &'static str {
        match self.problem {
            SidecarProblem::Document(problem) => problem.code(),
            SidecarProblem::NotAMap => "sidecar_not_a_map",
            SidecarProblem::UnsupportedVersion => "sidecar_unsupported_version",
            SidecarProblem::NotAList => "sidecar_not_a_list",
            SidecarProblem::NotText => "sidecar_not_text",
        }
    }
}

impl From<DocumentError> for SidecarError {
    fn from(DocumentError { path, problem }: DocumentError) -> Self {
        Self { field: path, problem: SidecarProblem::Document(problem) }
    }
}

impl fmt::Display for SidecarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sidecar field {}: ", self.field)?;
        match self.problem {
            SidecarProblem::Document(problem) => problem.fmt(f),
            SidecarProblem::NotAMap => f.write_str("must be a map"),
            SidecarProblem::UnsupportedVersion => f.write_str("must be the number 1; no other version is supported"),
            SidecarProblem::NotAList => f.write_str("must be a list; remove the field if nothing is pending"),
            SidecarProblem::NotText => f.write_str("required and must be text; quote it"),
        }
    }
}

impl std::error::Error for SidecarError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EXAMPLE: &str = "\
# Managed by Clef. Do not edit manually.
version: 1
pending:
  - key: DATABASE_URL
    since: 2026-04-10T14:22:01.000Z
    setBy: alice@example.com
  - key: API_KEY
    since: \"2026-04-11T14:22:01.000Z\"
    setBy: bob@example.com
rotations:
  - key: STRIPE_KEY
    last_rotated_at: 2026-03-15T09:11:02.000Z
    rotated_by: alice@example.com
    rotation_count: 4
";

    #[track_caller]
    fn refuses(from: &str, to: &str, field: &str, problem: SidecarProblem) {
        assert!(EXAMPLE.contains(from));
        let error = pending_keys(EXAMPLE.replacen(from, to, 1).as_bytes()).unwrap_err();
        assert!(error.to_string().contains(field) && !error.code().is_empty());
        assert_eq!(error, SidecarError { field: field.into(), problem });
    }

    #[test]
    fn a_sidecar_stands_beside_its_cell() {
        for (cell, sidecar) in [
            ("secrets/stripe/dev.enc.yaml", "secrets/stripe/dev.clef-meta.yaml"),
            ("dev/stripe.enc.json", "dev/stripe.clef-meta.yaml"),
            ("dev.enc.yaml", "dev.clef-meta.yaml"),
            ("a/.enc.yaml", "a/.clef-meta.yaml"),
            ("a.enc.yaml/dev", "a.enc.yaml/dev.clef-meta.yaml"),
            ("a/dev.enc.json.enc.yaml", "a/dev.enc.json.clef-meta.yaml"),
            ("a/dev.yaml", "a/dev.yaml.clef-meta.yaml"),
            ("a/dev.enc.YAML", "a/dev.enc.YAML.clef-meta.yaml"),
            ("a/devxenc.yaml", "a/devxenc.yaml.clef-meta.yaml"),
        ] {
            assert_eq!(sidecar_path(cell), sidecar);
        }
    }

    #[test]
    fn names_pending_keys_in_order_and_once() {
        assert_eq!(pending_keys(EXAMPLE.as_bytes()).unwrap(), ["DATABASE_URL", "API_KEY"]);
        let twice = EXAMPLE.replacen("API_KEY", "DATABASE_URL", 1);
        assert_eq!(pending_keys(twice.as_bytes()).unwrap(), ["DATABASE_URL"]);
        for none in ["version: 1", "version: 1\npending: []\nrotations: []\nmore: {a: [b]}", "{version: 1.0}"] {
            assert_eq!(pending_keys(none.as_bytes()).unwrap(), Vec::<String>::new(), "{none}");
        }
        let extra = EXAMPLE.replacen("    setBy: bob", "    note: [1, {x: y}]\n    setBy: bob", 1);
        assert_eq!(pending_keys(extra.as_bytes()).unwrap().len(), 2);
        let odd = EXAMPLE.replacen("rotations:\n  - key: STRIPE_KEY", "rotations:\n  - key: [5]", 1);
        assert_eq!(pending_keys(odd.as_bytes()).unwrap().len(), 2);
    }

    #[test]
    fn refuses_what_clef_would_read_as_nothing_pending() {
        use SidecarProblem::*;
        refuses("version: 1", "version: 2", "version", UnsupportedVersion);
        refuses("version: 1", "version: \"1\"", "version", UnsupportedVersion);
        refuses("version: 1\n", "", "version", UnsupportedVersion);
        refuses("pending:", "pending: {}\nx:", "pending", NotAList);
        refuses("pending:", "pending:\nx:", "pending", NotAList);
        refuses("pending:", "pending: none\nx:", "pending", NotAList);
        refuses("  - key: API_KEY", "  - API_KEY\n  - key: x", "pending[1]", NotAMap);
        refuses("key: API_KEY", "key: 5", "pending[1].key", NotText);
        refuses("key: API_KEY", "key:", "pending[1].key", NotText);
        refuses("key: API_KEY", "kye: API_KEY", "pending[1].key", NotText);
        refuses("setBy: alice@example.com", "setBy: 7", "pending[0].setBy", NotText);
        refuses("    since: 2026-04-10T14:22:01.000Z\n", "", "pending[0].since", NotText);
        refuses("version: 1", "version: !!int 1", "version", Document(DocumentProblem::Tag));
        refuses("version: 1", "version: 1\nversion: 1", "root", duplicate(3));
        refuses("version: 1", "version: 1\n<<: x", "<<", Document(DocumentProblem::MergeKey));
        for other in ["[]", "5", "version"] {
            assert_eq!(pending_keys(other.as_bytes()).unwrap_err().problem, NotAMap, "{other}");
        }
        assert_eq!(pending_keys(b"# nothing").unwrap_err().code(), "yaml_empty");
    }

    fn duplicate(line: usize) -> SidecarProblem {
        SidecarProblem::Document(DocumentProblem::Yaml(packproof_yaml::YamlError::DuplicateKey { line }))
    }

    #[test]
    fn size_limit_holds_at_the_limit_and_not_above() {
        let mut file = EXAMPLE.as_bytes().to_vec();
        file.resize(MAX_SIDECAR_BYTES, b'\n');
        assert_eq!(pending_keys(&file).unwrap().len(), 2);
        file.push(b'\n');
        assert_eq!(pending_keys(&file).unwrap_err().code(), "yaml_too_large");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn a_damaged_sidecar_does_not_panic(at in 0..400_usize, cut in 0..20_usize, put in "[\\PC{}:,\n -]{0,8}") {
            let mut bytes = EXAMPLE.as_bytes().to_vec();
            let (start, end) = (at.min(bytes.len()), (at + cut).min(bytes.len()));
            bytes.splice(start..end, put.bytes());
            let _any = pending_keys(&bytes);
        }
    }
}
