//! Proves a container engine by what it is for: an image of one file, our own static `mak-init`,
//! goes in over the socket, runs, prints its version and is taken out again. Nothing is pulled,
//! so that it holds without a network and in a closed one.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::engine::{LIMIT, ask, told};
use crate::elf;
use crate::engine::socket::Address;
use crate::image::digest::Digest;
use crate::platform::{Arch, read_regular};
use crate::verify::{Check, Status};

/// Loading and running take longer than an answer, more on a busy machine.
const RUN_LIMIT: Duration = Duration::from_secs(60);
/// Our binary is less than 2 MB.
const LARGEST: u64 = 256 << 20;
/// Blocks of a tar archive (POSIX.1, pax interchange format).
const BLOCK: usize = 512;

/// Runs it. `named` is the binary that was asked for.
pub fn run(address: &Address, arch: Option<Arch>, named: Option<&Path>, failed: Status) -> Check {
    const SUBJECT: &str = "a container of our own";
    let (path, arch) = match arch.map(|arch| (binary(named, arch), arch)) {
        Some((Ok(path), arch)) => (path, arch),
        Some((Err(why), _)) => return Check::new("engine.run", Status::Skip, SUBJECT, why),
        None => {
            let why = "the engine's machine is not known here";
            return Check::new("engine.run", Status::Skip, SUBJECT, why);
        }
    };
    let image = format!("mak-deps-proof:{}", std::process::id());
    let outcome = archive(&path, arch, &image).and_then(|tar| prove(address, &image, &tar));
    match outcome {
        Ok(printed) => {
            let message = format!("an image of one file ran and printed {:?}", printed.trim());
            Check::new("engine.run", Status::Pass, SUBJECT, message)
        }
        Err(why) => Check::new("engine.run", failed, SUBJECT, why)
            .remedy("look at the engine's own log; it does not run the smallest image there is"),
    }
}

/// A static program of ours for this machine: the one that was named, `mak-init` beside this
/// program, or this program itself.
fn binary(named: Option<&Path>, arch: Arch) -> Result<PathBuf, String> {
    let own = std::env::current_exe().ok();
    let beside = own.as_ref().and_then(|own| Some(own.parent()?.join("mak-init")));
    let candidates: Vec<PathBuf> = match named {
        Some(path) => vec![path.to_owned()],
        None => beside.into_iter().chain(own).collect(),
    };
    let mut whys = Vec::new();
    for path in candidates {
        match fits(&path, arch) {
            Ok(()) => return Ok(path),
            Err(why) => whys.push(format!("{}: {why}", path.display())),
        }
    }
    Err(format!(
        "there is no static binary of ours to run ({}); --mak-init names one",
        whys.join("; ")
    ))
}

fn fits(path: &Path, arch: Arch) -> Result<(), String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let object = elf::read(&file).map_err(|error| error.to_string())?;
    object.identity.runs_on(arch).map_err(|mismatch| mismatch.to_string())?;
    match object.interpreter.is_none() && object.needed.is_empty() {
        true => Ok(()),
        false => Err("is not static".to_owned()),
    }
}

fn prove(address: &Address, image: &str, tar: &[u8]) -> Result<String, String> {
    let load = ask(address, "POST", "/images/load?quiet=1", tar, RUN_LIMIT)?;
    if load.status != 200 {
        return Err(format!("the image cannot be loaded: {}", told(&load)));
    }
    // The engine tells a bad archive in the body of a 200.
    let answer = String::from_utf8_lossy(&load.body);
    if answer.contains("\"error\"") {
        return Err(format!("the image cannot be loaded: {}", answer.trim()));
    }
    let printed = contain(address, image);
    let _ = ask(address, "DELETE", &format!("/images/{image}?force=1"), &[], LIMIT);
    printed
}

fn contain(address: &Address, image: &str) -> Result<String, String> {
    let wanted = json!({
        "Image": image,
        "Cmd": ["/mak-init", "--version"],
        "NetworkDisabled": true,
        "HostConfig": {"NetworkMode": "none"},
    });
    let made = ask(address, "POST", "/containers/create", wanted.to_string().as_bytes(), LIMIT)?;
    let body: Value = serde_json::from_slice(&made.body).unwrap_or_default();
    let Some(id) = body["Id"].as_str().filter(|_| made.status == 201) else {
        return Err(format!("the container cannot be made: {}", told(&made)));
    };
    let printed = start(address, id);
    let _ = ask(address, "DELETE", &format!("/containers/{id}?force=1"), &[], RUN_LIMIT);
    printed
}

