//! Types for plaintext and keys.
//!
//! A value of these types is wiped when dropped and has neither `Debug`, `Display`, `Clone`, `PartialEq` nor
//! `Serialize`: it cannot reach a log, an error or a message by accident. The one way to look inside is
//! [`Secret::expose`] (and its twins), so `grep expose` lists every use.
//!
//! What is not promised: memory that a foreign library copied out of an exposed slice is that library's to wipe.
#![forbid(unsafe_code)]

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// A secret of exactly `N` bytes: a data key, a seed. Lives on the heap, so moving it leaves no copy behind.
#[derive(ZeroizeOnDrop)]
pub struct Secret<const N: usize>(Box<[u8; N]>);

impl<const N: usize> Secret<N> {
    /// Fills a secret in place, so that it never exists anywhere else.
    ///
    /// # Errors
    /// Whatever `fill` returns; the partly filled buffer is wiped.
    pub fn fill<E>(fill: impl FnOnce(&mut [u8; N]) -> Result<(), E>) -> Result<Self, E> {
        let mut secret = Self(Box::new([0; N]));
        fill(&mut secret.0)?;
        Ok(secret)
    }

    /// Copies `bytes`; `None` when there are not exactly `N`. The source remains the caller's to wipe.
    pub fn copy_from(bytes: &[u8]) -> Option<Self> {
        let mut secret = Self(Box::new([0; N]));
        if bytes.len() != N {
            return None;
        }
        secret.0.copy_from_slice(bytes);
        Some(secret)
    }

    /// The bytes.
    pub fn expose(&self) -> &[u8; N] {
        &self.0
    }
}

/// A secret of any length. Growing copies into a new buffer and wipes the old one.
#[derive(Default, ZeroizeOnDrop)]
pub struct SecretBytes(Vec<u8>);

impl SecretBytes {
    /// An empty secret.
    pub fn new() -> Self {
        Self(Vec::new())
    }

    /// An empty secret with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// Appends `more`. Where the buffer must grow, the old one is wiped.
    pub fn extend(&mut self, more: &[u8]) {
        let needed = self.0.len().saturating_add(more.len());
        if needed > self.0.capacity() {
            let mut grown = Vec::with_capacity(needed.max(self.0.capacity().saturating_mul(2)));
            grown.extend_from_slice(&self.0);
            self.0.zeroize();
            self.0 = grown;
        }
        self.0.extend_from_slice(more);
    }

    /// The bytes.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, to be changed in place (decryption in place). The length is fixed.
    pub fn expose_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// Shortens to `len` bytes and wipes the rest. Does nothing when there are fewer.
    pub fn truncate(&mut self, len: usize) {
        if let Some(rest) = self.0.get_mut(len..) {
            rest.zeroize();
            self.0.truncate(len);
        }
    }

    /// How many bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Vec<u8>> for SecretBytes {
    /// Takes the buffer over; no copy is made.
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

/// A secret that is UTF-8 text.
#[derive(Default, ZeroizeOnDrop)]
pub struct SecretString(String);

impl SecretString {
    /// Takes `bytes` over when they are UTF-8; otherwise they are wiped and `None` comes back.
    pub fn from_utf8(mut bytes: SecretBytes) -> Option<Self> {
        match String::from_utf8(std::mem::take(&mut bytes.0)) {
            Ok(text) => Some(Self(text)),
            Err(error) => {
                let _wiped = Zeroizing::new(error.into_bytes());
                None
            }
        }
    }

    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for SecretString {
    /// Takes the buffer over; no copy is made.
    fn from(text: String) -> Self {
        Self(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copy_from_wants_the_exact_length() {
        assert!(Secret::<4>::copy_from(&[1, 2, 3]).is_none());
        assert!(Secret::<4>::copy_from(&[1, 2, 3, 4, 5]).is_none());
        assert_eq!(Secret::<4>::copy_from(&[1, 2, 3, 4]).unwrap().expose(), &[1, 2, 3, 4]);
    }

    #[test]
    fn growing_keeps_the_bytes_and_truncating_drops_them() {
        let mut bytes = SecretBytes::with_capacity(1);
        for i in 0..100_u8 {
            bytes.extend(&[i; 3]);
        }
        assert_eq!(bytes.len(), 300);
        assert_eq!(bytes.expose().last(), Some(&99));
        bytes.truncate(2);
        assert_eq!(bytes.expose(), &[0, 0]);
        bytes.truncate(5);
        assert_eq!(bytes.len(), 2);
    }

    #[test]
    fn text_is_checked() {
        assert!(SecretString::from_utf8(vec![0xff].into()).is_none());
        assert_eq!(SecretString::from_utf8(b"ok".to_vec().into()).unwrap().expose(), "ok");
    }
}
