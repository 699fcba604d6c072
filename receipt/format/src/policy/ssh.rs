//! SSH public keys, as far as their form goes.
//!
//! The enclave, which verifies signatures with them, also checks that they are sound keys. Here their encoding is
//! checked, so that a policy with a key that nobody could use is refused before it is measured.
//!
//! Source: RFC 4253 section 6.6, RFC 5656 section 3.1, RFC 8709, OpenSSH's `PROTOCOL.u2f`.

use base64::{Engine, prelude::BASE64_STANDARD};

const EXPECTED: &str = "ssh must be a public key line: ssh-ed25519 AAAA…, ecdsa-sha2-nistp256 AAAA…, ssh-rsa AAAA… or \
                        a hardware key of these (sk-…)";
const MIN_RSA_BYTES: usize = 256;
const MAX_RSA_BYTES: usize = 1024;

/// The key blob of a line as in `authorized_keys`, comment optional; or why it is none.
pub(super) fn blob(line: &str) -> Result<Vec<u8>, String> {
    let mut words = line.splitn(3, ' ');
    let (name, base64) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let blob = BASE64_STANDARD.decode(base64).map_err(|_| EXPECTED.to_owned())?;
    let mut fields = Fields(&blob);
    if fields.next() != Some(name.as_bytes()) || line.contains(['\n', '\r', '\0']) {
        return Err(EXPECTED.to_owned());
    }
    let is_key = match name {
        "ssh-ed25519" => fields.has(|key| key.len() == 32),
        "ecdsa-sha2-nistp256" => fields.has(|curve| curve == b"nistp256") && fields.has(is_p256_point),
        "ssh-rsa" => fields.has(is_odd_integer) && fields.has(is_rsa_modulus),
        "sk-ssh-ed25519@openssh.com" => fields.has(|key| key.len() == 32) && fields.has(|app| !app.is_empty()),
        "sk-ecdsa-sha2-nistp256@openssh.com" => {
            fields.has(|curve| curve == b"nistp256") && fields.has(is_p256_point) && fields.has(|app| !app.is_empty())
        }
        other => return Err(format!("key type {other:?} is not one of those that count; {EXPECTED}")),
    };
    if is_key && fields.0.is_empty() { Ok(blob) } else { Err(EXPECTED.to_owned()) }
}

/// `string`s of RFC 4251: length in four bytes, big endian, then the bytes.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (field, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(field)
    }

    fn has(&mut self, is_right: impl Fn(&[u8]) -> bool) -> bool {
        self.next().is_some_and(is_right)
    }
}

/// SEC 1, uncompressed.
fn is_p256_point(point: &[u8]) -> bool {
    point.len() == 65 && point.first() == Some(&4)
}

/// An `mpint` of RFC 4251 that is positive, shortest and odd.
fn is_odd_integer(bytes: &[u8]) -> bool {
    let is_shortest = match bytes {
        [0, next, ..] => *next >= 0x80,
        [first, ..] => *first < 0x80,
        [] => false,
    };
    is_shortest && bytes.last().is_some_and(|last| last % 2 == 1)
}

fn is_rsa_modulus(bytes: &[u8]) -> bool {
    let length = bytes.strip_prefix(&[0]).unwrap_or(bytes).len();
    is_odd_integer(bytes) && (MIN_RSA_BYTES..=MAX_RSA_BYTES).contains(&length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, fields: &[&[u8]]) -> String {
        let mut blob = Vec::new();
        for field in [name.as_bytes()].iter().chain(fields) {
            blob.extend(u32::try_from(field.len()).unwrap().to_be_bytes());
            blob.extend_from_slice(field);
        }
        format!("{name} {} comment", BASE64_STANDARD.encode(blob))
    }

    fn point() -> Vec<u8> {
        [&[4][..], &[7; 64]].concat()
    }

    fn modulus(bytes: usize) -> Vec<u8> {
        [&[0][..], &vec![0xff; bytes]].concat()
    }

    #[test]
    fn each_type_that_counts_is_read() {
        let e = [1, 0, 1];
        for good in [
            line("ssh-ed25519", &[&[7; 32]]),
            line("ecdsa-sha2-nistp256", &[b"nistp256", &point()]),
            line("ssh-rsa", &[&e, &modulus(256)]),
            line("sk-ssh-ed25519@openssh.com", &[&[7; 32], b"ssh:"]),
            line("sk-ecdsa-sha2-nistp256@openssh.com", &[b"nistp256", &point(), b"ssh:"]),
        ] {
            assert!(blob(&good).is_ok(), "{good}");
        }
    }

    #[test]
    fn what_is_no_such_key_is_refused() {
        let e = [1, 0, 1];
        let good = line("ssh-ed25519", &[&[7; 32]]);
        for bad in [
            String::new(),
            "ssh-ed25519".to_owned(),
            good.replacen("ssh-ed25519", "ssh-rsa", 1),
            good.replace("comment", "com\nment"),
            good.replacen("AAAA", "AAAA ", 1),
            line("ssh-ed25519", &[&[7; 31]]),
            line("ssh-ed25519", &[&[7; 32], b""]),
            line("ssh-dss", &[&[7; 32]]),
            line("ssh-ed25519-cert-v01@openssh.com", &[&[7; 32]]),
            line("ecdsa-sha2-nistp256", &[b"nistp384", &point()]),
            line("ecdsa-sha2-nistp256", &[b"nistp256", &point()[..64]]),
            line("ecdsa-sha2-nistp256", &[b"nistp256", &[2; 65]]),
            line("ssh-rsa", &[&e, &modulus(255)]),
            line("ssh-rsa", &[&e, &modulus(1025)]),
            line("ssh-rsa", &[&[2], &modulus(256)]),
            line("ssh-rsa", &[&e, &modulus(256)[1..]]),
            line("sk-ssh-ed25519@openssh.com", &[&[7; 32], b""]),
            line("sk-ssh-ed25519@openssh.com", &[&[7; 32]]),
        ] {
            assert!(blob(&bad).is_err(), "{bad}");
        }
    }
}
