//! `mak deps` as a person meets it: databases of every package manager as its tools write them,
//! downloads from a server that is slow, lies or stops half-way, Python with and without rights,
//! the report in its shapes. Real package managers are in tests/deps.sh.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use sha2::{Digest, Sha256};

/// A folder that goes away with its test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("deps-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path.canonicalize().unwrap())
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Ended {
    code: i32,
    out: String,
    err: String,
}

impl Ended {
    #[track_caller]
    fn expect(&self, code: i32, texts: &[&str]) {
        assert_eq!(self.code, code, "{}\n{}", self.out, self.err);
        for text in texts {
            assert!(
                self.out.contains(text) || self.err.contains(text),
                "nobody says {text:?}:\n{}\n{}",
                self.out,
                self.err
            );
        }
    }
}

fn ended(output: Output) -> Ended {
    Ended {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn mak(folder: &Folder) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mak"));
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").current_dir(&folder.0);
    command.arg("deps");
    command
}

fn deps(folder: &Folder, profile: &str, arguments: &[&str]) -> Ended {
    let profile = folder.write("t.toml", format!("prefix = \"T_\"\n{profile}"));
    ended(mak(folder).arg("--profile").arg(profile).args(arguments).output().unwrap())
}

const PACKAGES: &str = r#"
[[package]]
name = "topology"
apt = ["libhwloc15"]
dnf = ["hwloc-libs"]
apk = ["hwloc"]
pacman = ["hwloc"]
zypper = ["libhwloc15"]
brew = ["hwloc"]
[[package]]
name = "magic"
apt = ["libmagic1"]
apk = ["libmagic"]
pacman = ["file"]
brew = ["libmagic"]
[[package]]
name = "headers"
need = "optional"
apt = ["libhwloc-dev"]
apk = ["hwloc-dev"]
pacman = ["opencl-headers"]
brew = ["opencl-headers"]
"#;

#[test]
fn the_databases_of_managers_that_are_not_here_are_read_as_their_tools_write_them() {
    for (id, files, remedies) in [
        (
            "alpine",
            &[(
                "lib/apk/db/installed",
                "C:Q1x=\nP:hwloc\nV:2.10.0-r0\nA:x86_64\nS:1\nI:2\nT:x\nU:x\nL:BSD\no:hwloc\nm:x\nt:1\nc:x\nD:so:libc.musl-x86_64.so.1\np:so:libhwloc.so.15=15.7.0\nF:usr\nF:usr/lib\nR:libhwloc.so.15\na:0:0:777\nZ:Q1x=\n\n",
            )][..],
            ["apk add libmagic", "apk add hwloc-dev"],
        ),
        (
            "arch",
            &[
                (
                    "var/lib/pacman/local/hwloc-2.11.2-1/desc",
                    "%NAME%\nhwloc\n\n%VERSION%\n2.11.2-1\n\n%BASE%\nhwloc\n\n%DESC%\nPortable Hardware Locality\n\n%DEPENDS%\nglibc\n\n",
                ),
                ("var/lib/pacman/local/ALPM_DB_VERSION", "9\n"),
            ][..],
            ["pacman -S file", "pacman -S opencl-headers"],
        ),
        (
            "macos",
            &[
                ("opt/homebrew/Cellar/hwloc/2.11.2/INSTALL_RECEIPT.json", "{}"),
                ("opt/homebrew/Cellar/libmagic/.keep", ""),
            ][..],
            ["brew install libmagic", "brew install opencl-headers"],
        ),
        (
            "debian",
            &[
                (
                    "var/lib/dpkg/status.d/libhwloc15",
                    "Package: libhwloc15\nVersion: 2.9.0-1\nArchitecture: amd64\n",
                ),
                ("var/lib/dpkg/status.d/libhwloc15.md5sums", "x  usr/lib/libhwloc.so.15\n"),
            ][..],
            ["apt-get install libmagic1", "apt-get install libhwloc-dev"],
        ),
    ] {
        let folder = Folder::new();
        folder.write("root/etc/os-release", format!("NAME=x\nID={id}\n"));
        for (path, content) in files {
            folder.write(&format!("root/{path}"), content);
        }
        let root = folder.at("root");
        let ended = deps(&folder, PACKAGES, &["--root", root.to_str().unwrap(), "--dry-run", "-v"]);
        ended.expect(69, &["topology: ", "magic: not installed", remedies[0], remedies[1]]);
        assert!(ended.out.contains(" 2.1") || ended.out.contains(" 2.9"), "{}", ended.out);
    }
}

#[test]
fn a_package_of_which_only_the_configuration_is_left_is_missing() {
    let folder = Folder::new();
    folder.write("root/etc/os-release", "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n");
    let gone = "Package: libhwloc15\nStatus: deinstall ok config-files\nVersion: 2\n\n\
        Package: libmagic1t64\nStatus: install ok installed\nVersion: 1\nProvides: libmagic1 (= 1)\n\n\
        Package: half\nStatus: install ok half-configured\nVersion: 1\n";
    folder.write("root/var/lib/dpkg/status", gone);
    let root = folder.at("root");
    let ended = deps(&folder, PACKAGES, &["--root", root.to_str().unwrap()]);
    ended.expect(69, &["topology: not installed: libhwloc15", "half-way: half", "dpkg --force"]);
    assert!(!ended.out.contains("magic: not installed"), "{}", ended.out);
}

#[test]
fn what_is_typed_or_written_wrongly_is_64_or_78_with_its_place() {
    let folder = Folder::new();
    let usage = |arguments: &[&str], text: &str| deps(&folder, "", arguments).expect(64, &[text]);
    usage(&["--format", "xml"], "none of text, json, junit, ipfs-kit");
    usage(&["--instal"], "did you mean \"install\"?");
    usage(&["--install", "--root", "/"], "run mak in that root");
    usage(&["--lock-timeout", "soon"], "--lock-timeout: \"soon\" is not a time");
    usage(&["--extras", "all"], "has no extra \"all\"");
    usage(&["--docker-only", "--without-engine"], "nothing to look at");
    usage(&["hwloc"], "takes no operand");
    usage(&["--requirements", "gone.txt"], "cannot read gone.txt");
    ended(mak(&folder).output().unwrap()).expect(64, &["name a profile", "ipfs-kit"]);
    deps(&folder, "[[package]]\napt = [\"-y\"]\n", &[])
        .expect(78, &["t.toml:3:8: apt: \"-y\" is no package name"]);
    let named = ended(mak(&folder).args(["--profile", "nothing"]).output().unwrap());
    named.expect(78, &["there is no profile \"nothing\""]);
}

#[test]
fn extras_are_typed_or_come_from_the_profiles_variable() {
    let folder = Folder::new();
    folder.write("root/etc/os-release", "ID=alpine\n");
    folder.write("root/lib/apk/db/installed", "P:musl\nV:1\n\n");
    let profile = "[[package]]\nname = \"gpu\"\nextras = [\"gpu\"]\napk = [\"pocl\"]\n\
        [[package]]\nname = \"compiler\"\nfor = \"build\"\napk = [\"build-base\"]\n";
    let root = folder.at("root");
    let root = ["--root", root.to_str().unwrap()];
    let run = |arguments: &[&str]| deps(&folder, profile, &[&root, arguments].concat());
    // What is only built with does not fail an image that runs.
    run(&[]).expect(0, &["pass: "]);
    run(&["--extras", "gpu"]).expect(69, &["apk add pocl"]);
    run(&["--build"]).expect(69, &["apk add build-base"]);
    let mut by_variable = mak(&folder);
    by_variable.env("T_EXTRAS", "gpu").arg("--profile").arg(folder.at("t.toml")).args(root);
    ended(by_variable.output().unwrap()).expect(69, &["apk add pocl"]);
}

#[test]
fn without_an_engine_docker_only_is_69_and_names_what_was_looked_at() {
    let folder = Folder::new();
    let socket = folder.at("none.sock");
    let mut command = mak(&folder);
    command.env("DOCKER_HOST", format!("unix://{}", socket.display())).arg("--docker-only");
    let ended = ended(command.output().unwrap());
    ended.expect(69, &["does not answer: No such file or directory", "none.sock"]);
}

/// An engine that gives these answers, one for each connection.
fn engine(folder: &Folder, answers: &'static [(&'static str, &'static str)]) -> PathBuf {
    let path = folder.at("engine.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let request = head(&mut stream);
            let answer = answers.iter().find(|(path, _)| request.contains(path));
            let body = answer.map_or("{\"message\": \"unknown\"}", |(_, body)| body);
            let status = if answer.is_some() { "200 OK" } else { "404 Not Found" };
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nBuilder-Version: 1\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
        }
    });
    path
}

