//! One test a refusal: each breaks one field of an image that is otherwise right.

use super::*;
use proptest::prelude::*;

fn good() -> Vec<u8> {
    Image::new(Architecture::X86_64, b"kernel", b"console=ttyS0", b"{}", &[b"boot", b"policy"]).to_bytes().unwrap()
}

/// Writes bytes at an offset and mends the CRC, as a forger would.
fn with(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut file = good();
    file[at..at + bytes.len()].copy_from_slice(bytes);
    mended(file)
}

fn mended(mut file: Vec<u8>) -> Vec<u8> {
    let crc = file_crc(&file).to_be_bytes();
    file[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&crc);
    file
}

fn error(file: &[u8]) -> ImageError {
    Image::parse(file).unwrap_err()
}

/// Offset of a field of the table.
fn offset_field(index: usize) -> usize {
    28 + 8 * index
}

fn size_field(index: usize) -> usize {
    28 + 256 + 8 * index
}

/// Where the second section's header starts: after the kernel of six bytes.
const SECOND: usize = HEADER_BYTES + SECTION_HEADER_BYTES + 6;

#[test]
fn an_image_reads_back_as_it_was_written() {
    let file = good();
    let image = Image::parse(&file).unwrap();
    assert_eq!(image.kernel(), b"kernel");
    assert_eq!(image.command_line(), b"console=ttyS0");
    assert_eq!(image.ramdisks().collect::<Vec<_>>(), [&b"boot"[..], b"policy"]);
    assert_eq!(image.section(SectionKind::Metadata), Some(&b"{}"[..]));
    assert_eq!(image.section(SectionKind::Signature), None);
    assert_eq!(image.to_bytes().unwrap(), file);
    assert_eq!(image.measure(), Measurements::of(b"kernel", b"console=ttyS0", b"boot", b"policy"));
}

#[test]
fn the_header_is_fixed_byte_for_byte() {
    let file = good();
    assert_eq!(&file[..28], b".eif\0\x04\0\0\0\0\0\0\x40\0\0\0\0\0\0\0\0\0\0\x02\0\0\0\x05");
    assert_eq!(&file[offset_field(1)..offset_field(2)], &566_u64.to_be_bytes());
    assert_eq!(&file[size_field(1)..size_field(2)], &13_u64.to_be_bytes());
    assert_eq!(&file[SECOND..SECOND + 12], b"\0\x02\0\0\0\0\0\0\0\0\0\x0d");
}

#[test]
fn one_ramdisk_leaves_pcr2_empty() {
    let image = Image::new(Architecture::Aarch64, b"k", b"c", b"{}", &[b"boot"]);
    let measured = image.measure();
    assert_eq!((measured.pcr0, measured.pcr2), (measured.pcr1, pcr(&[])));
    assert_eq!(Image::parse(&image.to_bytes().unwrap()).unwrap().architecture, Architecture::Aarch64);
}

#[test]
fn refuses_a_short_header() {
    assert_eq!(error(&good()[..547]), ImageError::ShortHeader(547));
    assert_eq!(error(b""), ImageError::ShortHeader(0));
}

#[test]
fn refuses_another_magic_version_or_flag() {
    assert_eq!(error(&with(0, b".elf")), ImageError::Magic);
    assert_eq!(error(&with(4, &[0, 2])), ImageError::Version(2));
    assert_eq!(error(&with(4, &[0, 5])), ImageError::Version(5));
    assert_eq!(error(&with(6, &[0, 2])), ImageError::Flags(2));
    assert_eq!(error(&with(6, &[0x80, 1])), ImageError::Flags(0x8001));
}

#[test]
fn refuses_bytes_in_reserved_fields() {
    assert_eq!(error(&with(25, &[1])), ImageError::Reserved);
    assert_eq!(error(&with(540, &[1])), ImageError::Reserved);
}

#[test]
fn refuses_a_section_count_that_lies() {
    assert_eq!(error(&with(26, &[0, 33])), ImageError::SectionCount(33));
    assert_eq!(error(&with(26, &[0xff, 0xff])), ImageError::SectionCount(65_535));
    // one fewer: the fifth entry of the table is then unused
    assert_eq!(error(&with(26, &[0, 4])), ImageError::UnusedTableEntry);
    // one more: its offset is zero
    let end = u64::try_from(good().len()).unwrap();
    assert_eq!(error(&with(26, &[0, 6])), ImageError::SectionOffset { index: 5, table: 0, found: end });
}

#[test]
fn refuses_sections_that_overlap_or_leave_a_gap() {
    let found = 566;
    for table in [548_u64, 565, 567, 0, u64::MAX] {
        let file = with(offset_field(1), &table.to_be_bytes());
        assert_eq!(error(&file), ImageError::SectionOffset { index: 1, table, found });
    }
}

#[test]
fn refuses_sizes_that_differ() {
    let file = with(size_field(1), &12_u64.to_be_bytes());
    assert_eq!(error(&file), ImageError::SectionSize { index: 1, table: 12, found: 13 });
}

