//! Ed25519 public keys as OpenSSH writes them.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::Digest;

use super::error::{SshSigError, SshSigFlaw, printable};
use super::reader::{ED25519, Reader};

/// An Ed25519 public key: a point on the curve, in its one encoding, and not of small order.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads a line of an `authorized_keys` or `.pub` file: `ssh-ed25519 AAAA… comment`, the comment optional.
    ///
    /// Options in front of the type are not read.
    ///
    /// # Errors
    /// [`SshSigError::UnsupportedKeyType`] for another type, [`SshSigError::InvalidPublicKey`] for anything else.
    pub fn parse(line: &str) -> Result<Self, SshSigError> {
        if line.contains(['\n', '\r', '\0']) {
            return Err(SshSigError::InvalidPublicKey);
        }
        let mut words = line.splitn(3, ' ');
        let (Some(key_type), Some(base64)) = (words.next(), words.next()) else {
            return Err(SshSigError::InvalidPublicKey);
        };
        if key_type != ED25519 {
            return Err(SshSigError::UnsupportedKeyType { name: printable(key_type.as_bytes()) });
        }
        let blob = STANDARD.decode(base64).map_err(|_| SshSigError::InvalidPublicKey)?;
        let bytes = split_blob(&blob).map_err(|error| match error {
            SshSigError::UnsupportedKeyType { name } => SshSigError::UnsupportedKeyType { name },
            _ => SshSigError::InvalidPublicKey,
        })?;
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| SshSigError::InvalidPublicKey)?;
        // A key of small order verifies signatures that nobody made; a second encoding of a key is a second key to a
        // comparison of bytes.
        if key.is_weak() || key.to_edwards().compress().as_bytes() != bytes {
            return Err(SshSigError::InvalidPublicKey);
        }
        Ok(Self(key))
    }

    /// The 32 bytes of RFC 8032.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// SSH's encoding: `string "ssh-ed25519" ‖ string key`, 51 bytes; in base64 the second word of a key line.
    pub fn blob(&self) -> Vec<u8> {
        // the lengths, 11 and 32, as big-endian u32
        [&[0, 0, 0, 11], ED25519.as_bytes(), &[0, 0, 0, 32], self.as_bytes()].concat()
    }

    /// The fingerprint as `ssh-keygen -l` prints it: `SHA256:` and 43 characters of base64.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.blob())
    }

    /// Verifies `signature` over `message` (RFC 8032, and refusing what has more than one encoding or signer).
    pub(super) fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), SshSigError> {
        self.0.verify_strict(message, &Signature::from_bytes(signature)).map_err(|_| SshSigError::BadSignature)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fingerprint())
    }
}

/// The fingerprint of any key's blob.
pub(super) fn fingerprint(blob: &[u8]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(sha2::Sha256::digest(blob)))
}

/// Takes the 32 bytes out of `string "ssh-ed25519" ‖ string key`; whether they are a key is not asked.
pub(super) fn split_blob(blob: &[u8]) -> Result<&[u8; 32], SshSigError> {
    let mut reader = Reader(blob);
    let key_type = reader.string().ok_or(SshSigFlaw::KeyBlob)?;
    if key_type != ED25519.as_bytes() {
        return Err(SshSigError::UnsupportedKeyType { name: printable(key_type) });
    }
    let key = reader.string().ok_or(SshSigFlaw::KeyBlob)?;
    if !reader.is_empty() {
        return Err(SshSigFlaw::KeyBlob.into());
    }
    key.try_into().map_err(|_| SshSigFlaw::KeyBlob.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032 section 7.1, test 1.
    const KEY: [u8; 32] = [
        0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e, 0xe1,
        0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
    ];

    fn line(key: &[u8]) -> String {
        let length = u32::try_from(key.len()).unwrap().to_be_bytes();
        let blob = [&[0, 0, 0, 11], b"ssh-ed25519".as_slice(), &length, key].concat();
        format!("ssh-ed25519 {}", STANDARD.encode(blob))
    }

    #[test]
    fn reads_a_key_line_with_and_without_comment() {
        let key = PublicKey::parse(&line(&KEY)).unwrap();
        assert_eq!(key.as_bytes(), &KEY);
        assert_eq!(line(&KEY), format!("ssh-ed25519 {}", STANDARD.encode(key.blob())));
        assert_eq!(PublicKey::parse(&format!("{} release key, 2026", line(&KEY))), Ok(key));
        assert_eq!(key.fingerprint().len(), 7 + 43);
    }

    #[test]
    fn refuses_lines_that_are_not_one_key() {
        let good = line(&KEY);
        for bad in [
            "",
            "ssh-ed25519",
            "ssh-ed25519 ",
            &format!("{good}\n"),
            &format!("{good}\n{good}"),
            &good.replacen(' ', "  ", 1),
            &good.replacen(' ', "\t", 1),
            &good[..good.len() - 1],
            &format!("{good}="),
            &line(&KEY[1..]),
            &line(&[KEY.as_slice(), &[0]].concat()),
        ] {
            assert_eq!(PublicKey::parse(bad), Err(SshSigError::InvalidPublicKey), "{bad:?}");
        }
    }

    #[test]
    fn names_other_key_types() {
        let certificate = line(&KEY).replacen("ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com", 1);
        let name = "ssh-ed25519-cert-v01@openssh.com".to_owned();
        assert_eq!(PublicKey::parse(&certificate), Err(SshSigError::UnsupportedKeyType { name }));
        let name = "ssh-rsa".to_owned();
        assert_eq!(PublicKey::parse("ssh-rsa AAAA"), Err(SshSigError::UnsupportedKeyType { name }));
        // the words before the blob say Ed25519, the blob says RSA
        let inner = format!("ssh-ed25519 {}", STANDARD.encode(b"\0\0\0\x07ssh-rsa\0\0\0\0"));
        let name = "ssh-rsa".to_owned();
        assert_eq!(PublicKey::parse(&inner), Err(SshSigError::UnsupportedKeyType { name }));
        // an option is not a type
        let option = format!("cert-authority {}", line(&KEY));
        let name = "cert-authority".to_owned();
        assert_eq!(PublicKey::parse(&option), Err(SshSigError::UnsupportedKeyType { name }));
    }

    #[test]
    fn refuses_keys_of_small_order_and_second_encodings() {
        let mut identity = [0; 32];
        identity[0] = 1;
        // y = p + 3, which decodes as y = 3
        let mut unreduced = [0xff; 32];
        (unreduced[0], unreduced[31]) = (0xf0, 0x7f);
        let mut reduced = [0; 32];
        reduced[0] = 3;
        assert!(PublicKey::parse(&line(&reduced)).is_ok());
        // y = 2 is not on the curve
        let mut off_curve = [0; 32];
        off_curve[0] = 2;
        for bad in [identity, [0; 32], unreduced, off_curve] {
            assert_eq!(PublicKey::parse(&line(&bad)), Err(SshSigError::InvalidPublicKey), "{bad:02x?}");
        }
    }
}
