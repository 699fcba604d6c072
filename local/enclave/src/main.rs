//! `packproof-local`, a thin binary.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    packproof_local::cli::main(std::env::args_os())
}
