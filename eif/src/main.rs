//! `packproof-eif`, a thin binary.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    ExitCode::from(packproof_eif::cli::run(std::env::args_os(), &mut out, &mut err))
}
