//! Resource limits of this process (getrlimit(2)) that decide whether a workload can open its
//! files, start its threads and leave a core.

use rustix::process::{Resource, Rlimit, getrlimit};
use serde::Serialize;

/// One resource's limits; `None` is "unlimited".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Limit {
    /// What is enforced now.
    pub soft: Option<u64>,
    /// How far an unprivileged process may raise the soft limit.
    pub hard: Option<u64>,
}

/// The limits that a workload inherits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ResourceLimits {
    /// RLIMIT_NOFILE: one more than the highest descriptor.
    pub open_files: Limit,
    /// RLIMIT_NPROC: processes and threads of our user.
    pub processes: Limit,
    /// RLIMIT_CORE: bytes of a core file.
    pub core_bytes: Limit,
}

/// The limits of this process.
pub fn of_this_process() -> ResourceLimits {
    ResourceLimits {
        open_files: limit(getrlimit(Resource::Nofile)),
        processes: limit(getrlimit(Resource::Nproc)),
        core_bytes: limit(getrlimit(Resource::Core)),
    }
}

fn limit(raw: Rlimit) -> Limit {
    Limit { soft: raw.current, hard: raw.maximum }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_on_files_is_what_the_kernel_reports_in_proc() {
        let text = std::fs::read_to_string("/proc/thread-self/limits").unwrap();
        let line = text.lines().find(|line| line.starts_with("Max open files")).unwrap();
        let word = line.split_whitespace().nth(3).unwrap();
        assert_eq!(of_this_process().open_files.soft, word.parse().ok());
    }
}
