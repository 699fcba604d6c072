//! Encryption of the plaintext, and the way back.
//!
//! The plaintext is taken by value and wiped here. The `age` crate copies up to 64 KiB of it into a buffer that it frees
//! without wiping.
//!
//! Source: age-encryption.org/v1; NIST SP 800-38D.

use std::fmt;
use std::io::{Read, Write};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::agreement;
use packproof_secret::{Secret, SecretBytes, SecretString};
use zeroize::Zeroizing;

/// Length of an AES-256-GCM tag in bytes.
const TAG_LEN: usize = 16;

/// Plaintext encrypted under a data key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedKms {
    /// As long as the plaintext; the tag is not in it.
    pub ciphertext: Vec<u8>,
    /// The nonce.
    pub iv: [u8; NONCE_LEN],
    /// The tag.
    pub auth_tag: [u8; TAG_LEN],
}

/// Why something is not encrypted or not decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SealError {
    /// Not an age X25519 recipient in its one spelling, checksum included.
    BadRecipient,
    /// A recipient whose point has low order: anybody could decrypt.
    WeakRecipient,
    /// The source of randomness failed.
    Randomness,
    /// The library could not encrypt.
    Encrypt,
    /// Not an age X25519 identity.
    BadIdentity,
    /// The nonce is not 12 bytes or the tag not 16.
    BadLength,
    /// Wrong key, or the ciphertext was changed, or it is no (binary) age file.
    Decrypt,
}

/// Encrypts to exactly one age recipient (`age1…`, X25519). Returns a binary age file.
///
/// Randomness comes from the system, inside the `age` crate.
///
/// # Errors
/// [`SealError::BadRecipient`], [`SealError::WeakRecipient`], [`SealError::Encrypt`].
pub fn seal_age(plaintext: SecretBytes, recipient: &str) -> Result<Vec<u8>, SealError> {
    let recipient = parse_recipient(recipient)?;
    let recipient: &dyn age::Recipient = &recipient;
    let encryptor = age::Encryptor::with_recipients(std::iter::once(recipient)).map_err(|_| SealError::Encrypt)?;
    // Writing to a Vec cannot fail.
    let mut writer = encryptor.wrap_output(Vec::new()).map_err(|_| SealError::Encrypt)?;
    writer.write_all(plaintext.expose()).map_err(|_| SealError::Encrypt)?;
    writer.finish().map_err(|_| SealError::Encrypt)
}

/// Checks an age recipient by the rules of [`seal_age`], without encrypting.
///
/// # Errors
/// [`SealError::BadRecipient`], [`SealError::WeakRecipient`].
pub fn check_recipient(recipient: &str) -> Result<(), SealError> {
    parse_recipient(recipient).map(drop)
}

fn parse_recipient(text: &str) -> Result<age::x25519::Recipient, SealError> {
    let recipient: age::x25519::Recipient = text.parse().map_err(|_| SealError::BadRecipient)?;
    // Bech32 may also be written in capitals; the policy compares text, so one spelling.
    if recipient.to_string() != text {
        return Err(SealError::BadRecipient);
    }
    let point = recipient_point(text).ok_or(SealError::BadRecipient)?;
    // With a point of low order every shared secret is zero, whatever the private key, and the age crate panics. So one
    // agreement tells, with a private key that is no secret.
    let private =
        agreement::PrivateKey::from_private_key(&agreement::X25519, &[1; 32]).map_err(|_| SealError::Encrypt)?;
    let peer = agreement::UnparsedPublicKey::new(&agreement::X25519, point);
    agreement::agree(&private, peer, SealError::WeakRecipient, |_| Ok(()))?;
    Ok(recipient)
}

/// The 32 bytes in a recipient that was already parsed: 52 characters of five bits, padding, six of checksum.
fn recipient_point(text: &str) -> Option<[u8; 32]> {
    let data = text.strip_prefix("age1")?;
    let (payload, _checksum) = data.split_at_checked(data.len().checked_sub(6)?)?;
    let mut point = Vec::with_capacity(32);
    let (mut bits, mut count) = (0_u32, 0_u32);
    for c in payload.chars() {
        let five = "qpzry9x8gf2tvdw0s3jn54khce6mua7l".find(c)?;
        bits = (bits << 5 | u32::try_from(five).ok()?) & 0xfff;
        count = count.checked_add(5)?;
        if let Some(left) = count.checked_sub(8) {
            point.push(u8::try_from(bits >> left & 0xff).ok()?);
            count = left;
        }
    }
    point.try_into().ok()
}

