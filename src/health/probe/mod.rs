//! The other end: asks an endpoint and says whether it is healthy, for `mak-init healthcheck` and
//! `mak-init status`. A HEALTHCHECK runs for ever, so that the container's own endpoint is asked
//! the shortest way.
//!
//! | file | idea |
//! |---|---|
//! | `direct` | an endpoint of our own: one request over a socket |
//! | `url` | any other URL: ureq |

mod direct;
pub mod url;

use std::fmt;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::config::setting::Listen;

/// As much of an answer is read.
const MOST_BODY: u64 = 256 * 1024;

/// What a probe understands, best first.
const ACCEPT: &str = "application/health+json, application/json, text/plain, */*";

/// As many characters of a body's first line are shown.
const MOST_SHOWN: usize = 120;

/// Between two attempts: the first wait, and the longest; each doubles the one before.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// An HTTP URL.
    Url(String),
    /// A path of an HTTP endpoint at an address or behind a socket in the file system.
    Own(Listen, String),
    /// A port that has to accept a connection, as HOST:PORT.
    Tcp(String),
    /// A socket in the file system that has to accept one.
    Unix(PathBuf),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Url(url) => f.write_str(&printable(url)),
            Target::Own(Listen::Unix(socket), path) => {
                write!(f, "unix:{}{}", socket.display(), printable(path))
            }
            // Through SocketAddr, for the brackets of IPv6.
            Target::Own(Listen::Tcp(at), path) => {
                write!(f, "http://{}{}", SocketAddr::new(at.ip(), at.port()), printable(path))
            }
            Target::Tcp(address) => write!(f, "tcp {}", printable(address)),
            Target::Unix(path) => write!(f, "unix {}", path.display()),
        }
    }
}

/// What an answer has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// A status in this range.
    Status(u16, u16),
    /// A 2xx status and this text in the body.
    Text(String),
}

impl Expected {
    /// From a status (`204`), a range (`200-299`), or a text.
    pub fn parse(word: &str) -> Expected {
        let code = |text: &str| text.parse().ok().filter(|code| (100..=599).contains(code));
        let (low, high) = word.split_once('-').unwrap_or((word, word));
        match code(low).zip(code(high)) {
            Some((low, high)) if low <= high && word.len() >= 3 => Expected::Status(low, high),
            _ => Expected::Text(word.to_owned()),
        }
    }
}

/// How it is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// For all of it, retries included.
    pub timeout: Duration,
    /// Further attempts after a failed one.
    pub retries: u32,
    /// What the answer has to be.
    pub expected: Expected,
    /// What it takes to be answered.
    pub manners: Manners,
}

/// What it takes to be answered, and to believe the answer.
#[derive(Clone, Debug, Default)]
pub struct Manners {
    /// The bearer token to show.
    pub token: Option<Vec<u8>>,
    /// A file with the certificates of the authorities that are believed, as SSL_CERT_FILE names
    /// it; Mozilla's authorities without one.
    pub authorities: Option<PathBuf>,
}

impl Question {
    /// Whether it answers 2xx, asked once.
    pub fn simple(timeout: Duration) -> Question {
        let expected = Expected::Status(200, 299);
        Question { timeout, retries: 0, expected, manners: Manners::default() }
    }
}

