//! The search of musl's loader (musl, ldso/dynlink.c, `load_library`): LD_LIBRARY_PATH, DT_RPATH
//! or DT_RUNPATH of the requester and of what loaded it, then the folders of
//! `/etc/ld-musl-ARCH.path` or three built-in ones. There is no cache, and the first file that can
//! be opened is taken, whatever machine it is for.

use std::path::{Path, PathBuf};

use super::search::{Attempt, How, MOST_PARTS, Requester, Resolution, split};
use crate::platform::{Arch, Root};

const BUILT_IN: [&str; 3] = ["/lib", "/usr/local/lib", "/usr/lib"];
/// Names that musl takes as itself, behind `lib` and before a dot.
const RESERVED: [&str; 7] = ["c", "pthread", "rt", "m", "dl", "util", "xnet"];
const MOST_PATH_BYTES: u64 = 64 * 1024;

/// The folders searched at last: the lines of the path file, where there is one.
pub(super) fn default_folders(root: &Root, arch: Arch) -> Vec<PathBuf> {
    let file = PathBuf::from(format!("/etc/ld-musl-{}.path", arch_name(arch)));
    match root.read(&file, MOST_PATH_BYTES) {
        Ok(bytes) => split(&bytes, b":\n"),
        Err(_) => BUILT_IN.map(PathBuf::from).to_vec(),
    }
}

/// musl's LDSO_ARCH.
fn arch_name(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "x86_64",
        Arch::Arm64 => "aarch64",
        Arch::ArmV7 | Arch::ArmV6 => "armhf",
        Arch::I386 => "i386",
        Arch::Ppc64le => "powerpc64le",
        Arch::S390x => "s390x",
        Arch::Riscv64 => "riscv64",
    }
}

/// Searches for `name`; `None` where nothing takes it.
pub(super) fn find(
    attempt: &mut Attempt<'_, '_>,
    name: &str,
    chain: &[&Requester],
) -> Option<Resolution> {
    let loader = attempt.loader;
    if name.starts_with('/') {
        return attempt.file(Path::new(name), How::Path);
    }
    if name.contains('/') {
        return None;
    }
    let own = loader.path().and_then(Path::file_name).is_some_and(|own| own == name);
    if own || is_reserved(name) {
        return loader.itself();
    }
    for folder in &loader.library_path {
        if let Some(end) = attempt.folder(folder, name, How::LibraryPath) {
            return Some(end);
        }
    }
    for requester in chain {
        // Both tags mean the same here; DT_RUNPATH is preferred.
        let (path, how) = match (&requester.runpath, &requester.rpath) {
            (Some(path), _) => (path, How::Runpath),
            (None, Some(path)) => (path, How::Rpath),
            (None, None) => continue,
        };
        for folder in folders(path, requester.origin()) {
            if let Some(end) = attempt.folder(&folder, name, how) {
                return Some(end);
            }
        }
    }
    for folder in &loader.default_folders {
        if let Some(end) = attempt.folder(folder, name, How::DefaultFolder) {
            return Some(end);
        }
    }
    None
}

fn is_reserved(name: &str) -> bool {
    let Some((stem, _)) = name.strip_prefix("lib").and_then(|rest| rest.split_once('.')) else {
        return false;
    };
    RESERVED.contains(&stem)
}

/// The folders of a search path; `$ORIGIN` is the only name that is replaced, and a path with any
/// other one is ignored as a whole (`fixup_rpath`).
fn folders(path: &str, origin: &Path) -> Vec<PathBuf> {
    let origin = origin.to_string_lossy();
    let path = path.replace("${ORIGIN}", &origin).replace("$ORIGIN", &origin);
    if path.contains('$') {
        return Vec::new();
    }
    let mut folders = split(path.as_bytes(), b":\n");
    folders.truncate(MOST_PARTS);
    folders
}
