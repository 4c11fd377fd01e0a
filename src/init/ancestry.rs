//! What mak-init is to the processes above and below it, where it is not PID 1.

#![allow(unsafe_code, reason = "a signal number that the crates' types leave out")]

use super::pid::is_init;
use crate::config::Signal;

/// Makes the workload's orphans come to us instead of to the init above (`man 2 prctl`,
/// PR_SET_CHILD_SUBREAPER). Refused, they go where they always went: to be reaped there.
pub fn adopt_orphans() {
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
}

/// Whether orphans come to us already: as init, or because whoever executed us has asked for it.
pub fn gets_orphans() -> bool {
    is_init() || rustix::process::child_subreaper().is_ok_and(|asked| asked.is_some())
}

/// Asks for a signal when our own parent dies (PR_SET_PDEATHSIG). It arrives like any other.
pub fn die_with_parent(signal: Signal) {
    // SAFETY: prctl(2) with PR_SET_PDEATHSIG takes a number; it fails only for numbers that
    // are no signals, which `Signal` excludes.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal.number() as libc::c_ulong) };
}
