//! Signal masks through the raw system call: musl's sigfillset leaves out 32, 33 and 34, which
//! have to be blocked and restored like all others.

#![allow(unsafe_code, reason = "system calls that no crate here wraps")]

use std::io;
#[cfg(not(target_pointer_width = "64"))]
use std::mem::MaybeUninit;

use crate::config::Signal;

/// A set of signals, as the kernel has it: bit N-1 is signal N.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mask(u64);

impl Mask {
    /// Every signal.
    pub const ALL: Mask = Mask(u64::MAX);

    /// The set of these.
    pub fn of(signals: &[Signal]) -> Mask {
        Mask(signals.iter().fold(0, |bits, signal| bits | bit(*signal)))
    }

    /// The set with this signal too.
    pub fn and(self, signal: Signal) -> Mask {
        Mask(self.0 | bit(signal))
    }

    /// The set without this signal.
    pub fn without(self, signal: Signal) -> Mask {
        Mask(self.0 & !bit(signal))
    }

    /// Whether this signal is in the set.
    pub fn has(self, signal: Signal) -> bool {
        self.0 & bit(signal) != 0
    }

    /// The bits, for system calls that take a set.
    pub(super) const fn bits(self) -> u64 {
        self.0
    }

    /// As libc's functions take it, whose set is larger: what is behind stays empty.
    #[cfg(not(target_pointer_width = "64"))]
    pub(super) fn as_set(self) -> libc::sigset_t {
        let mut set = MaybeUninit::<libc::sigset_t>::zeroed();
        // SAFETY: libc's set begins with the kernel's 8 bytes; all bits of it are valid.
        unsafe {
            set.as_mut_ptr().cast::<u64>().write_unaligned(self.0);
            set.assume_init()
        }
    }
}

fn bit(signal: Signal) -> u64 {
    1 << (signal.number() - 1)
}

/// The size of the kernel's set: `_NSIG / 8`.
pub(super) const KERNEL_SET: usize = 8;

/// What this process was started with, and the workload has to be started with.
#[derive(Clone, Copy)]
pub struct Inherited {
    mask: Mask,
    chld: libc::sigaction,
}

/// Blocks every signal and makes SIGCHLD arrive: inherited as ignored it would never, and the
/// kernel would reap children behind our back (`man 2 wait`, notes).
pub fn take_over() -> io::Result<Inherited> {
    let mask = set(Mask::ALL)?;
    // SAFETY: an all-zero sigaction is SIG_DFL with an empty mask and no flags.
    let default: libc::sigaction = unsafe { std::mem::zeroed() };
    let mut chld = default;
    // SAFETY: both pointers are to live sigactions of this frame.
    if unsafe { libc::sigaction(libc::SIGCHLD, &default, &mut chld) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Inherited { mask, chld })
}

/// Puts both back, in a child before it becomes the workload, or in exec mode.
pub fn give_back(inherited: &Inherited) {
    // SAFETY: the sigaction was filled in by the kernel; a null third argument is allowed.
    // It cannot fail for SIGCHLD (`man 2 sigaction`: EINVAL is for KILL and STOP).
    unsafe { libc::sigaction(libc::SIGCHLD, &inherited.chld, std::ptr::null_mut()) };
    let _ = set(inherited.mask);
}

fn set(mask: Mask) -> io::Result<Mask> {
    let new = mask.bits();
    let mut old = 0_u64;
    // SAFETY: both sets are 8 bytes, as the last argument says.
    let result = unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &new, &mut old, KERNEL_SET)
    };
    if result == 0 { Ok(Mask(old)) } else { Err(io::Error::last_os_error()) }
}
