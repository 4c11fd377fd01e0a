//! Starting the workload: fork, a process group of its own, the terminal, execve.

#![allow(unsafe_code, reason = "system calls that no crate here wraps")]

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

use nix::errno::Errno;
use nix::unistd::{ForkResult, Pid as NixPid, execve, fork, setpgid};

use super::attributes::Attributes;
use super::hygiene::return_to_folder;
use super::last_words::LastWords;
use super::mask::{Inherited, give_back};
use super::pid::Pid;
use super::shared_spawn::{self, Loan};
use super::terminal::Terminal;
use crate::config::DEFAULT_PATH;

/// The code where a step of our own fails, as of env(1), nice(1) and their kind.
const FAILED: u8 = 125;

/// Why a program could not be executed, for the person at the terminal.
pub struct Refusal {
    /// 127 where it was not found, 126 otherwise.
    pub code: u8,
    /// One line.
    pub text: String,
}

/// What the workload is to our own process group, session and terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A process group of its own, in the terminal's foreground where we had it.
    Foreground,
    /// A session of its own, with the terminal on stdin as its own.
    Session,
    /// Our own group and session.
    Same,
}

/// What becomes the workload.
pub struct Program {
    /// Its arguments, the first being its name as typed.
    pub arguments: Vec<CString>,
    /// Its environment.
    pub environment: Vec<CString>,
    /// The paths that are tried, in this order.
    pub candidates: Vec<CString>,
    /// Where the process that is refused leaves its reason.
    pub last_words: Option<LastWords>,
    /// What it is beyond that.
    pub attributes: Attributes,
    /// Says why the last of `candidates` that was tried could not be executed. It reads files,
    /// which `init` does not: it is called in a process that has failed anyway.
    pub explain: fn(&Program, &CStr, io::Error) -> Refusal,
    /// Says it.
    pub say: fn(&str),
    /// What it is to our group, session and terminal.
    pub standing: Standing,
    /// The folder it is started in, where mak-init has left that.
    pub folder: Option<Rc<OwnedFd>>,
}

/// The paths to try for a program of this name: itself where it has a slash, else one in each
/// folder of PATH (`man 3 execvp`; an empty part is the working directory).
pub fn candidates(name: &CStr, path: Option<&OsStr>) -> Vec<CString> {
    let name = name.to_bytes();
    if name.contains(&b'/') || name.is_empty() {
        return CString::new(name).into_iter().collect();
    }
    let path = path.unwrap_or(OsStr::new(DEFAULT_PATH)).as_bytes();
    path.split(|byte| *byte == b':')
        .filter_map(|folder| {
            let mut candidate = folder.to_vec();
            if !candidate.is_empty() {
                candidate.push(b'/');
            }
            candidate.extend_from_slice(name);
            CString::new(candidate).ok()
        })
        .collect()
}

/// Starts the workload. It gets a process group of its own and, where we have it, the
/// terminal's foreground; signals as we were given them; and our descriptors 0, 1 and 2. What the
/// child reads of our memory is its loan, if any.
pub fn spawn(
    program: &Rc<Program>,
    inherited: &Inherited,
    terminal: Option<&Terminal>,
) -> io::Result<(Pid, Option<Loan>)> {
    if is_plain(program, terminal)
        && let Some((child, loan)) = shared_spawn::start(program, inherited)
    {
        return Ok((child, Some(loan)));
    }
    Ok((spawn_copy(program, inherited, terminal)?, None))
}

/// As [`spawn`], in a copy of our memory, which says why where the program is refused.
pub fn spawn_copy(
    program: &Program,
    inherited: &Inherited,
    terminal: Option<&Terminal>,
) -> io::Result<Pid> {
    if let Some(words) = program.last_words {
        words.open();
    }
    // SAFETY: this process has one thread, so that the child may do whatever we may.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => {
            if program.standing == Standing::Foreground {
                // The child does the same; whoever comes first, it is done before either goes on.
                let _ = setpgid(child, child);
            }
            Pid::new(child.as_raw()).ok_or_else(|| io::Error::other("fork gave no process id"))
        }
        ForkResult::Child => {
            take_standing(program.standing, terminal);
            exit_now(become_child(program, inherited))
        }
    }
}

/// Whether there is nothing to do before execve that could block or needs memory.
fn is_plain(program: &Program, terminal: Option<&Terminal>) -> bool {
    terminal.is_none()
        && program.standing == Standing::Foreground
        && program.attributes == Attributes::none()
        && program.folder.is_none()
        && !is_handed_sockets(program)
}

