//! The loop of PID 1: wait for something to happen, take note of it, act.
//!
//! From here on nothing may fail: what cannot be done now is done in a later turn or not at
//! all, and once a stop is asked for every stage ends by its own deadline (`stage`).

use std::rc::Rc;
use std::time::Duration;

use super::clock::{Moment, boot_milliseconds};
use super::death::{Asked, Death, Explain, Explainer, Senders, tell_briefly};
use super::drain::{signal_children, signal_everything};
use super::forward::{Rewrites, Sent, forward, send, send_group};
use super::frame::{Cause, Counts, Phase};
use super::health_process::HealthProcess;
use super::hygiene::close_inherited;
use super::mask::{Inherited, Mask};
use super::memory::give_back;
use super::pid::{Pid, is_init};
use super::reap::{Ended, Reaped, Turn, reap_next, turn_of};
use super::receive::{Arrival, Signals};
use super::restart::{Restarts, Verdict};
use super::shared_spawn::Loan;
use super::spawn::{Program, exit_now, spawn, spawn_copy};
use super::stage::{Action, Event, Stage, next};
use super::terminal::Terminal;
use super::zombies;
use crate::config::Signal;
use crate::config::check::OnFailure;
use crate::config::setting::Restart;

/// How long a killed process may stay in the kernel before we go on without it.
const UNKILLABLE: Duration = Duration::from_secs(1);
/// The wait before the workload's process is tried for again, after the first failure and at
/// most.
const FIRST_RETRY: Duration = Duration::from_millis(10);
const LONGEST_RETRY: Duration = Duration::from_millis(500);

/// So many children that have ended since they were last looked for are a burst.
const BURST: u32 = 4;
/// How long the children of a burst are left to end before they are looked for again. At every
/// look the kernel goes through all that live, and holds up those that end.
const REST: Duration = Duration::from_millis(2);

/// The exit code of a workload that ran longer than it may, as of timeout(1).
const OUT_OF_TIME: u8 = 124;
/// The exit code where no process could be made for the workload.
const NO_PROCESS: u8 = 125;

/// What the loop has to know.
pub struct Run<'a> {
    /// The workload; `None` where there is none to run.
    pub program: Option<Rc<Program>>,
    /// The signals it is given.
    pub inherited: Inherited,
    /// Where signals arrive.
    pub signals: Signals,
    /// The signals that ask for a stop.
    pub stop_signals: Mask,
    /// What a stop sends; the signal that asked for it where there is none.
    pub stop_signal: Option<Signal>,
    /// From the first of them until the workload hears of it.
    pub stop_delay: Duration,
    /// From then to KILL.
    pub grace: Duration,
    /// From the TERM for what is left to its KILL.
    pub drain: Duration,
    /// How long the workload may run at all.
    pub time_limit: Option<Duration>,
    /// Whether signals go to the workload's process group.
    pub group: bool,
    /// Which signals are forwarded as others.
    pub rewrites: Rewrites,
    /// What TSTP, TTIN and TTOU do.
    pub job_control: JobControl,
    /// Whether what is left is given time to end when the workload has.
    pub drains: bool,
    /// What the workload's group is sent when the workload has ended and nothing is drained.
    pub parting: Option<Signal>,
    /// Whether we have just left a terminal whose session we led.
    pub detached: bool,
    /// Whether descriptors that are not ours are closed once the workload has them.
    pub closes_descriptors: bool,
    /// Exit codes that become others.
    pub expect_exit: Vec<(u8, u8)>,
    /// When the workload is started again.
    pub restarts: Restarts,
    /// The health process, where there is one.
    pub health: Option<HealthProcess<'a>>,
    /// The terminal, where we had its foreground.
    pub terminal: Option<Terminal>,
    /// Who is told of what happens.
    pub notice: Option<Box<dyn Fn(Notice)>>,
    /// Says why the workload ended, where it was not by its own 0; called in a child.
    pub explain_death: Option<Explain<'a>>,
}

/// What TSTP, TTIN and TTOU do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobControl {
    /// They are forwarded like any other.
    Forwarded,
    /// They are forwarded, and suspend mak-init itself.
    Passed,
    /// They suspend the workload's group, then mak-init itself.
    Suspends,
}

