//! The command `packproof-eif`.

use std::{
    ffi::OsString,
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use clap::{Parser, Subcommand};
use packproof_receipt::measure::Measurements;
use serde_json::json;

use crate::{Base, EifError};

/// Assembles and measures enclave images.
#[derive(Parser)]
#[command(name = "packproof-eif", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print PCR0, PCR1 and PCR2 of a release with a policy.
    Measure {
        /// The release's release.json; its files are read from beside it and checked.
        #[arg(long)]
        release: PathBuf,
        /// The policy, packproof.toml.
        #[arg(long)]
        policy: PathBuf,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Write a release directory from a kernel, a command line and the enclave program.
    Release {
        /// Kernel image.
        #[arg(long)]
        kernel: PathBuf,
        /// File that holds the kernel command line, without a newline at its end.
        #[arg(long)]
        cmdline: PathBuf,
        /// The enclave program, which becomes /init.
        #[arg(long)]
        init: PathBuf,
        /// A label.
        #[arg(long)]
        name: String,
        /// Directory to write.
        #[arg(short, long)]
        output: PathBuf,
    },
}

/// Runs the command. Returns its exit code: 0 done, 1 refused, 2 usage or unreadable input, 3 disk.
pub fn run<I: IntoIterator<Item = OsString>>(args: I, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = if error.use_stderr() { write!(err, "{error}") } else { write!(out, "{error}") };
            return if error.use_stderr() { 2 } else { 0 };
        }
    };
    let done = match cli.command {
        Command::Measure { release, policy, json } => measure(&release, &policy, json, out),
        Command::Release { kernel, cmdline, init, name, output } => {
            release(&kernel, &cmdline, &init, &name, &output, out)
        }
    };
    match done {
        Ok(()) => 0,
        Err(error) => {
            let _ = writeln!(err, "packproof-eif: error: {error} [{}]", error.code());
            match error {
                EifError::Read(..) | EifError::Release(_) => 2,
                EifError::Write(..) => 3,
                EifError::SectionDiffers(_) | EifError::Pcr1Differs | EifError::Policy(_) => 1,
            }
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, EifError> {
    fs::read(path).map_err(|error| EifError::Read(path.to_owned(), error))
}

fn print(out: &mut dyn Write, text: &str) -> Result<(), EifError> {
    writeln!(out, "{text}").map_err(|error| EifError::Write("standard output".into(), error))
}

fn measure(release: &Path, policy: &Path, json: bool, out: &mut dyn Write) -> Result<(), EifError> {
    let (base, _) = Base::read(release)?;
    let Measurements { pcr0, pcr1, pcr2 } = base.measure(&read(policy)?)?;
    let [pcr0, pcr1, pcr2] = [pcr0, pcr1, pcr2].map(hex::encode);
    if json {
        print(out, &json!({ "pcr0": pcr0, "pcr1": pcr1, "pcr2": pcr2 }).to_string())
    } else {
        print(out, &format!("PCR0 {pcr0}\nPCR1 {pcr1}\nPCR2 {pcr2}"))
    }
}

fn release(
    kernel: &Path,
    cmdline: &Path,
    init: &Path,
    name: &str,
    output: &Path,
    out: &mut dyn Write,
) -> Result<(), EifError> {
    let base = Base::new(read(kernel)?, read(cmdline)?, &read(init)?);
    let release = base.write_release(output, name)?;
    print(out, &format!("PCR1 {}", release.pcr1))
}
