use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use sha2::Digest;

use super::super::testing::{Device, TestKey, string};
use super::super::{AllowedSigner, Certified, Verified, verify};
use super::*;
use crate::sshsig::SshSigFlaw;

const MESSAGE: &[u8] = b"the message";

/// The fields of a certificate, to break one at a time. Built by hand from PROTOCOL.certkeys.
struct Forge {
    key: TestKey,
    authority: TestKey,
    /// Instead of the certificate type of `key`.
    type_name: Option<&'static str>,
    serial: u64,
    kind: u32,
    key_id: Vec<u8>,
    principals: Vec<u8>,
    valid_after: u64,
    valid_before: u64,
    critical_options: Vec<u8>,
    extensions: Vec<u8>,
    reserved: &'static [u8],
    /// Instead of the authority's key.
    authority_blob: Option<Vec<u8>>,
    /// Signs instead of the authority.
    other_authority: Option<TestKey>,
    tail: &'static [u8],
}

fn names(names: &[&str]) -> Vec<u8> {
    names.iter().flat_map(|name| string(name.as_bytes())).collect()
}

impl Forge {
    /// For key 7 by authority 9, principals alice and release, from 100 to before 200.
    fn good() -> Self {
        Self::of(TestKey::ed25519(7), TestKey::ed25519(9))
    }

    fn of(key: TestKey, authority: TestKey) -> Self {
        Self {
            key,
            authority,
            type_name: None,
            serial: 5,
            kind: 1,
            key_id: b"alice's laptop".to_vec(),
            principals: names(&["alice@example.com", "release"]),
            valid_after: 100,
            valid_before: 200,
            critical_options: vec![],
            extensions: [names(&["permit-pty", ""]), vec![0xff]].concat(),
            reserved: b"",
            authority_blob: None,
            other_authority: None,
            tail: b"",
        }
    }

    fn blob(&self) -> Vec<u8> {
        let plain = self.key.type_name();
        let type_name = match plain.strip_suffix("@openssh.com") {
            Some(stem) => format!("{stem}-cert-v01@openssh.com"),
            None => format!("{plain}-cert-v01@openssh.com"),
        };
        let signed = [
            string(self.type_name.map_or(type_name.as_bytes(), str::as_bytes)),
            string(b"a nonce"),
            self.key.fields(),
            self.serial.to_be_bytes().to_vec(),
            self.kind.to_be_bytes().to_vec(),
            string(&self.key_id),
            string(&self.principals),
            self.valid_after.to_be_bytes().to_vec(),
            self.valid_before.to_be_bytes().to_vec(),
            string(&self.critical_options),
            string(&self.extensions),
            string(self.reserved),
            string(&self.authority_blob.clone().unwrap_or_else(|| self.authority.blob())),
        ]
        .concat();
        let signature = self.other_authority.as_ref().unwrap_or(&self.authority).sign(&signed);
        [signed, string(&signature), self.tail.to_vec()].concat()
    }

    fn verify(&self) -> Result<Verified, SshSigError> {
        self.verify_by(&[AllowedSigner::authority(self.authority.public(), vec!["alice@example.com".into()])], &[150])
    }

    fn verify_by(&self, allowed: &[AllowedSigner], times: &[u64]) -> Result<Verified, SshSigError> {
        verify_blob(&self.key, &self.blob(), allowed, times)
    }

    fn verify_for(&self, principals: &[&str]) -> Result<Vec<String>, SshSigError> {
        let principals = principals.iter().map(ToString::to_string).collect();
        let verified = self.verify_by(&[AllowedSigner::authority(self.authority.public(), principals)], &[150])?;
        Ok(verified.certificate.unwrap().principals)
    }
}

/// Verifies a signature over [`MESSAGE`] by `key` with the certificate `blob`.
fn verify_blob(key: &TestKey, blob: &[u8], allowed: &[AllowedSigner], times: &[u64]) -> Result<Verified, SshSigError> {
    let fields = [b"git".as_slice(), b"", b"sha512", &sha2::Sha512::digest(MESSAGE)].map(string).concat();
    let signature = key.sign(&[b"SSHSIG", fields.as_slice()].concat());
    let fields = [blob, b"git", b"", b"sha512", &signature].map(string).concat();
    let base64 = STANDARD.encode([b"SSHSIG\0\0\0\x01", fields.as_slice()].concat());
    let lines: Vec<_> = base64.as_bytes().chunks(70).map(|line| str::from_utf8(line).unwrap()).collect();
    let armored = format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n", lines.join("\n"));
    verify(armored.as_bytes(), "git", MESSAGE, allowed, times)
}

