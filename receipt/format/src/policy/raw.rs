//! TOML to types: names, shapes and single values. Rules across entries are in `rules.rs`.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Deserialize;

use super::{
    Approvals, ArtifactSigner, CellKeys, KmsEndpoint, MasterKey, MissingCells, Pack, Pending, Policy, Source,
    SourceSigner, Target,
};
use crate::time::UnixMillis;

/// A policy is a page or two; a larger file is not one.
pub const MAX_POLICY_BYTES: usize = 256 * 1024;
const DEFAULT_MAX_REQUEST_BYTES: usize = 8 * 1024 * 1024;
/// Below this no pack fits, and the enclave could not even say so in a useful way.
const SMALLEST_REQUEST_LIMIT: usize = 64 * 1024;
const LARGEST_REQUEST_LIMIT: usize = 64 * 1024 * 1024;

/// Why a policy was refused. A policy is public, so messages quote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyError {
    /// Longer than [`MAX_POLICY_BYTES`].
    TooLong,
    /// Not UTF-8.
    NotText,
    /// Not TOML, or a key or value of the wrong name or type.
    Syntax(String),
    /// `schema` is not 1.
    Schema(i64),
    /// A single value is not of its form.
    Value {
        /// Where, as in `[[pack]] checkout/production: decrypt`.
        at: String,
        /// What is wrong and what is expected.
        reason: String,
    },
    /// Two entries of one name.
    Duplicate {
        /// What stands twice.
        what: String,
    },
    /// One key, recipient or signer serves two environments or two purposes.
    Shared {
        /// The ARN, recipient or public key.
        key: String,
        /// First use.
        first: String,
        /// Second use.
        second: String,
    },
    /// A `signers` entry names nobody.
    UnknownSigner {
        /// Where.
        at: String,
        /// The name.
        name: String,
    },
}

impl PolicyError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong => "policy_too_long",
            Self::NotText => "policy_not_text",
            Self::Syntax(_) => "policy_syntax",
            Self::Schema(_) => "policy_schema",
            Self::Value { .. } => "policy_value",
            Self::Duplicate { .. } => "policy_duplicate",
            Self::Shared { .. } => "policy_shared_key",
            Self::UnknownSigner { .. } => "policy_unknown_signer",
        }
    }
}

impl std::fmt::Display for PolicyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLong => write!(f, "the policy is longer than {MAX_POLICY_BYTES} bytes"),
            Self::NotText => f.write_str("the policy is not UTF-8 text"),
            Self::Syntax(reason) => write!(f, "the policy cannot be read: {reason}"),
            Self::Schema(found) => write!(f, "schema = {found} is not known; this version reads schema = 1"),
            Self::Value { at, reason } => write!(f, "{at}: {reason}"),
            Self::Duplicate { what } => write!(f, "{what} stands twice; keep one"),
            Self::Shared { key, first, second } => write!(
                f,
                "{key} serves both {first} and {second}; give each environment and each purpose a key of its own"
            ),
            Self::UnknownSigner { at, name } => {
                write!(f, "{at} names signer {name:?}, which no [[source.signer]] defines")
            }
        }
    }
}

