//! A real Python environment: the 22 requirements of IPFS Kit, installed from the package index,
//! verified, then broken three ways.
//!
//! Needs python3 with venv, and the index that pip is configured for. The environment is kept in
//! cargo's target folder for the next run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

mod harness;

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use harness::endpoint::{ask, free_address};
use harness::{Folder, Launch, Place};

const REQUIREMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/requirements.txt");

/// The installed environment; nobody writes to it.
fn installed() -> &'static Path {
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    INSTALLED.get_or_init(install)
}

fn install() -> PathBuf {
    let mut hasher = DefaultHasher::new();
    fs::read(REQUIREMENTS).unwrap().hash(&mut hasher);
    printed(Command::new("python3").arg("--version")).hash(&mut hasher);
    let name = format!("python-environment-{:016x}", hasher.finish());
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let complete = environment.join("complete");
    if !complete.exists() {
        let _ = fs::remove_dir_all(&environment);
        printed(Command::new("python3").args(["-m", "venv"]).arg(&environment));
        let mut pip = Command::new(environment.join("bin/python"));
        printed(pip.args(["-m", "pip", "install", "--quiet", "-r", REQUIREMENTS]));
        fs::write(complete, "").unwrap();
    }
    environment
}

/// The standard output of a command that has to succeed.
fn printed(command: &mut Command) -> String {
    let ended = command.output().unwrap_or_else(|why| panic!("cannot run {command:?}: {why}"));
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{command:?}: {}\n{said}", ended.status);
    String::from_utf8(ended.stdout).unwrap()
}

/// A copy of the environment that a test may break. Its files are the same ones under a second
/// name: what is changed is removed first.
struct Copy {
    folder: Folder,
}

impl Copy {
    fn new() -> Copy {
        let folder = Folder::below(Path::new(env!("CARGO_TARGET_TMPDIR")));
        copy(installed(), &folder.path().join("venv"));
        Copy { folder }
    }

    fn python(&self) -> String {
        self.folder.at("venv/bin/python")
    }

    /// The one file or folder in site-packages whose path, below it, begins and ends so.
    fn find(&self, folder: &str, start: &str, end: &str) -> PathBuf {
        let lib = self.folder.path().join("venv/lib");
        let python = fs::read_dir(lib).unwrap().next().unwrap().unwrap().path();
        let parent = python.join("site-packages").join(folder);
        let found = fs::read_dir(&parent).unwrap().map(|entry| entry.unwrap()).find(|entry| {
            let name = entry.file_name().into_string().unwrap();
            name.starts_with(start) && name.ends_with(end)
        });
        found.unwrap_or_else(|| panic!("{start}*{end} in {}", parent.display())).path()
    }

    fn remove_jsonpatch(&self) {
        fs::remove_dir_all(self.find("", "jsonpatch-", ".dist-info")).unwrap();
    }

    fn age_httpx(&self) {
        let path = self.find("", "httpx-", ".dist-info").join("METADATA");
        let text = fs::read_to_string(&path).unwrap();
        let version = text.lines().find(|line| line.starts_with("Version: ")).unwrap();
        replace(&path, text.replacen(version, "Version: 0.1.0", 1));
    }

    /// Writes the other one of the two machines into the ELF header of an extension module.
    fn swap_psutil(&self) -> &'static str {
        let path = self.find("psutil", "_psutil_linux", ".so");
        let mut bytes = fs::read(&path).unwrap();
        let (machine, name) = if bytes[18] == 183 { (62, "x86-64") } else { (183, "aarch64") };
        bytes[18] = machine;
        replace(&path, bytes);
        name
    }
}

fn replace(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let target = to.join(entry.file_name());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            copy(&entry.path(), &target);
        } else if kind.is_symlink() {
            symlink(fs::read_link(entry.path()).unwrap(), &target).unwrap();
        } else {
            fs::hard_link(entry.path(), &target).unwrap();
        }
    }
}

/// The report of the full form, which has to end with this code.
fn report(python: &str, code: i32) -> serde_json::Value {
    let arguments = ["verify", "--requirements", REQUIREMENTS, "--python", python, "--full"];
    let ended =
        Launch::beside().arguments(&arguments).arguments(&["--format", "json"]).start().end();
    ended.expect(code);
    serde_json::from_str(ended.text()).unwrap()
}

/// The checks of a report that ended so, as id, subject and message.
fn checks(report: &serde_json::Value, status: &str) -> Vec<[String; 3]> {
    let text = |check: &serde_json::Value, key: &str| check[key].as_str().unwrap().to_owned();
    let all = report["checks"].as_array().unwrap().iter();
    all.filter(|check| check["status"] == status)
        .map(|check| [text(check, "id"), text(check, "subject"), text(check, "message")])
        .collect()
}

#[track_caller]
fn names(failed: &[[String; 3]], id: &str, subject: &str, words: &[&str]) {
    let found = failed.iter().any(|[this, whose, message]| {
        this == id && whose == subject && words.iter().all(|word| message.contains(word))
    });
    assert!(found, "{id} {subject} {words:?} is not in {failed:#?}");
}

