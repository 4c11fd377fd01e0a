//! The locks of package managers: is one held, and by whom? dpkg, apt, rpm and apk lock their
//! files (fcntl or flock), dnf and zypper write their process's number into a file, pacman's file
//! is itself the lock. `install` waits here before each command, so that a person reads who is in
//! the way instead of an error, and so that the deadline is one for all managers.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::interrupt::Interrupts;
use super::manager::Manager;

/// Between two looks at a lock.
const PAUSE: Duration = Duration::from_millis(100);
/// More than a line of a command is not shown.
const LONGEST_COMMAND: usize = 80;

/// A lock that somebody has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The lock's file.
    pub path: PathBuf,
    /// Who has it; `None` where no process can be found.
    pub holder: Option<Holder>,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its number.
    pub pid: i32,
    /// Its command line; empty where it cannot be read.
    pub command: String,
}

impl fmt::Display for Held {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.holder {
            Some(Holder { pid, command }) if command.is_empty() => {
                write!(out, "{path} is held by process {pid}")
            }
            Some(Holder { pid, command }) => {
                write!(out, "{path} is held by process {pid} ({command})")
            }
            None => write!(out, "{path} is held, and no process is to be seen that has it"),
        }
    }
}

/// How waiting ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waited {
    /// Nobody has it.
    Free,
    /// Somebody still has it.
    Held(Held),
    /// The person has had enough.
    Interrupted,
}

/// Waits until no lock of the manager is held. `tell` hears of each new holder once.
pub fn wait(
    manager: Manager,
    limit: Duration,
    interrupts: &Interrupts,
    mut tell: impl FnMut(&Held),
) -> Waited {
    let end = Instant::now() + limit;
    let mut told: Option<Held> = None;
    loop {
        let Some(held) = held(manager) else { return Waited::Free };
        if Instant::now() >= end {
            return Waited::Held(held);
        }
        if told.as_ref() != Some(&held) {
            tell(&held);
            told = Some(held);
        }
        if interrupts.asked() {
            return Waited::Interrupted;
        }
        std::thread::sleep(PAUSE.min(end.saturating_duration_since(Instant::now())));
    }
}

/// The first lock of the manager that is held.
pub fn held(manager: Manager) -> Option<Held> {
    manager.locks().iter().find_map(|path| look(manager, Path::new(path)))
}

fn look(manager: Manager, path: &Path) -> Option<Held> {
    let file = match File::open(path) {
        Ok(file) => file,
        // pacman's has no rights for others, and is a lock by being there.
        Err(_) if manager == Manager::Pacman && path.exists() => {
            return Some(Held { path: path.to_owned(), holder: None });
        }
        Err(_) => return None,
    };
    let found = |pid: i32| Holder { pid, command: command_of(pid) };
    if let Some(pid) = fcntl_holder(&file) {
        return Some(Held {
            path: path.to_owned(),
            holder: Some(found(pid)).filter(|h| h.pid > 0),
        });
    }
    if let Some(pid) = listed_holder(&file, path) {
        return Some(Held { path: path.to_owned(), holder: Some(found(pid)) });
    }
    if manager == Manager::Pacman {
        return Some(Held { path: path.to_owned(), holder: opener(path).map(found) });
    }
    written_holder(path).map(|pid| Held { path: path.to_owned(), holder: Some(found(pid)) })
}

/// Who keeps others from writing, by fcntl(2) F_GETLK: 0 where it is in another PID namespace.
fn fcntl_holder(file: &File) -> Option<i32> {
    // nix's flock structure has no constructor: every field is named for all systems by libc.
    let mut lock = empty_lock();
    lock.l_type = libc::F_WRLCK as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    nix::fcntl::fcntl(file, nix::fcntl::FcntlArg::F_GETLK(&mut lock)).ok()?;
    (lock.l_type != libc::F_UNLCK as libc::c_short).then_some(lock.l_pid)
}

fn empty_lock() -> libc::flock {
    libc::flock { l_type: 0, l_whence: 0, l_start: 0, l_len: 0, l_pid: 0 }
}

/// Who has a lock of any kind on this file, by /proc/locks: `1: FLOCK ADVISORY WRITE 12 08:01:34 0
/// EOF` (`man 5 proc`). The device there is not always the one that stat tells (overlays), so that
/// the process has to have the file open where devices differ.
fn listed_holder(file: &File, path: &Path) -> Option<i32> {
    use std::os::unix::fs::MetadataExt;
    let meta = file.metadata().ok()?;
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    // 64 bits here, 32 on a Mac, which has no /proc/locks.
    let number = meta.dev() as rustix::fs::Dev;
    let device = format!("{:02x}:{:02x}", rustix::fs::major(number), rustix::fs::minor(number));
    for line in locks.lines().filter(|line| !line.contains("->")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, _, _, kind, pid, place, ..] = words.as_slice() else { continue };
        let Some((lock_device, inode)) = place.rsplit_once(':') else { continue };
        if *kind != "WRITE" || inode.parse() != Ok(meta.ino()) {
            continue;
        }
        let pid: i32 = pid.parse().unwrap_or(0);
        if pid > 0
            && pid != std::process::id().cast_signed()
            && (lock_device == device || has_open(pid, path))
        {
            return Some(pid);
        }
    }
    None
}

/// A process whose number stands in the file and which is alive.
fn written_holder(path: &Path) -> Option<i32> {
    let named = path.extension().is_some_and(|extension| extension == "pid");
    let bytes = named.then(|| crate::platform::read_regular(path, 64).ok()).flatten()?;
    let pid: i32 = String::from_utf8_lossy(&bytes).trim().parse().ok().filter(|pid| *pid > 1)?;
    let pid_now = nix::unistd::Pid::from_raw(pid);
    let alive = match nix::sys::signal::kill(pid_now, None) {
        Ok(()) => true,
        Err(error) => error == nix::errno::Errno::EPERM,
    };
    // A number may belong to somebody else by now.
    let command = command_of(pid);
    let fits = ["dnf", "yum", "zypp", "packagekit", "rpm", "python"];
    (alive && (command.is_empty() || fits.iter().any(|word| command.to_lowercase().contains(word))))
        .then_some(pid)
}

/// A process that has the file open.
fn opener(path: &Path) -> Option<i32> {
    let entries = std::fs::read_dir("/proc").ok()?;
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != std::process::id().cast_signed())
        .find(|pid| has_open(*pid, path))
}

/// By device and inode: in another root the same path is another file.
fn has_open(pid: i32, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |path: &Path| {
        let meta = std::fs::metadata(path).ok()?;
        Some((meta.dev(), meta.ino()))
    };
    let Some(wanted) = identity(path) else { return false };
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    entries.filter_map(Result::ok).any(|entry| identity(&entry.path()) == Some(wanted))
}

fn command_of(pid: i32) -> String {
    let read = |name: &str| {
        crate::platform::read_regular(Path::new(&format!("/proc/{pid}/{name}")), 64 * 1024)
            .unwrap_or_default()
    };
    let mut bytes = read("cmdline");
    if bytes.is_empty() {
        bytes = read("comm");
    }
    let text = String::from_utf8_lossy(&bytes).replace('\0', " ");
    let plain: String = text.trim().chars().filter(|c| !c.is_control()).collect();
    plain.chars().take(LONGEST_COMMAND).collect()
}
