//! The reader of `CiphertextForRecipient`, to the byte as `SPEC.md` has it.
//!
//! The message came over the TLS session with KMS, but is read as if the host had written it: it carries no
//! authentication of its own. Every failure is `None`, so that no two can be told apart.

use aws_lc_rs::cipher::{AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey};
use packproof_secret::SecretBytes;
use zeroize::Zeroizing;

/// The parts of one message.
pub(crate) struct Enveloped<'a> {
    /// SHA-256 of the recipient's SubjectPublicKeyInfo.
    pub(crate) recipient_id: &'a [u8; 32],
    /// The content key under RSA-OAEP.
    pub(crate) wrapped_key: &'a [u8; 256],
    /// The IV of the content.
    pub(crate) iv: [u8; 16],
    /// The encrypted content, its pieces put together. In a wiping type since it is decrypted in place.
    pub(crate) content: SecretBytes,
}

/// Reads a message and uses it up; `None` when it is not of the profile.
pub(crate) fn parse(message: &[u8]) -> Option<Enveloped<'_>> {
    if message.len() > MAX_MESSAGE_BYTES {
        return None;
    }
    let mut reader = Reader(message);
    let enveloped = reader.either(SEQUENCE, |content_info| {
        content_info.exactly(OID, ID_ENVELOPED_DATA)?;
        content_info.either(CONTEXT_0, |explicit| explicit.either(SEQUENCE, enveloped_data))
    })?;
    reader.finish()?;
    Some(enveloped)
}

/// Reads and opens a message for the key with this id; `None` for every failure.
pub(crate) fn open(key: &OaepPrivateDecryptingKey, id: &[u8; 32], message: &[u8]) -> Option<SecretBytes> {
    let Enveloped { recipient_id, wrapped_key, iv, mut content } = parse(message)?;
    if recipient_id != id {
        return None;
    }
    let mut buffer = Zeroizing::new([0_u8; 256]);
    let content_key = key.decrypt(&OAEP_SHA256_MGF1SHA256, wrapped_key, buffer.as_mut_slice(), None).ok()?;
    // takes 32 bytes, no more and no fewer
    let content_key = UnboundCipherKey::new(&AES_256, content_key).ok()?;
    let cipher = PaddedBlockDecryptingKey::cbc_pkcs7(content_key).ok()?;
    let iv = DecryptionContext::Iv128(FixedLength::from(iv));
    let len = cipher.decrypt(content.expose_mut(), iv).ok()?.len();
    content.truncate(len);
    Some(content)
}

fn enveloped_data<'a>(data: &mut Reader<'a>) -> Option<Enveloped<'a>> {
    data.exactly(INTEGER, &[2])?;
    let (recipient_id, wrapped_key) = data.definite(SET, |recipients| {
        recipients.definite(SEQUENCE, |recipient| {
            recipient.exactly(INTEGER, &[2])?;
            let id = recipient.value(CONTEXT_0_PRIMITIVE)?;
            recipient.exactly(SEQUENCE, RSAES_OAEP_SHA256)?;
            let wrapped_key = recipient.value(OCTET_STRING)?;
            Some((id.try_into().ok()?, wrapped_key.try_into().ok()?))
        })
    })?;
    let (iv, content) = data.either(SEQUENCE, encrypted_content_info)?;
    Some(Enveloped { recipient_id, wrapped_key, iv, content })
}

fn encrypted_content_info(info: &mut Reader<'_>) -> Option<([u8; 16], SecretBytes)> {
    info.exactly(OID, ID_DATA)?;
    let iv = info.definite(SEQUENCE, |algorithm| {
        algorithm.exactly(OID, AES256_CBC)?;
        algorithm.value(OCTET_STRING)?.try_into().ok()
    })?;
    let mut content = SecretBytes::with_capacity(info.0.len());
    if info.peek() == Some(CONTEXT_0_PRIMITIVE) {
        content.extend(info.value(CONTEXT_0_PRIMITIVE)?);
    } else {
        info.either(CONTEXT_0, |pieces| {
            while pieces.peek() == Some(OCTET_STRING) {
                let piece = pieces.value(OCTET_STRING)?;
                if piece.is_empty() || piece.len() > MAX_PIECE_BYTES {
                    return None;
                }
                content.extend(piece);
            }
            Some(())
        })?;
    }
    let whole_blocks = content.len().is_multiple_of(16);
    (whole_blocks && (16..=MAX_CONTENT_BYTES).contains(&content.len())).then_some((iv, content))
}

