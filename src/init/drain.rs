//! Reaching everything that is left when the workload is gone.

#![allow(unsafe_code, reason = "system calls that no crate here wraps")]

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions, waitid};

use super::forward::send;
use super::pid::{Pid, is_init};
use crate::config::Signal;

/// More children than this at once are reached in the next stage, or by the kernel at the end.
const READ: usize = 4096;

/// Sends a signal to every process that is ours to end: as init all of this PID namespace, and
/// elsewhere our children, adopted ones included. Elsewhere `kill(-1)` would reach processes
/// that are not ours: a container with the host's PID namespace would take the host down.
pub fn signal_everything(signal: Signal) {
    if is_init() {
        // SAFETY: kill(2) takes two numbers. -1 leaves out init itself (`man 2 kill`).
        unsafe { libc::kill(-1, signal.number()) };
    } else if has_children() {
        children(|child| send(child, signal));
    }
}

/// Spares the common end, at which nobody is left, the look into /proc.
fn has_children() -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(waitid(WaitId::All, options), Err(Errno::CHILD))
}

/// Our children, as the kernel lists them; none where there is no /proc. Its room on the stack is
/// not needed where there are none.
#[inline(never)]
fn children(mut each: impl FnMut(Pid)) {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let Ok(list) = open("/proc/thread-self/children", flags, Mode::empty()) else { return };
    let mut bytes = [0_u8; READ];
    let Ok(count) = rustix::io::read(&list, &mut bytes[..]) else { return };
    for word in bytes[..count].split(|byte| *byte == b' ') {
        let pid = std::str::from_utf8(word).ok().and_then(|word| word.parse().ok());
        if let Some(pid) = pid.and_then(Pid::new) {
            each(pid);
        }
    }
}
