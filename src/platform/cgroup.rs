//! The limits that control groups set for this process: memory, processor time, processes.
//!
//! Read are `/proc/self/cgroup` (which groups), `/proc/self/mountinfo` (where they are mounted)
//! and the limit files of each group from ours up to the mount point, since a parent's smaller
//! limit holds for its children too. Version 1, version 2 and both side by side (`man 7 cgroups`)
//! are understood. What cannot be read sets no limit.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Root;

/// Which hierarchy the limits were looked for in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Version {
    /// One hierarchy for each controller.
    V1,
    /// The unified hierarchy.
    V2,
    /// Controllers in version 1 beside a mounted version 2.
    Hybrid,
}

impl Version {
    /// One word for people and variables.
    pub const fn word(self) -> &'static str {
        match self {
            Version::V1 => "v1",
            Version::V2 => "v2",
            Version::Hybrid => "hybrid",
        }
    }
}

/// The effective limits; `None` is "no limit" or "cannot be read".
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct CgroupLimits {
    /// What is mounted here; `None` if no hierarchy is.
    pub version: Option<Version>,
    /// Bytes of memory (memory.max, memory.limit_in_bytes).
    pub memory_bytes: Option<u64>,
    /// Processors' worth of time: quota divided by period (cpu.max, cpu.cfs_quota_us).
    pub cpus: Option<f64>,
    /// Processes and threads (pids.max).
    pub processes: Option<u64>,
}

/// The files in /proc: one line a controller, one line a mount.
const MOST_PROC_BYTES: u64 = 1 << 20;
/// A limit file is one or two numbers; memory.stat has some forty lines.
const MOST_LIMIT_BYTES: u64 = 16 << 10;
/// Deeper trees than the kernel's own default bound are walked no further.
const MOST_LEVELS: usize = 64;
/// Version 1 writes "no limit" as the largest multiple of the page size in 63 bits. No machine
/// has this much memory, whatever its page size is.
const NO_MEMORY_LIMIT: u64 = 1 << 62;

/// The limits of this process, with /proc and the mounted hierarchies looked up inside `root`.
/// For the process itself that is [`Root::host`]; the tests bring a folder.
pub fn limits(root: &Root) -> CgroupLimits {
    let (memberships, mounts) = hierarchies(root);
    let place = |controller: &str| Place::of(controller, &memberships, &mounts);
    let (memory, cpu, processes) = (place("memory"), place("cpu"), place("pids"));
    CgroupLimits {
        version: version(&mounts),
        memory_bytes: memory.and_then(|place| least(&place, |dir| memory_limit(root, &place, dir))),
        cpus: cpu.and_then(|place| least(&place, |dir| cpu_limit(root, &place, dir))),
        processes: processes
            .and_then(|place| least(&place, |dir| number(&read(root, dir, "pids.max")?))),
    }
}

/// What /proc inside `root` says of this process's groups and of the mounted hierarchies.
fn hierarchies(root: &Root) -> (Vec<Membership>, Vec<Mount>) {
    let text = |path: &str| -> String {
        let bytes = root.read(Path::new(path), MOST_PROC_BYTES).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    (memberships(&text("/proc/self/cgroup")), mounts(&text("/proc/self/mountinfo")))
}

/// What this process's control group uses at this moment; absent where it cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CgroupUsage {
    /// Bytes of memory that could not be given back at once: without the page cache's inactive
    /// part, as Kubernetes counts its working set.
    pub memory_bytes: Option<u64>,
    /// Processes and threads.
    pub processes: Option<u64>,
    /// Microseconds of processor time.
    pub cpu_microseconds: Option<u64>,
}

/// The use of this process's group, looked up as [`limits`] does.
pub fn usage(root: &Root) -> CgroupUsage {
    let (memberships, mounts) = hierarchies(root);
    let place = |controller: &str| Place::of(controller, &memberships, &mounts);
    CgroupUsage {
        memory_bytes: place("memory").and_then(|place| memory_use(root, &place)),
        processes: place("pids").and_then(|place| number(&read(root, &place.own, "pids.current")?)),
        cpu_microseconds: cpu_use(root, place("cpuacct").or_else(|| place("cpu"))),
    }
}

