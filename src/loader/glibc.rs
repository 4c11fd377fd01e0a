//! The search of glibc's `ld.so` (man 8 ld.so; glibc, elf/dl-load.c, `_dl_map_object`):
//! DT_RPATH of the requester and of what loaded it, LD_LIBRARY_PATH, DT_RUNPATH of the requester,
//! the cache, the default folders. In each folder the sub-directories for better processors come
//! first: those below `glibc-hwcaps` since 2.33, those of AT_HWCAP names and `tls` until 2.36.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use memchr::memmem;

use super::cache::{Entry, Hwcap};
use super::conditions::Processor;
use super::conf;
use super::path::{Names, split};
use super::search::{Attempt, How, Loader, Requester, Resolution};
use crate::platform::{Arch, Root};

/// The largest dynamic loader whose built-in folders are looked for; real ones have 300 KiB.
const MOST_LOADER_BYTES: u64 = 8 * 1024 * 1024;

/// What is built into the loader, read from its file.
pub(super) struct BuiltIn {
    /// The folders searched at last.
    pub folders: Vec<PathBuf>,
    /// The sub-directories of every folder for this processor, best first.
    pub subfolders: Vec<PathBuf>,
}

/// Reads what is built into the loader. Its folders differ between distributions; each stands in
/// the file with a slash and a zero byte behind it. Without that file every usual folder is taken,
/// and a glibc of today.
pub(super) fn built_in(
    root: &Root,
    arch: Arch,
    loader: Option<&Path>,
    processor: &Processor,
) -> BuiltIn {
    let lib = |name: &str| [PathBuf::from("/").join(name), Path::new("/usr").join(name)];
    let multiarch = format!("lib/{}", arch.multiarch());
    let names = [multiarch.as_str(), "lib64", "lib"];
    let bytes = loader.and_then(|path| root.read(path, MOST_LOADER_BYTES).ok()).unwrap_or_default();
    let has = |name: &&&str| memmem::find(&bytes, format!("/usr/{name}/\0").as_bytes()).is_some();
    let found: Vec<PathBuf> = names.iter().filter(has).flat_map(|name| lib(name)).collect();
    let all = || names.iter().flat_map(|name| lib(name)).collect();
    let folders = if found.is_empty() { all() } else { found };
    let (named, legacy) = match minor_version(&bytes) {
        Some(minor) => (minor >= 33, minor <= 36),
        // The loader tells its version since 2.33; before it, there was nothing but AT_HWCAP.
        None => (bytes.is_empty(), !bytes.is_empty()),
    };
    let mut subfolders = Vec::new();
    if named {
        let better = Path::new("glibc-hwcaps");
        subfolders.extend(processor.levels.iter().map(|level| better.join(level)));
    }
    if legacy {
        subfolders.extend(powerset(&processor.legacy));
    }
    BuiltIn { folders, subfolders }
}

/// N of "release version 2.N." in the loader's banner.
fn minor_version(bytes: &[u8]) -> Option<u32> {
    const BANNER: &[u8] = b"release version 2.";
    let at = memmem::find(bytes, BANNER)? + BANNER.len();
    let digits: Vec<u8> =
        bytes[at..].iter().copied().take(3).take_while(u8::is_ascii_digit).collect();
    std::str::from_utf8(&digits).ok()?.parse().ok()
}

/// Every combination of the names and `tls`, the fullest first and the last name outermost
/// (`_dl_important_hwcaps`). Repeated ones are left out: they change nothing.
fn powerset(names: &[&str]) -> Vec<PathBuf> {
    let mut all = names.to_vec();
    all.push("tls");
    let mut found: Vec<PathBuf> = Vec::new();
    for mask in (1..1_u32 << all.len()).rev() {
        let parts = all.iter().enumerate().rev().filter(|(bit, _)| mask >> bit & 1 == 1);
        let path: PathBuf = parts.map(|(_, name)| *name).collect();
        if !found.contains(&path) {
            found.push(path);
        }
    }
    found
}

