//! The container engine of a build host: does it answer, for which machine, with how much memory,
//! with BuildKit and buildx, with emulators for the other platforms? Asked over its own socket
//! (Docker Engine API); no client has to be installed. `proof` shows that it runs a container.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::proof;
use crate::config::package::EngineEntry;
use crate::platform::{Arch, Uname, read_regular};
use crate::verify::{Check, Status};

/// What the engine has for an answer.
pub const LIMIT: Duration = Duration::from_secs(10);
/// As much of an answer is read.
const LARGEST: u64 = 8 << 20;
/// A registered emulator is a few lines.
const LARGEST_ENTRY: u64 = 64 * 1024;
/// Where Linux tells which emulators are registered.
const BINFMT: &str = "/proc/sys/fs/binfmt_misc";
/// Where the client looks for its plugins, below the user's own folder.
const PLUGINS: [&str; 5] = [
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
    "/opt/homebrew/lib/docker/cli-plugins",
];

/// How to look.
pub struct Look<'a> {
    /// What the profile expects.
    pub entry: Option<&'a EngineEntry>,
    /// How a check ends that fails.
    pub failed: Status,
    /// DOCKER_HOST, HOME and the like.
    pub environment: &'a [(OsString, OsString)],
    /// Whether to run a container, and with which binary.
    pub proof: Option<Option<&'a Path>>,
}

/// What the engine says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Its version; `None` where it does not answer.
    pub version: Option<String>,
    /// Whether it has run a container; `None` where it was not asked to.
    pub runs: Option<bool>,
}

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

/// An answer.
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// `Builder-Version`, by which the engine names its default builder.
    pub builder: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// Makes every check.
