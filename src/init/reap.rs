//! Reaping: the one place that waits, for every child there is.

use rustix::process::{WaitOptions, WaitStatus, wait};

use super::pid::Pid;

/// What became of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It ended with this code.
    Code(u8),
    /// This signal ended it.
    Signal(u8),
    /// This signal ended it, and its memory was dumped into a core file.
    Dumped(u8),
}

impl Ended {
    /// The code under which a shell and an engine know this end.
    pub const fn exit_code(self) -> u8 {
        match self {
            Ended::Code(code) => code,
            Ended::Signal(signal) | Ended::Dumped(signal) => 128 | signal,
        }
    }

    /// The number of the signal that ended it.
    pub const fn signal(self) -> Option<u8> {
        match self {
            Ended::Code(_) => None,
            Ended::Signal(signal) | Ended::Dumped(signal) => Some(signal),
        }
    }
}

/// A change of a child's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is gone and reaped.
    Ended(Pid, Ended),
    /// It was stopped.
    Stopped(Pid),
    /// It goes on after a stop.
    Continued(Pid),
    /// Children are left, none of them has changed.
    Quiet,
    /// There is no child left.
    NobodyLeft,
}

/// The next change, without waiting for one.
pub fn next_change() -> Change {
    loop {
        match wait(WaitOptions::NOHANG | WaitOptions::UNTRACED | WaitOptions::CONTINUED) {
            Ok(Some((pid, status))) => {
                if let Some(change) =
                    Pid::new(pid.as_raw_nonzero().get()).and_then(|pid| change(pid, status))
                {
                    return change;
                }
            }
            Ok(None) => return Change::Quiet,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return Change::NobodyLeft,
        }
    }
}

fn change(pid: Pid, status: WaitStatus) -> Option<Change> {
    if let Some(code) = status.exit_status() {
        Some(Change::Ended(pid, Ended::Code(code as u8)))
    } else if let Some(signal) = status.terminating_signal() {
        // WCOREDUMP (`man 2 wait`).
        let dumped = status.as_raw() & 0x80 != 0;
        let signal = signal as u8;
        let ended = if dumped { Ended::Dumped(signal) } else { Ended::Signal(signal) };
        Some(Change::Ended(pid, ended))
    } else if status.stopped() {
        Some(Change::Stopped(pid))
    } else if status.continued() {
        Some(Change::Continued(pid))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_told_from_a_code_by_128() {
        assert_eq!(Ended::Code(0).exit_code(), 0);
        assert_eq!(Ended::Code(255).exit_code(), 255);
        assert_eq!(Ended::Signal(15).exit_code(), 143);
        assert_eq!(Ended::Signal(64).exit_code(), 192);
        assert_eq!(Ended::Dumped(11).exit_code(), 139);
    }
}
