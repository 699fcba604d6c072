//! SSH's binary values (RFC 4251 section 5).

use super::error::{SshSigError, SshSigFlaw};

/// Takes values off the front of what is left.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn string(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u32()?).ok()?;
        self.take(length)
    }

    /// The bytes of a positive `mpint`, without the zero byte that keeps it positive.
    ///
    /// Only the shortest encoding is taken, as RFC 4251 wants; OpenSSH also takes leading zeros.
    pub(super) fn positive_mpint(&mut self) -> Option<&'a [u8]> {
        match self.string()? {
            [0, magnitude @ ..] => magnitude.first().is_some_and(|&first| first >= 0x80).then_some(magnitude),
            magnitude => magnitude.first().is_some_and(|&first| first < 0x80).then_some(magnitude),
        }
    }

    /// What was taken since `before`, which is what was left then.
    pub(super) fn taken_since(&self, before: &'a [u8]) -> Option<&'a [u8]> {
        before.get(..before.len().checked_sub(self.0.len())?)
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
