//! Running a workload: the steps of a start in their order (docs/architecture.md), then the
//! loop of PID 1, or in exec mode the workload itself.

pub mod program;

mod health_plan;
mod looker;
mod preparation;
mod scene;

use std::error::Error;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use super::attributes::{attributes, cannot_signal, user};
use super::environment::{Environment, workload_environment};
use super::words::Words;
use super::{Started, code, configuration, logs, refuse, usage};
use crate::config::{CheckEntry, Effective, Mode};
use crate::init;
use crate::init::ancestry::{adopt_orphans, die_with_parent};
use crate::init::attributes::Attributes;
use crate::init::board::Board;
use crate::init::death::Death;
use crate::init::event_loop::{JobControl, Run};
use crate::init::forward::Rewrites;
use crate::init::frame::Phase;
use crate::init::health_process::{HealthProcess, Serve};
use crate::init::inquiry::Inquiries;
use crate::init::mask::{Inherited, Mask, take_over};
use crate::init::pid::is_init;
use crate::init::receive::Signals;
use crate::init::restart::Restarts;
use crate::init::spawn::become_program;
use crate::init::terminal::Terminal;
use crate::init::title::Title;
use crate::platform::Uname;
use looker::needs_init;

/// Runs the workload; the result is the exit code.
#[inline(never)]
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
    let signals = match Signals::all(plan.is_some()) {
        Ok(signals) => signals,
        Err(error) => return failed("cannot receive signals", &error),
    };
    let serve = |link: OwnedFd, _: u32| plan.as_ref().map_or(0, |plan| plan.serve(link));
    let report = plan.as_ref().and_then(|plan| plan.report.as_ref());
    let board = plan.as_ref().and_then(|plan| plan.board);
    let mut run = start.set_up(signals, plan.is_some().then_some(&serve), board, report);
    let looker = start.looker();
    let looks = |check: &CheckEntry| looker.look(check);
    let checks = plan.as_ref().map_or(&[][..], |plan| &plan.checks);
    if let Some(health) = run.as_mut().ok().and_then(|run| run.health.as_mut())
        && needs_init(checks)
    {
        health.allow(Inquiries::new(checks, &looks));
    }
    let scene = start.scene(run.as_ref().ok().and_then(|run| run.program.as_deref()));
    let explain_death = |death: &Death| scene.explain(death);
    // What the loop does not need is dead when it begins, so that its memory goes back.
    drop(start);
    drop((effective, started, uname));
    match run {
        Ok(mut run) => {
            run.explain_death = Some(&explain_death);
            init::run(&mut run)
        }
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
    /// All that comes before the loop. The error is the exit code.
    #[inline(never)]
    fn set_up<'s>(
        &self,
        signals: Signals,
        serve: Option<Serve<'s>>,
        board: Option<Board>,
        report: Option<&OwnedFd>,
    ) -> Result<Run<'s>, u8> {
        let mut health = match serve {
            None => None,
            Some(serve) => Some(self.start_health(serve, board)?),
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

    #[inline(never)]
    fn become_workload(&self, health: Option<HealthProcess>) -> u8 {
        let Some(mut program) = self.program() else { return code::FAILED };
        program.attributes.parent_death_signal = self.effective.values.parent_death_signal;
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
            false => Some(Rc::new(self.program().ok_or(code::FAILED)?)),
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
}
