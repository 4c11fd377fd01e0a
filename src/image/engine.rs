//! An image of the container engine, asked for at its socket (Docker Engine API, "Export an
//! image"): the archive that `docker save` would write, into a file without a name.
//!
//! The request is HTTP/1.0, so that the answer is the archive and nothing between its bytes.

use std::env;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::error::ImageError;
use super::percent::encoded;
use super::spool::{Spool, Spooling};

const SOCKET: &str = "/var/run/docker.sock";
/// An engine that packs a large image says nothing for a while.
const PATIENCE: Duration = Duration::from_secs(300);
/// Lines of an answer's header.
const MOST_LINES: usize = 100;
/// What an engine says in an error.
const MOST_TEXT: u64 = 4096;

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// The archive of the image of this name.
pub fn save(name: &str) -> Result<File, ImageError> {
    let host = env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
    let host = host.unwrap_or_else(|| format!("unix://{SOCKET}"));
    let passing = |error: io::Error| {
        ImageError::passing(format!("cannot ask the engine at {host} (DOCKER_HOST): {error}"))
    };
    let mut stream = connect(&host)?;
    let request =
        format!("GET /images/{}/get HTTP/1.0\r\nHost: docker\r\n\r\n", encoded(name, b"/:@"));
    stream.write_all(request.as_bytes()).map_err(passing)?;
    let mut answer = BufReader::with_capacity(128 << 10, stream);
    let status = header(&mut answer).map_err(passing)?;
    if status != 200 {
        let mut text = String::new();
        let _ = answer.take(MOST_TEXT).read_to_string(&mut text);
        let text = text.trim();
        return Err(match status {
            404 => ImageError::usage(format!("the engine has no image {name}: {text}")),
            _ => ImageError::passing(format!("the engine answers {status} for {name}: {text}")),
        });
    }
    let spool = Spool::of(answer).map_err(|error| match error {
        Spooling::Read(error) => passing(error),
        Spooling::Write(error) => ImageError::io(&format!("docker:{name}"), &error),
    })?;
    spool.file().try_clone().map_err(|error| ImageError::io(&format!("docker:{name}"), &error))
}

fn connect(host: &str) -> Result<Box<dyn Stream>, ImageError> {
    let passing = |error: io::Error| {
        ImageError::passing(format!("no engine answers at {host} (DOCKER_HOST): {error}"))
    };
    if let Some(path) = host.strip_prefix("unix://") {
        let stream = UnixStream::connect(path).map_err(passing)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(passing)?;
        return Ok(Box::new(stream));
    }
    if let Some(address) = host.strip_prefix("tcp://").or_else(|| host.strip_prefix("http://")) {
        let stream = TcpStream::connect(address.trim_end_matches('/')).map_err(passing)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(passing)?;
        return Ok(Box::new(stream));
    }
    Err(ImageError::usage(format!(
        "DOCKER_HOST is {host}: mak speaks to unix:// and tcp:// only; pipe it instead: \
         docker save NAME | mak image verify -"
    )))
}

/// The status of an answer; its header is passed over.
fn header(answer: &mut impl BufRead) -> io::Result<u16> {
    let broken = || io::Error::other("its answer is no HTTP");
    let mut status = None;
    for _ in 0..MOST_LINES {
        let mut line = Vec::new();
        answer.by_ref().take(16 << 10).read_until(b'\n', &mut line)?;
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        if line.is_empty() {
            return status.ok_or_else(broken);
        }
        if status.is_none() {
            status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        }
    }
    Err(broken())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_an_answer_is_read_and_what_is_none_is_refused() {
        let status = |text: &str| header(&mut text.as_bytes());
        assert_eq!(status("HTTP/1.0 404 Not Found\r\nA: b\r\n\r\nx").unwrap(), 404);
        assert!(status("").is_err());
        assert!(status(&"x\r\n".repeat(200)).is_err());
    }
}