/// Searches for `name`; `None` where nothing takes it.
pub(super) fn find(
    attempt: &mut Attempt<'_, '_>,
    name: &OsStr,
    chain: &[&Requester],
) -> Option<Resolution> {
    let loader = attempt.loader;
    if name.as_bytes().contains(&b'/') {
        let origin = chain.first().map(|requester| requester.origin());
        return attempt.file(&names(loader, origin, &lib_name(loader)).expand(name)?, How::Path);
    }
    if loader.path().and_then(Path::file_name).is_some_and(|own| own == name) {
        return loader.itself();
    }
    let requester = chain.first();
    if requester.is_none_or(|requester| requester.runpath.is_none()) {
        // An object with DT_RUNPATH has its DT_RPATH ignored.
        for above in chain.iter().filter(|above| above.runpath.is_none()) {
            let folders = folders(loader, above.rpath.as_deref(), above.origin());
            if let Some(end) = in_folders(attempt, &folders, name, How::Rpath) {
                return Some(end);
            }
        }
    }
    // Here $ORIGIN is the program's folder, and the program stands last.
    let origin = chain.last().map(|program| program.origin());
    let library_path = expanded(loader, &loader.conditions.library_path, b":;", origin);
    if let Some(end) = in_folders(attempt, &library_path, name, How::LibraryPath) {
        return Some(end);
    }
    if let Some(requester) = requester {
        let folders = folders(loader, requester.runpath.as_deref(), requester.origin());
        if let Some(end) = in_folders(attempt, &folders, name, How::Runpath) {
            return Some(end);
        }
    }
    let skip_defaults = requester.is_some_and(|requester| requester.skips_default_folders);
    if let Some(end) = in_cache(attempt, name, skip_defaults) {
        return Some(end);
    }
    if skip_defaults {
        return None;
    }
    in_folders(attempt, &loader.default_folders, name, How::DefaultFolder)
}

fn in_folders(
    attempt: &mut Attempt<'_, '_>,
    folders: &[PathBuf],
    name: &OsStr,
    how: How,
) -> Option<Resolution> {
    for folder in folders {
        for better in attempt.loader.better(folder).iter() {
            if let Some(end) = attempt.file(&better.join(name), how) {
                return Some(end);
            }
        }
        if let Some(end) = attempt.folder(folder, name, how) {
            return Some(end);
        }
        // As `open_path` does where a file is there and cannot be opened.
        if attempt.gave_up {
            return None;
        }
    }
    None
}

/// The sub-directories of `folder` that are there.
pub(super) fn better(loader: &Loader<'_>, folder: &Path) -> Rc<[PathBuf]> {
    let paths = loader.subfolders.iter().map(|name| folder.join(name));
    paths.filter(|path| loader.root.is_dir(path)).collect()
}

/// Looks the name up in the cache. glibc takes the one best entry, and where its file is gone or
/// for another machine it does not come back for the second best.
fn in_cache(
    attempt: &mut Attempt<'_, '_>,
    name: &OsStr,
    skip_defaults: bool,
) -> Option<Resolution> {
    let loader = attempt.loader;
    let entries = loader.cache.as_ref()?.lookup(name.as_bytes());
    let entries = entries.filter(|entry| entry.is_for(loader.arch));
    let (_, best) = entries
        .filter_map(|entry| Some((rank(&entry, loader)?, entry)))
        .min_by_key(|(rank, _)| *rank)?;
    let path = Path::new(OsStr::from_bytes(best.path));
    let folder = path.parent().unwrap_or(Path::new("/"));
    if skip_defaults && loader.default_folders.iter().any(|default| default == folder) {
        return None;
    }
    let end = attempt.file(path, How::Cache);
    if end.is_none() && !loader.root.exists(path) {
        attempt.notes.push(format!(
            "/etc/ld.so.cache names {}, which is gone; run ldconfig",
            path.display()
        ));
    }
    end
}

/// The smaller the better; `None` for what this processor may not have. Of equal entries glibc
/// takes the first, and ldconfig writes the better ones of the old kind first.
fn rank(entry: &Entry<'_>, loader: &Loader<'_>) -> Option<usize> {
    /// The bit of the `tls` sub-directory, which every processor has.
    const TLS: u64 = 1 << 63;
    let levels = &loader.conditions.processor.levels;
    match entry.hwcap {
        Hwcap::Any => Some(levels.len()),
        Hwcap::Named(name) => levels.iter().position(|level| level.as_bytes() == name),
        Hwcap::Mask(mask) => (mask & !(TLS | old_bits(loader)) == 0).then_some(levels.len()),
    }
}

/// The AT_HWCAP bits and the platform's that old cache entries may ask for on this processor
/// (sysdeps/x86/dl-hwcap.h, and `_DL_FIRST_PLATFORM`).
fn old_bits(loader: &Loader<'_>) -> u64 {
    let names: &[(&str, u64)] = match loader.arch {
        Arch::Amd64 => &[("x86_64", 1), ("avx512_1", 2), ("haswell", 1 << 48)],
        Arch::Arm64 => &[("atomics", 1 << 8)],
        _ => &[],
    };
    let legacy = &loader.conditions.processor.legacy;
    names.iter().filter(|(name, _)| legacy.contains(name)).map(|(_, bit)| bit).sum()
}

/// The folders of DT_RPATH or DT_RUNPATH of an object that lies in `origin`.
fn folders(loader: &Loader<'_>, path: Option<&OsStr>, origin: &Path) -> Vec<PathBuf> {
    path.map(|path| expanded(loader, path, b":", Some(origin))).unwrap_or_default()
}

