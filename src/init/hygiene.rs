//! What PID 1 holds on to without needing it: a folder that could otherwise be unmounted, and
//! descriptors whose other end waits for the last holder to close them.

#![allow(unsafe_code, reason = "descriptors that nobody here owns")]

use std::os::fd::OwnedFd;

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

/// Closes every descriptor from 3 on: by close_range(2), or where the kernel does not know it, one
/// by one up to the limit.
pub fn close_inherited() {
    let (first, last) = (3_u32, u32::MAX);
    // SAFETY: what is closed was inherited and belongs to nobody in this process, or is not open
    // at all.
    if unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } == 0 {
        return;
    }
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    for fd in first..limit.map_or(4096, |limit| limit.min(1 << 16) as u32) {
        // SAFETY: as above.
        unsafe { libc::close(fd as i32) };
    }
}
