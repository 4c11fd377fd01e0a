//! Receiving signals: sigtimedwait(2), which keeps the order, the sender and the value of each, and
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

impl Signals {
    /// Every signal, and nothing else to wait for.
    pub const fn all() -> Signals {
        Signals { mask: Mask::ALL, descriptor: None }
    }

    /// Lets `wait` wait for something else too.
    pub fn open(&mut self) -> io::Result<()> {
        let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
        let raw = signalfd(-1, self.mask, flags);
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
        self.descriptor = Some(unsafe { OwnedFd::from_raw_fd(raw) });
        Ok(())
    }

    /// From now on only these signals arrive; the others wait until they are listened to again.
    pub fn listen(&mut self, mask: Mask) {
        self.mask = mask;
        if let Some(descriptor) = &self.descriptor {
            // The descriptor is a signalfd, and then this cannot fail (`man 2 signalfd`).
            signalfd(descriptor.as_raw_fd(), mask, 0);
        }
    }

    /// Sleeps until a signal has arrived, which it takes, until `other` is ready (after `open`), or
    /// until so much time has passed. One signal at a time: nobody who sends them faster than they
    /// are forwarded keeps us from everything else. An error (EINTR, ENOMEM) is as if time were up.
    pub fn wait(&self, other: Option<PollFd>, longest: Option<&Timespec>) -> Option<Arrival> {
        let (Some(other), Some(descriptor)) = (other, &self.descriptor) else {
            return receive(self.mask, longest);
        };
        let signals = PollFd::new(descriptor, PollFlags::IN);
        poll(&mut [signals, other], longest).ok().filter(|ready| *ready > 0)?;
        receive(self.mask, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))
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
    let longest =
        longest.map(|time| libc::timespec { tv_sec: time.tv_sec as _, tv_nsec: time.tv_nsec as _ });
    let longest = longest.as_ref().map_or(null(), |time| &raw const *time);
    let mut info = MaybeUninit::<libc::siginfo_t>::uninit();
    // SAFETY: a number below 1 says that nothing was written; otherwise all of it was.
    let info = unsafe {
        let set = mask.as_set();
        if libc::sigtimedwait(&raw const set, info.as_mut_ptr(), longest) < 1 {
            return None;
        }
        info.assume_init()
    };
    // SAFETY: every member of the union that is read is a number, and they are where `si_code`
    // says so.
    let (sender, value) = unsafe {
        match info.si_code {
            libc::SI_QUEUE => (info.si_pid(), Some(info.si_value().sival_ptr as u64)),
            libc::SI_USER | libc::SI_TKILL | libc::SI_MESGQ => (info.si_pid(), None),
            _ if info.si_signo == libc::SIGCHLD => (info.si_pid(), None),
            _ => (0, None),
        }
    };
    Some(Arrival { signal: Signal::from_number(info.si_signo)?, sender: sender as u32, value })
}
