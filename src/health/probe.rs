//! The other end: asks an HTTP endpoint once and says whether it is healthy, for
//! `mak-init healthcheck`. No proxy is used (ureq would send even loopback requests to
//! HTTP_PROXY) and no redirect is followed, since what answers there is another endpoint.

use std::fmt;
use std::io::{ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde::Deserialize;

/// As much of a body is read; it is looked at only to say why an endpoint is not healthy.
const MOST_BODY: u64 = 4096;

/// As many characters of a body's first line are shown.
const MOST_SHOWN: usize = 120;

/// Why a probe did not find a healthy endpoint. Displays as one line.
#[derive(Debug, PartialEq, Eq)]
pub enum ProbeError {
    /// Not a URL that can be asked: an `https:` one, or none at all.
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
    /// It answered, and not with 2xx.
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

/// The URL at which an endpoint that listens on `address` can be asked from the same container.
pub fn target_from_listen(address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    // Through SocketAddr again, for the brackets of IPv6.
    format!("http://{}/health", SocketAddr::new(ip, address.port()))
}

/// Asks `url` once, with `timeout` for the whole of it; a 2xx status is healthy and returned.
pub fn probe(url: &str, timeout: Duration) -> Result<u16, ProbeError> {
    check_scheme(url)?;
    let config = ureq::Agent::config_builder()
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .timeout_global(Some(timeout))
        .user_agent("mak-init healthcheck")
        .accept("application/health+json, application/json, text/plain, */*")
        .build();
    let agent = ureq::Agent::new_with_config(config);
    let mut response = agent.get(url).call().map_err(|error| explain(error, url, timeout))?;
    let status = response.status().as_u16();
    if response.status().is_success() {
        return Ok(status);
    }
    let mut body = Vec::new();
    // The status is the verdict; a body that breaks off only says less.
    let _ = response.body_mut().as_reader().take(MOST_BODY).read_to_end(&mut body);
    Err(ProbeError::Status { url: url.to_owned(), status, reason: reason(&body) })
}

fn check_scheme(url: &str) -> Result<(), ProbeError> {
    let starts = |scheme: &str| {
        url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    let why = if starts("http://") {
        return Ok(());
    } else if starts("https://") {
        "mak-init is built without TLS; use an http:// address, on loopback for example"
    } else {
        "a probe's address begins with http://"
    };
    Err(ProbeError::Url { url: printable(url), why: why.to_owned() })
}

fn explain(error: ureq::Error, url: &str, limit: Duration) -> ProbeError {
    let url = printable(url);
    match error {
        ureq::Error::Timeout(_) => ProbeError::TimedOut { url, limit },
        ureq::Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused => {
            ProbeError::Refused { url }
        }
        ureq::Error::Io(error) if error.kind() == ErrorKind::TimedOut => {
            ProbeError::TimedOut { url, limit }
        }
        ureq::Error::BadUri(why) => ProbeError::Url { url, why: printable(&why) },
        ureq::Error::Http(error) => ProbeError::Url { url, why: printable(&error.to_string()) },
        ureq::Error::HostNotFound => ProbeError::Failed { url, why: "no such host".to_owned() },
        error => ProbeError::Failed { url, why: printable(&error.to_string()) },
    }
}

/// The one field of our own answers that says why.
#[derive(Deserialize)]
struct Told {
    state: String,
}

fn reason(body: &[u8]) -> String {
    if let Ok(told) = serde_json::from_slice::<Told>(body) {
        return printable(&told.state);
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
    use std::io::Write;
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

    #[test]
    fn an_endpoint_is_asked_on_an_address_that_reaches_it() {
        let cases = [
            ("0.0.0.0:8080", "http://127.0.0.1:8080/health"),
            ("[::]:80", "http://[::1]:80/health"),
            ("10.1.2.3:1", "http://10.1.2.3:1/health"),
            ("[fe80::1%3]:9", "http://[fe80::1]:9/health"),
        ];
        for (listen, url) in cases {
            assert_eq!(target_from_listen(listen.parse().unwrap()), url);
        }
    }

    #[test]
    fn any_2xx_is_healthy() {
        let url = once("HTTP/1.1 204 No Content\r\n\r\n");
        assert_eq!(probe(&url, ENOUGH), Ok(204));
    }

    #[test]
    fn an_unhealthy_status_comes_with_the_state_or_the_first_line() {
        let url = once(
            "HTTP/1.1 503 No\r\nContent-Length: 40\r\n\r\n{\"status\":\"fail\",\"state\":\"verifying\"}   ",
        );
        let text = probe(&url, ENOUGH).unwrap_err().to_string();
        assert_eq!(text, format!("{url}: status 503: verifying"));
        let url = once("HTTP/1.0 500 No\r\n\r\n\n\x1b[31mout of\r cheese\nmore");
        let text = probe(&url, ENOUGH).unwrap_err().to_string();
        assert_eq!(text, format!("{url}: status 500: [31mout of cheese"));
    }

    #[test]
    fn a_redirect_is_a_failure_and_is_not_followed() {
        let url = once(
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        );
        let error = probe(&url, ENOUGH).unwrap_err();
        assert!(matches!(error, ProbeError::Status { status: 302, .. }), "{error}");
        assert!(error.to_string().contains("redirect"), "{error}");
    }

    #[test]
    fn nobody_there_says_what_to_do() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/health", listener.local_addr().unwrap());
        drop(listener);
        let error = probe(&url, ENOUGH).unwrap_err();
        assert_eq!(error, ProbeError::Refused { url });
        assert!(error.to_string().contains("--listen"));
    }

    #[test]
    fn silence_ends_with_the_time_limit() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/health", listener.local_addr().unwrap());
        let error = probe(&url, Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.to_string(), format!("{url}: no answer within 0.05 s"));
    }

    #[test]
    fn what_cannot_be_asked_is_told_before_anything_is_sent() {
        for (url, hint) in [
            ("https://127.0.0.1/", "without TLS"),
            ("HTTPS://x", "without TLS"),
            ("127.0.0.1:80", "http://"),
            ("http://", "cannot probe"),
            ("http://a b/", "cannot probe"),
            ("", "http://"),
        ] {
            let text = probe(url, ENOUGH).unwrap_err().to_string();
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
