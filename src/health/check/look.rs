//! Looking at what this process reaches by itself: the network, the container's figures, other
//! processes. What else a check may name is PID 1's to look at (`ask`).
//!
//! `Ok` is as it should be; the error says what was found instead, and names nothing that the
//! configuration does not.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::config::check::{Subject, Target};
use crate::health::figures;
use crate::health::probe::{Manners, ProbeError, url};
use crate::platform::{Root, cgroup};

/// As much of an answer is read.
const MOST_ANSWER: usize = 64 * 1024;
/// The most headers of an answer.
const MOST_HEADERS: usize = 64;

/// Looks at a subject for which `needs_init` is false and that is not `notify`.
pub async fn look(subject: &Subject, workload: u32) -> Result<(), String> {
    match subject {
        Subject::Tcp(address) => connect(*address).await.map(drop),
        Subject::Http { target: Target::Plain { address, host, path }, .. }
        | Subject::Endpoint(Target::Plain { address, host, path }) => {
            get(*address, host, path).await?.satisfies(subject)
        }
        Subject::Memory(below) => memory(*below),
        Subject::Process(None) => match figures::workload(workload) {
            Some(found) if found.process_state != 'Z' => Ok(()),
            Some(_) => Err("the workload has ended".to_owned()),
            None => Err("the workload is not there".to_owned()),
        },
        Subject::Process(Some(name)) => match figures::is_running(name) {
            true => Ok(()),
            false => Err("no such process runs".to_owned()),
        },
        Subject::Unix(_)
        | Subject::Exec(_)
        | Subject::File { .. }
        | Subject::Disk { .. }
        | Subject::Http { target: Target::Tls(_), .. }
        | Subject::Endpoint(Target::Tls(_))
        | Subject::Notify(_) => Err("cannot be looked at from here".to_owned()),
    }
}

/// Looks at a subject with an `https://` URL, in a child of PID 1; `None` of any other.
pub fn look_by_tls(
    subject: &Subject,
    manners: &Manners,
    limit: Duration,
) -> Option<Result<(), String>> {
    let (Subject::Http { target: Target::Tls(url), .. } | Subject::Endpoint(Target::Tls(url))) =
        subject
    else {
        return None;
    };
    let found = url::fetch(url, manners, limit).map_err(|error| match error {
        ProbeError::Refused { .. } => "connection refused".to_owned(),
        ProbeError::TimedOut { limit, .. } => format!("no answer within {} s", limit.as_secs_f64()),
        // Without the path.
        ProbeError::Authorities { why, .. } => format!("SSL_CERT_FILE: {why}"),
        // Without the URL, which is not for everybody who asks.
        ProbeError::Url { why, .. } | ProbeError::Failed { why, .. } => why,
        ProbeError::Text { .. } | ProbeError::Status { .. } => {
            "the answer is not as wanted".to_owned()
        }
    });
    Some(found.and_then(|url::Answer { status, headers, body }| {
        Answer { status, headers, body }.satisfies(subject)
    }))
}

fn memory(below: u8) -> Result<(), String> {
    let root = Root::host();
    let Some(limit) = cgroup::limits(&root).memory_bytes.filter(|limit| *limit > 0) else {
        return Ok(());
    };
    let Some(used) = cgroup::usage(&root).memory_bytes else {
        return Err("the use of memory cannot be read".to_owned());
    };
    let percent = u128::from(used) * 100 / u128::from(limit);
    if percent < u128::from(below) { Ok(()) } else { Err(format!("{percent}% of memory is used")) }
}

async fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    TcpStream::connect(address).await.map_err(|error| why(&error))
}

/// A system error's words without its number.
pub fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
        _ => error.to_string(),
    }
}

/// An HTTP answer as far as it was read.
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// Asks with HTTP/1.0, so that the body ends with the connection and is not in chunks.
async fn get(address: SocketAddr, host: &str, path: &str) -> Result<Answer, String> {
    let mut stream = connect(address).await?;
    let request = format!(
        "GET {path} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: mak-init\r\nAccept: */*\r\n\
         Connection: close\r\n\r\n",
    );
    stream.write_all(request.as_bytes()).await.map_err(|error| why(&error))?;
    let mut bytes = Vec::new();
    while bytes.len() < MOST_ANSWER && !is_whole(&bytes) {
        match stream.read_buf(&mut bytes).await {
            Ok(0) => break,
            Ok(_) => {}
            // Some servers reset the connection behind a whole answer.
            Err(_) if Answer::read(&bytes).is_ok() => break,
            Err(error) => return Err(why(&error)),
        }
    }
    Answer::read(&bytes)
}

