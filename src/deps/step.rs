//! Runs one command of a plan: in a process group of its own, so that Ctrl-C at the terminal
//! reaches it only through us; without stdin; with a deadline; its output shown as it comes and
//! kept for the reason of a failure.

use std::fmt;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::interrupt::Interrupts;
use super::progress::Progress;

/// Between two looks at deadline and Ctrl-C while a command prints nothing.
const PAUSE: Duration = Duration::from_millis(100);
/// What a command that is told to stop has for that.
const GRACE: Duration = Duration::from_secs(10);
/// As much of the output is kept, from its end.
const KEPT: usize = 64 * 1024;

/// A command to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Variables it gets besides ours.
    pub environment: Vec<(String, String)>,
    /// Whether cutting it off leaves something half-done: it is let finish at the first Ctrl-C.
    pub guarded: bool,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status; `None` where it did not start.
    pub status: Option<ExitStatus>,
    /// The end of what it printed, or why it did not start.
    pub output: String,
    /// Whether it was stopped for its deadline.
    pub overdue: bool,
    /// Whether it was stopped by the person.
    pub stopped: bool,
}

impl Ended {
    /// Whether it did its work.
    pub fn fine(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// Its exit code.
    pub fn code(&self) -> Option<i32> {
        self.status.and_then(|status| status.code())
    }

    /// The lines that tell the most of a failure: those with an error, else the last ones.
    pub fn told(&self, most: usize) -> Vec<String> {
        let lines: Vec<&str> =
            self.output.lines().map(str::trim_end).filter(|line| !line.trim().is_empty()).collect();
        let wrong = |line: &&&str| {
            let line = line.to_ascii_lowercase();
            line.starts_with("e:") || line.contains("error") || line.contains("fail")
        };
        let errors: Vec<&&str> = lines.iter().filter(wrong).collect();
        let chosen: Vec<&&str> = if errors.is_empty() { lines.iter().collect() } else { errors };
        let from = chosen.len().saturating_sub(most);
        chosen[from..].iter().map(|line| line.chars().take(300).collect()).collect()
    }
}

impl fmt::Display for Step {
    /// As it would be typed.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variables =
            self.environment.iter().map(|(name, value)| format!("{name}={}", quoted(value)));
        let words = variables.chain(self.argv.iter().map(|word| quoted(word)));
        out.write_str(&words.collect::<Vec<_>>().join(" "))
    }
}

/// A word as a shell needs it.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "+-._:@/=,%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// Runs it to its end, its deadline, or the person's second Ctrl-C (the first, where it is not
/// guarded).
pub fn run(
    step: &Step,
    limit: Duration,
    interrupts: &Interrupts,
    progress: &mut Progress,
    verbose: bool,
) -> Ended {
    let mut child = match start(step) {
        Ok(child) => child,
        Err(error) => return not_started(step, &error),
    };
    let group = Pid::from_raw(child.id().cast_signed());
    let mut end = Instant::now() + limit;
    let mut output = Output::default();
    let mut ended = Ended { status: None, output: String::new(), overdue: false, stopped: false };
    let mut told = false;
    let mut pipe = child.stdout.take();
    loop {
        if let Some(open) = pipe.as_mut()
            && wait_for(open)
        {
            match output.take(open) {
                Ok(true) => {
                    for line in output.lines() {
                        if verbose {
                            progress.line(&line);
                        }
                        progress.detail(&line);
                    }
                }
                _ => pipe = None,
            }
        } else if pipe.is_none() {
            std::thread::sleep(PAUSE.min(Duration::from_millis(10)));
        }
        if let Ok(Some(status)) = child.try_wait() {
            // What it has left in the pipe is the reason of a failure; a child of its own may
            // keep the pipe open, and nobody waits for that.
            while let Some(open) = pipe.as_mut()
                && wait_for(open)
                && output.take(open).unwrap_or(false)
            {}
            ended.status = Some(status);
            ended.output = output.text();
            return ended;
        }
        if interrupts.new_one() {
            if step.guarded && !told {
                told = true;
                progress.line(&format!(
                    "{} is let finish, so that the package manager works afterwards; Ctrl-C again \
                     stops it",
                    step.argv[0]
                ));
            } else if !ended.stopped {
                ended.stopped = true;
                let _ = killpg(group, Signal::SIGINT);
                end = Instant::now() + GRACE;
            }
        }
        if Instant::now() >= end {
            if ended.stopped || ended.overdue {
                let _ = killpg(group, Signal::SIGKILL);
            } else {
                ended.overdue = true;
                let _ = killpg(group, Signal::SIGTERM);
            }
            end = Instant::now() + GRACE;
        }
    }
}

