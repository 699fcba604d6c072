//! The text around a signature.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::error::{SshSigError, SshSigFlaw};

/// The longest armored signature that is read. An Ed25519 one has about 300 bytes, one with a certificate in which every
/// key and signature is RSA of 8192 bits about 6 KiB.
pub(super) const MAX_ARMORED_BYTES: usize = 16 << 10;

/// The longest line (PROTOCOL.sshsig says 76; `ssh-keygen` writes 70).
const MAX_LINE_BYTES: usize = 76;

const HEADER: &[u8] = b"-----BEGIN SSH SIGNATURE-----\n";
const FOOTER: &[u8] = b"\n-----END SSH SIGNATURE-----";

/// How git tells the other schemes (`gpg-interface.c`).
const OTHER_SCHEMES: [(&[u8], &str); 2] =
    [(b"-----BEGIN PGP ", "OpenPGP"), (b"-----BEGIN SIGNED MESSAGE-----", "X.509")];

/// Takes the armor off: header line, base64 in lines, footer line, of which the last LF may be missing.
pub(super) fn decode(armored: &[u8]) -> Result<Vec<u8>, SshSigError> {
    for (prefix, scheme) in OTHER_SCHEMES {
        if armored.starts_with(prefix) {
            return Err(SshSigError::UnsupportedScheme { scheme });
        }
    }
    if armored.len() > MAX_ARMORED_BYTES {
        return Err(SshSigFlaw::TooLong.into());
    }
    let text = armored.strip_prefix(HEADER).ok_or(SshSigFlaw::Armor)?;
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let text = text.strip_suffix(FOOTER).ok_or(SshSigFlaw::Armor)?;
    let mut base64 = Vec::with_capacity(text.len());
    for line in text.split(|&byte| byte == b'\n') {
        if line.is_empty() || line.len() > MAX_LINE_BYTES {
            return Err(SshSigFlaw::Armor.into());
        }
        base64.extend_from_slice(line);
    }
    // Refuses other characters, wrong padding, and bits that belong to no byte.
    STANDARD.decode(base64).map_err(|_| SshSigFlaw::Base64.into())
}
