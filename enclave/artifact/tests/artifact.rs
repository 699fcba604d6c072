//! The artifact: exact bytes, the signed payload, every refusal by name, and no panic.

use packproof_artifact::envelope::{
    Artifact, ArtifactError, Contents, KmsEnvelope, MAX_ARTIFACT_BYTES, SignatureAlgorithm, revision,
};
use packproof_artifact::manifest::KmsProvider;
use packproof_artifact::seal::SealedKms;
use proptest::prelude::*;
use serde_json::{Value, json};

const ARN: &str = "arn:aws:kms:eu-west-1:111122223333:key/0a1b2c3d-0000-4000-8000-00000000aaaa";

/// `printf aGVsbG8= | sha256sum`
const HASH: &str = "333d6b3a3c1f5db6c9bdda5939b136986d170f4649172a68368d54ecb44c2ff2";

#[expect(clippy::unwrap_used, reason = "a test's helper")]
fn age() -> Artifact {
    Artifact::new(Contents {
        identity: "checkout",
        environment: "dev",
        packed_at: "2026-11-23T18:40:09.112Z",
        revision: "1795459209111-00ff10ab",
        ciphertext: b"hello",
        envelope: None,
        expires_at: None,
    })
    .unwrap()
}

fn envelope() -> KmsEnvelope {
    let sealed = SealedKms { ciphertext: b"hello".to_vec(), iv: [1; 12], auth_tag: [2; 16] };
    KmsEnvelope::new(KmsProvider::Aws, ARN, &[0xfb, 0xff, 0xfe, 0], &sealed)
}

#[expect(clippy::unwrap_used, reason = "a test's helper")]
fn kms() -> Artifact {
    Artifact::new(Contents {
        identity: "checkout",
        environment: "production",
        packed_at: "2026-11-23T18:40:09.112Z",
        revision: "1795459209111-00ff10ab",
        ciphertext: b"hello",
        envelope: Some(envelope()),
        expires_at: Some("2026-11-24T18:40:09.112Z"),
    })
    .unwrap()
    .with_signature(SignatureAlgorithm::EcdsaSha256, b"\x30\x01\x02")
}

#[test]
fn writes_an_age_artifact_byte_for_byte() {
    let expected = format!(
        r#"{{
  "version": 1,
  "identity": "checkout",
  "environment": "dev",
  "packedAt": "2026-11-23T18:40:09.112Z",
  "revision": "1795459209111-00ff10ab",
  "ciphertextHash": "{HASH}",
  "ciphertext": "aGVsbG8="
}}"#
    );
    assert_eq!(String::from_utf8(age().to_bytes()).unwrap(), expected);
}

#[test]
fn writes_a_signed_kms_artifact_byte_for_byte() {
    let expected = format!(
        r#"{{
  "version": 1,
  "identity": "checkout",
  "environment": "production",
  "packedAt": "2026-11-23T18:40:09.112Z",
  "revision": "1795459209111-00ff10ab",
  "ciphertextHash": "{HASH}",
  "ciphertext": "aGVsbG8=",
  "envelope": {{
    "provider": "aws",
    "keyId": "{ARN}",
    "wrappedKey": "+//+AA==",
    "algorithm": "SYMMETRIC_DEFAULT",
    "iv": "AQEBAQEBAQEBAQEB",
    "authTag": "AgICAgICAgICAgICAgICAg=="
  }},
  "expiresAt": "2026-11-24T18:40:09.112Z",
  "signature": "MAEC",
  "signatureAlgorithm": "ECDSA_SHA256"
}}"#
    );
    assert_eq!(String::from_utf8(kms().to_bytes()).unwrap(), expected);
}

#[test]
fn signs_fourteen_fields() {
    let age_payload = format!(
        "clef-sig-v3\n1\ncheckout\ndev\n1795459209111-00ff10ab\n2026-11-23T18:40:09.112Z\n{HASH}\n\n\n\n\n\n\n"
    );
    assert_eq!(String::from_utf8(age().signing_payload().unwrap()).unwrap(), age_payload);
    let kms_payload = format!(
        "clef-sig-v3\n1\ncheckout\nproduction\n1795459209111-00ff10ab\n2026-11-23T18:40:09.112Z\n{HASH}\n\
         2026-11-24T18:40:09.112Z\naws\n{ARN}\n+//+AA==\nSYMMETRIC_DEFAULT\nAQEBAQEBAQEBAQEB\nAgICAgICAgICAgICAgICAg=="
    );
    assert_eq!(String::from_utf8(kms().signing_payload().unwrap()).unwrap(), kms_payload);
}

