//! Where an interpreter looks for installed distributions: PYTHONPATH, the site folders, and
//! the folders that `.pth` files in them name, in the order of `sys.path` (Python's `site.py`).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::pth::{self, Line};
use crate::platform::Root;

/// Real `.pth` files have a few lines.
const LARGEST_PTH: u64 = 1 << 20;
/// A path of more folders than this is not one that somebody set up.
const MOST_FOLDERS: usize = 1000;

/// Start-up code that is in nearly every environment and provides no module that could be asked
/// for: setuptools' over `distutils`, and virtualenv's over both.
const PROVIDES_NOTHING: [&str; 2] = ["distutils-precedence.pth", "_virtualenv.pth"];

/// What decides the folders.
pub(crate) struct Layout<'a> {
    /// As `python3.11`, the folder in `lib`.
    pub library_name: &'a str,
    /// As `/usr`.
    pub base_prefix: &'a Path,
    /// The virtual environment, and whether it shows the base's packages.
    pub environment: Option<(&'a Path, bool)>,
    /// The folder that the user site is below (`site.getuserbase`), where that counts.
    pub user_base: Option<&'a Path>,
    /// PYTHONPATH.
    pub python_path: Option<&'a OsStr>,
}

/// The folders of `sys.path` that can hold distributions, and the `.pth` files that run code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Site {
    /// Existing folders, first come first served.
    pub folders: Vec<PathBuf>,
    /// `.pth` files with `import` lines: what they do to the path cannot be read from files.
    pub start_up_code: Vec<PathBuf>,
    /// Archives on the path (zip, egg): what is in them is not read.
    pub archives: Vec<PathBuf>,
    /// Folders that may not be listed, with the reason: Python finds nothing in them either.
    pub unlisted: Vec<(PathBuf, String)>,
}

impl Site {
    pub(crate) fn of(root: &Root, layout: &Layout<'_>) -> Site {
        let mut site = Site::default();
        for path in layout.python_path.map(std::env::split_paths).into_iter().flatten() {
            // A relative entry hangs on the workload's folder.
            if path.is_absolute() {
                site.add(root, path);
            }
        }
        if let Some((prefix, _)) = layout.environment {
            site.add_prefix(root, prefix, layout.library_name, false);
        }
        if layout.environment.is_none_or(|(_, system)| system) {
            // A relative one hangs on the workload's folder, as in PYTHONPATH.
            if let Some(base) = layout.user_base.filter(|base| base.is_absolute()) {
                let user = base.join("lib").join(layout.library_name).join("site-packages");
                site.add_with_pth(root, user);
            }
            let debian = is_debian(root, layout);
            site.add_prefix(root, layout.base_prefix, layout.library_name, debian);
        }
        site
    }

    fn add_prefix(&mut self, root: &Root, prefix: &Path, library_name: &str, debian: bool) {
        if debian {
            let own = Path::new("lib").join(library_name).join("dist-packages");
            self.add_with_pth(root, prefix.join("local").join(&own));
            self.add_with_pth(root, prefix.join("lib/python3/dist-packages"));
            self.add_with_pth(root, prefix.join(&own));
            return;
        }
        let folder = |lib: &str| prefix.join(lib).join(library_name).join("site-packages");
        // Fedora's lib64 comes first; elsewhere it is a link to lib, or missing.
        let (wide, plain) = (folder("lib64"), folder("lib"));
        if root.locate(&wide).ok() != root.locate(&plain).ok() {
            self.add_with_pth(root, wide);
        }
        self.add_with_pth(root, plain);
    }

    fn add_with_pth(&mut self, root: &Root, folder: PathBuf) {
        if !self.add(root, folder.clone()) {
            return;
        }
        let names = match root.list(&folder) {
            Ok(names) => names,
            Err(error) => {
                self.unlisted.push((folder, error.to_string()));
                return;
            }
        };
        for name in names {
            let bytes = name.as_bytes();
            if bytes.ends_with(b".pth") && !bytes.starts_with(b".") {
                self.read_pth(root, &folder, &folder.join(&name));
            }
        }
    }

    fn read_pth(&mut self, root: &Root, folder: &Path, file: &Path) {
        let Ok(bytes) = root.read(file, LARGEST_PTH) else { return };
        for line in pth::lines(&bytes) {
            match line {
                Line::Code if PROVIDES_NOTHING.iter().any(|name| file.ends_with(name)) => {}
                Line::Code if self.start_up_code.last().is_some_and(|last| last == file) => {}
                Line::Code => self.start_up_code.push(file.to_owned()),
                Line::Folder(text) => {
                    self.add(root, tidy(&folder.join(OsStr::from_bytes(text))));
                }
            }
        }
    }

    /// Adds a folder that exists and is not there yet, under any name.
    fn add(&mut self, root: &Root, folder: PathBuf) -> bool {
        let Ok(host) = root.locate(&folder) else { return false };
        let Ok(meta) = root.meta_at(&host) else { return false };
        if meta.is_file() {
            self.archives.push(folder);
            return false;
        }
        let same = |other: &PathBuf| root.locate(other).is_ok_and(|other| other == host);
        if !meta.is_dir() || self.folders.len() >= MOST_FOLDERS || self.folders.iter().any(same) {
            return false;
        }
        self.folders.push(folder);
        true
    }
}

/// Debian's `site.py` has its own folders, `dist-packages`. A Python that was built in the same
/// image, such as the one of the official images in /usr/local, does not look there.
fn is_debian(root: &Root, layout: &Layout<'_>) -> bool {
    let library = layout.base_prefix.join("lib").join(layout.library_name);
    match root.read(&library.join("site.py"), LARGEST_PTH) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).contains("dist-packages"),
        Err(_) => {
            layout.base_prefix == Path::new("/usr")
                && root.is_dir(Path::new("/usr/lib/python3/dist-packages"))
        }
    }
}

/// The path without `.` and with `..` taken back by name.
fn tidy(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                tidy.pop();
            }
            part => tidy.push(part),
        }
    }
    tidy
}
