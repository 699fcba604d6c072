//! One HTTP/1.1 request with a short answer. Enough for the metadata service, which always names the length.

use std::{io, net::SocketAddr, time::Duration};

use packproof_secret::SecretBytes;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::CredentialsError;

/// For the connection. The service is on the host: it answers in a millisecond, or there is none.
pub(super) const CONNECT: Duration = Duration::from_secs(1);
/// For the whole answer.
pub(super) const ANSWER: Duration = Duration::from_secs(2);
/// Longest head: the service's has 300 bytes.
const MAX_HEAD_BYTES: usize = 8 << 10;
/// Longest body: credentials have 2 KiB, of which the session token is most; the enclave takes 8 KiB of that.
const MAX_BODY_BYTES: usize = 16 << 10;

/// An answer of any status.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: SecretBytes,
}

/// Sends `method path` with one more header. The caller has seen that neither holds a line break.
///
/// # Errors
/// [`CredentialsError::Unreachable`], [`CredentialsError::Timeout`], [`CredentialsError::Io`],
/// [`CredentialsError::Http`].
pub(super) async fn request(
    endpoint: SocketAddr,
    method: &str,
    path: &str,
    header: [&str; 2],
) -> Result<Answer, CredentialsError> {
    let unreachable = |error| CredentialsError::Unreachable { endpoint, error };
    let mut stream = match timeout(CONNECT, TcpStream::connect(endpoint)).await {
        Err(_) => return Err(unreachable(io::ErrorKind::TimedOut.into())),
        Ok(connected) => connected.map_err(unreachable)?,
    };
    let [name, value] = header;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {endpoint}\r\n{name}: {value}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    let head = SecretBytes::from(head.into_bytes());
    let exchange = async {
        stream.write_all(head.expose()).await.map_err(CredentialsError::Io)?;
        read(&mut stream).await
    };
    timeout(ANSWER, exchange).await.map_err(|_| CredentialsError::Timeout)?
}

/// Reads head and body, and nothing after it.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Answer, CredentialsError> {
    let mut received = SecretBytes::with_capacity(MAX_HEAD_BYTES);
    let (status, length, begin) = loop {
        if let Some(end) = received.expose().windows(4).position(|four| four == b"\r\n\r\n") {
            let (status, length) = parse_head(received.expose().get(..end).unwrap_or_default())?;
            break (status, length, end.saturating_add(4));
        }
        if received.len() >= MAX_HEAD_BYTES {
            return Err(CredentialsError::Http("the head is too long"));
        }
        more(stream, &mut received).await?;
    };
    if length > MAX_BODY_BYTES {
        return Err(CredentialsError::Http("the body is too long"));
    }
    let end = begin.saturating_add(length);
    while received.len() < end {
        more(stream, &mut received).await?;
    }
    if received.len() > end {
        return Err(CredentialsError::Http("there is more than the length says"));
    }
    let mut body = SecretBytes::with_capacity(length);
    body.extend(received.expose().get(begin..end).unwrap_or_default());
    Ok(Answer { status, body })
}

async fn more(stream: &mut (impl AsyncRead + Unpin), received: &mut SecretBytes) -> Result<(), CredentialsError> {
    let mut chunk = SecretBytes::from(vec![0; 1024]);
    let read = stream.read(chunk.expose_mut()).await.map_err(CredentialsError::Io)?;
    if read == 0 {
        return Err(CredentialsError::Http("it ends too soon"));
    }
    received.extend(chunk.expose().get(..read).unwrap_or_default());
    Ok(())
}

