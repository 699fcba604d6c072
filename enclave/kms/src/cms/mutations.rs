//! Every answer of KMS there is, and our own of each form, changed at random: no panic, and nothing is taken for a
//! message that is not of the profile.
//!
//! What the reader accepts is read again by a plain BER reader that knows nothing of the profile, and held against the
//! profile as `SPEC.md` has it, element by element.

use super::encoder::Form;
use super::tests::{key, sealed, vector};
use super::{AES256_CBC, Enveloped, ID_DATA, ID_ENVELOPED_DATA, RSAES_OAEP_SHA256, parse};
use crate::RecipientKey;

/// Mutations of the ordinary run; `PACKPROOF_CMS_MUTATIONS` is another number.
const MUTATIONS: u32 = 5_000;

#[test]
fn no_mutation_panics_or_is_accepted_wrongly() {
    let count = std::env::var("PACKPROOF_CMS_MUTATIONS").map_or(MUTATIONS, |text| text.parse().unwrap());
    let Some(known) = vector("hello-world.ber") else { return };
    let known_key = RecipientKey::from_pkcs8(&vector("hello-world.key.pkcs8.der").unwrap());
    let unopened: Vec<Vec<u8>> =
        (1..=4).map(|number| vector(&format!("kms-recipient-{number}.ber")).unwrap()).collect();
    let ours = [Form::Pieces, Form::Single, Form::Definite].map(|form| sealed(&[0x41; 32]).encode(form));
    let mut seeds: Vec<(&[u8], Option<&RecipientKey>)> = vec![(&known, Some(&known_key))];
    seeds.extend(unopened.iter().map(|message| (message.as_slice(), None)));
    seeds.extend(ours.iter().map(|message| (message.as_slice(), Some(key()))));
    for (seed, _) in &seeds {
        assert_profile(seed, &parse(seed).unwrap(), "unchanged");
    }

    let (mut random, mut accepted, mut opened) = (Random(1), 0, 0);
    for number in 0..count {
        let (seed, key) = seeds[random.below(seeds.len())];
        let other = seeds[random.below(seeds.len())].0;
        let mutated = random.mutated(seed, other);
        let what = format!("mutation {number}");
        if mutated == seed {
            continue;
        }
        let (was, Some(is)) = (parse(seed).unwrap(), parse(&mutated)) else {
            assert!(key.is_none_or(|key| key.open(&mutated).is_err()), "{what} cannot be read and was opened");
            continue;
        };
        accepted += 1;
        assert_profile(&mutated, &is, &what);
        let Some(key) = key else { continue };
        let Ok(plaintext) = key.open(&mutated) else { continue };
        opened += 1;
        assert_eq!(is.recipient_id, was.recipient_id, "{what} was opened for another key");
        assert_eq!(is.wrapped_key, was.wrapped_key, "{what} was opened with another content key");
        // CBC has no authentication (only TLS does): other content may open, to other bytes
        let same = is.iv == was.iv && is.content.expose() == was.content.expose();
        assert_eq!(same, plaintext.expose() == key.open(seed).unwrap().expose(), "{what}");
    }
    println!("{count} mutations of {} messages: {accepted} were still messages, {opened} of them opened", seeds.len());
}

/// One element: depth, tag, whether its length is definite, contents unless constructed.
type Element<'a> = (usize, u8, bool, Option<&'a [u8]>);

/// All elements of `bytes`, in order.
fn elements<'a>(mut bytes: &'a [u8], depth: usize, out: &mut Vec<Element<'a>>, ended: bool) -> Option<&'a [u8]> {
    loop {
        match bytes {
            [] => return (!ended).then_some(bytes),
            [0, 0, rest @ ..] if ended => return Some(rest),
            [tag, rest @ ..] => {
                let constructed = tag & 0x20 != 0;
                let (len, body) = match rest {
                    [0x80, body @ ..] => (None, body),
                    [len @ 0..=0x7f, body @ ..] => (Some(usize::from(*len)), body),
                    [0x81, len @ 0x80..=0xff, body @ ..] => (Some(usize::from(*len)), body),
                    [0x82, high @ 1..=0xff, low, body @ ..] => {
                        (Some(usize::from(u16::from_be_bytes([*high, *low]))), body)
                    }
                    _ => return None,
                };
                let inside = len.map_or(Some((body, body)), |len| body.split_at_checked(len));
                out.push((depth, *tag, len.is_some(), inside.filter(|_| !constructed).map(|(inner, _)| inner)));
                let (inner, after) = inside?;
                bytes = match (constructed, len) {
                    (true, None) => elements(inner, depth + 1, out, true)?,
                    (true, Some(_)) => elements(inner, depth + 1, out, false).map(|_| after)?,
                    (false, Some(_)) => after,
                    (false, None) => return None,
                };
            }
        }
    }
}