#[test]
fn other_clouds_have_their_own_algorithm() {
    let sealed = SealedKms { ciphertext: Vec::new(), iv: [1; 12], auth_tag: [2; 16] };
    let of = |provider| KmsEnvelope::new(provider, "k", b"w", &sealed);
    assert_eq!(
        (of(KmsProvider::Gcp).provider.as_str(), of(KmsProvider::Gcp).algorithm.as_str()),
        ("gcp", "GOOGLE_SYMMETRIC_ENCRYPTION")
    );
    assert_eq!(
        (of(KmsProvider::Azure).provider.as_str(), of(KmsProvider::Azure).algorithm.as_str()),
        ("azure", "RSA-OAEP-256")
    );
}

#[test]
fn revision_is_milliseconds_and_eight_digits() {
    assert_eq!(revision(1_795_459_209_111, [0, 0xff, 0x10, 0xab]), "1795459209111-00ff10ab");
}

#[test]
fn new_refuses_empty_and_control_characters_in_every_signed_member() {
    let contents = || Contents {
        identity: "i",
        environment: "e",
        packed_at: "p",
        revision: "r",
        ciphertext: b"c",
        envelope: Some(envelope()),
        expires_at: Some("x"),
    };
    type Change = fn(&mut Contents<'_>, &'static str);
    let members: [(&'static str, Change); 11] = [
        ("identity", |c, text| c.identity = text),
        ("environment", |c, text| c.environment = text),
        ("packedAt", |c, text| c.packed_at = text),
        ("revision", |c, text| c.revision = text),
        ("expiresAt", |c, text| c.expires_at = Some(text)),
        ("envelope.provider", |c, text| c.envelope.as_mut().unwrap().provider = text.into()),
        ("envelope.keyId", |c, text| c.envelope.as_mut().unwrap().key_id = text.into()),
        ("envelope.wrappedKey", |c, text| c.envelope.as_mut().unwrap().wrapped_key = text.into()),
        ("envelope.algorithm", |c, text| c.envelope.as_mut().unwrap().algorithm = text.into()),
        ("envelope.iv", |c, text| c.envelope.as_mut().unwrap().iv = text.into()),
        ("envelope.authTag", |c, text| c.envelope.as_mut().unwrap().auth_tag = text.into()),
    ];
    assert!(Artifact::new(contents()).is_ok());
    for (name, change) in members {
        let with = |text| {
            let mut contents = contents();
            change(&mut contents, text);
            Artifact::new(contents).unwrap_err()
        };
        assert_eq!(with(""), ArtifactError::EmptyMember { name });
        for text in ["a\nb", "\r", "\0", "a\u{7f}", "\u{85}"] {
            assert_eq!(with(text), ArtifactError::ControlCharacter { name }, "{text:?}");
        }
    }
    let empty = Contents { ciphertext: b"", ..contents() };
    assert_eq!(Artifact::new(empty).unwrap_err(), ArtifactError::EmptyMember { name: "ciphertext" });
}

#[test]
fn reading_gives_back_what_was_written() {
    for artifact in [age(), kms(), kms().with_signature(SignatureAlgorithm::Ed25519, &[7; 64])] {
        let read = Artifact::parse(&artifact.to_bytes()).unwrap();
        assert_eq!(read, artifact);
        read.check_hash().unwrap();
        assert_eq!(read.ciphertext_bytes().unwrap(), b"hello");
    }
    let envelope = kms().envelope.unwrap();
    assert_eq!(envelope.wrapped_key_bytes().unwrap(), [0xfb, 0xff, 0xfe, 0]);
    assert_eq!(envelope.iv_bytes().unwrap(), [1; 12]);
    assert_eq!(envelope.auth_tag_bytes().unwrap(), [2; 16]);
}

#[test]
fn reading_ignores_order_white_space_and_unknown_members() {
    let mut value: Value = serde_json::from_slice(&kms().to_bytes()).unwrap();
    value["attestation"] = json!({"any": ["thing", null, {}]});
    value["envelope"]["more"] = json!(5);
    value["revokedAt"] = json!("");
    let version = value.as_object_mut().unwrap().remove("version").unwrap();
    assert_eq!(version, json!(1));
    value["version"] = json!(1.0);
    assert_eq!(Artifact::parse(format!(" {value}\n").as_bytes()).unwrap(), kms());
}

/// The KMS artifact with one member changed, or removed.
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's helper")]
fn with(path: &str, change: Option<Value>) -> Result<Artifact, ArtifactError> {
    let mut value: Value = serde_json::from_slice(&kms().to_bytes()).unwrap();
    let (object, member) = match path.strip_prefix("envelope.") {
        Some(member) => (&mut value["envelope"], member),
        None => (&mut value, path),
    };
    match change {
        Some(new) => object[member] = new,
        None => drop(object.as_object_mut().unwrap().remove(member)),
    }
    Artifact::parse(value.to_string().as_bytes())
}

#[test]
fn refuses_members_that_are_absent_or_no_strings() {
    let required = ["identity", "environment", "packedAt", "revision", "ciphertextHash", "ciphertext"];
    let of_envelope = ["provider", "keyId", "wrappedKey", "algorithm", "iv", "authTag"];
    let of_envelope = of_envelope.map(|member| format!("envelope.{member}"));
    for name in required.into_iter().chain(of_envelope.iter().map(String::as_str)) {
        for change in [None, Some(Value::Null), Some(json!(5)), Some(json!(["x"])), Some(json!({}))] {
            let error = with(name, change).unwrap_err();
            assert!(matches!(error, ArtifactError::BadMember { name: found } if found == name), "{name}: {error:?}");
        }
    }
    for name in ["expiresAt", "signature"] {
        assert!(with(name, None).is_ok());
        for change in [Value::Null, json!(5), json!(false)] {
            let error = with(name, Some(change)).unwrap_err();
            assert!(matches!(error, ArtifactError::BadMember { name: found } if found == name), "{name}: {error:?}");
        }
    }
    assert!(with("envelope", None).is_ok());
    for change in [Value::Null, json!("x"), json!([]), json!(false)] {
        assert_eq!(with("envelope", Some(change)), Err(ArtifactError::BadEnvelope));
    }
}

#[test]
fn refuses_empty_members() {
    for name in
        ["ciphertext", "revision", "ciphertextHash", "envelope.provider", "envelope.keyId", "envelope.wrappedKey"]
            .into_iter()
            .chain(["envelope.algorithm", "envelope.iv", "envelope.authTag"])
    {
        let error = with(name, Some(json!(""))).unwrap_err();
        assert!(matches!(error, ArtifactError::EmptyMember { name: found } if found == name), "{name}: {error:?}");
    }
    // The runtime does not ask for these.
    for name in ["identity", "environment", "packedAt", "expiresAt", "signature"] {
        assert!(with(name, Some(json!(""))).is_ok(), "{name}");
    }
}

#[test]
fn refuses_other_versions() {
    for change in [None, Some(json!(2)), Some(json!("1")), Some(Value::Null), Some(json!(true)), Some(json!(1.5))] {
        assert_eq!(with("version", change), Err(ArtifactError::UnsupportedVersion));
    }
}

#[test]
fn refuses_other_signature_algorithms() {
    assert!(with("signatureAlgorithm", None).is_ok());
    for change in [json!("ed25519"), json!("ECDSA_SHA_256"), json!(""), Value::Null, json!(5)] {
        assert_eq!(with("signatureAlgorithm", Some(change)), Err(ArtifactError::UnknownSignatureAlgorithm));
    }
}

#[test]
fn revocation_comes_before_shape() {
    for change in [json!("2026-11-23T18:40:09.112Z"), json!(1), json!(true), json!({}), json!([])] {
        assert_eq!(with("revokedAt", Some(change)), Err(ArtifactError::Revoked));
    }
    let file = br#"{"version":1,"identity":"a","environment":"b","revokedAt":"2026-11-23T18:40:09.112Z"}"#;
    assert_eq!(Artifact::parse(file), Err(ArtifactError::Revoked));
    // Not truthy, so no revocation, but no string either.
    for change in [Value::Null, json!(0), json!(false)] {
        assert_eq!(with("revokedAt", Some(change)), Err(ArtifactError::BadMember { name: "revokedAt" }));
    }
}

#[test]
fn refuses_texts_that_are_no_artifact() {
    for text in ["null", "5", "[]", "\"x\""] {
        assert_eq!(Artifact::parse(text.as_bytes()), Err(ArtifactError::NotAnObject), "{text}");
    }
    let file = String::from_utf8(age().to_bytes()).unwrap();
    for text in ["", "{", &format!("{file}x"), &format!("\u{feff}{file}"), "{\"a\":\"\\ud800\"}"] {
        assert!(matches!(Artifact::parse(text.as_bytes()), Err(ArtifactError::NotJson { .. })), "{text}");
    }
    assert!(matches!(Artifact::parse(b"{\"a\":\"\xff\"}"), Err(ArtifactError::NotJson { .. })));
    let deep = format!("{{\"a\":{}", "[".repeat(100_000));
    assert!(matches!(Artifact::parse(deep.as_bytes()), Err(ArtifactError::NotJson { .. })));
}

#[test]
fn refuses_repeated_members_at_any_depth() {
    let file = String::from_utf8(kms().to_bytes()).unwrap();
    let repeated = file.replacen("\"environment\"", "\"identity\"", 1);
    assert_eq!(Artifact::parse(repeated.as_bytes()), Err(ArtifactError::RepeatedMember { line: 4 }));
    let escaped = file.replacen("\"environment\"", "\"id\\u0065ntity\"", 1);
    assert_eq!(Artifact::parse(escaped.as_bytes()), Err(ArtifactError::RepeatedMember { line: 4 }));
    let inside = file.replacen("\"keyId\"", "\"provider\"", 1);
    assert!(matches!(Artifact::parse(inside.as_bytes()), Err(ArtifactError::RepeatedMember { .. })));
    let unknown = file.replacen("\"version\": 1,", "\"version\": 1, \"x\": [{\"y\": 1, \"y\": 2}],", 1);
    assert!(matches!(Artifact::parse(unknown.as_bytes()), Err(ArtifactError::RepeatedMember { .. })));
}

#[test]
fn size_limit_holds_at_the_limit_and_not_above() {
    let mut file = age().to_bytes();
    file.resize(MAX_ARTIFACT_BYTES, b' ');
    assert_eq!(Artifact::parse(&file).unwrap(), age());
    file.push(b' ');
    assert_eq!(Artifact::parse(&file), Err(ArtifactError::TooLarge));
}

#[test]
fn hash_is_of_the_text_in_lower_case_without_prefix() {
    let check = |hash: &str| with("ciphertextHash", Some(json!(hash))).unwrap().check_hash();
    assert_eq!(check(HASH), Ok(()));
    // sha256 of the five bytes "hello"
    let of_bytes = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    for wrong in [&HASH.to_uppercase(), &format!("sha256:{HASH}"), of_bytes] {
        assert_eq!(check(wrong), Err(ArtifactError::HashMismatch), "{wrong}");
    }
}

#[test]
fn refuses_base64_that_is_url_safe_unpadded_or_not_canonical() {
    for text in ["-__-AA==", "aGVsbG8", "aGVsbG9=", "aGVs bG8=", "aGVsbG8=\n", "a"] {
        let artifact = with("ciphertext", Some(json!(text))).unwrap();
        assert_eq!(artifact.ciphertext_bytes(), Err(ArtifactError::BadBase64 { name: "ciphertext" }), "{text:?}");
    }
    type Decode = fn(&KmsEnvelope) -> Result<Vec<u8>, ArtifactError>;
    let members: [(&'static str, Decode); 3] = [
        ("envelope.wrappedKey", KmsEnvelope::wrapped_key_bytes),
        ("envelope.iv", KmsEnvelope::iv_bytes),
        ("envelope.authTag", KmsEnvelope::auth_tag_bytes),
    ];
    for (name, decode) in members {
        let envelope = with(name, Some(json!("_w=="))).unwrap().envelope.unwrap();
        assert_eq!(decode(&envelope), Err(ArtifactError::BadBase64 { name }));
    }
}

#[test]
fn a_read_key_id_with_a_line_feed_has_no_payload() {
    let artifact = with("envelope.keyId", Some(json!("a\nb"))).unwrap();
    assert_eq!(artifact.signing_payload(), Err(ArtifactError::ControlCharacter { name: "envelope.keyId" }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _any = Artifact::parse(&bytes);
    }

    #[test]
    fn a_damaged_artifact_does_not_panic(at in 0..600_usize, cut in 0..20_usize, put in "[\\PC\"{}:,\n]{0,8}") {
        let mut bytes = kms().to_bytes();
        let (start, end) = (at.min(bytes.len()), (at + cut).min(bytes.len()));
        bytes.splice(start..end, put.bytes());
        if let Ok(artifact) = Artifact::parse(&bytes) {
            let _any = (artifact.check_hash(), artifact.signing_payload(), artifact.ciphertext_bytes());
            prop_assert_eq!(Artifact::parse(&artifact.to_bytes()).unwrap(), artifact);
        }
    }

    #[test]
    fn the_payload_tells_members_apart(a in "[a-z\n]{1,6}", b in "[a-z\n]{1,6}", c in "[a-z\n]{1,6}", d in "[a-z\n]{1,6}") {
        let payload = |identity: &str, environment: &str| {
            let mut artifact = age();
            artifact.identity = identity.into();
            artifact.environment = environment.into();
            artifact.signing_payload()
        };
        if let (Ok(first), Ok(second)) = (payload(&a, &b), payload(&c, &d)) {
            prop_assert_eq!(first == second, (&a, &b) == (&c, &d));
        }
    }
}