fn invalid<T>(flaw: CertificateFlaw) -> Result<T, SshSigError> {
    Err(SshSigError::InvalidCertificate(flaw))
}

#[test]
fn names_key_authority_and_terms() {
    let certified = Certified {
        authority_fingerprint: TestKey::ed25519(9).public().fingerprint(),
        key_id: "alice's laptop".into(),
        serial: 5,
        principals: vec!["alice@example.com".into()],
        all_principals: vec!["alice@example.com".into(), "release".into()],
        valid_after: 100,
        valid_before: 200,
    };
    let fingerprint = TestKey::ed25519(7).public().fingerprint();
    let verified = Verified { index: 0, scheme: "ssh-ed25519", fingerprint, certificate: Some(certified) };
    assert_eq!(Forge::good().verify(), Ok(verified));
}

#[test]
fn every_type_of_key_can_be_certified_and_can_certify() {
    for (key, algorithm) in TestKey::all() {
        let fingerprint = key.public().fingerprint();
        let verified = Forge::of(key, TestKey::ed25519(9)).verify().unwrap();
        assert_eq!((verified.scheme, verified.fingerprint), (algorithm, fingerprint));
    }
    for (authority, algorithm) in TestKey::all() {
        let fingerprint = authority.public().fingerprint();
        let verified = Forge::of(TestKey::ed25519(7), authority).verify().unwrap();
        assert_eq!(verified.certificate.unwrap().authority_fingerprint, fingerprint, "{algorithm}");
    }
}

#[test]
fn refuses_a_certificate_by_an_unknown_authority() {
    let unknown = Err(SshSigError::UnknownAuthority { fingerprint: TestKey::ed25519(9).public().fingerprint() });
    let allowed = [AllowedSigner::authority(TestKey::ed25519(3).public(), vec!["*".into()])];
    assert_eq!(Forge::good().verify_by(&allowed, &[150]), unknown);
    assert_eq!(Forge::good().verify_by(&[], &[150]), unknown);
    // neither the key itself nor its authority as a plain key allows the certificate, as with OpenSSH
    let plain = [7, 9].map(|seed| AllowedSigner::key(TestKey::ed25519(seed).public()));
    assert_eq!(Forge::good().verify_by(&plain, &[150]), unknown);
}

#[test]
fn an_authority_allows_no_key_without_certificate() {
    let key = TestKey::ed25519(7);
    let unknown = Err(SshSigError::UnknownSigner { fingerprint: key.public().fingerprint() });
    let allowed = [AllowedSigner::authority(TestKey::ed25519(9).public(), vec!["*".into()])];
    assert_eq!(verify_blob(&key, &key.blob(), &allowed, &[150]), unknown);
}

#[test]
fn refuses_a_certificate_that_its_authority_did_not_sign() {
    let forge = Forge { other_authority: Some(TestKey::ed25519(3)), ..Forge::good() };
    assert_eq!(forge.verify(), Err(SshSigError::BadCertificateSignature));
}

#[test]
fn refuses_a_certificate_with_any_one_bit_changed() {
    let forge = Forge::good();
    let allowed = [AllowedSigner::authority(forge.authority.public(), vec!["*".into()])];
    let blob = forge.blob();
    assert!(verify_blob(&forge.key, &blob, &allowed, &[150]).is_ok());
    for bit in 0..blob.len() * 8 {
        let mut changed = blob.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(verify_blob(&forge.key, &changed, &allowed, &[150]).is_err(), "bit {bit}");
    }
}

#[test]
fn refuses_a_certificate_cut_anywhere_or_too_long() {
    let forge = Forge::good();
    let blob = forge.blob();
    for end in 4 + 32..blob.len() {
        let error = UnverifiedCertificate::parse(KeyType::Ed25519, &blob[..end]).err().unwrap();
        // 47 to 82: the key
        let flaw = SshSigError::InvalidCertificate(CertificateFlaw::Form);
        assert!(error == flaw || error == SshSigFlaw::KeyBlob.into() && (47..83).contains(&end), "{end} {error:?}");
    }
    assert_eq!(Forge { tail: b"\0", ..Forge::good() }.verify(), invalid(CertificateFlaw::Form));
}

#[test]
fn refuses_a_signature_by_another_key_than_the_certified_one() {
    let forge = Forge::good();
    let allowed = [AllowedSigner::authority(forge.authority.public(), vec!["*".into()])];
    let verdict = verify_blob(&TestKey::ed25519(3), &forge.blob(), &allowed, &[150]);
    assert_eq!(verdict, Err(SshSigError::BadSignature));
}