/// Something that has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The workload has been started.
    Started(Pid),
    /// A signal has arrived.
    Received(Signal),
    /// It was the kernel's, for having left the terminal, and is not forwarded.
    LeftTerminal(Signal),
    /// The workload has been reaped.
    Ended(Pid, Ended),
    /// A process other than the workload has been reaped.
    Reaped(Pid, Ended),
    /// A signal has been forwarded.
    Forwarded(Signal),
}

/// The run as it stands.
struct Loop<'r, 'a> {
    /// Where it is: moved, it would take up the stack twice for as long as we run.
    run: &'r mut Run<'a>,
    stage: Stage,
    time_up: Option<Moment>,
    /// The workload until it is reaped: afterwards its number may be somebody else's.
    target: Option<Pid>,
    /// What its process may still read of our memory.
    loan: Option<Loan>,
    /// It was refused without a word: the next process for it says why.
    unexplained: bool,
    /// The workload is suspended: it would not see a signal that asks it to end.
    suspended: bool,
    woken: bool,
    /// SIGCHLD has come, and nobody has been reaped since.
    child_news: bool,
    /// Until when SIGCHLD is not listened to.
    rest: Option<Moment>,
    /// The workload that has been reaped: its group may still have members.
    leader: Option<Pid>,
    /// There is no workload to run at all.
    pause: bool,
    /// Signals of the terminal we left that are still to come.
    hup_due: bool,
    cont_due: bool,
    began: Moment,
    starts: u32,
    limit: Option<Moment>,
    /// A check has failed and the workload was told to end: when it is killed.
    unfit: Option<Moment>,
    out_of_time: bool,
    retry: Duration,
    give_up: Option<Moment>,
    ended: Ended,
    /// The signal that asked for a stop, and what the workload is told.
    asked: Signal,
    told: Arrival,
    /// The stop signals that have come so far.
    heard: Mask,
    hurried: bool,
    /// Whether we have sent it KILL.
    killed: bool,
    counts: Counts,
    senders: Senders,
    explainer: Option<Explainer>,
}

/// Starts the workload, stays until it and everything else has ended, and ends this process with
/// its code. What is still open then is the kernel's to close.
pub fn run(run: &mut Run) -> ! {
    let now = Moment::now();
    let term = Arrival { signal: Signal::TERM, sender: 0, value: None };
    let mut state = Loop {
        limit: run.time_limit.map(|limit| now.after(limit)),
        pause: run.program.is_none(),
        hup_due: run.detached,
        cont_due: run.detached,
        run,
        stage: Stage::Starting,
        time_up: None,
        target: None,
        loan: None,
        unexplained: false,
        suspended: false,
        woken: false,
        child_news: true,
        rest: None,
        leader: None,
        began: now,
        starts: 0,
        unfit: None,
        out_of_time: false,
        retry: FIRST_RETRY,
        give_up: None,
        ended: Ended::Code(0),
        asked: Signal::TERM,
        told: term,
        heard: Mask::of(&[]),
        hurried: false,
        killed: false,
        counts: Counts::default(),
        senders: Senders::new(),
        explainer: None,
    };
    state.happen(Event::TimeUp);
    while state.stage != Stage::Over {
        if let Some(arrival) = state.wait() {
            state.take_signal(arrival);
        }
        state.reap();
        state.serve_health();
        state.watch_the_clock();
    }
    if let Some(terminal) = &state.run.terminal {
        terminal.claim();
    }
    exit_now(state.exit_code())
}

impl Loop<'_, '_> {
    /// Sleeps until a signal, a deadline, or something at the health process's socket.
    fn wait(&self) -> Option<Arrival> {
        let health = self.run.health.as_ref();
        // The stage waits for an explanation, which has a deadline of its own.
        let own = self.explainer.as_ref().map_or(self.time_up, |e| Some(e.deadline()));
        let health_due = health.and_then(HealthProcess::deadline);
        let deadlines = [own, self.limit, self.unfit, self.rest, health_due];
        let deadline = deadlines.into_iter().flatten().min();
        let longest = deadline.map(|moment| moment.wait_from(Moment::now()));
        self.run.signals.wait(health.and_then(HealthProcess::awaited), longest.as_ref())
    }

