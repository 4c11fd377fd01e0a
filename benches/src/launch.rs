//! Starting a program with nothing of ours: a small environment, /dev/null for 0 to 2.

use std::ffi::CString;
use std::io;
use std::ptr::null_mut;

/// How it is placed.
#[derive(Clone, Copy, Default)]
pub struct Place {
    /// As PID 1 of a PID namespace of its own.
    pub first: bool,
    /// On this processor only.
    pub processor: Option<usize>,
}

/// A program that has been started, to be ended and reaped.
pub struct Launched {
    /// Its process id.
    pub pid: i32,
}

/// The words and the environment of a program, as execve takes them.
pub struct Line {
    _words: Vec<CString>,
    pointers: Vec<*mut libc::c_char>,
    _variables: Vec<CString>,
    environment: Vec<*mut libc::c_char>,
}

impl Line {
    /// These words, and these variables beside PATH.
    pub fn new<'w>(words: impl IntoIterator<Item = &'w str>, variables: &[String]) -> Line {
        let text = |word: &str| CString::new(word).expect("no NUL in a word of ours");
        let words: Vec<CString> = words.into_iter().map(text).collect();
        let mut all = vec![text("PATH=/usr/local/bin:/usr/bin:/bin")];
        all.extend(variables.iter().map(|variable| text(variable)));
        let pointers = |list: &[CString]| {
            list.iter().map(|word| word.as_ptr().cast_mut()).chain([null_mut()]).collect::<Vec<_>>()
        };
        Line {
            pointers: pointers(&words),
            environment: pointers(&all),
            _words: words,
            _variables: all,
        }
    }

    /// From the start of the start to the program's end, in milliseconds; and its page faults with those of the
    /// children that it has reaped.
    pub fn run(&self) -> io::Result<(f64, u64)> {
        let mut pid = 0;
        let mut status = 0;
        // SAFETY: an all-zero rusage is a valid one.
        let mut used: libc::rusage = unsafe { std::mem::zeroed() };
        let begin = nanoseconds();
        // SAFETY: both vectors end with a null pointer and outlive the call.
        let error = unsafe {
            libc::posix_spawn(
                &mut pid,
                self.pointers[0],
                null_mut(),
                null_mut(),
                self.pointers.as_ptr(),
                self.environment.as_ptr(),
            )
        };
        if error != 0 {
            return Err(io::Error::from_raw_os_error(error));
        }
        // SAFETY: status and usage are ours.
        unsafe { libc::wait4(pid, &mut status, 0, &mut used) };
        let length = nanoseconds() - begin;
        match status {
            0 => Ok((length as f64 / 1e6, used.ru_minflt as u64)),
            _ => Err(io::Error::other(format!("ended with status {status:#x}"))),
        }
    }

    /// Starts it.
    pub fn start(&self, place: Place) -> io::Result<Launched> {
        let flags = if place.first { libc::CLONE_NEWPID } else { 0 } | libc::SIGCHLD;
        // SAFETY: a fork, apart from the namespace; no flag asks for a stack or a pointer.
        match unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) } {
            -1 => Err(io::Error::last_os_error()),
            0 => self.become_it(place),
            pid => Ok(Launched { pid: pid as i32 }),
        }
    }

    /// In the child.
    fn become_it(&self, place: Place) -> ! {
        // SAFETY: system calls with numbers, a set of this frame, and vectors as in `run`.
        unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
            for standard in 0..3 {
                libc::dup2(null, standard);
            }
            if let Some(processor) = place.processor {
                pin(processor);
            }
            libc::execve(
                self.pointers[0],
                self.pointers.as_ptr().cast(),
                self.environment.as_ptr().cast(),
            );
            libc::_exit(127)
        }
    }
}

impl Drop for Launched {
    /// Its child dies with it where it is a PID 1, else it is killed first.
    fn drop(&mut self) {
        let mut status = 0;
        for child in children(self.pid) {
            // SAFETY: kill(2) takes two numbers; the child is there as long as its parent has not reaped it.
            unsafe { libc::kill(child, libc::SIGKILL) };
        }
        // SAFETY: as above, with our own child, which nobody else reaps.
        unsafe {
            libc::kill(self.pid, libc::SIGKILL);
            libc::waitpid(self.pid, &mut status, 0);
        }
    }
}

impl Launched {
    /// Waits for its end by itself.
    pub fn end(self) -> i32 {
        let mut status = 0;
        // SAFETY: our own child; `forget` below keeps it from being waited for twice.
        unsafe { libc::waitpid(self.pid, &mut status, 0) };
        std::mem::forget(self);
        status
    }

    /// One line of a file of its /proc folder, as a number.
    pub fn number(&self, file: &str, name: &str) -> Option<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/{file}", self.pid)).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse().ok()
    }

    /// How often it has been given and has lost a processor.
    pub fn switches(&self) -> u64 {
        let count = |name| self.number("status", name).unwrap_or(0);
        count("voluntary_ctxt_switches") + count("nonvoluntary_ctxt_switches")
    }

    /// Waits until it has children and rests, for at most ten seconds.
    pub fn settle(&self) {
        let end = nanoseconds() + 10_000_000_000;
        let mut before = u64::MAX;
        while nanoseconds() < end {
            std::thread::sleep(std::time::Duration::from_millis(100));
            let now = self.switches();
            if now == before && !children(self.pid).is_empty() {
                return;
            }
            before = now;
        }
    }
}

/// The children of a process.
pub fn children(pid: i32) -> Vec<i32> {
    let list =
        std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// Puts this process on one processor.
pub fn pin(processor: usize) {
    // SAFETY: the set is a plain array of bits in this frame, of the size that is passed.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(processor, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set);
    }
}

/// The processors this process may run on.
pub fn processors() -> Vec<usize> {
    // SAFETY: as in `pin`.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set);
        (0..libc::CPU_SETSIZE as usize)
            .filter(|processor| libc::CPU_ISSET(*processor, &set))
            .collect()
    }
}

/// `CLOCK_MONOTONIC`.
pub fn nanoseconds() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the time is ours.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
