use super::super::testing::{COUNTER, Device, TestKey, line, mpint, string};
use super::*;
use ed25519_dalek::SigningKey;

const MESSAGE: &[u8] = b"the message";

/// RFC 8032 section 7.1, test 1.
const KEY: [u8; 32] = [
    0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e, 0xe1, 0x72,
    0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
];

fn ed25519_line(key: &[u8]) -> String {
    line("ssh-ed25519", &[string(b"ssh-ed25519"), string(key)].concat())
}

/// Parses a key of `type_name` with these fields.
fn parse(type_name: &str, fields: &[Vec<u8>]) -> Result<PublicKey, SshSigError> {
    PublicKey::parse(&line(type_name, &[string(type_name.as_bytes()), fields.concat()].concat()))
}

fn malformed<T>() -> Result<T, SshSigError> {
    Err(SshSigFlaw::SignatureBlob.into())
}

#[test]
fn reads_a_key_line_with_and_without_comment() {
    let key = PublicKey::parse(&ed25519_line(&KEY)).unwrap();
    assert_eq!(line("ssh-ed25519", key.blob()), ed25519_line(&KEY));
    assert_eq!(PublicKey::parse(&format!("{} release key, 2026", ed25519_line(&KEY))), Ok(key.clone()));
    assert_eq!(key.fingerprint().len(), 7 + 43);
    assert_eq!(format!("{key:?}"), format!("ssh-ed25519 {}", key.fingerprint()));
}

#[test]
fn reads_every_type_and_verifies_its_signatures() {
    for (key, algorithm) in TestKey::all() {
        let public = key.public();
        assert_eq!((public.key_type().name(), public.blob()), (key.type_name(), key.blob().as_slice()));
        assert_eq!(public.verify(MESSAGE, &key.sign(MESSAGE)), Ok(algorithm));
        assert_eq!(public.verify(b"another", &key.sign(MESSAGE)), Err(SshSigError::BadSignature), "{algorithm}");
    }
}

#[test]
fn refuses_every_type_with_a_byte_missing_added_or_changed() {
    for (key, algorithm) in TestKey::all() {
        let (public, blob, signature) = (key.public(), key.blob(), key.sign(MESSAGE));
        for end in 0..blob.len() {
            assert!(PublicKey::from_blob(&blob[..end]).is_err(), "{algorithm} {end}");
        }
        let long = [blob.as_slice(), &[0]].concat();
        assert_eq!(PublicKey::from_blob(&long), Err(SshSigFlaw::KeyBlob.into()), "{algorithm}");
        for end in 0..signature.len() {
            assert_eq!(public.verify(MESSAGE, &signature[..end]), malformed(), "{algorithm} {end}");
        }
        assert_eq!(public.verify(MESSAGE, &[signature.as_slice(), &[0]].concat()), malformed(), "{algorithm}");
        for bit in 0..signature.len() * 8 {
            let mut changed = signature.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(public.verify(MESSAGE, &changed).is_err(), "{algorithm} bit {bit}");
        }
    }
}

#[test]
fn refuses_another_algorithm_than_the_keys() {
    let keys = TestKey::all();
    for (key, _) in &keys {
        let own = key.sign(MESSAGE);
        let rest = &own[4 + key.algorithm().len()..];
        let others = keys.iter().map(|(other, _)| other).filter(|other| other.type_name() != key.type_name());
        let others = others.map(TestKey::algorithm);
        for name in
            others.chain(["ssh-rsa", "rsa-sha2-512-cert-v01@openssh.com", "webauthn-sk-ssh-ed25519@openssh.com"])
        {
            let renamed = [&string(name.as_bytes()), rest].concat();
            let unsupported = SshSigError::UnsupportedAlgorithm { key_type: key.type_name(), name: name.into() };
            assert_eq!(key.public().verify(MESSAGE, &renamed), Err(unsupported));
        }
    }
}

#[test]
fn refuses_rsa_signatures_under_the_name_of_the_other_hash() {
    for (algorithm, other) in [("rsa-sha2-512", "rsa-sha2-256"), ("rsa-sha2-256", "rsa-sha2-512")] {
        let key = TestKey::rsa(algorithm);
        let renamed = [&string(other.as_bytes()), &key.sign(MESSAGE)[4 + algorithm.len()..]].concat();
        assert_eq!(key.public().verify(MESSAGE, &renamed), Err(SshSigError::BadSignature));
    }
}

#[test]
fn refuses_lines_that_are_not_one_key() {
    let good = ed25519_line(&KEY);
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
        &ed25519_line(&KEY[1..]),
        &ed25519_line(&[KEY.as_slice(), &[0]].concat()),
        // the word before the blob says RSA, the blob says Ed25519
        &good.replacen("ssh-ed25519", "ssh-rsa", 1),
    ] {
        assert_eq!(PublicKey::parse(bad), Err(SshSigError::InvalidPublicKey), "{bad:?}");
    }
}

