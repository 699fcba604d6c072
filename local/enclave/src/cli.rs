//! The command `packproof-local`.

use std::{
    ffi::OsString,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Parser, Subcommand};

use crate::{demo, enclave, keys, up};

/// packproof on a laptop: mock NSM with its own root, a KMS that enforces attestation, no AWS.
#[derive(Parser)]
#[command(name = "packproof-local", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything once, on a real repository, in seconds
    Demo {
        /// Directory to make; it must not exist or be empty
        #[arg(long, default_value = "packproof-demo")]
        dir: PathBuf,
    },
    /// Enclave, KMS and egress until stopped
    Up {
        /// State directory, made when missing
        #[arg(long)]
        dir: PathBuf,
        /// The policy, packproof.toml; without it only the KMS runs
        #[arg(long)]
        policy: Option<PathBuf>,
        /// Let the key policies trust this image, also where they trust another
        #[arg(long)]
        pin: bool,
        /// Print one JSON object instead of text
        #[arg(long)]
        json: bool,
        /// Let each NSM document take this long, as a real NSM does (about 90 ms)
        #[arg(long, default_value_t = 0, value_name = "MS")]
        nsm_latency_ms: u64,
    },
    /// Make keys of the local KMS by name and print all, as JSON
    Keys {
        /// State directory, made when missing
        #[arg(long)]
        dir: PathBuf,
        /// Names of keys to make
        names: Vec<String>,
        /// Import keys from JSON, name to {arn, material}: for ciphertexts that were made before
        #[arg(long, value_name = "FILE")]
        import: Option<PathBuf>,
    },
    /// The enclave process that `up` starts
    #[command(hide = true)]
    Enclave {
        #[arg(long)]
        dir: PathBuf,
        #[arg(long)]
        policy: PathBuf,
        #[arg(long, default_value_t = 0)]
        nsm_latency_ms: u64,
    },
}

/// Runs the command and returns its exit code.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let (mut out, mut err) = (io::stdout(), io::stderr());
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let done = match &cli.command {
        Command::Demo { dir } => demo::run(dir, &mut out),
        Command::Up { dir, policy, pin, json, nsm_latency_ms } => {
            let (dir, policy) = (dir.clone(), policy.clone());
            up::run(&up::Options { dir, policy, pin: *pin, json: *json, nsm_latency_ms: *nsm_latency_ms }, &mut out)
        }
        Command::Keys { dir, names, import } => keys::run(dir, names, import.as_deref(), &mut out),
        Command::Enclave { dir, policy, nsm_latency_ms } => enclave::run(dir, policy, *nsm_latency_ms),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(err, "packproof-local: error: {error} [{}]", error.code());
            ExitCode::from(error.exit_code())
        }
    }
}