/// Status and length of the body, out of the head without its last empty line.
fn parse_head(head: &[u8]) -> Result<(u16, usize), CredentialsError> {
    let no = |reason| CredentialsError::Http(reason);
    let head = std::str::from_utf8(head).map_err(|_| no("the head is not text"))?;
    let mut lines = head.split("\r\n");
    let status = match lines.next().unwrap_or_default().split(' ').collect::<Vec<_>>().as_slice() {
        ["HTTP/1.1" | "HTTP/1.0", status, ..] => digits(status).filter(|status| (200..600).contains(status)),
        _ => None,
    };
    let status = status.and_then(|status| u16::try_from(status).ok()).ok_or(no("the first line is no status"))?;
    let mut length = None;
    for line in lines {
        let (name, value) = line.split_once(':').ok_or(no("a header line has no colon"))?;
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(no("the body has a transfer encoding"));
        }
        if name.eq_ignore_ascii_case("content-length") {
            let value = digits(value.trim_matches([' ', '\t'])).ok_or(no("the length is no number"))?;
            if length.replace(value).is_some() {
                return Err(no("there are two lengths"));
            }
        }
    }
    Ok((status, length.ok_or(no("the body has no length"))?))
}

/// One to six decimal digits and nothing else.
fn digits(text: &str) -> Option<usize> {
    let digits = (1..=6).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn reads(bytes: &[u8]) -> Result<(u16, Vec<u8>), String> {
        let mut input = bytes;
        match read(&mut input).await {
            Ok(answer) => Ok((answer.status, answer.body.expose().to_vec())),
            Err(error) => {
                assert_eq!(error.code(), "imds_http");
                Err(error.to_string().rsplit(": ").next().unwrap().to_owned())
            }
        }
    }

    #[tokio::test]
    async fn an_answer_is_read_whole_and_alone() {
        let read = |text: String| async move { reads(text.as_bytes()).await };
        let ok = "HTTP/1.1 200 OK\r\n";
        assert_eq!(read(format!("{ok}content-length:  3 \r\nX: y\r\n\r\nabc")).await, Ok((200, b"abc".to_vec())));
        assert_eq!(read("HTTP/1.0 404\r\nContent-Length: 0\r\n\r\n".into()).await, Ok((404, Vec::new())));
        let long = "a".repeat(MAX_BODY_BYTES);
        assert_eq!(
            read(format!("{ok}Content-Length: {}\r\n\r\n{long}", long.len())).await.unwrap().1.len(),
            long.len()
        );
        for (text, reason) in [
            (String::new(), "it ends too soon"),
            (ok.into(), "it ends too soon"),
            (format!("{ok}Content-Length: 4\r\n\r\nabc"), "it ends too soon"),
            (format!("{ok}Content-Length: 2\r\n\r\nabc"), "there is more than the length says"),
            (format!("{ok}X: y\r\n\r\nabc"), "the body has no length"),
            (format!("{ok}Content-Length: 3\r\ncontent-length: 3\r\n\r\nabc"), "there are two lengths"),
            (format!("{ok}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "the body has a transfer encoding"),
            (format!("{ok}Content-Length: +3\r\n\r\nabc"), "the length is no number"),
            (format!("{ok}Content-Length: 9999999\r\n\r\nabc"), "the length is no number"),
            (format!("{ok}Content-Length: {}\r\n\r\n", MAX_BODY_BYTES + 1), "the body is too long"),
            (format!("{ok}nothing\r\n\r\n"), "a header line has no colon"),
            (format!("{ok}X: {}\r\n\r\n", "a".repeat(MAX_HEAD_BYTES)), "the head is too long"),
            ("HTTP/2 200 OK\r\n\r\n".into(), "the first line is no status"),
            ("HTTP/1.1 100 Continue\r\n\r\n".into(), "the first line is no status"),
            ("HTTP/1.1 2000 OK\r\n\r\n".into(), "the first line is no status"),
        ] {
            assert_eq!(read(text.clone()).await, Err(reason.to_owned()), "{text:.80}");
        }
        assert_eq!(reads(b"HTTP/1.1 200 \xff\r\n\r\n").await, Err("the head is not text".to_owned()));
    }

    proptest::proptest! {
        #[test]
        fn no_head_panics(head in "(HTTP/1.1 )?[0-9]{0,4}( OK)?(\r\n(Content-Length|X|Transfer-Encoding)?:? ?[0-9]{0,7}){0,3}") {
            let _ = parse_head(head.as_bytes());
        }
    }
}
