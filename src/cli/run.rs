//! Running a workload: the steps of a start in their order (docs/architecture.md), then the
//! loop of PID 1, or in exec mode the workload itself.

use std::error::Error;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::geteuid;

use super::attributes::{attributes, cannot_signal, user};
use super::environment::{Environment, find, set, workload_environment};
use super::words::Words;
use super::{Started, code, configuration, logs, refuse, usage};
use crate::config::check::{OnFailure, Subject};
use crate::config::resolve::Form;
use crate::config::{CheckEntry, Effective, Mode, Policy};
use crate::death;
use crate::directories::{
    Access, Directory, Owner, make as make_directory, prepare as prepare_directory, prove,
};
use crate::health;
use crate::health::check::look::look_by_tls;
use crate::health::probe::Manners;
use crate::init::ancestry::{adopt_orphans, die_with_parent};
use crate::init::attributes::Attributes;
use crate::init::death::Death;
use crate::init::event_loop::{JobControl, Run};
use crate::init::forward::Rewrites;
use crate::init::frame::{Cause, Frame, Outcome, Phase, Tally};
use crate::init::health_process::{HealthProcess, Kinship, Serve};
use crate::init::identity::Identity;
use crate::init::inquiry::Inquiries;
use crate::init::last_words::LastWords;
use crate::init::look::look;
use crate::init::mask::{Inherited, Mask, take_over};
use crate::init::pid::is_init;
use crate::init::preparation::{Findings, Preparation, prepare};
use crate::init::receive::Signals;
use crate::init::restart::Restarts;
use crate::init::spawn::{Program, Refusal, Standing, become_program, candidates};
use crate::init::terminal::Terminal;
use crate::init::title::Title;
use crate::init::{self, clock};
use crate::platform::{Root, Uname, oom};
use crate::verify::{self, Report, Status, Verdict};

/// Runs the workload; the result is the exit code.
pub fn run(started: Started, words: Words) -> u8 {
    let effective = match configuration(&started, &words) {
        Ok(effective) => effective,
        Err(error) => return refuse(&error),
    };
    let pause = match words.switch(&started, "pause") {
        Ok(pause) => pause,
        Err(why) => return usage(&why),
    };
    if pause && !words.command.is_empty() {
        return usage("--pause runs no workload; leave out the command");
    }
    let Some(command) = command(words, &effective).or(pause.then(|| vec!["pause".into()])) else {
        return usage(
            "there is no command to run; name one: mak-init [OPTIONS] [--] COMMAND [ARG…]",
        );
    };
    logs::start(effective.values.log_level, effective.values.log_format);
    for warning in &effective.warnings {
        tracing::warn!("{warning}");
    }
    let inherited = match take_over() {
        Ok(inherited) => inherited,
        Err(error) => return failed("cannot block signals", &error),
    };
    let signals = match Signals::open() {
        Ok(signals) => signals,
        Err(error) => return failed("cannot receive signals", &error),
    };
    let uname = Uname::of_this_process();
    let (attributes, environment) = match workload(&started, &effective, &uname) {
        Ok(settled) => settled,
        Err(error) => {
            tracing::error!("{error}");
            return code::CONFIGURATION;
        }
    };
    let mut start = Start {
        effective: &effective,
        command,
        pause,
        environment,
        attributes,
        inherited,
        title: started.title,
    };
    let plan = match start.health_plan(&uname) {
        Ok(plan) => plan,
        Err(code) => return code,
    };
    if let Some(plan) = &plan {
        plan.announce(&mut start.environment);
    }
    let serve = |link: OwnedFd, _: u32| plan.as_ref().map_or(0, |plan| plan.serve(link));
    let report = plan.as_ref().and_then(|plan| plan.report.as_ref());
    let mut run = start.set_up(signals, plan.is_some().then_some(&serve), report);
    let looker = start.looker();
    let looks = |check: &CheckEntry| looker.look(check);
    let checks = plan.as_ref().map_or(&[][..], |plan| &plan.checks);
    if let Some(health) = run.as_mut().ok().and_then(|run| run.health.as_mut())
        && needs_init(checks)
    {
        health.allow(Inquiries::new(checks, &looks));
    }
    let scene = start.scene(run.as_ref().ok().and_then(|run| run.program.as_ref()));
    let explain_death = |death: &Death| scene.explain(death);
    // What the loop does not need is dead when it begins, so that its memory goes back.
    drop(start);
    drop((effective, started, uname));
    match run {
        Ok(run) => init::run(Run { explain_death: Some(&explain_death), ..run }),
        Err(code) => code,
    }
}

