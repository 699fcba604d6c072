//! AWS Signature Version 4 of a request, verified.
//!
//! Only what KMS clients send: `POST /` without a query, signed in the `Authorization` header over the whole body.
//!
//! Source: IAM User Guide, "Create a signed AWS API request".

use std::sync::Arc;

use aws_lc_rs::hmac;
use http::HeaderMap;
use http::request::Parts;
use packproof_receipt::time::UnixMillis;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::error::ServiceError;
use crate::state::Principal;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SERVICE: &str = "kms";
const TERMINATOR: &str = "aws4_request";
/// How far `x-amz-date` may be from now, as in AWS.
const MAX_SKEW_MS: u64 = 5 * 60 * 1000;

/// A request whose signature is right.
pub(crate) struct Signed {
    pub(crate) principal: Arc<Principal>,
    /// The region of the credential scope: the one endpoint here stands for KMS in every region.
    pub(crate) region: String,
}

/// The `Authorization` header taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Authorization<'a> {
    access_key_id: &'a str,
    date: &'a str,
    region: &'a str,
    signed_headers: &'a str,
    signature: [u8; 32],
}

/// Verifies the signature over method, headers and body. `find` knows the principals by access key id.
pub(crate) fn verify(
    head: &Parts,
    body: &[u8],
    now: UnixMillis,
    find: impl FnOnce(&str) -> Option<Arc<Principal>>,
) -> Result<Signed, ServiceError> {
    let header = single(&head.headers, "authorization")
        .ok_or_else(|| ServiceError::new("MissingAuthenticationTokenException", "Missing Authentication Token"))?;
    let authorization = Authorization::parse(header)?;
    let date = single(&head.headers, "x-amz-date").ok_or_else(|| incomplete("x-amz-date is missing"))?;
    let time = parse_date(date).ok_or_else(|| incomplete("x-amz-date is not of the form 20260102T030405Z"))?;
    if !date.starts_with(authorization.date) {
        return Err(invalid("Credential should be scoped with the date of x-amz-date."));
    }
    if time.0.abs_diff(now.0) > MAX_SKEW_MS {
        return Err(invalid(&format!("Signature expired: {date} is more than five minutes from now ({now}).")));
    }
    let principal = find(authorization.access_key_id).ok_or_else(|| {
        ServiceError::new("UnrecognizedClientException", "The security token included in the request is invalid.")
    })?;

    let request = canonical_request(head, &authorization, body)?;
    let scope = format!("{}/{}/{SERVICE}/{TERMINATOR}", authorization.date, authorization.region);
    let to_sign = format!("{ALGORITHM}\n{date}\n{scope}\n{}", hex::encode(Sha256::digest(request)));
    let key = signing_key(principal.secret_access_key.expose(), authorization.date, authorization.region, SERVICE);
    // Constant time.
    hmac::verify(&key, to_sign.as_bytes(), &authorization.signature).map_err(|_| {
        invalid(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
             Access Key and signing method. Consult the service documentation for details.",
        )
    })?;
    Ok(Signed { principal, region: authorization.region.to_owned() })
}

impl<'a> Authorization<'a> {
    fn parse(header: &'a str) -> Result<Self, ServiceError> {
        let rest = header.strip_prefix(ALGORITHM).and_then(|rest| rest.strip_prefix(' '));
        let rest = rest.ok_or_else(|| incomplete("the algorithm must be AWS4-HMAC-SHA256"))?;
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for part in rest.split(',') {
            let slot = match part.trim().split_once('=') {
                Some(("Credential", value)) => (&mut credential, value),
                Some(("SignedHeaders", value)) => (&mut signed_headers, value),
                Some(("Signature", value)) => (&mut signature, value),
                _ => return Err(incomplete("Authorization has a part that does not belong there")),
            };
            if slot.0.replace(slot.1).is_some() {
                return Err(incomplete("Authorization has a part twice"));
            }
        }
        let (Some(credential), Some(signed_headers), Some(signature)) = (credential, signed_headers, signature) else {
            return Err(incomplete("Authorization needs Credential, SignedHeaders and Signature"));
        };
        let scope: Vec<&str> = credential.split('/').collect();
        let [access_key_id, date, region, SERVICE, TERMINATOR] = scope[..] else {
            return Err(invalid("Credential should be scoped to correct service: 'kms'."));
        };
        let region_is_plain = !region.is_empty() && region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if date.len() != 8 || !region_is_plain {
            return Err(invalid("Credential should be scoped to a valid date and region."));
        }
        let mut digest = [0; 32];
        if signature.bytes().any(|byte| byte.is_ascii_uppercase())
            || hex::decode_to_slice(signature, &mut digest).is_err()
        {
            return Err(incomplete("Signature is not 64 lower-case hex digits"));
        }
        Ok(Self { access_key_id, date, region, signed_headers, signature: digest })
    }
}

