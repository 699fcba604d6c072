//! Judges `packproof-eif` by AWS's `aws-nitro-enclaves-image-format` on generated and on changed images.
//!
//! `eif-judge DIR IMAGES SEED CHANGED` prints what is not as expected and exits with 1; DIR holds the signers that the script
//! `run` beside `Cargo.toml` makes, and is written to. `eif-judge registers FILE` prints what AWS's reader says of one file;
//! `eif-judge packproof-eif …` is the command `packproof-eif`.

mod aws;
#[path = "../../../eif/tests/support/mod.rs"]
mod changes;
mod compare;
mod listed;
mod mutate;
mod parts;
mod signer;

use std::{path::Path, process::ExitCode};

use packproof_eif::{
    base::METADATA,
    image::{HEADER_BYTES, Image, SectionKind},
};

use crate::{
    changes::{Random, mended},
    compare::{LISTED, Tally, registers},
    parts::Parts,
    signer::{Signer, with_signature},
};

type Result<T> = std::result::Result<T, String>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["registers", path] => aws::read_path(path).map(|found| {
            for (name, value) in ["PCR0", "PCR1", "PCR2", "PCR8"].iter().zip(found) {
                println!("{name} {value}");
            }
            true
        }),
        ["packproof-eif", ..] => {
            let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
            let args = args.iter().map(std::ffi::OsString::from);
            return ExitCode::from(packproof_eif::cli::run(args, &mut out, &mut err));
        }
        [dir, images, seed, changed] => match (images.parse(), seed.parse(), changed.parse()) {
            (Ok(images), Ok(seed), Ok(changed)) => judge(Path::new(dir), images, seed, changed),
            _ => Err("IMAGES, SEED and CHANGED are numbers".to_owned()),
        },
        _ => Err("usage: eif-judge DIR IMAGES SEED CHANGED | registers FILE | packproof-eif …".to_owned()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("eif-judge: {error}");
            ExitCode::from(2)
        }
    }
}

/// True when nothing differs but what is listed, and all that is listed does.
fn judge(dir: &Path, images: u64, seed: u64, changed: u64) -> Result<bool> {
    // AWS's reader panics on some files, which counts as a refusal; a panic of ours is reported by name
    std::panic::set_hook(Box::new(|_| {}));
    let signers = [Signer::read(dir.join("v1"), true)?, Signer::read(dir.join("v3"), true)?];
    let other_curve = Signer::read(dir.join("p256"), false)?;

    let mut generated = Tally::default();
    for number in 0..images {
        let parts = Parts::random(&mut Random::new(seed.wrapping_mul(1_000_003).wrapping_add(number)), 30_000);
        let [first, second] = &signers;
        let signer = if parts.number % 2 == 0 { first } else { second };
        image(&mut generated, dir, &parts, signer, &format!("image {number} (seed {seed})"))?;
    }
    println!("eif-judge: generated: {generated}");

    let mut broken = Tally::default();
    let [_, signer] = &signers;
    let parts = Parts::random(&mut Random::new(seed), 3_000);
    for (name, file) in listed::files(dir, &parts, signer, &other_curve)? {
        let before = broken.listed.get(name).copied();
        broken.judge(dir, &format!("the file for {name}"), &file);
        if broken.listed.get(name).copied() == before {
            broken.other(name, "is listed as a difference and is none");
        }
    }
    for (name, _) in LISTED.iter().filter(|(name, _)| !broken.listed.contains_key(name)) {
        let reason = "is listed and has no file that shows it";
        println!("OTHER {name}: {reason}");
        broken.others += 1;
    }
    println!("eif-judge: broken by intent: {broken}");

    let mutated = mutate::run(dir, &signers, changed, seed)?;
    println!("eif-judge: changed at random: {mutated}");

    let certificates = mutate::certificates(dir, &signers, changed, seed)?;
    println!("eif-judge: certificates changed at random: {certificates}");

    let mut all = Tally::default();
    [&generated, &broken, &mutated, &certificates].into_iter().for_each(|tally| all.add(tally));
    for (code, times) in &all.listed {
        let why = LISTED.iter().find(|(listed, _)| listed == code).map_or("", |(_, why)| why);
        println!("  {times:>7} {code}: {why}");
    }
    let listed: u64 = all.listed.values().sum();
    println!("{} images, agreed {}, listed differences {listed}, others {}", all.images, all.agreed, all.others);
    Ok(all.others == 0)
}

/// One image made and signed by either, in all combinations.
fn image(tally: &mut Tally, dir: &Path, parts: &Parts, signer: &Signer, what: &str) -> Result<()> {
    let ours = parts.image(METADATA);
    let our_file = ours.to_bytes().map_err(text)?;
    let (their_file, printed) = aws::build(dir, parts, None)?;
    let (their_signed, printed_signed) = aws::build(dir, parts, Some(signer))?;

    // what AWS's builder prints, and the same file from the same parts
    for (file, printed) in [(&their_file, &printed), (&their_signed, &printed_signed)] {
        let theirs = Image::parse(file).map_err(text)?;
        let metadata = theirs.section(SectionKind::Metadata).unwrap_or_default();
        let again = match theirs.section(SectionKind::Signature) {
            Some(section) => with_signature(&parts.image(metadata), section)?,
            None => parts.image(metadata).to_bytes().map_err(text)?,
        };
        if again != *file {
            tally.other(what, "our writer makes another file of the same parts");
        }
        if registers(&theirs).map_err(text)? != *printed {
            tally.other(what, "AWS's builder printed other registers");
        }
    }

    let mut changed = our_file.clone();
    let at = HEADER_BYTES + 12 + usize::try_from(parts.number).map_err(text)? % parts.kernel.len();
    if let Some(byte) = changed.get_mut(at) {
        *byte ^= 1;
    }
    // a signature that was right for another kernel
    let mut moved = signer.sign(&ours)?;
    if let Some(byte) = moved.get_mut(at) {
        *byte ^= 1;
    }
    let files = [
        ("AWS's", &their_file, true),
        ("AWS's, signed by its builder", &their_signed, true),
        ("AWS's, signed by us", &signer.sign(&Image::parse(&their_file).map_err(text)?)?, true),
        ("ours", &our_file, true),
        ("ours, signed by us", &signer.sign(&ours)?, true),
        ("ours, signed by AWS", &aws::sign(dir, &our_file, signer)?, true),
        ("ours, a byte of the kernel changed", &changed, false),
        ("ours, signed, a byte of the kernel and the CRC changed", &mended(moved), false),
    ];
    for (name, file, good) in files {
        let taken = tally.taken;
        tally.judge(dir, &format!("{what}, {name}"), file);
        if (tally.taken > taken) != good {
            tally.other(&format!("{what}, {name}"), if good { "was not taken by both" } else { "was taken" });
        }
    }
    Ok(())
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
