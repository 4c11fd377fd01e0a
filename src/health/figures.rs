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
    fn the_host_has_memory_and_processors() {
        let host = host().unwrap();
        assert!(host.memory_bytes > 1024 * 1024);
        assert!(host.cpus >= std::thread::available_parallelism().unwrap().get());
    }
}
