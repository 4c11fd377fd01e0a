//! tini 0.19: `[OPTIONS] PROGRAM -- [ARGS] | --version`.

use std::ffi::{CStr, OsString};
use std::io::Error;

use lexopt::{Arg, Parser};

use super::{COMMIT, Contract, LICENCE, Reading, complain, name, print, words};
use crate::config::Signal;
use crate::init::ancestry::gets_orphans;
use crate::init::event_loop::Notice;
use crate::init::pid::is_init;
use crate::init::spawn::{Program, Refusal};

const USAGE: &str = "\
Usage: tini [OPTIONS] PROGRAM -- [ARGS] | --version

Runs PROGRAM, forwards signals to it, reaps orphans, and returns its exit code.

  --version  Show the version, as the only argument
  -h         Show this
  -s         Adopt orphans where this is not PID 1 (TINI_SUBREAPER)
  -p SIGNAL  Get SIGNAL when the parent dies: SIGKILL, SIGTERM, …
  -v         Say more; may be repeated (TINI_VERBOSITY)
  -w         Warn of every reaped orphan
  -g         Send signals to the program's process group (TINI_KILL_PROCESS_GROUP)
  -e CODE    Exit with 0 where the program ended with CODE; may be repeated
  -l         Show the licence
";

/// The names that `-p` takes: standard signals in capitals.
const DEATH_SIGNALS: [&str; 28] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGSYS",
];

/// Verbosities, from which on a line is said.
const WARN: i64 = 1;
const INFO: i64 = 2;
const DEBUG: i64 = 3;

#[derive(Default)]
struct Options {
    subreaper: bool,
    group: bool,
    warn_on_reap: bool,
    verbosity: i64,
    parent_death_signal: Option<Signal>,
    expect_exit: Vec<(u8, u8)>,
    command: Vec<OsString>,
}

/// Reads tini's options and environment.
pub(super) fn read(arguments: &[OsString], variable: &dyn Fn(&str) -> Option<OsString>) -> Reading {
    if let [only] = arguments
        && only == "--version"
    {
        return Reading::Done(print(&format!("tini version 0.19.0 - git.{COMMIT}\n")));
    }
    let mut options = match options(arguments) {
        Ok(options) => options,
        Err(Some(done)) => return done,
        Err(None) => return refused(),
    };
    if options.command.is_empty() {
        return refused();
    }
    options.subreaper |= variable("TINI_SUBREAPER").is_some();
    options.group |= variable("TINI_KILL_PROCESS_GROUP").is_some();
    if let Some(value) = variable("TINI_VERBOSITY") {
        options.verbosity = leading_number(&value.to_string_lossy());
    }
    if !options.subreaper && options.verbosity >= WARN && !gets_orphans() {
        say(
            "WARN ",
            "this is neither PID 1 nor a subreaper, so that zombie reaping won't work: orphans go \
             to the init above. Use -s or set TINI_SUBREAPER to adopt them.",
        );
    }
    Reading::Run(Box::new(contract(options)))
}

fn refused() -> Reading {
    complain(USAGE.trim_end());
    Reading::Done(1)
}

/// The error is what has been said already, or nothing where the usage is still to be shown.
fn options(arguments: &[OsString]) -> Result<Options, Option<Reading>> {
    let mut options = Options { verbosity: WARN, ..Options::default() };
    let mut parser = Parser::from_args(arguments.iter().cloned());
    parser.set_short_equals(false);
    while let Some(argument) = parser.next().map_err(|_| None)? {
        match argument {
            Arg::Short('h') => return Err(Some(Reading::Done(print(USAGE)))),
            Arg::Short('l') => return Err(Some(Reading::Done(print(LICENCE)))),
            Arg::Short('s') => options.subreaper = true,
            Arg::Short('g') => options.group = true,
            Arg::Short('w') => options.warn_on_reap = true,
            Arg::Short('v') => options.verbosity += 1,
            Arg::Short('p') => {
                let value = parser.value().map_err(|_| None)?;
                let name = value.to_str().filter(|name| DEATH_SIGNALS.contains(name));
                let signal = name.and_then(|name| Signal::parse(name).ok()).ok_or(None)?;
                options.parent_death_signal = Some(signal);
            }
            Arg::Short('e') => {
                let value = parser.value().map_err(|_| None)?;
                let code = value.to_str().and_then(exit_code).ok_or(None)?;
                options.expect_exit.push((code, 0));
            }
            Arg::Value(program) => {
                options.command.push(program);
                options.command.extend(parser.raw_args().map_err(|_| None)?);
            }
            Arg::Short(_) | Arg::Long(_) => return Err(None),
        }
    }
    Ok(options)
}

