//! A started program: its lines as they come, signals to it, its end.

#![allow(unsafe_code, reason = "poll, kill and waitpid on raw numbers")]

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use super::child::Started;
use super::launch::Place;
use super::{patience, processes};

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// What is left when it has ended.
#[derive(Debug)]
pub struct Ended {
    /// How.
    pub outcome: Outcome,
    /// All it has printed.
    pub stdout: Vec<u8>,
    /// All it has said.
    pub stderr: String,
    /// What it and the children it has reaped have used.
    pub usage: Usage,
}

/// What a process has used up.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Time on a processor.
    pub processor: Duration,
    /// How often it went to sleep: one that wakes up for nothing has many.
    pub sleeps: i64,
    /// The most memory it had at once, in KiB; it begins with what the test had at the clone.
    pub memory: i64,
}

impl Ended {
    /// What it has printed, as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("stdout is text")
    }

    /// Its code; any other end fails the test.
    #[track_caller]
    pub fn code(&self) -> i32 {
        match self.outcome {
            Outcome::Code(code) => code,
            Outcome::Signal(number) => panic!("ended by signal {number}:\n{}", self.stderr),
        }
    }

    /// Requires this code.
    #[track_caller]
    pub fn expect(&self, code: i32) -> &Ended {
        let shown = String::from_utf8_lossy(&self.stdout);
        let said = &self.stderr;
        assert_eq!(self.outcome, Outcome::Code(code), "stdout:\n{shown}\nstderr:\n{said}");
        self
    }

    /// Requires exactly one line on stderr, with each of these words in it.
    #[track_caller]
    pub fn one_line(&self, words: &[&str]) -> &Ended {
        assert_eq!(self.stderr.lines().count(), 1, "not one line: {:?}", self.stderr);
        self.says(words)
    }

    /// Requires each of these words on stderr.
    #[track_caller]
    pub fn says(&self, words: &[&str]) -> &Ended {
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not in:\n{}", self.stderr);
        }
        self
    }
}

/// One of its streams: what has come and how much of it a test has seen.
struct Stream {
    file: Option<File>,
    bytes: Vec<u8>,
    seen: usize,
}

/// A program that has been started. Dropped, it and all it has started are killed.
pub struct Running {
    pid: i32,
    pidfd: OwnedFd,
    place: Place,
    own_network: bool,
    input: Option<File>,
    streams: [Stream; 2],
    outcome: Option<Outcome>,
    usage: Option<Usage>,
}

const STDOUT: usize = 0;
const STDERR: usize = 1;

impl Running {
    pub(super) fn new(
        started: Started,
        place: Place,
        own_network: bool,
        input: OwnedFd,
        stdout: OwnedFd,
        stderr: OwnedFd,
    ) -> Running {
        let stream = |descriptor: OwnedFd| {
            // SAFETY: an open descriptor of ours.
            let set = unsafe {
                libc::fcntl(descriptor.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK | libc::O_RDWR)
            };
            assert_eq!(set, 0, "O_NONBLOCK");
            Stream { file: Some(File::from(descriptor)), bytes: Vec::new(), seen: 0 }
        };
        Running {
            pid: started.pid,
            pidfd: started.pidfd,
            place,
            own_network,
            input: Some(File::from(input)),
            streams: [stream(stdout), stream(stderr)],
            outcome: None,
            usage: None,
        }
    }

    /// Its number, as this machine sees it.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Its pidfd.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Where it runs.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Whether it has a network of its own.
    pub fn has_own_network(&self) -> bool {
        self.own_network
    }

    /// Writes to its stdin or terminal.
    pub fn type_in(&mut self, bytes: &[u8]) {
        self.input.as_mut().expect("stdin is open").write_all(bytes).expect("stdin takes it");
    }

    /// Waits for a line on stdout that has `word` in it, after the last line waited for, and
    /// returns it without its end.
    #[track_caller]
    pub fn line(&mut self, word: &str) -> String {
        self.next_line(STDOUT, word)
    }

    /// Waits for lines on stdout that have these words in them, one each, in whatever order: two
    /// processes write them.
    #[track_caller]
    pub fn lines(&mut self, words: &[&str]) {
        let mut missing = words.to_vec();
        while !missing.is_empty() {
            let line = self.line("");
            if let Some(index) = missing.iter().position(|word| line.contains(word)) {
                missing.remove(index);
            }
        }
    }

    /// The same as `line` on stderr.
    #[track_caller]
    pub fn said(&mut self, word: &str) -> String {
        self.next_line(STDERR, word)
    }

    #[track_caller]
    fn next_line(&mut self, which: usize, word: &str) -> String {
        let deadline = Instant::now() + patience();
        loop {
            if let Some(line) = self.streams[which].take_line(word) {
                return line;
            }
            self.turn(deadline, word);
        }
    }

