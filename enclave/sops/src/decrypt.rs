//! From ciphertext to values.

use std::fmt::Write;

use aes_gcm::aead::{AeadInPlace, KeyInit};
use aes_gcm::aes::Aes256;
use aes_gcm::aes::cipher::consts::U32;
use aes_gcm::{AesGcm, Nonce, Tag};
use packproof_secret::{Secret, SecretBytes, SecretString};
use sha2::{Digest, Sha512};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::cell::{Cell, Item};
use crate::metadata::MAC_LEN;
use crate::sealed::{Kind, Sealed};
use crate::tree::Leaf;
use crate::{Plain, SopsError, Value, scalar};

impl Cell {
    /// Decrypts every value and compares the MAC; nothing comes back before both are done.
    ///
    /// Success proves that each encrypted value was written with this data key at its path, and that all values in the MAC
    /// are those, in this order, that its author saw. It does **not** prove, in SOPS itself as here: that no `null`,
    /// `""`, `{}` or `[]` was added; the names of keys above values in clear; the boundary between two neighbouring
    /// values in clear; the type of an encrypted value whose text reads the same (`type:int` made `type:str`); the
    /// selector, as long as it still selects what is encrypted; who the master keys are; comments; and with
    /// `mac_only_encrypted` any value in clear. So the file's bytes must be vouched for by something else: the enclave takes
    /// them from a signed commit, whose proof covers all of this.
    ///
    /// # Errors
    /// [`SopsError::ContentRefused`], whatever the reason.
    pub fn decrypt(self, data_key: &Secret<32>) -> Result<Plain, SopsError> {
        let metadata = self.metadata;
        let mut hash = Sha512::new();
        if metadata.mac_only_encrypted {
            hash.update(MAC_ONLY_ENCRYPTED_START);
        }
        let cipher = Cipher::new(data_key.expose().into());
        let mut opener =
            Opener { cipher, hash, clear_in_mac: !metadata.mac_only_encrypted, path: String::new(), refused: false };
        let entries = opener.map(self.entries);
        let mac = opener.open(metadata.mac, &metadata.last_modified);
        // A refused value does not end the work early: when the answer comes must not tell which value it was.
        let refused = opener.refused;
        let expected = hex_upper(opener.hash);
        let mac_fits = mac.is_some_and(|mac| bool::from(mac.expose().ct_eq(expected.as_slice())));
        if refused || !mac_fits {
            return Err(SopsError::ContentRefused);
        }
        Ok(Plain { entries })
    }
}

/// AES-256-GCM with SOPS's 32-byte nonce.
type Cipher = AesGcm<Aes256, U32>;

/// What a MAC over encrypted values only starts with, so that it never equals one over all values: SHA-256 of `sops`.
const MAC_ONLY_ENCRYPTED_START: [u8; 32] = [
    0x8a, 0x3f, 0xd2, 0xad, 0x54, 0xce, 0x66, 0x52, 0x7b, 0x10, 0x34, 0xf3, 0xd1, 0x47, 0xbe, 0x0b, 0x0b, 0x97, 0x5b,
    0x3b, 0xf4, 0x4f, 0x72, 0xc6, 0xfd, 0xad, 0xec, 0x81, 0x76, 0xf2, 0x7d, 0x69,
];

struct Opener {
    cipher: Cipher,
    hash: Sha512,
    clear_in_mac: bool,
    /// Every key of the path so far, each followed by `:`. The additional data of a value.
    path: String,
    refused: bool,
}

impl Opener {
    fn map(&mut self, items: Vec<(String, Item)>) -> Vec<(String, Value)> {
        let mut values = Vec::with_capacity(items.len());
        for (key, item) in items {
            let parent = self.path.len();
            self.path.push_str(&key);
            self.path.push(':');
            let value = self.value(item);
            self.path.truncate(parent);
            values.push((key, value));
        }
        values
    }

    fn value(&mut self, item: Item) -> Value {
        match item {
            Item::Map(items) => Value::Map(self.map(items)),
            Item::List(items) => {
                let mut values = Vec::with_capacity(items.len());
                for item in items {
                    values.push(self.value(item));
                }
                Value::List(values)
            }
            Item::Clear(leaf) => {
                let value = clear(leaf);
                if self.clear_in_mac {
                    self.add_to_mac(&value);
                }
                value
            }
            Item::Sealed(sealed) => {
                let kind = sealed.kind;
                let path = std::mem::take(&mut self.path);
                let value = self.open(sealed, &path).and_then(|bytes| typed(kind, bytes));
                self.path = path;
                let Some(value) = value else {
                    self.refused = true;
                    return Value::Null;
                };
                self.add_to_mac(&value);
                value
            }
        }
    }

    fn open(&self, sealed: Sealed, additional_data: &str) -> Option<SecretBytes> {
        let Sealed { ciphertext, nonce, tag, .. } = sealed;
        let mut bytes = SecretBytes::from(ciphertext);
        let (nonce, tag) = (Nonce::<U32>::from(nonce), Tag::from(tag));
        self.cipher
            .decrypt_in_place_detached(&nonce, additional_data.as_bytes(), bytes.expose_mut(), &tag)
            .ok()
            .map(|()| bytes)
    }

