//! The command `packproof`.

use std::{
    ffi::{OsStr, OsString},
    io::Write,
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use packproof_wire::{Credentials, Request};
use serde::de::DeserializeOwned;

use crate::{
    Error, approve, attest,
    client::{self, EnclaveAddress, Timeouts},
    clock::now,
    credentials::{CredentialsError, IMDS, Provider},
    inspect, kms_policy, open,
    output::{self, Report},
    pack, policy, seal,
};

/// Seals secrets inside a Nitro Enclave and brings back an artifact with a receipt that anybody can check.
#[derive(Debug, Parser)]
#[command(name = "packproof", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Pack an identity's secrets for an environment, out of a signed commit
    ///
    /// AWS credentials come from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, else from the EC2
    /// instance's role (IMDSv2), unless AWS_EC2_METADATA_DISABLED=true. They call KMS and need not be able to decrypt.
    Pack(pack::PackArgs),
    /// Approve one pack: an SSH signature over its commit, identity, environment and policy
    ///
    /// The policy's approvals = { threshold, from } says how many people must approve, and who may. ssh-keygen signs, so
    /// agents and hardware keys work; --print and plain ssh-keygen -Y sign -n packproof-approval-v1 make the same.
    Approve(approve::ApproveArgs),
    /// Show an artifact's metadata, decrypting nothing
    Inspect(inspect::InspectArgs),
    /// Decrypt an artifact and list its keys, as somebody who has the service's key
    Open(open::OpenArgs),
    /// Show which program and policy an enclave runs, by its own word
    Describe(attest::DescribeArgs),
    /// The same with the Nitro attestation document that proves it
    Attest(attest::AttestArgs),
    /// Make a key inside the enclave, sealed by KMS
    ///
    /// The file is no secret: only images that the sealing key's key policy names can open it. AWS credentials are found
    /// as for pack.
    Seal(seal::SealArgs),
    /// The measured policy, packproof.toml
    #[command(subcommand, disable_help_subcommand = true)]
    Policy(policy::PolicyCommand),
    /// AWS key policies, written and explained
    #[command(subcommand, disable_help_subcommand = true)]
    KmsPolicy(kms_policy::KmsPolicyCommand),
}

/// Where the enclave is.
#[derive(Debug, clap::Args)]
pub(crate) struct EnclaveArgs {
    /// The enclave: vsock:CID:PORT or unix:PATH [env: PACKPROOF_ENCLAVE]
    #[arg(long, value_name = "ADDRESS")]
    enclave: Option<OsString>,
}

/// What the process's surroundings say.
pub(crate) struct Host<'a> {
    env: &'a dyn Fn(&str) -> Option<OsString>,
}

impl Host<'_> {
    /// A variable of the environment; an empty one is none.
    pub(crate) fn var(&self, name: &str) -> Option<OsString> {
        (self.env)(name).filter(|value| !value.is_empty())
    }

    /// The flag's value, else the variable's.
    pub(crate) fn or_var(&self, flag: Option<&OsStr>, name: &str) -> Option<OsString> {
        flag.map(OsStr::to_owned).or_else(|| self.var(name))
    }

    /// AWS credentials that are good now: the environment's, else the EC2 instance's role's.
    ///
    /// # Errors
    /// [`Error::Credentials`].
    pub(crate) fn credentials(&self) -> Result<Credentials, Error> {
        let provider = Provider::from_env(self.env, IMDS)?;
        let runtime = event_loop().map_err(CredentialsError::Io)?;
        Ok(runtime.block_on(provider.current(now()))?)
    }

    /// The enclave that was named.
    ///
    /// # Errors
    /// [`Error::EnclaveNotNamed`], [`Error::EnclaveAddress`], [`Error::NotSupported`].
    pub(crate) fn enclave(&self, args: &EnclaveArgs) -> Result<Enclave, Error> {
        let address = self.or_var(args.enclave.as_deref(), "PACKPROOF_ENCLAVE").ok_or(Error::EnclaveNotNamed)?;
        let address =
            address.into_string().map_err(|text| Error::EnclaveAddress(text.to_string_lossy().into_owned()))?;
        let address = EnclaveAddress::parse(&address)?;
        let runtime = event_loop().map_err(|error| Error::EnclaveUnreachable {
            address: address.to_string(),
            reason: format!("no event loop: {error}"),
        })?;
        Ok(Enclave { address, runtime })
    }
}

/// An enclave to ask.
pub(crate) struct Enclave {
    address: EnclaveAddress,
    runtime: tokio::runtime::Runtime,
}

impl Enclave {
    /// One request, one answer.
    ///
    /// # Errors
    /// As [`client::request`].
    pub(crate) fn ask<T: DeserializeOwned>(&self, request: &Request) -> Result<T, Error> {
        self.runtime.block_on(client::request(&self.address, request, Timeouts::default()))
    }
}

fn event_loop() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// 32 bytes as 64 hex digits.
///
/// # Errors
/// [`Error::Usage`].
pub(crate) fn challenge(hex_digits: Option<&str>) -> Result<Option<Vec<u8>>, Error> {
    let Some(text) = hex_digits else { return Ok(None) };
    match hex::decode(text) {
        Ok(bytes) if bytes.len() == 32 => Ok(Some(bytes)),
        _ => Err(Error::Usage("--challenge must be 32 bytes as 64 hex digits".to_owned())),
    }
}

