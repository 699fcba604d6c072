//! SSH's binary strings (RFC 4251 section 5).

use super::error::{SshSigError, SshSigFlaw};

/// The one key type and signature scheme that is read (RFC 8709).
pub(super) const ED25519: &str = "ssh-ed25519";

/// Takes values off the front of what is left.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        let bytes = self.take(4)?.try_into().ok()?;
        Some(u32::from_be_bytes(bytes))
    }

    pub(super) fn string(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u32()?).ok()?;
        self.take(length)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Appends `string` after its length.
pub(super) fn put_string(out: &mut Vec<u8>, string: &[u8]) -> Result<(), SshSigError> {
    let length = u32::try_from(string.len()).map_err(|_| SshSigFlaw::TooLong)?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(string);
    Ok(())
}
