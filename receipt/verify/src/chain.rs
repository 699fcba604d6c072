//! The certificate chain of a Nitro document, from the pinned root to the leaf (checks 14 to 20).
//!
//! The chain is linear and used as it comes: each certificate of `cabundle` signs the next, the last signs the leaf.
//! Nothing is searched, fetched or trusted because it came along; the root is compared byte for byte.

use aws_lc_rs::signature::{ECDSA_P384_SHA384_ASN1, UnparsedPublicKey};
use packproof_receipt::document::UnverifiedDocument;
use packproof_receipt::time::UnixMillis;
use sha2::{Digest, Sha256};

use crate::evidence::{EvidenceError, Position};
use crate::x509::{BasicConstraints, Certificate};

/// A chain that was verified for one document.
pub(crate) struct VerifiedChain<'a> {
    /// From the root to the leaf, the leaf included.
    pub(crate) certificates: Vec<Certificate<'a>>,
    /// The last certificate, whose key signs documents.
    pub(crate) leaf: Certificate<'a>,
    /// Region that all names agree on.
    pub(crate) region: &'a str,
}

/// Verifies the chain of `document` up to `root_der`, at the time the document itself states.
pub(crate) fn verify_chain<'a>(
    document: &UnverifiedDocument<'a>,
    root_der: &[u8],
) -> Result<VerifiedChain<'a>, EvidenceError> {
    let first = document.cabundle.first().copied().unwrap_or_default();
    if first != root_der {
        let (expected, found) = (Sha256::digest(root_der).into(), Sha256::digest(first).into());
        return Err(EvidenceError::ChainRootMismatch { expected, found });
    }
    let certificates = read(document)?;
    // The root is pinned, so its signature over itself would say nothing more.
    for (link, index) in certificates.windows(2).zip(1_usize..) {
        if let [parent, child] = link {
            check_link(parent, child, position(index, certificates.len()))?;
        }
    }
    let (leaf, authorities) = certificates.split_last().ok_or(EvidenceError::InstanceCommonName)?;
    for (authority, index) in authorities.iter().zip(0_usize..) {
        let below = authorities.len() - 1 - index;
        check_authority(authority, below, position(index, certificates.len()))?;
    }
    check_leaf(leaf)?;
    for (certificate, index) in certificates.iter().zip(0_usize..) {
        check_validity(certificate, document.timestamp, position(index, certificates.len()))?;
    }
    let window_secs = leaf.not_after.as_secs().saturating_sub(leaf.not_before.as_secs());
    if window_secs > MAX_LEAF_WINDOW_SECS {
        return Err(EvidenceError::LeafWindow { seconds: window_secs });
    }
    let region = check_names(document, authorities, leaf)?;
    let leaf = leaf.clone();
    Ok(VerifiedChain { certificates, leaf, region })
}

/// Reads all certificates, root first.
fn read<'a>(document: &UnverifiedDocument<'a>) -> Result<Vec<Certificate<'a>>, EvidenceError> {
    let ders = document.cabundle.iter().copied().chain([document.certificate]);
    let count = document.cabundle.len() + 1;
    ders.zip(0_usize..)
        .map(|(der, index)| {
            let position = position(index, count);
            Certificate::parse(der).map_err(|problem| EvidenceError::Certificate { position, problem })
        })
        .collect()
}

/// Checks that `parent` issued `child`: names equal byte for byte, and the signature.
fn check_link(parent: &Certificate<'_>, child: &Certificate<'_>, at: Position) -> Result<(), EvidenceError> {
    if child.issuer != parent.subject {
        return Err(EvidenceError::ChainIssuer { position: at });
    }
    UnparsedPublicKey::new(&ECDSA_P384_SHA384_ASN1, parent.point)
        .verify(child.tbs, child.signature)
        .map_err(|_| EvidenceError::ChainSignature { position: at })
}

/// Checks that a certificate may issue certificates, with `below` authorities between it and the leaf.
fn check_authority(certificate: &Certificate<'_>, below: usize, at: Position) -> Result<(), EvidenceError> {
    let Some(BasicConstraints { critical: true, ca: true, path_length }) = certificate.basic_constraints else {
        return Err(EvidenceError::BasicConstraints { position: at });
    };
    if path_length.is_some_and(|limit| below > usize::from(limit)) {
        return Err(EvidenceError::PathLength { position: at });
    }
    if !certificate.key_usage.is_some_and(|usage| usage.key_cert_sign()) {
        return Err(EvidenceError::KeyUsage { position: at });
    }
    Ok(())
}

