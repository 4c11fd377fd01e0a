//! The two programs of every test: mak-init itself and the workload.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::{env, fs, process};

/// The program under test.
pub fn program() -> PathBuf {
    match env::var_os("MAK_INIT_BIN") {
        Some(path) if !path.is_empty() => {
            fs::canonicalize(&path).unwrap_or_else(|why| panic!("MAK_INIT_BIN={path:?}: {why}"))
        }
        _ => PathBuf::from(env!("CARGO_BIN_EXE_mak-init")),
    }
}

/// Whether the program is for another machine than this one, so that an emulator runs it.
pub fn emulated() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| machine(&program()) != machine(Path::new("/proc/self/exe")))
}

/// The machine of an ELF file: e_machine, bytes 18 and 19 of the header (gABI).
pub fn machine(path: &Path) -> [u8; 2] {
    let bytes = fs::read(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    assert_eq!(&bytes[..4], b"\x7fELF", "{} is not an ELF file", path.display());
    [bytes[18], bytes[19]]
}

/// True if the program runs natively. Otherwise the reason why the test (or the part of it that
/// follows) cannot hold under an emulator is printed, and the caller leaves that part out.
pub fn only_on_this_machine(reason: &str) -> bool {
    if emulated() {
        println!("left out under emulation: {reason}");
    }
    !emulated()
}

/// True if the tests have root's rights. Otherwise the reason why they are needed is printed, and
/// the caller leaves that part out.
pub fn only_as_root(reason: &str) -> bool {
    if !super::child::is_root() {
        println!("left out without root's rights: {reason}");
    }
    super::child::is_root()
}

/// True if these compilers are installed. Otherwise the caller leaves out what needs them; CI,
/// where `.ci/setup` has installed them, leaves nothing out.
pub fn has_compilers(names: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there =
        |name: &str| std::env::split_paths(&path).any(|folder| folder.join(name).exists());
    let missing: Vec<&str> = names.iter().copied().filter(|name| !is_there(name)).collect();
    if missing.is_empty() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "not installed: {}", missing.join(", "));
    println!("left out: not installed: {} (.ci/setup installs them)", missing.join(", "));
    false
}

/// The workload, built once from `tests/workload/workload.c` with this machine's C compiler.
pub fn workload() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(build_workload)
}

fn build_workload() -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/workload/workload.c");
    let mut hasher = DefaultHasher::new();
    fs::read(&source).expect("tests/workload/workload.c").hash(&mut hasher);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let wanted = folder.join(format!("workload-{:016x}", hasher.finish()));
    if wanted.exists() {
        return wanted;
    }
    // Test programs may build it at the same time: each under a name of its own, then renamed.
    let fresh = folder.join(format!("workload-{}", process::id()));
    let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
    let built = Command::new(&compiler)
        .args(["-static", "-O2", "-Wall", "-o"])
        .arg(&fresh)
        .arg(&source)
        .output()
        .unwrap_or_else(|why| panic!("cannot run the C compiler {compiler:?}: {why}"));
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{compiler:?} cannot build {}:\n{said}", source.display());
    fs::rename(&fresh, &wanted).expect("the workload takes its name");
    wanted
}