/// Whether as many bytes have come as Content-Length promises.
fn is_whole(bytes: &[u8]) -> bool {
    let Ok(answer) = Answer::read(bytes) else { return false };
    let length = answer.header("content-length").and_then(|length| length.parse().ok());
    length.is_some_and(|length: usize| answer.body.len() >= length)
}

impl Answer {
    /// Whether this is what an `http` or `endpoint` check wants.
    fn satisfies(&self, subject: &Subject) -> Result<(), String> {
        match subject {
            Subject::Http { status, body, header, .. } => {
                self.has_status(*status)?;
                if let Some((name, value)) = header {
                    self.has_header(name, value)?;
                }
                body.as_ref().map_or(Ok(()), |text| self.has_body(text))
            }
            _ => {
                self.has_status((200, 299))?;
                self.says_well()
            }
        }
    }

    fn read(bytes: &[u8]) -> Result<Answer, String> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut head = httparse::Response::new(&mut headers);
        let Ok(httparse::Status::Complete(length)) = head.parse(bytes) else {
            return Err("the answer is not HTTP".to_owned());
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Answer {
            status: head.code.unwrap_or(0),
            headers: head.headers.iter().map(|h| (h.name.to_owned(), text(h.value))).collect(),
            body: bytes.get(length..).unwrap_or_default().to_vec(),
        })
    }

    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    fn has_status(&self, (low, high): (u16, u16)) -> Result<(), String> {
        if (low..=high).contains(&self.status) {
            return Ok(());
        }
        let wanted = if low == high { low.to_string() } else { format!("{low}-{high}") };
        Err(format!("status {}, wanted {wanted}", self.status))
    }

    fn has_header(&self, name: &str, value: &str) -> Result<(), String> {
        match self.header(name) {
            Some(found) if found.contains(value) => Ok(()),
            Some(_) => Err(format!("header {name} has another value")),
            None => Err(format!("header {name} is missing")),
        }
    }

    fn has_body(&self, text: &str) -> Result<(), String> {
        let found = self.body.windows(text.len().max(1)).any(|part| part == text.as_bytes());
        if found || text.is_empty() {
            return Ok(());
        }
        Err("the body does not contain the wanted text".to_owned())
    }

    fn says_well(&self) -> Result<(), String> {
        let Ok(value) = serde_json::from_slice::<serde_json::Value>(&self.body) else {
            return Err("the body is not JSON".to_owned());
        };
        match value.get("status").and_then(serde_json::Value::as_str) {
            None => Err("the JSON has no status".to_owned()),
            Some(word) => match word.to_ascii_lowercase().as_str() {
                "pass" | "ok" | "up" | "warn" | "healthy" => Ok(()),
                other => Err(format!("its status is {other:?}")),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answer(text: &str) -> Answer {
        Answer::read(text.as_bytes()).unwrap()
    }

    #[test]
    fn an_answer_is_held_against_status_header_and_body() {
        let good = answer("HTTP/1.1 204 No\r\nX-Y: abc\r\nContent-Length: 5\r\n\r\nhello");
        assert_eq!(good.has_status((200, 299)), Ok(()));
        assert_eq!(good.has_status((200, 200)), Err("status 204, wanted 200".to_owned()));
        assert_eq!(good.has_header("x-y", "b"), Ok(()));
        assert!(good.has_header("x-y", "z").is_err() && good.has_header("x", "").is_err());
        assert_eq!(good.has_body("ell"), Ok(()));
        assert!(good.has_body("bye").is_err() && good.has_body("").is_ok());
    }

    #[test]
    fn another_endpoint_is_believed_by_its_status_word() {
        for (body, good) in [
            ("{\"status\":\"pass\"}", true),
            ("{\"status\":\"UP\"}", true),
            ("{\"status\":\"warn\"}", true),
            ("{\"status\":\"fail\"}", false),
            ("{\"status\":1}", false),
            ("[]", false),
            ("ok", false),
        ] {
            let text = format!("HTTP/1.0 200 OK\r\n\r\n{body}");
            assert_eq!(answer(&text).says_well().is_ok(), good, "{body}");
        }
    }

    #[test]
    fn an_answer_is_whole_when_its_length_has_come() {
        assert!(!is_whole(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell"));
        assert!(is_whole(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"));
        assert!(!is_whole(b"HTTP/1.1 200 OK\r\n\r\nhello"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut text = b"HTTP/1.1 200 OK\r\n".to_vec();
            text.extend(&bytes);
            if let Ok(answer) = Answer::read(&text) {
                let _ = (answer.says_well(), answer.has_body("x"), is_whole(&text));
            }
            let _ = Answer::read(&bytes).is_ok();
        }
    }
}