/// The names in the file of requirements, as they are compared (PEP 503).
fn required() -> Vec<String> {
    let text = fs::read_to_string(REQUIREMENTS).unwrap();
    let name = |line: &str| {
        line.split(|c: char| "[<>=!~ ".contains(c)).next().unwrap_or_default().to_lowercase()
    };
    text.lines().map(name).filter(|name| !name.is_empty()).collect()
}

#[test]
fn a_fresh_environment_passes_with_every_requirement_looked_at() {
    let python = installed().join("bin/python");
    let report = report(python.to_str().unwrap(), 0);
    assert_eq!(report["verdict"], "pass", "{:#?}", checks(&report, "warn"));
    let satisfied: Vec<String> = checks(&report, "pass")
        .into_iter()
        .filter(|[id, ..]| id == "dist.version")
        .map(|[_, subject, _]| subject.to_lowercase())
        .collect();
    let required = required();
    assert_eq!(required.len(), 22);
    assert_eq!(satisfied, required);
}

#[test]
fn a16_a_distribution_that_was_removed_is_named() {
    let copy = Copy::new();
    copy.remove_jsonpatch();
    let failed = checks(&report(&copy.python(), 69), "fail");
    names(&failed, "dist.missing", "jsonpatch", &["jsonpatch>=1.33"]);
}

#[test]
fn a8_a_version_that_was_edited_is_named() {
    let copy = Copy::new();
    copy.age_httpx();
    let failed = checks(&report(&copy.python(), 69), "fail");
    names(&failed, "dist.version", "httpx", &["0.1.0", "httpx>=0.24.0"]);
}

#[test]
fn a9_an_extension_module_of_another_machine_is_named() {
    let copy = Copy::new();
    let machine = copy.swap_psutil();
    let failed = checks(&report(&copy.python(), 69), "fail");
    names(&failed, "elf.machine", "psutil", &["_psutil_linux", machine]);
}

