//! Step 1: the file, its two statements and their signatures.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ParsedPublicKey};
use base64::{Engine, prelude::BASE64_STANDARD};
use packproof_receipt::{
    bundle::{UnverifiedBundle, parse_receipt},
    statement::{
        BUILD_TYPE, BUILDER_ID, EVIDENCE_PREDICATE, EvidencePredicate, PACK_PREDICATE, PackPredicate,
        SIMULATED_PREDICATE, STATEMENT_TYPE, Statement,
    },
};
use sha2::{Digest, Sha256};

use crate::{
    checks::{Checks, Refusal, ensure, quote},
    evidence::VerifiedDocument,
    json::{self, JsonCodes},
};

/// What was read of a receipt. Nothing of it is believed.
pub(crate) struct Received {
    pub(crate) bundles: Option<[UnverifiedBundle; 2]>,
    pub(crate) statement: Option<Statement<PackPredicate>>,
    pub(crate) evidence: Option<Statement<EvidencePredicate>>,
}

/// A statement that the holder of the attested key signed, and to which the verified document is bound.
///
/// What runs behind that key is another question: see [`Measured`](super::Measured).
#[derive(Clone, Copy)]
pub(crate) struct Attested<'a> {
    statement: &'a Statement<PackPredicate>,
    document: &'a VerifiedDocument,
}

impl<'a> Attested<'a> {
    pub(crate) const fn statement(&self) -> &'a Statement<PackPredicate> {
        self.statement
    }

    pub(crate) const fn predicate(&self) -> &'a PackPredicate {
        &self.statement.predicate
    }

    pub(crate) const fn document(&self) -> &'a VerifiedDocument {
        self.document
    }
}

impl Received {
    /// `held`: every check of the steps envelope and evidence passed.
    pub(crate) fn attested<'a>(&'a self, document: Option<&'a VerifiedDocument>, held: bool) -> Option<Attested<'a>> {
        if !held {
            return None;
        }
        Some(Attested { statement: self.statement.as_ref()?, document: document? })
    }

    /// SHA-256 of the PAE of the pack statement.
    pub(crate) fn pae_sha256(&self) -> Option<[u8; 32]> {
        let [pack, _] = self.bundles.as_ref()?;
        Some(Sha256::digest(pack.pae()).into())
    }
}

/// Reads the file and the two statements.
pub(crate) fn read(checks: &mut Checks<'_>, receipt: &[u8]) -> Received {
    let bundles = parse_receipt(receipt).map_err(|error| Refusal::new(error.code(), error.to_string()));
    let bundles = checks.judge("receipt_format", "the receipt is two Sigstore v0.3 bundles", Some(bundles));
    let (pack, evidence) = bundles.as_ref().map(|[pack, evidence]| (pack, evidence)).unzip();

    let statement =
        pack.map(|bundle| json::read_named::<Statement<PackPredicate>>(&bundle.payload, &PACK_CODES.format));
    let statement = checks.judge("pack_statement_format", "the pack statement can be read", statement);
    check_frame(checks, statement.as_ref(), &PACK_CODES);
    let build = statement.as_ref().map(|statement| check_build(&statement.predicate));
    checks.judge("build_type", "the pack statement is of the one build type that this version knows", build);

    let evidence = evidence
        .map(|bundle| json::read_named::<Statement<EvidencePredicate>>(&bundle.payload, &EVIDENCE_CODES.format));
    let evidence = checks.judge("evidence_statement_format", "the evidence statement can be read", evidence);
    check_frame(checks, evidence.as_ref(), &EVIDENCE_CODES);
    Received { bundles, statement, evidence }
}

/// Verifies both signatures by the key that the verified document carries. Returns the key's SPKI, DER.
pub(crate) fn signatures(
    checks: &mut Checks<'_>,
    received: &Received,
    document: Option<&VerifiedDocument>,
) -> Option<Vec<u8>> {
    let spki = document.map(|document| document.public_key.as_deref().unwrap_or_default());
    let key = checks.judge("receipt_key", "the document carries a P-256 key", spki.map(parse_key));
    let spki = spki.filter(|_| key.is_some());
    let signed = received.bundles.as_ref().zip(key.as_ref());

    let hints = received.bundles.as_ref().zip(spki).map(|(bundles, spki)| check_hints(bundles, spki));
    checks.judge("key_hint", "both bundles name that key", hints);
    let pack = signed.map(|([pack, _], key)| check_signature(pack, key, "pack_signature"));
    checks.judge("pack_signature", "the pack statement is signed by that key", pack);
    let evidence = signed.map(|([_, evidence], key)| check_signature(evidence, key, "evidence_signature"));
    checks.judge("evidence_signature", "the evidence statement is signed by that key", evidence);
    spki.map(<[u8]>::to_vec)
}

