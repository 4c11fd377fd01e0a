//! Personalities: called by a peer's name, or with `--as NAME`, mak-init keeps that program's
//! contract: its options, environment, exit codes, and the messages that other people's scripts
//! look for (docs/personalities.md). Nothing of mak-init's own configuration is read then.

mod catatonit;
mod dumb_init;
mod tini;

use std::ffi::{CStr, OsStr, OsString};
use std::io::Write;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use nix::errno::Errno;

use super::run::program::{environment_entries, program_of};
use super::{Started, code};
use crate::config::Signal;
use crate::config::setting::Restart;
use crate::init;
use crate::init::ancestry::{adopt_orphans, die_with_parent};
use crate::init::event_loop::{JobControl, Notice, Run};
use crate::init::forward::Rewrites;
use crate::init::hygiene::leave_folder;
use crate::init::mask::{Mask, take_over};
use crate::init::receive::Signals;
use crate::init::restart::Restarts;
use crate::init::spawn::{Program, Refusal, Standing};
use crate::init::terminal::Terminal;

/// The commit this was built from, for version lines that have to name one.
pub const COMMIT: &str = match option_env!("MAK_INIT_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// What the licence option prints.
const LICENCE: &str = "mak-init is licensed under MIT or Apache-2.0, as you like; see LICENSE.\n";

/// A program whose contract can be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// tini, also as `docker-init`.
    Tini,
    /// dumb-init.
    DumbInit,
    /// catatonit, also as `podman-init`.
    Catatonit,
}

impl Peer {
    /// The peer of this name.
    fn named(name: &OsStr) -> Option<Peer> {
        Some(match name.to_str()? {
            "tini" | "tini-static" | "docker-init" => Peer::Tini,
            "dumb-init" => Peer::DumbInit,
            "catatonit" | "podman-init" => Peer::Catatonit,
            _ => return None,
        })
    }
}

/// None of the peers ends a grace period.
const FOREVER: Duration = Duration::from_secs(366 * 24 * 3600);

/// What a peer's options come to.
struct Contract {
    command: Vec<OsString>,
    /// No command at all, on purpose.
    pause: bool,
    stop_signals: Vec<Signal>,
    standing: Standing,
    group: bool,
    rewrites: Vec<(Signal, Option<Signal>)>,
    job_control: JobControl,
    subreaper: bool,
    parent_death_signal: Option<Signal>,
    expect_exit: Vec<(u8, u8)>,
    parting: Option<Signal>,
    leaves_folder: bool,
    closes_descriptors: bool,
    refuse: Refuse,
    notice: Option<Box<dyn Fn(Notice)>>,
}

/// The peer's words and code where its program cannot be executed.
type Refuse = fn(&Program, &CStr, std::io::Error) -> Refusal;

impl Contract {
    /// What they all do: run this, forward every signal, and end with it.
    fn of(command: Vec<OsString>, refuse: Refuse) -> Contract {
        Contract {
            command,
            pause: false,
            stop_signals: Vec::new(),
            standing: Standing::Foreground,
            group: false,
            rewrites: Vec::new(),
            job_control: JobControl::Forwarded,
            subreaper: false,
            parent_death_signal: None,
            expect_exit: Vec::new(),
            parting: None,
            leaves_folder: false,
            closes_descriptors: false,
            refuse,
            notice: None,
        }
    }
}

/// What came of reading a peer's options.
enum Reading {
    /// Run this.
    Run(Box<Contract>),
    /// Everything has been said; this is the exit code.
    Done(u8),
}

/// The peer that is meant, by the program's name or by `--as NAME`, and its arguments. The error
/// is what is wrong with `--as`.
pub fn asked_for(arguments: &[OsString]) -> Result<Option<(Peer, &[OsString])>, String> {
    let Some((program, rest)) = arguments.split_first() else { return Ok(None) };
    if let [flag, name, rest @ ..] = rest
        && flag == "--as"
    {
        return match Peer::named(name) {
            Some(peer) => Ok(Some((peer, rest))),
            None => Err(format!("--as: {name:?} is not one of tini, dumb-init, catatonit")),
        };
    }
    let name = Path::new(program).file_name().unwrap_or_default();
    Ok(Peer::named(name).map(|peer| (peer, rest)))
}

