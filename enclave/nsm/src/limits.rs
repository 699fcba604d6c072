//! The limits AWS states for requests, checked before anything is sent: the device answers all of them with one code.

use crate::{AttestationRequest, NsmError};

/// Checks the sizes in `request`.
///
/// # Errors
/// [`NsmError::UserDataTooLong`], [`NsmError::NonceTooLong`] or [`NsmError::PublicKeyTooLong`].
pub fn check_limits(request: &AttestationRequest<'_>) -> Result<(), NsmError> {
    let length = |field: Option<&[u8]>| field.map_or(0, <[u8]>::len);
    if length(request.user_data) > MAX_USER_DATA {
        return Err(NsmError::UserDataTooLong { length: length(request.user_data) });
    }
    if length(request.nonce) > MAX_NONCE {
        return Err(NsmError::NonceTooLong { length: length(request.nonce) });
    }
    if length(request.public_key) > MAX_PUBLIC_KEY {
        return Err(NsmError::PublicKeyTooLong { length: length(request.public_key) });
    }
    Ok(())
}

/// AWS's prose bound for `user_data` (`docs/attestation_process.md`; its CDDL says 1024, so verifiers accept that).
pub const MAX_USER_DATA: usize = 512;
/// AWS's prose bound for `nonce`; as for [`MAX_USER_DATA`].
pub const MAX_NONCE: usize = 512;
/// AWS's bound for `public_key`.
pub const MAX_PUBLIC_KEY: usize = 1_024;
/// Number of registers of a module.
pub const PCR_COUNT: u8 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_the_largest_request_and_none() {
        assert_eq!(check_limits(&AttestationRequest::default()), Ok(()));
        let largest = AttestationRequest {
            user_data: Some(&[0; MAX_USER_DATA]),
            nonce: Some(&[0; MAX_NONCE]),
            public_key: Some(&[0; MAX_PUBLIC_KEY]),
        };
        assert_eq!(check_limits(&largest), Ok(()));
    }

    #[test]
    fn names_the_field_that_is_too_long() {
        let none = AttestationRequest::default();
        let user_data = AttestationRequest { user_data: Some(&[0; MAX_USER_DATA + 1]), ..none };
        assert_eq!(check_limits(&user_data), Err(NsmError::UserDataTooLong { length: 513 }));
        let nonce = AttestationRequest { nonce: Some(&[0; MAX_NONCE + 1]), ..none };
        assert_eq!(check_limits(&nonce), Err(NsmError::NonceTooLong { length: 513 }));
        let public_key = AttestationRequest { public_key: Some(&[0; MAX_PUBLIC_KEY + 1]), ..none };
        assert_eq!(check_limits(&public_key), Err(NsmError::PublicKeyTooLong { length: 1_025 }));
    }
}