/// strtol(3) of the whole word, from 0 to 255.
fn exit_code(word: &str) -> Option<u8> {
    let word = word.trim_start();
    if word.is_empty() { Some(0) } else { word.strip_prefix('+').unwrap_or(word).parse().ok() }
}

/// atoi(3): what does not begin with a number is 0.
fn leading_number(word: &str) -> i64 {
    let word = word.trim_start();
    let end = word
        .char_indices()
        .find(|(at, c)| !(c.is_ascii_digit() || (*at == 0 && matches!(c, '-' | '+'))))
        .map_or(word.len(), |(at, _)| at);
    word[..end].trim_start_matches('+').parse().unwrap_or(0)
}

fn contract(options: Options) -> Contract {
    let (verbosity, warn) = (options.verbosity, options.warn_on_reap);
    let notices = verbosity >= INFO || warn;
    Contract {
        group: options.group,
        subreaper: options.subreaper && !is_init(),
        parent_death_signal: options.parent_death_signal,
        expect_exit: options.expect_exit,
        notice: notices.then(|| {
            let notice: Box<dyn Fn(Notice)> = Box::new(move |notice| tell(notice, verbosity, warn));
            notice
        }),
        ..Contract::of(options.command, refuse)
    }
}

fn tell(notice: Notice, verbosity: i64, warn: bool) {
    match notice {
        Notice::Started(pid) if verbosity >= INFO => {
            say("INFO ", &format!("Spawned child process with pid '{}'", pid.raw()));
        }
        Notice::Received(Signal::CHLD) if verbosity >= DEBUG => say("DEBUG", "Received SIGCHLD"),
        Notice::Reaped(pid, _) if warn => {
            say("WARN ", &format!("Reaped zombie process with pid={}", pid.raw()));
        }
        Notice::Reaped(pid, _) if verbosity >= DEBUG => {
            say("DEBUG", &format!("Reaped zombie process with pid={}", pid.raw()));
        }
        _ => {}
    }
}

/// Warnings go to stderr, what is only told to stdout.
fn say(level: &str, text: &str) {
    let line = format!("[{level} tini ({})] {text}", std::process::id());
    if level == "WARN " {
        complain(&line)
    } else {
        print(&(line + "\n"));
    }
}

fn refuse(program: &Program, _: &CStr, error: Error) -> Refusal {
    let code = match error.raw_os_error() {
        Some(libc::ENOENT) => 127,
        Some(libc::EACCES) => 126,
        _ => 1,
    };
    let (id, name, words) = (std::process::id(), name(program), words(&error));
    Refusal { code, text: format!("[FATAL tini ({id})] exec {name} failed: {words}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Option<Options> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        options(&words).ok()
    }

    #[test]
    fn clusters_attached_values_and_the_program_are_told_apart() {
        let options = parsed(&["-sgw", "-pSIGKILL", "-e", "143", "-e1", "--", "sh", "-g"]).unwrap();
        assert!(options.subreaper && options.group && options.warn_on_reap);
        assert_eq!(options.parent_death_signal, Some(Signal::KILL));
        assert_eq!(options.expect_exit, [(143, 0), (1, 0)]);
        assert_eq!(options.command, ["sh", "-g"]);
        assert_eq!(parsed(&["-vv", "x"]).unwrap().verbosity, 3);
        assert_eq!(parsed(&["--", "--", "x"]).unwrap().command, ["--", "x"]);
    }

    #[test]
    fn what_tini_refuses_is_refused() {
        for words in [
            ["-x", "y"].as_slice(),
            &["-p", "TERM", "y"],
            &["-p", "sigterm", "y"],
            &["-p", "SIGRTMIN", "y"],
            &["-e", "256", "y"],
            &["-e", "-1", "y"],
            &["-e", "1x", "y"],
            &["--version", "x"],
            &["-p"],
        ] {
            assert!(parsed(words).is_none(), "{words:?}");
        }
    }

    #[test]
    fn numbers_are_read_as_atoi_does() {
        for (word, number) in [("3", 3), (" 2x", 2), ("abc", 0), ("-1", -1), ("", 0), ("+4", 4)] {
            assert_eq!(leading_number(word), number, "{word}");
        }
    }
}
