//! Who a statement speaks about.

/// The ARN of an IAM principal that can hold access keys: an account root, a user or a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IamArn {
    text: String,
    account: String,
}

impl IamArn {
    /// Reads `arn:aws:iam::111122223333:role/name`; `None` for anything else, wild cards included.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (partition, rest) = text.strip_prefix("arn:")?.split_once(":iam::")?;
        let (account, name) = rest.split_once(':')?;
        let named = name.strip_prefix("user/").or_else(|| name.strip_prefix("role/"));
        let known = ["aws", "aws-cn", "aws-us-gov"].contains(&partition) && is_account(account);
        let valid = name == "root" || named.is_some_and(is_name);
        (known && valid).then(|| Self { text: text.to_owned(), account: account.to_owned() })
    }

    /// The twelve digits of the account.
    pub(crate) fn account(&self) -> &str {
        &self.account
    }

    fn is_root(&self) -> bool {
        self.text.ends_with(":root")
    }
}

/// The `Principal` element.
#[derive(Debug, Clone)]
pub(super) struct PrincipalSet {
    anybody: bool,
    arns: Vec<IamArn>,
}

impl PrincipalSet {
    /// Reads the values of `Principal` or `{"AWS": …}`; the first one that is not supported comes back as the error.
    pub(super) fn parse<'a>(values: &[&'a str]) -> Result<Self, &'a str> {
        let mut set = Self { anybody: false, arns: Vec::new() };
        for &value in values {
            if value == "*" {
                set.anybody = true;
            } else if is_account(value) {
                // IAM stores an account id as that account's root.
                set.arns.push(IamArn::parse(&format!("arn:aws:iam::{value}:root")).ok_or(value)?);
            } else {
                set.arns.push(IamArn::parse(value).ok_or(value)?);
            }
        }
        Ok(set)
    }

    /// Whether `principal` is meant. With `root_means_account`, an account root stands for all of its principals.
    pub(super) fn includes(&self, principal: &str, root_means_account: bool) -> bool {
        let account = IamArn::parse(principal).map(|arn| arn.account);
        self.anybody
            || self.arns.iter().any(|arn| {
                arn.text == principal
                    || (root_means_account && arn.is_root() && account.as_deref() == Some(arn.account()))
            })
    }
}

/// Twelve digits.
pub(super) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A path and name of IAM: never a wild card.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 512
        && !text.ends_with('/')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/+=,.@_-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_principals_with_access_keys_are_read() {
        for good in [
            "arn:aws:iam::111122223333:root",
            "arn:aws:iam::111122223333:user/path/alice@acme.example",
            "arn:aws-cn:iam::111122223333:role/ci",
        ] {
            assert_eq!(IamArn::parse(good).unwrap().text, good);
        }
        for bad in [
            "arn:aws:iam::111122223333:role/*",
            "arn:aws:iam::11112222333:role/ci",
            "arn:aws:iam::111122223333:group/ci",
            "arn:aws:iam::111122223333:role/",
            "arn:aws:sts::111122223333:assumed-role/ci/session",
            "arn:mine:iam::111122223333:root",
            "111122223333",
            "",
        ] {
            assert!(IamArn::parse(bad).is_none(), "{bad}");
        }
    }
}
