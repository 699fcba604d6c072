//! Key ARNs.

use crate::policy::IamArn;

/// `arn:aws:kms:REGION:ACCOUNT:key/ID`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyArn {
    text: String,
    region: String,
    account: String,
    id: String,
}

/// The longest key id: a UUID has 36 characters.
const MAX_ID_LENGTH: usize = 128;

impl KeyArn {
    /// Reads a key ARN; `None` for anything else: aliases, replicas (`mrk-`), other services.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (partition, rest) = text.strip_prefix("arn:")?.split_once(":kms:")?;
        let (region, rest) = rest.split_once(':')?;
        let (account, id) = rest.split_once(":key/")?;
        let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let valid = plain(partition)
            && plain(region)
            && plain(id)
            && id.len() <= MAX_ID_LENGTH
            && !id.starts_with("mrk-")
            && IamArn::parse(&format!("arn:aws:iam::{account}:root")).is_some();
        valid.then(|| Self {
            text: text.to_owned(),
            region: region.to_owned(),
            account: account.to_owned(),
            id: id.to_owned(),
        })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn region(&self) -> &str {
        &self.region
    }

    pub(crate) fn account(&self) -> &str {
        &self.account
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_key_arns_only() {
        let arn = KeyArn::parse("arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab").unwrap();
        assert_eq!((arn.region(), arn.account(), arn.id()), ("eu-west-1", "111122223333", "1234abcd-12ab"));
        for bad in [
            "arn:aws:kms:eu-west-1:111122223333:alias/x",
            "arn:aws:kms:eu-west-1:111122223333:key/mrk-1234",
            "arn:aws:kms:eu-west-1:111122223333:key/",
            "arn:aws:kms:eu-west-1:111122223333:key/a/b",
            "arn:aws:kms::111122223333:key/a",
            "arn:aws:kms:eu-west-1:1111:key/a",
            "arn:aws:s3:eu-west-1:111122223333:key/a",
            "a",
        ] {
            assert!(KeyArn::parse(bad).is_none(), "{bad}");
        }
    }
}
