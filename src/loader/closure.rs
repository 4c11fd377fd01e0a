//! Everything that a file needs, and what it needs in turn: breadth first, as both loaders load.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::search::{How, Loader, Requester, Resolution};
use super::versions::highest;
use crate::elf::{self, ElfError, Mismatch, Object};
use crate::platform::userland::{Family as Libc, family_of_interpreter};

/// Files in one closure; the largest programs load some hundred.
const MOST_NODES: usize = 2048;
/// Bytes that the names in all files of one closure may take, with room for their headers.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// A file that would be loaded.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its path inside the root, as it was found.
    pub path: PathBuf,
    /// Through what it was found.
    pub how: How,
    /// Which of [`Closure::nodes`] needed it first; `None` for the one that was asked for.
    pub needed_by: Option<usize>,
    /// Its headers and dynamic section.
    pub object: Rc<Object>,
}

/// What stands in the way of loading.
#[derive(Debug)]
pub enum Problem {
    /// A file cannot be read as ELF.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: ElfError,
    },
    /// The file that was asked for is for another machine.
    Mismatch {
        /// The file.
        path: PathBuf,
        /// For which one, and which one was wanted.
        mismatch: Mismatch,
    },
    /// A program asks for a dynamic loader that is not there, or is for another machine: the
    /// kernel then says "No such file or directory" of the program itself.
    Interpreter {
        /// The program.
        path: PathBuf,
        /// The loader it asks for.
        interpreter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A needed file is not found, or not one that can be loaded.
    Unresolved {
        /// The name that is needed.
        name: OsString,
        /// The file that needs it; `None` for the name that was asked for.
        needed_by: Option<PathBuf>,
        /// What came of the search; never `Found`.
        resolution: Resolution,
    },
    /// A needed file is found, but does not define a version that is needed.
    Version {
        /// The version.
        version: String,
        /// The name under which the file is needed.
        name: String,
        /// The file that was found.
        path: PathBuf,
        /// The file that needs the version.
        needed_by: PathBuf,
        /// The highest version of the same set that the found file defines.
        highest: Option<String>,
        /// Whether only weak symbols need it; the loader then goes on.
        weak: bool,
    },
    /// A needed file defines no versions at all, though some are needed; the loader warns and
    /// goes on.
    NoVersions {
        /// The file that was found.
        path: PathBuf,
        /// The file that needs versions of it.
        needed_by: PathBuf,
    },
    /// A file that is to be preloaded is not found, or not one that can be loaded; the loader
    /// goes on without it.
    Preload {
        /// Its name in LD_PRELOAD or `/etc/ld.so.preload`.
        name: OsString,
        /// What came of the search; never `Found`.
        resolution: Resolution,
    },
    /// The code of a file is for a better processor (x86-64 psABI, micro-architecture levels).
    Level {
        /// The file.
        path: PathBuf,
        /// The level it needs.
        needed: u8,
        /// The processor's.
        level: u8,
    },
    /// The kernel's pages are larger than the file is laid out for.
    Alignment {
        /// The file.
        path: PathBuf,
        /// Bytes to which its segments are aligned.
        alignment: u64,
        /// Bytes of a page.
        page_size: u64,
    },
    /// More files or names than are followed; what lies behind was not looked at.
    TooLarge {
        /// The file at which it stopped.
        path: PathBuf,
    },
}

