//! The auditor's command: verifies receipts and the birth certificates of sealed keys, offline.
//!
//! All judging is done in `packproof-receipt-verify`; here are files, the auditor's clock and the printed report.
//! Nothing is fetched, and nothing of the environment is read.
//!
//! Exit codes: 0 valid, 1 not valid, 2 usage or unreadable input, 3 environment (disk).
#![forbid(unsafe_code)]

mod args;
mod birth;
mod document;
mod error;
mod files;
mod human;
mod json;
mod key_policies;
mod receipt;
mod repository;
mod split;
mod text;

use std::{ffi::OsString, io::Write};

use args::{Command, Parsed};

pub use error::CliError;

/// The answer is yes.
pub const EXIT_VALID: u8 = 0;
/// The answer is no.
pub const EXIT_NOT_VALID: u8 = 1;
/// The command line or an input cannot be read.
pub const EXIT_USAGE: u8 = 2;
/// The disk or the output failed; retrying may help.
pub const EXIT_ENVIRONMENT: u8 = 3;

/// Runs the command and returns its exit code.
///
/// `args` begins with the program's name, as `std::env::args_os` does. The report goes to `out`, and to `err` what is
/// not the report. Reads the clock only for `--max-age`.
pub fn run<I: IntoIterator<Item = OsString>>(args: I, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let command = match args::parse(args) {
        Ok(Parsed::Run(command)) => command,
        Ok(Parsed::Help(text)) => return print(out, &text, EXIT_VALID),
        Err(usage) => return print(err, &usage, EXIT_USAGE),
    };
    let done = match command {
        Command::Receipt(args) => receipt::run(&args, out, err),
        Command::Birth(args) => birth::run(&args, out),
        Command::Document(args) => document::run(&args, out),
        Command::Split(args) => split::run(&args, out),
    };
    match done {
        Ok(true) => EXIT_VALID,
        Ok(false) => EXIT_NOT_VALID,
        Err(error) => {
            let text = format!("packproof-verify: {} [{}]\n", text::lines(&error.to_string()), error.code());
            print(err, &text, error.exit_code())
        }
    }
}

fn print(to: &mut dyn Write, text: &str, code: u8) -> u8 {
    match to.write_all(text.as_bytes()).and_then(|()| to.flush()) {
        Ok(()) => code,
        Err(_) => EXIT_ENVIRONMENT,
    }
}
