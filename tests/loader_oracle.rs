//! The real dynamic loader as the judge of ours: over every shared object and extension module of
//! a root, what `ld.so --list` finds is what `mak_init::loader` finds, with LD_LIBRARY_PATH and
//! without. Prints `files N, names M, differences D, explained K` and fails unless D = K.
//!
//! - `MAK_ORACLE_ROOT`: the root, else this machine's own (its multiarch folder, Python's and
//!   /usr/local/lib, to stay within a minute).
//! - `MAK_ORACLE_ARM64_ROOT`: a root with an arm64 loader; runs in chroot(8), so it takes root
//!   and, elsewhere than on arm64, a binfmt_misc entry with the flag F.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use mak_init::elf::{self, Kind};
use mak_init::loader::{Closure, Conditions, Loader, Problem, Processor};
use mak_init::platform::userland::{loader_of, userland};
use mak_init::platform::{Arch, Root};

/// What is preloaded where LD_LIBRARY_PATH is set; the second is not there.
const PRELOAD: &str = "libm.so.6 libmaknone.so";
/// Not found.
const NOWHERE: &str = "not found";

/// What a loader says of one file: where each name leads, and which versions are missing.
#[derive(Debug, Default)]
struct Verdict {
    /// Name to path; a name is a path itself where it was needed as one.
    names: BTreeMap<String, String>,
    /// `VERSION of FILE for NEEDER`.
    versions: BTreeSet<String>,
    /// Whether the list is not whole: it ends at a name that is not found where the file is to be
    /// bound at once, and says `statically linked` of a file that needs nothing, whatever is
    /// preloaded.
    cut: bool,
    /// Why it could not even list.
    error: Option<String>,
}

/// One name on which the two do not agree.
struct Difference {
    file: String,
    name: String,
    real: String,
    ours: String,
}

#[test]
fn this_root_resolves_as_its_own_loader_says() {
    let base = std::env::var_os("MAK_ORACLE_ROOT").map_or(PathBuf::from("/"), PathBuf::from);
    let root = Root::at(&base).unwrap();
    let arch = userland(&root, Arch::built_for()).expect("the root has a dynamic loader").arch;
    judge(&root, arch);
}

#[test]
fn an_arm64_root_resolves_as_its_own_loader_says() {
    let Some(base) = std::env::var_os("MAK_ORACLE_ARM64_ROOT") else {
        println!("not run: MAK_ORACLE_ARM64_ROOT names no root");
        return;
    };
    judge(&Root::at(Path::new(&base)).unwrap(), Arch::Arm64);
}

fn judge(root: &Root, arch: Arch) {
    let loader = loader_of(root, arch).expect("a loader for this architecture").loader;
    let files = files(root, arch);
    assert!(files.len() > 100, "only {} files", files.len());
    let (mut names, mut explained) = (0, 0);
    let mut differences = Vec::new();
    for library_path in ["".to_owned(), library_path(arch)] {
        let real = ask_all(root, &loader, &files, &library_path);
        let conditions = Conditions {
            preload: if library_path.is_empty() { "".into() } else { PRELOAD.into() },
            library_path: library_path.into(),
            working_folder: Some(PathBuf::from("/")),
            processor: Processor::of_this_machine(arch),
            ..Conditions::default()
        };
        let ours = Loader::new(root, arch, conditions);
        for (file, real) in files.iter().zip(real) {
            let ours = opinion(&ours.closure(file, None), &loader);
            names += real.names.len();
            differences.extend(compare(file, &real, &ours));
        }
    }
    for difference in &differences {
        let Difference { file, name, real, ours } = difference;
        let reason = explain(difference);
        explained += usize::from(reason.is_some());
        println!("{file}: {name}: ld.so {real}; ours {ours}: {}", reason.unwrap_or("UNEXPLAINED"));
    }
    println!(
        "{arch}: files {}, names {names}, differences {}, explained {explained}",
        files.len(),
        differences.len()
    );
    assert_eq!(differences.len(), explained, "differences that nobody has explained");
}

/// Folders that many names are found in already, the program's own, an empty part, a relative one.
fn library_path(arch: Arch) -> String {
    let multiarch = arch.multiarch();
    format!("/mak-none:$ORIGIN:usr/lib/{multiarch};/usr/lib/{multiarch}:/usr/lib/$LIB:")
}

