//! Reading the facts of a death. Only what matters for this end is read, and what cannot be read
//! is left out.

use std::fs::File;
use std::path::Path;

use super::Before;
use super::core_dump;
use super::facts::{Facts, OomKills, Sender};
use crate::elf;
use crate::init::death::Death;
use crate::init::pid::is_init;
use crate::init::reap::Ended;
use crate::platform::{Root, cgroup, cpu, kernel, oom};

/// Numbers of signals (`man 7 signal`).
const ILL: u8 = 4;
const BUS: u8 = 7;
const KILL: u8 = 9;
const SYS: u8 = 31;
/// /proc/PID/status has some sixty lines; comm has one word.
const MOST_BYTES: u64 = 16 << 10;

/// Reads what the kernel shows.
pub fn collect(death: &Death, before: &Before) -> Facts {
    let root = Root::host();
    let mut facts = Facts {
        pid: death.workload.raw() as u32,
        ended: death.ended,
        asked: death.by_the_stop(),
        killed_by_us: death.killed_by_us,
        sender: sender(&root, death),
        is_init: parent_is_init(),
        oom: None,
        memory_limit: None,
        program: None,
        level_needed: None,
        level: None,
        features: Vec::new(),
        page_size: kernel::page_size(),
        shared_memory: None,
        filtered: None,
        core: None,
    };
    if let Ended::Dumped(number) = death.ended {
        facts.core = Some(core_dump::place(&root, facts.pid, number, (before.program)()));
    }
    match death.ended.signal() {
        // A shell hands on a child's death as a code.
        None | Some(KILL) => {
            let now = oom::kills(&root);
            facts.oom = now.map(|now| OomKills { before: before.oom_kills, now });
            facts.memory_limit = cgroup::limits(&root).memory_bytes;
        }
        Some(ILL) => {
            facts.program = (before.program)();
            let file = facts.program.as_deref().and_then(|path| File::open(path).ok());
            facts.level_needed = file.and_then(|file| elf::x86_64_level(&file).ok().flatten());
            let cpu = cpu::detect();
            facts.level = cpu.x86_64_level;
            facts.features = cpu.features;
        }
        Some(BUS) => facts.shared_memory = shared_memory(),
        Some(SYS) => facts.filtered = filtered(&root),
        Some(_) => {}
    }
    facts
}

/// PID 1's child asks: its parent is the one that counts.
fn parent_is_init() -> bool {
    is_init() || rustix::process::getppid().is_some_and(|parent| parent.is_init())
}

fn sender(root: &Root, death: &Death) -> Option<Sender> {
    let pid = death.by_the_stop().map(|asked| asked.sender).or(death.sender)?;
    let path = format!("/proc/{pid}/comm");
    let name = (pid != 0).then(|| root.read(Path::new(&path), MOST_BYTES).ok()).flatten();
    let name = name.map(|name| String::from_utf8_lossy(name.trim_ascii()).into_owned());
    Some(Sender { pid, name })
}

fn shared_memory() -> Option<(u64, u64)> {
    let known = rustix::fs::statvfs("/dev/shm").ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(known.f_frsize);
    (known.f_blocks > 0).then(|| (bytes(known.f_blocks), bytes(known.f_bavail)))
}

/// Filters are inherited: one that is on us was set for the container (`man 5 proc_pid_status`).
fn filtered(root: &Root) -> Option<bool> {
    let status = root.read(Path::new("/proc/self/status"), MOST_BYTES).ok()?;
    let status = String::from_utf8_lossy(&status);
    let mode = status.lines().find_map(|line| line.strip_prefix("Seccomp:"))?;
    Some(mode.trim() == "2")
}
