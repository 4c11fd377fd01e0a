//! The real dynamic loader as the judge of ours: over every shared object and extension module of
//! a root, what `ld.so --list` finds is what `mak_init::loader` finds, with LD_LIBRARY_PATH and
//! without. Prints `files N, names M, differences D, explained K` and fails unless D = K.
//!
//! - `MAK_ORACLE_ROOT`: the root, else this machine's own (its multiarch folder, Python's and
//!   /usr/local/lib, to stay within a minute).
//! - `MAK_ORACLE_ARM64_ROOT`: a root with an arm64 loader; runs in chroot(8), so it takes root
//!   and, elsewhere than on arm64, a binfmt_misc entry with the flag F.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod harness;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use harness::dynamic_loader::{Difference, Verdict, ask, compare, listed, opinion, version};
use mak_init::elf::{self, Kind};
use mak_init::loader::{Conditions, Loader, Processor};
use mak_init::platform::userland::{loader_of, userland};
use mak_init::platform::{Arch, Root};

/// What is preloaded where LD_LIBRARY_PATH is set; the second is not there.
const PRELOAD: &str = "libm.so.6 libmaknone.so";

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
        let conditions = Conditions {
            preload: if library_path.is_empty() { "".into() } else { PRELOAD.into() },
            library_path: library_path.into(),
            working_folder: Some(PathBuf::from("/")),
            processor: Processor::of_this_machine(arch),
            ..Conditions::default()
        };
        let real = ask_all(root, &loader, &files, &conditions);
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
fn ask_all(root: &Root, loader: &Path, files: &[PathBuf], conditions: &Conditions) -> Vec<Verdict> {
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
                    let answer = ask(&root, loader, file, conditions);
                    answers.lock().unwrap().push((at, answer));
                }
            });
        }
    });
    let mut answers = answers.into_inner().unwrap();
    answers.sort_by_key(|(at, _)| *at);
    answers.into_iter().map(|(_, answer)| answer).collect()
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
