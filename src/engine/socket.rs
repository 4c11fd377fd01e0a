//! The engine asked over its own socket (Docker Engine API): where that is, and one request to it.
//! No client has to be installed.
//!
//! Every request is HTTP/1.0 on a connection of its own: the answer is the body and nothing
//! between its bytes, and its end is the end of the connection.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// An engine that is there takes a connection at once.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// As much of an answer is held in memory.
const LARGEST: u64 = 8 << 20;
/// Lines of an answer's header, and bytes of one.
const MOST_LINES: usize = 100;
const LONGEST_LINE: u64 = 64 << 10;
/// Read at once: a whole image may come.
const BUFFER: usize = 128 << 10;

/// An engine's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A socket in the file system.
    Unix(PathBuf),
    /// HOST:PORT, without TLS.
    Tcp(String),
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Unix(path) => write!(out, "unix://{}", path.display()),
            Address::Tcp(address) => write!(out, "tcp://{address}"),
        }
    }
}

/// Why there is no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAddress {
    /// DOCKER_HOST names one that is not spoken to.
    Unspoken(String),
    /// There is a socket in none of these places.
    NoSocket(Vec<PathBuf>),
}

impl fmt::Display for NoAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoAddress::Unspoken(host) => {
                write!(out, "DOCKER_HOST={host}: only unix:// and tcp:// without TLS are asked")
            }
            NoAddress::NoSocket(places) => {
                let places: Vec<String> =
                    places.iter().map(|path| path.display().to_string()).collect();
                write!(out, "no engine's socket is there: looked at {}", places.join(", "))
            }
        }
    }
}

impl std::error::Error for NoAddress {}

/// The engine that the Docker client would talk to, without its contexts; Podman's where there is
/// none of Docker's.
pub fn address(environment: &[(OsString, OsString)]) -> Result<Address, NoAddress> {
    let value = |name: &str| {
        let found = environment.iter().find(|(known, _)| known == name);
        found.and_then(|(_, value)| value.to_str()).filter(|value| !value.is_empty())
    };
    if let Some(host) = value("DOCKER_HOST") {
        if let Some(path) = host.strip_prefix("unix://") {
            return Ok(Address::Unix(PathBuf::from(path)));
        }
        let tls = value("DOCKER_TLS_VERIFY").is_some() || value("DOCKER_CERT_PATH").is_some();
        return match host.strip_prefix("tcp://").or_else(|| host.strip_prefix("http://")) {
            Some(rest) if !tls => Ok(Address::Tcp(rest.trim_end_matches('/').to_owned())),
            _ => Err(NoAddress::Unspoken(host.to_owned())),
        };
    }
    let mut places = vec![PathBuf::from("/var/run/docker.sock")];
    if let Some(folder) = value("XDG_RUNTIME_DIR") {
        places.push(Path::new(folder).join("docker.sock"));
        places.push(Path::new(folder).join("podman/podman.sock"));
    }
    if let Some(home) = value("HOME") {
        places.push(Path::new(home).join(".docker/run/docker.sock"));
        places.push(Path::new(home).join(".colima/default/docker.sock"));
    }
    places.push(PathBuf::from("/run/podman/podman.sock"));
    match places.iter().find(|path| path.exists()) {
        Some(path) => Ok(Address::Unix(path.clone())),
        None => Err(NoAddress::NoSocket(places)),
    }
}

/// A request. A body is a tar archive or JSON.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// GET, POST or DELETE.
    pub method: &'a str,
    /// The path with its query, encoded.
    pub path: &'a str,
    /// Empty where there is none.
    pub body: &'a [u8],
    /// How long the engine may say nothing.
    pub limit: Duration,
}

/// An answer of which the body is still to be read.
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// `Builder-Version`, by which the engine names its default builder.
    pub builder: Option<String>,
    /// The body; ending before its length is an error.
    pub body: Box<dyn Read + Send>,
}

