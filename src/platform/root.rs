//! A root filesystem to look at: `/` of this process, a folder that holds one (`--root`), or the
//! files of an image's layers ([`Tree`]), of which nothing is unpacked.
//!
//! Every path inside is resolved as it would be with that folder as `/`: absolute symbolic links
//! and `..` stay inside. Files are opened without blocking, so that a FIFO cannot hang a check,
//! and read up to a limit, so that a sparse file cannot fill the memory.
//!
//! A path that [`Root::locate`] has found has no link left in it. It is a path on this machine,
//! or of an image the path inside; two paths with the same one lead to the same file, and
//! [`Root::meta_at`] says what is there.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use super::file::{self, Meta, Place, Regular};
use super::tree::Tree;

/// As many symbolic links as the kernel follows in one path (`man 7 path_resolution`).
const MOST_LINKS: usize = 40;
/// Paths that a trail holds at most.
const LONGEST_TRAIL: usize = 100_000;
/// As the kernel takes it (PATH_MAX).
const LONGEST_PATH: usize = 4096;
/// Folders that are remembered at most.
const MOST_FOLDERS: usize = 10_000;

/// A folder, or an image, taken as `/`.
#[derive(Clone, Debug)]
pub struct Root {
    base: PathBuf,
    /// The files of an image; the base is `/` then.
    #[cfg(feature = "mak")]
    tree: Option<Rc<Tree>>,
    /// What was looked at, where somebody wants to know.
    trail: Option<Rc<RefCell<Vec<PathBuf>>>>,
    /// Folders that were located: thousands of files are in a few.
    folders: Rc<RefCell<HashMap<OsString, PathBuf>>>,
}

impl Root {
    /// The root this process runs in.
    pub fn host() -> Root {
        Root {
            base: PathBuf::from("/"),
            #[cfg(feature = "mak")]
            tree: None,
            trail: None,
            folders: Rc::default(),
        }
    }

    /// The files of an image.
    #[cfg(feature = "mak")]
    pub fn of_image(tree: Rc<Tree>) -> Root {
        Root { tree: Some(tree), ..Root::host() }
    }

    /// The files, where this is an image: never in what runs inside of one.
    pub(crate) fn tree(&self) -> Option<&Tree> {
        #[cfg(feature = "mak")]
        return self.tree.as_deref();
        #[cfg(not(feature = "mak"))]
        None
    }

    /// The folder `base` as root; it must exist and be a folder.
    pub fn at(base: &Path) -> io::Result<Root> {
        let base = base.canonicalize()?;
        if base.is_dir() {
            Ok(Root { base, ..Root::host() })
        } else {
            Err(io::ErrorKind::NotADirectory.into())
        }
    }

    /// Whether this is the root that this process runs in.
    pub fn is_host(&self) -> bool {
        self.tree().is_none() && self.base == Path::new("/")
    }

    /// Whether these are the files of an image, which no kernel here can be asked about.
    pub fn is_image(&self) -> bool {
        self.tree().is_some()
    }