/// What is still unread.
struct Reader<'a>(&'a [u8]);

/// What an element's header says about its end.
enum Length {
    Definite(usize),
    Indefinite,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }

    fn finish(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }

    /// Tag and length; a definite length is written in the fewest bytes, of which the profile needs at most two.
    fn header(&mut self, tag: u8) -> Option<Length> {
        if self.byte()? != tag {
            return None;
        }
        match self.byte()? {
            short @ 0..=0x7f => Some(Length::Definite(usize::from(short))),
            0x80 => Some(Length::Indefinite),
            0x81 => Some(usize::from(self.byte()?)).filter(|len| *len > 0x7f).map(Length::Definite),
            0x82 => {
                let bytes = self.take(2)?.try_into().ok()?;
                Some(usize::from(u16::from_be_bytes(bytes))).filter(|len| *len > 0xff).map(Length::Definite)
            }
            _ => None,
        }
    }

    /// The contents of an element of definite length.
    fn value(&mut self, tag: u8) -> Option<&'a [u8]> {
        match self.header(tag)? {
            Length::Definite(len) => self.take(len),
            Length::Indefinite => None,
        }
    }

    fn exactly(&mut self, tag: u8, expected: &[u8]) -> Option<()> {
        (self.value(tag)? == expected).then_some(())
    }

    /// Reads inside an element of definite length and uses it up.
    fn definite<T>(&mut self, tag: u8, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let mut inner = Self(self.value(tag)?);
        let value = read(&mut inner)?;
        inner.finish()?;
        Some(value)
    }

    /// Reads inside a constructed element of either form and uses it up.
    fn either<T>(&mut self, tag: u8, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        match self.header(tag)? {
            Length::Definite(len) => {
                let mut inner = Self(self.take(len)?);
                let value = read(&mut inner)?;
                inner.finish()?;
                Some(value)
            }
            Length::Indefinite => {
                let value = read(self)?;
                (self.take(2)? == END_OF_CONTENTS).then_some(value)
            }
        }
    }
}

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const CONTEXT_0_PRIMITIVE: u8 = 0x80;
const CONTEXT_0: u8 = 0xa0;
const END_OF_CONTENTS: [u8; 2] = [0, 0];

/// 1.2.840.113549.1.7.3, RFC 5652 section 6.1.
const ID_ENVELOPED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x03];
/// 1.2.840.113549.1.7.1, RFC 5652 section 4.
const ID_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
/// 2.16.840.1.101.3.4.1.42, RFC 3565 section 4.1.
const AES256_CBC: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2a];
/// id-RSAES-OAEP with SHA-256, MGF1 over SHA-256, both with NULL parameters, no label (RFC 4055 section 4.1): the
/// contents of the AlgorithmIdentifier as in every known answer of KMS.
const RSAES_OAEP_SHA256: &[u8] = &[
    0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x07, 0x30, 0x2f, 0xa0, 0x0f, 0x30, 0x0d, 0x06, 0x09,
    0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0xa1, 0x1c, 0x30, 0x1a, 0x06, 0x09, 0x2a, 0x86,
    0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,
    0x01, 0x05, 0x00,
];
/// KMS API reference, Decrypt, `CiphertextForRecipient`.
const MAX_MESSAGE_BYTES: usize = 6144;
/// KMS API reference, Decrypt, `Plaintext` (4096) and one block of padding.
const MAX_CONTENT_BYTES: usize = 4112;
/// The size of the pieces in every known long answer.
const MAX_PIECE_BYTES: usize = 1000;

