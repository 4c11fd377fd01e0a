//! Another program, by its argument vector: what it said, how it ended. It stands in a process
//! group of its own, so that Ctrl-C reaches only mak, which then ends the program and cleans up
//! behind it.

use std::fmt;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// As much of a stream as is kept: the end of it.
const KEPT: usize = 1 << 20;
/// How long a program that was asked to end may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the streams may stay open behind a program that has ended, held by one it has left.
const STREAMS: Duration = Duration::from_secs(2);

/// What is to be run, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its argument vector; the first word is looked up in PATH.
    pub words: Vec<String>,
    /// Whether what it says on either stream goes to our stderr as it comes.
    pub shown: bool,
    /// How long it may take; for ever if `None`.
    pub limit: Option<Duration>,
    /// Whether an interrupt of mak ends it. What cleans up is not to be ended.
    pub interruptible: bool,
}

impl Program {
    /// Quiet, without limit.
    pub fn new<S: AsRef<str>>(words: &[S]) -> Program {
        let words = words.iter().map(|word| word.as_ref().to_owned()).collect();
        Program { words, shown: false, limit: None, interruptible: true }
    }

    /// Shows what it says.
    pub fn shown(mut self) -> Program {
        self.shown = true;
        self
    }

    /// Ends it after a time.
    pub fn within(mut self, limit: Duration) -> Program {
        self.limit = Some(limit);
        self
    }

    /// Is run even though mak was interrupted.
    pub fn in_any_case(mut self) -> Program {
        self.interruptible = false;
        self
    }
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// Its exit code; 128+N where signal N ended it.
    pub code: i32,
    /// The end of its stdout.
    pub out: String,
    /// The end of its stderr.
    pub err: String,
}

impl Done {
    /// Whether it ended well.
    pub fn well(&self) -> bool {
        self.code == 0
    }

    /// Its last line that says something, stderr first.
    pub fn last_line(&self) -> &str {
        last_said(&self.err).or_else(|| last_said(&self.out)).unwrap_or("no word of why")
    }
}

fn last_said(text: &str) -> Option<&str> {
    text.lines().rev().map(str::trim).find(|line| !line.is_empty())
}

/// Why a program gave no result.
#[derive(Debug)]
pub enum Fault {
    /// It could not be started.
    Start(String, std::io::Error),
    /// Its time was over.
    Late(String, Duration),
    /// mak was interrupted.
    Interrupted,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Start(program, error) if error.kind() == std::io::ErrorKind::NotFound => {
                write!(f, "{program} is not installed, or not in PATH")
            }
            Fault::Start(program, error) => write!(f, "cannot start {program}: {error}"),
            Fault::Late(command, limit) => {
                write!(f, "no answer within {} s: {command}", limit.as_secs_f64())
            }
            Fault::Interrupted => write!(f, "interrupted"),
        }
    }
}

impl std::error::Error for Fault {}

enum Event {
    Ended(std::io::Result<ExitStatus>),
    Interrupt,
}

/// Whether INT, TERM or HUP has come.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// Who waits for a program now.
static WAITING: Mutex<Vec<Sender<Event>>> = Mutex::new(Vec::new());

/// Takes INT, TERM and HUP from here on, so that mak can clean up. Called once.
pub fn take_interrupts() -> std::io::Result<()> {
    let (mut reader, writer) = UnixStream::pair()?;
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        signal_hook::low_level::pipe::register(signal as i32, writer.try_clone()?)?;
    }
    thread::spawn(move || {
        let mut one = [0];
        while reader.read_exact(&mut one).is_ok() {
            INTERRUPTED.store(true, Ordering::SeqCst);
            for waiting in WAITING.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                let _ = waiting.send(Event::Interrupt);
            }
        }
    });
    Ok(())
}