fn start(step: &Step) -> std::io::Result<Child> {
    let (read, write) = std::io::pipe()?;
    let mut command = Command::new(&step.argv[0]);
    command
        .args(&step.argv[1..])
        .envs(step.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(write.try_clone()?)
        .stderr(write)
        .process_group(0);
    let mut child = command.spawn()?;
    // Both streams are one pipe, in the order in which they were written.
    drop(command);
    child.stdout = Some(std::process::ChildStdout::from(std::os::fd::OwnedFd::from(read)));
    Ok(child)
}

fn not_started(step: &Step, error: &std::io::Error) -> Ended {
    let output = format!("error: {} does not start: {error}", step.argv[0]);
    Ended { status: None, output, overdue: false, stopped: false }
}

/// Whether there is something to read within a moment.
fn wait_for(pipe: &impl std::os::fd::AsFd) -> bool {
    let mut pipes = [PollFd::new(pipe, PollFlags::IN)];
    let pause = Timespec { tv_sec: 0, tv_nsec: PAUSE.as_nanos().try_into().unwrap_or(100_000_000) };
    matches!(poll(&mut pipes, Some(&pause)), Ok(ready) if ready > 0)
}

/// What a command prints, in lines.
#[derive(Default)]
struct Output {
    kept: Vec<u8>,
    open_line: Vec<u8>,
    complete: Vec<String>,
}

impl Output {
    /// Reads once; false at the end.
    fn take(&mut self, pipe: &mut impl Read) -> std::io::Result<bool> {
        let mut buffer = [0; 8192];
        let count = pipe.read(&mut buffer)?;
        self.kept.extend_from_slice(&buffer[..count]);
        if self.kept.len() > 2 * KEPT {
            self.kept.drain(..self.kept.len() - KEPT);
        }
        for byte in &buffer[..count] {
            // Progress bars draw their lines over each other.
            if matches!(byte, b'\n' | b'\r') {
                let line =
                    String::from_utf8_lossy(&std::mem::take(&mut self.open_line)).into_owned();
                if !line.trim().is_empty() {
                    self.complete.push(line);
                }
            } else if self.open_line.len() < 4096 {
                self.open_line.push(*byte);
            }
        }
        Ok(count > 0)
    }

    fn lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.complete)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.kept).replace('\r', "\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, guarded: bool) -> Step {
        let argv = ["sh", "-c", script].map(str::to_owned).to_vec();
        Step { argv, environment: vec![("X".to_owned(), "a b".to_owned())], guarded }
    }

    fn ended(step: &Step, limit: Duration) -> Ended {
        run(step, limit, &Interrupts::default(), &mut Progress::new(1), false)
    }

    #[test]
    fn output_of_both_streams_is_kept_with_the_exit_code() {
        let ended = ended(&shell("echo out; echo \"E: $X\" >&2; exit 3", false), GRACE);
        assert_eq!((ended.code(), ended.fine()), (Some(3), false));
        assert_eq!(ended.output, "out\nE: a b\n");
        assert_eq!(ended.told(5), ["E: a b"]);
    }

    #[test]
    fn a_command_that_takes_too_long_is_told_to_stop() {
        let step = shell("trap 'echo cut off; exit 9' TERM; read x < /dev/zero & wait", true);
        let ended = ended(&step, Duration::from_millis(50));
        assert!(ended.overdue && !ended.stopped && !ended.fine());
    }

    #[test]
    fn a_command_is_shown_as_it_would_be_typed() {
        let step = shell("it's", false);
        assert_eq!(step.to_string(), "X='a b' sh -c 'it'\\''s'");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let step = Step { argv: vec!["/no/such".to_owned()], environment: vec![], guarded: false };
        assert!(ended(&step, GRACE).told(1)[0].contains("/no/such does not start"));
    }
}
