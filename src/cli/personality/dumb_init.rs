//! dumb-init 1.2.5: `[option] command [[arg] ...]`.

use std::ffi::{CStr, OsString};
use std::io::Error;

use lexopt::{Arg, Parser};

use super::{Contract, Reading, complain, name, words};
use crate::config::Signal;
use crate::init::event_loop::{JobControl, Notice};
use crate::init::pid::Pid;
use crate::init::reap::Ended;
use crate::init::spawn::{Program, Refusal, Standing};

const HELP: &str = "\
Usage: dumb-init [option] program [args]

Runs the program in a session of its own, forwards signals to all of it, and reaps orphans.

  -c, --single-child  Forward signals to the program only, in our own session (DUMB_INIT_SETSID=0)
  -r, --rewrite s:r   Forward signal s as r, by number; 0 drops it; may be repeated
  -v, --verbose       Say what happens (DUMB_INIT_DEBUG=1)
  -h, --help          Show this
  -V, --version       Show the version";

const LONG: [(&str, char); 5] =
    [("single-child", 'c'), ("rewrite", 'r'), ("verbose", 'v'), ("help", 'h'), ("version", 'V')];

#[derive(Default)]
struct Options {
    single: bool,
    verbose: bool,
    rewrites: Vec<(Signal, Option<Signal>)>,
    command: Vec<OsString>,
}

/// Reads dumb-init's options and environment.
pub(super) fn read(arguments: &[OsString], variable: &dyn Fn(&str) -> Option<OsString>) -> Reading {
    let mut options = match options(arguments) {
        Ok(options) => options,
        Err(done) => return done,
    };
    if options.command.is_empty() {
        complain("Usage: dumb-init [option] program [args]\nTry dumb-init --help for full usage.");
        return Reading::Done(1);
    }
    options.verbose |= variable("DUMB_INIT_DEBUG").is_some_and(|value| value == "1");
    options.single |= variable("DUMB_INIT_SETSID").is_some_and(|value| value == "0");
    Reading::Run(Box::new(contract(options)))
}

fn options(arguments: &[OsString]) -> Result<Options, Reading> {
    let mut options = Options::default();
    let mut parser = Parser::from_args(arguments.iter().cloned());
    parser.set_short_equals(false);
    loop {
        let argument = match parser.next() {
            Ok(Some(argument)) => argument,
            Ok(None) => return Ok(options),
            Err(error) => return Err(bad(&error.to_string())),
        };
        let letter = match argument {
            Arg::Value(program) => {
                options.command.push(program);
                options.command.extend(parser.raw_args().map_err(|e| bad(&e.to_string()))?);
                return Ok(options);
            }
            Arg::Short(letter) => letter,
            Arg::Long(name) => match long(name) {
                Some(letter) => letter,
                None => return Err(bad(&format!("unrecognized option '--{name}'"))),
            },
        };
        match letter {
            'c' => options.single = true,
            'v' => options.verbose = true,
            'h' => return Err(said(HELP)),
            'V' => return Err(said("dumb-init v1.2.5")),
            'r' => {
                let value =
                    parser.value().map_err(|_| bad("option requires an argument -- 'r'"))?;
                match value.to_str().and_then(rewrite) {
                    Some(pair) => options.rewrites.push(pair),
                    None => return Err(bad_rewrite()),
                }
            }
            letter => return Err(bad(&format!("invalid option -- '{letter}'"))),
        }
    }
}

/// A long option, or an unambiguous beginning of one (`man 3 getopt_long`).
fn long(name: &str) -> Option<char> {
    let mut known = LONG.iter().filter(|(long, _)| long.starts_with(name));
    let first = known.next()?;
    if known.next().is_some() && first.0 != name { None } else { Some(first.1) }
}

/// sscanf(3) of `%d:%d`, signals 1 to 31: what follows the second number does not count.
fn rewrite(pair: &str) -> Option<(Signal, Option<Signal>)> {
    let (from, to) = pair.split_once(':')?;
    let to = to.trim_start();
    let digits = to.find(|c: char| !c.is_ascii_digit()).unwrap_or(to.len());
    let from: i32 = from.trim_start().parse().ok().filter(|from| (1..=31).contains(from))?;
    let to: i32 = to[..digits].parse().ok().filter(|to| (0..=31).contains(to))?;
    Some((Signal::from_number(from)?, Signal::from_number(to)))
}

fn said(text: &str) -> Reading {
    complain(text);
    Reading::Done(0)
}