#[test]
fn names_other_key_types() {
    let unsupported = |name: &str| Err(SshSigError::UnsupportedKeyType { name: name.into() });
    for name in ["ssh-dss", "ecdsa-sha2-nistp384", "ssh-ed25519-cert-v01@openssh.com", "cert-authority", "SSH-RSA"] {
        assert_eq!(PublicKey::parse(&ed25519_line(&KEY).replacen("ssh-ed25519", name, 1)), unsupported(name));
        assert_eq!(parse("ssh-rsa", &[]), Err(SshSigError::InvalidPublicKey));
        // the word before the blob is known, the blob's is not
        let inner = line("ssh-ed25519", &string(name.as_bytes()));
        assert_eq!(PublicKey::parse(&inner), unsupported(name));
    }
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
    assert!(PublicKey::parse(&ed25519_line(&reduced)).is_ok());
    // y = 2 is not on the curve
    let mut off_curve = [0; 32];
    off_curve[0] = 2;
    for bad in [identity, [0; 32], unreduced, off_curve] {
        assert_eq!(PublicKey::parse(&ed25519_line(&bad)), Err(SshSigError::InvalidPublicKey), "{bad:02x?}");
        let device = parse("sk-ssh-ed25519@openssh.com", &[string(&bad), string(b"ssh:")]);
        assert_eq!(device, Err(SshSigError::InvalidPublicKey), "{bad:02x?}");
    }
}

/// Its R is the identity, so s = k·a for the owner of `a`: the same s from any R of small order. Computed apart from this
/// code, for the key of seed 7 and [`MESSAGE`].
#[test]
fn refuses_signatures_whose_first_half_is_of_small_order() {
    const S: [u8; 32] = [
        0x61, 0x81, 0x22, 0xdc, 0x8f, 0xfb, 0x21, 0x3b, 0xea, 0xed, 0xe4, 0x48, 0x5b, 0xb3, 0x79, 0x7b, 0x5c, 0x64,
        0x02, 0x52, 0xc6, 0x24, 0x07, 0x31, 0x52, 0x57, 0x5b, 0x70, 0x9b, 0x4f, 0x63, 0x09,
    ];
    let mut signature = [0; 64];
    signature[0] = 1;
    signature[32..].copy_from_slice(&S);
    // the equation holds
    let key = SigningKey::from_bytes(&[7; 32]).verifying_key();
    ed25519_dalek::Verifier::verify(&key, MESSAGE, &ed25519_dalek::Signature::from_bytes(&signature)).unwrap();
    let blob = [string(b"ssh-ed25519"), string(&signature)].concat();
    assert_eq!(TestKey::ed25519(7).public().verify(MESSAGE, &blob), Err(SshSigError::BadSignature));
}

#[test]
fn refuses_points_that_are_not_uncompressed_and_on_the_curve() {
    let TestKey::P256(pair) = TestKey::p256() else { panic!() };
    use aws_lc_rs::signature::KeyPair as _;
    let point = pair.public_key().as_ref();
    let name = "ecdsa-sha2-nistp256";
    assert!(parse(name, &[string(b"nistp256"), string(point)]).is_ok());
    let compressed = [&[2 + (point[64] & 1)], &point[1..33]].concat();
    let hybrid = [&[6 + (point[64] & 1)], &point[1..]].concat();
    let mut off_curve = point.to_vec();
    off_curve[64] ^= 1;
    for bad in [compressed, hybrid, off_curve, vec![0], vec![], [&[4; 1], [0; 64].as_slice()].concat()] {
        assert_eq!(parse(name, &[string(b"nistp256"), string(&bad)]), Err(SshSigError::InvalidPublicKey), "{bad:02x?}");
    }
    assert_eq!(parse(name, &[string(b"nistp384"), string(point)]), Err(SshSigError::InvalidPublicKey));
}

#[test]
fn refuses_rsa_keys_that_are_too_short_or_too_long() {
    let of_bits = |bits: usize| {
        let mut modulus = vec![0; bits.div_ceil(8)];
        modulus[0] |= 1 << ((bits - 1) % 8);
        *modulus.last_mut().unwrap() |= 1;
        parse("ssh-rsa", &[mpint(&[1, 0, 1]), mpint(&modulus)])
    };
    for bits in [2048, 2049, 3072, 8192] {
        assert!(of_bits(bits).is_ok(), "{bits}");
    }
    for bits in [512, 1024, 2047, 8193, 16384] {
        assert_eq!(of_bits(bits), Err(SshSigError::UnsupportedKeySize { bits }));
    }
}

#[test]
fn refuses_rsa_numbers_that_no_key_has() {
    let odd = [&[0x80], [1; 255].as_slice()].concat();
    let even = [&[0x80], [2; 255].as_slice()].concat();
    let good = [mpint(&[3]), mpint(&odd)];
    assert!(parse("ssh-rsa", &good).is_ok());
    for [exponent, modulus] in [
        [mpint(&[1]), good[1].clone()],
        [mpint(&[4]), good[1].clone()],
        [mpint(&[1, 0, 0, 0, 1]), good[1].clone()],
        // zero, negative, a zero byte too many
        [string(&[]), good[1].clone()],
        [string(&[0]), good[1].clone()],
        [string(&[0x83]), good[1].clone()],
        [string(&[0, 3]), good[1].clone()],
        [good[0].clone(), mpint(&even)],
        [good[0].clone(), string(&odd)],
        [good[0].clone(), string(&[&[0, 0], odd.as_slice()].concat())],
    ] {
        let error = parse("ssh-rsa", &[exponent.clone(), modulus]).unwrap_err();
        assert_eq!(error, SshSigError::InvalidPublicKey, "{exponent:02x?}");
    }
}

