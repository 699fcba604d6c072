//! The chain of five certificates, with the names, lifetimes and extensions of Nitro's.

use packproof_receipt::time::UnixMillis;

use crate::LocalNsmError;
use crate::certificate::{Attribute, CertificateSpec, Extension, Issuer};
use crate::identity::{Identity, PARTITION, REGION, random_bytes};
use crate::keys::{AuthorityKey, LeafKey};

/// Spec of the root, valid from shortly before `now` for thirty years and one hour.
pub(crate) fn root_spec(now: UnixMillis) -> Result<CertificateSpec, LocalNsmError> {
    let extensions = vec![
        Extension::basic_constraints(true, None),
        Extension::subject_key_id(),
        Extension::key_usage(true, AUTHORITY_USAGE),
    ];
    Ok(CertificateSpec::new(&random_bytes::<16>()?, root_name(), window(now, 30 * 365 * DAY + HOUR), extensions))
}

/// Subject of the root.
pub(crate) fn root_name() -> Vec<(Attribute, String)> {
    authority_name(&format!("{PARTITION}.nitro-enclaves"))
}

/// Specs of the regional, zonal and instance authority, top down.
pub(crate) fn authority_specs(identity: &Identity, now: UnixMillis) -> Result<[CertificateSpec; 3], LocalNsmError> {
    let regional_cn = format!("{}.{REGION}.{PARTITION}.nitro-enclaves", hex::encode(random_bytes::<8>()?));
    let regional = CertificateSpec::new(
        &random_bytes::<16>()?,
        authority_name(&regional_cn),
        window(now, 20 * DAY),
        published_authority(2)?,
    );
    let zonal_cn = format!("{}.zonal.{REGION}.{PARTITION}.nitro-enclaves", hex::encode(random_bytes::<8>()?));
    let zonal = CertificateSpec::new(
        &random_bytes::<16>()?,
        zonal_name(&zonal_cn),
        window(now, 5 * DAY + 18 * HOUR),
        published_authority(1)?,
    );
    let instance_cn = format!("{}.{REGION}.{PARTITION}.nitro-enclaves", identity.instance_id);
    let instance = CertificateSpec::new(
        &random_bytes::<20>()?.map(|byte| byte & 0x7f),
        full_name(&instance_cn),
        window(now, DAY),
        vec![
            Extension::basic_constraints(true, Some(0)),
            Extension::key_usage(true, CERT_SIGN_ONLY),
            Extension::subject_key_id(),
            Extension::authority_key_id(),
        ],
    );
    Ok([regional, zonal, instance])
}

/// Spec of a leaf issued at `now`: three hours, from three seconds before. Its serial is enclave id and time.
pub(crate) fn leaf_spec(identity: &Identity, now: UnixMillis) -> CertificateSpec {
    let issued = now.as_secs();
    let serial = [identity.enclave_id, issued.to_be_bytes()].concat();
    let start = UnixMillis(issued * 1_000).saturating_sub_millis(3_000);
    CertificateSpec::new(
        &serial,
        full_name(&format!("{}.{REGION}.{PARTITION}", identity.module_id())),
        (start, start.saturating_add_millis((3 * HOUR + 3) * 1_000)),
        vec![Extension::basic_constraints(false, None), Extension::key_usage(false, LEAF_USAGE)],
    )
}

/// Issued authorities, top down, with the keys of all.
pub(crate) struct Authorities {
    pub(crate) specs: Vec<CertificateSpec>,
    pub(crate) ders: Vec<Vec<u8>>,
    keys: Vec<AuthorityKey>,
}

impl Authorities {
    /// Issues `specs` below `root`, each with a fresh key.
    pub(crate) fn issue(root: &Issuer<'_>, specs: Vec<CertificateSpec>) -> Result<Self, LocalNsmError> {
        let mut issued = Self { specs: Vec::new(), ders: Vec::new(), keys: Vec::new() };
        for spec in specs {
            let key = AuthorityKey::generate()?;
            let der = spec.issue(&issued.last_or(root), key.point())?;
            issued.ders.push(der);
            issued.specs.push(spec);
            issued.keys.push(key);
        }
        Ok(issued)
    }

    /// Issues a leaf with a fresh key below the last authority.
    pub(crate) fn issue_leaf(
        &self,
        root: &Issuer<'_>,
        spec: &CertificateSpec,
    ) -> Result<(Vec<u8>, LeafKey), LocalNsmError> {
        let key = LeafKey::generate()?;
        let der = spec.issue(&self.last_or(root), key.point())?;
        Ok((der, key))
    }

    fn last_or<'a>(&'a self, root: &Issuer<'a>) -> Issuer<'a> {
        match (self.specs.last(), self.keys.last()) {
            (Some(spec), Some(key)) => Issuer { subject: &spec.subject, key },
            _ => Issuer { subject: root.subject, key: root.key },
        }
    }
}

/// Extensions of an authority with a revocation list.
fn published_authority(path_length: u8) -> Result<Vec<Extension>, LocalNsmError> {
    let list = hex::encode(random_bytes::<16>()?);
    Ok(vec![
        Extension::basic_constraints(true, Some(path_length)),
        Extension::authority_key_id(),
        Extension::subject_key_id(),
        Extension::key_usage(true, AUTHORITY_USAGE),
        Extension::crl_distribution_point(&format!("http://crl.{PARTITION}.invalid/crl/{list}.crl")),
    ])
}

/// From a minute ago, for `seconds`.
fn window(now: UnixMillis, seconds: u64) -> (UnixMillis, UnixMillis) {
    let start = UnixMillis(now.as_secs() * 1_000).saturating_sub_millis(60_000);
    (start, start.saturating_add_millis(seconds * 1_000))
}

fn parts(parts: &[(Attribute, &str)]) -> Vec<(Attribute, String)> {
    parts.iter().map(|(kind, value)| (*kind, (*value).to_owned())).collect()
}

/// Name of the root and the regional authority.
fn authority_name(common_name: &str) -> Vec<(Attribute, String)> {
    use Attribute::{CommonName, Country, Organization, Unit};
    parts(&[(Country, COUNTRY), (Organization, "packproof"), (Unit, "local"), (CommonName, common_name)])
}

/// Name of the zonal authority; AWS writes its parts in an order of their own.
fn zonal_name(common_name: &str) -> Vec<(Attribute, String)> {
    use Attribute::{CommonName, Country, Locality, Organization, State, Unit};
    parts(&[
        (CommonName, common_name),
        (Unit, "local"),
        (Organization, "packproof"),
        (Country, COUNTRY),
        (State, "LO"),
        (Locality, "Localhost"),
    ])
}

/// Name of the instance authority and the leaf.
fn full_name(common_name: &str) -> Vec<(Attribute, String)> {
    use Attribute::{CommonName, Country, Locality, Organization, State, Unit};
    parts(&[
        (Country, COUNTRY),
        (State, "Local"),
        (Locality, "Localhost"),
        (Organization, "packproof"),
        (Unit, "local"),
        (CommonName, common_name),
    ])
}

/// ISO 3166 leaves ZZ to its users.
const COUNTRY: &str = "ZZ";
/// digitalSignature, keyCertSign, cRLSign.
const AUTHORITY_USAGE: &[u8] = &[1, 0x86];
/// keyCertSign.
const CERT_SIGN_ONLY: &[u8] = &[2, 0x04];
/// digitalSignature, nonRepudiation.
const LEAF_USAGE: &[u8] = &[6, 0xc0];
const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;
