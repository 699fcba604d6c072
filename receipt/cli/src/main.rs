//! `packproof-verify`: see the library.
#![forbid(unsafe_code)]

use std::{env, io, process::ExitCode};

fn main() -> ExitCode {
    ExitCode::from(packproof_verify::run(env::args_os(), &mut io::stdout().lock(), &mut io::stderr().lock()))
}
