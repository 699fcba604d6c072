//! Measurements: PCR0, PCR1 and PCR2 from image sections, and the canonical ramdisks they cover.
//!
//! The auditor, the image tool and the enclave itself compute PCR2 from the policy file with this one function, so the
//! three can't disagree. The byte layout of the ramdisks is fixed in `eif/SPEC.md`.

use sha2::{Digest, Sha384};

/// A platform configuration register: SHA-384, 48 bytes.
pub type Pcr = [u8; 48];

/// The name of the policy inside its ramdisk, and so `/packproof.toml` inside the enclave.
pub const POLICY_FILE: &str = "packproof.toml";

/// PCR0, PCR1 and PCR2 of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measurements {
    /// Kernel, command line, boot ramdisk and policy ramdisk.
    pub pcr0: Pcr,
    /// Kernel, command line and boot ramdisk.
    pub pcr1: Pcr,
    /// The policy ramdisk.
    pub pcr2: Pcr,
}

impl Measurements {
    /// Measures an image of two ramdisks. Every argument is the raw section bytes.
    ///
    /// Proves nothing about who built the image: compare PCR1 with a release that you trust.
    pub fn of(kernel: &[u8], command_line: &[u8], boot_ramdisk: &[u8], policy_ramdisk: &[u8]) -> Self {
        Self {
            pcr0: pcr(&[kernel, command_line, boot_ramdisk, policy_ramdisk]),
            pcr1: pcr(&[kernel, command_line, boot_ramdisk]),
            pcr2: pcr(&[policy_ramdisk]),
        }
    }
}

/// Computes one register: SHA-384(48 zero bytes ‖ SHA-384(sections concatenated)).
///
/// There are no section boundaries in the hash, so bytes can move between neighbouring sections without changing it:
/// compare PCR0, PCR1 and PCR2 together.
///
/// Source: AWS Nitro Enclaves User Guide, "Cryptographic attestation"; README of aws-nitro-enclaves-image-format.
pub fn pcr(sections: &[&[u8]]) -> Pcr {
    let mut contents = Sha384::new();
    for section in sections {
        contents.update(section);
    }
    Sha384::new().chain_update([0; 48]).chain_update(contents.finalize()).finalize().into()
}

/// PCR2 of an image whose policy file has exactly these bytes.
pub fn policy_pcr2(policy: &[u8]) -> Pcr {
    pcr(&[&policy_ramdisk(policy)])
}

/// The canonical policy ramdisk: uncompressed newc cpio with the one regular file `packproof.toml`, mode 0444.
pub fn policy_ramdisk(policy: &[u8]) -> Vec<u8> {
    ramdisk(POLICY_FILE, 0o100_444, policy)
}

/// The canonical boot ramdisk: uncompressed newc cpio with the one regular file `init`, mode 0555.
pub fn boot_ramdisk(init: &[u8]) -> Vec<u8> {
    ramdisk("init", 0o100_555, init)
}

fn ramdisk(name: &str, mode: u32, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len().saturating_add(512));
    entry(&mut out, 1, mode, name, data);
    entry(&mut out, 0, 0, "TRAILER!!!", &[]);
    out
}

/// One newc entry: the magic, thirteen fields of eight lower-case hex digits, the name with its NUL, the data; name and
/// data each padded with zeros to four bytes. Owner, times and device numbers are zero.
///
/// Source: Linux, `Documentation/driver-api/early-userspace/buffer-format.rst`.
fn entry(out: &mut Vec<u8>, ino: u32, mode: u32, name: &str, data: &[u8]) {
    let links = u32::from(mode != 0);
    let data_len = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let name_len = u32::try_from(name.len()).unwrap_or(u32::MAX).saturating_add(1);
    out.extend_from_slice(b"070701");
    for field in [ino, mode, 0, 0, links, 0, data_len, 0, 0, 0, 0, name_len, 0] {
        out.extend_from_slice(format!("{field:08x}").as_bytes());
    }
    out.extend_from_slice(name.as_bytes());
    out.push(0);
    pad(out);
    out.extend_from_slice(data);
    pad(out);
}

fn pad(out: &mut Vec<u8>) {
    while !out.len().is_multiple_of(4) {
        out.push(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PCR2 of an image with one ramdisk, seen on real hardware: the empty hash, which pins nothing.
    #[test]
    fn empty_contents_give_the_known_register() {
        assert_eq!(
            hex::encode(pcr(&[])),
            "21b9efbc184807662e966d34f390821309eeac6802309798826296bf3e8bec7c10edb30948c90ba67310f7b964fc500a"
        );
    }

    #[test]
    fn the_policy_ramdisk_is_fixed_byte_for_byte() {
        let ramdisk = policy_ramdisk(b"schema");
        let text = String::from_utf8(ramdisk.clone()).unwrap();
        assert!(text.starts_with(
            "07070100000001000081240000000000000000000000010000000000000006000000000000000000000000000000000000000f00000000packproof.toml\0"
        ));
        // header 110 + name 15 → 128; data 6 → 136; trailer 110 + 11 → 260 (all to four bytes)
        assert_eq!(ramdisk.len(), 260);
        assert!(text.contains("TRAILER!!!\0"));
    }

    #[test]
    fn registers_tell_sections_apart_only_together() {
        let a = Measurements::of(b"k", b"c", b"boot", b"policy");
        let moved = Measurements::of(b"k", b"c", b"bootpol", b"icy");
        assert_eq!(a.pcr0, moved.pcr0);
        assert_ne!(a.pcr1, moved.pcr1);
        assert_ne!(a.pcr2, moved.pcr2);
    }
}
