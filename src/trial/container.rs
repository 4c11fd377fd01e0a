//! A container under test, by the engine's own commands. It is removed with everything that came
//! with it when the value goes, also after an interrupt.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::program;
use crate::engine::process::{self, Done, Fault, Program};

/// Where mak-init is mounted.
pub const MOUNTED: &str = "/.mak-under-test";
/// How long the engine may take for what needs no answer of the container.
const ENGINE: Duration = Duration::from_secs(120);

/// A container, by its name.
pub struct Container {
    name: String,
    removed_at_end: bool,
}

/// What the engine knows of a container.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Known {
    /// How it is.
    pub state: State,
    /// What the image says.
    pub config: Config,
    /// How often the engine started it again.
    pub restart_count: u64,
}

/// How a container is.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct State {
    /// Whether it runs.
    pub running: bool,
    /// Its code, once it has ended.
    pub exit_code: i32,
    /// Whether the kernel killed it for its memory.
    #[serde(rename = "OOMKilled")]
    pub oom_killed: bool,
    /// What its own health check says.
    pub health: Option<Health>,
}

/// What a HEALTHCHECK found.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Health {
    /// starting, healthy, unhealthy.
    pub status: String,
    /// The last looks.
    pub log: Option<Vec<Look>>,
}

/// A look of a HEALTHCHECK.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Look {
    /// Its code.
    pub exit_code: i32,
    /// What it said.
    pub output: String,
}

/// What an image says of itself.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Config {
    /// ENTRYPOINT.
    pub entrypoint: Option<Vec<String>>,
    /// CMD.
    pub cmd: Option<Vec<String>>,
    /// ENV.
    pub env: Option<Vec<String>>,
    /// EXPOSE: `8000/tcp`.
    pub exposed_ports: Option<std::collections::BTreeMap<String, serde::de::IgnoredAny>>,
    /// HEALTHCHECK.
    pub healthcheck: Option<Healthcheck>,
}

/// HEALTHCHECK.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    /// `CMD` or `CMD-SHELL`, then the words.
    pub test: Option<Vec<String>>,
}

impl Config {
    /// What is started: entrypoint, then command.
    pub fn words(&self) -> Vec<String> {
        let entrypoint = self.entrypoint.iter().flatten();
        entrypoint.chain(self.cmd.iter().flatten()).cloned().collect()
    }

    /// A variable of the image.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let all = self.env.iter().flatten().rev();
        all.filter_map(|one| one.split_once('='))
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// The lowest TCP port that the image exposes.
    pub fn port(&self) -> Option<u16> {
        let ports = self.exposed_ports.iter().flatten();
        ports.filter_map(|(port, _)| port.strip_suffix("/tcp")?.parse().ok()).min()
    }
}

/// What a container uses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Use {
    /// Bytes.
    pub memory: u64,
    /// Processes and threads.
    pub processes: u64,
    /// Percent of one processor.
    pub processor: f64,
}

impl Container {
    /// Takes over a container that was created under that name.
    pub fn new(name: &str, removed_at_end: bool) -> Container {
        Container { name: name.to_owned(), removed_at_end }
    }

    /// Starts it.
    pub fn start(&self) -> Result<Done, Fault> {
        engine(&["start", &self.name])
    }

    /// What the engine knows of it.
    pub fn known(&self) -> Result<Known, String> {
        let done =
            engine(&["inspect", "--type", "container", "--format", "{{json .}}", &self.name]);
        let done = done.map_err(|fault| fault.to_string())?;
        serde_json::from_str(&done.out).map_err(|_| format!("cannot inspect: {}", done.last_line()))
    }

    /// Runs a program inside.
    pub fn exec(&self, words: &[&str], limit: Duration) -> Result<Done, Fault> {
        let all: Vec<&str> =
            ["docker", "exec", &self.name].into_iter().chain(words.iter().copied()).collect();
        process::run(&Program::new(&all).within(limit))
    }

    /// Where a port of it is reached from here.
    pub fn address(&self, port: u16) -> Option<SocketAddr> {
        let done = engine(&["port", &self.name, &format!("{port}/tcp")]).ok()?;
        let line = done.out.lines().next()?;
        let port = line.rsplit(':').next()?.trim().parse().ok()?;
        Some((Ipv4Addr::LOCALHOST, port).into())
    }

