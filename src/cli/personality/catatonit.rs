//! catatonit 0.2.1: `[-ghLPV] [--] prog args`.

use std::ffi::{CStr, OsString};
use std::io::Error;

use lexopt::{Arg, Parser};

use super::{Contract, LICENCE, Reading, complain, name, print, words};
use crate::config::Signal;
use crate::init::pid::is_init;
use crate::init::spawn::{Program, Refusal};

const HELP: &str = "\
usage: catatonit [-ghLPV] [--] <program> [<args>...]

Runs the program, forwards signals to it and reaps orphans.

  -g, --group    Send signals to the program's process group
  -P, --pause    Run no program: only reap, until TERM or INT
  -h, --help     Show this
  -L, --license  Show the licence
  -V, --version  Show the version";

/// Reads catatonit's options.
pub(super) fn read(arguments: &[OsString]) -> Reading {
    let (mut group, mut pause, mut command) = (false, false, Vec::new());
    let mut parser = Parser::from_args(arguments.iter().cloned());
    loop {
        let argument = match parser.next() {
            Ok(Some(argument)) => argument,
            Ok(None) => break,
            Err(error) => return refused(&error.to_string()),
        };
        match argument {
            Arg::Short('g') | Arg::Long("group") => group = true,
            Arg::Short('P') | Arg::Long("pause") => pause = true,
            Arg::Short('h') | Arg::Long("help") => {
                complain(HELP);
                return Reading::Done(0);
            }
            Arg::Short('L') | Arg::Long("license") => return Reading::Done(print(LICENCE)),
            Arg::Short('V') | Arg::Long("version") => {
                return Reading::Done(print("tini version 0.2.1_catatonit\n"));
            }
            Arg::Value(program) => {
                command.push(program);
                if let Ok(rest) = parser.raw_args() {
                    command.extend(rest);
                }
            }
            other => {
                let why = other.unexpected().to_string();
                return refused(&why);
            }
        }
    }
    if command.is_empty() && !pause {
        return refused("missing program name");
    }
    Reading::Run(Box::new(contract(group, pause, command)))
}

fn refused(why: &str) -> Reading {
    complain(&format!("catatonit: {why}\n{}", HELP.lines().next().unwrap_or_default()));
    Reading::Done(1)
}

fn contract(group: bool, pause: bool, command: Vec<OsString>) -> Contract {
    Contract {
        pause,
        stop_signals: if pause { vec![Signal::TERM, Signal::INT] } else { Vec::new() },
        group,
        subreaper: !is_init(),
        leaves_folder: true,
        closes_descriptors: true,
        ..Contract::of(command, refuse)
    }
}

fn refuse(program: &Program, _: &CStr, error: Error) -> Refusal {
    let (id, name, words) = (std::process::id(), name(program), words(&error));
    Refusal { code: 1, text: format!("ERROR (catatonit:{id}): failed to exec {name}: {words}") }
}
