//! Runs a container for each platform and looks at it, category by category.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::container::{self, Config, Container, Known, MOUNTED, engine};
use super::report::{CATEGORIES, OnPlatform};
use super::{Request, http, judge, program};
use crate::build::platforms::word;
use crate::config::DEFAULT_PATH;
use crate::engine::known;
use crate::engine::process::{self, Fault};
use crate::platform::Arch;
use crate::verify::report::{Check, Status};

/// Where a service listens if nobody says.
const PORT: u16 = 8000;
/// From one look to the next while something is waited for.
const LOOK: Duration = Duration::from_millis(200);
/// From one question over the network to the next.
const AGAIN: Duration = Duration::from_secs(2);
/// How long a health answer may take.
const HEALTH: Duration = Duration::from_secs(10);

/// Why there is no verdict.
#[derive(Debug)]
pub enum TrialError {
    /// The image is not here, or the engine cannot say.
    Image(String, String),
    /// There is no mak-init for the platform.
    Binary(PathBuf, Arch),
    /// The engine makes no container.
    Create(String),
    /// A program gave no result.
    Program(Fault),
}

impl fmt::Display for TrialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TrialError::Image(image, why) => write!(f, "there is no image {image} to test: {why}"),
            TrialError::Binary(file, arch) => write!(
                f,
                "there is no {}: scripts/build-static {} makes it, and --mak-init names its folder",
                file.display(),
                arch.docker()
            ),
            TrialError::Create(why) => write!(f, "cannot create a container: {why}"),
            TrialError::Program(fault) => write!(f, "{fault}"),
        }
    }
}

impl std::error::Error for TrialError {}

/// Tests the image on one platform.
pub fn on(request: &Request, arch: Arch, say: &dyn Fn(&str)) -> Result<OnPlatform, TrialError> {
    let platform = word(arch);
    let binary = binary(request, arch)?;
    let image = image(request, &platform)?;
    let port = request.port.or(image.config.port()).unwrap_or(PORT);
    say(&format!("{platform}: creating a container"));
    let name = format!("{}-{}", request.name, arch.docker().replace('/', ""));
    let (container, refused) = create(request, &name, &platform, port, &binary)?;
    let mut looks = Looks { request, container: &container, arch, port, say };
    let mut checks =
        vec![judge::architecture(&request.image, &platform, refused.as_deref(), &image.label())];
    checks.extend(looks.all()?);
    Ok(OnPlatform::new(platform, checks))
}

fn binary(request: &Request, arch: Arch) -> Result<PathBuf, TrialError> {
    let file = request.binaries.join(format!("linux_{}/mak-init", arch.docker().replace('/', "_")));
    let found = file.canonicalize().ok().filter(|file| file.is_file());
    found.ok_or(TrialError::Binary(file, arch))
}

/// What the engine knows of an image.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Image {
    os: String,
    architecture: String,
    variant: String,
    config: Config,
}

impl Image {
    fn label(&self) -> String {
        let variant =
            if self.variant.is_empty() || self.variant == "v8" { "" } else { &self.variant };
        let slash = if variant.is_empty() { "" } else { "/" };
        format!("{}/{}{slash}{variant}", self.os, self.architecture)
    }
}

fn image(request: &Request, platform: &str) -> Result<Image, TrialError> {
    let inspect = || {
        engine(&["image", "inspect", "--format", "{{json .}}", &request.image])
            .map_err(TrialError::Program)
    };
    let mut done = inspect()?;
    if !done.well() && request.pull {
        let pulled = engine(&["pull", "--platform", platform, &request.image])
            .map_err(TrialError::Program)?;
        if !pulled.well() {
            let known = known::find(&pulled.err).map(|known| format!("; {}", known::line(known)));
            let why = format!("{}{}", pulled.last_line(), known.unwrap_or_default());
            return Err(TrialError::Image(request.image.clone(), why));
        }
        done = inspect()?;
    }
    if !done.well() {
        return Err(TrialError::Image(request.image.clone(), done.last_line().to_owned()));
    }
    serde_json::from_str(&done.out)
        .map_err(|error| TrialError::Image(request.image.clone(), error.to_string()))
}