    /// The folder itself.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// Where `path` inside the root leads, with every link followed. Fails where the last part
    /// does not exist.
    pub fn locate(&self, path: &Path) -> io::Result<PathBuf> {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return self.follow(path);
        };
        let there = self.folder(folder)?.join(name);
        if self.meta_at(&there)?.is_symlink() { self.follow(path) } else { Ok(there) }
    }

    /// Where a folder is: from the nearest one above it that is known, and each found once.
    fn folder(&self, path: &Path) -> io::Result<PathBuf> {
        let (mut there, mut unknown) = (self.base.clone(), Vec::new());
        if path.as_os_str().len() > LONGEST_PATH {
            return self.follow(path);
        }
        for folder in path.ancestors() {
            if let Some(known) = self.folders.borrow().get(folder.as_os_str()) {
                there.clone_from(known);
                break;
            }
            match folder.file_name() {
                Some(name) => unknown.push((folder, name)),
                // The root, whose own place is known, or `..`, which hangs on links.
                None if folder.parent().is_none() => {}
                None => return self.follow(path),
            }
        }
        for (folder, name) in unknown.into_iter().rev() {
            there.push(name);
            if !self.meta_at(&there)?.is_dir() {
                there = self.follow(folder)?;
            }
            let mut folders = self.folders.borrow_mut();
            if folders.len() < MOST_FOLDERS {
                folders.insert(folder.as_os_str().to_owned(), there.clone());
            }
        }
        Ok(there)
    }

    /// Follows every part of a path.
    fn follow(&self, path: &Path) -> io::Result<PathBuf> {
        if self.is_host() {
            return Path::new("/").join(path).canonicalize();
        }
        follow(&self.base, path, |here| {
            let meta = self.meta_at(here)?;
            Ok(match meta.is_symlink() {
                true => Step::Link(self.link_at(here)?),
                false if meta.is_dir() => Step::Folder,
                false => Step::Other,
            })
        })
    }

    /// What stands at a located path, or at a name joined to one; a link is not followed.
    pub fn meta_at(&self, located: &Path) -> io::Result<Meta> {
        match self.tree() {
            None => located.symlink_metadata().map(Meta::from),
            Some(tree) => {
                tree.get(located).map(|entry| entry.meta).ok_or_else(|| absent(tree, located))
            }
        }
    }

    /// The target of a link at a located path, or at a name joined to one.
    pub fn link_at(&self, located: &Path) -> io::Result<PathBuf> {
        match self.tree() {
            None => located.read_link(),
            Some(tree) => tree
                .get(located)
                .and_then(|entry| tree.link(&entry))
                .ok_or_else(|| io::ErrorKind::InvalidInput.into()),
        }
    }

    /// What `path` leads to, links followed.
    pub fn metadata(&self, path: &Path) -> io::Result<Meta> {
        let there = self.reach(path)?;
        match self.tree() {
            None => there.metadata().map(Meta::from),
            Some(_) => self.meta_at(&there),
        }
    }

    /// What is at the end of `path`, where the last part may be a link.
    pub fn symlink_metadata(&self, path: &Path) -> io::Result<Meta> {
        match (path.parent(), path.file_name()) {
            (Some(folder), Some(name)) => self.meta_at(&self.locate(folder)?.join(name)),
            _ => self.metadata(path),
        }
    }

    /// How a located path is called inside the root.
    pub fn inside(&self, host: &Path) -> PathBuf {
        match host.strip_prefix(&self.base) {
            Ok(rest) => Path::new("/").join(rest),
            Err(_) => host.to_owned(),
        }
    }

    /// Whether `path` exists inside the root, links followed.
    pub fn exists(&self, path: &Path) -> bool {
        self.metadata(path).is_ok()
    }

    /// Whether `path` is a folder inside the root, links followed.
    pub fn is_dir(&self, path: &Path) -> bool {
        self.metadata(path).is_ok_and(|meta| meta.is_dir())
    }

    /// Whether `path` is a regular file inside the root, links followed.
    pub fn is_file(&self, path: &Path) -> bool {
        self.metadata(path).is_ok_and(|meta| meta.is_file())
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

    /// The path for a call that follows links itself. In this process's own root the kernel does
    /// that; resolving each link here would cost a call for every part.
    fn reach(&self, path: &Path) -> io::Result<PathBuf> {
        self.note_with(|| path.to_owned());
        if self.is_host() { Ok(Path::new("/").join(path)) } else { self.locate(path) }
    }

    /// Where the bytes of a regular file are, to be opened later and by any thread.
    pub fn place(&self, path: &Path) -> io::Result<Place> {
        let there = self.reach(path)?;
        let Some(tree) = self.tree() else { return Ok(Place::Path(there)) };
        let entry = tree.get(&there).ok_or(io::ErrorKind::NotFound)?;
        if !entry.meta.is_file() {
            return Err(file::refused(entry.meta.kind));
        }
        tree.part(&entry).map(Place::Part).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Opens a regular file for reading.
    pub fn open(&self, path: &Path) -> io::Result<Regular> {
        self.place(path)?.open()
    }

    /// Reads a regular file of at most `limit` bytes; a longer one is an error.
    pub fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        self.open(path)?.read_all(limit)
    }

    /// The names in a folder, sorted; an empty list where there is no such folder.
    pub fn names(&self, path: &Path) -> Vec<OsString> {
        self.list(path).unwrap_or_default()
    }

    /// The names in a folder, sorted.
    pub fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let there = self.reach(path)?;
        let mut names: Vec<OsString> = match self.tree() {
            Some(tree) => tree.names(&there).unwrap_or_default(),
            None => std::fs::read_dir(there)?
                .filter_map(|entry| Some(entry.ok()?.file_name()))
                .collect(),
        };
        names.sort();
        Ok(names)
    }
}

/// What is met on the way along a path.
pub(crate) enum Step {
    /// A folder.
    Folder,
    /// A link, with its target.
    Link(PathBuf),
    /// Anything else; the path ends here.
    Other,
}

/// Follows `path` with `base` as `/`, asking `look` what stands at each part of it. The result
/// has no link in it.
pub(crate) fn follow(
    base: &Path,
    path: &Path,
    look: impl Fn(&Path) -> io::Result<Step>,
) -> io::Result<PathBuf> {
    let mut rest: Vec<OsString> = parts(path);
    rest.reverse();
    let mut here = base.to_owned();
    let mut depth = 0_usize;
    let mut links = 0;
    while let Some(part) = rest.pop() {
        if part == ".." {
            if depth > 0 {
                here.pop();
                depth -= 1;
            }
            continue;
        }
        here.push(part);
        depth += 1;
        match look(&here)? {
            Step::Folder => {}
            Step::Other if rest.is_empty() => {}
            Step::Other => return Err(io::ErrorKind::NotADirectory.into()),
            Step::Link(target) => {
                links += 1;
                if links > MOST_LINKS {
                    return Err(rustix::io::Errno::LOOP.into());
                }
                here.pop();
                depth -= 1;
                if target.is_absolute() {
                    here = base.to_owned();
                    depth = 0;
                }
                let mut target = parts(&target);
                target.reverse();
                rest.extend(target);
            }
        }
    }
    Ok(here)
}

/// Why an image has nothing at this path: what the kernel would say.
fn absent(tree: &Tree, path: &Path) -> io::Error {
    let beyond = path.ancestors().skip(1).find_map(|folder| tree.get(folder));
    match beyond {
        Some(entry) if !entry.meta.is_dir() => rustix::io::Errno::NOTDIR.into(),
        _ => rustix::io::Errno::NOENT.into(),
    }
}

/// Reads a regular file of at most `limit` bytes, wherever the path leads from here; a longer one
/// is an error.
pub fn read_regular(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    file::open(path)?.read_all(limit)
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
