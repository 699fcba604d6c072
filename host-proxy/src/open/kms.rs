//! The data key of a KMS artifact, by KMS's plain Decrypt.
//!
//! AWS's own command-line tool makes the call. It finds credentials as its users are used to (environment, profile,
//! single sign-on, the instance's role) and none of them passes through this program.

use std::{
    ffi::OsStr,
    io::{self, Read, Write},
    process::{Child, Command, Stdio},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use packproof_artifact::envelope::KmsEnvelope;
use packproof_secret::{Secret, SecretBytes};

use super::OpenError;
use crate::output::printable_line;

/// Most bytes of a wrapped key (KMS API reference, Decrypt).
const MAX_WRAPPED_KEY_BYTES: usize = 6144;

/// Most bytes that are read of the tool's answer; a data key in base64 has 44.
const MAX_ANSWER_BYTES: usize = 256;

/// Most bytes of the tool's complaint that are shown.
const MAX_COMPLAINT_BYTES: u64 = 1024;

/// What KMS says when the answer is no, and asking again gives the same.
const REFUSALS: [&str; 8] = [
    "AccessDeniedException",
    "DisabledException",
    "IncorrectKeyException",
    "InvalidCiphertextException",
    "InvalidKeyUsageException",
    "KMSInvalidStateException",
    "NotFoundException",
    "ValidationException",
];

/// Unwraps the data key: `aws kms decrypt`, in the region of the key's ARN, without an encryption context, as Clef's
/// runtime calls KMS. `tool` is the program.
///
/// The blob goes in and the key comes out through pipes; the arguments have the ARN only, whose characters are checked,
/// because whoever wrote the artifact chose it.
///
/// # Errors
/// [`OpenError::DataKeyMissing`] for another cloud; [`OpenError::Envelope`]; [`OpenError::AwsToolMissing`],
/// [`OpenError::AwsTool`], [`OpenError::KmsRefused`], [`OpenError::KmsAnswer`].
pub(super) fn unwrap(envelope: &KmsEnvelope, wrapped_key: &[u8], tool: &OsStr) -> Result<Secret<32>, OpenError> {
    if envelope.provider != "aws" {
        return Err(OpenError::DataKeyMissing);
    }
    let region = region(&envelope.key_id).ok_or(OpenError::Envelope("keyId is no ARN of an AWS KMS key"))?;
    if envelope.algorithm != "SYMMETRIC_DEFAULT" {
        return Err(OpenError::Envelope("algorithm is not SYMMETRIC_DEFAULT"));
    }
    if wrapped_key.len() > MAX_WRAPPED_KEY_BYTES {
        return Err(OpenError::Envelope("wrappedKey is longer than KMS's blobs"));
    }
    let mut command = Command::new(tool);
    command.args(["kms", "decrypt", "--region", region, "--key-id", &envelope.key_id]);
    command.args(["--ciphertext-blob", "fileb:///dev/stdin", "--encryption-algorithm", "SYMMETRIC_DEFAULT"]);
    command.args(["--query", "Plaintext", "--output", "text"]);
    // A pager would swallow the answer; the identity is none of the tool's business.
    command.env("AWS_PAGER", "").env_remove("CLEF_AGE_KEY");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => OpenError::AwsToolMissing,
        _ => OpenError::AwsTool(error.to_string()),
    })?;
    let answer = converse(child, wrapped_key)?;
    let mut decoded = SecretBytes::from(vec![0; MAX_ANSWER_BYTES]);
    let length = BASE64_STANDARD.decode_slice(answer.expose().trim_ascii(), decoded.expose_mut()).unwrap_or(0);
    decoded.truncate(length);
    Secret::copy_from(decoded.expose()).ok_or(OpenError::KmsAnswer)
}

/// The region of a key's ARN, when all of the ARN is plain enough to be an argument.
fn region(arn: &str) -> Option<&str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '/' | '_' | '-');
    let parts: Vec<&str> = arn.split(':').filter(|_| arn.chars().all(plain)).collect();
    match parts.as_slice() {
        ["arn", _, "kms", region, _, resource] if resource.starts_with("key/") || resource.starts_with("alias/") => {
            Some(*region).filter(|region| region.starts_with(|c: char| c.is_ascii_lowercase()))
        }
        _ => None,
    }
}

