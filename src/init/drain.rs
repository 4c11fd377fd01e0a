//! Reaching everything that is left when the workload is gone.

#![allow(unsafe_code, reason = "system calls that no crate here wraps")]

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions, waitid};

use super::descendants;
use super::forward::send;
use super::pid::{Pid, is_init};
use crate::config::Signal;

/// How much of the list of children is read at once.
const READ: usize = 4096;

/// Sends a signal to every process that is ours to end: as init all of this PID namespace, and
/// elsewhere all below us, or our children alone, adopted ones included, where the rest cannot be
/// told. Elsewhere `kill(-1)` would reach processes that are not ours: a container with the host's
/// PID namespace would take the host down.
pub fn signal_everything(signal: Signal) {
    if is_init() {
        // SAFETY: kill(2) takes two numbers. -1 leaves out init itself (`man 2 kill`).
        unsafe { libc::kill(-1, signal.number()) };
    } else if has_children() && !descendants::signal(signal) {
        signal_children(signal);
    }
}

/// Sends a signal to our children alone: also to those that have come to us since.
pub fn signal_children(signal: Signal) {
    children(|child| send(child, signal));
}

/// Spares the common end, at which nobody is left, the look into /proc.
fn has_children() -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(waitid(WaitId::All, options), Err(Errno::CHILD))
}

/// Our children, as the kernel lists them (`man 5 proc_pid_task`, children: numbers, each with a
/// space behind it); none where there is no /proc. Its room on the stack is not needed where there
/// are no children.
#[inline(never)]
fn children(each: impl FnMut(Pid)) {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let Ok(list) = open("/proc/thread-self/children", flags, Mode::empty()) else { return };
    let mut numbers = Numbers { each, begun: None };
    let mut bytes = [0_u8; READ];
    while let Ok(count @ 1..) = rustix::io::read(&list, &mut bytes[..]) {
        numbers.take(&bytes[..count]);
    }
}

/// Reads numbers from pieces that may end in the middle of one. Half a number is somebody else's.
struct Numbers<F> {
    each: F,
    /// The digits so far of a number whose end has not been seen.
    begun: Option<i32>,
}

impl<F: FnMut(Pid)> Numbers<F> {
    fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if byte.is_ascii_digit() {
                let begun = self.begun.unwrap_or(0);
                self.begun = Some(begun.saturating_mul(10).saturating_add(i32::from(byte - b'0')));
            } else if let Some(pid) = self.begun.take().and_then(Pid::new) {
                (self.each)(pid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_read_in_two_pieces_is_one_number() {
        let mut found = Vec::new();
        let mut numbers = Numbers { each: |pid: Pid| found.push(pid.raw()), begun: None };
        for piece in ["12 3", "45", " 1 ", "0 67", "8 9"] {
            numbers.take(piece.as_bytes());
        }
        assert_eq!(found, [12, 345, 678]);
    }
}
