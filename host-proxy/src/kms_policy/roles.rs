//! The principals that a generated key policy names.

use crate::Error;

/// An IAM role or user: `arn:aws:iam::111122223333:role/ci`. Never a root, a session or a wild card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Role(String);

impl Role {
    /// Reads the value of `flag`.
    ///
    /// # Errors
    /// [`Error::Usage`], with what to give instead.
    pub(super) fn parse(flag: &str, text: &str) -> Result<Self, Error> {
        let wrong = |why: &str| Err(Error::Usage(format!("{flag} {text:?}: {why}")));
        if text.contains(['*', '?', '$']) {
            return wrong("a wild card would mean roles that do not exist yet; give each role's ARN");
        }
        if text.contains(":assumed-role/") {
            return wrong("this is a session; give the ARN of its role, arn:aws:iam::ACCOUNT:role/NAME");
        }
        if text.ends_with(":root") {
            return wrong("the root stands for every IAM policy of its account; give a role");
        }
        let parts: Vec<&str> = text.split(':').collect();
        let ["arn", "aws" | "aws-cn" | "aws-us-gov", "iam", "", account, name] = parts.as_slice() else {
            return wrong("this is not arn:aws:iam::ACCOUNT:role/NAME");
        };
        let named = name.strip_prefix("role/").or_else(|| name.strip_prefix("user/")).unwrap_or_default();
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"/+=,.@_-".contains(&b);
        if !is_account(account) || named.is_empty() || named.ends_with('/') || !named.bytes().all(plain) {
            return wrong("this is not arn:aws:iam::ACCOUNT:role/NAME");
        }
        Ok(Self(text.to_owned()))
    }

    pub(super) fn arn(&self) -> &str {
        &self.0
    }
}

/// Twelve digits.
pub(super) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

/// Everybody that generated key policies name.
#[derive(Debug)]
pub(super) struct Roles {
    pub(super) ci: Role,
    pub(super) admin: Role,
    pub(super) authors: Vec<Role>,
    pub(super) workloads: Vec<Role>,
}

impl Roles {
    /// Reads the flags.
    ///
    /// # Errors
    /// [`Error::Usage`]: not a role, or one that would undo what the policies are for.
    pub(super) fn parse(ci: &str, admin: &str, authors: &[String], workloads: &[String]) -> Result<Self, Error> {
        let all = |flag: &str, texts: &[String]| {
            let mut roles: Vec<Role> = texts.iter().map(|text| Role::parse(flag, text)).collect::<Result<_, _>>()?;
            roles.sort_by(|a, b| a.0.cmp(&b.0));
            roles.dedup();
            Ok::<_, Error>(roles)
        };
        let roles = Self {
            ci: Role::parse("--ci-role", ci)?,
            admin: Role::parse("--admin-role", admin)?,
            authors: all("--author-role", authors)?,
            workloads: all("--workload-role", workloads)?,
        };
        let clash = |why: &str| Err(Error::Usage(why.to_owned()));
        if roles.workloads.contains(&roles.ci) {
            return clash("--ci-role is also a --workload-role: CI could then open its own artifacts");
        }
        if roles.workloads.contains(&roles.admin) {
            return clash("--admin-role is also a --workload-role: who pins images must not open artifacts");
        }
        if roles.admin == roles.ci {
            return clash("--admin-role is also --ci-role: CI could then pin an image of its own");
        }
        Ok(roles)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_roles_and_users_are_named() {
        for good in ["arn:aws:iam::111122223333:role/ci", "arn:aws-cn:iam::111122223333:user/path/alice@acme.example"] {
            assert_eq!(Role::parse("--ci-role", good).unwrap().arn(), good);
        }
        for (bad, why) in [
            ("arn:aws:iam::111122223333:role/*", "wild card"),
            ("arn:aws:iam::111122223333:role/${aws:username}", "wild card"),
            ("arn:aws:iam::111122223333:root", "every IAM policy"),
            ("arn:aws:sts::111122223333:assumed-role/ci/s", "session"),
            ("arn:aws:iam::11112222333:role/ci", "not arn:"),
            ("arn:aws:iam::111122223333:group/ci", "not arn:"),
            ("arn:aws:iam::111122223333:role/", "not arn:"),
            ("arn:mine:iam::111122223333:role/ci", "not arn:"),
            ("ci", "not arn:"),
        ] {
            let error = Role::parse("--ci-role", bad).unwrap_err();
            assert!(error.code() == "usage" && error.to_string().contains(why), "{bad}: {error}");
        }
    }

    #[test]
    fn no_role_may_undo_the_others() {
        let [ci, admin, author, workload] =
            ["ci", "admin", "author", "workload"].map(|name| format!("arn:aws:iam::111122223333:role/{name}"));
        let parse = |ci: &str, admin: &str, workload: &str| {
            Roles::parse(ci, admin, &[author.clone(), author.clone()], &[workload.to_owned()])
        };
        assert_eq!(parse(&ci, &admin, &workload).unwrap().authors.len(), 1);
        assert!(parse(&ci, &admin, &ci).is_err());
        assert!(parse(&ci, &admin, &admin).is_err());
        assert!(parse(&ci, &ci, &workload).is_err());
    }
}
