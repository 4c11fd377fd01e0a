//! The real loaders of glibc and musl as judges of searches that few packages need: roots made by
//! chance, in which small libraries need each other through DT_RPATH, DT_RUNPATH, DF_1_NODEFLIB,
//! `$ORIGIN`, paths, circles, LD_LIBRARY_PATH, LD_PRELOAD, `ld.so.cache` or musl's path file, and
//! in which some are missing. What `--list` prints is what `mak_init::loader` finds.
//!
//! Needs gcc, musl's loader, ldconfig and root, for chroot(8). The seed is fixed: the roots are
//! the same at every run.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod harness;

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use harness::dynamic_loader::{ask, compare, opinion};
use harness::{Folder, has_compilers, only_as_root};
use mak_init::loader::{Conditions, Libc, Loader, Processor};
use mak_init::platform::{Arch, Root};

/// Roots for each loader.
const ROOTS: usize = 200;
/// Builds of each library, which need and search different things.
const BUILDS: usize = 5;
const LIBRARIES: [&str; 6] =
    ["liba.so", "libb.so.1", "libc-x.so", "libd.so", "libe.so.2", "libf.so"];
/// Places in a root.
const PLACES: [&str; 7] =
    ["lib", "usr/lib", "opt/one", "opt/two", "opt/three", "srv", "usr/local/lib"];
/// Parts of search paths.
const PATHS: [&str; 12] = [
    "$ORIGIN",
    "${ORIGIN}/../two",
    "/opt/one",
    "/opt/two",
    "/opt/three",
    "/nowhere",
    "opt/three",
    "/opt/one:/opt/two",
    ":/opt/three",
    "/srv:$ORIGIN/../one",
    "$ORIGIN/$LIB:/opt/two",
    "/opt/$none/:/opt/one",
];

/// A row of numbers that is the same at every run (xorshift, G. Marsaglia).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }

    /// In one of `n` cases.
    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }
}

/// One after the other: a loader that is being copied while another thread starts a process could
/// not be started itself (ETXTBSY).
#[test]
fn searches_made_by_chance_end_as_the_real_loaders_say() {
    judge(Libc::Glibc, 4_405_081);
    judge(Libc::Musl, 6_251_127);
}

fn judge(libc: Libc, seed: u64) {
    let arch = Arch::built_for().unwrap();
    let loader = PathBuf::from(match (arch, libc) {
        (Arch::Arm64, Libc::Glibc) => "/lib/ld-linux-aarch64.so.1",
        (Arch::Arm64, Libc::Musl) => "/lib/ld-musl-aarch64.so.1",
        (_, Libc::Glibc) => "/lib64/ld-linux-x86-64.so.2",
        (_, Libc::Musl) => "/lib/ld-musl-x86_64.so.1",
    });
    if !only_as_root("chroot(8) shows a loader a root") || !has_compilers(&["gcc", "musl-gcc"]) {
        return;
    }
    let mut chance = Chance(seed);
    let folder = Folder::new();
    let pool = pool(&mut chance, &folder, libc);
    let (mut files, mut names, mut different) = (0, 0, Vec::new());
    for number in 0..ROOTS {
        let base = folder.path().join(format!("root-{number}"));
        let starts = root(&mut chance, &pool, &base, libc, &loader);
        let root = Root::at(&base).unwrap();
        let conditions = conditions(&mut chance, arch);
        let ours = Loader::new(&root, arch, conditions.clone());
        assert_eq!(ours.libc(), libc);
        for file in starts {
            let real = ask(&root, &loader, &file, &conditions);
            let opinion = opinion(&ours.closure(&file, None), &loader);
            files += 1;
            names += real.names.len();
            for one in compare(&file, &real, &opinion) {
                different.push(format!(
                    "{}{}: {}: the loader {}; ours {}; {:?} {:?}",
                    base.display(),
                    one.file,
                    one.name,
                    one.real,
                    one.ours,
                    conditions.library_path,
                    conditions.preload
                ));
            }
        }
        if different.is_empty() {
            fs::remove_dir_all(base).unwrap();
        }
    }
    different.iter().take(40).for_each(|one| println!("{one}"));
    println!(
        "{libc} {arch}: files {files}, names {names}, differences {}, explained 0",
        different.len()
    );
    assert!(files > 500 && names > 500, "{files} files, {names} names: too few to prove much");
    if std::env::var_os("MAK_ORACLE_KEEP").is_some() {
        std::mem::forget(folder);
    }
    assert!(different.is_empty(), "differences that nobody has explained");
}

