//! Giving up: `serve` calls [`confine`] before the first connection. Afterwards the process has
//! nobody's rights where the kernel lets it, no capabilities, no way to gain any, and no
//! descriptor that it does not need; in particular none of the workload's.
//!
//! Nothing here is fatal: an endpoint with more rights than wished for is still an endpoint, and
//! `/health` says which it got.

use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout};
use rustix::fs::{Mode, OFlags};
use rustix::process::{DumpableBehavior, Gid, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets};
use serde::Serialize;

use super::sandbox;

/// The user and group that own nothing, by convention since SunOS.
const NOBODY: u32 = 65534;

/// The name in `ps` and `top`: 15 bytes are what the kernel keeps (`man 2 PR_SET_NAME`).
const NAME: &std::ffi::CStr = c"mak-init:health";

/// What was reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Confinement {
    /// The user it runs as.
    pub uid: u32,
    /// It cannot gain rights by starting a program.
    pub no_new_privs: bool,
    /// Its capability sets (permitted, effective, inheritable) are empty.
    pub capabilities_dropped: bool,
    /// The version of landlock that closes the file system to it; 0 where the kernel has none.
    pub landlock: u32,
    /// A seccomp filter refuses it everything that signals, traces or starts another process.
    pub seccomp: bool,
}

/// Confines this process, which has one thread. `kept` are the descriptors that stay beside the
/// standard ones; descriptor 2 stays what it is if `keep_stderr`.
pub fn confine(kept: &[BorrowedFd<'_>], keep_stderr: bool) -> Confinement {
    // Out of the terminal's session: no keyboard signal, no controlling terminal held.
    let _ = rustix::process::setsid();
    let _ = rustix::thread::set_name(NAME);
    settle_signals();
    release_descriptors(kept, keep_stderr);
    drop_user();
    let capabilities_dropped = drop_capabilities();
    let _ = rustix::thread::set_no_new_privs(true);
    // Neither traced nor dumped by a workload of the same user.
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    // After the change of user, which clears it (`man 2 PR_SET_PDEATHSIG`).
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    let _ = rustix::process::chdir("/");
    // rustix asks the kernel for it once (prctl), when first wanted, and panics where it cannot.
    let _ = rustix::param::page_size();
    let uid = rustix::process::geteuid().as_raw();
    let no_new_privs = rustix::thread::no_new_privs().unwrap_or(false);
    let landlock = sandbox::close_files();
    // Last: behind it not even these questions can be asked.
    let seccomp = sandbox::close_calls();
    Confinement { uid, no_new_privs, capabilities_dropped, landlock, seccomp }
}

/// A workload's `kill(-1, TERM)` must not take the endpoint away, so TERM, INT and HUP get handlers
/// that do nothing (ignoring them would be inherited by a program started later), and every other
/// signal that is not a fault of our own stays blocked, USR1 and the stop signals of the terminal
/// among them. Signals 32 to 34 stay as PID 1 left them, blocked: libc's sets leave them out.
fn settle_signals() {
    let _ = SigSet::all().thread_block();
    let mut open = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let nobody_reads = Arc::new(AtomicBool::new(false));
        if signal_hook::flag::register(signal as i32, nobody_reads).is_ok() {
            open.add(signal);
        }
    }
    for fault in [Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGILL, Signal::SIGFPE, Signal::SIGSYS] {
        open.add(fault);
    }
    let _ = open.thread_unblock();
}

