//! One test a refusal, and the ways in which a later entry can take the place of an earlier one.

use std::io::Write;

use super::*;
use packproof_receipt::measure::{boot_ramdisk, policy_ramdisk};
use proptest::prelude::*;

const FILE: u32 = 0o100_644;

fn raw_entry(name: &str, mode: u32, data: &[u8]) -> Vec<u8> {
    let mut out = b"070701".to_vec();
    let (size, name_size) = (u32::try_from(data.len()).unwrap(), u32::try_from(name.len()).unwrap() + 1);
    for field in [1, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0] {
        out.extend(format!("{field:08x}").bytes());
    }
    for part in [format!("{name}\0").as_bytes(), data] {
        out.extend(part);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    out
}

fn archive(entries: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut out: Vec<u8> = entries.iter().flat_map(|(name, mode, data)| raw_entry(name, *mode, data)).collect();
    out.extend(raw_entry("TRAILER!!!", 0, b""));
    out
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn error(bytes: &[u8]) -> CpioError {
    Ramdisk::parse(bytes).unwrap_err()
}

/// One file `f` of three bytes; `at` is an offset in its header.
fn with(at: usize, digits: &str) -> Vec<u8> {
    let mut bytes = archive(&[("f", FILE, b"abc")]);
    bytes[at..at + digits.len()].copy_from_slice(digits.as_bytes());
    bytes
}

#[test]
fn reads_the_canonical_ramdisks() {
    let boot = Ramdisk::parse(&boot_ramdisk(b"\x7fELF")).unwrap();
    assert_eq!((boot.entries.len(), boot.archives, boot.compressed), (1, 1, false));
    let init = &boot.entries[0];
    assert_eq!((init.name.as_slice(), init.mode, init.size, init.kind()), (&b"init"[..], 0o100_555, 4, "file"));
    assert_eq!(init.sha384.as_slice(), Sha384::digest(b"\x7fELF").as_slice());
    assert_eq!(Ramdisk::parse(&policy_ramdisk(b"x")).unwrap().entries[0].name, b"packproof.toml");
}

#[test]
fn reads_archives_one_after_another_plain_and_compressed() {
    let (one, two) = (archive(&[("a", FILE, b"1")]), archive(&[("b", FILE, b"22"), ("l", 0o120_777, b"a")]));
    let names = |bytes: &[u8]| {
        let ramdisk = Ramdisk::parse(bytes).unwrap();
        let names: Vec<Vec<u8>> = ramdisk.entries.into_iter().map(|entry| entry.name).collect();
        (names.concat(), ramdisk.archives)
    };
    assert_eq!(names(&[&one[..], &[0; 8], &two].concat()), (b"abl".to_vec(), 2));
    assert_eq!(names(&[&one[..], &gzip(&two), &gzip(&one)].concat()), (b"abla".to_vec(), 3));
    assert_eq!(names(&gzip(&[&one[..], &[0; 512], &two].concat())), (b"abl".to_vec(), 2));
    assert_eq!(Ramdisk::parse(&two).unwrap().entries[1].link_target.as_deref(), Some(&b"a"[..]));
}

#[test]
fn refuses_what_is_no_archive() {
    assert_eq!(error(b""), CpioError::NotAnArchive { at: 0 });
    assert_eq!(error(&[0; 16]), CpioError::NotAnArchive { at: 16 });
    assert_eq!(error(b"\xfd7zXZ\0"), CpioError::NotAnArchive { at: 0 });
    let mut bytes = archive(&[]);
    let at = bytes.len();
    bytes.extend(b"more");
    assert_eq!(error(&bytes), CpioError::NotAnArchive { at });
    assert_eq!(error(&with(0, "070707")), CpioError::Magic { index: 0 });
}

#[test]
fn refuses_cut_archives() {
    let bytes = archive(&[("f", FILE, b"abc")]);
    assert_eq!(error(&bytes[..60]), CpioError::Truncated);
    assert_eq!(error(&bytes[..114]), CpioError::Truncated);
    // a whole entry and no trailer
    assert_eq!(error(&raw_entry("f", FILE, b"abc")), CpioError::NoTrailer);
    assert_eq!(error(&gzip(b"")), CpioError::NoTrailer);
    assert_eq!(error(&gzip(&raw_entry("f", FILE, b"abc"))), CpioError::NoTrailer);
}

#[test]
fn refuses_sizes_past_the_end() {
    assert_eq!(error(&with(6 + 6 * 8, "ffffffff")), CpioError::Truncated);
    assert_eq!(error(&with(6 + 11 * 8, "00000fff")), CpioError::Truncated);
}

#[test]
fn refuses_names_that_cannot_be() {
    for (digits, length) in [("00000000", 0), ("00000001", 1), ("00001001", 4_097), ("ffffffff", u32::MAX)] {
        assert_eq!(error(&with(6 + 11 * 8, digits)), CpioError::NameLength { index: 0, length });
    }
    // no NUL at the end: the length takes in one padding byte less than the name
    assert_eq!(error(&archive(&[("a\0b", FILE, b"")])), CpioError::NameNul { index: 0 });
    let mut bytes = archive(&[("abc", FILE, b"")]);
    bytes[113] = b'd';
    assert_eq!(error(&bytes), CpioError::NameNul { index: 0 });
}

#[test]
fn refuses_other_digits() {
    for digits in ["0000000g", " 0000001", "0x000001", "+0000001"] {
        assert_eq!(error(&with(6, digits)), CpioError::Digits { index: 0 });
    }
    assert!(Ramdisk::parse(&with(6, "0000ABCD")).is_ok());
}

#[test]
fn refuses_bytes_in_the_padding() {
    let mut bytes = archive(&[("f", FILE, b"abc")]);
    bytes[115] = 1;
    assert_eq!(error(&bytes), CpioError::Padding { index: 0 });
}

#[test]
fn refuses_content_that_the_kernel_passes_over() {
    assert_eq!(error(&archive(&[("d", 0o040_755, b"x")])), CpioError::BodyNotAllowed { index: 0 });
    assert_eq!(error(&raw_entry("TRAILER!!!", 0, b"hidden")), CpioError::BodyNotAllowed { index: 0 });
    assert_eq!(error(&raw_entry("TRAILER!!!", FILE, b"hidden")), CpioError::BodyNotAllowed { index: 0 });
}

#[test]
fn refuses_links_without_target() {
    assert_eq!(error(&archive(&[("l", 0o120_777, b"")])), CpioError::LinkLength { index: 0, length: 0 });
    let long = vec![b'a'; 4_096];
    assert_eq!(error(&archive(&[("l", 0o120_777, &long)])), CpioError::LinkLength { index: 0, length: 4_096 });
}

#[test]
fn checks_the_checksum_of_the_format_that_has_one() {
    let sum = format!("{:08x}", u32::from(b'a') + u32::from(b'b') + u32::from(b'c'));
    let with_sum = |sum: &str| {
        let mut bytes = with(6 + 12 * 8, sum);
        bytes[5] = b'2';
        bytes
    };
    assert!(Ramdisk::parse(&with_sum(&sum)).is_ok());
    assert_eq!(error(&with_sum("00000001")), CpioError::Checksum { index: 0 });
}

#[test]
fn refuses_a_damaged_stream() {
    let mut bytes = gzip(&archive(&[("f", FILE, b"abc")]));
    let crc = bytes.len() - 8;
    bytes[crc] ^= 1;
    assert!(matches!(error(&bytes), CpioError::Gzip(_)));
}

#[test]
fn bounds_the_number_of_entries() {
    let entry = raw_entry("a", FILE, b"");
    let fill = |count: usize| [entry.repeat(count), raw_entry("TRAILER!!!", 0, b"")].concat();
    assert_eq!(Ramdisk::parse(&fill(MAX_ENTRIES)).unwrap().entries.len(), MAX_ENTRIES);
    assert_eq!(error(&fill(MAX_ENTRIES + 1)), CpioError::TooManyEntries);
}

#[test]
fn bounds_what_names_take() {
    let name = "n".repeat(4_095);
    let fill = |count: usize| [raw_entry(&name, FILE, b"").repeat(count), archive(&[])].concat();
    assert_eq!(error(&fill(2_049)), CpioError::NamesTooLarge);
    assert_eq!(Ramdisk::parse(&fill(2_047)).unwrap().entries.len(), 2_047);
}

/// What a small compressed file expands to is read in pieces and counted.
#[test]
fn bounds_what_ramdisks_unpack_to() {
    assert_eq!(Budget::default().bytes, MAX_UNPACKED_BYTES);
    let plain = archive(&[("f", FILE, &vec![0; 1 << 20])]);
    let packed = gzip(&plain);
    assert!(packed.len() < plain.len() / 100);
    let within = |bytes: u64| {
        let mut budget = Budget { bytes, ..Budget::default() };
        Ramdisk::parse_within(&packed, &mut budget)
    };
    // one byte more: the look for another archive in the stream
    let needed = u64::try_from(plain.len()).unwrap() + 1;
    assert_eq!(within(needed).unwrap().entries[0].size, 1 << 20);
    assert_eq!(within(needed - 1).unwrap_err(), CpioError::UnpackedTooLarge);
}

/// Many ramdisks in one image share what one may use.
#[test]
fn ramdisks_of_an_image_share_the_bounds() {
    let mut budget = Budget { entries: 3, ..Budget::default() };
    let two = archive(&[("a", FILE, b""), ("b", FILE, b"")]);
    assert!(Ramdisk::parse_within(&two, &mut budget).is_ok());
    assert_eq!(Ramdisk::parse_within(&two, &mut budget).unwrap_err(), CpioError::TooManyEntries);
}

#[test]
fn finds_a_later_ramdisk_that_takes_over() {
    let boot = Ramdisk::parse(&archive(&[("dev", 0o040_755, b""), ("init", FILE, b"good")])).unwrap();
    let paths = |entries: &[(&str, u32, &[u8])]| {
        let other = Ramdisk::parse(&archive(entries)).unwrap();
        overlaps(&[&boot, &other]).unwrap().into_iter().map(|overlap| overlap.path).collect::<Vec<_>>()
    };
    let init = [b"init".to_vec()];
    assert_eq!(paths(&[("packproof.toml", FILE, b"")]), Vec::<Vec<u8>>::new());
    for name in ["init", "/init", "./init", "//init", "x/../init", "../init"] {
        assert_eq!(paths(&[(name, FILE, b"evil")]), init, "{name}");
    }
    assert_eq!(paths(&[("l", 0o120_777, b"/"), ("l/init", FILE, b"evil")]), init);
    assert_eq!(paths(&[("l", 0o120_777, b"."), ("m", 0o120_777, b"l/l"), ("m/init", FILE, b"evil")]), init);
    // a directory again is harmless, with other rights it is not
    assert_eq!(paths(&[("dev", 0o040_755, b"")]), Vec::<Vec<u8>>::new());
    assert_eq!(paths(&[("dev", 0o040_777, b"")]), [b"dev".to_vec()]);
    // links in a circle end
    assert_eq!(paths(&[("a", 0o120_777, b"b"), ("b", 0o120_777, b"a"), ("a/x", FILE, b"")]).len(), 0);
}

#[test]
fn bounds_the_work_of_following_links() {
    let target = "./a/".repeat(800) + "l";
    let mut entries = vec![("a", 0o120_777, &b"."[..]), ("l", 0o120_777, target.as_bytes())];
    entries.extend(std::iter::repeat_n(("l/l/l/l/x", FILE, &b""[..]), 20_000));
    let ramdisk = Ramdisk::parse(&archive(&entries)).unwrap();
    assert_eq!(overlaps(&[&ramdisk]), Err(CpioError::TangledPaths));
}

/// A link of a few kB, and then short names through it: each path is kept at its full length.
#[test]
fn bounds_the_paths_that_are_kept() {
    let target = "a".repeat(4_095);
    let paths = |count: usize| {
        let mut entries = vec![("l", 0o120_777, target.as_bytes())];
        entries.extend(std::iter::repeat_n(("l/x", FILE, &b""[..]), count));
        overlaps(&[&Ramdisk::parse(&archive(&entries)).unwrap()]).map(|found| found.len())
    };
    assert_eq!(paths(6_000), Ok(5_999));
    assert_eq!(paths(8_000), Err(CpioError::TangledPaths));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn never_panics(
        changes in proptest::collection::vec((0..400_usize, any::<u8>()), 0..6),
        cut in 0..400_usize,
        compressed in any::<bool>(),
    ) {
        let mut bytes = archive(&[("dev", 0o040_755, b""), ("init", FILE, b"data"), ("l", 0o120_777, b"init")]);
        if compressed {
            bytes = gzip(&bytes);
        }
        bytes.truncate(bytes.len().min(cut + 40));
        for (at, byte) in changes {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
        if let Ok(ramdisk) = Ramdisk::parse(&bytes) {
            let _ = overlaps(&[&ramdisk]);
        }
    }
}
