//! Everybody that a statement could mean, as callers to put to the test.

use super::{
    condition::{Key, example, is_pattern},
    document::{Document, Effect, Name, Principals, Statement},
};

/// Somebody who calls KMS.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Caller {
    /// As the statement, the grant or the IAM policy names him.
    pub(super) name: Name,
    /// For people.
    pub(super) shown: String,
    /// Every ARN by which a statement can mean him: a session has its own and its role's.
    pub(super) arns: Vec<String>,
    /// `aws:PrincipalArn`; none for a service.
    pub(super) principal_arn: Option<String>,
    pub(super) account: Option<String>,
    /// Whether an Allow for the account's root reaches him.
    pub(super) through_iam: bool,
}

/// Nobody's names: whoever a statement does not name, is as good as one of these.
const SOMEBODY: [&str; 3] = ["role/packproof-explain-somebody", "user/packproof-explain-somebody", "root"];
/// Nobody's account.
const FOREIGN_ACCOUNT: &str = "000000000000";

impl Caller {
    /// A role, user or session.
    pub(super) fn named(arn: &str) -> Self {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let account = parts.get(4).map(|account| (*account).to_owned()).filter(|account| !account.is_empty());
        let session =
            parts.get(5).and_then(|name| name.strip_prefix("assumed-role/")).and_then(|name| name.split_once('/'));
        let role = session.map(|(role, _)| {
            let partition = parts.get(1).copied().unwrap_or("aws");
            format!("arn:{partition}:iam::{}:role/{role}", account.as_deref().unwrap_or_default())
        });
        let principal_arn = role.clone().unwrap_or_else(|| arn.to_owned());
        Self {
            name: Name::Arn(arn.to_owned()),
            shown: arn.to_owned(),
            arns: std::iter::once(arn.to_owned()).chain(role).collect(),
            principal_arn: Some(principal_arn),
            account,
            through_iam: false,
        }
    }

    /// The same with IAM on his side.
    pub(super) fn with_iam(self) -> Self {
        Self { through_iam: true, ..self }
    }

    /// Any principal of an account to whom its IAM policies give the action, and its root: a role, a user, the root.
    pub(super) fn of_account(account: &str) -> [Self; 3] {
        SOMEBODY.map(|name| {
            let arn = format!("arn:aws:iam::{account}:{name}");
            Self {
                name: Name::Account(account.to_owned()),
                shown: format!("account {account}: its root, and everybody to whom its IAM policies allow it"),
                arns: vec![arn.clone()],
                principal_arn: Some(arn),
                account: Some(account.to_owned()),
                through_iam: true,
            }
        })
    }

    /// Anybody whom no statement names: a role, a user, a root. `account` is theirs, if that matters.
    pub(super) fn anybody(account: Option<&str>) -> [Self; 3] {
        let shown = account.map_or_else(|| "anybody".to_owned(), |account| format!("anybody in account {account}"));
        Self::of_account(account.unwrap_or(FOREIGN_ACCOUNT)).map(|caller| Self {
            name: Name::Anybody,
            shown: shown.clone(),
            through_iam: false,
            ..caller
        })
    }

    fn other(name: &Name, shown: String) -> Self {
        Self { name: name.clone(), shown, arns: Vec::new(), principal_arn: None, account: None, through_iam: false }
    }
}

/// The callers that an Allow statement of a key policy could mean. Where it means many, those that conditions of the
/// document single out (by ARN or account) are put to the test beside an arbitrary one.
pub(super) fn of_statement(statement: &Statement, document: &Document, accounts: &[String]) -> Vec<Caller> {
    let mut callers = Vec::new();
    let names = match &statement.principals {
        Principals::Only(names) => names.clone(),
        Principals::Except(_) => vec![Name::Anybody],
        Principals::Holder => Vec::new(),
    };
    for name in &names {
        match name {
            Name::Anybody => {
                callers.extend(Caller::anybody(None));
                callers.extend(accounts.iter().flat_map(|account| Caller::anybody(Some(account))));
                callers.extend(singled_out(document).into_iter().map(|arn| Caller::named(&arn)));
            }
            Name::Account(account) => {
                callers.extend(Caller::of_account(account));
                let theirs = singled_out(document).into_iter().map(|arn| Caller::named(&arn).with_iam());
                callers.extend(theirs.filter(|caller| caller.account.as_ref() == Some(account)));
            }
            Name::Arn(arn) => callers.push(Caller::named(arn)),
            Name::Service(service) => callers.push(Caller::other(name, format!("service {service}"))),
            Name::Other(other) => callers.push(Caller::other(name, other.clone())),
            Name::Deleted(_) => {}
        }
    }
    callers
}

/// The ARNs that conditions on `aws:PrincipalArn` name; a pattern is filled in.
fn singled_out(document: &Document) -> Vec<String> {
    let conditions = document.statements.iter().flat_map(|statement| &statement.conditions);
    let values =
        conditions.filter(|condition| condition.key == Key::PrincipalArn).flat_map(|condition| &condition.values);
    let mut arns: Vec<String> = values
        .filter(|value| value.starts_with("arn:"))
        .flat_map(
            |value| if is_pattern(value) { vec![fill(value, 0), fill(value, FILLED)] } else { vec![value.clone()] },
        )
        .collect();
    arns.sort();
    arns.dedup();
    arns
}

/// How long the name is in the second ARN that a pattern is filled in to: longer than any pattern that excepts short ones.
const FILLED: usize = 64;

/// An ARN that matches the pattern, with an account of twelve digits and a name of at least `length` characters where
/// the pattern leaves room.
fn fill(pattern: &str, length: usize) -> String {
    let parts = pattern.splitn(6, ':').enumerate();
    let filled = parts.map(|(place, part)| match place {
        4 => example(part, '0', ACCOUNT_DIGITS),
        // A name has a character at least, which a last `*` leaves room for.
        5 if part.ends_with("/*") => example(part, 'x', length.max(part.len())),
        5 => example(part, 'x', length),
        _ => example(part, 'x', 0),
    });
    filled.collect::<Vec<_>>().join(":")
}

const ACCOUNT_DIGITS: usize = 12;

/// The accounts that the document and the key's ARN name.
pub(super) fn accounts(document: &Document, key: Option<&str>) -> Vec<String> {
    let mut accounts: Vec<String> = key.and_then(|arn| arn.split(':').nth(4)).map(str::to_owned).into_iter().collect();
    for statement in document.with_effect(Effect::Allow).chain(document.with_effect(Effect::Deny)) {
        if let Principals::Only(names) | Principals::Except(names) = &statement.principals {
            accounts.extend(names.iter().filter_map(|name| match name {
                Name::Account(account) => Some(account.clone()),
                Name::Arn(arn) => Caller::named(arn).account,
                _ => None,
            }));
        }
        let values = statement.conditions.iter().filter(|condition| condition.key == Key::Account);
        accounts
            .extend(values.flat_map(|condition| &condition.values).map(|value| example(value, '0', ACCOUNT_DIGITS)));
    }
    accounts.sort();
    accounts.dedup();
    accounts
}
