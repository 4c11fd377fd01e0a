//! Numbers that only `/health` shows, read when it is asked for: the workload's from its `/proc`
//! entry, the host's from sysinfo. Where /proc is hidden or not mounted they are absent.
//!
//! Measured (static glibc build, once): the first request for `/health` adds 268 KiB of resident
//! memory, 20 KiB of it anonymous, the rest pages of the program itself; later ones add nothing.

use procfs::WithCurrentSystemInfo;
use procfs::process::Process;
use serde::Serialize;
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, System};

/// What the kernel tells about the workload (`man 5 proc_pid_stat`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Workload {
    /// One letter: R, S, D, Z, T …
    pub process_state: char,
    /// Resident memory.
    pub rss_bytes: u64,
    /// Threads.
    pub threads: i64,
}

/// What the machine under the container has; a container's own limits may be lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Host {
    /// Memory installed.
    pub memory_bytes: u64,
    /// Processors online.
    pub cpus: usize,
}

/// The figures of process `pid`; `None` where there is none or /proc does not show it.
pub fn workload(pid: u32) -> Option<Workload> {
    let pid = i32::try_from(pid).ok().filter(|pid| *pid > 0)?;
    let stat = Process::new(pid).ok()?.stat().ok()?;
    Some(Workload {
        process_state: stat.state,
        rss_bytes: stat.rss_bytes().get(),
        threads: stat.num_threads,
    })
}

/// What the official Prometheus clients tell of a process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProcessFigures {
    /// User and system time.
    pub cpu_seconds: f64,
    /// Address space.
    pub virtual_bytes: u64,
    /// Resident memory.
    pub resident_bytes: u64,
    /// Threads.
    pub threads: i64,
    /// When it was started, in seconds since the machine was.
    pub started: f64,
    /// Open descriptors; only the process's own user is shown them.
    pub open_fds: Option<usize>,
    /// As many descriptors as it may open.
    pub max_fds: Option<u64>,
}

/// These figures of process `pid`; `None` where there is none or /proc does not show it.
pub fn process(pid: u32) -> Option<ProcessFigures> {
    let id = i32::try_from(pid).ok().filter(|pid| *pid > 0)?;
    let stat = Process::new(id).ok()?.stat().ok()?;
    let ticks = rustix::param::clock_ticks_per_second().max(1) as f64;
    Some(ProcessFigures {
        cpu_seconds: stat.utime.saturating_add(stat.stime) as f64 / ticks,
        virtual_bytes: stat.vsize,
        resident_bytes: stat.rss_bytes().get(),
        threads: stat.num_threads,
        started: stat.starttime as f64 / ticks,
        open_fds: std::fs::read_dir(format!("/proc/{pid}/fd")).ok().map(Iterator::count),
        max_fds: max_fds(pid),
    })
}

/// The soft limit in /proc/PID/limits (`man 5 proc`); `None` for none.
fn max_fds(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The most processes that are looked through.
const MOST_PROCESSES: usize = 32_768;

/// Every process that /proc shows: name and state letter.
fn everybody(mut each: impl FnMut(&str, char) -> bool) {
    let Ok(folder) = std::fs::read_dir("/proc") else { return };
    let numbers = folder.filter_map(|entry| {
        let name = entry.ok()?.file_name();
        name.to_str()?.parse::<u32>().ok()
    });
    for pid in numbers.take(MOST_PROCESSES) {
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        // The name stands in parentheses and may hold parentheses itself.
        let parts = stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(") "));
        let Some((name, rest)) = parts else { continue };
        if !each(name, rest.chars().next().unwrap_or('?')) {
            return;
        }
    }
}

/// How many processes have ended and were not reaped.
pub fn zombies() -> usize {
    let mut count = 0;
    everybody(|_, state| {
        count += usize::from(state == 'Z');
        true
    });
    count
}

/// Whether a process of this name runs; the kernel keeps 15 bytes of one.
pub fn is_running(wanted: &str) -> bool {
    let wanted = wanted.get(..15).unwrap_or(wanted);
    let mut found = false;
    everybody(|name, state| {
        found = name == wanted && !matches!(state, 'Z' | 'X');
        !found
    });
    found
}

/// The host's totals; `None` where /proc/meminfo or the processors cannot be read.
pub fn host() -> Option<Host> {
    let mut system = System::new().ok()?;
    system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
    system.refresh_cpu_list(CpuRefreshKind::nothing());
    let host = Host { memory_bytes: system.total_memory(), cpus: system.cpus().len() };
    (host.memory_bytes > 0 && host.cpus > 0).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_figures_and_no_process_has_none() {
        let own = workload(std::process::id()).unwrap();
        assert!(own.rss_bytes > 64 * 1024 && own.threads >= 1, "{own:?}");
        assert_eq!(workload(0), None);
        assert_eq!(workload(u32::MAX), None);
    }

    #[test]
    fn a_process_is_found_by_its_name_and_has_a_start() {
        let own = process(std::process::id()).unwrap();
        assert!(own.started > 0.0 && own.open_fds.unwrap() > 0 && own.max_fds.unwrap() > 0);
        let name = std::fs::read_to_string("/proc/self/comm").unwrap();
        assert!(is_running(name.trim_end()));
        assert!(!is_running("no such one"));
        assert_eq!(process(0), None);
    }

    #[test]
    fn the_host_has_memory_and_processors() {
        let host = host().unwrap();
        assert!(host.memory_bytes > 1024 * 1024);
        assert!(host.cpus >= std::thread::available_parallelism().unwrap().get());
    }
}
