//! A pseudo-terminal: the test holds the master, the program under test gets the slave.

#![allow(unsafe_code, reason = "posix_openpt and its companions")]

use std::ffi::CStr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Both ends of one.
pub struct Terminal {
    master: OwnedFd,
    slave: OwnedFd,
}

impl Terminal {
    /// Opens a new one.
    pub fn open() -> Terminal {
        let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
        // SAFETY: posix_openpt(3) takes flags; the descriptor it gives is ours alone.
        let master = unsafe { OwnedFd::from_raw_fd(checked(libc::posix_openpt(flags))) };
        let mut name = [0_u8; 64];
        // SAFETY: the master is open, and the name's buffer is as long as said.
        unsafe {
            checked(libc::grantpt(master.as_raw_fd()));
            checked(libc::unlockpt(master.as_raw_fd()));
            let failed = libc::ptsname_r(master.as_raw_fd(), name.as_mut_ptr().cast(), name.len());
            assert_eq!(failed, 0, "ptsname_r");
        }
        let name = CStr::from_bytes_until_nul(&name).expect("ptsname_r ends its name");
        // SAFETY: the name ends with NUL; the descriptor is ours alone.
        let slave = unsafe { OwnedFd::from_raw_fd(checked(libc::open(name.as_ptr(), flags))) };
        Terminal { master, slave }
    }

    /// The end for the program.
    pub fn slave(&self) -> RawFd {
        self.slave.as_raw_fd()
    }

    /// Closes our slave and gives the master twice: to write to and to read from.
    pub fn into_master(self) -> (OwnedFd, OwnedFd) {
        let second = self.master.try_clone().expect("a second descriptor of the master");
        (self.master, second)
    }
}

fn checked(result: i32) -> i32 {
    assert!(result >= 0, "pseudo-terminal: {}", std::io::Error::last_os_error());
    result
}
