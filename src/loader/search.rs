//! One search for one name: what a loader is made of, who asks, and what came of it.
//!
//! [`Loader`] is made once for a root; the order of the search is in `glibc.rs` and `musl.rs`.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::cache::{self, Cache};
use super::conditions::Conditions;
use super::{glibc, musl, preload};
use crate::elf::{self, ElfError, Identity, Object};
use crate::platform::userland::{Family as Libc, loader_of};
use crate::platform::{Arch, Contents, Regular, Root};

const CACHE: &str = "/etc/ld.so.cache";
/// Folders that a [`Resolution::Missing`] names at most.
const MOST_SEARCHED: usize = 64;
/// Bytes of memory that remembered objects may take, about.
const MOST_REMEMBERED: usize = 16 * 1024 * 1024;

/// The dynamic loader of a root for one architecture.
#[derive(Clone, Debug)]
pub struct Loader<'a> {
    pub(super) root: &'a Root,
    pub(super) arch: Arch,
    pub(super) libc: Libc,
    /// The loader's own file and header, where the root has one.
    pub(super) program: Option<(PathBuf, Identity)>,
    /// Environment, processor and kernel.
    pub(super) conditions: Conditions,
    /// What is loaded before everything else, as LD_PRELOAD and its file name it.
    pub(super) preloads: Vec<OsString>,
    /// The folders searched at last.
    pub(super) default_folders: Vec<PathBuf>,
    /// The sub-directories of each folder that come before it, best first.
    pub(super) subfolders: Vec<PathBuf>,
    pub(super) cache: Option<Cache>,
    /// What was wrong with the loader's own files.
    pub(super) notes: Vec<String>,
    /// What was read already: the libc is needed by every file of a root.
    objects: RefCell<Memory>,
    /// Of each folder that was searched, the sub-directories that are there.
    better: RefCell<HashMap<PathBuf, Rc<[PathBuf]>>>,
    /// Files with their links followed, and names that were found without a search path of the
    /// requester's: the same few are asked for again by every file.
    files: RefCell<HashMap<OsString, PathBuf>>,
    plain: RefCell<HashMap<OsString, Resolution>>,
}

/// Objects by their path on this machine, as long as there is room.
#[derive(Clone, Debug, Default)]
struct Memory {
    objects: HashMap<PathBuf, Rc<Object>>,
    bytes: usize,
}

/// The file that needs another one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requester {
    /// Its path inside the root, from which `$ORIGIN` follows.
    pub path: PathBuf,
    /// DT_RPATH.
    pub rpath: Option<OsString>,
    /// DT_RUNPATH.
    pub runpath: Option<OsString>,
    /// DF_1_NODEFLIB.
    pub skips_default_folders: bool,
}

impl Requester {
    /// The object at `path` as requester.
    pub fn of(path: &Path, object: &Object) -> Requester {
        Requester {
            path: path.to_owned(),
            rpath: object.rpath.clone(),
            runpath: object.runpath.clone(),
            skips_default_folders: object.skips_default_folders(),
        }
    }

    /// Whether it has no search path of its own.
    pub(super) fn is_plain(&self) -> bool {
        self.rpath.is_none() && self.runpath.is_none() && !self.skips_default_folders
    }

    /// Whether its search path counts for what the files need that it loads. In musl both kinds do.
    fn lends_path(&self, libc: Libc) -> bool {
        match libc {
            Libc::Glibc => self.runpath.is_none() && self.rpath.is_some(),
            Libc::Musl => self.runpath.is_some() || self.rpath.is_some(),
        }
    }

    /// The folder it lies in.
    pub(super) fn origin(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }
}

/// Through what a file was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The name is a path.
    Path,
    /// DT_RPATH of the requester or of what loaded it.
    Rpath,
    /// LD_LIBRARY_PATH.
    LibraryPath,
    /// DT_RUNPATH of the requester.
    Runpath,
    /// `/etc/ld.so.cache`.
    Cache,
    /// One of the folders the loader searches at last.
    DefaultFolder,
    /// It is the loader itself, which is loaded already (on musl also the libc).
    Itself,
}

/// A file of the right name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its path inside the root.
    pub path: PathBuf,
    /// Its header.
    pub identity: Identity,
}