    fn take_signal(&mut self, arrival: Arrival) {
        self.notice(Notice::Received(arrival.signal));
        if arrival.signal == Signal::CHLD {
            self.child_news = true;
        }
        if is_ours(&arrival) {
            return;
        }
        if self.is_of_the_terminal(arrival.signal) {
            return self.notice(Notice::LeftTerminal(arrival.signal));
        }
        if self.run.job_control != JobControl::Forwarded && is_job_control(arrival.signal) {
            return self.suspend(arrival);
        }
        // A signal that is dropped counts as never sent, also as a request to stop.
        let Some(signal) = self.run.rewrites.of(arrival.signal) else { return };
        let told = Arrival { signal, ..arrival };
        if self.run.stop_signals.has(arrival.signal) {
            self.ask_to_stop(arrival.signal, told);
        } else {
            self.pass_on(&told);
        }
    }

    fn pass_on(&mut self, arrival: &Arrival) {
        let Some(target) = self.target else { return };
        self.senders.note(arrival);
        self.counts.forwarded = self.counts.forwarded.wrapping_add(1);
        self.notice(Notice::Forwarded(arrival.signal));
        if self.run.group {
            send_group(target, arrival.signal);
        } else if forward(target, arrival) == Sent::WithoutValue {
            self.counts.without_value = self.counts.without_value.wrapping_add(1);
        }
        self.show_counts();
    }

    fn ask_to_stop(&mut self, asked: Signal, told: Arrival) {
        match self.stage {
            Stage::Starting | Stage::Running | Stage::Restarting => {
                self.asked = asked;
                self.heard = Mask::of(&[asked]);
                self.told = match self.run.stop_signal {
                    Some(signal) => Arrival { signal, value: None, ..told },
                    None => told,
                };
                if self.stage == Stage::Starting {
                    self.ended = Ended::Signal(asked.number() as u8);
                }
                self.happen(match (self.pause, self.run.stop_delay.is_zero()) {
                    (true, _) => Event::WorkloadEnded,
                    (false, true) => Event::StopAsked,
                    (false, false) => Event::DelayAsked,
                });
            }
            Stage::Delaying | Stage::Stopping if is_impatience(asked) && self.heard.has(asked) => {
                self.hurried = self.stage == Stage::Stopping;
                self.happen(Event::HurryAsked);
            }
            _ => {
                self.heard = self.heard.and(asked);
                self.pass_on(&told);
            }
        }
    }

    /// Suspends the workload's group, then ourselves: whoever waits for us is told as if the
    /// workload had been suspended. Init cannot be stopped, by itself least of all.
    fn suspend(&mut self, arrival: Arrival) {
        let Some(signal) = self.run.rewrites.of(arrival.signal) else { return };
        let suspends = self.run.job_control == JobControl::Suspends && signal == arrival.signal;
        let signal = if suspends { Signal::STOP } else { signal };
        self.pass_on(&Arrival { signal, ..arrival });
        if !is_init() {
            let _ = rustix::process::kill_process(
                rustix::process::getpid(),
                rustix::process::Signal::STOP,
            );
        }
    }

    /// HUP and CONT of the kernel, once each, for having left the terminal.
    fn is_of_the_terminal(&mut self, signal: Signal) -> bool {
        let expected = match signal {
            Signal::HUP => &mut self.hup_due,
            Signal::CONT => &mut self.cont_due,
            _ => return false,
        };
        std::mem::take(expected)
    }

    fn notice(&self, notice: Notice) {
        if let Some(tell) = &self.run.notice {
            tell(notice);
        }
    }

    fn reap(&mut self) {
        if !self.is_time_to_reap() {
            return;
        }
        let mut count = 0;
        loop {
            match reap_next() {
                Reaped::Ended(pid, ended) => self.has_ended(pid, ended),
                Reaped::Quiet => break,
                Reaped::NobodyLeft => return self.happen(Event::NobodyLeft),
            }
            count += 1;
        }
        self.look_for_stops();
        self.kill_who_has_come();
        if count >= BURST {
            self.run.signals.listen(Mask::ALL.without(Signal::CHLD));
            self.rest = Some(Moment::now().after(REST));
        }
    }

