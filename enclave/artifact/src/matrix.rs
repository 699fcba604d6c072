//! The matrix: which file is the cell of a namespace and an environment.
//!
//! Clef joins the expanded pattern to the repository root and opens what is there, wherever that is. Here a path must
//! stay inside the repository's tree and belong to one cell only: otherwise a repository writer could have one cell's
//! values packed as another's.

use std::collections::BTreeSet;
use std::fmt;

use crate::manifest::Manifest;

/// Most cells of a matrix, all namespaces times all environments. Ours: with [`MAX_PATH_BYTES`] it bounds the memory.
pub const MAX_CELLS: usize = 4096;

/// Longest path of a cell, in bytes.
pub const MAX_PATH_BYTES: usize = 1024;

/// A cell and its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellPath {
    /// Its namespace.
    pub namespace: String,
    /// Its environment.
    pub environment: String,
    /// Path as git has it: relative to the repository's root, `/` between components, none of them empty, `.` or `..`.
    pub path: String,
    /// How the file is read.
    pub format: CellFormat,
}

/// How SOPS reads and writes a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellFormat {
    /// Everything that does not end in `.json`.
    Yaml,
    /// The path ends in `.json`.
    Json,
}

/// Why there are no cells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MatrixError {
    /// The manifest has no such identity.
    UnknownIdentity,
    /// The identity has nothing for this environment.
    UnknownEnvironment,
    /// More than [`MAX_CELLS`] cells.
    TooManyCells,
    /// A path is longer than [`MAX_PATH_BYTES`].
    PathTooLong,
    /// The pattern is absolute, or has an empty component or one that is `..`. Clef would follow it.
    PathNotInside,
    /// The pattern has a backslash or a control character, which a path means differently on different systems.
    PathCharacter,
    /// Two cells have one file.
    SharedPath {
        /// The path, printable.
        path: String,
    },
}

/// The cells that a pack of `identity` for `environment` reads, in the manifest's order of namespaces.
///
/// The whole matrix is checked, not only these cells.
///
/// # Errors
/// The identity or its environment is unknown, or anything of [`all_paths`].
pub fn cells(manifest: &Manifest, identity: &str, environment: &str) -> Result<Vec<CellPath>, MatrixError> {
    let identity = manifest.identity(identity).ok_or(MatrixError::UnknownIdentity)?;
    identity.target(environment).ok_or(MatrixError::UnknownEnvironment)?;
    let mut cells = all_paths(manifest)?;
    cells.retain(|cell| cell.environment == environment && identity.namespaces.contains(&cell.namespace));
    Ok(cells)
}

/// Every cell of the matrix, namespaces outside, environments inside, all paths distinct.
///
/// # Errors
/// A path that leaves the repository, is too long, or belongs to two cells.
pub fn all_paths(manifest: &Manifest) -> Result<Vec<CellPath>, MatrixError> {
    let count = manifest.namespaces.len().saturating_mul(manifest.environments.len());
    if count > MAX_CELLS {
        return Err(MatrixError::TooManyCells);
    }
    let mut cells = Vec::with_capacity(count);
    let mut owners = BTreeSet::new();
    for namespace in &manifest.namespaces {
        for environment in &manifest.environments {
            let path = expand(&manifest.file_pattern, &namespace.name, &environment.name)?;
            if !owners.insert(path.clone()) {
                return Err(MatrixError::SharedPath { path: crate::preview(&path) });
            }
            let format = if path.ends_with(".json") { CellFormat::Json } else { CellFormat::Yaml };
            cells.push(CellPath {
                namespace: namespace.name.clone(),
                environment: environment.name.clone(),
                path,
                format,
            });
        }
    }
    Ok(cells)
}