/// Creates the container; the text is the engine's reason where there is no image for the platform
/// and the one that is there was taken as it is.
fn create(
    request: &Request,
    name: &str,
    platform: &str,
    port: u16,
    binary: &Path,
) -> Result<(Container, Option<String>), TrialError> {
    let attempt = |platform: Option<&str>| {
        let words = container::create_words(request, name, platform, port, binary);
        engine(&words.iter().map(String::as_str).collect::<Vec<_>>())
    };
    // Whatever comes, also an interrupt: what was created under the name goes.
    let container = Container::new(name, request.cleanup);
    let done = attempt(Some(platform)).map_err(TrialError::Program)?;
    if done.well() && !done.err.contains("does not match the") {
        return Ok((container, None));
    }
    let why = done.last_line().to_owned();
    if done.well() {
        return Ok((container, Some(why)));
    }
    let other = ["does not match", "no matching manifest", "No such image", "not found"];
    if !other.iter().any(|text| done.err.contains(text)) {
        return Err(TrialError::Create(why));
    }
    let again = attempt(None).map_err(TrialError::Program)?;
    if again.well() {
        Ok((container, Some(why)))
    } else {
        Err(TrialError::Create(again.last_line().to_owned()))
    }
}

struct Looks<'a> {
    request: &'a Request,
    container: &'a Container,
    arch: Arch,
    port: u16,
    say: &'a dyn Fn(&str),
}