impl Answer {
    /// The body as one piece.
    pub fn whole(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.body.by_ref().take(LARGEST).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Asks the engine.
pub fn ask(address: &Address, request: Request) -> io::Result<Answer> {
    let limit = Some(request.limit);
    match address {
        Address::Unix(path) => {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(limit)?;
            stream.set_write_timeout(limit)?;
            exchange(stream, request)
        }
        Address::Tcp(host) => {
            let host = if host.contains(':') { host.clone() } else { format!("{host}:2375") };
            let first = host.to_socket_addrs()?.next();
            let first = first.ok_or_else(|| io::Error::other(format!("{host} has no address")))?;
            let stream = TcpStream::connect_timeout(&first, CONNECT_LIMIT.min(request.limit))?;
            stream.set_read_timeout(limit)?;
            stream.set_write_timeout(limit)?;
            exchange(stream, request)
        }
    }
}

fn exchange(
    mut stream: impl Read + Write + Send + 'static,
    request: Request,
) -> io::Result<Answer> {
    let Request { method, path, body, .. } = request;
    let kind = if body.first() == Some(&b'{') { "application/json" } else { "application/x-tar" };
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: engine\r\nContent-Type: {kind}\r\n\
         Content-Length: {length}\r\n\r\n"
    )?;
    stream.write_all(body)?;
    stream.flush()?;
    let mut reader = BufReader::with_capacity(BUFFER, stream);
    let status = line(&mut reader)?;
    let status = status.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.ok_or_else(|| io::Error::other("the answer is no HTTP"))?;
    let mut builder = None;
    let mut length = None;
    for _ in 0..MOST_LINES {
        let header = line(&mut reader)?;
        let Some((name, value)) = header.split_once(':') else {
            let body = Box::new(Body { reader, left: length });
            return Ok(Answer { status, builder, body });
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok(),
            "builder-version" => builder = Some(value.trim().to_owned()),
            "transfer-encoding" => {
                return Err(io::Error::other("the answer comes in pieces, and HTTP/1.0 has none"));
            }
            _ => {}
        }
    }
    Err(io::Error::other("the answer has no end of its header"))
}

fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut bytes = Vec::new();
    reader.take(LONGEST_LINE).read_until(b'\n', &mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

/// A body, by its length or to the end of the connection.
struct Body<R> {
    reader: R,
    left: Option<u64>,
}

impl<R: Read> Read for Body<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(left) = &mut self.left else { return self.reader.read(buffer) };
        let most = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.reader.read(buffer.get_mut(..most).unwrap_or_default())?;
        if count == 0 && most > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        *left -= count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    struct Both(Cursor<Vec<u8>>, Vec<u8>);

    impl Read for Both {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.0.read(into)
        }
    }

    impl Write for Both {
        fn write(&mut self, from: &[u8]) -> io::Result<usize> {
            self.1.write(from)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn answered(text: &str) -> io::Result<(u16, Option<String>, Vec<u8>)> {
        let limit = Duration::from_secs(1);
        let request = Request { method: "GET", path: "/x", body: b"", limit };
        let mut answer = exchange(Both(Cursor::new(text.into()), Vec::new()), request)?;
        let body = answer.whole()?;
        Ok((answer.status, answer.builder, body))
    }

    #[test]
    fn an_answer_comes_whole_by_its_length_or_to_the_end_or_is_an_error() {
        let head = "HTTP/1.0 200 OK\r\nBuilder-Version: 2\r\n";
        let by_length = answered(&format!("{head}Content-Length: 3\r\n\r\nabcd")).unwrap();
        assert_eq!(by_length, (200, Some("2".to_owned()), b"abc".to_vec()));
        assert_eq!(answered(&format!("{head}\r\nrest")).unwrap().2, b"rest");
        assert_eq!(answered("HTTP/1.0 404 Not Found\r\nA: b\r\n\r\nx").unwrap().0, 404);
        for wrong in [
            "",
            "junk",
            &format!("{head}Content-Length: 9\r\n\r\nabc"),
            &format!("{head}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
            &format!("HTTP/1.0 200 OK\r\n{}", "a: b\r\n".repeat(200)),
        ] {
            assert!(answered(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_socket_is_dockers_own_choice_and_tls_is_refused_by_name() {
        let with = |host: &str| address(&[("DOCKER_HOST".into(), host.into())]);
        assert_eq!(with("unix:///x.sock"), Ok(Address::Unix("/x.sock".into())));
        assert_eq!(with("tcp://h:2375/"), Ok(Address::Tcp("h:2375".to_owned())));
        assert!(with("ssh://h").unwrap_err().to_string().contains("ssh://h"));
        let tls = [("DOCKER_HOST", "tcp://h:2376"), ("DOCKER_TLS_VERIFY", "1")];
        let tls = tls.map(|(name, value)| (name.into(), value.into()));
        assert!(address(&tls).unwrap_err().to_string().contains("without TLS"));
    }
}
