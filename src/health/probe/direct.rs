//! An endpoint of mak-init's own, at an address that is known: one HTTP/1.0 request and all that
//! comes back, in a dozen system calls. No name is looked up, no proxy and no redirect is known.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::{ACCEPT, MOST_BODY};
use crate::config::setting::Listen;

/// The most headers of an answer.
const MOST_HEADERS: usize = 64;

/// All that comes back for `path`, head and body. An answer that has not ended at the deadline is
/// `TimedOut` or `WouldBlock`.
pub fn exchange(
    listen: &Listen,
    path: &str,
    token: Option<&[u8]>,
    deadline: Instant,
) -> io::Result<Vec<u8>> {
    let request = request(path, token);
    match listen {
        Listen::Tcp(address) => {
            let mut stream = TcpStream::connect_timeout(address, left(deadline)?)?;
            stream.set_write_timeout(Some(left(deadline)?))?;
            stream.write_all(&request)?;
            let wait = |stream: &TcpStream, time| stream.set_read_timeout(Some(time));
            read(&mut stream, wait, deadline)
        }
        Listen::Unix(path) => {
            let mut stream = UnixStream::connect(path)?;
            stream.set_write_timeout(Some(left(deadline)?))?;
            stream.write_all(&request)?;
            let wait = |stream: &UnixStream, time| stream.set_read_timeout(Some(time));
            read(&mut stream, wait, deadline)
        }
    }
}

fn request(path: &str, token: Option<&[u8]>) -> Vec<u8> {
    let mut request =
        format!("GET {path} HTTP/1.0\r\nHost: localhost\r\nAccept: {ACCEPT}\r\n").into_bytes();
    if let Some(token) = token {
        request.extend_from_slice(b"Authorization: Bearer ");
        request.extend_from_slice(token);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"Connection: close\r\n\r\n");
    request
}

/// Reads to the end of the answer; each read waits no longer than what is left of the time.
fn read<S: Read>(
    stream: &mut S,
    wait: impl Fn(&S, Duration) -> io::Result<()>,
    deadline: Instant,
) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    while (bytes.len() as u64) < MOST_BODY {
        wait(stream, left(deadline)?)?;
        match stream.read(&mut part)? {
            0 => break,
            count => bytes.extend_from_slice(part.get(..count).unwrap_or_default()),
        }
        if is_whole(&bytes) {
            break;
        }
    }
    Ok(bytes)
}

/// Whether as much has come as Content-Length promises: the end of the connection need not be
/// waited for then.
fn is_whole(bytes: &[u8]) -> bool {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut head = httparse::Response::new(&mut headers);
    let Ok(httparse::Status::Complete(length)) = head.parse(bytes) else { return false };
    let mut fields = head.headers.iter();
    let named = fields.find(|field| field.name.eq_ignore_ascii_case("content-length"));
    let promised = named.and_then(|field| std::str::from_utf8(field.value).ok()?.parse().ok());
    promised.is_some_and(|promised: usize| bytes.len() - length >= promised)
}

fn left(deadline: Instant) -> io::Result<Duration> {
    match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(ErrorKind::TimedOut.into()),
        left => Ok(left),
    }
}

/// Status and body; `None` of what is not HTTP.
pub fn split(bytes: &[u8]) -> Option<(u16, Vec<u8>)> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut head = httparse::Response::new(&mut headers);
    let Ok(httparse::Status::Complete(length)) = head.parse(bytes) else { return None };
    Some((head.code?, bytes.get(length..)?.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::TcpListener;

    /// What comes back from a server that says `pieces` one after the other and waits for the
    /// client to have gone.
    fn ask(pieces: &'static [&'static str], time: Duration) -> io::Result<Vec<u8>> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut bytes = [0; 1024];
            let length = stream.read(&mut bytes).unwrap();
            for piece in pieces {
                stream.write_all(piece.as_bytes()).unwrap();
            }
            if pieces.is_empty() {
                let _ = stream.read(&mut [0; 8]);
            }
            String::from_utf8_lossy(&bytes[..length]).into_owned()
        });
        let found = exchange(&Listen::Tcp(address), "/x?y", Some(b"abc"), Instant::now() + time);
        let request = server.join().unwrap();
        assert!(request.starts_with("GET /x?y HTTP/1.0\r\nHost: "), "{request}");
        assert!(request.contains("\r\nAuthorization: Bearer abc\r\n"), "{request}");
        found
    }

    #[test]
    fn all_pieces_of_an_answer_are_put_together() {
        let pieces = &["HTTP/1.0 2", "00 OK\r\n\r\nhe", "llo"];
        let bytes = ask(pieces, Duration::from_secs(20)).unwrap();
        assert_eq!(split(&bytes), Some((200, b"hello".to_vec())));
    }

    #[test]
    fn an_answer_is_whole_when_its_length_has_come() {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        assert!(!is_whole(format!("{head}hell").as_bytes()));
        assert!(is_whole(format!("{head}hello").as_bytes()));
        assert!(!is_whole(b"HTTP/1.1 200 OK\r\n\r\nhello"), "no length: to the end");
    }

    #[test]
    fn silence_ends_at_the_deadline() {
        let error = ask(&[], Duration::from_millis(50)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
    }

    proptest! {
        #[test]
        fn any_answer_is_split_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Some((_, body)) = split(&bytes) {
                prop_assert!(bytes.ends_with(&body));
            }
        }
    }
}
