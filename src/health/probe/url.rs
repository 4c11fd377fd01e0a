//! Any URL, asked with ureq: for the probe's `--url`, and for checks whose URL begins with
//! `https://`, which a child of PID 1 looks at. No proxy is used (ureq would send even loopback
//! requests to HTTP_PROXY) and no redirect is followed, since what answers there is another
//! endpoint.

use std::io::{ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use super::{ACCEPT, MOST_BODY, Manners, ProbeError, printable};

/// What came back.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers, in their order; values that are no text are left out.
    pub headers: Vec<(String, String)>,
    /// As much of the body as is read.
    pub body: Vec<u8>,
}

/// Asks once.
pub fn fetch(url: &str, manners: &Manners, timeout: Duration) -> Result<Answer, ProbeError> {
    check_scheme(url)?;
    let config = ureq::Agent::config_builder()
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .timeout_global(Some(timeout))
        .user_agent("mak-init healthcheck")
        .accept(ACCEPT);
    #[cfg(feature = "https")]
    let config = config.tls_config(tls::config(url, manners.authorities.as_deref())?);
    let config = config.build();
    let agent = ureq::Agent::with_parts(config, DefaultConnector::default(), Literals::default());
    let mut request = agent.get(url);
    if let Some(token) = &manners.token {
        // A token that is read from its file has only ASCII characters in it.
        request =
            request.header("Authorization", format!("Bearer {}", String::from_utf8_lossy(token)));
    }
    let mut response = request.call().map_err(|error| explain(error, url, timeout))?;
    let text = |value: &ureq::http::HeaderValue| value.to_str().map(str::to_owned).ok();
    let headers = response.headers().iter();
    let headers = headers.filter_map(|(name, value)| Some((name.to_string(), text(value)?)));
    let (status, headers) = (response.status().as_u16(), headers.collect());
    let mut body = Vec::new();
    // The status is the verdict; a body that breaks off only says less.
    let _ = response.body_mut().as_reader().take(MOST_BODY).read_to_end(&mut body);
    Ok(Answer { status, headers, body })
}

/// Finds addresses for hosts. An IP address or `localhost` needs no looking up; for any other name
/// ureq starts a thread, so that the time limit holds.
#[derive(Debug, Default)]
struct Literals(DefaultResolver);

impl Resolver for Literals {
    fn resolve(
        &self,
        uri: &ureq::http::Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().unwrap_or_default();
        let usual = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        let port = uri.port_u16().unwrap_or(usual);
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let mut found = self.empty();
        if let Ok(ip) = bare.parse() {
            found.push(SocketAddr::new(ip, port));
        } else if host.eq_ignore_ascii_case("localhost") {
            found.push(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
            found.push(SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), port));
        } else {
            return self.0.resolve(uri, config, timeout);
        }
        Ok(found)
    }
}

fn check_scheme(url: &str) -> Result<(), ProbeError> {
    let starts = |scheme: &str| {
        url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    let why = if starts("http://") || (cfg!(feature = "https") && starts("https://")) {
        return Ok(());
    } else if starts("https://") {
        "this mak-init is built without https; use an http:// address, on loopback for example, \
         or build it with --features https"
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

/// Whom to believe.
#[cfg(feature = "https")]
mod tls {
    use std::io::Read;
    use std::path::Path;

    use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

    use super::ProbeError;
    use crate::health::probe::printable;

    /// As much of a file of certificates is read; Debian's has 220 KiB.
    const MOST_CERTIFICATES: u64 = 4 << 20;

    /// The authorities in the file; without one Mozilla's, which are part of the program, so that
    /// an image needs no ca-certificates.
    pub fn config(url: &str, authorities: Option<&Path>) -> Result<TlsConfig, ProbeError> {
        let roots = match authorities {
            None => RootCerts::WebPki,
            Some(path) => named(path).map_err(|why| {
                let (url, path) = (printable(url), path.to_owned());
                ProbeError::Authorities { url, path, why }
            })?,
        };
        Ok(TlsConfig::builder().root_certs(roots).build())
    }

    fn named(path: &Path) -> Result<RootCerts, String> {
        let mut pem = Vec::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(MOST_CERTIFICATES).read_to_end(&mut pem))
            .map_err(|error| error.to_string())?;
        let found: Vec<_> = parse_pem(&pem)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        if found.is_empty() {
            return Err("there is no certificate in it".to_owned());
        }
        Ok(RootCerts::new_with_certs(&found))
    }
}
