//! Where KMS is and who may speak for it.

use std::fmt;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki_roots::TLS_SERVER_ROOTS;

use crate::client::Clock;
use crate::{KeyArn, KmsError};

/// Where KMS is reached. Part of the measured policy: nothing at run time changes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `kms.REGION.amazonaws.com` (`.com.cn` in China), from each key's ARN, under Amazon's roots.
    Aws,
    /// `kms-fips.REGION.amazonaws.com`, from each key's ARN, under Amazon's roots.
    AwsFips,
    /// One fixed address under its own roots: tests and local mode. Whoever holds a root here reads every key.
    Simulated {
        /// DNS name or IPv4 address; the certificate must be for it.
        host: String,
        /// TCP port, not 0.
        port: u16,
        /// The only roots trusted, each an X.509 certificate in DER.
        roots_der: Vec<Vec<u8>>,
    },
}

/// One address of KMS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Target {
    /// What the SDK is told; port 443 is left out, as it is from the `Host` header.
    pub(crate) fn url(&self) -> String {
        match self.port {
            443 => format!("https://{}", self.host),
            port => format!("https://{}:{port}", self.host),
        }
    }
}

impl Endpoint {
    /// The address for calls with this key.
    ///
    /// # Errors
    /// [`KmsError::NoFipsEndpoint`] for FIPS in China.
    pub(crate) fn target(&self, key: &KeyArn) -> Result<Target, KmsError> {
        let service = match self {
            Self::Aws => "kms",
            Self::AwsFips if key.partition() == "aws-cn" => {
                return Err(KmsError::NoFipsEndpoint { region: key.region().to_owned() });
            }
            Self::AwsFips => "kms-fips",
            Self::Simulated { host, port, .. } => return Ok(Target { host: host.clone(), port: *port }),
        };
        let suffix = if key.partition() == "aws-cn" { "amazonaws.com.cn" } else { "amazonaws.com" };
        Ok(Target { host: format!("{service}.{}.{suffix}", key.region()), port: 443 })
    }

    /// The TLS side: this endpoint's roots and no others, the clock for certificate validity, HTTP/1.1. Sessions are
    /// not resumed, so that every connection's certificate is checked.
    ///
    /// # Errors
    /// [`KmsError::EndpointMalformed`], [`KmsError::EndpointRoots`].
    pub(crate) fn tls(&self, clock: &Clock) -> Result<ClientConfig, KmsError> {
        let roots = match self {
            Self::Aws | Self::AwsFips => amazon_roots(),
            Self::Simulated { host, port, roots_der } => {
                let plain = host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-');
                if *port == 0 || !plain || ServerName::try_from(host.as_str()).is_err() {
                    return Err(KmsError::EndpointMalformed);
                }
                let mut roots = RootCertStore::empty();
                for der in roots_der {
                    roots.add(CertificateDer::from(der.as_slice())).map_err(|_| KmsError::EndpointRoots)?;
                }
                if roots.is_empty() {
                    return Err(KmsError::EndpointRoots);
                }
                roots
            }
        };
        let mut tls =
            ClientConfig::builder_with_details(Arc::new(default_provider()), Arc::new(TlsClock(clock.clone())))
                .with_safe_default_protocol_versions()
                .map_err(|_| KmsError::RequestNotBuilt)?
                .with_root_certificates(roots)
                .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        tls.resumption = Resumption::disabled();
        Ok(tls)
    }
}

/// Amazon's own roots out of Mozilla's, by their whole subject.
fn amazon_roots() -> RootCertStore {
    RootCertStore {
        roots: TLS_SERVER_ROOTS
            .iter()
            .filter(|anchor| AMAZON_SUBJECTS.contains(&anchor.subject.as_ref()))
            .cloned()
            .collect(),
    }
}

/// Certificate validity by the enclave's clock.
struct TlsClock(Clock);

impl fmt::Debug for TlsClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsClock")
    }
}

impl TimeProvider for TlsClock {
    fn current_time(&self) -> Option<UnixTime> {
        (self.0)().duration_since(UNIX_EPOCH).ok().map(UnixTime::since_unix_epoch)
    }
}