/// The reason why a difference is none of ours.
fn explain(difference: &Difference) -> Option<&'static str> {
    let _ = difference;
    None
}

/// Every shared object for `arch`, by its path inside the root, links left out.
fn files(root: &Root, arch: Arch) -> Vec<PathBuf> {
    let mut pending: Vec<PathBuf> = if root.is_host() {
        let multiarch = Path::new("/usr/lib").join(arch.multiarch());
        let python = root.names(Path::new("/usr/lib")).into_iter();
        let python = python.filter(|name| name.to_string_lossy().starts_with("python"));
        let python = python.map(|name| Path::new("/usr/lib").join(name));
        python.chain([multiarch, PathBuf::from("/usr/local/lib")]).collect()
    } else {
        ["/usr", "/opt", "/app"].map(PathBuf::from).to_vec()
    };
    let mut found = Vec::new();
    while let Some(folder) = pending.pop() {
        let Ok(entries) = root.locate(&folder).and_then(std::fs::read_dir) else { continue };
        for entry in entries.map(Result::unwrap) {
            let path = folder.join(entry.file_name());
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                pending.push(path);
            } else if kind.is_file() && is_shared_object(root, &path, arch) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn is_shared_object(root: &Root, path: &Path, arch: Arch) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let named = name.ends_with(".so") || name.contains(".so.");
    let object = named.then(|| elf::read(&root.open(path).ok()?).ok()).flatten();
    object.is_some_and(|object| {
        object.identity.kind == Kind::SharedObject
            && object.identity.runs_on(arch).is_ok()
            && object.has_dynamic_section
    })
}

/// Asks the real loader, on all processors.
fn ask_all(root: &Root, loader: &Path, files: &[PathBuf], library_path: &str) -> Vec<Verdict> {
    let next = AtomicUsize::new(0);
    let answers = Mutex::new(Vec::new());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    // A root belongs to one thread: it may keep a trail.
    let base = root.base();
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let root = Root::at(base).unwrap();
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(file) = files.get(at) else { break };
                    let answer = ask(&root, loader, file, library_path);
                    answers.lock().unwrap().push((at, answer));
                }
            });
        }
    });
    let mut answers = answers.into_inner().unwrap();
    answers.sort_by_key(|(at, _)| *at);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

fn ask(root: &Root, loader: &Path, file: &Path, library_path: &str) -> Verdict {
    let mut command = if root.is_host() {
        Command::new(loader)
    } else {
        let mut command = Command::new("/usr/sbin/chroot");
        command.arg(root.base()).arg(loader);
        command
    };
    // The loader of the root, not chroot(8), is to see the variable.
    command.env_clear().current_dir("/").arg("--list");
    if !library_path.is_empty() {
        command.args(["--library-path", library_path, "--preload", PRELOAD]);
    }
    let output = command.arg(file).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut verdict = Verdict::default();
    for line in text.lines().chain(error.lines()) {
        if let Some(version) = version(line) {
            verdict.versions.insert(version);
        } else if let Some((name, path)) = listed(line, loader) {
            verdict.names.insert(name, path);
        }
    }
    verdict.cut = text.trim() == "statically linked";
    if let Some(name) = error.lines().next().and_then(not_opened) {
        verdict.names.insert(name, NOWHERE.to_owned());
        verdict.cut = true;
    } else if !output.status.success() && verdict.versions.is_empty() {
        verdict.error = Some(error.lines().next().unwrap_or("failed").to_owned());
    }
    verdict
}

/// `FILE: error while loading shared libraries: NAME: cannot open …: No such file or directory`.
fn not_opened(line: &str) -> Option<String> {
    let (_, rest) = line.split_once(": error while loading shared libraries: ")?;
    let (name, why) = rest.split_once(": ")?;
    why.ends_with("No such file or directory").then(|| name.to_owned())
}

/// `FILE: version `V' not found (required by NEEDER)`.
fn version(line: &str) -> Option<String> {
    let (file, rest) = line.split_once(": version `")?;
    let (version, rest) = rest.split_once("' not found (required by ")?;
    Some(format!("{version} of {file} for {}", rest.strip_suffix(')')?))
}

