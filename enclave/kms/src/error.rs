//! What can go wrong, one variant per cause a reader acts on differently.

use std::fmt;

/// What kind of outcome an error is: it decides the exit code (1 or 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The answer is no; trying again gives the same.
    Refused,
    /// Network, load or stale credentials; trying again may help.
    Environment,
}

/// Why a key, a configuration, a call or an answer was not accepted.
///
/// Holds ids, lengths and host names only: no message written by a peer, no key, no plaintext.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KmsError {
    /// The RSA key could not be made.
    KeyGeneration,
    /// Not `arn:partition:kms:region:account:key/id`.
    ArnMalformed,
    /// An ARN of a service other than KMS.
    ArnOtherService,
    /// An alias; it can be pointed at another key at any time.
    ArnAlias,
    /// A multi-Region key (`mrk-`); it can be replicated under other key policies.
    ArnMultiRegion,
    /// A partition other than `aws`, `aws-cn` and `aws-us-gov`, or one that the Region does not belong to.
    ArnPartition,
    /// AWS has no FIPS endpoint for this Region's partition.
    NoFipsEndpoint {
        /// The Region.
        region: String,
    },
    /// The simulated endpoint's host is neither a DNS name nor an IPv4 address, or its port is 0.
    EndpointMalformed,
    /// The simulated endpoint has no root certificate, or one is not an X.509 certificate in DER.
    EndpointRoots,
    /// The credentials have a length or a character that AWS never issues.
    CredentialsMalformed,
    /// The ciphertext blob is empty or longer than KMS accepts.
    BlobLength {
        /// Bytes.
        len: usize,
    },
    /// The attestation document is empty or longer than KMS accepts.
    DocumentLength {
        /// Bytes.
        len: usize,
    },
    /// The SDK could not build the request.
    RequestNotBuilt,
    /// The request was not for an `https` address.
    NotHttps,
    /// The host's egress gave no working connection.
    Unreachable {
        /// The host asked for.
        host: String,
        /// How many times it was tried.
        attempts: u32,
    },
    /// The peer's certificate is not trusted for this host at the enclave's time.
    CertificateRefused {
        /// The host asked for.
        host: String,
        /// `expired`, `not valid yet`, `unknown issuer`, `bad signature`, `another name` or `malformed or revoked`.
        reason: &'static str,
    },
    /// No answer in time.
    TimedOut {
        /// The host asked for.
        host: String,
        /// How many times it was tried.
        attempts: u32,
    },
    /// KMS is throttling or failing, after all attempts.
    Unavailable {
        /// The AWS error code, or `unlisted`.
        code: &'static str,
        /// Of the last attempt.
        request_id: Option<String>,
        /// How many times it was tried.
        attempts: u32,
    },
    /// The credentials the host sent are expired or not known.
    CredentialsRefused {
        /// The AWS error code.
        code: &'static str,
        /// Of the last attempt.
        request_id: Option<String>,
    },
    /// KMS refused the call: measurements, encryption context or role are not what the key policy demands.
    AccessDenied {
        /// The key asked for.
        key_arn: String,
        /// Of the last attempt.
        request_id: Option<String>,
    },
    /// KMS refused the call for another reason.
    Rejected {
        /// The AWS error code, or `unlisted`.
        code: &'static str,
        /// Of the last attempt.
        request_id: Option<String>,
    },
    /// The answer is larger than [`crate::MAX_ANSWER_BYTES`].
    AnswerTooLarge,
    /// The answer is not what the AWS JSON protocol says.
    AnswerMalformed,
    /// The answer has no request id, so the receipt could not point at the call.
    NoRequestId,
    /// The answer holds the plaintext: KMS did not honour the attestation document.
    PlaintextInAnswer,
    /// The answer holds no ciphertext for the enclave.
    NoRecipientCiphertext,
    /// Another key answered than the one asked for.
    WrongKey {
        /// The key asked for.
        expected: String,
        /// The key named in the answer, when it is printable and of sane length.
        found: Option<String>,
    },
    /// `GenerateDataKey` answered without a ciphertext blob, or with one longer than KMS accepts back.
    NoCiphertextBlob,
    /// The ciphertext for the enclave is not of the profile, is for another key or does not open. One error for all.
    RecipientCiphertextRefused,
    /// The data key does not have 32 bytes.
    DataKeyLength,
    /// KMS lets the credentials not ask about the key.
    KeyPolicyDenied {
        /// `GetKeyPolicy` or `DescribeKey`.
        operation: &'static str,
        /// The key asked about.
        key_arn: String,
        /// Of the last attempt.
        request_id: Option<String>,
    },
    /// The answer to `GetKeyPolicy` holds no usable key policy.
    KeyPolicyUnreadable {
        /// The key asked about.
        key_arn: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The answer to `DescribeKey` lacks a fact, or has it in no form that AWS writes.
    KeyDescriptionUnreadable {
        /// The key asked about.
        key_arn: String,
        /// The member's name.
        missing: &'static str,
    },
}

