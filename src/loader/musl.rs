//! The search of musl's loader (musl, ldso/dynlink.c, `load_library`): LD_LIBRARY_PATH, DT_RPATH
//! or DT_RUNPATH of the requester and of what loaded it, then the folders of
//! `/etc/ld-musl-ARCH.path` or three built-in ones. There is no cache, and the first file that can
//! be opened is taken, whatever machine it is for.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::path::{split, with_origin};
use super::search::{Attempt, How, Loader, Requester, Resolution};
use crate::platform::{Arch, Root};

const BUILT_IN: [&str; 3] = ["/lib", "/usr/local/lib", "/usr/lib"];
/// Names that musl takes as itself, behind `lib` and before a dot.
const RESERVED: [&str; 7] = ["c", "pthread", "rt", "m", "dl", "util", "xnet"];
const MOST_PATH_BYTES: u64 = 64 * 1024;

/// The folders searched at last: the lines of the path file, where there is one. It lies in the
/// `etc` beside the folder of the loader; one that cannot be read leaves no folder at all.
pub(super) fn default_folders(
    root: &Root,
    arch: Arch,
    loader: Option<&Path>,
    working_folder: Option<&Path>,
) -> Vec<PathBuf> {
    let prefix = loader.and_then(|path| path.parent()?.parent()).unwrap_or(Path::new("/"));
    let file = prefix.join(format!("etc/ld-musl-{}.path", arch_name(arch)));
    match root.read(&file, MOST_PATH_BYTES) {
        Ok(bytes) => parts(OsStr::from_bytes(&bytes), working_folder),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            BUILT_IN.map(PathBuf::from).to_vec()
        }
        Err(_) => Vec::new(),
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
    name: &OsStr,
    chain: &[&Requester],
) -> Option<Resolution> {
    let loader = attempt.loader;
    let working_folder = working_folder(loader);
    if name.as_bytes().contains(&b'/') {
        // Without a working directory, a relative path leads nowhere.
        return parts(name, working_folder).first().and_then(|path| attempt.file(path, How::Path));
    }
    let own = loader.path().and_then(Path::file_name).is_some_and(|own| own == name);
    if own || is_reserved(name) {
        return loader.itself();
    }
    for folder in parts(&loader.conditions.library_path, working_folder) {
        if let Some(end) = attempt.folder(&folder, name, How::LibraryPath) {
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
        let path = with_origin(path, requester.origin()).unwrap_or_default();
        for folder in parts(&path, working_folder) {
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

/// Whether the search ends where a file cannot be opened for this reason (`path_open`).
pub(super) fn ends_search(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, NotADirectory, NotFound, PermissionDenied};
    !matches!(error.kind(), NotFound | NotADirectory | PermissionDenied | InvalidFilename)
}

fn is_reserved(name: &OsStr) -> bool {
    let Some(rest) = name.as_bytes().strip_prefix(b"lib") else { return false };
    let stem = rest.iter().position(|&byte| byte == b'.').map(|end| &rest[..end]);
    stem.is_some_and(|stem| RESERVED.iter().any(|name| name.as_bytes() == stem))
}

fn working_folder<'a>(loader: &'a Loader<'_>) -> Option<&'a Path> {
    loader.conditions.working_folder.as_deref()
}

/// The folders of a search path. Empty parts say nothing here; relative ones count from the
/// working directory, and are left out where it is not known.
fn parts(path: &OsStr, working_folder: Option<&Path>) -> Vec<PathBuf> {
    let parts = split(path, b":\n").filter(|part| !part.is_empty()).map(Path::new);
    parts
        .filter_map(|part| match part.is_absolute() {
            true => Some(part.to_owned()),
            false => working_folder.map(|folder| folder.join(part)),
        })
        .collect()
}
