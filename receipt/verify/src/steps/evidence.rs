//! Step 2: the Nitro document, and that it speaks of this statement.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use packproof_receipt::{
    binding::DocumentTag,
    statement::{
        DOCUMENT_MEDIA_TYPE, EVIDENCE_ATTRIBUTE, EVIDENCE_SUBJECT, EvidenceDocument, EvidencePredicate, Statement,
    },
};

use super::Received;
use crate::{
    checks::{Checks, Refusal, ensure, quote},
    evidence::{AWS_NITRO_ROOT_G1, EvidenceError, VerifiedDocument, verify_document},
    expectations::Root,
};

/// Verifies the document under the root given.
pub(crate) fn document(checks: &mut Checks<'_>, received: &Received, root: Root<'_>) -> Option<VerifiedDocument> {
    let root = trusted_root(checks, root);
    let evidence = received.evidence.as_ref().map(|statement| the_evidence(&statement.predicate));
    let evidence = checks.judge("evidence_attribute", "the evidence statement has the one known attribute", evidence);
    let media_type = evidence.map(|evidence| {
        ensure(evidence.media_type == DOCUMENT_MEDIA_TYPE, "evidence_media_type", || {
            format!("the evidence has media type {}", quote(&evidence.media_type))
        })
    });
    let media_type = checks.judge("evidence_media_type", "the evidence is a Nitro document", media_type);
    nitro_document(checks, evidence.zip(media_type).map(|(evidence, ())| evidence.content.as_str()), root)
}

/// Judges the root that was given.
pub(crate) fn trusted_root<'a>(checks: &mut Checks<'_>, root: Root<'a>) -> Option<Root<'a>> {
    checks.judge("trusted_root", "simulated evidence has a root of its own", Some(check_root(root)))
}

/// Verifies a document given in base64, under a root that [`trusted_root`] let through.
pub(crate) fn nitro_document(
    checks: &mut Checks<'_>,
    content: Option<&str>,
    root: Option<Root<'_>>,
) -> Option<VerifiedDocument> {
    let verified = content.zip(root).map(|(content, root)| verify(content, root));
    let under = match root {
        Some(Root::Aws) => "AWS's root",
        _ => "the simulated root that was given",
    };
    checks.judge("nitro_document", format!("the document is authentic under {under}, not of a debug enclave"), verified)
}

/// Checks that the document was made for this statement and this request.
pub(crate) fn binding(checks: &mut Checks<'_>, received: &Received, document: Option<&VerifiedDocument>) {
    let digest = received.pae_sha256();
    let subject = received.evidence.as_ref().zip(digest).map(|(statement, digest)| check_subject(statement, &digest));
    checks.judge("evidence_subject", "the evidence statement is about this pack statement", subject);
    let binding = document.zip(digest).map(|(document, digest)| {
        let expected = DocumentTag::Receipt.user_data(&digest);
        ensure(document.user_data.as_deref() == Some(&expected[..]), "document_binding", || {
            "the document's user_data does not bind this pack statement".to_owned()
        })
    });
    checks.judge("document_binding", "the document's user_data binds this pack statement", binding);
    let challenge = document.zip(received.statement.as_ref()).map(|(document, statement)| {
        let stated = statement.predicate.build_definition.external_parameters.challenge.as_deref();
        let nonce = document.nonce.as_deref();
        let equal = stated == nonce.map(hex::encode).as_deref() && nonce.is_none_or(|nonce| nonce.len() == 32);
        ensure(equal, "challenge_binding", || "the statement's challenge is not the document's nonce".to_owned())
    });
    checks.judge("challenge_binding", "the statement and the document agree on the challenge", challenge);
}

/// Real hardware must never be judged as a simulation: nothing would then keep a `simulated` policy apart from a real one.
fn check_root(root: Root<'_>) -> Result<Root<'_>, Refusal> {
    let disguised = matches!(root, Root::Simulated { der } if der == AWS_NITRO_ROOT_G1);
    ensure(!disguised, "aws_root_given_as_simulated", || {
        "the root given for simulated evidence is AWS's own; leave --simulated and --root away".to_owned()
    })?;
    Ok(root)
}

fn the_evidence(predicate: &EvidencePredicate) -> Result<&EvidenceDocument, Refusal> {
    match predicate.attributes.as_slice() {
        [one] if one.attribute == EVIDENCE_ATTRIBUTE => Ok(&one.evidence),
        _ => {
            let text = format!("the evidence statement does not have {EVIDENCE_ATTRIBUTE} as its only attribute");
            Err(Refusal::new("evidence_attribute", text))
        }
    }
}

fn verify(content: &str, root: Root<'_>) -> Result<VerifiedDocument, Refusal> {
    let document = BASE64_STANDARD
        .decode(content)
        .map_err(|_| Refusal::new("evidence_base64", "the evidence is not standard base64"))?;
    verify_document(&document, root.der()).map_err(|error| refusal(&error, root))
}

fn refusal(error: &EvidenceError, root: Root<'_>) -> Refusal {
    let hint = match error {
        EvidenceError::ChainRootMismatch { .. } if root == Root::Aws => {
            "; for evidence of local mode say --simulated --root PEM"
        }
        _ => "",
    };
    Refusal::new(root.code_of(error), format!("check {}: {error}{hint}", error.check()))
}

fn check_subject(statement: &Statement<EvidencePredicate>, digest: &[u8; 32]) -> Result<(), Refusal> {
    let expected = BTreeMap::from([("sha256".to_owned(), hex::encode(digest))]);
    let right = statement.subject.iter().all(|subject| subject.name == EVIDENCE_SUBJECT && subject.digest == expected);
    ensure(right && !statement.subject.is_empty(), "evidence_subject", || {
        "the evidence statement is about another pack statement".to_owned()
    })
}