impl KmsError {
    /// The stable name of this cause.
    pub fn code(&self) -> &'static str {
        match self {
            Self::KeyGeneration => "key_generation",
            Self::ArnMalformed => "arn_malformed",
            Self::ArnOtherService => "arn_other_service",
            Self::ArnAlias => "arn_alias",
            Self::ArnMultiRegion => "arn_multi_region",
            Self::ArnPartition => "arn_partition",
            Self::NoFipsEndpoint { .. } => "no_fips_endpoint",
            Self::EndpointMalformed => "endpoint_malformed",
            Self::EndpointRoots => "endpoint_roots",
            Self::CredentialsMalformed => "credentials_malformed",
            Self::BlobLength { .. } => "blob_length",
            Self::DocumentLength { .. } => "document_length",
            Self::RequestNotBuilt => "request_not_built",
            Self::NotHttps => "not_https",
            Self::Unreachable { .. } => "kms_unreachable",
            Self::CertificateRefused { .. } => "kms_certificate_refused",
            Self::TimedOut { .. } => "kms_timed_out",
            Self::Unavailable { .. } => "kms_unavailable",
            Self::CredentialsRefused { .. } => "kms_credentials_refused",
            Self::AccessDenied { .. } => "kms_access_denied",
            Self::Rejected { .. } => "kms_rejected",
            Self::AnswerTooLarge => "answer_too_large",
            Self::AnswerMalformed => "answer_malformed",
            Self::NoRequestId => "no_request_id",
            Self::PlaintextInAnswer => "plaintext_in_answer",
            Self::NoRecipientCiphertext => "no_recipient_ciphertext",
            Self::WrongKey { .. } => "wrong_key",
            Self::NoCiphertextBlob => "no_ciphertext_blob",
            Self::RecipientCiphertextRefused => "recipient_ciphertext_refused",
            Self::DataKeyLength => "data_key_length",
            Self::KeyPolicyDenied { .. } => "key_policy_denied",
            Self::KeyPolicyUnreadable { .. } => "key_policy_unreadable",
            Self::KeyDescriptionUnreadable { .. } => "key_description_unreadable",
        }
    }

    /// Whether trying again may help.
    pub fn class(&self) -> Class {
        match self {
            Self::KeyGeneration
            | Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Unavailable { .. }
            | Self::CredentialsRefused { .. } => Class::Environment,
            _ => Class::Refused,
        }
    }
}

/// ` (request id …)`, or nothing.
struct Request<'a>(&'a Option<String>);

