//! Everything below us, where we are not init: children, adopted or not, and theirs. `drain`
//! calls it when the workload is gone.
//!
//! A number read from /proc may be somebody else's a moment later. So a process is held by a pidfd
//! first, found to be ours then, and signalled through that pidfd: a stranger never is. Nothing
//! here allocates.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, RawDir, open, openat};
use rustix::process::{
    Pid as RawPid, PidfdFlags, Signal as RawSignal, getpid, pidfd_open, pidfd_send_signal,
};

use crate::config::Signal;

/// What is read of `/proc/PID/stat`: number, name (15 bytes at most), state, parent.
const STAT: usize = 128;
/// How many generations below us are looked for.
const GENERATIONS: usize = 256;

/// Sends a signal to all of them. False where this way is not open (no /proc, no pidfds): nobody
/// has been signalled then. Its room on the stack is not needed where nobody is left.
#[inline(never)]
pub fn signal(signal: Signal) -> bool {
    let Some(signal) = RawSignal::from_named_raw(signal.number()) else { return false };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(proc) = open("/proc", flags, Mode::empty()) else { return false };
    // Whether pidfds are to be had at all.
    if pidfd_open(getpid(), PidfdFlags::empty()).is_err() {
        return false;
    }
    let mut room = [MaybeUninit::<u8>::uninit(); 4096];
    let mut entries = RawDir::new(&proc, &mut room);
    while let Some(Ok(entry)) = entries.next() {
        let Some(pid) = number(entry.file_name().to_bytes()) else { continue };
        let Ok(held) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
        if is_ours(&proc, pid) {
            let _ = pidfd_send_signal(&held, signal);
        }
    }
    true
}

/// Whether we are above this process.
fn is_ours(proc: &OwnedFd, pid: RawPid) -> bool {
    let mut below = pid;
    for _ in 0..GENERATIONS {
        match parent(proc, below) {
            Some(above) if above == getpid() => return true,
            Some(above) if above != RawPid::INIT => below = above,
            _ => return false,
        }
    }
    false
}

fn parent(proc: &OwnedFd, pid: RawPid) -> Option<RawPid> {
    let mut path = [0_u8; 24];
    let path = write_path(&mut path, pid)?;
    let file = openat(proc, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut bytes = [0_u8; STAT];
    let count = rustix::io::read(&file, &mut bytes[..]).ok()?;
    parent_in(&bytes[..count])
}

/// The fourth field of `/proc/PID/stat` (`man 5 proc_pid_stat`); the second is a name in
/// parentheses, which may hold anything.
fn parent_in(stat: &[u8]) -> Option<RawPid> {
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    number(stat[name_end + 1..].split(|byte| *byte == b' ').nth(2)?)
}

fn number(digits: &[u8]) -> Option<RawPid> {
    RawPid::from_raw(std::str::from_utf8(digits).ok()?.parse().ok()?)
}

/// `PID/stat`, without an allocation.
fn write_path(room: &mut [u8; 24], pid: RawPid) -> Option<&str> {
    use std::io::Write;
    let size = room.len();
    let mut rest = &mut room[..];
    write!(rest, "{}/stat", pid.as_raw_nonzero()).ok()?;
    let length = size - rest.len();
    std::str::from_utf8(&room[..length]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_is_read_behind_any_name() {
        let parent = |stat: &str| parent_in(stat.as_bytes()).map(|pid| pid.as_raw_nonzero().get());
        assert_eq!(parent("7 (a) S 3 7 7 0"), Some(3));
        assert_eq!(parent("7 (a) S 9 (b) Z 4 7 7 0"), Some(4));
        assert_eq!(parent("7 (a) S 0 7"), None);
        assert_eq!(parent("7 (a"), None);
        assert_eq!(parent(""), None);
    }

    #[test]
    fn a_path_is_written_for_every_number() {
        let longest = RawPid::from_raw(i32::MAX).unwrap();
        assert_eq!(write_path(&mut [0; 24], longest), Some("2147483647/stat"));
        let proc = open("/proc", OFlags::RDONLY, Mode::empty()).unwrap();
        assert_eq!(parent(&proc, getpid()), rustix::process::getppid());
        assert!(!is_ours(&proc, getpid()), "nobody is below itself");
    }
}