/// Decrypts a binary age file with an identity (`AGE-SECRET-KEY-1…`, X25519).
///
/// # Errors
/// [`SealError::BadIdentity`], [`SealError::Decrypt`]; an armored file is the latter.
pub fn open_age(ciphertext: &[u8], identity: &SecretString) -> Result<SecretBytes, SealError> {
    let identity: age::x25519::Identity = identity.expose().parse().map_err(|_| SealError::BadIdentity)?;
    let decryptor = age::Decryptor::new(ciphertext).map_err(|_| SealError::Decrypt)?;
    let identity: &dyn age::Identity = &identity;
    let mut reader = decryptor.decrypt(std::iter::once(identity)).map_err(|_| SealError::Decrypt)?;
    let mut plaintext = SecretBytes::with_capacity(ciphertext.len());
    let mut buffer = Zeroizing::new([0; 4096]);
    loop {
        let count = reader.read(buffer.as_mut_slice()).map_err(|_| SealError::Decrypt)?;
        match buffer.get(..count) {
            None | Some([]) => return Ok(plaintext),
            Some(read) => plaintext.extend(read),
        }
    }
}

/// Encrypts with AES-256-GCM, no additional data. `data_key` is spent: it encrypts this one message.
///
/// `fill_iv` fills the nonce with fresh random bytes.
///
/// # Errors
/// [`SealError::Randomness`] when `fill_iv` fails; [`SealError::Encrypt`].
pub fn seal_kms<E>(
    mut plaintext: SecretBytes,
    data_key: Secret<32>,
    fill_iv: impl FnOnce(&mut [u8; NONCE_LEN]) -> Result<(), E>,
) -> Result<SealedKms, SealError> {
    let mut iv = [0; NONCE_LEN];
    fill_iv(&mut iv).map_err(|_| SealError::Randomness)?;
    let tag = aes_key(&data_key)
        .ok_or(SealError::Encrypt)?
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(iv), Aad::empty(), plaintext.expose_mut())
        .map_err(|_| SealError::Encrypt)?;
    let auth_tag = tag.as_ref().try_into().map_err(|_| SealError::Encrypt)?;
    Ok(SealedKms { ciphertext: plaintext.expose().to_vec(), iv, auth_tag })
}

/// Decrypts what [`seal_kms`] made.
///
/// # Errors
/// [`SealError::BadLength`], [`SealError::Decrypt`].
pub fn open_kms(
    ciphertext: &[u8],
    iv: &[u8],
    auth_tag: &[u8],
    data_key: &Secret<32>,
) -> Result<SecretBytes, SealError> {
    let iv: [u8; NONCE_LEN] = iv.try_into().map_err(|_| SealError::BadLength)?;
    if auth_tag.len() != TAG_LEN {
        return Err(SealError::BadLength);
    }
    let mut plaintext = SecretBytes::with_capacity(ciphertext.len().saturating_add(TAG_LEN));
    plaintext.extend(ciphertext);
    plaintext.extend(auth_tag);
    aes_key(data_key)
        .ok_or(SealError::Decrypt)?
        .open_in_place(Nonce::assume_unique_for_key(iv), Aad::empty(), plaintext.expose_mut())
        .map_err(|_| SealError::Decrypt)?;
    plaintext.truncate(ciphertext.len());
    Ok(plaintext)
}

fn aes_key(data_key: &Secret<32>) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, data_key.expose()).ok().map(LessSafeKey::new)
}