/// Does as the peer would; the result is the exit code.
#[inline(never)]
pub fn main(started: &Started, peer: Peer, arguments: &[OsString]) -> u8 {
    let variable = |name: &str| {
        let found = started.environment.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone())
    };
    let reading = match peer {
        Peer::Tini => tini::read(arguments, &variable),
        Peer::DumbInit => dumb_init::read(arguments, &variable),
        Peer::Catatonit => catatonit::read(arguments),
    };
    match reading {
        Reading::Done(code) => code,
        Reading::Run(contract) => match set_up(started, *contract) {
            Ok(mut run) => init::run(&mut run),
            Err(error) => {
                complain(&format!("mak-init: {error}"));
                1
            }
        },
    }
}

fn set_up<'a>(started: &Started, contract: Contract) -> std::io::Result<Run<'a>> {
    let inherited = take_over()?;
    if let Some(signal) = contract.parent_death_signal {
        die_with_parent(signal);
    }
    if contract.subreaper {
        adopt_orphans();
    }
    let program = match contract.pause {
        true => {
            leave_folder();
            None
        }
        false => {
            let path = started.environment.iter().find(|(name, _)| name == "PATH");
            let program = program_of(
                &contract.command,
                environment_entries(&started.environment),
                path.map(|(_, path)| path.as_os_str()),
                contract.refuse,
                contract.standing,
            )
            .ok_or_else(|| std::io::Error::other("the command cannot be passed on"))?;
            let folder = if contract.leaves_folder { leave_folder().map(Rc::new) } else { None };
            Some(Rc::new(Program { say: complain, folder, ..program }))
        }
    };
    let own_session = contract.standing == Standing::Session;
    let detached = own_session && Terminal::leave();
    Ok(Run {
        program,
        inherited,
        signals: Signals::all(false)?,
        stop_signals: Mask::of(&contract.stop_signals),
        stop_signal: None,
        stop_delay: Duration::ZERO,
        grace: FOREVER,
        drain: Duration::ZERO,
        time_limit: None,
        group: contract.group,
        rewrites: Rewrites::new(&contract.rewrites),
        job_control: contract.job_control,
        drains: false,
        parting: contract.parting,
        detached,
        closes_descriptors: contract.closes_descriptors,
        expect_exit: contract.expect_exit,
        restarts: Restarts::new(Restart::Never, Duration::ZERO, Duration::ZERO, Duration::ZERO, 0),
        health: None,
        terminal: if contract.standing == Standing::Foreground {
            Terminal::controlling()
        } else {
            None
        },
        notice: contract.notice,
        explain_death: None,
    })
}

/// The kernel's words for an error, as `strerror` has them.
fn words(error: &std::io::Error) -> &'static str {
    Errno::from_raw(error.raw_os_error().unwrap_or_default()).desc()
}

/// The program's name as it was typed.
fn name(program: &Program) -> String {
    program.arguments.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// A line on stderr, in one piece: the program may write there at the same time.
fn complain(line: &str) {
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Text on stdout; the result is the exit code.
fn print(text: &str) -> u8 {
    if std::io::stdout().write_all(text.as_bytes()).is_ok() { code::FINE } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(words: &[&str]) -> Option<(Peer, usize)> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        asked_for(&words).unwrap().map(|(peer, rest)| (peer, rest.len()))
    }

    #[test]
    fn a_peer_is_meant_by_its_name_or_by_as() {
        assert_eq!(asked(&["/sbin/docker-init", "--", "x"]), Some((Peer::Tini, 2)));
        assert_eq!(asked(&["dumb-init", "x"]), Some((Peer::DumbInit, 1)));
        assert_eq!(asked(&["/run/podman-init"]), Some((Peer::Catatonit, 0)));
        assert_eq!(asked(&["/mak-init", "--as", "tini", "-s"]), Some((Peer::Tini, 1)));
        assert_eq!(asked(&["/mak-init", "tini"]), None);
        assert!(asked_for(&["m".into(), "--as".into(), "systemd".into()]).is_err());
    }
}