/// A file whose name differs from the one that was searched for behind `.so.` only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Its path inside the root.
    pub path: PathBuf,
    /// How it compares to the wanted one, where both have numbers.
    pub order: Option<Ordering>,
}

impl fmt::Display for Generation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let which = match self.order {
            Some(Ordering::Less) => "an older generation",
            Some(Ordering::Greater) => "a newer generation",
            Some(Ordering::Equal) => "the same generation under another name (run ldconfig)",
            None => "another generation",
        };
        write!(out, "{which}: {}", self.path.display())
    }
}

/// What came of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// The loader takes this file.
    Found {
        /// The file.
        file: Candidate,
        /// Through what it was found.
        how: How,
        /// Files of the same name that came earlier in the search and are for another machine;
        /// glibc passes over them without a word.
        skipped: Vec<Candidate>,
    },
    /// There are files of this name, but all are for another machine; or, on musl, the first one
    /// is, which musl loads nevertheless and dies of.
    WrongMachine {
        /// The files, in the order of the search.
        candidates: Vec<Candidate>,
        /// What else was noticed.
        notes: Vec<String>,
    },
    /// The loader stops at this file with an error and looks no further.
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, as `is an empty file`.
        reason: String,
    },
    /// There is no such file where the loader looks.
    Missing {
        /// Where it looks, in order; at most 64 folders.
        searched: Vec<PathBuf>,
        /// What may explain it: stale cache entries, files in folders that are not searched.
        notes: Vec<String>,
        /// Files of another generation, in the folders that were searched.
        generations: Vec<Generation>,
    },
}

impl<'a> Loader<'a> {
    /// The loader that `root` has for `arch`: glibc's where there is none at all. A cache that
    /// cannot be used is remembered as a note.
    pub fn new(root: &'a Root, arch: Arch, conditions: Conditions) -> Loader<'a> {
        let (libc, program) = match loader_of(root, arch) {
            Some(found) => (found.family, Some((found.loader, found.identity))),
            None => (Libc::Glibc, None),
        };
        Loader::of(root, arch, libc, program, conditions)
    }

    /// The loader at `program`, as a program's PT_INTERP names it.
    fn of(
        root: &'a Root,
        arch: Arch,
        libc: Libc,
        program: Option<(PathBuf, Identity)>,
        conditions: Conditions,
    ) -> Loader<'a> {
        let mut notes = Vec::new();
        let path = program.as_ref().map(|(path, _)| path.as_path());
        if path.is_none() {
            notes.push(format!("the root has no dynamic loader for {arch}"));
        }
        let (default_folders, subfolders, cache) = match libc {
            Libc::Glibc => {
                let cache = load_cache(root, arch, &mut notes);
                let built_in = glibc::built_in(root, arch, path, &conditions.processor);
                (built_in.folders, built_in.subfolders, cache)
            }
            Libc::Musl => {
                let folder = conditions.working_folder.as_deref();
                (musl::default_folders(root, arch, path, folder), Vec::new(), None)
            }
        };
        Loader {
            root,
            arch,
            libc,
            program,
            preloads: preload::names(root, libc, &conditions.preload),
            conditions,
            default_folders,
            subfolders,
            cache,
            notes,
            objects: RefCell::default(),
            better: RefCell::default(),
            files: RefCell::default(),
            plain: RefCell::default(),
        }
    }