/// Names and codes of one statement's checks.
struct StatementCodes {
    format: JsonCodes,
    kind: &'static str,
    predicate: &'static str,
    predicates: &'static [&'static str],
    subject: &'static str,
}

const PACK_CODES: StatementCodes = StatementCodes {
    format: JsonCodes {
        what: "pack statement",
        json: "pack_statement_json",
        repeated: "pack_statement_repeated_member",
        shape: "pack_statement_shape",
    },
    kind: "pack_statement_type",
    predicate: "pack_predicate_type",
    predicates: &[PACK_PREDICATE, SIMULATED_PREDICATE],
    subject: "pack_subject_count",
};

const EVIDENCE_CODES: StatementCodes = StatementCodes {
    format: JsonCodes {
        what: "evidence statement",
        json: "evidence_statement_json",
        repeated: "evidence_statement_repeated_member",
        shape: "evidence_statement_shape",
    },
    kind: "evidence_statement_type",
    predicate: "evidence_predicate_type",
    predicates: &[EVIDENCE_PREDICATE],
    subject: "evidence_subject_count",
};

/// Type, predicate type and the number of subjects. cosign accepts a match on any subject, so there is exactly one.
fn check_frame<P>(checks: &mut Checks<'_>, statement: Option<&Statement<P>>, codes: &StatementCodes) {
    let what = codes.format.what;
    let kind = statement.map(|statement| {
        ensure(statement.kind == STATEMENT_TYPE, codes.kind, || {
            format!("the {what} is of type {}, expected {STATEMENT_TYPE}", quote(&statement.kind))
        })
    });
    checks.judge(codes.kind, format!("the {what} is an in-toto statement v1"), kind);
    let predicate = statement.map(|statement| {
        ensure(codes.predicates.contains(&statement.predicate_type.as_str()), codes.predicate, || {
            format!("the {what} has predicate type {}", quote(&statement.predicate_type))
        })
    });
    checks.judge(codes.predicate, format!("the {what} has a known predicate type"), predicate);
    let subject = statement.map(|statement| {
        ensure(statement.subject.len() == 1, codes.subject, || {
            format!("the {what} has {} subjects, expected one", statement.subject.len())
        })
    });
    checks.judge(codes.subject, format!("the {what} has one subject"), subject);
}

fn check_build(predicate: &PackPredicate) -> Result<(), Refusal> {
    let (build, builder) = (&predicate.build_definition.build_type, &predicate.run_details.builder.id);
    ensure(build == BUILD_TYPE, "build_type", || format!("build type {} is not known", quote(build)))?;
    ensure(builder == BUILDER_ID, "builder_id", || format!("builder {} is not known", quote(builder)))
}

/// A point in the one form of a P-256 SubjectPublicKeyInfo that the enclave writes.
fn parse_key(spki: &[u8]) -> Result<ParsedPublicKey, Refusal> {
    let refused = || Refusal::new("receipt_key", "the document does not carry a P-256 key as SubjectPublicKeyInfo");
    let point = spki.strip_prefix(&P256_SPKI_PREFIX).filter(|point| point.len() == 65).ok_or_else(refused)?;
    ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).map_err(|_| refused())
}

fn check_hints(bundles: &[UnverifiedBundle; 2], spki: &[u8]) -> Result<(), Refusal> {
    let expected = BASE64_STANDARD.encode(Sha256::digest(spki));
    ensure(bundles.iter().all(|bundle| bundle.hint == expected), "key_hint", || {
        "a bundle names another key than the document carries".to_owned()
    })
}

fn check_signature(bundle: &UnverifiedBundle, key: &ParsedPublicKey, code: &'static str) -> Result<(), Refusal> {
    key.verify_sig(&bundle.pae(), &bundle.signature)
        .map_err(|_| Refusal::new(code, "the signature is not one by the key that the document carries"))
}

/// DER of a P-256 SubjectPublicKeyInfo up to the uncompressed point (RFC 5480).
const P256_SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
