//! The allow-list as a file, in the form of AWS's vsock-proxy.

use std::{fmt, net::IpAddr};

use packproof_yaml::{Limits, Node, Scalar, YamlError};

/// Longest list; AWS's own, of all regions, has 3,000 bytes.
pub const MAX_ALLOWLIST_BYTES: usize = 64 << 10;
/// Most entries; AWS's own has 50.
pub const MAX_ALLOWLIST_ENTRIES: usize = 512;
/// RFC 1035, section 2.3.4, as text without the root's dot.
const MAX_NAME_BYTES: usize = 253;
const MAX_LABEL_BYTES: usize = 63;

/// Reads hosts and ports from YAML: `allowlist: [{address: kms.eu-west-1.amazonaws.com, port: 443}]`.
///
/// An address is an exact DNS name in lower case. AWS's proxy also lets a host pass whose address is that of a listed
/// name, and takes IP addresses; here neither is possible, since TLS in the enclave is by name. Entries that stand twice
/// count once.
///
/// # Errors
/// [`AllowlistError`]: nothing of the file is passed over.
///
/// Source: `vsock_proxy/README.md` and `vsock_proxy/configs/vsock-proxy.yaml` of aws-nitro-enclaves-cli.
pub fn parse_allowlist(yaml: &[u8]) -> Result<Vec<(String, u16)>, AllowlistError> {
    // An entry is a map with two keys and two values.
    let limits =
        Limits { max_bytes: MAX_ALLOWLIST_BYTES, max_depth: 4, max_nodes: MAX_ALLOWLIST_ENTRIES.saturating_mul(8) };
    let root = packproof_yaml::parse(yaml, &limits).map_err(AllowlistError::Yaml)?;
    let [(key, list)] = root.as_map().ok_or(AllowlistError::NotAList)? else { return Err(AllowlistError::NotAList) };
    let entries = match (key.as_scalar(), list.as_list()) {
        (Some(Scalar { text, tag: None, .. }), Some(entries)) if text == "allowlist" => entries,
        _ => return Err(AllowlistError::NotAList),
    };
    if entries.is_empty() {
        return Err(AllowlistError::Empty);
    }
    if entries.len() > MAX_ALLOWLIST_ENTRIES {
        return Err(AllowlistError::TooMany);
    }
    let mut allow = Vec::with_capacity(entries.len());
    for (number, node) in (1..).zip(entries) {
        let pair = entry(number, node)?;
        if !allow.contains(&pair) {
            allow.push(pair);
        }
    }
    Ok(allow)
}

fn entry(number: usize, node: &Node) -> Result<(String, u16), AllowlistError> {
    let fields = node.as_map().ok_or(AllowlistError::NotAnEntry { number })?;
    let (mut address, mut port) = (None, None);
    for (key, value) in fields {
        let key = key.as_scalar().map(|key| key.text.as_str());
        match (key, value) {
            (Some("address"), Node::Scalar(Scalar { text, tag: None, .. })) => address = Some(name(number, text)?),
            // A quoted port is a string, as AWS's reader has it too.
            (Some("port"), Node::Scalar(Scalar { text, plain: true, tag: None })) => {
                port = Some(number_of(number, text)?)
            }
            (Some("address"), _) => return Err(AllowlistError::NotAName { number }),
            (Some("port"), _) => return Err(AllowlistError::NotAPort { number }),
            _ => return Err(AllowlistError::NotAnEntry { number }),
        }
    }
    address.zip(port).ok_or(AllowlistError::NotAnEntry { number })
}

/// A name that can be dialled in one spelling only.
fn name(number: usize, text: &str) -> Result<String, AllowlistError> {
    if text.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
        return Err(AllowlistError::IpAddress { number });
    }
    let label = |label: &str| {
        (1..=MAX_LABEL_BYTES).contains(&label.len())
            && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // The resolver takes 0x7f.1 and 127.1 for addresses; no name ends in a number (RFC 3696, section 2).
    let last_is_a_name =
        text.rsplit('.').next().is_some_and(|last| last.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase()));
    if text.len() > MAX_NAME_BYTES || !text.split('.').all(label) || !last_is_a_name {
        return Err(AllowlistError::NotAName { number });
    }
    Ok(text.to_owned())
}

fn number_of(number: usize, text: &str) -> Result<u16, AllowlistError> {
    match text.parse::<u16>() {
        // One spelling: no sign, no leading zero, which some readers take for octal.
        Ok(port) if port > 0 && port.to_string() == text => Ok(port),
        _ => Err(AllowlistError::NotAPort { number }),
    }
}

/// Why an allow-list is not read. Entries count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AllowlistError {
    /// The file is not YAML as it is read here.
    Yaml(YamlError),
    /// The file is not one map with the one key `allowlist` and a list.
    NotAList,
    /// The list is empty: nothing could ever be connected.
    Empty,
    /// There are more than [`MAX_ALLOWLIST_ENTRIES`] entries.
    TooMany,
    /// An entry is not a map of `address` and `port` and nothing else.
    NotAnEntry {
        /// Which.
        number: usize,
    },
    /// An address is not a DNS name in lower case: a wild card, a dot at the end, or another character.
    NotAName {
        /// Which.
        number: usize,
    },
    /// An address is an IP address.
    IpAddress {
        /// Which.
        number: usize,
    },
    /// A port is not a plain number from 1 to 65535.
    NotAPort {
        /// Which.
        number: usize,
    },
}