/// Clef replaces the first of each placeholder and leaves further ones as they are. `.` components are dropped, as
/// joining paths does.
fn expand(pattern: &str, namespace: &str, environment: &str) -> Result<String, MatrixError> {
    let length = pattern.len().saturating_add(namespace.len()).saturating_add(environment.len());
    if length > MAX_PATH_BYTES {
        return Err(MatrixError::PathTooLong);
    }
    if pattern.contains(|c: char| c == '\\' || c.is_control()) {
        return Err(MatrixError::PathCharacter);
    }
    let path = pattern.replacen("{namespace}", namespace, 1).replacen("{environment}", environment, 1);
    if path.split('/').any(|component| component.is_empty() || component == "..") {
        return Err(MatrixError::PathNotInside);
    }
    let components: Vec<&str> = path.split('/').filter(|component| *component != ".").collect();
    Ok(components.join("/"))
}

impl MatrixError {
    /// A stable name for this kind of refusal.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownIdentity => "matrix_unknown_identity",
            Self::UnknownEnvironment => "matrix_unknown_environment",
            Self::TooManyCells => "matrix_too_many_cells",
            Self::PathTooLong => "matrix_path_too_long",
            Self::PathNotInside => "matrix_path_not_inside",
            Self::PathCharacter => "matrix_path_character",
            Self::SharedPath { .. } => "matrix_shared_path",
        }
    }
}

impl fmt::Display for MatrixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownIdentity => f.write_str("the manifest has no such service identity; check the name"),
            Self::UnknownEnvironment => {
                f.write_str("the service identity has no such environment; add it to the manifest or check the name")
            }
            Self::TooManyCells => {
                write!(f, "namespaces times environments is more than {MAX_CELLS}; split the repository")
            }
            Self::PathTooLong => write!(f, "file_pattern makes a path of more than {MAX_PATH_BYTES} bytes; shorten it"),
            Self::PathNotInside => f.write_str(
                "file_pattern is absolute, or has an empty or .. component; make it a plain path inside the repository",
            ),
            Self::PathCharacter => {
                f.write_str("file_pattern has a backslash or a control character; use / between components")
            }
            Self::SharedPath { path } => {
                write!(f, "two cells of the matrix have the file {path}; separate the placeholders in file_pattern")
            }
        }
    }
}

