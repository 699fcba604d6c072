//! One signer of each kind: those that ssh-keygen makes, with and without certificates, and hardware keys.
//!
//! There is no authenticator here, so hardware keys are played by software that signs as one does; ssh-keygen, which
//! verifies them all the same, has the say whether it did.

use std::process::Output;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signer as _, SigningKey};
use packproof_gitobj::sshsig::{AllowedSigner, PublicKey};
use sha2::{Digest, Sha256, Sha512};

use crate::sandbox::Sandbox;

/// Who signs.
pub(crate) struct Signer {
    pub(crate) name: String,
    /// The line by which ssh-keygen and git allow it, after the principal.
    pub(crate) line: String,
    /// The same for us.
    pub(crate) allowed: AllowedSigner,
    key: Key,
}

enum Key {
    /// A file of the sandbox, to be given to ssh-keygen.
    File(String),
    Device(Device),
}

/// The principal of all signers.
pub(crate) const PRINCIPAL: &str = "alice@example.com";

impl Signer {
    /// Every kind: 3 that ssh-keygen makes, the same 3 with a certificate, 2 played devices, and one of these with a
    /// certificate.
    pub(crate) fn all(sandbox: &Sandbox) -> Vec<Self> {
        let mut signers = Vec::new();
        for (key_type, bits) in [("ed25519", "256"), ("ecdsa", "256"), ("rsa", "2048")] {
            let name = format!("signer-{key_type}");
            sandbox.keygen(&["-q", "-t", key_type, "-b", bits, "-N", "", "-f", &name]);
            let line = sandbox.public_line(&name);
            let allowed = sandbox.signer(&name);
            signers.push(Self { key: Key::File(name.clone()), name: name.clone(), line, allowed });
            signers.push(Self::certified(sandbox, &name, Key::File(format!("{name}-cert.pub"))));
        }
        for device in [Device::ed25519(), Device::p256()] {
            let name = format!("signer-{}", device.type_name);
            let line = format!("{} {}", device.type_name, STANDARD.encode(device.blob()));
            std::fs::write(sandbox.path(&format!("{name}.pub")), format!("{line}\n")).unwrap();
            if device.type_name.starts_with("sk-ssh-ed25519") {
                let mut certified = Self::certified(sandbox, &name, Key::File(String::new()));
                let blob = sandbox.public_line(&format!("{name}-cert"));
                let blob = STANDARD.decode(blob.split(' ').nth(1).unwrap()).unwrap();
                certified.key = Key::Device(Device { certificate: Some(blob), ..Device::ed25519() });
                signers.push(certified);
            }
            let allowed = AllowedSigner::key(PublicKey::parse(&line).unwrap());
            signers.push(Self { name, line, allowed, key: Key::Device(device) });
        }
        signers
    }

    /// With a certificate by `mallory` for the key in `NAME.pub`.
    fn certified(sandbox: &Sandbox, name: &str, key: Key) -> Self {
        sandbox.keygen(&["-q", "-s", "mallory", "-I", "x", "-n", PRINCIPAL, &format!("{name}.pub")]);
        let line = format!("cert-authority {}", sandbox.public_line("mallory"));
        let allowed = sandbox.authority("mallory", &[PRINCIPAL]);
        Self { name: format!("{name} certified"), line, allowed, key }
    }

    /// Signs as `ssh-keygen -Y sign` does; the armored signature.
    pub(crate) fn sign(&self, sandbox: &Sandbox, namespace: &str, hash: &str, message: &[u8]) -> String {
        match &self.key {
            Key::File(file) => {
                let hash = format!("hashalg={hash}");
                let args = ["-q", "-Y", "sign", "-f", file, "-n", namespace, "-O", &hash];
                let Output { status, stdout, stderr } = sandbox.try_keygen(&args, message);
                assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
                String::from_utf8(stdout).unwrap()
            }
            Key::Device(device) => armor(&device.sshsig(namespace, hash, message)),
        }
    }

