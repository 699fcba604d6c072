//! The instance metadata service, version 2 only: a token by PUT, the role's name, the role's credentials.
//!
//! Version 1 is not used even where it is on: it answers whoever can make the host send a GET.
//!
//! Source: EC2 User Guide, "Use the Instance Metadata Service" and "Retrieve security credentials from instance
//! metadata".

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use packproof_receipt::time::UnixMillis;
use packproof_secret::{SecretBytes, SecretString};
use packproof_wire::Credentials;
use serde::Deserialize;
use tokio::time::sleep;

use super::{
    CredentialsError,
    http::{self, Answer},
};

/// The service's address on every EC2 instance.
pub const ENDPOINT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80);
/// The role's path. `identity-credentials/ec2` beside it belongs to EC2 itself and calls nothing.
const ROLE_PATH: &str = "/latest/meta-data/iam/security-credentials/";
/// A token serves one fetch of three requests.
const TOKEN_TTL_SECONDS: &str = "60";
const TOKEN_HEADER: &str = "X-aws-ec2-metadata-token";
/// Real tokens have 56 bytes.
const MAX_TOKEN_BYTES: usize = 1024;
/// IAM's limit for role names.
const MAX_ROLE_NAME_BYTES: usize = 64;
/// The limits by which the enclave judges credentials.
const MAX_ACCESS_KEY_ID_BYTES: usize = 128;
const MAX_SECRET_ACCESS_KEY_BYTES: usize = 256;
const MAX_SESSION_TOKEN_BYTES: usize = 8192;
/// Requests that break off or meet a busy service are tried again.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(100);

/// A role's credentials.
pub(super) struct Fetched {
    pub(super) credentials: Credentials,
    pub(super) expires: UnixMillis,
}

/// Fetches the credentials of the instance's role, with a token of its own.
pub(super) async fn fetch(endpoint: SocketAddr) -> Result<Fetched, CredentialsError> {
    let header = ["X-aws-ec2-metadata-token-ttl-seconds", TOKEN_TTL_SECONDS];
    let token = match ask(endpoint, "PUT", "/latest/api/token", header).await {
        // The answer to this one request has a hop limit of 1 unless the instance says otherwise.
        Err(CredentialsError::Timeout) => return Err(CredentialsError::TokenTimeout),
        answer => token(expect_ok(answer?, "a token")?)?,
    };
    let header = [TOKEN_HEADER, token.expose()];
    let role = match ask(endpoint, "GET", ROLE_PATH, header).await? {
        Answer { status: 404, .. } => return Err(CredentialsError::NoRole),
        answer => role_name(expect_ok(answer, "the role's name")?.expose())?.to_owned(),
    };
    let answer = ask(endpoint, "GET", &format!("{ROLE_PATH}{role}"), header).await?;
    credentials(expect_ok(answer, "the role's credentials")?.expose())
}

/// `http://ADDRESS[:PORT]`, a `/` at the end or not. A name would be DNS's to point elsewhere.
pub(super) fn endpoint(url: &str) -> Option<SocketAddr> {
    let rest = url.strip_prefix("http://")?;
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    match authority.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(ip) => ip.parse().ok().map(|ip: Ipv6Addr| SocketAddr::from((ip, ENDPOINT.port()))),
        None => authority
            .parse()
            .ok()
            .or_else(|| authority.parse().ok().map(|ip: Ipv4Addr| SocketAddr::from((ip, ENDPOINT.port())))),
    }
}

async fn ask(endpoint: SocketAddr, method: &str, path: &str, header: [&str; 2]) -> Result<Answer, CredentialsError> {
    let mut attempt = 1;
    loop {
        let answer = http::request(endpoint, method, path, header).await;
        let again = match &answer {
            Ok(answer) => answer.status == 429 || answer.status >= 500,
            Err(error) => matches!(error, CredentialsError::Io(_)),
        };
        if !again || attempt >= ATTEMPTS {
            return answer;
        }
        sleep(PAUSE.saturating_mul(attempt)).await;
        attempt = attempt.saturating_add(1);
    }
}

fn expect_ok(answer: Answer, what: &'static str) -> Result<SecretBytes, CredentialsError> {
    match answer.status {
        200 => Ok(answer.body),
        status => Err(CredentialsError::Status { what, status }),
    }
}

/// It goes into a header: no line break, no space.
fn token(body: SecretBytes) -> Result<SecretString, CredentialsError> {
    if !graphic(body.expose(), MAX_TOKEN_BYTES) {
        return Err(CredentialsError::Token);
    }
    SecretString::from_utf8(body).ok_or(CredentialsError::Token)
}

/// It goes into a path: IAM's characters only, none of which ends or climbs a path segment.
fn role_name(body: &[u8]) -> Result<&str, CredentialsError> {
    let text = std::str::from_utf8(body).map_err(|_| CredentialsError::RoleName)?;
    // One line a role, and an instance has one.
    let name = text.strip_suffix('\n').unwrap_or(text);
    if name.is_empty() {
        return Err(CredentialsError::NoRole);
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte);
    let dots = name.bytes().all(|byte| byte == b'.');
    if name.len() > MAX_ROLE_NAME_BYTES || dots || !name.bytes().all(allowed) {
        return Err(CredentialsError::RoleName);
    }
    Ok(name)
}