impl std::error::Error for MatrixError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Backend, Environment, Identity, Namespace, SopsConfig, Target};

    fn manifest(pattern: &str, namespaces: &[&str], environments: &[&str]) -> Manifest {
        let target = Target::Age { recipient: "age1qqqqqq".into() };
        Manifest {
            environments: environments
                .iter()
                .map(|name| Environment {
                    name: (*name).into(),
                    description: "d".into(),
                    protected: false,
                    sops: None,
                    recipients: Vec::new(),
                })
                .collect(),
            namespaces: namespaces
                .iter()
                .map(|name| Namespace { name: (*name).into(), description: "d".into(), schema: None })
                .collect(),
            sops: SopsConfig {
                backend: Backend::Age,
                aws_kms_arn: None,
                gcp_kms_resource_id: None,
                azure_kv_url: None,
                pgp_fingerprint: None,
                pkcs11_uri: None,
            },
            recipients: Vec::new(),
            file_pattern: pattern.into(),
            identities: vec![Identity {
                name: "checkout".into(),
                description: String::new(),
                namespaces: vec!["stripe".into(), "flags".into()],
                environments: vec![("dev".into(), target)],
                pack_only: false,
            }],
        }
    }

    fn paths(pattern: &str) -> Result<Vec<String>, MatrixError> {
        let all = all_paths(&manifest(pattern, &["flags", "db", "stripe"], &["dev", "prod"]))?;
        Ok(all.into_iter().map(|cell| cell.path).collect())
    }

    #[test]
    fn cells_follow_the_manifests_order_not_the_identitys() {
        let manifest =
            manifest("secrets/{namespace}/{environment}.enc.yaml", &["flags", "db", "stripe"], &["prod", "dev"]);
        let cells = cells(&manifest, "checkout", "dev").unwrap();
        let paths: Vec<&str> = cells.iter().map(|cell| cell.path.as_str()).collect();
        assert_eq!(paths, ["secrets/flags/dev.enc.yaml", "secrets/stripe/dev.enc.yaml"]);
        assert!(cells.iter().all(|cell| cell.format == CellFormat::Yaml));
    }

    #[test]
    fn matrix_has_namespaces_outside() {
        assert_eq!(
            paths("{environment}/{namespace}.json").unwrap(),
            ["dev/flags.json", "prod/flags.json", "dev/db.json", "prod/db.json", "dev/stripe.json", "prod/stripe.json"]
        );
    }

    #[test]
    fn format_is_by_suffix_only() {
        let format = |pattern| all_paths(&manifest(pattern, &["a"], &["b"])).unwrap()[0].format;
        assert_eq!(format("{namespace}-{environment}.json"), CellFormat::Json);
        assert_eq!(format("{namespace}-{environment}.JSON"), CellFormat::Yaml);
        assert_eq!(format("{namespace}.json/{environment}"), CellFormat::Yaml);
    }

    #[test]
    fn only_the_first_placeholder_is_replaced() {
        let all = all_paths(&manifest("{namespace}/{namespace}/{environment}{environment}", &["a"], &["b"])).unwrap();
        assert_eq!(all[0].path, "a/{namespace}/b{environment}");
    }

    #[test]
    fn dot_components_are_dropped() {
        let all = all_paths(&manifest("./x/./{namespace}/{environment}", &["a"], &["b"])).unwrap();
        assert_eq!(all[0].path, "x/a/b");
    }

    #[test]
    fn refuses_paths_that_leave_the_repository() {
        for pattern in [
            "../{namespace}/{environment}",
            "a/../{namespace}/{environment}",
            "{namespace}/{environment}/..",
            "/{namespace}/{environment}",
            "a//{namespace}/{environment}",
            "{namespace}/{environment}/",
        ] {
            assert_eq!(paths(pattern), Err(MatrixError::PathNotInside), "{pattern}");
        }
        for pattern in ["a\\{namespace}/{environment}", "{namespace}/{environment}\0", "{namespace}\n{environment}"] {
            assert_eq!(paths(pattern), Err(MatrixError::PathCharacter), "{pattern:?}");
        }
    }

    #[test]
    fn refuses_one_file_for_two_cells() {
        let colliding = manifest("{namespace}{environment}", &["a", "ab"], &["bc", "c"]);
        assert_eq!(all_paths(&colliding), Err(MatrixError::SharedPath { path: "abc".into() }));
        // Also when the pack itself touches only one of them.
        let mut narrow = colliding;
        narrow.identities[0].namespaces = vec!["a".into()];
        narrow.identities[0].environments[0].0 = "c".into();
        assert_eq!(cells(&narrow, "checkout", "c"), Err(MatrixError::SharedPath { path: "abc".into() }));
    }

    #[test]
    fn refuses_unknown_identity_and_environment() {
        let manifest = manifest("{namespace}/{environment}", &["stripe", "flags"], &["dev", "prod"]);
        assert_eq!(cells(&manifest, "checkou", "dev"), Err(MatrixError::UnknownIdentity));
        assert_eq!(cells(&manifest, "checkout", "prod"), Err(MatrixError::UnknownEnvironment));
    }

    #[test]
    fn size_limits_hold_at_the_limit_and_not_above() {
        let names: Vec<String> = (0..=MAX_CELLS).map(|i| format!("n{i}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(
            all_paths(&manifest("{namespace}/{environment}", &names[..MAX_CELLS], &["e"])).unwrap().len(),
            MAX_CELLS
        );
        assert_eq!(all_paths(&manifest("{namespace}/{environment}", &names, &["e"])), Err(MatrixError::TooManyCells));

        let pattern = "{namespace}/{environment}";
        let longest = "n".repeat(MAX_PATH_BYTES - pattern.len() - 1);
        assert!(all_paths(&manifest(pattern, &[&longest], &["e"])).is_ok());
        let longer = format!("{longest}n");
        assert_eq!(all_paths(&manifest(pattern, &[&longer], &["e"])), Err(MatrixError::PathTooLong));
    }
}