/// The command that was typed, else the configured one.
pub fn command(words: Words, effective: &Effective) -> Option<Vec<OsString>> {
    if !words.command.is_empty() {
        return Some(words.command);
    }
    let configured = effective.command.as_ref()?;
    Some(configured.iter().map(OsString::from).collect())
}

/// What the workload is started with, by the rights mak-init has now.
pub fn workload(
    started: &Started,
    effective: &Effective,
    uname: &Uname,
) -> Result<(Attributes, Environment), Box<dyn Error>> {
    let wanted = &effective.values.workload;
    let user = user(wanted)?;
    if user.as_ref().is_some_and(cannot_signal) {
        tracing::warn!("without CAP_KILL mak-init cannot signal a workload of another user");
    }
    let profile = effective.profile.as_ref();
    let given = &started.environment;
    let environment = workload_environment(given, wanted, user.as_ref(), profile, uname)?;
    Ok((attributes(wanted, user.as_ref()), environment))
}

fn failed(what: &str, error: &dyn std::fmt::Display) -> u8 {
    tracing::error!("{what}: {error}");
    code::FAILED
}

/// What the health process is made from.
struct HealthPlan {
    listener: health::Listener,
    platform: Vec<(&'static str, String)>,
    checks: Vec<CheckEntry>,
    /// The verification report, which the child that verifies writes.
    report: Option<OwnedFd>,
    /// Where the workload may say how it is, and the name of that for its environment.
    notice: Option<(OwnedFd, String)>,
    token: Option<Vec<u8>>,
    lifetime: health::Lifetime,
    title: Title,
}

impl HealthPlan {
    /// In the health process.
    fn serve(&self, link: OwnedFd) -> i32 {
        self.title.replace("mak-init: health");
        match self.plan(link) {
            Ok(plan) => health::serve(&plan),
            Err(error) => i32::from(failed("health: cannot take its descriptors", &error)),
        }
    }

    fn plan(&self, link: OwnedFd) -> std::io::Result<health::Plan> {
        let copy = |descriptor: &OwnedFd| descriptor.try_clone();
        Ok(health::Plan {
            listener: self.listener.try_clone()?,
            link,
            platform: self.platform.clone(),
            version: env!("CARGO_PKG_VERSION"),
            checks: self.checks.clone(),
            report: self.report.as_ref().map(copy).transpose()?,
            notice: self.notice.as_ref().map(|(socket, _)| copy(socket)).transpose()?,
            token: self.token.clone(),
            lifetime: self.lifetime,
            keep_stderr: true,
        })
    }

    /// What the workload has to know to say how it is (`man 3 sd_notify`).
    fn announce(&self, environment: &mut Environment) {
        let Some((_, name)) = &self.notice else { return };
        set(environment, "NOTIFY_SOCKET", name.as_ref());
        let watchdogs = self.checks.iter().filter_map(|check| match check.subject {
            Subject::Notify(watchdog) => watchdog,
            _ => None,
        });
        if let Some(shortest) = watchdogs.min() {
            set(environment, "WATCHDOG_USEC", shortest.as_micros().to_string().as_ref());
        }
    }
}

/// What looks for health need of the start, in the children that PID 1 makes for them.
struct Looker {
    title: Title,
    inherited: Inherited,
    environment: Vec<CString>,
    search_path: Option<OsString>,
    attributes: Attributes,
    manners: Manners,
}

impl Looker {
    /// In such a child, as the workload's user; a program is given its other attributes too.
    fn look(&self, check: &CheckEntry) -> Result<(), String> {
        self.title.replace("mak-init: check");
        let runs = matches!(check.subject, Subject::Exec(_));
        if let Some(user) = self.attributes.identity.as_ref().filter(|_| !runs) {
            let taken = user.take_groups().and_then(|()| user.take_user());
            taken.map_err(|_| "it cannot be looked at as the workload's user".to_owned())?;
        }
        if let Some(found) = look_by_tls(&check.subject, &self.manners, check.timeout) {
            return found;
        }
        let program = |words: &[String]| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            let environment = self.environment.clone();
            let path = self.search_path.as_deref();
            let program = program_of(&words, environment, path, explain, Standing::Same)?;
            let attributes = Attributes { hand_over_streams: false, ..self.attributes.clone() };
            Some(Program { attributes, ..program })
        };
        look(&check.subject, check.timeout, &self.inherited, &program)
    }
}

