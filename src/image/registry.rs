//! Blobs of a registry (OCI distribution-spec 1.1, "Pull"; token authentication as Docker's
//! registry has it). A blob goes into a file without a name, since layers are read at any place.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, Read};
use std::time::Duration;

use serde::Deserialize;
use ureq::tls::{PemItem, RootCerts, TlsConfig};
use ureq::{Agent, Body, http::Response};

use super::credentials::{self, Credentials, to_base64};
use super::digest::Digest;
use super::error::ImageError;
use super::manifest::Descriptor;
use super::spool::{Spool, Spooling};
use super::store::check_digest;
use crate::platform::file::{Kind, Meta, Part};
use crate::platform::read_regular;

/// All kinds of index and manifest.
const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json";
/// An index or a manifest; the specification asks registries for 4 MiB.
const LARGEST_DOCUMENT: u64 = 8 << 20;
/// Until a connection stands, and between two pieces of an answer.
const CONNECT: Duration = Duration::from_secs(30);
const ANSWER: Duration = Duration::from_secs(60);
/// Where systems keep the certificates that they trust.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";
const LARGEST_CERTIFICATES: u64 = 8 << 20;

/// `HOST/NAME[:TAG|@DIGEST]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    host: String,
    name: String,
    /// A tag or a digest.
    version: String,
}

impl Reference {
    /// Reads it as Docker does: the first part is a host if it has a dot or a colon, or is
    /// localhost; without one it is Docker Hub's.
    pub fn parse(text: &str) -> Result<Reference, ImageError> {
        let wrong = || {
            ImageError::usage(format!(
                "registry:{text} names no image: it has to be registry:HOST/NAME, then :TAG or @DIGEST"
            ))
        };
        let (path, digest) = match text.split_once('@') {
            Some((path, digest)) => (path, Some(digest)),
            None => (text, None),
        };
        let (host, name) = match path.split_once('/') {
            Some((host, name)) if host.contains(['.', ':']) || host == "localhost" => (host, name),
            Some(_) => ("docker.io", path),
            None => ("docker.io", path),
        };
        let (name, tag) = match name.rsplit_once(':') {
            Some((name, tag)) => (name, Some(tag)),
            None => (name, None),
        };
        let plain = |text: &str, more: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        let name_is_plain =
            plain(name, "-_./") && !name.split('/').any(|part| part.is_empty() || part == "..");
        let version = digest.or(tag).unwrap_or("latest");
        let version_is_plain =
            if digest.is_some() { Digest::parse(version).is_some() } else { plain(version, "-_.") };
        if !name_is_plain || !version_is_plain || !plain(host, "-.:[]") {
            return Err(wrong());
        }
        let (host, name) = match (host, name.contains('/')) {
            ("docker.io", true) => ("registry-1.docker.io", name.to_owned()),
            ("docker.io", false) => ("registry-1.docker.io", format!("library/{name}")),
            (host, _) => (host, name.to_owned()),
        };
        Ok(Reference { host: host.to_owned(), name, version: version.to_owned() })
    }

    /// Registries on this machine speak plain HTTP, as engines assume too.
    fn base(&self) -> String {
        let bare = self.host.rsplit_once(':').map_or(self.host.as_str(), |(bare, _)| bare);
        let is_here = matches!(bare, "localhost" | "127.0.0.1" | "[::1]") || self.host == "[::1]";
        format!("{}://{}/v2/{}", if is_here { "http" } else { "https" }, self.host, self.name)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.version.contains(':') { '@' } else { ':' };
        write!(out, "{}/{}{mark}{}", self.host, self.name, self.version)
    }
}

/// A repository of a registry.
pub struct Registry {
    agent: Agent,
    base: String,
    host: String,
    credentials: Option<Credentials>,
    /// The header that it accepted last.
    authorization: RefCell<Option<String>>,
}

