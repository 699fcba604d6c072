//! The chain of certificates: checks 14 to 20.

use packproof_local_nsm::forge::{
    BASIC_CONSTRAINTS, CertificateSpec, Extension, ExtensionValue, Item, KEY_USAGE, Plan,
};
use packproof_receipt::time::UnixMillis;
use packproof_receipt_verify::evidence::{
    AWS_NITRO_ROOT_G1, CertificateError, EvidenceError, Position, VerifiedDocument, verify_document,
};

use crate::{
    INSTANCE, LEAF, NOW, PLACES, REGIONAL, ROOT, ZONAL, cabundle, expect_check, refused, refused_certificate,
    refused_payload, set, verdict,
};

#[test]
fn check_14_root_is_the_pinned_one() {
    let (document, _) = Plan::new(NOW).unwrap().document().unwrap();
    let error = expect_check(16, verify_document(&document, AWS_NITRO_ROOT_G1));
    assert_eq!(error.code(), "chain_root_mismatch");
}

/// A whole chain of the attacker's behind the pinned root: nothing in `cabundle` is trusted for being there.
#[test]
fn check_15_cabundle_is_not_trusted() {
    let pinned = Plan::new(NOW).unwrap().draft().unwrap().root_der;
    let mut draft = Plan::new(NOW).unwrap().draft().unwrap();
    cabundle(&mut draft.payload).insert(0, Item::Bytes(pinned.clone()));
    let error = expect_check(17, verify_document(&draft.sign().unwrap().encode(), &pinned));
    assert_eq!(error, EvidenceError::ChainSignature { position: Position::Intermediate(1) });
    // The attacker's root has the pinned root's name, so only the signature tells.
    let mut draft = Plan::new(NOW).unwrap().draft().unwrap();
    *cabundle(&mut draft.payload).first_mut().unwrap() = Item::Bytes(pinned.clone());
    let error = expect_check(17, verify_document(&draft.sign().unwrap().encode(), &pinned));
    assert_eq!(error, EvidenceError::ChainSignature { position: Position::Intermediate(1) });
}

#[test]
fn check_16_order_and_use() {
    assert_eq!(refused_payload(16, |payload| cabundle(payload).reverse()).code(), "chain_root_mismatch");
    assert_eq!(refused_payload(16, |payload| drop(cabundle(payload).remove(ROOT))).code(), "chain_root_mismatch");
    assert_eq!(refused_payload(16, |payload| cabundle(payload).clear()).code(), "cabundle_count");
    let swapped = refused_payload(17, |payload| cabundle(payload).swap(REGIONAL, ZONAL));
    assert_eq!(swapped, EvidenceError::ChainIssuer { position: Position::Intermediate(1) });
    let missing = refused_payload(17, |payload| drop(cabundle(payload).remove(ZONAL)));
    assert_eq!(missing, EvidenceError::ChainIssuer { position: Position::Intermediate(2) });
    let unused = refused_payload(17, |payload| {
        let regional = cabundle(payload).get(REGIONAL).cloned().unwrap();
        cabundle(payload).push(regional);
    });
    assert_eq!(unused, EvidenceError::ChainIssuer { position: Position::Intermediate(4) });
}

