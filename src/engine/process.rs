//! Another program, by its argument vector: what it said, how it ended. It stands in a process
//! group of its own, so that Ctrl-C reaches only mak, which then ends the program and cleans up
//! behind it.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// As much of a stream as is kept: the end of it.
const KEPT: usize = 1 << 20;
/// A longer line is told only so far.
const LONGEST_LINE: usize = 4096;
/// How long a program that was asked to end may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the streams may stay open behind a program that has ended, held by one it has left.
const STREAMS: Duration = Duration::from_secs(2);

/// What is to be run, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its argument vector; the first word is looked up in PATH.
    pub words: Vec<String>,
    /// Variables it gets besides ours.
    pub environment: Vec<(String, String)>,
    /// Whether what it says on either stream goes to our stderr as it comes.
    pub shown: bool,
    /// Whether both streams are one, in the order in which they were written: all of it is `out`.
    pub joined: bool,
    /// How long it may take; for ever if `None`.
    pub limit: Option<Duration>,
    /// What an interrupt of mak does to it.
    pub interrupt: Interrupt,
}

/// What becomes of a program when mak is interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// It is ended.
    Ends,
    /// It is let finish, since it would leave something half-done; the next interrupt ends it.
    EndsAtSecond,
    /// Nothing: it cleans up.
    Nothing,
}

impl Program {
    /// Quiet, without limit.
    pub fn new<S: AsRef<str>>(words: &[S]) -> Program {
        let words = words.iter().map(|word| word.as_ref().to_owned()).collect();
        Program {
            words,
            environment: Vec::new(),
            shown: false,
            joined: false,
            limit: None,
            interrupt: Interrupt::Ends,
        }
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
        self.interrupt = Interrupt::Nothing;
        self
    }
}

/// What is told while a program runs.
#[derive(Debug)]
pub enum News<'a> {
    /// A line that it has said on either stream.
    Line(&'a str),
    /// There was an interrupt, and it is let finish.
    LetFinish,
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
    Start(String, io::Error),
    /// Its time was over, by then it had said this.
    Late(String, Duration, String),
    /// mak was interrupted.
    Interrupted,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Start(program, error) if error.kind() == io::ErrorKind::NotFound => {
                write!(f, "{program} is not installed, or not in PATH")
            }
            Fault::Start(program, error) => write!(f, "cannot start {program}: {error}"),
            Fault::Late(command, limit, _) => {
                write!(f, "no answer within {} s: {command}", limit.as_secs_f64())
            }
            Fault::Interrupted => write!(f, "interrupted"),
        }
    }
}

impl std::error::Error for Fault {}

enum Event {
    Line(String),
    Ended(io::Result<ExitStatus>),
    Interrupt,
}

/// Whether INT, TERM or HUP has come.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// Who waits for a program now.
static WAITING: Mutex<Vec<Sender<Event>>> = Mutex::new(Vec::new());

/// Takes INT, TERM and HUP from here on, so that mak can clean up. Called once.
pub fn take_interrupts() -> io::Result<()> {
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
    let (sender, receiver) = mpsc::channel();
    watched(program, sender, &receiver, None)
}

/// The same, and tells what it says line by line.
pub fn run_telling(program: &Program, tell: &mut dyn FnMut(News)) -> Result<Done, Fault> {
    let (sender, receiver) = mpsc::channel();
    watched(program, sender, &receiver, Some(tell))
}

fn watched(
    program: &Program,
    sender: Sender<Event>,
    events: &Receiver<Event>,
    tell: Option<&mut dyn FnMut(News)>,
) -> Result<Done, Fault> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner).push(sender.clone());
    // From here on every interrupt is an event; one that came before is seen here.
    let done = match program.interrupt == Interrupt::Ends && interrupted() {
        true => Err(Fault::Interrupted),
        false => to_its_end(program, sender, events, tell),
    };
    WAITING.lock().unwrap_or_else(PoisonError::into_inner).clear();
    done
}

fn to_its_end(
    program: &Program,
    sender: Sender<Event>,
    events: &Receiver<Event>,
    mut tell: Option<&mut dyn FnMut(News)>,
) -> Result<Done, Fault> {
    let name = program.words.first().cloned().unwrap_or_default();
    let lines = tell.is_some().then_some(&sender);
    let (child, [out, err]) =
        start(program, &name, lines).map_err(|error| Fault::Start(name.clone(), error))?;
    let group = Pid::from_raw(child.id().cast_signed());
    wait_beside(child, sender);

    let mut told = |news: News| {
        if let Some(tell) = tell.as_mut() {
            tell(news);
        }
    };
    let mut end = program.limit.map(|limit| Instant::now() + limit);
    let mut fault = None;
    let mut is_let_finish = false;
    let status = loop {
        match next(events, end) {
            Some(Event::Line(line)) => told(News::Line(&line)),
            Some(Event::Ended(status)) => break status,
            Some(Event::Interrupt) if fault.is_some() => {}
            Some(Event::Interrupt) => match program.interrupt {
                Interrupt::Nothing => {}
                Interrupt::EndsAtSecond if !is_let_finish => {
                    is_let_finish = true;
                    told(News::LetFinish);
                }
                Interrupt::Ends | Interrupt::EndsAtSecond => {
                    fault = Some(Fault::Interrupted);
                    end = Some(Instant::now() + PATIENCE);
                    send(group, Signal::SIGTERM, program);
                }
            },
            None if fault.is_none() => {
                let command = super::quote::show(&program.words);
                let limit = program.limit.unwrap_or_default();
                fault = Some(Fault::Late(command, limit, String::new()));
                end = Some(Instant::now() + PATIENCE);
                send(group, Signal::SIGTERM, program);
            }
            // It has had its patience: now it gets what nobody can ignore.
            None => {
                end = None;
                send(group, Signal::SIGKILL, program);
            }
        }
    };
    let (out, err) = (out.text(), err.text());
    for event in events.try_iter() {
        if let Event::Line(line) = event {
            told(News::Line(&line));
        }
    }
    match fault {
        Some(Fault::Late(command, limit, _)) => Err(Fault::Late(command, limit, out + &err)),
        Some(fault) => Err(fault),
        None => {
            let status = status.map_err(|error| Fault::Start(name, error))?;
            let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
            Ok(Done { code, out, err })
        }
    }
}