/// Why a probe did not find a healthy endpoint. Displays as one line.
#[derive(Debug, PartialEq, Eq)]
pub enum ProbeError {
    /// Not a URL that can be asked: none at all, or an `https:` one in a build without TLS.
    Url {
        /// As given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nobody listens there.
    Refused {
        /// The URL asked.
        url: String,
    },
    /// No whole answer in time.
    TimedOut {
        /// The URL asked.
        url: String,
        /// The time given for all of it.
        limit: Duration,
    },
    /// Another failure on the way.
    Failed {
        /// The URL asked.
        url: String,
        /// What ureq or the kernel said.
        why: String,
    },
    /// The file that SSL_CERT_FILE names is of no use.
    Authorities {
        /// The URL asked.
        url: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It answered well, without the wanted text.
    Text {
        /// The URL asked.
        url: String,
    },
    /// It answered, and not as wanted.
    Status {
        /// The URL asked.
        url: String,
        /// The status.
        status: u16,
        /// The state in the body, or the body's first line; may be empty.
        reason: String,
    },
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProbeError::Url { url, why } => write!(f, "cannot probe {url}: {why}"),
            ProbeError::Refused { url } => write!(
                f,
                "{url}: connection refused; nothing listens there: is mak-init running with an \
                 endpoint (--listen), and is this its address?"
            ),
            ProbeError::TimedOut { url, limit } => {
                write!(f, "{url}: no answer within {} s", limit.as_secs_f64())
            }
            ProbeError::Failed { url, why } => write!(f, "{url}: {why}"),
            ProbeError::Authorities { url, path, why } => {
                write!(f, "{url}: SSL_CERT_FILE {}: {why}", path.display())
            }
            ProbeError::Text { url } => {
                write!(f, "{url}: the body does not contain the expected text")
            }
            ProbeError::Status { url, status, reason } => {
                write!(f, "{url}: status {status}")?;
                if (300..400).contains(status) {
                    write!(f, ": a redirect, which a probe does not follow; name its target")?;
                }
                if !reason.is_empty() {
                    write!(f, ": {reason}")?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for ProbeError {}

/// What to ask in the same container for an endpoint that listens there.
pub fn target_from_listen(listen: &Listen, path: &str) -> Target {
    let mut listen = listen.clone();
    if let Listen::Tcp(address) = &mut listen {
        match address.ip() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => address.set_ip(IpAddr::V6(Ipv6Addr::LOCALHOST)),
            _ => {}
        }
    }
    Target::Own(listen, path.to_owned())
}

/// Asks until the answer is as expected, the attempts are used up or the time is over.
pub fn probe(target: &Target, question: &Question) -> Result<(), ProbeError> {
    let deadline = Instant::now() + question.timeout;
    let mut wait = FIRST_WAIT;
    let mut left = question.retries;
    loop {
        let time = deadline.saturating_duration_since(Instant::now());
        let mut error = match once(target, question, time.max(Duration::from_millis(1))) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        if let ProbeError::TimedOut { limit, .. } = &mut error {
            *limit = question.timeout;
        }
        // What is wrong with the address stays wrong.
        let hopeless = matches!(error, ProbeError::Url { .. });
        if left == 0 || hopeless || Instant::now() + wait >= deadline {
            return Err(error);
        }
        left -= 1;
        std::thread::sleep(wait);
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

fn once(target: &Target, question: &Question, limit: Duration) -> Result<(), ProbeError> {
    match target {
        Target::Tcp(address) => return connect(target, address, limit),
        Target::Unix(path) => {
            return UnixStream::connect(path).map(drop).map_err(|e| failed(target, &e, limit));
        }
        Target::Url(_) | Target::Own(..) => {}
    }
    let (status, body) = fetch(target, &question.manners, limit)?;
    let (low, high) = match question.expected {
        Expected::Status(low, high) => (low, high),
        Expected::Text(_) => (200, 299),
    };
    let url = target.to_string();
    if !(low..=high).contains(&status) {
        return Err(ProbeError::Status { url, status, reason: reason(&body) });
    }
    match &question.expected {
        Expected::Text(text) if !contains(&body, text) => Err(ProbeError::Text { url }),
        _ => Ok(()),
    }
}

fn contains(body: &[u8], text: &str) -> bool {
    text.is_empty() || body.windows(text.len()).any(|part| part == text.as_bytes())
}

/// A port: each address of its host is tried.
fn connect(target: &Target, address: &str, limit: Duration) -> Result<(), ProbeError> {
    let url = target.to_string();
    let bad = |why: &str| ProbeError::Url { url: url.clone(), why: why.to_owned() };
    let named = address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if !named {
        return Err(bad("a port is named as HOST:PORT, as in 127.0.0.1:5432 or [::1]:5432"));
    }
    let deadline = Instant::now() + limit;
    let addresses = address
        .to_socket_addrs()
        .map_err(|_| ProbeError::Failed { url: url.clone(), why: "no such host".to_owned() })?;
    let mut error = ProbeError::Failed { url: url.clone(), why: "no such host".to_owned() };
    for address in addresses {
        let time = deadline.saturating_duration_since(Instant::now());
        match TcpStream::connect_timeout(&address, time.max(Duration::from_millis(1))) {
            Ok(_) => return Ok(()),
            Err(found) => error = failed(target, &found, limit),
        }
    }
    Err(error)
}

fn failed(target: &Target, error: &std::io::Error, limit: Duration) -> ProbeError {
    let url = target.to_string();
    match error.kind() {
        ErrorKind::ConnectionRefused => ProbeError::Refused { url },
        ErrorKind::TimedOut | ErrorKind::WouldBlock => ProbeError::TimedOut { url, limit },
        ErrorKind::NotFound => {
            ProbeError::Failed { url, why: "there is no such socket".to_owned() }
        }
        _ => ProbeError::Failed { url, why: printable(&error.to_string()) },
    }
}

/// Status and body of an HTTP endpoint.
pub fn fetch(
    target: &Target,
    manners: &Manners,
    limit: Duration,
) -> Result<(u16, Vec<u8>), ProbeError> {
    match target {
        Target::Own(listen, path) => {
            let token = manners.token.as_deref();
            let bytes = direct::exchange(listen, path, token, Instant::now() + limit)
                .map_err(|error| failed(target, &error, limit))?;
            direct::split(&bytes).ok_or_else(|| ProbeError::Failed {
                url: target.to_string(),
                why: "the answer is not HTTP".to_owned(),
            })
        }
        Target::Url(url) => {
            url::fetch(url, manners, limit).map(|answer| (answer.status, answer.body))
        }
        Target::Tcp(_) | Target::Unix(_) => Err(ProbeError::Url {
            url: target.to_string(),
            why: "this is no HTTP endpoint".to_owned(),
        }),
    }
}

/// The fields of our own answers that say why.
#[derive(Deserialize)]
struct Told {
    state: String,
    #[serde(default)]
    failed: Vec<String>,
}

fn reason(body: &[u8]) -> String {
    if let Ok(told) = serde_json::from_slice::<Told>(body) {
        let failed = told.failed.iter().filter(|name| name.as_str() != "workload");
        let failed = failed.map(String::as_str).collect::<Vec<_>>().join(", ");
        return match failed.as_str() {
            "" => printable(&told.state),
            names => printable(&format!("{}, failed: {names}", told.state)),
        };
    }
    let line = body.split(|byte| *byte == b'\n').find(|line| !line.trim_ascii().is_empty());
    printable(&String::from_utf8_lossy(line.unwrap_or_default()))
}

/// Foreign text for the terminal: no control characters, not too long.
fn printable(text: &str) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(MOST_SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    const ENOUGH: Duration = Duration::from_secs(10);

    /// A server for one request that sends `answer`; its URL.
    fn once(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/x", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        });
        url
    }

    fn ask(url: &str) -> Result<(), ProbeError> {
        probe(&Target::Url(url.to_owned()), &Question::simple(ENOUGH))
    }

    #[test]
    fn an_endpoint_is_asked_on_an_address_that_reaches_it() {
        let cases = [
            ("0.0.0.0:8080", "http://127.0.0.1:8080/health"),
            ("[::]:80", "http://[::1]:80/health"),
            ("10.1.2.3:1", "http://10.1.2.3:1/health"),
            ("[fe80::1%3]:9", "http://[fe80::1]:9/health"),
        ];
        for (listen, url) in cases {
            let listen = Listen::Tcp(listen.parse().unwrap());
            assert_eq!(target_from_listen(&listen, "/health").to_string(), url);
        }
    }

    #[test]
    fn any_2xx_is_healthy() {
        let url = once("HTTP/1.1 204 No Content\r\n\r\n");
        assert_eq!(ask(&url), Ok(()));
    }

    #[test]
    fn an_unhealthy_status_comes_with_the_state_or_the_first_line() {
        let url = once(
            "HTTP/1.1 503 No\r\nContent-Length: 40\r\n\r\n{\"status\":\"fail\",\"state\":\"verifying\"}   ",
        );
        let text = ask(&url).unwrap_err().to_string();
        assert_eq!(text, format!("{url}: status 503: verifying"));
        let url = once(
            "HTTP/1.1 503 No\r\n\r\n{\"status\":\"fail\",\"state\":\"running\",\"failed\":[\"db\",\"api\"]}",
        );
        let text = ask(&url).unwrap_err().to_string();
        assert_eq!(text, format!("{url}: status 503: running, failed: db, api"));
        let url = once("HTTP/1.0 500 No\r\n\r\n\n\x1b[31mout of\r cheese\nmore");
        let text = ask(&url).unwrap_err().to_string();
        assert_eq!(text, format!("{url}: status 500: [31mout of cheese"));
    }

    #[test]
    fn a_redirect_is_a_failure_and_is_not_followed() {
        let url = once(
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        );
        let error = ask(&url).unwrap_err();
        assert!(matches!(error, ProbeError::Status { status: 302, .. }), "{error}");
        assert!(error.to_string().contains("redirect"), "{error}");
    }

    #[test]
    fn nobody_there_says_what_to_do() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/health", listener.local_addr().unwrap());
        drop(listener);
        let error = ask(&url).unwrap_err();
        assert_eq!(error, ProbeError::Refused { url });
        assert!(error.to_string().contains("--listen"));
    }

    #[test]
    fn silence_ends_with_the_time_limit() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/health", listener.local_addr().unwrap());
        let error = probe(&Target::Url(url.clone()), &Question::simple(Duration::from_millis(50)))
            .unwrap_err();
        assert_eq!(error.to_string(), format!("{url}: no answer within 0.05 s"));
    }

    #[test]
    fn an_expectation_is_a_status_a_range_or_a_text() {
        assert_eq!(Expected::parse("204"), Expected::Status(204, 204));
        assert_eq!(Expected::parse("200-404"), Expected::Status(200, 404));
        for word in ["ok", "99", "299-200", "2", ""] {
            assert_eq!(Expected::parse(word), Expected::Text(word.to_owned()));
        }
        let expecting = |answer, word| {
            let expected = Expected::parse(word);
            let question = Question { expected, ..Question::simple(ENOUGH) };
            probe(&Target::Url(once(answer)), &question).is_ok()
        };
        let found = "HTTP/1.0 404 No\r\n\r\n";
        assert!(expecting(found, "404") && !expecting(found, "200-299"));
        let good = "HTTP/1.0 200 OK\r\n\r\nall is well";
        assert!(expecting(good, "is well") && !expecting(good, "ill"));
    }

    #[test]
    fn a_port_is_asked_by_connecting() {
        let listener =
            TcpListener::bind("[::1]:0").or_else(|_| TcpListener::bind("127.0.0.1:0")).unwrap();
        let target = Target::Tcp(listener.local_addr().unwrap().to_string());
        assert_eq!(probe(&target, &Question::simple(ENOUGH)), Ok(()));
        drop(listener);
        let error = probe(&target, &Question::simple(ENOUGH)).unwrap_err();
        assert!(matches!(error, ProbeError::Refused { .. }), "{error}");
        for bad in ["127.0.0.1", "localhost:", "", ":x"] {
            let error = probe(&Target::Tcp(bad.to_owned()), &Question::simple(ENOUGH)).unwrap_err();
            assert!(matches!(error, ProbeError::Url { .. }), "{bad}: {error}");
        }
    }

    #[test]
    fn a_retry_finds_what_comes_up_later() {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = first.local_addr().unwrap();
        std::thread::spawn(move || {
            for answer in ["HTTP/1.0 503 No\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\n"] {
                let (mut stream, _) = first.accept().unwrap();
                let _ = stream.read(&mut [0; 1024]).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        let target = Target::Url(format!("http://{address}/"));
        let question = Question { retries: 1, ..Question::simple(ENOUGH) };
        assert_eq!(probe(&target, &question), Ok(()));
    }

    #[test]
    fn what_cannot_be_asked_is_told_before_anything_is_sent() {
        for (url, hint) in [
            #[cfg(not(feature = "https"))]
            ("https://127.0.0.1/", "built without https"),
            #[cfg(not(feature = "https"))]
            ("HTTPS://x", "built without https"),
            ("127.0.0.1:80", "http://"),
            ("http://", "cannot probe"),
            ("http://a b/", "cannot probe"),
            ("", "http://"),
        ] {
            let text = ask(url).unwrap_err().to_string();
            assert!(text.contains(hint), "{url}: {text}");
        }
    }

    proptest! {
        #[test]
        fn a_reason_is_short_and_clean(body in proptest::collection::vec(any::<u8>(), 0..500)) {
            let reason = reason(&body);
            prop_assert!(reason.chars().count() <= MOST_SHOWN);
            prop_assert!(!reason.chars().any(char::is_control));
        }
    }
}
