//! Changed image files, from a seed. Used by `tests/mutations.rs` and by `tests/eif-judge` of the repository.

use packproof_eif::image::HEADER_BYTES;

/// A seeded generator, so that a failure can be run again: SplitMix64 (Steele, Lea, Flood, 2014).
pub(crate) struct Random(u64);

impl Random {
    /// Starts from a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below the bound.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// One to `max` bytes.
    pub(crate) fn bytes(&mut self, max: u64) -> Vec<u8> {
        let length = 1 + self.below(max);
        (0..length).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}

/// One to three changes: in the header, its table, the section headers, the contents and the last bytes.
pub(crate) fn changed(original: &[u8], random: &mut Random) -> Vec<u8> {
    let mut file = original.to_vec();
    for _ in 0..=random.below(3) {
        let length = u64::try_from(file.len()).unwrap_or(0).max(1);
        let near = match random.below(6) {
            0 => random.below(length),
            1 => random.below(28),
            2 => 28 + 8 * random.below(64),
            3 => section_header(&file, random),
            4 => HEADER + random.below(length.saturating_sub(HEADER).max(1)),
            _ => length - 1 - random.below(length.min(2_500)),
        };
        let at = usize::try_from(near).unwrap_or(0);
        match random.below(6) {
            0 | 1 => put(&mut file, at, &[random.next().to_le_bytes()[0]]),
            2 => {
                let numbers = [0, 1, 11, 12, length, length - 1, 1 << 31, 1 << 40, u64::MAX, random.below(2 * length)];
                let number = numbers.get(usize::try_from(random.below(10)).unwrap_or(0)).copied().unwrap_or(0);
                put(&mut file, at, &number.to_be_bytes());
            }
            3 => file.truncate(at),
            4 => file.extend(random.bytes(20)),
            _ => {
                let piece: Vec<u8> = file.iter().skip(at).take(12).copied().collect();
                let to = usize::try_from(random.below(length)).unwrap_or(0);
                put(&mut file, to, &piece);
            }
        }
    }
    file
}

const HEADER: u64 = 548;

/// Where one of the sections starts, by the table.
fn section_header(file: &[u8], random: &mut Random) -> u64 {
    let field = 28 + 8 * usize::try_from(random.below(6)).unwrap_or(0);
    let offset = file.get(field..field + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes);
    offset.saturating_add(random.below(12))
}

/// The file with the right CRC, as a forger would leave it.
pub(crate) fn mended(mut file: Vec<u8>) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(file.get(..HEADER_BYTES - 4).unwrap_or_default());
    crc.update(file.get(HEADER_BYTES..).unwrap_or_default());
    put(&mut file, HEADER_BYTES - 4, &crc.sum().to_be_bytes());
    file
}

/// Overwrites bytes from an offset on, as far as the file goes.
pub(crate) fn put(file: &mut [u8], at: usize, bytes: &[u8]) {
    for (place, byte) in file.iter_mut().skip(at).zip(bytes) {
        *place = *byte;
    }
}