impl Problem {
    /// Whether the loader gives up because of it.
    pub fn is_fatal(&self) -> bool {
        !matches!(
            self,
            Problem::Version { weak: true, .. }
                | Problem::NoVersions { .. }
                | Problem::Preload { .. }
        )
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Unreadable { path, error } => write!(out, "{} {error}", path.display()),
            Problem::Mismatch { path, mismatch } => write!(out, "{} {mismatch}", path.display()),
            Problem::Interpreter { path, interpreter, reason } => {
                write!(
                    out,
                    "{} asks for the dynamic loader {interpreter}, which {reason}",
                    path.display()
                )
            }
            Problem::Unresolved { name, needed_by, resolution } => {
                match needed_by {
                    Some(path) => {
                        write!(out, "{} needs {}, which", path.display(), name.display())?;
                    }
                    None => write!(out, "{}", name.display())?,
                }
                unresolved(out, resolution)
            }
            Problem::Version { version, name, path, needed_by, highest, weak } => {
                write!(out, "{} needs {version} of {name}", needed_by.display())?;
                if *weak {
                    out.write_str(" (for weak symbols only)")?;
                }
                match highest {
                    Some(highest) => {
                        write!(out, ", {} defines up to {highest}", path.display())
                    }
                    None => write!(out, ", {} does not define it", path.display()),
                }
            }
            Problem::NoVersions { path, needed_by } => {
                write!(
                    out,
                    "{} needs symbol versions of {}, which defines none",
                    needed_by.display(),
                    path.display()
                )
            }
            Problem::Preload { name, resolution } => {
                write!(out, "{}, which is to be preloaded,", name.display())?;
                unresolved(out, resolution)
            }
            Problem::Level { path, needed, level } => write!(
                out,
                "{} needs a processor of x86-64-v{needed}, this one is x86-64-v{level}",
                path.display()
            ),
            Problem::Alignment { path, alignment, page_size } => write!(
                out,
                "{} is laid out for pages of {alignment} bytes, this kernel's have {page_size}",
                path.display()
            ),
            Problem::TooLarge { path } => {
                write!(out, "{} needs more files than are followed", path.display())
            }
        }
    }
}

impl std::error::Error for Problem {}

fn unresolved(out: &mut fmt::Formatter<'_>, resolution: &Resolution) -> fmt::Result {
    match resolution {
        Resolution::Found { file, .. } => write!(out, " is {}", file.path.display()),
        Resolution::Missing { .. } => out.write_str(" is not found"),
        Resolution::Broken { path, reason } => {
            write!(out, " cannot be loaded: {} {reason}", path.display())
        }
        Resolution::WrongMachine { candidates, .. } => {
            out.write_str(" is found for another machine only:")?;
            for (index, file) in candidates.iter().enumerate() {
                let comma = if index == 0 { "" } else { "," };
                write!(out, "{comma} {} is for {}", file.path.display(), file.identity)?;
            }
            Ok(())
        }
    }
}

/// What would be loaded, in the order of loading, and what is wrong with it.
#[derive(Debug)]
pub struct Closure {
    /// The files; the one that was asked for comes first.
    pub nodes: Vec<Node>,
    /// In the order in which they were met.
    pub problems: Vec<Problem>,
    /// Whose rules were followed.
    pub libc: Libc,
    /// Names under which a node is known.
    names: HashMap<OsString, usize>,
}

impl Closure {
    /// The file that is loaded under `name`, a soname as in DT_NEEDED.
    pub fn named(&self, name: impl AsRef<OsStr>) -> Option<&Node> {
        self.names.get(name.as_ref()).and_then(|&index| self.nodes.get(index))
    }

    /// Every name under which a file is loaded, in no order.
    pub fn names(&self) -> impl Iterator<Item = (&OsStr, &Node)> {
        self.names.iter().filter_map(|(name, &at)| Some((name.as_os_str(), self.nodes.get(at)?)))
    }

    /// Whether nothing keeps the file from being loaded.
    pub fn loads(&self) -> bool {
        !self.problems.iter().any(Problem::is_fatal)
    }
}

/// A program that runs, into which more is loaded by dlopen.
#[derive(Debug)]
pub struct Program {
    closure: Closure,
    requesters: Vec<Requester>,
    files: HashMap<PathBuf, usize>,
}