/// What explaining the workload's end needs of the start: all that lives on of it.
struct Scene {
    name: OsString,
    search_path: Option<OsString>,
    termination_message: Option<PathBuf>,
    last_words: Option<LastWords>,
    oom_kills: Option<u64>,
}

impl Scene {
    /// In the child, after the workload's end.
    fn explain(&self, death: &Death) -> Cause {
        let program = || {
            let path = self.search_path.clone().map(|path| ("PATH".into(), path));
            let request = verify::Request::empty(path.as_slice());
            verify::command::locate(&request, &self.name)
        };
        let before = death::Before {
            refused: self.last_words.and_then(|words| words.take()),
            oom_kills: self.oom_kills,
            program: &program,
            termination_message: self.termination_message.as_deref(),
        };
        death::explain(death, &before)
    }
}

/// A start, once everything that was typed and configured has been read.
struct Start<'a> {
    effective: &'a Effective,
    command: Vec<OsString>,
    /// Whether there is no workload at all.
    pause: bool,
    environment: Environment,
    attributes: Attributes,
    inherited: Inherited,
    title: Title,
}

impl Start<'_> {
    /// Opens the endpoint, if one is configured. One that cannot be opened stops the start
    /// only where it is required: the error is then the exit code.
    #[inline(never)]
    fn health_plan(&self, uname: &Uname) -> Result<Option<HealthPlan>, u8> {
        let Some(address) = &self.effective.values.listen else { return Ok(None) };
        let token = match &self.effective.values.token_file {
            None => None,
            // Without its token the endpoint would be open to everybody.
            Some(path) => Some(health::token::read(path).map_err(|why| {
                tracing::error!("{why}");
                code::FAILED
            })?),
        };
        let lifetime = match self.effective.values.mode {
            Mode::Supervise => health::Lifetime::UntilLinkCloses,
            Mode::Exec => health::Lifetime::WithParent,
        };
        match health::bind(address) {
            Ok(listener) => Ok(Some(HealthPlan {
                listener,
                platform: vec![
                    ("platform", uname.platform()),
                    ("machine", uname.machine.clone()),
                    ("kernel", uname.release.clone()),
                ],
                checks: self.effective.checks.clone(),
                report: self.report_file(),
                notice: self.notice_socket(),
                token,
                lifetime,
                title: self.title,
            })),
            Err(error) if self.effective.values.health_required => {
                Err(failed("the health endpoint is required", &error))
            }
            Err(error) => {
                tracing::warn!("{error}; going on without a health endpoint");
                Ok(None)
            }
        }
    }

    /// A file without a name for the verification report. Without it only `/report` is missing.
    fn report_file(&self) -> Option<OwnedFd> {
        if self.effective.form == Form::Off {
            return None;
        }
        let flags = rustix::fs::MemfdFlags::CLOEXEC;
        rustix::fs::memfd_create("mak-init report", flags)
            .map_err(|error| tracing::warn!("no /report: {error}"))
            .ok()
    }

    fn notice_socket(&self) -> Option<(OwnedFd, String)> {
        let checks = &self.effective.checks;
        if !checks.iter().any(|check| matches!(check.subject, Subject::Notify(_))) {
            return None;
        }
        health::bind_notice()
            .map_err(|error| tracing::warn!("no NOTIFY_SOCKET for the workload: {error}"))
            .ok()
    }

    /// Empty where nothing will be looked at.
    fn looker(&self) -> Looker {
        let runs = |check: &CheckEntry| matches!(check.subject, Subject::Exec(_));
        let runs = self.effective.checks.iter().any(runs);
        Looker {
            title: self.title,
            inherited: self.inherited,
            environment: match runs {
                true => environment_entries(&self.environment),
                false => Vec::new(),
            },
            search_path: find(&self.environment, "PATH").map(OsStr::to_owned),
            attributes: self.attributes.clone(),
            manners: Manners {
                token: None,
                authorities: find(&self.environment, "SSL_CERT_FILE").map(PathBuf::from),
            },
        }
    }

    /// All that comes before the loop. The error is the exit code.
    #[inline(never)]
    fn set_up<'s>(
        &self,
        signals: Signals,
        serve: Option<Serve<'s>>,
        report: Option<&OwnedFd>,
    ) -> Result<Run<'s>, u8> {
        let mut health = match serve {
            None => None,
            Some(serve) => Some(self.start_health(serve)?),
        };
        if let Err(code) = self.prepare(&signals, health.as_mut(), report) {
            if let Some(health) = &mut health {
                health.tell(Phase::Failed, None);
                health.end();
            }
            return Err(code);
        }
        match self.effective.values.mode {
            Mode::Exec => Err(self.become_workload(health)),
            Mode::Supervise => self.supervise(signals, health),
        }
    }

    fn start_health<'s>(&self, serve: Serve<'s>) -> Result<HealthProcess<'s>, u8> {
        let kinship = match self.effective.values.mode {
            Mode::Supervise => Kinship::Child,
            Mode::Exec => Kinship::Unseen,
        };
        HealthProcess::start(serve, kinship, Frame::starting(clock::boot_milliseconds()))
            .map_err(|error| failed("cannot start the health process", &error))
    }

    /// Makes the directories and verifies, in a child. The error is the exit code.
    #[inline(never)]
    fn prepare(
        &self,
        signals: &Signals,
        health: Option<&mut HealthProcess>,
        report: Option<&OwnedFd>,
    ) -> Result<(), u8> {
        let form = self.effective.form;
        let directories = match self.directories() {
            Ok(directories) if directories.is_empty() && form == Form::Off => return Ok(()),
            Ok(directories) => directories,
            Err(code) => return Err(code),
        };
        let mut health = health;
        if let Some(health) = health.as_mut().filter(|_| form != Form::Off) {
            health.note_verification(Outcome::Pending, Tally::default());
            health.tell(Phase::Verifying, None);
        }
        let stop = Mask::of(&self.effective.values.stop_signals);
        let deadline = self.effective.values.verify_deadline;
        let work = || self.make_and_verify(&directories, report);
        let preparation = prepare(signals, stop, deadline, health.as_deref_mut(), &work);
        let result = self.judge(&preparation);
        if let Some(health) = health {
            let (outcome, tally) = match &preparation {
                Preparation::Done(findings) => (findings.outcome, findings.tally),
                _ if form == Form::Off => (Outcome::NotAsked, Tally::default()),
                _ if result.is_ok() => (Outcome::Warn, Tally::default()),
                _ => (Outcome::Fail, Tally::default()),
            };
            health.note_verification(outcome, tally);
        }
        result
    }

    /// The profile's directories where the environment puts them.
    #[inline(never)]
    fn directories(&self) -> Result<Vec<Directory>, u8> {
        let Some(profile) = &self.effective.profile else { return Ok(Vec::new()) };
        let user = self.attributes.identity.as_ref().map(|identity| Owner {
            uid: Some(identity.uid.as_raw()),
            gid: Some(identity.gid.as_raw()),
        });
        let place = |variable: &str| find(&self.environment, variable).unwrap_or_default();
        Ok(profile
            .directories
            .iter()
            .map(|entry| Directory {
                variable: entry.variable.clone(),
                path: PathBuf::from(place(&entry.variable)),
                mode: entry.mode,
                owner: entry.owner.map(|(uid, gid)| Owner { uid: Some(uid), gid }),
                user,
                access: if entry.read_only { Access::ReadOnly } else { Access::ReadWrite },
            })
            .collect())
    }

    /// In the child.
    fn make_and_verify(&self, directories: &[Directory], file: Option<&OwnedFd>) -> Findings {
        self.title.replace("mak-init: verify");
        let mut findings =
            Findings { code: 0, outcome: Outcome::NotAsked, tally: Tally::default() };
        if !self.make(directories) {
            findings.code = code::FAILED;
        }
        if findings.code != 0 || self.effective.form == Form::Off {
            return findings;
        }
        let full = self.effective.form == Form::Full;
        let mut request = match &self.effective.profile {
            Some(profile) => verify::Request::of_profile(profile, full, &self.environment),
            None => verify::Request::empty(&self.environment),
        };
        request.workload = self.effective.profile.as_ref().map(|_| self.command.clone());
        request.expect_platform.clone_from(&self.effective.values.expect_platform);
        let report = verify::verify(&request);
        if let Some(Err(error)) = file.map(|file| write_report(file, &report)) {
            tracing::warn!("no /report: {error}");
        }
        findings.tally = tally(&report);
        (findings.code, findings.outcome) = self.tell(&report);
        findings
    }

    /// Makes the directories and proves that the workload can use them, as its user. False where
    /// it cannot, and that has been said.
    fn make(&self, directories: &[Directory]) -> bool {
        let another = self.attributes.identity.as_ref().filter(|user| user.uid != geteuid());
        let mut all_well = true;
        for directory in directories {
            if let Err(error) = make_for(another, directory) {
                tracing::error!("{error}");
                all_well = false;
            }
        }
        all_well
    }

    /// Says what was found; the code is 0 to go on.
    fn tell(&self, report: &Report) -> (u8, Outcome) {
        let warns = self.effective.values.verify_policy == Policy::Warn;
        for check in report.failed() {
            if warns {
                tracing::warn!("{check}");
            } else {
                tracing::error!("{check}");
            }
        }
        let wanting: Vec<&str> = report.warned().map(|check| check.subject.as_str()).collect();
        for check in report.warned() {
            tracing::debug!("{check}");
        }
        match report.verdict {
            Verdict::Pass => (0, Outcome::Pass),
            Verdict::Warn => {
                tracing::info!("verified; optional and wanting: {}", wanting.join(", "));
                (0, Outcome::Warn)
            }
            Verdict::Fail if warns => (0, Outcome::Warn),
            Verdict::Fail => (code::NOT_VERIFIED, Outcome::Fail),
        }
    }

    /// What the preparation means for the start. The error is the exit code.
    fn judge(&self, preparation: &Preparation) -> Result<(), u8> {
        let why = match preparation {
            Preparation::Done(findings) if findings.code == 0 => return Ok(()),
            Preparation::Done(findings) if findings.code == code::NOT_VERIFIED => {
                tracing::error!(
                    "verification failed ({} of the required checks): the workload is not started; \
                     set MAK_INIT_VERIFY=warn to start it all the same",
                    findings.tally.fail
                );
                return Err(findings.code);
            }
            Preparation::Done(findings) => return Err(findings.code),
            Preparation::Stopped(signal) => return Err(128 | signal.number() as u8),
            Preparation::NotStarted(error) => format!("no process can be made for it: {error}"),
            Preparation::TookTooLong => {
                format!("it took longer than {:?}", self.effective.values.verify_deadline)
            }
            Preparation::Crashed(ended) => format!("it crashed ({ended:?})"),
        };
        if self.effective.form == Form::Off {
            return Err(failed("cannot make the directories", &why));
        }
        if self.effective.values.verify_policy == Policy::Warn {
            tracing::warn!("verification came to no result: {why}");
            return Ok(());
        }
        tracing::error!(
            "verification came to no result: {why}; the workload is not started; \
             set MAK_INIT_VERIFY=warn to start it all the same"
        );
        Err(code::NOT_VERIFIED)
    }

    fn program(&self) -> Option<Program> {
        let program = program_of(
            &self.command,
            environment_entries(&self.environment),
            find(&self.environment, "PATH"),
            explain,
            Standing::Foreground,
        )?;
        // Without it an end by 126 or 127 is taken for the workload's own.
        let attributes = self.attributes.clone();
        Some(Program { last_words: LastWords::new().ok(), attributes, ..program })
    }

    #[inline(never)]
    fn become_workload(&self, health: Option<HealthProcess>) -> u8 {
        let Some(program) = self.program() else { return code::FAILED };
        let code = become_program(&program, &self.inherited);
        if let Some(mut health) = health {
            health.tell(Phase::Failed, None);
            health.end();
        }
        code
    }

    /// All that the loop needs.
    fn supervise<'s>(
        &self,
        signals: Signals,
        health: Option<HealthProcess<'s>>,
    ) -> Result<Run<'s>, u8> {
        let values = &self.effective.values;
        if !is_init() && values.subreaper {
            adopt_orphans();
        }
        if let Some(signal) = values.parent_death_signal {
            die_with_parent(signal);
        }
        let program = match self.pause {
            true => None,
            false => Some(self.program().ok_or(code::FAILED)?),
        };
        Ok(Run {
            program,
            inherited: self.inherited,
            signals,
            stop_signals: Mask::of(&values.stop_signals),
            stop_signal: values.stop_signal,
            stop_delay: values.stop_delay,
            grace: values.grace,
            drain: values.drain,
            time_limit: values.time_limit,
            group: values.group,
            rewrites: Rewrites::new(&values.rewrite),
            job_control: JobControl::Forwarded,
            drains: true,
            parting: None,
            detached: false,
            leaves_folder: false,
            closes_descriptors: false,
            expect_exit: values.expect_exit.clone(),
            restarts: Restarts::new(
                values.restart,
                values.restart_delay,
                values.restart_max_delay,
                values.restart_stable,
                values.restart_limit,
            ),
            health,
            terminal: Terminal::controlling(),
            notice: None,
            explain_death: None,
        })
    }

    fn scene(&self, program: Option<&Program>) -> Scene {
        Scene {
            name: self.command.first().cloned().unwrap_or_default(),
            search_path: find(&self.environment, "PATH").map(OsStr::to_owned),
            termination_message: self.effective.values.termination_message.clone(),
            last_words: program.and_then(|program| program.last_words),
            oom_kills: self.look_at_memory(),
        }
    }

    /// What the out-of-memory killer has done so far. Only read where more is asked for than to
    /// run a command: the fast path opens no file.
    fn look_at_memory(&self) -> Option<u64> {
        if tracing::enabled!(tracing::Level::DEBUG) && oom::kills_the_whole_group(&Root::host()) {
            tracing::debug!(
                "memory.oom.group is 1: where memory runs out, mak-init is killed with the workload"
            );
        }
        let values = &self.effective.values;
        let is_fast = self.effective.profile.is_none() && values.listen.is_none();
        if is_fast { None } else { oom::kills(&Root::host()) }
    }
}