/// Method, path, query, headers, their names, and the hash of the body.
fn canonical_request(head: &Parts, authorization: &Authorization<'_>, body: &[u8]) -> Result<String, ServiceError> {
    let names: Vec<&str> = authorization.signed_headers.split(';').collect();
    if !names.is_sorted_by(|earlier, later| earlier < later) {
        return Err(incomplete("SignedHeaders is not sorted"));
    }
    // Everything that can change the meaning of a request must be under the signature.
    for name in head.headers.keys().map(http::HeaderName::as_str) {
        if (name == "host" || name.starts_with("x-amz-")) && !names.contains(&name) {
            return Err(invalid(&format!("'{name}' must be a 'SignedHeader' in the AWS Authorization.")));
        }
    }
    if !names.contains(&"host") {
        return Err(invalid("'Host' must be a 'SignedHeader' in the AWS Authorization."));
    }
    let mut headers = String::new();
    for name in names {
        let values = head.headers.get_all(name).iter().map(|value| value.to_str().map(collapse_spaces));
        let values = values.collect::<Result<Vec<_>, _>>().map_err(|_| incomplete("a signed header is not text"))?;
        if values.is_empty() {
            return Err(invalid(&format!("'{name}' is a 'SignedHeader' but is not in the request.")));
        }
        headers.push_str(&format!("{name}:{}\n", values.join(",")));
    }
    let body_hash = hex::encode(Sha256::digest(body));
    if head.headers.contains_key("x-amz-content-sha256")
        && single(&head.headers, "x-amz-content-sha256") != Some(body_hash.as_str())
    {
        return Err(invalid("The provided 'x-amz-content-sha256' header does not match what was computed."));
    }
    Ok(format!("{}\n/\n\n{headers}\n{}\n{body_hash}", head.method, authorization.signed_headers))
}

fn signing_key(secret: &str, date: &str, region: &str, service: &str) -> hmac::Key {
    let first = Zeroizing::new([b"AWS4", secret.as_bytes()].concat());
    let mut key = hmac::Key::new(hmac::HMAC_SHA256, &first);
    for text in [date, region, service, TERMINATOR] {
        key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, text.as_bytes()).as_ref());
    }
    key
}

/// The value of a header that is there exactly once, as text.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

