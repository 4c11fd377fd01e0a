//! Receiving signals: rt_sigtimedwait(2), which keeps the order, the sender and the value of each, and
//! takes one system call for waiting and receiving. Where something else has to be waited for too,
//! a signalfd says that there is something to receive.

#![allow(unsafe_code, reason = "system calls that no crate here wraps")]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::null;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::mask::{KERNEL_SET, Mask};
use crate::config::Signal;

/// A signal that has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Which one.
    pub signal: Signal,
    /// Who sent it; 0 for the kernel, or for a sender outside this PID namespace.
    pub sender: u32,
    /// The value of sigqueue(3), where it was sent by that.
    pub value: Option<u64>,
}

/// All blocked signals, as they arrive.
pub struct Signals {
    /// Those that are listened to.
    mask: Mask,
    /// The signalfd, where there may be something else to wait for.
    descriptor: Option<OwnedFd>,
}

const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

impl Signals {
    /// Every signal; with a descriptor where `wait` shall wait for something else too. An error
    /// where the kernel, or a filter of system calls, does not let us receive them.
    pub fn all(beside_another: bool) -> io::Result<Signals> {
        match take(Mask::of(&[]), Some(&NOW)) {
            Err(error) if error.raw_os_error() != Some(libc::EAGAIN) => return Err(error),
            _ => {}
        }
        let mut signals = Signals { mask: Mask::ALL, descriptor: None };
        if beside_another {
            let raw = signalfd(-1, signals.mask, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
            if raw < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
            signals.descriptor = Some(unsafe { OwnedFd::from_raw_fd(raw) });
        }
        Ok(signals)
    }

    /// From now on only these signals arrive; the others wait until they are listened to again.
    pub fn listen(&mut self, mask: Mask) {
        self.mask = mask;
        if let Some(descriptor) = &self.descriptor {
            // The descriptor is a signalfd, and then this cannot fail (`man 2 signalfd`).
            signalfd(descriptor.as_raw_fd(), mask, 0);
        }
    }

    /// Sleeps until a signal has arrived, which it takes, until `other` is ready (where there is a
    /// descriptor), or until so much time has passed. One signal at a time: nobody who sends them
    /// faster than they are forwarded keeps us from everything else. An interrupted sleep (EINTR: a
    /// debugger, a stop) or ENOMEM only makes this turn an idle one.
    pub fn wait(&self, other: Option<PollFd>, longest: Option<&Timespec>) -> Option<Arrival> {
        let (Some(other), Some(descriptor)) = (other, &self.descriptor) else {
            return receive(self.mask, longest);
        };
        let signals = PollFd::new(descriptor, PollFlags::IN);
        poll(&mut [signals, other], longest).ok().filter(|ready| *ready > 0)?;
        receive(self.mask, Some(&NOW))
    }
}

fn signalfd(descriptor: i32, mask: Mask, flags: i32) -> i32 {
    let set = mask.bits();
    // SAFETY: the set is 8 bytes, as the third argument says.
    (unsafe { libc::syscall(libc::SYS_signalfd4, descriptor, &raw const set, KERNEL_SET, flags) })
        as i32
}

/// Waits for one of these signals, at most so long, and takes it.
fn receive(mask: Mask, longest: Option<&Timespec>) -> Option<Arrival> {
    let info = take(mask, longest).ok()?;
    // Where the sender stands (`man 2 sigaction`, siginfo_t): a process has sent what has a code of
    // 0 or below, but for timers and descriptors, and what a child's end is.
    let sent = info.si_code <= 0 && !matches!(info.si_code, libc::SI_TIMER | libc::SI_SIGIO);
    // SAFETY: the members of the union that are read are numbers, and they are where the code says.
    let (sender, value) = unsafe {
        (
            if sent || info.si_signo == libc::SIGCHLD { info.si_pid() } else { 0 },
            (info.si_code == libc::SI_QUEUE).then(|| info.si_value().sival_ptr as u64),
        )
    };
    Some(Arrival { signal: Signal::from_number(info.si_signo)?, sender: sender as u32, value })
}

/// The system call itself: libc's function begins anew, with all of the time, when it is interrupted
/// (a debugger, a stop).
#[cfg(target_pointer_width = "64")]
fn take(mask: Mask, longest: Option<&Timespec>) -> io::Result<libc::siginfo_t> {
    let set = mask.bits();
    let longest = longest.map_or(null(), |time| &raw const *time);
    let mut info = MaybeUninit::<libc::siginfo_t>::uninit();
    let into = info.as_mut_ptr();
    // SAFETY: on 64-bit machines a Timespec is the kernel's; the set is 8 bytes, as the last
    // argument says. A number below 1 says that nothing was written, otherwise all of it was.
    unsafe {
        let call = libc::SYS_rt_sigtimedwait;
        match libc::syscall(call, &raw const set, into, longest, KERNEL_SET) {
            1.. => Ok(info.assume_init()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// There libc knows which of the kernel's two calls takes its `timespec`.
#[cfg(not(target_pointer_width = "64"))]
fn take(mask: Mask, longest: Option<&Timespec>) -> io::Result<libc::siginfo_t> {
    let longest =
        longest.map(|time| libc::timespec { tv_sec: time.tv_sec as _, tv_nsec: time.tv_nsec as _ });
    let longest = longest.as_ref().map_or(null(), |time| &raw const *time);
    let mut info = MaybeUninit::<libc::siginfo_t>::uninit();
    // SAFETY: a number below 1 says that nothing was written, otherwise all of it was.
    unsafe {
        match libc::sigtimedwait(&raw const mask.as_set(), info.as_mut_ptr(), longest) {
            1.. => Ok(info.assume_init()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}
