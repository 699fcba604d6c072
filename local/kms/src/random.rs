//! Random bytes, names and secrets.

use aws_lc_rs::rand;
use packproof_secret::Secret;

use crate::error::Error;

/// `N` random bytes.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| Error::Random)?;
    Ok(bytes)
}

/// `N` random bytes that are a secret.
pub(crate) fn secret<const N: usize>() -> Result<Secret<N>, Error> {
    Secret::fill(|bytes| rand::fill(bytes).map_err(|_| Error::Random))
}

/// A version 4 UUID (RFC 9562): key ids and request ids look like this.
pub(crate) fn uuid() -> Result<String, Error> {
    let mut bytes: [u8; 16] = bytes()?;
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut bytes;
    *version = (*version & 0x0f) | 0x40;
    *variant = (*variant & 0x3f) | 0x80;
    let digits = hex::encode(bytes);
    let groups = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| digits.get(range).unwrap_or_default());
    Ok(groups.join("-"))
}

/// An access key id as IAM makes them: `AKIA` and 16 characters of base 32.
pub(crate) fn access_key_id() -> Result<String, Error> {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let random: [u8; 16] = bytes()?;
    let letters =
        random.iter().filter_map(|byte| ALPHABET.get(usize::from(byte % 32))).map(|&letter| char::from(letter));
    Ok("AKIA".chars().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_their_usual_form() {
        let id = uuid().unwrap();
        assert_eq!(id.len(), 36);
        assert_eq!(id.as_bytes()[14], b'4');
        assert!(b"89ab".contains(&id.as_bytes()[19]));
        assert_ne!(id, uuid().unwrap());
        assert_eq!(access_key_id().unwrap().len(), 20);
    }
}