fn head(stream: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        bytes.push(byte[0]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn an_engine_is_held_to_what_the_profile_expects_of_it() {
    let folder = Folder::new();
    let answers = &[
        ("/version", r#"{"Version": "19.3", "Os": "linux", "Arch": "s390x"}"#),
        ("/info", r#"{"MemTotal": 2147483648}"#),
        ("/_ping", "OK"),
    ];
    let socket = engine(&folder, answers);
    let profile = folder.write(
        "t.toml",
        "prefix = \"T_\"\n[engine]\nmemory = \"6GiB\"\nplatforms = [\"linux/s390x\", \"linux/vax\"]\nbuildx = true\n",
    );
    let mut command = mak(&folder);
    command.env("DOCKER_HOST", format!("unix://{}", socket.display())).arg("--dry-run");
    let ended =
        ended(command.env("HOME", &folder.0).arg("--profile").arg(profile).output().unwrap());
    ended.expect(
        69,
        &[
            "version 19.3 at unix://",
            "runs linux/s390x, and this machine is",
            "2048 MiB, and 6144 MiB are wanted",
            "BuildKit: is not the default builder",
            "linux/s390x: the engine's own",
            "linux/vax: no platform that is known here",
        ],
    );
    // A dry run starts no container.
    assert!(!ended.out.contains("engine.run"), "{}", ended.out);
}

#[test]
fn the_checkers_report_keeps_its_keys_and_types() {
    let folder = Folder::new();
    folder.write("root/etc/os-release", "ID=\"ubuntu\"\n");
    let status = "Package: libhwloc15\nStatus: install ok installed\nVersion: 2\n";
    folder.write("root/var/lib/dpkg/status", status);
    let root = folder.at("root");
    let report = folder.at("dependency_report.json");
    let arguments = ["--root", root.to_str().unwrap(), "--format", "ipfs-kit", "--report"];
    let profile = format!("{PACKAGES}\n[python]\nrequirements = [\"PyYAML>=6\", \"idna\"]\n");
    let ended = deps(&folder, &profile, &[&arguments[..], &[report.to_str().unwrap()]].concat());
    assert_eq!(ended.code, 69, "{}", ended.err);
    let printed: Value = serde_json::from_str(&ended.out).unwrap();
    let written: Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    assert_eq!(printed, written);
    let fixture = include_str!("fixtures/dependency_report.json");
    let fixture: Value = serde_json::from_str(fixture).unwrap();
    has_shape(&fixture, &printed, "");
    assert_eq!(printed["platform"]["distro"], "ubuntu");
    let packages = &printed["checks"]["system_packages"];
    assert_eq!((&packages["libhwloc15"], &packages["libmagic1"]), (&true.into(), &false.into()));
    assert_eq!(printed["checks"]["python_packages"]["pyyaml"], false);
}

/// Every key that both have is of the same type, and none is there that the other does not know.
fn has_shape(fixture: &Value, found: &Value, place: &str) {
    match (fixture, found) {
        (Value::Object(known), Value::Object(found)) => {
            // Names of packages are the user's.
            let free = place.ends_with("_packages");
            for (key, value) in found {
                let below = format!("{place}.{key}");
                match known.get(key).or(known.values().next().filter(|_| free)) {
                    Some(fixture) => has_shape(fixture, value, &below),
                    None => panic!("{below} is no key of the checker's report"),
                }
            }
        }
        (Value::Array(_), Value::Array(_))
        | (Value::Bool(_), Value::Bool(_))
        | (Value::String(_), Value::String(_)) => {}
        _ => panic!("{place} is {found}"),
    }
}

#[test]
fn junit_and_json_hold_the_same_checks() {
    let folder = Folder::new();
    folder.write("root/etc/os-release", "ID=alpine\n");
    folder.write("root/lib/apk/db/installed", "P:hwloc\nV:2\n\n");
    let root = folder.at("root");
    let root = ["--root", root.to_str().unwrap()];
    let json = deps(&folder, PACKAGES, &[&root[..], &["--format", "json"]].concat());
    let report: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((&report["schema"], &report["verdict"]), (&1.into(), &"fail".into()));
    let junit = deps(&folder, PACKAGES, &[&root[..], &["--format", "junit"]].concat());
    let cases = junit.out.matches("<testcase").count();
    assert_eq!(cases, report["checks"].as_array().unwrap().len());
    junit.expect(69, &["<failure type=\"package.missing\"", "Packages and tools"]);
    junit.expect(69, &["<testsuites name=\"mak deps\""]);
}

// Downloads.

/// How a server treats a request.
#[derive(Clone)]
enum Manner {
    Give(Vec<u8>),
    LieAboutLength(Vec<u8>),
    StopHalfWay(Vec<u8>),
    Redirect(String),
    Status(u16),
    Hang,
}

/// A server on this machine; its address, and how often it was asked.
fn server(manner: Manner) -> (String, std::sync::Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked = std::sync::Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            head(&mut stream);
            count.fetch_add(1, Ordering::SeqCst);
            serve(&manner, &mut stream);
            if matches!(manner, Manner::Hang) {
                kept.push(stream);
            }
        }
    });
    (format!("http://{address}/program"), asked)
}

fn serve(manner: &Manner, stream: &mut TcpStream) {
    let mut give = |length: usize, body: &[u8]| {
        let _ = write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        let _ = stream.write_all(body);
    };
    match manner {
        Manner::Give(body) => give(body.len(), body),
        Manner::LieAboutLength(body) => give(body.len() - 100, body),
        Manner::StopHalfWay(body) => give(body.len(), &body[..body.len() / 2]),
        Manner::Redirect(to) => {
            let _ =
                write!(stream, "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
        }
        Manner::Status(code) => {
            let _ = write!(stream, "HTTP/1.1 {code} No\r\nContent-Length: 0\r\n\r\n");
        }
        Manner::Hang => {
            let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc");
        }
    }
}

fn program() -> Vec<u8> {
    fs::read("/bin/true").unwrap()
}

/// The same for a machine that is neither this one nor one of its kin: e_machine, bytes 18 and 19.
fn foreign_program() -> Vec<u8> {
    let mut bytes = program();
    bytes[18..20].copy_from_slice(&243_u16.to_le_bytes());
    bytes
}

fn download(folder: &Folder, url: &str, wanted: &[u8], limit: &str) -> Ended {
    download_of(folder, url, wanted, limit, "")
}

/// With further lines for the `[[binary.download]]`.
fn download_of(folder: &Folder, url: &str, wanted: &[u8], limit: &str, more: &str) -> Ended {
    let hash: String = Sha256::digest(wanted).iter().map(|byte| format!("{byte:02x}")).collect();
    let platform = if cfg!(target_arch = "aarch64") { "linux/arm64" } else { "linux/amd64" };
    let destination = folder.at("new/bin/program");
    let profile = format!(
        "[[binary]]\nname = \"program-of-ours\"\ndestination = {destination:?}\n\
         [[binary.download]]\nplatform = {platform:?}\nurl = {url:?}\nsha256 = {hash:?}\n{more}"
    );
    // What is unpacked on the way lies where this test sees that it goes away.
    let spool = folder.at("spool");
    fs::create_dir_all(&spool).unwrap();
    let profile = folder.write("t.toml", format!("prefix = \"T_\"\n{profile}"));
    let mut command = mak(folder);
    command.env("TMPDIR", &spool).arg("--profile").arg(profile);
    let ended = ended(command.args(["--install", "--time-limit", limit]).output().unwrap());
    assert_eq!(fs::read_dir(&spool).unwrap().count(), 0);
    ended
}

/// Nothing is left of a failed download: neither the file, nor a part, nor a folder for it.
#[track_caller]
fn nothing_is_left(folder: &Folder) {
    assert!(!folder.at("new/bin").exists(), "{:?}", fs::read_dir(folder.at("new/bin")));
}

#[test]
fn a_program_is_fetched_through_a_redirect_and_put_in_place_whole() {
    let folder = Folder::new();
    let (url, _) = server(Manner::Give(program()));
    let (url, _) = server(Manner::Redirect(url));
    download(&folder, &url, &program(), "30s")
        .expect(0, &["bin/program: would start", "put right"]);
    let destination = folder.at("new/bin/program");
    assert!(fs::read(&destination).unwrap() == program());
    assert_eq!(destination.metadata().unwrap().permissions().mode() & 0o777, 0o755);
    assert_eq!(fs::read_dir(folder.at("new/bin")).unwrap().count(), 1);
    // The second time there is nothing to do.
    let (url, asked) = server(Manner::Status(500));
    download(&folder, &url, &program(), "30s").expect(0, &["pass"]);
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[test]
fn a_server_that_lies_is_refused_and_nothing_is_left() {
    let other = b"not what was agreed".repeat(100);
    for (manner, wanted, code, text) in [
        (Manner::Give(other), program(), 69, "the file's sha256 is"),
        (Manner::Give(foreign_program()), foreign_program(), 69, "another platform's"),
        (
            Manner::Give(b"#!/bin/sh\n".repeat(20)),
            b"#!/bin/sh\n".repeat(20),
            69,
            "it is no program",
        ),
        (Manner::LieAboutLength(program()), program(), 69, "the file's sha256 is"),
        (Manner::Status(404), program(), 69, "status 404"),
        (Manner::StopHalfWay(program()), program(), 75, "the download broke off after"),
        (Manner::Status(503), program(), 75, "status 503"),
    ] {
        let folder = Folder::new();
        let (url, asked) = server(manner);
        download(&folder, &url, &wanted, "30s").expect(code, &[text, "nothing was put in place"]);
        nothing_is_left(&folder);
        // What may pass is tried three times, what does not once.
        assert_eq!(asked.load(Ordering::SeqCst), if code == 75 { 3 } else { 1 }, "{text}");
    }
}

#[test]
fn a_server_that_hangs_is_left_at_the_deadline() {
    let folder = Folder::new();
    let (url, _) = server(Manner::Hang);
    let began = Instant::now();
    download(&folder, &url, &program(), "1s").expect(75, &["nothing was put in place"]);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    nothing_is_left(&folder);
}

// Archives.

const MEMBER: &str = "member = \"kubo/ipfs\"\n";

/// Files by name, packed by tar with these words. A name with `->` is a link.
fn tar(folder: &Folder, words: &[&str], files: &[(&str, &[u8])]) -> Vec<u8> {
    let inside = folder.at("packed");
    let _ = fs::remove_dir_all(&inside);
    for (name, content) in files {
        let (name, target) = name.split_once(" -> ").unwrap_or((name, ""));
        let path = inside.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match target {
            "" => fs::write(&path, content).unwrap(),
            target => std::os::unix::fs::symlink(target, &path).unwrap(),
        }
    }
    let mut tar = Command::new("tar");
    let output = tar.arg("-C").arg(&inside).args(words).arg("kubo").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::remove_dir_all(&inside).unwrap();
    output.stdout
}

#[test]
fn a_program_inside_of_an_archive_is_unpacked_alone_and_put_in_place_whole() {
    let readme = b"not the program".repeat(10_000);
    for words in [&["-cz"][..], &["-c"], &["--zstd", "-c"]] {
        let folder = Folder::new();
        let files: [(&str, &[u8]); 3] =
            [("kubo/LICENSE", &readme[..]), ("kubo/ipfs", &program()[..]), ("kubo/x/ipfs", b"x")];
        let archive = tar(&folder, words, &files);
        let (url, _) = server(Manner::Give(archive.clone()));
        download_of(&folder, &url, &archive, "60s", MEMBER).expect(0, &["put right"]);
        let destination = folder.at("new/bin/program");
        assert!(fs::read(&destination).unwrap() == program());
        assert_eq!(destination.metadata().unwrap().permissions().mode() & 0o7777, 0o755);
        // Nothing else of the archive is anywhere.
        assert_eq!(fs::read_dir(folder.at("new/bin")).unwrap().count(), 1);
        assert_eq!(fs::read_dir(folder.at("new")).unwrap().count(), 1);
    }
}

#[test]
fn an_archive_that_lies_or_is_hostile_is_refused_and_nothing_is_left() {
    let folder = Folder::new();
    let good = tar(&folder, &["-cz"], &[("kubo/ipfs", &program())]);
    let named = |name: &str| {
        let transform = format!("--transform=s,^kubo/ipfs$,{name},");
        tar(&folder, &["-P", "-cz", &transform], &[("kubo/ipfs", &program())])
    };
    let mut headless = tar(&folder, &["-c"], &[("kubo/ipfs", &program())]);
    headless[512 + 124] = b'9';
    let cut = good[..good.len() * 2 / 3].to_vec();
    for (archive, text) in [
        (tar(&folder, &["-cz"], &[("kubo/README", b"x")]), "the archive has no file kubo/ipfs"),
        (named("../kubo/ipfs"), "the archive has no file kubo/ipfs"),
        (named("/kubo/ipfs"), "the archive has no file kubo/ipfs"),
        (tar(&folder, &["-cz"], &[("kubo/ipfs -> /bin/true", b"")]), "kubo/ipfs is a link"),
        (tar(&folder, &["-cz"], &[("kubo/ipfs/x", b"")]), "kubo/ipfs is no plain file"),
        (tar(&folder, &["-cz"], &[("kubo/ipfs", &foreign_program())]), "another platform's"),
        (tar(&folder, &["-cz"], &[("kubo/ipfs", b"#!/bin/sh")]), "it is no program"),
        (headless, "the archive is no tar archive, or a broken one"),
        (cut, "the archive "),
        (program(), "the archive is no tar archive"),
    ] {
        let folder = Folder::new();
        let (url, asked) = server(Manner::Give(archive.clone()));
        let ended = download_of(&folder, &url, &archive, "60s", MEMBER);
        ended.expect(69, &[text, "nothing was put in place"]);
        nothing_is_left(&folder);
        assert_eq!(asked.load(Ordering::SeqCst), 1, "{text}");
    }
    // An archive is not the program, and a program is no archive: the profile says which it is.
    let (url, _) = server(Manner::Give(good.clone()));
    download(&folder, &url, &good, "60s").expect(69, &["it is no program"]);
    nothing_is_left(&folder);
}

#[test]
fn an_archive_from_a_server_that_is_slow_lies_or_stops_half_way_leaves_nothing() {
    let packing = Folder::new();
    let archive = tar(&packing, &["-cz"], &[("kubo/ipfs", &program())]);
    for (manner, limit, code, text) in [
        (Manner::StopHalfWay(archive.clone()), "60s", 75, "the download broke off after"),
        (Manner::LieAboutLength(archive.clone()), "60s", 69, "the file's sha256 is"),
        (Manner::Give(program()), "60s", 69, "the file's sha256 is"),
        (Manner::Status(404), "60s", 69, "status 404"),
        (Manner::Hang, "1s", 75, "nothing was put in place"),
    ] {
        let folder = Folder::new();
        let (url, _) = server(manner);
        download_of(&folder, &url, &archive, limit, MEMBER).expect(code, &[text]);
        nothing_is_left(&folder);
    }
}

#[test]
fn ctrl_c_ends_a_download_that_hangs_and_leaves_nothing() {
    let folder = Folder::new();
    let (url, asked) = server(Manner::Hang);
    let hash = "0".repeat(64);
    let profile = folder.write(
        "t.toml",
        format!(
            "prefix = \"T_\"\n[[binary]]\nname = \"p\"\ndestination = {:?}\n[[binary.download]]\n\
             platform = {:?}\nurl = {url:?}\nsha256 = {hash:?}\n",
            folder.at("new/bin/program"),
            if cfg!(target_arch = "aarch64") { "linux/arm64" } else { "linux/amd64" },
        ),
    );
    let mut command = mak(&folder);
    command.arg("--profile").arg(profile).arg("--install").stderr(std::process::Stdio::piped());
    let child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    while asked.load(Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
    let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let ended = ended(child.wait_with_output().unwrap());
    ended.expect(130, &["it goes on with what is missing"]);
    nothing_is_left(&folder);
}

#[test]
fn a_program_without_a_download_for_this_platform_says_for_which_it_is() {
    let folder = Folder::new();
    let profile = format!(
        "[[binary]]\nname = \"p-of-ours\"\ndestination = \"/opt/none\"\n[[binary.download]]\n\
         platform = \"linux/riscv64\"\nurl = \"http://127.0.0.1:1/\"\nsha256 = \"{}\"\n",
        "0".repeat(64)
    );
    deps(&folder, &profile, &[]).expect(69, &["the profile has it for linux/riscv64 only"]);
}

// Python.

/// These tests know nothing of mak-init: where it is one of another build they have been run.
fn seen_before() -> bool {
    std::env::var_os("MAK_INIT_BIN").is_some()
}

/// A virtual environment with pip, made once.
fn python() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("deps-python");
        if !path.join("bin/pip").exists() {
            let mut venv = Command::new("/usr/bin/python3");
            let made = venv.args(["-m", "venv", "--clear"]).arg(&path).status().unwrap();
            assert!(made.success(), "python3-venv is needed");
        }
        path
    })
}

/// A copy of it for one test, by the interpreter alone: distributions go into the copy.
fn environment(folder: &Folder) -> PathBuf {
    let path = folder.at("venv");
    let status = Command::new("cp").arg("-a").arg(python()).arg(&path).status().unwrap();
    assert!(status.success());
    path
}

/// Distributions in a folder that pip takes for an index: a wheel, a source that builds by
/// itself, a source whose build fails, a wheel of another platform.
fn index(folder: &Folder) -> PathBuf {
    let script = r#"
import io, sys, tarfile, zipfile
def wheel(name, tag="py3-none-any"):
    with zipfile.ZipFile(f"{sys.argv[1]}/{name}-1.0-{tag}.whl", "w") as file:
        info = f"{name}-1.0.dist-info"
        file.writestr(f"{name}.py", "")
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        file.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: {tag}\n")
        file.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
def source(name, build):
    backend = f'''
def build_wheel(folder, config=None, metadata=None):
    {build}
    import zipfile
    with zipfile.ZipFile(folder + "/{name}-1.0-py3-none-any.whl", "w") as file:
        info = "{name}-1.0.dist-info"
        file.writestr("{name}.py", "")
        file.writestr(info + "/METADATA", "Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0\\n")
        file.writestr(info + "/WHEEL", "Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        file.writestr(info + "/RECORD", "")
    return "{name}-1.0-py3-none-any.whl"
'''
    project = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    with tarfile.open(f"{sys.argv[1]}/{name}-1.0.tar.gz", "w:gz") as file:
        for path, text in [("PKG-INFO", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"), ("pyproject.toml", project), ("backend.py", backend)]:
            entry = tarfile.TarInfo(f"{name}-1.0/{path}")
            entry.size = len(text)
            file.addfile(entry, io.BytesIO(text.encode()))
wheel("maka")
wheel("makb")
wheel("makforeign", "cp39-cp39-win_amd64")
source("maksource", "pass")
source("makbroken", "raise RuntimeError('no compiler here')")
"#;
    let path = folder.at("index");
    fs::create_dir_all(&path).unwrap();
    let status = Command::new("/usr/bin/python3").args(["-c", script]).arg(&path).status().unwrap();
    assert!(status.success());
    path
}

fn in_environment(folder: &Folder, profile: &str, arguments: &[&str], with_uv: bool) -> Ended {
    let venv = environment(folder);
    let index = index(folder);
    let profile = folder.write("t.toml", format!("prefix = \"T_\"\n{profile}"));
    let mut path = format!("{}/bin:/usr/bin:/bin", venv.display());
    if with_uv {
        path = format!("{}:{path}", uv().parent().unwrap().display());
    }
    let mut command = mak(folder);
    command
        .env("PATH", path)
        .env("HOME", &folder.0)
        .env("PIP_NO_INDEX", "1")
        .env("PIP_FIND_LINKS", &index)
        .env("UV_NO_INDEX", "1")
        .env("UV_FIND_LINKS", &index)
        .env("UV_OFFLINE", "1");
    ended(command.arg("--profile").arg(profile).args(arguments).output().unwrap())
}

/// Astral's uv, in an environment of its own.
fn uv() -> PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("deps-uv");
        if !path.join("bin/uv").exists() {
            let pip = python().join("bin/python");
            let step = Command::new(pip)
                .args(["-m", "pip", "install", "-q", "--prefix"])
                .arg(&path)
                .arg("uv")
                .status();
            assert!(step.unwrap().success(), "uv comes from the package index");
        }
        path.join("bin/uv")
    });
    // A folder with uv and nothing else, so that it is no Python's.
    made.clone()
}

