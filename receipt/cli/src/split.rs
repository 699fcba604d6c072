//! Two bundles, two files: cosign reads one bundle a file.

use std::{fs, io::Write, path::Path};

use packproof_receipt::bundle::parse_receipt;

use crate::{
    args::SplitArgs,
    error::CliError,
    files::{self, MAX_INPUT_BYTES},
    text,
};

const FILES: [&str; 2] = ["pack.sigstore.json", "evidence.sigstore.json"];

/// Always returns true: nothing is judged.
pub(crate) fn run(args: &SplitArgs, out: &mut dyn Write) -> Result<bool, CliError> {
    let receipt = files::read(&args.receipt, MAX_INPUT_BYTES)?;
    parse_receipt(&receipt).map_err(CliError::Receipt)?;
    make_folder(&args.out_dir)?;
    // a receipt that can be read has exactly two lines
    for (name, line) in FILES.into_iter().zip(receipt.split_inclusive(|byte| *byte == b'\n')) {
        let path = args.out_dir.join(name);
        files::write(&path, line)?;
        writeln!(out, "{}", text::plain(&path.display().to_string())).map_err(|_| CliError::Output)?;
    }
    let hint = "nothing was verified; the key for cosign comes from packproof-verify --export-key";
    writeln!(out, "{hint}").map_err(|_| CliError::Output)?;
    Ok(true)
}

pub(crate) fn make_folder(path: &Path) -> Result<(), CliError> {
    fs::create_dir_all(path).map_err(|error| CliError::Unwritable { path: path.to_owned(), reason: error.to_string() })
}
