//! ARNs of keys and aliases.

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

/// `arn:aws:kms:REGION:ACCOUNT:alias/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AliasArn {
    text: String,
    region: String,
    account: String,
    name: String,
}

/// With its `alias/` (service model).
const MAX_ALIAS_LENGTH: usize = 256;

impl AliasArn {
    /// Reads an alias's ARN, or its name alone, which is then of this region and account; `None` for anything else.
    pub(crate) fn named(text: &str, region: &str, account: &str) -> Option<Self> {
        if text.starts_with("alias/") {
            return Self::parse(&format!("arn:aws:kms:{region}:{account}:{text}"));
        }
        Self::parse(text)
    }

    /// Reads an alias's ARN.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (head, rest) = text.rsplit_once(":alias/")?;
        // Region and account have the form that they have for a key.
        let key = KeyArn::parse(&format!("{head}:key/x"))?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"/_-".contains(&b);
        let name = format!("alias/{rest}");
        let valid = !rest.is_empty() && rest.bytes().all(plain) && name.len() <= MAX_ALIAS_LENGTH;
        valid.then(|| Self { text: text.to_owned(), region: key.region, account: key.account, name })
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

    /// `alias/NAME`.
    pub(crate) fn name(&self) -> &str {
        &self.name
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

    #[test]
    fn reads_aliases_by_name_and_arn() {
        let arn = "arn:aws:kms:eu-west-1:111122223333:alias/app/prod_1-x";
        let alias = AliasArn::named("alias/app/prod_1-x", "eu-west-1", "111122223333").unwrap();
        assert_eq!((alias.as_str(), alias.name()), (arn, "alias/app/prod_1-x"));
        assert_eq!(AliasArn::parse(arn).unwrap(), alias);
        for bad in [
            "alias/",
            "alias/a:b",
            "alias/a b",
            "app",
            "arn:aws:kms:eu-west-1:111122223333:key/app",
            "arn:aws:kms:eu-west-1:1111:alias/app",
            "arn:aws:kms:eu-west-1:111122223333:alias/a:alias/b",
        ] {
            assert!(AliasArn::named(bad, "eu-west-1", "111122223333").is_none(), "{bad}");
        }
        assert!(AliasArn::named(&format!("alias/{}", "a".repeat(251)), "eu-west-1", "111122223333").is_none());
    }
}
