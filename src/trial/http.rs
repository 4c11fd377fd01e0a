//! One GET over the published port: whether anything answers, and with which status.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// As much of an answer as is read.
const LONGEST: u64 = 64 << 10;

/// The status of the answer to `GET path`. The error is for the person.
pub fn get(address: SocketAddr, path: &str, limit: Duration) -> Result<u16, String> {
    let until = Instant::now() + limit;
    let left = || until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    let failed = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect_timeout(&address, limit).map_err(failed)?;
    stream.set_write_timeout(Some(left())).map_err(failed)?;
    stream.set_read_timeout(Some(left())).map_err(failed)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut answer = Vec::new();
    let mut piece = [0; 1024];
    // The engine's proxy accepts for the container: only words prove that somebody is there.
    while !answer.contains(&b'\n') && (answer.len() as u64) < LONGEST {
        stream.set_read_timeout(Some(left())).map_err(failed)?;
        match stream.read(&mut piece).map_err(failed)? {
            0 => break,
            read => answer.extend_from_slice(&piece[..read]),
        }
        if Instant::now() >= until {
            return Err(format!("no whole line within {} s", limit.as_secs_f64()));
        }
    }
    status(&answer).ok_or_else(|| match answer.len() {
        0 => "the connection is closed without an answer: nothing listens on that port of the \
              container's own address (127.0.0.1 inside is not enough)"
            .to_owned(),
        _ => "the answer is no HTTP".to_owned(),
    })
}

fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split_whitespace();
    words.next().filter(|word| word.starts_with("HTTP/1."))?;
    words.next()?.parse().ok().filter(|status| (100..600).contains(status))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    fn answered(answer: &'static [u8]) -> Result<u16, String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(answer);
        });
        let result = get(address, "/health", Duration::from_secs(5));
        server.join().unwrap();
        result
    }

    #[test]
    fn the_status_of_an_answer_is_read_and_nothing_else_counts_as_one() {
        assert_eq!(answered(b"HTTP/1.1 503 Service Unavailable\r\n\r\n"), Ok(503));
        assert_eq!(answered(b"HTTP/1.0 200\r\n"), Ok(200));
        assert!(answered(b"SSH-2.0-x\r\n").unwrap_err().contains("no HTTP"));
        assert!(answered(b"").unwrap_err().contains("without an answer"));
        assert!(answered(b"HTTP/1.1 99999 x\r\n").is_err());
    }
}