#[cfg(test)]
#[path = "../tests/support/cms.rs"]
mod encoder;

#[cfg(test)]
mod mutations;

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::encoder::{Form, Message, seal};
    use super::*;
    use crate::{KmsError, RecipientKey};

    pub(super) fn vector(name: &str) -> Option<Vec<u8>> {
        let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors/cms"));
        if !folder.is_dir() {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "shared/vectors/cms is missing");
            return None;
        }
        Some(std::fs::read(folder.join(name)).unwrap())
    }

    /// One key for all tests: making one takes long.
    pub(super) fn key() -> &'static RecipientKey {
        static KEY: std::sync::OnceLock<RecipientKey> = std::sync::OnceLock::new();
        KEY.get_or_init(|| RecipientKey::generate().unwrap())
    }

    pub(super) fn sealed(plaintext: &[u8]) -> Message {
        seal(key().spki_der(), &[7; 32], plaintext)
    }

    fn opened(message: &[u8]) -> Option<Vec<u8>> {
        key().open(message).ok().map(|plaintext| plaintext.expose().to_vec())
    }

    #[test]
    fn opens_the_answer_of_kms_whose_key_was_published() {
        let Some(message) = vector("hello-world.ber") else { return };
        let key = RecipientKey::from_pkcs8(&vector("hello-world.key.pkcs8.der").unwrap());
        assert_eq!(key.open(&message).unwrap().expose(), b"Hello, World");
    }

    #[test]
    fn reads_every_known_answer_of_kms() {
        for (name, content) in [
            ("hello-world.ber", 16),
            ("kms-recipient-1.ber", 16),
            ("kms-recipient-2.ber", 48),
            ("kms-recipient-3.ber", 16),
            ("kms-recipient-4.ber", 4112),
        ] {
            let Some(message) = vector(name) else { return };
            let read = parse(&message).unwrap();
            assert_eq!(read.content.len(), content, "{name}");
            for cut in 0..message.len() {
                assert!(parse(&message[..cut]).is_none(), "{name} cut at {cut}");
            }
        }
    }

    #[test]
    fn opens_both_outer_forms_and_both_content_forms() {
        for (len, pieces, single) in [(12, 461, 457), (32, 493, 489), (4096, 4573, 4555)] {
            let plaintext = vec![0x41; len];
            let message = sealed(&plaintext);
            let (in_pieces, in_one) = (message.encode(Form::Pieces), message.encode(Form::Single));
            assert_eq!((in_pieces.len(), in_one.len()), (pieces, single));
            for encoded in [in_pieces, in_one, message.encode(Form::Definite)] {
                assert_eq!(opened(&encoded).unwrap(), plaintext);
            }
        }
    }

    #[test]
    fn refuses_every_truncation_and_every_trailing_byte() {
        for form in [Form::Pieces, Form::Single, Form::Definite] {
            let message = sealed(b"0123456789abcdef").encode(form);
            for cut in 0..message.len() {
                assert!(parse(&message[..cut]).is_none());
            }
            for byte in [0x00, 0x30, 0xff] {
                assert!(parse(&[message.as_slice(), &[byte]].concat()).is_none());
            }
        }
    }

    #[test]
    fn refuses_anything_else_where_contents_end() {
        for (form, ends) in [(Form::Pieces, 10), (Form::Single, 8)] {
            let good = sealed(b"x").encode(form);
            for at in good.len() - ends..good.len() {
                let mut bad = good.clone();
                bad[at] = 1;
                assert!(parse(&bad).is_none(), "{form:?} at {at}");
            }
        }
    }

    #[test]
    fn refuses_each_deviation_from_the_profile() {
        let good = sealed(b"secret");
        type Deviation = (&'static str, fn(&mut Message));
        let deviations: [Deviation; 14] = [
            ("content type", |m| m.outer_type[8] = 2),
            ("inner type", |m| m.inner_type[8] = 2),
            ("version", |m| m.version = 0),
            ("recipient version", |m| m.recipient_version = 0),
            ("recipient of another key", |m| m.recipient_id[0] ^= 1),
            ("recipient id too short", |m| m.recipient_id.truncate(20)),
            ("OAEP with another hash", |m| m.key_algorithm[27] ^= 1),
            ("OAEP parameters longer", |m| m.key_algorithm.extend([0x05, 0x00])),
            ("wrapped key too short", |m| m.wrapped_key.truncate(255)),
            ("wrapped key changed", |m| m.wrapped_key[100] ^= 1),
            ("another cipher", |m| m.content_cipher[8] = 0x2e),
            ("IV too short", |m| m.iv.truncate(12)),
            ("content not in blocks", |m| m.content.truncate(15)),
            ("no content", |m| m.content.clear()),
        ];
        assert_eq!(opened(&good.encode(Form::Pieces)).unwrap(), b"secret");
        for (what, change) in deviations {
            let mut bad = good.clone();
            change(&mut bad);
            for form in [Form::Pieces, Form::Single, Form::Definite] {
                let refusal = key().open(&bad.encode(form)).err();
                assert_eq!(refusal, Some(KmsError::RecipientCiphertextRefused), "{what}");
            }
        }
    }

    #[test]
    fn refuses_two_recipients_long_pieces_and_loose_lengths() {
        let good = sealed(&[1; 1200]);
        let mut two = good.clone();
        two.recipients = 2;
        assert!(parse(&two.encode(Form::Pieces)).is_none());
        let mut long = good.clone();
        long.piece_bytes = 1001;
        assert!(parse(&long.encode(Form::Pieces)).is_none());
        long.piece_bytes = 999;
        assert!(parse(&long.encode(Form::Pieces)).is_some());
        // `04 10` of the IV rewritten as `04 81 10`
        let encoded = sealed(b"x").encode(Form::Pieces);
        let at = encoded.windows(2).position(|w| w == [0x30, 0x1d]).unwrap();
        let mut loose = encoded.clone();
        loose[at + 1] = 0x1e;
        loose.splice(at + 14..at + 14, [0x81]);
        assert_eq!(loose[at + 13..at + 16], [0x04, 0x81, 0x10]);
        assert!(parse(&loose).is_none());
    }

    #[test]
    fn refuses_a_content_key_of_another_length_and_broken_padding() {
        assert!(opened(&seal(key().spki_der(), &[7; 16], b"x").encode(Form::Pieces)).is_none());
        assert!(opened(&seal(key().spki_der(), &[7; 33], b"x").encode(Form::Pieces)).is_none());
        let mut broken = sealed(b"x");
        // the last byte of the only block's padding becomes 0x0f ^ 0x80
        broken.iv[15] ^= 0x80;
        assert!(opened(&broken.encode(Form::Pieces)).is_none());
    }

    #[test]
    fn refuses_more_content_than_kms_seals() {
        assert!(parse(&sealed(&[0; 4096]).encode(Form::Single)).is_some());
        assert!(parse(&sealed(&[0; 4112]).encode(Form::Single)).is_none());
        assert!(parse(&vec![0x30; MAX_MESSAGE_BYTES + 1]).is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn reading_never_panics(mut bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = parse(&bytes);
            bytes.splice(0..0, [0x30, 0x80]);
            let _ = parse(&bytes);
        }

        #[test]
        fn reading_a_changed_message_never_panics(
            form in prop::sample::select(vec![Form::Pieces, Form::Single, Form::Definite]),
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        ) {
            static MESSAGE: std::sync::OnceLock<Message> = std::sync::OnceLock::new();
            let mut bytes = MESSAGE.get_or_init(|| sealed(&[9; 40])).encode(form);
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Some(read) = parse(&bytes) {
                prop_assert!(read.content.len().is_multiple_of(16) && !read.content.is_empty());
            }
        }
    }
}