    /// The same loader for a program that asks for the interpreter at `path`.
    pub(super) fn through(&self, path: &Path, identity: Identity, libc: Libc) -> Loader<'a> {
        let program = Some((path.to_owned(), identity));
        Loader::of(self.root, self.arch, libc, program, self.conditions.clone())
    }

    /// Which libc's rules are followed.
    pub fn libc(&self) -> Libc {
        self.libc
    }

    /// The architecture whose files are wanted.
    pub fn arch(&self) -> Arch {
        self.arch
    }

    /// The path of the dynamic loader inside the root, where there is one.
    pub fn path(&self) -> Option<&Path> {
        self.program.as_ref().map(|(path, _)| path.as_path())
    }

    /// The cache, where glibc has one that can be used.
    pub fn cache(&self) -> Option<&Cache> {
        self.cache.as_ref()
    }

    /// What was wrong with the loader's own files, in sentences.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The folders that are searched at last.
    pub fn default_folders(&self) -> &[PathBuf] {
        &self.default_folders
    }

    /// Finds the file that the loader takes for `name`, a soname or a path; without a requester
    /// as for a name in LD_PRELOAD.
    pub fn find(&self, name: impl AsRef<OsStr>, requester: Option<&Requester>) -> Resolution {
        let name = name.as_ref();
        match requester {
            Some(requester) => self.find_for(name, &[requester]),
            None => self.find_for(name, &[]),
        }
    }

    /// Finds `name` as [`Loader::find_for`] does, and remembers it where nothing of the requesters
    /// takes part: every file of a root needs the same few.
    pub(super) fn find_needed(&self, name: &OsStr, chain: &[&Requester]) -> Resolution {
        // $ORIGIN in LD_LIBRARY_PATH stands for the folder of each program.
        let plain = !name.as_bytes().contains(&b'/')
            && !self.conditions.library_path.as_bytes().contains(&b'$')
            && chain.split_first().is_none_or(|(requester, above)| {
                requester.is_plain() && above.iter().all(|above| !above.lends_path(self.libc))
            });
        if !plain {
            return self.find_for(name, chain);
        }
        if let Some(known) = self.plain.borrow().get(name) {
            return known.clone();
        }
        let resolution = self.find_for(name, chain);
        if matches!(resolution, Resolution::Found { .. }) {
            self.plain.borrow_mut().insert(name.to_owned(), resolution.clone());
        }
        resolution
    }

    /// Finds `name` for the first of `chain`; the others are what loaded it, nearest first.
    pub(super) fn find_for(&self, name: &OsStr, chain: &[&Requester]) -> Resolution {
        let mut attempt = Attempt::new(self);
        let end = match self.libc {
            Libc::Glibc => glibc::find(&mut attempt, name, chain),
            Libc::Musl => musl::find(&mut attempt, name, chain),
        };
        match end {
            Some(resolution) => resolution,
            None => attempt.failed(name),
        }
    }

    /// What is loaded before everything else: LD_PRELOAD, then glibc's `/etc/ld.so.preload`.
    pub fn preloads(&self) -> &[OsString] {
        &self.preloads
    }

    /// Under what it searches.
    pub fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    /// The sub-directories of a folder that are there and come before it.
    pub(super) fn better(&self, folder: &Path) -> Rc<[PathBuf]> {
        if let Some(known) = self.better.borrow().get(folder) {
            return Rc::clone(known);
        }
        let found = glibc::better(self, folder);
        self.better.borrow_mut().insert(folder.to_owned(), Rc::clone(&found));
        found
    }

    /// The loader itself as the answer to a search.
    pub(super) fn itself(&self) -> Option<Resolution> {
        let (path, identity) = self.program.clone()?;
        let file = Candidate { path, identity };
        Some(Resolution::Found { file, how: How::Itself, skipped: Vec::new() })
    }

    /// The object at a path inside the root.
    pub fn object(&self, path: &Path) -> Result<Rc<Object>, ElfError> {
        self.read(path)
    }

    /// The folder that paths count from, and the files in it.
    pub fn root(&self) -> &'a Root {
        self.root
    }

    /// The path on this machine, as [`Root::locate`] has it, found once: every file needs the same
    /// few.
    pub(super) fn locate(&self, path: &Path) -> io::Result<PathBuf> {
        if let Some(known) = self.files.borrow().get(path.as_os_str()) {
            return Ok(known.clone());
        }
        let host = self.root.locate(path)?;
        self.files.borrow_mut().insert(path.as_os_str().to_owned(), host.clone());
        Ok(host)
    }

    /// Reads the object at a path inside the root, or remembers it.
    pub(super) fn read(&self, path: &Path) -> Result<Rc<Object>, ElfError> {
        let host = self.locate(path)?;
        if let Some(object) = self.objects.borrow().objects.get(&host) {
            return Ok(Rc::clone(object));
        }
        let object = Rc::new(elf::read(&self.root.open(path)?)?);
        let mut memory = self.objects.borrow_mut();
        let bytes = memory.bytes + object.weight() + host.as_os_str().len();
        if bytes <= MOST_REMEMBERED {
            memory.bytes = bytes;
            memory.objects.insert(host, Rc::clone(&object));
        }
        Ok(object)
    }

    /// Whether a file is for the machine that the loader is for.
    fn takes(&self, identity: &Identity) -> bool {
        let beside = self.program.as_ref().is_none_or(|(_, loader)| identity.loads_beside(loader));
        beside && identity.runs_on(self.arch).is_ok()
    }
}

