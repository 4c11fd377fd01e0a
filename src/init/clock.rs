//! The clock of all deadlines: milliseconds that no one can set back.
//!
//! It asks the kernel itself. The way around that, the vDSO, saves 0.1 µs a call, and finding it
//! costs more than all the calls of a short run, and a page of an idle PID 1.

#![allow(unsafe_code, reason = "the system call behind clock_gettime(3)")]

use std::time::Duration;

use rustix::event::Timespec;

/// A moment, in milliseconds of `CLOCK_MONOTONIC`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// This moment.
    pub fn now() -> Moment {
        Moment(milliseconds(libc::CLOCK_MONOTONIC))
    }

    /// So much later.
    pub fn after(self, length: Duration) -> Moment {
        Moment(self.0.saturating_add(u64::try_from(length.as_millis()).unwrap_or(u64::MAX)))
    }

    /// The time from an earlier moment to this one.
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// What poll(2) has to wait from now on; zero where the moment has passed.
    pub fn wait_from(self, now: Moment) -> Timespec {
        let left = self.0.saturating_sub(now.0);
        Timespec { tv_sec: (left / 1000) as i64, tv_nsec: ((left % 1000) * 1_000_000) as _ }
    }
}

/// Milliseconds since the machine started, suspended time included.
pub fn boot_milliseconds() -> u64 {
    milliseconds(libc::CLOCK_BOOTTIME)
}

#[cfg(target_pointer_width = "64")]
fn milliseconds(clock: libc::clockid_t) -> u64 {
    let mut time = [0_u64; 2];
    // SAFETY: on 64-bit machines the kernel writes two numbers of 64 bits, seconds and
    // nanoseconds. It knows both clocks, and then cannot fail (`man 2 clock_gettime`).
    unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time.as_mut_ptr()) };
    time[0].saturating_mul(1000).saturating_add(time[1] / 1_000_000)
}

/// There libc knows which of the kernel's two clock_gettime calls takes its `timespec`.
#[cfg(not(target_pointer_width = "64"))]
fn milliseconds(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the time is ours.
    unsafe { libc::clock_gettime(clock, &mut time) };
    (time.tv_sec as u64).saturating_mul(1000).saturating_add(time.tv_nsec as u64 / 1_000_000)
}
