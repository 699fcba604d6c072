//! Approvals: a second pair of eyes, as an SSH signature that the enclave counts.
//!
//! An approval is an SSHSIG under namespace [`APPROVAL_NAMESPACE`] over the text below, so `packproof approve` and plain
//! `ssh-keygen -Y sign -n packproof-approval-v1` make the same. It names one commit, one identity and environment and one
//! policy, and can be used again until it expires.

use crate::time::UnixMillis;

/// The SSHSIG namespace, and the text's first line.
pub const APPROVAL_NAMESPACE: &str = "packproof-approval-v1";

/// What is approved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Approval<'a> {
    /// The policy's repository.
    pub repository: &'a str,
    /// `sha1` or `sha256`.
    pub object_format: &'a str,
    /// Commit id, hex.
    pub commit: &'a str,
    /// SHA-256 of the commit object's content, hex: SHA-1 alone is not enough.
    pub commit_sha256: &'a str,
    /// Clef's identity.
    pub identity: &'a str,
    /// Clef's environment.
    pub environment: &'a str,
    /// SHA-256 of `packproof.toml`, hex.
    pub policy_sha256: &'a str,
    /// When it ends.
    pub not_after: UnixMillis,
}

impl Approval<'_> {
    /// The text that is signed: nine lines, each ended by a newline; the last is RFC 3339 with milliseconds.
    ///
    /// No member can hold a newline: ids and digests are hex, names and repository are checked by the policy.
    pub fn to_text(&self) -> String {
        let not_after = self.not_after.to_rfc3339();
        let lines = [
            APPROVAL_NAMESPACE,
            self.repository,
            self.object_format,
            self.commit,
            self.commit_sha256,
            self.identity,
            self.environment,
            self.policy_sha256,
            &not_after,
        ];
        lines.map(|line| format!("{line}\n")).concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_nine_lines() {
        let approval = Approval {
            repository: "https://git.example/x",
            object_format: "sha1",
            commit: "c0ffee",
            commit_sha256: "ab",
            identity: "checkout",
            environment: "production",
            policy_sha256: "cd",
            not_after: UnixMillis(1_795_000_000_123),
        };
        assert_eq!(
            approval.to_text(),
            "packproof-approval-v1\nhttps://git.example/x\nsha1\nc0ffee\nab\ncheckout\nproduction\ncd\n2026-11-18T11:06:40.123Z\n"
        );
    }
}
