//! Ciphertext blobs of the local KMS. Opaque to clients, as AWS's are.
//!
//! `01 ‖ length of key id (1 byte) ‖ key id ‖ nonce (12) ‖ AES-256-GCM ciphertext ‖ tag (16)`. The additional data
//! are [`ENCODING`], the key ARN and the encryption context, sorted by key, each text behind its length: one
//! encryption context has one encoding and no two contexts share one.

use std::collections::BTreeMap;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use packproof_secret::{Secret, SecretBytes};

use crate::error::Error;
use crate::random;

const VERSION: u8 = 1;
const ENCODING: &[u8] = b"packproof-local-kms-ciphertext-v1\0";
const TAG_LENGTH: usize = 16;

/// A blob taken apart; nothing is checked yet but its form.
pub(crate) struct Parsed<'a> {
    /// Names the key; to be looked up.
    pub(crate) key_id: &'a str,
    nonce: [u8; NONCE_LEN],
    sealed: &'a [u8],
}

/// Encrypts `plaintext` under `material` for the key named by `key_id` and `arn`.
pub(crate) fn seal(
    key_id: &str,
    arn: &str,
    material: &Secret<32>,
    context: &BTreeMap<String, String>,
    plaintext: &[u8],
) -> Result<Vec<u8>, Error> {
    let nonce: [u8; NONCE_LEN] = random::bytes()?;
    let mut in_out = SecretBytes::with_capacity(plaintext.len());
    in_out.extend(plaintext);
    let tag = aead(material)?
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(additional_data(arn, context)),
            in_out.expose_mut(),
        )
        .map_err(|_| Error::Random)?;
    let id_length = u8::try_from(key_id.len()).map_err(|_| Error::KeyArn { arn: arn.to_owned() })?;
    let mut blob = vec![VERSION, id_length];
    blob.extend_from_slice(key_id.as_bytes());
    blob.extend_from_slice(&nonce);
    blob.extend_from_slice(in_out.expose());
    blob.extend_from_slice(tag.as_ref());
    Ok(blob)
}

/// Takes a blob apart; `None` when it is not one of ours.
pub(crate) fn parse(blob: &[u8]) -> Option<Parsed<'_>> {
    let [VERSION, id_length, rest @ ..] = blob else { return None };
    let (key_id, rest) = rest.split_at_checked(usize::from(*id_length))?;
    let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
    (sealed.len() > TAG_LENGTH).then_some(())?;
    Some(Parsed { key_id: std::str::from_utf8(key_id).ok()?, nonce: *nonce, sealed })
}

impl Parsed<'_> {
    /// Decrypts; `None` when anything was changed: blob, key, ARN or encryption context.
    pub(crate) fn open(
        &self,
        arn: &str,
        material: &Secret<32>,
        context: &BTreeMap<String, String>,
    ) -> Option<SecretBytes> {
        let mut in_out = SecretBytes::with_capacity(self.sealed.len());
        in_out.extend(self.sealed);
        let length = aead(material)
            .ok()?
            .open_in_place(
                Nonce::assume_unique_for_key(self.nonce),
                Aad::from(additional_data(arn, context)),
                in_out.expose_mut(),
            )
            .ok()?
            .len();
        in_out.truncate(length);
        Some(in_out)
    }
}

fn aead(material: &Secret<32>) -> Result<LessSafeKey, Error> {
    UnboundKey::new(&AES_256_GCM, material.expose()).map(LessSafeKey::new).map_err(|_| Error::Random)
}

fn additional_data(arn: &str, context: &BTreeMap<String, String>) -> Vec<u8> {
    let mut data = ENCODING.to_vec();
    let mut text = |text: &str| {
        // Lengths are far below 2^64 on any machine; the request is at most a few hundred KiB.
        data.extend_from_slice(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        data.extend_from_slice(text.as_bytes());
    };
    text(arn);
    for (name, value) in context {
        text(name);
        text(value);
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn opens_only_what_was_sealed() {
        let key = Secret::copy_from(&[7; 32]).unwrap();
        let pairs = context(&[("a", "b"), ("c", "d")]);
        let blob = seal("id", "arn", &key, &pairs, b"hello").unwrap();
        let open = |blob: &[u8], arn: &str, pairs: &BTreeMap<String, String>| {
            parse(blob).and_then(|parsed| parsed.open(arn, &key, pairs)).map(|plain| plain.expose().to_vec())
        };
        assert_eq!(parse(&blob).unwrap().key_id, "id");
        assert_eq!(open(&blob, "arn", &pairs).unwrap(), b"hello");
        assert!(open(&blob, "arm", &pairs).is_none());
        for other in
            [context(&[]), context(&[("a", "b")]), context(&[("a", "bcd")]), context(&[("a", "d"), ("c", "b")])]
        {
            assert!(open(&blob, "arn", &other).is_none());
        }
        for position in 4..blob.len() {
            let mut changed = blob.clone();
            changed[position] ^= 1;
            assert!(open(&changed, "arn", &pairs).is_none(), "{position}");
        }
        for length in 0..blob.len() {
            assert!(open(&blob[..length], "arn", &pairs).is_none(), "{length}");
        }
        let other_key = Secret::copy_from(&[8; 32]).unwrap();
        assert!(parse(&blob).unwrap().open("arn", &other_key, &pairs).is_none());
    }

    #[test]
    fn contexts_that_concatenate_alike_differ() {
        let alike = [context(&[("ab", "c")]), context(&[("a", "bc")]), context(&[("abc", "")])];
        let data: std::collections::BTreeSet<_> = alike.iter().map(|pairs| additional_data("arn", pairs)).collect();
        assert_eq!(data.len(), alike.len());
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(1000))]
        #[test]
        fn parsing_never_panics(mut blob in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64)) {
            if let Some(first) = blob.first_mut() { *first &= 1; }
            let _ = parse(&blob);
        }
    }
}
