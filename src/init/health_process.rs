//! The health process as PID 1 sees it: a child to start, to tell the state, to start again.
//!
//! PID 1 never waits for it. The socket to it takes a few frames; when it is full, the newest
//! state is sent as soon as there is room, and what lay between is lost without harm.

#![allow(unsafe_code, reason = "system calls that no crate here wraps")]

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::unistd::{ForkResult, fork};
use rustix::event::{PollFd, PollFlags};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socketpair};

use super::board::Board;
use super::clock::Moment;
use super::forward;
use super::frame::{Cause, Counts, Frame, Outcome, Phase, Tally};
use super::inquiry::{Heard, Inquiries};
use super::memory::end_set_up;
use super::pid::Pid;
use super::reap::{Turn, turn_of};
use super::spawn::exit_now;
use crate::config::Signal;
use crate::config::check::OnFailure;

/// The wait before the first new start; each further one doubles it.
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// The longest wait before a new start.
const LONGEST_DELAY: Duration = Duration::from_secs(30);
/// Having lived this long, it counts as healthy: the next wait is the first again.
const STABLE: Duration = Duration::from_secs(60);

/// How the health process is made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kinship {
    /// An ordinary child: its end is seen, and it is started again.
    Child,
    /// A child whose end sends no signal and which `waitpid(-1)` does not see (`man 2 clone`,
    /// exit signal 0): in exec mode its parent becomes the workload, which never asked for it.
    Unseen,
}

/// What the health process runs, given its end of the socket and how often it was started
/// before. It must not return before its end; what it returns is its exit code.
pub type Serve<'a> = &'a dyn Fn(OwnedFd, u32) -> i32;

/// The health process.
pub struct HealthProcess<'a> {
    serve: Serve<'a>,
    kinship: Kinship,
    inquiries: Option<Inquiries<'a>>,
    running: Option<(Pid, OwnedFd)>,
    frame: Frame,
    board: Option<Board>,
    unsent: bool,
    stable_from: Moment,
    start_at: Option<Moment>,
    delay: Duration,
}

impl<'a> HealthProcess<'a> {
    /// Starts it for the first time; `board` is where it reads what is counted.
    pub fn start(
        serve: Serve<'a>,
        kinship: Kinship,
        frame: Frame,
        board: Option<Board>,
    ) -> io::Result<Self> {
        let now = Moment::now();
        let mut health = HealthProcess {
            serve,
            kinship,
            inquiries: None,
            running: None,
            frame,
            board,
            unsent: true,
            stable_from: now.after(STABLE),
            start_at: None,
            delay: FIRST_DELAY,
        };
        health.fork()?;
        Ok(health)
    }

    /// Tells it what has been counted: at once on the board, else with the next `tell`.
    pub fn note_counts(&mut self, counts: Counts) {
        self.frame.counts = counts;
        if let Some(board) = &self.board {
            board.write(counts);
        }
    }

    /// From now on it may ask for these.
    pub fn allow(&mut self, inquiries: Inquiries<'a>) {
        self.inquiries = Some(inquiries);
    }

    /// Tells it where the run is.
    pub fn tell(&mut self, phase: Phase, workload: Option<Pid>) {
        if let Some(inquiries) = self.inquiries.as_mut().filter(|_| phase == Phase::Running) {
            inquiries.begin();
        }
        self.frame.phase = phase;
        self.frame.workload = workload.map_or(0, |pid| pid.raw() as u32);
        self.unsent = true;
        self.flush();
    }

    /// Tells it what verification came to, with the next `tell`.
    pub fn note_verification(&mut self, outcome: Outcome, tally: Tally) {
        self.frame.outcome = outcome;
        self.frame.tally = tally;
    }

    /// Tells it why the workload has ended and with which exit code.
    pub fn tell_death(&mut self, cause: Cause, code: u8) {
        self.frame.death = Some((cause, code));
        self.unsent = true;
        self.flush();
    }

    /// Sends the newest state if there is room for it.
    pub fn flush(&mut self) {
        let Some((_, link)) = self.running.as_ref().filter(|_| self.unsent) else { return };
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        // An error other than "no room" means that it is ending, which SIGCHLD will tell.
        self.unsent = send(link, &self.frame.encode(), flags) == Err(rustix::io::Errno::AGAIN);
    }