const PYTHON: &str = r#"
[[package]]
source_of = ["maksource", "makbroken"]
apt = ["mak-none"]
[python]
requirements = ["maka>=1", "maksource"]
optional = ["makbroken"]
[python.extras]
more = ["makb"]
"#;

#[test]
fn missing_distributions_are_69_in_a_dry_run_with_the_command_that_would_run() {
    if seen_before() {
        return;
    }
    let folder = Folder::new();
    let ended = in_environment(&folder, PYTHON, &["--dry-run", "--extras", "more"], false);
    ended.expect(
        69,
        &[
            "maka>=1 is not installed",
            "-m pip install --disable-pip-version-check --no-input 'maka>=1' maksource makb",
            "--no-input makbroken",
            "Distributions",
        ],
    );
    assert!(!folder.at("venv/lib/python3.11/site-packages/maka.py").exists());
}

#[test]
fn what_has_no_wheel_is_named_and_built_and_what_is_optional_and_fails_is_dropped() {
    if seen_before() {
        return;
    }
    for with_uv in [false, true] {
        let folder = Folder::new();
        let ended = in_environment(&folder, PYTHON, &["--install", "-v"], with_uv);
        ended.expect(
            0,
            &[
                "maksource: has no wheel for linux/",
                "building it needs mak-none",
                "makbroken: cannot be installed and is dropped: it is optional",
                "no compiler here",
                "1.0 satisfies maka>=1",
                "1.0 satisfies maksource",
            ],
        );
        let installer = if with_uv { "uv pip install" } else { "-m pip install" };
        assert!(ended.err.contains(installer), "{}", ended.err);
    }
}