impl Registry {
    /// The repository that holds an image.
    pub fn new(reference: &Reference) -> Result<Registry, ImageError> {
        let credentials = credentials::of(&reference.host).map_err(ImageError::usage)?;
        let base = reference.base();
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(ANSWER))
            .user_agent(concat!("mak/", env!("CARGO_PKG_VERSION")))
            .tls_config(TlsConfig::builder().root_certs(trusted()).build());
        if base.starts_with("http:") {
            config = config.proxy(None);
        }
        Ok(Registry {
            agent: config.build().into(),
            base,
            host: reference.host.clone(),
            credentials,
            authorization: RefCell::new(None),
        })
    }

    /// What a tag or a digest names, with its bytes.
    pub fn top(&self, reference: &Reference) -> Result<(Descriptor, Vec<u8>), ImageError> {
        let (media_type, bytes) = self.manifest(&reference.version)?;
        let found = Digest::of(&bytes);
        if let Some(said) = Digest::parse(&reference.version).filter(|said| *said != found) {
            let text =
                format!("{reference}: the registry gives bytes of digest {found}, not {said}");
            return Err(ImageError::unfit(text));
        }
        let digest = found.to_string();
        let size = bytes.len() as u64;
        Ok((Descriptor { media_type, digest, size, ..Descriptor::default() }, bytes))
    }

    /// A manifest, an index or a configuration.
    pub fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, ImageError> {
        let is_manifest = descriptor.is_index() || descriptor.media_type.contains("manifest");
        let bytes = match is_manifest {
            true => self.manifest(&descriptor.digest)?.1,
            false => {
                let url = format!("{}/blobs/{}", self.base, descriptor.digest);
                self.body(self.get(&url, "*/*")?, &url)?
            }
        };
        check_digest(&bytes, descriptor)?;
        Ok(bytes)
    }

    /// A layer.
    pub fn blob(&self, digest: &Digest, descriptor: &Descriptor) -> Result<Part, ImageError> {
        let url = format!("{}/blobs/{digest}", self.base);
        let response = self.get(&url, "*/*")?;
        let failed = |error: io::Error| ImageError::passing(format!("{url}: {error}"));
        // One byte more than is promised would be noticed by the digest; a stream without an end
        // is not waited for.
        let reader = response.into_body().into_reader().take(descriptor.size.saturating_add(1));
        let spool = Spool::of(reader)
            .map_err(|(Spooling::Read(error) | Spooling::Write(error))| failed(error))?;
        let meta = Meta { kind: Kind::File, mode: 0o644, uid: 0, gid: 0, size: spool.end() };
        Ok(Part { file: spool.file(), start: 0, meta })
    }

    fn manifest(&self, version: &str) -> Result<(String, Vec<u8>), ImageError> {
        let url = format!("{}/manifests/{version}", self.base);
        let response = self.get(&url, ACCEPT)?;
        let kind = response.headers().get("content-type").and_then(|value| value.to_str().ok());
        let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_owned();
        Ok((kind, self.body(response, &url)?))
    }

    fn body(&self, mut response: Response<Body>, url: &str) -> Result<Vec<u8>, ImageError> {
        let mut bytes = Vec::new();
        let read =
            response.body_mut().as_reader().take(LARGEST_DOCUMENT + 1).read_to_end(&mut bytes);
        read.map_err(|error| ImageError::passing(format!("{url}: {error}")))?;
        if bytes.len() as u64 > LARGEST_DOCUMENT {
            return Err(ImageError::unfit(format!("{url} has more than {LARGEST_DOCUMENT} bytes")));
        }
        Ok(bytes)
    }

    /// Asks, and asks again with a token where the registry wants one.
    fn get(&self, url: &str, accept: &str) -> Result<Response<Body>, ImageError> {
        let authorization = self.authorization.borrow().clone();
        let mut response = self.once(url, accept, authorization.as_deref())?;
        if response.status().as_u16() == 401 {
            let challenge = response.headers().get("www-authenticate");
            let challenge =
                challenge.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
            let answer = self.answer(&challenge)?;
            response = self.once(url, accept, Some(&answer))?;
            *self.authorization.borrow_mut() = Some(answer);
        }
        match response.status().as_u16() {
            200 => Ok(response),
            401 | 403 => Err(ImageError::usage(format!(
                "{} refuses {url} ({}): docker login {} first",
                self.host,
                response.status(),
                self.host
            ))),
            404 => Err(ImageError::usage(format!("{} has no {url}", self.host))),
            429 | 500..=599 => {
                Err(ImageError::passing(format!("{url}: it answers {}", response.status())))
            }
            _ => Err(ImageError::unfit(format!("{url}: it answers {}", response.status()))),
        }
    }

    fn once(
        &self,
        url: &str,
        accept: &str,
        authorization: Option<&str>,
    ) -> Result<Response<Body>, ImageError> {
        let mut request = self.agent.get(url).header("Accept", accept);
        if let Some(value) = authorization {
            request = request.header("Authorization", value);
        }
        request.call().map_err(|error| ImageError::passing(format!("cannot reach {url}: {error}")))
    }

    /// The header that answers a challenge (RFC 9110, 11.6.1).
    fn answer(&self, challenge: &str) -> Result<String, ImageError> {
        let (scheme, rest) = challenge.split_once(' ').unwrap_or((challenge, ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return match &self.credentials {
                Some(Credentials::Basic(name, password)) => Ok(basic(name, password)),
                _ => Err(ImageError::usage(format!(
                    "{} wants a name and a password: docker login {} first",
                    self.host, self.host
                ))),
            };
        }
        let fields = fields(rest);
        let field = |key: &str| {
            fields.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
        };
        let Some(realm) = field("realm").filter(|_| scheme.eq_ignore_ascii_case("bearer")) else {
            return Err(ImageError::unfit(format!(
                "{} asks for what mak cannot: {challenge}",
                self.host
            )));
        };
        self.token(realm, field("service").unwrap_or_default(), field("scope").unwrap_or_default())
    }

    fn token(&self, realm: &str, service: &str, scope: &str) -> Result<String, ImageError> {
        #[derive(Deserialize)]
        struct Token {
            token: Option<String>,
            access_token: Option<String>,
        }
        // Who answers over TLS must not have a password sent in the open.
        if self.base.starts_with("https:") && !realm.starts_with("https:") {
            let text = format!("{} has its tokens at {realm}, which is not https", self.host);
            return Err(ImageError::unfit(text));
        }
        let passing =
            |error: ureq::Error| ImageError::passing(format!("cannot reach {realm}: {error}"));
        let mut response = match &self.credentials {
            Some(Credentials::Identity(token)) => self
                .agent
                .post(realm)
                .send_form([
                    ("grant_type", "refresh_token"),
                    ("refresh_token", token),
                    ("service", service),
                    ("scope", scope),
                    ("client_id", "mak"),
                ])
                .map_err(passing)?,
            credentials => {
                let mut request =
                    self.agent.get(realm).query("service", service).query("scope", scope);
                if let Some(Credentials::Basic(name, password)) = credentials {
                    request = request.header("Authorization", basic(name, password));
                }
                request.call().map_err(passing)?
            }
        };
        if response.status().as_u16() != 200 {
            return Err(ImageError::usage(format!(
                "{realm} gives no token ({}): docker login {} first",
                response.status(),
                self.host
            )));
        }
        let mut bytes = Vec::new();
        let read = response.body_mut().as_reader().take(1 << 20).read_to_end(&mut bytes);
        read.map_err(|error| ImageError::passing(format!("{realm}: {error}")))?;
        let token: Option<Token> = serde_json::from_slice(&bytes).ok();
        token
            .and_then(|token| token.token.or(token.access_token))
            .map(|token| format!("Bearer {token}"))
            .ok_or_else(|| ImageError::unfit(format!("{realm} gives no token that can be read")))
    }
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", to_base64(format!("{name}:{password}").as_bytes()))
}