    /// The beginning of a file of it, symbolic links followed.
    pub fn file(&self, path: &str) -> Option<Vec<u8>> {
        let from = format!("{}:{path}", self.name);
        let mut child = std::process::Command::new("docker")
            .args(["cp", "--follow-link", &from, "-"])
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .ok()?;
        let bytes = child.stdout.take().and_then(program::first_file);
        let _ = child.kill();
        let _ = child.wait();
        bytes
    }

    /// What it uses now.
    pub fn usage(&self) -> Result<Use, String> {
        let done = engine(&["stats", "--no-stream", "--format", "{{json .}}", &self.name]);
        let done = done.map_err(|fault| fault.to_string())?;
        usage(&done.out).ok_or_else(|| format!("docker stats says: {}", done.last_line()))
    }

    /// The last lines of its log.
    pub fn log(&self) -> Vec<String> {
        let Ok(done) = engine(&["logs", "--tail", "8", &self.name]) else { return Vec::new() };
        done.err.lines().chain(done.out.lines()).map(ToOwned::to_owned).collect()
    }

    /// Stops it as the engine does: the stop signal, 10 s, KILL.
    pub fn stop(&self) -> Result<Done, Fault> {
        engine(&["stop", &self.name])
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if self.removed_at_end {
            let remove = Program::new(&["docker", "rm", "--force", "--volumes", &self.name]);
            let _ = process::run(&remove.in_any_case().within(ENGINE));
        }
    }
}

/// `docker …`.
pub fn engine(words: &[&str]) -> Result<Done, Fault> {
    let all: Vec<&str> = ["docker"].into_iter().chain(words.iter().copied()).collect();
    process::run(&Program::new(&all).within(ENGINE))
}

/// The words that create it. `platform`: nothing where the image is for another one and is run as
/// it is.
pub fn create_words(
    request: &super::Request,
    name: &str,
    platform: Option<&str>,
    port: u16,
    binary: &Path,
) -> Vec<String> {
    let mut words: Vec<String> =
        ["create", "--pull", "never", "--name", name].map(String::from).to_vec();
    if let Some(platform) = platform {
        words.extend(["--platform".to_owned(), platform.to_owned()]);
    }
    words.extend(["--publish".to_owned(), format!("127.0.0.1::{port}")]);
    words.extend(["--volume".to_owned(), format!("{}:{MOUNTED}:ro", binary.display())]);
    words.extend(request.options.iter().cloned());
    words.push(request.image.clone());
    words
}

fn usage(line: &str) -> Option<Use> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Stats {
        mem_usage: String,
        #[serde(rename = "PIDs")]
        pids: String,
        #[serde(rename = "CPUPerc")]
        cpu: String,
    }
    let stats: Stats = serde_json::from_str(line.trim()).ok()?;
    Some(Use {
        memory: size(stats.mem_usage.split('/').next()?.trim())?,
        processes: stats.pids.parse().ok()?,
        processor: stats.cpu.trim_end_matches('%').parse().ok()?,
    })
}

/// `12.3MiB`, as docker stats writes it.
fn size(word: &str) -> Option<u64> {
    let at = word.find(|c: char| c.is_ascii_alphabetic())?;
    let number: f64 = word[..at].trim().parse().ok().filter(|number: &f64| *number >= 0.0)?;
    let unit: f64 = match &word[at..] {
        "B" => 1.0,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        "kB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        _ => return None,
    };
    Some((number * unit) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_docker_stats_writes_is_read() {
        let line = r#"{"CPUPerc":"1.50%","MemUsage":"12.5MiB / 7.6GiB","PIDs":"3","Name":"x"}"#;
        assert_eq!(usage(line), Some(Use { memory: 13_107_200, processes: 3, processor: 1.5 }));
        assert_eq!(usage(r#"{"CPUPerc":"--","MemUsage":"-- / --","PIDs":"--"}"#), None);
    }

    #[test]
    fn an_image_says_what_it_runs_and_where_it_listens() {
        let text = r#"{"State":{"Running":true,"ExitCode":0},"RestartCount":0,"Config":{
            "Entrypoint":["/mak-init"],"Cmd":["a"],"Env":["PATH=/x","PATH=/y"],
            "ExposedPorts":{"9000/tcp":{},"53/udp":{},"8000/tcp":{}}}}"#;
        let known: Known = serde_json::from_str(text).unwrap();
        assert_eq!(known.config.words(), ["/mak-init", "a"]);
        assert_eq!(known.config.port(), Some(8000));
        assert_eq!(known.config.variable("PATH"), Some("/y"));
    }
}
