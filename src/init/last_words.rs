//! A page that is shared with the process that becomes the workload. Where execve is refused,
//! that process leaves its reason here before it ends with 126 or 127, so that PID 1 can tell its
//! end from a workload's own code. Untouched, the page costs no memory.

#![allow(unsafe_code, reason = "shared memory")]

use std::io;
use std::ptr::NonNull;

/// The page, of which every copy is the same: it is never unmapped.
#[derive(Clone, Copy)]
pub struct LastWords {
    page: NonNull<u8>,
}

/// The page: a length, then the text. No page is smaller.
const SIZE: usize = 4096;
const LENGTH: usize = size_of::<u32>();

impl LastWords {
    /// Maps it, to be shared with every process that is forked from now on.
    pub fn new() -> io::Result<LastWords> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping, at an address that the kernel chooses.
        let page = unsafe { libc::mmap(std::ptr::null_mut(), SIZE, protection, flags, -1, 0) };
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let page = NonNull::new(page.cast::<u8>());
        Ok(LastWords { page: page.ok_or_else(|| io::Error::other("mmap gave no address"))? })
    }

    /// Leaves them; what does not fit is cut off.
    pub fn leave(&self, text: &str) {
        let length = text.len().min(SIZE - LENGTH);
        // SAFETY: length and text lie within the page, which is ours to write. Nobody reads it
        // before this process has ended.
        unsafe {
            let behind = self.page.as_ptr().add(LENGTH);
            std::ptr::copy_nonoverlapping(text.as_ptr(), behind, length);
            self.page.as_ptr().cast::<u32>().write_volatile(length as u32);
        }
    }

    /// Takes what was left, so that the next start begins with nothing; `None` where nothing was.
    pub fn take(&self) -> Option<String> {
        // SAFETY: the page is mapped, aligned, and as long as is read; its writer has ended.
        let bytes = unsafe {
            let length = self.page.as_ptr().cast::<u32>().read_volatile() as usize;
            let behind = self.page.as_ptr().add(LENGTH);
            std::slice::from_raw_parts(behind, length.min(SIZE - LENGTH))
        };
        let text = (!bytes.is_empty()).then(|| String::from_utf8_lossy(bytes).into_owned());
        // SAFETY: as above.
        unsafe { self.page.as_ptr().cast::<u32>().write_volatile(0) };
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_read_and_what_is_too_long_is_cut_off() {
        let words = LastWords::new().unwrap();
        assert_eq!(words.take(), None);
        words.leave("cannot start x");
        assert_eq!(words.take().as_deref(), Some("cannot start x"));
        assert_eq!(words.take(), None);
        words.leave(&"y".repeat(10_000));
        assert_eq!(words.take().map(|text| text.len()), Some(SIZE - LENGTH));
    }
}
