//! KMS keys, age recipients and signers: their spellings, and that each serves one environment and one purpose.

use std::collections::BTreeMap;

use super::{
    CellKeys, Pack, PolicyError, Target,
    rules::{place, value},
};

/// 2^255 − 19, big endian.
const FIELD_PRIME: [u8; 32] = {
    let mut prime = [0xff; 32];
    prime[0] = 0x7f;
    prime[31] = 0xed;
    prime
};

/// A full key ARN, not an alias; no multi-Region key, whose replicas have key policies of their own.
///
/// The same grammar as the enclave's KMS client has, so that a policy that is accepted here can be used there.
pub(super) fn check_arn(at: &str, arn: &str) -> Result<(), PolicyError> {
    let parts: Vec<&str> = arn.split(':').collect();
    let id = match parts.as_slice() {
        ["arn", partition, "kms", region, account, resource]
            if is_region(region)
                && *partition == partition_of(region)
                && account.len() == 12
                && account.bytes().all(|b| b.is_ascii_digit()) =>
        {
            resource.strip_prefix("key/")
        }
        _ => None,
    };
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    match id {
        Some(id) if id.starts_with("mrk-") => {
            Err(value(at, &format!("{arn} is a multi-Region key; its replicas have key policies of their own")))
        }
        Some(id) if (1..=64).contains(&id.len()) && id.bytes().all(plain) => Ok(()),
        _ => Err(value(at, &format!("{arn:?} is not a full KMS key ARN (arn:aws:kms:REGION:ACCOUNT:key/ID)"))),
    }
}

/// `eu-west-1`, `us-gov-east-1`: words of letters, then a number.
fn is_region(region: &str) -> bool {
    let mut words: Vec<&str> = region.split('-').collect();
    let number = words.pop().unwrap_or_default();
    let letters = |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
    region.len() <= 32
        && words.len() >= 2
        && words.iter().all(letters)
        && !number.is_empty()
        && number.bytes().all(|b| b.is_ascii_digit())
}

fn partition_of(region: &str) -> &'static str {
    match region {
        _ if region.starts_with("cn-") => "aws-cn",
        _ if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

/// One spelling for one key: bech32 with its checksum, and a point below the field's prime.
///
/// X25519 ignores the top bit and reduces, so another spelling of a recipient would be the same key under another
/// name, and rules that compare names would take one key for two.
pub(super) fn is_recipient(text: &str) -> bool {
    let Ok((prefix, words, bech32::Variant::Bech32)) = bech32::decode(text) else { return false };
    let bytes: Result<[u8; 32], _> =
        bech32::FromBase32::from_base32(&words).map(Vec::try_into).unwrap_or(Err(Vec::new()));
    let Ok(mut point) = bytes else { return false };
    point.reverse();
    prefix == "age" && text.bytes().all(|b| !b.is_ascii_uppercase()) && point < FIELD_PRIME && point != [0; 32]
}

/// For each key: environment, purpose and where it was first used.
#[derive(Default)]
pub(super) struct Uses<'a>(BTreeMap<&'a str, (&'a str, &'static str, String)>);

pub(super) fn check_uses<'a>(uses: &mut Uses<'a>, pack: &'a Pack) -> Result<(), PolicyError> {
    let mut claim = |key: &'a str, purpose: &'static str, shareable: bool| {
        let here = format!("{} ({purpose})", place(pack));
        match uses.0.get(key) {
            None => {
                uses.0.insert(key, (&pack.environment, purpose, here));
                Ok(())
            }
            Some((environment, other, _)) if *environment == pack.environment && *other == purpose && shareable => {
                Ok(())
            }
            Some((_, _, first)) => Err(PolicyError::Shared { key: key.to_owned(), first: first.clone(), second: here }),
        }
    };
    match &pack.cell_keys {
        CellKeys::Kms(keys) => {
            for (index, key) in keys.iter().enumerate() {
                if keys.iter().skip(index.saturating_add(1)).any(|other| other.arn == key.arn) {
                    return Err(PolicyError::Duplicate { what: format!("{}: decrypt {}", place(pack), key.arn) });
                }
                claim(&key.arn, "decrypt", true)?;
            }
        }
        CellKeys::Sealed { kms, recipient } => {
            claim(kms, "unseal", true)?;
            if let Some(recipient) = recipient {
                claim(recipient, "unseal recipient", false)?;
            }
        }
    }
    match &pack.target {
        Target::Kms(arn) => claim(arn, "envelope", true)?,
        Target::Age(recipient) => claim(recipient, "recipient", true)?,
    }
    claim(&pack.signer.kms, "signer", true)?;
    match &pack.signer.public_key {
        Some(key) => claim(key, "signer public key", false),
        None => Ok(()),
    }
}

pub(super) fn arns(pack: &Pack) -> Vec<&str> {
    let mut arns = vec![pack.signer.kms.as_str()];
    match &pack.cell_keys {
        CellKeys::Kms(keys) => arns.extend(keys.iter().map(|key| key.arn.as_str())),
        CellKeys::Sealed { kms, .. } => arns.push(kms),
    }
    if let Target::Kms(arn) = &pack.target {
        arns.push(arn);
    }
    arns
}

pub(super) fn recipients(pack: &Pack) -> Vec<&str> {
    let mut recipients = Vec::new();
    if let CellKeys::Sealed { recipient: Some(recipient), .. } = &pack.cell_keys {
        recipients.push(recipient.as_str());
    }
    if let Target::Age(recipient) = &pack.target {
        recipients.push(recipient);
    }
    recipients
}
