//! The eight steps, one file each.

pub(crate) mod artifact;
pub(crate) mod envelope;
pub(crate) mod evidence;
pub(crate) mod image;
pub(crate) mod keys;
pub(crate) mod policy;
pub(crate) mod source;
pub(crate) mod time;

use packproof_receipt::policy::{Pack, Policy};

pub(crate) use envelope::{Attested, Received};
pub(crate) use image::Measured;
pub(crate) use time::Times;

/// The auditor's policy and its one entry for the identity and environment asked about.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) pack: &'a Pack,
}

/// Whether `text` is `bytes` bytes as lower-case hex.
fn is_hex(text: &str, bytes: usize) -> bool {
    text.len() == bytes.saturating_mul(2) && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::is_hex;

    #[test]
    fn hex_has_one_form() {
        assert!(is_hex("00ff", 2));
        for other in ["00fF", "00f", "00ff0", "00fg", "é0f", ""] {
            assert!(!is_hex(other, 2), "{other}");
        }
    }
}