#[test]
fn a9_a_wheel_for_another_machine_is_named_with_file_tag_and_machine() {
    let copy = Copy::new();
    let old = copy.find("", "psutil-", ".dist-info");
    let site = old.parent().unwrap().to_owned();
    fs::remove_dir_all(&old).unwrap();
    fs::remove_dir_all(site.join("psutil")).unwrap();
    let other = if cfg!(target_arch = "aarch64") { "x86_64" } else { "aarch64" };
    let platform = format!("manylinux2014_{other}");
    let mut pip = Command::new(installed().join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:"]);
    pip.args(["--platform", &platform, "psutil>=5.9", "--target"]).arg(&site);
    let ended = pip.output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let failed = checks(&report(&copy.python(), 69), "fail");
    let machine = if other == "aarch64" { "aarch64" } else { "x86-64" };
    names(&failed, "elf.machine", "psutil", &["_psutil_linux", machine]);
    names(&failed, "wheel.tag", "psutil", &[other, "made for another processor"]);
}

#[test]
fn a10_a_file_that_record_lists_and_that_is_gone_is_named() {
    let copy = Copy::new();
    let path = copy.find("psutil", "_psutil_linux", ".so");
    fs::remove_file(&path).unwrap();
    let failed = checks(&report(&copy.python(), 69), "fail");
    names(&failed, "record.missing", "psutil", &[path.to_str().unwrap(), "gone"]);
}

#[test]
fn a_file_of_the_same_size_with_other_contents_is_named_by_hashes_only() {
    let copy = Copy::new();
    let path = copy.find("httpx", "__version__", ".py");
    let mut bytes = fs::read(&path).unwrap();
    bytes[0] ^= 1;
    replace(&path, bytes);
    report(&copy.python(), 0);
    let python = copy.python();
    let arguments = ["verify", "--requirements", REQUIREMENTS, "--python", &python, "--hashes"];
    let ended =
        Launch::beside().arguments(&arguments).arguments(&["--format", "json"]).start().end();
    ended.expect(69);
    let report = serde_json::from_str(ended.text()).unwrap();
    names(&checks(&report, "fail"), "record.hash", "httpx", &[path.to_str().unwrap()]);
    assert_eq!(checks(&report, "fail").len(), 1);
}

#[test]
fn three_faults_at_once_are_each_named() {
    let copy = Copy::new();
    copy.remove_jsonpatch();
    copy.age_httpx();
    let machine = copy.swap_psutil();
    let failed = checks(&report(&copy.python(), 69), "fail");
    names(&failed, "dist.missing", "jsonpatch", &["jsonpatch>=1.33"]);
    names(&failed, "dist.version", "httpx", &["0.1.0"]);
    names(&failed, "elf.machine", "psutil", &[machine]);
}

/// A profile that wants these requirements of this interpreter.
/// The interpreters to ask: the first of PATH, and the distribution's own, whose `site.py` is
/// another one.
fn interpreters() -> Vec<String> {
    let own = printed(Command::new("python3").args(["-c", "import sys; print(sys.executable)"]));
    let mut all = vec![own.trim_end().to_owned()];
    all.extend(["/usr/bin/python3".to_owned()].into_iter().filter(|path| Path::new(path).exists()));
    all.dedup();
    all
}

#[test]
fn the_users_own_site_is_where_python_itself_has_it() {
    for python in interpreters() {
        let folder = Folder::new();
        let text = "import sys; print('python%d.%d' % sys.version_info[:2], end='')";
        let library = printed(Command::new(&python).args(["-c", text]));
        let (home, base) = (folder.at("home"), folder.at("base"));
        for (place, name) in [(format!("{home}/.local"), "mak_home"), (base.clone(), "mak_base")] {
            let site = format!("{place}/lib/{library}/site-packages");
            fs::create_dir_all(format!("{site}/{name}-1.dist-info")).unwrap();
            fs::write(format!("{site}/{name}.py"), "").unwrap();
            let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: 1\n");
            fs::write(format!("{site}/{name}-1.dist-info/METADATA"), metadata).unwrap();
            folder.write(&format!("{name}.txt"), 0o644, name);
        }
        let (user_base, none) = (("PYTHONUSERBASE", base.as_str()), ("PYTHONNOUSERSITE", "1"));
        let environments: [&[(&str, &str)]; 5] =
            [&[], &[user_base], &[("PYTHONUSERBASE", "")], &[none], &[user_base, none]];
        let mut found = [0; 2];
        for variables in environments {
            let variables = [&[("HOME", home.as_str())], variables].concat();
            let theirs = |arguments: &[&str]| {
                let mut command = Command::new(&python);
                command.env_clear().envs(variables.iter().copied()).args(arguments);
                command.output().unwrap().status.success()
            };
            let ours = |arguments: &[&str]| {
                let mut launch = Launch::beside().arguments(&["verify"]);
                for (name, value) in &variables {
                    launch = launch.variable(name, value);
                }
                let ended =
                    launch.arguments(&["--format", "json"]).arguments(arguments).start().end();
                serde_json::from_str::<serde_json::Value>(ended.text()).unwrap()
            };
            for name in ["mak_home", "mak_base"] {
                let asked =
                    format!("import importlib.metadata; importlib.metadata.version('{name}')");
                let is_there = theirs(&["-c", &asked]);
                let list = folder.at(&format!("{name}.txt"));
                let report = ours(&["--python", &python, "--requirements", &list]);
                let passed = checks(&report, "pass").iter().any(|check| check[0] == "dist.version");
                assert_eq!(passed, is_there, "{python} {name} {variables:?}");
                for switch in ["-B", "-s", "-E", "-I"] {
                    let runs = theirs(&[switch, "-m", name]);
                    let report = ours(&["--command", &python, switch, "-m", name]);
                    // Start-up code of the installation itself may make a failure a doubt.
                    let passed =
                        checks(&report, "pass").iter().any(|check| check[0] == "python.module");
                    assert_eq!(passed, runs, "{python} {switch} {name} {variables:?}");
                    found[usize::from(runs)] += 1;
                }
            }
        }
        assert!(found.iter().all(|count| *count > 5), "both were met: {found:?}");
    }
}

fn profile(folder: &Folder, python: &str) -> String {
    let text = fs::read_to_string(REQUIREMENTS).unwrap();
    let list: Vec<String> = text.lines().map(|line| format!("{line:?}")).collect();
    let text = format!(
        "description = \"a test\"\nprefix = \"X_\"\n\n[python]\ninterpreter = {python:?}\n\
         requirements = [{}]\n",
        list.join(", ")
    );
    folder.write("x.toml", 0o644, text)
}

#[test]
fn a_start_on_it_is_verified_and_healthy_and_on_a_broken_one_refused() {
    let copy = Copy::new();
    let profile = profile(&copy.folder, &copy.python());
    let start = |place: Place, mode: &str| {
        let address = free_address(place);
        let launch = Launch::at(place).variable("X_VERIFY_DEPS", "1").arguments(&["--mode", mode]);
        let launch = launch.arguments(&["--profile", &profile, "--listen", &address.to_string()]);
        (launch, address)
    };
    for place in Place::BOTH {
        let (launch, address) = start(place, "supervise");
        let mut running = launch.workload(&["print-signals", "15"]).start();
        running.line("ready");
        running.until("a healthy endpoint", |running| {
            ask(running, address, "/health").is_ok_and(|answer| answer.status == 200)
        });
        let body = ask(&running, address, "/health").unwrap().body;
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["verification"]["outcome"], "pass", "{body}");
        running.signal(libc::SIGTERM);
        running.end().expect(0);
    }
    copy.remove_jsonpatch();
    for place in Place::BOTH {
        for mode in ["supervise", "exec"] {
            let marker = copy.folder.at("marker");
            let (launch, _) = start(place, mode);
            let ended = launch.workload(&["marker", &marker]).start().end();
            ended.expect(69).says(&["jsonpatch", "MAK_INIT_VERIFY=warn"]);
            assert!(!fs::exists(&marker).unwrap(), "the workload was not started");
        }
    }
}
