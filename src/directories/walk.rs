//! From `/` to a directory, one name at a time, on open descriptors, creating what is missing.
//!
//! Each name is opened with O_PATH and O_NOFOLLOW in the directory before it, and what was opened
//! is looked at through its own descriptor. So there is no moment between looking and using in
//! which somebody could put something else there. openat2(2) would do this in one call, but
//! qemu-user and kernels before 5.6 lack it.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, fstat, mkdirat, openat, readlinkat};
use rustix::io::Errno;
use rustix::process::{getegid, geteuid};

use super::error::{Distrust, Problem, Standing};
use super::{DEFAULT_MODE, SET_GID};

/// As many symbolic links as the kernel follows in one path (`man 7 path_resolution`).
const MOST_LINKS: usize = 40;
/// PATH_MAX of `linux/limits.h`, its NUL included: the workload could not use a longer path.
const MOST_PATH_BYTES: usize = 4096;
/// Somebody who creates and removes the same name as fast as we do is given up on.
const MOST_TRIES: usize = 8;

const LOOK: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A directory held open.
pub(super) struct Opened {
    /// Opened with O_PATH.
    pub fd: OwnedFd,
    /// Its path with every link resolved.
    pub at: PathBuf,
    /// Whether it was created here and is ours.
    pub created: bool,
}

impl Opened {
    /// What an error of the kernel means for `doing` something in this directory.
    pub fn problem(&self, doing: &'static str, errno: Errno) -> Problem {
        let standing = fstat(&self.fd).ok().map(|stat| Standing::of(&stat));
        Problem::of_errno(doing, &self.at, standing, errno)
    }
}

/// Opens the directory `path`, following only links that nobody else can have planted, and
/// creates what is missing.
pub(super) fn open_or_create(path: &Path) -> Result<Opened, Problem> {
    let mut rest = names_of(path)?;
    rest.reverse();
    let mut walked = vec![root()?];
    let mut links = 0;
    while let Some(name) = rest.pop() {
        if name == ".." {
            // Only links bring these. Back where we came from, wherever it has been moved to.
            if walked.len() > 1 {
                walked.pop();
            }
            continue;
        }
        let Some(here) = walked.last() else { break };
        match step(here, &name)? {
            Step::Directory(next) => walked.push(next),
            Step::Link(target) => {
                links += 1;
                if links > MOST_LINKS {
                    return Err(Problem::TooManyLinks { at: here.at.join(&name) });
                }
                if target.is_absolute() {
                    walked.truncate(1);
                }
                rest.extend(link_names(&target).into_iter().rev());
            }
        }
    }
    // The list is never empty: it begins with the root, which is never taken from it.
    walked.pop().ok_or(Problem::RootItself)
}

/// The names in a path that a profile may give.
fn names_of(path: &Path) -> Result<Vec<OsString>, Problem> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.is_empty() {
        return Err(Problem::Empty);
    }
    if bytes.contains(&0) {
        return Err(Problem::NulByte);
    }
    if !path.is_absolute() {
        return Err(Problem::Relative);
    }
    if bytes.len() >= MOST_PATH_BYTES {
        return Err(Problem::NameTooLong);
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(Problem::ParentDir);
    }
    let names = link_names(path);
    if names.is_empty() { Err(Problem::RootItself) } else { Ok(names) }
}

/// The names in a path, `..` kept, `/` and `.` left out.
fn link_names(path: &Path) -> Vec<OsString> {
    path.components()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| part.as_os_str().to_owned())
        .collect()
}

fn root() -> Result<Opened, Problem> {
    let at = PathBuf::from("/");
    match openat(CWD, "/", LOOK | OFlags::DIRECTORY, Mode::empty()) {
        Ok(fd) => Ok(Opened { fd, at, created: false }),
        Err(errno) => Err(Problem::of_errno("open", &at, None, errno)),
    }
}

enum Step {
    Directory(Opened),
    Link(PathBuf),
}

/// What `name` in the directory `here` is; created if nothing is there.
fn step(here: &Opened, name: &OsStr) -> Result<Step, Problem> {
    for _ in 0..MOST_TRIES {
        let fd = match openat(&here.fd, name, LOOK, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => match mkdirat(&here.fd, name, Mode::RWXU) {
                Ok(()) => return created(here, name).map(Step::Directory),
                Err(Errno::EXIST) => continue,
                Err(errno) => return Err(here.problem("create a directory in", errno)),
            },
            Err(errno) => return Err(here.problem("open a name in", errno)),
        };
        let at = here.at.join(name);
        let stat = fstat(&fd).map_err(|errno| here.problem("look at a name in", errno))?;
        return match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Ok(Step::Directory(Opened { fd, at, created: false })),
            FileType::Symlink => trusted_target(here, &fd, &stat, at).map(Step::Link),
            other => Err(Problem::InTheWay { at, kind: kind(other) }),
        };
    }
    Err(here.problem("create a directory in", Errno::EXIST))
}