    /// What to wait for at its socket: room while something is unsaid, and its requests where it
    /// may ask for something.
    pub fn awaited(&self) -> Option<PollFd<'_>> {
        let (_, link) = self.running.as_ref()?;
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::OUT, self.unsent);
        flags.set(PollFlags::IN, self.inquiries.is_some());
        (!flags.is_empty()).then(|| PollFd::from_borrowed_fd(link.as_fd(), flags))
    }

    /// Serves its requests; the result is what a failed check is configured to lead to. One that
    /// sends nonsense is killed, and so started again.
    pub fn serve_requests(&mut self) -> Option<OnFailure> {
        let (inquiries, (pid, link)) = (self.inquiries.as_mut()?, self.running.as_ref()?);
        match inquiries.serve(link) {
            Heard::Nothing => None,
            Heard::Failed(action) => Some(action),
            Heard::Nonsense => {
                forward::send(*pid, Signal::KILL);
                None
            }
        }
    }

    /// When it has to be started again.
    pub fn deadline(&self) -> Option<Moment> {
        self.start_at
    }

    /// Takes note of a child's end; false where it was another child.
    pub fn has_ended(&mut self, pid: Pid) -> bool {
        if self.inquiries.as_mut().is_some_and(|inquiries| inquiries.has_ended(pid)) {
            return true;
        }
        if !self.is(pid) {
            return false;
        }
        self.running = None;
        let now = Moment::now();
        if now >= self.stable_from {
            self.delay = FIRST_DELAY;
        }
        self.start_at = Some(now.after(self.delay));
        self.delay = (self.delay * 2).min(LONGEST_DELAY);
        true
    }

    /// Stopped, it answers nobody and can be started again no other way.
    pub fn end_if_stopped(&self) {
        if let Some((pid, _)) = &self.running
            && turn_of(*pid) == Some(Turn::Stopped)
        {
            forward::send(*pid, Signal::KILL);
        }
    }

    /// Starts it again if it is time to.
    pub fn start_again_if_due(&mut self) {
        let now = Moment::now();
        if self.start_at.is_none_or(|due| due > now) {
            return;
        }
        self.start_at = None;
        self.stable_from = now.after(STABLE);
        self.frame.health_restarts = self.frame.health_restarts.saturating_add(1);
        self.unsent = true;
        if self.fork().is_err() {
            self.start_at = Some(now.after(self.delay));
            self.delay = (self.delay * 2).min(LONGEST_DELAY);
        }
    }

    /// Ends it for good: it holds no state, and a KILL needs no waiting for.
    pub fn end(&mut self) {
        self.start_at = None;
        if let Some((pid, _link)) = self.running.take() {
            forward::send(pid, Signal::KILL);
        }
    }

    fn is(&self, pid: Pid) -> bool {
        self.running.as_ref().is_some_and(|(known, _)| *known == pid)
    }

    fn fork(&mut self) -> io::Result<()> {
        let (ours, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )?;
        match new_process(self.kinship)? {
            Some(pid) => {
                drop(theirs);
                self.running = Some((pid, ours));
                self.flush();
                Ok(())
            }
            None => {
                end_set_up();
                drop(ours);
                let code = (self.serve)(theirs, self.frame.health_restarts);
                exit_now(code as u8)
            }
        }
    }
}

/// Forks: the child's id in the parent, `None` in the child.
fn new_process(kinship: Kinship) -> io::Result<Option<Pid>> {
    let raw = match kinship {
        Kinship::Child => fork_child()?,
        // SAFETY: as fork. With every argument 0 the order, which differs between
        // architectures, does not matter: no flags, no new stack, exit signal 0. libc's idea of
        // the thread's id stays the parent's, which is why `health` never calls abort(3).
        Kinship::Unseen => match unsafe { libc::syscall(libc::SYS_clone, 0, 0, 0, 0, 0) } {
            // qemu-user knows no exit signal but CHLD: an endpoint that is seen beats none.
            -1 if Errno::last() == Errno::EINVAL => fork_child()?,
            -1 => return Err(io::Error::last_os_error()),
            raw => raw as i32,
        },
    };
    match raw {
        0 => Ok(None),
        raw => Pid::new(raw).map(Some).ok_or_else(|| io::Error::other("fork gave no process id")),
    }
}

/// The child's id in the parent, 0 in the child.
fn fork_child() -> io::Result<i32> {
    // SAFETY: this process has one thread, so that the child may do whatever we may.
    Ok(match unsafe { fork() }? {
        ForkResult::Parent { child } => child.as_raw(),
        ForkResult::Child => 0,
    })
}
