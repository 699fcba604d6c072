//! Files as AWS prints them: key policies, IAM policies, grants, descriptions of keys.

use serde_json::Value;

use super::{
    callers::Caller,
    document::{Document, Kind},
    json,
    key::{Grant, IamHolder, Metadata},
};

/// Longest file; an account's whole IAM is the largest.
pub(super) const MAX_FILE_BYTES: u64 = 64 << 20;

/// A key policy: the document itself, or the answer of `GetKeyPolicy` that holds it as a text.
pub(super) fn key_policy(bytes: &[u8]) -> Result<Document, String> {
    let value = json::parse(bytes)?;
    document(value.get("Policy").unwrap_or(&value), Kind::Key)
}

/// A document, as JSON or as a text that holds it.
fn document(value: &Value, kind: Kind) -> Result<Document, String> {
    match value {
        Value::String(text) if text.starts_with('%') => Document::from_text(&percent_decoded(text)?, kind),
        Value::String(text) => Document::from_text(text, kind),
        value => Document::from_value(value, kind),
    }
}

/// The IAM API percent-encodes documents; the command line tool decodes them.
fn percent_decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let (byte, left) = match (first, after) {
            (b'%', [high, low, left @ ..]) => {
                let digits = [*high, *low];
                let decoded = hex::decode(digits).map_err(|_| "a document is not percent-encoded as it seems")?;
                (decoded.first().copied().unwrap_or_default(), left)
            }
            _ => (first, after),
        };
        bytes.push(byte);
        rest = left;
    }
    String::from_utf8(bytes).map_err(|_| "a document is not UTF-8".to_owned())
}

/// Everybody with IAM policies in one file: the answer of `GetAccountAuthorizationDetails`, `GetRolePolicy`,
/// `GetUserPolicy`, `GetPolicyVersion`, or a bare document. `file` names whoever holds a policy that names nobody;
/// `account` is the key's.
pub(super) fn iam(bytes: &[u8], file: &str, account: Option<&str>) -> Result<Vec<IamHolder>, String> {
    let value = json::parse(bytes)?;
    if value.get("RoleDetailList").is_some() || value.get("UserDetailList").is_some() {
        return account_details(&value);
    }
    let account = account.unwrap_or_default();
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    let nobody_named = || {
        let shown = format!("whoever has the IAM policy of {file}");
        Caller::of_account(account).map(|caller| Caller { shown: shown.clone(), ..caller }).to_vec()
    };
    let callers = match (text("RoleName"), text("UserName")) {
        (Some(role), _) => vec![Caller::named(&format!("arn:aws:iam::{account}:role/{role}")).with_iam()],
        (None, Some(user)) => vec![Caller::named(&format!("arn:aws:iam::{account}:user/{user}")).with_iam()],
        (None, None) => nobody_named(),
    };
    let held = value.get("PolicyDocument").or_else(|| value.pointer("/PolicyVersion/Document")).unwrap_or(&value);
    let source = format!("IAM policy {}", text("PolicyName").unwrap_or(file));
    let documents = vec![(source, document(held, Kind::Iam)?)];
    Ok(callers.into_iter().map(|caller| IamHolder { caller, documents: documents.clone() }).collect())
}

/// `GetAccountAuthorizationDetails`: users with their groups, roles, and the managed policies of both.
fn account_details(value: &Value) -> Result<Vec<IamHolder>, String> {
    let list = |value: &Value, name: &str| value.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let managed = list(value, "Policies");
    let groups = list(value, "GroupDetailList");
    let read = |holder: &Value, inline: &str| -> Result<Vec<(String, Document)>, String> {
        let mut documents = Vec::new();
        for policy in list(holder, inline) {
            let name = text(&policy, "PolicyName")?;
            let body = policy.get("PolicyDocument").ok_or_else(|| format!("policy {name:?} has no document"))?;
            documents.push((format!("IAM policy {name}"), document(body, Kind::Iam)?));
        }
        for attached in list(holder, "AttachedManagedPolicies") {
            let arn = text(&attached, "PolicyArn")?;
            let found = managed.iter().find(|policy| policy.get("Arn").and_then(Value::as_str) == Some(&arn));
            let found = found.ok_or_else(|| format!("it does not hold the attached policy {arn}"))?;
            let versions = list(found, "PolicyVersionList");
            let current = versions.iter().find(|version| version.get("IsDefaultVersion") == Some(&Value::Bool(true)));
            let body = current.and_then(|version| version.get("Document"));
            let body = body.ok_or_else(|| format!("policy {arn} has no default version"))?;
            documents.push((format!("IAM policy {arn}"), document(body, Kind::Iam)?));
        }
        Ok(documents)
    };
    let mut holders = Vec::new();
    for (members, inline) in [("RoleDetailList", "RolePolicyList"), ("UserDetailList", "UserPolicyList")] {
        for holder in list(value, members) {
            let caller = Caller::named(&text(&holder, "Arn")?).with_iam();
            let mut documents = read(&holder, inline)?;
            for group in list(&holder, "GroupList") {
                let named = groups.iter().find(|known| known.get("GroupName") == Some(&group));
                let named = named.ok_or_else(|| format!("it does not hold the group {group}"))?;
                documents.extend(read(named, "GroupPolicyList")?);
            }
            holders.push(IamHolder { caller, documents });
        }
    }
    Ok(holders)
}

/// The answer of `ListGrants`.
pub(super) fn grants(bytes: &[u8]) -> Result<Vec<Grant>, String> {
    let value = json::parse(bytes)?;
    let grants = value.get("Grants").and_then(Value::as_array).ok_or("it has no list Grants")?;
    grants
        .iter()
        .map(|grant| {
            let operations = grant.get("Operations").and_then(Value::as_array).ok_or("a grant has no Operations")?;
            let operations: Option<Vec<&str>> = operations.iter().map(Value::as_str).collect();
            Ok(Grant {
                key: text(grant, "KeyId")?,
                id: text(grant, "GrantId")?,
                grantee: text(grant, "GranteePrincipal")?,
                operations: operations
                    .ok_or("a grant's operation is not a text")?
                    .into_iter()
                    .map(Into::into)
                    .collect(),
            })
        })
        .collect()
}

/// The answer of `DescribeKey`.
pub(super) fn metadata(bytes: &[u8]) -> Result<Metadata, String> {
    let value = json::parse(bytes)?;
    let key = value.get("KeyMetadata").ok_or("it has no KeyMetadata")?;
    let regions = key.get("MultiRegionConfiguration");
    let arn = text(key, "Arn")?;
    let primary = regions.and_then(|regions| regions.pointer("/PrimaryKey/Arn"));
    let replicas = regions.and_then(|regions| regions.get("ReplicaKeys")).and_then(Value::as_array);
    let replicas = replicas.into_iter().flatten().filter_map(|replica| replica.get("Arn"));
    let related = primary.into_iter().chain(replicas).filter_map(Value::as_str);
    Ok(Metadata {
        origin: text(key, "Origin")?,
        multi_region: key.get("MultiRegion") == Some(&Value::Bool(true)),
        related: related.filter(|other| *other != arn).map(str::to_owned).collect(),
        arn,
    })
}

fn text(value: &Value, name: &str) -> Result<String, String> {
    value.get(name).and_then(Value::as_str).map(str::to_owned).ok_or_else(|| format!("{name} is missing"))
}
