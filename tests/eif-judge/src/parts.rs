//! Generated images.

use packproof_eif::image::{Architecture, Image};
use packproof_receipt::measure::{boot_ramdisk, policy_ramdisk};

use crate::changes::Random;

/// What an image is made of.
pub struct Parts {
    pub architecture: Architecture,
    pub kernel: Vec<u8>,
    pub command_line: String,
    pub ramdisks: Vec<Vec<u8>>,
    /// For AWS's metadata, and for choosing a byte to change.
    pub number: u64,
}

impl Parts {
    /// Parts from a seed, each section of at most so many bytes: half of them of packproof's own shape.
    pub fn random(random: &mut Random, max: u64) -> Self {
        let architecture = if random.below(4) == 0 { Architecture::Aarch64 } else { Architecture::X86_64 };
        let kernel = random.bytes(max);
        let length = random.below(200);
        let command_line =
            (0..length).map(|_| char::from(b' ' + u8::try_from(random.below(95)).unwrap_or(0))).collect();
        let ramdisks = match random.below(4) {
            0 | 1 => vec![boot_ramdisk(&random.bytes(max)), policy_ramdisk(&random.bytes(1 + max / 10))],
            // AWS's table holds 32 sections: kernel, command line, metadata, signature and these
            2 => (0..1 + random.below(28)).map(|_| random.bytes(1 + max / 50)).collect(),
            _ => vec![random.bytes(max)],
        };
        Self { architecture, kernel, command_line, ramdisks, number: random.next() }
    }

    /// The image as our writer makes it.
    pub fn image<'a>(&'a self, metadata: &'a [u8]) -> Image<'a> {
        let ramdisks: Vec<&[u8]> = self.ramdisks.iter().map(Vec::as_slice).collect();
        Image::new(self.architecture, &self.kernel, self.command_line.as_bytes(), metadata, &ramdisks)
    }
}