/// Whether mak was asked to end.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// Runs a program to its end.
pub fn run(program: &Program) -> Result<Done, Fault> {
    let name = program.words.first().cloned().unwrap_or_default();
    let (sender, receiver) = mpsc::channel();
    WAITING.lock().unwrap_or_else(PoisonError::into_inner).push(sender.clone());
    if program.interruptible && interrupted() {
        return Err(Fault::Interrupted);
    }
    let mut child = Command::new(&name)
        .args(program.words.iter().skip(1))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| Fault::Start(name.clone(), error))?;
    let group = Pid::from_raw(child.id().cast_signed());
    let out = listen(child.stdout.take(), program.shown);
    let err = listen(child.stderr.take(), program.shown);
    wait_beside(child, sender);

    let mut fault = None;
    let mut limit = program.limit;
    loop {
        let event = match limit {
            Some(limit) => receiver.recv_timeout(limit),
            None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match event {
            Ok(Event::Ended(status)) => {
                WAITING.lock().unwrap_or_else(PoisonError::into_inner).clear();
                if let Some(fault) = fault {
                    return Err(fault);
                }
                let status = status.map_err(|error| Fault::Start(name, error))?;
                let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
                return Ok(Done { code, out: heard(&out), err: heard(&err) });
            }
            Ok(Event::Interrupt) if !program.interruptible || fault.is_some() => {}
            Ok(Event::Interrupt) => {
                fault = Some(Fault::Interrupted);
                limit = Some(PATIENCE);
                let _ = killpg(group, Signal::SIGTERM);
            }
            // Its own time, or the patience after it: now it gets what nobody can ignore.
            Err(_) => {
                let late = Fault::Late(
                    super::quote::show(&program.words),
                    program.limit.unwrap_or(PATIENCE),
                );
                fault.get_or_insert(late);
                limit = None;
                let _ = killpg(group, Signal::SIGKILL);
            }
        }
    }
}

fn wait_beside(mut child: Child, sender: Sender<Event>) {
    thread::spawn(move || {
        let _ = sender.send(Event::Ended(child.wait()));
    });
}

/// Reads a stream to its end beside us; the text comes when it is over.
fn listen(stream: Option<impl Read + Send + 'static>, shown: bool) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    let Some(mut stream) = stream else { return receiver };
    thread::spawn(move || {
        let mut kept = Vec::new();
        let mut piece = [0; 8192];
        while let Ok(read) = stream.read(&mut piece) {
            if read == 0 {
                break;
            }
            if shown {
                let _ = std::io::stderr().write_all(&piece[..read]);
            }
            kept.extend_from_slice(&piece[..read]);
            if kept.len() > 2 * KEPT {
                kept.drain(..kept.len() - KEPT);
            }
        }
        let _ = sender.send(kept);
    });
    receiver
}

fn heard(stream: &mpsc::Receiver<Vec<u8>>) -> String {
    let bytes = stream.recv_timeout(STREAMS).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_streams_and_the_code_of_a_program_are_kept() {
        let done = run(&Program::new(&["sh", "-c", "echo out; echo err >&2; exit 3"])).unwrap();
        assert_eq!(done, Done { code: 3, out: "out\n".into(), err: "err\n".into() });
        assert_eq!(done.last_line(), "err");
    }

    #[test]
    fn a_program_that_takes_too_long_is_ended_with_all_it_started() {
        let program = Program::new(&["sh", "-c", "tail -f /dev/null & wait"]);
        let fault = run(&program.within(Duration::from_millis(200))).unwrap_err();
        assert_eq!(fault.to_string(), "no answer within 0.2 s: sh -c 'tail -f /dev/null & wait'");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let fault = run(&Program::new(&["no-such-program"])).unwrap_err();
        assert_eq!(fault.to_string(), "no-such-program is not installed, or not in PATH");
    }

    #[test]
    fn arguments_reach_a_program_untouched() {
        let done = run(&Program::new(&["printf", "%s|", "$HOME", "a b", "`id`"])).unwrap();
        assert_eq!(done.out, "$HOME|a b|`id`|");
    }
}
