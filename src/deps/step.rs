//! One command of a plan, run by `engine::process`: without stdin, with a deadline, its output
//! shown as it comes and kept for the reason of a failure. The first Ctrl-C lets finish what must
//! not be cut off.

use std::fmt;
use std::time::Duration;

use super::progress::Progress;
use crate::engine::process::{self, Fault, Interrupt, News, Program};
use crate::engine::quote;

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
    /// Its exit code, 128+N where signal N ended it; `None` where it has none: it did not start
    /// or was stopped.
    pub code: Option<i32>,
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
        self.code == Some(0)
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
        let variables = self.environment.iter();
        let variables = variables.map(|(name, value)| format!("{name}={}", quote::word(value)));
        let words = variables.chain([quote::show(&self.argv)]);
        out.write_str(&words.collect::<Vec<_>>().join(" "))
    }
}

/// Runs it to its end, its deadline, or the person's second Ctrl-C (the first, where it is not
/// guarded).
pub fn run(step: &Step, limit: Duration, progress: &mut Progress, verbose: bool) -> Ended {
    let program = Program {
        environment: step.environment.clone(),
        joined: true,
        interrupt: if step.guarded { Interrupt::EndsAtSecond } else { Interrupt::Ends },
        ..Program::new(&step.argv).within(limit)
    };
    let ran = process::run_telling(&program, &mut |news| match news {
        News::Line(line) => {
            if verbose {
                progress.line(line);
            }
            progress.detail(line);
        }
        News::LetFinish => progress.line(&format!(
            "{} is let finish, so that the package manager works afterwards; Ctrl-C again stops it",
            step.argv[0]
        )),
    });
    let none = Ended { code: None, output: String::new(), overdue: false, stopped: false };
    match ran {
        Ok(done) => Ended { code: Some(done.code), output: done.out.replace('\r', "\n"), ..none },
        Err(Fault::Late(_, _, said)) => {
            Ended { output: said.replace('\r', "\n"), overdue: true, ..none }
        }
        Err(Fault::Interrupted) => Ended { stopped: true, ..none },
        Err(fault @ Fault::Start(..)) => Ended { output: format!("error: {fault}"), ..none },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    fn shell(script: &str, guarded: bool) -> Step {
        let argv = ["sh", "-c", script].map(str::to_owned).to_vec();
        Step { argv, environment: vec![("X".to_owned(), "a b".to_owned())], guarded }
    }

    fn ended(step: &Step, limit: Duration) -> Ended {
        run(step, limit, &mut Progress::silent(), false)
    }

    #[test]
    fn output_of_both_streams_is_kept_with_the_exit_code() {
        let ended = ended(&shell("echo out; echo \"E: $X\" >&2; exit 3", false), LIMIT);
        assert_eq!((ended.code, ended.fine()), (Some(3), false));
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
        assert!(ended(&step, LIMIT).told(1)[0].contains("/no/such is not installed"));
    }
}
