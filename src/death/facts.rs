//! What is known of a death, as plain data: `collect` reads it, `judge` tells what it means.

use std::path::PathBuf;

use crate::init::death::Asked;
use crate::init::reap::Ended;

/// A process that has sent a signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// Its number; 0 for the kernel, or for one outside this PID namespace.
    pub pid: u32,
    /// Its name, where it is still there.
    pub name: Option<String>,
}

/// The out-of-memory killer's count for our control group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OomKills {
    /// When the workload was started; `None` where it was not read.
    pub before: Option<u64>,
    /// Now.
    pub now: u64,
}

/// What is known; `None` is "cannot be seen here", or "does not matter for this end".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The workload's number.
    pub pid: u32,
    /// How it ended.
    pub ended: Ended,
    /// The stop that was asked for, where it ended by that.
    pub asked: Option<Asked>,
    /// Whether mak-init has killed it.
    pub killed_by_us: bool,
    /// Who sent the signal, where it went through mak-init.
    pub sender: Option<Sender>,
    /// Whether mak-init is the init of a PID namespace, so that sender 0 is outside of it.
    pub is_init: bool,
    /// The out-of-memory killer's count.
    pub oom: Option<OomKills>,
    /// Bytes of memory that the container may have.
    pub memory_limit: Option<u64>,
    /// The program.
    pub program: Option<PathBuf>,
    /// The x86-64 level that its ISA note asks for.
    pub level_needed: Option<u8>,
    /// The x86-64 level of this processor.
    pub level: Option<u8>,
    /// What an aarch64 processor offers.
    pub features: Vec<&'static str>,
    /// Bytes of a page.
    pub page_size: u64,
    /// /dev/shm: bytes in all, bytes free.
    pub shared_memory: Option<(u64, u64)>,
    /// Whether a seccomp filter is on mak-init too, and so on the whole container.
    pub filtered: Option<bool>,
    /// Where its core was dumped.
    pub core: Option<String>,
}
