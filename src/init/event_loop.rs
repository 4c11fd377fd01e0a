//! The loop of PID 1: wait for something to happen, take note of it, act.
//!
//! From here on nothing may fail: what cannot be done now is done in a later turn or not at
//! all, and every stage but `Running` ends by its own deadline (`stage`).

use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};

use super::clock::Moment;
use super::death::{Asked, Death, Explain, Explainer, Senders, tell_briefly};
use super::drain::signal_everything;
use super::forward::{forward, send};
use super::frame::{Cause, Phase};
use super::health_process::HealthProcess;
use super::mask::Mask;
use super::pid::Pid;
use super::reap::{Change, Ended, next_change};
use super::receive::{Arrival, Signals};
use super::stage::{Action, Event, Stage, next};
use super::terminal::Terminal;
use crate::config::Signal;

/// How long a killed process may stay in the kernel before we go on without it.
const UNKILLABLE: Duration = Duration::from_secs(1);

/// What the loop has to know.
pub struct Run<'a> {
    /// The workload, which has been started.
    pub workload: Pid,
    /// Where signals arrive.
    pub signals: Signals,
    /// The signals that ask for a stop.
    pub stop_signals: Mask,
    /// From the first of them to KILL.
    pub grace: Duration,
    /// From the TERM for what is left to its KILL.
    pub drain: Duration,
    /// The health process, where there is one.
    pub health: Option<HealthProcess<'a>>,
    /// The terminal, where we had its foreground.
    pub terminal: Option<Terminal>,
    /// Says why the workload ended, where it was not by its own 0; called in a child.
    pub explain_death: Option<Explain<'a>>,
}

/// The run as it stands.
struct Loop<'a> {
    run: Run<'a>,
    stage: Stage,
    time_up: Option<Moment>,
    /// The workload until it is reaped: afterwards its number may be somebody else's.
    target: Option<Pid>,
    ended: Ended,
    asked_by: Asked,
    /// Whether we have sent it KILL.
    killed: bool,
    senders: Senders,
    explainer: Option<Explainer>,
}

/// Stays with the workload until it and everything else has ended; the result is the exit code.
pub fn run(run: Run) -> u8 {
    let mut state = Loop {
        target: Some(run.workload),
        run,
        stage: Stage::Running,
        time_up: None,
        // Holds where the workload cannot be reaped: it has been killed.
        ended: Ended::Signal(Signal::KILL.number() as u8),
        asked_by: Asked { signal: Signal::TERM, sender: 0 },
        killed: false,
        senders: Senders::new(),
        explainer: None,
    };
    state.tell_health(Phase::Running);
    while state.stage != Stage::Over {
        state.wait();
        state.take_signals();
        state.reap();
        state.watch_the_clock();
    }
    if let Some(terminal) = &state.run.terminal {
        terminal.claim();
    }
    state.ended.exit_code()
}

