//! Reports for programs.

use std::io::Write;

use serde::Serialize;

use crate::{error::CliError, text};

/// Schema of the report on a receipt.
pub(crate) const REPORT_SCHEMA: &str = "https://packproof.dev/schema/verify-report/v1";
/// Schema of the report on a sealed key.
pub(crate) const BIRTH_SCHEMA: &str = "https://packproof.dev/schema/birth-report/v1";
/// Schema of the report on a bare document.
pub(crate) const DOCUMENT_SCHEMA: &str = "https://packproof.dev/schema/document-report/v1";

#[derive(Serialize)]
struct WithSchema<'a, T> {
    schema: &'static str,
    #[serde(flatten)]
    body: &'a T,
}

/// Prints one object in ASCII.
pub(crate) fn print<T: Serialize>(schema: &'static str, body: &T, out: &mut dyn Write) -> Result<(), CliError> {
    let json = serde_json::to_string_pretty(&WithSchema { schema, body }).map_err(|_| CliError::Output)?;
    writeln!(out, "{}", text::ascii(&json)).map_err(|_| CliError::Output)
}