fn memory_use(root: &Root, place: &Place) -> Option<u64> {
    let (file, key) = match place.unified {
        true => ("memory.current", "inactive_file"),
        false => ("memory.usage_in_bytes", "total_inactive_file"),
    };
    let used = number(&read(root, &place.own, file)?)?;
    let stat = read(root, &place.own, "memory.stat").unwrap_or_default();
    Some(used.saturating_sub(entry(&stat, key).unwrap_or(0)))
}

fn cpu_use(root: &Root, place: Option<Place>) -> Option<u64> {
    let place = place?;
    if place.unified {
        return entry(&read(root, &place.own, "cpu.stat")?, "usage_usec");
    }
    Some(number(&read(root, &place.own, "cpuacct.usage")?)? / 1000)
}

/// The number behind `key` in a file of lines `key number`.
fn entry(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| number(line.strip_prefix(key)?.strip_prefix(' ')?))
}

/// Where the memory controller's files for this process are, inside `root`.
pub struct MemoryGroup {
    /// Whether it is version 2.
    pub unified: bool,
    /// Our group's folder.
    pub path: PathBuf,
    /// The mount point, at or above it.
    pub top: PathBuf,
}

/// Finds them; `None` where none are mounted.
pub fn memory_group(root: &Root) -> Option<MemoryGroup> {
    let text = |path: &str| -> String {
        let bytes = root.read(Path::new(path), MOST_PROC_BYTES).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let memberships = memberships(&text("/proc/self/cgroup"));
    let place = Place::of("memory", &memberships, &mounts(&text("/proc/self/mountinfo")))?;
    Some(MemoryGroup { unified: place.unified, path: place.own, top: place.top })
}

/// A line of /proc/self/cgroup: `4:memory:/some/group`; version 2 is `0::/some/group`.
struct Membership {
    controllers: Vec<String>,
    path: PathBuf,
}

fn memberships(text: &str) -> Vec<Membership> {
    text.lines()
        .filter_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            let controllers = controllers.split(',').filter(|name| !name.is_empty());
            Some(Membership {
                controllers: controllers.map(str::to_owned).collect(),
                path: PathBuf::from(path),
            })
        })
        .collect()
}

/// A mounted hierarchy. For version 2 there are no controllers in its options.
struct Mount {
    /// The group that the mount point shows (`/` or, without a namespace, the container's own).
    group: PathBuf,
    point: PathBuf,
    unified: bool,
    controllers: Vec<String>,
}

/// The lines of /proc/self/mountinfo (`man 5 proc`) that are control groups:
/// `id parent dev ROOT POINT options… - TYPE source SUPER-OPTIONS`.
fn mounts(text: &str) -> Vec<Mount> {
    text.lines()
        .filter_map(|line| {
            let (mount, filesystem) = line.split_once(" - ")?;
            let mut mount = mount.split(' ').skip(3);
            let mut filesystem = filesystem.split(' ');
            let unified = match filesystem.next()? {
                "cgroup2" => true,
                "cgroup" => false,
                _ => return None,
            };
            let options = filesystem.nth(1).unwrap_or_default();
            Some(Mount {
                group: unescape(mount.next()?),
                point: unescape(mount.next()?),
                unified,
                controllers: options.split(',').map(str::to_owned).collect(),
            })
        })
        .collect()
}

/// mountinfo writes blank, tab, newline and backslash as `\` and three octal digits.
fn unescape(text: &str) -> PathBuf {
    let mut rest = text;
    let mut out = String::with_capacity(text.len());
    while let Some((before, behind)) = rest.split_once('\\') {
        out.push_str(before);
        let code = behind.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code.filter(u8::is_ascii) {
            Some(code) => {
                out.push(char::from(code));
                rest = &behind[3..];
            }
            None => {
                out.push('\\');
                rest = behind;
            }
        }
    }
    out.push_str(rest);
    PathBuf::from(out)
}