fn start(address: &Address, id: &str) -> Result<String, String> {
    let started = ask(address, "POST", &format!("/containers/{id}/start"), &[], RUN_LIMIT)?;
    if started.status != 204 {
        return Err(format!("the container does not start: {}", told(&started)));
    }
    let ended = ask(address, "POST", &format!("/containers/{id}/wait"), &[], RUN_LIMIT)?;
    let body: Value = serde_json::from_slice(&ended.body).unwrap_or_default();
    let logs = format!("/containers/{id}/logs?stdout=1&stderr=1");
    let printed = plain(&ask(address, "GET", &logs, &[], LIMIT)?.body);
    match body["StatusCode"].as_i64() {
        Some(0) if printed.starts_with("mak") => Ok(printed),
        Some(0) => Err(format!("the container printed {printed:?} and not our version")),
        Some(code) => Err(format!("the container ended with {code} and printed {printed:?}")),
        None => Err(format!("the engine does not tell how the container ended: {}", told(&ended))),
    }
}

/// Logs come in frames of eight bytes: the stream, and the length in the last four (Engine API,
/// ContainerAttach).
fn plain(frames: &[u8]) -> String {
    let mut text = Vec::new();
    let mut rest = frames;
    while let Some((head, body)) = rest.split_at_checked(8) {
        let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let length = length.min(body.len());
        text.extend_from_slice(&body[..length]);
        rest = &body[length..];
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// An archive as `docker save` makes it: a manifest, a configuration, one layer.
fn archive(binary: &Path, arch: Arch, image: &str) -> Result<Vec<u8>, String> {
    let bytes = read_regular(binary, LARGEST)
        .map_err(|error| format!("cannot read {}: {error}", binary.display()))?;
    let mut layer = Tar::default();
    layer.file("mak-init", 0o755, &bytes);
    let layer = layer.end();
    let (architecture, variant) =
        arch.docker().split_once('/').map_or((arch.docker(), None), |(a, v)| (a, Some(v)));
    let mut config = json!({
        "os": "linux",
        "architecture": architecture,
        "config": {"Entrypoint": null},
        "rootfs": {"type": "layers", "diff_ids": [Digest::of(&layer).to_string()]},
    });
    if let Some(variant) = variant {
        config["variant"] = json!(variant);
    }
    let config = config.to_string();
    let name = format!("{}.json", Digest::of(config.as_bytes()).hex());
    let manifest =
        json!([{"Config": name, "RepoTags": [image], "Layers": ["layer.tar"]}]).to_string();
    let mut outer = Tar::default();
    outer.file("manifest.json", 0o644, manifest.as_bytes());
    outer.file(&name, 0o644, config.as_bytes());
    outer.file("layer.tar", 0o644, &layer);
    Ok(outer.end())
}

/// A tar archive of plain files with short names.
#[derive(Default)]
struct Tar {
    bytes: Vec<u8>,
}

impl Tar {
    fn file(&mut self, name: &str, mode: u32, content: &[u8]) {
        let mut header = [0_u8; BLOCK];
        let mut put = |at: usize, text: &str| {
            header[at..at + text.len()].copy_from_slice(text.as_bytes());
        };
        put(0, name);
        put(100, &format!("{mode:07o}"));
        put(108, "0000000");
        put(116, "0000000");
        put(124, &format!("{:011o}", content.len()));
        put(136, "00000000000");
        // The checksum is taken with spaces in its place.
        put(148, "        ");
        put(156, "0");
        put(257, "ustar");
        put(263, "00");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        self.bytes.extend_from_slice(&header);
        self.bytes.extend_from_slice(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), 0);
    }

    fn end(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 2 * BLOCK, 0);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    #[test]
    fn tar_reads_the_archive_that_goes_in() {
        let mut tar = Tar::default();
        tar.file("mak-init", 0o755, &[7; 700]);
        tar.file("manifest.json", 0o644, b"[]");
        let mut child = Command::new("tar")
            .args(["-tvf", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&tar.end()).unwrap();
        let listed = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        assert!(listed.contains("-rwxr-xr-x") && listed.contains(" 700 "), "{listed}");
        assert!(listed.lines().count() == 2 && listed.contains("manifest.json"), "{listed}");
    }

    #[test]
    fn logs_are_taken_out_of_their_frames() {
        let frames = b"\x01\0\0\0\0\0\0\x03mak\x02\0\0\0\0\0\0\xff!";
        assert_eq!(plain(frames), "mak!");
        assert_eq!(plain(b"\x01\0"), "");
    }
}
