//! Does what the plan says and looks again. The order is: finish an interrupted run, the lists of
//! packages, what is required, what is optional one by one, Python's distributions, downloads.
//! What fails for a passing reason is tried again; what has failed for another becomes a check
//! with its reason. Only the second look decides whether all is well.

use std::time::Duration;

use super::download::{self, FetchError};
use super::lock::{self, Waited};
use super::manager::{Manager, Reason};
use super::plan::{Plan, SystemPlan};
use super::progress::Progress;
use super::python::{self, Form, Wanting};
use super::step::{self, Ended, Step};
use super::survey::{Settings, Survey, survey};
use crate::config::package::Need;
use crate::engine::process::{self, Program, interrupted};
use crate::verify::{Check, Status};

/// Attempts at a command that fails for a passing reason.
const ATTEMPTS: u32 = 3;
/// Between two of them; the second wait is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// What sudo has for saying whether it may.
const SUDO_LIMIT: Duration = Duration::from_secs(30);
/// As many lines of a failed command are shown.
const MOST_LINES: usize = 12;

/// What is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long a package lock that somebody else has is waited for.
    pub lock: Duration,
    /// How long one command or download may take.
    pub step: Duration,
    /// Whether commands show their output.
    pub verbose: bool,
    /// Whether sudo is allowed.
    pub sudo: bool,
    /// Whether this user is root.
    pub root: bool,
}

/// What came of it.
pub struct Outcome {
    /// The second look, with what has failed.
    pub survey: Survey,
    /// Packages that were installed.
    pub packages: Vec<String>,
    /// Whether distributions were.
    pub python: bool,
    /// Whether a failure may pass.
    pub passing: bool,
    /// Whether the person stopped it.
    pub interrupted: bool,
}

/// Installs what the first look has found missing.
pub fn install(settings: &Settings, first: Survey, limits: Limits) -> Outcome {
    let plan = Plan::of(&first, limits.sudo && !limits.root);
    let mut run = Run {
        settings,
        limits,
        progress: Progress::new(steps_of(&plan)),
        checks: Vec::new(),
        packages: Vec::new(),
        python: false,
        passing: false,
        interrupted: false,
    };
    run.all(&plan);
    let Run { checks, packages, python, passing, interrupted, mut progress, .. } = run;
    progress.clear();
    let mut after = survey(settings);
    let complete = !after.checks.iter().any(|check| check.status == Status::Fail);
    for mut check in checks {
        // Where everything is there in the end, what failed on the way is a remark.
        if complete && check.status == Status::Fail {
            check.status = Status::Warn;
        }
        after.checks.push(check);
    }
    Outcome { survey: after, packages, python, passing, interrupted }
}

fn steps_of(plan: &Plan) -> usize {
    let system = plan.system.as_ref().map_or(0, |system| system.commands().len());
    let python = plan.python.as_ref().filter(|python| python.managed.is_none());
    let python =
        python.map_or(0, |one| 2 * usize::from(!one.required.is_empty()) + one.optional.len());
    system + python + plan.downloads.len()
}

/// Why the rest is left out.
struct Stop;

struct Run<'a> {
    settings: &'a Settings,
    limits: Limits,
    progress: Progress,
    checks: Vec<Check>,
    packages: Vec<String>,
    python: bool,
    passing: bool,
    interrupted: bool,
}