/// What the service says about a role. It says more, and may say still more one day.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RoleCredentials {
    code: String,
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
    token: Option<String>,
    expiration: Option<String>,
}

fn credentials(body: &[u8]) -> Result<Fetched, CredentialsError> {
    let no = |reason| CredentialsError::Content(reason);
    // serde would take an array for an object too
    let object = Some(body).filter(|body| body.first() == Some(&b'{'));
    let answer: Option<RoleCredentials> = object.and_then(|body| serde_json::from_slice(body).ok());
    let answer = answer.ok_or(no("not the JSON object it should be"))?;
    if answer.code != "Success" {
        let word = (1..=64).contains(&answer.code.len()) && answer.code.bytes().all(|b| b.is_ascii_alphanumeric());
        return Err(CredentialsError::RoleFailed { code: if word { answer.code } else { "no reason".to_owned() } });
    }
    let field = |value: Option<String>, maximum: usize, reason: &'static str| {
        value.filter(|value| graphic(value.as_bytes(), maximum)).ok_or(no(reason))
    };
    let credentials = Credentials {
        access_key_id: field(answer.access_key_id, MAX_ACCESS_KEY_ID_BYTES, "the access key id")?,
        secret_access_key: field(answer.secret_access_key, MAX_SECRET_ACCESS_KEY_BYTES, "the secret access key")?,
        // A role's credentials are worth nothing without it.
        session_token: Some(field(answer.token, MAX_SESSION_TOKEN_BYTES, "the session token")?),
    };
    let expires = answer.expiration.as_deref().and_then(expiration).ok_or(no("the expiration"))?;
    Ok(Fetched { credentials, expires })
}

/// `2026-11-24T06:45:35Z`, with or without milliseconds.
fn expiration(text: &str) -> Option<UnixMillis> {
    match text.strip_suffix('Z') {
        Some(seconds) if text.len() == 20 => UnixMillis::parse_rfc3339_ms(&format!("{seconds}.000Z")),
        _ => UnixMillis::parse_rfc3339_ms(text),
    }
}

fn graphic(bytes: &[u8], maximum: usize) -> bool {
    (1..=maximum).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_an_address() {
        let text = |url: &str| endpoint(url).map(|endpoint| endpoint.to_string());
        for (url, address) in [
            ("http://169.254.169.254", "169.254.169.254:80"),
            ("http://169.254.169.254/", "169.254.169.254:80"),
            ("http://127.0.0.1:1338", "127.0.0.1:1338"),
            ("http://[fd00:ec2::254]", "[fd00:ec2::254]:80"),
            ("http://[::1]:8080/", "[::1]:8080"),
        ] {
            assert_eq!(text(url).as_deref(), Some(address), "{url}");
        }
        for no in [
            "",
            "127.0.0.1",
            "https://127.0.0.1",
            "http://localhost",
            "http://127.0.0.1/latest",
            "http://[127.0.0.1]",
            "http://::1",
            "http://127.0.0.1:",
            "http://u@127.0.0.1",
            "http://127.1",
            "http://127.0.0.1//",
        ] {
            assert_eq!(text(no), None, "{no}");
        }
    }

    #[test]
    fn an_expiration_has_one_meaning() {
        let at = UnixMillis::from_civil(2026, 11, 24, 6, 45, 35);
        assert_eq!(expiration("2026-11-24T06:45:35Z"), at);
        assert_eq!(expiration("2026-11-24T06:45:35.000Z"), at);
        for no in [
            "",
            "2026-11-24T06:45:35",
            "2026-11-24 06:45:35Z",
            "2026-11-24T06:45:35+00:00",
            "2026-02-30T06:45:35Z",
            "é",
        ] {
            assert_eq!(expiration(no), None, "{no}");
        }
    }

    #[test]
    fn a_role_name_climbs_no_path() {
        fn code(name: &str) -> Result<&str, &'static str> {
            role_name(name.as_bytes()).map_err(|error| error.code())
        }
        assert_eq!(code("packproof-host"), Ok("packproof-host"));
        assert_eq!(code("a+=,.@_-9\n"), Ok("a+=,.@_-9"));
        assert_eq!(code(&"a".repeat(64)).map(str::len), Ok(64));
        assert_eq!([code(""), code("\n")], [Err("imds_no_role"); 2]);
        let long = "a".repeat(65);
        for no in ["..", ".", "a/b", "a b", "a\nb", "a\r\nX: y", "a?b", "a#b", "%2e", "ä", "a\n\n", &long] {
            assert_eq!(code(no), Err("imds_role_name"), "{no:?}");
        }
        assert_eq!(role_name(b"\xff").map_err(|error| error.code()), Err("imds_role_name"));
    }

    proptest::proptest! {
        #[test]
        fn no_answer_panics(text in "\\PC{0,40}", fields in "(\"(Code|Token|Expiration)\":(\"Success\"|1|null),?){0,3}") {
            let _ = (endpoint(&text), expiration(&text), credentials(text.as_bytes()), role_name(text.as_bytes()));
            assert!(credentials(format!("{{{fields}}}").as_bytes()).is_err());
        }
    }
}
