//! Receiving signals: a signalfd, which keeps the order, the sender and the value of each.

#![allow(unsafe_code, reason = "system calls that no crate here wraps")]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

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

/// Some signals that have arrived.
pub struct Batch {
    count: usize,
    arrivals: [Option<Arrival>; BATCH],
}

/// As many signals as are read at once.
const BATCH: usize = 16;
const SIZE: usize = size_of::<libc::signalfd_siginfo>();

/// The descriptor on which all blocked signals arrive.
pub struct Signals {
    descriptor: OwnedFd,
}

impl Signals {
    /// Opens it, for every signal.
    pub fn open() -> io::Result<Signals> {
        let all = Mask::ALL.bits();
        let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
        // SAFETY: the set is 8 bytes, as the third argument says.
        let raw = unsafe { libc::syscall(libc::SYS_signalfd4, -1, &all, KERNEL_SET, flags) };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
        Ok(Signals { descriptor: unsafe { OwnedFd::from_raw_fd(raw as i32) } })
    }

    /// From now on only these signals arrive; the others wait until they are listened to again.
    pub fn listen(&self, mask: Mask) {
        let set = mask.bits();
        let descriptor = self.descriptor.as_raw_fd();
        // SAFETY: the set is 8 bytes, as the third argument says; the descriptor is a signalfd, and
        // then this cannot fail (`man 2 signalfd`).
        unsafe { libc::syscall(libc::SYS_signalfd4, descriptor, &set, KERNEL_SET, 0) };
    }

    /// The next of those that have arrived, in their order; `None` where there are no more.
    pub fn next_batch(&self) -> Option<Batch> {
        Some(self.receive()).filter(|batch| batch.count > 0)
    }

    fn receive(&self) -> Batch {
        let mut room = [MaybeUninit::<u8>::uninit(); BATCH * SIZE];
        let bytes = loop {
            match rustix::io::read(&self.descriptor, &mut room[..]) {
                Ok((bytes, _)) => break bytes,
                Err(rustix::io::Errno::INTR) => {}
                // Nothing there. Any other error has no one to turn to; the next turn asks again.
                Err(_) => break &mut [],
            }
        };
        let count = bytes.len() / SIZE;
        let mut batch = Batch { count, arrivals: [None; BATCH] };
        for (slot, record) in batch.arrivals.iter_mut().zip(bytes.chunks_exact(SIZE)) {
            *slot = arrival(record);
        }
        batch
    }
}

impl Batch {
    /// Whether more may have arrived.
    pub fn is_full(&self) -> bool {
        self.count == BATCH
    }

    /// What had arrived, in its order.
    pub fn arrivals(&self) -> impl Iterator<Item = Arrival> {
        self.arrivals.iter().copied().flatten()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

fn arrival(record: &[u8]) -> Option<Arrival> {
    // SAFETY: the record is as long as a signalfd_siginfo, which has no invalid bit patterns;
    // read_unaligned asks for no alignment.
    let info: libc::signalfd_siginfo = unsafe { std::ptr::read_unaligned(record.as_ptr().cast()) };
    Some(Arrival {
        signal: Signal::from_number(i32::try_from(info.ssi_signo).ok()?)?,
        sender: info.ssi_pid,
        value: (info.ssi_code == libc::SI_QUEUE).then_some(info.ssi_ptr),
    })
}
