//! Who to be at a registry, from Docker's configuration file (docker login, "Credential stores"):
//! what is written in it, or what its helper program says.

use std::collections::BTreeMap;
use std::env;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::platform::read_regular;

/// The file has a line for each registry.
const LARGEST: u64 = 1 << 20;
/// What Docker Hub is called in it.
const HUB: &str = "https://index.docker.io/v1/";

/// Who to be.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A name and its password.
    Basic(String, String),
    /// A token that others are made from.
    Identity(String),
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    #[serde(default)]
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
struct Entry {
    #[serde(default)]
    auth: Option<String>,
    #[serde(default)]
    identitytoken: Option<String>,
}

/// What a helper says.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Helped {
    username: String,
    secret: String,
}

/// Who to be at `host`; `None` is nobody. What cannot be read is told.
pub fn of(host: &str) -> Result<Option<Credentials>, String> {
    let Some(path) = path() else { return Ok(None) };
    let bytes = match read_regular(&path, LARGEST) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    let file: File =
        serde_json::from_slice(&bytes).map_err(|error| format!("{}: {error}", path.display()))?;
    from_file(&file, host)
}

fn path() -> Option<PathBuf> {
    let folder = env::var_os("DOCKER_CONFIG").filter(|folder| !folder.is_empty());
    let folder = folder
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".docker")));
    folder.map(|folder| folder.join("config.json"))
}

fn from_file(file: &File, host: &str) -> Result<Option<Credentials>, String> {
    let server = if host == "registry-1.docker.io" { HUB } else { host };
    if let Some(helper) = file.cred_helpers.get(server).or(file.creds_store.as_ref()) {
        return ask(helper, server);
    }
    let bare = |name: &str| {
        let name =
            name.strip_prefix("https://").or_else(|| name.strip_prefix("http://")).unwrap_or(name);
        name.split('/').next().unwrap_or_default().to_owned()
    };
    let found = file
        .auths
        .get(server)
        .or_else(|| file.auths.iter().find(|(name, _)| bare(name) == host).map(|(_, entry)| entry));
    let Some(entry) = found else { return Ok(None) };
    if let Some(token) = entry.identitytoken.clone().filter(|token| !token.is_empty()) {
        return Ok(Some(Credentials::Identity(token)));
    }
    let pair = entry.auth.as_deref().and_then(from_base64).and_then(|bytes| {
        let text = String::from_utf8(bytes).ok()?;
        let (name, password) = text.split_once(':')?;
        Some(Credentials::Basic(name.to_owned(), password.trim_end_matches('\0').to_owned()))
    });
    Ok(pair)
}

/// Asks `docker-credential-HELPER get` (docker-credential-helpers, README).
fn ask(helper: &str, server: &str) -> Result<Option<Credentials>, String> {
    let program = format!("docker-credential-{helper}");
    let failed = |error: std::io::Error| format!("{program}: {error}");
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not want to hear has its reasons; its answer tells.
        let _ = stdin.write_all(server.as_bytes());
    }
    let output = child.wait_with_output().map_err(failed)?;
    if !output.status.success() {
        // It has nothing for this registry: ask as nobody.
        return Ok(None);
    }
    let helped: Helped = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("{program} does not answer as a helper: {error}"))?;
    Ok(Some(match helped.username.as_str() {
        "<token>" => Credentials::Identity(helped.secret),
        _ => Credentials::Basic(helped.username, helped.secret),
    }))
}

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// RFC 4648, section 4.
pub fn to_base64(bytes: &[u8]) -> String {
    let letter = |bits: u32| char::from(LETTERS[(bits & 63) as usize]);
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        out.push(letter(bits >> 18));
        out.push(letter(bits >> 12));
        out.push(if three.len() > 1 { letter(bits >> 6) } else { '=' });
        out.push(if three.len() > 2 { letter(bits) } else { '=' });
    }
    out
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let (mut bits, mut held) = (0_u32, 0);
    for byte in text.trim().trim_end_matches('=').bytes() {
        let value = LETTERS.iter().position(|letter| *letter == byte)?;
        bits = (bits << 6 | value as u32) & 0xffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_passwords_are_read_from_the_file() {
        let text = r#"{"auths": {"https://reg.example/v2/": {"auth": "bmFtZTpwYXNzOndvcmQ="},
            "other.example:5000": {"identitytoken": "t"}, "empty.example": {}}}"#;
        let file: File = serde_json::from_str(text).unwrap();
        let of = |host| from_file(&file, host).unwrap();
        let basic = Credentials::Basic("name".to_owned(), "pass:word".to_owned());
        assert!(of("reg.example") == Some(basic));
        assert!(of("other.example:5000") == Some(Credentials::Identity("t".to_owned())));
        assert!(of("empty.example").is_none() && of("third.example").is_none());
    }

    #[test]
    fn base64_is_read_as_it_is_written() {
        for text in ["", "f", "fo", "foo", "foob", "fooba", "foobar"] {
            assert_eq!(from_base64(&to_base64(text.as_bytes())).unwrap(), text.as_bytes());
        }
        assert_eq!(to_base64(b"fooba"), "Zm9vYmE=");
        assert_eq!(from_base64("a*"), None);
    }
}