fn bad(why: &str) -> Reading {
    complain(&format!("dumb-init: {why}"));
    Reading::Done(1)
}

fn bad_rewrite() -> Reading {
    complain(
        "Usage: -r option takes <signum>:<signum>, where <signum> is between 1 and 31.\n\
         This option can be specified multiple times.\n\
         Use --help for full usage.",
    );
    Reading::Done(1)
}

fn contract(options: Options) -> Contract {
    let (verbose, single) = (options.verbose, options.single);
    let term = options.rewrites.iter().rev().find(|(from, _)| *from == Signal::TERM);
    // What is left in the session is told when the program has ended, as signal TERM would be.
    let last = term.map_or(Some(Signal::TERM), |(_, to)| *to);
    Contract {
        standing: if single { Standing::Same } else { Standing::Session },
        group: !single,
        job_control: if single { JobControl::Passed } else { JobControl::Suspends },
        parting: if single { None } else { last },
        rewrites: options.rewrites,
        leaves_folder: true,
        notice: verbose.then(|| {
            let notice: Box<dyn Fn(Notice)> = Box::new(move |notice| tell(notice, single, last));
            notice
        }),
        ..Contract::of(options.command, refuse)
    }
}

/// What is said under `-v`. The line for the last signal is dumb-init's also where it is sent to
/// nobody.
fn tell(notice: Notice, single: bool, last: Option<Signal>) {
    let say = |text: &str| complain(&format!("[dumb-init] {text}"));
    let forwarded = |signal: Signal| {
        say(&format!("Forwarded signal {} to children.", signal.number()));
    };
    match notice {
        Notice::Started(pid) => {
            say(&format!("Child spawned with PID {}.", pid.raw()));
            if !single {
                say("setsid complete.");
            }
        }
        Notice::Received(signal) => say(&format!("Received signal {}.", signal.number())),
        Notice::LeftTerminal(signal) => {
            say(&format!("Ignoring tty hand-off signal {}.", signal.number()));
        }
        Notice::Forwarded(signal) => forwarded(signal),
        Notice::Reaped(pid, ended) => say(&reaped(pid, ended)),
        Notice::Ended(pid, ended) => {
            say(&reaped(pid, ended));
            if let Some(signal) = last {
                forwarded(signal);
            }
            say(&format!("Child exited with status {}. Goodbye.", ended.exit_code()));
        }
    }
}

fn reaped(pid: Pid, ended: Ended) -> String {
    let pid = pid.raw();
    match ended.signal() {
        None => format!("A child with PID {pid} exited with exit status {}.", ended.exit_code()),
        Some(signal) => format!("A child with PID {pid} was terminated by signal {signal}."),
    }
}

fn refuse(program: &Program, _: &CStr, error: Error) -> Refusal {
    Refusal { code: 2, text: format!("[dumb-init] {}: {}", name(program), words(&error)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Option<Options> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        options(&words).ok()
    }

    #[test]
    fn options_end_at_the_program_and_long_ones_may_be_shortened() {
        let options = parsed(&["-cv", "--rew", "15:3abc", "-r1:0", "sh", "-c", "x"]).unwrap();
        assert!(options.single && options.verbose);
        let quit = (Signal::TERM, Some(Signal::QUIT));
        assert_eq!(options.rewrites, [quit, (Signal::HUP, None)]);
        assert_eq!(options.command, ["sh", "-c", "x"]);
    }

    #[test]
    fn what_dumb_init_refuses_is_refused() {
        for words in [
            ["--nope", "x"].as_slice(),
            &["-x", "y"],
            &["-r", "TERM:INT", "x"],
            &["-r", "0:1", "x"],
            &["-r", "1:32", "x"],
            &["-r", "15:-1", "x"],
            &["-r", "15", "x"],
            &["--ver", "x"],
        ] {
            assert!(parsed(words).is_none(), "{words:?}");
        }
    }

    #[test]
    fn the_parting_signal_goes_through_the_rewrites() {
        assert_eq!(contract(parsed(&["x"]).unwrap()).parting, Some(Signal::TERM));
        assert_eq!(contract(parsed(&["-r15:3", "x"]).unwrap()).parting, Some(Signal::QUIT));
        assert_eq!(contract(parsed(&["-r15:0", "x"]).unwrap()).parting, None);
        assert_eq!(contract(parsed(&["-c", "x"]).unwrap()).parting, None);
    }
}
