//! `packproof-local`, a thin binary.
#![forbid(unsafe_code)]

/// Wipes all memory that is freed: libraries free buffers that held plaintext (age's stream writer among them), and
/// nothing unsealed may survive a request.
#[global_allocator]
static WIPING: zeroizing_alloc::ZeroAlloc<std::alloc::System> = zeroizing_alloc::ZeroAlloc(std::alloc::System);

use std::process::ExitCode;

fn main() -> ExitCode {
    packproof_local::cli::main(std::env::args_os())
}
