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
    /// What has been received while waiting.
    received: Option<Arrival>,
    /// Whether there may be more.
    more: bool,
}

impl Signals {
    /// Every signal, and nothing else to wait for.
    pub const fn all() -> Signals {
        Signals { mask: Mask::ALL, descriptor: None, received: None, more: false }
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

    /// Sleeps until there is something to `take`, `other` is ready (after `open`), or so much time
    /// has passed. An error (EINTR, ENOMEM) is as if it had.
    pub fn wait(&mut self, other: Option<PollFd>, longest: Option<&Timespec>) {
        match (other, &self.descriptor) {
            (Some(other), Some(descriptor)) => {
                let signals = PollFd::new(descriptor, PollFlags::IN);
                self.more = poll(&mut [signals, other], longest).is_ok();
            }
            _ => self.received = receive(self.mask, longest),
        }
    }

    /// The next of those that have arrived, in their order; `None` where there are no more, or
    /// where `wait` is to say whether there are.
    pub fn take(&mut self) -> Option<Arrival> {
        if self.more {
            self.received = receive(self.mask, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
            self.more = self.received.is_some();
        }
        self.received.take()
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
