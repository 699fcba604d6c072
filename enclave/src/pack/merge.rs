//! `DecryptedFiles → MergedSecrets`: Clef's nested `{namespace: {key: string}}`, in the manifest's order.

use ed25519_dalek::SigningKey;
use packproof_artifact::{
    matrix::CellFormat,
    plaintext::PlaintextBuilder,
    schema::Schema,
    value::{Scalar, reads_back, to_clef_string},
};
use packproof_secret::{SecretBytes, SecretString};
use packproof_sops::Value;

use super::{
    PackError,
    decrypt::{DecryptedFile, DecryptedFiles},
    unwrap::{EnvelopeKey, KmsFacts},
    verify::VerifiedInputs,
};

/// The artifact's plaintext, as Clef would write it.
pub struct MergedSecrets {
    pub(super) inputs: VerifiedInputs,
    pub(super) plaintext: SecretBytes,
    pub(super) namespaces: Vec<String>,
    pub(super) key_count: u64,
    pub(super) envelope: Option<EnvelopeKey>,
    pub(super) signer: SigningKey,
    pub(super) kms: KmsFacts,
}

/// Merges all cells; their values are wiped here.
///
/// # Errors
/// [`PackError::ContentRefused`], naming the cell, for a value or key that Clef would mangle or cannot carry.
pub fn merge(decrypted: DecryptedFiles) -> Result<MergedSecrets, PackError> {
    let DecryptedFiles { inputs, files, envelope, signer, kms } = decrypted;
    let mut builder = PlaintextBuilder::new();
    let mut namespaces = Vec::with_capacity(files.len());
    for file in files {
        let DecryptedFile { namespace, path, format, plain, schema } = file;
        merge_file(&mut builder, &namespace, format, &plain.entries, schema.as_deref())
            .ok_or(PackError::ContentRefused(path))?;
        namespaces.push(namespace);
    }
    let (plaintext, counts) = builder.finish();
    let key_count = u64::try_from(counts.keys).unwrap_or(u64::MAX);
    Ok(MergedSecrets { inputs, plaintext, namespaces, key_count, envelope, signer, kms })
}

/// The first cell whose content this stage would refuse.
pub(super) fn first_refused(files: &[DecryptedFile]) -> Option<String> {
    let mut builder = PlaintextBuilder::new();
    let refused = |file: &&DecryptedFile| {
        merge_file(&mut builder, &file.namespace, file.format, &file.plain.entries, file.schema.as_deref()).is_none()
    };
    files.iter().find(refused).map(|file| file.path.clone())
}

/// `None` for whatever is wrong with the content: a value that Clef cannot carry, or that its schema does not allow.
fn merge_file(
    builder: &mut PlaintextBuilder,
    namespace: &str,
    format: CellFormat,
    entries: &[(String, Value)],
    schema: Option<&Schema>,
) -> Option<()> {
    if format == CellFormat::Yaml && !entries.iter().all(|(key, _)| reads_back(key)) {
        return None;
    }
    let text = |(_, value): &(String, Value)| to_clef_string(scalar(value)?, format).ok();
    let texts: Vec<SecretString> = entries.iter().map(text).collect::<Option<_>>()?;
    let pairs = || entries.iter().zip(&texts).map(|((key, _), text)| (key.as_str(), text.expose()));
    if let Some(schema) = schema {
        schema.check(pairs()).ok()?;
    }
    builder.begin_namespace(namespace).ok()?;
    for (key, text) in pairs() {
        builder.entry(key, text).ok()?;
    }
    Some(())
}

/// `None` for what is no value at all (a comment).
fn scalar(value: &Value) -> Option<Scalar<'_>> {
    Some(match value {
        Value::Null => Scalar::Null,
        Value::Str(text) => Scalar::Str(text.expose()),
        Value::Int(number) => Scalar::Int(*number),
        Value::Float(number) => Scalar::Float(*number),
        Value::Bool(truth) => Scalar::Bool(*truth),
        Value::Time(text) => Scalar::Time(text.expose()),
        Value::List(_) => Scalar::List,
        Value::Map(_) => Scalar::Map,
        Value::Comment(_) => return None,
    })
}

#[cfg(test)]
mod tests;