impl Looks<'_> {
    /// The categories after the first, in their order, then what the profile asks for.
    fn all(&mut self) -> Result<Vec<Check>, TrialError> {
        let started = self.container.start().map_err(TrialError::Program)?;
        if !started.well() {
            let start = judge::Start::Refused(started.last_line().to_owned());
            return Ok(self.only_startup(&start));
        }
        let known = self.settle()?;
        if !known.state.running {
            let start = judge::Start::Ended(known.state.exit_code, known.state.oom_killed);
            return Ok(self.only_startup(&start));
        }
        let image = &self.request.image;
        let address = self.container.address(self.port);
        let answer = self.reach(address)?;
        self.tell("runtime architecture, process execution");
        let runtime = self.runtime(&known);
        let answers = self.health()?;
        let known = self.healthcheck_decided()?;
        let process = self.process(&known)?;
        let network = judge::network(image, self.port, &answer);
        let health = self.health_verdict(answers, &known);
        let resources = self.resources()?;
        let profile = if self.request.quick { Vec::new() } else { self.profile()? };
        self.tell("stop");
        let startup = self.stop()?;
        let mut checks = vec![startup, runtime, process, network, health, resources];
        checks.extend(profile);
        Ok(checks)
    }

    fn tell(&self, what: &str) {
        (self.say)(&format!("{}: {what}", word(self.arch)));
    }

    fn only_startup(&self, start: &judge::Start) -> Vec<Check> {
        let image = &self.request.image;
        let mut checks = vec![judge::startup(image, start, self.container.log())];
        let others = CATEGORIES.iter().skip(2);
        checks
            .extend(others.map(|(id, _)| judge::skipped(id, image, "the container does not run")));
        checks
    }

    /// Waits until it answers, has ended, or has stayed up for long enough.
    fn settle(&self) -> Result<Known, TrialError> {
        self.tell("start-up");
        let until = Instant::now() + self.request.start_wait;
        loop {
            let known = self.known()?;
            let answers = || {
                let address = self.container.address(self.port)?;
                http::get(address, "/", Duration::from_secs(1)).ok()
            };
            if !known.state.running || Instant::now() >= until || answers().is_some() {
                return Ok(known);
            }
            self.pause()?;
        }
    }

    fn known(&self) -> Result<Known, TrialError> {
        self.container.known().map_err(TrialError::Create)
    }

    /// From one look to the next; an interrupt ends the waiting.
    fn pause(&self) -> Result<(), TrialError> {
        if process::interrupted() {
            return Err(TrialError::Program(Fault::Interrupted));
        }
        thread::sleep(LOOK);
        Ok(())
    }

    fn reach(&self, address: Option<SocketAddr>) -> Result<Result<u16, String>, TrialError> {
        self.tell("network");
        let Some(address) = address else {
            return Ok(Err("the engine published no port for it".to_owned()));
        };
        let until = Instant::now() + self.request.timeout;
        let mut answer = Err("it was never asked".to_owned());
        for _ in 0..=self.request.retries {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            answer = http::get(address, "/", left.min(HEALTH));
            if answer.is_ok() {
                break;
            }
            let next = Instant::now() + AGAIN.min(left);
            while Instant::now() < next {
                self.pause()?;
            }
        }
        Ok(answer)
    }

    fn runtime(&self, known: &Known) -> Check {
        let path = known.config.variable("PATH").unwrap_or(DEFAULT_PATH);
        let fetch = |file: &str| self.container.file(file);
        let programs = program::machines(&known.config.words(), path, &fetch);
        let userland = self.platform().and_then(|platform| platform.userland);
        judge::runtime(&self.request.image, self.arch, userland.as_deref(), &programs)
    }

    fn platform(&self) -> Option<Inside> {
        let done = self
            .container
            .exec(&[MOUNTED, "platform", "--format", "json"], self.request.timeout)
            .ok()?;
        serde_json::from_str(&done.out).ok()
    }

    fn process(&self, known: &Known) -> Result<Check, TrialError> {
        let image = &self.request.image;
        let ran = match self.container.exec(&[MOUNTED, "platform"], self.request.timeout) {
            Ok(done) if done.well() => Ok(0),
            Ok(done) => Err(format!("no program can be run inside: {}", done.last_line())),
            Err(Fault::Interrupted) => return Err(TrialError::Program(Fault::Interrupted)),
            Err(fault) => Err(fault.to_string()),
        };
        let broken = self.broken_healthcheck(&known.config)?;
        let looks = known.state.health.as_ref().and_then(|health| health.log.as_deref());
        Ok(judge::process(image, ran, &known.config, broken.as_ref(), looks))
    }

    /// The words of the image's HEALTHCHECK and why they cannot be started; nothing if they can.
    fn broken_healthcheck(
        &self,
        config: &Config,
    ) -> Result<Option<(Vec<String>, String)>, TrialError> {
        let Some(test) = config.healthcheck.as_ref().and_then(|check| check.test.clone()) else {
            return Ok(None);
        };
        let words = match test.first().map(String::as_str) {
            Some("CMD") => test[1..].to_vec(),
            Some("CMD-SHELL") => vec!["/bin/sh".to_owned()],
            _ => return Ok(None),
        };
        let explain =
            [MOUNTED, "explain", "--"].into_iter().chain(words.iter().map(String::as_str));
        let done = self
            .container
            .exec(&explain.collect::<Vec<_>>(), self.request.timeout)
            .map_err(TrialError::Program)?;
        // 126 and 127 are its verdict; anything else is no word about the program.
        let broken = [126, 127, 69].contains(&done.code);
        Ok(broken.then(|| (words, done.out.lines().next().unwrap_or(done.last_line()).to_owned())))
    }

    /// Asks inside, so that a service that is not published can be healthy.
    fn health(&self) -> Result<(BTreeMap<&'static str, bool>, Vec<String>), TrialError> {
        self.tell("health");
        let mut answers = BTreeMap::new();
        let mut refused = Vec::new();
        for path in judge::HEALTH_PATHS {
            let url = format!("http://127.0.0.1:{}{path}", self.port);
            let seconds = format!("{}s", HEALTH.as_secs());
            let words = [MOUNTED, "healthcheck", "--url", &url, "--timeout", &seconds];
            // The program itself may be slow to start where it is emulated.
            match self.container.exec(&words, HEALTH + self.request.timeout) {
                Ok(done) => {
                    answers.insert(path, done.well());
                    if !done.well() {
                        refused.push(format!("{path}: {}", done.last_line()));
                    }
                }
                Err(Fault::Interrupted) => return Err(TrialError::Program(Fault::Interrupted)),
                Err(fault) => refused.push(format!("{path}: {fault}")),
            }
        }
        Ok((answers, refused))
    }

    /// Waits until the image's own HEALTHCHECK has said something.
    fn healthcheck_decided(&self) -> Result<Known, TrialError> {
        let until = Instant::now() + self.request.timeout;
        loop {
            let known = self.known()?;
            let status = known.state.health.as_ref().map_or("none", |health| &health.status);
            if status != "starting" || !known.state.running || Instant::now() >= until {
                return Ok(known);
            }
            self.pause()?;
        }
    }

    fn health_verdict(
        &self,
        (answers, refused): (BTreeMap<&str, bool>, Vec<String>),
        known: &Known,
    ) -> Check {
        let health = known.state.health.as_ref();
        // A check that cannot be run says nothing of the service: that is process execution's.
        let unrunnable = health
            .and_then(|health| health.log.as_ref())
            .is_some_and(|looks| looks.iter().any(|look| [-1, 126, 127].contains(&look.exit_code)));
        let status = health.map(|health| health.status.as_str()).filter(|_| !unrunnable);
        judge::health(&self.request.image, &answers, &refused, status)
    }

    /// What it uses at rest. A service that has just started is busy, so the best of a few looks
    /// counts: the engine itself measures over a second or two.
    fn resources(&self) -> Result<Check, TrialError> {
        self.tell("resource use");
        let mut check =
            judge::resources(&self.request.image, self.container.usage(), &self.request.limits);
        for _ in 0..self.request.retries.min(5) {
            if check.status == Status::Pass {
                break;
            }
            self.pause()?;
            check =
                judge::resources(&self.request.image, self.container.usage(), &self.request.limits);
        }
        Ok(check)
    }

    /// `mak-init verify --full` inside, and an import of every distribution that it asks for.
    fn profile(&self) -> Result<Vec<Check>, TrialError> {
        self.tell("mak-init verify --full");
        let image = &self.request.image;
        let mut words = vec![MOUNTED, "verify", "--full", "--format", "json"];
        if let Some(profile) = &self.request.profile {
            words.extend(["--profile", profile]);
        }
        let done = self.container.exec(&words, self.request.timeout.max(Duration::from_secs(120)));
        let done = done.map_err(TrialError::Program)?;
        if done.code == 64 && done.err.contains("nothing to verify") {
            return Ok(vec![judge::skipped(
                "trial.verify",
                image,
                "the image names no profile; --profile does",
            )]);
        }
        let Ok(report) = serde_json::from_str::<Verified>(&done.out) else {
            let check = Check::new(
                "trial.verify",
                Status::Fail,
                image,
                format!("code {}: {}", done.code, done.last_line()),
            );
            return Ok(vec![check]);
        };
        let wrong: Vec<String> = report
            .checks
            .iter()
            .filter(|check| check.status == "fail")
            .map(|check| format!("{} {}: {}", check.id, check.subject, check.message))
            .collect();
        let count = report.checks.iter().filter(|check| check.status == "pass").count();
        let verify = if wrong.is_empty() && done.well() {
            Check::new(
                "trial.verify",
                Status::Pass,
                image,
                format!("mak-init verify --full: {count} checks pass"),
            )
        } else {
            Check::new(
                "trial.verify",
                Status::Fail,
                image,
                format!("mak-init verify --full: {} fail", wrong.len()),
            )
            .remedy("each line says what to do: mak-init verify --full")
            .evidence(wrong)
        };
        let names: Vec<&str> = report
            .checks
            .iter()
            .filter(|check| check.id == "dist.version" && check.status == "pass")
            .map(|check| check.subject.as_str())
            .collect();
        let tolerated = |name: &str| {
            let wanting = report.checks.iter().filter(|check| check.status == "warn");
            wanting
                .into_iter()
                .any(|check| check.subject.contains(name) || check.message.contains(name))
        };
        let modules = if names.is_empty() { None } else { Some(self.imports(&names, &tolerated)?) };
        Ok([Some(verify), modules].into_iter().flatten().collect())
    }

    /// Imports what the distributions hold, in one run of the image's own Python. What the profile
    /// tolerates is a warning.
    fn imports(
        &self,
        names: &[&str],
        tolerated: &dyn Fn(&str) -> bool,
    ) -> Result<Check, TrialError> {
        self.tell("imports");
        let image = &self.request.image;
        let words = ["python3", "-c", IMPORT].into_iter().chain(names.iter().copied());
        let limit = self.request.timeout.max(Duration::from_secs(180));
        let done = match self.container.exec(&words.collect::<Vec<_>>(), limit) {
            Ok(done) => done,
            Err(Fault::Interrupted) => return Err(TrialError::Program(Fault::Interrupted)),
            Err(fault) => {
                return Ok(Check::new("trial.modules", Status::Fail, image, fault.to_string()));
            }
        };
        if done.well() {
            let message = format!("{} modules are imported", done.out.trim());
            return Ok(Check::new("trial.modules", Status::Pass, image, message));
        }
        let lines: Vec<String> = done.err.lines().take(20).map(ToOwned::to_owned).collect();
        let mut wrong = lines.iter().filter_map(|line| line.split_once(": import "));
        let fine = done.code == 1 && !lines.is_empty() && wrong.all(|(name, _)| tolerated(name));
        let status = if fine { Status::Warn } else { Status::Fail };
        let message = format!("code {}: {}", done.code, done.last_line());
        Ok(Check::new("trial.modules", status, image, message)
            .remedy("install what the module needs on this platform")
            .evidence(lines))
    }

    fn stop(&self) -> Result<Check, TrialError> {
        let before = self.known()?;
        let image = &self.request.image;
        if !before.state.running {
            let start = judge::Start::Ended(before.state.exit_code, before.state.oom_killed);
            return Ok(judge::startup(image, &start, self.container.log()));
        }
        let began = Instant::now();
        let done = self.container.stop().map_err(TrialError::Program)?;
        let seconds = began.elapsed().as_secs_f64();
        if !done.well() {
            return Err(TrialError::Create(done.last_line().to_owned()));
        }
        let code = self.known()?.state.exit_code;
        let start = judge::Start::Stopped { before: Box::new(before), code, seconds };
        Ok(judge::startup(image, &start, self.container.log()))
    }
}