/// `NAME => PATH (0x…)`, `NAME => not found`, or `PATH (0x…)`.
fn listed(line: &str, loader: &Path) -> Option<(String, String)> {
    let line = line.strip_prefix('\t')?;
    let (name, path) = line.split_once(" => ").unwrap_or((line, line));
    let bare = |text: &str| text.split(" (0x").next().unwrap_or_default().to_owned();
    let (name, path) = (bare(name), bare(path));
    // The loader itself is always there; the kernel's own object has no file.
    let itself = Path::new(&path) == loader || path.starts_with("linux-vdso");
    if itself || path == "statically linked" {
        return None;
    }
    // It shows what it found from the working directory, `/`, as it looked for it.
    let path = if path == NOWHERE { path } else { absolute(&path) };
    Some((name, path))
}

fn absolute(path: &str) -> String {
    Path::new("/").join(path).to_string_lossy().into_owned()
}

/// What we say of the same file.
fn opinion(closure: &Closure, loader: &Path) -> Verdict {
    let mut verdict = Verdict::default();
    let shown = |path: &Path| path.to_string_lossy().into_owned();
    for (name, node) in closure.names() {
        if node.path != loader {
            verdict.names.insert(name.to_string_lossy().into_owned(), shown(&node.path));
        }
    }
    for problem in &closure.problems {
        match problem {
            Problem::Unresolved { name, .. } => {
                verdict.names.insert(name.to_string_lossy().into_owned(), NOWHERE.to_owned());
            }
            Problem::Version { version, path, needed_by, weak: false, .. } => {
                let text = format!("{version} of {} for {}", shown(path), shown(needed_by));
                verdict.versions.insert(text);
            }
            problem if problem.is_fatal() => verdict.error = Some(problem.to_string()),
            _ => {}
        }
    }
    verdict
}

/// Every name that the real loader lists is ours, every file that we load is on its list, and so
/// are the versions.
fn compare(file: &Path, real: &Verdict, ours: &Verdict) -> Vec<Difference> {
    let difference = |name: &str, real: &str, ours: &str| Difference {
        file: file.display().to_string(),
        name: name.to_owned(),
        real: real.to_owned(),
        ours: ours.to_owned(),
    };
    let mut found = Vec::new();
    if real.error.is_some() != ours.error.is_some() {
        let word = |error: &Option<String>| error.clone().unwrap_or("lists".to_owned());
        return vec![difference("(the whole)", &word(&real.error), &word(&ours.error))];
    }
    for (name, path) in &real.names {
        let mine = ours.names.get(name).map_or("does not load it", String::as_str);
        if mine != path {
            found.push(difference(name, path, mine));
        }
    }
    let listed: BTreeSet<&String> = real.names.values().collect();
    for (name, path) in &ours.names {
        if !real.cut
            && !listed.contains(path)
            && Path::new(path) != file
            && !real.names.contains_key(name)
        {
            found.push(difference(name, "does not load it", path));
        }
    }
    if real.cut {
        return found;
    }
    for version in real.versions.symmetric_difference(&ours.versions) {
        let (theirs, mine) = match real.versions.contains(version) {
            true => ("misses it", "does not"),
            false => ("does not", "misses it"),
        };
        found.push(difference(version, theirs, mine));
    }
    found
}

/// The judge has to be able to say no: a library that is taken away is a difference.
#[test]
fn a_wrong_opinion_is_a_difference() {
    let verdict = |path: &str| Verdict {
        names: BTreeMap::from([("liba.so".to_owned(), path.to_owned())]),
        ..Verdict::default()
    };
    let file = Path::new("/x.so");
    assert!(compare(file, &verdict("/lib/liba.so"), &verdict("/lib/liba.so")).is_empty());
    assert_eq!(compare(file, &verdict("/lib/liba.so"), &verdict("/usr/lib/liba.so")).len(), 1);
    assert_eq!(compare(file, &verdict("/lib/liba.so"), &Verdict::default()).len(), 1);
    assert_eq!(compare(file, &Verdict::default(), &verdict("/lib/liba.so")).len(), 1);
    let line = "/lib/x.so: version `A_2' not found (required by /bin/y)";
    assert_eq!(version(line).unwrap(), "A_2 of /lib/x.so for /bin/y");
    let parsed = listed("\tlibc.so.6 => /lib/libc.so.6 (0x00007f)", Path::new("/ld.so")).unwrap();
    assert_eq!(parsed, ("libc.so.6".to_owned(), "/lib/libc.so.6".to_owned()));
}