/// Checks that the leaf may sign documents and nothing else. Its keyUsage is not critical in real certificates.
fn check_leaf(leaf: &Certificate<'_>) -> Result<(), EvidenceError> {
    let Some(BasicConstraints { critical: _, ca: false, path_length: None }) = leaf.basic_constraints else {
        return Err(EvidenceError::BasicConstraints { position: Position::Leaf });
    };
    if !leaf.key_usage.is_some_and(|usage| usage.digital_signature() && !usage.key_cert_sign()) {
        return Err(EvidenceError::KeyUsage { position: Position::Leaf });
    }
    Ok(())
}

/// Both ends belong to the validity (RFC 5280, 4.1.2.5), which has the granularity of seconds.
fn check_validity(certificate: &Certificate<'_>, at: UnixMillis, position: Position) -> Result<(), EvidenceError> {
    let (not_before, not_after) = (certificate.not_before, certificate.not_after);
    if (not_before.as_secs()..=not_after.as_secs()).contains(&at.as_secs()) {
        Ok(())
    } else {
        Err(EvidenceError::Validity { position, at, not_before, not_after })
    }
}

/// Checks that module, instance, region and partition are the same in all names; returns the region.
///
/// Names of one partition P and region R: root `P.nitro-enclaves`, between `….R.P.nitro-enclaves`, the last of
/// these `<instance id>.R.P.nitro-enclaves`, leaf `<module id>.R.P`.
fn check_names<'a>(
    document: &UnverifiedDocument<'a>,
    authorities: &[Certificate<'a>],
    leaf: &Certificate<'a>,
) -> Result<&'a str, EvidenceError> {
    let (root, between) = authorities.split_first().ok_or(EvidenceError::InstanceCommonName)?;
    let partition = root
        .common_name
        .strip_suffix(ROOT_SUFFIX)
        .filter(|partition| !partition.is_empty() && !partition.contains('.'))
        .ok_or(EvidenceError::RootCommonName)?;
    let mut last: Option<(&'a str, &'a str)> = None;
    for certificate in between {
        let (label, region) = certificate
            .common_name
            .strip_suffix(ROOT_SUFFIX)
            .and_then(|name| name.strip_suffix(partition))
            .and_then(|name| name.strip_suffix('.'))
            .and_then(|name| name.rsplit_once('.'))
            .ok_or(EvidenceError::RegionMismatch)?;
        if region.is_empty() || last.is_some_and(|(_, earlier)| earlier != region) {
            return Err(EvidenceError::RegionMismatch);
        }
        last = Some((label, region));
    }
    let (instance, region) = last.ok_or(EvidenceError::InstanceCommonName)?;
    if Some(instance) != instance_id(document.module_id) {
        return Err(EvidenceError::InstanceCommonName);
    }
    let place = leaf
        .common_name
        .strip_prefix(document.module_id)
        .and_then(|name| name.strip_prefix('.'))
        .ok_or(EvidenceError::LeafCommonName)?;
    if place.split_once('.') != Some((region, partition)) {
        return Err(EvidenceError::RegionMismatch);
    }
    Ok(region)
}

/// Instance id in the id of an enclave's module, `i-<17 hex>-enc<16 hex>`; `None` for any other module.
pub(crate) fn instance_id(module_id: &str) -> Option<&str> {
    let (instance, enclave) = module_id.split_once("-enc")?;
    let digits = instance.strip_prefix("i-")?;
    (is_hex(digits, 17) && is_hex(enclave, 16)).then_some(instance)
}

/// Lower-case hexadecimal of this length.
fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Where the certificate with this index stands among `count`.
fn position(index: usize, count: usize) -> Position {
    if index == 0 {
        Position::Root
    } else if index + 1 == count {
        Position::Leaf
    } else {
        Position::Intermediate(index)
    }
}

/// Three hours and ten minutes: real leaves live 3:00:00 (2021) or 3:00:03 (since 2022).
const MAX_LEAF_WINDOW_SECS: u64 = 3 * 3_600 + 10 * 60;
/// End of the common names of all authorities.
const ROOT_SUFFIX: &str = ".nitro-enclaves";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_instance_from_an_enclave_module_only() {
        let id = "i-0368fa67e156d6d23-enc019b8596b1a9dad6";
        assert_eq!(instance_id(id), Some("i-0368fa67e156d6d23"));
        for other in [
            "i-01cfb383223e42522-tpm0000000000000000",
            "i-0368fa67e156d6d23-enc019b8596b1a9dad",
            "i-0368fa67e156d6d23-enc019b8596b1a9dad66",
            "i-0368fa67e156d6d2-enc019b8596b1a9dad6",
            "i-0368FA67e156d6d23-enc019b8596b1a9dad6",
            "x-0368fa67e156d6d23-enc019b8596b1a9dad6",
            "i-0368fa67e156d6d23-enc019b8596b1a9dad6 ",
            "i-0368fa67e156d6d23",
            "",
        ] {
            assert_eq!(instance_id(other), None, "{other}");
        }
    }
}
