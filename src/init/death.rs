//! The workload's end: what PID 1 knows of it, and the one-shot child that says why. The child
//! reads files, which PID 1 does not; PID 1 gives it a deadline and says less without it. A page
//! that both share says that the child has begun to speak, so that nothing is said twice.

#![allow(unsafe_code, reason = "fork, shared memory")]

use std::io;
use std::ptr::{NonNull, null_mut};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use nix::unistd::{ForkResult, fork};

use super::clock::Moment;
use super::forward::send;
use super::frame::Cause;
use super::pid::Pid;
use super::reap::Ended;
use super::receive::Arrival;
use super::spawn::exit_now;
use crate::config::Signal;

/// How long an explanation may take. It takes a few milliseconds, but where memory has just run out
/// or the machine is busy, which is when it is wanted, reading a counter can take a hundred times
/// that. Only a file system that hangs makes the container's end wait for so long.
const LONGEST: Duration = Duration::from_secs(2);
/// How long where a stop was asked for: whoever asked has a KILL ready (`docker stop`: after 10 s).
const LONGEST_IN_A_STOP: Duration = Duration::from_millis(500);

/// A stop that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// By this signal.
    pub signal: Signal,
    /// From this process; 0 for the kernel, or a process outside this PID namespace.
    pub sender: u32,
}

/// What PID 1 knows of an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Death {
    /// The workload that was.
    pub workload: Pid,
    /// How it ended.
    pub ended: Ended,
    /// The stop that was asked for before.
    pub asked: Option<Asked>,
    /// Whether we have killed it, its grace period being over.
    pub killed_by_us: bool,
    /// Who sent the signal that ended it, as far as it went through us.
    pub sender: Option<u32>,
}

impl Death {
    /// The stop that it ended by: with a code of its own, by the signal that asked, or by the KILL
    /// that followed. Another signal, as a crash on the way out, is not what was asked for.
    pub fn by_the_stop(&self) -> Option<Asked> {
        self.asked.filter(|asked| match self.ended.signal() {
            None => true,
            Some(number) => self.killed_by_us || i32::from(number) == asked.signal.number(),
        })
    }
}

/// Says why it ended, in a process of its own, as a line of the log and wherever else.
pub type Explain<'a> = &'a dyn Fn(&Death) -> Cause;

/// Who sent each signal last that went through us to the workload.
pub struct Senders([Option<u32>; 65]);

impl Senders {
    /// Nobody yet.
    pub const fn new() -> Senders {
        Senders([None; 65])
    }

    /// Takes note of a signal that is forwarded.
    pub fn note(&mut self, arrival: &Arrival) {
        if let Some(slot) = self.0.get_mut(arrival.signal.number() as usize) {
            *slot = Some(arrival.sender);
        }
    }

    /// Who sent this one.
    pub fn of(&self, ended: Ended) -> Option<u32> {
        let signal = ended.signal()?;
        self.0.get(usize::from(signal)).copied().flatten()
    }
}

impl Default for Senders {
    fn default() -> Senders {
        Senders::new()
    }
}

/// Whether the child has begun to speak. One page serves all deaths; it is never unmapped.
static SPEAKS: OnceLock<Option<&'static AtomicBool>> = OnceLock::new();

/// `None` where there is no memory for the page: then a late child's line may come beside ours.
fn speaks() -> Option<&'static AtomicBool> {
    *SPEAKS.get_or_init(|| {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping, at an address that the kernel chooses.
        let page =
            unsafe { libc::mmap(null_mut(), size_of::<AtomicBool>(), protection, flags, -1, 0) };
        let page = NonNull::new(page).filter(|_| page != libc::MAP_FAILED)?;
        // SAFETY: mapped, aligned, zero, which is `false`, and never unmapped.
        Some(unsafe { page.cast::<AtomicBool>().as_ref() })
    })
}

/// Called by the child when its line is next.
pub fn begin_to_speak() {
    if let Some(speaks) = speaks() {
        speaks.store(true, Relaxed);
    }
}

/// The child that explains.
pub struct Explainer {
    child: Pid,
    death: Death,
    up: Moment,
}

impl Explainer {
    /// Starts it. It has every signal blocked, as we have, so that the TERM for everybody does
    /// not end it.
    pub fn start(explain: Explain, death: Death) -> io::Result<Explainer> {
        if let Some(speaks) = speaks() {
            speaks.store(false, Relaxed);
        }
        // SAFETY: this process has one thread, so that the child may do whatever we may.
        match unsafe { fork() }? {
            ForkResult::Parent { child } => {
                let child = Pid::new(child.as_raw());
                let child = child.ok_or_else(|| io::Error::other("fork gave no process id"))?;
                let longest = if death.asked.is_some() { LONGEST_IN_A_STOP } else { LONGEST };
                Ok(Explainer { child, death, up: Moment::now().after(longest) })
            }
            ForkResult::Child => exit_now(explain(&death) as u8),
        }
    }

    /// When it has to have ended.
    pub const fn deadline(&self) -> Moment {
        self.up
    }

    /// The death that it explains.
    pub const fn death(&self) -> &Death {
        &self.death
    }

    /// Whether this is its process.
    pub fn is(&self, pid: Pid) -> bool {
        self.child == pid
    }

    /// Whether it has taken too long; it is killed then.
    pub fn is_late(&self) -> bool {
        let late = self.up <= Moment::now();
        if late {
            send(self.child, Signal::KILL);
        }
        late
    }
}

/// What PID 1 says itself where nobody has explained: the end alone.
pub fn tell_briefly(death: &Death) -> Cause {
    let pid = death.workload.raw();
    let has_spoken = speaks().is_some_and(|speaks| speaks.load(Relaxed));
    match death.ended {
        _ if death.by_the_stop().is_some() => return Cause::Asked,
        _ if has_spoken => {}
        Ended::Code(code) => tracing::warn!("the workload (pid {pid}) ended with code {code}"),
        Ended::Signal(number) | Ended::Dumped(number) => {
            tracing::warn!("the workload (pid {pid}) was ended by signal {number}");
        }
    }
    if death.ended.signal().is_some() { Cause::Signal } else { Cause::Code }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_on_the_way_out_is_not_the_stop_that_was_asked_for() {
        let asked = Some(Asked { signal: Signal::TERM, sender: 0 });
        let workload = Pid::new(7).unwrap();
        let death = |ended, killed_by_us| {
            let death = Death { workload, ended, asked, killed_by_us, sender: None };
            death.by_the_stop().is_some()
        };
        assert!(death(Ended::Signal(15), false));
        assert!(death(Ended::Code(3), false));
        assert!(death(Ended::Signal(9), true));
        assert!(!death(Ended::Signal(9), false));
        assert!(!death(Ended::Dumped(11), false));
    }

    #[test]
    fn the_last_sender_of_a_signal_is_known_for_that_signal_alone() {
        let mut senders = Senders::new();
        for (signal, sender) in [(Signal::TERM, 7), (Signal::TERM, 8), (Signal::INT, 0)] {
            senders.note(&Arrival { signal, sender, value: None });
        }
        assert_eq!(senders.of(Ended::Signal(15)), Some(8));
        assert_eq!(senders.of(Ended::Signal(2)), Some(0));
        assert_eq!(senders.of(Ended::Signal(9)), None);
        assert_eq!(senders.of(Ended::Code(15)), None);
    }
}