fn version(mounts: &[Mount]) -> Option<Version> {
    let unified = mounts.iter().any(|mount| mount.unified);
    // The hierarchy of systemd's own, `name=systemd`, has no controller and limits nothing.
    let split = mounts.iter().any(|mount| {
        !mount.unified && !mount.controllers.iter().any(|option| option.starts_with("name="))
    });
    match (split, unified) {
        (true, true) => Some(Version::Hybrid),
        (true, false) => Some(Version::V1),
        (false, true) => Some(Version::V2),
        (false, false) => None,
    }
}

/// Where one controller's files for this process are.
#[derive(Clone)]
struct Place {
    unified: bool,
    /// The mount point: the walk upwards ends there.
    top: PathBuf,
    /// Our group, at or below `top`.
    own: PathBuf,
}

impl Place {
    /// A controller that version 1 has taken is not in version 2, so version 1 is asked first.
    fn of(controller: &str, memberships: &[Membership], mounts: &[Mount]) -> Option<Place> {
        let named = |names: &[String]| names.iter().any(|name| name == controller);
        let split = memberships.iter().find(|member| named(&member.controllers)).and_then(|own| {
            let mount = mounts.iter().find(|mount| !mount.unified && named(&mount.controllers))?;
            Some((own, mount))
        });
        let (own, mount) = split.or_else(|| {
            let own = memberships.iter().find(|member| member.controllers.is_empty())?;
            Some((own, mounts.iter().find(|mount| mount.unified)?))
        })?;
        let top = mount.point.clone();
        let own = below(&mount.group, &own.path).map_or(top.clone(), |rest| top.join(rest));
        Some(Place { unified: mount.unified, top, own })
    }
}

/// The rest of `path` below `group`. Nothing for a path that leads out of the mount: a namespace
/// shows the groups above it as `/../..`, and a container without one may have the host's path.
fn below<'a>(group: &Path, path: &'a Path) -> Option<&'a Path> {
    let rest = path.strip_prefix(group).ok()?;
    let climbs = rest.components().any(|part| part == std::path::Component::ParentDir);
    (!climbs).then_some(rest)
}

/// The least of what `limit` finds in our group and the groups above it up to the mount point.
fn least<T: PartialOrd>(place: &Place, limit: impl Fn(&Path) -> Option<T>) -> Option<T> {
    place
        .own
        .ancestors()
        .take(MOST_LEVELS)
        .take_while(|dir| dir.starts_with(&place.top))
        .filter_map(limit)
        .reduce(|least, next| if next < least { next } else { least })
}

fn memory_limit(root: &Root, place: &Place, dir: &Path) -> Option<u64> {
    if place.unified {
        return number(&read(root, dir, "memory.max")?).filter(|limit| *limit < NO_MEMORY_LIMIT);
    }
    let own = read(root, dir, "memory.limit_in_bytes").and_then(|text| number(&text));
    // Counts the groups above the mount point too, which cannot be seen from a container.
    let inherited = read(root, dir, "memory.stat").and_then(|text| {
        let mut lines = text.lines();
        number(lines.find_map(|line| line.strip_prefix("hierarchical_memory_limit "))?)
    });
    [own, inherited].into_iter().flatten().filter(|limit| *limit < NO_MEMORY_LIMIT).min()
}

fn cpu_limit(root: &Root, place: &Place, dir: &Path) -> Option<f64> {
    let (quota, period) = if place.unified {
        let text = read(root, dir, "cpu.max")?;
        let (quota, period) = text.trim().split_once(' ')?;
        (number(quota)?, number(period)?)
    } else {
        // No limit is -1 here, which is no unsigned number.
        let quota = number(&read(root, dir, "cpu.cfs_quota_us")?)?;
        (quota, number(&read(root, dir, "cpu.cfs_period_us")?)?)
    };
    (quota > 0 && period > 0).then(|| quota as f64 / period as f64)
}