/// What `mak-init platform` says inside, as far as it is asked.
#[derive(Deserialize)]
struct Inside {
    userland: Option<String>,
}

/// What `mak-init verify` says inside.
#[derive(Deserialize)]
struct Verified {
    checks: Vec<VerifiedCheck>,
}

#[derive(Deserialize)]
struct VerifiedCheck {
    id: String,
    status: String,
    subject: String,
    message: String,
}

/// Imports every top-level module of the distributions that are named, and prints how many. What
/// cannot be imported is a line on stderr and code 1.
const IMPORT: &str = r"
import importlib, importlib.metadata, sys
wrong = count = 0
for name in sys.argv[1:]:
    tops = set()
    for file in importlib.metadata.files(name) or []:
        top, text = file.parts[0], str(file)
        if text.endswith('.py') and (len(file.parts) == 2 and file.name == '__init__.py' or len(file.parts) == 1):
            tops.add(top.removesuffix('.py'))
        elif len(file.parts) == 1 and '.so' in file.suffixes:
            tops.add(top.split('.')[0])
    for top in sorted(tops):
        if not top.isidentifier():
            continue
        count += 1
        try:
            importlib.import_module(top)
        except BaseException as error:
            wrong += 1
            print(f'{name}: import {top}: {type(error).__name__}: {error}', file=sys.stderr)
print(count)
sys.exit(1 if wrong else 0)
";
