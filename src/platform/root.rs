//! A root filesystem to look at: `/` of this process, or a folder that holds one (`--root`).
//!
//! Every path inside is resolved as it would be with that folder as `/`: absolute symbolic links
//! and `..` stay inside. Files are opened without blocking, so that a FIFO cannot hang a check,
//! and read up to a limit, so that a sparse file cannot fill the memory.

use std::cell::RefCell;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

/// As many symbolic links as the kernel follows in one path (`man 7 path_resolution`).
const MOST_LINKS: usize = 40;
/// Bytes that are set aside for a file because of its size alone.
const MOST_TRUSTED: u64 = 1 << 20;
/// Paths that a trail holds at most.
const LONGEST_TRAIL: usize = 100_000;

/// A folder taken as `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    base: PathBuf,
    /// What was looked at, where somebody wants to know.
    trail: Option<Rc<RefCell<Vec<PathBuf>>>>,
}

impl Root {
    /// The root this process runs in.
    pub fn host() -> Root {
        Root { base: PathBuf::from("/"), trail: None }
    }

    /// The folder `base` as root; it must exist and be a folder.
    pub fn at(base: &Path) -> io::Result<Root> {
        let base = base.canonicalize()?;
        if base.is_dir() {
            Ok(Root { base, trail: None })
        } else {
            Err(io::ErrorKind::NotADirectory.into())
        }
    }

    /// Whether this is the root that this process runs in.
    pub fn is_host(&self) -> bool {
        self.base == Path::new("/")
    }

    /// The folder itself.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// The path on this machine of `path` inside the root, with every link followed.
    /// Fails where the last part does not exist.
    pub fn locate(&self, path: &Path) -> io::Result<PathBuf> {
        if self.is_host() {
            return Path::new("/").join(path).canonicalize();
        }
        let mut rest: Vec<OsString> = parts(path);
        rest.reverse();
        let mut inside: Vec<OsString> = Vec::new();
        let mut links = 0;
        while let Some(part) = rest.pop() {
            if part == ".." {
                inside.pop();
                continue;
            }
            inside.push(part);
            let here = self.on_host(&inside);
            let meta = here.symlink_metadata()?;
            if meta.is_symlink() {
                links += 1;
                if links > MOST_LINKS {
                    return Err(rustix::io::Errno::LOOP.into());
                }
                let target = here.read_link()?;
                inside.pop();
                if target.is_absolute() {
                    inside.clear();
                }
                let mut target = parts(&target);
                target.reverse();
                rest.extend(target);
            } else if !rest.is_empty() && !meta.is_dir() {
                return Err(io::ErrorKind::NotADirectory.into());
            }
        }
        Ok(self.on_host(&inside))
    }

    /// How a path on this machine is called inside the root.
    pub fn inside(&self, host: &Path) -> PathBuf {
        match host.strip_prefix(&self.base) {
            Ok(rest) => Path::new("/").join(rest),
            Err(_) => host.to_owned(),
        }
    }

    /// Whether `path` exists inside the root, links followed.
    pub fn exists(&self, path: &Path) -> bool {
        self.reach(path).is_ok_and(|host| host.exists())
    }

    /// Whether `path` is a folder inside the root, links followed.
    pub fn is_dir(&self, path: &Path) -> bool {
        self.reach(path).is_ok_and(|host| host.is_dir())
    }

    /// Whether `path` is a regular file inside the root, links followed.
    pub fn is_file(&self, path: &Path) -> bool {
        self.reach(path).is_ok_and(|host| host.is_file())
    }

    /// The same root, noting every path that is looked at from now on ([`Root::take_trail`]).
    pub fn with_trail(mut self) -> Root {
        self.trail = Some(Rc::default());
        self
    }

    /// The paths looked at since the last call, each once, in their order; none without a trail.
    pub fn take_trail(&self) -> Vec<PathBuf> {
        let taken = self.trail.as_ref().map(|trail| std::mem::take(&mut *trail.borrow_mut()));
        let mut seen = std::collections::HashSet::new();
        let mut paths = taken.unwrap_or_default();
        paths.retain(|path| seen.insert(path.clone()));
        paths
    }