fn read(root: &Root, dir: &Path, name: &str) -> Option<String> {
    String::from_utf8(root.read(&dir.join(name), MOST_LIMIT_BYTES).ok()?).ok()
}

/// A limit as a number; `max` and `-1` are none.
fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str, files: &[(&str, &str)]) -> Tree {
            let base = std::env::temp_dir().join(format!("mak-cg-{}-{name}", std::process::id()));
            let _ = fs::remove_dir_all(&base);
            for (path, text) in files {
                let path = base.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Tree(base)
        }

        fn limits(&self) -> CgroupLimits {
            limits(&Root::at(&self.0).unwrap())
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    const V2_MOUNT: &str = "22 1 0:21 / /proc rw - proc proc rw\n\
         30 23 0:26 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw,nsdelegate\n";

    #[test]
    fn in_a_container_with_version_2_the_mount_point_is_our_group() {
        let tree = Tree::new(
            "v2",
            &[
                ("proc/self/cgroup", "0::/\n"),
                ("proc/self/mountinfo", V2_MOUNT),
                ("sys/fs/cgroup/memory.max", "536870912\n"),
                ("sys/fs/cgroup/cpu.max", "150000 100000\n"),
                ("sys/fs/cgroup/pids.max", "100\n"),
            ],
        );
        let expected = CgroupLimits {
            version: Some(Version::V2),
            memory_bytes: Some(512 << 20),
            cpus: Some(1.5),
            processes: Some(100),
        };
        assert_eq!(tree.limits(), expected);
    }

    #[test]
    fn the_smallest_limit_from_our_group_upwards_is_the_effective_one() {
        let tree = Tree::new(
            "nested",
            &[
                ("proc/self/cgroup", "0::/kube/pod/app\n"),
                ("proc/self/mountinfo", V2_MOUNT),
                ("sys/fs/cgroup/kube/memory.max", "max\n"),
                ("sys/fs/cgroup/kube/cpu.max", "400000 100000\n"),
                ("sys/fs/cgroup/kube/pod/memory.max", "1000000\n"),
                ("sys/fs/cgroup/kube/pod/cpu.max", "50000 100000\n"),
                ("sys/fs/cgroup/kube/pod/app/memory.max", "2000000\n"),
                ("sys/fs/cgroup/kube/pod/app/cpu.max", "max 100000\n"),
                ("sys/fs/cgroup/kube/pod/app/pids.max", "max\n"),
            ],
        );
        let found = tree.limits();
        assert_eq!(found.memory_bytes, Some(1_000_000));
        assert_eq!(found.cpus, Some(0.5));
        assert_eq!(found.processes, None);
    }

    #[test]
    fn version_1_has_a_hierarchy_for_each_controller_and_huge_means_no_limit() {
        let tree = Tree::new(
            "v1",
            &[
                (
                    "proc/self/cgroup",
                    "5:pids:/docker/a\n4:memory:/docker/a\n2:cpu,cpuacct:/docker/a\n",
                ),
                (
                    "proc/self/mountinfo",
                    "40 30 0:30 /docker/a /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n\
                     41 30 0:31 /docker/a /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup \
                     rw,cpu,cpuacct\n\
                     42 30 0:32 /docker/a /sys/fs/cgroup/pids ro - cgroup cgroup rw,pids\n",
                ),
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
                ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
                ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
                ("sys/fs/cgroup/pids/pids.max", "max\n"),
            ],
        );
        let free = CgroupLimits { version: Some(Version::V1), ..CgroupLimits::default() };
        assert_eq!(tree.limits(), free);
        let set = |path: &str, text| fs::write(tree.0.join("sys/fs/cgroup").join(path), text);
        set("memory/memory.limit_in_bytes", "1073741824\n").unwrap();
        set("cpu,cpuacct/cpu.cfs_quota_us", "25000\n").unwrap();
        set("pids/pids.max", "64\n").unwrap();
        let bound = CgroupLimits {
            version: Some(Version::V1),
            memory_bytes: Some(1 << 30),
            cpus: Some(0.25),
            processes: Some(64),
        };
        assert_eq!(tree.limits(), bound);
    }

    #[test]
    fn a_limit_above_the_container_is_known_from_memory_stat() {
        let tree = Tree::new(
            "inherited",
            &[
                ("proc/self/cgroup", "4:memory:/\n"),
                ("proc/self/mountinfo", "4 3 0:3 / /cg rw - cgroup cgroup rw,memory\n"),
                ("cg/memory.limit_in_bytes", "9223372036854771712\n"),
                ("cg/memory.stat", "cache 0\nhierarchical_memory_limit 4096000\n"),
            ],
        );
        assert_eq!(tree.limits().memory_bytes, Some(4_096_000));
    }

    #[test]
    fn a_hybrid_takes_each_controller_from_the_version_that_has_it() {
        let tree = Tree::new(
            "hybrid",
            &[
                ("proc/self/cgroup", "4:memory:/a\n1:name=systemd:/a\n0::/b\n"),
                (
                    "proc/self/mountinfo",
                    "4 3 0:3 / /cg/memory rw - cgroup cgroup rw,memory\n\
                     5 3 0:4 / /cg/systemd rw - cgroup cgroup rw,name=systemd\n\
                     6 3 0:5 / /cg/unified rw - cgroup2 cgroup2 rw\n",
                ),
                ("cg/memory/a/memory.limit_in_bytes", "1000\n"),
                ("cg/unified/b/memory.max", "10\n"),
                ("cg/unified/b/pids.max", "7\n"),
            ],
        );
        let found = tree.limits();
        assert_eq!(found.version, Some(Version::Hybrid));
        assert_eq!((found.memory_bytes, found.processes), (Some(1000), Some(7)));
    }

    #[test]
    fn a_group_outside_the_mount_is_taken_as_the_mount_point() {
        for own in ["0::/../../other\n", "0::/system.slice/docker-1.scope\n"] {
            let mount = "6 3 0:5 /docker/x /cg\\040two rw - cgroup2 cgroup2 rw\n";
            let tree = Tree::new(
                "outside",
                &[
                    ("proc/self/cgroup", own),
                    ("proc/self/mountinfo", mount),
                    ("cg two/memory.max", "77\n"),
                    ("other/memory.max", "1\n"),
                ],
            );
            assert_eq!(tree.limits().memory_bytes, Some(77));
        }
    }

    #[test]
    fn use_is_read_where_the_limits_are() {
        let tree = Tree::new(
            "use",
            &[
                ("proc/self/cgroup", "0::/\n"),
                ("proc/self/mountinfo", V2_MOUNT),
                ("sys/fs/cgroup/memory.current", "5000\n"),
                ("sys/fs/cgroup/memory.stat", "anon 1\ninactive_file 1000\n"),
                ("sys/fs/cgroup/pids.current", "7\n"),
                ("sys/fs/cgroup/cpu.stat", "usage_usec 42\nuser_usec 1\n"),
            ],
        );
        let expected = CgroupUsage {
            memory_bytes: Some(4000),
            processes: Some(7),
            cpu_microseconds: Some(42),
        };
        assert_eq!(usage(&Root::at(&tree.0).unwrap()), expected);
    }

    #[test]
    fn a_missing_proc_sets_no_limit() {
        let tree = Tree::new("none", &[("etc/hostname", "x")]);
        assert_eq!(tree.limits(), CgroupLimits::default());
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parsers_panic(text in "([0-9a-z:,/. \\\\-]|\\PC){0,200}") {
            let _ = memberships(&text);
            let _ = mounts(&format!("1 2 0:1 {text} - cgroup x {text}"));
            let _ = unescape(&text);
            let _ = number(&text);
        }
    }
}
