//! The workload: can this command be executed here, and if not, why? Asked before a start by
//! verification and by `mak-init explain`, and after a failed execve(2) by the child that failed.
//!
//! | file | idea |
//! |---|---|
//! | `obstacle` | one reason, with its exit code |
//! | `find` | a name in PATH, and paths that lead nowhere |
//! | `inspect` | from the path to what runs in the end |
//! | `script` | the first line |
//! | `access` | rights, and noexec |
//! | `machine` | other processors and their emulators |
//! | `arguments` | what is too long for execve |

mod access;
mod arguments;
mod find;
mod inspect;
mod machine;
mod obstacle;
mod script;

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

pub use access::Credentials;
pub use obstacle::{NOT_EXECUTABLE, NOT_FOUND, Obstacle};

use super::report::{Check, Status};
use super::request::Request;
use crate::loader::Loader;
use crate::platform::{Root, Uname, kernel};
use find::{find, joined, not_in_path};
use inspect::{Fit, Ground, chain_shown, inspect};

/// As many problems as a check lists.
const MOST_EVIDENCE: usize = 12;

/// A start that execve(2) has refused.
pub struct Attempt<'a> {
    /// The program that was tried last.
    pub path: &'a Path,
    /// The folders of PATH that were searched for it; none where it was named by a path.
    pub folders: &'a [&'a Path],
    /// Its arguments, itself the first.
    pub arguments: &'a [CString],
    /// Its environment, as `NAME=value`.
    pub environment: &'a [CString],
}

/// Says why execve(2) has refused with `error`, as one line, with the exit code for it.
pub fn explain(attempt: &Attempt, error: io::Error) -> (u8, String) {
    let obstacle = obstacle(attempt, &error);
    let name = match (obstacle.id, attempt.folders) {
        // No folder has it: the name as it was typed says more than the first place looked at.
        ("command.missing", [_, ..]) => Path::new(attempt.path.file_name().unwrap_or_default()),
        _ => attempt.path,
    };
    (obstacle.code, format!("cannot start {}: {obstacle}", name.display()))
}

fn obstacle(attempt: &Attempt, error: &io::Error) -> Obstacle {
    let root = Root::host();
    let search_path = joined(attempt.folders);
    let ground = Ground {
        root: &root,
        arch: Uname::of_this_process().arch(),
        who: Credentials::of_this_process(),
        search_path: &search_path,
        folder: None,
        refused: true,
    };
    let errno = Errno::from_io_error(error);
    if let Some(obstacle) = errno.and_then(|errno| told_by_errno(attempt, errno)) {
        return obstacle;
    }
    let missing = matches!(errno, Some(Errno::NOENT | Errno::NOTDIR));
    if missing && !attempt.folders.is_empty() && attempt.path.symlink_metadata().is_err() {
        return not_in_path(&ground, attempt.path.file_name().unwrap_or_default());
    }
    match inspect(&ground, attempt.path) {
        Err(obstacle) => obstacle,
        Ok(fit) => unexplained(&fit, errno, error),
    }
}

/// What the number alone tells; the file has nothing to add.
fn told_by_errno(attempt: &Attempt, errno: Errno) -> Option<Obstacle> {
    let text = match errno {
        Errno::TOOBIG => {
            let stack = rustix::process::getrlimit(rustix::process::Resource::Stack).current;
            let (arguments, environment) = (attempt.arguments, attempt.environment);
            arguments::too_long(arguments, environment, kernel::page_size(), stack)
        }
        Errno::TXTBSY => {
            let text = "it is open for writing by some process (ETXTBSY)";
            return Some(
                Obstacle::refused("command.busy", text)
                    .remedy("whoever writes it has to close it before the start"),
            );
        }
        Errno::NOMEM => "the kernel has no memory for it (ENOMEM); raise the container's memory \
                         limit"
            .to_owned(),
        Errno::AGAIN => "its user has as many processes as RLIMIT_NPROC allows (EAGAIN)".to_owned(),
        Errno::MFILE | Errno::NFILE => {
            "no more files can be opened (EMFILE, ENFILE); raise the limit of open files".to_owned()
        }
        _ => return None,
    };
    Some(Obstacle::refused("command.refused", text))
}

