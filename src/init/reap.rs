//! Reaping: the one place that waits, for every child there is.

use rustix::process::{WaitId, WaitIdOptions, WaitOptions, WaitStatus, wait, waitid};

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

/// What reaping came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaped {
    /// This child is gone.
    Ended(Pid, Ended),
    /// Children are left, none of them has ended.
    Quiet,
    /// There is no child left.
    NobodyLeft,
}

/// Reaps the next child that has ended, without waiting for one. It does not ask for stops: then
/// the kernel would look into each living child at every call, which ten thousand of them make
/// dear.
pub fn reap_next() -> Reaped {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => {
                let pid = Pid::new(pid.as_raw_nonzero().get());
                if let (Some(pid), Some(ended)) = (pid, ended(status)) {
                    return Reaped::Ended(pid, ended);
                }
            }
            Ok(None) => return Reaped::Quiet,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return Reaped::NobodyLeft,
        }
    }
}

fn ended(status: WaitStatus) -> Option<Ended> {
    if let Some(code) = status.exit_status() {
        return Some(Ended::Code(code as u8));
    }
    let signal = status.terminating_signal()? as u8;
    // WCOREDUMP (`man 2 wait`).
    let dumped = status.as_raw() & 0x80 != 0;
    Some(if dumped { Ended::Dumped(signal) } else { Ended::Signal(signal) })
}

/// What job control has done to a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It was stopped.
    Stopped,
    /// It goes on after a stop.
    Continued,
}

/// Whether this child was stopped or goes on since this was last asked.
pub fn turn_of(child: Pid) -> Option<Turn> {
    let options = WaitIdOptions::NOHANG | WaitIdOptions::STOPPED | WaitIdOptions::CONTINUED;
    let id = WaitId::Pid(rustix::process::Pid::from_raw(child.raw())?);
    let status = waitid(id, options).ok()??;
    match (status.stopped(), status.continued()) {
        (true, _) => Some(Turn::Stopped),
        (_, true) => Some(Turn::Continued),
        _ => None,
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