/// The message is, element by element, what `SPEC.md` writes for these fields.
fn assert_profile(message: &[u8], read: &Enveloped<'_>, what: &str) {
    let mut found = Vec::new();
    let rest = elements(message, 0, &mut found, false);
    assert_eq!(rest, Some([].as_slice()), "{what} is no BER: {}", hex::encode(message));
    // two encodings of a length are those marked ∞
    let loose = |depth, tag| (depth, tag, None, None);
    let strict = |depth, tag, contents: Option<&'static [u8]>| (depth, tag, Some(true), contents.map(<[u8]>::to_vec));
    let field = |depth, tag, contents: &[u8]| (depth, tag, Some(true), Some(contents.to_vec()));
    let mut expected = vec![
        loose(0, 0x30),
        strict(1, 0x06, Some(ID_ENVELOPED_DATA)),
        loose(1, 0xa0),
        loose(2, 0x30),
        strict(3, 0x02, Some(&[2])),
        strict(3, 0x31, None),
        strict(4, 0x30, None),
        strict(5, 0x02, Some(&[2])),
        field(5, 0x80, read.recipient_id),
        strict(5, 0x30, None),
    ];
    let mut algorithm = Vec::new();
    elements(RSAES_OAEP_SHA256, 6, &mut algorithm, false).unwrap();
    expected.extend(algorithm.iter().map(|(depth, tag, _, inner)| strict(*depth, *tag, *inner)));
    expected.extend([
        field(5, 0x04, read.wrapped_key),
        loose(3, 0x30),
        strict(4, 0x06, Some(ID_DATA)),
        strict(4, 0x30, None),
        strict(5, 0x06, Some(AES256_CBC)),
        field(5, 0x04, &read.iv),
    ]);
    let (head, content) = found.split_at(expected.len());
    for ((depth, tag, definite, inner), expected) in head.iter().zip(&expected) {
        assert_eq!((depth, tag, &inner.map(<[u8]>::to_vec)), (&expected.0, &expected.1, &expected.3), "{what}");
        assert!(expected.2.is_none_or(|expected| expected == *definite), "{what}: a length of another form");
    }
    let pieces: Vec<&[u8]> = match content {
        [(4, 0x80, true, Some(whole))] => vec![whole],
        [(4, 0xa0, _, None), pieces @ ..] => {
            assert!(pieces.iter().all(|piece| matches!(piece, (5, 0x04, true, Some(_)))), "{what}: {pieces:?}");
            let pieces: Vec<&[u8]> = pieces.iter().filter_map(|piece| piece.3).collect();
            assert!(pieces.iter().all(|piece| (1..=1000).contains(&piece.len())), "{what}: a piece of another size");
            pieces
        }
        other => panic!("{what}: {other:?}"),
    };
    assert_eq!(pieces.concat(), read.content.expose(), "{what}");
    assert!(read.content.len().is_multiple_of(16) && (16..=4112).contains(&read.content.len()), "{what}");
}

/// A small generator: the mutations are the same in every run.
struct Random(u64);

impl Random {
    /// splitmix64
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(n.max(1)).unwrap()).unwrap()
    }

    fn byte(&mut self) -> u8 {
        // the bytes that mean something in BER come more often
        const TELLING: [u8; 12] = [0x00, 0x01, 0x02, 0x04, 0x10, 0x30, 0x31, 0x80, 0x81, 0x82, 0xa0, 0xff];
        if self.below(2) == 0 { TELLING[self.below(TELLING.len())] } else { self.next().to_le_bytes()[0] }
    }

    /// One to three changes. Most are in the first 150 bytes or the last 80, where the structure is.
    fn mutated(&mut self, seed: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        for _ in 0..=self.below(3) {
            let len = bytes.len();
            let at = match self.below(4) {
                0 => self.below(len),
                1 => len.saturating_sub(1 + self.below(80)),
                _ => self.below(len.min(150)),
            };
            let end = (at + 1 + self.below(24)).min(len);
            match self.below(9) {
                0 if len > 0 => bytes[at] ^= 1 << self.below(8),
                1 if len > 0 => bytes[at] = self.byte(),
                2 => {
                    let byte = self.byte();
                    bytes.insert(at.min(len), byte);
                }
                3 if len > 0 => drop(bytes.remove(at)),
                4 => bytes.truncate(at),
                5 => drop(bytes.drain(at..end)),
                6 => {
                    let again = bytes[at..end].to_vec();
                    bytes.splice(at..at, again);
                }
                7 => {
                    let from = self.below(other.len());
                    let piece = &other[from..(from + end - at).min(other.len())];
                    bytes.splice(at..end, piece.iter().copied());
                }
                _ => bytes.push(self.byte()),
            }
        }
        bytes
    }
}