    /// While the workload runs, only SIGCHLD says that there is something to reap; every other
    /// stage also waits for nobody being left.
    fn is_time_to_reap(&mut self) -> bool {
        match self.rest {
            None => std::mem::take(&mut self.child_news) || self.stage != Stage::Running,
            Some(end) if Moment::now() < end => false,
            Some(_) => {
                self.rest = None;
                self.run.signals.listen(Mask::ALL);
                true
            }
        }
    }

    fn look_for_stops(&mut self) {
        match self.target.and_then(turn_of) {
            Some(Turn::Stopped) => {
                self.suspended = true;
                self.wake();
            }
            Some(Turn::Continued) => self.suspended = false,
            None => {}
        }
        if let Some(health) = &mut self.run.health {
            health.end_if_stopped();
        }
    }

    /// The children of those that were killed are ours now, unless we are init, who has killed all.
    fn kill_who_has_come(&self) {
        if self.stage == Stage::Clearing && !is_init() {
            signal_children(Signal::KILL);
        }
    }

    /// Does what is configured for a check that has failed, unless something else is under way.
    fn serve_health(&mut self) {
        let asked = self.run.health.as_mut().and_then(HealthProcess::serve_requests);
        let (Some(action), Stage::Running, Some(target)) = (asked, self.stage, self.target) else {
            return;
        };
        let term = Arrival { signal: Signal::TERM, sender: 0, value: None };
        match action {
            OnFailure::None => {}
            OnFailure::Stop => {
                tracing::warn!("a check has failed: stopping");
                self.ask_to_stop(Signal::TERM, term);
            }
            OnFailure::Restart if self.unfit.is_none() => {
                tracing::warn!("a check has failed: ending the workload (pid {})", target.raw());
                self.unfit = Some(Moment::now().after(self.run.grace));
                let signal = self.run.stop_signal.unwrap_or(Signal::TERM);
                self.pass_on(&Arrival { signal, ..term });
            }
            OnFailure::Restart => {}
        }
    }

    fn has_ended(&mut self, pid: Pid, ended: Ended) {
        self.counts.reaped = self.counts.reaped.wrapping_add(1);
        self.show_counts();
        if self.explainer.as_ref().is_some_and(|explainer| explainer.is(pid)) {
            return self.take_explanation(ended);
        }
        if Some(pid) != self.target {
            self.notice(Notice::Reaped(pid, ended));
            if let Some(health) = &mut self.run.health {
                health.has_ended(pid);
            }
            return;
        }
        if let Some(program) = self.loan.take().and_then(Loan::refused) {
            return self.was_refused(program);
        }
        self.notice(Notice::Ended(pid, ended));
        self.leader = self.target.take();
        self.suspended = false;
        self.ended = ended;
        self.explain_death(pid);
        if self.stage != Stage::Running || self.run.restarts.policy == Restart::Never {
            return self.happen(Event::WorkloadEnded);
        }
        let ran = Moment::now().since(self.began);
        // Ended for a failed check, it has failed, with whatever code it went.
        let judged = match self.unfit.take() {
            Some(_) => Ended::Signal(Signal::TERM.number() as u8),
            None => ended,
        };
        match self.run.restarts.judge(judged, ran, boot_milliseconds()) {
            Verdict::Final => self.happen(Event::WorkloadEnded),
            Verdict::TooOften => {
                tracing::error!(
                    "the workload has ended {} times in a row, at last with code {}: giving up",
                    self.run.restarts.series() + 1,
                    ended.exit_code()
                );
                self.happen(Event::WorkloadEnded);
            }
            Verdict::Again(wait) => {
                tracing::warn!(
                    "the workload has ended with code {}: starting it again in {wait:?}",
                    ended.exit_code()
                );
                self.happen(Event::RestartDue);
                self.up_in(wait);
            }
        }
    }

    /// There was no workload yet: the next process for it says why. A stop that has come meanwhile
    /// has stopped the start.
    fn was_refused(&mut self, program: Rc<Program>) {
        self.target = None;
        if self.stage != Stage::Running {
            self.ended = Ended::Signal(self.asked.number() as u8);
            return self.happen(Event::WorkloadEnded);
        }
        self.run.program = Some(program);
        self.unexplained = true;
        self.tell_health(Phase::Starting);
        self.happen(Event::Refused);
    }