fn load_cache(root: &Root, arch: Arch, notes: &mut Vec<String>) -> Option<Cache> {
    let bytes = match root.read(Path::new(CACHE), cache::MOST_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            notes.push(format!("{CACHE} cannot be read: {error}"));
            return None;
        }
    };
    match Cache::parse(bytes) {
        Ok(cache) if cache.is_empty() || cache.endian() == elf::endian_of(arch) => Some(cache),
        Ok(_) => {
            notes.push(format!("{CACHE} was written for another byte order; run ldconfig"));
            None
        }
        Err(error) => {
            notes.push(format!("{CACHE} {error}; run ldconfig"));
            None
        }
    }
}

/// One search under way.
pub(super) struct Attempt<'l, 'a> {
    pub loader: &'l Loader<'a>,
    pub notes: Vec<String>,
    /// Whether the last file could not be opened for a reason at which glibc leaves the rest of a
    /// search path out.
    pub gave_up: bool,
    searched: Vec<PathBuf>,
    wrong: Vec<Candidate>,
}

impl<'l, 'a> Attempt<'l, 'a> {
    fn new(loader: &'l Loader<'a>) -> Attempt<'l, 'a> {
        let (searched, wrong) = (Vec::new(), Vec::new());
        Attempt { loader, notes: Vec::new(), gave_up: false, searched, wrong }
    }

    /// Tries `name` in a folder. `None` means that the search goes on.
    pub fn folder(&mut self, folder: &Path, name: &OsStr, how: How) -> Option<Resolution> {
        if self.searched.len() < MOST_SEARCHED && !self.searched.iter().any(|done| done == folder) {
            self.searched.push(folder.to_owned());
        }
        self.file(&folder.join(name), how)
    }

    /// Tries one path. `None` means that the search goes on.
    pub fn file(&mut self, path: &Path, how: How) -> Option<Resolution> {
        let broken = |reason: String| Some(Resolution::Broken { path: path.to_owned(), reason });
        self.gave_up = false;
        let file = match self.loader.root.open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::Other => return broken(error.to_string()),
            Err(error) if self.loader.libc == Libc::Musl && musl::ends_search(&error) => {
                return broken(error.to_string());
            }
            Err(error) => {
                use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
                self.gave_up = !matches!(error.kind(), NotFound | NotADirectory | PermissionDenied);
                if self.gave_up || error.kind() == PermissionDenied {
                    self.notes.push(format!("{} cannot be opened: {error}", path.display()));
                }
                return None;
            }
        };
        let identity = match elf::identify(&file) {
            Ok(identity) => identity,
            Err(error) => return broken(not_loadable(&file, error)),
        };
        let file = Candidate { path: path.to_owned(), identity };
        if !self.loader.takes(&identity) {
            if !self.wrong.contains(&file) {
                self.wrong.push(file);
            }
            return match self.loader.libc {
                Libc::Glibc => None,
                Libc::Musl => Some(self.wrong_machine()),
            };
        }
        if !identity.is_loadable() {
            return broken("is neither a program nor a shared object".to_owned());
        }
        Some(Resolution::Found { file, how, skipped: std::mem::take(&mut self.wrong) })
    }

    fn wrong_machine(&mut self) -> Resolution {
        Resolution::WrongMachine {
            candidates: std::mem::take(&mut self.wrong),
            notes: std::mem::take(&mut self.notes),
        }
    }

    fn failed(mut self, name: &OsStr) -> Resolution {
        if self.loader.libc == Libc::Glibc {
            glibc::explain(&mut self, name);
        }
        if !self.wrong.is_empty() {
            return self.wrong_machine();
        }
        self.notes.extend_from_slice(&self.loader.notes);
        let generations = self.generations(name);
        Resolution::Missing { searched: self.searched, notes: self.notes, generations }
    }

    /// Files of this machine that differ from `name` behind `.so.` only.
    fn generations(&self, name: &OsStr) -> Vec<Generation> {
        const MOST_NAMED: usize = 4;
        const MARK: &[u8] = b".so.";
        let name = name.as_bytes();
        let Some(end) = name.windows(MARK.len()).position(|part| part == MARK) else {
            return Vec::new();
        };
        let (stem, wanted) = name.split_at(end + MARK.len());
        let mut found: Vec<Generation> = Vec::new();
        for folder in self.searched.iter().filter(|_| !name.contains(&b'/')) {
            for other in self.loader.root.names(folder) {
                let Some(version) = other.as_bytes().strip_prefix(stem) else { continue };
                let path = folder.join(&other);
                let Ok(host) = self.loader.root.locate(&path) else { continue };
                let same = |one: &Generation| {
                    self.loader.root.locate(&one.path).is_ok_and(|known| known == host)
                };
                if found.len() >= MOST_NAMED || found.iter().any(same) {
                    continue;
                }
                let file = self.loader.root.open(&path).ok();
                let identity = file.and_then(|file| elf::identify(&file).ok());
                if identity.is_some_and(|identity| self.loader.takes(&identity)) {
                    let order = number(version).zip(number(wanted)).map(|(a, b)| a.cmp(&b));
                    found.push(Generation { path, order });
                }
            }
        }
        found
    }
}

