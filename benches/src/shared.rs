//! A page that the harness and a workload share, through a file in memory.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// Words that a workload writes.
pub struct Shared {
    path: PathBuf,
    words: *const AtomicU64,
}

const SIZE: usize = 4096;

impl Shared {
    /// A new one, all zero.
    pub fn new(name: &str) -> io::Result<Shared> {
        use std::os::fd::AsRawFd;
        let path = PathBuf::from(format!("/dev/shm/mak-init-bench-{}-{name}", std::process::id()));
        let file = std::fs::File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)?;
        file.set_len(SIZE as u64)?;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping of a file as long as the mapping; the kernel chooses the place.
        let words = unsafe {
            libc::mmap(std::ptr::null_mut(), SIZE, access, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        match words {
            libc::MAP_FAILED => Err(io::Error::last_os_error()),
            words => Ok(Shared { path, words: words.cast() }),
        }
    }

    /// The path, for the workload's command line.
    pub fn path(&self) -> &str {
        self.path.to_str().expect("the path is ours")
    }

    /// The word at this place.
    pub fn word(&self, at: usize) -> u64 {
        assert!(at < SIZE / size_of::<u64>());
        // SAFETY: the place is inside the mapping, which lives as long as `self`; every bit pattern is a number.
        unsafe { (*self.words.add(at)).load(Ordering::SeqCst) }
    }

    /// Waits for a word to be `value` or more, for at most ten seconds.
    pub fn reaches(&self, at: usize, value: u64) -> bool {
        let end = crate::launch::nanoseconds() + 10_000_000_000;
        while self.word(at) < value {
            if crate::launch::nanoseconds() > end {
                return false;
            }
            std::hint::spin_loop();
        }
        true
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: the mapping of `new`, which nobody can reach any more.
        unsafe { libc::munmap(self.words.cast_mut().cast(), SIZE) };
        let _ = std::fs::remove_file(&self.path);
    }
}
