//! A page on which PID 1 writes what it has counted, for the health process to read whenever it is
//! asked: the figures are those of this moment, and neither process wakes the other for them.

#![allow(unsafe_code, reason = "shared memory")]

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use super::frame::Counts;

/// The page, of which every copy is the same: it is never unmapped.
#[derive(Clone, Copy)]
pub struct Board {
    page: NonNull<[AtomicU32; 4]>,
}

/// No page is smaller.
const SIZE: usize = 4096;

// SAFETY: what is shared is atomic, and stays mapped.
unsafe impl Send for Board {}
// SAFETY: as above.
unsafe impl Sync for Board {}

impl Board {
    /// Maps it, to be shared with every process that is forked from now on.
    pub fn new() -> io::Result<Board> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping, at an address that the kernel chooses.
        let page = unsafe { libc::mmap(std::ptr::null_mut(), SIZE, protection, flags, -1, 0) };
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let page = NonNull::new(page.cast());
        Ok(Board { page: page.ok_or_else(|| io::Error::other("mmap gave no address"))? })
    }

    /// For a process that only reads it: from now on it can do no other.
    pub fn only_read(&self) {
        // SAFETY: the mapping of `new`; PID 1's own copy of the page table keeps its rights.
        unsafe { libc::mprotect(self.page.as_ptr().cast(), SIZE, libc::PROT_READ) };
    }

    /// Puts these up.
    pub fn write(&self, counts: Counts) {
        let values = [counts.restarts, counts.forwarded, counts.without_value, counts.reaped];
        for (place, value) in self.places().iter().zip(values) {
            place.store(value, Relaxed);
        }
    }

    /// What stands there.
    pub fn read(&self) -> Counts {
        let [restarts, forwarded, without_value, reaped] =
            self.places().each_ref().map(|place| place.load(Relaxed));
        Counts { restarts, forwarded, without_value, reaped }
    }

    fn places(&self) -> &[AtomicU32; 4] {
        // SAFETY: mapped for as long as the process lives, aligned, and any bytes are numbers.
        unsafe { self.page.as_ref() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let board = Board::new().unwrap();
        assert_eq!(board.read(), Counts::default());
        let counts = Counts { restarts: 1, forwarded: 2, without_value: 3, reaped: u32::MAX };
        board.write(counts);
        board.only_read();
        assert_eq!(board.read(), counts);
    }
}
