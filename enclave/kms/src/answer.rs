//! What comes back from KMS, judged.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_kms::config::interceptors::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_sdk_kms::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_kms::error::{BoxError, ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use packproof_secret::{Secret, SecretBytes};
use zeroize::Zeroize;

use crate::transport::TransportError;
use crate::{KeyArn, KmsError};

/// Checks that an opened answer is an AES-256 data key.
///
/// # Errors
/// [`KmsError::DataKeyLength`] when it does not have exactly 32 bytes.
pub fn data_key(opened: SecretBytes) -> Result<Secret<32>, KmsError> {
    Secret::copy_from(opened.expose()).ok_or(KmsError::DataKeyLength)
}

/// Accepts the attested part of an answer and returns the ciphertext for the enclave.
///
/// An empty plaintext counts as absent: KMS says "null or empty" (API reference, Decrypt, `Plaintext`).
pub(crate) fn accept(
    key: &KeyArn,
    plaintext: Option<Blob>,
    key_id: Option<String>,
    for_recipient: Option<Blob>,
) -> Result<Vec<u8>, KmsError> {
    if let Some(plaintext) = plaintext {
        let mut plaintext = plaintext.into_inner();
        let present = !plaintext.is_empty();
        plaintext.zeroize();
        if present {
            return Err(KmsError::PlaintextInAnswer);
        }
    }
    if key_id.as_deref() != Some(key.as_str()) {
        return Err(wrong_key(key, key_id));
    }
    let for_recipient = for_recipient.map(Blob::into_inner).unwrap_or_default();
    if for_recipient.is_empty() {
        return Err(KmsError::NoRecipientCiphertext);
    }
    Ok(for_recipient)
}

/// Another key answered; its name is shown only when it is one.
pub(crate) fn wrong_key(key: &KeyArn, found: Option<String>) -> KmsError {
    let found = found.filter(|id| id.len() <= MAX_SHOWN_KEY_ID_BYTES && id.bytes().all(|b| b.is_ascii_graphic()));
    KmsError::WrongKey { expected: key.as_str().to_owned(), found }
}

/// The attempts of one call, collected while the SDK makes them.
#[derive(Clone, Default)]
pub(crate) struct Attempts(Arc<Mutex<Vec<Option<String>>>>);

impl Attempts {
    /// How many attempts were begun.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.lock().len()).unwrap_or(u32::MAX)
    }

    /// The request ids of the attempts that were answered with one, in order.
    pub(crate) fn request_ids(&self) -> Vec<String> {
        self.lock().iter().flatten().cloned().collect()
    }

    /// The request id of the last attempt.
    pub(crate) fn last_request_id(&self) -> Option<String> {
        self.lock().last().cloned().flatten()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Option<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attempts")
    }
}

impl Intercept for Attempts {
    fn name(&self) -> &'static str {
        "Attempts"
    }

    fn read_before_attempt(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.lock().push(None);
        Ok(())
    }

    fn read_after_transmit(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let id = context.response().headers().get("x-amzn-requestid").filter(|id| is_request_id(id));
        if let Some(last) = self.lock().last_mut() {
            *last = id.map(str::to_owned);
        }
        Ok(())
    }
}

/// AWS's are UUIDs. They go into messages and the receipt, so nothing else than such characters.
fn is_request_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Names the cause of a failed call.
pub(crate) fn refusal<E>(error: &SdkError<E, HttpResponse>, key: &KeyArn, host: &str, attempts: &Attempts) -> KmsError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let (host, count) = (host.to_owned(), attempts.count());
    match error {
        SdkError::TimeoutError(_) => KmsError::TimedOut { host, attempts: count },
        SdkError::DispatchFailure(failure) => {
            let cause = failure.as_connector_error().and_then(|connector| find_transport_error(connector));
            match cause {
                Some(TransportError::NotHttps) => KmsError::NotHttps,
                Some(TransportError::Malformed) => KmsError::AnswerMalformed,
                Some(TransportError::Certificate(reason)) => KmsError::CertificateRefused { host, reason },
                Some(TransportError::AnswerTooLarge) => KmsError::AnswerTooLarge,
                Some(TransportError::TimedOut) => KmsError::TimedOut { host, attempts: count },
                Some(TransportError::Dial(_) | TransportError::Tls(_) | TransportError::Http(_)) | None => {
                    KmsError::Unreachable { host, attempts: count }
                }
            }
        }
        // an answer that claims success and cannot be read comes as either of the two
        SdkError::ServiceError(service) if service.raw().status().is_success() => KmsError::AnswerMalformed,
        SdkError::ServiceError(service) => {
            by_code(service.err().code().unwrap_or_default(), service.raw().status().as_u16(), key, attempts)
        }
        SdkError::ResponseError(response) => match response.raw().status().as_u16() {
            200..=299 => KmsError::AnswerMalformed,
            status => by_code("", status, key, attempts),
        },
        _ => KmsError::RequestNotBuilt,
    }
}