impl std::error::Error for PolicyError {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPolicy {
    schema: i64,
    source: RawSource,
    kms: RawKms,
    pack: Vec<RawPack>,
    #[serde(default)]
    limits: RawLimits,
    #[serde(default)]
    record_key_policies: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSource {
    repository: String,
    object_format: String,
    manifest: String,
    signer: Vec<RawSourceSigner>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSourceSigner {
    name: String,
    principal: String,
    ssh: String,
    #[serde(default)]
    cert_authority: bool,
    valid_after: Option<String>,
    valid_before: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawApprovals {
    threshold: usize,
    from: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKms {
    endpoint: Option<String>,
    simulated: Option<RawSimulated>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSimulated {
    url: String,
    ca: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPack {
    identity: String,
    environment: String,
    namespaces: Vec<String>,
    decrypt: Option<Vec<RawMasterKey>>,
    unseal: Option<RawUnseal>,
    envelope: Option<String>,
    recipient: Option<String>,
    signer: RawArtifactSigner,
    signers: Vec<String>,
    approvals: Option<RawApprovals>,
    max_ttl_seconds: u64,
    max_commit_age_seconds: u64,
    missing_cells: Option<String>,
    pending: Option<String>,
    #[serde(default)]
    schemas: BTreeMap<String, String>,
    only_recipients: Option<bool>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawMasterKey {
    Arn(String),
    WithContext(RawKeyWithContext),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKeyWithContext {
    kms: String,
    context: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawUnseal {
    kms: String,
    recipient: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawArtifactSigner {
    kms: String,
    public_key: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLimits {
    max_request_bytes: Option<usize>,
}

pub(super) fn read(bytes: &[u8]) -> Result<Policy, PolicyError> {
    if bytes.len() > MAX_POLICY_BYTES {
        return Err(PolicyError::TooLong);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| PolicyError::NotText)?;
    let raw: RawPolicy = toml::from_str(text).map_err(|error| PolicyError::Syntax(with_suggestion(&error)))?;
    if raw.schema != 1 {
        return Err(PolicyError::Schema(raw.schema));
    }
    let limit = raw.limits.max_request_bytes.unwrap_or(DEFAULT_MAX_REQUEST_BYTES);
    if !(SMALLEST_REQUEST_LIMIT..=LARGEST_REQUEST_LIMIT).contains(&limit) {
        let reason = format!("must be {SMALLEST_REQUEST_LIMIT} to {LARGEST_REQUEST_LIMIT}");
        return Err(PolicyError::Value { at: "[limits] max_request_bytes".into(), reason });
    }
    Ok(Policy {
        source: source(raw.source)?,
        kms: kms(raw.kms)?,
        packs: raw.pack.into_iter().map(pack).collect::<Result<_, _>>()?,
        max_request_bytes: limit,
        record_key_policies: raw.record_key_policies,
    })
}

fn source(raw: RawSource) -> Result<Source, PolicyError> {
    let signers = raw.signer.into_iter().map(source_signer).collect::<Result<_, _>>()?;
    Ok(Source { repository: raw.repository, object_format: raw.object_format, manifest: raw.manifest, signers })
}

fn source_signer(raw: RawSourceSigner) -> Result<SourceSigner, PolicyError> {
    let instant = |key: &str, text: Option<String>| {
        let wrong = || PolicyError::Value {
            at: format!("[[source.signer]] {}: {key}", raw.name),
            reason: "must be an instant as \"2026-01-31T00:00:00Z\"".into(),
        };
        text.map(|text| instant(&text).ok_or_else(wrong)).transpose()
    };
    Ok(SourceSigner {
        valid_after: instant("valid_after", raw.valid_after)?,
        valid_before: instant("valid_before", raw.valid_before)?,
        cert_authority: raw.cert_authority,
        name: raw.name,
        principal: raw.principal,
        ssh: raw.ssh,
    })
}

/// RFC 3339 in whole seconds and UTC: one spelling.
fn instant(text: &str) -> Option<UnixMillis> {
    UnixMillis::parse_rfc3339_ms(&format!("{}.000Z", text.strip_suffix('Z')?))
}

fn kms(raw: RawKms) -> Result<KmsEndpoint, PolicyError> {
    let wrong = |reason: &str| PolicyError::Value { at: "[kms]".into(), reason: reason.into() };
    match (raw.endpoint.as_deref(), raw.simulated) {
        (Some("aws"), None) => Ok(KmsEndpoint::Aws),
        (Some("aws-fips"), None) => Ok(KmsEndpoint::AwsFips),
        (None, Some(simulated)) => {
            let (host, port) = https_authority(&simulated.url)
                .ok_or_else(|| wrong("simulated.url must be https://HOST:PORT and nothing more"))?;
            if !is_pem_certificate(&simulated.ca) {
                return Err(wrong("simulated.ca must hold one CA certificate as PEM"));
            }
            Ok(KmsEndpoint::Simulated { host, port, ca: simulated.ca })
        }
        _ => Err(wrong(r#"set either endpoint = "aws" or "aws-fips", or simulated = { url, ca }"#)),
    }
}

/// One PEM block whose base64 is a DER SEQUENCE (RFC 7468). The certificate itself is read by TLS.
fn is_pem_certificate(text: &str) -> bool {
    let body = text
        .trim()
        .strip_prefix("-----BEGIN CERTIFICATE-----")
        .and_then(|rest| rest.strip_suffix("-----END CERTIFICATE-----"));
    let base64: String = body.unwrap_or_default().split_ascii_whitespace().collect();
    BASE64_STANDARD.decode(base64).is_ok_and(|der| der.len() > 64 && der.first() == Some(&0x30))
}

fn https_authority(url: &str) -> Option<(String, u16)> {
    let (host, port) = url.strip_prefix("https://")?.split_once(':')?;
    let named = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-');
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let port: u16 = port.parse().ok()?;
    (named && digits && port != 0).then(|| (host.to_owned(), port))
}

fn pack(raw: RawPack) -> Result<Pack, PolicyError> {
    let at = format!("[[pack]] {}/{}", raw.identity, raw.environment);
    let wrong = |reason: &str| PolicyError::Value { at: at.clone(), reason: reason.into() };
    let cell_keys = match (raw.decrypt, raw.unseal) {
        (Some(keys), None) if !keys.is_empty() => CellKeys::Kms(keys.into_iter().map(master_key).collect()),
        (None, Some(unseal)) => CellKeys::Sealed { kms: unseal.kms, recipient: unseal.recipient },
        _ => return Err(wrong("set either decrypt = [\"arn:…\"] or unseal = { kms, recipient }")),
    };
    let target = match (raw.envelope, raw.recipient) {
        (Some(arn), None) => Target::Kms(arn),
        (None, Some(recipient)) => Target::Age(recipient),
        _ => return Err(wrong("set either envelope = \"arn:…\" or recipient = \"age1…\"")),
    };
    let missing_cells = match raw.missing_cells.as_deref() {
        None | Some("refuse") => MissingCells::Refuse,
        Some("skip") => MissingCells::Skip,
        Some(_) => return Err(wrong("missing_cells is \"refuse\" or \"skip\"")),
    };
    let pending = match raw.pending.as_deref() {
        None => None,
        Some("refuse") => Some(Pending::Refuse),
        Some("name") => Some(Pending::Name),
        Some(_) => return Err(wrong("pending is \"refuse\" or \"name\"")),
    };
    let approvals = raw.approvals.map(|raw| Approvals { threshold: raw.threshold, from: raw.from });
    Ok(Pack {
        identity: raw.identity,
        environment: raw.environment,
        namespaces: raw.namespaces,
        cell_keys,
        target,
        signer: ArtifactSigner { kms: raw.signer.kms, public_key: raw.signer.public_key },
        signers: raw.signers,
        approvals,
        max_ttl_seconds: raw.max_ttl_seconds,
        max_commit_age_seconds: raw.max_commit_age_seconds,
        missing_cells,
        pending,
        schemas: raw.schemas,
        only_recipients: raw.only_recipients.unwrap_or(false),
    })
}

fn master_key(raw: RawMasterKey) -> MasterKey {
    match raw {
        RawMasterKey::Arn(arn) => MasterKey { arn, context: BTreeMap::new() },
        RawMasterKey::WithContext(key) => MasterKey { arn: key.kms, context: key.context },
    }
}

/// Adds "did you mean" to serde's "unknown field `x`, expected one of `a`, `b`".
fn with_suggestion(error: &toml::de::Error) -> String {
    let message = error.to_string();
    let message = message.trim_end();
    let mut names = error.message().split('`').skip(1).step_by(2);
    let unknown = if error.message().starts_with("unknown field") { names.next() } else { None };
    match unknown.and_then(|unknown| names.min_by_key(|name| edit_distance(unknown, name))) {
        Some(nearest) => format!("{message}\ndid you mean `{nearest}`?"),
        None => message.to_owned(),
    }
}

fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i.saturating_add(1);
        let mut next = vec![left];
        for (y, above) in b.chars().zip(row.iter().skip(1)) {
            let substituted = diagonal.saturating_add(usize::from(x != y));
            left = substituted.min(above.saturating_add(1)).min(left.saturating_add(1));
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