/// A grace period that nobody waits for the end of.
pub const FOREVER: Duration = Duration::from_secs(366 * 24 * 3600);

/// The environment as execve(2) takes it.
pub fn environment_entries(environment: &Environment) -> Vec<CString> {
    let entry = |(name, value): &(OsString, OsString)| {
        let mut entry = name.clone();
        entry.push("=");
        entry.push(value);
        CString::new(entry.into_vec()).ok()
    };
    environment.iter().filter_map(entry).collect()
}

/// The program that this command names, looked for in these folders of PATH.
pub fn program_of(
    command: &[OsString],
    environment: Vec<CString>,
    path: Option<&OsStr>,
    explain: fn(&Program, &CStr, std::io::Error) -> Refusal,
    standing: Standing,
) -> Option<Program> {
    let text = |word: &OsString| CString::new(word.clone().into_vec()).ok();
    let arguments: Vec<CString> = command.iter().map(text).collect::<Option<_>>()?;
    let candidates = candidates(arguments.first()?, path);
    let say = |text: &str| tracing::error!("{text}");
    Some(Program {
        arguments,
        environment,
        candidates,
        last_words: None,
        attributes: Attributes::none(),
        explain,
        say,
        standing,
    })
}

/// Makes a directory, and proves that its user can use it.
fn make_for(another: Option<&Identity>, directory: &Directory) -> Result<(), Box<dyn Error>> {
    let prepared = match another {
        None => prepare_directory(directory)?,
        Some(_) => make_directory(directory)?,
    };
    for note in prepared.notes {
        tracing::warn!("{}: {note}", directory.variable);
    }
    if let Some(user) = another {
        user.lend(|| prove(directory))??;
    }
    Ok(())
}