    /// SOPS's `ToBytes` into the hash.
    fn add_to_mac(&mut self, value: &Value) {
        let mut text = Zeroizing::new(String::with_capacity(MAX_NUMBER_CHARS));
        // Writing to a string cannot fail.
        let _ = match value {
            Value::Str(value) | Value::Time(value) => return self.hash.update(value.expose()),
            Value::Bool(true) => return self.hash.update("True"),
            Value::Bool(false) => return self.hash.update("False"),
            Value::Float(value) if value.is_nan() => return self.hash.update("NaN"),
            Value::Float(value) if value.is_infinite() && *value > 0.0 => return self.hash.update("+Inf"),
            Value::Float(value) if value.is_infinite() => return self.hash.update("-Inf"),
            Value::Int(value) => write!(text, "{value}"),
            // The shortest digits that read back the same, no exponent: Go's format 'f' with precision -1.
            Value::Float(value) => write!(text, "{value}"),
            Value::Null | Value::Comment(_) | Value::List(_) | Value::Map(_) => return,
        };
        self.hash.update(text.as_bytes());
    }
}

/// Longer than any double without exponent (the smallest needs 1077), so that the buffer never grows and leaves a copy.
const MAX_NUMBER_CHARS: usize = 1100;

fn clear(leaf: Leaf) -> Value {
    match leaf {
        Leaf::Null => Value::Null,
        Leaf::Bool(value) => Value::Bool(value),
        Leaf::Int(value) => Value::Int(value),
        Leaf::Float(value) => Value::Float(value),
        Leaf::Str(text) => Value::Str(SecretString::from(text)),
        Leaf::Time(text) => Value::Time(SecretString::from(text)),
    }
}

/// Reads a decrypted value by its type. Spellings that sops would read but never writes are refused at once; sops refuses
/// them too, as their MAC differs.
fn typed(kind: Kind, bytes: SecretBytes) -> Option<Value> {
    let text = SecretString::from_utf8(bytes)?;
    match kind {
        Kind::Str => Some(Value::Str(text)),
        Kind::Comment => Some(Value::Comment(text)),
        Kind::Int => text.expose().parse().ok().map(Value::Int),
        Kind::Float => match text.expose() {
            "+Inf" => Some(Value::Float(f64::INFINITY)),
            "-Inf" => Some(Value::Float(f64::NEG_INFINITY)),
            "NaN" => Some(Value::Float(f64::NAN)),
            digits if digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'-')) => {
                digits.parse().ok().filter(|value: &f64| value.is_finite()).map(Value::Float)
            }
            _ => None,
        },
        Kind::Bool => match text.expose() {
            "True" => Some(Value::Bool(true)),
            "False" => Some(Value::Bool(false)),
            _ => None,
        },
        Kind::Time => scalar::is_rfc3339_nano(text.expose()).then_some(Value::Time(text)),
    }
}

fn hex_upper(hash: Sha512) -> Zeroizing<[u8; MAC_LEN]> {
    let digest: Zeroizing<[u8; 64]> = Zeroizing::new(hash.finalize().into());
    let mut hex = Zeroizing::new([0; MAC_LEN]);
    let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    for (slot, digit) in hex.iter_mut().zip(digits) {
        // Arithmetic instead of a table: no access depends on the digest.
        let letter = u8::from(digit > 9).wrapping_mul(b'A' - b'9' - 1);
        *slot = b'0'.wrapping_add(digit).wrapping_add(letter);
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_upper_case_and_in_order() {
        let hex = hex_upper(Sha512::new());
        assert!(hex.starts_with(b"CF83E1357EEFB8BDF1542850D66D8007"));
        assert!(hex.ends_with(b"F927DA3E"));
    }

    #[test]
    fn types_are_read_as_sops_writes_them() {
        let read = |kind, text: &str| typed(kind, text.as_bytes().to_vec().into());
        assert!(matches!(read(Kind::Int, "-9223372036854775808"), Some(Value::Int(i64::MIN))));
        assert!(matches!(read(Kind::Bool, "True"), Some(Value::Bool(true))));
        assert!(matches!(read(Kind::Float, "-Inf"), Some(Value::Float(f64::NEG_INFINITY))));
        assert!(matches!(read(Kind::Time, "2026-01-02T00:00:00Z"), Some(Value::Time(_))));
        for (kind, text) in [
            (Kind::Int, ""),
            (Kind::Int, "1.5"),
            (Kind::Int, "9223372036854775808"),
            (Kind::Int, "0x1f"),
            (Kind::Float, ""),
            (Kind::Float, "1e5"),
            (Kind::Float, "inf"),
            (Kind::Float, "."),
            (Kind::Bool, "true"),
            (Kind::Bool, "1"),
            (Kind::Time, "2026-01-02"),
        ] {
            assert!(read(kind, text).is_none(), "{kind:?} {text:?}");
        }
        assert!(typed(Kind::Str, vec![0xff].into()).is_none());
    }

    #[test]
    fn numbers_enter_the_mac_without_exponent_and_fit_the_buffer() {
        for (value, expected) in [
            (1e21, "1000000000000000000000".to_owned()),
            (1e-7, "0.0000001".to_owned()),
            (-0.0, "-0".to_owned()),
            (0.1 + 0.2, "0.30000000000000004".to_owned()),
        ] {
            assert_eq!(format!("{value}"), expected);
        }
        for value in [f64::MAX, f64::MIN, f64::MIN_POSITIVE, f64::from_bits(1), -f64::from_bits(0x000f_ffff_ffff_ffff)]
        {
            assert!(format!("{value}").len() < MAX_NUMBER_CHARS);
        }
    }
}