/// Opens the directory that was just created here. If it is not ours, it is either not ours to
/// change (a file system that maps owners) or was put there in the meantime: then it is treated
/// as one that existed. The others get their mode here, since mkdir(2) subtracts the umask.
fn created(here: &Opened, name: &OsStr) -> Result<Opened, Problem> {
    let failed = |errno| here.problem("open the directory just created in", errno);
    let fd = openat(&here.fd, name, LOOK | OFlags::DIRECTORY, Mode::empty()).map_err(failed)?;
    let stat = fstat(&fd).map_err(failed)?;
    let ours = stat.st_uid == geteuid().as_raw();
    if ours {
        let mode = Mode::from_raw_mode(DEFAULT_MODE | stat.st_mode & SET_GID);
        // Where a file system has no modes (vfat), the proof at the end of the way decides.
        let _ = rustix::fs::chmodat(&fd, ".", mode, AtFlags::empty());
    }
    Ok(Opened { fd, at: here.at.join(name), created: ours })
}

/// Where a link leads, if nobody but root and ourselves can have put it there.
fn trusted_target(
    here: &Opened,
    link: &OwnedFd,
    stat: &Stat,
    at: PathBuf,
) -> Result<PathBuf, Problem> {
    let folder = fstat(&here.fd).map_err(|errno| here.problem("look at", errno))?;
    let (euid, egid) = (geteuid().as_raw(), getegid().as_raw());
    if let Some(why) = distrust(stat.st_uid, &Standing::of(&folder), euid, egid) {
        return Err(Problem::Planted { link: at, owner: stat.st_uid, why });
    }
    let target = readlinkat(link, "", Vec::new())
        .map_err(|errno| here.problem("read a symbolic link in", errno))?;
    Ok(PathBuf::from(OsString::from_vec(target.into_bytes())))
}

/// Why a link of `link_owner` in a directory cannot be followed; `None` if it can.
///
/// The idea is the kernel's protected_symlinks (`man 5 proc`), without its condition that the
/// directory be sticky: who can write to a directory that is not can move somebody else's link
/// there, so an owner beyond doubt is not enough.
fn distrust(link_owner: u32, folder: &Standing, euid: u32, egid: u32) -> Option<Distrust> {
    let trusted = |uid: u32| uid == 0 || uid == euid;
    if !trusted(link_owner) {
        return Some(Distrust::LinkOwner);
    }
    if !trusted(folder.uid) {
        return Some(Distrust::DirectoryOwner { uid: folder.uid });
    }
    let sticky = folder.mode & 0o1000 != 0;
    let foreign_group = folder.gid != 0 && folder.gid != egid;
    let by_others = folder.mode & 0o002 != 0 || (folder.mode & 0o020 != 0 && foreign_group);
    (by_others && !sticky).then_some(Distrust::DirectoryWritable { mode: folder.mode })
}

fn kind(file_type: FileType) -> &'static str {
    match file_type {
        FileType::RegularFile => "a regular file",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "something that is no directory",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn folder(uid: u32, gid: u32, mode: u32) -> Standing {
        Standing { uid, gid, mode }
    }

    #[test]
    fn a_link_is_trusted_by_its_owner_and_by_who_may_write_around_it() {
        let planted = Some(Distrust::LinkOwner);
        let writable = |mode| Some(Distrust::DirectoryWritable { mode });
        let theirs = Some(Distrust::DirectoryOwner { uid: 7 });
        for (link_owner, folder, expected) in [
            (0, folder(0, 0, 0o755), None),
            (1000, folder(0, 0, 0o755), None),
            (1000, folder(1000, 1000, 0o775), None),
            (0, folder(0, 0, 0o1777), None),
            (0, folder(0, 0, 0o775), None),
            (7, folder(0, 0, 0o1777), planted),
            (7, folder(0, 0, 0o755), planted),
            (0, folder(7, 0, 0o755), theirs),
            (0, folder(0, 0, 0o777), writable(0o777)),
            (1000, folder(1000, 50, 0o775), writable(0o775)),
        ] {
            assert_eq!(distrust(link_owner, &folder, 1000, 1000), expected);
        }
    }

    #[test]
    fn a_path_that_is_no_place_is_refused_before_anything_is_opened() {
        let problem = |path: &str| names_of(Path::new(path)).unwrap_err();
        assert!(matches!(problem(""), Problem::Empty));
        assert!(matches!(problem("data"), Problem::Relative));
        assert!(matches!(problem("./data"), Problem::Relative));
        assert!(matches!(problem("/app/../etc"), Problem::ParentDir));
        assert!(matches!(problem("/app/data\0x"), Problem::NulByte));
        assert!(matches!(problem("//./"), Problem::RootItself));
        assert!(matches!(problem(&"/a".repeat(2048)), Problem::NameTooLong));
        assert_eq!(names_of(Path::new("//app/./data/")).unwrap(), ["app", "data"]);
    }

    proptest! {
        #[test]
        fn names_never_climb_and_never_hold_a_slash(path in "[/.a\\x00]{0,20}") {
            if let Ok(names) = names_of(Path::new(&path)) {
                prop_assert!(!names.is_empty());
                for name in names {
                    prop_assert!(name != ".." && name != "." && !name.is_empty());
                    prop_assert!(!name.as_bytes().contains(&b'/'));
                }
            }
        }
    }
}