/// Whether PID 1 has something to do for one of these.
fn needs_init(checks: &[CheckEntry]) -> bool {
    checks.iter().any(|check| check.subject.needs_init() || check.on_failure != OnFailure::None)
}

fn write_report(file: &OwnedFd, report: &Report) -> std::io::Result<()> {
    let file = std::fs::File::from(file.try_clone()?);
    let mut file = std::io::BufWriter::new(file);
    serde_json::to_writer(&mut file, report)?;
    std::io::Write::flush(&mut file)
}

/// The report's counts, as they are sent to PID 1.
fn tally(report: &Report) -> Tally {
    let count = |status| u16::try_from(report.count(status)).unwrap_or(u16::MAX);
    Tally {
        pass: count(Status::Pass),
        warn: count(Status::Warn),
        fail: count(Status::Fail),
        skip: count(Status::Skip),
    }
}

/// Says why the program was refused.
fn explain(program: &Program, candidate: &CStr, error: std::io::Error) -> Refusal {
    let path = |candidate: &'_ CStr| Path::new(OsStr::from_bytes(candidate.to_bytes())).to_owned();
    let paths: Vec<PathBuf> = program.candidates.iter().map(|candidate| path(candidate)).collect();
    let named_by_path = program.arguments.first().is_some_and(|a| a.to_bytes().contains(&b'/'));
    let folders: Vec<&Path> = match named_by_path {
        true => Vec::new(),
        false => paths.iter().filter_map(|path| path.parent()).collect(),
    };
    let attempt = verify::command::Attempt {
        path: &path(candidate),
        folders: &folders,
        arguments: &program.arguments,
        environment: &program.environment,
    };
    let (code, text) = verify::command::explain(&attempt, error);
    Refusal { code, text }
}
