use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer, SigningKey};
use proptest::prelude::*;

use super::armor::MAX_ARMORED_BYTES;
use super::testing::string;
use super::*;

const MESSAGE: &[u8] = b"the message";

/// Any time will do: no key here has a validity.
const TIMES: [u64; 1] = [0];

/// The fields of a signature, to break one at a time. Built by hand from PROTOCOL.sshsig.
#[derive(Clone)]
struct Forge {
    magic: &'static [u8],
    version: u32,
    key_type: &'static str,
    key: Vec<u8>,
    key_tail: &'static [u8],
    namespace: &'static str,
    reserved: &'static str,
    hash: &'static str,
    scheme: &'static str,
    signature: Vec<u8>,
    signature_tail: &'static [u8],
    tail: &'static [u8],
}

fn signer() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn allowed() -> Vec<AllowedSigner> {
    [[9; 32], [7; 32]].map(|seed| AllowedSigner::key(public_key(&SigningKey::from_bytes(&seed)))).to_vec()
}

/// The place in `allowed` of the key that signed.
fn index(armored: &[u8], message: &[u8], allowed: &[AllowedSigner]) -> Result<usize, SshSigError> {
    let verified = verify(armored, "git", message, allowed, &TIMES)?;
    assert_eq!((verified.scheme, &verified.certificate), ("ssh-ed25519", &None));
    assert_eq!(verified.fingerprint, allowed[verified.index].key.fingerprint());
    Ok(verified.index)
}

fn public_key(key: &SigningKey) -> PublicKey {
    let blob = [string(b"ssh-ed25519"), string(key.verifying_key().as_bytes())].concat();
    PublicKey::parse(&format!("ssh-ed25519 {}", STANDARD.encode(blob))).unwrap()
}

impl Forge {
    /// A good signature of [`signer`] over [`MESSAGE`], namespace "git".
    fn good() -> Self {
        Self::signed("git", "sha512", &sha2::Sha512::digest(MESSAGE))
    }

    fn signed(namespace: &'static str, hash: &'static str, digest: &[u8]) -> Self {
        let fields = [namespace.as_bytes(), b"", hash.as_bytes(), digest].map(string).concat();
        let signature = signer().sign(&[b"SSHSIG".as_slice(), &fields].concat());
        Self {
            magic: b"SSHSIG",
            version: 1,
            key_type: "ssh-ed25519",
            key: signer().verifying_key().as_bytes().to_vec(),
            key_tail: b"",
            namespace,
            reserved: "",
            hash,
            scheme: "ssh-ed25519",
            signature: signature.to_bytes().to_vec(),
            signature_tail: b"",
            tail: b"",
        }
    }

    fn blob(&self) -> Vec<u8> {
        let key = [&string(self.key_type.as_bytes()), &string(&self.key), self.key_tail].concat();
        let signature = [&string(self.scheme.as_bytes()), &string(&self.signature), self.signature_tail].concat();
        [
            self.magic,
            &self.version.to_be_bytes(),
            &string(&key),
            &string(self.namespace.as_bytes()),
            &string(self.reserved.as_bytes()),
            &string(self.hash.as_bytes()),
            &string(&signature),
            self.tail,
        ]
        .concat()
    }

    fn verify(&self) -> Result<usize, SshSigError> {
        verify_blob(&self.blob())
    }
}

fn verify_blob(blob: &[u8]) -> Result<usize, SshSigError> {
    index(armor(blob, 70).as_bytes(), MESSAGE, &allowed())
}