impl SealError {
    /// A stable name for this kind of refusal.
    pub fn code(self) -> &'static str {
        match self {
            Self::BadRecipient => "seal_bad_recipient",
            Self::WeakRecipient => "seal_weak_recipient",
            Self::Randomness => "seal_randomness",
            Self::Encrypt => "seal_encrypt",
            Self::BadIdentity => "seal_bad_identity",
            Self::BadLength => "seal_bad_length",
            Self::Decrypt => "seal_decrypt",
        }
    }
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadRecipient => "not an age X25519 recipient (mistyped?); expected age1… in lower case",
            Self::WeakRecipient => {
                "the age recipient is a point of low order, so anybody could decrypt; use a real key"
            }
            Self::Randomness => "no randomness; try again",
            Self::Encrypt => "encryption failed; try again",
            Self::BadIdentity => "not an age X25519 identity; expected AGE-SECRET-KEY-1…",
            Self::BadLength => "the nonce is not 12 bytes or the tag not 16; the artifact was changed",
            Self::Decrypt => "decryption failed: wrong key, or the ciphertext was changed",
        })
    }
}

impl std::error::Error for SealError {}

#[cfg(test)]
mod tests {
    use super::*;

    // From the age project's own tests.
    const IDENTITY: &str = "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33";
    const RECIPIENT: &str = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa";

    fn bytes(text: &[u8]) -> SecretBytes {
        text.to_vec().into()
    }

    fn identity(text: &str) -> SecretString {
        text.to_owned().into()
    }

    fn key(byte: u8) -> Secret<32> {
        Secret::copy_from(&[byte; 32]).unwrap()
    }

    fn fixed_iv(iv: &mut [u8; 12]) -> Result<(), ()> {
        *iv = [7; 12];
        Ok(())
    }

    #[test]
    fn age_round_trip_over_chunk_borders() {
        for length in [0, 1, 65_535, 65_536, 65_537, 200_000] {
            let plaintext = vec![b'x'; length];
            let file = seal_age(bytes(&plaintext), RECIPIENT).unwrap();
            assert!(file.starts_with(b"age-encryption.org/v1\n-> X25519 "));
            assert_eq!(open_age(&file, &identity(IDENTITY)).unwrap().expose(), plaintext);
        }
    }

    #[test]
    fn age_file_has_one_x25519_stanza() {
        let file = seal_age(bytes(b"{}"), RECIPIENT).unwrap();
        let header = String::from_utf8_lossy(&file);
        assert_eq!(header.matches("-> X25519 ").count(), 1);
    }

    #[test]
    fn refuses_recipients_that_are_mistyped_or_of_another_kind() {
        let mistyped = RECIPIENT.replace("svpy7pa", "svpy7pq");
        let capitals = RECIPIENT.to_uppercase();
        let padded = format!(" {RECIPIENT}");
        for bad in ["", "age1", "age1qqqqqq", &mistyped, &capitals, &padded, IDENTITY, "ssh-ed25519 AAAA", "age1é"] {
            assert_eq!(seal_age(bytes(b"{}"), bad).map(drop), Err(SealError::BadRecipient), "{bad}");
            assert_eq!(check_recipient(bad), Err(SealError::BadRecipient), "{bad}");
        }
    }

    #[test]
    fn refuses_points_of_low_order() {
        // 0, 1, the two of order 8, p - 1, p, p + 1 (cr.yp.to/ecdh.html), then the same with the top bit, which X25519
        // ignores; written by a Bech32 encoder in Python.
        for weak in include_str!("../tests/data/weak-recipients.txt").lines() {
            assert!(weak.parse::<age::x25519::Recipient>().is_ok(), "{weak} has a wrong checksum");
            assert_eq!(check_recipient(weak), Err(SealError::WeakRecipient), "{weak}");
            assert_eq!(seal_age(bytes(b"{}"), weak).map(drop), Err(SealError::WeakRecipient), "{weak}");
        }
        assert_eq!(check_recipient(RECIPIENT), Ok(()));
    }

    #[test]
    fn recipient_point_is_the_one_age_uses() {
        let expected = hex::decode("5f8662658a1446e3aa0b6fc63c84988966c99f5fa3fc7102c9a73b0690fa9075").unwrap();
        assert_eq!(recipient_point(RECIPIENT).unwrap().as_slice(), expected);
    }