impl Loader<'_> {
    /// Follows everything that `file` needs; a path inside the root, or a soname that is searched
    /// for first. With `program`, as dlopen does in it: what it has loaded is not searched for
    /// again, and its DT_RPATH counts. The closure has only what is loaded beside that.
    pub fn closure(&self, file: impl AsRef<OsStr>, program: Option<&Program>) -> Closure {
        self.walk(file.as_ref(), program).closure
    }

    /// The program `file` with everything that it needs.
    pub fn program(&self, file: impl AsRef<OsStr>) -> Program {
        let Walk { closure, requesters, files, .. } = self.walk(file.as_ref(), None);
        Program { closure, requesters, files }
    }

    fn walk<'l>(&'l self, file: &OsStr, program: Option<&'l Program>) -> Walk<'l, 'l> {
        let mut walk = Walk::new(self, program);
        let found = if file.as_bytes().starts_with(b"/") {
            Some((PathBuf::from(file), How::Path))
        } else {
            walk.search_first(file)
        };
        if let Some((path, how)) = found {
            walk.start(path, how);
        }
        walk
    }
}

/// A closure under construction.
struct Walk<'l, 'a> {
    loader: &'l Loader<'a>,
    /// Where this is loaded; a program that could not be read is none.
    program: Option<&'l Program>,
    /// Further names of what the program has loaded.
    aliases: HashMap<OsString, usize>,
    /// The loader that the program itself asks for, where it is another one.
    own: Option<Loader<'a>>,
    closure: Closure,
    /// Who each node is as a requester.
    requesters: Vec<Requester>,
    /// Nodes by the file on this machine, since one file is loaded once.
    files: HashMap<PathBuf, usize>,
    failed: HashSet<OsString>,
    /// Nodes that were preloaded.
    preloaded: Vec<usize>,
    bytes: usize,
}

impl<'l, 'a> Walk<'l, 'a> {
    fn new(loader: &'l Loader<'a>, program: Option<&'l Program>) -> Walk<'l, 'a> {
        let program = program.filter(|program| !program.closure.nodes.is_empty());
        let closure = Closure {
            nodes: Vec::new(),
            problems: Vec::new(),
            libc: program.map_or(loader.libc, |program| program.closure.libc),
            names: HashMap::new(),
        };
        Walk {
            loader,
            program,
            aliases: HashMap::new(),
            own: None,
            closure,
            requesters: Vec::new(),
            files: HashMap::new(),
            failed: HashSet::new(),
            preloaded: Vec::new(),
            bytes: 0,
        }
    }

    /// The file that is loaded under `name`, here or by the program before.
    fn named(&self, name: &OsStr) -> Option<&Node> {
        let Some(program) = self.program else { return self.closure.named(name) };
        let alias = || self.aliases.get(name).and_then(|&at| program.closure.nodes.get(at));
        program.closure.named(name).or_else(|| self.closure.named(name)).or_else(alias)
    }