/// Signals the program and all it has started. What sudo runs is root's: only sudo reaches it.
fn send(group: Pid, signal: Signal, program: &Program) {
    let by_sudo = program.words.first().is_some_and(|word| word == "sudo");
    if killpg(group, signal).is_err() && by_sudo {
        let words = ["-n", "kill", "-s", signal.as_str().trim_start_matches("SIG"), "--"];
        let mut sudo = Command::new("sudo");
        sudo.args(words).arg(format!("-{group}")).process_group(0);
        sudo.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let _ = sudo.status();
    }
}

/// What happens next; `None` where that is nothing until `end`.
fn next(events: &Receiver<Event>, end: Option<Instant>) -> Option<Event> {
    match end {
        Some(end) => events.recv_timeout(end.saturating_duration_since(Instant::now())).ok(),
        None => events.recv().ok(),
    }
}

fn start(
    program: &Program,
    name: &str,
    lines: Option<&Sender<Event>>,
) -> io::Result<(Child, [Stream; 2])> {
    let mut command = Command::new(name);
    command
        .args(program.words.iter().skip(1))
        .envs(program.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .process_group(0);
    if program.joined {
        let (reader, writer) = io::pipe()?;
        let child = command.stdout(writer.try_clone()?).stderr(writer).spawn()?;
        let out = Stream::listen(Some(reader), program.shown, lines);
        return Ok((child, [out, Stream::listen(None::<io::Empty>, false, None)]));
    }
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let out = Stream::listen(child.stdout.take(), program.shown, lines);
    let err = Stream::listen(child.stderr.take(), program.shown, lines);
    Ok((child, [out, err]))
}

fn wait_beside(mut child: Child, sender: Sender<Event>) {
    thread::spawn(move || {
        let _ = sender.send(Event::Ended(child.wait()));
    });
}

/// A stream that is read to its end beside us.
struct Stream {
    /// The end of what was read.
    kept: Arc<Mutex<Vec<u8>>>,
    /// Closed when it is over.
    over: Receiver<()>,
}

impl Stream {
    fn listen(
        stream: Option<impl Read + Send + 'static>,
        shown: bool,
        lines: Option<&Sender<Event>>,
    ) -> Stream {
        let (open, over) = mpsc::channel();
        let kept = Arc::new(Mutex::new(Vec::new()));
        let Some(mut stream) = stream else { return Stream { kept, over } };
        let (filling, lines) = (Arc::clone(&kept), lines.cloned());
        thread::spawn(move || {
            let _open: Sender<()> = open;
            let mut line = Vec::new();
            let mut piece = [0; 8192];
            while let Ok(count @ 1..) = stream.read(&mut piece) {
                let read = piece.get(..count).unwrap_or_default();
                if shown {
                    let _ = io::stderr().write_all(read);
                }
                let mut kept = filling.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend_from_slice(read);
                let surplus = kept.len().saturating_sub(KEPT);
                if surplus > KEPT {
                    kept.drain(..surplus);
                }
                drop(kept);
                if let Some(lines) = &lines {
                    send_lines(read, &mut line, lines);
                }
            }
        });
        Stream { kept, over }
    }

    /// What was said. A child of the program's own may keep its streams open for ever: nobody
    /// waits long for that.
    fn text(self) -> String {
        let _ = self.over.recv_timeout(STREAMS);
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&kept).into_owned()
    }
}

/// Sends the lines that these bytes complete. Progress bars draw theirs over each other.
fn send_lines(bytes: &[u8], line: &mut Vec<u8>, lines: &Sender<Event>) {
    for byte in bytes {
        if matches!(byte, b'\n' | b'\r') {
            let text = String::from_utf8_lossy(&std::mem::take(line)).into_owned();
            if !text.trim().is_empty() {
                let _ = lines.send(Event::Line(text));
            }
        } else if line.len() < LONGEST_LINE {
            line.push(*byte);
        }
    }
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
    fn what_a_program_had_said_by_its_deadline_is_kept_and_told_in_lines() {
        let mut program =
            Program::new(&["sh", "-c", "echo \"$X\" >&2; echo two; exec tail -f /dev/null"]);
        program.joined = true;
        program.environment.push(("X".to_owned(), "a b".to_owned()));
        let mut lines = Vec::new();
        let fault = run_telling(&program.within(Duration::from_millis(500)), &mut |news| {
            if let News::Line(line) = news {
                lines.push(line.to_owned());
            }
        });
        assert!(matches!(fault, Err(Fault::Late(_, _, said)) if said == "a b\ntwo\n"), "{lines:?}");
        assert_eq!(lines, ["a b", "two"]);
    }

    #[test]
    fn a_child_that_keeps_the_streams_open_keeps_neither_the_end_nor_the_words_back() {
        let done = run(&Program::new(&[
            "sh",
            "-c",
            "echo out; exec tail -f /dev/null --pid=$PPID & exit 4",
        ]))
        .unwrap();
        assert_eq!((done.code, done.out.as_str()), (4, "out\n"));
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
