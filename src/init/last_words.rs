//! A page that is shared with the process that becomes the workload. Where execve is refused,
//! that process leaves its reason here before it ends with 126 or 127, so that PID 1 can tell its
//! end from a workload's own code. Most workloads start, and then there is no page: `spawn` maps it
//! before the first fork of a process that may be refused.

#![allow(unsafe_code, reason = "shared memory")]

use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

/// That such words are taken down. There is one page for all copies, and it is never unmapped.
#[derive(Clone, Copy)]
pub struct LastWords;

/// Null until it is mapped.
static PAGE: AtomicPtr<u8> = AtomicPtr::new(null_mut());

/// The page: a length, then the text. No page is smaller.
const SIZE: usize = 4096;
const LENGTH: usize = size_of::<u32>();

impl LastWords {
    /// Maps the page, to be shared with every process that is forked from now on. Where there is
    /// no memory for it, an end by 126 or 127 is taken for the workload's own.
    pub fn open(self) {
        if !PAGE.load(Relaxed).is_null() {
            return;
        }
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping, at an address that the kernel chooses.
        let page = unsafe { libc::mmap(null_mut(), SIZE, protection, flags, -1, 0) };
        if page != libc::MAP_FAILED {
            PAGE.store(page.cast(), Relaxed);
        }
    }

    /// Leaves them; what does not fit is cut off.
    pub fn leave(self, text: &str) {
        let page = PAGE.load(Relaxed);
        if page.is_null() {
            return;
        }
        let length = text.len().min(SIZE - LENGTH);
        // SAFETY: length and text lie within the page, which is ours to write. Nobody reads it
        // before this process has ended.
        unsafe {
            std::ptr::copy_nonoverlapping(text.as_ptr(), page.add(LENGTH), length);
            page.cast::<u32>().write_volatile(length as u32);
        }
    }

    /// Takes what was left, so that the next start begins with nothing; `None` where nothing was.
    pub fn take(self) -> Option<String> {
        let page = PAGE.load(Relaxed);
        if page.is_null() {
            return None;
        }
        // SAFETY: the page is mapped, aligned, and as long as is read; its writer has ended.
        let bytes = unsafe {
            let length = page.cast::<u32>().read_volatile() as usize;
            std::slice::from_raw_parts(page.add(LENGTH), length.min(SIZE - LENGTH))
        };
        let text = (!bytes.is_empty()).then(|| String::from_utf8_lossy(bytes).into_owned());
        // SAFETY: as above.
        unsafe { page.cast::<u32>().write_volatile(0) };
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_read_and_what_is_too_long_is_cut_off() {
        let words = LastWords;
        words.leave("there is no page yet");
        assert_eq!(words.take(), None);
        words.open();
        assert_eq!(words.take(), None);
        words.leave("cannot start x");
        assert_eq!(words.take().as_deref(), Some("cannot start x"));
        assert_eq!(words.take(), None);
        words.leave(&"y".repeat(10_000));
        assert_eq!(words.take().map(|text| text.len()), Some(SIZE - LENGTH));
    }
}
