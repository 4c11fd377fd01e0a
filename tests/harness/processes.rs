//! Processes as this machine's /proc shows them, also those in other PID namespaces.

#![allow(unsafe_code, reason = "kill and waitpid on raw numbers")]

use std::fs;
use std::time::Duration;

use super::running::{Outcome, Usage};

/// The children of a process, by their numbers on this machine (proc(5), task/children).
pub fn children(pid: i32) -> Vec<i32> {
    let listed = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    listed.unwrap_or_default().split_whitespace().map(|word| word.parse().unwrap()).collect()
}

/// The name of a process, as ps shows it.
pub fn name(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim_end().to_owned()
}

/// The state letter of a process; `None` when it is gone.
pub fn state(pid: i32) -> Option<char> {
    // The name, in parentheses, may hold anything; the state follows the last parenthesis.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// A line of /proc/PID/status, without its name.
pub fn status(pid: i32, key: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    Some(line.trim().to_owned())
}

/// Whether it sleeps until a signal comes: none is lost to it from then on.
pub fn waits_for_signals(pid: i32) -> bool {
    let call = fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
    let number = call.split(' ').next().and_then(|word| word.parse().ok());
    [libc::SYS_rt_sigtimedwait, libc::SYS_ppoll].map(Some).contains(&number)
}

/// Whether no signal that was sent to it is still the kernel's.
pub fn has_taken_its_signals(pid: i32) -> bool {
    let none = |set: String| set.bytes().all(|digit| digit == b'0');
    ["SigPnd", "ShdPnd"].iter().all(|key| status(pid, key).is_some_and(none))
}

/// The number of a process within its own PID namespace.
pub fn inner_pid(pid: i32) -> Option<i32> {
    status(pid, "NSpid")?.split_whitespace().last()?.parse().ok()
}

/// The health process of a running mak-init.
pub fn health(parent: i32) -> Option<i32> {
    children(parent).into_iter().find(|pid| name(*pid).starts_with("mak-init:health"))
}

/// How many children of this process have ended and wait to be reaped.
pub fn zombies(parent: i32) -> usize {
    children(parent).into_iter().filter(|pid| state(*pid) == Some('Z')).count()
}

/// Sends a signal to a process that is there.
pub fn signal(pid: i32, number: i32) {
    assert!(pid > 1, "no test has a reason to signal {pid}");
    // kill(2) by its number: some C libraries look at the signal first.
    // SAFETY: two numbers, and the first names one process.
    let result = unsafe { libc::syscall(libc::SYS_kill, pid, number) };
    assert_eq!(result, 0, "kill {pid} {number}: {}", std::io::Error::last_os_error());
}

/// Kills a process that may be gone already.
pub fn kill_if_there(pid: i32) {
    assert!(pid > 1, "no test has a reason to kill {pid}");
    // SAFETY: two numbers, and the first names one process.
    unsafe { libc::kill(pid, libc::SIGKILL) };
}

/// Waits for a child of this process.
pub fn wait(pid: i32) -> (Outcome, Usage) {
    let mut status = 0;
    // SAFETY: all zeros are a rusage; wait4(2) writes it and one number.
    let (waited, used) = unsafe {
        let mut used: libc::rusage = std::mem::zeroed();
        (libc::wait4(pid, &raw mut status, 0, &raw mut used), used)
    };
    assert_eq!(waited, pid, "wait4: {}", std::io::Error::last_os_error());
    let outcome = if libc::WIFEXITED(status) {
        Outcome::Code(libc::WEXITSTATUS(status))
    } else {
        Outcome::Signal(libc::WTERMSIG(status))
    };
    let processor = time(used.ru_utime) + time(used.ru_stime);
    (outcome, Usage { processor, sleeps: used.ru_nvcsw, memory: used.ru_maxrss })
}

fn time(value: libc::timeval) -> Duration {
    Duration::from_secs(value.tv_sec as u64) + Duration::from_micros(value.tv_usec as u64)
}
