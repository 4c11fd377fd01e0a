//! Zombies that nobody but their own living parent can reap: said once at the stop, at debug
//! level, by a process made for it. PID 1 itself does not read /proc.

#![allow(unsafe_code, reason = "fork")]

use nix::unistd::{ForkResult, fork};

use super::spawn::exit_now;

/// Lists them in a child of its own, where debug lines are wanted at all.
pub fn say() {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    // SAFETY: this process has one thread, so that the child may do whatever we may. The child
    // is reaped like any other; where none can be made, nothing is said.
    if let Ok(ForkResult::Child) = unsafe { fork() } {
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            if let Some((pid, name, parent)) = zombie(&stat) {
                tracing::debug!("zombie held by its parent: pid {pid} ({name}), parent {parent}");
            }
        }
        exit_now(0);
    }
}

/// Pid, name and parent of a zombie whose parent is not init, from `/proc/PID/stat`
/// (`man 5 proc`): the name is the outermost parentheses, since it may hold some itself.
fn zombie(stat: &str) -> Option<(&str, &str, &str)> {
    let (pid, rest) = stat.split_once(" (")?;
    let (name, rest) = rest.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?;
    let parent = fields.next()?;
    (state == "Z" && parent != "1").then_some((pid, name, parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_zombie_of_another_parent_than_init_is_one() {
        assert_eq!(zombie("7 (a) (b) Z 3 7 7 0"), Some(("7", "a) (b", "3")));
        assert_eq!(zombie("7 (a) Z 1 7 7 0"), None);
        assert_eq!(zombie("7 (a) S 3 7 7 0"), None);
        assert_eq!(zombie(""), None);
    }
}
