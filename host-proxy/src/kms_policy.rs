//! `packproof kms-policy`: AWS key policies, written and explained.
//!
//! [`generate`] writes the shapes of the design, section 8. [`explain`] asks of any key policy who can decrypt outside
//! the enclave: it does not look for known shapes but puts every way of calling (without attestation, debug, another
//! image, an instance's NitroTPM) to the statements, as IAM would judge them, for everybody they could mean. What it
//! cannot know, it takes as the caller would wish it. Everything but the two command files is free of I/O.

mod callers;
mod condition;
mod document;
mod evaluate;
mod explain;
mod findings;
mod generate;
mod hygiene;
mod inputs;
mod json;
mod judge;
mod key;
mod openings;
mod roles;
mod shape;
mod terraform;
mod uses;

#[cfg(test)]
mod tests;

use crate::{Error, output::Report};

/// What to do about key policies.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum KmsPolicyCommand {
    /// Write the key policy of each KMS key that a policy names
    ///
    /// The image's measurements are computed from the release's files and the policy. During a rollout give two
    /// releases, or two policies, or both (paired in order): both images may then use the keys they share.
    Generate(Box<generate::GenerateArgs>),
    /// Say who can decrypt outside the enclave, and through which statement
    ///
    /// Exit code 1 when anybody can whom you did not name. What a file does not say (encryption contexts, networks,
    /// organisations, IAM policies that you did not give) is taken as an attacker would wish it.
    Explain(Box<explain::ExplainArgs>),
}

impl KmsPolicyCommand {
    /// Whether the result is wanted as JSON.
    pub(crate) fn json(&self) -> bool {
        match self {
            Self::Generate(args) => args.json,
            Self::Explain(args) => args.json,
        }
    }
}

/// Runs one of the commands; beside the report the exit code.
///
/// # Errors
/// Theirs.
pub(crate) fn run(command: &KmsPolicyCommand) -> Result<(Report, u8), Error> {
    match command {
        KmsPolicyCommand::Generate(args) => generate::generate(args).map(|report| (report, 0)),
        KmsPolicyCommand::Explain(args) => explain::explain(args),
    }
}
