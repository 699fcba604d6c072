//! The data key out of an age entry.

use std::io::Read;

use age::armor::ArmoredReader;
use age::{DecryptError, Decryptor, Identity};
use packproof_secret::Secret;

use crate::SopsError;

/// Opens the `enc` of a [`crate::KeyEntry::Age`]: an armored age file that holds the file's 32-byte data key.
///
/// The key that comes back is whatever the entry's author encrypted; age does not authenticate a sender. That it is this
/// file's key follows from [`crate::Cell::decrypt`] alone.
///
/// # Errors
/// [`SopsError::MalformedAgeEntry`] when it is no armored age file, is encrypted to a passphrase, or is longer than 16 KiB;
/// [`SopsError::NoMatchingIdentity`] when it was not encrypted to `identity`; [`SopsError::ContentRefused`] for everything
/// after that: a wrong MAC, a changed payload, a plaintext that is not 32 bytes.
pub fn open_age_entry(enc: &str, identity: &dyn Identity) -> Result<Secret<32>, SopsError> {
    // The armor reader also takes binary age files; sops does not.
    if enc.len() > MAX_AGE_ENTRY_BYTES || !enc.starts_with("-----BEGIN AGE ENCRYPTED FILE-----") {
        return Err(SopsError::MalformedAgeEntry);
    }
    let decryptor =
        Decryptor::new_buffered(ArmoredReader::new(enc.as_bytes())).map_err(|_| SopsError::MalformedAgeEntry)?;
    if decryptor.is_scrypt() {
        return Err(SopsError::MalformedAgeEntry);
    }
    let mut reader = decryptor.decrypt(std::iter::once(identity)).map_err(|error| match error {
        DecryptError::NoMatchingKeys => SopsError::NoMatchingIdentity,
        _ => SopsError::ContentRefused,
    })?;
    let key = Secret::fill(|bytes| reader.read_exact(bytes)).map_err(|_| SopsError::ContentRefused)?;
    // Reading to the end is also what checks the end of the payload and of the armor.
    let mut rest = [0; 1];
    match reader.read(&mut rest) {
        Ok(0) => Ok(key),
        _ => Err(SopsError::ContentRefused),
    }
}

/// An entry for one recipient is about 500 bytes; post-quantum recipients need about 3 KiB.
const MAX_AGE_ENTRY_BYTES: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use std::io::Write;

    use age::armor::{ArmoredWriter, Format};
    use age::secrecy::SecretString;
    use age::x25519;
    use age::{Encryptor, Recipient};

    use super::*;

    fn seal(encryptor: Encryptor, plaintext: &[u8], format: Format) -> Vec<u8> {
        let armor = ArmoredWriter::wrap_output(Vec::new(), format).unwrap();
        let mut writer = encryptor.wrap_output(armor).unwrap();
        writer.write_all(plaintext).unwrap();
        writer.finish().unwrap().finish().unwrap()
    }

    fn entry(to: &x25519::Identity, plaintext: &[u8]) -> String {
        let recipient = to.to_public();
        let encryptor = Encryptor::with_recipients(std::iter::once::<&dyn Recipient>(&recipient)).unwrap();
        String::from_utf8(seal(encryptor, plaintext, Format::AsciiArmor)).unwrap()
    }

    fn refusal(enc: &str, identity: &x25519::Identity) -> SopsError {
        open_age_entry(enc, identity).err().unwrap()
    }

    #[test]
    fn opens_exactly_32_bytes() {
        let identity = x25519::Identity::generate();
        assert_eq!(open_age_entry(&entry(&identity, &[7; 32]), &identity).ok().unwrap().expose(), &[7; 32]);
        for wrong in [0, 16, 31, 33, 64] {
            assert_eq!(refusal(&entry(&identity, &vec![7; wrong]), &identity), SopsError::ContentRefused, "{wrong}");
        }
    }

    #[test]
    fn names_a_key_that_does_not_fit() {
        let enc = entry(&x25519::Identity::generate(), &[7; 32]);
        assert_eq!(refusal(&enc, &x25519::Identity::generate()), SopsError::NoMatchingIdentity);
    }

    #[test]
    fn refuses_what_is_no_armored_age_file() {
        let identity = x25519::Identity::generate();
        let good = entry(&identity, &[7; 32]);
        let recipient = identity.to_public();
        let encryptor = Encryptor::with_recipients(std::iter::once::<&dyn Recipient>(&recipient)).unwrap();
        let binary = String::from_utf8_lossy(&seal(encryptor, &[7; 32], Format::Binary)).into_owned();
        let mut passphrase = age::scrypt::Recipient::new(SecretString::from("p".to_owned()));
        passphrase.set_work_factor(2);
        let encryptor = Encryptor::with_recipients(std::iter::once::<&dyn Recipient>(&passphrase)).unwrap();
        let passphrase = String::from_utf8(seal(encryptor, &[7; 32], Format::AsciiArmor)).unwrap();
        for enc in [
            "",
            "-----BEGIN AGE ENCRYPTED FILE-----\n",
            &binary,
            &passphrase,
            &format!("\n{good}"),
            &format!("{good}{}", " ".repeat(MAX_AGE_ENTRY_BYTES)),
            &good.replacen("YWdl", "YWdm", 1),
        ] {
            assert_eq!(refusal(enc, &identity), SopsError::MalformedAgeEntry, "{enc}");
        }
    }

    #[test]
    fn refuses_a_changed_or_cut_file() {
        let identity = x25519::Identity::generate();
        let good = entry(&identity, &[7; 32]);
        for i in 40..good.trim_end().len() {
            let mut changed = good.clone().into_bytes();
            changed[i] = if changed[i] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(open_age_entry(&changed, &identity).is_err(), "byte {i}");
            assert!(open_age_entry(&good[..i], &identity).is_err(), "cut at {i}");
        }
        assert!(open_age_entry(&format!("{good}x"), &identity).is_err());
    }
}