/// Every build of every library: the first loaders look for paths and needs are different ones.
fn pool(chance: &mut Chance, folder: &Folder, libc: Libc) -> Vec<Vec<PathBuf>> {
    let stubs = folder.path().join("stubs");
    fs::create_dir(&stubs).unwrap();
    for name in LIBRARIES {
        build("", &stubs.join(name), &[format!("-Wl,-soname,{name}")]);
    }
    // A name that is nowhere, one that is needed as a path, and one that musl takes as itself.
    for (file, soname) in
        [("none", "libnone.so.9"), ("path", "/opt/two/libd.so"), ("relative", "opt/one/libf.so")]
    {
        build("", &stubs.join(file), &[format!("-Wl,-soname,{soname}")]);
    }
    if libc == Libc::Musl {
        build("", &stubs.join("itself"), &["-Wl,-soname,libpthread.so.0".to_owned()]);
    }
    let others = ["none", "path", "relative", "itself"];
    let mut all = Vec::new();
    for name in LIBRARIES {
        let mut builds = Vec::new();
        for number in 0..BUILDS {
            let output = folder.path().join(format!("{number}-{name}"));
            let mut options = Vec::new();
            // Some have no soname, and some another one than their file's name.
            match chance.below(6) {
                0 => {}
                1 => options.push(format!("-Wl,-soname,{}", chance.of(&LIBRARIES))),
                _ => options.push(format!("-Wl,-soname,{name}")),
            }
            for _ in 0..chance.below(4) {
                options.push(stubs.join(chance.of(&LIBRARIES)).display().to_string());
            }
            let other = stubs.join(chance.of(&others));
            if chance.one_in(5) && other.exists() {
                options.push(other.display().to_string());
            }
            if !chance.one_in(3) {
                let kind = if chance.one_in(2) { "enable" } else { "disable" };
                options.push(format!("-Wl,--{kind}-new-dtags"));
                options.push(format!("-Wl,-rpath,{}", chance.of(&PATHS)));
            }
            if chance.one_in(6) {
                options.push("-Wl,-z,nodefaultlib".to_owned());
            }
            build("int x;", &output, &options);
            builds.push(output);
        }
        all.push(builds);
    }
    all
}

fn build(source: &str, output: &Path, options: &[String]) {
    let mut gcc = Command::new("gcc")
        .args(["-x", "c", "-", "-x", "none", "-shared", "-nostdlib", "-fPIC", "-s", "-o"])
        .arg(output)
        .args(["-Wl,--no-as-needed", "-Wl,--allow-shlib-undefined"])
        .args(options)
        .stdin(Stdio::piped())
        .spawn()
        .expect("gcc");
    gcc.stdin.take().unwrap().write_all(source.as_bytes()).unwrap();
    assert!(gcc.wait().unwrap().success(), "{options:?}");
}

/// Fills a root, and says with which files to begin.
fn root(
    chance: &mut Chance,
    pool: &[Vec<PathBuf>],
    base: &Path,
    libc: Libc,
    loader: &Path,
) -> Vec<PathBuf> {
    let host = |inside: &Path| base.join(inside.strip_prefix("/").unwrap_or(inside));
    for place in PLACES.iter().chain(&["etc", "lib64", "opt/one/lib"]) {
        fs::create_dir_all(base.join(place)).unwrap();
    }
    fs::create_dir_all(host(loader).parent().unwrap()).unwrap();
    fs::copy(fs::canonicalize(loader).unwrap(), host(loader)).unwrap();
    let mut starts = Vec::new();
    for (name, builds) in LIBRARIES.iter().zip(pool) {
        for _ in 0..2 + chance.below(3) {
            let inside = Path::new("/").join(chance.of(&PLACES)).join(name);
            // A link leads out of the root for us, though not for the loader: it is not followed.
            if host(&inside).symlink_metadata().is_ok() {
                continue;
            }
            if chance.one_in(8) {
                // The same file under a second name, through a link that stays inside.
                let target = Path::new("/").join(chance.of(&PLACES)).join(chance.of(&LIBRARIES));
                let _ = symlink(target, host(&inside));
                continue;
            }
            fs::copy(&builds[chance.below(BUILDS)], host(&inside)).unwrap();
            if starts.len() < 4 {
                starts.push(inside);
            }
        }
    }
    let folders = ["/opt/one", "/opt/two", "/srv", "/opt/three"];
    match libc {
        Libc::Glibc if !chance.one_in(3) => {
            let list = format!("{}\n{}\n", chance.of(&folders), chance.of(&folders));
            fs::write(base.join("etc/ld.so.conf"), list).unwrap();
            let mut ldconfig = Command::new("/sbin/ldconfig");
            // -X: sonames stay what they are, no links are made.
            let done = ldconfig.args(["-X", "-r"]).arg(base).stderr(Stdio::null()).status();
            assert!(done.unwrap().success());
            // A file that the cache still names.
            if chance.one_in(4) {
                let _ = fs::remove_file(host(&starts[0]));
                starts.remove(0);
            }
        }
        Libc::Musl if chance.one_in(2) => {
            let name = loader.file_name().unwrap().to_str().unwrap().trim_end_matches(".so.1");
            let parts = [chance.of(&folders), chance.of(&["", "/lib", "opt/one"]), "/usr/lib"];
            let between = chance.of(&["\n", ":"]);
            fs::write(base.join(format!("etc/{name}.path")), parts.join(between)).unwrap();
        }
        _ => {}
    }
    starts
}

fn conditions(chance: &mut Chance, arch: Arch) -> Conditions {
    let library_path = if chance.one_in(2) {
        "".to_owned()
    } else {
        format!("{}:{}", chance.of(&PATHS), chance.of(&PATHS))
    };
    let preload = match chance.below(4) {
        0 => "liba.so libnone.so.9",
        1 => "/opt/two/libd.so",
        _ => "",
    };
    Conditions {
        library_path: library_path.into(),
        preload: preload.into(),
        working_folder: Some(PathBuf::from("/")),
        processor: Processor::of_this_machine(arch),
        ..Conditions::default()
    }
}
