//! The container engine of a build host: does it answer, for which machine, with how much memory,
//! with BuildKit and buildx, with emulators for the other platforms? Asked over its own socket
//! (Docker Engine API); no client has to be installed. `proof` shows that it runs a container.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::proof;
use crate::config::package::EngineEntry;
use crate::engine::socket::{self, Address};
use crate::platform::{Arch, Uname, read_regular};
use crate::verify::{Check, Status};

/// What the engine has for an answer.
pub const LIMIT: Duration = Duration::from_secs(10);
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

/// An answer that has come.
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
    let address = match socket::address(look.environment) {
        Ok(address) => address,
        Err(why) => {
            let why = why.to_string();
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

/// One request and its whole answer; an error as a person reads it.
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
    let request = socket::Request { method, path, body, limit };
    let mut answer = socket::ask(address, request).map_err(plain)?;
    let body = answer.whole().map_err(plain)?;
    Ok(Answer { status: answer.status, builder: answer.builder, body })
}

#[cfg(test)]
mod tests {
    use super::*;

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