/// In the child.
fn take_standing(standing: Standing, terminal: Option<&Terminal>) {
    match standing {
        Standing::Same => {}
        Standing::Foreground => {
            let _ = setpgid(NixPid::from_raw(0), NixPid::from_raw(0));
            if let Some(terminal) = terminal {
                terminal.claim();
            }
        }
        Standing::Session => {
            let _ = rustix::process::setsid();
            // Refused where stdin is no terminal, or is another session's: then there is none.
            let _ = rustix::process::ioctl_tiocsctty(std::io::stdin());
        }
    }
}

fn is_handed_sockets(program: &Program) -> bool {
    program.environment.iter().any(|entry| entry.to_bytes().starts_with(b"LISTEN_PID="))
}

/// As `become_program`, in a child: sockets that were handed to us are handed on to it, which it
/// only believes where LISTEN_PID is its own (`man 3 sd_listen_fds`).
fn become_child(program: &Program, inherited: &Inherited) -> u8 {
    let given = format!("LISTEN_PID={}", std::process::id());
    let ours = format!("LISTEN_PID={}", nix::unistd::getppid());
    let Some(at) = program.environment.iter().position(|entry| entry.to_bytes() == ours.as_bytes())
    else {
        return become_program(program, inherited);
    };
    let mut environment = program.environment.clone();
    environment[at] = CString::new(given).unwrap_or_default();
    let program = Program {
        arguments: program.arguments.clone(),
        environment,
        candidates: program.candidates.clone(),
        last_words: program.last_words,
        attributes: program.attributes.clone(),
        explain: program.explain,
        say: program.say,
        standing: program.standing,
        folder: program.folder.clone(),
    };
    become_program(&program, inherited)
}

/// Becomes the program, with signals as they were given to us and the attributes asked for. Only
/// returns where that is refused: the reason is then logged, and the result is the exit code for it.
pub fn become_program(program: &Program, inherited: &Inherited) -> u8 {
    give_back(inherited);
    if let Some(way_back) = &program.folder {
        return_to_folder(way_back);
    }
    let refusal = match program.attributes.apply() {
        Err(refused) => Refusal { code: FAILED, text: refused.to_string() },
        Ok(()) => {
            let (candidate, errno) = try_candidates(program);
            (program.explain)(program, candidate, errno.into())
        }
    };
    (program.say)(&refusal.text);
    if let Some(words) = program.last_words {
        words.leave(&refusal.text);
    }
    refusal.code
}

/// Tries each candidate as execvp(3) does, but without its fallback to a shell.
fn try_candidates(program: &Program) -> (&CStr, Errno) {
    let mut refused = (program.candidates.first().map_or(c"", CString::as_c_str), Errno::ENOENT);
    for candidate in &program.candidates {
        let Err(errno) = execve(candidate, &program.arguments, &program.environment);
        match errno {
            // The only one there is: what the kernel says of it is the reason.
            _ if program.candidates.len() == 1 => return (candidate, errno),
            // Nothing there. But a file that is there and lacks its interpreter says ENOENT too.
            Errno::ENOENT | Errno::ENOTDIR => {
                if refused.1 == Errno::ENOENT && exists(candidate) {
                    refused = (candidate, errno);
                }
            }
            Errno::EACCES => {
                if refused.1 != Errno::EACCES {
                    refused = (candidate, errno);
                }
            }
            _ => return (candidate, errno),
        }
    }
    refused
}

fn exists(candidate: &CStr) -> bool {
    rustix::fs::access(candidate, rustix::fs::Access::EXISTS).is_ok()
}

/// Ends this process without running what std or libc do at exit: they belong to the parent.
pub fn exit_now(code: u8) -> ! {
    // SAFETY: _exit(2) takes a number and does not return.
    unsafe { libc::_exit(i32::from(code)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(name: &CStr, path: Option<&str>) -> Vec<String> {
        let found = candidates(name, path.map(OsStr::new));
        found.into_iter().map(|path| path.into_string().unwrap()).collect()
    }

    #[test]
    fn a_name_is_looked_for_in_path_and_a_path_is_not() {
        assert_eq!(tried(c"sh", Some("/bin:/usr/bin")), ["/bin/sh", "/usr/bin/sh"]);
        assert_eq!(tried(c"sh", Some(":/bin")), ["sh", "/bin/sh"]);
        assert_eq!(tried(c"./sh", Some("/bin")), ["./sh"]);
        assert_eq!(tried(c"", Some("/bin")), [""]);
        assert!(tried(c"sh", None).contains(&"/bin/sh".to_owned()));
    }
}