/// RFC 8332 wants all of the modulus's length.
#[test]
fn refuses_rsa_signatures_of_another_length() {
    let key = TestKey::rsa("rsa-sha2-512");
    let signature = key.sign(MESSAGE);
    let raw = &signature[4 + 12 + 4..];
    for bad in [&[&[0], raw].concat(), &raw[1..], &[]] {
        let blob = [string(b"rsa-sha2-512"), string(bad)].concat();
        assert_eq!(key.public().verify(MESSAGE, &blob), malformed());
    }
}

#[test]
fn refuses_ecdsa_numbers_in_another_encoding() {
    let key = TestKey::p256();
    let with = |numbers: &[&[u8]]| {
        let numbers: Vec<u8> = numbers.iter().flat_map(|number| string(number)).collect();
        key.public().verify(MESSAGE, &[string(b"ecdsa-sha2-nistp256"), string(&numbers)].concat())
    };
    let one: &[u8] = &[1];
    assert_eq!(with(&[one, one]), Err(SshSigError::BadSignature));
    let (leading_zero, negative, too_long) = ([0, 1], [0x81], [1; 33]);
    for bad in [&leading_zero, negative.as_slice(), &too_long, &[], &[0]] {
        assert_eq!(with(&[bad, one]), malformed(), "{bad:02x?}");
        assert_eq!(with(&[one, bad]), malformed(), "{bad:02x?}");
    }
    assert_eq!(with(&[one, one, one]), malformed());
}

#[test]
fn refuses_a_hardware_signature_without_a_touch() {
    for inner in [TestKey::ed25519(7), TestKey::p256()] {
        let TestKey::Device(mut device) = TestKey::device(inner) else { panic!() };
        for (flags, present) in [(0, false), (1, true), (4, false), (5, true), (0xfe, false)] {
            device.flags = flags;
            let key = TestKey::Device(device);
            let verdict = key.public().verify(MESSAGE, &key.sign(MESSAGE));
            let expected = if present { Ok(key.type_name()) } else { Err(SshSigError::UserNotPresent) };
            assert_eq!(verdict, expected, "{flags}");
            let TestKey::Device(same) = key else { panic!() };
            device = same;
        }
    }
}

#[test]
fn a_hardware_signature_covers_application_flags_and_counter() {
    let key = TestKey::device(TestKey::ed25519(7));
    let signature = key.sign(MESSAGE);
    let at = signature.len() - 5;
    assert_eq!(signature[at..], [1, 1, 2, 3, 4]);
    assert_eq!(COUNTER.to_be_bytes(), [1, 2, 3, 4]);
    for change in [5, 0x81] {
        let changed = [&signature[..at], &[change], &signature[at + 1..]].concat();
        assert_eq!(key.public().verify(MESSAGE, &changed), Err(SshSigError::BadSignature));
    }
    let counter = [&signature[..at + 1], &[1, 2, 3, 5]].concat();
    assert_eq!(key.public().verify(MESSAGE, &counter), Err(SshSigError::BadSignature));
    let other = Device { inner: Box::new(TestKey::ed25519(7)), application: "ssh:other", flags: 1 };
    assert_eq!(TestKey::Device(other).public().verify(MESSAGE, &signature), Err(SshSigError::BadSignature));
}

/// The same Ed25519 key on the web signs a hash that the web site chose.
#[test]
fn refuses_hardware_keys_of_other_applications() {
    let key = string(SigningKey::from_bytes(&[7; 32]).verifying_key().as_bytes());
    for application in ["", "ssh", "SSH:", "https://example.com", " ssh:"] {
        let parsed = parse("sk-ssh-ed25519@openssh.com", &[key.clone(), string(application.as_bytes())]);
        assert_eq!(parsed, Err(SshSigError::InvalidPublicKey), "{application}");
    }
}

/// A hardware key is not the plain key with the same point, in neither direction.
#[test]
fn hardware_keys_and_plain_keys_are_different_keys() {
    for inner in [TestKey::ed25519(7), TestKey::p256()] {
        let plain = inner.public();
        let plain_signature = inner.sign(MESSAGE);
        let device = TestKey::device(inner);
        assert_ne!(plain, device.public());
        assert!(plain.verify(MESSAGE, &device.sign(MESSAGE)).is_err());
        assert!(device.public().verify(MESSAGE, &plain_signature).is_err());
        // renamed, and with flags and counter behind
        let name = device.type_name();
        let raw = &plain_signature[4 + plain.key_type().name().len()..];
        let renamed = [&string(name.as_bytes()), raw, &[1, 0, 0, 0, 1]].concat();
        assert_eq!(device.public().verify(MESSAGE, &renamed), Err(SshSigError::BadSignature));
    }
}
