//! Changed image files: no panic, no memory beyond a bound, and no accepted lie.
//!
//! `PACKPROOF_EIF_MUTATIONS` says how many (2,000; a deep run takes 100,000). `tests/eif-judge` holds the same changes against
//! AWS's reader.
// the figures of memory are Linux's
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests, which panic when something is wrong"
)]

mod support;

use std::{collections::BTreeMap, io::Write};

use packproof_eif::{
    base::METADATA,
    describe::describe,
    diff::diff,
    image::{Architecture, HEADER_BYTES, Image, Section, SectionKind},
    signature::{self, Certificate, SigningKey},
};
use packproof_receipt::measure::{boot_ramdisk, policy_ramdisk};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384};
use sha2::{Digest, Sha384};
use support::{Random, changed, mended};

/// Memory that reading, showing and comparing may add to the process, whatever the files claim. They have at most some kB.
const MAX_GROWTH_KB: usize = 16 * 1_024;

/// Small images of several shapes, the odd ones signed.
fn originals() -> Vec<Vec<u8>> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let certificate = CertificateParams::new(vec!["signer".to_owned()]).unwrap().self_signed(&key).unwrap();
    let certificate = Certificate::from_pem(certificate.pem().as_bytes()).unwrap();
    let key = SigningKey::from_pem(key.serialize_pem().as_bytes()).unwrap();

    let (boot, policy) = (boot_ramdisk(b"\x7fELF init"), policy_ramdisk(b"schema = 1"));
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&[boot.as_slice(), &policy].concat()).unwrap();
    let packed = packed.finish().unwrap();
    let shapes: [&[&[u8]]; 4] = [&[&boot, &policy], &[&boot, &packed, &policy], &[&packed], &[b"x", b"", b"zz", &boot]];
    let mut files = Vec::new();
    for ramdisks in shapes {
        let mut image = Image::new(Architecture::X86_64, b"kernel", b"console=ttyS0", METADATA, ramdisks);
        files.push(image.to_bytes().unwrap());
        let pcr0 = image.measure().pcr0;
        let section = signature::section(&pcr0, &certificate, &key.sign(&pcr0, &certificate).unwrap()).unwrap();
        image.sections.push(Section { kind: SectionKind::Signature, bytes: &section });
        files.push(image.to_bytes().unwrap());
    }
    files
}

/// PCR0, PCR1 and PCR2 by a second, simple reading of the same bytes.
fn registers(file: &[u8]) -> [Vec<u8>; 3] {
    let (mut all, mut base, mut others) = (Vec::new(), Vec::new(), Vec::new());
    let (mut at, mut ramdisks) = (HEADER_BYTES, 0);
    while at < file.len() {
        let size = usize::try_from(u64::from_be_bytes(file[at + 4..at + 12].try_into().unwrap())).unwrap();
        let content = &file[at + 12..at + 12 + size];
        if let kind @ 1..=3 = file[at + 1] {
            all.extend(content);
            ramdisks += usize::from(kind == 3);
            if ramdisks <= 1 { base.extend(content) } else { others.extend(content) }
        }
        at += 12 + size;
    }
    [all, base, others]
        .map(|bytes| Sha384::new().chain_update([0; 48]).chain_update(Sha384::digest(bytes)).finalize().to_vec())
}

/// What a file says of itself: three registers, and the certificate's bytes when it is signed.
type Said = ([Vec<u8>; 3], Option<Vec<u8>>);

/// As `packproof-eif measure` does it; an error is the refusal's code.
fn measure(file: &[u8]) -> Result<Said, &'static str> {
    let image = Image::parse(file).map_err(|error| error.code())?;
    let measured = image.measure();
    let certificate = match image.section(SectionKind::Signature) {
        Some(section) => {
            let verified = signature::verify(section, &measured.pcr0).map_err(|error| error.code())?;
            assert_eq!(verified.pcr8(), packproof_receipt::measure::pcr(&[verified.der()]));
            Some(verified.der().to_vec())
        }
        None => None,
    };
    Ok(([measured.pcr0, measured.pcr1, measured.pcr2].map(Vec::from), certificate))
}

/// A figure of `/proc/self/status` in kB: address space, whether touched or not.
fn memory_kb(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn changed_files_tell_no_lie() {
    let count: u64 = std::env::var("PACKPROOF_EIF_MUTATIONS").map_or(2_000, |text| text.parse().unwrap());
    let originals = originals();
    // an earlier peak, such as that of the thread's start, would hide what comes: take up the room below it
    let room = Vec::<u8>::with_capacity((memory_kb("VmPeak:") - memory_kb("VmSize:")) * 1_024);
    let before = memory_kb("VmPeak:");
    let said: Vec<Said> = originals.iter().map(|file| measure(file).unwrap()).collect();
    for (file, said) in originals.iter().zip(&said) {
        assert_eq!(said.0, registers(file));
        describe(&Image::parse(file).unwrap());
    }
    let (mut same, mut other) = (0_u64, 0_u64);
    let mut refusals: BTreeMap<&'static str, u64> = BTreeMap::new();
    for case in 0..count {
        let index = usize::try_from(case).unwrap() % originals.len();
        let (original, said) = (&originals[index], &said[index]);
        let file = changed(original, &mut Random::new(case));
        if file == *original {
            continue;
        }
        // the CRC alone finds a change that nobody covered up
        assert!(measure(&file).is_err(), "case {case}: a changed file was measured");

        let forged = if file.len() < HEADER_BYTES { file } else { mended(file) };
        if let Ok(image) = Image::parse(&forged) {
            assert_eq!(image.to_bytes().unwrap(), forged, "case {case}: another encoding was accepted");
            serde_json::to_vec(&describe(&image)).unwrap();
            let found = diff(&Image::parse(original).unwrap(), &image);
            assert_eq!(found.is_empty(), forged == *original, "case {case}: a difference was not explained");
            let pcr0_changed = image.measure().pcr0.as_slice() != said.0[0];
            assert!(!pcr0_changed || found.iter().any(|difference| difference.measured), "case {case}");
        }
        match measure(&forged) {
            Err(code) => *refusals.entry(code).or_default() += 1,
            Ok((registers_said, certificate)) => {
                assert_eq!(registers_said, registers(&forged), "case {case}: registers of other bytes");
                let bytes_changed = registers(&forged) != registers(original);
                assert_eq!(registers_said != said.0, bytes_changed, "case {case}");
                // nobody else has the key: a signature counts for the image that it was made for
                if certificate.is_some() {
                    assert_eq!(registers_said[0], said.0[0], "case {case}: a signature of another image was accepted");
                }
                if bytes_changed { other += 1 } else { same += 1 }
            }
        }
    }
    drop(std::hint::black_box(room));
    let growth = memory_kb("VmPeak:") - before;
    let refused: u64 = refusals.values().sum();
    println!(
        "{count} changed files: {refused} refused by {} codes, {other} measured otherwise, {same} changed where nothing is \
         measured; memory grew by {growth} kB",
        refusals.len()
    );
    for (code, times) in &refusals {
        println!("  {times:>7} {code}");
    }
    assert!(growth <= MAX_GROWTH_KB, "memory grew by {growth} kB, at most {MAX_GROWTH_KB} expected");
    assert!(refusals.len() > 5 && other > 0 && same > 0, "the changes do not reach far enough");
}