#[test]
fn refuses_certificates_for_hosts() {
    for kind in [0, 2, 3] {
        assert_eq!(Forge { kind, ..Forge::good() }.verify(), invalid(CertificateFlaw::NotForUsers));
    }
}

#[test]
fn must_hold_at_every_time() {
    let allowed = [AllowedSigner::authority(TestKey::ed25519(9).public(), vec!["*".into()])];
    for times in [&[100][..], &[199], &[100, 199], &[199, 100]] {
        assert!(Forge::good().verify_by(&allowed, times).is_ok(), "{times:?}");
    }
    for (times, at) in
        [(&[99][..], 99), (&[200], 200), (&[150, 200], 200), (&[99, 150], 99), (&[150, u64::MAX], u64::MAX)]
    {
        let refused = SshSigError::CertificateNotValid { at, valid_after: 100, valid_before: 200 };
        assert_eq!(Forge::good().verify_by(&allowed, times), Err(refused), "{times:?}");
    }
    let forever = Forge { valid_after: 0, valid_before: u64::MAX, ..Forge::good() };
    assert!(forever.verify_by(&allowed, &[0, u64::MAX - 1]).is_ok());
}

#[test]
fn its_authority_must_be_valid_at_every_time() {
    let authority = AllowedSigner::authority(TestKey::ed25519(9).public(), vec!["*".into()]);
    let until_150 = AllowedSigner { valid_before: Some(150), ..authority.clone() };
    let refused = SshSigError::KeyNotValid { at: 151, valid_after: None, valid_before: Some(150) };
    assert!(Forge::good().verify_by(std::slice::from_ref(&until_150), &[140, 150]).is_ok());
    assert_eq!(Forge::good().verify_by(std::slice::from_ref(&until_150), &[140, 151]), Err(refused));
    assert_eq!(Forge::good().verify_by(&[until_150, authority], &[140, 151]).unwrap().index, 1);
}

#[test]
fn must_be_for_an_allowed_principal() {
    let found = vec!["alice@example.com".to_owned(), "release".to_owned()];
    let wrong = || Err(SshSigError::WrongPrincipal { found: found.clone() });
    let forge = Forge::good();
    assert_eq!(forge.verify_for(&["release"]), Ok(vec!["release".to_owned()]));
    assert_eq!(forge.verify_for(&["bob", "*"]), Ok(found.clone()));
    assert_eq!(forge.verify_for(&["*@example.com"]), Ok(vec!["alice@example.com".to_owned()]));
    assert_eq!(forge.verify_for(&["bob@example.com"]), wrong());
    assert_eq!(forge.verify_for(&["Release"]), wrong());
    assert_eq!(forge.verify_for(&["alice@example.com,release"]), wrong());
    assert_eq!(forge.verify_for(&[]), wrong());
}

#[test]
fn a_later_line_for_the_same_authority_may_allow_the_principal() {
    let line = |principal: &str| AllowedSigner::authority(TestKey::ed25519(9).public(), vec![principal.into()]);
    let verified = Forge::good().verify_by(&[line("bob"), line("release"), line("*")], &[150]).unwrap();
    assert_eq!((verified.index, verified.certificate.unwrap().principals), (1, vec!["release".to_owned()]));
}

#[test]
fn refuses_a_certificate_for_everybody() {
    for principals in [vec![], names(&[""]), names(&["alice@example.com", ""])] {
        let forge = Forge { principals, ..Forge::good() };
        assert_eq!(forge.verify_for(&["*"]), invalid(CertificateFlaw::NoPrincipal));
    }
}

#[test]
fn holds_the_limit_of_principals_exactly() {
    let with = |count| Forge { principals: names(&vec!["a"; count]), ..Forge::good() }.verify_for(&["a"]);
    assert_eq!(with(256).unwrap().len(), 256);
    assert_eq!(with(257), invalid(CertificateFlaw::TooManyPrincipals));
}

#[test]
fn refuses_text_that_cannot_be_shown() {
    for bad in [b"a\nb".as_slice(), b"a\0", b"\xff", b"\x1b[2J", "\u{85}".as_bytes()] {
        let forge = Forge { key_id: bad.to_vec(), ..Forge::good() };
        assert_eq!(forge.verify(), invalid(CertificateFlaw::Text), "{bad:02x?}");
        let principals = [names(&["alice@example.com"]), string(bad)].concat();
        assert_eq!(Forge { principals, ..Forge::good() }.verify(), invalid(CertificateFlaw::Text), "{bad:02x?}");
    }
    assert!(Forge { key_id: vec![], ..Forge::good() }.verify().is_ok());
    assert!(Forge { key_id: "J\u{fc}rgen".into(), ..Forge::good() }.verify().is_ok());
}

