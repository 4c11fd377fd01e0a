//! Why a directory cannot be used, in one line for the person at the terminal.

use std::fmt::{self, Formatter};
use std::path::{Path, PathBuf};

use rustix::fs::Stat;
use rustix::io::Errno;
use rustix::process::{getegid, geteuid};

use super::MODE_BITS;

/// A directory of the profile that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryError {
    /// The environment variable that names it; may be empty.
    pub variable: String,
    /// The directory as it was named.
    pub path: PathBuf,
    /// What is in the way.
    pub problem: Problem,
}

/// What is in the way of a directory. `at` is where, with every link resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The path is empty.
    Empty,
    /// The path does not begin with `/`.
    Relative,
    /// The path has a part `..`.
    ParentDir,
    /// The path holds a NUL byte.
    NulByte,
    /// The path is `/`.
    RootItself,
    /// The path, or a part of it, is longer than the kernel takes.
    NameTooLong,
    /// The mode has other bits than chmod(2) knows.
    NoSuchMode(u32),
    /// The owner is the number that means "leave it".
    NoSuchOwner,
    /// A symbolic link on the way that somebody else can have planted.
    Planted {
        /// The link.
        link: PathBuf,
        /// Whose it is.
        owner: u32,
        /// What speaks against it.
        why: Distrust,
    },
    /// Links lead to links without end.
    TooManyLinks {
        /// The link where the kernel, too, would give up.
        at: PathBuf,
    },
    /// Something that is no directory has the name of one.
    InTheWay {
        /// Its path.
        at: PathBuf,
        /// What it is, as in "a regular file".
        kind: &'static str,
    },
    /// The file system is mounted read-only.
    ReadOnly {
        /// What was tried, as in "create a directory in".
        doing: &'static str,
        /// In this directory.
        at: PathBuf,
    },
    /// A right is missing.
    Denied {
        /// What was tried.
        doing: &'static str,
        /// In this directory.
        at: PathBuf,
        /// How the directory stands, if it can be seen.
        standing: Option<Standing>,
        /// Effective user of this process.
        euid: u32,
        /// Effective group of this process.
        egid: u32,
    },
    /// No space, no inode or no quota is left.
    Full {
        /// In this directory.
        at: PathBuf,
        /// ENOSPC or EDQUOT in words.
        reason: String,
    },
    /// Anything else that the kernel says.
    Other {
        /// What was tried.
        doing: &'static str,
        /// In this directory.
        at: PathBuf,
        /// The kernel's words.
        reason: String,
    },
}

/// What speaks against a symbolic link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distrust {
    /// It is neither root's nor ours.
    LinkOwner,
    /// The directory it stands in is neither root's nor ours.
    DirectoryOwner {
        /// Whose it is.
        uid: u32,
    },
    /// Others can write to the directory it stands in, and it is not sticky.
    DirectoryWritable {
        /// The directory's mode.
        mode: u32,
    },
}

/// Owner and permissions of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
}

impl Standing {
    pub(super) fn of(stat: &Stat) -> Standing {
        Standing { uid: stat.st_uid, gid: stat.st_gid, mode: stat.st_mode & MODE_BITS }
    }
}

impl Problem {
    /// What the kernel's answer to `doing` something in the directory `at` means.
    pub(super) fn of_errno(
        doing: &'static str,
        at: &Path,
        standing: Option<Standing>,
        errno: Errno,
    ) -> Problem {
        let at = at.to_owned();
        match errno {
            Errno::ROFS => Problem::ReadOnly { doing, at },
            Errno::ACCESS | Errno::PERM => Problem::Denied {
                doing,
                at,
                standing,
                euid: geteuid().as_raw(),
                egid: getegid().as_raw(),
            },
            Errno::NOSPC | Errno::DQUOT => Problem::Full { at, reason: reason(errno) },
            Errno::LOOP => Problem::TooManyLinks { at },
            Errno::NAMETOOLONG => Problem::NameTooLong,
            _ => Problem::Other { doing, at, reason: reason(errno) },
        }
    }
}

impl std::error::Error for DirectoryError {}

