//! What PID 1 holds on to without needing it: a folder that could otherwise be unmounted, and
//! descriptors whose other end waits for the last holder to close them.

use std::os::fd::{OwnedFd, RawFd};

use rustix::fs::{Mode, OFlags, open};
use rustix::process::{chdir, fchdir};

/// Leaves the folder mak-init was started in, for one that cannot go away. The result is the way
/// back, for the workload; `None` where there is none (a folder we may not enter again): then
/// nothing is left.
pub fn leave_folder() -> Option<OwnedFd> {
    let way_back = open(".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
    fchdir(&way_back).ok()?;
    chdir("/").ok()?;
    Some(way_back)
}

/// Goes back, in the workload's process.
pub fn return_to_folder(way_back: &OwnedFd) {
    // It has just been possible.
    let _ = fchdir(way_back);
}

/// Closes every descriptor from 3 on, but for these.
pub fn close_all_but(kept: &[RawFd]) {
    let mut kept: Vec<u32> = kept.iter().filter_map(|fd| u32::try_from(*fd).ok()).collect();
    kept.sort_unstable();
    let mut first = 3;
    for fd in kept {
        if fd > first {
            close_range::close(first, fd - 1);
        }
        first = first.max(fd + 1);
    }
    close_range::close(first, u32::MAX);
}

mod close_range {
    #![allow(unsafe_code, reason = "descriptors that nobody here owns")]

    /// close_range(2); where the kernel does not know it, one by one up to the limit.
    pub fn close(first: u32, last: u32) {
        // SAFETY: what is closed was inherited and belongs to nobody in this process, or is not
        // open at all; the caller leaves out our own.
        let closed = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } == 0;
        if closed {
            return;
        }
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let last = last.min(limit.map_or(4096, |limit| limit.min(1 << 16) as u32));
        for fd in first..=last {
            // SAFETY: as above.
            unsafe { libc::close(fd as i32) };
        }
    }
}
