//! The command `packproof`; everything is in the library.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    packproof::cli::main(std::env::args_os())
}