#[test]
fn a_required_distribution_that_cannot_be_had_is_69_and_an_index_that_is_down_75() {
    if seen_before() {
        return;
    }
    let folder = Folder::new();
    let profile = "[python]\nrequirements = [\"maknowhere\"]\n";
    in_environment(&folder, profile, &["--install"], false)
        .expect(69, &["maknowhere: cannot be installed", "No matching distribution"]);
    let mut command = mak(&folder);
    command
        .env("PATH", format!("{}/bin:/usr/bin:/bin", folder.at("venv").display()))
        .env("HOME", &folder.0)
        .env("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
        .env("PIP_RETRIES", "1")
        .arg("--profile")
        .arg(folder.at("t.toml"))
        .arg("--install");
    ended(command.output().unwrap()).expect(75, &["the package index does not answer"]);
}

#[test]
fn a_python_of_the_distribution_is_left_alone_and_an_environment_proposed() {
    let folder = Folder::new();
    // The interpreter is this machine's shell, and is never run.
    folder.write("bin/python3.11", fs::read("/bin/sh").unwrap());
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder.at("bin/python3.11"), executable).unwrap();
    std::os::unix::fs::symlink("python3.11", folder.at("bin/python3")).unwrap();
    folder.write("lib/python3.11/os.py", "");
    folder.write("lib/python3.11/EXTERNALLY-MANAGED", "[externally-managed]\n");
    folder.write(
        "lib/python3.11/site-packages/pip-23.dist-info/METADATA",
        "Name: pip\nVersion: 23\n",
    );
    let profile = folder.write("t.toml", "prefix = \"T_\"\n[python]\nrequirements = [\"maka\"]\n");
    let mut command = mak(&folder);
    command.env("PATH", folder.at("bin")).arg("--profile").arg(profile).arg("--install");
    let ended = ended(command.output().unwrap());
    ended.expect(69, &["keeps pip out (PEP 668)", "-m venv .venv", "maka is not installed"]);
    assert!(!ended.err.contains("pip install"), "{}", ended.err);
}