impl Run<'_> {
    fn all(&mut self, plan: &Plan) {
        let done = match &plan.system {
            Some(system) => self.system(system),
            None => Ok(()),
        };
        let done = done.and_then(|()| match &plan.python {
            Some(wanting) => self.distributions(wanting, plan.system.as_ref()),
            None => Ok(()),
        });
        if done.is_ok() {
            let _ = plan.downloads.iter().try_for_each(|fetch| self.download(fetch));
        }
        if self.interrupted {
            self.checks.push(
                Check::new("package.interrupted", Status::Fail, "interrupted", "stopped by you")
                    .remedy("run the same command again: it goes on with what is missing"),
            );
        }
    }

    fn system(&mut self, plan: &SystemPlan) -> Result<(), Stop> {
        let manager = plan.manager;
        self.have_rights(plan)?;
        if let Some(repair) = plan.repair() {
            self.locked_step(manager, &repair, Status::Warn)?;
        }
        if plan.is_empty() {
            return Ok(());
        }
        // Lists that cannot be fetched now may be there from before.
        self.locked_step(manager, &plan.update(), Status::Warn)?;
        if !plan.required.is_empty() {
            self.packages(plan, &plan.required, Status::Fail)?;
        }
        for one in &plan.optional {
            self.packages(plan, &one.packages, Status::Warn)?;
        }
        Ok(())
    }

    fn have_rights(&mut self, plan: &SystemPlan) -> Result<(), Stop> {
        let name = plan.manager.name();
        let needs = plan.manager.needs_root();
        if needs && !self.limits.root && !plan.sudo {
            let message = format!("{name} needs root, and this is user {}", nix::unistd::geteuid());
            self.checks.push(Check::new("package.rights", Status::Fail, name, message).remedy(
                "run mak deps --install as root, or allow it sudo with --sudo; --dry-run shows \
                     what it would do",
            ));
            return Err(Stop);
        }
        if !needs && self.limits.root {
            let message = format!("{name} refuses to run as root");
            let check = Check::new("package.rights", Status::Fail, name, message);
            self.checks.push(check.remedy("run mak deps --install as the user who has Homebrew"));
            return Err(Stop);
        }
        match plan.sudo {
            true => self.have_sudo(),
            false => Ok(()),
        }
    }

    /// Nobody is asked for a password here: a step that waited for one would wait for ever.
    fn have_sudo(&mut self) -> Result<(), Stop> {
        let mut probe = Program::new(&["sudo", "-n", "env", "true"]).within(SUDO_LIMIT);
        probe.environment.push(("LC_ALL".to_owned(), "C".to_owned()));
        let why = match process::run(&probe) {
            Ok(done) if done.well() => return Ok(()),
            Ok(done) => done.last_line().to_owned(),
            Err(process::Fault::Interrupted) => return Err(self.interrupt()),
            Err(fault) => fault.to_string(),
        };
        let message = format!("this user cannot become root without being asked ({why})");
        let check = Check::new("package.rights", Status::Fail, "sudo", message);
        self.checks.push(check.remedy(
            "run sudo -v first, have a NOPASSWD rule for this user, or run mak deps --install as \
             root",
        ));
        Err(Stop)
    }

    /// Installs packages that belong together. An error is only what keeps the rest out too.
    fn packages(
        &mut self,
        plan: &SystemPlan,
        packages: &[String],
        failed: Status,
    ) -> Result<(), Stop> {
        for step in plan.install(packages) {
            if !self.locked_step(plan.manager, &step, failed)? {
                // What is required and does not come: nothing behind it can be relied on.
                return if failed == Status::Fail { Err(Stop) } else { Ok(()) };
            }
        }
        self.packages.extend(packages.iter().cloned());
        Ok(())
    }

    /// One command of the package manager, with the lock waited for and passing failures tried
    /// again. Whether it worked.
    fn locked_step(&mut self, manager: Manager, step: &Step, failed: Status) -> Result<bool, Stop> {
        let mut wait = FIRST_WAIT;
        for attempt in 1..=ATTEMPTS {
            self.wait_for_lock(manager)?;
            self.progress.begin(&step.argv.join(" "));
            let ended = self.run(step)?;
            self.progress.end();
            if ended.fine() {
                return Ok(true);
            }
            let reason = manager.reason(ended.code, &ended.output);
            let again = reason.passes() && !ended.overdue && attempt < ATTEMPTS;
            if !again {
                let mut check = failure(manager, step, &ended, &reason, failed, self.limits.step);
                if self.passing && matches!(reason, Reason::Unknown(_)) {
                    check.remedy =
                        Some("the lists of packages are not the newest: see above".to_owned());
                }
                self.passing |= reason.passes() || ended.overdue;
                self.checks.push(check);
                return Ok(false);
            }
            let seconds = wait.as_secs();
            self.progress
                .line(&format!("{} failed and may pass: again in {seconds} s", step.argv[0]));
            self.pause(wait)?;
            wait *= 2;
        }
        Ok(false)
    }

    fn wait_for_lock(&mut self, manager: Manager) -> Result<(), Stop> {
        let limit = self.limits.lock;
        let progress = &mut self.progress;
        let waited = lock::wait(manager, limit, |held| {
            progress.line(&format!("{held}; waiting for at most {} s", limit.as_secs()));
        });
        match waited {
            Waited::Free => Ok(()),
            Waited::Interrupted => Err(self.interrupt()),
            Waited::Held(held) => {
                self.passing = true;
                let message = format!("{held}, still after {} s", limit.as_secs());
                let remedy = match (&held.holder, manager) {
                    (None, Manager::Pacman) => format!(
                        "where no pacman runs it was left behind: remove {}, then run this again",
                        held.path.display()
                    ),
                    _ => {
                        "let that process finish, then run this again; --lock-timeout waits longer"
                            .to_owned()
                    }
                };
                let check = Check::new("package.lock", Status::Fail, manager.name(), message);
                self.checks.push(check.remedy(remedy));
                Err(Stop)
            }
        }
    }

    fn run(&mut self, step: &Step) -> Result<Ended, Stop> {
        if interrupted() {
            return Err(self.interrupt());
        }
        let verbose = self.limits.verbose;
        let ended = step::run(step, self.limits.step, &mut self.progress, verbose);
        if interrupted() {
            if ended.stopped && step.guarded {
                self.cut_off(step);
            }
            return Err(self.interrupt());
        }
        Ok(ended)
    }

    /// A guarded command was stopped all the same.
    fn cut_off(&mut self, step: &Step) {
        let manager =
            Manager::ALL.into_iter().find(|one| step.argv.contains(&one.program().into()));
        let repair = manager.and_then(Manager::repair);
        let message = format!("{} was cut off in the middle", step.argv.join(" "));
        let mut check = Check::new("package.install", Status::Fail, "interrupted", message);
        // What the manager has started in a session of its own is not ours to stop.
        if let Some(held) = manager.and_then(lock::held) {
            check.evidence.push(format!("{held}: that finishes its part by itself"));
        }
        self.checks.push(match repair {
            Some(command) => check
                .remedy(format!("the next mak deps --install begins with {}", command.join(" "))),
            None => check,
        });
    }

    fn interrupt(&mut self) -> Stop {
        self.interrupted = true;
        Stop
    }

    fn pause(&mut self, wait: Duration) -> Result<(), Stop> {
        let end = std::time::Instant::now() + wait;
        while std::time::Instant::now() < end {
            if interrupted() {
                return Err(self.interrupt());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn distributions(
        &mut self,
        wanting: &Wanting,
        system: Option<&SystemPlan>,
    ) -> Result<(), Stop> {
        if wanting.managed.is_some() {
            // The survey has said so, with what to do instead.
            return Ok(());
        }
        if wanting.installer.is_none() {
            let subject = wanting.interpreter.display().to_string();
            let message = "neither uv nor this Python's pip is there to install distributions";
            self.checks.push(
                Check::new("dist.install", Status::Fail, subject, message).remedy(
                    "install uv, or pip for this Python (python3-pip, python -m ensurepip)",
                ),
            );
            return Ok(());
        }
        if !wanting.required.is_empty() {
            self.ask_for_wheels(wanting, system)?;
            if !self.pip(wanting, &wanting.required, Status::Fail)? {
                return Ok(());
            }
        }
        for one in &wanting.optional {
            self.pip(wanting, std::slice::from_ref(one), Status::Warn)?;
        }
        Ok(())
    }

    /// Names what has to be built from source, and installs what that needs.
    fn ask_for_wheels(
        &mut self,
        wanting: &Wanting,
        system: Option<&SystemPlan>,
    ) -> Result<(), Stop> {
        // An index that does not answer has no wheels either.
        let without = |output: &str| {
            python::has_no_wheel(output) && Manager::Brew.reason(None, output) != Reason::Network
        };
        let Some(step) = wanting.step(&wanting.required, Form::AskForWheels) else { return Ok(()) };
        self.progress.begin("looking for wheels");
        let ended = self.run(&step)?;
        self.progress.end();
        if ended.fine() || !without(&ended.output) {
            return Ok(());
        }
        for requirement in &wanting.required {
            let list = std::slice::from_ref(requirement);
            let Some(step) = wanting.step(list, Form::AskForWheels) else { continue };
            self.progress.add(1);
            self.progress.begin(&format!("looking for a wheel of {requirement}"));
            let ended = self.run(&step)?;
            self.progress.end();
            if !ended.fine() && without(&ended.output) {
                self.build_from_source(requirement, system)?;
            }
        }
        Ok(())
    }

    fn build_from_source(
        &mut self,
        requirement: &str,
        system: Option<&SystemPlan>,
    ) -> Result<(), Stop> {
        let name = name_of(requirement);
        let entries = self.settings.profile.packages.iter();
        let entry = entries.into_iter().find(|entry| match &entry.need {
            Need::SourceOf(names) => {
                names.iter().any(|known| crate::python::name::normalize(known) == name)
            }
            _ => false,
        });
        let platform = crate::platform::Uname::of_this_process().platform();
        let message =
            format!("has no wheel for {platform} and this Python: it is built from source");
        let check = Check::new("dist.wheel", Status::Warn, name, message);
        let manager = system.map(|system| system.manager).or_else(|| self.manager());
        let packages = match (entry, manager) {
            (Some(entry), Some(manager)) => entry.packages(manager.name()).to_vec(),
            _ => Vec::new(),
        };
        if packages.is_empty() {
            let remedy = "the profile does not say what building it needs ([[package]] source_of)";
            self.checks.push(check.remedy(remedy));
            return Ok(());
        }
        self.checks.push(check.remedy(format!("building it needs {}", packages.join(", "))));
        let Some(manager) = manager else { return Ok(()) };
        let sudo = self.limits.sudo && !self.limits.root;
        let plan =
            SystemPlan { manager, repair: false, required: Vec::new(), optional: Vec::new(), sudo };
        if self.have_rights(&plan).is_err() {
            return Ok(());
        }
        self.progress.add(plan.install(&packages).len());
        self.packages(&plan, &packages, Status::Warn)
    }

    fn manager(&self) -> Option<Manager> {
        let path = self.settings.environment.iter().find(|(name, _)| name == "PATH");
        let path = path.map(|(_, value)| value.clone()).unwrap_or_default();
        Manager::of(&self.settings.root, &path).filter(|(_, there)| *there).map(|(one, _)| one)
    }

    fn pip(&mut self, wanting: &Wanting, list: &[String], failed: Status) -> Result<bool, Stop> {
        let Some(step) = wanting.step(list, Form::Install) else { return Ok(false) };
        let mut wait = FIRST_WAIT;
        for attempt in 1..=ATTEMPTS {
            self.progress.begin(&step.argv.join(" "));
            let ended = self.run(&step)?;
            self.progress.end();
            if ended.fine() {
                self.python = true;
                return Ok(true);
            }
            // Any manager's words: the network's are the same everywhere.
            let reason = Manager::Brew.reason(ended.code, &ended.output);
            if reason == Reason::Network && attempt < ATTEMPTS {
                self.pause(wait)?;
                wait *= 2;
                continue;
            }
            self.passing |= reason == Reason::Network || ended.overdue;
            let dropped = match failed {
                Status::Warn => "cannot be installed and is dropped: it is optional",
                _ => "cannot be installed",
            };
            let message = match &reason {
                Reason::Disk => format!("{dropped}: there is no room on the disk"),
                Reason::Network => format!("{dropped}: the package index does not answer"),
                _ if ended.overdue => format!("{dropped}: it took too long"),
                _ => dropped.to_owned(),
            };
            self.checks.push(
                Check::new("dist.install", failed, list.join(" "), message)
                    .evidence(ended.told(MOST_LINES)),
            );
            return Ok(false);
        }
        Ok(false)
    }

    fn download(&mut self, wanted: &download::Fetch) -> Result<(), Stop> {
        let failed = if wanted.required { Status::Fail } else { Status::Warn };
        let mut wait = FIRST_WAIT;
        for attempt in 1..=ATTEMPTS {
            self.progress.begin(&format!("fetch {}", wanted.url));
            let ended = download::fetch(wanted, self.limits.step, &mut self.progress);
            self.progress.end();
            match ended {
                Ok(()) => return Ok(()),
                Err(FetchError::Interrupted) => return Err(self.interrupt()),
                Err(error) if error.passes() && attempt < ATTEMPTS => {
                    self.progress.line(&format!("{error}: again in {} s", wait.as_secs()));
                    self.pause(wait)?;
                    wait *= 2;
                }
                Err(error) => {
                    self.passing |= error.passes();
                    let subject = &wanted.name;
                    let check = Check::new("download.failed", failed, subject, error.to_string());
                    self.checks.push(check.remedy("nothing was put in place"));
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

fn name_of(requirement: &str) -> String {
    match crate::python::requirement::Requirement::parse(requirement) {
        Ok(parsed) => parsed.normalized(),
        Err(_) => requirement.to_owned(),
    }
}

/// A failed command as a check.
fn failure(
    manager: Manager,
    step: &Step,
    ended: &Ended,
    reason: &Reason,
    failed: Status,
    limit: Duration,
) -> Check {
    let name = manager.name();
    let what = step.argv.join(" ");
    let (message, remedy) = match reason {
        _ if ended.overdue => (
            format!("was stopped after {} s: {what}", limit.as_secs()),
            "run this again with a longer --time-limit".to_owned(),
        ),
        Reason::Locked => (
            format!("the package lock was taken by somebody else: {what}"),
            "run this again".to_owned(),
        ),
        Reason::Network => (
            format!("a repository does not answer: {what}"),
            "look at the network and the repositories' addresses, then run this again".to_owned(),
        ),
        Reason::Disk => (
            format!("there is no room on the disk: {what}"),
            "make room, then run this again".to_owned(),
        ),
        Reason::Unknown(packages) => (
            format!("no repository has {}: {what}", packages.join(", ")),
            "correct the names in the profile's [[package]], or add the repository".to_owned(),
        ),
        Reason::Other => {
            (format!("failed{}: {what}", code(ended)), "the lines above are its own".to_owned())
        }
    };
    Check::new("package.install", failed, name, message)
        .remedy(remedy)
        .evidence(ended.told(MOST_LINES))
}

fn code(ended: &Ended) -> String {
    match ended.code {
        Some(code) => format!(" with code {code}"),
        None => String::new(),
    }
}
