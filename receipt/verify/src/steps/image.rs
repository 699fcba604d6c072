//! Step 4: what ran. PCR1 by the release, PCR2 recomputed from the policy, PCR0 from both when the bytes are there.

use packproof_receipt::{
    measure::{Measurements, Pcr, policy_pcr2, policy_ramdisk},
    release::{Release, Section},
    statement::PackPredicate,
};
use sha2::{Digest, Sha384};

use super::Attested;
use crate::{
    checks::{Checks, Refusal, ensure, quote},
    evidence::VerifiedDocument,
    expectations::{Expectations, Image, Requirement, Sections},
};

/// A statement made by the image and under the policy that the auditor expects: now its words count.
#[derive(Clone, Copy)]
pub(crate) struct Measured<'a>(Attested<'a>);

impl<'a> Measured<'a> {
    pub(crate) const fn attested(&self) -> Attested<'a> {
        self.0
    }

    pub(crate) const fn predicate(&self) -> &'a PackPredicate {
        self.0.predicate()
    }
}

pub(crate) fn check<'a>(
    checks: &mut Checks<'_>,
    attested: Option<Attested<'a>>,
    expectations: &Expectations<'_>,
) -> Option<Measured<'a>> {
    let document = attested.map(|attested| attested.document());
    let measured = measure(checks, document, &expectations.image, expectations.policy);
    let stated = attested.map(|attested| check_stated(attested.predicate(), attested.document()));
    let stated = checks.judge("image_stated_pcrs", "the statement names the registers of the document", stated);
    let ((), ()) = (measured?, stated?);
    Some(Measured(attested?))
}

/// Compares the document's registers with the image and the policy given. `None` when any of them differs.
pub(crate) fn measure(
    checks: &mut Checks<'_>,
    document: Option<&VerifiedDocument>,
    image: &Image<'_>,
    policy: &[u8],
) -> Option<()> {
    let release = Release::parse(image.release)
        .map_err(|error| Refusal::new(error.code(), error.to_string()))
        .and_then(|release| match release.pcr1() {
            Some(pcr1) => Ok((release, pcr1)),
            None => Err(Refusal::new("release_pcr1", "the release's pcr1 cannot be read")),
        });
    let release = checks.judge("image_release", "the release can be read", Some(release));

    let name = release.as_ref().map(|(release, _)| quote(&release.name)).unwrap_or_default();
    let pcr1 = document.zip(release.as_ref()).map(|(document, (_, pcr1))| {
        same(document, 1, pcr1, "image_pcr1", "it is not that of the release: another kernel or program ran")
    });
    let pcr1 = checks.judge("image_pcr1", format!("PCR1 is that of release {name}"), pcr1);

    let pcr2 = document.map(|document| {
        let expected = policy_pcr2(policy);
        same(
            document,
            2,
            &expected,
            "image_pcr2",
            "the policy given does not measure to it: another policy was in force",
        )
    });
    let pcr2 = checks.judge("image_pcr2", "PCR2 is the measurement of the policy given", pcr2);

    let pcr0 = check_pcr0(checks, document, release.as_ref(), image.sections, policy);
    let ((), ()) = (pcr1?, pcr2?);
    pcr0.then_some(())
}

/// Whether PCR0 stands in the way of belief: false when the bytes were given and do not fit.
fn check_pcr0(
    checks: &mut Checks<'_>,
    document: Option<&VerifiedDocument>,
    release: Option<&(Release, Pcr)>,
    sections: Option<Sections<'_>>,
    policy: &[u8],
) -> bool {
    let Some(sections) = sections else {
        let text = "the image's sections were not given";
        checks.skip("image_sections", Requirement::Pcr0, "sections_not_given", text);
        let text = "PCR0 was not recomputed: the image's sections were not given";
        checks.skip("image_pcr0", Requirement::Pcr0, "pcr0_not_recomputed", text);
        return true;
    };
    let measured = release.map(|(release, pcr1)| check_sections(release, pcr1, &sections, policy));
    let measured = checks.judge("image_sections", "the image's sections are those of the release", measured);
    let pcr0 = document.zip(measured).map(|(document, measured)| {
        same(document, 0, &measured.pcr0, "image_pcr0", "release and policy do not measure to it: another image ran")
    });
    checks.judge("image_pcr0", "PCR0 was recomputed from the sections and the policy", pcr0).is_some()
}

fn check_sections(
    release: &Release,
    pcr1: &Pcr,
    sections: &Sections<'_>,
    policy: &[u8],
) -> Result<Measurements, Refusal> {
    for (section, bytes) in [
        (&release.kernel, sections.kernel),
        (&release.command_line, sections.command_line),
        (&release.boot_ramdisk, sections.boot_ramdisk),
    ] {
        check_section(section, bytes)?;
    }
    let ramdisk = policy_ramdisk(policy);
    let measured = Measurements::of(sections.kernel, sections.command_line, sections.boot_ramdisk, &ramdisk);
    ensure(measured.pcr1 == *pcr1, "release_inconsistent", || {
        format!("the sections measure to PCR1 {}, the release says another", hex::encode(measured.pcr1))
    })?;
    Ok(measured)
}

fn check_section(section: &Section, bytes: &[u8]) -> Result<(), Refusal> {
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    ensure(size == section.size, "section_size", || {
        format!("{} has {size} bytes, the release says {}", section.file, section.size)
    })?;
    ensure(hex::encode(Sha384::digest(bytes)) == section.sha384, "section_digest", || {
        format!("{} does not have the SHA-384 that the release says", section.file)
    })
}

/// A register that is not there never compares equal.
fn same(
    document: &VerifiedDocument,
    index: u8,
    expected: &Pcr,
    code: &'static str,
    otherwise: &str,
) -> Result<(), Refusal> {
    let found = document.pcrs.get(&index);
    ensure(found == Some(expected), code, || {
        let found = found.map_or_else(|| "absent".to_owned(), hex::encode);
        format!("PCR{index} is {found}, expected {}; {otherwise}", hex::encode(expected))
    })
}

fn check_stated(predicate: &PackPredicate, document: &VerifiedDocument) -> Result<(), Refusal> {
    for (index, name) in [(0, "pcr0"), (1, "pcr1"), (2, "pcr2")] {
        let stated = predicate.run_details.builder.version.get(name);
        let equal = stated.is_some() && stated == document.pcrs.get(&index).map(hex::encode).as_ref();
        ensure(equal, "image_stated_pcrs", || format!("the statement's {name} is not the document's"))?;
    }
    Ok(())
}