/// The contents of the subject names of the roots that Amazon Trust Services operates (its repository page lists
/// them). `Starfield Services Root … - G2` is Amazon's; `Starfield Root … - G2` is not.
const AMAZON_SUBJECTS: [&[u8]; 5] = [
    b"1\x0b0\t\x06\x03U\x04\x06\x13\x02US1\x0f0\r\x06\x03U\x04\n\x13\x06Amazon1\x190\x17\x06\x03U\x04\x03\x13\x10Amazon Root CA 1",
    b"1\x0b0\t\x06\x03U\x04\x06\x13\x02US1\x0f0\r\x06\x03U\x04\n\x13\x06Amazon1\x190\x17\x06\x03U\x04\x03\x13\x10Amazon Root CA 2",
    b"1\x0b0\t\x06\x03U\x04\x06\x13\x02US1\x0f0\r\x06\x03U\x04\n\x13\x06Amazon1\x190\x17\x06\x03U\x04\x03\x13\x10Amazon Root CA 3",
    b"1\x0b0\t\x06\x03U\x04\x06\x13\x02US1\x0f0\r\x06\x03U\x04\n\x13\x06Amazon1\x190\x17\x06\x03U\x04\x03\x13\x10Amazon Root CA 4",
    b"1\x0b0\t\x06\x03U\x04\x06\x13\x02US1\x100\x0e\x06\x03U\x04\x08\x13\x07Arizona1\x130\x11\x06\x03U\x04\x07\x13\nScottsdale1%0#\x06\x03U\x04\n\x13\x1cStarfield Technologies, Inc.1;09\x06\x03U\x04\x03\x132Starfield Services Root Certificate Authority - G2",
];

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    fn host(endpoint: &Endpoint, partition: &str, region: &str) -> String {
        let key = KeyArn::parse(&format!("arn:{partition}:kms:{region}:111122223333:key/a")).unwrap();
        endpoint.target(&key).unwrap().url()
    }

    #[test]
    fn host_names_come_from_the_arn() {
        assert_eq!(host(&Endpoint::Aws, "aws", "eu-west-1"), "https://kms.eu-west-1.amazonaws.com");
        assert_eq!(host(&Endpoint::Aws, "aws-cn", "cn-north-1"), "https://kms.cn-north-1.amazonaws.com.cn");
        assert_eq!(host(&Endpoint::AwsFips, "aws", "us-east-2"), "https://kms-fips.us-east-2.amazonaws.com");
        assert_eq!(
            host(&Endpoint::AwsFips, "aws-us-gov", "us-gov-west-1"),
            "https://kms-fips.us-gov-west-1.amazonaws.com"
        );
        let simulated = Endpoint::Simulated { host: "localhost".into(), port: 8443, roots_der: vec![] };
        assert_eq!(host(&simulated, "aws", "eu-west-1"), "https://localhost:8443");
    }

    #[test]
    fn refuses_fips_where_there_is_none() {
        let key = KeyArn::parse("arn:aws-cn:kms:cn-north-1:111122223333:key/a").unwrap();
        let expected = KmsError::NoFipsEndpoint { region: "cn-north-1".into() };
        assert_eq!(Endpoint::AwsFips.target(&key), Err(expected));
    }

    /// The SHA-256 of each SubjectPublicKeyInfo, as Amazon Trust Services publishes it.
    #[test]
    fn the_roots_are_the_five_of_amazon() {
        let mut found: Vec<String> = amazon_roots()
            .roots
            .iter()
            .map(|anchor| {
                // the anchor holds the contents without the SEQUENCE around them
                let contents = anchor.subject_public_key_info.as_ref();
                let len = u16::try_from(contents.len()).unwrap().to_be_bytes();
                let head: &[u8] = match contents.len() {
                    0..=0x7f => &[0x30, len[1]],
                    0x80..=0xff => &[0x30, 0x81, len[1]],
                    _ => &[0x30, 0x82, len[0], len[1]],
                };
                hex::encode(Sha256::digest([head, contents].concat()))
            })
            .collect();
        found.sort();
        assert_eq!(
            found,
            [
                "2b071c59a0a0ae76b0eadb2bad23bad4580b69c3601b630c2eaf0613afa83f92",
                "36abc32656acfc645c61b71613c4bf21c787f5cabbee48348d58597803d7abc9",
                "7f4296fc5b6a4e3b35d3c369623e364ab1af381d8fa7121533c9d6c633ea2461",
                "f7ecded5c66047d28ed6466b543c40e0743abe81d109254dcf845d4c2c7853c5",
                "fbe3018031f9586bcbf41727e417b7d1c45c2f47f93be372a17b96b50757d5a2",
            ]
        );
    }

    #[test]
    fn refuses_unusable_simulated_endpoints() {
        let clock: Clock = Arc::new(|| UNIX_EPOCH);
        let tls = |host: &str, port, roots_der: Vec<Vec<u8>>| {
            Endpoint::Simulated { host: host.into(), port, roots_der }.tls(&clock).map(|_| ()).unwrap_err()
        };
        let root = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap().cert.der().to_vec();
        for host in ["", "[::1]", "a b", "user@host", "host/path", "-x-", "host:1"] {
            assert_eq!(tls(host, 8443, vec![root.clone()]), KmsError::EndpointMalformed, "{host}");
        }
        assert_eq!(tls("localhost", 0, vec![root.clone()]), KmsError::EndpointMalformed);
        assert_eq!(tls("localhost", 8443, vec![]), KmsError::EndpointRoots);
        assert_eq!(tls("localhost", 8443, vec![root, b"no certificate".to_vec()]), KmsError::EndpointRoots);
    }
}
