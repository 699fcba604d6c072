//! Why there are no credentials.

use std::{fmt, io, net::SocketAddr};

use packproof_receipt::time::UnixMillis;

/// Why there are no credentials. No variant carries any of what the metadata service answered but status and code.
#[derive(Debug)]
#[non_exhaustive]
pub enum CredentialsError {
    /// These variables are not in the environment.
    Missing(Vec<&'static str>),
    /// `AWS_EC2_METADATA_SERVICE_ENDPOINT` is not `http://ADDRESS[:PORT]`.
    Endpoint,
    /// The environment has no credentials, and nothing accepts connections where the metadata service should be.
    Unreachable {
        /// Where.
        endpoint: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// The metadata service accepted the connection and did not answer the request for a token.
    TokenTimeout,
    /// It did not answer a later request.
    Timeout,
    /// The connection broke.
    Io(io::Error),
    /// It answered with another status than 200.
    Status {
        /// What was asked for.
        what: &'static str,
        /// The status.
        status: u16,
    },
    /// It has no role: the instance has no instance profile.
    NoRole,
    /// Its answer is not HTTP as it is read here, or longer than any of its answers.
    Http(&'static str),
    /// Its token is not one that can be sent back.
    Token,
    /// Its name of the role is none of IAM's.
    RoleName,
    /// It could not assume the role; its code says why.
    RoleFailed {
        /// Its code, if it is a word.
        code: String,
    },
    /// Its answer does not hold credentials as AWS issues them.
    Content(&'static str),
    /// The credentials it gave have expired.
    Expired {
        /// When.
        at: UnixMillis,
    },
}

impl CredentialsError {
    /// Stable snake_case code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) => "credentials_missing",
            Self::Endpoint => "imds_endpoint",
            Self::Unreachable { .. } => "imds_unreachable",
            Self::TokenTimeout => "imds_token_timeout",
            Self::Timeout => "imds_timeout",
            Self::Io(_) => "imds_io",
            Self::Status { .. } => "imds_status",
            Self::NoRole => "imds_no_role",
            Self::Http(_) => "imds_http",
            Self::Token => "imds_token",
            Self::RoleName => "imds_role_name",
            Self::RoleFailed { .. } => "imds_role_failed",
            Self::Content(_) => "imds_content",
            Self::Expired { .. } => "imds_expired",
        }
    }

    /// As [`Error::exit_code`](crate::Error::exit_code).
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Missing(_) | Self::Endpoint => 2,
            _ => 3,
        }
    }

    /// What to do next.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Missing(_) => {
                "set them as your CI gets them, for example by assuming a role; they need not be able to decrypt"
            }
            Self::Endpoint => "write it as http://169.254.169.254, or unset it",
            Self::Unreachable { .. } => {
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run on an EC2 instance with a role"
            }
            Self::TokenTimeout => {
                "in a container the answer needs one hop more: aws ec2 modify-instance-metadata-options \
                 --http-put-response-hop-limit 2 --instance-id ID"
            }
            Self::NoRole => "attach an instance profile to the instance, or set the AWS_* variables",
            Self::Status { status: 403, .. } => {
                "the instance's metadata service is switched off; switch it on, or set the AWS_* variables"
            }
            Self::RoleFailed { .. } => "see that the role exists and lets ec2.amazonaws.com assume it",
            Self::Expired { .. } => "correct the host's clock; if it is right, try again in a minute",
            Self::Timeout
            | Self::Io(_)
            | Self::Status { .. }
            | Self::Http(_)
            | Self::Token
            | Self::RoleName
            | Self::Content(_) => "try again; if it lasts, something other than EC2 answers there",
        }
    }
}

impl fmt::Display for CredentialsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let service = "the instance metadata service";
        match self {
            Self::Missing(names) => write!(f, "AWS credentials are missing: {}", names.join(", ")),
            Self::Endpoint => f.write_str("AWS_EC2_METADATA_SERVICE_ENDPOINT is not http://ADDRESS[:PORT]"),
            Self::Unreachable { endpoint, error } => write!(
                f,
                "AWS credentials are missing: none in the environment, and {service} at {endpoint} cannot be reached: \
                 {error}"
            ),
            Self::TokenTimeout => write!(f, "{service} did not answer the request for a token"),
            Self::Timeout => write!(f, "{service} did not answer in time"),
            Self::Io(error) => write!(f, "the connection to {service} broke: {error}"),
            Self::Status { what, status } => write!(f, "{service} answered {status} when asked for {what}"),
            Self::NoRole => write!(f, "{service} has no role for this instance"),
            Self::Http(reason) => write!(f, "{service} answered what is not read here: {reason}"),
            Self::Token => write!(f, "{service} gave a token that cannot be one"),
            Self::RoleName => write!(f, "{service} gave a role name that cannot be one"),
            Self::RoleFailed { code } => write!(f, "{service} has no credentials of the role: {code}"),
            Self::Content(reason) => write!(f, "{service} gave no credentials as AWS issues them: {reason}"),
            Self::Expired { at } => {
                write!(f, "{service} gave credentials that expired at {}", at.to_rfc3339())
            }
        }
    }
}

impl std::error::Error for CredentialsError {}