    /// Notes a path that is looked at by other means than this type's; it is made only where
    /// there is a trail.
    pub fn note_with(&self, path: impl FnOnce() -> PathBuf) {
        if let Some(trail) = &self.trail {
            let mut trail = trail.borrow_mut();
            if trail.len() < LONGEST_TRAIL {
                trail.push(Path::new("/").join(path()));
            }
        }
    }

    /// The path on this machine for a call that follows links itself. In this process's own root
    /// the kernel does that; resolving each link here would cost a call for every part.
    pub fn reach(&self, path: &Path) -> io::Result<PathBuf> {
        self.note_with(|| path.to_owned());
        if self.is_host() { Ok(Path::new("/").join(path)) } else { self.locate(path) }
    }

    /// Opens a regular file for reading.
    pub fn open(&self, path: &Path) -> io::Result<File> {
        open_regular(&self.reach(path)?)
    }

    /// Reads a regular file of at most `limit` bytes; a longer one is an error.
    pub fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        read_all(self.open(path)?, limit)
    }

    /// The names in a folder, sorted; an empty list where there is no such folder.
    pub fn names(&self, path: &Path) -> Vec<OsString> {
        let Ok(entries) = self.reach(path).and_then(std::fs::read_dir) else { return Vec::new() };
        let mut names: Vec<OsString> =
            entries.filter_map(|entry| Some(entry.ok()?.file_name())).collect();
        names.sort();
        names
    }

    fn on_host(&self, inside: &[OsString]) -> PathBuf {
        let mut path = self.base.clone();
        path.extend(inside);
        path
    }
}

/// Reads a regular file of at most `limit` bytes, wherever the path leads from here; a longer one
/// is an error.
pub fn read_regular(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    read_all(open_regular(path)?, limit)
}

/// Opens a regular file by its path on this machine, without blocking at anything else.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC)
        .open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_file() {
        return Ok(file);
    }
    Err(io::Error::other(if kind.is_dir() {
        "is a directory"
    } else if kind.is_fifo() {
        "is a FIFO, not a regular file"
    } else {
        "is not a regular file"
    }))
}

fn read_all(file: File, limit: u64) -> io::Result<Vec<u8>> {
    // Room for the whole file saves growing and calling again; what the size says is not trusted
    // with more than this.
    let size = file.metadata()?.len().min(limit).min(MOST_TRUSTED);
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default() + 1);
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::other(format!("is larger than {limit} bytes")));
    }
    Ok(bytes)
}

/// The parts of a path that move: names and `..`, without `/` and `.`.
fn parts(path: &Path) -> Vec<OsString> {
    path.components()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| part.as_os_str().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("mak-root-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn links_and_dots_stay_inside_the_root() {
        let base = folder("links");
        std::fs::create_dir_all(base.join("usr/lib")).unwrap();
        std::fs::write(base.join("usr/lib/a"), "inside").unwrap();
        symlink("/usr/lib", base.join("lib")).unwrap();
        symlink("../../../../usr/lib/a", base.join("usr/lib/up")).unwrap();
        symlink("loop", base.join("loop")).unwrap();
        let root = Root::at(&base).unwrap();
        assert_eq!(root.read(Path::new("/lib/a"), 100).unwrap(), b"inside");
        assert_eq!(root.read(Path::new("lib/up"), 100).unwrap(), b"inside");
        assert_eq!(
            root.inside(&root.locate(Path::new("/lib/up")).unwrap()),
            Path::new("/usr/lib/a")
        );
        assert!(root.locate(Path::new("/loop")).is_err());
        assert!(root.locate(Path::new("/usr/lib/a/b")).is_err());
        assert!(!root.exists(Path::new("/etc/passwd")));
        std::fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn a_file_over_the_limit_and_a_fifo_are_errors_and_do_not_hang() {
        let base = folder("fifo");
        std::fs::write(base.join("big"), [0; 11]).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            base.join("pipe"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        let root = Root::at(&base).unwrap();
        assert!(root.read(Path::new("/big"), 10).is_err());
        assert_eq!(root.read(Path::new("/big"), 11).unwrap().len(), 11);
        assert!(root.open(Path::new("/pipe")).unwrap_err().to_string().contains("FIFO"));
        std::fs::remove_dir_all(base).unwrap();
    }
}