/// The file is fit as far as can be seen, and was refused all the same.
fn unexplained(fit: &Fit, errno: Option<Errno>, error: &io::Error) -> Obstacle {
    let chain = chain_shown(&fit.chain);
    let why = match errno {
        Some(Errno::ACCESS | Errno::PERM) => {
            format!("the kernel refuses it ({error}): a security module, or a file system's option")
        }
        Some(Errno::NOEXEC) if !fit.is_native => {
            format!("this kernel cannot run such programs, nor is an emulator registered ({chain})")
        }
        Some(Errno::NOENT) => format!("something that it needs is not there ({chain})"),
        _ => error.to_string(),
    };
    Obstacle::refused("command.refused", why)
}

/// A command and what becomes of it.
pub struct Assessment {
    /// What was named.
    pub name: String,
    /// Where it was found; `None` where it was not.
    pub path: Option<PathBuf>,
    /// What runs in the end, through interpreters: `/app/run -> /bin/sh`.
    pub chain: String,
    /// What stands in the way of execve.
    pub obstacle: Option<Obstacle>,
    /// What its dynamic loader would stop at: it ends with 127 then.
    pub unloadable: Vec<String>,
}

impl Assessment {
    /// The exit code of a start: 0, 126 or 127.
    pub fn code(&self) -> u8 {
        match &self.obstacle {
            Some(obstacle) => obstacle.code,
            None if self.unloadable.is_empty() => 0,
            None => NOT_FOUND,
        }
    }

    /// The same as a check of the report.
    pub fn check(&self) -> Check {
        let subject = self.name.clone();
        if let Some(obstacle) = &self.obstacle {
            let message = match &self.path {
                Some(path) => format!("{}: {}", path.display(), obstacle.why),
                None => obstacle.why.clone(),
            };
            let check = Check::new(obstacle.id, Status::Fail, subject, message);
            return match &obstacle.remedy {
                Some(remedy) => check.remedy(remedy.clone()),
                None => check,
            };
        }
        match self.unloadable.split_first() {
            None => Check::new(
                "command.missing",
                Status::Pass,
                subject,
                format!("would start: {}", self.chain),
            ),
            Some((first, rest)) => {
                let message = format!("{} cannot be loaded: {first}", self.chain);
                Check::new("command.closure", Status::Fail, subject, message)
                    .evidence(rest.to_vec())
            }
        }
    }
}

/// Looks at the program of this name, as this user would start it, and runs nothing.
pub fn assess(request: &Request, name: &OsStr, loader: Option<&Loader>) -> Assessment {
    let root = &request.root;
    let who = match &request.who {
        Some(who) => who.clone(),
        None if root.is_host() => Credentials::of_this_process(),
        // Who will be there is not known.
        None => Credentials::root(),
    };
    let ground = Ground {
        root,
        arch: loader.map(Loader::arch).or_else(|| Uname::of_this_process().arch()),
        who,
        search_path: request.surroundings.search_path(),
        folder: request.working_folder.as_deref(),
        refused: false,
    };
    let mut assessment = Assessment {
        name: name.to_string_lossy().into_owned(),
        path: None,
        chain: String::new(),
        obstacle: None,
        unloadable: Vec::new(),
    };
    let path = match find(&ground, name) {
        Ok(path) => path,
        Err(obstacle) => return Assessment { obstacle: Some(obstacle), ..assessment },
    };
    let fit = match inspect(&ground, &path) {
        Ok(fit) => fit,
        Err(obstacle) => {
            return Assessment { path: Some(path), obstacle: Some(obstacle), ..assessment };
        }
    };
    assessment.chain = chain_shown(&fit.chain);
    if let (Some(loader), Some(program)) = (loader.filter(|_| fit.is_native), fit.chain.last()) {
        let program = ground.absolute(program);
        let closure = loader.closure(&program, None);
        let fatal = closure.problems.iter().filter(|problem| problem.is_fatal());
        assessment.unloadable = fatal.take(MOST_EVIDENCE).map(ToString::to_string).collect();
    }
    Assessment { path: Some(path), ..assessment }
}

/// The preflight of a command, as a check.
pub fn check(request: &Request, command: &[OsString], loader: &Loader) -> Check {
    let name = command.first().map(OsString::as_os_str).unwrap_or_default();
    assess(request, name, Some(loader)).check()
}

/// Where the program of this name is, for those who look at a file after the fact.
pub fn locate(request: &Request, name: &OsStr) -> Option<PathBuf> {
    let ground = Ground {
        root: &request.root,
        arch: None,
        who: Credentials::of_this_process(),
        search_path: request.surroundings.search_path(),
        folder: request.working_folder.as_deref(),
        refused: false,
    };
    let path = find(&ground, name).ok()?;
    let fit = inspect(&ground, &path).ok()?;
    fit.chain.last().cloned().filter(|path| !path.as_os_str().as_bytes().is_empty())
}
