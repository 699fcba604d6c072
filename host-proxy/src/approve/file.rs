//! The approval file: nine lines of text, then the armored signature over them.

use std::path::Path;

use packproof_receipt::{
    approval::{APPROVAL_NAMESPACE, Approval as Approved},
    time::UnixMillis,
};
use packproof_wire::Approval;

use super::ApprovalError;

/// More than the longest repository, certificate and RSA signature.
pub(crate) const MAX_APPROVAL_BYTES: u64 = 64 * 1024;
/// How the armor begins.
pub(super) const ARMOR_BEGIN: &str = "-----BEGIN SSH SIGNATURE-----";

/// Reads an approval of exactly what is packed.
///
/// The enclave puts the text together itself; this comparison only says earlier and better which line differs.
///
/// # Errors
/// [`ApprovalError::Unreadable`], [`ApprovalError::Mismatch`].
pub(crate) fn read_for(path: &Path, bytes: &[u8], expected: &Approved<'_>) -> Result<Approval, ApprovalError> {
    let unreadable = |reason| ApprovalError::Unreadable { path: path.to_owned(), reason };
    let file = std::str::from_utf8(bytes).map_err(|_| unreadable("it is not text"))?;
    let start = file.find(ARMOR_BEGIN).ok_or_else(|| unreadable("it holds no SSH signature"))?;
    let (text, signature) = file.split_at_checked(start).ok_or_else(|| unreadable("it holds no SSH signature"))?;
    let lines: Vec<&str> = text.strip_suffix('\n').unwrap_or(text).split('\n').collect();
    let [name, repository, format, commit, commit_sha256, identity, environment, policy, not_after] = lines.as_slice()
    else {
        return Err(unreadable("it does not have nine lines before its signature"));
    };
    if *name != APPROVAL_NAMESPACE {
        return Err(unreadable("its first line is not packproof-approval-v1"));
    }
    for (what, found, expected) in [
        ("repository", repository, expected.repository),
        ("object format", format, expected.object_format),
        ("commit", commit, expected.commit),
        ("commit object", commit_sha256, expected.commit_sha256),
        ("identity", identity, expected.identity),
        ("environment", environment, expected.environment),
        ("policy", policy, expected.policy_sha256),
    ] {
        if *found != expected {
            return Err(ApprovalError::Mismatch {
                path: path.to_owned(),
                what,
                found: (*found).to_owned(),
                expected: expected.to_owned(),
            });
        }
    }
    if UnixMillis::parse_rfc3339_ms(not_after).is_none() {
        return Err(unreadable("its ninth line is no time such as 2026-11-23T18:40:09.112Z"));
    }
    Ok(Approval { not_after: (*not_after).to_owned(), signature: signature.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNATURE: &str = "-----BEGIN SSH SIGNATURE-----\nabc\n-----END SSH SIGNATURE-----\n";

    fn approved() -> Approved<'static> {
        Approved {
            repository: "https://git.example/x",
            object_format: "sha1",
            commit: "c0ffee",
            commit_sha256: "ab",
            identity: "checkout",
            environment: "production",
            policy_sha256: "cd",
            not_after: UnixMillis(1_795_000_000_123),
        }
    }

    fn code(file: &str) -> &'static str {
        read_for(Path::new("approval"), file.as_bytes(), &approved()).unwrap_err().code()
    }

    #[test]
    fn an_approval_is_its_text_and_the_signature() {
        let text = approved().to_text();
        let read = read_for(Path::new("approval"), format!("{text}{SIGNATURE}").as_bytes(), &approved()).unwrap();
        assert_eq!((read.not_after.as_str(), read.signature.as_str()), ("2026-11-18T11:06:40.123Z", SIGNATURE));
    }

    #[test]
    fn each_line_that_differs_is_named() {
        let text = approved().to_text();
        for (line, what) in text
            .lines()
            .zip(["", "repository", "object format", "commit", "commit object", "identity", "environment", "policy"])
            .skip(1)
        {
            let changed = format!("{}{SIGNATURE}", text.replacen(&format!("\n{line}\n"), "\nother\n", 1));
            match read_for(Path::new("approval"), changed.as_bytes(), &approved()).unwrap_err() {
                ApprovalError::Mismatch { what: named, .. } => assert_eq!(named, what),
                other => panic!("{other}"),
            }
        }
    }

    #[test]
    fn what_is_no_approval_is_refused() {
        let text = approved().to_text();
        for file in [
            String::new(),
            text.clone(),
            SIGNATURE.to_owned(),
            format!("\n{text}{SIGNATURE}"),
            format!("{text}\n{SIGNATURE}"),
            format!("{text}{SIGNATURE}").replacen("packproof-approval-v1", "git", 1),
            format!("{text}{SIGNATURE}").replacen(".123Z", "Z", 1),
        ] {
            assert_eq!(code(&file), "approval_unreadable", "{file}");
        }
    }
}