pub fn check(look: &Look) -> (Found, Vec<Check>) {
    let mut found = Found::default();
    let address = match address(look.environment) {
        Ok(address) => address,
        Err(why) => {
            let check = Check::new("engine.reachable", look.failed, "container engine", why);
            let remedy = "start the engine, or name its socket with DOCKER_HOST=unix:///PATH";
            return (found, vec![check.remedy(remedy)]);
        }
    };
    let version = match json(&address, "/version") {
        Ok(version) => version,
        Err(why) => {
            let message = format!("{address} does not answer: {why}");
            let check = Check::new("engine.reachable", look.failed, "container engine", message);
            let remedy = "start the engine, and give this user the right to its socket";
            return (found, vec![check.remedy(remedy)]);
        }
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    found.version = Some(text(&version["Version"]));
    let message = format!("version {} at {address}", text(&version["Version"]));
    let mut checks =
        vec![Check::new("engine.reachable", Status::Pass, "container engine", message)];
    let arch = Arch::from_machine(&text(&version["Arch"]));
    checks.push(platform(&text(&version["Os"]), &text(&version["Arch"]), arch));
    match json(&address, "/info") {
        Ok(info) => checks.push(memory(look, info["MemTotal"].as_u64())),
        Err(why) => checks.push(Check::new("engine.memory", Status::Skip, "memory", why)),
    }
    checks.push(buildkit(look, &address));
    checks.push(buildx(look));
    checks.extend(emulators(look, &address, arch));
    if let Some(binary) = look.proof {
        let check = proof::run(&address, arch, binary, look.failed);
        found.runs = match check.status {
            Status::Skip => None,
            status => Some(status == Status::Pass),
        };
        checks.push(check);
    }
    (found, checks)
}

/// The engine that the Docker client would talk to, without its contexts.
pub fn address(environment: &[(OsString, OsString)]) -> Result<Address, String> {
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
            _ => Err(format!("DOCKER_HOST={host}: only unix:// and tcp:// without TLS are asked")),
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
    let shown = places.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
    places
        .into_iter()
        .find(|path| path.exists())
        .map(Address::Unix)
        .ok_or_else(|| format!("no engine's socket is there: looked at {}", shown.join(", ")))
}

fn platform(os: &str, word: &str, arch: Option<Arch>) -> Check {
    let own = Uname::of_this_process().arch();
    let message = format!("runs {os}/{word}");
    if arch == own || own.is_none() {
        return Check::new("engine.platform", Status::Pass, "engine's platform", message);
    }
    let message = format!("{message}, and this machine is {}", own.map_or("unknown", Arch::docker));
    Check::new("engine.platform", Status::Warn, "engine's platform", message)
        .remedy("name the platform with --platform when building, or use this machine's own engine")
}

fn memory(look: &Look, total: Option<u64>) -> Check {
    let Some(total) = total else {
        return Check::new("engine.memory", Status::Skip, "memory", "the engine does not tell");
    };
    let message = format!("{} MiB", total >> 20);
    match look.entry.and_then(|entry| entry.memory) {
        Some(least) if total < least => {
            let message = format!("{message}, and {} MiB are wanted", least >> 20);
            Check::new("engine.memory", look.failed, "memory", message)
                .remedy("give the engine's virtual machine more memory")
        }
        _ => Check::new("engine.memory", Status::Pass, "memory", message),
    }
}

/// `Builder-Version: 2` is BuildKit (Engine API, SystemPing).
fn buildkit(look: &Look, address: &Address) -> Check {
    let remedy = "use an engine from version 23 on, or set DOCKER_BUILDKIT=1";
    match ask(address, "GET", "/_ping", &[], LIMIT) {
        Ok(Answer { builder: Some(version), .. }) if version == "2" => {
            Check::new("engine.buildkit", Status::Pass, "BuildKit", "is the default builder")
        }
        Ok(_) => {
            let message = "is not the default builder";
            Check::new("engine.buildkit", look.failed, "BuildKit", message).remedy(remedy)
        }
        Err(why) => Check::new("engine.buildkit", look.failed, "BuildKit", why),
    }
}

fn buildx(look: &Look) -> Check {
    let variable = |name: &str| {
        let found = look.environment.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| PathBuf::from(value))
    };
    let own =
        variable("DOCKER_CONFIG").or_else(|| variable("HOME").map(|home| home.join(".docker")));
    let folders =
        own.map(|own| own.join("cli-plugins")).into_iter().chain(PLUGINS.map(PathBuf::from));
    let plugin = folders.map(|folder| folder.join("docker-buildx")).find(|path| path.is_file());
    match plugin {
        Some(path) => {
            let message = path.display().to_string();
            Check::new("engine.buildx", Status::Pass, "buildx", message)
        }
        None => {
            let wanted = look.entry.is_some_and(|entry| entry.buildx);
            let status = if wanted { look.failed } else { Status::Warn };
            Check::new("engine.buildx", status, "buildx", "the client has no such plugin")
                .remedy("install docker-buildx (docker-buildx-plugin in Docker's repositories)")
        }
    }
}

/// One check for each platform that is to be run and is not the engine's own. What an engine
/// elsewhere has registered cannot be read here.
fn emulators(look: &Look, address: &Address, arch: Option<Arch>) -> Vec<Check> {
    let mut checks = Vec::new();
    for platform in look.entry.map(|entry| entry.platforms.as_slice()).unwrap_or_default() {
        let word = platform.strip_prefix("linux/").unwrap_or(platform);
        let subject = platform.as_str();
        let Some(wanted) = Arch::from_machine(word) else {
            let message = "no platform that is known here";
            checks.push(Check::new("engine.emulator", look.failed, subject, message));
            continue;
        };
        if arch == Some(wanted) {
            let message = "the engine's own";
            checks.push(Check::new("engine.emulator", Status::Pass, subject, message));
            continue;
        }
        if !matches!(address, Address::Unix(_)) || !Path::new(BINFMT).exists() {
            let message = "what the engine's kernel has registered cannot be read from here";
            checks.push(Check::new("engine.emulator", Status::Skip, subject, message));
            continue;
        }
        checks.push(match emulator(wanted) {
            Some((name, true)) => {
                let message = format!("{name} is registered, and stays open for containers (F)");
                Check::new("engine.emulator", Status::Pass, subject, message)
            }
            Some((name, false)) => {
                let message =
                    format!("{name} is registered without the flag F: containers do not see it");
                Check::new("engine.emulator", look.failed, subject, message)
                    .remedy("register it with F: Debian's qemu-user-static does")
            }
            None => {
                Check::new("engine.emulator", look.failed, subject, "no emulator is registered")
                    .remedy(
                        "install qemu-user-static, or run an image that registers binfmt handlers",
                    )
            }
        });
    }
    checks
}