#[test]
fn refuses_every_critical_option_by_name() {
    for name in ["force-command", "source-address", "verify-required", "unknown@example.com"] {
        let critical_options = [names(&[name]), string(&string(b"value"))].concat();
        let refused = Err(SshSigError::CriticalOption { name: name.into() });
        assert_eq!(Forge { critical_options, ..Forge::good() }.verify(), refused);
    }
    // not even options
    let refused = Err(SshSigError::CriticalOption { name: String::new() });
    assert_eq!(Forge { critical_options: vec![1], ..Forge::good() }.verify(), refused);
}

#[test]
fn ignores_extensions() {
    assert!(Forge { extensions: vec![], ..Forge::good() }.verify().is_ok());
}

#[test]
fn refuses_a_reserved_field_that_is_not_empty() {
    assert_eq!(Forge { reserved: b"x", ..Forge::good() }.verify(), invalid(CertificateFlaw::Reserved));
}

#[test]
fn refuses_principals_that_are_cut_off() {
    let mut principals = names(&["alice@example.com"]);
    principals.pop();
    assert_eq!(Forge { principals, ..Forge::good() }.verify(), invalid(CertificateFlaw::Form));
}

#[test]
fn refuses_a_certified_authority_and_unsupported_ones() {
    let certificate = Forge::good().blob();
    let name = "ssh-ed25519-cert-v01@openssh.com";
    let unsupported = |name: &str| Err(SshSigError::UnsupportedKeyType { name: name.into() });
    let forge = Forge { authority_blob: Some(certificate), ..Forge::good() };
    assert_eq!(forge.verify(), unsupported(name));
    let authority_blob = Some([string(b"ecdsa-sha2-nistp384"), string(b"nistp384"), string(&[4; 97])].concat());
    assert_eq!(Forge { authority_blob, ..Forge::good() }.verify(), unsupported("ecdsa-sha2-nistp384"));
}

#[test]
fn refuses_an_authority_that_signs_with_sha1() {
    let forge = Forge::of(TestKey::ed25519(7), TestKey::rsa("ssh-rsa"));
    let refused = SshSigError::UnsupportedAlgorithm { key_type: "ssh-rsa", name: "ssh-rsa".into() };
    assert_eq!(forge.verify(), Err(refused));
}

#[test]
fn refuses_an_untouched_device_as_signer_and_as_authority() {
    let untouched = || TestKey::Device(Device { inner: Box::new(TestKey::ed25519(7)), application: "ssh:", flags: 0 });
    let by_untouched = Forge::of(untouched(), TestKey::ed25519(9)).verify();
    assert_eq!(by_untouched, Err(SshSigError::UserNotPresent));
    let certified_untouched = Forge::of(TestKey::ed25519(7), untouched()).verify();
    assert_eq!(certified_untouched, Err(SshSigError::UserNotPresent));
}

#[test]
fn refuses_a_certificate_of_another_type_than_its_key() {
    let forge = Forge { type_name: Some("ssh-rsa-cert-v01@openssh.com"), ..Forge::good() };
    assert_eq!(forge.verify(), Err(SshSigFlaw::KeyBlob.into()));
    // the fields begin alike, but the application is missing
    let forge = Forge { type_name: Some("sk-ssh-ed25519-cert-v01@openssh.com"), ..Forge::good() };
    assert!(forge.verify().is_err());
}

#[test]
fn refuses_certified_keys_that_are_weak() {
    let small_order = string(&[[1].as_slice(), &[0; 31]].concat());
    let forge = Forge::good();
    let (blob, good) = (forge.blob(), forge.key.fields());
    let at = blob.windows(good.len()).position(|window| window == good).unwrap();
    let weak = [&blob[..at], &small_order, &blob[at + good.len()..]].concat();
    let allowed = [AllowedSigner::authority(forge.authority.public(), vec!["*".into()])];
    assert_eq!(verify_blob(&forge.key, &weak, &allowed, &[150]), Err(SshSigFlaw::KeyBlob.into()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// A certificate with some of its bytes overwritten, lengths among them, is read without a panic and not accepted.
    #[test]
    fn never_panics_and_never_accepts_changes(
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![Just(0), Just(0xff), any::<u8>()]), 1..6),
    ) {
        let forge = Forge::good();
        let allowed = [AllowedSigner::authority(forge.authority.public(), vec!["*".into()])];
        let good = forge.blob();
        let mut blob = good.clone();
        for (at, byte) in changes {
            *at.get_mut(&mut blob) = byte;
        }
        let verdict = verify_blob(&forge.key, &blob, &allowed, &[150]);
        prop_assert_eq!(verdict.is_ok(), blob == good);
    }
}
