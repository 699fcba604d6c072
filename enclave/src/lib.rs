//! The program inside the image.
//!
//! [`serve::serve`] takes everything that differs between a Nitro enclave, an emulator and local mode as an argument: the
//! NSM, the streams, the measured policy. There is no feature and no switch: the program does not know where it runs.
//!
//! Read [`pack`] for the data flow; each stage is one file.
#![forbid(unsafe_code)]

pub mod boot;
pub mod clock;
pub mod egress;
pub mod event;
pub mod pack;
pub mod policy;
pub mod receipt_key;
pub mod seal;
pub mod serve;
pub mod session;
pub mod transport;
