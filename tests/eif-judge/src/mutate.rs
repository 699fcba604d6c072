//! Changed files: whatever became of them, AWS's reader must say the same, but for listed differences.

use std::path::Path;

use packproof_eif::{base::METADATA, image::HEADER_BYTES};

use crate::{
    Result,
    changes::{Random, changed, mended},
    compare::Tally,
    listed::{signature_of, with_certificate},
    parts::Parts,
    signer::Signer,
    text,
};

/// Changes `count` files and judges each of them.
pub fn run(dir: &Path, signers: &[Signer], count: u64, seed: u64) -> Result<Tally> {
    let originals = originals(signers, seed)?;
    let mut tally = Tally::default();
    for case in 0..count {
        let mut random = Random::new(seed.wrapping_mul(7_000_003).wrapping_add(case));
        let original = originals.get(usize::try_from(case).map_err(text)? % originals.len()).ok_or("no original")?;
        let mut file = changed(original, &mut random);
        // most are as a forger would leave them
        if case % 8 != 0 && file.len() >= HEADER_BYTES {
            file = mended(file);
        }
        tally.judge(dir, &format!("changed file {case} (seed {seed})"), &file);
    }
    Ok(tally)
}

/// Changes `count` certificates, whose own signatures nobody checks, beside a signature that stays right: PCR8 hangs on every
/// byte of them.
pub fn certificates(dir: &Path, signers: &[Signer], count: u64, seed: u64) -> Result<Tally> {
    let parts = Parts::random(&mut Random::new(seed), 64);
    let image = parts.image(METADATA);
    let mut tally = Tally::default();
    for signer in signers {
        let (_, cose) = signature_of(&image, signer)?;
        let (_, certificate) = signer.ours.as_ref().ok_or("not a P-384 key")?;
        for case in 0..count / 2 {
            let mut random = Random::new(seed.wrapping_mul(11_000_027).wrapping_add(case));
            let mut der = certificate.der().to_vec();
            for _ in 0..=random.below(2) {
                let at = usize::try_from(random.below(u64::try_from(der.len()).map_err(text)?)).map_err(text)?;
                let byte = random.next().to_le_bytes()[0];
                let Some(place) = der.get_mut(at) else { continue };
                match random.below(8) {
                    0 => der.insert(at, byte),
                    1 => drop(der.remove(at)),
                    2 => *place = place.wrapping_add(1),
                    3 => *place = place.wrapping_sub(1),
                    4 => *place ^= 1 << random.below(8),
                    _ => *place = byte,
                }
            }
            let what = format!("changed certificate {case} of {} (seed {seed})", signer.certificate_path.display());
            tally.judge(dir, &what, &with_certificate(&image, &der, &cose)?);
        }
    }
    Ok(tally)
}

/// Small images, every second one signed.
fn originals(signers: &[Signer], seed: u64) -> Result<Vec<Vec<u8>>> {
    let original = |case: u64| {
        let parts = Parts::random(&mut Random::new(seed.wrapping_add(case)), 64);
        let image = parts.image(METADATA);
        match signers.iter().cycle().nth(usize::try_from(case / 2).map_err(text)?) {
            Some(signer) if case % 2 == 1 => signer.sign(&image),
            _ => image.to_bytes().map_err(text),
        }
    };
    (0..16).map(original).collect()
}
