//! Frames: a length, a version, a kind, a body.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The version this crate speaks.
pub const VERSION: u8 = 1;

/// What a frame's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// Host to enclave.
    Request,
    /// Enclave to host: it worked.
    Answer,
    /// The answer is an error.
    Error,
    /// Enclave to egress: connect me.
    Dial,
    /// Egress to enclave: connected, bytes follow.
    Dialled,
}

impl FrameKind {
    const ALL: [Self; 5] = [Self::Request, Self::Answer, Self::Error, Self::Dial, Self::Dialled];

    fn byte(self) -> u8 {
        match self {
            Self::Request => 1,
            Self::Answer => 2,
            Self::Error => 3,
            Self::Dial => 4,
            Self::Dialled => 5,
        }
    }
}

/// Why a frame could not be read or written.
#[derive(Debug)]
pub enum FrameError {
    /// The length field is above the maximum. Nothing was allocated.
    TooLong {
        /// As stated by the peer.
        stated: usize,
        /// As allowed here.
        maximum: usize,
    },
    /// The stream ended inside the frame.
    Truncated,
    /// The stream ended before a frame began.
    Closed,
    /// Another protocol version.
    WrongVersion(u8),
    /// A kind that is not known, or not expected here.
    WrongKind(u8),
    /// The length leaves no room for version and kind.
    TooShort,
    /// The stream failed.
    Io(io::Error),
}

impl FrameError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "frame_too_long",
            Self::Truncated => "frame_truncated",
            Self::Closed => "stream_closed",
            Self::WrongVersion(_) => "frame_wrong_version",
            Self::WrongKind(_) => "frame_wrong_kind",
            Self::TooShort => "frame_too_short",
            Self::Io(_) => "stream_failed",
        }
    }
}

impl std::fmt::Display for FrameError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLong { stated, maximum } => {
                write!(f, "a frame of {stated} bytes is above the maximum of {maximum}")
            }
            Self::Truncated => f.write_str("the stream ended inside a frame"),
            Self::Closed => f.write_str("the peer closed the stream without an answer"),
            Self::WrongVersion(found) => {
                write!(
                    f,
                    "the peer speaks protocol version {found}, this program speaks {VERSION}; use matching releases"
                )
            }
            Self::WrongKind(found) => write!(f, "a frame of kind {found} was not expected here"),
            Self::TooShort => f.write_str("a frame is too short to hold version and kind"),
            Self::Io(error) => write!(f, "the stream failed: {error}"),
        }
    }
}

impl std::error::Error for FrameError {}

/// Reads one frame of at most `maximum` bytes (version and kind included).
///
/// # Errors
/// [`FrameError`]; the length is checked before the body is allocated, and the buffer grows only with bytes that came.
pub async fn read_frame<S: AsyncRead + Unpin>(
    stream: &mut S,
    maximum: usize,
) -> Result<(FrameKind, Vec<u8>), FrameError> {
    let length = read_length(stream, maximum).await?;
    read_rest(stream, length).await
}

/// Reads a frame's length, so that a server can reserve that much of its budget before it reads on.
///
/// # Errors
/// [`FrameError::TooLong`] above `maximum`, [`FrameError::Closed`] when nothing came.
pub async fn read_length<S: AsyncRead + Unpin>(stream: &mut S, maximum: usize) -> Result<usize, FrameError> {
    let mut header = [0; 4];
    match stream.read(&mut header).await.map_err(FrameError::Io)? {
        0 => return Err(FrameError::Closed),
        n => read_exact(stream, header.get_mut(n..).unwrap_or_default()).await?,
    }
    let stated = usize::try_from(u32::from_be_bytes(header)).unwrap_or(usize::MAX);
    if stated > maximum { Err(FrameError::TooLong { stated, maximum }) } else { Ok(stated) }
}

/// Reads what follows the length.
///
/// # Errors
/// [`FrameError`].
pub async fn read_rest<S: AsyncRead + Unpin>(
    stream: &mut S,
    length: usize,
) -> Result<(FrameKind, Vec<u8>), FrameError> {
    let body_len = length.checked_sub(2).ok_or(FrameError::TooShort)?;
    let mut head = [0; 2];
    read_exact(stream, &mut head).await?;
    let [version, kind] = head;
    if version != VERSION {
        return Err(FrameError::WrongVersion(version));
    }
    let kind = FrameKind::ALL.into_iter().find(|known| known.byte() == kind).ok_or(FrameError::WrongKind(kind))?;
    let mut body = Vec::new();
    let limit = u64::try_from(body_len).unwrap_or(u64::MAX);
    let read = stream.take(limit).read_to_end(&mut body).await.map_err(FrameError::Io)?;
    if read == body_len { Ok((kind, body)) } else { Err(FrameError::Truncated) }
}

async fn read_exact<S: AsyncRead + Unpin>(stream: &mut S, out: &mut [u8]) -> Result<(), FrameError> {
    match stream.read_exact(out).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(FrameError::Truncated),
        Err(error) => Err(FrameError::Io(error)),
    }
}

/// Writes one frame.
///
/// # Errors
/// [`FrameError::TooLong`] for a body that the length field cannot state, [`FrameError::Io`] when the stream fails.
pub async fn write_frame<S: AsyncWrite + Unpin>(
    stream: &mut S,
    kind: FrameKind,
    body: &[u8],
) -> Result<(), FrameError> {
    let stated = body.len().saturating_add(2);
    let length = u32::try_from(stated)
        .ok()
        .filter(|_| stated <= crate::MAX_FRAME_BYTES)
        .ok_or(FrameError::TooLong { stated, maximum: crate::MAX_FRAME_BYTES })?;
    let mut frame = Vec::with_capacity(body.len().saturating_add(6));
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(&[VERSION, kind.byte()]);
    frame.extend_from_slice(body);
    stream.write_all(&frame).await.map_err(FrameError::Io)?;
    stream.flush().await.map_err(FrameError::Io)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], maximum: usize) -> Result<(FrameKind, Vec<u8>), FrameError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { read_frame(&mut &*bytes, maximum).await })
    }

    #[test]
    fn a_frame_reads_back() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut bytes = Vec::new();
        runtime.block_on(write_frame(&mut bytes, FrameKind::Answer, b"{}")).unwrap();
        assert_eq!(bytes, [0, 0, 0, 4, 1, 2, b'{', b'}']);
        assert_eq!(read(&bytes, 4).unwrap(), (FrameKind::Answer, b"{}".to_vec()));
    }

    #[test]
    fn each_departure_has_its_name() {
        let code = |bytes: &[u8]| read(bytes, 4).unwrap_err().code();
        assert_eq!(code(&[]), "stream_closed");
        assert_eq!(code(&[0, 0, 0]), "frame_truncated");
        assert_eq!(code(&[0, 0, 0, 5, 1, 1, 0, 0, 0]), "frame_too_long");
        assert_eq!(code(&[0xff, 0xff, 0xff, 0xff]), "frame_too_long");
        assert_eq!(code(&[0, 0, 0, 1, 1]), "frame_too_short");
        assert_eq!(code(&[0, 0, 0, 4, 2, 1, b'{', b'}']), "frame_wrong_version");
        assert_eq!(code(&[0, 0, 0, 4, 1, 9, b'{', b'}']), "frame_wrong_kind");
        assert_eq!(code(&[0, 0, 0, 4, 1, 1, b'{']), "frame_truncated");
    }

    proptest::proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..64)) {
            let _ = read(&bytes, 32);
        }
    }
}