/// Runs the command with the process's environment, standard output and standard error.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    ExitCode::from(run(args, &mut std::io::stdout().lock(), &mut std::io::stderr().lock()))
}

/// Runs the command with the process's environment and returns its exit code; `args` begin with the program's name.
///
/// Blocks, so an async program calls it where blocking is allowed. Never ends the process.
pub fn run(args: impl IntoIterator<Item = OsString>, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    run_with_env(args, &|name| std::env::var_os(name), out, err)
}

/// The same with an environment of the caller's choice: the `PACKPROOF_*` and `AWS_*` variables are looked up in `env`
/// only. The `git` and `aws` that are started still inherit the process's own.
pub fn run_with_env(
    args: impl IntoIterator<Item = OsString>,
    env: &dyn Fn(&str) -> Option<OsString>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> u8 {
    let args: Vec<OsString> = args.into_iter().collect();
    let wants_json = args.iter().any(|arg| arg == "--json");
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(shown) if !shown.use_stderr() => return finish(write!(out, "{}", shown.render())),
        Err(wrong) if wants_json => {
            let text = wrong.render().to_string();
            let first = text.lines().next().unwrap_or_default();
            let failure = Error::Usage(first.strip_prefix("error: ").unwrap_or(first).to_owned());
            output::error(out, err, &failure, true);
            return failure.exit_code();
        }
        Err(wrong) => {
            // Two streams that fail cannot be told about; the exit code says enough.
            let _ = write!(err, "packproof: {}", wrong.render());
            return Error::Usage(String::new()).exit_code();
        }
    };
    let (json, result) = execute(&cli.command, &Host { env }, err);
    if let (Ok(_), Command::Open(args)) = (&result, &cli.command)
        && let Some(warning) = args.warning()
    {
        output::warning(err, warning);
    }
    match result.and_then(|(report, code)| output::report(out, &report, json).map(|()| code)) {
        Ok(code) => code,
        Err(failure) => {
            output::error(out, err, &failure, json);
            failure.exit_code()
        }
    }
}

fn finish(written: std::io::Result<()>) -> u8 {
    written.map_or_else(|error| Error::Output(error).exit_code(), |()| 0)
}

/// Whether JSON is wanted, and the report with its exit code.
fn execute(command: &Command, host: &Host<'_>, err: &mut dyn Write) -> (bool, Result<(Report, u8), Error>) {
    let (json, result) = match command {
        Command::Policy(command) => return (command.json(), policy::run(command)),
        Command::KmsPolicy(command) => return (command.json(), kms_policy::run(command)),
        Command::Pack(args) => (args.json, pack::pack(args, host)),
        Command::Approve(args) => (args.json, approve::approve(args, err)),
        Command::Inspect(args) => (args.json, inspect::inspect(args)),
        Command::Open(args) => (args.json, open::open(args, host)),
        Command::Describe(args) => (args.json, attest::describe(args, host)),
        Command::Attest(args) => (args.json, attest::attest(args, host)),
        Command::Seal(args) => (args.json, seal::seal(args, host)),
    };
    (json, result.map(|report| (report, 0)))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn ran(args: &[&str], env: &[(&str, &str)]) -> (u8, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let args = std::iter::once("packproof").chain(args.iter().copied()).map(OsString::from);
        let lookup = |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value));
        let code = run_with_env(args, &lookup, &mut out, &mut err);
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    #[test]
    fn the_flags_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_lists_what_there_is_and_nothing_else() {
        let (code, out, _) = ran(&["--help"], &[]);
        assert_eq!(code, 0);
        let commands: Vec<&str> = out
            .lines()
            .skip_while(|line| *line != "Commands:")
            .skip(1)
            .take_while(|line| !line.is_empty())
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        assert_eq!(
            commands,
            ["pack", "approve", "inspect", "open", "describe", "attest", "seal", "policy", "kms-policy"]
        );
    }

    #[test]
    fn wrong_usage_is_exit_2() {
        let (code, out, err) = ran(&["pack"], &[]);
        assert_eq!((code, out.as_str()), (2, ""));
        assert!(err.starts_with("packproof: error: "), "{err}");
        let (code, out, err) = ran(&["pack", "--json"], &[]);
        assert_eq!((code, err.as_str()), (2, ""));
        let object: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(object["code"], "usage");
    }

    #[test]
    fn an_enclave_must_be_named_and_near() {
        assert!(ran(&["describe"], &[]).2.contains("[enclave_not_named]"));
        assert!(ran(&["describe"], &[("PACKPROOF_ENCLAVE", "")]).2.contains("[enclave_not_named]"));
        assert!(ran(&["describe"], &[("PACKPROOF_ENCLAVE", "https://h:1")]).2.contains("[https_not_supported]"));
        let env = [("PACKPROOF_ENCLAVE", "https://h:1")];
        let (code, _, err) = ran(&["describe", "--enclave", "unix:/nonexistent/socket"], &env);
        assert_eq!(code, 3);
        assert!(err.contains("[enclave_unreachable]\nhint: "), "{err}");
    }

    #[test]
    fn a_challenge_is_32_bytes() {
        assert_eq!(challenge(None).unwrap(), None);
        assert_eq!(challenge(Some(&"ab".repeat(32))).unwrap(), Some(vec![0xab; 32]));
        for wrong in ["", "zz", &"ab".repeat(31), &"ab".repeat(33)] {
            assert_eq!(challenge(Some(wrong)).unwrap_err().code(), "usage");
        }
    }
}
