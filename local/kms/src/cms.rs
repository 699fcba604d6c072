//! `CiphertextForRecipient` exactly as AWS encodes it.
//!
//! CMS `EnvelopedData` (RFC 5652) in BER: outer levels of indefinite length, one recipient named by
//! SHA-256(`SubjectPublicKeyInfo`), RSAES-OAEP with SHA-256 and MGF1-SHA-256, AES-256-CBC, content in chunks of
//! 1000 bytes. There is no authentication in it: it is believed only because it came over TLS.
//!
//! Source: samples of AWS KMS; the sizes are checked in the tests below.

use aws_lc_rs::cipher::{AES_256, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey};
use packproof_secret::Secret;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::random;

/// How AWS splits the encrypted content.
const CHUNK: usize = 1000;
const BLOCK: usize = 16;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OCTET_STRING: u8 = 0x04;
/// `[0]`, primitive: the recipient's key identifier.
const CONTEXT_0: u8 = 0x80;
/// `[0]`, constructed.
const CONTEXT_0_CONSTRUCTED: u8 = 0xa0;
const INDEFINITE: u8 = 0x80;
const END_OF_CONTENTS: [u8; 2] = [0, 0];

const VERSION_2: [u8; 3] = [0x02, 0x01, 0x02];
/// 1.2.840.113549.1.7.3
const ID_ENVELOPED_DATA: [u8; 11] = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x03];
/// 1.2.840.113549.1.7.1
const ID_DATA: [u8; 11] = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
/// 1.2.840.113549.1.1.7
const ID_RSAES_OAEP: [u8; 11] = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x07];
/// 1.2.840.113549.1.1.8
const ID_MGF1: [u8; 11] = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08];
/// 2.16.840.1.101.3.4.1.42
const ID_AES256_CBC: [u8; 11] = [0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2a];
/// SEQUENCE of 2.16.840.1.101.3.4.2.1 and NULL
const SHA256_WITH_NULL: [u8; 15] =
    [0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00];

/// Encrypts `plaintext` to an RSA key whose SPKI has the SHA-256 `key_id`.
pub(crate) fn envelop(key: &OaepPublicEncryptingKey, key_id: &[u8; 32], plaintext: &[u8]) -> Result<Vec<u8>, Error> {
    let content_key: Secret<32> = random::secret()?;
    let iv: [u8; BLOCK] = random::bytes()?;

    let mut wrapped = vec![0; key.ciphertext_size()];
    let wrapped = key
        .encrypt(&OAEP_SHA256_MGF1SHA256, content_key.expose(), &mut wrapped, None)
        .map_err(|_| Error::Random)?
        .to_vec();

    // Room for the padding, so that the plaintext is encrypted where it lies and never moves.
    let mut content = Zeroizing::new(Vec::with_capacity(plaintext.len().saturating_add(BLOCK)));
    content.extend_from_slice(plaintext);
    UnboundCipherKey::new(&AES_256, content_key.expose())
        .and_then(PaddedBlockEncryptingKey::cbc_pkcs7)
        .and_then(|cipher| cipher.less_safe_encrypt(&mut *content, EncryptionContext::Iv128(FixedLength::from(iv))))
        .map_err(|_| Error::Random)?;
    Ok(encode(key_id, &wrapped, &iv, &content))
}

fn encode(key_id: &[u8; 32], wrapped_key: &[u8], iv: &[u8; BLOCK], content: &[u8]) -> Vec<u8> {
    let hash = element(CONTEXT_0_CONSTRUCTED, &SHA256_WITH_NULL);
    // [1]: the mask generation function
    let mgf = element(0xa1, &element(SEQUENCE, &[&ID_MGF1[..], &SHA256_WITH_NULL].concat()));
    let oaep = element(SEQUENCE, &[&ID_RSAES_OAEP[..], &element(SEQUENCE, &[hash, mgf].concat())].concat());
    let recipient = [&VERSION_2[..], &element(CONTEXT_0, key_id), &oaep, &element(OCTET_STRING, wrapped_key)].concat();
    let aes = element(SEQUENCE, &[&ID_AES256_CBC[..], &element(OCTET_STRING, iv)].concat());
    let chunks: Vec<u8> = content.chunks(CHUNK).flat_map(|chunk| element(OCTET_STRING, chunk)).collect();

    let encrypted_content =
        indefinite(SEQUENCE, &[&ID_DATA[..], &aes, &indefinite(CONTEXT_0_CONSTRUCTED, &chunks)].concat());
    let enveloped_data = indefinite(
        SEQUENCE,
        &[&VERSION_2[..], &element(SET, &element(SEQUENCE, &recipient)), &encrypted_content].concat(),
    );
    indefinite(SEQUENCE, &[&ID_ENVELOPED_DATA[..], &indefinite(CONTEXT_0_CONSTRUCTED, &enveloped_data)].concat())
}

/// An element of definite length, in the shortest form.
fn element(tag: u8, contents: &[u8]) -> Vec<u8> {
    let mut element = vec![tag];
    match u8::try_from(contents.len()) {
        Ok(length @ 0..=0x7f) => element.push(length),
        _ => {
            let length = contents.len().to_be_bytes();
            let digits: Vec<u8> = length.into_iter().skip_while(|&byte| byte == 0).collect();
            // At most eight bytes of length, so the sum stays below 0x89.
            element.push(u8::try_from(digits.len()).map_or(0xff, |count| 0x80 | count));
            element.extend(digits);
        }
    }
    element.extend_from_slice(contents);
    element
}

fn indefinite(tag: u8, contents: &[u8]) -> Vec<u8> {
    [&[tag, INDEFINITE][..], contents, &END_OF_CONTENTS].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::path::Path;

    /// Everything but key identifier, wrapped key, IV and content.
    fn same_profile(ours: &[u8], theirs: &[u8]) {
        // Positions of the three values that differ, in every message with one RSA-2048 recipient.
        let differs = [33..65, 131..387, 415..431];
        assert_eq!(ours.len(), theirs.len());
        for (position, (our, their)) in ours.iter().zip(theirs).enumerate().take(435) {
            if !differs.iter().any(|range| range.contains(&position)) {
                assert_eq!(our, their, "byte {position}");
            }
        }
        assert_eq!(ours[ours.len() - 10..], theirs[theirs.len() - 10..]);
    }

    #[test]
    fn sizes_are_those_of_aws() {
        for (content, size) in [(16, 461), (48, 493), (4112, 4573)] {
            assert_eq!(encode(&[1; 32], &[2; 256], &[3; 16], &vec![4; content]).len(), size, "{content}");
        }
    }

    #[test]
    fn layout_is_that_of_samples_made_by_aws() {
        let vectors = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors/cms"));
        if !vectors.exists() {
            assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "CI needs the shared vectors");
            return;
        }
        for (name, content) in [
            ("hello-world.ber", 16),
            ("kms-recipient-1.ber", 16),
            ("kms-recipient-2.ber", 48),
            ("kms-recipient-4.ber", 4112),
        ] {
            let theirs = std::fs::read(vectors.join(name)).unwrap();
            same_profile(&encode(&[1; 32], &[2; 256], &[3; 16], &vec![0; content]), &theirs);
        }
    }
}