/// The generation in what stands behind `.so.`: 15 of `15.9.0`.
fn number(version: &[u8]) -> Option<u32> {
    std::str::from_utf8(version).ok()?.split('.').next()?.parse().ok()
}

/// What is wrong with a file that is not ELF; a text in its place is mostly a linker script.
fn not_loadable(file: &Regular, error: ElfError) -> String {
    let mut start = [0; 64];
    let text = matches!(error, ElfError::NotElf)
        && matches!(file.read_at(&mut start, 0), Ok(64))
        && start.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
    if text {
        return "is a text (a linker script?), not an ELF file".to_owned();
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loader::fixture::{Folder, arch};

    fn conditions(library_path: &str) -> Conditions {
        Conditions { library_path: library_path.into(), ..Conditions::default() }
    }

    fn loader<'a>(root: &'a Root, library_path: &str) -> Loader<'a> {
        Loader::new(root, arch(), conditions(library_path))
    }

    /// Path and means of what was found.
    fn found(resolution: &Resolution) -> (&str, How) {
        match resolution {
            Resolution::Found { file, how, .. } => (file.path.to_str().unwrap(), *how),
            other => panic!("{other:?}"),
        }
    }

    fn requester(path: &str, rpath: Option<&str>, runpath: Option<&str>) -> Requester {
        Requester {
            path: path.into(),
            rpath: rpath.map(OsString::from),
            runpath: runpath.map(OsString::from),
            skips_default_folders: false,
        }
    }

    #[test]
    fn a_program_s_rpath_counts_for_what_its_modules_need_and_its_runpath_does_not() {
        let folder = Folder::glibc("lent");
        folder.library("lib/liba.so", "int a;", &[]);
        folder.library("app/own/liba.so", "int a;", &[]);
        let root = folder.root();
        let loader = Loader::new(&root, arch(), Conditions::default());
        let module = requester("/modules/m.so", None, None);
        let with_runpath = requester("/app/x", None, Some("$ORIGIN/own"));
        let with_rpath = requester("/app/x", Some("$ORIGIN/own"), None);
        let find = |chain: &[&Requester]| loader.find_needed(OsStr::new("liba.so"), chain);
        let default = ("/lib/liba.so", How::DefaultFolder);
        assert_eq!(found(&find(&[&module, &with_runpath])), default);
        // It is remembered now, for those whose search path is the same only.
        std::fs::remove_file(folder.path("lib/liba.so")).unwrap();
        assert_eq!(found(&find(&[&module, &with_runpath])), default);
        assert_eq!(found(&find(&[&module, &with_rpath])), ("/app/own/liba.so", How::Rpath));
        assert_eq!(found(&find(&[&with_runpath])), ("/app/own/liba.so", How::Runpath));
    }

    #[test]
    fn glibc_searches_rpath_library_path_runpath_cache_and_default_folders_in_this_order() {
        let folder = Folder::glibc("order");
        let places = ["app/rpath", "env", "app/runpath", "opt/cached", "lib"];
        for place in places {
            folder.library(&format!("{place}/liba.so"), "int a;", &[]);
        }
        folder.write("etc/ld.so.cache", cache_of(&[("liba.so", "/opt/cached/liba.so")]));
        let root = folder.root();
        let loader = loader(&root, ":/env;relative");
        assert_eq!(loader.libc(), Libc::Glibc);
        let with_rpath = requester("/app/x", Some("$ORIGIN/rpath"), None);
        let with_runpath =
            requester("/app/x", Some("$ORIGIN/rpath"), Some("/none:${ORIGIN}/runpath"));
        let rpath = loader.find("liba.so", Some(&with_rpath));
        assert_eq!(found(&rpath), ("/app/rpath/liba.so", How::Rpath));
        let env = loader.find("liba.so", Some(&with_runpath));
        assert_eq!(found(&env), ("/env/liba.so", How::LibraryPath));

        let loader = Loader::new(&root, arch(), Conditions::default());
        let runpath = loader.find("liba.so", Some(&with_runpath));
        assert_eq!(found(&runpath), ("/app/runpath/liba.so", How::Runpath));
        assert_eq!(found(&loader.find("liba.so", None)), ("/opt/cached/liba.so", How::Cache));

        std::fs::remove_file(folder.path("opt/cached/liba.so")).unwrap();
        let default = loader.find("liba.so", None);
        assert_eq!(found(&default), ("/lib/liba.so", How::DefaultFolder));
        let strict = Requester { skips_default_folders: true, ..Requester::default() };
        let Resolution::Missing { notes, .. } = loader.find("liba.so", Some(&strict)) else {
            panic!("a default folder was searched");
        };
        assert!(notes[0].contains("/opt/cached/liba.so, which is gone"), "{notes:?}");
    }

    /// A cache of the new format for this machine.
    fn cache_of(entries: &[(&str, &str)]) -> Vec<u8> {
        let flags: u32 = match arch() {
            Arch::Amd64 => 0x0303,
            Arch::Arm64 => 0x0a03,
            other => panic!("{other}"),
        };
        let mut bytes = b"glibc-ld.so.cache1.1".to_vec();
        bytes.extend((entries.len() as u32).to_le_bytes());
        bytes.resize(48, 0);
        let mut strings = Vec::new();
        let base = 48 + 24 * entries.len();
        for (name, path) in entries {
            bytes.extend(flags.to_le_bytes());
            for text in [name, path] {
                bytes.extend(((base + strings.len()) as u32).to_le_bytes());
                strings.extend_from_slice(text.as_bytes());
                strings.push(0);
            }
            bytes.extend([0; 12]);
        }
        bytes.extend(strings);
        bytes
    }

    #[test]
    fn a_file_for_another_machine_is_passed_over_by_glibc_and_named() {
        let folder = Folder::glibc("foreign");
        folder.library("a/libhwloc.so.15", "int a;", &[]);
        folder.foreign("a/libhwloc.so.15");
        folder.library("b/libhwloc.so.15", "int a;", &[]);
        let root = folder.root();
        let both = loader(&root, "/a:/b").find("libhwloc.so.15", None);
        assert_eq!(found(&both).0, "/b/libhwloc.so.15");
        let Resolution::Found { skipped, .. } = both else { panic!() };
        assert_eq!(skipped[0].path, Path::new("/a/libhwloc.so.15"));

        let only = loader(&root, "/a").find("libhwloc.so.15", None);
        let Resolution::WrongMachine { candidates, .. } = only else { panic!("{only:?}") };
        assert_eq!(candidates.len(), 1);
        assert!(candidates[0].identity.runs_on(arch()).is_err());
    }

    #[test]
    fn a_file_for_another_machine_ends_the_search_of_musl() {
        let folder = Folder::musl("musl-foreign");
        folder.library("a/liba.so", "int a;", &[]);
        folder.foreign("a/liba.so");
        folder.library("b/liba.so", "int a;", &[]);
        let root = folder.root();
        let loader = loader(&root, "/a:/b");
        assert_eq!(loader.libc(), Libc::Musl);
        assert!(matches!(loader.find("liba.so", None), Resolution::WrongMachine { .. }));
    }

    #[test]
    fn musl_is_its_own_libc_and_reads_its_path_file() {
        let folder = Folder::musl("musl-path");
        folder.library("usr/local/lib/liba.so", "int a;", &[]);
        folder.library("opt/libb.so", "int b;", &[]);
        let root = folder.root();
        let own = loader(&root, "");
        assert_eq!(found(&own.find("libc.so.6", None)).1, How::Itself);
        assert_eq!(found(&own.find("libpthread.so.0", None)).1, How::Itself);
        assert_eq!(found(&own.find("liba.so", None)).0, "/usr/local/lib/liba.so");
        let above = requester("/opt/app", Some("$ORIGIN"), None);
        let below = requester("/usr/local/lib/liba.so", None, None);
        let inherited = own.find_for(OsStr::new("libb.so"), &[&below, &above]);
        assert_eq!(found(&inherited), ("/opt/libb.so", How::Rpath));
        let platform = requester("/opt/app", Some("$ORIGIN:$LIB"), None);
        assert!(matches!(own.find("libb.so", Some(&platform)), Resolution::Missing { .. }));

        let name = own.path().unwrap().file_name().unwrap().to_str().unwrap();
        let name = name.trim_end_matches(".so.1");
        folder.write(&format!("etc/{name}.path"), "/nowhere\n/opt\n");
        assert_eq!(found(&loader(&root, "").find("libb.so", None)).0, "/opt/libb.so");
    }

    #[test]
    fn a_missing_file_comes_with_what_may_explain_it() {
        let folder = Folder::glibc("explain");
        folder.library("usr/lib/libhwloc.so.5", "int a;", &[]);
        folder.library("usr/local/lib/libnew.so.1", "int a;", &[]);
        folder.write("etc/ld.so.conf", "/usr/local/lib\n");
        folder.write("etc/ld.so.cache", "half a cache");
        let root = folder.root();
        let loader = loader(&root, "");
        assert!(loader.notes()[0].contains("is not a loader cache"), "{:?}", loader.notes());
        let resolution = loader.find("libhwloc.so.15", None);
        let Resolution::Missing { searched, notes, generations } = resolution else {
            panic!("libhwloc.so.15 is not there");
        };
        assert!(searched.contains(&PathBuf::from("/usr/lib")), "{searched:?}");
        let older = &generations[0];
        assert_eq!(older.to_string(), "an older generation: /usr/lib/libhwloc.so.5", "{notes:?}");
        let Resolution::Missing { notes, .. } = loader.find("libnew.so.1", None) else {
            panic!("libnew.so.1 is in no cache");
        };
        assert!(notes[0].contains("/usr/local/lib/libnew.so.1 is in a folder of"), "{notes:?}");
    }

    #[test]
    fn what_is_no_library_stops_the_loader_and_never_hangs() {
        let folder = Folder::glibc("broken");
        folder.fifo("lib/libfifo.so");
        folder.write("lib/libempty.so", "");
        folder
            .write("lib/libscript.so", format!("/* GNU ld script */ GROUP ( {} )", "x".repeat(64)));
        folder.write("lib/libdir.so/x", "");
        folder.link("libloop.so", "lib/libloop.so");
        folder.write("lib/libsparse.so", "");
        let sparse = std::fs::File::options().write(true).open(folder.path("lib/libsparse.so"));
        sparse.unwrap().set_len(10 << 30).unwrap();
        let root = folder.root();
        let loader = loader(&root, "");
        for (name, expected) in [
            ("libfifo.so", "is a FIFO"),
            ("libempty.so", "is an empty file"),
            ("libscript.so", "is a text"),
            ("libdir.so", "is a directory"),
            ("libsparse.so", "is not an ELF file"),
        ] {
            let Resolution::Broken { path, reason } = loader.find(name, None) else {
                panic!("{name} is no library");
            };
            assert!(path.ends_with(name) && reason.starts_with(expected), "{name}: {reason}");
        }
        assert!(matches!(loader.find("libloop.so", None), Resolution::Missing { .. }));
        assert!(matches!(loader.find("../libfifo.so", None), Resolution::Missing { .. }));
    }

    #[test]
    fn a_root_without_a_loader_says_so() {
        let folder = Folder::new("bare");
        let root = folder.root();
        let loader = loader(&root, "");
        assert_eq!(loader.path(), None);
        let Resolution::Missing { notes, .. } = loader.find("liba.so", None) else {
            panic!("the root is empty");
        };
        assert!(notes[0].starts_with("the root has no dynamic loader for"), "{notes:?}");
    }
}
