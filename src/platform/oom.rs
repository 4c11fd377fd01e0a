//! The kernel's out-of-memory killer, as far as it tells a control group: how many of its
//! processes it has killed (memory.events of version 2, which counts the groups below too;
//! memory.oom_control of version 1, since Linux 4.13), and whether it kills all of them at once.

use std::path::Path;

use super::Root;
use super::cgroup::memory_group;

/// The files have a handful of lines.
const MOST_BYTES: u64 = 16 << 10;

/// How many processes of our control group it has killed since the group was made; `None` where
/// that cannot be seen.
pub fn kills(root: &Root) -> Option<u64> {
    let group = memory_group(root)?;
    let name = if group.unified { "memory.events" } else { "memory.oom_control" };
    let bytes = root.read(&group.path.join(name), MOST_BYTES).ok()?;
    count(std::str::from_utf8(&bytes).ok()?)
}

fn count(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

/// Whether it kills every process of the group with the first (memory.oom.group, version 2):
/// mak-init then dies with the workload. Looked at are our group and those above that are seen.
pub fn kills_the_whole_group(root: &Root) -> bool {
    let Some(group) = memory_group(root).filter(|group| group.unified) else { return false };
    let folders = group.path.ancestors().take_while(|folder| folder.starts_with(&group.top));
    folders.into_iter().any(|folder| is_one(root, folder))
}

fn is_one(root: &Root, folder: &Path) -> bool {
    let bytes = root.read(&folder.join("memory.oom.group"), MOST_BYTES);
    bytes.is_ok_and(|bytes| bytes.trim_ascii() == b"1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn both_versions_tell_the_count() {
        assert_eq!(count("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"), Some(3));
        assert_eq!(count("low 0\nhigh 0\nmax 9\noom 2\noom_kill 2\noom_group_kill 0\n"), Some(2));
        assert_eq!(count("oom_kill_disable 0\nunder_oom 0\n"), None);
        assert_eq!(count("oom_kill x\n"), None);
    }

    #[test]
    fn the_group_and_its_fate_are_read_from_version_2() {
        let base = std::env::temp_dir().join(format!("mak-oom-{}", std::process::id()));
        let group = base.join("sys/fs/cgroup/app");
        fs::create_dir_all(&group).unwrap();
        fs::create_dir_all(base.join("proc/self")).unwrap();
        fs::write(base.join("proc/self/cgroup"), "0::/app\n").unwrap();
        let mount = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        fs::write(base.join("proc/self/mountinfo"), mount).unwrap();
        fs::write(group.join("memory.events"), "oom 1\noom_kill 5\n").unwrap();
        let root = Root::at(&base).unwrap();
        assert_eq!(kills(&root), Some(5));
        assert!(!kills_the_whole_group(&root));
        fs::write(group.join("memory.oom.group"), "1\n").unwrap();
        assert!(kills_the_whole_group(&root));
        fs::remove_dir_all(&base).unwrap();
    }
}