/// The registered emulator for an architecture, and whether its flags hold F (the kernel's
/// admin-guide/binfmt-misc). The machine stands in the magic, bytes 18 and 19 of an ELF header.
fn emulator(arch: Arch) -> Option<(String, bool)> {
    let entries = fs::read_dir(BINFMT).ok()?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name != "register" && name != "status")
        .collect();
    names.sort();
    names.into_iter().find_map(|name| {
        let bytes = read_regular(&Path::new(BINFMT).join(&name), LARGEST_ENTRY).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let machine = registered_machine(&text)?;
        (machine == arch.elf_machine()).then(|| (name, has_flag_f(&text)))
    })
}

fn registered_machine(text: &str) -> Option<u16> {
    let mut lines = text.lines();
    if lines.next() != Some("enabled") {
        return None;
    }
    let magic = text.lines().find_map(|line| line.strip_prefix("magic "))?;
    let byte = |at: usize| u8::from_str_radix(magic.get(2 * at..2 * at + 2)?, 16).ok();
    if magic.get(..8) != Some("7f454c46") {
        return None;
    }
    let pair = [byte(18)?, byte(19)?];
    // Byte 5 of the header is the byte order.
    Some(if byte(5)? == 2 { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) })
}

fn has_flag_f(text: &str) -> bool {
    text.lines().any(|line| line.strip_prefix("flags: ").is_some_and(|flags| flags.contains('F')))
}

fn json(address: &Address, path: &str) -> Result<Value, String> {
    let answer = ask(address, "GET", path, &[], LIMIT)?;
    if answer.status != 200 {
        return Err(format!("{path}: {}", told(&answer)));
    }
    serde_json::from_slice(&answer.body).map_err(|_| format!("{path}: the answer is not JSON"))
}

/// What an answer that is no success says.
pub fn told(answer: &Answer) -> String {
    let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let message = body.as_ref().and_then(|body| body["message"].as_str());
    format!("status {}: {}", answer.status, message.unwrap_or("no reason is given"))
}

/// One request of HTTP/1.1 on a connection of its own. A body is a tar archive or JSON.
pub fn ask(
    address: &Address,
    method: &str,
    path: &str,
    body: &[u8],
    limit: Duration,
) -> Result<Answer, String> {
    let plain = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => {
            format!("no answer within {} s", limit.as_secs())
        }
        _ => error.to_string(),
    };
    match address {
        Address::Unix(socket) => {
            let stream = UnixStream::connect(socket).map_err(plain)?;
            stream.set_read_timeout(Some(limit)).map_err(plain)?;
            stream.set_write_timeout(Some(limit)).map_err(plain)?;
            exchange(stream, method, path, body).map_err(plain)
        }
        Address::Tcp(host) => {
            let host = if host.contains(':') { host.clone() } else { format!("{host}:2375") };
            let mut addresses = host.to_socket_addrs().map_err(plain)?;
            let first = addresses.next().ok_or_else(|| format!("{host} has no address"))?;
            let stream = TcpStream::connect_timeout(&first, limit).map_err(plain)?;
            stream.set_read_timeout(Some(limit)).map_err(plain)?;
            stream.set_write_timeout(Some(limit)).map_err(plain)?;
            exchange(stream, method, path, body).map_err(plain)
        }
    }
}

