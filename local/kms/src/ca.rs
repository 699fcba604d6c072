//! The certificate authority of one state directory, and the server certificate it issues.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use packproof_receipt::time::UnixMillis;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, SanType, date_time_ymd,
};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::files;

const CERTIFICATE_FILE: &str = "ca.pem";
const KEY_FILE: &str = "ca-key.pem";
const COMMON_NAME: &str = "packproof local KMS";
/// The one host name the certificate is for, beside 127.0.0.1.
const HOST: &str = "localhost";
/// Far above the two files' real size, about 1 KiB.
const MAX_PEM_BYTES: u64 = 64 * 1024;
/// Days before now from which a server certificate is valid (clocks differ), and days after.
const SERVER_DAYS: (u64, u64) = (2, 397);
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// A P-256 certificate authority for `localhost` and 127.0.0.1 only: its name constraints forbid anything else, so
/// whoever trusts it too widely by mistake risks nothing.
pub(crate) struct Ca {
    pem: String,
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    /// Loads `ca.pem` and `ca-key.pem`, or makes them when both are missing.
    pub(crate) fn load_or_create(dir: &Path) -> Result<Self, Error> {
        let certificate = files::read(&dir.join(CERTIFICATE_FILE), MAX_PEM_BYTES)?;
        let key = files::read(&dir.join(KEY_FILE), MAX_PEM_BYTES)?;
        match (certificate, key) {
            (Some(certificate), Some(key)) => Self::load(&certificate, &key),
            (None, None) => Self::create(dir),
            (None, Some(_)) => Err(damaged("ca.pem is missing")),
            (Some(_), None) => Err(damaged("ca-key.pem is missing")),
        }
    }

    /// The certificate, PEM.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// A TLS configuration with a certificate issued now for a key made now.
    pub(crate) fn server_config(&self, now: UnixMillis) -> Result<ServerConfig, Error> {
        let key = KeyPair::generate().map_err(tls)?;
        let mut params = CertificateParams::default();
        let (year, month, day) = date(now.saturating_sub_millis(SERVER_DAYS.0 * DAY_MS));
        params.not_before = date_time_ymd(year, month, day);
        let (year, month, day) = date(now.saturating_add_millis(SERVER_DAYS.1 * DAY_MS));
        params.not_after = date_time_ymd(year, month, day);
        params.distinguished_name = name(HOST);
        params.subject_alt_names =
            vec![SanType::DnsName(HOST.try_into().map_err(tls)?), SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST))];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer).map_err(tls)?;

        let chain = vec![certificate.der().clone(), self.der.clone()];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(tls)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(tls)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    fn create(dir: &Path) -> Result<Self, Error> {
        let key = KeyPair::generate().map_err(tls)?;
        let params = ca_params();
        let certificate = params.self_signed(&key).map_err(tls)?;
        let key_pem = Zeroizing::new(key.serialize_pem());
        files::replace(dir, KEY_FILE, key_pem.as_bytes())?;
        files::replace(dir, CERTIFICATE_FILE, certificate.pem().as_bytes())?;
        Ok(Self { pem: certificate.pem(), der: certificate.der().clone(), issuer: Issuer::new(params, key) })
    }

    fn load(certificate: &[u8], key: &[u8]) -> Result<Self, Error> {
        let pem = std::str::from_utf8(certificate).map_err(|_| damaged("ca.pem is not PEM"))?;
        let der = CertificateDer::from_pem_slice(certificate).map_err(|_| damaged("ca.pem is not PEM"))?;
        let key = std::str::from_utf8(key).ok().and_then(|pem| KeyPair::from_pem(pem).ok());
        let key = key.ok_or_else(|| damaged("ca-key.pem is not a private key"))?;
        // The public point stands in the certificate as it is; a foreign key would issue certificates nobody accepts.
        let point = key.public_key_raw();
        if !der.windows(point.len()).any(|window| window == point) {
            return Err(damaged("ca.pem and ca-key.pem do not belong together"));
        }
        Ok(Self { pem: pem.to_owned(), der, issuer: Issuer::new(ca_params(), key) })
    }
}

/// What is in the certificate besides the key: constants, so that it need not be read back to issue under it.
fn ca_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(2025, 1, 1);
    params.not_after = date_time_ymd(2099, 12, 31);
    params.distinguished_name = name(COMMON_NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![
            GeneralSubtree::DnsName(HOST.to_owned()),
            GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix(Ipv4Addr::LOCALHOST.octets(), 32)),
        ],
        excluded_subtrees: Vec::new(),
    });
    params
}

fn name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

/// Year, month and day. A clock past the year 9999 gets the last year that X.509 can write.
fn date(time: UnixMillis) -> (i32, u8, u8) {
    let civil = time.to_civil();
    (i32::try_from(civil.year).unwrap_or(9999).min(9999), civil.month, civil.day)
}

fn tls(error: impl std::fmt::Display) -> Error {
    Error::Tls { reason: error.to_string() }
}

fn damaged(reason: &str) -> Error {
    Error::Ca { reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_same_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let first = Ca::load_or_create(dir.path()).unwrap();
        let second = Ca::load_or_create(dir.path()).unwrap();
        assert_eq!(first.pem(), second.pem());
        assert!(second.server_config(UnixMillis(1_800_000_000_000)).is_ok());
    }

    #[test]
    fn refuses_parts_that_do_not_belong_together() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        Ca::load_or_create(one.path()).unwrap();
        Ca::load_or_create(two.path()).unwrap();
        std::fs::copy(two.path().join(KEY_FILE), one.path().join(KEY_FILE)).unwrap();
        assert!(matches!(Ca::load_or_create(one.path()), Err(Error::Ca { .. })));
        std::fs::remove_file(two.path().join(KEY_FILE)).unwrap();
        assert!(matches!(Ca::load_or_create(two.path()), Err(Error::Ca { .. })));
    }
}
