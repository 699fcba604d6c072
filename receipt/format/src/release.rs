//! `release.json`: what a release of the image is. An auditor takes it from a source that he trusts.

use serde::{Deserialize, Serialize};

/// A release: PCR1 and the sections it covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Always 1.
    pub schema: u32,
    /// A label, for people.
    pub name: String,
    /// Lower-case hex of 48 bytes; the same for every policy.
    pub pcr1: String,
    /// Kernel section.
    pub kernel: Section,
    /// Command line section.
    pub command_line: Section,
    /// Boot ramdisk section: `/init` alone.
    pub boot_ramdisk: Section,
}

/// One section of the image: a file beside `release.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// File name beside `release.json`, without any folder.
    pub file: String,
    /// Length in bytes.
    pub size: u64,
    /// SHA-384 of the file, lower-case hex.
    pub sha384: String,
}

/// Why a release could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReleaseError {
    /// Not JSON of this shape.
    Shape(String),
    /// Another schema.
    Schema(u32),
    /// PCR1 is not 96 lower-case hex digits, or all zero.
    Pcr1,
    /// A file name holds a folder.
    FileName(String),
}

impl ReleaseError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Shape(_) => "release_shape",
            Self::Schema(_) => "release_schema",
            Self::Pcr1 => "release_pcr1",
            Self::FileName(_) => "release_file_name",
        }
    }
}

impl std::fmt::Display for ReleaseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Shape(reason) => write!(f, "the release cannot be read: {reason}"),
            Self::Schema(found) => write!(f, "release schema {found} is not known; this version reads schema 1"),
            Self::Pcr1 => f.write_str("the release's pcr1 is not 96 lower-case hex digits of a real measurement"),
            Self::FileName(name) => write!(f, "the release names the file {name:?}; only files beside it are read"),
        }
    }
}

impl std::error::Error for ReleaseError {}

impl Release {
    /// Reads a release.
    ///
    /// # Errors
    /// [`ReleaseError`] when it is not exactly of schema 1.
    pub fn parse(bytes: &[u8]) -> Result<Self, ReleaseError> {
        let release: Self = serde_json::from_slice(bytes).map_err(|error| ReleaseError::Shape(error.to_string()))?;
        if release.schema != 1 {
            return Err(ReleaseError::Schema(release.schema));
        }
        if release.pcr1().is_none_or(|pcr1| pcr1 == [0; 48]) {
            return Err(ReleaseError::Pcr1);
        }
        for section in [&release.kernel, &release.command_line, &release.boot_ramdisk] {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'-' || b == b'_';
            if section.file.is_empty() || section.file.starts_with('.') || !section.file.bytes().all(plain) {
                return Err(ReleaseError::FileName(section.file.clone()));
            }
        }
        Ok(release)
    }

    /// PCR1 as bytes; `None` when it is not lower-case hex of 48 bytes.
    pub fn pcr1(&self) -> Option<[u8; 48]> {
        let bytes: [u8; 48] = hex::decode(&self.pcr1).ok()?.try_into().ok()?;
        (hex::encode(bytes) == self.pcr1).then_some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> String {
        let section = |file: &str| format!(r#"{{"file":"{file}","size":1,"sha384":"00"}}"#);
        format!(
            r#"{{"schema":1,"name":"x","pcr1":"{}","kernel":{},"command_line":{},"boot_ramdisk":{}}}"#,
            "ab".repeat(48),
            section("kernel"),
            section("cmdline"),
            section("boot.cpio")
        )
    }

    #[test]
    fn each_departure_has_its_name() {
        let code = |text: String| Release::parse(text.as_bytes()).unwrap_err().code();
        assert!(Release::parse(good().as_bytes()).is_ok());
        assert_eq!(code(good().replace("\"schema\":1", "\"schema\":2")), "release_schema");
        assert_eq!(code(good().replace("\"name\"", "\"nom\"")), "release_shape");
        assert_eq!(code(good().replace("abab", "ABAB")), "release_pcr1");
        assert_eq!(code(good().replace(&"ab".repeat(48), &"00".repeat(48))), "release_pcr1");
        assert_eq!(code(good().replace("boot.cpio", "../boot.cpio")), "release_file_name");
    }
}