/// AWS's reader would ask for the claimed size at once.
#[test]
fn refuses_sizes_past_the_end() {
    for size in [u64::MAX, 1 << 40, 1 << 20] {
        let mut file = with(size_field(4), &size.to_be_bytes());
        let header = file.len() - "policy".len() - 8;
        file[header..header + 8].copy_from_slice(&size.to_be_bytes());
        assert_eq!(error(&mended(file)), ImageError::SectionPastEnd { index: 4, size });
    }
}

#[test]
fn refuses_a_cut_section_header() {
    let mut file = with(26, &[0, 6]);
    let end = u64::try_from(file.len()).unwrap();
    file[offset_field(5)..offset_field(6)].copy_from_slice(&end.to_be_bytes());
    file.extend([0, 3, 0, 0]);
    assert_eq!(error(&mended(file)), ImageError::ShortSectionHeader { index: 5 });
}

#[test]
fn refuses_unknown_kinds_and_section_flags() {
    assert_eq!(error(&with(SECOND, &[0, 0])), ImageError::SectionKind { index: 1, kind: 0 });
    assert_eq!(error(&with(SECOND, &[0, 6])), ImageError::SectionKind { index: 1, kind: 6 });
    assert_eq!(error(&with(SECOND + 2, &[0, 1])), ImageError::SectionFlags { index: 1, flags: 1 });
    // metadata came with version 4
    assert_eq!(error(&with(4, &[0, 3])), ImageError::SectionKind { index: 2, kind: 5 });
}

#[test]
fn refuses_trailing_bytes_and_sections_the_header_does_not_count() {
    let mut file = good();
    file.push(0);
    assert_eq!(error(&mended(file)), ImageError::TrailingBytes(1));
    let mut file = good();
    file.extend([0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, b'x']);
    assert_eq!(error(&mended(file)), ImageError::TrailingBytes(13));
}

#[test]
fn refuses_missing_repeated_and_moved_sections() {
    let kinds = |kinds: &[SectionKind]| {
        let sections = kinds.iter().map(|kind| Section { kind: *kind, bytes: b"" }).collect();
        let image = Image { sections, ..Image::new(Architecture::X86_64, b"", b"", b"", &[]) };
        image.to_bytes().unwrap_err()
    };
    use SectionKind::{CommandLine, Kernel, Metadata, Ramdisk, Signature};
    let times = |kind, times| ImageError::SectionTimes { kind, times };
    assert_eq!(kinds(&[CommandLine, Ramdisk]), times(Kernel, 0));
    assert_eq!(kinds(&[Kernel, CommandLine]), times(Ramdisk, 0));
    assert_eq!(kinds(&[Kernel, CommandLine, CommandLine, Ramdisk]), times(CommandLine, 2));
    assert_eq!(kinds(&[Kernel, CommandLine, Ramdisk, Signature, Signature]), times(Signature, 2));
    assert_eq!(kinds(&[Kernel, CommandLine, Ramdisk, Metadata, Metadata]), times(Metadata, 2));
    assert_eq!(kinds(&[Kernel, Ramdisk, CommandLine]), ImageError::SectionOrder);
    assert_eq!(kinds(&[CommandLine, Kernel, Ramdisk]), ImageError::SectionOrder);
    assert_eq!(kinds(&[Ramdisk; 33]), ImageError::SectionCount(33));
    // the reader says the same
    assert_eq!(error(&with(SECOND, &[0, 1])), times(Kernel, 2));
}

#[test]
fn refuses_a_changed_byte() {
    let mut file = good();
    let last = file.len() - 1;
    file[last] ^= 1;
    assert!(matches!(error(&file), ImageError::Crc { .. }));
    let mut file = good();
    file[HEADER_BYTES - 1] ^= 1;
    assert!(matches!(error(&file), ImageError::Crc { .. }));
}

#[test]
fn does_not_write_more_than_it_reads() {
    let ramdisk = vec![0; 1 << 26];
    let image = Image::new(Architecture::X86_64, b"", b"", b"", &[ramdisk.as_slice(); 16]);
    assert!(matches!(image.to_bytes(), Err(ImageError::TooLarge(length)) if length > MAX_FILE_BYTES));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..1_000)) {
        let _ = Image::parse(&bytes);
    }

    /// Whatever is accepted after changes with a mended CRC is written back as the same bytes.
    #[test]
    fn accepted_files_have_one_encoding(
        changes in proptest::collection::vec((0..630_usize, any::<u8>()), 0..4),
        cut in 0..40_usize,
        more in proptest::collection::vec(any::<u8>(), 0..4),
    ) {
        let mut file = good();
        file.truncate(file.len() - cut.saturating_sub(20));
        file.extend(more);
        for (at, byte) in changes {
            if let Some(place) = file.get_mut(at) {
                *place = byte;
            }
        }
        let file = mended(file);
        if let Ok(image) = Image::parse(&file) {
            prop_assert_eq!(image.to_bytes().unwrap(), file);
        }
    }
}