    /// Waits for its end.
    #[track_caller]
    pub fn end(mut self) -> Ended {
        let deadline = Instant::now() + patience();
        while self.outcome.is_none() {
            self.turn(deadline, "its end");
        }
        for stream in &mut self.streams {
            stream.read();
        }
        let [stdout, stderr] = &mut self.streams;
        Ended {
            outcome: self.outcome.expect("it has ended"),
            stdout: std::mem::take(&mut stdout.bytes),
            stderr: String::from_utf8_lossy(&stderr.bytes).into_owned(),
            usage: self.usage.expect("it has ended"),
        }
    }

    /// Asks again and again, until `happened` says so: for what nobody announces, such as a
    /// process that is reaped.
    #[track_caller]
    pub fn until(&mut self, what: &str, mut happened: impl FnMut(&mut Running) -> bool) {
        let deadline = Instant::now() + patience();
        while !happened(self) {
            assert!(Instant::now() < deadline, "{what} did not happen\n{}", self.story());
            std::thread::yield_now();
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, number: i32) {
        assert_eq!(self.outcome, None, "it has ended");
        processes::signal(self.pid, number);
    }

    /// Queues it a signal with a value, as sigqueue(3).
    pub fn queue(&self, number: i32, value: usize) {
        let value = libc::sigval { sival_ptr: value as *mut libc::c_void };
        // SAFETY: our own child, not yet waited for.
        let result = unsafe { libc::sigqueue(self.pid, number, value) };
        assert_eq!(result, 0, "sigqueue {number}");
    }

    /// Waits for the next event and takes it in.
    #[track_caller]
    fn turn(&mut self, deadline: Instant, what: &str) {
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "{what:?} did not come in time\n{}", self.story());
        let ended = self.outcome.is_some();
        let silent = self.streams.iter().all(|stream| stream.file.is_none());
        assert!(!(ended && silent), "{what:?} never came\n{}", self.story());
        let mut waits = [
            wait(self.streams[STDOUT].file.as_ref().map(AsRawFd::as_raw_fd)),
            wait(self.streams[STDERR].file.as_ref().map(AsRawFd::as_raw_fd)),
            wait((!ended).then(|| self.pidfd.as_raw_fd())),
        ];
        poll(&mut waits, left);
        for (stream, wait) in self.streams.iter_mut().zip(&waits) {
            if wait.revents != 0 {
                stream.read();
            }
        }
        if waits[2].revents != 0 {
            let (outcome, usage) = processes::wait(self.pid);
            (self.outcome, self.usage) = (Some(outcome), Some(usage));
            // What it has printed before its end is there; others may hold the pipes for long.
            for stream in &mut self.streams {
                stream.read();
                stream.file = None;
            }
        }
    }

    fn story(&self) -> String {
        let [stdout, stderr] = &self.streams;
        format!(
            "{:?}, {:?}\nstdout:\n{}\nstderr:\n{}",
            self.place,
            self.outcome,
            String::from_utf8_lossy(&stdout.bytes),
            String::from_utf8_lossy(&stderr.bytes)
        )
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // With PID 1 the kernel ends its whole namespace; beside, everyone is found by parents.
        let mut all = vec![self.pid];
        // Reaped, its number may be another's by now.
        if self.place == Place::Beside && self.outcome.is_none() {
            let mut next = 0;
            while let Some(pid) = all.get(next) {
                all.extend(processes::children(*pid));
                next += 1;
            }
        }
        for pid in &all {
            if *pid != self.pid || self.outcome.is_none() {
                processes::kill_if_there(*pid);
            }
        }
        if self.outcome.is_none() {
            processes::wait(self.pid);
        }
    }
}

impl Stream {
    /// Takes in all that is there now.
    fn read(&mut self) {
        let Some(file) = &mut self.file else { return };
        // An end of input, or EIO where a terminal's last slave is closed, ends the stream.
        match file.read_to_end(&mut self.bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Ok(_) | Err(_) => self.file = None,
        }
    }

    fn take_line(&mut self, word: &str) -> Option<String> {
        while let Some(length) = self.bytes[self.seen..].iter().position(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(&self.bytes[self.seen..self.seen + length]);
            let line = line.trim_end_matches('\r').to_owned();
            self.seen += length + 1;
            if line.contains(word) {
                return Some(line);
            }
        }
        None
    }
}

/// A pipe: the end to read from and the end to write to, both closed by exec.
pub fn pipe() -> (OwnedFd, OwnedFd) {
    let mut ends = [0; 2];
    // SAFETY: pipe2(2) writes two descriptors, which are ours alone.
    unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0, "pipe2");
        (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))
    }
}

fn wait(descriptor: Option<i32>) -> libc::pollfd {
    libc::pollfd { fd: descriptor.unwrap_or(-1), events: libc::POLLIN, revents: 0 }
}

fn poll(waits: &mut [libc::pollfd], limit: Duration) {
    let limit = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX).max(1);
    // SAFETY: as many entries as the slice has.
    unsafe { libc::poll(waits.as_mut_ptr(), waits.len() as libc::nfds_t, limit) };
}
