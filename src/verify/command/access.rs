//! Who may execute what: the rules of path_resolution(7) and inode(7), to say why the kernel
//! has refused. Where the kernel can be asked, it decides, since access lists and security
//! modules know more than nine bits.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD};
use rustix::io::Errno;

use crate::platform::Meta;

/// Links that are followed on one path, as many as the kernel follows.
const MOST_LINKS: u32 = 40;
/// /proc/self/mountinfo has one line a mount.
#[cfg(target_os = "linux")]
const MOST_MOUNT_BYTES: u64 = 1 << 20;

/// As whom a program would be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The effective user.
    pub uid: u32,
    /// The effective group.
    pub gid: u32,
    /// The other groups.
    pub groups: Vec<u32>,
    /// `CAP_DAC_OVERRIDE`: any x bit will do, and every folder may be passed.
    pub overrides: bool,
}

impl Credentials {
    /// Those of this process.
    pub fn of_this_process() -> Credentials {
        let groups = rustix::process::getgroups().unwrap_or_default();
        Credentials {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            groups: groups.into_iter().map(rustix::process::Gid::as_raw).collect(),
            overrides: overrides(),
        }
    }

    /// Those of root, with all its rights.
    pub fn root() -> Credentials {
        Credentials { uid: 0, gid: 0, groups: Vec::new(), overrides: true }
    }

    /// Whether the mode bits let them execute a file, or pass a folder.
    pub fn may_execute(&self, meta: &Meta) -> bool {
        let any = if meta.is_dir() { 0o777 } else { 0o111 };
        self.allowed(meta.mode, meta.uid, meta.gid, any)
    }

    fn allowed(&self, mode: u32, owner: u32, group: u32, any: u32) -> bool {
        if self.overrides {
            return any == 0o777 || mode & any != 0;
        }
        // The first class that fits decides, even where a later one would allow more.
        let bit = if self.uid == owner {
            0o100
        } else if self.gid == group || self.groups.contains(&group) {
            0o010
        } else {
            0o001
        };
        mode & bit != 0
    }
}

#[cfg(target_os = "linux")]
fn overrides() -> bool {
    let wanted = rustix::thread::CapabilitySet::DAC_OVERRIDE;
    rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(wanted))
}

#[cfg(not(target_os = "linux"))]
fn overrides() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether the kernel lets this process execute the file.
pub fn kernel_allows(path: &Path) -> bool {
    rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS) != Err(Errno::ACCESS)
}

/// The first folder on the way to `path` that may not be passed, with its mode and owner.
pub fn denying_folder(path: &Path) -> Option<String> {
    let folder = denying(path, MOST_LINKS)?;
    Some(match folder.metadata() {
        Ok(meta) => format!("{} ({})", folder.display(), shown(&meta.into())),
        Err(_) => folder.display().to_string(),
    })
}

fn denying(path: &Path, links: u32) -> Option<PathBuf> {
    let mut here = PathBuf::new();
    for part in path.components() {
        let before = here.clone();
        here.push(part);
        let meta = match here.symlink_metadata() {
            Ok(meta) => meta,
            Err(error) => {
                return (Errno::from_io_error(&error) == Some(Errno::ACCESS)).then_some(before);
            }
        };
        if meta.is_symlink() && links > 0 && here.metadata().is_err() {
            let target = before.join(here.read_link().ok()?);
            return denying(&target, links - 1);
        }
    }
    None
}

/// Mode and owner, for people.
pub fn shown(meta: &Meta) -> String {
    format!("mode {:04o}, owner {}:{}", meta.mode, meta.uid, meta.gid)
}

/// Nothing is executed where mak runs elsewhere.
#[cfg(not(target_os = "linux"))]
pub fn noexec_mount(_: &Path) -> Option<String> {
    None
}

/// The mount point of the file where it is mounted noexec. Its path is without links.
#[cfg(target_os = "linux")]
pub fn noexec_mount(path: &Path) -> Option<String> {
    let flags = rustix::fs::statvfs(path).ok()?.f_flag;
    if !flags.contains(rustix::fs::StatVfsMountFlags::NOEXEC) {
        return None;
    }
    let root = crate::platform::Root::host();
    let mounts = root.read(Path::new("/proc/self/mountinfo"), MOST_MOUNT_BYTES).unwrap_or_default();
    let mounts = String::from_utf8_lossy(&mounts).into_owned();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    let over = points.filter(|point| path.starts_with(point));
    Some(over.max_by_key(|point| point.len()).unwrap_or("its file system").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_class_that_fits_decides() {
        let user = Credentials { uid: 1000, gid: 1000, groups: vec![7], overrides: false };
        for (mode, owner, group, allowed) in [
            (0o755, 0, 0, true),
            (0o750, 0, 0, false),
            (0o750, 0, 7, true),
            (0o750, 0, 1000, true),
            (0o745, 0, 1000, false),
            (0o655, 1000, 0, false),
            (0o700, 1000, 0, true),
        ] {
            assert_eq!(
                user.allowed(mode, owner, group, 0o111),
                allowed,
                "{mode:o} {owner} {group}"
            );
        }
        let root = Credentials::root();
        assert!(root.allowed(0o001, 5, 5, 0o111));
        assert!(!root.allowed(0o644, 0, 0, 0o111));
        assert!(root.allowed(0o000, 5, 5, 0o777));
    }
}