fn exchange(
    mut stream: impl Read + Write,
    method: &str,
    path: &str,
    body: &[u8],
) -> std::io::Result<Answer> {
    let kind = if body.first() == Some(&b'{') { "application/json" } else { "application/x-tar" };
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: engine\r\nConnection: close\r\nContent-Type: {kind}\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    )?;
    stream.write_all(body)?;
    stream.flush()?;
    let mut reader = BufReader::new(stream.take(LARGEST));
    let status = line(&mut reader)?;
    let status = status.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.ok_or_else(|| std::io::Error::other("the answer is not HTTP"))?;
    let mut answer = Answer { status, builder: None, body: Vec::new() };
    let mut chunked = false;
    let mut length: Option<u64> = None;
    loop {
        let header = line(&mut reader)?;
        let Some((name, value)) = header.split_once(':') else { break };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
            "content-length" => length = value.parse().ok(),
            "builder-version" => answer.builder = Some(value.to_owned()),
            _ => {}
        }
    }
    match length {
        _ if chunked => read_chunks(&mut reader, &mut answer.body)?,
        Some(length) => {
            reader.take(length).read_to_end(&mut answer.body)?;
        }
        // 204 and 304 have no body; the engine keeps some connections open all the same.
        None if matches!(status, 204 | 304) => {}
        None => {
            reader.read_to_end(&mut answer.body)?;
        }
    }
    Ok(answer)
}

fn line(reader: &mut impl BufRead) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    reader.take(64 * 1024).read_until(b'\n', &mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

fn read_chunks(reader: &mut impl BufRead, body: &mut Vec<u8>) -> std::io::Result<()> {
    loop {
        let size = line(reader)?;
        let size = size.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16)
            .map_err(|_| std::io::Error::other("a chunk's size is no number"))?;
        if size == 0 {
            return Ok(());
        }
        if reader.by_ref().take(size).read_to_end(body)? as u64 != size {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        line(reader)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    struct Both(Cursor<Vec<u8>>, Vec<u8>);

    impl Read for Both {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            self.0.read(into)
        }
    }

    impl Write for Both {
        fn write(&mut self, from: &[u8]) -> std::io::Result<usize> {
            self.1.write(from)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn answered(text: &str) -> std::io::Result<Answer> {
        exchange(Both(Cursor::new(text.into()), Vec::new()), "GET", "/x", b"")
    }

    #[test]
    fn answers_come_whole_by_length_by_chunks_or_to_the_end() {
        let head = "HTTP/1.1 200 OK\r\nBuilder-Version: 2\r\n";
        let by_length = answered(&format!("{head}Content-Length: 3\r\n\r\nabcd")).unwrap();
        assert_eq!((by_length.body, by_length.builder.as_deref()), (b"abc".to_vec(), Some("2")));
        let chunks =
            format!("{head}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n");
        assert_eq!(answered(&chunks).unwrap().body, b"abcd");
        assert_eq!(answered(&format!("{head}\r\nrest")).unwrap().body, b"rest");
        assert!(answered("junk").is_err());
        assert!(answered(&format!("{head}Transfer-Encoding: chunked\r\n\r\n9\r\nabc")).is_err());
    }

    #[test]
    fn the_socket_is_dockers_own_choice_and_tls_is_refused_by_name() {
        let with = |host: &str| address(&[("DOCKER_HOST".into(), host.into())]);
        assert_eq!(with("unix:///x.sock"), Ok(Address::Unix("/x.sock".into())));
        assert_eq!(with("tcp://h:2375"), Ok(Address::Tcp("h:2375".to_owned())));
        assert!(with("ssh://h").unwrap_err().contains("ssh://h"));
    }

    #[test]
    fn an_emulators_machine_stands_in_its_magic() {
        let text = "enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: POF\noffset 0\n\
            magic 7f454c460201010000000000000000000200b700\nmask ffffffffffffff00fffffffffffffffffeffffff\n";
        assert_eq!(registered_machine(text), Some(183));
        assert!(has_flag_f(text));
        assert_eq!(registered_machine(&text.replace("enabled", "disabled")), None);
        let big = "enabled\nflags: \nmagic 7f454c4602020100000000000000000000020016\n";
        assert_eq!((registered_machine(big), has_flag_f(big)), (Some(22), false));
    }
}