    /// Has the workload's end explained, unless it was its own 0.
    fn explain_death(&mut self, workload: Pid) {
        let wanted = self.run.drains && self.ended != Ended::Code(0);
        let Some(explain) = self.run.explain_death.filter(|_| wanted) else { return };
        let stopping = matches!(self.stage, Stage::Delaying | Stage::Stopping | Stage::Killing);
        let death = Death {
            workload,
            ended: self.ended,
            asked: stopping.then_some(Asked { signal: self.told.signal, sender: self.told.sender }),
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
    }

    fn explained(&mut self, cause: Cause) {
        if let Some(health) = &mut self.run.health {
            health.tell_death(cause, self.ended.exit_code());
        }
        if matches!(self.stage, Stage::Draining | Stage::Clearing) {
            self.end_health();
        }
    }

    fn watch_the_clock(&mut self) {
        if let Some(explainer) = self.explainer.take_if(|explainer| explainer.is_late()) {
            self.explained(tell_briefly(explainer.death()));
        }
        if [self.limit, self.unfit, self.time_up].iter().any(Option::is_some) {
            self.meet_deadlines(Moment::now());
        }
        if let Some(health) = &mut self.run.health {
            health.start_again_if_due();
            health.flush();
        }
    }

    fn meet_deadlines(&mut self, now: Moment) {
        if self.limit.is_some_and(|moment| moment <= now) {
            self.limit = None;
            self.run_out_of_time();
        }
        if self.unfit.is_some_and(|moment| moment <= now) {
            // Killed, it is reaped soon; if not even that ends it, the next round tries again.
            self.unfit = Some(now.after(UNKILLABLE));
            if let Some(target) = self.target.filter(|_| self.stage == Stage::Running) {
                send(target, Signal::KILL);
            }
        }
        if self.explainer.is_none() && self.time_up.is_some_and(|moment| moment <= now) {
            self.time_up = None;
            self.happen(Event::TimeUp);
        }
    }

    fn run_out_of_time(&mut self) {
        if !matches!(self.stage, Stage::Starting | Stage::Running | Stage::Restarting) {
            return;
        }
        tracing::warn!("the workload has run for all the time it was given: stopping it");
        self.out_of_time = true;
        self.ask_to_stop(
            Signal::TERM,
            Arrival { signal: Signal::TERM, sender: std::process::id(), value: None },
        );
    }

    fn happen(&mut self, event: Event) {
        let Some((stage, action)) = next(self.stage, event) else { return };
        self.stage = stage;
        // Every other stage has deadlines of its own.
        self.unfit = self.unfit.filter(|_| stage == Stage::Running);
        self.act(action);
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Start => self.start(),
            Action::Watch => self.watch(),
            Action::BackOff => self.tell_health(Phase::Starting),
            Action::Delay => {
                self.up_in(self.run.stop_delay);
                self.tell_health(Phase::Stopping);
            }
            Action::Stop => self.stop(),
            Action::KillWorkload => self.kill_workload(),
            Action::AbandonWorkload => {
                tracing::error!("the workload does not end even when killed: going on without it");
                self.ended = Ended::Signal(Signal::KILL.number() as u8);
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

    /// Makes a process for the workload. Where the kernel has none to give at the moment, that
    /// is tried again until the grace time has passed.
    fn start(&mut self) {
        let Some(program) = &self.run.program else { return self.happen(Event::Started) };
        let now = Moment::now();
        let (inherited, terminal) = (&self.run.inherited, self.run.terminal.as_ref());
        let spawned = match self.unexplained {
            false => spawn(program, inherited, terminal),
            true => spawn_copy(program, inherited, terminal).map(|pid| (pid, None)),
        };
        let error = match spawned {
            Ok((pid, loan)) => {
                (self.target, self.loan) = (Some(pid), loan);
                if !std::mem::take(&mut self.unexplained) {
                    self.counts.restarts = self.starts;
                    self.starts = self.starts.saturating_add(1);
                    self.notice(Notice::Started(pid));
                }
                self.began = now;
                self.retry = FIRST_RETRY;
                self.give_up = None;
                return self.happen(Event::Started);
            }
            Err(error) => error,
        };
        let passing = matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOMEM));
        let give_up = *self.give_up.get_or_insert(now.after(self.run.grace));
        if passing && now < give_up {
            self.up_in(self.retry);
            self.retry = (self.retry * 2).min(LONGEST_RETRY);
            return;
        }
        tracing::error!("cannot make a process for the workload: {error}");
        self.ended = Ended::Code(NO_PROCESS);
        self.happen(Event::GaveUp);
    }

    /// The workload runs. At its first start the memory of the set-up is given back, with its
    /// own arguments and environment where nobody needs them again.
    fn watch(&mut self) {
        self.tell_health(Phase::Running);
        if self.starts > 1 {
            return;
        }
        if self.run.restarts.policy == Restart::Never {
            self.run.program = None;
        }
        if self.run.closes_descriptors {
            close_inherited();
        }
        give_back();
    }

    fn stop(&mut self) {
        tracing::debug!(signal = %self.asked, grace = ?self.run.grace, "stopping");
        self.up_in(self.run.grace);
        self.tell_health(Phase::Stopping);
        let told = self.told;
        self.pass_on(&told);
        self.wake();
    }

    /// Lets a suspended workload hear that it is to end. Once: it may suspend itself again.
    fn wake(&mut self) {
        if self.stage != Stage::Stopping || !self.suspended || self.woken {
            return;
        }
        if let Some(target) = self.target {
            self.woken = true;
            send_group(target, Signal::CONT);
        }
    }

    fn kill_workload(&mut self) {
        let Some(target) = self.target else { return };
        if self.hurried {
            tracing::warn!(
                "asked to stop a second time: killing the workload (pid {})",
                target.raw()
            );
        } else {
            tracing::warn!(
                "the workload (pid {}) has not ended within {:?} of {}: killing it",
                target.raw(),
                self.run.grace,
                self.told.signal
            );
        }
        self.up_in(UNKILLABLE);
        self.killed = true;
        if self.run.group {
            send_group(target, Signal::KILL);
        } else {
            send(target, Signal::KILL);
        }
    }

    fn ask_the_rest(&mut self) {
        self.limit = None;
        match &self.explainer {
            // Until then health shows what is known: an end that nobody asked for is a failure.
            Some(explainer) => {
                let asked = explainer.death().asked.is_some();
                self.tell_health(if asked { Phase::Stopping } else { Phase::Failed });
            }
            None => self.end_health(),
        }
        zombies::say();
        if !self.run.drains {
            if let (Some(leader), Some(signal)) = (self.leader, self.run.parting) {
                send_group(leader, signal);
            }
            self.stage = Stage::Over;
            return;
        }
        self.up_in(self.run.drain);
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

    fn show_counts(&mut self) {
        if let Some(health) = &mut self.run.health {
            health.note_counts(self.counts);
        }
    }

    fn tell_health(&mut self, phase: Phase) {
        self.show_counts();
        if let Some(health) = &mut self.run.health {
            health.tell(phase, self.target);
        }
    }

    fn exit_code(&self) -> u8 {
        if self.out_of_time {
            return OUT_OF_TIME;
        }
        let code = self.ended.exit_code();
        let mapped = self.run.expect_exit.iter().find(|(from, _)| *from == code);
        mapped.map_or(code, |(_, to)| *to)
    }
}

/// Signals that are for mak-init itself: a child's end, and the PIPE of a log that nobody
/// reads any more.
fn is_ours(arrival: &Arrival) -> bool {
    arrival.signal == Signal::CHLD
        || (arrival.signal == Signal::PIPE && arrival.sender == std::process::id())
}

/// Sent a second time, these say that the grace period is over. One after the other does not:
/// programs that pass on whatever they get send both.
fn is_impatience(signal: Signal) -> bool {
    [Signal::TERM, Signal::INT].contains(&signal)
}

fn is_job_control(signal: Signal) -> bool {
    [Signal::TSTP, Signal::TTIN, Signal::TTOU].contains(&signal)
}
