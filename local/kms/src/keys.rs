//! New keys, and how `DescribeKey` shows one.

use std::sync::Arc;

use packproof_receipt::time::UnixMillis;
use serde_json::json;

use crate::arn::KeyArn;
use crate::error::Error;
use crate::policy::Policy;
use crate::random;
use crate::request::SYMMETRIC_DEFAULT;
use crate::state::{Key, Origin};

/// A key with new material. Without a policy it gets AWS's default one, which names the account root.
pub(crate) fn new_key(
    region: &str,
    account: &str,
    description: &str,
    policy: Option<&str>,
    now: UnixMillis,
) -> Result<Key, Error> {
    let text = format!("arn:aws:kms:{region}:{account}:key/{}", random::uuid()?);
    let arn = KeyArn::parse(&text).ok_or(Error::KeyArn { arn: text })?;
    let policy_text = policy.map_or_else(|| default_policy(account), str::to_owned);
    Ok(Key {
        arn,
        material: Arc::new(random::secret()?),
        material_id: hex::encode(random::bytes::<32>()?),
        origin: Origin::AwsKms,
        description: description.to_owned(),
        created: now,
        policy: Policy::parse(&policy_text)?,
        policy_text,
    })
}

/// What AWS gives a key that is created without a policy.
fn default_policy(account: &str) -> String {
    json!({
        "Version": "2012-10-17",
        "Id": "key-default-1",
        "Statement": [{
            "Sid": "Enable IAM User Permissions",
            "Effect": "Allow",
            "Principal": { "AWS": format!("arn:aws:iam::{account}:root") },
            "Action": "kms:*",
            "Resource": "*",
        }],
    })
    .to_string()
}

/// `KeyMetadata`.
pub(crate) fn metadata(key: &Key) -> serde_json::Value {
    json!({
        "AWSAccountId": key.arn.account(),
        "KeyId": key.arn.id(),
        "Arn": key.arn.as_str(),
        "CreationDate": key.created.as_secs(),
        "Enabled": true,
        "Description": key.description,
        "KeyUsage": "ENCRYPT_DECRYPT",
        "KeyState": "Enabled",
        "Origin": key.origin.as_str(),
        "KeyManager": "CUSTOMER",
        "CustomerMasterKeySpec": SYMMETRIC_DEFAULT,
        "KeySpec": SYMMETRIC_DEFAULT,
        "EncryptionAlgorithms": [SYMMETRIC_DEFAULT],
        "MultiRegion": false,
        "CurrentKeyMaterialId": key.material_id,
    })
}
