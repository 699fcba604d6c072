//! Key ARNs: the only way a key is named here.

use std::fmt;
use std::str::FromStr;

use crate::KmsError;

/// The full ARN of one single-Region KMS key: `arn:aws:kms:eu-west-1:111122223333:key/1234abcd-…`.
///
/// Exists only when valid. Aliases, `mrk-` keys, other services and other partitions are refused by name. Compared as
/// written, as KMS compares nothing but writes it: lower case, no variants.
///
/// Source: AWS General Reference, "Amazon Resource Names"; KMS Developer Guide, "Key identifiers".
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyArn {
    text: String,
    partition: &'static str,
    region: String,
}

impl KeyArn {
    /// Reads an ARN.
    ///
    /// # Errors
    /// [`KmsError::ArnAlias`], [`KmsError::ArnOtherService`], [`KmsError::ArnMultiRegion`],
    /// [`KmsError::ArnPartition`]; anything else that is not a key ARN is [`KmsError::ArnMalformed`].
    pub fn parse(text: &str) -> Result<Self, KmsError> {
        if text.len() > MAX_ARN_BYTES {
            return Err(KmsError::ArnMalformed);
        }
        if text.starts_with("alias/") {
            return Err(KmsError::ArnAlias);
        }
        let mut fields = text.split(':');
        let mut next = || fields.next().ok_or(KmsError::ArnMalformed);
        let (prefix, partition, service, region, account, resource) =
            (next()?, next()?, next()?, next()?, next()?, next()?);
        if prefix != "arn" {
            return Err(KmsError::ArnMalformed);
        }
        if service != "kms" {
            return Err(KmsError::ArnOtherService);
        }
        if resource.starts_with("alias/") {
            return Err(KmsError::ArnAlias);
        }
        let id = resource.strip_prefix("key/").ok_or(KmsError::ArnMalformed)?;
        if fields.next().is_some() || !is_region(region) || !is_account(account) || !is_key_id(id) {
            return Err(KmsError::ArnMalformed);
        }
        if id.starts_with("mrk-") {
            return Err(KmsError::ArnMultiRegion);
        }
        let home = match region.split_once('-') {
            Some(("cn", _)) => "aws-cn",
            Some(("us", rest)) if rest.starts_with("gov-") => "aws-us-gov",
            _ => "aws",
        };
        if partition != home {
            return Err(KmsError::ArnPartition);
        }
        Ok(Self { text: text.to_owned(), partition: home, region: region.to_owned() })
    }

    /// The Region, such as `eu-west-1`.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The partition: `aws`, `aws-cn` or `aws-us-gov`.
    pub fn partition(&self) -> &'static str {
        self.partition
    }

    /// The whole ARN.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for KeyArn {
    type Err = KmsError;

    fn from_str(text: &str) -> Result<Self, KmsError> {
        Self::parse(text)
    }
}

impl fmt::Display for KeyArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// `eu-west-1`, `us-gov-west-1`: it becomes part of a host name, so nothing but letters, one number and dashes between.
fn is_region(text: &str) -> bool {
    let mut parts = text.rsplit('-');
    let number = parts.next().is_some_and(|n| (1..=2).contains(&n.len()) && n.bytes().all(|b| b.is_ascii_digit()));
    let words = parts.clone().count();
    text.len() <= MAX_REGION_BYTES
        && number
        && (2..=3).contains(&words)
        && parts.all(|word| word.len() >= 2 && word.bytes().all(|b| b.is_ascii_lowercase()))
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

/// AWS's ids are UUIDs (or `mrk-` and 32 digits); the API does not promise it, so only the alphabet is checked.
fn is_key_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Longer than any ARN of this shape.
const MAX_ARN_BYTES: usize = 192;
/// Longer than any Region's name.
const MAX_REGION_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

    fn refused(text: &str) -> KmsError {
        KeyArn::parse(text).unwrap_err()
    }

    #[test]
    fn reads_the_three_partitions() {
        let arn: KeyArn = GOOD.parse().unwrap();
        assert_eq!((arn.partition(), arn.region(), arn.as_str()), ("aws", "eu-west-1", GOOD));
        let china = KeyArn::parse("arn:aws-cn:kms:cn-north-1:111122223333:key/a").unwrap();
        assert_eq!((china.partition(), china.region()), ("aws-cn", "cn-north-1"));
        let gov = KeyArn::parse("arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/a").unwrap();
        assert_eq!((gov.partition(), gov.region()), ("aws-us-gov", "us-gov-west-1"));
    }

    #[test]
    fn refuses_aliases_multi_region_keys_and_other_services_by_name() {
        assert_eq!(refused("arn:aws:kms:eu-west-1:111122223333:alias/app"), KmsError::ArnAlias);
        assert_eq!(refused("alias/app"), KmsError::ArnAlias);
        assert_eq!(refused("arn:aws:kms:eu-west-1:111122223333:key/mrk-1234abcd"), KmsError::ArnMultiRegion);
        assert_eq!(refused("arn:aws:s3:eu-west-1:111122223333:key/a"), KmsError::ArnOtherService);
        assert_eq!(refused(&GOOD.replace("arn:aws:", "arn:aws-iso:")), KmsError::ArnPartition);
        assert_eq!(refused(&GOOD.replace("eu-west-1", "cn-north-1")), KmsError::ArnPartition);
        assert_eq!(refused(&GOOD.replace("eu-west-1", "us-gov-east-1")), KmsError::ArnPartition);
    }

    #[test]
    fn refuses_what_is_not_a_key_arn() {
        for bad in [
            "",
            "1234abcd-12ab-34cd-56ef-1234567890ab",
            "arn:aws:kms:eu-west-1:111122223333:key/",
            "arn:aws:kms:eu-west-1:111122223333:key/A",
            "arn:aws:kms:eu-west-1:111122223333:key/a/b",
            "arn:aws:kms:eu-west-1:111122223333:key/a:b",
            "arn:aws:kms:eu-west-1:111122223333:grant/a",
            "arn:aws:kms:eu-west-1:11112222333:key/a",
            "arn:aws:kms:eu-west-1:*:key/a",
            "arn:aws:kms::111122223333:key/a",
            "arn:aws:kms:eu-west-1.evil.example/x-1:111122223333:key/a",
            "arn:aws:kms:EU-west-1:111122223333:key/a",
            "arn:aws:kms:eu--1:111122223333:key/a",
            "arn:aws:kms:eu-west-1:111122223333:key/a ",
            "ARN:aws:kms:eu-west-1:111122223333:key/a",
        ] {
            assert_eq!(refused(bad), KmsError::ArnMalformed, "{bad}");
        }
        assert_eq!(refused(&format!("{GOOD}{}", "a".repeat(200))), KmsError::ArnMalformed);
    }
}
