//! Writes `CiphertextForRecipient` messages, good and bad. Knows nothing of the reader.

use aws_lc_rs::cipher::{AES_256, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use sha2::{Digest, Sha256};

/// How the message is written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    /// As KMS does: indefinite outside, the content in pieces.
    Pieces,
    /// As KMS sometimes does: indefinite outside, the content in one piece.
    Single,
    /// Everything of definite length, the content in pieces.
    Definite,
}

/// The fields of a message, each to be changed at will.
#[derive(Clone)]
pub(crate) struct Message {
    pub(crate) outer_type: Vec<u8>,
    pub(crate) inner_type: Vec<u8>,
    pub(crate) version: u8,
    pub(crate) recipients: usize,
    pub(crate) recipient_version: u8,
    pub(crate) recipient_id: Vec<u8>,
    pub(crate) key_algorithm: Vec<u8>,
    pub(crate) wrapped_key: Vec<u8>,
    pub(crate) content_cipher: Vec<u8>,
    pub(crate) iv: Vec<u8>,
    pub(crate) content: Vec<u8>,
    pub(crate) piece_bytes: usize,
}

/// What KMS does for the holder of the key `spki`. A `content_key` of another length than 32 is wrapped as it is; the
/// content is then under its first 32 bytes, zeros added.
pub(crate) fn seal(spki: &[u8], content_key: &[u8], plaintext: &[u8]) -> Message {
    let public = OaepPublicEncryptingKey::new(PublicEncryptingKey::from_der(spki).unwrap()).unwrap();
    let mut wrapped_key = vec![0; public.ciphertext_size()];
    public.encrypt(&OAEP_SHA256_MGF1SHA256, content_key, &mut wrapped_key, None).unwrap();
    let iv = [9; 16];
    let mut cipher_key = content_key.to_vec();
    cipher_key.resize(32, 0);
    let cipher = PaddedBlockEncryptingKey::cbc_pkcs7(UnboundCipherKey::new(&AES_256, &cipher_key).unwrap()).unwrap();
    let mut content = plaintext.to_vec();
    cipher.less_safe_encrypt(&mut content, EncryptionContext::Iv128(FixedLength::from(iv))).unwrap();
    Message {
        outer_type: hex::decode("2a864886f70d010703").unwrap(),
        inner_type: hex::decode("2a864886f70d010701").unwrap(),
        version: 2,
        recipients: 1,
        recipient_version: 2,
        recipient_id: Sha256::digest(spki).to_vec(),
        key_algorithm: hex::decode(concat!(
            "06092a864886f70d010107302fa00f300d06096086480165030402010500",
            "a11c301a06092a864886f70d010108300d06096086480165030402010500"
        ))
        .unwrap(),
        wrapped_key,
        content_cipher: hex::decode("60864801650304012a").unwrap(),
        iv: iv.to_vec(),
        content,
        piece_bytes: 1000,
    }
}

impl Message {
    pub(crate) fn encode(&self, form: Form) -> Vec<u8> {
        let outer = |tag: u8, body: &[u8]| match form {
            Form::Definite => tlv(tag, body),
            _ => [&[tag, 0x80], body, &[0, 0]].concat(),
        };
        let recipient = tlv(
            0x30,
            &[
                tlv(0x02, &[self.recipient_version]),
                tlv(0x80, &self.recipient_id),
                tlv(0x30, &self.key_algorithm),
                tlv(0x04, &self.wrapped_key),
            ]
            .concat(),
        );
        let content = match form {
            Form::Single => tlv(0x80, &self.content),
            _ => {
                let pieces: Vec<u8> =
                    self.content.chunks(self.piece_bytes).flat_map(|piece| tlv(0x04, piece)).collect();
                outer(0xa0, &pieces)
            }
        };
        let cipher = tlv(0x30, &[tlv(0x06, &self.content_cipher), tlv(0x04, &self.iv)].concat());
        let content_info = outer(0x30, &[tlv(0x06, &self.inner_type), cipher, content].concat());
        let enveloped = outer(
            0x30,
            &[tlv(0x02, &[self.version]), tlv(0x31, &recipient.repeat(self.recipients)), content_info].concat(),
        );
        outer(0x30, &[tlv(0x06, &self.outer_type), outer(0xa0, &enveloped)].concat())
    }
}

fn tlv(tag: u8, body: &[u8]) -> Vec<u8> {
    let len = u16::try_from(body.len()).unwrap().to_be_bytes();
    let head: &[u8] = match body.len() {
        0..=0x7f => &[tag, len[1]],
        0x80..=0xff => &[tag, 0x81, len[1]],
        _ => &[tag, 0x82, len[0], len[1]],
    };
    [head, body].concat()
}