impl fmt::Display for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(id) => write!(f, " (request id {id})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for KmsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyGeneration => f.write_str("the RSA key could not be made; check the random number source"),
            Self::ArnMalformed => {
                f.write_str("not a full key ARN; write arn:aws:kms:REGION:ACCOUNT:key/ID as `aws kms describe-key` shows it")
            }
            Self::ArnOtherService => f.write_str("the ARN is not one of KMS; write arn:aws:kms:REGION:ACCOUNT:key/ID"),
            Self::ArnAlias => {
                f.write_str("an alias can be pointed at another key; write the ARN of the key that it stands for")
            }
            Self::ArnMultiRegion => {
                f.write_str("a multi-Region key can be replicated under other policies; use a single-Region key")
            }
            Self::ArnPartition => f.write_str(
                "the ARN's partition is not supported or does not belong to its Region; use aws, aws-cn or aws-us-gov",
            ),
            Self::NoFipsEndpoint { region } => {
                write!(f, "AWS has no FIPS endpoint of KMS in {region}; use the endpoint \"aws\" or another Region")
            }
            Self::EndpointMalformed => {
                f.write_str("the simulated endpoint's host or port is not usable; give a DNS name or IPv4 address and a port")
            }
            Self::EndpointRoots => {
                f.write_str("the simulated endpoint needs at least one root, each an X.509 certificate in DER")
            }
            Self::CredentialsMalformed => {
                f.write_str("the AWS credentials have an impossible length or character; check what the host sends")
            }
            Self::BlobLength { len } => {
                write!(f, "the ciphertext blob has {len} bytes, not 1 to {}; check the wrapped key", crate::MAX_BLOB_BYTES)
            }
            Self::DocumentLength { len } => {
                write!(f, "the attestation document has {len} bytes, not 1 to {}", crate::MAX_DOCUMENT_BYTES)
            }
            Self::RequestNotBuilt => f.write_str("the SDK could not build the request; report this with the policy in use"),
            Self::NotHttps => f.write_str("the request is not for an https address; only https leaves the enclave"),
            Self::Unreachable { host, attempts } => write!(
                f,
                "no working connection to {host} after {attempts} attempts; check the host's egress and its allowlist"
            ),
            Self::CertificateRefused { host, reason } => write!(
                f,
                "the certificate shown for {host} is not trusted: {reason}; the egress must reach KMS itself, nothing may end TLS on the way"
            ),
            Self::TimedOut { host, attempts } => {
                write!(f, "no answer from {host} in time after {attempts} attempts; check the host's egress, then retry")
            }
            Self::Unavailable { code, request_id, attempts } => {
                write!(f, "KMS is not available: {code} after {attempts} attempts{}; retry later", Request(request_id))
            }
            Self::CredentialsRefused { code, request_id } => {
                write!(f, "KMS did not accept the AWS credentials: {code}{}; refresh them", Request(request_id))
            }
            Self::AccessDenied { key_arn, request_id } => write!(
                f,
                "KMS denied the call for {key_arn}{}; compare the key policy's measurements and context with this image and policy",
                Request(request_id)
            ),
            Self::Rejected { code, request_id } => {
                write!(f, "KMS rejected the call: {code}{}; check key, blob and encryption context", Request(request_id))
            }
            Self::AnswerTooLarge => {
                write!(f, "the answer has more than {} bytes; KMS never sends that much", crate::MAX_ANSWER_BYTES)
            }
            Self::AnswerMalformed => f.write_str("the answer is not AWS JSON; check what the endpoint is"),
            Self::NoRequestId => f.write_str("the answer has no request id; check what the endpoint is"),
            Self::PlaintextInAnswer => f.write_str(
                "the answer holds the plaintext: the endpoint does not honour attestation; take this key out of use and check the endpoint",
            ),
            Self::NoRecipientCiphertext => {
                f.write_str("the answer holds nothing for the enclave: the endpoint does not honour attestation")
            }
            Self::WrongKey { expected, found } => write!(
                f,
                "{} answered instead of {expected}; check the key ARN in the policy",
                found.as_deref().unwrap_or("an unnamed key")
            ),
            Self::NoCiphertextBlob => f.write_str("the answer holds no usable ciphertext blob; check what the endpoint is"),
            Self::RecipientCiphertextRefused => f.write_str("the ciphertext for the enclave was refused"),
            Self::DataKeyLength => f.write_str("the data key does not have 32 bytes; it must be made with AES_256"),
            Self::KeyPolicyDenied { operation, key_arn, request_id } => write!(
                f,
                "KMS denied {operation} for {key_arn}{}; let the role call it in the key policy, or take record_key_policies out of the measured policy",
                Request(request_id)
            ),
            Self::KeyPolicyUnreadable { key_arn, reason } => {
                write!(f, "the key policy of {key_arn} cannot be recorded: {reason}; check what the endpoint is")
            }
            Self::KeyDescriptionUnreadable { key_arn, missing } => {
                write!(f, "the description of {key_arn} has no readable {missing}; check what the endpoint is")
            }
        }
    }
}

impl std::error::Error for KmsError {}
