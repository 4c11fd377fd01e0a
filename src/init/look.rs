//! Looking, for health, at what only the workload's own user reaches: programs, files, sockets in
//! the file system. It runs in a child made for one look (`inquiry`), which may hang without harm
//! to anybody else.

#![allow(unsafe_code, reason = "fork, kill of a group, sigtimedwait")]

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use nix::unistd::{ForkResult, Pid as NixPid, dup2_stderr, dup2_stdin, dup2_stdout, fork, setpgid};
use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustix::process::{WaitOptions, WaitStatus, waitpid};

use super::clock::Moment;
use super::mask::Inherited;
use super::pid::Pid;
use super::spawn::{Program, become_program, exit_now};
use crate::config::check::Subject;

/// Looks at a subject that needs PID 1; `program` makes the program of an exec check.
pub fn look(
    subject: &Subject,
    timeout: Duration,
    inherited: &Inherited,
    program: &dyn Fn(&[String]) -> Option<Program>,
) -> Result<(), String> {
    match subject {
        Subject::File { path, younger_than } => file(path, *younger_than),
        Subject::Disk { path, free } => disk(path, *free),
        Subject::Unix(path) => unix(path),
        Subject::Exec(words) => match program(words) {
            Some(program) => execute(&program, timeout, inherited),
            None => Err("the command cannot be made a program".to_owned()),
        },
        _ => Err("cannot be looked at by PID 1".to_owned()),
    }
}

/// The words of the kernel's error; no path, since what is found is shown to whoever asks.
fn why(error: impl Into<io::Error>) -> String {
    let error: io::Error = error.into();
    match error.kind() {
        io::ErrorKind::NotFound => "not there".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::WouldBlock => "its queue of connections is full".to_owned(),
        _ => error.to_string(),
    }
}

fn file(path: &Path, younger_than: Option<Duration>) -> Result<(), String> {
    let changed = std::fs::metadata(path).and_then(|data| data.modified()).map_err(why)?;
    // A time in the future is no age at all.
    let age = SystemTime::now().duration_since(changed).unwrap_or_default();
    match younger_than {
        Some(limit) if age > limit => Err(format!("last changed {} s ago", age.as_secs())),
        _ => Ok(()),
    }
}

fn disk(path: &Path, wanted: u64) -> Result<(), String> {
    let found = rustix::fs::statvfs(path).map_err(why)?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    if free >= wanted { Ok(()) } else { Err(format!("{} MiB are free", free >> 20)) }
}

fn unix(path: &Path) -> Result<(), String> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).map_err(why)?;
    let address = SocketAddrUnix::new(path).map_err(why)?;
    connect(&socket, &address).map_err(why)
}

/// Runs the program in a group of its own, with nothing to read and nobody who reads what it
/// says; what is left of the group at the deadline, or behind it, is killed.
fn execute(program: &Program, timeout: Duration, inherited: &Inherited) -> Result<(), String> {
    let deadline = Moment::now().after(timeout);
    // SAFETY: this process has one thread, so that the child may do whatever we may.
    let child = match unsafe { fork() } {
        Err(errno) => return Err(format!("no process can be made for it: {}", why(errno))),
        Ok(ForkResult::Child) => {
            let _ = setpgid(NixPid::from_raw(0), NixPid::from_raw(0));
            silence();
            exit_now(become_program(program, inherited))
        }
        Ok(ForkResult::Parent { child }) => child,
    };
    let _ = setpgid(child, child);
    let Some(child) = Pid::new(child.as_raw()) else {
        return Err("fork gave no process id".to_owned());
    };
    let ended = wait(child, deadline);
    // SAFETY: kill(2) takes two numbers; the group is the child's, and `Pid` excludes 0 and 1.
    unsafe { libc::kill(-child.raw(), libc::SIGKILL) };
    match ended {
        None => Err(format!("it did not end within {} s", timeout.as_secs_f64())),
        Some(status) => match (status.exit_status(), status.terminating_signal()) {
            (Some(0), _) => Ok(()),
            (Some(code), _) => Err(format!("exit code {code}")),
            (_, Some(signal)) => Err(format!("ended by signal {signal}")),
            _ => Err("it ended in no known way".to_owned()),
        },
    }
}

fn silence() {
    let Ok(null) = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
    else {
        return;
    };
    let _ = (dup2_stdin(&null), dup2_stdout(&null), dup2_stderr(&null));
}

/// Waits for the child's end; `None` where the deadline came first.
fn wait(child: Pid, deadline: Moment) -> Option<WaitStatus> {
    loop {
        match waitpid(rustix::process::Pid::from_raw(child.raw()), WaitOptions::NOHANG) {
            Ok(Some((_, status))) => return Some(status),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
        let now = Moment::now();
        if now >= deadline {
            return None;
        }
        let left = deadline.wait_from(now);
        let left = libc::timespec { tv_sec: left.tv_sec as _, tv_nsec: left.tv_nsec as _ };
        // SAFETY: a set made by sigemptyset and sigaddset, a null siginfo, a live timespec. CHLD
        // is blocked (`inquiry`), so that one that came before is not lost.
        unsafe {
            let mut chld: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut chld);
            libc::sigaddset(&raw mut chld, libc::SIGCHLD);
            libc::sigtimedwait(&raw const chld, std::ptr::null_mut(), &raw const left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn files_disks_and_sockets_are_as_they_are() {
        let folder = std::env::temp_dir().join(format!("mak-look-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("beat");
        assert_eq!(file(&path, None), Err("not there".to_owned()));
        std::fs::write(&path, "x").unwrap();
        assert_eq!(file(&path, Some(Duration::from_secs(3600))), Ok(()));
        let old = SystemTime::now() - Duration::from_secs(7200);
        std::fs::File::open(&path).unwrap().set_modified(old).unwrap();
        let found = file(&path, Some(Duration::from_secs(3600))).unwrap_err();
        assert!(found.starts_with("last changed 720"), "{found}");
        assert_eq!(disk(&folder, 0), Ok(()));
        assert!(disk(&folder, u64::MAX).unwrap_err().ends_with("MiB are free"));
        let socket = folder.join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        assert_eq!(unix(&socket), Ok(()));
        drop(listener);
        assert_eq!(unix(&socket), Err("connection refused".to_owned()));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