    /// Whether it is played, and may then also sign without a touch.
    pub(crate) fn untouched(&self, namespace: &str, message: &[u8]) -> Option<String> {
        match &self.key {
            Key::File(_) => None,
            Key::Device(device) => {
                let lazy = Device { flags: 0, ..device.clone() };
                Some(armor(&lazy.sshsig(namespace, "sha512", message)))
            }
        }
    }
}

/// An authenticator, played.
#[derive(Clone)]
struct Device {
    type_name: &'static str,
    seed: [u8; 32],
    p256: Vec<u8>,
    flags: u8,
    certificate: Option<Vec<u8>>,
}

const APPLICATION: &[u8] = b"ssh:";
const COUNTER: u32 = 7;

impl Device {
    fn ed25519() -> Self {
        let type_name = "sk-ssh-ed25519@openssh.com";
        Self { type_name, seed: [5; 32], p256: Vec::new(), flags: 1, certificate: None }
    }

    fn p256() -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let p256 = key.to_pkcs8v1().unwrap().as_ref().to_vec();
        Self { type_name: "sk-ecdsa-sha2-nistp256@openssh.com", p256, ..Self::ed25519() }
    }

    fn p256_key(&self) -> EcdsaKeyPair {
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &self.p256).unwrap()
    }

    /// PROTOCOL.u2f, "Public keys".
    fn blob(&self) -> Vec<u8> {
        let key = if self.p256.is_empty() {
            string(SigningKey::from_bytes(&self.seed).verifying_key().as_bytes())
        } else {
            [string(b"nistp256"), string(self.p256_key().public_key().as_ref())].concat()
        };
        [string(self.type_name.as_bytes()), key, string(APPLICATION)].concat()
    }

    /// PROTOCOL.sshsig around PROTOCOL.u2f, "Signatures".
    fn sshsig(&self, namespace: &str, hash: &str, message: &[u8]) -> Vec<u8> {
        let digest = if hash == "sha256" { Sha256::digest(message).to_vec() } else { Sha512::digest(message).to_vec() };
        let fields = [namespace.as_bytes(), b"", hash.as_bytes(), &digest].map(string).concat();
        let signed = [b"SSHSIG".as_slice(), &fields].concat();
        let tail = [&[self.flags], COUNTER.to_be_bytes().as_slice()].concat();
        let by_device = [Sha256::digest(APPLICATION).as_slice(), &tail, Sha256::digest(&signed).as_slice()].concat();
        let signature = if self.p256.is_empty() {
            SigningKey::from_bytes(&self.seed).sign(&by_device).to_bytes().to_vec()
        } else {
            let signature = self.p256_key().sign(&SystemRandom::new(), &by_device).unwrap();
            let (r, s) = signature.as_ref().split_at(32);
            [mpint(r), mpint(s)].concat()
        };
        let signature = [string(self.type_name.as_bytes()), string(&signature), tail].concat();
        let key = self.certificate.clone().unwrap_or_else(|| self.blob());
        let version = 1_u32.to_be_bytes();
        let head = [b"SSHSIG".as_slice(), &version, &string(&key)].concat();
        [head, [namespace.as_bytes(), b"", hash.as_bytes(), &signature].map(string).concat()].concat()
    }
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

/// The shortest `mpint` of a positive number.
fn mpint(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let number = &number[zeros..];
    let sign = if number[0] < 0x80 { &[][..] } else { &[0] };
    string(&[sign, number].concat())
}

/// The text of a signature's bytes, and the bytes of its text.
pub(crate) fn armor(blob: &[u8]) -> String {
    let base64 = STANDARD.encode(blob);
    let lines: Vec<_> = base64.as_bytes().chunks(70).map(|line| str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n", lines.join("\n"))
}

/// See [`armor`].
pub(crate) fn unarmor(text: &str) -> Vec<u8> {
    let lines: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
    STANDARD.decode(lines).unwrap()
}
