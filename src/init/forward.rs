//! Sending signals on, as they came: what was queued with a value is queued with it again.

#![allow(unsafe_code, reason = "system calls that no crate here wraps")]

use super::pid::Pid;
use super::receive::Arrival;
use crate::config::Signal;

/// What rt_sigqueueinfo(2) reads of a siginfo_t for `SI_QUEUE`, on 64-bit machines.
#[repr(C)]
struct Queued {
    signo: i32,
    errno: i32,
    code: i32,
    padding: i32,
    pid: i32,
    uid: u32,
    value: u64,
    rest: [u64; 12],
}

const _: () = assert!(size_of::<Queued>() == 128 || size_of::<usize>() != 8);

/// Which signal is forwarded as which other.
pub struct Rewrites {
    /// By number: the number to forward, 0 for none.
    to: [u8; 65],
}

impl Rewrites {
    /// These pairs; every other signal is forwarded as itself.
    pub fn new(pairs: &[(Signal, Option<Signal>)]) -> Rewrites {
        let mut to: [u8; 65] = std::array::from_fn(|number| number as u8);
        for (from, signal) in pairs {
            to[from.number() as usize] = signal.map_or(0, |signal| signal.number() as u8);
        }
        Rewrites { to }
    }

    /// What is forwarded for this signal; `None` where it is dropped.
    pub fn of(&self, signal: Signal) -> Option<Signal> {
        Signal::from_number(i32::from(self.to[signal.number() as usize]))
    }
}

/// How a signal was sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// As it came.
    Whole,
    /// Without the value it came with: the target's queue is full.
    WithoutValue,
}

/// Sends a signal that has arrived on to `target`.
pub fn forward(target: Pid, arrival: &Arrival) -> Sent {
    match arrival.value {
        Some(value) if cfg!(target_pointer_width = "64") => {
            if queue(target, arrival, value) {
                return Sent::Whole;
            }
            send(target, arrival.signal);
            Sent::WithoutValue
        }
        _ => {
            send(target, arrival.signal);
            Sent::Whole
        }
    }
}

/// Sends a signal to the process group that `leader` leads, which is our own child and not yet
/// reaped: the group's number cannot be anybody else's.
pub fn send_group(leader: Pid, signal: Signal) {
    // SAFETY: kill(2) takes two numbers; `Pid` is above 1, so that this is never -1.
    unsafe { libc::kill(-leader.raw(), signal.number()) };
}

/// Sends a signal. The target is our own child and not yet reaped, so that it can only fail
/// where the target has changed its user beyond our rights: nothing more can be done then.
pub fn send(target: Pid, signal: Signal) {
    // SAFETY: kill(2) takes two numbers; `Pid` excludes groups and init.
    unsafe { libc::kill(target.raw(), signal.number()) };
}

/// Queues it with its value; false where the target's queue is full or the call is refused.
fn queue(target: Pid, arrival: &Arrival, value: u64) -> bool {
    let queued = Queued {
        signo: arrival.signal.number(),
        errno: 0,
        code: libc::SI_QUEUE,
        padding: 0,
        pid: arrival.sender as i32,
        // SAFETY: getuid(2) cannot fail.
        uid: unsafe { libc::getuid() },
        value,
        rest: [0; 12],
    };
    // SAFETY: the kernel reads 128 bytes, the size of `Queued`.
    let result = unsafe {
        libc::syscall(libc::SYS_rt_sigqueueinfo, target.raw(), queued.signo, &raw const queued)
    };
    result == 0
}