/// Hands the tool its input and takes its answer.
fn converse(mut child: Child, input: &[u8]) -> Result<SecretBytes, OpenError> {
    let failed = |error: io::Error| OpenError::AwsTool(error.to_string());
    let complaints = child.stderr.take().map(|stderr| std::thread::spawn(move || complaint(stderr)));
    if let Some(mut stdin) = child.stdin.take() {
        // A tool that does not read says why on its own.
        let _broken_pipe = stdin.write_all(input);
    }
    let mut answer = SecretBytes::from(vec![0; MAX_ANSWER_BYTES]);
    let mut length = 0;
    if let Some(mut stdout) = child.stdout.take() {
        while let Some(free @ [_, ..]) = answer.expose_mut().get_mut(length..) {
            match stdout.read(free) {
                Ok(0) => break,
                Ok(count) => length = length.saturating_add(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }
    answer.truncate(length);
    let status = child.wait().map_err(failed)?;
    let complaint = complaints.and_then(|thread| thread.join().ok()).unwrap_or_default();
    if status.success() {
        return Ok(answer);
    }
    let refused = REFUSALS.iter().any(|name| complaint.contains(&format!("({name})")));
    let reason = if complaint.is_empty() { status.to_string() } else { complaint };
    Err(if refused { OpenError::KmsRefused(reason) } else { OpenError::AwsTool(reason) })
}

/// The beginning of what the tool says, printable, on one line. All of it is read, so that the tool never waits.
fn complaint(mut stderr: impl Read) -> String {
    let mut said = Vec::new();
    // What cannot be read is not shown.
    let _ = stderr.by_ref().take(MAX_COMPLAINT_BYTES).read_to_end(&mut said);
    let _ = io::copy(&mut stderr, &mut io::sink());
    let said = String::from_utf8_lossy(&said);
    let words: Vec<&str> = said.split_whitespace().collect();
    printable_line(&words.join(" "))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

    use super::*;

    const ARN: &str = "arn:aws:kms:eu-west-1:111122223333:key/0a1b2c3d-0000-4000-8000-00000000aaaa";

    fn envelope() -> KmsEnvelope {
        let text = str::to_owned;
        KmsEnvelope {
            provider: text("aws"),
            key_id: text(ARN),
            wrapped_key: text("d3JhcHBlZA=="),
            algorithm: text("SYMMETRIC_DEFAULT"),
            iv: text("aXY="),
            auth_tag: text("dGFn"),
        }
    }

    /// A program in the tool's place, which writes its arguments and its input beside itself.
    fn tool(dir: &tempfile::TempDir, answer: &str) -> PathBuf {
        let path = dir.path().join("aws");
        let record = "cd \"$(dirname \"$0\")\"\nprintf '%s\\n' \"$@\" >args\ncat /dev/stdin >stdin\n";
        fs::write(&path, format!("#!/bin/sh\n{record}{answer}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn unwrapped(answer: &str) -> Result<Secret<32>, OpenError> {
        let dir = tempfile::tempdir().unwrap();
        unwrap(&envelope(), b"wrapped\n\0", tool(&dir, answer).as_os_str())
    }

    #[test]
    fn asks_for_this_blob_under_this_key_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let tool = tool(&dir, &format!("echo {}", BASE64_STANDARD.encode([9; 32])));
        let key = unwrap(&envelope(), b"wrapped\n\0", tool.as_os_str()).unwrap();
        assert_eq!(key.expose(), &[9; 32]);
        assert_eq!(fs::read(dir.path().join("stdin")).unwrap(), b"wrapped\n\0");
        let args = format!(
            "kms\ndecrypt\n--region\neu-west-1\n--key-id\n{ARN}\n--ciphertext-blob\nfileb:///dev/stdin\n\
             --encryption-algorithm\nSYMMETRIC_DEFAULT\n--query\nPlaintext\n--output\ntext\n"
        );
        assert_eq!(fs::read_to_string(dir.path().join("args")).unwrap(), args);
    }

    #[test]
    fn no_and_not_now_are_told_apart() {
        let said = "An error occurred (AccessDeniedException) when calling the Decrypt operation: not authorized";
        match unwrapped(&format!("echo; echo '{said}' >&2; exit 254")) {
            Err(OpenError::KmsRefused(reason)) => assert_eq!(reason, said),
            _ => panic!("not refused"),
        }
        for said in [
            "Unable to locate credentials",
            "Could not connect to the endpoint URL",
            "An error occurred (ThrottlingException) when calling the Decrypt operation: slow down",
            "An error occurred (ExpiredTokenException) when calling the Decrypt operation",
        ] {
            let error = unwrapped(&format!("echo '{said}' >&2; exit 255")).err().unwrap();
            assert_eq!((error.code(), error.exit_code()), ("aws_tool_failed", 3), "{said}");
            assert!(error.to_string().ends_with(said), "{error}");
        }
        let missing = unwrap(&envelope(), b"", OsStr::new("/nonexistent/aws")).err().unwrap();
        assert_eq!((missing.code(), missing.exit_code()), ("aws_tool_missing", 3));
        let silent = unwrapped("exit 7").err().unwrap();
        assert!(silent.to_string().contains("exit status: 7"), "{silent}");
    }

    #[test]
    fn a_long_complaint_neither_blocks_nor_moves_the_cursor() {
        let shout = "i=0; while [ $i -lt 5000 ]; do printf '\\033[2Jxxxxxxxxxxxxxxxxxxxxxxxxxx\\n'; i=$((i+1)); done >&2; exit 1";
        let shown = unwrapped(shout).err().unwrap().to_string();
        assert!(shown.len() < 4096 && !shown.contains(char::is_control), "{shown}");
    }

    #[test]
    fn an_answer_that_is_no_data_key_is_refused() {
        let of = |count: usize| format!("echo {}", BASE64_STANDARD.encode(vec![9; count]));
        let long = format!("echo {}", "A".repeat(100_000));
        for answer in ["true", "echo None", "echo 'not base64'", &of(16), &of(33), &long] {
            let error = unwrapped(answer).err().unwrap();
            assert!(matches!(error.code(), "kms_answer" | "aws_tool_failed"), "{answer:.40}: {error}");
        }
        assert_eq!(unwrapped(&of(31)).err().unwrap().code(), "kms_answer");
    }

    #[test]
    fn an_envelope_cannot_choose_other_arguments() {
        // Had the tool been run, it would not be found.
        let code = |change: fn(&mut KmsEnvelope)| {
            let mut envelope = envelope();
            change(&mut envelope);
            unwrap(&envelope, b"", OsStr::new("/nonexistent/aws")).err().unwrap().code()
        };
        assert_eq!(code(|_| ()), "aws_tool_missing");
        assert_eq!(code(|e| e.key_id = ARN.replace("key/", "alias/")), "aws_tool_missing");
        assert_eq!(code(|e| e.provider = "gcp".into()), "data_key_missing");
        assert_eq!(code(|e| e.algorithm = "RSAES_OAEP_SHA_256".into()), "envelope_unusable");
        let arns: [fn(&mut KmsEnvelope); 8] = [
            |e| e.key_id = "--endpoint-url=https://attacker.example".into(),
            |e| e.key_id = "alias/x".into(),
            |e| e.key_id = ARN.replace("kms", "s3"),
            |e| e.key_id = ARN.replace("key/", "grant/"),
            |e| e.key_id = ARN.replace("eu-west-1", ""),
            |e| e.key_id = ARN.replace("eu-west-1", "--debug"),
            |e| e.key_id = format!("{ARN}:x"),
            |e| e.key_id = format!("{ARN} x"),
        ];
        for change in arns {
            assert_eq!(code(change), "envelope_unusable");
        }
        let long = vec![0; MAX_WRAPPED_KEY_BYTES + 1];
        let error = unwrap(&envelope(), &long, OsStr::new("/nonexistent/aws")).err().unwrap();
        assert_eq!(error.code(), "envelope_unusable");
        let error = unwrap(&envelope(), &long[1..], OsStr::new("/nonexistent/aws")).err().unwrap();
        assert_eq!(error.code(), "aws_tool_missing");
    }
}