    fn loader(&self) -> &Loader<'a> {
        self.own.as_ref().unwrap_or(self.loader)
    }

    /// Searches for a name that nothing but the caller needs.
    fn search_first(&mut self, name: &OsStr) -> Option<(PathBuf, How)> {
        match self.loader.find(name, None) {
            Resolution::Found { file, how, .. } => Some((file.path, how)),
            resolution => {
                let name = name.to_owned();
                let problem = Problem::Unresolved { name, needed_by: None, resolution };
                self.closure.problems.push(problem);
                None
            }
        }
    }

    fn start(&mut self, path: PathBuf, how: How) {
        // A program's $ORIGIN is where the file really lies; a library's, where it was found.
        let object = match self.read(&path) {
            Ok(object) => object,
            Err(error) => {
                self.closure.problems.push(Problem::Unreadable { path, error });
                return;
            }
        };
        if let Err(mismatch) = object.identity.runs_on(self.loader.arch) {
            self.closure.problems.push(Problem::Mismatch { path, mismatch });
            return;
        }
        let interpreter = object.interpreter.clone();
        let path = match (&interpreter, self.loader.locate(&path)) {
            (Some(_), Ok(host)) => self.loader.root.inside(&host),
            _ => path,
        };
        if let Some(interpreter) = interpreter
            && self.program.is_none()
        {
            self.choose_loader(&path, interpreter);
        }
        self.add(path, how, None, object);
        if self.program.is_none() {
            self.preload();
        }
        let mut next = 0;
        while next < self.closure.nodes.len() {
            if !self.needs_of(next) {
                break;
            }
            next += 1;
        }
        if self.closure.libc == Libc::Glibc {
            self.check_versions();
        }
        self.check_machine();
    }

    /// Loads what LD_PRELOAD and its file name, as if the program needed it first.
    fn preload(&mut self) {
        for name in self.loader().preloads().to_vec() {
            if self.named(&name).is_some() {
                continue;
            }
            // In musl nobody asks for it, and the program's search path does not count.
            let chain = match self.closure.libc {
                Libc::Glibc => self.chain(0),
                Libc::Musl => Vec::new(),
            };
            let resolution = self.loader().find_for(&name, &chain);
            let next = self.closure.nodes.len();
            match resolution {
                Resolution::Found { file, how, .. } => self.take(0, &name, file.path, how),
                resolution => self.closure.problems.push(Problem::Preload { name, resolution }),
            }
            if self.closure.nodes.len() > next {
                self.preloaded.push(next);
            }
        }
    }

    /// Compares what the files ask of processor and kernel. Both loaders map a file only where
    /// its layout allows; only glibc compares levels, under musl the code dies by SIGILL.
    fn check_machine(&mut self) {
        let conditions = self.loader.conditions();
        let mut problems = Vec::new();
        for node in &self.closure.nodes {
            let needed = node.object.property.x86_level;
            if let Some(level) = conditions.processor.x86_level.filter(|&level| level < needed) {
                problems.push(Problem::Level { path: node.path.clone(), needed, level });
            }
            let alignment = node.object.alignment;
            if let Some(page_size) = conditions.page_size
                && alignment != 0
                && alignment % page_size != 0
            {
                let path = node.path.clone();
                problems.push(Problem::Alignment { path, alignment, page_size });
            }
        }
        self.closure.problems.append(&mut problems);
    }

    /// Follows the rules of the loader that the program asks for.
    fn choose_loader(&mut self, path: &Path, interpreter: String) {
        let libc = family_of_interpreter(&interpreter);
        let asked = Path::new(&interpreter);
        let reason = match self.loader.root.open(asked).map(|file| elf::identify(&file)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => "is not there".to_owned(),
            Err(error) => format!("cannot be opened: {error}"),
            Ok(Err(error)) => error.to_string(),
            Ok(Ok(identity)) => match identity.runs_on(self.loader.arch) {
                Err(mismatch) => mismatch.to_string(),
                Ok(()) => {
                    if self.loader.path() != Some(asked) {
                        self.own = Some(self.loader.through(asked, identity, libc));
                    }
                    self.closure.libc = libc;
                    return;
                }
            },
        };
        let path = path.to_owned();
        self.closure.problems.push(Problem::Interpreter { path, interpreter, reason });
    }

    fn read(&self, path: &Path) -> Result<Rc<Object>, ElfError> {
        self.loader.read(path)
    }

    fn add(&mut self, path: PathBuf, how: How, needed_by: Option<usize>, object: Rc<Object>) {
        let index = self.closure.nodes.len();
        // Neither loader knows the file it was started with again: a link to it is a second one.
        if (index != 0 || self.program.is_some())
            && let Ok(host) = self.loader.locate(&path)
        {
            self.files.insert(host, index);
        }
        // musl matches by the name that was searched for only.
        if self.closure.libc == Libc::Glibc
            && let Some(soname) = &object.soname
            && self.named(soname).is_none()
        {
            self.closure.names.insert(soname.clone(), index);
        }
        self.bytes = self.bytes.saturating_add(object.weight());
        self.requesters.push(Requester::of(&path, &object));
        self.closure.nodes.push(Node { path, how, needed_by, object });
    }

    /// Loads what one node needs; `false` where the closure grew too large.
    fn needs_of(&mut self, index: usize) -> bool {
        let object = Rc::clone(&self.closure.nodes[index].object);
        for name in &object.needed {
            if self.named(name).is_some() {
                continue;
            }
            // Only a search path of its own could lead this requester where others found nothing.
            if self.failed.contains(name) && self.chain(index).iter().all(|one| one.is_plain()) {
                continue;
            }
            if self.closure.nodes.len() >= MOST_NODES || self.bytes > MOST_BYTES {
                let path = self.closure.nodes[index].path.clone();
                self.closure.problems.push(Problem::TooLarge { path });
                return false;
            }
            self.need(index, name);
        }
        true
    }

    fn need(&mut self, index: usize, name: &OsStr) {
        let resolution = self.loader().find_needed(name, &self.chain(index));
        let (path, how) = match resolution {
            Resolution::Found { file, how, .. } => (file.path, how),
            resolution => {
                let problem = Problem::Unresolved {
                    name: name.to_owned(),
                    needed_by: Some(self.closure.nodes[index].path.clone()),
                    resolution,
                };
                self.closure.problems.push(problem);
                self.failed.insert(name.to_owned());
                return;
            }
        };
        self.take(index, name, path, how);
    }

    /// Loads the file that was found for what one node needs.
    fn take(&mut self, index: usize, name: &OsStr, path: PathBuf, how: How) {
        if let Ok(host) = self.loader.locate(&path) {
            if let Some(&known) = self.files.get(&host) {
                self.closure.names.insert(name.to_owned(), known);
                return;
            }
            if let Some(&known) = self.program.and_then(|program| program.files.get(&host)) {
                self.aliases.insert(name.to_owned(), known);
                return;
            }
        }
        match self.read(&path) {
            Ok(object) => {
                self.closure.names.insert(name.to_owned(), self.closure.nodes.len());
                self.add(path, how, Some(index), object);
            }
            Err(error) => {
                self.closure.problems.push(Problem::Unreadable { path, error });
                self.failed.insert(name.to_owned());
            }
        }
    }

    /// A node, what needed it first, and so on up; the program last.
    fn chain(&self, index: usize) -> Vec<&Requester> {
        let mut chain = Vec::new();
        let mut next = Some(index);
        while let Some(index) = next {
            chain.push(&self.requesters[index]);
            if self.closure.libc == Libc::Musl && self.preloaded.contains(&index) {
                return chain;
            }
            next = self.closure.nodes[index].needed_by;
        }
        // What dlopen loads has no requester above it; the program's DT_RPATH counts still.
        chain.extend(self.program.and_then(|program| program.requesters.first()));
        chain
    }

    fn check_versions(&mut self) {
        let mut problems = Vec::new();
        for node in &self.closure.nodes {
            let mut last_without = None;
            // Versions of one file stand together.
            let mut last: (&str, Option<&Node>) = ("", None);
            for required in &node.object.required_versions {
                if last.0 != required.file {
                    last = (&required.file, self.named(OsStr::new(&required.file)));
                }
                let Some(found) = last.1 else { continue };
                let defined = &found.object.defined_versions;
                if defined.is_empty() {
                    if last_without != Some(&found.path) {
                        last_without = Some(&found.path);
                        let (path, needed_by) = (found.path.clone(), node.path.clone());
                        problems.push(Problem::NoVersions { path, needed_by });
                    }
                } else if !defined.contains(&required.version) {
                    problems.push(Problem::Version {
                        version: required.version.clone(),
                        name: required.file.clone(),
                        path: found.path.clone(),
                        needed_by: node.path.clone(),
                        highest: highest(&found.object, &required.version).map(str::to_owned),
                        weak: required.weak,
                    });
                }
            }
        }
        self.closure.problems.append(&mut problems);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loader::conditions::Conditions;
    use crate::loader::fixture::{Folder, arch, compile, glibc_loader, musl_loader};
    use crate::platform::Root;
    use std::collections::BTreeSet;

    fn closure(root: &Root, file: &str) -> Closure {
        Loader::new(root, arch(), Conditions::default()).closure(file, None)
    }

    fn texts(closure: &Closure) -> Vec<String> {
        closure.problems.iter().map(Problem::to_string).collect()
    }

    /// What the real loader lists, links followed.
    fn listed(file: &str) -> BTreeSet<PathBuf> {
        let output = std::process::Command::new(glibc_loader(arch()))
            .args(["--list", file])
            .env_remove("LD_LIBRARY_PATH")
            .output()
            .unwrap();
        assert!(output.status.success(), "{file}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines()
            .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
            .map(|path| Path::new(path).canonicalize().unwrap())
            .collect()
    }

    #[test]
    fn the_closure_of_this_machines_programs_is_what_its_loader_lists() {
        let own = std::env::current_exe().unwrap();
        let mut compared = 0;
        for file in [
            own.to_str().unwrap(),
            "/bin/bash",
            "/usr/bin/env",
            "/usr/bin/git",
            "/usr/bin/gcc",
            "/usr/bin/perl",
            "/usr/bin/python3",
            "/usr/bin/curl",
            "/usr/bin/ssh",
        ] {
            let Ok(path) = Path::new(file).canonicalize() else { continue };
            let file = path.to_str().unwrap();
            if !std::fs::read(&path).unwrap().starts_with(b"\x7fELF") {
                continue;
            }
            let closure = closure(&Root::host(), file);
            assert!(closure.problems.is_empty(), "{file}: {:?}", texts(&closure));
            let found: BTreeSet<PathBuf> =
                closure.nodes[1..].iter().map(|node| node.path.canonicalize().unwrap()).collect();
            assert_eq!(found, listed(file), "{file}");
            compared += 1;
        }
        assert!(compared >= 2);
    }

    #[test]
    fn a_circle_of_needs_ends() {
        let folder = Folder::glibc("circle");
        folder.library("lib/liba.so", "int a;", &[]);
        let a = folder.path("lib/liba.so");
        folder.library("lib/libb.so", "int b;", &["-Wl,-soname,libb.so", a.to_str().unwrap()]);
        let b = folder.path("lib/libb.so");
        // Now the first one needs the second, under its path-less name.
        folder.library("lib/liba.so", "int a;", &["-Wl,-soname,liba.so", b.to_str().unwrap()]);
        folder.library("lib/libb.so", "int b;", &["-Wl,-soname,libb.so", a.to_str().unwrap()]);
        let root = folder.root();
        let closure = closure(&root, "liba.so");
        assert!(closure.problems.is_empty(), "{:?}", texts(&closure));
        assert_eq!(closure.nodes.len(), 2);
        assert_eq!(closure.named("libb.so").unwrap().path, Path::new("/lib/libb.so"));
    }

    #[test]
    fn what_is_loaded_already_is_matched_by_its_soname() {
        let folder = Folder::glibc("soname");
        // As auditwheel bundles: the file's name and its soname carry a hash, found by RPATH of
        // the first, and needed by the second without any search path.
        folder.library("x.libs/libz-abc.so", "int z;", &["-Wl,-soname,libz-abc.so"]);
        let z = folder.path("x.libs/libz-abc.so");
        let z = z.to_str().unwrap();
        folder.library("x.libs/liby.so", "int y;", &["-Wl,-soname,liby.so", z]);
        let y = folder.path("x.libs/liby.so");
        let options = ["-Wl,-rpath,$ORIGIN/../x.libs", y.to_str().unwrap(), z];
        folder.library("x/ext.so", "int e;", &options);
        let root = folder.root();
        let found = closure(&root, "/x/ext.so");
        assert!(found.loads() && found.problems.is_empty(), "{:?}", texts(&found));
        assert_eq!(found.nodes.len(), 3);
        assert_eq!(found.nodes[2].how, How::Runpath);

        let alone = closure(&root, "/x.libs/liby.so");
        assert_eq!(texts(&alone), ["/x.libs/liby.so needs libz-abc.so, which is not found"]);
        let loader = Loader::new(&root, arch(), Conditions::default());
        let inside = loader.closure("/x.libs/liby.so", Some(&loader.program("/x/ext.so")));
        assert!(inside.problems.is_empty());
        let paths: Vec<&Path> = inside.nodes.iter().map(|node| node.path.as_path()).collect();
        assert_eq!(paths, [Path::new("/x.libs/liby.so")]);
    }

    #[test]
    fn a_version_that_the_found_file_lacks_is_named_with_the_highest_it_has() {
        let folder = Folder::glibc("versions");
        let build = |map: &str, source: &str| {
            folder.write("dep.map", map);
            let map = format!("-Wl,--version-script={}", folder.path("dep.map").display());
            folder.library("lib/libdep.so.1", source, &["-Wl,-soname,libdep.so.1", &map]);
        };
        build("DEP_2.9 {old;}; DEP_2.38 {new;} DEP_2.9;", "void old(void){} void new(void){}");
        let dep = folder.path("lib/libdep.so.1");
        folder.library(
            "lib/libtop.so",
            "void old(void); void new(void); void top(void){old(); new();}",
            &[dep.to_str().unwrap()],
        );
        let root = folder.root();
        assert!(closure(&root, "libtop.so").problems.is_empty());
        build("DEP_2.9 {old;}; DEP_2.10 {mid;} DEP_2.9;", "void old(void){} void mid(void){}");
        let older = closure(&root, "libtop.so");
        assert_eq!(
            texts(&older),
            [
                "/lib/libtop.so needs DEP_2.38 of libdep.so.1, /lib/libdep.so.1 defines up to DEP_2.10"
            ]
        );
        assert!(!older.loads());

        folder.library("lib/libdep.so.1", "int none;", &["-Wl,-soname,libdep.so.1"]);
        let none = closure(&root, "libtop.so");
        assert!(matches!(none.problems[..], [Problem::NoVersions { .. }]));
        assert!(none.loads());
    }

    #[test]
    fn a_program_for_a_libc_that_is_not_there_is_refused_as_the_kernel_does() {
        let folder = Folder::musl("glibc-program");
        let loader = glibc_loader(arch());
        let interpreter = format!("-Wl,--dynamic-linker={loader}");
        let options = ["-nostdlib", "-pie", &interpreter];
        compile("void _start(void){}", &folder.path("app"), &options);
        let root = folder.root();
        let found = closure(&root, "/app");
        let expected = format!("/app asks for the dynamic loader {loader}, which is not there");
        assert_eq!(texts(&found), [expected]);
    }

    #[test]
    fn a_program_is_resolved_by_the_rules_of_the_loader_it_asks_for() {
        let folder = Folder::glibc("musl-program");
        let loader = musl_loader(arch());
        folder.library(loader, "int a;", &[]);
        folder.library("usr/local/lib/liba.so", "int a;", &["-Wl,-soname,liba.so"]);
        let library = folder.path("usr/local/lib/liba.so");
        let interpreter = format!("-Wl,--dynamic-linker={loader}");
        let options =
            ["-nostdlib", "-pie", &interpreter, "-Wl,--no-as-needed", library.to_str().unwrap()];
        compile("void _start(void){}", &folder.path("app"), &options);
        let root = folder.root();
        let found = closure(&root, "/app");
        assert!(found.problems.is_empty(), "{:?}", texts(&found));
        assert_eq!(found.libc, Libc::Musl);
        assert_eq!(found.nodes[1].path, Path::new("/usr/local/lib/liba.so"));
    }

    #[test]
    fn files_of_another_machine_and_cut_files_are_problems_of_their_own() {
        let folder = Folder::glibc("wrong");
        folder.library("lib/liba.so", "int a;", &["-Wl,-soname,liba.so"]);
        let a = folder.path("lib/liba.so");
        folder.library("lib/libtop.so", "int t;", &[a.to_str().unwrap()]);
        let whole = std::fs::read(&a).unwrap();
        std::fs::write(&a, &whole[..100]).unwrap();
        let root = folder.root();
        let cut = closure(&root, "libtop.so");
        assert!(texts(&cut)[0].starts_with("/lib/liba.so is cut short"), "{:?}", texts(&cut));
        std::fs::write(&a, whole).unwrap();
        folder.foreign("lib/liba.so");
        let foreign = closure(&root, "libtop.so");
        let text = &texts(&foreign)[0];
        assert!(
            text.starts_with(
                "/lib/libtop.so needs liba.so, which is found for another machine only: /lib/liba.so is for"
            ),
            "{text}"
        );
        assert!(matches!(closure(&root, "/lib/liba.so").problems[..], [Problem::Mismatch { .. }]));
        assert_eq!(texts(&closure(&root, "libnone.so")), ["libnone.so is not found"]);
    }
}
