//! The two texts of public keys: Ed25519 as SPKI, and an age recipient. Each key has one text.

use base64::{Engine, prelude::BASE64_STANDARD};
use bech32::{FromBase32, Variant};

/// The point of an Ed25519 SubjectPublicKeyInfo, 44 bytes of DER in base64. `None` when the text is anything else.
pub(crate) fn ed25519_point(text: &str) -> Option<[u8; 32]> {
    let spki = BASE64_STANDARD.decode(text).ok()?;
    spki.strip_prefix(&ED25519_SPKI_PREFIX)?.try_into().ok()
}

/// Whether `text` is an X25519 recipient: Bech32 of 32 bytes under `age`, lower case, with its checksum.
///
/// Source: C2SP age, "The X25519 recipient type"; BIP 173.
pub(crate) fn is_age_recipient(text: &str) -> bool {
    let Ok((prefix, digits, Variant::Bech32)) = bech32::decode(text) else { return false };
    let point = Vec::<u8>::from_base32(&digits).unwrap_or_default();
    prefix == "age" && point.len() == 32 && !text.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// DER of an Ed25519 SubjectPublicKeyInfo up to the key (RFC 8410).
const ED25519_SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with `age-keygen`.
    const RECIPIENTS: [&str; 2] = [
        "age1csv9wymrtwe207sxuywl79ugy4e7qwtadh36djapu2ld70tes3ns7whxhg",
        "age1mswhdj5n08vtq4rjd7v4v034eykh80t0rvjf3f6fz6nmr5y3xuequkpasy",
    ];

    #[test]
    fn recipients_of_age_keygen_have_the_form() {
        assert!(RECIPIENTS.into_iter().all(is_age_recipient));
    }

    #[test]
    fn each_departure_from_a_recipient_is_refused() {
        let [good, _] = RECIPIENTS;
        for at in 4..good.len() {
            let other = if good.as_bytes().get(at) == Some(&b'q') { "p" } else { "q" };
            let mut bad = good.to_owned();
            bad.replace_range(at..=at, other);
            assert!(!is_age_recipient(&bad), "{bad}");
        }
        let upper = good.to_ascii_uppercase();
        let longer = format!("{good}q");
        for bad in ["", "age1", &good[..61], &longer, &upper, &good.replacen("age1", "agf1", 1)] {
            assert!(!is_age_recipient(bad), "{bad}");
        }
        // 52 digits are 32 bytes and four bits, which are zero
        let (_, mut digits, _) = bech32::decode(good).unwrap();
        let encode = |prefix, digits: &[bech32::u5], variant| bech32::encode(prefix, digits, variant).unwrap();
        assert_eq!(encode("age", &digits, Variant::Bech32), good);
        assert!(!is_age_recipient(&encode("age", &digits, Variant::Bech32m)));
        assert!(!is_age_recipient(&encode("agf", &digits, Variant::Bech32)));
        assert!(!is_age_recipient(&encode("age", &digits[..51], Variant::Bech32)));
        digits[51] = bech32::u5::try_from_u8(digits[51].to_u8() | 1).unwrap();
        assert!(!is_age_recipient(&encode("age", &digits, Variant::Bech32)));
    }

    #[test]
    fn an_ed25519_key_has_one_text() {
        let good = BASE64_STANDARD.encode([&ED25519_SPKI_PREFIX[..], &[7; 32]].concat());
        assert_eq!(ed25519_point(&good), Some([7; 32]));
        for bytes in [
            [&ED25519_SPKI_PREFIX[..], &[7; 31]].concat(),
            [&ED25519_SPKI_PREFIX[..], &[7; 33]].concat(),
            // X25519 is 1.3.101.110
            [&[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x03, 0x21, 0x00][..], &[7; 32]].concat(),
        ] {
            assert_eq!(ed25519_point(&BASE64_STANDARD.encode(bytes)), None);
        }
        for text in ["", good.trim_end_matches('='), &format!("{good} ")] {
            assert_eq!(ed25519_point(text), None);
        }
    }
}
