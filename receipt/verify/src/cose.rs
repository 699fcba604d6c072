//! The one signature of a `COSE_Sign1` in the Nitro profile: ECDSA with P-384 and SHA-384, fixed.

use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};
use packproof_receipt::document::UnverifiedDocument;

/// Whether the holder of the private key of `point` signed this document.
///
/// `point` is an uncompressed P-384 point from a certificate that was verified first. Algorithm and curve are those
/// of the profile, whatever a header or a certificate says. The signed bytes are made from protected header and
/// payload as received. Both values of the signature must be in 1 to n-1; a high s is accepted, as the NSM makes
/// them, so one payload has more than one valid document and a document's hash identifies nothing.
pub(crate) fn is_signed_by(document: &UnverifiedDocument<'_>, point: &[u8]) -> bool {
    let signed = sig_structure(document.protected, document.payload);
    UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).verify(&signed, document.signature).is_ok()
}

/// RFC 9052, 4.4: the array of context, protected header, external data (none) and payload.
fn sig_structure(protected: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len() + 32);
    bytes.push(0x84);
    bytes.push(0x6a);
    bytes.extend_from_slice(b"Signature1");
    push_byte_string(&mut bytes, protected);
    push_byte_string(&mut bytes, b"");
    push_byte_string(&mut bytes, payload);
    bytes
}

/// A CBOR byte string with its length in the shortest form.
fn push_byte_string(out: &mut Vec<u8>, content: &[u8]) {
    let length = u64::try_from(content.len()).unwrap_or(u64::MAX);
    let [.., b2, b1, b0] = length.to_be_bytes();
    match length {
        0..=23 => out.push(0x40 | b0),
        24..=0xff => out.extend_from_slice(&[0x58, b0]),
        0x100..=0xffff => out.extend_from_slice(&[0x59, b1, b0]),
        // The payload is bounded far below 2^24.
        _ => out.extend_from_slice(&[0x5a, 0, b2, b1, b0]),
    }
    out.extend_from_slice(content);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9052, appendix C.2.1 uses this structure; its lengths cover the immediate and the one-byte form.
    #[test]
    fn builds_the_signed_structure() {
        let built = sig_structure(&[0xa1, 0x01, 0x26], b"This is the content.");
        let expected = "846a5369676e61747572653143a101264054546869732069732074686520636f6e74656e742e";
        assert_eq!(hex::encode(built), expected);
    }

    #[test]
    fn writes_lengths_in_their_shortest_form() {
        for (length, head) in
            [(23, "57"), (24, "5818"), (255, "58ff"), (256, "590100"), (65_535, "59ffff"), (65_536, "5a00010000")]
        {
            let mut out = Vec::new();
            push_byte_string(&mut out, &vec![0; length]);
            assert_eq!(hex::encode(&out[..out.len() - length]), head);
        }
    }
}
