//! The condition keys of one call.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::principal::IamArn;

/// The condition keys of one call, by lower-case name (IAM's condition keys have no case).
///
/// | key | value |
/// | --- | --- |
/// | `aws:PrincipalArn`, `aws:PrincipalAccount`, `kms:CallerAccount` | the caller |
/// | `aws:SecureTransport` | `true`: there is only TLS |
/// | `kms:EncryptionContext:NAME` | the value of that encryption context key |
/// | `kms:EncryptionContextKeys` | all names; absent when there is no encryption context |
/// | `kms:RecipientAttestation:ImageSha384`, `…:PCR0` to `…:PCR31` | lower-case hex; absent without a verified document |
/// | `kms:RecipientAttestation:NitroTPMPCR0` to `…23` | always absent: documents of enclaves only |
#[derive(Debug, Clone, Default)]
pub struct Context {
    single: BTreeMap<String, String>,
    encryption_context_keys: Vec<String>,
}

/// Two encryption context keys differ only in case. AWS leaves open which of them
/// `kms:EncryptionContext:NAME` then means, so such a call is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContextKeysCollide;

/// How many PCRs a document can hold, and one past the highest index (NSM API: 0 to 31).
const PCR_COUNT: u8 = 32;
/// The same for NitroTPM documents (PCR 0 to 23).
const NITRO_TPM_PCR_COUNT: u8 = 24;

const ENCRYPTION_CONTEXT: &str = "kms:encryptioncontext:";
const ATTESTATION: &str = "kms:recipientattestation:";
pub(super) const PRINCIPAL_ARN: &str = "aws:principalarn";
pub(super) const ENCRYPTION_CONTEXT_KEYS: &str = "kms:encryptioncontextkeys";

impl Context {
    /// The keys that every call has. `principal` is the caller's ARN.
    pub fn new(principal: &str) -> Self {
        let mut context = Self::default();
        context.set(PRINCIPAL_ARN, principal);
        context.set("aws:securetransport", "true");
        if let Some(arn) = IamArn::parse(principal) {
            context.set("aws:principalaccount", arn.account());
            context.set("kms:calleraccount", arn.account());
        }
        context
    }

    /// Adds the encryption context of the call.
    ///
    /// # Errors
    /// [`ContextKeysCollide`].
    pub fn with_encryption_context(mut self, pairs: &BTreeMap<String, String>) -> Result<Self, ContextKeysCollide> {
        let mut seen = BTreeSet::new();
        for (name, value) in pairs {
            let key = format!("{ENCRYPTION_CONTEXT}{}", name.to_lowercase());
            if !seen.insert(key.clone()) {
                return Err(ContextKeysCollide);
            }
            self.set(&key, value);
        }
        self.encryption_context_keys = pairs.keys().cloned().collect();
        Ok(self)
    }

    /// Adds the PCRs of a *verified* attestation document.
    #[must_use]
    pub fn with_attestation(mut self, pcrs: &BTreeMap<u8, [u8; 48]>) -> Self {
        for (index, value) in pcrs {
            self.set(&format!("{ATTESTATION}pcr{index}"), &hex::encode(value));
        }
        if let Some(image) = pcrs.get(&0) {
            self.set(&format!("{ATTESTATION}imagesha384"), &hex::encode(image));
        }
        self
    }

    fn set(&mut self, key: &str, value: &str) {
        self.single.insert(key.to_owned(), value.to_owned());
    }

    /// The values of a canonical key; empty when the call does not have it.
    pub(super) fn values(&self, key: &str) -> &[String] {
        if key == ENCRYPTION_CONTEXT_KEYS {
            return &self.encryption_context_keys;
        }
        self.single.get(key).map(std::slice::from_ref).unwrap_or_default()
    }
}

/// The canonical (lower-case) form of a condition key that is evaluated here.
pub(super) fn canonical_key(key: &str) -> Option<String> {
    let key = key.to_lowercase();
    let fixed =
        [PRINCIPAL_ARN, "aws:principalaccount", "aws:securetransport", "kms:calleraccount", ENCRYPTION_CONTEXT_KEYS];
    let known = fixed.contains(&key.as_str())
        || key.strip_prefix(ENCRYPTION_CONTEXT).is_some_and(|name| !name.is_empty())
        || key.strip_prefix(ATTESTATION).is_some_and(is_register);
    known.then_some(key)
}

fn is_register(name: &str) -> bool {
    let indexed = |prefix: &str, count: u8| (0..count).any(|index| name == format!("{prefix}{index}"));
    name == "imagesha384" || indexed("pcr", PCR_COUNT) || indexed("nitrotpmpcr", NITRO_TPM_PCR_COUNT)
}

impl fmt::Display for ContextKeysCollide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("encryption context keys that differ only in case are not supported; rename one")
    }
}

impl std::error::Error for ContextKeysCollide {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_its_keys_in_any_case_and_no_others() {
        for good in [
            "aws:PrincipalArn",
            "AWS:PRINCIPALARN",
            "kms:EncryptionContext:Repo",
            "kms:EncryptionContextKeys",
            "kms:RecipientAttestation:ImageSha384",
            "kms:RecipientAttestation:PCR0",
            "kms:RecipientAttestation:pcr31",
            "kms:RecipientAttestation:NitroTPMPCR23",
        ] {
            assert_eq!(canonical_key(good).unwrap(), good.to_lowercase(), "{good}");
        }
        for bad in [
            "kms:RecipientAttestation",
            "kms:RecipientAttestation:PCR",
            "kms:RecipientAttestation:PCR32",
            "kms:RecipientAttestation:PCR00",
            "kms:RecipientAttestation:NitroTPMPCR24",
            "kms:EncryptionContext:",
            "kms:EncryptionContext",
            "kms:ViaService",
            "aws:SourceIp",
            "",
        ] {
            assert!(canonical_key(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn refuses_names_that_differ_only_in_case() {
        let pairs = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), "v".to_owned())).collect();
        assert!(Context::default().with_encryption_context(&pairs(&["Repo", "env"])).is_ok());
        let collision = Context::default().with_encryption_context(&pairs(&["Repo", "repo"]));
        assert_eq!(collision.unwrap_err(), ContextKeysCollide);
    }
}
