//! Makes sealed key files as the enclave and `packproof seal` do.

use base64::{Engine, prelude::BASE64_STANDARD};
use packproof_receipt::{
    binding::DocumentTag,
    sealed::{BirthStatement, SealedKey},
};
use packproof_receipt_verify::{BirthExpectations, Image, KeyPurpose, Root, Sections};
use sha2::{Digest, Sha256};

use super::{
    BOOT, CHALLENGE, COMMAND_LINE, Change, DEV_AGE_ARN, DEV_CELL_RECIPIENT, DEV_SIGNER_ARN, Entry, KERNEL, Kit,
    REPOSITORY, Request, apply, ed25519_spki, replace, time,
};

pub const BLOB: &[u8] = b"a blob of KMS";

/// What a test changes, each at its place on the way. Everything after a place is computed from what it left there.
#[derive(Default)]
pub struct BirthTamper<'a> {
    /// The birth statement.
    pub statement: Change<'a, BirthStatement>,
    /// Its bytes.
    pub statement_text: Change<'a, String>,
    /// The module's request.
    pub request: Change<'a, Request>,
    /// The sealed key.
    pub sealed: Change<'a, SealedKey>,
    /// The file.
    pub file: Change<'a, String>,
}

impl<'a> BirthTamper<'a> {
    pub fn statement(change: impl Fn(&mut BirthStatement) + 'a) -> Self {
        Self { statement: Some(Box::new(change)), ..Self::default() }
    }

    pub fn statement_text(change: impl Fn(&mut String) + 'a) -> Self {
        Self { statement_text: Some(Box::new(change)), ..Self::default() }
    }

    pub fn request(change: impl Fn(&mut Request) + 'a) -> Self {
        Self { request: Some(Box::new(change)), ..Self::default() }
    }

    pub fn sealed(change: impl Fn(&mut SealedKey) + 'a) -> Self {
        Self { sealed: Some(Box::new(change)), ..Self::default() }
    }

    pub fn file(change: impl Fn(&mut String) + 'a) -> Self {
        Self { file: Some(Box::new(change)), ..Self::default() }
    }
}

impl Kit {
    /// A kit whose policy pins neither key of the dev entry yet: what keys are born under.
    pub fn before_pins() -> Self {
        Self::before_pins_with(|_| {})
    }

    /// The same with a change in the policy, which is measured as changed.
    pub fn before_pins_with(change: impl Fn(&mut String)) -> Self {
        let signers = Self::new().signers;
        Self::with_policy(|policy| {
            replace(policy, &format!(r#", public_key = "{}""#, ed25519_spki(&signers[1])), "");
            replace(policy, &format!(r#", recipient = "{DEV_CELL_RECIPIENT}""#), "");
            change(policy);
        })
    }

    /// What somebody who has everything but a later policy expects of a dev key.
    pub fn birth_expectations(&self, purpose: KeyPurpose) -> BirthExpectations<'_> {
        BirthExpectations {
            root: Root::Simulated { der: self.pki.root_der() },
            policy: self.policy.as_bytes(),
            image: Image {
                release: self.release.as_bytes(),
                sections: Some(Sections { kernel: KERNEL, command_line: COMMAND_LINE, boot_ramdisk: BOOT }),
            },
            identity: "checkout",
            environment: Entry::Dev.environment(),
            purpose,
            pinned_by: None,
            challenge: None,
        }
    }

    pub fn seal(&self, purpose: KeyPurpose) -> Vec<u8> {
        self.seal_with(purpose, &BirthTamper::default())
    }

    /// A sealed key file of the dev entry.
    pub fn seal_with(&self, purpose: KeyPurpose, tamper: &BirthTamper<'_>) -> Vec<u8> {
        let (arn, public_key) = match purpose {
            KeyPurpose::Signer => (DEV_SIGNER_ARN, ed25519_spki(&self.signers[1])),
            KeyPurpose::AgeKey => (DEV_AGE_ARN, DEV_CELL_RECIPIENT.to_owned()),
        };
        let mut statement = BirthStatement {
            purpose: purpose.as_str().into(),
            repository: REPOSITORY.into(),
            identity: "checkout".into(),
            environment: Entry::Dev.environment().into(),
            kms_key_arn: arn.into(),
            kms_request_id: "00000000-1111-2222-3333-444444444444".into(),
            blob_sha256: hex::encode(Sha256::digest(BLOB)),
            public_key,
            policy_sha256: hex::encode(Sha256::digest(&self.policy)),
            born_on: time(-100),
        };
        apply(&tamper.statement, &mut statement);
        let mut text = serde_json::to_string(&statement).unwrap();
        apply(&tamper.statement_text, &mut text);
        let mut request = Request {
            user_data: Some(DocumentTag::Birth.user_data(text.as_bytes()).to_vec()),
            nonce: Some(CHALLENGE.to_vec()),
            ..Request::of(self)
        };
        apply(&tamper.request, &mut request);
        let mut sealed = SealedKey {
            schema: 1,
            blob: BASE64_STANDARD.encode(BLOB),
            birth_statement: text,
            birth_document: BASE64_STANDARD.encode(self.attest(&request)),
        };
        apply(&tamper.sealed, &mut sealed);
        let mut file = serde_json::to_string_pretty(&sealed).unwrap();
        file.push('\n');
        apply(&tamper.file, &mut file);
        file.into_bytes()
    }
}