    #[test]
    fn refuses_age_files_that_were_changed_armored_or_for_others() {
        let file = seal_age(bytes(b"{\"a\":{}}"), RECIPIENT).unwrap();
        let fails = |file: &[u8]| open_age(file, &identity(IDENTITY)).map(drop);
        for i in 0..file.len() {
            let mut changed = file.clone();
            changed[i] ^= 1;
            assert_eq!(fails(&changed), Err(SealError::Decrypt), "byte {i}");
        }
        assert_eq!(fails(&file[..file.len() - 1]), Err(SealError::Decrypt));
        assert_eq!(fails(&[file.as_slice(), b"\0"].concat()), Err(SealError::Decrypt));
        assert_eq!(fails(b""), Err(SealError::Decrypt));
        let recipient: age::x25519::Recipient = RECIPIENT.parse().unwrap();
        let armored = age::encrypt_and_armor(&recipient, b"{}").unwrap();
        assert_eq!(fails(armored.as_bytes()), Err(SealError::Decrypt));
        let other = age::x25519::Identity::generate().to_public().to_string();
        assert_eq!(fails(&seal_age(bytes(b"{}"), &other).unwrap()), Err(SealError::Decrypt));
    }

    #[test]
    fn refuses_what_is_no_identity() {
        let file = seal_age(bytes(b"{}"), RECIPIENT).unwrap();
        for bad in ["", RECIPIENT, "AGE-SECRET-KEY-1QQQ"] {
            assert_eq!(open_age(&file, &identity(bad)).map(drop), Err(SealError::BadIdentity));
        }
    }

    #[test]
    fn aes_agrees_with_openssl() {
        // Python's cryptography (OpenSSL): AESGCM(b"\x09"*32).encrypt(b"\x07"*12, b'{"a":{}}', None)
        let sealed = seal_kms(bytes(b"{\"a\":{}}"), key(9), fixed_iv).unwrap();
        assert_eq!(hex::encode(&sealed.ciphertext), "2299ecbd520a8264");
        assert_eq!(hex::encode(sealed.auth_tag), "215a1ce88860a3414b5446da20b8cdc9");
        assert_eq!(sealed.iv, [7; 12]);
        let opened = open_kms(&sealed.ciphertext, &sealed.iv, &sealed.auth_tag, &key(9)).unwrap();
        assert_eq!(opened.expose(), b"{\"a\":{}}");
    }

    #[test]
    fn refuses_changed_aes_ciphertext_nonce_tag_and_key() {
        let sealed = seal_kms(bytes(b"{}"), key(9), fixed_iv).unwrap();
        let open = |ciphertext: &[u8], iv: &[u8], tag: &[u8], k: u8| open_kms(ciphertext, iv, tag, &key(k)).map(drop);
        let flip = |bytes: &[u8]| bytes.iter().map(|b| b ^ 1).collect::<Vec<u8>>();
        let (ciphertext, iv, tag) = (&sealed.ciphertext, &sealed.iv, &sealed.auth_tag);
        assert_eq!(open(ciphertext, iv, tag, 9), Ok(()));
        assert_eq!(open(&flip(ciphertext), iv, tag, 9), Err(SealError::Decrypt));
        assert_eq!(open(ciphertext, &flip(iv), tag, 9), Err(SealError::Decrypt));
        assert_eq!(open(ciphertext, iv, &flip(tag), 9), Err(SealError::Decrypt));
        assert_eq!(open(ciphertext, iv, tag, 8), Err(SealError::Decrypt));
        assert_eq!(open(ciphertext, &iv[1..], tag, 9), Err(SealError::BadLength));
        assert_eq!(open(ciphertext, iv, &tag[1..], 9), Err(SealError::BadLength));
        assert_eq!(open(&[ciphertext.as_slice(), tag].concat(), iv, tag, 9), Err(SealError::Decrypt), "tag left on");
    }

    #[test]
    fn failing_randomness_is_an_error() {
        let result = seal_kms(bytes(b"{}"), key(9), |_| Err("broken"));
        assert_eq!(result, Err(SealError::Randomness));
    }
}