#[test]
fn check_17_profile_of_every_certificate() {
    const SHA256: [u8; 12] = [0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
    for (place, position) in PLACES {
        let expect = |found: EvidenceError, code: &str| {
            assert_eq!(found.code(), code);
            assert!(matches!(found, EvidenceError::Certificate { position: at, .. } if at == position));
        };
        expect(refused_certificate(17, place, |spec| spec.version = 1), "cert_version");
        let both = |spec: &mut CertificateSpec| {
            spec.inner_algorithm_der = SHA256.to_vec();
            spec.outer_algorithm_der = SHA256.to_vec();
        };
        expect(refused_certificate(17, place, both), "cert_signature_algorithm");
        let inner = refused_certificate(17, place, |spec| spec.inner_algorithm_der = SHA256.to_vec());
        expect(inner, "cert_algorithm_mismatch");
        let outer = refused_certificate(17, place, |spec| spec.outer_algorithm_der = SHA256.to_vec());
        expect(outer, "cert_algorithm_mismatch");
        expect(refused_certificate(17, place, |spec| spec.suffix = vec![0]), "cert_malformed");
        // subjectUniqueID, or anything else after the extensions.
        expect(refused_certificate(17, place, |spec| spec.tbs_suffix = vec![0x82, 0x02, 0x00, 0x01]), "cert_malformed");
        let curve = refused_certificate(17, place, |spec| spec.public_key_der = Some(p256_key()));
        expect(curve, "cert_public_key");
        let twice = refused_certificate(17, place, |spec| spec.extensions.extend(spec.extensions.first().cloned()));
        expect(twice, "cert_duplicate_extension");
    }
}

#[test]
fn check_17_links() {
    for (place, position) in PLACES.into_iter().skip(1) {
        let error = refused_certificate(17, place, |spec| {
            let mut other = spec.subject.clone();
            other.reverse();
            spec.issuer = Some(other);
        });
        assert_eq!(error, EvidenceError::ChainIssuer { position });
    }
    // Every link's signature: one bit of the signed part of each certificate, found by its serial number.
    for (place, position) in PLACES.into_iter().skip(1) {
        let plan = Plan::new(NOW).unwrap();
        let serial = plan.certificates.get(place).unwrap().serial.clone();
        let mut draft = plan.draft().unwrap();
        let value = match place {
            LEAF => draft.payload.get_mut("certificate").unwrap(),
            _ => cabundle(&mut draft.payload).get_mut(place).unwrap(),
        };
        let Item::Bytes(der) = value else { unreachable!("a certificate is bytes") };
        let needle = serial.get(serial.len() - 7..).unwrap();
        let at = der.windows(7).position(|window| window == needle).unwrap();
        *der.get_mut(at + 6).unwrap() ^= 1;
        let error = expect_check(17, verify_document(&draft.sign().unwrap().encode(), &draft.root_der));
        assert_eq!(error, EvidenceError::ChainSignature { position });
    }
}

#[test]
fn check_18_authorities() {
    for (place, position) in PLACES.into_iter().take(4) {
        let constraints = |edit: &dyn Fn(&mut Extension)| {
            refused_certificate(18, place, |spec| edit(spec.extension_mut(BASIC_CONSTRAINTS).unwrap()))
        };
        let expected = EvidenceError::BasicConstraints { position };
        assert_eq!(constraints(&|extension| extension.critical = false), expected);
        assert_eq!(constraints(&|extension| *extension = Extension::basic_constraints(false, None)), expected);
        let removed = refused_certificate(18, place, |spec| spec.extensions.retain(|one| one.oid != BASIC_CONSTRAINTS));
        assert_eq!(removed, expected);
        let expected = EvidenceError::KeyUsage { position };
        let usage = refused_certificate(18, place, |spec| {
            *spec.extension_mut(KEY_USAGE).unwrap() = Extension::key_usage(true, &[7, 0x80]);
        });
        assert_eq!(usage, expected);
        let removed = refused_certificate(18, place, |spec| spec.extensions.retain(|one| one.oid != KEY_USAGE));
        assert_eq!(removed, expected);
    }
}

#[test]
fn check_18_path_length() {
    for (place, position, below) in
        [(ROOT, Position::Root, 3), (REGIONAL, Position::Intermediate(1), 2), (ZONAL, Position::Intermediate(2), 1)]
    {
        let limit = |length| {
            verdict(|plan| {
                let spec = plan.certificates.get_mut(place).unwrap();
                *spec.extension_mut(BASIC_CONSTRAINTS).unwrap() = Extension::basic_constraints(true, Some(length));
            })
        };
        assert!(limit(below).is_ok());
        assert_eq!(limit(below - 1).unwrap_err(), EvidenceError::PathLength { position });
    }
    // A path length of 256 must not become 0, nor 2^32 anything.
    for bytes in [&[2, 1, 0][..], &[5, 1, 0, 0, 0, 0]] {
        let value = [&[0x30, 3 + u8::try_from(bytes.len()).unwrap() + 1, 1, 1, 0xff, 2][..], bytes].concat();
        let error = refused_certificate(17, INSTANCE, |spec| {
            spec.extension_mut(BASIC_CONSTRAINTS).unwrap().value = ExtensionValue::Der(value);
        });
        assert_eq!(error.code(), "cert_malformed");
    }
}

#[test]
fn check_18_leaf() {
    let constraints = |replacement: Extension| {
        refused_certificate(18, LEAF, |spec| *spec.extension_mut(BASIC_CONSTRAINTS).unwrap() = replacement)
    };
    let expected = EvidenceError::BasicConstraints { position: Position::Leaf };
    assert_eq!(constraints(Extension::basic_constraints(true, None)), expected);
    assert_eq!(constraints(Extension::basic_constraints(true, Some(0))), expected);
    assert_eq!(constraints(Extension::basic_constraints(false, Some(0))), expected);
    let usage = |bits: &[u8]| {
        let bits = bits.to_vec();
        refused_certificate(18, LEAF, move |spec| {
            *spec.extension_mut(KEY_USAGE).unwrap() = Extension::key_usage(false, &bits);
        })
    };
    let expected = EvidenceError::KeyUsage { position: Position::Leaf };
    assert_eq!(usage(&[6, 0x40]), expected);
    assert_eq!(usage(&[2, 0xc4]), expected);
    assert_eq!(refused_certificate(18, LEAF, |spec| spec.extensions.retain(|one| one.oid != KEY_USAGE)), expected);
}

#[test]
fn check_18_unknown_critical_extensions() {
    for (place, position) in PLACES {
        // nameConstraints, 2.5.29.30
        let extension = |critical| Extension {
            oid: vec![0x55, 0x1d, 0x1e],
            critical,
            value: ExtensionValue::Der(vec![0x30, 0x00]),
        };
        let error = refused_certificate(18, place, |spec| spec.extensions.push(extension(true)));
        let problem = CertificateError::UnknownCriticalExtension { oid: "551d1e".into() };
        assert_eq!(error, EvidenceError::Certificate { position, problem });
        assert!(verdict(|plan| plan.certificates.get_mut(place).unwrap().extensions.push(extension(false))).is_ok());
    }
}

#[test]
fn check_19_both_ends_of_every_validity_belong_to_it() {
    let second = NOW.as_secs();
    for (place, position) in PLACES {
        let window = |not_before: u64, not_after: u64| {
            verdict(|plan| {
                let spec = plan.certificates.get_mut(place).unwrap();
                (spec.not_before, spec.not_after) = (millis(not_before), millis(not_after));
            })
        };
        let expect = |found: Result<VerifiedDocument, EvidenceError>| {
            let error = expect_check(19, found);
            assert!(matches!(error, EvidenceError::Validity { position: at, .. } if at == position), "{error}");
        };
        assert!(window(second, second + 60).is_ok());
        // The document is made 112 ms into this second, which is still within.
        assert!(window(second - 60, second).is_ok());
        expect(window(second + 1, second + 60));
        expect(window(second - 60, second - 1));
    }
}

#[test]
fn check_19_dates_exist() {
    for (place, position) in PLACES {
        let error = refused_certificate(19, place, |spec| {
            let dates = [&b"\x17\x0d260230000000Z"[..], b"\x17\x0d491231000000Z"].concat();
            spec.validity_der = Some([&[0x30, 30][..], &dates].concat());
        });
        assert_eq!(error, EvidenceError::Certificate { position, problem: CertificateError::Time });
    }
}

#[test]
fn check_19_leaf_window() {
    let window = |seconds: u64| {
        verdict(|plan| {
            let leaf = plan.certificates.get_mut(LEAF).unwrap();
            leaf.not_after = leaf.not_before.saturating_add_millis(seconds * 1_000);
        })
    };
    assert!(window(11_400).is_ok());
    assert_eq!(window(11_401).unwrap_err(), EvidenceError::LeafWindow { seconds: 11_401 });
}

#[test]
fn check_20_names() {
    let renamed = |place: usize, from: &str, to: &str| {
        let (from, to) = (from.to_owned(), to.to_owned());
        refused(20, move |plan| {
            let spec = plan.certificates.get_mut(place).unwrap();
            let name = spec.subject.iter().map(|(_, value)| value).find(|value| value.contains(".local-1."));
            let name = name.cloned().unwrap_or_else(|| "packproof-local.nitro-enclaves".into());
            assert!(name.contains(&from), "{name} has no {from}");
            spec.set_common_name(&name.replace(&from, &to));
        })
    };
    for name in ["packproof-local", "nitro-enclaves", ".nitro-enclaves", "a.b.nitro-enclaves"] {
        assert_eq!(renamed(ROOT, "packproof-local.nitro-enclaves", name), EvidenceError::RootCommonName);
    }
    for place in [REGIONAL, ZONAL, INSTANCE, LEAF] {
        assert_eq!(renamed(place, "local-1", "local-2"), EvidenceError::RegionMismatch);
        assert_eq!(renamed(place, "packproof-local", "aws"), EvidenceError::RegionMismatch);
    }
    assert_eq!(renamed(INSTANCE, "i-0", "i-1"), EvidenceError::InstanceCommonName);
    assert_eq!(renamed(LEAF, "-enc", "-tpm"), EvidenceError::LeafCommonName);
    assert_eq!(renamed(LEAF, ".local-1", "0.local-1"), EvidenceError::LeafCommonName);
    let other = refused(20, |plan| {
        let last = plan.module_id.pop().unwrap();
        plan.module_id.push(if last == '0' { '1' } else { '0' });
    });
    assert_eq!(other, EvidenceError::LeafCommonName);
    let two = refused_certificate(20, LEAF, |spec| spec.subject.extend(spec.subject.last().cloned()));
    assert_eq!(two.code(), "cert_common_name");
}

#[test]
fn check_20_a_leaf_directly_below_the_root() {
    let error = refused(20, |plan| drop(plan.certificates.drain(REGIONAL..LEAF)));
    assert_eq!(error, EvidenceError::InstanceCommonName);
}

#[test]
fn check_20_instance_register() {
    let changed = refused(20, |plan| {
        plan.pcrs.insert(4, [0x14; 48]);
    });
    assert_eq!(changed, EvidenceError::InstanceRegister);
    let zero = refused(20, |plan| {
        plan.pcrs.remove(&4);
    });
    assert_eq!(zero, EvidenceError::InstanceRegister);
    let missing = refused_payload(20, |payload| {
        let kept = (0..3).map(|index| (Item::Uint(index), Item::Bytes(vec![1; 48]))).collect();
        set(payload, "pcrs", Item::Map(kept));
    });
    assert_eq!(missing, EvidenceError::InstanceRegister);
}

fn millis(seconds: u64) -> UnixMillis {
    UnixMillis(seconds * 1_000)
}

/// SubjectPublicKeyInfo for P-256; the point's value does not matter.
fn p256_key() -> Vec<u8> {
    let head = [
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
        0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
    ];
    [&head[..], &[1; 64]].concat()
}