/// `key="value"` between commas.
fn fields(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((key, behind)) = rest.split_once('=') {
        let key = key.trim_matches([' ', ',']).to_ascii_lowercase();
        let (value, after) = match behind.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => behind.split_once(',').unwrap_or((behind, "")),
        };
        found.push((key, value.to_owned()));
        rest = after;
    }
    found
}

/// What this system trusts, else what Mozilla does: a registry behind a company's own authority
/// is reached as other programs reach it.
fn trusted() -> RootCerts {
    let path = std::env::var_os("SSL_CERT_FILE").filter(|path| !path.is_empty());
    let path = path.unwrap_or_else(|| CERTIFICATES.into());
    let Ok(bytes) = read_regular(path.as_ref(), LARGEST_CERTIFICATES) else {
        return RootCerts::WebPki;
    };
    let found: Vec<_> = ureq::tls::parse_pem(&bytes)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if found.is_empty() { RootCerts::WebPki } else { RootCerts::new_with_certs(&found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_docker_reads_them() {
        let shown = |text| Reference::parse(text).map(|found| found.to_string()).ok();
        for (text, expected) in [
            ("alpine", "registry-1.docker.io/library/alpine:latest"),
            ("a/b:1", "registry-1.docker.io/a/b:1"),
            ("localhost:5000/a", "localhost:5000/a:latest"),
            ("ghcr.io/a/b/c:x.y", "ghcr.io/a/b/c:x.y"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(expected));
        }
        let digest = format!("x.example/a@{}", Digest::of(b""));
        assert_eq!(shown(&digest), Some(digest.clone()));
        for wrong in ["", "a/../b", "x.example/", "a b", "a@sha256:1", "a:b c", "a?b"] {
            assert!(shown(wrong).is_none(), "{wrong}");
        }
        assert!(Reference::parse("localhost:5000/a").unwrap().base().starts_with("http:"));
        assert!(Reference::parse("localhost.example/a").unwrap().base().starts_with("https:"));
    }

    #[test]
    fn a_challenge_is_taken_apart() {
        let found = fields(r#"realm="https://x/token",service="y, z",scope="repository:a:pull""#);
        let expected =
            [("realm", "https://x/token"), ("service", "y, z"), ("scope", "repository:a:pull")];
        assert_eq!(found, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }
}
