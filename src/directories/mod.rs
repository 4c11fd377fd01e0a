//! The directories a profile names: created, given their mode and owner, proven usable, before
//! the workload starts. Called by `init/` at step 4 of a start, once for each directory.
//!
//! Only the named directory and the parents missing above it are ever touched, never what is in
//! them. Every step works on open descriptors (`walk`), so that swapping a part of the path in
//! between leads nowhere else. No system call newer than Linux 3.11 is needed, which keeps it
//! working under qemu-user, and no user needs an entry in /etc/passwd.
//!
//! What is proven holds for the user that calls. A caller that starts the workload as another
//! user calls [`make`] with its own rights and [`prove`] with that user's.

mod error;
mod proof;
mod walk;

use std::path::PathBuf;

use rustix::fs::{AtFlags, Mode, Stat};
use rustix::process::{Gid, Uid};

pub use error::{DirectoryError, Distrust, Problem, Standing};

/// The mode of what is created and has none named, and of parents always.
const DEFAULT_MODE: u32 = 0o755;
/// The bits chmod(2) takes.
const MODE_BITS: u32 = 0o7777;
/// Volumes with an fsGroup rely on it: what is created inside belongs to the group.
const SET_GID: u32 = 0o2000;

/// A directory that a profile names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// The environment variable that names it, for messages; may be empty.
    pub variable: String,
    /// Absolute, without `..`.
    pub path: PathBuf,
    /// Permission bits (0 to 0o7777). `None`: 0755 if it is created, otherwise as it is.
    pub mode: Option<u32>,
    /// Whom it shall belong to. `None`: whom it belongs to.
    pub owner: Option<Owner>,
    /// Whom it shall belong to if it is created and `owner` is `None`: who will use it.
    pub user: Option<Owner>,
    /// What the workload does with it.
    pub access: Access,
}

/// Whom a directory shall belong to; `None` leaves that half as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// User.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
}

/// What the workload does with a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Files are created in it: proven by doing so.
    ReadWrite,
    /// It is only read (a configuration mounted `:ro`): it is created if it is missing, otherwise
    /// left as it is and proven readable.
    ReadOnly,
}

/// A directory that is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// Whether it was missing.
    pub created: bool,
    /// What the profile asks for and this process may not set (mode, owner), one sentence each.
    /// The directory is usable all the same.
    pub notes: Vec<String>,
}

/// Makes `directory` exist and proves that the calling user can use it as declared.
///
/// Mode and owner are set on what is created, whatever the umask; on a directory that exists
/// they are set if the profile names them, it is not read-only and they differ.
///
/// # Errors
/// One [`DirectoryError`], whose text is one line that says what is in the way and what helps.
pub fn prepare(directory: &Directory) -> Result<Prepared, DirectoryError> {
    make_unnamed(directory)
        .and_then(|(leaf, prepared)| use_it(directory, &leaf).map(|()| prepared))
        .map_err(|problem| named(directory, problem))
}

/// The first half of [`prepare`], for a caller that then proves as another user: root's own use of
/// the directory is no question then, and may even be refused (NFS with root_squash).
///
/// # Errors
/// As [`prepare`].
pub fn make(directory: &Directory) -> Result<Prepared, DirectoryError> {
    let made = make_unnamed(directory).map(|(_, prepared)| prepared);
    made.map_err(|problem| named(directory, problem))
}

/// The second half of [`prepare`]: proves that the calling user can use the directory.
///
/// # Errors
/// As [`prepare`].
pub fn prove(directory: &Directory) -> Result<(), DirectoryError> {
    let proven = walk::open_or_create(&directory.path).and_then(|leaf| use_it(directory, &leaf));
    proven.map_err(|problem| named(directory, problem))
}

fn make_unnamed(directory: &Directory) -> Result<(walk::Opened, Prepared), Problem> {
    check(directory)?;
    let leaf = walk::open_or_create(&directory.path)?;
    let mut notes = Vec::new();
    if leaf.created || directory.access == Access::ReadWrite {
        let stat = rustix::fs::fstat(&leaf.fd).map_err(|errno| leaf.problem("look at", errno))?;
        set_mode(&leaf, &stat, directory.mode, &mut notes);
        if let Some(owner) = directory.owner.or_else(|| first_owner(directory, &leaf, &stat)) {
            set_owner(&leaf, &stat, owner, &mut notes);
        }
    }
    let created = leaf.created;
    Ok((leaf, Prepared { created, notes }))
}

fn use_it(directory: &Directory, leaf: &walk::Opened) -> Result<(), Problem> {
    match directory.access {
        Access::ReadWrite => proof::writable(leaf),
        Access::ReadOnly => proof::readable(leaf),
    }
}

fn named(directory: &Directory, problem: Problem) -> DirectoryError {
    DirectoryError { variable: directory.variable.clone(), path: directory.path.clone(), problem }
}

/// Whether mode and owner are ones that the kernel takes.
fn check(directory: &Directory) -> Result<(), Problem> {
    if let Some(mode) = directory.mode.filter(|mode| mode & !MODE_BITS != 0) {
        return Err(Problem::NoSuchMode(mode));
    }
    // chown(2) takes the largest number as "leave it".
    let taken = Some(u32::MAX);
    match directory.owner {
        Some(owner) if owner.uid == taken || owner.gid == taken => Err(Problem::NoSuchOwner),
        _ => Ok(()),
    }
}

fn set_mode(leaf: &walk::Opened, stat: &Stat, mode: Option<u32>, notes: &mut Vec<String>) {
    let Some(mode) = mode.or_else(|| leaf.created.then_some(DEFAULT_MODE)) else { return };
    let now = stat.st_mode & MODE_BITS;
    let wanted = mode | now & SET_GID;
    if now == wanted {
        return;
    }
    // A descriptor opened with O_PATH takes no fchmod; `.` in it is the same directory.
    let set = rustix::fs::chmodat(&leaf.fd, ".", Mode::from_raw_mode(wanted), AtFlags::empty());
    if let Err(errno) = set {
        notes.push(format!(
            "{} keeps its mode {now:04o}, setting {wanted:04o} failed: {}",
            error::shown(&leaf.at),
            error::reason(errno)
        ));
    }
}

/// Whom a directory that was created belongs to where nobody is named. Where the directory above
/// hands its group on (fsGroup), that group stays.
fn first_owner(directory: &Directory, leaf: &walk::Opened, stat: &Stat) -> Option<Owner> {
    let user = directory.user.filter(|_| leaf.created)?;
    let handed_on = stat.st_mode & SET_GID != 0;
    Some(Owner { uid: user.uid, gid: user.gid.filter(|_| !handed_on) })
}

/// `owner` has passed [`check`].
fn set_owner(leaf: &walk::Opened, stat: &Stat, owner: Owner, notes: &mut Vec<String>) {
    let uid = owner.uid.filter(|uid| *uid != stat.st_uid).map(Uid::from_raw);
    let gid = owner.gid.filter(|gid| *gid != stat.st_gid).map(Gid::from_raw);
    if uid.is_none() && gid.is_none() {
        return;
    }
    if let Err(errno) = rustix::fs::chownat(&leaf.fd, "", uid, gid, AtFlags::EMPTY_PATH) {
        notes.push(format!(
            "{} keeps its owner {}:{}, setting {}:{} failed: {}",
            error::shown(&leaf.at),
            stat.st_uid,
            stat.st_gid,
            uid.map_or(stat.st_uid, Uid::as_raw),
            gid.map_or(stat.st_gid, Gid::as_raw),
            error::reason(errno)
        ));
    }
}

#[cfg(test)]
mod tests;