/// The folders of a search path; an empty one has none.
fn expanded(
    loader: &Loader<'_>,
    path: &OsStr,
    separators: &'static [u8],
    origin: Option<&Path>,
) -> Vec<PathBuf> {
    if path.is_empty() {
        return Vec::new();
    }
    let lib = lib_name(loader);
    let names = names(loader, origin, &lib);
    split(path, separators).filter_map(|part| names.expand(part)).collect()
}

fn names<'a>(loader: &'a Loader<'_>, origin: Option<&'a Path>, lib: &'a OsStr) -> Names<'a> {
    let platform = loader.conditions.processor.legacy.last();
    Names {
        origin,
        lib,
        platform: platform.copied().unwrap_or(loader.arch.uname()),
        working_folder: loader.conditions.working_folder.as_deref(),
    }
}

/// What `$LIB` stands for: the first default folder without its leading slash.
fn lib_name(loader: &Loader<'_>) -> OsString {
    let first = loader.default_folders.first().and_then(|path| path.strip_prefix("/").ok());
    first.map_or_else(|| "lib".into(), |path| path.as_os_str().to_owned())
}

/// Notes a file of that name in a folder of ld.so.conf: ldconfig would have found it.
pub(super) fn explain(attempt: &mut Attempt<'_, '_>, name: &OsStr) {
    let loader = attempt.loader;
    if name.as_bytes().contains(&b'/') {
        return;
    }
    for folder in conf::directories(loader.root) {
        let path = folder.join(name);
        if loader.default_folders.contains(&folder) {
            continue;
        }
        let Ok(file) = loader.root.open(&path) else { continue };
        let fits =
            crate::elf::identify(&file).is_ok_and(|found| found.runs_on(loader.arch).is_ok());
        if fits {
            let state = if loader.cache.is_some() { "not in" } else { "and there is no" };
            attempt.notes.push(format!(
                "{} is in a folder of /etc/ld.so.conf, {state} /etc/ld.so.cache; run ldconfig",
                path.display()
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combinations_come_in_glibcs_order() {
        let paths = powerset(&["x86_64", "x86_64"]);
        let expected = ["tls/x86_64/x86_64", "tls/x86_64", "tls", "x86_64/x86_64", "x86_64"]
            .map(PathBuf::from);
        assert_eq!(paths, expected);
    }

    #[test]
    fn the_banner_tells_the_version() {
        assert_eq!(minor_version(b"ld.so (GNU libc) stable release version 2.36.\n"), Some(36));
        assert_eq!(minor_version(b"release version 2."), None);
    }

    /// LD_DEBUG=libs lists every folder of LD_LIBRARY_PATH with its sub-directories.
    #[test]
    fn the_subfolders_are_those_that_this_machines_loader_tries() {
        let arch = Arch::built_for().unwrap();
        let path = crate::loader::fixture::glibc_loader(arch);
        let processor = Processor::of_this_machine(arch);
        let ours = built_in(&Root::host(), arch, Some(Path::new(path)), &processor).subfolders;
        let output = std::process::Command::new("/bin/true")
            .env("LD_DEBUG", "libs")
            .env("LD_LIBRARY_PATH", "/mak-none")
            .env("LD_PRELOAD", "libmaknone.so")
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        let line = text.lines().find_map(|line| line.split_once("search path=/mak-none")).unwrap();
        let list = format!("/mak-none{}", line.1.split('\t').next().unwrap());
        let mut theirs: Vec<PathBuf> = Vec::new();
        for folder in list.trim().split(':') {
            let rest = Path::new(folder).strip_prefix("/mak-none").unwrap().to_owned();
            if rest != Path::new("") && !theirs.contains(&rest) {
                theirs.push(rest);
            }
        }
        assert_eq!(ours, theirs);
    }

    #[test]
    fn the_folders_are_those_built_into_this_machines_loader() {
        let arch = Arch::built_for().unwrap();
        let path = crate::loader::fixture::glibc_loader(arch);
        let root = Root::host();
        let least = Processor::least(arch);
        let found = built_in(&root, arch, Some(Path::new(path)), &least).folders;
        let help = std::process::Command::new(path).arg("--help").output().unwrap().stdout;
        let help = String::from_utf8(help).unwrap();
        let listed: Vec<PathBuf> = help
            .lines()
            .filter_map(|line| {
                Some(PathBuf::from(line.trim().strip_suffix(" (system search path)")?))
            })
            .collect();
        assert_eq!(found, listed);
        assert_eq!(built_in(&root, arch, None, &least).folders.len(), 6);
    }
}
