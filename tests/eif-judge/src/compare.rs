//! What we say of a file beside what AWS says of it.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use packproof_eif::{
    EifError,
    describe::describe,
    image::{Image, SectionKind},
    signature,
};

use crate::{Result, aws};

/// Files that we refuse by this name although AWS's reader takes them, or which its reader refuses and we take. All are
/// intended (`eif/SPEC.md`); each has a file in `listed.rs`, and must occur in every run.
pub const LISTED: [(&str, &str); 25] = [
    ("eif_magic", "AWS's reader does not look at the first four bytes"),
    ("eif_version", "it does not look at the version"),
    ("eif_flags", "it does not look at the header's flags"),
    ("eif_reserved", "it does not look at reserved fields"),
    ("eif_section_count", "it does not look at the number of sections"),
    ("eif_unused_table_entry", "it does not look at the table"),
    ("eif_section_offset", "it does not look at the table"),
    ("eif_section_size", "it does not look at the table; its own signer leaves an old size there"),
    ("eif_short_section_header", "it leaves out up to eleven bytes at the end, or a section that is only counted"),
    ("eif_section_kind", "it takes metadata in version 3"),
    ("eif_section_flags", "it does not look at a section's flags"),
    ("eif_trailing_bytes", "it leaves out up to eleven bytes at the end, and takes sections that are not counted"),
    ("eif_section_order", "it takes any order; registers are hashed in the file's order, so one is accepted here"),
    ("eif_section_times", "it takes several kernels, signatures and so on, or none"),
    ("cbor_not_shortest", "it takes numbers in a longer form"),
    ("cbor_indefinite_length", "it takes lists without a length"),
    ("cbor_unexpected_item", "it takes byte strings where its writer puts arrays"),
    ("cbor_too_long", "it takes unprotected headers, which nobody signed, and more than one signature"),
    ("signature_fields", "it takes the fields in another order"),
    ("certificate_pem", "it takes the first of several certificates"),
    ("certificate_der", "it takes BER, and names in old character sets"),
    ("certificate_version", "it takes version 2, which no tool makes"),
    ("certificate_key", "it takes P-256 and P-521"),
    (METADATA, "it refuses metadata of other JSON, which is in no register and not read here"),
    (VALIDITY, "it refuses a certificate that is not valid today; the registers do not depend on the day"),
];
/// Not by our refusal, by AWS's.
const METADATA: &str = "(metadata)";
const VALIDITY: &str = "(validity)";

/// What became of all files.
#[derive(Default)]
pub struct Tally {
    pub images: u64,
    pub agreed: u64,
    pub listed: BTreeMap<&'static str, u64>,
    pub others: u64,
    /// Files that both take.
    pub taken: u64,
}

impl Tally {
    /// Judges one file. When the two differ in a way that is not listed, prints it, and keeps the file in the folder
    /// `PACKPROOF_EIF_KEEP`, if there is one.
    pub fn judge(&mut self, dir: &Path, what: &str, file: &[u8]) {
        let before = self.others;
        self.compare(dir, what, file);
        if self.others > before
            && let Some(keep) = std::env::var_os("PACKPROOF_EIF_KEEP")
            && let Err(error) = std::fs::write(Path::new(&keep).join(format!("{}.eif", what.replace('/', "_"))), file)
        {
            eprintln!("eif-judge: PACKPROOF_EIF_KEEP: {error}");
        }
    }

    fn compare(&mut self, dir: &Path, what: &str, file: &[u8]) {
        self.images += 1;
        let ours = catch_unwind(AssertUnwindSafe(|| ours(file)));
        let Ok(ours) = ours else { return self.other(what, "we panic") };
        match (ours, aws::read(dir, file)) {
            (Ok(Ok(ours)), Ok(theirs)) if ours == theirs => {
                self.agreed += 1;
                self.taken += 1;
            }
            (Ok(Err(_)), Err(_)) => self.agreed += 1,
            (Ok(Ok(ours)), Ok(theirs)) => self.other(what, &format!("we say {ours:?}, AWS says {theirs:?}")),
            (Ok(Err(code)), Ok(_)) => match LISTED.iter().find(|(listed, _)| *listed == code) {
                Some((listed, _)) => *self.listed.entry(listed).or_default() += 1,
                None => self.other(what, &format!("we refuse by {code}, AWS takes it")),
            },
            (Ok(Ok(_)), Err(reason)) if reason.contains("metadata") => *self.listed.entry(METADATA).or_default() += 1,
            (Ok(Ok(_)), Err(reason)) if reason.contains("expired") => *self.listed.entry(VALIDITY).or_default() += 1,
            (Ok(Ok(_)), Err(reason)) => self.other(what, &format!("we take it, AWS refuses: {reason}")),
            (Err(reason), _) => self.other(what, &reason),
        }
    }

    /// Notes something that must not be.
    pub fn other(&mut self, what: &str, reason: &str) {
        self.others += 1;
        println!("OTHER {what}: {reason}");
    }

    /// Adds another tally.
    pub fn add(&mut self, other: &Self) {
        self.images += other.images;
        self.agreed += other.agreed;
        self.others += other.others;
        self.taken += other.taken;
        for (code, times) in &other.listed {
            *self.listed.entry(code).or_default() += times;
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { images, agreed, listed, others, taken } = self;
        let listed: u64 = listed.values().sum();
        write!(f, "{images} images, agreed {agreed}, listed differences {listed}, others {others} (both took {taken})")
    }
}

/// The registers that `packproof-eif measure` prints, or the code of the refusal; the outer error is a fault of ours.
fn ours(file: &[u8]) -> Result<std::result::Result<Vec<String>, &'static str>> {
    let image = match Image::parse(file) {
        Ok(image) => image,
        Err(error) => return Ok(Err(error.code())),
    };
    if image.to_bytes().map_err(crate::text)? != file {
        return Err("taken, but written otherwise".to_owned());
    }
    // must end, whatever the ramdisks hold
    describe(&image);
    Ok(registers(&image).map_err(|error| error.code()))
}

/// PCR0, PCR1, PCR2 and, when signed, PCR8.
pub fn registers(image: &Image<'_>) -> std::result::Result<Vec<String>, EifError> {
    let measured = image.measure();
    let mut all = [measured.pcr0, measured.pcr1, measured.pcr2].map(hex::encode).to_vec();
    if let Some(section) = image.section(SectionKind::Signature) {
        all.push(hex::encode(signature::verify(section, &measured.pcr0)?.pcr8()));
    }
    Ok(all)
}