fn collapse_spaces(value: &str) -> String {
    value.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Reads `20260102T030405Z`.
fn parse_date(text: &str) -> Option<UnixMillis> {
    let digits = |range| {
        let digits: &str = text.get(range)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then_some(digits)
    };
    if text.len() != 16 || text.get(8..9) != Some("T") || text.get(15..) != Some("Z") {
        return None;
    }
    UnixMillis::from_civil(
        digits(0..4)?.parse().ok()?,
        digits(4..6)?.parse().ok()?,
        digits(6..8)?.parse().ok()?,
        digits(9..11)?.parse().ok()?,
        digits(11..13)?.parse().ok()?,
        digits(13..15)?.parse().ok()?,
    )
}

fn incomplete(message: &str) -> ServiceError {
    ServiceError::new("IncompleteSignatureException", message)
}

fn invalid(message: &str) -> ServiceError {
    ServiceError::new("InvalidSignatureException", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "20150830T123600Z";
    const NOW: UnixMillis = UnixMillis(1_440_938_160_000);
    const BODY: &[u8] = b"{}";
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    /// Made with Python's hmac and hashlib over the canonical request of `request()`, not with the code above.
    const SIGNATURE: &str = "ff0e6a7a0f599fc178f9cec6e705b148f64dc668a0f34dc7062e600c15e37353";

    fn authorization() -> String {
        format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/eu-west-1/kms/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature={SIGNATURE}"
        )
    }

    fn request(authorization: &str) -> http::request::Builder {
        http::Request::post("/")
            .header("host", "localhost:8443")
            .header("content-type", " application/x-amz-json-1.1  ")
            .header("x-amz-date", DATE)
            .header("x-amz-target", "TrentService.Decrypt")
            .header("user-agent", "not signed")
            .header("authorization", authorization)
    }

    fn check(request: http::request::Builder, body: &[u8], now: UnixMillis) -> Result<String, &'static str> {
        let head = request.body(()).unwrap().into_parts().0;
        let find = |id: &str| {
            (id == "AKIDEXAMPLE").then(|| {
                Arc::new(Principal {
                    arn: "arn:aws:iam::111122223333:role/ci".into(),
                    access_key_id: id.into(),
                    secret_access_key: SECRET.to_owned().into(),
                })
            })
        };
        verify(&head, body, now, find).map(|signed| signed.region).map_err(|error| error.code)
    }

    #[test]
    fn derives_the_signing_key_of_the_documentation() {
        // IAM User Guide, example of deriving a signing key; its HMAC over nothing, from Python.
        let key = signing_key(SECRET, "20150830", "us-east-1", "iam");
        let tag = hmac::sign(&key, b"");
        assert_eq!(hex::encode(tag.as_ref()), "cd0837e0dd1f37527bc25773d86d7252734a8ef3894fe5aaf5ae7a9b3c4c394a");
    }

    #[test]
    fn accepts_a_right_signature_within_five_minutes() {
        assert_eq!(check(request(&authorization()), BODY, NOW), Ok("eu-west-1".to_owned()));
        let edge = NOW.saturating_add_millis(MAX_SKEW_MS);
        assert!(check(request(&authorization()), BODY, edge).is_ok());
        assert!(check(request(&authorization()), BODY, NOW.saturating_sub_millis(MAX_SKEW_MS)).is_ok());
        assert_eq!(
            check(request(&authorization()), BODY, edge.saturating_add_millis(1)),
            Err("InvalidSignatureException")
        );
    }

    #[test]
    fn refuses_each_changed_part() {
        let good = authorization();
        let head = |from: &str, to: &str| request(&good.replace(from, to));
        for (name, request, body, expected) in [
            ("body", request(&good), &b"{ }"[..], "InvalidSignatureException"),
            ("region", head("eu-west-1", "eu-west-2"), BODY, "InvalidSignatureException"),
            ("service", head("/kms/", "/iam/"), BODY, "InvalidSignatureException"),
            ("scope date", head("/20150830/", "/20150831/"), BODY, "InvalidSignatureException"),
            ("access key", head("AKIDEXAMPLE", "AKIDEXAMPLF"), BODY, "UnrecognizedClientException"),
            ("algorithm", head("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA512"), BODY, "IncompleteSignatureException"),
            (
                "upper-case signature",
                request(&good.replace(SIGNATURE, &SIGNATURE.to_uppercase())),
                BODY,
                "IncompleteSignatureException",
            ),
            (
                "short signature",
                request(&good.replace(SIGNATURE, &SIGNATURE[2..])),
                BODY,
                "IncompleteSignatureException",
            ),
            (
                "two signatures",
                request(&format!("{good}, Signature={SIGNATURE}")),
                BODY,
                "IncompleteSignatureException",
            ),
            ("unknown part", request(&format!("{good}, Extra=1")), BODY, "IncompleteSignatureException"),
            ("unsigned target", head(";x-amz-target", ""), BODY, "InvalidSignatureException"),
            ("unsigned host", head("host;", ""), BODY, "InvalidSignatureException"),
            ("unsigned token", request(&good).header("x-amz-security-token", "t"), BODY, "InvalidSignatureException"),
            ("order of headers", head("content-type;host", "host;content-type"), BODY, "IncompleteSignatureException"),
            ("absent header", head("host;", "host;x-amz-content-sha256;"), BODY, "InvalidSignatureException"),
            (
                "another target",
                request(&good).header("x-amz-target", "TrentService.Encrypt"),
                BODY,
                "InvalidSignatureException",
            ),
            ("two dates", request(&good).header("x-amz-date", DATE), BODY, "IncompleteSignatureException"),
            (
                "two authorizations",
                request(&good).header("authorization", &good),
                BODY,
                "MissingAuthenticationTokenException",
            ),
            ("method", request(&good).method("PUT"), BODY, "InvalidSignatureException"),
        ] {
            assert_eq!(check(request, body, NOW), Err(expected), "{name}");
        }
    }

    #[test]
    fn dates_have_one_form() {
        assert_eq!(parse_date(DATE), Some(NOW));
        for bad in
            ["20150830T123600", "20150830t123600Z", "20150230T123600Z", "2015083 T123600Z", "+0150830T123600Z", ""]
        {
            assert!(parse_date(bad).is_none(), "{bad}");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(1000))]
        #[test]
        fn parsing_never_panics(tail in "[ -~]{0,80}", date in "\\PC{0,20}") {
            let _ = Authorization::parse(&format!("AWS4-HMAC-SHA256 {tail}"));
            let _ = parse_date(&date);
        }
    }
}