fn find_transport_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a TransportError> {
    std::iter::successors(Some(error), |error| (*error).source()).find_map(|error| error.downcast_ref())
}

/// Judges an AWS error code. Only names from the lists below go on; messages never do.
fn by_code(code: &str, status: u16, key: &KeyArn, attempts: &Attempts) -> KmsError {
    let request_id = attempts.last_request_id();
    let listed = |list: &[&'static str]| list.iter().copied().find(|name| *name == code);
    if listed(DENIED).is_some() {
        return KmsError::AccessDenied { key_arn: key.as_str().to_owned(), request_id };
    }
    if let Some(code) = listed(CREDENTIALS) {
        return KmsError::CredentialsRefused { code, request_id };
    }
    if let Some(code) = listed(REJECTED) {
        return KmsError::Rejected { code, request_id };
    }
    let unavailable = listed(UNAVAILABLE);
    if unavailable.is_some() || status >= 500 || status == 429 {
        return KmsError::Unavailable { code: unavailable.unwrap_or(UNLISTED), request_id, attempts: attempts.count() };
    }
    KmsError::Rejected { code: UNLISTED, request_id }
}

const UNLISTED: &str = "unlisted";
/// KMS API reference, "Common Error Types".
const DENIED: &[&str] = &["AccessDeniedException", "NotAuthorized"];
/// The same, and what SigV4 front ends are known to send.
const CREDENTIALS: &[&str] = &[
    "ExpiredTokenException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];
/// KMS API reference, Decrypt and GenerateDataKey, "Errors", and the common ones.
const REJECTED: &[&str] = &[
    "DisabledException",
    "DryRunOperationException",
    "IncorrectKeyException",
    "InvalidArnException",
    "InvalidCiphertextException",
    "InvalidGrantTokenException",
    "InvalidKeyUsageException",
    "KMSInvalidStateException",
    "NotFoundException",
    "SerializationException",
    "UnknownOperationException",
    "UnsupportedOperationException",
    "ValidationException",
];
/// The ones among them that pass by themselves.
const UNAVAILABLE: &[&str] = &[
    "DependencyTimeoutException",
    "InternalFailure",
    "KMSInternalException",
    "KeyUnavailableException",
    "LimitExceededException",
    "RequestTimeout",
    "RequestTimeoutException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "ThrottlingException",
];
/// A key id longer than this is not shown.
const MAX_SHOWN_KEY_ID_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> KeyArn {
        KeyArn::parse("arn:aws:kms:eu-west-1:111122223333:key/a").unwrap()
    }

    #[test]
    fn a_data_key_has_32_bytes() {
        for len in [0, 31, 33] {
            assert_eq!(data_key(vec![1; len].into()).err(), Some(KmsError::DataKeyLength));
        }
        assert_eq!(data_key(vec![1; 32].into()).unwrap().expose(), &[1; 32]);
    }

    #[test]
    fn a_key_id_that_no_terminal_should_see_is_not_shown() {
        for id in ["\u{1b}[31m", "", &"a".repeat(257)] {
            let error = accept(&key(), None, Some(id.to_owned()), None).unwrap_err();
            let KmsError::WrongKey { found, .. } = error else { panic!("{error}") };
            assert!(found.is_none_or(|shown| shown.is_empty()), "{id:?}");
        }
    }

    #[test]
    fn codes_fall_into_their_kinds_and_unknown_ones_are_not_repeated() {
        let attempts = Attempts::default();
        let judge = |code: &str, status| by_code(code, status, &key(), &attempts);
        for code in DENIED {
            assert_eq!(judge(code, 400).code(), "kms_access_denied");
        }
        for code in CREDENTIALS {
            assert_eq!(judge(code, 400).code(), "kms_credentials_refused");
        }
        for code in REJECTED {
            assert_eq!(judge(code, 400), KmsError::Rejected { code, request_id: None });
        }
        for code in UNAVAILABLE {
            assert_eq!(judge(code, 400), KmsError::Unavailable { code, request_id: None, attempts: 0 });
        }
        assert_eq!(judge("\u{1b}[31mEvil", 400), KmsError::Rejected { code: "unlisted", request_id: None });
        assert_eq!(judge("", 503).code(), "kms_unavailable");
        assert_eq!(judge("", 429).code(), "kms_unavailable");
    }

    #[test]
    fn request_ids_are_plain() {
        assert!(is_request_id("1b6c4a80-0000-4000-8000-000000000001"));
        for bad in ["", "a b", "a\u{7f}", "ä", &"a".repeat(65)] {
            assert!(!is_request_id(bad), "{bad:?}");
        }
    }
}
