//! The terminal's foreground: handed to the workload's process group, taken back at the end.

#![allow(unsafe_code, reason = "an ioctl that no crate here wraps")]

use std::fs::File;
use std::os::fd::AsRawFd;

use nix::unistd::{getpgrp, tcgetpgrp, tcsetpgrp};
use rustix::stdio::stdin;

/// The controlling terminal, where we are its foreground.
pub struct Terminal {
    descriptor: File,
}

impl Terminal {
    /// Gives the controlling terminal up, so that a session of the workload's own can have it.
    /// True where we led the session: the kernel then sends HUP and CONT to our own group
    /// (`man 2 ioctl_tty`, TIOCNOTTY), which are not for the workload.
    pub fn leave() -> bool {
        // SAFETY: TIOCNOTTY takes no argument.
        let left = unsafe { libc::ioctl(stdin().as_raw_fd(), libc::TIOCNOTTY) } == 0;
        left && nix::unistd::getsid(None).is_ok_and(|session| session == nix::unistd::getpid())
    }

    /// The controlling terminal. `None` where there is none, and where another group is its
    /// foreground: a background job must not take the terminal from its user's shell.
    pub fn controlling() -> Option<Terminal> {
        let descriptor = open_dev_tty().or_else(stdin_if_terminal)?;
        let ours = tcgetpgrp(&descriptor).is_ok_and(|group| group == getpgrp());
        ours.then_some(Terminal { descriptor })
    }

    /// Makes the caller's own process group the foreground. TTOU is blocked whenever this is
    /// called, which is what lets a background group do it (`man 3 tcsetpgrp`).
    pub fn claim(&self) {
        // It fails where the terminal has hung up: there is no foreground any more.
        let _ = tcsetpgrp(&self.descriptor, getpgrp());
    }
}

fn open_dev_tty() -> Option<File> {
    File::options().read(true).write(true).open("/dev/tty").ok()
}

/// Some containers have a terminal on stdin and no /dev/tty. Std's stdin would come with a buffer.
fn stdin_if_terminal() -> Option<File> {
    // SAFETY: isatty(3) takes a number.
    if unsafe { libc::isatty(stdin().as_raw_fd()) } == 0 {
        return None;
    }
    stdin().try_clone_to_owned().ok().map(File::from)
}
