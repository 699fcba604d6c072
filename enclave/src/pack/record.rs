//! `record_key_policies`: who else may use the keys of this pack, asked by the enclave itself.

use std::collections::{BTreeMap, BTreeSet};

use packproof_kms::{Client, KeyArn, KeyDescription, KeyPolicyText};
use packproof_receipt::statement::{self, Assurance, KeyPolicy};
use tokio::task::JoinSet;

use super::PackError;

/// Questions under way, two for each key.
pub(super) struct Questions(JoinSet<Result<(String, Answer), PackError>>);

enum Answer {
    Policy(KeyPolicyText),
    Description(KeyDescription),
}

impl Questions {
    /// Asks about each of these keys once, at the same time as everything else that is asked of KMS.
    pub(super) fn ask(client: &Client, keys: &BTreeSet<String>) -> Result<Self, PackError> {
        let mut running = JoinSet::new();
        for arn in keys {
            let key = KeyArn::parse(arn).map_err(PackError::PolicyKey)?;
            let failed = |error| PackError::Kms { purpose: "key policy".to_owned(), error };
            let (asker, asked) = (client.clone(), key.clone());
            running.spawn(async move {
                let policy = asker.key_policy(&asked).await.map_err(failed)?;
                Ok((asked.as_str().to_owned(), Answer::Policy(policy)))
            });
            let asker = client.clone();
            running.spawn(async move {
                let description = asker.describe_key(&key).await.map_err(failed)?;
                Ok((key.as_str().to_owned(), Answer::Description(description)))
            });
        }
        Ok(Self(running))
    }

    /// The answers, one entry for each key, in the order of ARNs.
    pub(super) async fn finish(mut self) -> Result<Vec<KeyPolicy>, PackError> {
        let mut answers: BTreeMap<String, (Option<KeyPolicyText>, Option<KeyDescription>)> = BTreeMap::new();
        while let Some(joined) = self.0.join_next().await {
            let (arn, answer) = joined.map_err(|_| PackError::Crypto("asking for a key policy"))??;
            let (policy, description) = answers.entry(arn).or_default();
            match answer {
                Answer::Policy(answer) => *policy = Some(answer),
                Answer::Description(answer) => *description = Some(answer),
            }
        }
        let entry = |(arn, answers)| match answers {
            (Some(policy), Some(description)) => Ok(fact(arn, policy, description)),
            _ => Err(PackError::Crypto("asking for a key policy")),
        };
        answers.into_iter().map(entry).collect()
    }
}

/// Both answers as the receipt states them.
fn fact(key_arn: String, policy: KeyPolicyText, description: KeyDescription) -> KeyPolicy {
    KeyPolicy {
        key_arn,
        policy: policy.text,
        description: statement::KeyDescription {
            key_manager: description.key_manager,
            origin: description.origin,
            multi_region: description.multi_region,
            key_state: description.key_state,
            key_usage: description.key_usage,
            key_spec: description.key_spec,
        },
        policy_request_ids: policy.request_ids,
        description_request_ids: description.request_ids,
        assurance: Assurance::EnclaveVerified,
    }
}