/// Closes all but `kept` and puts a descriptor that can do nothing in the place of 0, 1 and, unless
/// it is kept, 2: left free, these numbers would go to a client's connection, and a line meant for
/// stderr with them.
fn release_descriptors(kept: &[BorrowedFd<'_>], keep_stderr: bool) {
    let mut numbers: Vec<RawFd> = kept.iter().map(AsRawFd::as_raw_fd).collect();
    // An O_PATH descriptor refuses reading and writing (EBADF), and / is never missing as
    // /dev/null may be.
    let blank = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    if let Ok(blank) = blank {
        if !numbers.contains(&0) && dup2_stdin(&blank).is_ok() {
            numbers.push(0);
        }
        if !numbers.contains(&1) && dup2_stdout(&blank).is_ok() {
            numbers.push(1);
        }
        if !keep_stderr && !numbers.contains(&2) && dup2_stderr(&blank).is_ok() {
            numbers.push(2);
        }
        // Closed below with the rest, unless it took the number of a standard stream itself.
        let _ = blank.into_raw_fd();
    }
    if keep_stderr {
        numbers.push(2);
    }
    for (first, last) in gaps(numbers) {
        descriptors::close_all(first, last);
    }
}

/// The ranges of descriptor numbers between and beside `kept`, first and last included.
fn gaps(mut kept: Vec<RawFd>) -> Vec<(u32, u32)> {
    kept.sort_unstable();
    let mut gaps = Vec::with_capacity(kept.len() + 1);
    let mut next = 0;
    for number in kept.into_iter().filter_map(|number| u32::try_from(number).ok()) {
        if number > next {
            gaps.push((next, number - 1));
        }
        next = next.max(number + 1);
    }
    gaps.push((next, u32::MAX));
    gaps
}

/// Groups first: without root's rights they could not be changed any more. Each step may be
/// refused (CAP_SETUID dropped, a user namespace without nobody); the process then goes on with
/// what it has.
fn drop_user() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let (uid, gid) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    // The bounding set takes CAP_SETPCAP, which goes with the user.
    drop_bounding_set();
    let _ = rustix::thread::set_thread_groups(&[]);
    let _ = rustix::thread::set_thread_res_gid(gid, gid, gid);
    let _ = rustix::thread::set_thread_res_uid(uid, uid, uid);
}

/// Until the kernel knows no further capability (EINVAL) or refuses (EPERM).
fn drop_bounding_set() {
    for number in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if rustix::thread::remove_capability_from_bounding_set(capability).is_err() {
            break;
        }
    }
}

fn drop_capabilities() -> bool {
    const NONE: CapabilitySets = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    drop_bounding_set();
    let _ = rustix::thread::clear_ambient_capability_set();
    let _ = rustix::thread::set_capabilities(None, NONE);
    rustix::thread::capabilities(None).is_ok_and(|sets| sets == NONE)
}

/// The one thing here that neither rustix nor nix offers: closing by number.
mod descriptors {
    #![allow(unsafe_code, reason = "closing descriptors that no Rust value stands for")]

    /// Kernels before 5.9 and emulators have no close_range; as many are tried there at most.
    const MOST_TRIED: u32 = 65_536;

    /// Closes the descriptors from `first` to `last`.
    pub fn close_all(first: u32, last: u32) {
        // SAFETY: close_range takes three numbers. The process is a copy made by fork, in which
        // only the kept descriptors are used from here on; nothing is dropped, it leaves by _exit.
        if unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } == 0 {
            return;
        }
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let limit = limit.map_or(MOST_TRIED, |limit| limit.min(MOST_TRIED.into()) as u32);
        for number in first..last.min(limit) {
            // SAFETY: as above; a number that is not open gives EBADF.
            unsafe { libc::close(number as libc::c_int) };
        }
        if last < limit {
            // SAFETY: as above.
            unsafe { libc::close(last as libc::c_int) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_gaps_leave_out_exactly_the_kept_ones() {
        assert_eq!(gaps(vec![]), [(0, u32::MAX)]);
        assert_eq!(gaps(vec![1, 0, 2]), [(3, u32::MAX)]);
        assert_eq!(gaps(vec![7, 1, 3, 3, 2]), [(0, 0), (4, 6), (8, u32::MAX)]);
    }

    proptest! {
        #[test]
        fn every_number_is_either_kept_or_in_one_gap(
            kept in proptest::collection::vec(0_i32..64, 0..10), probe in 0_u32..70
        ) {
            let covering = gaps(kept.clone())
                .iter()
                .filter(|(first, last)| (*first..=*last).contains(&probe))
                .count();
            prop_assert_eq!(covering, usize::from(!kept.contains(&(probe as i32))));
        }
    }
}
