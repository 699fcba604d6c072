//! The local image: no kernel, the running program as `/init`, the policy ramdisk.

use std::fs;

use packproof_eif::Base;

use crate::LocalError;

/// There is no kernel to measure; the section says so.
const KERNEL: &[u8] = b"packproof-local: no kernel\n";
const COMMAND_LINE: &[u8] = b"packproof-local";

/// Measures the program that runs right now, byte for byte.
pub(crate) fn running() -> Result<Base, LocalError> {
    // the kernel keeps this link on the file that was executed, even if another has taken its name since
    let program = fs::read("/proc/self/exe").map_err(|error| LocalError::File("/proc/self/exe".into(), error))?;
    Ok(Base::new(KERNEL.to_vec(), COMMAND_LINE.to_vec(), &program))
}