fn armor(blob: &[u8], width: usize) -> String {
    let base64 = STANDARD.encode(blob);
    let lines: Vec<_> = base64.as_bytes().chunks(width).map(|line| str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n", lines.join("\n"))
}

fn malformed(flaw: SshSigFlaw) -> Result<usize, SshSigError> {
    Err(SshSigError::Malformed(flaw))
}

#[test]
fn names_the_key_that_signed() {
    assert_eq!(Forge::good().verify(), Ok(1));
    let sha256 = Forge::signed("git", "sha256", &sha2::Sha256::digest(MESSAGE));
    assert_eq!(sha256.verify(), Ok(1));
    let armored = armor(&Forge::good().blob(), 76);
    assert_eq!(index(armored.as_bytes(), MESSAGE, &allowed()), Ok(1));
    assert_eq!(index(armored.trim_end().as_bytes(), MESSAGE, &allowed()), Ok(1));
    let twice = [allowed(), allowed()].concat();
    assert_eq!(index(armored.as_bytes(), MESSAGE, &twice), Ok(1));
}

#[test]
fn refuses_another_message() {
    let armored = armor(&Forge::good().blob(), 70);
    assert_eq!(index(armored.as_bytes(), b"the messag", &allowed()), Err(SshSigError::BadSignature));
}

#[test]
fn refuses_another_namespace_even_when_rightly_signed() {
    let digest = sha2::Sha512::digest(MESSAGE);
    let wrong = |found: &str| Err(SshSigError::WrongNamespace { expected: "git".into(), found: found.into() });
    assert_eq!(Forge::signed("file", "sha512", &digest).verify(), wrong("file"));
    assert_eq!(Forge::signed("git\0", "sha512", &digest).verify(), wrong("(unprintable)"));
    assert_eq!(Forge::signed("gi", "sha512", &digest).verify(), wrong("gi"));
    assert_eq!(Forge::signed("", "sha512", &digest).verify(), malformed(SshSigFlaw::EmptyNamespace));
    // renamed after signing
    assert_eq!(
        Forge { namespace: "git", ..Forge::signed("file", "sha512", &digest) }.verify(),
        Err(SshSigError::BadSignature)
    );
}

#[test]
fn refuses_an_unknown_signer_with_its_fingerprint() {
    let armored = armor(&Forge::good().blob(), 70);
    let fingerprint = public_key(&signer()).fingerprint();
    let unknown = Err(SshSigError::UnknownSigner { fingerprint });
    assert_eq!(index(armored.as_bytes(), MESSAGE, &[]), unknown);
    assert_eq!(index(armored.as_bytes(), MESSAGE, &allowed()[..1]), unknown);
}

#[test]
fn refuses_a_signature_under_another_allowed_key() {
    let key = SigningKey::from_bytes(&[9; 32]).verifying_key().as_bytes().to_vec();
    assert_eq!(Forge { key, ..Forge::good() }.verify(), Err(SshSigError::BadSignature));
}

#[test]
fn names_unsupported_key_types() {
    let unsupported = |name: &str| Err(SshSigError::UnsupportedKeyType { name: name.into() });
    for name in ["ssh-dss", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-ed448", "ssh-dss-cert-v01@openssh.com"] {
        assert_eq!(Forge { key_type: name, ..Forge::good() }.verify(), unsupported(name));
    }
    assert_eq!(Forge { key_type: "a\nb", ..Forge::good() }.verify(), unsupported("(unprintable)"));
}

#[test]
fn names_algorithms_that_are_not_the_keys() {
    for name in ["ssh-rsa", "ecdsa-sha2-nistp256", "sk-ssh-ed25519@openssh.com", "ssh-ed25519-cert-v01@openssh.com", ""]
    {
        let unsupported = Err(SshSigError::UnsupportedAlgorithm { key_type: "ssh-ed25519", name: name.into() });
        assert_eq!(Forge { scheme: name, ..Forge::good() }.verify(), unsupported);
    }
}

#[test]
fn refuses_a_signature_without_a_time_to_hold_validity_against() {
    let armored = armor(&Forge::good().blob(), 70);
    assert_eq!(verify(armored.as_bytes(), "git", MESSAGE, &allowed(), &[]), Err(SshSigError::NoTime));
}

#[test]
fn a_key_must_be_valid_at_every_time() {
    let armored = armor(&Forge::good().blob(), 70);
    let verify_at = |valid_after, valid_before, times: &[u64]| {
        let [_, signer] = &allowed()[..] else { panic!() };
        let signer = AllowedSigner { valid_after, valid_before, ..signer.clone() };
        verify(armored.as_bytes(), "git", MESSAGE, &[signer], times).map(|verified| verified.index)
    };
    let refused = |at, valid_after, valid_before| Err(SshSigError::KeyNotValid { at, valid_after, valid_before });
    for times in [&[10, 20], &[20, 10], &[15, 15]] {
        assert_eq!(verify_at(Some(10), Some(20), times), Ok(0));
    }
    assert_eq!(verify_at(Some(10), Some(20), &[10, 21]), refused(21, Some(10), Some(20)));
    assert_eq!(verify_at(Some(10), Some(20), &[9, 20]), refused(9, Some(10), Some(20)));
    assert_eq!(verify_at(Some(10), None, &[u64::MAX, 9]), refused(9, Some(10), None));
    assert_eq!(verify_at(None, Some(20), &[0, 21]), refused(21, None, Some(20)));
    assert_eq!(verify_at(Some(20), Some(10), &[15]), refused(15, Some(20), Some(10)));
}

#[test]
fn the_first_allowed_signer_that_holds_counts() {
    let armored = armor(&Forge::good().blob(), 70);
    let [_, signer] = &allowed()[..] else { panic!() };
    let expired = AllowedSigner { valid_before: Some(0), ..signer.clone() };
    let other = AllowedSigner { valid_before: Some(1), ..signer.clone() };
    let at_2 = |allowed: &[AllowedSigner]| {
        verify(armored.as_bytes(), "git", MESSAGE, allowed, &[2]).map(|verified| verified.index)
    };
    assert_eq!(at_2(&[expired.clone(), other.clone(), signer.clone()]), Ok(2));
    // and the reason is that of the first
    let reason = SshSigError::KeyNotValid { at: 2, valid_after: None, valid_before: Some(0) };
    assert_eq!(at_2(&[expired, other]), Err(reason));
}

#[test]
fn an_authority_does_not_sign_itself() {
    let armored = armor(&Forge::good().blob(), 70);
    let authority = AllowedSigner::authority(public_key(&signer()), vec!["*".into()]);
    let unknown = Err(SshSigError::UnknownSigner { fingerprint: public_key(&signer()).fingerprint() });
    assert_eq!(index(armored.as_bytes(), MESSAGE, &[authority]), unknown);
}

#[test]
fn names_unsupported_hashes() {
    for name in ["sha1", "sha384", "md5", "SHA512", ""] {
        let unsupported = Err(SshSigError::UnsupportedHash { name: name.into() });
        assert_eq!(Forge { hash: name, ..Forge::good() }.verify(), unsupported);
    }
    // the hash's name is signed
    assert_eq!(Forge { hash: "sha256", ..Forge::good() }.verify(), Err(SshSigError::BadSignature));
}

#[test]
fn refuses_each_malformed_field() {
    let good = Forge::good();
    assert_eq!(Forge { magic: b"SSHSIH", ..good.clone() }.verify(), malformed(SshSigFlaw::Magic));
    for version in [0, 2, u32::MAX] {
        assert_eq!(Forge { version, ..good.clone() }.verify(), Err(SshSigError::UnsupportedVersion { version }));
    }
    assert_eq!(Forge { reserved: "x", ..good.clone() }.verify(), malformed(SshSigFlaw::Reserved));
    assert_eq!(Forge { tail: b"\0", ..good.clone() }.verify(), malformed(SshSigFlaw::TrailingBytes));
    assert_eq!(Forge { key_tail: b"\0", ..good.clone() }.verify(), malformed(SshSigFlaw::KeyBlob));
    assert_eq!(Forge { key: vec![1; 31], ..good.clone() }.verify(), malformed(SshSigFlaw::KeyBlob));
    assert_eq!(Forge { signature_tail: b"\0", ..good.clone() }.verify(), malformed(SshSigFlaw::SignatureBlob));
    assert_eq!(Forge { signature: vec![1; 63], ..good.clone() }.verify(), malformed(SshSigFlaw::SignatureBlob));
    assert_eq!(Forge { signature: vec![], ..good }.verify(), malformed(SshSigFlaw::SignatureBlob));
}

#[test]
fn refuses_a_signature_cut_anywhere() {
    let blob = Forge::good().blob();
    for end in 1..blob.len() {
        let flaw = if end < 6 { SshSigFlaw::Magic } else { SshSigFlaw::Truncated };
        assert_eq!(verify_blob(&blob[..end]), malformed(flaw), "{end}");
    }
}

#[test]
fn refuses_a_signature_with_any_one_bit_changed() {
    let blob = Forge::good().blob();
    for bit in 0..blob.len() * 8 {
        let mut changed = blob.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(verify_blob(&changed).is_err(), "bit {bit}");
    }
}

/// RFC 8032 wants s below the group's order; s plus the order solves the same equation.
#[test]
fn refuses_the_second_encoding_of_a_signature() {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut forge = Forge::good();
    let mut carry = 0;
    for (byte, order) in forge.signature[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        let [high, low] = sum.to_be_bytes();
        (carry, *byte) = (u16::from(high), low);
    }
    assert_eq!(carry, 0);
    assert_eq!(forge.verify(), Err(SshSigError::BadSignature));
}

#[test]
fn names_the_other_schemes() {
    for (text, scheme) in [
        ("-----BEGIN PGP SIGNATURE-----\n", "OpenPGP"),
        ("-----BEGIN PGP MESSAGE-----\n", "OpenPGP"),
        ("-----BEGIN SIGNED MESSAGE-----\n", "X.509"),
    ] {
        let long = text.to_owned() + &"A".repeat(MAX_ARMORED_BYTES);
        for text in [text, &long] {
            let result = index(text.as_bytes(), MESSAGE, &allowed());
            assert_eq!(result, Err(SshSigError::UnsupportedScheme { scheme }));
        }
    }
}

#[test]
fn refuses_all_but_the_armor_of_ssh_keygen() {
    let blob = Forge::good().blob();
    let good = armor(&blob, 70);
    let line = good.lines().nth(1).unwrap().to_owned();
    for bad in [
        String::new(),
        "SSHSIG".into(),
        format!(" {good}"),
        format!("\n{good}"),
        format!("{good}\n"),
        format!("{good}x"),
        good.replace('\n', "\r\n"),
        good.replace("BEGIN SSH", "BEGIN  SSH"),
        good.replace("-----END SSH SIGNATURE-----\n", ""),
        good.replace("END", "FIN"),
        good.replacen(&line, &format!("{line}\n"), 1),
        armor(&blob, 77),
        armor(b"", 70),
    ] {
        assert_eq!(index(bad.as_bytes(), MESSAGE, &allowed()), malformed(SshSigFlaw::Armor), "{bad}");
    }
    for bad in [
        good.replacen(&line, &format!("{line} "), 1),
        good.replacen(&line, &format!("{}-", &line[1..]), 1),
        good.replacen(&line, &line[1..], 1),
        good.replacen("\n-----END", "=\n-----END", 1),
        format!("{good}{good}"),
    ] {
        assert_eq!(index(bad.as_bytes(), MESSAGE, &allowed()), malformed(SshSigFlaw::Base64), "{bad}");
    }
}

#[test]
fn holds_the_size_limit_exactly() {
    let frame = armor(b"", 70).len();
    // lines of 76 and their LF; what is left fills the last line
    let fill = |total: usize| {
        let mut body = "A".repeat(total - frame);
        (1..body.len()).filter(|at| at % 77 == 76).for_each(|at| body.replace_range(at..=at, "\n"));
        format!("-----BEGIN SSH SIGNATURE-----\n{body}\n-----END SSH SIGNATURE-----\n")
    };
    let verdict = |total| {
        let text = fill(total);
        assert_eq!(text.len(), total);
        index(text.as_bytes(), MESSAGE, &allowed())
    };
    assert_eq!(verdict(MAX_ARMORED_BYTES + 1), malformed(SshSigFlaw::TooLong));
    assert_ne!(verdict(MAX_ARMORED_BYTES), malformed(SshSigFlaw::TooLong));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn never_panics_and_never_accepts_noise(text in any::<Vec<u8>>(), line in ".{0,120}") {
        prop_assert!(index(&text, MESSAGE, &allowed()).is_err());
        prop_assert!(index(armor(&text, 70).as_bytes(), MESSAGE, &allowed()).is_err());
        prop_assert!(verify_blob(&[b"SSHSIG\0\0\0\x01".as_slice(), &text].concat()).is_err());
        prop_assert!(PublicKey::parse(&line).is_err());
        let _ = PublicKey::parse(&format!("ssh-ed25519 {line}"));
        for name in testing::TYPE_NAMES {
            let blob = [string(name.as_bytes()), text.clone()].concat();
            let _ = PublicKey::from_blob(&blob);
            let _ = parse_key(&blob);
        }
    }
}