impl Loop<'_> {
    /// Sleeps until a signal, a deadline, or room in the health process's socket.
    fn wait(&self) {
        let health = self.run.health.as_ref();
        // The stage waits for an explanation, which has a deadline of its own.
        let own = self.explainer.as_ref().map_or(self.time_up, |e| Some(e.deadline()));
        let deadline = [own, health.and_then(HealthProcess::deadline)];
        let deadline = deadline.into_iter().flatten().min();
        let longest = deadline.map(|moment| moment.wait_from(Moment::now()));
        let signals = PollFd::new(&self.run.signals, PollFlags::IN);
        // An error (EINTR, ENOMEM) only makes this turn an idle one.
        let _ = match health.and_then(HealthProcess::waiting_for_room) {
            None => poll(&mut [signals], longest.as_ref()),
            Some(link) => {
                let link = PollFd::from_borrowed_fd(link, PollFlags::OUT);
                poll(&mut [signals, link], longest.as_ref())
            }
        };
    }

    fn take_signals(&mut self) {
        let mut asked = None;
        let target = self.target;
        let stop_signals = self.run.stop_signals;
        let senders = &mut self.senders;
        self.run.signals.receive(|arrival| {
            if is_ours(&arrival) {
                return;
            }
            if let Some(target) = target {
                senders.note(&arrival);
                forward(target, &arrival);
            }
            if stop_signals.has(arrival.signal) {
                asked.get_or_insert(Asked { signal: arrival.signal, sender: arrival.sender });
            }
        });
        if let Some(asked) = asked {
            if self.stage == Stage::Running {
                self.asked_by = asked;
            }
            self.happen(Event::StopAsked);
        }
    }

    fn reap(&mut self) {
        loop {
            match next_change() {
                Change::Ended(pid, ended) if Some(pid) == self.target => {
                    self.target = None;
                    self.ended = ended;
                    self.explain_death();
                    self.happen(Event::WorkloadEnded);
                }
                Change::Ended(pid, ended) if self.explainer.as_ref().is_some_and(|e| e.is(pid)) => {
                    self.take_explanation(ended);
                }
                Change::Ended(pid, _) => {
                    if let Some(health) = &mut self.run.health {
                        health.has_ended(pid);
                    }
                }
                Change::Stopped(pid) => {
                    if let Some(health) = &mut self.run.health {
                        health.has_stopped(pid);
                    }
                }
                Change::Quiet => return,
                Change::NobodyLeft => return self.happen(Event::NobodyLeft),
            }
        }
    }

    /// Has the workload's end explained, unless it was its own 0.
    fn explain_death(&mut self) {
        let Some(explain) = self.run.explain_death.filter(|_| self.ended != Ended::Code(0)) else {
            return;
        };
        let death = Death {
            workload: self.run.workload,
            ended: self.ended,
            asked: (self.stage != Stage::Running).then_some(self.asked_by),
            killed_by_us: self.killed,
            sender: self.senders.of(self.ended),
        };
        match Explainer::start(explain, death) {
            Ok(explainer) => self.explainer = Some(explainer),
            Err(_) => self.explained(tell_briefly(&death)),
        }
    }

    /// The explanation's process has ended: its code is the cause, and the line has been logged.
    fn take_explanation(&mut self, ended: Ended) {
        let Some(explainer) = self.explainer.take() else { return };
        let cause = match ended {
            Ended::Code(code) => Cause::from_byte(code),
            Ended::Signal(_) | Ended::Dumped(_) => None,
        };
        self.explained(cause.unwrap_or_else(|| tell_briefly(explainer.death())));
        self.end_health();
    }

    fn explained(&mut self, cause: Cause) {
        if let Some(health) = &mut self.run.health {
            health.tell_death(cause, self.ended.exit_code());
        }
    }

    fn watch_the_clock(&mut self) {
        if let Some(explainer) = self.explainer.take_if(|explainer| explainer.is_late()) {
            self.explained(tell_briefly(explainer.death()));
            self.end_health();
        }
        if self.explainer.is_none() && self.time_up.is_some_and(|moment| moment <= Moment::now()) {
            self.time_up = None;
            self.happen(Event::TimeUp);
        }
        if let Some(health) = &mut self.run.health {
            health.start_again_if_due();
            health.flush();
        }
    }

    fn happen(&mut self, event: Event) {
        let Some((stage, action)) = next(self.stage, event) else { return };
        self.stage = stage;
        self.act(action);
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::GiveGrace => {
                tracing::debug!(signal = %self.asked_by.signal, grace = ?self.run.grace, "stopping");
                self.up_in(self.run.grace);
                self.tell_health(Phase::Stopping);
            }
            Action::KillWorkload => {
                tracing::warn!(
                    "the workload (pid {}) has not ended within {:?} of {}: killing it",
                    self.run.workload.raw(),
                    self.run.grace,
                    self.asked_by.signal
                );
                self.up_in(UNKILLABLE);
                self.killed = true;
                if let Some(target) = self.target {
                    send(target, Signal::KILL);
                }
            }
            Action::AbandonWorkload => {
                tracing::error!(
                    "the workload (pid {}) does not end even when killed: going on without it",
                    self.run.workload.raw()
                );
                self.ask_the_rest();
            }
            Action::AskTheRest => self.ask_the_rest(),
            Action::KillTheRest => {
                tracing::warn!(
                    "processes are left {:?} after they were asked to end: killing them",
                    self.run.drain
                );
                self.up_in(UNKILLABLE);
                signal_everything(Signal::KILL);
            }
            Action::Finish => self.time_up = None,
        }
    }

    fn ask_the_rest(&mut self) {
        self.up_in(self.run.drain);
        match &self.explainer {
            // Until then health shows what is known.
            Some(_) => self.tell_health(Phase::Stopping),
            None => self.end_health(),
        }
        signal_everything(Signal::TERM);
    }

    fn end_health(&mut self) {
        if let Some(mut health) = self.run.health.take() {
            health.end();
        }
    }

    fn up_in(&mut self, length: Duration) {
        self.time_up = Some(Moment::now().after(length));
    }

    fn tell_health(&mut self, phase: Phase) {
        if let Some(health) = &mut self.run.health {
            health.tell(phase, self.target);
        }
    }
}

/// Signals that are for mak-init itself: a child's end, and the PIPE of a log that nobody
/// reads any more.
fn is_ours(arrival: &Arrival) -> bool {
    arrival.signal == Signal::CHLD
        || (arrival.signal == Signal::PIPE && arrival.sender == std::process::id())
}