impl fmt::Display for DirectoryError {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "cannot use the directory \"{}\"", shown(&self.path))?;
        if !self.variable.is_empty() {
            write!(out, " ({})", self.variable)?;
        }
        write!(out, ": {}", self.problem)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Empty => out.write_str("the path is empty; give an absolute path"),
            Problem::Relative => out.write_str("the path is relative; give one that begins with /"),
            Problem::ParentDir => {
                out.write_str("the path has a part `..`; write out where it leads")
            }
            Problem::NulByte => out.write_str("the path holds a NUL byte"),
            Problem::RootItself => {
                out.write_str("the path is the root directory; give a directory in it")
            }
            Problem::NameTooLong => {
                out.write_str("the path is too long (a name has at most 255 bytes, a path 4095)")
            }
            Problem::NoSuchMode(mode) => {
                write!(out, "{mode:#o} is no mode; give 0 to 0o7777")
            }
            Problem::NoSuchOwner => {
                write!(out, "{} is no user or group; give a smaller number", u32::MAX)
            }
            Problem::Planted { link, owner, why } => {
                write!(out, "the symbolic link {} belongs to uid {owner}", shown(link))?;
                planted(*why, out)?;
                out.write_str(
                    ", so somebody else may have put it there; name the real directory, or let \
                     root own the link and the directory it is in",
                )
            }
            Problem::TooManyLinks { at } => {
                write!(out, "the symbolic links at {} lead in a circle", shown(at))
            }
            Problem::InTheWay { at, kind } => write!(
                out,
                "{} is {kind}, not a directory; move it away or name another directory",
                shown(at)
            ),
            Problem::ReadOnly { doing, at } => write!(
                out,
                "cannot {doing} {}: its file system is read-only; mount a volume there, run \
                 without --read-only, or declare the directory read-only",
                shown(at)
            ),
            Problem::Denied { doing, at, standing, euid, egid } => {
                denied(doing, at, *standing, (*euid, *egid), out)
            }
            Problem::Full { at, reason } => write!(
                out,
                "cannot create anything in {}: {reason}; free space or inodes there",
                shown(at)
            ),
            Problem::Other { doing, at, reason } => {
                write!(out, "cannot {doing} {}: {reason}", shown(at))
            }
        }
    }
}

fn planted(why: Distrust, out: &mut Formatter<'_>) -> fmt::Result {
    match why {
        Distrust::LinkOwner => out.write_str(", which is neither root nor this process's user"),
        Distrust::DirectoryOwner { uid } => {
            write!(out, " and stands in a directory of uid {uid}")
        }
        Distrust::DirectoryWritable { mode } => {
            write!(out, " and stands in a directory that others can write to (mode {mode:04o})")
        }
    }
}

fn denied(
    doing: &str,
    at: &Path,
    standing: Option<Standing>,
    (euid, egid): (u32, u32),
    out: &mut Formatter<'_>,
) -> fmt::Result {
    let at = shown(at);
    let adjective = match doing {
        "read" => "not readable",
        "write to" | "create a directory in" => "not writable",
        _ => "not accessible",
    };
    write!(out, "{adjective}: cannot {doing} {at}")?;
    if let Some(Standing { uid, gid, mode }) = standing {
        write!(out, ", which belongs to {uid}:{gid} with mode {mode:04o}")?;
    }
    write!(out, "; this process is {euid}:{egid}")?;
    if euid == 0 {
        out.write_str(" without the right to override modes (CAP_DAC_OVERRIDE)")?;
    }
    if standing.is_some_and(|standing| standing.uid == euid && euid != 0) {
        return out.write_str("; `chmod u+rwx` it on the host");
    }
    write!(out, "; `chown {euid}:{egid}` it on the host")?;
    if let Some(Standing { uid, gid, .. }) = standing {
        write!(out, ", or run with `docker run --user {uid}:{gid}`")?;
    }
    let group = if egid == 0 { standing.map_or(egid, |standing| standing.gid) } else { egid };
    write!(out, ", or in Kubernetes set securityContext.fsGroup: {group}")
}

/// A path in a message: on one line and without control characters, whatever is in it.
pub(super) fn shown(path: &Path) -> String {
    let mut out = String::new();
    for character in path.to_string_lossy().chars() {
        if character.is_control() {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

/// The kernel's words without the number that std adds.
pub(super) fn reason(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}
