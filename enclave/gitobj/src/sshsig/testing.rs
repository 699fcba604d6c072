//! Keys that sign as ssh-keygen and an authenticator do, for tests. Built by hand from the RFCs and OpenSSH's protocol
//! files; nothing of the code under test is called.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest, Sha256};

use super::PublicKey;

pub(super) const TYPE_NAMES: [&str; 10] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ssh-rsa",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ssh-rsa-cert-v01@openssh.com",
    "sk-ssh-ed25519-cert-v01@openssh.com",
    "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
];

pub(super) fn string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

/// The shortest `mpint` of a positive number.
pub(super) fn mpint(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let number = &number[zeros..];
    let sign = if number[0] < 0x80 { &[][..] } else { &[0] };
    string(&[sign, number].concat())
}

/// A private key.
pub(super) enum TestKey {
    Ed25519(SigningKey),
    P256(EcdsaKeyPair),
    /// With the algorithm it signs with.
    Rsa(RsaKeyPair, &'static str),
    Device(Device),
}

/// An authenticator, played by a key in memory.
pub(super) struct Device {
    /// Ed25519 or P-256.
    pub(super) inner: Box<TestKey>,
    pub(super) application: &'static str,
    pub(super) flags: u8,
}

/// The counter of every [`Device`].
pub(super) const COUNTER: u32 = 0x0102_0304;

impl TestKey {
    pub(super) fn ed25519(seed: u8) -> Self {
        Self::Ed25519(SigningKey::from_bytes(&[seed; 32]))
    }

    pub(super) fn p256() -> Self {
        Self::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub(super) fn rsa(algorithm: &'static str) -> Self {
        Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap(), algorithm)
    }

    /// A device that was touched.
    pub(super) fn device(inner: Self) -> Self {
        Self::Device(Device { inner: Box::new(inner), application: "ssh:", flags: 1 })
    }

    /// One of each kind, with its algorithm.
    pub(super) fn all() -> [(Self, &'static str); 6] {
        [
            (Self::ed25519(7), "ssh-ed25519"),
            (Self::p256(), "ecdsa-sha2-nistp256"),
            (Self::rsa("rsa-sha2-512"), "rsa-sha2-512"),
            (Self::rsa("rsa-sha2-256"), "rsa-sha2-256"),
            (Self::device(Self::ed25519(8)), "sk-ssh-ed25519@openssh.com"),
            (Self::device(Self::p256()), "sk-ecdsa-sha2-nistp256@openssh.com"),
        ]
    }

    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Ed25519(_) => "ssh-ed25519",
            Self::P256(_) => "ecdsa-sha2-nistp256",
            Self::Rsa(..) => "ssh-rsa",
            Self::Device(Device { inner, .. }) if matches!(**inner, Self::P256(_)) => {
                "sk-ecdsa-sha2-nistp256@openssh.com"
            }
            Self::Device(_) => "sk-ssh-ed25519@openssh.com",
        }
    }

    pub(super) fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_, algorithm) => algorithm,
            other => other.type_name(),
        }
    }

    /// The fields after the type.
    pub(super) fn fields(&self) -> Vec<u8> {
        match self {
            Self::Ed25519(key) => string(key.verifying_key().as_bytes()),
            Self::P256(key) => [string(b"nistp256"), string(key.public_key().as_ref())].concat(),
            // RFC 8017 A.1.1 in DER: two headers of 4 bytes, the modulus with its sign byte, and 65537
            Self::Rsa(key, _) => [mpint(&[1, 0, 1]), mpint(&key.public_key().as_ref()[8..265])].concat(),
            Self::Device(device) => [device.inner.fields(), string(device.application.as_bytes())].concat(),
        }
    }

    pub(super) fn blob(&self) -> Vec<u8> {
        [string(self.type_name().as_bytes()), self.fields()].concat()
    }

    pub(super) fn public(&self) -> PublicKey {
        PublicKey::parse(&line(self.type_name(), &self.blob())).unwrap()
    }

    /// The signature without its algorithm.
    fn raw_signature(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Ed25519(key) => string(&key.sign(message).to_bytes()),
            Self::P256(key) => {
                let signature = key.sign(&SystemRandom::new(), message).unwrap();
                let (r, s) = signature.as_ref().split_at(32);
                string(&[mpint(r), mpint(s)].concat())
            }
            Self::Rsa(key, algorithm) => {
                let encoding = if *algorithm == "rsa-sha2-256" { &RSA_PKCS1_SHA256 } else { &RSA_PKCS1_SHA512 };
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(encoding, &SystemRandom::new(), message, &mut signature).unwrap();
                string(&signature)
            }
            Self::Device(device) => {
                let tail = [&[device.flags], COUNTER.to_be_bytes().as_slice()].concat();
                let application = Sha256::digest(device.application);
                let signed = [application.as_slice(), &tail, Sha256::digest(message).as_slice()].concat();
                [device.inner.raw_signature(&signed), tail].concat()
            }
        }
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        [string(self.algorithm().as_bytes()), self.raw_signature(message)].concat()
    }
}

/// A line of a `.pub` file.
pub(super) fn line(type_name: &str, blob: &[u8]) -> String {
    format!("{type_name} {}", STANDARD.encode(blob))
}
