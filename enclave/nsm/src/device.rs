//! `/dev/nsm`, through AWS's driver crate.

use aws_nitro_enclaves_nsm_api::api::{ErrorCode, Request, Response};
use aws_nitro_enclaves_nsm_api::driver::{nsm_exit, nsm_init, nsm_process_request};
use serde_bytes::ByteBuf;
use zeroize::Zeroizing;

use crate::limits::{PCR_COUNT, check_limits};
use crate::{AttestationRequest, Nsm, NsmError, PCR_BYTES};

/// The real module. Requests may come from several threads; the kernel driver serves one after the other.
#[derive(Debug)]
pub struct Device {
    descriptor: i32,
}

impl Device {
    /// Opens `/dev/nsm`.
    ///
    /// # Errors
    /// [`NsmError::DeviceUnavailable`]; AWS's crate does not say why.
    pub fn open() -> Result<Self, NsmError> {
        match nsm_init() {
            descriptor if descriptor >= 0 => Ok(Self { descriptor }),
            _ => Err(NsmError::DeviceUnavailable),
        }
    }

    fn process(&self, request: Request) -> Response {
        nsm_process_request(self.descriptor, request)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        nsm_exit(self.descriptor);
    }
}

impl Nsm for Device {
    fn attest(&self, request: &AttestationRequest<'_>) -> Result<Vec<u8>, NsmError> {
        check_limits(request)?;
        let field = |bytes: Option<&[u8]>| bytes.map(|bytes| ByteBuf::from(bytes.to_vec()));
        document_from(self.process(Request::Attestation {
            user_data: field(request.user_data),
            nonce: field(request.nonce),
            public_key: field(request.public_key),
        }))
    }

    fn pcr(&self, index: u8) -> Result<[u8; PCR_BYTES], NsmError> {
        if index >= PCR_COUNT {
            return Err(NsmError::PcrIndex { index });
        }
        pcr_from(index, self.process(Request::DescribePCR { index: u16::from(index) }))
    }

    fn random(&self, out: &mut [u8]) -> Result<(), NsmError> {
        fill(out, || random_from(self.process(Request::GetRandom)))
    }
}

fn document_from(response: Response) -> Result<Vec<u8>, NsmError> {
    match response {
        Response::Attestation { document } => Ok(document),
        other => Err(failure(&other)),
    }
}

fn pcr_from(index: u8, response: Response) -> Result<[u8; PCR_BYTES], NsmError> {
    match response {
        Response::DescribePCR { lock: false, .. } => Err(NsmError::PcrNotLocked { index }),
        Response::DescribePCR { data, .. } => {
            data.as_slice().try_into().map_err(|_| NsmError::PcrLength { index, length: data.len() })
        }
        other => Err(failure(&other)),
    }
}

/// Random bytes may become keys, so the buffer is wiped; the driver crate's own copy on its stack is out of reach.
fn random_from(response: Response) -> Result<Zeroizing<Vec<u8>>, NsmError> {
    match response {
        Response::GetRandom { random } => Ok(Zeroizing::new(random)),
        other => Err(failure(&other)),
    }
}

/// Fills `out` from as many answers as it takes; an answer without bytes ends it, so the loop is bounded.
fn fill(out: &mut [u8], mut next: impl FnMut() -> Result<Zeroizing<Vec<u8>>, NsmError>) -> Result<(), NsmError> {
    let mut filled = 0;
    while filled < out.len() {
        let outcome = next().and_then(|random| if random.is_empty() { Err(NsmError::NoRandom) } else { Ok(random) });
        let random = match outcome {
            Ok(random) => random,
            Err(error) => {
                out.fill(0);
                return Err(error);
            }
        };
        for (target, byte) in out.iter_mut().skip(filled).zip(random.iter()) {
            *target = *byte;
        }
        filled = filled.saturating_add(random.len());
    }
    Ok(())
}

/// The error in a response that is not the expected one.
fn failure(response: &Response) -> NsmError {
    let Response::Error(code) = response else { return NsmError::UnexpectedResponse };
    let reason = match code {
        ErrorCode::Success => return NsmError::UnexpectedResponse,
        ErrorCode::InvalidArgument => "InvalidArgument",
        ErrorCode::InvalidIndex => "InvalidIndex",
        ErrorCode::InvalidResponse => "InvalidResponse",
        ErrorCode::ReadOnlyIndex => "ReadOnlyIndex",
        ErrorCode::InvalidOperation => "InvalidOperation",
        ErrorCode::BufferTooSmall => "BufferTooSmall",
        ErrorCode::InputTooLarge => "InputTooLarge",
        // AWS's crate maps every failed ioctl but EMSGSIZE to this one.
        ErrorCode::InternalError => "InternalError",
    };
    NsmError::Refused { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_when_there_is_no_device() {
        if !std::path::Path::new("/dev/nsm").exists() {
            assert_eq!(Device::open().unwrap_err(), NsmError::DeviceUnavailable);
        }
    }

    #[test]
    fn takes_the_document_and_nothing_else() {
        assert_eq!(document_from(Response::Attestation { document: vec![1, 2] }), Ok(vec![1, 2]));
        assert_eq!(document_from(Response::LockPCR), Err(NsmError::UnexpectedResponse));
        let refused = document_from(Response::Error(ErrorCode::InputTooLarge));
        assert_eq!(refused, Err(NsmError::Refused { reason: "InputTooLarge" }));
        assert_eq!(document_from(Response::Error(ErrorCode::Success)), Err(NsmError::UnexpectedResponse));
    }

    #[test]
    fn takes_locked_registers_of_48_bytes() {
        let described = |lock, length| pcr_from(3, Response::DescribePCR { lock, data: vec![9; length] });
        assert_eq!(described(true, 48), Ok([9; 48]));
        assert_eq!(described(false, 48), Err(NsmError::PcrNotLocked { index: 3 }));
        assert_eq!(described(true, 32), Err(NsmError::PcrLength { index: 3, length: 32 }));
        assert_eq!(pcr_from(3, Response::LockPCR), Err(NsmError::UnexpectedResponse));
    }

    #[test]
    fn fills_from_several_answers() {
        let mut out = [0; 600];
        let mut answer = 0;
        let outcome = fill(&mut out, || {
            answer += 1;
            Ok(vec![answer; 256].into())
        });
        assert_eq!(outcome, Ok(()));
        assert_eq!((out[0], out[255], out[256], out[599], answer), (1, 1, 2, 3, 3));
    }

    #[test]
    fn leaves_nothing_random_looking_behind_a_failure() {
        let mut out = [7; 300];
        let mut answers = vec![Ok(Zeroizing::new(Vec::new())), Ok(Zeroizing::new(vec![1; 256]))];
        assert_eq!(fill(&mut out, || answers.pop().unwrap()), Err(NsmError::NoRandom));
        assert_eq!(out, [0; 300]);
        assert_eq!(random_from(Response::LockPCR), Err(NsmError::UnexpectedResponse));
    }
}
