//! Step 4: what ran.

use super::*;

#[test]
fn refuses_a_release_that_cannot_be_read() {
    let kit = Kit::new();
    let made = kit.make(Dev);
    let mut expectations = kit.expectations(&made, Dev);
    expectations.image.release = b"{}";
    assert_only(&verify(&made.receipt, &expectations), "image_release", "release_shape");
}

/// Another program in the boot ramdisk: PCR0 and PCR1 are its own, and it says what a good one would say.
#[test]
fn refuses_another_image() {
    let kit = Kit::new();
    let evil = Kit::new();
    let registers = |index: u8, value: [u8; 48]| {
        let tamper = Tamper {
            request: Some(Box::new(move |request| {
                request.pcrs.insert(index, value);
            })),
            statement: Some(Box::new(move |statement| {
                let version = &mut statement.predicate.run_details.builder.version;
                version.insert(format!("pcr{index}"), hex::encode(value));
            })),
            ..Tamper::default()
        };
        evil_receipt(&evil, &tamper)
    };
    for (index, check) in [(0, "image_pcr0"), (1, "image_pcr1"), (2, "image_pcr2")] {
        let made = registers(index, [9; 48]);
        let mut expectations = kit.expectations(&made, Dev);
        expectations.root = Root::Simulated { der: evil.pki.root_der() };
        let report = verify(&made.receipt, &expectations);
        assert_only(&report, check, check);
        assert_eq!(outcome(&report, "source_signer"), Outcome::NotEvaluated);
        assert_eq!(outcome(&report, "keys_signer"), Outcome::NotEvaluated);
    }
}

fn evil_receipt(kit: &Kit, tamper: &Tamper<'_>) -> Made {
    kit.make_with(Dev, tamper)
}

#[test]
fn refuses_a_policy_that_was_not_measured() {
    let kit = Kit::new();
    let made = kit.make(Dev);
    let mut expectations = kit.expectations(&made, Dev);
    let other = format!("{}\n", kit.policy);
    expectations.policy = other.as_bytes();
    let report = verify(&made.receipt, &expectations);
    assert_eq!(failures(&report), [("image_pcr2", "image_pcr2"), ("image_pcr0", "image_pcr0")]);
    expectations.image.sections = None;
    assert_only(&verify(&made.receipt, &expectations), "image_pcr2", "image_pcr2");
}

#[test]
fn refuses_sections_that_are_not_the_releases() {
    let kit = Kit::new();
    let made = kit.make(Dev);
    let with = |change: fn(&mut Sections<'_>), code| {
        let mut expectations = kit.expectations(&made, Dev);
        change(expectations.image.sections.as_mut().unwrap());
        let report = verify(&made.receipt, &expectations);
        assert_only(&report, "image_sections", code);
        assert_eq!(outcome(&report, "image_pcr0"), Outcome::NotEvaluated);
        assert_eq!(outcome(&report, "source_signer"), Outcome::NotEvaluated);
    };
    with(|sections| sections.kernel = b"b kernel", "section_digest");
    with(|sections| sections.command_line = b"a longer command line", "section_size");
    with(|sections| sections.boot_ramdisk = b"b boot ramdisk", "section_digest");
    // a release whose PCR1 is not that of its own sections
    let mut release: serde_json::Value = serde_json::from_str(&kit.release).unwrap();
    release["pcr1"] = "ab".repeat(48).into();
    let release = release.to_string();
    let mut expectations = kit.expectations(&made, Dev);
    expectations.image.release = release.as_bytes();
    let report = verify(&made.receipt, &expectations);
    assert_eq!(failures(&report), [("image_pcr1", "image_pcr1"), ("image_sections", "release_inconsistent")]);
}

#[test]
fn refuses_a_statement_that_names_other_registers() {
    for name in ["pcr0", "pcr1", "pcr2"] {
        predicate(Dev, "image_stated_pcrs", "image_stated_pcrs", |predicate| {
            predicate.run_details.builder.version.insert(name.into(), "ab".repeat(48));
        });
        predicate(Dev, "image_stated_pcrs", "image_stated_pcrs", |predicate| {
            predicate.run_details.builder.version.remove(name);
        });
    }
}
