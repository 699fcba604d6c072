#![doc = include_str!("../SPEC.md")]
#![forbid(unsafe_code)]

pub mod bytes;
pub mod frame;
pub mod handshake;
pub mod message;

pub use frame::{FrameError, FrameKind, read_frame, write_frame};
pub use message::{
    Answer, Approval, Attested, Credentials, Described, DialRequest, ErrorAnswer, ErrorClass, Object, PackAnswer,
    PackRequest, Request, SealAnswer, SealPurpose, SealRequest,
};

/// Port on which the enclave serves requests.
pub const PACK_PORT: u32 = 7000;
/// Port on which the host's egress listens for the enclave.
pub const EGRESS_PORT: u32 = 7001;
/// Largest frame before the policy's limit is known, and largest answer: a bound on memory, not a target.
pub const MAX_FRAME_BYTES: usize = 64 * 1024 * 1024;
