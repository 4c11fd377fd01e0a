//! The clock of all deadlines: milliseconds that no one can set back.

use std::time::Duration;

use rustix::event::Timespec;
use rustix::time::{ClockId, clock_gettime};

/// A moment, in milliseconds of `CLOCK_MONOTONIC`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// This moment.
    pub fn now() -> Moment {
        Moment(milliseconds(ClockId::Monotonic))
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
    milliseconds(ClockId::Boottime)
}

fn milliseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    (time.tv_sec as u64).saturating_mul(1000).saturating_add(time.tv_nsec as u64 / 1_000_000)
}