impl AllowlistError {
    /// Stable snake_case code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Yaml(error) => error.code(),
            Self::NotAList => "allowlist_not_a_list",
            Self::Empty => "allowlist_empty",
            Self::TooMany => "allowlist_too_many",
            Self::NotAnEntry { .. } => "allowlist_entry",
            Self::NotAName { .. } => "allowlist_name",
            Self::IpAddress { .. } => "allowlist_ip_address",
            Self::NotAPort { .. } => "allowlist_port",
        }
    }
}

impl fmt::Display for AllowlistError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yaml(error) => write!(f, "allow-list: {error}"),
            Self::NotAList => f.write_str("the allow-list is not one key, allowlist, with a list; write it so"),
            Self::Empty => f.write_str("the allow-list is empty; name at least one address and port"),
            Self::TooMany => {
                write!(f, "the allow-list has more than {MAX_ALLOWLIST_ENTRIES} entries; keep those that enclaves need")
            }
            Self::NotAnEntry { number } => {
                write!(f, "entry {number} of the allow-list is not {{address: NAME, port: NUMBER}}; correct it")
            }
            Self::NotAName { number } => write!(
                f,
                "the address of entry {number} of the allow-list is no exact DNS name in lower case; wild cards and \
                 trailing dots are not possible, so write each name out"
            ),
            Self::IpAddress { number } => write!(
                f,
                "the address of entry {number} of the allow-list is an IP address; give the name that TLS is for"
            ),
            Self::NotAPort { number } => {
                write!(f, "the port of entry {number} of the allow-list is no number from 1 to 65535; correct it")
            }
        }
    }
}

impl std::error::Error for AllowlistError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(yaml: &str) -> &'static str {
        parse_allowlist(yaml.as_bytes()).unwrap_err().code()
    }

    #[test]
    fn aws_form_is_read() {
        let yaml = "# of a Nitro host\nallowlist:\n- {address: kms.eu-west-1.amazonaws.com, port: 443}\n\
                    - {address: kms-fips.eu-west-1.amazonaws.com, port: 443}\n- address: \"localhost\"\n  port: 8443\n\
                    - {address: kms.eu-west-1.amazonaws.com, port: 443}\n";
        let expected =
            [("kms.eu-west-1.amazonaws.com", 443), ("kms-fips.eu-west-1.amazonaws.com", 443), ("localhost", 8443)];
        assert_eq!(parse_allowlist(yaml.as_bytes()).unwrap(), expected.map(|(name, port)| (name.to_owned(), port)));
    }

    #[test]
    fn each_refusal_has_its_name() {
        let one = |address: &str, port: &str| code(&format!("allowlist: [{{address: {address}, port: {port}}}]"));
        for no in ["", "[]", "allow: []", "allowlist: {}", "allowlist:", "allowlist: []\nmore: 1", "!x allowlist: []"] {
            let expected = if no.is_empty() { "yaml_empty" } else { "allowlist_not_a_list" };
            assert_eq!(code(no), expected, "{no}");
        }
        assert_eq!(code("allowlist: [\n"), "yaml_syntax");
        assert_eq!(code("allowlist: []"), "allowlist_empty");
        for no in ["a", "{address: a}", "{port: 1}", "{address: a, port: 1, x: 1}", "{}", "[]"] {
            assert_eq!(code(&format!("allowlist: [{no}]")), "allowlist_entry", "{no}");
        }
        let long = [vec!["a".repeat(63); 3].join("."), "b".repeat(62)].join(".");
        for no in [
            "'*.amazonaws.com'",
            "KMS.test",
            "kms.test.",
            ".kms",
            "a..b",
            "-a.b",
            "a-.b",
            "a_b",
            "a b",
            "''",
            "kms.ü",
            "127.1",
            "0x7f.1",
            "1",
            "!x kms",
            "[kms]",
            "kms:443",
            &"a".repeat(64),
            &long,
        ] {
            assert_eq!(one(no, "443"), "allowlist_name", "{no}");
        }
        assert!(parse_allowlist(format!("allowlist: [{{address: {}, port: 1}}]", &long[1..]).as_bytes()).is_ok());
        for no in ["127.0.0.1", "'::1'", "'[::1]'", "169.254.169.254"] {
            assert_eq!(one(no, "443"), "allowlist_ip_address", "{no}");
        }
        for no in ["0", "65536", "-1", "+1", "0443", "'443'", "443.0", "0x1bb", "", "https", "[443]", "!!int 443"] {
            assert_eq!(one("kms.test", no), "allowlist_port", "{no}");
        }
    }

    #[test]
    fn a_list_has_bounds() {
        let list = |count: usize| {
            let entries: String = (0..count).map(|n| format!("- {{address: n{n}.test, port: 1}}\n")).collect();
            parse_allowlist(format!("allowlist:\n{entries}").as_bytes())
        };
        assert_eq!(list(MAX_ALLOWLIST_ENTRIES).unwrap().len(), MAX_ALLOWLIST_ENTRIES);
        assert_eq!(list(MAX_ALLOWLIST_ENTRIES + 1), Err(AllowlistError::TooMany));
        assert_eq!(code(&"#".repeat(MAX_ALLOWLIST_BYTES + 1)), "yaml_too_large");
        assert_eq!(code("allowlist: [[[[[1]]]]]"), "yaml_too_deep");
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(1000))]
        #[test]
        fn what_is_read_is_exact(address in "[a-c.*0-1A:-]{0,6}", port in "[0-9+x]{0,6}", text in "\\PC{0,40}") {
            let _ = parse_allowlist(text.as_bytes());
            if let Ok(read) = parse_allowlist(format!("allowlist: [{{address: {address}, port: {port}}}]").as_bytes()) {
                assert_eq!(read, [(address, port.parse().unwrap())]);
            }
        }
    }
}
